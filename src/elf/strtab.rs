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
        let len = rest.iter().position(|&byte| byte == 0)?;
        rest.get(..len)
    }

    /// The string at `offset`, if it is no longer than the name of a file or of a version can be: many names that share
    /// one long tail cost no more than their number.
    #[must_use]
    pub fn name(&self, offset: u32) -> Option<&'a [u8]> {
        const PATH_MAX: usize = 4096;
        let rest = self.bytes.get(offset as usize..)?;
        Self::new(rest.get(..PATH_MAX).unwrap_or(rest)).get(0)
    }

    /// Whether the string at `offset` is `name`.
    #[inline]
    #[must_use]
    pub fn is(&self, offset: u32, name: &[u8]) -> bool {
        let Some(rest) = self.bytes.get(offset as usize..) else { return false };
        rest.get(name.len()) == Some(&0) && rest.get(..name.len()) == Some(name)
    }

    /// The bytes from `offset` to the end of the table, for a scan that finds the NUL itself.
    #[inline]
    #[must_use]
    pub fn tail(&self, offset: u32) -> &'a [u8] {
        self.bytes.get(offset as usize..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
