//! Auditors (rtld-audit(7)): libraries that are told what the loader does, each in a namespace of its own.
//!
//! A process without any has an empty list, and that is all that others look at.
//!
//! # Safety
//!
//! The functions are those that an auditor exports under the interface's names. Cookies live in link maps, which stay
//! while their object is reported. No reader's mark is held while an auditor runs: it may open things itself.
#![allow(unsafe_code)]

pub mod bindings;
pub mod listed;
pub mod load;
pub mod plt;
pub mod start;
pub mod watch;

use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::{CStr, c_char, c_long, c_uint};
use core::sync::atomic::{AtomicPtr, Ordering};

use super::locks::while_reading;
use super::process::Process;
use super::world::World;
use crate::abi::glibc::layout::Layout;
use crate::abi::glibc::link_maps::LinkMaps;
use crate::addr::ObjectId;
use crate::linkmap::LinkMap;
use crate::trace;

/// The newest version of the interface that rld speaks (`LAV_CURRENT`).
pub const VERSION: c_uint = 2;

/// What is happening to the objects of a namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activity {
    /// `LA_ACT_CONSISTENT`: it has happened.
    Consistent = 0,
    /// `LA_ACT_ADD`.
    Add = 1,
    /// `LA_ACT_DELETE`.
    Delete = 2,
}

/// `Elf64_Sym`, with the address in the process as its value.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    /// The address.
    pub value: u64,
    size: u64,
}

/// `la_symbind64`.
type SymBind = unsafe extern "C" fn(
    *mut Symbol,
    c_uint,
    *mut u64,
    *mut u64,
    *mut c_uint,
    *const c_char,
) -> u64;
/// `la_x86_64_gnu_pltenter`.
type PltEnter = unsafe extern "C" fn(
    *mut Symbol,
    c_uint,
    *mut u64,
    *mut u64,
    *mut plt::Registers,
    *mut c_uint,
    *const c_char,
    *mut c_long,
) -> u64;
/// `la_x86_64_gnu_pltexit`.
type PltExit = unsafe extern "C" fn(
    *mut Symbol,
    c_uint,
    *mut u64,
    *mut u64,
    *const plt::Registers,
    *mut plt::Returned,
    *const c_char,
) -> c_uint;

/// `la_activity`.
type Active = unsafe extern "C" fn(*mut u64, c_uint);
/// `la_objclose`.
type ObjClose = unsafe extern "C" fn(*mut u64) -> c_uint;

/// What an auditor exports.
#[derive(Clone, Copy, Default)]
pub struct Functions {
    activity: Option<Active>,
    objsearch: Option<unsafe extern "C" fn(*const c_char, *mut u64, c_uint) -> *const c_char>,
    objopen: Option<unsafe extern "C" fn(u64, c_long, *mut u64) -> c_uint>,
    objclose: Option<ObjClose>,
    preinit: Option<unsafe extern "C" fn(*mut u64)>,
    symbind: Option<SymBind>,
    pltenter: Option<PltEnter>,
    pltexit: Option<PltExit>,
}

/// An auditor.
#[derive(Clone, Copy)]
pub struct Auditor {
    /// Its place among them.
    index: u16,
    /// Its namespace.
    space: usize,
    functions: Functions,
}

/// The auditors of a process: a list that only grows.
#[derive(Default)]
pub struct Auditors {
    list: AtomicPtr<Vec<Auditor>>,
}

impl Auditors {
    /// All of them, in the order of loading.
    #[inline]
    #[must_use]
    pub fn all(&self) -> &'static [Auditor] {
        // SAFETY: null, or a list that was leaked here.
        unsafe { self.list.load(Ordering::Acquire).as_ref() }.map_or(&[], |list| list)
    }

    /// Lets one more take part. The caller holds the loader's lock.
    pub fn add(&self, space: usize, functions: Functions) {
        let mut list = self.all().to_vec();
        let index = u16::try_from(list.len()).unwrap_or(u16::MAX);
        list.push(Auditor { index, space, functions });
        self.list.store(Box::into_raw(Box::new(list)), Ordering::Release);
    }

    /// Those who watch a namespace: nobody, if it is an auditor's.
    #[inline]
    #[must_use]
    pub fn of(&self, space: usize) -> &'static [Auditor] {
        match self.all() {
            all if all.iter().any(|auditor| auditor.space == space) => &[],
            all => all,
        }
    }

    /// Whether a namespace is an auditor's.
    #[must_use]
    pub fn own(&self, space: usize) -> bool {
        self.all().iter().any(|auditor| auditor.space == space)
    }
}

/// A function of each of some auditors, with its cookie of an object.
fn calls<T>(
    watching: &[Auditor],
    layout: &Layout,
    maps: &LinkMaps,
    id: ObjectId,
    pick: impl Fn(&Functions) -> Option<T>,
) -> Vec<(T, *mut u64)> {
    let one = |auditor: &Auditor| {
        let cookie = maps.cookie(layout, id, auditor.index);
        Some((pick(&auditor.functions).filter(|_| !cookie.is_null())?, cookie))
    };
    watching.iter().filter_map(one).collect()
}

/// Tells of what is happening to a namespace, whose first object is `head`.
fn activity(
    watching: &[Auditor],
    layout: &Layout,
    maps: &LinkMaps,
    head: Option<ObjectId>,
    what: Activity,
) {
    if let Some(head) = head {
        call_active(calls(watching, layout, maps, head, |it| it.activity), what);
    }
}

fn call_active(calls: Vec<(Active, *mut u64)>, what: Activity) {
    for (function, cookie) in calls {
        trace::flush();
        // SAFETY: as this file's head says.
        unsafe { function(cookie, what as c_uint) };
    }
}

/// The same for a namespace of a world that stays meanwhile.
pub fn activity_in(process: &Process, world: &World, space: usize, what: Activity) {
    let watching = process.auditors.of(space);
    if let (false, Some(layout)) = (watching.is_empty(), process.layout()) {
        let head = world.visible_in(space).first().copied();
        activity(watching, layout, &world.link_maps, head, what);
    }
}

/// The same at the end, while other threads may change the world.
pub fn activity_at_exit(process: &Process, space: usize, what: Activity) {
    let watching = process.auditors.of(space);
    let Some(layout) = process.layout().filter(|_| !watching.is_empty()) else { return };
    let calls = while_reading(|| {
        let world = process.world();
        let head = *world.visible_in(space).first()?;
        Some(calls(watching, layout, &world.link_maps, head, |it| it.activity))
    });
    call_active(calls.unwrap_or_default(), what);
}

/// Tells of an object that has come, and notes who wants to know what of it.
fn opened(watching: &[Auditor], layout: &Layout, maps: &LinkMaps, id: ObjectId, space: usize) {
    for auditor in watching {
        let cookie = maps.cookie(layout, id, auditor.index);
        if let (Some(function), false) = (auditor.functions.objopen, cookie.is_null()) {
            trace::flush();
            // SAFETY: as this file's head says.
            let flags = unsafe { function(maps.address(id), space as c_long, cookie) };
            maps.set_audit_flags(layout, id, auditor.index, flags);
        }
    }
}

/// Tells of an object that is going, or is finalised at the end.
pub fn closed(process: &Process, id: ObjectId) {
    if !process.auditors.all().is_empty() {
        call_closed(while_reading(|| {
            let world = process.world();
            world.life(id).map_or_else(Vec::new, |life| closers(process, world, life.space, id))
        }));
    }
}

fn closers(
    process: &Process,
    world: &World,
    space: usize,
    id: ObjectId,
) -> Vec<(ObjClose, *mut u64)> {
    let Some(layout) = process.layout() else { return Vec::new() };
    calls(process.auditors.of(space), layout, &world.link_maps, id, |it| it.objclose)
}

fn call_closed(calls: Vec<(ObjClose, *mut u64)>) {
    for (function, cookie) in calls {
        trace::flush();
        // SAFETY: as this file's head says.
        unsafe { function(cookie) };
    }
}

/// Tells that the program is about to start.
pub fn preinit(process: &Process) {
    let (Some(layout), auditors) = (process.layout(), process.auditors.all()) else { return };
    let calls = while_reading(|| {
        let World { map, link_maps, .. } = process.world();
        calls(auditors, layout, link_maps, map.program(), |it| it.preinit)
    });
    for (function, cookie) in calls {
        trace::flush();
        // SAFETY: as this file's head says.
        unsafe { function(cookie) };
    }
}

/// Lets auditors change a name that is looked for on behalf of an object, for the reason `code` (`LA_SER_*`); `None`
/// where one says that it must not be found.
fn searched(
    watching: &[Auditor],
    layout: &Layout,
    maps: &LinkMaps,
    name: &CStr,
    requester: ObjectId,
    code: c_uint,
) -> Option<CString> {
    let mut current = CString::from(name);
    for auditor in watching {
        let cookie = maps.cookie(layout, requester, auditor.index);
        if let (Some(function), false) = (auditor.functions.objsearch, cookie.is_null()) {
            trace::flush();
            // SAFETY: as this file's head says. The answer is a string that stays until the next call.
            unsafe {
                let answer = function(current.as_ptr(), cookie, code);
                if answer.is_null() {
                    return None;
                }
                if answer != current.as_ptr() {
                    current = CString::from(CStr::from_ptr(answer));
                }
            }
        }
    }
    Some(current)
}

/// Tells of what came in vain, and that it has gone again: an opening that has failed.
pub fn undone(process: &Process, world: &World, space: usize, came: &[ObjectId]) {
    if came.is_empty() || process.auditors.of(space).is_empty() {
        return;
    }
    let order = super::close::in_order(world, came, None);
    order.iter().for_each(|&(id, _)| call_closed(closers(process, world, space, id)));
    activity_in(process, world, space, Activity::Delete);
    let old = process.world();
    if space == LinkMap::BASE || old.map.spaces.get(space).is_some_and(|it| !it.members.is_empty())
    {
        activity_in(process, old, space, Activity::Consistent);
    }
}
