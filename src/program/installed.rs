//! Which glibc is installed, for answers that do not concern a program.

use super::command::Job;
use super::live::Live;
use super::sysroot;
use crate::abi::glibc::cpu::CpuFeatures;
use crate::abi::glibc::{self, layout::Layout};
use crate::env::Settings;
use crate::linkmap::{LinkMap, Linker};
use crate::search::Purpose;
use crate::sys::stack::InitialStack;

/// The layout of the libc.so.6 that a program would find.
#[must_use]
pub fn layout(
    job: &Job,
    stack: &InitialStack,
    settings: &Settings<'_>,
    cpu: &CpuFeatures,
    live: &mut Live,
) -> Option<&'static Layout> {
    let system = sysroot::system(live.root());
    let mut search = job.searching(stack, settings, cpu, system, live.root()).make(b"");
    let mut map = LinkMap::default();
    let mut linker = Linker::new(&mut map, &mut search, live);
    let libc = linker.open(glibc::SONAME, None, Purpose::Library).ok()?;
    glibc::layout_of(map.get(libc)?).ok()
}
