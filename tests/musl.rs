//! Programs of musl, compiled here against the musl of several Debian releases, and some that were
//! compiled on Alpine: under rld they do what they do under musl's own loader. Output and exit status are
//! compared.
//!
//! Sources are in `tests/musl/`. Each case is run in each way: with rld as the command, as the program's
//! interpreter, and mounted over musl's loader. What concerns the loader alone is tested besides: what it
//! says, what is shown of a start, what debuggers see (`musl/debugger.rs`), and what a set-user-ID program
//! ignores (`musl/secure.rs`).

#[path = "musl/debugger.rs"]
mod debugger;
#[path = "musl/secure.rs"]
mod secure;
mod support;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use libtest_mimic::Completion;
use support::build::{self, Step};
use support::loader::{self, Way};
use support::run::{self, End, Outcome, Run};
use support::{Verdict, musl, run_all, skipped, suites, trial};

/// What is compiled and run.
struct Case {
    name: &'static str,
    /// Lines for the shell. `library` and `program` compile and link; the first word is what is made.
    build: &'static str,
    /// Command lines: variables of the environment, the program, its arguments.
    runs: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "hello",
        build: "program hello hello.c",
        runs: &["GREETING=hello hello", "hello a 'b c'", "GREETING= hello ''"],
    },
    Case {
        name: "tls",
        build: "library libie.so tls_lib.c -DMODEL=ie -ftls-model=initial-exec
            library libgd.so tls_lib.c -DMODEL=gd
            library libdesc.so tls_lib.c -DMODEL=desc -mtls-dialect=gnu2
            program tls tls.c libie.so libgd.so libdesc.so
            program fixed -no-pie tls.c libdesc.so libgd.so libie.so",
        runs: &["tls", "fixed"],
    },
    Case { name: "threads", build: "program threads threads.c", runs: &["threads"] },
    Case {
        name: "dlopen",
        build: "library libneeded.so needed.c
            library libplugin.so plugin.c libneeded.so
            program dlopen dlopen.c -rdynamic",
        runs: &["dlopen"],
    },
    Case {
        name: "order",
        build: "library libc1.so order.c -DNAME=c -DLEAVES
            library libd.so order.c -DNAME=d
            library liba.so order.c -DNAME=a -DNEEDS=c libc1.so
            library libb.so order.c -DNAME=b -DNEEDS=d -DNEEDS_TOO=a libd.so liba.so
            program order order.c libb.so liba.so",
        runs: &[
            "order",
            "order exit",
            "order _exit",
            "LEAVE=1 order",
            "LD_PRELOAD=./libd.so order",
        ],
    },
    Case { name: "locale", build: "program locale locale.c", runs: &["locale"] },
    Case {
        name: "fork",
        build: "library libvalue.so value.c
            for i in $(seq 0 20); do cp libvalue.so copy$i.so; done
            program fork fork.c",
        runs: &["fork"],
    },
    Case {
        name: "copies",
        build: "library libshared.so shared.c
            program copies copies.c -fno-pie -no-pie libshared.so
            program allocator copies.c -fno-builtin -DALLOCATOR libshared.so",
        runs: &["copies -a -b value", "allocator"],
    },
    Case {
        name: "static_tls",
        build: "library libie.so tls_lib.c -DMODEL=ie -ftls-model=initial-exec
            program static_tls static_tls.c",
        runs: &["static_tls"],
    },
    Case {
        name: "rules",
        build: "library libunique.so unique.c -DSTART=10
            library libunique2.so unique.c -DSTART=20
            library libname.so unique.c -DSTART=30 -Dnumber=counter_of_other
            library libasks.so asks.c libname.so
            mv libname.so renamed.so
            ln -f renamed.so other.so
            program rules rules.c",
        runs: &["rules"],
    },
    Case {
        name: "lazy",
        build: "library liblazy.so lazy_library.c -Wl,-z,lazy
            library libnow.so lazy_library.c -Wl,-z,lazy
            library libdata.so lazy_library.c -Wl,-z,lazy -DDATA
            library liblater.so lazy_library.c -DLATER
            program lazy lazy.c",
        runs: &["lazy"],
    },
    Case {
        // Linked with the oldest musl, which has these names itself.
        name: "large_files",
        build: "lib=${SUITE%/*}/bullseye/usr/lib/x86_64-linux-musl
            program large_files large_files.c",
        runs: &["large_files"],
    },
    Case {
        // A real program, with a module in C that it opens.
        name: "lua",
        build: "tar -xf $SOURCES/lua5.4_*.orig.tar.* --strip-components=1
            program lua -DLUA_USE_POSIX -DLUA_USE_DLOPEN -Wl,-E $(ls $PWD/src/*.c | grep -v luac.c)
            library counter.so counter.c -Isrc
            cp $SRC/work.lua .",
        runs: &["lua work.lua a b", "lua -e 'error(1)'"],
    },
    Case {
        name: "preload",
        build: "library libinterpose.so interpose.c
            library libneeded.so needed.c
            library libplugin.so plugin.c libneeded.so
            program hello hello.c
            program dlopen dlopen.c -rdynamic",
        runs: &[
            "GREETING=hello LD_PRELOAD=./libinterpose.so hello x",
            "LD_PRELOAD=./libinterpose.so:./libneeded.so dlopen",
        ],
    },
];

/// Releases with a musl that knows DT_RELR (1.2.4), as what is compiled on Alpine takes for granted.
const RELR: [&str; 2] = ["trixie", "sid"];
/// Programs with Alpine's libraries for C++.
const CXX: Case = Case {
    name: "cxx",
    build: "cp $WHEELS/greenlet.libs/lib* .
        cxx libshapes.so -shared -fPIC cxx_library.cc -Wl,-soname,libshapes.so
        cxx libplugin3.so -shared -fPIC -DSIDE=3 cxx_plugin.cc libshapes.so
        cxx libplugin4.so -shared -fPIC -DSIDE=4 cxx_plugin.cc libshapes.so
        cxx_program cxx cxx.cc
        cxx_program replace -DREPLACE cxx.cc",
    runs: &["cxx", "cxx exit", "cxx terminate", "replace"],
};
/// One that was compiled on Alpine. It names a loader that this machine need not have: both are run as
/// commands.
const NINJA: Case = Case {
    name: "ninja",
    build: "cp $WHEELS/ninja-*.data/scripts/ninja $SRC/build.ninja .
        chmod +x ninja",
    runs: &[
        "RLD_MUSL_LIBC=./libc.so ninja",
        "RLD_MUSL_LIBC=./libc.so ninja -t commands fails",
        "RLD_MUSL_LIBC=./libc.so ninja -n -v fails",
        "RLD_MUSL_LIBC=./libc.so ninja fails",
        "RLD_MUSL_LIBC=./libc.so ninja nothing",
    ],
};

/// musl's loader in the folder of a case; it is the C library, too.
const LOADER: &str = "ld-musl-x86_64.so.1";
/// Why nothing is tested.
const NO_SUITE: &str = "there is no such suite, and it cannot be fetched";

/// What rld says: how programs are built, the command, its status, and lines on stderr, of which the first
/// is the first. Without lines nothing is said.
const SAID: &[(&str, &str, &str, i32, &[&str])] = &[
    (
        "auditors",
        "program needs needs.c part.c -DFIRST",
        "--audit ./one.so:./two.so ./needs",
        0,
        &[
            "ERROR: ld.so: object './one.so' cannot be loaded as audit interface: a program of musl has \
             none; ignored.",
            "ERROR: ld.so: object './two.so' cannot be loaded as audit interface: a program of musl has \
             none; ignored.",
        ],
    ),
    // Under rld, and as musl's loader runs the program.
    ("loader", "program needs needs.c part.c -DFIRST", "./libc.so ./needs", 0, &[]),
    (
        "root",
        "library libpart.so part.c -DFIRST
            program needs needs.c libpart.so -Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1
            mkdir -p root/lib root/etc root/opt/parts root/usr/bin
            mv libc.so root/lib/ld-musl-x86_64.so.1
            rm ld-musl-x86_64.so.1
            mv needs root/usr/bin
            mv libpart.so root/opt/parts
            printf '/lib:/usr/lib\\n/opt/parts\\n' >root/etc/ld-musl-x86_64.path",
        "--sysroot root needs",
        0,
        &[],
    ),
    (
        "root_lacks",
        "library libpart.so part.c -DFIRST
            program needs needs.c libpart.so -Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1
            mkdir -p root/lib root/etc root/usr/bin
            mv libc.so root/lib/ld-musl-x86_64.so.1
            mv needs root/usr/bin
            printf '/opt/parts\\n' >root/etc/ld-musl-x86_64.path",
        "--sysroot $DIR/root /usr/bin/needs",
        127,
        &[
            "$DIR/root/usr/bin/needs: error while loading shared libraries: libpart.so: cannot open shared \
             object file: No such file or directory",
            "\ttried $DIR/root/opt/parts (default): no such directory",
        ],
    ),
];

/// A case with the libraries of a suite.
struct Built {
    name: &'static str,
    build: &'static str,
    runs: &'static [&'static str],
    suite: &'static str,
    folder: OnceLock<Result<Option<PathBuf>, String>>,
}

impl Built {
    /// The folder with the results; `None` without the suite.
    fn folder(&self) -> Result<Option<&Path>, String> {
        let folder = self.folder.get_or_init(|| {
            let Some(root) = suites::root(self.suite) else { return Ok(None) };
            let mut script = musl::prelude(&root) + self.build;
            for (variable, suite) in [("SOURCES", "sources"), ("WHEELS", "alpine")] {
                if self.build.contains(&format!("${variable}")) {
                    let Some(root) = suites::root(suite) else { return Ok(None) };
                    script.insert_str(0, &format!("{variable}={}\n", root.display()));
                }
            }
            let name = format!("musl-{}-{}", self.suite, self.name);
            let sources = support::package().join("tests/musl");
            build::build(&name, &sources, &[Step::Shell(script)]).map(Some)
        });
        folder.as_ref().map(Option::as_deref).map_err(Clone::clone)
    }
}

fn main() {
    let mut trials = Vec::new();
    for suite in suites::ALL {
        const ALL: &[Way] = &[Way::Direct, Way::PtInterp, Way::Bind];
        let of_alpine = [(&CXX, Start::Own, ALL), (&NINJA, Start::Command, &[Way::Direct])];
        let of_alpine = of_alpine.into_iter().filter(|_| RELR.contains(&suite));
        let all = CASES.iter().map(|case| (case, Start::Own, ALL)).chain(of_alpine);
        for (&Case { name, build, runs }, own, ways) in all {
            let built = Arc::new(Built { name, build, runs, suite, folder: OnceLock::new() });
            for &way in ways {
                let label = format!("{name}::{suite}::{}", way.name());
                let test = move |label: &_, built: &_| compare(label, built, own, way);
                trials.push(trial(label, &built, test));
            }
        }
        let (name, build) =
            ("inspect", "library libpart.so part.c -DFIRST\nprogram needs needs.c libpart.so");
        let built = Arc::new(Built { name, build, runs: &[], suite, folder: OnceLock::new() });
        trials.push(trial(format!("{name}::{suite}"), &built, inspected));
        for &(name, build, command, status, words) in SAID {
            let built = Arc::new(Built { name, build, runs: &[], suite, folder: OnceLock::new() });
            let test = move |label: &_, built: &_| said(label, built, command, status, words);
            trials.push(trial(format!("said/{name}::{suite}"), &built, test));
        }
        for (name, build, test) in [
            ("debugger", debugger::BUILD, debugger::test as Apart),
            ("secure", secure::BUILD, secure::test),
        ] {
            let built = Arc::new(Built { name, build, runs: &[], suite, folder: OnceLock::new() });
            let test = move |label: &_, built: &_| with_folder(label, built, test);
            trials.push(trial(format!("{name}::{suite}"), &built, test));
        }
    }
    run_all(trials);
}

/// Who starts a program.
#[derive(Clone, Copy)]
enum Start {
    /// musl's loader, which the program names.
    Own,
    /// The same, as a command.
    Command,
    /// rld.
    Rld(Way),
}

/// Runs a case in one way, and under musl's own loader.
fn compare(label: &str, built: &Built, own: Start, way: Way) -> Verdict {
    if let Some(reason) = way.obstacle() {
        return skipped(label, reason);
    }
    let Some(folder) = built.folder()? else {
        return skipped(label, NO_SUITE);
    };
    for line in built.runs {
        let expected = start(folder, line, own)?;
        let actual = start(folder, line, Start::Rld(way))?.replacing(".rld", "");
        if expected != actual || expected.end == End::TimedOut {
            let text = format!("{line}\nunder musl's own loader: {expected}under rld: {actual}");
            return Err(text.into());
        }
    }
    Ok(Completion::Completed)
}

/// What would be loaded, as rld-inspect says it and as rld does.
fn inspected(label: &str, built: &Built) -> Verdict {
    let Some(folder) = built.folder()? else {
        return skipped(label, NO_SUITE);
    };
    let tree = |program: &str, words: &[&str]| {
        let mut run = Run::new(program, folder);
        run.args = words.iter().map(OsString::from).collect();
        let outcome = run::run(&run).map_err(|e| e.to_string())?;
        Ok::<_, String>(outcome.replacing(&folder.to_string_lossy(), "$DIR"))
    };
    let expected = "./needs\n\
        ├── libpart.so => $DIR/libpart.so [RUNPATH of ./needs]\n\
        └── libc.so => $DIR/ld-musl-x86_64.so.1 [loader]\n";
    for outcome in [
        tree(env!("CARGO_BIN_EXE_rld-inspect"), &["tree", "./needs"])?,
        tree(&loader::subject().to_string_lossy(), &["--tree", "./needs"])?,
    ] {
        let shown = outcome.stdout.replace("/./", "/");
        if shown != expected || outcome.end != End::Exit(0) {
            return Err(format!("expected:\n{expected}{outcome}").into());
        }
    }
    Ok(Completion::Completed)
}

/// What rld says to a command: it begins with these words, and has the others as lines.
fn said(label: &str, built: &Built, command: &str, status: i32, words: &[&str]) -> Verdict {
    let Some(folder) = built.folder()? else {
        return skipped(label, NO_SUITE);
    };
    let rld = loader::subject().display().to_string();
    let mut run = Run::new(&rld, folder);
    let place = |word: &str| word.replace("$RLD", &rld).replace("$DIR", &folder.to_string_lossy());
    run.args = command.split(' ').map(|word| place(word).into()).collect();
    let outcome = run::run(&run).map_err(|e| e.to_string())?;
    let outcome = outcome.replacing(&folder.to_string_lossy(), "$DIR").replacing(&rld, "$RLD");
    let is_said = |line: &&str| outcome.stderr.lines().any(|said| said == *line);
    let is_first = outcome.first_error() == words.first().copied().unwrap_or_default();
    if outcome.end != End::Exit(status) || !is_first || !words.iter().all(is_said) {
        return Err(format!("{command}: {outcome}").into());
    }
    Ok(Completion::Completed)
}

/// A test that has its own file, and is given the folder with what was built.
type Apart = fn(&str, &Path) -> Verdict;

fn with_folder(label: &str, built: &Built, test: Apart) -> Verdict {
    match built.folder()? {
        Some(folder) => test(label, folder),
        None => skipped(label, NO_SUITE),
    }
}

/// Runs a line. Variables stand before the program.
fn start(folder: &Path, line: &str, by: Start) -> Result<Outcome, String> {
    let is_variable = |word: &&str| word.split_once('=').is_some_and(|(name, _)| is_variable(name));
    let (variables, command): (Vec<_>, Vec<_>) = line.split(' ').partition(is_variable);
    let command = command.join(" ");
    let rld = loader::subject().display();
    let command = match by {
        Start::Command => format!("./{LOADER} ./{command}"),
        Start::Rld(Way::Direct) => format!("{rld} ./{command}"),
        Start::Rld(Way::PtInterp) => {
            format!("./{}", format!("{command} ").replacen(' ', ".rld ", 1))
        }
        _ => format!("./{command}"),
    };
    let line = format!("{} exec {command}", variables.join(" "));
    let mut run = Run::new("/bin/sh", folder);
    run.args = vec!["-c".into(), line.into()];
    if matches!(by, Start::Rld(Way::Bind)) {
        // The libc lies below the mount; it has another name besides.
        const MOUNT: &str = r#"mount --bind "$1" ld-musl-x86_64.so.1; shift; exec "$@""#;
        run.program = "unshare".into();
        let before = ["--map-root-user", "--mount", "sh", "-ec", MOUNT, "sh"].map(OsString::from);
        let sh = [loader::subject().into(), OsString::from("/bin/sh")];
        run.args = before.into_iter().chain(sh).chain(run.args).collect();
        run.env.push(("RLD_MUSL_LIBC".into(), folder.join("libc.so").into()));
    }
    run::run(&run).map_err(|e| e.to_string())
}

/// Whether a word before `=` is the name of a variable.
fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}
