//! What glibc knows about particular processors: preferences, and features not to be trusted.

use super::feature::*;
use super::{Basic, Kind, Preferred};

/// The preferences for the processor. Withdraws from `leaves` what glibc distrusts on it.
pub(super) fn prefer(basic: &Basic, leaves: &mut Leaves) -> Preferred {
    let mut preferred = Preferred::empty();
    preferred.set(Preferred::AVX_FAST_UNALIGNED_LOAD, leaves.usable(AVX2));
    match basic.kind {
        Kind::Intel => {
            if basic.family == 6 {
                preferred |= intel_core_or_atom(basic.model, leaves);
                distrust_tsx(basic, leaves);
            }
            preferred |= intel_vectors(leaves);
        }
        Kind::Amd | Kind::Hygon => {
            if leaves.usable(AVX) {
                leaves.activate(&FeatureSet::of(&[FMA4]));
            }
            // Excavator.
            if basic.family == 0x15 && (0x60..=0x7f).contains(&basic.model) {
                preferred |= Preferred::FAST_UNALIGNED_LOAD | Preferred::FAST_COPY_BACKWARD;
                preferred -= Preferred::AVX_FAST_UNALIGNED_LOAD;
            }
        }
        Kind::Zhaoxin => {
            let slow_avx =
                matches!((basic.family, basic.model), (6, 0xf | 0x19) | (7, 0x1b | 0x3b));
            if slow_avx {
                leaves.deactivate(&FeatureSet::of(&[AVX, AVX2]));
                preferred -= Preferred::AVX_FAST_UNALIGNED_LOAD;
                preferred.set(Preferred::SLOW_SSE4_2, basic.model != 0x3b);
            }
        }
        Kind::Other => {}
    }
    preferred.set(Preferred::I586, leaves.has(CX8));
    preferred.set(Preferred::I686, leaves.has(CMOV));
    preferred
}

/// What suits Intel's Core processors.
pub(super) const INTEL_CORE: Preferred = Preferred::FAST_REP_STRING
    .union(Preferred::FAST_UNALIGNED_LOAD)
    .union(Preferred::FAST_UNALIGNED_COPY)
    .union(Preferred::PREFER_PMINUB_FOR_STRINGOP);

/// Intel family 6 by model. An unknown one with AVX is taken for a Core.
fn intel_core_or_atom(model: u32, leaves: &Leaves) -> Preferred {
    let core = INTEL_CORE;
    let unaligned = core - Preferred::FAST_REP_STRING;
    match model {
        // Bonnell.
        0x1c | 0x26 => Preferred::SLOW_BSF,
        // Knights Landing, Goldmont Plus, Goldmont, Airmont, Silvermont.
        0x57 | 0x7a | 0x5c | 0x5f | 0x4c | 0x5a | 0x75 | 0x37 | 0x4a | 0x4d | 0x5d => {
            unaligned | Preferred::SLOW_SSE4_2
        }
        // Tremont.
        0x86 | 0x96 | 0x9c => core | Preferred::SLOW_SSE4_2,
        // Nehalem, Westmere.
        0x1a | 0x1e | 0x1f | 0x25 | 0x2c | 0x2e | 0x2f => core,
        _ if leaves.has(AVX) => core,
        _ => Preferred::empty(),
    }
}

/// Withdraws transactional memory where it is broken unless the newest microcode is loaded.
fn distrust_tsx(basic: &Basic, leaves: &mut Leaves) {
    match (basic.model, basic.stepping) {
        // Skylake and its descendants, where microcode makes every transaction abort.
        (0x55, ..=5) | (0x8e | 0x9e, ..=0xc) | (0x4e | 0x5e, _) => {
            leaves.deactivate(&FeatureSet::of(&[HLE, RTM]));
            leaves.set(RTM_ALWAYS_ABORT);
        }
        // Haswell, except the Xeon E7 v3 from stepping 4 on.
        (0x3f, ..=3) | (0x3c | 0x45 | 0x46, _) => leaves.unset(RTM),
        _ => {}
    }
}

/// Which vector widths any Intel processor should use.
fn intel_vectors(leaves: &Leaves) -> Preferred {
    let mut preferred = Preferred::empty();
    if leaves.has(AVX512ER) {
        // Xeon Phi.
        preferred |= Preferred::PREFER_NO_VZEROUPPER;
    } else {
        // Processors with AVX-VNNI keep their clock when 64-byte vectors are used.
        preferred.set(Preferred::PREFER_NO_AVX512, !leaves.has(AVX_VNNI));
        // Two comparisons of 32 bytes take fewer instructions with AVX2 than with EVEX.
        preferred.set(Preferred::PREFER_AVX2_STRCMP, leaves.usable(AVX2));
        // VZEROUPPER aborts transactions.
        preferred.set(Preferred::PREFER_NO_VZEROUPPER, leaves.usable(RTM));
    }
    preferred.set(Preferred::AVOID_SHORT_DISTANCE_REP_MOVSB, leaves.has(FSRM));
    preferred
}
