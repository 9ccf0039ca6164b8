//! Completions as their shells understand them: what `rld-inspect generate` writes is loaded, and lines are completed.
//!
//! `tests/completions/` holds a driver for each shell, which needs no terminal.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use support::scratch::Scratch;
use support::{Verdict, package, run_all, skipped, trial};

const INSPECT: &str = env!("CARGO_BIN_EXE_rld-inspect");

/// A shell: the name of its trial, its own, and the options with which it reads nothing of a user's.
struct Shell {
    trial: &'static str,
    name: &'static str,
    options: &'static [&'static str],
}

/// Bash completes a program's own words with the package bash-completion only: with it and without.
const SHELLS: [Shell; 4] = [
    Shell { trial: "bash", name: "bash", options: BASH },
    Shell { trial: ALONE, name: "bash", options: BASH },
    Shell { trial: "zsh", name: "zsh", options: &["-f"] },
    Shell { trial: "fish", name: "fish", options: &["--no-config"] },
];
const BASH: &[&str] = &["--norc", "--noprofile"];
const ALONE: &str = "bash-alone";
/// What the package has for others.
const PACKAGE: &str = "/usr/share/bash-completion/bash_completion";

/// Lines, each with the candidates for its last word. `prog` completes to `alpha` and `beta`.
const LINES: [(&str, &str); 37] = [
    ("rld --pre", "--preload"),
    ("rld --list p", "prog"),
    ("rld ", "file.txt lib liba.so libexec prog"),
    ("rld --library-path l", "lib libexec"),
    ("rld --library-path lib:l", "lib libexec"),
    ("rld --library-path lib --pre", "--preload"),
    ("rld --preload l", "lib liba.so libexec"),
    ("rld --preload prog:l", "lib liba.so libexec"),
    ("rld --trace l", "lib liba.so libexec"),
    ("rld --argv0 ", ""),
    ("rld --argv0 x p", "prog"),
    ("rld prog ", "alpha beta"),
    ("rld ./prog a", "alpha"),
    ("rld --argv0 x --list prog a", "alpha"),
    ("rld prog --li", ""),
    ("rldd -", "-d -r -u -v --data-relocs --function-relocs --unused --verbose --help --version"),
    ("rldd l", "lib liba.so libexec"),
    ("rldd -v prog l", "lib liba.so libexec"),
    ("rldd prog --un", "--unused"),
    ("rld-inspect tr", "tree"),
    ("rld-inspect -v tr", "tree"),
    ("rld-inspect --v", "--verbose --version"),
    ("rld-inspect nonsense ", ""),
    ("rld-inspect tree l", "lib liba.so libexec"),
    ("rld-inspect tree -v --library-path lib l", "lib liba.so libexec"),
    ("rld-inspect tree --library-path=", "lib libexec"),
    ("rld-inspect tree --library-path=lib:l", "lib libexec"),
    ("rld-inspect tree --sysroot l", "lib libexec"),
    ("rld-inspect tree --format ", "text json"),
    ("rld-inspect tree --format=j", "json"),
    ("rld-inspect timeline --format ", "html perfetto"),
    ("rld-inspect timeline -o l", "lib liba.so libexec"),
    ("rld-inspect why lib p", "prog"),
    ("rld-inspect bindings prog ", ""),
    ("rld-inspect libc prog l", "lib liba.so libexec"),
    ("rld-inspect generate ", "man bash zsh fish"),
    ("rld-inspect generate man ", "rld rld-inspect rldd"),
];

fn main() {
    let trials = SHELLS.map(|shell| trial(shell.trial.to_owned(), &Arc::new(shell), completes));
    run_all(trials.into());
}

/// One shell completes every line as it should.
fn completes(trial: &str, shell: &Shell) -> Verdict {
    let Shell { name: shell, options, .. } = *shell;
    if Command::new(shell).args(options).args(["-c", "true"]).output().is_err() {
        return skipped(trial, &format!("there is no {shell}"));
    }
    if trial == "bash" && !Path::new(PACKAGE).exists() {
        return skipped(trial, &format!("there is no {PACKAGE}"));
    }
    let scratch = Scratch::new(&format!("completions-{trial}"));
    let scripts = scratch.path();
    let editor = package().join("tests/completions/setup.zsh");
    fs::copy(editor, scripts.join("setup.zsh"))?;
    for tool in ["rld", "rld-inspect", "rldd"] {
        let file = if shell == "zsh" { format!("_{tool}") } else { format!("{tool}.{shell}") };
        fs::write(scripts.join(file), said(Command::new(INSPECT).args(["generate", shell, tool])))?;
    }
    let work = work(scripts)?;
    let driver = package().join(format!("tests/completions/complete.{shell}"));
    let words = |words| if trial == ALONE { alone(words) } else { words };
    let expected = LINES.map(|(line, all)| (line.to_owned(), words(all).to_owned()));
    let expected: Vec<_> = expected.into_iter().chain(from_help()).collect();
    let path = format!("{}:{}", work.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(shell);
    command.args(options).arg(&driver).arg(scripts).args(expected.iter().map(|(line, _)| line));
    let package = if trial == ALONE { "" } else { PACKAGE };
    command.current_dir(&work).env("PATH", path).env("HOME", scripts).env("PACKAGE", package);
    let said = said(&mut command);
    let mut lines = said.lines();
    let mut wrong = Vec::new();
    for (line, words) in &expected {
        let found: BTreeSet<_> =
            lines.by_ref().take_while(|line| !line.is_empty()).map(last_part).collect();
        let words: BTreeSet<_> = words.split_whitespace().map(str::to_owned).collect();
        if found != words {
            wrong.push(format!("'{line}': {found:?}, not {words:?}"));
        }
    }
    assert_eq!(lines.next(), None);
    assert!(wrong.is_empty(), "{trial} completes\n{}", wrong.join("\n"));
    scratch.passed();
    Ok(libtest_mimic::Completion::Completed)
}

/// The candidates where bash knows nothing of programs' own words: files for them.
fn alone(words: &'static str) -> &'static str {
    match words {
        "alpha beta" => "file.txt lib liba.so libexec prog",
        "alpha" => "",
        _ => words,
    }
}

/// The folder in which lines are completed.
fn work(scratch: &Path) -> std::io::Result<PathBuf> {
    let work = scratch.join("work");
    for folder in ["lib", "libexec"] {
        fs::create_dir_all(work.join(folder))?;
    }
    for file in ["liba.so", "file.txt", "prog"] {
        fs::write(work.join(file), "#!/bin/sh\n")?;
    }
    fs::set_permissions(work.join("prog"), fs::Permissions::from_mode(0o755))?;
    Ok(work)
}

/// What `--help` shows is what is completed: all options and all commands.
fn from_help() -> Vec<(String, String)> {
    let loader: Vec<_> = rld::cli::table().map(|row| row.name).collect();
    let mut lines = vec![("rld --".to_owned(), loader.join(" "))];
    let help = said(Command::new(INSPECT).arg("--help"));
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<_> = commands
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 3, "{commands:?}");
    lines.push(("rld-inspect ".to_owned(), commands.join(" ")));
    for command in commands {
        let help = said(Command::new(INSPECT).args([command, "--help"]));
        let options = help.lines().filter(|line| line.starts_with("  ")).flat_map(|line| {
            line.split_whitespace().find(|word| word.starts_with("--")).map(str::to_owned)
        });
        let options: Vec<_> = options.collect();
        assert!(options.len() > 2, "{command}: {options:?}");
        lines.push((format!("rld-inspect {command} --"), options.join(" ")));
    }
    lines
}

/// Standard output of a command that must succeed.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Some shells give a candidate with what stands before it in the word, or with a slash behind a folder.
fn last_part(candidate: &str) -> String {
    let candidate = candidate.trim_end_matches('/');
    candidate.rsplit(['/', ':', '=']).next().unwrap_or_default().to_owned()
}
