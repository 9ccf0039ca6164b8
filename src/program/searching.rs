//! The searcher over the life of a process: made at the start, used again by every dlopen.
//!
//! # Safety
//!
//! The searcher is owned by whoever has taken it out; the word that holds it is null meanwhile.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::linkmap::LinkMap;
use crate::object::{Object, Role, dirname};
use crate::root::Root;
use crate::search::{Config, Hwcaps, Search, System};
use crate::sys::file;

/// What the searcher is made from. The environment's strings may be overwritten by the program, so these are copies.
#[derive(Clone)]
pub struct Settings {
    /// Whose directories are searched, and how.
    pub system: System,
    /// Whether the process has more rights than its caller.
    pub secure: bool,
    /// The root that absolute paths start from.
    pub root: Root,
    /// Whether rld was the command, so that the kernel does not know the program's file.
    pub is_direct: bool,
    /// `$PLATFORM`.
    pub platform: Option<Vec<u8>>,
    /// LD_LIBRARY_PATH, or `--library-path`.
    pub library_path: Vec<u8>,
    /// LD_ORIGIN_PATH.
    pub origin_path: Vec<u8>,
    /// `--inhibit-cache`.
    pub inhibit_cache: bool,
    /// `--inhibit-rpath`.
    pub inhibit_rpath: Option<Vec<u8>>,
    /// `--glibc-hwcaps-prepend`.
    pub hwcaps_prepend: Vec<u8>,
    /// `--glibc-hwcaps-mask`.
    pub hwcaps_mask: Option<Vec<u8>>,
    /// The instruction set levels of the CPU.
    pub isa: u32,
}

/// The searcher of a process.
pub struct Searching {
    settings: Settings,
    /// Whether the process has more rights than its caller.
    pub secure: bool,
    search: AtomicPtr<Search>,
    /// The program's directory, once it was asked for; leaked.
    origin: AtomicPtr<Vec<u8>>,
}

impl Searching {
    /// No searcher yet.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        let secure = settings.secure;
        let (search, origin) =
            (AtomicPtr::new(core::ptr::null_mut()), AtomicPtr::new(core::ptr::null_mut()));
        Self { settings, secure, search, origin }
    }

    /// A new searcher for a program in the directory `origin`, which `$ORIGIN` means in LD_LIBRARY_PATH.
    #[must_use]
    pub fn make(&self, origin: &[u8]) -> Search {
        let settings = &self.settings;
        let config = Config {
            system: settings.system,
            root: &settings.root,
            platform: settings.platform.as_deref(),
            secure: settings.secure,
            library_path: &settings.library_path,
            origin,
            inhibit_cache: settings.inhibit_cache,
            inhibit_rpath: settings.inhibit_rpath.as_deref(),
        };
        let (prepend, mask) = (&settings.hwcaps_prepend, settings.hwcaps_mask.as_deref());
        Search::new(&config, Hwcaps::new(settings.isa, prepend, mask))
    }

    /// Takes the searcher, or makes another: the one that was taken last may have stayed in the parent of a fork(2).
    #[must_use]
    pub fn take(&self, origin: &[u8]) -> Box<Search> {
        let search = self.search.swap(core::ptr::null_mut(), Ordering::AcqRel);
        match search.is_null() {
            true => Box::new(self.make(origin)),
            // SAFETY: the pointer came from a box, and nobody else has it now.
            false => unsafe { Box::from_raw(search) },
        }
    }

    /// Keeps a searcher for the next time.
    pub fn give_back(&self, search: Box<Search>) {
        let old = self.search.swap(Box::into_raw(search), Ordering::AcqRel);
        if !old.is_null() {
            // SAFETY: as in `take`.
            drop(unsafe { Box::from_raw(old) });
        }
    }

    /// The program's directory, as far as it can be known. It is found out once.
    #[must_use]
    pub fn program_origin(&self, map: &LinkMap<'_>) -> &[u8] {
        // SAFETY: null, or a box that was leaked here.
        if let Some(origin) = unsafe { self.origin.load(Ordering::Acquire).as_ref() } {
            return origin;
        }
        let program = map.by_role(Role::Program).and_then(|id| map.get(id));
        let origin = program.map(|program| self.origin_of(program)).unwrap_or_default();
        let origin = Box::leak(Box::new(origin));
        self.origin.store(origin, Ordering::Release);
        origin
    }

    /// The same for a program that is in no link map yet.
    #[must_use]
    pub fn origin_of(&self, program: &Object<'_>) -> Vec<u8> {
        if self.settings.is_direct {
            return program.directory().to_vec();
        }
        let mut buffer = vec![0; libc::PATH_MAX as usize];
        match file::read_link(c"/proc/self/exe", &mut buffer) {
            Ok(path) if path.starts_with(b"/") => dirname(path).to_vec(),
            _ => self.settings.origin_path.clone(),
        }
    }

    /// The root that absolute paths start from.
    #[must_use]
    pub const fn root(&self) -> &Root {
        &self.settings.root
    }

    /// LD_LIBRARY_PATH.
    #[must_use]
    pub fn library_path(&self) -> &[u8] {
        &self.settings.library_path
    }
}
