//! The symbols that glibc's libraries import from their loader, with glibc's names (contract: imports), and the
//! functions that they reach through `_rtld_global_ro`.
//!
//! # Safety
//!
//! The signatures are glibc's. Pointers are the callers' promise, as in C. Data is written by rld before any reader
//! runs; what the original keeps read-only stands in `.data.rel.ro` here too and is sealed before the program starts.

use core::arch::naked_asm;
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use core::ptr::null_mut;

use rld::abi::glibc::exports::{Data, Exports, Functions, RTLD_GLOBAL_RO_SIZE, RTLD_GLOBAL_SIZE};
use rld::abi::glibc::layout::Layout;
use rld::abi::glibc::link_maps;
use rld::addr::Addr;
use rld::env::tunables::Value;
use rld::program::audit;
use rld::program::close;
use rld::program::info;
use rld::program::locks::{Lock, while_reading};
use rld::program::places::Place;
use rld::program::process::{Process, current};
use rld::program::symbols::{Found, Query, lookup};
use rld::sys::process;
use rld::tls::thread;

use crate::errors::{self, signal};
use crate::{dlfcn, probes};

use crate::printf::rld_debug_printf;

/// Memory that is written through its address only.
#[repr(C)]
pub struct Cell<T>(UnsafeCell<T>);
// SAFETY: rld writes before other threads exist; afterwards glibc's own rules hold.
unsafe impl<T> Sync for Cell<T> {}

impl<T> Cell<T> {
    const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    fn address(&self) -> Addr {
        Addr(self.0.get() as u64)
    }
}

/// A structure of glibc's, aligned as its strictest member may be.
#[repr(C, align(64))]
pub struct Aligned<const SIZE: usize>([u8; SIZE]);

macro_rules! data {
    ($($(#[$attribute:meta])* $name:ident: $type:ty = $value:expr;)*) => {$(
        $(#[$attribute])*
        #[unsafe(no_mangle)]
        #[allow(non_upper_case_globals)]
        pub static $name: Cell<$type> = Cell::new($value);
    )*};
}

data! {
    /// contract 4, 5.
    _rtld_global: Aligned<RTLD_GLOBAL_SIZE> = Aligned([0; RTLD_GLOBAL_SIZE]);
    /// contract 6, 7.
    #[unsafe(link_section = ".data.rel.ro")]
    _rtld_global_ro: Aligned<RTLD_GLOBAL_RO_SIZE> = Aligned([0; RTLD_GLOBAL_RO_SIZE]);
    /// Whether the process has more rights than its caller.
    #[unsafe(link_section = ".data.rel.ro")]
    __libc_enable_secure: c_int = 1;
    /// Where argc stands.
    #[unsafe(link_section = ".data.rel.ro")]
    __libc_stack_end: u64 = 0;
    /// The argument vector. Writable: programs exist that change it.
    _dl_argv: u64 = 0;
    /// contract 2.5.
    #[unsafe(link_section = ".data.rel.ro")]
    __rseq_offset: i64 = 0;
    /// contract 2.5.
    #[unsafe(link_section = ".data.rel.ro")]
    __rseq_size: u32 = 0;
    /// contract 2.5.
    #[unsafe(link_section = ".data.rel.ro")]
    __rseq_flags: u32 = 0;
    /// Through which libc and libdl catch errors in newer builds of 2.33 (contract 7.1).
    #[unsafe(link_section = ".data.rel.ro")]
    _dl_catch_error_ptr: *const () = errors::_dl_catch_error as *const ();
    /// Set by debuggers that want thread events.
    __nptl_initial_report_events: u8 = 0;
}

/// The addresses of all that the library needs to know of.
pub fn all() -> Exports {
    let function = |address: *const ()| Addr(address as u64);
    Exports {
        data: Data {
            rtld_global: _rtld_global.address(),
            rtld_global_ro: _rtld_global_ro.address(),
            enable_secure: __libc_enable_secure.address(),
            stack_end: __libc_stack_end.address(),
            argv: _dl_argv.address(),
            rseq_offset: __rseq_offset.address(),
            rseq_size: __rseq_size.address(),
            r_debug: probes::r_debug(),
        },
        functions: Functions {
            debug_printf: function(rld_debug_printf as *const ()),
            mcount: function(_dl_mcount as *const ()),
            lookup_symbol: function(lookup_symbol as *const ()),
            open: function(open as *const ()),
            close: function(close_handle as *const ()),
            catch_error: function(errors::_dl_catch_error as *const ()),
            error_free: function(errors::error_free as *const ()),
            tls_get_addr_soft: function(tls_get_addr_soft as *const ()),
            libc_freeres: function(libc_freeres as *const ()),
            find_object: function(find_object as *const ()),
            readonly_area: function(readonly_area as *const ()),
            dlfcn_hook: Addr(&raw const dlfcn::HOOK as u64),
            audit: Addr(&raw const AUDIT as u64),
            open_hook: Addr(&raw const dlfcn::OPEN_HOOK as u64),
            count_lock: [function(count_lock as *const ()), function(count_unlock as *const ())],
            by_caller: [
                function(tunable_by_caller as *const ()),
                function(is_set_by_caller as *const ()),
                function(cpu_features_by_caller as *const ()),
                function(cpu_features_by_caller as *const ()),
            ],
            debug_state: probes::debug_state(),
            probes: probes::probes(),
        },
    }
}

/// The process, which exists before any code that could call in here.
pub fn process() -> &'static Process {
    current().unwrap_or_else(|| process::exit(127))
}

/// Runs all finalisers; the program gets it in rdx (contract 3.5).
pub unsafe extern "C" fn finalise() {
    if let Some(process) = current() {
        // SAFETY: libc calls this once, from exit.
        unsafe { close::finalise_all(process) };
    }
}

// Thread-local storage (contract 2.6).

#[unsafe(no_mangle)]
unsafe extern "C" fn _dl_allocate_tls(memory: *mut c_void) -> *mut c_void {
    // SAFETY: libc passes a zeroed block with room below it, or null.
    unsafe { process().allocate_tls(Addr(memory as u64)) }.0 as *mut c_void
}

/// The second argument differs in meaning between releases; libc always means "initialise" (contract 2.6).
#[unsafe(no_mangle)]
unsafe extern "C" fn _dl_allocate_tls_init(thread: *mut c_void, _: bool) -> *mut c_void {
    if !thread.is_null() {
        // SAFETY: libc passes the block of a thread that has ended.
        unsafe { process().reset_tls(Addr(thread as u64)) };
    }
    thread
}

#[unsafe(no_mangle)]
unsafe extern "C" fn _dl_deallocate_tls(thread: *mut c_void, with_block: bool) {
    // SAFETY: libc passes the block of a thread that has ended.
    unsafe { process().free_tls(Addr(thread as u64), with_block) };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn _dl_get_tls_static_info(size: *mut usize, align: *mut usize) {
    let process = process();
    let tls = while_reading(|| {
        let tls = &process.world().tls;
        (tls.size + process.facts.tcb_size, tls.align)
    });
    // SAFETY: the caller's variables.
    unsafe { (*size, *align) = (tls.0 as usize, tls.1 as usize) };
}

/// This thread's block of a module, or null where it has none yet; never allocates.
unsafe extern "C" fn tls_get_addr_soft(link_map: *mut c_void) -> *mut c_void {
    let process = process();
    // SAFETY: libc passes one of its link maps, whose object is there while libc looks at it.
    let object = unsafe { link_maps::object_at(link_map as u64) };
    let module = while_reading(|| process.world().tls.module(object).map(|module| module.id));
    // SAFETY: the calling thread has a DTV.
    module.map_or(null_mut(), |id| unsafe { thread::existing_block(id) as *mut c_void })
}

// Locks, as long as there is no libpthread.so.0 (contract 5.2): one thread needs no more than a count, which
// libpthread.so.0 finds when it comes.

/// `pthread_mutex_t.__count`, after the word that is the lock.
unsafe fn lock_count(mutex: *mut c_void) -> *mut u32 {
    // SAFETY: the caller's mutex.
    unsafe { mutex.cast::<u32>().add(1) }
}

/// GL(rtld_lock_recursive).
unsafe extern "C" fn count_lock(mutex: *mut c_void) -> c_int {
    // SAFETY: the caller's mutex; there is one thread.
    unsafe { *lock_count(mutex) = (*lock_count(mutex)).wrapping_add(1) };
    0
}

/// GL(rtld_unlock_recursive).
unsafe extern "C" fn count_unlock(mutex: *mut c_void) -> c_int {
    // SAFETY: as above.
    unsafe { *lock_count(mutex) = (*lock_count(mutex)).wrapping_sub(1) };
    0
}

// Tunables (contract 9).

#[unsafe(no_mangle)]
unsafe extern "C" fn __tunable_get_val(
    id: u32,
    value: *mut c_void,
    callback: Option<unsafe extern "C" fn(*mut c_void)>,
) {
    // SAFETY: as the caller promises.
    unsafe { give_tunable(process().layout(), id, value, callback) };
}

/// # Safety
/// As for `__tunable_get_val`, of a libc of this layout.
unsafe fn give_tunable(
    layout: Option<&Layout>,
    id: u32,
    value: *mut c_void,
    callback: Option<unsafe extern "C" fn(*mut c_void)>,
) {
    let process = process();
    let Some((found, is_set)) = layout.and_then(|layout| process.tunable(layout, id)) else {
        // SAFETY: every tunable has at least 32 bits.
        return unsafe { value.cast::<u32>().write(0) };
    };
    // From 2.39 on (contract 9.1).
    let knows_text = layout.is_some_and(|layout| layout.minor >= 39);
    // SAFETY: `value` has the tunable's type (contract 9.1).
    unsafe {
        match found {
            Value::Int32(number) => value.cast::<i32>().write(number),
            Value::Number(number) => value.cast::<u64>().write(number),
            // Text and its length; before that a string, which these bytes of the environment are not: they end at a
            // colon. Only the loader's own tunables are text.
            Value::Text(text) if knows_text => {
                let text = text.unwrap_or_default();
                value.cast::<[u64; 2]>().write([text.as_ptr() as u64, text.len() as u64]);
            }
            Value::Text(_) => value.cast::<u64>().write(0),
        }
        if let (true, Some(callback)) = (is_set, callback) {
            callback(value);
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn __tunable_is_initialized(id: u32) -> bool {
    is_set(process().layout(), id)
}

fn is_set(layout: Option<&Layout>, id: u32) -> bool {
    layout.and_then(|layout| process().tunable(layout, id)).is_some_and(|(_, is_set)| is_set)
}

// The same for libraries of other layouts than the program's: whose numbers are meant, the return address tells.

#[unsafe(naked)]
unsafe extern "C" fn tunable_by_caller() {
    naked_asm!("mov rcx, [rsp]", "jmp {}", sym give_tunable_at)
}

unsafe extern "C" fn give_tunable_at(
    id: u32,
    value: *mut c_void,
    callback: Option<unsafe extern "C" fn(*mut c_void)>,
    caller: u64,
) {
    // SAFETY: as for `__tunable_get_val`.
    unsafe { give_tunable(process().layout_at(caller), id, value, callback) };
}

#[unsafe(naked)]
unsafe extern "C" fn is_set_by_caller() {
    naked_asm!("mov rsi, [rsp]", "jmp {}", sym is_set_at)
}

extern "C" fn is_set_at(id: u32, caller: u64) -> bool {
    is_set(process().layout_at(caller), id)
}

#[unsafe(naked)]
unsafe extern "C" fn cpu_features_by_caller() {
    naked_asm!("mov rdi, [rsp]", "jmp {}", sym cpu_features_at)
}

extern "C" fn cpu_features_at(caller: u64) -> *const c_void {
    let process = process();
    process.cpu_features(process.layout_at(caller)).0 as *const c_void
}

// Objects by address.

/// `struct dl_find_object` of `<dlfcn.h>`.
#[repr(C)]
pub struct DlFindObject {
    flags: u64,
    map_start: u64,
    map_end: u64,
    link_map: u64,
    eh_frame: u64,
    /// From 2.42 on; reserved before.
    sframe: u64,
    /// Not written, as by ld.so.
    _reserved: [u64; 6],
}

/// `_dl_find_object`, for unwinders.
pub unsafe extern "C" fn find_object(address: *const c_void, result: *mut DlFindObject) -> c_int {
    let write = |place: Place| {
        // SAFETY: the caller's structure.
        unsafe {
            (*result).flags = 0;
            (*result).map_start = place.start;
            (*result).map_end = place.end;
            (*result).link_map = place.link_map;
            (*result).eh_frame = place.eh_frame;
            (*result).sframe = 0;
        }
    };
    match current().and_then(|process| process.find_code_with(address as u64, write)) {
        Some(()) => 0,
        None => -1,
    }
}

/// GLRO(readonly_area): whether memory cannot be written (0), can be (1), or is no object's (2).
extern "C" fn readonly_area(start: *const c_void, size: usize) -> c_int {
    let (start, size) = (start as u64, size as u64);
    while_reading(|| process().is_writable(start, size)).map_or(2, c_int::from)
}

#[unsafe(no_mangle)]
extern "C" fn _dl_find_dso_for_object(address: u64) -> *mut c_void {
    let code = process().find_code(address);
    code.map_or(null_mut(), |code| code.link_map as *mut c_void)
}

// Symbols by name.

/// GLRO(lookup_symbol_x), contract 7.
unsafe extern "C" fn lookup_symbol(
    name: *const c_char,
    from: *mut c_void,
    reference: *mut *const c_void,
    scope: *const *const c_void,
    version: *const c_void,
    class: c_int,
    flags: c_int,
    skip: *mut c_void,
) -> *mut c_void {
    let process = process();
    // SAFETY: libc's arguments, in the form that the contract gives them.
    let found = unsafe {
        let query = Query {
            name: CStr::from_ptr(name),
            from: from as u64,
            scope: scope.cast(),
            version: version.cast(),
            class,
            flags,
            skip: skip as u64,
        };
        lookup(process, &query)
    };
    // SAFETY: the caller's variable.
    unsafe {
        if let Some(Found { link_map, symbol }) = found {
            *reference = symbol as *const c_void;
            return link_map as *mut c_void;
        }
        let may_be_absent = !(*reference).is_null() && is_weak(*reference);
        *reference = core::ptr::null();
        if !may_be_absent {
            // No heap here: libc jumps out of `signal`, which drops nothing.
            let mut text = Line::new();
            process.undefined_symbol(CStr::from_ptr(name), version.cast(), &mut text);
            let world = process.world();
            let id = world.link_maps.object(from as u64);
            let object = id.and_then(|id| world.map.get(id));
            let name = object.map_or(c"", |object| &*object.name);
            signal(0, name, c"symbol lookup error", text.bytes());
        }
    }
    null_mut()
}

/// One line of text on the stack; what does not fit is cut off.
struct Line {
    buffer: [u8; 1024],
    len: usize,
}

impl Line {
    const fn new() -> Self {
        Self { buffer: [0; 1024], len: 0 }
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

impl core::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.buffer.get_mut(self.len..).unwrap_or_default();
        let len = text.len().min(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..len), text.as_bytes().get(..len)) {
            to.copy_from_slice(from);
        }
        self.len += len;
        Ok(())
    }
}

/// Whether a symbol in memory has weak binding.
unsafe fn is_weak(symbol: *const c_void) -> bool {
    // SAFETY: `st_info` is the fifth byte.
    unsafe { symbol.cast::<u8>().add(4).read() >> 4 == 2 }
}

// Opening and closing at run time. libc goes through the table of `dlfcn`; these are for who calls past it.

/// GLRO(open).
unsafe extern "C" fn open(
    file: *const c_char,
    mode: c_int,
    caller: *const c_void,
    namespace: c_long,
    _argc: c_int,
    _argv: *mut *mut c_char,
    _environment: *mut *mut c_char,
) -> *mut c_void {
    // SAFETY: libc's arguments.
    let handle = unsafe { dlfcn::dlmopen(namespace, file, mode, caller as u64) };
    if handle.is_null() {
        raise();
    }
    handle
}

/// GLRO(close).
unsafe extern "C" fn close_handle(link_map: *mut c_void) {
    // SAFETY: libc's argument.
    if unsafe { dlfcn::dlclose(link_map) } != 0 {
        raise();
    }
}

/// Raises what dlerror(3) would say.
fn raise() {
    let text = thread::take_error();
    if !text.is_null() {
        // SAFETY: the words end with NUL; libc has a frame that catches this.
        unsafe { signal(0, c"", c"", CStr::from_ptr(text.cast()).to_bytes()) };
    }
}

// The rest.

/// Counts a call from `from` to `to`, for profiling, which rld does not do.
#[unsafe(no_mangle)]
extern "C" fn _dl_mcount(_from: u64, _to: u64) {}

/// libc is about to call the program (contract 3.6).
#[unsafe(no_mangle)]
extern "C" fn _dl_audit_preinit(_program: *mut c_void) {
    audit::preinit(process());
}

/// What libc up to 2.34 calls for that: the fourth function of one auditor, who stands for all. The ninth word is the
/// next auditor.
static AUDIT: [Option<extern "C" fn(*mut c_void)>; 9] =
    [None, None, None, Some(_dl_audit_preinit), None, None, None, None, None];

/// What libc's own dlsym(3) has found, which only those use who call past GLRO(dlfcn_hook): they are not followed.
#[unsafe(no_mangle)]
extern "C" fn _dl_audit_symbind_alt(
    _from: *mut c_void,
    _reference: *const c_void,
    _value: *mut *mut c_void,
    _definer: *mut c_void,
) {
}

/// rld's memory goes with the process; none of it is libc's to free.
extern "C" fn libc_freeres() {}

/// From 2.33 on.
#[unsafe(no_mangle)]
extern "C" fn _dl_x86_get_cpu_features(_max: u32) -> *const c_void {
    __get_cpu_features()
}

/// Up to 2.32.
#[unsafe(no_mangle)]
extern "C" fn __get_cpu_features() -> *const c_void {
    let process = process();
    process.cpu_features(process.layout()).0 as *const c_void
}

/// Makes the main thread's stack executable, for libpthread.so.0 up to 2.33 (contract 5.2); returns an error number.
#[unsafe(no_mangle)]
unsafe extern "C" fn _dl_make_stack_executable(stack_end: *mut u64) -> c_int {
    // SAFETY: the caller's variable, which is cleared when the work is done.
    unsafe {
        let error = process().open_main_stack(Addr(*stack_end));
        if error == 0 {
            *stack_end = 0;
        }
        error
    }
}

/// Makes a thread's stack executable, when a library that was opened later asks for it; returns an error number.
#[unsafe(no_mangle)]
unsafe extern "C" fn __nptl_change_stack_perm(thread: *mut c_void) -> c_int {
    // SAFETY: libc passes the block of a thread.
    unsafe { process().open_stack(Addr(thread as u64)) }
}

/// dlinfo(3) RTLD_DI_SERINFO and RTLD_DI_SERINFOSIZE.
#[unsafe(no_mangle)]
unsafe extern "C" fn _dl_rtld_di_serinfo(link_map: *mut c_void, info: *mut c_void, counting: bool) {
    let process = process();
    let _held = process.locks.hold(Lock::Load);
    let world = process.world();
    if let Some(id) = world.link_maps.object(link_map as u64) {
        // SAFETY: the caller's structure, with the room that was counted.
        unsafe { info::serinfo(process, world, id, info.cast(), counting) };
    }
}

/// Exists so that a version node of its own does.
#[unsafe(no_mangle)]
extern "C" fn __rtld_version_placeholder() {}
