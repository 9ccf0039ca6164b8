//! Where code is, for unwinders: they ask from any thread and from signal handlers, and must not wait.
//!
//! There are two tables. The one that is not current is rewritten, then made current by counting up a version; a reader
//! whose version has changed meanwhile begins again. Tables grow by doubling and are never freed.
//!
//! # Safety
//!
//! Tables are leaked, so that a pointer to one stays good. All words in them are atomic.
#![allow(unsafe_code)]

use alloc::vec::Vec;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};

use crate::addr::ObjectId;

/// One object's place (contract 7, `struct dl_find_object`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// The object's link map.
    pub link_map: u64,
    /// PT_GNU_EH_FRAME; 0 if there is none.
    pub eh_frame: u64,
    /// The object.
    pub object: ObjectId,
}

const WORDS: usize = 5;
type Entry = [AtomicU64; WORDS];

struct Table {
    entries: AtomicPtr<Entry>,
    count: AtomicUsize,
    /// Entries that there is room for; only the writer asks.
    room: AtomicUsize,
}

/// The places of a process.
pub struct Places {
    version: AtomicU64,
    tables: [Table; 2],
}

impl Table {
    const fn new() -> Self {
        Self {
            entries: AtomicPtr::new(core::ptr::null_mut()),
            count: AtomicUsize::new(0),
            room: AtomicUsize::new(0),
        }
    }

    fn entries(&self) -> &[Entry] {
        let (start, count) =
            (self.entries.load(Ordering::Acquire), self.count.load(Ordering::Acquire));
        if start.is_null() {
            return &[];
        }
        // SAFETY: the count is stored after a table that has room for it, and is 0 while the table changes. A table
        // only ever gives way to a larger one.
        unsafe { core::slice::from_raw_parts(start, count) }
    }

    /// Writes this many places.
    fn write(&self, count: usize, places: impl Iterator<Item = Place>) {
        self.count.store(0, Ordering::Release);
        if self.room.load(Ordering::Relaxed) < count {
            let room = count.next_power_of_two();
            let mut entries = Vec::with_capacity(room);
            entries.resize_with(room, Entry::default);
            self.entries.store(entries.leak().as_mut_ptr(), Ordering::Release);
            self.room.store(room, Ordering::Relaxed);
        }
        self.count.store(count, Ordering::Release);
        for (entry, place) in self.entries().iter().zip(places) {
            let Place { start, end, link_map, eh_frame, object } = place;
            let words = [start, end, link_map, eh_frame, object.0.into()];
            entry.iter().zip(words).for_each(|(to, word)| to.store(word, Ordering::Relaxed));
        }
    }
}

impl Default for Places {
    fn default() -> Self {
        Self::new()
    }
}

impl Places {
    /// No places.
    #[must_use]
    pub const fn new() -> Self {
        Self { version: AtomicU64::new(0), tables: [Table::new(), Table::new()] }
    }

    /// The object whose mapping holds `address`.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<Place> {
        self.find_with(address, |place| place)
    }

    /// The same, as `take` makes it of the place: once more where the table has changed meanwhile.
    #[inline(always)]
    pub fn find_with<T>(&self, address: u64, take: impl Fn(Place) -> T) -> Option<T> {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let found = search(self.table(version).entries(), address).map(&take);
            fence(Ordering::Acquire);
            if self.version.load(Ordering::Relaxed) == version {
                return found;
            }
        }
    }

    fn table(&self, version: u64) -> &Table {
        let [even, odd] = &self.tables;
        if version.is_multiple_of(2) { even } else { odd }
    }

    /// Replaces all places. The first is asked first, and should be the program's; the others are sorted by address.
    /// Called under the loader's lock.
    pub fn set(&self, places: &[Place]) {
        self.renew(|_| (places.len(), places.iter().copied()));
    }

    /// Takes out the places of objects that go, and enters those that `came`, sorted by address. The first place stays
    /// where it is. Called under the loader's lock.
    pub fn change(&self, came: &[Place], goes: impl Fn(ObjectId) -> bool) {
        self.renew(|old| {
            let stays = |place: &Place| !goes(place.object);
            let mut old = old.iter().map(place_in).filter(stays);
            let count = old.clone().count() + came.len();
            let first = old.next();
            let (mut old, mut came) = (old.peekable(), came.iter().copied().peekable());
            let merged = core::iter::from_fn(move || match (old.peek(), came.peek()) {
                (Some(next), Some(new)) if new.start < next.start => came.next(),
                (Some(_), _) => old.next(),
                (None, _) => came.next(),
            });
            (count, first.into_iter().chain(merged))
        });
    }

    /// Lets the places that `make` makes of the present ones take their place.
    fn renew<'p, I: Iterator<Item = Place>>(
        &'p self,
        make: impl FnOnce(&'p [Entry]) -> (usize, I),
    ) {
        let version = self.version.load(Ordering::Relaxed);
        let (count, places) = make(self.table(version).entries());
        fence(Ordering::Release);
        self.table(version + 1).write(count, places);
        self.version.store(version + 1, Ordering::Release);
    }
}

#[inline(always)]
fn search(entries: &[Entry], address: u64) -> Option<Place> {
    let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
    let (first, mut rest) = entries.split_first()?;
    let holds = |[start, end, ..]: &Entry| load(start) <= address && address < load(end);
    // Branches, not selections: who unwinds asks for the same few objects again and again, and processors remember.
    let mut found = first;
    if !holds(first) {
        found = loop {
            let (before, middle) = rest.split_at_checked(rest.len() / 2)?;
            let (entry, after) = middle.split_first()?;
            let [start, end, ..] = entry;
            if address < load(start) {
                rest = before;
            } else if address >= load(end) {
                rest = after;
            } else {
                break entry;
            }
        };
    }
    Some(place_in(found))
}

#[inline(always)]
fn place_in(entry: &Entry) -> Place {
    let [start, end, link_map, eh_frame, object] =
        entry.each_ref().map(|word| word.load(Ordering::Relaxed));
    #[expect(clippy::cast_possible_truncation, reason = "it was 32 bits when it was stored")]
    let object = ObjectId(object as u32);
    Place { start, end, link_map, eh_frame, object }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(start: u64) -> Place {
        Place { start, end: start + 10, link_map: start + 1, eh_frame: 0, object: ObjectId(7) }
    }

    #[test]
    fn finds_what_holds_an_address() {
        let places = Places::new();
        assert_eq!(places.find(5), None);
        places.set(&[place(150), place(100), place(200)]);
        assert_eq!(places.find(99), None);
        assert_eq!(places.find(209), Some(place(200)));
        assert_eq!(places.find(110), None);
        assert_eq!(places.find(150), Some(place(150)));
        assert_eq!((places.find(149), places.find(160)), (None, None));
        places.set(&[place(200)]);
        assert_eq!((places.find(100), places.find(200)), (None, Some(place(200))));
    }

    #[test]
    fn changes_keep_the_order() {
        let places = Places::new();
        let of = |start: u64, object| Place { object: ObjectId(object), ..place(start) };
        places.change(&[of(500, 0)], |_| false);
        places.change(&[of(100, 1), of(300, 2), of(700, 3)], |_| false);
        places.change(&[of(50, 4), of(200, 5), of(800, 6)], |id| [2, 3].contains(&id.0));
        let version = places.version.load(Ordering::Relaxed);
        let all: Vec<_> = places.table(version).entries().iter().map(place_in).collect();
        assert!(all.iter().map(|place| place.start).eq([500, 50, 100, 200, 800]));
        assert!(all.iter().all(|known| places.find(known.start + 9) == Some(*known)));
        assert_eq!(places.find(305), None);
    }

    #[test]
    fn readers_see_one_state_or_the_other() {
        extern crate std;
        let places = std::sync::Arc::new(Places::new());
        let many: Vec<_> = (1..50).map(|at| place(at * 100)).collect();
        places.set(&many);
        let reader = std::sync::Arc::clone(&places);
        let thread =
            std::thread::spawn(move || (0..20_000).all(|_| reader.find(4900) == Some(place(4900))));
        for round in 0..20_000 {
            places.set(many.get(round % 49..).unwrap_or_default());
        }
        assert!(thread.join().unwrap());
    }
}
