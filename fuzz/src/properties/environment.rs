//! Settings are parts of the environment, and secure mode reads LD_PRELOAD alone.

use rld::env::{Settings, preload_file_names, preload_names, split_variable, unsafe_variable};

use super::inside;

/// The input is an environment, with a NUL behind each variable; and a preload list; and a preload file.
pub fn check(bytes: &[u8]) {
    let variables = || bytes.split(|&byte| byte == 0);
    for secure in [false, true] {
        let settings = Settings::parse(variables(), secure);
        let lists = settings.debug.iter().chain(&settings.audit).chain(&settings.glibc_tunables);
        let texts = [
            settings.library_path,
            settings.preload,
            settings.origin_path,
            settings.debug_output,
            settings.profile,
            settings.profile_output,
            settings.hwcap_mask,
        ];
        let texts: Vec<_> = lists.copied().chain(texts.into_iter().flatten()).collect();
        assert!(texts.iter().all(|text| inside(text, bytes)));
        if secure {
            let only = Settings { preload: settings.preload, ..Settings::default() };
            assert_eq!(format!("{settings:?}"), format!("{only:?}"));
        }
        let mut preloads = variables().filter_map(|text| text.strip_prefix(b"LD_PRELOAD="));
        assert_eq!(settings.preload, preloads.next_back());
    }
    for variable in variables() {
        let Some((name, value)) = split_variable(variable) else {
            assert!(!variable.contains(&b'='));
            continue;
        };
        assert!(!name.contains(&b'=') && name.len() + 1 + value.len() == variable.len());
        assert!(!name.starts_with(b"LD_") || unsafe_variable(name));
    }
    for secure in [false, true] {
        for name in preload_names(bytes, secure) {
            assert!(!name.is_empty() && inside(name, bytes));
            assert!(!name.iter().any(|byte| b" :".contains(byte)));
            assert!(!secure || !name.contains(&b'/'));
        }
    }
    for name in preload_file_names(bytes) {
        assert!(!name.is_empty() && inside(name, bytes));
        assert!(!name.iter().any(|byte| b" \t\n:#\0".contains(byte)));
    }
}
