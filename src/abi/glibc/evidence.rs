//! Which layout a mapped libc.so.6 was built with, from evidence in the library itself (contract 0).
//!
//! Sources: the descriptors `_thread_db_*` that glibc keeps for libthread_db (2.34 and later), and the code of a few
//! exported functions that name an offset. The version alone decides nothing: layouts change inside a release.

use super::code::{Seen, follow};
use super::layout::{ErrorsIn, LAYOUTS, Layout};
use crate::abi::unknown::REPORT;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// What the choice may look at: a libc.so.6, mapped or in a file, not yet relocated.
///
/// Addresses are those of the object itself, without load bias.
pub trait LibcView {
    /// The value of a symbol that the library defines, in any version.
    fn symbol(&self, name: &[u8]) -> Option<u64>;
    /// `len` bytes at an address, if all of them belong to the library's file contents.
    fn bytes(&self, vaddr: u64, len: usize) -> Option<&[u8]>;
    /// The descriptor of NT_GNU_BUILD_ID.
    fn build_id(&self) -> Option<&[u8]>;
    /// The address of the GOT slot that is relocated to `_rtld_global_ro`; without it any slot is taken for it.
    fn rtld_global_ro_got(&self) -> Option<u64>;
    /// The read-only segment with constants, which holds the version banner. Asked for only when no layout fits.
    fn rodata(&self) -> Option<&[u8]>;
}

/// What was found in a libc.so.6. `None`: not there, or not understood.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// The minor release that `gnu_get_libc_version` returns: 36 for 2.36.
    pub minor: Option<u32>,
    /// Whether libc.so.6 defines `_dl_signal_error`, 1 or 0 (contract 7.1).
    pub errors_in_libc: Option<u32>,
    /// Offset of `l_tls_modid` in a link map.
    pub link_map_tls_modid: Option<u32>,
    /// Offset of `l_tls_offset` in a link map.
    pub link_map_tls_offset: Option<u32>,
    /// Offset of `l_local_scope` in a link map, from the resolver of `gettimeofday` (up to 2.40).
    pub link_map_local_scope: Option<u32>,
    /// Offset of GL(tls_dtv_slotinfo_list).
    pub slotinfo_list: Option<u32>,
    /// Offset of GL(stack_user).
    pub stack_user: Option<u32>,
    /// Offset of GL(stack_used).
    pub stack_used: Option<u32>,
    /// Size of `struct pthread`.
    pub sizeof_pthread: Option<u32>,
    /// Offset of `list` in `struct pthread`.
    pub pthread_list: Option<u32>,
    /// Offset of `tid` in `struct pthread`.
    pub pthread_tid: Option<u32>,
    /// Offset of GLRO(mcount), from `_dl_mcount_wrapper`.
    pub mcount: Option<u32>,
    /// Offset of GLRO(find_object), from `_dl_find_object` (2.35 and later).
    pub find_object: Option<u32>,
    /// Offset of GLRO(sysinfo_map), from the resolver of `gettimeofday` (up to 2.40).
    pub sysinfo_map: Option<u32>,
}

impl Evidence {
    /// Collects what `libc` shows.
    #[must_use]
    pub fn collect(libc: &impl LibcView) -> Self {
        // A descriptor: size in bits, number of elements, offset in bytes.
        let field = |name: &[u8]| word(libc, libc.symbol(name)?.checked_add(8)?);
        let goes = |name: &[u8]| {
            follow(libc, libc.symbol(name)?, |seen| match seen {
                Seen::Goes { through } => Some(through),
                _ => None,
            })
        };
        let scope = libc.symbol(b"gettimeofday").and_then(|resolver| {
            follow(libc, resolver, |seen| match seen {
                Seen::Inside { of, at } => Some((of, at)),
                _ => None,
            })
        });
        Self {
            minor: minor(libc),
            errors_in_libc: Some(libc.symbol(b"_dl_signal_error").is_some().into()),
            link_map_tls_modid: field(b"_thread_db_link_map_l_tls_modid"),
            link_map_tls_offset: field(b"_thread_db_link_map_l_tls_offset"),
            link_map_local_scope: scope.map(|(_, at)| at),
            slotinfo_list: field(b"_thread_db_rtld_global__dl_tls_dtv_slotinfo_list"),
            stack_user: field(b"_thread_db_rtld_global__dl_stack_user"),
            stack_used: field(b"_thread_db_rtld_global__dl_stack_used"),
            sizeof_pthread: libc
                .symbol(b"_thread_db_sizeof_pthread")
                .and_then(|symbol| word(libc, symbol)),
            pthread_list: field(b"_thread_db_pthread_list"),
            pthread_tid: field(b"_thread_db_pthread_tid"),
            mcount: goes(b"_dl_mcount_wrapper"),
            find_object: goes(b"_dl_find_object"),
            sysinfo_map: scope.map(|(of, _)| of),
        }
    }
}

/// A 32-bit word of the library.
fn word(libc: &impl LibcView, vaddr: u64) -> Option<u32> {
    libc.bytes(vaddr, 4)?.try_into().ok().map(u32::from_le_bytes)
}

/// NN of the "2.NN" or "2.NN.9000" that `gnu_get_libc_version` returns.
fn minor(libc: &impl LibcView) -> Option<u32> {
    let text = follow(libc, libc.symbol(b"gnu_get_libc_version")?, |seen| match seen {
        Seen::Returns { address } => Some(address),
        _ => None,
    })?;
    let text = libc.bytes(text, 5)?.strip_prefix(b"2.")?;
    let digits = text.iter().take_while(|c| c.is_ascii_digit());
    let number = digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    (number > 0).then_some(number)
}

/// One piece of evidence: its name, and where it stands in the evidence and in a layout.
struct Clue {
    name: &'static str,
    found: fn(&Evidence) -> Option<u32>,
    known: fn(&Layout) -> Option<u32>,
}

macro_rules! clues {
    ($($found:ident: $name:literal = $known:expr;)*) => {
        [$(Clue {
            name: $name,
            found: |evidence| evidence.$found,
            known: |layout| { let known: fn(&Layout) -> Option<u16> = $known; known(layout).map(u32::from) },
        }),*]
    };
}

static CLUES: [Clue; 14] = clues! {
    minor: "minor release" = |l| Some(l.minor);
    errors_in_libc: "_dl_signal_error in libc.so.6" =
        |l| Some((l.contract.errors_in == ErrorsIn::Libc).into());
    link_map_tls_modid: "link_map.l_tls_modid" = |l| Some(l.link_map.l_tls_modid);
    link_map_tls_offset: "link_map.l_tls_offset" = |l| Some(l.link_map.l_tls_offset);
    link_map_local_scope: "link_map.l_local_scope" = |l| Some(l.link_map.l_local_scope);
    slotinfo_list: "rtld_global.tls_dtv_slotinfo_list" = |l| Some(l.rtld_global.tls_dtv_slotinfo_list);
    stack_user: "rtld_global.stack_user" = |l| l.rtld_global.stack_user;
    stack_used: "rtld_global.stack_used" = |l| l.rtld_global.stack_used;
    sizeof_pthread: "size of pthread" = |l| Some(l.pthread.size);
    pthread_list: "pthread.list" = |l| Some(l.pthread.list);
    pthread_tid: "pthread.tid" = |l| Some(l.pthread.tid);
    mcount: "rtld_global_ro.mcount" = |l| Some(l.rtld_global_ro.mcount);
    find_object: "rtld_global_ro.find_object" = |l| l.rtld_global_ro.find_object;
    sysinfo_map: "rtld_global_ro.sysinfo_map" = |l| Some(l.rtld_global_ro.sysinfo_map);
};

/// The clues in which the evidence speaks against a layout.
fn against<'a>(evidence: &'a Evidence, layout: &'a Layout) -> impl Iterator<Item = &'static Clue> {
    CLUES.iter().filter(move |clue| {
        (clue.found)(evidence).is_some_and(|found| (clue.known)(layout) != Some(found))
    })
}

/// The layout of a libc.so.6.
///
/// # Errors
/// [`Unknown`], with what [`select`] says and with the build's own name.
pub fn identify(libc: &impl LibcView) -> Result<&'static Layout, Unknown> {
    select(&Evidence::collect(libc)).map_err(|unknown| Unknown {
        banner: libc.rodata().and_then(banner),
        build_id: libc.build_id().map(Vec::from),
        ..unknown
    })
}

/// The layout that all evidence agrees with. Where several do, they are equal in all that libc touches, and the last is
/// taken.
///
/// # Errors
/// [`Unknown`] when no layout fits, or when several fit that are not equal.
pub fn select(evidence: &Evidence) -> Result<&'static Layout, Unknown> {
    let mut fitting = LAYOUTS.iter().filter(|layout| against(evidence, layout).next().is_none());
    let last = fitting.clone().next_back();
    match last {
        Some(layout) if fitting.all(|other| other.exchange == layout.exchange) => Ok(layout),
        _ => Err(Unknown { evidence: Box::new(evidence.clone()), banner: None, build_id: None }),
    }
}

/// The line in which glibc names its version and packager.
fn banner(rodata: &[u8]) -> Option<String> {
    const START: &[u8] = b"GNU C Library ";
    rodata.windows(START.len()).enumerate().filter(|(_, text)| *text == START).find_map(
        |(at, _)| {
            let text = rodata.get(at..)?;
            let line = text.get(..text.len().min(200))?.split(|c| matches!(c, b'\n' | 0)).next()?;
            let line = core::str::from_utf8(line).ok()?;
            line.contains("release version").then(|| line.into())
        },
    )
}

/// A libc.so.6 whose layout is not known. Displayed as several lines, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unknown {
    /// What was found in it.
    pub evidence: Box<Evidence>,
    /// The line in which the library names itself, if it was found.
    pub banner: Option<String>,
    /// Its build-id, if it has one.
    pub build_id: Option<Vec<u8>>,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |layout: &&Layout| against(&self.evidence, layout).next().is_none();
        if LAYOUTS.iter().any(|layout| fits(&layout)) {
            f.write_str("this libc.so.6 does not show which layout its private data has")?;
        } else {
            f.write_str("the layout of this libc.so.6's private data is not known")?;
        }
        f.write_str("\n  build:    ")?;
        f.write_str(self.banner.as_deref().unwrap_or("it does not name itself"))?;
        if let Some(id) = &self.build_id {
            f.write_str("\n  build-id: ")?;
            id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        f.write_str("\n  found in it:")?;
        for clue in &CLUES {
            match (clue.found)(&self.evidence) {
                Some(found) => write!(f, "\n    {} = {found}", clue.name)?,
                None => write!(f, "\n    {}: nothing", clue.name)?,
            }
        }
        let minor = self.evidence.minor;
        let of_release = |layout: &&Layout| Some(u32::from(layout.minor)) == minor;
        let (first, last) = (&LAYOUTS[0], &LAYOUTS[LAYOUTS.len() - 1]);
        write!(
            f,
            "\n  known layouts: {}, of glibc 2.{} to 2.{}",
            LAYOUTS.len(),
            first.minor,
            last.minor
        )?;
        for layout in LAYOUTS.iter().filter(of_release) {
            write!(f, "\n    {} ({}): ", layout.label, layout.builds)?;
            if fits(&layout) {
                f.write_str("fits")?;
            }
            for (number, clue) in against(&self.evidence, layout).enumerate() {
                f.write_str(if number == 0 { "has " } else { ", " })?;
                match (clue.known)(layout) {
                    Some(known) => write!(f, "{} = {known}", clue.name)?,
                    None => write!(f, "no {}", clue.name)?,
                }
            }
        }
        write!(f, "\n  {REPORT}")
    }
}

impl core::error::Error for Unknown {}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::format;
    use alloc::string::ToString;
    use std::println;

    /// A libc that shows the numbers of a layout: one segment at address 0 with code and descriptors.
    struct Fake {
        memory: Vec<u8>,
        symbols: BTreeMap<&'static [u8], u64>,
    }

    impl Fake {
        const GOT: u64 = 0x10_0000;

        fn put(&mut self, name: &'static [u8], bytes: &[u8]) {
            self.symbols.insert(name, self.memory.len() as u64);
            self.memory.extend_from_slice(bytes);
        }

        fn descriptor(&mut self, name: &'static [u8], offset: impl Into<u32>) {
            let words = [64, 1, offset.into()];
            self.put(name, &words.map(u32::to_le_bytes).concat());
        }

        /// `mov GOT(%rip),%rdx`, then `rest`.
        fn code(&mut self, name: &'static [u8], rest: &[&[u8]]) {
            let next = self.memory.len() as u64 + 7;
            let disp = u32::try_from(Self::GOT - next).unwrap().to_le_bytes();
            self.put(name, &[&b"\x48\x8b\x15"[..], &disp, &rest.concat()].concat());
        }

        /// What libpthread.so.0 has up to 2.33, and libc.so.6 since.
        fn descriptors(&mut self, layout: &Layout) {
            let (global, map) = (&layout.rtld_global, &layout.link_map);
            self.descriptor(b"_thread_db_link_map_l_tls_modid", map.l_tls_modid);
            self.descriptor(b"_thread_db_link_map_l_tls_offset", map.l_tls_offset);
            let list = global.tls_dtv_slotinfo_list;
            self.descriptor(b"_thread_db_rtld_global__dl_tls_dtv_slotinfo_list", list);
            if let (Some(user), Some(used)) = (global.stack_user, global.stack_used) {
                self.descriptor(b"_thread_db_rtld_global__dl_stack_user", user);
                self.descriptor(b"_thread_db_rtld_global__dl_stack_used", used);
            }
            self.descriptor(b"_thread_db_pthread_list", layout.pthread.list);
            self.descriptor(b"_thread_db_pthread_tid", layout.pthread.tid);
            self.put(b"_thread_db_sizeof_pthread", &u32::from(layout.pthread.size).to_le_bytes());
        }

        fn of(layout: &Layout) -> Self {
            let wide = |offset: u16| u32::from(offset).to_le_bytes();
            let mut fake = Self { memory: Vec::new(), symbols: BTreeMap::new() };
            let text = format!("2.{}\0\0", layout.minor);
            fake.put(b"text", text.as_bytes());
            let back = (0_i32 - i32::try_from(fake.memory.len()).unwrap() - 7).to_le_bytes();
            fake.put(b"gnu_get_libc_version", &[b"\x48\x8d\x05", &back[..], b"\xc3"].concat());
            let map = &layout.link_map;
            if layout.minor >= 34 {
                fake.descriptors(layout);
            }
            let ro = &layout.rtld_global_ro;
            fake.code(b"_dl_mcount_wrapper", &[b"\x48\x8b\x82", &wide(ro.mcount), b"\xff\xe0"]);
            if let Some(find) = ro.find_object {
                fake.code(b"_dl_find_object", &[b"\xff\xa2", &wide(find)]);
            }
            if layout.contract.vdso_by_lookup {
                let load = [b"\x48\x8b\xb2", &wide(ro.sysinfo_map)[..]].concat();
                let lea = [b"\x48\x8d\x8e", &wide(map.l_local_scope)[..]].concat();
                fake.code(b"gettimeofday", &[&load, &lea]);
            }
            if layout.contract.errors_in == ErrorsIn::Libc {
                fake.put(b"_dl_signal_error", b"\xc3");
            }
            fake.put(
                b"banner",
                b"GNU C Library \0GNU C Library (Test) stable release version 2.9.\n",
            );
            fake
        }
    }

    impl LibcView for Fake {
        fn symbol(&self, name: &[u8]) -> Option<u64> {
            self.symbols.get(name).copied()
        }
        fn bytes(&self, vaddr: u64, len: usize) -> Option<&[u8]> {
            let at = usize::try_from(vaddr).ok()?;
            self.memory.get(at..at.checked_add(len)?)
        }
        fn build_id(&self) -> Option<&[u8]> {
            Some(&[0xab, 0x01])
        }
        fn rtld_global_ro_got(&self) -> Option<u64> {
            Some(Self::GOT)
        }
        fn rodata(&self) -> Option<&[u8]> {
            Some(&self.memory)
        }
    }

    #[test]
    fn every_layout_is_chosen_by_what_its_libc_shows() {
        for layout in &LAYOUTS {
            let fake = Fake::of(layout);
            let evidence = Evidence::collect(&fake);
            for clue in &CLUES {
                let by_lookup = ["link_map.l_local_scope", "rtld_global_ro.sysinfo_map"];
                let in_code = ["minor release", "_dl_signal_error in libc.so.6"]
                    .contains(&clue.name)
                    || clue.name.starts_with("rtld_global_ro.");
                let shown = if by_lookup.contains(&clue.name) {
                    layout.contract.vdso_by_lookup
                } else {
                    in_code || layout.minor >= 34
                };
                let expected = (clue.known)(layout).filter(|_| shown);
                assert_eq!((clue.found)(&evidence), expected, "{}: {}", layout.label, clue.name);
            }
            // Itself, or a later one that differs in nothing that libc touches.
            let chosen = identify(&fake).unwrap();
            assert_eq!(chosen.exchange, layout.exchange, "{} for {}", chosen.label, layout.label);
            let last = LAYOUTS.iter().rfind(|other| other.exchange == layout.exchange).unwrap();
            assert_eq!(chosen.label, last.label);
        }
    }

    #[test]
    fn a_number_of_no_layout_is_refused_in_words() {
        for name in [
            &b"_thread_db_link_map_l_tls_modid"[..],
            b"_thread_db_rtld_global__dl_stack_user",
            b"_thread_db_pthread_tid",
        ] {
            let mut fake = Fake::of(&LAYOUTS[LAYOUTS.len() - 1]);
            let at = usize::try_from(fake.symbols[name]).unwrap();
            fake.memory[at + 8] ^= 0x10;
            let unknown = identify(&fake).unwrap_err();
            let words = unknown.to_string();
            for part in [
                "is not known",
                "GNU C Library (Test) stable release version 2.9.",
                "build-id: ab01",
                "link_map.l_tls_modid = ",
                &*LAYOUTS[LAYOUTS.len() - 1].label,
                &*LAYOUTS[LAYOUTS.len() - 1].builds,
                "of glibc 2.28 to 2.",
                "please report it",
            ] {
                assert!(words.contains(part), "no `{part}` in:\n{words}");
            }
        }
    }

    #[test]
    fn too_little_evidence_is_refused() {
        assert!(select(&Evidence::default()).is_err());
        let some = Evidence { minor: Some(36), pthread_tid: Some(720), ..Evidence::default() };
        let words = select(&some).unwrap_err().to_string();
        assert!(words.contains("does not show which layout"), "{words}");
        assert!(words.contains("): fits"), "{words}");
        assert!(words.contains("rtld_global_ro.mcount: nothing"), "{words}");
        assert!(words.contains("it does not name itself"), "{words}");
    }

    #[test]
    fn without_the_resolver_only_unequal_layouts_are_refused() {
        for layout in &LAYOUTS {
            let full = Evidence::collect(&Fake::of(layout));
            let part = Evidence { link_map_local_scope: None, ..full };
            let fitting: Vec<_> =
                LAYOUTS.iter().filter(|other| against(&part, other).next().is_none()).collect();
            let equal = fitting.iter().all(|other| other.exchange == layout.exchange);
            assert_eq!(select(&part).is_ok(), equal, "{}", layout.label);
        }
    }

    #[test]
    fn strange_version_strings_are_no_evidence() {
        for (text, expected) in [
            ("2.42.9000\0", Some(42)),
            ("3.1\0\0\0", None),
            ("2.x\0\0\0", None),
            ("2.36\0", Some(36)),
        ] {
            let mut fake = Fake::of(&LAYOUTS[0]);
            fake.memory.resize(fake.memory.len() + 64, 0);
            let at = u64::try_from(fake.memory.len()).unwrap();
            fake.put(b"gnu_get_libc_version", b"\x48\x8d\x05\x01\0\0\0\xc3");
            fake.memory.extend_from_slice(text.as_bytes());
            assert_eq!(minor(&fake), expected, "{text} at {at}");
        }
    }

    /// The machine's libc.so.6, read as a file.
    struct File(Vec<u8>);

    impl File {
        fn number<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
            let at = usize::try_from(at).ok()?;
            self.0.get(at..at.checked_add(N)?)?.try_into().ok()
        }
        fn u64(&self, at: u64) -> Option<u64> {
            self.number(at).map(u64::from_le_bytes)
        }
        fn u32(&self, at: u64) -> Option<u64> {
            self.number(at).map(u32::from_le_bytes).map(u64::from)
        }
        fn u16(&self, at: u64) -> Option<u64> {
            self.number(at).map(u16::from_le_bytes).map(u64::from)
        }

        /// Program headers as (type, flags, offset, vaddr, filesz).
        fn segments(&self) -> impl Iterator<Item = [u64; 5]> {
            let (table, count) = (self.u64(32).unwrap(), self.u16(56).unwrap());
            (0..count).map(move |index| table + index * 56).map(|at| {
                let word = |offset| self.u64(at + offset).unwrap();
                [self.u32(at).unwrap(), self.u32(at + 4).unwrap(), word(8), word(16), word(32)]
            })
        }
        fn offset(&self, vaddr: u64) -> Option<u64> {
            let [_, _, offset, start, _] = self.segments().find(|[kind, _, _, start, size]| {
                *kind == 1 && vaddr.checked_sub(*start).is_some_and(|at| at < *size)
            })?;
            Some(offset + (vaddr - start))
        }
        fn dynamic(&self, tag: u64) -> Option<u64> {
            let [_, _, offset, _, size] = self.segments().find(|segment| segment[0] == 2)?;
            (offset..offset + size)
                .step_by(16)
                .find_map(|at| (self.u64(at)? == tag).then(|| self.u64(at + 8))?)
        }
        /// The file offset of the symbol table's entry `index`, and its name.
        fn entry(&self, index: u64) -> Option<(u64, &[u8])> {
            let at = self.offset(self.dynamic(6)?)? + index * 24;
            let name = self.offset(self.dynamic(5)?)? + self.u32(at)?;
            let name = self.0.get(usize::try_from(name).ok()?..)?.split(|c| *c == 0).next()?;
            Some((at, name))
        }
    }

    impl LibcView for File {
        fn symbol(&self, name: &[u8]) -> Option<u64> {
            // The string table follows the symbol table in every linker's output.
            let count = (self.dynamic(5)? - self.dynamic(6)?) / 24;
            (1..count).filter_map(|index| self.entry(index)).find_map(|(at, found)| {
                (found == name && self.u16(at + 6)? != 0).then(|| self.u64(at + 8))?
            })
        }
        fn bytes(&self, vaddr: u64, len: usize) -> Option<&[u8]> {
            let at = usize::try_from(self.offset(vaddr)?).ok()?;
            self.0.get(at..at.checked_add(len)?)
        }
        fn build_id(&self) -> Option<&[u8]> {
            self.segments().filter(|segment| segment[0] == 4).find_map(|[_, _, at, _, _]| {
                let note = self.0.get(usize::try_from(at).ok()?..)?;
                note.strip_prefix(b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0")?.get(..20)
            })
        }
        fn rtld_global_ro_got(&self) -> Option<u64> {
            let (start, size) = (self.offset(self.dynamic(7)?)?, self.dynamic(8)?);
            (start..start + size).step_by(24).find_map(|at| {
                // R_X86_64_GLOB_DAT
                let (slot, info) = (self.u64(at)?, self.u64(at + 8)?);
                let (_, name) = self.entry(info >> 32)?;
                (info & 0xffff_ffff == 6 && name == b"_rtld_global_ro").then_some(slot)
            })
        }
        fn rodata(&self) -> Option<&[u8]> {
            let [_, _, at, _, size] =
                self.segments().filter(|segment| segment[0] == 1 && segment[1] == 4).last()?;
            self.0.get(usize::try_from(at).ok()?..usize::try_from(at + size).ok()?)
        }
    }

    #[test]
    fn the_libc_of_this_machine() {
        let path = "/lib/x86_64-linux-gnu/libc.so.6";
        let Ok(bytes) = std::fs::read(path) else {
            println!("skipped: there is no {path}");
            return;
        };
        let file = File(bytes);
        let evidence = Evidence::collect(&file);
        let name = file.rodata().and_then(banner).unwrap();
        println!("{name}: {evidence:?}");
        assert!(file.build_id().is_some() && file.rtld_global_ro_got().is_some());
        if !name.contains("2.36-9+deb12u14") {
            println!("skipped: {path} is not the build that the numbers below belong to");
            return;
        }
        let expected = Evidence {
            minor: Some(36),
            errors_in_libc: Some(1),
            link_map_tls_modid: Some(1152),
            link_map_tls_offset: Some(1144),
            link_map_local_scope: Some(952),
            slotinfo_list: Some(4208),
            stack_user: Some(4280),
            stack_used: Some(4264),
            sizeof_pthread: Some(2368),
            pthread_list: Some(704),
            pthread_tid: Some(720),
            mcount: Some(800),
            find_object: Some(864),
            sysinfo_map: Some(728),
        };
        assert_eq!(evidence, expected);
        let layout = identify(&file).unwrap();
        assert!(layout.builds.contains("Debian 2.36-9+deb12u14"), "{}", layout.label);
    }
}
