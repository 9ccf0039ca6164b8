//! LD_DEBUG and LD_DEBUG_OUTPUT.

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;

use super::terms::{STDERR, STDOUT, Stop, warn};
use crate::env::Settings;
use crate::sys::file::{self, Fd};
use crate::sys::process;
use crate::trace::debug;
use crate::trace::options::{self, Request};
use crate::trace::sink::Target;

/// Begins to show what LD_DEBUG asks for. `program` is what the program is called.
///
/// # Errors
/// The list of names is asked for, and was printed.
pub fn begin(settings: &Settings<'_>, program: &'static [u8]) -> Result<(), Stop> {
    if settings.debug.is_empty() {
        return Ok(());
    }
    let request = Request::parse(&settings.debug);
    warn(request.warnings());
    if request.help {
        file::write_all(STDOUT, options::help().as_bytes());
        return Err(Stop::Exit(0));
    }
    if !request.topics.is_empty() {
        debug::begin(request.topics, target(settings.debug_output), program);
    }
    Ok(())
}

/// Where lines go. A file that cannot be made gives way to standard output, as under ld.so.
fn target(output: Option<&[u8]>) -> Target {
    let Some(output) = output else { return Target::Descriptor(STDERR) };
    let path = absolute(output).filter(|path| Fd::append(path).is_ok());
    path.map_or(Target::Descriptor(STDOUT), Target::File)
}

/// The path with the process's number, which means the same when the program has changed its directory.
fn absolute(output: &[u8]) -> Option<&'static CStr> {
    let mut path = Vec::new();
    if !output.starts_with(b"/") {
        let mut buffer = vec![0; libc::PATH_MAX as usize];
        path.extend_from_slice(file::current_dir(&mut buffer).ok()?);
        path.push(b'/');
    }
    path.extend_from_slice(output);
    path.extend_from_slice(alloc::format!(".{}", process::id()).as_bytes());
    Some(Box::leak(CString::new(path).ok()?.into_boxed_c_str()))
}
