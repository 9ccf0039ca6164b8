//! Installation: what `./install` puts into a prefix works from there, `rldd` says what ldd says, and `--uninstall`
//! leaves nothing.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::scratch::Scratch;
use support::{loader, package};

/// What an installation consists of, below its prefix.
const FILES: [&str; 20] = [
    "bin/rld",
    "bin/rld-inspect",
    "bin/rldd",
    "lib/x86_64-linux-gnu/rld/installed",
    "lib/x86_64-linux-gnu/rld/rld",
    "share/bash-completion/completions/rld",
    "share/bash-completion/completions/rld-inspect",
    "share/bash-completion/completions/rldd",
    "share/doc/rld/LICENSE-APACHE",
    "share/doc/rld/LICENSE-MIT",
    "share/doc/rld/README.md",
    "share/fish/vendor_completions.d/rld-inspect.fish",
    "share/fish/vendor_completions.d/rld.fish",
    "share/fish/vendor_completions.d/rldd.fish",
    "share/man/man1/rld-inspect.1",
    "share/man/man1/rldd.1",
    "share/man/man8/rld.8",
    "share/zsh/site-functions/_rld",
    "share/zsh/site-functions/_rld-inspect",
    "share/zsh/site-functions/_rldd",
];

/// A tree to install from, that an ordinary user may read: the programs, and the files that are not compiled.
struct Tree {
    scratch: Scratch,
}

impl Tree {
    /// `None`, with the reason on the terminal, where there is no folder for it.
    fn new(test: &str) -> Option<Self> {
        let scratch = Scratch::public(test)
            .inspect_err(|reason| {
                eprintln!("SKIPPED: no folder that all users can reach: {reason}")
            })
            .ok()?;
        let tree = Self { scratch };
        let plain = ["install", "src/bin/rldd", "LICENSE-MIT", "LICENSE-APACHE", "README.md"];
        for path in plain {
            tree.copy(&package().join(path), path);
        }
        tree.copy(Path::new(env!("CARGO_BIN_EXE_rld")), "programs/rld");
        tree.copy(Path::new(env!("CARGO_BIN_EXE_rld-inspect")), "programs/rld-inspect");
        // Whoever installs makes folders here.
        fs::set_permissions(tree.path(""), fs::Permissions::from_mode(0o777)).unwrap();
        Some(tree)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.scratch.path().join(path)
    }

    fn copy(&self, from: &Path, to: &str) {
        let to = self.path(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// `./install`, by an ordinary user if root may choose one.
    fn install(&self, arguments: &[&str]) -> Command {
        let mut command = if loader::is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
            command.arg(self.path("install"));
            command
        } else {
            Command::new(self.path("install"))
        };
        command.arg(format!("--from={}", self.path("programs").display())).args(arguments);
        command.env_remove("DESTDIR").current_dir("/");
        command
    }
}

/// Standard output of a command that must succeed and have no complaints.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && errors.is_empty(),
        "{command:?}: {}\n{errors}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}

/// All files and links below a folder, as paths from there.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(path) = folders.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                found.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

fn all_files() -> BTreeSet<String> {
    FILES.map(str::to_owned).into()
}

#[test]
fn an_installation_works_and_leaves_nothing_behind() {
    let Some(tree) = Tree::new("install") else { return };
    // Shells and sed have opinions about some of these.
    let prefix = tree.path("a & b|c/d");
    let option = format!("--prefix={}", prefix.display());
    said(&mut tree.install(&[&option]));
    assert_eq!(files(&prefix), all_files());

    let bin = prefix.join("bin");
    assert_eq!(said(Command::new(bin.join("rld")).args(["/bin/echo", "a", "b"])), "a b\n");
    let version = format!("rld-inspect {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(said(Command::new(bin.join("rld-inspect")).arg("--version")), version);
    let listed = said(Command::new(bin.join("rldd")).arg("/bin/sh"));
    assert!(listed.contains("\tlibc.so.6 => /"), "{listed}");
    let page = fs::read_to_string(prefix.join("share/man/man8/rld.8")).unwrap();
    let own = format!("{}/lib/x86_64-linux-gnu/rld/rld", prefix.display());
    assert_eq!(page.matches(&own).count(), page.matches("x86_64-linux-gnu/rld/rld").count());
    assert!(page.contains(&own));
    for path in FILES.iter().filter(|path| path.starts_with("share/")) {
        let there = fs::metadata(prefix.join(path)).unwrap();
        assert!(there.len() > 500 && there.permissions().mode() & 0o777 == 0o644, "{path}");
    }

    // What an older version had is removed, what others have put there is not.
    let list = prefix.join("lib/x86_64-linux-gnu/rld/installed");
    let old = prefix.join("share/old/file");
    fs::create_dir_all(old.parent().unwrap()).unwrap();
    fs::write(&old, "").unwrap();
    let mode = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    mode(old.parent().unwrap());
    let before = fs::read_to_string(&list).unwrap();
    let old = old.display();
    let more = format!("{}/share/old/\n{old}\n", prefix.display());
    fs::write(&list, format!("{before}{more}")).unwrap();
    said(&mut tree.install(&[&option]));
    assert_eq!(files(&prefix), all_files());
    assert!(!prefix.join("share/old").exists());
    assert_eq!(fs::read_to_string(&list).unwrap(), before);

    symlink("/", bin.join("foreign")).unwrap();
    said(&mut tree.install(&[&option, "--uninstall"]));
    assert_eq!(files(&tree.path("a & b|c")), ["d/bin/foreign".to_owned()].into());
    fs::remove_file(bin.join("foreign")).unwrap();
    said(&mut tree.install(&[&option]));
    said(&mut tree.install(&[&option, "--uninstall"]));
    assert_eq!(files(&tree.path("a & b|c")), BTreeSet::new());
    tree.scratch.passed();
}

#[test]
fn a_package_is_made_below_destdir() {
    let Some(tree) = Tree::new("destdir") else { return };
    let root = tree.path("root");
    let options = ["--prefix=/usr", "--libdir=/usr/lib64/"];
    let with = |more: &[&str]| {
        let mut command = tree.install(&[&options, more].concat());
        said(command.env("DESTDIR", &root));
    };
    with(&[]);
    let expected =
        FILES.map(|path| format!("usr/{}", path.replace("lib/x86_64-linux-gnu", "lib64")));
    assert_eq!(files(&root), expected.into());
    let page = fs::read_to_string(root.join("usr/share/man/man8/rld.8")).unwrap();
    assert!(page.contains("--dynamic-linker=/usr/lib64/rld/rld"));
    // The link leads to the loader in the package, not in the system.
    let link = root.join("usr/bin/rld").canonicalize().unwrap();
    assert_eq!(link, root.canonicalize().unwrap().join("usr/lib64/rld/rld"));
    with(&["--uninstall"]);
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    tree.scratch.passed();
}

#[test]
fn what_cannot_be_installed_is_said() {
    let Some(tree) = Tree::new("install-refused") else { return };
    let prefix = format!("--prefix={}", tree.path("prefix").display());
    let lines = [
        (vec!["--nonsense"], "unrecognized option '--nonsense'"),
        (vec!["--prefix=here"], "'here' is not an absolute path"),
        (vec![&prefix, "--libdir=a\nb"], "a path cannot hold a line break"),
        (vec![&prefix, "--uninstall"], "nothing is installed there"),
        (vec![&prefix, "--from=/nonexistent"], "/nonexistent: no rld and rld-inspect"),
    ];
    for (arguments, words) in lines {
        let output = tree.install(&arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(errors.starts_with("./install: ") && errors.contains(words), "{errors}");
        assert!(!tree.path("prefix").exists(), "{arguments:?}");
    }
    tree.scratch.passed();
}

/// A folder with rldd beside rld, as they are installed.
fn rldd(scratch: &Scratch) -> PathBuf {
    symlink(env!("CARGO_BIN_EXE_rld"), scratch.path().join("rld")).unwrap();
    let rldd = scratch.path().join("rldd");
    fs::copy(package().join("src/bin/rldd"), &rldd).unwrap();
    rldd
}

/// Status, output and errors, without what ldd and rldd may differ in: addresses, their own names, and the loader that
/// they ask.
fn end(output: &Output, rld: &Path) -> (Option<i32>, String, String) {
    let rld = rld.to_str().unwrap();
    let plain = |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let text = text.replace(&format!("{} => {rld}", loader::SYSTEM), loader::SYSTEM);
        let text = text.replace(rld, loader::SYSTEM).replace("rldd", "ldd");
        let lines = text.lines().map(|line| line.split(" (0x").next().unwrap_or_default());
        lines.collect::<Vec<_>>().join("\n")
    };
    (output.status.code(), plain(&output.stdout), plain(&output.stderr))
}

/// Runs both with the same arguments, and compares all that they say.
fn assert_same(rldd: &Path, arguments: &[&str]) {
    let folder = rldd.parent().unwrap();
    let run = |program: &Path| {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).env("LC_ALL", "C");
        let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        end(&output, &folder.join("rld"))
    };
    let (own, expected) = (run(rldd), run(Path::new("ldd")));
    let mut both = own.1.lines().zip(expected.1.lines());
    let first = both.find(|(own, expected)| own != expected);
    assert!(own == expected, "{arguments:?}: {first:?}\n{own:?}, not\n{expected:?}");
}

/// Whether there is an ldd to compare with.
fn no_ldd() -> bool {
    let none = Command::new("ldd").arg("--version").output().is_err();
    if none {
        eprintln!("SKIPPED: there is no ldd");
    }
    none
}

/// So many files of a folder, evenly chosen.
fn some_of(folder: &str, number: usize, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().path().into_os_string().into_string().unwrap());
    let all: BTreeSet<_> = names.filter(|name| wanted(name) && Path::new(name).is_file()).collect();
    let step = all.len().div_ceil(number).max(1);
    all.into_iter().step_by(step).collect()
}

#[test]
fn rldd_says_what_ldd_says() {
    if no_ldd() {
        return;
    }
    let scratch = Scratch::new("rldd");
    let rldd = rldd(&scratch);
    let mut files = some_of("/usr/bin", 40, |_| true);
    files.extend(some_of("/usr/lib/x86_64-linux-gnu", 20, |name| name.contains(".so")));
    assert!(files.len() > 30, "{files:?}");
    for file in &files {
        assert_same(&rldd, &[file]);
    }
    for options in [["-v"], ["-d"], ["-r"], ["-u"], ["--function-relocs"]] {
        for file in files.iter().step_by(8) {
            assert_same(&rldd, &[&options[..], &[file]].concat());
        }
    }
    let several: Vec<_> = files.iter().step_by(9).map(String::as_str).collect();
    assert_same(&rldd, &several);
    scratch.passed();
}

#[test]
fn rldd_fails_as_ldd_fails() {
    if no_ldd() {
        return;
    }
    let scratch = Scratch::new("rldd-failures");
    let rldd = rldd(&scratch);
    let folder = scratch.path();
    fs::write(folder.join("script"), "#!/bin/sh\n").unwrap();
    fs::write(folder.join("-d"), "").unwrap();
    fs::write(folder.join("closed"), "").unwrap();
    fs::set_permissions(folder.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let lines: [&[&str]; 19] = [
        &[],
        &["--"],
        &["-x"],
        &["-dr", "/bin/sh"],
        &["-"],
        &["--nonsense", "/bin/sh"],
        &["--ver"],
        &["--verbosely", "/bin/sh"],
        &["--func", "/bin/sh"],
        &["--", "-d"],
        &["nonexistent"],
        &["/nonexistent", "/bin/sh"],
        &["."],
        &["/dev/null"],
        &["script"],
        &["closed"],
        &["script", "/bin/sh", "back\\nslash"],
        &["/bin/sh", "-d"],
        &["-d", "-r", "--", "/bin/sh"],
    ];
    for line in lines {
        assert_same(&rldd, line);
    }
    // Here the system's loader dies by a signal.
    fs::write(folder.join("cut"), &fs::read("/bin/sh").unwrap()[..1000]).unwrap();
    let cut = end(&Command::new(&rldd).arg(folder.join("cut")).output().unwrap(), folder);
    assert_eq!(cut, (Some(1), String::new(), "\tnot a dynamic executable".to_owned()));
    for option in ["--version", "--help", "--vers", "--h"] {
        let output = Command::new(&rldd).arg(option).output().unwrap();
        assert!(
            output.status.success() && output.stdout.starts_with(b"rldd")
                || output.stdout.starts_with(b"Usage: rldd"),
            "{option}: {output:?}"
        );
    }
    scratch.passed();
}

#[test]
fn rldd_explains_the_options_that_the_manual_has() {
    let scratch = Scratch::new("rldd-help");
    let help = said(Command::new(rldd(&scratch)).arg("--help"));
    let inspect = env!("CARGO_BIN_EXE_rld-inspect");
    let script = said(Command::new(inspect).args(["generate", "fish", "rldd"]));
    let mut options = 0;
    for line in script.lines().filter(|line| line.starts_with("complete ") && line.contains(" -l "))
    {
        let (_, long) = line.split_once(" -l ").unwrap();
        let (long, meaning) = long.split_once(" -d ").unwrap();
        let row = help.lines().find(|row| row.contains(&format!("--{long} ")));
        let meaning = meaning.trim_matches('\'');
        assert!(row.is_some_and(|row| row.ends_with(&format!(" {meaning}"))), "{long}: {help}");
        options += 1;
    }
    assert_eq!(help.matches(" --").count(), options);
    scratch.passed();
}
