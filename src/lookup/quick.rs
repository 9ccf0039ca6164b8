//! The usual case of a lookup, in one piece: nothing about the first definition that is found is unusual. All else is
//! left to [`Scope`](super::scope::Scope), whose answer this never contradicts.

use core::num::NonZero;

use super::prepared::Prepared;
use super::run::{Member, Run};
use super::{Class, Reference, one, scan};
use crate::addr::{Addr, ObjectId};
use crate::elf::dynamic::Flags;
use crate::elf::symbol::Binding;
use crate::object::{Object, Role};

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
    match reference(object, prepared, class) {
        Some(reference) => find(runs, &reference, dynamic_weak),
        None => Quick::Unusual,
    }
}

/// What a candidate answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Who defines it.
    pub definer: ObjectId,
    /// Where it is in the process.
    pub address: NonZero<u64>,
}

/// The address that the first candidate gives to a reference by `name`, which `object` makes through symbol `index`, if
/// any kind of relocation would get this one, with no rule to be gone through.
#[inline(always)]
pub(super) fn answer(
    object: &Object<'_>,
    (index, name): (u32, &[u8]),
    (definer, candidate): (&Member<'_, '_>, u32),
) -> Option<Answer> {
    let names = &definer.names;
    let symbol = names.symbols.get(candidate as usize)?;
    // A program's own copy of what is protected is worth a warning.
    if !symbol.is_plain()
        || (symbol.is_protected() && object.role == Role::Program)
        || !scan::is(names.strings.tail(symbol.name)?, name)
    {
        return None;
    }
    if !names.versyms.is_empty() {
        let wanted = object.exports.wanted_version(index);
        if !one::has_version(names, wanted, candidate) {
            return None;
        }
    }
    let address = NonZero::new(definer.bias.apply(symbol.vaddr()).0)?;
    Some(Answer { definer: definer.id, address })
}

/// The reference that a relocation of `object` makes, unless it binds inside the object.
#[inline(always)]
fn reference<'a>(
    object: &Object<'a>,
    prepared: &Prepared<'a>,
    class: Class,
) -> Option<Reference<'a>> {
    let Prepared { index, symbol, name, hash } = *prepared;
    if !symbol.binds_elsewhere() || may_be_own(object, hash) {
        return None;
    }
    Some(Reference { name, hash, version: object.exports.wanted_version(index), class })
}

/// Whether an object that is searched before all others for what it refers to itself may define a name with this hash.
#[inline(always)]
pub(super) fn may_be_own(object: &Object<'_>, hash: u32) -> bool {
    object.dynamic.flags.contains(Flags::SYMBOLIC) && object.exports.hash.may_hold(hash)
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

/// Looks a reference up in `runs`. Under LD_DYNAMIC_WEAK nothing is usual.
#[inline(always)]
#[must_use]
pub fn find(runs: &[&Run<'_, '_>], reference: &Reference<'_>, dynamic_weak: bool) -> Quick {
    if dynamic_weak || reference.class.skip_program {
        return Quick::Unusual;
    }
    for run in runs {
        if let Some(quick) = run.search_here(reference, |member, index| judge(member, index)) {
            return quick;
        }
    }
    Quick::Absent
}
