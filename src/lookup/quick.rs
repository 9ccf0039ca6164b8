//! The usual case of a lookup, for when one is made at a time: nothing about the first definition that is found is
//! unusual. Everything else is left to [`Scope`](super::scope::Scope), whose answer this never contradicts.

use super::Reference;
use super::run::{Member, Run};
use crate::elf::symbol::Binding;
use crate::object::Definition;

/// What a quick look has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quick {
    /// The definition.
    Found(Definition),
    /// There is none.
    Absent,
    /// The rules have to be gone through one by one.
    Unusual,
}

/// Looks a reference up in `runs`. Under LD_DYNAMIC_WEAK nothing is usual.
#[inline]
#[must_use]
pub fn find(runs: &[&Run<'_, '_>], reference: &Reference<'_>, dynamic_weak: bool) -> Quick {
    if dynamic_weak || reference.class.skip_program {
        return Quick::Unusual;
    }
    let accept = |member: &Member<'_, '_>, index| {
        let symbol = member.names.symbols.get(index as usize)?;
        let is_usual = matches!(symbol.binding(), Binding::Global | Binding::Weak);
        Some(match is_usual && !symbol.is_hidden() {
            true => Quick::Found(Definition { object: member.id, index, symbol }),
            false => Quick::Unusual,
        })
    };
    runs.iter().find_map(|run| run.search(reference, 0, accept)).unwrap_or(Quick::Absent)
}
