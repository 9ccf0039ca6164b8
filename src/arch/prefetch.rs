//! Asking for memory before it is needed.
//!
//! # Safety
//!
//! A prefetch is a hint: the processor ignores addresses that cannot be read.
#![allow(unsafe_code)]

use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

/// Bytes of a cache line.
pub const LINE: usize = 64;

/// Asks for the cache line at `address`, which need not be readable.
#[inline]
pub fn prefetch(address: *const u8) {
    // SAFETY: prefetching has no effect that a program can see.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}
