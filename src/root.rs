//! The root directory that paths start from: the machine's own, or another that stands for it, as under chroot(2).
//!
//! Nothing here touches the file system: reading links is the business of the caller.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use crate::errno::Errno;

/// As many symbolic links as the kernel follows in one path.
const LINKS: usize = 40;

/// What a distribution brings. A root stands for all of that, so that none of it comes from the machine: parts of two
/// releases of a libc do not work together.
const SYSTEM: [&[u8]; 8] =
    [b"/usr", b"/lib", b"/lib32", b"/lib64", b"/libx32", b"/bin", b"/sbin", b"/etc"];

/// Reads a symbolic link: its target, or nothing where the file is none.
pub type ReadLink<'l> = &'l mut dyn FnMut(&CStr) -> Result<Option<Vec<u8>>, Errno>;

/// A root directory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Root {
    /// As the user gave it, absolute. Both are empty for the machine's own root, and end in no slash.
    given: Vec<u8>,
    /// Without links in it.
    real: Vec<u8>,
}

/// Where a path leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Located {
    /// The path without links in it, as the machine knows it.
    pub path: CString,
    /// Whether the machine's kernel would have come there, too: no link was absolute, and none climbed out.
    pub plain: bool,
}

impl Root {
    /// The machine's own.
    pub const MACHINE: Self = Self { given: Vec::new(), real: Vec::new() };

    /// The root at `directory`, which may start from the directory `current`. Whether it is a directory is not asked.
    ///
    /// # Errors
    /// It is not there, or not to be read.
    pub fn new(directory: &[u8], current: &[u8], read_link: ReadLink<'_>) -> Result<Self, Errno> {
        if directory.is_empty() {
            return Err(Errno::ENOENT);
        }
        let given = absolute(directory, current);
        let (real, _) = walk(b"", &given, read_link)?;
        Ok(Self { given, real })
    }

    /// Whether it is another than the machine's.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        !self.real.is_empty()
    }

    /// Its own path, without links and without a slash at the end; empty for the machine's.
    #[must_use]
    pub fn real(&self) -> &[u8] {
        &self.real
    }

    /// What is left of an absolute path of the machine below the root.
    #[must_use]
    pub fn inside<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        let rest = |prefix: &[u8]| {
            let rest = path.strip_prefix(prefix)?;
            (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
        };
        rest(&self.real).or_else(|| rest(&self.given))
    }

    /// What an operand means inside: the path without the root, where it begins with it, since shells complete such
    /// paths; else the path itself, from the root on.
    #[must_use]
    pub fn operand(&self, operand: &[u8], current: &[u8]) -> Vec<u8> {
        let path = absolute(operand, current);
        match self.inside(&path) {
            Some(rest) => absolute(rest, b"/"),
            None => absolute(operand, b""),
        }
    }

    /// The machine's path for a path of the root.
    #[must_use]
    pub fn join<'p>(&self, inside: &'p [u8]) -> Cow<'p, [u8]> {
        match self.is_foreign() {
            true => [&self.real, inside].concat().into(),
            false => inside.into(),
        }
    }

    /// Where an absolute path of a program is to be looked for, as the machine's paths: below the root; then, if it may
    /// mean something `outside` that is no part of the system, where it says.
    pub fn places<'p>(
        &self,
        path: Cow<'p, [u8]>,
        outside: bool,
    ) -> impl Iterator<Item = Cow<'p, [u8]>> + use<'p> {
        let is_there =
            !self.is_foreign() || !path.starts_with(b"/") || self.inside(&path).is_some();
        let inside = (!is_there).then(|| Cow::Owned(self.join(&path).into_owned()));
        let itself = (is_there || (outside && !is_system(&path))).then_some(path);
        inside.into_iter().chain(itself)
    }

    /// Where a program that a user names is to be looked for, as the machine's paths: below the root, where the operand
    /// says so or may mean that; then where it says, unless that is part of the system.
    pub fn programs(
        &self,
        operand: &[u8],
        current: &[u8],
    ) -> impl Iterator<Item = Vec<u8>> + use<> {
        let path = absolute(operand, current);
        let outside = self.inside(&path).is_none() && !is_system(&path);
        let inside = self.join(&self.operand(operand, current)).into_owned();
        [inside].into_iter().chain(outside.then_some(path))
    }

    /// Where a path of the root leads: all links are followed; one that is absolute starts again from the root, and
    /// `..` does not leave it.
    ///
    /// # Errors
    /// Something of it is not there, or there are too many links.
    pub fn locate(&self, inside: &[u8], read_link: ReadLink<'_>) -> Result<Located, Errno> {
        let (path, plain) = walk(&self.real, inside, read_link)?;
        let path = if path.is_empty() { b"/".to_vec() } else { path };
        let path = CString::new(path).map_err(|_| Errno::ENOENT)?;
        Ok(Located { path, plain })
    }
}

/// Whether a path belongs to what a distribution brings.
fn is_system(path: &[u8]) -> bool {
    let path = absolute(path, b"");
    SYSTEM.iter().any(|part| {
        path.strip_prefix(*part).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    })
}

/// The elements of a path that lead somewhere.
fn elements(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|element| !element.is_empty() && *element != b".")
}

/// A path from the top, with `current` in front where it is relative; nothing in it leads nowhere.
fn absolute(path: &[u8], current: &[u8]) -> Vec<u8> {
    let current = if path.starts_with(b"/") { b"" } else { current };
    elements(current).chain(elements(path)).flat_map(|element| [b"/", element]).fold(
        Vec::new(),
        |mut path, part| {
            path.extend_from_slice(part);
            path
        },
    )
}

/// Follows all links of a path below `root`. Whether the kernel would have come to the same file comes with it.
fn walk(root: &[u8], path: &[u8], read_link: ReadLink<'_>) -> Result<(Vec<u8>, bool), Errno> {
    let mut done = root.to_vec();
    // The next element is the last.
    let mut left: Vec<Box<[u8]>> = elements(path).rev().map(Box::from).collect();
    let (mut links, mut plain) = (0, true);
    while let Some(element) = left.pop() {
        let parent = done.len();
        if *element == *b".." {
            plain &= parent > root.len();
            let end = done.iter().rposition(|&byte| byte == b'/').unwrap_or_default();
            done.truncate(end.max(root.len()));
            continue;
        }
        done.push(b'/');
        done.extend_from_slice(&element);
        let place = CString::new(&*done).map_err(|_| Errno::ENOENT)?;
        let Some(target) = read_link(&place)? else { continue };
        links += 1;
        if links > LINKS {
            return Err(Errno(libc::ELOOP));
        }
        let is_absolute = target.starts_with(b"/");
        plain &= !is_absolute || root.is_empty();
        done.truncate(if is_absolute { root.len() } else { parent });
        left.extend(elements(&target).rev().map(Box::from));
    }
    Ok((done, plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::string::String;

    /// Links of a file system in which everything else is there.
    fn links<'l>(
        links: &'l [(&str, &str)],
    ) -> impl FnMut(&CStr) -> Result<Option<Vec<u8>>, Errno> + 'l {
        let links: BTreeMap<_, _> = links.iter().copied().collect();
        move |path| {
            let path = path.to_str().unwrap();
            match path.ends_with("absent") {
                true => Err(Errno::ENOENT),
                false => Ok(links.get(path).map(|target| target.as_bytes().to_vec())),
            }
        }
    }

    fn root() -> Root {
        Root::new(b"r//./link/", b"/home", &mut links(&[("/home/r/link", "../real")])).unwrap()
    }

    fn words(path: &[u8]) -> &str {
        core::str::from_utf8(path).unwrap()
    }

    #[test]
    fn a_root_is_known_by_two_names() {
        let root = root();
        assert_eq!(words(root.real()), "/home/real");
        assert_eq!(root.inside(b"/home/real/lib/x"), Some(&b"/lib/x"[..]));
        assert_eq!(root.inside(b"/home/r/link"), Some(&b""[..]));
        assert_eq!(root.inside(b"/home/realm"), None);
        assert!(Root::new(b"", b"/", &mut links(&[])).is_err());
        assert!(Root::new(b"/absent", b"/", &mut links(&[])).is_err());
        assert!(!Root::new(b"/", b"/home", &mut links(&[])).unwrap().is_foreign());
    }

    #[test]
    fn operands_may_begin_with_the_root() {
        let operand =
            |operand: &str| String::from(words(&root().operand(operand.as_bytes(), b"/home/r")));
        assert_eq!(operand("/bin/ls"), "/bin/ls");
        assert_eq!(operand("bin//./ls"), "/bin/ls");
        assert_eq!(operand("link/bin/ls"), "/bin/ls");
        assert_eq!(operand("/home/real/bin/ls"), "/bin/ls");
    }

    #[test]
    fn the_system_is_the_roots_alone() {
        let places = |path: &'static str, outside| -> Vec<String> {
            let places = root().places(path.as_bytes().into(), outside);
            places.map(|place| words(&place).into()).collect()
        };
        assert_eq!(places("/usr/lib/x", true), ["/home/real/usr/lib/x"]);
        assert_eq!(places("//lib//x", true), ["/home/real//lib//x"]);
        assert_eq!(places("/opt/x", true), ["/home/real/opt/x", "/opt/x"]);
        assert_eq!(places("/opt/x", false), ["/home/real/opt/x"]);
        assert_eq!(places("/library/x", true), ["/home/real/library/x", "/library/x"]);
        assert_eq!(places("/home/real/usr/x", true), ["/home/real/usr/x"]);
        assert_eq!(places("x/y", false), ["x/y"]);
        let machine = Root::default();
        let own = machine.places(Cow::Borrowed(b"/usr/lib/x"), false).collect::<Vec<_>>();
        assert_eq!(own, [&b"/usr/lib/x"[..]]);
    }

    #[test]
    fn links_stay_inside() {
        let mut table = links(&[
            ("/home/real/lib", "usr/lib"),
            ("/home/real/abs", "/usr/lib"),
            ("/home/real/up", "../../usr"),
            ("/home/real/loop", "loop"),
        ]);
        let mut locate = |path: &str| {
            let located = root().locate(path.as_bytes(), &mut table)?;
            Ok((located.path.into_string().unwrap(), located.plain))
        };
        let found = |path: &str, plain| Ok((String::from(path), plain));
        assert_eq!(locate("/lib/x"), found("/home/real/usr/lib/x", true));
        assert_eq!(locate("/abs/./x"), found("/home/real/usr/lib/x", false));
        assert_eq!(locate("/up/x"), found("/home/real/usr/x", false));
        assert_eq!(locate("/../../x"), found("/home/real/x", false));
        assert_eq!(locate("/usr/../lib/x"), found("/home/real/usr/lib/x", true));
        assert_eq!(locate("/"), found("/home/real", true));
        assert_eq!(locate("/loop/x"), Err(Errno(libc::ELOOP)));
        assert_eq!(locate("/absent"), Err(Errno::ENOENT));
        assert_eq!(locate("/a\0b"), Err(Errno::ENOENT));
    }
}
