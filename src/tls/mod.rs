//! Thread-local storage: module ids and offsets, the static block, the DTV, blocks made when they are first used
//! (psABI, "TLS"; contract 2.3, 2.4).

pub mod block;
pub mod layout;
pub mod modules;
pub mod thread;

pub use layout::{Layout, Module};
