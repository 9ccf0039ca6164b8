//! A thread's static TLS block, thread control block and dynamic thread vector (DTV) in memory.
//!
//! The DTV is an array of 16-byte slots. Slot −1 holds how many module slots follow slot 0, slot 0 the generation that
//! the thread has seen, slot *m* the address of module *m*'s block and, for blocks allocated one by one, what to free
//! (contract 2.4: libc walks it, so the form is not ours to choose).
//!
//! # Safety
//!
//! All functions here are `unsafe`: they write where the caller says a thread control block or a DTV is. Offsets come
//! from a [`Layout`], which has checked that all blocks fit below the thread pointer.
#![allow(unsafe_code)]

use super::layout::{Layout, Module};
use crate::addr::Addr;
use crate::arch::x86_64::tcb;
use crate::errno::Errno;
use crate::sys::memory::{Backing, Protection, map};

/// Slots that a new DTV has beyond the modules of start-up, so that the first libraries opened later need no new one.
pub const SPARE_SLOTS: u64 = 14;

/// What a slot holds whose block is not allocated.
pub const UNALLOCATED: u64 = u64::MAX;

/// One slot.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// The block, or a count.
    pub value: u64,
    /// What free(3) gets when the block goes, or 0.
    pub to_free: u64,
}

/// The number of slots, with the two that are not modules', in a DTV for `modules` modules.
#[must_use]
pub const fn dtv_slots(modules: u64) -> u64 {
    modules + SPARE_SLOTS + 2
}

/// Maps a static TLS block with a thread control block of `tcb_size` bytes on top; returns the thread pointer. The
/// memory is zero and never unmapped: it is the main thread's.
///
/// # Errors
/// What mmap(2) answers.
pub fn map_main(layout: &Layout, tcb_size: u64) -> Result<Addr, Errno> {
    let size = layout.size.checked_add(tcb_size).and_then(|size| size.checked_add(layout.align));
    let start =
        map(size.ok_or(Errno::ENOMEM)?, Protection::READ | Protection::WRITE, Backing::Anonymous)?;
    Ok(Addr((start.0 + layout.size).next_multiple_of(layout.align)))
}

/// Writes a word of the thread control block.
///
/// # Safety
/// `offset` lies in the block at `thread_pointer`, which is writable.
pub unsafe fn set_word(thread_pointer: Addr, offset: u64, value: u64) {
    // SAFETY: as the caller promises.
    unsafe { ((thread_pointer.0 + offset) as *mut u64).write(value) };
}

/// Makes `memory`, zeroed, a DTV with `slots` slots, and installs it.
///
/// # Safety
/// `memory` is an array of `slots` slots that lives as long as the thread; the thread control block is writable.
pub unsafe fn install_dtv(thread_pointer: Addr, memory: *mut Slot, slots: u64) {
    // SAFETY: slot 0 of the array is the one before the generation.
    unsafe {
        (*memory).value = slots - 2;
        set_word(thread_pointer, tcb::DTV, memory.add(1) as u64);
    }
}

/// The DTV of a thread: its slot 0.
///
/// # Safety
/// A DTV is installed in the thread control block.
#[must_use]
pub unsafe fn dtv(thread_pointer: Addr) -> *mut Slot {
    // SAFETY: as the caller promises.
    unsafe { ((thread_pointer.0 + tcb::DTV) as *const *mut Slot).read() }
}

/// Enters the static blocks in the DTV and gives them their initial contents.
///
/// # Safety
/// A DTV with room for all modules is installed; the static block below the thread pointer is writable and was laid out
/// with `layout`; the modules' images are mapped.
pub unsafe fn initialise(thread_pointer: Addr, layout: &Layout, generation: u64) {
    // SAFETY: as the caller promises.
    unsafe {
        let dtv = dtv(thread_pointer);
        let count = (*dtv.sub(1)).value;
        (*dtv).value = generation;
        for slot in 1..=count {
            *dtv.add(slot as usize) = Slot { value: UNALLOCATED, to_free: 0 };
        }
        for module in &layout.modules {
            (*dtv.add(module.id as usize)).value = thread_pointer.0 - module.offset;
            fill(Addr(thread_pointer.0 - module.offset), module);
        }
    }
}

/// Gives a module's block its initial contents: the image, then zeros.
///
/// # Safety
/// The block is writable and as large as the module's segment says; the image is mapped.
unsafe fn fill(block: Addr, module: &Module) {
    let (image, segment) = (module.image.0 as *const u8, &module.segment);
    let block = block.0 as *mut u8;
    // SAFETY: as the caller promises; `filesz` was checked against `memsz`.
    unsafe {
        core::ptr::copy_nonoverlapping(image, block, segment.filesz as usize);
        block
            .add(segment.filesz as usize)
            .write_bytes(0, (segment.memsz - segment.filesz) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{ObjectId, Vaddr};
    use crate::elf::segment::TlsSegment;

    #[test]
    fn a_new_block_holds_the_images() {
        static IMAGE: [u8; 3] = [1, 2, 3];
        let segment = TlsSegment { image: Vaddr(0), filesz: 3, memsz: 8, align: 32, skew: 0 };
        let modules = [(ObjectId(4), Addr(IMAGE.as_ptr() as u64), segment)];
        let layout = Layout::new(modules.into_iter(), 100).unwrap();
        let pointer = map_main(&layout, 256).unwrap();
        let mut slots = [Slot { value: 0, to_free: 0 }; dtv_slots(1) as usize];
        // SAFETY: the block was mapped just now and the array is a DTV of that many slots.
        let (block, dtv) = unsafe {
            install_dtv(pointer, slots.as_mut_ptr(), dtv_slots(1));
            initialise(pointer, &layout, 1);
            let dtv = dtv(pointer);
            ((*dtv.add(1)).value, [(*dtv.sub(1)).value, (*dtv).value, (*dtv.add(2)).value])
        };
        assert_eq!(pointer.0 % 64, 0);
        assert_eq!(block, pointer.0 - 32);
        assert_eq!(dtv, [15, 1, UNALLOCATED]);
        // SAFETY: the block has eight bytes.
        let block = unsafe { *(block as *const [u8; 8]) };
        assert_eq!(block, [1, 2, 3, 0, 0, 0, 0, 0]);
    }
}
