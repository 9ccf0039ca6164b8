//! A map of which copies share the parts that they do not change.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::addr::ObjectId;

/// With how many entries a part is large enough, on average.
const USUAL: usize = 32;

/// How many parts are made of one that is too large.
const FANOUT: usize = 4;
/// As many entries have room in a part from the beginning.
const SMALL: usize = 14;

/// An object, by a key with its hash.
#[derive(Clone)]
struct Entry<K> {
    hash: u64,
    key: K,
    id: ObjectId,
}

/// Objects by a key.
#[derive(Clone)]
pub struct Shards<K> {
    hasher: DefaultHashBuilder,
    /// None, or a power of [`FANOUT`].
    shards: Vec<Arc<HashTable<Entry<K>>>>,
    count: usize,
}

impl<K> Default for Shards<K> {
    fn default() -> Self {
        Self { hasher: DefaultHashBuilder::default(), shards: Vec::new(), count: 0 }
    }
}

impl<K: Hash + Eq + Clone> Shards<K> {
    /// The part that a key with this hash belongs to: by bits that its table does not go by.
    #[inline]
    const fn place(&self, hash: u64) -> usize {
        (hash >> 40) as usize & self.shards.len().wrapping_sub(1)
    }

    /// The object with this key.
    #[must_use]
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<ObjectId>
    where
        K: Borrow<Q>,
    {
        self.find(self.hasher.hash_one(key), key)
    }

    #[inline]
    fn find<Q: Eq + ?Sized>(&self, hash: u64, key: &Q) -> Option<ObjectId>
    where
        K: Borrow<Q>,
    {
        let shard = self.shards.get(self.place(hash))?;
        shard.find(hash, |entry| entry.key.borrow() == key).map(|entry| entry.id)
    }

    /// The object with this key; from now on `id`, as `own` writes the key, if there was none.
    pub fn enter<Q: Hash + Eq + ?Sized>(
        &mut self,
        key: &Q,
        id: ObjectId,
        own: impl FnOnce(&Q) -> K,
    ) -> ObjectId
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        if let Some(known) = self.find(hash, key) {
            return known;
        }
        if self.count >= self.shards.len() * USUAL {
            self.split();
        }
        self.insert(Entry { hash, key: own(key), id });
        self.count += 1;
        id
    }

    fn insert(&mut self, entry: Entry<K>) {
        let at = self.place(entry.hash);
        if let Some(shard) = self.shards.get_mut(at) {
            Arc::make_mut(shard).insert_unique(entry.hash, entry, |entry| entry.hash);
        }
    }

    /// Makes more parts, or the first.
    fn split(&mut self) {
        let count = (self.shards.len() * FANOUT).max(1);
        let old = core::mem::take(&mut self.shards);
        self.shards.resize_with(count, || Arc::new(HashTable::with_capacity(SMALL)));
        old.iter().flat_map(|shard| shard.iter()).for_each(|entry| self.insert(entry.clone()));
    }

    /// Leaves the objects in it that `keep` says.
    pub fn retain(&mut self, keep: impl Fn(ObjectId) -> bool) {
        for shard in &mut self.shards {
            if shard.iter().any(|entry| !keep(entry.id)) {
                Arc::make_mut(shard).retain(|entry| keep(entry.id));
            }
        }
        self.count = self.shards.iter().map(|shard| shard.len()).sum();
    }

    /// Puts an object in the place of another.
    pub fn replace(&mut self, old: ObjectId, new: ObjectId) {
        for shard in &mut self.shards {
            if shard.iter().any(|entry| entry.id == old) {
                let entries = Arc::make_mut(shard).iter_mut();
                entries.filter(|entry| entry.id == old).for_each(|entry| entry.id = new);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(map: &mut Shards<u64>, key: u64, id: u32) -> u32 {
        map.enter(&key, ObjectId(id), |key| *key).0
    }

    #[test]
    fn a_copy_changes_alone() {
        let mut first = Shards::default();
        for key in 0..100 {
            assert_eq!(entered(&mut first, u64::from(key), key), key);
        }
        assert_eq!(first.shards.len(), 4);
        assert_eq!(entered(&mut first, 5, 1000), 5);
        let mut second = first.clone();
        second.retain(|id| id.0 % 10 != 3);
        second.replace(ObjectId(4), ObjectId(400));
        assert_eq!(entered(&mut second, 3, 7), 7);
        let of = |map: &Shards<u64>, key| map.get(&key).map(|id| id.0);
        assert!((0..100).all(|key| of(&first, u64::from(key)) == Some(key)));
        assert_eq!([2, 3, 4, 13].map(|key| of(&second, key)), [Some(2), Some(7), Some(400), None]);
        assert_eq!(of(&second, 1000), None);
    }
}
