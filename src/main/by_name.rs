//! dlopen(3) and its family for callers that know them by name: code without a libc, and with a libc that has no table
//! of them.
//!
//! They are exported under a version of their own and not as its default, so that neither link editors nor lookups
//! without a version see them: glibc's programs have glibc's. `Run::with_provider` says who does.
//!
//! # Safety
//!
//! The signatures are those of `<dlfcn.h>` and `<link.h>`; strings and structures are the callers' promise, as in C.
//! Each stub leaves the arguments where they are, adds the return address where its function wants the caller's, and
//! jumps, so that the stack is as the caller left it.

use core::arch::global_asm;
use core::ffi::{c_int, c_void};

use rld::program::iterate::{self, Info};
use rld::program::locks::Lock;

use crate::dlfcn::{dladdr, dladdr1, dlclose, dlerror, dlinfo, dlmopen, dlsym, dlvsym, rld_dlopen};
use crate::exports::{find_object, process};

/// A stub that jumps to a function, after the instructions that are given.
macro_rules! stubs {
    ($($name:literal => $function:ident $(, $add_caller:literal)?;)*) => {$(
        global_asm!(
            ".text",
            concat!(".globl rld_named_", $name),
            concat!(".type rld_named_", $name, ", @function"),
            concat!(".symver rld_named_", $name, ", ", $name, "@RLD, remove"),
            concat!("rld_named_", $name, ":"),
            ".cfi_startproc",
            $($add_caller,)?
            "jmp {function}",
            ".cfi_endproc",
            concat!(".size rld_named_", $name, ", . - rld_named_", $name),
            function = sym $function,
        );
    )*};
}

stubs! {
    "dlopen" => rld_dlopen, "mov rdx, [rsp]";
    "dlmopen" => dlmopen, "mov rcx, [rsp]";
    "dlclose" => dlclose;
    "dlsym" => dlsym, "mov rdx, [rsp]";
    "dlvsym" => dlvsym, "mov rcx, [rsp]";
    "dlerror" => dlerror;
    "dladdr" => dladdr;
    "dladdr1" => dladdr1;
    "dlinfo" => dlinfo;
    "dl_iterate_phdr" => iterate, "mov rdx, [rsp]";
    "_dl_find_object" => find_object;
}

/// dl_iterate_phdr(3): the objects of the caller's namespace, until `callback` answers anything but 0. A callback may
/// open and close objects, but not close the one that it is told of.
pub unsafe extern "C" fn iterate(
    callback: unsafe extern "C" fn(*mut Info, usize, *mut c_void) -> c_int,
    data: *mut c_void,
    caller: u64,
) -> c_int {
    let process = process();
    let _held = process.locks.hold(Lock::Write);
    let mut link_map = iterate::first(process, caller);
    while link_map != 0 {
        // SAFETY: the list's lock is held, and its objects stay while it is.
        if let Some(mut info) = unsafe { iterate::info(process, link_map) } {
            // SAFETY: the caller's function.
            let answer = unsafe { callback(&raw mut info, size_of::<Info>(), data) };
            if answer != 0 {
                return answer;
            }
        }
        // SAFETY: as above.
        link_map = unsafe { iterate::next(link_map) };
    }
    0
}
