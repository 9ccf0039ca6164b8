//! Two layouts in one process: what the C libraries of two releases share there is the threads. Each has its own
//! `_rtld_global` and its own link maps, but code of either runs on every thread, and takes the bytes behind the thread
//! pointer for its `struct pthread`.
//!
//! So what a libc reads and writes of the thread that calls it must be in the same place in both, or in bytes that the
//! other has no use for. What it keeps of threads that it has started itself does not count. Neither does
//! [`tls_state`](super::layout::Pthread::tls_state): two pointers to texts for numbers that nobody knows, which even
//! two libraries of one build have in common, with an allocator each.

use alloc::string::String;
use alloc::vec::Vec;

use super::layout::{Layout, Pthread, RseqPlace};

/// A field: its name, its place, and how many bytes it has.
type Field = (&'static str, Option<u16>, u16);

/// What a libc uses of whatever thread calls it.
fn fields(at: &Pthread) -> [Field; 13] {
    [
        ("list", Some(at.list), 16),
        ("tid", Some(at.tid), 4),
        ("robust_prev", Some(at.robust_prev), 8),
        ("robust_head", Some(at.robust_head), 24),
        ("cleanup", Some(at.cleanup), 8),
        ("cleanup_jmp_buf", Some(at.cleanup_jmp_buf), 8),
        ("cancelhandling", Some(at.cancelhandling), 4),
        ("specific_1stblock", Some(at.specific_1stblock), 512),
        ("specific", Some(at.specific), 256),
        ("specific_used", Some(at.specific_used), 1),
        ("lock", Some(at.lock), 4),
        ("result", Some(at.result), 8),
        ("getrandom_buf", at.getrandom_buf, 8),
    ]
}

/// What else is known to lie in the structure.
fn others(at: &Pthread) -> [Field; 6] {
    [
        ("stackblock", Some(at.stackblock), 8),
        ("stackblock_size", Some(at.stackblock_size), 8),
        ("rtld_catch", at.rtld_catch, 8),
        ("tls_state", at.tls_state, 16),
        ("joinstate", at.joinstate, 4),
        ("rseq_area", at.rseq_area, RSEQ_SIZE),
    ]
}

/// Bytes of the area of restartable sequences in `struct pthread`.
const RSEQ_SIZE: u16 = 32;

/// Where the area of restartable sequences of a layout's threads is in `struct pthread`, if it is there.
const fn rseq_field(layout: &Layout) -> Field {
    ("rseq_area", layout.pthread.rseq_area, RSEQ_SIZE)
}

/// Why libraries of two layouts cannot be in one process, in words; nothing where they can.
#[must_use]
pub fn obstacles(one: &Layout, other: &Layout) -> Vec<String> {
    let mut found = Vec::new();
    if [one, other].iter().any(|it| !it.contract.tls_init_tp || !it.contract.mutex_from_libc) {
        found.push("up to 2.33 only libpthread.so.0 knows the threads".into());
        return found;
    }
    if !one.contract.cancel_bits || !other.contract.cancel_bits {
        found.push("builds of 2.34 and 2.35 differ in where a thread's cancellation stands".into());
    }
    let [size, other_size] = [one.pthread.size, other.pthread.size];
    if size != other_size {
        found.push(alloc::format!("a thread's structure has {size} and {other_size} bytes"));
    }
    for (this, that) in fields(&one.pthread).into_iter().zip(fields(&other.pthread)) {
        let place = |layout: &Layout, (name, at, _): Field| {
            let at = at.unwrap_or_default();
            alloc::format!("a thread's {name} is at {at} in glibc 2.{}", layout.minor)
        };
        match (this.1, that.1) {
            (a, b) if a == b => {}
            (Some(_), None) if is_free(other, this) => {}
            (None, Some(_)) if is_free(one, that) => {}
            (Some(_), Some(there)) => {
                found.push(alloc::format!("{}, at {there} in 2.{}", place(one, this), other.minor));
            }
            (Some(_), None) => found.push(place(one, this)),
            (None, _) => found.push(place(other, that)),
        }
    }
    // A thread has one area that the kernel knows of; the other libc looks for it, too.
    for (layout, there) in [(one, other), (other, one)] {
        let area = rseq_field(layout);
        if area.1.is_some() && there.pthread.rseq_area != area.1 && !is_free(there, area) {
            found.push(alloc::format!(
                "the place of restartable sequences in glibc 2.{} is taken in 2.{}",
                layout.minor,
                there.minor
            ));
        }
    }
    found
}

/// Whether a layout has nothing where another has a field.
fn is_free(layout: &Layout, (_, at, bytes): Field) -> bool {
    let Some(start) = at else { return true };
    let end = start.saturating_add(bytes);
    let at = &layout.pthread;
    let apart = |(_, place, bytes): Field| {
        place.is_none_or(|place| end <= place || place.saturating_add(bytes) <= start)
    };
    end <= at.size && fields(at).into_iter().chain(others(at)).all(apart)
}

/// Where threads of a layout have the area that their libc reads the processor's number from, from the thread pointer
/// on. `exported` is what `__rseq_offset` says.
#[must_use]
pub fn rseq_offset(layout: &Layout, exported: i64) -> Option<i64> {
    match layout.contract.rseq_place {
        RseqPlace::Absent => None,
        RseqPlace::Pthread => layout.pthread.rseq_area.map(i64::from),
        RseqPlace::ExtraTls => Some(exported),
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::LAYOUTS;
    use super::*;

    fn last(minor: u16) -> &'static Layout {
        LAYOUTS.iter().rfind(|layout| layout.minor == minor).unwrap()
    }

    /// Found by comparing the structures of these releases.
    #[test]
    fn pairs_that_agree() {
        for (one, other) in [(36, 36), (36, 37), (36, 39), (36, 41), (39, 40), (40, 41), (42, 43)] {
            assert_eq!(obstacles(last(one), last(other)), [""; 0], "2.{one} and 2.{other}");
            assert_eq!(obstacles(last(other), last(one)), [""; 0], "2.{other} and 2.{one}");
        }
    }

    #[test]
    fn pairs_that_do_not() {
        for (one, other, word) in [
            (31, 36, "libpthread"),
            (33, 33, "libpthread"),
            (35, 36, "bytes"),
            (34, 35, "cancellation"),
            (36, 43, "lock is at 1560 in glibc 2.36, at 1568 in 2.43"),
            (41, 42, "result is at 1576 in glibc 2.41, at 1584 in 2.42"),
        ] {
            let [there, back] =
                [(one, other), (other, one)].map(|(one, other)| obstacles(last(one), last(other)));
            assert!(there.iter().any(|line| line.contains(word)), "2.{one}, 2.{other}: {there:?}");
            assert_eq!(there.len(), back.len(), "2.{one}, 2.{other}: {back:?}");
        }
    }

    #[test]
    fn what_is_free() {
        let [old, new] = [last(36), last(41)];
        let field = |at| ("", Some(at), 8);
        assert!(is_free(old, ("", None, 8)));
        assert!(is_free(old, ("", new.pthread.getrandom_buf, 8)));
        assert!(is_free(new, rseq_field(old)));
        assert!(
            !is_free(old, field(720)) && !is_free(old, field(716)) && is_free(old, field(2320))
        );
        assert!(!is_free(old, field(old.pthread.size - 7)) && !is_free(old, field(u16::MAX)));
    }

    #[test]
    fn where_the_processor_is_read() {
        assert_eq!(rseq_offset(last(34), -192), None);
        assert_eq!(rseq_offset(last(36), -192), Some(2336));
        assert_eq!(rseq_offset(last(41), -192), Some(-192));
        assert_eq!(rseq_offset(last(41), 2336), Some(2336));
    }
}
