extern crate std;

use super::*;
use alloc::string::{String, ToString};
use alloc::{format, vec};
use std::collections::BTreeMap as Map;

/// What a path of the fake file system holds.
#[derive(Clone)]
enum Node {
    Library,
    SetUserId,
    Errno(Errno),
    Unsuitable(Unsuitable),
    Broken,
}

#[derive(Default)]
struct Fake {
    nodes: Map<String, Node>,
    directories: Vec<String>,
    cache: Vec<u8>,
    /// The paths opened, and those asked about with a question mark behind them.
    calls: Vec<String>,
    announced: Vec<String>,
}

impl Fake {
    /// Libraries at these paths, and directories above them.
    fn with(paths: &[&str]) -> Self {
        let mut fake = Self::default();
        paths.iter().for_each(|path| fake.put(path, Node::Library));
        fake
    }

    fn put(&mut self, path: &str, node: Node) {
        for (at, _) in path.match_indices('/').skip(1) {
            self.directories.push(path[..at].to_string());
        }
        self.nodes.insert(path.to_string(), node);
    }

    fn calls(&mut self) -> Vec<String> {
        core::mem::take(&mut self.calls)
    }
}

impl Files for Fake {
    type File = bool;
    type Error = &'static str;

    fn open(&mut self, path: &CStr) -> Result<bool, Refusal<&'static str>> {
        let path = path.to_str().unwrap();
        self.calls.push(path.to_string());
        match self.nodes.get(path) {
            None => Err(Refusal::Absent(Errno::ENOENT)),
            Some(Node::Library) => Ok(false),
            Some(Node::SetUserId) => Ok(true),
            Some(Node::Errno(errno)) => Err(Refusal::Absent(*errno)),
            Some(Node::Unsuitable(unsuitable)) => Err(Refusal::Unsuitable(*unsuitable)),
            Some(Node::Broken) => Err(Refusal::Fatal("invalid ELF header")),
        }
    }

    fn is_dir(&mut self, path: &CStr) -> bool {
        let path = path.to_str().unwrap();
        self.calls.push(format!("{path}?"));
        self.directories.iter().any(|directory| directory == path)
    }

    fn is_set_user_id(&mut self, file: &bool) -> bool {
        *file
    }

    fn names(&mut self, directory: &CStr, each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) {
        let directory = format!("{}/", directory.to_str().unwrap());
        self.calls.push(format!("{directory}*"));
        let names = self.nodes.keys().filter_map(|path| path.strip_prefix(&directory));
        let mut names = names.filter(|name| !name.contains('/'));
        let _ = names.try_for_each(|name| each(name.as_bytes()));
    }

    fn cache(&mut self) -> Option<Cache<'_>> {
        Cache::parse(&self.cache).ok()
    }

    fn searching(&mut self, origin: &Origin<'_>, directories: &mut dyn Iterator<Item = &[u8]>) {
        let directories = directories.map(|name| String::from_utf8_lossy(name).into_owned());
        let directories: Vec<_> = directories.collect();
        self.announced.push(format!("{origin}: {}", directories.join(":")));
    }
}

static MACHINE: Root = Root::MACHINE;

const CONFIG: Config<'static> = Config {
    root: &MACHINE,
    system: System {
        lib: b"lib/multi",
        directories: &[b"/lib/multi", b"/usr/lib"],
        rules: Rules::Glibc,
    },
    platform: Some(b"x86_64"),
    secure: false,
    library_path: b"",
    origin: b"/app/bin",
    inhibit_cache: false,
    inhibit_rpath: None,
};

fn plain() -> Hwcaps {
    Hwcaps::new(1, b"", None)
}

fn search(config: Config<'_>) -> Search {
    Search::new(&config, plain())
}

fn owner(id: u32, name: &'static str) -> PathOwner<'static> {
    PathOwner {
        id: ObjectId(id),
        name: name.as_bytes(),
        origin: b"/app/bin",
        rpath: None,
        runpath: None,
        nodeflib: false,
    }
}

/// A cache with one soname.
fn cache_of(name: &str, path: &str) -> Vec<u8> {
    let mut file = cache::MAGIC.to_vec();
    let strings = (name.len() + path.len() + 2) as u32;
    let words = [1, strings, 2, 0, 0, 0, 0, 0x303, 72, 73 + name.len() as u32, 0, 0, 0];
    words.iter().for_each(|word: &u32| file.extend_from_slice(&word.to_le_bytes()));
    file.extend_from_slice(format!("{name}\0{path}\0").as_bytes());
    file
}

fn find(
    search: &mut Search,
    fake: &mut Fake,
    name: &str,
    chain: &[PathOwner<'_>],
) -> Result<(String, String), Failure<&'static str>> {
    let found = search.find(fake, name.as_bytes(), chain, Purpose::Library)?;
    Ok((found.path.into_string().unwrap(), found.origin.to_string()))
}

/// Where a library is found, or what was tried.
fn found(search: &mut Search, fake: &mut Fake, name: &str, chain: &[PathOwner<'_>]) -> String {
    match find(search, fake, name, chain) {
        Ok((path, origin)) => format!("{path} ({origin})"),
        Err(Failure::NotFound(not_found)) => not_found.to_string(),
        Err(Failure::Fatal { path, error }) => format!("{}! {error}", path.to_str().unwrap()),
    }
}

#[test]
fn every_place_in_order() {
    let places = [
        ("/r1/libx.so", "RPATH of liba.so"),
        ("/r2/libx.so", "RPATH of app"),
        ("/llp/libx.so", "LD_LIBRARY_PATH"),
        ("/cached/libx.so", "cache"),
        ("/lib/multi/libx.so", "default"),
        ("/usr/lib/libx.so", "default"),
    ];
    let chain = [
        PathOwner { rpath: Some(b"/r1"), ..owner(1, "liba.so") },
        PathOwner { runpath: Some(b"/never"), rpath: Some(b"/never"), ..owner(2, "libb.so") },
        PathOwner { rpath: Some(b"/r2"), ..owner(0, "app") },
    ];
    for from in 0..places.len() {
        let mut paths: Vec<&str> = places[from..].iter().map(|place| place.0).collect();
        paths.push("/never/libx.so");
        let mut fake = Fake::with(&paths);
        if from <= 3 {
            fake.cache = cache_of("libx.so", "/cached/libx.so");
        }
        let mut search = search(Config { library_path: b"/llp", ..CONFIG });
        let (path, origin) = places[from];
        let expected = format!("{path} ({origin})");
        assert_eq!(found(&mut search, &mut fake, "libx.so", &chain), expected);
    }
}

#[test]
fn runpath_comes_after_the_library_path_and_shuts_out_rpath() {
    let chain = [
        PathOwner { runpath: Some(b"/run"), rpath: Some(b"/own"), ..owner(1, "liba.so") },
        PathOwner { rpath: Some(b"/exe"), ..owner(0, "app") },
    ];
    let all = ["/run/l.so", "/own/l.so", "/exe/l.so", "/llp/l.so"];
    let mut with_path = search(Config { library_path: b"/llp", ..CONFIG });
    let result = found(&mut with_path, &mut Fake::with(&all), "l.so", &chain);
    assert_eq!(result, "/llp/l.so (LD_LIBRARY_PATH)");
    let mut without = search(CONFIG);
    let result = found(&mut without, &mut Fake::with(&all), "l.so", &chain);
    assert_eq!(result, "/run/l.so (RUNPATH of liba.so)");
    let result = found(&mut without, &mut Fake::with(&all[1..]), "l.so", &chain);
    assert!(
        result.starts_with("l.so: cannot open shared object file: No such file or"),
        "{result}"
    );
}

#[test]
fn runpath_does_not_reach_further_down() {
    let chain = [owner(1, "liba.so"), PathOwner { runpath: Some(b"/run"), ..owner(0, "app") }];
    let result = found(&mut search(CONFIG), &mut Fake::with(&["/run/l.so"]), "l.so", &chain);
    assert!(result.contains("needed by liba.so") && !result.contains("/run"), "{result}");
}

#[test]
fn a_name_with_a_slash_is_that_path() {
    let mut fake = Fake::with(&["/app/bin/../x.so", "./y.so", "/llp/./z.so"]);
    let mut search = search(Config { library_path: b"/llp", ..CONFIG });
    let chain = [owner(0, "app")];
    let result = found(&mut search, &mut fake, "$ORIGIN/../x.so", &chain);
    assert_eq!(result, "/app/bin/../x.so (the name has a slash)");
    assert_eq!(found(&mut search, &mut fake, "./y.so", &[]), "./y.so (the name has a slash)");
    let result = found(&mut search, &mut fake, "./z.so", &chain);
    assert_eq!(
        result,
        "./z.so: cannot open shared object file: No such file or directory\n\tneeded by app\n\
         \ttried ./z.so (the name has a slash): No such file or directory"
    );
    // Only a requester gives the tokens a meaning.
    let result = found(&mut search, &mut fake, "$ORIGIN/../x.so", &[]);
    assert!(result.contains("tried $ORIGIN/../x.so"), "{result}");
}

#[test]
fn lists_split_like_those_of_ld_so() {
    let mut search = search(Config { library_path: b":/a//;/b:;$ORIGIN/x;/a:${NO}", ..CONFIG });
    let chain =
        [PathOwner { rpath: Some(b"/r;s::$ORIGIN/../$LIB:/${PLATFORM}/"), ..owner(0, "app") }];
    let places: Vec<String> = search
        .places(&chain)
        .map(|(origin, path)| format!("{origin} {}", String::from_utf8_lossy(path)))
        .collect();
    assert_eq!(
        places,
        [
            "RPATH of app /r;s",
            "RPATH of app .",
            "RPATH of app /app/bin/../lib/multi",
            "RPATH of app /x86_64",
            "LD_LIBRARY_PATH .",
            "LD_LIBRARY_PATH /a",
            "LD_LIBRARY_PATH /b",
            "LD_LIBRARY_PATH /app/bin/x",
            "LD_LIBRARY_PATH ${NO}",
            "default /lib/multi",
            "default /usr/lib",
        ]
    );
}

#[test]
fn an_empty_list_is_no_list_but_an_empty_element_is_here() {
    let chain = [PathOwner { rpath: Some(b""), ..owner(0, "app") }];
    let mut fake = Fake::with(&["l.so"]);
    assert!(find(&mut search(CONFIG), &mut fake, "l.so", &chain).is_err());
    let mut search = search(Config { library_path: b":", ..CONFIG });
    assert_eq!(found(&mut search, &mut fake, "l.so", &chain), "l.so (LD_LIBRARY_PATH)");
}

#[test]
fn absent_directories_are_asked_for_once() {
    let mut fake = Fake::with(&["/b/l.so", "/b/m.so", "/b/glibc-hwcaps/x86-64-v2/n.so"]);
    let config = Config { library_path: b"/a:/b", ..CONFIG };
    let mut search = Search::new(&config, Hwcaps::new(7, b"", None));
    find(&mut search, &mut fake, "l.so", &[]).unwrap();
    assert_eq!(
        fake.calls(),
        [
            "/a/glibc-hwcaps?",
            "/a/l.so",
            "/a?",
            "/b/glibc-hwcaps?",
            "/b/glibc-hwcaps/x86-64-v3/l.so",
            "/b/glibc-hwcaps/x86-64-v3?",
            "/b/glibc-hwcaps/x86-64-v2/l.so",
            "/b/glibc-hwcaps/x86-64-v2?",
            "/b/l.so",
        ]
    );
    find(&mut search, &mut fake, "m.so", &[]).unwrap();
    assert_eq!(fake.calls(), ["/b/glibc-hwcaps/x86-64-v2/m.so", "/b/m.so"]);
    let result = found(&mut search, &mut fake, "n.so", &[]);
    assert_eq!(result, "/b/glibc-hwcaps/x86-64-v2/n.so (LD_LIBRARY_PATH)");
    assert_eq!(fake.announced.first().unwrap(), "LD_LIBRARY_PATH: /a:/b");
    assert_eq!(fake.announced.last().unwrap(), "LD_LIBRARY_PATH: /b");
}

#[test]
fn nothing_is_remembered_of_relative_directories() {
    let mut fake = Fake::default();
    let mut search = search(Config { library_path: b"sub", ..CONFIG });
    assert!(find(&mut search, &mut fake, "l.so", &[]).is_err());
    fake.put("sub/l.so", Node::Library);
    assert_eq!(found(&mut search, &mut fake, "l.so", &[]), "sub/l.so (LD_LIBRARY_PATH)");
}

#[test]
fn nodeflib_shuts_out_the_defaults_even_from_the_cache() {
    let chain = [PathOwner { nodeflib: true, ..owner(0, "app") }];
    let mut fake = Fake::with(&["/usr/lib/sub/l.so", "/usr/lib/l.so", "/usr/libx/l.so"]);
    fake.cache = cache_of("l.so", "/usr/lib/sub/l.so");
    let result = found(&mut search(CONFIG), &mut fake, "l.so", &chain);
    assert!(result.contains("tried /usr/lib/sub/l.so (cache): the object's flags"), "{result}");
    assert!(!result.contains("(default)"), "{result}");
    fake.cache = cache_of("l.so", "/usr/libx/l.so");
    let result = found(&mut search(CONFIG), &mut fake, "l.so", &chain);
    assert_eq!(result, "/usr/libx/l.so (cache)");
}

#[test]
fn the_inhibiting_options_inhibit() {
    let mut fake = Fake::with(&["/r/l.so", "/usr/lib/l.so", "/cached/l.so"]);
    fake.cache = cache_of("l.so", "/cached/l.so");
    let chain = [PathOwner { rpath: Some(b"/r"), ..owner(0, "app") }];
    let config = Config { inhibit_rpath: Some(b"other:app"), ..CONFIG };
    assert_eq!(found(&mut search(config), &mut fake, "l.so", &chain), "/cached/l.so (cache)");
    let config = Config { inhibit_cache: true, ..config };
    assert_eq!(found(&mut search(config), &mut fake, "l.so", &chain), "/usr/lib/l.so (default)");
    let config = Config { inhibit_rpath: Some(b"ap:pp"), ..config };
    assert_eq!(found(&mut search(config), &mut fake, "l.so", &chain), "/r/l.so (RPATH of app)");
    // An empty name is the program's, but not behind the last colon.
    for (list, inhibits) in
        [("", true), (":", true), (":x", true), ("x::", true), ("x:", false), ("x", false)]
    {
        let config = Config { inhibit_rpath: Some(list.as_bytes()), ..config };
        let result = found(&mut search(config), &mut fake, "l.so", &chain);
        assert_eq!(result == "/usr/lib/l.so (default)", inhibits, "{list}: {result}");
    }
}

#[test]
fn libraries_for_other_machines_are_passed_over_and_remembered() {
    let mut fake = Fake::with(&["/usr/lib/l.so"]);
    fake.put("/a/l.so", Node::Unsuitable(Unsuitable::WrongClass));
    fake.put("/b/l.so", Node::Unsuitable(Unsuitable::WrongMachine));
    let mut search = search(Config { library_path: b"/a:/b", ..CONFIG });
    assert_eq!(found(&mut search, &mut fake, "l.so", &[]), "/usr/lib/l.so (default)");
    fake.nodes.remove("/usr/lib/l.so");
    assert_eq!(
        found(&mut search, &mut fake, "l.so", &[]),
        "l.so: wrong ELF class: ELFCLASS32\n\
         \ttried /a (LD_LIBRARY_PATH): wrong ELF class: ELFCLASS32\n\
         \ttried /b (LD_LIBRARY_PATH): for another processor\n\
         \ttried /etc/ld.so.cache (cache): no usable cache; ldconfig(8) makes one\n\
         \ttried /lib/multi (default): no such directory\n\
         \ttried /usr/lib (default): No such file or directory\n\
         \tnear miss: /a/l.so: a library for 32-bit programs\n\
         \tnear miss: /b/l.so: a library for another processor"
    );
}

#[test]
fn a_file_that_is_broken_ends_the_search() {
    let mut fake = Fake::with(&["/usr/lib/l.so"]);
    fake.put("/a/l.so", Node::Broken);
    let mut search = search(Config { library_path: b"/a", ..CONFIG });
    assert_eq!(found(&mut search, &mut fake, "l.so", &[]), "/a/l.so! invalid ELF header");
}

#[test]
fn a_file_that_cannot_be_read_ends_its_list_unless_it_is_forbidden() {
    let mut fake = Fake::with(&["/b/l.so", "/usr/lib/l.so"]);
    fake.put("/a/l.so", Node::Errno(Errno::EACCES));
    let mut search = search(Config { library_path: b"/a:/b", ..CONFIG });
    assert_eq!(found(&mut search, &mut fake, "l.so", &[]), "/b/l.so (LD_LIBRARY_PATH)");
    fake.put("/a/l.so", Node::Errno(Errno(libc::ELOOP)));
    assert_eq!(found(&mut search, &mut fake, "l.so", &[]), "/usr/lib/l.so (default)");
}

#[test]
fn a_stale_cache_is_not_the_end() {
    let mut fake = Fake::with(&["/usr/lib/l.so"]);
    fake.cache = cache_of("l.so", "/gone/l.so");
    assert_eq!(found(&mut search(CONFIG), &mut fake, "l.so", &[]), "/usr/lib/l.so (default)");
    fake.nodes.clear();
    let result = found(&mut search(CONFIG), &mut fake, "l.so", &[]);
    assert!(result.contains("tried /gone/l.so (cache): No such file or directory"), "{result}");
}

#[test]
fn another_version_in_the_cache_is_a_near_miss() {
    let mut fake = Fake { cache: cache_of("libssl.so.3", "/lib/libssl.so.3"), ..Fake::default() };
    let result = found(&mut search(CONFIG), &mut fake, "libssl.so.1.1", &[]);
    assert!(result.ends_with("near miss: /lib/libssl.so.3: another version"), "{result}");
    let result = found(&mut search(CONFIG), &mut fake, "libssl2.so.1.1", &[]);
    assert!(!result.contains("near miss"), "{result}");
}

#[test]
fn another_version_in_a_searched_directory_is_a_near_miss() {
    let (a, b) = ("/a/libz.so.2", "/usr/lib/libz.so");
    let mut fake = Fake::with(&[a, "/a/libzz.so.1", "/a/libz.a", b, "/c/libz.so.3"]);
    let config = Config { library_path: b"/absent:/a:/a", ..CONFIG };
    let result = found(&mut search(config), &mut fake, "libz.so.1", &[]);
    let near: Vec<_> = result.lines().filter(|line| line.contains("near miss")).collect();
    let expected = [a, b].map(|path| format!("\tnear miss: {path}: another version"));
    assert_eq!(near, expected);
    let listed: Vec<_> = fake.calls().into_iter().filter(|call| call.ends_with('*')).collect();
    assert_eq!(listed, ["/a/*", "/usr/lib/*"]);

    // Where there is a cache, default directories are not read.
    fake.cache = cache_of("libz.so", b);
    let result = found(&mut search(config), &mut fake, "libz.so.1", &[]);
    assert!(result.contains(a) && result.contains(b), "{result}");
    assert!(!fake.calls().contains(&"/usr/lib/*".to_string()));

    let config = Config { secure: true, ..CONFIG };
    let chain = [PathOwner { runpath: Some(b"/usr/lib"), ..owner(0, "app") }];
    found(&mut search(config), &mut fake, "libz.so.1", &chain);
    assert!(!fake.calls().iter().any(|call| call.ends_with('*')));
}

#[test]
fn what_cannot_be_opened_is_a_near_miss() {
    let mut fake = Fake::default();
    fake.put("/a/plugin", Node::Errno(Errno::EACCES));
    fake.put("/b/plugin", Node::Errno(Errno::ENOENT));
    fake.put("/c/plugin", Node::Errno(Errno(libc::ELOOP)));
    let config = Config { library_path: b"/a:/b:/c", ..CONFIG };
    let result = found(&mut search(config), &mut fake, "plugin", &[]);
    let near: Vec<_> = result.lines().filter_map(|it| it.strip_prefix("\tnear miss: ")).collect();
    assert_eq!(
        near,
        [
            "/a/plugin: Permission denied",
            "/b/plugin: a symbolic link that leads nowhere",
            "/c/plugin: Too many levels of symbolic links"
        ]
    );
    assert!(result.contains("tried /c (LD_LIBRARY_PATH): Too many levels"), "{result}");
}

#[test]
fn few_near_misses_are_named() {
    let paths: Vec<_> = (2..9).map(|version| format!("/a/libz.so.{version}")).collect();
    let mut fake = Fake::with(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    let config = Config { library_path: b"/a", ..CONFIG };
    let result = found(&mut search(config), &mut fake, "libz.so.1", &[]);
    assert_eq!(result.matches("near miss").count(), 4, "{result}");
}

#[test]
fn secure_preloads_come_from_default_directories_and_are_set_user_id() {
    let chain = [PathOwner { rpath: Some(b"/r"), ..owner(0, "app") }];
    let mut search = search(Config { secure: true, library_path: b"/llp", ..CONFIG });
    let mut fake = Fake::default();
    for path in ["/r/p.so", "/llp/p.so", "/cached/p.so", "/usr/lib/p.so"] {
        fake.put(path, Node::SetUserId);
    }
    fake.put("/lib/multi/p.so", Node::Library);
    fake.cache = cache_of("p.so", "/cached/p.so");
    let found = search.find(&mut fake, b"p.so", &chain, Purpose::Preload).unwrap();
    assert_eq!(found.path.to_str(), Ok("/usr/lib/p.so"));
    // A dependency in secure mode may have an RPATH still, but LD_LIBRARY_PATH is void.
    let found = search.find(&mut fake, b"p.so", &chain, Purpose::Library).unwrap();
    assert_eq!(found.path.to_str(), Ok("/r/p.so"));
    fake.nodes.remove("/r/p.so");
    let found = search.find(&mut fake, b"p.so", &chain, Purpose::Library).unwrap();
    assert_eq!(found.origin, Origin::Cache);
}

#[test]
fn preload_paths_say_so() {
    let mut fake = Fake::with(&["/x/p.so"]);
    let found = search(CONFIG).find(&mut fake, b"/x/p.so", &[], Purpose::Preload).unwrap();
    assert_eq!(found.origin.to_string(), "preload");
}

#[test]
fn an_unloaded_object_leaves_no_list_behind() {
    let mut fake = Fake::with(&["/new/l.so"]);
    let mut search = search(CONFIG);
    let old = [PathOwner { runpath: Some(b"/old"), ..owner(1, "old") }];
    let new = [PathOwner { runpath: Some(b"/new"), ..owner(1, "new") }];
    assert!(find(&mut search, &mut fake, "l.so", &old).is_err());
    search.forget(ObjectId(1));
    assert_eq!(found(&mut search, &mut fake, "l.so", &new), "/new/l.so (RUNPATH of new)");
}

#[test]
fn arbitrary_strings_do_no_harm() {
    let parts = [
        "$ORIGIN", "${", "}", "$", "LIB", "PLATFORM", ":", ";", "/", "..", "\0", "\u{ff}", "x", "",
    ];
    let mut seed = 1_usize;
    let mut text = move || {
        let mut text = vec![];
        for _ in 0..8 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.extend_from_slice(parts[(seed >> 33) % parts.len()].as_bytes());
        }
        text
    };
    for round in 0..2_000 {
        let (library_path, rpath, name) = (text(), text(), text());
        let mut search =
            search(Config { secure: round % 2 == 0, library_path: &library_path, ..CONFIG });
        let chain = [PathOwner { rpath: Some(&rpath), ..owner(0, "app") }];
        let result = search.find(&mut Fake::default(), &name, &chain, Purpose::Library);
        assert!(matches!(result, Err(Failure::NotFound(_))));
    }
}

/// The system's own ld.so looks into the same directories in the same order, apart from the legacy subdirectories
/// that 2.36 still has.
#[test]
fn agrees_with_ld_so() {
    const LD_SO: &str = "/lib64/ld-linux-x86-64.so.2";
    const LIBRARY_PATH: &str = ":/nope//;/tmp:/nope:/$LIB/x;;/${LIB}s/$NO:$LIBS/:/:tmp/./:/$$LIB";
    let output = std::process::Command::new(LD_SO)
        .args(["--inhibit-cache", "--library-path", LIBRARY_PATH])
        .args(["--preload", "libnone-such.so", "/bin/true"])
        .env("LD_DEBUG", "libs")
        .output();
    let trace = output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
    let Some(trace) = trace.ok().filter(|trace| trace.contains("/lib/x86_64-linux-gnu")) else {
        std::eprintln!("skipped: {LD_SO} is not that of Debian");
        return;
    };
    let mut expected = Vec::new();
    for line in trace.lines().skip_while(|line| !line.contains("find library=libnone-such.so")) {
        let Some((_, list)) = line.split_once(" search path=") else {
            if line.contains("find library=libc.so.6") {
                break;
            }
            continue;
        };
        let list = list.split('\t').next().unwrap();
        let legacy = |path: &str| path.ends_with("tls") || path.ends_with("x86_64");
        let own = list.split(':').filter(|path| !path.contains("glibc-hwcaps") && !legacy(path));
        expected.extend(own.map(|path| if path.is_empty() { "." } else { path }.to_string()));
    }
    let config = Config { library_path: LIBRARY_PATH.as_bytes(), system: System::DEBIAN, ..CONFIG };
    let mut search = search(config);
    let places = search.places(&[]).map(|(_, path)| String::from_utf8_lossy(path).into_owned());
    assert_eq!(places.collect::<Vec<_>>(), expected);
}

#[test]
fn musl_has_three_places() {
    let system = System { rules: Rules::Musl, ..CONFIG.system };
    let config = Config { system, library_path: b":/llp\n", ..CONFIG };
    let chain = [
        PathOwner { runpath: Some(b"/run"), rpath: Some(b"/never"), ..owner(1, "liba.so") },
        PathOwner { rpath: Some(b"$ORIGIN"), nodeflib: true, ..owner(0, "app") },
    ];
    let places = [
        ("/llp/l.so", "LD_LIBRARY_PATH"),
        ("/run/l.so", "RUNPATH of liba.so"),
        ("/app/bin/l.so", "RPATH of app"),
        ("/lib/multi/l.so", "default"),
    ];
    for from in 0..places.len() {
        let mut paths: Vec<&str> = places[from..].iter().map(|place| place.0).collect();
        paths.extend(["/never/l.so", "l.so", "/run/glibc-hwcaps/x86-64-v2/l.so"]);
        let mut fake = Fake::with(&paths);
        fake.cache = cache_of("l.so", "/cached/l.so");
        fake.put("/cached/l.so", Node::Library);
        let mut search = Search::new(&config, Hwcaps::new(7, b"", None));
        let (path, origin) = places[from];
        let expected = format!("{path} ({origin})");
        assert_eq!(found(&mut search, &mut fake, "l.so", &chain), expected);
    }
}
