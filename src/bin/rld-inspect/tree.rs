//! `tree`: who needs whom, and where each object is found.
//!
//! Objects are loaded breadth-first. Each stands below the object that had it loaded; elsewhere it is marked as already
//! loaded, and what it needs is not repeated.

use std::io::{self, Write};

use rld::addr::ObjectId;
use rld::elf::dynamic::Flags1;
use rld::elf::header::Kind;
use rld::error::{Error, Problem};
use rld::object::Object;
use rld::search::{NOT_OPENED, Origin};
use rld::text::Text;

use super::cli::Arguments;
use super::start::{PROGRAM, Request, Requester, Rule, Start};
use super::{Failure, Verdict};

pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<Verdict, Failure> {
    let start = Start::new(arguments.first(), arguments)?;
    writeln!(out, "{}", Text(&start.program))?;
    if start.map.get(PROGRAM).is_some_and(is_static) {
        writeln!(out, "    statically linked")?;
    }
    let preloads = start.requests.iter().filter(|request| request.requester == Requester::Preload);
    let mut tree = Tree { start: &start, out, margin: String::new() };
    tree.requests(&preloads.chain(needs(&start, PROGRAM)).collect::<Vec<_>>())?;
    Ok(if start.missing().next().is_some() { Verdict::Bad } else { Verdict::Good })
}

/// A program, not a library, that starts without a loader.
fn is_static(program: &Object<'_>) -> bool {
    let is_program = program.kind == Kind::Fixed || program.dynamic.flags_1.contains(Flags1::PIE);
    is_program && program.segments.interp.is_none()
}

/// The requests that an object makes.
fn needs(start: &Start, id: ObjectId) -> impl Iterator<Item = &Request> {
    start.requests.iter().filter(move |request| request.requester == Requester::Object(id))
}

struct Tree<'t> {
    start: &'t Start,
    out: &'t mut dyn Write,
    /// What stands to the left of the level at hand.
    margin: String,
}

impl Tree<'_> {
    /// Every object is expanded once, so the depth is at most their number.
    fn requests(&mut self, requests: &[&Request]) -> io::Result<()> {
        for (left, request) in (0..requests.len()).rev().zip(requests) {
            let (branch, below) =
                if left > 0 { ("├── ", "│   ") } else { ("└── ", "    ") };
            write!(self.out, "{}{branch}{} => ", self.margin, Text(&request.name))?;
            let indented = self.margin.len();
            self.margin.push_str(below);
            self.outcome(request)?;
            self.margin.truncate(indented);
        }
        Ok(())
    }

    fn outcome(&mut self, request: &Request) -> io::Result<()> {
        let (id, rule) = match &request.outcome {
            Ok(found) => found,
            Err(error) => return self.missing(error),
        };
        write!(self.out, "{}", self.start.name(*id))?;
        match (rule, request.requester) {
            (Rule::Loader, _) => writeln!(self.out, " [loader]"),
            (Rule::AlreadyLoaded, _) => writeln!(self.out, " [already loaded]"),
            (Rule::Found(origin), requester) => {
                match (requester, origin) {
                    (Requester::Object(_), _) | (_, Origin::Preload) => {
                        writeln!(self.out, " [{origin}]")?;
                    }
                    (Requester::Preload, _) => writeln!(self.out, " [preload: {origin}]")?,
                }
                self.requests(&needs(self.start, *id).collect::<Vec<_>>())
            }
        }
    }

    fn missing(&mut self, error: &Error) -> io::Result<()> {
        match &error.problem {
            problem @ (Problem::Sentence(_) | Problem::System { words: NOT_OPENED, .. }) => {
                writeln!(self.out, "not found ({problem})")?;
            }
            _ => writeln!(self.out, "not loaded ({error})")?,
        }
        for line in &error.details {
            writeln!(self.out, "{}  {line}", self.margin)?;
        }
        Ok(())
    }
}
