//! What can be said on the command line, as data: for the parser, `--help`, the manual and shell completions.

use super::generate::{FORMS, TOOLS};

use super::check::Severity;

/// What a value or an operand stands for, so that shells can complete it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(dead_code, reason = "shells can complete more than the commands have need of")]
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
    /// A count.
    Number,
    /// Words that a shell cannot guess.
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// The value of an option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Value {
    /// Its name in a synopsis.
    pub name: &'static str,
    pub kind: Kind,
}

/// An option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
    Why,
    Symbols,
    Bindings,
    Check,
    Diff,
    Libc,
    Timeline,
    Generate,
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
     count as they would at start; with --sysroot only that root's /etc/ld.so.preload does. Colours \
     are for terminals, unless NO_COLOR is set.";

/// Exit statuses that hold for every command.
pub const STATUS: [(u8, &str); 4] = [
    (0, "all is well"),
    (1, "something is missing, undefined, different, not supported or unreadable"),
    (2, "the command line is wrong"),
    (3, "there are warnings"),
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

/// An option without a value.
const fn flag(long: &'static str, meaning: &'static str) -> Opt {
    Opt { short: None, long, value: None, meaning }
}

/// An option with a value.
const fn with_value(
    long: &'static str,
    name: &'static str,
    kind: Kind,
    meaning: &'static str,
) -> Opt {
    Opt { short: None, long, value: Some(Value { name, kind }), meaning }
}

/// For commands whose output programs may read.
static FORMAT: [Opt; 1] =
    [with_value("format", "FORMAT", Kind::OneOf(&["text", "json"]), "for people, or for programs")];

/// The options of commands that look at a program as it would be started.
static START: [Opt; 4] = [
    with_value(
        "library-path",
        "LIST",
        Kind::Directories,
        "look in these directories instead of LD_LIBRARY_PATH's",
    ),
    with_value("preload", "LIST", Kind::Libraries, "load these objects as well, like LD_PRELOAD's"),
    flag("inhibit-cache", "do not use /etc/ld.so.cache"),
    with_value("sysroot", "DIRECTORY", Kind::Directory, "look at a system whose root is this one"),
];

/// The same for one of two environments.
static SIDES: [Opt; 8] = [
    with_value(
        "a-library-path",
        "LIST",
        Kind::Directories,
        "--library-path of the first side alone",
    ),
    with_value(
        "b-library-path",
        "LIST",
        Kind::Directories,
        "--library-path of the second side alone",
    ),
    with_value("a-preload", "LIST", Kind::Libraries, "--preload of the first side alone"),
    with_value("b-preload", "LIST", Kind::Libraries, "--preload of the second side alone"),
    flag("a-inhibit-cache", "--inhibit-cache of the first side alone"),
    flag("b-inhibit-cache", "--inhibit-cache of the second side alone"),
    with_value("a-sysroot", "DIRECTORY", Kind::Directory, "--sysroot of the first side alone"),
    with_value("b-sysroot", "DIRECTORY", Kind::Directory, "--sysroot of the second side alone"),
];

const OTHER: Operand = Operand { name: "OTHER", kind: Kind::Program, count: Count::AtMostOnce };
/// The options of `timeline`.
static TIMELINE: [Opt; 2] = [
    with_value("format", "FORMAT", Kind::OneOf(&["html", "perfetto"]), "what to make"),
    Opt {
        short: Some('o'),
        long: "output",
        value: Some(Value { name: "FILE", kind: Kind::File }),
        meaning: "write it to this file, not to standard output",
    },
];

const PROGRAM: Operand = Operand { name: "PROGRAM", kind: Kind::Program, count: Count::Once };

static WHY: [Opt; 1] =
    [with_value("limit", "NUMBER", Kind::Number, "show at most so many chains; 100 if not given")];

static CHECK: [Opt; 1] = [with_value(
    "severity",
    "LEVEL",
    Kind::OneOf(&Severity::NAMES),
    "show and count what is at least so severe, warnings if not given",
)];

/// All commands, in the order of `--help`.
pub static COMMANDS: &[Command] = &[
    Command {
        action: Action::Tree,
        name: "tree",
        operands: &[PROGRAM],
        options: &[&START, &FORMAT],
        summary: "Show the objects that a program needs, where each is found, and by which rule.",
        about: &[],
    },
    Command {
        action: Action::Why,
        name: "why",
        operands: &[Operand { name: "LIBRARY", kind: Kind::Library, count: Count::Once }, PROGRAM],
        options: &[&WHY, &START, &FORMAT],
        summary: "Show every chain of needs that leads from a program to a library.",
        about: &["LIBRARY is a SONAME, the name by which something asks for it, or its path. The \
             shortest chains come first."],
    },
    Command {
        action: Action::Symbols,
        name: "symbols",
        operands: &[
            PROGRAM,
            Operand { name: "NAME[@VERSION]", kind: Kind::Symbol, count: Count::Once },
        ],
        options: &[&START, &FORMAT],
        summary: "Show who defines a symbol, in the order of the search, and who is bound to which.",
        about: &[
            "A default version is written with two @, as link editors write it. A definition \
             is shadowed where a search for its name and version ends at another one before.",
        ],
    },
    Command {
        action: Action::Bindings,
        name: "bindings",
        operands: &[
            PROGRAM,
            Operand { name: "NAME[@VERSION]", kind: Kind::Symbol, count: Count::AtMostOnce },
        ],
        options: &[&START, &FORMAT],
        summary: "Show what each reference is bound to at start: all of them, or those to one symbol.",
        about: &[],
    },
    Command {
        action: Action::Check,
        name: "check",
        operands: &[Operand { count: Count::AtLeastOnce, ..PROGRAM }],
        options: &[&CHECK, &START, &FORMAT],
        summary: "Say what is wrong with programs and their libraries, or may be.",
        about: &[
            "Errors are libraries, versions and symbols that are missing. Warnings are what works by \
             chance or not safely: elements of RPATH or RUNPATH that are empty, relative, or where \
             everybody may write; executable stacks, code that is written to, needs that are paths, \
             definitions of a library that another one replaces. Notes are worth knowing: \
             directories that are not there or not everywhere, static TLS, libraries that are \
             needed and not used, symbols that several libraries define. Weak symbols do not count \
             as defined twice: C++ has them in many libraries.",
            "Files that are no programs are passed over, if there are others.",
            "The exit status is 1 if there are errors, 3 if there are warnings and no errors, else 0.",
        ],
    },
    Command {
        action: Action::Diff,
        name: "diff",
        operands: &[PROGRAM, OTHER],
        options: &[&SIDES, &START, &FORMAT],
        summary: "Show what differs between two environments, or two builds of a program.",
        about: &[
            "Options that begin with --a- or --b- describe one side, all others both. Shown are the \
             objects that one side lacks, finds elsewhere or with other contents, and the references \
             of objects of both sides that are bound to another library or version.",
            "The exit status is 0 if there is no difference, and 1 if there is one.",
        ],
    },
    Command {
        action: Action::Libc,
        name: "libc",
        operands: &[Operand { name: "FILE", kind: Kind::Program, count: Count::AtLeastOnce }],
        options: &[&FORMAT],
        summary: "Say which C library a file is, and whether its programs start, by which evidence.",
        about: &[],
    },
    Command {
        action: Action::Timeline,
        name: "timeline",
        operands: &[Operand { name: "TRACE", kind: Kind::File, count: Count::Once }],
        options: &[&TIMELINE],
        summary: "Make a page, or a file for Perfetto, of a trace that rld wrote while a program ran.",
        about: &[
            "RLD_TRACE=FILE in the environment, or --trace FILE on rld's command line, writes a trace.",
        ],
    },
    Command {
        action: Action::Generate,
        name: "generate",
        operands: &[
            Operand { name: "FORM", kind: Kind::OneOf(FORMS), count: Count::Once },
            Operand { name: "TOOL", kind: Kind::OneOf(TOOLS), count: Count::Once },
        ],
        options: &[],
        summary: "Write the manual page of a tool, or its completions for a shell.",
        about: &[],
    },
];
