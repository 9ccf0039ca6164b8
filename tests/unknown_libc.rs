//! A build of glibc whose private layout is not known is refused in words, before any of its code runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rld::addr::{Addr, Bias};
use rld::elf::header::Header;
use rld::elf::segment::Segments;
use rld::elf::table::Table;
use rld::image::Image;
use rld::lookup::{Class, Reference, one};
use rld::object::{Mapped, Memory, Object, Role};

const RLD: &str = env!("CARGO_BIN_EXE_rld");
const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";

/// Where in the file a variable of libc's read-only data is.
fn place(bytes: &[u8], name: &[u8]) -> usize {
    let header = Header::parse(bytes).unwrap();
    let start = usize::try_from(header.phoff).unwrap();
    let table = &bytes[start..start + header.phdr_bytes()];
    let segments = Segments::parse(Table::new(table), bytes.len() as u64).unwrap();
    let loads = segments.loads.clone();
    let parts = loads.iter().map(|load| {
        let start = usize::try_from(load.offset).unwrap();
        (*load, &bytes[start..start + usize::try_from(load.filesz).unwrap()])
    });
    let image = Image::new(Bias(0), parts.collect::<Vec<_>>());
    let mapped = Mapped {
        header,
        segments,
        image,
        phdr: Addr(0),
        identity: None,
        memory: Memory::default(),
    };
    let object = Object::parse(c"libc.so.6".to_owned(), Role::Library, mapped).unwrap();
    let class = Class { newest: true, ..Class::default() };
    let (_, symbol) = one::find(&object.exports, &Reference::new(name, None, class)).unwrap();
    let load = loads.iter().find(|load| load.holds(symbol.vaddr(), 4)).unwrap();
    usize::try_from(symbol.value - load.vaddr.0 + load.offset).unwrap()
}

/// Runs a program with the libc of a folder.
fn run(folder: &Path) -> (Option<i32>, String) {
    let output =
        Command::new(RLD).arg("--library-path").arg(folder).arg("/bin/true").output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn an_unknown_layout_is_refused_in_words() {
    if !Path::new(LIBC).exists() {
        println!("SKIPPED: no {LIBC}");
        return;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("unknown_libc");
    fs::create_dir_all(&folder).unwrap();
    let mut bytes = fs::read(LIBC).unwrap();
    fs::write(folder.join("libc.so.6"), &bytes).unwrap();
    let (status, words) = run(&folder);
    if status == Some(127) && words.contains("layout") {
        println!("SKIPPED: the layout of this machine's libc is not known: {words}");
        return;
    }
    assert_eq!((status, words.as_str()), (Some(0), ""));

    let at = place(&bytes, b"_thread_db_sizeof_pthread");
    bytes[at] ^= 0x40;
    fs::write(folder.join("libc.so.6"), &bytes).unwrap();
    let (status, words) = run(&folder);
    assert_eq!(status, Some(127), "{words}");
    let first = words.lines().next().unwrap();
    assert!(first.starts_with("/bin/true: error while loading shared libraries: "), "{words}");
    assert!(first.contains("libc.so.6") && words.contains("pthread"), "{words}");
    assert!(words.lines().count() > 3, "evidence and known layouts are listed: {words}");
    assert!(words.contains("build-id"), "{words}");
    fs::remove_dir_all(&folder).unwrap();
}
