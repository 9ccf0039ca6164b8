//! What the loader does, told while it does it.
//!
//! Code says that something happens as an [`Event`], which borrows what it names; writers make lines of it. [`debug`]
//! writes what LD_DEBUG asks for, [`json`] a trace for programs. While nobody listens, a place that could tell
//! something costs one load of a word that never changes and one branch; the event itself is made behind that branch.
//!
//! Lines wait in the writers' buffers, so that a start is not slowed by hundreds of small writes. Whoever is about to
//! run foreign code calls [`flush`] first: that code may end the process, or write lines of its own.

pub mod debug;
mod event;
pub mod json;
pub mod options;
mod origin;
pub mod sink;
pub mod statistics;

use core::sync::atomic::{AtomicU32, Ordering};

use crate::sys::clock;

pub use event::{Event, Function, How, Label, Stage, Strings, Why};
pub use origin::Origin;

bitflags::bitflags! {
    /// What is told.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Topics: u32 {
        /// Where libraries are looked for.
        const LIBS = 1 << 0;
        /// Objects that are loaded, opened, closed and unloaded.
        const FILES = 1 << 1;
        /// Versions that objects need.
        const VERSIONS = 1 << 2;
        /// Objects that are relocated.
        const RELOC = 1 << 3;
        /// Each object that a symbol is looked up in.
        const SYMBOLS = 1 << 4;
        /// What references are bound to.
        const BINDINGS = 1 << 5;
        /// What objects see.
        const SCOPES = 1 << 6;
        /// Initialisers and finalisers.
        const CALLS = 1 << 7;
        /// Stages of a start, and how many symbols were looked up.
        const STATISTICS = 1 << 8;
        /// Calls of dlopen(3) and its family.
        const REQUESTS = 1 << 9;
        /// References and versions that nothing defines.
        const ERRORS = 1 << 10;
        /// Dependencies that nothing is bound to: no event, but a program is shown that way, and may lack symbols.
        const UNUSED = 1 << 11;
        /// When what is told at its end has begun.
        const TIMES = 1 << 12;
    }
}

impl Topics {
    /// Lookups of symbols: they are made one by one while somebody listens to any of these.
    pub const LOOKUPS: Self =
        Self::SYMBOLS.union(Self::BINDINGS).union(Self::STATISTICS).union(Self::UNUSED);
}

/// What any writer wants to be told.
static TOPICS: AtomicU32 = AtomicU32::new(0);

/// Whether somebody listens to one of these.
#[inline(always)]
#[must_use]
pub fn on(topics: Topics) -> bool {
    TOPICS.load(Ordering::Relaxed) & topics.bits() != 0
}

/// Makes an event, if somebody listens to what it is about.
#[inline(always)]
pub fn tell<'e>(topics: Topics, event: impl FnOnce() -> Event<'e>) {
    if on(topics) {
        told(event);
    }
}

#[cold]
#[inline(never)]
fn told<'e>(event: impl FnOnce() -> Event<'e>) {
    emit(&event());
}

/// Gives an event to all writers; each takes what it wants.
#[cold]
#[inline(never)]
pub fn emit(event: &Event<'_>) {
    statistics::note(event);
    debug::write(event);
    json::write(event);
}

/// Writes out what waits in buffers.
#[inline(always)]
pub fn flush() {
    if on(Topics::all()) {
        flush_all();
    }
}

#[cold]
#[inline(never)]
fn flush_all() {
    debug::flush();
    json::flush();
}

/// The time, if somebody wants to know when something began.
#[inline(always)]
#[must_use]
pub fn now() -> u64 {
    if on(Topics::TIMES) { clock::monotonic() } else { 0 }
}

/// A writer wants to be told of these from now on.
pub fn listen(topics: Topics) {
    TOPICS.fetch_or(topics.bits(), Ordering::Relaxed);
}
