//! Shows a new world: to threads, to libc and unwinders, to debuggers. From here on nothing can fail.
//!
//! # Safety
//!
//! The caller holds the loader's lock. Objects that came are relocated, and nobody runs their code; those that went are
//! finalised, and their memory goes when nobody reads the old world any more.
#![allow(unsafe_code)]

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::debugger;
use super::libpthread;
use super::locks::Lock;
use super::process::Process;
use super::process::projections::Projection;
use super::ready::early_init;
use super::world::World;
use crate::abi::glibc::global;
use crate::abi::glibc::layout::Layout;
use crate::abi::glibc::link_maps::{self, LinkMaps};
use crate::addr::{Addr, ObjectId};
use crate::linkmap::LinkMap;
use crate::tls::modules::{self, Shape};
use crate::tls::{Module, thread};

/// What is different.
pub struct Change<'c> {
    /// The namespace.
    pub space: usize,
    /// Objects that are new.
    pub came: &'c [ObjectId],
    /// Objects that are gone.
    pub went: &'c [ObjectId],
}

/// Makes `world` the process's.
pub fn show(process: &Process, world: World, change: &Change<'_>) {
    if change.came.is_empty() && change.went.is_empty() {
        return process.replace_world(world, || ());
    }
    let kind = if change.went.is_empty() { debugger::State::Add } else { debugger::State::Delete };
    debugger::begin(process, change.space, kind);
    tell(process, &world, change);
    let first = world.link_maps.first_of(change.came);
    let retired: Vec<_> = change.went.iter().filter_map(|&id| module(process, id)).collect();
    process.replace_world(world, || process.change_places(change.came, change.went));
    let world = process.world();
    retire_modules(process, &retired);
    if let Some(layout) = process.layout_in(world, change.space)
        && let Some(libc) = world.spaces.get(change.space).and_then(|space| space.libc)
        && change.came.contains(&libc)
    {
        // SAFETY: libc is relocated, and this is not the process's first.
        unsafe { early_init(world.map.get(libc), layout, false) };
    }
    debugger::end(process, change.space, first);
}

/// Writes what libc, debuggers and threads know of a change. The caller shows the world afterwards.
pub fn tell(process: &Process, world: &World, change: &Change<'_>) {
    let layout = process.link_map_layout_in(world, change.space);
    let list = world.visible_in(change.space);
    fill(layout, world, change, &list);
    let generation = enter_modules(process, world, change);
    let [came, went] = &process.counts;
    came.fetch_add(change.came.len() as u64, Ordering::Relaxed);
    went.fetch_add(change.went.len() as u64, Ordering::Relaxed);
    let _list = process.locks.hold(Lock::Write);
    let first = link(process, layout, world, change.space, &list);
    debugger::set_first(process, change.space, first);
    for projection in process.projections() {
        let is_own = core::ptr::eq(projection.layout, layout);
        // Libraries of another layout could not read the list.
        let (first, count) = if is_own { (first, list.len()) } else { (0, 0) };
        project(process, projection, world, change, (first, count, generation));
    }
}

/// Fills in the link maps of what came, of the objects of a namespace.
fn fill(layout: &Layout, world: &World, change: &Change<'_>, list: &[ObjectId]) {
    let maps = &world.link_maps;
    let link_map = |id| maps.get_in(change.space, id, world.map.get(id)?);
    let first = list.first().and_then(|&id| link_map(id)).map_or(0, |fields| fields.address());
    // rld is in several namespaces.
    let is_shadow = |id: &&ObjectId| world.life(**id).is_some_and(|it| it.space != change.space);
    let others = if change.space == LinkMap::BASE { &[][..] } else { list };
    for &id in change.came.iter().chain(others.iter().filter(is_shadow)) {
        let Some(object) = world.map.get(id) else { continue };
        let facts = link_maps::Facts {
            tls: &world.tls,
            space: change.space,
            is_opened: !world.is_of_start(id),
            is_global: world.life(id).is_some_and(|life| life.global),
            global: None,
            first,
        };
        maps.fill(layout, id, object, &facts);
    }
}

/// Links the objects of a namespace in this order, as far as they are not linked so already; returns the link map of
/// the first. The lock of the list is held.
fn link(process: &Process, layout: &Layout, world: &World, space: usize, list: &[ObjectId]) -> u64 {
    let maps = &world.link_maps;
    let link_map = |&id: &ObjectId| maps.get_in(space, id, world.map.get(id)?);
    let old = process.world();
    let linked = match core::ptr::eq(old, world) {
        true => 0,
        false => old.visible_in(space).iter().zip(list).take_while(|(old, new)| old == new).count(),
    };
    // The last of them has a new neighbour.
    let from = linked.saturating_sub(1);
    let changed: Vec<_> = list.get(from..).into_iter().flatten().filter_map(link_map).collect();
    maps.link(layout, &changed, from);
    list.first().and_then(link_map).map_or(0, |fields| fields.address())
}

/// Links the objects of all namespaces: in a child of fork(2), where a thread of the parent may have been about it.
pub fn link_again(process: &Process) {
    let world = process.world();
    let _list = process.locks.hold(Lock::Write);
    for space in 0..world.map.spaces.len() {
        let layout = process.link_map_layout_in(world, space);
        link(process, layout, world, space, &world.visible_in(space));
    }
}

/// The id of an object's module.
fn module(process: &Process, object: ObjectId) -> Option<u64> {
    process.world().tls.module(object).map(|module| module.id)
}

/// Lets threads know of modules that came; returns the generation of the change.
fn enter_modules(process: &Process, world: &World, change: &Change<'_>) -> u64 {
    let came = || change.came.iter().filter_map(|&id| world.tls.module(id));
    let generation = modules::generation();
    if came().next().is_none() {
        let is_change = change.went.iter().any(|&id| module(process, id).is_some());
        return generation + u64::from(is_change);
    }
    let generation = generation + 1;
    let _modules = process.locks.hold(Lock::Tls);
    came().for_each(|module| modules::enter(module, generation));
    came().for_each(|module| fill_static_tls(process, world, module));
    modules::announce(generation);
    generation
}

/// The same of those that went, after the world without them is shown: a child of fork(2) that still has their objects
/// has the modules, too.
fn retire_modules(process: &Process, ids: &[u64]) {
    if !ids.is_empty() {
        let generation = modules::generation() + 1;
        let _modules = process.locks.hold(Lock::Tls);
        ids.iter().for_each(|&id| modules::retire(id, generation));
        modules::announce(generation);
    }
}

/// Copies a module's image to the static area of all threads, if it has its place there. No code of its object has run.
pub fn fill_static_tls(process: &Process, world: &World, module: &Module) {
    if let Some(shape) = modules::shape(module.id).filter(|shape| shape.offset != 0) {
        fill_in_threads(process, world.link_maps.address(module.object), &shape);
    }
}

fn fill_in_threads(process: &Process, link_map: u64, shape: &Shape) {
    if libpthread::fill_static_tls(process, link_map) {
        return;
    }
    process.locks.each_thread(|thread: Addr| {
        // SAFETY: the block is part of every thread's static area, and nobody uses it yet.
        unsafe { thread::fill(thread.0 - shape.offset, shape) };
    });
}

/// Gives a module that threads know already the static block that was found for it, with its initial contents. Returns
/// whether it has it: not where a thread has begun to use a block of its own, or nobody knows the threads.
pub fn settle_static_tls(
    process: &Process,
    layout: &Layout,
    maps: &LinkMaps,
    module: &Module,
) -> bool {
    let Some(shape) = modules::shape(module.id).filter(|_| process.layout().is_some()) else {
        return false;
    };
    let _modules = process.locks.hold(Lock::Tls);
    maps.set_tls_offset(layout, module.object, module.offset);
    let filled = Shape { offset: module.offset, ..shape };
    fill_in_threads(process, maps.address(module.object), &filled);
    // Who uses a variable for the first time from here on finds it there.
    let is_settled = modules::settle(module.id, module.offset);
    if !is_settled {
        maps.set_tls_offset(layout, module.object, 0);
    }
    is_settled
}

/// Writes what the libraries of a layout read of the namespace and of modules.
fn project(
    process: &Process,
    Projection { layout, global, .. }: &Projection,
    world: &World,
    change: &Change<'_>,
    (first, count, generation): (u64, usize, u64),
) {
    let old = process.world();
    let maps = &world.link_maps;
    let libc = world.spaces.get(change.space).and_then(|space| space.libc);
    let libc = libc.filter(|_| first != 0);
    let namespace = global::Namespace {
        index: change.space,
        first,
        count,
        libc: libc.map_or(0, |id| maps.address(id)),
    };
    global::namespace(layout, global, namespace);
    let added = change.came.len() as u64;
    global::counts(layout, global, added, world.spaces.len());
    for &id in change.went {
        if let Some(module) = old.tls.module(id) {
            global::set_slot(layout, global, module.id, generation, 0);
        }
    }
    for &id in change.came {
        if let Some(module) = world.tls.module(id) {
            global::set_slot(layout, global, module.id, generation, maps.address(id));
        }
    }
    global::modules(layout, global, &world.tls, generation, modules::highest());
}
