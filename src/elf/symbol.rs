//! Symbols (gABI, "Symbol Table").

use goblin::elf::section_header::{SHN_ABS, SHN_UNDEF};
use goblin::elf::sym::{
    STB_GLOBAL, STB_GNU_UNIQUE, STB_LOCAL, STB_WEAK, STT_COMMON, STT_FILE, STT_FUNC, STT_GNU_IFUNC,
    STT_NOTYPE, STT_OBJECT, STT_SECTION, STT_TLS, STV_DEFAULT, STV_PROTECTED,
};

use super::table::{Record, read, record_bytes};
use crate::addr::{Addr, Bias, Vaddr};

/// How far a symbol is visible (`STB_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binding {
    /// Inside its object only; also every binding that is not known.
    Local,
    /// Everywhere.
    Global,
    /// Everywhere; a reference may stay undefined.
    Weak,
    /// One definition for the whole process (GNU extension).
    Unique,
}

/// What a symbol stands for (`STT_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// Nothing is said.
    None,
    /// Data.
    Object,
    /// Code.
    Function,
    /// A section.
    Section,
    /// A source file.
    File,
    /// Data that a link editor was to place.
    Common,
    /// A thread-local variable.
    Tls,
    /// A function that chooses a function.
    IFunc,
    /// A number that is not known.
    Other,
}

/// One entry of a symbol table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Symbol {
    /// `st_name`: offset in the string table.
    pub name: u32,
    info: u8,
    other: u8,
    shndx: u16,
    /// `st_value`.
    pub value: u64,
    /// `st_size`, in bytes.
    pub size: u64,
}

impl Symbol {
    /// `st_info`, `st_other` and `st_shndx`, for who is given the symbol as it is.
    #[must_use]
    pub const fn raw(&self) -> (u8, u8, u16) {
        (self.info, self.other, self.shndx)
    }
}

impl Record for Symbol {
    record_bytes!(24);

    #[inline]
    fn decode(bytes: &Self::Bytes) -> Self {
        Self {
            name: read(bytes, 0).unwrap_or_default(),
            info: read(bytes, 4).unwrap_or_default(),
            other: read(bytes, 5).unwrap_or_default(),
            shndx: read(bytes, 6).unwrap_or_default(),
            value: read(bytes, 8).unwrap_or_default(),
            size: read(bytes, 16).unwrap_or_default(),
        }
    }
}

/// A bit for each `st_info` of global and weak symbols that are code or data.
const PLAIN: u64 = {
    let types = 1 << STT_NOTYPE | 1 << STT_OBJECT | 1 << STT_FUNC | 1 << STT_COMMON;
    types << (STB_GLOBAL << 4) | types << (STB_WEAK << 4)
};

impl Symbol {
    /// The binding.
    #[inline]
    #[must_use]
    pub const fn binding(&self) -> Binding {
        match self.info >> 4 {
            STB_GLOBAL => Binding::Global,
            STB_WEAK => Binding::Weak,
            STB_GNU_UNIQUE => Binding::Unique,
            _ => Binding::Local,
        }
    }

    /// Whether a reference through this entry may stay undefined.
    #[inline]
    #[must_use]
    pub const fn is_weak(&self) -> bool {
        matches!(self.binding(), Binding::Weak)
    }

    /// The type.
    #[must_use]
    pub const fn symbol_type(&self) -> Type {
        match self.info & 15 {
            STT_NOTYPE => Type::None,
            STT_OBJECT => Type::Object,
            STT_FUNC => Type::Function,
            STT_SECTION => Type::Section,
            STT_FILE => Type::File,
            STT_COMMON => Type::Common,
            STT_TLS => Type::Tls,
            STT_GNU_IFUNC => Type::IFunc,
            _ => Type::Other,
        }
    }

    /// Whether a reference through this entry is bound inside its own object, without a lookup: a local symbol, or one
    /// of hidden or internal visibility.
    #[inline]
    #[must_use]
    pub const fn binds_locally(&self) -> bool {
        self.info >> 4 == STB_LOCAL || self.is_hidden()
    }

    /// Whether a reference through this entry is bound to whatever defines it first, be it its own object or another.
    #[inline]
    #[must_use]
    pub const fn binds_elsewhere(&self) -> bool {
        self.info >> 4 != STB_LOCAL && self.other & 3 == STV_DEFAULT
    }

    /// Hidden or internal visibility: no other object may bind to it.
    #[inline]
    #[must_use]
    pub const fn is_hidden(&self) -> bool {
        !matches!(self.other & 3, STV_DEFAULT | STV_PROTECTED)
    }

    /// Protected visibility.
    #[inline]
    #[must_use]
    pub const fn is_protected(&self) -> bool {
        self.other & 3 == STV_PROTECTED
    }

    /// Whether the symbol is not defined here.
    #[inline]
    #[must_use]
    pub const fn is_undefined(&self) -> bool {
        self.shndx as u32 == SHN_UNDEF
    }

    /// Whether the value is absolute, that is, not moved by the load bias.
    #[inline]
    #[must_use]
    pub const fn is_absolute(&self) -> bool {
        self.shndx as u32 == SHN_ABS
    }

    /// A function whose address a resolver chooses at run time.
    #[inline]
    #[must_use]
    pub const fn is_ifunc(&self) -> bool {
        self.info & 15 == STT_GNU_IFUNC && !self.is_undefined()
    }

    /// A thread-local variable.
    #[inline]
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.info & 15 == STT_TLS
    }

    /// Whether this entry can satisfy a reference at all. `call_only` asks for a real definition: an executable's PLT
    /// entry (undefined, with a value) gives a function its address but must not be what a call binds to.
    #[inline]
    #[must_use]
    pub const fn can_define(&self, call_only: bool) -> bool {
        let is_code_or_data = matches!(
            self.info & 15,
            STT_NOTYPE | STT_OBJECT | STT_FUNC | STT_COMMON | STT_TLS | STT_GNU_IFUNC
        );
        let has_value = self.value != 0 || self.is_absolute() || self.is_tls();
        is_code_or_data && has_value && !(call_only && self.is_undefined())
    }

    /// Whether this entry gives an address in its object to whoever refers to it, with nothing to be decided: no IFUNC,
    /// no thread-local variable, not unique in the process.
    #[inline]
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        let is_here = !self.is_undefined() && !self.is_absolute() && self.value != 0;
        let is_bound = self.info < 64 && PLAIN >> self.info & 1 != 0;
        is_here && is_bound && !self.is_hidden()
    }

    /// The value as an address in the object.
    #[inline]
    #[must_use]
    pub const fn vaddr(&self) -> Vaddr {
        Vaddr(self.value)
    }

    /// Where the symbol is in the process, of an object with this load bias.
    #[inline]
    #[must_use]
    pub const fn address(&self, bias: Bias) -> Addr {
        match self.is_absolute() {
            true => Addr(self.value),
            false => bias.apply(self.vaddr()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(info: u8, other: u8, shndx: u16, value: u64) -> Symbol {
        Symbol { info, other, shndx, value, ..Symbol::default() }
    }

    #[test]
    fn a_plt_entry_gives_an_address_but_takes_no_calls() {
        let plt = symbol(0x12, 0, 0, 0x1040);
        assert!(plt.can_define(false) && !plt.can_define(true));
        assert!(!symbol(0x12, 0, 0, 0).can_define(false));
        assert!(symbol(0x11, 0, 0xfff1, 0).can_define(true));
        assert!(!symbol(0x13, 0, 1, 8).can_define(true), "a section symbol defines nothing");
    }

    #[test]
    fn what_is_plain_needs_no_decision() {
        for plain in [symbol(0x12, 0, 1, 8), symbol(0x21, 3, 1, 8), symbol(0x10, 0, 1, 8)] {
            assert!(plain.is_plain() && plain.can_define(true));
        }
        let ifunc = symbol(0x1a, 0, 1, 8);
        let tls = symbol(0x16, 0, 1, 8);
        let (unique, local) = (symbol(0xa1, 0, 1, 8), symbol(0x02, 0, 1, 8));
        let (hidden, plt) = (symbol(0x12, 2, 1, 8), symbol(0x12, 0, 0, 8));
        let (absolute, none) = (symbol(0x11, 0, 0xfff1, 8), symbol(0x12, 0, 1, 0));
        for other in [ifunc, tls, unique, local, hidden, plt, absolute, none] {
            assert!(!other.is_plain(), "{other:?}");
        }
    }

    #[test]
    fn visibility() {
        assert!(symbol(0x12, 2, 1, 8).binds_locally());
        assert!(symbol(0x02, 0, 1, 8).binds_locally());
        let elsewhere = |info, other| symbol(info, other, 0, 0).binds_elsewhere();
        assert!(elsewhere(0x12, 0) && elsewhere(0x20, 0));
        assert!(!elsewhere(0x12, 3) && !elsewhere(0x12, 2) && !elsewhere(0x02, 0));
        assert!(!symbol(0x12, 3, 1, 8).binds_locally() && symbol(0x12, 3, 1, 8).is_protected());
        assert_eq!(symbol(0xa1, 0, 1, 8).binding(), Binding::Unique);
        assert!(symbol(0x1a, 0, 1, 8).is_ifunc() && !symbol(0x1a, 0, 0, 8).is_ifunc());
    }
}
