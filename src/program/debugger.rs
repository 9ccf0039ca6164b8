//! `r_debug` (contract 3.7): where debuggers and profilers find the list of objects.
//!
//! # Safety
//!
//! Writes to the binary's `_r_debug` and to the DT_DEBUG entry of the program, which the ABI reserves for this.
#![allow(unsafe_code)]

use super::process::Process;
use crate::abi::glibc::fields::Fields;
use crate::object::Role;

/// `r_version` of the base structure.
const VERSION: u32 = 1;
/// Size of `struct r_debug`.
const SIZE: usize = 40;

/// Fills `_r_debug` for a list that is complete, and lets the program's DT_DEBUG point to it.
pub fn announce(process: &Process) {
    let data = &process.exports.data;
    // SAFETY: the binary's own variable of this size.
    let debug = unsafe { Fields::new(data.r_debug.0 as *mut u8, SIZE) };
    let first = process.visible.first().map_or(0, |&id| process.link_maps.address(id));
    let loader = process.map.by_role(Role::Loader).and_then(|id| process.map.get(id));
    debug.set(0, VERSION);
    debug.set(8, first);
    debug.set(16, process.exports.functions.debug_state.0);
    // RT_CONSISTENT.
    debug.set(24, 0u32);
    debug.set(32, loader.map_or(0, |loader| loader.image.bias.0));

    let program = process.map.objects.first();
    let entry = program.and_then(|program| {
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
