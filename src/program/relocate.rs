//! Relocates all objects: words first, then what foreign code decides, then copies; seals what must not change again.
//!
//! # Safety
//!
//! Objects are mapped and nobody runs their code yet, but for IFUNC resolvers, which run when every word that is not
//! itself waiting for a resolver is in place (contract 8.1).
#![allow(unsafe_code)]

use alloc::vec::Vec;

use super::Process;
use super::terms::warn;
use crate::addr::{Addr, ObjectId};
use crate::elf::dynamic::Flags;
use crate::error::{Error, Result};
use crate::image::Words;
use crate::image::memory::{open_text, seal_relro};
use crate::init;
use crate::lookup::scope::Scope;
use crate::object::{Object, Role};
use crate::reloc::apply::{DescriptorEntries, Relocator};
use crate::reloc::value::{Store, value};

const CLOSE_FAILED: &str = "cannot restore segment prot after reloc";

/// Relocates every object of the process.
///
/// # Errors
/// The first relocation that cannot be made.
///
/// # Safety
/// As this file's head says; the thread pointer is installed.
pub unsafe fn all(
    process: &'static Process,
    dynamic_weak: bool,
    descriptors: DescriptorEntries,
) -> Result<()> {
    let map = &process.map;
    let order = order(process);
    let mut scope = Scope::new(map.in_search_order(), references(&map.objects), dynamic_weak);
    let mut relocator =
        Relocator::new(&map.objects, &mut scope, &process.tls, descriptors, process.name);
    let mut places: Vec<Option<Words>> = Vec::new();
    places.resize(map.objects.len(), None);
    for &id in &order {
        let Some(object) = map.get(id).filter(|object| object.role != Role::Loader) else {
            continue;
        };
        let text = object.dynamic.flags.contains(Flags::TEXTREL);
        if text {
            // SAFETY: the object's code does not run.
            unsafe { open_text(&object.image, &object.segments, true) }.map_err(|errno| {
                let words = "cannot make segment writable for relocation";
                Error::system(object.display_name(process.name), words, errno)
            })?;
        }
        // SAFETY: the object is mapped, and its text was opened where that is asked for.
        let mut words = unsafe { Words::new(&object.image, text, &object.tables()) };
        relocator.relocate(id, &mut words)?;
        if let Some(place) = places.get_mut(id.index()) {
            *place = Some(words);
        }
    }
    let deferred = relocator.deferred;
    for pending in &deferred.pending {
        let mut operands = pending.operands;
        // SAFETY: the resolver lies in a relocated object, and takes no arguments on x86-64.
        operands.symbol = unsafe { call_resolver(pending.resolver) };
        let Some(Some(words)) = places.get_mut(pending.object.index()) else { continue };
        let place = Addr(operands.place);
        let stored = match value(pending.kind, &operands) {
            Ok(Store::Word(word)) => words.write(place, word).is_ok(),
            Ok(Store::Half(half)) => words.write32(place, half).is_ok(),
            Ok(Store::Nothing) => true,
            Err(_) => false,
        };
        if !stored {
            let words = "IFUNC relocation of a place that is not writable";
            return Err(Error::words(name_of(process, pending.object), words));
        }
    }
    for copy in &deferred.copies {
        let Some(Some(words)) = places.get_mut(copy.object.index()) else { continue };
        // SAFETY: the source was checked to lie in its object.
        if unsafe { words.copy(copy.source, copy.target, copy.size) }.is_err() {
            let words = "COPY relocation of a place that is not writable";
            return Err(Error::words(name_of(process, copy.object), words));
        }
    }
    for &id in &order {
        if let Some(object) = map.get(id).filter(|object| object.role != Role::Loader) {
            // SAFETY: all words of the object are written.
            unsafe { seal(object, process.name) }?;
        }
    }
    warn(deferred.warnings.into_iter());
    Ok(())
}

/// The order in which ld.so relocates, so that of several errors the same one is reported: libc.so.6, so that resolvers
/// find it ready, then every object after what it needs.
fn order(process: &Process) -> Vec<ObjectId> {
    let libc = process.glibc.map(|identified| identified.libc);
    let sorted = init::dependants_first(&process.map.objects, &process.map.search_list);
    let rest = sorted.into_iter().rev().filter(|&id| Some(id) != libc);
    libc.into_iter().chain(rest).collect()
}

fn name_of(process: &Process, id: ObjectId) -> &[u8] {
    process.map.get(id).map_or(b"", |object| object.display_name(process.name))
}

/// How many symbolic relocations there are, at most.
fn references(objects: &[Object<'_>]) -> usize {
    let of = |object: &Object<'_>| {
        let relative = usize::try_from(object.dynamic.relacount).unwrap_or_default();
        let tables = &object.relocations;
        tables.rela.len().saturating_sub(relative) + tables.plt.len()
    };
    objects.iter().filter(|object| object.role != Role::Loader).map(of).sum()
}

/// Asks an IFUNC resolver.
///
/// # Safety
/// `resolver` is a function of a relocated object.
unsafe fn call_resolver(resolver: Addr) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { core::mem::transmute::<u64, unsafe extern "C" fn() -> u64>(resolver.0)() }
}

/// Gives text its permissions back and makes PT_GNU_RELRO read-only.
///
/// # Safety
/// Nothing will write there.
unsafe fn seal(object: &Object<'_>, program: &[u8]) -> Result<()> {
    let name = object.display_name(program);
    if object.dynamic.flags.contains(Flags::TEXTREL) {
        // SAFETY: as the caller promises.
        unsafe { open_text(&object.image, &object.segments, false) }
            .map_err(|errno| Error::system(name, CLOSE_FAILED, errno))?;
    }
    let Some(relro) = object.segments.relro else { return Ok(()) };
    let (start, end) = object.segments.extent();
    let inside = relro.vaddr.0 >= start
        && relro.vaddr.0.checked_add(relro.size).is_some_and(|relro_end| relro_end <= end);
    if !inside {
        return Err(Error::words(name, "PT_GNU_RELRO outside the object"));
    }
    // SAFETY: as the caller promises.
    unsafe { seal_relro(&object.image, relro) }.map_err(|errno| {
        Error::system(name, "cannot apply additional memory protection after relocation", errno)
    })
}
