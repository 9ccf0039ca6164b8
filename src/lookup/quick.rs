//! The usual case of a lookup, in one piece: nothing about the first definition that is found is unusual. All else is
//! left to [`Scope`](super::scope::Scope), whose answer this never contradicts.

use super::ahead::First;
use super::prepared::Prepared;
use super::run::{Member, Run};
use super::{Class, Reference};
use crate::addr::{Addr, ObjectId};
use crate::elf::dynamic::Flags;
use crate::elf::symbol::Binding;
use crate::object::Object;

/// A definition, by what references need of it. Not its symbol: carried about in memory, small fields cost more than
/// the look itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// Who defines it.
    pub definer: ObjectId,
    /// The index of the symbol there.
    pub index: u32,
    /// Where it is in the process; none where the reference has to ask what the symbol is: an IFUNC, or a thread-local
    /// variable.
    pub address: Option<Addr>,
}

/// What a quick look has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quick {
    /// The definition.
    Found(Found),
    /// There is none.
    Absent,
    /// The rules have to be gone through one by one.
    Unusual,
}

/// Looks up what a relocation of `object` refers to; its first candidate may be known. What binds inside its object is
/// not usual.
#[inline(always)]
#[must_use]
pub fn of(
    object: &Object<'_>,
    prepared: &Prepared<'_>,
    class: Class,
    known: Option<First>,
    runs: &[&Run<'_, '_>],
    dynamic_weak: bool,
) -> Quick {
    let Prepared { index, symbol, name, hash } = *prepared;
    let is_symbolic = object.dynamic.flags.contains(Flags::SYMBOLIC);
    if symbol.binds_locally() || symbol.is_protected() || is_symbolic {
        return Quick::Unusual;
    }
    let version = object.exports.wanted_version(index);
    find(runs, &Reference { name, hash, version, class }, known, dynamic_weak)
}

/// What it means that an object defines the name.
#[inline(always)]
fn judge(member: &Member<'_, '_>, index: u32) -> Option<Quick> {
    let symbol = member.names.symbols.get(index as usize)?;
    let is_usual = matches!(symbol.binding(), Binding::Global | Binding::Weak);
    if !is_usual || symbol.is_hidden() {
        return Some(Quick::Unusual);
    }
    let is_plain = !symbol.is_ifunc() && !symbol.is_tls();
    let address = is_plain.then(|| symbol.address(member.bias));
    Some(Quick::Found(Found { definer: member.id, index, address }))
}

/// Looks a reference up in `runs`, whose first candidate may be known. Under LD_DYNAMIC_WEAK nothing is usual.
#[inline(always)]
#[must_use]
pub fn find(
    runs: &[&Run<'_, '_>],
    reference: &Reference<'_>,
    known: Option<First>,
    dynamic_weak: bool,
) -> Quick {
    if dynamic_weak || reference.class.skip_program {
        return Quick::Unusual;
    }
    for (at, run) in runs.iter().enumerate() {
        let first = match known {
            Some(known) if at < known.run => None,
            Some(known) if at == known.run => Some(known.entry),
            _ => run.first(reference.hash),
        };
        if let Some(quick) = run.search_here(reference, first, |member, index| judge(member, index))
        {
            return quick;
        }
    }
    Quick::Absent
}
