//! Builds the measuring programs, and copies them for both loaders.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::figures::{self, Program, Readings};
use crate::loaders::Loaders;
use crate::program::{Copies, first_line, tool};
use crate::synth::Set;
use crate::workload::Binding;

/// What is called lazily: functions and nothing else.
const CALLED: Set = Set { name: "calls", libraries: 100, symbols: 1000, imports: 0 };
/// What is loaded when services are measured.
const LOADED: Set = Set { name: "synth", libraries: 100, symbols: 100, imports: 100 };
/// The dependencies of the plugin.
const PLUGIN: Set = Set { name: "plugs", libraries: 30, symbols: 100, imports: 100 };

/// A measuring process, the same under either loader.
pub struct Pair {
    /// Under the system's loader.
    pub system: PathBuf,
    /// Under the loader under test.
    pub tested: PathBuf,
    arguments: Vec<String>,
}

impl Pair {
    /// Builds the program in a folder of its own in `work`, with libraries kept in `cache`.
    pub fn new(
        program: Program,
        filter: &str,
        loaders: &Loaders,
        work: &Path,
        cache: &Path,
    ) -> Result<Self, String> {
        let dir = work.join(format!("program{}", program as u8));
        fs::create_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let (path, arguments) = match program {
            Program::Lazy => (lazy(&dir, cache)?, Vec::new()),
            Program::LazyZmm => (lazy(&dir, cache)?, vec!["zmm".to_owned()]),
            Program::Services => {
                (services(&dir, cache)?, vec![dir.display().to_string(), filter.to_owned()])
            }
        };
        let system = Copies::make(&path, &dir.join("system"), &loaders.system)?.whole;
        let tested = Copies::make(&path, &dir.join("tested"), &loaders.tested)?.whole;
        Ok(Self { system, tested, arguments })
    }

    /// Runs one of the two to its end. The error is in its way of ending.
    pub fn run(&self, program: &Path) -> (Readings, Result<(), String>) {
        let output = Command::new(program)
            .args(&self.arguments)
            .env_clear()
            .envs(Binding::AsLinked.environment().iter().copied())
            .stdin(Stdio::null())
            .output();
        match output {
            Err(e) => (Readings::new(), Err(e.to_string())),
            Ok(output) => {
                let end = match output.status {
                    status if status.success() => Ok(()),
                    status => Err(format!("{status}: {}", first_line(&output.stderr))),
                };
                (figures::parse(&String::from_utf8_lossy(&output.stdout)), end)
            }
        }
    }
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/runtime").join(name)
}

/// A compiler that links to a set of libraries, in their order.
fn linked_to(compiler: &str, source: &Path, set: Set, folder: &Path) -> Command {
    let mut command = Command::new(compiler);
    command
        .args(["-O2", "-Wl,-z,lazy", "-Wl,--no-as-needed"])
        .arg(format!("-Wl,-rpath,{}", folder.display()))
        .arg(source)
        .args((0..set.libraries).map(|i| folder.join(set.soname(i))));
    command
}

fn lazy(dir: &Path, cache: &Path) -> Result<PathBuf, String> {
    let libraries = CALLED.folder(cache)?;
    let mut header = format!("#define CALLS {}\n", CALLED.symbols);
    for (list, library) in [("FIRST", 0), ("LAST", CALLED.libraries - 1)] {
        let mut calls = String::new();
        for k in 0..CALLED.symbols {
            let (name, value) = (CALLED.function(library, k), CALLED.value(library, k));
            _ = writeln!(header, "int {name}(void);");
            _ = write!(calls, " X({name}, {value})");
        }
        _ = writeln!(header, "#define {list}(X){calls}");
    }
    let file = dir.join("calls.h");
    fs::write(&file, header).map_err(|e| format!("{}: {e}", file.display()))?;
    let program = dir.join("lazy");
    let mut gcc = linked_to("gcc", &source("lazy.c"), CALLED, &libraries);
    // -fplt: else a compiler's default of -fno-plt would leave nothing to bind.
    gcc.args(["-fplt", "-I"]).arg(dir).arg("-o").arg(&program);
    tool(gcc, "")?;
    Ok(program)
}

fn services(dir: &Path, cache: &Path) -> Result<PathBuf, String> {
    for (file, name, dialect) in [
        ("libtls.so", "start", "gnu"),
        ("tls.so", "opened", "gnu"),
        ("tlsdesc.so", "opened", "gnu2"),
    ] {
        let mut gcc = Command::new("gcc");
        gcc.args(["-O2", "-shared", "-fPIC", &format!("-mtls-dialect={dialect}")])
            .args([format!("-DNAME={name}_words"), format!("-DLOOP={name}_loop")])
            .arg(source("tls.c"))
            .args([&format!("-Wl,-soname,{file}"), "-o"])
            .arg(dir.join(file));
        tool(gcc, "")?;
    }
    plugin(dir, &PLUGIN.folder(cache)?)?;
    small(dir)?;

    let libraries = LOADED.folder(cache)?;
    let program = dir.join("services");
    let mut gcc = linked_to("g++", &source("services.cc"), LOADED, &libraries);
    gcc.arg("-std=c++17")
        .arg(format!("-DEARLY=\"{}\"", LOADED.function(0, 50)))
        .arg(format!("-DLAST=\"{}\"", LOADED.function(LOADED.libraries - 1, 50)))
        .arg(format!("-Wl,-rpath,{}", dir.display()))
        .arg(dir.join("libtls.so"))
        .arg("-o")
        .arg(&program);
    tool(gcc, "")?;
    Ok(program)
}

/// A library that calls every one of its dependencies, and they all that they import.
fn plugin(dir: &Path, libraries: &Path) -> Result<(), String> {
    let mut text = String::new();
    let mut calls = String::new();
    for i in 0..PLUGIN.libraries {
        let run = PLUGIN.run(i);
        _ = writeln!(text, "void {run}(void);");
        _ = write!(calls, " {run}();");
    }
    _ = writeln!(text, "int plugin_call(void) {{{calls} return {}; }}", PLUGIN.libraries);
    let file = dir.join("plugin.c");
    fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut gcc = linked_to("gcc", &file, PLUGIN, libraries);
    gcc.args(["-shared", "-fPIC", "-fplt", "-o"]).arg(dir.join("plugin.so"));
    tool(gcc, "")
}

/// A library that needs libc alone, and calls it.
fn small(dir: &Path) -> Result<(), String> {
    let file = dir.join("small.c");
    let text = "#include <unistd.h>\nint small_call(void) { return getpid() > 0; }\n";
    fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut gcc = Command::new("gcc");
    gcc.args(["-O2", "-Wl,-z,lazy", "-shared", "-fPIC", "-fplt", "-o"]);
    gcc.arg(dir.join("small.so")).arg(&file);
    tool(gcc, "")
}
