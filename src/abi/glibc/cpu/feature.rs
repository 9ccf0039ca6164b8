//! CPUID feature bits, and the leaves that carry them.
//!
//! Names and positions are those of `<sys/platform/x86.h>`, which glibc made public with 2.33.

/// How many leaves glibc keeps.
pub const LEAVES: usize = 9;

/// The (leaf, subleaf) pairs that glibc keeps, in its order (contract 6.2).
pub const LEAF_ORDER: [(u32, u32); LEAVES] = [
    (1, 0),
    (7, 0),
    (0x8000_0001, 0),
    (0xd, 1),
    (0x8000_0007, 0),
    (0x8000_0008, 0),
    (7, 1),
    (0x19, 0),
    (0x14, 0),
];

pub(super) const LEAF_1: usize = 0;
pub(super) const LEAF_7: usize = 1;
pub(super) const LEAF_80000001: usize = 2;
pub(super) const LEAF_D_1: usize = 3;
pub(super) const LEAF_80000007: usize = 4;
const LEAF_80000008: usize = 5;
const LEAF_7_1: usize = 6;
const LEAF_19: usize = 7;
const LEAF_14: usize = 8;

pub(super) const EAX: usize = 0;
pub(super) const EBX: usize = 1;
pub(super) const ECX: usize = 2;
pub(super) const EDX: usize = 3;

/// One leaf: what the processor reports, and the part of it that programs may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Leaf {
    /// The registers as CPUID returned them: `[eax, ebx, ecx, edx]`.
    pub cpuid: [u32; 4],
    /// The same bits where the operating system supports the feature too; others are zero.
    pub active: [u32; 4],
}

/// All leaves, in the order of [`LEAF_ORDER`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Leaves(pub [Leaf; LEAVES]);

/// The position of one feature bit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Feature {
    leaf: usize,
    register: usize,
    mask: u32,
}

impl Feature {
    /// Several bits of one register.
    pub(super) const fn bits(leaf: usize, register: usize, mask: u32) -> Self {
        Self { leaf, register, mask }
    }
}

/// Feature bits of all leaves, as masks.
pub(super) struct FeatureSet([[u32; 4]; LEAVES]);

impl FeatureSet {
    pub(super) const fn of(features: &[Feature]) -> Self {
        let mut masks = [[0; 4]; LEAVES];
        let mut i = 0;
        while i < features.len() {
            let Feature { leaf, register, mask } = features[i];
            masks[leaf][register] |= mask;
            i += 1;
        }
        Self(masks)
    }
}

impl Leaves {
    /// Whether the processor reports `feature`.
    pub(super) const fn has(&self, feature: Feature) -> bool {
        self.0[feature.leaf].cpuid[feature.register] & feature.mask != 0
    }

    /// Whether programs may use `feature`.
    pub(super) const fn usable(&self, feature: Feature) -> bool {
        self.0[feature.leaf].active[feature.register] & feature.mask != 0
    }

    /// Whether programs may use every feature of `set`.
    pub(super) fn all_usable(&self, set: &FeatureSet) -> bool {
        let pairs = self.0.iter().zip(&set.0);
        pairs
            .flat_map(|(leaf, masks)| leaf.active.iter().zip(masks))
            .all(|(active, mask)| active & mask == *mask)
    }

    /// What the processor reports, without those of `plain`, and without `feature`, that are not usable.
    pub(super) fn reported(&self, plain: &FeatureSet, feature: Feature) -> [[u32; 4]; LEAVES] {
        let mut words = [[0; 4]; LEAVES];
        for ((to, leaf), masks) in words.iter_mut().zip(&self.0).zip(&plain.0) {
            for (((to, cpuid), active), mask) in
                to.iter_mut().zip(leaf.cpuid).zip(leaf.active).zip(masks)
            {
                *to = cpuid & (active | !mask);
            }
        }
        if !self.usable(feature) {
            words[feature.leaf][feature.register] &= !feature.mask;
        }
        words
    }

    /// Marks as usable those features of `set` that the processor reports.
    pub(super) fn activate(&mut self, set: &FeatureSet) {
        for (leaf, masks) in self.0.iter_mut().zip(&set.0) {
            for ((active, cpuid), mask) in leaf.active.iter_mut().zip(leaf.cpuid).zip(masks) {
                *active |= cpuid & mask;
            }
        }
    }

    /// Marks every feature of `set` as not usable.
    pub(super) fn deactivate(&mut self, set: &FeatureSet) {
        for (leaf, masks) in self.0.iter_mut().zip(&set.0) {
            for (active, mask) in leaf.active.iter_mut().zip(masks) {
                *active &= !mask;
            }
        }
    }

    /// Marks one feature as usable, reported or not.
    pub(super) const fn set(&mut self, feature: Feature) {
        self.0[feature.leaf].active[feature.register] |= feature.mask;
    }

    /// Forgets that the processor reports one feature.
    pub(super) const fn hide(&mut self, feature: Feature) {
        self.0[feature.leaf].cpuid[feature.register] &= !feature.mask;
    }

    /// Marks one feature as not usable.
    pub(super) const fn unset(&mut self, feature: Feature) {
        self.0[feature.leaf].active[feature.register] &= !feature.mask;
    }
}

macro_rules! features {
    ($($leaf:ident $register:ident { $($name:ident = $bit:literal),* $(,)? })*) => {$($(
        pub(super) const $name: Feature =
            Feature::bits($leaf, $register, 1 << $bit);
    )*)*};
}

features! {
    LEAF_1 ECX {
        SSE3 = 0, PCLMULQDQ = 1, SSSE3 = 9, FMA = 12, CMPXCHG16B = 13, SSE4_1 = 19, SSE4_2 = 20,
        MOVBE = 22, POPCNT = 23, AES = 25, XSAVE = 26, OSXSAVE = 27, AVX = 28, F16C = 29,
        RDRAND = 30,
    }
    LEAF_1 EDX {
        FPU = 0, TSC = 4, CX8 = 8, CMOV = 15, CLFSH = 19, MMX = 23, FXSR = 24, SSE = 25, SSE2 = 26,
        HTT = 28,
    }
    LEAF_7 EBX {
        FSGSBASE = 0, BMI1 = 3, HLE = 4, AVX2 = 5, BMI2 = 8, ERMS = 9, RTM = 11, AVX512F = 16, AVX512DQ = 17,
        RDSEED = 18, ADX = 19, AVX512_IFMA = 21, CLFLUSHOPT = 23, CLWB = 24, AVX512PF = 26,
        AVX512ER = 27, AVX512CD = 28, SHA = 29, AVX512BW = 30, AVX512VL = 31,
    }
    LEAF_7 ECX {
        PREFETCHWT1 = 0, AVX512_VBMI = 1, PKU = 3, OSPKE = 4, WAITPKG = 5, AVX512_VBMI2 = 6,
        GFNI = 8, VAES = 9, VPCLMULQDQ = 10, AVX512_VNNI = 11, AVX512_BITALG = 12,
        AVX512_VPOPCNTDQ = 14, RDPID = 22, KL = 23, CLDEMOTE = 25, MOVDIRI = 27, MOVDIR64B = 28,
    }
    LEAF_7 EDX {
        AVX512_4VNNIW = 2, AVX512_4FMAPS = 3, FSRM = 4, AVX512_VP2INTERSECT = 8,
        RTM_ALWAYS_ABORT = 11, SERIALIZE = 14, TSXLDTRK = 16, AMX_BF16 = 22, AVX512_FP16 = 23,
        AMX_TILE = 24, AMX_INT8 = 25,
    }
    LEAF_80000001 ECX {
        LAHF64_SAHF64 = 0, LZCNT = 5, SSE4A = 6, PREFETCHW = 8, XOP = 11, FMA4 = 16, TBM = 21,
    }
    LEAF_80000001 EDX { RDTSCP = 27 }
    LEAF_D_1 EAX { XSAVEOPT = 0, XSAVEC = 1, XGETBV_ECX_1 = 2, XFD = 4 }
    LEAF_80000008 EBX { WBNOINVD = 9 }
    LEAF_7_1 EAX {
        RAO_INT = 3, AVX_VNNI = 4, AVX512_BF16 = 5, CMPCCXADD = 7, FZLRM = 10, FSRS = 11, FSRCS = 12,
        AMX_FP16 = 21, AVX_IFMA = 23,
    }
    LEAF_7_1 EDX {
        AVX_VNNI_INT8 = 4, AVX_NE_CONVERT = 5, AMX_COMPLEX = 8, PREFETCHI = 14, AVX10 = 19, APX_F = 21,
    }
    LEAF_19 EBX { AESKLE = 0, WIDE_KL = 2 }
    LEAF_14 EBX { PTWRITE = 4 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reported_features_become_usable() {
        const SET: FeatureSet = FeatureSet::of(&[AVX, FMA, AVX2]);
        let mut leaves = Leaves::default();
        leaves.0[0].cpuid[ECX] = 1 << 28 | 1 << 30;
        leaves.activate(&SET);
        assert!(leaves.usable(AVX) && !leaves.usable(FMA) && !leaves.usable(RDRAND));
        assert!(!leaves.all_usable(&SET));
        leaves.set(FMA);
        leaves.set(AVX2);
        assert!(leaves.all_usable(&SET));
        leaves.unset(AVX);
        assert!(!leaves.all_usable(&SET));
        leaves.deactivate(&SET);
        assert_eq!(leaves.0[1].active, [0; 4]);
    }
}
