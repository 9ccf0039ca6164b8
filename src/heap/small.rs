//! Blocks of small sizes: when they are freed, they are kept for the next allocation of their size. Most of what the
//! loader allocates is small and comes back soon, and joining it with its neighbours each time costs more than what is
//! done with it. The smaller ones are cut from larger ones, one behind the other.
//!
//! # Safety
//!
//! A block that is kept is nobody's, as large as its class says, and aligned for a pointer, which it holds. What is
//! left to cut from is nobody's, too.
#![allow(unsafe_code)]

use core::alloc::Layout;
use core::ptr::NonNull;

/// Sizes are rounded up to a multiple of this.
const STEP: usize = 16;
/// How many sizes there are; what is larger is not kept.
const CLASSES: usize = 80;
/// How many of them are cut from larger blocks.
const CUT: usize = 32;

/// What a free block holds: the next one of its size.
type Next = Option<NonNull<u8>>;

/// The blocks that nobody uses.
pub(super) struct Small {
    /// The first freed one of each size.
    freed: [Next; CLASSES],
    /// What others are cut from, and how many bytes that is.
    rest: Next,
    left: usize,
}

/// What blocks are cut from.
pub(super) const RUN: Layout = Layout::new::<[Next; 256]>();

/// The class of a layout: all its blocks have the same size and alignment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Class(usize);

impl Class {
    /// `None` for what is large or has an unusual alignment.
    #[inline]
    pub(super) const fn of(layout: Layout) -> Option<Self> {
        let class = layout.size().wrapping_sub(1) / STEP;
        if class < CLASSES && layout.align() <= align_of::<Next>() {
            Some(Self(class))
        } else {
            None
        }
    }

    /// How many bytes a block of this class has.
    const fn size(self) -> usize {
        (self.0 + 1) * STEP
    }

    /// The layout of a block that is not cut from a larger one.
    pub(super) fn whole(self) -> Option<Layout> {
        let is_cut = self.0 < CUT;
        Layout::from_size_align(self.size(), align_of::<Next>()).ok().filter(|_| !is_cut)
    }
}

impl Small {
    /// Nothing is there yet.
    pub(super) const fn new() -> Self {
        Self { freed: [None; CLASSES], rest: None, left: 0 }
    }

    /// A block that was freed.
    #[inline]
    pub(super) fn take(&mut self, class: Class) -> Option<NonNull<u8>> {
        let head = self.freed.get_mut(class.0)?;
        let block = (*head)?;
        // SAFETY: a block that is kept holds the next one.
        *head = unsafe { block.cast::<Next>().read() };
        Some(block)
    }

    /// A new block.
    #[inline]
    pub(super) fn cut(&mut self, class: Class) -> Option<NonNull<u8>> {
        let block = self.rest?;
        self.left = self.left.checked_sub(class.size())?;
        // SAFETY: so many bytes are left.
        self.rest = Some(unsafe { block.add(class.size()) });
        Some(block)
    }

    /// Cuts from `run` from now on; what was left before is kept as a block.
    ///
    /// # Safety
    /// It was allocated as [`RUN`], and nobody uses it.
    pub(super) unsafe fn renew(&mut self, run: NonNull<u8>) {
        if let Some(class) = (self.left / STEP).checked_sub(1).map(Class)
            && let Some(block) = self.cut(class)
        {
            // SAFETY: the block was cut just now.
            unsafe { self.keep(block, class) };
        }
        (self.rest, self.left) = (Some(run), RUN.size());
    }

    /// Keeps a block.
    ///
    /// # Safety
    /// It is as large as its class says, and nobody uses it any more.
    #[inline]
    pub(super) unsafe fn keep(&mut self, block: NonNull<u8>, class: Class) {
        if let Some(head) = self.freed.get_mut(class.0) {
            // SAFETY: the block is free, and has room for a pointer at its alignment.
            unsafe { block.cast::<Next>().write(*head) };
            *head = Some(block);
        }
    }
}
