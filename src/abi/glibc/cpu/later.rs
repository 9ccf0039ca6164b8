//! What releases from 2.38 on make of a processor otherwise than 2.36 (contract 6.2, 6.3): more usable features, more
//! models that are known, and other sizes at which memory functions change their method, which 2.37 has on AMD's.
//!
//! Leaf 0x24 of the newest processors, which is kept from 2.39 on, stays empty.

use super::super::layout::Layout;
use super::cpuid::{AMD_CACHES, Cpuid, Reader};
use super::feature::*;
use super::model::INTEL_CORE;
use super::threshold::{NON_TEMPORAL_MAXIMUM, NON_TEMPORAL_MINIMUM, rep_movsb, set};
use super::{CpuFeatures, Kind, Preferred, Tunables, active, tunables};

/// Whose view is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    /// 2.`minor`, or the later release whose changes a branch has got.
    pub minor: u16,
    /// AT_HWCAP2.
    pub hwcap2: u64,
    /// Whether its stubs for TLS descriptors keep vector registers: newer builds of 2.38 and 2.39, and 2.40 on.
    pub keeps_vectors: bool,
}

impl Release {
    /// That of a layout.
    #[must_use]
    pub const fn of(layout: &Layout, hwcap2: u64) -> Self {
        let keeps_vectors = layout.rtld_global_ro.x86_tlsdesc_dynamic.is_some();
        // The branch of 2.39 got that in April 2024, and in the same week what 2.40 makes of AMD's processors.
        let minor = match layout.minor {
            39 if keeps_vectors => 40,
            minor => minor,
        };
        Self { minor, hwcap2, keeps_vectors }
    }
}

/// The kernel's word that programs may use FSGSBASE (HWCAP2_FSGSBASE).
const HWCAP2_FSGSBASE: u64 = 1 << 1;
/// What such stubs keep below the XSAVE area, in bytes: ten integer registers, padded.
const LATER_REGISTERS: u32 = 88;
/// What XSAVEC writes of APX, in bytes (SDM volume 1, 13.5).
const APX_REGISTERS: u32 = 128;
/// The state of APX in XCR0.
const APX_STATE: u64 = 1 << 19;

/// Usable wherever reported.
const PLAIN: FeatureSet = FeatureSet::of(&[RAO_INT, CMPCCXADD, PREFETCHI]);
/// Usable where AVX is.
const WITH_AVX: FeatureSet = FeatureSet::of(&[AVX_IFMA, AVX_NE_CONVERT, AVX_VNNI_INT8]);
/// Usable where tiles are.
const WITH_AMX: FeatureSet = FeatureSet::of(&[AMX_FP16, AMX_COMPLEX]);

/// What the threshold is where nothing sensible follows from the caches, in bytes.
const NON_TEMPORAL_DEFAULT: u64 = 64 << 20;

/// Size, ways and bytes per line of a cache, by leaf 0x8000_001d.
fn cache(cpu: &mut Reader<impl Cpuid>, subleaf: u32) -> ([u64; 3], bool) {
    let [_, ebx, ecx, _] = cpu.get(AMD_CACHES, subleaf);
    let [ways, line, sets] = [ebx >> 22, ebx & 0xfff, ecx].map(|field| field.wrapping_add(1));
    let size = ways.wrapping_mul(line).wrapping_mul(sets);
    ([size, ways, line].map(u64::from), ecx != 0)
}

/// What divides the shared cache on an Intel processor, by its generation.
fn intel_divisor(family: u32, model: u32, minor: u16) -> u64 {
    match (family, model) {
        // Nehalem, Westmere, Sandy Bridge, Ivy Bridge, Haswell, Broadwell.
        (6, 0x1a | 0x1e | 0x1f | 0x2e | 0x25 | 0x2c | 0x2f | 0x2a | 0x2d | 0x3a | 0x3e) => 8,
        (6, 0x3c | 0x3f | 0x45 | 0x46 | 0x3d | 0x47 | 0x4f | 0x56) => 8,
        // Skylake and its descendants, Cannon Lake, Comet Lake, Ice Lake, Tiger Lake, Rocket Lake.
        (6, 0x4e | 0x5e | 0x55 | 0x8e | 0x9e | 0x66 | 0xa5 | 0xa6 | 0x6a | 0x6c | 0x7d) => 2,
        (6, 0x7e | 0x9d | 0x8c | 0x8d | 0xa7) => 2,
        // Lakefield, Alder Lake, Raptor Lake, Meteor Lake, Lunar Lake, Arrow Lake.
        (6, 0x8a | 0x97 | 0x9a | 0xbe | 0xb7 | 0xba | 0xbf | 0xaa | 0xac | 0xbd | 0xc6) => 2,
        // Sapphire Rapids, Emerald Rapids, Granite Rapids.
        (6, 0x8f | 0xcf | 0xad | 0xae) => 2,
        // Arrow Lake, Panther Lake, Diamond Rapids.
        (6, 0xb5 | 0xc5 | 0xcc) | (19, 1) if minor >= 42 => 2,
        // Wildcat Lake, Nova Lake.
        (6, 0xd5) | (18, 1 | 3) if minor >= 43 => 2,
        _ => 4,
    }
}

impl CpuFeatures {
    /// The features as a release computes them; what is here are those of 2.36.
    #[must_use]
    pub fn as_of(&self, release: Release, cpuid: &impl Cpuid, tunables: &Tunables<'_>) -> Self {
        let Release { minor, hwcap2, keeps_vectors } = release;
        if minor < 35 {
            return self.as_of_early(minor, cpuid, tunables);
        }
        let mut now = *self;
        // Up to 2.40 Hygon's are AMD's.
        let is_amd = match self.basic.kind {
            Kind::Amd => true,
            Kind::Hygon => minor < 41,
            _ => false,
        };
        if minor < 37 || minor == 37 && !is_amd {
            return now;
        }
        let cpu = &mut Reader::new(cpuid);
        if minor > 37 {
            now.activate_later(cpu, minor, hwcap2);
            now.prefer_later(minor, is_amd);
        }
        if keeps_vectors {
            now.state_later(cpu);
        }
        now.caches_later(cpu, is_amd, tunables);
        now.thresholds_later(is_amd, minor, tunables);
        if let Some(list) = tunables.hwcaps {
            tunables::apply_hwcaps(
                list,
                minor,
                &mut now.leaves,
                &mut now.preferred,
                &mut Default::default(),
            );
        }
        now
    }

    /// More registers are kept, and those of APX.
    fn state_later(&mut self, cpu: &mut Reader<impl Cpuid>) {
        let Some(area) = self.xsave_area.filter(|_| self.xsave_state_size != 0) else { return };
        let size = if self.leaves.usable(XSAVEC) {
            let [supported, ..] = cpu.get(0xd, 0);
            active::compact_size(supported, &active::SAVED_COMPONENTS)
                + if supported & APX_STATE as u32 == 0 { 0 } else { APX_REGISTERS }
        } else {
            area
        };
        self.xsave_state_full_size = active::reserved(area, LATER_REGISTERS);
        self.xsave_state_size = active::reserved(size, LATER_REGISTERS).into();
    }

    fn activate_later(&mut self, cpu: &mut Reader<impl Cpuid>, minor: u16, hwcap2: u64) {
        let leaves = &mut self.leaves;
        leaves.activate(&PLAIN);
        if hwcap2 & HWCAP2_FSGSBASE != 0 {
            leaves.activate(&FeatureSet::of(&[FSGSBASE]));
        }
        if leaves.usable(AVX) {
            leaves.activate(&WITH_AVX);
        }
        if leaves.usable(AMX_TILE) {
            leaves.activate(&WITH_AMX);
        }
        if !leaves.has(OSXSAVE) {
            return;
        }
        if minor >= 39 {
            leaves.activate(&FeatureSet::of(&[AVX10]));
        }
        if leaves.has(APX_F) && cpu.xcr0() & APX_STATE != 0 {
            leaves.set(APX_F);
        }
    }

    fn prefer_later(&mut self, minor: u16, is_amd: bool) {
        let (family, model) = (self.basic.family, self.basic.model);
        let preferred = &mut self.preferred;
        let mut avoid_non_temporal_memset = minor >= 41;
        match self.basic.kind {
            Kind::Intel => {
                self.non_temporal_divisor = intel_divisor(family, model, minor);
                // Saltwell, which is a smaller Bonnell.
                if family == 6 && matches!(model, 0x27 | 0x35 | 0x36) {
                    preferred.insert(Preferred::SLOW_BSF);
                    preferred.remove(INTEL_CORE);
                }
                if family != 6 && minor >= 42 && self.leaves.has(AVX) {
                    preferred.insert(INTEL_CORE);
                }
                // Skylake's servers, Cannon Lake.
                avoid_non_temporal_memset =
                    minor >= 40 && family == 6 && matches!(model, 0x55 | 0x66);
            }
            Kind::Zhaoxin if minor >= 40 && family == 7 && matches!(model, 0x5b | 0x6b) => {
                if model == 0x5b {
                    self.non_temporal_divisor = 2;
                }
                preferred.remove(Preferred::AVX_FAST_UNALIGNED_LOAD);
                preferred.insert(Preferred::PREFER_NO_VZEROUPPER | Preferred::FAST_UNALIGNED_LOAD);
            }
            Kind::Hygon if !is_amd => {
                avoid_non_temporal_memset = false;
                match model {
                    ..4 if minor >= 43 => preferred.remove(Preferred::AVX_FAST_UNALIGNED_LOAD),
                    7 if minor >= 43 => preferred.insert(Preferred::PREFER_NO_AVX512),
                    _ => {}
                }
            }
            Kind::Amd | Kind::Hygon => avoid_non_temporal_memset = false,
            Kind::Zhaoxin | Kind::Other => {}
        }
        preferred.set(Preferred::AVOID_NON_TEMPORAL_MEMSET, avoid_non_temporal_memset);
        preferred.set(Preferred::AVOID_STOSB, minor >= 41 && !self.basis.erms);
    }

    /// The caches of AMD's processors and Hygon's, as leaf 0x8000_001d tells them.
    fn caches_later(
        &mut self,
        cpu: &mut Reader<impl Cpuid>,
        is_amd: bool,
        tunables: &Tunables<'_>,
    ) {
        let is_hygon = self.basic.kind == Kind::Hygon && !is_amd;
        if !is_amd && !is_hygon {
            return;
        }
        if is_hygon || cpu.get(0x8000_0000, 0)[0] >= AMD_CACHES {
            // Where AMD's tell nothing, older leaves count.
            let mut told = |subleaf| {
                let (cache, is_told) = cache(cpu, subleaf);
                (is_told || is_hygon).then_some(cache)
            };
            if let Some([size, ways, line]) = told(0) {
                (self.level1_dcache_size, self.level1_dcache_assoc) = (size, ways);
                self.level1_dcache_linesize = line;
            }
            if let Some([size, _, line]) = told(1) {
                (self.level1_icache_size, self.level1_icache_linesize) = (size, line);
            }
            if let Some([size, ways, line]) = told(2) {
                (self.level2_cache_size, self.level2_cache_assoc) = (size, ways);
                self.level2_cache_linesize = line;
            }
            if let Some([size, ways, line]) = told(3) {
                (self.level3_cache_size, self.level3_cache_assoc) = (size, ways);
                self.level3_cache_linesize = line;
            }
        }
        if is_amd {
            self.level4_cache_size = 0;
        }
        let shared = match self.level3_cache_size {
            0 if is_amd => self.level2_cache_size,
            // The levels are exclusive before Zen.
            size if is_amd && self.basic.family < 0x17 => size + self.level2_cache_size,
            size => size,
        };
        self.basis.shared.total = shared.cast_signed();
        self.basis.shared.per_thread = shared.cast_signed();
        self.data_cache_size = set(tunables.x86_data_cache_size).unwrap_or(self.level1_dcache_size);
        self.shared_cache_size = set(tunables.x86_shared_cache_size).unwrap_or(shared);
    }

    fn thresholds_later(&mut self, is_amd: bool, minor: u16, tunables: &Tunables<'_>) {
        let kind = self.basic.kind;
        let whole = self.basis.shared.total.cast_unsigned() / self.non_temporal_divisor;
        let part = (self.basis.shared.per_thread.wrapping_mul(3) / 4).cast_unsigned();
        let of_whole = self.basis.erms || kind == Kind::Zhaoxin && minor >= 40;
        let computed = match if of_whole { whole.max(part) } else { part } {
            ..NON_TEMPORAL_MINIMUM if minor < 38 => NON_TEMPORAL_MINIMUM,
            ..NON_TEMPORAL_MINIMUM => NON_TEMPORAL_DEFAULT,
            size => size.min(NON_TEMPORAL_MAXIMUM),
        };
        let bounds = NON_TEMPORAL_MINIMUM + 1..=NON_TEMPORAL_MAXIMUM;
        let given = |size: Option<u64>| size.filter(|size| bounds.contains(size));
        self.non_temporal_threshold =
            given(tunables.x86_non_temporal_threshold).unwrap_or(computed);

        let avoids = self.preferred.contains(Preferred::AVOID_NON_TEMPORAL_MEMSET);
        let suits = minor >= 41 || is_amd || kind == Kind::Intel;
        let for_memset = if suits && !avoids { computed } else { u64::MAX };
        self.memset_non_temporal_threshold =
            given(tunables.x86_memset_non_temporal_threshold).unwrap_or(for_memset);

        if is_amd && minor < 40 {
            self.rep_movsb_stop_threshold = self.level2_cache_size;
            return;
        }
        self.rep_movsb_stop_threshold = self.non_temporal_threshold;
        if matches!(kind, Kind::Zhaoxin | Kind::Hygon) {
            // What they prefer has changed.
            (self.rep_movsb_threshold, self.rep_movsb_minimum) =
                rep_movsb(&self.leaves, self.preferred, tunables);
        }
        if is_amd {
            let movsb = tunables.x86_rep_movsb_threshold;
            let movsb = movsb.filter(|size| *size > self.rep_movsb_minimum);
            self.rep_movsb_threshold = movsb.unwrap_or(computed);
            let stosb = tunables.x86_rep_stosb_threshold.filter(|size| *size != 0);
            self.rep_stosb_threshold = stosb.unwrap_or(u64::MAX);
        }
        if self.preferred.contains(Preferred::AVOID_STOSB) {
            self.rep_stosb_threshold = self.memset_non_temporal_threshold;
        }
    }
}
