//! Locks of rld's own, for processes without a libc that shares its own.
//!
//! [`Mutex`] has the form of glibc's, so that [`Locks`](super::locks::Locks) knows one form only. [`Readers`] stands in
//! for the word that glibc keeps in each thread: nobody has a list of the threads.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::sys::fork;
use crate::sys::process::{futex_wait, futex_wake_one, thread_id};

/// A lock that its holder may take again. In a child of fork(2) it is free, whoever held it.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Mutex {
    /// 0 free, 1 taken, 2 taken with somebody waiting.
    word: AtomicU32,
    /// How often its holder has taken it beyond once.
    again: AtomicU32,
    /// The holder's id.
    owner: AtomicU32,
    /// The process that it was taken in last, as [`fork::generation`] counts.
    generation: AtomicU32,
}

impl Mutex {
    /// A free lock.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            word: AtomicU32::new(0),
            again: AtomicU32::new(0),
            owner: AtomicU32::new(0),
            generation: AtomicU32::new(0),
        }
    }

    /// Takes the lock.
    pub fn lock(&self) {
        fork::watch();
        let (own, generation) = (thread_id(), fork::generation());
        let seen = self.generation.load(Ordering::Acquire);
        if seen != generation
            && self
                .generation
                .compare_exchange(seen, generation, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        {
            self.owner.store(0, Ordering::Relaxed);
            self.again.store(0, Ordering::Relaxed);
            self.word.store(0, Ordering::Release);
        }
        if self.owner.load(Ordering::Relaxed) == own {
            self.again.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let free = self.word.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        if free.is_err() {
            while self.word.swap(2, Ordering::Acquire) != 0 {
                futex_wait(&self.word, 2);
            }
        }
        self.owner.store(own, Ordering::Relaxed);
    }

    /// Gives the lock back. Who does not hold it was its holder before a fork(2).
    pub fn unlock(&self) {
        if self.owner.load(Ordering::Relaxed) != thread_id() {
            return;
        }
        if self.again.load(Ordering::Relaxed) != 0 {
            self.again.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        self.owner.store(0, Ordering::Relaxed);
        if self.word.swap(0, Ordering::Release) == 2 {
            futex_wake_one(&self.word);
        }
    }
}

/// How many threads read what others may replace: a count for those that came before the last change, and one for those
/// that came since. They change places with every change.
#[derive(Debug)]
pub struct Readers {
    counts: [AtomicU32; 2],
    turn: AtomicU32,
    /// Somebody waits for a count to become 0.
    waiting: AtomicBool,
}

impl Readers {
    /// Nobody reads.
    #[must_use]
    pub const fn new() -> Self {
        let counts = [AtomicU32::new(0), AtomicU32::new(0)];
        Self { counts, turn: AtomicU32::new(0), waiting: AtomicBool::new(false) }
    }

    fn count(&self, turn: u32) -> &AtomicU32 {
        let [even, odd] = &self.counts;
        if turn & 1 == 0 { even } else { odd }
    }

    /// Keeps what is read from being freed while `read` runs.
    pub fn while_reading<T>(&self, read: impl FnOnce() -> T) -> T {
        let count = self.count(self.turn.load(Ordering::SeqCst));
        count.fetch_add(1, Ordering::SeqCst);
        let result = read();
        if count.fetch_sub(1, Ordering::SeqCst) == 1 && self.waiting.load(Ordering::SeqCst) {
            futex_wake_one(count);
        }
        result
    }

    /// Waits until nobody reads what could be read before the call. One thread does so at a time.
    pub fn wait(&self) {
        self.waiting.store(true, Ordering::SeqCst);
        // A reader may have looked at the turn before the last change and count itself only now: so twice.
        for _ in 0..2 {
            let count = self.count(self.turn.fetch_add(1, Ordering::SeqCst));
            loop {
                match count.load(Ordering::SeqCst) {
                    0 => break,
                    readers => futex_wait(count, readers),
                }
            }
        }
        self.waiting.store(false, Ordering::SeqCst);
    }

    /// In a child of fork(2): who read in the parent does not read here.
    pub fn forget(&self) {
        self.counts.iter().for_each(|count| count.store(0, Ordering::SeqCst));
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::sync::Arc;
    use std::thread::{scope, spawn};

    #[test]
    fn one_thread_holds_the_lock() {
        static MUTEX: Mutex = Mutex::new();
        let count = AtomicU32::new(0);
        scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5000 {
                        MUTEX.lock();
                        MUTEX.lock();
                        // Not one step, so that two holders would lose some.
                        let seen = count.load(Ordering::Relaxed);
                        MUTEX.unlock();
                        count.store(seen + 1, Ordering::Relaxed);
                        MUTEX.unlock();
                    }
                });
            }
        });
        assert_eq!(count.load(Ordering::Relaxed), 20_000);
        assert_eq!(MUTEX.word.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn who_does_not_hold_the_lock_cannot_give_it_back() {
        let mutex = Arc::new(Mutex::new());
        mutex.lock();
        let other = Arc::clone(&mutex);
        spawn(move || other.unlock()).join().unwrap();
        assert_eq!(mutex.word.load(Ordering::Relaxed), 1);
        mutex.unlock();
        assert_eq!(mutex.word.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_change_waits_for_readers() {
        let readers = Readers::new();
        let (current, freed) = (AtomicU32::new(0), [const { AtomicBool::new(false) }; 200]);
        scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while current.load(Ordering::SeqCst) < 199 {
                        readers.while_reading(|| {
                            let at = current.load(Ordering::SeqCst) as usize;
                            for _ in 0..20 {
                                assert!(!freed[at].load(Ordering::SeqCst));
                            }
                        });
                    }
                });
            }
            scope.spawn(|| {
                for old in 0..199 {
                    current.store(old + 1, Ordering::SeqCst);
                    readers.wait();
                    freed[old as usize].store(true, Ordering::SeqCst);
                }
            });
        });
    }
}
