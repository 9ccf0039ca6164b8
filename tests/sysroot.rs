//! `--sysroot`: programs of other Debian releases with these releases' libraries, against the
//! releases' own loaders; and small roots with what is hard about roots. RLD_SYSROOT, for what such
//! programs start.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use libtest_mimic::Trial;

use support::scratch::Scratch;
use support::{Verdict, loader, run_all, skipped, suites, trial};

const MULTIARCH: &str = "usr/lib/x86_64-linux-gnu";
const MACHINE: &str = "/lib/x86_64-linux-gnu";

/// What is run in every root: the program, its arguments, and a part of what it says.
const PROGRAMS: &[(&str, &[&str], &str)] = &[
    ("ls", &["-l", "/proc/self/cwd"], "cwd -> "),
    ("perl", &["-e", "print sprintf('%.3f', exp 1), ` echo a child`"], "2.718"),
    ("openssl", &["dgst", "-sha256", "/etc/hostname"], "SHA2-256|SHA256"),
    ("git", &["--exec-path"], "git-core"),
    ("sqlite3", &[":memory:", "select upper('a') || (6 * 7)"], "A42"),
    ("gawk", &["BEGIN { printf \"%.4f\", sin(1) }"], "0.8415"),
    ("bash", &["-c", "x=$(printf '%s-' a b | cat); (exit 3); echo $x $?"], "a-b- 3"),
    ("getent", &["passwd", "root"], "root:"),
    ("getent", &["hosts", "localhost"], "localhost"),
    ("locale", &["charmap"], "ANSI_X3.4-1968"),
    (
        "python3",
        &["-c", "import ssl, sqlite3, ctypes, math; print(ssl.OPENSSL_VERSION, math.exp(1))"],
        "OpenSSL",
    ),
];

type Test = fn(&str) -> Verdict;

struct Suite {
    root: Option<PathBuf>,
}

impl Suite {
    /// A root and its own loader, or why there is none.
    fn parts(&self, test: &str) -> Result<(&Path, PathBuf), Verdict> {
        match &self.root {
            Some(root) => Ok((root, root.join(MULTIARCH))),
            None => Err(skipped(test, "tests/suites cannot fetch it")),
        }
    }
}

fn main() {
    let mut trials = Vec::new();
    for name in suites::ALL {
        let suite = Arc::new(Suite { root: suites::root(name) });
        for (at, (program, ..)) in PROGRAMS.iter().enumerate() {
            let name = format!("{name}/{program}-{at}");
            trials.push(trial(name, &suite, move |test, suite| as_its_loader(test, suite, at)));
        }
        trials.push(trial(format!("{name}/maps"), &suite, all_from_the_root));
        trials.push(trial(format!("{name}/gconv"), &suite, modules_of_the_root));
        trials.push(trial(format!("{name}/children"), &suite, children));
        trials.push(trial(format!("{name}/too-new"), &suite, too_new));
        trials.push(trial(format!("{name}/no-arguments"), &suite, no_arguments));
    }
    let small: [(&str, Test); 8] = [
        ("operands", operands),
        ("cache-alone", cache_alone),
        ("links-stay-inside", links_stay_inside),
        ("program-from-outside", program_from_outside),
        ("opened-by-path", opened_by_path),
        ("preload-file", preload_file),
        ("nothing-there", nothing_there),
        ("environment", environment),
    ];
    for (name, test) in small {
        trials.push(Trial::ignorable_test(name, move || test(name)));
    }
    run_all(trials);
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["LD_", "RLD_", "LC_", "LANG", "GCONV", "LOC"].iter().any(|it| name.starts_with(it)) {
            command.env_remove(name);
        }
    }
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin").current_dir("/");
    command
}

fn rld(root: &Path, arguments: &[&str]) -> Output {
    command(loader::subject()).arg("--sysroot").arg(root).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Standard output of a program that ends well.
fn said(output: &Output) -> String {
    let errors = text(&output.stderr);
    assert!(output.status.success(), "{:?}\n{errors}", output.status);
    text(&output.stdout)
}

fn passed() -> Verdict {
    Ok(libtest_mimic::Completion::Completed)
}

/// A program says the same as under its release's own loader, whether it is named by its path in the
/// root, by that on the machine, or by its name.
fn as_its_loader(test: &str, suite: &Suite, at: usize) -> Verdict {
    let (root, libraries) = match suite.parts(test) {
        Ok(parts) => parts,
        Err(verdict) => return verdict,
    };
    let (name, arguments, part) = PROGRAMS[at];
    let path = root.join("usr/bin").join(name);
    let mut oracle = command(&libraries.join("ld-linux-x86-64.so.2"));
    let expected = oracle.arg("--library-path").arg(&libraries).arg(&path).args(arguments).output();
    let expected = said(&expected.unwrap());
    assert!(part.split('|').any(|part| expected.contains(part)), "{expected}");
    for program in [&format!("/usr/bin/{name}"), path.to_str().unwrap(), name] {
        let output = rld(root, &[&[program], arguments].concat());
        assert_eq!(said(&output), expected, "{program}");
    }
    passed()
}

/// What is mapped comes from the root, and so does what the program opens, by name and by its path in
/// the root.
fn all_from_the_root(test: &str, suite: &Suite) -> Verdict {
    let (root, _) = match suite.parts(test) {
        Ok(parts) => parts,
        Err(verdict) => return verdict,
    };
    let script = "import ctypes, ssl\n\
        ctypes.CDLL('libsqlite3.so.0')\n\
        ctypes.CDLL('/usr/lib/x86_64-linux-gnu/libmpfr.so.6')\n\
        print(open('/proc/self/maps').read())";
    let maps = said(&rld(root, &["/usr/bin/python3", "-c", script]));
    let files = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let files: BTreeSet<_> = files.filter(|file| file.contains(".so")).collect();
    let root = root.canonicalize().unwrap();
    for name in ["libc.so.6|libc-2", "libssl.so", "libsqlite3.so", "libmpfr.so"] {
        let is_there = |part: &str| files.iter().any(|file| file.contains(part));
        assert!(name.split('|').any(is_there), "{name}: {files:#?}");
    }
    assert!(files.iter().all(|file| Path::new(file).starts_with(&root)), "{files:#?}");
    passed()
}

/// What libc itself opens comes from the root: converters, and modules of the name service.
fn modules_of_the_root(test: &str, suite: &Suite) -> Verdict {
    let (root, _) = match suite.parts(test) {
        Ok(parts) => parts,
        Err(verdict) => return verdict,
    };
    if !Path::new("/usr").join("lib/x86_64-linux-gnu/gconv/gconv-modules.cache").exists() {
        return skipped(test, "the machine has no list of converters, which libc reads");
    }
    let script = "printf 'h\\303\\244' | \"$@\" | od -An -tx1";
    let mut shell = command(Path::new("/bin/sh"));
    shell.args(["-c", script, "sh"]).arg(loader::subject()).arg("--sysroot").arg(root);
    let output = shell.args(["iconv", "-f", "UTF-8", "-t", "IBM1047"]);
    let output = output.env("LD_DEBUG", "libs").env("LD_DEBUG_OUTPUT", "/dev/stderr").output();
    let output = output.unwrap();
    assert_eq!(text(&output.stdout).trim(), "88 43", "{}", text(&output.stderr));
    passed()
}

/// What a program of the root starts finds its libraries there, too, where rld stands over the system's loader and
/// RLD_SYSROOT names the root.
fn children(test: &str, suite: &Suite) -> Verdict {
    let (root, _) = match suite.parts(test) {
        Ok(parts) => parts,
        Err(verdict) => return verdict,
    };
    if let Some(reason) = loader::no_namespace() {
        return skipped(test, reason);
    }
    let script = "exec 2>&1; python3 -c 'import subprocess, sys; \
        sys.exit(subprocess.call([\"sh\", \"-c\", \"cat /proc/self/maps; true\"]))'";
    let bash = root.join("usr/bin/bash");
    let mut run = support::run::Run::new(&bash, Path::new("/"));
    run.over_system(loader::subject());
    run.args = ["-c", script].map(Into::into).to_vec();
    let path = format!("{}/usr/bin:/usr/bin", root.display());
    run.env = vec![("RLD_SYSROOT".into(), root.into()), ("PATH".into(), path.into())];
    let outcome = support::run::run(&run).unwrap();
    assert_eq!(outcome.end, support::run::End::Exit(0), "{outcome}");
    let root = root.canonicalize().unwrap();
    let files = outcome.stdout.lines().filter_map(|line| line.split_whitespace().nth(5));
    let mut libcs = files.filter(|file| file.contains("/libc")).peekable();
    assert!(libcs.peek().is_some(), "{outcome}");
    assert!(libcs.all(|file| Path::new(file).starts_with(&root)), "{outcome}");
    passed()
}

/// A program that is too new for the machine's glibc is told how to start, and starts that way.
fn too_new(test: &str, suite: &Suite) -> Verdict {
    let (root, _) = match suite.parts(test) {
        Ok(parts) => parts,
        Err(verdict) => return verdict,
    };
    let program = root.join("usr/bin/ls");
    let output = command(loader::subject()).arg(&program).arg("--version").output().unwrap();
    let errors = text(&output.stderr);
    if output.status.success() {
        return skipped(test, "it is not too new for the machine");
    }
    assert_eq!(output.status.code(), Some(127));
    assert!(errors.contains("libc.so.6: version `GLIBC_2."), "{errors}");
    let advice = "\n\ta newer glibc can serve this program alone: rld --sysroot DIRECTORY PROGRAM ";
    assert_eq!(errors.matches(advice).count(), 1, "{errors}");
    let output = rld(root, &[program.to_str().unwrap(), "--version"]);
    assert!(said(&output).starts_with("ls (GNU coreutils) "));
    passed()
}

/// The loader alone ends as the installed release's own: Debian's ldd(1) looks at that, up to glibc 2.31.
fn no_arguments(test: &str, suite: &Suite) -> Verdict {
    let (root, libraries) = match suite.parts(test) {
        Ok(parts) => parts,
        Err(verdict) => return verdict,
    };
    let oracle = command(&libraries.join("ld-linux-x86-64.so.2")).output().unwrap();
    let output = command(loader::subject()).env("RLD_SYSROOT", root).output().unwrap();
    assert_eq!(output.status.code(), oracle.status.code(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains(": missing program name\n"));
    passed()
}

/// Builds something in a folder; why that cannot be done, if so.
fn compile(folder: &Path, output: &str, source: &str, flags: &[&str]) -> Result<(), &'static str> {
    let output = folder.join(output);
    fs::create_dir_all(output.parent().unwrap()).unwrap();
    let file = output.with_extension("c");
    fs::write(&file, source).unwrap();
    let mut gcc = Command::new("gcc");
    let gcc = gcc.current_dir(folder).arg("-o").arg(&output).arg(&file).args(flags);
    let built = gcc.output().map_err(|_| "there is no gcc")?;
    assert!(built.status.success(), "{}", text(&built.stderr));
    fs::remove_file(file).unwrap();
    Ok(())
}

/// A root with the machine's libc and a program `/opt/bin/program`, which needs `libouter.so`, by an
/// absolute RUNPATH, and that `libinner.so`; it prints what they make of each other.
fn small_root(test: &str) -> Result<(Scratch, PathBuf), &'static str> {
    if !Path::new(MACHINE).join("libc.so.6").exists() {
        return Err("this machine has other library directories");
    }
    let scratch = Scratch::new(&format!("sysroot-{test}"));
    let root = scratch.path().join("root");
    fs::create_dir_all(root.join(MULTIARCH)).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::copy(Path::new(MACHINE).join("libc.so.6"), root.join(MULTIARCH).join("libc.so.6")).unwrap();
    let inner = ["-shared", "-fPIC"];
    compile(&root, "srv/libinner.so", "const char *inner(void) { return \"inner\"; }", &inner)?;
    let source = "const char *inner(void); const char *outer(void) { return inner(); }";
    let flags = ["-shared", "-fPIC", "-Wl,-rpath,$ORIGIN/../../srv", "-Lsrv", "-linner"];
    compile(&root, "opt/lib/libouter.so", source, &flags)?;
    let flags = ["-Wl,-rpath,/opt/lib,-rpath-link,srv", "-Lopt/lib", "-louter", "-ldl"];
    compile(&root, "opt/bin/program", include_str!("sysroot/program.c"), &flags)?;
    Ok((scratch, root))
}

fn operands(test: &str) -> Verdict {
    let (scratch, root) = match small_root(test) {
        Ok(made) => made,
        Err(reason) => return skipped(test, reason),
    };
    let below = root.join("opt/bin/program");
    let below = below.to_str().unwrap();
    for operand in ["/opt/bin/program", "opt/bin/program", "//opt/./bin//program", below] {
        assert_eq!(said(&rld(&root, &[operand])), "inner\n", "{operand}");
    }
    let link = scratch.path().join("link");
    symlink("root", &link).unwrap();
    let by_link = link.join("opt/bin/program");
    assert_eq!(said(&rld(&link, &[by_link.to_str().unwrap()])), "inner\n");
    // Relative roots, and operands that start from inside.
    let mut here = command(loader::subject());
    here.current_dir(root.join("opt")).args(["--sysroot", "..", "./bin/program"]);
    assert_eq!(said(&here.output().unwrap()), "inner\n");
    // By its name, in the directories that PATH names, below the root.
    let mut named = command(loader::subject());
    named.args(["--sysroot"]).arg(&root).arg("program").env("PATH", "/usr/bin:/opt/bin");
    assert_eq!(said(&named.output().unwrap()), "inner\n");

    assert_eq!(rld(&root, &["--verify", "/opt/bin/program"]).status.code(), Some(0));
    assert_eq!(rld(&root, &["--verify", "/opt/lib/libouter.so"]).status.code(), Some(2));
    let real = root.canonicalize().unwrap();
    let real = real.to_str().unwrap();
    let list = said(&rld(&root, &["--list", "/opt/bin/program"]));
    for line in [
        format!("\tlibouter.so => {real}/opt/lib/libouter.so (0x"),
        format!("\tlibc.so.6 => {real}/usr/lib/x86_64-linux-gnu/libc.so.6 (0x"),
    ] {
        assert!(list.contains(&line), "{list}");
    }
    let tree = said(&rld(&root, &["--tree", "/opt/bin/program"]));
    let line = format!("libouter.so => {real}/opt/lib/libouter.so [RUNPATH of {below}]");
    assert!(tree.contains(&line), "{tree}");
    scratch.passed();
    passed()
}

/// A library in a directory that only the root's cache knows.
fn cache_alone(test: &str) -> Verdict {
    let (scratch, root) = match small_root(test) {
        Ok(made) => made,
        Err(reason) => return skipped(test, reason),
    };
    fs::create_dir_all(root.join("odd/place")).unwrap();
    let odd = root.join("odd/place/libouter.so");
    fs::rename(root.join("opt/lib/libouter.so"), &odd).unwrap();
    assert_eq!(rld(&root, &["/opt/bin/program"]).status.code(), Some(127));
    fs::write(root.join("etc/ld.so.conf"), "/odd/place\n").unwrap();
    let made = command(Path::new("/sbin/ldconfig")).args(["-X", "-r"]).arg(&root).output();
    if !made.is_ok_and(|output| output.status.success()) {
        return skipped(test, "there is no ldconfig");
    }
    assert_eq!(said(&rld(&root, &["/opt/bin/program"])), "inner\n");
    let tree = said(&rld(&root, &["--tree", "/opt/bin/program"]));
    let real = root.canonicalize().unwrap();
    let line = format!("libouter.so => {}/odd/place/libouter.so [cache]", real.display());
    assert!(tree.contains(&line), "{tree}");
    let without = rld(&root, &["--inhibit-cache", "/opt/bin/program"]);
    assert_eq!(without.status.code(), Some(127));
    fs::remove_file(odd).unwrap();
    let stale = text(&rld(&root, &["/opt/bin/program"]).stderr);
    let line = format!("\ttried {}/odd/place/libouter.so (cache): No such file", real.display());
    assert!(stale.contains(&line), "{stale}");
    scratch.passed();
    passed()
}

/// Absolute links start again from the root, and none climbs out of it.
fn links_stay_inside(test: &str) -> Verdict {
    let (scratch, root) = match small_root(test) {
        Ok(made) => made,
        Err(reason) => return skipped(test, reason),
    };
    fs::rename(root.join("usr/lib"), root.join("usr/libraries")).unwrap();
    symlink("/usr/libraries", root.join("usr/lib")).unwrap();
    fs::create_dir(root.join("bin")).unwrap();
    symlink("/opt/bin/program", root.join("bin/program")).unwrap();
    fs::rename(root.join("opt/lib"), root.join("opt/real")).unwrap();
    symlink("../../../../../../../../../../../../../opt/real", root.join("opt/lib")).unwrap();
    assert_eq!(said(&rld(&root, &["/bin/program"])), "inner\n");
    let list = said(&rld(&root, &["--list", "program"]));
    let real = root.canonicalize().unwrap();
    for line in [
        // The machine would look for these by other paths.
        format!("\tlibouter.so => {}/opt/real/libouter.so (0x", real.display()),
        format!("\tlibc.so.6 => {}/usr/libraries/x86_64-linux-gnu/libc.so.6 (0x", real.display()),
    ] {
        assert!(list.contains(&line), "{list}");
    }
    // Out there it would be found.
    fs::rename(root.join("opt/real/libouter.so"), scratch.path().join("libouter.so")).unwrap();
    symlink(scratch.path().join("libouter.so"), root.join("opt/real/libouter.so")).unwrap();
    let output = rld(&root, &["/bin/program"]);
    assert_eq!(output.status.code(), Some(127), "{}", text(&output.stdout));
    scratch.passed();
    passed()
}

/// A program that is not in the root gets the root's libraries, beside its own.
fn program_from_outside(test: &str) -> Verdict {
    let (scratch, root) = match small_root(test) {
        Ok(made) => made,
        Err(reason) => return skipped(test, reason),
    };
    let home = scratch.path().join("home");
    fs::create_dir(&home).unwrap();
    let own = "const char *outer(void) { return \"its own\"; }";
    if let Err(reason) = compile(&home, "lib/libouter.so", own, &["-shared", "-fPIC"]) {
        return skipped(test, reason);
    }
    let source = "#include <stdio.h>\nconst char *outer(void); int main(void) { puts(outer()); }";
    for path in ["$ORIGIN/lib", home.join("lib").to_str().unwrap()] {
        let flags = [&format!("-Wl,-rpath,{path}"), "-Llib", "-louter"];
        compile(&home, "program", source, &flags).unwrap();
        let program = home.join("program");
        for operand in [program.to_str().unwrap(), "./program"] {
            let mut command = command(loader::subject());
            command.current_dir(&home).arg("--sysroot").arg(&root);
            assert_eq!(said(&command.arg(operand).output().unwrap()), "its own\n", "{path}");
            let list = command.arg(operand).env("LD_TRACE_LOADED_OBJECTS", "1").output();
            let list = said(&list.unwrap());
            let libc = root.canonicalize().unwrap().join(MULTIARCH).join("libc.so.6");
            assert!(list.contains(&format!("libc.so.6 => {} (", libc.display())), "{list}");
        }
    }
    // What belongs to a system is not taken from the machine.
    let output = rld(&root, &["/usr/bin/env"]);
    assert_eq!(output.status.code(), Some(127));
    let line = format!("{}/usr/bin/env: cannot open", root.canonicalize().unwrap().display());
    assert!(text(&output.stderr).contains(&line), "{}", text(&output.stderr));
    scratch.passed();
    passed()
}

/// dlopen of a path is for the root first, then for the machine, but for parts of its system.
fn opened_by_path(test: &str) -> Verdict {
    let (scratch, root) = match small_root(test) {
        Ok(made) => made,
        Err(reason) => return skipped(test, reason),
    };
    let source = "const char *plugin(void) { return \"\"; }";
    let flags = ["-shared", "-fPIC"];
    let outside = scratch.path().join("plugin.so");
    let hidden = root.join(outside.strip_prefix("/").unwrap());
    for file in ["usr/lib/plugin.so", "var/plugin.so"] {
        compile(&root, file, source, &flags).unwrap();
    }
    compile(scratch.path(), "plugin.so", source, &flags).unwrap();
    let outside = outside.to_str().unwrap();
    let real = root.canonicalize().unwrap();
    let below = real.join("var/plugin.so");
    let opened = |name: &str| {
        let output = said(&rld(&root, &["/opt/bin/program", name]));
        output.lines().next().unwrap().to_owned()
    };
    let real = real.to_str().unwrap();
    assert_eq!(opened("/usr/lib/plugin.so"), format!("{real}/usr/lib/plugin.so"));
    assert_eq!(opened("/var/plugin.so"), format!("{real}/var/plugin.so"));
    assert_eq!(opened(below.to_str().unwrap()), format!("{real}/var/plugin.so"));
    assert_eq!(opened("plugin.so"), format!("{real}/usr/lib/plugin.so"));
    assert_eq!(opened(outside), outside);
    fs::create_dir_all(hidden.parent().unwrap()).unwrap();
    fs::copy(root.join("var/plugin.so"), &hidden).unwrap();
    assert_eq!(opened(outside), format!("{real}{outside}"));
    let libm = format!("{MACHINE}/libm.so.6");
    let words = said(&rld(&root, &["/opt/bin/program", &libm]));
    let line = format!("{libm}: cannot open shared object file: No such file or directory\n");
    assert!(
        words.starts_with(&line) && words.contains(&format!("\ttried {real}{libm} ")),
        "{words}"
    );
    assert!(!words.contains(&format!("tried {libm}")), "{words}");
    scratch.passed();
    passed()
}

/// The root's own list of what is preloaded counts.
fn preload_file(test: &str) -> Verdict {
    let (scratch, root) = match small_root(test) {
        Ok(made) => made,
        Err(reason) => return skipped(test, reason),
    };
    let source = "const char *inner(void) { return \"preloaded\"; }";
    compile(&root, "var/libmine.so", source, &["-shared", "-fPIC"]).unwrap();
    fs::write(root.join("etc/ld.so.preload"), "/var/libmine.so\n").unwrap();
    assert_eq!(said(&rld(&root, &["/opt/bin/program"])), "preloaded\n");
    fs::write(root.join("etc/ld.so.preload"), "").unwrap();
    let output = rld(&root, &["--preload", "/var/libmine.so", "/opt/bin/program"]);
    assert_eq!(said(&output), "preloaded\n");
    scratch.passed();
    passed()
}

/// What is not there is said in words, with where it was looked for.
fn nothing_there(test: &str) -> Verdict {
    let (scratch, root) = match small_root(test) {
        Ok(made) => made,
        Err(reason) => return skipped(test, reason),
    };
    let real = root.canonicalize().unwrap();
    let real = real.to_str().unwrap();
    let own = loader::subject().to_str().unwrap();
    let words = |root: &Path, program: &str| {
        let output = command(loader::subject())
            .args(["--sysroot"])
            .arg(root)
            .arg(program)
            .env("PATH", "/usr/bin:/usr/bin:/opt/bin")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(127), "{output:?}");
        text(&output.stderr)
    };
    let occasion = "error while loading shared libraries";
    for (directory, why) in [
        ("/no/such", "No such file or directory"),
        ("/etc/passwd", "Not a directory"),
        ("", "No such file or directory"),
    ] {
        let line = match directory {
            "" => format!("{own}: {occasion}: cannot be a root: {why}\n"),
            _ => format!("{own}: {occasion}: {directory}: cannot be a root: {why}\n"),
        };
        assert_eq!(words(Path::new(directory), "/bin/true"), line);
    }
    let opening = "cannot open shared object file";
    assert_eq!(
        words(&root, "/srv/no/program"),
        format!(
            "/srv/no/program: {occasion}: {real}/srv/no/program: {opening}: \
             No such file or directory\n\ttried /srv/no/program\n"
        )
    );
    assert_eq!(
        words(&root, "no-program"),
        format!(
            "no-program: {occasion}: no-program: {opening}\n\
             \ttried {real}/etc/ld.so.cache (cache): no usable cache; ldconfig(8) makes one\n\
             \ttried {real}/lib/x86_64-linux-gnu (default): no such directory\n\
             \ttried {real}/usr/lib/x86_64-linux-gnu (default): No such file or directory\n\
             \ttried {real}/lib64 (default): no such directory\n\
             \ttried {real}/usr/lib64 (default): no such directory\n\
             \ttried {real}/lib (default): no such directory\n\
             \ttried {real}/usr/lib (default): No such file or directory\n\
             \ttried {real}/usr/bin/no-program\n\
             \ttried {real}/opt/bin/no-program\n"
        )
    );
    fs::remove_file(root.join("srv/libinner.so")).unwrap();
    let missing = words(&root, "/opt/bin/program");
    let start = format!(
        "{real}/opt/bin/program: {occasion}: libinner.so: {opening}: No such file or directory\n\
         \tneeded by {real}/opt/lib/libouter.so\n\
         \ttried {real}/opt/lib/../../srv (RUNPATH of {real}/opt/lib/libouter.so): \
         No such file or directory\n\
         \ttried {real}/etc/ld.so.cache (cache): no usable cache; ldconfig(8) makes one\n"
    );
    assert!(missing.starts_with(&start), "{missing}");
    scratch.passed();
    passed()
}

/// RLD_SYSROOT does the same and yields to the option, which does not get into the environment.
fn environment(test: &str) -> Verdict {
    let (scratch, root) = match small_root(test) {
        Ok(made) => made,
        Err(reason) => return skipped(test, reason),
    };
    let run = |variable: &Path, option: Option<&Path>| {
        let mut command = command(loader::subject());
        command.env("RLD_SYSROOT", variable);
        if let Some(option) = option {
            command.arg("--sysroot").arg(option);
        }
        command.arg("/opt/bin/program").output().unwrap()
    };
    assert_eq!(said(&run(&root, None)), "inner\n");
    assert_eq!(said(&run(Path::new("/no/such"), Some(&root))), "inner\n");
    assert_eq!(run(Path::new("/no/such"), None).status.code(), Some(127));
    // An empty one is none: there is no such program here.
    assert_eq!(run(Path::new(""), None).status.code(), Some(127));
    let source = "#include <stdio.h>\nint main(int c, char **v, char **e) {\n\
        for (; *e; ++e) puts(*e);\nreturn 0; }";
    compile(&root, "opt/bin/printenv", source, &[]).unwrap();
    let variables = said(&rld(&root, &["/opt/bin/printenv"]));
    assert!(variables.contains("PATH=") && !variables.contains("SYSROOT"), "{variables}");
    scratch.passed();
    passed()
}
