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
        return process.replace_world(world);
    }
    let kind = if change.went.is_empty() { debugger::State::Add } else { debugger::State::Delete };
    debugger::begin(process, change.space, kind);
    tell(process, &world, change);
    let first = world.link_maps.first_of(change.came);
    let retired: Vec<_> = change.went.iter().filter_map(|&id| module(process, id)).collect();
    process.replace_world(world);
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
    fill(layout, world, change);
    let generation = enter_modules(process, world, change);
    let [came, went] = &process.counts;
    came.fetch_add(change.came.len() as u64, Ordering::Relaxed);
    went.fetch_add(change.went.len() as u64, Ordering::Relaxed);
    let _list = process.locks.hold(Lock::Write);
    let maps = &world.link_maps;
    let members = world.visible_in(change.space).into_iter();
    let list: Vec<_> =
        members.filter_map(|id| maps.get_in(change.space, id, world.map.get(id)?)).collect();
    let first = maps.link(layout, &list);
    debugger::set_first(process, change.space, first);
    for projection in process.projections() {
        let is_own = core::ptr::eq(projection.layout, layout);
        // Libraries of another layout could not read the list.
        let (first, count) = if is_own { (first, list.len()) } else { (0, 0) };
        project(process, projection, world, change, (first, count, generation));
    }
}

fn fill(layout: &Layout, world: &World, change: &Change<'_>) {
    let maps = &world.link_maps;
    let members = world.visible_in(change.space);
    let first = members
        .first()
        .and_then(|&id| world.map.get(id).and_then(|object| maps.get_in(change.space, id, object)));
    for &id in &members {
        let is_shadow = world.life(id).is_some_and(|life| life.space != change.space);
        if !change.came.contains(&id) && !is_shadow {
            continue;
        }
        if let Some(object) = world.map.get(id) {
            let facts = link_maps::Facts {
                tls: &world.tls,
                space: change.space,
                is_opened: world.life(id).is_none_or(|life| !life.of_start),
                is_global: world.life(id).is_some_and(|life| life.global),
                global: None,
                first: first.map_or(0, |fields| fields.address()),
            };
            maps.fill(layout, id, object, &facts);
        }
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
