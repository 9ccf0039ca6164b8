//! Auditors are found, opened, and asked which version of the interface they speak.
//!
//! # Safety
//!
//! The functions are those that the auditor exports; its initialisers have run.
#![allow(unsafe_code)]

use alloc::vec::Vec;
use core::ffi::{CStr, c_uint};

use super::super::close;
use super::super::names;
use super::super::open::{self, For, NEW, Request};
use super::super::process::Process;
use super::super::terms::{passed_over, short, warn};
use super::{Functions, VERSION};
use crate::env::{Settings, preload_names};
use crate::error::{Error, Problem};
use crate::init;
use crate::object::Object;
use crate::text::Text;
use crate::trace;

/// Two bits for each auditor must fit a word.
const MOST: usize = 32;

/// The names of all auditors that are wanted: LD_AUDIT and `--audit`, then the program's DT_AUDIT and DT_DEPAUDIT. In
/// secure mode the program's alone count, under the rules for preloading. Those that are too many are refused, and all
/// where the program is one of musl's: the auditors' own C library would be a second one.
#[must_use]
pub fn wanted<'n>(
    settings: &Settings<'n>,
    program: &Object<'n>,
    secure: bool,
    is_musl: bool,
) -> Vec<&'n [u8]> {
    let own = [program.dynamic.audit, program.dynamic.depaudit].map(|at| program.string(at));
    let lists = settings.audit.iter().copied().chain(own.into_iter().flatten());
    let names = lists.flat_map(|list| list.split(|&byte| byte == b':'));
    // A name with a space is one name here.
    let is_valid = |name: &&[u8]| !secure || preload_names(name, true).next() == Some(name);
    let mut names: Vec<_> = names.filter(|name| !name.is_empty()).filter(is_valid).collect();
    let (room, reason) = match is_musl {
        false => (MOST, alloc::format!("more than {MOST} auditors")),
        true => (0, "a program of musl has none".into()),
    };
    let too_many = names.split_off(names.len().min(room));
    refuse(&too_many, &Error::new(b"", Problem::Sentence(reason)));
    names
}

/// Opens an auditor. What is wrong with it is said; the program starts without it.
///
/// # Safety
/// The process has one thread, and what code may ask for is in place.
pub unsafe fn load(process: &Process, name: &[u8], secure: bool) {
    let caller = process.facts.entries.audited.0;
    let purpose = if secure { For::SecureAudit } else { For::Audit };
    let request = Request { name, mode: libc::RTLD_LAZY, caller, namespace: NEW, purpose };
    process.begin();
    let result = open::open(process, &request);
    let outcome = result.map_err(Some).and_then(|opened| {
        let mut calls = opened.calls;
        while let Some(function) = calls.next(process) {
            trace::flush();
            // SAFETY: an initialiser, whose turn it is.
            unsafe { init::call(function, process.facts.arguments) };
        }
        // SAFETY: the auditor is initialised.
        unsafe { shake_hands(process, opened.link_map, name) }.inspect_err(|_| {
            // It was opened just now.
            let _ = close::close(process, opened.link_map);
        })
    });
    process.end();
    if let Err(Some(error)) = outcome {
        refuse(&[name], &error);
    }
}

/// Says why auditors cannot be loaded.
pub(super) fn refuse(names: &[&[u8]], error: &Error) {
    let reason = short(&error.problem);
    warn(names.iter().map(|name| {
        let name = Text(name);
        let line = alloc::format!(
            "ERROR: ld.so: object '{name}' cannot be loaded as audit interface: {reason}; ignored."
        );
        passed_over(line, error)
    }));
}

/// Asks for the version, and takes the auditor among those who are told. What is wrong has been said, or is
/// returned. Of an auditor that wants nothing, and answers 0, nothing is said.
///
/// # Safety
/// The auditor is initialised.
unsafe fn shake_hands(process: &Process, handle: u64, name: &[u8]) -> Result<(), Option<Error>> {
    let function = |name: &CStr| names::exported(process, handle, name);
    let Some(version) = function(c"la_version") else {
        let error = Error::words(name, "undefined symbol: la_version");
        return Err(Some(error.with("an auditor has that function, see rtld-audit(7)")));
    };
    trace::flush();
    // SAFETY: as the caller promises.
    let version = unsafe {
        core::mem::transmute::<u64, unsafe extern "C" fn(c_uint) -> c_uint>(version)(VERSION)
    };
    if version == 0 {
        return Err(None);
    }
    if version > VERSION {
        let (number, name) = (crate::sys::process::id(), Text(name));
        warn(core::iter::once(alloc::format!(
            "{number:10}:\tERROR: audit interface '{name}' requires version {version} (maximum \
             supported version {VERSION}); ignored."
        )));
        return Err(None);
    }
    let world = process.world();
    let id = world.link_maps.object(handle);
    let space = id.and_then(|id| world.life(id)).map_or(0, |life| life.space);
    // SAFETY: the functions have the types that the interface gives them.
    let functions = unsafe {
        Functions {
            activity: typed(function(c"la_activity")),
            objsearch: typed(function(c"la_objsearch")),
            objopen: typed(function(c"la_objopen")),
            objclose: typed(function(c"la_objclose")),
            preinit: typed(function(c"la_preinit")),
            symbind: typed(function(c"la_symbind64")),
            pltenter: typed(function(c"la_x86_64_gnu_pltenter")),
            pltexit: typed(function(c"la_x86_64_gnu_pltexit")),
        }
    };
    process.auditors.add(space, functions);
    Ok(())
}

/// A function at an address.
///
/// # Safety
/// `F` is the type of a function, and that of this one.
unsafe fn typed<F>(address: Option<u64>) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<u64>()) };
    // SAFETY: as the caller promises; the sizes are equal.
    address.map(|address| unsafe { core::mem::transmute_copy(&address) })
}
