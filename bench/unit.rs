//! The unit tests of the benchmark's modules.
//!
//! A benchmark without the test harness has no test functions, but Cargo sets `cfg(test)` for it
//! all the same. So the tests stand beside the code as everywhere, are compiled without effect
//! there (hence `allow(unused)`), and run here.

#![allow(dead_code)] // main is what uses it all

mod count;
mod elf;
#[path = "runtime/figures.rs"]
mod figures;
mod json;
mod loaders;
mod machine;
mod measure;
mod options;
mod program;
mod report;
mod run;
mod scratch;
mod stats;
mod synth;
mod workload;
