//! dl_iterate_phdr(3) for processes without glibc, whose own walks the same list.
//!
//! # Safety
//!
//! The caller holds the lock of the list, so that the link maps in it, and their objects, stay.
#![allow(unsafe_code)]

use core::ffi::c_char;
use core::sync::atomic::Ordering;

use super::debugger;
use super::locks::while_reading;
use super::process::Process;
use crate::abi::glibc::link_maps;
use crate::linkmap::LinkMap;
use crate::object::Role;
use crate::tls::thread;

/// `struct dl_phdr_info` of `<link.h>`.
#[repr(C)]
#[derive(Debug)]
pub struct Info {
    base: u64,
    name: *const c_char,
    phdr: u64,
    phnum: u16,
    /// How many objects have come since the start, and how many have gone.
    came: u64,
    went: u64,
    /// The TLS module's id, and the calling thread's block of it; 0 if it has none.
    module: u64,
    block: u64,
}

/// The first link map of the namespace of the code at `caller`.
#[must_use]
pub fn first(process: &Process, caller: u64) -> u64 {
    let caller = process.find_code(caller).map(|place| place.object);
    let space = while_reading(|| {
        caller.and_then(|id| Some(process.world().life(id)?.space)).unwrap_or(LinkMap::BASE)
    });
    debugger::first(process, space)
}

/// The link map behind another; 0 at the end of the list.
///
/// # Safety
/// As this file's head says.
#[must_use]
pub unsafe fn next(link_map: u64) -> u64 {
    // SAFETY: `l_next` is one of the fields that are public, at the same place in all releases.
    unsafe { (link_map as *const u64).add(3).read() }
}

/// What is said of an object; nothing of rld beside musl, which is its programs' loader.
///
/// # Safety
/// As this file's head says.
#[must_use]
pub unsafe fn info(process: &Process, link_map: u64) -> Option<Info> {
    // SAFETY: as the caller promises.
    let id = unsafe { link_maps::object_at(link_map) };
    while_reading(|| {
        let world = process.world();
        let object = world.map.get(id)?;
        if object.role == Role::Loader && process.facts.musl.is_some() {
            return None;
        }
        let module = world.tls.module(id).map_or(0, |module| module.id);
        let [came, went] = process.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        Some(Info {
            base: object.image.bias.0,
            name: object.name.as_ptr(),
            phdr: object.phdr.0,
            phnum: object.phnum,
            came,
            went,
            module,
            // SAFETY: the calling thread has a DTV.
            block: unsafe { thread::existing_block(module) },
        })
    })
}
