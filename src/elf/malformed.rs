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
}

impl Malformed {
    /// A defect shown by `structure` holding `value`.
    #[must_use]
    pub const fn new(words: &'static str, structure: &'static str, value: u64) -> Self {
        Self { words, structure, value }
    }

    /// The structure with its value, and what that means where it says something to those who do not know the format.
    #[must_use]
    pub fn detail(self) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            let Self { structure, value, .. } = self;
            let letters = value.to_le_bytes();
            let letters = letters.get(..4).unwrap_or_default();
            let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
            match (structure, value) {
                ("file size", _) => return write!(f, "{structure} = {value}"),
                ("e_ident magic", _) if letters.iter().all(is_text) => {
                    let kind = match letters {
                        b"!<ar" => "an archive (.a) for a link editor",
                        [b'#', b'!', ..] => "a script, which another program runs",
                        _ => "a text, such as a linker script",
                    };
                    return write!(f, "it begins with \"{}\": {kind}", letters.escape_ascii());
                }
                _ => write!(f, "{structure} = {value:#x}")?,
            }
            f.write_str(match (structure, value) {
                ("e_type", 1) => ": an object file (.o) for a link editor",
                ("e_type", 4) => ": a core file",
                ("EI_DATA", 2) => ": big-endian",
                ("EI_OSABI", 2) => ": NetBSD",
                ("EI_OSABI", 6) => ": Solaris",
                ("EI_OSABI", 9) => ": FreeBSD",
                ("EI_OSABI", 12) => ": OpenBSD",
                ("PT_DYNAMIC p_filesz", 0) => ": as in a file of debug information alone",
                ("PT_LOAD p_offset", _) => ": the file ends before this segment does",
                _ => "",
            })
        })
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words)
    }
}
