//! What releases from 2.39 on make of an AMD processor: caches as leaf 0x8000_001d tells them, and, from 2.40 on, no
//! `rep movsb` and `rep stosb` below the size from which caches are bypassed (contract 6.3).

use super::cpuid::{AMD_CACHES, Cpuid, Reader};
use super::threshold::{NON_TEMPORAL_MAXIMUM, NON_TEMPORAL_MINIMUM};
use super::{CpuFeatures, Kind, Preferred, Tunables};

/// What the threshold is where nothing sensible follows from the caches, in bytes.
const NON_TEMPORAL_DEFAULT: u64 = 64 << 20;

/// Size, ways and bytes per line of a cache; `None` where the processor does not tell in this way.
fn cache(cpu: &mut Reader<impl Cpuid>, subleaf: u32) -> Option<[u64; 3]> {
    let [_, ebx, ecx, _] = cpu.get(AMD_CACHES, subleaf);
    let [ways, line, sets] = [ebx >> 22, ebx & 0xfff, ecx].map(|field| field.wrapping_add(1));
    let size = ways.wrapping_mul(line).wrapping_mul(sets);
    (ecx != 0).then_some([size, ways, line].map(u64::from))
}

impl CpuFeatures {
    /// The features as release 2.`minor` computes them; what is here are those of 2.36.
    #[must_use]
    pub fn as_of(&self, minor: u16, cpuid: &impl Cpuid, tunables: &Tunables<'_>) -> Self {
        let mut now = *self;
        now.memset_non_temporal_threshold = self.non_temporal_threshold;
        if self.basic.kind != Kind::Amd || minor < 39 {
            return now;
        }
        let cpu = &mut Reader::new(cpuid);
        if cpu.get(0x8000_0000, 0)[0] >= AMD_CACHES {
            if let Some([size, ways, line]) = cache(cpu, 0) {
                (now.level1_dcache_size, now.level1_dcache_assoc) = (size, ways);
                now.level1_dcache_linesize = line;
            }
            if let Some([size, _, line]) = cache(cpu, 1) {
                (now.level1_icache_size, now.level1_icache_linesize) = (size, line);
            }
            if let Some([size, ways, line]) = cache(cpu, 2) {
                (now.level2_cache_size, now.level2_cache_assoc) = (size, ways);
                now.level2_cache_linesize = line;
            }
            if let Some([size, ways, line]) = cache(cpu, 3) {
                (now.level3_cache_size, now.level3_cache_assoc) = (size, ways);
                now.level3_cache_linesize = line;
            }
        }
        now.level4_cache_size = 0;

        let shared = match now.level3_cache_size {
            0 => now.level2_cache_size,
            // The levels are exclusive before Zen.
            size if self.basic.family < 0x17 => size + now.level2_cache_size,
            size => size,
        };
        let set = |size: Option<u64>| size.filter(|size| *size != 0);
        now.data_cache_size = set(tunables.x86_data_cache_size).unwrap_or(now.level1_dcache_size);
        now.shared_cache_size = set(tunables.x86_shared_cache_size).unwrap_or(shared);
        let computed = match shared.wrapping_mul(3) / 4 {
            ..NON_TEMPORAL_MINIMUM => NON_TEMPORAL_DEFAULT,
            size => size.min(NON_TEMPORAL_MAXIMUM),
        };
        let bounds = NON_TEMPORAL_MINIMUM + 1..=NON_TEMPORAL_MAXIMUM;
        let given = |size: Option<u64>| size.filter(|size| bounds.contains(size));
        now.non_temporal_threshold = given(tunables.x86_non_temporal_threshold).unwrap_or(computed);
        let for_memset = match self.preferred.contains(Preferred::AVOID_NON_TEMPORAL_MEMSET) {
            true => u64::MAX,
            false => computed,
        };
        now.memset_non_temporal_threshold =
            given(tunables.x86_memset_non_temporal_threshold).unwrap_or(for_memset);
        if minor >= 40 {
            let movsb = tunables.x86_rep_movsb_threshold;
            let movsb = movsb.filter(|size| *size > self.rep_movsb_minimum);
            now.rep_movsb_threshold = movsb.unwrap_or(computed);
            now.rep_movsb_stop_threshold = now.non_temporal_threshold;
            now.rep_stosb_threshold = set(tunables.x86_rep_stosb_threshold).unwrap_or(u64::MAX);
        }
        now
    }
}
