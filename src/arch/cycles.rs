//! The processor's time stamp counter.
//!
//! # Safety
//!
//! Every x86-64 processor has the instruction. Where the kernel forbids it to programs (PR_SET_TSC), LD_DEBUG's figures
//! cannot be had, as under ld.so.
#![allow(unsafe_code)]

/// What the counter shows.
#[must_use]
pub fn cycles() -> u64 {
    // SAFETY: reading the counter has no effect.
    unsafe { core::arch::x86_64::_rdtsc() }
}
