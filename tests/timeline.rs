//! `rld-inspect timeline`: traces of real runs, and some made up, as a page in a browser and as a file for Perfetto.

mod support;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::loader;
use support::run::{self, End, Run};
use support::scratch::Scratch;

const TOOL: &str = env!("CARGO_BIN_EXE_rld-inspect");

/// Exit status and standard error of the tool.
fn inspect(arguments: &[&str], directory: &Path) -> (Option<i32>, String) {
    let output = Command::new(TOOL).args(arguments).current_dir(directory).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Traces a program into `trace`.
fn trace(program: &str, arguments: &[&str], directory: &Path) {
    let mut run = Run::new(loader::subject(), directory);
    run.args = ["--trace", "trace", program].iter().chain(arguments).map(Into::into).collect();
    let outcome = run::run(&run).unwrap();
    assert_eq!(outcome.end, End::Exit(0), "{outcome}");
}

/// Writes a trace that a program could have, whose lines come after its start.
fn made_up(lines: &[Value], directory: &Path) {
    let start = json!({
        "event": "start", "t": 1000, "pid": 7, "tid": 7, "rld_trace": 1, "rld": "0",
        "program": "/bin/<made>", "arguments": ["<made>", "up"],
    });
    let mut text = format!("{start}\n");
    for (t, line) in (1001..).zip(lines) {
        let mut line = line.clone();
        for (member, value) in [("t", t), ("pid", 7), ("tid", 7)] {
            line[member] = line.get(member).cloned().unwrap_or(value.into());
        }
        writeln!(text, "{line}").unwrap();
    }
    fs::write(directory.join("trace"), text).unwrap();
}

/// The program that makes pages, if there is one; said loudly if not.
fn browser(test: &str) -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let all =
        std::env::split_paths(&folders).flat_map(|folder| names.map(|name| folder.join(name)));
    let found = all.into_iter().find(|path| path.exists());
    if found.is_none() {
        eprintln!("SKIPPED (there is no chromium): {test}");
    }
    found
}

/// What a browser makes of `page.html`, at a place that follows `#`.
fn browse(browser: &Path, directory: &Path, place: &str, option: &str) -> String {
    let mut run = Run::new(browser, directory);
    let page = format!("file://{}/page.html#{place}", directory.display());
    let profile = format!("--user-data-dir={}", directory.join("profile").display());
    let options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=1500,1000",
        &profile,
        option,
        &page,
    ];
    run.args = options.map(Into::into).to_vec();
    run.limit = Duration::from_secs(240);
    let outcome = run::run(&run).unwrap();
    assert_eq!(outcome.end, End::Exit(0), "{outcome}");
    outcome.stdout
}

/// The part of a document that the lists are in.
fn panel(document: &str) -> &str {
    let start = document.find("<div id=\"panel\"").expect("the page has a panel");
    &document[start..document.find("<noscript>").unwrap()]
}

fn rows(document: &str) -> usize {
    panel(document).matches("role=\"row\"").count() - 1
}

#[test]
fn lines_that_are_no_trace_are_named() {
    let scratch = Scratch::new("timeline-bad");
    let start = r#"{"event":"start","t":1,"pid":1,"tid":1,"rld_trace":1,"rld":"0","program":"p","arguments":[]}"#;
    let bad: &[(&[u8], &str)] = &[
        (b"", "trace: line 1: the file is empty"),
        (b"hello\n", "trace: line 1: expected value"),
        (b"{}\n", "trace: line 1: missing field `t`"),
        (b"START\n{\"t\":1\n", "trace: line 2: EOF while parsing"),
        (b"START\n\n", "trace: line 2: EOF while parsing"),
        (b"START\nSTART\n{\"event\":\"map\",\"t\":1,\"pid\":1,\"tid\":1}\n", "trace: line 3: missing field"),
        (b"{\"event\":\"exit\",\"t\":1,\"pid\":1,\"tid\":1}\n", "trace: line 1: a trace begins with"),
        (b"START\n\"\xff\"\n", "trace: line 2: not UTF-8"),
        (
            b"{\"event\":\"start\",\"t\":1,\"pid\":1,\"tid\":1,\"rld_trace\":2,\"program\":\"\",\"arguments\":[]}\n",
            "trace: line 1: this is a trace of format 2, and 1 is understood",
        ),
    ];
    for (text, words) in bad {
        let text: Vec<u8> = text
            .split(|byte| *byte == b'\n')
            .map(|line| if line == b"START" { start.as_bytes() } else { line })
            .collect::<Vec<_>>()
            .join(&b'\n');
        fs::write(scratch.path().join("trace"), text).unwrap();
        let (status, errors) = inspect(&["timeline", "trace"], scratch.path());
        assert_eq!(status, Some(1), "{errors}");
        assert!(
            errors.starts_with(&format!("rld-inspect: {words}")),
            "{errors:?} is not {words:?}"
        );
    }
    // No line ends, nor does the file.
    let (status, errors) = inspect(&["timeline", "/dev/zero"], scratch.path());
    assert_eq!(
        (status, &*errors),
        (Some(1), "rld-inspect: /dev/zero: line 1: too long for a trace\n")
    );
    let (status, errors) = inspect(&["timeline", "absent"], scratch.path());
    assert_eq!((status, errors.contains("absent: No such file")), (Some(1), true), "{errors}");
    // Events of later versions are no defect.
    let later = format!("{start}\n{{\"event\":\"nap\",\"t\":1,\"pid\":1,\"tid\":1,\"x\":[]}}\n");
    fs::write(scratch.path().join("trace"), later).unwrap();
    for format in ["html", "perfetto"] {
        let (status, errors) = inspect(&["timeline", "trace", "--format", format], scratch.path());
        assert_eq!((status, errors.as_str()), (Some(0), ""));
    }
    let (status, errors) = inspect(&["timeline", "trace", "-o", "absent/out"], scratch.path());
    assert_eq!((status, errors.contains("absent/out: No such file")), (Some(1), true), "{errors}");
    scratch.passed();
}

/// The rules of the Trace Event Format that Perfetto relies on.
fn assert_perfetto(document: &Value) {
    let events = document["traceEvents"].as_array().unwrap();
    let mut open: std::collections::BTreeMap<(u64, u64), Vec<f64>> = Default::default();
    let mut last = f64::MIN;
    for event in events {
        assert!(event["pid"].is_u64() && event["name"].is_string(), "{event}");
        let time = || {
            let time = event["ts"].as_f64().unwrap();
            assert!(time >= 0.0, "{event}");
            time
        };
        match event["ph"].as_str().unwrap() {
            "M" => {
                assert_eq!(event["name"], "process_name");
                assert!(event["args"]["name"].is_string());
                (open.clear(), last = f64::MIN).1
            }
            "X" => {
                let (begin, length) = (time(), event["dur"].as_f64().unwrap());
                assert!(begin >= last && length >= 0.0 && event["cat"].is_string(), "{event}");
                last = begin;
                let thread = (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap());
                // Within a thread, what begins inside ends inside.
                let around = open.entry(thread).or_default();
                around.retain(|end| *end > begin + 1e-6);
                let end = begin + length;
                assert!(around.iter().all(|outer| end <= outer + 1e-6), "{event}");
                around.push(end);
            }
            "i" => {
                time();
                assert!(event["s"] == "t" && event["tid"].is_u64(), "{event}");
            }
            "C" => {
                time();
                assert!(event["args"].as_object().unwrap().values().all(Value::is_u64), "{event}");
            }
            other => panic!("{other}: {event}"),
        }
    }
}

#[test]
fn perfetto_gets_what_its_format_asks_for() {
    let scratch = Scratch::new("timeline-perfetto");
    let programs: [(&str, &[&str]); 2] =
        [("/bin/ls", &["-d", "/"]), ("/usr/bin/python3", &["-c", "import ssl, sqlite3"])];
    for (program, arguments) in programs {
        if !Path::new(program).exists() {
            eprintln!("SKIPPED: there is no {program}");
            continue;
        }
        let _ = fs::remove_file(scratch.path().join("trace"));
        trace(program, arguments, scratch.path());
        let made = ["timeline", "--format", "perfetto", "--output", "out.json", "trace"];
        assert_eq!(inspect(&made, scratch.path()), (Some(0), String::new()));
        let text = fs::read_to_string(scratch.path().join("out.json")).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_perfetto(&document);
        // What was told is in it.
        let lines = fs::read_to_string(scratch.path().join("trace")).unwrap();
        let lines: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let count = |event: &str| lines.iter().filter(|line| line["event"] == event).count();
        let events = document["traceEvents"].as_array().unwrap();
        let shown = |category: &str| events.iter().filter(|event| event["cat"] == category).count();
        for kind in ["search", "relocate", "initialiser", "finaliser", "dlopen", "binding", "entry"]
        {
            assert_eq!(count(kind), shown(kind), "{kind} of {program}");
        }
        assert!(shown("binding") > 50 && shown("map") > 1);
        let last = events.iter().rfind(|event| event["ph"] == "C").unwrap();
        let all = last["args"]["bindings"].as_u64().unwrap();
        assert!(all as usize > count("binding") * 9 / 10, "{last}");
    }
    scratch.passed();
}

#[test]
fn a_page_needs_nothing_else() {
    let scratch = Scratch::new("timeline-page");
    trace("/bin/ls", &["-d", "/"], scratch.path());
    let made = ["timeline", "trace", "-o", "page.html"];
    assert_eq!(inspect(&made, scratch.path()), (Some(0), String::new()));
    let page = fs::read_to_string(scratch.path().join("page.html")).unwrap();
    assert!(page.contains("default-src 'none'") && !page.contains("{{"), "{page}");
    let addresses: Vec<_> =
        page.match_indices("://").map(|(at, _)| &page[at - 4..at + 13]).collect();
    assert_eq!(addresses, ["http://www.w3.org"], "only the name of SVG's elements");
    for word in ["src=", "href=", "@import", "url(", "fetch(", "innerHTML", "eval("] {
        let found = page.find(word).map(|at| &page[at..at + 20]);
        assert!(found.is_none_or(|it| it.starts_with("url(#arrow)")), "{found:?}");
    }
    scratch.passed();
}

#[test]
fn a_browser_shows_what_the_address_asks_for() {
    let Some(browser) = browser("a_browser_shows_what_the_address_asks_for") else { return };
    let scratch = Scratch::new("timeline-browser");
    trace("/bin/ls", &["-d", "/"], scratch.path());
    inspect(&["timeline", "trace", "-o", "page.html"], scratch.path());
    let dump = |place: &str| browse(&browser, scratch.path(), place, "--dump-dom");
    let lines = fs::read_to_string(scratch.path().join("trace")).unwrap();
    let count = |pieces: &[&str]| {
        lines.lines().filter(|line| pieces.iter().all(|piece| line.contains(piece))).count()
    };

    let objects = dump("");
    assert_eq!(rows(&objects), count(&["\"event\":\"map\""]));
    assert!(objects.contains("<title>ls – rld timeline</title>"));
    assert!(objects.contains(">to the entry point</dt>"));
    for object in ["/bin/ls", "libc.so.6", "linux-vdso.so.1"] {
        assert!(panel(&objects).contains(object), "{object}");
    }

    let bindings = dump("view=bindings&q=symbol:__cxa_finalize+used-by:ls&sort=-time");
    let found = count(&["\"symbol\":\"__cxa_finalize\"", "\"from\":\"/bin/ls\""]);
    assert_eq!((rows(&bindings), found), (1, 1), "{}", panel(&bindings));
    assert!(panel(&bindings).contains("aria-sort=\"descending\""));
    let none = dump("view=bindings&q=no-such-symbol");
    assert_eq!(rows(&none), 0);
    assert!(panel(&none).contains("Nothing fits the filter."));

    let searches = dump("view=searches&q=outcome:found");
    assert_eq!(rows(&searches), count(&["\"event\":\"attempt\"", "\"found\":true"]));

    let graph = dump("view=dependencies");
    let needed = ["\"to\":\"/lib/x86_64-linux-gnu/libc.so.6\"", "\"event\":\"needed\""];
    assert!(count(&needed) == 0 || panel(&graph).contains(">libc.so.6</text>"));
    assert!(panel(&graph).matches("class=\"edge\"").count() >= 2);

    browse(&browser, scratch.path(), "", "--screenshot=page.png");
    let picture = fs::read(scratch.path().join("page.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 20_000, "{}", picture.len());
    scratch.passed();
}

#[test]
fn names_do_not_become_markup() {
    let Some(browser) = browser("names_do_not_become_markup") else { return };
    let scratch = Scratch::new("timeline-names");
    let evil = "/lib/</script><img id=evil src=x onerror=document.title=1>.so";
    let lines = [
        json!({"event": "map", "object": evil, "address": "0x1000", "size": 4096}),
        json!({"event": "search", "name": evil, "requester": evil, "found": evil, "duration": 10, "t": 1010}),
        json!({"event": "attempt", "path": evil, "rule": "RUNPATH", "of": evil, "found": false, "why": evil,
               "t": 1011}),
        json!({"event": "needed", "object": evil, "name": evil, "to": "/lib/\u{2028}<!--.so"}),
        json!({"event": "binding", "symbol": evil, "from": evil, "to": evil, "how": "relocation"}),
        json!({"event": "dlopen", "name": evil, "error": evil, "duration": 5, "t": 1040}),
        json!({"event": "error", "text": evil}),
    ];
    made_up(&lines, scratch.path());
    inspect(&["timeline", "trace", "-o", "page.html"], scratch.path());
    for view in ["objects", "dependencies", "bindings", "searches"] {
        let document =
            browse(&browser, scratch.path(), &format!("view={view}&q=evil"), "--dump-dom");
        assert!(!document.contains("<img"), "{view}");
        assert!(document.contains("<title>&lt;made&gt; – rld timeline</title>"), "{document}");
        assert!(panel(&document).contains("&lt;img"), "{view}: {}", panel(&document));
    }
    scratch.passed();
}

#[test]
fn a_hundred_thousand_bindings_are_a_few_rows() {
    let Some(browser) = browser("a_hundred_thousand_bindings_are_a_few_rows") else { return };
    let scratch = Scratch::new("timeline-many");
    let binding = |number: u32| {
        json!({"event": "binding", "symbol": format!("symbol_{number}"), "from": "/bin/<made>",
               "to": format!("/lib/lib{}.so", number % 100), "how": "relocation"})
    };
    made_up(&(0..100_000).map(binding).collect::<Vec<_>>(), scratch.path());
    inspect(&["timeline", "trace", "-o", "page.html"], scratch.path());
    let document =
        browse(&browser, scratch.path(), "view=bindings&q=defined-in:lib42.so", "--dump-dom");
    assert!(document.contains("1\u{2009}000 of 100\u{2009}000"), "{}", panel(&document));
    assert!((10..100).contains(&rows(&document)), "{}", rows(&document));
    assert!(panel(&document).contains(">symbol_42<"));
    scratch.passed();
}
