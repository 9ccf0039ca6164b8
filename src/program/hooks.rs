//! The pointers through which libdl.so.2 and libc.so.6 reach dlopen(3) and its family up to glibc 2.33, where
//! GLRO(init_all_dirs) is null (contract 7.4).
//!
//! # Safety
//!
//! The pointers are variables of glibc's libraries in memory that may be written. No code of the library has run.
#![allow(unsafe_code)]

use super::process::Process;
use crate::abi::glibc;
use crate::object::Object;

/// Lets the pointers of a library lead to rld's functions, if it has any.
pub fn set(process: &Process, object: &Object<'static>) {
    if process.layout().is_none_or(|layout| layout.has_dlfcn_hook()) {
        return;
    }
    let functions = &process.facts.exports.functions;
    let pointers: &[(&[u8], _)] = match object.soname {
        Some(glibc::SONAME) => {
            &[(b"_dl_open_hook", functions.open_hook), (b"_dl_open_hook2", functions.open_hook)]
        }
        Some(b"libdl.so.2") => &[(b"_dlfcn_hook", functions.dlfcn_hook)],
        _ => return,
    };
    for (name, table) in pointers {
        if let Some(pointer) = glibc::libc_variable(object, name, b"GLIBC_PRIVATE") {
            // SAFETY: a pointer of the library's, in memory that may be written.
            unsafe { (pointer.0 as *mut u64).write_unaligned(table.0) };
        }
    }
}
