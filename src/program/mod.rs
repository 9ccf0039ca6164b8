//! The loader at work on a live process: start a program, and serve it while it runs.
//!
//! [`start`](start::start) is the table of contents; each stage has a file.

pub mod adopt;
pub mod answers;
pub mod audit;
pub mod auxv;
pub mod bind;
pub mod calls;
pub mod checks;
pub mod close;
pub mod command;
pub mod debugger;
mod dependencies;
pub mod diagnostics;
pub mod hooks;
pub mod info;
pub mod installed;
pub mod iterate;
pub mod libpthread;
pub mod listing;
pub mod live;
pub mod locks;
pub mod meant;
pub mod musl;
pub mod names;
pub mod open;
mod own_locks;
pub mod places;
pub mod preload;
pub mod prepare;
pub mod process;
pub mod ready;
pub mod recording;
pub mod relocate;
pub mod searching;
pub mod show;
pub mod start;
pub mod symbols;
pub mod sysroot;
pub mod terms;
pub mod tracing;
pub mod tree;
pub mod tunables;
pub mod unresolved;
pub mod unused;
pub mod versions;
pub mod world;

pub use process::Process;
