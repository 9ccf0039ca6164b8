//! The `glibc.cpu.*` tunables.

use core::ops::RangeInclusive;

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

/// Preferences, which `-NAME` always withdraws, and in which releases the name is known.
const PREFERENCES: [(&[u8], Preferred, Add, RangeInclusive<u16>); 19] = [
    (b"I586", Preferred::I586, Add::Never, ALL),
    (b"I686", Preferred::I686, Add::Never, ALL),
    (b"Slow_BSF", Preferred::SLOW_BSF, Add::Always, ALL),
    (b"Prefer_ERMS", Preferred::PREFER_ERMS, Add::Always, ALL),
    (b"Prefer_FSRM", Preferred::PREFER_FSRM, Add::Always, ALL),
    (b"Avoid_STOSB", Preferred::AVOID_STOSB, Add::Always, 41..=u16::MAX),
    (b"Slow_SSE4_2", Preferred::SLOW_SSE4_2, Add::With(SSE4_2), ALL),
    (b"Fast_Rep_String", Preferred::FAST_REP_STRING, Add::Always, ALL),
    (b"Prefer_No_AVX512", Preferred::PREFER_NO_AVX512, Add::With(AVX512F), ALL),
    (b"Prefer_AVX2_STRCMP", Preferred::PREFER_AVX2_STRCMP, Add::With(AVX2), 28..=34),
    (b"Fast_Copy_Backward", Preferred::FAST_COPY_BACKWARD, Add::Always, ALL),
    (b"Fast_Unaligned_Load", Preferred::FAST_UNALIGNED_LOAD, Add::Always, ALL),
    (b"Fast_Unaligned_Copy", Preferred::FAST_UNALIGNED_COPY, Add::Always, ALL),
    (b"Prefer_No_VZEROUPPER", Preferred::PREFER_NO_VZEROUPPER, Add::With(AVX), ALL),
    (b"Prefer_MAP_32BIT_EXEC", Preferred::PREFER_MAP_32BIT_EXEC, Add::Always, 28..=34),
    (b"AVX_Fast_Unaligned_Load", Preferred::AVX_FAST_UNALIGNED_LOAD, Add::With(AVX), ALL),
    (b"MathVec_Prefer_No_AVX512", Preferred::MATHVEC_PREFER_NO_AVX512, Add::With(AVX512F), ALL),
    (b"Avoid_Non_Temporal_Memset", AVOID_NON_TEMPORAL_MEMSET, Add::Always, 40..=u16::MAX),
    (b"Prefer_PMINUB_for_stringop", Preferred::PREFER_PMINUB_FOR_STRINGOP, Add::With(SSE2), ALL),
];

const ALL: RangeInclusive<u16> = 0..=u16::MAX;
const AVOID_NON_TEMPORAL_MEMSET: Preferred = Preferred::AVOID_NON_TEMPORAL_MEMSET;

/// What has two bits up to 2.31: what is reported, which `-NAME` withdraws, and what may be used.
const TWICE: [Feature; 11] =
    [AVX, AVX2, FMA, FMA4, AVX512F, AVX512CD, AVX512BW, AVX512DQ, AVX512ER, AVX512PF, AVX512VL];
/// Of these, what `-NAME_Usable` withdraws up to 2.31.
const USABLE: [(&[u8], Feature); 7] = [
    (b"AVX", AVX),
    (b"FMA", FMA),
    (b"AVX2", AVX2),
    (b"FMA4", FMA4),
    (b"XSAVEC", XSAVEC),
    (b"AVX512F", AVX512F),
    (b"AVX512DQ", AVX512DQ),
];

/// Applies the value of `glibc.cpu.hwcaps`, in its order, as release 2.`minor` does.
pub(super) fn apply_hwcaps(
    list: &[u8],
    minor: u16,
    leaves: &mut Leaves,
    preferred: &mut Preferred,
    xsave: &mut Xsave,
) {
    let is_early = minor < 32;
    let known =
        |rows: &[(&[u8], Feature)], name| rows.iter().find(|row| row.0 == name).map(|row| row.1);
    for item in list.split(|byte| *byte == b',') {
        let (name, add) = match item.strip_prefix(b"-") {
            Some(name) => (name, false),
            None => (item, true),
        };
        let usable = name.strip_suffix(b"_Usable").filter(|_| is_early);
        let mut preferences = PREFERENCES.iter().filter(|row| row.3.contains(&minor));
        if let Some((_, flag, condition, _)) = preferences.find(|row| row.0 == name) {
            match condition {
                _ if !add => preferred.remove(*flag),
                Add::Always => preferred.insert(*flag),
                Add::With(feature) if leaves.usable(*feature) => preferred.insert(*flag),
                Add::With(_) | Add::Never => {}
            }
        } else if add {
            // A feature cannot be added.
        } else if name == b"XSAVEC" && !is_early || usable == Some(b"XSAVEC") {
            xsave.state_size = u64::from(xsave.full_size);
            leaves.unset(XSAVEC);
        } else if let Some(name) = usable {
            known(&USABLE, name).into_iter().for_each(|feature| leaves.unset(feature));
        } else if let Some(feature) = known(&FEATURES, name) {
            if is_early && TWICE.contains(&feature) {
                leaves.hide(feature);
            } else if !is_early || feature != XSAVE {
                leaves.unset(feature);
            }
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
        apply_hwcaps(list.as_bytes(), 36, &mut leaves, &mut preferred, &mut xsave);
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
