//! What is wrong with a file, in words.

use core::fmt;

/// A defect of an ELF file: the words that ld.so has for it, and the structure and value that show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// The message, worded as ld.so words it where ld.so has a word for it.
    pub words: &'static str,
    /// The structure that is at fault, for example `e_phoff` or `DT_STRTAB`.
    pub structure: &'static str,
    /// The offending value.
    pub value: u64,
}

impl Malformed {
    /// A defect shown by `structure` holding `value`.
    #[must_use]
    pub const fn new(words: &'static str, structure: &'static str, value: u64) -> Self {
        Self { words, structure, value }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words)
    }
}
