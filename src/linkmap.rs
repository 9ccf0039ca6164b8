//! The objects of a process and how they come together: names, identities, breadth-first dependencies.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::ffi::CString;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::ffi::CStr;

use crate::addr::ObjectId;
use crate::elf::dynamic::Flags1;
use crate::elf::header::Kind;
use crate::error::{Error, Problem, Result};
use crate::object::{Mapped, Object, Role};
use crate::search::{Failure, Files, NotFound, PathOwner, Purpose, Search};
use crate::sys::Identity;
use crate::text::Text;

/// Where objects come from: files that are mapped into the process, or only looked at.
pub trait Source<'a>: Files<Error = Error> {
    /// Device and inode of an opened file.
    fn identity(&self, file: &Self::File) -> Identity;

    /// Brings an opened file into view.
    ///
    /// # Errors
    /// The file is broken, or the kernel refuses to map it; nothing stays behind then.
    fn load(&mut self, path: &CStr, file: Self::File) -> Result<Mapped<'a>>;

    /// Gives up an object that was loaded and then refused.
    fn unload(&mut self, object: Object<'a>);

    /// The current directory, which relative paths of libraries start from.
    fn current_dir(&mut self) -> Vec<u8>;
}

/// The SONAME of the loader itself. Whatever asks for a file of this name gets rld.
pub const LOADER_SONAME: &[u8] = b"ld-linux-x86-64.so.2";

/// All objects, by id, and what leads to them.
#[derive(Default)]
pub struct LinkMap<'a> {
    /// The arena: objects in the order in which they were loaded, the program first.
    pub objects: Vec<Object<'a>>,
    /// The global scope: the program, what is preloaded, then dependencies breadth-first.
    pub search_list: Vec<ObjectId>,
    names: BTreeMap<Box<[u8]>, ObjectId>,
    files: BTreeMap<Identity, ObjectId>,
}

impl<'a> LinkMap<'a> {
    /// Enters an object under its path, its soname and its identity. Where two objects claim one name, the first has
    /// it.
    pub fn add(&mut self, object: Object<'a>) -> ObjectId {
        #[expect(clippy::cast_possible_truncation, reason = "no process has 2^32 objects")]
        let id = ObjectId(self.objects.len() as u32);
        let path = object.name.to_bytes();
        for name in [Some(path), object.soname].into_iter().flatten() {
            if !name.is_empty() {
                self.names.entry(name.into()).or_insert(id);
            }
        }
        if let Some(identity) = object.identity {
            self.files.entry(identity).or_insert(id);
        }
        self.objects.push(object);
        id
    }

    /// The object with this id.
    #[must_use]
    pub fn get(&self, id: ObjectId) -> Option<&Object<'a>> {
        self.objects.get(id.index())
    }

    /// The object that goes by `name`.
    #[must_use]
    pub fn by_name(&self, name: &[u8]) -> Option<ObjectId> {
        self.names.get(name).copied()
    }

    /// The object with this role.
    #[must_use]
    pub fn by_role(&self, role: Role) -> Option<ObjectId> {
        let at = self.objects.iter().position(|object| object.role == role)?;
        u32::try_from(at).ok().map(ObjectId)
    }

    /// Lets `id` go by one more name.
    fn alias(&mut self, id: ObjectId, name: &[u8]) {
        let known = *self.names.entry(name.into()).or_insert(id);
        let object = self.objects.get_mut(id.index()).filter(|_| known == id);
        if let Some(object) = object
            && object.name.to_bytes() != name
            && !object.aliases.iter().any(|alias| alias == name)
        {
            object.aliases.push(name.into());
        }
    }

    /// The objects in the order in which debuggers and dl_iterate_phdr(3) see them: the program, the vDSO, then the
    /// search list. rld is among them where something needs it.
    #[must_use]
    pub fn visible(&self) -> Vec<ObjectId> {
        let (program, rest) = match self.search_list.split_first() {
            Some((program, rest)) => (Some(*program), rest),
            None => (None, &[][..]),
        };
        let vdso = self.by_role(Role::Vdso);
        program.into_iter().chain(vdso).chain(rest.iter().copied()).collect()
    }

    /// The objects of the search list, in order.
    pub fn in_search_order(&self) -> impl Iterator<Item = (ObjectId, &Object<'a>)> {
        self.search_list.iter().filter_map(|&id| Some((id, self.get(id)?)))
    }
}

/// Loads objects into a link map.
pub struct Linker<'l, 'a, S> {
    /// The objects so far.
    pub map: &'l mut LinkMap<'a>,
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
        if let Some(id) = self.map.by_name(name) {
            return Ok(id);
        }
        let file_name = name.rsplit(|&byte| byte == b'/').next();
        if file_name == Some(LOADER_SONAME)
            && let Some(id) = self.map.by_role(Role::Loader)
        {
            // A second loader in one process could only break the first (contract 11).
            self.map.alias(id, name);
            return Ok(id);
        }
        let chain = chain(self.map, requester, self.program, self.origin);
        let found = self.search.find(self.source, name, &chain, purpose);
        let found = found.map_err(|failure| self.failure(failure, requester))?;
        let identity = self.source.identity(&found.file);
        if let Some(&id) = self.map.files.get(&identity) {
            self.map.alias(id, name);
            return Ok(id);
        }
        let path = found.path.clone();
        let object = self.load(found.path, found.file, requester);
        // ld.so names what was asked for; which file that is, is worth a line.
        let object = object.map_err(|mut error| {
            if name != path.to_bytes() {
                error.object = name.to_vec();
                error = error.with(alloc::format!("the file is {}", Text(path.to_bytes())));
            }
            self.asked_by(error, requester)
        })?;
        let id = self.map.add(object);
        self.map.alias(id, name);
        Ok(id)
    }

    /// Maps and reads a library.
    fn load(
        &mut self,
        path: CString,
        file: S::File,
        requester: Option<ObjectId>,
    ) -> Result<Object<'a>> {
        let mapped = self.source.load(&path, file)?;
        let mut object = Object::parse(path, Role::Library, mapped)?;
        object.loader = requester;
        if !object.name.to_bytes().starts_with(b"/") {
            object.set_relative_to(&self.source.current_dir());
        }
        if let Err(words) = may_be_library(&object) {
            let error = Error::words(object.name.to_bytes(), words);
            self.source.unload(object);
            return Err(error);
        }
        Ok(object)
    }

    /// Builds the search list: the program, the preloaded objects, then all dependencies breadth-first.
    ///
    /// # Errors
    /// A dependency is not found, or cannot be loaded.
    pub fn load_dependencies(&mut self, program: ObjectId, preloaded: &[ObjectId]) -> Result<()> {
        let mut list = Vec::from([program]);
        let mut listed = Vec::new();
        mark(&mut listed, program);
        list.extend(preloaded.iter().filter(|&&id| mark(&mut listed, id)));
        let mut next = 0;
        while let Some(&id) = list.get(next) {
            next += 1;
            let names = match self.map.get(id) {
                Some(object) => object.needed_names()?,
                None => Vec::new(),
            };
            let mut needed = Vec::with_capacity(names.len());
            for name in names {
                let dependency = match self.open(name, Some(id), Purpose::Library) {
                    Err(_) if self.lists_absent => self.map.add(Object::absent(name)),
                    opened => opened?,
                };
                needed.push(dependency);
                if mark(&mut listed, dependency) {
                    list.push(dependency);
                }
            }
            if let Some(object) = self.map.objects.get_mut(id.index()) {
                object.needed = needed;
            }
        }
        self.map.search_list = list;
        Ok(())
    }

    /// A failed search as an error of the loader, with what rld adds to ld.so's line.
    fn failure(&self, failure: Failure<Error>, requester: Option<ObjectId>) -> Error {
        match failure {
            Failure::Fatal { error, .. } => self.asked_by(error, requester),
            Failure::NotFound(not_found) => {
                let NotFound { name, attempts, near, .. } = &*not_found;
                let problem = Problem::Sentence(not_found.reason().to_string());
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

/// The requester, what loaded it, and so on, to the program: those whose path lists count.
fn chain<'m>(
    map: &'m LinkMap<'_>,
    requester: Option<ObjectId>,
    program: &'m [u8],
    program_origin: &'m [u8],
) -> Vec<PathOwner<'m>> {
    const PROGRAM: ObjectId = ObjectId(0);
    let mut chain = Vec::new();
    let mut next = requester;
    while let Some((id, object)) = next.and_then(|id| Some((id, map.get(id)?))) {
        let origin = if id == PROGRAM { program_origin } else { object.directory() };
        chain.push(PathOwner {
            id,
            name: object.display_name(program),
            origin,
            rpath: object.string(object.dynamic.rpath),
            runpath: object.string(object.dynamic.runpath),
            nodeflib: object.dynamic.flags_1.contains(Flags1::NODEFLIB),
        });
        next = object.loader.or((id != PROGRAM).then_some(PROGRAM));
    }
    chain
}

/// Notes that `id` is in a list; says whether it is new there.
fn mark(listed: &mut Vec<bool>, id: ObjectId) -> bool {
    if listed.len() <= id.index() {
        listed.resize(id.index() + 1, false);
    }
    listed.get_mut(id.index()).is_some_and(|listed| !core::mem::replace(listed, true))
}

/// Why an object cannot be a library, in ld.so's words.
fn may_be_library(object: &Object<'_>) -> core::result::Result<(), &'static str> {
    if object.kind == Kind::Fixed {
        Err("cannot dynamically load executable")
    } else if object.segments.dynamic.is_none() {
        Err("object file has no dynamic section")
    } else if object.dynamic.flags_1.contains(Flags1::PIE) {
        Err("cannot dynamically load position-independent executable")
    } else {
        Ok(())
    }
}
