//! The dynamic section (gABI, "Dynamic Section") as one value per tag.

use alloc::vec::Vec;

use goblin::elf::dynamic as dt;

use super::Malformed;
use super::table::{Record, Table, read, record_bytes};
use crate::addr::Vaddr;

/// One entry of the dynamic section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// `d_tag`.
    pub tag: u64,
    /// `d_un`.
    pub value: u64,
}

impl Record for Entry {
    record_bytes!(16);

    fn decode(bytes: &Self::Bytes) -> Self {
        Self { tag: read(bytes, 0).unwrap_or_default(), value: read(bytes, 8).unwrap_or_default() }
    }
}

bitflags::bitflags! {
    /// `DT_FLAGS`, with the older tags of the same meaning folded in.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Flags: u64 {
        /// `$ORIGIN` may occur.
        const ORIGIN = dt::DF_ORIGIN;
        /// The object's own definitions are searched first (also `DT_SYMBOLIC`).
        const SYMBOLIC = dt::DF_SYMBOLIC;
        /// Relocations change read-only segments (also `DT_TEXTREL`).
        const TEXTREL = dt::DF_TEXTREL;
        /// No lazy binding (also `DT_BIND_NOW`).
        const BIND_NOW = dt::DF_BIND_NOW;
        /// Uses initial-exec TLS.
        const STATIC_TLS = dt::DF_STATIC_TLS;
    }
}

bitflags::bitflags! {
    /// `DT_FLAGS_1`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Flags1: u64 {
        /// No lazy binding.
        const NOW = dt::DF_1_NOW;
        /// Never unloaded.
        const NODELETE = dt::DF_1_NODELETE;
        /// Its initialisers run before all others.
        const INITFIRST = dt::DF_1_INITFIRST;
        /// Not to be opened by dlopen.
        const NOOPEN = dt::DF_1_NOOPEN;
        /// Its dependencies are not searched in the default directories.
        const NODEFLIB = dt::DF_1_NODEFLIB;
        /// A position-independent executable.
        const PIE = dt::DF_1_PIE;
    }
}

/// An array of records in the image: where, and how many bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Area {
    /// Its address.
    pub vaddr: Vaddr,
    /// Its size in bytes.
    pub size: u64,
}

/// How an object asks for another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dependency {
    /// `DT_NEEDED`.
    Needed,
    /// `DT_FILTER`: the object is a filter, and the other's definitions come before its own.
    Filter,
    /// `DT_AUXILIARY`: the same, if the other can be loaded.
    Auxiliary,
}

/// The dynamic section of one object.
#[derive(Clone, Debug, Default)]
pub struct Dynamic {
    /// `DT_NEEDED`, `DT_FILTER` and `DT_AUXILIARY`: string table offsets, in order.
    pub needed: Vec<(Dependency, u32)>,
    /// `DT_SONAME`: string table offset.
    pub soname: Option<u32>,
    /// `DT_RPATH`: string table offset.
    pub rpath: Option<u32>,
    /// `DT_RUNPATH`: string table offset.
    pub runpath: Option<u32>,
    /// `DT_AUDIT`, auditors of the object: string table offset.
    pub audit: Option<u32>,
    /// `DT_DEPAUDIT`, auditors of it and of what it needs: string table offset.
    pub depaudit: Option<u32>,
    /// `DT_STRTAB` and `DT_STRSZ`.
    pub strtab: Area,
    /// `DT_SYMTAB`; its length is nowhere stated.
    pub symtab: Option<Vaddr>,
    /// `DT_HASH`.
    pub hash: Option<Vaddr>,
    /// `DT_GNU_HASH`.
    pub gnu_hash: Option<Vaddr>,
    /// `DT_VERSYM`.
    pub versym: Option<Vaddr>,
    /// `DT_VERNEED`.
    pub verneed: Option<Vaddr>,
    /// `DT_VERDEF`.
    pub verdef: Option<Vaddr>,
    /// `DT_RELA` and `DT_RELASZ`.
    pub rela: Area,
    /// `DT_RELACOUNT`: how many leading records of `rela` are relative.
    pub relacount: u64,
    /// `DT_JMPREL` and `DT_PLTRELSZ`.
    pub jmprel: Area,
    /// `DT_RELR` and `DT_RELRSZ`.
    pub relr: Area,
    /// `DT_PLTGOT`.
    pub pltgot: Option<Vaddr>,
    /// `DT_INIT`.
    pub init: Option<Vaddr>,
    /// `DT_FINI`.
    pub fini: Option<Vaddr>,
    /// `DT_PREINIT_ARRAY`.
    pub preinit_array: Area,
    /// `DT_INIT_ARRAY`.
    pub init_array: Area,
    /// `DT_FINI_ARRAY`.
    pub fini_array: Area,
    /// `DT_FLAGS`.
    pub flags: Flags,
    /// `DT_FLAGS_1`.
    pub flags_1: Flags1,
    /// `DT_FLAGS_1` as it stands in the file.
    pub flags_1_raw: u64,
    /// Position of the `DT_DEBUG` entry, whose value debuggers read.
    pub debug_index: Option<usize>,
    /// The tags, in the order of the section.
    tags: Vec<u64>,
}

impl Dynamic {
    /// Where the tables start whose size is nowhere stated.
    pub fn unsized_tables(&self) -> impl Iterator<Item = Vaddr> + use<> {
        let tables =
            [self.symtab, self.versym, self.hash, self.gnu_hash, self.verneed, self.verdef];
        tables.into_iter().flatten()
    }

    /// Reads the entries up to `DT_NULL`.
    ///
    /// # Errors
    /// When a record size is not the ABI's, or an offset does not fit a string table.
    pub fn parse(entries: Table<'_, Entry>) -> Result<Self, Malformed> {
        let is_entry = |entry: &Entry| entry.tag != dt::DT_NULL;
        let count = entries.iter().take_while(is_entry).count();
        let mut this = Self { tags: Vec::with_capacity(count), ..Self::default() };
        for (index, Entry { tag, value }) in entries.iter().take(count).enumerate() {
            this.take(index, tag, value)?;
            this.tags.push(tag);
        }
        Ok(this)
    }

    fn take(&mut self, index: usize, tag: u64, value: u64) -> Result<(), Malformed> {
        let at = Vaddr(value);
        let string = |structure| {
            u32::try_from(value)
                .map_err(|_| Malformed::new("invalid string table offset", structure, value))
        };
        let size = |structure, wanted: u64| match value == wanted {
            true => Ok(()),
            false => Err(Malformed::new("invalid dynamic section entry", structure, value)),
        };
        match tag {
            dt::DT_NEEDED => self.needed.push((Dependency::Needed, string("DT_NEEDED")?)),
            DT_FILTER => self.needed.push((Dependency::Filter, string("DT_FILTER")?)),
            DT_AUXILIARY => self.needed.push((Dependency::Auxiliary, string("DT_AUXILIARY")?)),
            dt::DT_SONAME => self.soname = Some(string("DT_SONAME")?),
            dt::DT_RPATH => self.rpath = Some(string("DT_RPATH")?),
            dt::DT_RUNPATH => self.runpath = Some(string("DT_RUNPATH")?),
            dt::DT_STRTAB => self.strtab.vaddr = at,
            dt::DT_STRSZ => self.strtab.size = value,
            dt::DT_SYMTAB => self.symtab = Some(at),
            dt::DT_SYMENT => size("DT_SYMENT", 24)?,
            dt::DT_HASH => self.hash = Some(at),
            dt::DT_GNU_HASH => self.gnu_hash = Some(at),
            dt::DT_VERSYM => self.versym = Some(at),
            dt::DT_VERNEED => self.verneed = Some(at),
            dt::DT_VERDEF => self.verdef = Some(at),
            dt::DT_RELA => self.rela.vaddr = at,
            dt::DT_RELASZ => self.rela.size = value,
            dt::DT_RELAENT => size("DT_RELAENT", 24)?,
            dt::DT_RELACOUNT => self.relacount = value,
            dt::DT_REL | dt::DT_RELSZ | dt::DT_RELENT if value != 0 => {
                let words = "relocations without addends are not part of the x86-64 psABI";
                return Err(Malformed::new(words, "DT_REL", value));
            }
            dt::DT_JMPREL => self.jmprel.vaddr = at,
            dt::DT_PLTRELSZ => self.jmprel.size = value,
            dt::DT_PLTREL => size("DT_PLTREL", dt::DT_RELA)?,
            DT_RELR => self.relr.vaddr = at,
            DT_RELRSZ => self.relr.size = value,
            DT_RELRENT => size("DT_RELRENT", 8)?,
            dt::DT_PLTGOT => self.pltgot = Some(at),
            dt::DT_INIT => self.init = Some(at),
            dt::DT_FINI => self.fini = Some(at),
            dt::DT_PREINIT_ARRAY => self.preinit_array.vaddr = at,
            dt::DT_PREINIT_ARRAYSZ => self.preinit_array.size = value,
            dt::DT_INIT_ARRAY => self.init_array.vaddr = at,
            dt::DT_INIT_ARRAYSZ => self.init_array.size = value,
            dt::DT_FINI_ARRAY => self.fini_array.vaddr = at,
            dt::DT_FINI_ARRAYSZ => self.fini_array.size = value,
            dt::DT_FLAGS => self.flags |= Flags::from_bits_truncate(value),
            dt::DT_SYMBOLIC => self.flags |= Flags::SYMBOLIC,
            dt::DT_TEXTREL => self.flags |= Flags::TEXTREL,
            dt::DT_BIND_NOW => self.flags |= Flags::BIND_NOW,
            dt::DT_FLAGS_1 => {
                self.flags_1 = Flags1::from_bits_truncate(value);
                self.flags_1_raw = value;
            }
            DT_AUDIT => self.audit = Some(string("DT_AUDIT")?),
            DT_DEPAUDIT => self.depaudit = Some(string("DT_DEPAUDIT")?),
            dt::DT_DEBUG => self.debug_index = Some(index),
            _ => {}
        }
        Ok(())
    }

    /// The positions of entries whose addresses glibc relocates in place (contract 8.3).
    pub fn address_positions(&self) -> impl Iterator<Item = u32> {
        let mut last = [None; 9];
        for (tag, index) in self.tags() {
            let which = match tag {
                dt::DT_HASH => 0,
                dt::DT_PLTGOT => 1,
                dt::DT_STRTAB => 2,
                dt::DT_SYMTAB => 3,
                dt::DT_RELA => 4,
                dt::DT_JMPREL => 5,
                DT_RELR => 6,
                dt::DT_VERSYM => 7,
                dt::DT_GNU_HASH => 8,
                _ => continue,
            };
            last[which] = Some(index);
        }
        last.into_iter().flatten()
    }

    /// The tags in the order of the section, with their indices.
    pub fn tags(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.tags.iter().copied().zip(0..)
    }

    /// Whether every function must be bound before the object runs.
    #[must_use]
    pub fn binds_now(&self) -> bool {
        self.flags.contains(Flags::BIND_NOW) || self.flags_1.contains(Flags1::NOW)
    }
}

// gABI, "Relative Relocation Table"; not in goblin.
const DT_RELRSZ: u64 = 35;
const DT_RELR: u64 = 36;
const DT_RELRENT: u64 = 37;
const DT_AUDIT: u64 = 0x6fff_fefc;
const DT_DEPAUDIT: u64 = 0x6fff_fefb;
// Solaris, "Linker and Libraries Guide".
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(entries: &[(u64, u64)]) -> Result<Dynamic, Malformed> {
        let bytes: Vec<u8> = entries
            .iter()
            .flat_map(|(tag, value)| [tag.to_le_bytes(), value.to_le_bytes()].concat())
            .collect();
        Dynamic::parse(Table::new(&bytes))
    }

    #[test]
    fn folds_old_tags_into_flags() {
        let dynamic = parse(&[(dt::DT_BIND_NOW, 0), (dt::DT_SYMBOLIC, 0)]).unwrap();
        assert!(dynamic.binds_now() && dynamic.flags.contains(Flags::SYMBOLIC));
    }

    #[test]
    fn stops_at_the_end_mark() {
        let dynamic = parse(&[(dt::DT_NEEDED, 5), (dt::DT_NULL, 0), (dt::DT_NEEDED, 6)]).unwrap();
        assert_eq!(dynamic.needed, [(Dependency::Needed, 5)]);
        assert!(dynamic.tags().eq([(dt::DT_NEEDED, 0)]));
    }

    #[test]
    fn refuses_foreign_record_sizes() {
        assert_eq!(parse(&[(dt::DT_RELAENT, 12)]).unwrap_err().structure, "DT_RELAENT");
        assert_eq!(parse(&[(dt::DT_SYMENT, 16)]).unwrap_err().structure, "DT_SYMENT");
        assert_eq!(parse(&[(dt::DT_NEEDED, u64::MAX)]).unwrap_err().structure, "DT_NEEDED");
        assert!(parse(&[(dt::DT_REL, 8)]).is_err());
    }
}
