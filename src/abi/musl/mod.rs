//! musl: a C library that is a loader itself, in one file. rld hosts it: it starts musl through its own entry point, on
//! a small program that is made for the purpose ([`module`]), as one function call, and does all else itself. Nothing
//! here knows a structure of musl's.

pub mod large_files;
pub mod module;

use alloc::ffi::CString;
use alloc::vec::Vec;

use crate::addr::{Addr, ObjectId};
use crate::elf::header::Kind;
use crate::error::{Error, Result};
use crate::linkmap::id_set::IdSet;
use crate::linkmap::{LOADER_SONAME, Linker, Source};
use crate::lookup::{Class, Reference, one};
use crate::object::{Object, Role, dirname};
use crate::search::{Purpose, Rules, System, musl_elements};

/// What programs of musl name in PT_INTERP: there the C library is.
const INTERPRETER: &[u8] = b"/lib/ld-musl-x86_64.so.1";
/// What the names of such files begin with.
const LOADERS: &[u8] = b"ld-musl-";
/// The C library by the name that link editors put into programs, and by the name that Alpine's do.
const LIBC: &[u8] = b"libc.so";
const ALPINES: &[u8] = b"libc.musl-";

/// The interpreter that a program of musl names, if it names musl's.
fn interpreter<'a>(program: &Object<'a>) -> Option<&'a [u8]> {
    let path = program.interpreter()?.to_bytes();
    file_name(path).starts_with(LOADERS).then_some(path)
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

/// The name by which a program needs musl's C library.
fn needed<'a>(program: &Object<'a>) -> Option<&'a [u8]> {
    let names = program.needed_names().ok()?;
    names.into_iter().map(|(_, name)| name).find(|name| *name == LIBC || name.starts_with(ALPINES))
}

/// Whether a program is one of musl's: by its interpreter, or else, if that may be rld, by what it needs.
#[must_use]
pub fn is_for(program: &Object<'_>) -> bool {
    // glibc's, and Android's, whose C library has the same name.
    const OTHERS: [&[u8]; 2] = [LOADER_SONAME, b"linker64"];
    let file = program.interpreter().map_or(&b""[..], |path| file_name(path.to_bytes()));
    file.starts_with(LOADERS) || (!OTHERS.contains(&file) && needed(program).is_some())
}

/// Whether an object is musl's C library: it can be entered, and has the functions that it finds by name itself while
/// it starts, in all releases.
#[must_use]
pub fn is_libc(object: &Object<'_>) -> bool {
    const NAMES: [&[u8]; 4] = [b"_dlstart", b"__dls2b", b"__dls3", b"__libc_start_main"];
    let defines = |name: &[u8]| function(object, name).is_some();
    object.kind == Kind::Shared
        && object.image.is_code(object.entry)
        && object.entry.0 != object.image.bias.0
        && NAMES.into_iter().all(defines)
}

/// The address of what the C library defines under a name.
#[must_use]
pub fn function(libc: &Object<'_>, name: &[u8]) -> Option<Addr> {
    let (_, symbol) = one::find(&libc.exports, &Reference::new(name, None, Class::default()))?;
    Some(libc.image.address(symbol.vaddr()))
}

/// The file that lists the default directories: beside the directory of the interpreter.
#[must_use]
pub fn path_file(program: &Object<'_>) -> CString {
    let directory = dirname(dirname(interpreter(program).unwrap_or(INTERPRETER)));
    let prefix = directory.strip_suffix(b"/").unwrap_or(directory);
    CString::new([prefix, b"/etc/ld-musl-x86_64.path"].concat()).unwrap_or_default()
}

/// Where libraries are by default: the directories in that file, for the life of the process, or musl's own.
#[must_use]
pub fn system(path_file: Option<Vec<u8>>) -> System {
    const USUAL: &[&[u8]] = &[b"/lib", b"/usr/local/lib", b"/usr/lib"];
    let directories = match path_file {
        None => USUAL,
        Some(text) => {
            let text: &[u8] = text.leak();
            musl_elements(text).collect::<Vec<_>>().leak()
        }
    };
    System { lib: b"lib", directories, rules: Rules::Musl }
}

/// Finds the C library of a program of musl, and lets it stand for all its names. It is the file `given`, where the
/// user names one; else what the program names as its interpreter; else what is found under the name that it needs.
///
/// # Errors
/// None of them is musl's, or can be loaded.
pub fn find<'a, S: Source<'a>>(
    linker: &mut Linker<'_, 'a, S>,
    program: ObjectId,
    given: Option<&[u8]>,
) -> Result<ObjectId> {
    let object = linker.map.get(program);
    let named = object.and_then(interpreter).unwrap_or(INTERPRETER);
    let needed = object.and_then(needed).unwrap_or(LIBC);
    let libc = match given {
        Some(path) => load(linker, program, path)
            .map_err(|error| error.with("--musl-libc or RLD_MUSL_LIBC has named it"))?,
        None => load(linker, program, named).or_else(|first| {
            load(linker, program, needed).map_err(|error| {
                error
                    .with(alloc::format!("{first}"))
                    .with("--musl-libc or RLD_MUSL_LIBC can name musl's libc.so")
            })
        })?,
    };
    linker.map.host(libc, named);
    Ok(libc)
}

/// Loads a file that should be the C library; nothing stays of it if it is not.
fn load<'a, S: Source<'a>>(
    linker: &mut Linker<'_, 'a, S>,
    program: ObjectId,
    name: &[u8],
) -> Result<ObjectId> {
    let id = linker.open(name, Some(program), Purpose::Library)?;
    let Some(object) = linker.map.get(id) else {
        return Err(Error::words(name, "cannot open shared object file"));
    };
    if object.role == Role::Library && is_libc(object) {
        return Ok(id);
    }
    let words = match object.soname == Some(LOADER_SONAME) {
        true => "this is rld itself, or another loader of glibc's; musl's C library is elsewhere",
        false => "this is not musl's C library",
    };
    let error = Error::words(object.name.to_bytes(), words);
    if object.role == Role::Library {
        linker.map.remove(&IdSet::from_iter([id]));
        linker.search.forget(id);
    }
    Err(error)
}
