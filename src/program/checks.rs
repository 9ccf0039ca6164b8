//! What must hold before the first word is written: versions, instruction sets, the stack's permissions.
//!
//! # Safety
//!
//! The main thread's stack is made executable where the program or a library asks for it; nothing loses a permission.
#![allow(unsafe_code)]

use super::libpthread;
use super::process::Process;
use super::terms::{Stop, warn};
use super::versions;
use crate::abi::glibc::global;
use crate::addr::{Addr, PAGE, page_down};
use crate::elf::dynamic::Flags1;
use crate::elf::segment::Access;
use crate::errno::Errno;
use crate::error::{Error, Problem, Result};
use crate::linkmap::LinkMap;
use crate::object::{Object, Role};
use crate::sys::memory::{Protection, protect};
use crate::sys::stack::InitialStack;
use crate::text::Text;

/// Every version that an object needs must be defined by the library that it names.
///
/// # Errors
/// All versions that are missing, not only the first.
pub fn versions(map: &LinkMap<'_>, program: &[u8]) -> core::result::Result<(), Stop> {
    let objects = map.in_search_order().map(|(_, object)| object);
    let findings = versions::check(map, LinkMap::BASE, objects, program, false);
    let lines = findings.warnings.into_iter();
    warn(lines.map(|line| alloc::format!("{}: {line}", Text(program))));
    match findings.errors.is_empty() {
        true => Ok(()),
        false => Err(Stop::Errors(findings.errors)),
    }
}

/// The CPU must have the instruction set levels that objects are marked with (x86-64 psABI, "ISA levels").
///
/// # Errors
/// It lacks one.
pub fn instruction_sets<'o>(
    mut objects: impl Iterator<Item = &'o Object<'static>>,
    isa: u32,
    program: &[u8],
) -> Result<()> {
    match objects.find(|object| object.isa_needed & !isa != 0) {
        Some(object) => {
            let error = Error::new(object.display_name(program), Problem::LowIsa);
            Err(error.with(match object.isa_needed & !isa {
                // Bits 0 to 3 stand for the baseline and what follows it.
                lacking @ 1..=15 => alloc::format!(
                    "it is built for x86-64-v{}, which this processor does not reach",
                    lacking.ilog2() + 1
                ),
                lacking => {
                    alloc::format!("it is built for levels that rld does not know: {lacking:#x}")
                }
            }))
        }
        None => Ok(()),
    }
}

/// Whether stacks are executable: the program says, and a library can turn it on but not off. Without PT_GNU_STACK an
/// object counts as one that asks for it. The kernel has seen to the program's wish where it has mapped the program.
///
/// # Errors
/// The kernel refuses.
pub fn stack(map: &LinkMap<'_>, stack: &InitialStack, direct: bool) -> Result<bool> {
    let asks = |stack: Option<Access>| stack.is_none_or(|access| access.contains(Access::EXECUTE));
    let asking = map.in_search_order().find(|(_, object)| {
        let counts = matches!(object.role, Role::Program | Role::Library);
        counts && asks(object.segments.stack)
    });
    let Some((_, object)) = asking else { return Ok(false) };
    if object.role == Role::Library || (direct && object.segments.stack.is_some()) {
        open_main_stack(stack.address()).map_err(|errno| stack_refused(object, errno))?;
    }
    Ok(true)
}

/// What an object was asked for by, which ld.so names where it is refused.
fn asked_for<'o>(object: &'o Object<'_>) -> &'o [u8] {
    object.aliases.first().map_or(object.name.to_bytes(), |alias| alias)
}

fn stack_refused(object: &Object<'_>, errno: Errno) -> Error {
    let words = "cannot enable executable stack as shared object requires";
    let why = match object.segments.stack {
        Some(_) => "its PT_GNU_STACK asks for one",
        None => "it has no PT_GNU_STACK, which counts as asking for one",
    };
    let error = Error::system(asked_for(object), words, errno);
    error.with(why).with("if it does not need one, link it with -z noexecstack")
}

/// The same for objects that are opened at run time.
///
/// # Errors
/// The first version that is missing; the others are lines of it.
pub fn versions_of<'o>(
    map: &LinkMap<'_>,
    space: usize,
    objects: impl Iterator<Item = &'o Object<'static>>,
    program: &[u8],
) -> Result<()> {
    let mut errors = versions::check(map, space, objects, program, true).errors.into_iter();
    let Some(mut first) = errors.next() else { return Ok(()) };
    first.details.extend(errors.map(|error| alloc::format!("{error}")));
    Err(first)
}

/// DF_1_NOOPEN.
///
/// # Errors
/// The object says that it must not be opened at run time.
pub fn may_be_opened(object: &Object<'_>) -> Result<()> {
    match object.dynamic.flags_1.contains(Flags1::NOOPEN) {
        true => {
            let error = Error::words(asked_for(object), "shared object cannot be dlopen()ed");
            Err(error.with("it was linked with -z nodlopen"))
        }
        false => Ok(()),
    }
}

/// Makes all stacks executable if an object that is opened asks for it, and those of threads to come.
///
/// # Errors
/// The kernel refuses.
pub fn stacks<'o>(
    process: &Process,
    mut objects: impl Iterator<Item = &'o Object<'static>>,
) -> Result<()> {
    let asks = |object: &&Object<'_>| {
        object.segments.stack.is_none_or(|access| access.contains(Access::EXECUTE))
    };
    let (Some(object), Some(own)) = (objects.find(asks), process.projection()) else {
        return Ok(());
    };
    if global::has_executable_stacks(own.layout, &own.global) {
        return Ok(());
    }
    let refused = |errno| stack_refused(object, errno);
    // SAFETY: the variable holds the address of the main thread's stack, which is never unmapped.
    let stack_end = unsafe { (process.facts.exports.data.stack_end.0 as *const u64).read() };
    if let Some(done) = libpthread::open_stacks(process, stack_end) {
        return done.map_err(refused);
    }
    open_main_stack(Addr(stack_end)).map_err(refused)?;
    let mut failed = Ok(());
    process.locks.each_thread(|thread| {
        if thread != process.facts.main_thread {
            // SAFETY: the block of a thread whose stack libc has allocated.
            let error = unsafe { process.open_stack(thread) };
            if error != 0 {
                failed = Err(refused(Errno(error)));
            }
        }
    });
    failed?;
    process.open_new_stacks();
    Ok(())
}

/// Makes the main thread's stack executable.
pub(super) fn open_main_stack(end: Addr) -> core::result::Result<(), Errno> {
    let page = Addr(page_down(end.0));
    let protection =
        Protection::READ | Protection::WRITE | Protection::EXECUTE | Protection::GROWSDOWN;
    // SAFETY: the page is the main thread's stack, and no permission goes away.
    unsafe { protect(page, PAGE, protection) }
}
