//! What glibc prefers among the variants that a processor could run.

use bitflags::bitflags;

bitflags! {
    /// Preferences, numbered for rld alone: glibc's bit numbers differ between releases and come
    /// from an [`Order`].
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Preferred: u32 {
        /// `rep` string instructions are fast.
        const FAST_REP_STRING = 1 << 0;
        /// Copying backwards is fast.
        const FAST_COPY_BACKWARD = 1 << 1;
        /// BSF is slow.
        const SLOW_BSF = 1 << 2;
        /// Unaligned 16-byte loads are fast.
        const FAST_UNALIGNED_LOAD = 1 << 3;
        /// PMINUB suits string functions.
        const PREFER_PMINUB_FOR_STRINGOP = 1 << 4;
        /// Unaligned copies beat SSSE3 ones.
        const FAST_UNALIGNED_COPY = 1 << 5;
        /// CMPXCHG8B exists.
        const I586 = 1 << 6;
        /// CMOV exists.
        const I686 = 1 << 7;
        /// SSE4.2 string instructions are slow.
        const SLOW_SSE4_2 = 1 << 8;
        /// Unaligned 32-byte loads are fast.
        const AVX_FAST_UNALIGNED_LOAD = 1 << 9;
        /// `mmap` places executable memory below 2 GiB.
        const PREFER_MAP_32BIT_EXEC = 1 << 10;
        /// VZEROUPPER is to be avoided.
        const PREFER_NO_VZEROUPPER = 1 << 11;
        /// `rep movsb` and `rep stosb` even for short blocks.
        const PREFER_ERMS = 1 << 12;
        /// As above, by the fast-short-rep-mov feature.
        const PREFER_FSRM = 1 << 13;
        /// 64-byte vectors lower the clock: avoid them in string functions.
        const PREFER_NO_AVX512 = 1 << 14;
        /// The same for libmvec.
        const MATHVEC_PREFER_NO_AVX512 = 1 << 15;
        /// AVX2 `strcmp` though 64-byte vectors are avoided (2.34, and the branches of 2.28 to 2.32).
        const PREFER_AVX2_STRCMP = 1 << 16;
        /// `rep movsb` is slow when source and destination are close.
        const AVOID_SHORT_DISTANCE_REP_MOVSB = 1 << 17;
        /// Non-temporal stores do not pay in `memset`.
        const AVOID_NON_TEMPORAL_MEMSET = 1 << 18;
        /// `rep stosb` is slow.
        const AVOID_STOSB = 1 << 19;
    }
}

/// The word with these bits, from bit 0 up.
pub(super) fn word(bits: impl Iterator<Item = bool>) -> u32 {
    bits.enumerate().fold(0, |word, (bit, set)| word | u32::from(set) << bit)
}

/// The order of the bits in one release's `preferred[0]`, from bit 0 up (contract 6.2).
#[derive(Clone, Copy, Debug)]
pub struct Order(&'static [Preferred]);

impl Order {
    /// The preferences that the release knows, from bit 0 up.
    pub fn preferences(self) -> impl Iterator<Item = Preferred> {
        self.0.iter().copied()
    }

    /// `preferred` as the word that a release with this order reads. Preferences that the release
    /// does not know are left out.
    #[must_use]
    pub fn encode(self, preferred: Preferred) -> u32 {
        word(self.preferences().map(|flag| preferred.contains(flag)))
    }

    /// 2.29 to the 2.33 tag; up to 2.31 the word is `feature[1]`. The last means something on branches alone.
    pub const V2_29: Self = Self(&[
        Preferred::I586,
        Preferred::I686,
        Preferred::FAST_REP_STRING,
        Preferred::FAST_COPY_BACKWARD,
        Preferred::FAST_UNALIGNED_LOAD,
        Preferred::FAST_UNALIGNED_COPY,
        Preferred::SLOW_BSF,
        Preferred::SLOW_SSE4_2,
        Preferred::AVX_FAST_UNALIGNED_LOAD,
        Preferred::PREFER_MAP_32BIT_EXEC,
        Preferred::PREFER_PMINUB_FOR_STRINGOP,
        Preferred::PREFER_NO_VZEROUPPER,
        Preferred::PREFER_ERMS,
        Preferred::PREFER_FSRM,
        Preferred::PREFER_NO_AVX512,
        Preferred::MATHVEC_PREFER_NO_AVX512,
        Preferred::PREFER_AVX2_STRCMP,
    ]);

    /// 2.34, and the 2.33 branch from March 2021.
    pub const V2_34: Self = Self(&[
        Preferred::FAST_REP_STRING,
        Preferred::FAST_COPY_BACKWARD,
        Preferred::SLOW_BSF,
        Preferred::FAST_UNALIGNED_LOAD,
        Preferred::PREFER_PMINUB_FOR_STRINGOP,
        Preferred::FAST_UNALIGNED_COPY,
        Preferred::I586,
        Preferred::I686,
        Preferred::SLOW_SSE4_2,
        Preferred::AVX_FAST_UNALIGNED_LOAD,
        Preferred::PREFER_MAP_32BIT_EXEC,
        Preferred::PREFER_NO_VZEROUPPER,
        Preferred::PREFER_ERMS,
        Preferred::PREFER_NO_AVX512,
        Preferred::MATHVEC_PREFER_NO_AVX512,
        Preferred::PREFER_FSRM,
        Preferred::PREFER_AVX2_STRCMP,
        Preferred::AVOID_SHORT_DISTANCE_REP_MOVSB,
    ]);

    /// 2.35 to 2.37.
    pub const V2_35: Self = Self(&[
        Preferred::FAST_REP_STRING,
        Preferred::FAST_COPY_BACKWARD,
        Preferred::SLOW_BSF,
        Preferred::FAST_UNALIGNED_LOAD,
        Preferred::PREFER_PMINUB_FOR_STRINGOP,
        Preferred::FAST_UNALIGNED_COPY,
        Preferred::I586,
        Preferred::I686,
        Preferred::SLOW_SSE4_2,
        Preferred::AVX_FAST_UNALIGNED_LOAD,
        Preferred::PREFER_NO_VZEROUPPER,
        Preferred::PREFER_ERMS,
        Preferred::PREFER_NO_AVX512,
        Preferred::MATHVEC_PREFER_NO_AVX512,
        Preferred::PREFER_FSRM,
        Preferred::AVOID_SHORT_DISTANCE_REP_MOVSB,
    ]);

    /// 2.38 and later; the last two mean something from 2.40 and 2.41 on.
    pub const V2_38: Self = Self(&[
        Preferred::FAST_REP_STRING,
        Preferred::FAST_COPY_BACKWARD,
        Preferred::SLOW_BSF,
        Preferred::FAST_UNALIGNED_LOAD,
        Preferred::PREFER_PMINUB_FOR_STRINGOP,
        Preferred::FAST_UNALIGNED_COPY,
        Preferred::I586,
        Preferred::I686,
        Preferred::SLOW_SSE4_2,
        Preferred::AVX_FAST_UNALIGNED_LOAD,
        Preferred::PREFER_MAP_32BIT_EXEC,
        Preferred::PREFER_NO_VZEROUPPER,
        Preferred::PREFER_ERMS,
        Preferred::PREFER_NO_AVX512,
        Preferred::MATHVEC_PREFER_NO_AVX512,
        Preferred::PREFER_FSRM,
        Preferred::AVOID_SHORT_DISTANCE_REP_MOVSB,
        Preferred::AVOID_NON_TEMPORAL_MEMSET,
        Preferred::AVOID_STOSB,
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_numbers_per_release() {
        let bit = |order: Order, flag| order.encode(flag).trailing_zeros();
        assert_eq!(bit(Order::V2_29, Preferred::PREFER_MAP_32BIT_EXEC), 9);
        assert_eq!(bit(Order::V2_29, Preferred::MATHVEC_PREFER_NO_AVX512), 15);
        assert_eq!(bit(Order::V2_34, Preferred::PREFER_MAP_32BIT_EXEC), 10);
        assert_eq!(bit(Order::V2_34, Preferred::AVOID_SHORT_DISTANCE_REP_MOVSB), 17);
        assert_eq!(bit(Order::V2_35, Preferred::PREFER_NO_VZEROUPPER), 10);
        assert_eq!(bit(Order::V2_35, Preferred::AVOID_SHORT_DISTANCE_REP_MOVSB), 15);
        assert_eq!(bit(Order::V2_38, Preferred::PREFER_FSRM), 15);
        assert_eq!(bit(Order::V2_38, Preferred::AVOID_STOSB), 18);
    }

    #[test]
    fn unknown_preferences_are_left_out() {
        assert_eq!(Order::V2_35.encode(Preferred::PREFER_MAP_32BIT_EXEC), 0);
        assert_eq!(Order::V2_35.encode(Preferred::all()), 0xffff);
    }

    #[test]
    fn no_order_names_a_preference_twice() {
        for order in [Order::V2_29, Order::V2_34, Order::V2_35, Order::V2_38] {
            let union = order.0.iter().fold(Preferred::empty(), |all, flag| all | *flag);
            assert_eq!(union.bits().count_ones() as usize, order.0.len());
        }
    }
}
