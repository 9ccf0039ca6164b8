//! The root directory that paths start from: the machine's own, or another that stands for it, as under chroot(2).

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::Failure;

/// As many symbolic links as the kernel follows in one path.
const LINKS: usize = 40;

/// A root directory.
#[derive(Clone, Debug, Default)]
pub struct Root(Option<Directory>);

#[derive(Clone, Debug)]
struct Directory {
    /// As the user gave it.
    given: PathBuf,
    /// Without links in it.
    real: PathBuf,
}

impl Root {
    /// The root at `directory`.
    pub fn new(directory: &OsStr) -> Result<Self, Failure> {
        let given = PathBuf::from(directory);
        let real = given.canonicalize().and_then(|real| match real.is_dir() {
            true => Ok(real),
            false => Err(io::Error::from_raw_os_error(libc::ENOTDIR)),
        });
        match real {
            Ok(real) => Ok(Self(Some(Directory { given, real }))),
            Err(error) => {
                let errno = rld::errno::Errno(error.raw_os_error().unwrap_or(libc::EINVAL));
                let why = errno.words().map_or(error.to_string(), str::to_owned);
                Err(Failure::Input(format!("{}: cannot be a root: {why}", directory.display())))
            }
        }
    }

    /// Whether it is another than the machine's.
    pub fn is_foreign(&self) -> bool {
        self.0.is_some()
    }

    /// What an operand means inside: the path without the root, where it begins with it, since shells complete such
    /// paths; else the path itself, from the root on.
    pub fn operand(&self, operand: &OsStr) -> OsString {
        let Some(directory) = &self.0 else { return operand.to_owned() };
        let plain = |path: &Path| -> PathBuf {
            path.components().filter(|part| *part != Component::CurDir).collect()
        };
        let path = Path::new(operand);
        let (path, given) = (plain(path), plain(&directory.given));
        let rest = path.strip_prefix(given).or_else(|_| path.strip_prefix("/"));
        Path::new("/").join(rest.unwrap_or(&path)).into_os_string()
    }

    /// Where on the machine a path of the root leads to. The file need not be there in the machine's own root.
    pub fn locate(&self, path: &Path) -> io::Result<PathBuf> {
        match &self.0 {
            Some(directory) => Ok(directory.real.join(directory.walk(path)?)),
            None => Ok(path.to_owned()),
        }
    }

    /// The path of an existing file without links in it, as the root's programs see it.
    pub fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        match &self.0 {
            Some(directory) => Ok(Path::new("/").join(directory.walk(path)?)),
            None => path.canonicalize(),
        }
    }

    /// What relative paths start from.
    pub fn current_directory(&self) -> PathBuf {
        match &self.0 {
            Some(_) => "/".into(),
            None => std::env::current_dir().unwrap_or_default(),
        }
    }
}

impl Directory {
    /// Follows all links of a path; one that is absolute starts again from the root, and `..` does not leave it.
    fn walk(&self, path: &Path) -> io::Result<PathBuf> {
        let mut done = PathBuf::new();
        let mut left: VecDeque<OsString> = elements(path).collect();
        let mut links = 0;
        while let Some(element) = left.pop_front() {
            if element == ".." {
                done.pop();
                continue;
            }
            done.push(&element);
            let place = self.real.join(&done);
            let metadata = fs::symlink_metadata(&place)?;
            if metadata.is_symlink() {
                links += 1;
                if links > LINKS {
                    return Err(io::Error::from_raw_os_error(libc::ELOOP));
                }
                let target = fs::read_link(&place)?;
                if target.is_absolute() {
                    done.clear();
                } else {
                    done.pop();
                }
                for element in elements(&target).collect::<Vec<_>>().into_iter().rev() {
                    left.push_front(element);
                }
            } else if !left.is_empty() && !metadata.is_dir() {
                return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
            }
        }
        Ok(done)
    }
}

/// The elements of a path that lead somewhere.
fn elements(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    })
}

/// A file system path.
pub fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
