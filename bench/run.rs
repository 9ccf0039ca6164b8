//! Starts a program and takes its CPU time from the kernel.
//!
//! # Safety
//!
//! The child shares this process's memory until it has called execve (CLONE_VM, CLONE_VFORK): it
//! runs on a stack of its own, calls nothing but execve and _exit, and everything it reads outlives
//! the call to clone, because the parent sleeps that long.

use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::workload::Binding;

/// What one start cost the child.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// User and system CPU time, in microseconds.
    pub cpu: f64,
    /// Page faults served without I/O.
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
        Ok(Self { path, argv, _environment: environment, envp, stack: vec![0; 4096] })
    }

    /// Starts the program and waits for its end, which must be `exit(0)`.
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
        let micros = |t: libc::timeval| t.tv_sec as f64 * 1e6 + t.tv_usec as f64;
        Ok(Sample {
            cpu: micros(usage.ru_utime) + micros(usage.ru_stime),
            faults: usage.ru_minflt as u64,
        })
    }
}

extern "C" fn exec(start: *mut c_void) -> c_int {
    // SAFETY: `run` passes a pointer to a `Start` that it keeps borrowed; argv and envp end with
    // null pointers, and what they point to is owned by that `Start`. _exit leaves the parent's
    // memory alone.
    unsafe {
        let start = &*start.cast::<Start>();
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

    #[test]
    fn takes_the_cost_of_a_start_that_ends_well() {
        let mut start = Start::new(Path::new("/bin/true"), Binding::Now).unwrap();
        let sample = start.run().unwrap();
        assert!(sample.cpu > 0.0 && sample.faults > 0, "{sample:?}");
    }

    #[test]
    fn any_other_end_is_an_error() {
        let run = |path| Start::new(Path::new(path), Binding::Now).unwrap().run();
        assert_eq!(run("/bin/false").unwrap_err().to_string(), "exit status: 1");
        assert_eq!(run("/no/such/program").unwrap_err().to_string(), "exit status: 127");
    }
}
