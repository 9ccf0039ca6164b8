//! Notes: GNU properties and the build-id (gABI, "Note Section"; Linux gABI extensions, `.note.gnu.property`).

use super::table::read;

/// One note.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Note<'a> {
    /// The owner, without its NUL.
    pub owner: &'a [u8],
    /// `n_type`.
    pub kind: u32,
    /// The descriptor.
    pub desc: &'a [u8],
}

const NT_GNU_BUILD_ID: u32 = 3;
const NT_GNU_PROPERTY_TYPE_0: u32 = 5;
const GNU_PROPERTY_X86_ISA_1_NEEDED: u32 = 0xc000_8002;

/// The notes in `bytes`, whose records are padded to `align` (4 or 8) bytes; ends at the first that does not fit.
pub fn notes(bytes: &[u8], align: u64) -> impl Iterator<Item = Note<'_>> {
    let align = if align == 8 { 8 } else { 4 };
    let mut at = 0usize;
    core::iter::from_fn(move || {
        let namesz = read::<u32>(bytes, at)? as usize;
        let descsz = read::<u32>(bytes, at + 4)? as usize;
        let kind = read::<u32>(bytes, at + 8)?;
        let name_at = at + 12;
        let desc_at = name_at.checked_add(namesz)?.checked_next_multiple_of(align)?;
        let desc_end = desc_at.checked_add(descsz)?;
        let owner = bytes.get(name_at..name_at + namesz)?;
        let desc = bytes.get(desc_at..desc_end)?;
        at = desc_end.checked_next_multiple_of(align)?;
        Some(Note { owner: owner.strip_suffix(b"\0").unwrap_or(owner), kind, desc })
    })
}

/// The build-id among `notes`.
pub fn build_id<'a>(mut notes: impl Iterator<Item = Note<'a>>) -> Option<&'a [u8]> {
    notes.find(|note| note.owner == b"GNU" && note.kind == NT_GNU_BUILD_ID).map(|note| note.desc)
}

/// The x86 instruction set levels that the object needs, as a mask whose bit 0 is baseline and bit 3 is x86-64-v4;
/// 0 when it says nothing.
pub fn isa_needed<'a>(notes: impl Iterator<Item = Note<'a>>) -> u32 {
    notes
        .filter(|note| note.owner == b"GNU" && note.kind == NT_GNU_PROPERTY_TYPE_0)
        .filter_map(|note| property(note.desc, GNU_PROPERTY_X86_ISA_1_NEEDED))
        .fold(0, |mask, word| mask | word)
}

/// The word of the property `wanted` in a property note's descriptor, whose records are padded to 8 bytes.
fn property(desc: &[u8], wanted: u32) -> Option<u32> {
    let mut at = 0usize;
    loop {
        let kind = read::<u32>(desc, at)?;
        let size = read::<u32>(desc, at + 4)? as usize;
        if kind == wanted && size == 4 {
            return read(desc, at + 8);
        }
        at = (at + 8).checked_add(size)?.checked_next_multiple_of(8)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn note(kind: u32, desc: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(4u32.to_le_bytes());
        bytes.extend((desc.len() as u32).to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(b"GNU\0");
        bytes.extend(desc);
        bytes
    }

    #[test]
    fn reads_the_needed_isa() {
        let mut desc = Vec::new();
        for (kind, value) in [(0xc000_0002u32, 3u32), (GNU_PROPERTY_X86_ISA_1_NEEDED, 2)] {
            desc.extend(kind.to_le_bytes());
            desc.extend(4u32.to_le_bytes());
            desc.extend(value.to_le_bytes());
            desc.extend([0; 4]);
        }
        let bytes = note(NT_GNU_PROPERTY_TYPE_0, &desc);
        assert_eq!(isa_needed(notes(&bytes, 8)), 2);
    }

    #[test]
    fn finds_the_build_id_and_survives_nonsense() {
        let bytes = [note(1, b"abcd"), note(NT_GNU_BUILD_ID, b"\x01\x02\x03\x04")].concat();
        assert_eq!(build_id(notes(&bytes, 4)), Some(&[1, 2, 3, 4][..]));
        assert_eq!(notes(&[0xff; 40], 4).count(), 0);
        assert_eq!(build_id(notes(&bytes[..20], 4)), None);
    }
}
