//! Which definition every symbolic reference gets when all are bound at start.
//!
//! The loader's own references are not among them: rld has none.

use std::fmt;

use rld::addr::ObjectId;
use rld::arch::x86_64::RelocationKind as Kind;
use rld::elf::hash::sysv;
use rld::elf::symbol::Binding as SymbolBinding;
use rld::elf::version::{Version, Versym};
use rld::error::Error;
use rld::linkmap::LinkMap;
use rld::lookup::prepared::Prepared;
use rld::lookup::run::Run;
use rld::lookup::scope::{Scope, Unique, Uniqueness};
use rld::lookup::{Class, Reference};
use rld::object::{Definition, Object};
use rld::reloc::Relocation;
use rld::text::Text;

use super::output::Bytes;
use super::start::Start;

/// One reference and its definition.
pub struct Binding {
    pub requester: ObjectId,
    /// The symbol's index in the requester.
    pub index: u32,
    pub name: &'static [u8],
    pub version: Option<Version<'static>>,
    /// It may stay undefined.
    pub weak: bool,
    /// It is the source of a COPY relocation.
    pub copy: bool,
    /// Only calls make it: it can wait for the first one.
    pub call: bool,
    pub definition: Option<Definition>,
}

impl Binding {
    /// Its left side.
    pub fn reference(&self) -> Versioned<'static> {
        Versioned { name: self.name, version: self.version.map(|version| version.name) }
    }

    /// Whether something is missing.
    pub const fn is_undefined(&self) -> bool {
        self.definition.is_none() && !self.weak
    }
}

/// A symbol and its version: `NAME@VERSION`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Versioned<'n> {
    pub name: &'n [u8],
    pub version: Option<&'n [u8]>,
}

impl<'n> Versioned<'n> {
    /// What a user means; a default version may be written with two @.
    pub fn parse(operand: &'n [u8]) -> Self {
        match operand.iter().position(|&byte| byte == b'@') {
            Some(at) => {
                let version = operand.get(at + 1..).unwrap_or_default();
                let version = version.strip_prefix(b"@").unwrap_or(version);
                Self { name: operand.get(..at).unwrap_or_default(), version: Some(version) }
            }
            None => Self { name: operand, version: None },
        }
    }

    /// Whether `other` is meant, of any version where none is said.
    pub fn means(&self, other: &Versioned<'_>) -> bool {
        self.name == other.name && (self.version.is_none() || self.version == other.version)
    }
}

impl fmt::Display for Versioned<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Text(self.name))?;
        self.version.map_or(Ok(()), |version| write!(f, "@{}", Text(version)))
    }
}

impl serde::Serialize for Versioned<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { name, version } = *self;
        let at = if version.is_some() { "@" } else { "" };
        serializer.collect_str(&format_args!(
            "{}{at}{}",
            Bytes(name),
            Bytes(version.unwrap_or_default())
        ))
    }
}

/// A reference through symbol `index`, made by a relocation that asks for `class`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Use {
    index: u32,
    class: Class,
    call: bool,
}

impl Use {
    /// `None` where the relocation names no symbol, or a type that does not occur in programs.
    fn of(relocation: Relocation) -> Option<Self> {
        let kind = Kind::from_number(relocation.kind)?;
        let symbolic = !matches!(kind, Kind::None | Kind::Relative | Kind::IRelative);
        (symbolic && relocation.symbol != 0).then_some(Self {
            index: relocation.symbol,
            class: Class::of(kind),
            call: kind == Kind::JumpSlot,
        })
    }
}

/// The uses of an object in the order of its relocations; those behind one another that are the same, once.
fn uses(object: &Object<'static>) -> Vec<Use> {
    let relocations = object.relocations.rela.iter().chain(object.relocations.plt.iter());
    let mut uses: Vec<_> = relocations.filter_map(Use::of).collect();
    uses.dedup();
    uses
}

/// Binds all references, in the order in which the loader relocates objects: dependencies first.
pub fn all(start: &Start) -> Result<Vec<Binding>, Error> {
    let objects: Vec<_> = start
        .map
        .in_search_order()
        .filter(|(_, object)| !object.role.starts_itself())
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
    let mut bindings: Vec<Binding> = Vec::with_capacity(uses.len());
    let inside = |index: &usize| *index < object.exports.symbols.len();
    let indices = uses.iter().map(|reference| reference.index as usize);
    let mut symbols = vec![Met::default(); indices.filter(inside).max().map_or(0, |last| last + 1)];
    for reference in uses {
        let prepared = Prepared::new(object, reference.index);
        let met = symbols.get_mut(reference.index as usize);
        let (Some(prepared), Some(met)) = (prepared, met) else {
            let words = "relocation names a symbol outside the symbol table";
            return Err(Error::words(object.name.to_bytes(), words));
        };
        let Class { definition_only, skip_program: copy, .. } = reference.class;
        let class = 1 << (u8::from(definition_only) + 2 * u8::from(copy));
        if met.classes & class != 0 || prepared.symbol.binds_locally() {
            continue;
        }
        met.classes |= class;
        let found = scope.resolve(&map.objects, requester, &prepared, reference.class);
        let definition = found.unwrap_or_default();
        let place = |it: Option<Definition>| it.map(|it| (it.object, it.symbol.value));
        // A call and an address mostly lead to the same place, and need no second line then.
        if let Some(last) = met.last.and_then(|last| bindings.get_mut(last))
            && last.copy == copy
            && place(last.definition) == place(definition)
        {
            last.call &= reference.call;
            continue;
        }
        met.last = Some(bindings.len());
        bindings.push(Binding {
            requester,
            index: reference.index,
            name: prepared.name,
            version: object.exports.wanted_version(reference.index),
            weak: prepared.symbol.binding() == SymbolBinding::Weak,
            copy,
            call: reference.call,
            definition,
        });
    }
    Ok(bindings)
}

/// What is known of a symbol of the object at hand.
#[derive(Clone, Copy, Default)]
struct Met {
    /// The classes that were looked up, a bit each.
    classes: u8,
    /// The place of its last binding.
    last: Option<usize>,
}

/// A symbol that an object offers to others, or would if it were visible.
pub struct Offer {
    pub definition: Definition,
    pub version: Option<&'static [u8]>,
    /// It is the default version of its name.
    pub default: bool,
}

/// What objects define under a name, in the order of the search and of their symbol tables.
pub fn offers(start: &Start, name: &[u8]) -> Vec<Offer> {
    let mut offers = Vec::new();
    for (id, object) in start.map.in_search_order() {
        let exports = &object.exports;
        for (index, symbol) in (0u32..).zip(exports.symbols.slice(0, exports.count()).iter()) {
            if symbol.can_define(false) && exports.strings.is(symbol.name, name) {
                let definition = Definition { object: id, index, symbol };
                offers.push(offer(object, definition));
            }
        }
    }
    offers
}

/// The names of all that is defined for others.
pub fn defined_names(start: &Start) -> impl Iterator<Item = &'static [u8]> {
    start.map.in_search_order().flat_map(|(_, object)| {
        let exports = &object.exports;
        let symbols = exports.symbols.slice(0, exports.count()).iter();
        let defined = symbols.filter(|symbol| symbol.can_define(true) && !symbol.is_hidden());
        defined.filter_map(|symbol| exports.strings.get(symbol.name))
    })
}

/// The version of a definition.
pub fn offer(object: &Object<'static>, definition: Definition) -> Offer {
    let exports = &object.exports;
    let versym = exports.versyms.get(definition.index as usize).map(Versym);
    let version = versym.map(|versym| exports.versions.get(versym.index()));
    let version = version.filter(|version| version.hash != 0).map(|version| version.name);
    let default = versym.is_some_and(|versym| !versym.is_hidden()) && version.is_some();
    Offer { definition, version, default }
}

/// Where a search for each offer's own name and version ends: at itself, if it is not shadowed.
pub fn winners(start: &Start, name: &[u8], offers: &[Offer]) -> Vec<Option<Definition>> {
    let run = Run::walking(start.map.in_search_order());
    let (runs, unique) = ([&run], Unique::new());
    let mut scope = Scope::new(&runs, start.dynamic_weak, Uniqueness::Settled(&unique));
    let search = |offer: &Offer| {
        let version = offer.version.map(|name| Version { hash: sysv(name), name, hidden: false });
        let definition_only = !offer.definition.symbol.is_undefined();
        let class = Class { definition_only, ..Class::default() };
        scope.find(&Reference::new(name, version, class), None)
    };
    offers.iter().map(search).collect()
}
