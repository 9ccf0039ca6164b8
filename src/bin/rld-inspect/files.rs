//! The file system as the resolver sees it: files are mapped read-only, whole, and stay mapped until the tool ends.
//!
//! # Safety
//!
//! A mapping is private, read-only and never unmapped, so slices of it live as long as the process. Another process may
//! write to the file meanwhile. Nothing here draws a conclusion from one read and relies on it for a second without a
//! check of its own: file contents are decoded by value, through bounds that do not come from the file. A file that
//! shrinks ends the tool with SIGBUS.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use log::debug;
use memmap2::Mmap;
use rld::addr::{Addr, Bias};
use rld::cache::{self, Cache};
use rld::elf::header::{Foreign, Header, Kind, Reject};
use rld::elf::segment::{Segment, Segments};
use rld::elf::table::Table;
use rld::errno::Errno;
use rld::error::{Error, Result};
use rld::image::Image;
use rld::linkmap::Source;
use rld::object::{Mapped, Memory};
use rld::search::{Files, Origin, Refusal, Unsuitable};
use rld::sys::Identity;
use rld::text::Text;

use super::root::{Root, path};

/// Where the first object would be; each further one starts a [`STRIDE`] above, so that all addresses differ.
const FIRST_BIAS: u64 = 0x1_0000_0000_0000;
/// As far as an object can reach.
const STRIDE: u64 = rld::elf::segment::USER_END;

/// An opened file that begins like an object for this machine.
#[derive(Clone, Copy)]
pub struct OpenFile {
    bytes: &'static [u8],
    header: Header,
    identity: Identity,
    mode: u32,
}

impl OpenFile {
    /// The program headers; those that lie outside the file are missing.
    pub fn headers(&self) -> Table<'static, Segment> {
        let start = usize::try_from(self.header.phoff).unwrap_or(usize::MAX);
        let end = start.saturating_add(self.header.phdr_bytes());
        Table::new(self.bytes.get(start..end).unwrap_or_default())
    }

    /// Whether it is the same file, or one with the same contents.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.identity == other.identity || self.bytes == other.bytes
    }

    /// What a program header takes from the file, if the file has it.
    pub fn contents(&self, segment: &Segment) -> Option<&'static [u8]> {
        let start = usize::try_from(segment.offset).ok()?;
        let end = start.checked_add(usize::try_from(segment.filesz).ok()?)?;
        self.bytes.get(start..end)
    }
}

type Opened = core::result::Result<OpenFile, Refusal<Error>>;

/// The file system below a root. What was once learned about a path is remembered, so that many programs can be looked
/// at.
#[derive(Default)]
pub struct Disk {
    root: Root,
    /// How many objects have a place in the address space.
    objects: u64,
    opened: HashMap<CString, Opened>,
    directories: HashMap<CString, bool>,
    /// The outer level says whether it was looked for.
    cache: Option<Option<Cache<'static>>>,
}

impl Disk {
    /// The file system below `root`.
    pub fn new(root: Root) -> Self {
        Self { root, ..Self::default() }
    }

    /// Begins with an empty address space.
    pub fn begin(&mut self) {
        self.objects = 0;
    }

    /// Reads a small file whole; empty if there is none.
    pub fn read(&self, file: &Path) -> Vec<u8> {
        self.root.locate(file).and_then(std::fs::read).unwrap_or_default()
    }

    /// The path of an existing file without links in it.
    pub fn canonicalize(&self, file: &Path) -> io::Result<Vec<u8>> {
        self.root.canonicalize(file).map(|path| path.into_os_string().into_vec())
    }

    /// What the file system says about a file.
    pub fn metadata(&self, file: &Path) -> io::Result<Metadata> {
        self.root.locate(file).and_then(std::fs::metadata)
    }

    /// Opens the file that a user has named.
    pub fn open_named(&mut self, path: &CStr) -> Result<OpenFile> {
        self.open(path).map_err(|refusal| match refusal {
            Refusal::Absent(errno) => Error::system(path.to_bytes(), "cannot open file", errno),
            Refusal::Unsuitable(Unsuitable::WrongClass) => {
                Error::words(path.to_bytes(), "wrong ELF class: ELFCLASS32")
            }
            Refusal::Unsuitable(Unsuitable::WrongMachine) => {
                Error::words(path.to_bytes(), "ELF file for another processor")
            }
            Refusal::Fatal(error) => self.no_program(path).unwrap_or(error),
        })
    }

    /// Words for what cannot be a program: a directory, or a file that another program reads.
    fn no_program(&self, file: &CStr) -> Option<Error> {
        let (metadata, bytes) = map(&self.root.locate(path(file.to_bytes())).ok()?).ok()?;
        if metadata.is_dir() {
            return Some(Error::words(file.to_bytes(), "a directory, not an ELF program"));
        }
        let line = bytes?.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
        let line = Text(line.get(..128).unwrap_or(line)).to_string();
        let error = Error::words(file.to_bytes(), "a script, not an ELF program");
        Some(error.with(format!("it is run by {}", line.trim())))
    }

    /// Whether a file begins as ELF files do.
    pub fn is_elf(&self, file: &CStr) -> bool {
        let bytes = self.root.locate(path(file.to_bytes())).and_then(|file| map(&file));
        bytes.is_ok_and(|(_, bytes)| bytes.is_some_and(|bytes| bytes.starts_with(b"\x7fELF")))
    }

    fn open_new(&self, name: &CStr) -> Opened {
        let file = self.root.locate(path(name.to_bytes()));
        let (metadata, bytes) =
            file.and_then(|file| map(&file)).map_err(|error| Refusal::Absent(errno(&error)))?;
        let Some(bytes) = bytes else {
            let why = if metadata.is_dir() { Errno(libc::EISDIR) } else { Errno(libc::ENODEV) };
            let words = "cannot read file data";
            return Err(Refusal::Fatal(Error::system(name.to_bytes(), words, why)));
        };
        let header = Header::parse(bytes).map_err(|reject| match reject {
            Reject::Foreign(Foreign::Class) => Refusal::Unsuitable(Unsuitable::WrongClass),
            Reject::Foreign(Foreign::Machine(_)) => Refusal::Unsuitable(Unsuitable::WrongMachine),
            Reject::Malformed(malformed) => {
                Refusal::Fatal(Error::malformed(name.to_bytes(), malformed))
            }
        })?;
        let identity = Identity { device: metadata.dev(), inode: metadata.ino() };
        Ok(OpenFile { bytes, header, identity, mode: metadata.mode() })
    }
}

/// Opens a file and maps it, unless it is a directory or a device.
fn map(file: &Path) -> io::Result<(Metadata, Option<&'static [u8]>)> {
    // A pipe would keep the open waiting for its other end.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(file)?;
    let metadata = file.metadata()?;
    let bytes = if metadata.is_file() { Some(map_regular(&file)?) } else { None };
    Ok((metadata, bytes))
}

fn map_regular(file: &File) -> io::Result<&'static [u8]> {
    // SAFETY: see the module's argument.
    let map = unsafe { Mmap::map(file)? };
    Ok(Box::leak(Box::new(map)))
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EINVAL, Errno)
}

impl Files for Disk {
    type File = OpenFile;
    type Error = Error;

    fn open(&mut self, name: &CStr) -> Opened {
        let opened = match self.opened.get(name) {
            Some(known) => known.clone(),
            None => {
                let opened = self.open_new(name);
                self.opened.insert(name.into(), opened.clone());
                opened
            }
        };
        let shown = Text(name.to_bytes());
        match &opened {
            Err(Refusal::Absent(errno)) => debug!("trying {shown}: {errno}"),
            _ => debug!("trying {shown}: opened"),
        }
        opened
    }

    fn is_dir(&mut self, name: &CStr) -> bool {
        if let Some(known) = self.directories.get(name) {
            return *known;
        }
        let there = self.metadata(path(name.to_bytes())).is_ok_and(|metadata| metadata.is_dir());
        self.directories.insert(name.into(), there);
        there
    }

    fn is_set_user_id(&mut self, file: &OpenFile) -> bool {
        file.mode & libc::S_ISUID != 0
    }

    fn names(&mut self, directory: &CStr, each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) {
        let located = self.root.locate(path(directory.to_bytes()));
        let Ok(entries) = located.and_then(fs::read_dir) else { return };
        let _ = entries.flatten().try_for_each(|entry| each(entry.file_name().as_bytes()));
    }

    fn cache(&mut self) -> Option<Cache<'_>> {
        let root = &self.root;
        *self.cache.get_or_insert_with(|| {
            let (_, bytes) = map(&root.locate(path(cache::PATH.to_bytes())).ok()?).ok()?;
            Cache::parse(bytes?)
                .inspect_err(|error| log::warn!("{}: {error}", Text(cache::PATH.to_bytes())))
                .ok()
        })
    }

    fn searching(&mut self, origin: &Origin<'_>, directories: &mut dyn Iterator<Item = &[u8]>) {
        if log::log_enabled!(log::Level::Debug) {
            let list: Vec<_> = directories.map(|directory| Text(directory).to_string()).collect();
            debug!("searching {origin}: {}", list.join(":"));
        }
    }
}

impl Source<'static> for Disk {
    fn identity(&self, file: &OpenFile) -> Identity {
        file.identity
    }

    fn kind(&self, file: &OpenFile) -> Kind {
        file.header.kind
    }

    fn load(&mut self, name: &CStr, file: OpenFile) -> Result<Box<Mapped<'static>>> {
        let broken = |malformed| Error::malformed(name.to_bytes(), malformed);
        let table = file.headers();
        if table.len() != usize::from(file.header.phnum) {
            return Err(broken(file.header.cut_off(file.bytes.len() as u64)));
        }
        let segments = Segments::parse(table, file.bytes.len() as u64).map_err(broken)?;
        let bias = match file.header.kind {
            Kind::Fixed => Bias(0),
            Kind::Shared => {
                self.objects += 1;
                Bias(FIRST_BIAS.wrapping_add(self.objects.wrapping_mul(STRIDE)))
            }
        };
        let parts = segments.loads.iter().map(|load| (*load, file.contents(load)));
        let parts = parts.map(|(load, bytes)| (load, bytes.unwrap_or_default()));
        let image = Image::new(bias, parts);
        let phdr = segments.loads.iter().find_map(|load| {
            let skip = file.header.phoff.checked_sub(load.offset)?;
            let inside = skip < load.filesz;
            inside.then(|| Addr(bias.apply(load.vaddr).0.wrapping_add(skip)))
        });
        Ok(Box::new(Mapped {
            header: file.header,
            phdr: phdr.unwrap_or_default(),
            identity: Some(file.identity),
            segments,
            image,
            memory: Memory::default(),
        }))
    }

    fn current_dir(&mut self) -> Vec<u8> {
        self.root.current_directory().into_os_string().into_vec()
    }
}
