//! The one door through which rld changes a mapped object.
//!
//! # Safety
//!
//! [`Words::new`] is `unsafe`: it trusts that the windows are mapped and writable. Every access after that is checked
//! against them. The windows leave out the tables that rld holds as slices ([`Image`]), so a relocation
//! can never change what a shared reference points to.
#![allow(unsafe_code)]

use alloc::vec::Vec;
use core::arch::asm;
use core::ops::Range;

use crate::addr::{Addr, Vaddr, page_down};
use crate::elf::segment::{Access, Segments, Span};
use crate::errno::Errno;
use crate::image::Image;
use crate::sys::memory::{Protection, protect};

/// Part of the address space, in addresses of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Window {
    start: u64,
    size: u64,
    /// At how many places a 64-bit word may begin.
    words: u64,
}

impl Window {
    /// A range, unless it is empty.
    fn of(Range { start, end }: Range<u64>) -> Option<Self> {
        let size = end.checked_sub(start).filter(|&size| size != 0)?;
        Some(Self { start, size, words: size.saturating_sub(7) })
    }

    /// Whether `len` bytes from `at` on are in the window; if that is none, as if it were one.
    #[inline(always)]
    const fn holds(&self, at: Addr, len: u64) -> bool {
        let places = match len {
            8 => self.words,
            _ => self.size.saturating_sub(len.saturating_sub(1)),
        };
        at.0.wrapping_sub(self.start) < places
    }
}

/// An address that no window holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outside(pub Addr);

/// The words of one object that relocation may read and write.
#[derive(Clone, Debug)]
pub struct Words {
    windows: Vec<Window>,
    current: Window,
}

impl Words {
    /// The writable segments of `image`, or all of them where `text` says that read-only ones were made writable for
    /// text relocations; without the `tables` that rld reads.
    ///
    /// # Safety
    /// Those segments are mapped and writable while the value lives.
    #[must_use]
    pub unsafe fn new(image: &Image<'_>, text: bool, tables: &[Span]) -> Self {
        let mut windows = Vec::new();
        for segment in image.segments() {
            if !text && !segment.access.contains(Access::WRITE) {
                continue;
            }
            let start = image.address(segment.vaddr).0;
            let mut rest = start..start.wrapping_add(segment.memsz);
            let mut holes: Vec<Range<u64>> = tables
                .iter()
                .map(|table| {
                    // A table may go on in the next segment.
                    let hole = image.address(table.vaddr).0;
                    hole.max(start)..hole.saturating_add(table.size).min(rest.end)
                })
                .filter(|hole| !hole.is_empty())
                .collect();
            holes.sort_unstable_by_key(|hole| hole.start);
            for hole in holes {
                windows.extend(Window::of(rest.start..hole.start));
                rest.start = rest.start.max(hole.end);
            }
            windows.extend(Window::of(rest));
        }
        let current = windows.first().copied().unwrap_or_default();
        Self { windows, current }
    }

    #[inline]
    fn check(&mut self, at: Addr, len: u64) -> Result<(), Outside> {
        if !self.current.holds(at, len) {
            self.current = self.window(at, len)?;
        }
        Ok(())
    }

    /// The window that holds `len` bytes from `at` on.
    fn window(&self, at: Addr, len: u64) -> Result<Window, Outside> {
        self.windows.iter().find(|window| window.holds(at, len)).copied().ok_or(Outside(at))
    }

    /// Reads a 64-bit word.
    ///
    /// # Errors
    /// [`Outside`] of every window.
    #[inline]
    pub fn read(&mut self, at: Addr) -> Result<u64, Outside> {
        self.check(at, 8)?;
        // SAFETY: the word lies in a window.
        Ok(unsafe { (at.0 as *const u64).read_unaligned() })
    }

    /// Writes a 64-bit word.
    ///
    /// # Errors
    /// [`Outside`] of every window.
    #[inline]
    pub fn write(&mut self, at: Addr, value: u64) -> Result<(), Outside> {
        self.check(at, 8)?;
        // SAFETY: the word lies in a window, which is writable and which no reference points into.
        unsafe { (at.0 as *mut u64).write_unaligned(value) };
        Ok(())
    }

    /// Writes 64-bit words, many of which follow one another.
    ///
    /// # Errors
    /// [`Outside`] of every window.
    #[inline(always)]
    pub fn write_all(&mut self, words: impl Iterator<Item = (Addr, u64)>) -> Result<(), Outside> {
        // A copy: what is written might be this value, as far as the compiler knows.
        let mut window = self.current;
        for (at, value) in words {
            if !window.holds(at, 8) {
                window = self.window(at, 8)?;
            }
            // SAFETY: as in `write`.
            unsafe { (at.0 as *mut u64).write_unaligned(value) };
        }
        self.current = window;
        Ok(())
    }

    /// Writes a 32-bit word.
    ///
    /// # Errors
    /// [`Outside`] of every window.
    #[inline]
    pub fn write32(&mut self, at: Addr, value: u32) -> Result<(), Outside> {
        self.check(at, 4)?;
        // SAFETY: as in `write`.
        unsafe { (at.0 as *mut u32).write_unaligned(value) };
        Ok(())
    }

    /// Changes words one after the other, as long as they can be written and `change` has something else for them; says
    /// how many these were.
    #[inline(always)]
    pub fn change_while(
        &mut self,
        places: impl Iterator<Item = Addr>,
        mut change: impl FnMut(u64) -> Option<u64>,
    ) -> usize {
        // A copy, as in `write_all`.
        let mut window = self.current;
        let mut count = 0;
        for at in places {
            if !window.holds(at, 8) {
                let Ok(other) = self.window(at, 8) else { break };
                window = other;
            }
            let word = at.0 as *mut u64;
            // A page that is read and then written is faulted in twice; most words are written.
            // SAFETY: the word lies in a window, which is writable and which no reference points into. It stays as it
            // is.
            unsafe { asm!("or qword ptr [{}], 0", in(reg) word, options(nostack)) };
            // SAFETY: as above.
            let Some(value) = change(unsafe { word.read_unaligned() }) else { break };
            // SAFETY: as above.
            unsafe { word.write_unaligned(value) };
            count += 1;
        }
        self.current = window;
        count
    }

    /// Adds the load bias to a word.
    ///
    /// # Errors
    /// [`Outside`] of every window.
    #[inline]
    pub fn rebase(&mut self, at: Addr, bias: u64) -> Result<(), Outside> {
        self.check(at, 8)?;
        // One instruction for what `change_while` says of pages.
        // SAFETY: the word lies in a window, which is writable and which no reference points into.
        unsafe { asm!("add qword ptr [{}], {}", in(reg) at.0, in(reg) bias, options(nostack)) };
        Ok(())
    }

    /// Copies `len` bytes from `source`, for a COPY relocation.
    ///
    /// # Errors
    /// [`Outside`] of every window, for the target.
    ///
    /// # Safety
    /// `len` bytes at `source` are mapped and readable.
    pub unsafe fn copy(&mut self, source: Addr, at: Addr, len: u64) -> Result<(), Outside> {
        self.check(at, len)?;
        // SAFETY: the source is the caller's promise; the target lies in a window.
        unsafe { core::ptr::copy(source.0 as *const u8, at.0 as *mut u8, len as usize) };
        Ok(())
    }
}

/// Makes the read-only segments of an object writable, or gives them their own permissions back.
///
/// # Errors
/// What mprotect(2) answers.
///
/// # Safety
/// The object is mapped as `segments` say with the image's bias, and its code does not run meanwhile.
pub unsafe fn open_text(image: &Image<'_>, segments: &Segments, open: bool) -> Result<(), Errno> {
    for load in segments.loads.iter().filter(|load| !load.access.contains(Access::WRITE)) {
        let mut protection = Protection::from(load.access);
        protection.set(Protection::WRITE, open);
        let start = page_down(load.vaddr.0);
        let size = crate::addr::page_up(load.end()).unwrap_or(start) - start;
        // SAFETY: the pages are the object's own.
        unsafe { protect(image.address(Vaddr(start)), size, protection) }?;
    }
    Ok(())
}

/// Makes PT_GNU_RELRO read-only: the whole pages of it, as the linker has padded them.
///
/// # Errors
/// What mprotect(2) answers.
///
/// # Safety
/// The object is mapped with the image's bias, `relro` lies in it, and nothing will write there.
pub unsafe fn seal_relro(image: &Image<'_>, relro: Span) -> Result<(), Errno> {
    let start = page_down(relro.vaddr.0);
    let end = page_down(relro.vaddr.0.saturating_add(relro.size));
    if end <= start {
        return Ok(());
    }
    // SAFETY: the pages are the object's own.
    unsafe { protect(image.address(Vaddr(start)), end - start, Protection::READ) }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::addr::{Bias, PAGE};
    use crate::elf::segment::Segment;
    use crate::sys::memory::{Backing, map, unmap};

    fn words(memory: &mut [u64], tables: &[Span]) -> (Words, u64) {
        let base = memory.as_ptr() as u64;
        let segment = Segment {
            kind: 1,
            access: Access::READ | Access::WRITE,
            offset: 0,
            vaddr: Vaddr(0x100),
            filesz: 0,
            memsz: memory.len() as u64 * 8,
            align: 8,
        };
        let image = Image::new(Bias(base.wrapping_sub(0x100)), [(segment, &[][..])]);
        // SAFETY: the segment is the vector's memory, which outlives the value in each test.
        (unsafe { Words::new(&image, false, tables) }, base)
    }

    #[test]
    fn writes_inside_and_refuses_outside() {
        let mut memory = [0u64; 4];
        let (mut words, base) = words(&mut memory, &[]);
        assert_eq!(words.write(Addr(base + 24), 7), Ok(()));
        assert_eq!(words.rebase(Addr(base + 24), 3), Ok(()));
        assert_eq!(words.read(Addr(base + 24)), Ok(10));
        for outside in [base - 8, base - 1, base + 25, base + 32, 0, u64::MAX] {
            assert_eq!(words.write(Addr(outside), 7), Err(Outside(Addr(outside))));
        }
        let all = |last| [(Addr(base), 1), (Addr(base + 16), 2), (Addr(last), 3)].into_iter();
        assert_eq!(words.write_all(all(base + 24)), Ok(()));
        assert_eq!(words.write_all(all(base + 25)), Err(Outside(Addr(base + 25))));
        assert_eq!(words.read(Addr(base + 24)), Ok(3));
        assert_eq!(words.write32(Addr(base + 28), 1), Ok(()));
        assert!(words.write32(Addr(base + 29), 1).is_err());
    }

    #[test]
    fn tables_are_left_alone() {
        let mut memory = [0u64; 4];
        let table = Span { vaddr: Vaddr(0x108), size: 8 };
        let (mut words, base) = words(&mut memory, &[table]);
        assert!(words.write(Addr(base), 1).is_ok());
        assert!(words.write(Addr(base + 8), 1).is_err());
        assert!(words.write(Addr(base + 4), 1).is_err());
        assert!(words.write(Addr(base + 16), 1).is_ok());
    }

    /// Page faults of this thread so far that needed no disk.
    fn faults() -> u64 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split_whitespace().nth(7).unwrap().parse().unwrap()
    }

    #[test]
    fn changing_a_new_page_is_one_fault() {
        const PAGES: u64 = 256;
        let size = PAGES * PAGE;
        let start = map(size, Protection::READ | Protection::WRITE, Backing::Anonymous).unwrap();
        // SAFETY: the memory was mapped just now, and is nobody else's.
        let memory =
            unsafe { core::slice::from_raw_parts_mut(start.0 as *mut u64, size as usize / 8) };
        let (mut words, base) = words(memory, &[]);
        let before = faults();
        for at in (base..base + size).step_by(2 * PAGE as usize) {
            assert_eq!(words.change_while([Addr(at)].into_iter(), |value| Some(value + 1)), 1);
            assert_eq!(words.rebase(Addr(at + PAGE), 1), Ok(()));
        }
        let taken = faults() - before;
        // One that is taken twice by half of the accesses would be one and a half.
        assert!(taken < PAGES + PAGES / 4, "{taken} faults for {PAGES} pages");
        assert_eq!((words.read(Addr(base)), words.read(Addr(base + PAGE))), (Ok(1), Ok(1)));
        // SAFETY: nothing refers to the memory any more.
        unsafe { unmap(start, size) };
    }
}
