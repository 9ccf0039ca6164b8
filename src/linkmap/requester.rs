//! On whose behalf a library is looked for: whose path lists count, and what tokens stand for in the name.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::{LinkMap, Linker, Source};
use crate::addr::ObjectId;
use crate::elf::dynamic::Flags1;
use crate::error::{Error, Result};
use crate::search::{PathOwner, has_token};

impl<'a, S: Source<'a>> Linker<'_, 'a, S> {
    /// A name that an object asks for, with what its tokens stand for. Where that is not known it stays as it is, and
    /// is not found.
    pub(super) fn expanded<'n>(&self, id: ObjectId, name: &'n [u8]) -> Result<Cow<'n, [u8]>> {
        if !has_token(name) {
            return Ok(Cow::Borrowed(name));
        }
        let chain = chain(self.map, Some(id), self.program, self.origin);
        let tokens = self.search.tokens(chain.first().map_or(&b""[..], |owner| owner.origin));
        if tokens.forbid(name) {
            let error = Error::words(name, "DST not allowed in SUID/SGID programs");
            let error = self.asked_by(error, Some(id));
            return Err(error.with(
                "the program has more rights than its caller: its libraries need names without a $TOKEN",
            ));
        }
        Ok(tokens.expand(name).filter(|name| !name.is_empty()).unwrap_or(Cow::Borrowed(name)))
    }
}

/// The requester, what loaded it, and so on, to the program: those whose path lists count.
#[must_use]
pub fn chain<'m>(
    map: &'m LinkMap<'_>,
    requester: Option<ObjectId>,
    program: &'m [u8],
    program_origin: &'m [u8],
) -> Vec<PathOwner<'m>> {
    const PROGRAM: ObjectId = ObjectId(0);
    let mut chain = Vec::new();
    let mut next = requester;
    while let Some((id, object)) = next.and_then(|id| Some((id, map.get(id)?))) {
        let origin = if id == PROGRAM { program_origin } else { object.directory() };
        chain.push(PathOwner {
            id,
            name: object.display_name(program),
            origin,
            rpath: object.string(object.dynamic.rpath),
            runpath: object.string(object.dynamic.runpath),
            nodeflib: object.dynamic.flags_1.contains(Flags1::NODEFLIB),
        });
        next = object.loader.get().or((id != PROGRAM).then_some(PROGRAM));
    }
    chain
}

/// The program's RUNPATH as an RPATH, for a requester that has none.
pub(super) fn program_runpath<'m>(chain: &[PathOwner<'m>]) -> Option<PathOwner<'m>> {
    // A list of its own: objects' lists are known by their ids.
    const ID: ObjectId = ObjectId(u32::MAX);
    let has_none = chain.first().is_some_and(|requester| requester.runpath.is_none());
    let program = chain.last().filter(|program| has_none && program.runpath.is_some())?;
    Some(PathOwner { id: ID, rpath: program.runpath, runpath: None, ..*program })
}
