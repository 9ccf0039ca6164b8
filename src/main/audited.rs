//! What the first entry of a PLT jumps to whose calls auditors follow.
//!
//! # Safety
//!
//! The stub keeps every register that may carry an argument or a result, all vector registers among them: auditors are
//! foreign code. A [`Frame`] on its stack holds them.

use core::arch::global_asm;
use core::mem::offset_of;

use rld::arch::vector_state;
use rld::program::audit::plt::{self, Frame, Registers, Returned};

use crate::exports::process;
use crate::stubs::{end_plt_frame, plt_frame};

unsafe extern "C" {
    /// The counterpart of `_dl_runtime_resolve`, under the name that debuggers know.
    pub static _dl_runtime_profile: u8;
}

// On entry the stack holds the link map, the index of the relocation, and the return address. rbx stays the stack
// pointer of the entry; the frame lies below it, at a multiple of 64. Where an auditor waits for the function's end,
// the function is called on a copy of its arguments.
global_asm!(
    ".text",
    ".globl _dl_runtime_profile",
    ".hidden _dl_runtime_profile",
    ".type _dl_runtime_profile, @function",
    ".balign 64",
    "_dl_runtime_profile:",
    plt_frame!(),
    "sub rsp, {size} + 8",
    "and rsp, -64",
    "mov [rbx - 8], rsp",
    "mov [rsp + {integers}], rdx",
    "mov [rsp + {integers} + 8], r8",
    "mov [rsp + {integers} + 16], r9",
    "mov [rsp + {integers} + 24], rcx",
    "mov [rsp + {integers} + 32], rsi",
    "mov [rsp + {integers} + 40], rdi",
    "mov [rsp + {rbp}], rbp",
    "lea r11, [rbx + 24]",
    "mov [rsp + {rsp}], r11",
    "mov [rsp + {rax}], rax",
    "mov [rsp + {r10}], r10",
    "lea rdi, [rsp + {area}]",
    "call {save}",
    "mov rdi, rsp",
    "mov rsi, [rbx + 8]",
    "mov rdx, [rbx + 16]",
    "call {enter}",
    "mov [rsp + {address}], rax",
    "lea rdi, [rsp + {area}]",
    "call {restore}",
    "mov r11, [rsp + {address}]",
    "mov r10, [rsp + {r10}]",
    "mov rax, [rsp + {rax}]",
    "mov rdx, [rsp + {integers}]",
    "mov r8, [rsp + {integers} + 8]",
    "mov r9, [rsp + {integers} + 16]",
    "mov rcx, [rsp + {arguments}]",
    "test rcx, rcx",
    "jns 2f",
    "mov rcx, [rsp + {integers} + 24]",
    "mov rsi, [rsp + {integers} + 32]",
    "mov rdi, [rsp + {integers} + 40]",
    ".cfi_remember_state",
    end_plt_frame!(),
    "jmp r11",
    ".cfi_restore_state",
    "2:",
    "lea rsi, [rbx + 32]",
    "add rcx, 15",
    "and rcx, -16",
    "sub rsp, rcx",
    "mov rdi, rsp",
    "rep movsb",
    "mov rdi, [rbx - 8]",
    "mov rcx, [rdi + {integers} + 24]",
    "mov rsi, [rdi + {integers} + 32]",
    "mov rdi, [rdi + {integers} + 40]",
    "call r11",
    "mov rsp, [rbx - 8]",
    "mov [rsp + {result_rax}], rax",
    "mov [rsp + {result_rdx}], rdx",
    "lea rdi, [rsp + {area}]",
    "call {save}",
    "mov rdi, rsp",
    "mov rsi, [rbx + 8]",
    "mov rdx, [rbx + 16]",
    "call {exit}",
    "lea rdi, [rsp + {area}]",
    "call {restore}",
    "mov rax, [rsp + {result_rax}]",
    "mov rdx, [rsp + {result_rdx}]",
    end_plt_frame!(),
    "ret",
    ".cfi_endproc",
    ".size _dl_runtime_profile, . - _dl_runtime_profile",
    size = const size_of::<Frame>(),
    integers = const offset_of!(Frame, registers) + offset_of!(Registers, integers),
    rbp = const offset_of!(Frame, registers) + offset_of!(Registers, rbp),
    rsp = const offset_of!(Frame, registers) + offset_of!(Registers, rsp),
    rax = const offset_of!(Frame, rax),
    r10 = const offset_of!(Frame, r10),
    arguments = const offset_of!(Frame, arguments),
    address = const offset_of!(Frame, address),
    result_rax = const offset_of!(Frame, returned) + offset_of!(Returned, rax),
    result_rdx = const offset_of!(Frame, returned) + offset_of!(Returned, rdx),
    area = const offset_of!(Frame, area),
    save = sym vector_state::save,
    restore = sym vector_state::restore,
    enter = sym enter,
    exit = sym exit,
);

/// The call begins; returns where it leads.
unsafe extern "C" fn enter(frame: *mut Frame, link_map: u64, index: u64) -> u64 {
    // SAFETY: the stub's frame, and the PLT's words, which relocation has filled in.
    unsafe { plt::enter(process(), &mut *frame, link_map, index) }
}

/// The function has returned.
unsafe extern "C" fn exit(frame: *mut Frame, link_map: u64, index: u64) {
    // SAFETY: as above.
    unsafe { plt::exit(process(), &mut *frame, link_map, index) }
}
