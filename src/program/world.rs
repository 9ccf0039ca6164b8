//! All that a dlopen or a dlclose changes, as one value: who is loaded, who sees whom, who holds whom.
//!
//! A world is not changed after it has become the process's. A change is made to a copy, which either becomes the next
//! world by one store or is dropped, with all that was mapped for it: a failure leaves nothing behind, a child of
//! fork(2) finds the state before or after a change, and lookups take no lock. What is counted (opens) or only ever set
//! (initialised) is atomic.
//!
//! # Safety
//!
//! Search runs borrow from objects for ever, as far as their types say; [`Kept`] keeps these objects and drops the run
//! first.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use super::audit::plt::Slot;
use crate::abi::glibc::layout::Layout;
use crate::abi::glibc::link_maps::LinkMaps;
use crate::addr::ObjectId;
use crate::elf::dynamic::Flags1;
use crate::linkmap::by_object::ByObject;
use crate::linkmap::id_set::IdSet;
use crate::linkmap::{LinkMap, Objects, SearchList};
use crate::lookup::run::Run;
use crate::lookup::scope::Unique;
use crate::object::{Object, Role};
use crate::tls;
use crate::tls::thread::Indices;

/// A run with the objects in it.
pub struct Kept {
    run: Run<'static, 'static>,
    _objects: Vec<Arc<Object<'static>>>,
}

impl Kept {
    /// A run of `ids`, in which about `references` lookups will be made.
    #[must_use]
    pub fn new(objects: &Objects<'static>, ids: &[ObjectId], references: usize) -> Arc<Self> {
        Self::with_last_resort(objects, ids, None, references)
    }

    /// The global scope of a namespace, in which rld stands last if there is no libc.
    #[must_use]
    pub fn global(
        map: &LinkMap<'static>,
        ids: &[ObjectId],
        libc: Option<ObjectId>,
        references: usize,
    ) -> Arc<Self> {
        let loader = if libc.is_none() { map.by_role(Role::Loader) } else { None };
        Self::with_last_resort(&map.objects, ids, loader, references)
    }

    fn with_last_resort(
        objects: &Objects<'static>,
        ids: &[ObjectId],
        last_resort: Option<ObjectId>,
        references: usize,
    ) -> Arc<Self> {
        let share = |id: ObjectId| Some((id, objects.share(id)?));
        let mut kept: Vec<_> = ids.iter().copied().filter_map(share).collect();
        let last_resort = last_resort.and_then(share);
        let forever = |(id, object): &(ObjectId, Arc<Object<'static>>)| {
            // SAFETY: the object lives in its Arc, which this value keeps longer than the run.
            (*id, unsafe { &*Arc::as_ptr(object) })
        };
        let last = last_resort.as_ref().map(forever);
        let run = Run::with_last_resort(kept.iter().map(forever), last, references);
        kept.extend(last_resort);
        Arc::new(Self { run, _objects: kept.into_iter().map(|(_, object)| object).collect() })
    }

    /// The run.
    #[must_use]
    pub const fn run(&self) -> &Run<'static, 'static> {
        &self.run
    }
}

/// What an object's references are looked up in.
pub struct Chain {
    runs: Vec<&'static Run<'static, 'static>>,
    /// The namespace.
    pub space: usize,
    kept: Vec<Arc<Kept>>,
}

impl Chain {
    /// A chain of these runs.
    #[must_use]
    pub fn new(space: usize, kept: Vec<Arc<Kept>>) -> Self {
        let forever = |kept: &Arc<Kept>| {
            let kept = Arc::as_ptr(kept);
            // SAFETY: the run lives in its Arc, which this value keeps longer than the reference.
            unsafe { &(*kept).run }
        };
        let runs = kept.iter().map(forever).collect();
        Self { runs, space, kept }
    }

    /// The runs, in order.
    #[must_use]
    pub fn runs(&self) -> &[&Run<'static, 'static>] {
        &self.runs
    }
}

/// The objects that one object is bound to beyond its dependencies: those of its relocation, and a list that only
/// grows, at its head, so that it is read without a lock while a first call adds to it under the loader's. Copies of a
/// life share both.
#[derive(Default, Debug)]
pub struct Bound {
    relocated: Box<[ObjectId]>,
    newest: AtomicPtr<Binding>,
}

#[derive(Debug)]
struct Binding {
    to: ObjectId,
    older: *mut Binding,
}

impl Bound {
    /// What relocation has bound an object to.
    #[must_use]
    pub fn new(relocated: Vec<ObjectId>) -> Arc<Self> {
        Arc::new(Self { relocated: relocated.into(), newest: AtomicPtr::default() })
    }

    /// Adds an object. The caller holds the loader's lock, or nobody else knows the list.
    pub fn add(&self, to: ObjectId) {
        let older = self.newest.load(Ordering::Relaxed);
        self.newest.store(Box::into_raw(Box::new(Binding { to, older })), Ordering::Release);
    }

    /// The objects, the newest first.
    pub fn objects(&self) -> impl Iterator<Item = ObjectId> {
        let mut next = self.newest.load(Ordering::Acquire);
        let added = core::iter::from_fn(move || {
            // SAFETY: null, or an entry, which lives as long as the list.
            let binding = unsafe { next.as_ref() }?;
            next = binding.older;
            Some(binding.to)
        });
        added.chain(self.relocated.iter().rev().copied())
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let mut next = *self.newest.get_mut();
        while !next.is_null() {
            // SAFETY: each entry came from a box, and the list is the last to know it.
            next = unsafe { Box::from_raw(next) }.older;
        }
    }
}

/// What has become of an object since it was loaded.
#[derive(Default)]
pub struct Life {
    /// The namespace it was loaded into.
    pub space: usize,
    /// How often it was opened and not closed.
    pub opens: AtomicU32,
    /// Never to be unloaded.
    pub pinned: AtomicBool,
    /// Its definitions are in the namespace's global scope.
    pub global: bool,
    /// Its initialisers have been called, or are being called.
    pub initialised: AtomicBool,
    /// Its finalisers have been called.
    pub finalised: AtomicBool,
    /// Its references are looked up in its own search list first (RTLD_DEEPBIND).
    pub deep: bool,
    /// What its references are looked up in, if it came after the start.
    pub chain: Option<Arc<Chain>>,
    /// Objects besides its dependencies that its references are bound to.
    pub bound: Arc<Bound>,
    /// Objects that were opened and whose search lists its references see.
    pub seen: Arc<Vec<ObjectId>>,
    /// What its TLS descriptors refer to.
    pub indices: Arc<Indices>,
    /// What its functions are bound to, if auditors follow their calls.
    pub slots: Option<Arc<[Slot]>>,
}

impl Life {
    /// Whether it will never be unloaded.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.pinned.load(Ordering::Relaxed)
    }

    /// Lets it never be unloaded; says whether that is new.
    pub fn pin(&self) -> bool {
        !self.pinned.swap(true, Ordering::Relaxed)
    }
}

impl Clone for Life {
    fn clone(&self) -> Self {
        Self {
            space: self.space,
            opens: AtomicU32::new(self.opens.load(Ordering::Relaxed)),
            pinned: AtomicBool::new(self.is_pinned()),
            global: self.global,
            initialised: AtomicBool::new(self.initialised.load(Ordering::Relaxed)),
            finalised: AtomicBool::new(self.finalised.load(Ordering::Relaxed)),
            deep: self.deep,
            chain: self.chain.clone(),
            bound: Arc::clone(&self.bound),
            seen: Arc::clone(&self.seen),
            indices: Arc::clone(&self.indices),
            slots: self.slots.clone(),
        }
    }
}

/// What the objects of a namespace share.
#[derive(Clone, Default)]
pub struct Space {
    /// The global scope: that of the start, then what was opened with RTLD_GLOBAL.
    pub global: Vec<Arc<Kept>>,
    /// STB_GNU_UNIQUE definitions.
    pub unique: Arc<Unique<'static>>,
    /// Its C library.
    pub libc: Option<ObjectId>,
    /// The layout of that, where it is not that of the program's.
    pub layout: Option<&'static Layout>,
}

/// The state of a process's objects.
#[derive(Clone)]
pub struct World {
    /// What the references of objects of the start are looked up in.
    start_chain: Arc<Chain>,
    lives: ByObject<Option<Life>>,
    /// The objects of the start.
    start: IdSet,
    /// The objects that came after the start. No other is bound to one of these, or was loaded by it.
    later: IdSet,
    /// The search lists of objects that were opened, or asked for symbols: they and their dependencies, breadth-first.
    lists: ByObject<Option<Arc<Kept>>>,
    /// By namespace.
    pub spaces: Vec<Space>,
    /// Thread-local storage.
    pub tls: tls::Layout,
    /// What debuggers and libc see.
    pub link_maps: LinkMaps,
    /// The objects.
    pub map: LinkMap<'static>,
}

impl World {
    /// A world of the objects of start-up, which see the search list and are never unloaded.
    #[must_use]
    pub fn new(
        map: LinkMap<'static>,
        tls: tls::Layout,
        link_maps: LinkMaps,
        global: Arc<Kept>,
        libc: Option<ObjectId>,
    ) -> Self {
        let spaces = Vec::from([Space::default()]);
        let (lives, start, later, lists) = Default::default();
        let start_chain = Arc::new(Chain::new(LinkMap::BASE, Vec::new()));
        let mut world =
            Self { start_chain, lives, start, later, lists, spaces, tls, link_maps, map };
        world.begin_start(global, libc);
        world
    }

    /// Enters the objects of start-up.
    pub fn begin_start(&mut self, global: Arc<Kept>, libc: Option<ObjectId>) {
        self.begin_lives();
        let Self { map, lives, start, later, .. } = self;
        for &id in map.spaces.iter().take(1).flat_map(|space| &space.members) {
            start.add(id);
            later.remove(id);
            if let Some(Some(life)) = lives.get_mut(id) {
                life.pin();
            }
        }
        for &id in map.search_list() {
            if let Some(Some(life)) = lives.get_mut(id) {
                life.global = true;
            }
        }
        // The kernel's exec counts as an opening.
        if let Some(id) = map.by_role(Role::Program)
            && let Some(Some(life)) = lives.get_mut(id)
        {
            life.opens = AtomicU32::new(1);
        }
        if let Some(space) = self.spaces.first_mut() {
            (space.global, space.libc) = (Vec::from([global]), libc);
        }
        self.link_all_chains();
    }

    /// Gives all objects a life that have none.
    pub fn begin_lives(&mut self) {
        let Self { map, lives, later, .. } = self;
        lives.grow(map.objects.ids());
        for (id, _) in map.objects.iter() {
            if lives.get(id).is_some_and(Option::is_none) {
                later.add(id);
                lives.set(id, Some(Life::default()));
            }
        }
    }

    /// An object's life.
    #[must_use]
    pub fn life(&self, id: ObjectId) -> Option<&Life> {
        self.lives.get(id)?.as_ref()
    }

    /// The same, to be changed in this world alone.
    pub fn life_mut(&mut self, id: ObjectId) -> Option<&mut Life> {
        self.lives.get_mut(id)?.as_mut()
    }

    /// All lives.
    pub fn lives(&self) -> impl Iterator<Item = (ObjectId, &Life)> {
        self.lives.iter().filter_map(|(id, life)| Some((id, life.as_ref()?)))
    }

    /// What the references of an object are looked up in.
    #[must_use]
    pub fn chain(&self, id: ObjectId) -> Option<&Chain> {
        match self.is_of_start(id) {
            true => Some(&self.start_chain),
            false => self.life(id)?.chain.as_deref(),
        }
    }

    /// Whether the search list of an object is known.
    #[must_use]
    pub fn list(&self, id: ObjectId) -> Option<&Run<'static, 'static>> {
        self.lists.get(id)?.as_ref().map(|kept| &kept.run)
    }

    /// Remembers the search list of an object that has none yet.
    pub fn set_list(&mut self, id: ObjectId, list: Arc<Kept>) {
        if self.list(id).is_none() {
            self.lists.set(id, Some(list));
        }
    }

    /// The definitions that are unique in a namespace.
    #[must_use]
    pub fn unique(&self, space: usize) -> Option<&Unique<'static>> {
        self.spaces.get(space).map(|space| &*space.unique)
    }

    /// The layout of a namespace's C library, where it is not that of the program's.
    #[must_use]
    pub fn layout_in(&self, space: usize) -> Option<&'static Layout> {
        self.spaces.get(space)?.layout
    }

    /// Makes the chains of all objects anew that have changed.
    fn link_all_chains(&mut self) {
        self.start_chain = Arc::new(self.make_chain(LinkMap::BASE, false, &[]));
        let later: Vec<_> = self.later.iter().collect();
        self.link_chains(&later);
    }

    /// The same of some, where no global scope has changed. Those that see the same share a chain.
    pub fn link_chains(&mut self, ids: &[ObjectId]) {
        let mut last: Option<(&Life, Arc<Chain>)> = None;
        let mut changed: Vec<(ObjectId, Arc<Chain>)> = Vec::new();
        let later = ids.iter().filter(|id| self.later.holds(**id));
        for (&id, life) in later.filter_map(|id| Some((id, self.life(*id)?))) {
            let same = |(other, _): &&(&Life, Arc<Chain>)| {
                (other.space, other.deep, &other.seen) == (life.space, life.deep, &life.seen)
            };
            let still_good = life.chain.as_ref().filter(|chain| self.is_current(chain, life));
            let chain = match (still_good, last.as_ref().filter(same)) {
                (Some(chain), _) | (None, Some((_, chain))) => Arc::clone(chain),
                (None, None) => Arc::new(self.make_chain(life.space, life.deep, &life.seen)),
            };
            if still_good.is_none() {
                changed.push((id, Arc::clone(&chain)));
            }
            last = Some((life, chain));
        }
        for (id, chain) in changed {
            if let Some(life) = self.life_mut(id) {
                life.chain = Some(chain);
            }
        }
    }

    /// The runs that an object's references see, in order.
    fn runs_of(
        &self,
        space: usize,
        deep: bool,
        seen: &[ObjectId],
    ) -> impl Iterator<Item = &Arc<Kept>> {
        let global = self.spaces.get(space).map_or(&[][..], |space| &space.global);
        let (first, last) = if deep { (&[][..], global) } else { (global, &[][..]) };
        let seen = seen.iter().filter_map(|id| self.lists.get(*id)?.as_ref());
        first.iter().chain(seen).chain(last)
    }

    /// Whether a chain still is what an object sees.
    fn is_current(&self, chain: &Chain, life: &Life) -> bool {
        let runs = self.runs_of(life.space, life.deep, &life.seen);
        chain.space == life.space && runs.map(Arc::as_ptr).eq(chain.kept.iter().map(Arc::as_ptr))
    }

    /// A chain of the global scope and the search lists of the objects `seen`.
    #[must_use]
    pub fn make_chain(&self, space: usize, deep: bool, seen: &[ObjectId]) -> Chain {
        Chain::new(space, self.runs_of(space, deep, seen).cloned().collect())
    }

    /// The objects of a namespace in the order in which they are listed.
    #[must_use]
    pub fn visible_in(&self, space: usize) -> Vec<ObjectId> {
        let members = self.map.spaces.get(space).map_or(&[][..], |space| &space.members);
        if space != LinkMap::BASE {
            return members.to_vec();
        }
        let mut list = self.map.visible();
        list.extend(members.iter().filter(|id| self.later.holds(**id)));
        list
    }

    /// An object and all that it depends on, breadth-first.
    #[must_use]
    pub fn with_dependencies(&self, id: ObjectId) -> Vec<ObjectId> {
        let mut list = SearchList::new(core::iter::once(id));
        while let Some(id) = list.next() {
            if let Some(object) = self.map.get(id) {
                list.add(id, &object.needed, &object.filtees);
            }
        }
        list.into_ids()
    }

    /// Some objects with all that they need, that `beyond` names for them, and so on.
    pub fn reachable<I: IntoIterator<Item = ObjectId>>(
        &self,
        from: impl Iterator<Item = ObjectId>,
        beyond: impl Fn(ObjectId) -> I,
    ) -> IdSet {
        let count = self.map.objects.ids();
        let (mut reached, mut to_visit) = (IdSet::of(count), Vec::with_capacity(count));
        to_visit.extend(from.filter(|&id| reached.add(id)));
        while let Some(id) = to_visit.pop() {
            let needed = self.map.get(id).map_or(&[][..], |object| &object.needed);
            let next = needed.iter().copied().chain(beyond(id));
            to_visit.extend(next.filter(|&id| reached.add(id)));
        }
        reached
    }

    /// Whether an object was there when the program started. It is never unloaded.
    #[inline]
    #[must_use]
    pub fn is_of_start(&self, id: ObjectId) -> bool {
        self.start.holds(id)
    }

    /// Whether an object came after the start, and may go again.
    #[inline]
    #[must_use]
    pub fn is_later(&self, id: ObjectId) -> bool {
        self.later.holds(id)
    }

    /// Whether `id` is seen to stay as long as `holder` does. Takes no memory and little time: signal handlers ask as
    /// well.
    #[must_use]
    pub fn holds(&self, holder: ObjectId, id: ObjectId) -> bool {
        self.life(id).is_some_and(Life::is_pinned)
            || self.life(holder).is_some_and(|life| life.bound.objects().any(|to| to == id))
            || self.map.get(holder).is_some_and(|holder| holder.needed.contains(&id))
            || self.list(holder).is_some_and(|list| list.objects().any(|held| held == id))
    }

    /// The objects that nothing holds any more, in the order in which they are listed. `also_held` says what else than
    /// this world holds an object.
    #[must_use]
    pub fn unused(&self, also_held: impl Fn(ObjectId) -> bool) -> Vec<ObjectId> {
        let is_root = |id: ObjectId, life: &Life| {
            life.is_pinned() || life.opens.load(Ordering::Relaxed) != 0 || also_held(id)
        };
        let roots = self.later.iter().filter(|&id| self.life(id).is_some_and(|it| is_root(id, it)));
        let used = self
            .reachable(roots, |id| self.life(id).into_iter().flat_map(|life| life.bound.objects()));
        let members = self.map.spaces.iter().flat_map(|space| &space.members);
        members.copied().filter(|&id| self.later.holds(id) && !used.holds(id)).collect()
    }

    /// Takes over how often objects are open in the world that this one is a copy of.
    pub fn take_counts(&self, from: &Self) {
        // What both share needs no copying.
        for lives in self.lives.not_shared(&from.lives) {
            if let (Some(new), Some(old)) = lives {
                new.opens.store(old.opens.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
    }

    /// Adds definitions to a namespace's global scope, after all that are there.
    pub fn make_global(&mut self, space: usize, ids: &[ObjectId]) {
        let is_new = |id: &&ObjectId| self.life(**id).is_some_and(|life| !life.global);
        let new: Vec<_> = ids.iter().filter(is_new).copied().collect();
        if new.is_empty() {
            return;
        }
        for id in &new {
            if let Some(life) = self.life_mut(*id) {
                life.global = true;
            }
        }
        let Some(space) = self.spaces.get_mut(space) else { return };
        space.global.push(Kept::new(&self.map.objects, &new, 0));
        // Many short runs are searched like one long one: then it is time for an index. The first has its own.
        if space.global.len() > MANY_RUNS {
            let later: Vec<_> = space
                .global
                .drain(1..)
                .flat_map(|kept| kept.run.objects().collect::<Vec<_>>())
                .collect();
            space.global.push(Kept::new(&self.map.objects, &later, usize::MAX));
        }
        self.link_all_chains();
    }

    /// Takes objects out, with all that refers to them.
    pub fn remove(&mut self, gone: &[ObjectId]) {
        let goes: IdSet = gone.iter().copied().collect();
        let stays = |id: &ObjectId| !goes.holds(*id);
        self.lists.clear(gone.iter().copied());
        gone.iter().for_each(|&id| self.later.remove(id));
        let mut left: Vec<_> = self.later.iter().collect();
        self.map.remove_before(&goes, &left);
        left.retain(|&id| self.forget(id, &stays));
        let mut are_global = false;
        for space in &mut self.spaces {
            for kept in &mut space.global {
                if !kept.run.objects().all(|id| stays(&id)) {
                    are_global = true;
                    let left: Vec<_> = kept.run.objects().filter(stays).collect();
                    *kept = Kept::new(&self.map.objects, &left, 0);
                }
            }
            space.global.retain(|kept| kept.run.objects().len() != 0);
            if space.libc.is_some_and(|id| !stays(&id)) {
                space.libc = None;
            }
        }
        for &id in gone {
            self.tls.remove(id);
            self.link_maps.remove(id);
        }
        self.lives.clear(gone.iter().copied());
        match are_global {
            true => self.link_all_chains(),
            false => self.link_chains(&left),
        }
    }

    /// Takes out of an object's life what does not stay. Returns whether its references see less than before.
    fn forget(&mut self, id: ObjectId, stays: &impl Fn(&ObjectId) -> bool) -> bool {
        let Some(life) = self.life(id) else { return false };
        let is_bound = !life.bound.objects().all(|to| stays(&to));
        let sees = !life.seen.iter().all(stays);
        if (is_bound || sees)
            && let Some(life) = self.life_mut(id)
        {
            if is_bound {
                let mut left: Vec<_> = life.bound.objects().filter(stays).collect();
                left.reverse();
                life.bound = Bound::new(left);
            }
            Arc::make_mut(&mut life.seen).retain(stays);
        }
        if sees {
            self.adopt(id);
        }
        sees
    }

    /// Lets an object see itself and all that it needs, which nothing that stays may do for it any more.
    fn adopt(&mut self, id: ObjectId) {
        if self.list(id).is_none() {
            let list = self.with_dependencies(id);
            self.set_list(id, Kept::new(&self.map.objects, &list, 0));
        }
        if let Some(life) = self.life_mut(id)
            && !life.seen.contains(&id)
        {
            Arc::make_mut(&mut life.seen).push(id);
        }
    }
}

/// Runs that were added to a global scope until they become one.
const MANY_RUNS: usize = 8;

/// DF_1_NODELETE.
#[must_use]
pub fn is_pinned_by_flag(object: &Object<'_>) -> bool {
    object.role == Role::Library && object.dynamic.flags_1.contains(Flags1::NODELETE)
}
