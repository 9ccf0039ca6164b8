//! The loader's binary is what a kernel can start without a loader, and what code of programs may call at any time: its
//! segments and dynamic section, what it exports, and its instructions.
//!
//! The instructions matter because rld's functions run between instructions of programs that keep values in the upper
//! halves of vector registers: code in legacy SSE encodings leaves those alone.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use rld::addr::Bias;
use rld::elf::dynamic::Flags1;
use rld::elf::hash::sysv;
use rld::elf::header::{Header, Kind};
use rld::elf::segment::{Access, Segments};
use rld::elf::table::Table;
use rld::elf::version::{Version, definitions};
use rld::image::Image;
use rld::lookup::{Class, Reference, one};
use rld::object::{Mapped, Memory, Object, Role};

const RLD: &str = env!("CARGO_BIN_EXE_rld");

/// The binary as rld itself reads objects.
fn object(bytes: &[u8]) -> Object<'_> {
    let header = Header::parse(bytes).unwrap();
    let start = usize::try_from(header.phoff).unwrap();
    let table = &bytes[start..start + header.phdr_bytes()];
    let segments = Segments::parse(Table::new(table), bytes.len() as u64).unwrap();
    let parts = segments.loads.iter().map(|load| {
        let start = usize::try_from(load.offset).unwrap();
        (*load, &bytes[start..start + usize::try_from(load.filesz).unwrap()])
    });
    let image = Image::new(Bias(0), parts.collect::<Vec<_>>());
    let phdr = rld::addr::Addr(header.phoff);
    let mapped =
        Mapped { header, segments, image, phdr, identity: None, memory: Memory::default() };
    Object::parse(c"rld".to_owned(), Role::Loader, mapped).unwrap()
}

/// What objdump says of the loader; `None`, with words, where it cannot.
fn objdump(option: &str, what: &str) -> Option<String> {
    match Command::new("objdump").args([option, "--wide", RLD]).output() {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        other => {
            let reason = other.map_or_else(|e| e.to_string(), |output| output.status.to_string());
            eprintln!("SKIPPED: the loader's {what} were not looked at: objdump: {reason}");
            None
        }
    }
}

/// The version nodes of linker.ld, each with its symbols.
fn promised() -> Vec<(String, Vec<String>)> {
    let script = include_str!("../linker.ld");
    let body = script.split_once("VERSION {").unwrap().1.split_once("\n}").unwrap().0;
    let nodes = body.split('}').filter_map(|node| node.split_once('{'));
    let nodes = nodes.map(|(head, body)| {
        // Before the brace stands, behind the `;` of the node before, the name.
        let name = head.rsplit(';').next().unwrap_or_default().trim();
        let globals = body.split_once("global:").map_or("", |(_, globals)| globals);
        let globals = globals.split("local:").next().unwrap_or_default();
        let symbols = globals.split(';').map(str::trim).filter(|symbol| !symbol.is_empty());
        (name.to_owned(), symbols.map(str::to_owned).collect())
    });
    nodes.collect()
}

#[test]
fn the_kernel_can_start_it_without_a_loader() {
    let bytes = fs::read(RLD).unwrap();
    let object = object(&bytes);
    let (segments, dynamic) = (&object.segments, &object.dynamic);
    assert_eq!(object.kind, Kind::Shared);
    assert!(object.image.holds(object.entry), "the entry point is in no segment");
    assert!(segments.interp.is_none(), "PT_INTERP");
    assert!(segments.tls.is_none(), "PT_TLS");
    assert!(segments.relro.is_some(), "no PT_GNU_RELRO");
    let both = Access::WRITE | Access::EXECUTE;
    assert!(segments.loads.iter().all(|load| !load.access.contains(both)), "{:?}", segments.loads);
    let executable_stack = segments.stack.is_none_or(|stack| stack.contains(Access::EXECUTE));
    assert!(!executable_stack, "PT_GNU_STACK");

    assert!(dynamic.needed.is_empty(), "DT_NEEDED");
    assert_ne!(dynamic.rela.size, 0, "DT_RELA: has _start nothing to do?");
    assert_eq!(dynamic.rela.size, 24 * dynamic.relacount, "_start takes all words for relative");
    assert_eq!(dynamic.jmprel.size, 0, "DT_JMPREL: a PLT");
    assert_eq!(dynamic.relr.size, 0, "DT_RELR: link editors up to binutils 2.37 refuse it");
    assert!(dynamic.init.is_none() && dynamic.init_array.size == 0, "nobody runs its initialisers");
    // Link editors refuse an input that is marked as a program.
    assert!(!dynamic.flags_1.contains(Flags1::PIE), "DF_1_PIE");
    assert_eq!(object.soname, Some(&b"ld-linux-x86-64.so.2"[..]));
}

/// Without them valgrind's memcheck ends: up to 3.19 it asks for the first, from 3.24 on for both.
#[test]
fn it_has_the_functions_that_valgrind_insists_on() {
    let Some(table) = objdump("--syms", "symbols") else { return };
    for name in ["strlen", "strcmp"] {
        let is_it = |line: &str| line.contains(" F .text") && line.ends_with(&format!(" {name}"));
        assert!(table.lines().any(is_it), "{name}");
    }
}

#[test]
fn it_exports_what_linker_ld_lists() {
    let bytes = fs::read(RLD).unwrap();
    let object = object(&bytes);
    let exports = &object.exports;
    let mut nodes = BTreeSet::new();
    let walked = definitions(exports.verdef.unwrap(), |record| {
        nodes.insert(String::from_utf8_lossy(record.name(exports.strings)?).into_owned());
        Ok(None::<()>)
    });
    assert_eq!(walked, Ok(None));
    let promised = promised();
    assert_eq!(promised.len(), 7, "{promised:?}");
    let mut names = BTreeSet::new();
    for (node, symbols) in &promised {
        assert!(nodes.contains(node), "no version {node}");
        for symbol in symbols {
            let version =
                Version { hash: sysv(node.as_bytes()), name: node.as_bytes(), hidden: true };
            let reference = Reference::new(symbol.as_bytes(), Some(version), Class::default());
            let found = one::find(exports, &reference);
            assert!(found.is_some(), "no {symbol}@{node}");
            names.insert(symbol.as_bytes());
        }
    }
    assert!(names.len() > 30, "{names:?}");
    for index in 1..exports.count() {
        let symbol = exports.symbols.get(index).unwrap();
        let name = exports.strings.get(symbol.name).unwrap();
        let shown = String::from_utf8_lossy(name);
        assert!(!symbol.is_undefined(), "{shown} is undefined");
        assert!(names.contains(name), "{shown} is exported and not in linker.ld");
    }
}

/// Why an instruction is not of the baseline, if so. `bytes` are in hexadecimal, with spaces.
fn beyond_baseline(bytes: &str, mnemonic: &str) -> Option<&'static str> {
    let bytes = bytes.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap_or_default());
    // Address size and segment prefixes may stand before the first byte that counts.
    let mut bytes =
        bytes.skip_while(|byte| [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x67].contains(byte));
    match (bytes.next()?, bytes.next()) {
        (0xc4 | 0xc5, _) => return Some("VEX"),
        (0x62, _) => return Some("EVEX"),
        (0xd5, _) => return Some("REX2"),
        (0x8f, Some(next)) if next & 0x1f >= 8 => return Some("XOP"),
        _ => {}
    }
    // Legacy encodings that came after SSE2. Not tzcnt: older CPUs take it for bsf, and compilers use it where the two
    // agree.
    const LATER: [&str; 23] = [
        "popcnt",
        "lzcnt",
        "crc32",
        "movbe",
        "cmpxchg16b",
        "pshufb",
        "palignr",
        "pabs",
        "phadd",
        "pmulld",
        "ptest",
        "round",
        "blend",
        "pblend",
        "pextrb",
        "pextrd",
        "pextrq",
        "pinsrb",
        "pinsrd",
        "pinsrq",
        "aes",
        "pclmul",
        "sha",
    ];
    LATER.iter().any(|later| mnemonic.starts_with(later)).then_some("later than SSE2")
}

#[test]
fn its_instructions_are_those_of_every_x86_64() {
    let Some(text) = objdump("--disassemble", "instructions") else { return };
    let mut function = "";
    let mut count = 0;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_suffix(">:") {
            function = name.split_once('<').map_or("", |(_, name)| name);
        }
        let mut columns = line.split('\t');
        let (Some(_), Some(bytes), Some(instruction)) =
            (columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        count += 1;
        let mnemonic = instruction.split(' ').next().unwrap_or_default();
        if let Some(why) = beyond_baseline(bytes.trim(), mnemonic) {
            found.push(format!("{why}: {} in {function}", instruction.trim()));
        }
    }
    assert!(count > 5000, "only {count} instructions");
    assert!(found.is_empty(), "{} of {count} instructions:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_check_of_instructions_knows_their_encodings() {
    assert_eq!(beyond_baseline("c5 f8 77", "vzeroupper"), Some("VEX"));
    assert_eq!(beyond_baseline("64 c4 e2 f0 f2 00", "andn"), Some("VEX"));
    assert_eq!(beyond_baseline("62 f1 7c 48 10 00", "vmovups"), Some("EVEX"));
    assert_eq!(beyond_baseline("8f c0", "pop"), None);
    assert_eq!(beyond_baseline("f3 0f b8 c1", "popcnt"), Some("later than SSE2"));
    assert_eq!(beyond_baseline("0f 10 06", "movups"), None);
}
