//! The tree of a program's dependencies, for people.
//!
//! Objects are loaded breadth-first. Each stands below the object that had it loaded; elsewhere it is marked as already
//! loaded, and what it needs is not repeated.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Display, Formatter};

use super::LinkMap;
use super::requests::{Request, Requester, Requests, Rule};
use crate::addr::ObjectId;
use crate::error::{Error, Problem};
use crate::paint::Paint;
use crate::search::{NOT_OPENED, Origin};
use crate::text::Text;

/// A program with what it asks for.
pub struct Tree<'t, 'a> {
    /// The objects that were found.
    pub map: &'t LinkMap<'a>,
    /// The program.
    pub program: ObjectId,
    /// What it is called.
    pub name: &'t [u8],
    /// What was asked for.
    pub requests: &'t Requests,
    /// Whether it starts without a loader.
    pub is_static: bool,
}

impl Tree<'_, '_> {
    /// Its lines.
    pub fn painted(&self, paint: Paint) -> impl Display {
        fmt::from_fn(move |f| {
            writeln!(f, "{}", paint.strong(Text(self.name)))?;
            if self.is_static {
                writeln!(f, "    statically linked")?;
            }
            self.branches(paint, f)
        })
    }

    /// All requests, depth first; every object is expanded once.
    fn branches(&self, paint: Paint, f: &mut Formatter<'_>) -> fmt::Result {
        let first: Vec<_> =
            self.requests.preloads().chain(self.requests.of(self.program)).collect();
        // Of each level what is left of it, and where its margin ends.
        let mut levels = alloc::vec![(first.into_iter(), 0)];
        let mut margin = String::new();
        while let Some((requests, start)) = levels.last_mut() {
            margin.truncate(*start);
            let Some(request) = requests.next() else {
                levels.pop();
                continue;
            };
            let (branch, below) = match requests.len() {
                0 => ("└── ", "    "),
                _ => ("├── ", "│   "),
            };
            write!(f, "{}{} => ", paint.dim(Lines(&margin, branch)), Text(&request.name))?;
            margin.push_str(below);
            match &request.outcome {
                Ok((id, rule)) => {
                    self.found(request, *id, rule, paint, f)?;
                    if matches!(rule, Rule::Found(_)) {
                        let needs: Vec<_> = self.requests.of(*id).collect();
                        levels.push((needs.into_iter(), margin.len()));
                    }
                }
                Err(error) => missing(error, &margin, paint, f)?,
            }
        }
        Ok(())
    }

    fn found(
        &self,
        request: &Request,
        id: ObjectId,
        rule: &Rule,
        paint: Paint,
        f: &mut Formatter<'_>,
    ) -> fmt::Result {
        let path = self.map.get(id).map_or(&b"?"[..], |object| object.display_name(self.name));
        write!(f, "{} ", Text(path))?;
        match (rule, request.requester) {
            (Rule::Loader, _) => writeln!(f, "{}", paint.dim("[loader]")),
            (Rule::AlreadyLoaded, _) => writeln!(f, "{}", paint.dim("[already loaded]")),
            (Rule::Found(origin), Requester::Preload) if *origin != Origin::Preload => {
                writeln!(f, "{}", paint.aside(format_args!("[preload: {origin}]")))
            }
            (Rule::Found(origin), _) => writeln!(f, "{}", paint.aside(format_args!("[{origin}]"))),
        }
    }
}

/// The lines to the left of a name.
struct Lines<'l>(&'l str, &'l str);

impl Display for Lines<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, self.1)
    }
}

fn missing(error: &Error, margin: &str, paint: Paint, f: &mut Formatter<'_>) -> fmt::Result {
    match &error.problem {
        problem @ (Problem::Sentence(_) | Problem::System { words: NOT_OPENED, .. }) => {
            writeln!(f, "{} ({problem})", paint.bad("not found"))?;
        }
        _ => writeln!(f, "{} ({error})", paint.bad("not loaded"))?,
    }
    error.details.iter().try_for_each(|line| writeln!(f, "{}  {line}", paint.dim(margin)))
}
