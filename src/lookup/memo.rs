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
    hash: u32,
    class: Class,
    /// The first object that asked, and its symbol.
    asked: (ObjectId, u32),
    /// The object that defines it, and its symbol; none where nothing does.
    found: Option<(ObjectId, u32)>,
}

/// The answers so far, in an open-addressed table.
#[derive(Default, Debug)]
pub struct Memo {
    /// Position in `known` plus one; 0 is empty. The length is a power of two.
    table: Vec<u32>,
    known: Vec<Known>,
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
        let mut at = reference.hash as usize & mask;
        loop {
            let position = self.table.get(at)?.checked_sub(1)?;
            let known = self.known.get(position as usize)?;
            if known.hash == reference.hash && known.is(objects, reference) {
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
        self.known.push(Known { hash: reference.hash, class: reference.class, asked, found });
        self.enter(reference.hash, self.known.len());
    }

    fn enter(&mut self, hash: u32, position: usize) {
        let mask = self.table.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        while let Some(slot) = self.table.get_mut(at) {
            if *slot == 0 {
                *slot = u32::try_from(position).unwrap_or(0);
                return;
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let size = (self.table.len() * 2).max(FIRST_SIZE);
        self.table = vec![0; size];
        for at in 0..self.known.len() {
            let hash = self.known.get(at).map_or(0, |known| known.hash);
            self.enter(hash, at + 1);
        }
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
