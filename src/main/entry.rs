//! The first instructions of a process.
//!
//! # Safety
//!
//! Until its own relative relocations are applied, rld must not run Rust code: even a panic path goes through the GOT.
//! So [`_start`] applies them in a few dozen instructions that use no data but the dynamic section, and only then
//! calls.

use core::arch::naked_asm;

use rld::addr::Addr;
use rld::program::start::start;
use rld::program::terms::Own;
use rld::reloc::apply::Entries;

use crate::{audited, exports, heap, musl, stubs};

unsafe extern "C" {
    /// The link editor's name for rld's ELF header.
    static __ehdr_start: u8;
}

/// Relocates rld, finds the program, and jumps to it with what the psABI promises: the kernel's stack, the finaliser in
/// rdx, rbp 0.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() {
    naked_asm!(
        "mov r12, rsp",
        "xor ebp, ebp",
        // Find DT_RELA (7) and DT_RELASZ (8).
        "lea r8, [rip + __ehdr_start]",
        "lea rax, [rip + _DYNAMIC]",
        "xor esi, esi",
        "xor ecx, ecx",
        "2:",
        "mov rdx, [rax]",
        "test rdx, rdx",
        "je 3f",
        "cmp rdx, 7",
        "cmove rsi, [rax + 8]",
        "cmp rdx, 8",
        "cmove rcx, [rax + 8]",
        "add rax, 16",
        "jmp 2b",
        // Apply: all are relative.
        "3:",
        "add rsi, r8",
        "add rcx, rsi",
        "jmp 5f",
        "4:",
        "mov rdi, [rsi]",
        "mov rax, [rsi + 16]",
        "add rax, r8",
        "mov [r8 + rdi], rax",
        "add rsi, 24",
        "5:",
        "cmp rsi, rcx",
        "jb 4b",
        "mov rdi, r12",
        "and rsp, -16",
        "call {enter}",
        "mov rsp, r12",
        "xor ebp, ebp",
        "jmp rax",
        enter = sym enter,
    )
}

/// The entry point in rax, the finaliser in rdx.
#[repr(C)]
struct Registers {
    entry: u64,
    finaliser: u64,
}

unsafe extern "C" fn enter(stack: *mut u64) -> Registers {
    rld::heap::begin_alone();
    let own = Own {
        header: Addr(&raw const __ehdr_start as u64),
        entry: Addr(_start as *const () as u64),
        exports: exports::all(),
        entries: Entries {
            fixed: Addr(stubs::tls_descriptor_fixed as *const () as u64),
            undefined: Addr(stubs::tls_descriptor_undefined as *const () as u64),
            dynamic: Addr(stubs::tls_descriptor_dynamic as *const () as u64),
            resolver: Addr(&raw const stubs::_dl_runtime_resolve as u64),
            audited: Addr(&raw const audited::_dl_runtime_profile as u64),
        },
        musl: musl::entries(),
        memory_refused: || heap::HEAP.was_refused(),
    };
    // SAFETY: the kernel's stack pointer, on the first and only call.
    let entry = unsafe { start(stack, &own) };
    let finaliser = if entry.finaliser { exports::finalise as *const () as u64 } else { 0 };
    Registers { entry: entry.address.0, finaliser }
}
