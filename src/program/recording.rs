//! RLD_TRACE and `--trace`; and calls of dlopen(3), from their beginning to their end.
//!
//! # Safety
//!
//! The vDSO is the kernel's.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::vec;
use core::ffi::CStr;
use core::fmt::Display;

use super::command::Job;
use super::prepare::vdso_function;
use super::process::Process;
use super::terms::warn;
use super::tracing::absolute;
use crate::env::Settings;
use crate::errno::Errno;
use crate::error::Error;
use crate::linkmap::LinkMap;
use crate::object::{Object, Role};
use crate::sys::clock;
use crate::sys::file::{self, Fd};
use crate::sys::stack::InitialStack;
use crate::text::Text;
use crate::trace::{self, Event, Label, Topics, json};

/// Begins a trace, if one is asked for and a program is to be started.
pub fn begin(settings: &Settings<'_>, job: &Job, stack: &InitialStack) {
    let Some(path) = job.trace().or(settings.trace) else { return };
    let Some((program, arguments)) = job.program_and_arguments(stack) else { return };
    let file = absolute(path, b"").ok_or(Errno::ENOENT.words());
    match file.and_then(|file| accepts(file).map(|()| file)) {
        Ok(file) => json::begin(file, program.map_or_else(own_path, CStr::to_bytes), arguments),
        Err(why) => {
            let (path, why) = (Text(path), why.unwrap_or("unknown error"));
            warn([alloc::format!("warning: no trace is written to '{path}': {why}")].into_iter());
        }
    }
}

/// Whether lines can be appended to a file, or why not. Who reads a pipe would see its end after each write, and might
/// be gone at the next.
fn accepts(file: &CStr) -> Result<(), Option<&'static str>> {
    match Fd::append(file) {
        Ok(fd) if fd.status().is_ok_and(|status| status.is_pipe()) => Err(Some("it is a pipe")),
        Ok(_) => Ok(()),
        Err(Errno(libc::ENXIO)) => Err(Some("it is a pipe or a socket")),
        Err(Errno(libc::ELOOP)) => Err(Some("it is a symbolic link")),
        Err(errno) => Err(errno.words()),
    }
}

/// Where the program is that the kernel has mapped. AT_EXECFN would name a script, not what runs it.
fn own_path() -> &'static [u8] {
    let buffer = vec![0; libc::PATH_MAX as usize].leak();
    file::read_link(c"/proc/self/exe", buffer).unwrap_or(b"(unknown)")
}

/// Tells what the kernel has mapped; from now on, the vDSO tells the time.
#[cold]
pub fn begin_map(map: &LinkMap<'static>, job: &Job) {
    if let Some(vdso) = map.by_role(Role::Vdso).and_then(|id| map.get(id)) {
        let function = vdso_function(vdso, b"__vdso_clock_gettime");
        // SAFETY: the kernel's vDSO defines it so.
        unsafe { clock::use_function(function.unwrap_or_default()) };
    }
    let is_told = |object: &Object<'_>| job.is_direct() && object.role == Role::Program;
    for (_, object) in map.objects.iter().filter(|(_, object)| !is_told(object)) {
        trace::tell(Topics::FILES, || object.found());
    }
}

/// A dlopen(3) that somebody wants to know of.
pub struct OpenCall {
    name: Box<[u8]>,
    since: u64,
}

impl OpenCall {
    /// Tells that the call begins, if somebody listens.
    #[inline]
    #[must_use]
    pub fn begins(name: &[u8]) -> Option<Self> {
        trace::on(Topics::REQUESTS).then(|| Self::told(name))
    }

    #[cold]
    fn told(name: &[u8]) -> Self {
        trace::emit(&Event::OpenBegins { name });
        Self { name: name.into(), since: trace::now() }
    }

    /// Tells that an object was opened and initialised. The caller holds the loader's lock.
    #[cold]
    pub fn ends(self, process: &Process, link_map: u64) {
        let world = process.world();
        let object = world.link_maps.object(link_map).and_then(|id| world.map.get(id));
        self.end(object.map(|object| object.label()), None);
    }

    /// Tells that nothing was.
    #[cold]
    pub fn fails(self, error: &Error) {
        self.end(None, Some(error));
    }

    fn end(self, object: Option<Label<'_>>, error: Option<&Error>) {
        let Self { name, since } = self;
        // Who asks whether an object is loaded (RTLD_NOLOAD) makes no mistake.
        let error = error.filter(|error| !error.problem.is_silent()).map(Error::in_full);
        let error = error.as_ref().map(|words| words as &dyn Display);
        trace::emit(&Event::OpenEnds { name: &name, object, error, since });
        trace::flush();
    }
}
