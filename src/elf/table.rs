//! Arrays of fixed-size records at any alignment.

/// A record that can be decoded from its bytes in the file.
pub trait Record: Copy {
    /// Its bytes, an array.
    type Bytes: 'static;
    /// Cuts bytes into records; a trailing part of one is left out.
    fn split(bytes: &[u8]) -> &[Self::Bytes];
    /// Decodes one record.
    fn decode(bytes: &Self::Bytes) -> Self;
}

/// The part of [`Record`] that only depends on how many bytes a record has.
macro_rules! record_bytes {
    ($size:expr) => {
        type Bytes = [u8; $size];

        #[inline]
        fn split(bytes: &[u8]) -> &[Self::Bytes] {
            bytes.as_chunks().0
        }
    };
}
pub(super) use record_bytes;

macro_rules! integers {
    ($($int:ty)*) => {$(
        impl Record for $int {
            record_bytes!(size_of::<$int>());

            #[inline]
            fn decode(bytes: &Self::Bytes) -> Self {
                <$int>::from_le_bytes(*bytes)
            }
        }
    )*};
}
integers!(u8 u16 u32 u64);

/// Reads one integer or record at a byte offset.
#[inline]
#[must_use]
pub fn read<T: Record>(bytes: &[u8], offset: usize) -> Option<T> {
    T::split(bytes.get(offset..)?).first().map(T::decode)
}

/// A view of bytes as an array of records.
pub struct Table<'a, T: Record> {
    records: &'a [T::Bytes],
}

impl<T: Record> Clone for Table<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: Record> Copy for Table<'_, T> {}

impl<T: Record> Default for Table<'_, T> {
    fn default() -> Self {
        Self { records: &[] }
    }
}

impl<'a, T: Record> Table<'a, T> {
    /// Views all of `bytes`. A trailing part of a record is not visible.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { records: T::split(bytes) }
    }

    /// The number of records.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The record at `index`.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<T> {
        self.records.get(index).map(T::decode)
    }

    /// Where the record at `index` would be, whether or not there is one.
    #[inline]
    #[must_use]
    pub const fn place(&self, index: usize) -> *const u8 {
        self.records.as_ptr().wrapping_add(index).cast()
    }

    /// The records in order.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = T> + Clone + use<'a, T> {
        self.records.iter().map(T::decode)
    }

    /// The records of a range, as far as they exist.
    #[must_use]
    pub fn slice(&self, from: usize, to: usize) -> Self {
        let to = to.min(self.len());
        let from = from.min(to);
        Self { records: self.records.get(from..to).unwrap_or_default() }
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
