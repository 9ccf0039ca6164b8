//! The objects in which references are looked up, in order.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::index::Index;
use super::one;
use super::prepared::Prepared;
use super::{Class, Reference};
use crate::addr::ObjectId;
use crate::elf::dynamic::Flags;
use crate::elf::hash::HashTable;
use crate::elf::symbol::Binding;
use crate::elf::version::Version;
use crate::object::{Definition, Exports, Names, Object, Role};

/// One object of a scope.
#[derive(Clone, Copy)]
struct Member<'m, 'a> {
    id: ObjectId,
    is_program: bool,
    hash: HashTable<'a>,
    names: Names<'m, 'a>,
}

/// A search order.
pub struct Scope<'m, 'a> {
    members: Vec<Member<'m, 'a>>,
    index: Option<Index>,
    /// `LD_DYNAMIC_WEAK`: a weak definition gives way to a later strong one.
    dynamic_weak: bool,
    /// The one definition that each STB_GNU_UNIQUE name has in the process.
    unique: BTreeMap<&'a [u8], Definition>,
}

/// An index is worth its making when the walks that it saves cost more than entering every definition: looking at one
/// object's Bloom filter costs about a fifth of that.
const STEPS_PER_ENTRY: usize = 5;
/// With fewer objects, a walk ends before an index could have answered.
const FEW: usize = 8;

impl<'m, 'a> Scope<'m, 'a> {
    /// A scope of `objects`, in which about `references` lookups will be made.
    #[must_use]
    pub fn new(
        objects: impl Iterator<Item = (ObjectId, &'m Object<'a>)>,
        references: usize,
        dynamic_weak: bool,
    ) -> Self {
        let mut this = Self::walking(objects, dynamic_weak);
        let count = |member: &Member<'_, '_>| member.names.count(&member.hash);
        let definitions: usize = this.members.iter().map(count).sum();
        let steps = references.saturating_mul(this.members.len());
        if this.members.len() >= FEW && steps / STEPS_PER_ENTRY > definitions {
            this.make_index();
        }
        this
    }

    /// A scope in which every lookup walks from object to object.
    #[must_use]
    pub fn walking(
        objects: impl Iterator<Item = (ObjectId, &'m Object<'a>)>,
        dynamic_weak: bool,
    ) -> Self {
        let member = |(id, object): (ObjectId, &'m Object<'a>)| Member {
            id,
            is_program: object.role == Role::Program,
            hash: object.exports.hash,
            names: object.exports.names(),
        };
        Self {
            members: objects.map(member).collect(),
            index: None,
            dynamic_weak,
            unique: BTreeMap::new(),
        }
    }

    /// Makes the index, whether or not it pays.
    pub fn make_index(&mut self) {
        self.index = Some(Index::new(self.members.iter().map(|it| (&it.hash, &it.names))));
    }

    /// The index, if there is one.
    #[inline]
    #[must_use]
    pub const fn index(&self) -> Option<&Index> {
        self.index.as_ref()
    }

    /// The names of the object at `position` of the scope.
    #[inline]
    #[must_use]
    pub fn names(&self, position: u32) -> Option<&Names<'m, 'a>> {
        self.members.get(position as usize).map(|member| &member.names)
    }

    /// The first definition in scope order. `own` is searched before everything else (`DT_SYMBOLIC`).
    pub fn find(
        &mut self,
        reference: &Reference<'a>,
        own: Option<(ObjectId, &Exports<'a>)>,
    ) -> Option<Definition> {
        let Self { members, index, dynamic_weak, unique } = self;
        let mut judge = Judge { reference, dynamic_weak: *dynamic_weak, unique, weak: None };
        if let Some((id, exports)) = own
            && exports.hash.may_hold(reference.hash)
            && let Some(found) = one::find_in(&exports.hash, &exports.names(), reference)
            && let Some(found) = judge.accept(id, &exports.names(), found)
        {
            return Some(found);
        }
        if let Some(index) = index {
            return search_index(members, index, reference, &mut judge).or(judge.weak);
        }
        for member in members.iter() {
            let passed_over = member.is_program && reference.class.skip_program;
            if !passed_over
                && member.hash.may_hold(reference.hash)
                && let Some(found) = one::find_in(&member.hash, &member.names, reference)
                && let Some(found) = judge.accept(member.id, &member.names, found)
            {
                return Some(found);
            }
        }
        judge.weak
    }

    /// Resolves a reference that one of `objects` makes, with glibc's rules for protected symbols.
    ///
    /// # Errors
    /// The reference is strong and nothing defines it.
    pub fn resolve(
        &mut self,
        objects: &[Object<'a>],
        id: ObjectId,
        prepared: &Prepared<'a>,
        class: Class,
    ) -> Result<Option<Definition>, Undefined<'a>> {
        let Prepared { index, symbol, name, hash } = *prepared;
        if symbol.binds_locally() {
            return Ok(Some(Definition { object: id, index, symbol }));
        }
        let Some(object) = objects.get(id.index()) else { return Ok(None) };
        let version = object.exports.wanted_version(index);
        let reference = Reference { name, hash, version, class };
        let symbolic = object.dynamic.flags.contains(Flags::SYMBOLIC);
        let own = (symbolic && object.role != Role::Program).then_some((id, &object.exports));
        let found = self.find(&reference, own);
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

/// The first definition that an index leads to.
fn search_index<'a>(
    members: &[Member<'_, 'a>],
    index: &Index,
    reference: &Reference<'a>,
    judge: &mut Judge<'_, 'a>,
) -> Option<Definition> {
    let mut candidates = index.candidates(reference.hash).peekable();
    while let Some(first) = candidates.peek().copied() {
        let member = members.get(first.member as usize)?;
        let passed_over = member.is_program && reference.class.skip_program;
        let mut choice = one::Choice::new(&member.names, reference);
        let mut found = None;
        while let Some(next) = candidates.next_if(|next| next.member == first.member) {
            if found.is_none() && !passed_over {
                found = choice.offer(next.symbol);
            }
        }
        if let Some(found) = found.or_else(|| choice.last_resort())
            && let Some(found) = judge.accept(member.id, &member.names, found)
        {
            return Some(found);
        }
    }
    None
}

/// Decides whether what an object offers is the answer.
struct Judge<'j, 'a> {
    reference: &'j Reference<'a>,
    dynamic_weak: bool,
    unique: &'j mut BTreeMap<&'a [u8], Definition>,
    /// The first weak definition, where weak ones give way.
    weak: Option<Definition>,
}

impl<'a> Judge<'_, 'a> {
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
            Binding::Unique => Some(*self.unique.entry(self.reference.name).or_insert(definition)),
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
