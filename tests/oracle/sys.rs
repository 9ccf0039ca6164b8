//! The kernel's side: tracing, reading a traced process, mount namespaces.
//!
//! # Safety
//!
//! Every function here is safe to call with any argument. The system calls that take pointers get
//! them from live Rust references, with the length that belongs to them; the others take numbers,
//! and a wrong number is an error from the kernel. What a traced process holds is only ever copied,
//! never used as an address in this process. The closure that runs between fork and exec makes
//! system calls and nothing else: it neither allocates nor takes a lock.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_long};
use std::fs::File;
use std::io::{Error, Result};
use std::mem::{MaybeUninit, offset_of};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

use libc::pid_t;

/// Registers of a stopped process.
pub type Registers = libc::user_regs_struct;

fn check(result: c_long) -> Result<c_long> {
    if result == -1 { Err(Error::last_os_error()) } else { Ok(result) }
}

fn ptrace(request: libc::c_uint, pid: pid_t, addr: usize, data: usize) -> Result<c_long> {
    // SAFETY: the requests used below take numbers; the one that stores through `data` is
    // `registers`, which passes a live out-parameter.
    check(unsafe { libc::ptrace(request, pid, addr, data) })
}

/// Makes `command` stop at its exec under the calling thread's control, optionally in another mount
/// namespace. The kernel sends SIGALRM after `seconds`: a traced program that hangs is stopped by it.
pub fn trace(command: &mut Command, namespace: Option<RawFd>, seconds: u32) {
    let before_exec = move || {
        // SAFETY: system calls with numbers and with a pointer to a local value.
        unsafe {
            if let Some(fd) = namespace {
                check(libc::setns(fd, libc::CLONE_NEWNS).into())?;
            }
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            check(libc::setrlimit(libc::RLIMIT_CORE, &none).into())?;
            libc::alarm(seconds);
            check(libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0))?;
        }
        Ok(())
    };
    // SAFETY: the closure is async-signal-safe, see the module's argument.
    unsafe { command.pre_exec(before_exec) };
}

/// Waits for the next stop or the end of `pid`, a child of the calling thread.
pub fn wait(pid: pid_t) -> Result<ExitStatus> {
    loop {
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        let result = unsafe { libc::waitpid(pid, &mut status, libc::__WALL) };
        match check(result.into()) {
            Ok(_) => return Ok(ExitStatus::from_raw(status)),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Ends `pid` when the tracer ends, and tells system call stops from signals.
pub fn set_options(pid: pid_t) -> Result<()> {
    let options = libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACESYSGOOD;
    ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options as usize).map(drop)
}

/// Lets a stopped process run on, delivering `signal` unless it is 0.
pub fn resume(pid: pid_t, signal: i32) -> Result<()> {
    ptrace(libc::PTRACE_CONT, pid, 0, signal as usize).map(drop)
}

/// Lets a stopped process run to its next system call's entry or exit.
pub fn resume_to_syscall(pid: pid_t, signal: i32) -> Result<()> {
    ptrace(libc::PTRACE_SYSCALL, pid, 0, signal as usize).map(drop)
}

/// Kills a process, whatever its state, and reaps it.
pub fn kill(pid: pid_t) {
    // SAFETY: a number; `pid` is a child that has not been reaped, so the number is not reused.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    while let Ok(status) = wait(pid) {
        if status.stopped_signal().is_none() {
            break;
        }
    }
}

/// The registers of a stopped process.
pub fn registers(pid: pid_t) -> Result<Registers> {
    let mut registers = MaybeUninit::<Registers>::zeroed();
    ptrace(libc::PTRACE_GETREGS, pid, 0, registers.as_mut_ptr() as usize)?;
    // SAFETY: plain integers, zeroed and then filled by the kernel.
    Ok(unsafe { registers.assume_init() })
}

/// Stops the process before it executes `address`, through debug register 0: no byte of the program
/// changes, and the address need not be mapped yet.
pub fn break_at(pid: pid_t, address: u64) -> Result<()> {
    let register = |n: usize| offset_of!(libc::user, u_debugreg) + n * size_of::<u64>();
    ptrace(libc::PTRACE_POKEUSER, pid, register(0), address as usize)?;
    // Local enable of register 0; its condition and length stay 0: execution.
    ptrace(libc::PTRACE_POKEUSER, pid, register(7), 1).map(drop)
}

/// Stores eight bytes in a stopped process, whatever the protection of the page.
pub fn poke(pid: pid_t, address: u64, value: u64) -> Result<()> {
    ptrace(libc::PTRACE_POKEDATA, pid, address as usize, value as usize).map(drop)
}

/// Copies memory of another process; an error unless all of it could be read.
pub fn read(pid: pid_t, address: u64, into: &mut [u8]) -> Result<()> {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: address as *mut _, iov_len: into.len() };
    // SAFETY: `local` describes `into`; `remote` is used by the kernel in the other process.
    let count = unsafe { libc::process_vm_readv(pid, &local, 1, &remote, 1, 0) };
    if check(count as c_long)? as usize != into.len() {
        return Err(Error::other(format!("memory at {address:#x} is not readable to its end")));
    }
    Ok(())
}

/// A file without a name, for what a process prints.
pub fn memory_file() -> Result<File> {
    // SAFETY: the name is a NUL-terminated literal.
    let fd = check(unsafe { libc::memfd_create(c"stderr".as_ptr(), libc::MFD_CLOEXEC) }.into())?;
    // SAFETY: a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }.into())
}

/// The effective user and group.
pub fn effective_ids() -> (u32, u32) {
    // SAFETY: these calls cannot fail and take nothing.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Puts the calling thread, which must be the only one, into a new user namespace.
pub fn unshare_user() -> Result<()> {
    // SAFETY: a number.
    check(unsafe { libc::unshare(libc::CLONE_NEWUSER) }.into()).map(drop)
}

/// Puts the calling thread into a copy of its mount namespace whose mounts do not spread.
pub fn unshare_mounts() -> Result<()> {
    // SAFETY: a number.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) }.into())?;
    mount(c"none", c"/", libc::MS_REC | libc::MS_PRIVATE)
}

/// Shows the file `over` as the file `source`.
pub fn bind(source: &CStr, over: &CStr) -> Result<()> {
    mount(source, over, libc::MS_BIND)
}

fn mount(source: &CStr, target: &CStr, flags: libc::c_ulong) -> Result<()> {
    let null = std::ptr::null();
    // SAFETY: NUL-terminated strings that outlive the call; no file system type and no data.
    let result = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), null, flags, null.cast()) };
    check(result.into()).map(drop)
}

/// Moves the calling thread into a mount namespace.
pub fn enter_mounts(namespace: &File) -> Result<()> {
    // SAFETY: numbers.
    let result = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNS) };
    check(result.into()).map(drop)
}
