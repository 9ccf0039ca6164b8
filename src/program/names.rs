//! dlsym(3) and dlvsym(3): a name, from a place or in an opened object.
//!
//! # Safety
//!
//! IFUNC resolvers that are called lie in relocated objects. The caller holds the loader's lock.
#![allow(unsafe_code)]

use core::ffi::CStr;

use super::bind::note_binding;
use super::process::Process;
use super::relocate::call_resolver;
use super::world::{Kept, World};
use crate::addr::{Addr, ObjectId};
use crate::elf::hash::sysv;
use crate::elf::version::Version;
use crate::error::{Error, Problem, Result};
use crate::linkmap::LinkMap;
use crate::lookup::scope::{Scope, Uniqueness};
use crate::lookup::{Class, Reference};
use crate::object::{Definition, Role};
use crate::tls::thread;

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

/// The address of what a name stands for. The caller holds the loader's lock.
///
/// # Errors
/// Nothing defines it, or the handle is none.
pub fn find(process: &Process, query: &Query<'_>) -> Result<u64> {
    let world = process.world();
    let caller = process.find_code(query.caller).map(|place| place.object);
    let program = || world.map.by_role(Role::Program).unwrap_or(ObjectId(0));
    let from = match query.handle {
        DEFAULT => caller.unwrap_or_else(program),
        NEXT => caller
            .ok_or_else(|| Error::words(b"", "RTLD_NEXT used in code not dynamically loaded"))?,
        handle => {
            let id = world.link_maps.object(handle);
            id.ok_or_else(|| Error::words(b"", "invalid handle"))?
        }
    };
    let Some(found) = search(process, world, query, from) else {
        let name = world.map.get(from).map_or(&b""[..], |object| process.name_of(object));
        let version = query.version.map(|version| version.to_bytes().to_vec());
        let problem = Problem::UndefinedSymbol { name: query.name.to_bytes().to_vec(), version };
        return Err(Error::new(name, problem));
    };
    let value = value(world, &found)?;
    let is_place = matches!(query.handle, DEFAULT | NEXT);
    if let Some(caller) = caller.filter(|&caller| is_place && caller != found.object)
        && world.life(found.object).is_some_and(|life| !life.pinned)
    {
        note_binding(process, caller, found.object);
    }
    Ok(match value {
        Value::Address(address) => address,
        // SAFETY: the resolver lies in a relocated object.
        Value::Resolver(resolver) => unsafe { call_resolver(Addr(resolver)) },
        // SAFETY: the module exists, as the caller holds the lock.
        Value::ThreadLocal { module, offset } => unsafe { thread::address(module, offset) },
    })
}

fn search(
    process: &Process,
    world: &World,
    query: &Query<'_>,
    from: ObjectId,
) -> Option<Definition> {
    let version = query.version.map(|version| {
        let name = version.to_bytes();
        Version { hash: sysv(name), name, hidden: true }
    });
    let class = Class { newest: true, ..Class::default() };
    let reference = Reference::new(query.name.to_bytes(), version, class);
    let space = world.life(from).map_or(0, |life| life.space);
    let dynamic_weak = process.facts.dynamic_weak;
    let unique = || world.unique(space).map(Uniqueness::Settled);
    match query.handle {
        DEFAULT => {
            let chain = world.chain(from)?;
            Scope::new(chain.runs(), dynamic_weak, unique()?).find(&reference, None)
        }
        NEXT => {
            // What loaded the object, and what loaded that: the search list of the last one.
            let mut root = from;
            while let Some(loader) = world.map.get(root).and_then(|object| object.loader.get()) {
                root = loader;
            }
            with_list(world, root, |runs| {
                Scope::new(runs, dynamic_weak, unique()?).find_after(&reference, from)
            })
        }
        _ => with_list(world, from, |runs| {
            Scope::new(runs, dynamic_weak, unique()?).find(&reference, None)
        }),
    }
}

/// Calls `work` with the search list of an object; that of the program is the global scope.
fn with_list<T>(
    world: &World,
    id: ObjectId,
    work: impl FnOnce(&[&crate::lookup::run::Run<'static, 'static>]) -> T,
) -> T {
    if world.map.get(id).is_some_and(|object| object.role == Role::Program) {
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
        let module = world.tls.module(found.object).ok_or_else(|| {
            let words = "thread-local symbol in an object without PT_TLS";
            Error::words(object.name.to_bytes(), words)
        })?;
        return Ok(Value::ThreadLocal { module: module.id, offset: symbol.value });
    }
    if symbol.is_absolute() {
        return Ok(Value::Address(symbol.value));
    }
    let address = object.image.address(symbol.vaddr());
    if !symbol.is_ifunc() {
        return Ok(Value::Address(address.0));
    }
    match object.image.holds(address) {
        true => Ok(Value::Resolver(address.0)),
        false => Err(Error::words(object.name.to_bytes(), "IFUNC resolver outside its object")),
    }
}
