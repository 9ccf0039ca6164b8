//! Looks ahead: a lookup waits for memory several times in a row, for bucket, entry, symbol and name. A batch of
//! lookups takes each of these steps for all before the next, so that they wait together.

use super::index::Entry;
use super::prepared::Prepared;
use super::run::Run;
use crate::arch::prefetch;
use crate::object::Object;

/// How many lookups are prepared together.
pub const BATCH: usize = 32;
/// Bytes of a cache line.
const LINE: usize = 64;

/// A reference of a batch, and how far its lookup has come.
#[derive(Clone, Copy, Debug)]
pub struct Waiting<'a> {
    /// The reference.
    pub prepared: Prepared<'a>,
    /// Its first candidate.
    pub first: Option<First>,
}

/// The first candidate in the indexes of a search order.
#[derive(Clone, Copy, Debug)]
pub struct First {
    /// The position of the run whose index has it. Those of the runs before have none.
    pub run: usize,
    /// What the index has.
    pub entry: Entry,
}

/// Brings near the symbols of `object` that a batch refers to, and the beginnings of their names.
#[inline(always)]
pub fn warm_own(object: &Object<'_>, symbols: impl Iterator<Item = u32> + Clone) {
    let exports = &object.exports;
    symbols.clone().for_each(|index| prefetch(exports.symbols.place(index as usize)));
    for symbol in symbols.filter_map(|index| exports.symbols.get(index as usize)) {
        let start = exports.strings.place(symbol.name);
        prefetch(start);
        prefetch(start.wrapping_add(LINE));
    }
}

/// Finds the first candidates of a batch and brings near what comparing them will read.
#[inline(always)]
pub fn warm(runs: &[&Run<'_, '_>], batch: &mut [Option<Waiting<'_>>]) {
    for (at, run) in runs.iter().enumerate() {
        let Some(index) = run.index() else { continue };
        let open = |waiting: &&mut Waiting<'_>| waiting.first.is_none();
        for waiting in batch.iter_mut().flatten().filter(open) {
            prefetch(index.bucket_place(waiting.prepared.hash));
        }
        for waiting in batch.iter_mut().flatten().filter(open) {
            prefetch(index.entry_place(waiting.prepared.hash));
        }
        for waiting in batch.iter_mut().flatten().filter(open) {
            if let Some(&entry) = index.candidates(waiting.prepared.hash).next()
                && let Some(names) = run.names(entry.member)
            {
                prefetch(names.symbols.place(entry.symbol as usize));
                prefetch(names.versyms.place(entry.symbol as usize));
                waiting.first = Some(First { run: at, entry });
            }
        }
    }
    for Waiting { prepared, first } in batch.iter().flatten() {
        if let Some(First { run, entry }) = first
            && let Some(names) = runs.get(*run).and_then(|run| run.names(entry.member))
            && let Some(symbol) = names.symbols.get(entry.symbol as usize)
        {
            let (start, length) = (names.strings.place(symbol.name), prepared.name.len());
            (0..length).step_by(LINE).for_each(|at| prefetch(start.wrapping_add(at)));
            prefetch(start.wrapping_add(length));
        }
    }
}
