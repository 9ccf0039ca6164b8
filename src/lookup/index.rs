//! All definitions of a scope in one table, so that a lookup does not grow with the number of objects.
//!
//! The table is made from the hashes that GNU hash tables already hold, so neither symbols nor names are touched to
//! make it. Entries with one hash stand together, in scope order and in table order inside an object: a lookup sees the
//! same candidates in the same order as a walk from object to object.

use alloc::vec;
use alloc::vec::Vec;

use crate::elf::hash::{HashTable, gnu};
use crate::object::Names;

/// One definition: the upper 31 bits of its name's GNU hash, the position of its object in the scope, its symbol index.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    hash: u32,
    /// Position of the object in the scope.
    pub member: u32,
    /// Index in that object's symbol table.
    pub symbol: u32,
}

/// The definitions of a scope by hash.
#[derive(Clone, Debug)]
pub struct Index {
    /// Where each bucket starts in `entries`, and where the last one ends.
    starts: Vec<u32>,
    entries: Vec<Entry>,
    shift: u32,
}

impl Index {
    /// Indexes the definitions of `members`, in scope order.
    #[must_use]
    pub fn new<'i, 'm: 'i, 'a: 'm>(
        members: impl Iterator<Item = (&'i HashTable<'a>, &'i Names<'m, 'a>)> + Clone,
    ) -> Self {
        let total: usize = members.clone().map(|(hash, _)| hash.definitions()).sum();
        let bits = usize::BITS - total.max(16).leading_zeros();
        let shift = u32::BITS - bits.min(28);
        let buckets = 1usize << (u32::BITS - shift);
        // Count, turn counts into starts, then place: a counting sort that keeps the order of arrival. Meanwhile each
        // bucket's start stands one place further up; placing moves it to where the next one starts.
        let mut index = Self { starts: vec![0; buckets + 2], entries: Vec::new(), shift };
        for (hash, names) in members.clone() {
            each(hash, names, |_, hash| {
                let bucket = index.bucket_of(hash);
                if let Some(count) = index.starts.get_mut(bucket + 2) {
                    *count += 1;
                }
            });
        }
        let mut sum = 0;
        for start in &mut index.starts {
            sum += *start;
            *start = sum;
        }
        index.entries = vec![Entry::default(); sum as usize];
        for (position, (hash, names)) in (0..).zip(members) {
            each(hash, names, |symbol, hash| {
                let bucket = index.bucket_of(hash);
                let Some(next) = index.starts.get_mut(bucket + 1) else { return };
                if let Some(entry) = index.entries.get_mut(*next as usize) {
                    *entry = Entry { hash: hash | 1, member: position, symbol };
                }
                *next += 1;
            });
        }
        index
    }

    #[inline]
    const fn bucket_of(&self, hash: u32) -> usize {
        ((hash | 1).wrapping_mul(super::SPREAD) >> self.shift) as usize
    }

    /// Where it is said where the entries of `hash` are.
    #[inline]
    #[must_use]
    pub fn bucket_place(&self, hash: u32) -> *const u8 {
        self.starts.as_ptr().wrapping_add(self.bucket_of(hash)).cast()
    }

    /// Between which two places the entries of `hash` are, if there are any.
    #[inline]
    #[must_use]
    pub fn bucket(&self, hash: u32) -> Option<(u32, u32)> {
        let bucket = self.bucket_of(hash);
        let &[start, end] = self.starts.get(bucket..bucket + 2)?.first_chunk()?;
        (start < end).then_some((start, end))
    }

    /// Where the entry at a place is.
    #[inline]
    #[must_use]
    pub fn place(&self, at: u32) -> *const u8 {
        self.entries.as_ptr().wrapping_add(at as usize).cast()
    }

    /// Of the entries between two places, the definitions whose name may have this hash, in scope order.
    #[inline]
    pub fn entries(&self, start: u32, end: u32, hash: u32) -> impl Iterator<Item = &Entry> {
        let entries = self.entries.get(start as usize..end as usize).unwrap_or_default();
        entries.iter().filter(move |entry| entry.hash == hash | 1)
    }

    /// The definitions whose name may have this hash, in scope order.
    #[inline]
    pub fn candidates(&self, hash: u32) -> impl Iterator<Item = &Entry> {
        let (start, end) = self.bucket(hash).unwrap_or_default();
        self.entries(start, end, hash)
    }
}

/// Calls `found` with every symbol that the object's hash table covers, and its hash.
fn each(hash: &HashTable<'_>, names: &Names<'_, '_>, mut found: impl FnMut(u32, u32)) {
    match hash {
        HashTable::None => {}
        HashTable::Gnu(table) => table.entries().for_each(|(symbol, hash)| found(symbol, hash)),
        HashTable::Sysv(table) => {
            for number in table.entries() {
                if let Some(symbol) = names.symbols.get(number as usize)
                    && symbol.can_define(false)
                    && let Some(name) = names.strings.get(symbol.name)
                {
                    found(number, gnu(name));
                }
            }
        }
    }
}
