//! The CPUID instruction as a trait, and a reader that executes each sub-leaf at most once.

/// Where CPUID answers come from: the processor ([`super::Native`]) or a recorded table.
pub trait Cpuid {
    /// The answer to `leaf` (EAX) and `subleaf` (ECX) as `[eax, ebx, ecx, edx]`.
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4];

    /// The extended control register XCR0, as XGETBV reads it with ECX = 0. Asked for only when
    /// leaf 1 reports OSXSAVE; without it the instruction faults.
    fn xgetbv0(&self) -> u64;
}

/// AMD's leaf about caches, with a sub-leaf for each.
pub(super) const AMD_CACHES: u32 = 0x8000_001d;
/// How many answers the reader remembers: more than [`super::MAX_CPUIDS`].
const CAPACITY: usize = 32;

/// Remembers answers: in a virtual machine CPUID traps to the hypervisor, at thousands of cycles
/// each.
pub(super) struct Reader<'a, C> {
    cpu: &'a C,
    answers: [Answer; CAPACITY],
    used: usize,
}

#[derive(Clone, Copy, Default)]
struct Answer {
    question: (u32, u32),
    registers: [u32; 4],
}

impl<'a, C: Cpuid> Reader<'a, C> {
    pub(super) fn new(cpu: &'a C) -> Self {
        Self { cpu, answers: [Answer::default(); CAPACITY], used: 0 }
    }

    /// The registers for `leaf` and `subleaf`.
    pub(super) fn get(&mut self, leaf: u32, subleaf: u32) -> [u32; 4] {
        let question = (leaf, subleaf);
        let mut known = self.answers.iter().take(self.used);
        if let Some(answer) = known.find(|answer| answer.question == question) {
            return answer.registers;
        }
        let registers = self.cpu.cpuid(leaf, subleaf);
        if let Some(free) = self.answers.get_mut(self.used) {
            *free = Answer { question, registers };
            self.used += 1;
        }
        registers
    }

    /// XCR0. The caller has seen OSXSAVE.
    pub(super) fn xcr0(&self) -> u64 {
        self.cpu.xgetbv0()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    struct Counter(Cell<u32>);

    impl Cpuid for Counter {
        fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
            self.0.set(self.0.get() + 1);
            [leaf, subleaf, 0, 0]
        }

        fn xgetbv0(&self) -> u64 {
            0
        }
    }

    #[test]
    fn asks_once() {
        let counter = Counter(Cell::new(0));
        let mut reader = Reader::new(&counter);
        assert_eq!(reader.get(4, 1), [4, 1, 0, 0]);
        assert_eq!(reader.get(4, 1), [4, 1, 0, 0]);
        assert_eq!(reader.get(4, 2), [4, 2, 0, 0]);
        assert_eq!(counter.0.get(), 2);
    }

    #[test]
    fn stays_right_when_full() {
        let counter = Counter(Cell::new(0));
        let mut reader = Reader::new(&counter);
        for round in 0..2 {
            for leaf in 0..CAPACITY as u32 + 2 {
                assert_eq!(reader.get(leaf, round), [leaf, round, 0, 0]);
            }
        }
    }
}
