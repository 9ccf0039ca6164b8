//! `diff`: two environments of one program, and two builds of it.

use std::fs;

use crate::json::{json, strings};
use crate::support::{compile, inspect, scratch};

#[test]
fn what_differs() {
    let directory = scratch("diff");
    let shared = ["-shared", "-fPIC"];
    let one = "int answer(void) { return 1; }";
    for (folder, source) in [("a", one), ("b", one), ("c", "int answer(void) { return 3; }")] {
        fs::create_dir(directory.join(folder)).unwrap();
        if compile(&directory, &format!("{folder}/libanswer.so"), source, &shared).is_none() {
            return;
        }
    }
    let both = [&shared[..], &["-La", "-lanswer"]].concat();
    let built = compile(&directory, "a/libextra.so", "int extra;", &shared)
        .and_then(|()| {
            let source = "int answer(void); int other(void) { return answer(); }";
            compile(&directory, "c/libother.so", source, &both)
        })
        .and_then(|()| {
            let source = "int answer(void); int main() { return answer(); }";
            compile(&directory, "program", source, &["-La", "-lanswer"])
        });
    if built.is_none() {
        return;
    }
    let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let (program, a, b, c) = (path("program"), path("a"), path("b"), path("c"));

    let same = inspect(&["diff", "--library-path", &a, &program]);
    let nothing = "0 objects changed, 0 added, 0 removed; 0 bindings changed\n";
    assert_eq!(same, (0, nothing.into(), String::new()));

    let sides = ["diff", "--a-library-path", &a, "--b-library-path", &b, &program];
    let (status, text, _) = inspect(&sides);
    assert_eq!(status, 1);
    let expected = format!(
        "- libanswer.so => {a}/libanswer.so [LD_LIBRARY_PATH]\n\
         + libanswer.so => {b}/libanswer.so [LD_LIBRARY_PATH]\n  the files are equal\n\
         1 object changed, 0 added, 0 removed; 0 bindings changed\n"
    );
    assert_eq!(text, expected);
    let (_, document) = json(&["diff", "--library-path", &a, "--b-library-path", &c, &program]);
    assert_eq!(document["objects"][0]["same_contents"], false);
    assert_eq!(document["objects"][0]["b"]["way"]["rule"], "LD_LIBRARY_PATH");

    // A preload that comes first takes bindings over, and one that defines nothing does not.
    let other = format!("{c}/libanswer.so");
    fs::rename(&other, format!("{c}/libmine.so")).unwrap();
    let mine = format!("{c}/libmine.so");
    let preload = ["diff", "--library-path", &a, "--b-preload", &mine, &program];
    let (status, text, _) = inspect(&preload);
    assert_eq!(status, 1);
    for part in [
        &format!("+ libmine.so => {mine} [preload]\n"),
        "! (program): answer -> libanswer.so, libmine.so\n",
        "0 objects changed, 1 added, 0 removed; 1 binding changed\n",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    let (_, document) = json(&preload);
    assert_eq!(strings(&document["bindings"], "symbol"), ["answer"]);
    let harmless = ["diff", "--library-path", &a, "--b-preload", "libextra.so", &program];
    assert!(inspect(&harmless).1.ends_with("1 added, 0 removed; 0 bindings changed\n"));

    // Not found on one side.
    let (status, text, _) = inspect(&["diff", "--a-library-path", &a, &program]);
    assert_eq!(status, 1);
    assert!(text.contains("+ libanswer.so => not found\n"), "{text}");
    assert!(text.contains("! (program): answer -> libanswer.so, nothing\n"), "{text}");
    assert!(text.ends_with("1 object changed, 0 added, 0 removed; 1 binding changed\n"), "{text}");

    // Two builds of one program.
    let source = "int main() { return 0; }";
    compile(&directory, "other", source, &["-Wl,--as-needed", "-La", "-lanswer"]);
    let (status, text, _) = inspect(&["diff", "--library-path", &a, &program, &path("other")]);
    assert_eq!(status, 1);
    let start = format!(
        "- (program) => {program}\n+ (program) => {}\n- libanswer.so => {a}/",
        path("other")
    );
    assert!(text.starts_with(&start), "{text}");
}
