//! The manual: mandoc and groff have nothing to say against its pages, they fit a terminal, and what they list is what
//! there is.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::package;

const INSPECT: &str = env!("CARGO_BIN_EXE_rld-inspect");
/// Each page's file among the sources.
const PAGES: [&str; 3] = ["rld.8", "rldd.1", "rld-inspect.1"];

/// A page's source.
fn source(page: &str) -> String {
    fs::read_to_string(package().join("src/bin/rld-inspect/generate").join(page)).unwrap()
}

/// A page as it is installed, as text and as a file.
fn page(name: &str, test: &str) -> (String, PathBuf) {
    let (tool, _) = name.rsplit_once('.').unwrap();
    let output = Command::new(INSPECT).args(["generate", "man", tool]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("manual-{test}-{name}"));
    fs::write(&path, &output.stdout).unwrap();
    (String::from_utf8(output.stdout).unwrap(), path)
}

/// Standard output, then standard error; `None`, with the reason on the terminal, where there is no such program.
fn said(program: &str, arguments: &[&str], page: &Path) -> Option<(String, String)> {
    let mut command = Command::new(program);
    let Ok(output) = command.args(arguments).arg(page).output() else {
        eprintln!("SKIPPED: there is no {program}");
        return None;
    };
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Some((text(output.stdout), text(output.stderr)))
}

#[test]
fn mandoc_finds_nothing_to_blame() {
    for name in PAGES {
        let (_, path) = page(name, "mandoc");
        let Some((complaints, _)) = said("mandoc", &["-T", "lint"], &path) else { return };
        // Pages of other packages need not be here, nor ours be installed.
        let own = complaints.lines().filter(|line| !line.contains("referenced manual not found"));
        assert_eq!(own.collect::<Vec<_>>(), Vec::<&str>::new());
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn groff_shows_the_pages_in_eighty_columns() {
    for name in PAGES {
        let (_, path) = page(name, "groff");
        let arguments = ["-mdoc", "-ww", "-Tascii", "-P-cbou", "-rLL=80n"];
        let Some((text, warnings)) = said("groff", &arguments, &path) else { return };
        assert_eq!(warnings, "", "{name}");
        assert!(text.lines().count() > 40, "{text}");
        for line in text.lines() {
            assert!(line.len() <= 80, "{name}: {line}");
        }
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn all_options_and_commands_are_there() {
    let (text, path) = page("rld.8", "lists");
    fs::remove_file(path).unwrap();
    for row in rld::cli::table() {
        let value = row.value.map(|value| format!(" Ar {value}")).unwrap_or_default();
        let item = format!("\n.It Fl {}{value}\n", &row.name[1..]);
        assert!(text.contains(&item), "{item}");
    }
    let (text, path) = page("rld-inspect.1", "lists");
    fs::remove_file(path).unwrap();
    let (general, _) = said(INSPECT, &[], Path::new("--help")).unwrap();
    let commands = general.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let mut items = 0;
    for line in commands.lines().filter(|line| !line.starts_with("   ")) {
        let command = line.split_whitespace().next().unwrap();
        assert!(text.contains(&format!("\n.Cm {command}\n.Op Ar OPTION ...\n")), "{command}");
        assert!(text.contains(&format!("\n.It Cm {command} ")), "{command}");
        let (help, _) = said(INSPECT, &[command], Path::new("--help")).unwrap();
        let options = help.split_once("Options:\n").unwrap().1.lines();
        for option in options.filter_map(|line| line.split_once("--")) {
            let name = option.1.split_whitespace().next().unwrap();
            assert!(text.contains(&format!("Fl -{name}")), "{command}: --{name}");
            items += 1;
        }
    }
    assert!(items > 20, "{items}");
}

#[test]
fn what_the_sources_add_finds_its_place() {
    for name in PAGES {
        let (text, path) = page(name, "marks");
        fs::remove_file(path).unwrap();
        let left = text.lines().find(|line| line.starts_with(".\\\""));
        assert_eq!(left, None, "{name}: nobody knows this mark");
        for mark in source(name).lines().filter_map(|line| line.strip_prefix(".\\\" @about ")) {
            assert!(text.contains(&format!("Fl -{}", &mark[2..])), "{name}: no option {mark}");
        }
    }
}
