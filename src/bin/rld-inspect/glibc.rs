//! `libc`: which of glibc's private layouts a libc.so.6 has, and what says so.

use std::ffi::{CString, OsStr};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use rld::abi::glibc::evidence::{Evidence, LibcView, identify};
use rld::abi::glibc::layout::LAYOUTS;
use rld::addr::Vaddr;
use rld::arch::x86_64::RelocationKind;
use rld::elf::note::{build_id, notes};
use rld::elf::segment::Access;
use rld::error::{Error, Result};
use rld::linkmap::Source;
use rld::object::{Object, Role};

use super::cli::Arguments;
use super::files::{Disk, OpenFile};
use super::{Failure, Verdict};

pub fn run(arguments: &Arguments, out: &mut dyn Write) -> std::result::Result<Verdict, Failure> {
    let mut verdict = Verdict::Good;
    for file in &arguments.operands {
        let libc = Libc::open(file)?;
        if show(&file.to_string_lossy(), &libc, out)? == Verdict::Bad {
            verdict = Verdict::Bad;
        }
    }
    Ok(verdict)
}

fn show(name: &str, libc: &Libc, out: &mut dyn Write) -> std::io::Result<Verdict> {
    if libc.symbol(b"gnu_get_libc_version").is_none() {
        writeln!(out, "{name}: not glibc's libc.so.6")?;
        return Ok(Verdict::Bad);
    }
    let layout = match identify(libc) {
        Ok(layout) => layout,
        Err(unknown) => {
            writeln!(out, "{name}: not supported: {unknown}")?;
            return Ok(Verdict::Bad);
        }
    };
    writeln!(
        out,
        "{name}: supported\n  layout:   {}\n  builds:   {}",
        layout.label, layout.builds
    )?;
    let equals = LAYOUTS.iter().filter(|other| other.exchange == layout.exchange);
    let equals = equals.filter(|other| other.label != layout.label).map(|other| other.label);
    let equals: Vec<_> = equals.collect();
    if !equals.is_empty() {
        writeln!(out, "  equal to: {}, in all that libc touches", equals.join(", "))?;
    }
    if let Some(id) = libc.build_id() {
        let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(out, "  build-id: {digits}")?;
    }
    writeln!(out, "  evidence:")?;
    for (clue, found) in clues(&Evidence::collect(libc)) {
        match found {
            Some(found) => writeln!(out, "    {clue} = {found}")?,
            None => writeln!(out, "    {clue}: nothing")?,
        }
    }
    Ok(Verdict::Good)
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
