//! The system's own ldd(1), with rld mounted over ld.so: what it prints and how it ends are the same, but for
//! addresses.

mod support;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libtest_mimic::Completion;
use support::build::{self, Step};
use support::loader::{self, Way};
use support::run::{self, End, Run};
use support::scratch::Scratch;
use support::{Verdict, run_all, skipped, trial};

/// Programs of the system that are asked about.
const PROGRAMS: usize = 100;
/// Libraries.
const LIBRARIES: usize = 30;
/// Files that one run asks about.
const CHUNK: usize = 13;

/// Asks about each file in each way.
const SCRIPT: &str = r#"
for file; do
    for option in "" -v -d -r; do
        echo "== ldd $option $file"
        ldd $option "$file" 2>&1
        echo "status $?"
    done
done
"#;

/// What is odd about the files made here, and whose fault it is.
const ODD: &[&str] = &[
    "./missing",
    "./version",
    "./weak",
    "./symbol",
    "./large",
    "./small",
    "./not-elf",
    "./static",
    "./static-pie",
    "./not-executable",
    "./nothing-needed.so",
    "./source.c",
    "./absent",
    "missing",
    "/",
    "/etc/passwd",
    "/usr/bin/passwd",
    "/usr/bin/su",
    "/usr/bin/sudo",
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/x86_64-linux-gnu/libc.so.6",
];

/// The odd files.
fn steps() -> Vec<Step> {
    let (link, shell) = (Step::link, Step::shell);
    let used = "use.c -Wl,--no-as-needed -Wl,-rpath,$ORIGIN/here";
    vec![
        shell("mkdir here there"),
        shell("printf 'V1 { global: one; };\n' > old.map"),
        shell("printf 'V1 { global: one; };\nV2 { global: two; } V1;\n' > new.map"),
        shell("printf 'int source;\n' > source.c; printf 'no library\n' > here/libtext.so"),
        // In `there` is what programs are linked with, in `here` what they find.
        link(true, "here/libversion.so", "lib.c -DONE -Wl,--version-script=old.map"),
        link(true, "there/libversion.so", "lib.c -DONE -DTWO -Wl,--version-script=new.map"),
        link(true, "here/libsymbol.so", "lib.c -DONE"),
        link(true, "there/libsymbol.so", "lib.c -DONE -DTWO"),
        link(true, "here/liblarge.so", "lib.c -DDATA=20"),
        link(true, "there/liblarge.so", "lib.c -DDATA=10"),
        link(true, "here/libsmall.so", "lib.c -DDATA=5"),
        link(true, "there/libsmall.so", "lib.c -DDATA=10"),
        link(true, "there/libtext.so", "lib.c"),
        link(true, "there/libgone.so", "lib.c"),
        link(true, "here/libasks.so", "lib.c -Lthere -Wl,--no-as-needed -lgone"),
        link(false, "version", &format!("{used} -DTWO -Lthere -lversion")),
        link(false, "weak", &format!("{used} -DWEAK -Lthere -lversion")),
        link(false, "symbol", &format!("{used} -DTWO -Lthere -lsymbol")),
        link(false, "large", &format!("{used} -no-pie -DDATA -Lthere -llarge")),
        link(false, "small", &format!("{used} -no-pie -DDATA -Lthere -lsmall")),
        link(false, "not-elf", &format!("{used} -Lthere -ltext")),
        link(
            false,
            "missing",
            &format!("{used} -Lhere -Lthere -lasks -lgone -Wl,-rpath-link,there"),
        ),
        link(false, "static", "use.c -static"),
        link(false, "static-pie", "use.c -static-pie"),
        shell("cp missing not-executable; chmod -x not-executable"),
        link(true, "nothing-needed.so", "lib.c -nostdlib"),
    ]
}

fn odd_files() -> Result<PathBuf, String> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = FOLDER.get_or_init(|| {
        let source = support::package().join("fixtures").join("ldd");
        build::build("ldd", &source, &steps())
    });
    built.clone()
}

fn main() {
    let mut trials = Vec::new();
    let nothing = Arc::new(());
    let mut groups = vec![("odd".to_owned(), ODD.iter().map(PathBuf::from).collect::<Vec<_>>())];
    let programs = some(files("/usr/bin", |_| true), PROGRAMS);
    let libraries =
        some(files("/usr/lib/x86_64-linux-gnu", |name| name.contains(".so")), LIBRARIES);
    for (name, files) in [("programs", programs), ("libraries", libraries)] {
        for (number, chunk) in files.chunks(CHUNK).enumerate() {
            groups.push((format!("{name}-{number}"), chunk.to_vec()));
        }
    }
    for (name, files) in groups {
        trials.push(trial(name, &nothing, move |name, ()| same(name, &files)));
    }
    run_all(trials)
}

/// The ELF files of a folder, in order.
fn files(folder: &str, is_wanted: fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter(|entry| entry.file_name().to_str().is_some_and(is_wanted))
        .map(|entry| entry.path())
        .filter(|path| is_elf(path))
        .collect();
    paths.sort();
    paths
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == *b"\x7fELF"
}

/// So many of them, from all parts of the list.
fn some(all: Vec<PathBuf>, count: usize) -> Vec<PathBuf> {
    let step = all.len().div_ceil(count).max(1);
    let last = all.iter().skip(1).step_by(step).cloned();
    // A step that is rounded up finds fewer; those between make up for it.
    let between = all.iter().step_by(step).cloned();
    let mut chosen: Vec<_> = last.chain(between).take(count).collect();
    chosen.sort();
    chosen.dedup();
    chosen
}

fn same(name: &str, files: &[PathBuf]) -> Verdict {
    if let Some(reason) = Way::Bind.obstacle() {
        return skipped(name, reason);
    }
    if !Path::new("/usr/bin/ldd").exists() {
        return skipped(name, "ldd is not installed");
    }
    let folder = odd_files()?;
    let scratch = Scratch::new(&format!("ldd-{name}"));
    let mut outputs = Vec::new();
    for loader in [loader::system(), loader::subject()] {
        let mut run = Run::new("/bin/bash", &folder);
        run.args = vec!["-c".into(), SCRIPT.into(), "ask".into()];
        run.args.extend(files.iter().map(|file| file.clone().into_os_string()));
        run.over_system(loader.to_owned());
        run.limit = Duration::from_secs(180);
        let outcome = run::run(&run).map_err(|error| error.to_string())?;
        if outcome.end != End::Exit(0) {
            return Err(format!("{}: {outcome}", loader.display()).into());
        }
        outputs.push(sections(&outcome.stdout));
    }
    let [expected, actual] = outputs.try_into().map_err(|_| "two outputs")?;
    if expected.len() != files.len() * 4 {
        return Err(format!("{} answers for {} files", expected.len(), files.len()).into());
    }
    for (expected, actual) in expected.iter().zip(&actual) {
        // What rld has to say beyond ld.so's line is indented below it.
        let lines = |text: &str| {
            let failed = text.contains("error while loading");
            let more = |line: &&str| !(failed && line.starts_with('\t'));
            text.lines().filter(more).map(str::to_owned).collect::<Vec<_>>()
        };
        if lines(expected) != lines(actual) {
            let text = format!("under the system's loader:\n{expected}under test:\n{actual}");
            return Err(text.into());
        }
    }
    scratch.passed();
    Ok(Completion::Completed)
}

/// The answers, each with its question, without addresses.
fn sections(output: &str) -> Vec<String> {
    let mut sections: Vec<String> = Vec::new();
    for line in output.lines() {
        if line.starts_with("== ") {
            sections.push(String::new());
        }
        let line = match line.rsplit_once(" (0x") {
            Some((line, _)) => format!("{line} (ADDRESS)"),
            None => line.to_owned(),
        };
        if let Some(section) = sections.last_mut() {
            section.push_str(&line);
            section.push('\n');
        }
    }
    sections
}
