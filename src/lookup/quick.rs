//! The usual case of a lookup, in one piece: nothing about the first definition that is found is unusual. All else is
//! left to [`Scope`](super::scope::Scope), whose answer this never contradicts.

use super::prepared::Prepared;
use super::run::{Member, Run};
use super::{Class, Reference};
use crate::addr::ObjectId;
use crate::elf::dynamic::Flags;
use crate::elf::symbol::Binding;
use crate::object::Object;

/// What a quick look has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quick {
    /// Who defines it, and the index of the symbol there. Not the symbol: carried about in memory, its small fields
    /// cost more than the look itself.
    Found(ObjectId, u32),
    /// There is none.
    Absent,
    /// The rules have to be gone through one by one.
    Unusual,
}

/// Looks up what a relocation of `object` refers to. What binds inside its object is not usual.
#[inline(always)]
#[must_use]
pub fn of(
    object: &Object<'_>,
    prepared: &Prepared<'_>,
    class: Class,
    runs: &[&Run<'_, '_>],
    dynamic_weak: bool,
) -> Quick {
    let Prepared { index, symbol, name, hash } = *prepared;
    let is_symbolic = object.dynamic.flags.contains(Flags::SYMBOLIC);
    if symbol.binds_locally() || symbol.is_protected() || is_symbolic {
        return Quick::Unusual;
    }
    let version = object.exports.wanted_version(index);
    find(runs, &Reference { name, hash, version, class }, dynamic_weak)
}

/// Looks a reference up in `runs`. Under LD_DYNAMIC_WEAK nothing is usual.
#[inline(always)]
#[must_use]
pub fn find(runs: &[&Run<'_, '_>], reference: &Reference<'_>, dynamic_weak: bool) -> Quick {
    if dynamic_weak || reference.class.skip_program {
        return Quick::Unusual;
    }
    let accept = |member: &Member<'_, '_>, index| {
        let symbol = member.names.symbols.get(index as usize)?;
        let is_usual = matches!(symbol.binding(), Binding::Global | Binding::Weak);
        Some(match is_usual && !symbol.is_hidden() {
            true => Quick::Found(member.id, index),
            false => Quick::Unusual,
        })
    };
    for run in runs {
        if let Some(quick) = run.search_here(reference, accept) {
            return quick;
        }
    }
    Quick::Absent
}
