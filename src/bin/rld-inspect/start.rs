//! A program with all its objects, brought together as the loader would, and how each of them was found.

use std::env;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rld::abi::glibc::cpu;
use rld::abi::musl;
use rld::addr::ObjectId;
use rld::elf::dynamic::Flags1;
use rld::elf::header::Kind;
use rld::elf::segment::Segment;
use rld::env::{Settings, preload_file_names, preload_names};
use rld::error::{Error, Result};
use rld::linkmap::requests::Requests;
use rld::linkmap::{LOADER_SONAME, LinkMap, Linker, Source};
use rld::object::{Object, Role, dirname};
use rld::search::{Config, Hwcaps, Search, System, Tokens};
use rld::text::Text;

use super::Failure;
use super::cli::Arguments;
use super::files::{Disk, OpenFile};
use super::root::{Root, path};

/// What decides, beside the program, which objects are loaded.
pub struct Environment {
    /// Where paths start from.
    pub root: Root,
    system: System,
    processor: cpu::CpuFeatures,
    library_path: Vec<u8>,
    preload: Vec<Vec<u8>>,
    inhibit_cache: bool,
    /// LD_DYNAMIC_WEAK.
    dynamic_weak: bool,
    /// RLD_MUSL_LIBC.
    musl_libc: Option<Vec<u8>>,
}

impl Environment {
    /// The environment that the user describes. Variables describe this machine: they count for no other root. Of two
    /// environments, `side` is the one that is meant: what is said of it alone comes last.
    pub fn new(arguments: &Arguments, side: Option<Side>) -> std::result::Result<Self, Failure> {
        let values = |option: &str| -> Vec<&OsStr> {
            let own = side.map(|side| format!("{}-{option}", side.letter()));
            let all = arguments.values(option);
            all.chain(own.iter().flat_map(|own| arguments.values(own))).collect()
        };
        let root = values("sysroot").pop().map_or_else(|| Ok(Root::default()), Root::new)?;
        let variables: Vec<_> = env::vars_os()
            .filter(|_| !root.is_foreign())
            .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
            .collect();
        let settings = Settings::parse(variables.iter().map(Vec::as_slice), false);
        let library_path = values("library-path").pop().map(OsStr::as_bytes);
        let library_path = library_path.or(settings.library_path).unwrap_or_default();
        let lists = settings.preload.into_iter();
        let lists = lists.chain(values("preload").into_iter().map(OsStr::as_bytes));
        let disk = Disk::new(root.clone());
        let file = disk.read(path(b"/etc/ld.so.preload"));
        let preload = lists.flat_map(|list| preload_names(list, false));
        Ok(Self {
            system: system(&disk, &root),
            processor: cpu::detect(&cpu::Native, &cpu::Tunables::default()),
            library_path: library_path.to_vec(),
            preload: preload.chain(preload_file_names(&file)).map(<[u8]>::to_vec).collect(),
            inhibit_cache: !values("inhibit-cache").is_empty(),
            dynamic_weak: settings.dynamic_weak,
            musl_libc: settings.musl_libc.map(<[u8]>::to_vec),
            root,
        })
    }
}

impl Environment {
    /// What tokens stand for, apart from `$ORIGIN`.
    pub fn tokens(&self) -> Tokens<'_> {
        let platform = Some(self.platform());
        let System { lib, directories, .. } = self.system;
        Tokens { origin: b"", lib, platform, secure: false, trusted: directories }
    }

    /// The directories that the system trusts.
    pub const fn system_directories(&self) -> &'static [&'static [u8]] {
        self.system.directories
    }

    fn platform(&self) -> &'static [u8] {
        self.processor.platform.map_or(b"x86_64", |name| name.to_bytes())
    }
}

/// One of two environments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    A,
    B,
}

impl Side {
    /// What its options begin with.
    pub const fn letter(self) -> char {
        match self {
            Self::A => 'a',
            Self::B => 'b',
        }
    }
}

/// A program that could be started, or almost.
pub struct Start {
    pub map: LinkMap<'static>,
    /// The program's path, as the user gave it.
    pub program: Vec<u8>,
    /// In the order in which the loader makes them.
    pub requests: Requests,
    /// LD_DYNAMIC_WEAK.
    pub dynamic_weak: bool,
}

/// The program's place in the link map.
pub const PROGRAM: ObjectId = ObjectId(0);

impl Start {
    /// Loads the program that a user has named, in the one environment there is.
    pub fn of(program: &OsStr, arguments: &Arguments) -> std::result::Result<Self, Failure> {
        let environment = Environment::new(arguments, None)?;
        let mut disk = Disk::new(environment.root.clone());
        Ok(Self::new(program, &environment, &mut disk)?)
    }

    /// Loads a program with what it needs. What is missing does not end it: it stands in the search list as absent.
    pub fn new(program: &OsStr, environment: &Environment, disk: &mut Disk) -> Result<Self> {
        let program = environment.root.operand(program).into_vec();
        let mut map = LinkMap::default();
        disk.begin();
        add_program_and_loader(&mut map, disk, &program, &environment.root)?;

        // The kernel names an executable by what its links lead to.
        let real = disk.canonicalize(path(&program));
        let origin = real.as_deref().map_or(&b""[..], dirname);
        let processor = &environment.processor;
        let path_file = map.get(PROGRAM).filter(|it| musl::is_for(it)).map(musl::path_file);
        let is_musl = path_file.is_some();
        let system = path_file.map(|file| {
            let text = disk.read(path(file.to_bytes()));
            musl::system(Some(text).filter(|text| !text.is_empty()))
        });
        let config = Config {
            system: system.unwrap_or(environment.system),
            root: &rld::root::Root::MACHINE,
            platform: Some(environment.platform()),
            secure: false,
            library_path: &environment.library_path,
            origin,
            inhibit_cache: environment.inhibit_cache,
            inhibit_rpath: None,
        };
        let levels = (1 << processor.isa_level()) - 1;
        let mut search = Search::new(&config, Hwcaps::new(levels, b"", None));
        let mut linker =
            Linker { program: &program, origin, ..Linker::new(&mut map, &mut search, disk) };
        if is_musl
            && let Err(error) = musl::find(&mut linker, PROGRAM, environment.musl_libc.as_deref())
        {
            // It is missed again as what the program needs.
            log::info!("no C library: {error}");
        }
        let requests = Requests::make(&mut linker, PROGRAM, &environment.preload)?;
        linker.map.list_hosted();
        let dynamic_weak = environment.dynamic_weak;
        Ok(Self { map, program, requests, dynamic_weak })
    }

    /// The loader that the program names.
    pub fn interpreter(&self) -> Option<&'static [u8]> {
        let program = self.map.get(PROGRAM)?;
        let segment = program.segments.interp?;
        let path = program.image.bytes(segment.vaddr, segment.filesz)?;
        path.strip_suffix(b"\0")
    }

    /// Whether it is a program, not a library, that starts without a loader.
    pub fn is_static(&self) -> bool {
        self.map.get(PROGRAM).is_some_and(|program| {
            let pie = program.dynamic.flags_1.contains(Flags1::PIE);
            (program.kind == Kind::Fixed || pie) && program.segments.interp.is_none()
        })
    }

    /// An object's path; the program's, as the user gave it.
    pub fn path(&self, id: ObjectId) -> &[u8] {
        self.map.get(id).map_or(b"?", |object| object.display_name(&self.program))
    }

    /// The same, for people.
    pub fn name(&self, id: ObjectId) -> Text<'_> {
        Text(self.path(id))
    }
}

/// The distribution's directories, as far as the root shows whose it is.
fn system(disk: &Disk, root: &Root) -> System {
    let is_dir = |directory: &CStr| {
        let metadata = disk.metadata(path(directory.to_bytes()));
        metadata.is_ok_and(|metadata| metadata.is_dir())
    };
    match is_dir(c"/lib/x86_64-linux-gnu") {
        _ if root.is_foreign() => System::of_root(is_dir),
        true => System::DEBIAN,
        false => System::LIB64,
    }
}

fn add_program_and_loader(
    map: &mut LinkMap<'static>,
    disk: &mut Disk,
    path: &[u8],
    root: &Root,
) -> Result<()> {
    let name =
        CString::new(path).map_err(|_| Error::words(path, "a path cannot hold a NUL byte"))?;
    let file = disk.open_named(&name)?;
    let mapped = disk.load(&name, file)?;
    let loader = find_loader(disk, &file, mapped.segments.interp.as_ref(), root);
    let program = Object::parse(CString::default(), Role::Program, *mapped);
    map.add(program.map_err(|error| Error { object: path.to_vec(), ..error })?);
    if let Some(loader) = loader {
        map.add(loader);
    }
    Ok(())
}

/// The object that stands for rld: the program's own interpreter if it is glibc's, whose symbols its libc expects; else
/// rld itself, where it is installed beside this tool in the same root.
fn find_loader(
    disk: &mut Disk,
    program: &OpenFile,
    interp: Option<&Segment>,
    root: &Root,
) -> Option<Object<'static>> {
    let interp = interp.and_then(|interp| program.contents(interp));
    let interp = interp.and_then(|path| path.strip_suffix(b"\0"));
    let tool = env::current_exe().ok().filter(|_| !root.is_foreign());
    let beside = tool.map(|tool| tool.with_file_name("rld"));
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
