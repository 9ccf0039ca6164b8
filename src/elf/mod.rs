//! Bounds-checked views over the bytes of an ELF file or image.
//!
//! What a file says is an allegation: nothing here trusts an offset, a count or an index before it was checked against
//! the bytes at hand, and nothing here panics. Definitions come from goblin.

pub mod dynamic;
pub mod hash;
pub mod header;
pub mod malformed;
pub mod note;
pub mod relocation;
pub mod segment;
pub mod strtab;
pub mod symbol;
pub mod table;
pub mod version;

pub use malformed::Malformed;
pub use table::Table;
