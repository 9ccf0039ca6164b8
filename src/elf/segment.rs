//! The program headers (gABI, "Program Header") sorted into what a loader does with them.

use alloc::vec::Vec;

use goblin::elf::program_header::{
    PF_R, PF_W, PF_X, PT_DYNAMIC, PT_GNU_EH_FRAME, PT_GNU_PROPERTY, PT_GNU_RELRO, PT_GNU_STACK,
    PT_INTERP, PT_LOAD, PT_NOTE, PT_PHDR, PT_TLS,
};

use super::Malformed;
use super::table::{Record, Table, read, record_bytes};
use crate::addr::{PAGE, Vaddr, page_down, page_up};

bitflags::bitflags! {
    /// The permissions of a segment (`p_flags`).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Access: u32 {
        /// Readable.
        const READ = PF_R;
        /// Writable.
        const WRITE = PF_W;
        /// Executable.
        const EXECUTE = PF_X;
    }
}

/// One program header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// `p_type`.
    pub kind: u32,
    /// `p_flags`.
    pub access: Access,
    /// `p_offset`: where the bytes lie in the file.
    pub offset: u64,
    /// `p_vaddr`.
    pub vaddr: Vaddr,
    /// `p_filesz`: how many bytes come from the file.
    pub filesz: u64,
    /// `p_memsz`: how many bytes the segment has in memory.
    pub memsz: u64,
    /// `p_align`.
    pub align: u64,
}

impl Record for Segment {
    record_bytes!(56);

    fn decode(bytes: &Self::Bytes) -> Self {
        let word = |offset| read::<u32>(bytes, offset).unwrap_or_default();
        let xword = |offset| read::<u64>(bytes, offset).unwrap_or_default();
        Self {
            kind: word(0),
            access: Access::from_bits_truncate(word(4)),
            offset: xword(8),
            vaddr: Vaddr(xword(16)),
            filesz: xword(32),
            memsz: xword(40),
            align: xword(48),
        }
    }
}

impl Segment {
    /// Whether `len` bytes at `vaddr` lie in the part of the segment that comes from the file.
    #[must_use]
    pub fn holds_in_file(&self, vaddr: Vaddr, len: u64) -> bool {
        within(self.vaddr.0, self.filesz, vaddr.0, len)
    }

    /// Whether `len` bytes at `vaddr` lie in the segment's memory.
    #[must_use]
    pub fn holds(&self, vaddr: Vaddr, len: u64) -> bool {
        within(self.vaddr.0, self.memsz, vaddr.0, len)
    }

    /// Whether `len` bytes at `vaddr` lie in the pages that the segment is mapped as.
    #[must_use]
    pub fn holds_in_pages(&self, vaddr: Vaddr, len: u64) -> bool {
        let pages = page_up(self.end()).map(|end| end.wrapping_sub(self.vaddr.0));
        pages.is_some_and(|size| within(self.vaddr.0, size, vaddr.0, len))
    }

    /// Whether its memory may be read: on x86-64, what may be written may be.
    #[must_use]
    pub const fn is_readable(&self) -> bool {
        self.access.intersects(Access::READ.union(Access::WRITE))
    }

    /// One past the last byte in memory. `Segments::parse` has checked that this fits.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.vaddr.0.wrapping_add(self.memsz)
    }

    /// One past the last byte from the file.
    #[must_use]
    pub const fn file_end(&self) -> u64 {
        self.vaddr.0.wrapping_add(self.filesz)
    }
}

/// Whether `len` bytes at `at` lie in `size` bytes at `start`.
#[must_use]
pub fn within(start: u64, size: u64, at: u64, len: u64) -> bool {
    at.checked_sub(start).and_then(|skip| size.checked_sub(skip)).is_some_and(|left| left >= len)
}

/// A part of the image that a program header points out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    /// Where it starts.
    pub vaddr: Vaddr,
    /// Its size in bytes.
    pub size: u64,
}

/// PT_TLS: the initialisation image of an object's thread-local variables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TlsSegment {
    /// Where the image starts.
    pub image: Vaddr,
    /// Bytes of the image; the rest of the block is zero.
    pub filesz: u64,
    /// Bytes of one thread's block.
    pub memsz: u64,
    /// Required alignment, a power of two, at least 1.
    pub align: u64,
    /// The block's first byte modulo `align`.
    pub skew: u64,
}

/// What the program headers of one object ask for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Segments {
    /// The PT_LOAD headers, in ascending order, no two on one page, none wrapping round.
    pub loads: Vec<Segment>,
    /// PT_DYNAMIC.
    pub dynamic: Option<Span>,
    /// PT_PHDR: where the headers themselves are in memory.
    pub phdr: Option<Vaddr>,
    /// PT_INTERP, as a place in the file.
    pub interp: Option<Segment>,
    /// PT_TLS, when it has a size.
    pub tls: Option<TlsSegment>,
    /// PT_GNU_RELRO: what becomes read-only after relocation.
    pub relro: Option<Span>,
    /// PT_GNU_STACK's permissions; `None` when the header is absent.
    pub stack: Option<Access>,
    /// Its size: that of threads' stacks, where a libc goes by it.
    pub stack_size: u64,
    /// PT_GNU_EH_FRAME: the index of unwind tables.
    pub eh_frame: Option<Span>,
    /// PT_GNU_PROPERTY: the note of properties, which lies in a PT_NOTE too.
    pub property: Option<Segment>,
    /// The PT_NOTE headers.
    pub notes: Vec<Segment>,
    /// The largest `p_align` of a PT_LOAD that is a power of two, at least a page.
    pub align: u64,
}

impl Segments {
    /// Sorts a program header table. `file_size` bounds what PT_LOAD may take from the file.
    ///
    /// # Errors
    /// The first defect found, worded as ld.so words it where it has a word.
    pub fn parse(table: Table<'_, Segment>, file_size: u64) -> Result<Self, Malformed> {
        let mut segments = Self { align: PAGE, ..Self::default() };
        for segment in table.iter() {
            let span = Span { vaddr: segment.vaddr, size: segment.memsz };
            match segment.kind {
                PT_LOAD => segments.add_load(segment, file_size)?,
                PT_DYNAMIC if segment.filesz == 0 => {
                    // A file of separate debug information.
                    let words = "object file has no dynamic section";
                    return Err(Malformed::new(words, "PT_DYNAMIC p_filesz", 0));
                }
                PT_DYNAMIC => segments.dynamic = Some(span),
                PT_PHDR => segments.phdr = Some(segment.vaddr),
                PT_INTERP => segments.interp = Some(segment),
                PT_TLS if segment.memsz != 0 => segments.tls = Some(tls(&segment)?),
                PT_GNU_RELRO => segments.relro = Some(span),
                PT_GNU_STACK => {
                    segments.stack = Some(segment.access);
                    segments.stack_size = segment.memsz;
                }
                PT_GNU_EH_FRAME => segments.eh_frame = Some(span),
                PT_GNU_PROPERTY => segments.property = Some(segment),
                PT_NOTE => segments.notes.push(segment),
                _ => {}
            }
        }
        if segments.loads.is_empty() {
            return Err(Malformed::new("object file has no loadable segments", "PT_LOAD count", 0));
        }
        segments.check_places()?;
        Ok(segments)
    }

    /// What is copied and what becomes read-only lies in the object: neither may reach into memory that is not its own.
    fn check_places(&self) -> Result<(), Malformed> {
        let words = "ELF segment outside the loaded segments";
        if let Some(TlsSegment { image, filesz, .. }) = self.tls
            && filesz != 0
            && !self
                .loads
                .iter()
                .any(|load| load.access.contains(Access::READ) && load.holds_in_file(image, filesz))
        {
            return Err(Malformed::new(words, "PT_TLS p_vaddr", image.0));
        }
        // Link editors pad PT_GNU_RELRO to the end of a page, which may lie behind the end of its segment.
        let pages_hold = |load: &Segment, Span { vaddr, size }: Span| {
            let end = page_up(load.end()).unwrap_or(load.end());
            within(page_down(load.vaddr.0), end - page_down(load.vaddr.0), vaddr.0, size)
        };
        if let Some(relro) = self.relro
            && relro.size != 0
            && !self.loads.iter().any(|load| pages_hold(load, relro))
        {
            return Err(Malformed::new(words, "PT_GNU_RELRO p_vaddr", relro.vaddr.0));
        }
        Ok(())
    }

    fn add_load(&mut self, segment: Segment, file_size: u64) -> Result<(), Malformed> {
        if !segment.vaddr.0.wrapping_sub(segment.offset).is_multiple_of(PAGE) {
            let words = "ELF load command address/offset not page-aligned";
            return Err(Malformed::new(words, "PT_LOAD p_vaddr", segment.vaddr.0));
        }
        if segment.filesz > segment.memsz {
            let words = "ELF load command larger in the file than in memory";
            return Err(Malformed::new(words, "PT_LOAD p_filesz", segment.filesz));
        }
        let end = segment.vaddr.0.checked_add(segment.memsz);
        if end.is_none_or(|end| end > USER_END) {
            let words = "ELF load command outside the address space";
            return Err(Malformed::new(words, "PT_LOAD p_memsz", segment.memsz));
        }
        let in_file = segment.offset.saturating_add(segment.filesz);
        if segment.filesz != 0 && in_file > file_size {
            return Err(Malformed::cut_off("file too short", file_size, in_file));
        }
        // Page by page: a page has one place in the file and one protection.
        let taken = self.loads.last().and_then(|last| page_up(last.end()));
        if taken.is_some_and(|end| end > page_down(segment.vaddr.0)) {
            let words = "ELF load commands overlap or are not in ascending order";
            return Err(Malformed::new(words, "PT_LOAD p_vaddr", segment.vaddr.0));
        }
        if segment.align.is_power_of_two() {
            self.align = self.align.max(segment.align);
        }
        self.loads.push(segment);
        Ok(())
    }

    /// Page-rounded first address and page-rounded end of all PT_LOADs.
    #[must_use]
    pub fn extent(&self) -> (u64, u64) {
        let start = self.loads.first().map_or(0, |load| page_down(load.vaddr.0));
        let end = self.loads.last().and_then(|load| page_up(load.end()));
        (start, end.unwrap_or(start))
    }
}

/// The first address that user space cannot have with four-level page tables.
pub const USER_END: u64 = 1 << 47;

fn tls(segment: &Segment) -> Result<TlsSegment, Malformed> {
    let align = segment.align.max(1);
    if !align.is_power_of_two() || align > 1 << 30 {
        let words = "TLS segment alignment is not a power of two";
        return Err(Malformed::new(words, "PT_TLS p_align", segment.align));
    }
    if segment.filesz > segment.memsz || segment.memsz > USER_END {
        let words = "TLS segment larger in the file than in memory";
        return Err(Malformed::new(words, "PT_TLS p_memsz", segment.memsz));
    }
    Ok(TlsSegment {
        image: segment.vaddr,
        filesz: segment.filesz,
        memsz: segment.memsz,
        align,
        skew: segment.vaddr.0 & (align - 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn header(kind: u32, offset: u64, vaddr: u64, filesz: u64, memsz: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(kind.to_le_bytes());
        bytes.extend(6u32.to_le_bytes());
        for field in [offset, vaddr, vaddr, filesz, memsz, 0x1000] {
            bytes.extend(field.to_le_bytes());
        }
        bytes
    }

    fn parse(headers: &[Vec<u8>]) -> Result<Segments, Malformed> {
        Segments::parse(Table::new(&headers.concat()), 0x3000)
    }

    fn words(headers: &[Vec<u8>]) -> &'static str {
        parse(headers).unwrap_err().words
    }

    #[test]
    fn sorts_headers() {
        let good = parse(&[
            header(PT_LOAD, 0, 0, 0x500, 0x500),
            header(PT_LOAD, 0x1500, 0x2500, 0x100, 0x900),
            header(PT_TLS, 0x1500, 0x2510, 8, 16),
            header(PT_GNU_STACK, 0, 0, 0, 0),
        ])
        .unwrap();
        assert_eq!(good.loads.len(), 2);
        assert_eq!(good.extent(), (0, 0x3000));
        assert_eq!(good.stack, Some(Access::READ | Access::WRITE));
        assert_eq!(good.tls.unwrap().skew, 0x510);
        assert!(good.loads[1].holds(Vaddr(0x2dff), 1) && !good.loads[1].holds(Vaddr(0x2dff), 2));
        assert!(!good.loads[1].holds_in_file(Vaddr(0x2600), 1));
    }

    #[test]
    fn refuses_what_reaches_outside() {
        let load = header(PT_LOAD, 0, 0, 0x500, 0x600);
        let with = |kind, vaddr, filesz, memsz| {
            parse(&[load.clone(), header(kind, 0, vaddr, filesz, memsz)])
                .map_err(|bad| bad.structure)
        };
        assert_eq!(with(PT_TLS, 0x4f8, 9, 16), Err("PT_TLS p_vaddr"));
        let unreadable = [&load[..4], &2u32.to_le_bytes(), &load[8..]].concat();
        let tls = header(PT_TLS, 0, 0x100, 8, 16);
        assert!(parse(&[load.clone(), tls.clone()]).is_ok() && parse(&[unreadable, tls]).is_err());
        assert!(with(PT_TLS, 0x4f8, 8, 16).is_ok() && with(PT_TLS, 0x9000, 0, 16).is_ok());
        assert_eq!(with(PT_GNU_RELRO, 0x400, 0, 0xc01), Err("PT_GNU_RELRO p_vaddr"));
        assert!(with(PT_GNU_RELRO, 0x400, 0, 0xc00).is_ok(), "padded to the page");
    }

    #[test]
    fn refuses_what_cannot_be_mapped() {
        assert_eq!(words(&[]), "object file has no loadable segments");
        assert_eq!(
            words(&[header(PT_LOAD, 1, 0, 1, 1)]),
            "ELF load command address/offset not page-aligned"
        );
        assert_eq!(words(&[header(PT_LOAD, 0x3000, 0, 1, 1)]), "file too short");
        assert_eq!(
            words(&[header(PT_LOAD, 0, !0xfff, 0, u64::MAX)]),
            "ELF load command outside the address space"
        );
        assert_eq!(
            words(&[header(PT_LOAD, 0, 0x1000, 9, 9), header(PT_LOAD, 0, 0, 9, 9)]),
            "ELF load commands overlap or are not in ascending order"
        );
        assert_eq!(
            words(&[header(PT_LOAD, 0, 0, 9, 9), header(PT_LOAD, 0x20, 0x20, 9, 9)]),
            "ELF load commands overlap or are not in ascending order",
            "two segments on one page"
        );
        assert_eq!(words(&[header(PT_DYNAMIC, 0, 0, 0, 9)]), "object file has no dynamic section");
    }
}
