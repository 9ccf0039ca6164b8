//! The program that musl is started on: program headers, a dynamic section, a symbol table and nothing else, and the
//! stack that a kernel would have left for it.
//!
//! It needs the C library, so that definitions of the real program come before the library's; its exports are those of
//! them that the library itself must be bound to. Its thread-local block is that of all objects together. Its one
//! finaliser is rld's.

use alloc::vec::Vec;

use goblin::elf::dynamic::{
    DT_FINI_ARRAY, DT_FINI_ARRAYSZ, DT_HASH, DT_NEEDED, DT_NULL, DT_STRSZ, DT_STRTAB, DT_SYMTAB,
};
use goblin::elf::program_header::{PF_R, PF_W, PT_DYNAMIC, PT_GNU_STACK, PT_LOAD, PT_PHDR, PT_TLS};

use crate::addr::{Addr, PAGE};
use crate::elf::header::PHENTSIZE;
use crate::sys::stack::AuxEntry;

/// A definition that the C library's own references are bound to.
#[derive(Clone, Copy, Debug)]
pub struct Export<'n> {
    /// Its name.
    pub name: &'n [u8],
    /// `st_info` of the definition.
    pub info: u8,
    /// Where it is.
    pub address: Addr,
}

/// The thread-local block of every thread.
#[derive(Clone, Copy, Debug)]
pub struct Template {
    /// Where its initialisation image is.
    pub image: Addr,
    /// Bytes of the image.
    pub filled: u64,
    /// Bytes of the block.
    pub size: u64,
    /// Its alignment, which the image's address and the size keep to: so the block ends at the thread pointer.
    pub align: u64,
}

/// The module.
#[derive(Clone, Copy, Debug)]
pub struct Module<'m> {
    /// Its first byte, at the start of a page.
    pub base: Addr,
    /// Its symbols.
    pub exports: &'m [Export<'m>],
    /// Its thread-local block.
    pub template: Template,
    /// The size of threads' stacks that objects ask for.
    pub stack_size: u64,
    /// What it calls at its end.
    pub finaliser: Addr,
}

const HEADERS: u64 = 5;
const ENTRIES: u64 = 8;
const SYMBOL: usize = 24;
/// The name of the C library, of which musl looks at the first letters only.
const NEEDED: &[u8] = b"\0libc.so\0";

/// Where the parts of a module are, from its first byte on.
struct Places {
    dynamic: u64,
    symbols: u64,
    finalisers: u64,
    hash: u64,
    strings: u64,
    end: u64,
}

impl Places {
    fn of(exports: &[Export<'_>]) -> Self {
        let count = exports.len() as u64 + 1;
        let dynamic = HEADERS * PHENTSIZE as u64;
        let symbols = dynamic + ENTRIES * 16;
        let finalisers = symbols + count * SYMBOL as u64;
        let hash = finalisers + 8;
        let strings = hash + (3 + count) * 4;
        let names: usize = exports.iter().map(|export| export.name.len() + 1).sum();
        let end = strings + (NEEDED.len() + names) as u64;
        Self { dynamic, symbols, finalisers, hash, strings, end }
    }
}

/// Whole pages that a module with these exports takes, without the image of its thread-local block.
#[must_use]
pub fn size(exports: &[Export<'_>]) -> u64 {
    Places::of(exports).end.next_multiple_of(PAGE)
}

impl Module<'_> {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let places = Places::of(self.exports);
        let mut bytes = Vec::with_capacity(places.end as usize);
        self.program_headers(&places, &mut bytes);
        for (tag, value) in [
            (DT_NEEDED, 1),
            (DT_STRTAB, places.strings),
            (DT_STRSZ, places.end - places.strings),
            (DT_SYMTAB, places.symbols),
            (DT_HASH, places.hash),
            (DT_FINI_ARRAY, places.finalisers),
            (DT_FINI_ARRAYSZ, 8),
            (DT_NULL, 0),
        ] {
            push(&mut bytes, &[tag, value]);
        }
        let mut name = NEEDED.len() as u32;
        bytes.resize(bytes.len() + SYMBOL, 0);
        for export in self.exports {
            const ANY_SECTION: u16 = 1;
            bytes.extend_from_slice(&name.to_le_bytes());
            bytes.extend_from_slice(&[export.info, 0]);
            bytes.extend_from_slice(&ANY_SECTION.to_le_bytes());
            push(&mut bytes, &[export.address.0.wrapping_sub(self.base.0), 0]);
            name += export.name.len() as u32 + 1;
        }
        push(&mut bytes, &[self.finaliser.0]);
        // One bucket, in which each symbol leads to the next.
        let count = self.exports.len() as u32;
        let first = count.min(1);
        for word in [1, count + 1, first, 0].into_iter().chain(2..count + 1) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.resize(places.strings as usize, 0);
        bytes.extend_from_slice(NEEDED);
        for export in self.exports {
            bytes.extend_from_slice(export.name);
            bytes.push(0);
        }
        bytes
    }

    /// The load segment is read-only and has whole pages, or musl would give what is left of them to malloc(3).
    fn program_headers(&self, places: &Places, bytes: &mut Vec<u8>) {
        let Template { image, filled, size, align } = self.template;
        let image = image.0.wrapping_sub(self.base.0);
        let (all, dynamic) = (self::size(self.exports), ENTRIES * 16);
        let headers = HEADERS * PHENTSIZE as u64;
        for (kind, flags, vaddr, filesz, memsz, align) in [
            (PT_PHDR, PF_R, 0, headers, headers, 8),
            (PT_LOAD, PF_R, 0, all, all, PAGE),
            (PT_DYNAMIC, PF_R, places.dynamic, dynamic, dynamic, 8),
            (PT_TLS, PF_R, image, filled, size, align),
            (PT_GNU_STACK, PF_R | PF_W, 0, 0, self.stack_size, 16),
        ] {
            bytes.extend_from_slice(&kind.to_le_bytes());
            bytes.extend_from_slice(&flags.to_le_bytes());
            push(bytes, &[vaddr, vaddr, vaddr, filesz, memsz, align]);
        }
    }

    /// What the kernel would have left on the stack: one argument, no environment, since musl would obey some of that,
    /// and the auxiliary vector of this process, which describes the module. An even number of words.
    #[must_use]
    pub fn stack(&self, name: u64, auxiliary: &[AuxEntry], entry: Addr, libc: Addr) -> Vec<u64> {
        let own = [
            [libc::AT_PHDR, self.base.0],
            [libc::AT_PHNUM, HEADERS],
            [libc::AT_PHENT, PHENTSIZE as u64],
            [libc::AT_ENTRY, entry.0],
            [libc::AT_BASE, libc.0],
        ];
        let is_own = |kind: u64| own.iter().any(|entry| entry[0] == kind);
        let rest = auxiliary.iter().filter(|entry| !is_own(entry[0]));
        let mut words = Vec::from([1, name, 0, 0]);
        words.extend(own.iter().chain(rest).flatten());
        words.extend([0, 0]);
        words
    }
}

fn push(bytes: &mut Vec<u8>, words: &[u64]) {
    words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{Bias, Vaddr};
    use crate::elf::header::{Header, Kind};
    use crate::elf::segment::Segments;
    use crate::elf::table::Table;
    use crate::image::Image;
    use crate::lookup::{Class, Reference, one};
    use crate::object::{Mapped, Memory, Object, Role};

    const TEMPLATE: Template =
        Template { image: Addr(0x7000_0040), filled: 24, size: 128, align: 64 };

    fn module<'m>(exports: &'m [Export<'m>]) -> Module<'m> {
        let (base, finaliser) = (Addr(0x7000_0000), Addr(0x1234));
        Module { base, exports, template: TEMPLATE, stack_size: 1 << 20, finaliser }
    }

    #[test]
    fn is_an_object_like_any_other() {
        let export = |name: &'static str, address| Export {
            name: name.as_bytes(),
            info: 0x12,
            address: Addr(address),
        };
        let exports = [export("malloc", 0x5000_0010), export("environ", 0x7000_9000)];
        let module = module(&exports);
        let mut bytes = module.bytes();
        bytes.resize(size(&exports) as usize, 0);
        let table = Table::new(&bytes[..5 * PHENTSIZE]);
        let segments = Segments::parse(table, u64::MAX).unwrap();
        assert_eq!(segments.stack_size, 1 << 20);
        let tls = segments.tls.unwrap();
        assert_eq!((tls.image, tls.filesz, tls.memsz), (Vaddr(0x40), 24, 128));
        let image = Image::new(Bias(module.base.0), [(segments.loads[0], &bytes[..])]);
        let header = Header { kind: Kind::Shared, entry: Vaddr(0), phoff: 0, phnum: 5 };
        let phdr = module.base;
        let (identity, memory) = (None, Memory::default());
        let mapped = Mapped { header, segments, image, phdr, identity, memory };
        let object = Object::parse(c"module".into(), Role::Program, mapped).unwrap();
        assert_eq!(object.needed_names().unwrap()[0].1, b"libc.so");
        assert_eq!(object.dynamic.fini_array.size, 8);
        let find = |name: &str| {
            let reference = Reference::new(name.as_bytes(), None, Class::default());
            let (_, symbol) = one::find(&object.exports, &reference)?;
            Some(object.image.address(symbol.vaddr()).0)
        };
        assert_eq!(find("malloc"), Some(0x5000_0010));
        assert_eq!(find("environ"), Some(0x7000_9000));
        assert_eq!(find("free"), None);
        let at = object.image.bytes(object.dynamic.fini_array.vaddr, 8).unwrap();
        assert_eq!(at, 0x1234u64.to_le_bytes());
    }

    #[test]
    fn without_exports_there_still_is_a_hash_table() {
        let module = module(&[]);
        let hash = Places::of(&[]).hash as usize;
        let words: Vec<_> = module.bytes()[hash..hash + 16].to_vec();
        assert_eq!(words, [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn the_stack_describes_the_module() {
        let auxiliary = [[libc::AT_PHDR, 1], [libc::AT_SECURE, 0], [libc::AT_PHNUM, 11]];
        let words = module(&[]).stack(0x99, &auxiliary, Addr(0x77), Addr(0x66));
        assert_eq!(words[..4], [1, 0x99, 0, 0]);
        assert_eq!(words.len() % 2, 0);
        assert!(words.ends_with(&[libc::AT_SECURE, 0, 0, 0]));
        let aux = |kind| words[4..].chunks(2).find(|entry| entry[0] == kind).map(|entry| entry[1]);
        assert_eq!(aux(libc::AT_PHDR), Some(0x7000_0000));
        assert_eq!((aux(libc::AT_PHNUM), aux(libc::AT_PHENT)), (Some(5), Some(56)));
        assert_eq!((aux(libc::AT_ENTRY), aux(libc::AT_BASE)), (Some(0x77), Some(0x66)));
    }
}
