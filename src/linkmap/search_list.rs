//! The order in which objects are searched for symbols: breadth-first over what they need (gABI, "Shared Object
//! Dependencies"), but what an object is a filter for stands before it (DT_FILTER, DT_AUXILIARY).

use alloc::vec::Vec;

use super::id_set::IdSet;
use crate::addr::ObjectId;

/// A search list in the making.
#[derive(Default)]
pub struct SearchList {
    ids: Vec<ObjectId>,
    /// The objects in the list.
    listed: IdSet,
    /// Those of which what they need is in the list, too.
    done: IdSet,
    /// All objects before this place are done.
    next: usize,
}

impl SearchList {
    /// A list that begins with these objects.
    pub fn new(first: impl Iterator<Item = ObjectId>) -> Self {
        let mut this = Self::default();
        this.append(first);
        this
    }

    fn append(&mut self, ids: impl Iterator<Item = ObjectId>) {
        let listed = &mut self.listed;
        self.ids.extend(ids.filter(|&id| listed.add(id)));
    }

    /// The object whose dependencies are to be added next.
    #[expect(clippy::should_implement_trait, reason = "the list grows meanwhile")]
    pub fn next(&mut self) -> Option<ObjectId> {
        loop {
            let id = *self.ids.get(self.next)?;
            if self.done.add(id) {
                return Some(id);
            }
            self.next += 1;
        }
    }

    /// Adds what `id` needs. Those whose filter it is come to stand before it, unless they do already; they are
    /// returned.
    pub fn add(
        &mut self,
        id: ObjectId,
        needed: &[ObjectId],
        filtees: &[ObjectId],
    ) -> Vec<ObjectId> {
        self.append(needed.iter().copied().filter(|id| !filtees.contains(id)));
        let mut moved = Vec::new();
        for &filtee in filtees {
            let place = |ids: &[ObjectId], wanted| ids.iter().position(|&id| id == wanted);
            let Some(at) = place(&self.ids, id) else { break };
            match place(&self.ids, filtee) {
                Some(before) if before <= at => continue,
                Some(behind) => self.ids[at..=behind].rotate_right(1),
                None => {
                    self.listed.add(filtee);
                    self.ids.insert(at, filtee);
                }
            }
            moved.push(filtee);
        }
        moved
    }

    /// Whether an object is in the list.
    #[must_use]
    pub fn holds(&self, id: ObjectId) -> bool {
        self.listed.holds(id)
    }

    /// The list.
    #[must_use]
    pub fn into_ids(self) -> Vec<ObjectId> {
        self.ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list for a graph: by object, what it needs and whose filter it is.
    fn list(graph: &[(&[u32], &[u32])]) -> Vec<u32> {
        let ids = |numbers: &[u32]| numbers.iter().copied().map(ObjectId).collect::<Vec<_>>();
        let mut list = SearchList::new(core::iter::once(ObjectId(0)));
        while let Some(id) = list.next() {
            let (needed, filtees) = graph[id.index()];
            list.add(id, &ids(&[filtees, needed].concat()), &ids(filtees));
        }
        list.into_ids().into_iter().map(|id| id.0).collect()
    }

    #[test]
    fn breadth_first() {
        assert_eq!(list(&[(&[1, 2], &[]), (&[3], &[]), (&[3], &[]), (&[0], &[])]), [0, 1, 2, 3]);
    }

    #[test]
    fn filtees_stand_before_their_filter() {
        // 0 → 1, 2; 1 is a filter for 3 and 4; 3 → 5.
        let graph: [(&[u32], &[u32]); 6] =
            [(&[1, 2], &[]), (&[], &[3, 4]), (&[], &[]), (&[5], &[]), (&[], &[]), (&[], &[])];
        assert_eq!(list(&graph), [0, 3, 4, 1, 2, 5]);
    }

    #[test]
    fn a_filtee_that_is_listed_later_is_moved() {
        // 0 → 1, 2, 3; 1 is a filter for 3, 3 for 0.
        let graph: [(&[u32], &[u32]); 4] =
            [(&[1, 2, 3], &[]), (&[], &[3]), (&[], &[]), (&[], &[0])];
        assert_eq!(list(&graph), [0, 3, 1, 2]);
    }

    #[test]
    fn filters_of_one_another_end() {
        assert_eq!(list(&[(&[], &[1]), (&[], &[0])]), [0, 1]);
    }
}
