//! `r_debug` (contract 3.7): where debuggers and profilers find the list of objects, and the places where they stop.
//!
//! There are two kinds of places. `_dl_debug_state` is passed on each change of `r_state`. Static probes with glibc's
//! names (SystemTap's `rtld` provider) say what has changed, which spares a debugger reading the whole list.
//!
//! # Safety
//!
//! Writes to the binary's `_r_debug`, to structures of its kind that are allocated here and leaked, and to the DT_DEBUG
//! entry of the program, which the ABI reserves for this.
#![allow(unsafe_code)]

use alloc::vec;

use super::process::Process;
use super::world::World;
use crate::abi::glibc::exports::Probe;
use crate::abi::glibc::fields::Fields;
use crate::linkmap::LinkMap;
use crate::object::Role;

/// `r_version` of the base structure, and of the one that leads to those of other namespaces.
const VERSION: u32 = 1;
const WITH_NAMESPACES: u32 = 2;
/// `r_state`: what is happening to the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It is complete.
    Consistent = 0,
    /// Objects are being added.
    Add = 1,
    /// Objects are being taken out.
    Delete = 2,
}

/// Size of `struct r_debug_extended`.
const SIZE: usize = 48;
/// Its fields.
const MAP: u16 = 8;
const BREAKPOINT: u16 = 16;
const STATE: u16 = 24;
const BASE: u16 = 32;
const NEXT: u16 = 40;

/// The `r_debug` of a namespace, made when it is first asked for.
fn structure(process: &Process, space: usize) -> Fields {
    let fields = |address: u64| {
        // SAFETY: the binary's own variable of this size, or one that was leaked here.
        unsafe { Fields::new(address as *mut u8, SIZE) }
    };
    let mut debug = fields(process.facts.exports.data.r_debug.0);
    for _ in LinkMap::BASE..space {
        let next = debug.get(NEXT).filter(|&next: &u64| next != 0);
        let next = next.unwrap_or_else(|| {
            let made = vec![0u64; SIZE / 8].leak().as_ptr() as u64;
            begin_structure(process, &fields(made));
            debug.set(NEXT, made);
            made
        });
        debug.set(0, WITH_NAMESPACES);
        debug = fields(next);
        debug.set(0, WITH_NAMESPACES);
    }
    debug
}

/// Fills in what does not change.
fn begin_structure(process: &Process, debug: &Fields) {
    let map = &process.world().map;
    let loader = map.by_role(Role::Loader).and_then(|id| map.get(id));
    debug.set(0, VERSION);
    debug.set(BREAKPOINT, process.facts.exports.functions.debug_state.0);
    debug.set(BASE, loader.map_or(0, |loader| loader.image.bias.0));
}

/// Tells a debugger that the list is complete and all objects are relocated. It is told once: what it would look up in
/// libc before that is not relocated yet.
pub fn complete(process: &Process) {
    let debug = structure(process, LinkMap::BASE);
    debug.set(STATE, State::Consistent as u32);
    stop(process);
    probe(process, Probe::InitComplete, LinkMap::BASE, &debug, 0);
}

/// Tells a debugger that the list of a namespace is about to change.
pub fn begin(process: &Process, space: usize, state: State) {
    let debug = structure(process, space);
    debug.set(STATE, state as u32);
    stop(process);
    let passed = if state == State::Delete { Probe::UnmapStart } else { Probe::MapStart };
    probe(process, passed, space, &debug, 0);
}

/// The first link map of a namespace; 0 if it is empty.
#[must_use]
pub fn first(process: &Process, space: usize) -> u64 {
    structure(process, space).get(MAP).unwrap_or_default()
}

/// Enters the first link map of a namespace.
pub fn set_first(process: &Process, space: usize, first: u64) {
    structure(process, space).set(MAP, first);
}

/// Tells a debugger that the list of a namespace has changed. `first` is the link map of the first object that came.
pub fn end(process: &Process, space: usize, first: u64) {
    let debug = structure(process, space);
    debug.set(STATE, State::Consistent as u32);
    stop(process);
    match first {
        0 => probe(process, Probe::UnmapComplete, space, &debug, 0),
        first => {
            probe(process, Probe::MapComplete, space, &debug, first);
            probe(process, Probe::RelocComplete, space, &debug, first);
        }
    }
}

/// Passes the place where debuggers have their breakpoint.
fn stop(process: &Process) {
    let function = process.facts.exports.functions.debug_state.0;
    // SAFETY: the binary's own function, which takes nothing and does nothing.
    unsafe { core::mem::transmute::<u64, extern "C" fn()>(function)() };
}

/// Passes a probe: namespace, `r_debug`, and for some the link map of the first new object.
fn probe(process: &Process, probe: Probe, space: usize, debug: &Fields, first: u64) {
    let probes = &process.facts.exports.functions.probes;
    let Some(function) = probes.get(probe as usize) else { return };
    // SAFETY: the binary's own functions, which look at nothing and do nothing.
    unsafe {
        core::mem::transmute::<u64, extern "C" fn(u64, u64, u64)>(function.0)(
            space as u64,
            debug.address(),
            first,
        );
    }
}

/// Fills `_r_debug` for objects that are not relocated yet, and lets the program's DT_DEBUG point to it.
pub fn announce(process: &Process) {
    let World { map, link_maps, .. } = process.world();
    let program = map.by_role(Role::Program);
    let debug = structure(process, LinkMap::BASE);
    begin_structure(process, &debug);
    debug.set(MAP, program.map_or(0, |id| link_maps.address(id)));
    debug.set(STATE, State::Add as u32);

    let entry = program.and_then(|id| map.get(id)).and_then(|program| {
        let dynamic = program.segments.dynamic?;
        let offset = u64::try_from(program.dynamic.debug_index?).ok()?.checked_mul(16)?;
        let writable = program.segments.loads.iter().any(|load| {
            load.access.contains(crate::elf::segment::Access::WRITE)
                && load.holds(dynamic.vaddr, dynamic.size)
        });
        writable.then(|| program.image.address(dynamic.vaddr).0 + offset)
    });
    if let Some(entry) = entry {
        // SAFETY: the entry lies in a writable segment; its value is for debuggers only.
        unsafe { ((entry + 8) as *mut u64).write_unaligned(debug.address()) };
    }
}
