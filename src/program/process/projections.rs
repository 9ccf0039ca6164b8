//! What C libraries read of their loader: `_rtld_global` and `_rtld_global_ro` once for each layout in the process. The
//! program's libc has the binary's own. A libc of another layout, which came into a namespace of its own (dlmopen(3)),
//! has others, and so have all that have its layout: libraries of one build share them, as under ld.so.
//!
//! A projection is made when the first such libc comes, and stays for the next one: so nothing grows, and nothing that
//! threads read ever goes.
//!
//! # Safety
//!
//! The structures are the binary's variables, or mapped here for good. Projections are leaked, and linked to one
//! another by a pointer that is written once, under the loader's lock.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicPtr, Ordering};

use super::Process;
use crate::abi::glibc::cpu::{self, Native, Release};
use crate::abi::glibc::exports::{Data, RTLD_GLOBAL_RO_SIZE, RTLD_GLOBAL_SIZE};
use crate::abi::glibc::fields::Fields;
use crate::abi::glibc::layout::Layout;
use crate::abi::glibc::link_maps::LinkMaps;
use crate::abi::glibc::{self, beside, global, global_ro};
use crate::addr::{Addr, ObjectId, PAGE};
use crate::elf::symbol::Symbol;
use crate::elf::table::Table;
use crate::errno::Errno;
use crate::error::{Error, Result};
use crate::linkmap::LinkMap;
use crate::lookup::redefined::redefined;
use crate::object::{Object, Role};
use crate::program::open::{For, Request};
use crate::program::prepare;
use crate::program::world::World;
use crate::sys::memory::{Backing, Protection, map, protect};
use crate::sys::stack::auxiliary;
use crate::tls::modules;

/// What the C libraries of one layout read of their loader.
pub struct Projection {
    /// The layout.
    pub layout: &'static Layout,
    /// `_rtld_global`.
    pub global: Fields,
    /// `_rtld_global_ro`.
    pub ro: Fields,
    /// Where libc looks for the area of restartable sequences, from the thread pointer on.
    rseq: Option<i64>,
    /// rld's symbols as these libraries see them; the program's see the file's.
    symbols: Table<'static, Symbol>,
    next: AtomicPtr<Projection>,
}

/// Functions that serve a libc by its layout, and find that by who calls them. It is text, since pointers to text would
/// be relocated at every start.
const BY_CALLER: &str =
    "__tunable_get_val __tunable_is_initialized _dl_x86_get_cpu_features __get_cpu_features";
/// The processor's number in an area of restartable sequences, and what it is while the kernel does not write it.
const CPU_ID: i64 = 4;
const CPU_ID_UNINITIALISED: i32 = -1;

impl Projection {
    /// That of the program's libc, in the binary's own variables.
    #[must_use]
    pub fn of_program(layout: &'static Layout, data: &Data) -> Self {
        // SAFETY: the binary's own variables, which have these sizes.
        let [global, ro] =
            [(data.rtld_global, RTLD_GLOBAL_SIZE), (data.rtld_global_ro, RTLD_GLOBAL_RO_SIZE)]
                .map(|(at, size)| unsafe { Fields::new(at.0 as *mut u8, size) });
        Self {
            layout,
            global,
            ro,
            rseq: None,
            symbols: Table::default(),
            next: AtomicPtr::default(),
        }
    }

    /// The next one, if there is more than one layout.
    #[inline]
    #[must_use]
    pub fn next(&self) -> Option<&'static Self> {
        // SAFETY: the pointer is null, or leads to a projection that was leaked.
        unsafe { self.next.load(Ordering::Acquire).as_ref() }
    }

    /// One for a layout that none is for. The caller holds the loader's lock.
    fn make(
        process: &Process,
        own: &Self,
        world: &World,
        loader: &Object<'static>,
        layout: &'static Layout,
    ) -> Option<&'static Self> {
        let data = &process.facts.exports.data;
        let pages = (RTLD_GLOBAL_SIZE as u64).next_multiple_of(PAGE);
        let start = map(PAGE + pages, Protection::READ | Protection::WRITE, Backing::Anonymous);
        let start = start.ok()?.0;
        // SAFETY: the pages were mapped just now, for good.
        let [ro, global] = [(start, RTLD_GLOBAL_RO_SIZE), (start + PAGE, RTLD_GLOBAL_SIZE)]
            .map(|(at, size)| unsafe { Fields::new(at as *mut u8, size) });
        write_global(process, own, world, layout, &global, global_ro::all_dirs(layout, &ro));
        write_ro(process, own, world, layout, &ro);
        // SAFETY: nobody writes there any more. If it stays writable, it only lacks that protection.
        let _ = unsafe { protect(Addr(start), PAGE, Protection::READ) };

        let names = BY_CALLER.split(' ').map(str::as_bytes);
        let functions = names.zip(process.facts.exports.functions.by_caller);
        let variables = [
            (&b"_rtld_global"[..], Addr(global.address())),
            (b"_rtld_global_ro", Addr(ro.address())),
        ];
        let symbols = Table::new(redefined(loader, functions.chain(variables)).leak());
        // SAFETY: the binary's own variable.
        let exported = unsafe { (data.rseq_offset.0 as *const i64).read() };
        let rseq = beside::rseq_offset(layout, exported);
        let known = beside::rseq_offset(own.layout, exported);
        let rseq = rseq.filter(|_| rseq != known);
        Some(Box::leak(Box::new(Self {
            layout,
            global,
            ro,
            rseq,
            symbols,
            next: AtomicPtr::default(),
        })))
    }

    /// Says in a thread's areas of restartable sequences that the kernel does not write them: libc then asks the vDSO.
    /// The kernel knows one area of a thread, which the libc registers that has started it.
    ///
    /// # Safety
    /// `thread` is a thread control block; the kernel does not write the area that these libraries look at, nor that of
    /// the program's, if `own` says where it is.
    unsafe fn mark(&self, thread: Addr, own: Option<i64>) {
        for area in self.rseq.into_iter().chain(own) {
            let place = thread.0.wrapping_add_signed(area + CPU_ID);
            // SAFETY: both areas lie in the thread's block, or in its static area.
            unsafe { (place as *mut i32).write(CPU_ID_UNINITIALISED) };
        }
    }
}

/// Fills `_rtld_global` for libraries that come now.
fn write_global(
    process: &Process,
    own: &Projection,
    world: &World,
    layout: &'static Layout,
    to: &Fields,
    all_dirs: Addr,
) {
    let facts = global::Facts {
        executable_stack: global::has_executable_stacks(own.layout, &own.global),
        pthread: None,
        all_dirs,
        count_lock: process.facts.exports.functions.count_lock,
    };
    global::write(layout, to, &facts);
    let came = process.counts[0].load(Ordering::Relaxed);
    global::counts(layout, to, came, world.spaces.len());
    global::start_modules(layout, to, &world.link_maps, &world.tls);
    global::modules(layout, to, &world.tls, modules::generation(), modules::highest());
    let dtv = own.global.get(own.layout.rtld_global.initial_dtv).unwrap_or_default();
    global::set_initial_dtv(layout, to, Addr(dtv));
}

/// Fills `_rtld_global_ro`.
fn write_ro(
    process: &Process,
    own: &Projection,
    world: &World,
    layout: &'static Layout,
    to: &Fields,
) {
    let auxv = own.ro.get(own.layout.rtld_global_ro.auxv).unwrap_or_default();
    // SAFETY: where the kernel has put the vector, which nobody changes.
    let entries = unsafe { auxiliary(auxv as *const [u64; 2]) };
    let aux = |kind| entries.iter().find(|entry| entry[0] == kind).map(|entry| entry[1]);
    let tunables = glibc::cpu_tunables(&process.facts.tunables, layout.minor);
    let hwcap2 = aux(libc::AT_HWCAP2).unwrap_or_default();
    let release = Release::of(layout, hwcap2);
    let cpu = cpu::detect(&Native, &tunables).as_of(release, &Native, &tunables);
    let facts = global_ro::Facts {
        bind_not: process.facts.bind_not,
        dynamic_weak: process.facts.dynamic_weak,
        lazy: !process.facts.bind_now,
        older_order: world.map.objects.older_order,
        // Without its link map, which has another layout, some functions are system calls (contract 6.6).
        vdso: prepare::vdso(layout, &world.map, &LinkMaps::default()),
        ..global_ro::Facts::new(Addr(auxv), aux, &cpu, &world.tls)
    };
    global_ro::write(layout, to, &process.facts.exports.functions, &facts);
}

impl Process {
    /// What the libraries of all layouts read; the program's first.
    pub fn projections(&self) -> impl Iterator<Item = &Projection> {
        core::iter::successors(self.projection(), |last| last.next())
    }

    /// Lets a new thread's areas of restartable sequences say that the kernel does not know them yet.
    ///
    /// # Safety
    /// `thread` is the block of a thread that has not begun to run.
    pub(super) unsafe fn mark_areas(&self, thread: Addr) {
        let Some(own) = self.projection() else { return };
        let mut next = own.next();
        while let Some(other) = next {
            // SAFETY: the binary's own variable.
            let exported = unsafe { (self.facts.exports.data.rseq_offset.0 as *const i64).read() };
            let area = beside::rseq_offset(own.layout, exported);
            // SAFETY: as the caller promises.
            unsafe { other.mark(thread, area.filter(|_| other.rseq.is_some())) };
            next = other.next();
        }
    }
}

/// Where the objects that came into a new namespace have a libc of another layout than the program's: lets them see rld
/// as that libc wants it. `list` is what was asked for, with all that it needs.
///
/// # Errors
/// The two cannot be in one process.
pub fn enter(
    process: &Process,
    world: &mut World,
    request: &Request<'_>,
    list: &mut [ObjectId],
    space: usize,
) -> Result<()> {
    let old = process.world();
    let is_libc = |id: &ObjectId| {
        old.map.get(*id).is_none() && world.map.get(*id).is_some_and(glibc::is_libc)
    };
    let libc = list.iter().copied().find(is_libc);
    match (libc, process.projection()) {
        (Some(libc), Some(own)) => enter_with(process, own, world, request, list, (libc, space)),
        _ => Ok(()),
    }
}

/// The same where there is a libc. Apart from [`enter`], which is called with small stacks.
#[cold]
#[inline(never)]
fn enter_with(
    process: &Process,
    own: &Projection,
    world: &mut World,
    request: &Request<'_>,
    list: &mut [ObjectId],
    (libc, space): (ObjectId, usize),
) -> Result<()> {
    let Some(object) = world.map.get(libc) else { return Ok(()) };
    let layout = glibc::layout_of(object)?;
    let known = world.layout_in(space).unwrap_or(own.layout);
    if core::ptr::eq(layout, known) {
        return Ok(());
    }
    let old = process.world();
    let obstacles = obstacles(process, old, request, space, layout);
    if !obstacles.is_empty() {
        let (known, minor) = (known.minor, layout.minor);
        let mut error = glibc::other_build(object);
        error.details.push(alloc::format!("the program's is glibc 2.{known}, this is 2.{minor}"));
        error.details.extend(obstacles);
        return Err(error);
    }
    let id = world.map.by_role(Role::Loader);
    let Some(loader) = id.and_then(|id| world.map.get(id)) else { return Ok(()) };
    let made = process.projections().find(|it| core::ptr::eq(it.layout, layout));
    let projection = match made {
        Some(made) => made,
        None => {
            let made = Projection::make(process, own, world, loader, layout);
            let made = made.ok_or_else(|| {
                let words = "cannot allocate what another build of glibc reads";
                let error = Error::system(object.name.to_bytes(), words, Errno::ENOMEM);
                error.with_limits(Errno::ENOMEM)
            })?;
            publish(process, made);
            made
        }
    };
    let mut seen = loader.again()?;
    seen.exports.symbols = projection.symbols;
    let new = list.iter().copied().filter(|&id| old.map.get(id).is_none());
    let new: Vec<_> = new.collect();
    let seen = world.map.set_loader(space, seen, &new);
    for known in list.iter_mut().filter(|known| Some(**known) == id) {
        *known = seen;
    }
    if let Some(space) = world.spaces.get_mut(space) {
        space.layout = Some(layout);
    }
    Ok(())
}

/// Lets threads know of a projection. The caller holds the loader's lock.
fn publish(process: &Process, made: &'static Projection) {
    let Some(last) = process.projections().last() else { return };
    last.next.store(core::ptr::from_ref(made).cast_mut(), Ordering::Release);
    process.locks.share(made.layout, Addr(made.global.address()));
    process.locks.each_thread(|thread| {
        // SAFETY: the area of this layout's libraries is no other's, which `beside` has made sure of.
        unsafe { made.mark(thread, None) };
    });
}

/// Why a libc of another layout cannot come into a namespace.
fn obstacles(
    process: &Process,
    old: &World,
    request: &Request<'_>,
    space: usize,
    layout: &Layout,
) -> Vec<String> {
    if space == LinkMap::BASE {
        return Vec::from(
            ["only a new namespace may have another: dlmopen(3), LM_ID_NEWLM".into()],
        );
    }
    if old.map.spaces.get(space).is_some_and(|space| !space.members.is_empty()) {
        return Vec::from(["only a new namespace may have another, and this one is in use".into()]);
    }
    if request.purpose != For::Program || !process.auditors.all().is_empty() {
        return Vec::from(["auditors see objects of the program's build alone".into()]);
    }
    let mut found = Vec::new();
    for line in process.projections().flat_map(|it| beside::obstacles(it.layout, layout)) {
        if !found.contains(&line) {
            found.push(line);
        }
    }
    found
}
