//! What the environment or the command line asks for, and cannot have: most of it is passed over with a warning.

use super::support::Verdict;
use super::support::loader::Way;
use super::support::run::Run;
use super::support::scratch::Scratch;
use super::{Agreement, Material, compare};

/// A request beside a program that starts.
pub struct Setting {
    pub name: &'static str,
    program: &'static str,
    /// Variables; `$DIR` stands for the folder.
    variables: &'static [(&'static str, &'static str)],
    agreement: Agreement,
}

use Agreement::{Lives, Same};

const fn setting(
    name: &'static str,
    variable: &'static [(&'static str, &'static str)],
    agreement: Agreement,
) -> Setting {
    Setting { name, program: "calls", variables: variable, agreement }
}

const MANY_AUDITORS: &str = concat!(
    "./auditor.so:./auditor.so:./auditor.so:./auditor.so:./auditor.so:./auditor.so:./auditor.so:",
    "./auditor.so:./auditor.so:./auditor.so:./auditor.so:./auditor.so:./auditor.so:./auditor.so:",
    "./auditor.so:./auditor.so:./auditor.so:./auditor.so:./auditor.so:./auditor.so:./auditor.so:",
    "./auditor.so:./auditor.so:./auditor.so:./auditor.so:./auditor.so:./auditor.so:./auditor.so:",
    "./auditor.so:./auditor.so:./auditor.so:./auditor.so:./auditor.so:./auditor.so:./auditor.so",
);

pub const SETTINGS: &[Setting] = &[
    setting("preload-missing", &[("LD_PRELOAD", "libabsent.so")], Same),
    setting("preload-text", &[("LD_PRELOAD", "./old.map")], Same),
    setting("auditor-missing", &[("LD_AUDIT", "libabsent.so")], Same),
    setting("auditor-text", &[("LD_AUDIT", "./old.map")], Same),
    setting("auditor-without-version", &[("LD_AUDIT", "./plain/libpart.so")], Same),
    setting("auditor-too-new", &[("LD_AUDIT", "./newer.so")], Same),
    setting("too-many-auditors", &[("LD_AUDIT", MANY_AUDITORS)], Lives),
    setting("debug-topic", &[("LD_DEBUG", "nonsense")], Same),
    setting("trace-nowhere", &[("RLD_TRACE", "/nonexistent/trace")], Lives),
    setting("profile", &[("LD_PROFILE", "libc.so.6")], Lives),
    setting("no-such-root", &[("RLD_SYSROOT", "/nonexistent")], Agreement::Own),
];

/// One setting under both loaders.
pub fn shown(name: &str, material: &Material, setting: &'static Setting) -> Verdict {
    compare(name, Scratch::new(name), material, Way::Direct, setting.agreement, |tree| {
        let mut run = Run::new(tree.join(setting.program), tree);
        let variables = setting.variables.iter();
        run.env.extend(variables.map(|(name, value)| (name.into(), value.into())));
        Ok(run)
    })
}
