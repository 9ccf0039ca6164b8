//! `tree`: who needs whom, and where each object is found.
//!
//! Objects are loaded breadth-first. Each stands below the object that had it loaded; elsewhere it is marked as already
//! loaded, and what it needs is not repeated.

use std::io::{self, Write};

use rld::error::{Error, Problem};
use rld::search::{NOT_OPENED, Origin};
use rld::text::Text;
use serde::Serialize;

use super::cli::Arguments;
use super::output::{Bytes, Out, Way, Words};
use super::start::{PROGRAM, Request, Requester, Rule, Start};
use super::{Failure, Verdict};

pub fn run(arguments: &Arguments, out: &mut Out<'_>) -> Result<Verdict, Failure> {
    let start = Start::of(arguments.first(), arguments)?;
    if out.json {
        out.document("tree", Document::new(&start))?;
    } else {
        writeln!(out, "{}", out.paint().strong(Text(&start.program)))?;
        if start.is_static() {
            writeln!(out, "    statically linked")?;
        }
        let requests: Vec<_> = start.preloads().chain(start.needs(PROGRAM)).collect();
        Tree { start: &start, out, margin: String::new() }.requests(&requests)?;
    }
    Ok(if start.missing().next().is_some() { Verdict::Bad } else { Verdict::Good })
}

struct Tree<'t, 'o> {
    start: &'t Start,
    out: &'t mut Out<'o>,
    /// What stands to the left of the level at hand.
    margin: String,
}

impl Tree<'_, '_> {
    /// Every object is expanded once, so the depth is at most their number.
    fn requests(&mut self, requests: &[&Request]) -> io::Result<()> {
        for (left, request) in (0..requests.len()).rev().zip(requests) {
            let (branch, below) =
                if left > 0 { ("├── ", "│   ") } else { ("└── ", "    ") };
            let paint = self.out.paint();
            let lines = format!("{}{branch}", self.margin);
            write!(self.out, "{}{} => ", paint.dim(lines), Text(&request.name))?;
            let indented = self.margin.len();
            self.margin.push_str(below);
            self.outcome(request)?;
            self.margin.truncate(indented);
        }
        Ok(())
    }

    fn outcome(&mut self, request: &Request) -> io::Result<()> {
        let paint = self.out.paint();
        let (id, rule) = match &request.outcome {
            Ok(found) => found,
            Err(error) => return self.missing(error),
        };
        write!(self.out, "{}", self.start.name(*id))?;
        match (rule, request.requester) {
            (Rule::Loader, _) => writeln!(self.out, " {}", paint.dim("[loader]")),
            (Rule::AlreadyLoaded, _) => writeln!(self.out, " {}", paint.dim("[already loaded]")),
            (Rule::Found(origin), requester) => {
                let words = match (requester, origin) {
                    (Requester::Object(_), _) | (_, Origin::Preload) => format!("[{origin}]"),
                    (Requester::Preload, _) => format!("[preload: {origin}]"),
                };
                writeln!(self.out, " {}", paint.aside(words))?;
                self.requests(&self.start.needs(*id).collect::<Vec<_>>())
            }
        }
    }

    fn missing(&mut self, error: &Error) -> io::Result<()> {
        let paint = self.out.paint();
        match &error.problem {
            problem @ (Problem::Sentence(_) | Problem::System { words: NOT_OPENED, .. }) => {
                writeln!(self.out, "{} ({problem})", paint.bad("not found"))?;
            }
            _ => writeln!(self.out, "{} ({error})", paint.bad("not loaded"))?,
        }
        for line in &error.details {
            writeln!(self.out, "{}  {line}", paint.dim(&self.margin))?;
        }
        Ok(())
    }
}

/// The same as JSON: requests in the loader's order, not nested.
#[derive(Serialize)]
struct Document<'d> {
    program: Bytes<'d>,
    statically_linked: bool,
    requests: Vec<Entry<'d>>,
}

impl<'d> Document<'d> {
    fn new(start: &'d Start) -> Self {
        let requests = start.requests.iter().map(|request| Entry {
            requester: match request.requester {
                Requester::Preload => None,
                Requester::Object(id) => Some(Bytes(start.path(id))),
            },
            name: Bytes(&request.name),
            found: request.outcome.as_ref().ok().map(|(id, rule)| Found {
                path: Bytes(start.path(*id)),
                soname: start.map.get(*id).and_then(|object| object.soname).map(Bytes),
                way: rule.into(),
            }),
            error: request.outcome.as_ref().err().map(Words::from),
        });
        Self {
            program: Bytes(&start.program),
            statically_linked: start.is_static(),
            requests: requests.collect(),
        }
    }
}

#[derive(Serialize)]
struct Entry<'e> {
    /// None for what is preloaded.
    requester: Option<Bytes<'e>>,
    name: Bytes<'e>,
    found: Option<Found<'e>>,
    error: Option<Words>,
}

#[derive(Serialize)]
struct Found<'f> {
    path: Bytes<'f>,
    soname: Option<Bytes<'f>>,
    #[serde(flatten)]
    way: Way<'f>,
}
