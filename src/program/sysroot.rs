//! `--sysroot` and RLD_SYSROOT: another root for what is loaded. The process itself stays in the machine's.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::ffi::CString;
use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;

use crate::errno::Errno;
use crate::error::{Error, Problem, Result};
use crate::root::Root;
use crate::search::{System, Why};
use crate::sys::file::{self, Fd};

/// The root at a directory.
///
/// # Errors
/// There is no such directory.
#[cold]
pub fn root(directory: &[u8]) -> Result<Root> {
    let root = Root::new(directory, &current_dir(), &mut read_link).and_then(|root| {
        let path = CString::new(root.real()).map_err(|_| Errno::ENOENT)?;
        match !root.is_foreign() || file::stat(&path)?.is_dir() {
            true => Ok(root),
            false => Err(Errno(libc::ENOTDIR)),
        }
    });
    root.map_err(|errno| {
        let sentence = alloc::format!("cannot be a root: {}", Why::Errno(errno));
        Error::new(directory, Problem::Sentence(sentence))
    })
}

/// The path that the kernel is to be given: it would follow links out of a root.
///
/// # Errors
/// What the kernel says of a link on the way.
#[inline]
pub fn locate<'p>(root: &Root, path: &'p CStr) -> core::result::Result<Cow<'p, CStr>, Errno> {
    if root.is_foreign() { locate_in(root, path) } else { Ok(Cow::Borrowed(path)) }
}

#[cold]
fn locate_in<'p>(root: &Root, path: &'p CStr) -> core::result::Result<Cow<'p, CStr>, Errno> {
    let bytes = path.to_bytes();
    let from_here = match bytes.starts_with(b"/") {
        true => Cow::Borrowed(bytes),
        false => Cow::Owned([&current_dir(), &b"/"[..], bytes].concat()),
    };
    let Some(inside) = root.inside(&from_here) else { return Ok(Cow::Borrowed(path)) };
    let located = root.locate(inside, &mut read_link)?;
    Ok(if located.plain { Cow::Borrowed(path) } else { Cow::Owned(located.path) })
}

/// Opens a file by its path in the root.
///
/// # Errors
/// What the kernel says.
#[inline]
pub fn open(root: &Root, inside: &CStr) -> core::result::Result<Fd, Errno> {
    if root.is_foreign() { open_in(root, inside) } else { Fd::open(inside) }
}

#[cold]
fn open_in(root: &Root, inside: &CStr) -> core::result::Result<Fd, Errno> {
    root.locate(inside.to_bytes(), &mut read_link).and_then(|located| Fd::open(&located.path))
}

/// The beginning of a file by its path in the root, as [`file::contents`] has it.
#[must_use]
pub fn contents(root: &Root, inside: &CStr) -> Option<Vec<u8>> {
    if !root.is_foreign() {
        return file::contents(inside);
    }
    let located = root.locate(inside.to_bytes(), &mut read_link).ok()?;
    file::contents(&located.path)
}

/// PATH where there is none.
const USUAL_PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// Where a program that a user names may be, as the machine's paths. A name without a slash is looked for in the
/// directories of PATH, below the root.
#[must_use]
pub fn programs(root: &Root, name: &CStr, path: &[u8]) -> Vec<CString> {
    let name = name.to_bytes();
    let programs: Vec<_> = if name.contains(&b'/') {
        root.programs(name, &current_dir()).collect()
    } else {
        let path = if path.is_empty() { USUAL_PATH } else { path };
        let directories = path.split(|&byte| byte == b':').filter(|it| it.starts_with(b"/"));
        let files = directories.map(|directory| [directory, b"/", name].concat());
        files.map(|file| root.join(&root.operand(&file, b"")).into_owned()).collect()
    };
    let mut seen = BTreeSet::new();
    let new = programs.into_iter().filter(|program| seen.insert(program.clone()));
    new.filter_map(|program| CString::new(program).ok()).collect()
}

/// Whether there is a file that may be executed.
#[must_use]
pub fn is_there(root: &Root, path: &CStr) -> bool {
    let status = locate(root, path).and_then(|path| file::stat(&path));
    status.is_ok_and(|status| status.is_file() && status.mode & 0o111 != 0)
}

/// What the root's system decides about library directories.
#[must_use]
pub fn system(root: &Root) -> System {
    if !root.is_foreign() {
        return System::DEBIAN;
    }
    System::of_root(|directory| {
        let located = root.locate(directory.to_bytes(), &mut read_link);
        located.and_then(|located| file::stat(&located.path)).is_ok_and(|it| it.is_dir())
    })
}

/// What relative paths start from.
#[must_use]
pub fn current_dir() -> Vec<u8> {
    let mut buffer = vec![0; libc::PATH_MAX as usize];
    file::current_dir(&mut buffer).map(Vec::from).unwrap_or_default()
}

fn read_link(path: &CStr) -> core::result::Result<Option<Vec<u8>>, Errno> {
    let mut buffer = vec![0; libc::PATH_MAX as usize];
    match file::read_link(path, &mut buffer) {
        Ok(target) => Ok(Some(target.to_vec())),
        Err(Errno::EINVAL) => Ok(None),
        Err(errno) => Err(errno),
    }
}
