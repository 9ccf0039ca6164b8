//! What auditors are told, and may change, while objects are looked for and loaded.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::ffi::CString;
use core::ffi::{CStr, c_uint};

use super::super::process::Process;
use super::{Activity, Auditor, activity, opened, searched};
use crate::abi::glibc::layout::Layout;
use crate::abi::glibc::link_maps::{Facts, LinkMaps};
use crate::addr::ObjectId;
use crate::object::{Object, Role};
use crate::search::Origin;
use crate::tls;

/// `LA_SER_*`: why a name is looked for.
mod reason {
    use core::ffi::c_uint;
    pub const ORIGINAL: c_uint = 0x01;
    pub const LIBRARY_PATH: c_uint = 0x02;
    pub const RUNPATH: c_uint = 0x04;
    pub const CACHE: c_uint = 0x08;
    pub const DEFAULT: c_uint = 0x40;
}

/// Reports one loading.
pub struct Watch {
    watching: &'static [Auditor],
    layout: &'static Layout,
    /// The link maps of the world that is being made; an object gets its own as soon as it is there.
    pub link_maps: LinkMaps,
    space: usize,
    /// The first object of the namespace, and the link map of the last.
    head: Option<ObjectId>,
    last: u64,
    /// Whether it is known that objects come.
    announced: bool,
    /// Nobody is asked of the next name.
    passed_over: bool,
    /// Whose names are looked for now, and why; none where nobody is asked.
    requester: Option<ObjectId>,
    reason: Option<c_uint>,
}

impl Watch {
    /// A report on loading into a namespace, whose objects are `members`; `None` where nobody watches. `announced` says
    /// whether it is known that objects come.
    #[must_use]
    pub fn new(
        process: &Process,
        link_maps: &mut LinkMaps,
        space: usize,
        members: &[ObjectId],
        announced: bool,
    ) -> Option<Box<Self>> {
        let watching = process.auditors.of(space);
        let layout = process.layout().filter(|_| !watching.is_empty())?;
        let last = members.last().map_or(0, |&id| link_maps.address(id));
        Some(Box::new(Self {
            watching,
            layout,
            link_maps: core::mem::take(link_maps),
            space,
            head: members.first().copied(),
            last,
            announced,
            passed_over: false,
            requester: None,
            reason: None,
        }))
    }

    /// Nobody is asked of the next name.
    pub fn pass_over(&mut self) {
        self.passed_over = true;
    }

    /// A name is about to be looked for: what shall be looked for instead; `None` for nothing.
    pub fn asked<'n>(
        &mut self,
        name: &'n [u8],
        requester: Option<ObjectId>,
    ) -> Option<Cow<'n, [u8]>> {
        let requester = requester.filter(|_| !core::mem::take(&mut self.passed_over));
        (self.requester, self.reason) = (requester, None);
        let Some((requester, text)) = requester.zip(CString::new(name).ok()) else {
            return Some(Cow::Borrowed(name));
        };
        let (layout, maps) = (self.layout, &self.link_maps);
        let found = searched(self.watching, layout, maps, &text, requester, reason::ORIGINAL)?;
        Some(match found == text {
            true => Cow::Borrowed(name),
            false => Cow::Owned(found.into_bytes()),
        })
    }

    /// The next paths are tried for this reason.
    pub fn searching(&mut self, origin: &Origin<'_>) {
        self.reason = match origin {
            Origin::LibraryPath => Some(reason::LIBRARY_PATH),
            Origin::Rpath(_) | Origin::Runpath(_) => Some(reason::RUNPATH),
            Origin::Cache => Some(reason::CACHE),
            Origin::Default => Some(reason::DEFAULT),
            Origin::Slash | Origin::Preload => None,
        };
    }

    /// The path that is to be tried instead of one; `None` for none.
    pub fn tried<'p>(&mut self, path: &'p CStr) -> Option<Cow<'p, CStr>> {
        let Some((requester, reason)) = self.requester.zip(self.reason) else {
            return Some(Cow::Borrowed(path));
        };
        let found = searched(self.watching, self.layout, &self.link_maps, path, requester, reason)?;
        Some(Cow::Owned(found))
    }

    /// An object is there.
    pub fn entered(&mut self, id: ObjectId, object: &Object<'static>) {
        let Self { watching, layout, space, .. } = *self;
        self.link_maps.add(layout, id, object);
        let facts = Facts {
            tls: &tls::Layout::default(),
            space,
            is_opened: true,
            is_global: false,
            global: None,
            first: self.head.map_or(0, |head| self.link_maps.address(head)),
        };
        self.link_maps.fill(layout, id, object, &facts);
        if let Some(fields) = self.link_maps.get(id) {
            fields.set(layout.link_map.l_prev, self.last);
            self.last = fields.address();
        }
        let head = *self.head.get_or_insert(id);
        if !core::mem::replace(&mut self.announced, true) {
            activity(watching, layout, &self.link_maps, Some(head), Activity::Add);
        }
        if object.role != Role::Absent {
            opened(watching, layout, &self.link_maps, id, space);
        }
    }
}
