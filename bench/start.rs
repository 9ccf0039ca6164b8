//! What a start costs: CPU time from exec to the program's entry point, rld against the system's
//! ld.so.
//!
//! `cargo bench` runs it; `bench/README.md` says what the figures mean. Every program is measured
//! as two copies that differ in their interpreter only and report their time at the entry point, in
//! interleaved pairs, so that whatever disturbs the machine disturbs both loaders.

mod count;
mod elf;
mod json;
mod loaders;
mod machine;
mod measure;
mod options;
mod program;
mod report;
mod run;
mod scratch;
mod stats;
mod synth;
mod workload;

use std::path::Path;
use std::process::ExitCode;

use loaders::Loaders;
use machine::Machine;
use options::Options;
use report::Report;
use scratch::Scratch;

/// Pairs of starts per workload, unless --rounds says otherwise.
const ROUNDS: usize = 1000;

fn main() -> ExitCode {
    let options = match Options::parse(ROUNDS, std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("start: {why}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    if options.help {
        println!("{}", options::USAGE);
        return ExitCode::SUCCESS;
    }
    // `cargo test --all-targets` runs this program too, without `--bench`: a test run has no use
    // for timings.
    if !options.bench {
        eprintln!("start: a benchmark, not a test: run it by `cargo bench`");
        return ExitCode::SUCCESS;
    }
    match bench(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("start: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what the options ask for; false if a loader got a program wrong.
fn bench(options: &Options) -> Result<bool, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let work = Scratch::new(target)?;
    let loaders = Loaders::new(&options.loader, work.path())?;

    let names = workload::names(&options.filter);
    if names.is_empty() {
        return Err(format!("no workload's name contains \"{}\"", options.filter));
    }
    let (pairs, mut skipped) = workload::prepare(&options.filter, &loaders, work.path(), target);
    let floor = workload::floor(work.path())?;

    // After the compilers have run, which may use every CPU.
    let cpu = run::pin_to_one_cpu();
    let floor = measure::floor(&floor)?;
    let counter = count::Counter::open();
    let mut rows = Vec::new();
    for pair in &pairs {
        eprintln!("start: measuring {}", pair.name);
        match measure::pair(pair, options, counter.as_ref().ok(), work.path()) {
            Ok(row) => rows.push(row),
            Err(failure) => skipped.push(failure),
        }
    }
    let report = Report {
        machine: Machine::this(&loaders, cpu),
        loader: &options.loader,
        callgrind: options.callgrind,
        no_counter: counter.err(),
        floor,
        rows,
        skipped,
    };
    print!("{}", report.markdown());
    if let Some(file) = &options.json {
        std::fs::write(file, report.json()).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(report.skipped.iter().all(|s| !s.is_failure()))
}
