//! Which reported features programs may use: those whose state the operating system saves.

use super::Basic;
use super::cpuid::{Cpuid, Reader};
use super::feature::*;

/// Usable wherever reported.
pub(super) const PLAIN: FeatureSet = FeatureSet::of(&[
    SSE3,
    PCLMULQDQ,
    SSSE3,
    CMPXCHG16B,
    SSE4_1,
    SSE4_2,
    MOVBE,
    POPCNT,
    AES,
    OSXSAVE,
    RDRAND,
    TSC,
    CX8,
    CMOV,
    CLFSH,
    MMX,
    FXSR,
    SSE,
    SSE2,
    HTT,
    BMI1,
    HLE,
    BMI2,
    ERMS,
    RDSEED,
    ADX,
    CLFLUSHOPT,
    CLWB,
    SHA,
    PREFETCHWT1,
    OSPKE,
    WAITPKG,
    GFNI,
    RDPID,
    CLDEMOTE,
    MOVDIRI,
    MOVDIR64B,
    FSRM,
    RTM_ALWAYS_ABORT,
    SERIALIZE,
    TSXLDTRK,
    LAHF64_SAHF64,
    LZCNT,
    SSE4A,
    PREFETCHW,
    TBM,
    RDTSCP,
    WBNOINVD,
    FZLRM,
    FSRS,
    FSRCS,
    PTWRITE,
]);

/// Usable where AVX is. FMA4 is added for AMD only, see `model`.
const WITH_AVX: FeatureSet =
    FeatureSet::of(&[AVX, AVX2, AVX_VNNI, FMA, VAES, VPCLMULQDQ, XOP, F16C]);

/// Usable where AVX512F is.
const WITH_AVX512: FeatureSet = FeatureSet::of(&[
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
    AVX512_VP2INTERSECT,
    AVX512_BF16,
    AVX512_FP16,
]);

/// Usable where the tile state is enabled.
const WITH_AMX: FeatureSet = FeatureSet::of(&[AMX_BF16, AMX_TILE, AMX_INT8]);

/// The XSAVE family itself.
const XSAVE_FAMILY: FeatureSet = FeatureSet::of(&[XSAVE, XSAVEOPT, XSAVEC, XGETBV_ECX_1, XFD]);

/// The part of the XSAVE family that must be reported one by one.
const XSAVE_EXTENSIONS: FeatureSet = FeatureSet::of(&[XSAVEOPT, XSAVEC, XGETBV_ECX_1, XFD]);

const KEY_LOCKER: FeatureSet = FeatureSet::of(&[AESKLE, KL, WIDE_KL]);

/// State components as bits of XCR0 (SDM volume 1, 13.3).
const XMM_YMM: u64 = 1 << 1 | 1 << 2;
const OPMASK_ZMM: u64 = 1 << 5 | 1 << 6 | 1 << 7;
const TILES: u64 = 1 << 17 | 1 << 18;

/// What glibc's lazy-binding stub and TLS descriptors save of each component: (XCR0 bit, size in
/// bytes). The sizes are fixed by the architecture (SDM volume 1, 13.5), and Linux checks at boot
/// that the processor reports these, so sub-leaves 2, 3, 5, 6 and 7 of leaf 0xd need not be
/// executed. All are multiples of 64, hence the alignment flags there change nothing either.
pub(super) const SAVED_COMPONENTS: [(u32, u32); 5] =
    [(2, 256), (3, 64), (5, 64), (6, 512), (7, 1024)];

/// The legacy region and the XSAVE header, in bytes.
const XSAVE_HEADER_END: u32 = 576;

/// What glibc's stub keeps below the XSAVE area: seven integer registers, padded, in bytes.
const STUB_REGISTERS: u32 = 64;

/// Sizes of the state that XSAVE and XSAVEC write, in bytes.
#[derive(Clone, Copy, Default)]
pub(super) struct Xsave {
    /// The standard-format area for the enabled components; `None` without OSXSAVE or leaf 0xd.
    pub(super) area: Option<u32>,
    /// What glibc's stub reserves, in the format it uses (compacted where XSAVEC exists).
    pub(super) state_size: u64,
    /// What it would reserve in the standard format.
    pub(super) full_size: u32,
}

/// Fills every `active` word.
///
/// IBT and SHSTK stay inactive: glibc clears them unless the kernel has enabled CET by an interface
/// that no released kernel has.
pub(super) fn activate(cpu: &mut Reader<impl Cpuid>, basic: &Basic, leaves: &mut Leaves) -> Xsave {
    leaves.activate(&PLAIN);
    if !leaves.has(RTM_ALWAYS_ABORT) {
        leaves.activate(&FeatureSet::of(&[RTM]));
    }
    let mut xsave = Xsave::default();
    if leaves.has(OSXSAVE) {
        let xcr0 = cpu.xcr0();
        let enabled = |components| xcr0 & components == components;
        if enabled(XMM_YMM) {
            if leaves.has(AVX) {
                leaves.activate(&WITH_AVX);
            }
            if enabled(OPMASK_ZMM) && leaves.has(AVX512F) {
                leaves.activate(&WITH_AVX512);
            }
        }
        if enabled(TILES) {
            leaves.activate(&WITH_AMX);
        }
        leaves.set(XSAVE);
        leaves.activate(&XSAVE_EXTENSIONS);
        if basic.max_cpuid >= 0xd {
            xsave = state_sizes(cpu, leaves);
        }
    }
    if leaves.has(OSPKE) {
        leaves.set(PKU);
    }
    if leaves.has(AESKLE) {
        leaves.activate(&KEY_LOCKER);
    }
    xsave
}

fn state_sizes(cpu: &mut Reader<impl Cpuid>, leaves: &Leaves) -> Xsave {
    let [supported, area, ..] = cpu.get(0xd, 0);
    if area == 0 {
        return Xsave { area: Some(0), ..Xsave::default() };
    }
    let full_size = reserved(area, STUB_REGISTERS);
    let state_size = if leaves.has(XSAVEC) {
        reserved(compact_size(supported, &SAVED_COMPONENTS), STUB_REGISTERS)
    } else {
        full_size
    };
    Xsave { area: Some(area), state_size: u64::from(state_size), full_size }
}

/// The area that XSAVEC needs for those of the `saved` components that the processor has, in bytes.
pub(super) fn compact_size(supported: u32, saved: &[(u32, u32)]) -> u32 {
    let components = saved.iter().filter(|(bit, _)| supported >> bit & 1 != 0);
    XSAVE_HEADER_END + components.map(|(_, size)| size).sum::<u32>()
}

/// What a stub reserves for an area and the registers below it, in bytes.
pub(super) const fn reserved(area: u32, registers: u32) -> u32 {
    area.wrapping_add(registers + 63) & !63
}

/// Withdraws what depends on XSAVE when a tunable has withdrawn XSAVE, or the system lacks it.
pub(super) fn withdraw_without_xsave(leaves: &mut Leaves, xsave: &mut Xsave) {
    if !leaves.usable(OSXSAVE) {
        leaves.deactivate(&XSAVE_FAMILY);
    }
    if !leaves.usable(XSAVE) && !leaves.usable(XSAVEC) {
        xsave.state_size = 0;
        leaves.deactivate(&WITH_AVX);
        leaves.deactivate(&WITH_AVX512);
        leaves.deactivate(&WITH_AMX);
        leaves.unset(FMA4);
    }
}

/// The micro-architecture levels of the psABI, each beyond those before it.
const LEVEL_1: FeatureSet = FeatureSet::of(&[CMOV, CX8, FXSR, MMX, SSE, SSE2]);
const LEVEL_2: FeatureSet =
    FeatureSet::of(&[CMPXCHG16B, LAHF64_SAHF64, POPCNT, SSE3, SSSE3, SSE4_1, SSE4_2]);
const LEVEL_3: FeatureSet = FeatureSet::of(&[AVX, AVX2, BMI1, BMI2, F16C, FMA, LZCNT, MOVBE]);
const LEVEL_4: FeatureSet = FeatureSet::of(&[AVX512F, AVX512BW, AVX512CD, AVX512DQ, AVX512VL]);

/// The levels the processor reaches, one bit each, as in GNU_PROPERTY_X86_ISA_1_USED.
pub(super) fn isa_1(leaves: &Leaves) -> u32 {
    if !leaves.has(FPU) {
        return 0;
    }
    let levels = [LEVEL_1, LEVEL_2, LEVEL_3, LEVEL_4];
    let reached = levels.iter().take_while(|set| leaves.all_usable(set));
    (1 << reached.count()) - 1
}
