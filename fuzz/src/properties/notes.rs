//! Notes are parts of their segment, in order, and do not overlap.

use rld::elf::note::{build_id, isa_needed, notes};

use super::inside;

/// The input is a note segment.
pub fn check(bytes: &[u8]) {
    for align in [4, 8, 1, 0, u64::MAX] {
        let mut free = bytes.as_ptr();
        let mut count = 0;
        for note in notes(bytes, align) {
            assert!(inside(note.owner, bytes) && inside(note.desc, bytes));
            assert!(note.owner.is_empty() || note.owner.as_ptr() >= free);
            if !note.desc.is_empty() {
                assert!(note.desc.as_ptr() >= note.owner.as_ptr_range().end);
                free = note.desc.as_ptr_range().end;
            }
            count += 1;
        }
        assert!(count <= bytes.len() / 12);
        let id = build_id(notes(bytes, align));
        assert!(id.is_none_or(|id| inside(id, bytes)));
        let _ = isa_needed(notes(bytes, align));
    }
}
