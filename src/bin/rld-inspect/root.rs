//! The root directory that paths start from, with the machine's file system below it.

use std::env;
use std::ffi::{CStr, OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rld::errno::Errno;
use rld::root;

use super::Failure;

/// A root directory.
#[derive(Clone, Debug, Default)]
pub struct Root(root::Root);

impl Root {
    /// The root at `directory`.
    pub fn new(directory: &OsStr) -> Result<Self, Failure> {
        let root = root::Root::new(directory.as_bytes(), &current_dir(), &mut read_link);
        let root = root.map(Self).map_err(failure);
        root.and_then(|root| match root.locate(path(b"/"))?.is_dir() {
            true => Ok(root),
            false => Err(io::Error::from_raw_os_error(libc::ENOTDIR)),
        })
        .map_err(|error| {
            let errno = Errno(error.raw_os_error().unwrap_or(libc::EINVAL));
            let why = errno.words().map_or(error.to_string(), str::to_owned);
            Failure::Input(format!("{}: cannot be a root: {why}", directory.display()))
        })
    }

    /// Whether it is another than the machine's.
    pub fn is_foreign(&self) -> bool {
        self.0.is_foreign()
    }

    /// What an operand means inside, as [`root::Root::operand`] has it.
    pub fn operand(&self, operand: &OsStr) -> OsString {
        match self.is_foreign() {
            true => OsString::from_vec(self.0.operand(operand.as_bytes(), &current_dir())),
            false => operand.to_owned(),
        }
    }

    /// Where on the machine a path of the root leads to. The file need not be there in the machine's own root.
    pub fn locate(&self, path: &Path) -> io::Result<PathBuf> {
        if !self.is_foreign() {
            return Ok(path.to_owned());
        }
        let located = self.0.locate(path.as_os_str().as_bytes(), &mut read_link);
        let located = located.map_err(failure)?;
        Ok(OsString::from_vec(located.path.into_bytes()).into())
    }

    /// The path of an existing file without links in it, as the root's programs see it.
    pub fn canonicalize(&self, file: &Path) -> io::Result<PathBuf> {
        if !self.is_foreign() {
            return file.canonicalize();
        }
        let located = self.locate(file)?;
        let inside = self.0.inside(located.as_os_str().as_bytes());
        Ok(path(inside.filter(|it| !it.is_empty()).unwrap_or(b"/")).to_owned())
    }

    /// What relative paths start from.
    pub fn current_directory(&self) -> PathBuf {
        match self.is_foreign() {
            true => "/".into(),
            false => env::current_dir().unwrap_or_default(),
        }
    }
}

fn current_dir() -> Vec<u8> {
    env::current_dir().unwrap_or_default().into_os_string().into_vec()
}

fn failure(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.0)
}

fn read_link(link: &CStr) -> Result<Option<Vec<u8>>, Errno> {
    match fs::read_link(path(link.to_bytes())) {
        Ok(target) => Ok(Some(target.into_os_string().into_vec())),
        Err(error) => match Errno(error.raw_os_error().unwrap_or(libc::EINVAL)) {
            Errno::EINVAL => Ok(None),
            errno => Err(errno),
        },
    }
}

/// A file system path.
pub fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
