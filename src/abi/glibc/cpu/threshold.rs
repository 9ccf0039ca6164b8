//! The sizes at which libc's memory functions change method (contract 6.3).
//!
//! They follow from the cache that one thread can expect to have: the size of the last level and
//! how many threads share it.

use super::cache::{Geometry, SUBLEAF_LIMIT};
use super::cpuid::{AMD_CACHES, Cpuid, Reader};
use super::feature::{AVX512F, ERMS, FSRM, HTT, Leaves};
use super::identify::package_threads;
use super::{Basic, Kind, Preferred, Tunables};

/// The least `non_temporal_threshold`, in bytes: one round of the large-copy loop.
pub const NON_TEMPORAL_MINIMUM: u64 = 0x4040;
/// The greatest `non_temporal_threshold`, in bytes: libc shifts it by 4.
pub const NON_TEMPORAL_MAXIMUM: u64 = u64::MAX >> 4;

/// From where on `rep` string instructions pay unless more is known, in bytes.
pub(super) const REP_DEFAULT: u64 = 2048;

/// The value that the user has set; 0 is none.
pub(super) fn set(size: Option<u64>) -> Option<u64> {
    size.filter(|size| *size != 0)
}

/// In bytes, as `cpu_features` holds them.
pub(super) struct Thresholds {
    pub(super) shared: Shared,
    pub(super) erms: bool,
    pub(super) data_cache_size: u64,
    pub(super) shared_cache_size: u64,
    pub(super) non_temporal: u64,
    pub(super) rep_movsb: u64,
    pub(super) rep_movsb_minimum: u64,
    pub(super) rep_movsb_stop: u64,
    pub(super) rep_stosb: u64,
}

/// The last-level cache, in bytes. Negative where nothing is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shared {
    pub(super) total: i64,
    pub(super) per_thread: i64,
}

pub(super) fn thresholds(
    cpu: &mut Reader<impl Cpuid>,
    basic: &Basic,
    leaves: &Leaves,
    preferred: Preferred,
    caches: &Geometry,
    tunables: &Tunables,
) -> Thresholds {
    let core = caches.l2.size;
    let shared = match basic.kind {
        Kind::Intel | Kind::Zhaoxin => shared_by_topology(cpu, basic, leaves, caches),
        Kind::Amd | Kind::Hygon => shared_by_apic_ids(cpu, basic, leaves, caches),
        Kind::Other => Shared { total: -1, per_thread: -1 },
    };

    // Enhanced `rep movsb` evicts little: a quarter of the whole cache. Without it, or where the
    // whole is not known, three quarters of the thread's part.
    let part = (shared.per_thread.wrapping_mul(3) / 4) as u64;
    let whole = (shared.total / 4) as u64;
    let computed = if leaves.usable(ERMS) { whole.max(part) } else { part };
    let non_temporal = tunables
        .x86_non_temporal_threshold
        .filter(|size| (NON_TEMPORAL_MINIMUM + 1..=NON_TEMPORAL_MAXIMUM).contains(size))
        .unwrap_or(computed.clamp(NON_TEMPORAL_MINIMUM, NON_TEMPORAL_MAXIMUM));

    let (rep_movsb, rep_movsb_minimum) = rep_movsb(leaves, preferred, tunables);
    Thresholds {
        shared,
        erms: leaves.usable(ERMS),
        data_cache_size: set(tunables.x86_data_cache_size).unwrap_or(caches.l1d.size as u64),
        shared_cache_size: set(tunables.x86_shared_cache_size).unwrap_or(shared.total as u64),
        non_temporal,
        rep_movsb,
        rep_movsb_minimum,
        // AMD's `rep movsb` is slow beyond the second level.
        rep_movsb_stop: if matches!(basic.kind, Kind::Amd | Kind::Hygon) {
            core as u64
        } else {
            non_temporal
        },
        rep_stosb: set(tunables.x86_rep_stosb_threshold).unwrap_or(REP_DEFAULT),
    }
}

/// From where on `rep movsb` pays, and the value that the user's must exceed.
pub(super) fn rep_movsb(
    leaves: &Leaves,
    preferred: Preferred,
    tunables: &Tunables<'_>,
) -> (u64, u64) {
    let (vector, per_16_bytes) =
        if leaves.usable(AVX512F) && !preferred.contains(Preferred::PREFER_NO_AVX512) {
            (64, 4096)
        } else if preferred.contains(Preferred::AVX_FAST_UNALIGNED_LOAD) {
            (32, 4096)
        } else {
            (16, 2048)
        };
    let minimum = vector * 8;
    let computed = if leaves.usable(FSRM) { 2112 } else { per_16_bytes * (vector / 16) };
    let given = tunables.x86_rep_movsb_threshold.filter(|size| *size > minimum);
    (given.unwrap_or(computed), minimum)
}

/// AMD: the threads of the package, or of the core complex from family 0x17 (Zen) on.
fn shared_by_apic_ids(
    cpu: &mut Reader<impl Cpuid>,
    basic: &Basic,
    leaves: &Leaves,
    caches: &Geometry,
) -> Shared {
    let (core, total) = (caches.l2.size, caches.l3.size);
    if total <= 0 {
        return Shared { total: core, per_thread: core };
    }
    let zen = basic.family >= 0x17;
    let mut threads = 0;
    if cpu.get(0x8000_0000, 0)[0] >= 0x8000_0008 {
        // The width of the APIC id.
        threads = 1 << (cpu.get(0x8000_0008, 0)[2] >> 12 & 0xf);
    }
    if (threads == 0 || zen) && leaves.has(HTT) {
        threads = package_threads(leaves);
    }
    let mut per_thread = total;
    if threads > 0 {
        per_thread /= i64::from(threads);
    }
    if zen {
        let per_complex = (cpu.get(AMD_CACHES, 3)[0] >> 14 & 0xfff) + 1;
        Shared { total, per_thread: per_thread * i64::from(per_complex) }
    } else {
        // The levels are exclusive.
        Shared { total: total + core, per_thread: per_thread + core }
    }
}

/// Which level is the last one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    L2,
    L3,
}

/// What leaf 4 tells about sharing: highest thread number per cache.
struct Sharing {
    l2: u32,
    l3: u32,
    inclusive: bool,
    /// False when the list ended before both levels were seen.
    complete: bool,
}

/// Intel and Zhaoxin: leaf 4 tells how many thread ids share a cache, leaf 0xb how many of these
/// exist.
fn shared_by_topology(
    cpu: &mut Reader<impl Cpuid>,
    basic: &Basic,
    leaves: &Leaves,
    caches: &Geometry,
) -> Shared {
    let core = caches.l2.size;
    let (last, mut total) =
        if caches.l3.size > 0 { (Last::L3, caches.l3.size) } else { (Last::L2, core) };
    let mut per_thread = total;
    let mut sharing = Sharing { l2: 0, l3: 0, inclusive: true, complete: false };
    // Without HTT there is a single thread.
    if leaves.has(HTT) {
        if basic.max_cpuid >= 4 {
            sharing = cache_sharing(cpu, last);
        }
        let threads = if sharing.complete {
            let ids_are_sparse = !(basic.kind == Kind::Zhaoxin && basic.family == 6);
            if basic.max_cpuid >= 11 && ids_are_sparse {
                count_threads(cpu, last, &mut sharing);
            }
            // From the highest number to the count; zero stays "not known".
            for highest in [&mut sharing.l2, &mut sharing.l3] {
                *highest += u32::from(*highest > 0);
            }
            match last {
                Last::L2 if sharing.l2 > 2 && silvermont(basic) => 2,
                Last::L2 => sharing.l2,
                Last::L3 => sharing.l3,
            }
        } else {
            package_threads(leaves)
        };
        if per_thread > 0 && threads > 0 {
            per_thread /= i64::from(threads);
        }
    }
    if !sharing.inclusive {
        let threads = i64::from(sharing.l2.max(1));
        per_thread += core / threads;
        total += core;
    }
    Shared { total, per_thread }
}

/// Two cores share the second level, whatever leaf 4 says.
fn silvermont(basic: &Basic) -> bool {
    let model = matches!(basic.model, 0x37 | 0x4a | 0x4d | 0x5a | 0x5d);
    basic.kind == Kind::Intel && basic.family == 6 && model
}

/// Walks leaf 4 until the second level and, if it is the last one, the third were seen.
fn cache_sharing(cpu: &mut Reader<impl Cpuid>, last: Last) -> Sharing {
    let (mut l2, mut l3) = (None, None);
    let mut inclusive = true;
    for subleaf in 0..SUBLEAF_LIMIT {
        let [eax, _, _, edx] = cpu.get(4, subleaf);
        if eax & 0x1f == 0 {
            break;
        }
        let ids = eax >> 14 & 0x3ff;
        match eax >> 5 & 7 {
            2 if l2.is_none() => l2 = Some(ids),
            3 if l3.is_none() && last == Last::L3 => {
                l3 = Some(ids);
                inclusive = edx & 2 != 0;
            }
            _ => {}
        }
        if l2.is_some() && (l3.is_some() || last == Last::L2) {
            break;
        }
    }
    Sharing {
        l2: l2.unwrap_or(0),
        l3: l3.unwrap_or(0),
        inclusive,
        complete: l2.is_some() && (l3.is_some() || last == Last::L2),
    }
}

/// Replaces numbers of thread ids by numbers of threads, from leaf 0xb, the extended topology.
fn count_threads(cpu: &mut Reader<impl Cpuid>, last: Last, sharing: &mut Sharing) {
    // The second level is counted by SMT siblings when there is a third, else by cores.
    let mut smt = last == Last::L3 && sharing.l2 > 0;
    let mut cores = match last {
        Last::L2 => sharing.l2 > 0,
        Last::L3 => sharing.l3 > 0,
    };
    for subleaf in 0..SUBLEAF_LIMIT {
        if !smt && !cores {
            break;
        }
        let [_, ebx, ecx, _] = cpu.get(0xb, subleaf);
        let shipped = ebx & 0xff;
        // No more than the ids: the bits up to the highest one set.
        let limit =
            |ids: u32| (shipped.wrapping_sub(1)) & (ids + 1).next_power_of_two().wrapping_sub(1);
        match ecx >> 8 & 0xff {
            _ if shipped == 0 => break,
            0 => break,
            1 if smt => {
                sharing.l2 = limit(sharing.l2);
                smt = false;
            }
            2 if cores => {
                let ids = match last {
                    Last::L2 => &mut sharing.l2,
                    Last::L3 => &mut sharing.l3,
                };
                *ids = limit(*ids);
                cores = false;
            }
            _ => {}
        }
    }
}
