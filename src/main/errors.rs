//! Errors as glibc's libraries raise and catch them (contract 7.1).
//!
//! Up to 2.36 libc.so.6 itself defines these functions and its definitions come first in every lookup: what is raised
//! or caught here must be raised or caught through them. From 2.37 on they are the loader's alone, and these.
//!
//! # Safety
//!
//! The signatures are glibc's. A jump leaves only frames of C's and of functions here that have nothing to drop; where
//! it leads is on the stack of the same thread, below all that it leaves.

use core::arch::naked_asm;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{null, null_mut};
use core::sync::atomic::Ordering;

use rld::program::process::Process;
use rld::sys::{file, process};
use rld::tls::thread;

use crate::exports::process;

/// `struct dl_exception`.
#[repr(C)]
pub struct Exception {
    object: *const c_char,
    text: *const c_char,
    buffer: *mut c_char,
}

impl Exception {
    const NONE: Self = Self { object: null(), text: null(), buffer: null_mut() };
}

type Operation = unsafe extern "C" fn(*mut c_void);

/// What a call of `_dl_catch_exception` keeps on its stack.
#[repr(C)]
struct Catch {
    /// Where what is raised goes; null where nothing may be.
    exception: *mut Exception,
    /// That of the call around this one.
    outer: *mut Catch,
}

/// Where a thread's innermost [`Catch`] is noted: in its `struct pthread`, as glibc's loader does.
fn innermost(process: &Process) -> Option<*mut *mut Catch> {
    let offset = process.layout()?.pthread.rtld_catch?;
    Some((thread::current().0 + u64::from(offset)) as *mut *mut Catch)
}

/// Calls libc's function of the same name, where it has one.
macro_rules! forward {
    ($field:ident, fn($($type:ty),*) $(-> $result:ty)?, ($($argument:expr),*)) => {
        let function = process().errors.$field.load(Ordering::Acquire);
        if function != 0 {
            // SAFETY: the address of libc's function, whose signature this is.
            return unsafe {
                core::mem::transmute::<u64, unsafe extern "C" fn($($type),*) $(-> $result)?>(
                    function,
                )($($argument),*)
            };
        }
    };
}

/// Calls `operate`; what it raises ends in `exception`, and its number is returned.
#[unsafe(no_mangle)]
unsafe extern "C" fn _dl_catch_exception(
    exception: *mut Exception,
    operate: Operation,
    argument: *mut c_void,
) -> c_int {
    forward!(
        catch_exception,
        fn(*mut Exception, Operation, *mut c_void) -> c_int,
        (exception, operate, argument)
    );
    // SAFETY: the caller's arguments.
    unsafe { catch(exception, operate, argument) }
}

/// The same without libc's help. [`resume`] returns from it a second time, so to speak: it finds all registers that a
/// caller counts on above the [`Catch`].
#[unsafe(naked)]
unsafe extern "C" fn catch(
    exception: *mut Exception,
    operate: Operation,
    argument: *mut c_void,
) -> c_int {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        ".cfi_offset rbx, -24",
        ".cfi_offset r12, -32",
        ".cfi_offset r13, -40",
        ".cfi_offset r14, -48",
        ".cfi_offset r15, -56",
        "sub rsp, 24",
        "mov [rsp], rdi",
        "mov rbx, rsi",
        "mov r12, rdx",
        "mov rdi, rsp",
        "call {enter}",
        "mov rdi, r12",
        "call rbx",
        "mov rdi, rsp",
        "call {leave}",
        "mov rdi, rsp",
        "xor esi, esi",
        "jmp {resume}",
        ".cfi_endproc",
        enter = sym enter,
        leave = sym leave,
        resume = sym resume,
    )
}

/// Leaves all frames down to that of [`catch`] with this [`Catch`], which returns `number`.
#[unsafe(naked)]
unsafe extern "C" fn resume(catch: *mut Catch, number: c_int) -> ! {
    naked_asm!(
        "lea rsp, [rdi + 24]",
        "mov eax, esi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

unsafe extern "C" fn enter(catch: *mut Catch) {
    if let Some(innermost) = innermost(process()) {
        // SAFETY: the thread's own words.
        unsafe {
            (*catch).outer = *innermost;
            *innermost = catch;
        }
    }
}

unsafe extern "C" fn leave(catch: *mut Catch) {
    // SAFETY: as above; the exception is the caller's.
    unsafe {
        if let Some(innermost) = innermost(process()) {
            *innermost = (*catch).outer;
        }
        if !(*catch).exception.is_null() {
            (*catch).exception.write(Exception::NONE);
        }
    }
}

/// The innermost call that waits for what this thread raises.
fn waiting() -> Option<*mut Catch> {
    let innermost = innermost(process())?;
    // SAFETY: the thread's own word; what it leads to is on the thread's stack.
    unsafe {
        let catch = *innermost;
        if catch.is_null() || (*catch).exception.is_null() {
            return None;
        }
        *innermost = (*catch).outer;
        Some(catch)
    }
}

/// The same with the parts of the exception in variables of the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _dl_catch_error(
    object: *mut *const c_char,
    text: *mut *const c_char,
    malloced: *mut bool,
    operate: Operation,
    argument: *mut c_void,
) -> c_int {
    forward!(
        catch_error,
        fn(*mut *const c_char, *mut *const c_char, *mut bool, Operation, *mut c_void) -> c_int,
        (object, text, malloced, operate, argument)
    );
    let mut exception = Exception::NONE;
    // SAFETY: the caller's function and variables.
    unsafe {
        let number = catch(&raw mut exception, operate, argument);
        let caught = (&raw const exception).read_volatile();
        *object = caught.object;
        *text = caught.text;
        *malloced = !caught.buffer.is_null() && caught.text == caught.buffer;
        number
    }
}

/// Raises an error, or ends the program with it where nobody waits for one.
#[unsafe(no_mangle)]
unsafe extern "C" fn _dl_signal_exception(
    number: c_int,
    exception: *mut Exception,
    occasion: *const c_char,
) {
    forward!(
        signal_exception,
        fn(c_int, *mut Exception, *const c_char),
        (number, exception, occasion)
    );
    // SAFETY: the caller's exception, and that of who waits.
    unsafe {
        let Some(catch) = waiting() else { die((*exception).object, occasion, (*exception).text) };
        (*catch).exception.write(exception.read());
        resume(catch, number)
    }
}

/// The same from the parts of an exception.
#[unsafe(no_mangle)]
unsafe extern "C" fn _dl_signal_error(
    number: c_int,
    object: *const c_char,
    occasion: *const c_char,
    text: *const c_char,
) {
    forward!(
        signal_error,
        fn(c_int, *const c_char, *const c_char, *const c_char),
        (number, object, occasion, text)
    );
    // SAFETY: the caller's strings, and the exception of who waits.
    unsafe {
        let Some(catch) = waiting() else { die(object, occasion, text) };
        let text = if text.is_null() { c"DYNAMIC LINKER BUG!!!" } else { CStr::from_ptr(text) };
        fill_exception((*catch).exception, object, text.to_bytes());
        resume(catch, number)
    }
}

/// Raises an error. Nothing in the frames above needs to be dropped: the jump leaves them.
pub unsafe fn signal(number: c_int, object: &CStr, occasion: &CStr, text: &[u8]) {
    let mut buffer = [0u8; 1024];
    let len = text.len().min(buffer.len() - 1);
    if let (Some(to), Some(from)) = (buffer.get_mut(..len), text.get(..len)) {
        to.copy_from_slice(from);
    }
    let occasion = if occasion.is_empty() { null() } else { occasion.as_ptr() };
    // SAFETY: all strings end with NUL and outlive the call, in which they are copied.
    unsafe { _dl_signal_error(number, object.as_ptr(), occasion, buffer.as_ptr().cast()) }
}

unsafe fn die(object: *const c_char, occasion: *const c_char, text: *const c_char) -> ! {
    let show = |string: *const c_char| match string.is_null() {
        true => c"",
        // SAFETY: the caller's strings.
        false => unsafe { CStr::from_ptr(string) },
    };
    let occasion = match show(occasion).to_bytes() {
        b"" => &b"error while loading shared libraries"[..],
        words => words,
    };
    let line = [
        process().facts.name,
        b": ",
        occasion,
        b": ",
        show(object).to_bytes(),
        b": ",
        show(text).to_bytes(),
        b"\n",
    ]
    .concat();
    file::write_all(2, &line);
    process::exit(127)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn _dl_exception_create(
    exception: *mut Exception,
    object: *const c_char,
    text: *const c_char,
) {
    // SAFETY: the caller's strings.
    unsafe { fill_exception(exception, object, CStr::from_ptr(text).to_bytes()) };
}

/// Fills an exception: text, NUL, object name in one block of the program's allocator (contract 7.1).
///
/// # Safety
/// The exception is the caller's, and `object` a C string.
pub unsafe fn fill_exception(exception: *mut Exception, object: *const c_char, text: &[u8]) {
    let object = match object.is_null() {
        true => c"",
        // SAFETY: the caller's string.
        false => unsafe { CStr::from_ptr(object) },
    };
    let name = object.to_bytes_with_nul();
    let block = process().calloc((text.len() + 1 + name.len()) as u64);
    // SAFETY: the block has room for both strings.
    unsafe {
        if block.is_null() {
            let text = c"out of memory".as_ptr();
            exception.write(Exception { object: c"".as_ptr(), text, buffer: null_mut() });
            return;
        }
        block.copy_from_nonoverlapping(text.as_ptr(), text.len());
        let object = block.add(text.len() + 1);
        object.copy_from_nonoverlapping(name.as_ptr(), name.len());
        let block = block.cast();
        exception.write(Exception { object: object.cast(), text: block, buffer: block });
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn _dl_exception_free(exception: *mut Exception) {
    // SAFETY: the caller's exception.
    unsafe {
        process().free((*exception).buffer as u64);
        exception.write(Exception {
            object: core::ptr::null(),
            text: core::ptr::null(),
            buffer: null_mut(),
        });
    }
}

/// GLRO(error_free).
pub unsafe extern "C" fn error_free(text: *mut c_void) {
    process().free(text as u64);
}
