//! LD_DEBUG=statistics: what a start costs, and how many symbols were looked up.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};

use super::event::{Event, Stage};
use super::{Topics, on};
use crate::arch::cycles;

/// Cycles that a stage took; while it runs, less the counter's value at its beginning.
static TIMES: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
static LOOKUPS: AtomicU64 = AtomicU64::new(0);
static REUSED: AtomicU64 = AtomicU64::new(0);
/// Relative relocations with which objects said at the start that their tables begin (DT_RELACOUNT).
static RELATIVE: AtomicU64 = AtomicU64::new(0);

const fn time(stage: Stage) -> &'static AtomicU64 {
    let [start, load, relocate] = &TIMES;
    match stage {
        Stage::Start => start,
        Stage::Load => load,
        Stage::Relocate => relocate,
    }
}

/// Counts an event.
pub(super) fn note(event: &Event<'_>) {
    if !on(Topics::STATISTICS) {
        return;
    }
    match event {
        Event::StageBegins { stage } => {
            time(*stage).fetch_sub(cycles(), Ordering::Relaxed);
        }
        Event::StageEnds { stage } => {
            time(*stage).fetch_add(cycles(), Ordering::Relaxed);
        }
        Event::Binding { .. } => {
            LOOKUPS.fetch_add(1, Ordering::Relaxed);
        }
        Event::BoundAgain => {
            REUSED.fetch_add(1, Ordering::Relaxed);
        }
        _ => {}
    }
}

/// Adds relative relocations of an object that is not where its file says.
pub fn count_relative(count: u64) {
    RELATIVE.fetch_add(count, Ordering::Relaxed);
}

fn stage(to: &mut impl Write, title: &str, taken: u64, total: u64) -> fmt::Result {
    let permille = taken.saturating_mul(1000) / total.max(1);
    writeln!(to, "{title}: {taken} cycles ({}.{}%)", permille / 10, permille % 10)
}

/// The figures of the start.
pub(super) fn of_start(to: &mut impl Write) -> fmt::Result {
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let [total, load, relocate] = TIMES.each_ref().map(get);
    write!(to, "\nruntime linker statistics:\n")?;
    writeln!(to, "  total startup time in dynamic loader: {total} cycles")?;
    stage(to, "            time needed for relocation", relocate, total)?;
    writeln!(to, "                 number of relocations: {}", get(&LOOKUPS))?;
    writeln!(to, "      number of relocations from cache: {}", get(&REUSED))?;
    writeln!(to, "        number of relative relocations: {}", get(&RELATIVE))?;
    stage(to, "           time needed to load objects", load, total)
}

/// The figures of the end.
pub(super) fn of_exit(to: &mut impl Write) -> fmt::Result {
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    write!(to, "\nruntime linker statistics:\n")?;
    writeln!(to, "           final number of relocations: {}", get(&LOOKUPS))?;
    writeln!(to, "final number of relocations from cache: {}", get(&REUSED))
}
