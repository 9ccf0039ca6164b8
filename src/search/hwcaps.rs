//! Which `glibc-hwcaps` subdirectories of a library directory are looked into, and in what order.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::cache::Accepts;

/// The built-in names, best first, each with the ISA bit it needs (as in GNU_PROPERTY_X86_ISA_1).
const BUILT_IN: [(&[u8], u32); 3] =
    [(b"x86-64-v4", 1 << 3), (b"x86-64-v3", 1 << 2), (b"x86-64-v2", 1 << 1)];

/// The legacy cache entries that any x86-64 accepts: those marked `x86_64` or `tls`.
const LEGACY: u64 = 1 << 1 | 1 << 63;

/// The subdirectories in use, best first.
///
/// The older subdirectories `tls`, `haswell` and `x86_64`, which glibc searched up to 2.36, are not: glibc dropped
/// them in 2.37, and each would cost every directory a system call.
#[derive(Clone, Debug)]
pub struct Hwcaps {
    names: Vec<Box<[u8]>>,
    isa_1: u32,
    legacy: u64,
}

impl Hwcaps {
    /// From the CPU's ISA levels (bit 0 is the baseline, bit 3 is x86-64-v4), and the values of
    /// `--glibc-hwcaps-prepend` (empty when not given) and `--glibc-hwcaps-mask`. Both are lists with colons; the
    /// mask restricts the built-in names only.
    #[must_use]
    pub fn new(isa_1: u32, prepend: &[u8], mask: Option<&[u8]>) -> Self {
        let unmasked = |name: &[u8]| mask.is_none_or(|mask| split(mask).any(|kept| kept == name));
        // A level counts only when the CPU has those below it, too.
        let has = |bit: u32| isa_1 & ((bit << 1) - 2) == (bit << 1) - 2;
        let built_in = BUILT_IN.iter().filter(|(name, bit)| has(*bit) && unmasked(name));
        let names = split(prepend).chain(built_in.map(|(name, _)| *name)).map(Box::from).collect();
        Self { names, isa_1, legacy: LEGACY }
    }

    /// The built-in names, best first.
    pub fn built_in() -> impl ExactSizeIterator<Item = &'static [u8]> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// With other legacy hwcap bits than those every x86-64 has; what LD_HWCAP_MASK selects from.
    #[must_use]
    pub fn with_legacy(self, legacy: u64) -> Self {
        Self { legacy, ..self }
    }

    /// The names, best first.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.names.iter().map(|name| &**name)
    }
}

impl Accepts for Hwcaps {
    fn rank(&self, glibc_hwcaps: &[u8]) -> Option<usize> {
        self.names().position(|name| name == glibc_hwcaps)
    }

    fn isa_1(&self) -> u32 {
        self.isa_1 | 1
    }

    fn legacy(&self) -> u64 {
        self.legacy
    }
}

/// The parts of a list with colons; empty ones do not count.
fn split(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b':').filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(hwcaps: &Hwcaps) -> Vec<&[u8]> {
        hwcaps.names().collect()
    }

    #[test]
    fn best_level_first() {
        assert_eq!(
            names(&Hwcaps::new(0b1111, b"", None)),
            [&b"x86-64-v4"[..], b"x86-64-v3", b"x86-64-v2"]
        );
        assert_eq!(names(&Hwcaps::new(0b0011, b"", None)), [&b"x86-64-v2"[..]]);
        assert!(names(&Hwcaps::new(0b0001, b"", None)).is_empty());
    }

    #[test]
    fn a_level_needs_those_below_it() {
        assert_eq!(names(&Hwcaps::new(0b1011, b"", None)), [&b"x86-64-v2"[..]]);
    }

    #[test]
    fn prepended_names_come_first_and_escape_the_mask() {
        let hwcaps = Hwcaps::new(0b1111, b"mine::other:", Some(b"x86-64-v3:nonsense"));
        assert_eq!(names(&hwcaps), [&b"mine"[..], b"other", b"x86-64-v3"]);
        assert_eq!(hwcaps.rank(b"other"), Some(1));
        assert_eq!(hwcaps.rank(b"x86-64-v4"), None);
    }

    #[test]
    fn an_empty_mask_keeps_nothing() {
        assert!(names(&Hwcaps::new(0b1111, b"", Some(b""))).is_empty());
    }
}
