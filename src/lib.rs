//! The parts of rld that can be tested in a host process.
//!
//! Modules stand in floor order: each names only those above it in this list (DESIGN.md, "The house").
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

pub mod addr;
pub mod text;
pub mod errno;
pub mod elf;
pub mod arch;
pub mod sys;
pub mod error;
pub mod image;
pub mod object;
pub mod lookup;
pub mod reloc;
pub mod tls;
