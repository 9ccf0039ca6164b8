//! What is particular to a machine. There is one: x86-64.

mod prefetch;
pub mod vector_state;
pub mod x86_64;

pub use prefetch::prefetch;
