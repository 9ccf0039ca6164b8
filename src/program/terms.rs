//! What the stages of a start hand to each other, and how they speak.

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt::Write;

use super::musl;
use crate::abi::glibc::exports::Exports;
use crate::addr::Addr;
use crate::error::{Error, Problem};
use crate::reloc::apply::Entries;
use crate::sys::file;
use crate::sys::stack::InitialStack;
use crate::trace;

/// Standard output's descriptor.
pub const STDOUT: u64 = 1;
/// Standard error's descriptor.
pub const STDERR: u64 = 2;

/// What the binary knows about itself.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// Its ELF header.
    pub header: Addr,
    /// Its entry point.
    pub entry: Addr,
    /// What it exports to glibc.
    pub exports: Exports,
    /// Code for TLS descriptors and PLTs.
    pub entries: Entries,
    /// What it has for musl.
    pub musl: musl::Entries,
    /// Says whether the kernel has refused memory since this was last asked.
    pub memory_refused: fn() -> bool,
}

/// Where to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The program's entry point.
    pub address: Addr,
    /// Whether the program is given rld's finaliser; one that runs alone is not.
    pub finaliser: bool,
}

/// Why no program starts.
#[derive(Debug)]
pub enum Stop {
    /// Something is wrong; the first error is the one that ld.so reports.
    Errors(Vec<Error>),
    /// What was asked for is done, or what is wrong was said already.
    Exit(i32),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Errors(Vec::from([error]))
    }
}

/// The program's name for messages: `argv[0]`.
#[must_use]
pub fn program_name(stack: &InitialStack) -> &'static [u8] {
    stack.arguments().next().map_or(b"<program name unknown>", CStr::to_bytes)
}

/// AT_PLATFORM.
#[must_use]
pub fn platform(stack: &InitialStack) -> Option<&'static CStr> {
    stack.string(libc::AT_PLATFORM)
}

/// A problem as ld.so has it where the program starts without an object: what the kernel said is left out.
#[must_use]
pub fn short(problem: &Problem) -> String {
    match problem {
        Problem::System { words, .. } => (*words).into(),
        problem => alloc::format!("{problem}"),
    }
}

/// A line about what is passed over, with those of the error that say more than where a file was looked for, and for
/// whom.
#[must_use]
pub fn passed_over(mut line: String, error: &Error) -> String {
    let is_known = |more: &&String| more.starts_with("tried ") || more.starts_with("opened by ");
    for more in error.details.iter().filter(|more| !is_known(more)) {
        let _ = write!(line, "\n\t{more}");
    }
    line
}

/// Prints lines to standard error, as one write.
#[inline(never)]
pub fn warn(lines: impl Iterator<Item = String>) {
    let mut text = String::new();
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    if !text.is_empty() {
        trace::flush();
        file::write_all(STDERR, text.as_bytes());
    }
}
