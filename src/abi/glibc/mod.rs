//! glibc: the private data and functions that its libc.so.6 shares with its loader.

mod code;
pub mod cpu;
pub mod evidence;
pub mod layout;
