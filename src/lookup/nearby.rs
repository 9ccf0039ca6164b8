//! Brings near what first calls to come will read. Each reads its tables at another place, mostly for the first time,
//! and waits for memory at every step; what stands behind a place that is read is asked for while nobody waits for it.
//! This pays even if one function in thirty is ever called.

use crate::arch::prefetch;
use crate::elf::relocation::Relocation;
use crate::elf::table::Table;
use crate::object::Exports;

/// Bytes of a cache line.
const LINE: usize = 64;
/// So many bytes of records are asked for: some forty.
const RECORDS: usize = 1024;
/// So many bytes of names.
const NAMES: usize = 2048;

/// Asks for the relocations behind one.
#[inline(always)]
pub fn relocations(table: &Table<'_, Relocation>, index: usize) {
    prefetch_behind::<RECORDS>(table.place(index));
}

/// Asks for the symbols behind one of an object, and for the names behind its name.
#[inline(always)]
pub fn symbols(exports: &Exports<'_>, index: u32) {
    prefetch_behind::<RECORDS>(exports.symbols.place(index as usize));
    if let Some(symbol) = exports.symbols.get(index as usize) {
        prefetch_behind::<NAMES>(exports.strings.place(symbol.name).wrapping_add(LINE));
    }
}

/// Asks for so many bytes that follow the line of `place`.
#[inline(always)]
fn prefetch_behind<const BYTES: usize>(place: *const u8) {
    (0..BYTES).step_by(LINE).for_each(|at| prefetch(place.wrapping_add(LINE + at)));
}
