//! The process: its end, its thread pointer, and what the kernel keeps for its threads.
//!
//! # Safety
//!
//! Calls that hand the kernel an address it will use later (thread pointer, robust list, rseq) are `unsafe`: the memory
//! must live as long as the thread.
#![allow(unsafe_code)]

use super::call::call;
use crate::addr::Addr;
use crate::errno::Errno;

/// Ends the process with all its threads.
pub fn exit(status: i32) -> ! {
    #[expect(clippy::cast_sign_loss, reason = "the kernel takes the low byte")]
    let status = status as u64;
    loop {
        // SAFETY: nothing of this process goes on.
        let _ = unsafe { call(libc::SYS_exit_group, [status]) };
    }
}

/// The calling process's id.
#[must_use]
pub fn id() -> u32 {
    // SAFETY: no arguments, no effect.
    #[expect(clippy::cast_possible_truncation, reason = "ids fit 32 bits")]
    unsafe {
        call::<0>(libc::SYS_getpid, []).unwrap_or_default() as u32
    }
}

/// What uname(2) says: six strings, each ended by NUL.
pub struct KernelNames([[u8; NAME_SIZE]; 6]);

/// `__NEW_UTS_LEN` and the NUL.
const NAME_SIZE: usize = 65;

impl KernelNames {
    /// System, node, release, version, machine, domain.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|name| name.split(|byte| *byte == 0).next().unwrap_or_default())
    }
}

/// The kernel's names for itself and the machine.
#[must_use]
pub fn kernel_names() -> Option<KernelNames> {
    let mut names = KernelNames([[0; NAME_SIZE]; 6]);
    // SAFETY: the kernel fills a `struct new_utsname`, which is six strings of that size.
    unsafe { call(libc::SYS_uname, [(&raw mut names) as u64]) }.ok().map(|_| names)
}

/// Sets the FS base, which is the thread pointer (psABI, "Thread-Local Storage").
///
/// # Errors
/// What arch_prctl(2) answers.
///
/// # Safety
/// `thread_pointer` is a thread control block that lives as long as the thread.
pub unsafe fn set_thread_pointer(thread_pointer: Addr) -> Result<(), Errno> {
    const ARCH_SET_FS: u64 = 0x1002;
    // SAFETY: as the caller promises.
    unsafe { call(libc::SYS_arch_prctl, [ARCH_SET_FS, thread_pointer.0]) }.map(|_| ())
}

/// Tells the kernel which word to clear and wake when the thread ends; returns the thread's id.
///
/// # Safety
/// The word lives as long as the thread.
pub unsafe fn set_tid_address(word: Addr) -> u32 {
    // SAFETY: as the caller promises.
    #[expect(clippy::cast_possible_truncation, reason = "ids fit 32 bits")]
    unsafe {
        call(libc::SYS_set_tid_address, [word.0]).unwrap_or_default() as u32
    }
}

/// Registers the head of the thread's list of robust futexes.
///
/// # Errors
/// What set_robust_list(2) answers.
///
/// # Safety
/// The head lives as long as the thread.
pub unsafe fn set_robust_list(head: Addr, size: u64) -> Result<(), Errno> {
    // SAFETY: as the caller promises.
    unsafe { call(libc::SYS_set_robust_list, [head.0, size]) }.map(|_| ())
}

/// Registers the thread's restartable sequence area.
///
/// # Errors
/// What rseq(2) answers.
///
/// # Safety
/// The area, of `size` bytes, lives as long as the thread.
pub unsafe fn register_rseq(area: Addr, size: u64, signature: u32) -> Result<(), Errno> {
    // SAFETY: as the caller promises.
    unsafe { call(libc::SYS_rseq, [area.0, size, 0, signature.into()]) }.map(|_| ())
}

/// Waits while the futex word holds `value`.
pub fn futex_wait(word: &core::sync::atomic::AtomicU32, value: u32) {
    let arguments = [word.as_ptr() as u64, FUTEX_WAIT_PRIVATE, value.into(), 0];
    // SAFETY: the kernel only reads the word.
    let _ = unsafe { call(libc::SYS_futex, arguments) };
}

/// Wakes one thread that waits for the futex word.
pub fn futex_wake_one(word: &core::sync::atomic::AtomicU32) {
    // SAFETY: the kernel does not touch the word.
    let _ = unsafe { call(libc::SYS_futex, [word.as_ptr() as u64, FUTEX_WAKE_PRIVATE, 1]) };
}

/// Wakes all threads that wait for the futex word.
pub fn futex_wake_all(word: &core::sync::atomic::AtomicU32) {
    // SAFETY: the kernel does not touch the word.
    let _ = unsafe { call(libc::SYS_futex, [word.as_ptr() as u64, FUTEX_WAKE_PRIVATE, ALL]) };
}

const ALL: u64 = i32::MAX as u64;
const FUTEX_WAIT_PRIVATE: u64 = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as u64;
const FUTEX_WAKE_PRIVATE: u64 = (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as u64;

/// Runs `work` with all signals blocked in this thread.
pub fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> T {
    const SET_SIZE: u64 = 8;
    let (all, mut before) = (u64::MAX, 0u64);
    let change = |how: i32, new: &u64, old: *mut u64| {
        let arguments =
            [u64::from(how.unsigned_abs()), new as *const u64 as u64, old as u64, SET_SIZE];
        // SAFETY: the kernel reads and writes the two words. The call cannot fail with them.
        let _ = unsafe { call(libc::SYS_rt_sigprocmask, arguments) };
    };
    change(libc::SIG_SETMASK, &all, &raw mut before);
    let result = work();
    change(libc::SIG_SETMASK, &before, core::ptr::null_mut());
    result
}

/// The calling thread's id; where a filter forbids to ask, another number than 0.
#[must_use]
pub fn thread_id() -> u32 {
    // SAFETY: no arguments, no effect.
    #[expect(clippy::cast_possible_truncation, reason = "ids fit 32 bits")]
    unsafe {
        call::<0>(libc::SYS_gettid, []).unwrap_or(u64::MAX) as u32
    }
}
