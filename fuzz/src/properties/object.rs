//! All that an object hands out lies inside its file.

use std::sync::Arc;

use rld::addr::{Bias, Vaddr};
use rld::elf::Table;
use rld::elf::header::{Header, Kind, Reject};
use rld::elf::segment::{Access, Segments};
use rld::error::{Error, Report, Result};
use rld::image::Image;
use rld::object::{Mapped, Memory, Object, Role};

use super::inside;

/// Some load bias, high enough for sums to be noticed.
const BIAS: Bias = Bias(0x7fff_f000_0000);

const NAME: &[u8] = b"object";

/// The input is a file.
pub fn check(file: &[u8]) {
    match load(file, Role::Library) {
        Ok(object) => {
            check_object(&object, file, usize::MAX);
            super::evidence::check_object(&object);
            let object = Arc::new(object);
            super::lookup::check_objects(&[object.clone(), object.clone(), object], 256);
        }
        Err(error) => {
            let words = Report { program: b"fuzz", error: &error }.to_string();
            assert!(words.starts_with("fuzz: error while loading shared libraries: object: "));
        }
    }
}

/// Views a file as it would be mapped, and parses it.
///
/// # Errors
/// As those of the parts.
pub fn load(file: &[u8], role: Role) -> Result<Object<'_>> {
    let malformed = |malformed| Error::malformed(NAME, malformed);
    let header = Header::parse(file).map_err(|reject| match reject {
        Reject::Malformed(found) => malformed(found),
        Reject::Foreign(_) => Error::words(NAME, "for another machine"),
    })?;
    let table = usize::try_from(header.phoff)
        .ok()
        .and_then(|at| file.get(at..at.checked_add(header.phdr_bytes())?))
        .ok_or_else(|| Error::words(NAME, "file too short"))?;
    let segments = Segments::parse(Table::new(table), file.len() as u64).map_err(malformed)?;
    let parts = segments.loads.iter().map(|load| {
        let at = load.offset as usize;
        let readable = load.access.contains(Access::READ) && load.filesz != 0;
        // The parser has promised that the bytes are there.
        (*load, if readable { &file[at..at + load.filesz as usize] } else { &[] })
    });
    let image = Image::new(BIAS, parts);
    let phdr = image.address(segments.phdr.unwrap_or(Vaddr(header.phoff)));
    let mapped =
        Mapped { header, segments, image, phdr, identity: None, memory: Memory::default() };
    Object::parse(c"object".into(), role, mapped)
}

/// An object without anything.
pub fn blank(role: Role) -> Object<'static> {
    let header = Header { kind: Kind::Shared, entry: Vaddr(0), phoff: 0, phnum: 0 };
    let (segments, image) = (Segments::default(), Image::default());
    let mapped = Mapped {
        header,
        segments,
        image,
        phdr: rld::addr::Addr(0),
        identity: None,
        memory: Memory::default(),
    };
    Object::parse(c"object".into(), role, mapped).expect("nothing is wrong with nothing")
}

/// Asks a parsed object for everything, but for no more than `limit` of what there is per symbol.
pub fn check_object(object: &Object<'_>, file: &[u8], limit: usize) {
    super::segments::check_segments(&object.segments, file.len() as u64);
    let dynamic = &object.dynamic;
    let strings = [dynamic.soname, dynamic.rpath, dynamic.runpath].map(|at| object.string(at));
    assert!(strings.into_iter().flatten().chain(object.soname).all(|text| inside(text, file)));
    match object.needed_names() {
        Ok(names) => {
            assert_eq!(names.len(), dynamic.needed.len());
            assert!(names.iter().all(|name| inside(name.1, file)));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    for note in object.notes() {
        assert!(inside(note.owner, file) && inside(note.desc, file));
    }
    for table in object.tables() {
        let bytes = object.image.bytes(table.vaddr, table.size);
        assert!(bytes.is_some_and(|bytes| inside(bytes, file)), "{table:?}");
    }

    let exports = &object.exports;
    assert!(exports.count() <= exports.symbols.len());
    for index in 0..exports.versions.len() {
        assert!(inside(exports.versions.get(index).name, file));
    }
    let count = exports.count().min(limit);
    for (index, symbol) in (0..).zip(exports.symbols.slice(0, count).iter()) {
        assert!(exports.strings.get(symbol.name).is_none_or(|name| inside(name, file)));
        assert!(exports.wanted_version(index).is_none_or(|version| version.hash != 0));
    }
    let bytes = |at: Option<Vaddr>| object.image.tail(at?, u64::MAX);
    let strtab = object.image.area("DT_STRTAB", dynamic.strtab.vaddr, dynamic.strtab.size);
    let (verneed, verdef) = (bytes(dynamic.verneed), bytes(dynamic.verdef));
    super::versions::check_tables(verneed, verdef, strtab.unwrap_or_default());

    let tables = &object.relocations;
    assert_eq!(tables.rela.len() as u64, dynamic.rela.size / 24);
    assert_eq!(tables.plt.len() as u64, dynamic.jmprel.size / 24);
    assert_eq!(tables.relr.len() as u64, dynamic.relr.size / 8);
    assert_eq!(tables.rela.iter().take(limit).count(), tables.rela.len().min(limit));
}
