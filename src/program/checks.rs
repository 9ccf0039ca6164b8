//! What must hold before the first word is written: versions, instruction sets, the stack's permissions.
//!
//! # Safety
//!
//! The main thread's stack is made executable where the program or a library asks for it; nothing loses a permission.
#![allow(unsafe_code)]

use super::terms::{Stop, warn};
use super::versions;
use crate::abi::glibc::cpu::CpuFeatures;
use crate::addr::{Addr, PAGE, page_down};
use crate::elf::segment::Access;
use crate::error::{Error, Result};
use crate::linkmap::LinkMap;
use crate::object::Role;
use crate::sys::memory::{Protection, protect};
use crate::sys::stack::InitialStack;
use crate::text::Text;

/// Every version that an object needs must be defined by the library that it names.
///
/// # Errors
/// All versions that are missing, not only the first.
pub fn versions(map: &LinkMap<'_>, program: &[u8]) -> core::result::Result<(), Stop> {
    let findings = versions::check(map, program);
    let lines = findings.warnings.into_iter();
    warn(lines.map(|line| alloc::format!("{}: {line}", Text(program))));
    match findings.errors.is_empty() {
        true => Ok(()),
        false => Err(Stop::Errors(findings.errors)),
    }
}

/// The CPU must have the instruction set levels that objects are marked with (x86-64 psABI, "ISA levels").
///
/// # Errors
/// It lacks one.
pub fn instruction_sets(map: &LinkMap<'_>, cpu: &CpuFeatures, program: &[u8]) -> Result<()> {
    let lacks = |needed: u32| needed & !cpu.isa_1 != 0;
    match map.in_search_order().find(|(_, object)| lacks(object.isa_needed)) {
        Some((_, object)) => {
            let words = "CPU ISA level is lower than required";
            Err(Error::words(object.display_name(program), words))
        }
        None => Ok(()),
    }
}

/// Whether stacks are executable: the program says, and a library can turn it on but not off. Without PT_GNU_STACK an
/// object counts as one that asks for it. The kernel has seen to the program's wish where it has mapped the program.
///
/// # Errors
/// The kernel refuses.
pub fn stack(map: &LinkMap<'_>, stack: &InitialStack, direct: bool) -> Result<bool> {
    let asks = |stack: Option<Access>| stack.is_none_or(|access| access.contains(Access::EXECUTE));
    let asking = map.in_search_order().find(|(_, object)| {
        let counts = matches!(object.role, Role::Program | Role::Library);
        counts && asks(object.segments.stack)
    });
    let Some((_, object)) = asking else { return Ok(false) };
    if object.role == Role::Library || (direct && object.segments.stack.is_some()) {
        let page = Addr(page_down(stack.address().0));
        let protection =
            Protection::READ | Protection::WRITE | Protection::EXECUTE | Protection::GROWSDOWN;
        // SAFETY: the page is the main thread's stack, and no permission goes away.
        unsafe { protect(page, PAGE, protection) }.map_err(|errno| {
            let words = "cannot enable executable stack as shared object requires";
            Error::system(object.name.to_bytes(), words, errno)
        })?;
    }
    Ok(true)
}
