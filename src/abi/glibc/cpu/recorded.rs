//! Recorded and composed CPUID tables, and what [`detect`] makes of them.

use super::*;
use alloc::vec::Vec;
use core::cell::Cell;

/// A processor as a list of answers; whatever is not listed answers zero.
struct Table {
    xcr0: u64,
    answers: Vec<(u32, u32, [u32; 4])>,
    executed: Cell<usize>,
}

impl Cpuid for Table {
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        self.executed.set(self.executed.get() + 1);
        let mut rows = self.answers.iter();
        rows.find(|row| (row.0, row.1) == (leaf, subleaf)).map_or([0; 4], |row| row.2)
    }

    fn xgetbv0(&self) -> u64 {
        assert!(self.cpuid(1, 0)[2] >> 27 & 1 == 1, "XGETBV would fault");
        self.xcr0
    }
}

impl Table {
    fn new(xcr0: u64, answers: &[(u32, u32, [u32; 4])]) -> Self {
        Self { xcr0, answers: answers.to_vec(), executed: Cell::new(0) }
    }

    /// Changes one answer.
    fn with(mut self, leaf: u32, subleaf: u32, change: impl FnOnce(&mut [u32; 4])) -> Self {
        let mut rows = self.answers.iter_mut();
        let row = rows.find(|row| (row.0, row.1) == (leaf, subleaf));
        change(&mut row.expect("the table has this leaf").2);
        self
    }

    fn detect(&self) -> CpuFeatures {
        detect(self, &Tunables::default())
    }
}

/// An AMD EPYC 9004 (Zen 4) under KVM, recorded.
fn genoa() -> Table {
    Table::new(
        0xe7,
        &[
            (0, 0, [0x0000_001c, 0x6874_7541, 0x444d_4163, 0x6974_6e65]),
            (1, 0, [0x00a1_0f11, 0x0102_0800, 0xfffa_3203, 0x178b_fbff]),
            (7, 0, [0x0000_0001, 0xf1bf_07ab, 0x0040_5fc6, 0x0000_0010]),
            (7, 1, [0x0000_0020, 0, 0, 0]),
            (0xd, 0, [0x0000_00e7, 0x0000_0980, 0x0000_0980, 0]),
            (0xd, 1, [0x0000_000f, 0x0000_09a8, 0x0000_1800, 0]),
            (0x8000_0000, 0, [0x8000_0021, 0, 0, 0]),
            (0x8000_0001, 0, [0x00a1_0f11, 0x4000_0000, 0x0040_03f3, 0x2fd3_fbff]),
            (0x8000_0005, 0, [0xff48_ff40, 0xff48_ff40, 0x2008_0140, 0x2008_0140]),
            (0x8000_0006, 0, [0x5c00_2200, 0x6c00_4200, 0x0400_6140, 0x0a00_9140]),
            (0x8000_0007, 0, [0, 0, 0, 0x0000_0100]),
            (0x8000_0008, 0, [0x0030_3030, 0x5002_0005, 0x0000_7001, 0]),
            (0x8000_001d, 3, [0x0000_4163, 0x03c0_003f, 0x0000_7fff, 0x0000_0001]),
        ],
    )
}

/// An Intel Sapphire Rapids under a hypervisor, composed to give the state recorded on one.
fn sapphire_rapids() -> Table {
    Table::new(
        0x602e7,
        &[
            (0, 0, [0x0000_0020, 0x756e_6547, 0x6c65_746e, 0x4965_6e69]),
            (1, 0, [0x0008_06f8, 0x0002_0800, 0xfffa_3203, 0x178b_fbff]),
            (2, 0, [0x00fe_ff01, 0x0000_00f0, 0, 0]),
            (4, 0, [0x0000_0021, 0x02c0_003f, 0x0000_003f, 0]),
            (4, 1, [0x0000_0022, 0x01c0_003f, 0x0000_003f, 0]),
            (4, 2, [0x0000_0043, 0x03c0_003f, 0x0000_07ff, 0]),
            (4, 3, [0x0000_4063, 0x0380_003f, 0x0001_bfff, 0x0000_0004]),
            (7, 0, [0x0000_0001, 0xf1bf_07ab, 0x1b41_5fde, 0x03c0_4010]),
            (7, 1, [0x0000_0030, 0, 0, 0]),
            (0xb, 0, [0, 1, 0x0000_0100, 0]),
            (0xb, 1, [1, 2, 0x0000_0201, 0]),
            (0xd, 0, [0x0006_02e7, 0x0000_2b00, 0x0000_2b00, 0]),
            (0xd, 1, [0x0000_001f, 0x0000_2980, 0, 0]),
            (0x8000_0000, 0, [0x8000_0008, 0, 0, 0]),
            (0x8000_0001, 0, [0, 0, 0x0000_0121, 0x2c10_0800]),
            (0x8000_0007, 0, [0, 0, 0, 0x0000_0100]),
            (0x8000_0008, 0, [0x0000_3934, 0x0000_0200, 0, 0]),
        ],
    )
}

/// A Xeon without AVX (Westmere), composed: three inclusive levels, twelve threads.
fn westmere() -> Table {
    Table::new(
        0x3,
        &[
            (0, 0, [0x0000_000b, 0x756e_6547, 0x6c65_746e, 0x4965_6e69]),
            (1, 0, [0x0002_06c2, 0x0020_0800, 0x00ba_e3ff, 0xbfeb_fbff]),
            (2, 0, [0x5503_5a01, 0x00f0_b2ff, 0, 0x00ca_0000]),
            (4, 0, [0x1c00_4121, 0x01c0_003f, 0x0000_003f, 0]),
            (4, 1, [0x1c00_4122, 0x00c0_003f, 0x0000_007f, 0]),
            (4, 2, [0x1c00_4143, 0x01c0_003f, 0x0000_01ff, 0]),
            (4, 3, [0x1c07_c163, 0x03c0_003f, 0x0000_2fff, 0x0000_0002]),
            (0xb, 0, [1, 2, 0x0000_0100, 0]),
            (0xb, 1, [5, 12, 0x0000_0201, 0]),
            (0x8000_0000, 0, [0x8000_0008, 0, 0, 0]),
            (0x8000_0001, 0, [0, 0, 1, 0x2c10_0800]),
            (0x8000_0007, 0, [0, 0, 0, 0x0000_0100]),
            (0x8000_0008, 0, [0x0000_3028, 0, 0, 0]),
        ],
    )
}

const CORE: Preferred = Preferred::FAST_REP_STRING
    .union(Preferred::FAST_UNALIGNED_LOAD)
    .union(Preferred::FAST_UNALIGNED_COPY)
    .union(Preferred::PREFER_PMINUB_FOR_STRINGOP);
const I686: Preferred = Preferred::I586.union(Preferred::I686);

const fn of(minor: u16) -> Release {
    Release { minor, hwcap2: 0, keeps_vectors: minor >= 40 }
}

fn later(table: &Table, minor: u16) -> CpuFeatures {
    table.detect().as_of(of(minor), table, &Tunables::default())
}

#[test]
fn sapphire_rapids_as_later_releases_see_it() {
    let before = sapphire_rapids().detect();
    let told = Tunables::default();
    assert_eq!(before.as_of(of(37), &sapphire_rapids(), &told), before);
    for minor in [38, 40, 41, 43] {
        // Half of the third level and, since it does not include it, the second.
        let half = (15 * 64 * 0x1c000 + (2 << 20)) / 2;
        let after = later(&sapphire_rapids(), minor);
        assert_eq!(
            (after.non_temporal_divisor, after.non_temporal_threshold),
            (2, half),
            "{minor}"
        );
        assert_eq!(after.memset_non_temporal_threshold, half);
        assert_eq!(after.rep_movsb_stop_threshold, half);
        assert_eq!(after.rep_movsb_threshold, before.rep_movsb_threshold);
        assert_eq!((after.rep_stosb_threshold, after.preferred), (2048, before.preferred));
    }
    let asked = Tunables { x86_non_temporal_threshold: Some(0x5000), ..Tunables::default() };
    let after = before.as_of(of(41), &sapphire_rapids(), &asked);
    assert_eq!((after.non_temporal_threshold, after.rep_movsb_stop_threshold), (0x5000, 0x5000));
    assert!(after.memset_non_temporal_threshold > 0x5000);
    let fsgsbase = before.as_of(Release { hwcap2: 2, ..of(41) }, &sapphire_rapids(), &told);
    assert_eq!(fsgsbase.leaves.0[1].active[1] ^ before.leaves.0[1].active[1], 1);
}

#[test]
fn stubs_keep_more_from_2_40_on() {
    let sizes = |cpu: &CpuFeatures| (cpu.xsave_state_size, cpu.xsave_state_full_size);
    assert_eq!(sizes(&later(&sapphire_rapids(), 38)), (2496, 11072));
    // Eight registers of their own and ten have the same place up to the next 64 bytes, and three do not.
    assert_eq!(sizes(&later(&sapphire_rapids(), 40)), (2560, 11136));
    let apx = sapphire_rapids().with(0xd, 0, |it| it[0] |= 1 << 19);
    assert_eq!(sizes(&later(&apx, 41)), (2560 + 128, 11136));
    let told = Tunables { hwcaps: Some(b"-XSAVEC"), ..Tunables::default() };
    let table = sapphire_rapids();
    let without = detect(&table, &told).as_of(of(41), &table, &told);
    assert_eq!(sizes(&without), (11136, 11136));
}

#[test]
fn early_releases_have_names_of_their_own() {
    let table = sapphire_rapids();
    let told = |list| Tunables { hwcaps: Some(list), ..Tunables::default() };
    let seen = |minor, list| table.detect().as_of(of(minor), &table, &told(list));
    let usable = |cpu: &CpuFeatures| cpu.usable_before_2_32();
    let plain = table.detect();
    // A feature that is no longer reported may still be used; and the other way round.
    let hidden = seen(31, b"-AVX2,-ERMS,-XSAVEC,-XSAVE");
    assert_eq!(usable(&hidden), usable(&plain));
    let lost =
        [hidden.reported_before_2_32(), plain.reported_before_2_32()].map(|leaves| leaves[1][1]);
    assert_eq!(lost[0] ^ lost[1], 1 << 5 | 1 << 9);
    let unusable = seen(31, b"-AVX2_Usable,-XSAVEC_Usable,-Prefer_AVX2_STRCMP,-ERMS_Usable");
    assert_eq!(usable(&unusable) ^ usable(&plain), 1 << 1 | 1 << 22);
    assert_eq!(unusable.reported_before_2_32(), plain.reported_before_2_32());
    assert!(plain.preferred.contains(Preferred::PREFER_AVX2_STRCMP));
    assert!(!unusable.preferred.contains(Preferred::PREFER_AVX2_STRCMP));
    let mapped = seen(34, b"-Prefer_AVX2_STRCMP,Prefer_MAP_32BIT_EXEC,Avoid_STOSB");
    let changed = Preferred::PREFER_AVX2_STRCMP | Preferred::PREFER_MAP_32BIT_EXEC;
    assert_eq!(mapped.preferred, plain.preferred ^ changed);
    let later = seen(36, b"-Prefer_AVX2_STRCMP,Prefer_MAP_32BIT_EXEC,Avoid_STOSB");
    assert_eq!(later.preferred, plain.preferred);
    // In 2.28 the family has another name: what detection was told does not count.
    let other = detect(&table, &told(b"-AVX2")).as_of(of(28), &table, &Tunables::default());
    assert_eq!(other, CpuFeatures { platform: other.platform, ..plain });
}

#[test]
fn new_instructions_become_usable() {
    let newest = sapphire_rapids().with(7, 1, |it| {
        (it[0], it[3]) = (it[0] | 1 << 3 | 1 << 23 | 1 << 21, 1 << 4 | 1 << 14 | 1 << 19 | 1 << 21);
    });
    let before = newest.detect();
    assert_eq!(before.leaves.0[6].active, [0x30, 0, 0, 0]);
    // Neither tiles without their state, nor registers of APX, nor AVX10 before 2.39.
    let tiles = before.leaves.usable(AMX_TILE);
    let eax = 0x30 | 1 << 3 | 1 << 23 | u32::from(tiles) << 21;
    assert_eq!(later(&newest, 38).leaves.0[6].active, [eax, 0, 0, 1 << 4 | 1 << 14]);
    let edx = 1 << 4 | 1 << 14 | 1 << 19;
    assert_eq!(later(&newest, 39).leaves.0[6].active, [eax, 0, 0, edx]);
    let with_apx = Table { xcr0: newest.xcr0 | 1 << 19, ..newest };
    assert_eq!(later(&with_apx, 39).leaves.0[6].active, [eax, 0, 0, edx | 1 << 21]);
}

#[test]
fn skylake_servers_keep_plain_stores_in_memset() {
    let table = || sapphire_rapids().with(1, 0, |it| it[0] = 0x0005_0657);
    assert_eq!(table().detect().basic.model, 0x55);
    let after = later(&table(), 41);
    assert!(after.preferred.contains(Preferred::AVOID_NON_TEMPORAL_MEMSET));
    assert_eq!(after.memset_non_temporal_threshold, u64::MAX);
    assert_eq!(later(&table(), 39).memset_non_temporal_threshold, after.non_temporal_threshold);
}

#[test]
fn westmere_as_later_releases_see_it() {
    // Without enhanced `rep stosb`: three quarters of a thread's part, and no such stores.
    let before = westmere().detect();
    let after = later(&westmere(), 40);
    assert_eq!((after.non_temporal_divisor, after.rep_stosb_threshold), (8, 2048));
    assert_eq!(after.non_temporal_threshold, before.non_temporal_threshold);
    let after = later(&westmere(), 41);
    assert!(after.preferred.contains(Preferred::AVOID_STOSB));
    assert_eq!(after.rep_stosb_threshold, after.memset_non_temporal_threshold);
}

#[test]
fn families_of_intel() {
    // Of 42 on unknown families with AVX are taken for Cores; Diamond Rapids and Nova Lake are known.
    let of_family = |signature| sapphire_rapids().with(1, 0, |it| it[0] = signature);
    let preferred = |signature, minor| later(&of_family(signature), minor).preferred;
    assert!(!preferred(0x0040_0f10, 41).contains(CORE));
    assert!(preferred(0x0040_0f10, 42).contains(CORE));
    let divisor = |signature, minor| later(&of_family(signature), minor).non_temporal_divisor;
    assert_eq!([41, 42].map(|minor| divisor(0x0040_0f10, minor)), [4, 2]);
    assert_eq!([42, 43].map(|minor| divisor(0x0030_0f10, minor)), [4, 2]);
    assert_eq!([42, 43].map(|minor| divisor(0x000d_0650, minor)), [4, 2]);
}

#[test]
fn zhaoxin_as_later_releases_see_it() {
    let table = || {
        let vendor =
            |it: &mut [u32; 4]| (it[1], it[2], it[3]) = (0x746e_6543, 0x736c_7561, 0x4872_7561);
        let it = sapphire_rapids().with(0, 0, vendor);
        it.with(1, 0, |it| it[0] = 0x0005_07b0).with(7, 0, |it| it[1] &= !(1 << 9))
    };
    let before = table().detect();
    assert_eq!(
        (before.basic.kind, before.basic.family, before.basic.model),
        (Kind::Zhaoxin, 7, 0x5b)
    );
    assert!(before.preferred.contains(Preferred::AVX_FAST_UNALIGNED_LOAD));
    assert_eq!(later(&table(), 39).preferred, before.preferred);
    let after = later(&table(), 40);
    let changed = Preferred::PREFER_NO_VZEROUPPER | Preferred::FAST_UNALIGNED_LOAD;
    assert!(after.preferred.contains(changed));
    assert!(!after.preferred.contains(Preferred::AVX_FAST_UNALIGNED_LOAD));
    assert_eq!(after.non_temporal_divisor, 2);
    // Half of the caches, though it lacks enhanced `rep movsb`.
    assert!(after.non_temporal_threshold > later(&table(), 39).non_temporal_threshold);
    assert_eq!(after.memset_non_temporal_threshold, u64::MAX);
}

#[test]
fn hygon_as_later_releases_see_it() {
    let table = || {
        let vendor =
            |it: &mut [u32; 4]| (it[1], it[2], it[3]) = (0x6f67_7948, 0x656e_6975, 0x6e65_476e);
        let mut table = genoa().with(0, 0, vendor).with(1, 0, |it| it[0] = 0x0090_0f11);
        table.answers.extend([
            (0x8000_001d, 0, [0x0000_4121, 0x01c0_003f, 0x0000_003f, 0]),
            (0x8000_001d, 1, [0x0000_4122, 0x01c0_003f, 0x0000_003f, 0]),
            (0x8000_001d, 2, [0x0000_4143, 0x01c0_003f, 0x0000_07ff, 0x0000_0002]),
        ]);
        table
    };
    let before = table().detect();
    assert_eq!((before.basic.kind, before.basic.model), (Kind::Hygon, 1));
    assert_eq!([36, 40, 41].map(|minor| before.basic.kind.number(minor)), [2, 2, 4]);
    assert_eq!([31, 36, 41].map(|minor| Kind::Other.number(minor)), [3, 4, 5]);
    let as_amd = later(&table(), 40);
    assert_eq!(as_amd.rep_stosb_threshold, u64::MAX);
    let after = later(&table(), 41);
    assert_eq!((after.level3_cache_size, after.level4_cache_size), (0x0200_0000, u64::MAX));
    assert_eq!((after.non_temporal_threshold, after.rep_stosb_threshold), (0x0180_0000, 2048));
    assert_eq!(after.rep_movsb_threshold, before.rep_movsb_threshold);
    assert!(after.preferred.contains(Preferred::AVX_FAST_UNALIGNED_LOAD));
    assert!(!later(&table(), 43).preferred.contains(Preferred::AVX_FAST_UNALIGNED_LOAD));
}

#[test]
fn unknown_makers_keep_plain_stores_in_memset() {
    let table = || sapphire_rapids().with(0, 0, |it| it[1] = 1);
    let after = later(&table(), 41);
    assert!(after.preferred.contains(Preferred::AVOID_NON_TEMPORAL_MEMSET));
    assert_eq!(after.memset_non_temporal_threshold, u64::MAX);
    assert_eq!(later(&table(), 40).memset_non_temporal_threshold, u64::MAX);
}

#[test]
fn genoa_as_later_releases_see_it() {
    let told = Tunables::default();
    let before = genoa().detect();
    assert_eq!(before.as_of(of(36), &genoa(), &told), before);
    let mut caches = genoa();
    caches.answers.extend([
        (0x8000_001d, 0, [0x0000_4121, 0x01c0_003f, 0x0000_003f, 0]),
        (0x8000_001d, 1, [0x0000_4122, 0x01c0_003f, 0x0000_003f, 0]),
        (0x8000_001d, 2, [0x0000_4143, 0x01c0_003f, 0x0000_07ff, 0x0000_0002]),
    ]);
    let after = before.as_of(of(41), &caches, &told);
    assert_eq!((after.level1_dcache_size, after.level2_cache_size), (0x8000, 0x10_0000));
    assert_eq!((after.level3_cache_size, after.level3_cache_assoc), (0x0200_0000, 16));
    assert_eq!((after.level4_cache_size, after.shared_cache_size), (0, 0x0200_0000));
    assert_eq!(after.non_temporal_threshold, 0x0180_0000);
    assert_eq!(after.memset_non_temporal_threshold, 0x0180_0000);
    assert_eq!((after.rep_movsb_threshold, after.rep_stosb_threshold), (0x0180_0000, u64::MAX));
    assert_eq!(after.rep_movsb_stop_threshold, 0x0180_0000);
    for minor in 37..40 {
        let after = before.as_of(of(minor), &caches, &told);
        assert_eq!(
            (after.shared_cache_size, after.non_temporal_threshold),
            (0x0200_0000, 0x0180_0000)
        );
        assert_eq!(after.rep_movsb_stop_threshold, 0x10_0000);
        assert_eq!((after.rep_movsb_threshold, after.rep_stosb_threshold), (2112, 2048));
    }
    let nothing =
        caches.with(0x8000_001d, 3, |it| *it = [0; 4]).with(0x8000_0006, 0, |it| *it = [0; 4]);
    let unknown = nothing.with(0x8000_001d, 2, |it| *it = [0; 4]);
    let threshold =
        |minor| unknown.detect().as_of(of(minor), &unknown, &told).non_temporal_threshold;
    assert_eq!((threshold(37), threshold(38)), (0x4040, 64 << 20));
}

#[test]
fn genoa_as_glibc_sees_it() {
    let features = genoa().detect();
    let Basic { kind, family, model, stepping, .. } = features.basic;
    assert_eq!((kind, family, model, stepping), (Kind::Amd, 0x19, 0x11, 1));
    assert_eq!(features.leaves.0[0].active, [0, 0, 0x7ed8_3203, 0x1788_8110]);
    assert_eq!(features.leaves.0[1].active, [0, 0xf1af_0328, 0x0040_5f42, 0x10]);
    assert_eq!(features.leaves.0[2].active, [0, 0, 0x161, 0x0800_0000]);
    assert_eq!(features.leaves.0[3].active, [7, 0, 0, 0]);
    assert_eq!(features.leaves.0[6].active, [0x20, 0, 0, 0]);
    assert_eq!(features.preferred, I686 | Preferred::AVX_FAST_UNALIGNED_LOAD);
    assert_eq!((features.isa_1, features.isa_level()), (0xf, 4));
    assert_eq!((features.xsave_state_size, features.xsave_state_full_size), (0x9c0, 0x9c0));
    assert_eq!((features.data_cache_size, features.shared_cache_size), (0x8000, 0x1400_0000));
    assert_eq!(features.non_temporal_threshold, 0x0f00_0000);
    assert_eq!(features.rep_movsb_threshold, 0x840);
    assert_eq!(features.rep_movsb_stop_threshold, 0x10_0000);
    assert_eq!(features.level2_cache_assoc, 8);
    assert_eq!((features.level3_cache_size, features.level3_cache_assoc), (0x1400_0000, 0));
    assert_eq!(features.level4_cache_size, u64::MAX);
    assert_eq!((features.hwcap, features.platform), (2, None));
    assert_eq!(features.minsigstacksize(Some(0xd30)), 0xd30);
    assert_eq!(features.minsigstacksize(None), 512 + 0x980 + 4);
    assert_eq!(features.minsigstacksize(Some(0)), 512 + 0x980 + 4);
}

#[test]
fn sapphire_rapids_as_glibc_sees_it() {
    let features = sapphire_rapids().detect();
    assert_eq!((features.basic.family, features.basic.model), (6, 143));
    assert_eq!((features.basic.max_cpuid, features.basic.stepping), (32, 8));
    assert_eq!(features.isa_1, 15);
    assert_eq!(features.xsave_state_size, 2496);
    assert_eq!(features.xsave_state_full_size, 11072);
    assert_eq!(features.data_cache_size, 49152);
    assert_eq!(features.shared_cache_size, 112_197_632);
    assert_eq!(features.non_temporal_threshold, 42_860_544);
    assert_eq!(features.rep_movsb_threshold, 2112);
    assert_eq!(features.rep_movsb_stop_threshold, 42_860_544);
    assert_eq!(features.rep_stosb_threshold, 2048);
    assert_eq!((features.level1_icache_size, features.level1_icache_linesize), (32768, 64));
    assert_eq!((features.level1_dcache_size, features.level1_dcache_assoc), (49152, 12));
    assert_eq!(features.level1_dcache_linesize, 64);
    assert_eq!((features.level2_cache_size, features.level2_cache_assoc), (2_097_152, 16));
    assert_eq!((features.level3_cache_size, features.level3_cache_assoc), (110_100_480, 15));
    assert_eq!(features.level4_cache_size, u64::MAX);
    assert_eq!((features.hwcap, features.platform), (6, Some(c"haswell")));
    assert_eq!(
        features.preferred,
        CORE | I686
            | Preferred::AVX_FAST_UNALIGNED_LOAD
            | Preferred::PREFER_AVX2_STRCMP
            | Preferred::AVOID_SHORT_DISTANCE_REP_MOVSB
    );
    assert_eq!(features.minsigstacksize(None), 512 + 0x2b00 + 4);
}

#[test]
fn without_avx_the_baseline_remains() {
    let table = westmere();
    let features = table.detect();
    assert_eq!((features.isa_1, features.isa_level()), (3, 2));
    assert_eq!(features.preferred, CORE | I686 | Preferred::PREFER_NO_AVX512);
    assert_eq!((features.xsave_state_size, features.xsave_area), (0, None));
    assert_eq!(features.minsigstacksize(None), 2048);
    // 12 MiB for twelve threads; no enhanced `rep movsb`, so three quarters of one part.
    assert_eq!(features.shared_cache_size, 12 << 20);
    assert_eq!(features.non_temporal_threshold, 768 << 10);
    assert_eq!(features.rep_movsb_threshold, 2048);
    assert_eq!((features.hwcap, features.platform), (2, None));
}

#[test]
fn avx_needs_the_systems_support() {
    let mut table = sapphire_rapids();
    table.xcr0 = 0x3;
    let features = table.detect();
    assert!(features.leaves.has(AVX) && !features.leaves.usable(AVX));
    assert!(!features.leaves.usable(AVX512F) && features.leaves.usable(XSAVE));
    assert_eq!((features.isa_level(), features.hwcap, features.platform), (2, 2, None));
    table.xcr0 = 0x7;
    let features = table.detect();
    assert!(features.leaves.usable(AVX2) && !features.leaves.usable(AVX512F));
    assert!(!features.leaves.usable(AMX_TILE));
    assert_eq!((features.isa_level(), features.hwcap), (3, 2));
}

#[test]
fn an_unknown_maker_gets_no_leaf_1() {
    let features = genoa().with(0, 0, |answer| answer[1] = 0).detect();
    assert_eq!(features.basic.kind, Kind::Other);
    assert_eq!((features.basic.family, features.basic.model), (0, 0));
    assert_eq!(features.leaves.0[0], Leaf::default());
    assert_eq!(features.leaves.0[2], Leaf::default());
    assert_eq!((features.isa_1, features.isa_level()), (0, 1));
    assert_eq!(features.preferred, Preferred::empty());
    assert_eq!((features.data_cache_size, features.shared_cache_size), (u64::MAX, u64::MAX));
    assert_eq!(features.non_temporal_threshold, NON_TEMPORAL_MINIMUM);
    assert_eq!(features.rep_movsb_stop_threshold, NON_TEMPORAL_MINIMUM);
}

#[test]
fn zhaoxin_avoids_its_slow_avx() {
    let features = sapphire_rapids()
        .with(0, 0, |answer| *answer = [32, 0x6853_2020, 0x2020_6961, 0x6867_6e61])
        .with(1, 0, |answer| answer[0] = 0x0001_07b1)
        .detect();
    let Basic { kind, family, model, stepping, .. } = features.basic;
    assert_eq!((kind, family, model, stepping), (Kind::Zhaoxin, 7, 0x1b, 0));
    assert!(!features.leaves.usable(AVX) && !features.leaves.usable(AVX2));
    // The level was found before that, as in glibc; the search path follows the features.
    assert_eq!((features.isa_1, features.isa_level()), (0xf, 2));
    assert_eq!(features.preferred, Preferred::SLOW_SSE4_2 | I686);
    assert_eq!((features.hwcap, features.platform), (2, None));
}

#[test]
fn a_xeon_phi_is_its_own_platform() {
    let features = sapphire_rapids()
        .with(1, 0, |answer| answer[0] = 0x0005_0671)
        .with(7, 0, |answer| answer[1] = answer[1] & !(0xd << 28) | 7 << 26)
        .detect();
    assert_eq!((features.hwcap, features.platform), (2, Some(c"xeon_phi")));
    assert!(features.preferred.contains(Preferred::PREFER_NO_VZEROUPPER));
    assert!(!features.preferred.contains(Preferred::PREFER_NO_AVX512));
}

#[test]
fn broken_transactions_are_withdrawn() {
    let skylake = |stepping: u32| {
        sapphire_rapids()
            .with(1, 0, |answer| answer[0] = 0x0005_0650 | stepping)
            .with(7, 0, |answer| answer[1] |= 1 << 11 | 1 << 4)
            .detect()
            .leaves
    };
    assert!(!skylake(5).usable(RTM) && !skylake(5).usable(HLE));
    assert!(skylake(5).usable(RTM_ALWAYS_ABORT));
    assert!(skylake(6).usable(RTM) && !skylake(6).usable(RTM_ALWAYS_ABORT));
}

#[test]
fn without_xsave_nothing_wide_is_left() {
    let tunables = Tunables { hwcaps: Some(b"-XSAVE,-XSAVEC"), ..Tunables::default() };
    let features = detect(&sapphire_rapids(), &tunables);
    assert_eq!(features.xsave_state_size, 0);
    assert_eq!(features.xsave_state_full_size, 11072);
    assert!(!features.leaves.usable(AVX) && !features.leaves.usable(AMX_TILE));
    // Thresholds and preferences were chosen before.
    assert!(features.preferred.contains(Preferred::AVX_FAST_UNALIGNED_LOAD));
    assert_eq!((features.isa_1, features.isa_level()), (15, 2));
    assert_eq!((features.hwcap, features.platform), (2, None));
}

#[test]
fn tunables_are_bounded() {
    let with = |size| {
        let tunables = Tunables {
            x86_data_cache_size: Some(size),
            x86_shared_cache_size: Some(size),
            x86_non_temporal_threshold: Some(size),
            x86_rep_movsb_threshold: Some(size),
            x86_rep_stosb_threshold: Some(size),
            ..Tunables::default()
        };
        detect(&sapphire_rapids(), &tunables)
    };
    assert_eq!(CpuFeatures { tuned: false, ..with(0) }, sapphire_rapids().detect());
    assert_eq!(with(512).rep_movsb_threshold, 2112);
    assert_eq!(with(513).rep_movsb_threshold, 513);
    assert_eq!(with(1).rep_stosb_threshold, 1);
    assert_eq!(with(NON_TEMPORAL_MINIMUM).non_temporal_threshold, 42_860_544);
    assert_eq!(with(NON_TEMPORAL_MINIMUM + 1).rep_movsb_stop_threshold, NON_TEMPORAL_MINIMUM + 1);
    assert_eq!(with(NON_TEMPORAL_MAXIMUM).non_temporal_threshold, NON_TEMPORAL_MAXIMUM);
    assert_eq!(with(NON_TEMPORAL_MAXIMUM + 1).non_temporal_threshold, 42_860_544);
    assert_eq!((with(7).data_cache_size, with(7).shared_cache_size), (7, 7));
}

#[test]
fn few_instructions_are_executed() {
    let count = |table: Table| {
        detect(&table, &Tunables::default());
        // The table itself looks at leaf 1 before XGETBV.
        table.executed.get() - usize::from(table.xcr0 > 3)
    };
    assert_eq!(count(genoa()), 15);
    assert_eq!(count(sapphire_rapids()), 20);
    assert!(count(westmere()) <= MAX_CPUIDS);
}

/// Contract 6.2, 6.3.
#[test]
fn words_of_2_32() {
    let told = Tunables::default();
    let features = genoa().detect().as_of(of(32), &genoa(), &told);
    let active = |leaf: usize| features.leaves.0[leaf].active;
    assert_eq!(active(0), [0, 0, 0x7ffa_3203, 0x178b_fbff]);
    assert_eq!(active(1), [0, 0xf1bf_07ab, 0x0040_5fc6, 0x10]);
    assert_eq!(active(2)[3], 0x2c10_0800);
    assert_eq!((active(3)[0], active(4)[3]), (0xf, 0x100));
    assert_eq!(genoa().detect().as_of(of(33), &genoa(), &told), genoa().detect());
    // AVX-VNNI has no name there.
    let features = sapphire_rapids().detect();
    assert_eq!(features.leaves.0[6].active[0] >> 4 & 3, 3);
    let features = features.as_of(of(32), &sapphire_rapids(), &told);
    assert_eq!(features.leaves.0[6].active[0], 1 << 5);

    let asked = |size| {
        let tunables = Tunables {
            x86_rep_movsb_threshold: size,
            x86_rep_stosb_threshold: size,
            ..Tunables::default()
        };
        let asked = detect(&genoa(), &tunables).asked;
        [asked.rep_movsb_threshold, asked.rep_stosb_threshold]
    };
    assert_eq!([None, Some(0), Some(7)].map(asked), [[2048; 2], [2048; 2], [7; 2]]);
}

/// Contract 6.2.
#[test]
fn words_of_releases_before_2_32() {
    let features = genoa().detect();
    assert_eq!(features.usable_before_2_32(), 0x005b_f9cf);
    assert_eq!(features.mixed_of_2_28(), 0x0640_fcc0);
    assert_eq!(features.basic.kind.number(31), 2);
    let leaves = features.reported_before_2_32();
    assert_eq!(leaves[1], [0x0000_0001, 0xf1bf_07ab, 0x0040_5fc6, 0x0000_0010]);
    assert_eq!(leaves[3], [0x0000_000f, 0x0000_09a8, 0x0000_1800, 0]);

    // What is withdrawn is not reported, nor are transactions that cannot be trusted.
    let tunables = Tunables { hwcaps: Some(b"-ERMS,-AVX2"), ..Tunables::default() };
    let features = detect(&genoa(), &tunables);
    assert_eq!(features.usable_before_2_32() & 3, 1);
    assert_eq!(features.reported_before_2_32()[1][1], 0xf1bf_05ab);
    let broken = sapphire_rapids().with(7, 0, |leaf| leaf[1] |= 1 << 11).with(1, 0, |leaf| {
        leaf[0] = 0x0003_06c3;
    });
    assert_eq!(broken.detect().reported_before_2_32()[1][1] >> 11 & 1, 0);
}
