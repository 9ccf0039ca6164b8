//! Expansion leaves no token behind, and in secure mode no path that `$ORIGIN` leads out of the trusted directories.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rld::search::{Tokens, has_token};

use super::Choices;

const TRUSTED: [&[u8]; 2] = [b"/lib", b"/usr/lib"];

/// The input is a byte of choices and a string.
pub fn check(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let flags = choices.byte();
    let string = choices.0;
    let tokens = Tokens {
        origin: [&b"/opt/app/bin"[..], b"/usr/bin", b"", b"relative"][usize::from(flags & 3)],
        lib: b"lib/x86_64-linux-gnu",
        platform: (flags & 4 != 0).then_some(b"x86_64"),
        secure: flags & 8 != 0,
        trusted: &TRUSTED,
    };
    let expanded = tokens.expand(string);
    if !has_token(string) {
        assert_eq!(expanded, Some(Cow::Borrowed(string)));
        return;
    }
    let Some(expanded) = expanded else {
        let all = !tokens.origin.is_empty() && tokens.platform.is_some() && !tokens.secure;
        assert!(!all, "refused for no reason");
        return;
    };
    assert!(!has_token(&expanded), "{:?}", String::from_utf8_lossy(&expanded));
    assert!(expanded.len() <= string.len() * 6);
    let uses_origin = tokens.secure && {
        // Without a value for $ORIGIN only a string with that token is refused.
        let tokens = Tokens { origin: b"", secure: false, ..tokens };
        tokens.expand(string).is_none()
    };
    if uses_origin {
        let path = plain(&expanded);
        let trusted = |directory: &&[u8]| path.starts_with(OsStr::from_bytes(directory));
        assert!(TRUSTED.iter().any(trusted), "{}", path.display());
        assert!(tokens.forbid(string));
    }
}

/// A path without `.` and `..`.
fn plain(path: &[u8]) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(path)).components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            component => plain.push(component),
        }
    }
    plain
}
