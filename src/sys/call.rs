//! The `syscall` instruction, here and nowhere else.
//!
//! # Safety
//!
//! The kernel's calling convention is the psABI's (A.2.1): the number in rax, arguments in rdi, rsi, rdx, r10, r8, r9;
//! rcx and r11 are lost. What a call does to memory is the business of each caller, which is why [`call`] is `unsafe`.
#![allow(unsafe_code)]

use core::arch::asm;

use crate::errno::Errno;

/// Makes a system call with up to six arguments.
///
/// # Errors
/// What the kernel answers in the range −4095 to −1.
///
/// # Safety
/// The call must not break an invariant of Rust's memory: what it writes or unmaps must be the caller's to give.
#[inline]
pub unsafe fn call<const N: usize>(number: i64, arguments: [u64; N]) -> Result<u64, Errno> {
    let argument = |index: usize| if index < N { arguments[index] } else { 0 };
    let result: i64;
    // SAFETY: the registers are those of the convention above; the effect on memory is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") argument(0),
            in("rsi") argument(1),
            in("rdx") argument(2),
            in("r10") argument(3),
            in("r8") argument(4),
            in("r9") argument(5),
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    match result {
        #[expect(clippy::cast_possible_truncation, reason = "the range fits")]
        -4095..=-1 => Err(Errno(-result as i32)),
        #[expect(clippy::cast_sign_loss, reason = "an address or count of the kernel")]
        _ => Ok(result as u64),
    }
}
