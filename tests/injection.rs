//! Every system call of a dlopen fails once: the process must live on, and a dlopen that fails must
//! leave everything as it was.
//!
//! `fixtures/injection/host.c` does one dlopen between two marks and says what is left of it. It is
//! run over and over, the next system call between the marks failing each time, until there is none
//! left. Whether the dlopen then fails is the loader's choice (it may do without a close(2) or an
//! madvise(2)); that it says so, and takes back what it has done, is not.
//!
//! The system's loader is put through the same; how often it goes wrong is printed, no more.

#[path = "injection/inject.rs"]
mod inject;
mod support;
#[path = "oracle/sys.rs"]
#[allow(dead_code, reason = "the oracle uses the rest")]
mod sys;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use inject::{Injection, Traced};
use libtest_mimic::Completion;
use support::build::{self, Step};
use support::loader;
use support::scratch::Scratch;
use support::{Verdict, run_all, trial};

/// More system calls than any dlopen makes.
const MOST: usize = 2000;

/// What the host opens.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Dlopen,
    Dlmopen,
    Missing,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Dlopen => "dlopen",
            Kind::Dlmopen => "dlmopen",
            Kind::Missing => "missing",
        }
    }
}

type Built = OnceLock<Result<std::path::PathBuf, String>>;

fn main() {
    let built: Arc<Built> = Arc::default();
    let kinds = [Kind::Dlopen, Kind::Dlmopen, Kind::Missing];
    run_all(
        kinds
            .into_iter()
            .map(|kind| {
                let name = format!("injection::{}", kind.name());
                trial(name, &built, move |name, built| test(name, built, kind))
            })
            .collect(),
    )
}

fn steps() -> Vec<Step> {
    let origin = "-Wl,--enable-new-dtags -Wl,-rpath,$ORIGIN";
    let dependency = |name: &str| {
        Step::link(
            true,
            &format!("lib{name}.so"),
            &format!("dependency.c -DVALUE={name}_value -Wl,-soname,lib{name}.so"),
        )
    };
    let plugin = format!("plugin.c -L. -lfirst -lsecond -Wl,-soname,libplugin.so {origin}");
    vec![
        dependency("first"),
        dependency("second"),
        Step::link(true, "libplugin.so", &plugin),
        Step::link(false, "host", &format!("host.c -rdynamic {origin}")),
    ]
}

fn test(name: &str, built: &Built, kind: Kind) -> Verdict {
    let folder = support::package().join("fixtures/injection");
    let built = built.get_or_init(|| build::build("injection", &folder, &steps()));
    let built = built.as_ref().map_err(String::as_str)?;
    let scratch = Scratch::new(name);
    // Each loader has a folder of its own, with a host that names it.
    let mut tallies = Vec::new();
    for (place, loader) in [("oracle", loader::system()), ("tested", loader::subject())] {
        let folder = scratch.copy_tree(built, place);
        build::name_interpreter(&folder, loader).map_err(|e| format!("{place}: {e}"))?;
        let tally = all_injections(&folder.join("host"), kind);
        let tally = tally.map_err(|e| format!("under {}: {e}", loader.display()))?;
        eprintln!("{name}: {}: {}", loader.display(), tally.summary());
        tallies.push(tally);
    }
    let tested = tallies.pop().unwrap_or_default();
    if loader::subject_is_the_systems() {
        eprint!("{}", tested.complaints);
    } else if !tested.complaints.is_empty() {
        return Err(format!("{}kept: {}", tested.complaints, scratch.path().display()).into());
    }
    scratch.passed();
    Ok(Completion::Completed)
}

/// What came of all the injections into one kind of dlopen.
#[derive(Default)]
struct Tally {
    injections: usize,
    failed: usize,
    wrong: usize,
    complaints: String,
}

impl Tally {
    fn summary(&self) -> String {
        format!(
            "{} injections: {} made it fail, {} went wrong",
            self.injections, self.failed, self.wrong
        )
    }
}

/// Fails one system call after the other. An error is one of the test, or of a loader that cannot
/// do it even undisturbed.
fn all_injections(host: &Path, kind: Kind) -> Result<Tally, String> {
    let run = |injection| {
        Traced::run(host, kind.name(), injection).map_err(|e| format!("{}: {e}", host.display()))
    };
    let undisturbed = run(None)?;
    let complaints = complaints(&undisturbed, kind);
    if !complaints.is_empty() {
        return Err(format!("undisturbed: {}", complaints.join("; ")));
    }
    if (kind == Kind::Missing) != undisturbed.failed() {
        return Err(format!("undisturbed: {}", undisturbed.stdout));
    }
    let mut tally = Tally::default();
    for number in 1..=MOST {
        for choice in 0.. {
            let traced = run(Some(Injection { number, choice }))?;
            let Some(hit) = &traced.hit else {
                if choice == 0 {
                    return Ok(tally);
                }
                break;
            };
            tally.injections += 1;
            tally.failed += usize::from(traced.failed());
            let complaints = self::complaints(&traced, kind);
            tally.wrong += usize::from(!complaints.is_empty());
            for complaint in complaints {
                tally.complaints += &format!("{} {number}: {hit}: {complaint}\n", kind.name());
            }
        }
    }
    Err(format!("no end after {MOST} system calls"))
}

/// What is wrong with a run, one line each.
fn complaints(traced: &Traced, kind: Kind) -> Vec<String> {
    let mut complaints = Vec::new();
    if traced.status.code() != Some(0) || !traced.stdout.ends_with("end\n") {
        let place = if traced.inside { "inside" } else { "after" };
        let said = traced.stderr.lines().next().unwrap_or_default();
        complaints.push(format!("{place} the dlopen: {}: {said}", traced.status));
    }
    let lines = traced.stdout.lines().filter(|line| !traced.excuses(line));
    let fine =
        |line: &&str| ["begin", "opened", "end"].contains(line) || line.starts_with("failed: ");
    complaints.extend(lines.filter(|line| !fine(line)).map(str::to_owned));
    if kind == Kind::Missing && !traced.failed() && traced.status.success() {
        complaints.push("a library that is not there was opened".to_owned());
    }
    if traced.stdout.contains("failed: none\n") {
        complaints.push("dlopen failed, but dlerror says nothing".to_owned());
    }
    complaints
}
