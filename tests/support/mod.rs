//! What the tests of whole processes share: starting a program under a loader, scratch folders, and
//! building fixtures.
#![allow(dead_code, reason = "each test executable uses a part of this module")]

pub mod build;
pub mod loader;
pub mod musl;
pub mod run;
pub mod scratch;
pub mod scripts;
pub mod suites;

use std::path::Path;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Trial};

/// The result of one test: what libtest-mimic wants from a test that may be skipped.
pub type Verdict = Result<Completion, libtest_mimic::Failed>;

/// A verdict that counts as skipped, said loudly with its reason.
pub fn skipped(test: &str, reason: &str) -> Verdict {
    eprintln!("SKIPPED ({reason}): {test}");
    Ok(Completion::ignored_with(reason))
}

/// A test that may be skipped, with shared data.
pub fn trial<T: Send + Sync + 'static>(
    name: String,
    data: &Arc<T>,
    test: impl FnOnce(&str, &T) -> Verdict + Send + 'static,
) -> Trial {
    let data = Arc::clone(data);
    let label = name.clone();
    Trial::ignorable_test(name, move || test(&label, &data))
}

/// Runs the tests and ends the process: the `main` of every test executable here.
pub fn run_all(trials: Vec<Trial>) -> ! {
    let arguments = Arguments::from_args();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if conclusion.num_failed == 0 {
        scratch::remove_empty();
    }
    conclusion.exit()
}

/// The package's folder.
pub fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
