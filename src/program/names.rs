//! dlsym(3) and dlvsym(3): a name, from a place or in an opened object.
//!
//! # Safety
//!
//! IFUNC resolvers that are called lie in relocated objects.
#![allow(unsafe_code)]

use core::ffi::CStr;

use super::audit::bindings;
use super::bind::note_binding;
use super::locks::{Lock, while_reading};
use super::process::Process;
use super::relocate::call_resolver;
use super::world::{Kept, World};
use crate::addr::{Addr, ObjectId};
use crate::elf::hash::sysv;
use crate::elf::version::Version;
use crate::error::{Error, Problem, Result};
use crate::linkmap::LinkMap;
use crate::lookup::quick::{self, Quick};
use crate::lookup::run::Run;
use crate::lookup::scan;
use crate::lookup::scope::{Scope, Uniqueness};
use crate::lookup::told;
use crate::lookup::{Class, Reference};
use crate::object::{Definition, Role};
use crate::reloc::defect::NO_TLS;
use crate::text::Text;
use crate::tls::thread;
use crate::trace::{self, How, Topics};

/// `RTLD_DEFAULT`.
const DEFAULT: u64 = 0;
/// `RTLD_NEXT`.
const NEXT: u64 = u64::MAX;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Query<'q> {
    /// `RTLD_DEFAULT`, `RTLD_NEXT`, or the link map of an opened object.
    pub handle: u64,
    /// The name.
    pub name: &'q CStr,
    /// The version.
    pub version: Option<&'q CStr>,
    /// An address in the code that asks.
    pub caller: u64,
    /// libc asks for itself, which is no business of dlerror(3)'s.
    pub for_libc: bool,
}

impl Query<'_> {
    #[cold]
    fn bad_handle(&self) -> Failure {
        let function = if self.version.is_some() { "dlvsym" } else { "dlsym" };
        Error::bad_handle("invalid handle", function, self.handle).into()
    }
}

/// A definition as a value for the caller.
enum Value {
    Address(u64),
    /// What an IFUNC resolver will say.
    Resolver(u64),
    /// A thread-local variable.
    ThreadLocal {
        module: u64,
        offset: u64,
    },
}

/// The address of what a name stands for. Takes no lock where nothing but a look is needed.
///
/// # Errors
/// Nothing defines it, or the handle is none.
pub fn find(process: &Process, query: &Query<'_>) -> core::result::Result<u64, Failure> {
    let version = query.version.map(|version| {
        let name = version.to_bytes();
        Version { hash: sysv(name), name, hidden: true }
    });
    let class = Class { newest: true, ..Class::default() };
    let (name, hash) = scan::name(query.name.to_bytes_with_nul()).unwrap_or_default();
    let reference = Reference { name, hash, version, class };
    match while_reading(|| quickly(process, process.world(), query, &reference)) {
        Some(Seen::Value { address, is_resolver, loose }) => {
            if let Some((caller, definer)) = loose {
                note_binding(process, caller, definer);
            }
            Ok(match is_resolver {
                false => address,
                // SAFETY: the resolver lies in a relocated object.
                true => unsafe { call_resolver(Addr(address)) },
            })
        }
        Some(Seen::Nothing) => Err(Failure::Undefined),
        None => thoroughly(process, query, &reference),
    }
}

/// The same under the loader's lock, by all rules, and said to who listens.
#[cold]
#[inline(never)]
fn thoroughly(
    process: &Process,
    query: &Query<'_>,
    reference: &Reference<'_>,
) -> core::result::Result<u64, Failure> {
    let found = {
        let _held = process.locks.hold(Lock::Load);
        look(process, process.world(), query, reference)
    };
    trace::flush();
    let found = found?;
    if let Some((caller, definer)) = found.loose {
        note_binding(process, caller, definer);
    }
    let address = match found.value {
        Value::Address(address) => address,
        // SAFETY: the resolver lies in a relocated object.
        Value::Resolver(resolver) => unsafe { call_resolver(Addr(resolver)) },
        // SAFETY: the module exists while somebody has its object open.
        Value::ThreadLocal { module, offset } => unsafe { thread::address(module, offset) },
    };
    if process.auditors.all().is_empty() {
        return Ok(address);
    }
    Ok(bindings::by_name(process, query.caller, &found.definition, address))
}

/// The address of a function that an opened object or what it needs exports, unseen by auditors. One that lies outside
/// its object is none.
#[must_use]
pub fn exported(process: &Process, handle: u64, name: &CStr) -> Option<u64> {
    let class = Class { newest: true, ..Class::default() };
    let reference = Reference::new(name.to_bytes(), None, class);
    let world = process.world();
    let found = search(process, world, handle, world.link_maps.object(handle)?, &reference)?;
    let definer = world.map.get(found.object)?;
    match value(world, &found).ok()? {
        Value::Address(address) if definer.image.is_code(Addr(address)) => Some(address),
        // SAFETY: the resolver lies in a relocated object.
        Value::Resolver(resolver) => Some(unsafe { call_resolver(Addr(resolver)) }),
        _ => None,
    }
}

/// Why there is no address.
pub enum Failure {
    /// Nothing defines the name. dlerror(3) knows: programs that ask for what may be absent ask often.
    Undefined,
    /// Anything else.
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// A value, and who would have to keep its object.
struct Found {
    value: Value,
    definition: Definition,
    loose: Option<(ObjectId, ObjectId)>,
}

fn look(
    process: &Process,
    world: &World,
    query: &Query<'_>,
    reference: &Reference<'_>,
) -> core::result::Result<Found, Failure> {
    let caller = caller(process, query);
    let from = match (query.handle, caller) {
        (DEFAULT | NEXT, Some(caller)) => Some(caller),
        (DEFAULT, None) => world.map.by_role(Role::Program),
        (NEXT, None) => {
            let words = "RTLD_NEXT used in code not dynamically loaded";
            let line = alloc::format!("called from {:#x}, which is in no object", query.caller);
            return Err(Error::words(b"", words).with(line).into());
        }
        (handle, _) => world.link_maps.object(handle),
    };
    let from = from.ok_or_else(|| query.bad_handle())?;
    let Some(definition) = search(process, world, query.handle, from, reference) else {
        tell_absent(process, world, from, query);
        return Err(Failure::Undefined);
    };
    let loose = loose(world, caller, definition.object);
    let value = value(world, &definition)?;
    Ok(Found { value, definition, loose })
}

/// Who asks, where that matters.
#[inline]
fn caller(process: &Process, query: &Query<'_>) -> Option<ObjectId> {
    let is_place = matches!(query.handle, DEFAULT | NEXT);
    is_place.then(|| process.find_code(query.caller))?.map(|place| place.object)
}

/// Who asks and who defines, where the one may have no other reason to keep the other.
#[inline]
fn loose(
    world: &World,
    caller: Option<ObjectId>,
    definer: ObjectId,
) -> Option<(ObjectId, ObjectId)> {
    let is_loose = |&caller: &ObjectId| {
        caller != definer && world.life(definer).is_some_and(|life| !life.is_pinned())
    };
    caller.filter(is_loose).map(|caller| (caller, definer))
}

/// Says, for dlerror(3) and who listens, that nothing defines what is asked for.
#[cold]
fn tell_absent(process: &Process, world: &World, from: ObjectId, query: &Query<'_>) {
    let object = world.map.get(from).map_or(&b""[..], |object| process.name_of(object));
    if trace::on(Topics::ERRORS) {
        let version = query.version.map(|version| version.to_bytes().to_vec());
        let problem = Problem::UndefinedSymbol { name: query.name.to_bytes().to_vec(), version };
        told::tell_undefined(&Error::new(object, problem));
    }
    let (object, name) = (Text(object), Text(query.name.to_bytes()));
    match query.version {
        _ if query.for_libc => {}
        None => thread::set_error(format_args!("{object}: undefined symbol: {name}")),
        Some(version) => thread::set_error(format_args!(
            "{object}: undefined symbol: {name}, version {}",
            Text(version.to_bytes())
        )),
    }
}

/// What a quick look has seen; small, so that it is never carried about in memory.
enum Seen {
    /// The address of the definition or of its resolver, and who would have to keep its object.
    Value { address: u64, is_resolver: bool, loose: Option<(ObjectId, ObjectId)> },
    /// Nothing defines it, which was said.
    Nothing,
}

/// What [`look`] would find, in the usual case; `None` where it is not.
#[inline(always)]
fn quickly(
    process: &Process,
    world: &World,
    query: &Query<'_>,
    reference: &Reference<'_>,
) -> Option<Seen> {
    if told::wanted() || trace::on(Topics::ERRORS) || !process.auditors.all().is_empty() {
        return None;
    }
    let caller = caller(process, query);
    let weak = process.facts.dynamic_weak;
    let (from, quick) = match query.handle {
        NEXT => return None,
        DEFAULT => (caller?, quick::find(world.chain(caller?)?.runs(), reference, weak)),
        handle => {
            let from = world.link_maps.object(handle)?;
            match quick::find(&[world.list(from)?], reference, weak) {
                // The program's list is the global scope, which grows.
                Quick::Absent if is_program(world, from) => {
                    (from, quick::find(world.chain(from)?.runs(), reference, weak))
                }
                quick => (from, quick),
            }
        }
    };
    let quick::Found { definer, index, address } = match quick {
        Quick::Found(found) => found,
        Quick::Absent => {
            tell_absent(process, world, from, query);
            return Some(Seen::Nothing);
        }
        Quick::Unusual => return None,
    };
    let (address, is_resolver) = match address {
        Some(address) => (address.0, false),
        None => {
            let object = world.map.get(definer)?;
            let symbol = object.exports.symbols.get(index as usize)?;
            let (address, is_resolver) = (object.address_of(&symbol), symbol.is_ifunc());
            if symbol.is_tls() || (is_resolver && !object.image.is_code(address)) {
                return None;
            }
            (address.0, is_resolver)
        }
    };
    Some(Seen::Value { address, is_resolver, loose: loose(world, caller, definer) })
}

/// Looks a reference up where the handle says, and says so to who listens.
fn search(
    process: &Process,
    world: &World,
    handle: u64,
    from: ObjectId,
    reference: &Reference<'_>,
) -> Option<Definition> {
    let space = world.life(from).map_or(0, |life| life.space);
    let unique = world.unique(space)?;
    let ask = |runs: &[&Run<'static, 'static>]| {
        let mut scope = Scope::new(runs, process.facts.dynamic_weak, Uniqueness::Settled(unique));
        let found = match handle {
            NEXT => scope.find_after(reference, from),
            _ => scope.find(reference, None),
        };
        let objects = &world.map.objects;
        if told::wanted()
            && let Some(from) = objects.get(from)
        {
            let lookup = told::Lookup { objects, from, how: How::Request, is_protected: false };
            lookup.tell(reference, &scope.visited, found.map(|found| found.object));
        }
        found
    };
    match handle {
        DEFAULT => ask(world.chain(from)?.runs()),
        NEXT => {
            // What loaded the object, and what loaded that: the search list of the last one.
            let mut root = from;
            while let Some(loader) = world.map.get(root).and_then(|object| object.loader.get()) {
                root = loader;
            }
            with_list(world, root, ask)
        }
        _ => with_list(world, from, ask),
    }
}

fn is_program(world: &World, id: ObjectId) -> bool {
    world.map.get(id).is_some_and(|object| object.role == Role::Program)
}

/// Calls `work` with the search list of an object; that of the program is the global scope.
fn with_list<T>(
    world: &World,
    id: ObjectId,
    work: impl FnOnce(&[&Run<'static, 'static>]) -> T,
) -> T {
    if is_program(world, id) {
        return work(world.make_chain(LinkMap::BASE, false, &[]).runs());
    }
    if let Some(run) = world.list(id) {
        return work(&[run]);
    }
    let kept = Kept::new(&world.map.objects, &world.with_dependencies(id), 0);
    work(&[kept.run()])
}

fn value(world: &World, found: &Definition) -> Result<Value> {
    let Some(object) = world.map.get(found.object) else { return Ok(Value::Address(0)) };
    let Definition { symbol, .. } = *found;
    if symbol.is_tls() {
        let module = world.tls.module(found.object);
        let module = module.ok_or_else(|| Error::malformed(object.name.to_bytes(), NO_TLS))?;
        return Ok(Value::ThreadLocal { module: module.id, offset: symbol.value });
    }
    if symbol.is_absolute() {
        return Ok(Value::Address(symbol.value));
    }
    let address = object.image.address(symbol.vaddr());
    if !symbol.is_ifunc() {
        return Ok(Value::Address(address.0));
    }
    object.check_resolver(address, object.name.to_bytes())?;
    Ok(Value::Resolver(address.0))
}
