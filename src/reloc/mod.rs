//! Relocation: the value that a record stores, the loops that apply it, and what waits for the end.

pub mod apply;
pub mod copy;
pub mod defect;
pub mod lazy;
mod static_tls;
pub mod value;

pub use crate::elf::relocation::Relocation;
