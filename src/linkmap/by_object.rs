//! Values by object, of which copies share what they do not change: a dlopen(3) works on a copy of all that is known of
//! the process's objects, and changes what concerns a few.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::addr::ObjectId;

/// How many values are shared or copied together.
const PAGE: usize = 8;

/// A value for each object.
#[derive(Debug)]
pub struct ByObject<T> {
    pages: Vec<Arc<[T; PAGE]>>,
}

impl<T> Clone for ByObject<T> {
    fn clone(&self) -> Self {
        Self { pages: self.pages.clone() }
    }
}

impl<T> Default for ByObject<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T> ByObject<T> {
    /// The value of an object, if there is room for it.
    #[inline]
    #[must_use]
    pub fn get(&self, id: ObjectId) -> Option<&T> {
        self.pages.get(id.index() / PAGE)?.get(id.index() % PAGE)
    }

    /// All values, and default ones for the places that no object has.
    pub fn iter(&self) -> impl Iterator<Item = (ObjectId, &T)> {
        (0..).map(ObjectId).zip(self.pages.iter().flat_map(|page| page.iter()))
    }

    /// The values that are here and in another copy, where the two do not share them.
    pub fn not_shared<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = (&'s T, &'s T)> {
        let pages = self.pages.iter().zip(&other.pages);
        let pages = pages.filter(|(here, there)| !Arc::ptr_eq(here, there));
        pages.flat_map(|(here, there)| here.iter().zip(there.iter()))
    }
}

impl<T: Clone + Default> ByObject<T> {
    /// The value of an object, to be changed in this copy alone, if there is room for it.
    #[inline]
    pub fn get_mut(&mut self, id: ObjectId) -> Option<&mut T> {
        Arc::make_mut(self.pages.get_mut(id.index() / PAGE)?).get_mut(id.index() % PAGE)
    }

    /// Makes room for all ids below `count`.
    pub fn grow(&mut self, count: usize) {
        let empty = || Arc::new(core::array::from_fn(|_| T::default()));
        self.pages.resize_with(self.pages.len().max(count.div_ceil(PAGE)), empty);
    }

    /// Gives an object this value.
    pub fn set(&mut self, id: ObjectId, value: T) {
        self.grow(id.index() + 1);
        if let Some(slot) = self.get_mut(id) {
            *slot = value;
        }
    }

    /// Gives objects their values back that they have without one, if there is room for it.
    pub fn clear(&mut self, ids: impl IntoIterator<Item = ObjectId>) {
        for id in ids {
            self.get_mut(id).into_iter().for_each(|slot| *slot = T::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(of: &ByObject<u32>, count: u32) -> Vec<u32> {
        (0..count).filter_map(|id| of.get(ObjectId(id)).copied()).collect()
    }

    #[test]
    fn a_copy_changes_alone() {
        let mut first = ByObject::default();
        assert_eq!(first.get(ObjectId(0)), None);
        (0..40).for_each(|id| first.set(ObjectId(id), id));
        let mut second = first.clone();
        assert_eq!(first.not_shared(&second).count(), 0);
        second.set(ObjectId(17), 100);
        second.set(ObjectId(99), 7);
        second.clear([ObjectId(16), ObjectId(1000)]);
        assert!(values(&first, 40).into_iter().eq(0..40));
        assert_eq!(values(&second, 40)[15..19], [15, 0, 100, 18]);
        assert_eq!((first.get(ObjectId(99)), second.get(ObjectId(99))), (None, Some(&7)));
        assert_eq!(second.iter().filter(|(_, value)| **value == 100).count(), 1);
        // One page is not shared any more.
        assert!(second.not_shared(&first).any(|pair| pair == (&100, &17)));
        assert_eq!(second.not_shared(&first).count(), PAGE);
    }
}
