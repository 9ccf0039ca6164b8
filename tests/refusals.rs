//! What cannot be loaded is refused in words: the first line is the system loader's own, because
//! scripts match on it, and the exit status is 127. Never a signal.
//!
//! rld adds indented lines after the first one. The whole text of each situation stands in
//! `refusals.txt`, to be read as its user would: what does not say how to go on is an error.

#[path = "refusals/defects.rs"]
mod defects;
#[path = "refusals/scenes.rs"]
mod scenes;
#[path = "refusals/settings.rs"]
mod settings;
mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use libtest_mimic::Completion;
use support::build::{self, Step};
use support::loader::{self, Way};
use support::run::{self, End, Outcome, Run};
use support::scratch::Scratch;
use support::{Verdict, run_all, skipped, trial};

/// A user who owns nothing.
const NOBODY: u32 = 65534;
/// The exit status of a start that failed.
const REFUSED: End = End::Exit(127);

/// What is wrong with a file.
#[derive(Clone, Copy)]
enum Damage {
    Missing,
    Empty,
    Text,
    Archive,
    Script,
    Folder,
    Unreadable,
    LinkLoop,
    DanglingLink,
    Class32,
    BigEndian,
    Machine,
    Relocatable,
    Core,
    Version,
    OsAbi,
    /// The header promises program headers of another size.
    HeaderSize,
    /// The file ends after this part.
    Truncated(Cut),
}

/// Where a truncated file ends.
#[derive(Clone, Copy)]
enum Cut {
    Magic,
    InElfHeader,
    ElfHeader,
    InProgramHeaders,
    ProgramHeaders,
    FirstPage,
    BeforeDynamic,
    InDynamic,
    /// Half of the file.
    Half,
}

/// The sort of file and the way its user names it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// DT_NEEDED, found through LD_LIBRARY_PATH.
    Environment,
    /// DT_NEEDED, found through RUNPATH.
    Runpath,
    /// DT_NEEDED holds its absolute path.
    Absolute,
    /// The program that `rld` is told to run.
    Program,
}

const DAMAGES: &[(&str, Damage)] = &[
    ("missing", Damage::Missing),
    ("empty", Damage::Empty),
    ("text", Damage::Text),
    ("archive", Damage::Archive),
    ("script", Damage::Script),
    ("folder", Damage::Folder),
    ("unreadable", Damage::Unreadable),
    ("link-loop", Damage::LinkLoop),
    ("dangling-link", Damage::DanglingLink),
    ("class-32", Damage::Class32),
    ("big-endian", Damage::BigEndian),
    ("wrong-machine", Damage::Machine),
    ("relocatable", Damage::Relocatable),
    ("core", Damage::Core),
    ("wrong-version", Damage::Version),
    ("wrong-abi", Damage::OsAbi),
    ("header-size", Damage::HeaderSize),
    ("cut-in-magic", Damage::Truncated(Cut::Magic)),
    ("cut-in-elf-header", Damage::Truncated(Cut::InElfHeader)),
    ("cut-after-elf-header", Damage::Truncated(Cut::ElfHeader)),
    ("cut-in-program-headers", Damage::Truncated(Cut::InProgramHeaders)),
    ("cut-after-program-headers", Damage::Truncated(Cut::ProgramHeaders)),
    ("cut-after-first-page", Damage::Truncated(Cut::FirstPage)),
    ("cut-before-dynamic", Damage::Truncated(Cut::BeforeDynamic)),
    ("cut-in-dynamic", Damage::Truncated(Cut::InDynamic)),
    ("cut-in-half", Damage::Truncated(Cut::Half)),
];

const ROLES: &[(&str, Role, &[Way])] = &[
    ("library-path", Role::Environment, &[Way::PtInterp, Way::Direct, Way::Bind]),
    ("runpath", Role::Runpath, &[Way::PtInterp, Way::Direct, Way::Bind]),
    ("absolute", Role::Absolute, &[Way::PtInterp, Way::Direct, Way::Bind]),
    ("program", Role::Program, &[Way::Direct]),
];

/// The files that are damaged in copies, built once.
struct Material {
    folder: OnceLock<Result<PathBuf, String>>,
}

impl Material {
    fn folder(&self) -> Result<&Path, String> {
        let built = self.folder.get_or_init(|| {
            let source = support::package().join("fixtures").join("refusals");
            build::build("refusals", &source, &steps())
        });
        built.as_deref().map_err(Clone::clone)
    }
}

/// A library in two editions, and users of the better one.
fn steps() -> Vec<Step> {
    let (link, shell) = (Step::link, Step::shell);
    let user = "main.c -Lnew -lpart -Wl,-rpath,$ORIGIN/run";
    vec![
        shell("printf 'V1 { global: one; };\n' > old.map"),
        shell("printf 'V1 { global: one; };\nV2 { global: two; } V1;\n' > new.map"),
        shell(
            "mkdir old new moved plain symbol other unlinked newer misspelt threads text \
             stack level room closed address sysv resolver far copied huge variable borrows opening \
             gap astray weak",
        ),
        shell("printf 'V1 { global: one; two; };\nV2 { global: three; } V1;\n' > moved.map"),
        link(true, "old/libpart.so", "part.c -DOLD -Wl,--version-script=old.map"),
        link(true, "new/libpart.so", "part.c -Wl,--version-script=new.map"),
        link(true, "moved/libpart.so", "part.c -Wl,--version-script=moved.map"),
        link(true, "plain/libpart.so", "part.c"),
        link(true, "symbol/libpart.so", "part.c -DOLD"),
        link(true, "misspelt/libpart.so", "part.c -DMISSPELT"),
        shell("cp new/libpart.so newer/libpart.so.2"),
        link(true, "threads/libpart.so", "part.c -DTHREADS"),
        link(true, "room/libpart.so", "part.c -DROOM"),
        link(true, "text/libpart.so", "part.c -DTEXT -Wl,-z,notext"),
        link(true, "stack/libpart.so", "part.c -Wl,-z,execstack"),
        link(true, "level/libpart.so", "part.c -Wl,-z,x86-64-v2"),
        link(true, "closed/libpart.so", "part.c -Wl,-z,nodlopen"),
        link(true, "sysv/libpart.so", "part.c -Wl,--hash-style=sysv"),
        link(true, "address/libpart.so", "part.c -DADDRESS"),
        link(
            true,
            "gap/libpart.so",
            "part.c -Wl,-z,max-page-size=4096,--section-start=.data=0x100000",
        ),
        link(true, "resolver/libpart.so", "odd.c -DRESOLVER"),
        link(true, "far/libpart.so", "odd.c -DFAR"),
        link(true, "copied/libpart.so", "odd.c"),
        link(true, "huge/libpart.so", "odd.c -DHUGE"),
        link(true, "variable/libpart.so", "odd.c -DVARIABLE"),
        link(true, "borrows/libuser.so", "odd.c -DBORROWS -Lvariable -lpart"),
        link(true, "borrows/libtouch.so", "odd.c -DTOUCHES -Lvariable -lpart"),
        link(true, "opening/libpart.so", "odd.c -DOPENS"),
        shell("printf 'V1 { global: elsewhere; };\n' > astray.map"),
        shell("printf 'V2 { global: elsewhere; };\n' > weak.map"),
        link(true, "libelsewhere.so", "odd.c -DELSEWHERE -Wl,--version-script=astray.map"),
        link(true, "astray/libpart.so", "odd.c -DASTRAY -nostdlib -L. -lelsewhere"),
        link(true, "weak/libelsewhere.so", "odd.c -DELSEWHERE -Wl,--version-script=weak.map"),
        link(true, "auditor.so", "odd.c -DAUDITOR=version"),
        link(true, "newer.so", "odd.c -DAUDITOR=99"),
        link(false, "entry", "odd.c -DENTRY -static -nostdlib"),
        link(false, "copies", "odd.c -DCOPIES -fno-pie -no-pie -Lcopied -lpart"),
        link(false, "fixed", "main.c -DBARE -fno-pie -no-pie -Lplain -lpart"),
        link(false, "simple", "main.c -DBARE -Lplain -lpart"),
        link(false, "calls", "calls.c"),
        link(false, "main", user),
        link(false, "unversioned", "main.c -Lplain -lpart"),
        link(false, "bare", "main.c -DBARE -Lnew -lpart"),
        shell("ln -s new/libpart.so libpart.so"),
        shell("cp /bin/true mispelled-name"),
        link(true, "other/libuser.so", "user.c -Lplain -lpart"),
        link(true, "unlinked/libuser.so", "user.c"),
        link(false, "opens", "opens.c"),
        link(false, "through", "main.c -DBARE -DTHROUGH -Lother -luser -Wl,-rpath-link,plain"),
    ]
}

fn main() {
    let material = Arc::new(Material { folder: OnceLock::new() });
    let mut trials = Vec::new();
    for &(damage_name, damage) in DAMAGES {
        for &(role_name, role, ways) in ROLES {
            for &way in ways {
                let name = format!("{damage_name}/{role_name}::{}", way.name());
                trials.push(trial(name, &material, move |name, material| {
                    damaged(name, material, damage, role, way)
                }));
            }
        }
    }
    for way in [Way::PtInterp, Way::Direct, Way::Bind] {
        for lack in LACKS {
            let name = format!("{}::{}", lack.name, way.name());
            trials.push(trial(name, &material, move |name, m| lacking(name, m, lack, way)));
        }
    }
    for defect in defects::DEFECTS {
        let name = format!("defect/{}::{}", defect.name, Way::Direct.name());
        trials.push(trial(name, &material, move |name, m| defects::shown(name, m, defect)));
    }
    for setting in settings::SETTINGS {
        let name = format!("setting/{}::{}", setting.name, Way::Direct.name());
        trials.push(trial(name, &material, move |name, m| settings::shown(name, m, setting)));
    }
    for scene in scenes::SCENES {
        for suite in scene.takes.suites() {
            let name = format!("{}::{suite}", scene.name);
            trials
                .push(trial(name, &material, move |name, m| scenes::shown(name, m, scene, suite)));
        }
    }
    for &(misuse, arguments) in MISUSES {
        let name = format!("command-line/{misuse}::{}", Way::Direct.name());
        trials.push(trial(name, &material, move |name, m| misused(name, m, arguments)));
    }
    let names: Vec<_> = trials.iter().map(|trial| trial.name().to_owned()).collect();
    trials.push(trial("texts".to_owned(), &material, move |_, _| texts_are_of_situations(&names)));
    run_all(trials)
}

/// Command lines that make no sense.
const MISUSES: &[(&str, &[&str])] = &[
    ("unknown-option", &["--nonsense", "./bare"]),
    ("misspelt-option", &["--lits", "./bare"]),
    ("no-value", &["--preload"]),
    ("value-behind-sign", &["--preload=libpart.so", "./bare"]),
    ("value-not-wanted", &["--list=x", "./bare"]),
    ("no-program", &["--list"]),
    ("no-such-name", &["nothing-is-called-so"]),
    ("without-a-slash", &["bare"]),
    ("misspelt-name", &["misspelled-name"]),
    ("in-the-path", &["ls"]),
    ("the-loader", &["/lib64/ld-linux-x86-64.so.2"]),
];

fn misused(name: &str, material: &Material, arguments: &'static [&str]) -> Verdict {
    compare(name, Scratch::new(name), material, Way::Direct, Agreement::Same, |tree| {
        let (first, rest) = arguments.split_first().ok_or("no arguments")?;
        let mut run = Run::new(*first, tree);
        run.args = rest.iter().map(Into::into).collect();
        Ok(run)
    })
}

/// A sound library that lacks something.
struct Lack {
    name: &'static str,
    program: &'static str,
    /// Folders for LD_LIBRARY_PATH.
    path: &'static [&'static str],
    bind_now: bool,
    /// What the program is told to open.
    opened: &'static [&'static str],
}

const LACKS: &[Lack] = &[
    Lack { name: "missing-version", program: "main", path: &["old"], bind_now: false, opened: &[] },
    Lack {
        name: "no-versions-at-all",
        program: "main",
        path: &["symbol"],
        bind_now: true,
        opened: &[],
    },
    Lack {
        name: "another-version",
        program: "main",
        path: &["moved"],
        bind_now: true,
        opened: &[],
    },
    Lack {
        name: "another-version-lazily",
        program: "main",
        path: &["moved"],
        bind_now: false,
        opened: &[],
    },
    Lack {
        name: "missing-symbol",
        program: "unversioned",
        path: &["symbol"],
        bind_now: true,
        opened: &[],
    },
    Lack {
        name: "missing-lazily",
        program: "unversioned",
        path: &["symbol"],
        bind_now: false,
        opened: &[],
    },
    Lack {
        name: "missing-symbol-of-library",
        program: "through",
        path: &["other", "symbol"],
        bind_now: true,
        opened: &[],
    },
    Lack {
        name: "missing-second-level",
        program: "through",
        path: &["other"],
        bind_now: false,
        opened: &[],
    },
    Lack {
        name: "other-version-in-directory",
        program: "bare",
        path: &["newer"],
        bind_now: false,
        opened: &[],
    },
    Lack {
        name: "misspelt-symbol",
        program: "unversioned",
        path: &["misspelt"],
        bind_now: true,
        opened: &[],
    },
    Lack {
        name: "opened-missing",
        program: "opens",
        path: &["old"],
        bind_now: false,
        opened: &["libabsent.so"],
    },
    Lack {
        name: "opened-path-missing",
        program: "opens",
        path: &[],
        bind_now: false,
        opened: &["./libabsent.so"],
    },
    Lack {
        name: "opened-other-version",
        program: "opens",
        path: &["old", "newer"],
        bind_now: false,
        opened: &["libpart.so.1"],
    },
    Lack {
        name: "opened-needs-missing",
        program: "opens",
        path: &["other"],
        bind_now: false,
        opened: &["libuser.so"],
    },
    Lack {
        name: "opened-lacks-symbol",
        program: "opens",
        path: &["other", "symbol"],
        bind_now: false,
        opened: &["libuser.so"],
    },
    Lack {
        name: "opened-misspelt-symbol",
        program: "opens",
        path: &["other", "misspelt"],
        bind_now: false,
        opened: &["libuser.so"],
    },
    Lack {
        name: "opened-names-no-library",
        program: "opens",
        path: &["unlinked", "new"],
        bind_now: false,
        opened: &["libuser.so"],
    },
    Lack {
        name: "opened-out-of-reach",
        program: "opens",
        path: &["unlinked", "plain"],
        bind_now: false,
        opened: &["libpart.so", "libuser.so"],
    },
    Lack {
        name: "opened-folder",
        program: "opens",
        path: &[],
        bind_now: false,
        opened: &["./old"],
    },
    Lack {
        name: "opened-text",
        program: "opens",
        path: &[],
        bind_now: false,
        opened: &["./old.map"],
    },
    Lack {
        name: "opened-program",
        program: "opens",
        path: &[],
        bind_now: false,
        opened: &["./bare"],
    },
];

fn lacking(name: &str, material: &Material, lack: &Lack, way: Way) -> Verdict {
    compare(name, Scratch::new(name), material, way, Agreement::Same, |tree| {
        let mut run = Run::new(tree.join(lack.program), tree);
        let folders: Vec<_> = lack.path.iter().map(|folder| tree.join(folder)).collect();
        let path = std::env::join_paths(folders).map_err(|e| e.to_string())?;
        run.env.push(("LD_LIBRARY_PATH".into(), path));
        run.args.extend(lack.opened.iter().map(Into::into));
        if lack.bind_now {
            run.env.push(("LD_BIND_NOW".into(), "1".into()));
        }
        Ok(run)
    })
}

/// One damage in one role.
fn damaged(name: &str, material: &Material, damage: Damage, role: Role, way: Way) -> Verdict {
    let root = loader::is_root();
    let needs_user = matches!(damage, Damage::Unreadable) && root;
    let scratch = if needs_user {
        match Scratch::public(name) {
            Ok(scratch) => scratch,
            Err(reason) => return skipped(name, &reason),
        }
    } else {
        Scratch::new(name)
    };
    if needs_user && way == Way::Bind {
        // Mounting needs rights that the reader must not have.
        return skipped(name, "a namespace and another user at once");
    }
    compare(name, scratch, material, way, Agreement::Same, |tree| {
        let (program, sound, bad) = match role {
            Role::Environment => ("bare", "new/libpart.so", tree.join("path/libpart.so")),
            Role::Runpath => ("main", "new/libpart.so", tree.join("run/libpart.so")),
            Role::Absolute => ("absolute", "new/libpart.so", tree.join("libpart.so")),
            Role::Program => ("subject", "bare", tree.join("subject")),
        };
        let text = |e: std::io::Error| format!("{}: {e}", bad.display());
        if let Some(parent) = bad.parent() {
            fs::create_dir_all(parent).map_err(text)?;
        }
        apply(damage, &tree.join(sound), &bad).map_err(text)?;
        if role == Role::Absolute {
            name_absolutely(tree, &bad)?;
        }
        let mut run = Run::new(tree.join(program), tree);
        if role == Role::Environment {
            run.env.push(("LD_LIBRARY_PATH".into(), tree.join("path").into()));
        }
        run.user = needs_user.then_some(NOBODY);
        Ok(run)
    })
}

/// Whether ld.so refuses the same in the same first line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Agreement {
    Same,
    /// It crashes, does not notice, or has other words.
    Own,
    /// The same, but here the program goes on.
    Lives,
}

/// Runs what `prepare` makes of a copy of the material, under both loaders, and compares.
fn compare(
    name: &str,
    scratch: Scratch,
    material: &Material,
    way: Way,
    agreement: Agreement,
    prepare: impl Fn(&Path) -> Result<Run, String>,
) -> Verdict {
    if let Some(reason) = way.obstacle() {
        return skipped(name, reason);
    }
    let mut outcomes = Vec::new();
    for (label, loader) in [("oracle", loader::system()), ("tested", loader::subject())] {
        let tree = scratch.copy_tree(material.folder()?, label);
        let text = |e: std::io::Error| format!("{}: {e}", tree.display());
        // A copy, since another user may have to read it; the mount needs none.
        let copy = tree.join("loader");
        fs::copy(loader, &copy).map_err(text)?;
        let mut run = prepare(&tree)?;
        match way {
            Way::PtInterp => build::name_interpreter(&tree, &copy).map_err(text)?,
            // What the kernel itself refuses, a loader never sees: both are run as commands.
            Way::Direct => run.direct = Some(copy.clone()),
            _ => run.over_system(loader.to_owned()),
        }
        let outcome = run::run(&run).map_err(|e| format!("{name}: {e}"))?;
        let here = tree.to_string_lossy();
        outcomes
            .push(outcome.replacing(&copy.to_string_lossy(), "$LOADER").replacing(&here, "$DIR"));
    }
    for outcome in &mut outcomes {
        outcome.stderr = without_numbers(&outcome.stderr);
    }
    let verdict = match agreement {
        Agreement::Same => judge(&outcomes[0], &outcomes[1]),
        Agreement::Own => refuses_itself(&outcomes[0], &outcomes[1]),
        Agreement::Lives => lives(&outcomes[0], &outcomes[1]),
    };
    let verdict = verdict.and_then(|()| wording(name, &outcomes[1]));
    if let Err(why) = verdict {
        return Err(format!(
            "{why}\nthe system's loader: {}under test: {}kept: {}",
            outcomes[0],
            outcomes[1],
            scratch.path().display()
        )
        .into());
    }
    scratch.passed();
    Ok(Completion::Completed)
}

/// Whether the subject refused as it should, given what the system's loader did.
fn judge(oracle: &Outcome, tested: &Outcome) -> Result<(), String> {
    if loader::subject_is_the_systems() {
        return if oracle == tested { Ok(()) } else { Err("two copies differ".to_owned()) };
    }
    if oracle.end == End::Exit(0) {
        // Harmless damage, or bound lazily and never called.
        let is_same = tested.end == oracle.end && tested.stdout == oracle.stdout;
        let warns = oracle.first_error() == tested.first_error();
        return if is_same && warns { Ok(()) } else { Err("this can be loaded".to_owned()) };
    }
    // The status of command lines is compared in `command_line.rs`.
    let is_oracles = matches!(oracle.end, End::Exit(_)) && tested.end == oracle.end;
    if tested.end != REFUSED && !is_oracles {
        return Err(format!("ended with {} instead of exit status 127", tested.end));
    }
    if tested.first_error().is_empty() {
        return Err("refused without a word".to_owned());
    }
    // Where the system's loader dies of the file, there are no words to compare.
    match oracle.end {
        End::Exit(_) if oracle.first_error() != tested.first_error() => {
            Err("the first lines differ".to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether the subject refused what the system's loader did not refuse so.
fn refuses_itself(oracle: &Outcome, tested: &Outcome) -> Result<(), String> {
    if loader::subject_is_the_systems() {
        return Ok(());
    }
    match tested.end {
        REFUSED if oracle.end != REFUSED || oracle.first_error() != tested.first_error() => Ok(()),
        REFUSED => Err("the system's loader says the same".to_owned()),
        end => Err(format!("ended with {end} instead of exit status 127")),
    }
}

/// Whether the subject warns and goes on, where the system's loader does something else.
fn lives(oracle: &Outcome, tested: &Outcome) -> Result<(), String> {
    match tested.end {
        End::Exit(0) if loader::subject_is_the_systems() => Ok(()),
        End::Exit(0) if oracle == tested => Err("the system's loader says the same".to_owned()),
        End::Exit(0) if !tested.first_error().is_empty() => Ok(()),
        end => Err(format!("ended with {end}, or without a word")),
    }
}

/// The whole texts: a line with the situation, then what is said.
const TEXTS: &str = include_str!("refusals.txt");
/// What stands before a situation.
const HEADING: &str = "== ";

/// The situations of [`TEXTS`], with what rld says in each.
fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
    let blocks = TEXTS.split(HEADING).skip(1).filter_map(|block| block.split_once('\n'));
    blocks.map(|(situation, text)| (situation, text.trim_end()))
}

/// The situation of a trial: however the loader is run, it says the same.
fn situation(trial: &str) -> &str {
    trial.split("::").next().unwrap_or(trial)
}

/// Whether all that was said is what [`TEXTS`] has.
fn wording(name: &str, tested: &Outcome) -> Result<(), String> {
    if loader::subject_is_the_systems() || tested.stderr.is_empty() {
        return Ok(());
    }
    let situation = situation(name);
    let expected = texts().find(|(named, _)| *named == situation).map(|(_, text)| text);
    let said = without_offsets(tested.stderr.trim_end());
    if expected == Some(&*said) {
        return Ok(());
    }
    Err(format!("tests/refusals.txt has another text for this:\n{HEADING}{situation}\n{said}\n"))
}

/// A message for debugging begins with the process's number.
fn without_numbers(text: &str) -> String {
    let line = |line: &str| match line.trim_start().split_once(":\t") {
        Some((number, rest)) if number.parse::<u32>().is_ok() => format!("$PID:\t{rest}"),
        _ => line.to_owned(),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Where parts of a file begin and end is the link editor's choice; where things lie in memory, the kernel's.
fn without_offsets(text: &str) -> String {
    const WORDS: [&str; 7] = [
        "p_filesz = 0x",
        "INIT_ARRAY = 0x",
        "the file has ",
        "offset 0x",
        "at least ",
        "handle 0x",
        "called from 0x",
    ];
    WORDS.iter().fold(text.to_owned(), |text, words| {
        let mut parts = text.split(words);
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| {
            let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
            format!("{text}{words}N{rest}")
        })
    })
}

/// A text that nobody says would never be compared.
fn texts_are_of_situations(names: &[String]) -> Verdict {
    let known = |named: &str| names.iter().any(|name| situation(name) == named);
    match texts().find(|(named, _)| !known(named)) {
        Some((named, _)) => Err(format!("no trial is called {named}").into()),
        None => Ok(Completion::Completed),
    }
}

/// Makes `absolute` from `bare`: a program whose DT_NEEDED is the path `library`.
fn name_absolutely(tree: &Path, library: &Path) -> Result<(), String> {
    // The linker copies a SONAME into DT_NEEDED as it is.
    let step = |output: &str, words: Vec<String>, shared| Step::Link {
        output: output.to_owned(),
        words,
        shared,
    };
    let source = support::package().join("fixtures").join("refusals");
    let word = |text: &str| text.to_owned();
    let soname = format!("-Wl,-soname,{}", library.display());
    let steps = [
        step("named.so", vec![word("part.c"), soname], true),
        step("absolute", vec![word("main.c"), word("-DBARE"), word("named.so")], false),
    ];
    steps.iter().try_for_each(|step| build::run_step(step, &source, tree))
}

/// Puts a damaged copy of `sound` at `bad`.
fn apply(damage: Damage, sound: &Path, bad: &Path) -> std::io::Result<()> {
    // The material has a link here.
    let _ = fs::remove_file(bad);
    let bytes = fs::read(sound)?;
    let patched = |changes: &[(usize, u8)]| {
        let mut copy = bytes.clone();
        for &(at, value) in changes {
            copy[at] = value;
        }
        copy
    };
    let contents = match damage {
        Damage::Missing => return Ok(()),
        Damage::Folder => return fs::create_dir(bad),
        Damage::LinkLoop => return symlink(bad, bad),
        Damage::DanglingLink => return symlink("nowhere", bad),
        Damage::Unreadable => bytes.clone(),
        Damage::Empty => Vec::new(),
        Damage::Text => {
            b"/* GNU ld script */ INPUT(libpart.so.1) and more than sixty-four bytes of it\n"
                .repeat(20)
        }
        Damage::Archive => b"!<arch>\n".repeat(20),
        Damage::Script => b"#!/bin/sh\n".repeat(20),
        // Offsets in Elf64_Ehdr (gABI, "ELF Header").
        Damage::Class32 => patched(&[(4, 1)]),
        Damage::BigEndian => patched(&[(5, 2)]),
        Damage::Version => patched(&[(6, 2)]),
        Damage::OsAbi => patched(&[(7, 9)]),
        Damage::Relocatable => patched(&[(16, 1)]),
        Damage::Core => patched(&[(16, 4)]),
        Damage::Machine => patched(&[(18, 183)]),
        Damage::HeaderSize => patched(&[(54, 32)]),
        Damage::Truncated(cut) => bytes[..cut.length(&bytes)].to_vec(),
    };
    fs::write(bad, contents)?;
    let mode = if matches!(damage, Damage::Unreadable) { 0o000 } else { 0o755 };
    fs::set_permissions(bad, fs::Permissions::from_mode(mode))
}

impl Cut {
    /// The length of the part of a sound file that is kept.
    fn length(self, file: &[u8]) -> usize {
        let word = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
        let half = |at: usize| u16::from_le_bytes(file[at..at + 2].try_into().unwrap()) as usize;
        let (headers, size, count) = (word(32), half(54), half(56));
        let dynamic = (0..count)
            .map(|i| headers + i * size)
            .find(|&at| file[at..at + 4] == 2u32.to_le_bytes())
            .map(|at| word(at + 8));
        let dynamic = dynamic.expect("the sound file has PT_DYNAMIC");
        match self {
            Cut::Magic => 3,
            Cut::InElfHeader => 40,
            Cut::ElfHeader => 64,
            Cut::InProgramHeaders => headers + size + 10,
            Cut::ProgramHeaders => headers + size * count,
            Cut::FirstPage => 4096,
            Cut::BeforeDynamic => dynamic,
            Cut::InDynamic => dynamic + 40,
            Cut::Half => file.len() / 2,
        }
    }
}
