//! A lookup inside one object: candidates by hash, then name, kind and version.

use super::Reference;
use crate::elf::hash::{HashTable, sysv};
use crate::elf::symbol::Symbol;
use crate::elf::version::Versym;
use crate::object::{Exports, Names};

/// A symbol that matched, with its index.
pub type Match = (u32, Symbol);

/// How a symbol's version answers a reference.
enum Fit {
    Yes,
    No,
    /// A default version where no version was asked for: good if it is the only one.
    IfAlone,
}

/// Finds `reference` among the definitions of one object.
#[inline]
#[must_use]
pub fn find(exports: &Exports<'_>, reference: &Reference<'_>) -> Option<Match> {
    find_in(&exports.hash, &exports.names(), reference)
}

/// The same for an object whose hash table and names stand apart.
#[inline]
#[must_use]
pub fn find_in(
    hash: &HashTable<'_>,
    names: &Names<'_, '_>,
    reference: &Reference<'_>,
) -> Option<Match> {
    match hash {
        HashTable::None => None,
        HashTable::Gnu(table) if !table.may_hold(reference.hash) => None,
        HashTable::Gnu(table) => pick(names, reference, table.matches(reference.hash)),
        HashTable::Sysv(table) => pick(names, reference, table.bucket(sysv(reference.name))),
    }
}

/// Chooses among candidates of one object, given in table order.
#[inline]
pub fn pick(
    names: &Names<'_, '_>,
    reference: &Reference<'_>,
    candidates: impl Iterator<Item = u32>,
) -> Option<Match> {
    let mut defaults = 0;
    let mut first_default = None;
    for index in candidates {
        let Some(symbol) = names.symbols.get(index as usize) else { continue };
        if !symbol.can_define(reference.class.definition_only)
            || !names.strings.is(symbol.name, reference.name)
        {
            continue;
        }
        match fit(names, reference, index) {
            Fit::Yes => return Some((index, symbol)),
            Fit::No => {}
            Fit::IfAlone => {
                defaults += 1;
                first_default.get_or_insert((index, symbol));
            }
        }
    }
    first_default.filter(|_| defaults == 1)
}

/// The version rules of GNU symbol versioning.
#[inline]
fn fit(names: &Names<'_, '_>, reference: &Reference<'_>, index: u32) -> Fit {
    let Some(versym) = names.versyms.get(index as usize).map(Versym) else {
        // The object has no versions: whatever it defines will do.
        return Fit::Yes;
    };
    let Some(wanted) = reference.version else {
        // The object that refers has no versions. It was linked against the first version that the library ever had:
        // index 2 comes right after the two reserved ones.
        let last_accepted = if reference.class.newest { 1 } else { 2 };
        return match versym.index() <= last_accepted {
            true => Fit::Yes,
            false if versym.is_hidden() => Fit::No,
            false => Fit::IfAlone,
        };
    };
    let found = names.versions.get(versym.index());
    let same = found.hash == wanted.hash && found.name == wanted.name;
    let unversioned = !wanted.hidden && found.hash == 0 && !versym.is_hidden();
    if same || unversioned { Fit::Yes } else { Fit::No }
}
