//! Colours for terminals (ECMA-48, "SGR").

use core::fmt;

/// Colours words, or leaves them as they are.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    colours: bool,
}

impl Paint {
    /// For a reader that shows colours, or does not.
    #[must_use]
    pub const fn new(colours: bool) -> Self {
        Self { colours }
    }

    /// What the reader looks for.
    pub const fn strong<D>(self, words: D) -> Painted<D> {
        self.with("1", words)
    }

    /// What the reader may pass over.
    pub const fn dim<D>(self, words: D) -> Painted<D> {
        self.with("2", words)
    }

    /// What is wrong.
    pub const fn bad<D>(self, words: D) -> Painted<D> {
        self.with("1;31", words)
    }

    /// What may be wrong.
    pub const fn doubtful<D>(self, words: D) -> Painted<D> {
        self.with("33", words)
    }

    /// What is right, or new.
    pub const fn good<D>(self, words: D) -> Painted<D> {
        self.with("32", words)
    }

    /// What explains.
    pub const fn aside<D>(self, words: D) -> Painted<D> {
        self.with("36", words)
    }

    const fn with<D>(self, code: &'static str, words: D) -> Painted<D> {
        Painted { code: if self.colours { Some(code) } else { None }, words }
    }
}

/// Words in a colour.
#[derive(Clone, Copy, Debug)]
pub struct Painted<D> {
    code: Option<&'static str>,
    words: D,
}

impl<D: fmt::Display> fmt::Display for Painted<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "\x1b[{code}m{}\x1b[0m", self.words),
            None => self.words.fmt(f),
        }
    }
}

/// Whether a terminal's reader wants colours: not if NO_COLOR is set to something, or TERM to `dumb`.
#[must_use]
pub fn wanted(no_color: Option<&[u8]>, term: Option<&[u8]>) -> bool {
    no_color.is_none_or(<[u8]>::is_empty) && term.is_none_or(|terminal| terminal != b"dumb")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn colours_stand_around_words() {
        assert_eq!(Paint::new(true).dim("far").to_string(), "\x1b[2mfar\x1b[0m");
        assert_eq!(Paint::new(false).dim("far").to_string(), "far");
    }

    #[test]
    fn who_wants_colours() {
        assert!(wanted(None, None) && wanted(Some(b""), Some(b"xterm")));
        assert!(!wanted(Some(b"1"), None) && !wanted(None, Some(b"dumb")));
    }
}
