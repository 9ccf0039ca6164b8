//! The order of initialisers and finalisers (gABI, "Initialization and Termination Functions"), and the calls.
//!
//! The gABI leaves the order inside a cycle open, and among unrelated objects as well. Programs have come to depend on
//! what glibc does since 2.35: a depth-first walk over dependencies, begun at the end of the list. [`older`] is what it
//! did before.
//!
//! # Safety
//!
//! The calls jump to addresses that relocation has written; that code is the program's own.
#![allow(unsafe_code)]

pub mod older;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ffi::{c_char, c_int};

use crate::addr::{Addr, ObjectId, Vaddr};
use crate::elf::dynamic::Area;
use crate::elf::segment::USER_END;
use crate::linkmap::Objects;
use crate::object::Object;

/// Sorts `list` so that an object stands before those that it needs, as far as cycles allow; `root` is the first.
#[must_use]
pub fn dependants_first(objects: &Objects<'_>, list: &[ObjectId], root: ObjectId) -> Vec<ObjectId> {
    let edges = |id: ObjectId| objects.get(id).map_or(&[][..], |object| &object.needed);
    match list.iter().position(|&id| id == root) {
        // What it is a filter for stands before it.
        Some(at) if at > 0 => {
            let mut list = list.to_vec();
            list[..=at].rotate_right(1);
            sort(&list, edges, objects.older_order)
        }
        _ => sort(list, edges, objects.older_order),
    }
}

/// musl's order of initialisers: what an object needs before it, in the order in which it is needed; `root` is the
/// last. Whatever else stands in its search list, `root` needs as well: what is preloaded comes first there.
#[must_use]
pub fn dependencies_first(
    objects: &Objects<'_>,
    list: &[ObjectId],
    root: ObjectId,
) -> Vec<ObjectId> {
    let needed = |id: ObjectId| objects.get(id).map_or(&[][..], |object| &object.needed);
    sort_needed(list, root, needed)
}

fn sort_needed<'g>(
    list: &[ObjectId],
    root: ObjectId,
    needed: impl Fn(ObjectId) -> &'g [ObjectId],
) -> Vec<ObjectId> {
    // The walk begins at the end.
    let root_last: Vec<_> =
        list.iter().copied().filter(|&id| id != root).chain(core::iter::once(root)).collect();
    let edge = |id: ObjectId, at: usize| match id == root {
        true => list.get(at).copied(),
        false => needed(id).get(at).copied(),
    };
    let mut order = walk(&root_last, None, edge);
    order.reverse();
    order
}

/// The same for finalisers: with further edges, to objects that the references of one are bound to, the newest first.
/// Where these close a cycle, only what is needed counts. `first`, if any, is to be the first.
#[must_use]
pub fn users_first(
    objects: &Objects<'_>,
    list: &[ObjectId],
    first: Option<ObjectId>,
    bound: impl Fn(ObjectId) -> Vec<ObjectId>,
) -> Vec<ObjectId> {
    let needed = |id: ObjectId| objects.get(id).map_or(&[][..], |object| &object.needed);
    sort_users(list, first, needed, bound)
}

fn sort_users<'g>(
    list: &[ObjectId],
    first: Option<ObjectId>,
    needed: impl Fn(ObjectId) -> &'g [ObjectId],
    bound: impl Fn(ObjectId) -> Vec<ObjectId>,
) -> Vec<ObjectId> {
    let bound: BTreeMap<ObjectId, Vec<ObjectId>> =
        list.iter().map(|&id| (id, bound(id))).filter(|(_, bound)| !bound.is_empty()).collect();
    let edge = |id: ObjectId, at: usize| {
        let needed = needed(id);
        let further = || bound.get(&id)?.get(at - needed.len().min(at));
        needed.get(at).or_else(further).copied()
    };
    let sorted = walk(list, first, edge);
    match bound.is_empty() {
        true => sorted,
        false => walk(&sorted, first, |id, at| needed(id).get(at).copied()),
    }
}

/// The sort, over any graph. `needed` of the first object does not count: it stays first.
fn sort<'g>(
    list: &[ObjectId],
    needed: impl Fn(ObjectId) -> &'g [ObjectId],
    older_order: bool,
) -> Vec<ObjectId> {
    if older_order {
        return older::sort(list, list.first().copied(), needed, |_| &[], |_| true);
    }
    walk(list, list.first().copied(), |id, at| needed(id).get(at).copied())
}

/// The walk. `edge` is what an object needs as number `at`.
fn walk(
    list: &[ObjectId],
    first: Option<ObjectId>,
    edge: impl Fn(ObjectId, usize) -> Option<ObjectId>,
) -> Vec<ObjectId> {
    let highest = list.iter().map(|id| id.index()).max().unwrap_or_default();
    let mut visited = alloc::vec![true; highest + 1];
    for id in list {
        if let Some(slot) = visited.get_mut(id.index()) {
            *slot = false;
        }
    }
    let mut visit = |id: ObjectId| {
        visited.get_mut(id.index()).is_some_and(|visited| !core::mem::replace(visited, true))
    };
    first.map(&mut visit);
    // Objects in the order in which the walk leaves them: dependencies before dependants.
    let mut left = Vec::with_capacity(list.len());
    let mut path: Vec<(ObjectId, usize)> = Vec::new();
    for &start in list.iter().rev() {
        if !visit(start) {
            continue;
        }
        path.push((start, 0));
        while let Some((id, next)) = path.last_mut() {
            match edge(*id, *next) {
                Some(dependency) => {
                    *next += 1;
                    if visit(dependency) {
                        path.push((dependency, 0));
                    }
                }
                None => {
                    left.push(*id);
                    path.pop();
                }
            }
        }
    }
    left.extend(first);
    left.reverse();
    left
}

/// What every initialiser is called with (contract 3.3).
#[derive(Clone, Copy, Debug)]
pub struct Arguments {
    /// The number of arguments.
    pub argc: c_int,
    /// The arguments.
    pub argv: *mut *mut c_char,
    /// The environment.
    pub envp: *mut *mut c_char,
}

type Initialiser = unsafe extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char);
type Finaliser = unsafe extern "C" fn();

/// Runs `DT_INIT` and `DT_INIT_ARRAY` of an object.
///
/// # Safety
/// The object is mapped and relocated, its dependencies initialised, and libc ready.
pub unsafe fn initialise(object: &Object<'_>, arguments: Arguments) {
    if let Some(init) = object.dynamic.init {
        // SAFETY: as the caller promises.
        unsafe { call_initialiser(object.image.address(init), arguments) };
    }
    // SAFETY: as the caller promises.
    unsafe { run_array(object, object.dynamic.init_array, arguments) };
}

/// The initialiser that is called as number `index`: `DT_INIT`, then `DT_INIT_ARRAY`. `None` after the last one.
#[must_use]
pub fn initialiser(object: &Object<'_>, index: usize) -> Option<Addr> {
    let first = object.dynamic.init.map(|init| object.image.address(init));
    first.into_iter().chain(array(object, object.dynamic.init_array).map(Addr)).nth(index)
}

/// An initialiser or finaliser of a relocated object that is no address which can be called at all, and the array that
/// has it. It would fault in the loader instead of where it leads.
#[must_use]
pub fn unsound(object: &Object<'_>) -> Option<(&'static str, u64)> {
    let dynamic = &object.dynamic;
    let arrays = [
        ("DT_PREINIT_ARRAY", dynamic.preinit_array),
        ("DT_INIT_ARRAY", dynamic.init_array),
        ("DT_FINI_ARRAY", dynamic.fini_array),
    ];
    arrays.into_iter().find_map(|(structure, area)| {
        let address = array(object, area).find(|&address| address >= USER_END)?;
        Some((structure, address))
    })
}

/// Runs `DT_PREINIT_ARRAY` of the program.
///
/// # Safety
/// As for [`initialise`], for all objects.
pub unsafe fn preinitialise(program: &Object<'_>, arguments: Arguments) {
    // SAFETY: as the caller promises.
    unsafe { run_array(program, program.dynamic.preinit_array, arguments) };
}

/// Runs `DT_FINI_ARRAY`, backwards, and `DT_FINI` of an object.
///
/// # Safety
/// The object is initialised, and nothing that needs it runs any more.
pub unsafe fn finalise(object: &Object<'_>) {
    for address in array(object, object.dynamic.fini_array).rev() {
        // SAFETY: as the caller promises.
        unsafe { core::mem::transmute::<u64, Finaliser>(address)() };
    }
    if let Some(fini) = object.dynamic.fini {
        let address = object.image.address(fini).0;
        // SAFETY: as the caller promises.
        unsafe { core::mem::transmute::<u64, Finaliser>(address)() };
    }
}

/// Calls one initialiser.
///
/// # Safety
/// It is its turn.
pub unsafe fn call(address: u64, arguments: Arguments) {
    // SAFETY: as the caller promises.
    unsafe { call_initialiser(Addr(address), arguments) };
}

unsafe fn run_array(object: &Object<'_>, area: Area, arguments: Arguments) {
    for address in array(object, area) {
        // SAFETY: as the caller promises.
        unsafe { call_initialiser(Addr(address), arguments) };
    }
}

unsafe fn call_initialiser(address: Addr, Arguments { argc, argv, envp }: Arguments) {
    // SAFETY: as the caller promises; a function pointer is never null: relocation refuses none, the program may.
    unsafe { core::mem::transmute::<u64, Initialiser>(address.0)(argc, argv, envp) };
}

/// The function addresses of an array, read at the moment of each call; none where it lies outside the object.
fn array(object: &Object<'_>, area: Area) -> impl DoubleEndedIterator<Item = u64> {
    let inside = object.image.segments().any(|segment| segment.holds(area.vaddr, area.size));
    let count = if inside { area.size / 8 } else { 0 };
    let start = object.image.address(area.vaddr);
    (0..count).map(move |index| {
        let Vaddr(offset) = Vaddr(index * 8);
        // SAFETY: the word lies in a mapped segment of the object.
        unsafe { ((start.0 + offset) as *const u64).read_unaligned() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(needed: &[&[u32]], list: &[u32]) -> Vec<u32> {
        let edges: Vec<Vec<ObjectId>> =
            needed.iter().map(|needed| needed.iter().copied().map(ObjectId).collect()).collect();
        let list: Vec<_> = list.iter().copied().map(ObjectId).collect();
        sort(&list, |id| &edges[id.index()], false).into_iter().map(|id| id.0).collect()
    }

    #[test]
    fn a_diamond() {
        // 0 → 1, 2; 1 → 3; 2 → 3.
        assert_eq!(order(&[&[1, 2], &[3], &[3], &[]], &[0, 1, 2, 3]), [0, 1, 2, 3]);
        // 0 → 3, 1; 3 needs 1 and is listed before it or after: 1 is last either way.
        assert_eq!(order(&[&[1, 3], &[], &[], &[1]], &[0, 1, 3]), [0, 3, 1]);
    }

    #[test]
    fn what_is_needed_first_comes_first() {
        // 1 is preloaded; 0 → 2, 3; 2 → 4; 4 → 3; 3 → 2 closes a cycle.
        let needed = [&[2, 3][..], &[], &[4], &[2], &[3]]
            .map(|ids| ids.iter().copied().map(ObjectId).collect::<Vec<_>>());
        let list = [0, 1, 2, 3, 4].map(ObjectId);
        let order = sort_needed(&list, ObjectId(0), |id| &needed[id.index()]);
        assert_eq!(order.into_iter().map(|id| id.0).collect::<Vec<_>>(), [1, 3, 4, 2, 0]);
    }

    #[test]
    fn what_is_needed_counts_more_than_a_binding() {
        // 0 → 1 → 2, and 2 is bound to 0.
        let [needed, bound] = [[&[1][..], &[2], &[]], [&[], &[], &[0]]]
            .map(|edges| edges.map(|ids| ids.iter().copied().map(ObjectId).collect::<Vec<_>>()));
        let sorted = |list: [u32; 3]| {
            let list = list.map(ObjectId);
            let sorted =
                sort_users(&list, None, |id| &needed[id.index()], |id| bound[id.index()].clone());
            sorted.into_iter().map(|id| id.0).collect::<Vec<_>>()
        };
        assert_eq!(sorted([0, 1, 2]), [0, 1, 2]);
        assert_eq!(sorted([2, 1, 0]), [0, 1, 2]);
        assert_eq!(sorted([1, 2, 0]), [0, 1, 2]);
    }

    #[test]
    fn a_cycle_keeps_every_object_once() {
        let sorted = order(&[&[1], &[2], &[1]], &[0, 1, 2]);
        assert_eq!(sorted, [0, 2, 1]);
    }

    #[test]
    fn a_long_chain_does_not_use_the_stack() {
        let length = 100_000u32;
        let edges: Vec<Vec<ObjectId>> = (0..length)
            .map(|id| if id + 1 < length { Vec::from([ObjectId(id + 1)]) } else { Vec::new() })
            .collect();
        let list: Vec<_> = (0..length).map(ObjectId).collect();
        let sorted = sort(&list, |id| &edges[id.index()], false);
        assert_eq!(sorted, list);
    }
}
