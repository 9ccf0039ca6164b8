//! Where debuggers stop. All of it is assembly, so that it has no language of its own: who stops here goes on to speak
//! the program's.
//!
//! # Safety
//!
//! The functions do nothing. The notes (SystemTap's `stapsdt`, version 3) hold the address of a `nop`, an address by
//! which moved files are recognised, provider, name, and where the arguments are.

use core::arch::global_asm;

use rld::addr::Addr;

macro_rules! probe {
    ($function:literal, $name:literal, $arguments:literal) => {
        global_asm!(
            ".text",
            concat!(".globl ", $function),
            concat!(".hidden ", $function),
            concat!(".type ", $function, ", @function"),
            concat!($function, ":"),
            ".cfi_startproc",
            "990: nop",
            "ret",
            ".cfi_endproc",
            concat!(".size ", $function, ", . - ", $function),
            ".pushsection .note.stapsdt, \"\", @note",
            ".balign 4",
            ".4byte 992f - 991f, 994f - 993f, 3",
            "991: .asciz \"stapsdt\"",
            "992: .balign 4",
            "993: .8byte 990b",
            ".8byte _.stapsdt.base",
            ".8byte 0",
            ".asciz \"rtld\"",
            concat!(".asciz \"", $name, "\""),
            concat!(".asciz \"", $arguments, "\""),
            "994: .balign 4",
            ".popsection",
        );
    };
}

probe!("rld_probe_init_start", "init_start", "-8@%rdi 8@%rsi");
probe!("rld_probe_init_complete", "init_complete", "-8@%rdi 8@%rsi");
probe!("rld_probe_map_start", "map_start", "-8@%rdi 8@%rsi");
probe!("rld_probe_map_failed", "map_failed", "-8@%rdi 8@%rsi");
probe!("rld_probe_map_complete", "map_complete", "-8@%rdi 8@%rsi 8@%rdx");
probe!("rld_probe_reloc_complete", "reloc_complete", "-8@%rdi 8@%rsi 8@%rdx");
probe!("rld_probe_unmap_start", "unmap_start", "-8@%rdi 8@%rsi");
probe!("rld_probe_unmap_complete", "unmap_complete", "-8@%rdi 8@%rsi");

global_asm!(
    ".pushsection .stapsdt.base, \"aR\", @progbits",
    ".weak _.stapsdt.base",
    ".hidden _.stapsdt.base",
    "_.stapsdt.base: .space 1",
    ".size _.stapsdt.base, 1",
    ".popsection",
    ".text",
    ".globl _dl_debug_state",
    ".type _dl_debug_state, @function",
    "_dl_debug_state:",
    ".cfi_startproc",
    "ret",
    ".cfi_endproc",
    ".size _dl_debug_state, . - _dl_debug_state",
    // Programs know 40 bytes of it; debuggers find a sixth word, which leads to other namespaces.
    ".pushsection .bss",
    ".globl _r_debug",
    ".type _r_debug, @object",
    ".balign 16",
    "_r_debug: .zero 48",
    ".size _r_debug, 40",
    ".popsection",
);

unsafe extern "C" {
    /// A breakpoint for debuggers.
    static _dl_debug_state: u8;
    /// For debuggers.
    static _r_debug: u8;
    static rld_probe_init_complete: u8;
    static rld_probe_map_start: u8;
    static rld_probe_map_complete: u8;
    static rld_probe_reloc_complete: u8;
    static rld_probe_unmap_start: u8;
    static rld_probe_unmap_complete: u8;
}

/// Where `_dl_debug_state` is.
pub fn debug_state() -> Addr {
    Addr(&raw const _dl_debug_state as u64)
}

/// Where `_r_debug` is.
pub fn r_debug() -> Addr {
    Addr(&raw const _r_debug as u64)
}

/// Where the probes are, in the order of [`rld::abi::glibc::exports::Probe`].
pub fn probes() -> [Addr; 6] {
    [
        Addr(&raw const rld_probe_init_complete as u64),
        Addr(&raw const rld_probe_map_start as u64),
        Addr(&raw const rld_probe_map_complete as u64),
        Addr(&raw const rld_probe_reloc_complete as u64),
        Addr(&raw const rld_probe_unmap_start as u64),
        Addr(&raw const rld_probe_unmap_complete as u64),
    ]
}
