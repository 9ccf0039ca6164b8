//! RLD_TRACE: a line of JSON for each event, as docs/trace.md defines it.
//!
//! Nothing is remembered from one event to the next but who writes: what takes time is told when it ends, with when it
//! began.

use core::ffi::CStr;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU32, Ordering};

use super::event::{Event, Function, How, Label, Strings};
use super::sink::{Out, Sink, Target};
use super::{Origin, Topics, listen};
use crate::sys::{clock, fork, process};

static SINK: Sink = Sink::new();

/// The process that has written, or 0 before there is a trace; and its generation, by which a child notices that it is
/// one.
static PROCESS: AtomicU32 = AtomicU32::new(0);
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// What is traced.
const TOPICS: Topics = Topics::LIBS
    .union(Topics::FILES)
    .union(Topics::VERSIONS)
    .union(Topics::RELOC)
    .union(Topics::BINDINGS)
    .union(Topics::CALLS)
    .union(Topics::REQUESTS)
    .union(Topics::TIMES);

/// Bytes of arguments that the first line holds, so that it can be written at once.
const ARGUMENTS: usize = 8 << 10;

/// Begins a trace of the program at a path. Each line that follows is about its process, or a child of it.
pub fn begin(
    path: &'static CStr,
    program: &'static [u8],
    arguments: impl Iterator<Item = &'static CStr>,
) {
    let began = clock::monotonic();
    SINK.begin(Target::File(path), program);
    PROCESS.store(process::id(), Ordering::Relaxed);
    GENERATION.store(fork::generation(), Ordering::Relaxed);
    listen(TOPICS);
    SINK.add(|out| {
        let mut line = Line::new(out, "start", began);
        line.number("rld_trace", 1);
        line.string("rld", env!("CARGO_PKG_VERSION").as_bytes());
        line.string("program", program);
        line.arguments(arguments);
        line.end();
    });
}

/// Writes out what waits.
pub(super) fn flush() {
    if PROCESS.load(Ordering::Relaxed) != 0 {
        SINK.flush();
    }
}

/// Writes an event.
pub(super) fn write(event: &Event<'_>) {
    if PROCESS.load(Ordering::Relaxed) != 0 {
        SINK.add(|out| {
            say_fork(out);
            say(out, event);
        });
    }
}

/// The first line of a child of fork(2).
fn say_fork(out: &mut Out<'_>) {
    let generation = fork::generation();
    if GENERATION.swap(generation, Ordering::Relaxed) != generation {
        let parent = PROCESS.swap(process::id(), Ordering::Relaxed);
        let mut line = Line::new(out, "fork", clock::monotonic());
        line.number("parent", parent.into());
        line.end();
    }
}

fn say(out: &mut Out<'_>, event: &Event<'_>) {
    let now = clock::monotonic();
    let mut line = match event {
        Event::SearchList { origin, directories } => {
            let mut line = Line::new(out, "place", now);
            line.origin(origin);
            line.strings("paths", directories);
            line
        }
        Event::SearchCache { path } => {
            let mut line = Line::new(out, "place", now);
            line.origin(&Origin::Cache);
            line.strings("paths", &|say| say(path.to_bytes()));
            line
        }
        Event::Attempt { path, origin, why } => {
            let mut line = Line::new(out, "attempt", now);
            line.string("path", path);
            line.origin(origin);
            line.flag("found", why.is_none());
            if let Some(why) = why {
                line.words("why", why);
            }
            line
        }
        Event::SearchEnds { name, by, space, found, since, .. } => {
            let mut line = Line::new(out, "search", *since);
            line.string("name", name);
            if let Some(by) = by {
                line.path("requester", *by);
            }
            line.space("namespace", *space);
            if let Some(found) = found {
                line.string("found", found.to_bytes());
            }
            line.number("duration", now.saturating_sub(*since));
            line
        }
        Event::Needed { object, name, to } => {
            let mut line = Line::new(out, "needed", now);
            line.object(*object);
            line.string("name", name);
            line.path("to", *to);
            line
        }
        Event::Found { object, start, size } => {
            let mut line = Line::new(out, "map", now);
            line.object(*object);
            line.words("address", &format_args!("{:#x}", start.0));
            line.number("size", *size);
            line
        }
        Event::MapEnds { object, start, size, since, .. } => {
            let mut line = Line::new(out, "map", *since);
            line.object(*object);
            line.words("address", &format_args!("{:#x}", start.0));
            line.number("size", *size);
            line.number("duration", now.saturating_sub(*since));
            line
        }
        Event::Version { version, library, by } => {
            let mut line = Line::new(out, "version", now);
            line.object(*by);
            line.string("version", version);
            line.path("of", *library);
            line
        }
        Event::RelocationEnds { object, lazy, rela, relr, plt, since } => {
            let mut line = Line::new(out, "relocate", *since);
            line.object(*object);
            line.number("duration", now.saturating_sub(*since));
            line.number("rela", *rela);
            line.number("relr", *relr);
            line.number("plt", *plt);
            line.flag("lazy", *lazy);
            line
        }
        Event::Binding { symbol, version, from, to: Some(to), how, .. } => {
            let mut line = Line::new(out, "binding", now);
            line.string("symbol", symbol);
            if let Some(version) = version {
                line.string("version", version);
            }
            line.path("from", *from);
            line.space("namespace", from.space);
            line.path("to", *to);
            line.space("to_namespace", to.space);
            line.string("how", self::how(*how).as_bytes());
            line
        }
        Event::CallBegins { object, function } => {
            let mut line = Line::new(out, "begin", now);
            line.string("of", called(*function).as_bytes());
            line.object(*object);
            line
        }
        Event::CallEnds { object, function, since } => {
            let mut line = Line::new(out, called(*function), *since);
            line.object(*object);
            line.number("duration", now.saturating_sub(*since));
            line
        }
        Event::Entry { address } => {
            let mut line = Line::new(out, "entry", now);
            line.words("address", &format_args!("{:#x}", address.0));
            line
        }
        Event::Exit => Line::new(out, "exit", now),
        Event::OpenBegins { name } => {
            let mut line = Line::new(out, "begin", now);
            line.string("of", b"dlopen");
            line.string("object", name);
            line
        }
        Event::OpenEnds { name, object, error, since } => {
            let mut line = Line::new(out, "dlopen", *since);
            line.string("name", name);
            if let Some(object) = object {
                line.object(*object);
            }
            if let Some(error) = error {
                line.words("error", error);
            }
            line.number("duration", now.saturating_sub(*since));
            line
        }
        Event::CloseBegins { object } => {
            let mut line = Line::new(out, "begin", now);
            line.string("of", b"dlclose");
            line.object(*object);
            line
        }
        Event::CloseEnds { object, since } => {
            let mut line = Line::new(out, "dlclose", *since);
            line.object(*object);
            line.number("duration", now.saturating_sub(*since));
            line
        }
        Event::Unloaded { object } => {
            let mut line = Line::new(out, "unload", now);
            line.object(*object);
            line
        }
        Event::Failed { words } => {
            let mut line = Line::new(out, "error", now);
            line.words("text", words);
            line
        }
        _ => return,
    };
    line.end();
}

const fn called(function: Function) -> &'static str {
    match function {
        Function::Preinitialiser => "preinitialiser",
        Function::Initialiser => "initialiser",
        Function::Finaliser => "finaliser",
    }
}

const fn how(how: How) -> &'static str {
    match how {
        How::Relocation => "relocation",
        How::FirstCall => "call",
        How::Request => "dlsym",
        How::Own => "loader",
    }
}

/// A line, member by member.
struct Line<'l, 'o> {
    out: &'l mut Out<'o>,
}

impl<'l, 'o> Line<'l, 'o> {
    fn new(out: &'l mut Out<'o>, event: &str, t: u64) -> Self {
        let (process, thread) = (process::id(), process::thread_id());
        let _ = write!(out, r#"{{"event":"{event}","t":{t},"pid":{process},"tid":{thread}"#);
        Self { out }
    }

    fn end(&mut self) {
        self.out.put(b"}\n");
    }

    fn name(&mut self, name: &str) {
        let _ = write!(self.out, r#","{name}":"#);
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        let _ = write!(self.out, "{value}");
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        let _ = write!(self.out, "{value}");
    }

    fn string(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        quoted(self.out, value);
    }

    fn words(&mut self, name: &str, value: &dyn fmt::Display) {
        self.name(name);
        self.out.put(b"\"");
        let _ = write!(Escaped(self.out), "{value}");
        self.out.put(b"\"");
    }

    /// A list of strings.
    fn strings(&mut self, name: &str, each: Strings<'_>) {
        self.name(name);
        let mut before: &[u8] = b"[";
        each(&mut |value| {
            self.out.put(core::mem::replace(&mut before, b","));
            quoted(self.out, value);
        });
        // The bracket of a list in which nothing is.
        self.out.put(if before == b"[" { b"[]" } else { b"]" });
    }

    fn space(&mut self, name: &str, space: usize) {
        if space != 0 {
            self.number(name, space as u64);
        }
    }

    fn path(&mut self, name: &str, Label { name: path, .. }: Label<'_>) {
        let program = self.out.program();
        self.string(name, if path.is_empty() { program } else { path });
    }

    /// What the line is about.
    fn object(&mut self, object: Label<'_>) {
        self.path("object", object);
        self.space("namespace", object.space);
    }

    fn origin(&mut self, origin: &Origin<'_>) {
        let (rule, of) = match origin {
            Origin::Rpath(of) => ("RPATH", Some(of)),
            Origin::Runpath(of) => ("RUNPATH", Some(of)),
            Origin::LibraryPath => ("LD_LIBRARY_PATH", None),
            Origin::Cache => ("cache", None),
            Origin::Default => ("default", None),
            Origin::Preload => ("preload", None),
            Origin::Slash => ("path", None),
        };
        self.string("rule", rule.as_bytes());
        if let Some(of) = of {
            self.path("of", Label { name: of, space: 0 });
        }
    }

    fn arguments(&mut self, arguments: impl Iterator<Item = &'static CStr>) {
        let (mut length, mut left) = (0, 0);
        self.name("arguments");
        self.out.put(b"[");
        for argument in arguments.map(CStr::to_bytes) {
            if left > 0 || length + argument.len() > ARGUMENTS {
                left += 1;
                continue;
            }
            self.out.put(if length > 0 { b"," } else { b"" });
            quoted(self.out, argument);
            // An empty one takes room as well.
            length += argument.len() + 1;
        }
        self.out.put(b"]");
        if left > 0 {
            self.number("more_arguments", left);
        }
    }
}

/// Bytes as a string of JSON. They need not be UTF-8: a byte that is not part of it, and a backslash, becomes `\xNN`,
/// so that the bytes can be told from the string.
fn quoted(out: &mut Out<'_>, bytes: &[u8]) {
    out.put(b"\"");
    for chunk in bytes.utf8_chunks() {
        let _ = Escaped(out).write_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| escape(out, *byte));
    }
    out.put(b"\"");
}

/// `\xNN`; the backslash is one for JSON as well.
fn escape(out: &mut Out<'_>, byte: u8) {
    let _ = write!(out, r"\\x{byte:02x}");
}

/// Text inside of a string.
struct Escaped<'l, 'o>(&'l mut Out<'o>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')) {
            let (plain, special) = rest.split_at(at);
            self.0.put(plain);
            match special {
                [b'\n', ..] => self.0.put(br"\n"),
                [b'\t', ..] => self.0.put(br"\t"),
                [b'"', ..] => self.0.put(br#"\""#),
                [b'\\', ..] => escape(self.0, b'\\'),
                [byte, ..] => write!(self.0, "\\u{byte:04x}")?,
                [] => {}
            }
            rest = special.get(1..).unwrap_or_default();
        }
        self.0.put(rest);
        Ok(())
    }
}
