//! The memory functions that compilers call without being asked. They are assembly, so that no compiler can turn them
//! into calls of themselves, and use baseline SSE only: what a program keeps in the upper halves of vector registers
//! survives them.
//!
//! # Safety
//!
//! Their contracts are those of the C standard.

use core::arch::naked_asm;

/// memcpy(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(_to: *mut u8, _from: *const u8, _len: usize) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi",
        "cmp rdx, 16",
        "jb 3f",
        "cmp rdx, 512",
        "jae 5f",
        // 16 bytes at a time; the last 16 overlap.
        "movups xmm1, [rsi + rdx - 16]",
        "lea rcx, [rdi + rdx - 16]",
        "2:",
        "movups xmm0, [rsi]",
        "movups [rdi], xmm0",
        "add rsi, 16",
        "add rdi, 16",
        "cmp rdi, rcx",
        "jb 2b",
        "movups [rcx], xmm1",
        "ret",
        "3:",
        "cmp edx, 8",
        "jb 4f",
        "mov rcx, [rsi]",
        "mov r8, [rsi + rdx - 8]",
        "mov [rdi], rcx",
        "mov [rdi + rdx - 8], r8",
        "ret",
        "4:",
        "cmp edx, 4",
        "jb 6f",
        "mov ecx, [rsi]",
        "mov r8d, [rsi + rdx - 4]",
        "mov [rdi], ecx",
        "mov [rdi + rdx - 4], r8d",
        "ret",
        "6:",
        "test edx, edx",
        "je 7f",
        "movzx ecx, byte ptr [rsi]",
        // One to three bytes: first, middle, last, which may be the same.
        "movzx r8d, byte ptr [rsi + rdx - 1]",
        "lea r10, [rdx - 1]",
        "shr edx, 1",
        "movzx r9d, byte ptr [rsi + rdx]",
        "mov [rdi], cl",
        "mov [rdi + rdx], r9b",
        "mov [rdi + r10], r8b",
        "7:",
        "ret",
        "5:",
        "mov rcx, rdx",
        "rep movsb",
        "ret",
    )
}

/// memmove(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(_to: *mut u8, _from: *const u8, _len: usize) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi",
        "mov rcx, rdi",
        "sub rcx, rsi",
        "cmp rcx, rdx",
        "jae 3f",
        "mov rcx, rdx",
        "lea rdi, [rdi + rcx - 1]",
        "lea rsi, [rsi + rcx - 1]",
        "std",
        "rep movsb",
        "cld",
        "ret",
        // The target does not start inside the source: forwards is right, if nothing is read after it was written.
        "3:",
        "sub rsi, rdi",
        "cmp rsi, rdx",
        "lea rsi, [rsi + rdi]",
        "jae {memcpy}",
        "mov rcx, rdx",
        "rep movsb",
        "ret",
        memcpy = sym memcpy,
    )
}

/// memset(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(_to: *mut u8, _byte: i32, _len: usize) -> *mut u8 {
    naked_asm!(
        "mov r8, rdi",
        "movzx eax, sil",
        "cmp rdx, 16",
        "jb 3f",
        "cmp rdx, 512",
        "jae 3f",
        "imul eax, eax, 0x01010101",
        "movd xmm0, eax",
        "pshufd xmm0, xmm0, 0",
        "lea rcx, [rdi + rdx - 16]",
        "2:",
        "movups [rdi], xmm0",
        "add rdi, 16",
        "cmp rdi, rcx",
        "jb 2b",
        "movups [rcx], xmm0",
        "mov rax, r8",
        "ret",
        "3:",
        "mov rcx, rdx",
        "rep stosb",
        "mov rax, r8",
        "ret",
    )
}

/// memcmp(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(_a: *const u8, _b: *const u8, _len: usize) -> i32 {
    naked_asm!(
        "sub rdx, 8",
        "jb 3f",
        "2:",
        "mov rax, [rdi]",
        "mov rcx, [rsi]",
        "cmp rax, rcx",
        "jne 5f",
        "add rdi, 8",
        "add rsi, 8",
        "sub rdx, 8",
        "jae 2b",
        "3:",
        "add rdx, 8",
        "je 4f",
        "6:",
        "movzx eax, byte ptr [rdi]",
        "movzx ecx, byte ptr [rsi]",
        "sub eax, ecx",
        "jne 7f",
        "inc rdi",
        "inc rsi",
        "dec rdx",
        "jne 6b",
        "4:",
        "xor eax, eax",
        "7:",
        "ret",
        "5:",
        // The first byte in memory is the lowest of the word: turn it round to compare.
        "bswap rax",
        "bswap rcx",
        "cmp rax, rcx",
        "sbb eax, eax",
        "or eax, 1",
        "ret",
    )
}

/// bcmp(3): only whether the bytes are equal counts. Sixteen bytes at a time; the last block overlaps.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(_a: *const u8, _b: *const u8, _len: usize) -> i32 {
    naked_asm!(
        "cmp rdx, 16",
        "jb 3f",
        "sub rdx, 16",
        "xor ecx, ecx",
        "2:",
        "movups xmm0, [rdi + rcx]",
        "movups xmm1, [rsi + rcx]",
        "pcmpeqb xmm0, xmm1",
        "pmovmskb eax, xmm0",
        "sub eax, 0xffff",
        "jne 9f",
        "add rcx, 16",
        "cmp rcx, rdx",
        "jb 2b",
        "movups xmm0, [rdi + rdx]",
        "movups xmm1, [rsi + rdx]",
        "pcmpeqb xmm0, xmm1",
        "pmovmskb eax, xmm0",
        "sub eax, 0xffff",
        "ret",
        "3:",
        "cmp edx, 8",
        "jb 4f",
        "mov rax, [rdi]",
        "mov rcx, [rdi + rdx - 8]",
        "sub rax, [rsi]",
        "sub rcx, [rsi + rdx - 8]",
        "or rax, rcx",
        "setne al",
        "movzx eax, al",
        "ret",
        "4:",
        "cmp edx, 4",
        "jb 5f",
        "mov eax, [rdi]",
        "mov ecx, [rdi + rdx - 4]",
        "sub eax, [rsi]",
        "sub ecx, [rsi + rdx - 4]",
        "or eax, ecx",
        "ret",
        "5:",
        "xor eax, eax",
        "test edx, edx",
        "je 9f",
        "6:",
        "movzx eax, byte ptr [rdi + rdx - 1]",
        "movzx ecx, byte ptr [rsi + rdx - 1]",
        "sub eax, ecx",
        "jne 9f",
        "dec edx",
        "jne 6b",
        "9:",
        "ret",
    )
}

/// strlen(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(_text: *const u8) -> usize {
    naked_asm!(
        // Aligned blocks of sixteen bytes never reach into a page that the string does not touch.
        "mov rax, rdi",
        "and rax, -16",
        "pxor xmm0, xmm0",
        "movdqa xmm1, [rax]",
        "pcmpeqb xmm1, xmm0",
        "pmovmskb edx, xmm1",
        "mov ecx, edi",
        "and ecx, 15",
        "shr edx, cl",
        "test edx, edx",
        "je 2f",
        "bsf eax, edx",
        "ret",
        "2:",
        "add rax, 16",
        "movdqa xmm1, [rax]",
        "pcmpeqb xmm1, xmm0",
        "pmovmskb edx, xmm1",
        "test edx, edx",
        "je 2b",
        "bsf edx, edx",
        "add rax, rdx",
        "sub rax, rdi",
        "ret",
    )
}

/// Nothing calls strcmp here, but valgrind's memcheck, from 3.24 on at the latest, starts only where the loader has it.
#[used]
static KEPT: unsafe extern "C" fn(*const u8, *const u8) -> i32 = strcmp;

/// strcmp(3).
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn strcmp(_a: *const u8, _b: *const u8) -> i32 {
    naked_asm!(
        "2:",
        "movzx eax, byte ptr [rdi]",
        "movzx ecx, byte ptr [rsi]",
        "inc rdi",
        "inc rsi",
        "test eax, eax",
        "je 3f",
        "cmp eax, ecx",
        "je 2b",
        "3:",
        "sub eax, ecx",
        "ret",
    )
}
