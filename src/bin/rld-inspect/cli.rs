//! The command line.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;

use lexopt::{Arg, Parser};

use super::{Failure, Verdict};

/// One command. A new one is a module with a `COMMAND`, and its place in [`super::COMMANDS`].
pub struct Command {
    pub name: &'static str,
    /// What follows the name, for people.
    pub synopsis: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The options that it takes beside `--verbose`: members of [`OPTIONS`].
    pub options: &'static [&'static str],
    pub run: fn(&Arguments, &mut dyn Write) -> Result<Verdict, Failure>,
}

/// The options of commands that look at a program as it would be started.
pub const START: &[&str] = &["library-path", "preload", "inhibit-cache"];

/// Every option that some command takes, with its value's name and its meaning.
const OPTIONS: [(&str, &str, &str); 3] = [
    ("library-path", " LIST", "look in these directories instead of LD_LIBRARY_PATH's"),
    ("preload", " LIST", "load these objects as well, like LD_PRELOAD's"),
    ("inhibit-cache", "", "do not use /etc/ld.so.cache"),
];

/// What the user gave to a command.
#[derive(Default)]
pub struct Arguments {
    pub operands: Vec<OsString>,
    /// `--verbose`.
    pub verbose: bool,
    /// `--library-path`.
    pub library_path: Option<Vec<u8>>,
    /// `--preload`.
    pub preload: Vec<u8>,
    /// `--inhibit-cache`.
    pub inhibit_cache: bool,
}

impl Arguments {
    /// The operands, if there are from `N` to `N + M` of them: those that must be there, then those
    /// that may.
    pub fn operands<const N: usize, const M: usize>(
        &self,
        names: &str,
    ) -> Result<([&OsString; N], [Option<&OsString>; M]), Failure> {
        let mut given = self.operands.iter();
        let required: [_; N] = std::array::from_fn(|_| given.next());
        let optional: [_; M] = std::array::from_fn(|_| given.next());
        if let Some(extra) = given.next() {
            return Err(Failure::Usage(format!("unexpected operand '{}'", extra.display())));
        }
        match required.iter().flatten().copied().collect::<Vec<_>>().try_into() {
            Ok(required) => Ok((required, optional)),
            Err(_) => Err(Failure::Usage(format!("expected {names}"))),
        }
    }
}

/// What is to be done.
pub enum Request {
    Help,
    Version,
    Run(&'static Command, Arguments),
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Understands the command line.
pub fn parse(mut parser: Parser, commands: &'static [Command]) -> Result<Request, Failure> {
    let mut command: Option<&'static Command> = None;
    let mut arguments = Arguments::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Request::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(Request::Version),
            Arg::Short('v') | Arg::Long("verbose") => arguments.verbose = true,
            Arg::Long(name) if command.is_some_and(|command| command.options.contains(&name)) => {
                match name {
                    "library-path" => {
                        arguments.library_path = Some(parser.value()?.into_vec());
                    }
                    "preload" => {
                        arguments.preload.push(b':');
                        arguments.preload.extend(parser.value()?.into_vec());
                    }
                    "inhibit-cache" => arguments.inhibit_cache = true,
                    _ => return Err(argument.unexpected().into()),
                }
            }
            Arg::Value(operand) if command.is_some() => arguments.operands.push(operand),
            Arg::Value(name) => {
                let found = commands.iter().find(|command| *command.name == *name);
                let unknown = || format!("there is no command '{}'", name.display());
                command = Some(found.ok_or_else(|| Failure::Usage(unknown()))?);
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    match command {
        Some(command) => Ok(Request::Run(command, arguments)),
        None => Err(Failure::Usage("expected a command".into())),
    }
}

/// Writes what `--help` shows.
pub fn help(commands: &[Command], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Usage: rld-inspect COMMAND [OPTION]... OPERAND...")?;
    writeln!(out, "Say what rld would do with a program, without starting it.\n\nCommands:")?;
    for Command { name, synopsis, summary, .. } in commands {
        writeln!(out, "  {name} {synopsis}\n      {summary}")?;
    }
    writeln!(out, "\nOptions:")?;
    for (name, value, meaning) in OPTIONS {
        let takers = commands.iter().filter(|command| command.options.contains(&name));
        let takers: Vec<_> = takers.map(|command| command.name).collect();
        let option = format!("--{name}{value}");
        writeln!(out, "      {option:<20} {meaning} ({})", takers.join(", "))?;
    }
    writeln!(
        out,
        "  -v, --verbose            show each search; RUST_LOG chooses more finely
  -h, --help               show this text
  -V, --version            show the version

LD_LIBRARY_PATH, LD_PRELOAD, LD_DYNAMIC_WEAK and /etc/ld.so.preload count as they would at start.
Exit status: 0 if all is well; 1 if something is missing, undefined, not supported or unreadable;
2 if the command line is wrong."
    )
}
