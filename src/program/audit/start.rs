//! A start with auditors. They are told of the program's libraries while these are looked for, so that they run before
//! there are any: in a process that is the program, the vDSO and rld, with the layout of the libc that the program
//! would find.
//!
//! # Safety
//!
//! As for [`super::super::start`]: the functions here are stages of it.
#![allow(unsafe_code)]

use alloc::vec::Vec;

use super::super::command::Job;
use super::super::listing::List;
use super::super::live::Live;
use super::super::open::{Loading, with_linker};
use super::super::prepare::{self, Plan};
use super::super::process::Process;
use super::super::searching::Searching;
use super::super::show::{self, Change};
use super::super::terms::{Own, Stop};
use super::super::world::{Kept, World};
use super::super::{checks, preload, relocate, tracing};
use super::listed::Listed;
use super::load::{load, refuse};
use super::{Activity, activity_in, opened, plt};
use crate::abi::glibc;
use crate::abi::glibc::cpu::{self, Cpuid};
use crate::abi::glibc::layout::Layout;
use crate::abi::unknown;
use crate::addr::ObjectId;
use crate::arch::vector_state;
use crate::env::Settings;
use crate::error::{Error, Result};
use crate::linkmap::id_set::IdSet;
use crate::linkmap::{LinkMap, Linker};
use crate::object::Role;
use crate::search::Purpose;
use crate::sys::stack::InitialStack;
use crate::tls::thread;
use crate::trace::Stage;

/// The layout of the libc.so.6 that the program would find, which auditors find as well. The file is only looked at.
/// `None` where there is none, or its build is not known: then no auditor can be loaded, which is said.
pub fn layout(
    linker: &mut Linker<'_, 'static, Live>,
    auditors: &[&[u8]],
) -> Option<&'static Layout> {
    let say = |error: Error| refuse(auditors, &error);
    find_layout(linker).map_err(say).ok()
}

fn find_layout(linker: &mut Linker<'_, 'static, Live>) -> Result<&'static Layout> {
    let program = linker.map.program();
    let libc = linker.open(glibc::SONAME, Some(program), Purpose::Library)?;
    let layout = match linker.map.get(libc).filter(|it| it.role != Role::Absent) {
        Some(object) => glibc::layout_of(object),
        None => Err(Error::words(glibc::SONAME, "cannot open shared object file")),
    };
    linker.map.remove(&IdSet::from_iter([libc]));
    linker.search.forget(libc);
    layout
}

/// What a start has found so far.
pub struct Found<'f> {
    /// The kernel's stack.
    pub stack: &'f InitialStack,
    /// What the binary knows of itself.
    pub own: &'f Own,
    /// The command line.
    pub job: &'f Job,
    /// The environment's settings.
    pub settings: &'f Settings<'static>,
    /// The names of the auditors.
    pub names: &'f [&'static [u8]],
    /// What is to be shown of the program's libraries, if that is all that is asked for.
    pub list: Option<&'f List<'f>>,
    /// Whether the process has more rights than its caller.
    pub secure: bool,
}

impl Found<'_> {
    /// Starts with the program alone, loads the auditors, then all that the program needs.
    ///
    /// # Errors
    /// The program cannot be started.
    ///
    /// # Safety
    /// As this file's head says.
    pub unsafe fn start(
        &self,
        mut map: LinkMap<'static>,
        plan: Plan<'_>,
        searching: Searching,
    ) -> core::result::Result<&'static Process, Stop> {
        let program = map.program();
        if let Some(space) = map.spaces.get_mut(LinkMap::BASE) {
            space.search_list = alloc::vec![program];
        }
        let (layout, isa) = (plan.layout, plan.cpu.isa_1);
        find_vectors();
        // SAFETY: as the caller promises.
        let process = unsafe { plan.carry_out(map, self.stack, self.own, searching)? };
        // SAFETY: the main thread's DTV has room for the program's module, whose image is copied again when it is
        // relocated.
        unsafe { thread::initialise(process.facts.main_thread) };
        for name in self.names {
            // SAFETY: the process has one thread that rld knows of; thread pointer and libc's data are in place.
            unsafe { load(process, name, self.secure) };
        }
        let watching = process.auditors.all();
        let loader = process.world().map.by_role(Role::Loader);
        if let Some(layout) = layout {
            for id in [program].into_iter().chain(loader) {
                opened(watching, layout, &process.world().link_maps, id, LinkMap::BASE);
            }
        }
        activity_in(process, process.world(), LinkMap::BASE, Activity::Add);

        // What auditors open meanwhile would be lost: it is refused.
        process.begin_change();
        tracing::begins(Stage::Load);
        let fresh = self.load(process, isa)?;
        tracing::ends(Stage::Load);
        tracing::initial_scopes(process);
        let mut relocated = fresh.clone();
        relocated.push(program);
        tracing::begins(Stage::Relocate);
        // SAFETY: as the caller promises. Whoever looks something up meanwhile does so in what is relocated.
        unsafe { relocate::start(process, process.world_mut(), &relocated)? };
        tracing::ends(Stage::Relocate);
        process.end_change();
        let change = Change { space: LinkMap::BASE, came: &fresh, went: &[] };
        show::tell(process, process.world(), &change);
        if layout.is_some() {
            prepare::show_start(process);
        }
        refill(process, program);
        process.show_places();
        Ok(process)
    }

    /// Loads what is preloaded and what is needed, and makes it the world, unless it is only shown; returns what has
    /// come.
    fn load(
        &self,
        process: &'static Process,
        isa: u32,
    ) -> core::result::Result<Vec<ObjectId>, Stop> {
        let name = process.facts.name;
        let root = process.facts.searching.root();
        let mut world = process.world().clone();
        let (program, vdso) = (world.map.program(), world.map.by_role(Role::Vdso));
        if let Some(known) = world.map.objects.share(program) {
            // What it needs is noted in a copy that nobody else has yet; the first keeps the memory, for good.
            world.map.replace(program, known.again()?);
            core::mem::forget(known);
        }
        let lists_absent = self.list.is_some_and(|list| list.traced);
        let loading = Loading { announced: true, lists_absent, ..Loading::default() };
        let preloaded = with_linker(process, &mut world, LinkMap::BASE, loading, |linker| {
            Ok(preload::all(linker, self.settings, self.job, root, self.secure))
        })?;
        if let (Some(vdso), Some(layout)) = (vdso, process.layout()) {
            opened(process.auditors.all(), layout, &world.link_maps, vdso, LinkMap::BASE);
        }
        with_linker(process, &mut world, LinkMap::BASE, loading, |linker| {
            linker.load_dependencies(program, &preloaded)
        })?;
        if let Some(list) = self.list {
            let maps = process.layout().map(|layout| (layout, &world.link_maps));
            let listed = Listed { watching: process.auditors.all(), maps };
            return Err(list.answer(&world.map, &listed));
        }
        checks::versions(&world.map, name)?;
        checks::instruction_sets(world.map.in_search_order().map(|(_, it)| it), isa, name)?;
        let executable = checks::stack(&world.map, self.stack, self.job.is_direct())?;
        let libc = glibc::identify(&world.map)?;
        unknown::check_start(&world.map, libc.map(|found| found.libc), name)?;
        if let (Some(layout), Some(found)) = (process.layout(), libc)
            && !core::ptr::eq(found.layout, layout)
        {
            let words = "another build of glibc than the auditors' cannot be loaded beside it";
            let object = world.map.get(found.libc);
            let object = object.map_or(&b""[..], |object| object.name.to_bytes());
            let (theirs, this) = (layout.minor, found.layout.minor);
            let releases = alloc::format!("the auditors' is glibc 2.{theirs}, this is 2.{this}");
            let error = Error::words(object, words).with(releases);
            let how = "an auditor (la_objsearch) or a preloaded library has led to it";
            return Err(error.with(how).into());
        }
        let old = process.world();
        let is_new = |id: &ObjectId| old.map.get(*id).is_none();
        let ids = world.map.objects.iter().map(|(id, _)| id);
        let fresh: Vec<_> = ids.filter(is_new).collect();
        begin(process, &mut world, &fresh)?;
        world.begin_start(
            Kept::global(
                &world.map,
                world.map.search_list(),
                libc.map(|found| found.libc),
                relocate::references(&world.map, process.facts.bind_now),
            ),
            libc.map(|found| found.libc),
        );
        world.take_counts(old);
        process.replace_world(world, || process.show_places());
        if executable {
            process.open_new_stacks();
        }
        Ok(fresh)
    }
}

/// Finds out where the processor puts vector registers that auditors may change.
fn find_vectors() {
    const AVX: u32 = 2;
    const UPPER_ZMM: u32 = 6;
    let enabled = if vector_state::has_xsave() { cpu::Native.xgetbv0() } else { 0 };
    let offset = |part: u32| match enabled >> part & 1 {
        0 => 0,
        _ => cpu::Native.cpuid(0xd, part)[1],
    };
    vector_state::find_upper_halves(offset(AVX), offset(UPPER_ZMM));
}

/// Gives new objects their modules, link maps and, where auditors follow their calls, what these are bound to.
fn begin(process: &Process, world: &mut World, fresh: &[ObjectId]) -> Result<()> {
    let watching = process.auditors.all();
    world.begin_lives();
    for id in fresh.iter().copied().chain([world.map.program()]) {
        let Some(object) = world.map.get(id) else { continue };
        if let Some(segment) = object.segments.tls.filter(|_| object.role != Role::Program) {
            world.tls.add(id, object.image.address(segment.image), segment);
        }
        world.link_maps.add(process.link_map_layout(), id, object);
        let slots = plt::slots(watching, object);
        if let Some(life) = world.life_mut(id) {
            life.slots = slots;
        }
    }
    Ok(())
}

/// Copies an object's image of thread-local variables, now that it is relocated, to all threads.
fn refill(process: &Process, id: ObjectId) {
    let world = process.world();
    if let Some(module) = world.tls.module(id) {
        show::fill_static_tls(process, world, module);
    }
}
