//! Calls through PLTs that auditors follow: each leads here, is bound when it is the first, and is told of when it
//! begins (`la_x86_64_gnu_pltenter`) and when it ends (`la_x86_64_gnu_pltexit`).
//!
//! # Safety
//!
//! The stub hands over a [`Frame`] on its stack. An auditor's own functions are called with its cookies.
#![allow(unsafe_code)]

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::{c_long, c_uint};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::super::bind;
use super::super::locks::while_reading;
use super::super::process::Process;
use super::Auditor;
use super::bindings::{
    Bound, CHANGED, How, NO_ENTER, NO_EXIT, NO_EXITS, Verdict, current_cookies, interest,
    quiet_bits, tell, watching,
};
use crate::abi::glibc::link_maps;
use crate::addr::ObjectId;
use crate::arch::vector_state::{AREA, State};
use crate::object::{Definition, Object};
use crate::trace;

/// Registers that carry arguments in vectors.
const ARGUMENTS: usize = 8;

/// `La_x86_64_regs`: a call's registers.
#[repr(C, align(64))]
pub struct Registers {
    /// rdx, r8, r9, rcx, rsi, rdi.
    pub integers: [u64; 6],
    /// rbp.
    pub rbp: u64,
    /// rsp, where the return address is.
    pub rsp: u64,
    xmm: [[u8; 16]; ARGUMENTS],
    vectors: [[u8; 64]; ARGUMENTS],
    unused: [u8; 64],
}

/// `La_x86_64_retval`: a function's results.
#[repr(C, align(16))]
pub struct Returned {
    /// rax.
    pub rax: u64,
    /// rdx.
    pub rdx: u64,
    xmm: [[u8; 16]; 2],
    x87: [[u8; 16]; 2],
    vectors: [[u8; 64]; 2],
    unused: [u8; 32],
}

/// What the stub keeps of a call.
#[repr(C, align(64))]
pub struct Frame {
    /// The registers, as auditors see and change them.
    pub registers: Registers,
    /// rax, which says how many vector registers are used.
    pub rax: u64,
    /// r10, for nested functions.
    pub r10: u64,
    /// How many bytes of arguments on the stack the function is given; negative where nobody waits for its end.
    pub arguments: c_long,
    /// Where the call leads.
    pub address: u64,
    unused: [u64; 2],
    /// The results. Their vectors come to lie at a multiple of 64, as ld.so has them.
    pub returned: Returned,
    /// All vector and x87 registers.
    pub area: State,
}

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<Registers>() == 768 && size_of::<Returned>() == 240);
    let vectors = offset_of!(Frame, returned) + offset_of!(Returned, vectors);
    assert!(vectors.is_multiple_of(64) && offset_of!(Frame, area).is_multiple_of(64));
    assert!(size_of::<State>() == AREA);
};

/// What one function of a PLT was bound to.
#[derive(Default)]
pub struct Slot {
    /// Whether the other words count for the next call as well; not under LD_BIND_NOT.
    is_bound: AtomicBool,
    definer: AtomicU32,
    index: AtomicU32,
    flags: AtomicU32,
    quiet: AtomicU64,
    address: AtomicU64,
}

/// The same for all functions of a PLT, if auditors follow its calls.
#[must_use]
pub fn slots(watching: &[Auditor], object: &Object<'_>) -> Option<Arc<[Slot]>> {
    let (followed, _) = interest(watching);
    followed
        .then(|| object.relocations.plt.iter().map(|_| Slot::default()).collect::<Vec<_>>().into())
}

impl Slot {
    /// What the last call was bound to.
    fn last(&self) -> (ObjectId, u32, Verdict) {
        let word = |word: &AtomicU32| word.load(Ordering::Relaxed);
        let address = self.address.load(Ordering::Relaxed);
        let quiet = self.quiet.load(Ordering::Relaxed);
        let verdict = Verdict { address, flags: word(&self.flags), quiet };
        (ObjectId(word(&self.definer)), word(&self.index), verdict)
    }

    /// Threads that bind the same function at once write the same.
    fn set(&self, bound: &Bound, verdict: &Verdict, stays: bool) {
        self.definer.store(bound.definer.0, Ordering::Relaxed);
        self.index.store(bound.index, Ordering::Relaxed);
        self.flags.store(verdict.flags, Ordering::Relaxed);
        self.quiet.store(verdict.quiet, Ordering::Relaxed);
        self.address.store(verdict.address, Ordering::Relaxed);
        self.is_bound.store(stays, Ordering::Release);
    }
}

/// A function of a PLT, as it is bound.
struct Call {
    watching: &'static [Auditor],
    slots: Arc<[Slot]>,
    at: usize,
    bound: Bound,
    verdict: Verdict,
}

impl Call {
    /// The call of function `index` by the object `from`, which begins or `ends`; `None` if it is not followed.
    fn new(process: &Process, from: ObjectId, index: u64, ends: bool) -> Option<Self> {
        let at = usize::try_from(index).ok()?;
        let (watching, slots) = while_reading(|| {
            let world = process.world();
            Some((watching(process, world, from), Arc::clone(world.life(from)?.slots.as_ref()?)))
        })?;
        let slot = slots.get(at)?;
        let (bound, verdict) = match ends || slot.is_bound.load(Ordering::Acquire) {
            true => {
                let (definer, index, verdict) = slot.last();
                let bound = while_reading(|| {
                    let definer_object = process.world().map.get(definer)?;
                    let symbol = definer_object.exports.symbols.get(index as usize)?;
                    let found = Definition { object: definer, index, symbol };
                    Bound::new(from, &found, definer_object, verdict.address)
                })?;
                (bound, verdict)
            }
            false => first(process, from, index, watching, slot)?,
        };
        Some(Self { watching, slots, at, bound, verdict })
    }

    fn quiet(&self) -> u64 {
        self.slots.get(self.at).map_or(u64::MAX, |slot| slot.quiet.load(Ordering::Relaxed))
    }

    fn is_quiet(&self, auditor: &Auditor, flag: c_uint) -> bool {
        self.quiet() & quiet_bits(auditor, flag) != 0
    }

    fn cookies(&self, process: &Process, auditor: &Auditor) -> Option<[*mut u64; 2]> {
        let ([from, to], _) = current_cookies(process, process.layout()?, &self.bound, auditor);
        (!from.is_null() && !to.is_null()).then_some([from, to])
    }
}

/// Binds a function that is called for the first time.
fn first(
    process: &Process,
    from: ObjectId,
    index: u64,
    watching: &[Auditor],
    slot: &Slot,
) -> Option<(Bound, Verdict)> {
    let found = bind::find(process, from, None, index);
    let address = bind::call_if_resolver(&found);
    let (bound, is_waited_for) = while_reading(|| {
        let world = process.world();
        let definition = found.definition(world)?;
        let definer = world.map.get(definition.object)?;
        let name = definer.exports.strings.get(definition.symbol.name)?;
        Some((Bound::new(from, &definition, definer, address)?, !returns_twice(name)))
    })?;
    let layout = process.layout()?;
    let cookies = |auditor: &Auditor| current_cookies(process, layout, &bound, auditor);
    let mut verdict = tell(watching, cookies, &bound, How::Call);
    if !is_waited_for {
        verdict.quiet |= NO_EXITS;
    }
    let stays = !process.facts.bind_not;
    slot.set(&bound, &verdict, stays);
    let (_, every_call) = interest(watching);
    if stays && !every_call {
        bind::write(&found, verdict.address);
    }
    Some((bound, verdict))
}

/// Whether a function may return more than once. Nobody can wait for its end: the stub's frame, to which it returns,
/// is gone the second time, or was written over by the child of a vfork(2).
fn returns_twice(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 5] = [b"setjmp", b"sigsetjmp", b"getcontext", b"savectx", b"vfork"];
    let start = name.iter().position(|&byte| byte != b'_').unwrap_or_default();
    NAMES.iter().any(|known| name.get(start..) == Some(known))
}

/// A function is called through a PLT that auditors follow. Returns where to go.
///
/// # Safety
/// `link_map` is that of an object whose PLT was prepared.
pub unsafe fn enter(process: &Process, frame: &mut Frame, link_map: u64, index: u64) -> u64 {
    frame.arguments = -1;
    // SAFETY: as the caller promises.
    let from = unsafe { link_maps::object_at(link_map) };
    let Some(mut call) = Call::new(process, from, index, false) else {
        // SAFETY: as the caller promises.
        return unsafe { bind::bind(process, link_map, index) };
    };
    let listens = |auditor: &&Auditor| auditor.functions.pltenter.is_some();
    if !call.watching.iter().any(|auditor| listens(&auditor)) {
        return call.verdict.address;
    }
    let Frame { registers, arguments, area, .. } = frame;
    let views = registers.vectors.iter_mut().zip(&mut registers.xmm);
    for (at, (vector, xmm)) in views.enumerate() {
        *vector = area.vector(at);
        *xmm = low(vector);
    }
    let mut symbol = call.bound.symbol;
    symbol.value = call.verdict.address;
    for auditor in call.watching.iter().filter(listens) {
        let (Some(function), false) =
            (auditor.functions.pltenter, call.is_quiet(auditor, NO_ENTER))
        else {
            continue;
        };
        let Some([from, to]) = call.cookies(process, auditor) else { continue };
        let mut wanted: c_long = -1;
        let (index, flags) = (call.bound.index, &raw mut call.verdict.flags);
        let registers = &raw mut *registers;
        trace::flush();
        // SAFETY: as this file's head says.
        let value = unsafe {
            function(
                &raw mut symbol,
                index,
                from,
                to,
                registers,
                flags,
                call.bound.name,
                &raw mut wanted,
            )
        };
        if value != symbol.value {
            symbol.value = value;
            call.verdict.flags |= CHANGED;
        }
        if let Some(slot) = call.slots.get(call.at) {
            slot.quiet.fetch_or(quiet_bits(auditor, call.verdict.flags), Ordering::Relaxed);
        }
        if !call.is_quiet(auditor, NO_EXIT) {
            *arguments = wanted.max(*arguments);
        }
    }
    let views = registers.vectors.iter_mut().zip(&mut registers.xmm);
    for (at, (vector, xmm)) in views.enumerate() {
        // Looked at once more, and not kept: the stack may be a thread's smallest.
        let before = area.vector(at);
        merge(xmm, vector, &before);
        if *vector != before {
            area.set_vector(at, vector);
        }
    }
    symbol.value
}

/// A function that somebody waits for has returned.
///
/// # Safety
/// As for [`enter`], for the same call.
pub unsafe fn exit(process: &Process, frame: &mut Frame, link_map: u64, index: u64) {
    // SAFETY: as the caller promises.
    let from = unsafe { link_maps::object_at(link_map) };
    let Some(call) = Call::new(process, from, index, true) else { return };
    let Frame { registers, returned, area, .. } = frame;
    let before = [area.vector(0), area.vector(1)];
    returned.vectors = before;
    returned.xmm = before.map(|vector| low(&vector));
    let x87 = [area.x87(0), area.x87(1)];
    returned.x87 = x87;
    let mut symbol = call.bound.symbol;
    symbol.value = call.verdict.address;
    for auditor in call.watching {
        let (Some(function), false) = (auditor.functions.pltexit, call.is_quiet(auditor, NO_EXIT))
        else {
            continue;
        };
        let Some([from, to]) = call.cookies(process, auditor) else { continue };
        let (registers, returned) = (&raw const *registers, &raw mut *returned);
        trace::flush();
        // SAFETY: as this file's head says.
        unsafe {
            let (symbol, name) = (&raw mut symbol, call.bound.name);
            function(symbol, call.bound.index, from, to, registers, returned, name);
        }
    }
    for at in 0..2 {
        let (Some(xmm), Some(vector), Some(before)) =
            (returned.xmm.get_mut(at), returned.vectors.get_mut(at), before.get(at))
        else {
            continue;
        };
        merge(xmm, vector, before);
        if vector != before {
            area.set_vector(at, vector);
        }
        if let (Some(after), Some(before)) = (returned.x87.get(at), x87.get(at))
            && after != before
        {
            area.set_x87(at, after);
        }
    }
}

/// The part of a vector register that every auditor knows.
fn low(vector: &[u8; 64]) -> [u8; 16] {
    vector.first_chunk().copied().unwrap_or_default()
}

/// An auditor may have changed either view of a register; the shorter one counts first. Both become the same.
fn merge(xmm: &mut [u8; 16], vector: &mut [u8; 64], before: &[u8; 64]) {
    match *xmm == low(before) {
        true => *xmm = low(vector),
        false => vector[..16].copy_from_slice(xmm),
    }
}
