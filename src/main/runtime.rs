//! What the Rust runtime wants of a program without std.
//!
//! # Safety
//!
//! The names are those that the compiler looks for; nothing else has them. Both functions end the process.

use core::fmt::Write;
use core::panic::PanicInfo;

use rld::sys::{file, process};

const STDERR: u64 = 2;
const CANNOT_START: i32 = 127;

/// A line without allocation: a panic may come from the heap.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let rest = self.bytes.get_mut(self.len..).unwrap_or_default();
        let len = text.len().min(rest.len());
        if let (Some(to), Some(from)) = (rest.get_mut(..len), text.as_bytes().get(..len)) {
            to.copy_from_slice(from);
        }
        self.len += len;
        Ok(())
    }
}

/// A bug of rld: say where, and end. There is nobody to unwind to.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let mut line = Line { bytes: [0; 512], len: 0 };
    let _ = writeln!(line, "rld: internal error: {info}");
    file::write_all(STDERR, line.bytes.get(..line.len).unwrap_or_default());
    process::exit(CANNOT_START)
}

/// Named by the precompiled core library, called by nobody: panics abort.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// As above.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    process::exit(CANNOT_START)
}
