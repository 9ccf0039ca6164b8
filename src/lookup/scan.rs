//! Finds the end of a name and hashes it on the way, sixteen bytes at a time.
//!
//! Names are scanned once per reference, and C++ names are long: byte by byte, each step of the hash waits for the one
//! before, which costs more than all the rest of a lookup.
//!
//! # Safety
//!
//! SSE2 is part of the x86-64 baseline. The one load reads sixteen bytes of a slice that has them.
#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m128i, _mm_and_si128, _mm_cmpeq_epi8, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_madd_epi16,
    _mm_movemask_epi8, _mm_packs_epi32, _mm_set1_epi32, _mm_setzero_si128, _mm_srli_si128,
    _mm_unpackhi_epi8, _mm_unpacklo_epi8,
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

/// The string at the start of `bytes` without its NUL, and its GNU hash; `None` if it does not end.
#[inline]
#[must_use]
pub fn name(bytes: &[u8]) -> Option<(&[u8], u32)> {
    let mut hash = 5381u32;
    let (blocks, rest) = bytes.as_chunks::<16>();
    for (block, at) in blocks.iter().zip(0..) {
        let block = load(block);
        // SAFETY: SSE2 is there.
        let zeros = unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(block, _mm_setzero_si128())) };
        if zeros != 0 {
            let left = zeros.trailing_zeros() as usize;
            return Some((bytes.get(..at * 16 + left)?, part_of_block(hash, block, left)));
        }
        hash = whole_block(hash, block);
    }
    let left = rest.iter().position(|&byte| byte == 0)?;
    let hash = rest
        .iter()
        .take(left)
        .fold(hash, |hash, &byte| hash.wrapping_mul(33).wrapping_add(byte.into()));
    Some((bytes.get(..blocks.len() * 16 + left)?, hash))
}

#[inline]
fn load(block: &[u8; 16]) -> __m128i {
    // SAFETY: the block has sixteen bytes.
    unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
}

/// Takes the first `count` bytes of a block: the others count as zero, which multiplies the hash too often.
#[inline]
fn part_of_block(hash: u32, block: __m128i, count: usize) -> u32 {
    let mask = KEEP.get(16 - count.min(16)..).and_then(|mask| mask.first_chunk());
    let undo = UNDO.get(16 - count.min(16)).copied().unwrap_or(1);
    let kept = match mask {
        // SAFETY: SSE2 is there.
        Some(mask) => unsafe { _mm_and_si128(block, load(mask)) },
        None => block,
    };
    whole_block(hash, kept).wrapping_mul(undo)
}

/// Takes sixteen bytes: first as pairs, then as fours, each sum still small enough for sixteen bits.
#[inline]
fn whole_block(hash: u32, block: __m128i) -> u32 {
    // SAFETY: SSE2 is there; all operations are on values.
    let quads = unsafe {
        let zero = _mm_setzero_si128();
        let by_one = _mm_set1_epi32(pair(33, 1));
        let by_two = _mm_set1_epi32(pair(power(2), 1));
        let low = _mm_madd_epi16(_mm_unpacklo_epi8(block, zero), by_one);
        let high = _mm_madd_epi16(_mm_unpackhi_epi8(block, zero), by_one);
        _mm_madd_epi16(_mm_packs_epi32(low, high), by_two)
    };
    // SAFETY: as above.
    let [a, b, c, d] = unsafe {
        [
            _mm_cvtsi128_si32(quads),
            _mm_cvtsi128_si32(_mm_srli_si128::<4>(quads)),
            _mm_cvtsi128_si32(_mm_srli_si128::<8>(quads)),
            _mm_cvtsi128_si32(_mm_srli_si128::<12>(quads)),
        ]
    }
    .map(i32::cast_unsigned);
    let sum = a.wrapping_mul(power(12)).wrapping_add(b.wrapping_mul(power(8)));
    let sum = sum.wrapping_add(c.wrapping_mul(power(4))).wrapping_add(d);
    hash.wrapping_mul(power(16)).wrapping_add(sum)
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
        }
        assert_eq!(name(&[0xff; 64]), None);
        assert_eq!(name(b"\0"), Some((&b""[..], 5381)));
    }
}
