//! The modules as running threads see them: by id, without a lock, also from signal handlers.
//!
//! A slot is written before the generation that announces it, and read by a thread that uses the module, which
//! therefore cannot go away meanwhile, or by one that looks for modules that did. Memory of the table is never freed.
//!
//! # Safety
//!
//! Chunks of the table are allocated here, all zero, which is what an empty slot is; they are leaked.
#![allow(unsafe_code)]

use alloc::vec;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::layout::{Layout, Module};

/// One module. All words are 0 while there is none.
#[derive(Default)]
pub struct Slot {
    /// The generation with which the slot changed last.
    generation: AtomicU64,
    /// How far below the thread pointer the block is; 0 as long as nothing has decided; [`BY_THREAD`].
    offset: AtomicU64,
    image: AtomicU64,
    image_size: AtomicU64,
    size: AtomicU64,
    align: AtomicU64,
    skew: AtomicU64,
}

/// A slot's contents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// The generation with which the slot changed last.
    pub generation: u64,
    /// How far below the thread pointer the block is; 0 for one that is allocated when it is first used.
    pub offset: u64,
    /// Where the initialisation image is.
    pub image: u64,
    /// Its size.
    pub image_size: u64,
    /// The size of the block; 0 while there is no module.
    pub size: u64,
    /// Its alignment.
    pub align: u64,
    /// The block's address modulo the alignment.
    pub skew: u64,
}

/// The offset of a module whose blocks threads have begun to allocate, so that it can get no other.
const BY_THREAD: u64 = u64::MAX;

const FIRST_CHUNK: u64 = 16;
const CHUNKS: usize = 28;
#[unsafe(link_section = ".bss.arena.0")]
static FIRST: [Slot; FIRST_CHUNK as usize] = [const { Slot::empty() }; FIRST_CHUNK as usize];
/// Chunk k has 16 × 2^k slots; the first is a part of the binary.
static MORE: [AtomicPtr<Slot>; CHUNKS] = [const { AtomicPtr::new(core::ptr::null_mut()) }; CHUNKS];
/// The generation of the newest change. A thread that has seen it knows all modules.
pub static GENERATION: AtomicU64 = AtomicU64::new(0);
/// The highest id there has been.
static HIGHEST: AtomicU64 = AtomicU64::new(0);

impl Slot {
    const fn empty() -> Self {
        Self {
            generation: AtomicU64::new(0),
            offset: AtomicU64::new(0),
            image: AtomicU64::new(0),
            image_size: AtomicU64::new(0),
            size: AtomicU64::new(0),
            align: AtomicU64::new(0),
            skew: AtomicU64::new(0),
        }
    }

    fn set(&self, shape: &Shape) {
        for (word, value) in [
            (&self.offset, shape.offset),
            (&self.image, shape.image),
            (&self.image_size, shape.image_size),
            (&self.size, shape.size),
            (&self.align, shape.align),
            (&self.skew, shape.skew),
            (&self.generation, shape.generation),
        ] {
            word.store(value, Ordering::Release);
        }
    }

    fn get(&self) -> Shape {
        let word = |word: &AtomicU64| word.load(Ordering::Acquire);
        Shape {
            generation: word(&self.generation),
            offset: Some(word(&self.offset)).filter(|it| *it != BY_THREAD).unwrap_or_default(),
            image: word(&self.image),
            image_size: word(&self.image_size),
            size: word(&self.size),
            align: word(&self.align),
            skew: word(&self.skew),
        }
    }
}

/// The chunk that holds an id, and the place in it.
fn place(id: u64) -> (usize, usize) {
    let chunk = (id / FIRST_CHUNK + 1).ilog2();
    let start = FIRST_CHUNK * ((1 << chunk) - 1);
    (chunk as usize, (id - start) as usize)
}

fn slot(id: u64) -> Option<&'static Slot> {
    match place(id) {
        (0, at) => FIRST.get(at),
        (chunk, at) => {
            let start = MORE.get(chunk)?.load(Ordering::Acquire);
            // SAFETY: a chunk has as many slots as `place` counts, and stays.
            (!start.is_null()).then(|| unsafe { &*start.add(at) })
        }
    }
}

/// What is known about a module; `None` for an id that no module has had.
#[must_use]
pub fn shape(id: u64) -> Option<Shape> {
    (id <= highest()).then(|| slot(id).map(Slot::get))?
}

/// The highest id there has been.
#[must_use]
pub fn highest() -> u64 {
    HIGHEST.load(Ordering::Acquire)
}

/// The generation of the newest change.
#[must_use]
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Acquire)
}

fn write(id: u64, shape: &Shape) {
    let (chunk, _) = place(id);
    if let Some(more) = MORE.get(chunk)
        && chunk != 0
        && more.load(Ordering::Acquire).is_null()
    {
        let mut slots = vec![];
        slots.resize_with((FIRST_CHUNK << chunk) as usize, Slot::default);
        more.store(slots.leak().as_mut_ptr(), Ordering::Release);
    }
    if let Some(slot) = slot(id) {
        slot.set(shape);
        HIGHEST.fetch_max(id, Ordering::AcqRel);
    }
}

/// Enters a module for `generation`, which is to be announced afterwards. Called under the loader's lock.
pub fn enter(module: &Module, generation: u64) {
    let Module { id, offset, image, segment, .. } = *module;
    write(
        id,
        &Shape {
            generation,
            offset,
            image: image.0,
            image_size: segment.filesz,
            size: segment.memsz,
            align: segment.align,
            skew: segment.skew,
        },
    );
}

/// Gives a module that threads know its place in the static area, unless one of them has begun to allocate its block
/// ([`allocates`]). The area holds the initial contents already: threads may use it at once.
#[must_use]
pub fn settle(id: u64, offset: u64) -> bool {
    let decide = |slot: &Slot| {
        slot.offset.compare_exchange(0, offset, Ordering::AcqRel, Ordering::Acquire).is_ok()
    };
    slot(id).is_some_and(decide)
}

/// Whether a thread is to allocate its block of a module: then all do, and the module gets no other. Else the block is
/// so far below the thread pointer.
///
/// # Errors
/// The block is static.
pub fn allocates(id: u64) -> Result<(), u64> {
    let Some(slot) = slot(id) else { return Ok(()) };
    match slot.offset.compare_exchange(0, BY_THREAD, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) | Err(BY_THREAD) => Ok(()),
        Err(offset) => Err(offset),
    }
}

/// Enters the modules of start-up, of which threads know without being told.
pub fn enter_all(layout: &Layout) {
    layout.modules.iter().for_each(|module| enter(module, 0));
    announce(u64::from(!layout.modules.is_empty()));
}

/// Takes a module out for `generation`, which is to be announced afterwards. Called under the loader's lock.
pub fn retire(id: u64, generation: u64) {
    let gone = Shape { generation, offset: 0, image: 0, image_size: 0, size: 0, align: 1, skew: 0 };
    write(id, &gone);
}

/// Lets threads see what was entered and taken out.
pub fn announce(generation: u64) {
    GENERATION.store(generation, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_one_place() {
        let mut next = (0, 0);
        for id in 0..10_000 {
            let (chunk, at) = place(id);
            assert!((chunk, at) == next || (chunk, at) == (next.0 + 1, 0), "{id}");
            assert!(at < (FIRST_CHUNK as usize) << chunk);
            next = (chunk, at + 1);
        }
    }
}
