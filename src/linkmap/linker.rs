//! What a [`Linker`] is before anything else is known of it.

use super::{LinkMap, Linker};
use crate::search::Search;

impl<'l, 'a, S> Linker<'l, 'a, S> {
    /// Loads into the base namespace, for nobody in particular.
    #[inline(always)]
    pub fn new(map: &'l mut LinkMap<'a>, search: &'l mut Search, source: &'l mut S) -> Self {
        Self {
            map,
            space: LinkMap::BASE,
            search,
            source,
            program: b"",
            origin: b"",
            lists_absent: false,
            audits: false,
            no_load: false,
            origin_of_last: None,
        }
    }
}
