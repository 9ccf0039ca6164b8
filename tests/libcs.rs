//! Other releases of glibc: programs of Debian bullseye (2.31), bookworm (2.36), trixie (2.41) and
//! sid (2.43) doing real work. Each runs in a root of its own, with rld mounted over the suite's loader, so that all
//! its children run under rld too; output and exit status must be those under the suite's own loader.
//!
//! The scripts are those of `tests/programs/` that need no more than the suites have, and those in
//! `tests/libcs/`. gdb debugs a program of each (`libcs/debugger.rs`), and what each release makes of the processor is
//! compared (`libcs/processor.rs`).
//!
//! `tests/suites` fetches the suites; where it cannot, that is said.

#[path = "libcs/debugger.rs"]
mod debugger;
#[path = "libcs/processor.rs"]
mod processor;
mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Completion;
use support::loader::{self, Way};
use support::run::{self, End, Outcome, Run};
use support::scratch::Scratch;
use support::scripts::{self, PRELUDE, SKIP};
use support::suites::{SUITES, Suite};
use support::{Verdict, run_all, skipped, trial};

/// Scripts of `tests/programs/` whose programs the suites have.
const SHARED: [&str; 16] = [
    "bash-jobs",
    "dash",
    "date",
    "echo-cat",
    "file-tools",
    "git",
    "id",
    "ls",
    "openssl",
    "python3",
    "sort",
    "stat",
    "sums",
    "text-tools",
    "true-false",
    "wc",
];

struct Case {
    suite: &'static Suite,
    script: String,
}

type Test = fn(&str, &'static Suite) -> Verdict;

fn main() {
    let mut chosen = scripts::in_folder("tests/libcs");
    let shared = scripts::in_folder("tests/programs");
    chosen.extend(shared.into_iter().filter(|(name, _)| SHARED.contains(&name.as_str())));
    let mut trials = Vec::new();
    for suite in SUITES.iter() {
        for (name, script) in &chosen {
            let case = Arc::new(Case { suite, script: script.clone() });
            trials.push(trial(format!("{}::{name}", suite.name), &case, test));
        }
        let own: [(_, Test); 2] = [("gdb", debugger::test), ("cpu_features", processor::test)];
        for (name, test) in own {
            let name = format!("{}::{name}", suite.name);
            trials.push(trial(name, &Arc::new(suite), move |label, suite| test(label, suite)));
        }
    }
    run_all(trials)
}

fn test(label: &str, case: &Case) -> Verdict {
    if let Some(reason) = Way::Bind.obstacle() {
        return skipped(label, reason);
    }
    if let Some(reason) = case.suite.obstacle() {
        return skipped(label, reason);
    }
    let run = |loader: &Path, name: &str| {
        let scratch = Scratch::new(&format!("{label}.{name}"));
        run_script(case, &scratch, loader).map(|outcome| (scratch, outcome))
    };
    let (oracle, expected) = run(&case.suite.loader(), "oracle")?;
    match expected.end {
        End::Exit(0) => {}
        SKIP => {
            let reason = expected.stderr.lines().next_back().unwrap_or("no reason given");
            return skipped(label, reason);
        }
        _ => return Err(format!("the script fails under the suite's loader: {expected}").into()),
    }
    oracle.passed();
    let (tested, actual) = run(loader::subject(), "tested")?;
    if expected != actual {
        return Err(format!(
            "under the suite's loader: {expected}under test: {actual}kept: {}",
            tested.path().display()
        )
        .into());
    }
    tested.passed();
    Ok(Completion::Completed)
}

fn run_script(case: &Case, scratch: &Scratch, loader: &Path) -> Result<Outcome, String> {
    let folder = scratch.path().join("work");
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut run = Run::new("/bin/bash", &folder);
    run.args = vec!["-c".into(), format!("{PRELUDE}{}", case.script).into()];
    run.limit = Duration::from_secs(180);
    case.suite.enter(&mut run, scratch, loader)?;
    run::run(&run).map_err(|e| e.to_string())
}
