//! LD_PRELOAD, `--preload` and `/etc/ld.so.preload`.

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use super::command::Job;
use super::sysroot;
use super::terms::{passed_over, short, warn};
use crate::addr::ObjectId;
use crate::env::{Settings, preload_file_names, preload_names};
use crate::linkmap::{Linker, Source};
use crate::root::Root;
use crate::search::Purpose;
use crate::sys::file;
use crate::text::Text;

const FILE: &CStr = c"/etc/ld.so.preload";

/// The names of what is to come before all dependencies, in ld.so's order, each with where it stands.
#[must_use]
pub fn names(
    settings: &Settings<'_>,
    job: &Job,
    root: &Root,
    secure: bool,
    is_musl: bool,
) -> Vec<(Vec<u8>, &'static str)> {
    let mut names = Vec::new();
    let mut add = |name: &[u8], from| names.push((name.to_vec(), from));
    // musl preloads nothing into a program with more rights than its caller, whatever the name is like.
    let preload = settings.preload.filter(|_| !(is_musl && secure));
    for name in preload_names(preload.unwrap_or_default(), secure) {
        add(name, "LD_PRELOAD");
    }
    for name in preload_names(job.preload().map_or(&[], CStr::to_bytes), secure) {
        add(name, "--preload");
    }
    // The file is for programs of glibc.
    let file = if is_musl { Vec::new() } else { file_contents(root) };
    for name in preload_file_names(&file) {
        add(name, "/etc/ld.so.preload");
    }
    names
}

/// Loads it. What cannot be loaded is reported and passed over.
pub fn all<S: Source<'static>>(
    linker: &mut Linker<'_, 'static, S>,
    settings: &Settings<'_>,
    job: &Job,
    root: &Root,
    secure: bool,
) -> Vec<ObjectId> {
    let mut preloaded = Vec::new();
    let mut warnings: Vec<String> = Vec::new();
    let is_musl = linker.map.hosted().is_some();
    for (name, from) in names(settings, job, root, secure, is_musl) {
        match linker.open(&name, Some(ObjectId(0)), Purpose::Preload) {
            Ok(id) => preloaded.push(id),
            Err(error) => {
                let (object, problem) = (Text(&name), &error.problem);
                let line = alloc::format!(
                    "ERROR: ld.so: object '{object}' from {from} cannot be preloaded ({}): ignored.",
                    short(problem)
                );
                warnings.push(passed_over(line, &error));
            }
        }
    }
    warn(warnings.into_iter());
    preloaded
}

fn file_contents(root: &Root) -> Vec<u8> {
    if !root.is_foreign() && !file::is_readable(FILE) {
        return Vec::new();
    }
    sysroot::contents(root, FILE).unwrap_or_default()
}
