//! The stack that the kernel gives a new process (psABI, "Initial Stack and Register State"): argc, argv, envp, auxv.
//!
//! # Safety
//!
//! [`InitialStack::new`] is `unsafe`: it trusts that the pointer is the kernel's. From then on the vectors are walked
//! to their end marks, which the kernel has written, and the strings live as long as the process.
#![allow(unsafe_code)]

use core::ffi::{CStr, c_char};

use crate::addr::Addr;

/// A word of the auxiliary vector: type and value.
pub type AuxEntry = [u64; 2];

/// An auxiliary vector without its end mark.
///
/// # Safety
/// The kernel has put the vector there, and nobody changes it.
#[must_use]
pub unsafe fn auxiliary(start: *const AuxEntry) -> &'static [AuxEntry] {
    let mut count = 0;
    // SAFETY: the vector ends with AT_NULL.
    unsafe {
        while !start.is_null() && (*start.add(count))[0] != 0 {
            count += 1;
        }
        if count == 0 { &[] } else { core::slice::from_raw_parts(start, count) }
    }
}

/// The initial stack, split into its vectors.
#[derive(Debug)]
pub struct InitialStack {
    /// Where `argc` stands; what `__libc_stack_end` holds.
    start: *mut u64,
    argc: usize,
    envc: usize,
    auxc: usize,
}

/// A C string of the stack.
type Word = *const c_char;

impl InitialStack {
    /// Finds the vectors.
    ///
    /// # Safety
    /// `start` points to `argc` on a stack that the kernel has made and nobody has changed since; there is one such
    /// value at a time.
    #[must_use]
    pub unsafe fn new(start: *mut u64) -> Self {
        let mut this = Self { start, argc: 0, envc: 0, auxc: 0 };
        // SAFETY: the kernel ends envp with a null pointer and auxv with AT_NULL.
        unsafe {
            this.argc = start.read() as usize;
            while this.envp_at().add(this.envc).read() != 0 {
                this.envc += 1;
            }
            while this.auxv_at().add(2 * this.auxc).read() != 0 {
                this.auxc += 1;
            }
        }
        this
    }

    fn argv_at(&self) -> *mut u64 {
        self.start.wrapping_add(1)
    }

    fn envp_at(&self) -> *mut u64 {
        self.argv_at().wrapping_add(self.argc + 1)
    }

    fn auxv_at(&self) -> *mut u64 {
        self.envp_at().wrapping_add(self.envc + 1)
    }

    /// The address of `argc`.
    #[must_use]
    pub fn address(&self) -> Addr {
        Addr(self.start as u64)
    }

    /// The number of arguments.
    #[must_use]
    pub const fn argc(&self) -> usize {
        self.argc
    }

    /// The argument vector.
    #[must_use]
    pub fn argv(&self) -> *mut *mut c_char {
        self.argv_at().cast()
    }

    /// The environment vector.
    #[must_use]
    pub fn envp(&self) -> *mut *mut c_char {
        self.envp_at().cast()
    }

    /// The auxiliary vector.
    #[must_use]
    pub fn auxv(&self) -> *mut AuxEntry {
        self.auxv_at().cast()
    }

    /// The arguments in order.
    pub fn arguments(&self) -> impl DoubleEndedIterator<Item = &'static CStr> + ExactSizeIterator {
        // SAFETY: the kernel wrote `argc` pointers to strings that live as long as the process.
        let words =
            unsafe { core::slice::from_raw_parts(self.argv_at().cast::<Word>(), self.argc) };
        // SAFETY: as above; each is NUL-terminated.
        words.iter().map(|&word| unsafe { CStr::from_ptr(word) })
    }

    /// The environment strings in order.
    pub fn environment(&self) -> impl Iterator<Item = &'static CStr> {
        // SAFETY: the kernel wrote `envc` pointers to strings that live as long as the process.
        let words =
            unsafe { core::slice::from_raw_parts(self.envp_at().cast::<Word>(), self.envc) };
        // SAFETY: as above; each is NUL-terminated.
        words.iter().map(|&word| unsafe { CStr::from_ptr(word) })
    }

    /// The auxiliary vector without its end mark.
    #[must_use]
    pub fn auxiliary(&self) -> &[AuxEntry] {
        // SAFETY: `auxc` entries were counted before AT_NULL.
        unsafe { core::slice::from_raw_parts(self.auxv(), self.auxc) }
    }

    /// The value of the auxiliary entry with type `kind`.
    #[must_use]
    pub fn aux(&self, kind: u64) -> Option<u64> {
        self.auxiliary().iter().find(|entry| entry[0] == kind).map(|entry| entry[1])
    }

    /// The string that the auxiliary entry with type `kind` points to, if entries of this type do.
    #[must_use]
    pub fn string(&self, kind: u64) -> Option<&'static CStr> {
        const STRINGS: [u64; 3] = [libc::AT_EXECFN, libc::AT_PLATFORM, libc::AT_BASE_PLATFORM];
        let address = self.aux(kind).filter(|&it| it != 0 && STRINGS.contains(&kind))?;
        // SAFETY: the kernel's string entries point to NUL-terminated strings that live as long as the process.
        Some(unsafe { CStr::from_ptr(address as Word) })
    }

    /// Replaces the value of an auxiliary entry that exists.
    pub fn set_aux(&mut self, kind: u64, value: u64) {
        // SAFETY: `auxc` entries were counted before AT_NULL, and `self` is the only view of them.
        let entries = unsafe { core::slice::from_raw_parts_mut(self.auxv(), self.auxc) };
        for entry in entries.iter_mut().filter(|entry| entry[0] == kind) {
            entry[1] = value;
        }
    }

    /// Replaces `argv[0]`.
    ///
    /// # Panics
    /// Never; without arguments nothing happens.
    pub fn set_program_name(&mut self, name: &'static CStr) {
        if self.argc > 0 {
            // SAFETY: argv has at least one element, and the string lives as long as the process.
            unsafe { self.argv_at().write(name.as_ptr() as u64) };
        }
    }

    /// Removes the environment strings for which `unwanted` holds.
    pub fn remove_environment(&mut self, mut unwanted: impl FnMut(&[u8]) -> bool) {
        let envp = self.envp_at();
        let mut kept = 0;
        for index in 0..self.envc {
            // SAFETY: `index` is below the counted length, and the strings are NUL-terminated.
            let (word, text) = unsafe {
                let word = envp.add(index).read();
                (word, CStr::from_ptr(word as Word))
            };
            if !unwanted(text.to_bytes()) {
                // SAFETY: `kept` never exceeds `index`.
                unsafe { envp.add(kept).write(word) };
                kept += 1;
            }
        }
        self.close_gap(envp.wrapping_add(kept), self.envc - kept);
        self.envc = kept;
    }

    /// Removes the first `count` arguments, so that the program sees the vector it would have got from the kernel: the
    /// stack keeps its start, and all that follows moves down.
    pub fn remove_arguments(&mut self, count: usize) {
        let count = count.min(self.argc);
        self.close_gap(self.argv_at(), count);
        self.argc -= count;
        // SAFETY: `start` is the word that holds argc.
        unsafe { self.start.write(self.argc as u64) };
    }

    /// Moves everything from `gap + words` to the end of auxv down by `words`.
    fn close_gap(&mut self, gap: *mut u64, words: usize) {
        let end = self.auxv_at().wrapping_add(2 * (self.auxc + 1));
        let from = gap.wrapping_add(words);
        let count = (end as usize).saturating_sub(from as usize) / size_of::<u64>();
        // SAFETY: both ranges lie between the start of the stack and the end of auxv.
        unsafe { core::ptr::copy(from, gap, count) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn stack(words: &mut Vec<u64>) -> InitialStack {
        // SAFETY: the vector has the kernel's form and outlives the view in each test.
        unsafe { InitialStack::new(words.as_mut_ptr()) }
    }

    fn sample() -> Vec<u64> {
        let text = |text: &'static CStr| text.as_ptr() as u64;
        let (rld, prog, arg) = (text(c"rld"), text(c"prog"), text(c"arg"));
        let (keep, drop, last) = (text(c"A=1"), text(c"LD_X=2"), text(c"B=3"));
        Vec::from([3, rld, prog, arg, 0, keep, drop, last, 0, 6, 4096, 9, 0x40, 0, 0])
    }

    #[test]
    fn finds_the_vectors() {
        let mut words = sample();
        let stack = stack(&mut words);
        assert!(stack.arguments().eq([c"rld", c"prog", c"arg"]));
        assert!(stack.environment().eq([c"A=1", c"LD_X=2", c"B=3"]));
        assert_eq!(stack.aux(9), Some(0x40));
        assert_eq!(stack.aux(7), None);
    }

    #[test]
    fn shifting_keeps_everything_behind() {
        let mut words = sample();
        let mut stack = stack(&mut words);
        stack.remove_arguments(1);
        stack.remove_environment(|text| text.starts_with(b"LD_"));
        stack.set_aux(9, 0x50);
        stack.set_program_name(c"other");
        // SAFETY: the vector has kept the kernel's form.
        let again = unsafe { InitialStack::new(words.as_mut_ptr()) };
        assert!(again.arguments().eq([c"other", c"arg"]));
        assert!(again.environment().eq([c"A=1", c"B=3"]));
        assert_eq!(again.auxiliary(), [[6, 4096], [9, 0x50]]);
    }
}
