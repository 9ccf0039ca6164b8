//! The monotonic clock. With the vDSO's function, reading it takes a tenth of a system call.
//!
//! # Safety
//!
//! The kernel writes one structure, which is ours. The vDSO's function is called as the kernel defines it (vdso(7)).
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

use super::call::call;
use crate::addr::Addr;

/// The vDSO's function, once it is known; 0 before.
static FUNCTION: AtomicU64 = AtomicU64::new(0);

/// From now on the clock is read with the vDSO's function.
///
/// # Safety
/// The address is that of `__vdso_clock_gettime`, or 0.
pub unsafe fn use_function(address: Addr) {
    FUNCTION.store(address.0, Ordering::Relaxed);
}

/// Nanoseconds of CLOCK_MONOTONIC.
#[must_use]
pub fn monotonic() -> u64 {
    const CLOCK: i32 = libc::CLOCK_MONOTONIC;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let place = &raw mut time;
    match FUNCTION.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: the kernel writes the structure and nothing else.
            let _ = unsafe {
                call(libc::SYS_clock_gettime, [CLOCK.unsigned_abs().into(), place as u64])
            };
        }
        address => {
            type Function = unsafe extern "C" fn(i32, *mut libc::timespec) -> i32;
            // SAFETY: as `use_function` was promised; the function writes the structure and nothing else.
            unsafe { core::mem::transmute::<u64, Function>(address)(CLOCK, place) };
        }
    }
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
