//! C libraries that no personality is for. They are recognised so that nothing of them is executed: a C library starts
//! its program together with its own loader, in ways that the two have between themselves. What shows that an object is
//! one is said, so that who meets it can report it.

use alloc::string::String;
use alloc::vec::Vec;

use super::glibc;
use super::glibc::layout::LAYOUTS;
use crate::addr::ObjectId;
use crate::elf::note::build_id;
use crate::elf::segment::Access;
use crate::elf::version::definitions;
use crate::error::{Error, Problem, Result};
use crate::linkmap::LinkMap;
use crate::lookup::{Class, Reference, one};
use crate::object::{Object, Role};
use crate::text::Text;

/// How many of a library's versions are named.
const NAMED: usize = 6;

/// C libraries by what only they define.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// The GNU C library.
    Glibc,
    /// musl.
    Musl,
    /// Android's.
    Bionic,
    /// uClibc, and uClibc-ng.
    Uclibc,
    /// dietlibc.
    Dietlibc,
}

const FAMILIES: [(Family, &str, &[&str]); 5] = [
    (Family::Glibc, "glibc", &["gnu_get_libc_version"]),
    // It finds these two by name itself while it starts.
    (Family::Musl, "musl", &["__dls2b", "__dls3"]),
    (Family::Bionic, "bionic", &["__libc_init"]),
    (Family::Uclibc, "uClibc", &["__uClibc_main"]),
    (Family::Dietlibc, "dietlibc", &["__you_tried_to_link_a_dietlibc_object_against_glibc"]),
];

/// What every C library defines, and nothing else does: who stands before one of these functions has no need of the
/// others.
const COMMON: [&str; 3] = ["__libc_start_main", "malloc", "exit"];

/// What shows that an object is a C library.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evidence<'a> {
    /// Which one it seems to be, and by what it defines.
    pub family: Option<(Family, &'static str, &'static [&'static str])>,
    /// The functions of all C libraries that it defines.
    pub functions: Vec<&'static str>,
    /// Its SONAME.
    pub soname: Option<&'a [u8]>,
    /// The versions that it defines.
    pub versions: Vec<&'a [u8]>,
    /// The release of musl's that it is.
    pub release: Option<&'a [u8]>,
    /// Its build-id.
    pub build_id: Option<&'a [u8]>,
}

fn defines(object: &Object<'_>, name: &str) -> bool {
    let class = Class { definition_only: true, newest: true, ..Class::default() };
    one::find(&object.exports, &Reference::new(name.as_bytes(), None, class)).is_some()
}

/// Whether a file name or SONAME is that of a C library.
#[must_use]
pub fn is_name(name: &[u8]) -> bool {
    let rest = name.strip_prefix(b"libc.");
    rest.is_some_and(|rest| rest == b"so" || rest.starts_with(b"so.") || rest.starts_with(b"musl-"))
        || name.starts_with(b"ld-musl-")
}

/// Whether an object has the name of a C library.
fn is_named(object: &Object<'_>) -> bool {
    let file = || object.name.to_bytes().rsplit(|&byte| byte == b'/').next();
    object.soname.or_else(file).is_some_and(is_name)
}

impl<'a> Evidence<'a> {
    /// What an object shows; `None` if it is no C library.
    #[must_use]
    pub fn of(object: &Object<'a>) -> Option<Self> {
        let family = FAMILIES
            .into_iter()
            .find(|(_, _, marks)| marks.iter().all(|mark| defines(object, mark)));
        let functions: Vec<_> =
            COMMON.into_iter().filter(|function| defines(object, function)).collect();
        if family.is_none() && functions.len() < COMMON.len() && !is_named(object) {
            return None;
        }
        let is_musl = family.is_some_and(|(family, ..)| family == Family::Musl);
        Some(Self {
            family,
            functions,
            soname: object.soname,
            versions: versions(object),
            release: is_musl.then(|| release(object)).flatten(),
            build_id: build_id(object.notes()),
        })
    }

    /// The evidence in lines for people.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some((_, name, marks)) = self.family {
            lines.push(alloc::format!("it seems to be {name}: it defines {}", marks.join(", ")));
        }
        if let Some(release) = self.release {
            lines.push(alloc::format!("release: {}", Text(release)));
        }
        if !self.functions.is_empty() {
            lines.push(alloc::format!("defines: {}", self.functions.join(", ")));
        }
        if let Some(soname) = self.soname {
            lines.push(alloc::format!("SONAME: {}", Text(soname)));
        }
        if !self.versions.is_empty() {
            let named = self.versions.iter().take(NAMED);
            let named: Vec<_> = named.map(|version| alloc::format!("{}", Text(version))).collect();
            let more = if self.versions.len() > NAMED { " …" } else { "" };
            lines.push(alloc::format!("versions: {}{more}", named.join(", ")));
        }
        if let Some(id) = self.build_id {
            let digits: Vec<_> = id.iter().map(|byte| alloc::format!("{byte:02x}")).collect();
            lines.push(alloc::format!("build-id: {}", digits.concat()));
        }
        lines
    }
}

/// The versions that an object defines; as many as can be read.
fn versions<'a>(object: &Object<'a>) -> Vec<&'a [u8]> {
    let exports = &object.exports;
    let mut names = Vec::new();
    if let Some(table) = exports.verdef {
        let _ = definitions(table, |record| {
            if !record.is_base {
                names.push(record.name(exports.strings)?);
            }
            Ok(None::<()>)
        });
    }
    names
}

/// The number of a release, which musl holds as a string of its own: three numbers with dots, and what a packager has
/// added.
fn release<'a>(object: &Object<'a>) -> Option<&'a [u8]> {
    let constants = object.segments.loads.iter().filter(|load| load.access == Access::READ);
    constants.into_iter().find_map(|load| {
        let bytes = object.image.bytes(load.vaddr, load.filesz)?;
        bytes.split(|&byte| byte == 0).find(|string| is_release(string))
    })
}

fn is_release(string: &[u8]) -> bool {
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let number = string.split(|&byte| byte == b'-').next().unwrap_or_default();
    let mut parts = number.split(|&byte| byte == b'.');
    string.iter().all(u8::is_ascii_graphic) && parts.clone().count() == 3 && parts.all(is_number)
}

/// The libraries that rld knows, in words.
#[must_use]
pub fn known() -> String {
    let [first, .., last] = &LAYOUTS;
    let (first, last) = (first.minor, last.minor);
    alloc::format!("known C libraries: glibc 2.{first} to 2.{last}, musl")
}

/// How a program can have the C library that its libraries want.
const BEFORE: &str = "the program must need it itself, or have it preloaded (LD_PRELOAD)";
const ONE: &str = "a process has one C library: what needs another is to be built for that one";
/// What is asked of who meets an unknown one.
pub const REPORT: &str = "please report it, with these lines and where the build is from; its own loader \
                          can start its programs";

/// Before anything of a program is executed: it has no C library that is not known, and no other beside its own.
///
/// # Errors
/// It has one.
pub fn check_start(map: &LinkMap<'_>, libc: Option<ObjectId>, program: &[u8]) -> Result<()> {
    let found = find(map, map.in_search_order(), libc);
    let Some((object, evidence)) = found else { return Ok(()) };
    let mut error = match libc {
        None => Error::words(object.name.to_bytes(), "this C library is not known"),
        Some(libc) => beside(object, map.get(libc)),
    };
    error.details = describe(map, object, &evidence, program);
    match libc {
        None => error.details.extend([known(), REPORT.into()]),
        Some(_) => error.details.push(ONE.into()),
    }
    Err(error)
}

/// The same for objects that are opened at run time. A C library cannot come later than its program: its threads, its
/// locks and its thread-local storage would have to be there from the start.
///
/// # Errors
/// One of them is a C library that is not glibc's, or comes to a program that has none.
pub fn check_opened<'o, 'a: 'o>(
    map: &'o LinkMap<'a>,
    objects: impl Iterator<Item = (ObjectId, &'o Object<'a>)> + Clone,
    libc: Option<ObjectId>,
    has_glibc: bool,
    program: &[u8],
) -> Result<()> {
    const LATE: &str = "a C library cannot come to a program that was started without one";
    let glibc = objects.clone().find(|(_, object)| glibc::is_libc(object));
    let glibc = glibc.filter(|_| map.hosted().is_none());
    if let Some((_, object)) = glibc.filter(|_| !has_glibc) {
        let mut error = Error::words(object.name.to_bytes(), LATE);
        error.details.extend(needed_by(map, object, program));
        return Err(error.with(BEFORE));
    }
    let libc = libc.or(glibc.map(|(id, _)| id));
    let Some((object, evidence)) = find(map, objects, libc) else { return Ok(()) };
    let mut error = match libc {
        None => Error::words(object.name.to_bytes(), LATE),
        Some(libc) => beside(object, map.get(libc)),
    };
    error.details = describe(map, object, &evidence, program);
    Err(match libc {
        None => error.with(known()),
        Some(_) => error.with(ONE),
    })
}

fn beside(object: &Object<'_>, own: Option<&Object<'_>>) -> Error {
    let own = Text(own.map_or(b"", |own| own.name.to_bytes()));
    let sentence = alloc::format!("another C library beside {own}, which the program uses");
    Error::new(object.name.to_bytes(), Problem::Sentence(sentence))
}

fn describe(
    map: &LinkMap<'_>,
    object: &Object<'_>,
    evidence: &Evidence<'_>,
    program: &[u8],
) -> Vec<String> {
    needed_by(map, object, program).into_iter().chain(evidence.lines()).collect()
}

fn needed_by(map: &LinkMap<'_>, object: &Object<'_>, program: &[u8]) -> Option<String> {
    let requester = object.loader.get().and_then(|requester| map.get(requester))?;
    Some(alloc::format!("needed by {}", Text(requester.display_name(program))))
}

/// A C library that no personality is for. Beside one that is known, names alone count: every start asks.
fn find<'o, 'a: 'o>(
    map: &LinkMap<'_>,
    mut objects: impl Iterator<Item = (ObjectId, &'o Object<'a>)>,
    libc: Option<ObjectId>,
) -> Option<(&'o Object<'a>, Evidence<'a>)> {
    objects.find_map(|(id, object)| {
        let is_known = Some(id) == libc || (glibc::is_libc(object) && map.hosted().is_none());
        let counts = object.role == Role::Library && !is_known;
        let is_worth_a_look = counts && (libc.is_none() || is_named(object));
        Some((object, is_worth_a_look.then(|| Evidence::of(object))??))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_c_libraries() {
        for name in
            ["libc.so", "libc.so.0", "libc.so.6", "libc.musl-x86_64.so.1", "ld-musl-x86_64.so.1"]
        {
            assert!(is_name(name.as_bytes()), "{name}");
        }
        for name in ["libc.soft", "libc-client.so", "libcrypt.so.1", "xlibc.so", "libc.", "libc.a"]
        {
            assert!(!is_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn releases_of_musl() {
        for string in ["1.2.3", "1.1.24", "1.2.5-git-3-gabc"] {
            assert!(is_release(string.as_bytes()), "{string}");
        }
        for string in ["", "1.2", "1.2.3.4", "1..3", "v1.2.3", "1.2.3 x", "a.b.c", "-1.2.3"] {
            assert!(!is_release(string.as_bytes()), "{string}");
        }
    }
}
