//! The functions with variable arguments that libc calls in its loader (contract 7, 7.5), and the small part of
//! printf(3)'s language that it uses there.
//!
//! # Safety
//!
//! Stable Rust cannot define C-variadic functions. A few instructions store the argument registers behind one another
//! and pass where they are, and where the caller's stack arguments are. Formats and strings are the caller's promise,
//! as in C.

use alloc::string::String;
use core::arch::naked_asm;
use core::ffi::{CStr, c_char};
use core::fmt::Write;

use rld::sys::{file, process};
use rld::text::Text;
use rld::trace;

const STDERR: u64 = 2;

/// The variable arguments of a call: first those in registers, then those on the stack (psABI, 3.5.7).
struct Arguments {
    registers: *const u64,
    left: usize,
    stack: *const u64,
}

impl Arguments {
    fn next(&mut self) -> u64 {
        let from = if self.left > 0 {
            self.left -= 1;
            &mut self.registers
        } else {
            &mut self.stack
        };
        // SAFETY: the format promises that there is one more argument.
        unsafe {
            let value = from.read();
            *from = from.add(1);
            value
        }
    }
}

/// Formats: `%s %d %i %u %x %c %p %%`, with `0`, a width or `*`, and the length letters `l`, `z` and `Z`.
///
/// # Safety
/// The arguments are what the format asks for.
unsafe fn format(format: *const c_char, mut arguments: Arguments) -> String {
    let mut text = String::new();
    // SAFETY: the format is a C string.
    let mut bytes = unsafe { CStr::from_ptr(format) }.to_bytes().iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            text.push(byte.into());
            continue;
        }
        let zeros = bytes.next_if_eq(&b'0').is_some();
        let mut width = 0usize;
        if bytes.next_if_eq(&b'*').is_some() {
            width = arguments.next() as u32 as usize;
        }
        while let Some(digit) = bytes.next_if(u8::is_ascii_digit) {
            width = width.saturating_mul(10).saturating_add((digit - b'0').into());
        }
        let width = width.min(64);
        let mut long = false;
        while bytes.next_if(|letter| b"lzZ".contains(letter)).is_some() {
            long = true;
        }
        let mut number = |signed: bool| {
            let value = arguments.next();
            match (long, signed) {
                (true, _) => value.cast_signed(),
                (false, true) => i64::from(value as i32),
                (false, false) => i64::from(value as u32),
            }
        };
        let _ = match bytes.next() {
            Some(b'd' | b'i') => write!(text, "{:width$}", number(true)),
            Some(b'u') => write!(text, "{:width$}", number(false).cast_unsigned()),
            Some(b'x') if zeros => write!(text, "{:0width$x}", number(false)),
            Some(b'x') => write!(text, "{:width$x}", number(false)),
            Some(b'p') => write!(text, "{:#x}", arguments.next()),
            Some(b'c') => write!(text, "{}", char::from(arguments.next() as u8)),
            Some(b's') => match arguments.next() as *const c_char {
                string if string.is_null() => write!(text, "(null)"),
                // SAFETY: the format promises a C string.
                string => write!(text, "{}", Text(unsafe { CStr::from_ptr(string) }.to_bytes())),
            },
            Some(other) => write!(text, "{}", char::from(other)),
            None => Ok(()),
        };
    }
    text
}

/// Stores the argument registers and calls `$inner` with the fixed arguments, where the variable registers are (the
/// first instruction given) and where the stack arguments are (the second).
macro_rules! variadic {
    ($(#[$doc:meta])* $name:ident, $inner:ident, $($move:literal),*) => {
        $(#[$doc])*
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name() {
            naked_asm!(
                "lea r11, [rsp + 8]",
                "sub rsp, 56",
                "mov [rsp], rdi",
                "mov [rsp + 8], rsi",
                "mov [rsp + 16], rdx",
                "mov [rsp + 24], rcx",
                "mov [rsp + 32], r8",
                "mov [rsp + 40], r9",
                $($move,)*
                "call {inner}",
                "add rsp, 56",
                "ret",
                inner = sym $inner,
            )
        }
    };
}

variadic!(
    /// GLRO(debug_printf): a line of debugging output.
    rld_debug_printf, debug_printf,
    "lea rsi, [rsp + 8]", "mov rdx, r11"
);
variadic!(
    /// Ends the process with a message (contract 7.5).
    _dl_fatal_printf, fatal_printf,
    "lea rsi, [rsp + 8]", "mov rdx, r11"
);
variadic!(
    /// Makes an exception whose text is formatted (contract 7.1).
    _dl_exception_create_format, exception_create_format,
    "lea rcx, [rsp + 24]", "mov r8, r11"
);

unsafe extern "C" fn debug_printf(text: *const c_char, registers: *const u64, stack: *const u64) {
    // SAFETY: the caller's format and arguments.
    let text = unsafe { format(text, Arguments { registers, left: 5, stack }) };
    trace::debug::foreign(text.as_bytes());
}

unsafe extern "C" fn fatal_printf(
    text: *const c_char,
    registers: *const u64,
    stack: *const u64,
) -> ! {
    // SAFETY: the caller's format and arguments.
    let text = unsafe { format(text, Arguments { registers, left: 5, stack }) };
    trace::flush();
    file::write_all(STDERR, text.as_bytes());
    process::exit(127)
}

unsafe extern "C" fn exception_create_format(
    exception: *mut crate::errors::Exception,
    object: *const c_char,
    text: *const c_char,
    registers: *const u64,
    stack: *const u64,
) {
    // SAFETY: the caller's format and arguments.
    unsafe {
        let text = format(text, Arguments { registers, left: 3, stack });
        crate::errors::fill_exception(exception, object, text.as_bytes());
    }
}
