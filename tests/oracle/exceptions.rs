//! The differences that are meant. Each has a reason, and the summary counts how often it was used.

use crate::compare::Difference;
use crate::launch::Mode;

/// A difference that is allowed.
pub struct Exception {
    /// Why.
    pub reason: &'static str,
    applies: fn(&Difference, Mode) -> bool,
}

const AT_BASE: u64 = 7;

/// All of them.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        reason: "direct mode: AT_BASE may stay 0, as the kernel gave it to the loader run as a \
                 program (the system's loader leaves it so)",
        applies: |difference, mode| {
            mode == Mode::Direct
                && matches!(difference, Difference::Aux { kind: AT_BASE, found: Some(found), .. }
                    if found == "number 0x0")
        },
    },
    Exception {
        reason: "another release's loader run as a program leaves AT_BASE 0; rld says where it is",
        applies: |difference, mode| {
            matches!(mode, Mode::Suite(_))
                && matches!(difference, Difference::Aux { kind: AT_BASE, expected: Some(expected), .. }
                    if expected == "number 0x0")
        },
    },
    Exception {
        reason: "loaders up to 2.33, and before May 2022 those of 2.34 and 2.35, run as a program leave \
                 the stack eight bytes off",
        applies: |difference, mode| {
            matches!(mode, Mode::Suite(suite) if suite.minor <= 35)
                && matches!(difference, Difference::Fact { what: "stack pointer modulo 16", expected, .. }
                    if expected == "8")
        },
    },
    Exception {
        reason: "up to 2.32 malloc takes `_dl_open_hook` for a static program's, and does without \
                 brk(2): `__morecore` where it was used before the entry point",
        applies: |difference, mode| {
            matches!(mode, Mode::Suite(suite) if suite.minor <= 32)
                && matches!(difference, Difference::Word { variable: Some(name), .. }
                    if name == "__morecore")
        },
    },
    Exception {
        reason: "a program with more rights than its caller: LD_BIND_NOW is removed from its \
                 environment, as newer releases of glibc do",
        applies: |difference, _| {
            matches!(difference, Difference::Fact { what: "environment", expected, .. }
                if expected.contains("LD_BIND_NOW=1"))
        },
    },
];

/// The exception that covers a difference.
pub fn covering(difference: &Difference, mode: Mode) -> Option<&'static Exception> {
    EXCEPTIONS.iter().find(|exception| (exception.applies)(difference, mode))
}
