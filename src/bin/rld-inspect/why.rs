//! `why`: every chain of DT_NEEDED that leads to a library.

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use rld::addr::ObjectId;
use rld::linkmap::requests::{Request, Requester, Rule};
use rld::near;
use rld::text::Text;
use serde::Serialize;

use super::cli::Arguments;
use super::output::{Bytes, Out, Way, Words, advice};
use super::start::{PROGRAM, Start};
use super::{Failure, Verdict};

/// How many chains are shown if the user does not say.
const LIMIT: usize = 100;
/// How many links of chains are tried at most: where many objects need one another in circles, most lead nowhere.
const STEPS: usize = 2_000_000;

pub fn run(arguments: &Arguments, out: &mut Out<'_>) -> Result<Verdict, Failure> {
    let limit = arguments.number("limit")?.unwrap_or(LIMIT);
    let program = arguments.operand(1).unwrap_or_default();
    let start = Start::of(program, arguments)?;
    let wanted = arguments.first().as_bytes();
    let graph = Graph::new(&start, wanted);
    let found = graph.chains(limit);
    if out.json {
        out.document("why", Document::new(&start, wanted, &graph, &found))?;
    } else {
        for request in graph.first_requests() {
            let name = Text(&request.name);
            match &request.outcome {
                Ok((id, rule)) => {
                    let rule = match rule {
                        Rule::Found(origin) => format!("[{origin}]"),
                        Rule::Loader => "[loader]".into(),
                        Rule::AlreadyLoaded => String::new(),
                    };
                    writeln!(out, "{name} => {} {}", start.name(*id), out.paint().aside(rule))?;
                }
                Err(error) => writeln!(out, "{name} => {} ({error})", out.paint().bad("missing"))?,
            }
        }
        for chain in &found.chains {
            let names = chain.iter().map(|link| Text(link.name(&start)).to_string());
            writeln!(out, "  {}", names.collect::<Vec<_>>().join(" -> "))?;
        }
        if let Some(words) = found.unfinished {
            writeln!(out, "  … {words}")?;
        }
        if found.chains.is_empty() {
            let program = Text(&start.program);
            let near = near(&start, wanted).map_or(String::new(), advice);
            writeln!(out, "{program} does not need {}{near}", Text(wanted))?;
        }
    }
    Ok(if found.chains.is_empty() { Verdict::Bad } else { Verdict::Good })
}

/// What was meant, perhaps.
fn near<'s>(start: &'s Start, wanted: &[u8]) -> Option<&'s [u8]> {
    near::nearest(wanted, start.requests.iter().map(|request| &request.name[..]))
}

/// A place in a chain: where it begins, or the request that leads on.
#[derive(Clone, Copy)]
enum Link<'l> {
    Program,
    Preloads,
    Request(&'l Request),
}

impl<'l> Link<'l> {
    fn name(self, start: &'l Start) -> &'l [u8] {
        match self {
            Self::Program => &start.program,
            Self::Preloads => b"(preloaded)",
            Self::Request(request) => &request.name,
        }
    }
}

/// What is needed: a node for each object, and one for each name that led to none.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Node<'g> {
    Object(ObjectId),
    Missing(&'g [u8]),
}

impl<'g> Node<'g> {
    fn of(request: &'g Request) -> Self {
        match &request.outcome {
            Ok((id, _)) => Self::Object(*id),
            Err(_) => Self::Missing(&request.name),
        }
    }
}

struct Graph<'g> {
    start: &'g Start,
    /// How many links lie between a node and the nearest library that is wanted.
    distance: HashMap<Node<'g>, usize>,
}

impl<'g> Graph<'g> {
    fn new(start: &'g Start, wanted: &[u8]) -> Self {
        let mut distance: HashMap<_, _> = start
            .requests
            .iter()
            .filter(|request| is_wanted(start, request, wanted))
            .map(|request| (Node::of(request), 0))
            .collect();
        // Breadth-first, from the libraries back to who needs them.
        let mut users: HashMap<Node<'_>, Vec<Node<'_>>> = HashMap::new();
        for request in start.requests.iter() {
            if let Requester::Object(id) = request.requester {
                users.entry(Node::of(request)).or_default().push(Node::Object(id));
            }
        }
        let mut level: Vec<_> = distance.keys().copied().collect();
        for far in 1.. {
            let before: Vec<_> =
                level.iter().filter_map(|node| users.get(node)).flatten().collect();
            level = before
                .into_iter()
                .filter(|&&node| {
                    let new = !distance.contains_key(&node);
                    distance.entry(node).or_insert(far);
                    new
                })
                .copied()
                .collect();
            if level.is_empty() {
                break;
            }
        }
        Self { start, distance }
    }

    /// The requests that had the wanted libraries loaded.
    fn first_requests(&self) -> impl Iterator<Item = &'g Request> {
        let mut seen = Vec::new();
        self.start.requests.iter().filter(move |request| {
            let node = Node::of(request);
            let first = self.distance.get(&node) == Some(&0) && !seen.contains(&node);
            if first {
                seen.push(node);
            }
            first
        })
    }

    /// The chains from the program or a preload list to a wanted library, the shortest first.
    fn chains(&self, limit: usize) -> Found<'g> {
        let mut walk =
            Walk { graph: self, limit, steps: 0, longer: false, found: Found::default() };
        for length in 1.. {
            walk.longer = false;
            let mut chain = vec![(Link::Preloads, None)];
            walk.extend(self.start.requests.preloads(), length, &mut chain);
            let mut chain = vec![(Link::Program, Some(Node::Object(PROGRAM)))];
            walk.extend(self.start.requests.of(PROGRAM), length, &mut chain);
            if !walk.longer || walk.found.unfinished.is_some() {
                break;
            }
        }
        walk.found
    }
}

/// Whether a request is for what the user names: by the name that is asked for, the SONAME, or the path.
fn is_wanted(start: &Start, request: &Request, wanted: &[u8]) -> bool {
    let file_name = |path: &[u8]| path.rsplit(|&byte| byte == b'/').next() == Some(wanted);
    let object = request.outcome.as_ref().ok().and_then(|(id, _)| start.map.get(*id));
    let by_object = object.is_some_and(|object| {
        let path = object.name.to_bytes();
        path == wanted || object.soname == Some(wanted) || file_name(path)
    });
    by_object || request.name == wanted || file_name(&request.name)
}

/// What was found.
#[derive(Default)]
struct Found<'f> {
    chains: Vec<Vec<Link<'f>>>,
    /// Why there may be more.
    unfinished: Option<&'static str>,
}

struct Walk<'w, 'g> {
    graph: &'w Graph<'g>,
    limit: usize,
    steps: usize,
    /// A chain did not fit the length at hand.
    longer: bool,
    found: Found<'g>,
}

impl<'g> Walk<'_, 'g> {
    /// Collects the chains that go on from the end of `chain` with exactly `left` links. No object stands in one twice,
    /// so that the depth is at most their number.
    fn extend(
        &mut self,
        requests: impl Iterator<Item = &'g Request>,
        left: usize,
        chain: &mut Vec<(Link<'g>, Option<Node<'g>>)>,
    ) {
        for request in requests {
            let node = Node::of(request);
            let Some(&distance) = self.graph.distance.get(&node) else { continue };
            let within = chain.iter().any(|(_, known)| *known == Some(node));
            if within || self.found.unfinished.is_some() {
                continue;
            }
            if distance >= left {
                self.longer = true;
                continue;
            }
            self.steps += 1;
            if self.steps > STEPS {
                self.found.unfinished = Some("there may be more: there are too many ways to try");
                return;
            }
            chain.push((Link::Request(request), Some(node)));
            if left == 1 {
                if self.found.chains.len() == self.limit {
                    self.found.unfinished = Some("there are more: --limit says how many to show");
                } else {
                    self.found.chains.push(chain.iter().map(|(link, _)| *link).collect());
                }
            } else if distance > 0
                && let Node::Object(id) = node
            {
                self.extend(self.graph.start.requests.of(id), left - 1, chain);
            }
            chain.pop();
        }
    }
}

/// All as JSON.
#[derive(Serialize)]
struct Document<'d> {
    program: Bytes<'d>,
    library: Bytes<'d>,
    found: Vec<FoundEntry<'d>>,
    chains: Vec<Vec<Bytes<'d>>>,
    complete: bool,
    near: Option<Bytes<'d>>,
}

#[derive(Serialize)]
struct FoundEntry<'e> {
    name: Bytes<'e>,
    path: Option<Bytes<'e>>,
    way: Option<Way<'e>>,
    error: Option<Words>,
}

impl<'d> Document<'d> {
    fn new(start: &'d Start, wanted: &'d [u8], graph: &Graph<'d>, found: &Found<'d>) -> Self {
        let entries = graph.first_requests().map(|request| FoundEntry {
            name: Bytes(&request.name),
            path: request.outcome.as_ref().ok().map(|(id, _)| Bytes(start.path(*id))),
            way: request.outcome.as_ref().ok().map(|(_, rule)| rule.into()),
            error: request.outcome.as_ref().err().map(Words::from),
        });
        let chains = found.chains.iter();
        let chains = chains.map(|chain| chain.iter().map(|link| Bytes(link.name(start))).collect());
        Self {
            program: Bytes(&start.program),
            library: Bytes(wanted),
            found: entries.collect(),
            chains: chains.collect(),
            complete: found.unfinished.is_none(),
            near: near(start, wanted).filter(|_| found.chains.is_empty()).map(Bytes),
        }
    }
}
