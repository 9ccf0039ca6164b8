//! Sets of objects.

use alloc::vec;
use alloc::vec::Vec;

use crate::addr::ObjectId;

/// A set of objects: asking is one look, and the ids come out in order.
#[derive(Debug, Default)]
pub struct IdSet {
    /// By object: whether it is in the set.
    held: Vec<bool>,
}

impl IdSet {
    /// An empty set with room for ids below `count`.
    #[must_use]
    pub fn of(count: usize) -> Self {
        Self { held: vec![false; count] }
    }

    /// Adds an object; says whether it was not there before.
    #[inline]
    pub fn add(&mut self, id: ObjectId) -> bool {
        if self.held.len() <= id.index() {
            self.held.resize(id.index() + 1, false);
        }
        self.held.get_mut(id.index()).is_some_and(|held| !core::mem::replace(held, true))
    }

    /// Whether an object is in the set.
    #[must_use]
    pub fn holds(&self, id: ObjectId) -> bool {
        self.held.get(id.index()).is_some_and(|held| *held)
    }

    /// The objects, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = ObjectId> {
        (0..).map(ObjectId).zip(&self.held).filter_map(|(id, held)| held.then_some(id))
    }

    /// The same, and the set is empty then.
    pub fn take(&mut self) -> Vec<ObjectId> {
        let count = self.held.iter().filter(|held| **held).count();
        let mut ids = Vec::with_capacity(count);
        let all = (0..).map(ObjectId).zip(&mut self.held);
        ids.extend(all.filter_map(|(id, held)| core::mem::take(held).then_some(id)));
        ids
    }
}

impl FromIterator<ObjectId> for IdSet {
    fn from_iter<I: IntoIterator<Item = ObjectId>>(ids: I) -> Self {
        let mut this = Self::default();
        ids.into_iter().for_each(|id| _ = this.add(id));
        this
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_each_object_once_and_gives_all_away() {
        let mut set: IdSet = [2, 0, 2].map(ObjectId).into_iter().collect();
        assert!(set.holds(ObjectId(2)) && !set.holds(ObjectId(1)) && !set.holds(ObjectId(9)));
        assert!(!set.add(ObjectId(0)) && set.add(ObjectId(5)));
        assert_eq!(set.take(), [0, 2, 5].map(ObjectId));
        assert!(set.take().is_empty() && set.add(ObjectId(2)));
        assert_eq!(set.take(), [ObjectId(2)]);
    }
}
