//! What is known about a reference that nothing defines: lines for the user.

use alloc::string::String;
use alloc::vec::Vec;

use crate::elf::version::{Versym, needs};
use crate::linkmap::Objects;
use crate::object::{Object, Role};
use crate::text::Text;

/// How many definitions are named.
const NAMED: usize = 4;

/// Who should have had the symbol, and who has it under another version. All symbols of all objects are read: this is
/// for those errors after which nothing else is done.
#[must_use]
pub fn explain(
    objects: &Objects<'_>,
    requester: &Object<'_>,
    name: &[u8],
    version: Option<&[u8]>,
) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(version) = version
        && let Some(library) = library_of(requester, version)
    {
        let (version, library) = (Text(version), Text(library));
        lines.push(alloc::format!("{version} is a version of {library}, which should define it"));
    }
    let others = objects.iter().filter(|(_, object)| object.role == Role::Library);
    let others = others.flat_map(|(_, object)| {
        definitions(object, name).map(move |defined| (object.name.to_bytes(), defined))
    });
    lines.extend(others.take(NAMED).map(|(object, defined)| {
        let (object, name) = (Text(object), Text(name));
        match defined {
            Some(defined) => alloc::format!("{object} defines {name}, version {}", Text(defined)),
            None => alloc::format!("{object} defines {name} without a version"),
        }
    }));
    lines
}

/// The library that an object wants a version from.
fn library_of<'a>(object: &Object<'a>, version: &[u8]) -> Option<&'a [u8]> {
    let mut library = None;
    let walked = needs(object.exports.verneed?, object.exports.strings, |_, need| {
        if need.version.name == version {
            library = Some(need.file);
        }
    });
    walked.ok().and(library)
}

/// The versions under which an object defines a name for others.
fn definitions<'o>(
    object: &'o Object<'_>,
    name: &'o [u8],
) -> impl Iterator<Item = Option<&'o [u8]>> {
    let exports = &object.exports;
    let symbols = exports.symbols.iter().take(exports.count()).zip(0..);
    let named = symbols.filter(move |(symbol, _)| {
        !symbol.is_undefined()
            && !symbol.is_hidden()
            && exports.strings.name(symbol.name).is_some_and(|own| own == name)
    });
    named.map(|(_, index)| {
        let version = exports.versions.get(Versym(exports.versyms.get(index)?).index());
        (version.hash != 0).then_some(version.name)
    })
}
