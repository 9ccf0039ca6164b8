//! `_rtld_global` (contract 4, 5.1): locks, thread lists, the namespaces, thread-local storage.
//!
//! # Safety
//!
//! Lists of module slots are allocated here and leaked, so that their addresses stay good.
#![allow(unsafe_code)]

use alloc::vec;

use super::fields::Fields;
use super::layout::Layout;
use super::link_maps::LinkMaps;
use crate::addr::Addr;
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
    /// Whether stacks are executable.
    pub executable_stack: bool,
    /// The main thread's block; none for libraries whose threads it is not one of.
    pub pthread: Option<&'f Fields>,
    /// What GLRO(init_all_dirs) holds.
    pub all_dirs: Addr,
    /// GL(rtld_lock_recursive) and GL(rtld_unlock_recursive).
    pub count_lock: [Addr; 2],
}

/// Fills `_rtld_global`, but for what [`namespace`] and [`modules`] write.
pub fn write(layout: &Layout, global: &Fields, facts: &Facts<'_>) {
    let at = &layout.rtld_global;
    let Facts { executable_stack, pthread, all_dirs, count_lock: [lock, unlock] } = *facts;
    for space in 0..at.ns_count {
        let space = at.ns + space * at.ns_stride;
        global.set(space + layout.ns.unique_sym_table + MUTEX_KIND, RECURSIVE);
    }
    // `__libc_freeres` frees what stands before GLRO(init_all_dirs) in this list: nothing.
    global.set(at.all_dirs, all_dirs.0);

    for lock in [Some(at.load_lock), Some(at.load_write_lock), at.load_tls_lock] {
        global.set(lock.map(|lock| lock + MUTEX_KIND), RECURSIVE);
    }
    for list in [at.stack_used, at.stack_user, at.stack_cache].into_iter().flatten() {
        global.set(list, global.at(list));
        global.set(list + 8, global.at(list));
    }
    if let Some((list, pthread)) = at.stack_user.zip(pthread) {
        let link = layout.pthread.list;
        global.set(list, pthread.at(link));
        global.set(list + 8, pthread.at(link));
        pthread.set(link, global.at(list));
        pthread.set(link + 8, global.at(list));
    }
    global.set(at.rtld_lock_recursive, lock.0);
    global.set(at.rtld_unlock_recursive, unlock.0);
    set_stack_flags(layout, global, executable_stack);
    global.set(at.tls_static_optional, STATIC_OPTIONAL);
}

/// Says what the stacks of new threads may do.
pub fn set_stack_flags(layout: &Layout, global: &Fields, executable: bool) {
    let (at, executable) = (&layout.rtld_global, u32::from(executable));
    // PF_R | PF_W, with PF_X = 1; and PROT_READ | PROT_WRITE, with PROT_EXEC = 4.
    global.set(at.stack_flags, 6 | executable);
    global.set(at.stack_prot_flags, 3 | executable << 2);
}

/// Whether stacks are executable.
#[must_use]
pub fn has_executable_stacks(layout: &Layout, global: &Fields) -> bool {
    let at = &layout.rtld_global;
    let bit = |field: Option<u16>, bit: u32| {
        let flags = field.and_then(|at| global.get::<u32>(at)).unwrap_or_default();
        flags & bit != 0
    };
    bit(at.stack_flags, 1) || bit(at.stack_prot_flags, 4)
}

/// What is known about a namespace.
#[derive(Clone, Copy, Debug)]
pub struct Namespace {
    /// Its number.
    pub index: usize,
    /// Its first link map.
    pub first: u64,
    /// Its number of link maps.
    pub count: usize,
    /// The link map of its libc.so.6.
    pub libc: u64,
}

/// Writes what libc knows of a namespace; nothing for those beyond the room that glibc has.
pub fn namespace(layout: &Layout, global: &Fields, namespace: Namespace) {
    let at = &layout.rtld_global;
    let Some(index) = u16::try_from(namespace.index).ok().filter(|&index| index < at.ns_count)
    else {
        return;
    };
    let ns = |offset: u16| at.ns + index * at.ns_stride + offset;
    let Namespace { first, count, libc, .. } = namespace;
    let searchlist = if first == 0 { 0 } else { first + u64::from(layout.link_map.l_searchlist) };
    global.set(ns(layout.ns.loaded), first);
    global.set(ns(layout.ns.nloaded), u32::try_from(count).unwrap_or(u32::MAX));
    global.set(ns(layout.ns.main_searchlist), searchlist);
    global.set(layout.ns.libc_map.map(ns), libc);
}

/// Counts objects that have come since the start, and the namespaces there are.
pub fn counts(layout: &Layout, global: &Fields, added: u64, namespaces: usize) {
    let at = &layout.rtld_global;
    let adds: u64 = global.get(at.load_adds).unwrap_or_default();
    global.set(at.load_adds, adds + added);
    global.set(at.nns, (namespaces as u64).min(at.ns_count.into()));
}

/// Writes what libc and debuggers know of thread-local storage. `start` modules are those of start-up.
pub fn modules(layout: &Layout, global: &Fields, tls: &tls::Layout, generation: u64, highest: u64) {
    let at = &layout.rtld_global;
    global.set(at.tls_max_dtv_idx, highest);
    global.set(at.tls_dtv_gaps, u8::from(highest != tls.modules.len() as u64));
    global.set(at.tls_generation, generation);
}

/// Writes what does not change after the start.
pub fn start_modules(layout: &Layout, global: &Fields, maps: &LinkMaps, tls: &tls::Layout) {
    let at = &layout.rtld_global;
    let count = tls.modules.len() as u64;
    modules(layout, global, tls, u64::from(count != 0), count);
    global.set(at.tls_static_nelem, count);
    global.set(at.tls_static_used, tls.used);
    global.set(at.tls_static_size, tls.size + u64::from(layout.pthread.size));
    global.set(at.tls_static_align, tls.align);
    global.set(at.tls_dtv_slotinfo_list, slot_list(tls.modules.len() + 1 + SLOTINFO_SURPLUS, 0));
    for module in &tls.modules {
        set_slot(layout, global, module.id, 0, maps.address(module.object));
    }
}

/// `struct dtv_slotinfo_list` (contract 2.4): length, next, then generation and link map per module id.
fn slot_list(slots: usize, next: u64) -> u64 {
    let list = vec![0u64; 2 + 2 * slots].leak();
    if let [length, link, ..] = list {
        (*length, *link) = (slots as u64, next);
    }
    list.as_ptr() as u64
}

/// Enters the link map of a module, 0 for one that is gone. Lists are only ever appended to the last one.
pub fn set_slot(layout: &Layout, global: &Fields, id: u64, generation: u64, link_map: u64) {
    const HEADER: u64 = 16;
    let first: u64 = global.get(layout.rtld_global.tls_dtv_slotinfo_list).unwrap_or_default();
    let (mut list, mut start) = (first, 0);
    // SAFETY: the lists were made by `slot_list` and are never freed; nobody borrows them.
    unsafe {
        while list != 0 {
            let [length, next] = (list as *const [u64; 2]).read();
            if id - start < length {
                let slot = (list + HEADER + (id - start) * 16) as *mut u64;
                slot.add(1).write(link_map);
                slot.write(generation);
                return;
            }
            start += length;
            if next == 0 {
                let more = slot_list(SLOTINFO_SURPLUS, 0);
                ((list + 8) as *mut u64).write(more);
            }
            list = ((list + 8) as *const u64).read();
        }
    }
}

/// Enters the main thread's DTV, which is known later and which libc must never free.
pub fn set_initial_dtv(layout: &Layout, global: &Fields, dtv: Addr) {
    global.set(layout.rtld_global.initial_dtv, dtv.0);
}

#[cfg(test)]
mod tests {
    use super::super::exports::RTLD_GLOBAL_SIZE;
    use super::super::global_ro;
    use super::super::layout::LAYOUTS;
    use super::*;

    /// Contract 5.2, 7.4.
    #[test]
    fn up_to_2_33_functions_stand_here() {
        for layout in &LAYOUTS {
            let (label, at) = (&*layout.label, &layout.rtld_global);
            let is_old = layout.minor < 34;
            let [global, ro, pthread] = [RTLD_GLOBAL_SIZE, 1024, 4096].map(Fields::for_test);
            let all_dirs = global_ro::all_dirs(layout, &ro);
            assert_eq!(all_dirs.0 == 0, layout.minor < 36, "{label}");
            let count_lock = [Addr(0x1111), Addr(0x2222)];
            let pthread_of_start = Some(&pthread);
            let facts =
                Facts { executable_stack: false, pthread: pthread_of_start, all_dirs, count_lock };
            write(layout, &global, &facts);
            let word = |at: Option<u16>| at.and_then(|at| global.get::<u64>(at));
            assert_eq!(word(at.rtld_lock_recursive), is_old.then_some(0x1111), "{label}");
            assert_eq!(word(at.rtld_unlock_recursive), is_old.then_some(0x2222), "{label}");
            // libpthread.so.0 has not come.
            for hook in [at.init_static_tls, at.make_stack_executable_hook] {
                assert_eq!(word(hook), is_old.then_some(0), "{label}");
            }
            assert_eq!(word(at.wait_lookup_done), (layout.minor < 33).then_some(0), "{label}");
            // Threads have their list in libpthread.so.0, or here.
            assert_eq!(at.stack_user.is_some(), layout.minor >= 33, "{label}");
            let first = word(at.stack_user);
            assert_eq!(first, at.stack_user.map(|_| pthread.at(layout.pthread.list)), "{label}");
        }
    }
}
