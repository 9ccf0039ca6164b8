//! What the program finds on its stack at the entry point (psABI, "Initial Stack and Register
//! State"), and the public list of loaded objects (`r_debug`).

use std::io::{Error, Result};

use crate::process::Stopped;
use crate::snapshot::{Name, Place, Snapshot};

const AT_PHDR: u64 = 3;
const AT_BASE: u64 = 7;
const AT_ENTRY: u64 = 9;
const AT_PLATFORM: u64 = 15;
const AT_BASE_PLATFORM: u64 = 24;
const AT_RANDOM: u64 = 25;
const AT_EXECFN: u64 = 31;
const AT_SYSINFO_EHDR: u64 = 33;

/// One auxiliary vector entry, in terms that do not depend on address randomisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aux {
    /// Its type.
    pub kind: u64,
    /// An address by what it points to, a string by its bytes, another value as it is.
    pub value: String,
}

/// The initial stack.
#[derive(Debug, PartialEq, Eq)]
pub struct InitialStack {
    /// argv.
    pub arguments: Vec<Vec<u8>>,
    /// envp.
    pub environment: Vec<Vec<u8>>,
    /// The auxiliary vector up to AT_NULL.
    pub auxv: Vec<Aux>,
}

/// Reads the stack of a process at its entry point.
pub fn read(process: &Stopped, snapshot: &Snapshot) -> std::result::Result<InitialStack, String> {
    Walk { process, next: process.registers.rsp }
        .stack(snapshot)
        .map_err(|error| format!("the initial stack: {error}"))
}

struct Walk<'a> {
    process: &'a Stopped,
    next: u64,
}

impl Walk<'_> {
    fn word(&mut self) -> Result<u64> {
        let word = self.process.word(self.next)?;
        self.next += 8;
        Ok(word)
    }

    /// A string, which need not lie on the stack: loaders replace GLIBC_TUNABLES by a copy.
    fn string(&self, address: u64) -> Result<Vec<u8>> {
        let mut string = Vec::new();
        loop {
            let from = address + string.len() as u64;
            let mut piece = vec![0; 64 - (from % 64) as usize];
            self.process.read(from, &mut piece)?;
            match piece.iter().position(|&byte| byte == 0) {
                Some(end) => {
                    string.extend(&piece[..end]);
                    return Ok(string);
                }
                None => string.append(&mut piece),
            }
        }
    }

    fn strings(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut strings = Vec::new();
        loop {
            match self.word()? {
                0 => return Ok(strings),
                address => strings.push(self.string(address)?),
            }
        }
    }

    fn stack(mut self, snapshot: &Snapshot) -> Result<InitialStack> {
        let count = self.word()?;
        let arguments = self.strings()?;
        if arguments.len() as u64 != count {
            return Err(Error::other("argc is not the length of argv"));
        }
        let environment = self.strings()?;
        let mut auxv = Vec::new();
        loop {
            let (kind, value) = (self.word()?, self.word()?);
            if kind == 0 {
                return Ok(InitialStack { arguments, environment, auxv });
            }
            let value = match kind {
                AT_PLATFORM | AT_BASE_PLATFORM | AT_EXECFN => {
                    String::from_utf8_lossy(&self.string(value)?).into_owned()
                }
                AT_PHDR | AT_BASE | AT_ENTRY | AT_RANDOM | AT_SYSINFO_EHDR => {
                    snapshot.show(snapshot.locate(value))
                }
                // Not located: by chance, AT_HWCAP may be an address of the heap.
                _ => format!("number {value:#x}"),
            };
            auxv.push(Aux { kind, value });
        }
    }
}

/// The names of the loaded objects in the order of `r_debug.r_map`, with the address that each is
/// said to be loaded at. `None` when the program has no DT_DEBUG.
pub fn link_map(
    process: &Stopped,
    snapshot: &Snapshot,
) -> std::result::Result<Option<Vec<String>>, String> {
    let program = snapshot.objects.iter().find(|object| object.name == Name::Program);
    let Some((program, slot)) = program.and_then(|p| Some((p, p.elf.debug_slot?))) else {
        return Ok(None);
    };
    let word = |address: u64| {
        process.word(address).map_err(|error| format!("r_debug or link map: {error}"))
    };
    let r_debug = word(program.bias.wrapping_add(slot))?;
    if r_debug == 0 {
        return Ok(None);
    }
    // struct r_debug: int r_version, then r_map; struct link_map: l_addr, l_name, l_ld, l_next.
    let mut entry = word(r_debug.wrapping_add(8))?;
    let mut list = Vec::new();
    while entry != 0 {
        if list.len() > snapshot.mappings.len() {
            return Err("the link map does not end".to_string());
        }
        let (bias, dynamic) = (word(entry)?, word(entry.wrapping_add(16))?);
        list.push(match snapshot.locate(dynamic) {
            Place::Object(index, offset) => {
                let object = &snapshot.objects[index];
                let base = bias.wrapping_sub(object.bias);
                match object.name {
                    Name::Loader => format!("<loader> at {base:#x}"),
                    _ => format!("{} at {base:#x}, dynamic section {offset:#x}", object.name),
                }
            }
            place => snapshot.show(place),
        });
        entry = word(entry.wrapping_add(24))?;
    }
    Ok(Some(list))
}
