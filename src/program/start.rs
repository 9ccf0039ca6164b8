//! From the kernel's stack to the program's entry point: one line per stage.
//!
//! # Safety
//!
//! [`start`] runs once, on the initial stack, before any other code of the process.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::string::String;
use core::ffi::CStr;
use core::fmt::Write;

use super::command::{self, Job};
use super::live::Live;
use super::terms::{Entry, Own, STDERR, Stop, program_name};
use super::{
    Process, adopt, answers, audit, checks, listing, preload, prepare, ready, recording, relocate,
    sysroot, tracing, tree,
};
use crate::abi::glibc::{self, cpu};
use crate::abi::musl;
use crate::abi::unknown;
use crate::addr::{Addr, ObjectId};
use crate::arch::vector_state;
use crate::cli::Command;
use crate::env::tunables::Values;
use crate::env::{self, Settings};
use crate::error::Report;
use crate::init::older;
use crate::linkmap::{LinkMap, Linker};
use crate::object::Object;
use crate::sys::stack::InitialStack;
use crate::sys::{file, process};
use crate::tls::thread;
use crate::trace::{self, Event, Stage, Topics};

/// Exit status of a program that cannot be started.
const CANNOT_START: i32 = 127;
/// Brings the program to its entry point; ends the process where that cannot be done.
///
/// # Safety
/// `stack` is what the kernel has left in the stack pointer; rld is relocated.
pub unsafe fn start(stack: *mut u64, own: &Own) -> Entry {
    // SAFETY: as the caller promises.
    let mut stack = unsafe { InitialStack::new(stack) };
    // SAFETY: as the caller promises.
    match unsafe { run(&mut stack, own) } {
        Ok(entry) => {
            trace::tell(Topics::REQUESTS, || Event::Entry { address: entry.address });
            trace::flush();
            entry
        }
        Err(Stop::Exit(status)) => {
            trace::flush();
            process::exit(status)
        }
        Err(Stop::Errors(errors)) => {
            let program = program_name(&stack);
            let mut text = String::new();
            for error in &errors {
                let _ = write!(text, "{}", Report { program, error });
            }
            let words = text.trim_end();
            trace::tell(Topics::REQUESTS, || Event::Failed { words: &words });
            trace::flush();
            file::write_all(STDERR, text.as_bytes());
            process::exit(CANNOT_START)
        }
    }
}

/// # Safety
/// As for [`start`].
unsafe fn run(stack: &mut InitialStack, own: &Own) -> Result<Entry, Stop> {
    // Rights first: in secure mode what the caller chose is removed before any of it is parsed; only where LD_PRELOAD
    // stands is remembered.
    let secure = env::secure(stack.aux(libc::AT_SECURE));
    let mut settings = Settings::parse(stack.environment().map(CStr::to_bytes), secure);
    if secure {
        stack.remove_environment(|variable| {
            env::split_variable(variable).is_some_and(|(name, _)| env::unsafe_variable(name))
        });
    }
    if settings.show_auxv {
        answers::auxiliary_vector(stack);
    }
    let topics = tracing::answer(&settings)?;
    let job = Job::new(stack, own, secure, &settings)?;
    if settings.profile.is_some() {
        answers::profile(&job, stack, &settings);
    }
    recording::begin(&settings, &job, stack);
    tracing::begin(topics, &settings, job.program_name(stack));
    settings.bind_now |= trace::on(Topics::UNUSED);
    tracing::begins(Stage::Start);
    let values = match secure {
        true => Values::default(),
        false => Values::from_environment(stack.environment().map(CStr::to_bytes)),
    };
    let cpu = cpu::detect(&cpu::Native, &glibc::cpu_tunables(&values, cpu::DETECTED));

    // The program: mapped by the kernel, or named on the command line.
    answers::give(&job, stack, &cpu, &values, &settings)?;
    let root = job.sysroot().or(settings.sysroot).map(sysroot::root).transpose()?;
    let mut live = Live::new(root.unwrap_or_default());
    settings.audit.extend(job.audit());
    let program = job.program(stack, &mut live, &cpu)?;
    // The option counts more than the variable, which ldd(1) uses.
    let traced = settings.trace_loaded_objects && !job.lists();
    let only_a_list = traced || job.lists();
    let as_tree = job.command() == Command::Tree;
    if !only_a_list {
        command::check_not_the_loader(&program)?;
    }
    let asks_for_names = job.lists() && stack.argc() > 1;
    if command::runs_alone(&program) && !as_tree && !asks_for_names {
        return command::alone(program, only_a_list);
    }
    let name = program_name(stack);
    let is_musl = musl::is_for(&program);
    let system = match is_musl {
        true => musl::system(sysroot::contents(live.root(), &musl::path_file(&program))),
        false => sysroot::system(live.root()),
    };
    let searching = job.searching(stack, &settings, &cpu, system, live.root());
    let origin = command::origin_if_needed(&program, &settings, &searching, &job);
    let mut search = Box::new(searching.make(&origin));

    // The link map: the program, what the kernel and rld bring, what is preloaded, what is needed.
    let mut map = LinkMap::default();
    map.objects.older_order = older::is_asked_for(&values);
    let program = what_is_there(&mut map, program, stack, own, &job)?;
    if trace::on(Topics::TIMES) {
        recording::begin_map(&map, &job);
    }
    let mut linker = Linker {
        program: name,
        origin: &origin,
        // The option ends at the first that is missing; the variable goes on.
        lists_absent: traced,
        ..Linker::new(&mut map, &mut search, &mut live)
    };
    if cpu.xsave_area.is_some() {
        vector_state::use_xsave();
    }
    if is_musl {
        let given = job.musl_libc().or(settings.musl_libc);
        musl::find(&mut linker, program, given)?;
    }
    if as_tree {
        let preload = preload::names(&settings, &job, searching.root(), secure, is_musl);
        return Err(tree::print(linker, program, &preload, stack));
    }
    let list = only_a_list.then(|| {
        let names = stack.arguments().skip(1).filter(|_| !traced).map(CStr::to_bytes).collect();
        listing::List { settings: &settings, program: name, traced, names }
    });
    let auditors = linker.map.get(program);
    let auditors = auditors.map(|it| audit::load::wanted(&settings, it, secure, is_musl));
    let auditors = auditors.unwrap_or_default();
    if !auditors.is_empty()
        && let Some(layout) = audit::start::layout(&mut linker, &auditors)
    {
        searching.give_back(search);
        map.objects.older_order |= layout.minor < older::SINCE_MINOR;
        let auditors_count = u16::try_from(auditors.len()).unwrap_or(u16::MAX);
        let plan = prepare::Plan {
            layout: Some(layout),
            libc: None,
            auditors: auditors_count,
            executable_stack: false,
            cpu: &cpu,
            settings: &settings,
            values,
        };
        let found = audit::start::Found {
            stack,
            own,
            job: &job,
            settings: &settings,
            names: &auditors,
            list: list.as_ref(),
            secure,
        };
        // SAFETY: the one thread of the process has no thread pointer yet.
        let process = unsafe { found.start(map, plan, searching)? };
        // SAFETY: everything is relocated.
        return unsafe { finish(process, program) };
    }
    tracing::begins(Stage::Load);
    let preloaded = preload::all(&mut linker, &settings, &job, searching.root(), secure);
    linker.load_dependencies(program, &preloaded)?;
    map.list_hosted();
    tracing::ends(Stage::Load);
    live.forget_cache();
    searching.give_back(search);
    if let Some(list) = list {
        return Err(list.answer(&map, &audit::listed::Listed::default()));
    }

    // What must hold before anything is written.
    checks::versions(&map, name)?;
    checks::instruction_sets(map.in_search_order().map(|(_, it)| it), cpu.isa_1, name)?;
    let glibc = if is_musl { None } else { glibc::identify(&map)? };
    map.objects.older_order |= glibc.is_some_and(|glibc| glibc.layout.minor < older::SINCE_MINOR);
    unknown::check_start(&map, glibc.map(|glibc| glibc.libc).or(map.hosted()), name)?;
    let executable_stack = !is_musl && checks::stack(&map, stack, job.is_direct())?;

    // Thread-local storage, the thread pointer, and what libc will read.
    let plan = prepare::Plan {
        layout: glibc.map(|glibc| glibc.layout),
        libc: glibc.map(|glibc| glibc.libc).or(map.hosted()),
        auditors: 0,
        executable_stack,
        cpu: &cpu,
        settings: &settings,
        values,
    };
    // SAFETY: the one thread of the process has no thread pointer yet.
    let process = unsafe { plan.carry_out(map, stack, own, searching)? };

    // Words, resolvers, copies; then the images of thread-local variables, which hold relocated words.
    tracing::initial_scopes(process);
    tracing::begins(Stage::Relocate);
    // SAFETY: no code of the program has run.
    unsafe { relocate::all(process)? };
    tracing::ends(Stage::Relocate);
    // SAFETY: the main thread's DTV has room for all modules; then everything is relocated.
    unsafe {
        match &process.facts.musl {
            None => thread::initialise(process.facts.main_thread),
            Some(musl) => musl.fill_blocks(&process.world().tls, process.facts.main_thread),
        }
        finish(process, program)
    }
}

/// The last steps before the program's entry point.
///
/// # Safety
/// Everything is relocated.
unsafe fn finish(process: &'static Process, program: ObjectId) -> Result<Entry, Stop> {
    // SAFETY: as the caller promises.
    unsafe { ready::make(process)? };
    let address = process.world().map.get(program).map_or(Addr(0), |program| program.entry);
    Ok(Entry { address, finaliser: process.facts.musl.is_none() })
}

/// Enters what is mapped already: the program, and what the kernel and rld bring. Objects are large, and are moved in
/// this frame only.
#[inline(never)]
fn what_is_there(
    map: &mut LinkMap<'static>,
    program: Object<'static>,
    stack: &InitialStack,
    own: &Own,
    job: &Job,
) -> Result<ObjectId, Stop> {
    let (interpreter, is_musl) = (program.interpreter(), musl::is_for(&program));
    let program = map.add(program);
    if let Some(vdso) = adopt::vdso(stack) {
        map.add(vdso);
    }
    let loader = map.add(adopt::loader(own.header, job.loader_name(interpreter))?);
    // What programs of musl name means their C library, even where it is rld.
    if let Some(interpreter) = interpreter.filter(|_| !is_musl) {
        map.alias(LinkMap::BASE, loader, interpreter.to_bytes());
    }
    Ok(program)
}
