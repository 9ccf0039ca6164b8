//! What a program's name without a slash may have meant. Asked for only on the way to an error.

use alloc::collections::BTreeSet;
use alloc::ffi::CString;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::near;
use crate::sys::file::{self, Fd};
use crate::text::Text;

/// How many similar names are shown.
const SIMILAR: usize = 3;
/// The most letters that may be wrong in one of those.
const WRONG: usize = 2;
/// How many directory entries are read in search of them.
const ENTRIES: usize = 1 << 15;
/// Room for some hundred of these at a time.
const BUFFER: usize = 1 << 14;

/// Lines for the user: the program of that name in the current directory or in one of PATH's, or else the most similar
/// names there.
#[must_use]
pub fn advice(name: &[u8], path: &[u8]) -> Vec<String> {
    let in_path = path.split(|&byte| byte == b':').filter(|directory| !directory.is_empty());
    let directories: Vec<_> = core::iter::once(&b"."[..]).chain(in_path).collect();
    let mut files = directories.iter().map(|directory| [directory, &b"/"[..], name].concat());
    if let Some(found) = files.find(|path| is_program(path)) {
        return vec![alloc::format!(
            "a name without a slash is looked for where libraries are; there is a program {}",
            Text(&found)
        )];
    }
    let near = similar(name, &directories);
    let near = near.iter().map(|path| alloc::format!("near miss: {}", Text(path)));
    let rule = "a program in the current directory or in PATH needs a slash in its name";
    near.chain([rule.into()]).collect()
}

fn is_program(path: &[u8]) -> bool {
    let status = CString::new(path).ok().and_then(|path| file::stat(&path).ok());
    status.is_some_and(|status| status.is_file() && status.mode & 0o111 != 0)
}

/// Programs whose names differ from `name` in few letters, the nearest first.
fn similar(name: &[u8], directories: &[&[u8]]) -> Vec<Vec<u8>> {
    let most = WRONG.min(name.len() / 3);
    let (mut names, mut found) = (BTreeSet::new(), Vec::new());
    let mut buffer = vec![0; BUFFER];
    let mut unread = ENTRIES;
    for directory in directories {
        let opened = CString::new(*directory).ok().and_then(|path| Fd::directory(&path).ok());
        let Some(opened) = opened else { continue };
        // What cannot be read has no similar names.
        let _ = opened.names(&mut buffer, &mut |own| {
            let near = near::may_be_within(most, own, name).then(|| near::distance(own, name));
            let near = near.flatten().filter(|distance| (1..=most).contains(distance));
            if let Some(distance) = near
                && names.insert(own.to_vec())
            {
                found.push((distance, [directory, &b"/"[..], own].concat()));
            }
            unread = unread.saturating_sub(1);
            if unread == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
    found.sort_unstable();
    let programs = found.into_iter().map(|(_, path)| path).filter(|path| is_program(path));
    programs.take(SIMILAR).collect()
}
