//! Scratch folders: one for each test, removed when the test passes and kept, by name, when it fails.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder that Cargo gives integration tests: `target/tmp`.
pub fn base() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// A folder that belongs to one test.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes an empty folder named after `test` under `target/tmp`.
    pub fn new(test: &str) -> Self {
        Self::under(&base().join("scratch"), test)
    }

    /// Makes an empty folder that every user can reach, on a file system that honours set-user-ID
    /// files; an error says why there is none.
    pub fn public(test: &str) -> Result<Self, String> {
        let candidates = [base().join("scratch"), "/var/tmp".into(), "/tmp".into()];
        let mut reasons = Vec::new();
        for parent in candidates {
            match suitable_for_all(&parent) {
                Ok(()) => return Ok(Self::under(&parent, &format!("rld-test-{test}"))),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(reasons.join("; "))
    }

    fn under(parent: &Path, test: &str) -> Self {
        let folder = format!("{}-{}", test.replace(['/', ' ', ':'], "."), std::process::id());
        let path = parent.join(folder);
        if path.exists() {
            fs::remove_dir_all(&path).expect("an old scratch folder can be removed");
        }
        fs::create_dir_all(&path).expect("a scratch folder can be made");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod of scratch");
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Copies a folder's contents here, as they are (links, modes and times kept), into `name`.
    pub fn copy_tree(&self, from: &Path, name: &str) -> PathBuf {
        let to = self.path.join(name);
        let status = Command::new("cp").arg("-a").arg(from).arg(&to).status();
        assert!(status.is_ok_and(|s| s.success()), "cp -a {} {}", from.display(), to.display());
        to
    }

    /// Removes the folder: the test passed.
    pub fn passed(self) {
        // Best effort: a leftover does no harm, and the next run of the same test clears it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the common parent if nothing was kept in it.
pub fn remove_empty() {
    let _ = fs::remove_dir(base().join("scratch"));
}

/// Whether any user may pass through `folder`, and set-user-ID programs and execution work there.
fn suitable_for_all(folder: &Path) -> Result<(), String> {
    let name = folder.display();
    let _ = fs::create_dir_all(folder);
    for ancestor in folder.ancestors() {
        let mode = fs::metadata(ancestor).map_err(|e| format!("{name}: {e}"))?.permissions().mode();
        if mode & 0o001 == 0 {
            return Err(format!("{} is closed to other users", ancestor.display()));
        }
    }
    let path = CString::new(folder.as_os_str().as_bytes()).map_err(|e| format!("{name}: {e}"))?;
    // SAFETY: all zeros is a valid value of this plain C structure.
    let mut fs_info: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` ends in NUL and `fs_info` may be written.
    if unsafe { libc::statvfs(path.as_ptr(), &mut fs_info) } != 0 {
        return Err(format!("{name}: {}", std::io::Error::last_os_error()));
    }
    match fs_info.f_flag & (libc::ST_NOSUID | libc::ST_NOEXEC) {
        0 => Ok(()),
        _ => Err(format!("{name} is on a file system mounted nosuid or noexec")),
    }
}
