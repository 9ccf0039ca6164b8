//! Other Debian releases, each below a root of its own, which `tests/suites` fetches.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Those that are known, the oldest first.
pub const ALL: [&str; 4] = ["bullseye", "bookworm", "trixie", "sid"];

/// The root of a suite, fetched if need be; `None` where that cannot be done.
pub fn root(suite: &str) -> Option<PathBuf> {
    static FETCHING: Mutex<()> = Mutex::new(());
    let package = super::package();
    let all = std::env::var_os("RLD_SUITES")
        .map_or_else(|| package.join("target/suites"), |all| package.join(Path::new(&all)));
    let root = all.join(suite);
    let _held = FETCHING.lock();
    if !root.join(".complete").exists() {
        let fetched = Command::new(package.join("tests/suites")).arg(suite).status();
        if !fetched.is_ok_and(|status| status.success()) {
            return None;
        }
    }
    Some(root)
}
