//! The kernel: system calls, descriptors, memory, the process, and the stack it starts with.
//!
//! x86-64 Linux only. Nothing here allocates.

mod call;
pub mod clock;
pub mod file;
pub mod fork;
pub mod memory;
pub mod process;
pub mod stack;

pub use file::{Fd, Identity};
pub use memory::{Backing, Protection};
