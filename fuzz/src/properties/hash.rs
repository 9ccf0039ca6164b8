//! A lookup in a hash table sees a part of what a listing of the table sees, in the same order, and ends.

use rld::elf::hash::{Gnu, Sysv};

/// The first `limit` indices that a table offers, whoever asks it with `find`.
pub fn offers(
    limit: usize,
    find: impl FnOnce(&mut dyn FnMut(u32) -> Option<()>) -> Option<()>,
) -> Vec<u32> {
    let mut all = Vec::new();
    let _ = find(&mut |index| {
        all.push(index);
        (all.len() == limit).then_some(())
    });
    all
}

/// The input is a hash table, of either kind.
pub fn check(bytes: &[u8]) {
    if let Ok(table) = Gnu::parse(bytes) {
        gnu(&table, bytes.len());
    }
    if let Ok(table) = Sysv::parse(bytes) {
        assert!(table.symbols() <= bytes.len() / 4);
        for hash in (0..16).chain([u32::MAX, u32::MAX / 3]) {
            let found = offers(usize::MAX, |take| table.find(hash, take));
            assert!(found.len() <= table.symbols());
            assert!(found.iter().all(|&index| index != 0 && (index as usize) < table.symbols()));
        }
    }
}

fn gnu(table: &Gnu<'_>, size: usize) {
    let entries: Vec<_> = table.entries().collect();
    assert!(entries.len() <= table.covered() && table.covered() <= size / 4);
    if table.first.checked_add(table.covered() as u32).is_none() {
        return;
    }
    assert_eq!(entries.len(), table.covered());
    assert!(
        entries.iter().map(|entry| entry.0).eq(table.first..table.first + entries.len() as u32)
    );
    let hashes = entries.iter().take(64).flat_map(|(_, hash)| [*hash, hash | 1]);
    for hash in hashes.chain([0, 5381, u32::MAX]) {
        let _ = table.may_hold(hash);
        let mut listed = entries.iter().filter(|(_, entry)| entry | 1 == hash | 1);
        for index in offers(usize::MAX, |take| table.find(hash, take)) {
            assert!(
                listed.any(|(found, _)| *found == index),
                "{index} is not listed for {hash:#x}"
            );
        }
    }
}
