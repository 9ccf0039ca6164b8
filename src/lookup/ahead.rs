//! Looks ahead: a lookup waits for memory several times in a row, for bucket, entry, symbol and name. A batch of
//! lookups takes each of these steps for all before the next, so that they wait together.

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

/// Brings near what the lookups of a batch, of [`BATCH`] at most, will read in `runs`: in each what the runs before it
/// have nothing for.
pub fn warm(runs: &[&Run<'_, '_>], batch: &[Option<Prepared<'_>>]) {
    let mut candidates = [None; BATCH];
    for run in runs {
        let Some(index) = run.index() else { continue };
        let open = |(prepared, candidate): (&Option<Prepared<'_>>, &Option<_>)| {
            prepared.filter(|_| candidate.is_none()).map(|prepared| prepared.hash)
        };
        let open = || batch.iter().zip(&candidates).filter_map(open);
        open().for_each(|hash| prefetch(index.bucket_place(hash)));
        open().for_each(|hash| prefetch(index.entry_place(hash)));
        for (prepared, candidate) in batch.iter().zip(&mut candidates) {
            if candidate.is_none()
                && let Some(prepared) = prepared
                && let Some(entry) = index.candidates(prepared.hash).next()
                && let Some(names) = run.names(entry.member)
            {
                prefetch(names.symbols.place(entry.symbol as usize));
                prefetch(names.versyms.place(entry.symbol as usize));
                *candidate = Some((names, entry.symbol));
            }
        }
    }
    for (prepared, candidate) in batch.iter().zip(&candidates) {
        if let (Some(prepared), Some((names, symbol))) = (prepared, candidate)
            && let Some(symbol) = names.symbols.get(*symbol as usize)
        {
            let (start, length) = (names.strings.place(symbol.name), prepared.name.len());
            (0..length).step_by(LINE).for_each(|at| prefetch(start.wrapping_add(at)));
            prefetch(start.wrapping_add(length));
        }
    }
}
