//! The command line of `rld [OPTIONS] PROGRAM [ARGS]`, with ld.so's options (ld.so(8)).

use core::ffi::CStr;
use core::fmt;

use crate::text::Text;

/// What the command line asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Start the program.
    Run,
    /// `--list`: show its dependencies instead.
    List,
    /// `--verify`: say whether it is dynamically linked, as an exit status.
    Verify,
    /// `--help`.
    Help,
    /// `--version`.
    Version,
}

/// The options, before the program's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// What to do.
    pub command: Command,
    /// `--library-path`, in place of LD_LIBRARY_PATH.
    pub library_path: Option<&'static CStr>,
    /// `--preload`, besides LD_PRELOAD.
    pub preload: Option<&'static CStr>,
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
    /// The program, with its position among the arguments; none for `--help` and `--version`.
    pub program: Option<(usize, &'static CStr)>,
}

/// A command line that makes no sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usage {
    /// An option that is not known, or lacks its value.
    Unrecognised(&'static CStr),
    /// Nothing to run.
    NoProgram,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unrecognised(option) => {
                write!(f, "unrecognized option '{}'", Text(option.to_bytes()))
            }
            Self::NoProgram => f.write_str("missing program name"),
        }
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
            preload: None,
            argv0: None,
            inhibit_cache: false,
            inhibit_rpath: None,
            hwcaps_prepend: None,
            hwcaps_mask: None,
            program: None,
        };
        let mut arguments = arguments.enumerate().skip(1);
        while let Some((position, argument)) = arguments.next() {
            let mut value = || match arguments.next() {
                Some((_, value)) => Ok(Some(value)),
                None => Err(Usage::Unrecognised(argument)),
            };
            match argument.to_bytes() {
                b"--list" => options.command = Command::List,
                b"--verify" => options.command = Command::Verify,
                b"--inhibit-cache" => options.inhibit_cache = true,
                b"--library-path" => options.library_path = value()?,
                b"--preload" => options.preload = value()?,
                b"--argv0" => options.argv0 = value()?,
                b"--inhibit-rpath" => options.inhibit_rpath = value()?,
                b"--glibc-hwcaps-prepend" => options.hwcaps_prepend = value()?,
                b"--glibc-hwcaps-mask" => options.hwcaps_mask = value()?,
                b"--help" => return Ok(Self { command: Command::Help, ..options }),
                b"--version" => return Ok(Self { command: Command::Version, ..options }),
                [b'-', b'-', ..] => return Err(Usage::Unrecognised(argument)),
                _ => return Ok(Self { program: Some((position, argument)), ..options }),
            }
        }
        Err(Usage::NoProgram)
    }
}

/// What `--help` prints after the line that says how rld is called.
pub const HELP: &str = "\
Starts a dynamically linked ELF program, as the system's dynamic linker would.

      --list                  show the program's dependencies, do not run it
      --verify                exit with 0 if the program is dynamically linked,
                              with 2 if it is statically linked
      --library-path PATH     search PATH in place of LD_LIBRARY_PATH
      --inhibit-cache         do not use /etc/ld.so.cache
      --inhibit-rpath LIST    ignore RPATH and RUNPATH of the objects in LIST
      --glibc-hwcaps-prepend LIST
                              search these glibc-hwcaps subdirectories first
      --glibc-hwcaps-mask LIST
                              search only these of the built-in subdirectories
      --preload LIST          load the objects in LIST first
      --argv0 STRING          let the program see STRING as its name
      --help                  show this and exit
      --version               show the version and exit

Options given here do not reach the programs that PROGRAM starts.
";

#[cfg(test)]
mod tests {
    use super::*;

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
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        assert_eq!(parse(&[]), Err(Usage::NoProgram));
        assert_eq!(parse(&[c"--nonsense", c"p"]), Err(Usage::Unrecognised(c"--nonsense")));
        assert_eq!(parse(&[c"--preload"]), Err(Usage::Unrecognised(c"--preload")));
        assert_eq!(parse(&[c"--help"]).unwrap().command, Command::Help);
    }
}
