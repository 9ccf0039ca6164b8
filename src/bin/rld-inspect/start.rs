//! A program with all its objects, brought together as the loader would, and how each of them was found.

use std::env;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rld::abi::glibc::cpu;
use rld::addr::ObjectId;
use rld::elf::dynamic::Dependency;
use rld::env::{Settings, preload_file_names, preload_names};
use rld::error::{Error, Result};
use rld::linkmap::{LOADER_SONAME, LinkMap, Linker, Source};
use rld::object::{Object, Role, dirname};
use rld::search::{Config, Hwcaps, Origin, Purpose, Search, System};
use rld::text::Text;

use super::cli::Arguments;
use super::files::{Disk, OpenFile, path};

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
pub struct Request {
    pub requester: Requester,
    pub name: Vec<u8>,
    pub outcome: Result<(ObjectId, Rule)>,
}

/// A program that could be started, or almost.
pub struct Start {
    pub map: LinkMap<'static>,
    /// The program's path, as the user gave it.
    pub program: Vec<u8>,
    /// In the order in which the loader makes them.
    pub requests: Vec<Request>,
    /// LD_DYNAMIC_WEAK.
    pub dynamic_weak: bool,
}

/// The program's place in the link map.
pub const PROGRAM: ObjectId = ObjectId(0);

impl Start {
    /// Loads a program with what it needs. What is missing does not end it.
    pub fn new(program: &OsStr, arguments: &Arguments) -> Result<Self> {
        let variables: Vec<_> = env::vars_os()
            .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
            .collect();
        let settings = Settings::parse(variables.iter().map(Vec::as_slice), false);
        let program = program.as_bytes();

        let mut disk = Disk::default();
        let mut map = LinkMap::default();
        add_program_and_loader(&mut map, &mut disk, program)?;

        // The kernel names an executable by what its links lead to.
        let real = path(program).canonicalize().map(|path| path.into_os_string().into_vec());
        let origin = real.as_deref().map_or(&b""[..], dirname);
        let processor = cpu::detect(&cpu::Native, &cpu::Tunables::default());
        let config = Config {
            system: system(),
            platform: Some(processor.platform.map_or(b"x86_64", |name| name.to_bytes())),
            secure: false,
            library_path: arguments
                .value("library-path")
                .map(OsStr::as_bytes)
                .or(settings.library_path)
                .unwrap_or_default(),
            origin,
            inhibit_cache: arguments.has("inhibit-cache"),
            inhibit_rpath: b"",
        };
        let levels = (1 << processor.isa_level()) - 1;
        let mut search = Search::new(&config, Hwcaps::new(levels, b"", None));
        let linker = Linker {
            map: &mut map,
            space: LinkMap::BASE,
            no_load: false,
            search: &mut search,
            source: &mut disk,
            program,
            origin,
            lists_absent: false,
        };

        let file = std::fs::read("/etc/ld.so.preload").unwrap_or_default();
        let lists = arguments.values("preload").map(OsStr::as_bytes);
        let lists = settings.preload.into_iter().chain(lists);
        let preload = lists.flat_map(|list| preload_names(list, false));
        let preload: Vec<_> = preload.chain(preload_file_names(&file)).collect();
        let requests = Walk { linker, requests: Vec::new() }.run(&preload)?;
        let dynamic_weak = settings.dynamic_weak;
        Ok(Self { map, program: program.to_vec(), requests, dynamic_weak })
    }

    /// The errors of requests that were not met.
    pub fn missing(&self) -> impl Iterator<Item = &Error> {
        self.requests.iter().filter_map(|request| request.outcome.as_ref().err())
    }

    /// An object's name for people.
    pub fn name(&self, id: ObjectId) -> Text<'_> {
        Text(self.map.get(id).map_or(b"?", |object| object.display_name(&self.program)))
    }
}

/// The distribution's directories, as far as the machine shows whose it is.
fn system() -> System {
    match path(b"/lib/x86_64-linux-gnu").is_dir() {
        true => System::DEBIAN,
        false => System::LIB64,
    }
}

fn add_program_and_loader(map: &mut LinkMap<'static>, disk: &mut Disk, path: &[u8]) -> Result<()> {
    let name =
        CString::new(path).map_err(|_| Error::words(path, "a path cannot hold a NUL byte"))?;
    let file = disk.open_named(&name)?;
    let mapped = disk.load(&name, file)?;
    let loader = find_loader(disk, &file, mapped.segments.interp.as_ref());
    let program = Object::parse(CString::default(), Role::Program, *mapped);
    map.add(program.map_err(|error| Error { object: path.to_vec(), ..error })?);
    if let Some(loader) = loader {
        map.add(loader);
    }
    Ok(())
}

/// The object that stands for rld: the program's own interpreter if it is glibc's, whose symbols its libc expects; else
/// rld itself, where it is installed beside this tool.
fn find_loader(
    disk: &mut Disk,
    program: &OpenFile,
    interp: Option<&rld::elf::segment::Segment>,
) -> Option<Object<'static>> {
    let interp = interp.and_then(|interp| program.contents(interp));
    let interp = interp.and_then(|path| path.strip_suffix(b"\0"));
    let beside = env::current_exe().ok().map(|tool| tool.with_file_name("rld"));
    let beside = beside.map(|path| path.into_os_string().into_vec());
    [interp.map(<[u8]>::to_vec), beside].into_iter().flatten().find_map(|path| {
        let name = CString::new(path).ok()?;
        let file = disk.open_named(&name).and_then(|file| disk.load(&name, file));
        let parsed = file.and_then(|mapped| Object::parse(name.clone(), Role::Loader, *mapped));
        match parsed {
            Ok(object) if object.soname == Some(LOADER_SONAME) => Some(object),
            Ok(_) => {
                log::debug!("{}: not a loader for glibc", Text(name.to_bytes()));
                None
            }
            Err(error) => {
                log::info!("no loader: {error}");
                None
            }
        }
    })
}

/// [`Linker::load_dependencies`] stops at the first request that fails; this walk, in the same order, notes it.
struct Walk<'l> {
    linker: Linker<'l, 'static, Disk>,
    requests: Vec<Request>,
}

impl Walk<'_> {
    fn run(mut self, preload: &[&[u8]]) -> Result<Vec<Request>> {
        let mut list = vec![PROGRAM];
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
        if self.requests.iter().all(|request| request.outcome.is_ok()) {
            self.linker.load_dependencies(PROGRAM, &preloaded)?;
        }
        Ok(self.requests)
    }

    fn request(&mut self, requester: Requester, name: &[u8], list: &mut Vec<ObjectId>) {
        let (asking, purpose, path) = match requester {
            Requester::Object(id) => (Some(id), Purpose::Library, Origin::Slash),
            Requester::Preload => (None, Purpose::Preload, Origin::Preload),
        };
        let before = self.linker.map.objects.ids();
        self.linker.source.walking = None;
        let opened = self.linker.open(name, asking, purpose);
        let outcome = opened.map(|id| {
            if !list.contains(&id) {
                list.push(id);
            }
            let is_loader = self.linker.map.by_role(Role::Loader) == Some(id);
            let rule = match self.linker.source.walking.take() {
                _ if is_loader => Rule::Loader,
                _ if id.index() < before => Rule::AlreadyLoaded,
                Some(origin) => Rule::Found(origin),
                None => Rule::Found(path),
            };
            (id, rule)
        });
        self.requests.push(Request { requester, name: name.to_vec(), outcome });
    }
}
