//! What the tests of `rld-inspect` share.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const TOOL: &str = env!("CARGO_BIN_EXE_rld-inspect");

/// Programs that answer to `--version` at once and leave nothing behind.
pub const PROGRAMS: [&str; 10] = [
    "/bin/ls",
    "/bin/bash",
    "/bin/cat",
    "/bin/grep",
    "/bin/tar",
    "/usr/bin/apt",
    "/usr/bin/find",
    "/usr/bin/git",
    "/usr/bin/perl",
    "/usr/bin/sort",
];

/// The programs that this machine has.
pub fn programs() -> impl Iterator<Item = &'static str> {
    PROGRAMS.into_iter().filter(|program| {
        let there = Path::new(program).exists();
        if !there {
            eprintln!("skipped: there is no {program}");
        }
        there
    })
}

/// A command whose loading no variable of this environment changes.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for name in ["LD_LIBRARY_PATH", "LD_PRELOAD", "LD_DYNAMIC_WEAK", "LD_BIND_NOW", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

/// Exit status, standard output, standard error.
pub fn inspect(arguments: &[&str]) -> (i32, String, String) {
    let output = command(TOOL).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// An empty directory of this test's own.
pub fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("inspect-{name}"));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Compiles C source; `None`, with the reason on the terminal, where there is no compiler.
pub fn compile(directory: &Path, output: &str, source: &str, flags: &[&str]) -> Option<()> {
    let file = directory.join(format!("{output}.c"));
    fs::write(&file, source).unwrap();
    let mut cc = Command::new("cc");
    cc.current_dir(directory).args(["-O0", "-w", "-o", output]).arg(&file).args(flags);
    let status = cc.status();
    let Ok(status) = status else {
        eprintln!("skipped: there is no cc");
        return None;
    };
    assert!(status.success(), "cc fails on {output}.c");
    Some(())
}
