//! Lazy binding (psABI, "Procedure Linkage Table"): until a function is first called, its GOT word leads back into the
//! PLT, which pushes the relocation's index and jumps to the loader by way of the first PLT entry.

use super::Relocation;
use crate::addr::{Addr, Vaddr};
use crate::arch::x86_64::RelocationKind as Kind;
use crate::elf::segment::Span;
use crate::elf::table::Table;
use crate::image::Words;
use crate::object::Object;

/// How the functions of an object are bound when they are first called.
#[derive(Clone, Copy, Debug)]
pub struct Lazy {
    /// The address of the object's link map.
    pub link_map: Addr,
    /// The code that binds.
    pub resolver: Addr,
    /// Every call leads to that code, not the first alone: no word is ever written.
    pub every_call: bool,
    /// What is defined is bound at once, and only the rest when it is called, which is musl's RTLD_LAZY.
    pub only_missing: bool,
}

/// An object's PLT, prepared for binding on the first call.
pub struct Plt<'p, 'a> {
    object: &'p Object<'a>,
    every_call: bool,
    /// As in [`Lazy`].
    pub only_missing: bool,
}

impl<'p, 'a> Plt<'p, 'a> {
    /// Tells the first PLT entry which object it belongs to, and where the loader is: the second and third words of
    /// DT_PLTGOT. `None` where that cannot be, or is not wanted: then all is bound at once.
    #[must_use]
    pub fn prepare(object: &'p Object<'a>, words: &mut Words, lazy: Lazy) -> Option<Self> {
        let Lazy { link_map, resolver, every_call, only_missing } = lazy;
        let this = Self { object, every_call, only_missing };
        if object.dynamic.binds_now() && !every_call || object.relocations.plt.is_empty() {
            return None;
        }
        let got = object.dynamic.pltgot?;
        let word = |at: u64| Some(object.image.address(Vaddr(got.0.checked_add(at)?)));
        // These two may lie in PT_GNU_RELRO, which is sealed later: they do not change again.
        words.write(word(8)?, link_map.0).ok()?;
        words.write(word(16)?, resolver.0).ok()?;
        Some(this)
    }

    /// Lets the words of functions lead into the PLT, one after the other, as long as that can be. Says how many do: a
    /// word must lead to the object's code and stay writable.
    #[inline(never)]
    pub fn defer(&self, relocations: Table<'_, Relocation>, words: &mut Words) -> usize {
        let image = &self.object.image;
        // What may not be written any more when PT_GNU_RELRO is sealed.
        let sealed = self.object.segments.relro.filter(|_| !self.every_call).unwrap_or_default();
        let is_sealed = |at: Vaddr| at.0.wrapping_sub(sealed.vaddr.0) < sealed.size;
        let may_wait = |it: &Relocation| {
            Kind::from_number(it.kind) == Some(Kind::JumpSlot) && !is_sealed(it.offset)
        };
        let places = relocations.iter().take_while(may_wait).map(|it| image.address(it.offset));
        let mut code = Span::default();
        words.change_while(places, |entry| {
            if entry.wrapping_sub(code.vaddr.0) >= code.size {
                code = image.code_at(Vaddr(entry))?;
            }
            Some(image.address(Vaddr(entry)).0)
        })
    }
}
