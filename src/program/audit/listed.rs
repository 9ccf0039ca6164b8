//! What auditors are told where a program is only listed: of the functions that ldd(1) looks up, as if they were bound.

use super::Auditor;
use super::bindings::{Bound, How, interest, tell, wants_bindings};
use crate::abi::glibc::layout::Layout;
use crate::abi::glibc::link_maps::LinkMaps;
use crate::addr::ObjectId;
use crate::arch::x86_64::RelocationKind as Kind;
use crate::object::{Definition, Object};

/// The auditors of a list; without any, nobody is told.
#[derive(Clone, Copy, Default)]
pub struct Listed<'l> {
    /// Who watches.
    pub watching: &'static [Auditor],
    /// Where cookies are: behind the objects' link maps, in their layout.
    pub maps: Option<(&'l Layout, &'l LinkMaps)>,
}

impl Listed<'_> {
    /// Whether an object's functions are to be looked up. As under ld.so, what follows calls wants them unbound, and
    /// only LD_BIND_NOW (`bind_now`) counts more.
    #[must_use]
    pub fn binds_now(&self, object: &Object<'_>, bind_now: bool) -> bool {
        let (_, calls_are_followed) = interest(self.watching);
        bind_now || (object.dynamic.binds_now() && !calls_are_followed)
    }

    /// Whether somebody is told of a relocation of this kind.
    #[must_use]
    pub fn wants(&self, kind: Kind) -> bool {
        kind == Kind::JumpSlot && wants_bindings(self.watching)
    }

    /// Tells of what a function would be bound to. What auditors want instead is of no consequence.
    pub fn tell(&self, from: ObjectId, found: &Definition, definer: &Object<'_>) {
        let address = definer.address_of(&found.symbol).0;
        let bound = Bound::new(from, found, definer, address);
        if let Some((bound, (layout, maps))) = bound.zip(self.maps) {
            let cookies = |auditor: &Auditor| bound.cookies(layout, maps, auditor);
            tell(self.watching, cookies, &bound, How::AtOnce);
        }
    }
}
