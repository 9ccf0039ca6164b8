//! Sets of objects.

use alloc::vec;
use alloc::vec::Vec;

use crate::addr::ObjectId;

/// Objects in a word.
const WORD: usize = u64::BITS as usize;

/// A set of objects: asking is one look, and the ids come out in order.
#[derive(Clone, Debug, Default)]
pub struct IdSet {
    /// A bit for each object: whether it is in the set.
    words: Vec<u64>,
}

impl IdSet {
    /// An empty set with room for ids below `count`.
    #[must_use]
    pub fn of(count: usize) -> Self {
        Self { words: vec![0; count.div_ceil(WORD)] }
    }

    /// Where an object's bit is.
    #[inline(always)]
    const fn place(id: ObjectId) -> (usize, u64) {
        (id.index() / WORD, 1 << (id.index() % WORD))
    }

    /// Adds an object; says whether it was not there before.
    #[inline]
    pub fn add(&mut self, id: ObjectId) -> bool {
        let (at, bit) = Self::place(id);
        if self.words.len() <= at {
            self.words.resize(at + 1, 0);
        }
        let Some(word) = self.words.get_mut(at) else { return false };
        core::mem::replace(word, *word | bit) & bit == 0
    }

    /// Takes an object out.
    pub fn remove(&mut self, id: ObjectId) {
        let (at, bit) = Self::place(id);
        self.words.get_mut(at).into_iter().for_each(|word| *word &= !bit);
    }

    /// Adds all that another set holds.
    pub fn add_all(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    /// Whether an object is in the set.
    #[must_use]
    pub fn holds(&self, id: ObjectId) -> bool {
        let (at, bit) = Self::place(id);
        self.words.get(at).is_some_and(|word| word & bit != 0)
    }

    /// The objects, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = ObjectId> {
        (0u32..).step_by(WORD).zip(&self.words).flat_map(|(first, &word)| {
            let bits = core::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)));
            bits.take_while(|&rest| rest != 0)
                .map(move |rest| ObjectId(first + rest.trailing_zeros()))
        })
    }

    /// The same, and the set is empty then.
    pub fn take(&mut self) -> Vec<ObjectId> {
        let count = self.words.iter().map(|word| word.count_ones() as usize).sum();
        let mut ids = Vec::with_capacity(count);
        ids.extend(self.iter());
        self.words.fill(0);
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
        let far = [0, 63, 64, 127, 200].map(ObjectId);
        set.add_all(&far.into_iter().collect());
        assert!(set.holds(ObjectId(64)) && !set.holds(ObjectId(65)) && set.iter().eq(far));
        set.add_all(&IdSet::of(1));
        set.remove(ObjectId(64));
        set.remove(ObjectId(1000));
        assert_eq!(set.take(), [0, 63, 127, 200].map(ObjectId));
    }
}
