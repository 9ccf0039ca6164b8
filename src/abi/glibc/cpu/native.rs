//! The processor this code runs on.
//!
//! # Safety
//!
//! CPUID and XGETBV read processor state and touch no memory. CPUID exists on every x86-64
//! processor. XGETBV exists where the system has set CR4.OSXSAVE; elsewhere it raises #UD, which
//! the kernel turns into SIGILL: the process ends, memory is not affected.
#![allow(unsafe_code)]

use super::Cpuid;
use core::arch::{asm, x86_64::__cpuid_count};

/// Answers from the processor itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Native;

impl Cpuid for Native {
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        let answer = __cpuid_count(leaf, subleaf);
        [answer.eax, answer.ebx, answer.ecx, answer.edx]
    }

    fn xgetbv0(&self) -> u64 {
        let (low, high): (u32, u32);
        // SAFETY: reads a register and has no other effect; see the module's argument for #UD.
        // Written as assembly because the intrinsic demands the `xsave` target feature.
        unsafe {
            asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high,
                 options(nomem, nostack, preserves_flags));
        }
        u64::from(high) << 32 | u64::from(low)
    }
}
