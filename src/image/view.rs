//! The bytes of an object by virtual address, wherever they are: mapped in this process, or in a file.
//!
//! # Safety
//!
//! A view is made from slices, so all it can hand out was borrowed. It keeps where they are and how long they are, but
//! not the slices themselves: a segment also holds words that relocation writes, and only what a view has handed out
//! must not change. Relocation leaves exactly that alone (see `image::memory`).
#![allow(unsafe_code)]

use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::addr::{Addr, Bias, Vaddr};
use crate::elf::Malformed;
use crate::elf::segment::{Access, Segment, Span};

/// One segment's bytes as far as they come from the file.
#[derive(Clone, Copy)]
struct Part<'a> {
    segment: Segment,
    start: *const u8,
    len: usize,
    bytes: PhantomData<&'a [u8]>,
}

// SAFETY: a part stands for a shared slice, which may be read from any thread.
unsafe impl Send for Part<'_> {}
// SAFETY: as above.
unsafe impl Sync for Part<'_> {}

/// A readable view of an object. Only what comes from the file can be seen: a table has no business in zero pages.
#[derive(Clone, Default)]
pub struct Image<'a> {
    /// The load bias.
    pub bias: Bias,
    parts: Vec<Part<'a>>,
}

impl<'a> Image<'a> {
    /// A view of `parts`, each a PT_LOAD with its file bytes.
    #[must_use]
    pub fn new(bias: Bias, parts: impl IntoIterator<Item = (Segment, &'a [u8])>) -> Self {
        let part = |(segment, bytes): (Segment, &'a [u8])| {
            let (start, len) = (bytes.as_ptr(), bytes.len());
            Part { segment, start, len, bytes: PhantomData }
        };
        let mut parts: Vec<Part<'a>> = parts.into_iter().map(part).collect();
        // Editors of ELF files make tables that begin in one segment and end in the next: what lies without a gap in
        // the object and in memory is seen as one.
        for index in (1..parts.len()).rev() {
            let [.., before, after] = parts.get_mut(..=index).unwrap_or_default() else { continue };
            let joins = before.len as u64 == before.segment.memsz
                && before.segment.end() == after.segment.vaddr.0
                && before.start.wrapping_add(before.len) == after.start;
            if joins && before.len != 0 && after.len != 0 {
                before.len += after.len;
            }
        }
        Self { bias, parts }
    }

    /// `len` bytes at `vaddr`, if one readable segment holds them all.
    #[must_use]
    pub fn bytes(&self, vaddr: Vaddr, len: u64) -> Option<&'a [u8]> {
        let len = usize::try_from(len).ok()?;
        self.slice(vaddr, |left| (len <= left).then_some(len))
    }

    /// All bytes from `vaddr` to the end of its segment, but not past `end`.
    #[must_use]
    pub fn tail(&self, vaddr: Vaddr, end: u64) -> Option<&'a [u8]> {
        let limit = usize::try_from(end.checked_sub(vaddr.0)?).unwrap_or(usize::MAX);
        self.slice(vaddr, |left| Some(left.min(limit)))
    }

    /// As many bytes at `vaddr` as `choose` makes of those that are left in the segment, at least one.
    fn slice(&self, vaddr: Vaddr, choose: impl Fn(usize) -> Option<usize>) -> Option<&'a [u8]> {
        self.parts.iter().find_map(|part| {
            let skip = usize::try_from(vaddr.0.checked_sub(part.segment.vaddr.0)?).ok()?;
            let left = part.len.checked_sub(skip).filter(|&left| left != 0)?;
            let len = choose(left)?;
            // SAFETY: `skip + len` bytes are part of the slice that the part was made from, which lives as long as 'a.
            Some(unsafe { core::slice::from_raw_parts(part.start.add(skip), len) })
        })
    }

    /// Whether relocation may write into the segment that holds `vaddr`.
    #[must_use]
    pub fn is_writable(&self, vaddr: Vaddr) -> bool {
        let segment = self.segments().find(|segment| segment.holds(vaddr, 1));
        segment.is_some_and(|segment| segment.access.contains(Access::WRITE))
    }

    /// As [`Image::bytes`], with the defect that its absence is.
    ///
    /// # Errors
    /// `structure` points outside the object.
    pub fn area(
        &self,
        structure: &'static str,
        vaddr: Vaddr,
        len: u64,
    ) -> Result<&'a [u8], Malformed> {
        if len == 0 {
            return Ok(&[]);
        }
        self.bytes(vaddr, len).ok_or_else(|| outside(structure, vaddr))
    }

    /// As [`Image::tail`], with the defect that its absence is.
    ///
    /// # Errors
    /// `structure` points outside the object.
    pub fn rest(
        &self,
        structure: &'static str,
        vaddr: Vaddr,
        end: u64,
    ) -> Result<&'a [u8], Malformed> {
        self.tail(vaddr, end).ok_or_else(|| outside(structure, vaddr))
    }

    /// The PT_LOADs.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &Segment> {
        self.parts.iter().map(|part| &part.segment)
    }

    /// The address in the process of a place in the object.
    #[must_use]
    pub const fn address(&self, vaddr: Vaddr) -> Addr {
        self.bias.apply(vaddr)
    }

    /// Whether some PT_LOAD holds `address` in memory.
    #[must_use]
    pub fn holds(&self, address: Addr) -> bool {
        let vaddr = self.bias.remove(address);
        self.parts.iter().any(|part| part.segment.holds(vaddr, 1))
    }

    /// Whether `address` is in an executable PT_LOAD: what is called elsewhere ends the process.
    #[must_use]
    pub fn is_code(&self, address: Addr) -> bool {
        self.code_at(self.bias.remove(address)).is_some()
    }

    /// The executable PT_LOAD that `vaddr` is in.
    #[must_use]
    pub fn code_at(&self, vaddr: Vaddr) -> Option<Span> {
        let is_code = |segment: &&Segment| {
            segment.access.contains(Access::EXECUTE) && segment.holds(vaddr, 1)
        };
        let segment = self.parts.iter().map(|part| &part.segment).find(is_code)?;
        Some(Span { vaddr: segment.vaddr, size: segment.memsz })
    }
}

fn outside(structure: &'static str, vaddr: Vaddr) -> Malformed {
    Malformed::new("dynamic section points outside the object", structure, vaddr.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(vaddr: u64, size: u64) -> Segment {
        Segment {
            kind: 1,
            access: Access::READ,
            offset: vaddr,
            vaddr: Vaddr(vaddr),
            filesz: size,
            memsz: size,
            align: 8,
        }
    }

    #[test]
    fn a_table_may_go_on_in_the_next_segment() {
        static FILE: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        let parts = [
            (segment(0, 4), &FILE[..4]),
            (segment(4, 4), &FILE[4..8]),
            // A gap: not what comes next.
            (segment(10, 2), &FILE[10..]),
        ];
        let image = Image::new(Bias(0), parts);
        assert_eq!(image.bytes(Vaddr(2), 5), Some(&FILE[2..7]));
        assert_eq!(image.bytes(Vaddr(6), 3), None);
        assert_eq!(image.tail(Vaddr(1), u64::MAX), Some(&FILE[1..8]));
        assert_eq!(image.tail(Vaddr(1), 3), Some(&FILE[1..3]));
        assert_eq!(image.bytes(Vaddr(11), 1), Some(&FILE[11..]));
        assert_eq!(image.bytes(Vaddr(12), 1), None);
    }
}
