//! `_rtld_global_ro` (contract 6.1, 6.6, 7): what the loader knows about machine and process, and its functions.

use core::ffi::CStr;

use super::cpu::CpuFeatures;
use super::exports::Functions;
use super::fields::Fields;
use super::layout::{Layout, ScopeElem};
use crate::addr::Addr;
use crate::tls;
use crate::trace::{Topics, debug};

/// What the auxiliary vector and the settings say.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'f> {
    /// AT_PAGESZ.
    pub page_size: u64,
    /// AT_CLKTCK.
    pub clock_ticks: u64,
    /// AT_HWCAP2.
    pub hwcap2: u64,
    /// AT_HWCAP3.
    pub hwcap3: u64,
    /// AT_HWCAP4.
    pub hwcap4: u64,
    /// AT_PLATFORM.
    pub platform: Option<&'static CStr>,
    /// AT_MINSIGSTKSZ.
    pub min_signal_stack: Option<u64>,
    /// The auxiliary vector itself.
    pub auxv: Addr,
    /// LD_BIND_NOT.
    pub bind_not: bool,
    /// LD_DYNAMIC_WEAK.
    pub dynamic_weak: bool,
    /// LD_VERBOSE and its like are no business of libc's; 1 when functions are bound when first called.
    pub lazy: bool,
    /// Whether initialisers have the order of before 2.35.
    pub older_order: bool,
    /// The CPU.
    pub cpu: &'f CpuFeatures,
    /// Thread-local storage.
    pub tls: &'f tls::Layout,
    /// Bytes of static TLS for libraries that come later.
    pub surplus: u64,
    /// The global scope: an array of link maps, and its length.
    pub global_scope: (u64, u32),
    /// The vDSO's ELF header, link map and functions.
    pub vdso: Vdso,
}

// Entries of the auxiliary vector that the libc crate does not have (linux/auxvec.h).
const AT_HWCAP3: u64 = 29;
const AT_HWCAP4: u64 = 30;

impl<'f> Facts<'f> {
    /// What follows from the auxiliary vector, whose entries `aux` finds, and from what else is given; the rest is as
    /// where nobody has set anything.
    #[must_use]
    pub fn new(
        auxv: Addr,
        aux: impl Fn(u64) -> Option<u64>,
        cpu: &'f CpuFeatures,
        tls: &'f tls::Layout,
    ) -> Self {
        Self {
            page_size: aux(libc::AT_PAGESZ).unwrap_or(crate::addr::PAGE),
            clock_ticks: aux(libc::AT_CLKTCK).unwrap_or(100),
            hwcap2: aux(libc::AT_HWCAP2).unwrap_or_default(),
            hwcap3: aux(AT_HWCAP3).unwrap_or_default(),
            hwcap4: aux(AT_HWCAP4).unwrap_or_default(),
            platform: None,
            min_signal_stack: aux(libc::AT_MINSIGSTKSZ),
            auxv,
            bind_not: false,
            dynamic_weak: false,
            lazy: true,
            older_order: false,
            cpu,
            tls,
            surplus: tls.size - tls.used,
            global_scope: (0, 0),
            vdso: Vdso::default(),
        }
    }
}

/// The kernel's vDSO; zeros where there is none.
#[derive(Clone, Copy, Default, Debug)]
pub struct Vdso {
    /// AT_SYSINFO_EHDR.
    pub header: u64,
    /// Its link map.
    pub map: u64,
    /// `__vdso_clock_gettime`.
    pub clock_gettime: u64,
    /// `__vdso_gettimeofday`.
    pub gettimeofday: u64,
    /// `__vdso_time`.
    pub time: u64,
    /// `__vdso_getcpu`.
    pub getcpu: u64,
    /// `__vdso_clock_getres`.
    pub clock_getres: u64,
    /// `__vdso_getrandom`.
    pub getrandom: u64,
}

/// The x87 control word that libc's initialiser expects (contract 3.3).
const FPU_CONTROL: u16 = 0x037f;
const STDERR: u32 = 2;
/// `DL_DEBUG_IMPCALLS`.
const DEBUG_CALLS: u32 = 1 << 1;

/// Writes where the global scope is: an array of link maps, and its length.
pub fn set_global_scope(layout: &Layout, ro: &Fields, (list, count): (u64, u32)) {
    let at = layout.rtld_global_ro.initial_searchlist;
    ro.set(at + ScopeElem::LIST as u16, list);
    ro.set(at + ScopeElem::COUNT as u16, count);
}

/// Lets libc up to 2.34 tell auditors that the program starts: it finds one, who stands for all (contract 3.6).
pub fn set_audit(layout: &Layout, ro: &Fields, functions: &Functions) {
    if layout.minor < 35 {
        ro.set(layout.rtld_global_ro.audit, functions.audit.0);
        ro.set(layout.rtld_global_ro.naudit, 1_u32);
    }
}

/// GLRO(init_all_dirs): any pointer tells libc that it was started by a loader, and from 2.36 on nothing depends on it
/// but a check of FILEs. Up to 2.33, and in 2.34 and 2.35 without the change of April 2022, dl* functions go through a
/// table of the loader's only where it is null (contract 7.3, 7.4).
#[must_use]
pub fn all_dirs(layout: &Layout, ro: &Fields) -> Addr {
    Addr(if layout.minor >= 36 { ro.address() } else { 0 })
}

/// Fills `_rtld_global_ro`.
pub fn write(layout: &Layout, ro: &Fields, functions: &Functions, facts: &Facts<'_>) {
    let at = &layout.rtld_global_ro;
    super::cpu_projection::write(layout, ro, facts.cpu);

    if let Some(platform) = facts.cpu.platform.or(facts.platform) {
        ro.set(at.platform, platform.as_ptr() as u64);
        ro.set(at.platformlen, platform.count_bytes() as u64);
    }
    ro.set(at.pagesize, facts.page_size);
    ro.set(at.minsigstacksize, facts.cpu.minsigstacksize(facts.min_signal_stack));
    set_global_scope(layout, ro, facts.global_scope);
    ro.set(at.clktck, u32::try_from(facts.clock_ticks).unwrap_or(100));
    ro.set(at.debug_fd, STDERR);
    // libc shows when it calls the program's initialisers, and main.
    ro.set(at.debug_mask, if debug::shows(Topics::CALLS) { DEBUG_CALLS } else { 0 });
    ro.set(at.lazy, u32::from(facts.lazy));
    ro.set(at.bind_not, u32::from(facts.bind_not));
    ro.set(at.dynamic_weak, u32::from(facts.dynamic_weak));
    ro.set(at.fpu_control, FPU_CONTROL);
    ro.set(at.hwcap, facts.cpu.hwcap);
    ro.set(at.hwcap2, facts.hwcap2);
    ro.set(at.hwcap3, facts.hwcap3);
    ro.set(at.hwcap4, facts.hwcap4);
    ro.set(at.auxv, facts.auxv.0);
    // The depth-first sort is number 1 (contract: initial state; `glibc.rtld.dynamic_sort=2`).
    ro.set(at.dso_sort_algo, u32::from(!facts.older_order));
    ro.set(at.profile_output, c"/var/tmp".as_ptr() as u64);
    ro.set(at.init_all_dirs, all_dirs(layout, ro).0);

    let size = facts.tls.size + u64::from(layout.pthread.size);
    ro.set(at.tls_static_size, size);
    ro.set(at.tls_static_align, facts.tls.align);
    ro.set(at.tls_static_surplus, facts.surplus);

    let vdso = facts.vdso;
    ro.set(at.sysinfo_dso, vdso.header);
    ro.set(at.sysinfo_map, vdso.map);
    ro.set(at.vdso_clock_gettime64, vdso.clock_gettime);
    ro.set(at.vdso_gettimeofday, vdso.gettimeofday);
    ro.set(at.vdso_time, vdso.time);
    ro.set(at.vdso_getcpu, vdso.getcpu);
    ro.set(at.vdso_clock_getres_time64, vdso.clock_getres);
    ro.set(at.vdso_getrandom, vdso.getrandom);

    for (offset, function) in [
        (Some(at.debug_printf), functions.debug_printf),
        (Some(at.mcount), functions.mcount),
        (Some(at.lookup_symbol_x), functions.lookup_symbol),
        (Some(at.open), functions.open),
        (Some(at.close), functions.close),
        (at.catch_error, functions.catch_error),
        (at.error_free, functions.error_free),
        (Some(at.tls_get_addr_soft), functions.tls_get_addr_soft),
        (at.libc_freeres, functions.libc_freeres),
        (at.find_object, functions.find_object),
        (at.readonly_area, functions.readonly_area),
        (at.dlfcn_hook, functions.dlfcn_hook),
    ] {
        ro.set(offset, function.0);
    }
}
