//! Scripts for bash that put programs to work, the same under every loader.

use std::fs;
use std::path::Path;

use super::run::End;

/// Bash functions that the scripts use.
///
/// `L PROGRAM …` runs a program under the loader being tested if that is to be named as a command.
/// argv[0] is the program's path in all ways. Scripts pass through, for they are not ELF.
///
/// `skip REASON` ends a script that cannot do its work on this machine.
///
/// `until_it COMMAND …` waits for what another process is to do, for 60 s at most.
pub const PRELUDE: &str = r#"
set -euo pipefail
L() {
    local path magic
    path=$(type -P "$1"); shift
    LC_ALL=C IFS= read -r -n 4 magic <"$path" 2>/dev/null || true
    if [[ -n ${DIRECT:-} && $magic == $'\x7fELF' ]]; then "$DIRECT" "$path" "$@"; else "$path" "$@"; fi
}
skip() { echo "$*" >&2; exit 77; }
until_it() {
    local i
    for ((i = 0; i < 1200; i++)); do if "$@" 2>/dev/null; then return; fi; sleep 0.05; done
    echo "never: $*" >&2; return 1
}
"#;

/// The status of a script that `skip` ends.
pub const SKIP: End = End::Exit(77);

/// The scripts in a folder of the package, as name and text, sorted by name.
pub fn in_folder(folder: &str) -> Vec<(String, String)> {
    let folder = super::package().join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let scripts = paths.filter(|path| path.extension().is_some_and(|it| it == "sh"));
    let mut scripts: Vec<_> = scripts.map(|path| named(&path)).collect();
    scripts.sort();
    scripts
}

fn named(path: &Path) -> (String, String) {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{name}: {e}"));
    (name, text)
}
