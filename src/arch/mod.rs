//! What is particular to a machine. There is one: x86-64.

pub mod x86_64;
