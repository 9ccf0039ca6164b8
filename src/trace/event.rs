//! What can be told. Events borrow all that they name; nothing is allocated for them.

use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt;

use super::Origin;
use crate::addr::Addr;

/// An object as events name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label<'e> {
    /// Its path; empty for the program, as ld.so has it.
    pub name: &'e [u8],
    /// Its namespace; rld's own is the first, wherever it is used.
    pub space: usize,
}

/// Calls a function with each of several strings.
pub type Strings<'e> = &'e dyn Fn(&mut dyn FnMut(&[u8]));

/// A part of a start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The whole of it, to the program's entry point.
    Start,
    /// Objects are found and mapped.
    Load,
    /// Objects are relocated.
    Relocate,
}

/// What kind of function of an object is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Function {
    /// The program's DT_PREINIT_ARRAY.
    Preinitialiser,
    /// DT_INIT and DT_INIT_ARRAY.
    Initialiser,
    /// DT_FINI_ARRAY and DT_FINI.
    Finaliser,
}

/// Something that happens. What takes time has a beginning and an end, which are told by the same thread.
#[expect(missing_docs, reason = "fields are named for what they hold")]
#[derive(Clone, Copy)]
pub enum Event<'e> {
    /// A part of the start begins.
    StageBegins { stage: Stage },
    /// A part of the start is over.
    StageEnds { stage: Stage },

    /// An object that is not there yet is asked for; `opened` by dlopen(3), or needed.
    Wanted { name: &'e [u8], space: usize, by: Option<Label<'e>>, opened: bool },
    /// A name without a slash begins to be looked for.
    SearchBegins { name: &'e [u8], space: usize },
    /// A list of directories is gone through.
    SearchList { origin: &'e Origin<'e>, directories: Strings<'e> },
    /// The cache is asked.
    SearchCache { path: &'e CStr },
    /// A file was tried; `why` it was not taken, if so.
    Attempt { path: &'e [u8], origin: &'e Origin<'e>, why: Option<&'e dyn fmt::Display> },
    /// The search is over; `since` is when it began. It is cut short by a file that cannot be loaded.
    SearchEnds {
        name: &'e [u8],
        by: Option<Label<'e>>,
        space: usize,
        found: Option<&'e CStr>,
        cut_short: bool,
        since: u64,
    },
    /// What a DT_NEEDED of an object means.
    Needed { object: Label<'e>, name: &'e [u8], to: Label<'e> },

    /// An object that the kernel has mapped.
    Found { object: Label<'e>, start: Addr, size: u64 },
    /// A file that was found begins to be mapped. `name` is what was asked for.
    MapBegins { name: &'e [u8], path: &'e [u8], space: usize },
    /// It is mapped and read.
    MapEnds {
        object: Label<'e>,
        dynamic: Addr,
        /// The load bias.
        base: Addr,
        /// Its lowest address.
        start: Addr,
        size: u64,
        entry: Addr,
        phdr: Addr,
        phnum: u16,
        since: u64,
    },

    /// A library is asked whether it defines a version.
    Version { version: &'e [u8], library: Label<'e>, by: Label<'e> },

    /// What objects see will be told for each.
    InitialScopes,
    /// What an object's references are looked up in: lists, of which those before `first` are not told. rld looks
    /// nothing up.
    Scope { object: Label<'e>, first: usize, lists: Option<&'e [Vec<&'e [u8]>]> },
    /// Objects of a namespace see this one from now on.
    Global { object: Label<'e> },

    /// An object begins to be relocated.
    RelocationBegins { object: Label<'e>, lazy: bool },
    /// All its words are written, but for those that wait for a resolver.
    RelocationEnds {
        object: Label<'e>,
        lazy: bool,
        /// Records of DT_RELA.
        rela: u64,
        /// Words of DT_RELR.
        relr: u64,
        /// Records of DT_JMPREL.
        plt: u64,
        since: u64,
    },
    /// A symbol is looked up in an object.
    Lookup { symbol: &'e [u8], object: Label<'e> },
    /// A lookup is over: what defines the symbol, if anything.
    Binding {
        symbol: &'e [u8],
        version: Option<&'e [u8]>,
        from: Label<'e>,
        to: Option<Label<'e>>,
        is_protected: bool,
        how: How,
    },
    /// The last lookup's answer was used again.
    BoundAgain,
    /// The first object stays as long as the second, which was bound to it.
    Dependency { object: Label<'e>, by: Label<'e> },

    /// An object's functions begin to be called.
    CallBegins { object: Label<'e>, function: Function },
    /// They have returned.
    CallEnds { object: Label<'e>, function: Function, since: u64 },
    /// The program's entry point is jumped to.
    Entry { address: Addr },
    /// The finalisers of the exit have run.
    Exit,

    /// dlopen(3) or dlmopen(3) is called.
    OpenBegins { name: &'e [u8] },
    /// An object was opened, once more if it was open before.
    Opened { object: Label<'e>, count: u32 },
    /// The call is about to return what was opened, or an error.
    OpenEnds {
        name: &'e [u8],
        object: Option<Label<'e>>,
        error: Option<&'e dyn fmt::Display>,
        since: u64,
    },
    /// dlclose(3) is called.
    CloseBegins { object: Label<'e> },
    /// An object was closed and is still open, or needed.
    StillOpen { object: Label<'e>, count: u32 },
    /// An object is taken out of memory.
    Unloaded { object: Label<'e> },
    /// The call is about to return.
    CloseEnds { object: Label<'e>, since: u64 },
    /// An object will never be unloaded.
    Stays { object: Label<'e>, why: Why<'e> },

    /// The program cannot be started.
    Failed { words: &'e dyn fmt::Display },
    /// Something is wrong with an object. `occasion` is what ld.so calls it; the program goes on if not `fatal`.
    Error { object: &'e [u8], occasion: &'static str, words: &'e dyn fmt::Display, fatal: bool },
}

/// Why an object will never be unloaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why<'e> {
    /// A dlopen(3) of an object that is there already asks for it (RTLD_NODELETE).
    Asked,
    /// It was opened so just now, or its file says so (DF_1_NODELETE).
    Opened,
    /// It defines a symbol that must be unique.
    Unique,
    /// An object that is never unloaded is bound to it.
    Reference(Label<'e>),
}

/// How a lookup came about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// A relocation was applied.
    Relocation,
    /// A function was called for the first time.
    FirstCall,
    /// dlsym(3) or dlvsym(3).
    Request,
    /// The loader itself needs the symbol.
    Own,
}
