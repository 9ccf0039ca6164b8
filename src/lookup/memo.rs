//! What lookups in one scope have found: many objects refer to the same names.
//!
//! An entry does not hold the name and version that were asked for, but who asked: both are in that object's tables.

use alloc::vec;
use alloc::vec::Vec;

use super::{Class, Reference};
use crate::addr::ObjectId;
use crate::object::{Definition, Object};

/// One lookup and its answer.
#[derive(Clone, Copy, Debug)]
struct Known {
    class: Class,
    /// The first object that asked, and its symbol.
    asked: (ObjectId, u32),
    /// The object that defines it, and its symbol; none where nothing does.
    found: Option<(ObjectId, u32)>,
}

/// The answers so far, in an open-addressed table.
#[derive(Default, Debug)]
pub struct Memo {
    /// The length is a power of two.
    table: Vec<Slot>,
    known: Vec<Known>,
}

/// Where an answer is, with enough of its key that a wrong one is hardly ever looked at.
#[derive(Clone, Copy, Default, Debug)]
struct Slot {
    key: u32,
    /// Position in `known` plus one; 0 is empty.
    position: u32,
}

/// Name, version and class as one number.
fn key(reference: &Reference<'_>) -> u32 {
    let Class { definition_only, skip_program, newest } = reference.class;
    let class = u32::from(definition_only) | u32::from(skip_program) << 1 | u32::from(newest) << 2;
    let version = reference.version.map_or(0, |version| version.hash);
    (reference.hash ^ version ^ class << 29).wrapping_mul(super::SPREAD)
}

const FIRST_SIZE: usize = 512;

impl Memo {
    /// The answer to `reference`, if it was asked before.
    #[must_use]
    pub fn get(
        &self,
        objects: &[Object<'_>],
        reference: &Reference<'_>,
    ) -> Option<Option<Definition>> {
        let mask = self.table.len().checked_sub(1)?;
        let key = key(reference);
        let mut at = self.start(key);
        loop {
            let slot = self.table.get(at)?;
            let position = slot.position.checked_sub(1)?;
            if slot.key == key
                && let Some(known) = self.known.get(position as usize)
                && known.is(objects, reference)
            {
                return known.definition(objects);
            }
            at = (at + 1) & mask;
        }
    }

    /// Remembers the answer to a reference that `asked` has made and that was not asked before.
    pub fn set(
        &mut self,
        reference: &Reference<'_>,
        asked: (ObjectId, u32),
        found: Option<&Definition>,
    ) {
        if (self.known.len() + 1) * 2 > self.table.len() {
            self.grow();
        }
        let found = found.map(|found| (found.object, found.index));
        self.known.push(Known { class: reference.class, asked, found });
        let position = u32::try_from(self.known.len()).unwrap_or_default();
        self.enter(Slot { key: key(reference), position });
    }

    fn enter(&mut self, new: Slot) {
        let mask = self.table.len().wrapping_sub(1);
        let mut at = self.start(new.key);
        while let Some(slot) = self.table.get_mut(at) {
            if slot.position == 0 {
                *slot = new;
                return;
            }
            at = (at + 1) & mask;
        }
    }

    /// Where the search for a key starts: its upper bits, which the product has spread.
    fn start(&self, key: u32) -> usize {
        let bits = self.table.len().trailing_zeros().min(u32::BITS - 1);
        (key >> (u32::BITS - bits)) as usize
    }

    fn grow(&mut self) {
        let size = (self.table.len() * 2).max(FIRST_SIZE);
        let old = core::mem::replace(&mut self.table, vec![Slot::default(); size]);
        old.into_iter().filter(|slot| slot.position != 0).for_each(|slot| self.enter(slot));
    }
}

impl Known {
    fn is(&self, objects: &[Object<'_>], reference: &Reference<'_>) -> bool {
        let (id, index) = self.asked;
        let exports = objects.get(id.index()).map(|object| &object.exports);
        let symbol =
            exports.and_then(|exports| Some((exports, exports.symbols.get(index as usize)?)));
        symbol.is_some_and(|(exports, symbol)| {
            self.class == reference.class
                && exports.strings.is(symbol.name, reference.name)
                && exports.wanted_version(index) == reference.version
        })
    }

    fn definition(&self, objects: &[Object<'_>]) -> Option<Option<Definition>> {
        let Some((object, index)) = self.found else { return Some(None) };
        let exports = &objects.get(object.index())?.exports;
        let symbol = exports.symbols.get(index as usize)?;
        Some(Some(Definition { object, index, symbol }))
    }
}
