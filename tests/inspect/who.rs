//! `why` and `symbols`: who needs a library, and who defines a symbol for whom.

use std::fs;
use std::path::{Path, PathBuf};

use crate::json::{json, strings};
use crate::support::{compile, inspect, scratch};

const SHARED: [&str; 2] = ["-shared", "-fPIC"];

fn link(directory: &Path, output: &str, source: &str, flags: &[&str]) -> Option<()> {
    let search = ["-Wl,--no-as-needed", "-L.", "-Wl,-rpath,$ORIGIN"];
    compile(directory, output, source, &[&search[..], flags].concat())
}

/// A program that needs `libleft` and `libright`, which need `libbelow`, which needs `libdeep`, which
/// needs `libbelow` again. `libleft` and `libright` both define `twice`.
fn diamond(name: &str) -> Option<(PathBuf, String)> {
    let directory = scratch(name);
    let library = |name: &str, source: &str, needs: &[&str]| {
        let soname = format!("-Wl,-soname,lib{name}.so.1,-zlazy");
        let flags = [&SHARED[..], &[&soname], needs].concat();
        link(&directory, &format!("lib{name}.so"), source, &flags)?;
        fs::copy(
            directory.join(format!("lib{name}.so")),
            directory.join(format!("lib{name}.so.1")),
        )
        .unwrap();
        Some(())
    };
    library("below", "int below(void) { return 1; }", &[])?;
    library("deep", "int below(void); int deep(void) { return below(); }", &["-lbelow"])?;
    library("below", "int deep(void); int below(void) { return deep(); }", &["-ldeep"])?;
    let source = "int below(void); int twice(void) { return 1; } int left(void)
        { return below() + twice(); }";
    library("left", source, &["-lbelow"])?;
    let source = "int below(void); int twice(void) { return 2; } int right(void)
        { return below() + twice(); } static int weak __attribute__((used)) = 1;";
    library("right", source, &["-lbelow"])?;
    let source = "int left(void), right(void); int main() { return left() + right(); }";
    link(&directory, "program", source, &["-lleft", "-lright", "-Wl,-rpath-link,."])?;
    let program = directory.join("program").to_str().unwrap().to_owned();
    Some((directory, program))
}

#[test]
fn every_chain_to_a_library() {
    let Some((directory, program)) = diamond("why") else { return };
    let chains = [
        "libleft.so.1 -> libbelow.so.1 -> libdeep.so.1",
        "libright.so.1 -> libbelow.so.1 -> libdeep.so.1",
    ];
    let found = format!("libdeep.so.1 => {}/libdeep.so.1 [", directory.display());
    // By SONAME, by path, and by file name.
    let path = format!("{}/libdeep.so.1", directory.display());
    for name in ["libdeep.so.1", &path] {
        let (status, text, errors) = inspect(&["why", name, &program]);
        assert_eq!((status, errors.as_str()), (0, ""), "{text}");
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with(&found), "{text}");
        let expected = chains.map(|chain| format!("  {program} -> {chain}"));
        assert_eq!(lines[1..], expected, "{text}");
    }
    let (status, document) = json(&["why", "libdeep.so.1", &program]);
    assert_eq!((status, &document["complete"]), (0, &true.into()));
    let first: Vec<_> = document["chains"][0].as_array().unwrap().iter().collect();
    assert_eq!(first, [&program, "libleft.so.1", "libbelow.so.1", "libdeep.so.1"]);

    // Of libc there are more: a bound is a bound, and is said.
    let (_, text, _) = inspect(&["why", "libc.so.6", &program]);
    let all = text.lines().count() - 1;
    assert!(all >= 6, "{text}");
    let shortest = text.lines().nth(1);
    assert_eq!(shortest, Some(format!("  {program} -> libc.so.6").as_str()));
    let (_, text, _) = inspect(&["why", "--limit", "3", "libc.so.6", &program]);
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(text.ends_with("  … there are more: --limit says how many to show\n"), "{text}");
    let exact = all.to_string();
    let (_, document) = json(&["why", "--limit", &exact, "libc.so.6", &program]);
    assert_eq!(document["complete"], true);

    let preload = ["why", "--preload", &path, "libdeep.so.1", &program];
    let (_, text, _) = inspect(&preload);
    assert_eq!(text.lines().nth(1), Some(format!("  (preloaded) -> {path}").as_str()), "{text}");

    fs::remove_file(&path).unwrap();
    let (status, text, _) = inspect(&["why", "libdeep.so.1", &program]);
    assert_eq!(status, 0, "{text}");
    assert!(
        text.starts_with("libdeep.so.1 => missing (libdeep.so.1: cannot open shared"),
        "{text}"
    );
    assert!(text.contains("libright.so.1 -> libbelow.so.1 -> libdeep.so.1\n"), "{text}");

    let (status, text, _) = inspect(&["why", "libother.so", &program]);
    assert_eq!((status, text), (1, format!("{program} does not need libother.so\n")));
    let (_, text, _) = inspect(&["why", "libdepe.so.1", &program]);
    assert!(text.ends_with("need libdepe.so.1; did you mean 'libdeep.so.1'?\n"), "{text}");
    let (status, _, errors) = inspect(&["why", "--limit", "many", "libc.so.6", &program]);
    assert_eq!(status, 2);
    assert!(errors.contains("--limit is a number, not 'many'"), "{errors}");
}

/// Where all need one another, most ways lead in circles: the work has a bound.
#[test]
fn circles_end() {
    let directory = scratch("circles");
    let names: Vec<_> = (0..14).map(|n| format!("c{n}")).collect();
    let all: Vec<_> = names.iter().map(|name| format!("-l{name}")).collect();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    for needs in [&[][..], &all] {
        for name in &names {
            let flags = [&SHARED[..], needs].concat();
            let source = format!("int {name};");
            if link(&directory, &format!("lib{name}.so"), &source, &flags).is_none() {
                return;
            }
        }
    }
    if link(&directory, "program", "int main() { return 0; }", &all[..1]).is_none() {
        return;
    }
    let program = directory.join("program").to_str().unwrap().to_owned();
    let (status, document) = json(&["why", "--limit", "1000000000", "libc13.so", &program]);
    assert_eq!((status, &document["complete"]), (0, &false.into()));
}

#[test]
fn who_defines_a_symbol() {
    let Some((directory, program)) = diamond("symbols") else { return };
    let path = |name: &str| format!("{}/{name}.so.1", directory.display());
    let (left, right) = (path("libleft"), path("libright"));
    let (status, text, errors) = inspect(&["symbols", &program, "twice"]);
    assert_eq!((status, errors.as_str()), (0, ""), "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "twice");
    let start = format!("  1. {left}: twice [FUNC GLOBAL DEFAULT, ");
    assert!(lines[1].starts_with(&start) && lines[1].ends_with("] found; 2 references"), "{text}");
    let start = format!("  2. {right}: twice [FUNC GLOBAL DEFAULT, ");
    assert!(lines[2].starts_with(&start) && lines[2].ends_with("] shadowed by 1"), "{text}");
    let references = [&left, &right].map(|object| format!("  {object}: twice -> 1. {left}"));
    assert_eq!(lines[3..], references, "{text}");

    // The other way round, when it is preloaded.
    let (_, document) = json(&["symbols", "--preload", &right, &program, "twice"]);
    assert_eq!(strings(&document["definitions"], "object"), [&right, &left]);
    assert_eq!(strings(&document["definitions"], "shadowed_by"), [&right]);
    assert_eq!(strings(&document["references"], "definer"), [&right, &right]);

    // Both versions of a function, and what says that one is the default.
    let (_, document) = json(&["symbols", &program, "memcpy"]);
    let versions = strings(&document["definitions"], "version");
    assert_eq!(versions, ["GLIBC_2.2.5", "GLIBC_2.14"]);
    assert_eq!(document["definitions"][1]["default_version"], true);
    for wanted in ["memcpy@GLIBC_2.14", "memcpy@@GLIBC_2.14"] {
        let (_, document) = json(&["symbols", &program, wanted]);
        assert_eq!(strings(&document["definitions"], "version"), ["GLIBC_2.14"]);
    }

    let (status, text, _) = inspect(&["symbols", &program, "nobody_at_all_here"]);
    assert_eq!((status, text.as_str()), (1, "nobody_at_all_here\n  nothing defines it\n"));
    let (_, document) = json(&["symbols", &program, "twise"]);
    assert_eq!(document["near"], "twice");
    fs::remove_file(&left).unwrap();
    let (status, text, errors) = inspect(&["symbols", &program, "left"]);
    assert_eq!(status, 1, "{text}");
    assert!(text.ends_with(&format!("  {program}: left -> UNDEFINED\n")), "{text}");
    assert!(errors.contains("libleft.so.1: cannot open shared object file"), "{errors}");
}

/// The references that `symbols` shows are those of `bindings`, for a symbol that all use.
#[test]
fn references_are_bindings() {
    for program in crate::support::programs() {
        let (_, symbols) = json(&["symbols", program, "malloc"]);
        let (_, bindings) = json(&["bindings", program, "malloc"]);
        let definers = strings(&symbols["references"], "definer");
        let places = bindings["bindings"].as_array().unwrap().iter();
        let places: Vec<_> = places.filter_map(|it| it["definition"]["object"].as_str()).collect();
        assert!(!places.is_empty(), "{program} does not use malloc");
        assert_eq!(definers, places, "{program}");
    }
}
