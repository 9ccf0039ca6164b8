//! The objects of a process and how they come together: names, identities, breadth-first dependencies.

pub mod by_object;
pub mod id_set;
mod linker;
mod loader;
mod requester;
pub mod requests;
mod search_list;
mod shards;
pub mod tree;

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::ffi::CString;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ffi::CStr;

use crate::addr::ObjectId;
use crate::elf::Malformed;
use crate::elf::dynamic::{Dependency, Flags1};
use crate::elf::header::Kind;
use crate::errno::Errno;
use crate::error::{Error, Problem, Result};
use crate::heap;
use crate::object::{Mapped, Object, Role};
use crate::search::{Failure, Files, Found, NOT_OPENED, NotFound, Origin, Purpose, Search};
use crate::sys::Identity;
use crate::text::Text;
use crate::trace::{self, Event, Topics};
use by_object::ByObject;
use id_set::IdSet;
pub use requester::chain;
use requester::program_runpath;
pub use search_list::SearchList;
use shards::Shards;

/// About how much of the heap an object takes, in bytes.
const PER_OBJECT: u32 = 5 << 10;

/// Where objects come from: files that are mapped into the process, or only looked at.
pub trait Source<'a>: Files<Error = Error> {
    /// Device and inode of an opened file.
    fn identity(&self, file: &Self::File) -> Identity;

    /// What an opened file is.
    fn kind(&self, file: &Self::File) -> Kind;

    /// Brings an opened file into view.
    ///
    /// # Errors
    /// The file is broken, or the kernel refuses to map it; nothing stays behind then.
    fn load(&mut self, path: &CStr, file: Self::File) -> Result<Box<Mapped<'a>>>;

    /// The current directory, which relative paths of libraries start from.
    fn current_dir(&mut self) -> Vec<u8>;

    /// What is to be looked for where `requester` asks for `name`; `None` for nothing. For auditors.
    fn asked<'n>(&mut self, name: &'n [u8], _requester: Option<ObjectId>) -> Option<Cow<'n, [u8]>> {
        Some(Cow::Borrowed(name))
    }

    /// Told of each object that has come.
    fn entered(&mut self, _id: ObjectId, _object: &Object<'a>) {}
}

/// The SONAME of the loader itself. Whatever asks for a file of this name gets rld.
pub const LOADER_SONAME: &[u8] = b"ld-linux-x86-64.so.2";

/// What the names of libraries begin with that a C library stands for which is in one piece (musl's).
const PARTS_OF_LIBC: [&[u8]; 7] =
    [b"libc.", b"libpthread.", b"librt.", b"libm.", b"libdl.", b"libutil.", b"libxnet."];

/// The arena of objects. An id is a place in it, free again when its object is unloaded.
#[derive(Clone, Default)]
pub struct Objects<'a> {
    slots: ByObject<Option<Arc<Object<'a>>>>,
    /// One past the highest id there is.
    ids: usize,
    /// No place before this one is free.
    taken: u32,
    /// The order of initialisers and finalisers is that of before glibc 2.35.
    pub older_order: bool,
}

impl<'a> Objects<'a> {
    /// The object with this id.
    #[inline]
    #[must_use]
    pub fn get(&self, id: ObjectId) -> Option<&Object<'a>> {
        self.slots.get(id)?.as_deref()
    }

    /// The same, to be kept alive.
    #[must_use]
    pub fn share(&self, id: ObjectId) -> Option<Arc<Object<'a>>> {
        self.slots.get(id)?.clone()
    }

    /// All objects by id, which for those of start-up is the order in which they were loaded.
    pub fn iter(&self) -> impl Iterator<Item = (ObjectId, &Object<'a>)> {
        self.slots.iter().filter_map(|(id, slot)| Some((id, slot.as_deref()?)))
    }

    /// One past the highest id there is.
    #[must_use]
    pub const fn ids(&self) -> usize {
        self.ids
    }

    /// Puts an object in the first place that is free.
    fn push(&mut self, object: Arc<Object<'a>>) -> ObjectId {
        let mut id = ObjectId(self.taken);
        while self.slots.get(id).is_some_and(Option::is_some) {
            id.0 += 1;
        }
        self.slots.set(id, Some(object));
        self.taken = id.0 + 1;
        self.ids = self.ids.max(id.index() + 1);
        id
    }

    fn remove(&mut self, gone: &IdSet) {
        self.slots.clear(gone.iter());
        self.taken = gone.iter().next().map_or(self.taken, |first| self.taken.min(first.0));
    }

    /// An object that nobody else keeps: one that is being loaded.
    fn get_mut(&mut self, id: ObjectId) -> Option<&mut Object<'a>> {
        self.slots.get_mut(id)?.as_mut().and_then(Arc::get_mut)
    }
}

impl<'a> FromIterator<Arc<Object<'a>>> for Objects<'a> {
    fn from_iter<I: IntoIterator<Item = Arc<Object<'a>>>>(objects: I) -> Self {
        let mut this = Self::default();
        objects.into_iter().for_each(|object| _ = this.push(object));
        this
    }
}

/// A namespace: objects that see one another, and the names by which they are known there.
#[derive(Clone, Default)]
pub struct Namespace {
    /// Its objects in the order of loading; rld is in as many namespaces as need it.
    pub members: Vec<ObjectId>,
    /// The global scope as it was at the start: the program, what is preloaded, then dependencies breadth-first.
    pub search_list: Vec<ObjectId>,
    /// rld as its objects see it, where that is not as the program's do.
    loader: Option<ObjectId>,
    names: Shards<Arc<[u8]>>,
    files: Shards<Identity>,
}

impl Namespace {
    /// The object that goes by `name`.
    #[must_use]
    pub fn by_name(&self, name: &[u8]) -> Option<ObjectId> {
        self.names.get(name)
    }

    /// The object that is this file.
    #[must_use]
    pub fn by_file(&self, identity: Identity) -> Option<ObjectId> {
        self.files.get(&identity)
    }

    /// Whether nothing but rld is in it.
    #[must_use]
    pub fn is_empty(&self, loader: Option<ObjectId>) -> bool {
        self.members.iter().all(|&id| Some(id) == loader)
    }

    /// Lists an object immediately before another.
    fn list_before(&mut self, id: ObjectId, other: ObjectId) {
        self.members.retain(|&member| member != id);
        let place = self.members.iter().position(|&member| member == other);
        self.members.insert(place.unwrap_or(self.members.len()), id);
    }

    /// Enters an object under its identity, and its path and soname, if these count. Where two objects claim one name,
    /// the first has it.
    fn enter(&mut self, id: ObjectId, object: &Object<'_>, names_count: bool) {
        self.members.push(id);
        // What is absent is looked for again by whoever asks for it next.
        if object.role == Role::Absent {
            return;
        }
        let names = [Some(object.name.to_bytes()), object.soname];
        for name in names.into_iter().flatten().filter(|name| names_count && !name.is_empty()) {
            self.names.enter(name, id, |name| name.into());
        }
        if let Some(identity) = object.identity {
            self.files.enter(&identity, id, |identity| *identity);
        }
    }
}

/// All objects, by id, and what leads to them.
#[derive(Clone)]
pub struct LinkMap<'a> {
    /// The objects.
    pub objects: Objects<'a>,
    /// The namespaces; the program's is the first.
    pub spaces: Vec<Namespace>,
    /// The C library that is a loader itself, if there is one ([`Role::Libc`]).
    hosted: Option<ObjectId>,
}

impl Default for LinkMap<'_> {
    fn default() -> Self {
        let (objects, spaces) = (Objects::default(), alloc::vec![Namespace::default()]);
        Self { objects, spaces, hosted: None }
    }
}

impl<'a> LinkMap<'a> {
    /// The program's namespace.
    pub const BASE: usize = 0;

    /// Enters an object into the program's namespace.
    pub fn add(&mut self, object: Object<'a>) -> ObjectId {
        self.add_to(Self::BASE, object)
    }

    /// Enters an object into a namespace.
    pub fn add_to(&mut self, space: usize, object: Object<'a>) -> ObjectId {
        self.add_shared(space, Arc::new(object))
    }

    fn add_shared(&mut self, space: usize, mut object: Arc<Object<'a>>) -> ObjectId {
        if let Some(object) = Arc::get_mut(&mut object) {
            object.space = space;
            if self.hosted.is_some() {
                object.exports.forget_versions();
            }
        }
        let id = self.objects.push(object);
        if let (Some(space), Some(object)) = (self.spaces.get_mut(space), self.objects.get(id)) {
            space.enter(id, object, self.hosted.is_none());
        }
        id
    }

    /// Puts an object in the place of one that stands for the same file.
    pub fn replace(&mut self, id: ObjectId, object: Object<'a>) {
        self.objects.slots.set(id, Some(Arc::new(object)));
    }

    /// Takes objects out; their memory goes when nobody keeps them any more.
    pub fn remove(&mut self, gone: &IdSet) {
        let all: Vec<_> = self.objects.iter().map(|(id, _)| id).collect();
        self.remove_before(gone, &all);
    }

    /// The same, where none of them has led to others than to `later` ones.
    pub fn remove_before(&mut self, gone: &IdSet, later: &[ObjectId]) {
        for space in &mut self.spaces {
            space.names.retain(|known| !gone.holds(known));
            space.files.retain(|known| !gone.holds(known));
            space.members.retain(|known| !gone.holds(*known));
            space.loader = space.loader.filter(|loader| !gone.holds(*loader));
        }
        let is_orphan = |object: &&Object<'_>| object.loader.get().is_some_and(|id| gone.holds(id));
        for orphan in later.iter().filter_map(|&id| self.objects.get(id)).filter(is_orphan) {
            orphan.loader.set(None);
        }
        self.objects.remove(gone);
    }

    /// The object with this id.
    #[must_use]
    pub fn get(&self, id: ObjectId) -> Option<&Object<'a>> {
        self.objects.get(id)
    }

    /// The object that goes by `name` in the program's namespace.
    #[must_use]
    pub fn by_name(&self, name: &[u8]) -> Option<ObjectId> {
        self.by_name_in(Self::BASE, name)
    }

    /// The object that goes by `name` in a namespace.
    #[must_use]
    pub fn by_name_in(&self, space: usize, name: &[u8]) -> Option<ObjectId> {
        self.spaces.get(space)?.by_name(name)
    }

    /// The object with this role.
    #[must_use]
    pub fn by_role(&self, role: Role) -> Option<ObjectId> {
        self.objects.iter().find(|(_, object)| object.role == role).map(|(id, _)| id)
    }

    /// Changes an object that nobody else keeps yet.
    pub fn change(&mut self, id: ObjectId, change: impl FnOnce(&mut Object<'a>)) {
        if let Some(object) = self.objects.get_mut(id) {
            change(object);
        }
    }

    /// Lets an object be the C library that is a loader itself, and go by the name of the program's interpreter. For
    /// such a library versions do not count, nor do sonames, and a path means the file that is there when it is asked
    /// for. So other objects go by the names alone under which they were searched for.
    pub fn host(&mut self, id: ObjectId, interpreter: &[u8]) {
        self.change(id, |libc| libc.role = Role::Libc);
        self.hosted = Some(id);
        for space in &mut self.spaces {
            space.names = Shards::default();
            space.names.enter(interpreter, id, |name| name.into());
        }
        #[expect(clippy::cast_possible_truncation, reason = "no process has 2^32 objects")]
        for id in (0..self.objects.ids() as u32).map(ObjectId) {
            self.change(id, |object| object.exports.forget_versions());
        }
    }

    /// Lets that library be searched, last, where nothing asks for it.
    pub fn list_hosted(&mut self) {
        if let (Some(id), Some(space)) = (self.hosted, self.spaces.first_mut())
            && !space.search_list.contains(&id)
        {
            space.search_list.push(id);
        }
    }

    /// The C library that is a loader itself.
    #[must_use]
    pub const fn hosted(&self) -> Option<ObjectId> {
        self.hosted
    }

    /// Lets `id` go by one more name, if that counts.
    pub fn alias(&mut self, space: usize, id: ObjectId, name: &[u8]) {
        if self.hosted.is_some() && name.contains(&b'/') {
            return;
        }
        let Some(names) = self.spaces.get_mut(space).map(|space| &mut space.names) else { return };
        let known = names.enter(name, id, |name| name.into());
        let object = self.objects.get_mut(id).filter(|_| known == id);
        if let Some(object) = object
            && object.name.to_bytes() != name
            && !object.aliases.iter().any(|alias| alias == name)
        {
            object.aliases.push(name.into());
        }
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> ObjectId {
        self.by_role(Role::Program).unwrap_or(ObjectId(0))
    }

    /// The search list of the program's namespace.
    #[must_use]
    pub fn search_list(&self) -> &[ObjectId] {
        self.spaces.first().map_or(&[], |space| &space.search_list)
    }

    /// The objects of start-up in the order in which debuggers and dl_iterate_phdr(3) see them: the program, the vDSO,
    /// then the search list. rld is among them where something needs it, and where a C library stands for itself:
    /// debuggers forget an interpreter, and its probes, that is not listed.
    #[must_use]
    pub fn visible(&self) -> Vec<ObjectId> {
        let list = self.search_list();
        // What the program is a filter for stands before it.
        let program = list.iter().position(|&id| id == self.program());
        let (first, rest) = list.split_at(program.map_or(0, |at| at + 1));
        let vdso = self.by_role(Role::Vdso);
        let loader = self.hosted.and_then(|_| self.by_role(Role::Loader));
        let loader = loader.filter(|id| !list.contains(id));
        first.iter().copied().chain(vdso).chain(rest.iter().copied()).chain(loader).collect()
    }

    /// The objects of the search list, in order.
    pub fn in_search_order(&self) -> impl Iterator<Item = (ObjectId, &Object<'a>)> {
        self.search_list().iter().filter_map(|&id| Some((id, self.get(id)?)))
    }
}

/// Loads objects into a link map.
pub struct Linker<'l, 'a, S> {
    /// The objects so far.
    pub map: &'l mut LinkMap<'a>,
    /// The namespace that is loaded into.
    pub space: usize,
    /// Where to look.
    pub search: &'l mut Search,
    /// How to open and load.
    pub source: &'l mut S,
    /// The program's name, for messages.
    pub program: &'l [u8],
    /// The program's directory, for `$ORIGIN`.
    pub origin: &'l [u8],
    /// A dependency that is not found is entered as absent, for a list.
    pub lists_absent: bool,
    /// What is loaded is an auditor: the program's RUNPATH counts for it and for what it needs.
    pub audits: bool,
    /// Nothing is loaded: what is not there already is [`Problem::NotLoaded`] (RTLD_NOLOAD).
    pub no_load: bool,
    /// What led to the object that was loaded last.
    pub origin_of_last: Option<Origin<'static>>,
}

impl<'a, S: Source<'a>> Linker<'_, 'a, S> {
    /// The object that `requester` means by `name`: one that is there, or one that is found and loaded now. Without a
    /// requester the name comes from the command line or the environment.
    ///
    /// # Errors
    /// It is not found, or cannot be loaded.
    pub fn open(
        &mut self,
        name: &[u8],
        requester: Option<ObjectId>,
        purpose: Purpose,
    ) -> Result<ObjectId> {
        if let Some(id) = self.map.by_name_in(self.space, name) {
            return Ok(id);
        }
        let file_name = name.rsplit(|&byte| byte == b'/').next();
        if file_name == Some(LOADER_SONAME)
            && let Some(id) = self.map.loader_in(self.space)
        {
            // A second loader in one process could only break the first (contract 11).
            self.map.alias(self.space, id, name);
            return Ok(id);
        }
        if let Some(id) = self.map.hosted
            && PARTS_OF_LIBC.iter().any(|part| name.starts_with(part))
        {
            self.map.alias(self.space, id, name);
            return Ok(id);
        }
        trace::tell(Topics::FILES, || {
            let by = requester.and_then(|id| self.map.get(id)).map(Object::label);
            Event::Wanted { name, space: self.space, by, opened: purpose == Purpose::Opened }
        });
        let needed = purpose != Purpose::Preload;
        let asked_for = name;
        let name = match self.source.asked(name, requester) {
            Some(name) => name,
            None if self.lists_absent(purpose) => {
                return Ok(self.map.add_to(self.space, Object::absent(asked_for)));
            }
            None => {
                let problem = Problem::System { words: NOT_OPENED, errno: Errno::ENOENT };
                let error = Error::new(asked_for, problem);
                let error = error.with("an auditor does not want it to be found");
                return Err(self.asked_by(error, requester.filter(|_| needed)));
            }
        };
        let name = &*name;
        let Some(found) = self.look_for(name, requester, purpose)? else {
            return Ok(self.map.add_to(self.space, Object::absent(name)));
        };
        let identity = self.source.identity(&found.file);
        let same = self.map.spaces.get(self.space).and_then(|space| space.by_file(identity));
        if let Some(id) = same {
            self.map.alias(self.space, id, name);
            self.map.alias(self.space, id, asked_for);
            return Ok(id);
        }
        if self.no_load {
            return Err(Error::new(name, Problem::NotLoaded));
        }
        let path = found.path.clone();
        let since = trace::now();
        trace::tell(Topics::FILES, || Event::MapBegins {
            name,
            path: path.to_bytes(),
            space: self.space,
        });
        let object = self.load(found.path, found.file, requester);
        // ld.so names what was asked for; which file that is, is worth a line.
        let object = object.map_err(|mut error| {
            if name != path.to_bytes() {
                error.object = name.to_vec();
                error = error.with(alloc::format!("the file is {}", Text(path.to_bytes())));
            }
            self.asked_by(error, requester.filter(|_| needed))
        })?;
        let id = self.map.add_shared(self.space, object);
        self.origin_of_last = Some(found.origin);
        self.map.alias(self.space, id, name);
        if asked_for != name {
            self.map.alias(self.space, id, asked_for);
        }
        if let Some(object) = self.map.get(id) {
            trace::tell(Topics::FILES, || object.mapped(since));
            self.source.entered(id, object);
        }
        Ok(id)
    }

    /// Looks for a file; `None` where a list shows that it is absent. Apart from [`Self::open`], whose stack a thread
    /// with the smallest one must afford below all that loading takes.
    #[inline(never)]
    fn look_for(
        &mut self,
        name: &[u8],
        requester: Option<ObjectId>,
        purpose: Purpose,
    ) -> Result<Option<Found<S::File>>> {
        let mut chain = chain(self.map, requester, self.program, self.origin);
        if self.audits {
            chain.extend(program_runpath(&chain));
        }
        let since = trace::now();
        if !name.contains(&b'/') {
            trace::tell(Topics::LIBS, || Event::SearchBegins { name, space: self.space });
        }
        let found = self.search.find(self.source, name, &chain, purpose);
        trace::tell(Topics::LIBS, || Event::SearchEnds {
            name,
            by: requester.and_then(|id| self.map.get(id)).map(Object::label),
            space: self.space,
            found: found.as_ref().ok().map(|found| &*found.path),
            cut_short: matches!(found, Err(Failure::Fatal { .. })),
            since,
        });
        if matches!(found, Err(Failure::NotFound(_))) && self.lists_absent(purpose) {
            return Ok(None);
        }
        let requester = requester.filter(|_| purpose != Purpose::Preload);
        found.map(Some).map_err(|failure| self.failure(failure, requester))
    }

    /// Whether what is not found is entered as absent.
    fn lists_absent(&self, purpose: Purpose) -> bool {
        self.lists_absent && purpose == Purpose::Library
    }

    /// Maps and reads a library.
    #[inline(never)]
    fn load(
        &mut self,
        path: CString,
        file: S::File,
        requester: Option<ObjectId>,
    ) -> Result<Arc<Object<'a>>> {
        if self.source.kind(&file) == Kind::Fixed {
            // It could only be mapped where the program is, or where nothing is by chance.
            let error = Error::words(path.to_bytes(), "cannot dynamically load executable");
            return Err(error.with(LIBRARIES));
        }
        let mapped = self.source.load(&path, file)?;
        let mut object = Object::parse_shared(path, Role::Library, mapped)?;
        object.loader.set(requester);
        if !object.name.to_bytes().starts_with(b"/")
            && let Some(object) = Arc::get_mut(&mut object)
        {
            object.set_relative_to(&self.source.current_dir());
        }
        may_be_library(&object)?;
        Ok(object)
    }

    /// Builds the search list: the program, the preloaded objects, then all dependencies breadth-first.
    ///
    /// # Errors
    /// A dependency is not found, or cannot be loaded.
    pub fn load_dependencies(&mut self, program: ObjectId, preloaded: &[ObjectId]) -> Result<()> {
        let first = [program].into_iter().chain(preloaded.iter().copied());
        let list = self.breadth_first(first)?;
        if let Some(space) = self.map.spaces.get_mut(self.space) {
            space.search_list = list;
        }
        Ok(())
    }

    /// `first`, then all that they need, breadth-first; loads what is not there.
    ///
    /// # Errors
    /// A dependency is not found, or cannot be loaded.
    pub fn breadth_first(
        &mut self,
        first: impl Iterator<Item = ObjectId>,
    ) -> Result<Vec<ObjectId>> {
        let mut list = SearchList::new(first);
        while let Some(id) = list.next() {
            self.load_needed(id)?;
            let Some(object) = self.map.get(id) else { continue };
            let earlier = list.add(id, &object.needed, &object.filtees);
            if let Some(space) = self.map.spaces.get_mut(self.space) {
                earlier.iter().for_each(|&filtee| space.list_before(filtee, id));
            }
        }
        Ok(list.into_ids())
    }

    /// Resolves what an object asks for, unless that was done before.
    fn load_needed(&mut self, id: ObjectId) -> Result<()> {
        let names = match self.map.get(id) {
            Some(object) if object.needed.is_empty() => object.needed_names()?,
            _ => return Ok(()),
        };
        heap::expect(u32::try_from(names.len()).unwrap_or(0).saturating_mul(PER_OBJECT));
        if names.is_empty() {
            return Ok(());
        }
        let mut needed = Vec::with_capacity(names.len());
        let mut filtees = Vec::new();
        for (how, name) in names {
            let name = &*self.expanded(id, name)?;
            let other = match self.open(name, Some(id), Purpose::Library) {
                Err(_) if how == Dependency::Auxiliary => continue,
                opened => opened?,
            };
            needed.push(other);
            if trace::on(Topics::FILES) {
                self.tell_needed(id, name, other);
            }
            if how != Dependency::Needed {
                filtees.push(other);
            }
        }
        if let Some(object) = self.map.objects.get_mut(id) {
            (object.needed, object.filtees) = (needed, filtees);
        }
        Ok(())
    }

    #[cold]
    fn tell_needed(&self, id: ObjectId, name: &[u8], to: ObjectId) {
        if let (Some(object), Some(to)) = (self.map.get(id), self.map.get(to)) {
            trace::emit(&Event::Needed { object: object.label(), name, to: to.label() });
        }
    }

    /// A failed search as an error of the loader, with what rld adds to ld.so's line.
    fn failure(&self, failure: Failure<Error>, requester: Option<ObjectId>) -> Error {
        match failure {
            Failure::Fatal { error, .. } => self.asked_by(error, requester),
            Failure::NotFound(not_found) => {
                let NotFound { name, attempts, near, .. } = &*not_found;
                let problem = match not_found.refusal() {
                    Some(errno) => Problem::System { words: NOT_OPENED, errno },
                    None => Problem::Sentence(not_found.reason().to_string()),
                };
                let mut error = self.asked_by(Error::new(name, problem), requester);
                let tried = attempts.iter().map(|attempt| alloc::format!("tried {attempt}"));
                let near = near.iter().map(|near| alloc::format!("near miss: {near}"));
                error.details.extend(tried.chain(near));
                error
            }
        }
    }

    /// Says who needed the object at fault.
    fn asked_by(&self, error: Error, requester: Option<ObjectId>) -> Error {
        match requester.and_then(|id| self.map.get(id)) {
            Some(object) => {
                let name = object.display_name(self.program);
                error.with(alloc::format!("needed by {}", Text(name)))
            }
            None => error,
        }
    }
}

/// How a file comes to be a library.
const LIBRARIES: &str = "it was linked as a program: libraries are linked with -shared";

/// Whether an object can be a library.
fn may_be_library(object: &Object<'_>) -> Result<()> {
    let name = object.name.to_bytes();
    if object.segments.dynamic.is_none() {
        let words = "object file has no dynamic section";
        Err(Error::malformed(name, Malformed::new(words, "PT_DYNAMIC count", 0)))
    } else if object.dynamic.flags_1.contains(Flags1::PIE) {
        let words = "cannot dynamically load position-independent executable";
        Err(Error::words(name, words).with(LIBRARIES))
    } else {
        Ok(())
    }
}
