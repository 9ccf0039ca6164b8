//! The machine's gdb on a program with the libraries of another release: a breakpoint in a library, the list of
//! libraries, threads by way of the release's libthread_db, and each thread's variables.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use libtest_mimic::Completion;

use super::support::build::{self, Step};
use super::support::loader;
use super::support::run::{self, End, Run};
use super::support::scratch::Scratch;
use super::support::suites::Suite;
use super::support::{Verdict, package, skipped};

const GDB: &str = "/usr/bin/gdb";
const SOURCES: &str = "tests/libcs/debugged";

/// What gdb is told: the libraries are sought in `$LIBRARIES`.
const COMMANDS: &[&str] = &[
    "set auto-load safe-path /",
    "set libthread-db-search-path $LIBRARIES",
    "set environment LD_LIBRARY_PATH $LIBRARIES",
    "set startup-with-shell off",
    "set disable-randomization off",
    "set breakpoint pending on",
    "set width 0",
    "break library_work",
    "run",
    "bt 2",
    "print number",
    "info sharedlibrary",
    "delete",
    "break all_up",
    "continue",
    "info threads",
    "thread apply all -q print number",
    "thread apply all -q print own",
    "continue",
];

/// What it must say, whatever else the two loaders agree on.
const EXPECTED: &[&str] = &[
    "# library_work (n=0) at work.c:5",
    "# ADDRESS in main () at host.c:26",
    "library libwork.so",
    "library libc.so.6",
    "library (the loader)",
    "threads: 4",
    "values: 7 11 11 12 12 13 13 14 14",
    "own: 8",
    "[Inferior 1 exited normally]",
];

pub fn test(label: &str, suite: &'static Suite) -> Verdict {
    if let Some(reason) = suite.obstacle().or(suite.no_compilers()) {
        return skipped(label, reason);
    }
    if !Path::new(GDB).exists() {
        return skipped(label, "this machine has no gdb");
    }
    let steps = [
        Step::link(true, "libwork.so", "-g -O0 work.c -Wl,-soname,libwork.so"),
        Step::link(false, "host", "-g -O0 host.c -L. -lwork -pthread -Wl,-rpath,$ORIGIN"),
    ];
    let sources = package().join(SOURCES);
    let compilers = suite.compilers();
    let built = build::build_with(compilers.as_deref(), "libcs.debugged", &sources, &steps)?;
    let scratch = Scratch::new(label);
    let session = |name: &str, loader: &Path| -> Result<Vec<String>, String> {
        let folder = scratch.copy_tree(&built, name);
        build::name_interpreter(&folder, loader).map_err(|e| e.to_string())?;
        debug(suite, &folder, loader)
    };
    let expected = session("oracle", &suite.loader())?;
    if !expected.iter().any(|line| line.ends_with("exited normally]")) {
        return skipped(label, "gdb cannot trace a process here");
    }
    let found = session("tested", loader::subject())?;
    let missing: Vec<_> =
        EXPECTED.iter().filter(|line| !found.iter().any(|it| it == *line)).collect();
    if expected != found || !missing.is_empty() {
        let text = format!("under the suite's loader: {expected:#?}\nunder test: {found:#?}");
        return Err(format!("{text}\nmissing: {missing:#?}").into());
    }
    scratch.passed();
    Ok(Completion::Completed)
}

/// Runs gdb on the program in `folder`; what it says, in lines without addresses and other numbers that are nobody's
/// promise.
fn debug(suite: &Suite, folder: &Path, loader: &Path) -> Result<Vec<String>, String> {
    let libraries = suite.libraries().to_string_lossy().into_owned();
    let mut run = Run::new(GDB, folder);
    // A newer libthread_db needs its own libc, which serves gdb as well; an older one does with the machine's.
    if suite.minor > 36 {
        run.direct = Some(suite.loader());
        run.library_path = Some(libraries.clone().into());
    }
    run.args = vec!["-batch".into(), "-nx".into()];
    for command in COMMANDS {
        run.args.extend(["-ex".into(), OsString::from(command.replace("$LIBRARIES", &libraries))]);
    }
    run.args.push("./host".into());
    run.limit = Duration::from_secs(120);
    let outcome = run::run(&run).map_err(|e| e.to_string())?;
    if outcome.end != End::Exit(0) {
        return Err(format!("gdb: {outcome}"));
    }
    let sources = format!("{}/", package().join(SOURCES).display());
    let outcome = outcome.replacing(&sources, "");
    let loader = loader.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(told(&outcome.stdout, &loader))
}

fn told(said: &str, loader: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut libraries, mut values, mut threads) = (Vec::new(), Vec::new(), 0);
    for line in said.lines() {
        if let Some((_, rest)) = line.strip_prefix('#').and_then(|line| line.split_once(' ')) {
            lines.push(format!("# {}", without_addresses(rest.trim_start())));
        } else if let Some((_, path)) = line.split_once("Yes ") {
            let name = path.rsplit(['/', ' ']).next().unwrap_or_default();
            let name = if name == loader { "(the loader)" } else { name };
            libraries.push(format!("library {name}"));
        } else if let Some((_, value)) =
            line.strip_prefix('$').and_then(|line| line.split_once(" = "))
        {
            values.push(value.to_owned());
        } else if line.contains(" Thread 0x") && line.contains("\"host\"") {
            threads += 1;
        } else if line.starts_with("[Inferior ") {
            let words: Vec<_> = line.split(" (process ").collect();
            let end = words.get(1).and_then(|end| end.split_once(')'));
            lines.push(format!("{}{}", words[0], end.map_or("", |(_, rest)| rest)));
        } else if line.starts_with("Thread 1 \"host\" hit Breakpoint") {
            lines.push(line.to_owned());
        } else if let Some(at) = line.find("own: ") {
            // The program's own line, maybe inside one of gdb's.
            lines.push(line[at..].to_owned());
        }
    }
    libraries.sort();
    values.sort_by_key(|value| value.parse::<i64>().unwrap_or(i64::MAX));
    lines.extend(libraries);
    lines.push(format!("threads: {threads}"));
    lines.push(format!("values: {}", values.join(" ")));
    lines
}

fn without_addresses(text: &str) -> String {
    let words = text.split(' ').map(|word| if word.starts_with("0x") { "ADDRESS" } else { word });
    words.collect::<Vec<_>>().join(" ")
}
