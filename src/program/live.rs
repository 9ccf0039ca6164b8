//! Objects from files, mapped into this process.
//!
//! # Safety
//!
//! [`crate::image::map`] says why its mappings may be viewed. The views call themselves `'static`; they are part of the
//! object that owns the mapping, and nobody takes one out of it without keeping the object.
#![allow(unsafe_code)]

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::ops::ControlFlow;

use super::audit::watch::Watch;
use super::sysroot;
use crate::addr::{Addr, ObjectId, Vaddr};
use crate::cache::Cache;
use crate::elf::header::{self, Foreign, Header, Kind, Reject};
use crate::elf::segment::Segments;
use crate::elf::table::Table;
use crate::errno::Errno;
use crate::error::{Error, Result};
use crate::image::map::Neighbour;
use crate::image::{Image, Plan, map};
use crate::linkmap::Source;
use crate::object::{Mapped, Memory, Object};
use crate::root::Root;
use crate::search::{Files, Origin, Refusal, Unsuitable};
use crate::sys::file::{self, Fd, Identity, Status};
use crate::sys::memory::{Backing, Protection};

/// Bytes read from the start of a file: the ELF header and, in all usual files, the program headers.
const HEAD: usize = 1024;
/// Bytes of directory entries that are read at a time.
const NAMES: usize = 1 << 15;

/// A file whose ELF header was found good.
pub struct Opened {
    fd: Fd,
    status: Status,
    header: Header,
    /// The program header table.
    table: Vec<u8>,
    /// Its path without links, if one of these would lead out of the root.
    path: Option<CString>,
}

/// The file system, below a root, and memory of this process.
pub struct Live {
    root: Root,
    cache: CacheFile,
    neighbour: Neighbour,
    /// Room for the first bytes of a file. Not on the stack, of which a thread may have little.
    head: Vec<u8>,
    /// Who is told, where there are auditors.
    pub watch: Option<Box<Watch>>,
}

/// `/etc/ld.so.cache`, mapped when it is first asked for.
#[derive(Default)]
enum CacheFile {
    #[default]
    Unread,
    Absent,
    Mapped(Cache<'static>, Addr, u64),
}

impl Files for Live {
    type File = Opened;
    type Error = Error;

    fn open(&mut self, path: &CStr) -> core::result::Result<Opened, Refusal<Error>> {
        let fatal =
            |errno| Refusal::Fatal(Error::system(path.to_bytes(), "cannot read file data", errno));
        let path = match &mut self.watch {
            None => Cow::Borrowed(path),
            Some(watch) => watch.tried(path).ok_or(Refusal::Absent(Errno::ENOENT))?,
        };
        let located = sysroot::locate(&self.root, &path).map_err(Refusal::Absent)?;
        let fd = Fd::open(&located).map_err(Refusal::Absent)?;
        self.head.resize(HEAD, 0);
        let head_len = fd.read_at(&mut self.head, 0).map_err(fatal)?;
        let head = self.head.get(..head_len).unwrap_or_default();
        let status = fd.status().map_err(|errno| {
            Refusal::Fatal(Error::system(path.to_bytes(), "cannot stat shared object", errno))
        })?;
        let header = Header::parse(head);
        let header = header.map_err(|reject| match reject {
            Reject::Foreign(Foreign::Class) => Refusal::Unsuitable(Unsuitable::WrongClass),
            Reject::Foreign(Foreign::Machine(_)) => Refusal::Unsuitable(Unsuitable::WrongMachine),
            Reject::Malformed(malformed) => {
                Refusal::Fatal(Error::malformed(path.to_bytes(), malformed))
            }
        })?;
        let table = program_headers(&fd, &header, head).map_err(|errno| match errno {
            Errno(0) => {
                let malformed = header.cut_off(status.size);
                Refusal::Fatal(Error::malformed(path.to_bytes(), malformed))
            }
            errno => fatal(errno),
        })?;
        let path = match located {
            Cow::Borrowed(_) => None,
            Cow::Owned(path) => Some(path),
        };
        Ok(Opened { fd, status, header, table, path })
    }

    fn path(&self, file: &Opened) -> Option<CString> {
        file.path.clone()
    }

    fn is_dir(&mut self, path: &CStr) -> bool {
        let status = sysroot::locate(&self.root, path).and_then(|path| file::stat(&path));
        status.is_ok_and(|status| status.is_dir())
    }

    fn is_set_user_id(&mut self, file: &Opened) -> bool {
        file.status.is_setuid()
    }

    fn names(&mut self, directory: &CStr, each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) {
        let path = sysroot::locate(&self.root, directory);
        if let Ok(directory) = path.and_then(|path| Fd::directory(&path)) {
            // What cannot be read has no near misses.
            let _ = directory.names(&mut vec![0; NAMES], each);
        }
    }

    fn searching(&mut self, origin: &Origin<'_>, _: &mut dyn Iterator<Item = &[u8]>) {
        if let Some(watch) = &mut self.watch {
            watch.searching(origin);
        }
    }

    fn cache(&mut self) -> Option<Cache<'_>> {
        if matches!(self.cache, CacheFile::Unread) {
            self.cache = map_cache(&self.root).unwrap_or(CacheFile::Absent);
        }
        match self.cache {
            CacheFile::Mapped(cache, ..) => Some(cache),
            _ => None,
        }
    }
}

impl Live {
    /// Files below a root.
    #[must_use]
    pub fn new(root: Root) -> Self {
        let (cache, neighbour) = (CacheFile::Unread, Neighbour::default());
        Self { root, cache, neighbour, head: Vec::new(), watch: None }
    }

    /// The root.
    #[must_use]
    pub const fn root(&self) -> &Root {
        &self.root
    }

    /// Gives the cache's memory back.
    pub fn forget_cache(&mut self) {
        if let CacheFile::Mapped(_, start, size) = core::mem::take(&mut self.cache) {
            // SAFETY: the mapping is this value's own, and the one view of it has just been dropped.
            unsafe { crate::sys::memory::unmap(start, size) };
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.forget_cache();
    }
}

fn map_cache(root: &Root) -> Option<CacheFile> {
    let fd = sysroot::open(root, crate::cache::PATH).ok()?;
    let size = fd.status().ok()?.size;
    let start = crate::sys::memory::map(size, Protection::READ, Backing::File(&fd, 0)).ok()?;
    // SAFETY: the mapping has this size and stays until `forget_cache`, which drops the view first.
    let bytes =
        unsafe { core::slice::from_raw_parts(start.0 as *const u8, usize::try_from(size).ok()?) };
    match Cache::parse(bytes) {
        Ok(cache) => Some(CacheFile::Mapped(cache, start, size)),
        Err(_) => {
            // SAFETY: as above; nothing refers to the mapping.
            unsafe { crate::sys::memory::unmap(start, size) };
            None
        }
    }
}

impl Source<'static> for Live {
    fn identity(&self, file: &Opened) -> Identity {
        file.status.identity
    }

    fn kind(&self, file: &Opened) -> Kind {
        file.header.kind
    }

    fn load(&mut self, path: &CStr, file: Opened) -> Result<Box<Mapped<'static>>> {
        let name = path.to_bytes();
        let segments = Segments::parse(Table::new(&file.table), file.status.size)
            .map_err(|malformed| Error::malformed(name, malformed))?;
        let plan = Plan::new(file.header.kind, &segments);
        let mapped = map::map_object(&file.fd, &plan, &mut self.neighbour);
        let (bias, mapping) = mapped.map_err(|failure| not_mapped(name, &plan, failure))?;
        // SAFETY: the object was mapped just now with this bias.
        let image = unsafe {
            if let Some(dynamic) = segments.dynamic {
                map::touch(bias, &segments, dynamic);
            }
            map::view(bias, &segments)
        };
        let (phdr, headers) = phdr_address(&file.header, &segments, &image, file.table);
        let identity = Some(file.status.identity);
        let memory = Memory { mapping: Some(mapping), headers };
        Ok(Box::new(Mapped { header: file.header, segments, image, phdr, identity, memory }))
    }

    fn asked<'n>(&mut self, name: &'n [u8], requester: Option<ObjectId>) -> Option<Cow<'n, [u8]>> {
        match &mut self.watch {
            None => Some(Cow::Borrowed(name)),
            Some(watch) => watch.asked(name, requester),
        }
    }

    fn entered(&mut self, id: ObjectId, object: &Object<'static>) {
        if let Some(watch) = &mut self.watch {
            watch.entered(id, object);
        }
    }

    fn current_dir(&mut self) -> Vec<u8> {
        sysroot::current_dir()
    }
}

/// What the kernel has refused. Apart, for the sake of threads with little stack.
#[cold]
#[inline(never)]
fn not_mapped(name: &[u8], plan: &Plan, (words, errno): map::Failure) -> Error {
    let error = Error::words(name, words).with(errno.described()).with_limits(errno);
    if !plan.fixed {
        return error;
    }
    let (start, end) = (plan.start, plan.start + plan.size);
    error.with(alloc::format!(
        "it has addresses of its own, {start:#x} to {end:#x}: linked with -pie, it may lie anywhere"
    ))
}

/// The program header table: from the bytes already read, or from further into the file.
fn program_headers(fd: &Fd, header: &Header, head: &[u8]) -> core::result::Result<Vec<u8>, Errno> {
    let size = header.phdr_bytes();
    let start = usize::try_from(header.phoff).map_err(|_| Errno(0))?;
    if let Some(table) = start.checked_add(size).and_then(|end| head.get(start..end)) {
        return Ok(table.to_vec());
    }
    let mut table = vec![0; size];
    match fd.read_at(&mut table, header.phoff)? {
        read if read == size => Ok(table),
        _ => Err(Errno(0)),
    }
}

/// Where the program headers are in memory: PT_PHDR says, or a segment covers them, or they are kept as they were read.
fn phdr_address(
    header: &Header,
    segments: &Segments,
    image: &Image<'static>,
    table: Vec<u8>,
) -> (Addr, Vec<u8>) {
    let size = table.len() as u64;
    let in_segment = segments.loads.iter().find_map(|load| {
        let skip = header.phoff.checked_sub(load.offset)?;
        let vaddr = Vaddr(load.vaddr.0.checked_add(skip)?);
        load.holds_in_file(vaddr, size).then_some(vaddr)
    });
    match segments.phdr.or(in_segment) {
        Some(vaddr) if image.bytes(vaddr, size).is_some() => (image.address(vaddr), Vec::new()),
        _ => (Addr(table.as_ptr() as u64), table),
    }
}

const _: () = assert!(HEAD >= header::SIZE);
