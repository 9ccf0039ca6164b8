//! The table of layouts: its generator says in words what is wrong with the data, and the data is what compilers say.

#[path = "../build/layouts.rs"]
#[allow(dead_code, reason = "only the part without files is tested")]
mod layouts;
#[path = "layouts/structs.rs"]
mod structs;

const SCHEMA: &str = "
pub struct Layout {
    pub label: &'static str,
    pub exchange: u16,
    pub map: Map,
}
pub struct Bits {
    pub byte: u16,
}
pub struct Map {
    /// Doc.
    pub size: u16,
    pub flag: Bits,
    pub gone: Option<u16>,
    pub kind: Kind,
}
";

const DATA: &str = "# comment
fact\tbytes\tby\told\tnew
map.size\t-\tlibc\t8\t8
map.flag\t-\tlibc\t4.1:2\t4.1:2

map.gone\t8\t-\t-\t16
map.kind\t-\t-\tA\tB
";

#[test]
fn columns_become_values() {
    let code = layouts::compile(SCHEMA, DATA).unwrap();
    for part in [
        "pub static LAYOUTS: [Layout; 2]",
        "label: Inline::new(\"new\"), exchange: 0,",
        "size: 8, flag: Bits { byte: 4, bit: 1, width: 2 }, gone: Some(16), kind: Kind::B",
        "gone: None, kind: Kind::A",
    ] {
        assert!(code.contains(part), "no `{part}` in:\n{code}");
    }
    let apart = DATA.replace("libc\t8\t8", "libc\t8\t9");
    let code = layouts::compile(SCHEMA, &apart).unwrap();
    assert!(code.contains("label: Inline::new(\"new\"), exchange: 1,"), "{code}");
}

#[test]
fn mistakes_are_named() {
    let cases = [
        (
            "map.size\t-\tlibc\t8\t8\n",
            "",
            "lacks facts that src/abi/glibc/layout.rs asks for: [\"map.size\"]",
        ),
        ("map.size\t", "map.sise\t", "[\"map.size\"]"),
        (
            "map.kind\t-\t-\tA\tB",
            "map.kind\t-\t-\tA\tB\nmap.more\t-\t-\t1\t1",
            ":8: src/abi/glibc/layout.rs has no field for the fact map.more",
        ),
        ("libc\t8\t8", "libc\t8", ":3: map.size has 1 values for 2 columns"),
        ("libc\t8\t8", "libc\t8\tx", ":3: map.size of new: `x` is no u16"),
        ("libc\t8\t8", "libc\t8\t-", "`-` is no u16"),
        ("libc\t8\t8", "libc\t8\t65536", "`65536` is no u16"),
        ("4.1:2\t4.1:2", "4.1:2\t4.7:2", "`4.7:2` is no Bits"),
        ("4.1:2\t4.1:2", "4.1:2\t4.1:0", "`4.1:0` is no Bits"),
        ("libc\t8\t8", "libk\t8\t8", "`libk` touches no fact"),
        ("map.gone\t8", "map.gone\tx", ":6: bytes: "),
        ("map.gone\t8", "map.size\t8", "the fact map.size twice"),
        ("old\tnew", "old\told", "two columns are named old"),
        ("fact\tbytes", "facts\tbytes", "the first line is not"),
        ("A\tB", "A\tB C", "`B C` is no Kind"),
    ];
    for (from, to, words) in cases {
        assert!(DATA.contains(from), "{from}");
        let error = layouts::compile(SCHEMA, &DATA.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(words), "{words} is not in: {error}");
    }
    assert!(layouts::compile(SCHEMA, "# nothing\n").unwrap_err().contains("is empty"));
}
