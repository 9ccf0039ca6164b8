//! The parts of rld that can be tested in a host process.
//!
//! Modules stand in floor order: each names only those above it in this list (DESIGN.md, "The house").
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

// Floor 1: addresses, bytes, the machine, the kernel.
pub mod addr;
pub mod text;

pub mod near;

pub mod paint;

pub mod errno;

pub mod elf;

pub mod arch;

pub mod sys;

pub mod heap;

pub mod error;

pub mod trace;

// Floor 2: an object's bytes.
pub mod image;

// Floor 3: which objects, from where.
pub mod env;

pub mod cache;

pub mod root;

pub mod search;

pub mod object;

pub mod linkmap;

// Floor 4: names.
pub mod lookup;

// Floor 5 and 6: values and thread-local storage.
pub mod tls;

pub mod reloc;

// Floor 7: order.
pub mod init;

// Floor 8: what a libc expects.
pub mod abi;

// Floor 9: the command line, and the loader at work.
pub mod cli;

pub mod program;
