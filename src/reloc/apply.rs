//! Applies an object's relocations. What needs foreign code (IFUNC resolvers) or other objects' finished data (COPY)
//! is only noted, and done after all objects are relocated.

use alloc::string::String;
use alloc::vec::Vec;

use super::Relocation;
use super::value::{Operands, Store, value};
use crate::addr::{Addr, ObjectId};
use crate::arch::x86_64::RelocationKind as Kind;
use crate::elf::symbol::Symbol;
use crate::elf::table::Table;
use crate::error::{Error, Problem, Result};
use crate::image::Words;
use crate::image::memory::Outside;
use crate::lookup::Class;
use crate::lookup::ahead::{self, BATCH, Prepared};
use crate::lookup::scope::{Scope, Undefined};
use crate::object::{Definition, Object, Role};
use crate::text::Text;
use crate::tls::Layout;

/// The code of rld that TLS descriptors point to.
#[derive(Clone, Copy, Debug)]
pub struct DescriptorEntries {
    /// Returns the offset that the descriptor holds.
    pub fixed: Addr,
    /// Returns the offset that leads to address 0 plus the addend: an undefined weak variable.
    pub undefined: Addr,
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
    /// The other operands of that value.
    pub operands: Operands,
}

/// Bytes that a program keeps in place of a library's (R_X86_64_COPY).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Copy {
    /// The object that holds the copy.
    pub object: ObjectId,
    /// The original.
    pub source: Addr,
    /// The copy.
    pub target: Addr,
    /// Bytes.
    pub size: u64,
}

/// What remains to be done when all objects are relocated.
#[derive(Debug, Default)]
pub struct Deferred {
    /// IFUNC words in the order of their relocations.
    pub pending: Vec<Pending>,
    /// COPY relocations.
    pub copies: Vec<Copy>,
    /// Lines for the user.
    pub warnings: Vec<String>,
}

/// All that the relocations of all objects have in common.
pub struct Relocator<'r, 'm, 'a> {
    /// The objects.
    pub objects: &'m [Object<'a>],
    /// Where references are looked up.
    pub scope: &'r mut Scope<'m, 'a>,
    /// Thread-local storage.
    pub tls: &'r Layout,
    /// Code for TLS descriptors.
    pub descriptors: DescriptorEntries,
    /// What remains.
    pub deferred: Deferred,
    /// The program's name, for messages about it.
    pub program: &'r [u8],
    last: Option<Last>,
    batch: Vec<(Relocation, Option<Prepared<'a>>)>,
    hashes: Vec<(u32, usize)>,
}

/// What the last relocation's symbol bound to: link editors put the relocations of one symbol behind one another.
#[derive(Clone, Copy)]
struct Last {
    symbol: u32,
    class: Class,
    found: Option<Definition>,
}

impl<'r, 'm, 'a> Relocator<'r, 'm, 'a> {
    /// A relocator that has done nothing yet.
    #[must_use]
    pub fn new(
        objects: &'m [Object<'a>],
        scope: &'r mut Scope<'m, 'a>,
        tls: &'r Layout,
        descriptors: DescriptorEntries,
        program: &'r [u8],
    ) -> Self {
        let deferred = Deferred::default();
        let (batch, hashes) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        Self { objects, scope, tls, descriptors, deferred, program, last: None, batch, hashes }
    }

    /// Relocates one object.
    ///
    /// # Errors
    /// An undefined symbol, an unknown relocation type, a value that does not fit, or a place that is not writable.
    pub fn relocate(&mut self, id: ObjectId, words: &mut Words) -> Result<()> {
        let Some(object) = self.objects.get(id.index()) else { return Ok(()) };
        self.last = None;
        let tables = object.relocations;
        relr(object, tables.relr, words).map_err(|outside| self.outside(object, outside))?;
        self.table(id, object, tables.rela, words)?;
        self.table(id, object, tables.plt, words)
    }

    fn table(
        &mut self,
        id: ObjectId,
        object: &'m Object<'a>,
        table: Table<'a, Relocation>,
        words: &mut Words,
    ) -> Result<()> {
        const RELATIVE: u32 = 8;
        let bias = object.image.bias;
        let mut records = table.iter();
        loop {
            self.batch.clear();
            self.hashes.clear();
            let mut last = None;
            while self.batch.len() < BATCH {
                let Some(relocation) = records.next() else { break };
                if relocation.kind == RELATIVE {
                    let place = bias.apply(relocation.offset);
                    words
                        .write(place, bias.0.wrapping_add(relocation.addend))
                        .map_err(|outside| self.outside(object, outside))?;
                    continue;
                }
                // Link editors put the relocations of one symbol behind one another.
                let symbol = Some(relocation.symbol);
                let is_new = last != symbol;
                last = symbol;
                let prepared =
                    if is_new { Prepared::new(object, relocation.symbol) } else { None };
                if let Some(prepared) = &prepared {
                    self.hashes.push((prepared.hash, prepared.name.len()));
                }
                self.batch.push((relocation, prepared));
            }
            if self.batch.is_empty() {
                return Ok(());
            }
            ahead::warm(self.scope, &self.hashes);
            for at in 0..self.batch.len() {
                if let Some((relocation, prepared)) = self.batch.get(at).copied() {
                    self.one(id, object, relocation, prepared, words)?;
                }
            }
        }
    }

    fn one(
        &mut self,
        id: ObjectId,
        object: &'m Object<'a>,
        relocation: Relocation,
        prepared: Option<Prepared<'a>>,
        words: &mut Words,
    ) -> Result<()> {
        let Relocation { offset, addend, .. } = relocation;
        let Some(kind) = Kind::from_number(relocation.kind) else {
            let problem =
                Problem::UnsupportedRelocation { kind: relocation.kind, offset: offset.0 };
            return Err(self.error(object, problem));
        };
        let place = object.image.address(offset);
        let mut operands =
            Operands { addend, bias: object.image.bias.0, place: place.0, ..Operands::default() };
        if kind == Kind::IRelative {
            let resolver = Addr(operands.bias.wrapping_add(addend));
            // The addend is the resolver; nothing is added to its answer.
            operands.addend = 0;
            return self.defer_ifunc(id, object, resolver, Kind::GlobDat, operands);
        }
        if kind == Kind::None {
            return Ok(());
        }
        let found = self.symbol(id, object, (relocation.symbol, prepared), kind)?;
        let definer = match found {
            Some(definition) => self.objects.get(definition.object.index()),
            None => None,
        };
        if let (Some(definition), Some(definer)) = (found, definer) {
            let Definition { symbol, .. } = definition;
            operands.size = symbol.size;
            operands.symbol = match kind {
                Kind::DtpMod | Kind::DtpOff | Kind::TpOff | Kind::TlsDesc => {
                    let module = self.tls.module(definition.object).ok_or_else(|| {
                        let words = "thread-local symbol in an object without PT_TLS";
                        self.error(definer, Problem::Words(words))
                    })?;
                    (operands.module, operands.tls_offset) = (module.id, module.offset);
                    symbol.value
                }
                _ if symbol.is_absolute() => symbol.value,
                _ => definer.image.address(symbol.vaddr()).0,
            };
            if kind == Kind::Copy {
                return self.defer_copy(id, object, relocation, &definition, operands);
            }
            if symbol.is_ifunc() {
                let resolver = Addr(operands.symbol);
                return self.defer_ifunc(id, definer, resolver, kind, operands);
            }
        } else if matches!(kind, Kind::Copy | Kind::DtpMod | Kind::DtpOff | Kind::TpOff) {
            // An undefined weak variable keeps what the link editor left.
            return Ok(());
        }
        if kind == Kind::TlsDesc {
            return self.descriptor(object, place, found.is_some(), &operands, words);
        }
        let stored = match value(kind, &operands) {
            Ok(Store::Word(word)) => words.write(place, word),
            Ok(Store::Half(half)) => words.write32(place, half),
            Ok(Store::Nothing) => Ok(()),
            Err(_) => {
                let symbol = self.symbol_name(object, relocation.symbol).to_vec();
                let problem = Problem::Overflow { relocation: kind.name(), symbol };
                return Err(self.error(object, problem));
            }
        };
        stored.map_err(|outside| self.outside(object, outside))
    }

    /// The definition that symbol `index` of `object`, which may have been read already, binds to for a relocation of
    /// `kind`.
    fn symbol(
        &mut self,
        id: ObjectId,
        object: &'m Object<'a>,
        (index, prepared): (u32, Option<Prepared<'a>>),
        kind: Kind,
    ) -> Result<Option<Definition>> {
        let class = Class {
            definition_only: kind.needs_definition(),
            skip_program: kind == Kind::Copy,
            newest: false,
        };
        if let Some(last) = self.last
            && last.symbol == index
            && last.class == class
        {
            return Ok(last.found);
        }
        let Some(prepared) = prepared.or_else(|| Prepared::new(object, index)) else {
            let words = "relocation names a symbol outside the symbol table";
            return Err(self.error(object, Problem::Words(words)));
        };
        let found = self.scope.resolve(self.objects, id, &prepared, class);
        let found = found.map_err(|undefined| self.undefined(object, &undefined))?;
        self.last = Some(Last { symbol: index, class, found });
        if object.role == Role::Program
            && let Some(found) = found
        {
            self.warn_of_protected(id, &prepared.symbol, &found, class);
        }
        Ok(found)
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
        let Some(definer) = self.objects.get(found.object.index()) else { return };
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

    fn defer_ifunc(
        &mut self,
        object: ObjectId,
        definer: &Object<'a>,
        resolver: Addr,
        kind: Kind,
        operands: Operands,
    ) -> Result<()> {
        if !definer.image.holds(resolver) {
            let words = "IFUNC resolver outside its object";
            return Err(self.error(definer, Problem::Words(words)));
        }
        self.deferred.pending.push(Pending { object, resolver, kind, operands });
        Ok(())
    }

    fn defer_copy(
        &mut self,
        id: ObjectId,
        object: &Object<'a>,
        relocation: Relocation,
        definition: &Definition,
        operands: Operands,
    ) -> Result<()> {
        let own = object.exports.symbols.get(relocation.symbol as usize).unwrap_or_default();
        let original = definition.symbol.size;
        if original > own.size {
            let name = Text(self.symbol_name(object, relocation.symbol));
            let program = Text(self.program);
            self.deferred.warnings.push(alloc::format!(
                "{program}: Symbol `{name}' has different size in shared object, consider \
                 re-linking"
            ));
        }
        let size = own.size.min(original);
        let source = Addr(operands.symbol);
        let definer = self.objects.get(definition.object.index());
        let readable = definer.is_some_and(|definer| {
            let vaddr = definer.image.bias.remove(source);
            definer.image.segments().any(|segment| segment.holds(vaddr, size))
        });
        if !readable {
            let words = "COPY relocation from outside the defining object";
            return Err(self.error(object, Problem::Words(words)));
        }
        let target = Addr(operands.place);
        self.deferred.copies.push(Copy { object: id, source, target, size });
        Ok(())
    }

    /// Fills a TLS descriptor: the code to call and its argument (TLSDESC for x86-64, static model).
    fn descriptor(
        &self,
        object: &Object<'a>,
        place: Addr,
        defined: bool,
        operands: &Operands,
        words: &mut Words,
    ) -> Result<()> {
        let (entry, argument) = if defined {
            let offset = operands.symbol.wrapping_add(operands.addend);
            (self.descriptors.fixed, offset.wrapping_sub(operands.tls_offset))
        } else {
            (self.descriptors.undefined, operands.addend)
        };
        words
            .write(place, entry.0)
            .and_then(|()| words.write(Addr(place.0.wrapping_add(8)), argument))
            .map_err(|outside| self.outside(object, outside))
    }

    fn symbol_name(&self, object: &Object<'a>, index: u32) -> &'a [u8] {
        let symbol = object.exports.symbols.get(index as usize).unwrap_or_default();
        object.exports.strings.get(symbol.name).unwrap_or_default()
    }

    fn error(&self, object: &Object<'_>, problem: Problem) -> Error {
        Error::new(object.display_name(self.program), problem)
    }

    fn undefined(&self, object: &Object<'_>, undefined: &Undefined<'_>) -> Error {
        let problem = Problem::UndefinedSymbol {
            name: undefined.name.to_vec(),
            version: undefined.version.map(|version| version.name.to_vec()),
        };
        let count = self.objects.len();
        self.error(object, problem).with(alloc::format!("searched in {count} loaded objects"))
    }

    fn outside(&self, object: &Object<'_>, Outside(place): Outside) -> Error {
        let vaddr = object.image.bias.remove(place);
        let words = "relocation of a place that is not writable";
        self.error(object, Problem::Words(words)).with(alloc::format!("offset {vaddr}"))
    }
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
