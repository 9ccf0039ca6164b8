//! Symbol hash tables: GNU (`DT_GNU_HASH`) and System V (`DT_HASH`).

use super::Malformed;
use super::table::{Table, read};

/// The GNU hash of a name: each byte is added to 33 times what was there. References are hashed faster
/// (`lookup::scan`).
#[inline]
#[must_use]
pub fn gnu(name: &[u8]) -> u32 {
    name.iter().fold(5381, |hash: u32, &byte| hash.wrapping_mul(33).wrapping_add(byte.into()))
}

/// The System V hash of a name (gABI, "Hash Table"); also what version names are hashed with.
#[must_use]
pub fn sysv(name: &[u8]) -> u32 {
    name.iter().fold(0, |hash: u32, &byte| {
        let shifted = (hash << 4).wrapping_add(byte.into());
        let high = shifted & 0xf000_0000;
        (shifted ^ (high >> 24)) & !high
    })
}

/// A GNU hash table: a Bloom filter, buckets, and per symbol its hash with the low bit marking the end of a bucket.
#[derive(Clone, Copy, Default)]
pub struct Gnu<'a> {
    bloom: Table<'a, u64>,
    bloom_mask: u32,
    bloom_shift: u32,
    buckets: Table<'a, u32>,
    /// The first symbol that the table covers.
    pub first: u32,
    chain: Table<'a, u32>,
}

impl<'a> Gnu<'a> {
    /// Views `bytes`, which start at the table and go on to the end of its segment.
    ///
    /// # Errors
    /// When the Bloom filter or the buckets do not fit, or the filter's size is not a power of two.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let bad = |structure, value: u32| {
            Malformed::new("invalid GNU hash table", structure, value.into())
        };
        let word = |offset, what| read::<u32>(bytes, offset).ok_or_else(|| bad(what, 0));
        let nbuckets = word(0, "nbuckets")?;
        let first = word(4, "symoffset")?;
        let bloom_words = word(8, "bloom_size")?;
        let bloom_shift = word(12, "bloom_shift")?;
        if !bloom_words.is_power_of_two() {
            return Err(bad("bloom_size", bloom_words));
        }
        let rest = bytes.get(16..).unwrap_or_default();
        let split = |bytes: &'a [u8], len: u64, what, value| {
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            bytes.split_at_checked(len).ok_or_else(|| bad(what, value))
        };
        let (bloom, rest) = split(rest, u64::from(bloom_words) * 8, "bloom_size", bloom_words)?;
        let (buckets, rest) = split(rest, u64::from(nbuckets) * 4, "nbuckets", nbuckets)?;
        Ok(Self {
            bloom: Table::new(bloom),
            bloom_mask: bloom_words - 1,
            bloom_shift: bloom_shift & 31,
            buckets: Table::new(buckets),
            first,
            chain: Table::new(rest),
        })
    }

    /// Whether the filter lets `hash` through. A `false` is certain.
    #[inline(always)]
    #[must_use]
    pub fn may_hold(&self, hash: u32) -> bool {
        let word = self.bloom.get(((hash >> 6) & self.bloom_mask) as usize).unwrap_or_default();
        (word >> (hash & 63)) & (word >> ((hash >> self.bloom_shift) & 63)) & 1 != 0
    }

    /// Offers `take` the symbol indices whose hash equals `hash` in all but the lowest bit, until it takes one.
    #[inline(always)]
    pub fn find<T>(&self, hash: u32, mut take: impl FnMut(u32) -> Option<T>) -> Option<T> {
        #[expect(clippy::cast_possible_truncation, reason = "nbuckets came from a u32")]
        let bucket = hash.checked_rem(self.buckets.len() as u32)?;
        let start = self.buckets.get(bucket as usize).filter(|&start| start != 0)?;
        let mut at = start.checked_sub(self.first)?;
        loop {
            let entry = self.chain.get(at as usize)?;
            if (entry ^ hash) >> 1 == 0
                && let Some(taken) = take(self.first.checked_add(at)?)
            {
                return Some(taken);
            }
            if entry & 1 != 0 {
                return None;
            }
            at = at.checked_add(1)?;
        }
    }

    /// Every symbol of the table with its hash (lowest bit cleared), in table order.
    pub fn entries(&self) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        let first = self.first;
        let count = self.covered();
        self.chain
            .slice(0, count)
            .iter()
            .zip(0u32..)
            .map_while(move |(hash, at)| Some((first.checked_add(at)?, hash & !1)))
    }

    /// How many symbols the chains cover: up to the end of the chain of the highest bucket.
    #[must_use]
    pub fn covered(&self) -> usize {
        let last = self.buckets.iter().max().unwrap_or_default();
        let Some(mut at) = last.checked_sub(self.first).filter(|_| last != 0) else { return 0 };
        while let Some(entry) = self.chain.get(at as usize) {
            at += 1;
            if entry & 1 != 0 {
                return at as usize;
            }
        }
        self.chain.len()
    }
}

/// A System V hash table.
#[derive(Clone, Copy, Default)]
pub struct Sysv<'a> {
    buckets: Table<'a, u32>,
    chain: Table<'a, u32>,
}

impl<'a> Sysv<'a> {
    /// Views `bytes`, which start at the table and go on to the end of its segment.
    ///
    /// # Errors
    /// When buckets or chains do not fit.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let bad = |structure, value: u32| {
            Malformed::new("invalid symbol hash table", structure, value.into())
        };
        let nbuckets = read::<u32>(bytes, 0).ok_or_else(|| bad("nbucket", 0))?;
        let nchain = read::<u32>(bytes, 4).ok_or_else(|| bad("nchain", 0))?;
        let rest = bytes.get(8..).unwrap_or_default();
        let split = |bytes: &'a [u8], words: u32, what| {
            let len = (words as usize).saturating_mul(4);
            bytes.split_at_checked(len).ok_or_else(|| bad(what, words))
        };
        let (buckets, rest) = split(rest, nbuckets, "nbucket")?;
        let (chain, _) = split(rest, nchain, "nchain")?;
        Ok(Self { buckets: Table::new(buckets), chain: Table::new(chain) })
    }

    /// Every symbol index that a bucket leads to: bucket by bucket, in the order of the chains.
    pub fn entries(&self) -> impl Iterator<Item = u32> + use<'a> {
        let chain = self.chain;
        let chain_of = move |start| {
            core::iter::successors(Some(start), move |at| chain.get(*at as usize))
                .take_while(move |at| *at != 0 && (*at as usize) < chain.len())
        };
        // More than there are symbols are a loop.
        self.buckets.iter().flat_map(chain_of).take(chain.len())
    }

    /// Offers `take` the symbol indices in the bucket of `hash`, until it takes one.
    pub fn find<T>(&self, hash: u32, mut take: impl FnMut(u32) -> Option<T>) -> Option<T> {
        #[expect(clippy::cast_possible_truncation, reason = "nbucket came from a u32")]
        let bucket = hash.checked_rem(self.buckets.len() as u32)?;
        let mut at = self.buckets.get(bucket as usize)?;
        // A chain longer than the table is a loop.
        for _ in 0..self.chain.len() {
            let next = self.chain.get(at as usize).filter(|_| at != 0)?;
            if let Some(taken) = take(at) {
                return Some(taken);
            }
            at = next;
        }
        None
    }

    /// The number of symbols in the table that it indexes (gABI: `nchain`).
    #[must_use]
    pub const fn symbols(&self) -> usize {
        self.chain.len()
    }
}

/// The hash table through which an object's definitions are found.
#[derive(Clone, Copy, Default)]
pub enum HashTable<'a> {
    /// The object exports nothing.
    #[default]
    None,
    /// `DT_GNU_HASH`, preferred when both exist.
    Gnu(Gnu<'a>),
    /// `DT_HASH`.
    Sysv(Sysv<'a>),
}

impl HashTable<'_> {
    /// How many symbols the table leads to, at most.
    #[must_use]
    pub fn definitions(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Gnu(table) => table.covered(),
            Self::Sysv(table) => table.symbols(),
        }
    }

    /// Whether a name with this GNU hash may be in the table. A `false` is certain.
    #[inline(always)]
    #[must_use]
    pub fn may_hold(&self, hash: u32) -> bool {
        match self {
            Self::None => false,
            Self::Gnu(table) => table.may_hold(hash),
            Self::Sysv(_) => true,
        }
    }

    /// The same, surer and slower: a GNU table is asked itself, and not its filter.
    #[inline]
    #[must_use]
    pub fn holds(&self, hash: u32) -> bool {
        match self {
            Self::None => false,
            Self::Gnu(table) => table.find(hash, |_| Some(())).is_some(),
            Self::Sysv(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// All that the table offers.
    fn offers(table: &Gnu<'_>, hash: u32) -> Vec<u32> {
        let mut all = Vec::new();
        let taken = table.find(hash, |index| {
            all.push(index);
            None::<()>
        });
        assert_eq!(taken, None);
        all
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn hashes_are_those_of_the_abi() {
        assert_eq!(gnu(b""), 5381);
        assert_eq!(gnu(b"printf"), 0x156b_2bb8);
        assert_eq!(sysv(b"printf"), 0x077905a6);
        assert_eq!(sysv(b"GLIBC_2.2.5"), 0x0969_1a75);
    }

    #[test]
    fn finds_a_symbol_and_stops_at_the_end_of_its_bucket() {
        let (a, b) = (gnu(b"a"), gnu(b"c"));
        let bytes = words(&[1, 1, 1, 6, u32::MAX, u32::MAX, 1, a & !1, b | 1]);
        let table = Gnu::parse(&bytes).unwrap();
        assert!(table.may_hold(a));
        assert_eq!(offers(&table, a), [1]);
        assert_eq!(offers(&table, b), [2]);
        assert_eq!(table.find(b, |index| Some(index + 5)), Some(7));
        assert!(offers(&table, 77).is_empty());
        assert!(table.entries().map(|(index, _)| index).eq([1, 2]));
    }

    #[test]
    fn a_bucket_outside_the_chain_finds_nothing() {
        for start in [1, 99, u32::MAX] {
            let bytes = words(&[1, 9, 1, 6, u32::MAX, u32::MAX, start]);
            let table = Gnu::parse(&bytes).unwrap();
            assert!(offers(&table, gnu(b"a")).is_empty());
            assert_eq!(table.covered(), 0);
        }
    }

    #[test]
    fn sizes_are_checked() {
        assert!(Gnu::parse(&words(&[u32::MAX, 1, 1, 6, 0, 0])).is_err());
        assert!(Gnu::parse(&words(&[1, 1, 3, 6, 0, 0])).is_err());
        assert!(Gnu::parse(&[]).is_err());
        assert!(Sysv::parse(&words(&[1, u32::MAX, 0])).is_err());
    }

    #[test]
    fn a_looping_chain_ends() {
        let bytes = words(&[1, 3, 1, 0, 2, 1]);
        let table = Sysv::parse(&bytes).unwrap();
        let mut count = 0;
        table.find(5, |_| {
            count += 1;
            None::<()>
        });
        assert!(count <= 3);
    }
}
