//! Looks ahead: a lookup waits for memory several times in a row, for bucket, entry, symbol and name. A batch of
//! lookups takes each of these steps for all before the next, so that they wait together.

use super::index::Index;
use super::prepared::Prepared;
use super::run::Run;
use crate::arch::prefetch;
use crate::object::Object;

/// How many lookups are prepared together.
pub const BATCH: usize = 32;
/// Bytes of a cache line.
const LINE: usize = 64;

/// Brings near the symbols of `object` that a batch refers to, and the beginnings of their names.
pub fn warm_own(object: &Object<'_>, symbols: impl Iterator<Item = u32> + Clone) {
    let exports = &object.exports;
    symbols.clone().for_each(|index| prefetch(exports.symbols.place(index as usize)));
    for symbol in symbols.filter_map(|index| exports.symbols.get(index as usize)) {
        let start = exports.strings.place(symbol.name);
        prefetch(start);
        prefetch(start.wrapping_add(LINE));
    }
}

/// Brings near what the lookups of a batch will read.
pub fn warm<'p>(
    run: &Run<'_, '_>,
    index: &Index,
    batch: impl Iterator<Item = &'p Prepared<'p>> + Clone,
) {
    batch.clone().for_each(|prepared| prefetch(index.bucket_place(prepared.hash)));
    batch.clone().for_each(|prepared| prefetch(index.entry_place(prepared.hash)));
    let entry = |prepared: &Prepared<'_>| index.candidates(prepared.hash).next();
    for entry in batch.clone().filter_map(entry) {
        if let Some(names) = run.names(entry.member) {
            prefetch(names.symbols.place(entry.symbol as usize));
            prefetch(names.versyms.place(entry.symbol as usize));
        }
    }
    for prepared in batch {
        let found = entry(prepared).and_then(|entry| {
            let names = run.names(entry.member)?;
            Some((names, names.symbols.get(entry.symbol as usize)?))
        });
        if let Some((names, symbol)) = found {
            let (start, length) = (names.strings.place(symbol.name), prepared.name.len());
            (0..length).step_by(LINE).for_each(|at| prefetch(start.wrapping_add(at)));
            prefetch(start.wrapping_add(length));
        }
    }
}
