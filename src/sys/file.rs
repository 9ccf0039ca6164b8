//! Files: open, read, identify.
//!
//! # Safety
//!
//! Every call here passes the kernel either a NUL-terminated string or a buffer borrowed for the length that is stated,
//! so it can read and write nothing else. A descriptor is owned by one [`Fd`] and closed once.
#![allow(unsafe_code)]

use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::ops::ControlFlow;

use super::call::call;
use crate::errno::Errno;

/// An open file, closed when dropped.
#[derive(Debug)]
pub struct Fd(u64);

/// What makes a file the same file under another name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Identity {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
}

/// What fstat(2) says about a file.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    /// Device and inode.
    pub identity: Identity,
    /// Bytes.
    pub size: u64,
    /// `st_mode`.
    pub mode: u32,
}

impl Status {
    /// Whether it is a directory.
    #[must_use]
    pub const fn is_dir(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }

    /// Whether it is a regular file.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFREG
    }

    /// Whether it is a pipe with a name.
    #[must_use]
    pub const fn is_pipe(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFIFO
    }

    /// Whether the set-user-ID bit is on.
    #[must_use]
    pub const fn is_setuid(&self) -> bool {
        self.mode & libc::S_ISUID != 0
    }
}

fn arg(path: &CStr) -> u64 {
    path.as_ptr() as u64
}

/// AT_FDCWD. What ld.so calls is what sandboxes let pass: openat(2) and newfstatat(2), not their ancestors.
#[expect(clippy::cast_sign_loss, reason = "the kernel reads an int")]
const HERE: u64 = libc::AT_FDCWD as u64;

fn status(directory: u64, path: &CStr, flags: i32) -> Result<Status, Errno> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel fills the whole of the buffer or answers with an error.
    let stat = unsafe {
        let buffer = stat.as_mut_ptr() as u64;
        #[expect(clippy::cast_sign_loss, reason = "flags are a bit set")]
        call(libc::SYS_newfstatat, [directory, arg(path), buffer, flags as u64])?;
        stat.assume_init()
    };
    Ok(Status {
        identity: Identity { device: stat.st_dev, inode: stat.st_ino },
        #[expect(clippy::cast_sign_loss, reason = "the kernel's sizes are not negative")]
        size: stat.st_size as u64,
        mode: stat.st_mode,
    })
}

impl Fd {
    /// Opens for reading, closed on exec. A pipe is opened without waiting for who writes to it.
    ///
    /// # Errors
    /// What open(2) answers.
    pub fn open(path: &CStr) -> Result<Self, Errno> {
        let open = |flags: i32| {
            let arguments = [HERE, arg(path), (libc::O_RDONLY | libc::O_CLOEXEC | flags) as u64];
            // SAFETY: the path is NUL-terminated and only read.
            unsafe { call(libc::SYS_openat, arguments) }
        };
        match open(libc::O_NONBLOCK) {
            // Another process has a lease on the file, and is worth waiting for (fcntl(2)).
            Err(Errno(libc::EAGAIN)) => open(0),
            opened => opened,
        }
        .map(Self)
    }

    /// Opens for writing at the end, closed on exec; makes the file where there is none, follows no symbolic link, and
    /// does not wait for who reads from a pipe.
    ///
    /// # Errors
    /// What open(2) answers.
    pub fn append(path: &CStr) -> Result<Self, Errno> {
        const FLAGS: i32 = libc::O_WRONLY
            | libc::O_APPEND
            | libc::O_CREAT
            | libc::O_NOFOLLOW
            | libc::O_NONBLOCK
            | libc::O_CLOEXEC;
        const MODE: u64 = 0o666;
        // SAFETY: the path is NUL-terminated and only read.
        let fd = unsafe { call(libc::SYS_openat, [HERE, arg(path), FLAGS as u64, MODE]) }?;
        Ok(Self(fd))
    }

    /// Opens a directory, for [`Self::names`].
    ///
    /// # Errors
    /// What open(2) answers.
    pub fn directory(path: &CStr) -> Result<Self, Errno> {
        let flags = (libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64;
        // SAFETY: the path is NUL-terminated and only read.
        let fd = unsafe { call(libc::SYS_openat, [HERE, arg(path), flags]) }?;
        Ok(Self(fd))
    }

    /// Calls `each` with the names in an opened directory, until it breaks off. `buffer` has room for many of them.
    ///
    /// # Errors
    /// What getdents64(2) answers.
    pub fn names(
        &self,
        buffer: &mut [u8],
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), Errno> {
        loop {
            let arguments = [self.0, buffer.as_mut_ptr() as u64, buffer.len() as u64];
            // SAFETY: the kernel writes at most the length of the borrowed buffer.
            let size = unsafe { call(libc::SYS_getdents64, arguments) }? as usize;
            let mut rest = buffer.get(..size).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            while let Some((name, next)) = first_entry(rest) {
                if each(name).is_break() {
                    return Ok(());
                }
                rest = next;
            }
        }
    }

    /// The descriptor's number, for mmap(2).
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.0
    }

    /// Reads at `offset` until the buffer is full or the file ends; returns the bytes read.
    ///
    /// # Errors
    /// What pread(2) answers, but for an interruption.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let arguments =
                [self.0, rest.as_mut_ptr() as u64, rest.len() as u64, offset + done as u64];
            // SAFETY: the kernel writes at most the length of the borrowed buffer.
            match unsafe { call(libc::SYS_pread64, arguments) } {
                Ok(0) => break,
                Ok(count) => done += count as usize,
                Err(Errno(libc::EINTR)) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(done)
    }

    /// Device, inode, size and mode.
    ///
    /// # Errors
    /// What fstat(2) answers.
    pub fn status(&self) -> Result<Status, Errno> {
        status(self.0, c"", libc::AT_EMPTY_PATH)
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the descriptor is this value's own. An error of close(2) leaves nothing to do.
        let _ = unsafe { call(libc::SYS_close, [self.0]) };
    }
}

/// The name in the first of some `struct linux_dirent64` (getdents64(2)), and the others.
fn first_entry(entries: &[u8]) -> Option<(&[u8], &[u8])> {
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    let length = entries.get(LENGTH..)?.first_chunk()?;
    let (entry, rest) = entries.split_at_checked(u16::from_ne_bytes(*length).into())?;
    Some((CStr::from_bytes_until_nul(entry.get(NAME..)?).ok()?.to_bytes(), rest))
}

/// What stat(2) says about a path.
///
/// # Errors
/// What stat(2) answers.
pub fn stat(path: &CStr) -> Result<Status, Errno> {
    status(HERE, path, 0)
}

/// The beginning of a file, up to a mebibyte: settings, not data. `None` for what cannot be opened.
#[must_use]
pub fn contents(path: &CStr) -> Option<Vec<u8>> {
    const MOST: u64 = 1 << 20;
    let fd = Fd::open(path).ok()?;
    let size = fd.status().map_or(0, |status| status.size);
    let mut contents = vec![0; usize::try_from(size.min(MOST)).unwrap_or_default()];
    let read = fd.read_at(&mut contents, 0).unwrap_or_default();
    contents.truncate(read);
    Some(contents)
}

/// Whether access(2) finds the path readable; for files whose absence is the rule.
#[must_use]
pub fn is_readable(path: &CStr) -> bool {
    let mode = libc::R_OK as u64;
    // SAFETY: the path is NUL-terminated and only read.
    unsafe { call(libc::SYS_access, [arg(path), mode]) }.is_ok()
}

/// The target of a symbolic link, as much as fits `buffer`.
///
/// # Errors
/// What readlink(2) answers.
pub fn read_link<'b>(path: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    let arguments = [arg(path), buffer.as_mut_ptr() as u64, buffer.len() as u64];
    // SAFETY: the kernel writes at most the length of the borrowed buffer.
    let len = unsafe { call(libc::SYS_readlink, arguments) }?;
    Ok(buffer.get(..len as usize).unwrap_or_default())
}

/// The current directory, as much as fits `buffer`, without its NUL.
///
/// # Errors
/// What getcwd(2) answers.
pub fn current_dir(buffer: &mut [u8]) -> Result<&[u8], Errno> {
    let arguments = [buffer.as_mut_ptr() as u64, buffer.len() as u64];
    // SAFETY: the kernel writes at most the length of the borrowed buffer.
    let len = unsafe { call(libc::SYS_getcwd, arguments) }?;
    Ok(buffer.get(..(len as usize).saturating_sub(1)).unwrap_or_default())
}

/// Whether a descriptor of the process is a terminal.
#[must_use]
pub fn is_terminal(fd: u64) -> bool {
    let mut settings = MaybeUninit::<libc::termios>::uninit();
    // SAFETY: the kernel's structure is shorter than libc's, which is borrowed.
    unsafe { call(libc::SYS_ioctl, [fd, libc::TCGETS, settings.as_mut_ptr() as u64]) }.is_ok()
}

/// Writes all of `bytes` to a descriptor of the process, as one write(2) where the kernel takes it whole. Errors end
/// it: there is nowhere left to report them.
pub fn write_all(fd: u64, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the kernel only reads the borrowed bytes.
        match unsafe { call(libc::SYS_write, [fd, bytes.as_ptr() as u64, bytes.len() as u64]) } {
            Ok(count) => bytes = bytes.get(count as usize..).unwrap_or_default(),
            Err(Errno(libc::EINTR)) => {}
            Err(_) => return,
        }
    }
}
