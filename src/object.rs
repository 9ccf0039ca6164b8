//! One object of the link map: what its file says, parsed once and immutable from then on.

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::slice;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::addr::{Addr, ObjectId, Vaddr};
use crate::elf::Malformed;
use crate::elf::dynamic::{Area, Dependency, Dynamic, Flags};
use crate::elf::hash::{Gnu, HashTable, Sysv};
use crate::elf::header::{Header, Kind};
use crate::elf::note::{Note, notes};
use crate::elf::relocation::Relocation;
use crate::elf::segment::{Access, Segment, Segments, Span};
use crate::elf::strtab::Strtab;
use crate::elf::symbol::Symbol;
use crate::elf::table::Table;
use crate::elf::version::{Version, Versions, Versym};
use crate::error::{Error, Result};
use crate::image::{Image, Mapping};
use crate::sys::Identity;
use crate::trace::{Event, Label};

/// What an object is to the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The program itself.
    Program,
    /// A library, preloaded or needed.
    Library,
    /// The kernel's vDSO.
    Vdso,
    /// rld.
    Loader,
    /// A C library that is a loader itself, as musl's is: it relocates itself, and stands for the names of all its
    /// parts.
    Libc,
    /// A library that was not found: it has a name and nothing else.
    Absent,
}

impl Role {
    /// Whether the object relocates and initialises itself.
    #[must_use]
    pub const fn starts_itself(self) -> bool {
        matches!(self, Self::Loader | Self::Libc)
    }
}

/// What the symbols of an object are found through.
#[derive(Clone, Default)]
pub struct Exports<'a> {
    /// `DT_GNU_HASH` or `DT_HASH`.
    pub hash: HashTable<'a>,
    /// `DT_SYMTAB`, to the end of its segment.
    pub symbols: Table<'a, Symbol>,
    /// `DT_STRTAB`.
    pub strings: Strtab<'a>,
    /// `DT_VERSYM`; empty when the object has no versions.
    pub versyms: Table<'a, u16>,
    /// Version names by index.
    pub versions: Versions<'a>,
    /// `DT_VERNEED`.
    pub verneed: Option<&'a [u8]>,
    /// `DT_VERDEF`.
    pub verdef: Option<&'a [u8]>,
}

/// The symbols of an object without the way to find them: what tells whether a candidate is the one.
#[derive(Clone, Copy)]
pub struct Names<'m, 'a> {
    /// `DT_SYMTAB`.
    pub symbols: Table<'a, Symbol>,
    /// `DT_STRTAB`.
    pub strings: Strtab<'a>,
    /// `DT_VERSYM`.
    pub versyms: Table<'a, u16>,
    /// Version names by index.
    pub versions: &'m Versions<'a>,
}

impl<'a> Exports<'a> {
    /// Its names alone.
    #[inline]
    #[must_use]
    pub const fn names(&self) -> Names<'_, 'a> {
        Names {
            symbols: self.symbols,
            strings: self.strings,
            versyms: self.versyms,
            versions: &self.versions,
        }
    }

    /// The version that a reference of this object through symbol `index` asks for; `None` when it asks for none.
    #[inline(always)]
    #[must_use]
    pub fn wanted_version(&self, index: u32) -> Option<Version<'a>> {
        let versym = Versym(self.versyms.get(index as usize)?);
        let version = self.versions.get(versym.index());
        (version.hash != 0).then_some(version)
    }

    /// Lets versions not count, as under musl. What is not the default version of its name stays out of sight: for such
    /// a definition the table of indices is kept, without names.
    pub fn forget_versions(&mut self) {
        (self.versions, self.verneed, self.verdef) = (Versions::default(), None, None);
        if !self.versyms.iter().any(|versym| Versym(versym).is_hidden()) {
            self.versyms = Table::default();
        }
    }

    /// How many symbols the hash table accounts for.
    #[must_use]
    pub fn count(&self) -> usize {
        match self.hash {
            HashTable::None => 0,
            HashTable::Gnu(table) => table.first as usize + table.covered(),
            HashTable::Sysv(table) => table.symbols(),
        }
        .min(self.symbols.len())
    }
}

/// The relocation tables of an object.
#[derive(Clone, Copy, Default)]
pub struct Relocations<'a> {
    /// `DT_RELR`.
    pub relr: Table<'a, u64>,
    /// `DT_RELA`.
    pub rela: Table<'a, Relocation>,
    /// `DT_JMPREL`.
    pub plt: Table<'a, Relocation>,
    /// The writable segment that holds the words of the PLT, as DT_PLTGOT says.
    pub plt_words: Span,
}

/// The object that asked for another. It may be unloaded before the other is, which is all that ever changes here.
#[derive(Debug)]
pub struct Requester(AtomicU32);

impl Requester {
    const NONE: u32 = u32::MAX;

    /// Its id; `None` for what was asked for by the user, or by an object that is gone.
    #[must_use]
    pub fn get(&self) -> Option<ObjectId> {
        Some(ObjectId(self.0.load(Ordering::Relaxed))).filter(|id| id.0 != Self::NONE)
    }

    /// Sets or forgets it.
    pub fn set(&self, id: Option<ObjectId>) {
        self.0.store(id.map_or(Self::NONE, |id| id.0), Ordering::Relaxed);
    }
}

impl Default for Requester {
    fn default() -> Self {
        Self(AtomicU32::new(Self::NONE))
    }
}

/// One object.
pub struct Object<'a> {
    /// Its path, as it was found; empty for the program, as ld.so has it.
    pub name: CString,
    /// Names under which it was asked for.
    pub aliases: Vec<Vec<u8>>,
    /// Its directory, where its path is relative to a directory that may change.
    absolute_directory: Option<Vec<u8>>,
    /// What it is to the process.
    pub role: Role,
    /// Its namespace; rld's own is the first, though it may be a member of others.
    pub space: usize,
    /// Device and inode; none for what was not opened here.
    pub identity: Option<Identity>,
    /// The object on whose behalf it was loaded, while that is there.
    pub loader: Requester,
    /// What it asks for, resolved, in order.
    pub needed: Vec<ObjectId>,
    /// Those of them whose filter it is.
    pub filtees: Vec<ObjectId>,
    /// Its bytes.
    pub image: Image<'a>,
    /// Its program headers.
    pub segments: Box<Segments>,
    /// Where the program headers are in memory, and how many.
    pub phdr: Addr,
    /// `e_phnum`.
    pub phnum: u16,
    /// `ET_EXEC` or `ET_DYN`.
    pub kind: Kind,
    /// `e_entry`, biased.
    pub entry: Addr,
    /// Its dynamic section.
    pub dynamic: Dynamic,
    /// `DT_SONAME`.
    pub soname: Option<&'a [u8]>,
    /// Its symbols.
    pub exports: Exports<'a>,
    /// Its relocations.
    pub relocations: Relocations<'a>,
    /// The instruction set levels it needs (`GNU_PROPERTY_X86_ISA_1_NEEDED`).
    pub isa_needed: u32,
    /// Its memory, if rld has mapped it.
    memory: Memory,
}

/// What an object owns: it goes with the object.
#[derive(Default, Debug)]
pub struct Memory {
    /// Its segments.
    pub mapping: Option<Mapping>,
    /// A copy of its program headers, where no segment holds them.
    pub headers: Vec<u8>,
}

/// An object whose headers were read and whose bytes can be seen, before its dynamic section is read.
pub struct Mapped<'a> {
    /// Its ELF header.
    pub header: Header,
    /// Its program headers.
    pub segments: Segments,
    /// Its bytes.
    pub image: Image<'a>,
    /// Where its program headers are in memory.
    pub phdr: Addr,
    /// Device and inode.
    pub identity: Option<Identity>,
    /// What the object will own.
    pub memory: Memory,
}

impl<'a> Object<'a> {
    /// Stands for a library that was not found.
    #[must_use]
    pub fn absent(name: &[u8]) -> Self {
        Self {
            name: CString::new(name).unwrap_or_default(),
            aliases: Vec::new(),
            absolute_directory: None,
            role: Role::Absent,
            space: 0,
            identity: None,
            loader: Requester::default(),
            needed: Vec::new(),
            filtees: Vec::new(),
            image: Image::default(),
            segments: Box::default(),
            phdr: Addr(0),
            phnum: 0,
            kind: Kind::Shared,
            entry: Addr(0),
            dynamic: Dynamic::default(),
            soname: None,
            exports: Exports::default(),
            relocations: Relocations::default(),
            isa_needed: 0,
            memory: Memory::default(),
        }
    }

    /// The same as [`Object::parse`], in shared memory. An object by value takes a kilobyte of the stack wherever it is
    /// moved, and a thread may have little of that: it stays in a frame below which nothing is parsed.
    ///
    /// # Errors
    /// As for [`Object::parse`].
    #[inline(never)]
    pub fn parse_shared(name: CString, role: Role, mapped: Box<Mapped<'a>>) -> Result<Arc<Self>> {
        let parts = Parts::of(&name, &mapped)?;
        Ok(Self::assemble_shared(name, role, mapped, parts))
    }

    #[inline(never)]
    fn assemble_shared(
        name: CString,
        role: Role,
        mapped: Box<Mapped<'a>>,
        parts: Box<Parts<'a>>,
    ) -> Arc<Self> {
        Arc::new(Self::assemble(name, role, *mapped, *parts))
    }

    /// Reads the dynamic section and all that it points to.
    ///
    /// # Errors
    /// The first defect found, with the structure that shows it.
    pub fn parse(name: CString, role: Role, mapped: Mapped<'a>) -> Result<Self> {
        let parts = Parts::of(&name, &mapped)?;
        Ok(Self::assemble(name, role, mapped, *parts))
    }

    #[inline(always)]
    fn assemble(name: CString, role: Role, mapped: Mapped<'a>, parts: Parts<'a>) -> Self {
        let Mapped { header, segments, image, phdr, identity, memory } = mapped;
        Self {
            name,
            aliases: Vec::new(),
            absolute_directory: None,
            role,
            space: 0,
            identity,
            loader: Requester::default(),
            needed: Vec::new(),
            filtees: Vec::new(),
            phdr,
            phnum: header.phnum,
            kind: header.kind,
            entry: image.address(header.entry),
            soname: parts.soname,
            exports: parts.exports,
            relocations: parts.relocations,
            isa_needed: parts.isa_needed,
            dynamic: parts.dynamic,
            image,
            segments: Box::new(segments),
            memory,
        }
    }

    /// The same once more, with nothing resolved. The memory stays this one's.
    ///
    /// # Errors
    /// As for [`Object::parse`].
    pub fn again(&self) -> Result<Self> {
        let Self { kind, phnum, phdr, identity, .. } = *self;
        let header = Header { kind, entry: self.image.bias.remove(self.entry), phoff: 0, phnum };
        let (segments, image) = ((*self.segments).clone(), self.image.clone());
        let memory = Memory::default();
        let mapped = Mapped { header, segments, image, phdr, identity, memory };
        let mut again = Self::parse(self.name.clone(), self.role, mapped)?;
        again.absolute_directory = self.absolute_directory.clone();
        Ok(again)
    }

    /// Gives the object up, but for its memory.
    #[must_use]
    pub fn into_memory(self) -> Memory {
        self.memory
    }

    /// The object's name for messages: its path, or `program` where it is the program.
    #[must_use]
    pub fn display_name<'n>(&'n self, program: &'n [u8]) -> &'n [u8] {
        match self.name.to_bytes() {
            b"" => program,
            name => name,
        }
    }

    /// The object as events name it.
    #[must_use]
    pub fn label(&self) -> Label<'_> {
        Label { name: self.name.to_bytes(), space: self.space }
    }

    /// Says where it was mapped, which began at a time.
    #[must_use]
    pub fn mapped(&self, since: u64) -> Event<'_> {
        let (start, _) = self.segments.extent();
        let end = self.segments.loads.last().map_or(start, Segment::end);
        Event::MapEnds {
            object: self.label(),
            dynamic: self.segments.dynamic.map_or(Addr(0), |span| self.image.address(span.vaddr)),
            base: Addr(self.image.bias.0),
            start: self.image.address(Vaddr(start)),
            size: end.wrapping_sub(start),
            entry: self.entry,
            phdr: self.phdr,
            phnum: self.phnum,
            since,
        }
    }

    /// Says where the kernel has mapped it.
    #[must_use]
    pub fn found(&self) -> Event<'_> {
        let (start, end) = self.segments.extent();
        let size = end.wrapping_sub(start);
        Event::Found { object: self.label(), start: self.image.address(Vaddr(start)), size }
    }

    /// Says that its words are written, which began at a time.
    #[must_use]
    pub fn relocated(&self, lazy: bool, since: u64) -> Event<'_> {
        let Relocations { rela, relr, plt, .. } = &self.relocations;
        let [rela, relr, plt] = [rela.len(), relr.len(), plt.len()].map(|length| length as u64);
        Event::RelocationEnds { object: self.label(), lazy, rela, relr, plt, since }
    }

    /// Where one of its symbols is in the process.
    #[inline]
    #[must_use]
    pub fn address_of(&self, symbol: &Symbol) -> Addr {
        symbol.address(self.image.bias)
    }

    /// An IFUNC resolver of its own must be its code.
    ///
    /// # Errors
    /// It is not.
    pub fn check_resolver(&self, resolver: Addr, name: &[u8]) -> Result<()> {
        if self.image.is_code(resolver) {
            return Ok(());
        }
        let words = "IFUNC resolver outside its object's code";
        let malformed = Malformed::new(words, "st_value", self.image.bias.remove(resolver).0);
        Err(Error::malformed(name, malformed))
    }

    /// The directory it lies in, which `$ORIGIN` means in its strings.
    #[must_use]
    pub fn directory(&self) -> &[u8] {
        self.absolute_directory.as_deref().unwrap_or_else(|| dirname(self.name.to_bytes()))
    }

    /// Takes the name away, as the program's is in the list of objects; its directory stays known.
    pub fn become_nameless(&mut self) {
        self.absolute_directory = Some(self.directory().to_vec());
        self.name = CString::default();
    }

    /// Fixes what its relative path starts from.
    pub fn set_relative_to(&mut self, current: &[u8]) {
        let relative = dirname(self.name.to_bytes());
        self.absolute_directory = Some([current, b"/", relative].concat());
    }

    /// The path of the loader that it names, from its PT_INTERP.
    #[must_use]
    pub fn interpreter(&self) -> Option<&'a CStr> {
        let interp = self.segments.interp?;
        CStr::from_bytes_until_nul(self.image.bytes(interp.vaddr, interp.filesz)?).ok()
    }

    /// The names that it asks for, in order.
    ///
    /// # Errors
    /// When one lies outside the string table.
    pub fn needed_names(&self) -> Result<Vec<(Dependency, &'a [u8])>> {
        let mut names = Vec::with_capacity(self.dynamic.needed.len());
        for &(how, offset) in &self.dynamic.needed {
            let name = self.exports.strings.name(offset).ok_or_else(|| {
                let words = "invalid string table offset";
                let malformed = Malformed::new(words, "DT_NEEDED", offset.into());
                Error::malformed(self.name.to_bytes(), malformed)
            })?;
            names.push((how, name));
        }
        Ok(names)
    }

    /// The string of `DT_RPATH` or `DT_RUNPATH`, if it lies in the string table.
    #[must_use]
    pub fn string(&self, offset: Option<u32>) -> Option<&'a [u8]> {
        self.exports.strings.get(offset?)
    }

    /// The words of the dynamic section that hold addresses, if it lies in memory that may be written: ld.so adds the
    /// load bias to them, and programs have come to read them so (contract 8.3).
    pub fn dynamic_addresses(&self) -> impl Iterator<Item = Addr> {
        let section = self.segments.dynamic.filter(|_| self.relocates_dynamic());
        section.into_iter().flat_map(|section| {
            let start = self.image.address(section.vaddr).0;
            self.dynamic.address_positions().map(move |at| Addr(start + u64::from(at) * 16 + 8))
        })
    }

    /// Whether the addresses in the dynamic section are relocated.
    #[must_use]
    pub fn relocates_dynamic(&self) -> bool {
        let is_ours = matches!(self.role, Role::Program | Role::Library);
        let section = self.segments.dynamic;
        is_ours && section.is_some_and(|section| self.image.is_writable(section.vaddr))
    }

    /// The notes of the object.
    pub fn notes(&self) -> impl Iterator<Item = Note<'a>> {
        notes_in(&self.image, &self.segments.notes)
    }

    /// The tables that rld keeps as slices, which relocation must leave alone, as far as it could reach them at all.
    #[must_use]
    pub fn tables(&self) -> Vec<Span> {
        let dynamic = &self.dynamic;
        let sized = [dynamic.strtab, dynamic.rela, dynamic.jmprel, dynamic.relr];
        let sized = sized.into_iter().map(|area| Span { vaddr: area.vaddr, size: area.size });
        let unsized_tables = dynamic.unsized_tables().map(|vaddr| {
            let end = end_of_table(&self.image, &self.segments, dynamic, vaddr);
            let size = self.image.tail(vaddr, end).map_or(0, |table| table.len() as u64);
            Span { vaddr, size }
        });
        let reachable =
            |table: &Span| table.size != 0 && is_open(&self.image, dynamic, table.vaddr);
        sized.chain(unsized_tables).filter(reachable).collect()
    }
}

/// Whether relocation may write into the segment that holds `at`.
fn is_open(image: &Image<'_>, dynamic: &Dynamic, at: Vaddr) -> bool {
    dynamic.flags.contains(Flags::TEXTREL) || image.is_writable(at)
}

/// Where a table ends at the latest whose size is not stated: with its segment; and where relocation may write, before
/// the next known place.
fn end_of_table(image: &Image<'_>, segments: &Segments, dynamic: &Dynamic, at: Vaddr) -> u64 {
    if !is_open(image, dynamic, at) {
        return u64::MAX;
    }
    let places = [
        Some(dynamic.strtab.vaddr),
        Some(dynamic.rela.vaddr),
        Some(dynamic.jmprel.vaddr),
        Some(dynamic.relr.vaddr),
        dynamic.pltgot,
        dynamic.init,
        segments.dynamic.map(|span| span.vaddr),
        segments.relro.map(|span| span.vaddr),
        segments.interp.map(|segment| segment.vaddr),
        Some(dynamic.init_array.vaddr),
        Some(dynamic.fini_array.vaddr),
    ];
    let places = places.into_iter().flatten().chain(dynamic.unsized_tables());
    let behind = places.map(|place| place.0).filter(|&next| next > at.0);
    behind.min().unwrap_or(u64::MAX)
}

/// What stands before the last slash of a path; empty where there is none.
#[must_use]
pub fn dirname(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(0) => b"/",
        Some(at) => path.get(..at).unwrap_or_default(),
        None => b"",
    }
}

struct Parts<'a> {
    dynamic: Dynamic,
    soname: Option<&'a [u8]>,
    exports: Exports<'a>,
    relocations: Relocations<'a>,
    isa_needed: u32,
}

impl<'a> Parts<'a> {
    fn of(name: &CStr, mapped: &Mapped<'a>) -> Result<Box<Self>> {
        Self::parse(&mapped.image, &mapped.segments)
            .map_err(|malformed| Error::malformed(name.to_bytes(), malformed))
    }

    #[inline(never)]
    fn parse(image: &Image<'a>, segments: &Segments) -> core::result::Result<Box<Self>, Malformed> {
        let dynamic = match segments.dynamic {
            Some(span) => {
                Dynamic::parse(Table::new(image.area("PT_DYNAMIC", span.vaddr, span.size)?))?
            }
            None => Dynamic::default(),
        };
        check_functions(&dynamic, segments)?;
        let area = |what, area: Area| image.area(what, area.vaddr, area.size);
        let rest =
            |what, at: Vaddr| image.rest(what, at, end_of_table(image, segments, &dynamic, at));
        let optional = |what, at: Option<Vaddr>| at.map(|at| rest(what, at)).transpose();

        let strings = Strtab::new(area("DT_STRTAB", dynamic.strtab)?);
        let verneed = optional("DT_VERNEED", dynamic.verneed)?;
        let verdef = optional("DT_VERDEF", dynamic.verdef)?;
        let hash = match (dynamic.gnu_hash, dynamic.hash) {
            (Some(at), _) => HashTable::Gnu(Gnu::parse(rest("DT_GNU_HASH", at)?)?),
            (None, Some(at)) => HashTable::Sysv(Sysv::parse(rest("DT_HASH", at)?)?),
            (None, None) => HashTable::None,
        };
        let exports = Exports {
            hash,
            symbols: Table::new(optional("DT_SYMTAB", dynamic.symtab)?.unwrap_or_default()),
            strings,
            versyms: Table::new(optional("DT_VERSYM", dynamic.versym)?.unwrap_or_default()),
            versions: Versions::parse(verneed, verdef, strings)?,
            verneed,
            verdef,
        };
        let is_plt = |segment: &&Segment| {
            let holds = |at: Vaddr| segment.access.contains(Access::WRITE) && segment.holds(at, 1);
            dynamic.pltgot.is_some_and(holds)
        };
        let plt_words = segments
            .loads
            .iter()
            .find(is_plt)
            .map_or(Span::default(), |segment| Span { vaddr: segment.vaddr, size: segment.memsz });
        let relocations = Relocations {
            plt_words,
            relr: Table::new(area("DT_RELR", dynamic.relr)?),
            rela: Table::new(area("DT_RELA", dynamic.rela)?),
            plt: Table::new(area("DT_JMPREL", dynamic.jmprel)?),
        };
        let soname = dynamic.soname.and_then(|offset| strings.get(offset));
        let properties = segments.property.as_ref().map_or(&*segments.notes, slice::from_ref);
        let isa_needed = crate::elf::note::isa_needed(notes_in(image, properties));
        Ok(Box::new(Self { dynamic, soname, exports, relocations, isa_needed }))
    }
}

/// Initialisers and finalisers must be code of the object, and their arrays its memory.
fn check_functions(dynamic: &Dynamic, segments: &Segments) -> core::result::Result<(), Malformed> {
    let words = "initialiser or finaliser outside the object";
    for (structure, function) in [("DT_INIT", dynamic.init), ("DT_FINI", dynamic.fini)] {
        let is_code = |vaddr: Vaddr| {
            segments
                .loads
                .iter()
                .any(|load| load.access.contains(Access::EXECUTE) && load.holds(vaddr, 1))
        };
        if let Some(vaddr) = function.filter(|&vaddr| !is_code(vaddr)) {
            return Err(Malformed::new(words, structure, vaddr.0));
        }
    }
    for (structure, array) in [
        ("DT_PREINIT_ARRAY", dynamic.preinit_array),
        ("DT_INIT_ARRAY", dynamic.init_array),
        ("DT_FINI_ARRAY", dynamic.fini_array),
    ] {
        let inside = segments.loads.iter().any(|load| load.holds(array.vaddr, array.size));
        if array.size != 0 && !inside {
            return Err(Malformed::new(words, structure, array.vaddr.0));
        }
    }
    Ok(())
}

fn notes_in<'a>(
    image: &Image<'a>,
    segments: &[Segment],
) -> impl Iterator<Item = Note<'a>> + use<'a> {
    let bytes = |note: &Segment| Some((image.bytes(note.vaddr, note.filesz)?, note.align));
    let found: Vec<_> = segments.iter().filter_map(bytes).collect();
    found.into_iter().flat_map(|(bytes, align)| notes(bytes, align))
}

/// The definition of a symbol: which object, and the symbol itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Definition {
    /// The object that defines it.
    pub object: ObjectId,
    /// The symbol's index in that object's symbol table.
    pub index: u32,
    /// The symbol.
    pub symbol: Symbol,
}
