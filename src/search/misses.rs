//! What comes close to a library that was not found: the same library in another version, or what cannot be opened.
//! Asked for only on the way to an error.

use alloc::collections::BTreeSet;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::dirs::{Directories, DirectoryId};
use super::{Files, Near, Why};

/// How many are named.
const NAMED: usize = 4;
/// How many directory entries are read for it. A system's largest directory has some thousands.
const ENTRIES: usize = 1 << 16;

/// The libraries that differ from `name` only behind `.so`: those in the directories that were searched, in order, then
/// those that the cache knows; a few of them. And what has the name itself, but could not be opened.
pub(super) fn misses<F: Files>(
    files: &mut F,
    name: &[u8],
    cached: bool,
    (known, searched): (&Directories, &[(DirectoryId, Why)]),
) -> Vec<Near> {
    let stem = stem(name);
    let (mut unopened, mut others) = (Vec::new(), Vec::new());
    let mut unread = ENTRIES;
    for &(id, why) in searched {
        if others.len() >= NAMED || unread == 0 {
            break;
        }
        // A directory has no order that a reader would understand.
        let mut names = BTreeSet::new();
        let Ok(path) = CString::new(known.name(id)) else { continue };
        files.names(&path, &mut |found| {
            if found == name || is_other(stem, name, found) {
                names.insert(found.to_vec());
            }
            unread = unread.saturating_sub(1);
            if unread == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        for found in names {
            let path = CString::new([known.prefix(id), &found].concat()).unwrap_or_default();
            match why {
                _ if found != name => others.push(path),
                Why::Errno(errno) => unopened.push(Near::Unopened { path, errno }),
                _ => {}
            }
        }
    }
    if let Some(cache) = files.cache().filter(|_| cached) {
        let found = cache.entries().filter(|it| is_other(stem, name, it.name.to_bytes()));
        for entry in found.take(NAMED) {
            if !others.iter().any(|path| **path == *entry.path) {
                others.push(entry.path.into());
            }
        }
    }
    unopened.truncate(NAMED);
    unopened.extend(others.into_iter().take(NAMED).map(|path| Near::OtherVersion { path }));
    unopened
}

/// The name up to its version.
fn stem(name: &[u8]) -> Option<&[u8]> {
    let end = name.windows(3).position(|part| part == b".so")? + 3;
    name.get(..end)
}

fn is_other(stem: Option<&[u8]>, name: &[u8], found: &[u8]) -> bool {
    let rest = stem.and_then(|stem| found.strip_prefix(stem));
    found != name && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
}
