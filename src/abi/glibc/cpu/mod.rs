//! The processor as glibc sees it: `cpu_features`, which ld.so computes and libc's IFUNC selectors,
//! memory functions and sysconf(3) read (contract 6.2 to 6.4).
//!
//! The values are those of glibc 2.36, and what later releases compute otherwise ([`CpuFeatures::as_of`]). They are
//! found with at most [`MAX_CPUIDS`] CPUID instructions, where glibc executes some seventy: in a virtual machine each
//! costs more than a system call.

mod active;
mod cache;
mod cpuid;
mod early;
mod feature;
mod identify;
mod later;
mod model;
mod native;
mod preferred;
#[cfg(test)]
mod recorded;
mod threshold;
mod tunables;

pub use cpuid::Cpuid;
pub use feature::{LEAF_ORDER, LEAVES, Leaf, Leaves};
pub use identify::{Basic, Kind};
pub use later::Release;
pub use native::Native;
pub use preferred::{Order, Preferred};
pub use threshold::{NON_TEMPORAL_MAXIMUM, NON_TEMPORAL_MINIMUM};
pub use tunables::Tunables;

use core::ffi::CStr;
use cpuid::Reader;
use feature::*;
use threshold::{REP_DEFAULT, Shared, set};

/// The most CPUID instructions [`detect`] executes on a processor with up to four cache levels and
/// two topology levels: leaves 0, 1, 2, 7 (two), 0xb (two), 0xd (two), 0x14, 0x19, four extended
/// ones, and leaf 4 once per cache and once for its end.
pub const MAX_CPUIDS: usize = 21;

/// The release whose view [`detect`] computes: 2.36.
pub const DETECTED: u16 = 36;

/// AT_HWCAP's bit for any x86-64 processor in glibc's own numbering (HWCAP_X86_64).
const HWCAP_X86_64: u64 = 1 << 1;
/// The bit for AVX-512 as of Skylake servers (HWCAP_X86_AVX512_1).
const HWCAP_X86_AVX512_1: u64 = 1 << 2;

/// MINSIGSTKSZ, in bytes.
const MINSIGSTKSZ: u64 = 2048;

/// `cpu_features`, field by field under glibc's names, with what else depends on the processor.
///
/// Sizes are in bytes. A cache field is all ones (-1) where nothing is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuFeatures {
    /// The processor's identity.
    pub basic: Basic,
    /// Feature leaves, raw and usable.
    pub leaves: Leaves,
    /// Preferences, to be written through the [`Order`] of the release.
    pub preferred: Preferred,
    /// Micro-architecture levels, one bit each from x86-64-v1 up, before tunables.
    pub isa_1: u32,
    /// What ld.so's lazy-binding stub reserves for vector state.
    pub xsave_state_size: u64,
    /// The same if XSAVEC is not used.
    pub xsave_state_full_size: u32,
    /// The first-level data cache.
    pub data_cache_size: u64,
    /// The cache shared between threads.
    pub shared_cache_size: u64,
    /// From here on memory functions bypass the caches.
    pub non_temporal_threshold: u64,
    /// From here on memset(3) bypasses them (2.40 and later).
    pub memset_non_temporal_threshold: u64,
    /// From here on they use `rep movsb`.
    pub rep_movsb_threshold: u64,
    /// From here on they no longer use it.
    pub rep_movsb_stop_threshold: u64,
    /// From here on they use `rep stosb`.
    pub rep_stosb_threshold: u64,
    /// `_SC_LEVEL1_ICACHE_SIZE`.
    pub level1_icache_size: u64,
    /// `_SC_LEVEL1_ICACHE_LINESIZE`.
    pub level1_icache_linesize: u64,
    /// `_SC_LEVEL1_DCACHE_SIZE`.
    pub level1_dcache_size: u64,
    /// `_SC_LEVEL1_DCACHE_ASSOC`.
    pub level1_dcache_assoc: u64,
    /// `_SC_LEVEL1_DCACHE_LINESIZE`.
    pub level1_dcache_linesize: u64,
    /// `_SC_LEVEL2_CACHE_SIZE`.
    pub level2_cache_size: u64,
    /// `_SC_LEVEL2_CACHE_ASSOC`.
    pub level2_cache_assoc: u64,
    /// `_SC_LEVEL2_CACHE_LINESIZE`.
    pub level2_cache_linesize: u64,
    /// `_SC_LEVEL3_CACHE_SIZE`.
    pub level3_cache_size: u64,
    /// `_SC_LEVEL3_CACHE_ASSOC`.
    pub level3_cache_assoc: u64,
    /// `_SC_LEVEL3_CACHE_LINESIZE`.
    pub level3_cache_linesize: u64,
    /// `_SC_LEVEL4_CACHE_SIZE`.
    pub level4_cache_size: u64,
    /// What libc up to 2.32 is told, which finds the rest itself.
    pub asked: Asked,
    /// What thresholds of releases from 2.38 on follow from.
    basis: Basis,
    /// Whether a tunable said anything.
    tuned: bool,
    /// What divides the shared cache where thresholds follow from it (2.38 and later); only ld.so reads it.
    pub non_temporal_divisor: u64,
    /// The least value `x86_rep_movsb_threshold` must exceed; no field of `cpu_features`, but
    /// `--list-tunables` prints it.
    pub rep_movsb_minimum: u64,
    /// GLRO(dl_hwcap): 2, or 6 on Intel processors with AVX-512 (not Xeon Phi).
    pub hwcap: u64,
    /// GLRO(dl_platform); `None` means that AT_PLATFORM stands.
    pub platform: Option<&'static CStr>,
    /// The standard-format XSAVE area of the enabled state; `None` where XSAVE is not enabled.
    pub xsave_area: Option<u32>,
}

/// What [`CpuFeatures::as_of`] computes thresholds from: as the processor has it, whatever tunables say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Basis {
    shared: Shared,
    erms: bool,
}

/// Sizes that tunables set, in bytes, as libc up to 2.32 is told them: where they do not, the tunables' own defaults.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    /// `glibc.cpu.x86_data_cache_size`.
    pub data_cache_size: u64,
    /// `glibc.cpu.x86_shared_cache_size`.
    pub shared_cache_size: u64,
    /// `glibc.cpu.x86_non_temporal_threshold`.
    pub non_temporal_threshold: u64,
    /// `glibc.cpu.x86_rep_movsb_threshold`.
    pub rep_movsb_threshold: u64,
    /// `glibc.cpu.x86_rep_stosb_threshold`.
    pub rep_stosb_threshold: u64,
}

/// Computes everything from the processor and the user's tunables.
#[inline(never)]
pub fn detect(cpuid: &impl Cpuid, tunables: &Tunables) -> CpuFeatures {
    let cpu = &mut Reader::new(cpuid);
    let (basic, mut leaves) = identify::identify(cpu);
    let mut xsave = active::activate(cpu, &basic, &mut leaves);
    let isa_1 = active::isa_1(&leaves);
    let mut preferred = model::prefer(&basic, &mut leaves);
    let caches = cache::geometry(cpu, &basic);
    let thresholds = threshold::thresholds(cpu, &basic, &leaves, preferred, &caches, tunables);

    if tunables.prefer_map_32bit_exec == Some(true) {
        preferred |= Preferred::PREFER_MAP_32BIT_EXEC;
    }
    if let Some(list) = tunables.hwcaps {
        tunables::apply_hwcaps(list, DETECTED, &mut leaves, &mut preferred, &mut xsave);
    }
    active::withdraw_without_xsave(&mut leaves, &mut xsave);
    let (hwcap, platform) = platform(&basic, &leaves);

    CpuFeatures {
        basic,
        leaves,
        preferred,
        isa_1,
        xsave_state_size: xsave.state_size,
        xsave_state_full_size: xsave.full_size,
        data_cache_size: thresholds.data_cache_size,
        shared_cache_size: thresholds.shared_cache_size,
        non_temporal_threshold: thresholds.non_temporal,
        memset_non_temporal_threshold: thresholds.non_temporal,
        rep_movsb_threshold: thresholds.rep_movsb,
        rep_movsb_stop_threshold: thresholds.rep_movsb_stop,
        rep_stosb_threshold: thresholds.rep_stosb,
        level1_icache_size: caches.l1i.size as u64,
        level1_icache_linesize: caches.l1i.linesize as u64,
        level1_dcache_size: caches.l1d.size as u64,
        level1_dcache_assoc: caches.l1d.assoc as u64,
        level1_dcache_linesize: caches.l1d.linesize as u64,
        level2_cache_size: caches.l2.size as u64,
        level2_cache_assoc: caches.l2.assoc as u64,
        level2_cache_linesize: caches.l2.linesize as u64,
        level3_cache_size: caches.l3.size as u64,
        level3_cache_assoc: caches.l3.assoc as u64,
        level3_cache_linesize: caches.l3.linesize as u64,
        level4_cache_size: caches.l4.size as u64,
        asked: Asked {
            data_cache_size: tunables.x86_data_cache_size.unwrap_or_default(),
            shared_cache_size: tunables.x86_shared_cache_size.unwrap_or_default(),
            non_temporal_threshold: tunables.x86_non_temporal_threshold.unwrap_or_default(),
            rep_movsb_threshold: set(tunables.x86_rep_movsb_threshold).unwrap_or(REP_DEFAULT),
            rep_stosb_threshold: set(tunables.x86_rep_stosb_threshold).unwrap_or(REP_DEFAULT),
        },
        basis: Basis { shared: thresholds.shared, erms: thresholds.erms },
        tuned: *tunables != Tunables::default(),
        non_temporal_divisor: 4,
        rep_movsb_minimum: thresholds.rep_movsb_minimum,
        hwcap,
        platform,
        xsave_area: xsave.area,
    }
}

/// GLRO(dl_hwcap) and GLRO(dl_platform), which name library directories up to 2.36. Only Intel
/// processors have more than the baseline.
fn platform(basic: &Basic, leaves: &Leaves) -> (u64, Option<&'static CStr>) {
    const PHI: FeatureSet = FeatureSet::of(&[AVX512CD, AVX512ER, AVX512PF]);
    const SKYLAKE_SERVER: FeatureSet = FeatureSet::of(&[AVX512CD, AVX512BW, AVX512DQ, AVX512VL]);
    const HASWELL: FeatureSet = FeatureSet::of(&[AVX2, FMA, BMI1, BMI2, LZCNT, MOVBE, POPCNT]);

    if basic.kind != Kind::Intel {
        return (HWCAP_X86_64, None);
    }
    let mut hwcap = HWCAP_X86_64;
    if leaves.all_usable(&SKYLAKE_SERVER) && !leaves.usable(AVX512ER) {
        hwcap |= HWCAP_X86_AVX512_1;
    }
    let platform = if leaves.all_usable(&PHI) {
        Some(c"xeon_phi")
    } else if leaves.all_usable(&HASWELL) {
        Some(c"haswell")
    } else {
        None
    };
    (hwcap, platform)
}

impl CpuFeatures {
    /// GLRO(dl_minsigstacksize), in bytes: the kernel's AT_MINSIGSTKSZ or, from a kernel that gives
    /// none (before 5.14) or zero, the size of its signal frame with the XSAVE area.
    #[must_use]
    pub fn minsigstacksize(&self, at_minsigstksz: Option<u64>) -> u64 {
        /// `struct rt_sigframe` and a return address (448), padded to let the area start at a
        /// multiple of 64 wherever the stack is.
        const FRAME: u32 = 512;
        /// FP_XSTATE_MAGIC2, behind the area.
        const MAGIC: u32 = 4;
        match (at_minsigstksz, self.xsave_area) {
            (Some(size @ 1..), _) => size,
            (_, Some(area)) => area.wrapping_add(FRAME + MAGIC).into(),
            (_, None) => MINSIGSTKSZ,
        }
    }

    /// The micro-architecture level from 1 to 4, after tunables: libraries are searched in
    /// `glibc-hwcaps/x86-64-vN` from this N down to 2.
    #[must_use]
    pub fn isa_level(&self) -> u32 {
        active::isa_1(&self.leaves).trailing_ones().max(1)
    }
}
