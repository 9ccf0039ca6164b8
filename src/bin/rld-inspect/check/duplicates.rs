//! Symbols that several libraries of a program define.
//!
//! Only strong definitions of functions and variables count: weak and unique ones are C++'s, which has them in each
//! library that needs them, and libc's, which are meant to be replaced.

use std::collections::{BTreeMap, HashMap};

use rld::addr::ObjectId;
use rld::elf::symbol::{Binding, Type};
use rld::elf::version::Versym;
use rld::object::{Object, Role};
use rld::text::Text;

use super::finding::Finding;
use super::finding::Kind::DuplicateDefinition;
use super::finding::Severity::Note;
use super::finding::some_of;
use crate::inspect::start::Start;

/// What link editors define in every object.
const USUAL: [&[u8]; 8] = [
    b"_init",
    b"_fini",
    b"_edata",
    b"_end",
    b"__bss_start",
    b"__data_start",
    b"data_start",
    b"_IO_stdin_used",
];

type Version = (u32, &'static [u8]);

/// A finding for each two libraries.
pub fn find(start: &Start) -> Vec<Finding> {
    let mut first: HashMap<&[u8], Vec<(Version, ObjectId)>> = HashMap::new();
    let mut pairs: BTreeMap<(ObjectId, ObjectId), Vec<String>> = BTreeMap::new();
    let libraries = start.map.in_search_order().filter(|(_, it)| it.role == Role::Library);
    for (id, library) in libraries {
        for (name, version) in strong(library) {
            let known = first.entry(name).or_default();
            // A definition without a version answers for all.
            let same = |other: &Version| *other == version || other.0 == 0 || version.0 == 0;
            match known.iter().find(|(other, owner)| *owner != id && same(other)) {
                Some((_, owner)) => {
                    let names = pairs.entry((id, *owner)).or_default();
                    names.push(Text(name).to_string());
                }
                None => known.push((version, id)),
            }
        }
    }
    let finding = |((later, first), mut names): ((ObjectId, ObjectId), Vec<String>)| {
        names.sort_unstable();
        let by = start.name(first);
        let message = format!("defines what {by} defines, too: {}", some_of(&names));
        Finding::new(start.path(later), (Note, DuplicateDefinition), start.path(first), message)
    };
    pairs.into_iter().map(finding).collect()
}

/// The strong definitions of an object, with their versions.
fn strong(object: &Object<'static>) -> impl Iterator<Item = (&'static [u8], Version)> {
    let exports = &object.exports;
    let symbols = (0usize..).zip(exports.symbols.slice(0, exports.count()).iter());
    let strong = symbols.filter(|(_, symbol)| {
        symbol.can_define(true)
            && symbol.binding() == Binding::Global
            && !symbol.is_hidden()
            // A version is an absolute symbol of its own.
            && !symbol.is_absolute()
            && matches!(symbol.symbol_type(), Type::Function | Type::Object | Type::Tls)
    });
    strong.filter_map(|(index, symbol)| {
        let name = exports.strings.get(symbol.name)?;
        let versym = exports.versyms.get(index).map(Versym);
        let version = versym.map(|it| exports.versions.get(it.index())).unwrap_or_default();
        (!USUAL.contains(&name)).then_some((name, (version.hash, version.name)))
    })
}
