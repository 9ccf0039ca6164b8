//! The `glibc.cpu.*` tunables.

use super::Preferred;
use super::active::Xsave;
use super::feature::*;

/// Values the user has set with GLIBC_TUNABLES; `None` where not set. `x86_ibt` and `x86_shstk`
/// have no effect without CET.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tunables<'a> {
    /// `glibc.cpu.hwcaps`: `-NAME` withdraws a feature or preference, `NAME` adds a preference;
    /// separated by commas. Unknown names are ignored.
    pub hwcaps: Option<&'a [u8]>,
    /// `glibc.cpu.x86_data_cache_size`, in bytes; 0 is ignored.
    pub x86_data_cache_size: Option<u64>,
    /// `glibc.cpu.x86_shared_cache_size`, in bytes; 0 is ignored.
    pub x86_shared_cache_size: Option<u64>,
    /// `glibc.cpu.x86_non_temporal_threshold`, in bytes; ignored outside
    /// [`super::NON_TEMPORAL_MINIMUM`] (exclusive) to [`super::NON_TEMPORAL_MAXIMUM`].
    pub x86_non_temporal_threshold: Option<u64>,
    /// `glibc.cpu.x86_memset_non_temporal_threshold`, with the same bounds (2.40 and later).
    pub x86_memset_non_temporal_threshold: Option<u64>,
    /// `glibc.cpu.x86_rep_movsb_threshold`, in bytes; ignored up to eight vectors.
    pub x86_rep_movsb_threshold: Option<u64>,
    /// `glibc.cpu.x86_rep_stosb_threshold`, in bytes; 0 is ignored.
    pub x86_rep_stosb_threshold: Option<u64>,
    /// `glibc.cpu.prefer_map_32bit_exec` (2.38 and later; before 2.35 LD_PREFER_MAP_32BIT_EXEC).
    pub prefer_map_32bit_exec: Option<bool>,
}

/// Features that `-NAME` withdraws.
const FEATURES: [(&[u8], Feature); 27] = [
    (b"AVX", AVX),
    (b"CX8", CX8),
    (b"FMA", FMA),
    (b"HTT", HTT),
    (b"RTM", RTM),
    (b"AVX2", AVX2),
    (b"BMI1", BMI1),
    (b"BMI2", BMI2),
    (b"CMOV", CMOV),
    (b"ERMS", ERMS),
    (b"FMA4", FMA4),
    (b"SSE2", SSE2),
    (b"LZCNT", LZCNT),
    (b"MOVBE", MOVBE),
    (b"SSSE3", SSSE3),
    (b"XSAVE", XSAVE),
    (b"POPCNT", POPCNT),
    (b"SSE4_1", SSE4_1),
    (b"SSE4_2", SSE4_2),
    (b"AVX512F", AVX512F),
    (b"OSXSAVE", OSXSAVE),
    (b"AVX512CD", AVX512CD),
    (b"AVX512BW", AVX512BW),
    (b"AVX512DQ", AVX512DQ),
    (b"AVX512ER", AVX512ER),
    (b"AVX512PF", AVX512PF),
    (b"AVX512VL", AVX512VL),
];

/// When `NAME` without a minus adds a preference.
#[derive(Clone, Copy)]
enum Add {
    Never,
    Always,
    /// Where the feature is usable.
    With(Feature),
}

/// Preferences, which `-NAME` always withdraws.
const PREFERENCES: [(&[u8], Preferred, Add); 15] = [
    (b"I586", Preferred::I586, Add::Never),
    (b"I686", Preferred::I686, Add::Never),
    (b"Slow_BSF", Preferred::SLOW_BSF, Add::Always),
    (b"Prefer_ERMS", Preferred::PREFER_ERMS, Add::Always),
    (b"Prefer_FSRM", Preferred::PREFER_FSRM, Add::Always),
    (b"Slow_SSE4_2", Preferred::SLOW_SSE4_2, Add::With(SSE4_2)),
    (b"Fast_Rep_String", Preferred::FAST_REP_STRING, Add::Always),
    (b"Prefer_No_AVX512", Preferred::PREFER_NO_AVX512, Add::With(AVX512F)),
    (b"Fast_Copy_Backward", Preferred::FAST_COPY_BACKWARD, Add::Always),
    (b"Fast_Unaligned_Load", Preferred::FAST_UNALIGNED_LOAD, Add::Always),
    (b"Fast_Unaligned_Copy", Preferred::FAST_UNALIGNED_COPY, Add::Always),
    (b"Prefer_No_VZEROUPPER", Preferred::PREFER_NO_VZEROUPPER, Add::With(AVX)),
    (b"AVX_Fast_Unaligned_Load", Preferred::AVX_FAST_UNALIGNED_LOAD, Add::With(AVX)),
    (b"MathVec_Prefer_No_AVX512", Preferred::MATHVEC_PREFER_NO_AVX512, Add::With(AVX512F)),
    (b"Prefer_PMINUB_for_stringop", Preferred::PREFER_PMINUB_FOR_STRINGOP, Add::With(SSE2)),
];

/// Applies the value of `glibc.cpu.hwcaps`, in its order.
pub(super) fn apply_hwcaps(
    list: &[u8],
    leaves: &mut Leaves,
    preferred: &mut Preferred,
    xsave: &mut Xsave,
) {
    for item in list.split(|byte| *byte == b',') {
        let (name, add) = match item.strip_prefix(b"-") {
            Some(name) => (name, false),
            None => (item, true),
        };
        if let Some((_, flag, condition)) = PREFERENCES.iter().find(|row| row.0 == name) {
            match condition {
                _ if !add => preferred.remove(*flag),
                Add::Always => preferred.insert(*flag),
                Add::With(feature) if leaves.usable(*feature) => preferred.insert(*flag),
                Add::With(_) | Add::Never => {}
            }
        } else if add {
            // A feature cannot be added.
        } else if name == b"XSAVEC" {
            xsave.state_size = u64::from(xsave.full_size);
            leaves.unset(XSAVEC);
        } else if let Some((_, feature)) = FEATURES.iter().find(|row| row.0 == name) {
            leaves.unset(*feature);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(list: &str, mut preferred: Preferred) -> (Leaves, Preferred, u64) {
        let mut leaves = Leaves::default();
        for feature in [AVX, AVX2, SSE2, XSAVEC] {
            leaves.set(feature);
        }
        let mut xsave = Xsave { area: Some(2000), state_size: 1, full_size: 2 };
        apply_hwcaps(list.as_bytes(), &mut leaves, &mut preferred, &mut xsave);
        (leaves, preferred, xsave.state_size)
    }

    #[test]
    fn withdraws_and_adds() {
        let (leaves, preferred, _) =
            applied("-AVX2,Prefer_ERMS,-I686,AVX512F", Preferred::I586 | Preferred::I686);
        assert!(!leaves.usable(AVX2) && leaves.usable(AVX) && !leaves.usable(AVX512F));
        assert_eq!(preferred, Preferred::I586 | Preferred::PREFER_ERMS);
    }

    #[test]
    fn some_preferences_need_a_feature() {
        let (_, preferred, _) =
            applied("Prefer_No_AVX512,Prefer_No_VZEROUPPER,I586", Preferred::empty());
        assert_eq!(preferred, Preferred::PREFER_NO_VZEROUPPER);
        // The list is applied from left to right.
        let (_, preferred, _) = applied("-AVX,Prefer_No_VZEROUPPER", Preferred::empty());
        assert_eq!(preferred, Preferred::empty());
    }

    #[test]
    fn without_xsavec_the_full_size_counts() {
        let (leaves, _, size) = applied("-XSAVEC", Preferred::empty());
        assert!(!leaves.usable(XSAVEC));
        assert_eq!(size, 2);
    }

    #[test]
    fn unknown_and_empty_items_are_ignored() {
        let before = applied("", Preferred::I686);
        assert_eq!(applied(",-,-avx2,-AVX22,,-Prefer", Preferred::I686), before);
    }
}
