//! Initialisers and finalisers by musl's rules: an object after what it needs, the program last; while one runs, other
//! threads may load, and wait only if they need that very object; finalisers in the reverse order of the initialisers'
//! beginning, for objects whose initialisers have come to an end.
//!
//! # Safety
//!
//! Entries of the list are allocated here and stay for the life of the process. Objects are relocated.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ffi::c_char;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use super::super::own_locks::Mutex;
use super::super::process::Process;
use super::super::ready::calls;
use crate::addr::ObjectId;
use crate::init::{self, Arguments};
use crate::object::Object;
use crate::sys::process::{futex_wait, futex_wake_all};
use crate::tls::thread;
use crate::trace::{self, Event, Function, Topics};

/// The objects whose initialisers have begun: a list that only grows, at its head.
#[derive(Debug, Default)]
pub struct Constructors {
    /// Held while the list grows.
    lock: Mutex,
    newest: AtomicPtr<Begun>,
    /// How often initialisers have come to an end.
    ends: AtomicU32,
    exiting: AtomicBool,
}

struct Begun {
    id: ObjectId,
    object: Arc<Object<'static>>,
    /// The thread that calls its initialisers; 0 when that is done.
    by: AtomicU64,
    older: *mut Begun,
}

impl Constructors {
    fn list(&self) -> impl Iterator<Item = &Begun> {
        let mut next = self.newest.load(Ordering::Acquire);
        core::iter::from_fn(move || {
            // SAFETY: null, or an entry, which stays.
            let begun = unsafe { next.as_ref() }?;
            next = begun.older;
            Some(begun)
        })
    }

    fn entry(&self, id: ObjectId) -> Option<&Begun> {
        self.list().find(|begun| begun.id == id)
    }

    /// Notes that the calling thread begins to initialise an object. It does not if that is done, or if it is doing it
    /// already; while another thread is, it waits.
    #[must_use]
    pub fn begin(&self, id: ObjectId, object: &Arc<Object<'static>>) -> bool {
        let own = thread::current().0;
        let ends = self.ends.load(Ordering::Acquire);
        self.lock.lock();
        let known = self.entry(id);
        if known.is_none() {
            let older = self.newest.load(Ordering::Relaxed);
            let (object, by) = (Arc::clone(object), AtomicU64::new(own));
            let begun = Box::into_raw(Box::new(Begun { id, object, by, older }));
            self.newest.store(begun, Ordering::Release);
        }
        self.lock.unlock();
        let Some(known) = known else { return true };
        if ![0, own].contains(&known.by.load(Ordering::Acquire)) {
            self.wait(id, ends);
        }
        false
    }

    /// Waits until initialisers of an object that another thread calls have come to an end.
    fn wait(&self, id: ObjectId, mut ends: u32) {
        while self.entry(id).is_some_and(|begun| begun.by.load(Ordering::Acquire) != 0) {
            futex_wait(&self.ends, ends);
            ends = self.ends.load(Ordering::Acquire);
        }
    }

    /// Notes that the initialisers of an object have come to an end.
    pub fn end(&self, id: ObjectId) {
        if let Some(begun) = self.entry(id) {
            begun.by.store(0, Ordering::Release);
            self.ends.fetch_add(1, Ordering::AcqRel);
            futex_wake_all(&self.ends);
        }
    }
}

/// Initialises all objects of the start, when musl has done so with itself.
///
/// # Safety
/// Called once, from where the program's `main` is called next.
pub unsafe fn initialise_all(
    process: &Process,
    constructors: &Constructors,
    (argc, argv, envp): (i32, *mut *mut c_char, *mut *mut c_char),
) {
    let arguments = Arguments { argc, argv, envp };
    let map = &process.world().map;
    let order = init::dependencies_first(&map.objects, map.search_list(), map.program());
    let kept: alloc::vec::Vec<_> = order
        .into_iter()
        .filter_map(|id| Some((id, map.objects.share(id)?)))
        .filter(|(_, object)| !object.role.starts_itself())
        .collect();
    for (id, object) in kept {
        if constructors.begin(id, &object) {
            calls(Function::Initialiser, &object, || {
                // SAFETY: all is relocated, and what the object needs was initialised before.
                unsafe { init::initialise(&object, arguments) }
            });
            constructors.end(id);
        }
    }
    trace::flush();
}

/// Runs the finalisers of all objects, once.
///
/// # Safety
/// Called when the program exits, on a thread of it.
pub unsafe fn finalise_all(constructors: &Constructors) {
    if constructors.exiting.swap(true, Ordering::AcqRel) {
        return;
    }
    let own = thread::current().0;
    for begun in constructors.list() {
        let ends = constructors.ends.load(Ordering::Acquire);
        if begun.by.load(Ordering::Acquire) == own {
            // An initialiser has called exit(3).
            continue;
        }
        constructors.wait(begun.id, ends);
        calls(Function::Finaliser, &begun.object, || {
            // SAFETY: what needs the object was initialised after it, and has been finalised.
            unsafe { init::finalise(&begun.object) }
        });
    }
    trace::tell(Topics::STATISTICS | Topics::REQUESTS, || Event::Exit);
    trace::flush();
}
