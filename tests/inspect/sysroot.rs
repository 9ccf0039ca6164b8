//! `--sysroot`: another root, whose programs chroot(1) can start as an oracle.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::json::json;
use crate::support::{command, compile, inspect, scratch};

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
const LIBC: &str = "/lib/x86_64-linux-gnu/libc.so.6";

/// The objects that the root's own loader lists in the root: name and path.
fn listed(root: &Path, program: &str) -> Option<BTreeSet<(String, String)>> {
    let output = command("unshare")
        .args(["--map-root-user", "--mount", "chroot"])
        .arg(root)
        .args([LOADER, "--list", program])
        .output()
        .ok()?;
    if !output.status.success() {
        eprintln!("skipped: no chroot here: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let (name, path) = line.trim().split_once(" => ")?;
        Some((name.to_owned(), path.split_once(" (0x")?.0.to_owned()))
    };
    Some(text.lines().filter_map(line).collect())
}

/// A root with absolute links out of it if they were followed from the machine's root: `/lib` leads to `/usr/lib`, the
/// program is a link, a RUNPATH is absolute, another has `$ORIGIN`.
fn root(name: &str) -> Option<std::path::PathBuf> {
    let root = scratch(name);
    for folder in ["usr/lib/x86_64-linux-gnu", "lib64", "opt/bin", "opt/lib", "srv", "etc"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    symlink("/usr/lib", root.join("lib")).unwrap();
    for (file, from) in [(LOADER, LOADER), (LIBC, LIBC)] {
        let to = match file == LIBC {
            true => root.join("usr/lib/x86_64-linux-gnu/libc.so.6"),
            false => root.join(&file[1..]),
        };
        if let Err(error) = fs::copy(from, to) {
            eprintln!("skipped: {from}: {error}");
            return None;
        }
    }
    let shared = ["-shared", "-fPIC"];
    let inner = [&shared[..], &["-Wl,-rpath,$ORIGIN/../srv"]].concat();
    compile(&root, "srv/libinner.so", "int inner;", &shared)?;
    let inner_flags = [&inner[..], &["-Wl,--no-as-needed", "-Lsrv", "-linner"]].concat();
    compile(&root, "opt/lib/libouter.so", "int outer;", &inner_flags)?;
    // Below /opt, as the RUNPATH of libouter has it.
    fs::create_dir(root.join("opt/srv")).unwrap();
    symlink("/srv/libinner.so", root.join("opt/srv/libinner.so")).unwrap();
    let flags = ["-Wl,--no-as-needed,-rpath,/opt/lib,-rpath-link,srv", "-Lopt/lib", "-louter"];
    compile(&root, "opt/bin/program", "int main() { return 0; }", &flags)?;
    fs::create_dir(root.join("bin")).unwrap();
    symlink("/opt/bin/program", root.join("bin/program")).unwrap();
    Some(root)
}

#[test]
fn another_root_is_seen_as_its_programs_see_it() {
    let Some(root) = root("sysroot") else { return };
    let sysroot = root.to_str().unwrap();
    let machine_path = format!("{sysroot}/bin/program");
    for operand in ["/bin/program", "bin/program", &machine_path] {
        let (status, document) = json(&["tree", "--sysroot", sysroot, operand]);
        assert_eq!(status, 0, "{document:#}");
        assert_eq!(document["program"], "/bin/program");
        let requests = document["requests"].as_array().unwrap();
        let found: BTreeSet<_> = requests
            .iter()
            .filter(|request| request["found"]["rule"] != "already loaded")
            .filter(|request| request["found"]["rule"] != "loader")
            .map(|request| {
                let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
                (text(&request["name"]), text(&request["found"]["path"]))
            })
            .collect();
        let pair = |name: &str, path: &str| (name.to_owned(), path.to_owned());
        let expected = BTreeSet::from([
            pair("libouter.so", "/opt/lib/libouter.so"),
            pair("libinner.so", "/opt/lib/../srv/libinner.so"),
            pair("libc.so.6", LIBC),
        ]);
        assert_eq!(found, expected);
        if let Some(listed) = listed(&root, "/bin/program") {
            assert_eq!(found, listed);
        }
    }
    let (status, text, errors) = inspect(&["bindings", "--sysroot", sysroot, "/bin/program"]);
    assert_eq!((status, errors.as_str()), (0, ""), "{text}");
}

/// A link that climbs does not leave the root, and one that leads to itself ends.
#[test]
fn links_stay_inside() {
    let Some(root) = root("climbing") else { return };
    let sysroot = root.to_str().unwrap();
    let inner = root.join("opt/srv/libinner.so");
    let tree = || inspect(&["tree", "--sysroot", sysroot, "/bin/program"]);
    fs::remove_file(&inner).unwrap();
    symlink("../../../../../../../../srv/libinner.so", &inner).unwrap();
    assert_eq!(tree().0, 0, "{}", tree().1);

    // Out there it would be found.
    let outside = scratch("outside").join("libinner.so");
    fs::copy(root.join("srv/libinner.so"), &outside).unwrap();
    fs::remove_file(&inner).unwrap();
    symlink(&outside, &inner).unwrap();
    let (status, text, _) = tree();
    assert!(status == 1 && text.contains("libinner.so => not found (cannot open"), "{text}");

    fs::remove_file(&inner).unwrap();
    symlink("libinner.so", &inner).unwrap();
    let (status, text, _) = tree();
    assert!(
        status == 1 && text.contains("(RUNPATH of /opt/lib/libouter.so): Too many levels"),
        "{text}"
    );
}

/// The root's own cache and preload list count; this machine's, and its variables, do not.
#[test]
fn the_roots_own_configuration() {
    let Some(root) = root("configuration") else { return };
    let sysroot = root.to_str().unwrap();
    fs::rename(root.join("opt/lib/libouter.so"), root.join("srv/libouter.so")).unwrap();
    let tree = || inspect(&["tree", "--sysroot", sysroot, "/bin/program"]);
    let (status, text, _) = tree();
    assert_eq!(status, 1, "{text}");
    assert!(
        text.contains("tried /etc/ld.so.cache (cache): no usable cache; ldconfig(8) makes one\n"),
        "{text}"
    );

    fs::write(root.join("etc/ld.so.conf"), "/srv\n").unwrap();
    let made = command("/sbin/ldconfig").args(["-X", "-r"]).arg(&root).output();
    if made.is_ok_and(|output| output.status.success()) {
        let (status, text, _) = tree();
        assert_eq!(status, 0, "{text}");
        assert!(text.contains("libouter.so => /srv/libouter.so [cache]\n"), "{text}");
    } else {
        eprintln!("skipped: there is no ldconfig");
    }
    fs::write(root.join("etc/ld.so.preload"), "/srv/libouter.so\n").unwrap();
    let (_, text, _) = tree();
    assert!(text.contains("/srv/libouter.so => /srv/libouter.so [preload]\n"), "{text}");

    let output = command(crate::support::TOOL)
        .args(["tree", "--sysroot", sysroot, "/bin/program"])
        .env("LD_PRELOAD", "libthis-machine.so")
        .output()
        .unwrap();
    assert!(!String::from_utf8_lossy(&output.stdout).contains("this-machine"));
}

#[test]
fn no_root() {
    let words = [("/no/such", "No such file or directory"), (file!(), "Not a directory")];
    for (directory, why) in words {
        let (status, out, errors) = inspect(&["tree", "--sysroot", directory, "/bin/ls"]);
        assert_eq!((status, out.as_str()), (1, ""));
        assert_eq!(errors, format!("rld-inspect: {directory}: cannot be a root: {why}\n"));
    }
}
