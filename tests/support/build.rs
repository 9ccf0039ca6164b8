//! Builds a fixture's programs and libraries once, and puts a loader's name into programs.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::loader;
use super::scratch;

/// One step of a build.
#[derive(Clone, Debug, Hash)]
pub enum Step {
    /// Link a library (`shared`) or a program from sources and flags.
    Link { output: String, words: Vec<String>, shared: bool },
    /// A line for `sh -e`, run in the build folder.
    Shell(String),
}

impl Step {
    /// Links a library (`shared`) or a program; `words` stand between spaces.
    pub fn link(shared: bool, output: &str, words: &str) -> Self {
        let words = words.split_whitespace().map(str::to_owned).collect();
        Self::Link { output: output.to_owned(), words, shared }
    }

    /// Runs a line.
    pub fn shell(line: &str) -> Self {
        Self::Shell(line.to_owned())
    }
}

/// PT_INTERP of every program that is built: the system's loader, after so many slashes that any
/// other loader's path can be written over it. So one link serves all loaders, and programs differ
/// in nothing but the name.
fn padded_interpreter() -> String {
    padded(loader::SYSTEM)
}

fn padded(path: &str) -> String {
    const LENGTH: usize = 240;
    assert!(path.len() <= LENGTH, "{path} is too long for PT_INTERP here");
    format!("{}{path}", "/".repeat(LENGTH - path.len()))
}

/// Builds `steps` with the sources in `folder`, or finds them built; the folder with the results.
pub fn build(name: &str, folder: &Path, steps: &[Step]) -> Result<PathBuf, String> {
    build_with(None, name, folder, steps)
}

/// The same with the gcc and g++ in a folder.
pub fn build_with(
    compilers: Option<&Path>,
    name: &str,
    folder: &Path,
    steps: &[Step],
) -> Result<PathBuf, String> {
    let label = name.replace('/', ".");
    let base = scratch::base().join("build");
    let text = |e: io::Error| format!("{}: {e}", base.display());
    fs::create_dir_all(&base).map_err(text)?;
    // Another profile's tests may be building the same thing.
    let lock = File::create(base.join(format!("{label}.lock"))).map_err(text)?;
    lock.lock().map_err(text)?;
    let out =
        base.join(format!("{label}-{:016x}", digest(compilers, folder, steps).map_err(text)?));
    let stamp = base.join(format!("{}.built", out.file_name().unwrap_or_default().display()));
    if stamp.exists() && out.exists() {
        return Ok(out);
    }
    let _ = fs::remove_dir_all(&out);
    fs::create_dir_all(&out).map_err(text)?;
    for step in steps {
        run_step_with(compilers, step, folder, &out)?;
    }
    File::create(stamp).map_err(text)?;
    Ok(out)
}

/// A digest of all that the result depends on, compilers apart.
fn digest(compilers: Option<&Path>, folder: &Path, steps: &[Step]) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    let mut files: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(|entry| entry.file_name());
    for entry in files {
        entry.file_name().hash(&mut hasher);
        fs::read(entry.path())?.hash(&mut hasher);
    }
    steps.hash(&mut hasher);
    compilers.hash(&mut hasher);
    include_str!("build.rs").hash(&mut hasher);
    Ok(hasher.finish())
}

/// Runs one step, with sources from `folder`, in the folder `out`.
pub fn run_step(step: &Step, folder: &Path, out: &Path) -> Result<(), String> {
    run_step_with(None, step, folder, out)
}

fn run_step_with(
    compilers: Option<&Path>,
    step: &Step,
    folder: &Path,
    out: &Path,
) -> Result<(), String> {
    let here = |word: &str| word.replace("$DIR", &out.to_string_lossy());
    let mut command = match step {
        Step::Shell(line) => {
            let mut command = Command::new("sh");
            command.arg("-ec").arg(line).env("DIR", out).env("SRC", folder);
            command
        }
        Step::Link { output, words, shared } => {
            let is_cxx = |word: &String| word.ends_with(".cc");
            let mut command = Command::new(if words.iter().any(is_cxx) { "g++" } else { "gcc" });
            command.args(["-O1", "-g0", "-Wall", "-fno-use-linker-plugin"]);
            if *shared {
                command.args(["-shared", "-fPIC"]);
            } else if !words.iter().any(|word| word.starts_with("-static")) {
                command.arg(format!("-Wl,--dynamic-linker={}", padded_interpreter()));
            }
            for word in words {
                let source = folder.join(word);
                if source.is_file() {
                    command.arg(source);
                } else {
                    command.arg(here(word));
                }
            }
            command.arg("-o").arg(output);
            command
        }
    };
    if let Some(compilers) = compilers {
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", compilers.display()));
    }
    let done = command.current_dir(out).output().map_err(|e| format!("{command:?}: {e}"))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    Err(format!("building failed: {command:?}\n{said}"))
}

/// Makes every program in `folder` that was built here name `loader` in PT_INTERP.
pub fn name_interpreter(folder: &Path, loader: &Path) -> io::Result<()> {
    let old = padded_interpreter();
    let new = padded(&loader.to_string_lossy());
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            name_interpreter(&entry.path(), loader)?;
        } else if kind.is_file() {
            // Linkers put .interp first; the rest of the file may be large.
            let file = match File::options().read(true).write(true).open(entry.path()) {
                // A test's file that nobody may read.
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => continue,
                result => result?,
            };
            let mut start = vec![0; 4096];
            let length = file.read_at(&mut start, 0)?;
            let mut windows = start[..length].windows(old.len());
            if let Some(at) = windows.position(|window| window == old.as_bytes()) {
                file.write_all_at(new.as_bytes(), at as u64)?;
            }
        }
    }
    Ok(())
}
