//! `bindings`: which definition every symbolic reference gets when all are bound at start.
//!
//! The loader's own references are not among them: rld has none.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use rld::addr::ObjectId;
use rld::arch::x86_64::RelocationKind as Kind;
use rld::elf::symbol::Binding as SymbolBinding;
use rld::elf::version::Version;
use rld::error::Error;
use rld::linkmap::LinkMap;
use rld::lookup::Class;
use rld::lookup::prepared::Prepared;
use rld::lookup::run::Run;
use rld::lookup::scope::{Scope, Unique, Uniqueness};
use rld::object::{Definition, Object, Role};
use rld::reloc::Relocation;
use rld::text::Text;

use super::cli::Arguments;
use super::start::Start;
use super::{Failure, Verdict};

pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<Verdict, Failure> {
    let start = Start::new(arguments.first(), arguments)?;
    refuse_missing(&start)?;
    let bindings = bind(&start)?;
    let is_wanted = |binding: &&Binding| match arguments.operand(1).map(OsStr::as_bytes) {
        Some(name) => name == binding.name || name == binding.reference().to_string().as_bytes(),
        None => true,
    };
    let mut count = Count::default();
    for binding in bindings.iter().filter(is_wanted) {
        count.add(binding);
        writeln!(out, "{}", Line { start: &start, binding })?;
    }
    writeln!(out, "{count}")?;
    Ok(if count.undefined == 0 { Verdict::Good } else { Verdict::Bad })
}

/// Without all objects the scope is not the program's, and what it shows is not true.
fn refuse_missing(start: &Start) -> Result<(), Failure> {
    let words = |error: &Error| match Failure::from(error.clone()) {
        Failure::Input(words) => words,
        other => other.to_string(),
    };
    match start.missing().map(words).collect::<Vec<_>>() {
        missing if missing.is_empty() => Ok(()),
        missing => Err(Failure::Input(missing.join("\nrld-inspect: "))),
    }
}

/// One reference and its definition.
struct Binding {
    requester: ObjectId,
    name: &'static [u8],
    version: Option<Version<'static>>,
    /// It may stay undefined.
    weak: bool,
    /// It is the source of a COPY relocation.
    copy: bool,
    definition: Option<Definition>,
}

impl Binding {
    fn reference(&self) -> Reference<'_> {
        Reference(self)
    }
}

/// A binding's left side: the symbol and its version.
struct Reference<'b>(&'b Binding);

impl fmt::Display for Reference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Text(self.0.name))?;
        self.0.version.map_or(Ok(()), |version| write!(f, "@{}", Text(version.name)))
    }
}

/// A reference through symbol `index`, made by a relocation that asks for `class`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Use {
    index: u32,
    definition_only: bool,
    copy: bool,
}

impl Use {
    /// `None` where the relocation names no symbol, or a type that does not occur in programs.
    fn of(relocation: Relocation) -> Option<Self> {
        let kind = Kind::from_number(relocation.kind)?;
        let symbolic = !matches!(kind, Kind::None | Kind::Relative | Kind::IRelative);
        (symbolic && relocation.symbol != 0).then_some(Self {
            index: relocation.symbol,
            definition_only: kind.needs_definition(),
            copy: kind == Kind::Copy,
        })
    }

    const fn class(self) -> Class {
        Class { definition_only: self.definition_only, skip_program: self.copy, newest: false }
    }
}

/// The uses of an object in the order of its relocations, each once.
fn uses(object: &Object<'static>) -> Vec<Use> {
    let mut seen = HashSet::new();
    let relocations = object.relocations.rela.iter().chain(object.relocations.plt.iter());
    relocations.filter_map(Use::of).filter(|new| seen.insert(*new)).collect()
}

/// Binds all references, in the order in which the loader relocates objects: dependencies first.
fn bind(start: &Start) -> Result<Vec<Binding>, Error> {
    let objects: Vec<_> = start
        .map
        .in_search_order()
        .filter(|(_, object)| object.role != Role::Loader)
        .map(|(id, object)| (id, object, uses(object)))
        .collect();
    let references = objects.iter().map(|(_, _, uses)| uses.len()).sum();
    let run = Run::new(start.map.in_search_order(), references);
    let (runs, mut unique) = ([&run], Unique::new());
    let mut scope = Scope::new(&runs, start.dynamic_weak, Uniqueness::Settles(&mut unique));
    let mut all = Vec::with_capacity(objects.len());
    for (id, object, uses) in objects.iter().rev() {
        all.push(bind_object(&mut scope, &start.map, *id, object, uses)?);
    }
    Ok(all.into_iter().rev().flatten().collect())
}

fn bind_object<'m>(
    scope: &mut Scope<'_, 'm, 'static>,
    map: &LinkMap<'static>,
    requester: ObjectId,
    object: &'m Object<'static>,
    uses: &[Use],
) -> Result<Vec<Binding>, Error> {
    let mut bindings: Vec<Binding> = Vec::new();
    // A call and an address mostly lead to the same place, and need no second line then.
    let mut seen = HashSet::new();
    for reference in uses {
        let prepared = Prepared::new(object, reference.index).ok_or_else(|| {
            let words = "relocation names a symbol outside the symbol table";
            Error::words(object.name.to_bytes(), words)
        })?;
        if prepared.symbol.binds_locally() {
            continue;
        }
        let found = scope.resolve(&map.objects, requester, &prepared, reference.class());
        let definition = found.unwrap_or_default();
        let place = definition.map(|definition| (definition.object, definition.symbol.value));
        if seen.insert((reference.index, reference.copy, place)) {
            bindings.push(Binding {
                requester,
                name: prepared.name,
                version: object.exports.wanted_version(reference.index),
                weak: prepared.symbol.binding() == SymbolBinding::Weak,
                copy: reference.copy,
                definition,
            });
        }
    }
    Ok(bindings)
}

/// A binding as one line.
struct Line<'l> {
    start: &'l Start,
    binding: &'l Binding,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, binding } = self;
        write!(f, "{}: {} -> ", start.name(binding.requester), binding.reference())?;
        let Some(Definition { object, symbol, .. }) = binding.definition else {
            return f.write_str(if binding.weak { "nothing [weak]" } else { "UNDEFINED" });
        };
        write!(f, "{}", start.name(object))?;
        if symbol.is_absolute() {
            write!(f, " {:#x} [absolute]", symbol.value)?;
        } else {
            write!(f, " +{:#x}", symbol.value)?;
        }
        let notes = [
            (binding.copy, " [copied]"),
            (symbol.is_ifunc(), " [IFUNC]"),
            (symbol.is_tls(), " [TLS]"),
            (symbol.is_undefined(), " [PLT entry]"),
        ];
        notes.iter().filter(|(holds, _)| *holds).try_for_each(|(_, note)| f.write_str(note))
    }
}

/// The summary.
#[derive(Default)]
struct Count {
    requesters: HashSet<ObjectId>,
    elsewhere: usize,
    inside: usize,
    weak: usize,
    undefined: usize,
}

impl Count {
    fn add(&mut self, binding: &Binding) {
        self.requesters.insert(binding.requester);
        match binding.definition {
            Some(definition) if definition.object == binding.requester => self.inside += 1,
            Some(_) => self.elsewhere += 1,
            None if binding.weak => self.weak += 1,
            None => self.undefined += 1,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requesters, elsewhere, inside, weak, undefined } = self;
        write!(
            f,
            "{} bindings of {} objects: {elsewhere} to another object, {inside} inside, \
             {weak} weak to nothing, {undefined} undefined",
            elsewhere + inside + weak + undefined,
            requesters.len()
        )
    }
}
