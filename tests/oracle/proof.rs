//! Proof that the oracle sees what it is for: tests of the tool, whatever loader is tested.
//!
//! The subject is this executable under the system's loader, twice; nothing may differ until one of
//! the two processes is changed by hand.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use libtest_mimic::{Failed, Trial};

use crate::Oracle;
use crate::compare::{self, Difference, Report};
use crate::elf::{Elf, Kind, Relocation};
use crate::maps;
use crate::process::{Outcome, Start, Stopped};
use crate::snapshot::{Name, Snapshot};

type Result<T = ()> = std::result::Result<T, Failed>;
type Test = (&'static str, fn(&Oracle) -> Result);

/// One test for each promise.
pub fn trials(oracle: &Arc<Oracle>) -> Vec<Trial> {
    let tests: [Test; 9] = [
        ("twice the same", twice_the_same),
        ("a changed relative word", |oracle| changed(oracle, is_relative)),
        ("a changed symbol word", |oracle| changed(oracle, is_symbol)),
        ("another IFUNC choice", |oracle| changed(oracle, is_irelative)),
        ("a changed TLS offset", |oracle| changed(oracle, is_tls)),
        ("written code", written_code),
        ("a missing library", missing_library),
        ("damaged files", damaged_files),
        ("a mapping line", mapping_line),
    ];
    let trial = |(name, test): Test| {
        let oracle = oracle.clone();
        Trial::test(format!("proof: {name}"), move || test(&oracle))
    };
    tests.into_iter().map(trial).collect()
}

fn is_relative(relocation: &Relocation) -> bool {
    relocation.kind == Kind::Relative
}

fn is_symbol(relocation: &Relocation) -> bool {
    relocation.kind == Kind::Symbol
}

fn is_irelative(relocation: &Relocation) -> bool {
    relocation.kind == Kind::Irelative
}

/// TPOFF64, in whichever object has one.
fn is_tls(relocation: &Relocation) -> bool {
    relocation.number == 18
}

fn subject() -> Result<PathBuf> {
    Ok(std::env::current_exe()?)
}

fn stopped(start: &Start) -> Result<Stopped> {
    match start.clone().run()? {
        Outcome::Stopped(process) => Ok(*process),
        Outcome::Ended(ended) => Err(ended.to_string().into()),
    }
}

/// The report on two processes of the subject, `change` applied to the second.
fn compared(oracle: &Oracle, change: impl FnOnce(&Stopped, &Snapshot) -> Result) -> Result<Report> {
    let prepared = oracle.launcher.under_system(&subject()?);
    let (one, two) = (stopped(&prepared.start)?, stopped(&prepared.start)?);
    change(&two, &Snapshot::take(&two, &oracle.files)?)?;
    Ok(compare::stopped(&one, &two, &oracle.files)?)
}

fn only(report: &Report) -> Result<&Difference> {
    match report.differences.as_slice() {
        [difference] => Ok(difference),
        others => Err(format!("one difference was made, and these reported: {others:?}").into()),
    }
}

fn twice_the_same(oracle: &Oracle) -> Result {
    let report = compared(oracle, |_, _| Ok(()))?;
    if !report.differences.is_empty() {
        return Err(format!("{:?}", report.differences).into());
    }
    let counts = &report.counts;
    if counts.words < 1000 || counts.ifuncs == 0 || counts.loader_named == 0 {
        return Err(format!("too little was compared: {counts}").into());
    }
    Ok(())
}

/// Changes the last word of a kind that points into an object other than the loader, by one unit.
fn changed(oracle: &Oracle, kind: fn(&Relocation) -> bool) -> Result {
    let mut place = None;
    let report = compared(oracle, |process, snapshot| {
        let objects = snapshot.objects.iter().filter(|object| object.name != Name::Loader);
        let words = objects.flat_map(|object| {
            let chosen = object.elf.relocations.iter().filter(|word| kind(word));
            chosen.map(move |word| (object, word.target))
        });
        let (object, target) = words.last().ok_or("the subject has no such relocation")?;
        let address = object.bias + target;
        process.poke(address, process.word(address)?.wrapping_add(16))?;
        place = Some((object.name.clone(), target));
        Ok(())
    })?;
    match (only(&report)?, place) {
        (Difference::Word { object, target, .. }, Some((name, changed)))
            if *object == name && *target == changed =>
        {
            Ok(())
        }
        (other, place) => Err(format!("changed {place:?}, reported {other}").into()),
    }
}

fn written_code(oracle: &Oracle) -> Result {
    let mut stored = false;
    // Storing the value that is there already makes the page private.
    let report = compared(oracle, |process, _| {
        stored = process.registers.rip != process.entry;
        Ok(process.poke(process.entry, process.word(process.entry)?)?)
    })?;
    if stored {
        println!("skipped: no debug registers, so breakpoints are stored in the code");
        return Ok(());
    }
    match only(&report)? {
        Difference::DirtyCode { object: Name::Program, .. } => Ok(()),
        other => Err(other.to_string().into()),
    }
}

/// A copy of the subject that needs a library that does not exist.
pub fn without_its_library(oracle: &Oracle) -> Result<PathBuf> {
    let mut bytes = fs::read(subject()?)?;
    let name = b"\0libc.so.6\0";
    let at = bytes.windows(name.len()).position(|window| window == name);
    bytes[at.ok_or("the subject does not need libc.so.6")? + 4] = b'X';
    Ok(oracle.launcher.file(&bytes)?)
}

/// Such a program ends before its entry point, in words.
fn missing_library(oracle: &Oracle) -> Result {
    let program = without_its_library(oracle)?;
    let prepared = oracle.launcher.under_system(&program);
    let (Outcome::Ended(one), Outcome::Ended(mut two)) =
        (prepared.start.clone().run()?, prepared.start.clone().run()?)
    else {
        return Err("it came to its entry point".into());
    };
    if !compare::ended(&one, &two).differences.is_empty() || one.status.code() != Some(127) {
        return Err(format!("{one}\n{two}").into());
    }
    if !one
        .first_line()
        .ends_with(b"libX.so.6: cannot open shared object file: No such file or directory")
    {
        return Err(one.to_string().into());
    }
    two.stderr.insert(0, b'!');
    only(&compare::ended(&one, &two)).map(drop)
}

/// Every beginning of a file, and every byte of its headers changed, is parsed or refused.
fn damaged_files(_: &Oracle) -> Result {
    let whole = fs::read("/usr/bin/true").or_else(|_| fs::read("/bin/true"))?;
    let relocations = Elf::parse(&whole)?.relocations.len();
    if relocations == 0 {
        return Err("no relocations were found in an undamaged file".into());
    }
    for end in (0..whole.len()).step_by(61) {
        let _ = Elf::parse(&whole[..end]);
    }
    let mut bytes = whole.clone();
    for at in 0..whole.len().min(4096) {
        for value in [0, 1, 0x7f, 0xff] {
            bytes[at] = value;
            let _ = Elf::parse(&bytes);
        }
        bytes[at] = whole[at];
    }
    Ok(())
}

fn mapping_line(_: &Oracle) -> Result {
    let text = b"7f00-7f10 r-xp 00002000 fe:00 12                 /a b (c)\nSize: 4 kB\n\
                 Anonymous:             8 kB\nVmFlags: rd ex\nnot a line\n";
    let expected = maps::Mapping {
        start: 0x7f00,
        end: 0x7f10,
        permissions: *b"r-xp",
        offset: 0x2000,
        path: b"/a b (c)".to_vec(),
        anonymous: 8,
    };
    let found = maps::parse(text);
    if found != [expected] {
        return Err(format!("{found:?}").into());
    }
    Ok(())
}
