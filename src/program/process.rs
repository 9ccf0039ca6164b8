//! The state of a started process, and what programs ask of their loader while they run.
//!
//! # Safety
//!
//! The state is made once, before any code of the program runs, leaked, and reached through one atomic pointer. What
//! changes later is atomic. Functions that follow pointers of the caller are `unsafe`.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use super::symbols::FoundVersion;
use crate::abi::glibc::fields::Fields;
use crate::abi::glibc::link_maps::{self, LinkMaps};
use crate::abi::glibc::{self, exports::Exports};
use crate::addr::{Addr, ObjectId};
use crate::env::tunables::{Value, Values};
use crate::init;
use crate::linkmap::LinkMap;
use crate::object::{Object, Role};
use crate::sys::memory::{Protection, protect};
use crate::text::Text;
use crate::tls;
use crate::tls::block::{self, Slot};

/// A started process.
pub struct Process {
    /// The objects.
    pub map: LinkMap<'static>,
    /// The order in which they are visible.
    pub visible: Vec<ObjectId>,
    /// Thread-local storage.
    pub tls: tls::Layout,
    /// The program's name, `argv[0]`.
    pub name: &'static [u8],
    /// The C library, if the program uses glibc.
    pub glibc: Option<glibc::Identified>,
    /// The link maps that others see.
    pub link_maps: LinkMaps,
    /// The tunables by the numbers that libc knows.
    pub tunables: Values<'static>,
    /// Addresses of what rld exports.
    pub exports: Exports,
    /// The main thread's thread pointer.
    pub main_thread: Addr,
    /// Bytes of the thread control block.
    pub tcb_size: u64,
    /// Where code is, sorted by address.
    code: Vec<Code>,
    /// The program's calloc(3) and free(3), once it can be asked for memory.
    pub memory: Memory,
    /// libc's functions for raising and catching errors.
    pub errors: Errors,
    finalised: AtomicBool,
}

/// The functions with which libc raises and catches its loader's errors (contract 7.1). 0 where libc has none.
#[derive(Debug, Default)]
pub struct Errors {
    /// `_dl_catch_error`.
    pub catch_error: AtomicU64,
    /// `_dl_catch_exception`.
    pub catch_exception: AtomicU64,
    /// `_dl_signal_error`.
    pub signal_error: AtomicU64,
    /// `_dl_signal_exception`.
    pub signal_exception: AtomicU64,
}

/// The allocator that the program uses, which may not be libc's (contract 8.5). 0 where there is none yet.
#[derive(Debug, Default)]
pub struct Memory {
    /// calloc(3).
    pub calloc: AtomicU64,
    /// free(3).
    pub free: AtomicU64,
}

/// One object's place, for unwinders (contract 7, `struct dl_find_object`).
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// The object's link map.
    pub link_map: u64,
    /// PT_GNU_EH_FRAME; 0 if there is none.
    pub eh_frame: u64,
    /// The object.
    pub object: ObjectId,
}

static CURRENT: AtomicPtr<Process> = AtomicPtr::new(core::ptr::null_mut());

/// The process that this copy of rld has started, as soon as foreign code may run.
#[must_use]
pub fn current() -> Option<&'static Process> {
    // SAFETY: the pointer is null or comes from `Process::publish`, which leaks what it points to.
    unsafe { CURRENT.load(Ordering::Acquire).as_ref() }
}

impl Process {
    /// A process with these objects, whose code has not run yet.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "one call, which names them all")]
    pub fn new(
        map: LinkMap<'static>,
        visible: Vec<ObjectId>,
        tls: tls::Layout,
        name: &'static [u8],
        glibc: Option<glibc::Identified>,
        link_maps: LinkMaps,
        tunables: Values<'static>,
        exports: Exports,
        main_thread: Addr,
        tcb_size: u64,
    ) -> Self {
        let mut code: Vec<Code> = visible
            .iter()
            .filter_map(|&id| Some(place(id, map.get(id)?, link_maps.address(id))))
            .collect();
        code.sort_unstable_by_key(|code| code.start);
        let memory = Memory::default();
        Self {
            map,
            visible,
            tls,
            name,
            glibc,
            link_maps,
            tunables,
            exports,
            main_thread,
            tcb_size,
            code,
            memory,
            errors: Errors::default(),
            finalised: AtomicBool::new(false),
        }
    }

    /// Makes this the process that [`current`] returns, for good.
    #[must_use]
    pub fn publish(self) -> &'static Self {
        let this = Box::leak(Box::new(self));
        CURRENT.store(this, Ordering::Release);
        this
    }

    /// The object whose mapping holds `address`. Takes no lock: unwinders ask from signal handlers.
    #[must_use]
    pub fn find_code(&self, address: u64) -> Option<&Code> {
        let after = self.code.partition_point(|code| code.start <= address);
        self.code.get(after.checked_sub(1)?).filter(|code| address < code.end)
    }

    /// Runs the finalisers of all objects, dependants first, once (contract 3.5).
    ///
    /// # Safety
    /// Called when the program exits, on a thread of it.
    pub unsafe fn finalise(&self) {
        if self.finalised.swap(true, Ordering::AcqRel) {
            return;
        }
        for id in init::dependants_first(&self.map.objects, &self.visible) {
            let object = self.map.get(id).filter(|object| has_finalisers(object));
            if let Some(object) = object {
                // SAFETY: the object is initialised, and what needs it was finalised before.
                unsafe { init::finalise(object) };
            }
        }
    }

    /// Gives a new thread its DTV and static blocks. `thread_pointer` is a zeroed thread control block on top of enough
    /// room for the static blocks, or 0 to have all of it allocated. Returns the thread pointer; 0 without memory.
    ///
    /// # Safety
    /// As said.
    #[must_use]
    pub unsafe fn allocate_tls(&self, thread_pointer: Addr) -> Addr {
        let slots = block::dtv_slots(self.tls.modules.len() as u64);
        let dtv = self.calloc(slots * size_of::<Slot>() as u64).cast::<Slot>();
        if dtv.is_null() {
            return Addr(0);
        }
        let thread_pointer = match thread_pointer {
            Addr(0) => self.allocate_block(),
            given => given,
        };
        if thread_pointer == Addr(0) {
            self.free(dtv as u64);
            return thread_pointer;
        }
        // SAFETY: the DTV has that many slots, and the block is the caller's or new.
        unsafe {
            block::install_dtv(thread_pointer, dtv, slots);
            block::initialise(thread_pointer, &self.tls, self.generation());
        }
        thread_pointer
    }

    /// Static blocks with a thread control block on top, from the program's allocator. What free(3) needs later stands
    /// behind the control block.
    fn allocate_block(&self) -> Addr {
        let Some(size) = [self.tls.size, self.tcb_size, self.tls.align, 8]
            .into_iter()
            .try_fold(0u64, u64::checked_add)
        else {
            return Addr(0);
        };
        let memory = self.calloc(size) as u64;
        if memory == 0 {
            return Addr(0);
        }
        let thread_pointer = Addr((memory + self.tls.size).next_multiple_of(self.tls.align));
        // SAFETY: the allocation has room for the word behind the control block.
        unsafe { block::set_word(thread_pointer, self.tcb_size, memory) };
        thread_pointer
    }

    /// Resets a thread's DTV and static blocks, when libc uses a stack again.
    ///
    /// # Safety
    /// The thread control block has a DTV of [`Process::allocate_tls`], and its thread does not run.
    pub unsafe fn reset_tls(&self, thread_pointer: Addr) {
        // SAFETY: as the caller promises.
        unsafe { block::initialise(thread_pointer, &self.tls, self.generation()) };
    }

    /// Frees a thread's DTV, and with `block` what [`Process::allocate_tls`] has allocated for it.
    ///
    /// # Safety
    /// The thread has ended.
    pub unsafe fn free_tls(&self, thread_pointer: Addr, with_block: bool) {
        // SAFETY: the thread had a DTV, whose memory starts one slot before slot 0; blocks that were allocated one by
        // one say what to free.
        unsafe {
            let dtv = block::dtv(thread_pointer);
            let first = dtv.sub(1);
            for slot in 1..=(*first).value {
                self.free((*dtv.add(slot as usize)).to_free);
            }
            if thread_pointer != self.main_thread {
                self.free(first as u64);
                if with_block {
                    self.free(((thread_pointer.0 + self.tcb_size) as *const u64).read());
                }
            }
        }
    }

    /// The generation that a thread has seen when it knows all modules.
    #[must_use]
    pub fn generation(&self) -> u64 {
        u64::from(!self.tls.modules.is_empty())
    }

    /// A tunable by the number that libc knows it by, and whether the user has set it.
    #[must_use]
    pub fn tunable(&self, id: u32) -> Option<(Value<'static>, bool)> {
        let known = glibc::tunables(self.glibc?.layout);
        if known.is_empty() { None } else { self.tunables.by_id(id) }
    }

    /// The link map of an object that goes by `name`; of the program for an empty name.
    #[must_use]
    pub fn loaded(&self, name: &[u8]) -> Option<u64> {
        let id = match name {
            b"" => *self.visible.first()?,
            name => self.map.by_name(name)?,
        };
        Some(self.link_maps.address(id)).filter(|&address| address != 0)
    }

    /// The name, for messages, of the object with this link map.
    #[must_use]
    pub fn object_name(&self, link_map: u64) -> &CStr {
        let object = self.link_maps.object(link_map).and_then(|id| self.map.get(id));
        match object {
            // SAFETY: `name` is argv[0], whose NUL stands behind it.
            Some(object) if object.role == Role::Program && !self.name.is_empty() => unsafe {
                CStr::from_ptr(self.name.as_ptr().cast())
            },
            object => object.map_or(c"", |object| &object.name),
        }
    }

    /// Writes the words for a lookup that found nothing. Allocates nothing: the caller is left by a jump.
    ///
    /// # Safety
    /// `version` is null or a version in glibc's form.
    pub unsafe fn undefined_symbol(
        &self,
        name: &CStr,
        version: *const FoundVersion,
        to: &mut impl Write,
    ) {
        // SAFETY: as the caller promises.
        let version = unsafe { version.as_ref() };
        let _ = write!(to, "undefined symbol: {}", Text(name.to_bytes()));
        if let Some(version) = version {
            let _ = write!(to, ", version {}", Text(version.name()));
        }
    }

    /// Where `cpu_features` is.
    #[must_use]
    pub fn cpu_features(&self) -> Addr {
        let offset = self.glibc.map_or(0, |it| it.layout.rtld_global_ro.x86_cpu_features);
        Addr(self.exports.data.rtld_global_ro.0 + u64::from(offset))
    }

    /// Makes a thread's stack executable, above its guard; returns 0 or an error number.
    ///
    /// # Safety
    /// `thread` is the block of a thread whose stack libc has allocated.
    #[must_use]
    pub unsafe fn open_stack(&self, thread: Addr) -> i32 {
        let Some(identified) = self.glibc else { return libc::EINVAL };
        let at = &identified.layout.pthread;
        // SAFETY: the block is as large as the layout says.
        let block = unsafe { Fields::new(thread.0 as *mut u8, at.size.into()) };
        let word = |offset| block.get::<u64>(offset).unwrap_or_default();
        // The guard's size follows that of the stack in every release.
        let (start, size) = (word(at.stackblock), word(at.stackblock_size));
        let guard = word(at.stackblock_size + 8);
        let protection = Protection::READ | Protection::WRITE | Protection::EXECUTE;
        // SAFETY: the range is the thread's stack, and no permission goes away.
        match unsafe { protect(Addr(start + guard), size.saturating_sub(guard), protection) } {
            Ok(()) => 0,
            Err(errno) => errno.0,
        }
    }

    /// Memory from the program's allocator, zeroed; null where there is none.
    #[must_use]
    pub fn calloc(&self, size: u64) -> *mut u8 {
        let function = self.memory.calloc.load(Ordering::Acquire);
        if function == 0 {
            return core::ptr::null_mut();
        }
        // SAFETY: the address is that of the program's calloc.
        unsafe {
            core::mem::transmute::<u64, unsafe extern "C" fn(usize, usize) -> *mut u8>(function)(
                1,
                size as usize,
            )
        }
    }

    /// Gives memory back to the program's allocator; 0 is nothing.
    pub fn free(&self, pointer: u64) {
        let function = self.memory.free.load(Ordering::Acquire);
        if function != 0 && pointer != 0 {
            // SAFETY: the address is that of the program's free, and the pointer came from its calloc.
            unsafe { core::mem::transmute::<u64, unsafe extern "C" fn(u64)>(function)(pointer) };
        }
    }
}

fn has_finalisers(object: &Object<'_>) -> bool {
    !matches!(object.role, Role::Loader | Role::Vdso)
}

fn place(id: ObjectId, object: &Object<'_>, link_map: u64) -> Code {
    let (start, end) = link_maps::extent(object);
    let eh_frame = object.segments.eh_frame;
    let eh_frame = eh_frame.map_or(0, |span| object.image.address(span.vaddr).0);
    Code { start, end, link_map, eh_frame, object: id }
}
