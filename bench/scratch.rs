//! Folders that go away with the value that owns them.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A new private folder, removed on drop.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes a folder with a short name inside `parent`. It never takes over a folder that is
    /// already there.
    pub fn new(parent: &Path) -> Result<Self, String> {
        for n in 0..1000 {
            let path = parent.join(format!("rld{}.{n}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(format!("{}: {e}", path.display())),
            }
        }
        Err(format!("{}: too many folders of earlier runs", parent.display()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing to be done about a failure: the folder is only litter then.
        let _ = fs::remove_dir_all(&self.0);
    }
}
