//! ld.so's sort of before 2.35, which programs of older releases know and `glibc.rtld.dynamic_sort=1` asks for.
//!
//! It changes the list as little as it must: from the front, each object goes behind the last one that needs it. In a
//! cycle this would never end, so an object that came to the front too often stays there.

use alloc::vec;
use alloc::vec::Vec;

use crate::addr::ObjectId;
use crate::env::tunables::{Value, Values};

/// The minor release of glibc that has another, which the tunable replaces.
pub const SINCE_MINOR: u16 = 35;

/// Whether the tunables ask for it.
#[must_use]
pub fn is_asked_for(values: &Values<'_>) -> bool {
    const ORIGINAL: Value<'_> = Value::Int32(1);
    values.by_name(b"glibc.rtld.dynamic_sort").is_some_and(|(value, _)| value == ORIGINAL)
}

/// Sorts `list` so that an object stands before those that it needs, as far as cycles allow. `needed` is what an object
/// needs, `bound` what it is bound to beyond that, which counts where it closes no cycle of two. `first` stays first;
/// others stay that do not move.
pub fn sort<'n, 'b>(
    list: &[ObjectId],
    first: Option<ObjectId>,
    needed: impl Fn(ObjectId) -> &'n [ObjectId],
    bound: impl Fn(ObjectId) -> &'b [ObjectId],
    moves: impl Fn(ObjectId) -> bool,
) -> Vec<ObjectId> {
    let mut order: Vec<_> = list.iter().copied().filter(|&id| Some(id) != first).collect();
    let uses = |user: ObjectId, id: ObjectId| {
        needed(user).contains(&id) || (bound(user).contains(&id) && !needed(id).contains(&user))
    };
    let count = order.len();
    // How often each was at the front, since the front is where it is now.
    let mut seen = vec![0; count];
    let mut front = 0;
    while let (Some((&id, behind)), Some(times)) =
        (order.get(front..).and_then(<[_]>::split_first), seen.get_mut(front))
    {
        *times += 1;
        let user = behind.iter().rposition(|&user| moves(id) && uses(user, id));
        let user = user.map(|at| front + 1 + at);
        let next = seen.get(front + 1).copied().unwrap_or_default();
        let stays = next > count - front;
        if let Some(user) = user {
            order.get_mut(front..=user).unwrap_or_default().rotate_left(1);
            if !stays {
                seen.get_mut(front..=user).unwrap_or_default().rotate_left(1);
                continue;
            }
        }
        front += 1;
        seen.get_mut(front..).unwrap_or_default().fill(0);
    }
    first.into_iter().chain(order).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(needed: &[&[u32]], bound: &[&[u32]], list: &[u32]) -> Vec<u32> {
        let graph = |edges: &[&[u32]]| -> Vec<Vec<ObjectId>> {
            edges.iter().map(|edges| edges.iter().copied().map(ObjectId).collect()).collect()
        };
        let (needed, bound) = (graph(needed), graph(bound));
        let list: Vec<_> = list.iter().copied().map(ObjectId).collect();
        let edges = |graph: &'static [Vec<ObjectId>], id: ObjectId| {
            graph.get(id.index()).map_or(&[][..], Vec::as_slice)
        };
        let (needed, bound): (&[_], &[_]) = (needed.leak(), bound.leak());
        let first = Some(ObjectId(0));
        sort(&list, first, |id| edges(needed, id), |id| edges(bound, id), |_| true)
            .into_iter()
            .map(|id| id.0)
            .collect()
    }

    #[test]
    fn only_what_must_moves() {
        // 0 → 1, 2, 3; 3 → 1.
        assert_eq!(order(&[&[1, 2, 3], &[], &[], &[1]], &[], &[0, 1, 2, 3]), [0, 2, 3, 1]);
        assert_eq!(order(&[&[3, 1], &[], &[], &[1]], &[], &[0, 3, 1, 2]), [0, 3, 1, 2]);
    }

    #[test]
    fn cycles_end() {
        // 1 → 2 → 3 → 1, which 4 needs.
        let sorted = order(&[&[1, 4], &[2], &[3], &[1], &[2]], &[], &[0, 1, 4, 2, 3]);
        assert_eq!(sorted.len(), 5);
        assert_eq!(sorted.iter().position(|&id| id == 4), Some(1));
    }

    #[test]
    fn a_binding_counts_less_than_a_need() {
        // 1 → 2 → 1 as a binding; 3 is bound to 1.
        assert_eq!(
            order(&[&[], &[2], &[], &[]], &[&[], &[], &[1], &[1]], &[0, 1, 2, 3]),
            [0, 3, 1, 2]
        );
    }
}
