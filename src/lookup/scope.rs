//! A search order: runs of objects, and what holds for all lookups in them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::prepared::Prepared;
use super::quick::{self, Quick};
use super::run::{Member, Run};
use super::{Class, Reference, one};
use crate::addr::ObjectId;
use crate::elf::dynamic::Flags;
use crate::elf::symbol::Binding;
use crate::elf::version::Version;
use crate::linkmap::Objects;
use crate::object::{Definition, Exports, Names, Object, Role};
use crate::trace::{self, Topics};

/// The one definition that each STB_GNU_UNIQUE name has in a namespace.
pub type Unique<'a> = BTreeMap<&'a [u8], Definition>;

/// Whether a lookup may make a definition the unique one.
pub enum Uniqueness<'s, 'a> {
    /// The first definition found becomes it.
    Settles(&'s mut Unique<'a>),
    /// What is unique already is respected, and nothing is written: others look things up at the same time.
    Settled(&'s Unique<'a>),
}

/// What a name stands for that nothing defines, where a libc has other names for its functions.
pub type OtherNames<'s> = &'s dyn Fn(&[u8]) -> Option<Definition>;

/// A search order.
pub struct Scope<'s, 'm, 'a> {
    runs: &'s [&'s Run<'m, 'a>],
    /// `LD_DYNAMIC_WEAK`: a weak definition gives way to a later strong one.
    pub dynamic_weak: bool,
    unique: Uniqueness<'s, 'a>,
    /// Asked when nothing defines what a relocation refers to.
    pub other_names: Option<OtherNames<'s>>,
    /// The objects that the last lookups have visited, while somebody wants to know.
    pub visited: Vec<ObjectId>,
}

impl<'s, 'm, 'a> Scope<'s, 'm, 'a> {
    /// A search through `runs`, in order.
    #[must_use]
    pub const fn new(
        runs: &'s [&'s Run<'m, 'a>],
        dynamic_weak: bool,
        unique: Uniqueness<'s, 'a>,
    ) -> Self {
        Self { runs, dynamic_weak, unique, other_names: None, visited: Vec::new() }
    }

    /// The runs, in order.
    #[inline]
    #[must_use]
    pub const fn runs(&self) -> &'s [&'s Run<'m, 'a>] {
        self.runs
    }

    /// The objects that are searched.
    pub fn objects(&self) -> impl Iterator<Item = ObjectId> {
        self.runs.iter().flat_map(|run| run.objects())
    }

    /// What a relocation of `object` refers to, if nothing about it is unusual.
    #[inline(always)]
    #[must_use]
    pub fn quick(&self, object: &Object<'a>, prepared: &Prepared<'a>, class: Class) -> Quick {
        quick::of(object, prepared, class, self.runs, self.dynamic_weak)
    }

    /// The first definition in scope order. `own` is searched before everything else (`DT_SYMBOLIC`).
    pub fn find(
        &mut self,
        reference: &Reference<'_>,
        own: Option<(ObjectId, &Exports<'a>)>,
    ) -> Option<Definition> {
        let Self { runs, dynamic_weak, unique, visited, .. } = self;
        let mut judge = Judge { reference, dynamic_weak: *dynamic_weak, unique, weak: None };
        let each_is_told = trace::on(Topics::SYMBOLS);
        if each_is_told {
            visited.extend(own.map(|(id, _)| id));
        }
        if let Some((id, exports)) = own
            && exports.hash.may_hold(reference.hash)
            && let Some(found) = one::find_in(&exports.hash, &exports.names(), reference)
            && let Some(found) = judge.accept(id, &exports.names(), found)
        {
            return Some(found);
        }
        let mut accept =
            |member: &Member<'_, 'a>, found| judge.accept(member.id, &member.names, found);
        let found = match each_is_told {
            false => runs.iter().find_map(|run| run.search(reference, 0, &mut accept)),
            true => walk(runs, reference, 0, visited, &mut accept),
        };
        found.or(judge.weak)
    }

    /// The first definition after an object (RTLD_NEXT); of all objects, if it is not among them.
    pub fn find_after(&mut self, reference: &Reference<'_>, after: ObjectId) -> Option<Definition> {
        let Self { runs, dynamic_weak, unique, visited, .. } = self;
        let mut judge = Judge { reference, dynamic_weak: *dynamic_weak, unique, weak: None };
        let place = |run: &Run<'_, '_>| run.objects().position(|id| id == after);
        let here = runs.iter().zip(0..).find_map(|(run, at)| Some((at, place(run)? + 1)));
        let (run, mut first) = here.unwrap_or((0, 0));
        let runs = runs.get(run..).unwrap_or_default();
        let mut accept =
            |member: &Member<'_, 'a>, found| judge.accept(member.id, &member.names, found);
        let found = match trace::on(Topics::SYMBOLS) {
            false => runs
                .iter()
                .find_map(|run| run.search(reference, core::mem::take(&mut first), &mut accept)),
            true => walk(runs, reference, first, visited, &mut accept),
        };
        found.or(judge.weak)
    }

    /// Resolves a reference that one of `objects` makes, with glibc's rules for protected symbols.
    ///
    /// # Errors
    /// The reference is strong and nothing defines it.
    #[inline(always)]
    pub fn resolve(
        &mut self,
        objects: &Objects<'a>,
        id: ObjectId,
        prepared: &Prepared<'a>,
        class: Class,
    ) -> Result<Option<Definition>, Undefined<'a>> {
        let Prepared { index, symbol, name, hash } = *prepared;
        if symbol.binds_locally() {
            return Ok(Some(Definition { object: id, index, symbol }));
        }
        let Some(object) = objects.get(id) else { return Ok(None) };
        let version = object.exports.wanted_version(index);
        let reference = Reference { name, hash, version, class };
        let symbolic = object.dynamic.flags.contains(Flags::SYMBOLIC);
        let own = (symbolic && object.role != Role::Program).then_some((id, &object.exports));
        let other_names = self.other_names;
        let found = self.find(&reference, own).or_else(|| other_names?(name));
        let Some(found) = found else {
            return match symbol.binding() {
                Binding::Weak => Ok(None),
                _ => Err(Undefined { name, version }),
            };
        };
        if !symbol.is_protected() || found.object == id {
            return Ok(Some(found));
        }
        // A protected symbol binds inside its object. Only the address of a function may come from elsewhere: from the
        // executable's PLT entry, so that all pointers to the function compare equal.
        let elsewhere = match class.definition_only {
            true => true,
            false => {
                let class = Class { definition_only: true, ..class };
                let again = self.find(&Reference { class, ..reference }, own);
                again.is_some_and(|definition| definition.object != id)
            }
        };
        let protected = Definition { object: id, index, symbol };
        Ok(Some(if elsewhere { protected } else { found }))
    }
}

/// Walks through runs, the first of them from the position `first` on.
fn walk<'m, 'a, T>(
    runs: &[&Run<'m, 'a>],
    reference: &Reference<'_>,
    mut first: usize,
    visited: &mut Vec<ObjectId>,
    mut accept: impl FnMut(&Member<'m, 'a>, u32) -> Option<T>,
) -> Option<T> {
    runs.iter().find_map(|run| {
        let first = core::mem::take(&mut first);
        run.walk(reference, first, &mut |id| visited.push(id), &mut accept)
    })
}

/// Decides whether what an object offers is the answer.
struct Judge<'j, 's, 'a> {
    reference: &'j Reference<'j>,
    dynamic_weak: bool,
    unique: &'j mut Uniqueness<'s, 'a>,
    /// The first weak definition, where weak ones give way.
    weak: Option<Definition>,
}

impl<'a> Judge<'_, '_, 'a> {
    /// Applies visibility and binding to the symbol `index` of an object.
    #[inline]
    fn accept(
        &mut self,
        object: ObjectId,
        names: &Names<'_, 'a>,
        index: u32,
    ) -> Option<Definition> {
        let symbol = names.symbols.get(index as usize)?;
        if symbol.is_hidden() {
            return None;
        }
        let definition = Definition { object, index, symbol };
        match symbol.binding() {
            Binding::Global => Some(definition),
            Binding::Local => None,
            Binding::Weak if !self.dynamic_weak => Some(definition),
            Binding::Weak => {
                self.weak.get_or_insert(definition);
                None
            }
            // A COPY relocation takes its bytes from the library, whatever the process-wide choice is.
            Binding::Unique if self.reference.class.skip_program => Some(definition),
            Binding::Unique => {
                // The definer's own string: the reference's may be gone sooner.
                let name = names.strings.get(symbol.name)?;
                Some(match &mut self.unique {
                    Uniqueness::Settles(table) => *table.entry(name).or_insert(definition),
                    Uniqueness::Settled(table) => table.get(name).copied().unwrap_or(definition),
                })
            }
        }
    }
}

/// A strong reference that nothing defines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Undefined<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The version asked for.
    pub version: Option<Version<'a>>,
}
