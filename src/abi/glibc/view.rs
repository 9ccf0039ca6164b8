//! A mapped libc.so.6 as the choice of a layout wants to see it.

use super::evidence::LibcView;
use crate::addr::Vaddr;
use crate::arch::x86_64::RelocationKind;
use crate::elf::note::build_id;
use crate::elf::segment::Access;
use crate::lookup::{Class, Reference, one};
use crate::object::Object;

/// One object, seen as a libc.
pub struct View<'v, 'a> {
    object: &'v Object<'a>,
}

impl<'v, 'a> View<'v, 'a> {
    /// Looks at `object`.
    #[must_use]
    pub const fn new(object: &'v Object<'a>) -> Self {
        Self { object }
    }
}

impl LibcView for View<'_, '_> {
    fn symbol(&self, name: &[u8]) -> Option<u64> {
        let class = Class { definition_only: true, newest: true, ..Class::default() };
        let found = one::find(&self.object.exports, &Reference::new(name, None, class));
        found.map(|(_, symbol)| symbol.value)
    }

    fn bytes(&self, vaddr: u64, len: usize) -> Option<&[u8]> {
        self.object.image.bytes(Vaddr(vaddr), len as u64)
    }

    fn build_id(&self) -> Option<&[u8]> {
        build_id(self.object.notes())
    }

    fn rtld_global_ro_got(&self) -> Option<u64> {
        let exports = &self.object.exports;
        let is_it = |index: u32| {
            let symbol = exports.symbols.get(index as usize);
            symbol.is_some_and(|symbol| exports.strings.is(symbol.name, b"_rtld_global_ro"))
        };
        let relocation = self.object.relocations.rela.iter().find(|relocation| {
            let kind = RelocationKind::from_number(relocation.kind);
            kind == Some(RelocationKind::GlobDat) && is_it(relocation.symbol)
        })?;
        Some(relocation.offset.0)
    }

    fn rodata(&self) -> Option<&[u8]> {
        let loads = &self.object.segments.loads;
        let code = loads.iter().position(|load| load.access.contains(Access::EXECUTE))?;
        let constants = loads.get(code + 1..)?.iter().find(|load| load.access == Access::READ)?;
        self.object.image.bytes(constants.vaddr, constants.filesz)
    }
}
