//! The order of initialisers has every object once, the first one first, and keeps to the dependencies.

use std::sync::Arc;

use rld::addr::ObjectId;
use rld::init::dependants_first;
use rld::object::Role;

use super::Choices;

/// The input is a number of objects and pairs of those that need each other.
pub fn check(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let count = 1 + choices.below(24);
    let blank = |_| super::object::blank(Role::Library);
    let mut objects: Vec<_> = (0..count).map(blank).collect();
    while !choices.is_empty() {
        let (from, to) = (choices.below(count), choices.below(count));
        objects[usize::from(from)].needed.push(ObjectId(to.into()));
    }
    // Not all objects are on the list, and it is not in the order of the ids.
    let start = u32::from(count) / 2;
    let skipped = if count > 4 { 1 } else { 0 };
    let ids = (0..u32::from(count)).map(|at| (at + start) % u32::from(count));
    let list: Vec<_> = ids.skip(skipped).map(ObjectId).collect();
    let objects: Vec<_> = objects.into_iter().map(Arc::new).collect();
    let sorted = dependants_first(&objects.iter().cloned().collect(), &list, list[0]);

    let mut every = sorted.clone();
    every.sort_unstable();
    let mut expected = list.clone();
    expected.sort_unstable();
    assert_eq!(every, expected, "not a permutation");
    assert_eq!(sorted[0], list[0]);
    let reach = reachable(&objects.iter().map(|object| &object.needed[..]).collect::<Vec<_>>());
    let place = |id: ObjectId| sorted.iter().position(|&other| other == id);
    for &id in &sorted[1..] {
        for &needed in &objects[id.index()].needed {
            if needed == list[0] || reach[needed.index()][id.index()] {
                continue;
            }
            if let Some(after) = place(needed) {
                assert!(place(id) < Some(after), "{id:?} needs {needed:?}: {sorted:?}");
            }
        }
    }
}

/// Whether there is a path from each object to each.
fn reachable(needed: &[&[ObjectId]]) -> Vec<Vec<bool>> {
    let from = |start: usize| {
        let mut seen = vec![false; needed.len()];
        let mut left = vec![start];
        while let Some(at) = left.pop() {
            if !std::mem::replace(&mut seen[at], true) {
                left.extend(needed[at].iter().map(|id| id.index()));
            }
        }
        seen
    };
    (0..needed.len()).map(from).collect()
}
