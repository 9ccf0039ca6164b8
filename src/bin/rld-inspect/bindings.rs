//! `bindings`: which definition every symbolic reference gets when all are bound at start.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use rld::addr::ObjectId;
use rld::error::Error;
use rld::object::Definition;
use serde::Serialize;

use super::cli::Arguments;
use super::output::{Bytes, Out};
use super::resolve::{self, Binding, Versioned};
use super::start::Start;
use super::{Failure, Verdict};

pub fn run(arguments: &Arguments, out: &mut Out<'_>) -> Result<Verdict, Failure> {
    let start = Start::of(arguments.first(), arguments)?;
    refuse_missing(&start)?;
    let wanted = arguments.operand(1).map(|name| Versioned::parse(OsStr::as_bytes(name)));
    let is_wanted =
        |binding: &Binding| wanted.is_none_or(|wanted| wanted.means(&binding.reference()));
    let mut bindings = resolve::all(&start)?;
    bindings.retain(is_wanted);
    let mut count = Count::default();
    bindings.iter().for_each(|binding| count.add(binding));
    if out.json {
        out.document("bindings", Document::new(&start, &bindings, &count))?;
    } else {
        for binding in &bindings {
            writeln!(out, "{}", Line { start: &start, binding })?;
        }
        writeln!(out, "{count}")?;
    }
    Ok(if count.undefined == 0 { Verdict::Good } else { Verdict::Bad })
}

/// Without all objects the scope is not the program's, and what it shows is not true.
fn refuse_missing(start: &Start) -> Result<(), Failure> {
    let words = |error: &Error| match Failure::from(error.clone()) {
        Failure::Input(words) => words,
        other => other.to_string(),
    };
    match start.requests.missing().map(words).collect::<Vec<_>>() {
        missing if missing.is_empty() => Ok(()),
        missing => Err(Failure::Input(missing.join("\nrld-inspect: "))),
    }
}

/// A binding as one line.
struct Line<'l> {
    start: &'l Start,
    binding: &'l Binding,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, binding } = self;
        write!(f, "{}: {} -> ", start.name(binding.requester), binding.reference())?;
        let Some(Definition { object, symbol, .. }) = binding.definition else {
            return f.write_str(if binding.weak { "nothing [weak]" } else { "UNDEFINED" });
        };
        write!(f, "{}", start.name(object))?;
        if symbol.is_absolute() {
            write!(f, " {:#x} [absolute]", symbol.value)?;
        } else {
            write!(f, " +{:#x}", symbol.value)?;
        }
        let notes = [
            (binding.copy, " [copied]"),
            (symbol.is_ifunc(), " [IFUNC]"),
            (symbol.is_tls(), " [TLS]"),
            (symbol.is_undefined(), " [PLT entry]"),
        ];
        notes.iter().filter(|(holds, _)| *holds).try_for_each(|(_, note)| f.write_str(note))
    }
}

/// The summary.
#[derive(Default, Serialize)]
struct Count {
    #[serde(skip)]
    requesters: HashSet<ObjectId>,
    elsewhere: usize,
    inside: usize,
    weak: usize,
    undefined: usize,
}

impl Count {
    fn add(&mut self, binding: &Binding) {
        self.requesters.insert(binding.requester);
        match binding.definition {
            Some(definition) if definition.object == binding.requester => self.inside += 1,
            Some(_) => self.elsewhere += 1,
            None if binding.weak => self.weak += 1,
            None => self.undefined += 1,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requesters, elsewhere, inside, weak, undefined } = self;
        write!(
            f,
            "{} bindings of {} objects: {elsewhere} to another object, {inside} inside, \
             {weak} weak to nothing, {undefined} undefined",
            elsewhere + inside + weak + undefined,
            requesters.len()
        )
    }
}

/// All as JSON.
#[derive(Serialize)]
struct Document<'d> {
    program: Bytes<'d>,
    bindings: Vec<Entry<'d>>,
    summary: &'d Count,
}

impl<'d> Document<'d> {
    fn new(start: &'d Start, bindings: &'d [Binding], summary: &'d Count) -> Self {
        let bindings = bindings.iter().map(|binding| Entry {
            requester: Bytes(start.path(binding.requester)),
            symbol: Bytes(binding.name),
            version: binding.version.map(|version| Bytes(version.name)),
            weak: binding.weak,
            copied: binding.copy,
            definition: binding.definition.map(|definition| Place::new(start, definition)),
        });
        Self { program: Bytes(&start.program), bindings: bindings.collect(), summary }
    }
}

#[derive(Serialize)]
struct Entry<'e> {
    requester: Bytes<'e>,
    symbol: Bytes<'e>,
    version: Option<Bytes<'e>>,
    weak: bool,
    copied: bool,
    definition: Option<Place<'e>>,
}

/// Where a definition is.
#[derive(Serialize)]
struct Place<'p> {
    object: Bytes<'p>,
    value: u64,
    absolute: bool,
    ifunc: bool,
    tls: bool,
    plt_entry: bool,
}

impl<'p> Place<'p> {
    fn new(start: &'p Start, definition: Definition) -> Self {
        let Definition { object, symbol, .. } = definition;
        Self {
            object: Bytes(start.path(object)),
            value: symbol.value,
            absolute: symbol.is_absolute(),
            ifunc: symbol.is_ifunc(),
            tls: symbol.is_tls(),
            plt_entry: symbol.is_undefined(),
        }
    }
}
