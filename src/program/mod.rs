//! The loader at work on a live process: start a program, and serve it while it runs.
//!
//! [`start`](start::start) is the table of contents; each stage has a file.

pub mod adopt;
pub mod checks;
pub mod command;
pub mod debugger;
pub mod listing;
pub mod live;
pub mod preload;
pub mod prepare;
pub mod process;
pub mod ready;
pub mod relocate;
pub mod start;
pub mod symbols;
pub mod terms;
pub mod versions;

pub use process::Process;
