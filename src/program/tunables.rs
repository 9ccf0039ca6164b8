//! `--list-tunables`: the tunables of the libc.so.6 that a program would find, with their values and bounds.

use alloc::string::String;
use core::fmt::Write;

use super::command::Job;
use super::live::Live;
use super::{installed, sysroot};
use crate::abi::glibc;
use crate::abi::glibc::cpu::{CpuFeatures, NON_TEMPORAL_MAXIMUM, NON_TEMPORAL_MINIMUM};
use crate::abi::glibc::cpu::{Native, Release};
use crate::env::Settings;
use crate::env::tunables::{Kind, Value, Values, lists};
use crate::error::Result;
use crate::sys::stack::InitialStack;
use crate::text::Text;

/// All of them, as ld.so prints them: those of 2.36 where no libc is found, or it does not tell which it has.
///
/// # Errors
/// The root that libraries are to come from is none.
#[cold]
pub fn lines(
    job: &Job,
    stack: &InitialStack,
    settings: &Settings<'_>,
    cpu: &CpuFeatures,
    values: &Values<'_>,
) -> Result<String> {
    let root = job.sysroot().or(settings.sysroot).map(sysroot::root).transpose()?;
    let mut live = Live::new(root.unwrap_or_default());
    let layout = installed::layout(job, stack, settings, cpu, &mut live);
    let list = layout.and_then(glibc::tunables::newest).unwrap_or(lists::V2_36_GMON);
    let hwcap2 = stack.aux(libc::AT_HWCAP2).unwrap_or_default();
    let cpu = layout.map_or(*cpu, |layout| {
        let told = glibc::cpu_tunables(values, layout.minor);
        cpu.as_of(Release::of(layout, hwcap2), &Native, &told)
    });

    let mut text = String::new();
    for (tunable, value) in values.iter(list) {
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
                    measured(tunable.name.as_bytes(), &cpu).unwrap_or((value, min, max));
                writeln!(text, "{name}: {value:#x} (min: {min:#x}, max: {max:#x})")
            }
            (_, Value::Text(Some(value))) => writeln!(text, "{name}: {}", Text(value)),
            _ => writeln!(text, "{name}:"),
        };
    }
    Ok(text)
}

/// What the processor makes of a tunable: its value and its bounds.
fn measured(tunable: &[u8], cpu: &CpuFeatures) -> Option<(u64, u64, u64)> {
    Some(match tunable {
        b"glibc.cpu.x86_data_cache_size" => (cpu.data_cache_size, 0, u64::MAX),
        b"glibc.cpu.x86_shared_cache_size" => (cpu.shared_cache_size, 0, u64::MAX),
        b"glibc.cpu.x86_non_temporal_threshold" => {
            (cpu.non_temporal_threshold, NON_TEMPORAL_MINIMUM, NON_TEMPORAL_MAXIMUM)
        }
        b"glibc.cpu.x86_memset_non_temporal_threshold" => {
            (cpu.memset_non_temporal_threshold, NON_TEMPORAL_MINIMUM, u64::MAX)
        }
        b"glibc.cpu.x86_rep_movsb_threshold" => {
            (cpu.rep_movsb_threshold, cpu.rep_movsb_minimum, u64::MAX)
        }
        b"glibc.cpu.x86_rep_stosb_threshold" => (cpu.rep_stosb_threshold, 1, u64::MAX),
        _ => return None,
    })
}
