//! Symbol tables in which some definitions lead elsewhere.

use alloc::vec::Vec;

use super::{Class, Reference, one};
use crate::addr::Addr;
use crate::object::Object;

/// A copy of an object's symbol table, in which what it defines by these names is absolute, at these addresses. A name
/// that it does not define is passed over.
#[must_use]
pub fn redefined<'n>(
    object: &Object<'_>,
    addresses: impl Iterator<Item = (&'n [u8], Addr)>,
) -> Vec<u8> {
    const SYMBOL: usize = 24;
    const ABSOLUTE: u16 = 0xfff1;
    let exports = &object.exports;
    let size = (exports.count() * SYMBOL) as u64;
    let bytes = object.dynamic.symtab.and_then(|at| object.image.bytes(at, size));
    let mut bytes = bytes.unwrap_or_default().to_vec();
    let class = Class { newest: true, ..Class::default() };
    for (name, address) in addresses {
        let found = one::find(exports, &Reference::new(name, None, class));
        let start = found.map(|(index, _)| index as usize * SYMBOL);
        if let Some(symbol) = start.and_then(|at| bytes.get_mut(at..at + SYMBOL)) {
            symbol[6..8].copy_from_slice(&ABSOLUTE.to_le_bytes());
            symbol[8..16].copy_from_slice(&address.0.to_le_bytes());
        }
    }
    bytes
}
