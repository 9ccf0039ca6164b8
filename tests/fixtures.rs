//! Small programs and libraries, each about one duty of a dynamic linker, run under the system's
//! loader and under rld: stdout, stderr and the way of ending must be the same.
//!
//! A case is a source file in `fixtures/FOLDER/` whose first lines are directives:
//!
//! ```text
//! //# lib: libvector.so = addvec.c multvec.c -Wl,-soname,libvector.so
//! //# exe: prog2l = main.c -L. -lvector -Wl,-rpath,$ORIGIN
//! //# sh: mkdir -p deep && mv libvector.so deep/
//! //# env: NAME=value
//! //# run: LD_PRELOAD=$DIR/liba.so prog2l argument
//! //# stdout: z = [4 6]
//! //# exit: 3
//! //# stderr: first-line
//! //# oracle: none
//! //# ways: ptinterp direct bind
//! ```
//!
//! - `lib`, `exe`: link a shared library or a program with gcc (g++ if a source ends in `.cc`). Words
//!   that name files of the folder are sources, all others are passed as they are; `$DIR` is the
//!   build folder, which is also the working folder. `sh`: a line for the shell, there too. These
//!   happen in the order written, once for all ways.
//! - `run`: start a program, in a fresh copy of the build folder (`$DIR`), with variables set for
//!   this run; there may be several. `env` sets a variable for all runs below it.
//! - `stdout`, `exit`, `stderr` describe the run above them, and hold for the system's loader too, so
//!   that an expectation cannot rot. `stdout`: one line of all that is printed; without any, the two
//!   loaders are only compared. `exit`: the status, default 0, or `signal N`. `stderr`: how much of
//!   it is compared: `exact` (the default), `first-line` or `any`.
//! - `oracle: none`: the system's loader cannot do this; only the expectations are checked.
//! - `ways`: the ways in which rld is used (`support/loader.rs`), default `ptinterp direct bind` and
//!   the releases of `support/suites.rs`: with the libraries of one, the program is run by rld and by
//!   that release's loader, and the two are only compared.
//! - `suites: from 2.NN`, `suites: up to 2.NN`: only those with such a glibc, since (the reason follows).

mod support;

use std::ffi::OsStr;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use libtest_mimic::Completion;
use support::build::{self, Step};
use support::loader::{self, Way};
use support::run::{self, End, Outcome, Run};
use support::scratch::Scratch;
use support::suites::{SUITES, Suite};
use support::{Verdict, run_all, skipped, trial};

/// The user and group that start set-user-ID programs, and the ones those belong to.
const NOBODY: u32 = 65534;
const OWNER: u32 = 1;

fn main() {
    let mut trials = Vec::new();
    for case in all_cases() {
        let case = Arc::new(case);
        for &way in &case.ways {
            let name = format!("{}::{}", case.name, way.name());
            trials.push(trial(name, &case, move |name, case| test(name, case, way)));
        }
    }
    run_all(trials)
}

/// How much of stderr the two loaders must agree on.
#[derive(Clone, Copy)]
enum Stderr {
    Exact,
    FirstLine,
    Any,
}

/// One `run` directive with its expectations.
struct Start {
    words: Vec<String>,
    env: Vec<(String, String)>,
    stdout: Vec<String>,
    end: End,
    stderr: Stderr,
}

struct Case {
    name: String,
    folder: PathBuf,
    steps: Vec<Step>,
    starts: Vec<Start>,
    ways: Vec<Way>,
    /// Whether the system's loader can run this too.
    oracle: bool,
}

fn all_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let fixtures = support::package().join("fixtures");
    for folder in sorted(&fixtures) {
        for source in sorted(&folder) {
            let Ok(text) = fs::read_to_string(&source) else {
                continue;
            };
            if text.starts_with("//#") {
                let case = parse(&folder, &source, &text);
                cases.push(case.unwrap_or_else(|e| panic!("{}: {e}", source.display())));
            }
        }
    }
    assert!(!cases.is_empty(), "no cases in {}", fixtures.display());
    cases
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn parse(folder: &Path, source: &Path, text: &str) -> Result<Case, String> {
    let suites = SUITES.iter().map(Way::Suite);
    let part = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut case = Case {
        name: format!("{}/{}", part(folder), part(source)),
        folder: folder.to_owned(),
        steps: Vec::new(),
        starts: Vec::new(),
        ways: [Way::PtInterp, Way::Direct, Way::Bind].into_iter().chain(suites).collect(),
        oracle: true,
    };
    let mut env = Vec::new();
    for line in text.lines().map_while(|line| line.strip_prefix("//#")) {
        let (key, value) = line.trim().split_once(':').ok_or(format!("no colon: {line}"))?;
        let exact = value.strip_prefix(' ').unwrap_or(value);
        let value = value.trim();
        let last = case.starts.last_mut().ok_or("no run above this line");
        match key {
            "lib" | "exe" => {
                let (output, words) = value.split_once(" = ").ok_or(format!("no =: {line}"))?;
                case.steps.push(Step::link(key == "lib", output.trim(), words));
            }
            "sh" => case.steps.push(Step::shell(value)),
            "env" => env.push(assignment(value).ok_or(format!("no assignment: {line}"))?),
            "run" => {
                let mut words = value.split_whitespace().peekable();
                let mut env = env.clone();
                while let Some(one) = words.peek().and_then(|word| assignment(word)) {
                    env.push(one);
                    words.next();
                }
                case.starts.push(Start {
                    words: words.map(str::to_owned).collect(),
                    env,
                    stdout: Vec::new(),
                    end: End::Exit(0),
                    stderr: Stderr::Exact,
                });
            }
            "stdout" => last?.stdout.push(exact.to_owned()),
            "exit" => {
                let number = |text: &str| text.parse().map_err(|e| format!("{line}: {e}"));
                last?.end = match value.strip_prefix("signal ") {
                    Some(signal) => End::Signal(number(signal)?),
                    None => End::Exit(number(value)?),
                };
            }
            "stderr" => {
                last?.stderr = match value {
                    "exact" => Stderr::Exact,
                    "first-line" => Stderr::FirstLine,
                    "any" => Stderr::Any,
                    _ => return Err(format!("unknown comparison: {line}")),
                };
            }
            "oracle" if value == "none" => case.oracle = false,
            "suites" => {
                let (which, _) = value.split_once(", ").ok_or(format!("no reason: {line}"))?;
                let releases = releases(which).ok_or(format!("unknown releases: {line}"))?;
                let is_left_out = |suite: &Suite| !releases.contains(&suite.minor);
                case.ways.retain(|way| !matches!(way, Way::Suite(suite) if is_left_out(suite)));
            }
            "ways" => {
                case.ways.clear();
                for word in value.split_whitespace() {
                    case.ways.push(Way::parse(word).ok_or(format!("unknown way: {line}"))?);
                }
            }
            _ => return Err(format!("unknown directive: {line}")),
        }
    }
    if case.starts.iter().all(|start| start.words.is_empty()) {
        return Err("nothing is run".to_owned());
    }
    Ok(case)
}

/// The minor numbers of `from 2.NN` or `up to 2.NN`.
fn releases(which: &str) -> Option<RangeInclusive<u32>> {
    let minor = |release: &str| release.strip_prefix("2.")?.parse().ok();
    match which.strip_prefix("from ") {
        Some(first) => Some(minor(first)?..=u32::MAX),
        None => Some(0..=minor(which.strip_prefix("up to ")?)?),
    }
}

/// `NAME=value`, if the word is that.
fn assignment(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    let proper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    (!name.is_empty() && name.chars().all(proper)).then(|| (name.to_owned(), value.to_owned()))
}

fn test(name: &str, case: &Case, way: Way) -> Verdict {
    if let Some(reason) = way.obstacle() {
        return skipped(name, reason);
    }
    if !case.oracle && loader::subject_is_the_systems() {
        return skipped(name, "the system's loader cannot do this");
    }
    let compilers = way.compilers();
    let built = build::build_with(compilers.as_deref(), &case.name, &case.folder, &case.steps)?;
    let scratch = match way {
        Way::Setuid | Way::Setgid => match Scratch::public(name) {
            Ok(scratch) => scratch,
            Err(reason) => return skipped(name, &reason),
        },
        _ => Scratch::new(name),
    };
    // Names of one length, so that programs which print sizes of their environment agree.
    let own = match way {
        Way::Suite(suite) => suite.loader(),
        _ => loader::system().to_owned(),
    };
    let oracle = prepare(&scratch, &built, way, "oracle", &own)?;
    let tested = prepare(&scratch, &built, way, "tested", loader::subject())?;
    let mut complaints = String::new();
    for start in &case.starts {
        let label = start.words.join(" ");
        let mut actual = tested.run(start, way)?;
        let wanted: String = start.stdout.iter().map(|line| format!("{line}\n")).collect();
        let as_stated = |outcome: &Outcome| {
            outcome.end == start.end && (wanted.is_empty() || outcome.stdout == wanted)
        };
        let mut expected = if case.oracle { Some(oracle.run(start, way)?) } else { None };
        // Some releases have bugs of their own.
        let of_suite = matches!(way, Way::Suite(_));
        let has_crashed = |outcome: &mut Outcome| matches!(outcome.end, End::Signal(_));
        expected.take_if(|outcome| of_suite && outcome.end != start.end && has_crashed(outcome));
        let Some(mut expected) = expected else {
            if !as_stated(&actual) {
                complaints += &format!("$ {label}\nnot what the fixture says: {actual}");
            }
            continue;
        };
        if !of_suite && !as_stated(&expected) {
            complaints += &format!(
                "$ {label}\nthe system's loader does not do what the fixture says: {expected}"
            );
        }
        actual.stderr = without_more(&actual.stderr);
        for outcome in [&mut expected, &mut actual] {
            match start.stderr {
                Stderr::Exact => {}
                Stderr::FirstLine => outcome.stderr = outcome.first_error().to_owned(),
                Stderr::Any => outcome.stderr.clear(),
            }
        }
        if expected != actual {
            complaints += &format!(
                "$ {label}\nunder the system's loader: {expected}under {}: {actual}",
                loader::subject().display()
            );
        }
    }
    if !complaints.is_empty() {
        return Err(format!("{complaints}kept: {}", scratch.path().display()).into());
    }
    scratch.passed();
    Ok(Completion::Completed)
}

/// What is said of an object that is passed over, without the lines that rld adds to ld.so's.
fn without_more(text: &str) -> String {
    let mut is_more = false;
    let lines = text.split_inclusive('\n').filter(|line| {
        is_more = line.starts_with("ERROR: ld.so: ") || (is_more && line.starts_with('\t'));
        !(is_more && line.starts_with('\t'))
    });
    lines.collect()
}

/// A copy of the build folder with a loader to go with it.
struct Tree {
    path: PathBuf,
    loader: PathBuf,
    is_oracle: bool,
}

fn prepare(
    scratch: &Scratch,
    built: &Path,
    way: Way,
    name: &str,
    loader: &Path,
) -> Result<Tree, String> {
    let path = scratch.copy_tree(built, name);
    let text = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut loader = loader.to_owned();
    let is_oracle = name == "oracle";
    if let Way::Setuid | Way::Setgid = way {
        // The folder of the loader being tested may be closed to other users.
        let copy = path.join("loader");
        fs::copy(&loader, &copy).map_err(text)?;
        loader = copy;
    }
    let is_named = match way {
        Way::Bind | Way::Suite(_) => false,
        Way::Setuid | Way::Setgid => true,
        Way::PtInterp | Way::Direct => !is_oracle,
    };
    if is_named {
        build::name_interpreter(&path, &loader).map_err(text)?;
    }
    if let Way::Setuid | Way::Setgid = way {
        let (owner, mode) = match way {
            Way::Setuid => (format!("{OWNER}:0"), "4755"),
            _ => (format!("0:{OWNER}"), "2755"),
        };
        // Every program here that names an interpreter; libraries keep their owner.
        let script = "for f in *; do if readelf -l \"$f\" 2>/dev/null | grep -q INTERP; then \
                      chown \"$0\" \"$f\"; chmod \"$1\" \"$f\"; fi; done";
        let mut sh = Command::new("sh");
        let done = sh.args(["-ec", script, &owner, mode]).current_dir(&path).status();
        if !done.map_err(text)?.success() {
            return Err(format!("chown in {} failed", path.display()));
        }
    }
    Ok(Tree { path, loader, is_oracle })
}

impl Tree {
    fn run(&self, start: &Start, way: Way) -> Result<Outcome, String> {
        let here = self.path.to_string_lossy().into_owned();
        let mut words = start.words.iter().map(|word| word.replace("$DIR", &here));
        let program = words.next().unwrap_or_default();
        // An absolute path: of a relative one, `rld PROGRAM` makes another $ORIGIN than the kernel.
        let program = if program.contains('/') { program } else { format!("{here}/{program}") };
        let mut run = Run::new(program, &self.path);
        run.args = words.map(Into::into).collect();
        run.env = start
            .env
            .iter()
            .map(|(name, value)| (name.into(), value.replace("$DIR", &here).into()))
            .collect();
        match way {
            Way::PtInterp => {}
            Way::Direct if self.is_oracle => {}
            Way::Direct => run.direct = Some(self.loader.clone()),
            // The oracle gets a namespace as well: it is visible to the program.
            Way::Bind => run.over_system(self.loader.clone()),
            Way::Setuid | Way::Setgid => run.user = Some(NOBODY),
            Way::Suite(suite) => {
                run.direct = Some(self.loader.clone());
                let first = run.env.iter().filter(|(name, _)| name == "LD_LIBRARY_PATH");
                let first = first.map(|(_, path)| path.clone());
                let paths: Vec<_> = first.chain([suite.libraries().into()]).collect();
                run.library_path = Some(paths.join(OsStr::new(":")));
            }
        }
        let outcome = run::run(&run).map_err(|e| format!("{}: {e}", start.words.join(" ")))?;
        let loader_path = self.loader.to_string_lossy();
        Ok(outcome
            .replacing(&loader_path, "$LOADER")
            .replacing(&here, "$DIR")
            .replacing(loader::SYSTEM, "$LOADER"))
    }
}
