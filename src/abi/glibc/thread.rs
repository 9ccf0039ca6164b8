//! The main thread's `struct pthread` (contract 2.2), and restartable sequences (contract 2.5).
//!
//! # Safety
//!
//! The kernel is given addresses inside the main thread's block, which is never unmapped.
#![allow(unsafe_code)]

use super::fields::Fields;
use super::layout::{Layout, RseqPlace};
use crate::addr::Addr;
use crate::arch::x86_64::tcb;
use crate::sys::process;
use crate::tls::block::set_word;

/// Distance from a robust mutex's list link to its lock word.
const FUTEX_OFFSET: i64 = -32;
/// Bytes of the kernel's `struct robust_list_head`.
const ROBUST_HEAD_SIZE: u64 = 24;
/// Bytes that the kernel wants for the area of restartable sequences.
const RSEQ_AREA: u64 = 32;
/// Marks abort handlers on x86.
const RSEQ_SIGNATURE: u32 = 0x5305_3053;
const RSEQ_CPU_ID_UNINITIALISED: i32 = -1;
const RSEQ_CPU_ID_FAILED: i32 = -2;

/// Writes the part that no release has moved, and installs the thread pointer: from here on code with stack protection
/// may run. `random` are the sixteen bytes of AT_RANDOM.
///
/// # Errors
/// What arch_prctl(2) answers.
///
/// # Safety
/// `thread_pointer` is a zeroed thread control block that lives as long as the thread.
pub unsafe fn install(thread_pointer: Addr, random: [u8; 16]) -> Result<(), crate::errno::Errno> {
    let [low, high] = [0, 8].map(|at| {
        random
            .get(at..)
            .and_then(|half| half.first_chunk())
            .map_or(0, |half| u64::from_le_bytes(*half))
    });
    // The canary's lowest byte is a NUL, so that no string can carry it.
    let stack_guard = low & !0xff;
    // SAFETY: as the caller promises.
    unsafe {
        set_word(thread_pointer, tcb::SELF, thread_pointer.0);
        set_word(thread_pointer, tcb::PTHREAD, thread_pointer.0);
        set_word(thread_pointer, tcb::STACK_GUARD, stack_guard);
        set_word(thread_pointer, tcb::POINTER_GUARD, high);
        process::set_thread_pointer(thread_pointer)
    }
}

/// Completes `struct pthread` for releases that expect the loader to do so, and tells the kernel.
///
/// # Safety
/// `pthread` is the main thread's block at the installed thread pointer.
pub unsafe fn complete(layout: &Layout, pthread: &Fields, stack_end: Addr) {
    let at = &layout.pthread;
    let word_to_clear = at.joinstate.unwrap_or(at.tid);
    // SAFETY: the word lives in the main thread's block.
    let tid = unsafe { process::set_tid_address(Addr(pthread.at(word_to_clear))) };
    pthread.set(at.tid, tid);
    const JOINABLE: u32 = 2;
    pthread.set(at.joinstate, JOINABLE);
    pthread.set(at.specific, pthread.at(at.specific_1stblock));
    pthread.set(at.user_stack, 1u8);
    const GUARD_OF_USER: u32 = 2;
    pthread.set(at.stack_mode, GUARD_OF_USER);
    let head = pthread.at(at.robust_head);
    pthread.set(at.robust_prev, head);
    pthread.set(at.robust_head, head);
    pthread.set(at.robust_head + 8, FUTEX_OFFSET);
    // SAFETY: the head lives in the main thread's block. Without it only robust mutexes lose their robustness.
    let _ = unsafe { process::set_robust_list(Addr(head), ROBUST_HEAD_SIZE) };
    pthread.set(at.stackblock_size, stack_end.0);
}

/// What `__rseq_offset` and `__rseq_size` say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rseq {
    /// The area's distance from the thread pointer.
    pub offset: i64,
    /// Its size as applications see it; 0 when not registered.
    pub size: u32,
}

/// Registers the area for restartable sequences, unless `enabled` is false (`glibc.pthread.rseq=0`).
///
/// # Safety
/// As for [`complete`].
pub unsafe fn register_rseq(layout: &Layout, pthread: &Fields, enabled: bool) -> Option<Rseq> {
    let area = match layout.contract.rseq_place {
        RseqPlace::Pthread => layout.pthread.rseq_area?,
        RseqPlace::Absent | RseqPlace::ExtraTls => return None,
    };
    let cpu_id = area + 4;
    pthread.set(cpu_id, RSEQ_CPU_ID_UNINITIALISED);
    let address = Addr(pthread.at(area));
    // SAFETY: the area lives in the main thread's block.
    let registered =
        enabled && unsafe { process::register_rseq(address, RSEQ_AREA, RSEQ_SIGNATURE) }.is_ok();
    if !registered {
        pthread.set(cpu_id, RSEQ_CPU_ID_FAILED);
    }
    let size = layout.contract.rseq_size.map_or(RSEQ_AREA as u32, u32::from);
    Some(Rseq { offset: area.into(), size: if registered { size } else { 0 } })
}
