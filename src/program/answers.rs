//! What rld prints when it is asked about itself and not for a program: `--help`, `--list-tunables`, and what
//! the environment wants to hear.

use super::command::Job;
use super::terms::{STDOUT, Stop, program_name, warn};
use super::{auxv, diagnostics, tunables};
use crate::abi::glibc::cpu::CpuFeatures;
use crate::cli::{self, Command};
use crate::env::Settings;
use crate::env::tunables::Values;
use crate::sys::file;
use crate::sys::stack::InitialStack;
use crate::text::Text;

/// Gives the answer that the command line asks for, if it asks for one.
///
/// # Errors
/// The answer is given, and no program is to start.
#[inline(never)]
pub fn give(
    job: &Job,
    stack: &InitialStack,
    cpu: &CpuFeatures,
    values: &Values<'_>,
    settings: &Settings<'_>,
) -> Result<(), Stop> {
    let text = match job.command() {
        Command::Help => cli::help(Text(program_name(stack))),
        Command::ListDiagnostics => diagnostics::lines(stack, settings, cpu),
        Command::ListTunables => tunables::lines(job, stack, settings, cpu, values)?,
        Command::Version => concat!("rld ", env!("CARGO_PKG_VERSION"), "\n").into(),
        Command::Run | Command::List | Command::Tree | Command::Verify => return Ok(()),
    };
    file::write_all(STDOUT, text.as_bytes());
    Err(Stop::Exit(0))
}

/// Shows the auxiliary vector (LD_SHOW_AUXV).
#[cold]
pub fn auxiliary_vector(stack: &InitialStack) {
    file::write_all(STDOUT, auxv::lines(stack).as_bytes());
}

/// Says that nothing is profiled, where that is asked for (LD_PROFILE).
#[cold]
pub fn profile(job: &Job, stack: &InitialStack, settings: &Settings<'_>) {
    if job.command() == Command::Run && !settings.trace_loaded_objects {
        let name = Text(job.program_name(stack));
        let line = alloc::format!("{name}: warning: LD_PROFILE is ignored: rld profiles nothing");
        warn(core::iter::once(line));
    }
}
