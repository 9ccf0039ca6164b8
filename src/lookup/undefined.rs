//! What is known about a reference that nothing defines: lines for the user.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::scope::Scope;
use crate::elf::version::{Versym, needs};
use crate::error::{Error, Problem};
use crate::linkmap::Objects;
use crate::near;
use crate::object::{Object, Role};
use crate::text::Text;

/// The version of what glibc's libraries have between themselves, which any build may change.
const PRIVATE: &[u8] = b"GLIBC_PRIVATE";
/// How many definitions are named.
const NAMED: usize = 4;
/// How many of the requester's libraries are.
const NEEDED: usize = 6;
/// How many similar names are shown.
const SIMILAR: usize = 3;
/// The most letters that may be wrong in one of those.
const WRONG: usize = 2;
/// How many letters are looked at in search of them: some hundredths of a second.
const WORK: usize = 1 << 24;

/// Who should have had the symbol, who has it under another version or out of reach, or else what has a similar name;
/// and where nothing of that is known, what was searched. All symbols of all objects are read: this is for those errors
/// after which nothing else is done.
#[must_use]
pub fn explain(
    mut error: Error,
    objects: &Objects<'_>,
    scope: &Scope<'_, '_, '_>,
    requester: &Object<'_>,
) -> Error {
    let Problem::UndefinedSymbol { name, version } = &error.problem else { return error };
    let (name, version) = (&**name, version.as_deref());
    let mut lines = Vec::new();
    if let Some(version) = version
        && let Some(library) = library_of(requester, version)
    {
        let is_private = version == PRIVATE;
        let (version, library) = (Text(version), Text(library));
        lines.push(alloc::format!("{version} is a version of {library}, which should define it"));
        if is_private {
            let requester = Text(&error.object);
            lines.push(alloc::format!(
                "it is for glibc's own libraries: {requester} and {library} are of different builds"
            ));
        }
    }
    let searched: BTreeSet<_> = scope.objects().collect();
    let others = objects.iter().filter(|(_, object)| object.role == Role::Library);
    let others = others.flat_map(|(id, object)| {
        definitions(object, name).map(move |defined| (id, object, defined))
    });
    let before = lines.len();
    lines.extend(others.take(NAMED).map(|(id, object, defined)| {
        let elsewhere = object.space != requester.space;
        let (object, name) = (Text(object.name.to_bytes()), Text(name));
        match defined {
            _ if elsewhere => {
                alloc::format!("{object} defines {name}, but is in another namespace")
            }
            _ if !searched.contains(&id) => {
                alloc::format!("{object} defines {name}, but was opened without RTLD_GLOBAL")
            }
            Some(defined) => alloc::format!("{object} defines {name}, version {}", Text(defined)),
            None => alloc::format!("{object} defines {name} without a version"),
        }
    }));
    if lines.len() == before {
        let near = similar(objects, name).into_iter();
        lines.extend(near.map(|(_, similar, object)| {
            alloc::format!("near miss: {} defines {}", Text(object), Text(similar))
        }));
    }
    if lines.is_empty() {
        let objects_searched = match searched.len() {
            1 => "1 object".into(),
            count => alloc::format!("{count} objects"),
        };
        lines.push(alloc::format!("searched in vain: {objects_searched}"));
        let needed = needed(objects, requester);
        lines.push(alloc::format!("{} itself needs {needed}", Text(&error.object)));
    }
    error.details = lines;
    error
}

/// The libraries that an object names itself, as they were found.
fn needed(objects: &Objects<'_>, object: &Object<'_>) -> String {
    let needed = object.needed.iter().filter_map(|&id| objects.get(id));
    let names = needed.map(|library| alloc::format!("{}", Text(library.name.to_bytes())));
    let names: Vec<_> = names.take(NEEDED).collect();
    match (names.is_empty(), object.needed.len() > NEEDED) {
        (true, _) => "no library".into(),
        (false, more) => names.join(", ") + if more { " …" } else { "" },
    }
}

/// Names of definitions that differ from `name` in few letters, with their objects: the nearest, those in the objects
/// that are searched first, as far as the work is allowed.
fn similar<'o>(objects: &'o Objects<'_>, name: &[u8]) -> Vec<(usize, &'o [u8], &'o [u8])> {
    let most = WRONG.min(name.len() / 3);
    let mut found: Vec<(usize, &[u8], &[u8])> = Vec::new();
    let mut work = WORK;
    for (_, object) in objects.iter().filter(|(_, object)| object.role == Role::Library) {
        for (_, own) in defined(object).filter(|(_, own)| own.len().abs_diff(name.len()) <= most) {
            let compared = near::may_be_within(most, own, name);
            let cost = if compared { own.len() * name.len() } else { own.len() + name.len() };
            let Some(left) = work.checked_sub(cost) else { return found };
            work = left;
            if !compared {
                continue;
            }
            let distance =
                near::distance(name, own).filter(|distance| (1..=most).contains(distance));
            let Some(distance) = distance.filter(|_| found.iter().all(|near| near.1 != own)) else {
                continue;
            };
            let at = found.partition_point(|near| near.0 <= distance);
            found.insert(at, (distance, own, object.name.to_bytes()));
            found.truncate(SIMILAR);
        }
    }
    found
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
    defined(object).filter(move |(_, own)| *own == name).map(|(index, _)| {
        let version = exports.versions.get(Versym(exports.versyms.get(index)?).index());
        (version.hash != 0).then_some(version.name)
    })
}

/// What an object defines for others: indices and names.
fn defined<'o>(object: &'o Object<'_>) -> impl Iterator<Item = (usize, &'o [u8])> {
    let exports = &object.exports;
    let symbols = exports.symbols.iter().take(exports.count()).enumerate();
    let symbols = symbols.filter(|(_, symbol)| !symbol.is_undefined() && !symbol.is_hidden());
    symbols.filter_map(|(index, symbol)| Some((index, exports.strings.name(symbol.name)?)))
}
