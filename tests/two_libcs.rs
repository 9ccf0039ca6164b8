//! Two releases of glibc in one process: programs of one open plug-ins of another, with that one's
//! libraries, in namespaces of their own (dlmopen(3)). ld.so cannot do this, so expectations stand
//! alone. What cannot be together is refused in words.
//!
//! A program gets its release by `--library-path` or `--sysroot`, a plug-in by its RPATH.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use libtest_mimic::Completion;
use support::build::{self, Step};
use support::suites::{SUITES, Suite};
use support::{Verdict, loader, run_all, skipped, trial};

/// Releases that can be in one process: the program's, and the plug-in's.
const TOGETHER: [(&str, &str); 2] = [("bookworm", "trixie"), ("trixie", "bookworm")];
/// Those that cannot, and what is said of it.
const APART: [(&str, &str, &str); 5] = [
    ("bookworm", "sid", "a thread's lock is at 1560 in glibc 2.36, at 1568 in 2.43"),
    ("sid", "bookworm", "a thread's lock is at 1568 in glibc 2.43, at 1560 in 2.36"),
    ("trixie", "sid", "a thread's result is at 1576 in glibc 2.41, at 1584 in 2.43"),
    ("trixie", "bullseye", "up to 2.33 only libpthread.so.0 knows the threads"),
    ("bookworm", "bullseye", "the program's is glibc 2.36, this is 2.31"),
];

struct Pair {
    program: &'static Suite,
    plugin: &'static Suite,
    words: &'static str,
}

type Test = fn(&Pair, &Path) -> Result<(), String>;

fn main() {
    let suite = |name| SUITES.iter().find(|suite| suite.name == name).unwrap();
    let mut trials = Vec::new();
    let mut add = |pair: &Arc<Pair>, test: &str, run: Test| {
        let name = format!("{}-{}::{test}", pair.program.name, pair.plugin.name);
        trials.push(trial(name, pair, move |name, pair| prepared(name, pair, run)));
    };
    for (program, plugin) in TOGETHER {
        let pair = Arc::new(Pair { program: suite(program), plugin: suite(plugin), words: "" });
        let tests: [(&str, Test); 6] = [
            ("works", works),
            ("sysroot", below_a_root),
            ("cplusplus", cplusplus),
            ("thousand", thousand),
            ("at-once", at_once),
            ("in-base", in_base),
        ];
        tests.into_iter().for_each(|(name, test)| add(&pair, name, test));
    }
    for (program, plugin, words) in APART {
        let pair = Arc::new(Pair { program: suite(program), plugin: suite(plugin), words });
        add(&pair, "refused", refused);
    }
    run_all(trials)
}

fn prepared(name: &str, pair: &Pair, run: Test) -> Verdict {
    for suite in [pair.program, pair.plugin] {
        if let Some(reason) = suite.obstacle() {
            return skipped(name, reason);
        }
    }
    let folder = build(pair.plugin)?;
    // What was built with a newer release than the program's does not run with it.
    let own = command(&pair.program.loader(), &library_path(pair), &folder, "start", pair);
    let output = own.map_err(|e| e.to_string())?;
    if output.status.code() != Some(2) {
        let words = text(&output.stderr);
        return skipped(name, words.lines().next().unwrap_or("it does not start"));
    }
    run(pair, &folder)?;
    Ok(Completion::Completed)
}

fn build(plugin: &Suite) -> Result<PathBuf, String> {
    let path = format!("-Wl,--disable-new-dtags,-rpath,{}", plugin.libraries().display());
    let steps = [
        Step::link(false, "program", "program.c -pthread"),
        Step::link(true, "plugin.so", &format!("plugin.c {path} -pthread")),
        Step::link(true, "plugin-cc.so", &format!("plugin.cc {path} -pthread")),
    ];
    let folder = support::package().join("fixtures/two-libcs");
    build::build(&format!("two-libcs.{}", plugin.name), &folder, &steps)
}

fn library_path(pair: &Pair) -> [PathBuf; 2] {
    ["--library-path".into(), pair.program.libraries()]
}

/// The program at work under a loader.
fn command(
    loader: &Path,
    options: &[PathBuf],
    folder: &Path,
    mode: &str,
    pair: &Pair,
) -> std::io::Result<Output> {
    let plugin = if mode == "cplusplus" { "plugin-cc.so" } else { "plugin.so" };
    let libc = pair.plugin.libraries().join("libc.so.6");
    let object = if mode == "in-base" { libc } else { folder.join(plugin) };
    let mut command = Command::new(loader);
    command.args(options).arg(folder.join("program"));
    // Without a plug-in the program ends with status 2.
    if mode != "start" {
        command.arg(mode).arg(object);
    }
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"LD_") {
            command.env_remove(name);
        }
    }
    command.env("GCONV_PATH", pair.plugin.libraries().join("gconv")).output()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What the program says that ends well.
fn said(options: &[PathBuf], folder: &Path, mode: &str, pair: &Pair) -> Result<String, String> {
    let output = command(loader::subject(), options, folder, mode, pair);
    let output = output.map_err(|e| e.to_string())?;
    match (output.status.success(), text(&output.stdout), text(&output.stderr)) {
        (true, stdout, stderr) if stderr.is_empty() => Ok(stdout),
        (_, stdout, stderr) => Err(format!("{:?}\n{stdout}{stderr}", output.status)),
    }
}

fn same(actual: &str, expected: &str) -> Result<(), String> {
    match actual == expected {
        true => Ok(()),
        false => Err(format!("expected:\n{expected}\ngot:\n{actual}")),
    }
}

fn all(pair: &Pair) -> String {
    format!(
        "program 2.{}, plug-in 2.{}\nthe main thread: 1\nfive threads: 5\na child: 42\n\
         objects of the plug-in in the program's list: 0\nin its namespace: the same, closed: 0 0\n",
        pair.program.minor, pair.plugin.minor
    )
}

fn works(pair: &Pair, folder: &Path) -> Result<(), String> {
    same(&said(&library_path(pair), folder, "works", pair)?, &all(pair))
}

fn below_a_root(pair: &Pair, folder: &Path) -> Result<(), String> {
    let options = ["--sysroot".into(), pair.program.root()];
    same(&said(&options, folder, "works", pair)?, &all(pair))
}

fn cplusplus(pair: &Pair, folder: &Path) -> Result<(), String> {
    same(&said(&library_path(pair), folder, "cplusplus", pair)?, "exceptions: 1 1\n")
}

fn thousand(pair: &Pair, folder: &Path) -> Result<(), String> {
    let expected = "1000 rounds, 0 more mappings, 0 more pages\n";
    same(&said(&library_path(pair), folder, "thousand", pair)?, expected)
}

fn at_once(pair: &Pair, folder: &Path) -> Result<(), String> {
    same(&said(&library_path(pair), folder, "at-once", pair)?, "at once: 6\n")
}

const SENTENCE: &str = "another build of glibc than the program's cannot be loaded beside it";

/// The program's own namespace keeps its libc.
fn in_base(pair: &Pair, folder: &Path) -> Result<(), String> {
    let expected = format!(
        "{}: {SENTENCE}\n\tthe program's is glibc 2.{}, this is 2.{}\n\
         \tonly a new namespace may have another: dlmopen(3), LM_ID_NEWLM\n",
        pair.plugin.libraries().join("libc.so.6").display(),
        pair.program.minor,
        pair.plugin.minor,
    );
    same(&said(&library_path(pair), folder, "in-base", pair)?, &expected)
}

fn refused(pair: &Pair, folder: &Path) -> Result<(), String> {
    let said = said(&library_path(pair), folder, "refused", pair)?;
    let first = format!("{}: {SENTENCE}", pair.plugin.libraries().join("libc.so.6").display());
    let (line, rest) = said.split_once('\n').unwrap_or_default();
    same(line, &first)?;
    match rest.contains(pair.words) && rest.ends_with("\nleft behind: 0\n") {
        true => Ok(()),
        false => Err(format!("no `{}`, or something is left behind:\n{said}", pair.words)),
    }
}
