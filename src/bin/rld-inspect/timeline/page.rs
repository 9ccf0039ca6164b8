//! A page that shows a trace: one file, which needs no network and no other file.
//!
//! The page is three files beside this one and the data. Names in a trace are anybody's, so none becomes markup: the
//! data are JSON in which no `<` stands, and the script shows them as text.

use std::collections::HashMap;
use std::io::{self, Write};
use std::rc::Rc;

use serde::Serialize;

use super::record::{Dlopen, Event, Record, Relocate, Search};
use super::trace::{Kind, Process, Span, Trace};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPTS: [&str; 4] = [
    include_str!("table.js"),
    include_str!("chart.js"),
    include_str!("graph.js"),
    include_str!("page.js"),
];

pub fn write(trace: &Trace, out: &mut dyn Write) -> io::Result<()> {
    let data = serde_json::to_string(&Data::new(trace))?.replace('<', "\\u003c");
    let mut rest = TEMPLATE;
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, rest)| Some((before, rest.split_once("}}")?)))
    {
        out.write_all(before.as_bytes())?;
        match name {
            "style" => out.write_all(STYLE.as_bytes())?,
            "data" => out.write_all(data.as_bytes())?,
            _ => SCRIPTS.iter().try_for_each(|script| out.write_all(script.as_bytes()))?,
        }
        rest = after;
    }
    out.write_all(rest.as_bytes())
}

/// What the script gets: columns of numbers, which is small and quick to read. A string is its place in the list of
/// all; place 0 holds the empty one, which stands for none.
#[derive(Serialize)]
struct Data {
    strings: Vec<Rc<str>>,
    processes: Vec<Run>,
}

/// A process. Times count from the first thing that the trace tells of.
#[derive(Serialize)]
struct Run {
    pid: u32,
    program: u64,
    arguments: Vec<u64>,
    parent: Option<u32>,
    begin: u64,
    end: u64,
    /// When the program's own code was entered.
    entry: Option<u64>,
    errors: Vec<u64>,
    /// Time, object, address, size.
    maps: Columns<4>,
    /// Object, name, what that means.
    needed: Columns<3>,
    /// Time, thread, kind, object, duration, whether it ended, note.
    spans: Columns<7>,
    /// Time, name, requester, path, rule, whose rule, whether it was found, why not.
    attempts: Columns<8>,
    /// Time, object, version, of which object.
    versions: Columns<4>,
    /// Time, thread, from, to, symbol, version, on which occasion.
    bindings: Columns<7>,
}

/// A table by columns.
struct Columns<const N: usize>([Vec<u64>; N]);

impl<const N: usize> Columns<N> {
    const fn new() -> Self {
        Self([const { Vec::new() }; N])
    }

    fn push(&mut self, row: [u64; N]) {
        self.0.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
    }
}

impl<const N: usize> Serialize for Columns<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

/// All strings, each once.
struct Strings {
    list: Vec<Rc<str>>,
    places: HashMap<Rc<str>, u64>,
}

impl Strings {
    fn new() -> Self {
        let mut this = Self { list: Vec::new(), places: HashMap::new() };
        this.place("");
        this
    }

    fn place(&mut self, text: &str) -> u64 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let (text, place) = (Rc::<str>::from(text), self.list.len() as u64);
        self.list.push(Rc::clone(&text));
        self.places.insert(text, place);
        place
    }

    fn optional(&mut self, text: &Option<String>) -> u64 {
        self.place(text.as_deref().unwrap_or_default())
    }

    /// An object; the same file may be in several namespaces.
    fn object(&mut self, path: &str, namespace: u64) -> u64 {
        match namespace {
            0 => self.place(path),
            _ => self.place(&format!("{path} [{namespace}]")),
        }
    }
}

impl Data {
    fn new(trace: &Trace) -> Self {
        let (mut strings, begin) = (Strings::new(), trace.begin());
        let run = |process| Run::new(process, begin, &mut strings);
        let processes = trace.processes.iter().map(run).collect();
        Self { strings: strings.list, processes }
    }
}

impl Run {
    fn new(process: &Process, begin: u64, strings: &mut Strings) -> Self {
        let since = |t: u64| t.saturating_sub(begin);
        let first = process.records.first().map_or(begin, |record| record.t);
        let arguments = process.start.as_ref().map_or(&[][..], |start| &start.arguments);
        let mut run = Self {
            pid: process.pid,
            program: strings.place(process.name()),
            arguments: arguments.iter().map(|argument| strings.place(argument)).collect(),
            parent: None,
            begin: since(first),
            end: since(process.end()),
            entry: None,
            errors: Vec::new(),
            maps: Columns::new(),
            needed: Columns::new(),
            spans: Columns::new(),
            attempts: Columns::new(),
            versions: Columns::new(),
            bindings: Columns::new(),
        };
        for Span { kind, t, tid, namespace, duration, object, event } in process.spans() {
            let note = match event {
                // An object, which has a line of its own.
                Event::Dlopen(Dlopen { object: Some(object), .. }) => {
                    strings.object(object, namespace)
                }
                event => strings.place(&note(event)),
            };
            let length = duration.unwrap_or_else(|| process.end().saturating_sub(t));
            let is_name = matches!(kind, Kind::Search | Kind::Dlopen);
            let object = strings.object(object, if is_name { 0 } else { namespace });
            let (kind, ended) = (strings.place(kind.name()), duration.is_some().into());
            run.spans.push([since(t), tid.into(), kind, object, length, ended, note]);
        }
        let mut searches = HashMap::new();
        for record in &process.records {
            if let Event::Search(search) = &record.event {
                searches.insert(record.tid, (record, search));
            }
            let within = searches.get(&record.tid).filter(|(begin, search)| {
                (begin.t..=begin.t + search.duration).contains(&record.t)
            });
            run.add(record, since(record.t), within.copied(), strings);
        }
        run
    }

    /// Adds a line, which may be part of a search.
    fn add(
        &mut self,
        record: &Record,
        t: u64,
        search: Option<(&Record, &Search)>,
        strings: &mut Strings,
    ) {
        let namespace = record.namespace;
        match &record.event {
            Event::Fork { parent } => self.parent = Some(*parent),
            Event::Entry { .. } => self.entry = Some(t),
            Event::Error { text } => self.errors.push(strings.place(text)),
            Event::Map(it) => self.maps.push([
                t,
                strings.object(&it.object, namespace),
                strings.place(&it.address),
                it.size,
            ]),
            Event::Needed(it) => {
                let (object, to) = (strings.object(&it.object, namespace), strings.place(&it.to));
                // rld itself is shared between namespaces.
                let own = strings.object(&it.to, namespace);
                let to = if self.maps.0[1].contains(&own) { own } else { to };
                self.needed.push([object, strings.place(&it.name), to]);
            }
            Event::Attempt(it) => {
                let requester = search.and_then(|(begin, search)| {
                    Some(strings.object(search.requester.as_deref()?, begin.namespace))
                });
                let name = search.map_or(&it.path, |(_, search)| &search.name);
                self.attempts.push([
                    t,
                    strings.place(name),
                    requester.unwrap_or_default(),
                    strings.place(&it.path),
                    strings.place(&it.rule),
                    strings.optional(&it.of),
                    it.found.into(),
                    strings.optional(&it.why),
                ]);
            }
            Event::Version(it) => self.versions.push([
                t,
                strings.object(&it.object, namespace),
                strings.place(&it.version),
                strings.place(&it.of),
            ]),
            Event::Binding(it) => self.bindings.push([
                t,
                record.tid.into(),
                strings.object(&it.from, namespace),
                strings.object(&it.to, it.to_namespace),
                strings.place(&it.symbol),
                strings.optional(&it.version),
                strings.place(&it.how),
            ]),
            _ => {}
        }
    }
}

/// What is worth saying about a span besides its name.
fn note(event: &Event) -> String {
    match event {
        Event::Search(Search { found, .. }) => found.clone().unwrap_or("not found".into()),
        Event::Relocate(Relocate { rela, relr, plt, lazy, .. }) => {
            let plt_words = if *lazy { "functions, for their first call" } else { "functions" };
            format!("{rela} relocations, {relr} packed words, {plt} {plt_words}")
        }
        Event::Dlopen(Dlopen { error: Some(error), .. }) => error.clone(),
        _ => String::new(),
    }
}
