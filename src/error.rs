//! What stops a program from starting, in words.
//!
//! The first line is ld.so's, because scripts match on it; the lines after it are rld's own and say who asked, where it
//! was looked for, and what was nearly right.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::elf::Malformed;
use crate::errno::Errno;
use crate::text::Text;

/// A failure to load, link or relocate an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// The object at fault, by the name that ld.so would print.
    pub object: Vec<u8>,
    /// What is wrong with it.
    pub problem: Problem,
    /// Further lines, most important first, each without indentation.
    pub details: Vec<String>,
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// The kernel refused something.
    System {
        /// What was attempted, in ld.so's words.
        words: &'static str,
        /// What the kernel answered; 0 if it only gave less than was asked for.
        errno: Errno,
    },
    /// The file is broken, or not of a kind that can be loaded.
    Malformed(Malformed),
    /// A condition that needs no more than a sentence.
    Words(&'static str),
    /// A reference that nothing defines.
    UndefinedSymbol {
        /// The symbol.
        name: Vec<u8>,
        /// The version it must have, if any.
        version: Option<Vec<u8>>,
    },
    /// A library lacks a version that another object needs.
    MissingVersion {
        /// The version.
        version: Vec<u8>,
        /// The object that needs it.
        requester: Vec<u8>,
    },
    /// A relocation that x86-64 programs cannot ask of a loader.
    UnsupportedRelocation {
        /// `r_type`.
        kind: u32,
    },
    /// The processor lacks an instruction set level (x86-64 psABI) that the object is marked with.
    LowIsa,
    /// The program is a loader.
    Itself,
    /// There is no room for the main thread's thread-local storage.
    NoThreadStorage,
    /// A sentence made for the occasion.
    Sentence(String),
    /// A file that is there and was not to be loaded (RTLD_NOLOAD): nobody is told.
    NotLoaded,
}

/// The result of anything that can stop a program from starting.
pub type Result<T> = core::result::Result<T, Error>;

impl Error {
    /// An error of `object` without details.
    #[must_use]
    pub fn new(object: &[u8], problem: Problem) -> Self {
        Self { object: object.to_vec(), problem, details: Vec::new() }
    }

    /// A sentence about `object`.
    #[must_use]
    pub fn words(object: &[u8], words: &'static str) -> Self {
        Self::new(object, Problem::Words(words))
    }

    /// A function of `<dlfcn.h>` was given a handle that is none.
    #[must_use]
    pub fn bad_handle(words: &'static str, function: &str, handle: u64) -> Self {
        Self::words(b"", words).with(alloc::format!(
            "{function}(3) was given handle {handle:#x}: a handle is what dlopen(3) has returned, until \
             dlclose(3) was called as often"
        ))
    }

    /// The kernel's refusal.
    #[must_use]
    pub fn system(object: &[u8], words: &'static str, errno: Errno) -> Self {
        let error = Self::new(object, Problem::System { words, errno });
        match errno.words() {
            Some(words) if words != alloc::format!("{errno}") => error.with(errno.described()),
            _ => error,
        }
    }

    /// Why the kernel may have refused memory, or its permissions.
    #[must_use]
    pub fn with_limits(self, errno: Errno) -> Self {
        match errno {
            Errno::ENOMEM => {
                self.with("memory is used up, or a limit (ulimit -v, vm.max_map_count)")
            }
            Errno::EACCES | Errno(libc::EPERM) => {
                self.with("something does not allow it: seccomp(2), SELinux, or the mount's noexec")
            }
            _ => self,
        }
    }

    /// All lines, as dlerror(3) says them: the first is ld.so's.
    #[must_use]
    pub fn in_full(&self) -> String {
        let mut text = match (&self.problem, self.object.is_empty()) {
            // At run time there is strerror(3), and no need for a line of its own.
            (Problem::System { words, errno }, false) if errno.words().is_some() => {
                let kernel = errno.words().unwrap_or_default();
                alloc::format!("{}: {words}: {kernel}", Text(&self.object))
            }
            _ => alloc::format!("{self}"),
        };
        let said = match self.problem {
            Problem::System { errno, .. } => alloc::format!("{}", errno.described()),
            _ => String::new(),
        };
        for line in self.details.iter().filter(|line| **line != said) {
            text.push_str("\n\t");
            text.push_str(line);
        }
        text
    }

    /// A defect of the file, with the structure that shows it as a detail.
    #[must_use]
    pub fn malformed(object: &[u8], malformed: Malformed) -> Self {
        Self::new(object, Problem::Malformed(malformed)).with(malformed.detail())
    }

    /// Adds a line.
    #[must_use]
    pub fn with(mut self, line: impl ToString) -> Self {
        self.details.push(line.to_string());
        self
    }

    /// What ld.so was doing when it met such an error: the words between the program's name and the object's.
    #[must_use]
    pub const fn occasion(&self) -> Option<&'static str> {
        match self.problem {
            Problem::UndefinedSymbol { .. } => Some("symbol lookup error"),
            Problem::MissingVersion { .. }
            | Problem::LowIsa
            | Problem::NoThreadStorage
            | Problem::Itself => None,
            _ => Some("error while loading shared libraries"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { words, errno: Errno(0) } => f.write_str(words),
            Self::System { words, errno } => write!(f, "{words}: {errno}"),
            Self::Malformed(malformed) => write!(f, "{malformed}"),
            Self::Words(words) => f.write_str(words),
            Self::Sentence(sentence) => f.write_str(sentence),
            Self::NotLoaded => f.write_str("not loaded"),
            Self::UndefinedSymbol { name, version } => {
                write!(f, "undefined symbol: {}", Text(name))?;
                match version {
                    Some(version) => write!(f, ", version {}", Text(version)),
                    None => Ok(()),
                }
            }
            Self::MissingVersion { version, requester } => {
                let (version, requester) = (Text(version), Text(requester));
                write!(f, "version `{version}' not found (required by {requester})")
            }
            Self::NoThreadStorage => {
                f.write_str("cannot allocate TLS data structures for initial thread")
            }
            Self::Itself => f.write_str("loader cannot load itself"),
            Self::LowIsa => f.write_str("CPU ISA level is lower than required"),
            Self::UnsupportedRelocation { kind } => {
                // Two digits or eight, as ld.so has it.
                let width = if *kind > 0xff { 8 } else { 2 };
                write!(f, "unexpected reloc type 0x{kind:0width$x}")
            }
        }
    }
}

impl fmt::Display for Error {
    /// The object and what is wrong with it, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.object.is_empty() {
            write!(f, "{}", self.problem)
        } else {
            write!(f, "{}: {}", Text(&self.object), self.problem)
        }
    }
}

/// Shows an error as the loader prints it: `PROGRAM: OCCASION: OBJECT: PROBLEM`, then the details, indented.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// `argv[0]`.
    pub program: &'a [u8],
    /// The error.
    pub error: &'a Error,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In these, ld.so does not name the program.
        let unnamed = [Problem::LowIsa, Problem::NoThreadStorage, Problem::Itself];
        if !unnamed.contains(&self.error.problem) {
            write!(f, "{}: ", Text(self.program))?;
        }
        if let Some(occasion) = self.error.occasion() {
            write!(f, "{occasion}: ")?;
        }
        writeln!(f, "{}", self.error)?;
        self.error.details.iter().try_for_each(|line| writeln!(f, "\t{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_are_those_of_ld_so() {
        let words = "cannot open shared object file";
        let missing = Error::system(b"libx.so", words, Errno::ENOENT).with("needed by prog");
        assert_eq!(
            Report { program: b"./prog", error: &missing }.to_string(),
            "./prog: error while loading shared libraries: libx.so: cannot open shared object \
             file: No such file or directory\n\tneeded by prog\n"
        );
        let problem = Problem::UndefinedSymbol { name: b"f".into(), version: Some(b"V1".into()) };
        let undefined = Error::new(b"liby.so", problem);
        assert_eq!(
            Report { program: b"p", error: &undefined }.to_string(),
            "p: symbol lookup error: liby.so: undefined symbol: f, version V1\n"
        );
        let problem = Problem::MissingVersion { version: b"V2".into(), requester: b"./p".into() };
        let version = Error::new(b"./libz.so", problem);
        assert_eq!(
            Report { program: b"./p", error: &version }.to_string(),
            "./p: ./libz.so: version `V2' not found (required by ./p)\n"
        );
        let relocation = |kind| Problem::UnsupportedRelocation { kind }.to_string();
        assert_eq!(relocation(0x0a), "unexpected reloc type 0x0a");
        assert_eq!(relocation(0xff06), "unexpected reloc type 0x0000ff06");
    }
}
