//! Lookups that somebody wants to be told of.

use super::prepared::Prepared;
use super::scope::{Scope, Undefined};
use super::{Class, Reference};
use crate::addr::ObjectId;
use crate::error::Error;
use crate::linkmap::Objects;
use crate::object::{Definition, Object};
use crate::trace::{self, Event, How, Topics};

/// Whether somebody listens to lookups.
#[inline]
#[must_use]
pub fn wanted() -> bool {
    trace::on(Topics::LOOKUPS)
}

/// What is told of a lookup besides its answer.
#[derive(Clone, Copy)]
pub struct Lookup<'l, 'a> {
    /// The objects.
    pub objects: &'l Objects<'a>,
    /// Who refers.
    pub from: &'l Object<'a>,
    /// How that came about.
    pub how: How,
    /// Whether the reference is a protected definition itself.
    pub is_protected: bool,
}

impl Lookup<'_, '_> {
    /// Tells of a lookup in a scope: the objects it has visited, and where it ended.
    #[cold]
    pub fn tell(&self, reference: &Reference<'_>, visited: &[ObjectId], found: Option<ObjectId>) {
        let objects = self.objects;
        let symbol = reference.name;
        let label = |id| objects.get(id).map(Object::label);
        if trace::on(Topics::SYMBOLS) {
            for object in visited.iter().copied().filter_map(label) {
                trace::emit(&Event::Lookup { symbol, object });
            }
        }
        trace::emit(&Event::Binding {
            symbol,
            version: reference.version.map(|version| version.name),
            from: self.from.label(),
            to: found.and_then(label),
            is_protected: self.is_protected,
            how: self.how,
        });
    }
}

/// [`Scope::resolve`], told.
///
/// # Errors
/// The reference is strong and nothing defines it; LD_DEBUG=unused does not mind.
#[cold]
pub fn resolve<'a>(
    scope: &mut Scope<'_, '_, 'a>,
    objects: &Objects<'a>,
    id: ObjectId,
    prepared: &Prepared<'a>,
    class: Class,
    how: How,
) -> Result<Option<Definition>, Undefined<'a>> {
    scope.visited.clear();
    let found = scope.resolve(objects, id, prepared, class);
    let Some(from) = objects.get(id) else { return found };
    let Prepared { index, symbol, name, hash } = *prepared;
    let version = from.exports.wanted_version(index);
    let reference = Reference { name, hash, version, class };
    let lookup = Lookup { objects, from, how, is_protected: symbol.is_protected() };
    let definer = found.as_ref().ok().and_then(|found| found.map(|found| found.object));
    lookup.tell(&reference, &scope.visited, definer);
    match found {
        Err(_) if trace::on(Topics::UNUSED) => Ok(None),
        found => found,
    }
}

/// [`resolve`] for a relocation, told unless it is what was `asked` before: ld.so remembers the last symbol.
///
/// # Errors
/// As for [`resolve`].
#[cold]
pub fn again<'a>(
    scope: &mut Scope<'_, '_, 'a>,
    objects: &Objects<'a>,
    id: ObjectId,
    prepared: &Prepared<'a>,
    class: Class,
    asked: &mut Option<(u32, Class)>,
) -> Result<Option<Definition>, Undefined<'a>> {
    let this = Some((prepared.index, class));
    if core::mem::replace(asked, this) == this {
        trace::emit(&Event::BoundAgain);
        return scope.resolve(objects, id, prepared, class);
    }
    resolve(scope, objects, id, prepared, class, How::Relocation)
}

/// Tells that nothing defines a strong reference, but for LD_DEBUG=unused, which does not mind.
pub fn tell_undefined(error: &Error) {
    if trace::on(Topics::UNUSED) {
        return;
    }
    trace::tell(Topics::ERRORS, || Event::Error {
        object: &error.object,
        occasion: "symbol lookup error",
        words: &error.problem,
        fatal: true,
    });
}
