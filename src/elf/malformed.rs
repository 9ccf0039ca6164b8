//! What is wrong with a file, in words.

use core::fmt;

/// A defect of an ELF file: the words that ld.so has for it, and the structure and value that show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// The message, worded as ld.so words it where ld.so has a word for it.
    pub words: &'static str,
    /// The structure that is at fault, for example `e_phoff` or `DT_STRTAB`.
    pub structure: &'static str,
    /// The offending value.
    pub value: u64,
    /// Of a file that is cut off, how many bytes it says that it has.
    least: u64,
}

/// The structure of a file that does not begin as ELF files do.
pub const MAGIC: &str = "e_ident magic";
/// The structure of a file that is cut off.
const SIZE: &str = "file size";
/// No file has so many bytes: who says so is damaged.
const TOO_LARGE: u64 = 1 << 40;

impl Malformed {
    /// A defect shown by `structure` holding `value`.
    #[must_use]
    pub const fn new(words: &'static str, structure: &'static str, value: u64) -> Self {
        Self { words, structure, value, least: 0 }
    }

    /// A file of `size` bytes that says that it has more, `least` of them.
    #[must_use]
    pub const fn cut_off(words: &'static str, size: u64, least: u64) -> Self {
        Self { words, structure: SIZE, value: size, least }
    }

    /// The structure with its value, what that means to those who do not know the format, and how to go on.
    #[must_use]
    pub fn detail(self) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            let Self { structure, value, least, .. } = self;
            let letters = value.to_le_bytes();
            let letters = letters.get(..4).unwrap_or_default();
            let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
            if structure == MAGIC && letters.iter().all(is_text) {
                let kind = match letters {
                    b"!<ar" => "an archive (.a) for a link editor",
                    [b'#', b'!', ..] => "a script, which another program runs",
                    _ => "a text, such as a linker script",
                };
                return write!(f, "it begins with \"{}\": {kind}", letters.escape_ascii());
            }
            if structure == SIZE && least < TOO_LARGE {
                return write!(
                    f,
                    "the file has {value} bytes, and should have at least {least}: it is cut off; \
                     install or copy it again"
                );
            }
            write!(f, "{structure} = {value:#x}: ")?;
            f.write_str(match (structure, value) {
                ("e_type", 1) => "an object file (.o) for a link editor",
                ("e_type", 4) => "a core file",
                ("EI_DATA", 2) => "big-endian, for other processors",
                ("EI_OSABI", 2) => "for NetBSD",
                ("EI_OSABI", 6) => "for Solaris",
                ("EI_OSABI", 9) => "for FreeBSD",
                ("EI_OSABI", 12) => "for OpenBSD",
                ("PT_DYNAMIC p_filesz", 0) => {
                    "as in a file of debug information, which belongs to a library elsewhere"
                }
                _ => "the file is damaged, or not for this system; install or build it again",
            })
        })
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words)
    }
}
