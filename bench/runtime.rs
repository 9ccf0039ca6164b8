//! What the loader does for a running program: lazy binding, dlopen and dlsym, thread-local
//! storage, unwinding; rld against the system's ld.so.
//!
//! `cargo bench --bench runtime` runs it; `bench/README.md` says what the figures mean. Processes
//! that measure themselves are run in interleaved pairs, which differ in their interpreter only.

#[allow(dead_code, reason = "bench/start.rs uses the rest")]
mod elf;
#[path = "runtime/figures.rs"]
mod figures;
mod json;
mod loaders;
mod machine;
#[allow(dead_code, reason = "bench/start.rs uses the rest")]
mod options;
#[allow(dead_code, reason = "bench/start.rs uses the rest")]
mod program;
#[path = "runtime/programs.rs"]
mod programs;
#[allow(dead_code, reason = "bench/start.rs uses the rest")]
mod run;
mod scratch;
#[allow(dead_code, reason = "bench/start.rs uses the rest")]
mod stats;
#[allow(dead_code, reason = "bench/start.rs uses the rest")]
mod synth;
#[path = "runtime/table.rs"]
mod table;
#[allow(dead_code, reason = "bench/start.rs uses the rest")]
mod workload;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use figures::{FIGURES, Figure, Program, Readings};
use loaders::Loaders;
use machine::Machine;
use options::Options;
use programs::Pair;
use scratch::Scratch;
use stats::Series;
use table::{Row, Table};

/// Pairs of processes per program, unless --rounds says otherwise.
const ROUNDS: usize = 40;
/// Pairs that are measured even when time is up.
const MIN_ROUNDS: usize = 3;

fn main() -> ExitCode {
    let options = match Options::parse(ROUNDS, std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("runtime: {why}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    if options.help {
        println!("{}", options::USAGE);
        return ExitCode::SUCCESS;
    }
    // As in bench/start.rs: a test run has no use for timings.
    if !options.bench {
        eprintln!("runtime: a benchmark, not a test: run it by `cargo bench`");
        return ExitCode::SUCCESS;
    }
    match bench(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("runtime: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what the options ask for; false if the loader under test got something wrong.
fn bench(options: &Options) -> Result<bool, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let work = Scratch::new(target)?;
    let loaders = Loaders::new(&options.loader, work.path())?;
    let selected: Vec<&'static Figure> =
        FIGURES.iter().filter(|figure| figure.name.contains(&options.filter)).collect();
    if selected.is_empty() {
        return Err(format!("no figure's name contains \"{}\"", options.filter));
    }
    let wanted = |program| selected.iter().any(|figure| figure.program == program);
    let pairs: Vec<_> = Program::ALL
        .into_iter()
        .filter(|&program| wanted(program))
        .map(|program| {
            let pair = Pair::new(program, &options.filter, &loaders, work.path(), target);
            (program, pair)
        })
        .collect();

    // After the compilers have run, which may use every CPU.
    let cpu = run::pin_to_one_cpu();
    let mut runs = Vec::new();
    for (program, pair) in pairs {
        runs.push((program, pair.map(|pair| Rounds::run(&pair, options))));
    }
    let mut rows = Vec::new();
    for figure in selected {
        let run = runs.iter().find(|(program, _)| *program == figure.program);
        rows.push((
            figure,
            match run {
                Some((_, Ok(rounds))) => rounds.row(figure.name),
                Some((_, Err(why))) => Row::Unavailable(why.clone()),
                None => Row::Unavailable("not run".into()),
            },
        ));
    }
    let table = Table { machine: Machine::this(&loaders, cpu), loader: &options.loader, rows };
    print!("{}", table.markdown());
    if let Some(file) = &options.json {
        std::fs::write(file, table.json()).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(!table.rows.iter().any(|(_, row)| matches!(row, Row::Failed(_))))
}

/// What a process read, and how it ended.
type Run = (Readings, Result<(), String>);

/// The readings of one program's processes: under the system's loader, under the one under test.
struct Rounds(Vec<(Run, Run)>);

impl Rounds {
    /// Runs pairs of processes after one to warm up, taking turns in who is first.
    fn run(pair: &Pair, options: &Options) -> Self {
        let mut rounds = Vec::new();
        for program in [&pair.system, &pair.tested] {
            // A failure comes again when it counts.
            drop(pair.run(program));
        }
        let begin = Instant::now();
        for round in 0..options.rounds.max(MIN_ROUNDS) {
            if round >= MIN_ROUNDS && begin.elapsed() >= options.budget {
                break;
            }
            rounds.push(if round % 2 == 0 {
                let system = pair.run(&pair.system);
                (system, pair.run(&pair.tested))
            } else {
                let tested = pair.run(&pair.tested);
                (pair.run(&pair.system), tested)
            });
        }
        Self(rounds)
    }

    /// One figure of all of them: its ratios are of pairs.
    fn row(&self, name: &str) -> Row {
        let (mut system, mut tested) = (Vec::new(), Vec::new());
        for (theirs, ours) in &self.0 {
            match reading(theirs, name) {
                Ok(value) => system.push(value),
                Err(why) => return Row::Unavailable(why),
            }
            match reading(ours, name) {
                Ok(value) => tested.push(value),
                Err(why) => return Row::Failed(why),
            }
        }
        // A first call may cost less than the clock can tell.
        let ratios: Vec<f64> =
            system.iter().zip(&tested).map(|(s, t)| s.max(0.01) / t.max(0.01)).collect();
        match (Series::new(system), Series::new(tested), Series::new(ratios)) {
            (Some(system), Some(tested), Some(ratio)) => {
                Row::Measured { pairs: self.0.len(), system, tested, ratio }
            }
            _ => Row::Unavailable("no samples".into()),
        }
    }
}

/// A process's reading of a figure. One that died may have read some before.
fn reading((readings, end): &Run, name: &str) -> Result<f64, String> {
    match (readings.get(name), end) {
        (Some(reading), _) => reading.clone(),
        (None, Err(why)) => Err(format!("not reached: {why}")),
        (None, Ok(())) => Err("not printed".into()),
    }
}
