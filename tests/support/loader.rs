//! The two loaders that are compared, and the ways in which a program can come to run under one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::run::{self, Run};
use super::suites::Suite;

/// The path that programs of this system name in PT_INTERP.
pub const SYSTEM: &str = "/lib64/ld-linux-x86-64.so.2";

/// How a program is put under the loader being tested.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// The program's PT_INTERP names it.
    PtInterp,
    /// `rld PROGRAM ARGUMENTS`.
    Direct,
    /// It is bind-mounted over the system's loader in a private mount namespace, so that the
    /// program and all its children run under it.
    Bind,
    /// As `PtInterp`, the program being set-user-ID to another user (AT_SECURE is 1).
    Setuid,
    /// As `PtInterp`, the program being set-group-ID to another group (AT_SECURE is 1).
    Setgid,
    /// As `Direct`, with the libraries of another Debian release, and compared with its loader.
    Suite(&'static Suite),
}

impl Way {
    pub fn name(self) -> &'static str {
        match self {
            Way::PtInterp => "ptinterp",
            Way::Direct => "direct",
            Way::Bind => "bind",
            Way::Setuid => "setuid",
            Way::Setgid => "setgid",
            Way::Suite(suite) => suite.name,
        }
    }

    /// The way that a directive names.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Way::PtInterp, Way::Direct, Way::Bind, Way::Setuid, Way::Setgid];
        all.into_iter().find(|way| way.name() == name)
    }

    /// Why this way cannot be gone here, if so.
    pub fn obstacle(self) -> Option<&'static str> {
        match self {
            Way::PtInterp | Way::Direct => None,
            Way::Bind => no_namespace(),
            Way::Setuid | Way::Setgid => (!is_root()).then_some("not root: cannot chown a program"),
            Way::Suite(suite) => suite.obstacle().or(suite.no_compilers()),
        }
    }

    /// The folder of compilers in place of the machine's, where those do not do.
    pub fn compilers(self) -> Option<PathBuf> {
        match self {
            Way::Suite(suite) => suite.compilers(),
            _ => None,
        }
    }
}

/// The loader being tested: `$RLD_UNDER_TEST`, or the rld that Cargo built.
pub fn subject() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = std::env::var_os("RLD_UNDER_TEST")
            .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_rld")), PathBuf::from);
        path.canonicalize().unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    })
}

/// The file behind [`SYSTEM`].
pub fn system() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| Path::new(SYSTEM).canonicalize().expect("this system has a loader"))
}

/// Whether the loader being tested is a copy of the system's: this is how the tests themselves are
/// tested. What only rld promises is then not asked for.
pub fn subject_is_the_systems() -> bool {
    static SAME: OnceLock<bool> = OnceLock::new();
    *SAME.get_or_init(|| {
        let same = fs::read(subject()).ok() == fs::read(system()).ok();
        if same {
            eprintln!("NOTE: {} is a copy of {SYSTEM}; rld-only promises are not checked", {
                subject().display()
            });
        }
        same
    })
}

pub fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

/// Why no private mount namespace can be had, if so; tried once.
pub fn no_namespace() -> Option<&'static str> {
    static REASON: OnceLock<Option<String>> = OnceLock::new();
    REASON
        .get_or_init(|| {
            let mut probe = Run::new("/bin/true", Path::new("/"));
            probe.over_system(system().to_owned());
            match run::run(&probe) {
                Ok(outcome) if outcome.end == run::End::Exit(0) => None,
                Ok(outcome) => Some(format!("no mount namespace: true ended with {}", outcome.end)),
                Err(e) => Some(format!("no mount namespace: {e}")),
            }
        })
        .as_deref()
}
