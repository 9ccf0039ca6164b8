//! Starts musl: one call of its entry point, with a program that is made for it (`abi::musl::module`). On return it has
//! relocated itself, is bound to what the real program puts in place of its functions and variables, has the thread
//! pointer installed on the static block of the main thread, and knows the image for those of other threads.
//!
//! # Safety
//!
//! The library is mapped, and nothing of it was written. Its code runs here, on a stack of its own, in the one thread
//! of the process, which has no thread pointer yet.
#![allow(unsafe_code)]

use alloc::vec::Vec;

use super::super::prepare::largest_block;
use super::super::terms::{Own, program_name};
use super::constructors::Constructors;
use super::{Functions, Musl, enter_thread};
use crate::abi::musl::module::{self, Export, Module, Template};
use crate::abi::{musl, unknown};
use crate::addr::{Addr, ObjectId, PAGE};
use crate::arch::x86_64::RelocationKind as Kind;
use crate::errno::Errno;
use crate::error::{Error, Result};
use crate::linkmap::LinkMap;
use crate::lookup::run::Run;
use crate::lookup::scope::{Scope, Unique, Uniqueness};
use crate::lookup::{Class, Reference};
use crate::object::Object;
use crate::sys::memory::{Backing, Protection, map};
use crate::sys::stack::InitialStack;
use crate::tls;
use crate::tls::thread;

/// Bytes of the stack that musl starts on. It uses two thousand.
const STACK: u64 = 1 << 16;
/// Bytes of each thread's static block that are rld's: the word that leads to the DTV, at its lower end.
pub const OWN_TLS: u64 = 8;

/// What musl is started for.
pub struct Start<'s> {
    /// The objects.
    pub map: &'s LinkMap<'static>,
    /// Their global scope.
    pub run: &'s Run<'static, 'static>,
    /// Their static blocks.
    pub tls: &'s tls::Layout,
    /// The process's stack.
    pub stack: &'s InitialStack,
    /// What the binary has.
    pub own: &'s Own,
}

impl Start<'_> {
    /// Starts it. Returns what is to be remembered, and the thread pointer.
    ///
    /// # Errors
    /// No memory; or a build that lays out thread-local storage in another way.
    ///
    /// # Safety
    /// As this file's head says.
    pub unsafe fn carry_out(self, functions: Functions) -> Result<(Musl, Addr)> {
        let Self { map, run, tls, stack, own } = self;
        let name = program_name(stack);
        let hosted = map.hosted().and_then(|id| Some((id, map.get(id)?)));
        let Some((id, libc)) = hosted else {
            return Err(Error::words(name, "there is no C library"));
        };
        let exports = exports(id, libc, map, run);
        let image_size = module::size(&exports);
        let words = "cannot allocate TLS data structures";
        let no_room = |errno| {
            let mut error = Error::system(name, words, errno);
            error.details.extend(largest_block(map, name));
            error.with_limits(errno)
        };
        let sizes = [STACK, image_size, tls.size, tls.align];
        let size = sizes.into_iter().try_fold(0u64, u64::checked_add);
        let size = size.ok_or_else(|| no_room(Errno::ENOMEM))?;
        let start = self::map(size, Protection::READ | Protection::WRITE, Backing::Anonymous)
            .map_err(no_room)?;
        let base = Addr(start.0 + STACK);
        let image = Addr((base.0 + image_size).next_multiple_of(tls.align));
        let objects = map.objects.iter().map(|(_, object)| object);
        let module = Module {
            base,
            exports: &exports,
            template: Template { image, filled: filled(tls), size: tls.size, align: tls.align },
            stack_size: objects.map(|it| it.segments.stack_size).max().unwrap_or_default(),
            finaliser: own.musl.finalise,
        };
        let argument = stack.arguments().next().map_or(0, |name| name.as_ptr() as u64);
        let bias = Addr(libc.image.bias.0);
        let words = module.stack(argument, stack.auxiliary(), own.musl.leave, bias);
        let top = base.0 - (words.len() * size_of::<u64>()) as u64;
        let bytes = module.bytes();
        thread::begin_late(tls.size, enter_thread);
        // SAFETY: both lie in the new mapping, which stays: the words are far fewer than the stack has room for. The
        // entry point is that of a libc which was looked at, on the stack that a kernel would have left for it.
        unsafe {
            (base.0 as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            (top as *mut u64).copy_from_nonoverlapping(words.as_ptr(), words.len());
            (own.musl.enter)(top, libc.entry.0);
        }
        let thread_pointer = thread::current();
        // SAFETY: musl has installed the thread pointer; behind its own address stands that of its table of blocks.
        let blocks = unsafe { ((thread_pointer.0 + 8) as *const *const [u64; 2]).read().as_ref() };
        if blocks.is_none_or(|blocks| *blocks != [1, thread_pointer.0 - tls.size]) {
            let words =
                "this build of musl lays out thread-local storage in a way that is not known";
            return Err(Error::words(libc.name.to_bytes(), words).with(unknown::REPORT));
        }
        for (name, value) in [
            (&b"_dl_debug_addr"[..], own.exports.data.r_debug.0),
            (b"__environ", stack.envp() as u64),
        ] {
            write_variable(libc, name, value);
        }
        let musl = Musl {
            libc: id,
            functions,
            template: image,
            size: tls.size,
            has_large_files: musl::function(libc, b"fopen64").is_some(),
            main: 0.into(),
            key: 0.into(),
            constructors: Constructors::default(),
        };
        Ok((musl, thread_pointer))
    }
}

/// Sets a variable of the C library, if it has it where it can be written.
fn write_variable(libc: &Object<'_>, name: &[u8], value: u64) {
    let Some(address) = musl::function(libc, name) else { return };
    let vaddr = libc.image.bias.remove(address);
    let inside = libc.image.segments().any(|it| it.holds(vaddr, 8));
    let sealed =
        libc.segments.relro.is_some_and(|relro| vaddr.0.wrapping_sub(relro.vaddr.0) < relro.size);
    if inside && !sealed && libc.image.is_writable(vaddr) {
        // SAFETY: the word lies in a segment of the library that stays writable, and nobody has read it yet.
        unsafe { (address.0 as *mut u64).write_unaligned(value) };
    }
}

/// Bytes of the image of all static blocks: up to the last one that is not zero.
fn filled(tls: &tls::Layout) -> u64 {
    let images = tls.modules.iter().filter(|module| module.segment.filesz != 0);
    let ends =
        images.map(|module| (tls.size - module.offset).saturating_add(module.segment.filesz));
    ends.max().unwrap_or_default()
}

/// The definitions that the C library's own references are bound to, where they are not its own; those of its
/// allocator in any case, of which it notes whether they are its own.
fn exports<'m>(
    id: ObjectId,
    libc: &'m Object<'static>,
    map: &'m LinkMap<'static>,
    run: &Run<'static, 'static>,
) -> Vec<Export<'m>> {
    let tables = [libc.relocations.rela, libc.relocations.plt];
    let relocations = tables.into_iter().flat_map(|table| table.iter().collect::<Vec<_>>());
    let symbolic = relocations.filter(|it| it.symbol != 0).filter_map(|it| {
        let symbol = libc.exports.symbols.get(it.symbol as usize)?;
        let call = Kind::from_number(it.kind) == Some(Kind::JumpSlot);
        Some((libc.exports.strings.get(symbol.name)?, call))
    });
    let mut names: Vec<(&[u8], bool)> = symbolic.collect();
    names.extend([(&b"malloc"[..], true), (b"aligned_alloc", true)]);
    names.sort_unstable();
    names.dedup_by_key(|(name, _)| *name);
    let (runs, mut unique) = ([run], Unique::new());
    let mut scope = Scope::new(&runs, false, Uniqueness::Settles(&mut unique));
    let export = |(name, definition_only)| {
        let class = Class { definition_only, ..Class::default() };
        let found = scope.find(&Reference::new(name, None, class), None)?;
        let symbol = found.symbol;
        if found.object == id || symbol.is_ifunc() || symbol.is_tls() {
            return None;
        }
        let address = match symbol.is_absolute() {
            true => Addr(symbol.value),
            false => map.get(found.object)?.image.address(symbol.vaddr()),
        };
        Some(Export { name, info: symbol.raw().0, address })
    };
    names.into_iter().filter_map(export).collect()
}

impl Musl {
    /// Gives the static blocks their initial contents, which are relocated by now: those of the main thread, and the
    /// image for others.
    ///
    /// # Safety
    /// Everything is relocated, and there is one thread.
    pub unsafe fn fill_blocks(&self, tls: &tls::Layout, thread_pointer: Addr) {
        for module in tls.modules.iter().filter(|module| module.offset != 0) {
            let image = module.image.0 as *const u8;
            for end in [self.template.0 + self.size, thread_pointer.0] {
                let block = (end - module.offset) as *mut u8;
                // SAFETY: the block is part of the static area, and its image part of its object, which was checked.
                unsafe { block.copy_from_nonoverlapping(image, module.segment.filesz as usize) };
            }
        }
    }
}

const _: () = assert!(STACK.is_multiple_of(PAGE));
