//! Freed blocks of small sizes, kept for the next allocation of their size: most of what the loader allocates is small
//! and comes back soon, and joining it with its neighbours each time costs more than what is done with it.
//!
//! # Safety
//!
//! A block that is kept is nobody's, as large as its class says, and aligned for a pointer, which it holds.
#![allow(unsafe_code)]

use core::alloc::Layout;
use core::ptr::NonNull;

/// Sizes are rounded up to a multiple of this.
const STEP: usize = 16;
/// How many sizes there are; what is larger is not kept.
const CLASSES: usize = 32;

/// What a free block holds: the next one of its size.
type Next = Option<NonNull<u8>>;

/// The first free block of each size.
pub(super) struct Small([Next; CLASSES]);

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

    /// What a block of this class is allocated as.
    pub(super) const fn layout(self) -> Option<Layout> {
        match Layout::from_size_align((self.0 + 1) * STEP, align_of::<Next>()) {
            Ok(layout) => Some(layout),
            Err(_) => None,
        }
    }
}

impl Small {
    /// Nothing was freed yet.
    pub(super) const fn new() -> Self {
        Self([None; CLASSES])
    }

    /// A block that was freed, if there is one.
    #[inline]
    pub(super) fn take(&mut self, class: Class) -> Option<NonNull<u8>> {
        let head = self.0.get_mut(class.0)?;
        let block = (*head)?;
        // SAFETY: a block that is kept holds the next one.
        *head = unsafe { block.cast::<Next>().read() };
        Some(block)
    }

    /// Keeps a block.
    ///
    /// # Safety
    /// It was allocated with [`Class::layout`], and nobody uses it any more.
    #[inline]
    pub(super) unsafe fn keep(&mut self, block: NonNull<u8>, class: Class) {
        if let Some(head) = self.0.get_mut(class.0) {
            // SAFETY: the block is free, and has room for a pointer at its alignment.
            unsafe { block.cast::<Next>().write(*head) };
            *head = Some(block);
        }
    }
}
