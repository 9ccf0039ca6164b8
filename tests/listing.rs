//! `--list` and LD_TRACE_LOADED_OBJECTS show what ld.so's show, but for the addresses.

use std::path::Path;
use std::process::Command;

const RLD: &str = env!("CARGO_BIN_EXE_rld");
const SYSTEM: &str = "/lib64/ld-linux-x86-64.so.2";
const PROGRAMS: [&str; 8] = [
    "/bin/ls",
    "/bin/bash",
    "/usr/bin/git",
    "/usr/bin/openssl",
    "/usr/bin/perl",
    "/usr/bin/gdb",
    "/usr/bin/ssh",
    "/usr/bin/sqlite3",
];

/// The lines of a list, without addresses.
fn lines(loader: &str, arguments: &[&str], variable: bool) -> Vec<String> {
    let mut command = Command::new(loader);
    if variable {
        command.env("LD_TRACE_LOADED_OBJECTS", "1");
    }
    let output = command.args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{loader} {arguments:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    // The loader is listed by the path that it was called by; the system's is what programs ask for.
    let own = format!(" => {loader}");
    let strip = |line: &str| {
        line.rsplit_once(" (0x").map_or(line, |(line, _)| line).trim_end_matches(&own).to_owned()
    };
    text.lines().map(strip).collect()
}

#[test]
fn what_is_missing_is_listed_for_ldd_and_ends_a_list() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("listing");
    std::fs::create_dir_all(&folder).unwrap();
    let cc = |arguments: &[&str]| {
        let status = Command::new("gcc").current_dir(&folder).args(arguments).status().unwrap();
        assert!(status.success(), "{arguments:?}");
    };
    std::fs::write(folder.join("lib.c"), "int f(void) { return 1; }\n").unwrap();
    std::fs::write(folder.join("main.c"), "int main(void) { return 0; }\n").unwrap();
    cc(&["-shared", "-fPIC", "lib.c", "-o", "libgone.so"]);
    cc(&["main.c", "-o", "main", "-Wl,--no-as-needed", "-L.", "-lgone"]);
    std::fs::remove_file(folder.join("libgone.so")).unwrap();
    let program = folder.join("main").into_os_string().into_string().unwrap();
    let expected = lines(SYSTEM, &[&program], true);
    assert!(expected.iter().any(|line| line.ends_with("libgone.so => not found")));
    assert_eq!(lines(RLD, &[&program], true), expected);
    let status = Command::new(RLD).args(["--list", &program]).output().unwrap().status;
    assert_eq!(status.code(), Some(127));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_list_is_that_of_the_system() {
    for program in PROGRAMS {
        if !Path::new(program).exists() {
            println!("SKIPPED: {program} is not installed");
            continue;
        }
        let expected = lines(SYSTEM, &["--list", program], false);
        assert!(expected.len() >= 3, "{expected:?}");
        assert_eq!(lines(RLD, &["--list", program], false), expected, "{program}");
        assert_eq!(lines(RLD, &[program], true), expected, "{program}");
    }
}
