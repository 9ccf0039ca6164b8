//! `rld-inspect` agrees with the system's ldd and ld.so, which are asked about the same programs.

#[path = "inspect/check.rs"]
mod check;
#[path = "inspect/diff.rs"]
mod diff;
#[path = "inspect/json.rs"]
mod json;
#[path = "inspect/libc.rs"]
mod libc;
#[path = "inspect/support.rs"]
mod support;
#[path = "inspect/sysroot.rs"]
mod sysroot;
#[path = "inspect/who.rs"]
mod who;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use support::{command, compile, inspect, programs, scratch};

/// The paths that ldd prints.
fn ldd(program: &str) -> Option<BTreeSet<String>> {
    let output = command("ldd").arg(program).output().ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    let path = |line: &str| {
        let (path, _) = line.split_once(" (0x")?;
        let path = path.rsplit(" => ").next()?.trim();
        path.starts_with('/').then(|| path.to_owned())
    };
    Some(text.lines().filter_map(path).collect())
}

/// The paths in a tree.
fn tree_paths(tree: &str) -> BTreeSet<String> {
    let found = |line: &str| Some(line.split_once(" => ")?.1.rsplit_once(" [")?.0.to_owned());
    tree.lines().filter_map(found).collect()
}

#[test]
fn trees_hold_what_ldd_finds() {
    for program in programs() {
        let Some(expected) = ldd(program) else {
            eprintln!("skipped: there is no ldd");
            return;
        };
        let (status, tree, errors) = inspect(&["tree", program]);
        assert_eq!((status, errors.as_str()), (0, ""), "{program}");
        assert_eq!(tree_paths(&tree), expected, "{program}:\n{tree}");
        assert!(tree.contains(" [loader]\n"), "{tree}");
    }
}

/// Requester, symbol, version, definer.
type Binding = (String, String, Option<String>, String);

/// The bindings that ld.so of this machine makes before it runs any code of `program`.
fn ld_so(program: &str, directory: &Path) -> Option<BTreeSet<Binding>> {
    let trace = directory.join("trace");
    let mut child = command(program)
        .arg("--version")
        .envs([("LD_DEBUG", "bindings"), ("LD_BIND_NOW", "1")])
        .env("LD_DEBUG_OUTPUT", &trace)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let trace = trace.with_extension(child.id().to_string());
    child.wait().unwrap();
    let Ok(text) = fs::read(&trace) else {
        eprintln!("skipped: the loader of {program} does not know LD_DEBUG=bindings");
        return None;
    };
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().filter_map(|line| Some(line.split_once(":\t")?.1));
    let lines = lines.take_while(|line| !line.starts_with("calling "));
    let mut bindings: Vec<_> = lines.filter_map(ld_so_line).collect();
    // What libc asks of the vDSO, and ld.so of libc, is not asked by the program's objects.
    bindings.retain(|(requester, ..)| {
        requester != "linux-vdso.so.1" && !requester.ends_with("/ld-linux-x86-64.so.2")
    });
    // Since 2.31 ld.so ends by looking for libc's malloc, in the program's name.
    let own: Vec<_> =
        bindings.iter().rev().take(4).map(|(_, symbol, ..)| symbol.as_str()).collect();
    if own == ["realloc", "malloc", "free", "calloc"] {
        bindings.truncate(bindings.len() - 4);
    }
    Some(bindings.into_iter().collect())
}

/// ``binding file X [0] to Y [0]: normal symbol `S' [V]``
fn ld_so_line(line: &str) -> Option<Binding> {
    let (requester, rest) = line.strip_prefix("binding file ")?.split_once(" [0] to ")?;
    let (definer, rest) = rest.split_once(" [0]: ")?;
    let (symbol, version) = rest.split_once('`')?.1.rsplit_once('\'')?;
    let version = version.trim().strip_prefix('[').and_then(|version| version.strip_suffix(']'));
    Some((requester.into(), symbol.into(), version.map(Into::into), definer.into()))
}

/// `X: S@V -> Y +0x1`; nothing for references that stay undefined.
fn line(line: &str) -> Option<Binding> {
    let (left, right) = line.rsplit_once(" -> ")?;
    let (requester, symbol) = left.rsplit_once(": ")?;
    let (definer, _) = right.rsplit_once(" +0x").or_else(|| right.rsplit_once(" 0x"))?;
    let (symbol, version) = match symbol.split_once('@') {
        Some((symbol, version)) => (symbol, Some(version.to_owned())),
        None => (symbol, None),
    };
    Some((requester.into(), symbol.into(), version, definer.into()))
}

/// Whether all bindings of `program` are ld.so's.
fn agrees_with_ld_so(program: &str, directory: &Path) {
    let Some(expected) = ld_so(program, directory) else { return };
    let (status, text, errors) = inspect(&["bindings", program]);
    assert_eq!((status, errors.as_str()), (0, ""), "{program}");
    let found: BTreeSet<_> = text.lines().filter_map(line).collect();
    let missing: Vec<_> = expected.difference(&found).collect();
    let different: Vec<_> = found.difference(&expected).collect();
    assert!(
        missing.is_empty() && different.is_empty(),
        "{program}: ld.so has {missing:#?}, rld-inspect has {different:#?}"
    );
    assert!(found.len() > 20, "{program} has hardly any bindings:\n{text}");
}

#[test]
fn bindings_are_those_of_ld_so() {
    let directory = scratch("ld-so");
    programs().for_each(|program| agrees_with_ld_so(program, &directory));
}

/// Two libraries that define one function, a variable that the program copies, versions of a
/// function, and a function's address that only the program's PLT can give.
#[test]
fn bindings_of_a_program_made_for_it() {
    let directory = scratch("made");
    let build = |output, source, flags: &[&str]| compile(&directory, output, source, flags);
    let shared = &["-shared", "-fPIC"];
    let made = build("libfirst.so", "int answer(void) { return 1; }", shared)
        .and_then(|()| {
            let source = "int shared = 1; int nowhere(void) __attribute__((weak));
                int answer(void) { return 2; } int (*pointer)(void) = answer;
                int twice(void) { return 2 * answer() + shared + (nowhere ? nowhere() : 0); }";
            build("libsecond.so", source, shared)
        })
        .and_then(|()| {
            fs::write(directory.join("map"), "ONE { f; }; TWO { f; } ONE;").unwrap();
            let source = "__asm__(\".symver old,f@ONE\\n.symver new,f@@TWO\");
                int old(void) { return 1; } int new(void) { return 2; }";
            let version_script = ["-shared", "-fPIC", "-Wl,--version-script=map"];
            build("libversions.so", source, &version_script)
        })
        .and_then(|()| {
            let source = "extern int shared; int answer(void), twice(void), f(void);
                int main() { int (*volatile address)(void) = answer;
                    return shared + answer() + twice() + f() + address(); }";
            let libraries = ["-L.", "-lfirst", "-lsecond", "-lversions", "-Wl,-rpath,$ORIGIN"];
            build("program", source, &[&["-no-pie", "-fno-pic"], &libraries[..]].concat())
        });
    if made.is_none() {
        return;
    }
    let path = |name| directory.join(name).to_str().unwrap().to_owned();
    let (program, first, second) = (path("program"), path("libfirst.so"), path("libsecond.so"));
    let versions = path("libversions.so");

    let (status, text, _) = inspect(&["bindings", &program]);
    assert_eq!(status, 0, "{text}");
    let expect = |requester: &str, reference: &str, definer: &str, note: &str| {
        let start = format!("{requester}: {reference} -> {definer}");
        let has = |line: &str| line.starts_with(&start) && line.ends_with(note);
        assert!(text.lines().any(has), "no `{start} … {note}` in:\n{text}");
    };
    expect(&program, "answer", &first, "");
    expect(&program, "shared", &second, " [copied]");
    expect(&second, "shared", &program, "");
    expect(&second, "answer", &first, "");
    expect(&second, "answer", &program, " [PLT entry]");
    expect(&second, "nowhere", "nothing [weak]", "");
    expect(&program, "f@TWO", &versions, "");
    agrees_with_ld_so(&program, &directory);

    let (status, text, _) = inspect(&["bindings", &program, "f@TWO"]);
    assert_eq!((status, text.lines().count()), (0, 2), "{text}");
    assert!(text.contains("\n1 bindings of 1 objects: 1 to another object, "), "{text}");
    assert_eq!(inspect(&["bindings", &program, "f@ONE"]).1.lines().count(), 1);

    let (_, tree, _) = inspect(&["tree", &program]);
    let found = format!("├── libfirst.so => {first} [RUNPATH of {program}]\n");
    assert!(tree.contains(&found), "{tree}");
    let by_path = ["tree", "--library-path", directory.to_str().unwrap(), "--preload", &second];
    let (_, tree, _) =
        inspect(&[&by_path[..], &["--preload", "libversions.so", "/bin/ls"]].concat());
    for found in [
        format!("├── {second} => {second} [preload]\n"),
        format!("├── libversions.so => {versions} [preload: LD_LIBRARY_PATH]\n"),
    ] {
        assert!(tree.contains(&found), "no `{found}` in:\n{tree}");
    }

    // What is missing stands in its place, and the rest of the tree is whole.
    fs::remove_file(&first).unwrap();
    let (status, tree, errors) = inspect(&["tree", &program]);
    assert_eq!((status, errors.as_str()), (1, ""), "{tree}");
    let missing = "├── libfirst.so => not found (cannot open shared object file: No such file";
    let tried = format!("│     tried {} (RUNPATH of {program}): No such file", directory.display());
    for part in [missing, &tried, &format!("libsecond.so => {second} ["), "libc.so.6 => /"] {
        assert!(tree.contains(part), "no `{part}` in:\n{tree}");
    }
    let (status, text, errors) = inspect(&["bindings", &program]);
    assert_eq!((status, text.as_str()), (1, ""));
    let words = "rld-inspect: libfirst.so: cannot open shared object file: No such file or";
    assert!(errors.starts_with(words), "{errors}");

    // A library that is there but lacks what is wanted of it.
    compile(&directory, "libfirst.so", "int other;", shared);
    compile(&directory, "libsecond.so", "int shared;", shared);
    let (status, text, _) = inspect(&["bindings", &program, "twice"]);
    assert_eq!(status, 1, "{text}");
    assert!(text.contains(": twice -> UNDEFINED\n"), "{text}");

    // A broken one is named with its defect.
    fs::write(&first, b"no library").unwrap();
    let (status, tree, _) = inspect(&["tree", &program]);
    let broken = format!("libfirst.so => not loaded ({first}: ");
    assert!(status == 1 && tree.contains(&broken), "{tree}");
}

#[test]
fn a_missing_preload_is_missing() {
    let (status, tree, _) = inspect(&["tree", "--preload", "libno-such.so.1", "/bin/ls"]);
    assert_eq!(status, 1, "{tree}");
    assert!(tree.contains("├── libno-such.so.1 => not found ("), "{tree}");
    assert!(tree.contains("tried /etc/ld.so.cache (cache): "), "{tree}");
    let without = ["tree", "--inhibit-cache", "--preload", "libno-such.so.1", "/bin/ls"];
    assert!(!inspect(&without).1.contains("cache"));
}

#[test]
fn the_search_can_be_watched() {
    let (status, _, log) = inspect(&["tree", "--verbose", "/bin/ls"]);
    assert_eq!(status, 0);
    assert!(
        log.contains("rld-inspect: searching ") && log.contains("libc.so.6: opened\n"),
        "{log}"
    );
}

#[test]
fn the_layout_of_this_machines_libc() {
    let path = "/lib/x86_64-linux-gnu/libc.so.6";
    let Ok(bytes) = fs::read(path) else {
        eprintln!("skipped: there is no {path}");
        return;
    };
    let (status, text, errors) = inspect(&["libc", path]);
    assert_eq!(errors, "");
    let banner = b"Debian GLIBC 2.36-9+deb12u14";
    if !bytes.windows(banner.len()).any(|window| window == banner) {
        eprintln!("skipped: {path} is not Debian's 2.36-9+deb12u14");
        assert!(text.starts_with(path), "{text}");
        return;
    }
    assert_eq!(status, 0, "{text}");
    for part in
        ["/libc.so.6: supported\n", "Debian 2.36-9+deb12u14", "build-id: ", "pthread.tid = 720\n"]
    {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    let (status, text, _) = inspect(&["libc", path, "/bin/ls"]);
    assert_eq!(status, 1);
    assert!(text.ends_with("/bin/ls: not a C library\n"), "{text}");
}

/// One descriptor that says something else is enough to refuse a layout.
#[test]
fn an_unknown_layout_is_refused() {
    let path = "/lib/x86_64-linux-gnu/libc.so.6";
    let Ok(mut bytes) = fs::read(path) else {
        eprintln!("skipped: there is no {path}");
        return;
    };
    // _thread_db_pthread_tid of 2.36: 32 bits, one element, at offset 720.
    let descriptor: Vec<u8> = [32u32, 1, 720].iter().flat_map(|word| word.to_le_bytes()).collect();
    let Some(at) = bytes.windows(12).position(|window| window == descriptor) else {
        eprintln!("skipped: {path} is not of the layout that is changed here");
        return;
    };
    bytes[at + 8] ^= 0x10;
    let copy = scratch("layout").join("libc.so.6");
    fs::write(&copy, bytes).unwrap();
    let (status, text, _) = inspect(&["libc", copy.to_str().unwrap()]);
    assert_eq!(status, 1);
    assert!(
        text.contains("/libc.so.6: not supported: ") && text.contains("GNU C Library"),
        "{text}"
    );
}

#[test]
fn the_command_line() {
    let (status, help, _) = inspect(&["--help"]);
    assert_eq!(status, 0);
    for command in ["tree", "why", "symbols", "bindings", "check", "diff", "libc"] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
    }
    let version = format!("rld-inspect {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(inspect(&["--version"]), (0, version, String::new()));

    let wrong: [(&[&str], &str); 9] = [
        (&[], "expected a command"),
        (&["branch"], "there is no command 'branch'"),
        (&["simbols"], "there is no command 'simbols'; did you mean 'symbols'?"),
        (&["tree"], "expected PROGRAM"),
        (&["tree", "/bin/ls", "/bin/cat"], "unexpected operand '/bin/cat'"),
        (&["tree", "--no-such", "/bin/ls"], "invalid option '--no-such'"),
        (&["tree", "--preload"], "missing argument for option '--preload'"),
        (&["libc", "--preload", "x", "/bin/ls"], "invalid option '--preload'"),
        (&["libc"], "expected FILE..."),
    ];
    for (arguments, words) in wrong {
        let (status, out, errors) = inspect(arguments);
        assert_eq!((status, out.as_str()), (2, ""), "{arguments:?}");
        let expected = format!("rld-inspect: {words}\nTry 'rld-inspect --help'.\n");
        assert_eq!(errors, expected, "{arguments:?}");
    }
    let (status, _, errors) = inspect(&["tree", "/no/such/program"]);
    assert_eq!(status, 1);
    let words = "rld-inspect: /no/such/program: cannot open file: No such file or directory\n";
    assert_eq!(errors, words);
}

/// Files that are no programs are named for what they are.
#[test]
fn what_cannot_be_looked_at() {
    let directory = scratch("inputs");
    let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    fs::write(path("script"), "#!/bin/sh -e\nexit\n").unwrap();
    fs::write(path("empty"), "").unwrap();
    fs::write(path("text"), "no program\n").unwrap();
    let mut header = fs::read(support::TOOL).unwrap();
    header.truncate(64);
    fs::write(path("header"), &header).unwrap();
    header[4] = 1;
    fs::write(path("class"), &header).unwrap();
    header[4] = 2;
    header[18] = 183;
    fs::write(path("machine"), &header).unwrap();
    for (name, words) in [
        ("script", "a script, not an ELF program\n\tit is run by /bin/sh -e\n"),
        ("empty", "file too short\n"),
        ("text", "file too short\n"),
        ("header", "cannot read file data\n"),
        ("class", "wrong ELF class: ELFCLASS32\n"),
        ("machine", "ELF file for another processor\n"),
        (".", "a directory, not an ELF program\n"),
        ("none", "cannot open file: No such file or directory\n"),
    ] {
        let file = path(name);
        let commands: [&[&str]; 5] = [
            &["tree", &file],
            &["why", "libc.so.6", &file],
            &["symbols", &file, "malloc"],
            &["bindings", &file],
            &["diff", "/bin/sh", &file],
        ];
        for command in commands {
            let (status, out, errors) = inspect(command);
            assert_eq!((status, out.as_str()), (1, ""), "{command:?}: {errors}");
            let start = format!("rld-inspect: {file}: {}", words.trim_end());
            assert!(errors.starts_with(&start), "{command:?}: {errors}");
        }
    }
    // A static program needs nothing, which is no mistake.
    let built = compile(&directory, "static", "int main() { return 0; }", &["-static"]);
    if built.is_some() {
        let file = path("static");
        let tree = inspect(&["tree", &file]);
        assert_eq!(tree, (0, format!("{file}\n    statically linked\n"), String::new()));
        assert_eq!(inspect(&["bindings", &file]).0, 0);
        assert_eq!(inspect(&["why", "libc.so.6", &file]).0, 1);
    }
}

/// Damage ends in words, whatever it hits; all copies in one process, and some by each command.
#[test]
fn damaged_files() {
    let directory = scratch("damage");
    let Some(original) = programs().find_map(|program| fs::read(program).ok()) else { return };
    // Headers, and the dynamic section with the tables around it: where a loader looks.
    let dynamic = |at: usize| u32::from_le_bytes(original[at..at + 4].try_into().unwrap()) == 2;
    let header =
        (0..usize::from(original[56])).map(|index| 64 + index * 56).find(|&at| dynamic(at));
    let word = |at: usize| u64::from_le_bytes(original[at..at + 8].try_into().unwrap()) as usize;
    let section = header.map_or(64, |at| word(at + 8));
    let places: Vec<_> = (16..64 + 56 * usize::from(original[56]))
        .chain(section..section + 400)
        .chain(0x300..0x1800)
        .collect();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % limit
    };
    let mut copies = Vec::new();
    for number in 0..400 {
        let mut copy = original.clone();
        for _ in 0..1 + random(3) {
            let at = places[random(places.len())];
            copy[at] ^= 1 + random(255) as u8;
        }
        let path = directory.join(format!("copy-{number}"));
        fs::write(&path, copy).unwrap();
        copies.push(path.to_str().unwrap().to_owned());
    }
    let all: Vec<_> = copies.iter().map(String::as_str).collect();
    let (status, text, errors) = inspect(&[&["check", "--severity", "note"], &all[..]].concat());
    assert!([0, 1, 3].contains(&status) && errors.is_empty(), "{status}: {errors}");
    assert!(text.matches("[broken]").count() > 20, "{text}");
    for (number, copy) in all.iter().enumerate().take(80) {
        let commands: [&[&str]; 4] = [
            &["tree", copy],
            &["symbols", copy, "malloc"],
            &["bindings", copy],
            &["diff", copy, all[number + 1]],
        ];
        let (status, _, errors) = inspect(commands[number % commands.len()]);
        assert!(status == 0 || status == 1, "{copy}: {status}: {errors}");
    }
    fs::remove_dir_all(directory).unwrap();
}

/// Colours are for terminals, and only if nobody objects.
#[test]
fn colours() {
    let tool = format!("{} tree /bin/sh", support::TOOL);
    let on_terminal = |variable: Option<(&str, &str)>| {
        let mut script = command("script");
        script.args(["-qec", &tool, "/dev/null"]).env_remove("NO_COLOR").env("TERM", "xterm");
        script.envs(variable).stdin(Stdio::null());
        script.output().ok().filter(|output| output.status.success())
    };
    let Some(output) = on_terminal(None) else {
        eprintln!("skipped: there is no script(1)");
        return;
    };
    let coloured = |output: &[u8]| output.contains(&0x1b);
    assert!(coloured(&output.stdout), "{}", String::from_utf8_lossy(&output.stdout));
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let output = on_terminal(Some(variable)).unwrap();
        assert!(!coloured(&output.stdout) && output.stdout.len() > 20, "{variable:?}");
    }
    assert!(!coloured(inspect(&["tree", "/bin/sh"]).1.as_bytes()));
}
