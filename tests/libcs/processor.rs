//! `cpu_features`, word by word as each release's own loader computes it for this processor.

use std::path::Path;
use std::process::Command;

use libtest_mimic::Completion;
use rld::abi::glibc::layout::{LAYOUTS, Layout};

use super::support::build::{self, Step};
use super::support::loader;
use super::support::run::{self, End, Run};
use super::support::suites::Suite;
use super::support::{Verdict, package, skipped};

/// The layout of a suite's libc.so.6, as rld-inspect names it.
fn layout(suite: &Suite) -> Result<&'static Layout, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rld-inspect"));
    let output = command.arg("libc").arg(suite.libraries().join("libc.so.6")).output();
    let text = String::from_utf8(output.map_err(|e| e.to_string())?.stdout).unwrap_or_default();
    let label = text.lines().find_map(|line| line.trim().strip_prefix("layout:"));
    let label = label.ok_or(text.as_str())?.trim();
    let known = LAYOUTS.iter().find(|layout| &*layout.label == label);
    Ok(known.ok_or(label)?)
}

/// Settings under which all is compared.
const TUNABLES: [&str; 5] = [
    "",
    "glibc.cpu.hwcaps=-AVX2,-ERMS,-FSRM,Prefer_No_VZEROUPPER,Slow_BSF",
    "glibc.cpu.hwcaps=-AVX2_Usable,-FMA_Usable,-XSAVEC_Usable,Prefer_AVX2_STRCMP,Prefer_MAP_32BIT_EXEC,Avoid_STOSB",
    "glibc.cpu.hwcaps=-XSAVEC,-AVX512F,Prefer_ERMS:glibc.cpu.x86_shared_cache_size=0x123456",
    "glibc.cpu.x86_non_temporal_threshold=0x54321:glibc.cpu.x86_rep_movsb_threshold=0x4321:\
     glibc.cpu.x86_rep_stosb_threshold=0x3210:glibc.cpu.x86_data_cache_size=0x9999",
];

pub fn test(label: &str, suite: &'static Suite) -> Verdict {
    if let Some(reason) = suite.obstacle().or(suite.no_compilers()) {
        return skipped(label, reason);
    }
    let layout = layout(suite)?;
    let start = usize::from(layout.rtld_global_ro.x86_cpu_features);
    let end = start + usize::from(layout.cpu.size);
    // EBX of leaf 1: its highest byte is the number of the processor that was asked.
    let first = layout.cpu.cpuid.or(layout.cpu.features).ok_or("no leaves")?;
    let asked = usize::from(first) + 4;
    let steps = [Step::link(false, "main", "main.c")];
    let sources = package().join("tests/libcs/words");
    let compilers = suite.compilers();
    let built = build::build_with(compilers.as_deref(), "libcs.words", &sources, &steps)?;
    let words = |loader: &Path, tunables: &str| -> Result<Vec<u32>, String> {
        let mut run = Run::new("./main", &built);
        run.env.push(("GLIBC_TUNABLES".into(), tunables.into()));
        run.direct = Some(loader.to_owned());
        run.library_path = Some(suite.libraries().into());
        let outcome = run::run(&run).map_err(|e| e.to_string())?;
        if outcome.end != End::Exit(0) {
            return Err(outcome.to_string());
        }
        let words = outcome.stdout.lines().map(|line| u32::from_str_radix(line, 16));
        let words: Vec<_> = words.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        let all = words.get(start / 4..end / 4);
        Ok(all.ok_or("too few words")?.to_vec())
    };
    let mut differences = String::new();
    // In 2.28 they had another name.
    let named = |tunables: &str| match suite.minor {
        28 => tunables.replace("glibc.cpu.", "glibc.tune."),
        _ => tunables.to_owned(),
    };
    for tunables in TUNABLES.map(named) {
        let expected = words(&suite.loader(), &tunables)?;
        let found = words(loader::subject(), &tunables)?;
        for (index, (expected, found)) in expected.iter().zip(&found).enumerate() {
            let offset = index * 4;
            let mask = if offset == asked { 0x00ff_ffff } else { u32::MAX };
            if (expected ^ found) & mask != 0 {
                differences +=
                    &format!("\n{tunables} +{offset}: {expected:#x}, under test {found:#x}");
            }
        }
        if expected.iter().filter(|word| **word != 0).count() < 10 {
            return Err("the suite's loader has left cpu_features empty".into());
        }
    }
    if !differences.is_empty() {
        return Err(format!("words of cpu_features differ:{differences}").into());
    }
    Ok(Completion::Completed)
}
