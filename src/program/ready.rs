//! The last steps before the program: images of thread-local variables, libc's own start, initialisers.
//!
//! # Safety
//!
//! All objects are relocated; their code runs from here on.
#![allow(unsafe_code)]

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::audit::{self, Activity};
use super::hooks;
use super::process::Process;
use super::relocate::SEAL_FAILED;
use super::terms::Stop;
use super::tracing;
use crate::abi::glibc;
use crate::abi::glibc::layout::Layout;
use crate::addr::{Addr, ObjectId};
use crate::elf::Malformed;
use crate::elf::hash::sysv;
use crate::elf::version::Version;
use crate::error::Error;
use crate::image::memory::seal_relro;
use crate::init;
use crate::linkmap::LinkMap;
use crate::lookup::scope::{Scope, Unique, Uniqueness};
use crate::lookup::{Class, Reference, told};
use crate::object::{Object, Role};
use crate::tls::thread;
use crate::trace::{self, Event, Function, How, Topics};

/// Makes the process ready for its entry point.
///
/// # Errors
/// An initialiser cannot be called, or rld's own data cannot be sealed.
///
/// # Safety
/// As this file's head says; called once.
pub unsafe fn make(process: &'static Process) -> Result<(), Stop> {
    let world = process.world();
    for (_, object) in world.map.in_search_order() {
        sound_arrays(object, process.facts.name)?;
        hooks::set(process, object);
    }
    find_allocator(process);
    find_error_functions(process);
    seal_own(process)?;
    super::debugger::complete(process);
    // SAFETY: everything that code may ask for is in place.
    unsafe {
        if let Some(layout) = process.layout() {
            early_init(libc(process), layout, true);
        }
        audit::activity_in(process, process.world(), LinkMap::BASE, Activity::Consistent);
        use_locks(process);
        tracing::end_of_start(process);
        // musl initialises itself first, when the program asks it to.
        if process.facts.musl.is_none() {
            initialise(process);
        }
    }
    Ok(())
}

/// An object's initialisers and finalisers must be addresses that can be called at all.
///
/// # Errors
/// One is not.
pub fn sound_arrays(object: &Object<'_>, program: &[u8]) -> Result<(), Error> {
    match init::unsound(object) {
        None => Ok(()),
        Some((structure, address)) => {
            let words = "initialiser or finaliser outside the address space";
            let malformed = Malformed::new(words, structure, address);
            Err(Error::malformed(object.display_name(program), malformed))
        }
    }
}

/// The program's C library.
fn libc(process: &Process) -> Option<&Object<'static>> {
    process.world().map.get(process.libc()?)
}

/// From here on other threads may exist.
fn use_locks(process: &Process) {
    let (Some(layout), Some(libc)) = (process.layout(), libc(process)) else {
        return process.locks.use_own();
    };
    const VERSION: &[u8] = b"GLIBC_2.2.5";
    let function = |name: &[u8]| glibc::libc_function(libc, name, VERSION);
    let exports = &process.facts.exports;
    let [lock, unlock] = match layout.contract.mutex_from_libc {
        true => [function(b"pthread_mutex_lock"), function(b"pthread_mutex_unlock")],
        // libpthread.so.0 puts its own in their place, if there is one (contract 5.2).
        false => exports.functions.count_lock.map(Some),
    };
    if let (Some(lock), Some(unlock)) = (lock, unlock) {
        process.locks.use_real(layout, exports.data.rtld_global, [lock, unlock]);
    }
}

/// A function of leak checkers (LeakSanitizer, alone or as a part of AddressSanitizer).
const LEAK_CHECK: &[u8] = b"__lsan_do_leak_check";

/// Looks for the allocator in the global scope, as any object's reference would be: it may be interposed.
fn find_allocator(process: &'static Process) {
    let Some(libc) = libc(process) else { return };
    const VERSION: &[u8] = b"GLIBC_2.2.5";
    let version = Version { hash: sysv(VERSION), name: VERSION, hidden: false };
    let class = Class { definition_only: true, ..Class::default() };
    let world = process.world();
    let chain = world.make_chain(LinkMap::BASE, false, &[]);
    let (mut unique, weak) = (Unique::new(), process.facts.dynamic_weak);
    let mut scope = Scope::new(chain.runs(), weak, Uniqueness::Settles(&mut unique));
    let mut look_up = |name: &'static [u8], is_told: bool| {
        let reference = Reference::new(name, Some(version), class);
        scope.visited.clear();
        let found = scope.find(&reference, None);
        if is_told
            && let Some(from) = world.map.by_role(Role::Program).and_then(|id| world.map.get(id))
        {
            let objects = &world.map.objects;
            let lookup = told::Lookup { objects, from, how: How::Own, is_protected: false };
            lookup.tell(&reference, &scope.visited, found.map(|found| found.object));
        }
        let found = found?;
        let object = world.map.get(found.object).filter(|_| !found.symbol.is_ifunc())?;
        Some(object.image.address(found.symbol.vaddr()).0)
    };
    let mut address = |name: &'static [u8]| look_up(name, told::wanted());
    let memory = &process.memory;
    // Both from the program, or both from libc: a block must go back where it came from.
    let (calloc, free) = match (address(b"calloc"), address(b"free")) {
        (Some(calloc), Some(free)) => (calloc, free),
        _ => {
            let function = |name: &[u8]| {
                glibc::libc_function(libc, name, VERSION).map_or(0, |Addr(address)| address)
            };
            (function(b"calloc"), function(b"free"))
        }
    };
    memory.calloc.store(calloc, Ordering::Release);
    memory.free.store(free, Ordering::Release);
    let environ = look_up(b"environ", false).unwrap_or_default();
    memory.environ.store(environ, Ordering::Release);
    let has_leak_checker = scope.find(&Reference::new(LEAK_CHECK, None, class), None).is_some();
    if has_leak_checker && calloc != 0 {
        thread::use_allocator(Addr(calloc), Addr(free));
    }
}

/// Finds the functions through which libc up to 2.36 raises and catches errors. They are all that rld needs of others,
/// and so what its own relocation would be.
fn find_error_functions(process: &Process) {
    let map = &process.world().map;
    let loader = map.by_role(Role::Loader).and_then(|id| map.get(id));
    let Some((libc, loader)) = libc(process).zip(loader) else { return };
    let is_needed = map.search_list().iter().any(|&id| map.by_role(Role::Loader) == Some(id));
    let object = loader.label();
    let since = trace::now();
    if is_needed {
        trace::tell(Topics::RELOC, || Event::RelocationBegins { object, lazy: false });
    }
    const VERSION: &[u8] = b"GLIBC_PRIVATE";
    let errors = &process.errors;
    for (name, function) in [
        (&b"_dl_catch_exception"[..], &errors.catch_exception),
        (b"_dl_signal_exception", &errors.signal_exception),
        (b"_dl_signal_error", &errors.signal_error),
        (b"_dl_catch_error", &errors.catch_error),
    ] {
        let address = glibc::libc_function(libc, name, VERSION);
        if address.is_some() {
            trace::tell(Topics::SYMBOLS, || Event::Lookup { symbol: name, object: libc.label() });
            trace::tell(Topics::LOOKUPS, || Event::Binding {
                symbol: name,
                version: Some(VERSION),
                from: object,
                to: Some(libc.label()),
                is_protected: false,
                how: How::Own,
            });
        }
        function.store(address.map_or(0, |Addr(address)| address), Ordering::Release);
    }
    if is_needed {
        trace::tell(Topics::RELOC, || loader.relocated(false, since));
    }
}

/// Makes rld's own PT_GNU_RELRO read-only, with `_rtld_global_ro` in it.
fn seal_own(process: &Process) -> Result<(), Stop> {
    let map = &process.world().map;
    let loader = map.by_role(Role::Loader).and_then(|id| map.get(id));
    let Some((loader, relro)) = loader.and_then(|own| Some((own, own.segments.relro?))) else {
        return Ok(());
    };
    // SAFETY: rld has written all that lies there.
    let sealed = unsafe { seal_relro(&loader.image, relro) };
    let name = loader.name.to_bytes();
    sealed.map_err(|errno| Error::system(name, SEAL_FAILED, errno).with_limits(errno).into())
}

/// Lets a libc set itself up before any initialiser runs (contract 3.1). `first` says whether it is the process's
/// first.
///
/// # Safety
/// libc is relocated, and the thread pointer installed.
pub unsafe fn early_init(libc: Option<&Object<'_>>, layout: &Layout, first: bool) {
    if !layout.contract.early_init {
        return;
    }
    let function =
        libc.and_then(|libc| glibc::libc_function(libc, b"__libc_early_init", b"GLIBC_PRIVATE"));
    if let Some(Addr(address)) = function {
        // SAFETY: the function takes a bool: whether this is the process's first libc.
        unsafe { core::mem::transmute::<u64, unsafe extern "C" fn(bool)>(address)(first) };
    }
}

/// Runs the initialisers: the program's DT_PREINIT_ARRAY, then every library after what it needs. The program's own
/// are its libc's business, or its own (contract 3.4). An initialiser may open more objects.
///
/// # Safety
/// libc is ready.
unsafe fn initialise(process: &Process) {
    let arguments = process.facts.arguments;
    let map = &process.world().map;
    let program = map.program();
    let order = init::dependants_first(&map.objects, map.search_list(), program);
    let kept: Vec<_> = order.iter().filter_map(|&id| Some((id, map.objects.share(id)?))).collect();
    let run = |(id, object): &(ObjectId, Arc<Object<'static>>)| {
        let life = process.world().life(*id);
        let is_done = life.is_some_and(|life| life.initialised.swap(true, Ordering::AcqRel));
        if matches!(object.role, Role::Library | Role::Loader) && !is_done {
            calls(Function::Initialiser, object, || {
                // SAFETY: as the caller promises; rld has no initialisers.
                unsafe { init::initialise(object, arguments) }
            });
        }
    };
    if let Some((_, program)) = kept.first()
        && program.dynamic.preinit_array.size != 0
    {
        calls(Function::Preinitialiser, program, || {
            // SAFETY: as the caller promises.
            unsafe { init::preinitialise(program, arguments) }
        });
    }
    kept.iter().filter(|(_, object)| wants_to_be_first(object)).for_each(run);
    kept.iter().rev().for_each(run);
}

/// Tells that functions of an object are called while `work` does it.
pub fn calls(function: Function, object: &Object<'_>, work: impl FnOnce()) {
    let told = trace::on(Topics::CALLS);
    if told {
        trace::emit(&Event::CallBegins { object: object.label(), function });
        trace::flush();
    }
    // What it takes to tell is not the functions'.
    let since = trace::now();
    work();
    if told {
        trace::emit(&Event::CallEnds { object: object.label(), function, since });
    }
}

/// DF_1_INITFIRST.
#[must_use]
pub fn wants_to_be_first(object: &Object<'_>) -> bool {
    use crate::elf::dynamic::Flags1;
    object.role == Role::Library && object.dynamic.flags_1.contains(Flags1::INITFIRST)
}
