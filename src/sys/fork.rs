//! Notices that this process is a child of fork(2): a page that the kernel clears in children says so.
//!
//! libc resets its own locks in the child, and nobody tells the loader about the locks that it does not share with
//! libc.
//!
//! # Safety
//!
//! The page is mapped here and never unmapped.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use super::call::call;
use super::memory::{Backing, Protection, map, unmap};
use crate::addr::PAGE;

static MARK: AtomicPtr<AtomicU32> = AtomicPtr::new(core::ptr::null_mut());
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Begins to watch. To be called before a second thread can hold a lock. Without a page, or on a kernel that cannot
/// clear it (before 4.14), children are not told apart from their parents.
pub fn watch() {
    if !MARK.load(Ordering::Acquire).is_null() {
        return;
    }
    let Ok(page) = map(PAGE, Protection::READ | Protection::WRITE, Backing::Anonymous) else {
        return;
    };
    let mark = page.0 as *mut AtomicU32;
    // SAFETY: the page was mapped just now. Where the advice is refused, the page is of no use.
    unsafe {
        (*mark).store(1, Ordering::Relaxed);
        let advice = [page.0, PAGE, libc::MADV_WIPEONFORK as u64];
        let refused = call(libc::SYS_madvise, advice).is_err();
        let null = core::ptr::null_mut();
        let is_second =
            || MARK.compare_exchange(null, mark, Ordering::Release, Ordering::Relaxed).is_err();
        if refused || is_second() {
            unmap(page, PAGE);
        }
    }
}

/// A number that differs between a process and its parent, as far as [`watch`] allows.
#[inline]
pub fn generation() -> u32 {
    // SAFETY: the pointer is null, or leads to a page that stays.
    if let Some(mark) = unsafe { MARK.load(Ordering::Acquire).as_ref() }
        && mark.load(Ordering::Relaxed) == 0
        && mark.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    {
        return GENERATION.fetch_add(1, Ordering::AcqRel) + 1;
    }
    GENERATION.load(Ordering::Acquire)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_has_another_generation() {
        watch();
        let parent = generation();
        assert_eq!(parent, generation());
        // SAFETY: the child makes system calls only.
        let status = unsafe {
            let child = call(libc::SYS_fork, []).unwrap();
            if child == 0 {
                super::super::process::exit(i32::from(generation() != parent));
            }
            let mut status = 0i32;
            call(libc::SYS_wait4, [child, &raw mut status as u64, 0, 0]).unwrap();
            status >> 8
        };
        assert_eq!((status, generation()), (1, parent));
    }
}
