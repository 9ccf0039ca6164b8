//! Where each module's block lies below the thread pointer (TLS variant II), from sizes and alignments alone.

use alloc::vec::Vec;

use crate::addr::{Addr, ObjectId};
use crate::arch::x86_64::tcb;
use crate::elf::segment::TlsSegment;

/// One module with thread-local variables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Module {
    /// The object.
    pub object: ObjectId,
    /// Its id: 1 for the first.
    pub id: u64,
    /// How far below the thread pointer its block starts; 0 for a block that each thread allocates when it needs it.
    pub offset: u64,
    /// Where its initialisation image is in the process.
    pub image: Addr,
    /// Its segment.
    pub segment: TlsSegment,
}

/// The static TLS block of every thread.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Layout {
    /// The modules by ascending id.
    pub modules: Vec<Module>,
    /// Bytes in use below the thread pointer (glibc: `tls_static_used`).
    pub used: u64,
    /// Bytes below the thread pointer, with the surplus for modules that come later.
    pub size: u64,
    /// Alignment of the thread pointer.
    pub align: u64,
}

/// A block that has no room in the address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLarge;

/// A block that has no room in the static area, which cannot grow once threads exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NoRoom {
    /// Bytes that it needs.
    pub needed: u64,
    /// Its alignment.
    pub align: u64,
    /// Bytes that are free, in one piece.
    pub left: u64,
    /// The alignment of the static area.
    pub area_align: u64,
    /// The block was used where it is, so that it cannot move.
    pub in_use: bool,
}

impl Layout {
    /// Lays out `modules` in the order in which they were loaded, as glibc does: a module may take the room that the
    /// alignment of an earlier one left free. `surplus` bytes stay for libraries opened at run time.
    ///
    /// # Errors
    /// The blocks do not fit the address space.
    pub fn new(
        modules: impl Iterator<Item = (ObjectId, Addr, TlsSegment)>,
        surplus: u64,
    ) -> Result<Self, TooLarge> {
        let mut this = Self { align: tcb::ALIGN, ..Self::default() };
        // The free room below an aligned block: from `free_top` down to `free_bottom`, as distances from the pointer.
        let (mut free_top, mut free_bottom) = (0u64, 0u64);
        for ((object, image, segment), id) in modules.zip(1..) {
            let TlsSegment { memsz, align, skew, .. } = segment;
            let first_byte = skew.wrapping_neg() & (align - 1);
            let above = |distance: u64| {
                let end = distance.checked_add(memsz).ok_or(TooLarge)?;
                let block = end.saturating_sub(first_byte).checked_next_multiple_of(align);
                block.and_then(|block| block.checked_add(first_byte)).ok_or(TooLarge)
            };
            this.align = this.align.max(align);
            let in_gap = above(free_top)?;
            let offset = if free_bottom - free_top >= memsz && in_gap <= free_bottom {
                free_top = in_gap;
                in_gap
            } else {
                let offset = above(this.used)?;
                if offset - memsz > this.used + (free_bottom - free_top) {
                    (free_top, free_bottom) = (this.used, offset - memsz);
                }
                this.used = offset;
                offset
            };
            this.modules.push(Module { object, id, offset, image, segment });
        }
        this.reserve(surplus)?;
        Ok(this)
    }

    /// Sets `size` bytes with a power of two as their alignment aside in every thread, below the modules of start-up.
    /// Returns how far below the thread pointer they start. Only before [`Self::reserve`].
    ///
    /// # Errors
    /// That does not fit the address space.
    pub fn set_aside(&mut self, size: u64, align: u64) -> Result<u64, TooLarge> {
        let end = self.used.checked_add(size).ok_or(TooLarge)?;
        self.used = end.checked_next_multiple_of(align).ok_or(TooLarge)?;
        self.align = self.align.max(align);
        Ok(self.used)
    }

    /// Sets how many bytes stay for libraries opened at run time. Only before threads exist.
    ///
    /// # Errors
    /// That does not fit the address space.
    pub fn reserve(&mut self, surplus: u64) -> Result<(), TooLarge> {
        let size = self.used.checked_add(surplus).ok_or(TooLarge)?;
        self.size = size.checked_next_multiple_of(self.align).ok_or(TooLarge)?;
        if self.size > 1 << 40 { Err(TooLarge) } else { Ok(()) }
    }

    /// Gives the module of an object that is opened at run time the lowest free id. Its block is not static.
    pub fn add(&mut self, object: ObjectId, image: Addr, segment: TlsSegment) -> u64 {
        let taken = self.modules.iter().zip(1..).take_while(|(module, id)| module.id == *id);
        let at = taken.count();
        let id = at as u64 + 1;
        self.modules.insert(at, Module { object, id, offset: 0, image, segment });
        id
    }

    /// Takes out the module of an object that is unloaded; its id and its static block are free again.
    pub fn remove(&mut self, object: ObjectId) -> Option<Module> {
        let at = self.modules.iter().position(|module| module.object == object)?;
        Some(self.modules.remove(at))
    }

    /// Finds a static block for a module of an object that is opened at run time: the lowest room that is free.
    ///
    /// # Errors
    /// There is none.
    pub fn make_static(&mut self, object: ObjectId) -> Result<(), NoRoom> {
        let Some(at) = self.modules.iter().position(|module| module.object == object) else {
            return Ok(());
        };
        let TlsSegment { memsz, align, skew, .. } = self.modules[at].segment;
        let first_byte = skew.wrapping_neg() & (align - 1);
        // What is taken beyond the blocks of start-up, as distances from the thread pointer.
        let later = self.modules.iter().filter(|module| module.offset > self.used);
        let mut taken: Vec<_> =
            later.map(|module| (module.offset - module.segment.memsz, module.offset)).collect();
        taken.sort_unstable();
        taken.push((self.size, self.size));
        let (mut free, mut left) = (self.used, 0);
        for (start, end) in taken {
            let offset = free
                .checked_add(memsz)
                .and_then(|end| end.saturating_sub(first_byte).checked_next_multiple_of(align))
                .and_then(|block| block.checked_add(first_byte));
            if align <= self.align && offset.is_some_and(|offset| offset <= start) {
                self.modules[at].offset = offset.unwrap_or_default();
                return Ok(());
            }
            left = left.max(start.saturating_sub(free));
            free = end;
        }
        let (needed, area_align) = (memsz, self.align);
        Err(NoRoom { needed, align, left, area_align, in_use: false })
    }

    /// Takes back what [`Self::make_static`] has found.
    pub fn give_back(&mut self, object: ObjectId) {
        let mut modules = self.modules.iter_mut();
        if let Some(module) = modules.find(|module| module.object == object) {
            module.offset = 0;
        }
    }

    /// Takes over the places that modules have got otherwise: on behalf of openings that failed later. `offset` is a
    /// module's by its id, or 0.
    pub fn take_over(&mut self, offset: impl Fn(u64) -> u64) {
        for module in self.modules.iter_mut().filter(|module| module.offset == 0) {
            module.offset = offset(module.id);
        }
    }

    /// The module of `object`, if it has thread-local variables.
    #[must_use]
    pub fn module(&self, object: ObjectId) -> Option<&Module> {
        self.modules.iter().find(|module| module.object == object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Vaddr;

    fn layout(blocks: &[(u64, u64, u64)]) -> Layout {
        let modules = blocks.iter().zip(0..).map(|(&(memsz, align, skew), object)| {
            let image = Vaddr(0);
            (ObjectId(object), Addr(0), TlsSegment { image, filesz: 0, memsz, align, skew })
        });
        Layout::new(modules, 1664).unwrap()
    }

    fn offsets(blocks: &[(u64, u64, u64)]) -> Vec<u64> {
        layout(blocks).modules.iter().map(|module| module.offset).collect()
    }

    #[test]
    fn the_golden_state_of_glibc() {
        // A program with 4 bytes and libc.so.6 of 2.36 with 144: contract, initial-state.
        let layout = layout(&[(4, 4, 0), (144, 8, 0)]);
        assert_eq!(layout.modules[0].offset, 4);
        assert_eq!(layout.modules[1].offset, 152);
        assert_eq!((layout.used, layout.size, layout.align), (152, 1856, 64));
    }

    #[test]
    fn alignment_is_of_the_first_byte() {
        for &(memsz, align, skew) in &[(8, 64, 0), (8, 64, 16), (100, 4096, 8), (1, 1, 0)] {
            let offset = offsets(&[(3, 1, 0), (memsz, align, skew)])[1];
            assert!(offset >= memsz + 3);
            assert_eq!(offset.wrapping_neg() & (align - 1), skew, "{memsz} {align} {skew}");
        }
    }

    #[test]
    fn a_small_module_fills_the_gap_of_an_aligned_one() {
        let got = offsets(&[(8, 8, 0), (16, 256, 0), (32, 8, 0)]);
        assert_eq!(got, [8, 256, 40]);
    }

    #[test]
    fn modules_come_and_go() {
        let mut layout = layout(&[(4, 4, 0), (144, 8, 0)]);
        let segment =
            |memsz, align| TlsSegment { image: Vaddr(0), filesz: 0, memsz, align, skew: 0 };
        let add = |layout: &mut Layout, object, memsz, align| {
            layout.add(ObjectId(object), Addr(0), segment(memsz, align));
            layout.make_static(ObjectId(object)).map(|()| *layout.module(ObjectId(object)).unwrap())
        };
        assert_eq!(add(&mut layout, 7, 100, 8).unwrap().offset, 256);
        assert_eq!(add(&mut layout, 8, 1000, 64).unwrap().offset, 1280);
        let no_room = add(&mut layout, 9, 1000, 8).unwrap_err();
        assert_eq!((no_room.needed, no_room.left), (1000, 576));
        assert!(add(&mut layout, 10, 8, 4096).is_err());
        // A room that became free is used again, and so is the id.
        assert_eq!(layout.remove(ObjectId(7)).unwrap().id, 3);
        let again = add(&mut layout, 11, 64, 8).unwrap();
        assert_eq!((again.id, again.offset), (3, 216));
        assert_eq!(layout.modules.iter().map(|it| it.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let segment = TlsSegment { image: Vaddr(0), filesz: 0, memsz: 1 << 46, align: 8, skew: 0 };
        let module = (ObjectId(0), Addr(0), segment);
        assert_eq!(Layout::new([module; 3].into_iter(), 0), Err(TooLarge));
    }
}
