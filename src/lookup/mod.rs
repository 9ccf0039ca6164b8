//! (name, version, scope) → definition.
//!
//! The rules are those of the gABI ("Shared Object Dependencies"), of GNU symbol versioning, and of glibc where those
//! are silent. [`one`] decides inside one object; [`run`] walks objects, or asks an [`index`] where that pays;
//! [`scope`] is a search order of runs.

pub mod ahead;
pub mod index;
pub mod nearby;
pub mod one;
pub mod prepared;
pub mod quick;
pub mod redefined;
pub mod run;
pub mod scan;
pub mod scope;
pub mod told;
pub mod undefined;

use crate::arch::x86_64::RelocationKind;
use crate::elf::hash::gnu;
use crate::elf::version::Version;

/// A factor that spreads hashes over the upper bits of the product (the golden ratio's).
const SPREAD: u32 = 0x9e37_79b1;

/// A reference to be resolved.
#[derive(Clone, Copy, Debug)]
pub struct Reference<'n> {
    /// The name.
    pub name: &'n [u8],
    /// Its GNU hash.
    pub hash: u32,
    /// The version asked for, if any.
    pub version: Option<Version<'n>>,
    /// What kind of definition will do.
    pub class: Class,
}

impl<'n> Reference<'n> {
    /// A reference to `name`, hashed here.
    #[must_use]
    pub fn new(name: &'n [u8], version: Option<Version<'n>>, class: Class) -> Self {
        Self { name, hash: gnu(name), version, class }
    }
}

/// What kind of definition a reference accepts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Class {
    /// A real definition, not an executable's PLT entry
    /// ([`Symbol::can_define`](crate::elf::symbol::Symbol::can_define)).
    pub definition_only: bool,
    /// The program is passed over: the source of a COPY relocation is never its target.
    pub skip_program: bool,
    /// Without a version, the newest default version rather than the oldest (dlsym).
    pub newest: bool,
}

impl Class {
    /// What a relocation accepts.
    #[inline]
    #[must_use]
    pub const fn of(kind: RelocationKind) -> Self {
        let (definition_only, skip_program) =
            (kind.needs_definition(), matches!(kind, RelocationKind::Copy));
        Self { definition_only, skip_program, newest: false }
    }
}
