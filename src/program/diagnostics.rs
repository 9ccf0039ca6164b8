//! What `--list-diagnostics` prints: ld.so's keys, rld's values.

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt::{self, Display, Write};

use super::command::DEFAULT_LOADER_NAME;
use super::terms::platform;
use crate::abi::glibc::cpu::{CpuFeatures, Order};
use crate::env::{self, Settings};
use crate::linkmap::LOADER_SONAME;
use crate::search::{Hwcaps, System};
use crate::sys::process::{KernelNames, kernel_names};
use crate::sys::stack::InitialStack;

/// Variables whose values are shown, besides those that begin with one of [`SHOWN_PREFIXES`]. Of others only the name
/// is: a value may be a secret.
const SHOWN: &str = "DATEMSK GCONV_PATH GETCONF_DIR GLIBC_TUNABLES GMON_OUTPUT_PREFIX HESIOD_CONFIG HES_DOMAIN \
    HOSTALIASES I18NPATH IFS LANG LOCALDOMAIN LOCPATH MSGVERB NIS_DEFAULTS NIS_GROUP NIS_PATH NLSPATH PATH \
    POSIXLY_CORRECT RESOLV_HOST_CONF RES_OPTIONS SEV_LEVEL TMPDIR TZ TZDIR";
const SHOWN_PREFIXES: [&[u8]; 3] = [b"LC_", b"LD_", b"MALLOC_"];

/// The names of preferences, in the order of glibc 2.36.
const PREFERENCE_NAMES: &str = "Fast_Rep_String Fast_Copy_Backward Slow_BSF Fast_Unaligned_Load \
    Prefer_PMINUB_for_stringop Fast_Unaligned_Copy I586 I686 Slow_SSE4_2 AVX_Fast_Unaligned_Load \
    Prefer_No_VZEROUPPER Prefer_ERMS Prefer_No_AVX512 MathVec_Prefer_No_AVX512 Prefer_FSRM \
    Avoid_Short_Distance_REP_MOVSB";

/// A string in quotes: ASCII, all else as backslash and three octal digits.
struct Quoted<'q>(&'q [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for &byte in self.0 {
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                b' '..=b'~' => f.write_char(char::from(byte))?,
                _ => write!(f, "\\{byte:03o}")?,
            }
        }
        f.write_char('"')
    }
}

/// The lines.
struct Report {
    text: String,
}

impl Report {
    fn number(&mut self, key: impl Display, value: impl Into<u64>) {
        let _ = writeln!(self.text, "{key}={:#x}", value.into());
    }

    fn string(&mut self, key: impl Display, value: &[u8]) {
        let _ = writeln!(self.text, "{key}={}", Quoted(value));
    }

    fn loader(&mut self, stack: &InitialStack, settings: &Settings<'_>, cpu: &CpuFeatures) {
        /// Bits of GLRO(dl_hwcap) that choose directories.
        const HWCAP_IMPORTANT: u64 = 6;
        let platform = cpu.platform.or_else(|| platform(stack)).map(CStr::to_bytes);
        let directories = Hwcaps::built_in().len();
        let active = directories.min((cpu.isa_level() - 1) as usize);
        self.string("dl_dst_lib", System::DEBIAN.lib);
        self.number("dl_hwcap", cpu.hwcap);
        self.number("dl_hwcap_important", HWCAP_IMPORTANT);
        self.number("dl_hwcap2", stack.aux(libc::AT_HWCAP2).unwrap_or_default());
        self.string("dl_hwcaps_subdirs", &Hwcaps::built_in().collect::<Vec<_>>().join(&b':'));
        // The worse a directory, the higher its bit.
        let mask = ((1_u64 << active) - 1) << (directories - active);
        self.number("dl_hwcaps_subdirs_active", mask);
        self.number("dl_pagesize", stack.aux(libc::AT_PAGESZ).unwrap_or(crate::addr::PAGE));
        self.string("dl_platform", platform.unwrap_or_default());
        self.string("dl_profile_output", settings.profile_output.unwrap_or(b"/var/tmp"));
        // The place of a platform that has a number; none has, but for these.
        let number = match platform {
            Some(b"haswell") => 50,
            Some(b"xeon_phi") => 51,
            _ => u64::MAX,
        };
        self.number("dl_string_platform", number);
        self.string("dso.ld", LOADER_SONAME);
        self.string("dso.libc", b"libc.so.6");
    }

    fn environment<'e>(&mut self, variables: impl Iterator<Item = &'e [u8]>) {
        for (at, variable) in variables.enumerate() {
            let name = env::split_variable(variable).map(|(name, _)| name);
            let is_shown = |name: &[u8]| {
                SHOWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
                    || SHOWN.split(' ').any(|shown| shown.as_bytes() == name)
            };
            match name.filter(|name| !is_shown(name)) {
                Some(name) => self.string(format_args!("env_filtered[{at:#x}]"), name),
                None => self.string(format_args!("env[{at:#x}]"), variable),
            }
        }
    }

    fn installation(&mut self) {
        self.string("path.prefix", b"/usr");
        self.string("path.rtld", DEFAULT_LOADER_NAME.to_bytes());
        self.string("path.sysconfdir", b"/etc");
        for (at, directory) in System::DEBIAN.directories.iter().enumerate() {
            self.string(
                format_args!("path.system_dirs[{at:#x}]"),
                &[directory, &b"/"[..]].concat(),
            );
        }
        self.string("version.release", b"rld");
        self.string("version.version", env!("CARGO_PKG_VERSION").as_bytes());
    }

    fn kernel(&mut self, stack: &InitialStack) {
        for (at, &[kind, value]) in stack.auxiliary().iter().enumerate() {
            self.number(format_args!("auxv[{at:#x}].a_type"), kind);
            let key = format_args!("auxv[{at:#x}].a_val");
            match stack.string(kind) {
                Some(string) => self.string(key, string.to_bytes()),
                None => self.number(key, value),
            }
        }
        let names = "sysname nodename release version machine domainname".split(' ');
        let kernel: Option<KernelNames> = kernel_names();
        for (key, value) in names.zip(kernel.iter().flat_map(KernelNames::iter)) {
            self.string(format_args!("uname.{key}"), value);
        }
    }

    fn cpu(&mut self, cpu: &CpuFeatures) {
        const PREFIX: &str = "x86.cpu_features";
        let kind = cpu.basic.kind.number(36);
        let basic = &cpu.basic;
        let numbers = [kind, basic.max_cpuid, basic.family, basic.model, basic.stepping];
        for (key, value) in "kind max_cpuid family model stepping".split(' ').zip(numbers) {
            self.number(format_args!("{PREFIX}.basic.{key}"), value);
        }
        for (at, leaf) in cpu.leaves.0.iter().enumerate() {
            for (key, registers) in [("cpuid", leaf.cpuid), ("active", leaf.active)] {
                for (register, value) in registers.into_iter().enumerate() {
                    let key = format_args!("{PREFIX}.features[{at:#x}].{key}[{register:#x}]");
                    self.number(key, value);
                }
            }
        }
        for (name, preference) in
            PREFERENCE_NAMES.split_whitespace().zip(Order::V2_35.preferences())
        {
            let key = format_args!("{PREFIX}.preferred.{name}");
            self.number(key, cpu.preferred.contains(preference));
        }
        let keys = "isa_1 xsave_state_size xsave_state_full_size data_cache_size shared_cache_size \
            non_temporal_threshold rep_movsb_threshold rep_movsb_stop_threshold \
            rep_stosb_threshold level1_icache_size level1_icache_linesize level1_dcache_size \
            level1_dcache_assoc level1_dcache_linesize level2_cache_size level2_cache_assoc \
            level2_cache_linesize level3_cache_size level3_cache_assoc level3_cache_linesize \
            level4_cache_size";
        let values = [
            cpu.isa_1.into(),
            cpu.xsave_state_size,
            cpu.xsave_state_full_size.into(),
            cpu.data_cache_size,
            cpu.shared_cache_size,
            cpu.non_temporal_threshold,
            cpu.rep_movsb_threshold,
            cpu.rep_movsb_stop_threshold,
            cpu.rep_stosb_threshold,
            cpu.level1_icache_size,
            cpu.level1_icache_linesize,
            cpu.level1_dcache_size,
            cpu.level1_dcache_assoc,
            cpu.level1_dcache_linesize,
            cpu.level2_cache_size,
            cpu.level2_cache_assoc,
            cpu.level2_cache_linesize,
            cpu.level3_cache_size,
            cpu.level3_cache_assoc,
            cpu.level3_cache_linesize,
            cpu.level4_cache_size,
        ];
        for (key, value) in keys.split_whitespace().zip(values) {
            self.number(format_args!("{PREFIX}.{key}"), value);
        }
    }
}

/// All lines.
#[must_use]
pub fn lines(stack: &InitialStack, settings: &Settings<'_>, cpu: &CpuFeatures) -> String {
    let mut report = Report { text: String::new() };
    report.loader(stack, settings, cpu);
    report.environment(stack.environment().map(CStr::to_bytes));
    report.installation();
    report.kernel(stack);
    report.cpu(cpu);
    report.text
}
