//! The programs that are started: made by the C toolchain, or found on this machine.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::elf::Program;
use crate::synth;

/// Where a program comes from.
#[derive(Clone, Copy)]
pub enum Source {
    /// One line on stdout, from C.
    HelloC,
    /// The same through libstdc++.
    HelloCxx,
    /// The first real program of this name in PATH.
    Found(&'static str),
    /// Linked to this many generated libraries, each importing and exporting this many symbols.
    Synthetic { libraries: usize, symbols: usize },
}

impl Source {
    /// The program's path; built inside `dir`, or with what `cache` keeps from run to run.
    pub fn program(self, dir: &Path, cache: &Path) -> Result<PathBuf, String> {
        match self {
            Self::HelloC => compile(
                "gcc",
                "c",
                "#include <stdio.h>\nint main(void) { puts(\"hello\"); }\n",
                dir,
            ),
            Self::HelloCxx => compile(
                "g++",
                "c++",
                "#include <iostream>\nint main() { std::cout << \"hello\" << std::endl; }\n",
                dir,
            ),
            Self::Found(name) => find(name),
            Self::Synthetic { libraries, symbols } => {
                synth::program(libraries, symbols, dir, cache)
            }
        }
    }
}

fn compile(compiler: &str, language: &str, source: &str, dir: &Path) -> Result<PathBuf, String> {
    let out = dir.join("hello");
    let mut command = Command::new(compiler);
    command.args(["-O2", "-x", language, "-", "-o"]).arg(&out);
    tool(command, source)?;
    Ok(out)
}

/// PATH may hold wrapper scripts and static programs of that name before the real one.
fn find(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter_map(|dir| dir.join(name).canonicalize().ok())
        .find(|file| fs::read(file).is_ok_and(|bytes| Program::parse(bytes).is_ok()))
        .ok_or_else(|| format!("no dynamically linked {name} in PATH"))
}

/// Runs a tool of the C toolchain with `input` on its stdin. The error holds what it said.
pub fn tool(mut command: Command, input: &str) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{name}: {e}"))?;
    // A tool that gives up early says why on stderr: a broken pipe here is not the news.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|e| format!("{name}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{name}: {}: {}", output.status, first_line(&output.stderr)))
}

/// The first line of what a program printed.
pub fn first_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).lines().next().unwrap_or_default().to_owned()
}

/// Two copies of a program for one loader.
pub struct Copies {
    /// With that loader, otherwise as it was: to see that it works.
    pub whole: PathBuf,
    /// Moreover ending at its entry point, where it reports its time.
    pub entry: PathBuf,
}

impl Copies {
    /// Copies `program` into `dir`, for the loader named `interpreter`.
    pub fn make(program: &Path, dir: &Path, interpreter: &Path) -> Result<Self, String> {
        let failed = |e: std::io::Error| format!("{}: {e}", program.display());
        let bytes = fs::read(program).map_err(failed)?;
        let mut elf = Program::parse(bytes).map_err(|e| format!("{}: {e}", program.display()))?;
        elf.set_interpreter(interpreter)?;
        let bin = dir.join("bin");
        fs::create_dir_all(&bin).map_err(failed)?;
        if elf.names_origin() {
            link_surroundings(program, &bin).map_err(failed)?;
        }
        let copies = Self { whole: bin.join("whole.copy"), entry: bin.join("entry.copy") };
        write_program(&copies.whole, elf.bytes()).map_err(failed)?;
        elf.report_at_entry();
        write_program(&copies.entry, elf.bytes()).map_err(failed)?;
        Ok(copies)
    }
}

/// Writes a new executable file.
pub fn write_program(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(path)?.write_all(bytes)
}

/// Lets $ORIGIN and $ORIGIN/../lib of a copy in `bin` find what they find from the original's
/// place.
fn link_surroundings(program: &Path, bin: &Path) -> std::io::Result<()> {
    let Some(home) = program.parent() else {
        return Ok(());
    };
    for entry in fs::read_dir(home)? {
        let entry = entry?;
        symlink(entry.path(), bin.join(entry.file_name()))?;
    }
    let lib = home.join("../lib");
    if lib.is_dir() {
        symlink(lib.canonicalize()?, bin.join("../lib"))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(unused)] // see unit.rs
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_copy_finds_what_the_original_finds_through_its_origin() {
        let scratch = Scratch::new(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        let home = scratch.path().join("home/bin");
        fs::create_dir_all(&home).unwrap();
        fs::create_dir_all(home.join("../lib")).unwrap();
        fs::write(home.join("libbeside.so"), "beside").unwrap();
        fs::write(home.join("../lib/libabove.so"), "above").unwrap();
        let mut bytes = fs::read(std::env::current_exe().unwrap()).unwrap();
        bytes.extend(b"\0$ORIGIN/../lib\0");
        let program = home.join("program");
        write_program(&program, &bytes).unwrap();

        let copies = Copies::make(&program, &scratch.path().join("to"), Path::new("/l")).unwrap();
        let origin = copies.entry.parent().unwrap();
        assert_eq!(fs::read_to_string(origin.join("libbeside.so")).unwrap(), "beside");
        assert_eq!(fs::read_to_string(origin.join("../lib/libabove.so")).unwrap(), "above");
        assert!(fs::read(&program).unwrap() == bytes, "the original is untouched");
    }

    #[test]
    fn a_failing_tool_is_quoted() {
        let mut sh = Command::new("sh");
        sh.args(["-c", "read word; echo \"no $word\" >&2; exit 3"]);
        assert_eq!(tool(sh, "luck\n").unwrap_err(), "sh: exit status: 3: no luck");
        let missing = tool(Command::new("no-such-tool"), "").unwrap_err();
        assert!(missing.starts_with("no-such-tool: "), "{missing}");
    }
}
