//! What is particular to a machine. There is one: x86-64.

mod cycles;
mod prefetch;
pub mod vector_state;
pub mod x86_64;

pub use cycles::cycles;
pub use prefetch::{LINE, prefetch};
