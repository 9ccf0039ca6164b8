//! Arrays of fixed-size records at any alignment.

use core::marker::PhantomData;

/// A record that can be decoded from its bytes in the file.
pub trait Record: Copy {
    /// Bytes per record.
    const SIZE: usize;
    /// Decodes one record; `bytes` holds exactly [`Record::SIZE`] of them.
    fn decode(bytes: &[u8]) -> Self;
}

macro_rules! integers {
    ($($int:ty)*) => {$(
        impl Record for $int {
            const SIZE: usize = size_of::<$int>();
            #[inline]
            fn decode(bytes: &[u8]) -> Self {
                match bytes.first_chunk() {
                    Some(chunk) => <$int>::from_le_bytes(*chunk),
                    None => 0,
                }
            }
        }
    )*};
}
integers!(u8 u16 u32 u64);

/// Reads one integer or record at a byte offset.
#[inline]
#[must_use]
pub fn read<T: Record>(bytes: &[u8], offset: usize) -> Option<T> {
    let end = offset.checked_add(T::SIZE)?;
    Some(T::decode(bytes.get(offset..end)?))
}

/// A view of bytes as an array of records. A trailing part of a record is not visible.
pub struct Table<'a, T> {
    bytes: &'a [u8],
    records: PhantomData<T>,
}

impl<T> Clone for Table<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Table<'_, T> {}

impl<T> Default for Table<'_, T> {
    fn default() -> Self {
        Self { bytes: &[], records: PhantomData }
    }
}

impl<'a, T: Record> Table<'a, T> {
    /// Views all of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, records: PhantomData }
    }

    /// The number of whole records.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len() / T::SIZE
    }

    /// Whether there is no whole record.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record at `index`.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<T> {
        read(self.bytes, index.checked_mul(T::SIZE)?)
    }

    /// Where the record at `index` would be, whether or not there is one.
    #[inline]
    #[must_use]
    pub const fn place(&self, index: usize) -> *const u8 {
        self.bytes.as_ptr().wrapping_add(index.wrapping_mul(T::SIZE))
    }

    /// The records in order.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = T> + use<'a, T> {
        self.bytes.chunks_exact(T::SIZE).map(T::decode)
    }

    /// The records of `range`, as far as they exist.
    #[must_use]
    pub fn slice(&self, from: usize, to: usize) -> Self {
        let to = to.min(self.len());
        let from = from.min(to);
        Self::new(self.bytes.get(from * T::SIZE..to * T::SIZE).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_at_any_alignment() {
        let bytes = [0xff, 1, 0, 2, 0, 3];
        let table = Table::<u16>::new(&bytes[1..]);
        assert_eq!(table.len(), 2);
        assert_eq!(table.get(1), Some(2));
        assert_eq!(table.get(2), None);
        assert_eq!(table.get(usize::MAX), None);
        assert!(table.iter().eq([1, 2]));
        assert!(table.slice(1, 9).iter().eq([2]));
    }

    #[test]
    fn never_reads_past_the_end() {
        assert_eq!(read::<u32>(&[0; 3], 0), None);
        assert_eq!(read::<u64>(&[0; 8], usize::MAX), None);
    }
}
