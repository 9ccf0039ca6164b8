//! The commands, and what they have in common.

mod bindings;
mod check;
mod cli;
mod definitions;
mod diff;
mod files;
mod generate;
mod glibc;
mod output;
mod resolve;
mod root;
mod start;
mod symbols;
mod timeline;
mod tree;
mod why;

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use cli::{Arguments, Request};
use definitions::{Action, NAME};
use output::Out;

/// How a command that could do its work ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// The program would start; the library is supported; there is no difference.
    Good,
    /// Something is missing, undefined, different or not supported; the output says what.
    Bad,
    /// Nothing of that, but there are warnings.
    Doubtful,
}

/// Why a command could not do its work.
#[derive(Debug)]
enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// A file is not what it should be; lines after the first are details.
    Input(String),
    /// The output cannot be written.
    Output(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<rld::error::Error> for Failure {
    /// The error's line, then its details, indented as the loader indents them.
    fn from(error: rld::error::Error) -> Self {
        let details = error.details.iter().map(|line| format!("\n\t{line}"));
        Self::Input(details.fold(error.to_string(), |text, line| text + &line))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(words) => write!(f, "{words}\nTry '{NAME} --help'."),
            Self::Input(words) => f.write_str(words),
            Self::Output(error) => write!(f, "standard output: {error}"),
        }
    }
}

/// The whole of the tool.
pub fn main() -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let result = run(&mut out).and_then(|verdict| {
        out.flush()?;
        Ok(verdict)
    });
    match result {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::FAILURE,
        Ok(Verdict::Doubtful) => ExitCode::from(3),
        // A reader that has seen enough, such as head(1).
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("{NAME}: {failure}");
            ExitCode::from(if matches!(failure, Failure::Usage(_)) { 2 } else { 1 })
        }
    }
}

fn run(out: &mut dyn Write) -> Result<Verdict, Failure> {
    match cli::parse(lexopt::Parser::from_env())? {
        Request::Help(command) => cli::help(command, out)?,
        Request::Version => writeln!(out, "{NAME} {}", env!("CARGO_PKG_VERSION"))?,
        Request::Run(arguments) => {
            log_to_stderr(arguments.has("verbose"));
            return act(&arguments, out);
        }
    }
    Ok(Verdict::Good)
}

fn act(arguments: &Arguments, out: &mut dyn Write) -> Result<Verdict, Failure> {
    let out = &mut Out::new(out, arguments);
    match arguments.command.action {
        Action::Tree => tree::run(arguments, out),
        Action::Why => why::run(arguments, out),
        Action::Symbols => symbols::run(arguments, out),
        Action::Bindings => bindings::run(arguments, out),
        Action::Check => check::run(arguments, out),
        Action::Diff => diff::run(arguments, out),
        Action::Libc => glibc::run(arguments, out),
        Action::Timeline => timeline::run(arguments, out),
        Action::Generate => generate::run(arguments, out),
    }
}

/// Shows what is logged: warnings; the search, too, with `--verbose`; or what RUST_LOG asks for.
fn log_to_stderr(verbose: bool) {
    let level = if verbose { "debug" } else { "warn" };
    let environment = env_logger::Env::default().default_filter_or(level);
    env_logger::Builder::from_env(environment)
        .format(|line, record| writeln!(line, "{NAME}: {}", record.args()))
        .init();
}
