//! What is traced: LD_DEBUG and LD_DEBUG_OUTPUT; and what is told of a whole process at once.

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::sync::atomic::Ordering;

use super::open::Opened;
use super::process::Process;
use super::terms::{STDERR, STDOUT, Stop, warn};
use super::world::{Life, World};
use crate::addr::ObjectId;
use crate::elf::dynamic::Flags;
use crate::env::Settings;
use crate::linkmap::LinkMap;
use crate::object::{Object, Role};
use crate::sys::file::{self, Fd};
use crate::sys::process;
use crate::trace::options::{self, Request};
use crate::trace::sink::Target;
use crate::trace::{self, Event, Stage, Topics, Why, debug, statistics};

/// The topics that LD_DEBUG asks for. Says which there are, where it asks for that or for others: whatever the command
/// line is.
///
/// # Errors
/// The list of names is asked for, and was printed.
pub fn answer(settings: &Settings<'_>) -> Result<Topics, Stop> {
    if settings.debug.is_empty() {
        return Ok(Topics::empty());
    }
    let request = Request::parse(&settings.debug);
    warn(request.warnings());
    if request.help {
        file::write_all(STDOUT, options::help().as_bytes());
        return Err(Stop::Exit(0));
    }
    Ok(request.topics)
}

/// Begins to show what LD_DEBUG asks for. `program` is what the program is called.
pub fn begin(topics: Topics, settings: &Settings<'_>, program: &'static [u8]) {
    if !topics.is_empty() {
        debug::begin(topics, target(settings.debug_output), program);
    }
}

/// Where lines go. A file that cannot be made gives way to standard output, as under ld.so.
fn target(output: Option<&[u8]>) -> Target {
    let Some(output) = output else { return Target::Descriptor(STDERR) };
    let number = alloc::format!(".{}", process::id());
    let path = absolute(output, number.as_bytes()).filter(|path| Fd::append(path).is_ok());
    path.map_or(Target::Descriptor(STDOUT), Target::File)
}

/// The path, with something added, that means the same when the program has changed its directory.
pub fn absolute(output: &[u8], end: &[u8]) -> Option<&'static CStr> {
    let mut path = Vec::new();
    if !output.starts_with(b"/") {
        let mut buffer = vec![0; libc::PATH_MAX as usize];
        path.extend_from_slice(file::current_dir(&mut buffer).ok()?);
        path.push(b'/');
    }
    path.extend_from_slice(output);
    path.extend_from_slice(end);
    Some(Box::leak(CString::new(path).ok()?.into_boxed_c_str()))
}

/// Tells that a part of the start begins.
pub fn begins(stage: Stage) {
    trace::tell(Topics::STATISTICS, || Event::StageBegins { stage });
}

/// Tells that a part of the start is over.
pub fn ends(stage: Stage) {
    trace::tell(Topics::STATISTICS, || Event::StageEnds { stage });
}

/// Tells what each object of start-up sees.
pub fn initial_scopes(process: &Process) {
    if !trace::on(Topics::SCOPES) {
        return;
    }
    trace::emit(&Event::InitialScopes);
    let world = process.world();
    for id in world.visible_in(LinkMap::BASE) {
        tell_scope(world, id, Lists::All);
    }
}

/// Which lists of an object's scope are told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lists {
    /// All of them.
    All,
    /// The last one, which is new.
    Last,
}

/// Tells what an object sees.
pub fn tell_scope(world: &World, id: ObjectId, which: Lists) {
    let Some((object, life)) = world.map.get(id).zip(world.life(id)) else { return };
    // As under ld.so, what is part of one scope element may lie in several runs.
    let global = world.spaces.get(life.space).map_or(&[][..], |space| &space.global);
    let global: Vec<ObjectId> = global.iter().flat_map(|kept| kept.run().objects()).collect();
    let is_own = |flag: bool| flag.then(|| Vec::from([id]));
    let is_symbolic = object.dynamic.flags.contains(Flags::SYMBOLIC);
    let symbolic = is_own(is_symbolic && object.role == Role::Library);
    let seen = life.seen.iter().filter_map(|&id| Some(world.list(id)?.objects().collect()));
    let seen: Vec<Vec<ObjectId>> =
        is_own(object.role == Role::Vdso).into_iter().chain(seen).collect();
    let mut lists: Vec<_> = symbolic.into_iter().collect();
    let at = if life.deep { lists.len() + seen.len() } else { lists.len() };
    lists.extend(seen);
    // The list of an object that is opened now may be all that there is in its namespace.
    if !lists.contains(&global) {
        lists.insert(at, global);
    }
    let first = if which == Lists::Last { lists.len() - 1 } else { 0 };
    let name = |id: &ObjectId| world.map.get(*id).map(|object| object.name.to_bytes());
    let names = |list: &Vec<ObjectId>| list.iter().filter_map(name).collect();
    let lists: Vec<Vec<&[u8]>> = lists.iter().map(names).collect();
    let lists = (object.role != Role::Loader).then_some(&*lists);
    trace::emit(&Event::Scope { object: object.label(), first, lists });
}

/// Tells that what an object is bound to stays as long as it does: for ever, if it was there at the start. What it
/// needs itself stays anyway.
pub fn dependencies(world: &World, by: ObjectId, bound: &[ObjectId]) {
    if !trace::on(Topics::FILES.union(Topics::BINDINGS)) {
        return;
    }
    let Some(from) = world.map.get(by) else { return };
    let is_of_start = world.is_of_start(by);
    let is_new = |id: &&ObjectId| !from.needed.contains(id);
    for object in bound.iter().filter(is_new).filter_map(|&id| world.map.get(id)) {
        let (object, by) = (object.label(), from.label());
        trace::emit(&match is_of_start {
            true => Event::Stays { object, why: Why::Reference(by) },
            false => Event::Dependency { object, by },
        });
    }
}

/// Whether an object has a search list already, as the program has from the start.
#[must_use]
pub fn was_open(world: &World, id: ObjectId) -> bool {
    world.list(id).is_some() || world.map.by_role(Role::Program) == Some(id)
}

/// Tells what a dlopen has changed for the objects that it loads or finds.
pub fn changes(
    process: &Process,
    world: &World,
    root: ObjectId,
    list: &[ObjectId],
    fresh: &[ObjectId],
) {
    if !trace::on(Topics::FILES.union(Topics::SCOPES).union(Topics::BINDINGS)) {
        return;
    }
    let old = process.world();
    let was_open = was_open(old, root);
    for (id, object) in world.map.objects.iter() {
        let pinned = |world: &World| world.life(id).is_some_and(Life::is_pinned);
        if pinned(world) && !pinned(old) {
            let object = object.label();
            let why = if was_open && id == root { Why::Asked } else { Why::Opened };
            trace::emit(&Event::Stays { object, why });
        }
    }
    if was_open || !trace::on(Topics::SCOPES) {
        return;
    }
    for &id in list {
        let seen = |world: &World| world.life(id).map(|life| Arc::clone(&life.seen));
        let is_there = !fresh.contains(&id);
        match is_there && world.is_later(id) {
            false => tell_scope(world, id, Lists::All),
            true if seen(world) != seen(old) => tell_scope(world, id, Lists::Last),
            true => {}
        }
    }
}

/// Tells that objects go which a dlopen has loaded in vain.
pub fn dropped(world: &World, came: &[ObjectId]) {
    for object in came.iter().filter_map(|&id| world.map.get(id)) {
        trace::tell(Topics::FILES, || Event::Unloaded { object: object.label() });
    }
}

/// Tells what a dlopen has made global, and how often its object is open now.
pub fn opened(process: &Process, opened: &Opened) {
    let world = process.world();
    for object in opened.made_global.iter().filter_map(|&id| world.map.get(id)) {
        trace::emit(&Event::Global { object: object.label() });
    }
    if let Some((object, life)) = world.map.get(opened.root).zip(world.life(opened.root)) {
        let count = life.opens.load(Ordering::Relaxed);
        trace::tell(Topics::FILES, || Event::Opened { object: object.label(), count });
    }
    trace::flush();
}

/// Tells that all is ready for the program's code.
pub fn end_of_start(process: &Process) {
    if !trace::on(Topics::STATISTICS) {
        return;
    }
    // A loader's own are not counted: ld.so has them in their packed form, rld has not.
    let is_moved = |object: &&Object<'_>| object.image.bias.0 != 0 && !object.role.starts_itself();
    let objects = process.world().map.in_search_order().map(|(_, object)| object);
    statistics::count_relative(objects.filter(is_moved).map(|it| it.dynamic.relacount).sum());
    trace::emit(&Event::StageEnds { stage: Stage::Start });
}
