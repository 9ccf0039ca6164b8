//! What a C library expects of its loader: one personality for each.

pub mod glibc;
pub mod musl;
pub mod unknown;
