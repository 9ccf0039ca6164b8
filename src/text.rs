//! Byte strings from files and from the environment, which need not be UTF-8, made printable; short ones of rld's own.

use core::fmt;
use core::ops::Deref;

/// Shows bytes as text; what is not UTF-8 appears as U+FFFD.
#[derive(Clone, Copy)]
pub struct Text<'a>(pub &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{fffd}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// A short string that stands where it is named and not behind an address: a table of them needs no relocation, which
/// would cost every start a page of memory of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Inline<const N: usize> {
    len: u8,
    bytes: [u8; N],
}

impl<const N: usize> Inline<N> {
    /// The same text; it does not compile where that is longer than `N` bytes.
    #[must_use]
    pub const fn new(text: &str) -> Self {
        assert!(text.len() <= N && N <= u8::MAX as usize, "too long");
        let mut bytes = [0; N];
        let (head, _) = bytes.split_at_mut(text.len());
        head.copy_from_slice(text.as_bytes());
        #[expect(
            clippy::cast_possible_truncation,
            reason = "no more than N, which is no more than 255"
        )]
        let len = text.len() as u8;
        Self { len, bytes }
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }

    /// The same where a constant is computed.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        self.bytes.split_at(self.len as usize).0
    }
}

impl<const N: usize> Deref for Inline<N> {
    type Target = str;

    fn deref(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Display for Inline<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl<const N: usize> fmt::Debug for Inline<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
