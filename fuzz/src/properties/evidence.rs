//! Whatever a libc.so.6 holds where its code and descriptors should be, the reading of it ends soon and ends in a
//! layout or in words.

use std::cell::Cell;

use rld::abi::glibc::evidence::{LibcView, identify};
use rld::elf::hash::sysv;
use rld::lookup::{Class, Reference, one};
use rld::object::Object;

/// The first bytes of the input are addresses of symbols, two bytes each; all of it is code and data.
struct Bytes<'a> {
    bytes: &'a [u8],
    reads: Cell<u32>,
}

/// How many symbols have an address of their own.
const SYMBOLS: usize = 16;

impl LibcView for Bytes<'_> {
    fn symbol(&self, name: &[u8]) -> Option<u64> {
        let at = sysv(name) as usize % SYMBOLS * 2;
        let address = self.bytes.get(at..)?.first_chunk()?;
        Some(u64::from(u16::from_le_bytes(*address)))
    }

    fn bytes(&self, vaddr: u64, len: usize) -> Option<&[u8]> {
        self.reads.set(self.reads.get() + 1);
        let at = usize::try_from(vaddr).ok()?;
        self.bytes.get(at..at.checked_add(len)?)
    }

    fn build_id(&self) -> Option<&[u8]> {
        Some(self.bytes)
    }

    fn rtld_global_ro_got(&self) -> Option<u64> {
        self.bytes.last().filter(|byte| **byte != 0).map(|byte| u64::from(*byte) << 4)
    }

    fn rodata(&self) -> Option<&[u8]> {
        Some(self.bytes)
    }
}

/// The input is a library, as [`Bytes`] sees it.
pub fn check(bytes: &[u8]) {
    let view = Bytes { bytes, reads: Cell::new(0) };
    examine(&view);
    // Four walks of at most 96 instructions of at most 15 bytes, and the descriptors.
    assert!(view.reads.get() <= 4 * 96 * 15 + 32, "{} reads", view.reads.get());
}

/// A parsed object as the evidence is collected from it.
struct Library<'o, 'a>(&'o Object<'a>);

impl LibcView for Library<'_, '_> {
    fn symbol(&self, name: &[u8]) -> Option<u64> {
        let class = Class { newest: true, ..Class::default() };
        let reference = Reference::new(name, None, class);
        one::find(&self.0.exports, &reference).map(|(_, symbol)| symbol.value)
    }

    fn bytes(&self, vaddr: u64, len: usize) -> Option<&[u8]> {
        self.0.image.bytes(rld::addr::Vaddr(vaddr), len as u64)
    }

    fn build_id(&self) -> Option<&[u8]> {
        rld::elf::note::build_id(self.0.notes())
    }

    fn rtld_global_ro_got(&self) -> Option<u64> {
        None
    }

    fn rodata(&self) -> Option<&[u8]> {
        let first = self.0.segments.loads.first()?;
        // Enough for the words, and not all of a large library for each of many mutations.
        self.0.image.bytes(first.vaddr, first.filesz.min(1 << 12))
    }
}

/// The same for an object.
pub fn check_object(object: &Object<'_>) {
    examine(&Library(object));
}

fn examine(view: &impl LibcView) {
    if let Err(unknown) = identify(view) {
        let words = unknown.to_string();
        assert!(words.contains("known layouts"), "{words}");
        assert!(unknown.banner.is_none_or(|banner| banner.len() <= 200));
    }
}
