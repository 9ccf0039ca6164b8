//! A C library that is not known is refused in words, before any of its code runs: a build of glibc whose layout nobody
//! knows, any other C library, and a second one beside the program's.

mod support;

use std::ffi::OsStr;
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
use support::build::{self, Step};

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

/// Fakes of C libraries, and programs that need them.
fn fakes() -> PathBuf {
    let library = |output: &str, kind: &str, more: &str| {
        let words = format!("c_library.c -D{kind} -nostdlib -Wl,--build-id=none {more}");
        Step::link(true, output, &words)
    };
    let program = |output: &str, library: &str| {
        let words = format!(
            "c_library.c -DPROGRAM -nostdlib -nostartfiles -fno-stack-protector {library} \
             -Wl,-rpath,$ORIGIN"
        );
        Step::link(false, output, &words)
    };
    let steps = [
        Step::shell("mkdir -p bionic uclibc"),
        Step::shell("printf 'LIBC { global: *; };\nLIBC_N { } LIBC;\n' > bionic.map"),
        library("bionic/libc.so", "BIONIC", "-Wl,-soname,libc.so -Wl,--version-script,bionic.map"),
        library("uclibc/libc.so.0", "UCLIBC", "-Wl,-soname,libc.so.0"),
        library("libunnamed.so", "UNNAMED", ""),
        library("libhook.so", "HOOK", ""),
        program("android", "bionic/libc.so"),
        program("small", "uclibc/libc.so.0"),
        program("unnamed", "libunnamed.so"),
        program("hooked", "libhook.so"),
        Step::shell("printf 'int main(void) { return 0; }' > main.c"),
        Step::shell("gcc -o mixed main.c -Wl,--no-as-needed bionic/libc.so"),
        Step::shell("gcc -o glibc main.c"),
        Step::shell("printf 'void __of_another_build(void) {}\n' > private.c"),
        Step::shell("printf 'GLIBC_PRIVATE { global: *; };\n' > private.map"),
        Step::shell(
            "gcc -shared -fpic -nostdlib -o private.so private.c -Wl,-soname,libc.so.6 \
             -Wl,--version-script,private.map",
        ),
        Step::shell(
            "printf 'void __of_another_build(void);\nvoid part(void) { __of_another_build(); }\n' \
             > part.c",
        ),
        Step::shell("gcc -shared -fpic -nostdlib -o libpart.so part.c private.so"),
        Step::shell(
            "gcc -o parts main.c -Wl,--allow-shlib-undefined,--no-as-needed,-rpath,'$ORIGIN' libpart.so",
        ),
    ];
    let folder = support::package().join("fixtures/none");
    build::build("unknown_libc", &folder, &steps).unwrap()
}

/// What a program says that cannot be started, with the folder's name taken out. Nothing is executed.
fn refused(folder: &Path, environment: &[(&str, &OsStr)], program: &str) -> String {
    let mut command = Command::new(RLD);
    command.envs(environment.iter().copied()).arg(folder.join(program));
    let output = command.output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(127), &b""[..]), "{words}");
    words.replace(&format!("{}", folder.display()), "$DIR")
}

#[test]
fn unknown_c_libraries_are_refused_in_words() {
    let folder = fakes();
    let path = |part: &str| folder.join(part).into_os_string();
    let words = refused(&folder, &[("LD_LIBRARY_PATH", &path("bionic"))], "android");
    let lines: Vec<_> = words.lines().collect();
    let [first, needed, family, soname, versions, known, report] = lines[..] else {
        panic!("{words}")
    };
    let expected = "$DIR/android: error while loading shared libraries: $DIR/bionic/libc.so: \
                    this C library is not known";
    assert_eq!(first, expected);
    assert_eq!(needed, "\tneeded by $DIR/android");
    assert_eq!(family, "\tit seems to be bionic: it defines __libc_init");
    assert_eq!(soname, "\tSONAME: libc.so");
    assert_eq!(versions, "\tversions: LIBC, LIBC_N");
    assert!(known.starts_with("\tknown C libraries: glibc 2."), "{words}");
    assert!(report.starts_with("\tplease report it"), "{words}");

    let words = refused(&folder, &[("LD_LIBRARY_PATH", &path("uclibc"))], "small");
    assert!(words.contains("$DIR/uclibc/libc.so.0: this C library is not known\n"), "{words}");
    assert!(words.contains("\n\tit seems to be uClibc: it defines __uClibc_main\n"), "{words}");

    let words = refused(&folder, &[], "unnamed");
    assert!(words.contains("$DIR/libunnamed.so: this C library is not known\n"), "{words}");
    assert!(words.contains("\n\tdefines: __libc_start_main, malloc, exit\n"), "{words}");
}

#[test]
fn parts_of_different_builds_of_glibc_are_told_apart() {
    let words = refused(&fakes(), &[("LD_BIND_NOW", OsStr::new("1"))], "parts");
    let expected = "$DIR/parts: symbol lookup error: $DIR/libpart.so: undefined symbol: \
                    __of_another_build, version GLIBC_PRIVATE\n\
                    \tGLIBC_PRIVATE is a version of libc.so.6, which should define it\n\
                    \tit is for glibc's own libraries: $DIR/libpart.so and libc.so.6 are of different \
                    builds\n";
    assert_eq!(words, expected);
}

#[test]
fn who_hooks_a_function_of_the_c_library_is_none() {
    let folder = fakes();
    let output = Command::new(RLD).arg(folder.join("hooked")).output().unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"executed\nexecuted\n"[..]));
}

#[test]
fn a_second_c_library_is_refused_in_words() {
    let folder = fakes();
    let bionic = folder.join("bionic");
    let words = refused(&folder, &[("LD_LIBRARY_PATH", bionic.as_os_str())], "mixed");
    let lines: Vec<_> = words.lines().collect();
    let [first, needed, family, ..] = lines[..] else { panic!("{words}") };
    let start = "$DIR/mixed: error while loading shared libraries: $DIR/bionic/libc.so: another C \
                 library beside ";
    assert!(first.starts_with(start), "{words}");
    assert!(first.ends_with("/libc.so.6, which the program uses"), "{words}");
    assert_eq!(needed, "\tneeded by $DIR/mixed");
    assert!(family.contains("bionic"), "{words}");

    let preload = folder.join("uclibc/libc.so.0");
    let words = refused(&folder, &[("LD_PRELOAD", preload.as_os_str())], "glibc");
    assert!(words.contains("$DIR/uclibc/libc.so.0: another C library beside "), "{words}");
}
