//! The list of a program's objects, as ldd(1) shows it: with LD_VERBOSE the versions that they need, with LD_WARN the
//! references that nothing defines.

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt::Write;

use super::audit::listed::Listed;
use super::terms::{STDOUT, Stop, warn};
use super::{unresolved, unused, versions};
use crate::addr::ObjectId;
use crate::elf::version::{definitions, needs};
use crate::env::Settings;
use crate::error::{Error, Problem, Result};
use crate::linkmap::LinkMap;
use crate::lookup::run::Run;
use crate::lookup::scope::{Scope, Unique, Uniqueness};
use crate::lookup::{Class, Reference, undefined};
use crate::object::{Object, Role};
use crate::sys::file;
use crate::text::Text;
use crate::trace::{self, Topics};

/// What is to be shown.
pub struct List<'l> {
    /// The environment's settings.
    pub settings: &'l Settings<'l>,
    /// The program's name.
    pub program: &'l [u8],
    /// Whether the variable asks for the list, and not the option: then its companions count as well.
    pub traced: bool,
    /// Symbols to look up, which stand behind the option's program.
    pub names: Vec<&'l [u8]>,
}

impl List<'_> {
    /// Prints what is asked for: all objects and where names are bound to, or the unused ones (`ldd -u`). Auditors are
    /// told of functions that are looked up for it. Returns how that ends the process.
    pub fn answer(&self, map: &LinkMap<'_>, listed: &Listed<'_>) -> Stop {
        if trace::on(Topics::UNUSED) {
            return Stop::Exit(unused::print(map, listed));
        }
        self.print(map, listed);
        self.definitions(map).map_or_else(Stop::from, |()| Stop::Exit(0))
    }

    /// Prints all objects: the name asked for, the path found, the address. What is wrong does not end it.
    fn print(&self, map: &LinkMap<'_>, listed: &Listed<'_>) {
        let program = Text(self.program);
        let objects = map.in_search_order().map(|(_, object)| object);
        let findings = versions::check(map, LinkMap::BASE, objects, self.program, false);
        let lines = findings.warnings.iter().chain(&findings.errors);
        warn(lines.map(|line| alloc::format!("{program}: {line}")));

        let order = order(map);
        file::write_all(STDOUT, self.objects(map, &order).as_bytes());
        if self.traced && self.settings.warn {
            unresolved::print(map, self.settings, self.program, listed);
        }
        if self.traced && self.settings.verbose {
            file::write_all(STDOUT, self.versions(map, &order).as_bytes());
        }
    }

    /// Prints what the names are bound to, in ld.so's words, decimal numbers behind `0x` included: the symbol's value
    /// and its object's load bias.
    ///
    /// # Errors
    /// Nothing defines one of them; those after it are not looked up.
    fn definitions(&self, map: &LinkMap<'_>) -> Result<()> {
        if self.names.is_empty() {
            return Ok(());
        }
        let run = Run::walking(map.in_search_order());
        let (runs, mut unique) = ([&run], Unique::new());
        let uniqueness = Uniqueness::Settles(&mut unique);
        let mut scope = Scope::new(&runs, self.settings.dynamic_weak, uniqueness);
        let class = Class { definition_only: true, ..Class::default() };
        for &name in &self.names {
            let found = scope.find(&Reference::new(name, None, class), None);
            let Some(found) = found else {
                let problem = Problem::UndefinedSymbol { name: name.to_vec(), version: None };
                let error = Error::new(self.program, problem);
                let Some(program) = map.get(map.program()) else { return Err(error) };
                return Err(undefined::explain(error, &map.objects, &scope, program));
            };
            let bias = map.get(found.object).map_or(0, |object| object.image.bias.0);
            let (name, value) = (Text(name), found.symbol.value);
            let line = alloc::format!("{name} found at 0x{value:016} in object at 0x{bias:016}\n");
            file::write_all(STDOUT, line.as_bytes());
        }
        Ok(())
    }

    fn objects(&self, map: &LinkMap<'_>, order: &[ObjectId]) -> String {
        let program = map.get(map.program());
        if program.is_some_and(|program| program.needed.is_empty()) {
            return "\tstatically linked\n".into();
        }
        // The program asks for rld by its PT_INTERP.
        let interpreter = program.and_then(Object::interpreter);
        let mut text = String::new();
        for object in order.iter().filter_map(|&id| map.get(id)) {
            let path = object.name.to_bytes();
            let asked = match object.role {
                Role::Program if !(self.traced && self.settings.trace_program) => continue,
                Role::Absent => {
                    let _ = writeln!(text, "\t{} => not found", Text(path));
                    continue;
                }
                Role::Library | Role::Libc => object.aliases.first().map_or(path, |alias| alias),
                Role::Loader => interpreter.map_or(path, CStr::to_bytes),
                Role::Program | Role::Vdso => path,
            };
            let start = object.image.bias.0;
            let _ = if asked == path {
                writeln!(text, "\t{} ({start:#018x})", Text(path))
            } else {
                writeln!(text, "\t{} => {} ({start:#018x})", Text(asked), Text(path))
            };
        }
        text
    }

    /// Each version that an object needs, and where it is.
    fn versions(&self, map: &LinkMap<'_>, order: &[ObjectId]) -> String {
        let mut text = String::new();
        for object in order.iter().filter_map(|&id| map.get(id)) {
            let Some(table) = object.exports.verneed else { continue };
            if text.is_empty() {
                text.push_str("\n\tVersion information:\n");
            }
            let _ = writeln!(text, "\t{}:", Text(object.display_name(self.program)));
            let walked = needs(table, object.exports.strings, |_, need| {
                let needed = map.by_name(need.file).and_then(|id| map.get(id));
                let definer = needed.filter(|needed| defines(needed, need.version.name));
                let (file, version) = (Text(need.file), Text(need.version.name));
                let weak = if need.weak { "[WEAK] " } else { "" };
                let definer = definer.map_or(&b"not found"[..], |it| it.name.to_bytes());
                let _ = writeln!(text, "\t\t{file} ({version}) {weak}=> {}", Text(definer));
            });
            if let Err(malformed) = walked {
                let _ = writeln!(text, "\t\t{malformed}");
            }
        }
        text
    }
}

fn defines(object: &Object<'_>, version: &[u8]) -> bool {
    let Some(table) = object.exports.verdef else { return false };
    let found = definitions(table, |record| {
        Ok((record.name(object.exports.strings)? == version).then_some(()))
    });
    matches!(found, Ok(Some(())))
}

/// The objects in the order in which they were loaded; rld, if something needs it, behind the one that it follows in
/// the search list.
fn order(map: &LinkMap<'_>) -> Vec<ObjectId> {
    let loader = map.by_role(Role::Loader);
    let members = map.spaces.first().map_or(&[][..], |space| &space.members);
    let mut order: Vec<_> = members.iter().copied().filter(|&id| Some(id) != loader).collect();
    let is_there = |object: &Object<'_>| object.role != Role::Absent;
    let found = map.in_search_order().filter(|(_, object)| is_there(object));
    let found: Vec<_> = found.map(|(id, _)| id).collect();
    let place = found.iter().position(|&id| Some(id) == loader);
    let before = place.and_then(|at| found.get(at.checked_sub(1)?));
    if let (Some(before), Some(loader)) = (before, loader) {
        let at = order.iter().position(|id| id == before).map_or(order.len(), |at| at + 1);
        order.insert(at, loader);
    }
    order
}
