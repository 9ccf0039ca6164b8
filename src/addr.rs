//! Addresses and sizes, each with a type of its own so that they cannot be swapped.

use core::fmt;

/// The size of a page on x86-64.
pub const PAGE: u64 = 4096;

/// Rounds down to a page boundary.
#[must_use]
pub const fn page_down(value: u64) -> u64 {
    value & !(PAGE - 1)
}

/// Rounds up to a page boundary; `None` when the result does not fit.
#[must_use]
pub const fn page_up(value: u64) -> Option<u64> {
    match value.checked_add(PAGE - 1) {
        Some(sum) => Some(page_down(sum)),
        None => None,
    }
}

/// An address as the object's own headers give it, before the load bias is added (gABI: virtual address).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Vaddr(pub u64);

/// An address in the running process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Addr(pub u64);

/// What is added to an object's [`Vaddr`] to get the [`Addr`] in the process (gABI: base address).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Bias(pub u64);

impl Bias {
    /// The place of `vaddr` in the process. Wraps as the psABI's word64 arithmetic does.
    #[must_use]
    pub const fn apply(self, vaddr: Vaddr) -> Addr {
        Addr(self.0.wrapping_add(vaddr.0))
    }

    /// The inverse of [`Bias::apply`].
    #[must_use]
    pub const fn remove(self, addr: Addr) -> Vaddr {
        Vaddr(addr.0.wrapping_sub(self.0))
    }
}

macro_rules! hex {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    )*};
}
hex!(Vaddr Addr Bias);

/// An object's place in the link map. Collections hold these, never pointers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectId(pub u32);

impl ObjectId {
    /// As an index into the link map's arena.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_pages() {
        assert_eq!(page_down(0x1fff), 0x1000);
        assert_eq!(page_up(0x1001), Some(0x2000));
        assert_eq!(page_up(0x1000), Some(0x1000));
        assert_eq!(page_up(u64::MAX), None);
    }

    #[test]
    fn bias_round_trips() {
        let bias = Bias(0x7f00_0000_0000);
        assert_eq!(bias.remove(bias.apply(Vaddr(0x40))), Vaddr(0x40));
    }
}
