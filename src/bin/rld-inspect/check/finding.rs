//! What a check finds.

use std::fmt;

use serde::{Serialize, Serializer};

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// The program does not start, or ends when it gets there.
    Error,
    /// It works by chance, for some, or not safely.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// All of them, the worst first.
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Note];
    /// Their names, as options and JSON have them.
    pub const NAMES: [&str; 3] = ["error", "warning", "note"];

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl Serialize for Severity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What it is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Unreadable,
    Broken,
    MissingInterpreter,
    MissingLibrary,
    MissingVersion,
    UndefinedSymbol,
    ReplacedDefinition,
    DuplicateDefinition,
    TextRelocations,
    ExecutableStack,
    WritableCode,
    EmptyPath,
    RelativePath,
    WorldWritablePath,
    AbsentPath,
    RpathIgnored,
    DependencyByPath,
    AbsolutePath,
    StaticTls,
    UnusedDependency,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name that serde gives it, so that there is one.
        self.serialize(f)
    }
}

/// One finding, without who has it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Finding {
    /// The path of the object at fault.
    pub object: Vec<u8>,
    pub severity: Severity,
    pub kind: Kind,
    /// The symbol, library, version or directory.
    pub subject: Option<Vec<u8>>,
    /// A sentence without a full stop.
    pub message: String,
    /// Further lines.
    pub details: Vec<String>,
}

impl Finding {
    /// A finding with a subject and no details.
    pub fn new(
        object: &[u8],
        (severity, kind): (Severity, Kind),
        subject: &[u8],
        message: String,
    ) -> Self {
        let (object, subject) = (object.to_vec(), Some(subject.to_vec()));
        Self { object, severity, kind, subject, message, details: Vec::new() }
    }

    /// A finding about the object as a whole.
    pub fn whole(object: &[u8], (severity, kind): (Severity, Kind), message: String) -> Self {
        Self { subject: None, ..Self::new(object, (severity, kind), b"", message) }
    }
}

/// As many names as a message can hold, and how many more there are.
pub fn some_of(names: &[String]) -> String {
    const NAMED: usize = 8;
    let shown = names.get(..NAMED).unwrap_or(names).join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
