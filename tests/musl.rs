//! Programs of musl, compiled here against the musl of several Debian releases: under rld they do what
//! they do under musl's own loader. Output and exit status are compared.
//!
//! Sources are in `tests/musl/`. Each case is run in each way: with rld as the command, as the program's
//! interpreter, and mounted over musl's loader.

mod support;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use libtest_mimic::Completion;
use support::build::{self, Step};
use support::loader::{self, Way};
use support::run::{self, End, Outcome, Run};
use support::suites;
use support::{Verdict, run_all, skipped, trial};

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

/// Why nothing is tested.
const NO_SUITE: &str = "there is no such suite, and it cannot be fetched";

/// Functions of the shell for what a case is built from. `interpreter` is where musl's loader is put.
const PRELUDE: &str = r#"
lib=$SUITE/usr/lib/x86_64-linux-musl
compile() {
    gcc -O1 -nostdinc -isystem "$SUITE/usr/include/x86_64-linux-musl" \
        -isystem "$(gcc -print-file-name=include)" -I"$SRC" -nostdlib -o "$@" -L"$lib" -lc -lgcc "$lib/crtn.o"
}
sources() {
    for word; do
        case $word in *.c) [ -e "$word" ] || word=$SRC/$word;; esac
        printf '%s\n' "$word"
    done
}
library() {
    out=$1; shift
    compile "$out" -shared -fPIC "$lib/crti.o" $(sources "$@") -Wl,-soname,"$out" '-Wl,-rpath,$ORIGIN'
}
program() {
    out=$1; shift
    for loader in "$DIR/ld-musl-x86_64.so.1" "$RLD"; do
        compile "$out" -fPIE -pie -Wl,--dynamic-linker="$loader" "$lib/Scrt1.o" "$lib/crti.o" $(sources "$@") \
            '-Wl,-rpath,$ORIGIN'
        out=$out.rld
    done
}
cp "$lib/libc.so" libc.so
ln -f libc.so ld-musl-x86_64.so.1
"#;

/// Programs that cannot start: how they are built, the command, and what rld says.
const REFUSED: &[(&str, &str, &str, &[&str])] = &[
    (
        "library",
        "library libpart.so part.c -DFIRST
            program needs needs.c libpart.so
            rm libpart.so",
        "./needs",
        &[
            "./needs: error while loading shared libraries: libpart.so: cannot open shared object file: \
             No such file or directory",
            "\tneeded by ./needs",
            "\ttried $DIR/. (RUNPATH of ./needs): No such file or directory",
            "\ttried /lib (default): No such file or directory",
        ],
    ),
    (
        "symbol",
        "library libpart.so part.c -DFIRST
            program needs needs.c libpart.so
            library libpart.so part.c",
        "./needs",
        &["./needs: symbol lookup error: ./needs: undefined symbol: part"],
    ),
    (
        "libc",
        "program needs needs.c part.c -DFIRST -Wl,--dynamic-linker=/nowhere/ld-musl-x86_64.so.1
            rm libc.so",
        "./needs",
        &[
            "./needs: error while loading shared libraries: libc.so: cannot open shared object file: \
             No such file or directory",
            "\t/nowhere/ld-musl-x86_64.so.1: cannot open shared object file: No such file or directory",
            "\t--musl-libc or RLD_MUSL_LIBC can name musl's libc.so",
        ],
    ),
    (
        "itself",
        "program needs needs.c part.c -DFIRST",
        "--musl-libc $RLD ./needs",
        &[
            "./needs: error while loading shared libraries: $RLD: this is rld itself, or another loader \
             of glibc's; musl's C library is elsewhere",
        ],
    ),
    (
        "other",
        "library libpart.so part.c
            program needs needs.c part.c -DFIRST",
        "--musl-libc ./libpart.so ./needs",
        &[
            "./needs: error while loading shared libraries: ./libpart.so: this is not musl's C library",
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
            let (rld, root) = (loader::subject().display(), root.display());
            let mut script = format!("SUITE={root} RLD={rld}\n{PRELUDE}\n{}", self.build);
            if self.build.contains("$SOURCES") {
                let Some(sources) = suites::root("sources") else { return Ok(None) };
                script.insert_str(0, &format!("SOURCES={}\n", sources.display()));
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
        for &Case { name, build, runs } in CASES {
            let built = Arc::new(Built { name, build, runs, suite, folder: OnceLock::new() });
            for way in [Way::Direct, Way::PtInterp, Way::Bind] {
                let label = format!("{name}::{suite}::{}", way.name());
                trials.push(trial(label, &built, move |label, built| compare(label, built, way)));
            }
        }
        let (name, build) =
            ("inspect", "library libpart.so part.c -DFIRST\nprogram needs needs.c libpart.so");
        let built = Arc::new(Built { name, build, runs: &[], suite, folder: OnceLock::new() });
        trials.push(trial(format!("{name}::{suite}"), &built, inspected));
        for &(name, build, command, words) in REFUSED {
            let built = Arc::new(Built { name, build, runs: &[], suite, folder: OnceLock::new() });
            let label = format!("refused/{name}::{suite}");
            trials.push(trial(label, &built, move |label, built| {
                refused(label, built, command, words)
            }));
        }
    }
    run_all(trials);
}

/// Runs a case in one way, and under musl's own loader.
fn compare(label: &str, built: &Built, way: Way) -> Verdict {
    if let Some(reason) = way.obstacle() {
        return skipped(label, reason);
    }
    let Some(folder) = built.folder()? else {
        return skipped(label, NO_SUITE);
    };
    for line in built.runs {
        let expected = start(folder, line, None)?;
        let actual = start(folder, line, Some(way))?.replacing(".rld", "");
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

/// Starts a program that cannot start; what rld says begins with these words, and has the others as lines.
fn refused(label: &str, built: &Built, command: &str, words: &[&str]) -> Verdict {
    let Some(folder) = built.folder()? else {
        return skipped(label, NO_SUITE);
    };
    let rld = loader::subject().display().to_string();
    let mut run = Run::new(&rld, folder);
    run.args = command.split(' ').map(|word| word.replace("$RLD", &rld).into()).collect();
    let outcome = run::run(&run).map_err(|e| e.to_string())?;
    let outcome = outcome.replacing(&folder.to_string_lossy(), "$DIR").replacing(&rld, "$RLD");
    let is_said = |line: &&str| outcome.stderr.lines().any(|said| said == *line);
    let is_first = words.first().is_some_and(|first| outcome.first_error() == *first);
    if outcome.end != End::Exit(127) || !is_first || !words.iter().all(is_said) {
        return Err(format!("{command}: {outcome}").into());
    }
    Ok(Completion::Completed)
}

/// Runs a line in one way, or under musl's own loader. Variables stand before the program.
fn start(folder: &Path, line: &str, way: Option<Way>) -> Result<Outcome, String> {
    let is_variable = |word: &&str| word.split_once('=').is_some_and(|(name, _)| is_variable(name));
    let (variables, command): (Vec<_>, Vec<_>) = line.split(' ').partition(is_variable);
    let command = command.join(" ");
    let rld = loader::subject().display();
    let command = match way {
        Some(Way::Direct) => format!("{rld} ./{command}"),
        Some(Way::PtInterp) => format!("./{}", format!("{command} ").replacen(' ', ".rld ", 1)),
        _ => format!("./{command}"),
    };
    let line = format!("{} exec {command}", variables.join(" "));
    let mut run = Run::new("/bin/sh", folder);
    run.args = vec!["-c".into(), line.into()];
    if way == Some(Way::Bind) {
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
