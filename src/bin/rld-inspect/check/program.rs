//! What can be said of a program with all its objects.

use std::collections::{BTreeMap, HashSet};

use rld::elf::dynamic::Flags1;
use rld::elf::symbol::{Binding as SymbolBinding, Type};
use rld::elf::version::Versym;
use rld::error::Problem;
use rld::linkmap::LinkMap;
use rld::linkmap::requests::{Request, Requester};
use rld::lookup::{Class, Reference, one};
use rld::object::{Object, Role};
use rld::program::versions;
use rld::search::NOT_OPENED;
use rld::text::Text;

use super::finding::Kind::*;
use super::finding::Severity::{Error, Note, Warning};
use super::finding::{Finding, some_of};
use crate::inspect::resolve::{self, Binding, Versioned};
use crate::inspect::start::{PROGRAM, Start};

/// All findings about a program, but for those of each object by itself.
pub fn check(start: &Start) -> Vec<Finding> {
    let mut findings = missing(start);
    let complete = findings.is_empty();
    findings.extend(broken_versions(start));
    match resolve::all(start) {
        Ok(bindings) => {
            // What is not there may define anything.
            if complete {
                findings.extend(undefined(start, &bindings));
                findings.extend(unused(start, &bindings));
            }
            findings.extend(replaced(start, &bindings));
        }
        Err(error) => {
            let object = error.object.clone();
            findings.push(Finding::whole(&object, (Error, Broken), error.problem.to_string()));
        }
    }
    findings
}

/// Libraries that are not found or cannot be loaded.
fn missing(start: &Start) -> Vec<Finding> {
    let requests = start.requests.iter();
    let failed = requests.filter_map(|request| Some((request, request.outcome.as_ref().err()?)));
    let finding = |(request, error): (&Request, &rld::error::Error)| {
        let object = match request.requester {
            Requester::Object(id) => start.path(id),
            Requester::Preload => &start.program,
        };
        let name = Text(&request.name);
        let (kind, message) = match &error.problem {
            Problem::Sentence(_) | Problem::System { words: NOT_OPENED, .. } => {
                (MissingLibrary, format!("needs {name}, which is not found"))
            }
            problem => (Broken, format!("needs {name}, which cannot be loaded: {problem}")),
        };
        // A preload that cannot be is passed over.
        let severity = if request.requester == Requester::Preload { Warning } else { Error };
        let mut finding = Finding::new(object, (severity, kind), &request.name, message);
        let said = |line: &&String| !line.starts_with("needed by ");
        finding.details = error.details.iter().filter(said).cloned().collect();
        finding
    };
    failed.map(finding).collect()
}

/// Versions that libraries lack.
fn broken_versions(start: &Start) -> Vec<Finding> {
    let objects = start.map.in_search_order().map(|(_, object)| object);
    let found = versions::check(&start.map, LinkMap::BASE, objects, &start.program, false);
    let finding = |severity, error: rld::error::Error| {
        let message = error.problem.to_string();
        let subject = match error.problem {
            Problem::MissingVersion { version, .. } => Some(version),
            _ => None,
        };
        let (object, details) = (error.object, error.details);
        Finding { object, severity, kind: MissingVersion, subject, message, details }
    };
    let errors = found.errors.into_iter().map(|error| finding(Error, error));
    errors.chain(found.warnings.into_iter().map(|error| finding(Warning, error))).collect()
}

/// Whether an object is one that a program opens, or is linked with, but that nobody starts.
fn is_library(object: &Object<'_>) -> bool {
    object.soname.is_some()
        || (object.segments.interp.is_none() && !object.dynamic.flags_1.contains(Flags1::PIE))
}

/// References that nothing defines.
fn undefined(start: &Start, bindings: &[Binding]) -> Vec<Finding> {
    let library = start.map.get(PROGRAM).is_some_and(is_library);
    // One finding for a call and an address.
    let mut seen = HashSet::new();
    let undefined = bindings.iter().filter(|binding| {
        binding.is_undefined() && seen.insert((binding.requester, binding.reference()))
    });
    let finding = |binding: &Binding| {
        let lazy = start.map.get(binding.requester).is_some_and(|it| !it.dynamic.binds_now());
        let name = Versioned { name: binding.name, version: None };
        let version = binding
            .version
            .map_or(String::new(), |version| format!(", version {}", Text(version.name)));
        let when = match (library, binding.call && lazy) {
            (true, _) => " here; the program that opens it may define it",
            (false, true) => ": the program starts, and ends when it is called",
            (false, false) => "",
        };
        let message = format!("undefined symbol {name}{version}{when}");
        let severity = if library { Warning } else { Error };
        let about = (severity, UndefinedSymbol);
        let mut finding = Finding::new(start.path(binding.requester), about, binding.name, message);
        finding.details = near(start, binding);
        finding
    };
    undefined.map(finding).collect()
}

/// Definitions of the same name that have another version.
fn near(start: &Start, binding: &Binding) -> Vec<String> {
    let class = Class { newest: true, ..Class::default() };
    let reference = Reference::new(binding.name, None, class);
    let other = |object: &Object<'static>| {
        let (index, _) = one::find(&object.exports, &reference)?;
        let versym = Versym(object.exports.versyms.get(index as usize)?);
        let version = object.exports.versions.get(versym.index()).name;
        let version = (!version.is_empty()).then_some(version);
        let path = Text(object.display_name(&start.program));
        Some(format!("{path} defines {}", Versioned { name: binding.name, version }))
    };
    start.map.in_search_order().filter_map(|(_, object)| other(object)).collect()
}

/// Libraries that the program names and does not use.
fn unused(start: &Start, bindings: &[Binding]) -> Vec<Finding> {
    let used: HashSet<_> = bindings
        .iter()
        .filter(|binding| binding.requester == PROGRAM)
        .filter_map(|binding| Some(binding.definition?.object))
        .collect();
    let unused = start.requests.of(PROGRAM).filter_map(|request| {
        let (id, _) = request.outcome.as_ref().ok()?;
        (!used.contains(id)).then_some(request)
    });
    let finding = |request: &Request| {
        let message = format!("needs {} and is bound to nothing in it", Text(&request.name));
        Finding::new(&start.program, (Note, UnusedDependency), &request.name, message)
    };
    unused.map(finding).collect()
}

/// Whether C++ lets programs and allocators define it: operator new and delete.
fn is_replaceable(name: &[u8]) -> bool {
    [b"_Znw", b"_Zna", b"_Zdl", b"_Zda"].iter().any(|start| name.starts_with(*start))
}

/// What a library defines, and yet finds elsewhere when it refers to it. Weak and unique definitions are left out: C++
/// has them in each library, and they are meant to be one; and what libc defines is meant to be replaced.
fn replaced(start: &Start, bindings: &[Binding]) -> Vec<Finding> {
    let mut pairs: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for binding in bindings {
        let Some(definition) = binding.definition else { continue };
        let Some(requester) = start.map.get(binding.requester) else { continue };
        let own = requester.exports.symbols.get(binding.index as usize);
        let Some(own) = own.filter(|own| own.can_define(true)) else { continue };
        let Some(definer) = start.map.get(definition.object) else { continue };
        let usual = definition.object == binding.requester
            || own.binding() != SymbolBinding::Global
            || requester.role != Role::Library
            || requester.soname == Some(b"libc.so.6")
            || is_replaceable(binding.name)
            || (definer.role == Role::Program && own.symbol_type() != Type::Function);
        if !usual {
            let names = pairs.entry((binding.requester, definition.object)).or_default();
            let name = Text(binding.name).to_string();
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let preloaded = |id| {
        start.requests.preloads().any(|it| it.outcome.as_ref().is_ok_and(|(found, _)| *found == id))
    };
    let finding = |((requester, definer), names): ((_, _), Vec<String>)| {
        // A program, or who preloads something, can mean it.
        let severity = if definer == PROGRAM || preloaded(definer) { Note } else { Warning };
        let (by, path) = (start.name(definer), start.path(definer));
        let message = format!("uses {by}'s definitions instead of its own: {}", some_of(&names));
        Finding::new(start.path(requester), (severity, ReplacedDefinition), path, message)
    };
    pairs.into_iter().map(finding).collect()
}
