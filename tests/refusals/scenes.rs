//! Situations that lines for the shell make: other C libraries and their programs, auditors, memory that is used up.
//! ld.so has other words for them, or none, so that rld alone is asked, as a command.

use libtest_mimic::Completion;

use super::support::loader::{self, Way};
use super::support::run::{self, End, Run};
use super::support::scratch::Scratch;
use super::support::{self, Verdict, musl, skipped, suites};
use super::{Material, REFUSED, wording};

/// A situation.
pub struct Scene {
    pub name: &'static str,
    pub takes: Takes,
    /// Lines for `sh -e`, run in a copy of the material.
    build: &'static str,
    /// The line that says it: variables of the environment, and `$RLD` with its arguments.
    command: &'static str,
    end: End,
}

/// What a situation takes beside the machine's own libraries.
#[derive(Clone, Copy)]
pub enum Takes {
    Nothing,
    /// The right to give files away: programs of another user's whose rights they have (AT_SECURE).
    Root,
    /// musl, of every suite.
    Musl,
    /// The glibc of these suites: `$SID` is the folder of sid's libraries.
    Glibc(&'static [&'static str]),
}

use Takes::{Glibc, Musl, Nothing, Root};

const LIVES: End = End::Exit(0);

const fn scene(
    name: &'static str,
    takes: Takes,
    build: &'static str,
    command: &'static str,
    end: End,
) -> Scene {
    Scene { name, takes, build, command, end }
}

pub const SCENES: &[Scene] = &[
    scene(
        "search/no-such-directory",
        Nothing,
        "",
        "LD_LIBRARY_PATH=/nonexistent exec $RLD ./opens libabsent.so",
        REFUSED,
    ),
    scene(
        "search/no-default-libraries",
        Nothing,
        "gcc -o strict $FIXTURES/calls.c -Wl,-z,nodefaultlib",
        "exec $RLD ./strict",
        REFUSED,
    ),
    scene(
        "search/no-cache",
        Nothing,
        "mkdir -p root/etc root/bin; echo no cache > root/etc/ld.so.cache; cp bare root/bin",
        "exec $RLD --sysroot root /bin/bare",
        REFUSED,
    ),
    scene(
        "symbol/in-another-namespace",
        Nothing,
        "",
        "exec $RLD ./opens +plain/libpart.so unlinked/libuser.so",
        REFUSED,
    ),
    scene(
        "symbol/of-another-build",
        Nothing,
        "printf 'void __of_another_build(void) {}\n' > private.c
        printf 'GLIBC_PRIVATE { global: *; };\n' > private.map
        gcc -shared -fpic -nostdlib -o private.so private.c -Wl,-soname,libc.so.6,--version-script,private.map
        printf 'void __of_another_build(void);\nvoid part(void) { __of_another_build(); }\n' > private.c
        gcc -shared -fpic -nostdlib -o libprivate.so private.c private.so",
        "exec $RLD ./opens ./libprivate.so",
        REFUSED,
    ),
    scene(
        "version/of-glibc",
        Nothing,
        "printf 'GLIBC_0.1 { global: one; };\n' > glibc.map
        gcc -shared -fpic -o path/libpart.so $FIXTURES/part.c -Wl,--version-script,glibc.map
        printf 'GLIBC_9.9 { global: two; };\n' >> glibc.map
        gcc -shared -fpic -o libpart.so $FIXTURES/part.c -Wl,--version-script,glibc.map
        gcc -o recent $FIXTURES/main.c -L. -lpart",
        "LD_LIBRARY_PATH=path exec $RLD ./recent",
        REFUSED,
    ),
    scene(
        "copy/of-other-size",
        Nothing,
        "gcc -shared -fpic -o libsized.so $FIXTURES/../ldd/lib.c -DDATA=10
        gcc -fno-pie -no-pie -o sized $FIXTURES/../ldd/use.c -DDATA -L. -lsized
        gcc -shared -fpic -o libsized.so $FIXTURES/../ldd/lib.c -DDATA=20",
        "LD_LIBRARY_PATH=. exec $RLD ./sized",
        // What the program answers.
        End::Exit(1),
    ),
    scene(
        "copy/of-protected",
        Nothing,
        "source=$FIXTURES/../visibility/protected_copy.c
        gcc -shared -fpic -o libd.so $source -DLIBRARY -DVISIBILITY='\"default\"'
        gcc -fno-pie -no-pie -o copier $source -L. -ld
        gcc -shared -fpic -o libd.so $source -DLIBRARY -DVISIBILITY='\"protected\"'",
        "LD_LIBRARY_PATH=. exec $RLD ./copier",
        LIVES,
    ),
    scene(
        "secure/token-in-name",
        Root,
        "gcc -shared -fpic -o libtoken.so $FIXTURES/part.c '-Wl,-soname,$ORIGIN/libpart.so'
        gcc -o token $FIXTURES/main.c -DBARE -L. -ltoken -Wl,--dynamic-linker=$RLD
        chown 65533 token; chmod 4755 token",
        "exec ./token",
        REFUSED,
    ),
    scene(
        "secure/preloaded",
        Root,
        "gcc -o privileged $FIXTURES/calls.c -Wl,--dynamic-linker=$RLD
        chown 65533 privileged; chmod 4755 privileged",
        "LD_PRELOAD=libm.so.6 exec ./privileged",
        LIVES,
    ),
    scene("trace/pipe", Nothing, "mkfifo pipe", "RLD_TRACE=pipe exec $RLD ./calls", LIVES),
    scene("trace/link", Nothing, "ln -s there here", "RLD_TRACE=here exec $RLD ./calls", LIVES),
    scene("memory/threads", Nothing, STARVE, "./starve $RLD ./calls", REFUSED),
    scene(
        "memory/start",
        Nothing,
        STARVE,
        "./starve LD_PRELOAD=$(yes a: | head -c 120000 | tr -d '\\n') $RLD ./calls",
        REFUSED,
    ),
    scene(
        "memory/opened",
        Nothing,
        "gcc -shared -fpic -DLIBRARY -o starve.so $FIXTURES/starve.c",
        "LD_PRELOAD=./starve.so exec $RLD ./opens $(yes +plain/libpart.so | head -60)",
        REFUSED,
    ),
    scene("auditor/hides", Nothing, AUDITORS, "LD_AUDIT=./hide.so exec $RLD ./audited", REFUSED),
    scene(
        "auditor/hides-opened",
        Nothing,
        AUDITORS,
        "LD_AUDIT=./hide.so exec $RLD ./opens liboriginal.so",
        REFUSED,
    ),
    scene(
        "auditor/of-another-release",
        Glibc(&["bookworm", "sid"]),
        "printf 'unsigned la_version(unsigned version) { return version; }\n' > auditor.c
        gcc -shared -fpic -o other.so auditor.c -Wl,--no-as-needed,--disable-new-dtags,-rpath,$SID -lc",
        "LD_AUDIT=./other.so exec $RLD --library-path $BOOKWORM ./calls",
        LIVES,
    ),
    scene(
        "auditor/leads-elsewhere",
        Glibc(&["bookworm", "sid"]),
        "gcc -shared -fpic -DLIBC=\"\\\"$SID/libc.so.6\\\"\" -o lead.so $FIXTURES/odd.c -DLEADS",
        "LD_AUDIT=./lead.so exec $RLD --library-path $BOOKWORM ./calls",
        REFUSED,
    ),
    scene(
        "libc/unknown-build",
        Glibc(&["bookworm"]),
        "cp $BOOKWORM/libc.so.6 path
        at=$(readelf --dyn-syms -W path/libc.so.6 | awk '$8 ~ /^_thread_db_sizeof_pthread@/ {print \"0x\" $2}')
        printf '\\001' | dd of=path/libc.so.6 bs=1 seek=$((at)) conv=notrunc status=none",
        "LD_LIBRARY_PATH=path exec $RLD ./calls",
        REFUSED,
    ),
    scene("libc/unknown", Nothing, BIONIC, "LD_LIBRARY_PATH=bionic exec $RLD ./android", REFUSED),
    scene("libc/second", Nothing, BIONIC, "LD_LIBRARY_PATH=bionic exec $RLD ./mixed", REFUSED),
    scene("libc/second-opened", Nothing, BIONIC, "exec $RLD ./opens bionic/libc.so", REFUSED),
    scene("libc/late", Nothing, LATE, "exec $RLD ./late libc.so.6", REFUSED),
    scene("libc/late-unknown", Nothing, LATE, "exec $RLD ./late bionic/libc.so", REFUSED),
    scene(
        "libc/other-in-base",
        Glibc(&["bookworm", "trixie"]),
        "",
        "exec $RLD --library-path $BOOKWORM ./opens $TRIXIE/libc.so.6",
        REFUSED,
    ),
    scene(
        "libc/other-in-used",
        Glibc(&["bookworm", "trixie"]),
        "",
        "exec $RLD --library-path $BOOKWORM ./opens +plain/libpart.so =$TRIXIE/libc.so.6",
        REFUSED,
    ),
    scene(
        "libc/too-new",
        Glibc(&["bookworm", "sid"]),
        "",
        "exec $RLD --library-path $BOOKWORM ./opens +$SID/libc.so.6",
        REFUSED,
    ),
    scene(
        "libc/too-old",
        Glibc(&["bookworm", "bullseye"]),
        "",
        "exec $RLD --library-path $BOOKWORM ./opens +$BULLSEYE/libc.so.6",
        REFUSED,
    ),
    scene(
        "musl/library",
        Musl,
        "library libpart.so part.c -DFIRST
        program prog needs.c libpart.so
        rm libpart.so",
        "exec $RLD ./prog",
        REFUSED,
    ),
    scene(
        "musl/symbol",
        Musl,
        "library libpart.so part.c -DFIRST
        program prog needs.c libpart.so
        library libpart.so part.c",
        "exec $RLD ./prog",
        REFUSED,
    ),
    scene(
        "musl/libc",
        Musl,
        "program prog needs.c part.c -DFIRST -Wl,--dynamic-linker=/nowhere/ld-musl-x86_64.so.1
        rm libc.so",
        "exec $RLD ./prog",
        REFUSED,
    ),
    scene(
        "musl/libc-is-rld",
        Musl,
        "program prog needs.c part.c -DFIRST",
        "exec $RLD --musl-libc $RLD ./prog",
        REFUSED,
    ),
    scene(
        "musl/libc-is-none",
        Musl,
        "library libpart.so part.c
        program prog needs.c part.c -DFIRST",
        "exec $RLD --musl-libc ./libpart.so ./prog",
        REFUSED,
    ),
    scene(
        "musl/libc-missing",
        Musl,
        "program prog needs.c part.c -DFIRST",
        "RLD_MUSL_LIBC=/nonexistent exec $RLD ./prog",
        REFUSED,
    ),
    scene(
        "musl/unknown-function",
        Musl,
        "program prog needs.c part.c -DFIRST
        sed s/pthread_key_create/pthread_key_kreate/ libc.so > other.so",
        "exec $RLD --musl-libc ./other.so ./prog",
        REFUSED,
    ),
    scene(
        "musl/unknown-layout",
        Musl,
        "program prog needs.c part.c -DFIRST
        gcc -shared -fpic -nostdlib -Wl,-e,_dlstart -o other.so $SRC/other_layout.c",
        "exec $RLD --musl-libc ./other.so ./prog",
        REFUSED,
    ),
    scene(
        "musl/preload-missing",
        Musl,
        "program prog needs.c part.c -DFIRST",
        "LD_PRELOAD=./libabsent.so exec $RLD ./prog",
        LIVES,
    ),
    scene(
        "musl/memory",
        Musl,
        "library libhuge.so $FIXTURES/odd.c -DHUGE
        program prog $FIXTURES/main.c -DBARE libhuge.so",
        "ulimit -v 524288; exec $RLD ./prog",
        REFUSED,
    ),
    scene(
        "musl/opened-missing",
        Musl,
        "program opens $FIXTURES/opens.c",
        "exec $RLD ./opens libabsent.so",
        REFUSED,
    ),
    scene(
        "musl/opened-needs-missing",
        Musl,
        "library libpart.so part.c -DFIRST
        library libneeds.so needs.c libpart.so
        rm libpart.so
        program opens $FIXTURES/opens.c",
        "exec $RLD ./opens ./libneeds.so",
        REFUSED,
    ),
    scene(
        "musl/opened-lacks-symbol",
        Musl,
        "library libuser.so $FIXTURES/user.c
        program opens $FIXTURES/opens.c",
        "exec $RLD ./opens ./libuser.so",
        REFUSED,
    ),
    scene(
        "musl/opened-static-block",
        Musl,
        "library libie.so tls_lib.c -DMODEL=ie -ftls-model=initial-exec
        program opens $FIXTURES/opens.c",
        "exec $RLD ./opens ./libie.so",
        REFUSED,
    ),
];

const STARVE: &str = "gcc -o starve $FIXTURES/starve.c";
const AUDITORS: &str = "part=$FIXTURES/../audit/rename-part.c
    gcc -shared -fpic -o hide.so $FIXTURES/../audit/rename-auditor.c -DHIDE
    gcc -shared -fpic -o liboriginal.so $part -DNAME='\"original\"' -Wl,-soname,liboriginal.so
    gcc -o audited $FIXTURES/../audit/rename.c -L. -loriginal '-Wl,-rpath,$ORIGIN'";
/// A C library that only looks like one, and programs of it.
const BIONIC: &str = "mkdir bionic
    printf 'LIBC { global: *; };\n' > bionic.map
    source=$FIXTURES/../none/c_library.c
    gcc -shared -fpic -nostdlib -DBIONIC -Wl,--build-id=none -o bionic/libc.so $source -Wl,-soname,libc.so \
        -Wl,--version-script,bionic.map
    gcc -DPROGRAM -nostdlib -nostartfiles -fno-stack-protector -o android $source bionic/libc.so
    gcc -o mixed $FIXTURES/calls.c -Wl,--no-as-needed bionic/libc.so";
/// A program without a C library, which opens one.
const LATE: &str = "mkdir bionic
    none=$FIXTURES/../none
    gcc -shared -fpic -nostdlib -DBIONIC -Wl,--build-id=none -o bionic/libc.so $none/c_library.c -Wl,-soname,libc.so
    gcc -shared -nostdlib -o libnames.so $none/names.S -Wl,-soname,ld-linux-x86-64.so.2
    gcc -DLATE -I$none -nostdlib -nostartfiles -fno-stack-protector -o late $FIXTURES/starve.c libnames.so";

impl Takes {
    /// The suites that are tried in turn; one name stands for those that need none of them.
    pub fn suites(self) -> &'static [&'static str] {
        match self {
            Musl => &suites::ALL,
            Nothing | Root | Glibc(_) => &["direct"],
        }
    }

    /// Lines for the shell that say where everything is; `None` where it cannot be had.
    fn prelude(self, suite: &str) -> Option<String> {
        let place = |suite: &&str| {
            let root = suites::root(suite)?;
            let name = suite.to_uppercase();
            Some(format!("{name}={}/usr/lib/x86_64-linux-gnu\n", root.display()))
        };
        match self {
            Nothing | Root => Some(String::new()),
            Glibc(suites) => suites.iter().map(place).collect(),
            Musl => suites::root(suite).map(|root| musl::prelude(&root)),
        }
    }
}

/// One situation.
pub fn shown(name: &str, material: &Material, scene: &'static Scene, suite: &str) -> Verdict {
    if loader::subject_is_the_systems() {
        return skipped(name, "the system's loader has other words");
    }
    if let (Root, Some(reason)) = (scene.takes, Way::Setuid.obstacle()) {
        return skipped(name, reason);
    }
    let Some(prelude) = scene.takes.prelude(suite) else {
        return skipped(name, "there is no such suite, and it cannot be fetched");
    };
    let scratch = Scratch::new(name);
    let tree = scratch.copy_tree(material.folder()?, "tested");
    std::fs::create_dir_all(tree.join("path")).map_err(|e| e.to_string())?;
    let fixtures = support::package().join("fixtures/refusals");
    let places = format!("RLD={} FIXTURES={}\n", loader::subject().display(), fixtures.display());
    let run = |lines: &str| {
        let mut run = Run::new("/bin/sh", &tree);
        run.args = vec!["-ec".into(), format!("{places}{lines}").into()];
        run.env.push(("SRC".into(), support::package().join("tests/musl").into()));
        run.env.push(("DIR".into(), tree.clone().into()));
        run::run(&run).map_err(|e| format!("{name}: {e}"))
    };
    let built = run(&format!("{prelude}{}", scene.build))?;
    if built.end != LIVES {
        return Err(format!("it cannot be built: {built}").into());
    }
    let glibc = if matches!(scene.takes, Glibc(_)) { &*prelude } else { "" };
    let mut outcome = run(&format!("{glibc}{}", scene.command))?
        .replacing(&loader::subject().to_string_lossy(), "$LOADER")
        .replacing(&tree.to_string_lossy(), "$DIR");
    for (name, folder) in glibc.lines().filter_map(|line| line.split_once('=')) {
        outcome = outcome.replacing(folder, &format!("${name}"));
    }
    outcome.stderr = without_evidence(&outcome.stderr);
    if outcome.end != scene.end || outcome.stderr.is_empty() {
        return Err(format!("expected {}, in words: {outcome}", scene.end).into());
    }
    wording(name, &outcome)?;
    scratch.passed();
    Ok(Completion::Completed)
}

/// What a build of glibc shows of itself, and which layouts come near to that, is another matter for each.
fn without_evidence(text: &str) -> String {
    let shown = |line: &&str| !(line.starts_with('\t') && line.contains(" = "));
    let hidden = |line: &str| match line.split_once(':') {
        Some((what @ ("\tbuild" | "\tbuild-id"), _)) => format!("{what}: …\n"),
        _ => format!("{line}\n"),
    };
    text.lines().filter(shown).map(hidden).collect()
}
