//! The ELF header (gABI, "ELF Header"), judged in the order in which ld.so judges it.

use goblin::elf::header::{
    EI_ABIVERSION, EI_CLASS, EI_DATA, EI_OSABI, EI_VERSION, ELFCLASS64, ELFDATA2LSB, ELFMAG,
    ELFOSABI_GNU, ELFOSABI_NONE, EM_X86_64, ET_DYN, ET_EXEC, EV_CURRENT,
};

use super::Malformed;
use super::malformed::MAGIC;
use super::table::read;
use crate::addr::Vaddr;

/// Where the reserved bytes of `e_ident` start.
const EI_PAD: usize = 9;
/// Bytes of an ELF64 header.
pub const SIZE: usize = 64;
/// Bytes of an ELF64 program header.
pub const PHENTSIZE: usize = 56;
/// The largest program header table, in bytes, that Linux executes; real ones have about a dozen headers.
const PHDRS_MAX: usize = 1 << 16;

/// What kind of object a file is (`e_type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `ET_EXEC`: an executable at fixed addresses.
    Fixed,
    /// `ET_DYN`: a shared object or a position-independent executable.
    Shared,
}

/// The parts of the ELF header that a loader needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// `e_type`.
    pub kind: Kind,
    /// `e_entry`.
    pub entry: Vaddr,
    /// `e_phoff`, in bytes from the start of the file.
    pub phoff: u64,
    /// `e_phnum`.
    pub phnum: u16,
}

/// Why a file is not for this loader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reject {
    /// Built for another class or machine: a search goes on past it, as ld.so's does.
    Foreign(Foreign),
    /// Broken, or of a type that cannot be loaded: the search ends.
    Malformed(Malformed),
}

/// A well-formed file for another kind of machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Foreign {
    /// `EI_CLASS` is not `ELFCLASS64`.
    Class,
    /// `e_machine`, which is not `EM_X86_64`.
    Machine(u16),
}

impl Header {
    /// Judges the first bytes of a file.
    ///
    /// # Errors
    /// [`Reject::Foreign`] for another class or machine, [`Reject::Malformed`] for everything else that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, Reject> {
        let malformed = |words, structure, value: u64| {
            Reject::Malformed(Malformed::new(words, structure, value))
        };
        let header: &[u8; SIZE] = bytes.first_chunk().ok_or_else(|| too_short(bytes))?;
        let half = |offset| read::<u16>(header, offset).unwrap_or_default();
        let word = |offset| read::<u32>(header, offset).unwrap_or_default();
        let xword = |offset| read::<u64>(header, offset).unwrap_or_default();
        let machine = half(18);

        if !header.starts_with(ELFMAG) {
            return Err(malformed("invalid ELF header", MAGIC, word(0).into()));
        }
        if header[EI_CLASS] != ELFCLASS64 {
            return Err(Reject::Foreign(Foreign::Class));
        }
        let ident_is_usual = header[EI_DATA] == ELFDATA2LSB
            && header[EI_VERSION] == EV_CURRENT
            && matches!(header[EI_OSABI], ELFOSABI_NONE | ELFOSABI_GNU)
            && abi_version_is_known(header[EI_OSABI], header[EI_ABIVERSION])
            && header[EI_PAD..16].iter().all(|&byte| byte == 0);
        if !ident_is_usual {
            if machine != EM_X86_64 {
                return Err(Reject::Foreign(Foreign::Machine(machine)));
            }
            let (words, structure, index) = if header[EI_DATA] != ELFDATA2LSB {
                ("ELF file data encoding not little-endian", "EI_DATA", EI_DATA)
            } else if header[EI_VERSION] != EV_CURRENT {
                ("ELF file version ident does not match current one", "EI_VERSION", EI_VERSION)
            } else if !matches!(header[EI_OSABI], ELFOSABI_NONE | ELFOSABI_GNU) {
                ("ELF file OS ABI invalid", "EI_OSABI", EI_OSABI)
            } else if !abi_version_is_known(header[EI_OSABI], header[EI_ABIVERSION]) {
                ("ELF file ABI version invalid", "EI_ABIVERSION", EI_ABIVERSION)
            } else {
                ("nonzero padding in e_ident", "EI_PAD", EI_PAD)
            };
            return Err(malformed(words, structure, header[index].into()));
        }
        if word(20) != u32::from(EV_CURRENT) {
            return Err(malformed(
                "ELF file version does not match current one",
                "e_version",
                word(20).into(),
            ));
        }
        if machine != EM_X86_64 {
            return Err(Reject::Foreign(Foreign::Machine(machine)));
        }
        let kind = match half(16) {
            ET_EXEC => Kind::Fixed,
            ET_DYN => Kind::Shared,
            other => {
                let words = "only ET_DYN and ET_EXEC can be loaded";
                return Err(malformed(words, "e_type", other.into()));
            }
        };
        if usize::from(half(54)) != PHENTSIZE {
            let words = "ELF file's phentsize not the expected size";
            return Err(malformed(words, "e_phentsize", half(54).into()));
        }
        if usize::from(half(56)) * PHENTSIZE > PHDRS_MAX {
            return Err(malformed("too many program headers", "e_phnum", half(56).into()));
        }
        Ok(Self { kind, entry: Vaddr(xword(24)), phoff: xword(32), phnum: half(56) })
    }

    /// The program header table is not in a file of `size` bytes.
    #[must_use]
    pub const fn cut_off(&self, size: u64) -> Malformed {
        let least = self.phoff.saturating_add(self.phdr_bytes() as u64);
        Malformed::cut_off("cannot read file data", size, least)
    }

    /// Bytes of the program header table.
    #[must_use]
    pub const fn phdr_bytes(&self) -> usize {
        self.phnum as usize * PHENTSIZE
    }
}

/// What has no room for a header may be a short text.
fn too_short(bytes: &[u8]) -> Reject {
    const WORDS: &str = "file too short";
    Reject::Malformed(match read::<u32>(bytes, 0) {
        Some(magic) if !bytes.starts_with(ELFMAG) => Malformed::new(WORDS, MAGIC, magic.into()),
        _ => Malformed::cut_off(WORDS, bytes.len() as u64, SIZE as u64),
    })
}

/// GNU objects may ask for the ABI features numbered up to 3 (absolute symbols); others must say 0.
const fn abi_version_is_known(osabi: u8, version: u8) -> bool {
    version == 0 || (osabi == ELFOSABI_GNU && version < 4)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A valid header of a shared object with `phnum` program headers behind it.
    pub(crate) fn valid(phnum: u16) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
        bytes[16] = 3;
        bytes[18] = 62;
        bytes[20] = 1;
        bytes[32] = 64;
        bytes[52] = 64;
        bytes[54] = 56;
        bytes[56..58].copy_from_slice(&phnum.to_le_bytes());
        bytes
    }

    fn with(index: usize, value: u8) -> Result<Header, Reject> {
        let mut bytes = valid(1);
        bytes[index] = value;
        Header::parse(&bytes)
    }

    fn words(result: Result<Header, Reject>) -> &'static str {
        match result {
            Err(Reject::Malformed(malformed)) => malformed.words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn accepts_a_shared_object() {
        let header = Header::parse(&valid(3)).unwrap();
        assert_eq!((header.kind, header.phoff, header.phnum), (Kind::Shared, 64, 3));
    }

    #[test]
    fn names_each_defect_as_ld_so_does() {
        assert_eq!(words(Header::parse(&[0; 63])), "file too short");
        assert_eq!(words(with(0, 0)), "invalid ELF header");
        assert_eq!(words(with(5, 2)), "ELF file data encoding not little-endian");
        assert_eq!(words(with(6, 0)), "ELF file version ident does not match current one");
        assert_eq!(words(with(7, 9)), "ELF file OS ABI invalid");
        assert_eq!(words(with(8, 4)), "ELF file ABI version invalid");
        assert_eq!(words(with(15, 1)), "nonzero padding in e_ident");
        assert_eq!(words(with(20, 2)), "ELF file version does not match current one");
        assert_eq!(words(with(16, 4)), "only ET_DYN and ET_EXEC can be loaded");
        assert_eq!(words(with(54, 55)), "ELF file's phentsize not the expected size");
    }

    #[test]
    fn another_class_or_machine_is_foreign() {
        assert_eq!(with(4, 1), Err(Reject::Foreign(Foreign::Class)));
        assert_eq!(with(18, 3), Err(Reject::Foreign(Foreign::Machine(3))));
    }
}
