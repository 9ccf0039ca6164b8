//! GLIBC_TUNABLES: `glibc.malloc.check=3:glibc.rtld.nns=2`, and what libc asks of it by number (contract 9).

/// Makes the catalogue of rows `TYPE "NAME" or "ALIAS" = DEFAULT in MIN, MAX;`.
macro_rules! tunables {
    ($($kind:ident $name:literal $(or $alias:literal)? $(= $default:literal in $min:expr, $max:expr)?;)*) => {
        /// All of them.
        pub const CATALOGUE: &[super::Tunable] = &[$(
            super::Tunable {
                name: crate::text::Inline::new($name),
                alias: tunables!(@alias $($alias)?),
                kind: super::Kind::$kind $({ default: $default, min: $min, max: $max })?,
            }
        ),*];
    };
    (@alias) => { None };
    (@alias $alias:literal) => { Some(crate::text::Inline::new($alias)) };
}

/// Makes a release's list of names, each without `glibc.`; or a list of all that are in a later one `but` some.
macro_rules! list {
    ($(#[$doc:meta])* $list:ident = $($name:literal)*) => {
        $(#[$doc])*
        pub const $list: super::List = &[$(super::row($name)),*];
    };
    ($(#[$doc:meta])* $list:ident = $later:ident but $($name:literal)*) => {
        $(#[$doc])*
        pub const $list: super::List = {
            const NEW: super::List = &[$(super::row($name)),*];
            &super::without::<{ $later.len() - NEW.len() }>($later, NEW)
        };
    };
}

mod catalogue;
pub mod lists;

use alloc::boxed::Box;
use alloc::vec;

use crate::text::Inline;
use catalogue::CATALOGUE;

/// The type of a tunable, with its bounds and the value it has when nobody sets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the three fields of each variant are what their names say")]
pub enum Kind {
    /// A signed number of 32 bits.
    Int32 { default: i32, min: i32, max: i32 },
    /// A number of 64 bits.
    Uint64 { default: u64, min: u64, max: u64 },
    /// A size in bytes, of 64 bits.
    SizeT { default: u64, min: u64, max: u64 },
    /// Text, by default none.
    Text,
}

/// One row of a release's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tunable {
    /// The full name.
    pub name: Inline<47>,
    /// The environment variable that sets it where GLIBC_TUNABLES does not.
    pub alias: Option<Inline<31>>,
    /// What it holds.
    pub kind: Kind,
}

/// A value, of the tunable's type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    /// Of [`Kind::Int32`].
    Int32(i32),
    /// Of [`Kind::Uint64`] and [`Kind::SizeT`].
    Number(u64),
    /// Of [`Kind::Text`]; `None` when nobody set it.
    Text(Option<&'a [u8]>),
}

impl Kind {
    /// The value when nobody sets it.
    #[must_use]
    pub const fn default(self) -> Value<'static> {
        match self {
            Self::Int32 { default, .. } => Value::Int32(default),
            Self::Uint64 { default, .. } | Self::SizeT { default, .. } => Value::Number(default),
            Self::Text => Value::Text(None),
        }
    }

    /// Reads a value; `None` when it is out of bounds, which leaves the tunable as it was.
    #[must_use]
    pub fn read(self, raw: &[u8]) -> Option<Value<'_>> {
        match self {
            Self::Int32 { min, max, .. } => {
                let value = i32::try_from(number(raw).cast_signed()).ok()?;
                (min..=max).contains(&value).then_some(Value::Int32(value))
            }
            Self::Uint64 { min, max, .. } | Self::SizeT { min, max, .. } => {
                let value = number(raw);
                (min..=max).contains(&value).then_some(Value::Number(value))
            }
            Self::Text => Some(Value::Text(Some(raw))),
        }
    }
}

/// What a release has, in the order of its ids, as rows of the catalogue: a table of addresses would need relocations.
pub type List = &'static [u8];

/// The row of a name without its `glibc.`; behind `'` the older one of two. It does not compile for others.
const fn row(name: &str) -> u8 {
    let (name, mut skip) = match name.as_bytes() {
        [rest @ .., b'\''] => (rest, 1),
        name => (name, 0),
    };
    let mut at = 0;
    while at < CATALOGUE.len() {
        let (_, tail) = CATALOGUE[at].name.bytes().split_at(GLIBC.len());
        if is_same(tail, name) {
            if skip == 0 {
                return at as u8;
            }
            skip -= 1;
        }
        at += 1;
    }
    panic!("no such tunable")
}

const GLIBC: &str = "glibc.";

/// `==`, which constants cannot use.
const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// A list without those that are `new`: the others keep their order.
const fn without<const LEN: usize>(list: List, new: List) -> [u8; LEN] {
    let (mut rest, mut from, mut to) = ([0; LEN], 0, 0);
    while from < list.len() {
        let mut at = 0;
        while at < new.len() && new[at] != list[from] {
            at += 1;
        }
        if at == new.len() {
            rest[to] = list[from];
            to += 1;
        }
        from += 1;
    }
    assert!(to == LEN, "a name that is left out was not there once");
    rest
}

/// The tunables of a list, in the order of their numbers.
pub fn rows(list: List) -> impl ExactSizeIterator<Item = &'static Tunable> {
    list.iter().map(|row| &CATALOGUE[usize::from(*row)])
}

/// The pairs of a GLIBC_TUNABLES value. A part without `=` is passed over; one with a second `=` ends the list, as do
/// parts behind the last `=` (glibc since CVE-2023-4911).
pub fn pairs(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    value
        .split(|byte| *byte == b':')
        .filter_map(super::split_variable)
        .take_while(|(_, value)| !value.contains(&b'='))
}

/// A number as the loader reads it: blanks, a sign, then decimal, hexadecimal behind `0x` or octal behind `0`. What
/// follows the digits is ignored; no digits are 0; a number that does not fit is the largest one.
#[must_use]
pub fn number(text: &[u8]) -> u64 {
    let start = text.iter().position(|byte| !b" \t".contains(byte)).unwrap_or(text.len());
    let text = text.get(start..).unwrap_or(&[]);
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (base, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    let mut value = 0_u64;
    for digit in digits.iter().map_while(|byte| char::from(*byte).to_digit(base)) {
        let (base, digit) = (u64::from(base), u64::from(digit));
        // glibc takes the largest number itself, and those that share its quotient, for too large.
        if value >= (u64::MAX - digit) / base {
            return u64::MAX;
        }
        value = value * base + digit;
    }
    if negative { value.wrapping_neg() } else { value }
}

/// The values that the environment gives to tunables, whatever release has them.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    set: Box<[Option<Value<'a>>]>,
}

impl Default for Values<'_> {
    /// The defaults.
    fn default() -> Self {
        Self { set: vec![None; CATALOGUE.len()].into() }
    }
}

impl<'a> Values<'a> {
    /// What `NAME=VALUE` strings make of them: the last setting in GLIBC_TUNABLES counts, else the first one of the
    /// alias. Not to be used in secure mode.
    #[must_use]
    pub fn from_environment(variables: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut values = Self::default();
        for (name, value) in variables.into_iter().filter_map(super::split_variable) {
            if name == b"GLIBC_TUNABLES" {
                for (name, value) in pairs(value) {
                    values.assign(|tunable| tunable.name.as_bytes() == name, value, true);
                }
            } else if name.starts_with(b"MALLOC_") || name.starts_with(b"LD_") {
                let is_it = |alias: &Inline<_>| alias.as_bytes() == name;
                values.assign(|tunable| tunable.alias.as_ref().is_some_and(is_it), value, false);
            }
        }
        values
    }

    fn assign(&mut self, is_it: impl Fn(&Tunable) -> bool, raw: &'a [u8], overrides: bool) {
        let rows = CATALOGUE.iter().zip(&mut self.set);
        for (tunable, slot) in rows.filter(|(tunable, _)| is_it(tunable)) {
            if (overrides || slot.is_none())
                && let Some(value) = tunable.kind.read(raw)
            {
                *slot = Some(value);
            }
        }
    }

    fn of_row(&self, row: usize) -> Option<(Value<'a>, bool)> {
        let set = *self.set.get(row)?;
        Some((set.unwrap_or(CATALOGUE.get(row)?.kind.default()), set.is_some()))
    }

    /// A tunable's value by its number in a release's list, and whether somebody set it.
    #[must_use]
    pub fn by_id(&self, list: List, id: u32) -> Option<(Value<'a>, bool)> {
        self.of_row((*list.get(id as usize)?).into())
    }

    /// All tunables of a release with their values, in the order of their numbers.
    pub fn iter(&self, list: List) -> impl Iterator<Item = (&'static Tunable, Value<'a>)> {
        let values = list.iter().filter_map(|row| Some(self.of_row((*row).into())?.0));
        rows(list).zip(values)
    }

    /// The value of the tunable with this name, and whether somebody set it.
    #[must_use]
    pub fn by_name(&self, name: &[u8]) -> Option<(Value<'a>, bool)> {
        self.by_parts(name, b"")
    }

    /// The same for a name in two parts.
    #[must_use]
    pub fn by_parts(&self, family: &[u8], name: &[u8]) -> Option<(Value<'a>, bool)> {
        self.of_row(CATALOGUE.iter().position(|tunable| {
            tunable.name.as_bytes().strip_prefix(family).is_some_and(|rest| rest == name)
        })?)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;
    use lists::V2_36_GMON as LIST;
    use std::{eprintln, process};

    fn values<'a>(variables: &[&'a str]) -> Values<'a> {
        Values::from_environment(variables.iter().map(|variable| variable.as_bytes()))
    }

    #[test]
    fn numbers_read_as_in_glibc() {
        for (text, value) in [
            ("", 0),
            ("12", 12),
            (" \t+12x", 12),
            ("0x1F", 31),
            ("017", 15),
            ("018", 1),
            ("0", 0),
            ("0x", 0),
            ("-1", u64::MAX),
            ("1k", 1),
            ("abc", 0),
            ("- 1", 0),
            ("18446744073709551599", u64::MAX - 16),
            ("18446744073709551609", u64::MAX),
            ("99999999999999999999", u64::MAX),
        ] {
            assert_eq!(number(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn pairs_end_at_a_malformed_one() {
        let all = |text: &'static str| pairs(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(all("a=1:b=2"), [(&b"a"[..], &b"1"[..]), (b"b", b"2")]);
        assert_eq!(all("a=1:b=c=2:d=3"), [(&b"a"[..], &b"1"[..])]);
        assert_eq!(all("junk::a=1:junk"), [(&b"a"[..], &b"1"[..])]);
        assert!(all("").is_empty());
    }

    #[test]
    fn ids_are_those_of_the_release() {
        let name = |id| rows(LIST).nth(id).map(|tunable| tunable.name);
        assert_eq!(name(0).as_deref(), Some("glibc.rtld.nns"));
        assert_eq!(name(34).as_deref(), Some("glibc.rtld.optional_static_tls"));
        assert_eq!(name(36).as_deref(), Some("glibc.malloc.check"));
        assert_eq!(name(37), None);
    }

    #[test]
    fn defaults_lie_within_bounds() {
        for tunable in CATALOGUE {
            // A lower bound of 1 with a default of 0 means "decided at run time".
            match tunable.kind {
                Kind::Int32 { default, min, max } => assert!((min..=max).contains(&default)),
                Kind::Uint64 { default, min, max } | Kind::SizeT { default, min, max } => {
                    assert!(default == 0 || (min..=max).contains(&default));
                }
                Kind::Text => {}
            }
        }
    }

    #[test]
    fn the_tunable_beats_its_alias() {
        let check = |variables: &[&'static str]| values(variables).by_name(b"glibc.malloc.check");
        assert_eq!(check(&[]), Some((Value::Int32(0), false)));
        assert_eq!(check(&["MALLOC_CHECK_=1", "MALLOC_CHECK_=2"]), Some((Value::Int32(1), true)));
        for order in [
            ["MALLOC_CHECK_=1", "GLIBC_TUNABLES=glibc.malloc.check=3"],
            ["GLIBC_TUNABLES=glibc.malloc.check=3", "MALLOC_CHECK_=1"],
        ] {
            assert_eq!(check(&order), Some((Value::Int32(3), true)));
        }
    }

    #[test]
    fn what_is_out_of_bounds_changes_nothing() {
        let check = |text| values(&[text]).by_name(b"glibc.malloc.check");
        for text in ["4", "-1", "0xffffffffffffffff", "4294967297"] {
            let variable = format!("GLIBC_TUNABLES=glibc.malloc.check={text}");
            let set = values(&[&variable]).by_name(b"glibc.malloc.check").map(|(_, set)| set);
            assert_eq!(set, Some(false), "{text}");
        }
        assert_eq!(check("GLIBC_TUNABLES=glibc.malloc.check=0x2"), Some((Value::Int32(2), true)));
        let nns = values(&["GLIBC_TUNABLES=glibc.rtld.nns=17:glibc.cpu.hwcaps=-AVX2_Usable"]);
        assert_eq!(nns.by_id(LIST, 0), Some((Value::Number(4), false)));
        let hwcaps = nns.by_name(b"glibc.cpu.hwcaps");
        assert_eq!(hwcaps, Some((Value::Text(Some(b"-AVX2_Usable")), true)));
    }

    /// What `ld.so --list-tunables` prints, when the system's is a Debian glibc 2.36.
    fn listing(tunables: &str) -> Option<String> {
        const LD_SO: &str = "/lib64/ld-linux-x86-64.so.2";
        let run = |option| {
            let mut command = process::Command::new(LD_SO);
            let output = command.arg(option).env("GLIBC_TUNABLES", tunables).output().ok()?;
            String::from_utf8(output.stdout).ok()
        };
        let listing = run("--version").filter(|version| version.contains("Debian GLIBC 2.36-"));
        let listing = listing.and_then(|_| run("--list-tunables"));
        if listing.is_none() {
            eprintln!("skipped: {LD_SO} is not that of Debian's glibc 2.36");
        }
        listing
    }

    fn line(tunable: &Tunable, value: Value<'_>) -> String {
        let name = tunable.name;
        match (tunable.kind, value) {
            (Kind::Int32 { min, max, .. }, Value::Int32(value)) => {
                format!("{name}: {value} (min: {min}, max: {max})")
            }
            (
                Kind::Uint64 { min, max, .. } | Kind::SizeT { min, max, .. },
                Value::Number(value),
            ) => format!("{name}: {value:#x} (min: {min:#x}, max: {max:#x})"),
            _ => format!("{name}:"),
        }
    }

    #[test]
    fn the_table_is_that_of_ld_so() {
        let Some(listing) = listing("") else { return };
        assert_eq!(listing.lines().count(), LIST.len());
        for (found, tunable) in listing.lines().zip(rows(LIST)) {
            let expected = line(tunable, tunable.kind.default());
            // ld.so has filled in what it measured on this CPU, and moved bounds accordingly.
            if tunable.name.starts_with("glibc.cpu.x86_") {
                assert_eq!(found.split(':').next(), expected.split(':').next());
            } else {
                assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn values_are_read_as_by_ld_so() {
        for text in [
            "12",
            " 12x",
            "\t7",
            "-3",
            "+3",
            "0x1F",
            "0XfG",
            "0777",
            "08",
            "1k",
            "",
            "x",
            "18446744073709551599",
            "18446744073709551600",
            "0xffffffffffffffff",
            "0xfffffffffffffff0",
            "0xffffffffffffffef",
        ] {
            let variable = format!(
                "GLIBC_TUNABLES=glibc.malloc.check={text}:junk::no=1:glibc.malloc.top_pad={text}:x"
            );
            let own = values(&[&variable]);
            let (_, tunables) = variable.split_once('=').unwrap();
            let Some(listing) = listing(tunables) else {
                return;
            };
            for name in ["glibc.malloc.check", "glibc.malloc.top_pad"] {
                let id = rows(LIST).position(|row| *row.name == *name).unwrap();
                let expected =
                    line(rows(LIST).nth(id).unwrap(), own.by_id(LIST, id as u32).unwrap().0);
                assert_eq!(listing.lines().nth(id), Some(&*expected), "{text:?}");
            }
        }
    }
}
