//! Thread-local storage of start-up: module ids and offsets, the static block, the DTV (psABI, "TLS"; contract 2.3,
//! 2.4).

pub mod block;
pub mod layout;

pub use layout::{Layout, Module};
