//! Thread-local blocks lie below the thread pointer, aligned, and do not overlap.

use rld::addr::{Addr, ObjectId};
use rld::elf::Table;
use rld::elf::segment::{Segments, TlsSegment};
use rld::tls::layout::Layout;

use super::Choices;

/// The input is a surplus and the address, size and alignment of PT_TLS headers, two bytes and three words.
pub fn check(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let surplus = u64::from(choices.byte()) << choices.below(40);
    let mut segments = Vec::new();
    while !choices.is_empty() && segments.len() < 64 {
        // Small numbers, and all that a header can hold.
        let [small, shift] = [choices.byte(), choices.below(64)];
        let memsz = if small & 1 == 0 { u64::from(small) } else { choices.word() >> shift };
        let align = if small & 2 == 0 { 1 << choices.below(16) } else { choices.word() };
        segments.extend(header(choices.word() & 0xffff, memsz, align));
    }
    check_segments(&segments, surplus);
}

/// What the parser makes of such a header: no other segment comes to a layout.
fn header(vaddr: u64, memsz: u64, align: u64) -> Option<TlsSegment> {
    let program_header = |kind: u32, fields: [u64; 6]| {
        let words = fields.into_iter().flat_map(u64::to_le_bytes);
        [kind, 4].into_iter().flat_map(u32::to_le_bytes).chain(words).collect::<Vec<_>>()
    };
    let load = program_header(1, [0, 0, 0, 0x2_0000, 0x2_0000, 0x1000]);
    let tls = program_header(7, [vaddr, vaddr, vaddr, 0, memsz, align]);
    Segments::parse(Table::new(&[load, tls].concat()), 1 << 20).ok()?.tls
}

/// Lays out the segments.
pub fn check_segments(segments: &[TlsSegment], surplus: u64) {
    let modules = segments.iter().zip(0..).map(|(&segment, id)| (ObjectId(id), Addr(0), segment));
    let Ok(layout) = Layout::new(modules, surplus) else { return };
    assert_eq!(layout.modules.len(), segments.len());
    assert!(layout.align.is_power_of_two() && layout.size.is_multiple_of(layout.align));
    assert!(layout.size >= layout.used + surplus);
    let mut blocks = Vec::new();
    for (module, id) in layout.modules.iter().zip(1..) {
        let TlsSegment { memsz, align, skew, .. } = module.segment;
        assert_eq!(module.id, id);
        assert!(layout.align >= align);
        assert!(module.offset >= memsz && module.offset <= layout.used, "{module:?}");
        assert_eq!(module.offset.wrapping_neg() & (align - 1), skew, "{module:?}");
        blocks.push((module.offset - memsz, module.offset));
    }
    blocks.retain(|(bottom, top)| bottom != top);
    blocks.sort_unstable();
    assert!(blocks.windows(2).all(|pair| pair[0].1 <= pair[1].0), "overlap: {blocks:?}");
}
