//! dladdr(3) and dlinfo(3).
//!
//! # Safety
//!
//! Structures of the caller are written as `<dlfcn.h>` has them. The caller holds the loader's lock,
//! or reads ([`while_reading`](super::locks::while_reading)).
#![allow(unsafe_code)]

use alloc::vec::Vec;
use core::ffi::{c_char, c_int};

use super::process::Process;
use super::world::World;
use crate::addr::{Addr, ObjectId};
use crate::elf::hash::HashTable;
use crate::elf::symbol::{Binding, Symbol};
use crate::error::{Error, Result};
use crate::linkmap::chain;
use crate::object::{Object, Role};
use crate::tls::thread;

/// What lies at an address.
pub struct Place {
    /// The object's path.
    pub file: *const c_char,
    /// Its first byte.
    pub base: u64,
    /// The symbol's name; null if none covers the address.
    pub name: *const c_char,
    /// The symbol's address.
    pub address: u64,
    /// Its entry in the symbol table; 0 if there is none.
    pub entry: u64,
    /// The object's link map.
    pub link_map: u64,
}

/// The object that holds an address, and the symbol that covers it. `None` outside all objects.
#[must_use]
pub fn at(process: &Process, address: u64) -> Option<Place> {
    let code = process.find_code(address)?;
    let object = process.world().map.get(code.object)?;
    if !object.image.holds(Addr(address)) {
        return None;
    }
    let name: *const c_char = match object.role {
        Role::Program => process.facts.name.as_ptr().cast(),
        _ => object.name.as_ptr(),
    };
    let place = Place {
        file: name,
        base: code.start,
        name: core::ptr::null(),
        address: 0,
        entry: 0,
        link_map: code.link_map,
    };
    let Some((index, symbol)) = covering(object, address) else { return Some(place) };
    let name = object.exports.strings.place(symbol.name);
    let table = object.dynamic.symtab.map_or(0, |table| object.image.address(table).0);
    Some(Place {
        name: name.cast(),
        address: address_of(object, &symbol),
        entry: table + u64::from(index) * 24,
        ..place
    })
}

fn address_of(object: &Object<'_>, symbol: &Symbol) -> u64 {
    object.image.address(symbol.vaddr()).0
}

/// The symbol that covers an address and starts last; of several, the first in the order of the hash table.
fn covering(object: &Object<'_>, address: u64) -> Option<(u32, Symbol)> {
    let exports = &object.exports;
    let mut best: Option<(u32, Symbol)> = None;
    let mut offer = |index: u32| {
        let Some(symbol) = exports.symbols.get(index as usize) else { return };
        let start = address_of(object, &symbol);
        let is_marker = symbol.is_undefined() || symbol.size == 0;
        let covers = match address.checked_sub(start) {
            Some(0) => is_marker || symbol.size != 0,
            Some(offset) => offset < symbol.size,
            None => false,
        };
        let is_later = best.is_none_or(|(_, best)| best.value < symbol.value);
        let counts = (!symbol.is_undefined() || symbol.value != 0)
            && !symbol.is_absolute()
            && !symbol.is_tls();
        if counts && covers && is_later && exports.strings.get(symbol.name).is_some() {
            best = Some((index, symbol));
        }
    };
    match &exports.hash {
        HashTable::Gnu(table) => table.entries().for_each(|(index, _)| offer(index)),
        HashTable::Sysv(table) => (0..table.symbols() as u32)
            .filter(|&index| {
                let symbol = exports.symbols.get(index as usize);
                symbol.is_some_and(|it| matches!(it.binding(), Binding::Global | Binding::Weak))
            })
            .for_each(offer),
        HashTable::None => {}
    }
    best
}

/// Requests of dlinfo(3).
mod request {
    use core::ffi::c_int;
    pub const LMID: c_int = 1;
    pub const LINKMAP: c_int = 2;
    pub const SERINFO: c_int = 4;
    pub const SERINFOSIZE: c_int = 5;
    pub const ORIGIN: c_int = 6;
    pub const TLS_MODID: c_int = 9;
    pub const TLS_DATA: c_int = 10;
    pub const PHDR: c_int = 11;
}

/// Answers a request about an object. Returns 0, or the number of program headers where they were asked for.
///
/// # Errors
/// The handle or the request is none.
///
/// # Safety
/// `answer` has the type that the request wants.
pub unsafe fn ask(process: &Process, handle: u64, what: c_int, answer: *mut u64) -> Result<c_int> {
    let world = process.world();
    let id = world.link_maps.object(handle);
    let found = id.and_then(|id| Some((id, world.map.get(id)?)));
    let (id, object) =
        found.ok_or_else(|| Error::bad_handle("invalid handle", "dlinfo", handle))?;
    let module = || world.tls.module(id).map_or(0, |module| module.id);
    let mut result = 0;
    // SAFETY: as the caller promises.
    unsafe {
        match what {
            request::LMID => *answer = world.life(id).map_or(0, |life| life.space as u64),
            request::LINKMAP => *answer = handle,
            request::SERINFO => serinfo(process, world, id, answer.cast(), false),
            request::SERINFOSIZE => serinfo(process, world, id, answer.cast(), true),
            request::ORIGIN => {
                let origin = match object.role {
                    Role::Program => process.facts.searching.program_origin(&world.map),
                    _ => object.directory(),
                };
                let to = answer.cast::<u8>();
                to.copy_from_nonoverlapping(origin.as_ptr(), origin.len());
                to.add(origin.len()).write(0);
            }
            request::TLS_MODID => *answer = module(),
            request::TLS_DATA => *answer = thread::existing_block(module()),
            request::PHDR => {
                *answer = object.phdr.0;
                result = object.phnum.into();
            }
            _ => {
                let error = Error::words(b"", "unsupported dlinfo request");
                return Err(error.with(alloc::format!("request = {what}")));
            }
        }
    }
    Ok(result)
}

/// `Dl_serinfo` of `<dlfcn.h>`: size, count, then one `Dl_serpath` for each directory, of 16 bytes.
#[repr(C)]
pub struct Serinfo {
    size: u64,
    count: u32,
    paths: [(u64, u32); 0],
}

/// Writes the directories that are looked into for an object, or with `counting` how much room they take.
///
/// # Safety
/// `info` has room for what was counted before.
pub unsafe fn serinfo(
    process: &Process,
    world: &World,
    id: ObjectId,
    info: *mut Serinfo,
    counting: bool,
) {
    let searching = &process.facts.searching;
    let origin = searching.program_origin(&world.map);
    let mut search = searching.take(origin);
    let owners = chain(&world.map, Some(id), process.facts.name, origin);
    let places: Vec<Vec<u8>> = search
        .places(&owners)
        .map(|(_, directory)| match directory {
            b"/" => directory.to_vec(),
            directory => directory.strip_suffix(b"/").unwrap_or(directory).to_vec(),
        })
        .collect();
    drop(owners);
    searching.give_back(search);
    const HEADER: usize = 16;
    let strings = HEADER + places.len() * 16;
    // SAFETY: as the caller promises.
    unsafe {
        if counting {
            let text: usize = places.iter().map(|path| path.len() + 1).sum();
            (*info).size = (strings + text) as u64;
            (*info).count = u32::try_from(places.len()).unwrap_or_default();
            return;
        }
        let start = info.cast::<u8>();
        let mut text = start.add(strings);
        for (at, path) in places.iter().take((*info).count as usize).enumerate() {
            text.copy_from_nonoverlapping(path.as_ptr(), path.len());
            text.add(path.len()).write(0);
            let entry = start.add(HEADER + at * 16);
            entry.cast::<u64>().write(text as u64);
            // glibc never says by which rule.
            entry.add(8).cast::<u32>().write(0);
            text = text.add(path.len() + 1);
        }
    }
}
