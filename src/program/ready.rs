//! The last steps before the program: images of thread-local variables, libc's own start, initialisers.
//!
//! # Safety
//!
//! All objects are relocated; their code runs from here on.
#![allow(unsafe_code)]

use core::sync::atomic::Ordering;

use super::process::Process;
use super::terms::Stop;
use crate::abi::glibc;
use crate::addr::Addr;
use crate::elf::hash::sysv;
use crate::elf::version::Version;
use crate::error::Error;
use crate::image::memory::seal_relro;
use crate::init::{self, Arguments};
use crate::lookup::scope::Scope;
use crate::lookup::{Class, Reference};
use crate::object::Role;
use crate::sys::stack::InitialStack;
use crate::tls::block;

/// Makes the process ready for its entry point.
///
/// # Errors
/// An initialiser cannot be called, or rld's own data cannot be sealed.
///
/// # Safety
/// As this file's head says; called once.
pub unsafe fn make(process: &'static Process, stack: &InitialStack) -> Result<(), Stop> {
    // SAFETY: the main thread's DTV has room for all modules, whose images are relocated.
    unsafe { block::initialise(process.main_thread, &process.tls, process.generation()) };
    for (_, object) in process.map.in_search_order() {
        if !init::has_sound_arrays(object) {
            let words = "initialiser or finaliser outside the address space";
            return Err(Error::words(object.display_name(process.name), words).into());
        }
    }
    find_allocator(process);
    find_error_functions(process);
    seal_own(process)?;
    let arguments = Arguments {
        argc: i32::try_from(stack.argc()).unwrap_or(i32::MAX),
        argv: stack.argv(),
        envp: stack.envp(),
    };
    super::debugger::complete(process);
    // SAFETY: everything that code may ask for is in place.
    unsafe {
        early_init(process);
        initialise(process, arguments);
    }
    Ok(())
}

/// Looks for the allocator in the global scope, as any object's reference would be: it may be interposed.
fn find_allocator(process: &'static Process) {
    let Some(identified) = process.glibc else { return };
    const VERSION: &[u8] = b"GLIBC_2.2.5";
    let version = Version { hash: sysv(VERSION), name: VERSION, hidden: false };
    let class = Class { definition_only: true, ..Class::default() };
    let mut scope = Scope::new(process.map.in_search_order(), 0, false);
    let mut address = |name: &'static [u8]| {
        let found = scope.find(&Reference::new(name, Some(version), class), None)?;
        let object = process.map.get(found.object).filter(|_| !found.symbol.is_ifunc())?;
        Some(object.image.address(found.symbol.vaddr()).0)
    };
    let memory = &process.memory;
    // Both from the program, or both from libc: a block must go back where it came from.
    let (calloc, free) = match (address(b"calloc"), address(b"free")) {
        (Some(calloc), Some(free)) => (calloc, free),
        _ => {
            let Some(libc) = process.map.get(identified.libc) else { return };
            let function = |name: &[u8]| {
                glibc::libc_function(libc, name, VERSION).map_or(0, |Addr(address)| address)
            };
            (function(b"calloc"), function(b"free"))
        }
    };
    memory.calloc.store(calloc, Ordering::Release);
    memory.free.store(free, Ordering::Release);
}

/// Finds the functions through which libc up to 2.36 raises and catches errors.
fn find_error_functions(process: &Process) {
    let libc = process.glibc.and_then(|identified| process.map.get(identified.libc));
    let Some(libc) = libc else { return };
    let errors = &process.errors;
    for (name, function) in [
        (&b"_dl_catch_error"[..], &errors.catch_error),
        (b"_dl_catch_exception", &errors.catch_exception),
        (b"_dl_signal_error", &errors.signal_error),
        (b"_dl_signal_exception", &errors.signal_exception),
    ] {
        let address = glibc::libc_function(libc, name, b"GLIBC_PRIVATE");
        function.store(address.map_or(0, |Addr(address)| address), Ordering::Release);
    }
}

/// Makes rld's own PT_GNU_RELRO read-only, with `_rtld_global_ro` in it.
fn seal_own(process: &Process) -> Result<(), Stop> {
    let loader = process.map.by_role(Role::Loader).and_then(|id| process.map.get(id));
    let Some((loader, relro)) = loader.and_then(|own| Some((own, own.segments.relro?))) else {
        return Ok(());
    };
    // SAFETY: rld has written all that lies there.
    let sealed = unsafe { seal_relro(&loader.image, relro) };
    let words = "cannot apply additional memory protection after relocation";
    sealed.map_err(|errno| Error::system(loader.name.to_bytes(), words, errno).into())
}

/// Lets libc set itself up before any initialiser runs (contract 3.1).
///
/// # Safety
/// libc is relocated, and the thread pointer installed.
unsafe fn early_init(process: &Process) {
    let Some(identified) = process.glibc.filter(|it| it.layout.contract.early_init) else { return };
    let libc = process.map.get(identified.libc);
    let function =
        libc.and_then(|libc| glibc::libc_function(libc, b"__libc_early_init", b"GLIBC_PRIVATE"));
    if let Some(Addr(address)) = function {
        // SAFETY: the function takes a bool: whether this is the process's first libc.
        unsafe { core::mem::transmute::<u64, unsafe extern "C" fn(bool)>(address)(true) };
    }
}

/// Runs the initialisers: the program's DT_PREINIT_ARRAY, then every library after what it needs. The program's own
/// are its libc's business, or its own (contract 3.4).
///
/// # Safety
/// libc is ready.
unsafe fn initialise(process: &Process, arguments: Arguments) {
    let objects = &process.map.objects;
    let order = init::dependants_first(objects, &process.map.search_list);
    let object = |id: &crate::addr::ObjectId| objects.get(id.index());
    // SAFETY: as the caller promises, for all calls.
    unsafe {
        if let Some(program) = objects.first() {
            init::preinitialise(program, arguments);
        }
        let first = order.iter().filter(|id| object(id).is_some_and(wants_to_be_first));
        for object in first.filter_map(object) {
            init::initialise(object, arguments);
        }
        let rest = order.iter().rev().filter_map(object);
        for object in rest.filter(|object| !wants_to_be_first(object)) {
            if object.role == Role::Library {
                init::initialise(object, arguments);
            }
        }
    }
}

/// DF_1_INITFIRST.
fn wants_to_be_first(object: &crate::object::Object<'_>) -> bool {
    use crate::elf::dynamic::Flags1;
    object.role == Role::Library && object.dynamic.flags_1.contains(Flags1::INITFIRST)
}
