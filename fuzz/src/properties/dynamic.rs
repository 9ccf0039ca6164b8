//! The dynamic section is read up to its end mark, and remembers where each tag stood.

use rld::elf::Table;
use rld::elf::dynamic::{Dynamic, Entry};

const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;

/// The input is a dynamic section.
pub fn check(bytes: &[u8]) {
    let table = Table::<Entry>::new(bytes);
    let entries: Vec<_> = table.iter().take_while(|entry| entry.tag != DT_NULL).collect();
    let Ok(dynamic) = Dynamic::parse(table) else { return };
    let needed = entries.iter().filter(|entry| entry.tag == DT_NEEDED).map(|entry| entry.value);
    assert!(dynamic.needed.iter().map(|&offset| u64::from(offset)).eq(needed));
    assert!(dynamic.tags().map(|(tag, _)| tag).eq(entries.iter().map(|entry| entry.tag)));
    for (tag, index) in dynamic.tags() {
        assert_eq!(table.get(index as usize).map(|entry| entry.tag), Some(tag));
    }
    for tag in 0..64 {
        let last = entries.iter().rposition(|entry| entry.tag == tag);
        assert_eq!(dynamic.position(tag).map(|index| index as usize), last);
    }
}
