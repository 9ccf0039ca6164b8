//! Names that are nearly right.

use alloc::vec;
use alloc::vec::Vec;

/// Names longer than this are not compared: the work grows with the product of their lengths.
const LONGEST: usize = 256;

/// How many letters must be inserted, removed, replaced or swapped with their neighbour to make one word the other;
/// `None` for very long words. (Optimal string alignment.)
#[must_use]
pub fn distance(a: &[u8], b: &[u8]) -> Option<usize> {
    if a.len() > LONGEST || b.len() > LONGEST {
        return None;
    }
    // Row by row: [j] is the distance of what of `a` is behind and the first j letters of `b`.
    let (mut before, mut last): (Vec<_>, Vec<_>) = (vec![0; b.len() + 1], (0..=b.len()).collect());
    for (i, &letter) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, &other) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(letter != other);
            let swapped = match (i.checked_sub(1), j.checked_sub(1)) {
                (Some(i), Some(j)) if a[i] == other && b[j] == letter => before[j] + 1,
                _ => usize::MAX,
            };
            row[j + 1] = replaced.min(swapped).min(last[j + 1] + 1).min(row[j] + 1);
        }
        before = core::mem::replace(&mut last, row);
    }
    last.last().copied()
}

/// Whether [`distance`] may be at most `most`; a `false` is certain, and cheap: it follows from how often each letter
/// occurs, which one change alters by two.
#[must_use]
pub fn may_be_within(most: usize, a: &[u8], b: &[u8]) -> bool {
    let mut surplus = [0_isize; 64];
    let kind = |letter: &u8| usize::from(letter % 64);
    a.iter().for_each(|letter| surplus[kind(letter)] += 1);
    b.iter().for_each(|letter| surplus[kind(letter)] -= 1);
    surplus.iter().map(|count| count.unsigned_abs()).sum::<usize>() <= 2 * most
}

/// The candidate that was meant, if one is near: at most a third of the word's letters are wrong. The first of equals.
#[must_use]
pub fn nearest<'c>(word: &[u8], candidates: impl Iterator<Item = &'c [u8]>) -> Option<&'c [u8]> {
    let near = candidates.filter_map(|candidate| Some((distance(word, candidate)?, candidate)));
    let near = near.filter(|(distance, _)| *distance <= word.len() / 3);
    near.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("list", "list", 0),
            ("lits", "list", 1),
            ("lst", "list", 1),
            ("kitten", "sitting", 3),
            ("ab", "ba", 1),
            ("malloc", "calloc", 1),
        ] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), Some(expected), "{a} {b}");
            assert_eq!(distance(b.as_bytes(), a.as_bytes()), Some(expected), "{b} {a}");
            assert!(may_be_within(expected, a.as_bytes(), b.as_bytes()), "{a} {b}");
        }
        assert_eq!(distance(&[b'a'; 300], b"a"), None);
        assert!(!may_be_within(1, b"kitten", b"sitting"));
    }

    #[test]
    fn the_nearest_is_near() {
        let nearest = |word: &str| {
            nearest(word.as_bytes(), ["--list", "--audit"].map(str::as_bytes).into_iter())
        };
        assert_eq!(nearest("--lost"), Some(&b"--list"[..]));
        assert_eq!(nearest("--audits"), Some(&b"--audit"[..]));
        assert_eq!(nearest("--nothing"), None);
        assert_eq!(nearest("--"), None);
    }
}
