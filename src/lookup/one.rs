//! A lookup inside one object: candidates by hash, then name, kind and version.

use super::{Reference, scan};
use crate::elf::hash::{HashTable, sysv};
use crate::elf::symbol::Symbol;
use crate::elf::version::{Version, Versym};
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
    if !exports.hash.may_hold(reference.hash) {
        return None;
    }
    let index = find_in(&exports.hash, &exports.names(), reference)?;
    Some((index, exports.symbols.get(index as usize)?))
}

/// The index alone, in an object whose hash table and names stand apart, and whose filter has let the hash through:
/// most do not, so that asking them is the caller's.
#[inline(never)]
#[must_use]
pub fn find_in(
    hash: &HashTable<'_>,
    names: &Names<'_, '_>,
    reference: &Reference<'_>,
) -> Option<u32> {
    find_here(hash, names, reference)
}

/// The same as a part of its caller, for lookups whose time counts.
#[inline(always)]
#[must_use]
pub fn find_here(
    hash: &HashTable<'_>,
    names: &Names<'_, '_>,
    reference: &Reference<'_>,
) -> Option<u32> {
    let mut choice = Choice::new(names, reference);
    let found = match hash {
        HashTable::None => None,
        HashTable::Gnu(table) => table.find(reference.hash, |index| choice.offer(index)),
        HashTable::Sysv(table) => table.find(sysv(reference.name), |index| choice.offer(index)),
    };
    found.or_else(|| choice.last_resort())
}

/// The choice among candidates of one object, which are offered in table order.
pub struct Choice<'c, 'm, 'a, 'n> {
    names: &'c Names<'m, 'a>,
    reference: &'c Reference<'n>,
    first_default: Option<u32>,
    defaults: u32,
}

impl<'c, 'm, 'a, 'n> Choice<'c, 'm, 'a, 'n> {
    /// Nothing was offered yet.
    #[inline]
    #[must_use]
    pub const fn new(names: &'c Names<'m, 'a>, reference: &'c Reference<'n>) -> Self {
        Self { names, reference, first_default: None, defaults: 0 }
    }

    /// Looks at a candidate; `Some` ends the choice.
    #[inline(always)]
    pub fn offer(&mut self, index: u32) -> Option<u32> {
        if !is_named(self.names, self.reference, index) {
            return None;
        }
        match fit(self.names, self.reference.version, self.reference.class.newest, index) {
            Fit::Yes => Some(index),
            Fit::No => None,
            Fit::IfAlone => {
                self.defaults += 1;
                self.first_default.get_or_insert(index);
                None
            }
        }
    }

    /// What is left when no candidate was right: a default version that has no rival.
    #[inline]
    #[must_use]
    pub fn last_resort(&self) -> Option<u32> {
        self.first_default.filter(|_| self.defaults == 1)
    }
}

/// Whether a candidate is the object's answer whatever others there are.
#[inline(always)]
#[must_use]
pub fn is_match(names: &Names<'_, '_>, reference: &Reference<'_>, index: u32) -> bool {
    is_named(names, reference, index)
        && matches!(fit(names, reference.version, reference.class.newest, index), Fit::Yes)
}

/// Whether a candidate that has the reference's name also has its version, whatever others there are.
#[inline(never)]
#[must_use]
pub fn has_version(names: &Names<'_, '_>, wanted: Option<Version<'_>>, index: u32) -> bool {
    matches!(fit(names, wanted, false, index), Fit::Yes)
}

/// Whether the symbol defines something under the reference's name.
#[inline(always)]
fn is_named(names: &Names<'_, '_>, reference: &Reference<'_>, index: u32) -> bool {
    let Some(symbol) = names.symbols.get(index as usize) else { return false };
    let Some(tail) = names.strings.tail(symbol.name) else { return false };
    symbol.can_define(reference.class.definition_only) && scan::is(tail, reference.name)
}

/// The version rules of GNU symbol versioning.
#[inline(always)]
fn fit(names: &Names<'_, '_>, wanted: Option<Version<'_>>, newest: bool, index: u32) -> Fit {
    let Some(versym) = names.versyms.get(index as usize).map(Versym) else {
        // The object has no versions: whatever it defines will do.
        return Fit::Yes;
    };
    let Some(wanted) = wanted else {
        if names.versions.is_empty() {
            // Versions do not count here.
            return if versym.is_hidden() { Fit::No } else { Fit::Yes };
        }
        // The object that refers has no versions. It was linked against the first version that the library ever had:
        // index 2 comes right after the two reserved ones.
        let last_accepted = if newest { 1 } else { 2 };
        return match versym.index() <= last_accepted {
            true => Fit::Yes,
            false if versym.is_hidden() => Fit::No,
            false => Fit::IfAlone,
        };
    };
    let found = names.versions.get(versym.index());
    let same = found.hash == wanted.hash && is_same(found.name, wanted.name);
    let unversioned = !wanted.hidden && found.hash == 0 && !versym.is_hidden();
    if same || unversioned { Fit::Yes } else { Fit::No }
}

/// Whether two names are equal; within an object they mostly stand in one place.
#[inline]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && (core::ptr::eq(a, b) || a == b)
}
