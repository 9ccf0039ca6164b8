//! The value that a relocation stores (psABI, table 4.9), from numbers alone.

use crate::arch::x86_64::RelocationKind;

/// What goes into the relocated place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Store {
    /// Nothing.
    Nothing,
    /// A 64-bit word.
    Word(u64),
    /// A 32-bit word.
    Half(u32),
    /// The same, of a value that does not fit: its lower half.
    Cut(u32),
}

/// The operands, in the psABI's letters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Operands {
    /// S: the symbol's address; for thread-local symbols its offset in the module's block.
    pub symbol: u64,
    /// A: the addend.
    pub addend: u64,
    /// B: the object's load bias.
    pub bias: u64,
    /// P: the address of the relocated place.
    pub place: u64,
    /// Z: the symbol's size.
    pub size: u64,
    /// The id of the module that holds a thread-local symbol.
    pub module: u64,
    /// How far below the thread pointer that module's block starts.
    pub tls_offset: u64,
}

/// Computes what to store. COPY, IRELATIVE and TLSDESC are not values and store nothing here.
#[inline]
#[must_use]
pub fn value(kind: RelocationKind, operands: &Operands) -> Store {
    use RelocationKind as Kind;
    let Operands { symbol, addend, bias, place, size, module, tls_offset } = *operands;
    let sum = symbol.wrapping_add(addend);
    match kind {
        Kind::None | Kind::Copy | Kind::IRelative | Kind::TlsDesc => Store::Nothing,
        Kind::Abs64 | Kind::DtpOff => Store::Word(sum),
        // `-z mark-plt` puts the address of the PLT's entry into the addend (DT_X86_64_PLT).
        Kind::GlobDat | Kind::JumpSlot => Store::Word(symbol),
        Kind::Relative => Store::Word(bias.wrapping_add(addend)),
        Kind::Pc64 => Store::Word(sum.wrapping_sub(place)),
        Kind::Size64 => Store::Word(size.wrapping_add(addend)),
        Kind::DtpMod => Store::Word(module),
        Kind::TpOff => Store::Word(sum.wrapping_sub(tls_offset)),
        Kind::Abs32 => unsigned(sum),
        Kind::Size32 => unsigned(size.wrapping_add(addend)),
        Kind::Abs32Signed => signed(sum),
        Kind::Pc32 => signed(sum.wrapping_sub(place)),
    }
}

fn unsigned(value: u64) -> Store {
    u32::try_from(value).map_or(Store::Cut(value as u32), Store::Half)
}

fn signed(value: u64) -> Store {
    let half = i32::try_from(value.cast_signed()).map(i32::cast_unsigned);
    half.map_or(Store::Cut(value as u32), Store::Half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use RelocationKind as Kind;

    const OPERANDS: Operands = Operands {
        symbol: 0x5000,
        addend: 0x10,
        bias: 0x7f00_0000_0000,
        place: 0x6000,
        size: 0x20,
        module: 3,
        tls_offset: 0x5100,
    };

    #[test]
    fn follows_the_table() {
        let word = |kind| value(kind, &OPERANDS);
        assert_eq!(word(Kind::Abs64), Store::Word(0x5010));
        assert_eq!(word(Kind::GlobDat), Store::Word(0x5000));
        assert_eq!(word(Kind::JumpSlot), Store::Word(0x5000));
        assert_eq!(word(Kind::Relative), Store::Word(0x7f00_0000_0010));
        assert_eq!(word(Kind::Pc64), Store::Word(0u64.wrapping_sub(0xff0)));
        assert_eq!(word(Kind::Pc32), Store::Half(0u32.wrapping_sub(0xff0)));
        assert_eq!(word(Kind::Size64), Store::Word(0x30));
        assert_eq!(word(Kind::Size32), Store::Half(0x30));
        assert_eq!(word(Kind::DtpMod), Store::Word(3));
        assert_eq!(word(Kind::DtpOff), Store::Word(0x5010));
        assert_eq!(word(Kind::TpOff), Store::Word(0u64.wrapping_sub(0xf0)));
        assert_eq!(word(Kind::None), Store::Nothing);
    }

    #[test]
    fn narrow_types_overflow() {
        let high = Operands { symbol: 0xffff_ffff, addend: 0, ..OPERANDS };
        assert_eq!(value(Kind::Abs32, &high), Store::Half(0xffff_ffff));
        assert_eq!(value(Kind::Abs32Signed, &high), Store::Cut(0xffff_ffff));
        let negative = Operands { symbol: u64::MAX, addend: 0, ..OPERANDS };
        assert_eq!(value(Kind::Abs32, &negative), Store::Cut(u32::MAX));
        assert_eq!(value(Kind::Abs32Signed, &negative), Store::Half(u32::MAX));
        let far = Operands { symbol: 1 << 40, ..OPERANDS };
        assert_eq!(value(Kind::Pc32, &far), Store::Cut(0u32.wrapping_sub(0x5ff0)));
    }
}
