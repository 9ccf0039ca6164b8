//! The command line of `rld [OPTION]... PROGRAM [ARGUMENT]...`, with ld.so's options (ld.so(8)) and a few of rld's own.

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt::{self, Write};

use crate::near;
use crate::text::Text;

/// What the command line asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Start the program.
    Run,
    /// `--list`: show its dependencies instead.
    List,
    /// `--tree`: show them as a tree, with the rules by which they are found.
    Tree,
    /// `--verify`: say whether it is dynamically linked, as an exit status.
    Verify,
    /// `--list-tunables`: print all tunables.
    ListTunables,
    /// `--list-diagnostics`: print what a report about a problem should hold.
    ListDiagnostics,
    /// `--help`.
    Help,
    /// `--version`.
    Version,
}

/// One option: a row of the table from which parsing, `--help`, completions and the manual are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// With its two dashes.
    pub name: &'static str,
    /// What its value is called, if it has one.
    pub value: Option<&'static str>,
    /// What it does, in half a line.
    pub meaning: &'static str,
}

/// The table, one row on each line. It is text, since pointers to text would be relocated at every start.
const TABLE: &str = "\
--list||show the program's dependencies, do not run it
--tree||show them as a tree, with how each is found
--verify||exit with 0 (program), 2 (library) or 1 (neither)
--library-path|PATH|search PATH in place of LD_LIBRARY_PATH
--sysroot|DIR|let libraries, and PROGRAM, come from below DIR
--inhibit-cache||do not use /etc/ld.so.cache
--inhibit-rpath|LIST|ignore RPATH and RUNPATH of the objects in LIST
--glibc-hwcaps-prepend|LIST|search these glibc-hwcaps subdirectories first
--glibc-hwcaps-mask|LIST|search only these of the built-in subdirectories
--musl-libc|FILE|the C library, for programs of musl
--preload|LIST|load the objects in LIST first
--audit|LIST|let the objects in LIST watch what is done
--trace|FILE|append what rld does to FILE, as lines of JSON
--argv0|STRING|let the program see STRING as its name
--list-tunables||show tunables of the libc found, and exit
--list-diagnostics||show facts about machine and environment and exit
--help||show this and exit
--version||show the version and exit
";

/// All options, in the order of `--help`.
pub fn table() -> impl Iterator<Item = Row> + Clone {
    TABLE.lines().filter_map(|line| {
        let mut columns = line.splitn(3, '|');
        let (name, value) = (columns.next()?, columns.next()?);
        Some(Row { name, value: Some(value).filter(|it| !it.is_empty()), meaning: columns.next()? })
    })
}

/// The options, before the program's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// What to do.
    pub command: Command,
    /// `--library-path`, in place of LD_LIBRARY_PATH.
    pub library_path: Option<&'static CStr>,
    /// `--musl-libc`: the C library of programs of musl.
    pub musl_libc: Option<&'static CStr>,
    /// `--sysroot`, in place of RLD_SYSROOT.
    pub sysroot: Option<&'static CStr>,
    /// `--preload`, besides LD_PRELOAD.
    pub preload: Option<&'static CStr>,
    /// `--audit`, besides LD_AUDIT; all occurrences add up.
    pub audit: Vec<&'static CStr>,
    /// `--trace`, in place of RLD_TRACE.
    pub trace: Option<&'static CStr>,
    /// `--argv0`: what the program sees as its name.
    pub argv0: Option<&'static CStr>,
    /// `--inhibit-cache`.
    pub inhibit_cache: bool,
    /// `--inhibit-rpath`: objects whose RPATH and RUNPATH are ignored.
    pub inhibit_rpath: Option<&'static CStr>,
    /// `--glibc-hwcaps-prepend`: further subdirectories.
    pub hwcaps_prepend: Option<&'static CStr>,
    /// `--glibc-hwcaps-mask`: which of the built-in subdirectories are searched.
    pub hwcaps_mask: Option<&'static CStr>,
    /// The program, with its position among the arguments; commands that print a text need none.
    pub program: Option<(usize, &'static CStr)>,
}

/// A command line that makes no sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usage {
    /// An option that is not known.
    Unrecognised(&'static CStr),
    /// An option without its value; ld.so calls it unrecognised, too.
    NoValue(Row),
    /// Nothing to run.
    NoProgram,
}

impl fmt::Display for Usage {
    /// ld.so's line, then one with advice where there is some.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unrecognised(option) => {
                write!(f, "unrecognized option '{}'", Text(option.to_bytes()))?;
                advise(option.to_bytes(), f)
            }
            Self::NoValue(Row { name, value, .. }) => {
                let value = value.unwrap_or_default();
                write!(f, "unrecognized option '{name}'\n\tit needs a value: {name} {value}")
            }
            Self::NoProgram => f.write_str("missing program name"),
        }
    }
}

/// What was meant, perhaps.
fn advise(option: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let name = option.split(|byte| *byte == b'=').next().unwrap_or_default();
    let exact = table().find(|row| row.name.as_bytes() == name);
    match (exact, near::nearest(name, table().map(|row| row.name.as_bytes()))) {
        (Some(Row { name, value: Some(value), .. }), _) => {
            write!(f, "\n\tits value is an argument of its own: {name} {value}")
        }
        (Some(Row { name, .. }), _) => write!(f, "\n\t'{name}' takes no value"),
        (None, Some(near)) => write!(f, "\n\tdid you mean '{}'?", Text(near)),
        (None, None) => Ok(()),
    }
}

impl Options {
    /// Reads the arguments, the first of which is rld's own name.
    ///
    /// # Errors
    /// [`Usage`].
    pub fn parse(arguments: impl Iterator<Item = &'static CStr>) -> Result<Self, Usage> {
        let mut options = Self {
            command: Command::Run,
            library_path: None,
            musl_libc: None,
            sysroot: None,
            preload: None,
            audit: Vec::new(),
            trace: None,
            argv0: None,
            inhibit_cache: false,
            inhibit_rpath: None,
            hwcaps_prepend: None,
            hwcaps_mask: None,
            program: None,
        };
        let mut arguments = arguments.enumerate().skip(1);
        while let Some((position, argument)) = arguments.next() {
            let name = argument.to_bytes();
            if !name.starts_with(b"--") {
                options.program = Some((position, argument));
                break;
            }
            let row = table().find(|row| row.name.as_bytes() == name);
            let row = row.ok_or(Usage::Unrecognised(argument))?;
            let value = match row.value {
                Some(_) => Some(arguments.next().ok_or(Usage::NoValue(row))?.1),
                None => None,
            };
            options.set(row.name, value);
            if options.command == Command::Version {
                return Ok(options);
            }
        }
        let needs_program = !matches!(
            options.command,
            Command::ListTunables | Command::ListDiagnostics | Command::Help | Command::Version
        );
        match options.program {
            None if needs_program => Err(Usage::NoProgram),
            _ => Ok(options),
        }
    }

    /// Sets what the named option is for; whether there is such an option.
    fn set(&mut self, name: &str, value: Option<&'static CStr>) -> bool {
        match name {
            // As under ld.so, help is not given up again for these.
            "--list" | "--tree" | "--verify" if self.command == Command::Help => {}
            "--list" => self.command = Command::List,
            "--tree" => self.command = Command::Tree,
            "--verify" => self.command = Command::Verify,
            "--library-path" => self.library_path = value,
            "--sysroot" => self.sysroot = value,
            "--inhibit-cache" => self.inhibit_cache = true,
            "--inhibit-rpath" => self.inhibit_rpath = value,
            "--glibc-hwcaps-prepend" => self.hwcaps_prepend = value,
            "--glibc-hwcaps-mask" => self.hwcaps_mask = value,
            "--musl-libc" => self.musl_libc = value,
            "--preload" => self.preload = value,
            "--audit" => self.audit.extend(value),
            "--trace" => self.trace = value,
            "--argv0" => self.argv0 = value,
            "--list-tunables" => self.command = Command::ListTunables,
            "--list-diagnostics" => self.command = Command::ListDiagnostics,
            "--help" => self.command = Command::Help,
            "--version" => self.command = Command::Version,
            _ => return false,
        }
        true
    }
}

/// What `--help` says about the options.
#[must_use]
pub fn help(own_name: Text<'_>) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "Usage: {own_name} [OPTION]... PROGRAM [ARGUMENT]...");
    let _ = writeln!(text, "Start PROGRAM. Options do not reach the programs that it starts.\n");
    for Row { name, value, meaning } in table() {
        let _ = match value {
            Some(value) => {
                let width = 26_usize.saturating_sub(name.len());
                writeln!(text, "  {name} {value:width$} {meaning}")
            }
            None => writeln!(text, "  {name:27} {meaning}"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    fn parse(arguments: &[&'static CStr]) -> Result<Options, Usage> {
        Options::parse(core::iter::once(c"rld").chain(arguments.iter().copied()))
    }

    #[test]
    fn options_end_at_the_program() {
        let options =
            parse(&[c"--library-path", c"/a:/b", c"--inhibit-cache", c"prog", c"--list"]).unwrap();
        assert_eq!(options.program, Some((4, c"prog")));
        assert_eq!(options.library_path, Some(c"/a:/b"));
        assert!(options.inhibit_cache && options.command == Command::Run);
        let options = parse(&[c"--audit", c"a", c"--audit", c"b", c"-x"]).unwrap();
        assert_eq!((options.audit, options.program), (alloc::vec![c"a", c"b"], Some((5, c"-x"))));
    }

    #[test]
    fn every_row_is_known_and_fits_its_line() {
        let mut options = parse(&[c"p"]).unwrap();
        for row in table() {
            assert!(options.set(row.name, Some(c"value")), "{}", row.name);
            assert!(row.name.starts_with("--") && !row.meaning.is_empty(), "{row:?}");
        }
        assert_eq!(table().count(), TABLE.lines().count());
        let help = help(Text(b"rld"));
        assert!(help.lines().count() <= 24 && help.lines().all(|line| line.len() < 80), "{help}");
    }

    #[test]
    fn commands_follow_ld_so() {
        let command = |arguments: &[&'static CStr]| parse(arguments).unwrap().command;
        assert_eq!(command(&[c"--help"]), Command::Help);
        assert_eq!(command(&[c"--help", c"--list"]), Command::Help);
        assert_eq!(command(&[c"--help", c"--list-tunables"]), Command::ListTunables);
        assert_eq!(command(&[c"--version", c"--nonsense"]), Command::Version);
        assert_eq!(command(&[c"--verify", c"--list", c"p"]), Command::List);
        assert!(parse(&[c"--help", c"--nonsense"]).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let words = |arguments: &[&'static CStr]| parse(arguments).unwrap_err().to_string();
        let wrong = |option: &str, advice| format!("unrecognized option '{option}'{advice}");
        assert_eq!(words(&[]), "missing program name");
        assert_eq!(words(&[c"--list"]), "missing program name");
        assert_eq!(words(&[c"--lits", c"p"]), wrong("--lits", "\n\tdid you mean '--list'?"));
        assert_eq!(words(&[c"--nonsense"]), wrong("--nonsense", ""));
        assert_eq!(words(&[c"--"]), wrong("--", ""));
        let advice = "\n\tit needs a value: --preload LIST";
        assert_eq!(words(&[c"--preload"]), wrong("--preload", advice));
        let advice = "\n\tits value is an argument of its own: --preload LIST";
        assert_eq!(words(&[c"--preload=x"]), wrong("--preload=x", advice));
        assert_eq!(words(&[c"--list=x"]), wrong("--list=x", "\n\t'--list' takes no value"));
    }
}
