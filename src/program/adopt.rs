//! Objects that the kernel has mapped: the program, the vDSO, and rld itself.
//!
//! # Safety
//!
//! Addresses come from the auxiliary vector or from the link editor. The kernel has mapped what they point to as the
//! program headers say, for the life of the process.
#![allow(unsafe_code)]

use alloc::borrow::ToOwned;
use alloc::ffi::CString;
use core::ffi::CStr;

use crate::addr::{Addr, Bias, Vaddr};
use crate::elf::header::{Header, Kind, PHENTSIZE, SIZE};
use crate::elf::segment::Segments;
use crate::elf::table::Table;
use crate::error::{Error, Result};
use crate::image::map;
use crate::object::{Mapped, Memory, Object, Role};
use crate::sys::stack::InitialStack;

/// No file bounds what the kernel has already mapped.
const NO_FILE: u64 = u64::MAX;

/// The program, when the kernel has started rld as its interpreter.
///
/// # Errors
/// The program's own headers are broken in a way that the kernel did not mind.
pub fn program(stack: &InitialStack, name: &[u8]) -> Result<Object<'static>> {
    let phdr = Addr(stack.aux(libc::AT_PHDR).unwrap_or_default());
    let phnum = u16::try_from(stack.aux(libc::AT_PHNUM).unwrap_or_default()).unwrap_or_default();
    let entry = Addr(stack.aux(libc::AT_ENTRY).unwrap_or_default());
    // SAFETY: the kernel says that the headers are there.
    let table = unsafe { bytes(phdr, usize::from(phnum) * PHENTSIZE) };
    let segments = Segments::parse(Table::new(table), NO_FILE)
        .map_err(|malformed| Error::malformed(name, malformed))?;
    let bias = Bias(segments.phdr.map_or(0, |vaddr| phdr.0.wrapping_sub(vaddr.0)));
    let kind = if bias == Bias(0) { Kind::Fixed } else { Kind::Shared };
    let header = Header { kind, entry: bias.remove(entry), phoff: 0, phnum };
    // SAFETY: the kernel has mapped the program.
    let image = unsafe { map::view(bias, &segments) };
    let mapped =
        Mapped { header, segments, image, phdr, identity: None, memory: Memory::default() };
    Object::parse(CString::default(), Role::Program, mapped)
}

/// The kernel's vDSO; none where the kernel has none, or one that cannot be read.
#[must_use]
pub fn vdso(stack: &InitialStack) -> Option<Object<'static>> {
    let start = Addr(stack.aux(libc::AT_SYSINFO_EHDR).filter(|&start| start != 0)?);
    whole(start, c"linux-vdso.so.1", Role::Vdso).ok()
}

/// rld itself, whose first byte is at `start`.
///
/// # Errors
/// Never for a binary that the link editor has made.
pub fn loader(start: Addr, name: &CStr) -> Result<Object<'static>> {
    whole(start, name, Role::Loader)
}

/// An object that lies in memory with its ELF header first.
fn whole(start: Addr, name: &CStr, role: Role) -> Result<Object<'static>> {
    let malformed = |malformed| Error::malformed(name.to_bytes(), malformed);
    // SAFETY: the first page of the object is mapped.
    let head = unsafe { bytes(start, SIZE) };
    let header = Header::parse(head)
        .map_err(|_| Error::words(name.to_bytes(), "invalid ELF header in memory"))?;
    let phdr = Addr(start.0.wrapping_add(header.phoff));
    // SAFETY: the link editor puts the program headers in the first segment.
    let table = unsafe { bytes(phdr, header.phdr_bytes()) };
    let segments = Segments::parse(Table::new(table), NO_FILE).map_err(malformed)?;
    let first = segments.loads.first().map_or(Vaddr(0), |load| load.vaddr);
    let bias = Bias(start.0.wrapping_sub(first.0));
    // SAFETY: the kernel has mapped the object.
    let image = unsafe { map::view(bias, &segments) };
    let mapped =
        Mapped { header, segments, image, phdr, identity: None, memory: Memory::default() };
    Object::parse(name.to_owned(), role, mapped)
}

/// Bytes of memory that stay for the life of the process.
///
/// # Safety
/// `len` bytes at `start` are mapped and readable, and nobody writes to them.
unsafe fn bytes(start: Addr, len: usize) -> &'static [u8] {
    if start.0 == 0 || len == 0 {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { core::slice::from_raw_parts(start.0 as *const u8, len) }
}
