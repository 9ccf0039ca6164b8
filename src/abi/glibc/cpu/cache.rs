//! Cache geometry, as the makers report it.

use super::cpuid::{Cpuid, Reader};
use super::{Basic, Kind};
use Level::{L1d, L1i, L2, L3, L4};

/// One cache. All fields are -1 where the processor gives no information and 0 where it has no such
/// cache, as sysconf(3) reports them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cache {
    /// Bytes.
    pub(super) size: i64,
    /// Ways.
    pub(super) assoc: i64,
    /// Bytes per line.
    pub(super) linesize: i64,
}

impl Cache {
    const UNKNOWN: Self = Self::new(-1, -1, -1);
    const NONE: Self = Self::new(0, 0, 0);

    const fn new(size: i64, assoc: i64, linesize: i64) -> Self {
        Self { size, assoc, linesize }
    }
}

/// Which cache is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Level {
    L1i,
    L1d,
    L2,
    L3,
    L4,
}

/// The caches of the processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) l1i: Cache,
    pub(super) l1d: Cache,
    pub(super) l2: Cache,
    pub(super) l3: Cache,
    pub(super) l4: Cache,
}

/// Reads the geometry. Only Intel processors are asked for a fourth level.
pub(super) fn geometry(cpu: &mut Reader<impl Cpuid>, basic: &Basic) -> Geometry {
    let mut read = |level| match (basic.kind, level) {
        (Kind::Intel, _) => intel(cpu, basic, level),
        (Kind::Amd | Kind::Hygon, L1i | L1d | L2 | L3) => amd(cpu, level),
        (Kind::Zhaoxin, L1i | L1d | L2 | L3) => deterministic(cpu, level).unwrap_or(Cache::NONE),
        _ => Cache::UNKNOWN,
    };
    Geometry { l1i: read(L1i), l1d: read(L1d), l2: read(L2), l3: read(L3), l4: read(L4) }
}

/// Sub-leaves of leaf 4 and leaf 0xb are tried up to this one, should a processor never end its
/// list.
pub(super) const SUBLEAF_LIMIT: u32 = 16;

/// Leaf 4, the deterministic cache parameters (SDM volume 2, CPUID).
fn deterministic(cpu: &mut Reader<impl Cpuid>, wanted: Level) -> Option<Cache> {
    for subleaf in 0..SUBLEAF_LIMIT {
        let [eax, ebx, ecx, _] = cpu.get(4, subleaf);
        let found = match (eax >> 5 & 7, eax & 0x1f) {
            (_, 0) => return None,
            (1, 1) => wanted == L1d,
            (1, 2) => wanted == L1i,
            (2, _) => wanted == L2,
            (3, _) => wanted == L3,
            (4, _) => wanted == L4,
            _ => false,
        };
        if found {
            let ways = (ebx >> 22) + 1;
            let partitions = (ebx >> 12 & 0x3ff) + 1;
            let line = (ebx & 0xfff) + 1;
            let sets = ecx.wrapping_add(1);
            // 32-bit arithmetic, as in glibc.
            let size = ways.wrapping_mul(partitions).wrapping_mul(line).wrapping_mul(sets);
            return Some(Cache::new(size.into(), ways.into(), line.into()));
        }
    }
    None
}

/// Leaf 2, the descriptors, which on newer processors point to leaf 4.
fn intel(cpu: &mut Reader<impl Cpuid>, basic: &Basic, wanted: Level) -> Cache {
    if basic.max_cpuid < 2 {
        return Cache::UNKNOWN;
    }
    let [eax, ebx, ecx, edx] = cpu.get(2, 0);
    // The low byte of EAX is a count that is always 1.
    if eax & 0xff != 1 {
        return deterministic(cpu, wanted).unwrap_or(Cache::UNKNOWN);
    }
    let mut no_level_2_or_3 = false;
    for register in [eax & !0xff, ebx, ecx, edx] {
        if register & 1 << 31 != 0 {
            continue;
        }
        for byte in register.to_le_bytes() {
            match byte {
                0x40 => {
                    no_level_2_or_3 = true;
                    if wanted == L3 {
                        break;
                    }
                }
                0xff => return deterministic(cpu, wanted).unwrap_or(Cache::UNKNOWN),
                _ => {
                    if let Some(cache) = descriptor(byte, basic, wanted) {
                        return cache;
                    }
                }
            }
        }
    }
    if no_level_2_or_3 && matches!(wanted, L2 | L3) { Cache::UNKNOWN } else { Cache::NONE }
}

/// The cache that a descriptor byte stands for, if it is of the level wanted.
fn descriptor(byte: u8, basic: &Basic, wanted: Level) -> Option<Cache> {
    let found = DESCRIPTORS.binary_search_by_key(&byte, |entry| entry.0);
    let &(_, level, kib, assoc, linesize) = DESCRIPTORS.get(found.ok()?)?;
    // On family 15 model 6 this one describes the third level.
    let shifted = byte == 0x49 && (basic.family, basic.model) == (15, 6) && wanted == L3;
    (level == wanted || shifted).then(|| Cache::new(kib * 1024, assoc, linesize))
}

/// Leaves 0x8000_0005 and 0x8000_0006 (APM volume 3, appendix E).
fn amd(cpu: &mut Reader<impl Cpuid>, wanted: Level) -> Cache {
    let leaf = if matches!(wanted, L1i | L1d) { 0x8000_0005 } else { 0x8000_0006 };
    if cpu.get(0x8000_0000, 0)[0] < leaf {
        return Cache::NONE;
    }
    let [_, _, ecx, edx] = cpu.get(leaf, 0);
    match wanted {
        L1i => amd_first_level(edx),
        L1d => amd_first_level(ecx),
        L2 => amd_outer_level(ecx, ecx >> 6 & 0x03ff_fc00),
        L3 => amd_outer_level(edx, (edx & 0x3ffc_0000) << 1),
        L4 => Cache::NONE,
    }
}

fn amd_first_level(register: u32) -> Cache {
    let size = register >> 14 & 0x3fc00;
    let ways = register >> 16 & 0xff;
    // Fully associative. The shift takes the size field along, as in glibc.
    let assoc = if ways == 0xff { register >> 14 & 0x3fc00 } else { ways };
    Cache::new(size.into(), assoc.into(), (register & 0xff).into())
}

fn amd_outer_level(register: u32, size: u32) -> Cache {
    let line = register & 0xff;
    let code = register >> 12 & 0xf;
    let assoc = match code {
        0 | 1 | 2 | 4 => code,
        6 => 8,
        8 => 16,
        10 => 32,
        11 => 48,
        12 => 64,
        13 => 96,
        14 => 128,
        // Fully associative: as many ways as lines.
        15 => size.checked_div(line).unwrap_or(0),
        _ => 0,
    };
    if code == 0 {
        return Cache::NONE;
    }
    Cache::new(size.into(), assoc.into(), line.into())
}

/// Leaf 2's descriptors by value: level, size in KiB, ways, bytes per line (SDM volume 2, CPUID).
#[rustfmt::skip]
const DESCRIPTORS: [(u8, Level, i64, i64, i64); 68] = [
    (0x06, L1i, 8, 4, 32),
    (0x08, L1i, 16, 4, 32),
    (0x09, L1i, 32, 4, 32),
    (0x0a, L1d, 8, 2, 32),
    (0x0c, L1d, 16, 4, 32),
    (0x0d, L1d, 16, 4, 64),
    (0x0e, L1d, 24, 6, 64),
    (0x21, L2, 256, 8, 64),
    (0x22, L3, 512, 4, 64),
    (0x23, L3, 1024, 8, 64),
    (0x25, L3, 2048, 8, 64),
    (0x29, L3, 4096, 8, 64),
    (0x2c, L1d, 32, 8, 64),
    (0x30, L1i, 32, 8, 64),
    (0x39, L2, 128, 4, 64),
    (0x3a, L2, 192, 6, 64),
    (0x3b, L2, 128, 2, 64),
    (0x3c, L2, 256, 4, 64),
    (0x3d, L2, 384, 6, 64),
    (0x3e, L2, 512, 4, 64),
    (0x3f, L2, 256, 2, 64),
    (0x41, L2, 128, 4, 32),
    (0x42, L2, 256, 4, 32),
    (0x43, L2, 512, 4, 32),
    (0x44, L2, 1024, 4, 32),
    (0x45, L2, 2048, 4, 32),
    (0x46, L3, 4096, 4, 64),
    (0x47, L3, 8192, 8, 64),
    (0x48, L2, 3072, 12, 64),
    (0x49, L2, 4096, 16, 64),
    (0x4a, L3, 6144, 12, 64),
    (0x4b, L3, 8192, 16, 64),
    (0x4c, L3, 12288, 12, 64),
    (0x4d, L3, 16384, 16, 64),
    (0x4e, L2, 6144, 24, 64),
    (0x60, L1d, 16, 8, 64),
    (0x66, L1d, 8, 4, 64),
    (0x67, L1d, 16, 4, 64),
    (0x68, L1d, 32, 4, 64),
    (0x78, L2, 1024, 8, 64),
    (0x79, L2, 128, 8, 64),
    (0x7a, L2, 256, 8, 64),
    (0x7b, L2, 512, 8, 64),
    (0x7c, L2, 1024, 8, 64),
    (0x7d, L2, 2048, 8, 64),
    (0x7f, L2, 512, 2, 64),
    (0x80, L2, 512, 8, 64),
    (0x82, L2, 256, 8, 32),
    (0x83, L2, 512, 8, 32),
    (0x84, L2, 1024, 8, 32),
    (0x85, L2, 2048, 8, 32),
    (0x86, L2, 512, 4, 64),
    (0x87, L2, 1024, 8, 64),
    (0xd0, L3, 512, 4, 64),
    (0xd1, L3, 1024, 4, 64),
    (0xd2, L3, 2048, 4, 64),
    (0xd6, L3, 1024, 8, 64),
    (0xd7, L3, 2048, 8, 64),
    (0xd8, L3, 4096, 8, 64),
    (0xdc, L3, 2048, 12, 64),
    (0xdd, L3, 4096, 12, 64),
    (0xde, L3, 8192, 12, 64),
    (0xe2, L3, 2048, 16, 64),
    (0xe3, L3, 4096, 16, 64),
    (0xe4, L3, 8192, 16, 64),
    (0xea, L3, 12288, 24, 64),
    (0xeb, L3, 18432, 24, 64),
    (0xec, L3, 24576, 24, 64),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(kind: Kind, family: u32, model: u32) -> Basic {
        Basic { kind, max_cpuid: 4, family, model, stepping: 0 }
    }

    struct Table(&'static [(u32, u32, [u32; 4])]);

    impl Cpuid for Table {
        fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
            let found = self.0.iter().find(|row| (row.0, row.1) == (leaf, subleaf));
            found.map_or([0; 4], |row| row.2)
        }

        fn xgetbv0(&self) -> u64 {
            0
        }
    }

    #[test]
    fn descriptors_are_sorted() {
        assert!(DESCRIPTORS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn intel_descriptors() {
        // A Prescott: L1d 0x60, L2 0x78, no L3 (0x40).
        let table = Table(&[(2, 0, [0x605b_5001, 0, 0, 0x0078_4000])]);
        let mut cpu = Reader::new(&table);
        let caches = geometry(&mut cpu, &basic(Kind::Intel, 15, 4));
        assert_eq!(caches.l1d, Cache::new(16384, 8, 64));
        assert_eq!(caches.l2, Cache::new(1 << 20, 8, 64));
        assert_eq!(caches.l3, Cache::UNKNOWN);
        assert_eq!((caches.l1i, caches.l4), (Cache::NONE, Cache::NONE));
    }

    #[test]
    fn intel_descriptor_49_depends_on_the_model() {
        let table = Table(&[(2, 0, [0x0000_4901, 0, 0, 0])]);
        let mut cpu = Reader::new(&table);
        let caches = geometry(&mut cpu, &basic(Kind::Intel, 15, 6));
        assert_eq!(caches.l3, Cache::new(4 << 20, 16, 64));
        let caches = geometry(&mut cpu, &basic(Kind::Intel, 6, 15));
        assert_eq!(caches.l2, Cache::new(4 << 20, 16, 64));
        assert_eq!(caches.l3, Cache::NONE);
    }

    #[test]
    fn a_reserved_register_is_ignored() {
        let table = Table(&[(2, 0, [0x0000_2c01, 0x8000_007d, 0, 0])]);
        let mut cpu = Reader::new(&table);
        let caches = geometry(&mut cpu, &basic(Kind::Intel, 6, 15));
        assert_eq!((caches.l1d.size, caches.l2), (32768, Cache::NONE));
    }

    #[test]
    fn an_endless_leaf_4_ends() {
        struct Endless;
        impl Cpuid for Endless {
            fn cpuid(&self, _: u32, _: u32) -> [u32; 4] {
                [7 << 5 | 1, 0, 0, 0]
            }
            fn xgetbv0(&self) -> u64 {
                0
            }
        }
        let caches = geometry(&mut Reader::new(&Endless), &basic(Kind::Zhaoxin, 7, 0));
        assert_eq!(caches.l3, Cache::NONE);
    }

    #[test]
    fn amd_registers() {
        // Fully associative second level without a line size: no division by zero.
        assert_eq!(amd_outer_level(0xf000, 0), Cache::NONE);
        // A K10: L1d 64 KiB 2-way, L2 512 KiB 16-way, L3 6 MiB 48-way.
        assert_eq!(amd_first_level(0x4002_0140), Cache::new(65536, 2, 0x40));
        let l2 = 0x0200_8140_u32;
        assert_eq!(amd_outer_level(l2, l2 >> 6 & 0x03ff_fc00), Cache::new(512 << 10, 16, 0x40));
        let l3 = 0x0030_b140_u32;
        assert_eq!(amd_outer_level(l3, (l3 & 0x3ffc_0000) << 1), Cache::new(6 << 20, 48, 0x40));
        assert_eq!(amd_outer_level(0x0140, 1 << 20), Cache::NONE);
    }
}
