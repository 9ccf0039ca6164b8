//! dlclose(3), and the finalisers of the end.
//!
//! # Safety
//!
//! Finalisers are called when nothing that needs their object is left; its memory goes when nobody reads the world that
//! held it. The caller holds the loader's lock.
#![allow(unsafe_code)]

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::audit::{self, Activity};
use super::locks::{Lock, while_reading};
use super::process::Process;
use super::ready::calls;
use super::show::{self, Change};
use super::world::{World, is_pinned_by_flag};
use crate::addr::ObjectId;
use crate::error::{Error, Result};
use crate::image::map::unmap_all;
use crate::init;
use crate::linkmap::LinkMap;
use crate::object::{Object, Role};
use crate::trace::{self, Event, Function, Topics};

/// How a sweep stands ([`Process::sweep`]): a finaliser may close something itself.
const IDLE: u32 = 0;
const RUNNING: u32 = 1;
const AGAIN: u32 = 2;

/// Closes a handle once, and unloads what nothing holds any more. The caller holds the loader's lock.
///
/// # Errors
/// The handle is not that of an open object.
pub fn close(process: &Process, handle: u64) -> Result<()> {
    let world = process.world();
    let id = world.link_maps.object(handle);
    let told =
        id.filter(|_| trace::on(Topics::REQUESTS)).and_then(|id| world.map.objects.share(id));
    if let Some(object) = &told {
        trace::emit(&Event::CloseBegins { object: object.label() });
    }
    let since = trace::now();
    let done = close_one(process, id, handle);
    if let Some(object) = &told {
        trace::emit(&Event::CloseEnds { object: object.label(), since });
    }
    trace::flush();
    done
}

fn close_one(process: &Process, id: Option<ObjectId>, handle: u64) -> Result<()> {
    let world = process.world();
    const NOT_OPEN: &str = "shared object not open";
    let Some((id, life)) = id.and_then(|id| Some((id, world.life(id)?))) else {
        return Err(Error::bad_handle(NOT_OPEN, "dlclose", handle));
    };
    let is_marked = world.map.get(id).is_some_and(is_pinned_by_flag);
    if life.is_pinned() && (is_marked || world.is_later(id)) {
        // As under ld.so, nobody counts what will never go.
        return Ok(());
    }
    let opens = life.opens.load(Ordering::Relaxed);
    let Some(left) = opens.checked_sub(1) else {
        let name = world.map.get(id).map_or(&b""[..], |object| object.name.to_bytes());
        let error = Error::words(name, NOT_OPEN);
        return Err(error.with("others need it still; dlclose(3) was called as often as dlopen(3)"));
    };
    life.opens.store(left, Ordering::Relaxed);
    let is_swept = left == 0 && !life.is_pinned();
    if (!is_swept || process.sweep.load(Ordering::Relaxed) != IDLE)
        && let Some(object) = world.map.get(id).map(Object::label)
    {
        trace::tell(Topics::FILES, || Event::StillOpen { object, count: left });
    }
    if is_swept {
        sweep(process);
    }
    Ok(())
}

/// Unloads what nothing holds.
fn sweep(process: &Process) {
    if process.is_changing() {
        return;
    }
    if process.sweep.load(Ordering::Relaxed) != IDLE {
        return process.sweep.store(AGAIN, Ordering::Relaxed);
    }
    loop {
        process.sweep.store(RUNNING, Ordering::Relaxed);
        let unused = unused(process, process.world());
        if !unused.is_empty() {
            finalise(process, &unused);
            for space in spaces_of(process, &unused) {
                audit::activity_in(process, process.world(), space, Activity::Delete);
            }
            // What a finaliser has opened again stays, finalised as it is.
            let mut gone = self::unused(process, process.world());
            gone.retain(|id| unused.contains(id));
            // A signal handler's first call of a function must not replace the world meanwhile.
            process.begin_change();
            remove(process, &gone);
            process.end_change();
        }
        if process.sweep.load(Ordering::Relaxed) == RUNNING {
            break;
        }
    }
    process.sweep.store(IDLE, Ordering::Relaxed);
}

/// Objects, and their memory kept.
type Kept = Vec<(ObjectId, Arc<Object<'static>>)>;

fn unused(process: &Process, world: &World) -> Vec<ObjectId> {
    let has_destructors = |id| {
        let space = world.life(id).map_or(LinkMap::BASE, |life| life.space);
        let layout = process.layout_in(world, space);
        layout.is_some_and(|layout| world.link_maps.pending_destructors(layout, id) != 0)
    };
    world.unused(has_destructors)
}

/// Objects with those before them that need them, and their memory kept. `first`, if any, is to be the first.
pub(super) fn in_order(world: &World, ids: &[ObjectId], first: Option<ObjectId>) -> Kept {
    let objects = &world.map.objects;
    let bound = |id| world.life(id).into_iter().flat_map(|life| life.bound.objects()).collect();
    let order = match objects.older_order {
        false => init::users_first(objects, ids, first, bound),
        true => in_older_order(world, ids, bound),
    };
    order.into_iter().filter_map(|id| Some((id, objects.share(id)?))).collect()
}

/// What objects lead to.
type Edges = BTreeMap<ObjectId, Vec<ObjectId>>;

fn of(edges: &Edges, id: ObjectId) -> &[ObjectId] {
    edges.get(&id).map_or(&[][..], Vec::as_slice)
}

/// The same as ld.so had it before 2.35. It sorts the whole namespace, of which only these objects move, and counts all
/// that an opened object needs, not only directly.
#[cold]
fn in_older_order(
    world: &World,
    ids: &[ObjectId],
    bound: impl Fn(ObjectId) -> Vec<ObjectId>,
) -> Vec<ObjectId> {
    let space = ids.first().and_then(|&id| world.life(id)).map_or(0, |life| life.space);
    let all = world.visible_in(space);
    let needed = |id: &ObjectId| {
        let opened = world.list(*id).into_iter().flat_map(|list| list.objects());
        let direct = world.map.get(*id).into_iter().flat_map(|it| it.needed.iter().copied());
        (*id, opened.chain(direct).filter(|other| other != id).collect())
    };
    let needed: Edges = all.iter().map(needed).collect();
    let bound: Edges = all.iter().map(|&id| (id, bound(id))).collect();
    let program = world.map.by_role(Role::Program).filter(|_| space == LinkMap::BASE);
    let moves = |id| ids.contains(&id);
    let mut order =
        init::older::sort(&all, program, |id| of(&needed, id), |id| of(&bound, id), moves);
    order.retain(|&id| moves(id));
    order
}

fn finalise(process: &Process, ids: &[ObjectId]) {
    for (id, object) in in_order(process.world(), ids, None) {
        let life = process.world().life(id);
        let is_due = life.is_some_and(|life| {
            life.initialised.load(Ordering::Acquire) && !life.finalised.swap(true, Ordering::AcqRel)
        });
        if is_due {
            calls(Function::Finaliser, &object, || {
                // SAFETY: what needs the object was finalised before.
                unsafe { init::finalise(&object) }
            });
        }
        audit::closed(process, id);
    }
}

/// The namespaces of some objects.
fn spaces_of(process: &Process, ids: &[ObjectId]) -> Vec<usize> {
    let of = |id: &ObjectId| process.world().life(*id).map(|life| life.space);
    let mut spaces: Vec<_> = ids.iter().filter_map(of).collect();
    spaces.sort_unstable();
    spaces.dedup();
    spaces
}

fn remove(process: &Process, gone: &[ObjectId]) {
    for space in spaces_of(process, gone) {
        let of_space =
            |id: &ObjectId| process.world().life(*id).is_some_and(|it| it.space == space);
        let went: Vec<_> = gone.iter().copied().filter(of_space).collect();
        let mut world = process.world().clone();
        world.remove(&went);
        forget_loader(&mut world, space);
        let searching = &process.facts.searching;
        let mut search = searching.take(searching.program_origin(&world.map));
        went.iter().for_each(|&id| search.forget(id));
        searching.give_back(search);
        let objects: Vec<_> = {
            let objects = &process.world().map.objects;
            went.iter().filter_map(|&id| objects.share(id)).collect()
        };
        let told = match trace::on(Topics::FILES) {
            true => in_order(process.world(), &went, None),
            false => Vec::new(),
        };
        show::show(process, world, &Change { space, came: &[], went: &went });
        for (_, object) in told {
            trace::emit(&Event::Unloaded { object: object.label() });
        }
        let mappings = objects.into_iter().filter_map(Arc::into_inner);
        unmap_all(mappings.filter_map(|object| object.into_memory().mapping).collect());
        audit::activity_in(process, process.world(), space, Activity::Consistent);
    }
}

/// A namespace in which only rld is left is empty.
fn forget_loader(world: &mut World, space: usize) {
    let loader = world.map.by_role(Role::Loader);
    let Some(members) = world.map.spaces.get_mut(space) else { return };
    if space != 0 && members.is_empty(loader) {
        *members = Default::default();
        world.link_maps.remove_shadow(space);
        if let Some(space) = world.spaces.get_mut(space) {
            *space = Default::default();
        }
    }
}

/// Runs the finalisers of all objects, once (contract 3.5). Other threads go on; nothing of all this is unloaded.
///
/// # Safety
/// Called when the program exits, on a thread of it.
pub unsafe fn finalise_all(process: &Process) {
    if process.exiting.swap(true, Ordering::AcqRel) {
        return;
    }
    let lists: Vec<(usize, Kept)> = {
        let _held = process.locks.hold(Lock::Load);
        let world = process.world();
        // Those of auditors come last: they are told of all others.
        let spaces = || (0..world.map.spaces.len()).rev();
        let is_own = |space: &usize| process.auditors.own(*space);
        let own = spaces().filter(is_own);
        let spaces = spaces().filter(|space| !is_own(space)).chain(own);
        let program = |space| world.map.by_role(Role::Program).filter(|_| space == LinkMap::BASE);
        // What is there stays; what a finaliser opens may go again.
        for (_, life) in world.lives() {
            life.opens.fetch_add(1, Ordering::Relaxed);
        }
        let order = |space| {
            let mut list = world.visible_in(space);
            // rld is in several.
            list.retain(|&id| world.life(id).is_some_and(|life| life.space == space));
            (space, in_order(world, &list, program(space)))
        };
        spaces.map(order).filter(|(_, list)| !list.is_empty()).collect()
    };
    for (space, list) in lists {
        audit::activity_at_exit(process, space, Activity::Delete);
        finalise_at_exit(process, list);
        audit::activity_at_exit(process, space, Activity::Consistent);
    }
    trace::tell(Topics::STATISTICS | Topics::REQUESTS, || Event::Exit);
    trace::flush();
}

fn finalise_at_exit(process: &Process, list: Kept) {
    for (id, object) in list {
        let is_program = object.role == Role::Program;
        // Other threads may replace the world.
        let is_due = while_reading(|| {
            process.world().life(id).is_some_and(|life| {
                (is_program || life.initialised.load(Ordering::Acquire))
                    && !life.finalised.swap(true, Ordering::AcqRel)
            })
        });
        if is_due && object.role != Role::Vdso {
            calls(Function::Finaliser, &object, || {
                // SAFETY: the object is initialised, and what needs it was finalised before; rld has no finalisers.
                unsafe { init::finalise(&object) }
            });
            audit::closed(process, id);
        }
    }
}
