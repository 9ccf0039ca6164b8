//! `tree`: who needs whom, and where each object is found.

use std::io::Write;

use rld::linkmap::requests::Requester;
use rld::linkmap::tree::Tree;
use serde::Serialize;

use super::cli::Arguments;
use super::output::{Bytes, Out, Way, Words};
use super::start::{PROGRAM, Start};
use super::{Failure, Verdict};

pub fn run(arguments: &Arguments, out: &mut Out<'_>) -> Result<Verdict, Failure> {
    let start = Start::of(arguments.first(), arguments)?;
    if out.json {
        out.document("tree", Document::new(&start))?;
    } else {
        let tree = Tree {
            map: &start.map,
            program: PROGRAM,
            name: &start.program,
            requests: &start.requests,
            is_static: start.is_static(),
        };
        write!(out, "{}", tree.painted(out.paint()))?;
    }
    Ok(if start.requests.missing().next().is_some() { Verdict::Bad } else { Verdict::Good })
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
