//! rld's own heaps: memory of the kernel's, handed out by a well-kept allocator.
//!
//! The program's malloc(3) is not used: it may be interposed, may hold its lock when it calls the loader, and must not
//! see half a dlopen. Two things make a heap of a loader special. A child of fork(2) has one thread, and the lock that
//! another thread held lives on in it: the child notices and starts afresh ([`crate::sys::fork`]). And when the kernel
//! has no memory, a reserve lets the work at hand end in an error.
//!
//! # Safety
//!
//! Every mapping is given to the allocator once and used by nothing else. A lock keeps threads apart.
#![allow(unsafe_code)]

mod small;

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, compiler_fence};

use talc::{OomHandler, Span, Talc};

use self::small::{Class, RUN, Small};
use crate::addr::{Addr, PAGE};
use crate::sys::fork;
use crate::sys::memory::{Backing, Protection, advise_huge, map, map_aligned, unmap};
use crate::sys::process::{futex_wait, futex_wake_one};

/// What is mapped at a time, at first.
const CHUNK: u64 = 3 << 17;
/// What is mapped at a time when there is that much already, or will be: a huge page, which the kernel clears in the
/// time that it takes for a few dozen small ones. Programs of more than 100 objects come that far.
const HUGE: u64 = 1 << 21;

/// What a heap takes from the kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// Small pages, for memory of which much may never be used.
    Small,
    /// Huge ones where it is much, for memory that is written as soon as it is allocated.
    Huge,
}

impl Pages {
    /// From this size on, an allocation is a mapping of its own.
    const fn large(self) -> usize {
        match self {
            Self::Small => 1 << 19,
            Self::Huge => 1 << 21,
        }
    }
}

/// What a child goes on with whose heap was in use at the fork.
const AFRESH: usize = 1 << 26;

/// Memory that a heap is born with.
#[repr(C, align(16))]
pub struct Arena<const SIZE: usize>(UnsafeCell<[u8; SIZE]>);
// SAFETY: only the heap that is given the arena touches the bytes, under its lock.
unsafe impl<const SIZE: usize> Sync for Arena<SIZE> {}

impl<const SIZE: usize> Default for Arena<SIZE> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const SIZE: usize> Arena<SIZE> {
    /// Zeros.
    #[must_use]
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; SIZE]))
    }

    const fn part(&'static self) -> Part {
        Part { start: self.0.get().cast(), size: SIZE }
    }
}

/// Memory that the allocator does not have yet.
#[derive(Clone, Copy)]
struct Part {
    start: *mut u8,
    size: usize,
}

impl Part {
    const NONE: Self = Self { start: core::ptr::null_mut(), size: 0 };

    fn holds(self, pointer: *mut u8) -> bool {
        let start = self.start as usize;
        (start..start + self.size).contains(&(pointer as usize))
    }

    /// Takes it, if there is any.
    fn take(&mut self) -> Option<Span> {
        let Self { start, size } = core::mem::replace(self, Self::NONE);
        (size != 0).then(|| Span::from_base_size(start, size))
    }

    /// Takes pages from its start that have room for `layout`, and all if there are too few.
    fn take_pages(&mut self, layout: Layout) -> Option<Span> {
        let room = layout.size().saturating_add(layout.align()).saturating_add(BOOKS);
        let end =
            (self.start as usize).checked_add(room)?.checked_next_multiple_of(PAGE as usize)?;
        let size = self.size.min(end - self.start as usize);
        let taken = Self { size, ..*self }.take();
        (self.start, self.size) = (self.start.wrapping_add(size), self.size - size);
        taken
    }
}

/// Bytes that the allocator may need besides those of an allocation; most for its lists, when it has nothing yet.
const BOOKS: usize = 1280;

/// Where a heap gets memory: what it was born with, the kernel, and at last the reserve.
struct More {
    /// What the allocator gets next, as many pages at a time as it needs: it writes to the last word of what it has.
    next: Part,
    /// What it already has below that.
    has: Option<Span>,
    reserve: Part,
    /// Where the reserve is, or was before it was needed.
    reserve_at: Part,
    /// Bytes that the kernel has given.
    mapped: u64,
    /// In which pages it comes.
    pages: Pages,
    /// The kernel has refused memory since this was last asked.
    refused: bool,
    /// After a state was given up: the only memory that may come back.
    sole: Option<Part>,
}

impl More {
    /// What a child goes on with: one large part, of which pages count only when they are used.
    fn afresh(pages: Pages) -> Self {
        let memory = map(AFRESH as u64, Protection::READ | Protection::WRITE, Backing::Anonymous);
        let next = match memory {
            Ok(start) => Part { start: start.0 as *mut u8, size: AFRESH },
            Err(_) => Part::NONE,
        };
        Self { next, sole: Some(next), ..Self::new(Part::NONE, Part::NONE, pages) }
    }

    const fn new(next: Part, reserve: Part, pages: Pages) -> Self {
        let (has, mapped, refused, sole) = (None, 0, false, None);
        Self { next, has, reserve, reserve_at: reserve, mapped, pages, refused, sole }
    }

    /// A chunk from the kernel that has room for `layout`.
    fn chunk(&self, layout: Layout) -> Option<Part> {
        let room = (layout.size() as u64).checked_add(layout.align() as u64)?;
        let soon = self.mapped + EXPECTED.load(Ordering::Relaxed);
        let is_much = self.pages == Pages::Huge && soon.checked_add(room)? >= CHUNK;
        let huge = is_much.then(|| (room + BOOKS as u64).checked_next_multiple_of(HUGE)).flatten();
        let huge = huge.and_then(|size| Some((huge_pages(size)?, size)));
        let (start, size) = match huge {
            Some(part) => part,
            None => {
                let size = (room + CHUNK).next_multiple_of(CHUNK);
                (map(size, Protection::READ | Protection::WRITE, Backing::Anonymous).ok()?, size)
            }
        };
        Some(Part { start: start.0 as *mut u8, size: usize::try_from(size).ok()? })
    }

    /// Whether the allocator may take `pointer` back.
    fn knows(&self, pointer: *mut u8) -> bool {
        self.sole.is_none_or(|part| part.holds(pointer))
    }
}

impl OomHandler for More {
    fn handle_oom(talc: &mut Talc<Self>, layout: Layout) -> Result<(), ()> {
        let more = &mut talc.oom_handler;
        if more.next.size == 0
            && let Some(part) = more.chunk(layout)
        {
            (more.next, more.has) = (part, None);
            more.mapped += part.size as u64;
        }
        let has = more.has.take();
        let Some(pages) = more.next.take_pages(layout) else {
            more.refused = true;
            let reserve = more.reserve.take().ok_or(())?;
            // SAFETY: the span is new to the allocator and nobody else's.
            return unsafe { talc.claim(reserve) }.map(|_| ());
        };
        let has = match has {
            // SAFETY: the allocator was given what it has, and has it still; what follows is new to it.
            Some(has) => unsafe { talc.extend(has, has.fit_over(pages)) },
            // SAFETY: the span is new to the allocator and nobody else's.
            None => unsafe { talc.claim(pages)? },
        };
        talc.oom_handler.has = Some(has);
        Ok(())
    }
}

/// Memory where the kernel may put huge pages: if it does not, it is as good as any other.
fn huge_pages(size: u64) -> Option<Addr> {
    let size = size.checked_next_multiple_of(PAGE)?;
    let start = map_aligned(size, HUGE, 0, Protection::READ | Protection::WRITE).ok()?;
    advise_huge(start, size);
    Some(start)
}

/// What a heap hands out.
struct State {
    talc: Talc<More>,
    small: Small,
}

impl State {
    const fn new(more: More) -> Self {
        Self { talc: Talc::new(more), small: Small::new() }
    }

    #[inline]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let Some(class) = Class::of(layout) else {
            // SAFETY: the layout is not of size zero, as [`GlobalAlloc`] promises.
            return unsafe { self.talc.malloc(layout) }.ok();
        };
        if let Some(block) = self.small.take(class) {
            return Some(block);
        }
        if let Some(layout) = class.whole() {
            // SAFETY: a class's layout is not of size zero.
            return unsafe { self.talc.malloc(layout) }.ok();
        }
        self.small.cut(class).or_else(|| {
            // SAFETY: a run is not of size zero, and nobody else's.
            unsafe { self.small.renew(self.talc.malloc(RUN).ok()?) };
            self.small.cut(class)
        })
    }

    /// # Safety
    /// The pointer came from `allocate` with this layout, and nobody uses it any more.
    #[inline]
    unsafe fn free(&mut self, pointer: NonNull<u8>, layout: Layout) {
        if self.talc.oom_handler.knows(pointer.as_ptr()) {
            // SAFETY: as the caller promises.
            unsafe {
                match Class::of(layout) {
                    Some(class) => self.small.keep(pointer, class),
                    None => self.talc.free(pointer, layout),
                }
            }
        }
    }

    /// Changes a block's size where it is. Neither layout is large.
    ///
    /// # Safety
    /// The pointer came from `allocate` with the layout `old`.
    unsafe fn resize(&mut self, pointer: *mut u8, old: Layout, new: Layout) -> Option<()> {
        let pointer =
            NonNull::new(pointer).filter(|it| self.talc.oom_handler.knows(it.as_ptr()))?;
        match (Class::of(old), Class::of(new)) {
            (None, None) if new.size() < old.size() => {
                // SAFETY: as the caller promises.
                unsafe { self.talc.shrink(pointer, old, new.size()) };
                Some(())
            }
            (None, None) => {
                // SAFETY: as the caller promises.
                let grown = unsafe { self.talc.grow_in_place(pointer, old, new.size()) };
                grown.ok().map(drop)
            }
            (old, new) => (old == new).then_some(()),
        }
    }
}

/// The process has one thread for certain: [`begin_alone`] was called, and [`share`] not yet.
static IS_ALONE: AtomicBool = AtomicBool::new(false);

/// Bytes that will soon be asked for, as far as is known.
static EXPECTED: AtomicU64 = AtomicU64::new(0);

/// Says that about so many bytes will soon be asked for.
pub fn expect(bytes: u32) {
    EXPECTED.store(bytes.into(), Ordering::Relaxed);
}

/// Says that this process has one thread. Until [`share`] is called, heaps do without what keeps threads apart.
pub fn begin_alone() {
    IS_ALONE.store(true, Ordering::Relaxed);
}

/// Says that there may be a second thread from now on. To be called before it exists.
pub fn share() {
    IS_ALONE.store(false, Ordering::Relaxed);
}

/// The allocator behind a futex: 0 free, 1 taken, 2 taken with somebody waiting.
pub struct Heap {
    pages: Pages,
    lock: AtomicU32,
    /// The process that the state belongs to, as [`fork::generation`] counts.
    generation: AtomicU32,
    state: UnsafeCell<State>,
}

// SAFETY: `state` is reached under `lock` only.
unsafe impl Sync for Heap {}

impl Heap {
    /// A heap of `arena`, and of mappings when that is used up; `reserve` is for when the kernel has no more.
    #[must_use]
    pub const fn new<const A: usize, const R: usize>(
        arena: &'static Arena<A>,
        reserve: &'static Arena<R>,
        pages: Pages,
    ) -> Self {
        let more = More::new(arena.part(), reserve.part(), pages);
        Self {
            pages,
            lock: AtomicU32::new(0),
            generation: AtomicU32::new(0),
            state: UnsafeCell::new(State::new(more)),
        }
    }

    #[inline]
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let generation = fork::generation();
        if self.generation.load(Ordering::Relaxed) != generation {
            self.begin_in_child(generation);
        }
        let is_alone = IS_ALONE.load(Ordering::Relaxed) && self.lock.load(Ordering::Relaxed) == 0;
        match is_alone {
            true => self.lock.store(1, Ordering::Relaxed),
            false => self.take(),
        }
        // A signal handler that comes between sees the lock taken.
        compiler_fence(Ordering::SeqCst);
        // SAFETY: the lock is taken.
        let result = work(unsafe { &mut *self.state.get() });
        compiler_fence(Ordering::SeqCst);
        match is_alone {
            true => self.lock.store(0, Ordering::Relaxed),
            false => self.give_back(),
        }
        result
    }

    #[cold]
    fn begin_in_child(&self, generation: u32) {
        if self.generation.swap(generation, Ordering::Relaxed) != generation
            && self.lock.load(Ordering::Relaxed) != 0
        {
            // The parent's other thread will never give the lock back, and has left the state half changed: that
            // memory is given up.
            // SAFETY: this is the first use of the heap in a child of fork(2), which has one thread.
            unsafe { self.state.get().write(State::new(More::afresh(self.pages))) };
            self.lock.store(0, Ordering::Relaxed);
        }
    }

    fn take(&self) {
        if self.lock.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while self.lock.swap(2, Ordering::Acquire) != 0 {
                futex_wait(&self.lock, 2);
            }
        }
    }

    fn give_back(&self) {
        if self.lock.swap(0, Ordering::Release) == 2 {
            futex_wake_one(&self.lock);
        }
    }

    /// Whether an allocation is a mapping of its own. It depends on the layout alone, so that freeing knows.
    const fn is_large(&self, layout: Layout) -> bool {
        layout.size() >= self.pages.large() && layout.align() <= PAGE as usize
    }

    /// Whether a large allocation is a mapping, and not part of the reserve.
    fn is_mapping(&self, pointer: *mut u8) -> bool {
        self.with(|state| !state.talc.oom_handler.reserve_at.holds(pointer))
    }

    /// Whether the kernel has refused memory since this was last asked, so that the reserve was needed.
    pub fn was_refused(&self) -> bool {
        self.with(|state| core::mem::take(&mut state.talc.oom_handler.refused))
    }
}

/// Bytes of a reserve: enough to undo what was begun, and to say so.
pub const RESERVE: usize = 1 << 20;

// SAFETY: talc hands out memory that is apart from all other and fits the layout; so does the kernel.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.is_large(layout) {
            let (size, protection) = (layout.size() as u64, Protection::READ | Protection::WRITE);
            let huge = (self.pages == Pages::Huge).then(|| huge_pages(size)).flatten();
            let mapped = huge.or_else(|| map(size, protection, Backing::Anonymous).ok());
            if let Some(start) = mapped {
                return start.0 as *mut u8;
            }
        }
        let pointer = self.with(|state| state.allocate(layout));
        pointer.map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the layout is the caller's; new memory has room for it.
        unsafe {
            let pointer = self.alloc(layout);
            // A new mapping is zero, and need not be touched to make it so.
            let is_new = self.is_large(layout) && self.is_mapping(pointer);
            if !is_new && !pointer.is_null() {
                pointer.write_bytes(0, layout.size());
            }
            pointer
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if self.is_large(layout) && self.is_mapping(pointer) {
            // SAFETY: the mapping came from `alloc` with this layout, and nothing refers into it any more.
            unsafe { unmap(Addr(pointer as u64), layout.size() as u64) };
        } else if let Some(pointer) = NonNull::new(pointer) {
            // SAFETY: the pointer came from `alloc` with this layout.
            self.with(|state| unsafe { state.free(pointer, layout) });
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the size is not zero and no larger than `isize::MAX` with the alignment, as the trait promises.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: the pointer came from `alloc` with this layout.
        let in_place = |state: &mut State| unsafe { state.resize(pointer, layout, new) };
        if !self.is_large(layout) && !self.is_large(new) && self.with(in_place).is_some() {
            return pointer;
        }
        // SAFETY: as the caller promises; both have room for what is copied.
        unsafe {
            let moved = self.alloc(new);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(pointer, layout.size().min(new_size));
                self.dealloc(pointer, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use alloc::vec::Vec;

    static ARENA: Arena<8192> = Arena::new();
    static NO_RESERVE: Arena<0> = Arena::new();
    static HEAP: Heap = Heap::new(&ARENA, &NO_RESERVE, Pages::Huge);

    struct Owned {
        pointer: *mut u8,
        layout: Layout,
        fill: u8,
    }

    impl Owned {
        fn new(size: usize, align: usize, fill: u8) -> Self {
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: the size is not zero; the block has room for it.
            unsafe {
                let pointer = HEAP.alloc(layout);
                assert!(!pointer.is_null() && pointer.addr().is_multiple_of(align));
                pointer.write_bytes(fill, size);
                Self { pointer, layout, fill }
            }
        }

        fn is_whole(&self, size: usize) -> bool {
            // SAFETY: the block has so many bytes, all written.
            let bytes = unsafe { core::slice::from_raw_parts(self.pointer, size) };
            bytes.iter().all(|&byte| byte == self.fill)
        }

        fn resize(self, size: usize) -> Self {
            let Self { layout: old, fill, .. } = self;
            // SAFETY: the block is the heap's, with this layout; what is new is written.
            let pointer = unsafe {
                let pointer = HEAP.realloc(self.pointer, old, size);
                assert!(!pointer.is_null() && pointer.addr().is_multiple_of(old.align()));
                pointer
            };
            let this =
                Self { pointer, layout: Layout::from_size_align(size, old.align()).unwrap(), fill };
            assert!(this.is_whole(size.min(old.size())), "{} to {size} bytes", old.size());
            // SAFETY: as above.
            unsafe { pointer.write_bytes(fill, size) };
            this
        }

        fn free(self) {
            assert!(self.is_whole(self.layout.size()), "{:?}", self.layout);
            // SAFETY: the block is the heap's, with this layout.
            unsafe { HEAP.dealloc(self.pointer, self.layout) };
        }
    }

    fn use_it(seed: u64) {
        let mut state = seed;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from((state >> 33) % below).unwrap()
        };
        let mut owned: Vec<Owned> = Vec::new();
        for fill in (0..=255).cycle().take(20_000) {
            let size = 1 + random(match fill {
                0 => 200_000,
                _ => [24, 600, 3000][usize::from(fill) % 3],
            });
            match random(3) {
                0 => owned.push(Owned::new(size, 1 << random(6), fill)),
                1 if !owned.is_empty() => {
                    let resized = owned.swap_remove(random(owned.len() as u64)).resize(size);
                    owned.push(resized);
                }
                _ if !owned.is_empty() => owned.swap_remove(random(owned.len() as u64)).free(),
                _ => {}
            }
        }
        owned.into_iter().for_each(Owned::free);
    }

    /// Threads at once, blocks of all sizes and alignments that grow and shrink: none touches another.
    #[test]
    fn blocks_are_apart() {
        std::thread::scope(|scope| {
            for seed in 1..4 {
                scope.spawn(move || use_it(seed));
            }
        });
    }

    #[test]
    fn small_blocks_come_back() {
        let heap = |size| Class::of(Layout::from_size_align(size, 8).unwrap());
        assert!(heap(1) == heap(16) && heap(16) != heap(17));
        assert!(heap(1280).is_some() && heap(1281).is_none());
        assert!(Class::of(Layout::from_size_align(16, 16).unwrap()).is_none());
        let mut state = State::new(More::new(ARENA_OF_ONE.part(), Part::NONE, Pages::Huge));
        // The second is too large to be cut from another.
        for (size, rounded) in [(40, 48), (1000, 1008)] {
            let layout = Layout::from_size_align(size, 8).unwrap();
            let first = state.allocate(layout).unwrap();
            // SAFETY: the block is the state's, with this layout, and nobody uses it.
            unsafe { state.free(first, layout) };
            assert_eq!(state.allocate(Layout::from_size_align(rounded, 4).unwrap()), Some(first));
            assert_ne!(state.allocate(layout), Some(first));
        }
    }

    #[test]
    fn small_blocks_are_cut_from_runs() {
        static ARENA: Arena<8192> = Arena::new();
        let mut state = State::new(More::new(ARENA.part(), Part::NONE, Pages::Small));
        let mut allocate = |size| {
            let layout = Layout::from_size_align(size, 8).unwrap();
            state.allocate(layout).unwrap().as_ptr().addr()
        };
        let first = allocate(500);
        assert_eq!(
            [allocate(512), allocate(40), allocate(512)],
            [512, 1024, 1072].map(|it| first + it)
        );
        // The next does not fit behind these; the room there is for a block of its size.
        let other = allocate(465);
        assert!(!(first..first + RUN.size()).contains(&other));
        assert_eq!([allocate(464), allocate(16)], [first + 1584, other + 480]);
    }

    #[test]
    fn chunks_have_room_and_become_huge_pages() {
        let more = |mapped, pages| More { mapped, ..More::new(Part::NONE, Part::NONE, pages) };
        let (few, much) = (more(0, Pages::Huge), more(CHUNK, Pages::Huge));
        let small = more(CHUNK, Pages::Small);
        for size in [1, 1 << 19, (CHUNK as usize) - 2, 1 << 20, (1 << 21) - 1, 1 << 21] {
            let layout = Layout::from_size_align(size, 1).unwrap();
            let is_much = size as u64 >= CHUNK - 1;
            for (more, is_huge) in [(&few, is_much), (&much, true), (&small, false)] {
                let Part { start, size: room } = more.chunk(layout).unwrap();
                assert!(room >= size + BOOKS, "{size}: {room}");
                let fits = room.is_multiple_of(1 << 21) && start.addr().is_multiple_of(1 << 21);
                assert_eq!(fits, is_huge, "{size}: {start:?}, {room}");
                // SAFETY: the chunk is this test's.
                unsafe {
                    start.add(room - 1).write(1);
                    unmap(Addr(start as u64), room as u64);
                }
            }
        }
    }

    static ARENA_OF_ONE: Arena<8192> = Arena::new();
}
