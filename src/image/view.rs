//! The bytes of an object by virtual address, wherever they are: mapped in this process, or in a file.

use alloc::vec::Vec;

use crate::addr::{Addr, Bias, Vaddr};
use crate::elf::Malformed;
use crate::elf::segment::Segment;

/// One segment's bytes as far as they come from the file.
#[derive(Clone, Copy)]
struct Part<'a> {
    segment: Segment,
    bytes: &'a [u8],
}

/// A readable view of an object. Only what comes from the file can be seen: a table has no business in zero pages.
///
/// Relocation never writes to what a view has handed out (see `image::memory`), so the bytes do not change.
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
        let parts = parts.into_iter().map(|(segment, bytes)| Part { segment, bytes }).collect();
        Self { bias, parts }
    }

    /// `len` bytes at `vaddr`, if one readable segment holds them all.
    #[must_use]
    pub fn bytes(&self, vaddr: Vaddr, len: u64) -> Option<&'a [u8]> {
        let tail = self.tail(vaddr)?;
        tail.get(..usize::try_from(len).ok()?)
    }

    /// All bytes from `vaddr` to the end of its segment.
    #[must_use]
    pub fn tail(&self, vaddr: Vaddr) -> Option<&'a [u8]> {
        self.parts.iter().find_map(|part| {
            let skip = vaddr.0.checked_sub(part.segment.vaddr.0)?;
            part.bytes.get(usize::try_from(skip).ok()?..).filter(|tail| !tail.is_empty())
        })
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
    pub fn rest(&self, structure: &'static str, vaddr: Vaddr) -> Result<&'a [u8], Malformed> {
        self.tail(vaddr).ok_or_else(|| outside(structure, vaddr))
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
}

fn outside(structure: &'static str, vaddr: Vaddr) -> Malformed {
    Malformed::new("dynamic section points outside the object", structure, vaddr.0)
}
