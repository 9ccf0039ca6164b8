//! Thread-local storage of the main thread, and the data that libc finds when its code first runs.
//!
//! # Safety
//!
//! The thread control block is mapped here and never unmapped; exported data belongs to the binary, which hands over
//! its addresses before anything else reads them.
#![allow(unsafe_code)]

use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::musl::{self, host};
use super::process::projections::Projection;
use super::process::{Facts, Process};
use super::relocate;
use super::searching::Searching;
use super::terms::{Own, Stop, platform, program_name};
use super::world::{Kept, World};
use crate::abi::glibc::cpu::{CpuFeatures, Native, Release};
use crate::abi::glibc::exports::Data;
use crate::abi::glibc::fields::Fields;
use crate::abi::glibc::layout::Layout;
use crate::abi::glibc::link_maps::{self, LinkMaps};
use crate::abi::glibc::thread::{self, RseqArea};
use crate::abi::glibc::{self, global, global_ro};
use crate::addr::{Addr, ObjectId};
use crate::arch::x86_64::tcb;
use crate::elf::hash::sysv;
use crate::elf::version::Version;
use crate::env::Settings;
use crate::env::tunables::{Value, Values};
use crate::errno::Errno;
use crate::error::{Error, Problem, Result};
use crate::init::Arguments;
use crate::linkmap::{LinkMap, Objects};
use crate::lookup::{Class, Reference, one, told};
use crate::object::{Object, Role};
use crate::sys::stack::InitialStack;
use crate::text::Text;
use crate::tls;
use crate::tls::block;
use crate::trace::How;

/// Static TLS for libraries that come later: what glibc has by default (contract 2.3).
const TLS_SURPLUS: u64 = 1664;
/// What each of the namespaces that `glibc.rtld.nns` counts has of it; the rest is `glibc.rtld.optional_static_tls`.
const NAMESPACE_TLS: u64 = 288;
/// What rld adds where threads with the smallest stack still have room for it.
const GENEROUS_SURPLUS: u64 = 4608;
/// The same for each auditor, which brings libraries of its own.
const AUDITOR_SURPLUS: u64 = 512;
/// Bytes of the smallest stack (PTHREAD_STACK_MIN) that libc leaves for static TLS and the thread control block: it
/// wants a guard page and 2 KiB for itself.
const SMALLEST_AREA: u64 = 16384 - 4096 - 2048;
/// The thread control block of a program without a libc: the psABI's words, and room.
const BARE_TCB_SIZE: u64 = 1024;
// Entries of the auxiliary vector that the libc crate does not have (linux/auxvec.h).
const AT_RSEQ_FEATURE_SIZE: u64 = 27;
const AT_RSEQ_ALIGN: u64 = 28;

/// What has been decided so far.
pub struct Plan<'p> {
    /// The layout of glibc's C library.
    pub layout: Option<&'static Layout>,
    /// The C library, if it is among the objects already.
    pub libc: Option<ObjectId>,
    /// How many auditors there may be.
    pub auditors: u16,
    /// Whether stacks are executable.
    pub executable_stack: bool,
    /// The CPU.
    pub cpu: &'p CpuFeatures,
    /// The environment's settings.
    pub settings: &'p Settings<'static>,
    /// The tunables.
    pub values: Values<'static>,
}

/// No room for the blocks of all modules: the largest is named.
#[cold]
fn no_thread_storage(map: &LinkMap<'_>, program: &[u8]) -> Error {
    let mut error = Error::new(b"", Problem::NoThreadStorage);
    error.details.extend(largest_block(map, program));
    error
}

/// Who needs the most thread-local storage, in words.
#[must_use]
pub fn largest_block(map: &LinkMap<'_>, program: &[u8]) -> Option<String> {
    let sizes = map.objects.iter().filter_map(|(_, it)| Some((it.segments.tls?.memsz, it)));
    let (size, object) = sizes.max_by_key(|(size, _)| *size)?;
    let name = Text(object.display_name(program));
    Some(alloc::format!("{name} alone needs {size} bytes of thread-local storage for each thread"))
}

impl Plan<'_> {
    /// Lays out and maps thread-local storage, installs the thread pointer, writes what libc reads, and makes the
    /// process known to rld's exported functions.
    ///
    /// # Errors
    /// No room for thread-local storage.
    ///
    /// # Safety
    /// Called once, on the process's one thread.
    pub unsafe fn carry_out(
        self,
        mut map: LinkMap<'static>,
        stack: &InitialStack,
        own: &Own,
        searching: Searching,
    ) -> core::result::Result<&'static Process, Stop> {
        let name = program_name(stack);
        let layout = self.layout;
        let tcb_size = layout.map_or(BARE_TCB_SIZE, |layout| layout.pthread.size.into());
        let (tls, rseq) = self.tls_layout(&map, stack, tcb_size)?;
        tls::modules::enter_all(&tls);
        let bind_now = self.settings.bind_now || map.hosted().is_some();
        let functions = musl::take_functions(&mut map, own)?;
        let references = relocate::references(&map, bind_now);
        let global = Kept::global(&map, map.search_list(), self.libc, references);
        let no_room =
            |errno: Errno| no_thread_storage(&map, name).with(errno.described()).with_limits(errno);
        let (musl, main_thread) = match functions {
            Some(functions) => {
                let start = host::Start { map: &map, run: global.run(), tls: &tls, stack, own };
                // SAFETY: the library was only mapped so far, and the one thread has no thread pointer.
                let (musl, main_thread) = unsafe { start.carry_out(functions)? };
                (Some(musl), main_thread)
            }
            None => {
                let main_thread = block::map_main(&tls, tcb_size).map_err(no_room)?;
                let random = random_bytes(stack);
                // SAFETY: the block was mapped just now.
                unsafe {
                    if !tls::thread::install(main_thread) {
                        return Err(no_room(Errno::ENOMEM).into());
                    }
                    thread::install(main_thread, random).map_err(no_room)?;
                }
                (None, main_thread)
            }
        };
        // SAFETY: the binary's own variables, which nobody has read yet.
        unsafe { plain_data(&own.exports.data, stack, searching.secure) };
        let mut link_maps = LinkMaps::for_auditors(self.auditors);
        // Auditors are told of rld whether or not something needs it; code without a libc is bound to it.
        let loader = map.by_role(Role::Loader);
        let loader = loader.filter(|_| self.auditors != 0 || self.libc.is_none());
        for id in map.visible().into_iter().chain(loader) {
            let shape = layout.unwrap_or(Layout::common());
            map.get(id).into_iter().for_each(|object| link_maps.add(shape, id, object));
        }
        let mut entries = own.entries;
        if musl.is_some() {
            entries.dynamic = own.musl.dynamic;
        }
        let facts = Facts {
            name,
            layout,
            musl,
            tunables: self.values.clone(),
            exports: own.exports,
            entries,
            main_thread,
            tcb_size,
            arguments: Arguments {
                argc: i32::try_from(stack.argc()).unwrap_or(i32::MAX),
                argv: stack.argv(),
                envp: stack.envp(),
            },
            bind_now,
            bind_not: self.settings.bind_not,
            dynamic_weak: self.settings.dynamic_weak,
            strict: self.settings.warn,
            isa: self.cpu.isa_1,
            memory_refused: own.memory_refused,
            searching,
        };
        let world = World::new(map, tls, link_maps, global, self.libc);
        let process = Process::new(facts, world).publish();
        if process.facts.musl.is_some() {
            process.locks.use_own();
        }
        match layout {
            // SAFETY: as the caller promises.
            Some(layout) => unsafe { self.project(process, layout, stack, rseq) },
            None => _ = project_objects(process),
        }
        super::debugger::announce(process);
        Ok(process)
    }

    /// Thread-local storage of start-up, and where in it the area of restartable sequences is.
    fn tls_layout(
        &self,
        map: &LinkMap<'static>,
        stack: &InitialStack,
        tcb_size: u64,
    ) -> Result<(tls::Layout, Option<RseqArea>)> {
        let program = program_name(stack);
        let too_large = |_| no_thread_storage(map, program);
        let modules = map.objects.iter().filter_map(|(id, object)| {
            let segment = object.segments.tls?;
            let counts = matches!(object.role, Role::Program | Role::Library);
            counts.then(|| (id, object.image.address(segment.image), segment))
        });
        let mut tls = tls::Layout::new(modules, 0).map_err(too_large)?;
        if map.hosted().is_some() {
            // musl has no static blocks for libraries that come later: no room is left.
            tls.reserve(host::OWN_TLS).map_err(too_large)?;
            tls.used = tls.size;
            return Ok((tls, None));
        }
        let wishes = [AT_RSEQ_FEATURE_SIZE, AT_RSEQ_ALIGN].map(|kind| stack.aux(kind));
        let area = |layout| RseqArea::of(layout, &mut tls, wishes);
        let rseq = self.layout.map_or(Ok(None), area).map_err(too_large)?;
        let room = SMALLEST_AREA.saturating_sub(tcb_size + tls.used);
        let wanted = GENEROUS_SURPLUS + AUDITOR_SURPLUS * u64::from(self.auditors);
        let generous = room.clamp(TLS_SURPLUS, wanted);
        let asked_for = surplus(&self.values).saturating_sub(TLS_SURPLUS);
        tls.reserve(generous.saturating_add(asked_for)).map_err(too_large)?;
        Ok((tls, rseq))
    }

    /// Writes `_rtld_global`, `_rtld_global_ro`, the link maps and the main thread's block (contract 12).
    ///
    /// # Safety
    /// The thread pointer is installed, and libc has not run.
    unsafe fn project(
        &self,
        process: &'static Process,
        layout: &'static Layout,
        stack: &InitialStack,
        rseq: Option<RseqArea>,
    ) {
        let World { map, tls, link_maps, .. } = process.world();
        let exports = &process.facts.exports;
        let main_thread = process.facts.main_thread;
        let data = &exports.data;
        let Projection { global, ro, .. } = Projection::of_program(layout, data);
        let block = main_thread.0 as *mut u8;
        // SAFETY: the thread control block, which has this size.
        let pthread = unsafe { Fields::new(block, layout.pthread.size.into()) };
        let facts = global::Facts {
            executable_stack: self.executable_stack,
            pthread: Some(&pthread),
            all_dirs: global_ro::all_dirs(layout, &ro),
            count_lock: exports.functions.count_lock,
        };
        global::write(layout, &global, &facts);
        let global_scope = project_objects(process);
        global::counts(layout, &global, map.visible().len() as u64, 1);
        global::start_modules(layout, &global, link_maps, tls);
        let dtv = Fields::get::<u64>(&pthread, tcb::DTV as u16).unwrap_or_default();
        global::set_initial_dtv(layout, &global, Addr(dtv));
        let aux = |kind| stack.aux(kind);
        let tunables = glibc::cpu_tunables(&self.values, layout.minor);
        let hwcap2 = aux(libc::AT_HWCAP2).unwrap_or_default();
        let release = Release::of(layout, hwcap2);
        let cpu = self.cpu.as_of(release, &Native, &tunables);
        let facts = global_ro::Facts {
            platform: platform(stack),
            bind_not: self.settings.bind_not,
            dynamic_weak: self.settings.dynamic_weak,
            lazy: !self.settings.bind_now,
            older_order: map.objects.older_order,
            global_scope,
            vdso: vdso(layout, map, link_maps),
            ..global_ro::Facts::new(Addr(stack.auxv() as u64), aux, &cpu, tls)
        };
        global_ro::write(layout, &ro, &exports.functions, &facts);
        let set = |name: &[u8]| self.values.by_name(name).map(|(value, _)| value);
        let rseq_wanted = set(b"glibc.pthread.rseq") != Some(Value::Int32(0));
        // SAFETY: the thread control block is that of the one thread.
        unsafe {
            if layout.contract.tls_init_tp {
                thread::complete(layout, &pthread, stack.address());
            }
            if let Some(area) = rseq {
                (data.rseq_offset.0 as *mut i64).write(area.offset);
                (data.rseq_size.0 as *mut u32).write(area.register(main_thread, rseq_wanted));
            }
        }
    }
}

/// Static TLS for libraries that come later, as glibc would have it.
fn surplus(values: &Values<'_>) -> u64 {
    let number = |name: &[u8]| match values.by_name(name) {
        Some((Value::Number(number), _)) => number,
        _ => 0,
    };
    let optional = number(b"glibc.rtld.optional_static_tls");
    (NAMESPACE_TLS * number(b"glibc.rtld.nns")).saturating_add(optional)
}

/// Writes the link maps of start-up, and what leads to them; returns the global scope.
fn project_objects(process: &Process) -> (u64, u32) {
    let layout = process.link_map_layout();
    let World { map, tls, link_maps, .. } = process.world();
    let visible = map.visible();
    process.counts[0].store(visible.len() as u64, Ordering::Relaxed);
    let global_scope = link_maps.scope(map.search_list().iter().copied());
    let list: Vec<_> = visible.iter().filter_map(|&id| link_maps.get(id)).collect();
    link_maps.link(layout, &list, 0);
    let first = list.first().map_or(0, |fields| fields.address());
    for (id, object) in map.objects.iter() {
        if !process.world().is_of_start(id) {
            continue;
        }
        let facts = link_maps::Facts {
            tls,
            space: LinkMap::BASE,
            is_opened: false,
            is_global: object.role != Role::Vdso,
            global: (object.role == Role::Program).then_some(global_scope),
            first,
        };
        link_maps.fill(layout, id, object, &facts);
    }
    if let Some(Projection { layout, global, .. }) = process.projection() {
        let libc = process.libc().map_or(0, |libc| link_maps.address(libc));
        let (index, count) = (LinkMap::BASE, visible.len());
        global::namespace(layout, global, global::Namespace { index, first, count, libc });
    }
    global_scope
}

/// The same again, with libraries that have come since, for which auditors have waited.
pub fn show_start(process: &Process) {
    let global_scope = project_objects(process);
    // `_rtld_global_ro` is not sealed yet.
    if let Some(Projection { layout, ro, .. }) = process.projection() {
        global_ro::set_global_scope(layout, ro, global_scope);
        global_ro::set_audit(layout, ro, &process.facts.exports.functions);
    }
}

/// AT_RANDOM's bytes; a process without them gets zeros, as under ld.so.
fn random_bytes(stack: &InitialStack) -> [u8; 16] {
    match stack.aux(libc::AT_RANDOM) {
        // SAFETY: the kernel has put sixteen bytes there.
        Some(address) if address != 0 => unsafe { (address as *const [u8; 16]).read() },
        _ => [0; 16],
    }
}

/// The data symbols that have one form in all releases (contract 1.3).
///
/// # Safety
/// The addresses are those of the binary's variables.
unsafe fn plain_data(data: &Data, stack: &InitialStack, secure: bool) {
    // SAFETY: as the caller promises.
    unsafe {
        (data.enable_secure.0 as *mut i32).write(secure.into());
        (data.stack_end.0 as *mut u64).write(stack.address().0);
        (data.argv.0 as *mut u64).write(stack.argv() as u64);
    }
}

/// The vDSO's functions, which all have the version LINUX_2.6 (vdso(7)).
pub(super) fn vdso(
    layout: &Layout,
    map: &LinkMap<'static>,
    link_maps: &LinkMaps,
) -> global_ro::Vdso {
    let Some((id, object)) = map.by_role(Role::Vdso).and_then(|id| Some((id, map.get(id)?))) else {
        return global_ro::Vdso::default();
    };
    let function = |name: &[u8]| told_vdso_function(&map.objects, id, name).0;
    global_ro::Vdso {
        header: object.image.segments().next().map_or(0, |load| object.image.address(load.vaddr).0),
        map: link_maps.address(id),
        clock_gettime: function(b"__vdso_clock_gettime"),
        gettimeofday: function(b"__vdso_gettimeofday"),
        time: function(b"__vdso_time"),
        getcpu: function(b"__vdso_getcpu"),
        clock_getres: function(b"__vdso_clock_getres"),
        getrandom: layout
            .rtld_global_ro
            .vdso_getrandom
            .map_or(0, |_| function(b"__vdso_getrandom")),
    }
}

fn told_vdso_function(objects: &Objects<'_>, id: ObjectId, name: &[u8]) -> Addr {
    let Some(vdso) = objects.get(id) else { return Addr(0) };
    let found = vdso_function(vdso, name);
    if told::wanted() {
        let lookup = told::Lookup { objects, from: vdso, how: How::Own, is_protected: false };
        lookup.tell(&vdso_reference(name), &[id], found.map(|_| id));
    }
    found.unwrap_or_default()
}

/// The address of a function of the vDSO, if it has one of that name.
pub fn vdso_function(vdso: &Object<'_>, name: &[u8]) -> Option<Addr> {
    let (_, symbol) = one::find(&vdso.exports, &vdso_reference(name))?;
    Some(vdso.image.address(symbol.vaddr()))
}

fn vdso_reference(name: &[u8]) -> Reference<'_> {
    const VERSION: &[u8] = b"LINUX_2.6";
    let version = Version { hash: sysv(VERSION), name: VERSION, hidden: true };
    Reference::new(name, Some(version), Class::default())
}
