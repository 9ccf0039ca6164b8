//! Dynamic string tokens (gABI: substitution sequences): `$ORIGIN`, `$LIB`, `$PLATFORM`, with or without braces.

use alloc::borrow::Cow;
use alloc::vec::Vec;

/// What the tokens stand for in one object's strings.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    /// `$ORIGIN`: the directory of the object; empty when it is not known.
    pub origin: &'a [u8],
    /// `$LIB`.
    pub lib: &'a [u8],
    /// `$PLATFORM`; `None` when the kernel named none.
    pub platform: Option<&'a [u8]>,
    /// Whether the process has more rights than its caller.
    pub secure: bool,
    /// The directories that `$ORIGIN` may lead into then; each without a trailing slash.
    pub trusted: &'a [&'a [u8]],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Origin,
    Lib,
    Platform,
}

/// The token that begins behind a `$`, and the bytes after it. A name goes on as long as it can: `$LIBS` is no token.
fn token(after: &[u8]) -> Option<(Token, &[u8])> {
    let names: [(&[u8], Token); 3] =
        [(b"ORIGIN", Token::Origin), (b"PLATFORM", Token::Platform), (b"LIB", Token::Lib)];
    let (bare, braces) = match after.strip_prefix(b"{") {
        Some(bare) => (bare, true),
        None => (after, false),
    };
    names.into_iter().find_map(|(name, token)| {
        let rest = bare.strip_prefix(name)?;
        if braces {
            return Some((token, rest.strip_prefix(b"}")?));
        }
        let ends = rest.first().is_none_or(|next| !next.is_ascii_alphanumeric() && *next != b'_');
        ends.then_some((token, rest))
    })
}

/// Whether the string holds any token.
#[must_use]
pub fn has_token(string: &[u8]) -> bool {
    // Most have not even this, which is seen many bytes at a time, by a loop that does not end early.
    if !string.iter().fold(false, |found, &byte| found | (byte == b'$')) {
        return false;
    }
    let mut rest = string;
    while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
        rest = rest.get(at + 1..).unwrap_or(&[]);
        if token(rest).is_some() {
            return true;
        }
    }
    false
}

impl Tokens<'_> {
    /// Replaces the tokens in one path. `None` when one of them has no value, or secure mode forbids it: such a path
    /// is not to be used at all.
    ///
    /// In secure mode `$ORIGIN` must be the whole first element, and the result must lie in a trusted directory: hard
    /// links let a user choose where a set-user-ID program seems to be. ld.so tests the result for the executable's
    /// strings only; here it is tested for all.
    #[must_use]
    pub fn expand<'s>(&self, string: &'s [u8]) -> Option<Cow<'s, [u8]>> {
        if !has_token(string) {
            return Some(Cow::Borrowed(string));
        }
        let mut expanded = Vec::with_capacity(string.len() + self.origin.len());
        let (mut rest, mut from_origin) = (string, false);
        while let Some((&byte, after)) = rest.split_first() {
            let found = if byte == b'$' { token(after) } else { None };
            let Some((token, after_token)) = found else {
                expanded.push(byte);
                rest = after;
                continue;
            };
            let value = match token {
                Token::Lib => Some(self.lib),
                Token::Platform => self.platform,
                Token::Origin => {
                    let leads = rest.len() == string.len()
                        && after_token.first().is_none_or(|next| *next == b'/');
                    from_origin = true;
                    (!self.origin.is_empty() && (leads || !self.secure)).then_some(self.origin)
                }
            };
            expanded.extend_from_slice(value?);
            rest = after_token;
        }
        (!self.secure || !from_origin || is_trusted(&expanded, self.trusted))
            .then_some(Cow::Owned(expanded))
    }

    /// Whether a name from DT_NEEDED, DT_AUXILIARY or DT_FILTER may not be used: ld.so stops there.
    #[must_use]
    pub fn forbid(&self, name: &[u8]) -> bool {
        self.secure && has_token(name)
    }
}

/// Whether the path, with `.`, `..` and doubled slashes taken out, lies in one of the directories.
fn is_trusted(path: &[u8], trusted: &[&[u8]]) -> bool {
    if !path.starts_with(b"/") {
        return false;
    }
    let mut elements: Vec<&[u8]> = Vec::new();
    for element in path.split(|byte| *byte == b'/') {
        match element {
            b"" | b"." => {}
            b".." => {
                elements.pop();
            }
            element => elements.push(element),
        }
    }
    trusted.iter().any(|directory| {
        let mut at = elements.iter();
        let mut wanted = directory.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
        wanted.all(|part| at.next().is_some_and(|element| *element == part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: Tokens<'static> = Tokens {
        origin: b"/opt/app/bin",
        lib: b"lib/x86_64-linux-gnu",
        platform: Some(b"x86_64"),
        secure: false,
        trusted: &[b"/lib", b"/usr/lib"],
    };

    fn expand(tokens: Tokens<'_>, string: &str) -> Option<alloc::string::String> {
        tokens.expand(string.as_bytes()).map(|s| alloc::string::String::from_utf8_lossy(&s).into())
    }

    #[test]
    fn replaces_each_token_with_and_without_braces() {
        let all = expand(TOKENS, "$ORIGIN/../${LIB}/$PLATFORM-x:${ORIGIN}");
        assert_eq!(
            all.as_deref(),
            Some("/opt/app/bin/../lib/x86_64-linux-gnu/x86_64-x:/opt/app/bin")
        );
    }

    #[test]
    fn takes_the_longest_name() {
        for literal in
            ["$LIBS/x", "$ORIGIN_", "${ORIGIN", "${ORIGINAL}", "$", "$$", "${}", "$origin"]
        {
            assert_eq!(expand(TOKENS, literal).as_deref(), Some(literal));
            assert!(!has_token(literal.as_bytes()));
        }
        assert_eq!(expand(TOKENS, "$$LIB.").as_deref(), Some("$lib/x86_64-linux-gnu."));
    }

    #[test]
    fn a_token_without_value_drops_the_path() {
        assert_eq!(expand(Tokens { platform: None, ..TOKENS }, "/x/$PLATFORM"), None);
        assert_eq!(expand(Tokens { origin: b"", ..TOKENS }, "$ORIGIN/lib"), None);
    }

    #[test]
    fn secure_origin_must_lead_into_a_trusted_directory() {
        let secure = Tokens { secure: true, origin: b"/usr/bin", ..TOKENS };
        assert_eq!(expand(secure, "$ORIGIN/../lib/app").as_deref(), Some("/usr/bin/../lib/app"));
        assert_eq!(expand(secure, "$ORIGIN/../libexec"), None);
        assert_eq!(expand(secure, "$ORIGIN/../lib/../../tmp"), None);
        assert_eq!(expand(secure, "/lib/$ORIGIN"), None);
        assert_eq!(expand(secure, "${ORIGIN}x/../lib"), None);
        assert_eq!(expand(secure, "/tmp/$LIB").as_deref(), Some("/tmp/lib/x86_64-linux-gnu"));
        let relative = Tokens { origin: b"lib", ..secure };
        assert_eq!(expand(relative, "$ORIGIN"), None);
    }

    #[test]
    fn secure_mode_forbids_tokens_in_needed_names() {
        let secure = Tokens { secure: true, ..TOKENS };
        assert!(secure.forbid(b"$LIB/x.so") && secure.forbid(b"lib${PLATFORM}.so"));
        assert!(!secure.forbid(b"$LIBS.so") && !TOKENS.forbid(b"$LIB/x.so"));
    }
}
