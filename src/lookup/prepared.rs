//! A reference as its object has it, read once and before it is looked up.

use super::scan;
use crate::elf::symbol::Symbol;
use crate::object::Object;

/// A reference read from its object, before it is looked up.
#[derive(Clone, Copy, Debug)]
pub struct Prepared<'a> {
    /// The symbol's index in the object that refers to it.
    pub index: u32,
    /// The symbol.
    pub symbol: Symbol,
    /// Its name.
    pub name: &'a [u8],
    /// The name's GNU hash.
    pub hash: u32,
}

impl<'a> Prepared<'a> {
    /// Reads the symbol `index` of `object`; `None` if there is no such symbol. One that binds inside its object needs
    /// no name.
    #[inline]
    #[must_use]
    pub fn new(object: &Object<'a>, index: u32) -> Option<Self> {
        // The null symbol is there even where the table is not.
        let null = (index == 0).then(Symbol::default);
        let symbol = object.exports.symbols.get(index as usize).or(null)?;
        let (name, hash) = match symbol.binds_locally() {
            true => (&[][..], 0),
            false => {
                object.exports.strings.tail(symbol.name).and_then(scan::name).unwrap_or_default()
            }
        };
        Some(Self { index, symbol, name, hash })
    }
}
