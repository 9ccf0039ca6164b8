//! The lines of a trace, as docs/trace.md defines them.

use serde::Deserialize;

/// The format that is understood; `rld_trace` of the lines that begin a process.
pub const VERSION: u64 = 1;

/// One line.
#[derive(Deserialize, Debug)]
pub struct Record {
    /// Nanoseconds of CLOCK_MONOTONIC; where there is a duration, of its beginning.
    pub t: u64,
    pub pid: u32,
    pub tid: u32,
    /// Of the object that the line is about.
    #[serde(default)]
    pub namespace: u64,
    #[serde(flatten)]
    pub event: Event,
}

/// What happened. What later versions tell besides is passed over.
#[derive(Deserialize, Debug)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    Start(Start),
    Fork {
        parent: u32,
    },
    Begin(Begin),
    Attempt(Attempt),
    Search(Search),
    Needed(Needed),
    Map(Map),
    Version(VersionCheck),
    Relocate(Relocate),
    Binding(Binding),
    Preinitialiser(Call),
    Initialiser(Call),
    Finaliser(Call),
    Entry {
        address: String,
    },
    Dlopen(Dlopen),
    Dlclose(Call),
    Unload {
        object: String,
    },
    Error {
        text: String,
    },
    #[serde(other)]
    Unknown,
}

/// The first line of a program's run.
#[derive(Deserialize, Debug)]
pub struct Start {
    pub rld_trace: u64,
    pub program: String,
    pub arguments: Vec<String>,
}

/// Something begins that runs the program's code. Its own line follows when it ends, if it ends.
#[derive(Deserialize, Debug)]
pub struct Begin {
    pub of: Running,
    /// An object; for dlopen, the name that was asked for.
    pub object: String,
}

/// What runs the program's code.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Running {
    Preinitialiser,
    Initialiser,
    Finaliser,
    Dlopen,
    Dlclose,
}

/// One file that was tried in a search.
#[derive(Deserialize, Debug)]
pub struct Attempt {
    pub path: String,
    pub rule: String,
    /// Whose rule it is.
    pub of: Option<String>,
    pub found: bool,
    pub why: Option<String>,
}

/// A library was looked for.
#[derive(Deserialize, Debug)]
pub struct Search {
    pub name: String,
    pub requester: Option<String>,
    pub duration: u64,
    /// Where it is.
    pub found: Option<String>,
}

/// One DT_NEEDED of an object, and what it means.
#[derive(Deserialize, Debug)]
pub struct Needed {
    pub object: String,
    pub name: String,
    pub to: String,
}

/// An object's place in memory.
#[derive(Deserialize, Debug)]
pub struct Map {
    pub object: String,
    pub address: String,
    pub size: u64,
    /// Absent where the kernel had mapped it.
    pub duration: Option<u64>,
}

#[derive(Deserialize, Debug)]
pub struct VersionCheck {
    pub object: String,
    pub version: String,
    pub of: String,
}

#[derive(Deserialize, Debug)]
pub struct Relocate {
    pub object: String,
    pub duration: u64,
    pub rela: u64,
    pub relr: u64,
    pub plt: u64,
    pub lazy: bool,
}

#[derive(Deserialize, Debug)]
pub struct Binding {
    pub from: String,
    pub to: String,
    #[serde(default)]
    pub to_namespace: u64,
    pub symbol: String,
    pub version: Option<String>,
    pub how: String,
}

/// What was called, or closed.
#[derive(Deserialize, Debug)]
pub struct Call {
    pub object: String,
    pub duration: u64,
}

#[derive(Deserialize, Debug)]
pub struct Dlopen {
    pub name: String,
    pub duration: u64,
    /// The object that was opened.
    pub object: Option<String>,
    /// What dlerror(3) says, if there is none.
    pub error: Option<String>,
}
