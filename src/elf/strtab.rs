//! String tables (gABI, "String Table").

/// A dynamic string table.
#[derive(Clone, Copy, Default)]
pub struct Strtab<'a> {
    bytes: &'a [u8],
}

impl<'a> Strtab<'a> {
    /// Views `bytes`, which are `DT_STRSZ` long.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The string at `offset`, without its NUL; `None` when it does not end inside the table.
    #[must_use]
    pub fn get(&self, offset: u32) -> Option<&'a [u8]> {
        let rest = self.bytes.get(offset as usize..)?;
        rest.get(..length(rest)?)
    }

    /// The string at `offset`, if it is no longer than the name of a file or of a version can be: many names that share
    /// one long tail cost no more than their number.
    #[must_use]
    pub fn name(&self, offset: u32) -> Option<&'a [u8]> {
        const PATH_MAX: usize = 4096;
        let rest = self.bytes.get(offset as usize..)?;
        Self::new(rest.get(..PATH_MAX).unwrap_or(rest)).get(0)
    }

    /// The bytes from `offset` to the end of the table, for a scan that finds the NUL itself.
    #[inline]
    #[must_use]
    pub fn tail(&self, offset: u32) -> Option<&'a [u8]> {
        self.bytes.get(offset as usize..)
    }

    /// Where the string at `offset` would be, whether or not there is one.
    #[inline]
    #[must_use]
    pub const fn place(&self, offset: u32) -> *const u8 {
        self.bytes.as_ptr().wrapping_add(offset as usize)
    }

    /// Whether the string at `offset` is `name`.
    #[inline]
    #[must_use]
    pub fn is(&self, offset: u32, name: &[u8]) -> bool {
        let Some(rest) = self.bytes.get(offset as usize..) else { return false };
        rest.get(name.len()) == Some(&0) && rest.get(..name.len()) == Some(name)
    }
}

/// How many bytes stand before the first NUL, eight at a time.
#[inline]
fn length(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, rest) = bytes.as_chunks::<8>();
    for (word, at) in words.iter().zip(0..) {
        let word = u64::from_le_bytes(*word);
        // The lowest high bit that is set belongs to the first zero byte.
        let zeros = word.wrapping_sub(ONES) & !word & HIGH;
        if zeros != 0 {
            return Some(at * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    let last = rest.iter().position(|&byte| byte == 0)?;
    Some(words.len() * 8 + last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_nul() {
        let mut bytes = [b'x'; 40];
        assert_eq!(length(&bytes), None);
        for at in (0..40).rev() {
            bytes[at] = 0;
            assert_eq!(length(&bytes), Some(at));
            assert_eq!(length(&bytes[..at]), None);
            if at > 0 {
                bytes[at - 1] = 0x80;
            }
        }
    }

    #[test]
    fn a_string_must_end_inside() {
        let table = Strtab::new(b"\0ab\0cd");
        assert_eq!(table.get(1), Some(&b"ab"[..]));
        assert_eq!(table.get(2), Some(&b"b"[..]));
        assert_eq!(table.get(4), None);
        assert_eq!(table.get(99), None);
        assert!(table.is(1, b"ab") && !table.is(1, b"a") && !table.is(4, b"cd"));
    }
}
