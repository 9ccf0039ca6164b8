//! The state of a started process, and what programs ask of their loader while they run.
//!
//! # Safety
//!
//! The state is made once, before any code of the program runs, leaked, and reached through one atomic pointer. What
//! changes later is atomic, or the [`World`], which is replaced as a whole. Functions that follow pointers of the
//! caller are `unsafe`.
#![allow(unsafe_code)]

pub mod projections;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use super::audit::Auditors;
use super::checks;
use super::locks::{self, Lock, Locks, while_reading};
use super::musl::Musl;
use super::places::{Place, Places};
use super::searching::Searching;
use super::show;
use super::symbols::FoundVersion;
use super::world::World;
use crate::abi::glibc::exports::Exports;
use crate::abi::glibc::fields::Fields;
use crate::abi::glibc::{self, global, link_maps};
use crate::addr::{Addr, ObjectId};
use crate::elf::segment::{Access, within};
use crate::env::tunables::{Value, Values};
use crate::heap;
use crate::init::Arguments;
use crate::linkmap::LinkMap;
use crate::linkmap::id_set::IdSet;
use crate::object::{Object, Role};
use crate::reloc::apply::Entries;
use crate::sys::fork;
use crate::sys::memory::{Protection, protect};
use crate::text::Text;
use crate::tls::{block, thread};
use projections::Projection;

/// What is decided before the first object is relocated.
pub struct Facts {
    /// The program's name, `argv[0]`.
    pub name: &'static [u8],
    /// The layout that the C library was built with, if there is glibc's.
    pub layout: Option<&'static glibc::layout::Layout>,
    /// musl, if that is the C library.
    pub musl: Option<Musl>,
    /// The tunables by the numbers that libc knows.
    pub tunables: Values<'static>,
    /// Addresses of what rld exports.
    pub exports: Exports,
    /// Code for relocated words.
    pub entries: Entries,
    /// The main thread's thread pointer.
    pub main_thread: Addr,
    /// Bytes of the thread control block.
    pub tcb_size: u64,
    /// What initialisers are called with.
    pub arguments: Arguments,
    /// LD_BIND_NOW.
    pub bind_now: bool,
    /// LD_BIND_NOT.
    pub bind_not: bool,
    /// LD_DYNAMIC_WEAK.
    pub dynamic_weak: bool,
    /// The instruction set levels of the CPU.
    pub isa: u32,
    /// LD_WARN: what is only odd is said, too.
    pub strict: bool,
    /// Says whether the kernel has refused memory since this was last asked.
    pub memory_refused: fn() -> bool,
    /// How libraries are found.
    pub searching: Searching,
}

/// A started process.
pub struct Process {
    /// What does not change.
    pub facts: Facts,
    /// The locks that are shared with libc.
    pub locks: Locks,
    /// What the program's libc reads, if it is glibc's.
    projection: Option<Projection>,
    world: AtomicPtr<World>,
    places: Places,
    /// The program's calloc(3) and free(3), once it can be asked for memory.
    pub memory: Memory,
    /// libc's functions for raising and catching errors.
    pub errors: Errors,
    /// Of which process a thread changes the world, as `change_in` says; 0 while none does.
    changing: AtomicU64,
    /// The world of objects whose resolvers are being called, which is not shown yet.
    resolving: AtomicPtr<World>,
    /// How the search for what can be unloaded stands; 0 while there is none.
    pub sweep: AtomicU32,
    /// The process that all this was seen in last, as [`fork::generation`] counts.
    generation: AtomicU32,
    /// Who is told of all that (rtld-audit(7)).
    pub auditors: Auditors,
    /// The finalisers of the exit have begun.
    pub exiting: AtomicBool,
    /// How many objects have come, and how many have gone.
    pub counts: [AtomicU64; 2],
    /// Which tunables libc means by its numbers.
    told: glibc::tunables::Told,
}

/// The functions with which libc raises and catches its loader's errors (contract 7.1). 0 where libc has none.
#[derive(Debug, Default)]
pub struct Errors {
    /// `_dl_catch_error`.
    pub catch_error: AtomicU64,
    /// `_dl_catch_exception`.
    pub catch_exception: AtomicU64,
    /// `_dl_signal_error`.
    pub signal_error: AtomicU64,
    /// `_dl_signal_exception`.
    pub signal_exception: AtomicU64,
}

/// The allocator that the program uses, which may not be libc's (contract 8.5). 0 where there is none yet.
#[derive(Debug, Default)]
pub struct Memory {
    /// calloc(3).
    pub calloc: AtomicU64,
    /// free(3).
    pub free: AtomicU64,
    /// The variable `environ`.
    pub environ: AtomicU64,
    /// A first thread is being started, or was.
    is_shared: AtomicBool,
}

static CURRENT: AtomicPtr<Process> = AtomicPtr::new(core::ptr::null_mut());

/// The process that this copy of rld has started, as soon as foreign code may run.
#[inline]
#[must_use]
pub fn current() -> Option<&'static Process> {
    // SAFETY: the pointer is null or comes from `Process::publish`, which leaks what it points to.
    unsafe { CURRENT.load(Ordering::Acquire).as_ref() }
}

impl Process {
    /// A process whose code has not run yet.
    #[must_use]
    pub fn new(facts: Facts, world: World) -> Self {
        let data = &facts.exports.data;
        let this = Self {
            projection: facts.layout.map(|layout| Projection::of_program(layout, data)),
            facts,
            locks: Locks::default(),
            world: AtomicPtr::new(Box::into_raw(Box::new(world))),
            places: Places::new(),
            memory: Memory::default(),
            errors: Errors::default(),
            changing: AtomicU64::new(0),
            resolving: AtomicPtr::default(),
            sweep: AtomicU32::new(0),
            generation: AtomicU32::new(0),
            auditors: Auditors::default(),
            exiting: AtomicBool::new(false),
            counts: Default::default(),
            told: Default::default(),
        };
        this.show_places();
        this
    }

    /// Makes this the process that [`current`] returns, for good.
    #[must_use]
    pub fn publish(self) -> &'static Self {
        let this = Box::leak(Box::new(self));
        CURRENT.store(this, Ordering::Release);
        this
    }

    /// The objects as they are now. The caller holds the loader's lock, or reads
    /// ([`while_reading`]), or is the only thread.
    #[inline]
    #[must_use]
    pub fn world(&self) -> &World {
        // SAFETY: never null; a world is freed when it is neither current nor read.
        unsafe { &*self.world.load(Ordering::Acquire) }
    }

    /// Lets a new world be the current one, and frees the old one when nobody reads it any more. `show` tells others
    /// of it before. The caller holds the loader's lock.
    pub fn replace_world(&self, world: World, show: impl FnOnce()) {
        let old = self.world.swap(Box::into_raw(Box::new(world)), Ordering::AcqRel);
        show();
        self.locks.wait_for_readers();
        // SAFETY: the pointer came from a box, and whoever has read it is done.
        drop(unsafe { Box::from_raw(old) });
    }

    /// The current world, to be changed while nobody else can see it.
    ///
    /// # Safety
    /// The process has one thread, which holds no other reference to the world.
    #[must_use]
    #[expect(clippy::mut_from_ref, reason = "the caller's promise")]
    pub unsafe fn world_mut(&self) -> &mut World {
        // SAFETY: as the caller promises.
        unsafe { &mut *self.world.load(Ordering::Acquire) }
    }

    /// Enters the places of all visible objects.
    pub fn show_places(&self) {
        let world = self.world();
        let mut places = places(world, world.map.objects.iter().map(|(id, _)| id));
        let program = world.map.program();
        if let Some(at) = places.iter().position(|place| place.object == program)
            && let Some(before) = places.get_mut(..=at)
        {
            before.rotate_right(1);
        }
        self.places.set(&places);
    }

    /// Enters the places of objects that came, and takes out those of objects that went.
    pub fn change_places(&self, came: &[ObjectId], went: &[ObjectId]) {
        let went: IdSet = went.iter().copied().collect();
        let came = places(self.world(), came.iter().copied());
        self.places.change(&came, |id| went.holds(id));
    }

    /// The object whose mapping holds `address`. Takes no lock: unwinders ask from signal handlers.
    #[must_use]
    pub fn find_code(&self, address: u64) -> Option<Place> {
        self.places.find(address)
    }

    /// The same as a part of its caller, for unwinders, whose time counts.
    #[inline(always)]
    pub fn find_code_with<T>(&self, address: u64, take: impl Fn(Place) -> T) -> Option<T> {
        self.places.find_with(address, take)
    }

    /// Takes the loader's lock. In a child of fork(2), what threads of the parent were in the middle of is over.
    pub fn begin(&self) {
        self.locks.acquire(Lock::Load);
        let generation = fork::generation();
        if self.generation.load(Ordering::Relaxed) != generation {
            self.generation.store(generation, Ordering::Relaxed);
            self.end_change();
            self.sweep.store(0, Ordering::Relaxed);
            self.show_places();
            show::link_again(self);
        }
    }

    /// This thread changes the world from now on. The caller holds the loader's lock, or there is no other thread.
    pub fn begin_change(&self) {
        self.changing.store(Self::change_in(fork::generation()), Ordering::Relaxed);
    }

    /// The change is made, or given up.
    pub fn end_change(&self) {
        self.changing.store(0, Ordering::Relaxed);
        self.resolving.store(core::ptr::null_mut(), Ordering::Release);
    }

    /// Calls a resolver of an object in a world that may not be shown yet: what it calls is looked up there.
    pub fn while_resolving<T>(&self, world: &World, call: impl FnOnce() -> T) -> T {
        self.resolving.store(core::ptr::from_ref(world).cast_mut(), Ordering::Release);
        let answer = call();
        self.resolving.store(core::ptr::null_mut(), Ordering::Release);
        answer
    }

    /// The world that a resolver of an object that is not shown yet belongs to. Asked by code of such objects alone.
    #[must_use]
    pub fn resolving(&self) -> Option<&World> {
        // SAFETY: null, or a world that stays while the resolver runs, which asks.
        unsafe { self.resolving.load(Ordering::Acquire).as_ref() }
    }

    /// Whether this thread is in the middle of a change. The caller holds the loader's lock, so that no other thread
    /// is; in a child of fork(2), what the parent was in the middle of is over.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.changing.load(Ordering::Relaxed) == Self::change_in(fork::generation())
    }

    /// How a change is noted: by the process, as [`fork::generation`] counts.
    const fn change_in(generation: u32) -> u64 {
        generation as u64 + 1
    }

    /// Gives the loader's lock back.
    pub fn end(&self) {
        self.locks.release(Lock::Load);
    }

    /// The environment as the program has it now, which initialisers are called with.
    #[must_use]
    pub fn environment(&self) -> *mut *mut core::ffi::c_char {
        match self.memory.environ.load(Ordering::Acquire) {
            0 => self.facts.arguments.envp,
            // SAFETY: the address of libc's variable.
            address => unsafe { (address as *const *mut *mut core::ffi::c_char).read() },
        }
    }

    /// What the program's libc reads, if it is glibc's.
    #[inline]
    #[must_use]
    pub const fn projection(&self) -> Option<&Projection> {
        self.projection.as_ref()
    }

    /// The layout of the C library in a namespace.
    #[must_use]
    pub fn layout_in(&self, world: &World, space: usize) -> Option<&'static glibc::layout::Layout> {
        world.layout_in(space).or(self.layout())
    }

    /// That of the C library which the code at an address is bound to.
    #[must_use]
    pub fn layout_at(&self, address: u64) -> Option<&'static glibc::layout::Layout> {
        let place = self.find_code(address);
        while_reading(|| {
            let world = self.world();
            let life = place.and_then(|place| world.life(place.object));
            self.layout_in(world, life.map_or(LinkMap::BASE, |life| life.space))
        })
    }

    /// The C library's layout.
    #[must_use]
    pub fn layout(&self) -> Option<&'static glibc::layout::Layout> {
        self.facts.layout
    }

    /// The layout of link maps. Without glibc, only the fields that are public have a reader.
    #[must_use]
    pub fn link_map_layout(&self) -> &'static glibc::layout::Layout {
        self.layout().unwrap_or(glibc::layout::Layout::common())
    }

    /// The layout of link maps in a namespace.
    #[must_use]
    pub fn link_map_layout_in(
        &self,
        world: &World,
        space: usize,
    ) -> &'static glibc::layout::Layout {
        world.layout_in(space).unwrap_or(self.link_map_layout())
    }

    /// The program's C library.
    #[must_use]
    pub fn libc(&self) -> Option<ObjectId> {
        self.world().spaces.first()?.libc
    }

    /// Gives a new thread its DTV and static blocks. `thread_pointer` is a zeroed thread control block on top of enough
    /// room for the static blocks, or 0 to have all of it allocated. Returns the thread pointer; 0 without memory.
    ///
    /// # Safety
    /// As said.
    #[must_use]
    pub unsafe fn allocate_tls(&self, thread_pointer: Addr) -> Addr {
        fork::watch();
        heap::share();
        self.share_allocator();
        let given = thread_pointer;
        let thread_pointer = match given {
            Addr(0) => self.allocate_block(),
            given => given,
        };
        // SAFETY: the block is the caller's or new.
        unsafe {
            // No module comes between making room for all and looking at them.
            let _modules = self.locks.hold(Lock::Tls);
            if thread_pointer == Addr(0) || !thread::install(thread_pointer) {
                if given == Addr(0) && thread_pointer != given {
                    self.free_block(thread_pointer);
                }
                return Addr(0);
            }
            thread::initialise(thread_pointer);
            self.mark_areas(thread_pointer);
        }
        thread_pointer
    }

    /// Static blocks with a thread control block on top, from the program's allocator. What free(3) needs later stands
    /// behind the control block.
    fn allocate_block(&self) -> Addr {
        // What a thread's area is like never changes, so that any world will do.
        let (area, align) = while_reading(|| {
            let tls = &self.world().tls;
            (tls.size, tls.align)
        });
        let tcb_size = self.facts.tcb_size;
        let Some(size) = [area, tcb_size, align, 8].into_iter().try_fold(0u64, u64::checked_add)
        else {
            return Addr(0);
        };
        let memory = self.calloc(size) as u64;
        if memory == 0 {
            return Addr(0);
        }
        let thread_pointer = Addr((memory + area).next_multiple_of(align));
        // SAFETY: the allocation has room for the word behind the control block.
        unsafe { block::set_word(thread_pointer, tcb_size, memory) };
        thread_pointer
    }

    /// # Safety
    /// The block came from `allocate_block`.
    unsafe fn free_block(&self, thread_pointer: Addr) {
        // SAFETY: the word behind the control block says what to free.
        self.free(unsafe { ((thread_pointer.0 + self.facts.tcb_size) as *const u64).read() });
    }

    /// Resets a thread's DTV and static blocks, when libc uses a stack again.
    ///
    /// # Safety
    /// The thread control block has a DTV of [`Process::allocate_tls`], and its thread does not run.
    pub unsafe fn reset_tls(&self, thread_pointer: Addr) {
        let _modules = self.locks.hold(Lock::Tls);
        locks::forget_reader(thread_pointer);
        // SAFETY: as the caller promises.
        unsafe {
            thread::reset(thread_pointer);
            self.mark_areas(thread_pointer);
        }
    }

    /// Frees a thread's DTV, and with `block` what [`Process::allocate_tls`] has allocated for it.
    ///
    /// # Safety
    /// The thread has ended.
    pub unsafe fn free_tls(&self, thread_pointer: Addr, with_block: bool) {
        // SAFETY: as the caller promises.
        unsafe {
            thread::release(thread_pointer);
            if with_block && thread_pointer != self.facts.main_thread {
                self.free_block(thread_pointer);
            }
        }
    }

    /// A tunable by the number that a libc of this layout knows it by, and whether the user has set it.
    #[must_use]
    pub fn tunable(
        &self,
        layout: &glibc::layout::Layout,
        id: u32,
    ) -> Option<(Value<'static>, bool)> {
        self.facts.tunables.by_id(self.told.list(layout, id)?, id)
    }

    /// Whether memory of an object can be written; `None` if it is no object's. The caller is reading.
    #[must_use]
    pub fn is_writable(&self, start: u64, size: u64) -> Option<bool> {
        let place = self.find_code(start)?;
        let object = self.world().map.get(place.object)?;
        let vaddr = object.image.bias.remove(Addr(start));
        let segment = object.image.segments().find(|segment| segment.holds(vaddr, size))?;
        let relro = object.segments.relro;
        let is_sealed = relro.is_some_and(|span| within(span.vaddr.0, span.size, vaddr.0, size));
        Some(segment.access.contains(Access::WRITE) && !is_sealed)
    }

    /// The name, for messages, of an object.
    #[must_use]
    pub fn name_of<'o>(&'o self, object: &'o Object<'_>) -> &'o [u8] {
        match object.role {
            Role::Program if !self.facts.name.is_empty() => self.facts.name,
            _ => object.name.to_bytes(),
        }
    }

    /// Writes the words for a lookup that found nothing. Allocates nothing: the caller may be left by a jump.
    ///
    /// # Safety
    /// `version` is null or a version in glibc's form.
    pub unsafe fn undefined_symbol(
        &self,
        name: &CStr,
        version: *const FoundVersion,
        to: &mut impl Write,
    ) {
        // SAFETY: as the caller promises.
        let version = unsafe { version.as_ref() };
        let _ = write!(to, "undefined symbol: {}", Text(name.to_bytes()));
        if let Some(version) = version {
            let _ = write!(to, ", version {}", Text(version.name()));
        }
    }

    /// Where a libc of this layout has `cpu_features`.
    #[must_use]
    pub fn cpu_features(&self, layout: Option<&glibc::layout::Layout>) -> Addr {
        let mut all = self.projections();
        let it = layout.and_then(|layout| all.find(|it| core::ptr::eq(it.layout, layout)));
        let place = it.map(|it| it.ro.at(it.layout.rtld_global_ro.x86_cpu_features));
        place.map_or(self.facts.exports.data.rtld_global_ro, Addr)
    }

    /// Makes a thread's stack executable, above its guard; returns 0 or an error number.
    ///
    /// # Safety
    /// `thread` is the block of a thread whose stack libc has allocated.
    #[must_use]
    pub unsafe fn open_stack(&self, thread: Addr) -> i32 {
        let Some(layout) = self.layout() else { return libc::EINVAL };
        let at = &layout.pthread;
        // SAFETY: the block is as large as the layout says.
        let block = unsafe { Fields::new(thread.0 as *mut u8, at.size.into()) };
        let word = |offset| block.get::<u64>(offset).unwrap_or_default();
        // The guard's size follows that of the stack in every release.
        let (start, size) = (word(at.stackblock), word(at.stackblock_size));
        let guard = word(at.stackblock_size + 8);
        let protection = Protection::READ | Protection::WRITE | Protection::EXECUTE;
        // SAFETY: the range is the thread's stack, and no permission goes away.
        match unsafe { protect(Addr(start + guard), size.saturating_sub(guard), protection) } {
            Ok(()) => 0,
            Err(errno) => errno.0,
        }
    }

    /// Makes the main thread's stack executable, up to `end`, and says so for those of new threads; returns 0 or an
    /// error number.
    #[must_use]
    pub fn open_main_stack(&self, end: Addr) -> i32 {
        if self.projection.is_none() {
            return libc::EINVAL;
        }
        if let Err(errno) = checks::open_main_stack(end) {
            return errno.0;
        }
        self.open_new_stacks();
        0
    }

    /// Lets the stacks of new threads be executable.
    pub fn open_new_stacks(&self) {
        for Projection { layout, global, .. } in self.projections() {
            global::set_stack_flags(layout, global, true);
        }
    }

    /// Memory from the program's allocator, zeroed; null where there is none.
    #[must_use]
    pub fn calloc(&self, size: u64) -> *mut u8 {
        let function = self.memory.calloc.load(Ordering::Acquire);
        if function == 0 {
            return core::ptr::null_mut();
        }
        // SAFETY: the address is that of the program's calloc.
        unsafe {
            core::mem::transmute::<u64, unsafe extern "C" fn(usize, usize) -> *mut u8>(function)(
                1,
                size as usize,
            )
        }
    }

    /// Has the program's allocator called before a second thread can call it: glibc's makes itself ready in its first
    /// call, and takes it that there is one thread then. glibc's loader has DTVs from it, so that nobody notices.
    fn share_allocator(&self) {
        if !self.memory.is_shared.load(Ordering::Relaxed) {
            // Before the call: the program's own allocator may start a thread.
            self.memory.is_shared.store(true, Ordering::Relaxed);
            self.free(self.calloc(1) as u64);
        }
    }

    /// Gives memory back to the program's allocator; 0 is nothing.
    pub fn free(&self, pointer: u64) {
        let function = self.memory.free.load(Ordering::Acquire);
        if function != 0 && pointer != 0 {
            // SAFETY: the address is that of the program's free, and the pointer came from its calloc.
            unsafe { core::mem::transmute::<u64, unsafe extern "C" fn(u64)>(function)(pointer) };
        }
    }
}

/// The places of objects, sorted by address.
fn places(world: &World, ids: impl Iterator<Item = ObjectId>) -> Vec<Place> {
    let mut places: Vec<_> = ids.filter_map(|id| place(world, id)).collect();
    places.sort_unstable_by_key(|place| place.start);
    places
}

/// Where an object is, if it has a link map.
fn place(world: &World, id: ObjectId) -> Option<Place> {
    let (object, link_map) = (world.map.get(id)?, world.link_maps.address(id));
    // rld's places are known by the first of its link maps.
    let is_second = object.role == Role::Loader && object.space != LinkMap::BASE;
    let (start, end) = link_maps::extent(object);
    let eh_frame = object.segments.eh_frame;
    let eh_frame = eh_frame.map_or(0, |span| object.image.address(span.vaddr).0);
    let place = Place { start, end, link_map, eh_frame, object: id };
    (link_map != 0 && !is_second).then_some(place)
}
