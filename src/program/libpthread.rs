//! What libpthread.so.0 does for its loader up to glibc 2.33, because nobody else knows the threads: it leaves
//! functions in `_rtld_global` when it is initialised, at the start or when it is opened later (contract 5.2).
//!
//! # Safety
//!
//! The words are null until libpthread.so.0 writes its functions there, which are called as glibc's loader calls them.
#![allow(unsafe_code)]

use super::process::Process;
use super::process::projections::Projection;
use crate::abi::glibc::layout::RtldGlobal;
use crate::errno::Errno;

/// The function that a word of `_rtld_global` holds.
fn function(process: &Process, place: impl Fn(&RtldGlobal) -> Option<u16>) -> Option<u64> {
    let Projection { layout, global, .. } = process.projection()?;
    global.get(place(&layout.rtld_global)?).filter(|&address| address != 0)
}

/// Copies the image of a module's variables to the static area of every thread. Returns whether that is done.
#[must_use]
pub fn fill_static_tls(process: &Process, link_map: u64) -> bool {
    let Some(fill) = function(process, |at| at.init_static_tls) else { return false };
    // SAFETY: libpthread's function, which reads the module's place and image from its link map.
    unsafe { core::mem::transmute::<u64, extern "C" fn(u64)>(fill)(link_map) };
    true
}

/// Makes the stacks of all threads executable. `None` where there is no libpthread.so.0 to do so.
#[must_use]
pub fn open_stacks(process: &Process, mut stack_end: u64) -> Option<Result<(), Errno>> {
    let open = function(process, |at| at.make_stack_executable_hook)?;
    // SAFETY: libpthread's function, which calls `_dl_make_stack_executable` for the main thread's stack.
    let error = unsafe {
        core::mem::transmute::<u64, extern "C" fn(*mut u64) -> i32>(open)(&mut stack_end)
    };
    Some(if error == 0 { Ok(()) } else { Err(Errno(error)) })
}
