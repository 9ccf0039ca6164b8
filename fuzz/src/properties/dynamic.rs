//! The dynamic section is read up to its end mark, and remembers where each tag stood.

use rld::elf::Table;
use rld::elf::dynamic::{Dynamic, Entry};

const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;

/// The input is a dynamic section.
pub fn check(bytes: &[u8]) {
    let table = Table::<Entry>::new(bytes);
    let entries: Vec<_> = table.iter().take_while(|entry| entry.tag != DT_NULL).collect();
    let Ok(dynamic) = Dynamic::parse(table) else { return };
    let asks = |tag| [DT_NEEDED, DT_FILTER, DT_AUXILIARY].contains(&tag);
    let needed = entries.iter().filter(|entry| asks(entry.tag)).map(|entry| entry.value);
    assert!(dynamic.needed.iter().map(|&(_, offset)| u64::from(offset)).eq(needed));
    assert!(dynamic.tags().map(|(tag, _)| tag).eq(entries.iter().map(|entry| entry.tag)));
    for (tag, index) in dynamic.tags() {
        assert_eq!(table.get(index as usize).map(|entry| entry.tag), Some(tag));
    }
    // Of several entries with one tag the last one counts.
    for position in dynamic.address_positions() {
        let tag = entries[position as usize].tag;
        let last = entries.iter().rposition(|entry| entry.tag == tag);
        assert_eq!(last, Some(position as usize));
    }
}
