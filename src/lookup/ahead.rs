//! Looks ahead: a lookup waits for memory several times in a row, for bucket, entry, symbol and name. A batch of
//! lookups takes each of these steps for all before the next, so that they wait together.

use alloc::vec::Vec;

use super::index::Index;
use super::prepared::Prepared;
use super::quick::{self, Answer};
use super::run::{Member, Run};
use super::scan;
use crate::arch::{LINE, prefetch};
use crate::elf::relocation::Relocation;
use crate::elf::table::Table;
use crate::object::{Names, Object};

/// How many lookups are prepared together.
pub const BATCH: usize = 64;
/// Where `st_value` is in a symbol.
const VALUE: usize = 8;

/// A reference of a batch, and how far its lookup has come.
#[derive(Clone, Copy, Default)]
pub struct Waiting<'r, 'm, 'a> {
    /// The name, if it was read.
    name: Option<&'a [u8]>,
    /// Its GNU hash.
    hash: u32,
    stage: Stage<'r, 'm, 'a>,
}

/// How far a lookup has come.
#[derive(Clone, Copy, Default)]
enum Stage<'r, 'm, 'a> {
    /// A batch cannot answer it.
    #[default]
    Apart,
    /// It is the one before once more.
    Again,
    /// No index that was asked has a definition.
    Open,
    /// An index has definitions from here to there that may be it.
    Bucket { start: u32, end: u32 },
    /// There is a first candidate: the symbol with this index.
    First { member: &'r Member<'m, 'a>, symbol: u32 },
}

impl<'r, 'm, 'a> Waiting<'r, 'm, 'a> {
    /// The reference, which `object` makes through symbol `index`, if it was read.
    #[must_use]
    pub fn prepared(&self, object: &Object<'a>, index: u32) -> Option<Prepared<'a>> {
        let symbol = object.exports.symbols.get(index as usize)?;
        Some(Prepared { index, symbol, name: self.name?, hash: self.hash })
    }
}

/// The lookups of a batch. Not on the stack, of which a thread may have little.
#[derive(Default)]
pub struct Batch<'r, 'm, 'a> {
    waiting: Vec<Waiting<'r, 'm, 'a>>,
    answers: Vec<Option<Answer>>,
}

impl<'r, 'm, 'a> Batch<'r, 'm, 'a> {
    /// Looks up what relocations of `object` refer to, at most [`BATCH`]. Where nothing `is_usual`, as under
    /// LD_DYNAMIC_WEAK, their names are read and nothing is answered.
    #[inline(always)]
    pub fn look_up(
        &mut self,
        object: &Object<'a>,
        runs: &'r [&'r Run<'m, 'a>],
        batch: Table<'a, Relocation>,
        is_usual: bool,
    ) -> impl Iterator<Item = (&Waiting<'r, 'm, 'a>, &Option<Answer>)> {
        let Self { waiting, answers } = self;
        waiting.resize(batch.len(), Waiting::default());
        answers.resize(batch.len(), None);
        batch.iter().for_each(|relocation| warm_symbol(object, relocation.symbol));
        read(object, runs, batch, waiting);
        match is_usual {
            true => {
                warm(runs, waiting);
                ask(object, batch, waiting, answers);
            }
            false => answers.fill(None),
        }
        waiting.iter().zip(answers.iter())
    }
}

/// Goes through `items` and lets `warm` see each so many places ahead: requests for memory and work on what has come
/// take turns.
#[inline(always)]
fn warmed<I: Iterator + Clone>(items: I, warm: impl Fn(&I::Item)) -> impl Iterator<Item = I::Item> {
    const LAG: usize = 32;
    items.clone().take(LAG).for_each(|item| warm(&item));
    let mut later = items.clone().skip(LAG);
    items.inspect(move |_| later.next().into_iter().for_each(|item| warm(&item)))
}

/// Brings near what is so many bytes behind `start`.
#[inline(always)]
fn prefetch_at<const N: usize>(start: *const u8, offsets: [usize; N]) {
    offsets.iter().for_each(|&offset| prefetch(start.wrapping_add(offset)));
}

/// Brings near a symbol of `object`.
#[inline(always)]
fn warm_symbol(object: &Object<'_>, index: u32) {
    prefetch(object.exports.symbols.place(index as usize));
}

/// Brings near the beginning of its name.
#[inline(always)]
fn warm_name(object: &Object<'_>, index: u32) {
    if let Some(symbol) = object.exports.symbols.get(index as usize) {
        let start = object.exports.strings.place(symbol.name);
        prefetch_at(start, [0, LINE, 2 * LINE]);
    }
}

/// Brings near where the indexes of a search order have the definitions whose names have this hash.
#[inline(always)]
fn warm_buckets(runs: &[&Run<'_, '_>], hash: u32) {
    let indexes = runs.iter().filter_map(|run| run.index());
    indexes.for_each(|index| prefetch(index.bucket_place(hash)));
}

/// Reads the references of a batch.
#[inline(never)]
fn read<'a>(
    object: &Object<'a>,
    runs: &[&Run<'_, '_>],
    batch: Table<'a, Relocation>,
    waiting: &mut [Waiting<'_, '_, 'a>],
) {
    let warm = |relocation: &Relocation| warm_name(object, relocation.symbol);
    let mut last = None;
    for (Relocation { symbol, .. }, waiting) in warmed(batch.iter(), warm).zip(waiting) {
        *waiting = Waiting::default();
        // Link editors put the relocations of one symbol behind one another.
        if last.replace(symbol) == Some(symbol) {
            waiting.stage = Stage::Again;
        } else if let Some(symbol) = object.exports.symbols.get(symbol as usize)
            && symbol.binds_elsewhere()
            && let Some(tail) = object.exports.strings.tail(symbol.name)
            && let Some((name, hash)) = scan::name(tail)
        {
            let stage = match quick::may_be_own(object, hash) {
                true => Stage::Apart,
                false => Stage::Open,
            };
            *waiting = Waiting { name: Some(name), hash, stage };
            warm_buckets(runs, hash);
        }
    }
}

/// Finds the first candidates of a batch and brings near what comparing them will read. Each step is a function, since
/// what does not change is known to its loop then.
fn warm<'r, 'm, 'a>(runs: &'r [&'r Run<'m, 'a>], batch: &mut [Waiting<'r, 'm, 'a>]) {
    for (at, run) in runs.iter().enumerate() {
        let Some(index) = run.index() else { continue };
        warm_entries(index, batch);
        let before = runs.get(..at).unwrap_or_default();
        before.iter().flat_map(|run| run.others()).for_each(|member| set_apart(member, batch));
        find_first(run, index, batch);
    }
}

/// Looks where an index has what may be the definitions.
#[inline(never)]
fn warm_entries(index: &Index, batch: &mut [Waiting<'_, '_, '_>]) {
    for waiting in batch {
        if let Stage::Open = waiting.stage
            && let Some((start, end)) = index.bucket(waiting.hash)
        {
            prefetch(index.place(start));
            waiting.stage = Stage::Bucket { start, end };
        }
    }
}

/// Sets apart what an object may define that comes before those of the index, and is in none itself.
#[inline(never)]
fn set_apart(member: &Member<'_, '_>, batch: &mut [Waiting<'_, '_, '_>]) {
    for waiting in batch {
        if let Stage::Bucket { .. } = waiting.stage
            && member.hash.may_hold(waiting.hash)
            && member.hash.holds(waiting.hash)
        {
            waiting.stage = Stage::Apart;
        }
    }
}

/// Takes the first candidate that the index has.
#[inline(never)]
fn find_first<'r, 'm, 'a>(run: &'r Run<'m, 'a>, index: &Index, batch: &mut [Waiting<'r, 'm, 'a>]) {
    for waiting in batch {
        let Stage::Bucket { start, end } = waiting.stage else { continue };
        let first = index.entries(start, end, waiting.hash).next();
        let first = first.map(|entry| (run.member(entry.member), entry.symbol));
        waiting.stage = match first {
            None => Stage::Open,
            Some((Some(member), symbol)) => {
                warm_candidate(&member.names, symbol);
                Stage::First { member, symbol }
            }
            Some((None, _)) => Stage::Apart,
        };
    }
}

/// Brings near what tells whether a symbol is the one.
#[inline(always)]
fn warm_candidate(names: &Names<'_, '_>, symbol: u32) {
    // One symbol of eight has its value in another line than its name.
    prefetch_at(names.symbols.place(symbol as usize), [0, VALUE]);
    if !names.versyms.is_empty() {
        prefetch(names.versyms.place(symbol as usize));
    }
}

/// Brings near the name of a reference's first candidate: both ends. What a long name has between them comes by itself.
#[inline(always)]
fn warm_name_of_candidate(waiting: &Waiting<'_, '_, '_>) {
    if let Stage::First { member, symbol } = waiting.stage
        && let Some(symbol) = member.names.symbols.get(symbol as usize)
    {
        let length = waiting.name.map_or(0, <[u8]>::len);
        prefetch_at(member.names.strings.place(symbol.name), [0, LINE, length]);
    }
}

/// Asks the first candidates of a batch.
#[inline(never)]
fn ask<'a>(
    object: &Object<'a>,
    relocations: Table<'a, Relocation>,
    batch: &[Waiting<'_, '_, 'a>],
    answers: &mut [Option<Answer>],
) {
    let batch = warmed(batch.iter(), |waiting| warm_name_of_candidate(waiting));
    let mut last = None;
    for ((waiting, relocation), answer) in batch.zip(relocations.iter()).zip(answers) {
        last = match (waiting.stage, waiting.name) {
            (Stage::First { member, symbol }, Some(name)) => {
                quick::answer(object, (relocation.symbol, name), (member, symbol))
            }
            (Stage::Again, _) => last,
            _ => None,
        };
        *answer = last;
    }
}
