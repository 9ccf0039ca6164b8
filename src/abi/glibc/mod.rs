//! glibc: the private data and functions that its libc.so.6 shares with its loader.
//!
//! rld's own model is the truth; what stands here is written from it, in the layout that the mapped libc.so.6 was built
//! with. No code outside this folder knows an offset of a structure of glibc's.

pub mod beside;
mod code;
pub mod cpu;
mod cpu_projection;
pub mod evidence;
pub mod exports;
pub mod fields;
pub mod global;
pub mod global_ro;
pub mod layout;
pub mod link_maps;
pub mod thread;
pub mod tunables;
mod view;

use crate::addr::{Addr, ObjectId, Vaddr};
use crate::elf::hash::sysv;
use crate::elf::version::Version;
use crate::env::tunables::Values;
use crate::error::{Error, Problem, Result};
use crate::linkmap::LinkMap;
use crate::lookup::one;
use crate::lookup::{Class, Reference};
use crate::object::Object;
use layout::Layout;

/// The name by which glibc's C library is known.
pub const SONAME: &[u8] = b"libc.so.6";

/// The libc.so.6 of a process, and the layout it was built with.
#[derive(Clone, Copy, Debug)]
pub struct Identified {
    /// The object.
    pub libc: ObjectId,
    /// Its layout.
    pub layout: &'static Layout,
}

/// Finds libc.so.6 among the objects and the layout it was built with; `None` when the program does without.
///
/// # Errors
/// The build is not known: it is refused in words, never guessed at.
pub fn identify(map: &LinkMap<'_>) -> Result<Option<Identified>> {
    let Some((libc, object)) = map.in_search_order().find(|(_, object)| is_libc(object)) else {
        return Ok(None);
    };
    layout_of(object).map(|layout| Some(Identified { libc, layout }))
}

/// Whether an object is glibc's C library.
#[must_use]
pub fn is_libc(object: &Object<'_>) -> bool {
    object.soname == Some(SONAME)
}

/// The layout that a libc.so.6 was built with.
///
/// # Errors
/// The build is not known.
pub fn layout_of(object: &Object<'_>) -> Result<&'static Layout> {
    evidence::identify(&view::View::new(object)).map_err(|unknown| {
        let text = alloc::format!("{unknown}");
        let mut lines = text.lines();
        let sentence = lines.next().unwrap_or("unknown build of glibc").into();
        let mut error = Error::new(object.name.to_bytes(), Problem::Sentence(sentence));
        error.details.extend(lines.map(|line| line.trim().into()));
        error
    })
}

/// A libc.so.6 of another layout than that of the program's, where it cannot be; the reasons are to be added.
#[must_use]
pub fn other_build(object: &Object<'_>) -> Error {
    let words = "another build of glibc than the program's cannot be loaded beside it";
    Error::words(object.name.to_bytes(), words)
}

/// What the tunables say about the CPU to release 2.`minor`.
#[must_use]
pub fn cpu_tunables<'a>(values: &Values<'a>, minor: u16) -> cpu::Tunables<'a> {
    use crate::env::tunables::Value;
    let family: &[u8] = if minor == 28 { b"glibc.tune." } else { b"glibc.cpu." };
    let set =
        |name: &[u8]| values.by_parts(family, name).filter(|(_, set)| *set).map(|(value, _)| value);
    let number = |name: &[u8]| match set(name)? {
        Value::Number(number) => Some(number),
        Value::Int32(number) => u64::try_from(number).ok(),
        Value::Text(_) => None,
    };
    let hwcaps = match set(b"hwcaps") {
        Some(Value::Text(text)) => text,
        _ => None,
    };
    cpu::Tunables {
        hwcaps,
        x86_data_cache_size: number(b"x86_data_cache_size"),
        x86_shared_cache_size: number(b"x86_shared_cache_size"),
        x86_non_temporal_threshold: number(b"x86_non_temporal_threshold"),
        x86_memset_non_temporal_threshold: number(b"x86_memset_non_temporal_threshold"),
        x86_rep_movsb_threshold: number(b"x86_rep_movsb_threshold"),
        x86_rep_stosb_threshold: number(b"x86_rep_stosb_threshold"),
        prefer_map_32bit_exec: number(b"prefer_map_32bit_exec").map(|value| value != 0),
    }
}

/// A function of libc.so.6 that the loader calls: its address, if libc defines it with this version.
#[must_use]
pub fn libc_function(libc: &Object<'_>, name: &[u8], version: &[u8]) -> Option<Addr> {
    definition(libc, name, version).map(|vaddr| libc.image.address(vaddr))
}

/// A variable of one of glibc's libraries that the loader writes: its address, if it is defined with this version.
#[must_use]
pub fn libc_variable(library: &Object<'_>, name: &[u8], version: &[u8]) -> Option<Addr> {
    let vaddr = definition(library, name, version).filter(|&at| library.image.is_writable(at))?;
    Some(library.image.address(vaddr))
}

fn definition(library: &Object<'_>, name: &[u8], version: &[u8]) -> Option<Vaddr> {
    let version = Version { hash: sysv(version), name: version, hidden: false };
    let class = Class { definition_only: true, ..Class::default() };
    let (_, symbol) = one::find(&library.exports, &Reference::new(name, Some(version), class))?;
    (!symbol.is_ifunc() && !symbol.is_absolute()).then(|| symbol.vaddr())
}
