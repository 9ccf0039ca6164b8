//! Relocates all objects: words first, then what foreign code decides, then copies; seals what must not change again.
//!
//! # Safety
//!
//! Objects are mapped and nobody runs their code yet, but for IFUNC resolvers, which run when every word that is not
//! itself waiting for a resolver is in place (contract 8.1).
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Process;
use super::audit::{Auditor, bindings};
use super::show::settle_static_tls;
use super::terms::warn;
use super::world::{Chain, World};
use crate::addr::{Addr, ObjectId};
use crate::elf::dynamic::Flags;
use crate::error::{Error, Result};
use crate::image::Words;
use crate::image::memory::{open_text, seal_relro};
use crate::init;
use crate::linkmap::LinkMap;
use crate::linkmap::id_set::IdSet;
use crate::lookup::scope::{OtherNames, Scope, Unique, Uniqueness};
use crate::object::Object;
pub use crate::reloc::apply::Binding;
use crate::reloc::apply::{Deferred, Pending, Relocator};
use crate::reloc::defect::{outside, overflow};
use crate::reloc::lazy::Lazy;
use crate::reloc::value::{Operands, Store, value};
use crate::tls::thread::Index;
use crate::tls::{Module, modules};
use crate::trace::{self, Event, Topics, Why};

const CLOSE_FAILED: &str = "cannot restore segment prot after reloc";
/// What ld.so says where PT_GNU_RELRO cannot be made read-only.
pub const SEAL_FAILED: &str = "cannot apply additional memory protection after relocation";

/// Relocates every object of start-up.
///
/// # Errors
/// The first relocation that cannot be made.
///
/// # Safety
/// As this file's head says; the thread pointer is installed.
pub unsafe fn all(process: &'static Process) -> Result<()> {
    // SAFETY: the one thread of the process is here, and nobody else refers to the world.
    let world = unsafe { process.world_mut() };
    // SAFETY: as the caller promises.
    unsafe { start(process, world, &[]) }
}

/// The same in a world that is not shown yet. Modules of `opened` may still get static blocks.
///
/// # Errors
/// As for [`all`].
///
/// # Safety
/// As for [`all`].
pub unsafe fn start(process: &Process, world: &mut World, opened: &[ObjectId]) -> Result<()> {
    let order = order(world);
    let mut unique = Unique::new();
    let watching = process.auditors.of(LinkMap::BASE);
    let job = Job {
        order: &order,
        opened,
        lazy: !process.facts.bind_now,
        chain: world.make_chain(LinkMap::BASE, false, &[]),
        watching,
        following: watching,
    };
    // SAFETY: as the caller promises.
    let done = unsafe { job.carry_out(process, world, &mut unique)? };
    keep_unique(world, LinkMap::BASE, unique);
    keep_indices(world, done.indices);
    Ok(())
}

/// Remembers what is unique; who defines it stays for ever, for anybody may be bound to it.
pub fn keep_unique(world: &mut World, space: usize, unique: Unique<'static>) {
    for definition in unique.values() {
        if world.life_mut(definition.object).is_some_and(|life| life.pin())
            && let Some(object) = world.map.get(definition.object).map(Object::label)
        {
            trace::tell(Topics::BINDINGS, || Event::Stays { object, why: Why::Unique });
        }
    }
    if let Some(space) = world.spaces.get_mut(space) {
        space.unique = Arc::new(unique);
    }
}

/// Lets what TLS descriptors refer to live as long as their objects.
pub fn keep_indices(world: &mut World, indices: Vec<(ObjectId, Box<Index>)>) {
    let mut by_object: BTreeMap<ObjectId, Vec<Box<Index>>> = BTreeMap::new();
    for (object, index) in indices {
        by_object.entry(object).or_default().push(index);
    }
    for (object, indices) in by_object {
        if let Some(life) = world.life_mut(object) {
            life.indices = Arc::new(indices.into_boxed_slice());
        }
    }
}

/// Objects to relocate.
pub struct Job<'j> {
    /// The objects, in order.
    pub order: &'j [ObjectId],
    /// Those that are opened at run time; their modules may still get static blocks.
    pub opened: &'j [ObjectId],
    /// Whether functions are bound when they are first called, where the object agrees.
    pub lazy: bool,
    /// What references are looked up in.
    pub chain: Chain,
    /// Auditors that are told of what is bound now.
    pub watching: &'static [Auditor],
    /// Those that are told of calls, and of what these are bound to.
    pub following: &'static [Auditor],
}

/// What relocation leaves for the user and for others.
pub struct Done {
    /// What TLS descriptors refer to.
    pub indices: Vec<(ObjectId, Box<Index>)>,
    /// By position in the order: the objects that each was bound to. Not noted at the start.
    pub bound: Vec<Vec<ObjectId>>,
}

impl Job<'_> {
    /// Relocates the objects and seals what must not change again.
    ///
    /// # Errors
    /// The first relocation that cannot be made.
    ///
    /// # Safety
    /// As this file's head says.
    pub unsafe fn carry_out(
        &self,
        process: &Process,
        world: &mut World,
        unique: &mut Unique<'static>,
    ) -> Result<Done> {
        let facts = &process.facts;
        // SAFETY: as the caller promises.
        let applied = unsafe { self.apply(process, world, unique)? };
        let Applied { mut deferred, bindings, mut written, bound } = applied;
        let world = &*world;
        let World { map, link_maps, .. } = world;
        trace::flush();
        for pending in &deferred.pending {
            let Pending { addend, place, kind, .. } = *pending;
            let symbol = process.while_resolving(world, || {
                // SAFETY: the resolver lies in a relocated object, and takes no arguments on x86-64.
                unsafe { call_resolver(pending.resolver) }
            });
            let operands = Operands { symbol, addend, place: place.0, ..Operands::default() };
            let words = written.of(pending.object);
            let Some((words, object)) = words.zip(map.get(pending.object)) else { continue };
            let stored = match value(kind, &operands) {
                Store::Word(word) => words.write(place, word),
                Store::Half(half) => words.write32(place, half),
                Store::Cut(half) => {
                    deferred.warnings.push(overflow(facts.name, object, pending.symbol, kind));
                    words.write32(place, half)
                }
                Store::Nothing => Ok(()),
            };
            stored.map_err(|place| outside(facts.name, object, place))?;
        }
        if let (Some(bindings), Some(layout)) = (bindings, facts.layout) {
            let objects = (&map.objects, link_maps);
            bindings::at_once(self.watching, layout, objects, &bindings, &mut written);
        }
        for copy in &deferred.copies {
            let words = written.of(copy.object);
            let Some((words, object)) = words.zip(map.get(copy.object)) else { continue };
            // SAFETY: the source was checked to lie in its object.
            unsafe { words.copy(copy.source, copy.target, copy.size) }
                .map_err(|place| outside(facts.name, object, place))?;
        }
        warn(deferred.warnings.into_iter());
        for &id in self.order {
            if let Some(object) = map.get(id).filter(|object| !object.role.starts_itself()) {
                // SAFETY: all words of the object are written.
                unsafe { seal(object, facts.name) }?;
            }
        }
        Ok(Done { indices: deferred.indices, bound })
    }

    /// The first phase: words.
    ///
    /// # Errors
    /// As for [`Self::carry_out`].
    ///
    /// # Safety
    /// As for [`Self::carry_out`].
    unsafe fn apply(
        &self,
        process: &Process,
        world: &mut World,
        unique: &mut Unique<'static>,
    ) -> Result<Applied> {
        let facts = &process.facts;
        let World { map, tls, link_maps, spaces, .. } = world;
        if !self.opened.is_empty() {
            tls.take_over(|id| modules::shape(id).map_or(0, |shape| shape.offset));
        }
        let settle = |module: &Module| {
            let space = map.get(module.object).and_then(|object| spaces.get(object.space));
            let layout = space.and_then(|space| space.layout).unwrap_or(process.link_map_layout());
            settle_static_tls(process, layout, link_maps, module)
        };
        let uniqueness = match facts.musl {
            None => Uniqueness::Settles(unique),
            // A definition like any other there: the table stays empty.
            Some(_) => Uniqueness::Settled(unique),
        };
        let plain = facts.musl.as_ref().map(|musl| musl.other_names(map));
        let mut scope = Scope::new(self.chain.runs(), facts.dynamic_weak, uniqueness);
        scope.other_names = plain.as_ref().map(|plain| plain as OtherNames<'_>);
        let mut relocator =
            Relocator::new(&map.objects, &mut scope, tls, facts.entries, facts.name);
        relocator.opened = self.opened;
        if !self.opened.is_empty() {
            relocator.bound = Some(IdSet::default());
        }
        relocator.settle = Some(&settle);
        relocator.bindings = bindings::wants_bindings(self.watching).then(Vec::new);
        let (followed, every_call) = bindings::interest(self.following);
        let resolver = if followed { facts.entries.audited } else { facts.entries.resolver };
        relocator.strict = facts.strict;
        let mut bound = Vec::with_capacity(self.order.len());
        let mut written = Written { words: Vec::with_capacity(self.order.len()), last: 0 };
        for &id in self.order {
            let Some(object) = map.get(id).filter(|object| !object.role.starts_itself()) else {
                continue;
            };
            let text = object.dynamic.flags.contains(Flags::TEXTREL);
            if text {
                // SAFETY: the object's code does not run.
                unsafe { open_text(&object.image, &object.segments, true) }.map_err(|errno| {
                    let words = "cannot make segment writable for relocation";
                    let error = Error::system(object.display_name(facts.name), words, errno);
                    let error = error.with_limits(errno);
                    error.with("its code holds addresses (DT_TEXTREL): compile it with -fPIC")
                })?;
            }
            // SAFETY: the object is mapped, and its text was opened where that is asked for.
            let mut words = unsafe { Words::new(&object.image, text, &object.tables()) };
            let link_map = Addr(link_maps.address(id));
            let only_missing = facts.musl.is_some();
            let lazy = Lazy { link_map, resolver, every_call, only_missing };
            let lazy = (self.lazy && link_map.0 != 0).then_some(lazy);
            let since = trace::now();
            let is_lazy = self.lazy && !object.dynamic.binds_now();
            trace::tell(Topics::RELOC, || Event::RelocationBegins {
                object: object.label(),
                lazy: is_lazy,
            });
            if let Err(error) = relocator.relocate(id, &mut words, lazy) {
                warn(relocator.deferred.warnings.into_iter());
                return Err(error);
            }
            trace::tell(Topics::RELOC, || object.relocated(is_lazy, since));
            bound.extend(relocator.bound.as_mut().map(IdSet::take));
            written.words.push((id, words));
        }
        let Relocator { deferred, bindings, .. } = relocator;
        Ok(Applied { deferred, bindings, written, bound })
    }
}

/// What the first phase leaves for the others.
struct Applied {
    deferred: Deferred,
    bindings: Option<Vec<Binding>>,
    written: Written,
    bound: Vec<Vec<ObjectId>>,
}

/// The words of the objects that are relocated, in that order.
pub struct Written {
    words: Vec<(ObjectId, Words)>,
    /// Whose were asked for last: what was put off stands in the same order.
    last: usize,
}

impl Written {
    /// Those of an object.
    pub fn of(&mut self, id: ObjectId) -> Option<&mut Words> {
        let mut places = (self.last..self.words.len()).chain(0..self.last);
        self.last = places.find(|&at| self.words.get(at).is_some_and(|(of, _)| *of == id))?;
        self.words.get_mut(self.last).map(|(_, words)| words)
    }
}

/// The order in which ld.so relocates, so that of several errors the same one is reported: libc.so.6, so that resolvers
/// find it ready, then every object after what it needs.
fn order(world: &World) -> Vec<ObjectId> {
    let map = &world.map;
    let libc = world.spaces.first().and_then(|space| space.libc);
    let sorted = init::dependants_first(&map.objects, map.search_list(), map.program());
    let rest = sorted.into_iter().rev().filter(|&id| Some(id) != libc);
    libc.into_iter().chain(rest).collect()
}

/// Of functions that are bound when they are first called, so many are not called at all.
const NEVER_CALLED: usize = 2;

/// How many lookups there will be, at most.
#[must_use]
pub fn references(map: &LinkMap<'_>, bind_now: bool) -> usize {
    let objects = map.objects.iter().map(|(_, object)| object);
    let objects = objects.filter(|object| !object.role.starts_itself());
    objects.map(|object| references_of(object, bind_now)).sum()
}

/// How many lookups an object will cause, at most.
#[must_use]
pub fn references_of(object: &Object<'_>, bind_now: bool) -> usize {
    let relative = usize::try_from(object.dynamic.relacount).unwrap_or_default();
    let tables = &object.relocations;
    let functions = match bind_now || object.dynamic.binds_now() {
        true => tables.plt.len(),
        false => tables.plt.len() / NEVER_CALLED,
    };
    tables.rela.len().saturating_sub(relative) + functions
}

/// Asks an IFUNC resolver.
///
/// # Safety
/// `resolver` is a function of a relocated object.
pub unsafe fn call_resolver(resolver: Addr) -> u64 {
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
            .map_err(|errno| Error::system(name, CLOSE_FAILED, errno).with_limits(errno))?;
    }
    let Some(relro) = object.segments.relro else { return Ok(()) };
    // SAFETY: as the caller promises; `Segments` has only what lies in the object.
    unsafe { seal_relro(&object.image, relro) }
        .map_err(|errno| Error::system(name, SEAL_FAILED, errno).with_limits(errno))
}
