//! What stands in the place of musl's own functions, and the way into its libc.so and out again.
//!
//! # Safety
//!
//! The signatures are musl's; pointers are the callers' promise, as in C. Stubs that add the caller's address as an
//! argument leave the stack as it is.

use core::arch::naked_asm;
use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::AtomicU64;

use rld::addr::Addr;
use rld::program::musl::{Entries, constructors, state};

use crate::dlfcn::{dladdr, dlerror, dlinfo, dlsym, rld_dlopen};
use crate::exports::process;
use crate::stubs::dynamic_variables;
use crate::{by_name, dlfcn, probes};

/// All of it.
pub fn entries() -> Entries {
    let function = |address: *const ()| Addr(address as u64);
    Entries {
        enter,
        leave: function(leave as *const ()),
        finalise: function(finalise as *const ()),
        dynamic: function(rld_musl_tls_descriptor as *const ()),
        functions: [
            function(start_main as *const ()),
            function(rld_musl_tls_get_addr as *const ()),
            probes::debug_state(),
            function(iterate as *const ()),
            function(dladdr as *const ()),
            function(close as *const ()),
            function(dlerror as *const ()),
            function(dlinfo as *const ()),
            function(open as *const ()),
            function(symbol as *const ()),
        ],
    }
}

// The thread's DTV stands in a word of its own, and there may be none yet.
dynamic_variables!(
    "rld_musl_tls_descriptor",
    "rld_musl_tls_get_addr",
    "mov rdx, [rip + {dtv}]\nmov rdx, qword ptr fs:[rdx]\ntest rdx, rdx\nje 2f",
    dtv = rld::tls::thread::DTV
);

unsafe extern "C" {
    fn rld_musl_tls_descriptor();
    fn rld_musl_tls_get_addr();
}

/// The stack that [`enter`] was called on, with the registers that a function keeps.
static LEFT: AtomicU64 = AtomicU64::new(0);

/// Enters musl on another stack. musl does not return: it jumps to [`leave`], which returns in its place.
#[unsafe(naked)]
unsafe extern "C" fn enter(_stack: u64, _entry: u64) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rip + {left}], rsp",
        "mov rsp, rdi",
        "xor ebp, ebp",
        "xor edx, edx",
        "jmp rsi",
        left = sym LEFT,
    )
}

/// The entry point of the program that musl is started on.
#[unsafe(naked)]
unsafe extern "C" fn leave() {
    naked_asm!(
        "mov rsp, [rip + {left}]",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        left = sym LEFT,
    )
}

/// `__libc_start_main`: musl's own, which initialises itself, with a `main` that initialises all others first.
#[unsafe(naked)]
unsafe extern "C" fn start_main() {
    naked_asm!(
        "push rdi",
        "push rsi",
        "push rdx",
        "push rcx",
        "push r8",
        "sub rsp, 16",
        "mov [rsp], r9",
        "call {begin}",
        "mov r9, [rsp]",
        "add rsp, 16",
        "pop r8",
        "pop rcx",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "lea rdi, [rip + {main}]",
        "jmp rax",
        begin = sym begin_main,
        main = sym first_initialisers,
    )
}

/// Notes the program's `main`; returns the address of musl's function.
extern "C" fn begin_main(main: u64) -> u64 {
    state().map_or(0, |(_, musl)| musl.start_main(main))
}

/// The `main` that musl calls: goes on to the program's. Not of that name, which people set breakpoints at.
#[unsafe(naked)]
unsafe extern "C" fn first_initialisers() {
    naked_asm!(
        "push rdi",
        "push rsi",
        "push rdx",
        "call {initialise}",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "jmp rax",
        initialise = sym initialise,
    )
}

/// Calls all initialisers; returns the address of the program's `main`.
unsafe extern "C" fn initialise(
    argc: c_int,
    argv: *mut *mut c_char,
    envp: *mut *mut c_char,
) -> u64 {
    let Some((process, musl)) = state() else { return 0 };
    // SAFETY: musl has called its `main`.
    unsafe { constructors::initialise_all(process, &musl.constructors, (argc, argv, envp)) };
    musl.program_main()
}

/// What musl's exit(3) calls as the finaliser of the program that it was started on.
unsafe extern "C" fn finalise() {
    if let Some((_, musl)) = state() {
        // SAFETY: the program exits.
        unsafe { constructors::finalise_all(&musl.constructors) };
    }
}

/// dlopen(3).
#[unsafe(naked)]
unsafe extern "C" fn open(_file: *const c_char, _mode: c_int) -> *mut c_void {
    naked_asm!("mov rdx, [rsp]", "jmp {open}", open = sym rld_dlopen)
}

/// dlsym(3).
#[unsafe(naked)]
unsafe extern "C" fn symbol(_handle: u64, _name: *const c_char) -> u64 {
    naked_asm!("mov rdx, [rsp]", "jmp {symbol}", symbol = sym dlsym)
}

/// dl_iterate_phdr(3).
#[unsafe(naked)]
unsafe extern "C" fn iterate() -> c_int {
    naked_asm!("mov rdx, [rsp]", "jmp {iterate}", iterate = sym by_name::iterate)
}

/// dlclose(3): nothing is unloaded under musl, where objects' functions may be called at the very end.
unsafe extern "C" fn close(handle: u64) -> c_int {
    dlfcn::check_handle(process(), handle)
}
