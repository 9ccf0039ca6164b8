//! dlopen(3) and its family, as libc hands them on through GLRO(dlfcn_hook) (contract 7.3).
//!
//! # Safety
//!
//! The signatures are glibc's; strings and structures are the callers' promise, as in C.

use alloc::boxed::Box;
use core::arch::global_asm;
use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};

use rld::error::Error;
use rld::program::locks::{Lock, while_reading};
use rld::program::names::{self, Failure, Query};
use rld::program::open::{self, For, OF_CALLER, Opened, Request};
use rld::program::process::Process;
use rld::program::recording::OpenCall;
use rld::program::{close, info, tracing};
use rld::tls::thread;

use crate::exports::process;

/// The table (contract 7.3): thirteen functions in this order.
#[repr(C)]
pub struct Hook {
    dlopen: unsafe extern "C" fn(*const c_char, c_int, u64) -> *mut c_void,
    dlclose: unsafe extern "C" fn(*mut c_void) -> c_int,
    dlsym: unsafe extern "C" fn(u64, *const c_char, u64) -> u64,
    dlvsym: unsafe extern "C" fn(u64, *const c_char, *const c_char, u64) -> u64,
    dlerror: extern "C" fn() -> *const c_char,
    dladdr: unsafe extern "C" fn(u64, *mut DlInfo) -> c_int,
    dladdr1: unsafe extern "C" fn(u64, *mut DlInfo, *mut u64, c_int) -> c_int,
    dlinfo: unsafe extern "C" fn(u64, c_int, *mut u64) -> c_int,
    dlmopen: unsafe extern "C" fn(c_long, *const c_char, c_int, u64) -> *mut c_void,
    libc_dlopen_mode: unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void,
    libc_dlsym: unsafe extern "C" fn(u64, *const c_char) -> u64,
    libc_dlvsym: unsafe extern "C" fn(u64, *const c_char, *const c_char) -> u64,
    libc_dlclose: unsafe extern "C" fn(*mut c_void) -> c_int,
}

/// What GLRO(dlfcn_hook) leads to.
pub static HOOK: Hook = Hook {
    dlopen: rld_dlopen,
    dlclose,
    dlsym,
    dlvsym,
    dlerror,
    dladdr,
    dladdr1,
    dlinfo,
    dlmopen,
    libc_dlopen_mode: rld_libc_dlopen_mode,
    libc_dlsym,
    libc_dlvsym,
    libc_dlclose,
};

/// The table that libc.so.6 up to 2.33 opens libraries through (contract 7.4): four functions in this order.
#[repr(C)]
pub struct OpenHook {
    dlopen_mode: unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void,
    dlsym: unsafe extern "C" fn(u64, *const c_char) -> u64,
    dlclose: unsafe extern "C" fn(*mut c_void) -> c_int,
    dlvsym: unsafe extern "C" fn(u64, *const c_char, *const c_char) -> u64,
}

/// What `_dl_open_hook` and `_dl_open_hook2` lead to.
pub static OPEN_HOOK: OpenHook = OpenHook {
    dlopen_mode: rld_libc_dlopen_mode,
    dlsym: libc_dlsym,
    dlclose: libc_dlclose,
    dlvsym: libc_dlvsym,
};

unsafe extern "C" {
    /// dlopen(3) for a caller at this address.
    pub fn rld_dlopen(file: *const c_char, mode: c_int, caller: u64) -> *mut c_void;
    /// dlmopen(3) for a caller at this address.
    #[link_name = "rld_dlmopen"]
    pub fn dlmopen(namespace: c_long, file: *const c_char, mode: c_int, caller: u64)
    -> *mut c_void;
    fn rld_libc_dlopen_mode(file: *const c_char, mode: c_int) -> *mut c_void;
}

// Opening, in three steps: open, call the initialisers one by one, end. While initialisers run no frame of Rust's is on
// the stack, so that what they throw passes through; then the unwinder calls the personality below, which ends what was
// begun.
global_asm!(
    ".text",
    ".globl rld_libc_dlopen_mode",
    ".hidden rld_libc_dlopen_mode",
    ".type rld_libc_dlopen_mode, @function",
    "rld_libc_dlopen_mode:",
    ".cfi_startproc",
    "mov rcx, [rsp]",
    "mov edx, esi",
    "mov rsi, rdi",
    "mov rdi, {of_caller}",
    "mov r9d, 1",
    "jmp 1f",
    ".cfi_endproc",
    ".size rld_libc_dlopen_mode, . - rld_libc_dlopen_mode",
    ".globl rld_dlopen",
    ".hidden rld_dlopen",
    ".type rld_dlopen, @function",
    "rld_dlopen:",
    ".cfi_startproc",
    "mov rcx, rdx",
    "mov edx, esi",
    "mov rsi, rdi",
    "mov rdi, {of_caller}",
    ".cfi_endproc",
    ".globl rld_dlmopen",
    ".hidden rld_dlmopen",
    ".type rld_dlmopen, @function",
    "rld_dlmopen:",
    ".cfi_startproc",
    ".cfi_personality 0x1b, {personality}",
    "xor r9d, r9d",
    "1:",
    "push rbx",
    ".cfi_adjust_cfa_offset 8",
    ".cfi_rel_offset rbx, 0",
    "sub rsp, 32",
    ".cfi_adjust_cfa_offset 32",
    "mov r8, rsp",
    "call {begin}",
    "mov rbx, rax",
    "test rbx, rbx",
    "je 3f",
    "2:",
    "mov rdi, rbx",
    "lea rsi, [rsp + 8]",
    "call {next}",
    "test rax, rax",
    "je 3f",
    "mov rdi, [rsp + 8]",
    "mov rsi, [rsp + 16]",
    "mov rdx, [rsp + 24]",
    "call rax",
    "jmp 2b",
    "3:",
    "mov rdi, rbx",
    "call {end}",
    "mov rax, [rsp]",
    "add rsp, 32",
    ".cfi_adjust_cfa_offset -32",
    "pop rbx",
    ".cfi_adjust_cfa_offset -8",
    ".cfi_restore rbx",
    "ret",
    ".cfi_endproc",
    ".size rld_dlmopen, . - rld_dlmopen",
    of_caller = const OF_CALLER,
    personality = sym personality,
    begin = sym begin,
    next = sym next,
    end = sym end,
);

/// Initialisers that are being called, and those that were being called when one of them opened these.
struct Opening {
    opened: Opened,
    outer: *mut Opening,
    told: Option<OpenCall>,
}

/// The innermost, under the loader's lock. Under musl initialisers are called without the lock, and nothing is to be
/// ended that one throws through.
static OPENING: AtomicPtr<Opening> = AtomicPtr::new(null_mut());

/// What musl makes of a mode: unknown bits do not count, and what is not to be lazy is bound at once.
const fn musl_mode(mode: c_int) -> c_int {
    const KNOWN: c_int = libc::RTLD_LAZY
        | libc::RTLD_NOW
        | libc::RTLD_NOLOAD
        | libc::RTLD_GLOBAL
        | libc::RTLD_NODELETE;
    match mode & libc::RTLD_LAZY {
        0 => mode & KNOWN | libc::RTLD_NOW,
        _ => mode & KNOWN & !libc::RTLD_NOW,
    }
}

/// Opens; `handle` becomes the handle, or null. Returns what is to be initialised, with the lock held, or null. What
/// libc opens for itself is no business of dlerror(3)'s.
unsafe extern "C" fn begin(
    namespace: c_long,
    file: *const c_char,
    mode: c_int,
    caller: u64,
    handle: *mut u64,
    for_libc: bool,
) -> *mut Opening {
    let process = process();
    if !for_libc {
        thread::clear_error();
    }
    // SAFETY: the caller's string; none is the program.
    let name = if file.is_null() { c"" } else { unsafe { CStr::from_ptr(file) } };
    let is_musl = process.facts.musl.is_some();
    let mode = if is_musl { musl_mode(mode) } else { mode };
    let request = Request { name: name.to_bytes(), mode, caller, namespace, purpose: For::Program };
    let mut told = OpenCall::begins(request.name);
    process.begin();
    let opened = open::open(process, &request);
    let (link_map, opening) = match opened {
        Ok(opened) if opened.calls.is_empty() => {
            tracing::opened(process, &opened);
            (opened.link_map, null_mut())
        }
        Ok(opened) => {
            let outer = OPENING.load(Ordering::Relaxed);
            let (link_map, told) = (opened.link_map, told.take());
            let opening = Box::into_raw(Box::new(Opening { opened, outer, told }));
            if is_musl {
                process.end();
            } else {
                OPENING.store(opening, Ordering::Relaxed);
            }
            (link_map, opening)
        }
        Err(error) => {
            if let Some(told) = told.take() {
                told.fails(&error);
            }
            if is_musl || !for_libc && !error.problem.is_silent() {
                remember(&error);
            }
            (0, null_mut())
        }
    };
    if opening.is_null() {
        if let Some(told) = told {
            told.ends(process, link_map);
        }
        process.end();
    }
    // SAFETY: the word is the caller's.
    unsafe { *handle = link_map };
    opening
}

/// The next initialiser and its arguments; 0 when there is none.
unsafe extern "C" fn next(opening: *mut Opening, arguments: *mut [u64; 3]) -> u64 {
    let process = process();
    let given = process.facts.arguments;
    // SAFETY: the caller's words; `begin` made the opening.
    unsafe {
        *arguments = [given.argc as u64, given.argv as u64, process.environment() as u64];
        (*opening).opened.calls.next(process).unwrap_or_default()
    }
}

/// Ends what [`begin`] has begun.
unsafe extern "C" fn end(opening: *mut Opening) {
    if opening.is_null() {
        return;
    }
    // SAFETY: `begin` made it, and initialisers that were opened inside have come to their end.
    let Opening { opened, outer, told } = *unsafe { Box::from_raw(opening) };
    let process = process();
    match process.facts.musl {
        Some(_) => process.begin(),
        None => OPENING.store(outer, Ordering::Relaxed),
    }
    tracing::opened(process, &opened);
    if let Some(told) = told {
        told.ends(process, opened.link_map);
    }
    process.end();
}

/// An initialiser has thrown, or its thread is ending: in the second phase of unwinding, what was begun ends. The
/// object stays open, as its dlopen does not return.
extern "C" fn personality(
    _: c_int,
    actions: c_int,
    _: u64,
    _: *mut c_void,
    _: *mut c_void,
) -> c_int {
    const CLEANUP_PHASE: c_int = 2;
    const CONTINUE_UNWIND: c_int = 8;
    if actions & CLEANUP_PHASE != 0 {
        // SAFETY: the frame that is being left is that of the innermost opening.
        unsafe { end(OPENING.load(Ordering::Relaxed)) };
    }
    CONTINUE_UNWIND
}

/// Keeps an error for dlerror(3).
fn remember(error: &Error) {
    thread::set_error(format_args!("{}", error.in_full()));
}

/// Says whether a handle is that of an object; returns 0, or 1 with an error for dlerror(3).
pub fn check_handle(process: &Process, handle: u64) -> c_int {
    thread::clear_error();
    let known = while_reading(|| process.world().link_maps.object(handle).is_some());
    if !known {
        remember(&Error::bad_handle("invalid handle", "dlclose", handle));
    }
    c_int::from(!known)
}

/// Runs `work` under the loader's lock; what goes wrong is for dlerror(3).
fn locked<T>(work: impl FnOnce(&Process) -> Result<T, Error>) -> Option<T> {
    let process = process();
    thread::clear_error();
    process.begin();
    let result = work(process).map_err(|error| remember(&error)).ok();
    process.end();
    result
}

/// dlclose(3).
pub unsafe extern "C" fn dlclose(handle: *mut c_void) -> c_int {
    locked(|process| close::close(process, handle as u64)).map_or(-1, |()| 0)
}

/// dlclose(3) as libc calls it for itself.
unsafe extern "C" fn libc_dlclose(handle: *mut c_void) -> c_int {
    let process = process();
    process.begin();
    let result = close::close(process, handle as u64);
    process.end();
    result.map_or(-1, |()| 0)
}

unsafe fn symbol(
    handle: u64,
    name: *const c_char,
    version: *const c_char,
    caller: Option<u64>,
) -> u64 {
    // SAFETY: the caller's strings.
    let (name, version) = unsafe {
        let version = (!version.is_null()).then(|| CStr::from_ptr(version));
        (CStr::from_ptr(name), version)
    };
    // libc asks for itself in an object, wherever it stands.
    let (for_libc, caller) = (caller.is_none(), caller.unwrap_or_default());
    if !for_libc {
        thread::clear_error();
    }
    match names::find(process(), &Query { handle, name, version, caller, for_libc }) {
        Ok(address) => address,
        Err(Failure::Error(error)) if !for_libc => {
            remember(&error);
            0
        }
        Err(_) => 0,
    }
}

pub unsafe extern "C" fn dlsym(handle: u64, name: *const c_char, caller: u64) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { symbol(handle, name, null(), Some(caller)) }
}

pub unsafe extern "C" fn dlvsym(
    handle: u64,
    name: *const c_char,
    version: *const c_char,
    caller: u64,
) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { symbol(handle, name, version, Some(caller)) }
}

unsafe extern "C" fn libc_dlsym(handle: u64, name: *const c_char) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { symbol(handle, name, null(), None) }
}

unsafe extern "C" fn libc_dlvsym(handle: u64, name: *const c_char, version: *const c_char) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { symbol(handle, name, version, None) }
}

pub extern "C" fn dlerror() -> *const c_char {
    thread::take_error().cast()
}

/// `Dl_info` of `<dlfcn.h>`.
#[repr(C)]
pub struct DlInfo {
    file: *const c_char,
    base: u64,
    name: *const c_char,
    address: u64,
}

pub unsafe extern "C" fn dladdr(address: u64, answer: *mut DlInfo) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { dladdr1(address, answer, null_mut(), 0) }
}

pub unsafe extern "C" fn dladdr1(
    address: u64,
    answer: *mut DlInfo,
    extra: *mut u64,
    flags: c_int,
) -> c_int {
    const SYMBOL: c_int = 1;
    const LINK_MAP: c_int = 2;
    let process = process();
    let _held = process.locks.hold(Lock::Load);
    let Some(place) = info::at(process, address) else { return 0 };
    let (file, base, name) = (place.file, place.base, place.name);
    // SAFETY: the caller's structures.
    unsafe {
        answer.write(DlInfo { file, base, name, address: place.address });
        match flags {
            SYMBOL => *extra = place.entry,
            LINK_MAP => *extra = place.link_map,
            _ => {}
        }
    }
    1
}

pub unsafe extern "C" fn dlinfo(handle: u64, request: c_int, answer: *mut u64) -> c_int {
    let process = process();
    thread::clear_error();
    // ld.so takes no lock here: an initialiser may wait for a thread that asks.
    // SAFETY: as the caller promises.
    let told = while_reading(|| unsafe { info::ask(process, handle, request, answer) });
    told.map_err(|error| remember(&error)).unwrap_or(-1)
}
