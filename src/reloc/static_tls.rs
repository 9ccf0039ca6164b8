//! Static blocks for the thread-local variables of libraries that are opened, when code comes that takes them for
//! granted (initial-exec).

use super::apply::Relocator;
use crate::addr::ObjectId;
use crate::error::{Problem, Result};
use crate::object::Object;
use crate::text::Text;
use crate::tls::layout::NoRoom;

impl<'a> Relocator<'_, '_, 'a> {
    /// Gives the module of `definer` a static block, which code of `object` takes for granted.
    pub(super) fn need_static(&mut self, object: &Object<'a>, definer: ObjectId) -> Result<()> {
        if self.tls.module(definer).is_none_or(|module| module.offset != 0) {
            return Ok(());
        }
        let made =
            self.tls.make_static(definer).and_then(|()| match self.opened.contains(&definer) {
                true => Ok(()),
                false => self.settle(definer),
            });
        made.map_err(|no_room| {
            let words = "cannot allocate memory in static TLS block";
            let owner = self.objects.get(definer).unwrap_or(object);
            let mut error = self.error(owner, Problem::Words(words));
            if owner.name != object.name {
                let user = Text(object.display_name(self.program));
                error = error.with(alloc::format!("{user} takes a static block for granted"));
            }
            let NoRoom { needed, align, left, area_align, in_use } = no_room;
            match in_use {
                _ if self.tls.used == self.tls.size => {
                    error.with(
                        "under musl, libraries that are opened get no static block; needed by the program or \
                         preloaded (LD_PRELOAD), it has one",
                    )
                }
                true => error.with(
                    "threads have begun to use its variables where they are; preloaded (LD_PRELOAD) or opened \
                     together with its user, it has a static block",
                ),
                false => error.with(alloc::format!(
                    "{needed} bytes with alignment {align} are needed; {left} of {} with alignment \
                     {area_align} are left (glibc.rtld.optional_static_tls in GLIBC_TUNABLES makes room)",
                    self.tls.size - self.tls.used
                )),
            }
        })
    }

    /// Lets threads know of the block that was found for a module of theirs.
    fn settle(&mut self, definer: ObjectId) -> core::result::Result<(), NoRoom> {
        let module = self.tls.module(definer).zip(self.settle);
        if module.is_some_and(|(module, settle)| settle(module)) {
            return Ok(());
        }
        self.tls.give_back(definer);
        Err(NoRoom { in_use: true, ..NoRoom::default() })
    }
}
