//! Takes the samples of one workload.

use std::io;
use std::path::Path;
use std::time::Instant;

use crate::count::{self, Counter};
use crate::options::Options;
use crate::run::{Sample, Start};
use crate::stats::Series;
use crate::workload::{Binding, Pair, Skipped};

const WARM_UPS: usize = 2;
/// Pairs that are measured even when time is up.
const MIN_ROUNDS: usize = 3;
/// Starts whose instructions are counted; the smallest count is reported.
const COUNTED: usize = 5;
const FLOOR_ROUNDS: usize = 100;

/// What one loader's starts cost.
pub struct Side {
    /// Smallest CPU time, in microseconds.
    pub min: f64,
    /// Median CPU time, in microseconds.
    pub median: f64,
    /// Median number of minor faults.
    pub faults: f64,
    /// User instructions by the CPU's counter.
    pub instructions: Option<u64>,
    /// Instructions by valgrind.
    pub callgrind: Option<u64>,
}

/// The result of one workload.
pub struct Row {
    /// The workload's name.
    pub name: String,
    /// Number of pairs.
    pub rounds: usize,
    /// The system's loader.
    pub system: Side,
    /// The loader under test.
    pub tested: Side,
    /// Per pair: CPU time of the system's loader / of the loader under test.
    pub ratio: Series,
}

/// Measures one pair of programs.
pub fn pair(
    pair: &Pair,
    options: &Options,
    counter: Option<&Counter>,
    work: &Path,
) -> Result<Row, Skipped> {
    let unavailable =
        |why: io::Error| Skipped::Unavailable { name: pair.name.clone(), why: why.to_string() };
    let failed = |why: io::Error| Skipped::Failed { name: pair.name.clone(), why: why.to_string() };
    let mut system = Start::new(&pair.system, pair.binding).map_err(unavailable)?;
    let mut tested = Start::new(&pair.tested, pair.binding).map_err(unavailable)?;

    for _ in 0..WARM_UPS {
        system.run().map_err(unavailable)?;
        tested.run().map_err(failed)?;
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let begin = Instant::now();
    for round in 0..options.rounds.max(MIN_ROUNDS) {
        if round >= MIN_ROUNDS && begin.elapsed() >= options.budget {
            break;
        }
        // Who goes first finds the caches as the other left them: take turns.
        if round % 2 == 0 {
            theirs.push(system.run().map_err(unavailable)?);
            ours.push(tested.run().map_err(failed)?);
        } else {
            ours.push(tested.run().map_err(failed)?);
            theirs.push(system.run().map_err(unavailable)?);
        }
    }
    let ratios = theirs.iter().zip(&ours).map(|(s, t)| s.cpu.max(1.0) / t.cpu.max(1.0));
    let no_samples = || unavailable(io::Error::other("no samples"));
    // Apart from the timed starts: a counter makes them slower.
    let valgrind = |program| {
        options.callgrind.then(|| count::callgrind(program, pair.binding, work)).flatten()
    };
    Ok(Row {
        name: pair.name.clone(),
        rounds: ours.len(),
        ratio: Series::new(ratios).ok_or_else(no_samples)?,
        system: Side {
            instructions: instructions(counter, &mut system),
            callgrind: valgrind(&pair.system),
            ..side(&theirs).ok_or_else(no_samples)?
        },
        tested: Side {
            instructions: instructions(counter, &mut tested),
            callgrind: valgrind(&pair.tested),
            ..side(&ours).ok_or_else(no_samples)?
        },
    })
}

fn side(samples: &[Sample]) -> Option<Side> {
    let cpu = Series::new(samples.iter().map(|s| s.cpu))?;
    let faults = Series::new(samples.iter().map(|s| s.faults as f64))?;
    Some(Side {
        min: cpu.min(),
        median: cpu.median(),
        faults: faults.median(),
        instructions: None,
        callgrind: None,
    })
}

/// Some virtual machines offer a counter that never counts: zero is no answer.
fn instructions(counter: Option<&Counter>, start: &mut Start) -> Option<u64> {
    let counter = counter?;
    (0..COUNTED).filter_map(|_| counter.count(start).ok()).min().filter(|&count| count > 0)
}

/// The smallest CPU time of a program without a loader, in microseconds.
pub fn floor(program: &Path) -> Result<f64, String> {
    let mut samples = Vec::new();
    let mut take = || {
        let mut start = Start::new(program, Binding::AsLinked)?;
        for _ in 0..FLOOR_ROUNDS {
            samples.push(start.run()?.cpu);
        }
        Ok(())
    };
    take().map_err(|e: io::Error| format!("{}: {e}", program.display()))?;
    Series::new(samples).map(|s| s.min()).ok_or_else(|| "no samples".into())
}
