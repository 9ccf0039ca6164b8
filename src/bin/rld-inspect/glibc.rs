//! `libc`: which C library a file is, which of glibc's private layouts it has, and what says so.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use rld::abi::glibc::evidence::{Evidence, LibcView, identify};
use rld::abi::glibc::layout::LAYOUTS;
use rld::abi::musl;
use rld::abi::unknown::{self, Family};
use rld::addr::Vaddr;
use rld::arch::x86_64::RelocationKind;
use rld::elf::note::{build_id, notes};
use rld::elf::segment::Access;
use rld::error::{Error, Result};
use rld::linkmap::Source;
use rld::object::{Object, Role};
use rld::text::Text;
use serde::Serialize;

use super::cli::Arguments;
use super::files::{Disk, OpenFile};
use super::output::{Bytes, Out};
use super::{Failure, Verdict};

pub fn run(arguments: &Arguments, out: &mut Out<'_>) -> std::result::Result<Verdict, Failure> {
    let opened = arguments.operands.iter().map(|file| Libc::open(file));
    let libraries: Vec<_> = opened.collect::<Result<_>>()?;
    let files = arguments.operands.iter().zip(&libraries);
    let answers: Vec<_> =
        files.map(|(file, library)| Answer::new(file.as_bytes(), library)).collect();
    if !out.json {
        answers.iter().try_for_each(|answer| answer.write(out))?;
    }
    let good = answers.iter().all(|answer| answer.refusal.is_none());
    if out.json {
        #[derive(Serialize)]
        struct Document<'d> {
            libraries: Vec<Answer<'d>>,
        }
        out.document("libc", Document { libraries: answers })?;
    }
    Ok(if good { Verdict::Good } else { Verdict::Bad })
}

/// What there is to say of one file.
#[derive(Serialize)]
struct Answer<'a> {
    path: Bytes<'a>,
    /// Which C library it is; `None` for an unknown one, and for what is none.
    family: Option<&'static str>,
    /// Which release of musl's.
    release: Option<Bytes<'a>>,
    /// Why it is not supported.
    refusal: Option<String>,
    /// What shows that it is a C library, where it is not glibc.
    signs: Vec<String>,
    layout: Option<&'static str>,
    builds: Option<&'static str>,
    /// Layouts that are equal in all that libc touches.
    equal: Vec<&'static str>,
    build_id: Option<String>,
    evidence: BTreeMap<&'static str, Option<u32>>,
    #[serde(skip)]
    clues: Vec<(&'static str, Option<u32>)>,
}

impl<'a> Answer<'a> {
    fn new(path: &'a [u8], libc: &'a Libc) -> Self {
        let mut this = Self {
            path: Bytes(path),
            family: None,
            release: None,
            refusal: None,
            signs: Vec::new(),
            layout: None,
            builds: None,
            equal: Vec::new(),
            build_id: None,
            evidence: BTreeMap::new(),
            clues: Vec::new(),
        };
        let digits = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect();
        this.build_id = libc.build_id().map(digits);
        let Some(shown) = unknown::Evidence::of(&libc.object) else {
            this.refusal = Some("not a C library".into());
            return this;
        };
        this.family = shown.family.map(|(_, name, _)| name);
        this.release = shown.release.map(Bytes);
        if shown.family.is_none_or(|(family, ..)| family != Family::Glibc) {
            this.signs = shown.lines();
            if !musl::is_libc(&libc.object) {
                this.refusal = Some("not supported: this C library is not known".into());
            }
            return this;
        }
        match identify(libc) {
            Err(unknown) => this.refusal = Some(format!("not supported: {unknown}")),
            Ok(layout) => {
                this.layout = Some(&*layout.label);
                this.builds = Some(&*layout.builds);
                let equal = LAYOUTS.iter().filter(|other| other.exchange == layout.exchange);
                let equal = equal.filter(|other| other.label != layout.label);
                this.equal = equal.map(|other| &*other.label).collect();
            }
        }
        this.clues = clues(&Evidence::collect(libc)).into();
        this.evidence = this.clues.iter().copied().collect();
        this
    }

    fn write(&self, out: &mut Out<'_>) -> std::io::Result<()> {
        let paint = out.paint();
        let path = Text(self.path.0);
        match &self.refusal {
            Some(refusal) => writeln!(out, "{path}: {}", paint.bad(refusal))?,
            None => writeln!(out, "{path}: {}", paint.good("supported"))?,
        }
        self.signs.iter().try_for_each(|sign| writeln!(out, "  {sign}"))?;
        if self.refusal.is_some() && !self.signs.is_empty() {
            writeln!(out, "  {}\n  {}", unknown::known(), unknown::REPORT)?;
        }
        if self.layout.is_none() {
            return Ok(());
        }
        writeln!(out, "  layout:   {}", self.layout.unwrap_or_default())?;
        writeln!(out, "  builds:   {}", self.builds.unwrap_or_default())?;
        if !self.equal.is_empty() {
            writeln!(out, "  equal to: {}, in all that libc touches", self.equal.join(", "))?;
        }
        if let Some(digits) = &self.build_id {
            writeln!(out, "  build-id: {digits}")?;
        }
        writeln!(out, "  evidence:")?;
        self.clues.iter().try_for_each(|(clue, found)| match found {
            Some(found) => writeln!(out, "    {clue} = {found}"),
            None => writeln!(out, "    {clue}: nothing"),
        })
    }
}

/// The evidence with names for people.
fn clues(evidence: &Evidence) -> [(&'static str, Option<u32>); 14] {
    let Evidence {
        minor,
        errors_in_libc,
        link_map_tls_modid,
        link_map_tls_offset,
        link_map_local_scope,
        slotinfo_list,
        stack_user,
        stack_used,
        sizeof_pthread,
        pthread_list,
        pthread_tid,
        mcount,
        find_object,
        sysinfo_map,
    } = *evidence;
    [
        ("minor release", minor),
        ("_dl_signal_error in libc.so.6", errors_in_libc),
        ("link_map.l_tls_modid", link_map_tls_modid),
        ("link_map.l_tls_offset", link_map_tls_offset),
        ("link_map.l_local_scope", link_map_local_scope),
        ("rtld_global.tls_dtv_slotinfo_list", slotinfo_list),
        ("rtld_global.stack_user", stack_user),
        ("rtld_global.stack_used", stack_used),
        ("size of pthread", sizeof_pthread),
        ("pthread.list", pthread_list),
        ("pthread.tid", pthread_tid),
        ("rtld_global_ro.mcount", mcount),
        ("rtld_global_ro.find_object", find_object),
        ("rtld_global_ro.sysinfo_map", sysinfo_map),
    ]
}

/// A library in a file.
struct Libc {
    file: OpenFile,
    object: Object<'static>,
}

impl Libc {
    fn open(path: &OsStr) -> Result<Self> {
        let words = "a path cannot hold a NUL byte";
        let name = CString::new(path.as_bytes());
        let name = name.map_err(|_| Error::words(path.as_bytes(), words))?;
        let mut disk = Disk::default();
        let file = disk.open_named(&name)?;
        let mapped = disk.load(&name, file)?;
        let object = Object::parse(name, Role::Library, *mapped)?;
        Ok(Self { file, object })
    }
}

impl LibcView for Libc {
    fn symbol(&self, name: &[u8]) -> Option<u64> {
        let exports = &self.object.exports;
        let mut symbols = exports.symbols.slice(0, exports.count()).iter();
        let found =
            symbols.find(|symbol| !symbol.is_undefined() && exports.strings.is(symbol.name, name));
        found.map(|symbol| symbol.value)
    }

    fn bytes(&self, vaddr: u64, len: usize) -> Option<&[u8]> {
        self.object.image.bytes(Vaddr(vaddr), u64::try_from(len).ok()?)
    }

    fn build_id(&self) -> Option<&[u8]> {
        // All notes count, also where PT_GNU_PROPERTY has made the object forget the others.
        const PT_NOTE: u32 = 4;
        self.file
            .headers()
            .iter()
            .filter(|header| header.kind == PT_NOTE)
            .find_map(|header| build_id(notes(self.file.contents(&header)?, header.align)))
    }

    fn rtld_global_ro_got(&self) -> Option<u64> {
        let exports = &self.object.exports;
        let slot = self.object.relocations.rela.iter().find(|relocation| {
            RelocationKind::from_number(relocation.kind) == Some(RelocationKind::GlobDat)
                && exports
                    .symbols
                    .get(relocation.symbol as usize)
                    .is_some_and(|symbol| exports.strings.is(symbol.name, b"_rtld_global_ro"))
        });
        slot.map(|slot| slot.offset.0)
    }

    fn rodata(&self) -> Option<&[u8]> {
        let image = &self.object.image;
        let constant = image.segments().filter(|segment| segment.access == Access::READ).last()?;
        image.bytes(constant.vaddr, constant.filesz)
    }
}
