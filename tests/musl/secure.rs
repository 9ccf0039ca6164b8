//! A set-user-ID program of musl, started by another user: nothing that user's environment asks of the loader
//! is done, under rld as under musl's loader.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use libtest_mimic::Completion;

use crate::support::loader::{self, Way};
use crate::support::run::{self, End, Outcome, Run};
use crate::support::scratch::Scratch;
use crate::support::{Verdict, skipped};

/// A folder that both look into whatever the environment says.
const DEFAULT: &str = "/usr/local/lib";
/// musl's loader there, which the program names.
const LOADER: &str = "ld-musl-x86_64.so.1";
/// The owner of the program.
const OWNER: u32 = 2;

/// What is built: the program, a library for LD_PRELOAD, and one in a folder of its own.
pub const BUILD: &str = "library libinterpose.so interpose.c
    library libneeded.so needed.c
    mkdir -p sub
    mv libneeded.so sub
    compile secure -fPIE -pie -Wl,--dynamic-linker=/usr/local/lib/ld-musl-x86_64.so.1 \\
        \"$lib/Scrt1.o\" \"$lib/crti.o\" \"$SRC/secure.c\"";

/// What the caller's environment says.
const ENVIRONMENTS: [&str; 7] = [
    "LD_LIBRARY_PATH=./sub",
    "LD_PRELOAD=./libinterpose.so",
    "LD_PRELOAD=libinterpose.so",
    "LD_PRELOAD=libabsent.so",
    "LD_AUDIT=libinterpose.so",
    "LD_TRACE_LOADED_OBJECTS=1",
    "RLD_MUSL_LIBC=./libabsent.so",
];

/// Compares both in a private mount namespace, where [`DEFAULT`] is a folder with the loader, the C library and
/// the program.
pub fn test(label: &str, built: &Path) -> Verdict {
    if let Some(reason) = Way::Setuid.obstacle().or_else(loader::no_namespace) {
        return skipped(label, reason);
    }
    let scratch = match Scratch::public(label) {
        Ok(scratch) => scratch,
        Err(reason) => return skipped(label, &reason),
    };
    let own = prepare(&scratch.copy_tree(built, "own"), &built.join("libc.so"))?;
    let tested = prepare(&scratch.copy_tree(built, "rld"), loader::subject())?;
    for variable in ENVIRONMENTS {
        let (expected, actual) = (start(&own, variable)?, start(&tested, variable)?);
        if expected != actual
            || !expected.stdout.contains("secure 1")
            || expected.end != End::Exit(3)
        {
            let text =
                format!("{variable}\nunder musl's own loader: {expected}under rld: {actual}");
            return Err(text.into());
        }
    }
    scratch.passed();
    Ok(Completion::Completed)
}

/// Puts a loader where the program wants one, and gives the program to its owner.
fn prepare(folder: &Path, loader: &Path) -> Result<OsString, String> {
    let prepared = (|| {
        let (place, program) = (folder.join(LOADER), folder.join("secure"));
        fs::remove_file(&place)?;
        fs::copy(loader, &place)?;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?;
        chown(&program, Some(OWNER), None)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4755))
    })();
    prepared.map_err(|e: std::io::Error| format!("{}: {e}", folder.display()))?;
    Ok(folder.into())
}

fn start(folder: &OsString, variable: &str) -> Result<Outcome, String> {
    const STEPS: &str = r#"mount --bind "$1" "$2"; cd "$2"; exec setpriv --reuid 65534 --regid 65534 --clear-groups \
        env -i OTHER=value "$3" ./secure first last"#;
    let mut run = Run::new("unshare", Path::new("/"));
    run.args = ["--mount", "sh", "-ec", STEPS, "sh"].map(OsString::from).into();
    run.args.extend([folder.clone(), DEFAULT.into(), variable.into()]);
    run::run(&run).map_err(|e| e.to_string())
}
