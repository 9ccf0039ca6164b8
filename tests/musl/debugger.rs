//! gdb on a program of musl that opens a plugin: breakpoints in a library that comes later, the list of
//! libraries, and what gdb itself has to say of the loader.

use std::path::Path;
use std::time::Duration;

use libtest_mimic::Completion;

use super::support::run::{self, End, Run};
use super::support::{Verdict, loader, skipped};

const GDB: &str = "/usr/bin/gdb";

/// The program: the one that the tests of dlopen(3) have.
pub const BUILD: &str = "library libneeded.so -g needed.c
    library libplugin.so -g plugin.c libneeded.so
    program dlopen -g -O0 dlopen.c -rdynamic";

const COMMANDS: &[&str] = &[
    "set disable-randomization off",
    "set breakpoint pending on",
    "set debuginfod enabled off",
    "set width 0",
    "break needed.c:begin",
    "break plugin.c:count",
    "run",
    "bt 1",
    "info sharedlibrary",
    "continue",
    "bt 2",
    "delete",
    "continue",
];

/// Debugs the program under musl's own loader and under rld.
pub fn test(label: &str, folder: &Path) -> Verdict {
    if !Path::new(GDB).exists() {
        return skipped(label, "this machine has no gdb");
    }
    let expected = debug(folder, "./dlopen")?;
    if !expected.iter().any(|line| line.ends_with("exited normally]")) {
        return skipped(label, "gdb cannot trace a process here");
    }
    let found = debug(folder, "./dlopen.rld")?;
    let (interpreter, found): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|line| *line == "library (the loader)");
    let has_failed = found.iter().any(|line| line.starts_with("warning"));
    if expected != found || interpreter.is_empty() || has_failed {
        let text = format!("under musl's own loader: {expected:#?}\nunder rld: {found:#?}");
        return Err(format!("{text}\nits own lines: {interpreter:?}").into());
    }
    Ok(Completion::Completed)
}

/// What gdb says, without addresses, in an order that does not depend on where libraries lie.
fn debug(folder: &Path, program: &str) -> Result<Vec<String>, String> {
    let mut run = Run::new(GDB, folder);
    run.args = vec!["-batch".into(), "-nx".into()];
    run.args.extend(COMMANDS.iter().flat_map(|command| ["-ex".into(), command.into()]));
    run.args.push(program.into());
    run.limit = Duration::from_secs(120);
    let outcome = run::run(&run).map_err(|e| e.to_string())?;
    if outcome.end != End::Exit(0) {
        return Err(format!("gdb: {outcome}"));
    }
    let own = loader::subject().file_name().unwrap_or_default().to_string_lossy();
    let mut lines = Vec::new();
    for line in outcome.stdout.lines().chain(outcome.stderr.lines()) {
        if line.starts_with("#0") || line.starts_with("warning: Probes") {
            lines.push(line.to_owned());
        } else if let Some((_, path)) = line.split_once("Yes ") {
            let name = path.rsplit(['/', ' ']).next().unwrap_or_default();
            let name = match name {
                "libc.so" | "ld-musl-x86_64.so.1" => "(musl)",
                name if name == own => "(the loader)",
                name => name,
            };
            lines.push(format!("library {name}"));
        } else if let Some((start, _)) = line.split_once(" (process ") {
            let end = if line.ends_with("exited normally]") { " exited normally]" } else { "" };
            lines.push(format!("{start}{end}"));
        }
    }
    lines.sort();
    Ok(lines)
}
