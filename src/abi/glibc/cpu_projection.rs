//! Writes the model of the CPU into `cpu_features` (contract 6.2, 6.3, 6.4).

use super::cpu::{Asked, CpuFeatures, Order};
use super::fields::Fields;
use super::layout::{Layout, PreferredBits};

/// Fills the `cpu_features` inside `_rtld_global_ro`.
pub fn write(layout: &Layout, ro: &Fields, model: &CpuFeatures) {
    let base = layout.rtld_global_ro.x86_cpu_features;
    let cpu = &layout.cpu;
    let at = |offset: u16| base.checked_add(offset);
    let half = |offset: u16, value: u32| ro.set(at(offset), value);
    let word = |offset: Option<u16>, value: u64| ro.set(offset.and_then(at), value);

    half(cpu.kind, model.basic.kind.number(layout.minor));
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
    if let Some(first) = cpu.cpuid {
        // As many leaves as fit before what follows them.
        let leaves = usize::from(cpu.early_leaves());
        let words = model.reported_before_2_32();
        for (value, position) in words.iter().take(leaves).flatten().zip(0..) {
            half(first + 4 * position, *value);
        }
    }
    match (cpu.usable, cpu.preferred) {
        (Some(usable), None) => half(usable, model.mixed_of_2_28()),
        (Some(usable), Some(_)) => half(usable, model.usable_before_2_32()),
        (None, _) => {}
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
    let sizes = match cpu.level1_icache_size {
        Some(_) => Asked {
            data_cache_size: model.data_cache_size,
            shared_cache_size: model.shared_cache_size,
            non_temporal_threshold: model.non_temporal_threshold,
            rep_movsb_threshold: model.rep_movsb_threshold,
            rep_stosb_threshold: model.rep_stosb_threshold,
        },
        // libc finds them itself, unless the user has asked for others (contract 6.3).
        None => model.asked,
    };
    word(Some(cpu.xsave_state_size), model.xsave_state_size);
    half(cpu.xsave_state_full_size, model.xsave_state_full_size);
    for (offset, value) in [
        (Some(cpu.data_cache_size), sizes.data_cache_size),
        (Some(cpu.shared_cache_size), sizes.shared_cache_size),
        (Some(cpu.non_temporal_threshold), sizes.non_temporal_threshold),
        (cpu.memset_non_temporal_threshold, model.memset_non_temporal_threshold),
        (cpu.cachesize_non_temporal_divisor, model.non_temporal_divisor),
        (cpu.rep_movsb_threshold, sizes.rep_movsb_threshold),
        (cpu.rep_movsb_stop_threshold, model.rep_movsb_stop_threshold),
        (cpu.rep_stosb_threshold, sizes.rep_stosb_threshold),
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

#[cfg(test)]
mod tests {
    use super::super::cpu::{self, Tunables};
    use super::super::layout::LAYOUTS;
    use super::*;

    fn written(layout: &Layout, model: &CpuFeatures) -> Fields {
        let ro = Fields::for_test(1024);
        write(layout, &ro, model);
        ro
    }

    fn words<const N: usize>(memory: &Fields, at: u16) -> [u32; N] {
        core::array::from_fn(|index| memory.get(at + 4 * index as u16).unwrap())
    }

    /// Contract 6.2, 6.3.
    #[test]
    fn each_layout_has_its_form() {
        let asked = Tunables { x86_data_cache_size: Some(0x8000), ..Tunables::default() };
        let plain = cpu::detect(&cpu::Native, &Tunables::default());
        let model = cpu::detect(&cpu::Native, &asked);
        for layout in &LAYOUTS {
            let (label, base, at) =
                (&*layout.label, layout.rtld_global_ro.x86_cpu_features, &layout.cpu);
            let memory = written(layout, &plain);
            let beyond = (base + at.size..1024).filter_map(|at| memory.get::<u8>(at));
            assert!(beyond.sum::<u8>() == 0, "{label}: beyond the structure");
            let early = layout.minor < 32;
            assert_eq!(at.cpuid.is_some(), early, "{label}");
            assert_eq!(at.features.is_some(), !early, "{label}");
            if let Some(cpuid) = at.cpuid {
                let leaves = plain.reported_before_2_32();
                let last = usize::from(at.early_leaves()) - 1;
                assert_eq!(last, if layout.minor == 28 { 2 } else { 5 }, "{label}");
                assert_eq!(words(&memory, base + cpuid), leaves[0], "{label}");
                assert_eq!(
                    words(&memory, base + cpuid + 16 * last as u16),
                    leaves[last],
                    "{label}"
                );
                let expected = match layout.minor {
                    28 => plain.mixed_of_2_28(),
                    _ => plain.usable_before_2_32(),
                };
                assert_eq!(words(&memory, base + at.usable.unwrap()), [expected], "{label}");
                let kind = [plain.basic.kind.number(layout.minor), plain.basic.max_cpuid];
                assert_eq!(words(&memory, base + at.kind), kind, "{label}");
                let model = [plain.basic.family, plain.basic.model];
                assert_eq!(words(&memory, base + at.family), model, "{label}");
            }
            // libc up to 2.32 finds sizes itself where it is told nothing.
            let [size, _] = words(&memory, base + at.data_cache_size);
            assert_eq!(size == 0, layout.minor < 33, "{label}");
            let [size, _] = words(&written(layout, &model), base + at.data_cache_size);
            assert_eq!(size, 0x8000, "{label}");
            // 2.32 chooses between a user's threshold and one that suits the processor.
            if let Some(threshold) = at.rep_movsb_threshold.filter(|_| layout.minor == 32) {
                assert_eq!(words(&memory, base + threshold), [2048, 0], "{label}");
            }
        }
    }
}
