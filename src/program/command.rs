//! Which program: the one that the kernel has mapped, or the one that the command line names.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

use super::live::Live;
use super::searching::{self, Searching};
use super::terms::{Entry, Own, STDERR, STDOUT, Stop, platform, program_name};
use super::{adopt, installed, meant, sysroot};
use crate::abi::glibc::cpu::{self, CpuFeatures};
use crate::abi::musl;
use crate::addr::Addr;
use crate::cli::{Command, Options};
use crate::elf::Malformed;
use crate::elf::dynamic::Flags1;
use crate::elf::header::Kind;
use crate::env::{Settings, split_variable};
use crate::errno::Errno;
use crate::error::{Error, Problem};
use crate::linkmap::{LOADER_SONAME, LinkMap, Source};
use crate::object::{Object, Role};
use crate::root::Root;
use crate::search::{Failure, Files, Purpose, Refusal, System, Unsuitable, has_token};
use crate::sys::file;
use crate::sys::stack::InitialStack;
use crate::text::Text;
use crate::trace::{self, Event, Topics};

/// What rld calls itself where no program's PT_INTERP names it.
pub const DEFAULT_LOADER_NAME: &CStr = c"/lib64/ld-linux-x86-64.so.2";
/// Exit status of a command line that makes no sense, as ld.so has it.
const BAD_USAGE: i32 = 1;
/// The same of glibc's loaders up to 2.32 without any arguments, by which Debian's ldd(1) of those days knows a loader.
const SHOWN: i32 = 127;
/// Exit status of `--verify`, which ldd(1) asks for, for a dynamically linked file that names no loader.
const NO_INTERPRETER: i32 = 2;
/// The same for what is not dynamically linked, or cannot be loaded at all.
const NOT_VERIFIED: i32 = 1;

/// How rld was started, and what for.
pub struct Job {
    /// The command line; `None` when the kernel has started rld as a program's interpreter.
    options: Option<Options>,
    /// rld's path in that case.
    own_name: Option<&'static CStr>,
    own_header: Addr,
    secure: bool,
}

impl Job {
    /// Reads the command line, if it is rld's.
    ///
    /// # Errors
    /// It makes no sense, which is said.
    #[inline(never)]
    pub fn new(
        stack: &InitialStack,
        own: &Own,
        secure: bool,
        settings: &Settings<'_>,
    ) -> Result<Self, Stop> {
        let own_header = own.header;
        let job = Self { options: None, own_name: None, own_header, secure };
        if stack.aux(libc::AT_ENTRY) != Some(own.entry.0) {
            return Ok(job);
        }
        let path = stack.arguments().next();
        let own_name = Text(program_name(stack));
        let options = Options::parse(stack.arguments()).map_err(|usage| {
            let text = alloc::format!(
                "{own_name}: {usage}\nTry '{own_name} --help' for more information.\n"
            );
            file::write_all(STDERR, text.as_bytes());
            let is_asked_to_show_itself = stack.argc() == 1 && job.shows_itself(stack, settings);
            Stop::Exit(if is_asked_to_show_itself { SHOWN } else { BAD_USAGE })
        })?;
        Ok(Self { options: Some(options), own_name: path, own_header, secure })
    }

    /// Whether the installed glibc's ld.so ends with [`SHOWN`] where it has no arguments: up to 2.32.
    #[cold]
    fn shows_itself(&self, stack: &InitialStack, settings: &Settings<'_>) -> bool {
        let Ok(root) = settings.sysroot.map(sysroot::root).transpose() else { return false };
        let cpu = cpu::detect(&cpu::Native, &cpu::Tunables::default());
        let mut live = Live::new(root.unwrap_or_default());
        let layout = installed::layout(self, stack, settings, &cpu, &mut live);
        layout.is_some_and(|layout| layout.minor < 33)
    }

    /// What the program will see as its name.
    #[must_use]
    pub fn program_name(&self, stack: &InitialStack) -> &'static [u8] {
        let options = self.options.as_ref();
        let given = options.and_then(|it| Some(it.argv0.unwrap_or(it.program?.1).to_bytes()));
        given.unwrap_or_else(|| program_name(stack))
    }

    /// What rld is called in the list of objects: how the user called it, or else how the program does.
    #[must_use]
    pub fn loader_name<'n>(&self, interpreter: Option<&'n CStr>) -> &'n CStr {
        self.own_name.or(interpreter).unwrap_or(DEFAULT_LOADER_NAME)
    }

    /// Whether rld maps the program itself.
    #[must_use]
    pub const fn is_direct(&self) -> bool {
        self.options.is_some()
    }

    /// What is asked for.
    #[must_use]
    pub fn command(&self) -> Command {
        self.options.as_ref().map_or(Command::Run, |options| options.command)
    }

    /// Whether the dependencies are to be shown.
    #[must_use]
    pub fn lists(&self) -> bool {
        matches!(self.command(), Command::List | Command::Tree)
    }

    /// `--musl-libc`.
    #[must_use]
    pub fn musl_libc(&self) -> Option<&'static [u8]> {
        Some(self.options.as_ref()?.musl_libc?.to_bytes())
    }

    /// `--preload`.
    #[must_use]
    pub fn preload(&self) -> Option<&'static CStr> {
        self.options.as_ref()?.preload
    }

    /// The values of `--audit`, which count like LD_AUDIT's.
    pub fn audit(&self) -> impl Iterator<Item = &'static [u8]> {
        self.options.iter().flat_map(|options| options.audit.iter().map(|list| list.to_bytes()))
    }

    /// `--sysroot`.
    #[must_use]
    pub fn sysroot(&self) -> Option<&'static [u8]> {
        Some(self.options.as_ref()?.sysroot?.to_bytes())
    }

    /// `--trace`.
    #[must_use]
    pub fn trace(&self) -> Option<&'static [u8]> {
        Some(self.options.as_ref()?.trace?.to_bytes())
    }

    /// The path of the program that is to be started or listed, if the command line names it; and its arguments, as
    /// long as the stack is the kernel's. Nothing, where another thing is asked for.
    pub fn program_and_arguments(
        &self,
        stack: &InitialStack,
    ) -> Option<(Option<&'static CStr>, impl Iterator<Item = &'static CStr>)> {
        let (position, path, name) = match &self.options {
            None => (0, None, None),
            Some(Options {
                command: Command::Run | Command::List | Command::Tree,
                program,
                argv0,
                ..
            }) => {
                let (position, path) = (*program)?;
                (position + 1, Some(path), Some(argv0.unwrap_or(path)))
            }
            Some(_) => return None,
        };
        Some((path, name.into_iter().chain(stack.arguments().skip(position))))
    }

    /// How libraries are found.
    #[must_use]
    pub fn searching(
        &self,
        stack: &InitialStack,
        settings: &Settings<'_>,
        cpu: &CpuFeatures,
        system: System,
        root: &Root,
    ) -> Searching {
        let option = |get: fn(&Options) -> Option<&'static CStr>| {
            self.options.as_ref().and_then(get).map(|text| text.to_bytes().to_vec())
        };
        let library_path = option(|options| options.library_path);
        let library_path = library_path.or(settings.library_path.map(<[u8]>::to_vec));
        let platform = cpu.platform.or_else(|| platform(stack));
        Searching::new(searching::Settings {
            system,
            secure: self.secure,
            root: root.clone(),
            is_direct: self.is_direct(),
            platform: platform.map(|name| name.to_bytes().to_vec()),
            library_path: library_path.unwrap_or_default(),
            origin_path: settings.origin_path.unwrap_or_default().to_vec(),
            inhibit_cache: self.options.as_ref().is_some_and(|options| options.inhibit_cache),
            inhibit_rpath: option(|options| options.inhibit_rpath),
            hwcaps_prepend: option(|options| options.hwcaps_prepend).unwrap_or_default(),
            hwcaps_mask: option(|options| options.hwcaps_mask),
            isa: (1 << cpu.isa_level()) - 1,
        })
    }

    /// The program. On the command line's behalf it is mapped here, and the stack is made what the kernel would have
    /// left: arguments without rld's own, an auxiliary vector that describes the program.
    ///
    /// # Errors
    /// It is not found or cannot be loaded.
    #[inline(never)]
    pub fn program(
        &self,
        stack: &mut InitialStack,
        live: &mut Live,
        cpu: &CpuFeatures,
    ) -> Result<Object<'static>, Stop> {
        let Some(options) = &self.options else {
            return Ok(adopt::program(stack, program_name(stack))?);
        };
        let Some((position, path)) = options.program else { return Err(Stop::Exit(BAD_USAGE)) };
        stack.remove_arguments(position);
        let (name, program) = match live.root().is_foreign() {
            true => self.open_below(stack, path, live, cpu),
            false => (path, self.open(stack, path, live, cpu)),
        };
        if options.command == Command::Verify {
            return Err(Stop::Exit(program.map_or(NOT_VERIFIED, |program| verdict(&program))));
        }
        let program = program?;
        stack.set_program_name(options.argv0.unwrap_or(name));
        // What names no interpreter, and may be one, is started without.
        let base = program.segments.interp.map_or(0, |_| self.own_header.0);
        for (kind, value) in [
            (libc::AT_PHDR, program.phdr.0),
            (libc::AT_PHNUM, program.phnum.into()),
            (libc::AT_ENTRY, program.entry.0),
            (libc::AT_BASE, base),
            (libc::AT_EXECFN, name.as_ptr() as u64),
        ] {
            stack.set_aux(kind, value);
        }
        Ok(program)
    }

    /// The program below another root, and the path by which the machine knows it.
    #[cold]
    fn open_below(
        &self,
        stack: &InitialStack,
        operand: &'static CStr,
        live: &mut Live,
        cpu: &CpuFeatures,
    ) -> (&'static CStr, Result<Object<'static>, Stop>) {
        let paths = sysroot::programs(live.root(), operand, path_variable(stack));
        let found = paths.iter().find(|path| sysroot::is_there(live.root(), path));
        // A name without a slash may still be that of a library.
        let path = found.or(paths.first()).filter(|_| found.is_some() || is_path(operand));
        let path = path.map_or(operand, |path| Box::leak(path.clone().into_boxed_c_str()));
        let mut program = self.open(stack, path, live, cpu);
        if let (None, Err(Stop::Errors(errors))) = (found, &mut program)
            && let Some(error) = errors.first_mut()
        {
            let others = paths.iter().filter(|other| **other != *path);
            let tried = others.map(|path| alloc::format!("tried {}", Text(path.to_bytes())));
            error.details.extend(tried);
        }
        (path, program)
    }

    fn open(
        &self,
        stack: &InitialStack,
        path: &CStr,
        live: &mut Live,
        cpu: &CpuFeatures,
    ) -> Result<Object<'static>, Stop> {
        let name = path.to_bytes();
        let (file, path) = if is_path(path) {
            let words = "cannot open shared object file";
            let file = live.open(path).map_err(|refusal| match refusal {
                Refusal::Absent(errno) => Error::system(name, words, errno),
                Refusal::Unsuitable(why @ Unsuitable::WrongClass) => {
                    Error::new(name, Problem::Sentence(alloc::format!("{why}")))
                }
                // ld.so goes on looking, even for a path, and then has not found it.
                Refusal::Unsuitable(why @ Unsuitable::WrongMachine) => {
                    Error::system(name, words, Errno::ENOENT).with(why)
                }
                Refusal::Fatal(error) => error,
            })?;
            let path = live.path(&file).unwrap_or_else(|| path.into());
            (file, path)
        } else {
            // As ld.so has it, a name without a slash is looked for where libraries are.
            let root = live.root();
            let system = sysroot::system(root);
            let search = self.searching(stack, &Settings::default(), cpu, system, root);
            let mut search = search.make(b"");
            let found = search.find(live, name, &[], Purpose::Library);
            let found = found.map_err(|failure| match failure {
                Failure::Fatal { error, .. } => error,
                Failure::NotFound(not_found) => {
                    let tried = not_found.attempts.iter();
                    let mut error = Error::words(name, "cannot open shared object file");
                    error.details.extend(tried.map(|attempt| alloc::format!("tried {attempt}")));
                    if !live.root().is_foreign() {
                        error.details.extend(meant::advice(name, path_variable(stack)));
                    }
                    error
                }
            })?;
            (found.file, found.path)
        };
        let since = trace::now();
        trace::tell(Topics::FILES, || {
            let space = LinkMap::BASE;
            Event::MapBegins { name, path: path.to_bytes(), space }
        });
        let mut mapped = live.load(&path, file)?;
        // The kernel would have mapped it; under ld.so such a program is no file that a library could be the same as.
        mapped.identity = None;
        let mut program = Object::parse(path, Role::Program, *mapped)?;
        if !program.name.to_bytes().starts_with(b"/") {
            program.set_relative_to(&live.current_dir());
        }
        program.become_nameless();
        trace::tell(Topics::FILES, || program.mapped(since));
        Ok(program)
    }
}

/// Whether a name is a path, and not looked for.
fn is_path(name: &CStr) -> bool {
    name.to_bytes().contains(&b'/')
}

/// PATH: for advice, and for programs of another root.
fn path_variable(stack: &InitialStack) -> &'static [u8] {
    let variables = stack.environment().filter_map(|it| split_variable(it.to_bytes()));
    variables.into_iter().find(|(name, _)| *name == b"PATH").map_or(b"", |(_, value)| value)
}

/// A loader would write over the words that it starts with, and has no program to start.
///
/// # Errors
/// The program is a loader, as its DT_SONAME says.
pub fn check_not_the_loader(program: &Object<'_>) -> Result<(), Error> {
    match program.string(program.dynamic.soname) {
        Some(LOADER_SONAME) => Err(Error::new(LOADER_SONAME, Problem::Itself)),
        _ => Ok(()),
    }
}

/// Where a program starts that needs no loader.
///
/// # Errors
/// It has no entry point; or its dependencies were asked for, of which there are none.
#[cold]
pub fn alone(program: Object<'_>, only_a_list: bool) -> Result<Entry, Stop> {
    if only_a_list {
        file::write_all(STDOUT, b"\tstatically linked\n");
        return Err(Stop::Exit(0));
    }
    if !program.image.is_code(program.entry) {
        let malformed =
            Malformed::new("the program has no entry point", "e_entry", program.entry.0);
        return Err(Error::malformed(b"", malformed).into());
    }
    let address = program.entry;
    // Its memory stays.
    core::mem::forget(program);
    Ok(Entry { address, finaliser: false })
}

/// The answer to `--verify`.
fn verdict(program: &Object<'_>) -> i32 {
    match (program.segments.dynamic, program.segments.interp) {
        (None, _) => NOT_VERIFIED,
        (_, None) => NO_INTERPRETER,
        (_, Some(_)) => 0,
    }
}

/// Whether a program relocates itself and needs nothing: a static one, position-independent or not, or musl's loader,
/// to start another.
#[must_use]
pub fn runs_alone(program: &Object<'_>) -> bool {
    let dynamic = program.segments.dynamic.is_some();
    let needs_loader = program.segments.interp.is_some() || !program.dynamic.needed.is_empty();
    let is_executable =
        program.kind == Kind::Fixed || program.dynamic.flags_1.contains(Flags1::PIE);
    !dynamic || (!needs_loader && (is_executable || musl::is_libc(program)))
}

/// The program's directory, if a string with `$ORIGIN` may ask for it; finding it out costs a system call.
#[must_use]
pub fn origin_if_needed(
    program: &Object<'_>,
    settings: &Settings<'_>,
    searching: &Searching,
    job: &Job,
) -> Vec<u8> {
    let strings = [
        program.string(program.dynamic.rpath),
        program.string(program.dynamic.runpath),
        Some(searching.library_path()),
        settings.preload,
        job.preload().map(CStr::to_bytes),
    ];
    let needed = program.needed_names().unwrap_or_default();
    let mut strings = strings.into_iter().flatten().chain(needed.into_iter().map(|(_, name)| name));
    // Whether the program lies in another root decides about its lists.
    match searching.root().is_foreign() || strings.any(has_token) {
        true => searching.origin_of(program),
        false => Vec::new(),
    }
}
