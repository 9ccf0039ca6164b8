//! The directories that path lists name, each known once with what is known about it, and the walk through a list.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt::Display;

use super::dst::Tokens;
use super::hwcaps::Hwcaps;
use super::outcome::{Attempt, Failure, Found, Near, NotFound, Origin, Why};
use super::{Files, PathOwner, Place, Refusal};
use crate::errno::Errno;
use crate::root::Root;
use crate::trace::{self, Event, Topics};

/// A directory's place in [`Directories`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct DirectoryId(u32);

/// A path list, split and expanded.
pub(super) type List = Box<[DirectoryId]>;

/// The directory in library directories that has a directory for each CPU level.
const HWCAPS: &[u8] = b"glibc-hwcaps";

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Present,
    Absent,
}

struct Directory {
    /// With a trailing slash, so that a file's name can follow; empty for the current directory.
    name: Box<[u8]>,
    itself: State,
    /// Its subdirectory `glibc-hwcaps`.
    hwcaps: State,
    /// The subdirectories of that, in the order of [`Hwcaps::names`]; empty until the first visit.
    levels: Vec<State>,
}

impl Directory {
    /// What a relative name stands for changes with the current directory, so nothing about it is remembered.
    fn is_relative(&self) -> bool {
        !self.name.starts_with(b"/")
    }
}

/// Every directory of every list.
#[derive(Default)]
pub(super) struct Directories {
    all: Vec<Directory>,
    by_name: BTreeMap<Box<[u8]>, DirectoryId>,
}

impl Directories {
    /// Splits a list. Empty elements mean the current directory; one that expands to nothing, or that has been named
    /// before, is dropped. What is absolute lies below `root`, and where it may, `outside`.
    pub fn list(
        &mut self,
        raw: &[u8],
        separators: &[u8],
        tokens: &Tokens<'_>,
        (root, outside): (&Root, bool),
    ) -> List {
        let (mut list, mut listed) = (Vec::new(), BTreeSet::new());
        for element in raw.split(|byte| separators.contains(byte)) {
            let Some(path) = tokens.expand(element) else {
                continue;
            };
            if path.is_empty() && !element.is_empty() {
                continue;
            }
            for path in root.places(path, outside) {
                let id = self.intern(&path);
                if listed.insert(id.0) {
                    list.push(id);
                }
            }
        }
        list.into()
    }

    /// A list of directories below a root.
    pub fn plain_list(&mut self, paths: &[&[u8]], root: &Root) -> List {
        paths.iter().map(|path| self.intern(&root.join(path))).collect()
    }

    fn intern(&mut self, path: &[u8]) -> DirectoryId {
        let mut name = path.to_vec();
        while name.ends_with(b"/") {
            name.pop();
        }
        if !path.is_empty() {
            name.push(b'/');
        }
        let name: Box<[u8]> = name.into();
        if let Some(id) = self.by_name.get(&name) {
            return *id;
        }
        let id = DirectoryId(self.all.len() as u32);
        self.by_name.insert(name.clone(), id);
        self.all.push(Directory {
            name,
            itself: State::Unknown,
            hwcaps: State::Unknown,
            levels: Vec::new(),
        });
        id
    }

    /// A directory's name for a reader: without the trailing slash, `.` for the current one.
    pub fn name(&self, id: DirectoryId) -> &[u8] {
        match self.prefix(id) {
            b"" => b".",
            b"/" => b"/",
            name => name.strip_suffix(b"/").unwrap_or(name),
        }
    }

    /// What stands before the names of a directory's files: its own with a slash, nothing for the current one.
    pub fn prefix(&self, id: DirectoryId) -> &[u8] {
        self.all.get(id.0 as usize).map_or(&[], |directory| &directory.name)
    }

    /// Calls `say` with the places that a visit looks into, but for those that are known not to exist.
    pub fn each(&self, id: DirectoryId, hwcaps: &Hwcaps, say: &mut dyn FnMut(&[u8])) {
        let Some(directory) = self.all.get(id.0 as usize) else { return };
        if directory.itself == State::Absent {
            return;
        }
        if directory.hwcaps != State::Absent {
            let unknown = core::iter::repeat(&State::Unknown);
            let states = directory.levels.iter().chain(unknown);
            for (level, _) in hwcaps.names().zip(states).filter(|(_, it)| **it != State::Absent) {
                say(&[&directory.name, HWCAPS, b"/", level].concat());
            }
        }
        say(self.name(id));
    }

    /// Whether the directory is known not to exist.
    pub fn is_absent(&self, id: DirectoryId) -> bool {
        self.all.get(id.0 as usize).is_none_or(|directory| directory.itself == State::Absent)
    }
}

/// What is reused from search to search.
#[derive(Default)]
pub(super) struct Scratch {
    /// The path made last, with its NUL.
    path: Vec<u8>,
    /// The places tried; words are made of them only when all fail.
    pub tries: Vec<(Place, Option<DirectoryId>, Why)>,
}

impl Scratch {
    /// Makes the path that is to be opened next.
    pub fn join(&mut self, parts: &[&[u8]]) {
        self.path.clear();
        parts.iter().for_each(|part| self.path.extend_from_slice(part));
        self.path.push(0);
    }

    /// `None` when the path holds a NUL, which no file's name can.
    fn path(&self) -> Option<&CStr> {
        CStr::from_bytes_with_nul(&self.path).ok()
    }

    fn owned_path(&self) -> CString {
        self.path().map(CString::from).unwrap_or_default()
    }
}

/// One search: opens paths and notes why it did not work.
pub(super) struct Opener<'o, F: Files> {
    pub files: &'o mut F,
    /// The name looked for.
    pub name: &'o [u8],
    pub scratch: &'o mut Scratch,
    /// Whether only files with the set-user-ID bit count.
    pub set_user_id_only: bool,
    /// The error number of the last file that could not be opened.
    pub errno: Errno,
    /// What leads to the paths that are opened now.
    pub origin: Origin<'o>,
    /// The files for other machines that were met.
    near: Vec<Near>,
}

/// One open: a file, a reason to look further, or an error that ends the search.
pub(super) type Opened<F> = Result<Result<<F as Files>::File, Why>, <F as Files>::Error>;

impl<'o, F: Files> Opener<'o, F> {
    pub fn new(files: &'o mut F, name: &'o [u8], scratch: &'o mut Scratch) -> Self {
        scratch.tries.clear();
        Self {
            files,
            name,
            scratch,
            set_user_id_only: false,
            errno: Errno::ENOENT,
            origin: Origin::Slash,
            near: Vec::new(),
        }
    }

    /// Opens the path made of `parts`.
    pub fn open(&mut self, parts: &[&[u8]]) -> Opened<F> {
        self.scratch.join(parts);
        self.open_path()
    }

    /// Opens the path made last.
    pub fn open_path(&mut self) -> Opened<F> {
        let opened = self.try_path();
        trace::tell(Topics::LIBS, || {
            let path = self.scratch.path().map(CStr::to_bytes).unwrap_or_default();
            let why = match &opened {
                Ok(opened) => opened.as_ref().err().map(|why| why as &dyn Display),
                Err(_) => Some(&"it cannot be loaded" as &dyn Display),
            };
            Event::Attempt { path, origin: &self.origin, why }
        });
        opened
    }

    fn try_path(&mut self) -> Opened<F> {
        let why = match self.scratch.path().map(|path| self.files.open(path)) {
            Some(Ok(file)) if self.set_user_id_only && !self.files.is_set_user_id(&file) => {
                Why::NotSetUserId
            }
            Some(Ok(file)) => return Ok(Ok(file)),
            Some(Err(Refusal::Fatal(error))) => return Err(error),
            Some(Err(Refusal::Absent(errno))) => Why::Errno(errno),
            Some(Err(Refusal::Unsuitable(why))) => {
                self.near.push(Near::Unsuitable { path: self.scratch.owned_path(), why });
                Why::Unsuitable(why)
            }
            None => Why::Errno(Errno::ENOENT),
        };
        self.errno = match why {
            Why::Errno(errno) => errno,
            _ => Errno::ENOENT,
        };
        Ok(Err(why))
    }

    /// The path made last turned out to be the library.
    pub fn found(&self, file: F::File, origin: Origin<'_>) -> Found<F::File> {
        let path = self.files.path(&file).unwrap_or_else(|| self.scratch.owned_path());
        Found { file, path, origin: origin.into_owned() }
    }

    /// The path made last ends the search.
    pub fn fatal(&self, error: F::Error) -> Failure<F::Error> {
        Failure::Fatal { path: self.scratch.owned_path(), error }
    }

    /// No path was the library.
    pub fn not_found(&mut self, chain: &[PathOwner<'_>], attempts: Vec<Attempt>) -> Box<NotFound> {
        Box::new(NotFound {
            name: self.name.into(),
            requester: chain.first().map(|requester| requester.name.into()),
            errno: self.errno,
            attempts,
            near: core::mem::take(&mut self.near),
        })
    }

    fn state(&mut self, parts: &[&[u8]]) -> State {
        self.scratch.join(parts);
        match self.scratch.path() {
            Some(path) if self.files.is_dir(path) => State::Present,
            _ => State::Absent,
        }
    }

    /// Tells of a file that cannot be there, because the directory of its directory is not.
    #[cold]
    fn passed_over(&mut self, directory: &[u8], level: &[u8]) {
        self.scratch.join(&[directory, HWCAPS, b"/", level, b"/", self.name]);
        let path = self.scratch.path().map(CStr::to_bytes).unwrap_or_default();
        let why = Some(&Why::NoDirectory as &dyn Display);
        trace::emit(&Event::Attempt { path, origin: &self.origin, why });
    }

    /// Looks into one directory: its `glibc-hwcaps` subdirectories, best first, then itself. What turns out not to
    /// exist is never asked for again.
    pub fn look_into(
        &mut self,
        directories: &mut Directories,
        id: DirectoryId,
        hwcaps: &Hwcaps,
    ) -> Opened<F> {
        let Some(directory) = directories.all.get_mut(id.0 as usize) else {
            return Ok(Err(Why::NoDirectory));
        };
        if directory.itself == State::Absent {
            return Ok(Err(Why::NoDirectory));
        }
        let name = self.name;
        let relative = directory.is_relative();
        let mut seen_unsuitable = None;

        if hwcaps.names().len() > 0 {
            if directory.hwcaps == State::Unknown || relative {
                directory.hwcaps = self.state(&[&directory.name, HWCAPS]);
                if directory.hwcaps == State::Absent && trace::on(Topics::LIBS) {
                    let levels = hwcaps.names();
                    levels.for_each(|level| self.passed_over(&directory.name, level));
                }
            }
            if directory.hwcaps == State::Present {
                directory.itself = State::Present;
                directory.levels.resize(hwcaps.names().len(), State::Unknown);
                for (level, state) in hwcaps.names().zip(&mut directory.levels) {
                    if *state == State::Absent {
                        continue;
                    }
                    match self.open(&[&directory.name, HWCAPS, b"/", level, b"/", name])? {
                        Ok(file) => return Ok(Ok(file)),
                        Err(why @ Why::Unsuitable(_)) => seen_unsuitable = Some(why),
                        Err(_) if *state == State::Unknown && !relative => {
                            *state = self.state(&[&directory.name, HWCAPS, b"/", level]);
                        }
                        Err(_) => {}
                    }
                }
            }
        }

        let why = match self.open(&[&directory.name, name])? {
            Ok(file) => {
                directory.itself = State::Present;
                return Ok(Ok(file));
            }
            Err(why) => why,
        };
        if directory.itself == State::Unknown && !relative {
            let itself = directory.name.strip_suffix(b"/").filter(|name| !name.is_empty());
            directory.itself = self.state(&[itself.unwrap_or(b"/")]);
            if directory.itself == State::Absent {
                return Ok(Err(Why::NoDirectory));
            }
        }
        Ok(Err(seen_unsuitable.unwrap_or(why)))
    }
}
