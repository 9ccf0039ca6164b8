//! The tree keeps to DESIGN.md: floors, unsafe code, sizes, and what prose refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file of `src/`, in lines.
const LINES: usize = 700;
/// Longest line, in characters.
const COLUMNS: usize = 120;

/// Files that may be longer, and why.
const LONG: [(&str, &str); 1] =
    [("src/abi/glibc/layout.rs", "one field with its meaning for each fact of the layout table")];

/// Folders of other people's files, and of files made here.
const FOREIGN: [&str; 5] = ["target", ".git", "corpus", "artifacts", ".cargo"];

/// A text file of the tree: its path from the root, with its text.
struct File {
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether it belongs to the library.
    fn is_library(&self) -> bool {
        let own = ["src/main.rs", "src/main/", "src/bin/"];
        self.is_rust()
            && self.path.starts_with("src/")
            && !own.iter().any(|own| self.path.starts_with(own))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All text files, in order.
fn files() -> Vec<File> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let (name, kind) = (entry.file_name(), entry.file_type().unwrap());
            let path = folder.join(&name);
            if kind.is_dir() && !FOREIGN.iter().any(|foreign| name == *foreign) {
                folders.push(path);
            } else if kind.is_file()
                && let Ok(text) = fs::read_to_string(entry.path())
            {
                files.push(File { path: path.to_str().unwrap().to_owned(), text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 100, "{} files: is this the tree?", files.len());
    files
}

/// Rust source without comments, and with empty strings and characters. Lines stay lines.
fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let raw_hashes =
            rest.strip_prefix('r').map(|tail| tail.len() - tail.trim_start_matches('#').len());
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) = raw_hashes
            && rest[1 + hashes..].starts_with('"')
            && !out.ends_with(|before: char| before.is_alphanumeric() || before == '_')
        {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = 2 + hashes;
            rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len())
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\''
            && (rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\''))
        {
            quoted(rest, '\'')
        } else {
            out.push(first);
            first.len_utf8()
        };
        let (skipped, after) = rest.split_at(skip);
        if skip > first.len_utf8() || first == '"' {
            out.extend(skipped.chars().filter(|&c| c == '\n'));
        }
        rest = after;
    }
    out
}

/// The length of a literal with its quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The identifiers of some code, each with what stands before it.
fn identifiers(code: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + code[at..].find(is_part)?;
        let end = code[start..].find(|c| !is_part(c)).map_or(code.len(), |end| start + end);
        at = end;
        Some((&code[..start], &code[start..end]))
    })
}

/// The modules of `src/lib.rs`, in order.
fn floors() -> Vec<String> {
    let text = code(&read("src/lib.rs"));
    let names = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

/// The lines of a section of DESIGN.md.
fn section(title: &str) -> Vec<String> {
    let text = read("DESIGN.md");
    let lines = text.lines().skip_while(|line| *line != title).skip(1);
    let lines: Vec<_> =
        lines.take_while(|line| !line.starts_with("## ")).map(str::to_owned).collect();
    assert!(!lines.is_empty(), "DESIGN.md has no section {title}");
    lines
}

/// What stands in backquotes in a line.
fn names(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn report(defects: &[String]) {
    assert!(defects.is_empty(), "{} defects:\n{}", defects.len(), defects.join("\n"));
}

#[test]
fn each_floor_names_only_those_below() {
    let floors = floors();
    let position = |name: &str| floors.iter().position(|floor| floor == name);
    let mut defects = Vec::new();
    let mut seen = 0;
    for file in files().iter().filter(|file| file.is_library() && file.path != "src/lib.rs") {
        let module = file.path["src/".len()..].split(['/', '.']).next().unwrap();
        let Some(own) = position(module) else {
            defects.push(format!("{}: not in src/lib.rs", file.path));
            continue;
        };
        for (before, name) in identifiers(&code(&file.text)) {
            if !before.ends_with("crate::") {
                continue;
            }
            seen += 1;
            match position(name) {
                Some(named) if named <= own => {}
                Some(_) => {
                    defects.push(format!("{}: {module} names {name}, a floor above", file.path))
                }
                None => defects.push(format!("{}: there is no module {name}", file.path)),
            }
        }
        // The way round `crate`: more steps up than there are modules around the file.
        let within = code(file.text.split("#[cfg(test)]").next().unwrap_or_default());
        let deep = file.path.trim_end_matches("/mod.rs").matches('/').count();
        if within.contains(&"super::".repeat(deep)) {
            defects.push(format!("{}: steps out of {module}; say crate::", file.path));
        }
        // What a group names is hidden from the check above.
        if code(&file.text).contains("crate::{") {
            defects.push(format!("{}: `crate::{{…}}`; name modules one by one", file.path));
        }
    }
    assert!(seen > 100, "only {seen} references between modules found");
    report(&defects);
}

#[test]
fn the_plan_of_the_house_is_that_of_the_library() {
    let rows = section("## The house");
    let rows = rows.iter().filter(|line| line.starts_with('|') && !line.contains("src/"));
    let planned: Vec<_> = rows.flat_map(|row| names(row)).collect();
    assert_eq!(planned, floors());
}

#[test]
fn unsafe_code_is_where_the_table_says() {
    let table = section("## Unsafe code");
    let planned: BTreeSet<_> = table
        .iter()
        .filter(|line| line.starts_with("| `src/"))
        .filter_map(|row| names(row).next())
        .collect();
    let mut found = BTreeSet::new();
    let mut defects = Vec::new();
    let files = files();
    for file in files.iter().filter(|file| file.is_rust() && file.path.starts_with("src/")) {
        let code = code(&file.text);
        let allowed = code.contains("#![allow(unsafe_code)]");
        let has_unsafe = identifiers(&code).any(|(_, name)| name == "unsafe");
        if has_unsafe {
            found.insert(file.path.as_str());
            let mut head = file.text.lines().take_while(|line| line.starts_with("//!"));
            if !head.any(|line| line == "//! # Safety") {
                defects.push(format!("{}: does not open with a Safety section", file.path));
            }
        }
        if file.is_library() && has_unsafe != allowed {
            defects.push(format!("{}: unsafe code {has_unsafe}, allowed {allowed}", file.path));
        }
    }
    for path in found.symmetric_difference(&planned) {
        defects.push(format!("{path}: in the table or has unsafe code, not both"));
    }
    report(&defects);
    assert!(read("src/lib.rs").contains("#![deny(unsafe_code)]"));
    assert!(read("Cargo.toml").contains("undocumented_unsafe_blocks = \"deny\""));
}

#[test]
fn files_are_short() {
    let mut defects = Vec::new();
    for file in files().iter().filter(|file| file.is_rust() && file.path.starts_with("src/")) {
        let lines = file.text.lines().count();
        let excepted = LONG.iter().any(|(path, _)| *path == file.path);
        if (lines > LINES) != excepted {
            defects.push(format!("{}: {lines} lines, exception: {excepted}", file.path));
        }
    }
    report(&defects);
}

#[test]
fn lines_are_short() {
    let mut defects = Vec::new();
    for file in files().iter().filter(|file| file.is_rust() || file.path.ends_with(".md")) {
        let mut verbatim = false;
        for (number, line) in (1..).zip(file.text.lines()) {
            verbatim ^= !file.is_rust() && line.starts_with("```");
            let free = !file.is_rust() && (verbatim || line.starts_with('|'));
            if !free && line.chars().count() > COLUMNS {
                defects.push(format!("{}:{number}: more than {COLUMNS} columns", file.path));
            }
        }
    }
    report(&defects);
}

#[test]
fn nothing_is_left_to_do() {
    // In two halves, so that this file does not hold them.
    let marks = [("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("to", "do!"), ("unimple", "mented!")];
    let marks = marks.map(|(first, second)| format!("{first}{second}"));
    let mut defects = Vec::new();
    for file in files() {
        for (number, line) in (1..).zip(file.text.lines()) {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && !"_!".contains(c));
            if words.any(|word| marks.iter().any(|mark| word == mark)) {
                defects.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    report(&defects);
}

/// A debugger that has read the loader's debug information would stop there, too, at a user's breakpoint.
#[test]
fn nothing_in_the_loader_is_called_main() {
    let loader = |path: &str| path.starts_with("src/") && !path.starts_with("src/bin/");
    let files = files().into_iter().filter(|file| file.is_rust() && loader(&file.path));
    let named = files.filter(|file| code(&file.text).contains("fn main("));
    report(&named.map(|file| file.path).collect::<Vec<_>>());
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|&c| c.is_alphanumeric() || " -_".contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut defects = Vec::new();
    let mut links = 0;
    for file in files().iter().filter(|file| file.path.ends_with(".md")) {
        let anchors: BTreeSet<_> =
            file.text.lines().filter(|line| line.starts_with('#')).map(anchor).collect();
        let folder = root().join(&file.path);
        let folder = folder.parent().unwrap();
        for part in file.text.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            links += 1;
            let good = match target.strip_prefix('#') {
                Some(name) => anchors.contains(name),
                None => target.contains("://") || folder.join(target).exists(),
            };
            if !good {
                defects.push(format!("{}: {target}", file.path));
            }
        }
    }
    assert!(links > 5, "only {links} links found");
    report(&defects);
}

#[test]
fn cited_sections_of_the_contract_exist() {
    let contract = read("docs/glibc-contract.md");
    let headings = contract.lines().filter(|line| line.starts_with('#'));
    let sections: BTreeSet<_> = headings
        .filter_map(|line| line.split(' ').nth(1))
        .map(|word| word.trim_end_matches('.'))
        .collect();
    let mut cited: BTreeMap<String, String> = BTreeMap::new();
    for file in files().iter().filter(|file| file.is_rust()) {
        for part in file.text.split("contract ").skip(1) {
            let list = part.split(|c: char| !c.is_ascii_digit() && !"., ".contains(c)).next();
            for number in
                list.unwrap_or_default().split([',', ' ']).filter(|number| !number.is_empty())
            {
                cited.insert(number.trim_end_matches('.').to_owned(), file.path.clone());
            }
        }
    }
    assert!(cited.len() > 20, "only {} citations found", cited.len());
    let missing = cited.iter().filter(|(number, _)| !sections.contains(number.as_str()));
    report(&missing.map(|(number, path)| format!("{path}: contract {number}")).collect::<Vec<_>>());
}

/// What breaks without a duty is tested with all releases at hand.
#[test]
fn rows_of_the_contract_name_tests() {
    let contract = read("docs/glibc-contract.md");
    let table = contract.split("## 11. ").nth(1).and_then(|it| it.split("\n## ").next()).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let rows: Vec<_> = rows.map(|row| row.trim_end_matches(" |").rsplit(" | ").next()).collect();
    assert!(rows.len() > 20, "only {} rows found", rows.len());
    let files = files();
    let runs_everywhere = |path: &str| {
        let file = files.iter().find(|file| file.path == path);
        file.is_some_and(|file| {
            !file.text.contains("//# suites:") && !file.text.contains("//# ways:")
        })
    };
    let tests = rows.into_iter().flatten().flat_map(|tests| match names(tests).next() {
        Some(_) => names(tests).collect(),
        None => vec![tests],
    });
    report(&tests.filter(|path| !runs_everywhere(path)).map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn every_test_is_in_the_design() {
    let table = section("## Tests").join("\n");
    let named: BTreeSet<_> = names(&table).collect();
    let files = files();
    let tests = files.iter().map(|file| file.path.as_str()).filter(|path| {
        path.strip_prefix("tests/").is_some_and(|name| name.ends_with(".rs") && !name.contains('/'))
    });
    report(&tests.filter(|path| !named.contains(path)).map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn the_manual_has_the_variables_of_the_readme() {
    let readme = read("README.md");
    let table = readme.split("\n## Environment\n").nth(1).unwrap();
    let rows = table.lines().take_while(|line| !line.starts_with("## "));
    let rows = rows.filter(|line| line.starts_with("| `"));
    let told: BTreeSet<_> = rows.flat_map(|row| names(row.split('|').nth(1).unwrap())).collect();
    let manual = read("src/bin/rld-inspect/generate/rld.8");
    let manual = manual.split("\n.Sh ENVIRONMENT\n").nth(1).unwrap();
    let items = manual.lines().take_while(|line| !line.starts_with(".Sh "));
    let items: BTreeSet<_> = items.filter_map(|line| line.strip_prefix(".It Ev ")).collect();
    assert!(told.len() > 5);
    assert_eq!(items, told, "variables of rld.8, and those of README.md");
}

#[test]
fn the_lexer_leaves_code_alone() {
    let text = [
        "let a = \"crate::x\"; // crate::y",
        "let b: &'a str = r#\"\"\"#; let c = ['\"', '\\'', 'x'];",
        "z /* q",
        " */ end",
    ]
    .join("\n");
    assert_eq!(code(&text), "let a = ; \nlet b: &'a str = ; let c = [, , ];\nz \n end");
}
