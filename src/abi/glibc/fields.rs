//! A structure of glibc's in memory, written field by field at the offsets that a layout gives.
//!
//! # Safety
//!
//! [`Fields::new`] is `unsafe`: it trusts that the memory is writable and as large as it says. Every write after that
//! is checked against the size, so a wrong offset in a table can never reach other memory.
#![allow(unsafe_code)]

use super::layout::Bits;

/// The memory of one structure.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    base: *mut u8,
    size: usize,
}

/// A value that fits a field of glibc's structures.
pub trait Value: Copy {}
macro_rules! values { ($($kind:ty)*) => {$(impl Value for $kind {})*}; }
values!(u8 u16 u32 u64 i32 i64);

impl Fields {
    /// A structure of `size` bytes at `base`.
    ///
    /// # Safety
    /// The memory is writable while the value is used, and no reference points into it.
    #[must_use]
    pub const unsafe fn new(base: *mut u8, size: usize) -> Self {
        Self { base, size }
    }

    /// A structure of zeros, for good.
    #[cfg(test)]
    #[must_use]
    pub fn for_test(size: usize) -> Self {
        let memory = alloc::vec![0u8; size].leak();
        // SAFETY: the memory is leaked, and nobody else has it.
        unsafe { Self::new(memory.as_mut_ptr(), size) }
    }

    /// The address of the byte at `offset`.
    #[must_use]
    pub fn at(&self, offset: impl Into<u64>) -> u64 {
        self.base as u64 + offset.into()
    }

    /// The address of the structure.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.base as u64
    }

    fn place<T: Value>(&self, offset: u16) -> Option<*mut T> {
        let offset = usize::from(offset);
        let inside = offset.checked_add(size_of::<T>()).is_some_and(|end| end <= self.size);
        inside.then(|| self.base.wrapping_add(offset).cast())
    }

    /// Writes a field. Nothing happens where the offset lies outside the structure.
    pub fn set<T: Value>(&self, offset: impl Into<Option<u16>>, value: T) {
        if let Some(place) = offset.into().and_then(|offset| self.place::<T>(offset)) {
            // SAFETY: the place lies in the structure.
            unsafe { place.write_unaligned(value) };
        }
    }

    /// Reads a field that libc may have written.
    #[must_use]
    pub fn get<T: Value>(&self, offset: u16) -> Option<T> {
        // SAFETY: the place lies in the structure, and all bit patterns are values.
        self.place::<T>(offset).map(|place| unsafe { place.read_unaligned() })
    }

    /// Writes a bit-field.
    pub fn set_bits(&self, field: impl Into<Option<Bits>>, value: u8) {
        if let Some(bits) = field.into()
            && let Some(byte) = self.get::<u8>(bits.byte)
        {
            self.set(bits.byte, bits.set(byte, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_only_inside() {
        let mut memory = [0u8; 12];
        // SAFETY: eight of the twelve bytes.
        let fields = unsafe { Fields::new(memory.as_mut_ptr(), 8) };
        fields.set(0, 0x0102_0304u32);
        fields.set(None, 9u64);
        fields.set(4, u64::MAX);
        fields.set(u16::MAX, 1u8);
        fields.set_bits(Bits { byte: 7, bit: 4, width: 2 }, 3);
        assert_eq!(fields.get::<u32>(0), Some(0x0102_0304));
        assert_eq!(fields.get::<u64>(1), None);
        assert_eq!(memory, [4, 3, 2, 1, 0, 0, 0, 0x30, 0, 0, 0, 0]);
    }
}
