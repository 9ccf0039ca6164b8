//! The personalities: what a libc expects from the loader that started it.

pub mod glibc;
pub mod unknown;
