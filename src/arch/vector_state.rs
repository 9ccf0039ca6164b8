//! A call of foreign code from a place where every vector register belongs to somebody else.
//!
//! # Safety
//!
//! XSAVE is used where the system has enabled it. The area is large enough for x87, SSE, AVX and AVX-512 state wherever
//! the processor puts the parts (Intel SDM volume 1, 13.4); other state is not asked for.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::sync::atomic::{AtomicU8, Ordering};

/// Whether XSAVE may be used; without it there are no registers but those that FXSAVE knows.
static HAS_XSAVE: AtomicU8 = AtomicU8::new(0);

/// Says that the processor has XSAVE and the system has enabled it.
pub fn use_xsave() {
    HAS_XSAVE.store(1, Ordering::Relaxed);
}

/// Calls `function`, and gives all vector, mask and x87 registers back as they were. Returns what it returns.
///
/// # Safety
/// `function` is the address of a function without arguments.
#[unsafe(naked)]
pub unsafe extern "C" fn call(function: u64) -> u64 {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "push rbx",
        "push r12",
        "sub rsp, 2752",
        "and rsp, -64",
        "mov rbx, rdi",
        "cmp byte ptr [rip + {has_xsave}], 0",
        "jne 2f",
        "fxsave64 [rsp]",
        "call rbx",
        "fxrstor64 [rsp]",
        "jmp 3f",
        "2:",
        // The header must be zero but for what XSAVE writes.
        "xor eax, eax",
        "mov [rsp + 512], rax",
        "mov [rsp + 520], rax",
        "mov [rsp + 528], rax",
        "mov [rsp + 536], rax",
        "mov [rsp + 544], rax",
        "mov [rsp + 552], rax",
        "mov [rsp + 560], rax",
        "mov [rsp + 568], rax",
        // x87, SSE, AVX; opmask and both parts of the AVX-512 registers.
        "mov eax, 0xe7",
        "xor edx, edx",
        "xsave64 [rsp]",
        "call rbx",
        "mov r12, rax",
        "mov eax, 0xe7",
        "xor edx, edx",
        "xrstor64 [rsp]",
        "mov rax, r12",
        "3:",
        "lea rsp, [rbp - 16]",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        has_xsave = sym HAS_XSAVE,
    )
}
