//! What rld prints when it is asked about itself and not for a program: `--help`, `--list-tunables`, and what
//! the environment wants to hear.

use alloc::string::String;
use core::fmt::Write;

use super::command::Job;
use super::terms::{STDOUT, Stop, program_name, warn};
use super::{auxv, diagnostics};
use crate::abi::glibc::cpu::{CpuFeatures, NON_TEMPORAL_MAXIMUM, NON_TEMPORAL_MINIMUM};
use crate::cli::{self, Command};
use crate::env::Settings;
use crate::env::tunables::{Kind, Value, Values, lists};
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
        Command::ListTunables => tunables(values, cpu),
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

/// All tunables with values and bounds, as ld.so 2.36 prints them.
fn tunables(values: &Values<'_>, cpu: &CpuFeatures) -> String {
    let mut text = String::new();
    for (tunable, value) in values.iter(lists::V2_36_GMON) {
        let name = &*tunable.name;
        let _ = match (tunable.kind, value) {
            (Kind::Int32 { min, max, .. }, Value::Int32(value)) => {
                writeln!(text, "{name}: {value} (min: {min}, max: {max})")
            }
            (
                Kind::Uint64 { min, max, .. } | Kind::SizeT { min, max, .. },
                Value::Number(value),
            ) => {
                let (value, min, max) =
                    measured(tunable.name.as_bytes(), cpu).unwrap_or((value, min, max));
                writeln!(text, "{name}: {value:#x} (min: {min:#x}, max: {max:#x})")
            }
            (_, Value::Text(Some(value))) => writeln!(text, "{name}: {}", Text(value)),
            _ => writeln!(text, "{name}:"),
        };
    }
    text
}

/// What the processor makes of a tunable: its value and its bounds.
fn measured(tunable: &[u8], cpu: &CpuFeatures) -> Option<(u64, u64, u64)> {
    Some(match tunable {
        b"glibc.cpu.x86_data_cache_size" => (cpu.data_cache_size, 0, u64::MAX),
        b"glibc.cpu.x86_shared_cache_size" => (cpu.shared_cache_size, 0, u64::MAX),
        b"glibc.cpu.x86_non_temporal_threshold" => {
            (cpu.non_temporal_threshold, NON_TEMPORAL_MINIMUM, NON_TEMPORAL_MAXIMUM)
        }
        b"glibc.cpu.x86_rep_movsb_threshold" => {
            (cpu.rep_movsb_threshold, cpu.rep_movsb_minimum, u64::MAX)
        }
        b"glibc.cpu.x86_rep_stosb_threshold" => (cpu.rep_stosb_threshold, 1, u64::MAX),
        _ => return None,
    })
}
