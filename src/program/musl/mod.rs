//! A process whose C library is musl: how it is begun ([`host`]), what its initialisers are called by
//! ([`constructors`]), and what its threads take with them.
//!
//! # Safety
//!
//! Addresses of functions are those of the C library, whose signatures are POSIX's.
#![allow(unsafe_code)]

pub mod constructors;
pub mod host;

use core::ffi::{c_char, c_int};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::process::{Process, current};
use super::terms::Own;
use crate::abi::musl::{self, large_files};
use crate::abi::unknown;
use crate::addr::{Addr, ObjectId};
use crate::error::{Error, Result};
use crate::linkmap::LinkMap;
use crate::lookup::redefined::redefined;
use crate::lookup::{Class, Reference, one};
use crate::object::{Definition, Object};
use crate::text::Text;
use crate::tls::thread;
use constructors::Constructors;

/// What the binary has for musl.
#[derive(Clone, Copy, Debug)]
pub struct Entries {
    /// Enters the C library on a stack of its own; returns when that jumps to `leave`.
    pub enter: unsafe extern "C" fn(stack: u64, entry: u64),
    /// The entry point of the program that musl is started on.
    pub leave: Addr,
    /// That program's finaliser.
    pub finalise: Addr,
    /// For a TLS descriptor: returns the offset of a variable whose block each thread allocates.
    pub dynamic: Addr,
    /// What stands for the C library's own functions, by the order of [`FUNCTIONS`].
    pub functions: [Addr; COUNT],
}

const COUNT: usize = 10;
/// Functions of musl that know its own list of objects, which has none of the program's. libc.so itself calls none of
/// them. It is text, since pointers to text would be relocated at every start.
const FUNCTIONS: &str = "__libc_start_main __tls_get_addr _dl_debug_state dl_iterate_phdr dladdr dlclose \
                         dlerror dlinfo dlopen dlsym";

/// Finds the functions of the hosted C library that rld calls, and puts its own in the place of others. `None` where
/// there is no such library.
///
/// # Errors
/// A function is not there.
pub fn take_functions(map: &mut LinkMap<'static>, own: &Own) -> Result<Option<Functions>> {
    let Some(id) = map.hosted() else { return Ok(None) };
    let functions = map.get(id).map(Functions::find).transpose()?;
    map.change(id, |libc| replace_functions(libc, &own.musl));
    Ok(functions)
}

/// Lets what is bound to a function of [`FUNCTIONS`] in the C library be bound to rld's: they stand as absolute symbols
/// in a copy of its symbol table, which stays. So whoever interposes one still finds the library's behind it.
fn replace_functions(libc: &mut Object<'static>, entries: &Entries) {
    let names = FUNCTIONS.split_ascii_whitespace().map(str::as_bytes);
    let bytes = redefined(libc, names.zip(entries.functions));
    libc.exports.symbols = crate::elf::table::Table::new(bytes.leak());
}

/// What is remembered of musl in a process.
#[derive(Debug)]
pub struct Musl {
    /// The C library.
    pub libc: ObjectId,
    functions: Functions,
    template: Addr,
    /// Bytes of the static block of each thread.
    size: u64,
    /// Whether functions for large files have names of their own.
    has_large_files: bool,
    /// The program's `main`.
    main: AtomicU64,
    /// The key whose destructor frees what threads have, and 1; 0 as long as there is none.
    key: AtomicU32,
    /// Who has been initialised.
    pub constructors: Constructors,
}

/// Functions of the C library that rld calls.
#[derive(Clone, Copy, Debug)]
pub struct Functions {
    start_main: Addr,
    key_create: Addr,
    key_delete: Addr,
    set_specific: Addr,
}

impl Functions {
    /// Finds them, before those of rld's stand in their place.
    fn find(libc: &Object<'_>) -> Result<Self> {
        let function = |name: &'static [u8]| {
            musl::function(libc, name).ok_or_else(|| {
                let words = "this musl lacks a function that its host needs";
                let error = Error::words(libc.name.to_bytes(), words);
                error.with(alloc::format!("it is {}", Text(name))).with(unknown::REPORT)
            })
        };
        Ok(Self {
            start_main: function(b"__libc_start_main")?,
            key_create: function(b"pthread_key_create")?,
            key_delete: function(b"pthread_key_delete")?,
            set_specific: function(b"pthread_setspecific")?,
        })
    }
}

/// The type of the functions that the kernel's arguments are handed to.
pub type Main = unsafe extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) -> c_int;

impl Musl {
    /// Notes the program's `main`, and returns the C library's own function that would call it.
    pub fn start_main(&self, main: u64) -> u64 {
        self.main.store(main, Ordering::Release);
        self.functions.start_main.0
    }

    /// The program's `main`.
    #[must_use]
    pub fn program_main(&self) -> u64 {
        self.main.load(Ordering::Acquire)
    }

    /// What a name with 64 in it stands for that nothing defines: the C library's plain function.
    pub fn other_names<'m>(
        &'m self,
        map: &'m LinkMap<'static>,
    ) -> impl Fn(&[u8]) -> Option<Definition> + 'm {
        |name| {
            let plain = large_files::plain_name(name).filter(|_| !self.has_large_files)?;
            let reference = Reference::new(plain, None, Class::default());
            let (index, symbol) = one::find(&map.get(self.libc)?.exports, &reference)?;
            Some(Definition { object: self.libc, index, symbol })
        }
    }

    /// The key by which threads free what they have; made when the first thread has something.
    fn key(&self) -> Option<u32> {
        type Create = unsafe extern "C" fn(*mut u32, unsafe extern "C" fn(u64)) -> c_int;
        if let Some(key) = self.key.load(Ordering::Acquire).checked_sub(1) {
            return Some(key);
        }
        let mut key = 0;
        // SAFETY: pthread_key_create(3) and pthread_key_delete(3).
        unsafe {
            let create = core::mem::transmute::<u64, Create>(self.functions.key_create.0);
            if create(&raw mut key, leave_thread) != 0 {
                return None;
            }
            let new = self.key.compare_exchange(0, key + 1, Ordering::AcqRel, Ordering::Acquire);
            let Err(other) = new else { return Some(key) };
            // Another thread was faster.
            let delete = self.functions.key_delete.0;
            core::mem::transmute::<u64, unsafe extern "C" fn(u32) -> c_int>(delete)(key);
            Some(other - 1)
        }
    }

    /// Has [`leave_thread`] called with `pass` when the calling thread's keys are cleared the next time.
    fn await_end(&self, pass: u64) {
        let Some(key) = self.key() else { return };
        let function = self.functions.set_specific.0;
        // SAFETY: pthread_setspecific(3). Without memory the thread's blocks outlive it.
        unsafe {
            core::mem::transmute::<u64, unsafe extern "C" fn(u32, u64) -> c_int>(function)(
                key, pass,
            );
        }
    }
}

/// The state of musl in this process.
#[must_use]
pub fn state() -> Option<(&'static Process, &'static Musl)> {
    let process = current()?;
    Some((process, process.facts.musl.as_ref()?))
}

/// The calling thread has got its DTV, which is to go when it ends.
extern "C" fn enter_thread() {
    if let Some((_, musl)) = state() {
        musl.await_end(1);
    }
}

/// How often destructors of keys are called (PTHREAD_DESTRUCTOR_ITERATIONS).
const PASSES: u64 = 4;

/// The calling thread is ending. What other keys' destructors do may still use thread-local variables: these go in the
/// last pass.
///
/// # Safety
/// Called by musl for a thread that has a DTV.
unsafe extern "C" fn leave_thread(pass: u64) {
    if pass < PASSES {
        if let Some((_, musl)) = state() {
            musl.await_end(pass + 1);
        }
        return;
    }
    // SAFETY: the thread runs no more code of objects.
    unsafe { thread::release(thread::current()) };
}
