//! The loader itself: what cannot exist in a host process.
//!
//! The kernel enters at [`entry`]; everything else is in the library. The modules here are the wiring: exported symbols
//! with glibc's names, the memory functions that compilers take for granted, a heap, and what happens on a panic.
#![no_std]
#![no_main]

extern crate alloc;

#[path = "main/audited.rs"]
mod audited;
#[path = "main/by_name.rs"]
mod by_name;
#[path = "main/dlfcn.rs"]
mod dlfcn;
#[path = "main/entry.rs"]
mod entry;
#[path = "main/errors.rs"]
mod errors;
#[path = "main/exports.rs"]
mod exports;
#[path = "main/heap.rs"]
mod heap;
#[path = "main/memory.rs"]
mod memory;
#[path = "main/musl.rs"]
mod musl;
#[path = "main/printf.rs"]
mod printf;
#[path = "main/probes.rs"]
mod probes;
#[path = "main/runtime.rs"]
mod runtime;
#[path = "main/stubs.rs"]
mod stubs;
