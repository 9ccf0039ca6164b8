//! What every object asks for, and what comes of it: for those who show how a program comes together, and do not start
//! it. [`Linker::load_dependencies`] stops at the first request that fails; this walk, in the same order, notes it.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::{LinkMap, Linker, Source};
use crate::addr::ObjectId;
use crate::elf::dynamic::Dependency;
use crate::error::{Error, Result};
use crate::object::{Object, Role};
use crate::search::{Origin, Purpose};

/// Who asks for an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Requester {
    /// A list of objects to preload.
    Preload,
    /// DT_NEEDED of an object.
    Object(ObjectId),
}

/// Why a name means an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rule {
    /// It was found so, and loaded.
    Found(Origin<'static>),
    /// The object was there before, under this name or as the same file.
    AlreadyLoaded,
    /// It means the loader.
    Loader,
}

/// One request for an object and what came of it.
#[derive(Debug)]
pub struct Request {
    /// Who asks.
    pub requester: Requester,
    /// For which name.
    pub name: Vec<u8>,
    /// The object, and why it is this one.
    pub outcome: Result<(ObjectId, Rule)>,
}

/// All requests of a start, in the order in which the loader makes them.
#[derive(Debug)]
pub struct Requests(Vec<Request>);

impl Requests {
    /// Loads what is preloaded, then what is needed. What is missing, or broken, stands in the search list as absent.
    ///
    /// # Errors
    /// The names that an object needs cannot be read.
    pub fn make<'a, S: Source<'a>>(
        linker: &mut Linker<'_, 'a, S>,
        program: ObjectId,
        preload: &[Vec<u8>],
    ) -> Result<Self> {
        Walk { linker, program, requests: Vec::new() }.run(preload)
    }

    /// All of them.
    pub fn iter(&self) -> core::slice::Iter<'_, Request> {
        self.0.iter()
    }

    /// Those that an object makes.
    pub fn of(&self, id: ObjectId) -> impl Iterator<Item = &Request> {
        self.0.iter().filter(move |request| request.requester == Requester::Object(id))
    }

    /// Those for what is preloaded.
    pub fn preloads(&self) -> impl Iterator<Item = &Request> {
        self.0.iter().filter(|request| request.requester == Requester::Preload)
    }

    /// The errors of those that were not met.
    pub fn missing(&self) -> impl Iterator<Item = &Error> {
        self.0.iter().filter_map(|request| request.outcome.as_ref().err())
    }
}

/// Whether an object is the loader, or the C library that is one.
fn is_loader(map: &LinkMap<'_>, id: ObjectId) -> bool {
    map.by_role(Role::Loader) == Some(id) || map.hosted() == Some(id)
}

struct Walk<'w, 'l, 'a, S> {
    linker: &'w mut Linker<'l, 'a, S>,
    program: ObjectId,
    requests: Vec<Request>,
}

impl<'a, S: Source<'a>> Walk<'_, '_, 'a, S> {
    fn run(mut self, preload: &[Vec<u8>]) -> Result<Requests> {
        let mut list = alloc::vec![self.program];
        for name in preload {
            self.request(Requester::Preload, name, &mut list);
        }
        let preloaded: Vec<_> = list.iter().skip(1).copied().collect();
        let mut next = 0;
        while let Some(&id) = list.get(next) {
            next += 1;
            let names = self.linker.map.get(id).map(Object::needed_names).transpose()?;
            for (how, name) in names.unwrap_or_default() {
                self.request(Requester::Object(id), name, &mut list);
                // What an object only makes use of if it is there is not missed.
                if how == Dependency::Auxiliary {
                    self.requests.pop_if(|request| request.outcome.is_err());
                }
            }
        }
        self.linker.lists_absent = true;
        if self.linker.load_dependencies(self.program, &preloaded).is_err() {
            self.list_what_is_there();
        }
        Ok(Requests(self.requests))
    }

    /// A library that is broken ends the loader's work. Here it stands in the search list as absent.
    fn list_what_is_there(&mut self) {
        let map = &mut *self.linker.map;
        let mut list = alloc::vec![self.program];
        for request in &self.requests {
            let id = match &request.outcome {
                Ok((id, _)) => *id,
                Err(_) => map.add_to(LinkMap::BASE, Object::absent(&request.name)),
            };
            if !list.contains(&id) {
                list.push(id);
            }
        }
        if let Some(space) = map.spaces.get_mut(LinkMap::BASE) {
            space.search_list = list;
        }
    }

    fn request(&mut self, requester: Requester, name: &[u8], list: &mut Vec<ObjectId>) {
        // What is preloaded is looked for on the program's behalf.
        let (asking, purpose) = match requester {
            Requester::Object(id) => (id, Purpose::Library),
            Requester::Preload => (self.program, Purpose::Preload),
        };
        self.linker.origin_of_last = None;
        let name_of_file = match purpose {
            Purpose::Library => self.linker.expanded(asking, name),
            _ => Ok(Cow::Borrowed(name)),
        };
        let opened = name_of_file.and_then(|name| self.linker.open(&name, Some(asking), purpose));
        let outcome = opened.map(|id| {
            if !list.contains(&id) {
                list.push(id);
            }
            let rule = match self.linker.origin_of_last.take() {
                _ if is_loader(self.linker.map, id) => Rule::Loader,
                Some(origin) => Rule::Found(origin),
                None => Rule::AlreadyLoaded,
            };
            (id, rule)
        });
        self.requests.push(Request { requester, name: name.to_vec(), outcome });
    }
}
