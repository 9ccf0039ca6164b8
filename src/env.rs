//! The environment's settings for the loader (ld.so(8)), and what of it survives in secure mode.

pub mod tunables;

use alloc::vec::Vec;

use tunables::number;

/// The LD_ variables, borrowed from the environment. A name that occurs twice counts as ld.so counts it: the last
/// one, unless a field says otherwise.
#[derive(Clone, Default, Debug)]
pub struct Settings<'a> {
    /// LD_LIBRARY_PATH; an empty value is none.
    pub library_path: Option<&'a [u8]>,
    /// LD_PRELOAD; see [`preload_names`].
    pub preload: Option<&'a [u8]>,
    /// LD_BIND_NOW: resolve every function at start. Any value but the empty one.
    pub bind_now: bool,
    /// LD_BIND_NOT: do not write a resolved function to its slot. Any value but the empty one.
    pub bind_not: bool,
    /// LD_DYNAMIC_WEAK: a weak definition yields to a later one. Any value.
    pub dynamic_weak: bool,
    /// LD_ORIGIN_PATH: the executable's directory where the kernel does not tell.
    pub origin_path: Option<&'a [u8]>,
    /// LD_TRACE_LOADED_OBJECTS: list the dependencies and end. Any value.
    pub trace_loaded_objects: bool,
    /// Whether that value was a number above 1, which asks for the program among them.
    pub trace_program: bool,
    /// LD_VERBOSE: list symbol versions, too. Any value but the empty one.
    pub verbose: bool,
    /// LD_WARN: report unresolved symbols. Any value but the empty one.
    pub warn: bool,
    /// LD_SHOW_AUXV: print the auxiliary vector. Any value.
    pub show_auxv: bool,
    /// LD_DEBUG; all occurrences add up.
    pub debug: Vec<&'a [u8]>,
    /// LD_DEBUG_OUTPUT: where the trace goes, before the process number is appended.
    pub debug_output: Option<&'a [u8]>,
    /// RLD_TRACE: the file for a trace in JSON; an empty value is none.
    pub trace: Option<&'a [u8]>,
    /// RLD_MUSL_LIBC: the C library of programs of musl; an empty value is none.
    pub musl_libc: Option<&'a [u8]>,
    /// RLD_SYSROOT: the root that absolute paths of libraries start from; an empty value is none.
    pub sysroot: Option<&'a [u8]>,
    /// LD_AUDIT; all occurrences add up.
    pub audit: Vec<&'a [u8]>,
    /// LD_PROFILE; an empty value is none.
    pub profile: Option<&'a [u8]>,
    /// LD_PROFILE_OUTPUT; an empty value is none.
    pub profile_output: Option<&'a [u8]>,
    /// LD_HWCAP_MASK; the first one counts.
    pub hwcap_mask: Option<&'a [u8]>,
    /// GLIBC_TUNABLES; all occurrences count, in order. See [`tunables`].
    pub glibc_tunables: Vec<&'a [u8]>,
}

impl<'a> Settings<'a> {
    /// Reads `NAME=VALUE` strings. In secure mode all variables but LD_PRELOAD and LD_BIND_NOW are passed over, unread:
    /// text that the caller of a set-user-ID program chose is not parsed (CVE-2023-4911).
    pub fn parse(variables: impl IntoIterator<Item = &'a [u8]>, secure: bool) -> Self {
        let mut settings = Self::default();
        for (name, value) in variables.into_iter().filter_map(split_variable) {
            if secure && ![&b"LD_PRELOAD"[..], b"LD_BIND_NOW"].contains(&name) {
                continue;
            }
            settings.set(name, value);
        }
        settings
    }

    fn set(&mut self, name: &[u8], value: &'a [u8]) {
        let given = !value.is_empty();
        match name {
            b"LD_LIBRARY_PATH" => self.library_path = given.then_some(value),
            b"LD_PRELOAD" => self.preload = Some(value),
            b"LD_BIND_NOW" => self.bind_now = given,
            b"LD_BIND_NOT" => self.bind_not = given,
            b"LD_DYNAMIC_WEAK" => self.dynamic_weak = true,
            b"LD_ORIGIN_PATH" => self.origin_path = Some(value),
            b"LD_TRACE_LOADED_OBJECTS" => {
                self.trace_loaded_objects = true;
                self.trace_program = number(value) > 1;
            }
            b"LD_VERBOSE" => self.verbose = given,
            b"LD_WARN" => self.warn = given,
            b"LD_SHOW_AUXV" => self.show_auxv = true,
            b"LD_DEBUG" => self.debug.push(value),
            b"LD_DEBUG_OUTPUT" => self.debug_output = Some(value),
            b"RLD_TRACE" => self.trace = given.then_some(value),
            b"RLD_MUSL_LIBC" => self.musl_libc = given.then_some(value),
            b"RLD_SYSROOT" => self.sysroot = given.then_some(value),
            b"LD_AUDIT" => self.audit.push(value),
            b"LD_PROFILE" if given => self.profile = Some(value),
            b"LD_PROFILE_OUTPUT" if given => self.profile_output = Some(value),
            b"LD_HWCAP_MASK" => self.hwcap_mask = self.hwcap_mask.or(Some(value)),
            b"GLIBC_TUNABLES" => self.glibc_tunables.push(value),
            _ => {}
        }
    }
}

/// `NAME=VALUE`, or nothing where there is no `=`.
#[must_use]
pub fn split_variable(variable: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = variable.iter().position(|byte| *byte == b'=')?;
    Some((variable.get(..at)?, variable.get(at + 1..)?))
}

/// Whether the process has more rights than its caller. A kernel that does not say so is not trusted to mean no.
#[must_use]
pub fn secure(auxv_at_secure: Option<u64>) -> bool {
    auxv_at_secure != Some(0)
}

/// Whether a variable is taken out of the environment in secure mode, so that children do not see it either.
///
/// glibc 2.36 and 2.43 name 36 of them between them. All that begin with `LD_` and `MALLOC_` are taken as well: those
/// that were forgotten have been the holes (CVE-2019-19126).
#[must_use]
pub fn unsafe_variable(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 13] = [
        b"GCONV_PATH",
        b"GETCONF_DIR",
        b"GLIBC_TUNABLES",
        b"HOSTALIASES",
        b"LOCALDOMAIN",
        b"LOCPATH",
        b"NIS_PATH",
        b"NLSPATH",
        b"RESOLV_HOST_CONF",
        b"RES_OPTIONS",
        b"TMPDIR",
        b"TZDIR",
        b"MALLOC_TRACE",
    ];
    const PREFIXES: [&[u8]; 3] = [b"LD_", b"MALLOC_", b"RLD_"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Longest name, with its NUL, that LD_PRELOAD may hold (PATH_MAX); longer ones are passed over in silence.
const PATH_LIMIT: usize = 4096;
/// The same in secure mode (NAME_MAX).
const SECURE_LIMIT: usize = 255;

/// The names in LD_PRELOAD or `--preload`, between spaces and colons. In secure mode only names without a slash count;
/// the search then takes set-user-ID files in default directories only ([`crate::search::Purpose::Preload`]).
pub fn preload_names(list: &[u8], secure: bool) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| b" :".contains(byte)).filter(move |name| {
        let short = name.len() < if secure { SECURE_LIMIT } else { PATH_LIMIT };
        !name.is_empty() && short && !(secure && name.contains(&b'/'))
    })
}

/// The names in `/etc/ld.so.preload`, between white space and colons; a `#` begins a comment. The file is the
/// administrator's, so that secure mode takes nothing away.
pub fn preload_file_names(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b'#').next())
        .flat_map(|line| line.split(|byte| b" \t:\0".contains(byte)))
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'a>(variables: &[&'a str], secure: bool) -> Settings<'a> {
        Settings::parse(variables.iter().map(|variable| variable.as_bytes()), secure)
    }

    #[test]
    fn the_last_of_a_name_counts() {
        let settings =
            parse(&["LD_BIND_NOW=1", "LD_PRELOAD=a", "LD_BIND_NOW=", "LD_PRELOAD=b"], false);
        assert!(!settings.bind_now);
        assert_eq!(settings.preload, Some(&b"b"[..]));
        let settings =
            parse(&["LD_HWCAP_MASK=1", "LD_HWCAP_MASK=2", "LD_DEBUG=libs", "LD_DEBUG=x"], false);
        assert_eq!(settings.hwcap_mask, Some(&b"1"[..]));
        assert_eq!(settings.debug, [&b"libs"[..], b"x"]);
    }

    #[test]
    fn empty_values_count_for_some() {
        let settings = parse(
            &[
                "LD_LIBRARY_PATH=",
                "LD_WARN=",
                "LD_DYNAMIC_WEAK=",
                "LD_SHOW_AUXV=",
                "LD_TRACE_LOADED_OBJECTS=",
                "LD_PROFILE=",
                "LD_BIND_NOT",
            ],
            false,
        );
        assert_eq!((settings.library_path, settings.profile), (None, None));
        assert!(settings.dynamic_weak && settings.show_auxv && settings.trace_loaded_objects);
        assert!(!settings.warn && !settings.trace_program && !settings.bind_not);
        assert!(parse(&["LD_TRACE_LOADED_OBJECTS=2"], false).trace_program);
    }

    #[test]
    fn a_value_may_hold_equal_signs() {
        assert_eq!(parse(&["LD_PRELOAD=a=b"], false).preload, Some(&b"a=b"[..]));
    }

    #[test]
    fn secure_mode_reads_the_preload_list_only() {
        let variables =
            ["LD_LIBRARY_PATH=/x", "LD_PRELOAD=p", "LD_DEBUG=all", "GLIBC_TUNABLES=a=b"];
        let settings = parse(&variables, true);
        assert_eq!((settings.library_path, settings.preload), (None, Some(&b"p"[..])));
        assert!(settings.debug.is_empty() && settings.glibc_tunables.is_empty());
    }

    #[test]
    fn silence_about_security_means_secure() {
        assert!(secure(None));
        assert!(secure(Some(1)));
        assert!(!secure(Some(0)));
    }

    #[test]
    fn both_lists_of_unsafe_variables_are_covered() {
        let both = "GCONV_PATH GETCONF_DIR GLIBC_TUNABLES HOSTALIASES LD_AUDIT LD_BIND_NOT LD_BIND_NOW LD_DEBUG \
             LD_DEBUG_OUTPUT LD_DYNAMIC_WEAK LD_HWCAP_MASK LD_LIBRARY_PATH LD_ORIGIN_PATH LD_PRELOAD LD_PROFILE \
             LD_PROFILE_OUTPUT LD_SHOW_AUXV LD_VERBOSE LD_WARN LOCALDOMAIN LOCPATH MALLOC_ARENA_MAX \
             MALLOC_ARENA_TEST MALLOC_CHECK_ MALLOC_MMAP_MAX_ MALLOC_MMAP_THRESHOLD_ MALLOC_PERTURB_ \
             MALLOC_TOP_PAD_ MALLOC_TRACE MALLOC_TRIM_THRESHOLD_ NIS_PATH NLSPATH RESOLV_HOST_CONF RES_OPTIONS \
             TMPDIR TZDIR";
        assert_eq!(both.split_whitespace().count(), 36);
        for name in both.split_whitespace() {
            assert!(unsafe_variable(name.as_bytes()), "{name}");
        }
        for name in ["PATH", "HOME", "TMPDIRS", "LD", "LANG", "TZ"] {
            assert!(!unsafe_variable(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn preload_lists_split_at_spaces_and_colons() {
        let names = |secure| preload_names(b" a:/b/c::d  :", secure).collect::<Vec<_>>();
        assert_eq!(names(false), [&b"a"[..], b"/b/c", b"d"]);
        assert_eq!(names(true), [&b"a"[..], b"d"]);
        let long = [b'x'; 255];
        assert_eq!(preload_names(&long, false).count(), 1);
        assert_eq!(preload_names(&long, true).count(), 0);
        assert_eq!(preload_names(&[b'x'; 4096], false).count(), 0);
    }

    #[test]
    fn the_preload_file_has_comments() {
        let file = b"# all of this: is a comment\n/a/b.so\tc.so:d.so#tail x\n\n  e.so # f.so\ng.so";
        let names: Vec<_> = preload_file_names(file).collect();
        assert_eq!(names, [&b"/a/b.so"[..], b"c.so", b"d.so", b"e.so", b"g.so"]);
        assert_eq!(preload_file_names(b"").count(), 0);
        assert_eq!(preload_file_names(b"#").count(), 0);
    }
}
