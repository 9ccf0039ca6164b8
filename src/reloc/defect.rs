//! Relocations that cannot be made, or not as they should, in words.

use alloc::string::String;

use crate::arch::x86_64::RelocationKind as Kind;
use crate::elf::Malformed;
use crate::error::Error;
use crate::image::memory::Outside;
use crate::object::Object;
use crate::text::Text;

/// A thread-local symbol of an object that has no thread-local storage.
pub const NO_TLS: Malformed =
    Malformed::new("thread-local symbol in an object without PT_TLS", "PT_TLS count", 0);

/// A relocation of a place that relocation may not write to.
#[cold]
#[must_use]
pub fn outside(program: &[u8], object: &Object<'_>, Outside(place): Outside) -> Error {
    let vaddr = object.image.bias.remove(place);
    let words = "relocation of a place that is not writable";
    let error = Error::words(object.display_name(program), words);
    error.with(alloc::format!(
        "offset {vaddr} is not part of its data; linked with -z text, the link editor says what is wrong"
    ))
}

/// What is said of a value that is cut off to fit its 32 bits.
#[cold]
#[must_use]
pub fn overflow(program: &[u8], object: &Object<'_>, index: u32, kind: Kind) -> String {
    let symbol = Text(symbol_name(object, index));
    let (name, program) = (Text(object.display_name(program)), Text(program));
    let relocation = kind.name();
    alloc::format!(
        "{program}: Symbol `{symbol}' causes overflow in {relocation} relocation\n\t{name} has 32 \
         bits for what needs more, and will not work where it uses it: compile it with -fPIC"
    )
}

/// The name of a symbol of an object.
#[must_use]
pub fn symbol_name<'a>(object: &Object<'a>, index: u32) -> &'a [u8] {
    let symbol = object.exports.symbols.get(index as usize).unwrap_or_default();
    object.exports.strings.get(symbol.name).unwrap_or_default()
}
