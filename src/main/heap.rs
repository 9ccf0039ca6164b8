//! The heap behind Rust's collections.
//!
//! # Safety
//!
//! The promises are those of [`Heap`], to which everything is passed on.

use core::alloc::{GlobalAlloc, Layout};

use rld::heap::{Arena, Heap, Pages, RESERVE};
use rld::sys::{file, process};

/// Enough for a program with a handful of libraries. Pages of it count when they are used.
#[unsafe(link_section = ".bss.arena.2")]
static ARENA: Arena<{ 64 * 1024 }> = Arena::new();
#[unsafe(link_section = ".bss.arena.3")]
static RESERVED: Arena<RESERVE> = Arena::new();
/// The heap itself.
pub static HEAP: Heap = Heap::new(&ARENA, &RESERVED, Pages::Huge);

/// Collections take it for granted that there is memory.
struct Granted;

#[global_allocator]
static GRANTED: Granted = Granted;

/// Even the reserve is used up: there is nothing that could be undone, and no memory to say more.
#[cold]
fn out_of_memory() -> ! {
    let words = concat!(
        "rld: error while loading shared libraries: cannot allocate memory\n",
        "\tmemory is used up, or a limit (ulimit -v, vm.max_map_count)\n",
    );
    file::write_all(2, words.as_bytes());
    process::exit(127)
}

fn granted(pointer: *mut u8) -> *mut u8 {
    if pointer.is_null() { out_of_memory() } else { pointer }
}

// SAFETY: as `Heap` promises; null is never returned.
unsafe impl GlobalAlloc for Granted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        granted(unsafe { HEAP.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        granted(unsafe { HEAP.alloc_zeroed(layout) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { HEAP.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        granted(unsafe { HEAP.realloc(pointer, layout, new_size) })
    }
}
