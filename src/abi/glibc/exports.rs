//! What the binary exports to glibc: addresses of data and functions, handed to the personality as values.

use crate::addr::Addr;

/// Room for `_rtld_global` in its largest layout (contract 12).
pub const RTLD_GLOBAL_SIZE: usize = 4608;
/// Room for `_rtld_global_ro` in its largest layout (contract 12).
pub const RTLD_GLOBAL_RO_SIZE: usize = 1024;

/// Data symbols of the loader (contract 1.3).
#[derive(Clone, Copy, Debug)]
pub struct Data {
    /// `_rtld_global`, [`RTLD_GLOBAL_SIZE`] bytes.
    pub rtld_global: Addr,
    /// `_rtld_global_ro`, [`RTLD_GLOBAL_RO_SIZE`] bytes.
    pub rtld_global_ro: Addr,
    /// `__libc_enable_secure`, i32.
    pub enable_secure: Addr,
    /// `__libc_stack_end`, a pointer.
    pub stack_end: Addr,
    /// `_dl_argv`, a pointer.
    pub argv: Addr,
    /// `__rseq_offset`, i64.
    pub rseq_offset: Addr,
    /// `__rseq_size`, u32.
    pub rseq_size: Addr,
    /// `_r_debug`, with the room of a `struct r_debug_extended`.
    pub r_debug: Addr,
}

/// Functions that libc.so.6 calls through `_rtld_global_ro` (contract 7).
#[derive(Clone, Copy, Debug)]
pub struct Functions {
    /// GLRO(debug_printf).
    pub debug_printf: Addr,
    /// GLRO(mcount).
    pub mcount: Addr,
    /// GLRO(lookup_symbol_x).
    pub lookup_symbol: Addr,
    /// GLRO(open).
    pub open: Addr,
    /// GLRO(close).
    pub close: Addr,
    /// GLRO(catch_error).
    pub catch_error: Addr,
    /// GLRO(error_free).
    pub error_free: Addr,
    /// GLRO(tls_get_addr_soft).
    pub tls_get_addr_soft: Addr,
    /// GLRO(libc_freeres).
    pub libc_freeres: Addr,
    /// GLRO(find_object).
    pub find_object: Addr,
    /// GLRO(readonly_area).
    pub readonly_area: Addr,
    /// GLRO(dlfcn_hook): the table of dl* functions (contract 7.3).
    pub dlfcn_hook: Addr,
    /// GLRO(audit): a table whose fourth word is called when the program is about to start, up to 2.34 (contract 3.6).
    pub audit: Addr,
    /// What libc.so.6 up to 2.33 opens libraries through (contract 7.4).
    pub open_hook: Addr,
    /// GL(rtld_lock_recursive) and GL(rtld_unlock_recursive) as long as there is no libpthread.so.0 (contract 5.2).
    pub count_lock: [Addr; 2],
    /// Functions that serve libraries of several layouts: `__tunable_get_val`, `__tunable_is_initialized`,
    /// `_dl_x86_get_cpu_features`, `__get_cpu_features`.
    pub by_caller: [Addr; 4],
    /// `_dl_debug_state`, where debuggers put a breakpoint.
    pub debug_state: Addr,
    /// Functions that hold a static probe each, by [`Probe`].
    pub probes: [Addr; 6],
}

/// Static probes of the loader, as glibc names them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Probe {
    /// `init_complete`: the program can start.
    InitComplete,
    /// `map_start`: objects are about to be added.
    MapStart,
    /// `map_complete`: they are in the list.
    MapComplete,
    /// `reloc_complete`: they are relocated.
    RelocComplete,
    /// `unmap_start`: objects are about to be taken out.
    UnmapStart,
    /// `unmap_complete`: they are gone.
    UnmapComplete,
}

/// All of them.
#[derive(Clone, Copy, Debug)]
pub struct Exports {
    /// Data.
    pub data: Data,
    /// Functions.
    pub functions: Functions,
}
