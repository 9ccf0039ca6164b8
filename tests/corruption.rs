//! Corrupt objects must not bring down the loader: 500 copies of libz with one or two bytes changed in
//! the ELF header, the program headers or the dynamic section, each preloaded into `/bin/true`.
//!
//! A death by signal is allowed only outside the loader's own code: a corrupt initialiser address, say,
//! is called as it stands. Each run is traced, so the place of a death is known.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use libtest_mimic::Completion;
use support::loader::{self, Way};
use support::run::Run;
use support::scratch::Scratch;
use support::{Verdict, run_all, trial};

const COPIES: u32 = 500;
/// Seconds after which a run counts as hung.
const LIMIT: libc::c_uint = 10;

fn main() {
    let nothing = Arc::new(());
    run_all(vec![trial("libz::direct".to_owned(), &nothing, |name, ()| corrupt_copies(name))])
}

/// How a traced run ended.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Ending {
    Exit(i32),
    /// A signal, and whether the instruction was the loader's.
    Death(i32, bool),
    /// No end in time, and whether the loader was at work.
    Hang(bool),
}

impl Ending {
    fn describe(self) -> String {
        let place = |loader| {
            if loader { "inside the loader" } else { "elsewhere" }
        };
        match self {
            Ending::Exit(status) => format!("exit status {status}"),
            Ending::Death(signal, loader) => format!("death by signal {signal} {}", place(loader)),
            Ending::Hang(loader) => format!("hung {}", place(loader)),
        }
    }

    fn is_the_loaders_fault(self) -> bool {
        matches!(self, Ending::Death(_, true) | Ending::Hang(true))
    }
}

fn corrupt_copies(name: &str) -> Verdict {
    if let Some(reason) = Way::Direct.obstacle() {
        return support::skipped(name, reason);
    }
    let original = fs::read(libz().ok_or("no libz.so.1 on this system")?)
        .map_err(|e| format!("libz.so.1: {e}"))?;
    let places = places(&original).ok_or("libz.so.1 has no dynamic section")?;
    let scratch = Scratch::new(name);
    let mut random = Random(0x5eed_0f1d_0000_0001);
    let mut counts = BTreeMap::new();
    let mut faults = String::new();
    for number in 0..COPIES {
        let mut copy = original.clone();
        let mut changes = Vec::new();
        for _ in 0..1 + random.below(2) {
            let at = places[random.below(places.len())];
            // Never the old value: the exclusive or is not zero.
            copy[at] ^= 1 + random.below(255) as u8;
            changes.push(format!("{at:#x}: {:02x} -> {:02x}", original[at], copy[at]));
        }
        let path = scratch.path().join(format!("libz-{number}.so"));
        fs::write(&path, copy).map_err(|e| format!("{}: {e}", path.display()))?;
        let ending = traced(&path, &scratch).map_err(|e| format!("copy {number}: {e}"))?;
        *counts.entry(ending).or_insert(0) += 1;
        if ending.is_the_loaders_fault() {
            let _ = writeln!(faults, "  {}: {} ({})", path.display(), ending.describe(), {
                changes.join(", ")
            });
        } else {
            let _ = fs::remove_file(path);
        }
    }
    let mut table = format!("of {COPIES} corrupt copies of libz.so.1:\n");
    for (ending, count) in &counts {
        let _ = writeln!(table, "  {count:4} {}", ending.describe());
    }
    eprint!("{table}");
    if !faults.is_empty() {
        let many = faults.lines().count();
        return Err(format!("{table}{many} faults of {}:\n{faults}", {
            loader::subject().display()
        })
        .into());
    }
    scratch.passed();
    Ok(Completion::Completed)
}

/// A real library that every distribution has.
fn libz() -> Option<PathBuf> {
    ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/usr/lib"]
        .iter()
        .map(|folder| Path::new(folder).join("libz.so.1"))
        .find(|path| path.exists())
}

/// The file offsets of all bytes of the ELF header, program headers and dynamic section.
fn places(file: &[u8]) -> Option<Vec<usize>> {
    let bytes = |at: usize, size: usize| file.get(at..at + size);
    let word = |at| Some(u64::from_le_bytes(bytes(at, 8)?.try_into().ok()?) as usize);
    let half = |at| Some(u16::from_le_bytes(bytes(at, 2)?.try_into().ok()?) as usize);
    let (headers, size, count) = (word(32)?, half(54)?, half(56)?);
    let is_dynamic = |at: &usize| bytes(*at, 4) == Some(&libc::PT_DYNAMIC.to_le_bytes());
    let dynamic = (0..count).map(|i| headers + i * size).find(is_dynamic)?;
    let (start, length) = (word(dynamic + 8)?, word(dynamic + 32)?);
    // The tail of the section is unused room for the linker: entries after DT_NULL.
    let used = (0..length / 16).find(|i| word(start + i * 16) == Some(0))? + 1;
    Some((0..64).chain(headers..headers + size * count).chain(start..start + used * 16).collect())
}

/// A small generator (xorshift64*, Vigna 2016), so that every run makes the same copies.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

/// Runs `/bin/true` with `library` preloaded and follows it to its end.
fn traced(library: &Path, scratch: &Scratch) -> io::Result<Ending> {
    let mut run = Run::new("/bin/true", scratch.path());
    run.direct = Some(loader::subject().to_owned());
    run.env.push(("LD_PRELOAD".into(), library.into()));
    let mut command = run.command()?;
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let prepare = || {
        // SAFETY: asks to be traced by the parent; no pointers. `alarm` has no preconditions.
        unsafe {
            if libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) != 0 {
                return Err(io::Error::last_os_error());
            }
            libc::alarm(LIMIT);
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls only and allocates nothing.
    unsafe { command.pre_exec(prepare) };
    let child = command.spawn()?;
    follow(child.id() as libc::pid_t)
}

/// Lets a traced child, stopped at its exec, run on until it ends or a signal would end it.
fn follow(child: libc::pid_t) -> io::Result<Ending> {
    loop {
        let mut status = 0;
        // SAFETY: `status` may be written; the child is ours.
        if unsafe { libc::waitpid(child, &mut status, 0) } != child {
            return Err(io::Error::last_os_error());
        }
        if libc::WIFEXITED(status) {
            return Ok(Ending::Exit(libc::WEXITSTATUS(status)));
        }
        if libc::WIFSIGNALED(status) {
            // Only SIGKILL comes without a stop, and this test sends none before the last.
            return Ok(Ending::Death(libc::WTERMSIG(status), false));
        }
        let signal = libc::WSTOPSIG(status);
        if signal == libc::SIGTRAP {
            // The stop at exec.
            // SAFETY: the child is stopped and traced by this thread.
            unsafe { libc::ptrace(libc::PTRACE_CONT, child, 0, 0) };
            continue;
        }
        let inside = is_in_loader(child)?;
        // SAFETY: the child is stopped, ours and not yet reaped.
        unsafe {
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, &mut status, 0);
        }
        return Ok(match signal {
            libc::SIGALRM => Ending::Hang(inside),
            _ => Ending::Death(signal, inside),
        });
    }
}

/// Whether the stopped child's next instruction is the loader's.
fn is_in_loader(child: libc::pid_t) -> io::Result<bool> {
    // SAFETY: all zeros is a valid value of this plain C structure.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    // SAFETY: the child is stopped and traced by this thread; `registers` may be written.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETREGS, child, 0, &mut registers) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let maps = fs::read_to_string(format!("/proc/{child}/maps"))?;
    let number = |text| u64::from_str_radix(text, 16).unwrap_or(0);
    Ok(maps.lines().any(|line| {
        let (from, to) = line.split(' ').next().and_then(|r| r.split_once('-')).unwrap_or_default();
        (number(from)..number(to)).contains(&registers.rip)
            && Path::new(line.splitn(6, ' ').nth(5).unwrap_or("").trim()) == loader::subject()
    }))
}
