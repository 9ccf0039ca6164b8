//! `_rtld_global` (contract 4, 5.1): locks, thread lists, the namespace, thread-local storage.

use alloc::vec;

use super::fields::Fields;
use super::layout::Layout;
use super::link_maps::LinkMaps;
use crate::addr::{Addr, ObjectId};
use crate::tls;

/// `pthread_mutex_t.__kind` of a recursive mutex, and where it is.
const RECURSIVE: u32 = 1;
const MUTEX_KIND: u16 = 16;
/// Bytes of static TLS that optimisations may take (contract 2.3).
const STATIC_OPTIONAL: u64 = 512;
/// Module slots that the first slot list has beyond the modules of start-up (contract 2.4).
const SLOTINFO_SURPLUS: usize = 62;

/// What the projection needs to know.
pub struct Facts<'f> {
    /// The list of objects, the program first.
    pub visible: &'f [ObjectId],
    /// libc.so.6.
    pub libc: ObjectId,
    /// Thread-local storage.
    pub tls: &'f tls::Layout,
    /// Whether stacks are executable.
    pub executable_stack: bool,
    /// The main thread's block.
    pub pthread: &'f Fields,
    /// What GLRO(init_all_dirs) holds.
    pub all_dirs: Addr,
}

/// Fills `_rtld_global`.
pub fn write(layout: &Layout, global: &Fields, maps: &LinkMaps, facts: &Facts<'_>) {
    let at = &layout.rtld_global;
    let Facts { visible, libc, tls, executable_stack, pthread, all_dirs } = *facts;
    let address = |id: &ObjectId| maps.address(*id);
    let program = visible.first().map_or(0, address);

    let ns = |offset: u16| at.ns.checked_add(offset);
    let count = u32::try_from(visible.len()).unwrap_or(u32::MAX);
    global.set(ns(layout.ns.loaded), program);
    global.set(ns(layout.ns.nloaded), count);
    global.set(ns(layout.ns.main_searchlist), program + u64::from(layout.link_map.l_searchlist));
    global.set(layout.ns.libc_map.and_then(ns), maps.address(libc));
    global.set(ns(layout.ns.unique_sym_table + MUTEX_KIND), RECURSIVE);
    global.set(at.nns, 1u64);
    // `__libc_freeres` frees what stands before GLRO(init_all_dirs) in this list: nothing.
    global.set(at.all_dirs, all_dirs.0);
    global.set(at.load_adds, u64::from(count));

    for lock in [Some(at.load_lock), Some(at.load_write_lock), at.load_tls_lock] {
        global.set(lock.map(|lock| lock + MUTEX_KIND), RECURSIVE);
    }
    for list in [at.stack_used, at.stack_user, at.stack_cache].into_iter().flatten() {
        global.set(list, global.at(list));
        global.set(list + 8, global.at(list));
    }
    if let Some(list) = at.stack_user {
        let link = layout.pthread.list;
        global.set(list, pthread.at(link));
        global.set(list + 8, pthread.at(link));
        pthread.set(link, global.at(list));
        pthread.set(link + 8, global.at(list));
    }
    let executable = u32::from(executable_stack);
    // PF_R | PF_W, with PF_X = 1; and PROT_READ | PROT_WRITE, with PROT_EXEC = 4.
    global.set(at.stack_flags, 6 | executable);
    global.set(at.stack_prot_flags, 3 | executable << 2);

    let modules = tls.modules.len() as u64;
    global.set(at.tls_max_dtv_idx, modules);
    global.set(at.tls_static_nelem, modules);
    global.set(at.tls_static_used, tls.used);
    global.set(at.tls_static_optional, STATIC_OPTIONAL);
    global.set(at.tls_generation, u64::from(modules != 0));
    global.set(at.tls_dtv_slotinfo_list, slot_info(maps, tls));
}

/// `struct dtv_slotinfo_list` (contract 2.4): length, next, then generation and link map per module id.
fn slot_info(maps: &LinkMaps, tls: &tls::Layout) -> u64 {
    let slots = tls.modules.len() + 1 + SLOTINFO_SURPLUS;
    let list = vec![0u64; 2 + 2 * slots].leak();
    if let Some(length) = list.first_mut() {
        *length = slots as u64;
    }
    for module in &tls.modules {
        let map = usize::try_from(module.id).ok().and_then(|id| list.get_mut(3 + 2 * id));
        if let Some(map) = map {
            *map = maps.address(module.object);
        }
    }
    list.as_ptr() as u64
}

/// Enters the main thread's DTV, which is known later and which libc must never free.
pub fn set_initial_dtv(layout: &Layout, global: &Fields, dtv: Addr) {
    global.set(layout.rtld_global.initial_dtv, dtv.0);
}
