//! The oracle: is a program at its entry point the same under rld as under the system's loader?
//!
//! A word that a COPY relocation or an IFUNC resolver filled wrongly is wrong silently. So every
//! dynamic program of this system is started under both loaders with LD_BIND_NOW=1, stopped at its
//! ELF entry point, and every relocated word of every object is compared (see `oracle/compare.rs`),
//! with the access rights, the initial stack and the list of loaded objects. The programs of other
//! Debian releases (`tests/suites`) are compared with what their own loaders make of them.
//!
//! ```text
//! cargo test --test oracle                                  all of /usr/bin and /usr/sbin
//! cargo test --test oracle -- bash                          tests with bash in their names
//! cargo test --test oracle -- --compare /bin/ls /bin/bash   these programs, in full
//! ```
//!
//! ORACLE_LOADER names another loader to test, for example a copy of the system's own: then nothing
//! may differ. ORACLE_WAY=copy forbids the bind mount and patches copies of the programs instead.
#![deny(unsafe_code)]

#[path = "oracle/compare.rs"]
mod compare;
#[path = "oracle/elf.rs"]
mod elf;
#[path = "oracle/exceptions.rs"]
mod exceptions;
#[path = "oracle/launch.rs"]
mod launch;
#[path = "oracle/maps.rs"]
mod maps;
#[path = "oracle/process.rs"]
mod process;
#[path = "oracle/programs.rs"]
mod programs;
#[path = "oracle/proof.rs"]
mod proof;
#[path = "oracle/snapshot.rs"]
mod snapshot;
#[path = "oracle/stack.rs"]
mod stack;
#[allow(unsafe_code, reason = "each of its files says why")]
mod support;
#[path = "oracle/sys.rs"]
mod sys;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};

use compare::{Counts, Difference, Report};
use launch::{Launcher, Mode};
use process::Outcome;
use snapshot::Files;
use support::suites::SUITES;

/// A failing test shows this many differences; `--compare` shows all.
const SHOWN: usize = 12;

/// Everything that the tests share.
pub struct Oracle {
    launcher: Launcher,
    files: Files,
    totals: Mutex<Totals>,
}

#[derive(Default)]
struct Totals {
    programs: u32,
    skipped: BTreeMap<String, u32>,
    ended: Vec<String>,
    counts: Counts,
    exceptions: BTreeMap<&'static str, u32>,
}

/// One program's comparison, exceptions sorted out.
struct Compared {
    counts: Counts,
    differences: Vec<Difference>,
    excepted: BTreeMap<&'static str, u32>,
    /// Both processes ended before the entry point, like this.
    ended: Option<String>,
}

enum Verdict {
    Compared(Compared),
    /// This program cannot be compared in this way, and why.
    Skipped(String),
}

impl Oracle {
    /// Compares one program under both loaders.
    fn compare(&self, program: &Path, mode: Mode) -> Result<Verdict, String> {
        let in_words = |error: std::io::Error| error.to_string();
        let expected = self.launcher.under_its_own(program, mode);
        let found = match self.launcher.under_test(program, mode) {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                return Ok(Verdict::Skipped(error.to_string()));
            }
            found => found.map_err(in_words)?,
        };
        let expected = expected.start.clone().run().map_err(in_words)?;
        let found = found.start.clone().run().map_err(in_words)?;
        let mut ended = None;
        let report: Report = match (&expected, &found) {
            (Outcome::Stopped(expected), Outcome::Stopped(found)) => {
                compare::stopped(expected, found, &self.files)?
            }
            // No loader refuses a program by a signal: this proves nothing about either.
            (Outcome::Ended(expected), _) if expected.status.signal().is_some() => {
                return Err(format!("under the system's loader: {expected}"));
            }
            (Outcome::Ended(expected), Outcome::Ended(found)) => {
                ended = Some(expected.to_string());
                compare::ended(expected, found)
            }
            (Outcome::Stopped(_), Outcome::Ended(found)) => {
                return Err(format!("under the loader under test only: {found}"));
            }
            (Outcome::Ended(expected), Outcome::Stopped(_)) => {
                return Err(format!("under the system's loader only: {expected}"));
            }
        };
        let mut excepted = BTreeMap::new();
        let mut differences = report.differences;
        differences.retain(|difference| match exceptions::covering(difference, mode) {
            Some(exception) => {
                *excepted.entry(exception.reason).or_default() += 1;
                false
            }
            None => true,
        });
        let counts = report.counts;
        Ok(Verdict::Compared(Compared { counts, differences, excepted, ended }))
    }

    fn test(&self, program: &Path, mode: Mode) -> Result<(), Failed> {
        let compared = match self.compare(program, mode)? {
            Verdict::Compared(compared) => compared,
            Verdict::Skipped(reason) => {
                if let Ok(mut totals) = self.totals.lock() {
                    *totals.skipped.entry(reason).or_default() += 1;
                }
                return Ok(());
            }
        };
        if let Ok(mut totals) = self.totals.lock() {
            totals.programs += 1;
            totals.counts += &compared.counts;
            if let Some(how) = compared.ended.filter(|_| compared.differences.is_empty()) {
                totals.ended.push(format!("{} {how}", program.display()));
            }
            for (reason, count) in compared.excepted {
                *totals.exceptions.entry(reason).or_default() += count;
            }
        }
        if compared.differences.is_empty() {
            return Ok(());
        }
        let mut text = format!("{} differences", compared.differences.len());
        for difference in compared.differences.iter().take(SHOWN) {
            text += &format!("\n    {difference}");
        }
        if compared.differences.len() > SHOWN {
            text += "\n    …";
        }
        text += &format!(
            "\n  all of them: cargo test --test oracle -- --compare {}",
            program.display()
        );
        Err(text.into())
    }

    fn trials(self: &Arc<Self>) -> Vec<Trial> {
        let installed = programs::installed(self.launcher.system());
        for (reason, count) in &installed.skipped {
            println!("skipped: {count} × {reason}");
        }
        let direct = programs::DIRECT.iter().map(PathBuf::from).filter(|path| path.exists());
        let interpreted = installed.paths.into_iter().map(|path| (path, Mode::Interpreter));
        let trial = |(path, mode): (PathBuf, Mode)| {
            let name = match mode {
                Mode::Interpreter => path.display().to_string(),
                Mode::Direct => format!("direct {}", path.display()),
                Mode::Suite(suite) => {
                    format!("{}: {}", suite.name, path.file_name().unwrap_or_default().display())
                }
            };
            let oracle = self.clone();
            Trial::test(name, move || oracle.test(&path, mode))
        };
        let of_suites = SUITES.iter().flat_map(|suite| {
            if let Some(reason) = suite.obstacle() {
                println!("SKIPPED ({reason}): the programs of {}", suite.name);
            }
            programs::of_suite(&suite.root()).paths.into_iter().map(|it| (it, Mode::Suite(suite)))
        });
        let chosen = interpreted.chain(direct.map(|path| (path, Mode::Direct))).chain(of_suites);
        let refused = |mode| {
            let oracle = self.clone();
            Trial::test(format!("refused: a missing library ({mode:?})"), move || {
                oracle.test(&proof::without_its_library(&oracle)?, mode)
            })
        };
        let refused = [Mode::Interpreter, Mode::Direct].map(refused);
        refused.into_iter().chain(chosen.map(trial)).collect()
    }

    fn summary(&self) {
        let Ok(totals) = self.totals.lock() else {
            return;
        };
        println!("{} programs compared: {}", totals.programs, totals.counts);
        for (reason, count) in &totals.skipped {
            println!("NOT COMPARED, though \"ok\" above: {count} × {reason}");
        }
        for how in &totals.ended {
            println!("the same under both: {how}");
        }
        for (reason, count) in &totals.exceptions {
            println!("excepted: {count} × {reason}");
        }
    }

    /// `--compare`: everything about the given programs.
    fn in_full(&self, programs: &[String]) -> ExitCode {
        let mut clean = true;
        for (program, mode) in
            programs.iter().flat_map(|p| [(p, Mode::Interpreter), (p, Mode::Direct)])
        {
            println!("{program} ({mode:?})");
            let compared = std::fs::canonicalize(program)
                .map_err(|error| error.to_string())
                .and_then(|path| self.compare(&path, mode));
            match compared {
                Ok(Verdict::Skipped(reason)) => println!("  NOT COMPARED: {reason}"),
                Ok(Verdict::Compared(compared)) => {
                    println!("  {}", compared.counts);
                    compared.ended.iter().for_each(|how| println!("  under both: {how}"));
                    for (reason, count) in &compared.excepted {
                        println!("  excepted: {count} × {reason}");
                    }
                    for difference in &compared.differences {
                        println!("  DIFFERENT {difference}");
                    }
                    clean &= compared.differences.is_empty();
                }
                Err(error) => {
                    println!("  FAILED {error}");
                    clean = false;
                }
            }
        }
        if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().collect();
    let chosen = arguments.iter().position(|argument| argument == "--compare");
    let chosen = chosen.map(|at| arguments.split_off(at).split_off(1));
    let options = Arguments::from_iter(arguments);

    let tested = std::env::var_os("ORACLE_LOADER")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_rld")), PathBuf::from);
    let copy = std::env::var_os("ORACLE_WAY").is_some_and(|way| way == "copy");
    let launcher = match Launcher::new(&tested, copy) {
        Ok(launcher) => launcher,
        Err(error) => {
            eprintln!("oracle: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("loader under test: {}", launcher.describe());
    let oracle = Arc::new(Oracle { launcher, files: Files::default(), totals: Mutex::default() });

    let code = match chosen {
        Some(programs) => oracle.in_full(&programs),
        None => {
            let started = Instant::now();
            let mut trials = proof::trials(&oracle);
            trials.extend(oracle.trials());
            let conclusion = libtest_mimic::run(&options, trials);
            if !options.list {
                oracle.summary();
                println!("{:.1} s", started.elapsed().as_secs_f64());
            }
            conclusion.exit_code()
        }
    };
    oracle.launcher.clean();
    code
}
