//! The parsers survive damage: real libraries, the library cache and made-up input, with changes that a fixed seed
//! chooses, keep the properties that `fuzz/` tests with a fuzzer.

#[path = "../fuzz/src/properties/mod.rs"]
mod properties;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use std::{env, fs, thread};

use properties::{Choices, object};
use rld::addr::Vaddr;
use rld::object::{Object, Role};
use rld::root::Root;
use rld::search::{Config, Hwcaps, Search, System};

/// Where libraries are. What is missing is left out.
const DIRECTORIES: [&str; 3] = ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/usr/lib64"];
const LIBRARIES: [&str; 9] = [
    "libc.so.6",
    "libm.so.6",
    "libz.so.1",
    "libstdc++.so.6",
    "libgcc_s.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "ld-linux-x86-64.so.2",
    "libcrypto.so.3",
];

/// A property of `fuzz/`.
type Check = fn(&[u8]);

/// xorshift64*.
struct Random(u64);

impl Random {
    /// A generator of its own for each use.
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit.max(1)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }

    /// A number that a parser may trip over.
    fn nasty(&mut self, len: u64) -> u64 {
        const NUMBERS: [u64; 14] = [
            0,
            1,
            2,
            7,
            0x7fff,
            0xffff,
            0x7fff_ffff,
            0xffff_ffff,
            1 << 32,
            (1 << 47) - 1,
            1 << 47,
            i64::MAX as u64,
            1 << 63,
            u64::MAX,
        ];
        let near = [len, len.wrapping_sub(1), len + 1, 0x1000, u64::MAX - 0xfff];
        match self.below(4) {
            0 => self.next(),
            1 => near[self.below(near.len())],
            2 => self.next() % (len + 1),
            _ => NUMBERS[self.below(NUMBERS.len())],
        }
    }
}

/// Says which input it was, when a property does not hold.
struct Case<F: Fn() -> String>(F);

impl<F: Fn() -> String> Drop for Case<F> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the input: {}", (self.0)());
        }
    }
}

/// Changes `bytes` inside one of `regions`, calls `check`, and takes the changes back.
fn damaged(
    bytes: &mut [u8],
    regions: &[Range<usize>],
    random: &mut Random,
    what: &str,
    check: impl FnOnce(&[u8]),
) {
    let len = bytes.len() as u64;
    let mut undo = Vec::new();
    for _ in 0..=random.below(4) {
        let region = &regions[random.below(regions.len())];
        let width = [1, 2, 4, 8][random.below(4)];
        let at = region.start + random.below(region.len());
        // Fields are aligned more often than not.
        let at = if random.below(4) == 0 { at } else { at & !(width - 1) };
        let value = random.nasty(len).to_le_bytes();
        let Some(place) = bytes.get_mut(at..at + width) else { continue };
        undo.push((at, place.to_vec()));
        place.copy_from_slice(&value[..width]);
    }
    {
        let changes = || undo.iter().map(|(at, old)| (*at, bytes[*at..at + old.len()].to_vec()));
        let _case = Case(|| format!("{what} with {:x?}", changes().collect::<Vec<_>>()));
        check(bytes);
    }
    for (at, old) in undo.into_iter().rev() {
        bytes[at..at + old.len()].copy_from_slice(&old);
    }
}

fn libraries() -> Vec<(PathBuf, Vec<u8>)> {
    let find = |name: &str| {
        let mut paths = DIRECTORIES.iter().map(|directory| Path::new(directory).join(name));
        let found = paths.find_map(|path| Some((fs::read(&path).ok()?, path)));
        if found.is_none() {
            println!("skipped: there is no {name}");
        }
        found.map(|(bytes, path)| (path, bytes))
    };
    let own = env::current_exe().expect("the test has a path");
    let own_bytes = fs::read(&own).expect("the test can be read");
    LIBRARIES.into_iter().filter_map(find).chain([(own, own_bytes)]).collect()
}

/// The parts of a file that a loader reads, as ranges of the file.
fn regions(object: &Object<'_>) -> Vec<Range<usize>> {
    let table = object.phdr.0 - object.image.bias.0;
    let phdrs = table as usize..table as usize + usize::from(object.phnum) * 56;
    let in_file = |at: Vaddr, size: u64| {
        let load = object.segments.loads.iter().find(|load| load.holds_in_file(at, 1))?;
        let start = load.offset + (at.0 - load.vaddr.0);
        Some(start as usize..(start + size.min(load.file_end() - at.0)) as usize)
    };
    let dynamic = &object.dynamic;
    let at = |at: Option<Vaddr>, size: u64| in_file(at?, size);
    let count = object.exports.count() as u64;
    let notes = object.segments.notes.iter().map(|note| in_file(note.vaddr, note.filesz));
    let tables = [
        at(object.segments.dynamic.map(|span| span.vaddr), 16 * 40),
        at(dynamic.gnu_hash, 16),
        at(dynamic.gnu_hash, 16 * count),
        at(dynamic.hash, 8 * count),
        at(dynamic.symtab, 24 * count),
        at(dynamic.versym, 2 * count),
        at(dynamic.verneed, 256),
        at(dynamic.verdef, 1024),
        in_file(dynamic.strtab.vaddr, dynamic.strtab.size),
        in_file(dynamic.rela.vaddr, dynamic.rela.size.min(4096)),
        in_file(dynamic.relr.vaddr, dynamic.relr.size),
    ];
    let found = notes.chain(tables).flatten().filter(|region| !region.is_empty());
    // The headers more than once: most of the decisions are made there.
    [0..64, 16..64, phdrs.clone(), phdrs.clone(), phdrs].into_iter().chain(found).collect()
}

#[test]
fn whole_libraries_are_understood() {
    let files = libraries();
    let objects = files.iter().zip(0..).map(|((path, file), at)| {
        let _case = Case(|| path.display().to_string());
        let role = if at == 0 { Role::Program } else { Role::Library };
        let object = object::load(file, role).unwrap();
        object::check_object(&object, file, usize::MAX);
        properties::evidence::check_object(&object);
        Arc::new(object)
    });
    // All of them in one scope, in both orders.
    let mut scope: Vec<_> = objects.collect();
    properties::lookup::check_objects(&scope, 4000);
    scope.reverse();
    properties::lookup::check_objects(&scope, 4000);
}

#[test]
fn damaged_libraries_are_survived() {
    let mut parsed = 0;
    for ((path, mut file), seed) in libraries().into_iter().zip(1..) {
        let regions = regions(&object::load(&file, Role::Library).unwrap());
        let mut random = Random::new(seed);
        let what = path.display().to_string();
        // An input costs what the tables of the library cost.
        let rounds = if file.len() > 500_000 { 300 } else { 1500 };
        for _ in 0..rounds {
            damaged(&mut file, &regions, &mut random, &what, |file| {
                let Ok(object) = object::load(file, Role::Library) else { return };
                parsed += 1;
                object::check_object(&object, file, 64);
                properties::evidence::check_object(&object);
                let object = Arc::new(object);
                properties::lookup::check_objects(&[object.clone(), object.clone(), object], 16);
            });
        }
    }
    println!("{parsed} damaged libraries were parsed to the end");
    assert!(parsed > 1000, "the damage is too heavy to reach the inner parsers: {parsed}");
}

#[test]
fn shortened_libraries_are_survived() {
    for (path, file) in libraries() {
        let object = object::load(&file, Role::Library).unwrap();
        let mut ends: Vec<usize> = (0..=64).collect();
        for region in regions(&object) {
            ends.extend([region.start, region.end]);
        }
        let loads = object.segments.loads.iter();
        ends.extend(
            loads.flat_map(|load| [load.offset, load.offset + load.filesz].map(|at| at as usize)),
        );
        ends.extend((0..=usize::from(object.phnum)).map(|header| 64 + header * 56));
        let around = ends.iter().flat_map(|end| [end.wrapping_sub(1), *end, end + 1]);
        for end in around.filter(|end| *end < file.len()) {
            let _case = Case(|| format!("{} cut to {end} bytes", path.display()));
            let Ok(object) = object::load(&file[..end], Role::Library) else { continue };
            // Section headers, which no loader reads, are all that may be missing.
            let last = object.segments.loads.iter().map(|load| load.offset + load.filesz).max();
            assert!(last <= Some(end as u64));
            object::check_object(&object, &file[..end], 16);
        }
    }
}

#[test]
fn damaged_tables_are_survived() {
    let mut random = Random::new(100);
    for (path, file) in libraries() {
        let object = object::load(&file, Role::Library).unwrap();
        let dynamic = &object.dynamic;
        let tail = |at: Option<Vaddr>, len: usize| {
            let tail = object.image.tail(at?, u64::MAX)?;
            Some(tail[..tail.len().min(len)].to_vec())
        };
        let limit = 4096;
        let phdrs = file[64..][..usize::from(object.phnum) * 56].to_vec();
        let versions = tail(dynamic.verneed, 256).zip(tail(Some(dynamic.strtab.vaddr), 1 << 14));
        let versions = versions.map(|(needs, strings)| {
            let sizes = [0, 1, 0, 0].to_vec();
            [sizes, needs, strings].concat()
        });
        let note = object.segments.notes.first().map(|note| note.vaddr);
        let text = object.segments.loads.get(1).map(|load| load.vaddr);
        let tables: [(&str, Check, Option<Vec<u8>>); 7] = [
            ("program headers", properties::segments::check, Some(phdrs)),
            (
                "dynamic section",
                properties::dynamic::check,
                tail(object.segments.dynamic.map(|span| span.vaddr), 640),
            ),
            ("GNU hash table", properties::hash::check, tail(dynamic.gnu_hash, limit)),
            ("hash table", properties::hash::check, tail(dynamic.hash, limit)),
            ("versions", properties::versions::check, versions),
            ("notes", properties::notes::check, tail(note, 256)),
            ("code", properties::evidence::check, tail(text, limit)),
        ];
        for (what, check, table) in tables {
            let Some(mut table) = table.filter(|table| !table.is_empty()) else { continue };
            let what = format!("{what} of {}", path.display());
            let whole = [0..table.len().min(64), 0..table.len()];
            for _ in 0..200 {
                damaged(&mut table, &whole, &mut random, &what, check);
            }
            for end in 0..table.len().min(256) {
                let _case = Case(|| format!("{what}, {end} bytes of it"));
                check(&table[..end]);
            }
        }
    }
}

#[test]
fn made_up_input_is_survived() {
    let targets: [(&str, Check); 14] = [
        ("cache", properties::cache::check),
        ("dynamic", properties::dynamic::check),
        ("environment", properties::environment::check),
        ("evidence", properties::evidence::check),
        ("hash", properties::hash::check),
        ("lookup", properties::lookup::check),
        ("notes", properties::notes::check),
        ("object", properties::object::check),
        ("order", properties::order::check),
        ("segments", properties::segments::check),
        ("tls", properties::tls::check),
        ("tokens", properties::tokens::check),
        ("tunables", properties::tunables::check),
        ("versions", properties::versions::check),
    ];
    for ((name, check), seed) in targets.into_iter().zip(200..) {
        let mut random = Random::new(seed);
        check(b"");
        let rounds = if name == "lookup" { 300 } else { 1000 };
        for round in 0..rounds {
            let size = 1 + random.below(300);
            let mut bytes = random.bytes(size);
            if round % 2 == 0 {
                // Counts and offsets are small in earnest.
                bytes.iter_mut().skip(1).step_by(2).for_each(|byte| *byte = 0);
            }
            let _case = Case(|| format!("{name}: {bytes:x?}"));
            check(&bytes);
        }
    }
}

#[test]
fn segments_in_close_quarters_are_planned_or_refused() {
    const PT_LOAD: u32 = 1;
    const PT_TLS: u32 = 7;
    const PT_GNU_RELRO: u32 = 0x6474_e552;
    let mut random = Random::new(250);
    for _ in 0..20_000 {
        let mut table = Vec::new();
        let mut at = 0;
        for _ in 0..=random.below(4) {
            // Quarters of a page, so that segments meet in one, or in none.
            at += random.below(6) as u64 * 0x400;
            let filesz = random.below(7) as u64 * 0x400;
            let memsz = filesz + random.below(7) as u64 * 0x400;
            let kind = [PT_LOAD, PT_LOAD, PT_LOAD, PT_TLS, PT_GNU_RELRO][random.below(5)];
            let offset = at + random.below(3) as u64 * 0x1000;
            table.extend([kind, 6].into_iter().flat_map(u32::to_le_bytes));
            let words = [offset, at, at, filesz, memsz, 0x1000];
            table.extend(words.into_iter().flat_map(u64::to_le_bytes));
            at += if kind == PT_LOAD { memsz } else { 0 };
        }
        let _case = Case(|| format!("program headers {table:x?}"));
        properties::segments::check(&table);
    }
}

#[test]
fn made_up_text_is_survived() {
    const WORDS: [&str; 34] = [
        "$ORIGIN",
        "${ORIGIN}",
        "$LIB",
        "${LIB}",
        "$PLATFORM",
        "${PLATFORM}",
        "$",
        "{",
        "}",
        "/",
        "..",
        ".",
        "lib",
        "usr/",
        "_",
        "\0",
        "=",
        ":",
        ";",
        " ",
        "\t",
        "#",
        "\n",
        "-",
        "0x",
        "18446744073709551615",
        "12",
        "LD_PRELOAD",
        "LD_DEBUG",
        "LD_LIBRARY_PATH",
        "GLIBC_TUNABLES",
        "MALLOC_CHECK_",
        "glibc.malloc.check",
        "glibc.malloc.perturb",
    ];
    let targets: [Check; 3] =
        [properties::tokens::check, properties::environment::check, properties::tunables::check];
    let mut random = Random::new(300);
    for round in 0..12_000 {
        let mut text = vec![round as u8];
        // Settings are rare among random words.
        if round % 3 == 0 {
            text.extend(b"GLIBC_TUNABLES=glibc.malloc.check=");
        }
        for _ in 0..random.below(16) {
            text.extend(WORDS[random.below(WORDS.len())].bytes());
        }
        let _case = Case(|| String::from_utf8_lossy(&text).into_owned());
        targets[round % 3](&text[usize::from(round % 3 != 0)..]);
    }
}

#[test]
fn a_damaged_cache_is_survived() {
    let path = "/etc/ld.so.cache";
    let Ok(mut file) = fs::read(path) else {
        println!("skipped: there is no {path}");
        return;
    };
    properties::cache::check_some(&file, 500);
    let mut random = Random::new(400);
    let whole = [0..48, 0..file.len().min(2000), 0..file.len()];
    for _ in 0..300 {
        damaged(&mut file, &whole, &mut random, path, |file| {
            properties::cache::check_some(file, 16);
        });
    }
    for end in (0..128).chain((128..file.len()).step_by(997)) {
        properties::cache::check_some(&file[..end], 4);
    }
}

/// The same choices always make the same input: what fails once can be looked into.
#[test]
fn the_choices_are_fixed() {
    assert_eq!(Random::new(1).bytes(4), Random::new(1).bytes(4));
    assert_eq!(Choices(&[1, 0, 0, 0, 0, 0, 0, 0, 2]).word(), 1);
    let mut bytes = vec![0xaa; 64];
    let mut seen = Vec::new();
    damaged(&mut bytes, &[0..32, 32..64], &mut Random::new(5), "bytes", |bytes| {
        seen = bytes.to_vec()
    });
    assert_ne!(seen, bytes);
    assert_eq!(bytes, [0xaa; 64]);
}

/// Runs `parse` and gives up after a time that only more than linear work can take.
fn soon(what: &'static str, parse: impl FnOnce() + Send + 'static) {
    let (done, result) = mpsc::channel();
    let work = thread::spawn(move || {
        parse();
        // Nobody listens any more when the time is over.
        let _ = done.send(());
    });
    let timeout = result.recv_timeout(Duration::from_secs(20));
    assert_ne!(timeout, Err(mpsc::RecvTimeoutError::Timeout), "{what}: not done in 20 seconds");
    work.join().unwrap();
}

/// A shared object of one readable segment: the headers, `extra` times the last of them, and `contents`. Headers are
/// type, place in the contents, and size.
fn made_up(headers: &[(u32, usize, usize)], extra: usize, contents: &[u8]) -> Vec<u8> {
    let count = headers.len() + 1 + extra;
    let start = 64 + 56 * count;
    let mut file = vec![0; 64];
    file[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
    for (at, half) in [(16, 3), (18, 62), (20, 1), (32, 64), (54, 56), (56, count)] {
        file[at..at + 2].copy_from_slice(&(half as u16).to_le_bytes());
    }
    let mut header = |kind: u32, at: usize, size: usize| {
        [kind, 4].iter().for_each(|word| file.extend(word.to_le_bytes()));
        [at, at, at, size, size, 4].iter().for_each(|word| file.extend(word.to_le_bytes()));
    };
    header(1, 0, start + contents.len());
    let last = headers.last().copied().into_iter().cycle().take(extra);
    headers.iter().copied().chain(last).for_each(|(kind, at, size)| header(kind, start + at, size));
    [file, contents.to_vec()].concat()
}

/// The contents of an object with a dynamic section at their end: `entries` are tags with values, or places where the
/// second is set.
fn with_dynamic(contents: &[u8], entries: &[(u64, u64, bool)]) -> Vec<u8> {
    let start = 64 + 56 * 2;
    let entry = |&(tag, value, is_place): &(u64, u64, bool)| {
        [tag, if is_place { start + value } else { value }].map(u64::to_le_bytes).concat()
    };
    let dynamic: Vec<u8> = entries.iter().flat_map(entry).collect();
    let header = (2, contents.len(), dynamic.len());
    made_up(&[header], 0, &[contents, &dynamic].concat())
}

const PT_NOTE: u32 = 4;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_VERNEED: u64 = 0x6fff_fffe;

#[test]
fn many_headers_for_the_same_notes_cost_no_more_than_the_file() {
    let notes = vec![0; 1 << 20];
    assert!(object::load(&made_up(&[(PT_NOTE, 0, 1 << 12)], 1, &notes), Role::Library).is_ok());
    let file = made_up(&[(PT_NOTE, 0, notes.len())], 60_000, &notes);
    soon("notes", move || drop(object::load(&file, Role::Library).err()));
}

#[test]
fn needs_that_share_their_versions_cost_no_more_than_the_file() {
    const NEEDS: u32 = 1 << 15;
    const VERSIONS: u32 = 65_535;
    let half = |value: u16| value.to_le_bytes();
    let word = |value: u32| value.to_le_bytes();
    let need = |at: u32| {
        let (versions, next) = ((NEEDS - at) * 16, if at + 1 < NEEDS { 16 } else { 0 });
        [&half(1)[..], &half(VERSIONS as u16), &word(0), &word(versions), &word(next)].concat()
    };
    let version = [&word(1)[..], &half(0), &half(2), &word(0), &word(16)].concat();
    let mut table: Vec<u8> = (0..NEEDS).flat_map(need).collect();
    (0..VERSIONS).for_each(|_| table.extend(&version));
    let strings = table.len() as u64;
    table.extend(b"\0\0");
    let strings = [(DT_STRTAB, strings, true), (DT_STRSZ, 1, false)];
    let file = with_dynamic(&table, &[strings[0], strings[1], (DT_VERNEED, 0, true)]);
    soon("needs", move || assert!(object::load(&file, Role::Library).is_err()));
}

#[test]
fn names_that_share_their_end_cost_no_more_than_the_file() {
    let mut strings = vec![b'x'; 1 << 20];
    strings.push(0);
    let size = (DT_STRSZ, strings.len() as u64, false);
    let mut entries = vec![(DT_STRTAB, 0, true), size];
    entries.extend((0..65_536).map(|at| (DT_NEEDED, at, false)));
    let file = with_dynamic(&strings, &entries);
    soon("names", move || {
        let object = object::load(&file, Role::Library).unwrap();
        assert!(object.needed_names().is_err());
    });
}

#[test]
fn a_banner_over_and_over_costs_no_more_than_the_file() {
    let text = b"GNU C Library ".repeat(100_000);
    soon("banner", move || properties::evidence::check(&text));
}

#[test]
fn a_long_path_list_costs_no_more_than_its_length() {
    let list: Vec<u8> = (0..200_000).flat_map(|at| format!("/{at:x}:").into_bytes()).collect();
    soon("path list", move || {
        let config = Config {
            system: System::DEBIAN,
            root: &Root::MACHINE,
            platform: None,
            secure: false,
            library_path: &list,
            origin: b"/",
            inhibit_cache: true,
            inhibit_rpath: None,
        };
        let mut search = Search::new(&config, Hwcaps::new(1, b"", None));
        // The empty element at the end is the current directory; the system's own come after it.
        assert_eq!(search.places(&[]).count(), 200_001 + System::DEBIAN.directories.len());
    });
}
