//! Other Debian releases, each with a glibc and programs of its own, below a root of its own, which `tests/suites`
//! fetches.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

use super::run::Run;
use super::scratch::Scratch;

/// Those that are known, the oldest first.
pub const ALL: [&str; 4] = ["bullseye", "bookworm", "trixie", "sid"];

/// The root of a suite, fetched if need be; `None` where that cannot be done, which is tried once.
pub fn root(suite: &str) -> Option<PathBuf> {
    static FETCHED: Mutex<Option<HashMap<String, bool>>> = Mutex::new(None);
    let package = super::package();
    let all = std::env::var_os("RLD_SUITES")
        .map_or_else(|| package.join("target/suites"), |all| package.join(Path::new(&all)));
    let root = all.join(suite);
    let mut fetched = FETCHED.lock().ok()?;
    let is_there = fetched.get_or_insert_default().entry(suite.to_owned()).or_insert_with(|| {
        let fetch = || Command::new(package.join("tests/suites")).arg(suite).status();
        root.join(".complete").exists() || fetch().is_ok_and(|status| status.success())
    });
    is_there.then_some(root)
}

/// Where glibc's libraries and its loader lie, below a suite's root.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// One release.
#[derive(PartialEq, Eq, Debug)]
pub struct Suite {
    pub name: &'static str,
    /// The minor number of its glibc.
    pub minor: u32,
    /// The root with compilers for it, where what is linked on this machine asks for symbols that it lacks.
    development: Option<&'static str>,
}

/// All that are tested: these, or those that `RLD_RELEASES` names, each as `NAME:MINOR`, or `NAME:MINOR:NAME` with the
/// root of compilers for it. They lie beside one another below `RLD_SUITES`.
pub static SUITES: LazyLock<Vec<Suite>> = LazyLock::new(|| {
    let list = std::env::var("RLD_RELEASES")
        .unwrap_or_else(|_| "bullseye:31:bullseye-dev bookworm:36 trixie:41 sid:43".to_owned());
    let suites = list.leak().split_whitespace().map(|words| {
        let mut words = words.split(':');
        let (name, minor) = (words.next()?, words.next()?.parse().ok()?);
        Some(Suite { name, minor, development: words.next() })
    });
    suites.collect::<Option<_>>().expect("RLD_RELEASES is NAME:MINOR[:NAME] …")
});

impl Suite {
    /// The folder that is its root. There is nothing in it where there is an [`Suite::obstacle`].
    pub fn root(&self) -> PathBuf {
        root(self.name).unwrap_or_default()
    }

    /// The folder of its libraries.
    pub fn libraries(&self) -> PathBuf {
        self.root().join(LIBRARIES)
    }

    /// Its own loader.
    pub fn loader(&self) -> PathBuf {
        self.libraries().join("ld-linux-x86-64.so.2")
    }

    /// Why it is not at hand, if so.
    pub fn obstacle(&self) -> Option<&'static str> {
        root(self.name).is_none().then_some("tests/suites cannot fetch this Debian release")
    }

    /// Why nothing can be linked for it, if so.
    pub fn no_compilers(&self) -> Option<&'static str> {
        let is_missing = self.development.is_some_and(|name| root(name).is_none());
        is_missing.then_some("tests/suites cannot fetch the headers of this Debian release")
    }

    /// The folder of compilers in place of the machine's, where those do not do.
    pub fn compilers(&self) -> Option<PathBuf> {
        Some(root(self.development?)?.join("compilers"))
    }

    /// Makes `run` start in the suite, with a `loader` over its own: the suite's programs below
    /// `/usr`, settings of a small machine in `/etc`, the run's folder as `/tmp`.
    pub fn enter(&self, run: &mut Run, scratch: &Scratch, loader: &Path) -> Result<(), String> {
        let root = scratch.path().join("root");
        let text = |e: std::io::Error| format!("{}: {e}", root.display());
        for folder in ["usr", "proc", "dev", "tmp"] {
            fs::create_dir_all(root.join(folder)).map_err(text)?;
        }
        for name in ["bin", "lib", "lib64", "sbin"] {
            std::os::unix::fs::symlink(format!("usr/{name}"), root.join(name)).map_err(text)?;
        }
        let etc = scratch.copy_tree(&self.root().join("etc"), "root/etc");
        for (name, content) in ETC {
            fs::write(etc.join(name), content).map_err(text)?;
        }
        run.mounts.extend([
            (self.root().join("usr"), root.join("usr")),
            ("/proc".into(), root.join("proc")),
            ("/dev".into(), root.join("dev")),
            (run.dir.clone(), root.join("tmp")),
            (loader.to_owned(), root.join(LIBRARIES).join("ld-linux-x86-64.so.2")),
        ]);
        run.root = Some(root);
        run.env.extend(["HOME", "TMPDIR"].map(|name| (name.into(), OsString::from("/tmp"))));
        Ok(())
    }
}

/// What packages that are not in the suites would bring.
const ETC: [(&str, &str); 6] = [
    ("passwd", "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
    ("group", "root:x:0:\nnogroup:x:65534:\n"),
    ("hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"),
    ("services", "ssh 22/tcp\ndomain 53/tcp\ndomain 53/udp\nhttp 80/tcp www\n"),
    ("protocols", "ip 0 IP\ntcp 6 TCP\nudp 17 UDP\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nservices: db files\n"),
];
