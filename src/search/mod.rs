//! Where a library is: the places ld.so looks, in its order (ld.so(8)), with what led to each.
//!
//! The order for a name without a slash, and the one line that each step must not get wrong:
//!
//! 1. RPATH of the requester, of what loaded it, and so on up to the executable; not if the requester has a RUNPATH,
//!    and never that of an object with a RUNPATH;
//! 2. LD_LIBRARY_PATH;
//! 3. RUNPATH of the requester alone: it does not reach the dependencies of a dependency;
//! 4. the cache; a hit in a default directory does not count under DF_1_NODEFLIB;
//! 5. the default directories; not under DF_1_NODEFLIB.
//!
//! For programs of musl there are three places ([`Rules::Musl`]): LD_LIBRARY_PATH; RPATH, which RUNPATH is the same as,
//! of the requester and of what loaded it; the default directories.
//!
//! Nothing here touches the file system: opening is the business of whoever implements [`Files`].

mod dirs;
mod dst;
mod hwcaps;
mod misses;
mod outcome;
#[cfg(test)]
mod tests;

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::ops::ControlFlow;

use crate::addr::ObjectId;
use crate::cache::{self, Cache};
use crate::errno::Errno;
use crate::root::Root;
use crate::trace::{self, Event, Topics};
use dirs::{Directories, DirectoryId, List, Opener, Scratch};
pub use dst::{Tokens, has_token};
pub use hwcaps::Hwcaps;
pub use outcome::{Attempt, Failure, Found, NOT_OPENED, Near, NotFound, Origin, Unsuitable, Why};

/// Why a path was not opened.
#[derive(Clone, Debug)]
pub enum Refusal<E> {
    /// It cannot be opened; the search goes on.
    Absent(Errno),
    /// It is a library for another machine; the search goes on.
    Unsuitable(Unsuitable),
    /// It can be opened and must not be loaded, such as a file that is not ELF; the search ends.
    Fatal(E),
}

/// The file system as the search sees it.
pub trait Files {
    /// An opened library.
    type File;
    /// What [`Refusal::Fatal`] carries.
    type Error;

    /// Opens a library and looks at its ELF header.
    ///
    /// # Errors
    /// [`Refusal`], which says whether to look further.
    fn open(&mut self, path: &CStr) -> Result<Self::File, Refusal<Self::Error>>;

    /// The path by which the machine knows an opened file, where it is another than the one it was opened by.
    fn path(&self, _file: &Self::File) -> Option<CString> {
        None
    }

    /// Whether the path is a directory.
    fn is_dir(&mut self, path: &CStr) -> bool;

    /// Whether an opened file has the set-user-ID bit; asked only for preloading in secure mode.
    fn is_set_user_id(&mut self, file: &Self::File) -> bool;

    /// Calls `each` with the names in a directory, until it breaks off. For what is said about libraries that are not
    /// found.
    fn names(&mut self, directory: &CStr, each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>);

    /// The library cache, brought into memory on the first call. `None` when there is none, or it is corrupt.
    fn cache(&mut self) -> Option<Cache<'_>>;

    /// Told of each list before it is walked, with those of its directories that are not known to be absent, and of
    /// the cache, with none. For tracing.
    fn searching(&mut self, _origin: &Origin<'_>, _directories: &mut dyn Iterator<Item = &[u8]>) {}
}

/// Whose loader's order it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Rules {
    /// ld.so's.
    #[default]
    Glibc,
    /// That of musl's loader, which knows no cache and no `glibc-hwcaps`.
    Musl,
}

/// What a distribution has decided about its library directories.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// The value of `$LIB`.
    pub lib: &'static [u8],
    /// The default directories, in order; they are also the trusted ones.
    pub directories: &'static [&'static [u8]],
    /// The order of places.
    pub rules: Rules,
}

impl System {
    /// Debian and what comes from it: multiarch directories.
    pub const DEBIAN: Self = Self {
        lib: b"lib/x86_64-linux-gnu",
        directories: &[
            b"/lib/x86_64-linux-gnu",
            b"/usr/lib/x86_64-linux-gnu",
            b"/lib",
            b"/usr/lib",
        ],
        rules: Rules::Glibc,
    };

    /// glibc as it builds by itself, and most other distributions.
    pub const LIB64: Self =
        Self { lib: b"lib64", directories: &[b"/lib64", b"/usr/lib64"], rules: Rules::Glibc };

    /// The system in another root. Whose it is does not matter: the directories of all distributions count.
    pub fn of_root(is_dir: impl FnMut(&CStr) -> bool) -> Self {
        let multiarch = [c"/lib/x86_64-linux-gnu", c"/usr/lib/x86_64-linux-gnu"];
        let is_multiarch = multiarch.into_iter().any(is_dir);
        Self {
            lib: if is_multiarch { Self::DEBIAN.lib } else { Self::LIB64.lib },
            directories: &[
                b"/lib/x86_64-linux-gnu",
                b"/usr/lib/x86_64-linux-gnu",
                b"/lib64",
                b"/usr/lib64",
                b"/lib",
                b"/usr/lib",
            ],
            rules: Rules::Glibc,
        }
    }
}

/// What holds for every search of a process.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// The distribution's directories.
    pub system: System,
    /// The root below which they and all other absolute paths lie. Paths are the machine's everywhere else here.
    pub root: &'a Root,
    /// The value of `$PLATFORM`; AT_PLATFORM, unless the CPU has a better name.
    pub platform: Option<&'a [u8]>,
    /// Whether the process has more rights than its caller (AT_SECURE).
    pub secure: bool,
    /// LD_LIBRARY_PATH, or what replaces it; empty for none.
    pub library_path: &'a [u8],
    /// The executable's directory, which `$ORIGIN` means in `library_path`; empty when it is not known.
    pub origin: &'a [u8],
    /// Whether the cache is to be left alone (`--inhibit-cache`).
    pub inhibit_cache: bool,
    /// Names of objects whose RPATH and RUNPATH do not count, with colons (`--inhibit-rpath`); void in secure mode.
    pub inhibit_rpath: Option<&'a [u8]>,
}

/// An object that may contribute path lists.
#[derive(Clone, Copy, Debug)]
pub struct PathOwner<'a> {
    /// Its place in the link map: its lists are split once.
    pub id: ObjectId,
    /// Its name, as messages and `--inhibit-rpath` know it.
    pub name: &'a [u8],
    /// Its directory, for `$ORIGIN`; empty when it is not known.
    pub origin: &'a [u8],
    /// DT_RPATH.
    pub rpath: Option<&'a [u8]>,
    /// DT_RUNPATH.
    pub runpath: Option<&'a [u8]>,
    /// DF_1_NODEFLIB.
    pub nodeflib: bool,
}

/// What a library is looked for as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A dependency.
    Library,
    /// An argument of dlopen.
    Opened,
    /// LD_PRELOAD and its like: in secure mode only set-user-ID files in default directories.
    Preload,
}

/// The searcher of a process, with what it has learned about directories.
pub struct Search {
    fixed: Fixed,
    inhibit_cache: bool,
    inhibit_rpath: Option<Box<[u8]>>,
    hwcaps: Hwcaps,
    directories: Directories,
    lists: Lists,
    scratch: Scratch,
}

/// What tokens mean, apart from `$ORIGIN`.
struct Fixed {
    system: System,
    root: Root,
    platform: Option<Box<[u8]>>,
    secure: bool,
}

impl Fixed {
    fn tokens<'a>(&'a self, origin: &'a [u8]) -> Tokens<'a> {
        Tokens {
            origin,
            lib: self.system.lib,
            platform: self.platform.as_deref(),
            secure: self.secure,
            trusted: self.system.directories,
        }
    }
}

/// A step of the search; objects are given by their position in the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Rpath(usize),
    LibraryPath,
    Runpath,
    Cache,
    Default,
}

impl Place {
    fn origin<'a>(self, chain: &[PathOwner<'a>]) -> Origin<'a> {
        let name = |at: usize| Cow::Borrowed(chain.get(at).map_or(&b""[..], |owner| owner.name));
        match self {
            Self::Rpath(at) if chain.get(at).is_some_and(|owner| owner.runpath.is_some()) => {
                Origin::Runpath(name(at))
            }
            Self::Rpath(at) => Origin::Rpath(name(at)),
            Self::LibraryPath => Origin::LibraryPath,
            Self::Runpath => Origin::Runpath(name(0)),
            Self::Cache => Origin::Cache,
            Self::Default => Origin::Default,
        }
    }
}

/// The steps in order. They depend on the requester and its chain alone, never on what a step finds.
fn order(
    rules: Rules,
    chain: &[PathOwner<'_>],
    trusted_only: bool,
    inhibit_cache: bool,
) -> impl Iterator<Item = Place> {
    let requester = chain.first();
    let is_musl = rules == Rules::Musl;
    let rpaths = match requester {
        Some(_) if trusted_only => 0,
        Some(requester) if requester.runpath.is_some() && !is_musl => 0,
        _ => chain.len(),
    };
    let default = is_musl || !requester.is_some_and(|requester| requester.nodeflib);
    let library_path = |here: bool| (here && !trusted_only).then_some(Place::LibraryPath);
    library_path(is_musl)
        .into_iter()
        .chain((0..rpaths).map(Place::Rpath))
        .chain(library_path(!is_musl))
        .chain((!trusted_only && !is_musl && requester.is_some()).then_some(Place::Runpath))
        .chain((!trusted_only && !inhibit_cache).then_some(Place::Cache))
        .chain(default.then_some(Place::Default))
}

/// The elements of a path list of musl's: between colons and line ends, where an empty one names nothing.
pub fn musl_elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| b":\n".contains(byte)).filter(|element| !element.is_empty())
}

/// The path lists, split and expanded.
#[derive(Default)]
struct Lists {
    library_path: List,
    default: List,
    objects: BTreeMap<ObjectId, ObjectLists>,
}

struct ObjectLists {
    rpath: List,
    runpath: List,
}

impl Lists {
    fn get(&self, place: Place, chain: &[PathOwner<'_>]) -> &[DirectoryId] {
        let of = |at: usize| chain.get(at).and_then(|owner| self.objects.get(&owner.id));
        match place {
            Place::Rpath(at) => of(at).map_or(&[], |lists| &lists.rpath),
            Place::Runpath => of(0).map_or(&[], |lists| &lists.runpath),
            Place::LibraryPath => &self.library_path,
            Place::Default => &self.default,
            Place::Cache => &[],
        }
    }
}

impl Search {
    /// Splits the lists that do not change.
    #[must_use]
    pub fn new(config: &Config<'_>, hwcaps: Hwcaps) -> Self {
        let mut search = Self {
            fixed: Fixed {
                system: config.system,
                root: config.root.clone(),
                platform: config.platform.map(Box::from),
                secure: config.secure,
            },
            inhibit_cache: config.inhibit_cache || config.system.rules == Rules::Musl,
            inhibit_rpath: config.inhibit_rpath.map(Into::into),
            hwcaps: match config.system.rules {
                Rules::Glibc => hwcaps,
                Rules::Musl => Hwcaps::new(0, b"", None),
            },
            directories: Directories::default(),
            lists: Lists::default(),
            scratch: Scratch::default(),
        };
        search.lists.default =
            search.directories.plain_list(config.system.directories, config.root);
        if !config.secure {
            search.lists.library_path =
                search.split_list(config.library_path, b":;", config.origin, true);
        }
        search
    }

    /// What the tokens stand for in the strings of an object in the given directory.
    #[must_use]
    pub fn tokens<'a>(&'a self, origin: &'a [u8]) -> Tokens<'a> {
        self.fixed.tokens(origin)
    }

    /// The `glibc-hwcaps` subdirectories in use.
    #[must_use]
    pub fn hwcaps(&self) -> &Hwcaps {
        &self.hwcaps
    }

    /// Forgets an object's lists; for one that is unloaded, since its id may come again.
    pub fn forget(&mut self, id: ObjectId) {
        self.lists.objects.remove(&id);
    }

    /// The directories that would be looked into for a name without a slash, in order; those that the cache knows are
    /// not among them. For `--help`, and for dlinfo's RTLD_DI_SERINFO.
    pub fn places<'s>(
        &'s mut self,
        chain: &'s [PathOwner<'_>],
    ) -> impl Iterator<Item = (Origin<'s>, &'s [u8])> {
        self.split(chain);
        let this = &*self;
        order(this.fixed.system.rules, chain, false, true).flat_map(move |place| {
            let list = this.lists.get(place, chain).iter();
            list.map(move |id| (place.origin(chain), this.directories.name(*id)))
        })
    }

    /// Looks for `name` on behalf of the first object of `chain`; then come the object that loaded it and so on, and
    /// the executable is last. An empty chain stands for the command line.
    ///
    /// # Errors
    /// [`Failure::NotFound`] with every place tried, or the error of a file that ends the search.
    pub fn find<F: Files>(
        &mut self,
        files: &mut F,
        name: &[u8],
        chain: &[PathOwner<'_>],
        purpose: Purpose,
    ) -> Result<Found<F::File>, Failure<F::Error>> {
        let mut scratch = core::mem::take(&mut self.scratch);
        let mut opener = Opener::new(files, name, &mut scratch);
        let result = if name.contains(&b'/') {
            self.find_path(&mut opener, chain, purpose)
        } else {
            self.find_name(&mut opener, chain, purpose)
        };
        self.scratch = scratch;
        result
    }

    /// A name with a slash is that path and no other.
    fn find_path<'c, F: Files>(
        &self,
        opener: &mut Opener<'c, F>,
        chain: &[PathOwner<'c>],
        purpose: Purpose,
    ) -> Result<Found<F::File>, Failure<F::Error>> {
        let origin = match purpose {
            Purpose::Library | Purpose::Opened => Origin::Slash,
            Purpose::Preload => Origin::Preload,
        };
        opener.origin = origin.clone();
        let name = opener.name;
        let path = match chain.first() {
            Some(requester) => self.tokens(requester.origin).expand(name),
            None => Some(Cow::Borrowed(name)),
        };
        let Some(path) = path else {
            let attempt = Attempt { path: name.into(), origin, why: Why::NoTokenValue };
            return Err(Failure::NotFound(opener.not_found(chain, alloc::vec![attempt])));
        };
        let mut attempts = Vec::new();
        for path in self.fixed.root.places(path, true) {
            match opener.open(&[&path]) {
                Ok(Ok(file)) => return Ok(opener.found(file, origin)),
                Ok(Err(why)) => {
                    let path = path.into_owned().into();
                    attempts.push(Attempt { path, origin: origin.clone(), why });
                }
                Err(error) => return Err(opener.fatal(error)),
            }
        }
        Err(Failure::NotFound(opener.not_found(chain, attempts)))
    }

    /// A name without a slash is looked for in every place, in order.
    fn find_name<'c, F: Files>(
        &mut self,
        opener: &mut Opener<'c, F>,
        chain: &[PathOwner<'c>],
        purpose: Purpose,
    ) -> Result<Found<F::File>, Failure<F::Error>> {
        let trusted_only = self.fixed.secure && purpose == Purpose::Preload;
        opener.set_user_id_only = trusted_only;
        self.split(chain);
        for place in order(self.fixed.system.rules, chain, trusted_only, self.inhibit_cache) {
            opener.origin = place.origin(chain);
            let looked = match place {
                Place::Cache => self.look_up(opener, chain),
                _ => self.walk(opener, place, chain),
            };
            if let Some(file) = looked.map_err(|error| opener.fatal(error))? {
                return Ok(opener.found(file, place.origin(chain)));
            }
        }
        Err(Failure::NotFound(self.explain(opener, chain)))
    }

    /// Walks one list.
    fn walk<'c, F: Files>(
        &mut self,
        opener: &mut Opener<'c, F>,
        place: Place,
        chain: &[PathOwner<'c>],
    ) -> Result<Option<F::File>, F::Error> {
        let list = self.lists.get(place, chain);
        if list.is_empty() {
            return Ok(None);
        }
        let known = &self.directories;
        let mut present = list.iter().filter(|id| !known.is_absent(**id)).map(|id| known.name(*id));
        opener.files.searching(&opener.origin, &mut present);
        if trace::on(Topics::LIBS) {
            trace::emit(&Event::SearchList {
                origin: &opener.origin,
                directories: &|say| list.iter().for_each(|&id| known.each(id, &self.hwcaps, say)),
            });
        }
        for id in list {
            let why = match opener.look_into(&mut self.directories, *id, &self.hwcaps)? {
                Ok(file) => return Ok(Some(file)),
                Err(why) => why,
            };
            opener.scratch.tries.push((place, Some(*id), why));
            // A file that is there and cannot be opened ends its list, as in ld.so.
            let go_on = [Errno::ENOENT, Errno::EACCES].contains(&opener.errno);
            if why != Why::NoDirectory && !go_on {
                break;
            }
        }
        Ok(None)
    }

    /// Looks into the cache.
    fn look_up<'c, F: Files>(
        &self,
        opener: &mut Opener<'c, F>,
        chain: &[PathOwner<'c>],
    ) -> Result<Option<F::File>, F::Error> {
        opener.files.searching(&Origin::Cache, &mut core::iter::empty());
        if trace::on(Topics::LIBS) {
            let path = CString::new(self.fixed.root.join(cache::PATH.to_bytes()));
            trace::emit(&Event::SearchCache { path: &path.unwrap_or_default() });
        }
        let nodeflib = chain.first().is_some_and(|requester| requester.nodeflib);
        let why = match opener.files.cache() {
            None => Why::NoCache,
            Some(cache) => match cache.lookup(opener.name, &self.hwcaps) {
                None => Why::NotInCache,
                Some(path) if nodeflib && self.is_default(path) => Why::NoDefaultLibraries,
                Some(path) => {
                    opener.scratch.join(&[self.fixed.root.real(), path.to_bytes()]);
                    match opener.open_path()? {
                        Ok(file) => return Ok(Some(file)),
                        Err(why) => why,
                    }
                }
            },
        };
        opener.scratch.tries.push((Place::Cache, None, why));
        Ok(None)
    }

    /// Whether the path lies in a default directory or below it.
    fn is_default(&self, path: &CStr) -> bool {
        let below = |directory: &&[u8]| {
            path.to_bytes().strip_prefix(*directory).is_some_and(|rest| rest.starts_with(b"/"))
        };
        self.fixed.system.directories.iter().any(below)
    }

    /// Whether `--inhibit-rpath` names an object. As under ld.so, an empty name that is not the last of several means
    /// the program.
    fn is_inhibited(&self, owner: &PathOwner<'_>) -> bool {
        let list = self.inhibit_rpath.as_deref().filter(|_| !self.fixed.secure);
        let Some(list) = list.map(|list| list.strip_suffix(b":").unwrap_or(list)) else {
            return false;
        };
        let is_program = owner.id == ObjectId(0);
        let means = |name: &[u8]| name == owner.name || (name.is_empty() && is_program);
        list.split(|byte| *byte == b':').any(means)
    }

    /// Splits the lists of objects that are met for the first time.
    fn split(&mut self, chain: &[PathOwner<'_>]) {
        for owner in chain {
            if self.lists.objects.contains_key(&owner.id) {
                continue;
            }
            let inhibited = self.is_inhibited(owner);
            let counts = |list: Option<_>| list.filter(|_| !inhibited).unwrap_or(&b""[..]);
            let rpath = match self.fixed.system.rules {
                Rules::Glibc => owner.rpath.filter(|_| owner.runpath.is_none()),
                Rules::Musl => owner.runpath.or(owner.rpath),
            };
            let origin = owner.origin;
            let outside = !origin.is_empty() && self.fixed.root.inside(origin).is_none();
            let lists = ObjectLists {
                rpath: self.split_list(counts(rpath), b":", origin, outside),
                runpath: self.split_list(counts(owner.runpath), b":", origin, outside),
            };
            self.lists.objects.insert(owner.id, lists);
        }
    }

    /// An empty list names nothing, though an empty element of a list names the current directory. `outside` says
    /// whether it may name directories outside the root.
    fn split_list(&mut self, raw: &[u8], separators: &[u8], origin: &[u8], outside: bool) -> List {
        if raw.is_empty() {
            return List::default();
        }
        let tokens = self.fixed.tokens(origin);
        let places = (&self.fixed.root, outside);
        match self.fixed.system.rules {
            Rules::Glibc => self.directories.list(raw, separators, &tokens, places),
            Rules::Musl => match musl_elements(raw).collect::<Vec<_>>().join(&b':') {
                named if named.is_empty() => List::default(),
                named => self.directories.list(&named, b":", &tokens, places),
            },
        }
    }

    /// Words for a search that found nothing, from the notes that it took.
    fn explain<F: Files>(
        &self,
        opener: &mut Opener<'_, F>,
        chain: &[PathOwner<'_>],
    ) -> Box<NotFound> {
        let name = opener.name;
        let cache = if self.inhibit_cache { None } else { opener.files.cache() };
        let stale = cache.and_then(|cache| cache.lookup(name, &self.hwcaps));
        let stale = self.fixed.root.join(stale.unwrap_or(cache::PATH).to_bytes());
        let attempts = opener.scratch.tries.iter().map(|(place, id, why)| Attempt {
            path: id.map_or(&*stale, |id| self.directories.name(id)).into(),
            origin: place.origin(chain).into_owned(),
            why: *why,
        });
        let attempts = attempts.collect();
        let cached = cache.is_some();
        let mut not_found = opener.not_found(chain, attempts);
        let searched = self.worth_listing(&opener.scratch.tries, cached);
        let known = (&self.directories, &*searched);
        not_found.near.extend(misses::misses(opener.files, name, cached, known));
        not_found
    }

    /// The directories searched that exist, each once, with what was met there. The cache knows what is in default
    /// directories. What is in a directory that the caller may not read is not told to him.
    fn worth_listing(
        &self,
        tries: &[(Place, Option<DirectoryId>, Why)],
        cached: bool,
    ) -> Vec<(DirectoryId, Why)> {
        let mut list: Vec<(DirectoryId, Why)> = Vec::new();
        for (place, id, why) in tries {
            let listed = !self.fixed.secure
                && *why != Why::NoDirectory
                && !(cached && *place == Place::Default);
            if let Some(id) = id.filter(|id| listed && list.iter().all(|(other, _)| other != id)) {
                list.push((id, *why));
            }
        }
        list
    }
}
