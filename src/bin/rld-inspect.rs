//! `rld-inspect` says what the loader would do with a program, without starting it.
//!
//! It runs the loader's own resolver on files (DESIGN.md, "One resolver, two hosts"); what is here is only a file
//! system for it to look at, and words for people.
#![deny(unsafe_code)]

#[path = "rld-inspect/mod.rs"]
mod inspect;

fn main() -> std::process::ExitCode {
    inspect::main()
}
