//! The auxiliary vector as LD_SHOW_AUXV shows it.

use alloc::string::String;
use core::fmt::Write;

use crate::sys::stack::InitialStack;
use crate::text::Text;

/// How a value is written.
enum Form {
    Decimal,
    Hexadecimal,
    /// Without `0x`, as ld.so has it for bit sets.
    Bits,
    Text,
}

/// The types that have a name, one on each line: number, form, name. It is text, since pointers to text would be
/// relocated at every start.
const TABLE: &str = "\
2 d EXECFD
3 x PHDR
4 d PHENT
5 d PHNUM
6 d PAGESZ
7 x BASE
8 x FLAGS
9 x ENTRY
10 b NOTELF
11 d UID
12 d EUID
13 d GID
14 d EGID
15 s PLATFORM
16 b HWCAP
17 d CLKTCK
18 b FPUCW
19 x DCACHEBSIZE
20 x ICACHEBSIZE
21 x UCACHEBSIZE
23 d SECURE
24 s BASE_PLATFORM
25 x RANDOM
26 x HWCAP2
31 s EXECFN
32 x SYSINFO
33 x SYSINFO_EHDR
40 d L1I_CACHESIZE
41 x L1I_CACHEGEOMETRY
42 d L1D_CACHESIZE
43 x L1D_CACHEGEOMETRY
44 d L2_CACHESIZE
45 x L2_CACHEGEOMETRY
46 d L3_CACHESIZE
47 x L3_CACHEGEOMETRY
51 d MINSIGSTKSZ
";

/// AT_NULL, AT_IGNORE and AT_IGNOREPPC say nothing.
const SILENT: [u64; 3] = [0, 1, 22];

fn row(kind: u64) -> Option<(Form, &'static str)> {
    TABLE.lines().find_map(|line| {
        let mut columns = line.split(' ');
        if columns.next()?.parse() != Ok(kind) {
            return None;
        }
        let form = match columns.next()? {
            "d" => Form::Decimal,
            "x" => Form::Hexadecimal,
            "b" => Form::Bits,
            _ => Form::Text,
        };
        Some((form, columns.next()?))
    })
}

/// One line for each entry.
#[must_use]
pub fn lines(stack: &InitialStack) -> String {
    let mut text = String::new();
    for &[kind, value] in stack.auxiliary().iter().filter(|entry| !SILENT.contains(&entry[0])) {
        let Some((form, name)) = row(kind) else {
            let _ = writeln!(text, "AT_??? ({kind:#x}): {value:#x}");
            continue;
        };
        let width = 18_usize.saturating_sub(name.len());
        let _ = write!(text, "AT_{name}:{:width$}", "");
        let _ = match form {
            Form::Decimal => writeln!(text, "{value}"),
            Form::Hexadecimal => writeln!(text, "{value:#x}"),
            Form::Bits => writeln!(text, "{value:x}"),
            Form::Text => {
                let string = stack.string(kind).unwrap_or_default();
                writeln!(text, "{}", Text(string.to_bytes()))
            }
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_complete() {
        for line in TABLE.lines() {
            let kind = line.split(' ').next().unwrap().parse().unwrap();
            assert!(row(kind).is_some_and(|(_, name)| name.len() < 18), "{line}");
        }
        assert!(row(99).is_none());
    }
}
