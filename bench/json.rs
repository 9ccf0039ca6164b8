//! The little JSON that the reports need.

use std::fmt::Write;

/// The value, or null.
pub fn or_null(value: Option<impl ToString>) -> String {
    value.map_or("null".into(), |v| v.to_string())
}

/// A JSON string (RFC 8259, section 7).
pub fn quote(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => _ = write!(out, "\\u{:04x}", c as u32),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
#[allow(unused)] // see unit.rs
mod tests {
    use super::*;

    #[test]
    fn json_strings_are_escaped() {
        assert_eq!(quote("a\"b\\\n"), r#""a\"b\\\u000a""#);
    }
}
