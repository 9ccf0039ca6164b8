//! Lookups that libc makes through its loader: dlsym(3) and the vDSO's functions (contract 7, lookup_symbol_x).
//!
//! # Safety
//!
//! Scopes, versions and link maps are in glibc's form in memory; they are the caller's promise. The scopes that rld has
//! written itself are arrays of its own link maps.
#![allow(unsafe_code)]

use alloc::vec::Vec;
use core::ffi::{CStr, c_char, c_int};

use super::process::Process;
use crate::elf::symbol::Binding;
use crate::elf::version::Version;
use crate::lookup::{Class, Reference, one, told};
use crate::trace::{self, How, Topics};

/// `ELF_RTYPE_CLASS_PLT`.
const CLASS_PLT: c_int = 1;
/// `DL_LOOKUP_RETURN_NEWEST`.
const RETURN_NEWEST: c_int = 2;

/// `struct r_scope_elem`.
#[repr(C)]
pub struct ScopeElement {
    list: *const u64,
    count: u32,
}

/// `struct r_found_version`.
#[repr(C)]
pub struct FoundVersion {
    name: *const c_char,
    hash: u32,
    hidden: c_int,
    file: *const c_char,
}

impl FoundVersion {
    /// The version's name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        // SAFETY: a version in memory holds a C string.
        unsafe { CStr::from_ptr(self.name) }.to_bytes()
    }
}

/// The arguments of a lookup.
pub struct Query<'n> {
    /// The name.
    pub name: &'n CStr,
    /// The link map of the object that refers.
    pub from: u64,
    /// Scope elements, ended by null.
    pub scope: *const *const ScopeElement,
    /// The version, or null.
    pub version: *const FoundVersion,
    /// `ELF_RTYPE_CLASS_*`.
    pub class: c_int,
    /// `DL_LOOKUP_*`.
    pub flags: c_int,
    /// Only objects after this link map are searched; 0 for all.
    pub skip: u64,
}

/// A definition as libc wants it: addresses of link map and symbol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// The link map of the object that defines it.
    pub link_map: u64,
    /// Its entry in that object's symbol table.
    pub symbol: u64,
}

/// Looks a name up in a scope.
///
/// # Safety
/// As this file's head says.
#[must_use]
pub unsafe fn lookup(process: &Process, query: &Query<'_>) -> Option<Found> {
    // SAFETY: the caller's version, whose name is a C string.
    let version = unsafe { query.version.as_ref() }.map(|version| Version {
        hash: version.hash,
        name: version.name(),
        hidden: version.hidden != 0,
    });
    let class = Class {
        definition_only: query.class & CLASS_PLT != 0,
        skip_program: false,
        newest: query.flags & RETURN_NEWEST != 0,
    };
    let reference = Reference::new(query.name.to_bytes(), version, class);
    let mut visited = Vec::new();
    // SAFETY: as the caller promises.
    let found = unsafe { search(process, query, &reference, &mut visited) };
    if told::wanted() {
        let world = process.world();
        let objects = &world.map.objects;
        let object = |link_map| world.link_maps.object(link_map);
        if let Some(from) = object(query.from).and_then(|id| objects.get(id)) {
            let lookup = told::Lookup { objects, from, how: How::Own, is_protected: false };
            let visited: Vec<_> = visited.into_iter().filter_map(object).collect();
            lookup.tell(&reference, &visited, found.and_then(|found| object(found.link_map)));
            trace::flush();
        }
    }
    found
}

/// # Safety
/// As this file's head says.
unsafe fn search(
    process: &Process,
    query: &Query<'_>,
    reference: &Reference<'_>,
    visited: &mut Vec<u64>,
) -> Option<Found> {
    let mut skipping = query.skip != 0;
    let mut scope = query.scope;
    // SAFETY: the scope is an array of pointers that ends with null.
    while let Some(element) = unsafe { scope.read().as_ref() } {
        for at in 0..element.count as usize {
            // SAFETY: the list has `count` elements.
            let link_map = unsafe { element.list.add(at).read() };
            if skipping {
                skipping = link_map != query.skip;
                continue;
            }
            if trace::on(Topics::SYMBOLS) {
                visited.push(link_map);
            }
            if let Some(found) = in_object(process, link_map, reference) {
                return Some(found);
            }
        }
        // A later element is searched from its start, whether or not the skipped object was in this one.
        skipping = false;
        // SAFETY: as above.
        scope = unsafe { scope.add(1) };
    }
    None
}

fn in_object(process: &Process, link_map: u64, reference: &Reference<'_>) -> Option<Found> {
    let world = process.world();
    let object = world.map.get(world.link_maps.object(link_map)?)?;
    let (index, symbol) = one::find(&object.exports, reference)?;
    if symbol.is_hidden() || symbol.binding() == Binding::Local {
        return None;
    }
    let table = object.dynamic.symtab?;
    let entry = object.image.address(table).0 + u64::from(index) * 24;
    Some(Found { link_map, symbol: entry })
}
