//! Lazy binding: what a function that is called for the first time leads to.
//!
//! # Safety
//!
//! The caller is a PLT, whose words rld has filled in ([`crate::reloc::lazy`]). Nothing here may touch vector registers
//! beyond the lower halves that the stub has saved; rld is compiled for the baseline, and a resolver is called with all
//! of them put by.
#![allow(unsafe_code)]

use super::locks::{Lock, while_reading};
use super::process::Process;
use super::terms::STDERR;
use super::tracing;
use super::world::{Chain, World};
use crate::abi::glibc::link_maps;
use crate::addr::{Addr, ObjectId};
use crate::arch::vector_state;
use crate::arch::x86_64::RelocationKind as Kind;
use crate::elf::Malformed;
use crate::elf::segment::Span;
use crate::error::{Error, Problem, Report};
use crate::lookup::Class;
use crate::lookup::nearby;
use crate::lookup::prepared::Prepared;
use crate::lookup::quick::{self, Found, Quick};
use crate::lookup::scope::{OtherNames, Scope, Undefined, Uniqueness};
use crate::lookup::told;
use crate::lookup::undefined;
use crate::object::{Definition, Object};
use crate::reloc::Relocation;
use crate::sys::{file, process as kernel};
use crate::trace::{self, How};

/// What a reference was found to be.
pub struct Bound {
    /// Who refers.
    from: ObjectId,
    /// The word to write.
    place: Addr,
    /// The address; 0 for a weak reference that nothing defines.
    address: u64,
    is_resolver: bool,
    /// Who defines it, where that might be unloaded sooner than who refers to it.
    loose: Option<ObjectId>,
    /// What it was found to be: an object, and the index of its symbol.
    definition: Option<(ObjectId, u32)>,
}

impl Bound {
    /// What the reference was found to be.
    #[must_use]
    pub fn definition(&self, world: &World) -> Option<Definition> {
        let (object, index) = self.definition?;
        let symbol = world.map.get(object)?.exports.symbols.get(index as usize)?;
        Some(Definition { object, index, symbol })
    }
}

/// Binds the function that PLT relocation `index` of an object calls, and returns its address. Ends the process if
/// nothing defines it: its caller cannot be told.
///
/// # Safety
/// `link_map` is that of an object whose PLT was prepared, and whose code calls.
pub unsafe fn bind(process: &Process, link_map: u64, index: u64) -> u64 {
    // SAFETY: as the caller promises.
    let (from, object) = unsafe { link_maps::known_at(link_map) };
    let found = find(process, from, Some(object), index);
    let address = call_if_resolver(&found);
    if !process.facts.bind_not {
        write(&found, address);
    }
    address
}

/// What PLT relocation `index` of an object leads to. Ends the process if nothing defines it. The object may be known.
#[inline(always)]
pub fn find(
    process: &Process,
    from: ObjectId,
    object: Option<&Object<'static>>,
    index: u64,
) -> Bound {
    let found = while_reading(|| {
        let world = process.world();
        let object = object.or_else(|| world.map.get(from));
        let found = object.and_then(|object| look_up(process, world, from, object, index));
        let found = found.or_else(|| for_resolver(process, world, from, index));
        found.unwrap_or_else(|| {
            let name = object.map_or(&b""[..], |object| process.name_of(object));
            let malformed = Malformed::new("PLT without a relocation", "PLT slot", index);
            fail(process, &Error::malformed(name, malformed))
        })
    });
    if let Some(definer) = found.loose {
        note_binding(process, found.from, definer);
    }
    found
}

/// The address of what was found; 0 for a weak reference that nothing defines.
#[inline(always)]
#[must_use]
pub fn call_if_resolver(found: &Bound) -> u64 {
    trace::flush();
    match found.is_resolver {
        // SAFETY: the resolver lies in a relocated object, and takes no arguments on x86-64.
        true => unsafe { vector_state::call(found.address) },
        false => found.address,
    }
}

/// Lets further calls lead to `address` at once.
#[inline(always)]
pub fn write(found: &Bound, address: u64) {
    // SAFETY: the word is part of a writable segment, as was checked.
    unsafe { (found.place.0 as *mut u64).write_volatile(address) };
}

/// The same for a resolver of an object that is being opened: in the world that comes, as the one that is `shown` does
/// not know it.
#[cold]
#[inline(never)]
fn for_resolver(process: &Process, shown: &World, from: ObjectId, index: u64) -> Option<Bound> {
    let coming = process.resolving().filter(|_| shown.life(from).is_none())?;
    look_up(process, coming, from, coming.map.get(from)?, index)
}

#[inline]
fn look_up(
    process: &Process,
    world: &World,
    from: ObjectId,
    object: &Object<'static>,
    index: u64,
) -> Option<Bound> {
    let relocations = &object.relocations;
    let Relocation { offset, symbol, kind, .. } =
        relocations.plt.get(usize::try_from(index).ok()?)?;
    let place = object.image.address(offset);
    let is_word = |words: Span| {
        offset.0.wrapping_sub(words.vaddr.0)
            < words.size.saturating_sub(size_of::<u64>() as u64 - 1)
    };
    if Kind::from_number(kind) != Some(Kind::JumpSlot)
        || !(is_word(relocations.plt_words) || object.image.is_writable(offset))
    {
        return None;
    }
    let prepared = Prepared::new(object, symbol)?;
    nearby::relocations(&relocations.plt, index as usize);
    nearby::symbols(&object.exports, symbol);
    let chain = world.chain(from)?;
    let class = Class { definition_only: true, ..Class::default() };
    let quick = match told::wanted() {
        true => Quick::Unusual,
        false => {
            let dynamic_weak = process.facts.dynamic_weak;
            quick::of(object, &prepared, class, chain.runs(), dynamic_weak)
        }
    };
    let (definer, index, address, is_resolver) = match quick {
        Quick::Found(Found { definer, index, address: Some(address) }) => {
            nearby::symbols(&world.map.get(definer)?.exports, index);
            (definer, index, address.0, false)
        }
        Quick::Found(Found { definer, index, address: None }) => {
            let symbol = world.map.get(definer)?.exports.symbols.get(index as usize)?;
            special(process, world, &Definition { object: definer, index, symbol })?
        }
        _ => match thoroughly(process, world, from, object, chain, &prepared, class)? {
            Some(found) => special(process, world, &found)?,
            None => {
                let (address, is_resolver) = (0, false);
                let (loose, definition) = (None, None);
                return Some(Bound { from, place, address, is_resolver, loose, definition });
            }
        },
    };
    let is_loose = definer != from && world.is_later(definer) && !world.holds(from, definer);
    let loose = is_loose.then_some(definer);
    let definition = Some((definer, index));
    Some(Bound { from, place, address, is_resolver, loose, definition })
}

/// A definition with its address, and whether that is an IFUNC resolver. Ends the process if it is one outside code.
#[inline(never)]
fn special(
    process: &Process,
    world: &World,
    found: &Definition,
) -> Option<(ObjectId, u32, u64, bool)> {
    let definer = world.map.get(found.object)?;
    let address = definer.address_of(&found.symbol);
    let is_resolver = found.symbol.is_ifunc();
    if is_resolver && let Err(error) = definer.check_resolver(address, process.name_of(definer)) {
        fail(process, &error);
    }
    Some((found.object, found.index, address.0, is_resolver))
}

/// With all rules. Ends the process if nothing defines a strong reference.
#[cold]
fn thoroughly(
    process: &Process,
    world: &World,
    from: ObjectId,
    object: &Object<'static>,
    chain: &Chain,
    prepared: &Prepared<'static>,
    class: Class,
) -> Option<Option<Definition>> {
    let unique = Uniqueness::Settled(world.unique(chain.space)?);
    let plain = process.facts.musl.as_ref().map(|musl| musl.other_names(&world.map));
    let mut scope = Scope::new(chain.runs(), process.facts.dynamic_weak, unique);
    scope.other_names = plain.as_ref().map(|plain| plain as OtherNames<'_>);
    let objects = &world.map.objects;
    let found = match told::wanted() && !prepared.symbol.binds_locally() {
        false => scope.resolve(objects, from, prepared, class),
        true => told::resolve(&mut scope, objects, from, prepared, class, How::FirstCall),
    };
    Some(found.unwrap_or_else(|Undefined { name, version }| {
        let version = version.map(|version| version.name);
        let problem =
            Problem::UndefinedSymbol { name: name.to_vec(), version: version.map(<[u8]>::to_vec) };
        let error = Error::new(process.name_of(object), problem);
        told::tell_undefined(&error);
        fail(process, &undefined::explain(error, objects, &scope, object))
    }))
}

/// Keeps `definer` as long as `from`, which may have no other reason to keep it.
pub fn note_binding(process: &Process, from: ObjectId, definer: ObjectId) {
    let _held = process.locks.hold(Lock::Load);
    if process.is_changing() {
        // A resolver that a dlopen calls, or a signal handler in the middle of a change, which must not use the heap.
        // What it binds, it has used already.
        return;
    }
    let world = process.world();
    if let Some(life) = world.life(from).filter(|_| !world.holds(from, definer)) {
        tracing::dependencies(world, from, &[definer]);
        match world.life(definer) {
            // Who is never unloaded needs no list.
            Some(definer) if world.is_of_start(from) => _ = definer.pin(),
            _ => life.bound.add(definer),
        }
    }
}

#[cold]
fn fail(process: &Process, error: &Error) -> ! {
    let report = Report { program: process.facts.name, error };
    trace::flush();
    file::write_all(STDERR, alloc::format!("{report}").as_bytes());
    kernel::exit(127)
}
