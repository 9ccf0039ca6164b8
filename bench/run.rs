//! Starts a program that reports its CPU time at its entry point.
//!
//! # Safety
//!
//! The child shares this process's memory until it has called execve (CLONE_VM, CLONE_VFORK): it
//! runs on a stack of its own, calls nothing but dup2, execve and _exit, and everything it reads
//! outlives the call to clone, because the parent sleeps that long.

use std::ffi::{CString, c_char, c_int, c_void};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::workload::Binding;

/// What one start cost the child.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// User and system CPU time up to the entry point, in microseconds.
    pub cpu: f64,
    /// Page faults served without I/O, to the end.
    pub faults: u64,
}

/// A program to start over and over: all allocation is done beforehand.
pub struct Start {
    path: CString,
    argv: [*const c_char; 2],
    /// Owns what `envp` points to.
    _environment: Vec<CString>,
    envp: Vec<*const c_char>,
    stack: Vec<u128>,
    /// What the program writes its time to, and where that comes out.
    reports: (PipeReader, PipeWriter),
}

impl Start {
    /// `path` without arguments, in the environment of `binding`.
    pub fn new(path: &Path, binding: Binding) -> io::Result<Self> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let environment = binding
            .environment()
            .iter()
            .map(|(name, value)| CString::new(format!("{name}={value}")))
            .collect::<Result<Vec<_>, _>>()?;
        let mut envp: Vec<_> = environment.iter().map(|e| e.as_ptr()).collect();
        envp.push(std::ptr::null());
        // A CString's bytes stay where they are when the CString moves.
        let argv = [path.as_ptr(), std::ptr::null()];
        let (stack, reports) = (vec![0; 4096], io::pipe()?);
        Ok(Self { path, argv, _environment: environment, envp, stack, reports })
    }

    /// Starts the program and waits for its end, which must be `exit(0)` with a report
    /// ([`REPORT`](crate::elf::REPORT)).
    ///
    /// As with vfork, no page table is copied, so the size of this process is no part of the
    /// child's time; unlike posix_spawn, no signal is touched.
    pub fn run(&mut self) -> io::Result<Sample> {
        let top = self.stack.as_mut_ptr_range().end;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let this: *const Self = self;
        // SAFETY: the stack grows down from `top`, 16-byte aligned and unused by anybody else;
        // `exec` gets the pointer to `self` that it expects, valid until clone returns. See the
        // module's head.
        let pid = unsafe { libc::clone(exec, top.cast(), flags, this.cast_mut().cast()) };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut status = 0;
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        loop {
            // SAFETY: both pointers are to live, writable values of the right type.
            let found = unsafe { libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()) };
            if found == pid {
                break;
            }
            let e = io::Error::last_os_error();
            if e.kind() != io::ErrorKind::Interrupted {
                return Err(e);
            }
        }
        // SAFETY: an rusage is plain numbers: zeroes are valid, and wait4 has filled it.
        let usage = unsafe { usage.assume_init() };
        if status != 0 {
            use std::os::unix::process::ExitStatusExt;
            return Err(io::Error::other(std::process::ExitStatus::from_raw(status).to_string()));
        }
        Ok(Sample { cpu: self.report()?, faults: usage.ru_minflt as u64 })
    }
}

impl Start {
    /// The microseconds that a program which has ended has reported.
    fn report(&mut self) -> io::Result<f64> {
        // This process writes as well, behind the report: where there is none, reading does not wait.
        const NO_REPORT: [u8; 16] = [0; 16];
        let mut words = [0; 16];
        self.reports.1.write_all(&NO_REPORT)?;
        self.reports.0.read_exact(&mut words)?;
        if words == NO_REPORT {
            return Err(io::Error::other("no report of its CPU time"));
        }
        self.reports.0.read_exact(&mut [0; 16])?;
        let number = |at: usize| words[at..].first_chunk().map_or(0, |it| i64::from_le_bytes(*it));
        Ok(number(0) as f64 * 1e6 + number(8) as f64 / 1e3)
    }
}

extern "C" fn exec(start: *mut c_void) -> c_int {
    // SAFETY: `run` passes a pointer to a `Start` that it keeps borrowed; argv and envp end with
    // null pointers, and what they point to is owned by that `Start`. _exit leaves the parent's
    // memory alone.
    unsafe {
        let start = &*start.cast::<Start>();
        libc::dup2(start.reports.1.as_raw_fd(), libc::STDOUT_FILENO);
        libc::execve(start.path.as_ptr(), start.argv.as_ptr(), start.envp.as_ptr());
        libc::_exit(127)
    }
}

/// Pins this process and its children to the CPU it runs on. `None` if that is not allowed.
pub fn pin_to_one_cpu() -> Option<usize> {
    // SAFETY: sched_getcpu takes nothing. A cpu_set_t is an array of words, for which zeroes are
    // valid; CPU_SET checks the index; sched_setaffinity reads the set of the size given.
    unsafe {
        let cpu = usize::try_from(libc::sched_getcpu()).ok()?;
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        (libc::sched_setaffinity(0, size_of_val(&set), &set) == 0).then_some(cpu)
    }
}

#[cfg(test)]
#[allow(unused)] // see unit.rs
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use crate::workload;

    #[test]
    fn takes_the_cost_of_a_start_that_ends_well() {
        let scratch = Scratch::new(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        let program = workload::floor(scratch.path()).unwrap();
        let mut start = Start::new(&program, Binding::Now).unwrap();
        for _ in 0..3 {
            let sample = start.run().unwrap();
            assert!(sample.cpu > 0.0 && sample.cpu < 1e6 && sample.faults > 0, "{sample:?}");
        }
    }

    #[test]
    fn any_other_end_is_an_error() {
        let run = |path| Start::new(Path::new(path), Binding::Now).unwrap().run();
        assert_eq!(run("/bin/false").unwrap_err().to_string(), "exit status: 1");
        assert_eq!(run("/no/such/program").unwrap_err().to_string(), "exit status: 127");
        assert_eq!(run("/bin/true").unwrap_err().to_string(), "no report of its CPU time");
    }
}
