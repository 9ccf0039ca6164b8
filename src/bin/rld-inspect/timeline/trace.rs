//! A trace file as processes with what happened in each, in order.

use std::collections::HashMap;

use super::record::{
    Begin, Call, Dlopen, Event, Map, Record, Relocate, Running, Search, Start, VERSION,
};

/// What a trace file holds; at least one process.
pub struct Trace {
    pub processes: Vec<Process>,
}

/// A program's run, or what the child of a fork(2) did. A process that calls exec(2) appears once for each program.
pub struct Process {
    pub pid: u32,
    /// How it was started; a fork's child was not.
    pub start: Option<Start>,
    /// In order of time; of what has returned, there is no beginning.
    pub records: Vec<Record>,
    /// Where the beginnings are of what has not returned, while lines are read.
    running: Vec<usize>,
}

impl Trace {
    /// Reads the lines of a trace.
    ///
    /// # Errors
    /// The number of a line, counted from 1, and what is wrong with it.
    pub fn parse(
        lines: impl Iterator<Item = Result<String, String>>,
    ) -> Result<Self, (usize, String)> {
        let mut processes: Vec<Process> = Vec::new();
        let mut current: HashMap<u32, usize> = HashMap::new();
        for (number, line) in (1..).zip(lines) {
            let record = line
                .and_then(|line| serde_json::from_str(&line).map_err(|error| error.to_string()));
            let mut record: Record = record.map_err(|words| (number, words))?;
            let event = std::mem::replace(&mut record.event, Event::Unknown);
            let start = match event {
                Event::Start(start) if start.rld_trace != VERSION => {
                    let words = "this is a trace of format";
                    let theirs = start.rld_trace;
                    return Err((number, format!("{words} {theirs}, and {VERSION} is understood")));
                }
                Event::Start(start) => Some(start),
                event => {
                    record.event = event;
                    None
                }
            };
            if processes.is_empty() && start.is_none() {
                return Err((number, "a trace begins with a line that has \"rld_trace\"".into()));
            }
            let known = current.get(&record.pid).filter(|_| start.is_none());
            let at = known.copied().unwrap_or(processes.len());
            if at == processes.len() {
                current.insert(record.pid, at);
                let (pid, records, running) = (record.pid, Vec::new(), Vec::new());
                processes.push(Process { pid, start, records, running });
            }
            processes[at].add(record);
        }
        if processes.is_empty() {
            return Err((1, "the file is empty".into()));
        }
        for process in &mut processes {
            process.records.sort_by_key(|record| record.t);
        }
        Ok(Self { processes })
    }

    /// When the first thing happened.
    pub fn begin(&self) -> u64 {
        let records = self.processes.iter().flat_map(|process| &process.records);
        records.map(|record| record.t).min().unwrap_or_default()
    }
}

/// What takes time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    Search,
    Map,
    Relocate,
    Preinitialiser,
    Initialiser,
    Finaliser,
    Dlopen,
    Dlclose,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Map => "map",
            Self::Relocate => "relocate",
            // Preinitialisers are few; nobody wants to know them apart.
            Self::Preinitialiser | Self::Initialiser => "initialiser",
            Self::Finaliser => "finaliser",
            Self::Dlopen => "dlopen",
            Self::Dlclose => "dlclose",
        }
    }
}

impl From<Running> for Kind {
    fn from(running: Running) -> Self {
        match running {
            Running::Preinitialiser => Self::Preinitialiser,
            Running::Initialiser => Self::Initialiser,
            Running::Finaliser => Self::Finaliser,
            Running::Dlopen => Self::Dlopen,
            Running::Dlclose => Self::Dlclose,
        }
    }
}

/// Something with a beginning, and an end unless the process ended first, or went elsewhere.
pub struct Span<'t> {
    pub kind: Kind,
    pub t: u64,
    pub tid: u32,
    pub namespace: u64,
    pub duration: Option<u64>,
    /// An object; for searches and dlopen, what was asked for.
    pub object: &'t str,
    /// The line that tells of its end, or else of its beginning.
    pub event: &'t Event,
}

impl<'t> Span<'t> {
    /// What a line tells of, if that takes time.
    fn new(record: &'t Record) -> Option<Self> {
        let (kind, object, duration) = match &record.event {
            Event::Begin(Begin { of, object }) => (Kind::from(*of), object, None),
            event => {
                let (kind, object, duration) = whole(event)?;
                (kind, object, Some(duration))
            }
        };
        let Record { t, tid, namespace, ref event, .. } = *record;
        Some(Self { kind, t, tid, namespace, duration, object, event })
    }
}

impl Process {
    /// The program's name; for a fork's child, what it is.
    pub fn name(&self) -> &str {
        self.start.as_ref().map_or("(forked)", |start| &start.program)
    }

    /// Adds a line. One that tells of an end makes that of the beginning superfluous.
    fn add(&mut self, record: Record) {
        if let Event::Begin(_) = &record.event {
            self.running.push(self.records.len());
        } else if let Some((kind, object, _)) = whole(&record.event) {
            let begins = |at: &usize| {
                self.records.get(*at).is_some_and(|begin| {
                    let it = &begin.event;
                    matches!(it, Event::Begin(it) if Kind::from(it.of) == kind && it.object == *object)
                        && begin.tid == record.tid
                })
            };
            if let Some(place) = self.running.iter().rposition(begins) {
                let at = self.running.remove(place);
                self.records[at].event = Event::Unknown;
            }
        }
        self.records.push(record);
    }

    /// All that takes time, in order of the beginnings, outer before inner.
    pub fn spans(&self) -> Vec<Span<'_>> {
        let mut spans: Vec<_> = self.records.iter().filter_map(Span::new).collect();
        spans.sort_by_key(|span| (span.t, std::cmp::Reverse(span.duration.unwrap_or(u64::MAX))));
        spans
    }

    /// When the last thing that is known ended.
    pub fn end(&self) -> u64 {
        let end = |record: &Record| record.t + whole(&record.event).map_or(0, |(.., it)| it);
        self.records.iter().map(end).max().unwrap_or_default()
    }
}

/// A line that tells of a beginning and an end: what, of which object, for how long.
fn whole(event: &Event) -> Option<(Kind, &String, u64)> {
    Some(match event {
        Event::Search(Search { name, duration, .. }) => (Kind::Search, name, *duration),
        Event::Map(Map { object, duration, .. }) => (Kind::Map, object, (*duration)?),
        Event::Relocate(Relocate { object, duration, .. }) => (Kind::Relocate, object, *duration),
        Event::Preinitialiser(Call { object, duration }) => {
            (Kind::Preinitialiser, object, *duration)
        }
        Event::Initialiser(Call { object, duration }) => (Kind::Initialiser, object, *duration),
        Event::Finaliser(Call { object, duration }) => (Kind::Finaliser, object, *duration),
        Event::Dlopen(Dlopen { name, duration, .. }) => (Kind::Dlopen, name, *duration),
        Event::Dlclose(Call { object, duration }) => (Kind::Dlclose, object, *duration),
        _ => return None,
    })
}
