//! glibc's private layouts as a typed table, compiled from `data/glibc/layouts.tsv` (contract 0).
//!
//! The structures below are the schema: build/layouts.rs reads their field names and types from this file and wants a
//! fact of the same name from the data. A number is an offset in bytes from the start of the structure, or says
//! otherwise. A pointer is 8 bytes. `None` means that the layout has no such field. `GL(x)` is glibc's name for a field
//! of `_rtld_global`, `GLRO(x)` for one of `_rtld_global_ro`.

use crate::text::Inline;

/// One layout: every private fact that the loader needs about a build of glibc.
#[derive(Debug)]
pub struct Layout {
    /// Its name: the release, and the commit of the stable branch that brought it.
    pub label: Inline<31>,
    /// The builds it stands for, in words.
    pub builds: Inline<127>,
    /// The minor release: 36 for glibc 2.36.
    pub minor: u16,
    /// Layouts with the same number are equal in all that libc.so.6 and debuggers touch. Computed from the data.
    pub exchange: u16,
    /// Offsets in `_rtld_global`.
    pub rtld_global: RtldGlobal,
    /// Offsets in one namespace of `_rtld_global`.
    pub ns: Namespace,
    /// Offsets in `_rtld_global_ro`.
    pub rtld_global_ro: RtldGlobalRo,
    /// Offsets in the `cpu_features` inside `_rtld_global_ro`.
    pub cpu: CpuFeatures,
    /// Offsets in a link map.
    pub link_map: LinkMap,
    /// Offsets from the thread pointer.
    pub pthread: Pthread,
    /// The debugger's structure.
    pub r_debug: RDebug,
    /// What is not an offset.
    pub contract: Contract,
}

impl Layout {
    /// One whose public fields (`<link.h>`) are where they are in all of them, for who has no use for the others.
    #[must_use]
    pub const fn common() -> &'static Self {
        let [first, ..] = &LAYOUTS;
        first
    }

    /// Whether every dl* function of libc goes through a table of the loader's (contract 7.3).
    #[must_use]
    pub const fn has_dlfcn_hook(&self) -> bool {
        self.rtld_global_ro.dlfcn_hook.is_some()
    }
}

/// A bit-field, numbered from the least significant bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bits {
    /// Offset of the byte that holds all of it.
    pub byte: u16,
    /// Its lowest bit in that byte.
    pub bit: u8,
    /// Its width in bits.
    pub width: u8,
}

impl Bits {
    /// Its bits within the byte.
    #[must_use]
    pub const fn mask(self) -> u8 {
        (((1_u16 << self.width) - 1) << self.bit) as u8
    }

    /// The field's value, taken from its byte.
    #[must_use]
    pub const fn get(self, byte: u8) -> u8 {
        (byte & self.mask()) >> self.bit
    }

    /// The byte with the field set to `value`, whose higher bits are dropped.
    #[must_use]
    pub const fn set(self, byte: u8, value: u8) -> u8 {
        byte & !self.mask() | value << self.bit & self.mask()
    }
}

/// `struct r_scope_elem`, the same in all releases: an array of link maps and its length.
#[derive(Debug)]
pub struct ScopeElem;

impl ScopeElem {
    /// Offset of r_list, a pointer to pointers to link maps.
    pub const LIST: usize = 0;
    /// Offset of r_nlist, u32.
    pub const COUNT: usize = 8;
    /// Size of the structure.
    pub const SIZE: usize = 16;
}

/// Which library defines the functions that raise and catch the loader's errors (contract 7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorsIn {
    /// libc.so.6, up to 2.36: the loader must raise through them.
    Libc,
    /// The loader, from 2.37 on.
    Loader,
}

/// Where the kernel's area of restartable sequences is (contract 2.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RseqPlace {
    /// Nowhere: up to 2.34 libc knows nothing of it.
    Absent,
    /// In `struct pthread`, at [`Pthread::rseq_area`].
    Pthread,
    /// Below the static TLS of all modules, from 2.41 on.
    ExtraTls,
}

/// The order of the bits in [`CpuFeatures::preferred`] (contract 6.2), named for the release that brought it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(non_camel_case_types, reason = "releases have dots, identifiers have not")]
pub enum PreferredBits {
    /// 2.28 to the 2.33 tag.
    V2_28,
    /// 2.34, and the 2.33 branch.
    V2_34,
    /// 2.35 to 2.37.
    V2_35,
    /// 2.38 and later, which only add bits at the end; the ends of the 2.33 and 2.34 branches have its beginning.
    V2_38,
}

/// `struct rtld_global`, which `_rtld_global` is: offsets in it (contract 4, 5).
#[derive(Debug)]
pub struct RtldGlobal {
    /// Size of the structure.
    pub size: u16,
    /// GL(ns)\[0\]: the namespaces, see [`Namespace`] (contract 4).
    pub ns: u16,
    /// Distance between two namespaces.
    pub ns_stride: u16,
    /// Number of namespaces there is room for (DL_NNS).
    pub ns_count: u16,
    /// GL(nns), 8 bytes: namespaces in use, 1 (contract 4).
    pub nns: u16,
    /// GL(load_lock), a recursive `pthread_mutex_t` (contract 5.1).
    pub load_lock: u16,
    /// GL(load_write_lock), a recursive `pthread_mutex_t` (contract 5.1).
    pub load_write_lock: u16,
    /// GL(load_tls_lock), a recursive `pthread_mutex_t`; from the 2.34 branch on (contract 5.1).
    pub load_tls_lock: Option<u16>,
    /// GL(load_adds), u64: objects ever loaded; dlpi_adds (contract 4).
    pub load_adds: u16,
    /// GL(initfirst): the object with DF_1_INITFIRST, or NULL.
    pub initfirst: u16,
    /// GL(profile_map): NULL keeps libc from calling GLRO(mcount) (contract 5.1).
    pub profile_map: u16,
    /// GL(num_relocations), for statistics only.
    pub num_relocations: u16,
    /// GL(num_cache_relocations), for statistics only.
    pub num_cache_relocations: u16,
    /// GL(all_dirs): a list that `__libc_freeres` walks up to 2.36; NULL (contract 5.1, 8.4).
    pub all_dirs: u16,
    /// GL(rtld_map): room for the loader's own link map; outside from 2.41 on (contract 4).
    pub rtld_map: Option<u16>,
    /// GL(rtld_lock_recursive), function; up to 2.33 (contract 5.2).
    pub rtld_lock_recursive: Option<u16>,
    /// GL(rtld_unlock_recursive), function; up to 2.33 (contract 5.2).
    pub rtld_unlock_recursive: Option<u16>,
    /// GL(make_stack_executable_hook), function; up to 2.33 (contract 5.2).
    pub make_stack_executable_hook: Option<u16>,
    /// GL(x86_feature_1), u32: CET, 0 (contract 5.1).
    pub x86_feature_1: u16,
    /// GL(x86_feature_control), u32: CET, 0 (contract 5.1).
    pub x86_feature_control: Option<u16>,
    /// GL(stack_flags), u32: PF_* of PT_GNU_STACK; up to 2.42 (contract 5.1).
    pub stack_flags: Option<u16>,
    /// GL(stack_prot_flags), u32: PROT_* of thread stacks, never 0; from 2.43 on (contract 5.1).
    pub stack_prot_flags: Option<u16>,
    /// GL(tls_dtv_gaps), u8: whether module ids have holes.
    pub tls_dtv_gaps: u16,
    /// GL(tls_max_dtv_idx), u64: highest module id (contract 2.4).
    pub tls_max_dtv_idx: u16,
    /// GL(tls_dtv_slotinfo_list): module id to link map and generation (contract 2.4).
    pub tls_dtv_slotinfo_list: u16,
    /// GL(tls_static_nelem), u64: modules with TLS at start (contract 2.4).
    pub tls_static_nelem: u16,
    /// GL(tls_static_used), u64: bytes below the thread pointer in use (contract 2.3).
    pub tls_static_used: u16,
    /// GL(tls_static_size), u64; up to 2.33, later in [`RtldGlobalRo`] (contract 2.3).
    pub tls_static_size: Option<u16>,
    /// GL(tls_static_align), u64; up to 2.33, later in [`RtldGlobalRo`] (contract 2.3).
    pub tls_static_align: Option<u16>,
    /// GL(tls_static_optional), u64: 512 (contract 2.3).
    pub tls_static_optional: Option<u16>,
    /// GL(initial_dtv): the main thread's DTV, which nobody may free (contract 2.4).
    pub initial_dtv: u16,
    /// GL(tls_generation), u64: 1 when there is TLS at start (contract 2.4).
    pub tls_generation: u16,
    /// GL(init_static_tls), function; up to 2.33 (contract 5.2).
    pub init_static_tls: Option<u16>,
    /// GL(wait_lookup_done), function; up to 2.32 (contract 5.2).
    pub wait_lookup_done: Option<u16>,
    /// GL(scope_free_list): NULL (contract 5.1, 8.4).
    pub scope_free_list: u16,
    /// GL(stack_used), `list_t`: threads on libc's stacks; from 2.33 on (contract 5.1).
    pub stack_used: Option<u16>,
    /// GL(stack_user), `list_t`: threads on others' stacks, the main thread first; from 2.33 on (contract 5.1).
    pub stack_user: Option<u16>,
    /// GL(stack_cache), `list_t`: stacks kept for reuse (contract 5.1).
    pub stack_cache: Option<u16>,
    /// GL(stack_cache_actsize), u64: 0 (contract 5.1).
    pub stack_cache_actsize: Option<u16>,
    /// GL(in_flight_stack), u64: 0 (contract 5.1).
    pub in_flight_stack: Option<u16>,
    /// GL(stack_cache_lock), u32: low-level lock, 0 free (contract 5.1).
    pub stack_cache_lock: Option<u16>,
}

/// `struct link_namespaces`: offsets in one element of GL(ns) (contract 4).
#[derive(Debug)]
pub struct Namespace {
    /// _ns_loaded: the first link map, which must be the executable (contract 3.4).
    pub loaded: u16,
    /// _ns_nloaded, u32: number of link maps (contract 4).
    pub nloaded: u16,
    /// _ns_main_searchlist: the global scope, `l_searchlist` of the executable.
    pub main_searchlist: u16,
    /// _ns_global_scope_alloc, u32: 0.
    pub global_scope_alloc: u16,
    /// _ns_global_scope_pending_adds, u32: 0.
    pub global_scope_pending_adds: Option<u16>,
    /// libc_map: the link map of libc.so.6; from 2.32 on (contract 3.1).
    pub libc_map: Option<u16>,
    /// _ns_unique_sym_table: STB_GNU_UNIQUE symbols, with a recursive mutex at +0.
    pub unique_sym_table: u16,
    /// _ns_debug: `struct r_debug` of this namespace; outside from 2.41 on.
    pub debug: Option<u16>,
}

/// `struct rtld_global_ro`, which `_rtld_global_ro` is: offsets in it (contract 6, 7).
#[derive(Debug)]
pub struct RtldGlobalRo {
    /// Size of the structure.
    pub size: u16,
    /// GLRO(debug_mask), u32: 0 keeps libc from calling GLRO(debug_printf) (contract 6.1).
    pub debug_mask: u16,
    /// GLRO(osversion), u32; up to 2.35.
    pub osversion: Option<u16>,
    /// GLRO(platform): C string of AT_PLATFORM or better (contract 6.1).
    pub platform: u16,
    /// GLRO(platformlen), u64.
    pub platformlen: u16,
    /// GLRO(pagesize), u64: AT_PAGESZ, never 0 (contract 6.1).
    pub pagesize: u16,
    /// GLRO(minsigstacksize), u64: AT_MINSIGSTKSZ, never 0; from 2.34 on (contract 6.1).
    pub minsigstacksize: Option<u16>,
    /// GLRO(inhibit_cache), u32: 0.
    pub inhibit_cache: u16,
    /// GLRO(initial_searchlist), [`ScopeElem`]: the global scope at start (contract 6.1).
    pub initial_searchlist: u16,
    /// GLRO(clktck), u32: AT_CLKTCK (contract 6.1).
    pub clktck: u16,
    /// GLRO(verbose), u32: 0.
    pub verbose: u16,
    /// GLRO(debug_fd), u32: 2.
    pub debug_fd: u16,
    /// GLRO(lazy), u32: 1 when binding lazily.
    pub lazy: u16,
    /// GLRO(bind_not), u32: LD_BIND_NOT.
    pub bind_not: u16,
    /// GLRO(dynamic_weak), u32: LD_DYNAMIC_WEAK.
    pub dynamic_weak: u16,
    /// GLRO(fpu_control), u16: 0x037f (contract 3.3).
    pub fpu_control: u16,
    /// GLRO(correct_cache_id), u32; up to 2.35.
    pub correct_cache_id: Option<u16>,
    /// GLRO(hwcap), u64: glibc's own bits, not AT_HWCAP (contract 6.1).
    pub hwcap: u16,
    /// GLRO(auxv): the kernel's auxiliary vector, never NULL (contract 6.1).
    pub auxv: u16,
    /// GLRO(x86_cpu_features): base of [`CpuFeatures`] (contract 6.2).
    pub x86_cpu_features: u16,
    /// GLRO(x86_hwcap_flags): hwcap names, private to the loader.
    pub x86_hwcap_flags: Option<u16>,
    /// GLRO(x86_platforms): platform names, private to the loader.
    pub x86_platforms: Option<u16>,
    /// GLRO(x86_tlsdesc_dynamic), function private to the loader.
    pub x86_tlsdesc_dynamic: Option<u16>,
    /// GLRO(x86_64_runtime_resolve), function private to the loader.
    pub x86_64_runtime_resolve: Option<u16>,
    /// GLRO(inhibit_rpath): NULL.
    pub inhibit_rpath: u16,
    /// GLRO(origin_path): LD_ORIGIN_PATH or NULL.
    pub origin_path: u16,
    /// GLRO(tls_static_size), u64: static TLS with the TCB; from 2.34 on (contract 2.3).
    pub tls_static_size: Option<u16>,
    /// GLRO(tls_static_align), u64: never 0; from 2.34 on (contract 2.3).
    pub tls_static_align: Option<u16>,
    /// GLRO(tls_static_surplus), u64: room for dlopened modules (contract 2.3).
    pub tls_static_surplus: Option<u16>,
    /// GLRO(profile): NULL.
    pub profile: u16,
    /// GLRO(profile_output): C string, "/var/tmp".
    pub profile_output: u16,
    /// GLRO(init_all_dirs): non-NULL tells libc that a loader is active (contract 6.1, 7.4).
    pub init_all_dirs: u16,
    /// GLRO(sysinfo_dso): the vDSO's ELF header.
    pub sysinfo_dso: u16,
    /// GLRO(sysinfo_map): the vDSO's link map; non-NULL needs lookup_symbol_x (contract 6.6).
    pub sysinfo_map: u16,
    /// GLRO(vdso_clock_gettime64), function or NULL; from 2.31 on (contract 6.6).
    pub vdso_clock_gettime64: Option<u16>,
    /// GLRO(vdso_gettimeofday), function or NULL; from 2.31 on (contract 6.6).
    pub vdso_gettimeofday: Option<u16>,
    /// GLRO(vdso_time), function or NULL; from 2.31 on (contract 6.6).
    pub vdso_time: Option<u16>,
    /// GLRO(vdso_getcpu), function or NULL; from 2.31 on (contract 6.6).
    pub vdso_getcpu: Option<u16>,
    /// GLRO(vdso_clock_getres_time64), function or NULL; from 2.31 on (contract 6.6).
    pub vdso_clock_getres_time64: Option<u16>,
    /// GLRO(vdso_getrandom), function or NULL; from 2.41 on (contract 6.6).
    pub vdso_getrandom: Option<u16>,
    /// GLRO(hwcap2), u64: AT_HWCAP2 (contract 6.1).
    pub hwcap2: u16,
    /// GLRO(hwcap3), u64: AT_HWCAP3 (contract 6.1).
    pub hwcap3: Option<u16>,
    /// GLRO(hwcap4), u64: AT_HWCAP4 (contract 6.1).
    pub hwcap4: Option<u16>,
    /// GLRO(dso_sort_algo), u32: private to the loader.
    pub dso_sort_algo: Option<u16>,
    /// GLRO(debug_printf), function (contract 7).
    pub debug_printf: u16,
    /// GLRO(mcount), function, never NULL (contract 7). Evidence: `_dl_mcount_wrapper`.
    pub mcount: u16,
    /// GLRO(lookup_symbol_x), function, never NULL (contract 7).
    pub lookup_symbol_x: u16,
    /// GLRO(open), function, never NULL (contract 7).
    pub open: u16,
    /// GLRO(close), function, never NULL (contract 7).
    pub close: u16,
    /// GLRO(catch_error), function, never NULL; from 2.34 on (contract 7.1).
    pub catch_error: Option<u16>,
    /// GLRO(error_free), function, never NULL; from 2.34 on (contract 7.1).
    pub error_free: Option<u16>,
    /// GLRO(tls_get_addr_soft), function, never NULL (contract 7).
    pub tls_get_addr_soft: u16,
    /// GLRO(libc_freeres), function, never NULL; from 2.35 on (contract 7).
    pub libc_freeres: Option<u16>,
    /// GLRO(find_object), function, never NULL; from 2.35 on (contract 7). Evidence: `_dl_find_object`.
    pub find_object: Option<u16>,
    /// GLRO(readonly_area), function, never NULL; from 2.42 on (contract 7).
    pub readonly_area: Option<u16>,
    /// GLRO(discover_osversion), function; up to 2.35.
    pub discover_osversion: Option<u16>,
    /// GLRO(dlfcn_hook): table of the dl* functions; from 2.34 on (contract 7.3).
    pub dlfcn_hook: Option<u16>,
    /// GLRO(audit): NULL, or a table of functions up to 2.34 (contract 3.6).
    pub audit: u16,
    /// GLRO(naudit), u32: 0, or 1 up to 2.34 (contract 3.6).
    pub naudit: u16,
}

/// `struct cpu_features`: offsets from [`RtldGlobalRo::x86_cpu_features`] (contract 6.2, 6.3).
#[derive(Debug)]
pub struct CpuFeatures {
    /// Size of the structure.
    pub size: u16,
    /// basic.kind, u32: vendor (contract 6.2).
    pub kind: u16,
    /// basic.max_cpuid, u32.
    pub max_cpuid: u16,
    /// basic.family, u32.
    pub family: u16,
    /// basic.model, u32.
    pub model: u16,
    /// basic.stepping, u32; from 2.29 on.
    pub stepping: Option<u16>,
    /// features\[0\]: four u32 as CPUID gives them at +0, the usable ones at +16; from 2.32 on (contract 6.2).
    pub features: Option<u16>,
    /// Distance between two leaves.
    pub features_stride: Option<u16>,
    /// Number of leaves.
    pub features_count: Option<u16>,
    /// cpuid\[0\]: raw leaves of four u32; up to 2.31 (contract 6.2).
    pub cpuid: Option<u16>,
    /// feature\[0\], u32: bitmap of what is usable; up to 2.31 (contract 6.2).
    pub usable: Option<u16>,
    /// preferred\[0\], u32, bits in the order of `preferred_bits`; feature\[1\] in 2.29 to 2.31 (contract 6.2).
    pub preferred: Option<u16>,
    /// The order of the bits in `preferred` (contract 6.2).
    pub preferred_bits: PreferredBits,
    /// isa_1, u32: GNU_PROPERTY_X86_ISA_1_* the machine has.
    pub isa_1: Option<u16>,
    /// xsave_state_size, u64: private to the loader (contract 6.2).
    pub xsave_state_size: u16,
    /// xsave_state_full_size, u32: private to the loader (contract 6.2).
    pub xsave_state_full_size: u16,
    /// data_cache_size, u64 (contract 6.3).
    pub data_cache_size: u16,
    /// shared_cache_size, u64 (contract 6.3).
    pub shared_cache_size: u16,
    /// non_temporal_threshold, u64: 0 crashes memcpy from 2.33 on (contract 6.3).
    pub non_temporal_threshold: u16,
    /// memset_non_temporal_threshold, u64; from the 2.39 branch on (contract 6.3).
    pub memset_non_temporal_threshold: Option<u16>,
    /// rep_movsb_threshold, u64 (contract 6.3).
    pub rep_movsb_threshold: Option<u16>,
    /// rep_movsb_stop_threshold, u64 (contract 6.3).
    pub rep_movsb_stop_threshold: Option<u16>,
    /// rep_stosb_threshold, u64 (contract 6.3).
    pub rep_stosb_threshold: Option<u16>,
    /// level1_icache_size, u64: for sysconf(3), from 2.33 on (contract 6.4).
    pub level1_icache_size: Option<u16>,
    /// level1_icache_linesize, u64: for sysconf(3), from 2.33 on (contract 6.4).
    pub level1_icache_linesize: Option<u16>,
    /// level1_dcache_size, u64: for sysconf(3), from 2.33 on (contract 6.4).
    pub level1_dcache_size: Option<u16>,
    /// level1_dcache_assoc, u64: for sysconf(3), from 2.33 on (contract 6.4).
    pub level1_dcache_assoc: Option<u16>,
    /// level1_dcache_linesize, u64: for sysconf(3), from 2.33 on (contract 6.4).
    pub level1_dcache_linesize: Option<u16>,
    /// level2_cache_size, u64: for sysconf(3), from 2.33 on (contract 6.4).
    pub level2_cache_size: Option<u16>,
    /// level2_cache_assoc, u64: for sysconf(3), from 2.33 on (contract 6.4).
    pub level2_cache_assoc: Option<u16>,
    /// level2_cache_linesize, u64: for sysconf(3), from 2.33 on (contract 6.4).
    pub level2_cache_linesize: Option<u16>,
    /// level3_cache_size, u64: for sysconf(3), from 2.33 on (contract 6.4).
    pub level3_cache_size: Option<u16>,
    /// level3_cache_assoc, u64: for sysconf(3), from 2.33 on (contract 6.4).
    pub level3_cache_assoc: Option<u16>,
    /// level3_cache_linesize, u64: for sysconf(3), from 2.33 on (contract 6.4).
    pub level3_cache_linesize: Option<u16>,
    /// level4_cache_size, u64: for sysconf(3), from 2.33 on (contract 6.4).
    pub level4_cache_size: Option<u16>,
    /// cachesize_non_temporal_divisor, u64: private to the loader (contract 6.3).
    pub cachesize_non_temporal_divisor: Option<u16>,
}

impl CpuFeatures {
    /// How many leaves there are from [`CpuFeatures::cpuid`] on: in 2.28 up to the family, later up to the bitmaps.
    #[must_use]
    pub const fn early_leaves(&self) -> u16 {
        match (self.cpuid, self.preferred, self.usable) {
            (Some(first), Some(_), Some(usable)) => (usable - first) / 16,
            (Some(first), None, _) => (self.family - first) / 16,
            _ => 0,
        }
    }
}

/// `struct link_map` with its private part: offsets in it (contract 4).
#[derive(Debug)]
pub struct LinkMap {
    /// Size of the structure.
    pub size: u16,
    /// l_addr, u64: the load bias.
    pub l_addr: u16,
    /// l_name: C string, never NULL; "" for the executable (contract 4).
    pub l_name: u16,
    /// l_ld: the dynamic section in memory.
    pub l_ld: u16,
    /// l_next: the next link map.
    pub l_next: u16,
    /// l_prev: the previous link map.
    pub l_prev: u16,
    /// l_real: the map itself, never NULL (contract 4).
    pub l_real: u16,
    /// l_ns, i64: its namespace (contract 4).
    pub l_ns: u16,
    /// l_libname: list of names, which `__libc_freeres` walks up to 2.36 (contract 8.4).
    pub l_libname: u16,
    /// l_info\[0\]: pointers to entries of the dynamic section, see [`LinkMap::l_info_slot`].
    pub l_info: u16,
    /// Number of slots of `l_info`.
    pub l_info_len: u16,
    /// DT_NUM as this release has it: where the processor slots begin (contract 4).
    pub dt_num: u16,
    /// Processor-specific slots (contract 4).
    pub dt_procnum: u16,
    /// l_phdr: the program headers in memory (contract 4).
    pub l_phdr: u16,
    /// l_entry, u64: the entry point.
    pub l_entry: u16,
    /// l_phnum, u16 (contract 4).
    pub l_phnum: u16,
    /// l_ldnum, u16: entries of the dynamic section.
    pub l_ldnum: u16,
    /// l_searchlist, [`ScopeElem`]: the object and its dependencies, breadth first.
    pub l_searchlist: u16,
    /// l_symbolic_searchlist, [`ScopeElem`]: the object alone, for DT_SYMBOLIC.
    pub l_symbolic_searchlist: u16,
    /// l_loader: the object that asked for it (contract 4).
    pub l_loader: u16,
    /// l_versions: array of `struct r_found_version` by version index.
    pub l_versions: u16,
    /// l_nversions, u32.
    pub l_nversions: u16,
    /// l_nbuckets, u32 (contract 4).
    pub l_nbuckets: u16,
    /// l_gnu_bitmask_idxbits, u32: words of the Bloom filter less one.
    pub l_gnu_bitmask_idxbits: u16,
    /// l_gnu_shift, u32.
    pub l_gnu_shift: u16,
    /// l_gnu_bitmask: the Bloom filter.
    pub l_gnu_bitmask: u16,
    /// l_gnu_buckets, or l_chain of a DT_HASH table (contract 4).
    pub l_gnu_buckets: u16,
    /// l_gnu_chain_zero, or l_buckets of a DT_HASH table (contract 4).
    pub l_gnu_chain_zero: u16,
    /// l_direct_opencount, u32: dlopen less dlclose.
    pub l_direct_opencount: u16,
    /// l_type: 0 executable, 1 library, 2 loaded later (contract 4).
    pub l_type: Bits,
    /// l_dt_relr_ref: whether it needs GLIBC_ABI_DT_RELR.
    pub l_dt_relr_ref: Option<Bits>,
    /// l_relocated.
    pub l_relocated: Bits,
    /// l_init_called.
    pub l_init_called: Bits,
    /// l_global: whether it is in the global scope.
    pub l_global: Bits,
    /// l_main_map: whether it is the executable.
    pub l_main_map: Option<Bits>,
    /// l_visited: the original's mark while sorting.
    pub l_visited: Option<Bits>,
    /// l_phdr_allocated: 0.
    pub l_phdr_allocated: Bits,
    /// l_soname_added: whether DT_SONAME is in `l_libname`.
    pub l_soname_added: Bits,
    /// l_faked: 0; 1 marks an entry without an object.
    pub l_faked: Bits,
    /// l_need_tls_init: whether static TLS awaits its image.
    pub l_need_tls_init: Bits,
    /// l_auditing: whether it is an auditor.
    pub l_auditing: Bits,
    /// l_removed: whether dlclose is taking it out.
    pub l_removed: Bits,
    /// l_contiguous: 1 when its segments leave no gap (contract 4).
    pub l_contiguous: Bits,
    /// l_free_initfini: 0 keeps `l_initfini` from libc's free (contract 8.4).
    pub l_free_initfini: Bits,
    /// l_ld_readonly: 1 makes libc add `l_addr` to what `l_info` leads to (contract 8.3).
    pub l_ld_readonly: Option<Bits>,
    /// l_find_object_processed.
    pub l_find_object_processed: Option<Bits>,
    /// l_nodelete_active, u8: never to be unloaded.
    pub l_nodelete_active: Option<u16>,
    /// l_nodelete_pending, u8.
    pub l_nodelete_pending: Option<u16>,
    /// l_property: 2 once PT_GNU_PROPERTY was looked at.
    pub l_property: Option<Bits>,
    /// l_x86_feature_1_and, u32: GNU_PROPERTY_X86_FEATURE_1_AND.
    pub l_x86_feature_1_and: Option<u16>,
    /// l_x86_isa_1_needed, u32: GNU_PROPERTY_X86_ISA_1_NEEDED.
    pub l_x86_isa_1_needed: Option<u16>,
    /// l_1_needed, u32: GNU_PROPERTY_1_NEEDED.
    pub l_1_needed: Option<u16>,
    /// l_rpath_dirs: pointer (-1: none) and an int.
    pub l_rpath_dirs: u16,
    /// l_reloc_result: for profiling, NULL.
    pub l_reloc_result: u16,
    /// l_versyms: DT_VERSYM in memory.
    pub l_versyms: u16,
    /// l_origin: C string, its directory (contract 4).
    pub l_origin: u16,
    /// l_map_start, u64: address of its first byte (contract 4).
    pub l_map_start: u16,
    /// l_map_end, u64: address after its last byte (contract 4).
    pub l_map_end: u16,
    /// l_text_end, u64: address after its code; only in some builds up to 2.38 (contract 4).
    pub l_text_end: Option<u16>,
    /// l_scope_mem: room for four pointers of `l_scope`.
    pub l_scope_mem: u16,
    /// l_scope_max, u64: pointers that `l_scope` has room for.
    pub l_scope_max: u16,
    /// l_scope: NULL-ended array of pointers to [`ScopeElem`] (contract 4).
    pub l_scope: u16,
    /// l_local_scope: two pointers, its own scope and NULL (contract 4). Evidence: the resolver of `gettimeofday`.
    pub l_local_scope: u16,
    /// l_file_id: device and inode, u64 each.
    pub l_file_id: u16,
    /// l_runpath_dirs: pointer (-1: none) and an int.
    pub l_runpath_dirs: u16,
    /// l_initfini: NULL-ended array in initialisation order (contract 8.4).
    pub l_initfini: u16,
    /// l_reldeps: dependencies found while binding.
    pub l_reldeps: u16,
    /// l_reldepsmax, u32.
    pub l_reldepsmax: u16,
    /// l_used, u32: 1.
    pub l_used: u16,
    /// l_feature_1, u32: DT_FEATURE_1.
    pub l_feature_1: u16,
    /// l_flags_1, u32: DT_FLAGS_1.
    pub l_flags_1: u16,
    /// l_flags, u32: DT_FLAGS.
    pub l_flags: u16,
    /// l_idx, i32: the original's scratch while closing.
    pub l_idx: u16,
    /// l_tls_initimage: PT_TLS in memory.
    pub l_tls_initimage: u16,
    /// l_tls_initimage_size, u64: p_filesz of PT_TLS.
    pub l_tls_initimage_size: u16,
    /// l_tls_blocksize, u64: p_memsz of PT_TLS.
    pub l_tls_blocksize: u16,
    /// l_tls_align, u64: p_align of PT_TLS.
    pub l_tls_align: u16,
    /// l_tls_firstbyte_offset, u64: p_vaddr of PT_TLS modulo its alignment.
    pub l_tls_firstbyte_offset: u16,
    /// l_tls_offset, i64: distance below the thread pointer, 0 none, -1 dynamic (contract 2.3).
    pub l_tls_offset: u16,
    /// l_tls_modid, u64: 0 without TLS (contract 4).
    pub l_tls_modid: u16,
    /// l_tls_dtor_count, u64: thread-local destructors that hold it (contract 4).
    pub l_tls_dtor_count: u16,
    /// l_relro_addr, u64: p_vaddr of PT_GNU_RELRO.
    pub l_relro_addr: u16,
    /// l_relro_size, u64.
    pub l_relro_size: u16,
    /// l_serial, u64: number of its loading.
    pub l_serial: u16,
}

/// `struct pthread`, which begins at the thread pointer: offsets in it (contract 2.2).
///
/// The header (tcb, dtv, self, guards) is the same in all releases and is not here.
#[derive(Debug)]
pub struct Pthread {
    /// Size of the structure, which is the TCB (contract 2.2).
    pub size: u16,
    /// list, `list_t`: its place in GL(stack_used) or GL(stack_user).
    pub list: u16,
    /// tid, u32: never 0 (contract 2.2).
    pub tid: u16,
    /// robust_prev: address of `robust_head` (contract 2.2).
    pub robust_prev: u16,
    /// robust_head, the kernel's `struct robust_list_head`: list, futex_offset, list_op_pending, 8 bytes each
    /// (contract 2.2).
    pub robust_head: u16,
    /// cleanup: handlers of a thread that is cancelled.
    pub cleanup: u16,
    /// cleanup_jmp_buf: set by `__libc_start_main`.
    pub cleanup_jmp_buf: u16,
    /// cancelhandling, i32: the state of cancellation, a bit each.
    pub cancelhandling: u16,
    /// specific_1stblock: first block of thread-specific data (contract 2.2).
    pub specific_1stblock: u16,
    /// specific\[0\]: address of `specific_1stblock` (contract 2.2).
    pub specific: u16,
    /// specific_used, u8: whether there is thread-specific data.
    pub specific_used: u16,
    /// report_events, u8: `__nptl_initial_report_events` (contract 2.2).
    pub report_events: u16,
    /// user_stack, u8: 1 for the main thread; up to 2.41 (contract 2.2).
    pub user_stack: Option<u16>,
    /// stack_mode, u32: 2 for the main thread; from 2.42 on (contract 2.2).
    pub stack_mode: Option<u16>,
    /// lock, i32: a low-level lock over stack and scheduling parameters.
    pub lock: u16,
    /// joinstate, u32: 2 for the main thread, cleared by the kernel instead of `tid`; from 2.43 on (contract 2.2).
    pub joinstate: Option<u16>,
    /// result: what pthread_exit(3) leaves for who joins.
    pub result: u16,
    /// stackblock: 0 for the main thread.
    pub stackblock: u16,
    /// stackblock_size, u64: `__libc_stack_end` for the main thread (contract 2.2).
    pub stackblock_size: u16,
    /// rtld_catch: the original's catch frame; from 2.37 on (contract 7.1).
    pub rtld_catch: Option<u16>,
    /// tls_state: texts of strsignal(3) and strerror(3) for numbers that nobody knows; from 2.32 on.
    pub tls_state: Option<u16>,
    /// getrandom_buf: the state of the vDSO's getrandom(2); from 2.41 on.
    pub getrandom_buf: Option<u16>,
    /// rseq_area: 32 bytes; 2.35 to 2.40 (contract 2.5).
    pub rseq_area: Option<u16>,
}

/// `struct r_debug` (contract 3.7).
#[derive(Debug)]
pub struct RDebug {
    /// Size of `struct r_debug` (contract 3.7).
    pub size: u16,
}

/// What the two sides do for each other, where releases differ.
#[derive(Debug)]
pub struct Contract {
    /// Who defines `_dl_catch_exception`, `_dl_signal_error` and theirs (contract 7.1).
    pub errors_in: ErrorsIn,
    /// Whether libc.so.6 wants its `__libc_early_init` called; from 2.32 on (contract 3.1).
    pub early_init: bool,
    /// Whether the loader sets up the main thread's `struct pthread`; from 2.34 on (contract 2.2).
    pub tls_init_tp: bool,
    /// Whether the locks are taken with `pthread_mutex_lock` of libc.so.6; from 2.34 on (contract 5.1).
    pub mutex_from_libc: bool,
    /// Whether `cancelhandling` alone has the state of cancellation. Builds of 2.34 and 2.35 differ in that, and no
    /// evidence tells which is which.
    pub cancel_bits: bool,
    /// Whether the resolvers of `gettimeofday` and `time` use GLRO(sysinfo_map) and GLRO(lookup_symbol_x); up to 2.40
    /// (contract 6.6).
    pub vdso_by_lookup: bool,
    /// Where the area of restartable sequences is (contract 2.5).
    pub rseq_place: RseqPlace,
    /// What `__rseq_size` says once registered; none: what the kernel says (contract 2.5).
    pub rseq_size: Option<u16>,
    /// Name of the list of tunable ids (contract 9.2).
    pub tunables: Inline<15>,
    /// Name of the list that the older builds have; none where all have the same.
    pub tunables_before: Option<Inline<15>>,
}

// Slots after the processor-specific ones, by the tags' distance from the end of their range (gABI and GNU ranges).
const DT_LOPROC: u64 = 0x7000_0000;
const DT_VERSYM_RANGE: (u64, u64) = (0x6fff_ffff, 16);
const DT_EXTRA: u64 = 3;
const DT_VALRNGHI: (u64, u64) = (0x6fff_fdff, 12);
const DT_ADDRRNGHI: (u64, u64) = (0x6fff_feff, 11);

impl LinkMap {
    /// The offset of the slot of `l_info` for a dynamic tag; `None` if this layout has none (contract 4).
    #[must_use]
    pub fn l_info_slot(&self, tag: u64) -> Option<u16> {
        let (num, procs) = (u64::from(self.dt_num), u64::from(self.dt_procnum));
        let down = |(top, count): (u64, u64)| top.checked_sub(tag).filter(|slot| *slot < count);
        let versions = num + procs;
        let values = versions + DT_VERSYM_RANGE.1 + DT_EXTRA;
        let index = if tag < num {
            tag
        } else if let Some(slot) = tag.checked_sub(DT_LOPROC).filter(|slot| *slot < procs) {
            num + slot
        } else if let Some(slot) = down(DT_VERSYM_RANGE) {
            versions + slot
        } else if let Some(slot) = down(DT_VALRNGHI) {
            values + slot
        } else {
            values + DT_VALRNGHI.1 + down(DT_ADDRRNGHI)?
        };
        let index = u16::try_from(index).ok().filter(|index| *index < self.l_info_len)?;
        self.l_info.checked_add(index.checked_mul(8)?)
    }
}

include!(concat!(env!("OUT_DIR"), "/layouts_generated.rs"));

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use alloc::{format, string::String, vec::Vec};

    /// The bytes a fact covers: (bit from the start, bits, name).
    type Extent = (u32, u32, &'static str);

    fn number(text: &str) -> Option<u32> {
        text.parse().ok()
    }

    fn value(name: &str, column: usize) -> &'static str {
        FACTS.iter().find(|fact| fact.name == name).unwrap().values[column]
    }

    /// All fields of one structure that have a place and a width.
    fn extents(group: &str, column: usize) -> Vec<Extent> {
        let mut extents = Vec::new();
        for fact in &FACTS {
            let text = fact.values[column];
            let Some((of, _)) = fact.name.split_once('.').filter(|_| text != "-") else {
                continue;
            };
            if of != group {
                continue;
            }
            if let Some((byte, bits)) = text.split_once('.') {
                let (bit, width) = bits.split_once(':').unwrap();
                let (byte, bit) = (number(byte).unwrap(), number(bit).unwrap());
                extents.push((byte * 8 + bit, number(width).unwrap(), fact.name));
            } else if let Some(bytes) = fact.bytes {
                extents.push((number(text).unwrap() * 8, u32::from(bytes) * 8, fact.name));
            }
        }
        let mut extra = |name: &'static str, bytes: u32| {
            let at = number(value(name, column)).unwrap();
            extents.push((at * 8, bytes * 8, name));
        };
        match group {
            "rtld_global" => {
                let layout = &LAYOUTS[column];
                let global = &layout.rtld_global;
                extra("rtld_global.ns", u32::from(global.ns_stride) * u32::from(global.ns_count));
                if global.rtld_map.is_some() {
                    extra("rtld_global.rtld_map", layout.link_map.size.into());
                }
            }
            "rtld_global_ro" => {
                extra("rtld_global_ro.x86_cpu_features", LAYOUTS[column].cpu.size.into());
            }
            "link_map" => {
                let slots = u32::from(LAYOUTS[column].link_map.l_info_len);
                extra("link_map.l_info", slots * 8);
            }
            "cpu" => {
                let cpu = &LAYOUTS[column].cpu;
                if let (Some(stride), Some(count)) = (cpu.features_stride, cpu.features_count) {
                    extra("cpu.features", u32::from(stride) * u32::from(count));
                }
            }
            _ => {}
        }
        extents.sort_unstable();
        extents
    }

    #[test]
    fn fields_lie_inside_their_structure_and_apart() {
        for (column, layout) in LAYOUTS.iter().enumerate() {
            let groups = [
                ("rtld_global", layout.rtld_global.size),
                ("ns", layout.rtld_global.ns_stride),
                ("rtld_global_ro", layout.rtld_global_ro.size),
                ("cpu", layout.cpu.size),
                ("link_map", layout.link_map.size),
                ("pthread", layout.pthread.size),
            ];
            for (group, size) in groups {
                let extents = extents(group, column);
                assert!(extents.len() > 5, "{}: {group} has no fields", layout.label);
                for &(at, bits, name) in &extents {
                    let end = at + bits;
                    assert!(end <= u32::from(size) * 8, "{}: {name} ends outside", layout.label);
                    let scalar = bits % 8 == 0 && bits.is_power_of_two() && bits <= 128;
                    let natural = if scalar { bits.min(64) } else { 1 };
                    assert!(at % natural == 0, "{}: {name} is not aligned", layout.label);
                }
                for pair in extents.windows(2) {
                    let ((at, bits, first), (next, _, second)) = (pair[0], pair[1]);
                    assert!(at + bits <= next, "{}: {first} overlaps {second}", layout.label);
                }
            }
        }
    }

    #[test]
    fn columns_hang_together() {
        for layout in &LAYOUTS {
            let (label, map) = (layout.label, &layout.link_map);
            let (_, minor) = label.split('@').next().unwrap().split_once("2.").unwrap();
            assert_eq!(number(minor), Some(layout.minor.into()), "{label}");
            // DT_GNU_HASH has the last slot but those of DT_ADDRRNGHI down to it.
            assert_eq!(
                map.l_info_slot(0x6fff_fef5),
                Some(map.l_info + 8 * (map.l_info_len - 1)),
                "{label}"
            );
            assert_eq!(map.l_info_slot(5), Some(map.l_info + 40), "{label}");
            assert_eq!(layout.rtld_global.stack_flags.is_some(), layout.minor < 43, "{label}");
            assert_eq!(layout.has_dlfcn_hook(), layout.minor >= 34, "{label}");
            assert_eq!(
                layout.contract.rseq_place == RseqPlace::Pthread,
                layout.pthread.rseq_area.is_some()
            );
        }
    }

    #[test]
    fn tags_have_the_slots_of_get_dynamic_info() {
        let map = &LAYOUTS.iter().find(|layout| layout.minor == 36).unwrap().link_map;
        // Read from a process that the original loader had started: DT_VERSYM 38 + 15, DT_GNU_HASH 79.
        assert_eq!(map.l_info_slot(0x6fff_fff0), Some(64 + 8 * 53));
        assert_eq!(map.l_info_slot(0x6fff_fef5), Some(696));
        assert_eq!(map.l_info_slot(27), Some(280));
        assert_eq!(map.l_info_slot(38), None);
        assert_eq!(map.l_info_slot(0x7000_0000), None);
        assert_eq!(map.l_info_slot(0x6fff_fef4), None);
        assert_eq!(map.l_info_slot(u64::MAX), None);
    }

    #[test]
    fn exchange_numbers_follow_the_data() {
        let touched: Vec<String> = (0..LAYOUTS.len())
            .map(|column| {
                FACTS
                    .iter()
                    .filter(|fact| matches!(fact.by, "libc" | "debugger"))
                    .map(|fact| format!("{}={} ", fact.name, fact.values[column]))
                    .collect()
            })
            .collect();
        for (a, left) in LAYOUTS.iter().enumerate() {
            for (b, right) in LAYOUTS.iter().enumerate() {
                assert_eq!(
                    left.exchange == right.exchange,
                    touched[a] == touched[b],
                    "{} {}",
                    left.label,
                    right.label
                );
            }
        }
    }

    #[test]
    fn bit_fields_keep_their_neighbours() {
        let field = Bits { byte: 820, bit: 3, width: 2 };
        assert_eq!(field.mask(), 0b0001_1000);
        assert_eq!(field.set(0b1111_1111, 0b01), 0b1110_1111);
        assert_eq!(field.set(0, 0xff), 0b0001_1000);
        assert_eq!(field.get(0b1111_0111), 0b10);
        assert_eq!(Bits { byte: 0, bit: 0, width: 8 }.mask(), 0xff);
    }
}
