//! Libraries with one thing wrong inside, and conditions under which a sound one cannot be loaded.

use std::fs;
use std::path::Path;

use super::support::Verdict;
use super::support::loader::Way;
use super::support::run::{Refused, Run};
use super::support::scratch::Scratch;
use super::{Agreement, Material, compare};

/// What differs from a start that succeeds.
pub struct Defect {
    pub name: &'static str,
    /// The library's sound edition.
    library: &'static str,
    change: Change,
    how: How,
    /// Whether ld.so says the same.
    agreement: Agreement,
}

/// What is wrong with the library.
enum Change {
    Nothing,
    /// So many bytes at an offset of the ELF header.
    Header(usize, &'static [u8]),
    /// Offset in the last program header of this type, and the new number.
    Segment(u32, usize, u64),
    /// The same in the first, which holds the headers if it is a PT_LOAD.
    First(u32, usize, u64),
    /// The type of all program headers of a type.
    Kind(u32, u32),
    /// The value of a dynamic entry.
    Entry(u64, u64),
    /// The tag and value of a dynamic entry.
    Tag(u64, u64, u64),
    /// Bytes where a dynamic entry points to, at an offset.
    Table(u64, usize, &'static [u8]),
    /// `r_offset` and `r_info` of the relocations of a type.
    Relocation(u64, Option<u64>, Option<u64>),
    /// `r_addend` of the first relocation of a type.
    Addend(u64, u64),
    /// What stands behind these bytes.
    Behind(&'static [u8], &'static [u8]),
    /// What stands in the place of these bytes.
    Instead(&'static [u8], &'static [u8]),
}

/// How the library is met.
enum How {
    Needed,
    Opened,
    /// Needed, by a process that may not make memory executable (PR_SET_MDWE).
    NothingExecutable,
    /// Needed, by a process that may have so many bytes of memory.
    Memory(u64),
    /// Needed, by a process for which a system call fails.
    Refuse(Refused),
    /// Needed, with others from this folder.
    Beside(&'static str),
    /// Needed by this program.
    By(&'static str),
    /// Opened beside `calls`, which then does what this names.
    Misused(&'static str),
    /// The same, by a process that may have so many bytes of memory.
    Starved(&'static str, u64),
    /// Opened, and then these.
    Then(&'static [&'static str]),
    /// Run as a program.
    Itself,
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_TLS: u32 = 7;
const PT_GNU_STACK: u32 = 0x6474_e551;
const PT_GNU_RELRO: u32 = 0x6474_e552;
// Offsets in Elf64_Phdr (gABI, "Program Header").
const P_TYPE: usize = 0;
const P_VADDR: usize = 16;
const P_FILESZ: usize = 32;
const P_MEMSZ: usize = 40;
/// So much memory that a place for it reaches to within 128 MiB of the end of the address space: the kernel maps
/// nothing but the stack so high, so that wherever chance puts the loader, it lies in the way.
const TAKEN: u64 = 0x7fff_f800_0000;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const DT_SYMENT: u64 = 11;
const DT_INIT: u64 = 12;
const DT_DEBUG: u64 = 21;
const DT_REL: u64 = 17;
const DT_INIT_ARRAY: u64 = 25;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const DT_RELACOUNT: u64 = 0x6fff_fff9;
const DT_VERDEF: u64 = 0x6fff_fffc;
const DT_VERNEED: u64 = 0x6fff_fffe;
const R_64: u64 = 1;
const R_GLOB_DAT: u64 = 6;
const R_RELATIVE: u64 = 8;
const R_32: u64 = 10;
const R_IRELATIVE: u64 = 37;
const DT_HASH: u64 = 4;
/// Beyond every file and every object here.
const FAR: u64 = 1 << 40;
/// pr_type and pr_datasz of GNU_PROPERTY_X86_ISA_1_NEEDED (x86-64 psABI, "Program Property").
const ISA_NEEDED: &[u8] = &[0x02, 0x80, 0, 0xc0, 4, 0, 0, 0];

use Agreement::{Own, Same};
use Change::{
    Addend, Behind, Entry, First, Header, Instead, Kind, Nothing, Relocation, Segment, Table, Tag,
};
use How::{
    Beside, By, Itself, Memory, Misused, Needed, NothingExecutable, Opened, Refuse, Starved, Then,
};

const fn refused(call: i64, argument: (usize, u32, u32), errno: i32) -> How {
    Refuse(Refused { call, argument, errno })
}

/// mprotect(2) that lets memory have no permissions but these.
const fn no_access(access: i32) -> How {
    refused(libc::SYS_mprotect, (2, !0, access.cast_unsigned()), libc::EACCES)
}

/// mmap(2) of zero pages at a given place.
const MAP_ZEROS: (usize, u32, u32) = {
    let flags = (libc::MAP_FIXED | libc::MAP_ANONYMOUS).cast_unsigned();
    (3, flags, flags)
};

const PART: &str = "new/libpart.so";
const USER: &str = "other/libuser.so";
const THREADS: &str = "threads/libpart.so";
const LEVEL: &str = "level/libpart.so";
/// A PLT's first slot: `push $0` and a jump; and a number that no slot has.
const PUSH_0: &[u8] = &[0x68, 0, 0, 0, 0, 0xe9];
const PUSH_77: &[u8] = &[0x68, 77, 0, 0, 0, 0xe9];

const fn defect(
    name: &'static str,
    library: &'static str,
    change: Change,
    how: How,
    agreement: Agreement,
) -> Defect {
    Defect { name, library, change, how, agreement }
}

pub const DEFECTS: &[Defect] = &[
    defect("abi-version", PART, Header(8, &[9]), Needed, Same),
    defect("padding", PART, Header(9, &[9]), Needed, Same),
    defect("file-version", PART, Header(20, &[9]), Needed, Same),
    defect("many-headers", PART, Header(56, &[255, 255]), Needed, Own),
    defect("no-segments", PART, Kind(PT_LOAD, 0), Needed, Same),
    defect("no-dynamic-section", PART, Kind(PT_DYNAMIC, 0), Needed, Same),
    defect("debug-file", PART, Segment(PT_DYNAMIC, P_FILESZ, 0), Needed, Same),
    defect("segment-not-aligned", PART, Segment(PT_LOAD, P_VADDR, 8), Needed, Same),
    defect("segment-too-long", PART, Segment(PT_LOAD, P_MEMSZ, 1), Needed, Own),
    defect("segment-outside", PART, Segment(PT_LOAD, P_MEMSZ, 1 << 48), Needed, Own),
    defect("segments-overlap", PART, First(PT_LOAD, P_MEMSZ, 1 << 20), Needed, Own),
    defect("relro-outside", PART, Segment(PT_GNU_RELRO, P_VADDR, FAR), Needed, Own),
    defect("tls-outside", THREADS, Segment(PT_TLS, P_VADDR, FAR), Needed, Own),
    defect("tls-alignment", THREADS, Segment(PT_TLS, 48, 3), Needed, Own),
    defect("tls-too-long", THREADS, Segment(PT_TLS, P_MEMSZ, 1 << 48), Needed, Own),
    defect("tls-beyond-layout", THREADS, Segment(PT_TLS, P_MEMSZ, 1 << 41), Needed, Same),
    defect("tls-beyond-memory", THREADS, Segment(PT_TLS, P_MEMSZ, 1 << 36), Memory(1 << 32), Same),
    defect("tls-beyond-surplus", THREADS, Nothing, Opened, Same),
    defect("tls-missing", THREADS, Kind(PT_TLS, 0), Needed, Own),
    defect("name-outside-strings", USER, Entry(DT_NEEDED, 1 << 20), Needed, Own),
    defect("string-offset", USER, Entry(DT_NEEDED, FAR), Needed, Own),
    defect("symbol-size", PART, Entry(DT_SYMENT, 16), Needed, Own),
    defect("strings-outside", PART, Entry(DT_STRTAB, FAR), Needed, Own),
    defect("symbols-outside", PART, Entry(DT_SYMTAB, FAR), Needed, Own),
    defect("initialiser-outside", PART, Entry(DT_INIT, FAR), Needed, Own),
    defect("initialisers-outside", PART, Entry(DT_INIT_ARRAY, FAR), Needed, Own),
    defect("without-addends", PART, Tag(DT_RELACOUNT, DT_REL, 8), Needed, Own),
    defect("hash-table", PART, Table(DT_GNU_HASH, 0, &[255; 16]), Needed, Own),
    defect("version-table", PART, Table(DT_VERDEF, 0, &[7]), Needed, Own),
    defect("relocation-unknown", PART, Relocation(R_GLOB_DAT, None, Some(200)), Needed, Same),
    defect(
        "relocation-names-no-symbol",
        PART,
        Relocation(R_GLOB_DAT, None, Some(0xffff << 32 | R_GLOB_DAT)),
        Needed,
        Own,
    ),
    defect(
        "relocation-overflow",
        "address/libpart.so",
        Relocation(R_64, None, Some(R_32)),
        Needed,
        Same,
    ),
    defect("addend-outside", PART, Addend(R_RELATIVE, FAR << 16), Needed, Own),
    defect("copy-from-outside", "far/libpart.so", Nothing, By("copies"), Own),
    defect("no-plt-slot", "astray/libpart.so", Instead(PUSH_0, PUSH_77), Needed, Own),
    defect("resolver-is-data-at-first-call", "resolver/libpart.so", Nothing, Needed, Own),
    defect("resolver-is-data-by-name", "resolver/libpart.so", Nothing, Misused("resolver"), Own),
    defect("resolver-opens", "opening/libpart.so", Nothing, Opened, Own),
    defect("variable-missing", "variable/libpart.so", Kind(PT_TLS, 0), Misused("variable"), Own),
    defect(
        "variable-borrowed",
        "variable/libpart.so",
        Nothing,
        Then(&["libtouch.so", "libuser.so"]),
        Same,
    ),
    defect("tls-of-thread", "huge/libpart.so", Nothing, Starved("first-use", 1 << 29), Same),
    defect("version-not-loaded", "astray/libpart.so", Tag(DT_NEEDED, DT_DEBUG, 0), Needed, Own),
    defect("weak-version", "astray/libpart.so", Table(DT_VERNEED, 20, &[2]), Beside("weak"), Same),
    defect("no-entry", "entry", Header(24, &[0; 8]), Itself, Own),
    defect("taken", "fixed", Segment(PT_LOAD, P_MEMSZ, TAKEN), Itself, Own),
    defect("program-opened", "fixed", Nothing, Opened, Same),
    defect("no-stack-header", PART, Kind(PT_GNU_STACK, 0), NothingExecutable, Same),
    defect("gap", "gap/libpart.so", Nothing, no_access(libc::PROT_NONE), Same),
    defect("relro", PART, Nothing, no_access(libc::PROT_READ), Same),
    defect(
        "text-not-closed",
        "text/libpart.so",
        Nothing,
        no_access(libc::PROT_READ | libc::PROT_EXEC),
        Same,
    ),
    defect(
        "zeros",
        "room/libpart.so",
        Nothing,
        refused(libc::SYS_mmap, MAP_ZEROS, libc::ENOMEM),
        Same,
    ),
    defect("status", PART, Nothing, refused(libc::SYS_newfstatat, (3, 0, 0), libc::EACCES), Own),
    defect("instruction-set-2", LEVEL, Behind(ISA_NEEDED, &[2]), Needed, Same),
    defect("instruction-set-3", LEVEL, Behind(ISA_NEEDED, &[4]), Needed, Same),
    defect("instruction-set-4", LEVEL, Behind(ISA_NEEDED, &[8]), Needed, Same),
    defect("resolver-is-data", PART, Relocation(R_GLOB_DAT, None, Some(R_IRELATIVE)), Needed, Own),
    defect("old-hash-table", "sysv/libpart.so", Table(DT_HASH, 0, &[255; 8]), Needed, Own),
    defect("relocation-of-text", PART, Relocation(R_RELATIVE, Some(0), None), Needed, Own),
    defect("instruction-set", LEVEL, Behind(ISA_NEEDED, &[0, 0, 0, 128]), Needed, Same),
    defect("text-not-writable", "text/libpart.so", Nothing, NothingExecutable, Same),
    defect("stack-not-executable", "stack/libpart.so", Nothing, NothingExecutable, Same),
    defect("memory", "room/libpart.so", Nothing, Memory(1 << 29), Same),
    defect("not-to-be-opened", "closed/libpart.so", Nothing, Opened, Same),
    defect("call/no-mode", PART, Nothing, Misused("no-mode"), Same),
    defect("call/strange-mode", PART, Nothing, Misused("strange-mode"), Same),
    defect("call/global-elsewhere", PART, Nothing, Misused("global-elsewhere"), Same),
    defect("call/no-namespace", PART, Nothing, Misused("no-namespace"), Same),
    defect("call/no-symbol", PART, Nothing, Misused("no-symbol"), Same),
    defect("call/no-version", PART, Nothing, Misused("no-version"), Same),
    defect("call/no-handle", PART, Nothing, Misused("no-handle"), Own),
    defect("call/no-request", PART, Nothing, Misused("no-request"), Same),
    defect("call/closed-twice", PART, Nothing, Misused("closed-twice"), Own),
    defect("call/closed-too-often", PART, Nothing, Misused("closed-too-often"), Same),
    defect("call/no-handle-for-version", PART, Nothing, Misused("no-handle-for-version"), Own),
    defect("call/no-handle-for-facts", PART, Nothing, Misused("no-handle-for-facts"), Own),
    defect("call/no-handle-to-close", PART, Nothing, Misused("no-handle-to-close"), Own),
    defect("call/global-in-another", PART, Nothing, Misused("global-in-another"), Same),
    defect("call/next-of-nobody", PART, Nothing, Misused("next-of-nobody"), Same),
];

/// One defect under both loaders.
pub fn shown(name: &str, material: &Material, defect: &'static Defect) -> Verdict {
    let scratch = Scratch::new(name);
    compare(name, scratch, material, Way::Direct, defect.agreement, |tree| {
        let text = |e: std::io::Error| format!("{}: {e}", defect.library);
        let mut file = File(fs::read(tree.join(defect.library)).map_err(text)?);
        file.apply(&defect.change).ok_or("the file has no such place")?;
        fs::create_dir_all(tree.join("path")).map_err(text)?;
        fs::write(tree.join("path/libpart.so"), file.0).map_err(text)?;
        Ok(defect.run(tree))
    })
}

impl Defect {
    fn run(&self, tree: &Path) -> Run {
        let (program, arguments) = match self.how {
            Opened => ("opens", vec!["libpart.so"]),
            Then(others) => ("opens", [&["libpart.so"], others].concat()),
            Misused(what) | Starved(what, _) => ("calls", vec![what]),
            By(program) => (program, Vec::new()),
            Itself => ("path/libpart.so", Vec::new()),
            _ => ("simple", Vec::new()),
        };
        let mut run = Run::new(tree.join(program), tree);
        run.args.extend(arguments.iter().map(Into::into));
        let others = if let Beside(folder) = self.how { folder } else { "borrows" };
        let path = ["path", others, ""].map(|folder| tree.join(folder));
        let path = std::env::join_paths(path).expect("paths hold no colon");
        run.env.push(("LD_LIBRARY_PATH".into(), path));
        run.nothing_executable = matches!(self.how, NothingExecutable);
        match self.how {
            Memory(bytes) | Starved(_, bytes) => run.memory = Some(bytes),
            Refuse(refused) => run.refused = Some(refused),
            _ => {}
        }
        run
    }
}

/// The bytes of an ELF file.
struct File(Vec<u8>);

impl File {
    fn number<const N: usize>(&self, at: usize) -> Option<usize> {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(self.0.get(at..at + N)?);
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    }

    fn set(&mut self, at: usize, bytes: &[u8]) -> Option<()> {
        self.0.get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
        Some(())
    }

    /// Where the program headers of a type are.
    fn headers(&self, kind: u32) -> Option<Vec<usize>> {
        let (start, count) = (self.number::<8>(32)?, self.number::<2>(56)?);
        let headers = (0..count).map(|index| start + index * 56);
        Some(headers.filter(|&at| self.number::<4>(at) == Some(kind as usize)).collect())
    }

    /// Where the first dynamic entry with a tag is.
    fn entry(&self, tag: u64) -> Option<usize> {
        let dynamic = *self.headers(PT_DYNAMIC)?.first()?;
        let (start, size) = (self.number::<8>(dynamic + 8)?, self.number::<8>(dynamic + P_FILESZ)?);
        (start..start + size).step_by(16).find(|&at| self.number::<8>(at) == Some(tag as usize))
    }

    /// Where in the file the table is that a dynamic entry points to.
    fn table(&self, tag: u64) -> Option<usize> {
        let vaddr = self.number::<8>(self.entry(tag)? + 8)?;
        self.headers(PT_LOAD)?.into_iter().find_map(|load| {
            let start = self.number::<8>(load + P_VADDR)?;
            let size = self.number::<8>(load + P_FILESZ)?;
            let inside = (start..start + size).contains(&vaddr);
            inside.then_some(self.number::<8>(load + 8)? + vaddr - start)
        })
    }

    /// Where the first relocation of a type is.
    fn relocation(&self, kind: u64) -> Option<usize> {
        let (start, size) = (self.table(DT_RELA)?, self.number::<8>(self.entry(DT_RELASZ)? + 8)?);
        let mut entries = (start..start + size).step_by(24);
        entries.find(|at| self.number::<4>(at + 8) == Some(kind as usize))
    }

    /// Where some bytes are first.
    fn position(&self, bytes: &[u8]) -> Option<usize> {
        self.0.windows(bytes.len()).position(|window| window == bytes)
    }

    fn apply(&mut self, change: &Change) -> Option<()> {
        match *change {
            Nothing => Some(()),
            Header(at, bytes) => self.set(at, bytes),
            Segment(kind, at, value) => {
                let header = *self.headers(kind)?.last()?;
                self.set(header + at, &value.to_le_bytes())
            }
            First(kind, at, value) => {
                let header = *self.headers(kind)?.first()?;
                self.set(header + at, &value.to_le_bytes())
            }
            Kind(old, new) => {
                let headers = self.headers(old)?;
                headers.iter().try_for_each(|at| self.set(at + P_TYPE, &new.to_le_bytes()))
            }
            Entry(tag, value) => self.set(self.entry(tag)? + 8, &value.to_le_bytes()),
            Tag(tag, new, value) => {
                let at = self.entry(tag)?;
                self.set(at, &new.to_le_bytes())?;
                self.set(at + 8, &value.to_le_bytes())
            }
            Table(tag, at, bytes) => self.set(self.table(tag)? + at, bytes),
            Relocation(kind, offset, info) => {
                let at = self.relocation(kind)?;
                if let Some(offset) = offset {
                    self.set(at, &offset.to_le_bytes())?;
                }
                // A type alone keeps the symbol.
                let bytes = info.map(u64::to_le_bytes).unwrap_or_default();
                let length = if info.is_some_and(|info| info >> 32 == 0) { 4 } else { 8 };
                info.map_or(Some(()), |_| self.set(at + 8, &bytes[..length]))
            }
            Addend(kind, addend) => {
                let at = self.relocation(kind)?;
                self.set(at + 16, &addend.to_le_bytes())
            }
            Behind(mark, bytes) => self.set(self.position(mark)? + mark.len(), bytes),
            Instead(mark, bytes) => self.set(self.position(mark)?, bytes),
        }
    }
}
