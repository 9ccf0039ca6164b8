//! COPY relocations: variables of libraries that the program keeps.

use alloc::string::String;

use crate::addr::{Addr, ObjectId};
use crate::text::Text;

/// Bytes that a program keeps in place of a library's (R_X86_64_COPY).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Copy {
    /// The object that holds the copy.
    pub object: ObjectId,
    /// The original.
    pub source: Addr,
    /// The copy.
    pub target: Addr,
    /// Bytes.
    pub size: u64,
}

/// What is said of a program's copy of a variable that is not as large as the library's.
#[must_use]
pub fn differing_sizes(
    program: &[u8],
    name: &[u8],
    own: u64,
    original: u64,
    strict: bool,
) -> Option<String> {
    let (program, name) = (Text(program), Text(name));
    let differs = original > own || (strict && original < own);
    differs.then(|| {
        alloc::format!(
            "{program}: Symbol `{name}' has different size in shared object, consider re-linking"
        )
    })
}
