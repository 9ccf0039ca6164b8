//! The programs that are compared: this system's own.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::elf::Elf;
use crate::launch::{SETUID_OR_SETGID, SYSTEM_LOADER};
use crate::sys;

/// Where they are, below a root.
const DIRECTORIES: [&str; 2] = ["usr/bin", "usr/sbin"];

/// Also started as the loader's argument, where they exist: small, large, C++, many libraries.
pub const DIRECT: [&str; 8] = [
    "/usr/bin/true",
    "/usr/bin/ls",
    "/usr/bin/bash",
    "/usr/bin/cat",
    "/usr/bin/perl",
    "/usr/bin/git",
    "/usr/bin/gdb",
    "/usr/bin/python3",
];

/// What was found, and what was left out for which reason.
#[derive(Default)]
pub struct Programs {
    /// Paths without symbolic links, each file once, sorted.
    pub paths: Vec<PathBuf>,
    /// How many directory entries were left out, by reason.
    pub skipped: BTreeMap<&'static str, u32>,
}

/// All programs that name `loader`, a path without symbolic links, as their interpreter.
pub fn installed(loader: &Path) -> Programs {
    below(Path::new("/"), |interpreter| fs::canonicalize(interpreter).is_ok_and(|it| it == loader))
}

/// A suite's own programs.
pub fn of_suite(root: &Path) -> Programs {
    below(root, |interpreter| interpreter == Path::new(SYSTEM_LOADER))
}

fn below(root: &Path, is_asked_for: impl Fn(&Path) -> bool) -> Programs {
    let mut programs = Programs::default();
    let mut seen = HashSet::new();
    let folders = DIRECTORIES.iter().filter_map(|path| fs::read_dir(root.join(path)).ok());
    for entry in folders.flatten().flatten() {
        match examine(&entry.path(), &is_asked_for, &mut seen) {
            Ok(path) => programs.paths.push(path),
            Err(reason) => *programs.skipped.entry(reason).or_default() += 1,
        }
    }
    programs.paths.sort();
    programs
}

fn examine(
    entry: &Path,
    is_asked_for: impl Fn(&Path) -> bool,
    seen: &mut HashSet<(u64, u64)>,
) -> Result<PathBuf, &'static str> {
    let path = fs::canonicalize(entry).map_err(|_| "dangling symbolic link")?;
    let metadata = fs::metadata(&path).map_err(|_| "not readable")?;
    if !metadata.is_file() {
        return Err("not a file");
    }
    if !seen.insert((metadata.dev(), metadata.ino())) {
        return Err("another name of a program in the list");
    }
    // The program headers, and PT_INTERP's string, stand at the beginning of every program.
    let mut head = Vec::new();
    let file = File::open(&path).map_err(|_| "not readable")?;
    file.take(64 << 10).read_to_end(&mut head).map_err(|_| "not readable")?;
    if !head.starts_with(b"\x7fELF") {
        return Err("not ELF (a script)");
    }
    let elf = Elf::headers(&head).map_err(|_| "ELF, but not for x86-64")?;
    let interpreter = elf.interpreter.ok_or("statically linked")?;
    let interpreter = Path::new(std::ffi::OsStr::from_bytes(&interpreter));
    if !is_asked_for(interpreter) {
        return Err("of another interpreter");
    }
    if metadata.mode() & 0o111 == 0 {
        return Err("not executable");
    }
    if metadata.mode() & SETUID_OR_SETGID != 0 && sys::effective_ids().0 != 0 {
        return Err("setuid or setgid, and we are not root: the kernel would change its identity");
    }
    Ok(path)
}
