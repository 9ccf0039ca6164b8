//! What objects depend on: whom they keep anyway, whatever they are bound to.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::world::World;
use crate::addr::ObjectId;
use crate::linkmap::id_set::IdSet;

/// What objects depend on, found once for each.
pub struct Dependencies<'w> {
    world: &'w World,
    known: BTreeMap<ObjectId, IdSet>,
}

impl<'w> Dependencies<'w> {
    /// Those of the objects of a world.
    #[must_use]
    pub const fn new(world: &'w World) -> Self {
        Self { world, known: BTreeMap::new() }
    }

    /// Takes out of `ids` the object itself and all that it depends on.
    pub fn take_out(&mut self, id: ObjectId, ids: &mut Vec<ObjectId>) {
        let known = self.known.remove(&id).or_else(|| self.composed(id));
        let set = known.unwrap_or_else(|| self.world.reachable([id].into_iter(), |_| []));
        ids.retain(|&id| !set.holds(id));
        self.known.insert(id, set);
    }

    /// An object with its dependencies, from those of what it needs, where these are known. What is needed by an object
    /// of the start is left out: it is never unloaded.
    fn composed(&self, id: ObjectId) -> Option<IdSet> {
        let mut set = IdSet::of(self.world.map.objects.ids());
        set.add(id);
        for &needed in &self.world.map.get(id)?.needed {
            match self.world.is_of_start(needed) {
                true => _ = set.add(needed),
                false => set.add_all(self.known.get(&needed)?),
            }
        }
        Some(set)
    }
}
