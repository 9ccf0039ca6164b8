//! Two edits of an ELF program, both in place: another interpreter, and code at the entry point
//! that says how much CPU time has passed and ends.

use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What stands at the entry point: writes the process's CPU time, a struct timespec, to stdout.
pub const REPORT: [u8; 43] = [
    0xb8, 228, 0, 0, 0, // mov $SYS_clock_gettime,%eax
    0xbf, 2, 0, 0, 0, // mov $CLOCK_PROCESS_CPUTIME_ID,%edi
    0x48, 0x8d, 0x74, 0x24, 0xf0, // lea -16(%rsp),%rsi
    0x0f, 0x05, // syscall
    0xb8, 1, 0, 0, 0, // mov $SYS_write,%eax
    0xbf, 1, 0, 0, 0, // mov $STDOUT_FILENO,%edi
    0xba, 16, 0, 0, 0, // mov $16,%edx
    0x0f, 0x05, // syscall
    0xb8, 231, 0, 0, 0, // mov $SYS_exit_group,%eax
    0x31, 0xff, // xor %edi,%edi
    0x0f, 0x05, // syscall
];
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;

/// The bytes of a dynamically linked x86-64 program.
#[derive(Clone)]
pub struct Program {
    bytes: Vec<u8>,
    interpreter: Range<usize>,
    entry: Range<usize>,
}

impl Program {
    /// Reads the headers. The error says what the file is not.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, &'static str> {
        const TRUNCATED: &str = "truncated ELF headers";
        let word = |at: usize| at.checked_add(8).and_then(|end| bytes.get(at..end)).map(le);
        let half = |at: usize| at.checked_add(2).and_then(|end| bytes.get(at..end)).map(le);
        // EI_MAG, EI_CLASS = ELFCLASS64, EI_DATA = ELFDATA2LSB; e_machine = EM_X86_64.
        if !bytes.starts_with(b"\x7fELF\x02\x01") || half(18) != Some(62) {
            return Err("not an ELF program for x86-64");
        }
        let entry = word(24).ok_or(TRUNCATED)?;
        let table = word(32).ok_or(TRUNCATED)?;
        let (size, count) = (half(54).ok_or(TRUNCATED)?, half(56).ok_or(TRUNCATED)?);
        let mut interpreter = None;
        let mut code = None;
        for i in 0..count {
            let at = table.checked_add(i * size).ok_or(TRUNCATED)? as usize;
            let field = |offset: usize| at.checked_add(offset).and_then(word).ok_or(TRUNCATED);
            let (offset, vaddr, filesz) = (field(8)?, field(16)?, field(32)?);
            let end = offset.checked_add(filesz).ok_or(TRUNCATED)?;
            if end > bytes.len() as u64 {
                return Err("a segment beyond the end of the file");
            }
            match field(0)? as u32 {
                PT_INTERP => interpreter = Some(offset as usize..end as usize),
                PT_LOAD if entry >= vaddr && entry - vaddr < filesz => {
                    code = Some((offset + (entry - vaddr)) as usize..end as usize);
                }
                _ => {}
            }
        }
        let interpreter = interpreter.filter(|i| !i.is_empty()).ok_or("without an interpreter")?;
        let code = code.filter(|c| c.len() >= REPORT.len()).ok_or("without code at its entry")?;
        let entry = code.start..code.start + REPORT.len();
        Ok(Self { bytes, interpreter, entry })
    }

    /// The path in PT_INTERP.
    pub fn interpreter(&self) -> &Path {
        let text = self.bytes[self.interpreter.clone()].split(|&b| b == 0).next();
        Path::new(OsStr::from_bytes(text.unwrap_or_default()))
    }

    /// Puts another path into PT_INTERP.
    pub fn set_interpreter(&mut self, path: &Path) -> Result<(), String> {
        let new = path.as_os_str().as_bytes();
        let slot = &mut self.bytes[self.interpreter.clone()];
        if new.len() >= slot.len() {
            let room = slot.len() - 1;
            return Err(format!("{}: longer than the {room} bytes of PT_INTERP", path.display()));
        }
        slot.fill(0);
        slot[..new.len()].copy_from_slice(new);
        Ok(())
    }

    /// Ends the program where it would begin, with a report of its CPU time: what that holds is exec,
    /// the loader and library initialisers.
    pub fn report_at_entry(&mut self) {
        self.bytes[self.entry.clone()].copy_from_slice(&REPORT);
    }

    /// Whether its libraries may be found relative to its own place.
    pub fn names_origin(&self) -> bool {
        [b"$ORIGIN".as_slice(), b"${ORIGIN}"]
            .iter()
            .any(|text| self.bytes.windows(text.len()).any(|w| w == *text))
    }

    /// The file as edited.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Little-endian bytes (at most eight) as a number.
fn le(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

#[cfg(test)]
#[allow(unused)] // see unit.rs
mod tests {
    use super::*;

    fn this_program() -> Program {
        let file = std::env::current_exe().unwrap();
        Program::parse(std::fs::read(file).unwrap()).unwrap()
    }

    #[test]
    fn edits_only_what_it_should() {
        let mut p = this_program();
        let before = p.clone();
        p.set_interpreter(Path::new("/tmp/ld")).unwrap();
        p.report_at_entry();
        assert_eq!(p.interpreter(), Path::new("/tmp/ld"));
        assert_eq!(p.bytes()[p.entry.clone()], REPORT);
        let differ = |i: &usize| p.bytes()[*i] != before.bytes()[*i];
        let outside = |i: &usize| !p.interpreter.contains(i) && !p.entry.contains(i);
        assert_eq!(p.bytes().len(), before.bytes().len());
        assert_eq!((0..p.bytes().len()).filter(differ).filter(outside).count(), 0);
    }

    #[test]
    fn refuses_a_path_without_room() {
        let mut p = this_program();
        let room = p.interpreter.len() - 1;
        assert!(p.set_interpreter(Path::new(&"x".repeat(room))).is_ok());
        assert!(p.set_interpreter(Path::new(&"x".repeat(room + 1))).is_err());
    }

    #[test]
    fn survives_any_truncation() {
        assert!(Program::parse(b"#!/bin/sh\n".to_vec()).is_err());
        let whole = this_program();
        for length in 0..2000 {
            let _ = Program::parse(whole.bytes()[..length].to_vec());
        }
    }
}
