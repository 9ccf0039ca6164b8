//! Version names are parts of the string table, indexed by what the tables list last.

use rld::elf::strtab::Strtab;
use rld::elf::version::{Version, Versions, definitions, needs};

use super::inside;

/// No object has more versions than indices.
const INDICES: usize = 1 << 15;

/// The input is the sizes of DT_VERNEED and DT_VERDEF, two bytes each, the two tables, and the string table.
pub fn check(bytes: &[u8]) {
    let Some((&[n0, n1, d0, d1], rest)) = bytes.split_first_chunk() else { return };
    let [needed, defined] = [[n0, n1], [d0, d1]].map(|size| usize::from(u16::from_le_bytes(size)));
    let Some((verneed, rest)) = rest.split_at_checked(needed) else { return };
    let Some((verdef, strings)) = rest.split_at_checked(defined) else { return };
    check_tables(
        Some(verneed).filter(|table| !table.is_empty()),
        Some(verdef).filter(|table| !table.is_empty()),
        strings,
    );
}

/// The same for tables from an object.
pub fn check_tables(verneed: Option<&[u8]>, verdef: Option<&[u8]>, strings: &[u8]) {
    let strtab = Strtab::new(strings);
    let mut expected: Vec<Version<'_>> = Vec::new();
    let mut set = |index: u16, version| {
        let index = usize::from(index);
        expected.resize(expected.len().max(index + 1), Version::default());
        expected[index] = version;
    };
    let mut listed = 0;
    let mut whole = true;
    if let Some(table) = verneed {
        let read = needs(table, strtab, |index, need| {
            assert!(inside(need.file, strings) && inside(need.version.name, strings));
            set(index, need.version);
            listed += 1;
        });
        whole &= read.is_ok();
    }
    assert!(listed <= INDICES, "{listed} versions needed");
    listed = 0;
    if let Some(table) = verdef {
        let read = definitions(table, |record| {
            listed += 1;
            if !record.is_base {
                let name = record.name(strtab)?;
                assert!(inside(name, strings));
                set(record.index, Version { hash: record.hash, name, hidden: false });
            }
            Ok(None::<()>)
        });
        whole &= read.is_ok();
    }
    assert!(listed <= INDICES, "{listed} versions defined");
    let versions = Versions::parse(verneed, verdef, strtab);
    assert_eq!(versions.is_ok(), whole);
    let Ok(versions) = versions else { return };
    assert!(versions.len() <= INDICES);
    assert_eq!(versions.len(), expected.len());
    assert!(expected.iter().enumerate().all(|(index, version)| versions.get(index) == *version));
}
