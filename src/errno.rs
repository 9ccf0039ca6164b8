//! Error numbers of the kernel, with the words that libc has for those a loader meets.

use core::fmt;

/// An error number as the kernel returns it, positive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Errno(pub i32);

impl Errno {
    /// No such file or directory.
    pub const ENOENT: Self = Self(libc::ENOENT);
    /// Permission denied.
    pub const EACCES: Self = Self(libc::EACCES);
    /// Cannot allocate memory.
    pub const ENOMEM: Self = Self(libc::ENOMEM);
    /// Invalid argument.
    pub const EINVAL: Self = Self(libc::EINVAL);

    /// The words of strerror(3) in the C locale, for the numbers that file and memory calls give.
    #[must_use]
    pub const fn words(self) -> Option<&'static str> {
        if let Some(words) = self.loader_words() {
            return Some(words);
        }
        Some(match self.0 {
            libc::EINTR => "Interrupted system call",
            libc::ENXIO => "No such device or address",
            libc::EBADF => "Bad file descriptor",
            libc::EAGAIN => "Resource temporarily unavailable",
            libc::EFAULT => "Bad address",
            libc::EBUSY => "Device or resource busy",
            libc::EEXIST => "File exists",
            libc::ENODEV => "No such device",
            libc::ENOTDIR => "Not a directory",
            libc::EISDIR => "Is a directory",
            libc::ENFILE => "Too many open files in system",
            libc::EMFILE => "Too many open files",
            libc::ETXTBSY => "Text file busy",
            libc::EFBIG => "File too large",
            libc::ENOSPC => "No space left on device",
            libc::ESPIPE => "Illegal seek",
            libc::EROFS => "Read-only file system",
            libc::ENAMETOOLONG => "File name too long",
            libc::ENOSYS => "Function not implemented",
            libc::ELOOP => "Too many levels of symbolic links",
            libc::EOVERFLOW => "Value too large for defined data type",
            libc::ESTALE => "Stale file handle",
            _ => return None,
        })
    }

    /// The few numbers that ld.so itself has words for.
    const fn loader_words(self) -> Option<&'static str> {
        Some(match self.0 {
            libc::EPERM => "Operation not permitted",
            libc::ENOENT => "No such file or directory",
            libc::EIO => "Input/output error",
            libc::ENOMEM => "Cannot allocate memory",
            libc::EACCES => "Permission denied",
            libc::EINVAL => "Invalid argument",
            _ => return None,
        })
    }
}

impl Errno {
    /// The number with its words, for a line of its own.
    #[must_use]
    pub fn described(self) -> impl fmt::Display {
        let words = self.words().unwrap_or("unknown");
        fmt::from_fn(move |f| write!(f, "error {}: {words}", self.0))
    }
}

impl fmt::Display for Errno {
    /// As ld.so prints it, on whose first lines scripts match: words for a handful, numbers for the rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.loader_words() {
            Some(words) => f.write_str(words),
            None => write!(f, "Error {}", self.0),
        }
    }
}
