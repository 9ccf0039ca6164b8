//! Reads the first instructions of short libc functions whose code names an offset in the loader's private data.
//!
//! Compilers differ in registers and order, so the code is decoded, not compared: registers are followed along the
//! paths from the entry, and whatever is not understood ends its path. Only what such functions consist of is decoded.

use super::evidence::LibcView;

/// What is known of a register.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    Unknown,
    /// An address inside libc.
    Address(u64),
    /// The address of `_rtld_global_ro`.
    Ro,
    /// What `_rtld_global_ro` holds at this offset.
    Field(u32),
}

/// Something the code was seen to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    /// Calls or jumps through the pointer at this offset of `_rtld_global_ro`.
    Goes {
        /// The offset.
        through: u32,
    },
    /// Computes the address `at` bytes into what the pointer at offset `of` of `_rtld_global_ro` leads to.
    Inside {
        /// Offset of the pointer.
        of: u32,
        /// Offset in the structure it leads to.
        at: u32,
    },
    /// Returns an address inside libc.
    Returns {
        /// The address.
        address: u64,
    },
}

/// Instructions to look at before giving up.
const STEPS: usize = 96;
/// Branches to come back to.
const PENDING: usize = 8;

/// One state of the walk: the next instruction and the sixteen registers.
#[derive(Clone, Copy)]
struct Path {
    at: u64,
    regs: [Value; 16],
}

/// Walks the code at `entry` until `wanted` picks something it sees.
pub(super) fn follow<T>(
    view: &impl LibcView,
    entry: u64,
    wanted: impl Fn(Seen) -> Option<T>,
) -> Option<T> {
    let got = view.rtld_global_ro_got();
    let mut pending = [None; PENDING];
    pending[0] = Some(Path { at: entry, regs: [Value::Unknown; 16] });
    let mut steps = STEPS;
    while let Some(mut path) = pending.iter_mut().rev().find_map(Option::take) {
        while steps > 0 {
            steps -= 1;
            let Some(step) = Decoder::new(view, path.at).and_then(|d| d.step(&mut path.regs, got))
            else {
                break;
            };
            if let Some(found) = step.seen.and_then(&wanted) {
                return Some(found);
            }
            if let (Some(target), Some(slot)) =
                (step.branch, pending.iter_mut().find(|slot| slot.is_none()))
            {
                *slot = Some(Path { at: target, regs: path.regs });
            }
            match step.next {
                Some(next) => path.at = next,
                None => break,
            }
        }
    }
    None
}

/// What one instruction does.
#[derive(Default)]
struct Step {
    seen: Option<Seen>,
    /// The other way of a conditional jump.
    branch: Option<u64>,
    /// The instruction after it; none after a return or a jump elsewhere.
    next: Option<u64>,
}

/// The base of a memory operand without index.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Register(usize),
    /// Relative to the next instruction.
    Next,
    Other,
}

/// The operand that a ModRM byte names (Intel SDM volume 2, 2.1.5).
#[derive(Clone, Copy)]
enum Operand {
    Register(usize),
    Memory { base: Base, disp: i32 },
}

/// The bytes of one instruction. x86 allows fifteen.
struct Decoder {
    bytes: [u8; 15],
    len: usize,
    used: usize,
    at: u64,
    wide: bool,
    rex: u8,
    segment: bool,
}

impl Decoder {
    fn new(view: &impl LibcView, at: u64) -> Option<Self> {
        let code = (1..=15).rev().find_map(|len| view.bytes(at, len))?;
        let mut bytes = [0; 15];
        let len = code.len().min(15);
        bytes.get_mut(..len)?.copy_from_slice(code.get(..len)?);
        Some(Self { bytes, len, used: 0, at, wide: false, rex: 0, segment: false })
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(..self.len)?.get(self.used).copied();
        self.used += 1;
        byte
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.used += count;
        (self.used <= self.len).then_some(())
    }

    fn disp8(&mut self) -> Option<i32> {
        self.byte().map(|byte| i32::from(byte.cast_signed()))
    }

    fn disp32(&mut self) -> Option<i32> {
        let mut word = [0; 4];
        for byte in &mut word {
            *byte = self.byte()?;
        }
        Some(i32::from_le_bytes(word))
    }

    /// The address after what was read so far, moved by `disp`.
    fn relative(&self, disp: i32) -> u64 {
        self.at.wrapping_add(self.used as u64).wrapping_add_signed(disp.into())
    }

    /// The register and the operand of a ModRM byte.
    fn modrm(&mut self) -> Option<(usize, Operand)> {
        let byte = self.byte()?;
        let high = |bit: u8, low: u8| usize::from((self.rex >> bit & 1) << 3 | low);
        let reg = high(2, byte >> 3 & 7);
        let (mode, rm) = (byte >> 6, byte & 7);
        if mode == 3 {
            return Some((reg, Operand::Register(high(0, rm))));
        }
        let mut base = Base::Register(high(0, rm));
        let mut absolute = false;
        if rm == 4 {
            let sib_base = self.rex & 1;
            let sib = self.byte()?;
            let indexed = sib >> 3 & 7 != 4 || self.rex & 2 != 0;
            absolute = mode == 0 && sib & 7 == 5;
            base = match indexed || absolute {
                true => Base::Other,
                false => Base::Register(usize::from(sib_base << 3 | sib & 7)),
            };
        } else if mode == 0 && rm == 5 {
            base = Base::Next;
            absolute = true;
        }
        let disp = match mode {
            1 => self.disp8()?,
            2 => self.disp32()?,
            _ if absolute => self.disp32()?,
            _ => 0,
        };
        Some((reg, Operand::Memory { base, disp }))
    }

    /// Decodes the instruction and applies it to the registers; `None` if it is not one of those known here.
    fn step(mut self, regs: &mut [Value; 16], got: Option<u64>) -> Option<Step> {
        use Value::{Address, Field, Ro, Unknown};
        let mut short = false;
        let opcode = loop {
            match self.byte()? {
                0x66 => short = true,
                0xf2 | 0xf3 | 0x3e => {}
                0x64 | 0x65 => self.segment = true,
                rex @ 0x40..=0x4f => {
                    self.rex = rex;
                    self.wide = rex & 8 != 0;
                    break self.byte()?;
                }
                other => break other,
            }
        };
        let mut step = Step::default();
        let mut falls_through = true;
        match opcode {
            // mov, lea: what the walk is about.
            0x8b => {
                let (reg, operand) = self.modrm()?;
                let value = match operand {
                    _ if !self.wide || self.segment => Unknown,
                    Operand::Register(from) => regs[from],
                    Operand::Memory { base: Base::Next, disp } => match got {
                        Some(slot) if slot != self.relative(disp) => Unknown,
                        _ => Ro,
                    },
                    Operand::Memory { base: Base::Register(base), disp } if regs[base] == Ro => {
                        u32::try_from(disp).map_or(Unknown, Field)
                    }
                    Operand::Memory { .. } => Unknown,
                };
                regs[reg] = value;
            }
            0x89 => {
                if let (from, Operand::Register(to)) = self.modrm()? {
                    regs[to] = if self.wide { regs[from] } else { Unknown };
                }
            }
            0x8d => {
                let (reg, operand) = self.modrm()?;
                let Operand::Memory { base, disp } = operand else {
                    return None;
                };
                regs[reg] = match base {
                    Base::Next if self.wide => Address(self.relative(disp)),
                    Base::Register(base) => {
                        step.seen = inside(regs[base], disp);
                        Unknown
                    }
                    _ => Unknown,
                };
            }
            // add, or, and, sub, xor into a register or memory; into a register; movslq.
            0x01 | 0x09 | 0x21 | 0x29 | 0x31 => {
                if let (_, Operand::Register(to)) = self.modrm()? {
                    regs[to] = Unknown;
                }
            }
            0x03 | 0x0b | 0x23 | 0x2b | 0x33 | 0x63 => regs[self.modrm()?.0] = Unknown,
            // cmp, test.
            0x38..=0x3b | 0x84 | 0x85 => {
                self.modrm()?;
            }
            0x80 | 0x81 | 0x83 => {
                let (operation, operand) = self.modrm()?;
                let immediate = match opcode {
                    0x81 if short => {
                        self.skip(2)?;
                        0
                    }
                    0x81 => self.disp32()?,
                    _ => self.disp8()?,
                };
                let operation = operation & 7;
                if let (Operand::Register(to), 0..=6) = (operand, operation) {
                    if operation == 0 && self.wide {
                        step.seen = inside(regs[to], immediate);
                    }
                    regs[to] = Unknown;
                }
            }
            0xc6 | 0xc7 => {
                let (_, operand) = self.modrm()?;
                self.skip(match opcode {
                    0xc6 => 1,
                    _ if short => 2,
                    _ => 4,
                })?;
                if let Operand::Register(to) = operand {
                    regs[to] = Unknown;
                }
            }
            0xb8..=0xbf => {
                regs[self.low(opcode)] = Unknown;
                self.skip(if self.wide { 8 } else { 4 })?;
            }
            // push, pop, nop.
            0x50..=0x57 | 0x90 => {}
            0x58..=0x5f => regs[self.low(opcode)] = Unknown,
            0x6a => self.skip(1)?,
            0x68 => self.skip(4)?,
            // Jumps, calls and returns.
            0x70..=0x7f => {
                let disp = self.disp8()?;
                step.branch = Some(self.relative(disp));
            }
            0xeb | 0xe9 => {
                let disp = if opcode == 0xeb { self.disp8()? } else { self.disp32()? };
                step.next = Some(self.relative(disp));
                return Some(step);
            }
            0xe8 => {
                self.skip(4)?;
                clobber(regs);
            }
            0xc3 => {
                if let Address(address) = regs[0] {
                    step.seen = Some(Seen::Returns { address });
                }
                falls_through = false;
            }
            0xff => {
                let (operation, operand) = self.modrm()?;
                let through = match operand {
                    Operand::Register(reg) => match regs[reg] {
                        Field(field) => Some(field),
                        _ => None,
                    },
                    Operand::Memory { base: Base::Register(base), disp } if regs[base] == Ro => {
                        u32::try_from(disp).ok()
                    }
                    Operand::Memory { .. } => None,
                };
                match operation & 7 {
                    2 => clobber(regs),
                    4 => falls_through = false,
                    6 => {
                        return Some(Step { next: Some(self.relative(0)), ..step });
                    }
                    _ => return None,
                }
                step.seen = through.map(|through| Seen::Goes { through });
            }
            0x0f => match self.byte()? {
                // endbr64 and long nops; moves and logic on vector registers.
                0x1e
                | 0x1f
                | 0x10..=0x17
                | 0x28
                | 0x29
                | 0x57
                | 0x6c
                | 0x6f
                | 0x7f
                | 0xd6
                | 0xef => {
                    self.modrm()?;
                }
                // cmov, movzx, movsx.
                0x40..=0x4f | 0xb6 | 0xb7 | 0xbe | 0xbf => regs[self.modrm()?.0] = Unknown,
                0x80..=0x8f => {
                    let disp = self.disp32()?;
                    step.branch = Some(self.relative(disp));
                }
                _ => return None,
            },
            _ => return None,
        }
        if falls_through {
            step.next = Some(self.relative(0));
        }
        Some(step)
    }

    /// The register in the low bits of an opcode.
    fn low(&self, opcode: u8) -> usize {
        usize::from((self.rex & 1) << 3 | opcode & 7)
    }
}

/// An address inside what a field of `_rtld_global_ro` leads to.
fn inside(base: Value, disp: i32) -> Option<Seen> {
    match (base, u32::try_from(disp)) {
        (Value::Field(of), Ok(at)) => Some(Seen::Inside { of, at }),
        _ => None,
    }
}

/// Forgets the registers that a call may change (psABI 3.2.1).
fn clobber(regs: &mut [Value; 16]) {
    for reg in [0, 1, 2, 6, 7, 8, 9, 10, 11] {
        regs[reg] = Value::Unknown;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code at address 0x1000 and the address of the GOT slot.
    struct Code<'a>(&'a [u8], Option<u64>);

    impl LibcView for Code<'_> {
        fn symbol(&self, _: &[u8]) -> Option<u64> {
            None
        }
        fn bytes(&self, vaddr: u64, len: usize) -> Option<&[u8]> {
            let at = usize::try_from(vaddr.checked_sub(0x1000)?).ok()?;
            self.0.get(at..at.checked_add(len)?)
        }
        fn build_id(&self) -> Option<&[u8]> {
            None
        }
        fn rtld_global_ro_got(&self) -> Option<u64> {
            self.1
        }
        fn rodata(&self) -> Option<&[u8]> {
            None
        }
    }

    fn first(code: &[u8], got: Option<u64>) -> Option<Seen> {
        follow(&Code(code, got), 0x1000, Some)
    }

    #[test]
    fn a_jump_through_a_field() {
        // mov 0x100(%rip),%rax; jmp *0x360(%rax)
        let code = b"\x48\x8b\x05\x00\x01\x00\x00\xff\xa0\x60\x03\x00\x00";
        assert_eq!(first(code, Some(0x1107)), Some(Seen::Goes { through: 0x360 }));
        assert_eq!(first(code, None), Some(Seen::Goes { through: 0x360 }));
        assert_eq!(first(code, Some(0x1108)), None, "another slot than that of _rtld_global_ro");
        for len in 0..code.len() {
            assert_eq!(first(&code[..len], None), None, "cut to {len}");
        }
    }

    #[test]
    fn other_registers_and_endbr64() {
        // endbr64; mov 0x100(%rip),%r11; notrack jmp *0x360(%r11)
        let code = b"\xf3\x0f\x1e\xfa\x4c\x8b\x1d\x00\x01\x00\x00\x3e\x41\xff\xa3\x60\x03\x00\x00";
        assert_eq!(first(code, Some(0x110b)), Some(Seen::Goes { through: 0x360 }));
        // mov 0x100(%rip),%r12; mov 0x20(%r12),%rdx (SIB byte); jmp *%rdx
        let code = b"\x4c\x8b\x25\x00\x01\x00\x00\x49\x8b\x54\x24\x20\xff\xe2";
        assert_eq!(first(code, None), Some(Seen::Goes { through: 0x20 }));
    }

    #[test]
    fn the_wrapper_of_mcount_moves_its_arguments_first() {
        // mov 0x100(%rip),%rax; mov %rdi,%rsi; mov (%rsp),%rdi; mov 0x320(%rax),%rax; jmp *%rax
        let code = b"\x48\x8b\x05\x00\x01\x00\x00\x48\x89\xfe\x48\x8b\x3c\x24\
                     \x48\x8b\x80\x20\x03\x00\x00\xff\xe0";
        assert_eq!(first(code, None), Some(Seen::Goes { through: 0x320 }));
        // The pointer is overwritten before it is used: xor %eax,%eax.
        let code = b"\x48\x8b\x05\x00\x01\x00\x00\x31\xc0\xff\xa0\x60\x03\x00\x00";
        assert_eq!(first(code, None), None);
        // A 32-bit load is not the pointer; an indexed operand is not the field.
        assert_eq!(first(b"\x8b\x05\x00\x01\x00\x00\xff\xa0\x60\x03\x00\x00", None), None);
        let code = b"\x48\x8b\x05\x00\x01\x00\x00\xff\xa4\x08\x60\x03\x00\x00";
        assert_eq!(first(code, None), None);
        // A negative offset names no field.
        let code = b"\x48\x8b\x05\x00\x01\x00\x00\xff\xa0\x60\x03\x00\xff";
        assert_eq!(first(code, None), None);
    }

    #[test]
    fn an_address_inside_a_link_map() {
        // mov …(%rip),%rax; mov 0x2d8(%rax),%rsi; test %rsi,%rsi; jne +1; ret; lea 0x3b8(%rsi),%rcx
        let lea =
            b"\x48\x8b\x05\x00\x01\x00\x00\x48\x8b\xb0\xd8\x02\x00\x00\x48\x85\xf6\x75\x01\xc3\
                    \x48\x8d\x8e\xb8\x03\x00\x00";
        assert_eq!(first(lea, None), Some(Seen::Inside { of: 0x2d8, at: 0x3b8 }));
        // The same with add $0x3b8,%rsi, reached by falling through je.
        let add = b"\x48\x8b\x05\x00\x01\x00\x00\x48\x8b\xb0\xd8\x02\x00\x00\x48\x85\xf6\x74\x10\
                    \x48\x81\xc6\xb8\x03\x00\x00";
        assert_eq!(first(add, None), Some(Seen::Inside { of: 0x2d8, at: 0x3b8 }));
        // cmp $0x3b8,%rsi is no address.
        let mut cmp = *add;
        cmp[21] = 0xfe;
        assert_eq!(first(&cmp, None), None);
    }

    #[test]
    fn a_returned_string() {
        // lea 0x10(%rip),%rax; ret
        let code = b"\x48\x8d\x05\x10\x00\x00\x00\xc3";
        assert_eq!(first(code, None), Some(Seen::Returns { address: 0x1017 }));
    }

    #[test]
    fn loops_and_strange_code_end() {
        assert_eq!(first(b"\xeb\xfe", None), None);
        assert_eq!(first(b"\x74\xfe\x74\xfc\xeb\xfa", None), None);
        assert_eq!(first(b"\x0f\x0b", None), None);
        assert_eq!(
            first(b"\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66", None),
            None
        );
        assert_eq!(follow(&Code(b"\xc3", None), u64::MAX, Some), None);
    }

    #[test]
    fn any_bytes_are_survived() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut code = [0; 64];
        for _ in 0..20_000 {
            for byte in &mut code {
                // xorshift64
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                *byte = state as u8;
            }
            // Half of them with the load that all of these functions begin with.
            if state & 256 != 0 {
                code[..7].copy_from_slice(b"\x48\x8b\x05\x00\x01\x00\x00");
            }
            assert_eq!(follow(&Code(&code, None), 0x1000, |_| None::<()>), None);
        }
    }
}
