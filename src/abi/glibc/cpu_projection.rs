//! Writes the model of the CPU into `cpu_features` (contract 6.2, 6.3, 6.4).

use super::cpu::{CpuFeatures, Order};
use super::fields::Fields;
use super::layout::{Layout, PreferredBits};

/// Fills the `cpu_features` inside `_rtld_global_ro`.
pub fn write(layout: &Layout, ro: &Fields, model: &CpuFeatures) {
    let base = layout.rtld_global_ro.x86_cpu_features;
    let cpu = &layout.cpu;
    let at = |offset: u16| base.checked_add(offset);
    let half = |offset: u16, value: u32| ro.set(at(offset), value);
    let word = |offset: Option<u16>, value: u64| ro.set(offset.and_then(at), value);

    half(cpu.kind, model.basic.kind as u32);
    half(cpu.max_cpuid, model.basic.max_cpuid);
    half(cpu.family, model.basic.family);
    half(cpu.model, model.basic.model);
    if let Some(stepping) = cpu.stepping {
        half(stepping, model.basic.stepping);
    }
    if let (Some(first), Some(stride), Some(count)) =
        (cpu.features, cpu.features_stride, cpu.features_count)
    {
        for (leaf, index) in model.leaves.0.iter().zip(0..count) {
            let words = leaf.cpuid.iter().chain(&leaf.active);
            for (value, position) in words.zip(0..) {
                half(first + index * stride + 4 * position, *value);
            }
        }
    }
    if let Some(preferred) = cpu.preferred {
        let order = match cpu.preferred_bits {
            PreferredBits::V2_28 => Order::V2_29,
            PreferredBits::V2_34 => Order::V2_34,
            PreferredBits::V2_35 => Order::V2_35,
            PreferredBits::V2_38 => Order::V2_38,
        };
        half(preferred, order.encode(model.preferred));
    }
    if let Some(isa_1) = cpu.isa_1 {
        half(isa_1, model.isa_1);
    }
    word(Some(cpu.xsave_state_size), model.xsave_state_size);
    half(cpu.xsave_state_full_size, model.xsave_state_full_size);
    for (offset, value) in [
        (Some(cpu.data_cache_size), model.data_cache_size),
        (Some(cpu.shared_cache_size), model.shared_cache_size),
        (Some(cpu.non_temporal_threshold), model.non_temporal_threshold),
        (cpu.memset_non_temporal_threshold, model.non_temporal_threshold),
        (cpu.rep_movsb_threshold, model.rep_movsb_threshold),
        (cpu.rep_movsb_stop_threshold, model.rep_movsb_stop_threshold),
        (cpu.rep_stosb_threshold, model.rep_stosb_threshold),
        (cpu.level1_icache_size, model.level1_icache_size),
        (cpu.level1_icache_linesize, model.level1_icache_linesize),
        (cpu.level1_dcache_size, model.level1_dcache_size),
        (cpu.level1_dcache_assoc, model.level1_dcache_assoc),
        (cpu.level1_dcache_linesize, model.level1_dcache_linesize),
        (cpu.level2_cache_size, model.level2_cache_size),
        (cpu.level2_cache_assoc, model.level2_cache_assoc),
        (cpu.level2_cache_linesize, model.level2_cache_linesize),
        (cpu.level3_cache_size, model.level3_cache_size),
        (cpu.level3_cache_assoc, model.level3_cache_assoc),
        (cpu.level3_cache_linesize, model.level3_cache_linesize),
        (cpu.level4_cache_size, model.level4_cache_size),
    ] {
        word(offset, value);
    }
}
