//! Memory: map, protect, unmap.
//!
//! # Safety
//!
//! Mapping at an address of the kernel's choice is safe. Mapping over, protecting and unmapping existing memory is
//! `unsafe`: the caller owns the range and holds no reference into what goes away.
#![allow(unsafe_code)]

use super::call::call;
use super::file::Fd;
use crate::addr::Addr;
use crate::elf::segment::Access;
use crate::errno::Errno;

bitflags::bitflags! {
    /// Page permissions, as mmap(2) and mprotect(2) take them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Protection: i32 {
        /// May be read.
        const READ = libc::PROT_READ;
        /// May be written.
        const WRITE = libc::PROT_WRITE;
        /// May be executed.
        const EXECUTE = libc::PROT_EXEC;
        /// The range grows down with the stack that it is part of.
        const GROWSDOWN = libc::PROT_GROWSDOWN;
    }
}

impl From<Access> for Protection {
    fn from(access: Access) -> Self {
        let mut protection = Self::empty();
        protection.set(Self::READ, access.contains(Access::READ));
        protection.set(Self::WRITE, access.contains(Access::WRITE));
        protection.set(Self::EXECUTE, access.contains(Access::EXECUTE));
        protection
    }
}

/// What stands behind mapped pages.
#[derive(Clone, Copy, Debug)]
pub enum Backing<'f> {
    /// Zeros.
    Anonymous,
    /// A file from a page-aligned offset; writes stay private.
    File(&'f Fd, u64),
}

/// Where a mapping goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Anywhere,
    Exactly(Addr),
    ExactlyIfFree(Addr),
}

#[expect(clippy::cast_sign_loss, reason = "flags are bit sets")]
unsafe fn mmap(
    place: Place,
    size: u64,
    protection: Protection,
    backing: Backing<'_>,
) -> Result<Addr, Errno> {
    let (address, place_flags) = match place {
        Place::Anywhere => (0, 0),
        Place::Exactly(address) => (address.0, libc::MAP_FIXED),
        Place::ExactlyIfFree(address) => (address.0, libc::MAP_FIXED_NOREPLACE),
    };
    let (fd, offset, backing_flags) = match backing {
        Backing::Anonymous => (u64::MAX, 0, libc::MAP_ANONYMOUS),
        Backing::File(fd, offset) => (fd.number(), offset, 0),
    };
    let flags = libc::MAP_PRIVATE | place_flags | backing_flags;
    let arguments = [address, size, protection.bits() as u64, flags as u64, fd, offset];
    // SAFETY: what the new mapping replaces is the promise of this function's callers.
    unsafe { call(libc::SYS_mmap, arguments) }.map(Addr)
}

/// Maps `size` bytes wherever the kernel finds room.
///
/// # Errors
/// What mmap(2) answers.
pub fn map(size: u64, protection: Protection, backing: Backing<'_>) -> Result<Addr, Errno> {
    // SAFETY: no existing mapping is replaced.
    unsafe { mmap(Place::Anywhere, size, protection, backing) }
}

/// Maps zeros wherever the kernel finds room, at an address that is `skew` more than a multiple of `align`: with room
/// to spare, of which what is outside is given back.
///
/// # Errors
/// What mmap(2) answers; `ENOMEM` where the sizes add up to too much.
pub fn map_aligned(
    size: u64,
    align: u64,
    skew: u64,
    protection: Protection,
) -> Result<Addr, Errno> {
    let room = size.checked_add(align).ok_or(Errno::ENOMEM)?;
    let start = map(room, protection, Backing::Anonymous)?.0;
    let before = skew.wrapping_sub(start) & (align - 1);
    let (aligned, after) = (start + before, align - before);
    // SAFETY: both ends belong to the range mapped just now.
    unsafe {
        if before != 0 {
            unmap(Addr(start), before);
        }
        unmap(Addr(aligned + size), after);
    }
    Ok(Addr(aligned))
}

/// Maps at `address` if nothing is there.
///
/// # Errors
/// `EEXIST` when something is there; else what mmap(2) answers.
pub fn map_if_free(
    address: Addr,
    size: u64,
    protection: Protection,
    backing: Backing<'_>,
) -> Result<Addr, Errno> {
    // SAFETY: MAP_FIXED_NOREPLACE replaces no existing mapping.
    let got = unsafe { mmap(Place::ExactlyIfFree(address), size, protection, backing) }?;
    if got != address {
        // A kernel before 4.17 takes the address as a hint.
        // SAFETY: the range was mapped just now and is unknown to anyone else.
        unsafe { unmap(got, size) };
        return Err(Errno(libc::EEXIST));
    }
    Ok(got)
}

/// Maps over a range.
///
/// # Errors
/// What mmap(2) answers.
///
/// # Safety
/// The range is the caller's, and nothing refers into it.
pub unsafe fn map_over(
    address: Addr,
    size: u64,
    protection: Protection,
    backing: Backing<'_>,
) -> Result<(), Errno> {
    // SAFETY: as the caller promises.
    unsafe { mmap(Place::Exactly(address), size, protection, backing) }.map(|_| ())
}

/// Changes permissions.
///
/// # Errors
/// What mprotect(2) answers.
///
/// # Safety
/// No live reference needs a permission that goes away.
pub unsafe fn protect(address: Addr, size: u64, protection: Protection) -> Result<(), Errno> {
    #[expect(clippy::cast_sign_loss, reason = "flags are a bit set")]
    let arguments = [address.0, size, protection.bits() as u64];
    // SAFETY: as the caller promises.
    unsafe { call(libc::SYS_mprotect, arguments) }.map(|_| ())
}

/// Tells the kernel that a range is worth a huge page. What it makes of that changes only the time that it takes.
pub fn advise_huge(address: Addr, size: u64) {
    let advice = libc::MADV_HUGEPAGE.unsigned_abs().into();
    // SAFETY: this advice changes no contents and no access.
    let _ = unsafe { call(libc::SYS_madvise, [address.0, size, advice]) };
}

/// Unmaps a range; an error leaves it as it was.
///
/// # Safety
/// The range is the caller's, and nothing refers into it.
pub unsafe fn unmap(address: Addr, size: u64) {
    // SAFETY: as the caller promises.
    let _ = unsafe { call(libc::SYS_munmap, [address.0, size]) };
}
