//! A lookup in the library cache answers with the path of an entry of that name.

use std::cmp::Ordering;

use rld::cache::{Accepts, Cache, FLAGS_X86_64, compare};

use super::inside;

/// A CPU with every level, and every name in one order.
struct All;

impl Accepts for All {
    fn rank(&self, glibc_hwcaps: &[u8]) -> Option<usize> {
        Some(glibc_hwcaps.len())
    }

    fn isa_1(&self) -> u32 {
        u32::MAX
    }

    fn legacy(&self) -> u64 {
        u64::MAX
    }
}

/// The input is a whole cache.
pub fn check(file: &[u8]) {
    check_some(file, usize::MAX);
}

/// Looks up the names of so many entries.
pub fn check_some(file: &[u8], lookups: usize) {
    let Ok(cache) = Cache::parse(file) else { return };
    let entries: Vec<_> = cache.entries().collect();
    assert!(entries.len() <= file.len() / 24);
    for entry in &entries {
        assert!(inside(entry.name.to_bytes_with_nul(), file));
        assert!(inside(entry.path.to_bytes_with_nul(), file));
        assert_eq!(entry.flags, FLAGS_X86_64);
    }
    let step = (entries.len() / lookups.max(1)).max(1);
    let names = entries.iter().step_by(step).map(|entry| entry.name.to_bytes());
    // Only then does every key end inside the file, so that `entries` leaves none out that a lookup may meet.
    let terminated = file.last() == Some(&0);
    for name in names.chain([&b"libc.so.6"[..], b"", b"\xff", b"lib0"]) {
        let Some(found) = cache.lookup(name, &All) else { continue };
        assert!(inside(found.to_bytes_with_nul(), file));
        let is_it = entries.iter().any(|entry| {
            entry.path.as_ptr() == found.as_ptr()
                && compare(name, entry.name.to_bytes()) == Ordering::Equal
        });
        assert!(is_it || !terminated, "{found:?} is no entry for {name:?}");
    }
    // The order is one: the search relies on it.
    for pair in entries.windows(2).step_by(step) {
        let (one, other) = (pair[0].name.to_bytes(), pair[1].name.to_bytes());
        assert_eq!(compare(one, other), compare(other, one).reverse());
        assert_eq!(compare(one, one), Ordering::Equal);
    }
}
