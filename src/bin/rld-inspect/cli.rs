//! The command line: understood, and explained, by [`super::definitions`].

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write as _};
use std::io::{self, Write};

use lexopt::{Arg, Parser};
use rld::near;

use super::Failure;
use super::definitions::{
    COMMANDS, Command, Count, ENVIRONMENT, EVERYWHERE, Kind, NAME, Operand, Opt, STATUS, SUMMARY,
    Value,
};
use super::output::advice;

/// What the user gave to a command.
pub struct Arguments {
    pub command: &'static Command,
    /// As many as the command takes.
    pub operands: Vec<OsString>,
    options: Vec<(&'static str, OsString)>,
}

impl Arguments {
    /// Whether an option was given.
    pub fn has(&self, option: &str) -> bool {
        self.values(option).next().is_some()
    }

    /// The value of an option; the last one counts.
    pub fn value(&self, option: &str) -> Option<&OsStr> {
        self.values(option).last()
    }

    /// Whether the output is to be JSON.
    pub fn wants_json(&self) -> bool {
        let format = self.options.iter().rev().find(|(name, _)| *name == "format");
        format.is_some_and(|(_, value)| value == "json")
    }

    /// The values of an option that may be given more than once.
    pub fn values<'a>(&'a self, option: &str) -> impl Iterator<Item = &'a OsStr> {
        let option = self.command.options().chain(&EVERYWHERE).find(|known| known.long == option);
        debug_assert!(option.is_some(), "an option that {} does not take", self.command.name);
        let given = self.options.iter();
        given
            .filter(move |(name, _)| option.is_some_and(|option| option.long == *name))
            .map(|(_, value)| value.as_os_str())
    }

    /// The operand at a place; empty where it may be left out and was.
    pub fn operand(&self, at: usize) -> Option<&OsStr> {
        self.operands.get(at).map(OsString::as_os_str)
    }

    /// The number that an option gives.
    pub fn number(&self, option: &str) -> Result<Option<usize>, Failure> {
        let number = |value: &OsStr| {
            let number = value.to_str().and_then(|digits| digits.parse().ok());
            let words = || format!("--{option} is a number, not '{}'", value.display());
            number.ok_or_else(|| Failure::Usage(words()))
        };
        self.value(option).map(number).transpose()
    }

    /// The first operand, which every command has.
    pub fn first(&self) -> &OsStr {
        self.operand(0).unwrap_or_default()
    }
}

/// What is to be done.
pub enum Request {
    Help(Option<&'static Command>),
    Version,
    Run(Arguments),
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Understands the command line.
pub fn parse(mut parser: Parser) -> Result<Request, Failure> {
    let mut command: Option<&'static Command> = None;
    let (mut operands, mut options) = (Vec::new(), Vec::new());
    while let Some(argument) = parser.next()? {
        let named = |option: &&Opt| match argument {
            Arg::Short(letter) => option.short == Some(letter),
            Arg::Long(name) => option.long == name,
            Arg::Value(_) => false,
        };
        let own = command.into_iter().flat_map(Command::options);
        let known = own.chain(&EVERYWHERE).find(named);
        match (known, argument) {
            (Some(Opt { long: "help", .. }), _) => return Ok(Request::Help(command)),
            (Some(Opt { long: "version", .. }), _) => return Ok(Request::Version),
            (Some(option), _) => {
                let given = option.value.map(|_| parser.value()).transpose()?.unwrap_or_default();
                if let Some(Value { kind, .. }) = option.value {
                    check_word(&format!("--{}", option.long), kind, &given)?;
                }
                options.push((option.long, given));
            }
            (None, Arg::Value(operand)) if command.is_some() => operands.push(operand),
            (None, Arg::Value(name)) => {
                let found = COMMANDS.iter().find(|command| *command.name == *name);
                let unknown = || {
                    let names = COMMANDS.iter().map(|command| command.name.as_bytes());
                    let near = near::nearest(name.as_encoded_bytes(), names);
                    let near = near.map_or(String::new(), advice);
                    format!("there is no command '{}'{near}", name.display())
                };
                command = Some(found.ok_or_else(|| Failure::Usage(unknown()))?);
            }
            (None, unknown) => return Err(unknown.unexpected().into()),
        }
    }
    let command = command.ok_or_else(|| Failure::Usage("expected a command".into()))?;
    check_operands(command, &operands)?;
    Ok(Request::Run(Arguments { command, operands, options }))
}

/// What is one of some words must be one of them.
fn check_word(name: &str, kind: Kind, given: &OsStr) -> Result<(), Failure> {
    match kind {
        Kind::OneOf(words) if !words.iter().any(|word| given == *word) => {
            let (given, words) = (given.display(), words.join(", "));
            Err(Failure::Usage(format!("{name} is one of {words}, not '{given}'")))
        }
        _ => Ok(()),
    }
}

fn check_operands(command: &Command, given: &[OsString]) -> Result<(), Failure> {
    let needed = |operand: &&Operand| operand.count != Count::AtMostOnce;
    if given.len() < command.operands.iter().filter(needed).count() {
        return Err(Failure::Usage(format!("expected{}", Operands(command))));
    }
    for (Operand { name, kind, .. }, given) in command.operands.iter().zip(given) {
        check_word(name, *kind, given)?;
    }
    let endless = command.operands.iter().any(|operand| operand.count == Count::AtLeastOnce);
    match given.get(command.operands.len()) {
        Some(extra) if !endless => {
            Err(Failure::Usage(format!("unexpected operand '{}'", extra.display())))
        }
        _ => Ok(()),
    }
}

/// A command's operands as a synopsis has them, each with a space before it.
pub struct Operands<'c>(pub &'c Command);

impl fmt::Display for Operands<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.operands.iter().try_for_each(|Operand { name, count, .. }| match count {
            Count::Once => write!(f, " {name}"),
            Count::AtMostOnce => write!(f, " [{name}]"),
            Count::AtLeastOnce => write!(f, " {name}..."),
        })
    }
}

/// Writes what `--help` shows: of one command, or of all.
pub fn help(command: Option<&Command>, out: &mut dyn Write) -> io::Result<()> {
    let Some(command) = command else { return general_help(out) };
    let Command { name, summary, about, .. } = command;
    writeln!(out, "Usage: {NAME} {name} [OPTION]...{}\n{summary}", Operands(command))?;
    for paragraph in *about {
        writeln!(out, "\n{}", filled(paragraph))?;
    }
    for Operand { name, kind, .. } in command.operands {
        if let Kind::OneOf(words) = kind {
            writeln!(out, "\n{name} is one of {}.", words.join(", "))?;
        }
    }
    writeln!(out, "\nOptions:")?;
    command.options().chain(&EVERYWHERE).try_for_each(|option| option_help(option, out))
}

fn general_help(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Usage: {NAME} COMMAND [OPTION]... OPERAND...\n{SUMMARY}\n\nCommands:")?;
    for command in COMMANDS {
        writeln!(out, "  {}{}\n      {}", command.name, Operands(command), command.summary)?;
    }
    writeln!(out, "\nOptions of every command; '{NAME} COMMAND --help' shows its own:")?;
    EVERYWHERE.iter().try_for_each(|option| option_help(option, out))?;
    writeln!(out, "\n{}\n\nExit status:", filled(ENVIRONMENT))?;
    STATUS.iter().try_for_each(|(status, meaning)| writeln!(out, "  {status}  {meaning}"))
}

/// A paragraph in lines of a terminal's width.
fn filled(paragraph: &str) -> String {
    const WIDTH: usize = 79;
    let mut text = String::new();
    let mut column = 0;
    for word in paragraph.split(' ') {
        if column + 1 + word.len() > WIDTH {
            text.push('\n');
            column = 0;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.len();
    }
    text
}

fn option_help(option: &Opt, out: &mut dyn Write) -> io::Result<()> {
    let Opt { short, long, value, meaning } = option;
    let mut names = match short {
        Some(short) => format!("-{short}, --{long}"),
        None => format!("    --{long}"),
    };
    if let Some(value) = value {
        let _ = write!(names, " {}", value.name);
    }
    let words = match value.map(|value| value.kind) {
        Some(Kind::OneOf(words)) => format!(": {}", words.join(", ")),
        _ => String::new(),
    };
    writeln!(out, "  {names:<26} {meaning}{words}")
}
