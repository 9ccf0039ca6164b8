//! What auditors are told of bindings (`la_symbind64`), and what they make of them.
//!
//! # Safety
//!
//! As for the folder: an auditor's own function is called with its cookies of both objects.
#![allow(unsafe_code)]

use core::ffi::{c_char, c_uint};

use super::super::locks::while_reading;
use super::super::process::Process;
use super::super::relocate::{Binding, Written};
use super::super::world::World;
use super::{Auditor, Symbol};
use crate::abi::glibc::layout::Layout;
use crate::abi::glibc::link_maps::LinkMaps;
use crate::addr::ObjectId;
use crate::linkmap::Objects;
use crate::object::{Definition, Object};
use crate::trace;

/// `LA_FLG_*`: what an auditor wants to know of an object.
const BIND_TO: u32 = 1;
const BIND_FROM: u32 = 2;
/// `LA_SYMB_*`: what is known of a binding, and what an auditor does not want to know of its calls.
pub const NO_ENTER: c_uint = 1;
/// `LA_SYMB_NOPLTEXIT`.
pub const NO_EXIT: c_uint = 2;
const DLSYM: c_uint = 8;
/// `LA_SYMB_ALTVALUE`.
pub const CHANGED: c_uint = 16;

/// How a reference comes to be bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// By the first call through a PLT whose calls may be traced.
    Call,
    /// Before anything runs.
    AtOnce,
    /// By dlsym(3).
    Dlsym,
}

/// A reference that is bound: who refers, who defines, and what.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// Who refers.
    pub from: ObjectId,
    /// Who defines it.
    pub definer: ObjectId,
    /// The symbol's index.
    pub index: u32,
    /// The symbol; its value is the address.
    pub symbol: Symbol,
    /// Its name, in the definer's memory.
    pub name: *const c_char,
}

impl Bound {
    /// A binding to an address; `None` if the definer is corrupt.
    #[must_use]
    pub fn new(
        from: ObjectId,
        found: &Definition,
        definer: &Object<'_>,
        address: u64,
    ) -> Option<Self> {
        let Definition { object, index, symbol } = *found;
        definer.exports.strings.get(symbol.name)?;
        let (info, other, section) = symbol.raw();
        let name = definer.exports.strings.place(symbol.name).cast();
        let (value, size) = (address, symbol.size);
        let symbol = Symbol { name: symbol.name, info, other, section, value, size };
        Some(Self { from, definer: object, index, symbol, name })
    }

    /// An auditor's cookies of both objects, and what it wants to know of them.
    #[must_use]
    pub fn cookies(
        &self,
        layout: &Layout,
        maps: &LinkMaps,
        auditor: &Auditor,
    ) -> ([*mut u64; 2], [u32; 2]) {
        let both = [self.from, self.definer];
        (
            both.map(|id| maps.cookie(layout, id, auditor.index)),
            both.map(|id| maps.audit_flags(layout, id, auditor.index)),
        )
    }
}

/// What auditors have made of a binding.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// The address.
    pub address: u64,
    /// `LA_SYMB_*`, as the last auditor has left them.
    pub flags: c_uint,
    /// Two bits for each auditor: it does not want to know of calls, or of their ends.
    pub quiet: u64,
}

/// Nobody wants to know of the ends of calls.
pub const NO_EXITS: u64 = 0xaaaa_aaaa_aaaa_aaaa;

/// The bits of an auditor.
#[must_use]
pub fn quiet_bits(auditor: &Auditor, flags: c_uint) -> u64 {
    u64::from(flags & (NO_ENTER | NO_EXIT)).checked_shl(2 * u32::from(auditor.index)).unwrap_or(0)
}

/// Tells of a binding. `cookies` are an auditor's, of both objects.
pub fn tell(
    watching: &[Auditor],
    cookies: impl Fn(&Auditor) -> ([*mut u64; 2], [u32; 2]),
    bound: &Bound,
    how: How,
) -> Verdict {
    let mut symbol = bound.symbol;
    let mut verdict = Verdict { address: symbol.value, flags: 0, quiet: 0 };
    for auditor in watching {
        let ([from, to], [from_flags, to_flags]) = cookies(auditor);
        let (from_wanted, to_wanted) = (from_flags & BIND_FROM != 0, to_flags & BIND_TO != 0);
        let wanted = match how {
            How::Dlsym => from_wanted || to_wanted,
            How::Call | How::AtOnce => from_wanted && to_wanted,
        };
        if !wanted || from.is_null() || to.is_null() {
            verdict.quiet |= quiet_bits(auditor, NO_ENTER | NO_EXIT);
            continue;
        }
        if let Some(function) = auditor.functions.symbind {
            verdict.flags |= match how {
                How::Call => 0,
                How::AtOnce => NO_ENTER | NO_EXIT,
                How::Dlsym => DLSYM,
            };
            let (index, flags) = (bound.index, &raw mut verdict.flags);
            trace::flush();
            // SAFETY: as this file's head says.
            let value = unsafe { function(&raw mut symbol, index, from, to, flags, bound.name) };
            if value != symbol.value {
                symbol.value = value;
                verdict.flags |= CHANGED;
            }
        }
        verdict.quiet |= quiet_bits(auditor, verdict.flags);
    }
    verdict.address = symbol.value;
    verdict
}

/// What a name that dlsym(3) has found stands for. `caller` is an address in the code that asks.
#[must_use]
pub fn by_name(process: &Process, caller: u64, found: &Definition, address: u64) -> u64 {
    let place = process.find_code(caller);
    let prepared = while_reading(|| {
        let world = process.world();
        let from = place.map_or(world.map.program(), |place| place.object);
        let watching = process.auditors.of(world.life(from)?.space);
        let bound = Bound::new(from, found, world.map.get(found.object)?, address)?;
        Some((watching, bound))
    });
    match prepared.zip(process.layout()) {
        Some(((watching, bound), layout)) => {
            let cookies = |auditor: &Auditor| current_cookies(process, layout, &bound, auditor);
            tell(watching, cookies, &bound, How::Dlsym).address
        }
        None => address,
    }
}

/// Cookies in the current world. They stay while both objects do.
#[must_use]
pub fn current_cookies(
    process: &Process,
    layout: &Layout,
    bound: &Bound,
    auditor: &Auditor,
) -> ([*mut u64; 2], [u32; 2]) {
    while_reading(|| bound.cookies(layout, &process.world().link_maps, auditor))
}

/// Tells of functions that were bound before anything runs, and writes what auditors want instead.
pub fn at_once(
    watching: &[Auditor],
    layout: &Layout,
    (objects, maps): (&Objects<'static>, &LinkMaps),
    bindings: &[Binding],
    written: &mut Written,
) {
    for &Binding { from, place, found } in bindings {
        let Some(words) = written.of(from) else { continue };
        let Ok(address) = words.read(place) else { continue };
        let definer = objects.get(found.object);
        let Some(bound) = definer.and_then(|it| Bound::new(from, &found, it, address)) else {
            continue;
        };
        let cookies = |auditor: &Auditor| bound.cookies(layout, maps, auditor);
        let verdict = tell(watching, cookies, &bound, How::AtOnce);
        if verdict.address != address {
            // The word was written before, so that it can be.
            let _ = words.write(place, verdict.address);
        }
    }
}

/// Whether calls through PLTs lead to auditors, and whether every call does.
#[must_use]
pub fn interest(watching: &[Auditor]) -> (bool, bool) {
    let functions = || watching.iter().map(|auditor| &auditor.functions);
    let traced = functions().any(|it| it.pltenter.is_some() || it.pltexit.is_some());
    (traced || functions().any(|it| it.symbind.is_some()), traced)
}

/// Whether functions that are bound before anything runs are to be noted.
#[must_use]
pub fn wants_bindings(watching: &[Auditor]) -> bool {
    watching.iter().any(|auditor| auditor.functions.symbind.is_some())
}

/// The namespace's watchers as far as an object's calls are concerned.
#[must_use]
pub fn watching(process: &Process, world: &World, from: ObjectId) -> &'static [Auditor] {
    world.life(from).map_or(&[], |life| process.auditors.of(life.space))
}
