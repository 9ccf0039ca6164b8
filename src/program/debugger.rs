//! `r_debug` (contract 3.7): where debuggers and profilers find the list of objects.
//!
//! # Safety
//!
//! Writes to the binary's `_r_debug` and to the DT_DEBUG entry of the program, which the ABI reserves for this.
#![allow(unsafe_code)]

use super::process::Process;
use super::world::World;
use crate::abi::glibc::fields::Fields;
use crate::object::Role;

/// `r_version` of the base structure.
const VERSION: u32 = 1;
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

/// Size of `struct r_debug`.
const SIZE: usize = 40;

/// Tells a debugger that the list is complete and all objects are relocated. It is told once: what it would look up in
/// libc before that is not relocated yet.
pub fn complete(process: &Process) {
    // SAFETY: the binary's own variable of this size.
    let debug = unsafe { Fields::new(process.facts.exports.data.r_debug.0 as *mut u8, SIZE) };
    debug.set(24, State::Consistent as u32);
    stop(process);
}

/// Tells a debugger that the list of a namespace is about to change.
pub fn begin(process: &Process, _space: usize, state: State) {
    // SAFETY: the binary's own variable of this size.
    let debug = unsafe { Fields::new(process.facts.exports.data.r_debug.0 as *mut u8, SIZE) };
    debug.set(24, state as u32);
    stop(process);
}

/// Tells a debugger that the list of a namespace has changed. `_first` is the link map of the first object that came.
pub fn end(process: &Process, _space: usize, _first: u64) {
    complete(process);
}

/// Passes the place where debuggers have their breakpoint.
fn stop(process: &Process) {
    let function = process.facts.exports.functions.debug_state.0;
    // SAFETY: the binary's own function, which takes nothing and does nothing.
    unsafe { core::mem::transmute::<u64, extern "C" fn()>(function)() };
}

/// Fills `_r_debug` for objects that are not relocated yet, and lets the program's DT_DEBUG point to it.
pub fn announce(process: &Process) {
    let data = &process.facts.exports.data;
    // SAFETY: the binary's own variable of this size.
    let debug = unsafe { Fields::new(data.r_debug.0 as *mut u8, SIZE) };
    let World { map, link_maps, .. } = process.world();
    let program = map.by_role(Role::Program);
    let first = program.map_or(0, |id| link_maps.address(id));
    let loader = map.by_role(Role::Loader).and_then(|id| map.get(id));
    debug.set(0, VERSION);
    debug.set(8, first);
    debug.set(16, process.facts.exports.functions.debug_state.0);
    debug.set(24, State::Add as u32);
    debug.set(32, loader.map_or(0, |loader| loader.image.bias.0));

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
        unsafe { ((entry + 8) as *mut u64).write_unaligned(data.r_debug.0) };
    }
}
