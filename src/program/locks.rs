//! The locks that the loader shares with libc: glibc's mutexes in `_rtld_global`, taken as glibc takes them
//! (contract 5.1). libc resets them in a child of fork(2).
//!
//! # Safety
//!
//! The addresses are those of the mapped libc's functions and of the binary's `_rtld_global`. Thread control blocks in
//! glibc's lists belong to threads that live, or to stacks that are kept, while the lists' lock is held.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use super::own_locks::{Mutex, Readers};
use crate::abi::glibc::layout::Layout;
use crate::addr::Addr;
use crate::arch::x86_64::tcb;
use crate::heap;
use crate::sys::fork;
use crate::sys::process::{futex_wait, futex_wake_one, thread_id};
use crate::tls::thread;

/// Which lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lock {
    /// All that the loader does at run time (GL(load_lock)); it may be taken again by its holder.
    Load,
    /// The list of link maps (GL(load_write_lock)), which dl_iterate_phdr(3) walks.
    Write,
    /// Modules with thread-local storage (GL(load_tls_lock)), of which new threads get copies.
    Tls,
}

/// The locks of a process.
#[derive(Default, Debug)]
pub struct Locks {
    lock: Step,
    unlock: Step,
    load: AtomicU64,
    write: AtomicU64,
    /// 0 for one of rld's own: libc has none.
    tls: AtomicU64,
    /// Where libpthread.so.0 leaves a function that waits for readers (contract 5.2).
    wait_place: AtomicU64,
    threads: Threads,
    /// What libraries of other layouts have of their own.
    others: AtomicPtr<Other>,
    /// The process that these locks were seen in last, as [`fork::generation`] counts.
    seen: AtomicU32,
}

/// Where glibc keeps the threads that it has started, and the main thread.
#[derive(Default, Debug)]
struct Threads {
    lock: AtomicU64,
    lists: [AtomicU64; 2],
    link: AtomicU64,
}

/// The locks and lists of the C libraries of one more layout.
#[derive(Debug)]
struct Other {
    write: u64,
    threads: Threads,
    next: *mut Self,
}

/// What takes a lock, or gives it back.
#[derive(Default, Debug)]
struct Step {
    /// The function; 0 while there is nobody to lock out.
    function: AtomicU64,
    /// Where `_rtld_global` has the function that counts instead, which libpthread.so.0 replaces (contract 5.2); 0 for
    /// a libc that has none.
    place: AtomicU64,
}

type Function = extern "C" fn(u64) -> i32;

/// A lock that is held until this is dropped.
pub struct Held<'l>(&'l Locks, Lock);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.release(self.1);
    }
}

/// The locks of a process whose libc shares none, by [`Lock`].
static OWN: [Mutex; 3] = [const { Mutex::new() }; 3];
/// Who reads in such a process, and whether this is one.
static READERS: Readers = Readers::new();
static COUNTS_READERS: AtomicBool = AtomicBool::new(false);

fn own_mutex(lock: Lock) -> u64 {
    let [load, write, tls] = &OWN;
    let mutex = match lock {
        Lock::Load => load,
        Lock::Write => write,
        Lock::Tls => tls,
    };
    &raw const *mutex as u64
}

/// As pthread_mutex_lock(3), for one of rld's own.
extern "C" fn lock_own(mutex: u64) -> i32 {
    // SAFETY: the address of one of the locks above.
    unsafe { &*(mutex as *const Mutex) }.lock();
    0
}

/// As pthread_mutex_unlock(3).
extern "C" fn unlock_own(mutex: u64) -> i32 {
    // SAFETY: as above.
    unsafe { &*(mutex as *const Mutex) }.unlock();
    0
}

/// States of `header.gscope_flag` (contract 2.1).
const UNUSED: u32 = 0;
const USED: u32 = 1;
const WAIT: u32 = 2;

impl Locks {
    /// Lets locks of rld's own be the real ones: there is no libc that has any.
    pub fn use_own(&self) {
        for lock in [Lock::Load, Lock::Write, Lock::Tls] {
            self.mutex(lock).store(own_mutex(lock), Ordering::Release);
        }
        self.unlock.function.store(unlock_own as *const () as u64, Ordering::Release);
        self.lock.function.store(lock_own as *const () as u64, Ordering::Release);
        COUNTS_READERS.store(true, Ordering::Release);
        // Nobody tells when threads come.
        heap::share();
    }

    /// Learns where the locks are, and the functions that take them: from now on they are real.
    pub fn use_real(&self, layout: &Layout, global: Addr, functions: [Addr; 2]) {
        let at = &layout.rtld_global;
        let address = |offset: Option<u16>| offset.map_or(0, |offset| global.0 + u64::from(offset));
        let [lock, unlock] = functions;
        for (word, value) in [
            (&self.load, address(Some(at.load_lock))),
            (&self.write, address(Some(at.load_write_lock))),
            (&self.tls, address(at.load_tls_lock)),
            (&self.wait_place, address(at.wait_lookup_done)),
            (&self.unlock.place, address(at.rtld_unlock_recursive)),
            (&self.lock.place, address(at.rtld_lock_recursive)),
            (&self.unlock.function, unlock.0),
            (&self.lock.function, lock.0),
        ] {
            word.store(value, Ordering::Release);
        }
        self.threads.learn(layout, global);
    }

    /// Learns of libraries of another layout, whose `_rtld_global` is at `global`. The caller holds the loader's lock.
    pub fn share(&self, layout: &Layout, global: Addr) {
        let threads = Threads::default();
        threads.learn(layout, global);
        let write = global.0 + u64::from(layout.rtld_global.load_write_lock);
        let next = self.others.load(Ordering::Acquire);
        let other = Box::into_raw(Box::new(Other { write, threads, next }));
        self.others.store(other, Ordering::Release);
    }

    /// What libraries of other layouts have.
    fn others(&self) -> impl Iterator<Item = &Other> {
        // SAFETY: the pointers are null, or lead to what is never freed.
        let first = unsafe { self.others.load(Ordering::Acquire).as_ref() };
        // SAFETY: as above.
        core::iter::successors(first, |last| unsafe { last.next.as_ref() })
    }

    fn mutex(&self, lock: Lock) -> &AtomicU64 {
        match lock {
            Lock::Load => &self.load,
            Lock::Write => &self.write,
            Lock::Tls => &self.tls,
        }
    }

    fn call(&self, step: &Step, own: Function, lock: Lock) {
        let function = step.function.load(Ordering::Acquire);
        if function == 0 {
            return;
        }
        let function = match step.place.load(Ordering::Acquire) {
            0 => function,
            // SAFETY: a word of `_rtld_global`.
            place => unsafe { &*(place as *const AtomicU64) }.load(Ordering::Acquire),
        };
        // SAFETY: pthread_mutex_lock(3) or its counterpart, on one of glibc's mutexes, whose form never changes.
        let step = |mutex| unsafe { core::mem::transmute::<u64, Function>(function)(mutex) };
        match self.mutex(lock).load(Ordering::Acquire) {
            0 => own(own_mutex(lock)),
            mutex => step(mutex),
        };
        // Under their outer lock libraries look at nothing but what they call rld for.
        if lock == Lock::Write {
            self.others().for_each(|other| _ = step(other.write));
        }
    }

    /// Takes a lock until [`Locks::release`].
    pub fn acquire(&self, lock: Lock) {
        if self.seen.load(Ordering::Relaxed) != fork::generation() {
            self.recover();
        }
        self.call(&self.lock, lock_own, lock);
    }

    /// Gives a lock back.
    pub fn release(&self, lock: Lock) {
        self.call(&self.unlock, unlock_own, lock);
    }

    /// In a child of fork(2), frees what threads of the parent hold: the libc that forks resets its outer lock and its
    /// lists, but neither the inner locks nor anything of other layouts. The child has one thread when it first comes
    /// here, since the next one needs its thread-local storage.
    #[cold]
    fn recover(&self) {
        let generation = fork::generation();
        if self.seen.swap(generation, Ordering::AcqRel) == generation {
            return;
        }
        // Threads that are no more may have had a lock without their number in it: it is written after they take it,
        // and cleared before they give it back.
        let tid = thread_id();
        let free = |mutex| free_if(mutex, |owner| owner != tid);
        if COUNTS_READERS.load(Ordering::Acquire) {
            // The locks see to themselves.
            READERS.forget();
        } else {
            for lock in [Lock::Load, Lock::Write, Lock::Tls] {
                free(self.mutex(lock).load(Ordering::Acquire));
            }
        }
        if self.others.load(Ordering::Acquire).is_null() {
            return;
        }
        self.threads.free_lock();
        for other in self.others() {
            free(other.write);
            other.threads.free_lock();
        }
        let own = thread::current();
        self.each_thread(|thread| {
            if thread != own {
                forget_reader(thread);
            }
        });
    }

    /// Takes a lock for as long as the answer lives.
    #[must_use]
    pub fn hold(&self, lock: Lock) -> Held<'_> {
        self.acquire(lock);
        Held(self, lock)
    }

    /// Calls `work` with the thread pointer of every thread, under the lock of the thread lists.
    pub fn each_thread(&self, mut work: impl FnMut(Addr)) {
        self.threads.each(&mut work);
        self.others().for_each(|other| other.threads.each(&mut work));
    }

    /// Waits until no thread is looking something up that was visible before the call.
    pub fn wait_for_readers(&self) {
        if COUNTS_READERS.load(Ordering::Acquire) {
            return READERS.wait();
        }
        let own = thread::current();
        if !has_threads(own) {
            return;
        }
        let place = self.wait_place.load(Ordering::Acquire);
        if place != 0 {
            // SAFETY: a word of `_rtld_global`, with a function of libpthread's that has the lists of threads.
            let wait = unsafe { (place as *const Option<extern "C" fn()>).read() };
            return wait.map_or((), |wait| wait());
        }
        self.each_thread(|thread| {
            if thread != own {
                let flag = reading_flag(thread);
                let waits = |flag: &AtomicU32| {
                    flag.compare_exchange(USED, WAIT, Ordering::AcqRel, Ordering::Acquire)
                        .map_or_else(|state| state == WAIT, |_| true)
                };
                while waits(flag) {
                    futex_wait(flag, WAIT);
                }
            }
        });
    }
}

impl Threads {
    fn learn(&self, layout: &Layout, global: Addr) {
        let at = &layout.rtld_global;
        let address = |offset: Option<u16>| offset.map_or(0, |offset| global.0 + u64::from(offset));
        for (word, value) in [
            (&self.lists[0], address(at.stack_used)),
            (&self.lists[1], address(at.stack_user)),
            (&self.link, layout.pthread.list.into()),
            (&self.lock, address(at.stack_cache_lock)),
        ] {
            word.store(value, Ordering::Release);
        }
    }

    /// Lets the lists' lock be free.
    fn free_lock(&self) {
        let lock = self.lock.load(Ordering::Acquire);
        if lock != 0 {
            // SAFETY: glibc's low-level lock.
            unsafe { &*(lock as *const AtomicU32) }.store(0, Ordering::Release);
        }
    }

    /// Calls `work` with the thread pointer of each, or of the calling thread where nobody knows the others.
    fn each(&self, work: &mut impl FnMut(Addr)) {
        let lock = self.lock.load(Ordering::Acquire);
        if lock == 0 {
            return work(thread::current());
        }
        // SAFETY: glibc's low-level lock: 0 free, 1 taken, 2 taken with somebody waiting.
        let lock = unsafe { &*(lock as *const AtomicU32) };
        if lock.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while lock.swap(2, Ordering::Acquire) != 0 {
                futex_wait(lock, 2);
            }
        }
        for list in &self.lists {
            let head = list.load(Ordering::Acquire);
            // SAFETY: a circular list of links inside thread control blocks, which the lock keeps as it is.
            let next = |link: u64| unsafe { (link as *const u64).read() };
            let mut link = if head == 0 { head } else { next(head) };
            while link != head && link != 0 {
                work(Addr(link - self.link.load(Ordering::Acquire)));
                link = next(link);
            }
        }
        if lock.swap(0, Ordering::Release) == 2 {
            futex_wake_one(lock);
        }
    }
}

/// Frees one of glibc's mutexes if its holder is such a one; 0 is no mutex.
fn free_if(mutex: u64, holder: impl Fn(u32) -> bool) {
    if mutex == 0 {
        return;
    }
    // `pthread_mutex_t`: lock word, count, owner, users; then its kind.
    // SAFETY: one of glibc's mutexes.
    let words = unsafe { &*(mutex as *const [AtomicU32; 4]) };
    let [_, _, owner, _] = words;
    if holder(owner.load(Ordering::Acquire)) {
        words.iter().for_each(|word| word.store(0, Ordering::Release));
    }
}

/// `header.gscope_flag`: whether a thread reads what others may replace.
fn reading_flag(thread: Addr) -> &'static AtomicU32 {
    // SAFETY: the word of a thread control block, which lives while the thread does (contract 2.1).
    unsafe { &*((thread.0 + tcb::READING) as *const AtomicU32) }
}

/// Ends what a thread was reading that is no more: in a child of fork(2), its stack is used again.
pub fn forget_reader(thread: Addr) {
    reading_flag(thread).store(UNUSED, Ordering::Release);
}

/// Whether the process has had a second thread (`header.multiple_threads`, which libc sets in every thread).
fn has_threads(own: Addr) -> bool {
    // SAFETY: as above.
    unsafe { ((own.0 + tcb::MULTIPLE_THREADS) as *const u32).read_volatile() != 0 }
}

/// Keeps what this thread reads from being freed while `read` runs. A lookup that a signal handler makes inside another
/// leaves the flag to the outer one. In a process with one thread nobody else could free anything.
#[inline]
pub fn while_reading<T>(read: impl FnOnce() -> T) -> T {
    if COUNTS_READERS.load(Ordering::Acquire) {
        return READERS.while_reading(read);
    }
    let own = thread::current();
    if !has_threads(own) {
        return read();
    }
    let flag = reading_flag(own);
    // The swap is a barrier: the flag is seen before what is read is looked at.
    let outer =
        flag.load(Ordering::Relaxed) != UNUSED || flag.swap(USED, Ordering::SeqCst) != UNUSED;
    let result = read();
    if !outer && flag.swap(UNUSED, Ordering::Release) == WAIT {
        futex_wake_one(flag);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::glibc::layout::LAYOUTS;

    static TAKEN: AtomicU64 = AtomicU64::new(0);

    extern "C" fn count(mutex: u64) -> i32 {
        // SAFETY: a mutex of the test's; the count stands behind the lock.
        unsafe { &*((mutex + 4) as *const AtomicU32) }.fetch_add(1, Ordering::Relaxed);
        0
    }

    extern "C" fn uncount(mutex: u64) -> i32 {
        // SAFETY: as above.
        unsafe { &*((mutex + 4) as *const AtomicU32) }.fetch_sub(1, Ordering::Relaxed);
        0
    }

    extern "C" fn take(mutex: u64) -> i32 {
        TAKEN.store(mutex, Ordering::Relaxed);
        0
    }

    /// Contract 5.2.
    #[test]
    fn libpthread_replaces_what_counts() {
        let layout = LAYOUTS.iter().find(|it| it.minor == 31).unwrap();
        let at = &layout.rtld_global;
        let words = [const { AtomicU64::new(0) }; 512];
        let global = words.as_ptr() as u64;
        let word = |offset: Option<u16>| &words[usize::from(offset.unwrap()) / 8];
        word(at.rtld_lock_recursive).store(count as *const () as u64, Ordering::Relaxed);
        word(at.rtld_unlock_recursive).store(uncount as *const () as u64, Ordering::Relaxed);

        let locks = Locks::default();
        locks.acquire(Lock::Load);
        let counting = [count as *const () as u64, uncount as *const () as u64].map(Addr);
        locks.use_real(layout, Addr(global), counting);
        let counted = || word(Some(at.load_lock)).load(Ordering::Relaxed) >> 32;
        locks.acquire(Lock::Load);
        locks.acquire(Lock::Load);
        assert_eq!(counted(), 2);
        locks.release(Lock::Load);
        assert_eq!(counted(), 1);

        word(at.rtld_lock_recursive).store(take as *const () as u64, Ordering::Relaxed);
        locks.acquire(Lock::Write);
        assert_eq!(TAKEN.load(Ordering::Relaxed), global + u64::from(at.load_write_lock));
        assert_eq!(counted(), 1);
        // There is none for modules: it is rld's own.
        locks.acquire(Lock::Tls);
        assert_eq!(TAKEN.load(Ordering::Relaxed), global + u64::from(at.load_write_lock));
        locks.release(Lock::Tls);
    }

    #[test]
    fn a_child_frees_what_other_threads_hold() {
        let layout = LAYOUTS.iter().find(|it| it.minor == 36).unwrap();
        let words = [const { AtomicU64::new(0) }; 1024];
        let locks = Locks::default();
        let functions = [count as *const () as u64, uncount as *const () as u64].map(Addr);
        locks.use_real(layout, Addr(words.as_ptr() as u64), functions);
        let word = usize::from(layout.rtld_global.load_write_lock) / 8;
        // Taken: its holder has written its number, is about to, or is the thread that forked.
        for (owner, is_freed) in [(0, true), (thread_id() + 1, true), (thread_id(), false)] {
            words[word].store(1, Ordering::Relaxed);
            words[word + 1].store(u64::from(owner), Ordering::Relaxed);
            locks.acquire(Lock::Load);
            assert_eq!(words[word].load(Ordering::Relaxed), 1, "not a child");
            locks.seen.store(fork::generation() + 1, Ordering::Relaxed);
            locks.acquire(Lock::Load);
            assert_eq!(words[word].load(Ordering::Relaxed) == 0, is_freed, "{owner}");
        }
    }
}
