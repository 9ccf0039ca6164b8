//! The command line.

use std::path::PathBuf;
use std::time::Duration;

/// What `--help` prints.
pub const USAGE: &str = "\
usage: cargo bench -- [OPTIONS]
  --rounds N     pairs of starts per workload, at most (default 1000; runtime: 40)
  --seconds S    time per workload, at most (default 8); three pairs are measured in any case
  --filter NAME  only the workloads (runtime: the figures) whose name contains NAME
  --loader PATH  the loader to compare with the system's (default: rld as built by this command)
  --callgrind    count instructions with valgrind, too (slow)
  --json FILE    write the figures as JSON";

/// A parsed command line.
#[derive(Debug)]
pub struct Options {
    /// Most pairs of starts per workload.
    pub rounds: usize,
    /// Most time per workload.
    pub budget: Duration,
    /// Text that a workload's name must contain.
    pub filter: String,
    /// The loader under test, an absolute path.
    pub loader: PathBuf,
    /// Count instructions by valgrind.
    pub callgrind: bool,
    /// Where to write JSON.
    pub json: Option<PathBuf>,
    /// Cargo says so when this is a benchmark run.
    pub bench: bool,
    /// Only print the usage.
    pub help: bool,
}

impl Options {
    /// Parses the arguments after the program's name. `rounds` holds unless they say otherwise.
    pub fn parse(rounds: usize, mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Options {
            rounds,
            budget: Duration::from_secs(8),
            filter: String::new(),
            loader: PathBuf::from(env!("CARGO_BIN_EXE_rld")),
            callgrind: false,
            json: None,
            bench: false,
            help: false,
        };
        while let Some(option) = args.next() {
            let mut value = || args.next().ok_or(format!("{option} needs a value"));
            match option.as_str() {
                "--rounds" => options.rounds = number(&option, &value()?)?,
                "--seconds" => {
                    let seconds = number(&option, &value()?)?;
                    options.budget = Duration::try_from_secs_f64(seconds)
                        .map_err(|e| format!("--seconds {seconds}: {e}"))?;
                }
                "--filter" => options.filter = value()?,
                "--loader" => {
                    let path = value()?;
                    options.loader =
                        std::path::absolute(&path).map_err(|e| format!("{path}: {e}"))?;
                }
                "--callgrind" => options.callgrind = true,
                "--json" => options.json = Some(value()?.into()),
                "--bench" => options.bench = true,
                "--help" | "-h" => options.help = true,
                _ => return Err(format!("unknown option {option}")),
            }
        }
        Ok(options)
    }
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{option} {text}: not a number"))
}

#[cfg(test)]
#[allow(unused)] // see unit.rs
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(1000, line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn reads_every_option() {
        let o = parse(
            "--rounds 5 --seconds 0.5 --filter git --loader /x/ld --callgrind --json f --bench",
        )
        .unwrap();
        assert_eq!((o.rounds, o.budget), (5, Duration::from_millis(500)));
        assert_eq!((o.filter.as_str(), o.loader), ("git", PathBuf::from("/x/ld")));
        assert_eq!((o.json, o.callgrind, o.bench), (Some("f".into()), true, true));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert_eq!(parse("--fast").unwrap_err(), "unknown option --fast");
        assert_eq!(parse("--rounds").unwrap_err(), "--rounds needs a value");
        assert_eq!(parse("--rounds x").unwrap_err(), "--rounds x: not a number");
        assert!(parse("--seconds -1").is_err());
    }
}
