//! Objects that are searched one after the other: a walk, or an index over all of them.

use alloc::vec::Vec;

use super::Reference;
use super::index::Index;
use super::one;
use crate::addr::{Bias, ObjectId};
use crate::elf::hash::HashTable;
use crate::elf::table::Table;
use crate::object::{Names, Object, Role};

/// One object of a run.
#[derive(Clone, Copy)]
pub(super) struct Member<'m, 'a> {
    pub id: ObjectId,
    pub bias: Bias,
    is_program: bool,
    pub hash: HashTable<'a>,
    pub names: Names<'m, 'a>,
}

impl<'m, 'a> Member<'m, 'a> {
    fn new((id, object): (ObjectId, &'m Object<'a>)) -> Self {
        Self {
            id,
            bias: object.image.bias,
            is_program: object.role == Role::Program,
            hash: object.exports.hash,
            names: object.exports.names(),
        }
    }
}

/// Objects that are searched one after the other. A search order is made of one or more runs.
pub struct Run<'m, 'a> {
    members: Vec<Member<'m, 'a>>,
    index: Option<Index>,
    /// How many objects the index is of, the first ones.
    indexed: usize,
}

/// An index is worth its making when the walks that it saves cost more than entering every definition: looking at one
/// object's Bloom filter costs about a fifth of that.
const STEPS_PER_ENTRY: usize = 5;
/// With fewer objects, a walk ends before an index could have answered.
const FEW: usize = 8;
/// From this many objects on, functions that are bound when they are first called would notice each walk, and making an
/// index costs little beside mapping the objects: unless they define more than so many names each.
const MANY: usize = 16;
const USUAL_DEFINITIONS: usize = 4000;
/// An object with so many definitions is asked itself, if at most so many objects follow: most often libc, which comes
/// last and would be half of the index.
const LARGE: usize = 1000;
const LAST: usize = 4;

impl<'m, 'a> Run<'m, 'a> {
    /// A run of `objects`, in which about `references` lookups will be made.
    #[must_use]
    pub fn new(
        objects: impl Iterator<Item = (ObjectId, &'m Object<'a>)>,
        references: usize,
    ) -> Self {
        Self::with_last_resort(objects, None, references)
    }

    /// The same with one more object behind all others, where every version counts as the one that is asked for: rld,
    /// for code without a libc, which finds there what a libc would have.
    #[must_use]
    pub fn with_last_resort(
        objects: impl Iterator<Item = (ObjectId, &'m Object<'a>)>,
        last_resort: Option<(ObjectId, &'m Object<'a>)>,
        references: usize,
    ) -> Self {
        let mut this = Self::walking(objects);
        this.members.extend(last_resort.map(|object| {
            let mut member = Member::new(object);
            member.names.versyms = Table::default();
            member
        }));
        let count = this.members.len();
        if references == 0 || count < FEW {
            return this;
        }
        let definitions: usize = this.to_index().iter().map(|it| it.hash.definitions()).sum();
        let pays = references.saturating_mul(count) / STEPS_PER_ENTRY > definitions;
        let is_cheap = definitions <= count.saturating_mul(USUAL_DEFINITIONS);
        if pays || (count >= MANY && is_cheap) {
            this.make_index();
        }
        this
    }

    /// A run in which every lookup walks from object to object.
    #[must_use]
    pub fn walking(objects: impl Iterator<Item = (ObjectId, &'m Object<'a>)>) -> Self {
        Self { members: objects.map(Member::new).collect(), index: None, indexed: 0 }
    }

    /// The objects that an index is made of.
    fn to_index(&self) -> &[Member<'m, 'a>] {
        let (first, last) = self.members.split_at(self.members.len().saturating_sub(LAST));
        let large = last.iter().position(|member| member.hash.definitions() >= LARGE);
        self.members.get(..first.len() + large.unwrap_or(last.len())).unwrap_or_default()
    }

    /// Makes the index, whether or not it pays.
    pub fn make_index(&mut self) {
        let members = self.to_index();
        let index = Index::new(members.iter().map(|it| (&it.hash, &it.names)));
        (self.indexed, self.index) = (members.len(), Some(index));
    }

    /// The index, if there is one.
    #[inline]
    #[must_use]
    pub const fn index(&self) -> Option<&Index> {
        self.index.as_ref()
    }

    /// The object at `position`.
    #[inline(always)]
    pub(super) fn member(&self, position: u32) -> Option<&Member<'m, 'a>> {
        self.members.get(position as usize)
    }

    /// The objects that the index is not of.
    #[inline(always)]
    pub(super) fn others(&self) -> &[Member<'m, 'a>] {
        self.members.get(self.indexed..).unwrap_or_default()
    }

    /// Whether one of them may define a name with this hash. A `false` is certain.
    #[inline(always)]
    pub(super) fn others_may_hold(&self, hash: u32) -> bool {
        self.others().iter().any(|member| member.hash.may_hold(hash))
    }

    /// The objects, in order.
    pub fn objects(&self) -> impl ExactSizeIterator<Item = ObjectId> + Clone {
        self.members.iter().map(|member| member.id)
    }

    /// Offers `accept` what objects define under the reference's name, one symbol an object, from the position `first`
    /// on, until it takes one.
    #[inline]
    pub(super) fn search<T>(
        &self,
        reference: &Reference<'_>,
        first: usize,
        mut accept: impl FnMut(&Member<'m, 'a>, u32) -> Option<T>,
    ) -> Option<T> {
        if let Some(index) = &self.index {
            return self.search_index(index, reference, first, accept);
        }
        self.ask_each(reference, first, &mut accept)
    }

    /// The same without the index.
    #[inline]
    fn ask_each<T>(
        &self,
        reference: &Reference<'_>,
        first: usize,
        accept: &mut impl FnMut(&Member<'m, 'a>, u32) -> Option<T>,
    ) -> Option<T> {
        for member in self.members.get(first..).unwrap_or_default() {
            let passed_over = member.is_program && reference.class.skip_program;
            if !passed_over
                && member.hash.may_hold(reference.hash)
                && let Some(found) = one::find_in(&member.hash, &member.names, reference)
                && let Some(found) = accept(member, found)
            {
                return Some(found);
            }
        }
        None
    }

    /// [`Run::search`] from the start and as a part of its caller, for lookups whose time counts. No object is passed
    /// over.
    #[inline(always)]
    pub(super) fn search_here<T>(
        &self,
        reference: &Reference<'_>,
        mut accept: impl FnMut(&Member<'m, 'a>, u32) -> Option<T>,
    ) -> Option<T> {
        if let Some(index) = &self.index {
            // Most often the first candidate is the answer, or there is none.
            let Some(first) = index.candidates(reference.hash).next() else {
                if !self.others_may_hold(reference.hash) {
                    return None;
                }
                return self.ask_each(reference, self.indexed, &mut accept);
            };
            let member = self.member(first.member)?;
            if one::is_match(&member.names, reference, first.symbol)
                && let Some(found) = accept(member, first.symbol)
            {
                return Some(found);
            }
            return self.search_index(index, reference, 0, accept);
        }
        for member in &self.members {
            if member.hash.may_hold(reference.hash)
                && let Some(found) = one::find_here(&member.hash, &member.names, reference)
                && let Some(found) = accept(member, found)
            {
                return Some(found);
            }
        }
        None
    }

    /// The same without the index, for a reader who wants to know each object that is visited.
    #[cold]
    pub(super) fn walk<T>(
        &self,
        reference: &Reference<'_>,
        first: usize,
        visit: &mut dyn FnMut(ObjectId),
        mut accept: impl FnMut(&Member<'m, 'a>, u32) -> Option<T>,
    ) -> Option<T> {
        let members = self.members.get(first..).unwrap_or_default().iter();
        let mut left = members.filter(|it| !(it.is_program && reference.class.skip_program));
        left.find_map(|member| {
            visit(member.id);
            let may_hold = member.hash.may_hold(reference.hash);
            let found =
                may_hold.then(|| one::find_in(&member.hash, &member.names, reference))??;
            accept(member, found)
        })
    }

    /// By the index, and then of the objects that it is not of.
    #[inline(never)]
    fn search_index<T>(
        &self,
        index: &Index,
        reference: &Reference<'_>,
        first: usize,
        mut accept: impl FnMut(&Member<'m, 'a>, u32) -> Option<T>,
    ) -> Option<T> {
        let mut candidates = index.candidates(reference.hash).peekable();
        while let Some(next) = candidates.peek().copied() {
            let position = next.member;
            let member = self.member(position)?;
            let passed_over =
                (member.is_program && reference.class.skip_program) || (position as usize) < first;
            let mut choice = one::Choice::new(&member.names, reference);
            let mut found = None;
            while let Some(next) = candidates.next_if(|next| next.member == position) {
                if found.is_none() && !passed_over {
                    found = choice.offer(next.symbol);
                }
            }
            if let Some(found) = found.or_else(|| choice.last_resort())
                && let Some(found) = accept(member, found)
            {
                return Some(found);
            }
        }
        self.ask_each(reference, first.max(self.indexed), &mut accept)
    }
}
