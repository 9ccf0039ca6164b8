//! `timeline`: a trace of a real run (docs/trace.md) as a page to look at, or for Perfetto.

mod page;
mod perfetto;
mod record;
mod trace;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::iter;
use std::path::Path;

use super::cli::Arguments;
use super::{Failure, Verdict};
use trace::Trace;

/// More than a line of a trace can have, whose longest part is a symbol's name. Files without lines, such as
/// `/dev/zero`, need not be read to their end.
const LONGEST: u64 = 1 << 24;

pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<Verdict, Failure> {
    let file = Path::new(arguments.first());
    let trace =
        read(file).map_err(|words| Failure::Input(format!("{}: {words}", file.display())))?;
    let write = match arguments.value("format") {
        Some(format) if format == "perfetto" => perfetto::write,
        _ => page::write,
    };
    match arguments.value("output") {
        None => write(&trace, out)?,
        Some(path) => {
            let failed = |error: io::Error| {
                Failure::Input(format!("{}: {error}", Path::new(path).display()))
            };
            let mut file = BufWriter::new(File::create(path).map_err(failed)?);
            write(&trace, &mut file).and_then(|()| file.flush()).map_err(failed)?;
        }
    }
    Ok(Verdict::Good)
}

/// Reads a trace; or says what is wrong with it.
fn read(file: &Path) -> Result<Trace, String> {
    let mut file = BufReader::new(File::open(file).map_err(|error| error.to_string())?);
    let lines = iter::from_fn(|| next_line(&mut file));
    Trace::parse(lines).map_err(|(line, words)| format!("line {line}: {words}"))
}

fn next_line(file: &mut impl BufRead) -> Option<Result<String, String>> {
    let mut line = Vec::new();
    match file.take(LONGEST).read_until(b'\n', &mut line) {
        Ok(0) => None,
        Ok(_) if line.len() as u64 == LONGEST => Some(Err("too long for a trace".into())),
        Ok(_) => Some(String::from_utf8(line).map_err(|_| "not UTF-8, as a trace is".into())),
        Err(error) => Some(Err(error.to_string())),
    }
}
