//! What the oracle needs from an ELF file on disk: segments, relocation targets and dynamic symbols.
//!
//! Written apart from the loader's own parser, so that a mistake there is not repeated here. Every
//! offset and count is checked against the file; a structure that does not fit is [`Malformed`].

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;

const DT_PLTRELSZ: u64 = 2;
const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const DT_STRSZ: u64 = 10;
const DT_DEBUG: u64 = 21;
const DT_JMPREL: u64 = 23;
const DT_RELRSZ: u64 = 35;
const DT_RELR: u64 = 36;
const DT_GNU_HASH: u64 = 0x6fff_fef5;

const EHDR: usize = 64;
const PHDR: usize = 56;
const DYN: usize = 16;
const RELA: usize = 24;
const SYM: usize = 24;

const STT_GNU_IFUNC: u8 = 10;
const SHN_UNDEF: u16 = 0;

/// Why a file could not be read as ELF: the structure that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an ELF file for x86-64, or damaged: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// One PT_LOAD segment; addresses before the load bias.
#[derive(Debug, Clone)]
pub struct Load {
    /// Offset in the file.
    pub offset: u64,
    /// First address.
    pub start: u64,
    /// End of the bytes that come from the file.
    pub file_end: u64,
    /// End in memory.
    pub end: u64,
    /// PF_X is set.
    pub executable: bool,
}

/// What a relocation stores, as far as comparing it needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RELATIVE and RELR: the load bias plus a link-time constant.
    Relative,
    /// 64, GLOB_DAT, JUMP_SLOT: the address of a symbol, or of what its IFUNC resolver chose.
    Symbol,
    /// IRELATIVE: what a resolver chose.
    Irelative,
    /// DTPMOD64, DTPOFF64, TPOFF64, SIZE64: a number, never an address.
    Number64,
    /// DTPOFF32, TPOFF32, SIZE32: likewise.
    Number32,
    /// 32, 32S: an address in the low 2 GiB.
    Address32,
    /// PC32, PLT32: the distance from the place to an address.
    Distance32,
    /// PC64: likewise.
    Distance64,
    /// TLSDESC: an entry point in the loader and its argument.
    TlsDescriptor,
    /// COPY: this many bytes of a library's variable.
    Copy(u64),
    /// A type that no x86-64 dynamic linker applies.
    Unknown,
}

impl Kind {
    /// How many bytes at the target are compared.
    pub fn size(self) -> u64 {
        match self {
            Kind::Number32 | Kind::Address32 | Kind::Distance32 => 4,
            Kind::TlsDescriptor => 16,
            Kind::Copy(size) => size,
            Kind::Unknown => 0,
            _ => 8,
        }
    }
}

/// One relocated place.
#[derive(Debug, Clone, Copy)]
pub struct Relocation {
    /// Address of the place, before the load bias.
    pub target: u64,
    /// The type's number in the psABI; RELR counts as RELATIVE.
    pub number: u32,
    /// The type, reduced to what comparing needs.
    pub kind: Kind,
    /// Index of the symbol; 0 means none.
    pub symbol: u32,
    /// What is added to the symbol.
    pub addend: i64,
}

/// One entry of the dynamic symbol table.
#[derive(Debug, Clone, Copy)]
pub struct Symbol {
    name: u32,
    /// Address before the load bias.
    pub value: u64,
    size: u64,
    info: u8,
    section: u16,
}

/// One ELF file.
#[derive(Debug, Default)]
pub struct Elf {
    /// e_entry.
    pub entry: u64,
    /// PT_INTERP without its final NUL.
    pub interpreter: Option<Vec<u8>>,
    /// Where in the file PT_INTERP's string lies.
    pub interpreter_at: Option<Range<usize>>,
    /// PT_LOAD segments as the program headers list them.
    pub loads: Vec<Load>,
    /// Relocated places, ascending, each once (the last relocation of a place wins).
    pub relocations: Vec<Relocation>,
    /// Address of DT_DEBUG's value, before the load bias.
    pub debug_slot: Option<u64>,
    symbols: Vec<Symbol>,
    strings: Vec<u8>,
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at.checked_add(N)?)?.try_into().ok()
    }
    fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }
    fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }
    fn u64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }
    fn range(&self, offset: u64, size: u64) -> Option<Range<usize>> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(size).ok()?)?;
        (end <= self.0.len()).then_some(start..end)
    }
}

impl Elf {
    /// Only the entry point, the segments and the interpreter: what choosing a program needs.
    /// `bytes` may be the beginning of a file.
    pub fn headers(bytes: &[u8]) -> Result<Elf, Malformed> {
        Ok(parse_headers(bytes)?.0)
    }

    /// All of a file.
    pub fn parse(bytes: &[u8]) -> Result<Elf, Malformed> {
        let (mut elf, dynamic) = parse_headers(bytes)?;
        if let Some(dynamic) = dynamic {
            Reader { bytes: Bytes(bytes), elf: &mut elf }.dynamic(dynamic)?;
        }
        Ok(elf)
    }

    /// Lowest PT_LOAD: the one whose mapping tells the load bias.
    pub fn first_load(&self) -> Option<&Load> {
        self.loads.iter().min_by_key(|load| load.start)
    }

    /// End of the highest segment, before the load bias.
    pub fn end(&self) -> u64 {
        self.loads.iter().map(|load| load.end).max().unwrap_or(0)
    }

    /// Name of the symbol with this index; `None` for index 0 and for what lies outside the tables.
    pub fn symbol_name(&self, index: u32) -> Option<&[u8]> {
        if index == 0 {
            return None;
        }
        self.name(self.symbols.get(index as usize)?)
    }

    /// Number of dynamic symbols that are known, the null symbol included.
    pub fn symbol_count(&self) -> usize {
        self.symbols.len()
    }

    /// Values of all definitions of `name`, whatever their version.
    pub fn definitions<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = u64> + 'a {
        self.symbols
            .iter()
            .filter(move |symbol| symbol.section != SHN_UNDEF && self.name(symbol) == Some(name))
            .map(|symbol| symbol.value)
    }

    /// The name that the object gives to what begins at an address before the load bias.
    pub fn name_at(&self, address: u64) -> Option<&[u8]> {
        let symbol = self
            .symbols
            .iter()
            .find(|symbol| symbol.section != SHN_UNDEF && symbol.value == address)?;
        self.name(symbol)
    }

    /// A library search path of the object depends on where its file lies.
    pub fn names_origin(&self) -> bool {
        let has = |token: &[u8]| self.strings.windows(token.len()).any(|at| at == token);
        has(b"$ORIGIN") || has(b"${ORIGIN}")
    }

    /// Adds the names that this object defines as IFUNC.
    pub fn collect_ifuncs<'a>(&'a self, names: &mut HashSet<&'a [u8]>) {
        let ifuncs = self
            .symbols
            .iter()
            .filter(|symbol| symbol.info & 0xf == STT_GNU_IFUNC && symbol.section != SHN_UNDEF);
        names.extend(ifuncs.filter_map(|symbol| self.name(symbol)));
    }

    fn name(&self, symbol: &Symbol) -> Option<&[u8]> {
        let tail = self.strings.get(symbol.name as usize..)?;
        tail.split(|&byte| byte == 0).next()
    }
}

fn parse_headers(bytes: &[u8]) -> Result<(Elf, Option<Range<u64>>), Malformed> {
    let file = Bytes(bytes);
    // ELFCLASS64, ELFDATA2LSB, EM_X86_64.
    if !bytes.starts_with(b"\x7fELF\x02\x01") || file.u16(18) != Some(62) {
        return Err(Malformed("ELF header"));
    }
    if bytes.len() < EHDR || file.u16(54) != Some(PHDR as u16) {
        return Err(Malformed("ELF header"));
    }
    let mut elf = Elf { entry: file.u64(24).unwrap_or(0), ..Elf::default() };
    let table = (file.u64(32)).zip(file.u16(56)).ok_or(Malformed("ELF header"))?;
    let table = file
        .range(table.0, u64::from(table.1) * PHDR as u64)
        .ok_or(Malformed("program headers"))?;
    let mut dynamic = None;
    for phdr in bytes[table].chunks_exact(PHDR) {
        let phdr = Bytes(phdr);
        let word = |at| phdr.u64(at).unwrap_or(0);
        let (kind, flags) = (phdr.u32(0).unwrap_or(0), phdr.u32(4).unwrap_or(0));
        let (offset, start, file_size, size) = (word(8), word(16), word(32), word(40));
        match kind {
            PT_LOAD => elf.loads.push(Load {
                offset,
                start,
                file_end: start.checked_add(file_size).ok_or(Malformed("PT_LOAD"))?,
                end: start.checked_add(size).ok_or(Malformed("PT_LOAD"))?,
                executable: flags & 1 != 0,
            }),
            PT_DYNAMIC => {
                let end = start.checked_add(size).ok_or(Malformed("PT_DYNAMIC"))?;
                dynamic = Some(start..end);
            }
            PT_INTERP => {
                let at = file.range(offset, file_size).ok_or(Malformed("PT_INTERP"))?;
                let text = bytes[at.clone()].split(|&byte| byte == 0).next().unwrap_or(&[]);
                elf.interpreter = Some(text.to_vec());
                elf.interpreter_at = Some(at);
            }
            _ => {}
        }
    }
    if elf.loads.is_empty() {
        return Err(Malformed("no PT_LOAD"));
    }
    Ok((elf, dynamic))
}

/// Reads what the dynamic section points to.
struct Reader<'a> {
    bytes: Bytes<'a>,
    elf: &'a mut Elf,
}

impl<'a> Reader<'a> {
    /// The file bytes of `size` bytes at an address.
    fn at(&self, address: u64, size: u64) -> Option<&'a [u8]> {
        let end = address.checked_add(size)?;
        let load =
            self.elf.loads.iter().find(|load| load.start <= address && end <= load.file_end)?;
        let range = self.bytes.range(load.offset.checked_add(address - load.start)?, size)?;
        self.bytes.0.get(range)
    }

    fn dynamic(&mut self, section: Range<u64>) -> Result<(), Malformed> {
        // A separate debug file keeps the header of the section, not its bytes.
        let size = section.end - section.start;
        let table = self.at(section.start, size).ok_or(Malformed("dynamic section"))?;
        let mut found = std::collections::HashMap::new();
        for (index, entry) in table.chunks_exact(DYN).enumerate() {
            let entry = Bytes(entry);
            match entry.u64(0).zip(entry.u64(8)) {
                None | Some((0, _)) => break,
                Some((DT_DEBUG, _)) => {
                    self.elf.debug_slot = Some(section.start + (index * DYN) as u64 + 8);
                }
                Some((tag, value)) => {
                    found.insert(tag, value);
                }
            }
        }
        let part = |tag, size_tag, what| match (found.get(&tag), found.get(&size_tag)) {
            (Some(&address), Some(&size)) => self.at(address, size).ok_or(Malformed(what)),
            _ => Ok(&[][..]),
        };
        let strings = part(DT_STRTAB, DT_STRSZ, "DT_STRTAB")?;
        let relr = part(DT_RELR, DT_RELRSZ, "DT_RELR")?;
        let rela = part(DT_RELA, DT_RELASZ, "DT_RELA")?;
        let plt = part(DT_JMPREL, DT_PLTRELSZ, "DT_JMPREL")?;
        self.elf.strings = strings.to_vec();

        let mut relocations = Vec::new();
        decode_relr(relr, &mut relocations)?;
        // Some linkers let DT_RELA include DT_JMPREL: the duplicates are removed below.
        for entry in rela.chunks_exact(RELA).chain(plt.chunks_exact(RELA)) {
            let entry = Bytes(entry);
            let word = |at| entry.u64(at).unwrap_or(0);
            let (number, symbol) = (word(8) as u32, (word(8) >> 32) as u32);
            if number != 0 {
                let kind = kind_of(number);
                let addend = word(16) as i64;
                relocations.push(Relocation { target: word(0), number, kind, symbol, addend });
            }
        }

        let referenced = relocations.iter().map(|r| r.symbol as usize + 1).max().unwrap_or(0);
        let hashed = self.hashed_symbols(found.get(&DT_HASH), found.get(&DT_GNU_HASH));
        if let Some(&address) = found.get(&DT_SYMTAB) {
            let size = (hashed.max(referenced) * SYM) as u64;
            let table = self.at(address, size).ok_or(Malformed("DT_SYMTAB"))?;
            self.elf.symbols = table.chunks_exact(SYM).map(symbol).collect();
        }
        for relocation in &mut relocations {
            if let Kind::Copy(size) = &mut relocation.kind {
                *size = self.elf.symbols.get(relocation.symbol as usize).map_or(0, |s| s.size);
            }
        }
        // A stable sort keeps the order of application among relocations of one place.
        relocations.sort_by_key(|relocation| relocation.target);
        relocations.dedup_by(|later, kept| {
            let same = later.target == kept.target;
            if same {
                *kept = *later;
            }
            same
        });
        self.elf.relocations = relocations;
        Ok(())
    }

    /// How many symbols the hash tables know; gABI DT_HASH, and the layout of DT_GNU_HASH.
    fn hashed_symbols(&self, sysv: Option<&u64>, gnu: Option<&u64>) -> usize {
        let word = |address: u64| self.at(address, 4).and_then(|bytes| Bytes(bytes).u32(0));
        let sysv = sysv.and_then(|&table| word(table.checked_add(4)?));
        let gnu = gnu.and_then(|&table| {
            let header = Bytes(self.at(table, 16)?);
            let (buckets, first) = (u64::from(header.u32(0)?), header.u32(4)?);
            let bloom = u64::from(header.u32(8)?);
            let bucket_table = table.checked_add(16 + bloom * 8)?;
            let chains = bucket_table.checked_add(buckets * 4)?;
            let bucket_bytes = self.at(bucket_table, buckets * 4)?;
            let last = bucket_bytes.chunks_exact(4).filter_map(|b| Bytes(b).u32(0)).max()?;
            if last < first {
                return Some(first);
            }
            // The lowest bit marks the end of a chain.
            let mut index = last;
            while word(chains.checked_add(u64::from(index - first) * 4)?)? & 1 == 0 {
                index = index.checked_add(1)?;
            }
            index.checked_add(1)
        });
        sysv.max(gnu).unwrap_or(0) as usize
    }
}

fn symbol(entry: &[u8]) -> Symbol {
    let entry = Bytes(entry);
    Symbol {
        name: entry.u32(0).unwrap_or(0),
        info: entry.array::<1>(4).map_or(0, |[info]| info),
        section: entry.u16(6).unwrap_or(SHN_UNDEF),
        value: entry.u64(8).unwrap_or(0),
        size: entry.u64(16).unwrap_or(0),
    }
}

/// gABI, "Relative relocations": an even word is an address, an odd one a bitmap of the 63 words
/// that follow.
fn decode_relr(table: &[u8], out: &mut Vec<Relocation>) -> Result<(), Malformed> {
    let mut push = |target| {
        out.push(Relocation { target, number: 8, kind: Kind::Relative, symbol: 0, addend: 0 });
    };
    let mut next: u64 = 0;
    for entry in table.chunks_exact(8) {
        let entry = Bytes(entry).u64(0).unwrap_or(0);
        if entry & 1 == 0 {
            push(entry);
            next = entry.checked_add(8).ok_or(Malformed("DT_RELR"))?;
        } else {
            for bit in (1..64).filter(|bit| entry >> bit & 1 != 0) {
                push(next.checked_add((bit - 1) * 8).ok_or(Malformed("DT_RELR"))?);
            }
            next = next.checked_add(63 * 8).ok_or(Malformed("DT_RELR"))?;
        }
    }
    Ok(())
}

fn kind_of(number: u32) -> Kind {
    match number {
        1 | 6 | 7 => Kind::Symbol,
        2 | 4 => Kind::Distance32,
        5 => Kind::Copy(0),
        8 | 38 => Kind::Relative,
        10 | 11 => Kind::Address32,
        16..=18 | 33 => Kind::Number64,
        21 | 23 | 32 => Kind::Number32,
        24 => Kind::Distance64,
        36 => Kind::TlsDescriptor,
        37 => Kind::Irelative,
        _ => Kind::Unknown,
    }
}

/// The psABI's name of a relocation type.
pub fn relocation_name(number: u32) -> String {
    let name = match number {
        1 => "64",
        2 => "PC32",
        4 => "PLT32",
        5 => "COPY",
        6 => "GLOB_DAT",
        7 => "JUMP_SLOT",
        8 => "RELATIVE",
        10 => "32",
        11 => "32S",
        16 => "DTPMOD64",
        17 => "DTPOFF64",
        18 => "TPOFF64",
        21 => "DTPOFF32",
        23 => "TPOFF32",
        24 => "PC64",
        32 => "SIZE32",
        33 => "SIZE64",
        36 => "TLSDESC",
        37 => "IRELATIVE",
        38 => "RELATIVE64",
        _ => return format!("relocation type {number}"),
    };
    format!("R_X86_64_{name}")
}
