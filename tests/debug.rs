//! LD_DEBUG says what ld.so says: the same lines, in the same order, for everyday programs and for
//! one that does at run time all that there are lines for. What cannot be the same is listed in
//! [`excused`] and [`normalised`], with reasons.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Completion, Trial};
use support::build::{self, Step};
use support::loader::{self, SYSTEM, Way};
use support::run::{self, End, Outcome, Run};
use support::scratch::Scratch;
use support::{Verdict, package, run_all, skipped, trial};

const TOPICS: [&str; 11] = [
    "libs",
    "reloc",
    "files",
    "symbols",
    "bindings",
    "versions",
    "scopes",
    "all",
    "statistics",
    "unused",
    "libs,files:versions reloc",
];

/// A program with its arguments; `@` stands for the folder of what was built here.
struct Program {
    name: &'static str,
    words: &'static [&'static str],
    ways: &'static [Way],
    /// Topics whose lines come in another order.
    out_of_order: &'static [&'static str],
}

/// Lookups that resolvers make come when all else is bound, and so do marks of unique symbols.
const RESOLVERS: &[&str] = &["symbols", "bindings", "all"];
/// The vDSO's functions are looked up after libraries are loaded.
const VDSO: &[&str] = &["all"];

const PROGRAMS: [Program; 6] = [
    Program {
        name: "true",
        words: &["/bin/true"],
        ways: &[Way::Direct, Way::Bind],
        out_of_order: VDSO,
    },
    Program {
        name: "ls",
        words: &["/bin/ls", "-l", "@"],
        ways: &[Way::Direct],
        out_of_order: VDSO,
    },
    Program {
        name: "bash",
        words: &["/bin/bash", "-c", "x=$(echo a b | wc -w); (exit 3); echo $x $?"],
        ways: &[Way::Direct],
        out_of_order: RESOLVERS,
    },
    Program {
        name: "python",
        words: &["/usr/bin/python3", "-B", "@/script.py"],
        ways: &[Way::Direct],
        out_of_order: RESOLVERS,
    },
    Program { name: "c++", words: &["@/throw"], ways: &[Way::Direct], out_of_order: RESOLVERS },
    Program {
        name: "run-time",
        words: &["@/main"],
        ways: &[Way::PtInterp, Way::Direct, Way::Bind],
        out_of_order: RESOLVERS,
    },
];

/// A test of its own, which gets its name.
type Test = fn(&str) -> Verdict;

fn main() {
    let nothing = Arc::new(());
    let mut trials = Vec::new();
    for program in &PROGRAMS {
        for &way in program.ways {
            for topic in TOPICS {
                let name = format!("{}::{}::{topic}", program.name, way.name());
                trials.push(trial(name, &nothing, move |name, ()| {
                    compare(name, program, way, topic)
                }));
            }
        }
    }
    let single: [(&str, Test); 9] = [
        ("figures_are_those_of_ld_so", figures),
        ("children_write_their_parents_file", children),
        ("lines_of_threads_are_whole", threads),
        ("a_missing_library_is_shown_before_the_error", missing_library),
        ("an_undefined_symbol_is_an_error_line", undefined_symbol),
        ("help_names_all_topics", help),
        ("unknown_names_are_warned_of", unknown),
        ("unused_dependencies", unused),
        ("a_file_that_cannot_be_made_gives_way_to_standard_output", no_file),
    ];
    for (name, test) in single {
        trials.push(Trial::ignorable_test(name, move || test(name)));
    }
    run_all(trials)
}

/// The folder with all that is built here.
fn built() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let link = |output: &str, words: &str| Step::link(output.starts_with("lib"), output, words);
        const MAIN: &str = "main.c -L. -lcommon -Wl,-rpath,$ORIGIN";
        let steps = [
            link("libcommon.so", "common.c"),
            link("libplugin.so", "plugin.c"),
            link("libsymbolic.so", "deep.c -Wl,-Bsymbolic"),
            link("libdeep.so", "deep.c"),
            link("libundefined.so", "undefined.c"),
            link("libgone.so", "common.c"),
            link("libincomplete.so", "deep.c -Wl,--no-as-needed -L. -lgone"),
            link("libnothing.so", "nothing.c"),
            link("main", MAIN),
            link("undefined", &format!("undefined.c {MAIN} -lnothing -Wl,-z,now")),
            link("unused", &format!("{MAIN} -Wl,--no-as-needed -lm")),
            link("lonely", "throw.cc -Wl,--no-as-needed -L. -lgone -Wl,-rpath,$ORIGIN"),
            link("throw", "throw.cc"),
            Step::Shell(
                "rm libgone.so; cp libcommon.so libnothing.so; cp \"$SRC/script.py\" .".into(),
            ),
        ];
        build::build("debug", &package().join("tests/debug"), &steps).expect("building")
    })
}

/// One run under one loader: its end, and what it has written.
struct Traced {
    outcome: Outcome,
    /// The lines of all processes, in the order of their numbers.
    lines: Vec<String>,
    files: usize,
}

/// How a program runs under a loader: `None` is the system's.
fn traced(folder: &Path, words: &[&str], way: Way, subject: Option<&Path>, topic: &str) -> Traced {
    let log = folder.join(if subject.is_some() { "subject" } else { "system" });
    fs::create_dir_all(&log).unwrap();
    let mut run = Run::new(words[0].replace('@', folder.join("built").to_str().unwrap()), folder);
    let words =
        words[1..].iter().map(|word| word.replace('@', folder.join("built").to_str().unwrap()));
    run.args = words.map(Into::into).collect();
    run.env.push(("LD_DEBUG".into(), topic.into()));
    run.env.push(("LD_DEBUG_OUTPUT".into(), log.join("trace").into()));
    match (way, subject) {
        (Way::Direct, loader) => run.direct = Some(loader.unwrap_or(Path::new(SYSTEM)).into()),
        (Way::Bind, loader) => loader.into_iter().for_each(|loader| run.over_system(loader)),
        (_, loader) => {
            let loader = loader.unwrap_or(Path::new(SYSTEM));
            build::name_interpreter(&folder.join("built"), loader).unwrap();
        }
    }
    let outcome = run::run(&run).unwrap();
    let mut files: Vec<_> = fs::read_dir(&log).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort_by_key(|path| path.extension().unwrap().to_str().unwrap().parse::<u32>().unwrap());
    let mut lines = Vec::new();
    for file in &files {
        let text = fs::read(file).unwrap();
        lines.extend(String::from_utf8_lossy(&text).lines().map(str::to_owned));
    }
    Traced { outcome, lines, files: files.len() }
}

/// What stands behind the process's number, if the line has the form that all lines have.
fn body(line: &str) -> Option<&str> {
    let (process, body) = line.split_at_checked(12)?;
    let process = process.strip_suffix(":\t").filter(|number| number.len() == 10)?;
    process.trim_start().parse::<u32>().ok()?;
    Some(body)
}

/// Why a line of either loader is not compared.
fn excused(line: &str) -> Option<&'static str> {
    let name = line.strip_prefix("symbol=").and_then(|rest| rest.split(';').next());
    let name = name.or_else(|| line.split('`').nth(1)?.split('\'').next());
    match name? {
        "malloc" | "calloc" | "realloc" | "free" => {
            Some("rld looks for the program's allocator with other rules, and not for all four")
        }
        "_dl_catch_exception" | "_dl_catch_error" | "_dl_signal_exception" | "_dl_signal_error"
            if line.starts_with("symbol=") =>
        {
            Some("rld looks in libc only")
        }
        "_dl_find_dso_for_object" | "_dl_exception_create" | "__tls_get_addr"
            if line.contains("libc.so.6 [0] to /lib64/ld-linux") || line.starts_with("symbol=") =>
        {
            Some("rld does the work of libc's dl* functions, which therefore do not call these")
        }
        _ => None,
    }
}

/// A line without what differs from run to run, or between the loaders by design.
fn normalised(line: &str, subject: &str) -> String {
    let mut line = line.replace(subject, SYSTEM);
    // PT_INTERP of what is built here begins with many slashes.
    if let Some(at) = line.find("//lib64/ld-linux") {
        let start = line[..at].trim_end_matches('/').len();
        line.replace_range(start..=at, "");
    }
    if line.contains("cycles") || line.contains("of relocations") || line.contains("of relative") {
        line = line.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default().to_owned();
    }
    // Addresses.
    while let Some(at) = line.find("0x") {
        let digits = line[at + 2..].bytes().take_while(u8::is_ascii_hexdigit).count();
        line.replace_range(at..at + 2 + digits, "ADDRESS");
    }
    if let Some(rest) = line.strip_prefix(" search path=") {
        // rld does not search these directories, as newer releases of glibc. Of a directory that is in the paths of
        // several objects, ld.so names the first of them.
        let (directories, rule) = rest.split_once("\t\t").unwrap_or((rest, ""));
        let kept = directories.split(':').filter(|directory| !is_legacy(directory));
        let rule = rule.split(" from file").next().unwrap_or_default().trim_end_matches(')');
        line = format!(" search path={} {rule}", kept.collect::<Vec<_>>().join(":"));
    }
    line
}

/// Whether a directory is one of those that glibc has had before `glibc-hwcaps`.
fn is_legacy(directory: &str) -> bool {
    ["tls", "haswell", "x86_64"].iter().any(|last| directory.rsplit('/').next() == Some(*last))
}

fn comparable(traced: &Traced, subject: &str) -> Vec<String> {
    let lines = traced.lines.iter().map(|line| {
        body(line).unwrap_or_else(|| panic!("a line without a process's number: {line}"))
    });
    let lines = lines.filter(|line| {
        let tried = line.strip_prefix("  trying file=").and_then(|path| path.rsplit_once('/'));
        !tried.is_some_and(|(directory, _)| is_legacy(directory))
    });
    let lines = lines.map(|line| normalised(line, subject));
    lines.filter(|line| excused(line).is_none()).collect()
}

fn counted(lines: &[String]) -> BTreeMap<&str, i64> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line.as_str()).or_default() += 1;
    }
    counts
}

/// What two multisets of lines do not share.
fn difference(expected: &[String], found: &[String]) -> Vec<String> {
    let mut counts = counted(expected);
    for line in found {
        *counts.entry(line).or_default() -= 1;
    }
    let differing = counts.into_iter().filter(|&(_, count)| count != 0);
    differing.map(|(line, count)| format!("{count:+} {line}")).collect()
}

fn compare(name: &str, program: &Program, way: Way, topic: &str) -> Verdict {
    if loader::subject_is_the_systems() {
        return skipped(name, "the loader is the system's");
    }
    if let Some(reason) = way.obstacle() {
        return skipped(name, reason);
    }
    let scratch = Scratch::new(&format!("debug-{name}"));
    scratch.copy_tree(built(), "built");
    let system = traced(scratch.path(), program.words, way, None, topic);
    let subject = traced(scratch.path(), program.words, way, Some(loader::subject()), topic);
    if matches!(system.outcome.end, End::Signal(_)) {
        return skipped(name, "ld.so crashes: under LD_DEBUG=unused, dlsym of what is not there");
    }
    assert_eq!(system.outcome.end, subject.outcome.end, "{}", subject.outcome);
    assert_eq!(system.outcome.stdout, subject.outcome.stdout);
    assert_eq!(subject.files, system.files);
    let path = loader::subject().to_str().unwrap();
    let expected = comparable(&system, path);
    let found = comparable(&subject, path);
    if topic != "unused" {
        assert!(expected.len() > 8, "{expected:?}");
    }
    let differing = difference(&expected, &found);
    assert!(differing.is_empty(), "more under ld.so (+) or rld (-):\n{}", differing.join("\n"));
    if !program.out_of_order.contains(&topic) {
        let first = expected.iter().zip(&found).find(|(expected, found)| expected != found);
        assert_eq!(first, None, "out of order");
    }
    scratch.passed();
    Ok(Completion::Completed)
}

/// The numbers at the ends of lines.
fn numbers(traced: &Traced) -> BTreeMap<String, u64> {
    let pairs = traced.lines.iter().filter_map(|line| {
        let (what, number) = line.split_once(": ").filter(|_| !line.contains("cycles"))?;
        Some((what[12..].trim_start().to_owned(), number.parse().ok()?))
    });
    pairs.collect()
}

fn figures(name: &str) -> Verdict {
    if loader::subject_is_the_systems() {
        return skipped(name, "the loader is the system's");
    }
    let scratch = Scratch::new(&format!("debug-{name}"));
    let trace =
        |subject| traced(scratch.path(), &["/bin/true"], Way::Direct, subject, "statistics");
    let (system, subject) = (trace(None), trace(Some(loader::subject())));
    let mut expected = numbers(&system);
    assert_eq!(expected.len(), 5, "{expected:?}");
    assert!(expected["number of relative relocations"] > 1);
    for what in ["number of relocations", "final number of relocations"] {
        // rld does not look for the program's malloc and realloc.
        *expected.get_mut(what).unwrap() -= 2;
    }
    assert_eq!(numbers(&subject), expected);
    let cycles = subject.lines.iter().filter(|line| line.contains(" cycles"));
    let values = cycles.map(|line| line.split(": ").nth(1).unwrap().split(' ').next().unwrap());
    let values: Vec<u64> = values.map(|value| value.parse().unwrap()).collect();
    let [total, relocation, loading] = values[..] else { panic!("{:?}", subject.lines) };
    assert!(relocation > 1000 && loading > 1000 && relocation + loading < total, "{values:?}");
    scratch.passed();
    Ok(Completion::Completed)
}

/// A copy of what was built, whose programs name rld.
fn with_subject(name: &str) -> Scratch {
    let scratch = Scratch::new(&format!("debug-{name}"));
    scratch.copy_tree(built(), "built");
    build::name_interpreter(&scratch.path().join("built"), loader::subject()).unwrap();
    scratch
}

fn start(scratch: &Scratch, program: &str, words: &[&str], topic: &str) -> Outcome {
    let mut run = Run::new(scratch.path().join("built").join(program), scratch.path());
    run.args = words.iter().map(Into::into).collect();
    run.env.push(("LD_DEBUG".into(), topic.into()));
    run::run(&run).unwrap()
}

fn children(name: &str) -> Verdict {
    let scratch = Scratch::new(&format!("debug-{name}"));
    scratch.copy_tree(built(), "built");
    let subject = loader::subject();
    let traced = traced(scratch.path(), &["@/main", "fork"], Way::PtInterp, Some(subject), "files");
    assert_eq!(traced.outcome.end, End::Exit(7), "{}", traced.outcome);
    assert_eq!(traced.files, 1, "a child that does not exec writes to its parent's file");
    let numbers = |what: &str| -> Vec<&str> {
        let lines = traced.lines.iter().filter(|line| line.contains(what));
        lines.map(|line| line[..10].trim_start()).collect()
    };
    // Nothing is written twice: neither what waited when the child was made, nor what came later.
    assert_eq!(numbers("transferring control").len(), 1);
    let opened = numbers("libplugin.so [0];  generating link map");
    assert_eq!(opened.len(), 2, "{:?}", traced.lines);
    assert_ne!(opened[0], opened[1], "each process's lines have its number");
    scratch.passed();
    Ok(Completion::Completed)
}

fn threads(name: &str) -> Verdict {
    let scratch = with_subject(name);
    let outcome = start(&scratch, "main", &["threads"], "all");
    assert_eq!(outcome.end, End::Exit(0), "{outcome}");
    let bodies: Vec<_> = outcome.stderr.lines().map(|line| (line, body(line))).collect();
    let broken: Vec<_> = bodies.iter().filter(|(_, body)| body.is_none()).collect();
    assert!(broken.is_empty(), "{broken:?}");
    let count = |what: &str| bodies.iter().filter(|(_, body)| body.unwrap().contains(what)).count();
    assert!(count("calling init: ") >= 4);
    assert_eq!(count("opening file="), 80);
    for (line, body) in &bodies {
        let body = body.unwrap();
        let parts = body.matches(" [0]").count();
        let is_whole = match body {
            _ if body.starts_with("binding file ") => {
                parts == 2 && (body.ends_with('\'') || body.ends_with(']'))
            }
            _ if body.starts_with("symbol=") => parts == 1 && body.ends_with(" [0]"),
            _ => parts <= 2,
        };
        assert!(is_whole, "{line}");
    }
    scratch.passed();
    Ok(Completion::Completed)
}

fn missing_library(name: &str) -> Verdict {
    let scratch = with_subject(name);
    let outcome = start(&scratch, "lonely", &[], "libs");
    assert_eq!(outcome.end, End::Exit(127), "{outcome}");
    let at = |what: &str| outcome.stderr.find(what).unwrap_or_else(|| panic!("{what}: {outcome}"));
    let tried = at("trying file=/usr/lib/libgone.so\n");
    assert!(at("find library=libgone.so [0]; searching\n") < tried);
    assert!(tried < at("error while loading shared libraries: libgone.so"), "{outcome}");
    scratch.passed();
    Ok(Completion::Completed)
}

fn undefined_symbol(name: &str) -> Verdict {
    let scratch = with_subject(name);
    let words = "error: symbol lookup error: undefined symbol: nothing_defines_this (fatal)\n";
    for topic in ["versions", "files", "bindings"] {
        let outcome = start(&scratch, "undefined", &[], topic);
        assert_eq!(outcome.end, End::Exit(127), "{outcome}");
        assert!(outcome.stderr.contains(words), "{outcome}");
    }
    let outcome = start(&scratch, "undefined", &[], "statistics");
    assert!(!outcome.stderr.contains(words), "{outcome}");
    // Who looks for unused dependencies does not mind.
    let outcome = start(&scratch, "undefined", &[], "unused");
    assert_eq!(outcome.end, End::Exit(0), "{outcome}");
    scratch.passed();
    Ok(Completion::Completed)
}

/// The names that a list shows, each two columns in.
fn names(text: &str) -> Vec<&str> {
    let names = text.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty()).collect()
}

fn help(_: &str) -> Verdict {
    // The command line does not matter.
    ["/bin/true", "--nonsense"].into_iter().try_for_each(help_beside)?;
    Ok(Completion::Completed)
}

fn help_beside(argument: &str) -> Result<(), String> {
    let mut texts = Vec::new();
    for loader in [Path::new(SYSTEM), loader::subject()] {
        let mut run = Run::new(argument, Path::new("/"));
        run.direct = Some(loader.into());
        run.env.push(("LD_DEBUG".into(), "libs,help".into()));
        let outcome = run::run(&run).unwrap();
        assert_eq!((outcome.end, outcome.stderr.as_str()), (End::Exit(0), ""), "{outcome}");
        texts.push(outcome.stdout);
    }
    assert_eq!(names(&texts[1]), names(&texts[0]));
    assert_eq!(texts[1].lines().next(), texts[0].lines().next());
    Ok(())
}

fn unknown(name: &str) -> Verdict {
    let scratch = with_subject(name);
    let outcome = start(&scratch, "throw", &[], "nonsense::,more");
    assert_eq!(outcome.end, End::Exit(0));
    let line = |name| format!("warning: debug option `{name}' unknown; try LD_DEBUG=help\n");
    assert_eq!(outcome.stderr, line("nonsense") + &line("more"));
    assert_eq!(outcome.stdout, "caught\n");
    scratch.passed();
    Ok(Completion::Completed)
}

fn unused(name: &str) -> Verdict {
    let scratch = Scratch::new(&format!("debug-{name}"));
    scratch.copy_tree(built(), "built");
    let mut answers = Vec::new();
    for loader in [Path::new(SYSTEM), loader::subject()] {
        for program in ["unused", "main", "throw"] {
            let mut run = Run::new(scratch.path().join("built").join(program), scratch.path());
            run.direct = Some(loader.into());
            run.env.push(("LD_DEBUG".into(), "unused".into()));
            run.env.push(("LD_TRACE_LOADED_OBJECTS".into(), "1".into()));
            answers.push(run::run(&run).unwrap());
        }
    }
    let (system, subject) = answers.split_at(3);
    assert_eq!(subject, system);
    assert!(system[0].stdout.starts_with("Unused direct dependencies:\n\t"), "{}", system[0]);
    assert_eq!((system[0].end, system[1].end), (End::Exit(1), End::Exit(0)));
    scratch.passed();
    Ok(Completion::Completed)
}

fn no_file(name: &str) -> Verdict {
    let scratch = with_subject(name);
    let mut run = Run::new(scratch.path().join("built/throw"), scratch.path());
    run.env.push(("LD_DEBUG".into(), "files".into()));
    run.env.push(("LD_DEBUG_OUTPUT".into(), "/nowhere/trace".into()));
    let outcome = run::run(&run).unwrap();
    assert_eq!((outcome.end, outcome.stderr.as_str()), (End::Exit(0), ""), "{outcome}");
    assert!(outcome.stdout.contains("transferring control: "), "{outcome}");
    assert!(outcome.stdout.contains("\ncaught\n"), "{outcome}");
    scratch.passed();
    Ok(Completion::Completed)
}
