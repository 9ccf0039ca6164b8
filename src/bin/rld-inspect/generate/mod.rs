//! `generate`: manuals and shell completions, from the definitions that parsers and `--help` use.

mod bash;
mod fish;
mod man;
mod zsh;

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write;

use super::cli::Arguments;
use super::definitions::{self, COMMANDS, Command, Count, EVERYWHERE, Kind, Operand, Opt, Value};
use super::{Failure, Verdict};

/// What can be generated.
pub const FORMS: &[&str] = &["man", "bash", "zsh", "fish"];
/// For which programs.
pub const TOOLS: &[&str] = &["rld", "rld-inspect", "rldd"];

/// A program that is completed and described.
struct Tool {
    name: &'static str,
    /// Its options, or those of all its commands.
    options: Vec<Opt>,
    operands: &'static [Operand],
    commands: &'static [Command],
    /// Whether what follows the first operand is another program's business.
    wraps: bool,
}

/// An option, and the commands that it belongs to; none, if it is everywhere.
#[derive(PartialEq)]
struct Listed {
    option: Opt,
    commands: Vec<&'static str>,
}

impl Tool {
    fn named(name: &str) -> Self {
        let plain = |name, options, operands| {
            let commands: &[_] = &[];
            Self { name, options, operands, commands, wraps: false }
        };
        match name {
            "rld" => Self { wraps: true, ..plain("rld", loader_options(), &RLD_OPERANDS) },
            "rldd" => plain("rldd", RLDD_OPTIONS.to_vec(), &RLDD_OPERANDS),
            _ => Self { commands: COMMANDS, ..plain(definitions::NAME, EVERYWHERE.to_vec(), &[]) },
        }
    }

    /// All that a command takes.
    fn options_of(&self, command: &Command) -> Vec<Opt> {
        command.options().copied().chain(self.options.iter().copied()).collect()
    }

    /// The options of all commands, each once, then those that are everywhere.
    fn all_options(&self) -> Vec<Listed> {
        let mut all: Vec<Listed> = Vec::new();
        for command in self.commands {
            for option in command.options() {
                match all.iter_mut().find(|known| known.option == *option) {
                    Some(known) => known.commands.push(command.name),
                    None => all.push(Listed { option: *option, commands: vec![command.name] }),
                }
            }
        }
        let everywhere = self.options.iter();
        all.extend(everywhere.map(|option| Listed { option: *option, commands: Vec::new() }));
        all
    }

    /// The options with a value, as shells see them.
    fn words_before_values(&self) -> Vec<String> {
        let all = self.all_options();
        let mut words: Vec<_> = all
            .iter()
            .filter(|listed| listed.option.value.is_some())
            .flat_map(|listed| words(&listed.option))
            .collect();
        words.dedup();
        words
    }

    /// A name for shell functions.
    fn identifier(&self) -> String {
        self.name.replace('-', "_")
    }
}

/// An option as it is typed: short, if it is there, then long.
fn words(option: &Opt) -> Vec<String> {
    let short = option.short.map(|letter| format!("-{letter}"));
    short.into_iter().chain([format!("--{}", option.long)]).collect()
}

/// The loader's own table, with what its values stand for.
fn loader_options() -> Vec<Opt> {
    let option = |row: rld::cli::Row| Opt {
        short: None,
        long: row.name.trim_start_matches("--"),
        value: row.value.map(|name| Value { name, kind: loader_kind(row.name, name) }),
        meaning: row.meaning,
    };
    rld::cli::table().map(option).collect()
}

/// What a value of the loader's stands for.
fn loader_kind(option: &str, value: &str) -> Kind {
    match (option, value) {
        (_, "PATH") => Kind::Directories,
        ("--preload" | "--audit" | "--inhibit-rpath", _) => Kind::Libraries,
        (_, "DIR") => Kind::Directory,
        (_, "FILE") => Kind::File,
        _ => Kind::Text,
    }
}

static RLD_OPERANDS: [Operand; 1] =
    [Operand { name: "PROGRAM", kind: Kind::Program, count: Count::Once }];

/// Those of `src/bin/rldd`, in the order of its `--help`.
static RLDD_OPTIONS: [Opt; 6] = [
    rldd_option(Some('d'), "data-relocs", "bind variables, and report what is undefined"),
    rldd_option(Some('r'), "function-relocs", "bind variables and functions, likewise"),
    rldd_option(Some('u'), "unused", "list direct dependencies that nothing is used of"),
    rldd_option(Some('v'), "verbose", "show which versions are needed, and where they are"),
    rldd_option(None, "help", "show this and exit"),
    rldd_option(None, "version", "show the version and exit"),
];

static RLDD_OPERANDS: [Operand; 1] =
    [Operand { name: "FILE", kind: Kind::Program, count: Count::AtLeastOnce }];

const fn rldd_option(short: Option<char>, long: &'static str, meaning: &'static str) -> Opt {
    Opt { short, long, value: None, meaning }
}

/// Writes what the operands ask for.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<Verdict, Failure> {
    let word = |at| arguments.operand(at).and_then(OsStr::to_str).unwrap_or_default();
    let tool = Tool::named(word(1));
    let text = match word(0) {
        "man" => man::page(&tool),
        "bash" => bash::script(&tool),
        "zsh" => zsh::script(&tool),
        _ => fish::script(&tool),
    };
    out.write_all(text.as_bytes())?;
    Ok(Verdict::Good)
}

/// A text in single quotes, as all three shells have them; fish alone reads a backslash in them.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The first lines of a script: its own first one, if its shell wants one, then who made it.
fn script_head(first: &str, form: &str, tool: &Tool) -> String {
    let mut text = first.to_owned();
    let _ = writeln!(text, "# Completions of {}, by `rld-inspect generate {form} {0}`.", tool.name);
    text
}
