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

/// A value that does not fit 32 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overflow;

/// Computes what to store. COPY, IRELATIVE and TLSDESC are not values and store nothing here.
///
/// # Errors
/// [`Overflow`] for the 32-bit types.
#[inline]
pub fn value(kind: RelocationKind, operands: &Operands) -> Result<Store, Overflow> {
    use RelocationKind as Kind;
    let Operands { symbol, addend, bias, place, size, module, tls_offset } = *operands;
    let sum = symbol.wrapping_add(addend);
    Ok(match kind {
        Kind::None | Kind::Copy | Kind::IRelative | Kind::TlsDesc => Store::Nothing,
        Kind::Abs64 | Kind::DtpOff => Store::Word(sum),
        // `-z mark-plt` puts the address of the PLT's entry into the addend (DT_X86_64_PLT).
        Kind::GlobDat | Kind::JumpSlot => Store::Word(symbol),
        Kind::Relative => Store::Word(bias.wrapping_add(addend)),
        Kind::Pc64 => Store::Word(sum.wrapping_sub(place)),
        Kind::Size64 => Store::Word(size.wrapping_add(addend)),
        Kind::DtpMod => Store::Word(module),
        Kind::TpOff => Store::Word(sum.wrapping_sub(tls_offset)),
        Kind::Abs32 => Store::Half(unsigned(sum)?),
        Kind::Size32 => Store::Half(unsigned(size.wrapping_add(addend))?),
        Kind::Abs32Signed => Store::Half(signed(sum)?),
        Kind::Pc32 => Store::Half(signed(sum.wrapping_sub(place))?),
    })
}

fn unsigned(value: u64) -> Result<u32, Overflow> {
    u32::try_from(value).map_err(|_| Overflow)
}

fn signed(value: u64) -> Result<u32, Overflow> {
    i32::try_from(value.cast_signed()).map(i32::cast_unsigned).map_err(|_| Overflow)
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
        assert_eq!(word(Kind::Abs64), Ok(Store::Word(0x5010)));
        assert_eq!(word(Kind::GlobDat), Ok(Store::Word(0x5000)));
        assert_eq!(word(Kind::JumpSlot), Ok(Store::Word(0x5000)));
        assert_eq!(word(Kind::Relative), Ok(Store::Word(0x7f00_0000_0010)));
        assert_eq!(word(Kind::Pc64), Ok(Store::Word(0u64.wrapping_sub(0xff0))));
        assert_eq!(word(Kind::Pc32), Ok(Store::Half(0u32.wrapping_sub(0xff0))));
        assert_eq!(word(Kind::Size64), Ok(Store::Word(0x30)));
        assert_eq!(word(Kind::Size32), Ok(Store::Half(0x30)));
        assert_eq!(word(Kind::DtpMod), Ok(Store::Word(3)));
        assert_eq!(word(Kind::DtpOff), Ok(Store::Word(0x5010)));
        assert_eq!(word(Kind::TpOff), Ok(Store::Word(0u64.wrapping_sub(0xf0))));
        assert_eq!(word(Kind::None), Ok(Store::Nothing));
    }

    #[test]
    fn narrow_types_overflow() {
        let high = Operands { symbol: 0xffff_ffff, addend: 0, ..OPERANDS };
        assert_eq!(value(Kind::Abs32, &high), Ok(Store::Half(0xffff_ffff)));
        assert_eq!(value(Kind::Abs32Signed, &high), Err(Overflow));
        let negative = Operands { symbol: u64::MAX, addend: 0, ..OPERANDS };
        assert_eq!(value(Kind::Abs32, &negative), Err(Overflow));
        assert_eq!(value(Kind::Abs32Signed, &negative), Ok(Store::Half(u32::MAX)));
        let far = Operands { symbol: 1 << 40, ..OPERANDS };
        assert_eq!(value(Kind::Pc32, &far), Err(Overflow));
    }
}
