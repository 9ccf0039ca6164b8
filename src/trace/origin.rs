//! The rules by which a library is looked for, as events and messages name them.

use alloc::borrow::Cow;
use core::fmt;

use crate::text::Text;

/// What led to a path. Names are those of the object whose path list it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin<'a> {
    /// DT_RPATH of the named object.
    Rpath(Cow<'a, [u8]>),
    /// DT_RUNPATH of the named object.
    Runpath(Cow<'a, [u8]>),
    /// LD_LIBRARY_PATH, or `--library-path` in its stead.
    LibraryPath,
    /// The library cache.
    Cache,
    /// The system's own directories.
    Default,
    /// A preload list gave the path.
    Preload,
    /// The name is a path.
    Slash,
}

impl Origin<'_> {
    /// The same, independent of the object it names.
    #[must_use]
    pub fn into_owned(self) -> Origin<'static> {
        match self {
            Self::Rpath(name) => Origin::Rpath(Cow::Owned(name.into_owned())),
            Self::Runpath(name) => Origin::Runpath(Cow::Owned(name.into_owned())),
            Self::LibraryPath => Origin::LibraryPath,
            Self::Cache => Origin::Cache,
            Self::Default => Origin::Default,
            Self::Preload => Origin::Preload,
            Self::Slash => Origin::Slash,
        }
    }
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rpath(name) => write!(f, "RPATH of {}", Text(name)),
            Self::Runpath(name) => write!(f, "RUNPATH of {}", Text(name)),
            Self::LibraryPath => f.write_str("LD_LIBRARY_PATH"),
            Self::Cache => f.write_str("cache"),
            Self::Default => f.write_str("default"),
            Self::Preload => f.write_str("preload"),
            Self::Slash => f.write_str("the name has a slash"),
        }
    }
}
