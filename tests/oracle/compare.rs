//! Compares a program at its entry point under two loaders.
//!
//! A relocated word is compared as what it points to: an object and the address before the load
//! bias, so that address randomisation can stay on. These rules, and the table in `exceptions.rs`,
//! are all that is not compared word for word:
//!
//! - A word that points to the heap, the stack or anonymous memory is compared by that kind only.
//!   Most were changed by an initialiser, and the layout there is nobody's promise.
//! - A word that points into the loader is compared by the symbol that its relocation names: the
//!   two loaders are different files. Where the tested loader does not define that symbol, or there
//!   is none (a TLSDESC entry point), both must point into the loader.
//! - The loader's own relocated words are not compared.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::AddAssign;

use crate::elf::{Kind, Relocation, relocation_name};
use crate::process::{Ended, Stopped};
use crate::snapshot::{Files, Name, Object, Place, Snapshot};
use crate::stack::{self, Aux};

/// One thing that is not the same under both loaders.
#[derive(Debug)]
pub enum Difference {
    /// A relocated word.
    Word {
        /// The object that holds it.
        object: Name,
        /// Its address before the load bias.
        target: u64,
        /// The relocation type's number.
        relocation: u32,
        /// The relocation's symbol.
        symbol: Option<String>,
        /// The variable that the object defines there.
        variable: Option<String>,
        /// What it points to under the system's loader.
        expected: String,
        /// What it points to under the loader under test.
        found: String,
    },
    /// An object that only one process has mapped.
    Mapped {
        /// The object.
        object: Name,
        /// The system's loader is the one that mapped it.
        expected: bool,
    },
    /// Access rights over an object's pages.
    Permissions {
        /// The object.
        object: Name,
        /// Under the system's loader.
        expected: String,
        /// Under the loader under test.
        found: String,
    },
    /// Code pages that were written to under the loader under test only, in kilobytes.
    DirtyCode {
        /// The object.
        object: Name,
        /// How much.
        kilobytes: u64,
    },
    /// An entry of the auxiliary vector; `None` where there is none.
    Aux {
        /// AT_*.
        kind: u64,
        /// Under the system's loader.
        expected: Option<String>,
        /// Under the loader under test.
        found: Option<String>,
    },
    /// Another fact of the start: argv, the environment, registers, the link map.
    Fact {
        /// Which.
        what: &'static str,
        /// Under the system's loader.
        expected: String,
        /// Under the loader under test.
        found: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = || "no such entry".to_string();
        let (expected, found) = match self {
            Difference::Word { object, target, relocation, symbol, expected, found, .. } => {
                let name = relocation_name(*relocation);
                let symbol = symbol.as_deref().unwrap_or("");
                write!(f, "{object}+{target:#x} {name} {symbol}")?;
                (expected.clone(), found.clone())
            }
            Difference::Mapped { object, expected: true } => {
                return write!(f, "{object}: not mapped");
            }
            Difference::Mapped { object, expected: false } => {
                return write!(f, "{object}: mapped, and not by the system's loader");
            }
            Difference::Permissions { object, expected, found } => {
                write!(f, "access rights of {object}")?;
                (expected.clone(), found.clone())
            }
            Difference::DirtyCode { object, kilobytes } => {
                return write!(f, "{object}: {kilobytes} kB of code were written to");
            }
            Difference::Aux { kind, expected, found } => {
                write!(f, "auxiliary vector, type {kind}")?;
                (expected.clone().unwrap_or_else(none), found.clone().unwrap_or_else(none))
            }
            Difference::Fact { what, expected, found } => {
                f.write_str(what)?;
                (expected.clone(), found.clone())
            }
        };
        write!(f, ":\n      expected {expected}\n      found    {found}")
    }
}

/// What was compared.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Objects, the loader included.
    pub objects: u64,
    /// Relocated words; a COPY relocation counts one for each eight bytes.
    pub words: u64,
    /// Of these, words that hold what an IFUNC resolver chose.
    pub ifuncs: u64,
    /// Of these, words that point into the loader and were compared by symbol name.
    pub loader_named: u64,
    /// Words that point into the loader and could only be compared as such.
    pub loader_unnamed: u64,
    /// Words compared by the kind of memory they point to, by kind.
    pub by_kind: BTreeMap<&'static str, u64>,
    /// Link maps that were compared.
    pub link_maps: u64,
}

impl AddAssign<&Counts> for Counts {
    fn add_assign(&mut self, other: &Counts) {
        self.objects += other.objects;
        self.words += other.words;
        self.ifuncs += other.ifuncs;
        self.loader_named += other.loader_named;
        self.loader_unnamed += other.loader_unnamed;
        self.link_maps += other.link_maps;
        for (kind, count) in &other.by_kind {
            *self.by_kind.entry(kind).or_default() += count;
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} objects, {} link maps, {} relocated words ({} chosen by IFUNC resolvers; {} into the \
             loader, by symbol; {} into the loader, no symbol",
            self.objects,
            self.link_maps,
            self.words,
            self.ifuncs,
            self.loader_named,
            self.loader_unnamed
        )?;
        for (kind, count) in &self.by_kind {
            write!(f, "; {count} into {kind}, by kind only")?;
        }
        f.write_str(")")
    }
}

/// The outcome of one comparison.
#[derive(Debug, Default)]
pub struct Report {
    /// What was compared.
    pub counts: Counts,
    /// What is not the same, nothing excepted.
    pub differences: Vec<Difference>,
}

/// Compares two processes at their entry points: under the system's loader, and under another.
pub fn stopped(expected: &Stopped, found: &Stopped, files: &Files) -> Result<Report, String> {
    let side = |process| Ok::<_, String>(Side { process, at: Snapshot::take(process, files)? });
    let mut comparison = Comparison {
        expected: side(expected)?,
        found: side(found)?,
        twins: Vec::new(),
        report: Report::default(),
    };
    comparison.pair_objects();
    comparison.start()?;
    comparison.objects()?;
    Ok(comparison.report)
}

/// Compares two processes that ended before their entry points: status and first line.
pub fn ended(expected: &Ended, found: &Ended) -> Report {
    let mut report = Report::default();
    let first_line = |ended: &Ended| String::from_utf8_lossy(ended.first_line()).into_owned();
    report.fact("status", &expected.status.to_string(), &found.status.to_string());
    report.fact("first line of stderr", &first_line(expected), &first_line(found));
    report
}

impl Report {
    fn fact<T: PartialEq + fmt::Debug>(&mut self, what: &'static str, expected: &T, found: &T) {
        if expected != found {
            let (expected, found) = (format!("{expected:?}"), format!("{found:?}"));
            self.differences.push(Difference::Fact { what, expected, found });
        }
    }

    /// Reports the first place where two lists part.
    fn lists(&mut self, what: &'static str, expected: &[String], found: &[String]) {
        let length = expected.len().max(found.len());
        if let Some(at) = (0..length).find(|&at| expected.get(at) != found.get(at)) {
            let entry = |list: &[String]| match list.get(at) {
                Some(entry) => format!("{entry:?} as entry {at} of {}", list.len()),
                None => format!("only {} entries", list.len()),
            };
            let (expected, found) = (entry(expected), entry(found));
            self.differences.push(Difference::Fact { what, expected, found });
        }
    }

    fn auxv(&mut self, expected: Vec<Aux>, mut found: Vec<Aux>) {
        for Aux { kind, value } in expected {
            let twin = found.iter().position(|other| other.kind == kind);
            let found = twin.map(|index| found.remove(index).value);
            if found.as_ref() != Some(&value) {
                let expected = Some(value);
                self.differences.push(Difference::Aux { kind, expected, found });
            }
        }
        for Aux { kind, value } in found {
            let (expected, found) = (None, Some(value));
            self.differences.push(Difference::Aux { kind, expected, found });
        }
    }
}

struct Side<'a> {
    process: &'a Stopped,
    at: Snapshot,
}

struct Comparison<'a> {
    expected: Side<'a>,
    found: Side<'a>,
    /// For each object of `expected`, the index of the same object in `found`.
    twins: Vec<Option<usize>>,
    report: Report,
}

enum Verdict {
    Same,
    SameKind(&'static str),
    LoaderNamed,
    LoaderUnnamed,
    Different,
}

impl Comparison<'_> {
    fn pair_objects(&mut self) {
        let (expected, found) = (&self.expected.at.objects, &self.found.at.objects);
        let lone = |object: &Object, expected| Difference::Mapped {
            object: object.name.clone(),
            expected,
        };
        for object in expected {
            let twin = found.iter().position(|other| other.name == object.name);
            self.twins.push(twin);
            if twin.is_none() {
                self.report.differences.push(lone(object, true));
            }
        }
        for (index, object) in found.iter().enumerate() {
            if !self.twins.contains(&Some(index)) {
                self.report.differences.push(lone(object, false));
            }
        }
    }

    /// Stack, registers and link map.
    fn start(&mut self) -> Result<(), String> {
        let (expected, found) = (&self.expected, &self.found);
        let old = stack::read(expected.process, &expected.at)?;
        let mut new = stack::read(found.process, &found.at)?;
        let report = &mut self.report;
        report.lists("argv", &strings(&old.arguments), &strings(&new.arguments));
        report.lists("environment", &strings(&old.environment), &strings(&new.environment));

        // AT_EXECFN of a copy names the copy.
        let path = |side: &Side| side.process.start.program.display().to_string();
        let (original, copy) = (path(expected), path(found));
        for aux in new.auxv.iter_mut().filter(|aux| aux.value == copy) {
            aux.value.clone_from(&original);
        }
        report.auxv(old.auxv, new.auxv);

        let (old, new) = (&expected.process.registers, &found.process.registers);
        report.fact("stack pointer modulo 16", &(old.rsp % 16), &(new.rsp % 16));
        report.fact("rdx, the finaliser, is not zero", &(old.rdx != 0), &(new.rdx != 0));

        let old = stack::link_map(expected.process, &expected.at)?;
        let new = stack::link_map(found.process, &found.at)?;
        if let (Some(old), Some(new)) = (&old, &new) {
            report.counts.link_maps += 1;
            report.lists("link map", old, new);
        } else {
            report.fact("DT_DEBUG leads to a link map", &old.is_some(), &new.is_some());
        }
        Ok(())
    }

    fn objects(&mut self) -> Result<(), String> {
        let twins = std::mem::take(&mut self.twins);
        let mut report = std::mem::take(&mut self.report);
        let mut ifuncs = HashSet::new();
        for object in &self.expected.at.objects {
            object.elf.collect_ifuncs(&mut ifuncs);
        }
        let pairs = twins.iter().enumerate().filter_map(|(index, twin)| Some((index, (*twin)?)));
        for (one, two) in pairs {
            let pair = Pair {
                expected: &self.expected,
                found: &self.found,
                twins: &twins,
                one: &self.expected.at.objects[one],
                two: &self.found.at.objects[two],
            };
            report.counts.objects += 1;
            pair.code(&mut report);
            if pair.one.name != Name::Loader {
                pair.permissions(&mut report);
                pair.words(&ifuncs, &mut report)?;
            }
        }
        self.report = report;
        Ok(())
    }
}

/// The same object in both processes.
struct Pair<'a> {
    expected: &'a Side<'a>,
    found: &'a Side<'a>,
    twins: &'a [Option<usize>],
    one: &'a Object,
    two: &'a Object,
}

impl Pair<'_> {
    fn code(&self, report: &mut Report) {
        let kilobytes = self.found.at.dirty_code(self.two);
        if kilobytes != 0 && self.expected.at.dirty_code(self.one) == 0 {
            let object = self.one.name.clone();
            report.differences.push(Difference::DirtyCode { object, kilobytes });
        }
    }

    fn permissions(&self, report: &mut Report) {
        let expected = self.expected.at.permissions(self.one);
        let found = self.found.at.permissions(self.two);
        if expected != found {
            let object = self.one.name.clone();
            let (expected, found) = (rights(&expected), rights(&found));
            report.differences.push(Difference::Permissions { object, expected, found });
        }
    }

    fn words(&self, ifuncs: &HashSet<&[u8]>, report: &mut Report) -> Result<(), String> {
        let elf = &self.one.elf;
        let chosen: Vec<bool> = (0..elf.symbol_count())
            .map(|index| elf.symbol_name(index as u32).is_some_and(|name| ifuncs.contains(name)))
            .collect();
        let mut one = Window::new(self.expected.process, self.one);
        let mut two = Window::new(self.found.process, self.two);
        for relocation in &elf.relocations {
            if relocation.kind == Kind::Unknown {
                let name = relocation_name(relocation.number);
                return Err(format!("{}: {name} is not known to the oracle", self.one.name));
            }
            let chosen = match relocation.kind {
                Kind::Irelative => true,
                Kind::Symbol => chosen.get(relocation.symbol as usize) == Some(&true),
                _ => false,
            };
            let mut at = relocation.target;
            let end = at.saturating_add(relocation.kind.size());
            while at < end {
                let size = if relocation.kind.size() == 4 { 4 } else { (end - at).min(8) };
                let (old, new) = (one.word(at, size)?, two.word(at, size)?);
                let count = &mut report.counts;
                count.words += 1;
                count.ifuncs += u64::from(chosen);
                match self.verdict(relocation, at, old, new) {
                    Verdict::Same => {}
                    Verdict::SameKind(kind) => *count.by_kind.entry(kind).or_default() += 1,
                    Verdict::LoaderNamed => count.loader_named += 1,
                    Verdict::LoaderUnnamed => count.loader_unnamed += 1,
                    Verdict::Different => {
                        report.differences.push(self.difference(relocation, at, old, new));
                    }
                }
                at += size;
            }
        }
        Ok(())
    }

    fn verdict(&self, relocation: &Relocation, at: u64, old: u64, new: u64) -> Verdict {
        // A relative word may point outside every mapping, or to the end of its own object.
        let (one, two) = (self.one.bias, self.two.bias);
        if relocation.kind == Kind::Relative && old.wrapping_sub(one) == new.wrapping_sub(two) {
            return Verdict::Same;
        }
        let (old, new) = self.places(relocation, at, old, new);
        match (old, new) {
            (Place::Object(i, old), Place::Object(j, new)) if self.twins[i] == Some(j) => {
                if self.expected.at.objects[i].name == Name::Loader {
                    self.in_loader(relocation, (i, old), (j, new))
                } else if old == new {
                    Verdict::Same
                } else {
                    Verdict::Different
                }
            }
            (Place::File(i, old), Place::File(j, new)) => {
                let path = |side: &Side, index: usize| side.at.mappings[index].path.clone();
                if old == new && path(self.expected, i) == path(self.found, j) {
                    Verdict::Same
                } else {
                    Verdict::Different
                }
            }
            (Place::Region(old), Place::Region(new)) if old == new => Verdict::SameKind(old),
            (Place::Vdso(old), Place::Vdso(new)) if old == new => Verdict::Same,
            (Place::Number(old), Place::Number(new)) if old == new => Verdict::Same,
            _ => Verdict::Different,
        }
    }

    fn places(&self, relocation: &Relocation, at: u64, old: u64, new: u64) -> (Place, Place) {
        let locate = |address: [u64; 2]| {
            (self.expected.at.locate(address[0]), self.found.at.locate(address[1]))
        };
        match relocation.kind {
            Kind::Number64 | Kind::Number32 => (Place::Number(old), Place::Number(new)),
            Kind::Distance32 | Kind::Distance64 => {
                let to = |bias: u64, distance: u64| {
                    let distance = match relocation.kind {
                        Kind::Distance32 => i64::from(distance as i32) as u64,
                        _ => distance,
                    };
                    bias.wrapping_add(at).wrapping_add(distance)
                };
                locate([to(self.one.bias, old), to(self.two.bias, new)])
            }
            _ => locate([old, new]),
        }
    }

    fn in_loader(&self, relocation: &Relocation, old: (usize, u64), new: (usize, u64)) -> Verdict {
        let Some(name) = self.one.elf.symbol_name(relocation.symbol) else {
            return Verdict::LoaderUnnamed;
        };
        let definition = |side: &Side, (index, value): (usize, u64)| {
            let elf = &side.at.objects[index].elf;
            let mut values = elf.definitions(name).peekable();
            values.peek()?;
            Some(values.any(|symbol| symbol.wrapping_add_signed(relocation.addend) == value))
        };
        match (definition(self.expected, old), definition(self.found, new)) {
            (Some(true), Some(true)) => Verdict::LoaderNamed,
            (Some(true), Some(false)) => Verdict::Different,
            _ => Verdict::LoaderUnnamed,
        }
    }

    fn difference(&self, relocation: &Relocation, at: u64, old: u64, new: u64) -> Difference {
        let (expected, found) = self.places(relocation, at, old, new);
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        Difference::Word {
            object: self.one.name.clone(),
            target: at,
            relocation: relocation.number,
            symbol: self.one.elf.symbol_name(relocation.symbol).map(text),
            variable: self.one.elf.name_at(at).map(text),
            expected: self.expected.at.show(expected),
            found: self.found.at.show(found),
        }
    }
}

/// Reads ascending words of one object with few system calls.
struct Window<'a> {
    process: &'a Stopped,
    object: &'a Object,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    const SIZE: u64 = 256 << 10;

    fn new(process: &'a Stopped, object: &'a Object) -> Window<'a> {
        Window { process, object, start: 0, bytes: Vec::new() }
    }

    /// `size` bytes, at most eight, as a number; `address` is before the load bias.
    fn word(&mut self, address: u64, size: u64) -> Result<u64, String> {
        let mut word = [0; 8];
        let at = address.wrapping_sub(self.start) as usize;
        let bytes = match self.bytes.get(at..at.saturating_add(size as usize)) {
            Some(bytes) => bytes,
            None => self.refill(address, size)?,
        };
        word[..bytes.len()].copy_from_slice(bytes);
        Ok(u64::from_le_bytes(word))
    }

    fn refill(&mut self, address: u64, size: u64) -> Result<&[u8], String> {
        let place = || format!("{}+{address:#x}", self.object.name);
        let end = address.checked_add(size).ok_or_else(place)?;
        let loads = &self.object.elf.loads;
        let load = loads
            .iter()
            .find(|load| load.start <= address && end <= load.end)
            .ok_or_else(|| format!("{}: a relocation outside all segments", place()))?;
        let length = (load.end - address).min(Self::SIZE) as usize;
        self.bytes.resize(length, 0);
        self.start = address;
        let there = self.object.bias.wrapping_add(address);
        self.process
            .read(there, &mut self.bytes)
            .map_err(|error| format!("{}+{address:#x}: {error}", self.object.name))?;
        Ok(&self.bytes[..size as usize])
    }
}

fn strings(list: &[Vec<u8>]) -> Vec<String> {
    list.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
}

fn rights(ranges: &[(u64, u64, [u8; 3])]) -> String {
    let one = |(start, end, rights): &(u64, u64, [u8; 3])| {
        format!("{start:#x}-{end:#x} {}", String::from_utf8_lossy(rights))
    };
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}
