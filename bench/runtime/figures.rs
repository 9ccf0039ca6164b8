//! The figures, the processes that take them, and what those print.

use std::collections::BTreeMap;

/// What a measuring process is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `lazy.c`: first calls.
    Lazy,
    /// The same with the upper vector registers in use.
    LazyZmm,
    /// `services.cc`: all else.
    Services,
}

impl Program {
    /// All, in the order in which they are run.
    pub const ALL: [Self; 3] = [Self::Lazy, Self::LazyZmm, Self::Services];
}

/// One figure.
pub struct Figure {
    /// Its name in `--filter`, in JSON and in what the process prints.
    pub name: &'static str,
    /// What it is the price of.
    pub what: &'static str,
    /// What it is counted in.
    pub unit: &'static str,
    /// Who takes it.
    pub program: Program,
}

const fn lazy(name: &'static str, what: &'static str, program: Program) -> Figure {
    Figure { name, what, unit: "cycles", program }
}

const fn service(name: &'static str, what: &'static str) -> Figure {
    Figure { name, what, unit: "ns", program: Program::Services }
}

/// All figures, in the order of the table.
pub const FIGURES: [Figure; 25] = [
    lazy("first-call-1", "first lazy call, symbol in the 1st library", Program::Lazy),
    lazy("first-call-100", "first lazy call, symbol in the 100th library", Program::Lazy),
    lazy("first-call-1-zmm", "the same, 1st, zmm registers in use", Program::LazyZmm),
    lazy("first-call-100-zmm", "the same, 100th, zmm registers in use", Program::LazyZmm),
    service("plugin-lazy", "dlopen of a plugin with 30 dependencies, RTLD_LAZY"),
    service("plugin-lazy-use", "its 1500 first calls"),
    service("plugin-lazy-close", "its dlclose"),
    service("plugin-now", "dlopen of the same plugin, RTLD_NOW"),
    service("plugin-now-use", "its 1500 first calls"),
    service("plugin-now-close", "its dlclose"),
    service("small", "dlopen of a library that needs libc alone, RTLD_LAZY"),
    service("small-use", "its first call"),
    service("small-close", "its dlclose"),
    service("dlopen-again", "dlopen and dlclose of a loaded library"),
    service("dlsym-early", "dlsym(RTLD_DEFAULT), found in the 1st library"),
    service("dlsym-last", "dlsym(RTLD_DEFAULT), found in the 100th library"),
    service("dlsym-miss", "dlsym(RTLD_DEFAULT), not found"),
    service("dlsym-handle", "dlsym(handle), found"),
    service("dladdr", "dladdr"),
    service("iterate", "dl_iterate_phdr over all objects"),
    service("find-object", "_dl_find_object"),
    service("throw", "C++ throw and catch through 5 frames"),
    service("tls-start", "__tls_get_addr, library of the start"),
    service("tls-opened", "__tls_get_addr, dlopened library"),
    service("tls-desc", "TLS descriptor, dlopened library"),
];

/// What one process says of its figures: a number, or why there is none.
pub type Readings = BTreeMap<String, Result<f64, String>>;

/// Reads lines of `NAME NUMBER` and `NAME error WHY`.
pub fn parse(output: &str) -> Readings {
    let reading = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        let value = match value.strip_prefix("error ") {
            Some(why) => Err(why.to_owned()),
            None => value.parse().map_err(|_| format!("printed \"{value}\"")),
        };
        Some((name.to_owned(), value))
    };
    output.lines().filter_map(reading).collect()
}

#[cfg(test)]
#[allow(unused)] // see unit.rs
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_reasons() {
        let readings = parse("a 1.5\nb error no such thing\nc x\nd");
        assert_eq!(readings.get("a"), Some(&Ok(1.5)));
        assert_eq!(readings.get("b"), Some(&Err("no such thing".into())));
        assert_eq!(readings.get("c"), Some(&Err("printed \"x\"".into())));
        assert_eq!(readings.len(), 3);
    }

    #[test]
    fn every_figure_is_printed_by_its_program() {
        for figure in &FIGURES {
            let source = match figure.program {
                Program::Services => include_str!("services.cc"),
                Program::Lazy | Program::LazyZmm => include_str!("lazy.c"),
            };
            let name = format!("\"{}", figure.name.trim_end_matches("-zmm"));
            assert!(source.contains(&name), "{}", figure.name);
        }
    }
}
