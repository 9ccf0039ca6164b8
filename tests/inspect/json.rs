//! `--format json`: every command's output fits `docs/inspect.schema.json`, and says what the text says.

use std::collections::BTreeSet;
use std::fs;
use std::sync::OnceLock;

use boon::{Compiler, Schemas};
use serde_json::Value;

use crate::support::{compile, inspect, programs, scratch};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/inspect.schema.json");

/// Whether a document is what the schema says of a command's output.
fn fits(command: &str, document: &Value) -> Result<(), String> {
    static SOURCE: OnceLock<Value> = OnceLock::new();
    let source =
        SOURCE.get_or_init(|| serde_json::from_str(&fs::read_to_string(SCHEMA).unwrap()).unwrap());
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("inspect.json", source.clone()).unwrap();
    for place in [format!("inspect.json#/$defs/{command}"), "inspect.json".into()] {
        let schema = compiler.compile(&place, &mut schemas).unwrap();
        schemas.validate(document, schema).map_err(|error| format!("{error:#}"))?;
    }
    Ok(())
}

/// Exit status and output of a command that is asked for JSON.
pub fn json(arguments: &[&str]) -> (i32, Value) {
    let command = arguments[0];
    let (status, text, errors) = inspect(&[arguments, &["--format", "json"]].concat());
    let document = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{text}{errors}"));
    fits(command, &document).unwrap_or_else(|words| panic!("{arguments:?}: {words}\n{text}"));
    (status, document)
}

/// The strings at a key of each element of a list.
pub fn strings<'v>(list: &'v Value, key: &str) -> Vec<&'v str> {
    list.as_array().unwrap().iter().filter_map(|element| element[key].as_str()).collect()
}

#[test]
fn documents_fit_the_schema() {
    for program in programs() {
        for command in [
            &["tree", program][..],
            &["tree", "--preload", "libno-such.so", program],
            &["why", "libc.so.6", program],
            &["why", "libno-such.so", program],
            &["symbols", program, "malloc"],
            &["symbols", program, "no_such_symbol"],
            &["bindings", program],
            &["check", "--severity", "note", program, "/bin"],
            &["diff", program],
            &["diff", program, "/bin/sh"],
            &["libc", "/lib/x86_64-linux-gnu/libc.so.6", program],
        ] {
            json(command);
        }
    }
}

/// Every kind of finding that the schema knows is explained.
#[test]
fn kinds_are_documented() {
    let text =
        fs::read_to_string(SCHEMA.replace("inspect.schema.json", "inspect-json.md")).unwrap();
    let schema: Value = serde_json::from_str(&fs::read_to_string(SCHEMA).unwrap()).unwrap();
    let kinds = schema["$defs"]["kind"]["enum"].as_array().unwrap();
    let rows =
        |kind: &str| text.lines().filter(|line| line.starts_with(&format!("| `{kind}` |"))).count();
    for kind in kinds {
        assert_eq!(rows(kind.as_str().unwrap()), 1, "{kind}");
    }
    assert_eq!(text.matches("\n| `").count(), kinds.len());
}

#[test]
fn the_schema_has_teeth() {
    let (_, good) = json(&["tree", "/bin/sh"]);
    let mut wrong = good.clone();
    wrong["version"] = 2.into();
    assert!(fits("tree", &wrong).is_err());
    let mut wrong = good.clone();
    wrong["requests"][0]["found"]["rule"] = "by chance".into();
    assert!(fits("tree", &wrong).is_err());
    let mut wrong = good.clone();
    wrong["more"] = true.into();
    assert!(fits("tree", &wrong).is_err());
    assert!(fits("bindings", &good).is_err());
}

#[test]
fn documents_hold_what_the_text_says() {
    for program in programs() {
        let (_, tree) = json(&["tree", program]);
        let paths = tree["requests"].as_array().unwrap().iter();
        let paths: BTreeSet<_> = paths.map(|it| it["found"]["path"].as_str().unwrap()).collect();
        let (_, text, _) = inspect(&["tree", program]);
        let shown = |line: &str| Some(line.split_once(" => ")?.1.rsplit_once(" [")?.0.to_owned());
        let shown: BTreeSet<_> = text.lines().filter_map(shown).collect();
        assert_eq!(paths, shown.iter().map(String::as_str).collect(), "{program}");

        let (_, bindings) = json(&["bindings", program]);
        let (_, text, _) = inspect(&["bindings", program]);
        let list = bindings["bindings"].as_array().unwrap();
        assert_eq!(list.len() + 1, text.lines().count(), "{program}");
        let sum: u64 =
            bindings["summary"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!(sum, list.len() as u64);
    }
}

/// A name that is not UTF-8 loses nothing.
#[test]
fn names_of_any_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let directory = scratch("bytes");
    if compile(&directory, "program", "int main() { return 0; }", &[]).is_none() {
        return;
    }
    let name = std::ffi::OsStr::from_bytes(b"back\\slash\xff");
    let path = directory.join(name);
    fs::rename(directory.join("program"), &path).unwrap();
    let output = crate::support::command(crate::support::TOOL)
        .args(["tree", "--format", "json"])
        .arg(&path)
        .output()
        .unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    fits("tree", &document).unwrap();
    let given = document["program"].as_str().unwrap();
    assert!(given.ends_with("/back\\\\slash\\xff"), "{given}");
}
