//! Compiles `data/glibc/layouts.tsv` to Rust: one `Layout` per column.
//!
//! What facts there must be is not repeated here. It is read from the structures of `src/abi/glibc/layout.rs`: a field
//! `rtld_global: RtldGlobal` of `Layout` with a field `nns: u16` asks for the fact `rtld_global.nns`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const DATA: &str = "data/glibc/layouts.tsv";
const SCHEMA: &str = "src/abi/glibc/layout.rs";

/// Writes `layouts_generated.rs` to OUT_DIR; an error says in words what is wrong with the data.
pub fn generate() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build/layouts.rs");
    let root = env::var("CARGO_MANIFEST_DIR").map_err(|e| format!("CARGO_MANIFEST_DIR: {e}"))?;
    let out = env::var("OUT_DIR").map_err(|e| format!("OUT_DIR: {e}"))?;
    let read = |file: &str| {
        println!("cargo::rerun-if-changed={file}");
        fs::read_to_string(Path::new(&root).join(file)).map_err(|e| format!("{file}: {e}"))
    };
    let code = compile(&read(SCHEMA)?, &read(DATA)?)?;
    let target = Path::new(&out).join("layouts_generated.rs");
    fs::write(&target, code).map_err(|e| format!("{}: {e}", target.display()))
}

/// The fields of a structure, in order: name and type.
type Fields<'a> = Vec<(&'a str, &'a str)>;

/// The Rust code for the table, from the text of the schema and of the data.
pub fn compile(schema: &str, data: &str) -> Result<String, String> {
    let structs = structs(schema);
    let table = Table::parse(data)?;
    let mut wanted = Vec::new();
    ask(&structs, "Layout", "", &mut wanted)?;
    let missing: Vec<_> = wanted.iter().filter(|fact| table.fact(fact).is_none()).collect();
    if !missing.is_empty() {
        return Err(format!("{DATA} lacks facts that {SCHEMA} asks for: {missing:?}"));
    }
    if let Some(row) = table.rows.iter().find(|row| !wanted.iter().any(|fact| fact == row.name)) {
        return Err(format!(
            "{DATA}:{}: {SCHEMA} has no field for the fact {}",
            row.line, row.name
        ));
    }

    let mut code = String::from(
        "/// Every known layout; of those that evidence cannot tell apart the likeliest stands last.\n",
    );
    let _ = writeln!(code, "pub static LAYOUTS: [Layout; {}] = [", table.labels.len());
    for column in 0..table.labels.len() {
        value(&structs, &table, column, "Layout", "", &mut code)?;
        code.push_str(",\n");
    }
    code.push_str("];\n");
    facts(&table, &mut code);
    Ok(code)
}

/// The structures of the schema, which rustfmt keeps at one field per line.
fn structs(schema: &str) -> BTreeMap<&str, Fields<'_>> {
    let mut structs: BTreeMap<&str, Fields<'_>> = BTreeMap::new();
    let mut current = None;
    for line in schema.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("pub struct ").and_then(|l| l.strip_suffix(" {")) {
            current = Some(name);
            structs.entry(name).or_default();
        } else if line == "}" {
            current = None;
        } else if let (Some(name), Some(field)) = (current, line.strip_prefix("pub "))
            && let Some(field) = field.strip_suffix(',').and_then(|field| field.split_once(": "))
        {
            structs.entry(name).or_default().push(field);
        }
    }
    structs
}

/// The facts that `of` asks for, by their dotted names.
fn ask(
    structs: &BTreeMap<&str, Fields<'_>>,
    of: &str,
    prefix: &str,
    wanted: &mut Vec<String>,
) -> Result<(), String> {
    let fields = structs.get(of).ok_or_else(|| format!("{SCHEMA} has no structure {of}"))?;
    for (name, kind) in fields {
        let fact = format!("{prefix}{name}");
        if *kind != "Bits" && structs.contains_key(kind) {
            ask(structs, kind, &format!("{fact}."), wanted)?;
        } else if !COMPUTED.contains(&fact.as_str()) {
            wanted.push(fact);
        }
    }
    Ok(())
}

/// Fields of `Layout` that are no facts.
const COMPUTED: [&str; 2] = ["label", "exchange"];

/// The literal of structure `of` for one column.
fn value(
    structs: &BTreeMap<&str, Fields<'_>>,
    table: &Table<'_>,
    column: usize,
    of: &str,
    prefix: &str,
    code: &mut String,
) -> Result<(), String> {
    let _ = write!(code, "{of} {{");
    for (name, kind) in &structs[of] {
        let fact = format!("{prefix}{name}");
        let _ = write!(code, " {name}: ");
        match fact.as_str() {
            "label" => {
                let _ = write!(code, "Inline::new({:?})", table.labels[column]);
            }
            "exchange" => {
                let _ = write!(code, "{}", table.exchange(column));
            }
            _ => match table.fact(&fact) {
                Some(row) => {
                    let text = row.values[column];
                    let literal = literal(kind, text).ok_or_else(|| {
                        let label = table.labels[column];
                        format!("{DATA}:{}: {fact} of {label}: `{text}` is no {kind}", row.line)
                    })?;
                    code.push_str(&literal);
                }
                None => value(structs, table, column, kind, &format!("{fact}."), code)?,
            },
        }
        code.push(',');
    }
    code.push('}');
    Ok(())
}

/// A value of type `kind` as Rust.
fn literal(kind: &str, text: &str) -> Option<String> {
    if let Some(inner) = kind.strip_prefix("Option<").and_then(|kind| kind.strip_suffix('>')) {
        return match text {
            "-" => Some("None".into()),
            _ => Some(format!("Some({})", literal(inner, text)?)),
        };
    }
    match kind {
        _ if text == "-" => None,
        "u16" => Some(text.parse::<u16>().ok()?.to_string()),
        "bool" => match text {
            "yes" => Some("true".into()),
            "no" => Some("false".into()),
            _ => None,
        },
        _ if kind.starts_with("Inline<") => Some(format!("Inline::new({text:?})")),
        "Bits" => {
            let (byte, bits) = text.split_once('.')?;
            let (bit, width) = bits.split_once(':')?;
            let (byte, bit): (u16, u8) = (byte.parse().ok()?, bit.parse().ok()?);
            let width: u8 = width.parse().ok().filter(|width| *width > 0)?;
            let fits = bit.checked_add(width)? <= 8;
            fits.then(|| format!("Bits {{ byte: {byte}, bit: {bit}, width: {width} }}"))
        }
        // A name of one of the schema's enumerations; rustc checks that it exists.
        _ => {
            let name = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            name.then(|| format!("{kind}::{text}"))
        }
    }
}

/// The data as it stands in the file, for the tests of the table.
fn facts(table: &Table<'_>, code: &mut String) {
    let (rows, columns) = (table.rows.len(), table.labels.len());
    code.push_str(
        "#[cfg(test)]\npub(super) struct Fact {\n    pub(super) name: &'static str,\n    \
         pub(super) bytes: Option<u16>,\n    pub(super) by: &'static str,\n    ",
    );
    let _ = writeln!(code, "pub(super) values: [&'static str; {columns}],\n}}");
    let _ = writeln!(code, "#[cfg(test)]\npub(super) static FACTS: [Fact; {rows}] = [");
    for Row { name, bytes, by, values, .. } in &table.rows {
        let _ = writeln!(
            code,
            "Fact {{ name: {name:?}, bytes: {bytes:?}, by: {by:?}, values: {values:?} }},"
        );
    }
    code.push_str("];\n");
}

/// One line of the data.
struct Row<'a> {
    line: usize,
    name: &'a str,
    bytes: Option<u16>,
    by: &'a str,
    values: Vec<&'a str>,
}

/// The data, parsed.
struct Table<'a> {
    labels: Vec<&'a str>,
    rows: Vec<Row<'a>>,
}

impl<'a> Table<'a> {
    fn parse(data: &'a str) -> Result<Self, String> {
        let mut lines = (1..)
            .zip(data.lines())
            .filter(|(_, line)| !line.starts_with('#') && !line.trim().is_empty());
        let labels = match lines.next() {
            Some((_, head)) => match head.split('\t').collect::<Vec<_>>().as_slice() {
                ["fact", "bytes", "by", labels @ ..] if !labels.is_empty() => labels.to_vec(),
                _ => {
                    return Err(format!("{DATA}: the first line is not fact, bytes, by, names"));
                }
            },
            None => return Err(format!("{DATA} is empty")),
        };
        if let Some(twice) = twice(labels.iter().copied()) {
            return Err(format!("{DATA}: two columns are named {twice}"));
        }
        let mut rows = Vec::new();
        for (line, text) in lines {
            let cells: Vec<_> = text.split('\t').collect();
            let [name, bytes, by, values @ ..] = cells.as_slice() else {
                return Err(format!("{DATA}:{line}: fewer than four cells"));
            };
            if values.len() != labels.len() {
                let (have, want) = (values.len(), labels.len());
                return Err(format!("{DATA}:{line}: {name} has {have} values for {want} columns"));
            }
            let bytes = match *bytes {
                "-" => None,
                text => Some(text.parse().map_err(|e| format!("{DATA}:{line}: bytes: {e}"))?),
            };
            if !["libc", "debugger", "program", "-"].contains(by) {
                return Err(format!("{DATA}:{line}: `{by}` touches no fact"));
            }
            rows.push(Row { line, name, bytes, by, values: values.to_vec() });
        }
        if let Some(twice) = twice(rows.iter().map(|row| row.name)) {
            return Err(format!("{DATA} has the fact {twice} twice"));
        }
        Ok(Self { labels, rows })
    }

    fn fact(&self, name: &str) -> Option<&Row<'a>> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// The first column that is equal to `column` in all that libc and debuggers touch.
    fn exchange(&self, column: usize) -> usize {
        let touched = self.rows.iter().filter(|row| matches!(row.by, "libc" | "debugger"));
        (0..column)
            .find(|other| touched.clone().all(|row| row.values[*other] == row.values[column]))
            .unwrap_or(column)
    }
}

/// The first item that is there twice.
fn twice<'a>(items: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut items: Vec<_> = items.collect();
    items.sort_unstable();
    items.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}
