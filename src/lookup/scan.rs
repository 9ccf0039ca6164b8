//! Finds the end of a name and hashes it on the way, sixteen bytes at a time.
//!
//! Names are scanned once per reference, and C++ names are long: byte by byte, each step of the hash waits for the one
//! before, which costs more than all the rest of a lookup.
//!
//! # Safety
//!
//! SSE2 is part of the x86-64 baseline. The one load reads sixteen bytes of a slice that has them; the one instruction
//! that is written out changes a register.
#![allow(unsafe_code)]

use core::arch::asm;
use core::arch::x86_64::{
    __m128i, _mm_add_epi64, _mm_and_si128, _mm_cmpeq_epi8, _mm_cvtsi128_si32, _mm_loadu_si128,
    _mm_madd_epi16, _mm_movemask_epi8, _mm_packs_epi32, _mm_set_epi64x, _mm_set1_epi32,
    _mm_setzero_si128, _mm_srli_epi64, _mm_srli_si128, _mm_unpackhi_epi8, _mm_unpacklo_epi8,
};

/// Powers of 33, the factor of the GNU hash.
const fn power(exponent: u32) -> u32 {
    33u32.wrapping_pow(exponent)
}

/// Two 16-bit factors, the first for the lower half.
const fn pair(low: u32, high: u32) -> i32 {
    (low | high << 16).cast_signed()
}

/// What undoes multiplying by a power of 33: a factor that is odd has an inverse modulo 2^32.
const UNDO: [u32; 17] = {
    // Newton's iteration doubles the bits that are right; any odd number is its own inverse modulo 8.
    let mut inverse = 33u32;
    let mut round = 0;
    while round < 4 {
        inverse = inverse.wrapping_mul(2u32.wrapping_sub(33u32.wrapping_mul(inverse)));
        round += 1;
    }
    let mut powers = [1u32; 17];
    let mut at = 1;
    while at < 17 {
        powers[at] = powers[at - 1].wrapping_mul(inverse);
        at += 1;
    }
    powers
};

/// Sixteen ones and sixteen zeros: the mask for the first n bytes of a block starts at 16 − n.
const KEEP: [u8; 32] = {
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < 16 {
        bytes[at] = 0xff;
        at += 1;
    }
    bytes
};

/// The hash of sixteen-byte blocks so far, in four lanes: the first and the third, the second and the fourth. Each lane
/// is right modulo 2^32; what stands above does no harm.
#[derive(Clone, Copy)]
struct Lanes {
    even: __m128i,
    odd: __m128i,
}

impl Lanes {
    /// The hash's start, 5381, in the last lane.
    #[inline]
    fn new() -> Self {
        // SAFETY: SSE2 is there.
        unsafe { Self { even: _mm_setzero_si128(), odd: _mm_set_epi64x(5381, 0) } }
    }

    /// Takes sixteen bytes: first as pairs, then as fours, each sum still small enough for its bits. Then all lanes are
    /// moved on by sixteen places.
    #[inline]
    fn add(self, block: __m128i) -> Self {
        // SAFETY: SSE2 is there; all operations are on values.
        unsafe {
            let zero = _mm_setzero_si128();
            let by_one = _mm_set1_epi32(pair(33, 1));
            let by_two = _mm_set1_epi32(pair(power(2), 1));
            let low = _mm_madd_epi16(_mm_unpacklo_epi8(block, zero), by_one);
            let high = _mm_madd_epi16(_mm_unpackhi_epi8(block, zero), by_one);
            let fours = _mm_madd_epi16(_mm_packs_epi32(low, high), by_two);
            let by_sixteen = _mm_set1_epi32(power(16).cast_signed());
            let even = _mm_add_epi64(product(self.even, by_sixteen), fours);
            let odd = product(self.odd, by_sixteen);
            Self { even, odd: _mm_add_epi64(odd, _mm_srli_epi64::<32>(fours)) }
        }
    }

    /// The lanes as one number.
    #[inline]
    fn sum(self) -> u32 {
        // SAFETY: SSE2 is there; all operations are on values.
        unsafe {
            let factors = |first: u32, second: u32| _mm_set_epi64x(second.into(), first.into());
            let even = product(self.even, factors(power(12), power(4)));
            let odd = product(self.odd, factors(power(8), 1));
            let both = _mm_add_epi64(even, odd);
            let sum = _mm_add_epi64(both, _mm_srli_si128::<8>(both));
            _mm_cvtsi128_si32(sum).cast_unsigned()
        }
    }
}

/// The products of the lower halves of the lanes. Written out, since compilers see that the upper halves do not matter
/// in the end, and conclude that they must be multiplied as well.
#[inline]
fn product(mut a: __m128i, b: __m128i) -> __m128i {
    // SAFETY: SSE2 is there; the operation is on values.
    unsafe {
        asm!(
            "pmuludq {a}, {b}",
            a = inout(xmm_reg) a,
            b = in(xmm_reg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    a
}

/// The string at the start of `bytes` without its NUL, and its GNU hash; `None` if it does not end.
#[inline]
#[must_use]
pub fn name(bytes: &[u8]) -> Option<(&[u8], u32)> {
    let mut lanes = Lanes::new();
    let (blocks, rest) = bytes.as_chunks::<16>();
    for (block, at) in blocks.iter().zip(0..) {
        let block = load(block);
        let zeros = zeros(block);
        if zeros != 0 {
            let left = zeros.trailing_zeros() as usize;
            return Some((bytes.get(..at * 16 + left)?, ended(lanes, block, left)));
        }
        lanes = lanes.add(block);
    }
    // Most names that programs ask for are shorter than a block.
    let mut hash = if blocks.is_empty() { 5381 } else { lanes.sum() };
    for (&byte, at) in rest.iter().zip(blocks.len() * 16..) {
        if byte == 0 {
            return Some((bytes.get(..at)?, hash));
        }
        hash = hash.wrapping_mul(33).wrapping_add(byte.into());
    }
    None
}

/// Whether the string at the start of `bytes` is `name`.
#[inline(always)]
#[must_use]
pub fn is(bytes: &[u8], name: &[u8]) -> bool {
    let Some((string, rest)) = bytes.split_at_checked(name.len()) else { return false };
    if rest.first() != Some(&0) {
        return false;
    }
    let (Some(end), Some(other_end)) = (string.last_chunk(), name.last_chunk()) else {
        return string == name;
    };
    let ((pairs, rest), (other_pairs, other_rest)) = (string.as_chunks(), name.as_chunks());
    let mut pairs = pairs.iter().zip(other_pairs);
    // What is left after the pairs is one block and a part of one, which the end is of.
    let last = rest.first_chunk().zip(other_rest.first_chunk());
    same(end, other_end)
        && pairs.all(|(a, b)| are_same(a, b))
        && last.is_none_or(|(a, b)| same(a, b))
}

#[inline]
fn same(a: &[u8; 16], b: &[u8; 16]) -> bool {
    // SAFETY: SSE2 is there.
    unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(load(a), load(b))) == 0xffff }
}

/// The same for two blocks at a time.
#[inline]
fn are_same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let (([a, c], _), ([b, d], _)) = (a.as_chunks(), b.as_chunks()) else { return a == b };
    // SAFETY: SSE2 is there.
    unsafe {
        let first = _mm_cmpeq_epi8(load(a), load(b));
        let second = _mm_cmpeq_epi8(load(c), load(d));
        _mm_movemask_epi8(_mm_and_si128(first, second)) == 0xffff
    }
}

/// A bit for each byte that is zero.
#[inline]
fn zeros(block: __m128i) -> i32 {
    // SAFETY: SSE2 is there.
    unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(block, _mm_setzero_si128())) }
}

#[inline]
fn load(block: &[u8; 16]) -> __m128i {
    // SAFETY: the block has sixteen bytes.
    unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
}

/// Takes the first `count` bytes of a last block: the others count as zero, which multiplies the hash too often.
#[inline]
fn ended(lanes: Lanes, block: __m128i, count: usize) -> u32 {
    let mask = KEEP.get(16 - count.min(16)..).and_then(|mask| mask.first_chunk());
    let undo = UNDO.get(16 - count.min(16)).copied().unwrap_or(1);
    let kept = match mask {
        // SAFETY: SSE2 is there.
        Some(mask) => unsafe { _mm_and_si128(block, load(mask)) },
        None => block,
    };
    lanes.add(kept).sum().wrapping_mul(undo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn hashes_as_the_abi_does() {
        let simple = |name: &[u8]| {
            name.iter().fold(5381u32, |hash, &byte| hash.wrapping_mul(33).wrapping_add(byte.into()))
        };
        // Every length, every alignment, high bytes included.
        for length in 0..200usize {
            let mut bytes: Vec<u8> = (0..length).map(|at| 255 - (at * 7 % 255) as u8).collect();
            let want = simple(&bytes);
            assert_eq!(name(&bytes), None, "{length}");
            bytes.extend([0, b'x', b'y']);
            assert_eq!(name(&bytes), Some((&bytes[..length], want)), "{length}");
            let (string, other) = (&bytes[..length], [&bytes[..length], b"\x01"].concat());
            assert!(is(&bytes, string) && !is(&bytes, &other) && !is(&other, string), "{length}");
            for at in 0..length {
                let mut other = string.to_vec();
                other[at] ^= 1;
                assert!(!is(&bytes, &other), "{length} {at}");
            }
        }
        assert_eq!(name(&[0xff; 64]), None);
        assert_eq!(name(b"\0"), Some((&b""[..], 5381)));
    }
}
