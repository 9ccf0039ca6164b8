//! `check`: each kind of finding on objects made for it, and what ldd says of the same.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::json::json;
use crate::support::{command, compile, inspect, programs, scratch};

const SHARED: [&str; 2] = ["-shared", "-fPIC"];
const MAIN: &str = "int main() { return 0; }";

/// A folder of objects that need one another.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(scratch(&format!("check-{name}")))
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn link(&self, output: &str, source: &str, flags: &[&str]) -> Option<()> {
        let usual = ["-Wl,--no-as-needed", "-L.", "-Wl,-rpath-link,."];
        compile(&self.0, output, source, &[&usual[..], flags].concat())
    }

    fn library(&self, output: &str, source: &str, flags: &[&str]) -> Option<()> {
        self.link(output, source, &[&SHARED[..], flags].concat())
    }
}

/// All findings about files, as `severity kind object subject`; objects and subjects in the folder by their names.
fn findings(folder: &Folder, arguments: &[&str]) -> (i32, BTreeSet<String>, Value) {
    let (status, document) = json(&[&["check", "--severity", "note"], arguments].concat());
    let here = format!("{}/", folder.0.display());
    let list = document["findings"].as_array().unwrap().iter();
    let lines = list.map(|finding| {
        let text = |key: &str| finding[key].as_str().unwrap_or("-").replace(&here, "");
        let keys = ["severity", "kind", "object", "subject"];
        keys.map(text).join(" ")
    });
    (status, lines.collect(), document)
}

/// The same for a program whose libraries lie beside it.
fn findings_beside(folder: &Folder, program: &str) -> (i32, BTreeSet<String>, Value) {
    let here = folder.0.to_str().unwrap();
    findings(folder, &["--library-path", here, &folder.path(program)])
}

fn set(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn what_is_missing() {
    let folder = Folder::new("missing");
    let origin = "-Wl,-rpath,$ORIGIN";
    fs::write(folder.0.join("one"), "V1 { f; g; };").unwrap();
    fs::write(folder.0.join("two"), "V1 { f; }; V2 { g; } V1;").unwrap();
    let source = "int f(void) { return 1; } int g(void) { return 2; } int gone; int call(void) { return 3; }";
    let built = folder
        .library("libv.so", source, &["-Wl,--version-script=two"])
        .and_then(|()| folder.library("libu.so", source, &[]))
        .and_then(|()| {
            let source = "int f(void), g(void); int main() { return f() + g(); }";
            folder.link("versions", source, &["-lv", origin])
        })
        .and_then(|()| {
            let source = "extern int gone; int call(void); int main() { return gone + call(); }";
            folder.link("symbols", source, &["-lu", origin, "-Wl,-z,lazy"])
        })
        .and_then(|()| folder.library("libx.so", "int x;", &[]))
        .and_then(|()| folder.link("libraries", MAIN, &["-lx", origin]))
        .and_then(|()| folder.link("loader", MAIN, &["-Wl,--dynamic-linker=/no/such/ld.so"]));
    if built.is_none() {
        return;
    }
    // Libraries that lack what programs were linked with.
    folder.library("libv.so", source, &["-Wl,--version-script=one"]);
    folder.library("libu.so", "int f(void) { return 1; }", &[]);
    fs::remove_file(folder.0.join("libx.so")).unwrap();

    let (status, found, document) = findings(&folder, &[&folder.path("versions")]);
    assert_eq!(
        (status, found),
        (1, set(&["error missing-version libv.so V2", "error undefined-symbol versions g"]))
    );
    let details = document["findings"].as_array().unwrap().iter();
    let near = format!("{} defines g@V1", folder.path("libv.so"));
    assert!(details.clone().any(|it| it["details"][0] == near.as_str()), "{document:#}");

    let (status, found, document) = findings(&folder, &[&folder.path("symbols")]);
    let symbols = ["error undefined-symbol symbols call", "error undefined-symbol symbols gone"];
    let unused = "note unused-dependency symbols libu.so";
    assert_eq!((status, found), (1, set(&[&symbols[..], &[unused]].concat())));
    let messages: Vec<_> =
        document["findings"].as_array().unwrap().iter().map(|it| &it["message"]).collect();
    let call = "undefined symbol call: the program starts, and ends when it is called";
    assert!(messages.iter().any(|it| **it == call), "{messages:?}");
    assert!(messages.iter().any(|it| **it == "undefined symbol gone"), "{messages:?}");

    let (status, found, document) = findings(&folder, &[&folder.path("libraries")]);
    assert_eq!((status, found), (1, set(&["error missing-library libraries libx.so"])));
    let tried = format!("tried {} (RUNPATH of {}", folder.0.display(), folder.path("libraries"));
    let detail = document["findings"][0]["details"][0].as_str().unwrap();
    assert!(detail.starts_with(&tried), "{detail}");

    let (status, found, _) = findings(&folder, &[&folder.path("loader")]);
    let loader = set(&["error missing-interpreter loader /no/such/ld.so"]);
    assert_eq!((status, found), (1, loader));

    fs::write(folder.0.join("libx.so"), "\x7fELF and no more").unwrap();
    let (status, found, _) = findings(&folder, &[&folder.path("libraries")]);
    assert_eq!((status, found), (1, set(&["error broken libraries libx.so"])));
    let (status, found, _) = findings(&folder, &[&folder.path("libx.so")]);
    assert_eq!((status, found), (1, set(&["error broken libx.so -"])));
}

#[test]
fn paths() {
    let folder = Folder::new("paths");
    let open = folder.path("open");
    fs::create_dir(&open).unwrap();
    fs::create_dir(folder.0.join("plain")).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let list = format!("-Wl,-rpath,{open}/later::lib:$ORIGIN/plain:$ORIGIN/none:{open}");
    let built = folder
        .link("program", MAIN, &[&list, "-Wl,--enable-new-dtags"])
        .and_then(|()| folder.library("libneed.so", "int need;", &[]))
        .and_then(|()| {
            folder.link(
                "bypath",
                "extern int need; int main() { return need; }",
                &[&folder.path("libneed.so")],
            )
        })
        .and_then(|()| {
            folder.link("old", MAIN, &["-Wl,-rpath,/usr/lib", "-Wl,--disable-new-dtags"])
        });
    if built.is_none() {
        return;
    }
    let (status, found, _) = findings(&folder, &[&folder.path("program")]);
    let expected = [
        "warning empty-path program ",
        "warning relative-path program lib",
        "warning world-writable-path program open",
        "warning world-writable-path program open/later",
        "note absent-path program open/later",
        "note absent-path program $ORIGIN/none",
        "note absolute-path program open",
        "note absolute-path program open/later",
    ];
    assert_eq!((status, found), (3, set(&expected)));
    // With more rights than its caller, what is doubtful is wrong.
    fs::set_permissions(folder.path("program"), fs::Permissions::from_mode(0o4755)).unwrap();
    let (status, found, _) = findings(&folder, &[&folder.path("program")]);
    assert_eq!(status, 1);
    assert_eq!(found.iter().filter(|line| line.starts_with("error ")).count(), 4, "{found:?}");

    let (status, found, _) = findings(&folder, &[&folder.path("bypath")]);
    assert_eq!((status, found), (3, set(&["warning dependency-by-path bypath libneed.so"])));
    assert_eq!(findings(&folder, &[&folder.path("old")]).0, 0);

    // DT_RPATH and DT_RUNPATH in one object: no link editor makes that, so a RUNPATH is added by hand.
    let bytes = fs::read(folder.path("old")).unwrap();
    let mut words: Vec<_> =
        bytes.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    let (needed, rpath, init, debug, runpath) = (1, 15, 12, 21, 29);
    let first = words.windows(5).position(|it| (it[0], it[2], it[4]) == (needed, rpath, init));
    let first = first.expect("DT_NEEDED, DT_RPATH, DT_INIT behind one another");
    let spare = (first..words.len()).step_by(2).find(|&at| words[at] == debug).unwrap();
    // The name of libc.so.6 as a list: a string that is there.
    (words[spare], words[spare + 1]) = (runpath, words[first + 1]);
    let bytes: Vec<_> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(folder.path("both"), bytes).unwrap();
    let (status, found, _) = findings(&folder, &[&folder.path("both")]);
    let expected = ["warning rpath-ignored both /usr/lib", "warning relative-path both libc.so.6"];
    assert_eq!((status, found), (3, set(&expected)));
}

#[test]
fn segments_and_storage() {
    let folder = Folder::new("segments");
    let built = folder
        .library("libstack.so", "int stack;", &["-Wl,-z,execstack"])
        .and_then(|()| {
            let source = "int variable; int *text(void) { return &variable; }
                __asm__(\".text\\n.quad variable\");";
            folder.library("libtext.so", source, &["-Wl,-z,notext"])
        })
        .and_then(|()| {
            let source = "__thread int kept[4] __attribute__((tls_model(\"initial-exec\")));
                int *own(void) { return kept; }";
            folder.library("libtls.so", source, &[])
        })
        .and_then(|()| folder.link("program", MAIN, &["-lstack", "-ltext", "-ltls"]));
    if built.is_none() {
        return;
    }
    let program = folder.path("program");
    let (status, found, document) = findings_beside(&folder, "program");
    let expected = [
        "warning executable-stack libstack.so -",
        "warning text-relocations libtext.so -",
        "note static-tls libtls.so -",
        "note unused-dependency program libstack.so",
        "note unused-dependency program libtext.so",
        "note unused-dependency program libtls.so",
    ];
    assert_eq!((status, found), (3, set(&expected)));
    let text = document.to_string();
    assert!(text.contains("takes 16 bytes of static TLS"), "{text}");

    // A segment's flags are a word of its program header.
    let mut bytes = fs::read(&program).unwrap();
    let header = |index: usize| 64 + index * 56;
    let count = usize::from(bytes[56]);
    let code = (0..count).map(header).find(|&at| bytes[at] == 1 && bytes[at + 4] == 5).unwrap();
    bytes[code + 4] = 7;
    let stack = (0..count).map(header).find(|&at| bytes[at..at + 4] == [0x51, 0xe5, 0x74, 0x64]);
    bytes[stack.unwrap()] = 0x52;
    bytes[stack.unwrap() + 1] = 0;
    fs::write(folder.path("writable"), bytes).unwrap();
    let (_, found, _) = findings_beside(&folder, "writable");
    for line in ["warning writable-code writable -", "warning executable-stack writable -"] {
        assert!(found.contains(line), "{found:?}");
    }
}

#[test]
fn definitions_of_two_libraries() {
    let folder = Folder::new("twice");
    let twice = "int common = 1; int helper(void) { return common; }
        __attribute__((weak)) int inlined(void) { return 1; }";
    let apart = "int alone(void) { return 1; }";
    let built = folder
        .library("libfirst.so", &format!("{twice} int f(void) {{ return helper(); }}"), &[])
        .and_then(|()| {
            let source = format!("{twice} int g(void) {{ return helper() + inlined(); }} {apart}");
            folder.library("libsecond.so", &source, &[])
        })
        .and_then(|()| folder.library("libthird.so", apart, &[]))
        .and_then(|()| {
            let source =
                "int f(void), g(void), alone(void); int main() { return f() + g() + alone(); }";
            folder.link("program", source, &["-lfirst", "-lsecond", "-lthird"])
        })
        .and_then(|()| {
            let source = "int f(void), g(void); int helper(void) { return 3; }
                int main() { return f() + g(); }";
            folder.link("replaces", source, &["-lfirst", "-lsecond", "-Wl,--export-dynamic"])
        });
    if built.is_none() {
        return;
    }
    let (status, found, document) = findings_beside(&folder, "program");
    let expected = [
        "warning replaced-definition libsecond.so libfirst.so",
        "note duplicate-definition libsecond.so libfirst.so",
        "note duplicate-definition libthird.so libsecond.so",
        "note unused-dependency program libthird.so",
    ];
    assert_eq!((status, found), (3, set(&expected)));
    let messages = document.to_string();
    assert!(messages.contains("instead of its own: common, helper\""), "{messages}");
    assert!(!messages.contains("inlined"), "{messages}");
    // A program may mean it.
    let (_, found, _) = findings_beside(&folder, "replaces");
    assert!(found.contains("note replaced-definition libfirst.so replaces"), "{found:?}");
}

#[test]
fn many_operands() {
    let folder = Folder::new("many");
    let built = folder
        .library("libstack.so", "int stack;", &["-Wl,-z,execstack", "-Wl,-soname,libstack.so"])
        .and_then(|()| folder.link("one", MAIN, &["-lstack", "-Wl,-rpath,$ORIGIN"]))
        .and_then(|()| folder.link("two", MAIN, &["-lstack", "-Wl,-rpath,$ORIGIN"]));
    if built.is_none() {
        return;
    }
    fs::write(folder.0.join("script"), "#!/bin/sh\n").unwrap();
    let path = |name| folder.path(name);
    let (one, two, script, none) = (path("one"), path("two"), path("script"), path("none"));
    let here = folder.0.to_str().unwrap();

    let (status, text, errors) = inspect(&["check", &one, &script, &two, here]);
    assert_eq!((status, errors.as_str()), (3, ""));
    let expected = format!(
        "{here}/libstack.so\n  warning: asks for an executable stack [executable-stack]\n      \
         in {one}, {two}\n\
         2 programs with 2 libraries: 0 errors, 1 warning; 2 less severe, see --severity\n\
         1 passed over: a directory, not an ELF program\n\
         1 passed over: a script, not an ELF program\n"
    );
    assert_eq!(text, expected);
    let (_, document) = json(&["check", &one, &script, &two]);
    assert_eq!(document["findings"][0]["programs"], serde_json::json!([one, two]));
    assert_eq!(document["skipped"][0]["path"], script.as_str());

    let (status, text, _) = inspect(&["check", "--severity", "error", &one]);
    assert_eq!(status, 0);
    let summary = "1 program with 2 libraries: 0 errors; 2 less severe, see --severity\n";
    assert_eq!(text, summary);

    let (status, text, _) = inspect(&["check", &one, &none]);
    assert_eq!(status, 1);
    let missing =
        format!("{none}\n  error: cannot open file: No such file or directory [unreadable]\n");
    assert!(text.starts_with(&missing), "{text}");
    // Nothing but scripts: that is not what the user has asked for.
    let (status, text, _) = inspect(&["check", &script]);
    assert_eq!(status, 1);
    assert!(text.contains("error: a script, not an ELF program [unreadable]\n"), "{text}");
}

/// What `ldd -r` and `ldd -u` say of the same objects: undefined symbols, libraries that are not used.
#[test]
fn ldd_finds_the_same() {
    let folder = Folder::new("ldd");
    let built = folder
        .library("libnothing.so", "int nothing;", &[])
        .and_then(|()| {
            let source = "int lost(void); extern int gone; int f(void) { return lost() + gone; }";
            folder.library("libf.so", source, &[])
        })
        .and_then(|()| {
            let source = "int f(void); int lost(void) { return 0; } int main() { return f(); }";
            let flags =
                ["-lf", "-lnothing", "-Wl,-rpath,$ORIGIN", "-Wl,--unresolved-symbols=ignore-all"];
            folder.link("program", source, &flags)
        });
    if built.is_none() {
        return;
    }
    let made = ["program", "libf.so"].map(|name| folder.path(name));
    let all = made.iter().cloned().chain(programs().map(str::to_owned));
    let mut seen = BTreeSet::new();
    for program in all {
        let Some((undefined, unused)) = ldd(&program) else { return };
        let (_, document) = json(&["check", "--severity", "note", &program]);
        let subjects = |kind: &str| -> BTreeSet<String> {
            let list = document["findings"].as_array().unwrap().iter();
            let list = list.filter(|finding| finding["kind"] == kind);
            list.map(|finding| finding["subject"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(subjects("undefined-symbol"), undefined, "{program}");
        assert_eq!(subjects("unused-dependency"), unused, "{program}");
        seen.extend(undefined);
        seen.extend(unused);
    }
    assert_eq!(seen, BTreeSet::from(["gone", "libnothing.so", "lost"].map(str::to_owned)));
}

/// Undefined symbols, and the file names of libraries that are not used.
fn ldd(program: &str) -> Option<(BTreeSet<String>, BTreeSet<String>)> {
    let run = |option| {
        let output = command("ldd").args([option, program]).env("LC_ALL", "C").output();
        let Ok(output) = output else {
            eprintln!("skipped: there is no ldd");
            return None;
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Some(text + &String::from_utf8_lossy(&output.stderr))
    };
    let undefined = |line: &str| {
        let (_, rest) = line.split_once("undefined symbol: ")?;
        rest.split([',', '\t', ' ']).next().map(str::to_owned)
    };
    let unused = |line: &str| {
        let path = line.trim();
        let is_path = path.starts_with('/') && !path.contains([' ', '(']);
        is_path.then(|| Path::new(path).file_name().unwrap().to_str().unwrap().to_owned())
    };
    Some((
        run("-r")?.lines().filter_map(undefined).collect(),
        run("-u")?.lines().filter_map(unused).collect(),
    ))
}

/// A root's programs are checked against the root's files.
#[test]
fn inside_a_root() {
    let root = scratch("check-root");
    fs::create_dir_all(root.join("opt")).unwrap();
    if compile(&root, "opt/program", MAIN, &["-Wl,-rpath,/opt"]).is_none() {
        return;
    }
    let sysroot = root.to_str().unwrap();
    let (status, document) = json(&["check", "--sysroot", sysroot, "/opt/program"]);
    assert_eq!(status, 1);
    let kinds: BTreeSet<_> =
        crate::json::strings(&document["findings"], "kind").into_iter().collect();
    assert_eq!(kinds, BTreeSet::from(["missing-interpreter", "missing-library"]));
    assert_eq!(document["findings"][0]["object"], "/opt/program");
}
