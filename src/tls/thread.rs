//! What a thread has of thread-local storage: its DTV, its blocks, and what the loader remembers for it.
//!
//! The DTV is an array of 16-byte slots. Slot −1 holds how many module slots follow slot 0, slot 0 the generation that
//! the thread has seen, slot *m* the address of module *m*'s block (contract 2.4: libc walks it, so the form is not
//! ours to choose). libc frees what stands in a slot's second word, so rld leaves it 0 and frees its blocks itself: the
//! second word of slot −1, which libc leaves alone, leads to a [`Record`] of them.
//!
//! The memory is rld's own, unless there is a leak checker: those look for pointers in memory of the program's
//! allocator alone. A thread may use a variable for the first time in a signal handler, or in the program's
//! malloc(3): signals are blocked while the heap is used, and nobody's malloc is called.
//!
//! # Safety
//!
//! Functions here take a thread pointer: the caller says that it is one, and whose. A DTV and the blocks in it are
//! changed by their thread alone, or when that does not run.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicU64, Ordering};

use super::modules::{self, Shape};
use crate::addr::Addr;
use crate::arch::x86_64::tcb;
use crate::heap::{Arena, Heap, Pages};
use crate::sys::process::with_signals_blocked;

/// Slots that a new DTV has beyond the modules there are, so that the first libraries opened later need no new one.
const SPARE_SLOTS: u64 = 14;

/// What a slot holds whose block is not allocated.
pub const UNALLOCATED: u64 = u64::MAX;

/// One slot of a DTV.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The block, or a count.
    value: u64,
    /// What libc gives to free(3); here 0, or in slot −1 the record.
    second: u64,
}

#[unsafe(link_section = ".bss.arena.1")]
static ARENA: Arena<4096> = Arena::new();
static NO_RESERVE: Arena<0> = Arena::new();
/// Memory for all threads.
static HEAP: Heap = Heap::new(&ARENA, &NO_RESERVE, Pages::Small);

/// The program's calloc(3) and free(3), where blocks are to come from them; 0 where not.
static CALLOC: AtomicU64 = AtomicU64::new(0);
static FREE: AtomicU64 = AtomicU64::new(0);

/// Where a thread's DTV stands, from its thread pointer on. musl has one of its own in the usual place.
pub static DTV: AtomicU64 = AtomicU64::new(tcb::DTV);
/// What is called for a thread that libc has started, when it gets its DTV; 0 for nothing.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// Lets DTVs stand `below` thread pointers, in memory that libc gives to every thread, all zero. Each thread gets its
/// DTV when it needs it, and `started` is called for it.
pub fn begin_late(below: u64, started: extern "C" fn()) {
    STARTED.store(started as *const () as u64, Ordering::Release);
    DTV.store(below.wrapping_neg(), Ordering::Release);
}

/// Has blocks allocated by the program's calloc(3), and given back to its free(3).
pub fn use_allocator(calloc: Addr, free: Addr) {
    FREE.store(free.0, Ordering::Release);
    CALLOC.store(calloc.0, Ordering::Release);
}

/// Memory for a block, zeroed, and whether it is the program's.
fn allocate_for_block(size: usize) -> (*mut u8, bool) {
    match CALLOC.load(Ordering::Acquire) {
        0 => (allocate(size), false),
        // SAFETY: the address is that of the program's calloc.
        calloc => unsafe {
            let calloc =
                core::mem::transmute::<u64, unsafe extern "C" fn(usize, usize) -> *mut u8>(calloc);
            (calloc(1, size), true)
        },
    }
}

/// # Safety
/// Nobody uses the block any more.
unsafe fn free_memory(block: &Block) {
    // SAFETY: as the caller promises; the memory goes back where it came from.
    unsafe {
        match block.is_foreign {
            false => free(block.memory, block.size),
            true => {
                let function = FREE.load(Ordering::Acquire);
                let function = core::mem::transmute::<u64, unsafe extern "C" fn(*mut u8)>(function);
                function(block.memory);
            }
        }
    }
}

/// What the loader remembers for one thread.
#[repr(C)]
struct Record {
    /// The blocks that were allocated one by one.
    blocks: Option<NonNull<Block>>,
    /// What dlerror(3) will say.
    error: Message,
}

/// Room for the words of an error, which is kept from one to the next.
struct Message {
    text: *mut u8,
    room: usize,
    /// Bytes of the words, without the NUL behind them.
    len: usize,
    state: Said,
}

/// How a message stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// There is none.
    Nothing,
    /// dlerror(3) has not asked for it.
    Waiting,
    /// dlerror(3) has returned it.
    Returned,
}

/// Stands before a block.
#[repr(C)]
struct Block {
    next: Option<NonNull<Block>>,
    previous: Option<NonNull<Block>>,
    memory: *mut u8,
    size: usize,
    /// The block itself.
    address: u64,
    /// The memory came from the program's calloc(3).
    is_foreign: bool,
}

/// The calling thread's pointer.
#[inline]
#[must_use]
pub fn current() -> Addr {
    let pointer: u64;
    // SAFETY: the thread pointer's first word is its own address (psABI).
    unsafe {
        core::arch::asm!("mov {}, qword ptr fs:[0]", out(reg) pointer, options(nostack, readonly, pure));
    }
    Addr(pointer)
}

fn bytes(size: usize) -> Option<Layout> {
    Layout::from_size_align(size, 16).ok()
}

fn allocate(size: usize) -> *mut u8 {
    // SAFETY: no size here is zero.
    bytes(size).map_or(null_mut(), |layout| unsafe { HEAP.alloc_zeroed(layout) })
}

/// # Safety
/// `pointer` came from [`allocate`] with this size.
unsafe fn free(pointer: *mut u8, size: usize) {
    if let Some(layout) = bytes(size) {
        // SAFETY: as the caller promises.
        unsafe { HEAP.dealloc(pointer, layout) };
    }
}

/// The word that leads to a thread's DTV.
fn dtv_word(thread: Addr) -> *mut *mut Slot {
    thread.0.wrapping_add(DTV.load(Ordering::Relaxed)) as *mut *mut Slot
}

/// # Safety
/// A DTV is installed, or the thread gets it late: then the answer may be null.
unsafe fn dtv(thread: Addr) -> *mut Slot {
    // SAFETY: as the caller promises.
    unsafe { dtv_word(thread).read() }
}

/// Gives a thread that libc has started its DTV, if it has none yet. It knows no block: those that are static are the
/// thread's already, with their initial contents.
///
/// # Safety
/// As for [`block`].
unsafe fn begin(thread: Addr) -> Option<()> {
    // SAFETY: as the caller promises.
    unsafe {
        if !dtv(thread).is_null() {
            return Some(());
        }
        if !install(thread) {
            return None;
        }
        let dtv = dtv(thread);
        for id in 1..=(*dtv.sub(1)).value {
            *dtv.add(id as usize) = Slot { value: UNALLOCATED, second: 0 };
        }
        let started = STARTED.load(Ordering::Acquire);
        if started != 0 {
            core::mem::transmute::<u64, extern "C" fn()>(started)();
        }
    }
    Some(())
}

fn dtv_bytes(modules: u64) -> usize {
    (modules as usize + 2) * size_of::<Slot>()
}

/// Allocates a DTV for all modules there are and some more.
fn new_dtv() -> *mut Slot {
    let modules = modules::highest() + SPARE_SLOTS;
    let memory = allocate(dtv_bytes(modules)).cast::<Slot>();
    if memory.is_null() {
        return memory;
    }
    // SAFETY: the memory has room for slot −1 and slot 0.
    unsafe {
        (*memory).value = modules;
        memory.add(1)
    }
}

/// # Safety
/// `dtv` came from [`new_dtv`], and no thread uses it.
unsafe fn free_dtv(dtv: *mut Slot) {
    // SAFETY: as the caller promises; slot −1 holds the size.
    unsafe { free(dtv.sub(1).cast(), dtv_bytes((*dtv.sub(1)).value)) };
}

/// Gives a thread its DTV, with all static blocks in it. Returns false without memory.
///
/// # Safety
/// `thread` is a thread control block on top of the static area, of a thread that does not run.
#[must_use]
pub unsafe fn install(thread: Addr) -> bool {
    let dtv = with_signals_blocked(new_dtv);
    if dtv.is_null() {
        return false;
    }
    // SAFETY: as the caller promises.
    unsafe { dtv_word(thread).write(dtv) };
    true
}

/// Enters the static blocks in the DTV and gives them their initial contents.
///
/// # Safety
/// A DTV is installed; the static area is writable, and the images of all modules are mapped. The thread does not run,
/// or has not used thread-local variables.
pub unsafe fn initialise(thread: Addr) {
    let generation = modules::generation();
    // SAFETY: as the caller promises.
    unsafe {
        let dtv = dtv(thread);
        (*dtv).value = generation;
        for id in 1..=(*dtv.sub(1)).value {
            let block = match modules::shape(id) {
                Some(shape) if shape.size != 0 && shape.offset != 0 => {
                    let block = thread.0 - shape.offset;
                    fill(block, &shape);
                    block
                }
                _ => UNALLOCATED,
            };
            *dtv.add(id as usize) = Slot { value: block, second: 0 };
        }
    }
}

/// Gives a block its initial contents: the image, then zeros.
///
/// # Safety
/// The block is writable and as large as the shape says; the image is mapped.
pub unsafe fn fill(block: u64, shape: &Shape) {
    let (block, size) = (block as *mut u8, shape.image_size as usize);
    // SAFETY: as the caller promises; an image is never larger than its block.
    unsafe {
        core::ptr::copy_nonoverlapping(shape.image as *const u8, block, size);
        block.add(size).write_bytes(0, shape.size as usize - size);
    }
}

/// The address of a thread-local variable of the calling thread, whose DTV does not have it yet. Ends the process
/// without memory: the code that asks cannot be told.
///
/// # Safety
/// A DTV is installed, and the module exists.
#[must_use]
pub unsafe fn address(module: u64, offset: u64) -> u64 {
    // SAFETY: the calling thread's own DTV.
    let block = with_signals_blocked(|| unsafe { block(current(), module) });
    block.unwrap_or_else(|| {
        let words = concat!(
            "cannot allocate memory for thread-local data: ABORT\n",
            "\tmemory is used up, or a limit (ulimit -v, vm.max_map_count)\n",
        );
        crate::sys::file::write_all(2, words.as_bytes());
        crate::sys::process::exit(127)
    }) + offset
}

/// # Safety
/// As for [`address`]; signals are blocked.
unsafe fn block(thread: Addr, module: u64) -> Option<u64> {
    // SAFETY: as the caller promises.
    unsafe {
        begin(thread)?;
        update(thread, module)?;
        let slot = dtv(thread).add(module as usize);
        if (*slot).value == UNALLOCATED {
            let shape = modules::shape(module)?;
            (*slot).value = match modules::allocates(module) {
                Ok(()) => allocate_block(thread, &shape)?,
                Err(offset) => thread.0 - offset,
            };
        }
        Some((*slot).value)
    }
}

/// Brings a DTV up to date: room for `module`, and no block of a module that has changed.
///
/// # Safety
/// As for [`block`].
unsafe fn update(thread: Addr, module: u64) -> Option<()> {
    let generation = modules::generation();
    // With its generation a DTV promises room for all modules: nobody looks at its length.
    let modules = modules::highest().max(module);
    // SAFETY: as the caller promises.
    unsafe {
        let mut dtv = dtv(thread);
        let (count, seen) = ((*dtv.sub(1)).value, (*dtv).value);
        for id in 1..=count {
            let slot = dtv.add(id as usize);
            let changed = || modules::shape(id).is_some_and(|shape| shape.generation > seen);
            if (*slot).value != UNALLOCATED && changed() {
                free_block(thread, (*slot).value);
                (*slot).value = UNALLOCATED;
            }
        }
        if count < modules {
            let larger = new_dtv();
            if larger.is_null() || (*larger.sub(1)).value < modules {
                return None;
            }
            let length = (*larger.sub(1)).value;
            core::ptr::copy_nonoverlapping(dtv, larger, count as usize + 1);
            (*larger.sub(1)).second = (*dtv.sub(1)).second;
            for id in count + 1..=length {
                *larger.add(id as usize) = Slot { value: UNALLOCATED, second: 0 };
            }
            dtv_word(thread).write(larger);
            free_dtv(dtv);
            dtv = larger;
        }
        (*dtv).value = generation;
    }
    Some(())
}

/// # Safety
/// As for [`block`].
unsafe fn allocate_block(thread: Addr, shape: &Shape) -> Option<u64> {
    let align = shape.align.max(16);
    let size = [size_of::<Block>() as u64, shape.size, align]
        .into_iter()
        .try_fold(align, u64::checked_add)?;
    let size = usize::try_from(size).ok()?;
    // SAFETY: as the caller promises; the memory has room for header, alignment and block.
    unsafe {
        let record = record(thread)?.as_ptr();
        let (memory, is_foreign) = allocate_for_block(size);
        if memory.is_null() {
            return None;
        }
        let lowest = memory as u64 + size_of::<Block>() as u64;
        let address = lowest.next_multiple_of(align) + (shape.skew & (shape.align - 1));
        fill(address, shape);
        let header = header(address);
        let next = (*record).blocks;
        header.write(Block { next, previous: None, memory, size, address, is_foreign });
        let this = NonNull::new(header);
        if let Some(next) = next {
            (*next.as_ptr()).previous = this;
        }
        (*record).blocks = this;
        Some(address)
    }
}

/// Where a block's header is.
fn header(address: u64) -> *mut Block {
    ((address - size_of::<Block>() as u64) & !7) as *mut Block
}

/// Frees a block that was allocated one by one; a static one stays.
///
/// # Safety
/// As for [`block`]; nobody uses the block any more.
unsafe fn free_block(thread: Addr, address: u64) {
    // SAFETY: as the caller promises; the list holds all blocks that were allocated.
    unsafe {
        let Some(record) = existing_record(thread) else { return };
        let mut next = (*record.as_ptr()).blocks;
        while let Some(block) = next {
            let block = block.read();
            let Block { next: after, previous, .. } = block;
            next = after;
            if block.address != address {
                continue;
            }
            match previous {
                Some(previous) => (*previous.as_ptr()).next = after,
                None => (*record.as_ptr()).blocks = after,
            }
            if let Some(after) = after {
                (*after.as_ptr()).previous = previous;
            }
            free_memory(&block);
            return;
        }
    }
}

/// Where this thread's block of a module is; 0 if it has none yet. Allocates nothing.
///
/// # Safety
/// A DTV is installed in the calling thread.
#[must_use]
pub unsafe fn existing_block(module: u64) -> u64 {
    let (thread, Some(shape)) = (current(), modules::shape(module)) else { return 0 };
    if shape.size == 0 {
        return 0;
    }
    if shape.offset != 0 {
        return thread.0 - shape.offset;
    }
    // SAFETY: as the caller promises.
    unsafe {
        let dtv = dtv(thread);
        if dtv.is_null() || (*dtv.sub(1)).value < module || (*dtv).value < shape.generation {
            return 0;
        }
        match (*dtv.add(module as usize)).value {
            UNALLOCATED => 0,
            block => block,
        }
    }
}

/// # Safety
/// A DTV is installed.
unsafe fn existing_record(thread: Addr) -> Option<NonNull<Record>> {
    // SAFETY: as the caller promises; the word is 0 or a record's address.
    unsafe {
        let dtv = NonNull::new(dtv(thread))?;
        NonNull::new((*dtv.as_ptr().sub(1)).second as *mut Record)
    }
}

/// # Safety
/// As for [`block`].
unsafe fn record(thread: Addr) -> Option<NonNull<Record>> {
    // SAFETY: as the caller promises.
    unsafe {
        if let Some(record) = existing_record(thread) {
            return Some(record);
        }
        begin(thread)?;
        let record = NonNull::new(allocate(size_of::<Record>()).cast::<Record>())?;
        record.write(Record { blocks: None, error: Message::NONE });
        (*dtv(thread).sub(1)).second = record.as_ptr() as u64;
        Some(record)
    }
}

/// Forgets what dlerror(3) would have said to the calling thread.
#[inline]
pub fn clear_error() {
    // SAFETY: the calling thread's own record.
    unsafe {
        if let Some(record) = existing_record(current()) {
            (*record.as_ptr()).error.state = Said::Nothing;
        }
    }
}

/// Keeps words for dlerror(3). Without memory they are lost.
pub fn set_error(words: fmt::Arguments<'_>) {
    // SAFETY: the calling thread's own record.
    unsafe {
        let thread = current();
        let existing = existing_record(thread);
        let Some(record) = existing.or_else(|| with_signals_blocked(|| record(thread))) else {
            return;
        };
        let message = &mut (*record.as_ptr()).error;
        message.len = 0;
        message.state = Said::Nothing;
        if fmt::write(message, words).is_ok() && message.make_room(0) {
            message.text.add(message.len).write(0);
            message.state = Said::Waiting;
        }
    }
}

impl Message {
    const NONE: Self = Self { text: null_mut(), room: 0, len: 0, state: Said::Nothing };

    /// Makes room for more bytes and a NUL.
    fn make_room(&mut self, more: usize) -> bool {
        let Some(needed) = self.len.checked_add(more).and_then(|len| len.checked_add(1)) else {
            return false;
        };
        if needed <= self.room {
            return true;
        }
        let room = needed.next_power_of_two().max(256);
        with_signals_blocked(|| {
            let text = allocate(room);
            if text.is_null() {
                return false;
            }
            // SAFETY: the old text was allocated with its room, and the new one is longer.
            unsafe {
                text.copy_from_nonoverlapping(self.text, self.len);
                self.release();
            }
            (self.text, self.room) = (text, room);
            true
        })
    }

    /// # Safety
    /// Nobody uses the text any more; signals are blocked.
    unsafe fn release(&mut self) {
        if self.room != 0 {
            // SAFETY: the text was allocated with its room.
            unsafe { free(self.text, self.room) };
            self.room = 0;
        }
    }
}

impl fmt::Write for Message {
    fn write_str(&mut self, words: &str) -> fmt::Result {
        if !self.make_room(words.len()) {
            return Err(fmt::Error);
        }
        // SAFETY: the text has room for the words.
        unsafe { self.text.add(self.len).copy_from_nonoverlapping(words.as_ptr(), words.len()) };
        self.len += words.len();
        Ok(())
    }
}

/// The words for dlerror(3), which has them once; null when there are none.
#[must_use]
pub fn take_error() -> *const u8 {
    // SAFETY: the calling thread's own record.
    unsafe {
        let Some(record) = existing_record(current()) else { return core::ptr::null() };
        let error = &mut (*record.as_ptr()).error;
        match error.state {
            Said::Waiting => {
                error.state = Said::Returned;
                error.text
            }
            _ => core::ptr::null(),
        }
    }
}

/// Frees all that a thread has but its DTV, and starts it anew: libc uses its stack again.
///
/// # Safety
/// The thread has ended, and its thread control block has a DTV of [`install`].
pub unsafe fn reset(thread: Addr) {
    // SAFETY: as the caller promises.
    unsafe {
        free_record(thread);
        let small = (*dtv(thread).sub(1)).value < modules::highest();
        if small {
            let old = dtv(thread);
            if install(thread) {
                with_signals_blocked(|| free_dtv(old));
            }
        }
        initialise(thread);
    }
}

/// # Safety
/// As for [`reset`].
unsafe fn free_record(thread: Addr) {
    // SAFETY: as the caller promises.
    unsafe {
        let Some(record) = existing_record(thread) else { return };
        (*dtv(thread).sub(1)).second = 0;
        with_signals_blocked(|| {
            let Record { mut blocks, mut error } = record.read();
            while let Some(block) = blocks {
                let block = block.read();
                blocks = block.next;
                free_memory(&block);
            }
            error.release();
            free(record.as_ptr().cast(), size_of::<Record>());
        });
    }
}

/// Frees all that a thread has.
///
/// # Safety
/// As for [`reset`].
pub unsafe fn release(thread: Addr) {
    // SAFETY: as the caller promises.
    unsafe {
        free_record(thread);
        let old = dtv(thread);
        if old.is_null() {
            return;
        }
        with_signals_blocked(|| free_dtv(old));
        dtv_word(thread).write(null_mut());
    }
}

/// A module and an offset in its block, as a TLS descriptor refers to them.
#[repr(C)]
#[derive(Debug)]
pub struct Index {
    /// The module's id.
    pub module: u64,
    /// The variable's offset in the block.
    pub offset: u64,
}

/// What TLS descriptors of one object refer to.
pub type Indices = Box<[Box<Index>]>;
