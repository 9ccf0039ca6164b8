//! RLD_TRACE and `--trace`: what is written fits the schema, and is what really happened.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;
use std::process::Command;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;
use support::loader::{self, Way};
use support::run::{self, End, Outcome, Run};
use support::scratch::Scratch;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/trace.schema.json");
const PYTHON: &str = "/usr/bin/python3";

/// What judges lines.
struct Judge {
    schemas: Schemas,
    line: SchemaIndex,
}

impl Judge {
    fn new() -> Self {
        let text = fs::read_to_string(SCHEMA).unwrap();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("trace.json", serde_json::from_str(&text).unwrap()).unwrap();
        let line = compiler.compile("trace.json", &mut schemas).unwrap();
        Self { schemas, line }
    }

    /// Reads a line that must fit the schema.
    fn read(&self, line: &str) -> Value {
        let value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        if let Err(error) = self.schemas.validate(&value, self.line) {
            panic!("{line}\n{error:#}");
        }
        value
    }
}

/// A run, and its trace.
struct Traced {
    outcome: Outcome,
    lines: Vec<Value>,
}

impl Traced {
    fn of<'t>(&'t self, event: &'t str) -> impl Iterator<Item = &'t Value> {
        self.lines.iter().filter(move |line| line["event"] == event)
    }

    /// A member of the lines about an event, each value once.
    fn all<'t>(&'t self, event: &'t str, member: &str) -> BTreeSet<&'t str> {
        self.of(event).filter_map(|line| line[member].as_str()).collect()
    }
}

/// Traces a run that ends well in one of two ways; nothing, loudly, where this machine has not what that takes.
fn trace(name: &str, way: Way, program: &str, arguments: &[&str]) -> Option<Traced> {
    trace_with(name, way, program, arguments, |_| {})
}

fn trace_with(
    name: &str,
    way: Way,
    program: &str,
    arguments: &[&str],
    change: impl FnOnce(&mut Run),
) -> Option<Traced> {
    let missing = (!Path::new(program).exists()).then(|| format!("there is no {program}"));
    if let Some(reason) = missing.or(way.obstacle().map(str::to_owned)) {
        eprintln!("SKIPPED ({reason}): {name}");
        return None;
    }
    let scratch = Scratch::new(&format!("trace-{name}-{}", way.name()));
    let file = scratch.path().join("trace");
    let mut run = Run::new(program, scratch.path());
    run.args = arguments.iter().map(Into::into).collect();
    match way {
        Way::Direct => {
            run.program = loader::subject().into();
            let option = [OsString::from("--trace"), "trace".into(), program.into()];
            run.args.splice(0..0, option);
        }
        _ => {
            run.over_system(loader::subject().to_owned());
            run.env.push(("RLD_TRACE".into(), (&file).into()));
        }
    }
    change(&mut run);
    let outcome = run::run(&run).unwrap();
    let judge = Judge::new();
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.ends_with('\n'), "{text}");
    let lines = text.lines().map(|line| judge.read(line)).collect();
    scratch.passed();
    Some(Traced { outcome, lines })
}

fn assert_well(traced: &Traced) {
    assert_eq!(traced.outcome.end, End::Exit(0), "{}", traced.outcome);
}

/// The bytes that a string of a trace stands for.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(&after[..2], 16).unwrap());
        rest = &after[2..];
    }
    assert!(!rest.contains('\\'), "{text}");
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[test]
fn the_schema_refuses_what_is_not_in_it() {
    let judge = Judge::new();
    let good = serde_json::json!({
        "event": "search", "t": 1, "pid": 2, "tid": 2, "name": "a", "duration": 3,
    });
    let verdict = |value: &Value| judge.schemas.validate(value, judge.line).is_ok();
    assert!(verdict(&good));
    for (member, value) in
        [("event", "such".into()), ("t", (-1).into()), ("namespace", 0.into()), ("x", 1.into())]
    {
        let mut bad = good.clone();
        bad[member] = value;
        assert!(!verdict(&bad), "{bad}");
    }
    for member in ["event", "pid", "name"] {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(member);
        assert!(!verdict(&bad), "{bad}");
    }
}

#[test]
fn starts_are_told_from_start_to_exit() {
    for way in [Way::Direct, Way::Bind] {
        for (program, arguments) in [
            ("/bin/ls", &["-d", "/"][..]),
            ("/bin/bash", &["-c", "echo"]),
            ("/usr/bin/git", &["--version"]),
        ] {
            let name = format!("start-{}", program.replace('/', "."));
            let Some(traced) = trace(&name, way, program, arguments) else { continue };
            assert_well(&traced);
            let lines = &traced.lines;
            assert_eq!(lines[0]["event"], "start");
            assert_eq!(lines[0]["arguments"][0], program);
            assert_eq!(lines[0]["arguments"].as_array().unwrap().len(), arguments.len() + 1);
            let own = lines[0]["program"].as_str().unwrap();
            assert_eq!(fs::canonicalize(own).unwrap(), fs::canonicalize(program).unwrap());
            assert_eq!(lines.last().unwrap()["event"], "exit");
            assert_eq!(traced.of("entry").count(), 1);
            assert!(lines.iter().all(|line| line["pid"] == lines[0]["pid"]));
            // All that is needed is found, mapped, relocated and bound to.
            let mapped = traced.all("map", "object");
            assert!(mapped.contains(own), "{mapped:?}");
            for object in traced.all("needed", "to") {
                assert!(mapped.contains(object), "{object}");
            }
            for found in traced.all("search", "found") {
                assert!(mapped.contains(found), "{found}");
            }
            let ends = |line: &Value| {
                line["t"].as_u64().unwrap() + line["duration"].as_u64().unwrap_or_default()
            };
            assert!(lines.is_sorted_by_key(ends), "lines are in order of their ends");
            // What has begun has also ended.
            assert_eq!(
                traced.of("begin").count(),
                traced.of("initialiser").chain(traced.of("finaliser")).count()
            );
        }
    }
}

#[test]
fn all_that_is_mapped_is_told() {
    let script = "import ssl, sqlite3\nfor line in open('/proc/self/maps'): print(line, end='')";
    let Some(traced) = trace("maps", Way::Bind, PYTHON, &["-c", script]) else { return };
    assert_well(&traced);
    let maps = traced.outcome.stdout.lines().filter(|line| line.contains(" r-xp "));
    let files: BTreeSet<_> = maps
        .filter_map(|line| line.find('/').map(|at| &line[at..]))
        .filter(|file| fs::canonicalize(file).ok() != fs::canonicalize(loader::subject()).ok())
        .map(|file| fs::canonicalize(file).unwrap())
        .collect();
    let told: BTreeSet<_> = traced
        .all("map", "object")
        .into_iter()
        .filter_map(|it| fs::canonicalize(it).ok())
        .collect();
    assert!(files.len() > 5 && files.is_subset(&told), "{files:?}\n{told:?}");
    // What was mapped for a dlopen lies within it.
    let opened: Vec<_> = traced.of("dlopen").collect();
    let object = |line: &Value| line["object"].as_str().unwrap_or_default().to_owned();
    assert!(opened.iter().any(|line| object(line).contains("_ssl")), "{opened:?}");
    let entry = traced.of("entry").next().unwrap()["t"].as_u64();
    for map in traced.of("map").filter(|map| map["t"].as_u64() > entry) {
        let time = map["t"].as_u64().unwrap();
        let holds = |line: &&&Value| {
            let from = line["t"].as_u64().unwrap();
            (from..=from + line["duration"].as_u64().unwrap()).contains(&time)
        };
        assert!(opened.iter().any(|line| holds(&line)), "{map}");
    }
}

/// Bindings that LD_DEBUG shows, as in a trace: from, to, symbol, version. The program has its name in `program`.
fn shown(text: &str, program: &str) -> BTreeMap<[String; 4], usize> {
    let mut all = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.split_once("binding file ").map(|it| it.1)) {
        let (from, rest) = line.split_once(" [0] to ").unwrap();
        let (to, rest) = rest.split_once(" [0]: ").unwrap();
        let (_, rest) = rest.split_once('`').unwrap();
        let (symbol, version) = rest.split_once('\'').unwrap();
        let version = version.trim_matches([' ', '[', ']']);
        let [from, to] = [from, to].map(|name| if name == program { "" } else { name });
        *all.entry([from, to, symbol, version].map(str::to_owned)).or_default() += 1;
    }
    all
}

#[test]
fn bindings_are_those_of_ld_debug() {
    for (program, arguments) in [("/bin/ls", &["-d", "/"][..]), ("/usr/bin/sort", &["--version"])] {
        let traced = trace_with("bindings", Way::Bind, program, arguments, |run| {
            run.env.push(("LD_DEBUG".into(), "bindings".into()));
        });
        let Some(traced) = traced else { continue };
        let own = traced.lines[0]["program"].as_str().unwrap();
        let mut told = BTreeMap::new();
        for line in traced.of("binding") {
            let text = |member: &str| line[member].as_str().unwrap_or_default().to_owned();
            let object = |member| if text(member) == own { String::new() } else { text(member) };
            let key = [object("from"), object("to"), text("symbol"), text("version")];
            *told.entry(key).or_default() += 1;
        }
        let shown = shown(&traced.outcome.stderr, program);
        let differing = told.iter().find(|(key, count)| shown.get(*key) != Some(*count));
        assert!(told.len() > 50 && told.len() == shown.len(), "{} {}", told.len(), shown.len());
        assert_eq!(differing, None);
    }
}

#[test]
fn bytes_that_are_not_text_come_back() {
    let scratch = Scratch::new("trace-bytes");
    let name = OsString::from_vec(b"a\\b\xff\"\n<\xc3\xa9.so".to_vec());
    let program = scratch.path().join(&name);
    fs::copy("/bin/true", &program).unwrap();
    let file = scratch.path().join("trace");
    let status = Command::new(loader::subject())
        .arg("--trace")
        .args([&file, &program])
        .args([OsStr::new(""), OsStr::from_bytes(b"\xc3"), OsStr::from_bytes(b"\\xff\x01")])
        .status()
        .unwrap();
    assert!(status.success());
    let text = fs::read_to_string(&file).unwrap();
    let start = Judge::new().read(text.lines().next().unwrap());
    let read = |value: &Value| bytes(value.as_str().unwrap());
    assert_eq!(read(&start["program"]), program.as_os_str().as_bytes());
    let arguments: Vec<_> = start["arguments"].as_array().unwrap().iter().map(read).collect();
    let path = program.as_os_str().as_bytes();
    assert_eq!(arguments, [path, b"", b"\xc3", b"\\xff\x01"]);
    scratch.passed();
}

#[test]
fn long_arguments_are_counted() {
    let words: Vec<_> = (0..100).map(|_| "x".repeat(1000)).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let Some(traced) = trace("long", Way::Direct, "/bin/true", &words) else { return };
    let start = &traced.lines[0];
    let kept = start["arguments"].as_array().unwrap().len() as u64;
    assert!(kept > 5 && kept + start["more_arguments"].as_u64().unwrap() == 101, "{start}");
}

#[test]
fn a_file_that_cannot_be_written_is_a_warning() {
    let run = |file: &str| {
        let mut command = Command::new(loader::subject());
        let output = command.args(["--trace", file, "/bin/echo", "it runs"]).output().unwrap();
        assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"it runs\n"[..]));
        String::from_utf8(output.stderr).unwrap()
    };
    let words = run("/nonexistent/trace");
    let expected =
        "warning: no trace is written to '/nonexistent/trace': No such file or directory\n";
    assert_eq!(words, expected);
    assert_eq!(run("/"), "warning: no trace is written to '/': Is a directory\n");
    let scratch = Scratch::new("trace-pipe");
    let [pipe, link] = ["pipe", "link"].map(|name| scratch.path().join(name));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    symlink("absent", &link).unwrap();
    let refused = |path: &Path, why: &str| {
        let words = run(path.to_str().unwrap());
        assert_eq!(words, format!("warning: no trace is written to '{}': {why}\n", path.display()));
    };
    refused(&link, "it is a symbolic link");
    refused(&pipe, "it is a pipe or a socket");
    // Somebody reads from it.
    let reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&pipe).unwrap();
    refused(&pipe, "it is a pipe");
    drop(reader);
    scratch.passed();
}

#[test]
fn children_are_traced_where_they_inherit_it() {
    let script = "/bin/true; (exec /bin/true); (read line < /dev/null; :) ; exit 0";
    let Some(traced) = trace("children", Way::Bind, "/bin/bash", &["-c", script]) else { return };
    assert_well(&traced);
    let programs: Vec<_> = traced.of("start").filter_map(|line| line["program"].as_str()).collect();
    assert_eq!(programs.len(), 3, "{programs:?}");
    // A child that binds a function says first whose child it is.
    let parent = &traced.lines[0]["pid"];
    for line in traced.of("fork") {
        assert_eq!(&line["parent"], parent);
        let first = traced.lines.iter().find(|other| other["pid"] == line["pid"]);
        assert_eq!(first, Some(line));
    }
    assert!(traced.of("fork").count() > 0);
    let Some(traced) = trace("named", Way::Direct, "/bin/bash", &["-c", script]) else { return };
    assert_eq!(traced.of("start").count(), 1);
}

#[test]
fn programs_find_no_descriptor_and_may_close_all() {
    // The tests may have been given descriptors of their own.
    let count = "import os; print(os.open('/', os.O_RDONLY), end='')";
    let plain = Command::new(PYTHON).args(["-c", count]).output();
    let free = plain.map_or_else(|_| "3".into(), |it| String::from_utf8(it.stdout).unwrap());
    let script = format!(
        "import os\nassert os.open('/', os.O_RDONLY) == {free}, os.listdir('/proc/self/fd')\n\
         os.closerange(0, 100)\nimport _ssl"
    );
    let Some(traced) = trace("descriptors", Way::Bind, PYTHON, &["-c", &script]) else { return };
    assert_well(&traced);
    assert!(traced.all("dlopen", "object").iter().any(|name| name.contains("_ssl")));
    assert_eq!(traced.lines.last().unwrap()["event"], "exit");
}

#[test]
fn threads_tell_whole_lines() {
    let script = "import threading, ctypes\n\
                  def work(name):\n    \
                      for _ in range(20):\n        \
                          try: ctypes.CDLL(name)\n        \
                          except OSError: pass\n\
                  names = ['libz.so.1', 'libm.so.6', '/nonexistent.so', 'no-such.so']\n\
                  threads = [threading.Thread(target=work, args=(name,)) for name in names]\n\
                  [thread.start() for thread in threads]\n[thread.join() for thread in threads]";
    let Some(traced) = trace("threads", Way::Bind, PYTHON, &["-c", script]) else { return };
    assert_well(&traced);
    let threads: BTreeSet<_> = traced.of("dlopen").map(|line| line["tid"].as_u64()).collect();
    assert!(threads.len() >= 4, "{threads:?}");
    let failed = traced.of("dlopen").filter(|line| line["name"] == "no-such.so");
    let errors: Vec<_> = failed.map(|line| line["error"].as_str().unwrap()).collect();
    assert_eq!(errors.len(), 20);
    let first = "no-such.so: cannot open shared object file: No such file or directory";
    assert!(errors[0].starts_with(first), "{errors:?}");
}

#[test]
fn a_program_that_cannot_start_says_why() {
    let missing = |run: &mut Run| run.env.push(("LD_PRELOAD".into(), "./not-there.so".into()));
    let Some(traced) = trace_with("missing", Way::Direct, "/bin/ls", &["/"], missing) else {
        return;
    };
    let attempts: Vec<_> = traced.of("attempt").filter(|line| line["rule"] == "preload").collect();
    assert_eq!(attempts[0]["found"], false);
    assert_eq!(attempts[0]["why"], "No such file or directory");

    let scratch = Scratch::new("trace-cannot");
    let build = "echo 'int f(void) {return 0;}' > f.c; echo 'int f(void); int main(void) {return f();}' > m.c; \
                 gcc -shared -fpic -o libf.so f.c && gcc -o main m.c -L. -lf && rm libf.so";
    let built =
        Command::new("sh").args(["-ec", build]).current_dir(scratch.path()).status().unwrap();
    assert!(built.success());
    let program = scratch.path().join("main");
    let traced = trace("cannot", Way::Direct, program.to_str().unwrap(), &[]).unwrap();
    assert_eq!(traced.outcome.end, End::Exit(127));
    let error = traced.of("error").next().unwrap()["text"].as_str().unwrap();
    assert_eq!(error, traced.outcome.stderr.trim_end());
    assert!(error.contains("libf.so: cannot open shared object file"), "{error}");
    assert_eq!(traced.of("entry").count(), 0);
    scratch.passed();
}
