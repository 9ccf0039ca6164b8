//! Checks, before anything is relocated, that every library defines the versions that others need from it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::elf::Malformed;
use crate::elf::version::{Need, definitions, needs};
use crate::error::{Error, Problem};
use crate::linkmap::LinkMap;
use crate::object::Object;
use crate::text::Text;

/// What the check found.
#[derive(Default, Debug)]
pub struct Findings {
    /// What the program can live with, as ld.so words it, without the program's name.
    pub warnings: Vec<String>,
    /// What it cannot.
    pub errors: Vec<Error>,
}

/// Checks all objects in the order of the search list. `program` is the program's name, for messages.
#[must_use]
pub fn check(map: &LinkMap<'_>, program: &[u8]) -> Findings {
    let mut findings = Findings::default();
    for (_, object) in map.in_search_order() {
        let name = object.display_name(program);
        let Some(table) = object.exports.verneed else {
            continue;
        };
        let walked = needs(table, object.exports.strings, |_, need| {
            let Some(needed) = map.by_name(need.file).and_then(|id| map.get(id)) else {
                let (file, version) = (Text(need.file), Text(need.version.name));
                let sentence = alloc::format!("version `{version}' needed from {file}, not loaded");
                findings.errors.push(Error::new(name, Problem::Sentence(sentence)));
                return;
            };
            judge(&mut findings, needed, &need, name, program);
        });
        if let Err(malformed) = walked {
            findings.errors.push(Error::malformed(name, malformed));
        }
    }
    findings
}

fn judge(
    findings: &mut Findings,
    needed: &Object<'_>,
    need: &Need<'_>,
    requester: &[u8],
    program: &[u8],
) {
    let library = needed.display_name(program);
    let Some(defined) = defined_versions(needed) else {
        let (library, requester) = (Text(library), Text(requester));
        findings.warnings.push(alloc::format!(
            "{library}: no version information available (required by {requester})"
        ));
        return;
    };
    let wanted = (need.version.hash, need.version.name);
    match defined {
        Ok(defined) if defined.contains(&wanted) => {}
        Ok(_) if need.weak => {
            let (library, requester) = (Text(library), Text(requester));
            let version = Text(need.version.name);
            findings.warnings.push(alloc::format!(
                "{library}: weak version `{version}' not found (required by {requester})"
            ));
        }
        Ok(defined) => {
            let problem = Problem::MissingVersion {
                version: need.version.name.to_vec(),
                requester: requester.to_vec(),
            };
            let mut names: Vec<_> = defined.iter().map(|(_, name)| *name).collect();
            names.sort_unstable_by(|a, b| crate::cache::compare(b, a));
            let newest = names.iter().take(NAMED).map(|name| alloc::format!("{}", Text(name)));
            let newest: Vec<String> = newest.collect();
            let more = if names.len() > NAMED { " …" } else { "" };
            let line = alloc::format!("it defines {}{more}", newest.join(", "));
            findings.errors.push(Error::new(library, problem).with(line));
        }
        Err(malformed) => findings.errors.push(Error::malformed(library, malformed)),
    }
}

/// How many of a library's versions a message names.
const NAMED: usize = 6;

type Defined<'a> = Vec<(u32, &'a [u8])>;

/// The versions that an object defines; `None` where it has none at all.
fn defined_versions<'a>(object: &Object<'a>) -> Option<Result<Defined<'a>, Malformed>> {
    let table = object.exports.verdef?;
    let mut defined = Vec::new();
    let walked = definitions(table, object.exports.strings, |_, version, _| {
        defined.push((version.hash, version.name));
    });
    Some(walked.map(|()| defined))
}
