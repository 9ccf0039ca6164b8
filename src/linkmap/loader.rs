//! rld as namespaces see it: as the program does, or, where libc is of another layout, as an object of their own.

use alloc::sync::Arc;

use super::LinkMap;
use crate::addr::ObjectId;
use crate::object::{Object, Role};

impl<'a> LinkMap<'a> {
    /// rld as the objects of a namespace see it.
    #[must_use]
    pub fn loader_in(&self, space: usize) -> Option<ObjectId> {
        let own = self.spaces.get(space).and_then(|space| space.loader);
        own.or_else(|| self.by_role(Role::Loader))
    }

    /// Lets `object` be rld for a namespace, all of whose objects are `new`.
    pub fn set_loader(
        &mut self,
        space: usize,
        mut object: Object<'a>,
        new: &[ObjectId],
    ) -> ObjectId {
        let old = self.by_role(Role::Loader);
        object.space = space;
        let id = self.objects.push(Arc::new(object));
        let stand_in = |known: &mut ObjectId| {
            if Some(*known) == old {
                *known = id;
            }
        };
        if let Some(space) = self.spaces.get_mut(space) {
            space.members.push(id);
            old.into_iter().for_each(|old| space.names.replace(old, id));
            space.loader = Some(id);
        }
        for &user in new {
            self.change(user, |user| {
                user.needed.iter_mut().chain(&mut user.filtees).for_each(stand_in);
            });
        }
        id
    }
}
