//! What comes close to a library that was not found: the same library in another version. Asked for only on the way to
//! an error.

use alloc::collections::BTreeSet;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::dirs::{Directories, DirectoryId};
use super::{Files, Near};

/// How many are named.
const NAMED: usize = 4;
/// How many directory entries are read for it. A system's largest directory has some thousands.
const ENTRIES: usize = 1 << 16;

/// The libraries that differ from `name` only behind `.so`: those in the directories that were searched, in order, then
/// those that the cache knows; a few of them.
pub(super) fn other_versions<F: Files>(
    files: &mut F,
    name: &[u8],
    cached: bool,
    (known, searched): (&Directories, &[DirectoryId]),
) -> Vec<Near> {
    let Some(stem) = stem(name) else { return Vec::new() };
    let mut paths = Vec::new();
    let mut unread = ENTRIES;
    for id in searched {
        if paths.len() >= NAMED || unread == 0 {
            break;
        }
        // A directory has no order that a reader would understand.
        let mut names = BTreeSet::new();
        let Ok(path) = CString::new(known.name(*id)) else { continue };
        files.names(&path, &mut |found| {
            if is_other(stem, name, found) {
                names.insert(found.to_vec());
            }
            unread = unread.saturating_sub(1);
            if unread == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let here = names.into_iter().map(|found| [known.prefix(*id), &found].concat());
        paths.extend(here.filter_map(|path| CString::new(path).ok()));
    }
    if let Some(cache) = files.cache().filter(|_| cached) {
        let others = cache.entries().filter(|it| is_other(stem, name, it.name.to_bytes()));
        for other in others.take(NAMED) {
            if !paths.iter().any(|path| **path == *other.path) {
                paths.push(other.path.into());
            }
        }
    }
    paths.into_iter().take(NAMED).map(|path| Near::OtherVersion { path }).collect()
}

/// The name up to its version.
fn stem(name: &[u8]) -> Option<&[u8]> {
    let end = name.windows(3).position(|part| part == b".so")? + 3;
    name.get(..end)
}

fn is_other(stem: &[u8], name: &[u8], found: &[u8]) -> bool {
    let rest = found.strip_prefix(stem);
    found != name && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
}
