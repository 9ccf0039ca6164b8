//! `rld-inspect libc`: what it says of C libraries besides glibc's, and what the loader does with their programs.

use std::path::{Path, PathBuf};

use super::json::json;
use super::support::{command, compile, inspect, scratch};

const LIBRARY: [&str; 4] = ["-shared", "-fpic", "-nostdlib", "-Wl,-soname,libc.so"];

#[test]
fn what_is_said_of_another_c_library_is_done() {
    let folder = scratch("bionic");
    let library = "void __libc_init(void) {} void run(void) {}";
    let program = "void run(void); void _start(void) { run(); }";
    let flags = ["-nostdlib", "-nostartfiles", "libc.so", "-Wl,-rpath,$ORIGIN"];
    let built = compile(&folder, "libc.so", library, &LIBRARY)
        .and_then(|()| compile(&folder, "program", program, &flags));
    let Some(()) = built else { return };
    let path = folder.join("libc.so").display().to_string();
    let (status, text, errors) = inspect(&["libc", &path]);
    assert_eq!((status, &*errors), (1, ""));
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    assert_eq!(lines[0], format!("{path}: not supported: this C library is not known"));
    for line in ["it seems to be bionic: it defines __libc_init", "SONAME: libc.so"] {
        assert!(lines.contains(&line), "no `{line}` in:\n{text}");
    }
    assert!(lines.last().unwrap().starts_with("please report it"), "{text}");

    let output = command(env!("CARGO_BIN_EXE_rld")).arg(folder.join("program")).output().unwrap();
    assert_eq!(output.status.code(), Some(127));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("libc.so: this C library is not known\n"), "{words}");
    for sign in &lines[1..] {
        assert!(words.contains(sign), "no `{sign}` in:\n{words}");
    }
}

#[test]
fn musl_is_supported() {
    let suites = std::env::var_os("RLD_SUITES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/suites"), PathBuf::from);
    let suites = ["bullseye", "bookworm", "trixie", "sid"].map(|suite| suites.join(suite));
    let mut paths = Vec::from([PathBuf::from("/lib/ld-musl-x86_64.so.1")]);
    paths.extend(suites.map(|root| root.join("usr/lib/x86_64-linux-musl/libc.so")));
    paths.retain(|path| path.exists());
    if paths.is_empty() {
        println!("SKIPPED: there is no musl here, and tests/suites has fetched none");
    }
    for path in paths {
        let (status, text, errors) = inspect(&["libc", path.to_str().unwrap()]);
        assert_eq!((status, &*errors), (0, ""), "{text}");
        let mut lines = text.lines();
        assert!(lines.next().unwrap().ends_with(": supported"), "{text}");
        assert!(lines.any(|line| line.starts_with("  release: 1.")), "{text}");
    }
}

#[test]
fn releases_of_musl() {
    let folder = scratch("musl");
    let source = "void __dls2b(void) {} void __dls3(void) {}\n\
                  const char version[] = \"1.2.99-git-7\", other[] = \"1.2\";\n";
    let Some(()) = compile(&folder, "libc.so", source, &LIBRARY) else { return };
    let path = folder.join("libc.so").display().to_string();
    let (status, text, errors) = inspect(&["libc", &path]);
    // It cannot be entered.
    assert_eq!((status, &*errors), (1, ""));
    assert!(text.contains("\n  it seems to be musl: it defines __dls2b, __dls3\n"), "{text}");
    assert!(text.contains("\n  release: 1.2.99-git-7\n"), "{text}");
    let (_, document) = json(&["libc", &path, "/bin/sh"]);
    let [musl, other] = &document["libraries"].as_array().unwrap()[..] else { panic!() };
    assert_eq!(
        (musl["family"].as_str(), musl["release"].as_str()),
        (Some("musl"), Some("1.2.99-git-7"))
    );
    assert_eq!(
        (other["family"].as_str(), other["refusal"].as_str()),
        (None, Some("not a C library"))
    );
}
