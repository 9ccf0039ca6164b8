//! `check`: what is wrong with programs, or may be.
//!
//! Programs share most of their libraries: what is true of a library is found once, and says which programs load it.

mod duplicates;
mod finding;
mod object;
mod program;
mod report;

use std::collections::{HashMap, HashSet};
use std::ffi::{CString, OsString};
use std::num::NonZero;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rld::object::{Role, dirname};
use rld::search::{Files, Refusal};
use rld::sys::Identity;

use super::cli::Arguments;
use super::files::Disk;
use super::output::Out;
use super::root::path;
use super::start::{Environment, PROGRAM, Start};
use super::{Failure, Verdict};
pub use finding::Severity;
use finding::{Finding, Kind};
use report::Report;

pub fn run(arguments: &Arguments, out: &mut Out<'_>) -> Result<Verdict, Failure> {
    let environment = Environment::new(arguments, None)?;
    let least = arguments.value("severity").and_then(|name| Severity::named(name.to_str()?));
    let least = least.unwrap_or(Severity::Warning);
    let outcomes = check_all(&arguments.operands, &environment);
    let report = Report::new(&environment, &arguments.operands, outcomes, least);
    report.write(out)?;
    Ok(report.verdict())
}

/// What came of one operand.
enum Outcome {
    Checked {
        /// True of the program with all its objects.
        findings: Vec<Finding>,
        /// True of an object by itself; only from the worker that has met it first.
        of_objects: Vec<Finding>,
        /// The paths of its libraries.
        libraries: Vec<Vec<u8>>,
    },
    /// It is nothing that a loader starts; in words.
    Skipped(String),
    /// It should be, and is not.
    Failed(Finding),
}

/// Checks all operands, on all processors.
fn check_all(operands: &[OsString], environment: &Environment) -> Vec<Outcome> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut worker = Worker {
            environment,
            disk: Disk::new(environment.root.clone()),
            objects: HashSet::new(),
            duplicates: HashMap::new(),
        };
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(operand) = operands.get(at) else { return done };
            done.push((at, worker.check(operand)));
        }
    };
    let mut all = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..processors.min(operands.len())).map(|_| scope.spawn(work)).collect();
        let done = workers.into_iter().map(|worker| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        done.flatten().collect::<Vec<_>>()
    });
    all.sort_unstable_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, outcome)| outcome).collect()
}

struct Worker<'w> {
    environment: &'w Environment,
    disk: Disk,
    /// The paths of objects that were looked at by themselves.
    objects: HashSet<Vec<u8>>,
    /// What lists of libraries define twice: most programs have the list of another.
    duplicates: HashMap<Vec<Option<Identity>>, Vec<Finding>>,
}

impl Worker<'_> {
    fn check(&mut self, operand: &OsString) -> Outcome {
        let name = self.environment.root.operand(operand).into_vec();
        if let Some(outcome) = self.unfit(&name) {
            return outcome;
        }
        let start = match Start::new(operand, self.environment, &mut self.disk) {
            Ok(start) => start,
            Err(error) => {
                let about = (Severity::Error, Kind::Broken);
                let finding = Finding::whole(&error.object, about, error.problem.to_string());
                return Outcome::Failed(Finding { details: error.details, ..finding });
            }
        };
        let mut findings = Vec::from_iter(self.interpreter(&start));
        findings.extend(program::check(&start));
        findings.extend(self.duplicates(&start));
        let mut of_objects = Vec::new();
        let libraries = start.map.in_search_order().filter(|(_, it)| it.role == Role::Library);
        let libraries: Vec<_> = libraries.map(|(id, _)| start.path(id).to_vec()).collect();
        for (id, object) in start.map.in_search_order() {
            let name = start.path(id);
            let ours = matches!(object.role, Role::Program | Role::Library);
            if ours && self.objects.insert(name.to_vec()) {
                let real = self.disk.canonicalize(path(name)).unwrap_or_default();
                let mode = self.disk.metadata(path(name)).map_or(0, |metadata| metadata.mode());
                let inspector = object::Inspector {
                    environment: self.environment,
                    disk: &mut self.disk,
                    object,
                    name,
                    origin: if id == PROGRAM { dirname(&real) } else { object.directory() },
                    privileged: mode & (libc::S_ISUID | libc::S_ISGID) != 0,
                    findings: Vec::new(),
                };
                of_objects.extend(inspector.run());
            }
        }
        Outcome::Checked { findings, of_objects, libraries }
    }

    /// What there is to say of a file that cannot be looked at as a program.
    fn unfit(&mut self, name: &[u8]) -> Option<Outcome> {
        let failed =
            |kind, message| Outcome::Failed(Finding::whole(name, (Severity::Error, kind), message));
        let Ok(file) = CString::new(name) else {
            return Some(failed(Kind::Unreadable, "a path cannot hold a NUL byte".into()));
        };
        let refusal = self.disk.open(&file).err()?;
        let words = match self.disk.open_named(&file) {
            Ok(_) => return None,
            Err(error) => error.problem.to_string(),
        };
        Some(match refusal {
            Refusal::Absent(_) => failed(Kind::Unreadable, words),
            Refusal::Fatal(_) if self.disk.is_elf(&file) => failed(Kind::Broken, words),
            _ => Outcome::Skipped(words),
        })
    }

    /// The loader that the program names must be there.
    fn interpreter(&mut self, start: &Start) -> Option<Finding> {
        let interpreter = start.interpreter()?;
        let about = (Severity::Error, Kind::MissingInterpreter);
        let shown = rld::text::Text(interpreter);
        let words = match self.disk.metadata(path(interpreter)) {
            Ok(metadata) if metadata.permissions().mode() & 0o111 != 0 => return None,
            Ok(_) => format!("names {shown} as its loader, which is not executable"),
            Err(_) => format!("names {shown} as its loader, which is not there"),
        };
        Some(Finding::new(&start.program, about, interpreter, words))
    }

    fn duplicates(&mut self, start: &Start) -> Vec<Finding> {
        let libraries = start.map.in_search_order().filter(|(_, it)| it.role == Role::Library);
        let key: Vec<_> = libraries.map(|(_, library)| library.identity).collect();
        let known = self.duplicates.entry(key);
        known.or_insert_with(|| duplicates::find(start)).clone()
    }
}
