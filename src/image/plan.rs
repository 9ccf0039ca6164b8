//! From program headers to mappings, without making any (gABI, "Program Loading").

use alloc::vec::Vec;

use crate::addr::{Addr, Bias, PAGE, page_down, page_up};
use crate::elf::header::Kind;
use crate::elf::segment::{Access, Segments};

/// How an object is to be mapped: one reservation, and the segments over it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The first page, as a virtual address of the object.
    pub start: u64,
    /// Bytes to reserve.
    pub size: u64,
    /// The alignment of the reservation, at least a page.
    pub align: u64,
    /// The object must be at its own addresses (`ET_EXEC`).
    pub fixed: bool,
    /// The segments in ascending order.
    pub pieces: Vec<Piece>,
    /// Pages of the reservation that belong to no segment.
    pub gaps: Vec<Pages>,
}

/// A run of pages, as virtual addresses of the object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pages {
    /// The first byte.
    pub start: u64,
    /// Bytes, a multiple of the page size; may be 0.
    pub size: u64,
}

/// One segment, page by page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The pages that come from the file.
    pub file: Pages,
    /// Where those pages lie in the file.
    pub offset: u64,
    /// The bytes after the segment's last file byte, to the end of that page or of the segment, which must be zero.
    pub clear: (u64, u64),
    /// The pages after that, which hold only zeros.
    pub zero: Pages,
    /// Permissions.
    pub access: Access,
}

impl Plan {
    /// Plans the mapping of `segments`, which have been checked when they were parsed.
    #[must_use]
    pub fn new(kind: Kind, segments: &Segments) -> Self {
        let (start, end) = segments.extent();
        let mut pieces = Vec::with_capacity(segments.loads.len());
        for load in &segments.loads {
            let from = page_down(load.vaddr.0);
            let file_pages_end = match load.filesz {
                0 => from,
                _ => page_up(load.file_end()).unwrap_or(from),
            };
            let pages_end = page_up(load.end()).unwrap_or(file_pages_end);
            let clear_end = file_pages_end.min(load.end());
            pieces.push(Piece {
                file: Pages { start: from, size: file_pages_end - from },
                offset: page_down(load.offset),
                clear: match load.filesz {
                    0 => (from, from),
                    _ => (load.file_end(), clear_end.max(load.file_end())),
                },
                zero: Pages {
                    start: file_pages_end,
                    size: pages_end.saturating_sub(file_pages_end),
                },
                access: load.access,
            });
        }
        Self {
            start,
            size: end - start,
            align: segments.align.max(PAGE),
            fixed: kind == Kind::Fixed,
            pieces,
            gaps: gaps(segments).collect(),
        }
    }

    /// The load bias of the object when its first page is at `start`.
    #[must_use]
    pub const fn bias(&self, start: Addr) -> Bias {
        Bias(start.0.wrapping_sub(self.start))
    }

    /// Whether the segments may lie anywhere and lead from the first page to the last, one page once.
    #[must_use]
    pub fn adjoins(&self) -> bool {
        let mut at = self.start;
        let follow = self.pieces.iter().all(|piece| {
            let follows = piece.file.start == at && piece.zero.start == at + piece.file.size;
            at = piece.zero.start + piece.zero.size;
            follows
        });
        follow && at == self.start + self.size && self.align == PAGE && !self.fixed
    }
}

/// The pages between segments that belong to none.
pub fn gaps(segments: &Segments) -> impl Iterator<Item = Pages> {
    let (mut mapped_to, _) = segments.extent();
    segments.loads.iter().filter_map(move |load| {
        let from = page_down(load.vaddr.0);
        let gap = (from > mapped_to).then(|| Pages { start: mapped_to, size: from - mapped_to });
        mapped_to = page_up(load.end()).unwrap_or(u64::MAX).max(mapped_to);
        gap
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Vaddr;
    use crate::elf::segment::Segment;

    fn load(vaddr: u64, offset: u64, filesz: u64, memsz: u64) -> Segment {
        Segment {
            kind: 1,
            access: Access::READ | Access::WRITE,
            offset,
            vaddr: Vaddr(vaddr),
            filesz,
            memsz,
            align: PAGE,
        }
    }

    fn plan(loads: &[Segment]) -> Plan {
        Plan::new(Kind::Shared, &Segments { loads: loads.into(), ..Segments::default() })
    }

    #[test]
    fn splits_a_segment_into_file_tail_and_zero_pages() {
        let plan = plan(&[load(0, 0, 0x800, 0x800), load(0x3e10, 0x2e10, 0x400, 0x2400)]);
        assert_eq!((plan.start, plan.size), (0, 0x7000));
        assert!(!plan.adjoins());
        assert_eq!(plan.gaps, [Pages { start: 0x1000, size: 0x2000 }]);
        let data = plan.pieces[1];
        assert_eq!(data.file, Pages { start: 0x3000, size: 0x2000 });
        assert_eq!(data.offset, 0x2000);
        assert_eq!(data.clear, (0x4210, 0x5000));
        assert_eq!(data.zero, Pages { start: 0x5000, size: 0x2000 });
    }

    #[test]
    fn a_segment_without_file_bytes_is_all_zero() {
        let piece = plan(&[load(0x1100, 0x100, 0, 0x20)]).pieces[0];
        assert_eq!(piece.file.size, 0);
        assert_eq!(piece.clear, (0x1000, 0x1000));
        assert_eq!(piece.zero, Pages { start: 0x1000, size: 0x1000 });
    }

    #[test]
    fn segments_adjoin_page_by_page() {
        let adjoins = |loads: &[Segment]| plan(loads).adjoins();
        let text = load(0, 0, 0x1800, 0x1800);
        assert!(adjoins(&[text, load(0x2010, 0x1010, 0x10, 0x4000), load(0x7000, 0, 0, 0x20)]));
        assert!(!adjoins(&[text, load(0x3010, 0x1010, 0x10, 0x10)]), "a gap");
        assert!(!adjoins(&[text, load(0x1810, 0x1810, 0x10, 0x10)]), "a page of two segments");
        let large = Segment { align: 0x4000, ..text };
        let segments = Segments { loads: [large].into(), align: 0x4000, ..Segments::default() };
        assert!(!Plan::new(Kind::Shared, &segments).adjoins());
        let segments = Segments { loads: [text].into(), ..Segments::default() };
        assert!(!Plan::new(Kind::Fixed, &segments).adjoins());
    }

    #[test]
    fn a_tail_inside_the_last_file_page_ends_with_the_segment() {
        let piece = plan(&[load(0x1000, 0, 0x10, 0x18)]).pieces[0];
        assert_eq!(piece.clear, (0x1010, 0x1018));
        assert_eq!(piece.zero.size, 0);
    }
}
