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
use crate::tls;
use crate::tls::block::set_word;
use crate::tls::layout::TooLarge;

/// Distance from a robust mutex's list link to its lock word.
const FUTEX_OFFSET: i64 = -32;
/// Bytes of the kernel's `struct robust_list_head`.
const ROBUST_HEAD_SIZE: u64 = 24;
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

/// The area of restartable sequences that each thread has (contract 2.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RseqArea {
    /// Its distance from the thread pointer.
    pub offset: i64,
    /// Its size, which the kernel is told.
    pub size: u64,
    /// How much of it `__rseq_size` promises to applications.
    pub shown: u32,
}

impl RseqArea {
    /// Where a libc of this layout has it; `None` for one that knows nothing of it. A place of its own is set aside in
    /// `tls`, as large and aligned as the kernel's `wishes` say: AT_RSEQ_FEATURE_SIZE and AT_RSEQ_ALIGN.
    ///
    /// # Errors
    /// That does not fit the address space.
    pub fn of(
        layout: &Layout,
        tls: &mut tls::Layout,
        wishes: [Option<u64>; 2],
    ) -> Result<Option<Self>, TooLarge> {
        const SMALLEST: u64 = 32;
        /// Fields of the first version, where the kernel does not say.
        const FIRST_FEATURES: u64 = 20;
        let place = match layout.contract.rseq_place {
            RseqPlace::Absent => None,
            RseqPlace::Pthread => layout.pthread.rseq_area.map(|offset| Self {
                offset: offset.into(),
                size: SMALLEST,
                shown: layout.contract.rseq_size.map_or(SMALLEST as u32, u32::from),
            }),
            RseqPlace::ExtraTls => {
                let [features, align] = wishes;
                let features = features.filter(|&size| size != 0).unwrap_or(FIRST_FEATURES);
                let align = align.filter(|align| align.is_power_of_two()).unwrap_or(SMALLEST);
                let align = align.max(SMALLEST);
                let size = features.checked_next_multiple_of(align).ok_or(TooLarge)?;
                let offset = tls.set_aside(size, align)?.cast_signed();
                let shown = u32::try_from(features).map_err(|_| TooLarge)?;
                Some(Self { offset: -offset, size, shown })
            }
        };
        Ok(place)
    }

    /// Registers the area of the thread at `thread_pointer`, unless `enabled` is false (`glibc.pthread.rseq=0`), and
    /// returns what `__rseq_size` is to say: 0 when it is not registered.
    ///
    /// # Safety
    /// The thread is the calling one, and its block was made for the layout that the area was found with.
    #[must_use]
    pub unsafe fn register(self, thread_pointer: Addr, enabled: bool) -> u32 {
        let area = Addr(thread_pointer.0.wrapping_add_signed(self.offset));
        let cpu_id = (area.0 + 4) as *mut i32;
        // SAFETY: the area lies in the thread's block, which the kernel may write as long as the thread lives.
        unsafe {
            cpu_id.write(RSEQ_CPU_ID_UNINITIALISED);
            if enabled && process::register_rseq(area, self.size, RSEQ_SIGNATURE).is_ok() {
                return self.shown;
            }
            cpu_id.write(RSEQ_CPU_ID_FAILED);
        }
        0
    }
}
