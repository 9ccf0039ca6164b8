//! Runs one program to its end: captured output, a time limit, and where wanted a private mount
//! namespace or another user.

use std::ffi::{CString, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::loader;
use super::scratch;

/// prctl(2): memory that was not executable may not become so, and none may be writable at once (Linux 6.3).
const PR_SET_MDWE: libc::c_int = 65;
const PR_MDWE_REFUSE_EXEC_GAIN: libc::c_ulong = 1;

/// A system call that fails, made so by seccomp(2).
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    pub call: libc::c_long,
    /// Which argument decides, which of its bits, and what they must be.
    pub argument: (usize, u32, u32),
    pub errno: libc::c_int,
}

/// A program to run, with everything that it can observe of its start.
#[derive(Clone)]
pub struct Run {
    /// What is executed; a relative path is relative to `dir`.
    pub program: OsString,
    /// argv[0], where it differs from `program`.
    pub arg0: Option<OsString>,
    pub args: Vec<OsString>,
    /// Additions to the small fixed environment of all runs.
    pub env: Vec<(OsString, OsString)>,
    /// The working folder, also HOME and TMPDIR.
    pub dir: PathBuf,
    pub stdin: Option<PathBuf>,
    /// The loader to run as a command with `program` as its first argument.
    pub direct: Option<PathBuf>,
    /// Where that loader searches first (`--library-path`).
    pub library_path: Option<OsString>,
    /// What is mounted where, in a namespace of the run's own: a loader over the system's, for one.
    pub mounts: Vec<(PathBuf, PathBuf)>,
    /// The folder that becomes the root, with `/tmp` as the working folder; `dir` is outside it.
    pub root: Option<PathBuf>,
    /// The user and group to become.
    pub user: Option<u32>,
    /// Nothing that was not may become executable (PR_SET_MDWE).
    pub nothing_executable: bool,
    /// A system call that is refused.
    pub refused: Option<Refused>,
    /// The most bytes of address space (RLIMIT_AS).
    pub memory: Option<u64>,
    pub limit: Duration,
}

impl Run {
    pub fn new(program: impl Into<OsString>, dir: &Path) -> Self {
        Self {
            program: program.into(),
            arg0: None,
            args: Vec::new(),
            env: Vec::new(),
            dir: dir.to_owned(),
            stdin: None,
            direct: None,
            library_path: None,
            mounts: Vec::new(),
            root: None,
            user: None,
            nothing_executable: false,
            refused: None,
            memory: None,
            limit: Duration::from_secs(60),
        }
    }

    /// Mounts a loader over the system's.
    pub fn over_system(&mut self, loader: impl Into<PathBuf>) {
        self.mounts.push((loader.into(), loader::system().to_owned()));
    }

    /// The command, complete but for what happens between fork and exec.
    pub fn command(&self) -> io::Result<Command> {
        let mut command = match &self.direct {
            Some(loader) => {
                let mut command = Command::new(loader);
                if let Some(path) = &self.library_path {
                    command.arg("--library-path").arg(path);
                }
                command.arg(&self.program);
                command
            }
            None => {
                let mut command = Command::new(&self.program);
                if let Some(arg0) = &self.arg0 {
                    command.arg0(arg0);
                }
                command
            }
        };
        command
            .args(&self.args)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("HOME", &self.dir)
            .env("TMPDIR", &self.dir)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.dir)
            .process_group(0)
            .stdin(match &self.stdin {
                Some(path) => Stdio::from(File::open(path)?),
                None => Stdio::null(),
            });
        if let Some(id) = self.user {
            command.uid(id).gid(id);
        }
        Ok(command)
    }
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Exit(i32),
    Signal(i32),
    /// It was killed after its time limit.
    TimedOut,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Exit(status) => write!(f, "exit status {status}"),
            End::Signal(signal) => write!(f, "signal {signal}"),
            End::TimedOut => write!(f, "a time-out"),
        }
    }
}

/// What is left of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    pub end: End,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// The same outcome with `text` replaced in both streams: for paths that legitimately differ.
    #[must_use]
    pub fn replacing(mut self, text: &str, by: &str) -> Self {
        self.stdout = self.stdout.replace(text, by);
        self.stderr = self.stderr.replace(text, by);
        self
    }

    /// The first line of stderr, without its newline.
    pub fn first_error(&self) -> &str {
        self.stderr.lines().next().unwrap_or("")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.end)?;
        for (stream, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            for line in text.lines() {
                writeln!(f, "    {stream}| {line}")?;
            }
        }
        Ok(())
    }
}

/// Runs to the end. An error means that the program could not be started at all.
pub fn run(run: &Run) -> io::Result<Outcome> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    // Files, not pipes: a grandchild that outlives the program must not hold up the test.
    let name = |stream| scratch::base().join(format!("{}-{number}.{stream}", std::process::id()));
    let (stdout, stderr) = (name("stdout"), name("stderr"));
    let mut command = run.command()?;
    command.stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
    before_exec(&mut command, run);
    let end = wait(&mut command, run.limit);
    let read = |path: &Path| {
        let bytes = fs::read(path);
        let _ = fs::remove_file(path);
        bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let (stdout, stderr) = (read(&stdout), read(&stderr));
    Ok(Outcome { end: end?, stdout: stdout?, stderr: stderr? })
}

/// Starts the child, again where its file is busy: another thread's child may hold, from its fork to
/// its exec, a descriptor with which this thread wrote the file.
fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut attempts = 0;
    loop {
        match command.spawn() {
            Err(e) if e.kind() == io::ErrorKind::ExecutableFileBusy && attempts < 100 => {
                attempts += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

fn wait(command: &mut Command, limit: Duration) -> io::Result<End> {
    let mut child = spawn(command)?;
    let group = child.id() as libc::pid_t;
    let kill_group = || {
        // SAFETY: the group is the child's own (process_group above); no other process is in it.
        unsafe { libc::kill(-group, libc::SIGKILL) }
    };
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            kill_group();
            let end = status.code().map(End::Exit).or(status.signal().map(End::Signal));
            return end.ok_or_else(|| io::Error::other(format!("strange status {status:?}")));
        }
        if start.elapsed() > limit {
            kill_group();
            child.wait()?;
            return Ok(End::TimedOut);
        }
        let pause = start.elapsed() / 10;
        std::thread::sleep(pause.clamp(Duration::from_micros(300), Duration::from_millis(20)));
    }
}

/// Installs what happens in the child between fork and exec: no core files, other limits, mounts, another root.
fn before_exec(command: &mut Command, run: &Run) {
    // Everything is prepared here: after fork, in a process that had threads, nothing may allocate.
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).expect("paths hold no NUL");
    let (nothing_executable, memory) = (run.nothing_executable, run.memory);
    let mut filter = run.refused.map(Refused::filter);
    let mounts: Vec<_> = run.mounts.iter().map(|(what, at)| (text(what), text(at))).collect();
    let new_root = run.root.as_deref().map(text);
    let root = loader::is_root();
    // SAFETY: these two have no preconditions.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let maps = [
        (c"/proc/self/setgroups", "deny".to_owned()),
        (c"/proc/self/uid_map", format!("{uid} {uid} 1")),
        (c"/proc/self/gid_map", format!("{gid} {gid} 1")),
    ];
    let prepare = move || {
        let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `no_core` is a valid rlimit.
        check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &no_core) })?;
        if let Some(bytes) = memory {
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            // SAFETY: `limit` is a valid rlimit.
            check(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) })?;
        }
        if nothing_executable {
            // SAFETY: no pointers.
            check(unsafe { libc::prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) })?;
        }
        if let Some(filter) = &mut filter {
            let program =
                libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
            let mode = libc::SECCOMP_MODE_FILTER;
            // SAFETY: the first has no pointers; the second's program lives as long as the call.
            unsafe {
                check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
                check(libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program))?;
            }
        }
        if mounts.is_empty() {
            return Ok(());
        }
        // An ordinary user gets the right to mount from a user namespace, where the ids stay as
        // they are so that programs print the same.
        let user = if root { 0 } else { libc::CLONE_NEWUSER };
        // SAFETY: the child has one thread.
        check(unsafe { libc::unshare(libc::CLONE_NEWNS | user) })?;
        if !root {
            for (path, line) in &maps {
                write_file(path, line.as_bytes())?;
            }
        }
        let private = libc::MS_REC | libc::MS_PRIVATE;
        let none = std::ptr::null();
        // SAFETY: all paths end in NUL, and no data is passed.
        unsafe {
            check(libc::mount(none, c"/".as_ptr(), none, private, none.cast()))?;
            for (what, place) in &mounts {
                let flags = libc::MS_BIND | libc::MS_REC;
                check(libc::mount(what.as_ptr(), place.as_ptr(), none, flags, none.cast()))?;
            }
            if let Some(root) = &new_root {
                check(libc::chroot(root.as_ptr()))?;
                check(libc::chdir(c"/tmp".as_ptr()))?;
            }
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls only and allocates nothing.
    unsafe { command.pre_exec(prepare) };
}

impl Refused {
    /// The filter, in the classic BPF that the kernel asks at every system call: offsets are those in
    /// `struct seccomp_data`, all processors of this system have one machine's numbers.
    fn filter(self) -> [libc::sock_filter; 7] {
        const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
        const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        const MASK: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
        const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
        let (index, mask, value) = self.argument;
        let step = |code: u32, jf, k| libc::sock_filter { code: code as u16, jt: 0, jf, k };
        [
            step(LOAD, 0, 0),
            step(EQUAL, 4, self.call as u32),
            step(LOAD, 0, 16 + 8 * index as u32),
            step(MASK, 0, mask),
            step(EQUAL, 1, value),
            step(RETURN, 0, libc::SECCOMP_RET_ERRNO | self.errno as u32),
            // Where both comparisons lead that fail.
            step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
        ]
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn write_file(path: &std::ffi::CStr, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: `path` ends in NUL, `bytes` is valid for its length, the descriptor is ours.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        check(fd)?;
        let written = libc::write(fd, bytes.as_ptr().cast(), bytes.len());
        let error = io::Error::last_os_error();
        libc::close(fd);
        if written == bytes.len() as isize { Ok(()) } else { Err(error) }
    }
}
