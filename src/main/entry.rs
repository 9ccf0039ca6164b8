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
        // Find DT_RELR (36) and DT_RELRSZ (35).
        "lea r8, [rip + __ehdr_start]",
        "lea rax, [rip + _DYNAMIC]",
        "xor esi, esi",
        "xor ecx, ecx",
        "2:",
        "mov rdx, [rax]",
        "test rdx, rdx",
        "je 3f",
        "cmp rdx, 36",
        "cmove rsi, [rax + 8]",
        "cmp rdx, 35",
        "cmove rcx, [rax + 8]",
        "add rax, 16",
        "jmp 2b",
        // Apply: an even word is an address, an odd one a bitmap of the 63 words after the last address.
        "3:",
        "add rsi, r8",
        "add rcx, rsi",
        "4:",
        "cmp rsi, rcx",
        "jae 7f",
        "mov rax, [rsi]",
        "add rsi, 8",
        "test al, 1",
        "jne 5f",
        "lea rdi, [r8 + rax]",
        "add [rdi], r8",
        "add rdi, 8",
        "jmp 4b",
        "5:",
        "mov rdx, rdi",
        "6:",
        "shr rax, 1",
        "je 8f",
        "test al, 1",
        "je 9f",
        "add [rdx], r8",
        "9:",
        "add rdx, 8",
        "jmp 6b",
        "8:",
        "add rdi, 63 * 8",
        "jmp 4b",
        "7:",
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
