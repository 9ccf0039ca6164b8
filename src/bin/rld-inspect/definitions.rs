//! What can be said on the command line, as data: for the parser, `--help`, the manual and shell completions.
#![allow(dead_code, reason = "the manual and completions need more than the parser does")]

/// What a value or an operand stands for, so that shells can complete it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An ELF program or library.
    Program,
    /// Any file.
    File,
    /// A directory.
    Directory,
    /// Directories with colons between them.
    Directories,
    /// Libraries with colons between them.
    Libraries,
    /// The name or the path of a library.
    Library,
    /// A symbol.
    Symbol,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// The value of an option.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    /// Its name in a synopsis.
    pub name: &'static str,
    pub kind: Kind,
}

/// An option.
#[derive(Debug)]
pub struct Opt {
    pub short: Option<char>,
    /// Without the dashes.
    pub long: &'static str,
    pub value: Option<Value>,
    /// Part of a sentence, without a full stop.
    pub meaning: &'static str,
}

/// How often an operand is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Count {
    Once,
    AtMostOnce,
    AtLeastOnce,
}

/// An operand.
#[derive(Debug)]
pub struct Operand {
    pub name: &'static str,
    pub kind: Kind,
    pub count: Count,
}

/// A command by its number, for whoever runs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Tree,
    Bindings,
    Libc,
}

/// A command.
#[derive(Debug)]
pub struct Command {
    pub action: Action,
    pub name: &'static str,
    pub operands: &'static [Operand],
    /// Those that it takes beside [`EVERYWHERE`].
    pub options: &'static [&'static [Opt]],
    /// One sentence.
    pub summary: &'static str,
    /// What more there is to know, in paragraphs; may be empty.
    pub about: &'static [&'static str],
}

impl Command {
    /// Its own options, in order.
    pub fn options(&self) -> impl Iterator<Item = &'static Opt> {
        self.options.iter().copied().flatten()
    }
}

/// Who the tool is.
pub const NAME: &str = "rld-inspect";
/// What it does, in a sentence.
pub const SUMMARY: &str = "Say what rld would do with a program, without starting it.";

/// What counts for all commands that look at a program as it would be started.
pub const ENVIRONMENT: &str = "LD_LIBRARY_PATH, LD_PRELOAD, LD_DYNAMIC_WEAK and /etc/ld.so.preload \
     count as they would at start.";

/// Exit statuses that hold for every command.
pub const STATUS: [(u8, &str); 3] = [
    (0, "all is well"),
    (1, "something is missing, undefined, not supported or unreadable"),
    (2, "the command line is wrong"),
];

/// The options of every command, which may also stand before it.
pub static EVERYWHERE: [Opt; 3] = [
    Opt {
        short: Some('v'),
        long: "verbose",
        value: None,
        meaning: "show each search; RUST_LOG chooses more finely",
    },
    Opt { short: Some('h'), long: "help", value: None, meaning: "show this text" },
    Opt { short: Some('V'), long: "version", value: None, meaning: "show the version" },
];

/// The options of commands that look at a program as it would be started.
static START: [Opt; 3] = [
    Opt {
        short: None,
        long: "library-path",
        value: Some(Value { name: "LIST", kind: Kind::Directories }),
        meaning: "look in these directories instead of LD_LIBRARY_PATH's",
    },
    Opt {
        short: None,
        long: "preload",
        value: Some(Value { name: "LIST", kind: Kind::Libraries }),
        meaning: "load these objects as well, like LD_PRELOAD's",
    },
    Opt { short: None, long: "inhibit-cache", value: None, meaning: "do not use /etc/ld.so.cache" },
];

const PROGRAM: Operand = Operand { name: "PROGRAM", kind: Kind::Program, count: Count::Once };

/// All commands, in the order of `--help`.
pub static COMMANDS: [Command; 3] = [
    Command {
        action: Action::Tree,
        name: "tree",
        operands: &[PROGRAM],
        options: &[&START],
        summary: "Show the objects that a program needs, where each is found, and by which rule.",
        about: &[],
    },
    Command {
        action: Action::Bindings,
        name: "bindings",
        operands: &[
            PROGRAM,
            Operand { name: "NAME[@VERSION]", kind: Kind::Symbol, count: Count::AtMostOnce },
        ],
        options: &[&START],
        summary: "Show what each reference is bound to at start: all of them, or those to one symbol.",
        about: &[],
    },
    Command {
        action: Action::Libc,
        name: "libc",
        operands: &[Operand { name: "FILE", kind: Kind::Program, count: Count::AtLeastOnce }],
        options: &[],
        summary: "Say which layout of glibc's private data a libc.so.6 has, by which evidence.",
        about: &[],
    },
];
