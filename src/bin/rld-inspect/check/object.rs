//! What can be said of one object by itself.

use std::ffi::CString;
use std::os::unix::fs::MetadataExt;

use rld::elf::dynamic::{Dependency, Flags};
use rld::elf::segment::Access;
use rld::object::{Object, Role};
use rld::search::{Files, Tokens};
use rld::text::Text;

use super::finding::Finding;
use super::finding::Kind::*;
use super::finding::Severity::{Error, Note, Warning};
use crate::inspect::files::Disk;
use crate::inspect::root::path;
use crate::inspect::start::Environment;

/// Everybody may write.
const OTHERS_WRITE: u32 = 0o002;

/// Looks at an object.
pub struct Inspector<'i> {
    pub environment: &'i Environment,
    pub disk: &'i mut Disk,
    pub object: &'i Object<'static>,
    /// Its path.
    pub name: &'i [u8],
    /// Its directory, for `$ORIGIN`.
    pub origin: &'i [u8],
    /// It runs with more rights than its caller has.
    pub privileged: bool,
    pub findings: Vec<Finding>,
}

impl Inspector<'_> {
    pub fn run(mut self) -> Vec<Finding> {
        self.segments();
        self.thread_local_storage();
        self.dependencies();
        self.paths();
        self.findings
    }

    fn segments(&mut self) {
        let segments = &self.object.segments;
        let is = |severity, kind, message: &str| {
            Finding::whole(self.name, (severity, kind), message.to_owned())
        };
        let mut new = Vec::new();
        if self.object.dynamic.flags.contains(Flags::TEXTREL) {
            let message = "has relocations in its code, which is written to and not shared";
            new.push(is(Warning, TextRelocations, message));
        }
        match segments.stack {
            None => {
                let message = "does not say that its stack need not be executable (PT_GNU_STACK)";
                new.push(is(Warning, ExecutableStack, message));
            }
            Some(access) if access.contains(Access::EXECUTE) => {
                new.push(is(Warning, ExecutableStack, "asks for an executable stack"));
            }
            Some(_) => {}
        }
        let both = Access::WRITE | Access::EXECUTE;
        if segments.loads.iter().any(|load| load.access.contains(both)) {
            let message = "has a segment that is writable and executable";
            new.push(is(Warning, WritableCode, message));
        }
        self.findings.extend(new);
    }

    /// Of libraries alone, and not of libc: what is there from the start takes nothing from what is opened.
    fn thread_local_storage(&mut self) {
        let is_static = self.object.dynamic.flags.contains(Flags::STATIC_TLS);
        let Some(block) = self.object.segments.tls.filter(|_| is_static) else { return };
        let is_libc = self.object.soname == Some(b"libc.so.6");
        if self.object.role == Role::Library && !is_libc {
            let message = format!(
                "takes {} bytes of static TLS, of which dlopen(3) has little to give",
                block.memsz
            );
            self.findings.push(Finding::whole(self.name, (Note, StaticTls), message));
        }
    }

    fn dependencies(&mut self) {
        let names = self.object.needed_names().unwrap_or_default();
        let by_path =
            |(how, name): &(Dependency, &[u8])| *how == Dependency::Needed && name.contains(&b'/');
        for (_, name) in names.into_iter().filter(by_path) {
            let message = format!("needs {} by its path, and finds it nowhere else", Text(name));
            let finding = Finding::new(self.name, (Warning, DependencyByPath), name, message);
            self.findings.push(finding);
        }
    }

    fn paths(&mut self) {
        let dynamic = &self.object.dynamic;
        let rpath = self.object.string(dynamic.rpath);
        let runpath = self.object.string(dynamic.runpath);
        match (rpath, runpath) {
            (Some(ignored), Some(list)) => {
                if ignored != list {
                    let message = format!("has an RPATH that its RUNPATH voids: {}", Text(ignored));
                    let about = (Warning, RpathIgnored);
                    self.findings.push(Finding::new(self.name, about, ignored, message));
                }
                self.list("RUNPATH", list);
            }
            (None, Some(list)) => self.list("RUNPATH", list),
            (Some(list), None) => self.list("RPATH", list),
            (None, None) => {}
        }
    }

    fn list(&mut self, what: &str, list: &[u8]) {
        // An empty list is as none.
        for element in list.split(|&byte| byte == b':').filter(|_| !list.is_empty()) {
            self.element(what, element);
        }
    }

    fn element(&mut self, what: &str, element: &[u8]) {
        let shown = Text(element);
        // Whoever can write there has code of theirs run with the program's rights.
        let severity = if self.privileged { Error } else { Warning };
        let mut add = |about, message| {
            self.findings.push(Finding::new(self.name, about, element, message));
        };
        if element.is_empty() {
            let message = format!("has an empty element in its {what}: the current directory");
            return add((severity, EmptyPath), message);
        }
        if !matches!(element.first(), Some(b'/' | b'$')) {
            let message = format!(
                "has {shown} in its {what}, which starts from whatever the current directory is"
            );
            return add((severity, RelativePath), message);
        }
        let tokens = Tokens { origin: self.origin, ..self.environment.tokens() };
        let Some(directory) = tokens.expand(element) else { return };
        let system = self.environment.system_directories();
        if element.first() == Some(&b'/')
            && !system.iter().any(|root| path(&directory).starts_with(path(root)))
        {
            let message = format!("has {shown} in its {what}, which other machines need not have");
            add((Note, AbsolutePath), message);
        }
        let there = CString::new(directory.to_vec()).is_ok_and(|name| self.disk.is_dir(&name));
        if !there {
            add((Note, AbsentPath), format!("has {shown} in its {what}, which is no directory"));
        }
        // Where it is not there, whoever can write above can make it.
        let place = path(&directory).ancestors().find_map(|place| {
            let metadata = self.disk.metadata(place).ok()?;
            Some((place, metadata))
        });
        if let Some((place, metadata)) = place
            && metadata.mode() & OTHERS_WRITE != 0
        {
            let message = match there {
                true => format!("has {shown} in its {what}, where everybody may write"),
                false => format!(
                    "has {shown} in its {what}, which everybody may make in {}",
                    place.display()
                ),
            };
            add((severity, WorldWritablePath), message);
        }
    }
}
