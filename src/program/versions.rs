//! Checks, before anything is relocated, that every library defines the versions that others need from it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::cache;
use crate::elf::version::{Need, definitions, needs};
use crate::error::{Error, Problem};
use crate::linkmap::LinkMap;
use crate::object::{Object, Role};
use crate::text::Text;
use crate::trace::{self, Event, Topics};

/// What the check found.
#[derive(Default, Debug)]
pub struct Findings {
    /// What the program can live with, as ld.so words it, without the program's name.
    pub warnings: Vec<Error>,
    /// What it cannot.
    pub errors: Vec<Error>,
}

/// Checks objects of a namespace, in order. `program` is the program's name, for messages; `opened` says whether a
/// dlopen(3) wants the objects.
#[must_use]
pub fn check<'o, 'a: 'o>(
    map: &LinkMap<'_>,
    space: usize,
    objects: impl Iterator<Item = &'o Object<'a>>,
    program: &[u8],
    opened: bool,
) -> Findings {
    let mut findings = Findings::default();
    for object in objects {
        let name = object.display_name(program);
        let Some(table) = object.exports.verneed else {
            continue;
        };
        let walked = needs(table, object.exports.strings, |_, need| {
            let Some(needed) = map.by_name_in(space, need.file).and_then(|id| map.get(id)) else {
                // In a list it has a line of its own.
                if map.objects.iter().any(|(_, it)| it.role == Role::Absent) {
                    return;
                }
                let (file, version) = (Text(need.file), Text(need.version.name));
                let sentence = alloc::format!("version `{version}' needed from {file}, not loaded");
                let error = Error::new(name, Problem::Sentence(sentence));
                findings
                    .errors
                    .push(error.with("it has no DT_NEEDED for that library: link it again"));
                return;
            };
            trace::tell(Topics::VERSIONS, || Event::Version {
                version: need.version.name,
                library: needed.label(),
                by: object.label(),
            });
            let Err(finding) = judge(needed, &need, name, program) else { return };
            let (error, list) = match finding {
                Finding::Warning(error) => (error, &mut findings.warnings),
                Finding::Error(error) => (error, &mut findings.errors),
            };
            trace::tell(Topics::ERRORS, || Event::Error {
                object: &error.object,
                occasion: "version lookup error",
                words: &error.problem,
                fatal: opened,
            });
            list.push(error);
        });
        if let Err(malformed) = walked {
            findings.errors.push(Error::malformed(name, malformed));
        }
    }
    // A process has the libc that it was started with.
    let outdated = findings.errors.iter_mut().filter(|error| !opened && is_outdated_glibc(error));
    if let Some(error) = outdated.last() {
        error.details.push(
            "a newer glibc can serve this program alone: rld --sysroot DIRECTORY PROGRAM takes all \
             libraries from a root that has one"
                .into(),
        );
    }
    findings
}

/// Whether a version of glibc is missing that a newer release may have.
fn is_outdated_glibc(error: &Error) -> bool {
    match &error.problem {
        Problem::MissingVersion { version, .. } => {
            let number = version.strip_prefix(b"GLIBC_");
            let is_number = number.and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit);
            // The line about the newest one there is.
            is_number && error.details.len() > 1
        }
        _ => false,
    }
}

/// A warning is an error that says so.
enum Finding {
    Warning(Error),
    Error(Error),
}

fn judge(
    needed: &Object<'_>,
    need: &Need<'_>,
    requester: &[u8],
    program: &[u8],
) -> Result<(), Finding> {
    let library = needed.display_name(program);
    let strings = needed.exports.strings;
    let warning =
        |sentence| Err(Finding::Warning(Error::new(library, Problem::Sentence(sentence))));
    let Some(table) = needed.exports.verdef else {
        let requester = Text(requester);
        return warning(alloc::format!(
            "no version information available (required by {requester})"
        ));
    };
    let wanted = need.version;
    let found = definitions(table, |record| {
        let same = record.hash == wanted.hash && record.name(strings)? == wanted.name;
        Ok(same.then_some(()))
    });
    match found {
        Ok(Some(())) => Ok(()),
        Ok(None) if need.weak => {
            let (requester, version) = (Text(requester), Text(wanted.name));
            warning(alloc::format!("weak version `{version}' not found (required by {requester})"))
        }
        Ok(None) => {
            let problem = Problem::MissingVersion {
                version: wanted.name.to_vec(),
                requester: requester.to_vec(),
            };
            let error = Error::new(library, problem).with(describe(table, needed));
            Err(Finding::Error(match newest(table, needed, wanted.name) {
                Some(newest) => error.with(alloc::format!(
                    "{} is its newest: it is older than the one that {} was linked with",
                    Text(newest),
                    Text(requester)
                )),
                None => error,
            }))
        }
        Err(malformed) => Err(Finding::Error(Error::malformed(library, malformed))),
    }
}

/// The newest of a library's versions that differ from `wanted` in their number alone, if that is newer still.
fn newest<'a>(table: &[u8], library: &Object<'a>, wanted: &[u8]) -> Option<&'a [u8]> {
    let series = |name: &[u8]| name.iter().position(u8::is_ascii_digit).filter(|at| *at > 0);
    let stem = wanted.get(..series(wanted)?)?;
    let mut newest: Option<&[u8]> = None;
    let walked = definitions(table, |record| {
        let name = record.name(library.exports.strings)?;
        let same = series(name).is_some_and(|at| name.get(..at) == Some(stem));
        if same && newest.is_none_or(|newest| cache::compare(name, newest).is_gt()) {
            newest = Some(name);
        }
        Ok(None::<()>)
    });
    newest.filter(|newest| walked.is_ok() && cache::compare(wanted, newest).is_gt())
}

/// How many of a library's versions a message names.
const NAMED: usize = 6;

/// What a library does define, the newest first.
fn describe(table: &[u8], library: &Object<'_>) -> String {
    let mut names = Vec::new();
    let walked = definitions(table, |record| {
        if !record.is_base {
            names.push(record.name(library.exports.strings)?);
        }
        Ok(None::<()>)
    });
    if walked.is_err() || names.is_empty() {
        return "it defines no version".into();
    }
    names.sort_unstable_by(|a, b| cache::compare(b, a));
    let newest = names.iter().take(NAMED).map(|name| alloc::format!("{}", Text(name)));
    let newest: Vec<String> = newest.collect();
    let more = if names.len() > NAMED { " …" } else { "" };
    alloc::format!("it defines {}{more}", newest.join(", "))
}
