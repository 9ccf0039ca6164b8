//! A program, started and stopped at its ELF entry point.
//!
//! At that moment the loader has done all of its work: everything is mapped and, with LD_BIND_NOW,
//! relocated, and the libraries' initialisers have run.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Result, Seek};
use std::marker::PhantomData;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use crate::elf::Elf;
use crate::maps;
use crate::support::suites::Suite;
use crate::sys;

/// A program that has not come to its entry point after this many seconds is given up.
const PATIENCE: u32 = 60;

/// The whole environment of a compared program.
const ENVIRONMENT: [(&str, &str); 4] =
    [("LD_BIND_NOW", "1"), ("PATH", "/usr/bin:/bin"), ("HOME", "/"), ("LANG", "C")];

const AT_PHDR: u64 = 3;
const AT_BASE: u64 = 7;
const AT_ENTRY: u64 = 9;

/// What to start.
#[derive(Debug, Clone)]
pub struct Start {
    /// The file given to execve.
    pub executable: PathBuf,
    /// argv.
    pub arguments: Vec<OsString>,
    /// The program whose entry point is awaited, when `executable` is the loader.
    pub program: PathBuf,
    /// The loader's file.
    pub loader: PathBuf,
    /// Mount namespace to start in.
    pub namespace: Option<RawFd>,
}

/// How a start ended.
pub enum Outcome {
    /// At the entry point.
    Stopped(Box<Stopped>),
    /// The process ended before it.
    Ended(Ended),
}

/// A process that did not come to its entry point.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// Exit status or signal.
    pub status: ExitStatus,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
}

impl Ended {
    /// The line that scripts match on.
    pub fn first_line(&self) -> &[u8] {
        self.stderr.split(|&byte| byte == b'\n').next().unwrap_or(&[])
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ended before the entry point ({})", self.status)?;
        if !self.stderr.is_empty() {
            write!(f, ", saying: {}", String::from_utf8_lossy(&self.stderr).trim_end())?;
        }
        Ok(())
    }
}

/// A process at its entry point. Dropping it kills the process.
pub struct Stopped {
    pid: i32,
    /// An address inside the loader.
    pub loader_at: u64,
    /// The address of the entry point.
    pub entry: u64,
    /// Registers at the entry point.
    pub registers: sys::Registers,
    /// What was started.
    pub start: Start,
    /// Only the thread that started a process may trace it.
    _tracer: PhantomData<*const ()>,
}

impl Stopped {
    /// Copies memory of the process.
    pub fn read(&self, address: u64, into: &mut [u8]) -> Result<()> {
        sys::read(self.pid, address, into)
    }

    /// One word of the process.
    pub fn word(&self, address: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Changes a word, read-only or not: to prove that the comparison sees it.
    pub fn poke(&self, address: u64, value: u64) -> Result<()> {
        sys::poke(self.pid, address, value)
    }

    /// All mappings, with the number of changed pages.
    pub fn mappings(&self) -> Result<Vec<maps::Mapping>> {
        Ok(maps::parse(&fs::read(format!("/proc/{}/smaps", self.pid))?))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        sys::kill(self.pid);
    }
}

/// A process on its way. Kills it unless it ended or was handed on.
struct Running {
    pid: i32,
    stderr: File,
    alive: bool,
    status: Option<ExitStatus>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.alive {
            sys::kill(self.pid);
        }
    }
}

impl Start {
    /// Makes the program the argument of a loader, with the libraries of a suite.
    pub fn give_to(&mut self, loader: PathBuf, suite: Option<&Suite>) {
        self.arguments = vec![(&loader).into()];
        if let Some(suite) = suite {
            self.arguments.extend(["--library-path".into(), suite.libraries().into()]);
        }
        self.arguments.push((&self.program).into());
        self.executable = loader.clone();
        self.loader = loader;
    }

    /// Starts the program and follows it to its entry point or its end.
    pub fn run(self) -> Result<Outcome> {
        let mut process = self.spawn()?;
        let auxv = fs::read(format!("/proc/{}/auxv", process.pid))?;
        let aux = |kind| aux_value(&auxv, kind).unwrap_or(0);
        let direct = self.executable == self.loader;
        // As an interpreter the loader lies at AT_BASE; as the program, where its headers are.
        let (loader_at, entry) = if direct {
            match process.entry_once_mapped(&self)? {
                Some(entry) => (aux(AT_PHDR), entry),
                None => return process.ended(),
            }
        } else {
            (aux(AT_BASE), aux(AT_ENTRY))
        };
        let Some(registers) = process.run_to(entry)? else {
            return process.ended();
        };
        process.alive = false;
        let (pid, start) = (process.pid, self);
        let _tracer = PhantomData;
        let process = Stopped { pid, loader_at, entry, registers, start, _tracer };
        Ok(Outcome::Stopped(Box::new(process)))
    }

    fn spawn(&self) -> Result<Running> {
        let stderr = sys::memory_file()?;
        let mut command = Command::new(&self.executable);
        if let Some((name, arguments)) = self.arguments.split_first() {
            command.arg0(name).args(arguments);
        }
        command.env_clear().envs(ENVIRONMENT).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr.try_clone()?);
        sys::trace(&mut command, self.namespace, PATIENCE);
        let child = loop {
            match command.spawn() {
                // A copy written a moment ago: another thread's new child still holds the file open.
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                    std::thread::yield_now();
                }
                Err(error) => {
                    let path = self.executable.display();
                    return Err(Error::new(error.kind(), format!("cannot start {path}: {error}")));
                }
                Ok(child) => break child,
            }
        };
        let process = Running { pid: child.id() as i32, stderr, alive: true, status: None };
        let status = sys::wait(process.pid)?;
        if status.stopped_signal() != Some(libc::SIGTRAP) {
            return Err(Error::other(format!("no stop at execve: {status}")));
        }
        sys::set_options(process.pid)?;
        Ok(process)
    }
}

impl Running {
    /// Registers at the entry point; `None` when the process ended before it.
    fn run_to(&mut self, entry: u64) -> Result<Option<sys::Registers>> {
        let trap = match sys::break_at(self.pid, entry) {
            Ok(()) => entry,
            // Without debug registers (some sandboxes): int3, which stops behind itself.
            Err(_) => {
                let mut word = [0; 8];
                sys::read(self.pid, entry, &mut word)?;
                word[0] = 0xcc;
                sys::poke(self.pid, entry, u64::from_le_bytes(word))?;
                entry + 1
            }
        };
        let mut signal = 0;
        loop {
            sys::resume(self.pid, signal)?;
            signal = match self.next_stop()? {
                Some(signal) => signal,
                None => return Ok(None),
            };
            if signal == libc::SIGTRAP {
                let registers = sys::registers(self.pid)?;
                if registers.rip == trap {
                    return Ok(Some(registers));
                }
            }
        }
    }

    /// Follows a loader that was given the program as an argument until the program's code is
    /// mapped; the address of its entry point, or `None` when the process ended before that.
    fn entry_once_mapped(&mut self, start: &Start) -> Result<Option<u64>> {
        let path = fs::canonicalize(&start.program)?;
        let elf = Elf::headers(&fs::read(&path)?).map_err(Error::other)?;
        let outside = || Error::other("the entry point is in no executable segment");
        let code = elf
            .loads
            .iter()
            .find(|load| load.executable && (load.start..load.file_end).contains(&elf.entry))
            .ok_or_else(outside)?;
        let file_offset = elf.entry - code.start + code.offset;
        let mut signal = 0;
        loop {
            sys::resume_to_syscall(self.pid, signal)?;
            signal = match self.next_stop()? {
                Some(signal) => signal,
                None => return Ok(None),
            };
            if signal != libc::SIGTRAP | 0x80 {
                continue;
            }
            signal = 0;
            let call = sys::registers(self.pid)?.orig_rax;
            if call != libc::SYS_mmap as u64 && call != libc::SYS_mprotect as u64 {
                continue;
            }
            let mappings = maps::parse(&fs::read(format!("/proc/{}/maps", self.pid))?);
            let found = mappings.iter().find(|mapping| {
                let size = mapping.end - mapping.start;
                mapping.path == path.as_os_str().as_bytes()
                    && mapping.is_executable()
                    && (mapping.offset..mapping.offset + size).contains(&file_offset)
            });
            if let Some(mapping) = found {
                return Ok(Some(mapping.start + (file_offset - mapping.offset)));
            }
        }
    }

    /// The signal of the next stop; `None` when the process ended.
    fn next_stop(&mut self) -> Result<Option<i32>> {
        let status = sys::wait(self.pid)?;
        match status.stopped_signal() {
            Some(libc::SIGALRM) => {
                Err(Error::other(format!("not at its entry point after {PATIENCE} seconds")))
            }
            Some(signal) => Ok(Some(signal)),
            None => {
                self.alive = false;
                self.status = Some(status);
                Ok(None)
            }
        }
    }

    fn ended(mut self) -> Result<Outcome> {
        let mut stderr = Vec::new();
        self.stderr.rewind()?;
        self.stderr.read_to_end(&mut stderr)?;
        let status = self.status.take().ok_or_else(|| Error::other("still running"))?;
        Ok(Outcome::Ended(Ended { status, stderr }))
    }
}

/// The value of one type in an auxiliary vector as `/proc/PID/auxv` shows it.
fn aux_value(auxv: &[u8], kind: u64) -> Option<u64> {
    let words =
        auxv.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or([0; 8])));
    let words: Vec<u64> = words.collect();
    words.chunks_exact(2).find(|pair| pair[0] == kind).map(|pair| pair[1])
}
