//! `--list` and LD_TRACE_LOADED_OBJECTS show what ld.so's show, but for the addresses; `--tree` shows what
//! `rld-inspect tree` does.

mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::build::{self, Step};

const RLD: &str = env!("CARGO_BIN_EXE_rld");
const INSPECT: &str = env!("CARGO_BIN_EXE_rld-inspect");
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

/// What a loader lists of a program that auditors watch, without addresses; what they say meanwhile; and the status.
fn audited(
    loader: &str,
    program: &Path,
    auditors: &str,
    variables: &[(&str, &str)],
) -> (String, String, Option<i32>) {
    let mut command = Command::new(loader);
    let folder = program.parent().unwrap();
    command.current_dir(folder).env("LD_LIBRARY_PATH", folder).env("LD_AUDIT", auditors);
    if variables.is_empty() {
        command.arg("--list");
    }
    let output = command.envs(variables.iter().copied()).arg(program).output().unwrap();
    let [list, log] = [&output.stdout, &output.stderr].map(|bytes| {
        let without = |line: &str| line.split(" (0x").next().unwrap_or_default().to_owned();
        let lines: Vec<_> = text(bytes).lines().map(without).collect();
        // The loader is listed by the path that it was called by.
        lines.join("\n").replace(&format!("{SYSTEM} => {loader}"), SYSTEM)
    });
    (list, log, output.status.code())
}

const AUDITORS: [&str; 6] = [
    "liblog.so",
    "liblog.so:libname.so",
    "libcalls.so",
    "liblog.so:libcalls.so",
    "libpath.so",
    "absent.so",
];

#[test]
fn auditors_watch_what_is_listed() {
    let link = Step::link;
    let steps = [
        link(
            true,
            "liboriginal.so",
            "rename-part.c -DNAME=\"original\" -Wl,-soname,liboriginal.so",
        ),
        link(true, "libother.so", "rename-part.c -DNAME=\"other\" -Wl,-soname,libother.so"),
        link(true, "libfile.so", "rename-part.c -DNAME=\"file\" -Wl,-soname,libfile.so"),
        link(true, "libgone.so", "rename-part.c -DNAME=\"gone\" -Wl,-soname,libgone.so"),
        link(true, "libshort.so", "rename-part.c -DNAME=\"short\""),
        link(true, "liblog.so", "log.c -DBIND"),
        link(true, "libname.so", "rename-auditor.c -DNAMES"),
        link(true, "libpath.so", "rename-auditor.c -DPATHS"),
        link(true, "libhide.so", "rename-auditor.c -DHIDE"),
        link(false, "whole", "rename.c -L. -loriginal -Wl,-rpath,$ORIGIN"),
        link(true, "libcalls.so", "log.c -DBIND -DCALLS"),
        link(false, "now", "rename.c -L. -loriginal -Wl,-rpath,$ORIGIN,-z,now"),
        link(false, "part", "rename.c -L. -loriginal -Wl,-rpath,$ORIGIN -Wl,--no-as-needed -lgone"),
        link(false, "lacking", "rename.c -L. -lshort -Wl,-rpath,$ORIGIN"),
        Step::shell("rm libgone.so"),
        // What `part` is linked to is no longer there.
        link(true, "libshort.so", "rename-part.c -Dpart=other -DNAME=\"short\""),
    ];
    let sources = support::package().join("fixtures").join("audit");
    let folder = build::build("listing", &sources, &steps).unwrap();
    let traced = ("LD_TRACE_LOADED_OBJECTS", "1");
    let (data, functions) = (("LD_WARN", "1"), ("LD_BIND_NOW", "1"));
    let ways: [&[(&str, &str)]; 6] = [
        &[],
        &[traced],
        &[traced, data],
        &[traced, data, functions],
        &[traced, ("LD_DEBUG", "unused")],
        &[traced, data, functions, ("LD_DEBUG", "unused")],
    ];
    for program in ["whole", "now", "part", "lacking"].map(|name| folder.join(name)) {
        for auditors in AUDITORS {
            for variables in ways {
                let [expected, actual] =
                    [SYSTEM, RLD].map(|loader| audited(loader, &program, auditors, variables));
                // A list that ends at the first that is missing ends in an error, of which rld says more.
                let errors = |log: &str| log.contains("error while loading");
                if errors(&expected.1) {
                    assert!(errors(&actual.1), "{auditors} {}", actual.1);
                    assert_eq!((actual.0, actual.2), (expected.0, expected.2), "{auditors}");
                } else {
                    assert_eq!(actual, expected, "{auditors} {variables:?}");
                }
            }
        }
    }
    let whole = folder.join("whole");
    let now = folder.join("now");
    let (_, log, _) = audited(RLD, &now, "liblog.so", &[traced, data]);
    assert!(log.contains("symbind part: main to "), "{log}");
    let (list, log, _) = audited(RLD, &whole, "liblog.so:libname.so", &[traced]);
    assert!(list.contains("libother.so => ") && !list.contains("liboriginal.so => "), "{list}");
    assert!(log.contains("objopen ") && !log.contains("preinit"), "{log}");
    // Here ld.so crashes.
    let (list, _, status) = audited(RLD, &whole, "libhide.so", &[traced]);
    assert!(list.contains("\tliboriginal.so => not found"), "{list}");
    assert_eq!(status, Some(0));
}

/// What stands behind a list: one line for each name that was asked for.
fn found(loader: &str, arguments: &[&str]) -> (Option<i32>, Vec<String>, String) {
    let output = Command::new(loader).arg("--list").args(arguments).output().unwrap();
    let bias = |line: &str| Some(line.split_once(" in object at 0x")?.0.to_owned());
    let error = text(&output.stderr).lines().next().unwrap_or_default().to_owned();
    (output.status.code(), text(&output.stdout).lines().filter_map(bias).collect(), error)
}

#[test]
fn names_behind_the_program_are_looked_up() {
    let all = [
        "puts",
        "malloc",
        "errno",
        "stdout",
        "strlen",
        "environ",
        "_rtld_global",
        "absent",
        "printf",
    ];
    let programs = ["/bin/true", "/bin/bash", "/sbin/ldconfig"];
    for program in programs.into_iter().filter(|it| Path::new(it).exists()) {
        let arguments: Vec<_> = [program].into_iter().chain(all).collect();
        let (status, lines, error) = found(SYSTEM, &arguments);
        assert_eq!(status, Some(127), "{error}");
        let (own_status, own_lines, own_error) = found(RLD, &arguments);
        // rld is another loader: what it defines lies elsewhere.
        let others = |lines: Vec<String>| {
            lines.into_iter().filter(|line| !line.starts_with("_rtld")).collect::<Vec<_>>()
        };
        assert_eq!((own_status, own_error), (status, error), "{program}");
        assert_eq!(own_lines.len(), lines.len(), "{program}");
        assert_eq!(others(own_lines), others(lines), "{program}");
    }
    let addresses = run(RLD, &["--list", "/bin/true", "puts"], "");
    let lines: Vec<_> = text(&addresses.stdout).lines().collect();
    let libc =
        lines.iter().find_map(|line| line.strip_prefix("\tlibc.so.6 => ")?.split_once(" (0x"));
    let libc = u64::from_str_radix(libc.unwrap().1.trim_end_matches(')'), 16).unwrap();
    let last = lines.last().unwrap();
    assert!(last.ends_with(&format!(" in object at 0x{libc:016}")), "{libc:#x}: {last}");
}

fn run(program: &str, arguments: &[&str], preload: &str) -> Output {
    Command::new(program).args(arguments).env("LD_PRELOAD", preload).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_tree_is_that_of_the_tool() {
    // What is preloaded comes first; what is missing stands in its place.
    for (preload, status) in [("", 0), ("libm.so.6 /nowhere/libgone.so", 1)] {
        // The tests run the tool under the system's loader, which reports what it cannot preload on standard error.
        for program in
            PROGRAMS.iter().chain(&["/sbin/ldconfig"]).filter(|it| Path::new(it).exists())
        {
            let tool = run(INSPECT, &["tree", program], preload);
            let tree = run(RLD, &["--tree", program], preload);
            let expected = text(&tool.stdout).replace(SYSTEM, RLD);
            assert_eq!(text(&tree.stdout), expected, "{program}");
            assert_eq!(tree.status.code(), Some(status), "{program}");
            assert_eq!(tool.status.code(), Some(status), "{program}");
            assert_eq!(text(&tree.stderr), "");
        }
    }
    let tree = run(RLD, &["--tree", "/bin/ls"], "libm.so.6 /nowhere/libgone.so");
    let lines: Vec<_> = text(&tree.stdout).lines().collect();
    assert!(lines[1].starts_with("├── libm.so.6 => /") && lines[1].ends_with(" [preload: cache]"));
    assert!(lines.contains(
        &"├── /nowhere/libgone.so => not found (cannot open shared object file: No such file or directory)"
    ));
}

#[test]
fn the_tree_has_colours_on_a_terminal() {
    let on_terminal = |environment: &str| {
        let line = format!("env {environment} {RLD} --tree /bin/ls");
        let arguments = ["-qec", &line, "/dev/null"];
        let output = Command::new("script").args(arguments).env_remove("NO_COLOR").output();
        output.map(|output| String::from_utf8(output.stdout).unwrap())
    };
    let Ok(painted) = on_terminal("TERM=xterm") else {
        println!("SKIPPED: script(1) is not installed, which gives a terminal");
        return;
    };
    assert!(painted.starts_with("\x1b[1m/bin/ls\x1b[0m\r\n"), "{painted}");
    assert!(painted.contains(" \x1b[36m[cache]\x1b[0m"), "{painted}");
    for environment in ["TERM=dumb", "TERM=xterm NO_COLOR=1"] {
        let plain = on_terminal(environment).unwrap();
        assert!(plain.contains("[cache]") && !plain.contains('\x1b'), "{environment}: {plain}");
    }
}
