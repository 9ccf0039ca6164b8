//! Applies an object's relocations. What needs foreign code (IFUNC resolvers) or other objects' finished data (COPY)
//! is only noted, and done after all objects are relocated.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::Relocation;
use super::copy::{Copy, differing_sizes};
use super::defect::{self, NO_TLS, overflow, symbol_name};
use super::value::{Operands, Store, value};
use crate::addr::{Addr, Bias, ObjectId};
use crate::arch::x86_64::RelocationKind as Kind;
use crate::elf::Malformed;
use crate::elf::symbol::Symbol;
use crate::elf::table::Table;
use crate::error::{Error, Problem, Result};
use crate::image::Words;
use crate::image::memory::Outside;
use crate::linkmap::Objects;
use crate::linkmap::id_set::IdSet;
use crate::lookup::Class;
use crate::lookup::ahead::{BATCH, Batch, Waiting};
use crate::lookup::prepared::Prepared;
use crate::lookup::quick::{Answer, Quick};
use crate::lookup::scope::{Scope, Undefined};
use crate::lookup::{told, undefined};
use crate::object::{Definition, Object, Role};
use crate::reloc::lazy::{Lazy, Plt};
use crate::text::Text;
use crate::tls::thread::Index;
use crate::tls::{Layout, Module};

/// `R_X86_64_RELATIVE`, which is most of them.
const RELATIVE: u32 = 8;

/// The code of rld that relocated words point to.
#[derive(Clone, Copy, Debug)]
pub struct Entries {
    /// For a TLS descriptor: returns the offset that the descriptor holds.
    pub fixed: Addr,
    /// For a TLS descriptor: returns the offset that leads to address 0 plus the addend, of an undefined weak variable.
    pub undefined: Addr,
    /// For a TLS descriptor: returns the offset of a variable whose block each thread allocates.
    pub dynamic: Addr,
    /// For a PLT: binds the function that is called for the first time.
    pub resolver: Addr,
    /// The same for a PLT whose calls auditors follow.
    pub audited: Addr,
}

/// A function of a PLT that was bound before anything runs.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The object that calls it.
    pub from: ObjectId,
    /// The word.
    pub place: Addr,
    /// What it was bound to.
    pub found: Definition,
}

/// A word that an IFUNC resolver decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pending {
    /// The object that holds the word.
    pub object: ObjectId,
    /// The resolver.
    pub resolver: Addr,
    /// How its answer becomes a value.
    pub kind: Kind,
    /// The relocation's addend.
    pub addend: u64,
    /// Where the word is.
    pub place: Addr,
    /// The symbol's index in that object.
    pub symbol: u32,
}

/// What remains to be done when all objects are relocated.
#[derive(Debug, Default)]
pub struct Deferred {
    /// IFUNC words in the order of their relocations.
    pub pending: Vec<Pending>,
    /// COPY relocations.
    pub copies: Vec<Copy>,
    /// What TLS descriptors refer to, with the object that has them.
    pub indices: Vec<(ObjectId, Box<Index>)>,
    /// Lines for the user.
    pub warnings: Vec<String>,
}

/// All that the relocations of all objects have in common.
pub struct Relocator<'r, 'm, 'a> {
    /// The objects.
    pub objects: &'m Objects<'a>,
    /// Where references are looked up.
    pub scope: &'r mut Scope<'r, 'm, 'a>,
    /// Thread-local storage; a module that is opened now may get a static block.
    pub tls: &'r mut Layout,
    /// The objects that are opened now; at the start, all blocks are static already.
    pub opened: &'r [ObjectId],
    /// Gives a module of others the static block that was found for it, if no thread has one of its own yet.
    pub settle: Option<&'r dyn Fn(&Module) -> bool>,
    /// Code for TLS descriptors and PLTs.
    pub entries: Entries,
    /// What remains.
    pub deferred: Deferred,
    /// The program's name, for messages about it.
    pub program: &'r [u8],
    /// LD_WARN: a copy that is larger than its original is worth a line, too.
    pub strict: bool,
    /// The objects that the one that is being relocated binds to, where somebody asks.
    pub bound: Option<IdSet>,
    /// Functions that were bound at once, where somebody asks.
    pub bindings: Option<Vec<Binding>>,
    last: Option<Last>,
    /// Whether somebody listens to lookups; `last` is not used then.
    told: bool,
    /// The last symbol that was looked up, which ld.so does not look up again.
    asked: Option<(u32, Class)>,
    batch: Batch<'r, 'm, 'a>,
}

/// What the last relocation's symbol led to: link editors put the relocations of one symbol behind one another.
#[derive(Clone, Copy)]
struct Last {
    symbol: u32,
    class: Class,
    target: Target,
}

/// What a symbol stands for.
#[derive(Clone, Copy)]
enum Target {
    /// An address; 0 where nothing defines it.
    Address(u64),
    /// What an IFUNC resolver will say.
    Resolver(Addr),
}

impl<'r, 'm, 'a> Relocator<'r, 'm, 'a> {
    /// A relocator that has done nothing yet.
    #[must_use]
    pub fn new(
        objects: &'m Objects<'a>,
        scope: &'r mut Scope<'r, 'm, 'a>,
        tls: &'r mut Layout,
        entries: Entries,
        program: &'r [u8],
    ) -> Self {
        Self {
            objects,
            scope,
            tls,
            opened: &[],
            settle: None,
            entries,
            deferred: Deferred::default(),
            program,
            strict: false,
            bound: None,
            bindings: None,
            last: None,
            told: told::wanted(),
            asked: None,
            batch: Batch::default(),
        }
    }

    /// Relocates one object. With `lazy`, functions called through its PLT are bound when they are first called.
    ///
    /// # Errors
    /// An undefined symbol, an unknown relocation type, a value that does not fit, or a place that is not writable.
    pub fn relocate(&mut self, id: ObjectId, words: &mut Words, lazy: Option<Lazy>) -> Result<()> {
        let Some(object) = self.objects.get(id) else { return Ok(()) };
        (self.last, self.asked) = (None, None);
        let tables = object.relocations;
        for place in object.dynamic_addresses() {
            words
                .rebase(place, object.image.bias.0)
                .map_err(|outside| self.outside(object, outside))?;
        }
        relr(object, tables.relr, words).map_err(|outside| self.outside(object, outside))?;
        self.table(id, object, tables.rela, words)?;
        match lazy.and_then(|lazy| Plt::prepare(object, words, lazy)) {
            Some(plt) => self.lazy_table(id, object, &plt, words),
            None => {
                self.table(id, object, tables.plt, words)?;
                if self.bindings.is_some() {
                    tables.plt.iter().try_for_each(|it| self.note_binding(id, object, &it))?;
                }
                Ok(())
            }
        }
    }

    /// Notes what a function was bound to.
    #[cold]
    fn note_binding(
        &mut self,
        id: ObjectId,
        object: &'m Object<'a>,
        relocation: &Relocation,
    ) -> Result<()> {
        if Kind::from_number(relocation.kind) != Some(Kind::JumpSlot) {
            return Ok(());
        }
        let class = Class { definition_only: true, ..Class::default() };
        let found = self.definition(id, object, (relocation.symbol, None), class)?;
        let place = object.image.address(relocation.offset);
        if let (Some(bindings), Some(found)) = (&mut self.bindings, found) {
            bindings.push(Binding { from: id, place, found });
        }
        Ok(())
    }

    /// Lets the PLT's words lead to where the binding starts. What is no function is bound at once; where only what is
    /// missing may wait, so is what is defined.
    fn lazy_table(
        &mut self,
        id: ObjectId,
        object: &'m Object<'a>,
        plt: &Plt<'_, '_>,
        words: &mut Words,
    ) -> Result<()> {
        let table = object.relocations.plt;
        let mut at = 0;
        loop {
            if !plt.only_missing {
                at += plt.defer(table.slice(at, table.len()), words);
            }
            let Some(relocation) = table.get(at) else { return Ok(()) };
            match self.one(id, object, &relocation, &Waiting::default(), words) {
                Err(error)
                    if plt.only_missing
                        && matches!(error.problem, Problem::UndefinedSymbol { .. })
                        && plt.defer(table.slice(at, at + 1), words) == 1 => {}
                bound => {
                    bound?;
                    if self.bindings.is_some() {
                        self.note_binding(id, object, &relocation)?;
                    }
                }
            }
            at += 1;
        }
    }

    fn table(
        &mut self,
        id: ObjectId,
        object: &'m Object<'a>,
        table: Table<'a, Relocation>,
        words: &mut Words,
    ) -> Result<()> {
        let relative =
            relative(object, table, words).map_err(|outside| self.outside(object, outside))?;
        for start in (relative..table.len()).step_by(BATCH) {
            self.batch(id, object, table.slice(start, start + BATCH), words)?;
        }
        Ok(())
    }

    /// Applies relocations, at most [`BATCH`].
    fn batch(
        &mut self,
        id: ObjectId,
        object: &'m Object<'a>,
        relocations: Table<'a, Relocation>,
        words: &mut Words,
    ) -> Result<()> {
        let mut batch = core::mem::take(&mut self.batch);
        let is_usual = !self.told && !self.scope.dynamic_weak;
        let looked_up = batch.look_up(object, self.scope.runs(), relocations, is_usual);
        for (relocation, (waiting, answer)) in relocations.iter().zip(looked_up) {
            match answer.and_then(|answer| self.answered(&relocation, answer)) {
                Some(value) => words
                    .write(object.image.address(relocation.offset), value)
                    .map_err(|outside| self.outside(object, outside))?,
                None => self.one(id, object, &relocation, waiting, words)?,
            }
        }
        self.batch = batch;
        Ok(())
    }

    /// The value of a word, if its relocation is of one of the usual kinds.
    #[inline(always)]
    fn answered(&mut self, relocation: &Relocation, answer: Answer) -> Option<u64> {
        let (_, addend) = usual_kind(relocation)?;
        if let Some(bound) = &mut self.bound {
            bound.add(answer.definer);
        }
        Some(answer.address.get().wrapping_add(addend))
    }

    /// Applies a relocation. Its symbol may have been read already.
    #[inline(never)]
    fn one(
        &mut self,
        id: ObjectId,
        object: &'m Object<'a>,
        relocation: &Relocation,
        waiting: &Waiting<'r, 'm, 'a>,
        words: &mut Words,
    ) -> Result<()> {
        let Some((class, addend)) = usual_kind(relocation) else {
            return match relocation.kind {
                RELATIVE => {
                    let (place, value) = relative_word(object.image.bias, relocation);
                    words.write(place, value).map_err(|outside| self.outside(object, outside))
                }
                kind => self.rare(id, object, relocation, Kind::from_number(kind), words),
            };
        };
        let same = |last: &Last| last.symbol == relocation.symbol && last.class == class;
        let target = match self.last.filter(same) {
            Some(last) => last.target,
            None => {
                let prepared = waiting.prepared(object, relocation.symbol);
                let prepared = prepared.as_ref();
                let usual = match prepared.filter(|_| !self.told) {
                    Some(prepared) => self.usual(object, prepared, class)?,
                    None => None,
                };
                let target = match usual {
                    Some(target) => target,
                    None => self.target(id, object, (relocation.symbol, prepared), class)?,
                };
                let last = Last { symbol: relocation.symbol, class, target };
                self.last = (!self.told).then_some(last);
                target
            }
        };
        let place = object.image.address(relocation.offset);
        match target {
            Target::Address(address) => words
                .write(place, address.wrapping_add(addend))
                .map_err(|outside| self.outside(object, outside)),
            Target::Resolver(resolver) => {
                // The other usual kinds are this one without an addend.
                let (symbol, kind) = (relocation.symbol, Kind::Abs64);
                let pending = Pending { object: id, resolver, kind, addend, place, symbol };
                self.deferred.pending.push(pending);
                Ok(())
            }
        }
    }

    /// The same as [`Relocator::target`] in the usual case, with nothing to warn of.
    #[inline]
    fn usual(
        &mut self,
        object: &'m Object<'a>,
        prepared: &Prepared<'a>,
        class: Class,
    ) -> Result<Option<Target>> {
        let found = match self.scope.quick(object, prepared, class) {
            Quick::Found(found) => found,
            Quick::Absent if self.scope.other_names.is_none() && prepared.symbol.is_weak() => {
                return Ok(Some(Target::Address(0)));
            }
            Quick::Absent | Quick::Unusual => return Ok(None),
        };
        if let Some(bound) = &mut self.bound {
            bound.add(found.definer);
        }
        if let Some(address) = found.address
            && object.role != Role::Program
        {
            return Ok(Some(Target::Address(address.0)));
        }
        let definer = self.objects.get(found.definer);
        let symbol = definer.and_then(|it| it.exports.symbols.get(found.index as usize));
        let Some((definer, symbol)) = definer.zip(symbol) else { return Ok(None) };
        if symbol.is_protected() && object.role == Role::Program {
            return Ok(None);
        }
        self.defined(definer, &symbol).map(Some)
    }

    /// The address that a reference to symbol `index` of `object` leads to.
    #[inline(never)]
    fn target(
        &mut self,
        id: ObjectId,
        object: &'m Object<'a>,
        symbol: (u32, Option<&Prepared<'a>>),
        class: Class,
    ) -> Result<Target> {
        let found = self.definition(id, object, symbol, class)?;
        let Some(Definition { object, symbol, .. }) = found else { return Ok(Target::Address(0)) };
        match self.objects.get(object) {
            Some(definer) => self.defined(definer, &symbol),
            None => Ok(Target::Address(0)),
        }
    }

    /// What a definition stands for.
    fn defined(&self, definer: &Object<'a>, symbol: &Symbol) -> Result<Target> {
        let address = definer.address_of(symbol);
        match symbol.is_ifunc() {
            true => self.resolver(definer, address).map(Target::Resolver),
            false => Ok(Target::Address(address.0)),
        }
    }

    /// The definition that symbol `index` of `object`, which may have been read already, binds to.
    fn definition(
        &mut self,
        id: ObjectId,
        object: &'m Object<'a>,
        (index, prepared): (u32, Option<&Prepared<'a>>),
        class: Class,
    ) -> Result<Option<Definition>> {
        let unprepared = if prepared.is_none() { Prepared::new(object, index) } else { None };
        let Some(prepared) = prepared.or(unprepared.as_ref()) else {
            let words = "relocation names a symbol outside the symbol table";
            return Err(self.malformed(object, Malformed::new(words, "r_sym", index.into())));
        };
        let found = match self.told && !prepared.symbol.binds_locally() {
            false => self.scope.resolve(self.objects, id, prepared, class),
            true => told::again(self.scope, self.objects, id, prepared, class, &mut self.asked),
        };
        let found = found.map_err(|undefined| self.undefined(object, &undefined))?;
        if let (Some(bound), Some(found)) = (&mut self.bound, &found) {
            bound.add(found.object);
        }
        if object.role == Role::Program
            && let Some(found) = &found
        {
            self.warn_of_protected(id, &prepared.symbol, found, class);
        }
        Ok(found)
    }

    /// Applies a relocation of any other kind.
    #[inline(never)]
    fn rare(
        &mut self,
        id: ObjectId,
        object: &'m Object<'a>,
        relocation: &Relocation,
        kind: Option<Kind>,
        words: &mut Words,
    ) -> Result<()> {
        let Relocation { offset, addend, symbol: index, .. } = *relocation;
        let Some(kind) = kind else {
            let problem = Problem::UnsupportedRelocation { kind: relocation.kind };
            let line = "no relocation that an x86-64 loader is asked for";
            return Err(self
                .error(object, problem)
                .with(alloc::format!("offset {offset}: {line}")));
        };
        let place = object.image.address(offset);
        let mut operands =
            Operands { addend, bias: object.image.bias.0, place: place.0, ..Operands::default() };
        if kind == Kind::IRelative {
            let resolver = Addr(operands.bias.wrapping_add(addend));
            let resolver = self.resolver(object, resolver)?;
            // The addend is the resolver; nothing is added to its answer.
            let kind = Kind::GlobDat;
            let pending = Pending { object: id, resolver, kind, addend: 0, place, symbol: index };
            self.deferred.pending.push(pending);
            return Ok(());
        }
        if kind == Kind::None {
            return Ok(());
        }
        let class = Class::of(kind);
        let found = self.definition(id, object, (index, None), class)?;
        let definer = found.and_then(|found| self.objects.get(found.object));
        if let (Some(definition), Some(definer)) = (found, definer) {
            let Definition { symbol, .. } = definition;
            operands.size = symbol.size;
            operands.symbol = match kind {
                Kind::DtpMod | Kind::DtpOff | Kind::TpOff | Kind::TlsDesc => {
                    if kind == Kind::TpOff {
                        self.need_static(object, definition.object)?;
                    }
                    let module = self
                        .tls
                        .module(definition.object)
                        .ok_or_else(|| self.malformed(definer, NO_TLS))?;
                    (operands.module, operands.tls_offset) = (module.id, module.offset);
                    symbol.value
                }
                _ => definer.address_of(&symbol).0,
            };
            if kind == Kind::Copy {
                return self.defer_copy(id, object, index, &definition, operands);
            }
            if symbol.is_ifunc() && kind.uses_address() {
                let resolver = self.resolver(definer, Addr(operands.symbol))?;
                let pending = Pending { object: id, resolver, kind, addend, place, symbol: index };
                self.deferred.pending.push(pending);
                return Ok(());
            }
        } else if matches!(kind, Kind::Copy | Kind::DtpMod | Kind::DtpOff | Kind::TpOff) {
            // An undefined weak variable keeps what the link editor left.
            return Ok(());
        }
        if kind == Kind::TlsDesc {
            return self.descriptor(id, object, place, found.is_some(), &operands, words);
        }
        let stored = match value(kind, &operands) {
            Store::Word(word) => words.write(place, word),
            Store::Half(half) => words.write32(place, half),
            Store::Cut(half) => {
                self.deferred.warnings.push(overflow(self.program, object, index, kind));
                words.write32(place, half)
            }
            Store::Nothing => Ok(()),
        };
        stored.map_err(|outside| self.outside(object, outside))
    }

    /// An IFUNC resolver of `definer`, which must lie in it.
    fn resolver(&self, definer: &Object<'a>, resolver: Addr) -> Result<Addr> {
        definer.check_resolver(resolver, definer.display_name(self.program)).map(|()| resolver)
    }

    /// A program that keeps its own copy of a protected variable, or its own address of a protected function, does not
    /// share it with the library (psABI, "Indirect External Access").
    fn warn_of_protected(
        &mut self,
        id: ObjectId,
        symbol: &Symbol,
        found: &Definition,
        class: Class,
    ) {
        let Some(definer) = self.objects.get(found.object) else { return };
        if found.object == id || !found.symbol.is_protected() {
            return;
        }
        let name = Text(definer.exports.strings.get(found.symbol.name).unwrap_or_default());
        let library = Text(definer.name.to_bytes());
        let line = if class.skip_program {
            alloc::format!(
                "warning: copy relocation against non-copyable protected symbol `{name}' in \
                 `{library}'"
            )
        } else if class.definition_only && symbol.value != 0 && symbol.is_undefined() {
            alloc::format!(
                "warning: direct reference to protected function `{name}' in `{library}' may \
                 break pointer equality"
            )
        } else {
            return;
        };
        self.deferred.warnings.push(line);
    }

    fn defer_copy(
        &mut self,
        id: ObjectId,
        object: &Object<'a>,
        index: u32,
        definition: &Definition,
        operands: Operands,
    ) -> Result<()> {
        let own = object.exports.symbols.get(index as usize).unwrap_or_default();
        let original = definition.symbol.size;
        let name = symbol_name(object, index);
        let warning = differing_sizes(self.program, name, own.size, original, self.strict);
        self.deferred.warnings.extend(warning);
        let size = own.size.min(original);
        let source = Addr(operands.symbol);
        let definer = self.objects.get(definition.object);
        let readable = definer.is_some_and(|definer| {
            let vaddr = definer.image.bias.remove(source);
            // Some assemblers' variables are said to be larger than they are, and ld.so copies what is there.
            let mut segments = definer.image.segments();
            segments.any(|segment| segment.holds_in_pages(vaddr, size) && segment.is_readable())
        });
        if !readable {
            let words = "COPY relocation from outside the defining object";
            let value = definition.symbol.value;
            let definer = definer.unwrap_or(object);
            let error = self.malformed(definer, Malformed::new(words, "st_value", value));
            let name = Text(object.display_name(self.program));
            return Err(error.with(alloc::format!("copied by {name}")));
        }
        let target = Addr(operands.place);
        self.deferred.copies.push(Copy { object: id, source, target, size });
        Ok(())
    }

    /// Fills a TLS descriptor: the code to call and its argument (TLSDESC for x86-64).
    fn descriptor(
        &mut self,
        id: ObjectId,
        object: &Object<'a>,
        place: Addr,
        defined: bool,
        operands: &Operands,
        words: &mut Words,
    ) -> Result<()> {
        let offset = operands.symbol.wrapping_add(operands.addend);
        let (entry, argument) = match (defined, operands.tls_offset) {
            (false, _) => (self.entries.undefined, operands.addend),
            (true, 0) => {
                let index = Box::new(Index { module: operands.module, offset });
                let address = &raw const *index as u64;
                self.deferred.indices.push((id, index));
                (self.entries.dynamic, address)
            }
            (true, below) => (self.entries.fixed, offset.wrapping_sub(below)),
        };
        words
            .write(place, entry.0)
            .and_then(|()| words.write(Addr(place.0.wrapping_add(8)), argument))
            .map_err(|outside| self.outside(object, outside))
    }

    fn malformed(&self, object: &Object<'_>, malformed: Malformed) -> Error {
        Error::malformed(object.display_name(self.program), malformed)
    }

    pub(super) fn error(&self, object: &Object<'_>, problem: Problem) -> Error {
        Error::new(object.display_name(self.program), problem)
    }

    fn undefined(&self, object: &Object<'_>, undefined: &Undefined<'_>) -> Error {
        let problem = Problem::UndefinedSymbol {
            name: undefined.name.to_vec(),
            version: undefined.version.map(|version| version.name.to_vec()),
        };
        let error = self.error(object, problem);
        told::tell_undefined(&error);
        undefined::explain(error, self.objects, self.scope, object)
    }

    fn outside(&self, object: &Object<'_>, place: Outside) -> Error {
        defect::outside(self.program, object, place)
    }
}

/// The place and the value of a relative relocation.
#[inline(always)]
fn relative_word(bias: Bias, relocation: &Relocation) -> (Addr, u64) {
    (bias.apply(relocation.offset), bias.0.wrapping_add(relocation.addend))
}

/// What a relocation of one of the usual kinds asks for, and its addend: see [`value`](super::value::value).
#[inline(always)]
fn usual_kind(relocation: &Relocation) -> Option<(Class, u64)> {
    let kind = Kind::from_number(relocation.kind)?;
    match kind {
        Kind::Abs64 => Some((Class::of(kind), relocation.addend)),
        Kind::GlobDat | Kind::JumpSlot => Some((Class::of(kind), 0)),
        _ => None,
    }
}

/// Applies the relative relocations that a table begins with, which link editors put first. Returns how many they are.
#[inline(never)]
fn relative(
    object: &Object<'_>,
    table: Table<'_, Relocation>,
    words: &mut Words,
) -> core::result::Result<usize, Outside> {
    let bias = object.image.bias;
    let mut count = 0;
    let first = table.iter().take_while(|relocation| relocation.kind == RELATIVE);
    words.write_all(first.inspect(|_| count += 1).map(|it| relative_word(bias, &it)))?;
    Ok(count)
}

/// Applies relative relocations in their packed form (gABI, "Relative Relocation Table"): an even word is an address to
/// relocate, an odd one a bitmap of the 63 words that follow.
fn relr(
    object: &Object<'_>,
    table: Table<'_, u64>,
    words: &mut Words,
) -> core::result::Result<(), Outside> {
    let bias = object.image.bias.0;
    let mut next = 0u64;
    for entry in table.iter() {
        if entry & 1 == 0 {
            let place = bias.wrapping_add(entry);
            words.rebase(Addr(place), bias)?;
            next = place.wrapping_add(8);
            continue;
        }
        let mut bits = entry >> 1;
        while bits != 0 {
            let skip = u64::from(bits.trailing_zeros());
            words.rebase(Addr(next.wrapping_add(skip * 8)), bias)?;
            bits &= bits - 1;
        }
        next = next.wrapping_add(63 * 8);
    }
    Ok(())
}
