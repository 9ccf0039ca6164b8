//! `timeline`: a trace of a real run (docs/trace.md) as a page to look at, or for Perfetto.

mod page;
mod perfetto;
mod record;
mod trace;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::cli::Arguments;
use super::{Failure, Verdict};
use trace::Trace;

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
    let bytes = fs::read(file).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|&byte| byte == b'\n').count();
        format!("line {line}: not UTF-8, as a trace is")
    })?;
    Trace::parse(&text).map_err(|(line, words)| format!("line {line}: {words}"))
}
