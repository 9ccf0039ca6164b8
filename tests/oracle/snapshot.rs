//! What lies where in a stopped process, in terms that do not depend on address randomisation.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::elf::{Elf, Load};
use crate::maps::Mapping;
use crate::process::Stopped;

const PAGE: u64 = 4096;

/// Parsed libraries, shared by all comparisons. Programs are parsed once each and not kept.
#[derive(Default)]
pub struct Files(Mutex<HashMap<PathBuf, Option<Arc<Elf>>>>);

impl Files {
    /// `None` for a file that is not ELF or cannot be read.
    fn library(&self, path: &Path) -> Option<Arc<Elf>> {
        let known = |files: &Files| Some(files.0.lock().ok()?.get(path)?.clone());
        if let Some(elf) = known(self) {
            return elf;
        }
        let elf = Files::once(path).ok().map(Arc::new);
        if let Ok(mut files) = self.0.lock() {
            files.insert(path.to_path_buf(), elf.clone());
        }
        elf
    }

    fn once(path: &Path) -> Result<Elf, String> {
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Elf::parse(&bytes).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// An object's identity, equal in both processes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// The program, wherever its file lies.
    Program,
    /// The system's loader or the one under test.
    Loader,
    /// Any other object: its path in the process's mappings.
    Library(PathBuf),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Program => f.write_str("<program>"),
            Name::Loader => f.write_str("<loader>"),
            Name::Library(path) => write!(f, "{}", path.display()),
        }
    }
}

/// One mapped ELF object.
pub struct Object {
    /// Its identity.
    pub name: Name,
    /// Its file.
    pub elf: Arc<Elf>,
    /// What is added to the addresses in its headers.
    pub bias: u64,
    /// First page.
    pub start: u64,
    /// End of the last page, anonymous ones included.
    pub end: u64,
}

/// Where an address points, or the number that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// An object, by its index in [`Snapshot::objects`], and the address before the load bias.
    Object(usize, u64),
    /// A file that is not ELF, by the index of its mapping, and the offset in it.
    File(usize, u64),
    /// The vDSO, and the offset in it.
    Vdso(u64),
    /// The stack, the heap or anonymous memory: its layout is nobody's promise.
    Region(&'static str),
    /// Nothing is mapped there.
    Number(u64),
}

/// Everything about a stopped process but the relocated words.
pub struct Snapshot {
    /// Mapped objects, by ascending address.
    pub objects: Vec<Object>,
    /// All mappings, by ascending address.
    pub mappings: Vec<Mapping>,
    /// Start, end and what is there: an object, or what of a mapping lies in no object.
    regions: Vec<(u64, u64, Region)>,
}

#[derive(Clone, Copy)]
enum Region {
    Object(usize),
    Mapping(usize),
}

impl Snapshot {
    /// Looks at a stopped process.
    pub fn take(process: &Stopped, files: &Files) -> Result<Snapshot, String> {
        let mappings = process.mappings().map_err(|error| format!("smaps: {error}"))?;
        let holding = |address: u64| {
            let found = mappings.iter().find(|map| (map.start..map.end).contains(&address));
            found.map(|map| map.path.as_slice()).ok_or("an address of the start is not mapped")
        };
        let (loader, program) = (holding(process.loader_at)?, holding(process.entry)?);
        let mut objects: Vec<Object> = Vec::new();
        let mut seen: Vec<&[u8]> = Vec::new();
        for mapping in mappings.iter().filter(|mapping| mapping.is_file()) {
            if seen.contains(&mapping.path.as_slice()) {
                continue;
            }
            seen.push(&mapping.path);
            let (name, elf) = if mapping.path == loader {
                // A bind mount shows the path of the system's loader: read the file behind it.
                let elf = files.library(&process.start.loader);
                (Name::Loader, elf.ok_or("the loader is not an ELF file")?)
            } else if mapping.path == program {
                (Name::Program, Arc::new(Files::once(&process.start.program)?))
            } else {
                let path = Path::new(std::ffi::OsStr::from_bytes(&mapping.path));
                let Some(elf) = files.library(path) else {
                    continue;
                };
                (Name::Library(path.to_path_buf()), elf)
            };
            objects.extend(place(name, elf, &mapping.path, &mappings));
        }
        objects.sort_by_key(|object| object.start);
        let of_objects = objects
            .iter()
            .enumerate()
            .map(|(index, object)| (object.start, object.end, Region::Object(index)));
        let mut regions: Vec<_> = of_objects.collect();
        // The kernel joins anonymous neighbours: a mapping may reach over an object's end.
        for (index, mapping) in mappings.iter().enumerate() {
            let mut start = mapping.start;
            for object in &objects {
                let free = object.start.min(mapping.end);
                if start < free {
                    regions.push((start, free, Region::Mapping(index)));
                }
                start = start.max(object.end);
            }
            if start < mapping.end {
                regions.push((start, mapping.end, Region::Mapping(index)));
            }
        }
        regions.sort_by_key(|region| region.0);
        Ok(Snapshot { objects, mappings, regions })
    }

    /// What an address points to.
    pub fn locate(&self, address: u64) -> Place {
        let after = self.regions.partition_point(|region| region.0 <= address);
        let region = after.checked_sub(1).and_then(|index| self.regions.get(index));
        match region {
            Some(&(_, end, Region::Object(index))) if address < end => {
                Place::Object(index, address.wrapping_sub(self.objects[index].bias))
            }
            Some(&(_, end, Region::Mapping(index))) if address < end => {
                let mapping = &self.mappings[index];
                let inside = address - mapping.start;
                match mapping.path.as_slice() {
                    b"[vdso]" => Place::Vdso(inside),
                    b"[stack]" => Place::Region("stack"),
                    b"[heap]" => Place::Region("heap"),
                    _ if mapping.is_file() => Place::File(index, inside + mapping.offset),
                    _ => Place::Region("anonymous memory"),
                }
            }
            _ => Place::Number(address),
        }
    }

    /// Writes a place with names instead of indices.
    pub fn show(&self, place: Place) -> String {
        match place {
            Place::Object(index, offset) => format!("{}+{offset:#x}", self.objects[index].name),
            Place::File(index, offset) => {
                let path = String::from_utf8_lossy(&self.mappings[index].path);
                format!("{path}, file offset {offset:#x}")
            }
            Place::Vdso(offset) => format!("[vdso]+{offset:#x}"),
            Place::Region(kind) => format!("[{kind}]"),
            Place::Number(number) => format!("number {number:#x}"),
        }
    }

    /// Access rights over an object's pages: start and end before the load bias, and `rwx`.
    /// Neighbours with equal rights are joined; a hole and an inaccessible page are the same.
    pub fn permissions(&self, object: &Object) -> Vec<(u64, u64, [u8; 3])> {
        let mut ranges: Vec<(u64, u64, [u8; 3])> = Vec::new();
        for mapping in &self.mappings {
            let (start, end) = (mapping.start.max(object.start), mapping.end.min(object.end));
            if start >= end || mapping.is_inaccessible() {
                continue;
            }
            let [r, w, x, _] = mapping.permissions;
            let before = |address: u64| address.wrapping_sub(object.bias);
            match ranges.last_mut() {
                Some(last) if last.1 == before(start) && last.2 == [r, w, x] => {
                    last.1 = before(end);
                }
                _ => ranges.push((before(start), before(end), [r, w, x])),
            }
        }
        ranges
    }

    /// Kilobytes of an object's code that differ from its file.
    pub fn dirty_code(&self, object: &Object) -> u64 {
        let code = self.mappings.iter().filter(|mapping| {
            mapping.is_executable()
                && mapping.is_file()
                && object.start <= mapping.start
                && mapping.end <= object.end
        });
        code.map(|mapping| mapping.anonymous).sum()
    }
}

/// Finds the load bias from the mapping that shows the lowest segment. A library whose other
/// segments are not where that bias puts them is no object, but an ELF file mapped as data.
fn place(name: Name, elf: Arc<Elf>, path: &[u8], mappings: &[Mapping]) -> Option<Object> {
    let first = elf.first_load()?;
    let file_page = first.offset & !(PAGE - 1);
    let own = || mappings.iter().filter(|mapping| mapping.path == path);
    let lowest = own().find(|mapping| mapping.offset == file_page)?;
    let bias = lowest.start.wrapping_sub(first.start & !(PAGE - 1));
    let end = bias.wrapping_add(elf.end()).checked_next_multiple_of(PAGE)?;
    let in_place = |load: &Load| {
        let start = bias.wrapping_add(load.start);
        own().any(|mapping| (mapping.start..mapping.end).contains(&start))
    };
    let from_file = |load: &&Load| load.start < load.file_end;
    if matches!(name, Name::Library(_)) && !elf.loads.iter().filter(from_file).all(in_place) {
        return None;
    }
    Some(Object { name, elf, bias, start: lowest.start, end })
}
