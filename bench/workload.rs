//! What is measured.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::elf::REPORT;
use crate::loaders::Loaders;
use crate::program::{Copies, Source, first_line, tool};

/// A program to start, and how.
struct Entry {
    name: &'static str,
    source: Source,
    /// Arguments with which it ends quickly, having used its libraries.
    args: &'static [&'static str],
    /// Also measured with the binding it was linked for, lazy unless the distribution chose
    /// otherwise.
    as_linked: bool,
}

const ENTRIES: [Entry; 11] = [
    Entry { name: "hello", source: Source::HelloC, args: &[], as_linked: true },
    Entry { name: "hello-c++", source: Source::HelloCxx, args: &[], as_linked: true },
    Entry::found("bash", &["-c", "echo $((6 * 7))"]),
    Entry::found("git", &["--version"]),
    Entry::found("gdb", &["--version"]),
    Entry::found("inkscape", &["--version"]),
    Entry::found("ffmpeg", &["-version"]),
    Entry::found("blender", &["--version"]),
    Entry::synthetic("synth-10x100", 10, 100),
    Entry::synthetic("synth-100x100", 100, 100),
    Entry::synthetic("synth-400x100", 400, 100),
];

impl Entry {
    /// A program of this name in PATH.
    const fn found(name: &'static str, args: &'static [&'static str]) -> Self {
        Self { name, source: Source::Found(name), args, as_linked: true }
    }

    const fn synthetic(name: &'static str, libraries: usize, symbols: usize) -> Self {
        Self { name, source: Source::Synthetic { libraries, symbols }, args: &[], as_linked: false }
    }

    /// Names of its workloads that the filter selects, with their binding.
    fn selected(&self, filter: &str) -> Vec<(String, Binding)> {
        let as_linked = self.as_linked.then(|| (self.name.to_owned(), Binding::AsLinked));
        let now = (format!("{}-now", self.name), Binding::Now);
        as_linked.into_iter().chain([now]).filter(|(name, _)| name.contains(filter)).collect()
    }
}

/// When functions are bound.
#[derive(Clone, Copy, PartialEq)]
pub enum Binding {
    /// As the program asks.
    AsLinked,
    /// Before it starts: LD_BIND_NOW=1.
    Now,
}

impl Binding {
    /// The whole environment of a start: nothing of the caller's, least of all cargo's
    /// LD_LIBRARY_PATH.
    pub fn environment(self) -> &'static [(&'static str, &'static str)] {
        const NOW: [(&str, &str); 3] =
            [("LD_BIND_NOW", "1"), ("LC_ALL", "C"), ("PATH", "/usr/bin:/bin")];
        match self {
            Self::AsLinked => &NOW[1..],
            Self::Now => &NOW,
        }
    }
}

/// One workload, ready to be timed: the same program under both loaders.
pub struct Pair {
    /// Its name.
    pub name: String,
    /// When its functions are bound.
    pub binding: Binding,
    /// The copy that ends at its entry point, under the system's loader.
    pub system: PathBuf,
    /// The same under the loader under test.
    pub tested: PathBuf,
}

/// A workload without figures.
pub enum Skipped {
    /// This machine cannot run it.
    Unavailable { name: String, why: String },
    /// The loader under test gets it wrong.
    Failed { name: String, why: String },
}

impl Skipped {
    /// Whether the loader under test is to blame.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

/// The names that the filter selects.
pub fn names(filter: &str) -> Vec<String> {
    ENTRIES.iter().flat_map(|e| e.selected(filter)).map(|(name, _)| name).collect()
}

/// Builds the selected programs and sees to it that they work.
pub fn prepare(
    filter: &str,
    loaders: &Loaders,
    work: &Path,
    cache: &Path,
) -> (Vec<Pair>, Vec<Skipped>) {
    let (mut pairs, mut skipped) = (Vec::new(), Vec::new());
    for entry in &ENTRIES {
        let selected = entry.selected(filter);
        if selected.is_empty() {
            continue;
        }
        let copies = copies(entry, loaders, &work.join(entry.name), cache);
        for (name, binding) in selected {
            match &copies {
                Err(why) => skipped.push(Skipped::Unavailable { name, why: why.clone() }),
                Ok((system, tested)) => match check(&name, entry.args, binding, system, tested) {
                    Ok(()) => pairs.push(Pair {
                        name,
                        binding,
                        system: system.entry.clone(),
                        tested: tested.entry.clone(),
                    }),
                    Err(why) => skipped.push(why),
                },
            }
        }
    }
    (pairs, skipped)
}

fn copies(
    entry: &Entry,
    loaders: &Loaders,
    dir: &Path,
    cache: &Path,
) -> Result<(Copies, Copies), String> {
    std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let program = entry.source.program(dir, cache)?;
    let system = Copies::make(&program, &dir.join("system"), &loaders.system)?;
    let tested = Copies::make(&program, &dir.join("tested"), &loaders.tested)?;
    Ok((system, tested))
}

/// The program must do the same under both loaders: the time of a start that left it broken means
/// nothing.
fn check(
    name: &str,
    args: &[&str],
    binding: Binding,
    system: &Copies,
    tested: &Copies,
) -> Result<(), Skipped> {
    let unavailable = |why| Skipped::Unavailable { name: name.to_owned(), why };
    let failed = |why| Skipped::Failed { name: name.to_owned(), why };
    let wanted = succeeds(&system.whole, args, binding).map_err(unavailable)?;
    succeeds(&system.entry, &[], binding).map_err(unavailable)?;
    let found = succeeds(&tested.whole, args, binding).map_err(failed)?;
    if found != wanted {
        let (found, wanted) = (first_line(&found), first_line(&wanted));
        return Err(failed(format!("prints \"{found}\" instead of \"{wanted}\"")));
    }
    succeeds(&tested.entry, &[], binding)
        .map_err(|why| failed(format!("before the entry point: {why}")))?;
    Ok(())
}

/// What the program prints, if it ends well; else how it ends, and why if it says so.
fn succeeds(program: &Path, args: &[&str], binding: Binding) -> Result<Vec<u8>, String> {
    let output = Command::new(program)
        .args(args)
        .env_clear()
        .envs(binding.environment().iter().copied())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{}: {e}", program.display()))?;
    let said = first_line(&output.stderr);
    match output.status {
        status if status.success() => Ok(output.stdout),
        status if said.is_empty() => Err(status.to_string()),
        status => Err(format!("{status}: {said}")),
    }
}

/// A static program that reports at once: what exec costs without any loader.
pub fn floor(work: &Path) -> Result<PathBuf, String> {
    let (object, program) = (work.join("floor.o"), work.join("floor"));
    let mut assembler = Command::new("as");
    assembler.arg("-o").arg(&object).arg("-");
    let code: Vec<_> = REPORT.iter().map(u8::to_string).collect();
    tool(assembler, &format!(".globl _start\n_start: .byte {}\n", code.join(",")))?;
    let mut linker = Command::new("ld");
    linker.arg("-o").arg(&program).arg(&object);
    tool(linker, "")?;
    Ok(program)
}
