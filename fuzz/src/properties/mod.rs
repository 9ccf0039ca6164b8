//! What must hold for every input, however broken. Each module has a function `check` that takes the bytes of one input
//! and panics where its property does not hold.
//!
//! `tests/parsers.rs` includes this file as well: there the inputs are real libraries with fixed damage, here whatever
//! a fuzzer comes up with.

pub mod cache;
pub mod dynamic;
pub mod environment;
pub mod evidence;
pub mod hash;
pub mod lookup;
pub mod notes;
pub mod object;
pub mod order;
pub mod segments;
pub mod tls;
pub mod tokens;
pub mod tunables;
pub mod versions;

/// Whether `part` is a part of `whole`, by address: a parser hands out nothing but what it was given.
pub fn inside(part: &[u8], whole: &[u8]) -> bool {
    let (part, whole) = (part.as_ptr_range(), whole.as_ptr_range());
    part.is_empty() || (whole.start <= part.start && part.end <= whole.end)
}

/// The input as numbers, for what is made from choices; zeros when it is used up.
pub struct Choices<'a>(pub &'a [u8]);

impl Choices<'_> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u8) -> u8 {
        self.byte() % limit
    }

    /// The next eight bytes.
    pub fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Whether all bytes are used up.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
