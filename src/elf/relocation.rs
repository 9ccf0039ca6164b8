//! Records of relocation tables.

use super::table::{Record, read, record_bytes};
use crate::addr::Vaddr;

/// One record of a relocation table with addends (`Elf64_Rela`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Relocation {
    /// `r_offset`: the word to change.
    pub offset: Vaddr,
    /// `ELF64_R_TYPE`.
    pub kind: u32,
    /// `ELF64_R_SYM`: index in the dynamic symbol table.
    pub symbol: u32,
    /// `r_addend`, as two's complement.
    pub addend: u64,
}

impl Record for Relocation {
    record_bytes!(24);

    #[inline]
    fn decode(bytes: &Self::Bytes) -> Self {
        Self {
            offset: Vaddr(read(bytes, 0).unwrap_or_default()),
            kind: read(bytes, 8).unwrap_or_default(),
            symbol: read(bytes, 12).unwrap_or_default(),
            addend: read(bytes, 16).unwrap_or_default(),
        }
    }
}
