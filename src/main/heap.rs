//! rld's own heap: a small arena that is part of the binary, and mappings when that is used up.
//!
//! # Safety
//!
//! The arena and every mapping are given to the allocator once and used by nothing else. A lock keeps threads apart.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use rld::addr::{Addr, PAGE};
use rld::sys::memory::{Backing, Protection, map, unmap};
use rld::sys::process::{futex_wait, futex_wake_one};
use rld::sys::{file, process};
use talc::{OomHandler, Span, Talc};

/// Enough for a program with a handful of libraries.
const ARENA: usize = 64 * 1024;
/// From this size on, an allocation is a mapping of its own.
const LARGE: usize = 128 * 1024;
/// What is mapped at a time after that.
const CHUNK: u64 = 1 << 18;

#[repr(align(4096))]
struct Arena(UnsafeCell<[u8; ARENA]>);
// SAFETY: only the allocator touches the bytes, under its lock.
unsafe impl Sync for Arena {}

static ARENA_BYTES: Arena = Arena(UnsafeCell::new([0; ARENA]));

/// Gives the allocator the arena first and then mappings.
struct More {
    arena_given: bool,
}

impl OomHandler for More {
    fn handle_oom(talc: &mut Talc<Self>, layout: Layout) -> Result<(), ()> {
        let span = if talc.oom_handler.arena_given {
            let size =
                (layout.size() as u64).checked_add(CHUNK + layout.align() as u64).ok_or(())?;
            let size = size.next_multiple_of(CHUNK);
            let start = map(size, Protection::READ | Protection::WRITE, Backing::Anonymous);
            Span::from_base_size(start.map_err(|_| ())?.0 as *mut u8, size as usize)
        } else {
            talc.oom_handler.arena_given = true;
            Span::from_base_size(ARENA_BYTES.0.get().cast(), ARENA)
        };
        // SAFETY: the span is new to the allocator and nobody else's.
        unsafe { talc.claim(span) }.map(|_| ())
    }
}

/// The allocator behind a futex: 0 free, 1 taken, 2 taken with somebody waiting.
struct Heap {
    lock: AtomicU32,
    talc: UnsafeCell<Talc<More>>,
}

// SAFETY: `talc` is reached under `lock` only.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap =
    Heap { lock: AtomicU32::new(0), talc: UnsafeCell::new(Talc::new(More { arena_given: false })) };

/// Without memory there is nothing that rld could undo, and no memory to say more.
#[cold]
fn out_of_memory() -> ! {
    file::write_all(2, b"rld: error while loading shared libraries: cannot allocate memory\n");
    process::exit(127)
}

impl Heap {
    fn with<T>(&self, work: impl FnOnce(&mut Talc<More>) -> T) -> T {
        if self.lock.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while self.lock.swap(2, Ordering::Acquire) != 0 {
                futex_wait(&self.lock, 2);
            }
        }
        // SAFETY: the lock is taken.
        let result = work(unsafe { &mut *self.talc.get() });
        if self.lock.swap(0, Ordering::Release) == 2 {
            futex_wake_one(&self.lock);
        }
        result
    }
}

/// Whether an allocation is a mapping of its own. It depends on the layout alone, so that freeing knows.
const fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= PAGE as usize
}

// SAFETY: talc hands out memory that is apart from all other and fits the layout; so does the kernel.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            let protection = Protection::READ | Protection::WRITE;
            let mapped = map(layout.size() as u64, protection, Backing::Anonymous);
            return mapped.map_or_else(|_| out_of_memory(), |start| start.0 as *mut u8);
        }
        // SAFETY: the layout is not of size zero, as the trait promises.
        let pointer = self.with(|talc| unsafe { talc.malloc(layout) });
        match pointer {
            Ok(pointer) => pointer.as_ptr(),
            Err(()) => out_of_memory(),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the layout is the caller's; new memory has room for it.
        unsafe {
            let pointer = self.alloc(layout);
            // A new mapping is zero, and need not be touched to make it so.
            if !is_large(layout) {
                pointer.write_bytes(0, layout.size());
            }
            pointer
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if is_large(layout) {
            // SAFETY: the mapping came from `alloc` with this layout, and nothing refers into it any more.
            unsafe { unmap(Addr(pointer as u64), layout.size() as u64) };
        } else if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: the pointer came from `alloc` with this layout.
            self.with(|talc| unsafe { talc.free(pointer, layout) });
        }
    }
}
