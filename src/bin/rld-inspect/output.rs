//! What a command writes to: a terminal, another program, or something that reads JSON.

use std::env;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStringExt;

use rld::linkmap::requests::Rule;
use rld::paint::{self, Paint};
use rld::search::Origin;
use rld::text::Text;
use serde::{Serialize, Serializer};

use super::Failure;
use super::cli::Arguments;

/// Standard output, and what is known of its reader.
pub struct Out<'o> {
    stream: &'o mut dyn Write,
    paint: Paint,
    /// Whether the reader wants JSON.
    pub json: bool,
}

impl<'o> Out<'o> {
    /// For what the user asks for with `--format`. Colours are for terminals, unless NO_COLOR is set.
    pub fn new(stream: &'o mut dyn Write, arguments: &Arguments) -> Self {
        let variable = |name| env::var_os(name).map(OsStringExt::into_vec);
        let (no_color, term) = (variable("NO_COLOR"), variable("TERM"));
        let wanted = paint::wanted(no_color.as_deref(), term.as_deref());
        let paint = Paint::new(wanted && io::stdout().is_terminal());
        Self { stream, paint, json: arguments.wants_json() }
    }

    /// How to colour words.
    pub const fn paint(&self) -> Paint {
        self.paint
    }

    /// Writes a document: its format and version, then its own members.
    pub fn document(&mut self, format: &str, body: impl Serialize) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Document<'d, T> {
            format: String,
            version: u32,
            #[serde(flatten)]
            body: &'d T,
        }
        let format = format!("{} {format}", super::definitions::NAME);
        let document = Document { format, version: 1, body: &body };
        serde_json::to_writer_pretty(&mut *self.stream, &document).map_err(io::Error::from)?;
        Ok(writeln!(self.stream)?)
    }
}

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A name of a file or a symbol as a string: what is not UTF-8 is written byte by byte as `\xNN`, and a backslash is
/// doubled, so that nothing is lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bytes<'b>(pub &'b [u8]);

impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for (at, part) in chunk.valid().split('\\').enumerate() {
                f.write_str(if at > 0 { "\\\\" } else { "" })?;
                f.write_str(part)?;
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A count of things, with an s where there is not one.
pub fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// What was meant, perhaps; for the end of a sentence.
pub fn advice(near: &[u8]) -> String {
    format!("; did you mean '{}'?", Text(near))
}

/// How an object was found, as JSON.
#[derive(Serialize)]
pub struct Way<'w> {
    rule: &'static str,
    /// Whose RPATH or RUNPATH it is.
    of: Option<Bytes<'w>>,
}

impl<'w> From<&'w Rule> for Way<'w> {
    fn from(rule: &'w Rule) -> Self {
        let (rule, of) = match rule {
            Rule::Loader => ("loader", None),
            Rule::AlreadyLoaded => ("already loaded", None),
            Rule::Found(Origin::Rpath(name)) => ("RPATH", Some(Bytes(name))),
            Rule::Found(Origin::Runpath(name)) => ("RUNPATH", Some(Bytes(name))),
            Rule::Found(Origin::LibraryPath) => ("LD_LIBRARY_PATH", None),
            Rule::Found(Origin::Cache) => ("cache", None),
            Rule::Found(Origin::Default) => ("default", None),
            Rule::Found(Origin::Preload) => ("preload", None),
            Rule::Found(Origin::Slash) => ("path", None),
        };
        Self { rule, of }
    }
}

/// An error as JSON: its line, and those below it.
#[derive(Serialize)]
pub struct Words {
    message: String,
    details: Vec<String>,
}

impl From<&rld::error::Error> for Words {
    fn from(error: &rld::error::Error) -> Self {
        Self { message: error.to_string(), details: error.details.clone() }
    }
}
