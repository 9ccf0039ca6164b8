//! Tunables keep within their bounds, and the settings that count are those the rules name.

use rld::env::split_variable;
use rld::env::tunables::lists::V2_43 as LIST;
use rld::env::tunables::{Kind, Value, Values, number, pairs, rows};

/// The input is an environment, with a NUL behind each variable; and a number.
pub fn check(bytes: &[u8]) {
    check_number(bytes);
    let variables: Vec<_> = bytes
        .split(|&byte| byte == 0)
        .filter_map(|text| Some((text, split_variable(text)?)))
        .collect();
    let values = Values::from_environment(variables.iter().map(|(text, _)| *text));
    for (tunable, id) in rows(LIST).zip(0..) {
        let settings = variables.iter().filter(|(_, (name, _))| *name == b"GLIBC_TUNABLES");
        let settings = settings.flat_map(|(_, (_, value))| pairs(value));
        let named = settings.filter(|(name, _)| *name == tunable.name.as_bytes());
        let last = named.filter_map(|(_, value)| tunable.kind.read(value)).last();
        let aliases = variables
            .iter()
            .filter(|(_, (name, _))| tunable.alias.is_some_and(|alias| alias.as_bytes() == *name));
        let first = aliases.filter_map(|(_, (_, value))| tunable.kind.read(value)).next();
        let expected = last.or(first);
        let found = values.by_id(LIST, id);
        assert_eq!(found, Some((expected.unwrap_or(tunable.kind.default()), expected.is_some())));
        assert_eq!(values.by_name(tunable.name.as_bytes()), found);
        match (tunable.kind, expected) {
            (_, None) | (Kind::Text, Some(Value::Text(Some(_)))) => {}
            (Kind::Int32 { min, max, .. }, Some(Value::Int32(value))) => {
                assert!((min..=max).contains(&value));
            }
            (
                Kind::Uint64 { min, max, .. } | Kind::SizeT { min, max, .. },
                Some(Value::Number(value)),
            ) => assert!((min..=max).contains(&value)),
            other => panic!("a value of another type: {other:?}"),
        }
    }
    assert_eq!(values.by_id(LIST, LIST.len() as u32), None);
}

/// Against the standard library, where that can tell.
fn check_number(text: &[u8]) {
    let found = number(text);
    let blanks = text.iter().take_while(|byte| b" \t".contains(byte)).count();
    let digits = text[blanks..].split(|byte| !byte.is_ascii_digit()).next().unwrap_or_default();
    if digits.is_empty() || digits.starts_with(b"0") {
        return;
    }
    match String::from_utf8_lossy(digits).parse::<u64>() {
        // glibc takes the last few numbers before the limit for too large.
        Ok(value) if value > u64::MAX - 16 => assert!(found == value || found == u64::MAX),
        Ok(value) => assert_eq!(found, value),
        Err(_) => assert_eq!(found, u64::MAX),
    }
}
