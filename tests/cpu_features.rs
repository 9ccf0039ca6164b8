//! Compares rld's `cpu_features` with those that the system's ld.so has computed: for this process,
//! by reading its memory, and under GLIBC_TUNABLES, by its `--list-diagnostics`.
//!
//! Holds for glibc 2.36 only; elsewhere the tests say that they are skipped.

use rld::abi::glibc::cpu::{CpuFeatures, Cpuid, MAX_CPUIDS, Native, Order, Tunables, detect};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};
use std::process::Command;

unsafe extern "C" {
    fn dlvsym(handle: *mut c_void, name: *const c_char, version: *const c_char) -> *mut c_void;
    fn gnu_get_libc_version() -> *const c_char;
    fn getauxval(kind: u64) -> u64;
}

const LD_SO: &str = "/lib64/ld-linux-x86-64.so.2";
const AT_PLATFORM: u64 = 15;
const AT_MINSIGSTKSZ: u64 = 51;

/// Offsets in 2.36's `_rtld_global_ro`: name, offset, size in bytes.
const GLOBALS: [(&str, usize, usize); 3] =
    [("platform", 8, 8), ("minsigstacksize", 32, 8), ("hwcap", 96, 8)];
/// `_dl_x86_cpu_features` within it, and the fields within that.
const CPU_FEATURES: usize = 112;
const LEAVES: usize = 20;
const FIELDS: [(&str, usize, usize); 28] = [
    ("basic.kind", 0, 4),
    ("basic.max_cpuid", 4, 4),
    ("basic.family", 8, 4),
    ("basic.model", 12, 4),
    ("basic.stepping", 16, 4),
    ("preferred", 308, 4),
    ("isa_1", 312, 4),
    ("xsave_state_size", 320, 8),
    ("xsave_state_full_size", 328, 4),
    ("data_cache_size", 336, 8),
    ("shared_cache_size", 344, 8),
    ("non_temporal_threshold", 352, 8),
    ("rep_movsb_threshold", 360, 8),
    ("rep_movsb_stop_threshold", 368, 8),
    ("rep_stosb_threshold", 376, 8),
    ("level1_icache_size", 384, 8),
    ("level1_icache_linesize", 392, 8),
    ("level1_dcache_size", 400, 8),
    ("level1_dcache_assoc", 408, 8),
    ("level1_dcache_linesize", 416, 8),
    ("level2_cache_size", 424, 8),
    ("level2_cache_assoc", 432, 8),
    ("level2_cache_linesize", 440, 8),
    ("level3_cache_size", 448, 8),
    ("level3_cache_assoc", 456, 8),
    ("level3_cache_linesize", 464, 8),
    ("level4_cache_size", 472, 8),
    ("padding", 332, 4),
];

/// The bits of 2.36's `preferred`, as `--list-diagnostics` names them.
const PREFERRED: [&str; 16] = [
    "Fast_Rep_String",
    "Fast_Copy_Backward",
    "Slow_BSF",
    "Fast_Unaligned_Load",
    "Prefer_PMINUB_for_stringop",
    "Fast_Unaligned_Copy",
    "I586",
    "I686",
    "Slow_SSE4_2",
    "AVX_Fast_Unaligned_Load",
    "Prefer_No_VZEROUPPER",
    "Prefer_ERMS",
    "Prefer_No_AVX512",
    "MathVec_Prefer_No_AVX512",
    "Prefer_FSRM",
    "Avoid_Short_Distance_REP_MOVSB",
];

type Values = BTreeMap<String, u64>;

/// rld's fields under the names of the tables above.
fn values(features: &CpuFeatures) -> Values {
    let f = features;
    let mut values: Values = [
        ("basic.kind", f.basic.kind.number(36).into()),
        ("basic.max_cpuid", f.basic.max_cpuid.into()),
        ("basic.family", f.basic.family.into()),
        ("basic.model", f.basic.model.into()),
        ("basic.stepping", f.basic.stepping.into()),
        ("preferred", Order::V2_35.encode(f.preferred).into()),
        ("isa_1", f.isa_1.into()),
        ("xsave_state_size", f.xsave_state_size),
        ("xsave_state_full_size", f.xsave_state_full_size.into()),
        ("data_cache_size", f.data_cache_size),
        ("shared_cache_size", f.shared_cache_size),
        ("non_temporal_threshold", f.non_temporal_threshold),
        ("rep_movsb_threshold", f.rep_movsb_threshold),
        ("rep_movsb_stop_threshold", f.rep_movsb_stop_threshold),
        ("rep_stosb_threshold", f.rep_stosb_threshold),
        ("level1_icache_size", f.level1_icache_size),
        ("level1_icache_linesize", f.level1_icache_linesize),
        ("level1_dcache_size", f.level1_dcache_size),
        ("level1_dcache_assoc", f.level1_dcache_assoc),
        ("level1_dcache_linesize", f.level1_dcache_linesize),
        ("level2_cache_size", f.level2_cache_size),
        ("level2_cache_assoc", f.level2_cache_assoc),
        ("level2_cache_linesize", f.level2_cache_linesize),
        ("level3_cache_size", f.level3_cache_size),
        ("level3_cache_assoc", f.level3_cache_assoc),
        ("level3_cache_linesize", f.level3_cache_linesize),
        ("level4_cache_size", f.level4_cache_size),
        ("padding", 0),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for (index, leaf) in f.leaves.0.iter().enumerate() {
        for register in 0..4 {
            let name = |part| format!("features[{index:#x}].{part}[{register:#x}]");
            values.insert(name("cpuid"), leaf.cpuid[register].into());
            values.insert(name("active"), leaf.active[register].into());
        }
    }
    values
}

/// Fails on the first difference. Leaf 1 holds the id of the CPU it was executed on.
fn assert_same(ours: &Values, theirs: &Values, what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}: fields");
    for (name, value) in ours {
        let mask = if name == "features[0x0].cpuid[0x1]" { 0x00ff_ffff } else { u64::MAX };
        let other = theirs.get(name).unwrap_or_else(|| panic!("{what}: ld.so has no {name}"));
        assert_eq!(value & mask, other & mask, "{what}: {name}: {value:#x}, ld.so {other:#x}");
    }
}

/// Whether the comparison means something here.
fn comparable() -> bool {
    // SAFETY: returns a constant string.
    let version = unsafe { CStr::from_ptr(gnu_get_libc_version()) };
    if version != c"2.36" {
        eprintln!("SKIPPED: glibc here is {version:?}, the values compared are those of 2.36");
        return false;
    }
    if Native.cpuid(0, 0)[0] >= 7 && Native.cpuid(7, 0)[3] >> 15 & 1 == 1 {
        eprintln!("SKIPPED: the cores of this hybrid processor answer CPUID differently");
        return false;
    }
    true
}

#[test]
fn equals_the_memory_of_the_systems_loader() {
    if !comparable() {
        return;
    }
    // SAFETY: constant strings; RTLD_DEFAULT is null.
    let ro = unsafe {
        dlvsym(std::ptr::null_mut(), c"_rtld_global_ro".as_ptr(), c"GLIBC_PRIVATE".as_ptr())
    };
    assert!(!ro.is_null(), "_rtld_global_ro");
    let read = |offset: usize, size: usize| {
        let mut bytes = [0; 8];
        // SAFETY: the offsets lie inside 2.36's `_rtld_global_ro` of 896 bytes, which never changes
        // after start-up.
        unsafe {
            std::ptr::copy_nonoverlapping(ro.cast::<u8>().add(offset), bytes.as_mut_ptr(), size);
        }
        u64::from_le_bytes(bytes)
    };

    let mut theirs: Values = FIELDS
        .map(|(name, offset, size)| (name.to_owned(), read(CPU_FEATURES + offset, size)))
        .into();
    for word in 0..9 * 8 {
        let (index, part, register) = (word / 8, ["cpuid", "active"][word / 4 % 2], word % 4);
        let name = format!("features[{index:#x}].{part}[{register:#x}]");
        theirs.insert(name, read(CPU_FEATURES + LEAVES + word * 4, 4));
    }
    let features = detect(&Native, &Tunables::default());
    assert_same(&values(&features), &theirs, "memory");

    let [platform, minsigstacksize, hwcap] = GLOBALS.map(|(_, offset, size)| read(offset, size));
    // SAFETY: reads the auxiliary vector.
    let (at_platform, at_minsigstksz) =
        unsafe { (getauxval(AT_PLATFORM), getauxval(AT_MINSIGSTKSZ)) };
    assert_eq!(features.hwcap, hwcap);
    assert_eq!(features.minsigstacksize(Some(at_minsigstksz)), minsigstacksize);
    match features.platform {
        None => assert_eq!(platform, at_platform),
        Some(name) => {
            // SAFETY: glibc's pointer to a constant string.
            let theirs = unsafe { CStr::from_ptr(platform as *const c_char) };
            assert_eq!(name, theirs);
        }
    }
}

/// Runs the system's ld.so with GLIBC_TUNABLES.
fn ld_so(option: &str, tunables: &str) -> String {
    let mut command = Command::new(LD_SO);
    let output = command.arg(option).env("GLIBC_TUNABLES", tunables).output();
    let output = output.expect("the system's ld.so runs");
    assert!(output.status.success(), "{LD_SO} {option}: {}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn hexadecimal(text: &str) -> u64 {
    let digits = text.strip_prefix("0x").expect("a hexadecimal number");
    u64::from_str_radix(digits, 16).expect("a hexadecimal number")
}

#[test]
fn equals_the_diagnostics_of_the_systems_loader() {
    if !comparable() {
        return;
    }
    let hwcaps = |list| Tunables { hwcaps: Some(list), ..Tunables::default() };
    let sizes = |size| Tunables {
        x86_data_cache_size: Some(size),
        x86_shared_cache_size: Some(size),
        x86_non_temporal_threshold: Some(size),
        x86_rep_movsb_threshold: Some(size),
        x86_rep_stosb_threshold: Some(size),
        ..Tunables::default()
    };
    let mut cases = vec![("".to_owned(), Tunables::default())];
    for list in [
        "-AVX2,-AVX512F,Prefer_ERMS",
        "-XSAVEC",
        "-XSAVE,-XSAVEC",
        "-OSXSAVE",
        "-ERMS,-FSRM,-I586,Slow_BSF,Fast_Rep_String,Prefer_PMINUB_for_stringop",
        "Prefer_No_AVX512,Prefer_No_VZEROUPPER,MathVec_Prefer_No_AVX512,Slow_SSE4_2",
        "-AVX,-AVX_Fast_Unaligned_Load,AVX_Fast_Unaligned_Load,Prefer_FSRM",
        "-SSSE3,-LZCNT,-MOVBE,-POPCNT,-CMOV,-HTT,-BMI1,-BMI2,-FMA,-FMA4,-CX8",
        "AVX2,-avx2,-,,-AVX2_Usable",
    ] {
        cases.push((format!("glibc.cpu.hwcaps={list}"), hwcaps(list.as_bytes())));
    }
    for size in
        [0, 1, 128, 129, 256, 257, 512, 513, 0x4040, 0x4041, 1 << 30, u64::MAX >> 4, u64::MAX]
    {
        let names = ["data_cache_size", "shared_cache_size", "non_temporal_threshold"];
        let names = names.into_iter().chain(["rep_movsb_threshold", "rep_stosb_threshold"]);
        let settings: Vec<_> = names.map(|name| format!("glibc.cpu.x86_{name}={size}")).collect();
        cases.push((settings.join(":"), sizes(size)));
    }

    for (environment, tunables) in &cases {
        let printed = ld_so("--list-diagnostics", environment);
        let lines = printed.lines().filter_map(|line| line.split_once('='));
        let all: BTreeMap<_, _> = lines.collect();
        let mut theirs = Values::new();
        let mut preferred = 0;
        for (name, value) in &all {
            let Some(name) = name.strip_prefix("x86.cpu_features.") else {
                continue;
            };
            if let Some(flag) = name.strip_prefix("preferred.") {
                let bit = PREFERRED.iter().position(|known| *known == flag);
                preferred |= hexadecimal(value) << bit.expect("a known preference");
            } else {
                theirs.insert(name.to_owned(), hexadecimal(value));
            }
        }
        theirs.insert("preferred".to_owned(), preferred);
        theirs.insert("padding".to_owned(), 0);

        let features = detect(&Native, tunables);
        assert_same(&values(&features), &theirs, environment);
        assert_eq!(features.hwcap, hexadecimal(all["dl_hwcap"]), "{environment}");
        if let Some(name) = features.platform {
            assert_eq!(all["dl_platform"], format!("{:?}", name.to_str().unwrap()));
        }
        // Three subdirectories; the best is bit 0.
        let levels = 0b111 & !0 << (4 - features.isa_level());
        assert_eq!(hexadecimal(all["dl_hwcaps_subdirs_active"]), levels, "{environment}");
    }
}

#[test]
fn equals_the_bounds_of_the_systems_loader() {
    if !comparable() {
        return;
    }
    let printed = ld_so("--list-tunables", "");
    let name = "glibc.cpu.x86_rep_movsb_threshold: ";
    let line = printed.lines().find_map(|line| line.strip_prefix(name));
    let features = detect(&Native, &Tunables::default());
    let (value, minimum) = (features.rep_movsb_threshold, features.rep_movsb_minimum);
    let expected = format!("{value:#x} (min: {minimum:#x}, max: 0xffffffffffffffff)");
    assert_eq!(line, Some(expected.as_str()));
}

#[test]
fn executes_few_cpuid_instructions() {
    struct Counting(Cell<usize>, Cell<usize>);
    impl Cpuid for Counting {
        fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
            self.0.set(self.0.get() + 1);
            Native.cpuid(leaf, subleaf)
        }
        fn xgetbv0(&self) -> u64 {
            self.1.set(self.1.get() + 1);
            Native.xgetbv0()
        }
    }
    let counting = Counting(Cell::new(0), Cell::new(0));
    detect(&counting, &Tunables::default());
    let executed = counting.0.get();
    assert!(executed <= MAX_CPUIDS, "{executed} CPUID instructions");
    assert!(counting.1.get() <= 1);
}
