//! Which tunables a libc knows by number (contract 9.2).
//!
//! Some branches got a tunable after the release, which shifts the numbers, and nothing else that tells their builds
//! from the older ones. What libc asks for first tells them apart: the same tunables in both, by other numbers.

use core::ptr;
use core::sync::atomic::{AtomicU8, Ordering};

use super::layout::{LAYOUTS, Layout};
use crate::env::tunables::{List, lists};

/// The tunables of a layout's libc, by number: those of the newest builds.
#[must_use]
pub fn newest(layout: &Layout) -> Option<List> {
    lists::named(&layout.contract.tunables)
}

/// Those of the older builds, where they have others.
fn before(layout: &Layout) -> Option<List> {
    lists::named(layout.contract.tunables_before.as_deref()?)
}

const UNTOLD: u8 = 0;
const NEWEST: u8 = 1;
const BEFORE: u8 = 2;

/// What the libcs of a process have told, by layout.
#[derive(Debug)]
pub struct Told([AtomicU8; LAYOUTS.len()]);

impl Default for Told {
    fn default() -> Self {
        Self([const { AtomicU8::new(UNTOLD) }; LAYOUTS.len()])
    }
}

impl Told {
    /// The list that a libc of this layout means when it asks for a number.
    #[must_use]
    pub fn list(&self, layout: &Layout, id: u32) -> Option<List> {
        let newest = newest(layout)?;
        let Some(before) = before(layout) else { return Some(newest) };
        let told = LAYOUTS.iter().zip(&self.0).find(|(one, _)| ptr::eq(*one, layout))?.1;
        if told.load(Ordering::Relaxed) == UNTOLD {
            told.store(tells(newest, before, id), Ordering::Relaxed);
        }
        Some(if told.load(Ordering::Relaxed) == BEFORE { before } else { newest })
    }
}

/// What a request tells, if nothing was told before.
fn tells(newest: List, before: List, id: u32) -> u8 {
    let is_first = |list: List| {
        list.get(id as usize).is_some_and(|tunable| lists::FIRST_ASKED.contains(tunable))
    };
    match (is_first(newest), is_first(before)) {
        (true, false) => NEWEST,
        (false, true) => BEFORE,
        _ => UNTOLD,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::env::tunables::rows;
    use std::string::{String, ToString};

    fn id(list: List, name: &str) -> Option<u32> {
        let at =
            rows(list).position(|tunable| tunable.name.strip_prefix("glibc.") == Some(name))?;
        u32::try_from(at).ok()
    }

    fn name(told: &Told, layout: &Layout, id: u32) -> Option<String> {
        let row = rows(told.list(layout, id)?).nth(id as usize)?;
        row.name.strip_prefix("glibc.").map(ToString::to_string)
    }

    #[test]
    fn all_lists_are_known() {
        for layout in &LAYOUTS {
            assert!(newest(layout).is_some(), "{}", &*layout.label);
            let is_named = layout.contract.tunables_before.is_some();
            assert_eq!(before(layout).is_some(), is_named, "{}", &*layout.label);
        }
    }

    /// Up to 2.33 libpthread asks when it comes, and malloc where there is none; from 2.34 on libc when it starts.
    #[test]
    fn the_first_request_tells() {
        let older: [&[&str]; 3] = [
            &["elision.enable", "elision.skip_lock_busy", "elision.tries"],
            &["pthread.mutex_spin_count"],
            &["malloc.check", "malloc.top_pad", "malloc.perturb"],
        ];
        let newer: [&[&str]; 2] = [
            &["elision.enable", "elision.skip_lock_busy", "elision.skip_lock_internal_abort"],
            &["pthread.mutex_spin_count", "pthread.stack_cache_size", "mem.tagging"],
        ];
        let then = ["malloc.tcache_max", "malloc.arena_max", "malloc.mmap_threshold"];
        let mut both = 0;
        for layout in &LAYOUTS {
            let Some(before) = before(layout) else { continue };
            both += 1;
            let orders = if layout.minor < 34 { &older[..] } else { &newer[..] };
            for (list, order) in [newest(layout).unwrap(), before]
                .into_iter()
                .flat_map(|list| orders.iter().map(move |order| (list, order)))
            {
                let told = Told::default();
                let asked =
                    order.iter().chain(&then).filter_map(|name| Some((name, id(list, name)?)));
                // 2.28 lacks one of them.
                if layout.minor == 28 && order == &older[1] {
                    continue;
                }
                for (wanted, id) in asked {
                    let found = name(&told, layout, id);
                    assert_eq!(found.as_deref(), Some(*wanted), "{}", &*layout.label);
                }
            }
        }
        assert_eq!(both, 12);
    }
}
