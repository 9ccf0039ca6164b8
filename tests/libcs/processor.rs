//! `cpu_features`, word by word as each release's own loader computes it for this processor.

use std::path::Path;

use libtest_mimic::Completion;

use super::support::build::{self, Step};
use super::support::loader;
use super::support::run::{self, End, Run};
use super::support::suites::Suite;
use super::support::{Verdict, package, skipped};

/// Where `cpu_features` is in `_rtld_global_ro`, and what in it may differ.
struct Place {
    start: usize,
    size: usize,
    /// EBX of leaf 1: its highest byte is the number of the processor that was asked.
    asked: usize,
    /// What loaders keep for their own stubs, where rld's word is 2.36's.
    private: &'static [usize],
}

fn place(minor: u32) -> Option<Place> {
    Some(match minor {
        31 => Place { start: 104, size: 168, asked: 4, private: &[] },
        36 => Place { start: 112, size: 480, asked: 24, private: &[] },
        41 | 43 => Place { start: 112, size: 528, asked: 24, private: &[352, 356, 360] },
        _ => return None,
    })
}

/// Settings under which all is compared.
const TUNABLES: [&str; 4] = [
    "",
    "glibc.cpu.hwcaps=-AVX2,-ERMS,-FSRM,Prefer_No_VZEROUPPER,Slow_BSF",
    "glibc.cpu.hwcaps=-XSAVEC,-AVX512F,Prefer_ERMS:glibc.cpu.x86_shared_cache_size=0x123456",
    "glibc.cpu.x86_non_temporal_threshold=0x54321:glibc.cpu.x86_rep_movsb_threshold=0x4321:\
     glibc.cpu.x86_rep_stosb_threshold=0x3210:glibc.cpu.x86_data_cache_size=0x9999",
];

pub fn test(label: &str, suite: &'static Suite) -> Verdict {
    if let Some(reason) = suite.obstacle().or(suite.no_compilers()) {
        return skipped(label, reason);
    }
    let place = place(suite.minor).ok_or("no place for this release")?;
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
        let all = words.get(place.start / 4..(place.start + place.size) / 4);
        Ok(all.ok_or("too few words")?.to_vec())
    };
    let mut differences = String::new();
    // Up to 2.31 names in `hwcaps` have other meanings, which rld does not follow.
    let is_meant = |tunables: &&str| suite.minor > 31 || !tunables.contains("hwcaps");
    for tunables in TUNABLES.into_iter().filter(is_meant) {
        let expected = words(&suite.loader(), tunables)?;
        let found = words(loader::subject(), tunables)?;
        for (index, (expected, found)) in expected.iter().zip(&found).enumerate() {
            let offset = index * 4;
            let mask = if offset == place.asked { 0x00ff_ffff } else { u32::MAX };
            if (expected ^ found) & mask != 0 && !place.private.contains(&offset) {
                differences +=
                    &format!("\n{tunables} +{offset}: {expected:#x}, under test {found:#x}");
            }
        }
        if expected.iter().filter(|word| **word != 0).count() < 20 {
            return Err("the suite's loader has left cpu_features empty".into());
        }
    }
    if !differences.is_empty() {
        return Err(format!("words of cpu_features differ:{differences}").into());
    }
    Ok(Completion::Completed)
}
