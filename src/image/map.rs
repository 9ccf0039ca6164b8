//! Carries out a [`Plan`]: takes the addresses, lays the segments there, clears what must be zero.
//!
//! The usual way is one reservation and the segments over it. Each segment that is laid over another mapping makes the
//! kernel split that one, which costs as much again as mapping to a free place. So where one object follows another and
//! its segments adjoin, they are mapped one by one to free addresses below the object before, which is where the kernel
//! would put it. If any of these is taken, by a thread's stack or in a race with other threads, the object is mapped in
//! the usual way.
//!
//! # Safety
//!
//! Everything is mapped inside a reservation that this file has made itself and that nobody else knows yet, or to
//! addresses that were free. A failure unmaps what was mapped, so nothing half done is left. The slices that an
//! [`Image`] holds stay valid because the object that holds them owns the [`Mapping`].
#![allow(unsafe_code)]

use alloc::vec::Vec;

use super::plan::{Pages, Plan};
use super::view::Image;
use crate::addr::{Addr, Bias, Vaddr, page_down};
use crate::elf::segment::{Access, Segment, Segments, Span};
use crate::errno::Errno;
use crate::sys::Fd;
use crate::sys::memory::{
    Backing, Protection, map, map_aligned, map_if_free, map_over, protect, unmap,
};

/// What went wrong, in ld.so's words.
pub type Failure = (&'static str, Errno);

const MAP_FAILED: &str = "failed to map segment from shared object";
const PROTECT_FAILED: &str = "cannot change memory protections";

/// An object's range of the process. It is unmapped when the value is dropped.
#[derive(Debug)]
pub struct Mapping {
    start: Addr,
    size: u64,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.size != 0 {
            // SAFETY: the range was reserved by this value. Whoever refers into it keeps the object that owns it.
            unsafe { unmap(self.start, self.size) };
        }
    }
}

/// Unmaps objects; neighbours go together, as each call costs more than the pages.
pub fn unmap_all(mut mappings: Vec<Mapping>) {
    mappings.sort_unstable_by_key(|mapping| mapping.start.0);
    mappings.dedup_by(|next, before| {
        let adjoins = before.start.0.checked_add(before.size) == Some(next.start.0);
        if adjoins {
            before.size += core::mem::take(&mut next.size);
        }
        adjoins
    });
}

/// Where the last object was put, while several are mapped one after the other.
#[derive(Debug, Default)]
pub struct Neighbour(Option<Addr>);

/// Larger objects are left to the kernel, which may place them for huge pages.
const HUGE_PAGE: u64 = 1 << 21;

/// Maps an object and returns its load bias, and what holds the memory.
///
/// # Errors
/// What the kernel refused; nothing stays mapped then.
pub fn map_object(
    fd: &Fd,
    plan: &Plan,
    neighbour: &mut Neighbour,
) -> Result<(Bias, Mapping), Failure> {
    let below = match neighbour.0 {
        Some(end) if plan.adjoins() && plan.size < HUGE_PAGE => map_below(fd, plan, end),
        _ => None,
    };
    let mapping = match below {
        Some(mapping) => mapping,
        None => map_reserved(fd, plan)?,
    };
    if !plan.fixed {
        neighbour.0 = Some(mapping.start);
    }
    Ok((plan.bias(mapping.start), mapping))
}

/// Maps an object whose segments adjoin to free addresses below `end`. Whatever is refused may be granted elsewhere, or
/// is refused there in so many words.
fn map_below(fd: &Fd, plan: &Plan, end: Addr) -> Option<Mapping> {
    let start = Addr(end.0.checked_sub(plan.size)?);
    let bias = plan.bias(start);
    let mut mapped = Mapping { start, size: 0 };
    for piece in &plan.pieces {
        let protection = Protection::from(piece.access);
        let mut take = |pages: Pages, backing| {
            let address = bias.apply(Vaddr(pages.start));
            map_if_free(address, pages.size, protection, backing).ok()?;
            mapped.size += pages.size;
            Some(())
        };
        if piece.file.size != 0 {
            take(piece.file, Backing::File(fd, piece.offset))?;
        }
        if piece.zero.size != 0 {
            take(piece.zero, Backing::Anonymous)?;
        }
        clear(bias, piece.clear, protection).ok()?;
    }
    Some(mapped)
}

/// Maps an object to a place of the kernel's choice, or of its own.
fn map_reserved(fd: &Fd, plan: &Plan) -> Result<Mapping, Failure> {
    let (reservation, first_done) = reserve(fd, plan)?;
    let bias = plan.bias(reservation.start);
    for (index, piece) in plan.pieces.iter().enumerate() {
        let protection = Protection::from(piece.access);
        let place = |pages: Pages| (bias.apply(Vaddr(pages.start)), pages.size);
        if piece.file.size != 0 && !(index == 0 && first_done) {
            let (address, size) = place(piece.file);
            let backing = Backing::File(fd, piece.offset);
            // SAFETY: inside the reservation.
            unsafe { map_over(address, size, protection, backing) }
                .map_err(|errno| (MAP_FAILED, errno))?;
        }
        clear(bias, piece.clear, protection)?;
        if piece.zero.size != 0 {
            let (address, size) = place(piece.zero);
            // SAFETY: inside the reservation.
            unsafe { map_over(address, size, protection, Backing::Anonymous) }
                .map_err(|errno| ("cannot map zero-fill pages", errno))?;
        }
    }
    if first_done {
        for gap in &plan.gaps {
            let address = bias.apply(Vaddr(gap.start));
            // SAFETY: inside the reservation, and no segment has these pages.
            unsafe { protect(address, gap.size, Protection::empty()) }
                .map_err(|errno| (PROTECT_FAILED, errno))?;
        }
    }
    Ok(reservation)
}

/// Takes the address range. Where nothing but page alignment is asked, the first segment is mapped over the whole range
/// at once, which saves a call: the other segments and the gaps replace the surplus. Says whether it did.
fn reserve(fd: &Fd, plan: &Plan) -> Result<(Mapping, bool), Failure> {
    let failed = |errno| (MAP_FAILED, errno);
    if plan.fixed {
        let start = Addr(plan.start);
        map_if_free(start, plan.size, Protection::empty(), Backing::Anonymous).map_err(failed)?;
        return Ok((Mapping { start, size: plan.size }, false));
    }
    if plan.align > crate::addr::PAGE {
        // The bias is what must be aligned: then every segment has the alignment of its virtual address. It is below
        // zero for an object that comes to lie below its own addresses.
        let start = map_aligned(plan.size, plan.align, plan.start, Protection::empty());
        return Ok((Mapping { start: start.map_err(failed)?, size: plan.size }, false));
    }
    let first = plan.pieces.first().filter(|piece| piece.file.size != 0);
    let (protection, backing) = match first {
        Some(piece) => (piece.access.into(), Backing::File(fd, piece.offset)),
        None => (Protection::empty(), Backing::Anonymous),
    };
    let start = map(plan.size, protection, backing).map_err(failed)?;
    Ok((Mapping { start, size: plan.size }, first.is_some()))
}

/// Zeroes the bytes between a segment's last file byte and the end of that page.
fn clear(bias: Bias, (from, to): (u64, u64), protection: Protection) -> Result<(), Failure> {
    if from == to {
        return Ok(());
    }
    let address = bias.apply(Vaddr(from));
    let page = Addr(page_down(address.0));
    let writable = protection.contains(Protection::WRITE);
    let change = |protection| {
        // SAFETY: the page is inside the reservation.
        unsafe { protect(page, crate::addr::PAGE, protection) }
            .map_err(|errno| (PROTECT_FAILED, errno))
    };
    if !writable {
        change(protection | Protection::WRITE)?;
    }
    // SAFETY: the bytes lie in one page of the reservation, which is writable now.
    unsafe { core::ptr::write_bytes(address.0 as *mut u8, 0, (to - from) as usize) };
    if !writable {
        change(protection)?;
    }
    Ok(())
}

/// Touches the page at the start of a span that relocation will write to, if it may be written: one fault, where
/// reading first and writing later are two.
///
/// # Safety
/// The object is mapped with `bias`, and nobody refers into it yet.
pub unsafe fn touch(bias: Bias, segments: &Segments, span: Span) {
    let is_there = |load: &Segment| {
        load.access.contains(Access::READ | Access::WRITE) && load.holds_in_file(span.vaddr, 1)
    };
    if segments.loads.iter().any(is_there) {
        let place = bias.apply(span.vaddr).0;
        // One instruction, so that the first access is a write. It changes nothing.
        // SAFETY: the byte is part of a segment that may be read and written.
        unsafe { core::arch::asm!("or byte ptr [{}], 0", in(reg) place, options(nostack)) };
    }
}

/// Views an object that is mapped with `bias`.
///
/// # Safety
/// `segments` are mapped there and readable where they say so, and stay so while the view lives.
#[must_use]
pub unsafe fn view<'a>(bias: Bias, segments: &Segments) -> Image<'a> {
    let parts = segments.loads.iter().map(|load| {
        let readable = load.access.contains(Access::READ);
        let start = bias.apply(load.vaddr).0 as *const u8;
        let len = if readable { load.filesz as usize } else { 0 };
        let bytes = match len {
            0 => &[][..],
            // SAFETY: as the caller promises.
            _ => unsafe { core::slice::from_raw_parts(start, len) },
        };
        (*load, bytes)
    });
    Image::new(bias, parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::header::Kind;
    use crate::elf::segment::{Access, Segment};

    /// Two segments that adjoin: one page to read, one to read and write whose second half must be zero, one of zeros.
    fn plan() -> Plan {
        let load = |access, vaddr, filesz, memsz| {
            let (offset, vaddr, align) = (vaddr, Vaddr(vaddr), 0x1000);
            Segment { kind: 1, access, offset, vaddr, filesz, memsz, align }
        };
        let loads = [
            load(Access::READ, 0, 0x1000, 0x1000),
            load(Access::READ | Access::WRITE, 0x1000, 0x800, 0x2000),
        ];
        Plan::new(Kind::Shared, &Segments { loads: loads.into(), ..Segments::default() })
    }

    /// All bytes of an object that was mapped by [`plan`].
    fn bytes(mapping: &Mapping) -> &[u8] {
        assert_eq!(mapping.size, 0x3000);
        // SAFETY: the mapping has this size, may be read and is borrowed.
        unsafe { core::slice::from_raw_parts(mapping.start.0 as *const u8, 0x3000) }
    }

    #[test]
    fn neighbours_have_the_bytes_of_an_object_by_itself() {
        let fd = Fd::open(c"/proc/self/exe").unwrap();
        let plan = plan();
        let mut neighbour = Neighbour::default();
        let all: Vec<_> =
            (0..8).map(|_| map_object(&fd, &plan, &mut neighbour).unwrap().1).collect();
        let alone = map_object(&fd, &plan, &mut Neighbour::default()).unwrap().1;
        assert_eq!(bytes(&alone)[..4], *b"\x7fELF");
        assert!(bytes(&alone)[0x1800..].iter().all(|&byte| byte == 0));
        assert!(all.iter().all(|mapping| bytes(mapping) == bytes(&alone)));
    }

    #[test]
    fn what_stands_below_is_left_alone() {
        let fd = Fd::open(c"/proc/self/exe").unwrap();
        let plan = plan();
        // Room for an object whose first, second or third page is somebody's.
        for taken in [0, 0x1000, 0x2000] {
            let room = map(0x4000, Protection::empty(), Backing::Anonymous).unwrap();
            // SAFETY: the pages were mapped just now.
            unsafe {
                unmap(room, taken);
                unmap(Addr(room.0 + taken + 0x1000), 0x4000 - taken - 0x1000);
            }
            assert!(map_below(&fd, &plan, Addr(room.0 + 0x3000)).is_none());
            // SAFETY: the page that was left, whose owner is this test.
            unsafe {
                let page = Addr(room.0 + taken);
                protect(page, 0x1000, Protection::READ | Protection::WRITE).unwrap();
                assert_eq!(*(page.0 as *const u64), 0);
                unmap(page, 0x1000);
            }
        }
        assert!(map_below(&fd, &plan, Addr(0x2fff)).is_none(), "below address 0");
    }

    #[test]
    fn a_large_alignment_may_put_an_object_below_its_own_addresses() {
        let fd = Fd::open(c"/proc/self/exe").unwrap();
        let align = 1 << 46;
        for vaddr in (1..8).map(|at| at << 44) {
            let access = Access::READ;
            let (vaddr, memsz) = (Vaddr(vaddr), 0x1000);
            let load = Segment { kind: 1, access, offset: 0, vaddr, filesz: 0, memsz, align };
            let segments = Segments { loads: [load].into(), align, ..Segments::default() };
            // There may be no room for so much; the arithmetic must hold either way.
            if let Ok((bias, _mapping)) =
                map_object(&fd, &Plan::new(Kind::Shared, &segments), &mut Neighbour::default())
            {
                assert_eq!(bias.0 % align, 0);
            }
        }
    }
}
