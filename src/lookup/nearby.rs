//! Brings near what first calls to come will read. Each reads its tables at another place, mostly for the first time,
//! and waits for memory at every step; the block around a place that is read is asked for while nobody waits for it.
//! This pays even if one function in thirty is ever called.

use core::sync::atomic::{AtomicUsize, Ordering};

use crate::arch::{LINE, prefetch};
use crate::elf::relocation::Relocation;
use crate::elf::table::Table;
use crate::object::Exports;

/// Bytes of a block: some eighty records, or as many short names.
const BLOCK: usize = 2048;

/// The number of the block that was asked for last, of those that share a place here. Who calls much would ask for the
/// same ones again and again.
static LAST: [AtomicUsize; 256] = [const { AtomicUsize::new(0) }; 256];

/// Asks for the relocations around one.
#[inline(always)]
pub fn relocations(table: &Table<'_, Relocation>, index: usize) {
    around(table.place(index));
}

/// Asks for the symbols around one of an object, and for the names around its name.
#[inline(always)]
pub fn symbols(exports: &Exports<'_>, index: u32) {
    around(exports.symbols.place(index as usize));
    if let Some(symbol) = exports.symbols.get(index as usize) {
        around(exports.strings.place(symbol.name));
    }
}

/// Asks for the block of `place`.
#[inline(always)]
fn around(place: *const u8) {
    let block = place.addr() / BLOCK;
    if let Some(last) = LAST.get(block % LAST.len())
        && last.load(Ordering::Relaxed) != block
    {
        last.store(block, Ordering::Relaxed);
        ask(place.wrapping_sub(place.addr() % BLOCK));
    }
}

#[inline(never)]
fn ask(start: *const u8) {
    (0..BLOCK).step_by(LINE).for_each(|at| prefetch(start.wrapping_add(at)));
}
