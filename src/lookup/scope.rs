//! The objects in which references are looked up, in order, and what was found there before.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::index::Index;
use super::one::{self, Match};
use super::{Class, Reference};
use crate::addr::ObjectId;
use crate::elf::symbol::{Binding, Symbol};
use crate::elf::version::Version;
use crate::object::{Definition, Exports, Object, Role};

/// One object of a scope.
#[derive(Clone, Copy)]
struct Member<'m, 'a> {
    id: ObjectId,
    is_program: bool,
    exports: &'m Exports<'a>,
}

/// A search order with the memory of what was found.
pub struct Scope<'m, 'a> {
    members: Vec<Member<'m, 'a>>,
    index: Option<Index>,
    /// `LD_DYNAMIC_WEAK`: a weak definition gives way to a later strong one.
    dynamic_weak: bool,
    /// The one definition that each STB_GNU_UNIQUE name has in the process.
    unique: BTreeMap<&'a [u8], Definition>,
    memo: Memo<'a>,
}

/// An index is worth its making when the walks that it saves cost more than visiting every definition once.
const WALK_PER_ENTRY: usize = 2;

impl<'m, 'a> Scope<'m, 'a> {
    /// A scope of `objects`, in which about `references` lookups will be made.
    #[must_use]
    pub fn new(
        objects: impl Iterator<Item = (ObjectId, &'m Object<'a>)>,
        references: usize,
        dynamic_weak: bool,
    ) -> Self {
        let members: Vec<_> = objects
            .map(|(id, object)| Member {
                id,
                is_program: object.role == Role::Program,
                exports: &object.exports,
            })
            .collect();
        let definitions: usize = members.iter().map(|member| member.exports.count()).sum();
        let steps = references.saturating_mul(members.len());
        let index = (members.len() > 2 && steps / WALK_PER_ENTRY > definitions).then(|| {
            let exports: Vec<_> = members.iter().map(|member| member.exports).collect();
            Index::new(&exports)
        });
        let memo = Memo::new(references);
        Self { members, index, dynamic_weak, unique: BTreeMap::new(), memo }
    }

    /// The first definition in scope order. `own` is searched before everything else (`DT_SYMBOLIC`).
    pub fn find(
        &mut self,
        reference: &Reference<'a>,
        own: Option<(ObjectId, &Exports<'a>)>,
    ) -> Option<Definition> {
        if let Some((id, exports)) = own {
            let mut weak = None;
            let found = one::find(exports, reference);
            if let Some(found) = self.accept(id, found, reference, &mut weak) {
                return Some(found);
            }
        }
        if let Some(known) = self.memo.get(reference) {
            return known;
        }
        let found = self.search(reference);
        self.memo.set(reference, found);
        found
    }

    fn search(&mut self, reference: &Reference<'a>) -> Option<Definition> {
        let mut weak = None;
        if let Some(index) = self.index.take() {
            let found = self.search_index(&index, reference, &mut weak);
            self.index = Some(index);
            return found.or(weak);
        }
        for at in 0..self.members.len() {
            let member = *self.members.get(at)?;
            if member.is_program && reference.class.skip_program {
                continue;
            }
            let found = one::find(member.exports, reference);
            if let Some(found) = self.accept(member.id, found, reference, &mut weak) {
                return Some(found);
            }
        }
        weak
    }

    fn search_index(
        &mut self,
        index: &Index,
        reference: &Reference<'a>,
        weak: &mut Option<Definition>,
    ) -> Option<Definition> {
        let mut candidates = index.candidates(reference.hash).peekable();
        while let Some(first) = candidates.peek().copied() {
            let member = *self.members.get(first.member as usize)?;
            let mut of_member = core::iter::from_fn(|| {
                candidates.next_if(|next| next.member == first.member).map(|next| next.symbol)
            });
            let found = match member.is_program && reference.class.skip_program {
                true => None,
                false => one::pick(member.exports, reference, &mut of_member),
            };
            of_member.for_each(drop);
            if let Some(found) = self.accept(member.id, found, reference, weak) {
                return Some(found);
            }
        }
        None
    }

    /// Applies visibility and binding to what one object offers.
    fn accept(
        &mut self,
        object: ObjectId,
        found: Option<Match>,
        reference: &Reference<'a>,
        weak: &mut Option<Definition>,
    ) -> Option<Definition> {
        let (_, symbol) = found?;
        let definition = Definition { object, symbol };
        if symbol.is_hidden() {
            return None;
        }
        match symbol.binding() {
            Binding::Local => None,
            Binding::Weak if self.dynamic_weak => {
                weak.get_or_insert(definition);
                None
            }
            Binding::Weak | Binding::Global => Some(definition),
            // A COPY relocation takes its bytes from the library, whatever the process-wide choice is.
            Binding::Unique if reference.class.skip_program => Some(definition),
            Binding::Unique => Some(*self.unique.entry(reference.name).or_insert(definition)),
        }
    }

    /// Resolves a reference that `object` makes through its symbol `index`, with glibc's rules for protected symbols.
    ///
    /// # Errors
    /// The reference is strong and nothing defines it.
    pub fn resolve(
        &mut self,
        id: ObjectId,
        object: &Object<'a>,
        index: u32,
        symbol: &Symbol,
        class: Class,
    ) -> Result<Option<Definition>, Undefined<'a>> {
        if symbol.binds_locally() {
            return Ok(Some(Definition { object: id, symbol: *symbol }));
        }
        let version = object.exports.wanted_version(index);
        let name = object.exports.strings.get(symbol.name).unwrap_or_default();
        let reference = Reference::new(name, version, class);
        let symbolic = object.dynamic.flags.contains(crate::elf::dynamic::Flags::SYMBOLIC);
        let own = (symbolic && object.role != Role::Program).then_some((id, &object.exports));
        let Some(found) = self.find(&reference, own) else {
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
        let protected = Definition { object: id, symbol: *symbol };
        Ok(Some(if elsewhere { protected } else { found }))
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

/// What lookups in one scope have found: many objects refer to the same names.
struct Memo<'a> {
    slots: Vec<Option<Known<'a>>>,
    used: usize,
}

#[derive(Clone, Copy)]
struct Known<'a> {
    hash: u32,
    class: Class,
    name: &'a [u8],
    version: Option<Version<'a>>,
    definition: Option<Definition>,
}

impl<'a> Memo<'a> {
    fn new(_references: usize) -> Self {
        Self { slots: Vec::new(), used: 0 }
    }

    fn position(&self, reference: &Reference<'a>) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = reference.hash as usize & mask;
        loop {
            match self.slots.get(at)? {
                None => return Some(at),
                Some(known) if known.is(reference) => return Some(at),
                Some(_) => at = (at + 1) & mask,
            }
        }
    }

    fn get(&self, reference: &Reference<'a>) -> Option<Option<Definition>> {
        let known = self.slots.get(self.position(reference)?)?.as_ref()?;
        Some(known.definition)
    }

    fn set(&mut self, reference: &Reference<'a>, definition: Option<Definition>) {
        if (self.used + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let Some(at) = self.position(reference) else { return };
        if let Some(slot) = self.slots.get_mut(at) {
            let Reference { name, hash, version, class } = *reference;
            *slot = Some(Known { hash, class, name, version, definition });
            self.used += 1;
        }
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 4).max(256);
        let old = core::mem::replace(&mut self.slots, alloc::vec![None; size]);
        let mask = size - 1;
        for known in old.into_iter().flatten() {
            let mut at = known.hash as usize & mask;
            while self.slots.get(at).is_some_and(Option::is_some) {
                at = (at + 1) & mask;
            }
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = Some(known);
            }
        }
    }
}

impl Known<'_> {
    fn is(&self, reference: &Reference<'_>) -> bool {
        let version = |version: Option<Version<'_>>| version.map_or(0, |version| version.hash);
        self.hash == reference.hash
            && version(self.version) == version(reference.version)
            && self.class == reference.class
            && self.name == reference.name
            && self.version.map(|version| (version.name, version.hidden))
                == reference.version.map(|version| (version.name, version.hidden))
    }
}
