//! The words of `cpu_features` up to 2.32 (contract 6.2): up to 2.31 leaves as CPUID reports them, and bitmaps of what
//! is usable; in 2.32 leaves in which more is usable than later.

use super::active::{PLAIN, Xsave, withdraw_without_xsave};
use super::cpuid::Cpuid;
use super::feature::*;
use super::preferred::word;
use super::tunables::{Tunables, apply_hwcaps};
use super::{CpuFeatures, LEAVES, Preferred, detect, platform};

/// `feature[0]` of 2.29 to 2.31, from bit 0 up.
const USABLE: [Feature; 23] = [
    AVX,
    AVX2,
    AVX512F,
    AVX512CD,
    AVX512ER,
    AVX512PF,
    AVX512VL,
    AVX512DQ,
    AVX512BW,
    AVX512_4FMAPS,
    AVX512_4VNNIW,
    AVX512_BITALG,
    AVX512_IFMA,
    AVX512_VBMI,
    AVX512_VBMI2,
    AVX512_VNNI,
    AVX512_VPOPCNTDQ,
    FMA,
    FMA4,
    VAES,
    VPCLMULQDQ,
    XOP,
    XSAVEC,
];

/// What a bit of 2.28's one word says.
#[derive(Clone, Copy)]
enum Bit {
    Usable(Feature),
    Prefers(Preferred),
    Nothing,
}

/// `feature[0]` of 2.28, from bit 0 up. The last three mean something on its branch alone.
const MIXED: [Bit; 27] = [
    Bit::Prefers(Preferred::FAST_REP_STRING),
    Bit::Prefers(Preferred::FAST_COPY_BACKWARD),
    Bit::Prefers(Preferred::SLOW_BSF),
    Bit::Nothing,
    Bit::Prefers(Preferred::FAST_UNALIGNED_LOAD),
    Bit::Prefers(Preferred::PREFER_PMINUB_FOR_STRINGOP),
    Bit::Usable(AVX),
    Bit::Usable(FMA),
    Bit::Usable(FMA4),
    Bit::Prefers(Preferred::SLOW_SSE4_2),
    Bit::Usable(AVX2),
    Bit::Prefers(Preferred::AVX_FAST_UNALIGNED_LOAD),
    Bit::Usable(AVX512F),
    Bit::Usable(AVX512DQ),
    Bit::Prefers(Preferred::I586),
    Bit::Prefers(Preferred::I686),
    Bit::Prefers(Preferred::PREFER_MAP_32BIT_EXEC),
    Bit::Prefers(Preferred::PREFER_NO_VZEROUPPER),
    Bit::Prefers(Preferred::FAST_UNALIGNED_COPY),
    Bit::Prefers(Preferred::PREFER_ERMS),
    Bit::Prefers(Preferred::PREFER_NO_AVX512),
    Bit::Prefers(Preferred::MATHVEC_PREFER_NO_AVX512),
    Bit::Usable(XSAVEC),
    Bit::Prefers(Preferred::PREFER_FSRM),
    Bit::Prefers(Preferred::PREFER_AVX2_STRCMP),
    Bit::Usable(AVX512VL),
    Bit::Usable(AVX512BW),
];

/// What is usable in 2.32 alone, wherever it is reported: of the first two leaves all bits that have a name.
const USABLE_IN_2_32: FeatureSet = FeatureSet::of(&[
    Feature::bits(LEAF_1, ECX, 0x0126_cdfc),
    Feature::bits(LEAF_1, EDX, 0xa867_7aef),
    Feature::bits(LEAF_7, EBX, 0x0210_b487),
    Feature::bits(LEAF_7, ECX, 0xe03e_0084),
    Feature::bits(LEAF_7, EDX, 0xfc14_8400),
    Feature::bits(LEAF_80000001, ECX, 0x0000_8004),
    Feature::bits(LEAF_80000001, EDX, 0x2410_0800),
    Feature::bits(LEAF_D_1, EAX, 0x0000_0008),
    Feature::bits(LEAF_80000007, EDX, 0x0000_0100),
]);
/// What it does not know yet.
const SINCE_2_33: FeatureSet = FeatureSet::of(&[KL, AVX512_FP16, AVX_VNNI, FZLRM, FSRS, FSRCS]);

impl CpuFeatures {
    /// The features as releases up to 2.34 compute them.
    pub(super) fn as_of_early(&self, minor: u16, cpuid: &impl Cpuid, told: &Tunables<'_>) -> Self {
        let mut now = self.told_early(minor, cpuid, told);
        if minor == 32 {
            now.leaves.activate(&USABLE_IN_2_32);
            now.leaves.deactivate(&SINCE_2_33);
        }
        now
    }

    /// What tunables make of them, which have other names or other meanings there.
    fn told_early(&self, minor: u16, cpuid: &impl Cpuid, told: &Tunables<'_>) -> Self {
        let has_other_names = minor == 28 && (self.tuned || *told != Tunables::default());
        if told.hwcaps.is_none() && !has_other_names {
            return *self;
        }
        let mut now = detect(cpuid, &Tunables { hwcaps: None, ..*told });
        if let Some(list) = told.hwcaps {
            let mut xsave = Xsave {
                area: now.xsave_area,
                state_size: now.xsave_state_size,
                full_size: now.xsave_state_full_size,
            };
            apply_hwcaps(list, minor, &mut now.leaves, &mut now.preferred, &mut xsave);
            if minor >= 32 {
                withdraw_without_xsave(&mut now.leaves, &mut xsave);
            }
            now.xsave_state_size = xsave.state_size;
            (now.hwcap, now.platform) = platform(&now.basic, &now.leaves);
        }
        now
    }

    /// What is usable, as 2.29 to 2.31 have it beside the preferences.
    #[must_use]
    pub fn usable_before_2_32(&self) -> u32 {
        word(USABLE.iter().map(|&feature| self.leaves.usable(feature)))
    }

    /// What is usable and what is preferred, in 2.28's one word.
    #[must_use]
    pub fn mixed_of_2_28(&self) -> u32 {
        word(MIXED.iter().map(|&bit| match bit {
            Bit::Usable(feature) => self.leaves.usable(feature),
            Bit::Prefers(preference) => self.preferred.contains(preference),
            Bit::Nothing => false,
        }))
    }

    /// The leaves as CPUID reports them, without what a tunable or distrust has withdrawn: libc uses features that need
    /// nothing of the system when they are reported.
    #[must_use]
    pub fn reported_before_2_32(&self) -> [[u32; 4]; LEAVES] {
        self.leaves.reported(&PLAIN, RTM)
    }
}
