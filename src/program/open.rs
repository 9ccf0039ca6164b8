//! dlopen(3) and dlmopen(3): a copy of the world is changed, and becomes the world when nothing can fail any more.
//!
//! # Safety
//!
//! Objects that are opened are nobody else's until the new world is shown. The caller holds the loader's lock.
#![allow(unsafe_code)]

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::{c_int, c_long};
use core::sync::atomic::{AtomicBool, Ordering};

use super::audit::watch::Watch;
use super::audit::{self, Activity, Auditor};
use super::calls::Calls;
use super::dependencies::Dependencies;
use super::live::Live;
use super::process::Process;
use super::process::projections;
use super::relocate::{self, Job, keep_indices, keep_unique};
use super::show::{self, Change};
use super::world::{Bound, Kept, Life, World, is_pinned_by_flag};
use super::{checks, hooks, ready, tracing};
use crate::abi::{glibc, unknown};
use crate::addr::ObjectId;
use crate::errno::Errno;
use crate::error::{Error, Problem, Result};
use crate::init;
use crate::linkmap::{LinkMap, Linker};
use crate::object::Role;
use crate::search::{Purpose, has_token};
use crate::sys::fork;
use crate::trace::{self, Topics};

/// `RTLD_DEEPBIND`, which the libc crate lacks for some targets.
const DEEPBIND: c_int = 8;
/// What glibc's dlopen sets in the mode it hands on (contract 7).
const OPENED: c_int = i32::MIN;
/// `LM_ID_NEWLM`.
pub const NEW: c_long = -1;
/// The namespace of the caller (contract 7).
pub const OF_CALLER: c_long = -2;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// The file; empty for the program.
    pub name: &'r [u8],
    /// `RTLD_*`.
    pub mode: c_int,
    /// An address in the code that asks.
    pub caller: u64,
    /// The namespace: its number, [`NEW`], or [`OF_CALLER`].
    pub namespace: c_long,
    /// What it is opened for.
    pub purpose: For,
}

/// What something is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum For {
    /// The program, or a library of it.
    Program,
    /// To be an auditor: those that are there already are told of its coming and of what is bound then, and of nothing
    /// more.
    Audit,
    /// The same, in a process that has more rights than its caller.
    SecureAudit,
}

impl Request<'_> {
    const fn has(&self, flag: c_int) -> bool {
        self.mode & flag != 0
    }

    /// Whether the file is given by its path.
    fn is_path(&self) -> bool {
        self.name.contains(&b'/') && !has_token(self.name)
    }

    fn refuse(&self, words: &'static str) -> Error {
        Error::system(self.name, words, Errno(libc::EINVAL))
    }

    /// # Errors
    /// The mode makes no sense.
    #[inline(never)]
    fn check_mode(&self) -> Result<()> {
        let binding = libc::RTLD_LAZY | libc::RTLD_NOW;
        let known = binding | libc::RTLD_NOLOAD | libc::RTLD_GLOBAL | libc::RTLD_NODELETE;
        if self.mode & !(known | DEEPBIND | OPENED) != 0 {
            let line =
                alloc::format!("mode = {:#x}: not all of it are flags of dlopen(3)", self.mode);
            return Err(Error::words(b"", "invalid mode parameter").with(line));
        }
        match self.has(binding) {
            true => Ok(()),
            false => {
                let line =
                    alloc::format!("mode = {:#x}: RTLD_LAZY or RTLD_NOW is needed", self.mode);
                Err(self.refuse("invalid mode for dlopen()").with(line))
            }
        }
    }
}

/// An opened object.
pub struct Opened {
    /// The object.
    pub root: ObjectId,
    /// Its link map, which is the handle.
    pub link_map: u64,
    /// Initialisers to call.
    pub calls: Calls,
    /// The objects that its namespace sees from now on, where somebody wants to know.
    pub made_global: Vec<ObjectId>,
}

/// What a change of the world has brought.
struct Loaded {
    root: ObjectId,
    /// Objects that are new.
    fresh: Vec<ObjectId>,
    made_global: Vec<ObjectId>,
}

/// Opens an object with all that it needs. The caller holds the loader's lock, and runs the initialisers.
///
/// # Errors
/// It cannot be opened; everything is as before.
pub fn open(process: &Process, request: &Request<'_>) -> Result<Opened> {
    request.check_mode()?;
    let world = process.world();
    let caller = process.find_code(request.caller).map(|place| place.object);
    let space = target(process, world, caller, request)?;
    if let Some(root) = space.and_then(|space| already(world, space, request)) {
        let link_map = world.link_maps.address(root);
        let calls = match process.facts.musl {
            None => Calls::none(),
            Some(_) => initialisers(process, world, root, &[]),
        };
        return Ok(Opened { root, link_map, calls, made_global: Vec::new() });
    }
    if process.is_changing() {
        return Err(refused_meanwhile(request.name));
    }
    fork::watch();
    process.begin_change();
    (process.facts.memory_refused)();
    let opened = load(process, request, caller, space);
    process.end_change();
    let Loaded { root, fresh, made_global } = opened?;
    let world = process.world();
    let calls = initialisers(process, world, root, &fresh);
    Ok(Opened { root, link_map: world.link_maps.address(root), calls, made_global })
}

#[cold]
#[inline(never)]
fn refused_meanwhile(name: &[u8]) -> Error {
    let error = Error::words(name, "dlopen called while objects are being relocated");
    error.with("what an IFUNC resolver or an auditor needs must be there before")
}

/// The initialisers to call. Under musl that may still be left to do for others than those that are new, or another
/// thread may be about it.
fn initialisers(process: &Process, world: &World, root: ObjectId, fresh: &[ObjectId]) -> Calls {
    let objects = &world.map.objects;
    let list: Vec<_> = world.list(root).into_iter().flat_map(|list| list.objects()).collect();
    if process.facts.musl.is_some() {
        let mut order = init::dependencies_first(objects, &list, root);
        order.retain(|&id| world.is_later(id));
        return Calls::new(process, &order);
    }
    let mut order = init::dependants_first(objects, &list, root);
    order.retain(|id| fresh.contains(id));
    order.reverse();
    let is_first = |id: &ObjectId| world.map.get(*id).is_some_and(ready::wants_to_be_first);
    let (mut order, rest): (Vec<_>, Vec<_>) = order.into_iter().partition(is_first);
    order.extend(rest);
    Calls::new(process, &order)
}

/// The namespace that is meant; `None` for a new one.
#[inline(never)]
fn target(
    process: &Process,
    world: &World,
    caller: Option<ObjectId>,
    request: &Request<'_>,
) -> Result<Option<usize>> {
    let base = LinkMap::BASE as c_long;
    if request.name.is_empty() {
        return match request.namespace {
            OF_CALLER => Ok(Some(LinkMap::BASE)),
            namespace if namespace == base => Ok(Some(LinkMap::BASE)),
            _ => {
                let error = Error::system(b"", "invalid namespace", Errno(libc::EINVAL));
                Err(error.with(
                    "without a name, dlmopen(3) means the program: it is in LM_ID_BASE alone",
                ))
            }
        };
    }
    if request.has(libc::RTLD_GLOBAL) && ![OF_CALLER, base].contains(&request.namespace) {
        let error = Error::system(b"", "invalid mode", Errno(libc::EINVAL));
        return Err(error.with("RTLD_GLOBAL is for the program's namespace, LM_ID_BASE"));
    }
    match request.namespace {
        NEW => Ok(None),
        OF_CALLER => {
            let life = caller.and_then(|caller| world.life(caller));
            Ok(Some(life.map_or(LinkMap::BASE, |life| life.space)))
        }
        number => {
            let loader = world.map.by_role(Role::Loader);
            let space = usize::try_from(number).ok();
            let exists = |&space: &usize| {
                let space = world.map.spaces.get(space);
                space.is_some_and(|space| !space.is_empty(loader))
            };
            let exists = |space: &usize| exists(space) && !process.auditors.own(*space);
            let space = space.filter(exists);
            space.map(Some).ok_or_else(|| {
                let line = alloc::format!("there is no namespace {number}");
                request.refuse("invalid target namespace in dlmopen()").with(line)
            })
        }
    }
}

/// Counts one more opening of an object that is there already, if nothing else is to be done.
fn already(world: &World, space: usize, request: &Request<'_>) -> Option<ObjectId> {
    let id = named(world, space, request.name)?;
    let life = world.life(id)?;
    let is_done = world.list(id).is_some()
        && (life.global || !request.has(libc::RTLD_GLOBAL))
        && (life.is_pinned() || !request.has(libc::RTLD_NODELETE));
    if is_done {
        life.opens.fetch_add(1, Ordering::Relaxed);
    }
    is_done.then_some(id)
}

fn named(world: &World, space: usize, name: &[u8]) -> Option<ObjectId> {
    match name {
        b"" => world.map.by_role(Role::Program),
        name => world.map.by_name_in(space, name),
    }
}

/// Loads what is asked for, and shows it.
fn load(
    process: &Process,
    request: &Request<'_>,
    caller: Option<ObjectId>,
    space: Option<usize>,
) -> Result<Loaded> {
    let mut world = process.world().clone();
    let space = space.unwrap_or_else(|| new_space(&mut world));
    match prepare(process, &mut world, request, caller, space) {
        Ok(loaded) => {
            // Auditors may have opened and closed what was there already.
            world.take_counts(process.world());
            if let Some(life) = world.life(loaded.root) {
                life.opens.fetch_add(1, Ordering::Relaxed);
            }
            let change = Change { space, came: &loaded.fresh, went: &[] };
            show::show(process, world, &change);
            Ok(loaded)
        }
        Err(error) => {
            let old = process.world();
            let ids = world.map.objects.iter().map(|(id, _)| id);
            let came: Vec<_> = ids.filter(|&id| old.map.get(id).is_none()).collect();
            audit::undone(process, &world, space, &came);
            tracing::dropped(&world, &came);
            Err(error)
        }
    }
}

/// Loads into a world that nobody sees.
fn prepare(
    process: &Process,
    world: &mut World,
    request: &Request<'_>,
    caller: Option<ObjectId>,
    space: usize,
) -> Result<Loaded> {
    let facts = &process.facts;
    let root = match named(world, space, request.name) {
        Some(id) => id,
        None => find(process, world, request, caller, space)?,
    };
    let is_listed = world.list(root).is_some();
    let mut list = dependencies(process, world, request, root, space)?;
    projections::enter(process, world, request, &mut list, space)?;
    let old = process.world();
    let fresh: Vec<_> = list.iter().copied().filter(|&id| old.map.get(id).is_none()).collect();
    check(process, world, &fresh, space)?;
    if !is_listed {
        audit::activity_in(process, world, space, Activity::Consistent);
    }
    begin_lives(process, world, request, root, &list, &fresh, space);
    world.link_chains(&list);

    if trace::on(Topics::SCOPES) && !tracing::was_open(old, root) {
        // An object that is there already does not see its own list yet.
        let shown = if fresh.contains(&root) { &*world } else { old };
        tracing::tell_scope(shown, root, tracing::Lists::All);
    }
    let order = relocation_order(world, root, &list, &fresh, space);
    let deep = world.life(root).is_some_and(|life| life.deep);
    let job = Job {
        order: &order,
        opened: &fresh,
        // Under musl all is bound at the start, whatever was asked for.
        lazy: !request.has(libc::RTLD_NOW) && (!facts.bind_now || facts.musl.is_some()),
        chain: world.make_chain(space, deep, &[root]),
        watching: process.auditors.of(space),
        following: following(process, request, space),
    };
    let mut unique = world.unique(space).cloned().unwrap_or_default();
    // SAFETY: the objects to relocate are new, and nobody knows them.
    let done = unsafe { job.carry_out(process, world, &mut unique)? };
    for object in fresh.iter().filter_map(|&id| world.map.get(id)) {
        ready::sound_arrays(object, facts.name)?;
        hooks::set(process, object);
    }
    keep_unique(world, space, unique);
    keep_indices(world, done.indices);
    note_bound(world, &order, done.bound);
    tracing::changes(process, world, root, &list, &fresh);
    let mut made_global = Vec::new();
    if request.has(libc::RTLD_GLOBAL) {
        if trace::on(Topics::SCOPES) {
            let is_new = |id: &&ObjectId| world.life(**id).is_some_and(|life| !life.global);
            made_global.extend(list.iter().filter(is_new));
        }
        world.make_global(space, &list);
    }
    if (facts.memory_refused)() {
        let words = "cannot create shared object descriptor";
        return Err(Error::system(request.name, words, Errno::ENOMEM).with_limits(Errno::ENOMEM));
    }
    Ok(Loaded { root, fresh, made_global })
}

/// Who is told of the calls that the objects of a request make: of an auditor's nobody.
fn following(process: &Process, request: &Request<'_>, space: usize) -> &'static [Auditor] {
    match request.purpose {
        For::Program => process.auditors.of(space),
        For::Audit | For::SecureAudit => &[],
    }
}

/// Notes what objects are bound to beyond what their dependencies keep anyway. These come before their dependants.
fn note_bound(world: &mut World, order: &[ObjectId], bound: Vec<Vec<ObjectId>>) {
    let mut dependencies = Dependencies::new(world);
    let mut beyond = Vec::new();
    for (&id, mut bound) in order.iter().zip(bound) {
        bound.retain(|&to| to != id && world.life(to).is_some_and(|life| !life.is_pinned()));
        tracing::dependencies(world, id, &bound);
        if bound.is_empty() {
            continue;
        }
        dependencies.take_out(id, &mut bound);
        if !bound.is_empty() {
            beyond.push((id, bound));
        }
    }
    for (id, bound) in beyond {
        if let Some(life) = world.life_mut(id) {
            life.bound = Bound::new(bound);
        }
    }
}

/// A namespace that nothing is in.
fn new_space(world: &mut World) -> usize {
    let loader = world.map.by_role(Role::Loader);
    let spaces = &mut world.map.spaces;
    let free = spaces.iter().skip(1).position(|space| space.is_empty(loader));
    let space = free.map_or(spaces.len(), |at| at + 1);
    spaces.resize_with((space + 1).max(spaces.len()), Default::default);
    world.spaces.resize_with(spaces.len(), Default::default);
    if let (Some(map), Some(other)) = (spaces.get_mut(space), world.spaces.get_mut(space)) {
        (*map, *other) = (Default::default(), Default::default());
    }
    space
}

/// How objects are loaded.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Loading {
    /// Nothing is.
    pub no_load: bool,
    /// They are to be auditors, or are needed by one.
    pub audits: bool,
    /// Auditors know that objects come.
    pub announced: bool,
    /// What is not found is entered as absent.
    pub lists_absent: bool,
}

/// Calls `work` with what loads objects into a namespace.
pub(super) fn with_linker<T>(
    process: &Process,
    world: &mut World,
    space: usize,
    Loading { no_load, audits, announced, lists_absent }: Loading,
    work: impl FnOnce(&mut Linker<'_, 'static, Live>) -> Result<T>,
) -> Result<T> {
    let searching = &process.facts.searching;
    let origin = searching.program_origin(&world.map);
    let mut search = searching.take(origin);
    let mut live = Live::new(searching.root().clone());
    let members = world.visible_in(space);
    let maps = &mut world.link_maps;
    live.watch = Watch::new(process, maps, space, &members, announced);
    let result = work(&mut Linker {
        map: &mut world.map,
        space,
        search: &mut search,
        source: &mut live,
        program: process.facts.name,
        origin,
        lists_absent,
        origin_of_last: None,
        audits,
        no_load,
    });
    if let Some(watch) = live.watch.take() {
        world.link_maps = watch.link_maps;
    }
    // The ids of what was loaded in vain come again.
    let old = process.world();
    let new = world.map.objects.iter().map(|(id, _)| id);
    new.filter(|&id| old.map.get(id).is_none()).for_each(|id| search.forget(id));
    searching.give_back(search);
    result
}

fn find(
    process: &Process,
    world: &mut World,
    request: &Request<'_>,
    caller: Option<ObjectId>,
    space: usize,
) -> Result<ObjectId> {
    // Under musl, programs ask for all that is opened.
    let caller = caller.filter(|_| process.facts.musl.is_none());
    let requester = caller.or(world.map.by_role(Role::Program));
    let audits = request.purpose != For::Program;
    let no_load = request.has(libc::RTLD_NOLOAD);
    let options = Loading { no_load, audits, announced: audits, ..Loading::default() };
    let purpose = match request.purpose {
        For::SecureAudit => Purpose::Preload,
        _ => Purpose::Opened,
    };
    let found = with_linker(process, world, space, options, |linker| {
        // ld.so asks no auditor of a path that is opened in a namespace that was given.
        if let Some(watch) = &mut linker.source.watch
            && request.is_path()
            && request.namespace != OF_CALLER
        {
            watch.pass_over();
        }
        linker.open(request.name, requester, purpose)
    });
    // Who asked does not count for what the object needs.
    if let Some(object) = found.as_ref().ok().and_then(|&id| world.map.get(id))
        && found.as_ref().is_ok_and(|&id| process.world().map.get(id).is_none())
    {
        object.loader.set(None);
    }
    // Who gave a path knows where it was looked for, and who asked.
    found.map_err(|mut error| {
        if request.is_path() && error.object == request.name {
            // Below another root, where it was looked for is news.
            let tried = process.facts.searching.root().is_foreign();
            let known = |line: &str| {
                line.starts_with("needed by ") || (!tried && line.starts_with("tried "))
            };
            error.details.retain(|line| !known(line));
        }
        // It is not a dependency.
        let needed = error.details.iter_mut().find(|line| line.starts_with("needed by "));
        if let Some(line) = needed.filter(|_| error.object == request.name) {
            line.replace_range(.."needed".len(), "opened");
        }
        error
    })
}

/// An object and all that it needs, breadth-first.
fn dependencies(
    process: &Process,
    world: &mut World,
    request: &Request<'_>,
    root: ObjectId,
    space: usize,
) -> Result<Vec<ObjectId>> {
    if let Some(list) = world.list(root) {
        return Ok(list.objects().collect());
    }
    // It came itself, or is there and has never been opened.
    let is_new = process.world().map.get(root).is_none();
    let audits = request.purpose != For::Program;
    let options = Loading { audits, announced: is_new || audits, ..Loading::default() };
    match world.map.get(root).map(|object| object.role) {
        Some(Role::Program) => Ok(world.map.search_list().to_vec()),
        _ => with_linker(process, world, space, options, |linker| {
            linker.breadth_first(core::iter::once(root))
        }),
    }
}

/// What must hold before the first word is written.
fn check(process: &Process, world: &World, fresh: &[ObjectId], space: usize) -> Result<()> {
    let name = process.facts.name;
    let objects = || fresh.iter().filter_map(|&id| world.map.get(id));
    for object in objects() {
        checks::may_be_opened(object)?;
    }
    checks::versions_of(&world.map, space, objects(), name)?;
    checks::instruction_sets(objects(), process.facts.isa, name)?;
    let fresh = fresh.iter().filter_map(|&id| Some((id, world.map.get(id)?)));
    // Where auditors have a libc and the program has none, they have it in namespaces of their own.
    let has_libc = process.libc().is_some() || space != LinkMap::BASE;
    let has_glibc = has_libc && process.layout().is_some();
    unknown::check_opened(&world.map, fresh, process.libc(), has_glibc, name)?;
    checks::stacks(process, objects())
}

/// Enters the new objects, and what changes for those that are there.
fn begin_lives(
    process: &Process,
    world: &mut World,
    request: &Request<'_>,
    root: ObjectId,
    list: &[ObjectId],
    fresh: &[ObjectId],
    space: usize,
) {
    let deep = request.has(DEEPBIND);
    let following = following(process, request, space);
    let link_maps = process.link_map_layout_in(world, space);
    world.begin_lives();
    for &id in fresh {
        let Some(object) = world.map.get(id) else { continue };
        let pinned = is_pinned_by_flag(object) || process.facts.musl.is_some();
        let pinned = AtomicBool::new(pinned);
        let libc = glibc::is_libc(object);
        if let Some(segment) = object.segments.tls {
            let image = object.image.address(segment.image);
            world.tls.add(id, image, segment);
        }
        world.link_maps.add(link_maps, id, object);
        let slots = audit::plt::slots(following, object);
        if let Some(life) = world.life_mut(id) {
            *life = Life { space, pinned, deep, slots, ..Life::default() };
        }
        if libc && let Some(space) = world.spaces.get_mut(space) {
            space.libc = Some(id);
        }
    }
    enter_loader(process, world, list, space);
    let references = fresh.iter().filter_map(|&id| world.map.get(id));
    let references = references.map(|object| relocate::references_of(object, true)).sum();
    let kept = Kept::new(&world.map.objects, list, references);
    if let Some(space) = world.spaces.get_mut(space)
        && space.global.is_empty()
    {
        // The first list of a namespace is what all in it see.
        space.global.push(match process.libc() {
            Some(_) => kept.clone(),
            None => Kept::global(&world.map, list, space.libc, references),
        });
    }
    world.set_list(root, kept);
    for &id in list {
        if world.is_later(id)
            && let Some(life) = world.life_mut(id)
            && !life.seen.contains(&root)
        {
            Arc::make_mut(&mut life.seen).push(root);
        }
    }
    if request.has(libc::RTLD_NODELETE)
        && let Some(life) = world.life_mut(root)
    {
        life.pin();
    }
}

/// rld becomes a member of a namespace whose objects need it.
fn enter_loader(process: &Process, world: &mut World, list: &[ObjectId], space: usize) {
    let Some(loader) = world.map.by_role(Role::Loader).filter(|id| list.contains(id)) else {
        return;
    };
    let Some(members) = world.map.spaces.get_mut(space).map(|space| &mut space.members) else {
        return;
    };
    if space == LinkMap::BASE || members.contains(&loader) {
        return;
    }
    members.push(loader);
    if let Some(object) = world.map.get(loader) {
        world.link_maps.add_shadow(process.link_map_layout(), loader, object, space);
    }
}

/// libc.so.6 first, so that resolvers find it ready, then every object after what it needs.
fn relocation_order(
    world: &World,
    root: ObjectId,
    list: &[ObjectId],
    fresh: &[ObjectId],
    space: usize,
) -> Vec<ObjectId> {
    let libc = world.spaces.get(space).and_then(|space| space.libc);
    let mut order = init::dependants_first(&world.map.objects, list, root);
    order.retain(|id| fresh.contains(id));
    order.reverse();
    if let Some(at) = order.iter().position(|&id| Some(id) == libc) {
        order[..=at].rotate_right(1);
    }
    order
}

impl Problem {
    /// Whether this is no error that anybody is told of.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        matches!(self, Self::NotLoaded)
    }
}
