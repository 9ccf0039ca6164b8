//! The main thread's static TLS block, and the words of a thread control block.
//!
//! # Safety
//!
//! [`set_word`] writes where the caller says a thread control block is.
#![allow(unsafe_code)]

use super::layout::Layout;
use crate::addr::Addr;
use crate::errno::Errno;
use crate::sys::memory::{Backing, Protection, map};

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
