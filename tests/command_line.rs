//! The command line: what is said and how it ends is compared with ld.so's.

mod support;

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use support::loader;
use support::scratch::Scratch;
use support::suites::SUITES;

fn run<S: AsRef<OsStr>>(loader: &Path, arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(loader).args(arguments).output().unwrap()
}

/// Exit status and first line of stderr, with the loader's name taken out.
fn end(loader: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(loader, arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    let first = text.lines().next().unwrap_or_default();
    (output.status.code(), first.replace(loader.to_str().unwrap(), "$LOADER"))
}

fn assert_same_end(arguments: &[&str]) {
    let expected = end(loader::system(), arguments);
    assert_eq!(end(loader::subject(), arguments), expected, "{arguments:?}");
}

#[test]
fn nonsense_ends_as_under_ld_so() {
    let lines: &[&[&str]] = &[
        &[],
        &["--"],
        &["--nonsense"],
        &["--nonsense", "/bin/true"],
        &["--list"],
        &["--verify"],
        &["--inhibit-cache"],
        &["--help", "--nonsense"],
        &["--list=/bin/true"],
        &["--library-path=/", "/bin/true"],
        &["-x"],
        &["/nonexistent"],
        &["nonexistent"],
        &["/etc/passwd"],
        &["/"],
        &["--list", "/nonexistent"],
        &["--list", "/etc/passwd"],
        &["--audit"],
        &["--audit", "value"],
        &["--preload", "/", "/bin/true"],
        &["--preload", "/etc/passwd", "/bin/true"],
        &["--audit", "/", "/bin/true"],
        &["--audit", "/etc/passwd", "/bin/true"],
    ];
    for line in lines {
        assert_same_end(line);
    }
    for option in [
        "--library-path",
        "--inhibit-rpath",
        "--preload",
        "--argv0",
        "--glibc-hwcaps-prepend",
        "--glibc-hwcaps-mask",
    ] {
        assert_same_end(&[option]);
        assert_same_end(&[option, "value"]);
        assert_same_end(&[option, "--list", "/bin/true"]);
    }
}

#[test]
fn each_option_succeeds_as_under_ld_so() {
    let lines: &[&[&str]] = &[
        &["--list"],
        &["--verify"],
        &["--inhibit-cache"],
        &["--library-path", "/nonexistent"],
        &["--inhibit-rpath", "a:b"],
        &["--preload", "libm.so.6"],
        &["--argv0", "name"],
        &["--glibc-hwcaps-prepend", "x"],
        &["--glibc-hwcaps-mask", "x86-64-v3"],
        &["--list-tunables"],
        &["--list-diagnostics"],
        &["--help"],
        &["--version"],
    ];
    for line in lines {
        for program in ["/bin/true", "/bin/false"] {
            assert_same_end(&[*line, &[program]].concat());
        }
    }
}

#[test]
fn auditors_that_are_too_many_are_named() {
    let list = ["/nonexistent.so"; 33].join(":");
    let output = run(loader::subject(), ["--audit", &list, "/bin/true"]);
    let text = String::from_utf8(output.stderr).unwrap();
    let start = "ERROR: ld.so: object '/nonexistent.so' cannot be loaded as audit interface: ";
    let reasons: Vec<_> = text.lines().map(|line| line.strip_prefix(start).unwrap()).collect();
    assert_eq!(reasons.len(), 33);
    assert_eq!(reasons[0], "more than 32 auditors; ignored.");
    assert!(reasons[1..].iter().all(|it| *it == "cannot open shared object file; ignored."));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn advice_follows_ld_so_s_line() {
    let words = |arguments: &[&str]| {
        String::from_utf8(run(loader::subject(), arguments).stderr)
            .unwrap()
            .replace(loader::subject().to_str().unwrap(), "rld")
    };
    assert_eq!(
        words(&["--lits", "/bin/true"]),
        "rld: unrecognized option '--lits'\n\
         \tdid you mean '--list'?\n\
         Try 'rld --help' for more information.\n"
    );
    assert_eq!(
        words(&["--preload"]),
        "rld: unrecognized option '--preload'\n\
         \tit needs a value: --preload LIST\n\
         Try 'rld --help' for more information.\n"
    );
}

#[test]
fn files_are_verified_as_by_ld_so() {
    let scratch = Scratch::new("verify");
    let source = scratch.path().join("main.c");
    fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let kinds = [
        ("dynamic", &["-pie"][..]),
        ("fixed", &["-no-pie"]),
        ("static", &["-static"]),
        ("static-pie", &["-static-pie"]),
        ("library", &["-shared", "-fPIC"]),
    ];
    let mut paths = vec![source.clone(), "/".into(), "/nonexistent".into()];
    for (name, options) in kinds {
        let path = scratch.path().join(name);
        let status = Command::new("gcc").arg(&source).arg("-o").arg(&path).args(options).status();
        assert!(status.unwrap().success(), "{name}");
        paths.push(path);
    }
    let file = fs::read(&paths[3]).unwrap();
    for (name, at, byte) in [("class", 4, 1), ("machine", 18, 183), ("magic", 0, 0)] {
        let mut copy = file.clone();
        copy[at] = byte;
        paths.push(scratch.path().join(name));
        fs::write(paths.last().unwrap(), copy).unwrap();
    }
    for path in &paths {
        let path = path.to_str().unwrap();
        assert_same_end(&["--verify", path]);
    }
    scratch.passed();
}

/// Whether the system's loader is that of which rld has the tables; says which test is skipped if not.
fn is_debian_2_36(test: &str) -> bool {
    let version = run(loader::system(), ["--version"]).stdout;
    let is_it = String::from_utf8_lossy(&version).contains("Debian GLIBC 2.36-");
    if !is_it {
        println!("SKIPPED (not glibc 2.36 of Debian): {test}");
    }
    is_it
}

#[test]
fn tunables_are_listed_as_by_ld_so() {
    if !is_debian_2_36("tunables_are_listed_as_by_ld_so") {
        return;
    }
    let list = |loader: &Path, tunables: &str| {
        let mut command = Command::new(loader);
        command.arg("--list-tunables").env("GLIBC_TUNABLES", tunables);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    for tunables in TUNABLES {
        let expected = list(loader::system(), tunables);
        assert_eq!(list(loader::subject(), tunables), expected, "{tunables}");
    }
}

const TUNABLES: [&str; 5] = [
    "",
    "glibc.malloc.check=2:glibc.cpu.hwcaps=-AVX2,-ERMS:glibc.rtld.nns=7",
    "glibc.cpu.x86_rep_movsb_threshold=4096:glibc.cpu.x86_data_cache_size=65536",
    "glibc.cpu.x86_non_temporal_threshold=1:glibc.cpu.x86_shared_cache_size=0x7fff",
    "glibc.cpu.x86_rep_stosb_threshold=99:glibc.cpu.x86_shstk=on",
];

/// The list is that of the libc which a program would find.
#[test]
fn tunables_are_those_of_the_libc_that_is_found() {
    for suite in SUITES.iter() {
        if let Some(reason) = suite.obstacle() {
            println!("SKIPPED ({reason}): the tunables of {}", suite.name);
            continue;
        }
        let [libraries, root] = [suite.libraries(), suite.root()];
        let list = |loader: &Path, place: &[&OsStr], tunables: &str| {
            let mut command = Command::new(loader);
            command.args(place).arg("--list-tunables").env("GLIBC_TUNABLES", tunables);
            String::from_utf8(command.output().unwrap().stdout).unwrap()
        };
        for tunables in TUNABLES {
            let by_path = [OsStr::new("--library-path"), libraries.as_os_str()];
            let by_root = [OsStr::new("--sysroot"), root.as_os_str()];
            let found = list(loader::subject(), &by_path, tunables);
            assert_eq!(list(loader::subject(), &by_root, tunables), found, "{}", suite.name);
            // Loaders up to 2.32 have no such option.
            if suite.minor > 32 {
                assert_eq!(found, list(&suite.loader(), &[], tunables), "{}", suite.name);
            } else {
                assert!(found.contains("glibc.malloc.tcache_max: ") && !found.contains("mem."));
            }
        }
    }
}

#[test]
fn options_do_not_reach_children() {
    let environment = |arguments: &[&str]| {
        let output = Command::new(loader::subject())
            .env_clear()
            .args(arguments)
            .args(["/bin/sh", "-c", "env"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = environment(&[]);
    let options = [
        "--library-path",
        "/lib",
        "--preload",
        "libm.so.6",
        "--inhibit-cache",
        "--inhibit-rpath",
        "x",
        "--glibc-hwcaps-prepend",
        "x",
        "--glibc-hwcaps-mask",
        "x",
        "--argv0",
        "/bin/sh",
    ];
    assert_eq!(environment(&options), plain);
}

/// Auditors of the option come after those of the environment, and all of them before the program's own.
#[test]
fn auditors_are_named_as_under_ld_so() {
    let scratch = Scratch::new("auditors_are_named_as_under_ld_so");
    let folder = scratch.path();
    fs::write(
        folder.join("auditor.c"),
        "#include <unistd.h>\n\
         unsigned la_version(unsigned version) {\n\
             return write(2, NAME \"\\n\", sizeof NAME) < 0 ? 0 : version;\n\
         }\n",
    )
    .unwrap();
    for name in ["a", "b", "c", "d"] {
        let define = format!("-DNAME=\"{name}\"");
        let library = format!("{name}.so");
        let gcc = ["-shared", "-fPIC", "-O1", &define, "auditor.c", "-o", &library];
        assert!(Command::new("gcc").args(gcc).current_dir(folder).status().unwrap().success());
    }
    let run = |loader: &Path| {
        let mut command = Command::new(loader);
        command.args(["--audit", "./b.so:./c.so", "--audit", "./d.so:./none.so", "/bin/echo", "x"]);
        command.env("LD_AUDIT", "./a.so").current_dir(folder).output().unwrap()
    };
    let (expected, actual) = (run(loader::system()), run(loader::subject()));
    assert!(expected.stderr.starts_with(b"a\nb\nc\nd\nERROR: "), "{expected:?}");
    assert_eq!(actual, expected);
    scratch.passed();
}

/// Lines as keys and values.
fn pairs(text: &str) -> Vec<(String, String)> {
    let split = |line: &str| line.split_once('=').map(|(key, value)| (key.into(), value.into()));
    text.lines().filter_map(split).collect()
}

#[test]
fn diagnostics_have_ld_so_s_keys_and_values() {
    if !is_debian_2_36("diagnostics_have_ld_so_s_keys_and_values") {
        return;
    }
    let list = |loader: &Path| {
        let mut command = Command::new(loader);
        command.env_clear().env("PATH", "/bin").env("SECRET", "x").env("LC_ALL", "a\"\\b");
        let output = command.arg("--list-diagnostics").output().unwrap();
        pairs(&String::from_utf8(output.stdout).unwrap())
    };
    let (expected, actual) = (list(loader::system()), list(loader::subject()));
    assert!(expected.len() > 150, "{expected:?}");
    let keys =
        |pairs: &[(String, String)]| pairs.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&actual), keys(&expected));
    let mut compared = 0;
    for ((key, expected), (_, actual)) in expected.iter().zip(&actual) {
        // Addresses and paths differ, and rld says its own version; the APIC id is that of the CPU at hand.
        let differs = ["auxv[", "version.", "x86.cpu_features.features[0x0].cpuid[0x1]"];
        if !differs.iter().any(|prefix| key.starts_with(prefix)) {
            compared += 1;
            assert_eq!(actual, expected, "{key}");
        }
    }
    assert!(compared > 100, "only {compared}");
    assert!(actual.contains(&("env_filtered[0x2]".into(), "\"SECRET\"".into())), "{actual:?}");
}

#[test]
fn the_auxiliary_vector_is_shown_as_by_ld_so() {
    let show = |loader: &Path, argument: &str, status: i32| {
        let mut command = Command::new(loader);
        let output = command.arg(argument).env("LD_SHOW_AUXV", "").output().unwrap();
        assert_eq!(output.status.code(), Some(status));
        String::from_utf8(output.stdout).unwrap()
    };
    // Addresses and the loader's own headers differ.
    let own = ["SYSINFO_EHDR", "PHDR", "PHNUM", "BASE", "ENTRY", "RANDOM", "EXECFN"];
    let own: Vec<_> = own.iter().map(|name| format!("AT_{name}:")).collect();
    let lines = |text: &str| {
        let short = |line: &str| match own.iter().find(|name| line.starts_with(*name)) {
            Some(name) => name.clone(),
            None => line.to_owned(),
        };
        text.lines().map(short).collect::<Vec<_>>()
    };
    let both = |argument, status| {
        let (expected, actual) = (loader::system(), loader::subject());
        let shown = (show(expected, argument, status), show(actual, argument, status));
        assert!(shown.0.lines().count() > 15, "{}", shown.0);
        assert_eq!(lines(&shown.1), lines(&shown.0), "{argument}");
        shown
    };
    // Before the command line is read.
    both("--nonsense", 1);
    let (expected, actual) = both("/bin/true", 0);
    let path = |text: &str, loader: &Path| {
        text.contains(&format!("AT_EXECFN:            {}\n", loader.display()))
    };
    assert!(path(&expected, loader::system()) && path(&actual, loader::subject()), "{actual}");
}

#[test]
fn a_profile_is_refused_in_words() {
    let mut command = Command::new(loader::subject());
    let output = command.arg("/bin/true").env("LD_PROFILE", "libc.so.6").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let words = "/bin/true: warning: LD_PROFILE is ignored: rld profiles nothing\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), words);
}
