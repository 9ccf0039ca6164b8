//! Runs a program under ptrace and makes one of its system calls fail.
//!
//! # Safety
//!
//! The unsafe code is PTRACE_SETREGS with a pointer to a live value of the right type, and a kill
//! of a child that has not been reaped.

use std::fmt;
use std::fs::File;
use std::io::{Error, Read, Result, Seek};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use crate::sys;

/// A run that has not ended after this many seconds hangs. It gets a SIGALRM then.
const PATIENCE: u32 = 20;
/// And a SIGKILL now: a loader may block signals while it is at work.
const LAST_PATIENCE: Duration = Duration::from_secs(PATIENCE as u64 + 2);
/// The mark's first argument; the second is 1 before the dlopen and 2 behind it.
const MARK: u64 = 77;

/// Which system call between the marks fails.
#[derive(Clone, Copy, Debug)]
pub struct Injection {
    /// Counted from 1.
    pub number: usize,
    /// Which of the errors that fit the call.
    pub choice: usize,
}

/// A system call that was made to fail.
pub struct Hit {
    call: i64,
    error: i32,
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.call {
            libc::SYS_openat => "openat",
            libc::SYS_read => "read",
            libc::SYS_pread64 => "pread64",
            libc::SYS_close => "close",
            libc::SYS_mmap => "mmap",
            libc::SYS_munmap => "munmap",
            libc::SYS_mprotect => "mprotect",
            libc::SYS_madvise => "madvise",
            libc::SYS_brk => "brk",
            libc::SYS_fstat | libc::SYS_newfstatat => "fstat",
            call => return write!(f, "system call {call} fails by errno {}", self.error),
        };
        write!(f, "{name} fails by errno {}", self.error)
    }
}

/// The errors with which a system call may fail, most likely first.
fn errors(call: i64) -> &'static [i32] {
    match call {
        libc::SYS_open | libc::SYS_openat => &[libc::EACCES, libc::EMFILE],
        libc::SYS_read | libc::SYS_pread64 => &[libc::EIO],
        libc::SYS_close => &[libc::EIO],
        _ => &[libc::ENOMEM],
    }
}

/// A run that has ended.
pub struct Traced {
    /// How it ended.
    pub status: ExitStatus,
    /// Whether that was between the marks.
    pub inside: bool,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
    /// The call that failed; `None`: there was none of that number, or no further error for it.
    pub hit: Option<Hit>,
}

impl Traced {
    /// Whether the dlopen failed.
    pub fn failed(&self) -> bool {
        self.stdout.contains("\nfailed: ")
    }

    /// Whether this line of the host says no more than what the injection itself did: a descriptor
    /// or a mapping that could not be given back is still there.
    pub fn excuses(&self, line: &str) -> bool {
        match self.hit.as_ref().map(|hit| hit.call) {
            Some(libc::SYS_close) => line.starts_with("fds: new "),
            Some(libc::SYS_munmap) => line.starts_with("maps: "),
            _ => false,
        }
    }

    /// Runs `host` with `argument` to its end.
    pub fn run(host: &Path, argument: &str, injection: Option<Injection>) -> Result<Self> {
        let (stdout, stderr) = (sys::memory_file()?, sys::memory_file()?);
        let mut command = Command::new(host);
        command.arg(argument).env_clear().env("LC_ALL", "C").current_dir("/");
        command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        sys::trace(&mut command, None, PATIENCE);
        let child = loop {
            match command.spawn() {
                // Another thread's new child still holds the file open that was just written.
                Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::yield_now();
                }
                child => break child?,
            }
        };
        let _watchdog = Watchdog::over(child.id() as i32);
        let mut tracer = Tracer { pid: child.id() as i32, alive: true, inside: false, hit: None };
        let status = sys::wait(tracer.pid)?;
        if !is_stopped_by(status, libc::SIGTRAP) {
            return Err(Error::other(format!("no stop at execve: {status}")));
        }
        sys::set_options(tracer.pid)?;
        let status = tracer.follow(injection)?;
        Ok(Self {
            status,
            inside: tracer.inside,
            stdout: text(stdout)?,
            stderr: text(stderr)?,
            hit: tracer.hit.take(),
        })
    }
}

/// Kills a process that is not at its end in time.
struct Watchdog {
    /// Hung up when this is dropped.
    _ended: Sender<()>,
}

impl Watchdog {
    fn over(pid: i32) -> Self {
        let (ended, watch) = mpsc::channel();
        std::thread::spawn(move || {
            if watch.recv_timeout(LAST_PATIENCE) == Err(RecvTimeoutError::Timeout) {
                // SAFETY: numbers; the watchdog is called off when the child is reaped.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        });
        Self { _ended: ended }
    }
}

fn is_stopped_by(status: ExitStatus, signal: i32) -> bool {
    status.stopped_signal() == Some(signal)
}

fn text(mut file: File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

struct Tracer {
    pid: i32,
    alive: bool,
    inside: bool,
    hit: Option<Hit>,
}

impl Drop for Tracer {
    fn drop(&mut self) {
        if self.alive {
            sys::kill(self.pid);
        }
    }
}

impl Tracer {
    /// Follows the process to its end; a signal that would end it does.
    fn follow(&mut self, injection: Option<Injection>) -> Result<ExitStatus> {
        let (mut signal, mut count, mut at_entry, mut done) = (0, 0, false, false);
        loop {
            if done {
                sys::resume(self.pid, signal)?;
            } else {
                sys::resume_to_syscall(self.pid, signal)?;
            }
            let status = sys::wait(self.pid)?;
            signal = match status.stopped_signal() {
                None => {
                    self.alive = false;
                    return Ok(status);
                }
                Some(signal) => signal,
            };
            if signal != libc::SIGTRAP | 0x80 {
                continue;
            }
            signal = 0;
            at_entry = !at_entry;
            if !at_entry {
                continue;
            }
            let registers = sys::registers(self.pid)?;
            if registers.orig_rax == libc::SYS_getpriority as u64 && registers.rdi == MARK {
                self.inside = registers.rsi == 1;
                done = !self.inside;
            } else if self.inside {
                count += 1;
                if let Some(wanted) = injection.filter(|wanted| wanted.number == count) {
                    at_entry = self.inject(registers, wanted.choice)?;
                }
            }
        }
    }

    /// Makes the call fail that the process is about to make. Whether the process still is at a
    /// call's entry.
    fn inject(&mut self, entry: sys::Registers, choice: usize) -> Result<bool> {
        let call = entry.orig_rax as i64;
        let Some(&error) = errors(call).get(choice) else {
            return Ok(true);
        };
        self.hit = Some(Hit { call, error });
        if call == libc::SYS_brk {
            // It has no errors: it leaves the break where it is and says where, as when asked for 0.
            self.set_registers(sys::Registers { rdi: 0, ..entry })?;
            return Ok(true);
        }
        // A number that no call has: nothing happens, and the result may be set.
        self.set_registers(sys::Registers { orig_rax: u64::MAX, ..entry })?;
        sys::resume_to_syscall(self.pid, 0)?;
        let status = sys::wait(self.pid)?;
        if !is_stopped_by(status, libc::SIGTRAP | 0x80) {
            return Err(Error::other(format!("no stop at a system call's exit: {status}")));
        }
        let exit = sys::registers(self.pid)?;
        self.set_registers(sys::Registers { rax: i64::from(-error) as u64, ..exit })?;
        Ok(false)
    }

    fn set_registers(&self, registers: sys::Registers) -> Result<()> {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: the kernel reads a user_regs_struct through the pointer, which is to one.
        let result =
            unsafe { libc::ptrace(libc::PTRACE_SETREGS, self.pid, none, &raw const registers) };
        if result == -1 { Err(Error::last_os_error()) } else { Ok(()) }
    }
}
