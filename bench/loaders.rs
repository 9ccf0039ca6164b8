//! The two loaders, on equal terms.
//!
//! Both are copied side by side: the system's own file is mapped by every process of the machine,
//! which makes mapping it a little dearer. Programs name the copies by symlinks in a temporary
//! folder, short enough for PT_INTERP.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::elf::Program;
use crate::program::{first_line, write_program};
use crate::scratch::Scratch;

/// Room for the interpreter's path in programs linked for x86-64 GNU/Linux, without the final NUL.
const ROOM: usize = "/lib64/ld-linux-x86-64.so.2".len();

/// Names for PT_INTERP, valid as long as this value lives.
pub struct Loaders {
    /// The system's loader.
    pub system: PathBuf,
    /// The loader under test.
    pub tested: PathBuf,
    _links: Scratch,
}

impl Loaders {
    /// Copies the system's loader and the one at `tested` into `work`.
    pub fn new(tested: &Path, work: &Path) -> Result<Self, String> {
        // This program was linked as programs on this system are: its own interpreter is the
        // system's.
        let this = std::env::current_exe().and_then(fs::read).map_err(|e| e.to_string())?;
        let this = Program::parse(this).map_err(|e| format!("this benchmark is {e}"))?;

        let mut folders = [std::env::temp_dir(), PathBuf::from("/tmp")].into_iter();
        let (links, system, under_test) = folders
            .find_map(|folder| {
                let links = Scratch::new(&folder).ok()?;
                let (system, tested) = (links.path().join("s"), links.path().join("t"));
                (system.as_os_str().len() <= ROOM).then_some((links, system, tested))
            })
            .ok_or("no temporary folder whose name fits into PT_INTERP")?;
        for (loader, link) in [(this.interpreter(), &system), (tested, &under_test)] {
            let failed = |e: io::Error| format!("loader {}: {e}", loader.display());
            let copy = work.join(link.file_name().unwrap_or_default());
            write_program(&copy, &fs::read(loader).map_err(failed)?).map_err(failed)?;
            symlink(&copy, link).map_err(failed)?;
        }
        Ok(Self { system, tested: under_test, _links: links })
    }

    /// The system's libc: what its loader says to `--version`.
    pub fn system_version(&self) -> String {
        let output = Command::new(&self.system).env_clear().arg("--version").output();
        match output {
            Ok(output) if output.status.success() => {
                first_line(&output.stdout).trim_end_matches('.').to_owned()
            }
            _ => "unknown libc".to_owned(),
        }
    }
}
