//! Programs of the system, unmodified, doing real work: under rld as a command (only the named program
//! runs under it), and with rld mounted over the system's loader (all children run under it too).
//! The scripts are in `tests/programs/`; what they print must not depend on the time, on chance or on
//! the scratch folder they run in.
//!
//! Output and exit status must be those under the system's own loader.
//!
//! A script may begin with a line `# needs: PROGRAM …`: where one of the programs is not on the search
//! path, it is skipped and that is said. `A|B|C` stands for whichever of these there are, at least one.
//! What only trying can tell, a script says with `skip REASON` under the system's loader.

mod support;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libtest_mimic::Completion;
use support::loader::{self, Way};
use support::run::{self, End, Outcome, Run};
use support::scratch::Scratch;
use support::scripts::{self, PRELUDE, SKIP};
use support::{Verdict, run_all, skipped, trial};

struct Case {
    name: String,
    script: String,
    /// What happens under the system's loader: in a namespace of its own, and without.
    oracle: [OnceLock<Result<Outcome, String>>; 2],
}

fn main() {
    let mut trials = Vec::new();
    for (name, script) in scripts::in_folder("tests/programs") {
        let case = Arc::new(Case {
            name: name.clone(),
            script,
            oracle: [OnceLock::new(), OnceLock::new()],
        });
        for way in [Way::Direct, Way::Bind] {
            let label = format!("{name}::{}", way.name());
            trials.push(trial(label, &case, move |label, case| test(label, case, way)));
        }
    }
    run_all(trials)
}

fn test(label: &str, case: &Case, way: Way) -> Verdict {
    if let Some(reason) = way.obstacle() {
        return skipped(label, reason);
    }
    if let Err(missing) = needs(&case.script) {
        return skipped(label, &missing);
    }
    // A user namespace shows, in `id` for one; root has no need of one.
    let alike = loader::is_root() || way != Way::Bind;
    let expected = case.oracle[usize::from(alike)].get_or_init(|| {
        let scratch = Scratch::new(&format!("{}.oracle{}", case.name, u8::from(alike)));
        let outcome = run_script(&case.script, &scratch, way, false)?;
        match outcome.end {
            End::Exit(0) | SKIP => {
                scratch.passed();
                Ok(outcome)
            }
            _ => Err(format!("the script fails under the system's loader: {outcome}")),
        }
    });
    let expected = expected.as_ref().map_err(String::as_str)?;
    if expected.end == SKIP {
        return skipped(label, expected.stderr.lines().next_back().unwrap_or("no reason given"));
    }
    let scratch = Scratch::new(label);
    let actual = run_script(&case.script, &scratch, way, true)?;
    if *expected != actual {
        return Err(format!(
            "under the system's loader: {expected}under test: {actual}kept: {}",
            scratch.path().display()
        )
        .into());
    }
    scratch.passed();
    Ok(Completion::Completed)
}

/// Whether there is all that a script's `# needs:` line asks for; an error says what is missing.
fn needs(script: &str) -> Result<(), String> {
    let line = script.lines().next().and_then(|line| line.strip_prefix("# needs:"));
    for need in line.unwrap_or_default().split_whitespace() {
        let (found, missing): (Vec<_>, Vec<_>) = need.split('|').partition(|name| installed(name));
        if found.is_empty() {
            return Err(format!("no {}", missing.join(", no ")));
        }
        if !missing.is_empty() {
            eprintln!("NOTE: only {}; there is no {}", found.join(", "), missing.join(", no "));
        }
    }
    Ok(())
}

/// Whether the scripts find a program of this name.
fn installed(name: &str) -> bool {
    std::env::split_paths(search_path()).any(|folder| {
        fs::metadata(folder.join(name))
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    })
}

/// Where the scripts find programs: where the system keeps them, and last Rust's own.
fn search_path() -> &'static OsString {
    static PATH: OnceLock<OsString> = OnceLock::new();
    PATH.get_or_init(|| {
        let mut path = OsString::from("/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        // rustc is beside the Cargo that runs this: rustup's proxies want a home folder.
        let cargo = std::env::var_os("CARGO").map(PathBuf::from);
        if let Some(folder) = cargo.as_deref().and_then(Path::parent) {
            path.push(":");
            path.push(folder);
        }
        path
    })
}

/// Runs a script in an empty folder, under the loader being `tested` or the system's.
fn run_script(script: &str, scratch: &Scratch, way: Way, tested: bool) -> Result<Outcome, String> {
    let folder = scratch.path().join("work");
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut run = Run::new("/bin/bash", &folder);
    run.args = vec!["-c".into(), format!("{PRELUDE}{script}").into()];
    run.env.push(("PATH".into(), search_path().into()));
    run.limit = Duration::from_secs(120);
    match (way, tested) {
        (Way::Bind, false) => run.over_system(loader::system().to_owned()),
        (Way::Bind, true) => run.over_system(loader::subject().to_owned()),
        (_, false) => {}
        (_, true) => {
            run.env.push(("DIRECT".into(), loader::subject().into()));
        }
    }
    let outcome = run::run(&run).map_err(|e| e.to_string())?;
    Ok(outcome.replacing(&folder.to_string_lossy(), "$DIR"))
}
