//! All vector, mask and x87 registers at once: foreign code is called from places where each belongs to somebody else.
//!
//! # Safety
//!
//! XSAVE is used where the system has enabled it. The area is large enough for x87, SSE, AVX and AVX-512 state wherever
//! the processor puts the parts (Intel SDM volume 1, 13.4); other state is not asked for.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// Whether XSAVE may be used; without it there are no registers but those that FXSAVE knows.
static HAS_XSAVE: AtomicU8 = AtomicU8::new(0);
/// Where the upper halves of ymm0 to ymm15 are in an area, and those of zmm0 to zmm15; 0 where the processor has none,
/// or nobody has asked.
static YMM: AtomicU32 = AtomicU32::new(0);
static ZMM: AtomicU32 = AtomicU32::new(0);

/// Bytes of an area.
pub const AREA: usize = 2752;
/// Where xmm0 is in an area, and st0; 16 bytes each.
const XMM: usize = 160;
const X87: usize = 32;
/// Where the bits are that say which parts are not in their initial state.
const IN_USE: usize = 512;

/// Says that the processor has XSAVE and the system has enabled it.
pub fn use_xsave() {
    HAS_XSAVE.store(1, Ordering::Relaxed);
}

/// Whether XSAVE may be used.
pub fn has_xsave() -> bool {
    HAS_XSAVE.load(Ordering::Relaxed) != 0
}

/// Says where the processor puts the upper halves of vector registers (CPUID leaf 0xd, 2 and 6); 0 where it has none.
pub fn find_upper_halves(ymm: u32, zmm: u32) {
    let inside = |offset: u32, size: usize| match (offset as usize).checked_add(size) {
        Some(end) if end <= AREA => offset,
        _ => 0,
    };
    YMM.store(inside(ymm, 256), Ordering::Relaxed);
    ZMM.store(inside(zmm, 512), Ordering::Relaxed);
}

/// The registers of one moment, as XSAVE or FXSAVE writes them.
#[repr(C, align(64))]
pub struct State([u8; AREA]);

impl State {
    /// Where the parts of a vector register are: offset in the area, first byte in the register, bytes, and the part's
    /// number.
    fn parts(register: usize) -> [(usize, usize, usize, u32); 3] {
        let offset = |part: &AtomicU32| part.load(Ordering::Relaxed) as usize;
        let (ymm, zmm) = (offset(&YMM), offset(&ZMM));
        [
            (XMM + register * 16, 0, 16, 1),
            (if ymm == 0 { AREA } else { ymm + register * 16 }, 16, 16, 2),
            (if zmm == 0 { AREA } else { zmm + register * 32 }, 32, 32, 6),
        ]
    }

    fn in_use(&self) -> u64 {
        let word = self.0.get(IN_USE..).and_then(|rest| rest.first_chunk());
        word.map_or(0, |word| u64::from_le_bytes(*word))
    }

    /// One of the first sixteen vector registers; zeros above what the processor has.
    #[must_use]
    pub fn vector(&self, register: usize) -> [u8; 64] {
        let mut vector = [0; 64];
        let has_header = has_xsave();
        for (offset, start, size, part) in Self::parts(register) {
            let is_set = !has_header || self.in_use() >> part & 1 != 0;
            if let (Some(from), Some(to), true) =
                (self.0.get(offset..offset + size), vector.get_mut(start..start + size), is_set)
            {
                to.copy_from_slice(from);
            }
        }
        vector
    }

    /// Changes a vector register.
    pub fn set_vector(&mut self, register: usize, vector: &[u8; 64]) {
        let has_header = has_xsave();
        let in_use = self.in_use();
        for (offset, start, size, part) in Self::parts(register) {
            let Some(from) = vector.get(start..start + size).filter(|_| offset < AREA) else {
                continue;
            };
            if has_header && in_use >> part & 1 == 0 {
                if from.iter().all(|&byte| byte == 0) {
                    continue;
                }
                // All registers of the part are zero, and will be read from the area from now on.
                let first = offset - register * size;
                if let Some(all) = self.0.get_mut(first..first + 16 * size) {
                    all.fill(0);
                    let bits = (self.in_use() | 1 << part).to_le_bytes();
                    self.0[IN_USE..IN_USE + 8].copy_from_slice(&bits);
                }
            }
            if let Some(to) = self.0.get_mut(offset..offset + size) {
                to.copy_from_slice(from);
            }
        }
    }

    /// An x87 register, counted from the top of their stack.
    #[must_use]
    pub fn x87(&self, register: usize) -> [u8; 16] {
        let start = X87 + register * 16;
        let bytes = self.0.get(start..start + 16).and_then(|bytes| bytes.first_chunk());
        bytes.copied().unwrap_or_default()
    }

    /// Changes an x87 register.
    pub fn set_x87(&mut self, register: usize, value: &[u8; 16]) {
        let start = X87 + register * 16;
        // Only ten bytes are the register's.
        if let (Some(to), Some(from)) = (self.0.get_mut(start..start + 10), value.get(..10)) {
            to.copy_from_slice(from);
        }
    }
}

/// Stores all registers in an area. Changes rax, rdx and the flags.
///
/// # Safety
/// `area` is the caller's.
#[unsafe(naked)]
pub unsafe extern "C" fn save(area: *mut State) {
    naked_asm!(
        "cmp byte ptr [rip + {has_xsave}], 0",
        "jne 2f",
        "fxsave64 [rdi]",
        "ret",
        "2:",
        // The header must be zero but for what XSAVE writes.
        "xor eax, eax",
        "mov [rdi + 512], rax",
        "mov [rdi + 520], rax",
        "mov [rdi + 528], rax",
        "mov [rdi + 536], rax",
        "mov [rdi + 544], rax",
        "mov [rdi + 552], rax",
        "mov [rdi + 560], rax",
        "mov [rdi + 568], rax",
        // x87, SSE, AVX; opmask and both parts of the AVX-512 registers.
        "mov eax, 0xe7",
        "xor edx, edx",
        "xsave64 [rdi]",
        "ret",
        has_xsave = sym HAS_XSAVE,
    )
}

/// The inverse of [`save`]. Changes rax, rdx and the flags.
///
/// # Safety
/// The area was filled by [`save`].
#[unsafe(naked)]
pub unsafe extern "C" fn restore(area: *const State) {
    naked_asm!(
        "cmp byte ptr [rip + {has_xsave}], 0",
        "jne 2f",
        "fxrstor64 [rdi]",
        "ret",
        "2:",
        "mov eax, 0xe7",
        "xor edx, edx",
        "xrstor64 [rdi]",
        "ret",
        has_xsave = sym HAS_XSAVE,
    )
}

/// Calls `function`, and gives all vector, mask and x87 registers back as they were. Returns what it returns.
///
/// # Safety
/// `function` is the address of a function without arguments.
#[unsafe(naked)]
pub unsafe extern "C" fn call(function: u64) -> u64 {
    naked_asm!(
        "push rbp",
        "mov rbp, rsp",
        "push rbx",
        "push r12",
        "sub rsp, {area}",
        "and rsp, -64",
        "mov rbx, rdi",
        "mov rdi, rsp",
        "call {save}",
        "call rbx",
        "mov r12, rax",
        "mov rdi, rsp",
        "call {restore}",
        "mov rax, r12",
        "lea rsp, [rbp - 16]",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        area = const AREA,
        save = sym save,
        restore = sym restore,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_is_what_was_set() {
        let mut state = State([0xff; AREA]);
        use_xsave();
        find_upper_halves(576, 1152);
        state.0[IN_USE..IN_USE + 8].copy_from_slice(&0u64.to_le_bytes());
        assert_eq!(state.vector(3), [0; 64]);
        let pattern: [u8; 64] = core::array::from_fn(|at| at as u8 + 1);
        state.set_vector(3, &pattern);
        assert_eq!(state.vector(3), pattern);
        assert_eq!(state.in_use(), 0b100_0110);
        // The others of these parts were zero, and still are.
        assert!((0..16).filter(|&other| other != 3).all(|other| state.vector(other) == [0; 64]));
        state.set_x87(1, &[7; 16]);
        assert_eq!(state.x87(1)[..11], [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0xff]);
    }
}
