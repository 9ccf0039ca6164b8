//! The ways to start an unmodified program under the loader under test.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::elf::Elf;
use crate::process::Start;
use crate::support::suites::Suite;
use crate::sys;

/// Where the psABI puts the loader of a glibc program.
pub const SYSTEM_LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// S_ISUID and S_ISGID.
pub const SETUID_OR_SETGID: u32 = 0o6000;

/// How the program comes under the loader under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By its PT_INTERP: the kernel maps the loader.
    Interpreter,
    /// As the loader's argument: the loader maps the program.
    Direct,
    /// The same with the libraries of another Debian release, against that release's own loader.
    Suite(&'static Suite),
}

/// How PT_INTERP is made to lead to the loader under test.
enum Way {
    /// In this mount namespace the system loader's file shows the loader under test.
    Bind(File),
    /// A copy of the program with PT_INTERP rewritten to this short path.
    Copy { reason: String, link: PathBuf },
}

/// Knows both loaders. Made before the process has a second thread.
pub struct Launcher {
    system: PathBuf,
    tested: PathBuf,
    way: Way,
    scratch: PathBuf,
    copies: AtomicU32,
}

/// A start, with the copy of the program that it may need.
pub struct Prepared {
    /// What to start.
    pub start: Start,
    copy: Option<PathBuf>,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(copy) = &self.copy {
            // The scratch directory goes at the end anyway.
            let _ = fs::remove_file(copy);
        }
    }
}

impl Launcher {
    /// `copy` forbids the bind mount.
    pub fn new(tested: &Path, copy: bool) -> Result<Launcher> {
        let system = fs::canonicalize(SYSTEM_LOADER)?;
        let tested = fs::canonicalize(tested)
            .map_err(|error| Error::other(format!("{}: {error}", tested.display())))?;
        let scratch = std::env::temp_dir().join(format!("o{}", std::process::id()));
        fs::create_dir(&scratch)?;
        let bound =
            if copy { Err(Error::other("asked for")) } else { namespace_with(&tested, &system) };
        let way = match bound {
            Ok(namespace) => Way::Bind(namespace),
            Err(error) => {
                let link = scratch.join("l");
                symlink(&tested, &link)?;
                Way::Copy { reason: error.to_string(), link }
            }
        };
        Ok(Launcher { system, tested, way, scratch, copies: AtomicU32::new(0) })
    }

    /// The system's loader, without symbolic links.
    pub fn system(&self) -> &Path {
        &self.system
    }

    /// Says which way was chosen, and why not the better one.
    pub fn describe(&self) -> String {
        let (tested, system) = (self.tested.display(), self.system.display());
        match &self.way {
            Way::Bind(_) => {
                format!("{tested} bind-mounted over {system} in a private mount namespace")
            }
            Way::Copy { reason, link } => format!(
                "{tested} through COPIES of the programs with PT_INTERP {} (no bind mount: {reason}; \
                 $ORIGIN and /proc/self/exe name the copy)",
                link.display()
            ),
        }
    }

    /// The program as the system starts it.
    pub fn under_system(&self, program: &Path) -> Prepared {
        let start = Start {
            executable: program.to_path_buf(),
            arguments: vec![program.into()],
            program: program.to_path_buf(),
            loader: self.system.clone(),
            namespace: None,
        };
        Prepared { start, copy: None }
    }

    /// The program under the loader that is its own.
    pub fn under_its_own(&self, program: &Path, mode: Mode) -> Prepared {
        let mut prepared = self.under_system(program);
        if let Mode::Suite(suite) = mode {
            prepared.start.give_to(suite.loader(), Some(suite));
        }
        prepared
    }

    /// The program under the loader under test. [`ErrorKind::Unsupported`] when a copy of it would
    /// not be the same program.
    pub fn under_test(&self, program: &Path, mode: Mode) -> Result<Prepared> {
        let mut prepared = self.under_system(program);
        prepared.start.loader = self.tested.clone();
        match (mode, &self.way) {
            (Mode::Direct, _) => prepared.start.give_to(self.tested.clone(), None),
            (Mode::Suite(suite), _) => prepared.start.give_to(self.tested.clone(), Some(suite)),
            (Mode::Interpreter, Way::Bind(namespace)) => {
                prepared.start.namespace = Some(namespace.as_raw_fd());
            }
            (Mode::Interpreter, Way::Copy { link, .. }) => {
                let copy = self.copy(program, link)?;
                prepared.start.executable = copy.clone();
                prepared.start.program = copy.clone();
                prepared.copy = Some(copy);
            }
        }
        Ok(prepared)
    }

    fn copy(&self, program: &Path, interpreter: &Path) -> Result<PathBuf> {
        let unsupported = |reason| Error::new(ErrorKind::Unsupported, reason);
        if fs::metadata(program)?.mode() & SETUID_OR_SETGID != 0 {
            return Err(unsupported("a copy is not setuid or setgid"));
        }
        let mut bytes = fs::read(program)?;
        let elf = Elf::parse(&bytes).map_err(Error::other)?;
        if elf.names_origin() {
            return Err(unsupported("a copy has another $ORIGIN"));
        }
        let mut path = interpreter.as_os_str().as_bytes().to_vec();
        path.push(0);
        match elf.interpreter_at.and_then(|at| bytes[at].get_mut(..path.len())) {
            Some(slot) => slot.copy_from_slice(&path),
            None => {
                return Err(unsupported("PT_INTERP has no room for the path of the loader"));
            }
        }
        self.file(&bytes)
    }

    /// Writes a program of our own making; the caller or [`Launcher::clean`] removes it.
    pub fn file(&self, bytes: &[u8]) -> Result<PathBuf> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.scratch.join(self.copies.fetch_add(1, Ordering::Relaxed).to_string());
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o700).open(&path)?.write_all(bytes)?;
        Ok(path)
    }

    /// Removes what was written. The process may end without running destructors.
    pub fn clean(&self) {
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

/// A mount namespace in which `over` shows `source`. The calling process ends in a namespace of its
/// own too, and in a user namespace when it is not root: only its owner may enter the other one.
fn namespace_with(source: &Path, over: &Path) -> Result<File> {
    let (user, group) = sys::effective_ids();
    if user != 0 {
        sys::unshare_user()?;
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    }
    sys::unshare_mounts()?;
    let original = File::open("/proc/self/ns/mnt")?;
    sys::unshare_mounts()?;
    let path = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(Error::other);
    let bound = sys::bind(&path(source)?, &path(over)?);
    let namespace = File::open("/proc/self/ns/mnt");
    sys::enter_mounts(&original)?;
    bound.and(namespace)
}
