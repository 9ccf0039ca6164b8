//! Every fact of `data/glibc/layouts.tsv` that is a place in a structure, against `structs.json`: what the compiler
//! says of the structures of each known build of glibc, under glibc's own names.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

/// The structures, in the order in which a build of `structs.json` numbers them: the group of facts, glibc's name, and
/// what all its members' names begin with.
const STRUCTS: [(&str, &str, &str); 7] = [
    ("rtld_global", "rtld_global", "_dl_"),
    ("ns", "link_namespaces", "_ns_"),
    ("rtld_global_ro", "rtld_global_ro", "_dl_"),
    ("cpu", "cpu_features", ""),
    ("link_map", "link_map", ""),
    ("pthread", "pthread", ""),
    ("r_debug", "r_debug", ""),
];

/// One structure in one build.
struct Struct<'j> {
    size: u64,
    fields: &'j Value,
}

impl Struct<'_> {
    /// Offset, or offset, bit and width, as the table writes it.
    fn place(&self, name: &str) -> Option<String> {
        let numbers: Vec<_> =
            self.fields.get(name)?.as_array()?.iter().filter_map(Value::as_u64).collect();
        match numbers[..] {
            [offset] => Some(offset.to_string()),
            [byte, bit, width] => Some(format!("{byte}.{bit}:{width}")),
            _ => panic!("{name}: {numbers:?}"),
        }
    }
}

/// The text that the table must have for a fact, `None` where the structures do not tell.
fn expected(fact: &str, structs: &BTreeMap<&str, Struct<'_>>) -> Option<String> {
    let (group, name) = fact.split_once('.')?;
    let (_, _, prefix) = STRUCTS.into_iter().find(|(known, ..)| *known == group)?;
    let of = &structs[group];
    let absent = || Some("-".to_owned());
    let found = match fact {
        "rtld_global.ns_stride" => return Some(structs["ns"].size.to_string()),
        "rtld_global.ns_count" => of.place("_dl_ns[]"),
        "link_map.l_info_len" => of.place("l_info[]"),
        "cpu.features_stride" => of.place("features+"),
        "cpu.features_count" => of.place("features[]"),
        // Up to 2.31 one array: what is usable, then, from 2.29 on, what is preferred.
        "cpu.usable" => of.place("feature"),
        "cpu.preferred" if of.place("feature[]").as_deref() == Some("2") => {
            let first: u64 = of.place("feature")?.parse().unwrap();
            Some((first + 4).to_string())
        }
        // Not members: the lengths of parts of l_info, and an order.
        "link_map.dt_num" | "link_map.dt_procnum" | "cpu.preferred_bits" => return None,
        _ if name == "size" => Some(of.size.to_string()),
        _ => [format!("{prefix}{name}"), name.to_owned(), format!("basic.{name}")]
            .iter()
            .find_map(|name| of.place(name)),
    };
    found.or_else(absent)
}

#[test]
fn facts_are_what_the_compiler_says() {
    let root = env!("CARGO_MANIFEST_DIR");
    let table = fs::read_to_string(format!("{root}/data/glibc/layouts.tsv")).unwrap();
    let json = fs::read_to_string(format!("{root}/tests/layouts/structs.json")).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    let mut rows = table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t'));
    let labels: Vec<_> = rows.next().unwrap().skip(3).collect();
    let rows: Vec<Vec<_>> = rows.map(Iterator::collect).collect();

    let mut compared = 0;
    let mut unseen = labels.clone();
    for (build, about) in json["builds"].as_object().unwrap() {
        let label = about["column"].as_str().unwrap();
        let column = labels.iter().position(|known| *known == label);
        let column = column.unwrap_or_else(|| panic!("{build}: there is no column {label}"));
        unseen.retain(|other| *other != label);
        let mut structs = BTreeMap::new();
        for ((group, name, _), number) in
            STRUCTS.into_iter().zip(about["structs"].as_array().unwrap())
        {
            let of = &json["structs"][name][number.to_string()];
            let size = of["size"].as_u64().unwrap_or_else(|| panic!("{build}: no {name} {number}"));
            structs.insert(group, Struct { size, fields: &of["fields"] });
        }
        for row in &rows {
            let Some(expected) = expected(row[0], &structs) else { continue };
            assert_eq!(row[3 + column], expected, "{} of {label}, for the build {build}", row[0]);
            compared += 1;
        }
    }
    assert_eq!(unseen, Vec::<&str>::new(), "columns that stand for no build");
    assert!(compared > 80 * 200, "only {compared} facts were compared");
}
