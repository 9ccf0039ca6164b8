//! What a search ends with: the file and the way it was found, or every place that was tried.

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::fmt;

use crate::errno::Errno;
use crate::text::Text;
pub use crate::trace::Origin;

/// A library for another machine, which ld.so passes over in silence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsuitable {
    /// ELFCLASS32.
    WrongClass,
    /// ELFCLASS64 for another processor.
    WrongMachine,
}

impl fmt::Display for Unsuitable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongClass => "wrong ELF class: ELFCLASS32",
            Self::WrongMachine => "for another processor",
        })
    }
}

/// A search that succeeded.
#[derive(Debug)]
pub struct Found<T> {
    /// What [`super::Files::open`] returned.
    pub file: T,
    /// The path it was opened by.
    pub path: CString,
    /// How the path came about.
    pub origin: Origin<'static>,
}

/// A search that did not succeed.
#[derive(Debug)]
pub enum Failure<E> {
    /// No place had it.
    NotFound(Box<NotFound>),
    /// A file of that name cannot be loaded, which ends the search: something is wrong with the installation.
    Fatal {
        /// The file.
        path: CString,
        /// What is wrong with it.
        error: E,
    },
}

/// Why one place did not have the library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// Opening the file failed.
    Errno(Errno),
    /// The directory does not exist.
    NoDirectory,
    /// The file is for another machine.
    Unsuitable(Unsuitable),
    /// A preloaded library of a set-user-ID program must itself be set-user-ID.
    NotSetUserId,
    /// There is no cache, or it is corrupt.
    NoCache,
    /// The cache has no such name.
    NotInCache,
    /// The object must not be given libraries from the default directories (DF_1_NODEFLIB).
    NoDefaultLibraries,
    /// A token in the path stands for nothing here, or secure mode forbids it.
    NoTokenValue,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            // The first line has the number where ld.so has it.
            Self::Errno(errno) => match errno.words() {
                Some(words) => words,
                None => return errno.fmt(f),
            },
            Self::Unsuitable(unsuitable) => return unsuitable.fmt(f),
            Self::NoDirectory => "no such directory",
            Self::NotSetUserId => "not set-user-ID",
            Self::NoCache => "no usable cache; ldconfig(8) makes one",
            Self::NotInCache => "no such name in it",
            Self::NoDefaultLibraries => "the object's flags forbid default libraries",
            Self::NoTokenValue => "a $TOKEN without a value",
        })
    }
}

/// One place that did not have the library. Subdirectories for better CPUs are part of their directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// A directory; or the whole path, where the name was one or the cache gave it.
    pub path: Box<[u8]>,
    /// What led there.
    pub origin: Origin<'static>,
    /// What was met there.
    pub why: Why,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", Text(&self.path), self.origin, self.why)
    }
}

/// Something close to what was looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Near {
    /// The right name, for another machine.
    Unsuitable {
        /// The file.
        path: CString,
        /// In which way it does not fit.
        why: Unsuitable,
    },
    /// The right name, for a file that cannot be opened.
    Unopened {
        /// The file.
        path: CString,
        /// What the kernel answered.
        errno: Errno,
    },
    /// The library under another version.
    OtherVersion {
        /// Its file.
        path: CString,
    },
}

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsuitable { path, why } => {
                let whose = match why {
                    Unsuitable::WrongClass => "32-bit programs",
                    Unsuitable::WrongMachine => "another processor",
                };
                write!(f, "{}: a library for {whose}", Text(path.to_bytes()))
            }
            Self::Unopened { path, errno: Errno::ENOENT } => {
                write!(f, "{}: a symbolic link that leads nowhere", Text(path.to_bytes()))
            }
            Self::Unopened { path, errno } => {
                write!(f, "{}: {}", Text(path.to_bytes()), Why::Errno(*errno))
            }
            Self::OtherVersion { path } => {
                write!(f, "{}: another version", Text(path.to_bytes()))
            }
        }
    }
}

/// Every place that was tried for a library that was not found.
#[derive(Debug)]
pub struct NotFound {
    /// The name looked for.
    pub name: Box<[u8]>,
    /// Who asked for it; `None` for the command line.
    pub requester: Option<Box<[u8]>>,
    /// The last error number met.
    pub errno: Errno,
    /// The places, in order.
    pub attempts: Vec<Attempt>,
    /// What came close.
    pub near: Vec<Near>,
}

/// ld.so's words for a library that is not there.
pub const NOT_OPENED: &str = "cannot open shared object file";

impl NotFound {
    /// What the kernel said, where that is the reason.
    #[must_use]
    pub fn refusal(&self) -> Option<Errno> {
        let class = Unsuitable::WrongClass;
        let wrong_class =
            |near: &Near| matches!(near, Near::Unsuitable { why, .. } if *why == class);
        (!self.near.iter().any(wrong_class)).then_some(self.errno)
    }

    /// The reason in ld.so's words, as they stand behind `NAME: ` on the first line of an error.
    #[must_use]
    pub fn reason(&self) -> impl fmt::Display {
        let refusal = self.refusal();
        fmt::from_fn(move |f| match refusal {
            None => write!(f, "{}", Unsuitable::WrongClass),
            Some(errno) => write!(f, "{NOT_OPENED}: {errno}"),
        })
    }
}

/// ld.so's line, and below it what only rld tells: who asked, every place, what came close.
impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Text(&self.name), self.reason())?;
        if let Some(requester) = &self.requester {
            write!(f, "\n\tneeded by {}", Text(requester))?;
        }
        for attempt in &self.attempts {
            write!(f, "\n\ttried {attempt}")?;
        }
        self.near.iter().try_for_each(|near| write!(f, "\n\tnear miss: {near}"))
    }
}
