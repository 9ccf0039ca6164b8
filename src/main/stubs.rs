//! Code that compilers and link editors call with conventions of their own: TLS descriptors, `__tls_get_addr`, the PLT.
//!
//! # Safety
//!
//! Each stub keeps the registers that its convention says. The Rust code that they call is compiled for the baseline:
//! it changes no more of a vector register than the lower half, so that only that is saved.

use core::arch::{global_asm, naked_asm};

use rld::program::bind;
use rld::tls::thread::{self, Index};

use crate::exports::process;

/// Begins a stub that a PLT jumps to, with the link map and the index of the relocation above the return address: rbx
/// stays the stack pointer of the entry, with rbx itself below both.
macro_rules! plt_frame {
    () => {
        concat!(
            ".cfi_startproc\n",
            ".cfi_adjust_cfa_offset 16\n",
            "push rbx\n",
            ".cfi_adjust_cfa_offset 8\n",
            ".cfi_rel_offset rbx, 0\n",
            "mov rbx, rsp\n",
            ".cfi_def_cfa_register rbx\n",
        )
    };
}

/// Ends it: only the return address is left on the stack.
macro_rules! end_plt_frame {
    () => {
        concat!(
            "mov rsp, rbx\n",
            ".cfi_def_cfa_register rsp\n",
            "pop rbx\n",
            ".cfi_adjust_cfa_offset -8\n",
            ".cfi_restore rbx\n",
            "lea rsp, [rsp + 16]\n",
            ".cfi_adjust_cfa_offset -16\n",
        )
    };
}

/// Stores the lower halves of all vector registers in the 256 bytes at the stack pointer, which is aligned.
macro_rules! keep_vectors {
    () => {
        concat!(
            "movaps [rsp], xmm0\n",
            "movaps [rsp + 16], xmm1\n",
            "movaps [rsp + 32], xmm2\n",
            "movaps [rsp + 48], xmm3\n",
            "movaps [rsp + 64], xmm4\n",
            "movaps [rsp + 80], xmm5\n",
            "movaps [rsp + 96], xmm6\n",
            "movaps [rsp + 112], xmm7\n",
            "movaps [rsp + 128], xmm8\n",
            "movaps [rsp + 144], xmm9\n",
            "movaps [rsp + 160], xmm10\n",
            "movaps [rsp + 176], xmm11\n",
            "movaps [rsp + 192], xmm12\n",
            "movaps [rsp + 208], xmm13\n",
            "movaps [rsp + 224], xmm14\n",
            "movaps [rsp + 240], xmm15\n",
        )
    };
}

/// The inverse of [`keep_vectors`].
macro_rules! give_vectors_back {
    () => {
        concat!(
            "movaps xmm0, [rsp]\n",
            "movaps xmm1, [rsp + 16]\n",
            "movaps xmm2, [rsp + 32]\n",
            "movaps xmm3, [rsp + 48]\n",
            "movaps xmm4, [rsp + 64]\n",
            "movaps xmm5, [rsp + 80]\n",
            "movaps xmm6, [rsp + 96]\n",
            "movaps xmm7, [rsp + 112]\n",
            "movaps xmm8, [rsp + 128]\n",
            "movaps xmm9, [rsp + 144]\n",
            "movaps xmm10, [rsp + 160]\n",
            "movaps xmm11, [rsp + 176]\n",
            "movaps xmm12, [rsp + 192]\n",
            "movaps xmm13, [rsp + 208]\n",
            "movaps xmm14, [rsp + 224]\n",
            "movaps xmm15, [rsp + 240]\n",
        )
    };
}

/// A function of TLS descriptors, and one with the interface of `__tls_get_addr`, for DTVs that are found by `$dtv`:
/// instructions that load rdx, and jump to 2 where a thread has none. Old compilers call the second with a misaligned
/// stack. What they do as a rule fits one cache line.
macro_rules! dynamic_variables {
    ($descriptor:literal, $address:literal, $dtv:expr $(, $operand:ident = $symbol:path)*) => {
        core::arch::global_asm!(
            ".text",
            concat!(".globl ", $descriptor),
            concat!(".hidden ", $descriptor),
            concat!(".type ", $descriptor, ", @function"),
            ".balign 64",
            concat!($descriptor, ":"),
            "push rcx",
            "push rdx",
            "mov rcx, [rax + 8]",
            $dtv,
            "mov rax, [rip + {generation}]",
            "cmp [rdx], rax",
            "jne 2f",
            "mov rax, [rcx]",
            "shl rax, 4",
            "mov rax, [rdx + rax]",
            "cmp rax, -1",
            "je 2f",
            "add rax, [rcx + 8]",
            "sub rax, qword ptr fs:[0]",
            "pop rdx",
            "pop rcx",
            "ret",
            "2:",
            "push rbx",
            "push rsi",
            "push rdi",
            "push r8",
            "push r9",
            "push r10",
            "push r11",
            "mov rbx, rsp",
            "sub rsp, 256",
            "and rsp, -16",
            $crate::stubs::keep_vectors!(),
            "mov rdi, rcx",
            "call {first_use}",
            $crate::stubs::give_vectors_back!(),
            "mov rsp, rbx",
            "pop r11",
            "pop r10",
            "pop r9",
            "pop r8",
            "pop rdi",
            "pop rsi",
            "pop rbx",
            "sub rax, qword ptr fs:[0]",
            "pop rdx",
            "pop rcx",
            "ret",
            concat!(".size ", $descriptor, ", . - ", $descriptor),
            concat!(".globl ", $address),
            concat!(".type ", $address, ", @function"),
            ".balign 16",
            concat!($address, ":"),
            $dtv,
            "mov rax, [rip + {generation}]",
            "cmp [rdx], rax",
            "jne 2f",
            "mov rax, [rdi]",
            "shl rax, 4",
            "mov rax, [rdx + rax]",
            "cmp rax, -1",
            "je 2f",
            "add rax, [rdi + 8]",
            "ret",
            "2:",
            "push rbp",
            "mov rbp, rsp",
            "and rsp, -16",
            "call {first_use}",
            "mov rsp, rbp",
            "pop rbp",
            "ret",
            concat!(".size ", $address, ", . - ", $address),
            generation = sym rld::tls::modules::GENERATION,
            first_use = sym $crate::stubs::first_use,
            $($operand = sym $symbol,)*
        );
    };
}

pub(crate) use {dynamic_variables, end_plt_frame, give_vectors_back, keep_vectors, plt_frame};

/// A TLS descriptor's function for a variable at a fixed offset from the thread pointer. Its convention keeps all
/// registers but rax (TLSDESC for x86-64).
#[unsafe(naked)]
pub unsafe extern "C" fn tls_descriptor_fixed() {
    naked_asm!("mov rax, [rax + 8]", "ret")
}

/// The same for an undefined weak variable: the offset that leads to address 0 plus the addend.
#[unsafe(naked)]
pub unsafe extern "C" fn tls_descriptor_undefined() {
    naked_asm!("mov rax, [rax + 8]", "sub rax, qword ptr fs:[0]", "ret")
}

unsafe extern "C" {
    /// The same for a variable whose block each thread allocates when it first needs it.
    pub fn tls_descriptor_dynamic();
}

dynamic_variables!("tls_descriptor_dynamic", "__tls_get_addr", "mov rdx, qword ptr fs:[8]");

/// A variable whose block the thread does not have yet, or may have to give up.
pub unsafe extern "C" fn first_use(index: *const Index) -> u64 {
    // SAFETY: the caller's index, which relocation has filled in.
    let Index { module, offset } = unsafe { index.read() };
    // SAFETY: the calling thread has a DTV, and the module exists while its code runs.
    unsafe { thread::address(module, offset) }
}

unsafe extern "C" {
    /// What the first entry of a PLT jumps to when a function is called for the first time. Debuggers know the name.
    pub static _dl_runtime_resolve: u8;
}

// On entry the stack holds the link map, the index of the relocation, and the return address. All registers that may
// carry an argument are kept: the psABI's, r10 for nested functions, and vector registers beyond the first eight for
// other conventions.
global_asm!(
    ".text",
    ".globl _dl_runtime_resolve",
    ".hidden _dl_runtime_resolve",
    ".type _dl_runtime_resolve, @function",
    ".balign 64",
    "_dl_runtime_resolve:",
    plt_frame!(),
    "sub rsp, 336",
    "and rsp, -16",
    "mov [rsp + 256], rax",
    "mov [rsp + 264], rcx",
    "mov [rsp + 272], rdx",
    "mov [rsp + 280], rsi",
    "mov [rsp + 288], rdi",
    "mov [rsp + 296], r8",
    "mov [rsp + 304], r9",
    "mov [rsp + 312], r10",
    keep_vectors!(),
    "mov rdi, [rbx + 8]",
    "mov rsi, [rbx + 16]",
    "call {bind}",
    "mov r11, rax",
    give_vectors_back!(),
    "mov rax, [rsp + 256]",
    "mov rcx, [rsp + 264]",
    "mov rdx, [rsp + 272]",
    "mov rsi, [rsp + 280]",
    "mov rdi, [rsp + 288]",
    "mov r8, [rsp + 296]",
    "mov r9, [rsp + 304]",
    "mov r10, [rsp + 312]",
    end_plt_frame!(),
    "jmp r11",
    ".cfi_endproc",
    ".size _dl_runtime_resolve, . - _dl_runtime_resolve",
    bind = sym _dl_fixup,
);

/// Binds a function; debuggers know the name, and stop where it returns to.
#[unsafe(no_mangle)]
unsafe extern "C" fn _dl_fixup(link_map: u64, index: u64) -> u64 {
    // SAFETY: the PLT's words, which relocation has filled in.
    unsafe { bind::bind(process(), link_map, index) }
}
