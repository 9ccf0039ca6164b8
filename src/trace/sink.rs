//! Where a writer's lines go: a buffer of the process, written out whole lines at a time.
//!
//! Threads, signal handlers and children of fork(2) may all have something to say. Signals are blocked while an event
//! is written, so that a thread never meets its own lock. A child notices by [`fork::generation`] that the lock it
//! finds was taken in its parent, and that what waits in the buffer is the parent's to write.
//!
//! # Safety
//!
//! The buffer is touched by who holds the lock.
#![allow(unsafe_code)]

use alloc::vec;
use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::sys::file::{self, Fd};
use crate::sys::fork;
use crate::sys::process::{futex_wait, futex_wake_one, with_signals_blocked};

/// Bytes that wait at most.
const SIZE: usize = 1 << 15;

/// What lines are written to.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// A descriptor of the process.
    Descriptor(u64),
    /// A file, opened for each write: programs close descriptors that they do not know, and use the numbers again.
    File(&'static CStr),
}

impl Target {
    fn write(self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Descriptor(number) => file::write_all(number, bytes),
            Self::File(path) => {
                if let Ok(file) = Fd::append(path) {
                    file::write_all(file.number(), bytes);
                }
            }
        }
    }
}

/// A buffer and its lock.
pub struct Sink {
    /// The generation of the process in the upper bits; below, whether the lock is taken and somebody waits.
    lock: AtomicU32,
    inner: UnsafeCell<Inner>,
}

// SAFETY: the lock keeps threads apart.
unsafe impl Sync for Sink {}

const TAKEN: u32 = 1;
const AWAITED: u32 = 2;
const STATES: u32 = 3;

struct Inner {
    target: Target,
    program: &'static [u8],
    length: usize,
    /// Empty until something is to be written: the binary has no room to spare for it.
    bytes: &'static mut [u8],
}

impl Default for Sink {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink {
    /// Nothing waits, and standard error is where it would go.
    #[must_use]
    pub const fn new() -> Self {
        let inner =
            Inner { target: Target::Descriptor(2), program: b"", length: 0, bytes: &mut [] };
        Self { lock: AtomicU32::new(0), inner: UnsafeCell::new(inner) }
    }

    /// Says where lines go, and what the program is called.
    pub fn begin(&self, target: Target, program: &'static [u8]) {
        fork::watch();
        let bytes = vec![0; SIZE].leak();
        self.locked(|inner| *inner = Inner { target, program, length: 0, bytes });
    }

    /// Adds what `compose` says, which ends with a newline and is written as a whole.
    pub fn add(&self, compose: impl FnOnce(&mut Out<'_>)) {
        self.locked(|inner| {
            let start = inner.length;
            compose(&mut Out { inner, start });
        });
    }

    /// Writes out what waits.
    pub fn flush(&self) {
        self.locked(Inner::write_out);
    }

    fn locked(&self, work: impl FnOnce(&mut Inner)) {
        with_signals_blocked(|| {
            let is_parents = self.acquire();
            // SAFETY: the lock is held.
            let inner = unsafe { &mut *self.inner.get() };
            if is_parents {
                inner.length = 0;
            }
            work(inner);
            self.release();
        });
    }

    /// Takes the lock; says whether the process that had it last was the parent of this one.
    fn acquire(&self) -> bool {
        let generation = fork::generation().wrapping_mul(STATES + 1);
        // Who has waited cannot know whether others still do.
        let mut taken = generation | TAKEN;
        loop {
            let found = self.lock.load(Ordering::Relaxed);
            let is_parents = found & !STATES != generation;
            if is_parents || found & STATES == 0 {
                let exchange =
                    self.lock.compare_exchange(found, taken, Ordering::Acquire, Ordering::Relaxed);
                if exchange.is_ok() {
                    return is_parents;
                }
                continue;
            }
            let awaited = found | AWAITED;
            let marked = found == awaited
                || self
                    .lock
                    .compare_exchange(found, awaited, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok();
            if marked {
                taken |= AWAITED;
                futex_wait(&self.lock, awaited);
            }
        }
    }

    fn release(&self) {
        let held = self.lock.fetch_and(!STATES, Ordering::Release);
        if held & AWAITED != 0 {
            futex_wake_one(&self.lock);
        }
    }
}

impl Inner {
    fn write_out(&mut self) {
        self.write(self.length);
        self.length = 0;
    }

    fn write(&self, length: usize) {
        self.target.write(self.bytes.get(..length).unwrap_or_default());
    }
}

/// What is being said.
pub struct Out<'o> {
    inner: &'o mut Inner,
    /// Where in the buffer it begins.
    start: usize,
}

impl Out<'_> {
    /// The program's name, which stands for the empty name of its object.
    #[must_use]
    pub const fn program(&self) -> &'static [u8] {
        self.inner.program
    }

    /// Says some bytes.
    pub fn put(&mut self, mut bytes: &[u8]) {
        if self.inner.bytes.is_empty() {
            return self.inner.target.write(bytes);
        }
        loop {
            let Inner { bytes: buffer, length, .. } = &mut *self.inner;
            let room = buffer.get_mut(*length..).unwrap_or_default();
            let count = room.len().min(bytes.len());
            let (now, later) = bytes.split_at(count);
            if let Some(room) = room.get_mut(..count) {
                room.copy_from_slice(now);
            }
            *length += count;
            if later.is_empty() {
                return;
            }
            bytes = later;
            self.make_room();
        }
    }

    /// Writes out what was said before this; if nothing was, what was said of this so far: it is longer than the
    /// buffer.
    fn make_room(&mut self) {
        let inner = &mut *self.inner;
        let done = if self.start == 0 { inner.length } else { self.start };
        inner.write(done);
        inner.bytes.copy_within(done..inner.length, 0);
        inner.length -= done;
        self.start = 0;
    }
}

impl fmt::Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}
