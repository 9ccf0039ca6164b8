//! LD_DEBUG: lines for a reader, in ld.so's words and format, because scripts match on them.

use alloc::vec::Vec;
use core::fmt::Write;
use core::sync::atomic::{AtomicU32, Ordering};

use super::event::{Event, Function, Label};
use super::sink::{Out, Sink, Target};
use super::{Origin, Stage, Topics, Why, listen, statistics};
use crate::sys::process;

static SINK: Sink = Sink::new();
/// What is shown.
static TOPICS: AtomicU32 = AtomicU32::new(0);

/// From now on shows what is about `topics`.
pub fn begin(topics: Topics, target: Target, program: &'static [u8]) {
    SINK.begin(target, program);
    TOPICS.store(topics.bits(), Ordering::Relaxed);
    listen(topics);
}

/// Whether something about these is shown.
#[must_use]
pub fn shows(topics: Topics) -> bool {
    TOPICS.load(Ordering::Relaxed) & topics.bits() != 0
}

/// Writes out what waits.
pub(super) fn flush() {
    if TOPICS.load(Ordering::Relaxed) != 0 {
        SINK.flush();
    }
}

/// A line that libc says through its loader (contract 7).
pub fn foreign(text: &[u8]) {
    SINK.add(|out| Lines::new(out).put(text));
    SINK.flush();
}

/// Lines, each behind the number of the process that says it.
struct Lines<'l, 'o> {
    out: &'l mut Out<'o>,
    process: u32,
    is_start: bool,
}

impl<'l, 'o> Lines<'l, 'o> {
    fn new(out: &'l mut Out<'o>) -> Self {
        Self { out, process: process::id(), is_start: true }
    }

    fn put(&mut self, text: &[u8]) {
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if core::mem::replace(&mut self.is_start, line.ends_with(b"\n")) {
                let _ = write!(self.out, "{:10}:\t", self.process);
            }
            self.out.put(line);
        }
    }

    /// An object's path, or the program's name.
    fn path(&mut self, name: &[u8]) {
        let program = self.out.program();
        self.put(if name.is_empty() { program } else { name });
    }

    /// A path with its namespace.
    fn object(&mut self, Label { name, space }: Label<'_>) {
        self.path(name);
        let _ = write!(self, " [{space}]");
    }
}

impl Write for Lines<'_, '_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

/// Something that is part of a line.
trait Part {
    fn say(&self, lines: &mut Lines<'_, '_>);
}

impl Part for &str {
    fn say(&self, lines: &mut Lines<'_, '_>) {
        lines.put(self.as_bytes());
    }
}

impl Part for &[u8] {
    fn say(&self, lines: &mut Lines<'_, '_>) {
        lines.put(self);
    }
}

impl Part for usize {
    fn say(&self, lines: &mut Lines<'_, '_>) {
        let _ = write!(lines, "{self}");
    }
}

impl Part for u32 {
    fn say(&self, lines: &mut Lines<'_, '_>) {
        let _ = write!(lines, "{self}");
    }
}

impl Part for Label<'_> {
    fn say(&self, lines: &mut Lines<'_, '_>) {
        lines.object(*self);
    }
}

/// An object without its namespace.
struct Path<'e>(Label<'e>);

impl Part for Path<'_> {
    fn say(&self, lines: &mut Lines<'_, '_>) {
        lines.path(self.0.name);
    }
}

/// An object by its own name, which is empty for the program.
struct Plain<'e>(Label<'e>);

impl Part for Plain<'_> {
    fn say(&self, lines: &mut Lines<'_, '_>) {
        lines.put(self.0.name);
        let _ = write!(lines, " [{}]", self.0.space);
    }
}

/// A number of sixteen digits.
struct Hex(u64);

impl Part for Hex {
    fn say(&self, lines: &mut Lines<'_, '_>) {
        let _ = write!(lines, "{:#018x}", self.0);
    }
}

macro_rules! say {
    ($lines:expr; $($part:expr),+ $(,)?) => {{ $($part.say($lines);)+ }};
}

/// Shows an event, if it is about something that is asked for.
pub(super) fn write(event: &Event<'_>) {
    if shows(topic(event)) {
        SINK.add(|out| lines(&mut Lines::new(out), event));
    }
}

/// What an event is about, as LD_DEBUG has it; nothing where it has no lines for it.
fn topic(event: &Event<'_>) -> Topics {
    match event {
        // ld.so says nothing of a name that is a path.
        Event::Attempt { origin: Origin::Slash | Origin::Preload, .. } => Topics::empty(),
        Event::SearchEnds { name, .. } if name.contains(&b'/') => Topics::empty(),
        Event::SearchBegins { .. }
        | Event::SearchList { .. }
        | Event::SearchCache { .. }
        | Event::Attempt { .. }
        | Event::SearchEnds { cut_short: false, .. } => Topics::LIBS,
        Event::Wanted { by: Some(_), .. }
        | Event::MapBegins { .. }
        | Event::MapEnds { .. }
        | Event::Dependency { .. }
        | Event::Opened { .. }
        | Event::StillOpen { .. }
        | Event::Unloaded { .. }
        | Event::Stays { why: Why::Asked | Why::Opened, .. } => Topics::FILES,
        Event::Version { .. } => Topics::VERSIONS,
        Event::InitialScopes | Event::Scope { .. } | Event::Global { .. } => Topics::SCOPES,
        Event::RelocationBegins { .. } => Topics::RELOC,
        Event::Lookup { .. } => Topics::SYMBOLS,
        Event::Binding { to: Some(_), .. } | Event::Stays { .. } => Topics::BINDINGS,
        Event::CallBegins { .. } => Topics::CALLS,
        Event::StageEnds { stage: Stage::Start } | Event::Exit => Topics::STATISTICS,
        Event::Error { .. } => Topics::ERRORS,
        _ => Topics::empty(),
    }
}

fn lines(to: &mut Lines<'_, '_>, event: &Event<'_>) {
    match *event {
        Event::SearchBegins { name, space } => {
            say!(to; "find library=", name, " [", space, "]; searching\n");
        }
        Event::SearchList { origin, directories } => {
            say!(to; " search path=");
            let mut is_first = true;
            directories(&mut |directory| {
                let separator = if core::mem::take(&mut is_first) { "" } else { ":" };
                say!(to; separator, directory);
            });
            let rule = match origin {
                Origin::Rpath(_) => "RPATH",
                Origin::Runpath(_) => "RUNPATH",
                Origin::LibraryPath => "LD_LIBRARY_PATH",
                _ => "system search path",
            };
            say!(to; "\t\t(", rule);
            if let Origin::Rpath(name) | Origin::Runpath(name) = origin {
                say!(to; " from file ");
                to.path(name);
            }
            say!(to; ")\n");
        }
        Event::SearchCache { path } => say!(to; " search cache=", path.to_bytes(), "\n"),
        Event::Attempt { path, .. } => say!(to; "  trying file=", path, "\n"),
        Event::SearchEnds { .. } => say!(to; "\n"),
        Event::Wanted { name, space, by: Some(by), opened } => {
            let relation = if opened { "dynamically loaded" } else { "needed" };
            say!(to; "\nfile=", name, " [", space, "];  ", relation, " by ", by, "\n");
        }
        Event::MapBegins { name, space, .. } => {
            say!(to; "file=", name, " [", space, "];  generating link map\n");
        }
        Event::MapEnds { dynamic, base, size, entry, phdr, phnum, .. } => {
            say!(to; "  dynamic: ", Hex(dynamic.0), "  base: ", Hex(base.0), "   size: ", Hex(size));
            say!(to; "\n    entry: ", Hex(entry.0), "  phdr: ", Hex(phdr.0));
            let _ = write!(to, "  phnum:   {phnum:16}\n\n");
        }
        Event::Dependency { object, by } => {
            say!(to; "\nfile=", object, ";  needed by ", by, " (relocation dependency)\n\n");
        }
        Event::Opened { object, count } => {
            say!(to; "opening file=", Plain(object), "; direct_opencount=", count, "\n\n");
        }
        Event::StillOpen { object, count } => {
            say!(to; "\nclosing file=", object.name, "; direct_opencount=", count, "\n");
        }
        Event::Unloaded { object } => {
            say!(to; "\nfile=", Plain(object), ";  destroying link map\n");
        }
        Event::Stays { object, why } => {
            let verb = if why == Why::Opened { "activating NODELETE for " } else { "marking " };
            say!(to; verb, Plain(object));
            match why {
                Why::Opened => {}
                Why::Asked => say!(to; " as NODELETE"),
                Why::Unique => say!(to; " as NODELETE due to unique symbol"),
                Why::Reference(Label { name: b"", .. }) => {
                    say!(to; " as NODELETE due to reference from main program");
                }
                Why::Reference(by) => say!(to; " as NODELETE due to reference from ", Plain(by)),
            }
            say!(to; "\n");
        }
        Event::Version { version, library, by } => {
            say!(to; "checking for version `", version, "' in file ", library);
            say!(to; " required by file ", by, "\n");
        }
        Event::InitialScopes => say!(to; "\nInitial object scopes\n"),
        Event::Scope { object, first, lists } => scope(to, object, first, lists),
        Event::Global { object } => say!(to; "\nadd ", Plain(object), " to global scope\n"),
        Event::RelocationBegins { object, lazy } => {
            let lazy = if lazy { " (lazy)" } else { "" };
            say!(to; "\nrelocation processing: ", Path(object), lazy, "\n");
        }
        Event::Lookup { symbol, object } => {
            say!(to; "symbol=", symbol, ";  lookup in file=", object, "\n");
        }
        Event::Binding { symbol, version, from, to: Some(definer), is_protected, .. } => {
            let kind = if is_protected { "protected" } else { "normal" };
            say!(to; "binding file ", from, " to ", definer, ": ", kind, " symbol `", symbol, "'");
            match version {
                Some(version) => say!(to; " [", version, "]\n"),
                None => say!(to; "\n"),
            }
        }
        Event::CallBegins { object, function } => match function {
            Function::Preinitialiser => say!(to; "\ncalling preinit: ", Path(object), "\n\n"),
            Function::Initialiser => say!(to; "\ncalling init: ", Path(object), "\n\n"),
            Function::Finaliser => say!(to; "\ncalling fini: ", Plain(object), "\n\n"),
        },
        Event::StageEnds { .. } => {
            let _ = statistics::of_start(to);
        }
        Event::Exit => {
            let _ = statistics::of_exit(to);
        }
        Event::Error { object, occasion, words, fatal } => {
            to.path(object);
            let end = if fatal { "fatal" } else { "continued" };
            let _ = writeln!(to, ": error: {occasion}: {words} ({end})");
        }
        _ => {}
    }
}

fn scope(to: &mut Lines<'_, '_>, object: Label<'_>, first: usize, lists: Option<&[Vec<&[u8]>]>) {
    say!(to; "object=", object, "\n");
    match lists {
        None => say!(to; " no scope\n"),
        Some(lists) => {
            for (number, names) in lists.iter().enumerate().skip(first) {
                say!(to; " scope ", number, ":");
                for name in names {
                    say!(to; " ");
                    to.path(name);
                }
                say!(to; "\n");
            }
        }
    }
    say!(to; "\n");
}
