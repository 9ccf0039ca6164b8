//! Counts user instructions, by the CPU's counters or by valgrind.
//!
//! # Safety
//!
//! The only unsafe code is the system call perf_event_open(2) and taking ownership of the
//! descriptor it returns.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::FromRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::run::Start;
use crate::workload::Binding;

/// A counter of the kernel's for what children do: the instructions that they execute in user mode.
pub struct Counter {
    kind: u64,
    config: u64,
}

impl Counter {
    /// Opens the counter; the error says why this machine has none.
    pub fn open() -> Result<Self, String> {
        const PERF_TYPE_HARDWARE: u64 = 0;
        const PERF_COUNT_HW_INSTRUCTIONS: u64 = 1;
        Self::of(PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS)
            .map_err(|e| format!("perf_event_open: {e}"))
    }

    fn of(kind: u64, config: u64) -> io::Result<Self> {
        let this = Self { kind, config };
        this.open_event().map(|_| this)
    }

    fn open_event(&self) -> io::Result<File> {
        const DISABLED: u64 = 1 << 0;
        const INHERIT: u64 = 1 << 1;
        const EXCLUDE_KERNEL: u64 = 1 << 5;
        const EXCLUDE_HV: u64 = 1 << 6;
        const ENABLE_ON_EXEC: u64 = 1 << 12;
        const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;
        // struct perf_event_attr as first published (PERF_ATTR_SIZE_VER0): type and size, config,
        // three words of sampling, the flags, two more words.
        let size = 64;
        // This process never calls execve, so the event counts in children only, from their execve
        // on; the kernel adds a child's count to this one before its parent can wait for it.
        let flags = DISABLED | INHERIT | EXCLUDE_KERNEL | EXCLUDE_HV | ENABLE_ON_EXEC;
        let attr = [self.kind | size << 32, self.config, 0, 0, 0, flags, 0, 0];
        let (this_process, any_cpu, no_group) = (0, -1, -1);
        // SAFETY: perf_event_open reads `size` bytes at the pointer, the size of `attr`.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                attr.as_ptr(),
                this_process,
                any_cpu,
                no_group,
                PERF_FLAG_FD_CLOEXEC,
            )
        };
        match i32::try_from(fd) {
            // SAFETY: the kernel has just returned this descriptor; nobody else knows it.
            Ok(fd) if fd >= 0 => Ok(unsafe { File::from_raw_fd(fd) }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The events of one start. The kernel may give a child its parent's counter in exchange for the child's, and then
    /// that counts no other child: each start has a new one.
    pub fn count(&self, start: &mut Start) -> io::Result<u64> {
        let mut event = self.open_event()?;
        start.run()?;
        let mut count = [0; 8];
        event.read_exact(&mut count)?;
        Ok(u64::from_ne_bytes(count))
    }
}

/// The instructions of one start as valgrind counts them; `None` if it is not installed or cannot
/// run the program.
pub fn callgrind(program: &Path, binding: Binding, work: &Path) -> Option<u64> {
    let out = work.join("callgrind.out");
    let status = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .env_clear()
        .envs(binding.environment().iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let text = fs::read_to_string(&out);
    _ = fs::remove_file(&out);
    if !status.is_ok_and(|s| s.success()) {
        return None;
    }
    text.ok()?.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

#[cfg(test)]
#[allow(unused)] // see unit.rs
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use crate::workload;

    /// A software event, which virtual machines have, too.
    #[test]
    fn counts_in_the_child_from_its_exec_to_its_end() {
        const PERF_TYPE_SOFTWARE: u64 = 1;
        const PERF_COUNT_SW_PAGE_FAULTS_MIN: u64 = 5;
        let counter = match Counter::of(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MIN) {
            Ok(counter) => counter,
            Err(e) => return println!("skipped: perf_event_open: {e}"),
        };
        let scratch = Scratch::new(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        let program = workload::floor(scratch.path()).unwrap();
        let mut start = Start::new(&program, Binding::Now).unwrap();
        let faults = start.run().unwrap().faults;
        let touched: Vec<u8> = vec![1; 1 << 20];
        let counted = counter.count(&mut start).unwrap();
        drop(touched);
        // Faults that the kernel takes during exec are not among the user's.
        assert!(counted > 0 && counted <= faults, "{counted} of {faults}");
    }
}
