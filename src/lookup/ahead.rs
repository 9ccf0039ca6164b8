//! Looks ahead: a lookup waits for memory several times in a row, for bucket, entry, symbol and name. A batch of
//! lookups takes each of these steps for all before the next, so that they wait together.

use super::index::Entry;
use super::prepared::Prepared;
use super::run::Run;
use crate::arch::prefetch;
use crate::object::Object;

/// How many lookups are prepared together.
pub const BATCH: usize = 64;
/// Bytes of a cache line.
const LINE: usize = 64;
/// Where `st_value` is in a symbol.
const VALUE: usize = 8;

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

/// Goes through `items` and lets `warm` see each so many places ahead: requests for memory and work on what has come
/// take turns.
#[inline(always)]
pub fn warmed<T>(items: &[T], warm: impl Fn(&T)) -> impl Iterator<Item = &T> {
    const LAG: usize = 16;
    items.iter().take(LAG).for_each(&warm);
    let mut later = items.iter().skip(LAG);
    items.iter().inspect(move |_| later.next().into_iter().for_each(&warm))
}

/// Brings near what is so many bytes behind `start`.
#[inline(always)]
fn prefetch_at<const N: usize>(start: *const u8, offsets: [usize; N]) {
    offsets.iter().for_each(|&offset| prefetch(start.wrapping_add(offset)));
}

/// Brings near a symbol of `object`.
#[inline(always)]
pub fn warm_symbol(object: &Object<'_>, index: u32) {
    prefetch(object.exports.symbols.place(index as usize));
}

/// Brings near the beginning of its name.
#[inline(always)]
pub fn warm_name(object: &Object<'_>, index: u32) {
    if let Some(symbol) = object.exports.symbols.get(index as usize) {
        let start = object.exports.strings.place(symbol.name);
        prefetch_at(start, [0, LINE, 2 * LINE]);
    }
}

/// Brings near where the indexes of a search order have the definitions whose names have this hash.
#[inline(always)]
pub fn warm_buckets(runs: &[&Run<'_, '_>], hash: u32) {
    let indexes = runs.iter().filter_map(|run| run.index());
    indexes.for_each(|index| prefetch(index.bucket_place(hash)));
}

/// Finds the first candidates of a batch and brings near what comparing them will read.
#[inline(always)]
pub fn warm(runs: &[&Run<'_, '_>], batch: &mut [Option<Waiting<'_>>]) {
    for (at, run) in runs.iter().enumerate() {
        let Some(index) = run.index() else { continue };
        let open = |waiting: &&mut Waiting<'_>| waiting.first.is_none();
        for waiting in batch.iter_mut().flatten().filter(open) {
            prefetch(index.entry_place(waiting.prepared.hash));
        }
        for waiting in batch.iter_mut().flatten().filter(open) {
            if let Some(&entry) = index.candidates(waiting.prepared.hash).next()
                && let Some(names) = run.names(entry.member)
            {
                // One symbol of eight has its value in another line than its name.
                let symbol = names.symbols.place(entry.symbol as usize);
                prefetch_at(symbol, [0, VALUE]);
                if !names.versyms.is_empty() {
                    prefetch(names.versyms.place(entry.symbol as usize));
                }
                waiting.first = Some(First { run: at, entry });
            }
        }
    }
}

/// Brings near the name of a reference's first candidate: both ends. What a long name has between them comes by itself.
#[inline(always)]
pub fn warm_candidate(runs: &[&Run<'_, '_>], waiting: &Waiting<'_>) {
    if let Some(First { run, entry }) = waiting.first
        && let Some(names) = runs.get(run).and_then(|run| run.names(entry.member))
        && let Some(symbol) = names.symbols.get(entry.symbol as usize)
    {
        let (start, length) = (names.strings.place(symbol.name), waiting.prepared.name.len());
        prefetch_at(start, [0, LINE, length]);
    }
}
