//! Whom an object is bound to, noted while it is relocated.

use alloc::vec;
use alloc::vec::Vec;

use crate::addr::ObjectId;

/// The objects that one object is bound to.
#[derive(Debug, Default)]
pub struct BoundTo {
    /// By object: whether it is one of them.
    noted: Vec<bool>,
}

impl BoundTo {
    /// Notes objects with ids below `ids`, and no others.
    #[must_use]
    pub fn new(ids: usize) -> Self {
        Self { noted: vec![false; ids] }
    }

    /// Notes an object.
    #[inline]
    pub fn note(&mut self, id: ObjectId) {
        if let Some(noted) = self.noted.get_mut(id.index()) {
            *noted = true;
        }
    }

    /// What was noted, in the order of the ids. Nothing is noted then.
    pub fn take(&mut self) -> Vec<ObjectId> {
        let ids = (0..).map(ObjectId).zip(&mut self.noted);
        ids.filter_map(|(id, noted)| core::mem::take(noted).then_some(id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_each_object_once_and_forgets() {
        let mut bound = BoundTo::new(3);
        [2, 0, 2, 3].iter().for_each(|&id| bound.note(ObjectId(id)));
        assert_eq!(bound.take(), [ObjectId(0), ObjectId(2)]);
        bound.note(ObjectId(2));
        assert_eq!(bound.take(), [ObjectId(2)]);
        BoundTo::default().note(ObjectId(0));
        assert!(bound.take().is_empty() && BoundTo::default().take().is_empty());
    }
}
