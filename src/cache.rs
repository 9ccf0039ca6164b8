//! `/etc/ld.so.cache`, the index that ldconfig writes: soname → path.
//!
//! The file is an allegation like any other: every offset is checked where it is used, and what does not hold makes
//! the entry, or the whole cache, count as absent. A lookup neither allocates nor reads more of the file than it
//! compares.
//!
//! Two layouts are in use. The current one begins with [`MAGIC`]; the one before it begins with [`OLD_MAGIC`] and may
//! carry the current one behind its own table. The old table alone is not read: nothing has written it since 2000.

use core::cmp::Ordering;
use core::ffi::CStr;
use core::fmt;

/// Where ldconfig puts the cache.
pub const PATH: &CStr = c"/etc/ld.so.cache";

/// The current layout's magic and version.
pub const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";

/// The magic of the layout of libc5 and glibc before 2.2.
pub const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";

/// ELF, for libc6, for x86-64: the only entries of use here.
pub const FLAGS_X86_64: u32 = 0x0303;

const HEADER: usize = 48;
const ENTRY: usize = 24;
const OLD_HEADER: usize = 16;
const OLD_ENTRY: usize = 12;

const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
const TAG_GLIBC_HWCAPS: u32 = 1;

/// In an entry's hwcap word: the low half is an index into the extension's list of glibc-hwcaps names.
const HWCAP_EXTENSION: u64 = 1 << 62;
/// Bits 32 to 41 of such a word: the ISA level that the library's own property note asks for, less one.
const ISA_LEVEL_MASK: u64 = 0x3ff;

/// Why the bytes are not a cache that can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CacheError {
    /// Neither magic is at the start, or only the old layout is there.
    Magic,
    /// The file ends before the table does.
    Truncated,
    /// Written on a machine of the other byte order.
    ByteOrder,
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Magic => "not a library cache of a known layout",
            Self::Truncated => "the library cache is shorter than its table says",
            Self::ByteOrder => "the library cache has the other byte order",
        })
    }
}

/// What this machine accepts, asked only where an entry has conditions.
pub trait Accepts {
    /// The preference of a `glibc-hwcaps` subdirectory, lower is better; `None` when it is not to be used.
    fn rank(&self, glibc_hwcaps: &[u8]) -> Option<usize>;
    /// The ISA levels the CPU has, as in GNU_PROPERTY_X86_ISA_1 (bit 0 is the baseline, bit 3 is x86-64-v4).
    fn isa_1(&self) -> u32;
    /// The legacy hwcap bits that an entry may ask for.
    fn legacy(&self) -> u64;
}

/// A checked view of a cache's bytes.
#[derive(Clone, Copy)]
pub struct Cache<'a> {
    /// The whole file: offsets of the extension and of the hwcaps names count from here.
    file: &'a [u8],
    /// From the current layout's header on: keys and values count from here.
    strings: &'a [u8],
    entries: &'a [[u8; ENTRY]],
    /// The list of string offsets in the glibc-hwcaps extension.
    hwcaps: &'a [[u8; 4]],
}

/// One line of the cache, as `ldconfig -p` shows it.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// The soname.
    pub name: &'a CStr,
    /// The file.
    pub path: &'a CStr,
    /// Kind and machine; [`FLAGS_X86_64`] here.
    pub flags: u32,
    /// The conditions, 0 for none.
    pub hwcap: u64,
}

impl<'a> Cache<'a> {
    /// Finds the table in the file.
    ///
    /// # Errors
    /// Any [`CacheError`]; ld.so then goes on without a cache, silently.
    pub fn parse(file: &'a [u8]) -> Result<Self, CacheError> {
        let strings = if file.starts_with(MAGIC) {
            file
        } else if file.starts_with(OLD_MAGIC) {
            let count = u32_at(file, 12).ok_or(CacheError::Truncated)? as usize;
            let end = count.checked_mul(OLD_ENTRY).and_then(|size| size.checked_add(OLD_HEADER));
            let start = end.and_then(|end| end.checked_next_multiple_of(8));
            let rest = start.and_then(|start| file.get(start..)).ok_or(CacheError::Truncated)?;
            if !rest.starts_with(MAGIC) {
                return Err(CacheError::Magic);
            }
            rest
        } else {
            return Err(CacheError::Magic);
        };

        let count = u32_at(strings, 20).ok_or(CacheError::Truncated)? as usize;
        // 0 means that an ldconfig before 2.33 wrote the file and did not say; 2 means little endian.
        let flags = *strings.get(28).ok_or(CacheError::Truncated)?;
        if flags != 0 && flags & 3 != 2 {
            return Err(CacheError::ByteOrder);
        }
        let entries = strings
            .get(HEADER..)
            .and_then(|table| table.as_chunks::<ENTRY>().0.get(..count))
            .ok_or(CacheError::Truncated)?;
        let hwcaps =
            u32_at(strings, 32).and_then(|offset| hwcaps_list(file, offset)).unwrap_or(&[]);
        Ok(Self { file, strings, entries, hwcaps })
    }

    /// The path that ld.so would take for `name`: the best ranked of the entries with a glibc-hwcaps name, else the
    /// first whose legacy hwcap bits are all accepted.
    #[must_use]
    pub fn lookup(&self, name: &[u8], accepts: &impl Accepts) -> Option<&'a CStr> {
        let mut best: Option<(usize, &'a CStr)> = None;
        for entry in self.named(name)? {
            if entry.flags != FLAGS_X86_64 {
                continue;
            }
            if entry.hwcap >> 32 & !ISA_LEVEL_MASK == HWCAP_EXTENSION >> 32 {
                let level = 1_u32.checked_shl((entry.hwcap >> 32 & ISA_LEVEL_MASK) as u32);
                if level.is_none_or(|level| accepts.isa_1() & level == 0) {
                    continue;
                }
                let Some(rank) = self.hwcaps_name(entry.hwcap as u32).and_then(|n| accepts.rank(n))
                else {
                    continue;
                };
                if best.is_none_or(|(best, _)| rank < best) {
                    best = self.string(entry.value).map(|path| (rank, path)).or(best);
                }
            } else {
                // ldconfig puts the entries with a glibc-hwcaps name before all others of a name.
                if best.is_some() {
                    break;
                }
                if entry.hwcap & !accepts.legacy() == 0
                    && let Some(path) = self.string(entry.value)
                {
                    return Some(path);
                }
            }
        }
        best.map(|(_, path)| path)
    }

    /// All entries for libraries of this machine, in the order of the file. What is corrupt is left out.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let cache = *self;
        self.entries.iter().map(RawEntry::new).filter_map(move |raw| {
            let (name, path) = (cache.string(raw.key)?, cache.string(raw.value)?);
            (raw.flags == FLAGS_X86_64).then_some(Entry {
                name,
                path,
                flags: raw.flags,
                hwcap: raw.hwcap,
            })
        })
    }

    /// The run of entries called `name`; `None` when there is none, or when the search meets a key outside the file.
    fn named(&self, name: &[u8]) -> Option<impl Iterator<Item = RawEntry>> {
        let (mut left, mut right) = (0, self.entries.len());
        while left < right {
            let middle = left + (right - left) / 2;
            // The table is sorted in descending order.
            match compare(name, self.key(middle)?) {
                Ordering::Less => left = middle + 1,
                Ordering::Greater => right = middle,
                Ordering::Equal => {
                    let same = |at: usize| {
                        self.key(at).is_some_and(|key| compare(name, key) == Ordering::Equal)
                    };
                    let before = (0..middle).rev().take_while(|at| same(*at)).count();
                    let run = self.entries.get(middle - before..)?;
                    return Some(run.iter().map(RawEntry::new).take_while(move |entry| {
                        self.tail(entry.key).is_some_and(|k| compare(name, k) == Ordering::Equal)
                    }));
                }
            }
        }
        None
    }

    /// The bytes from an entry's key on; the key ends at the first NUL, or with the file.
    fn key(&self, at: usize) -> Option<&'a [u8]> {
        self.tail(RawEntry::new(self.entries.get(at)?).key)
    }

    fn tail(&self, offset: u32) -> Option<&'a [u8]> {
        self.strings.get(offset as usize..).filter(|tail| !tail.is_empty())
    }

    fn string(&self, offset: u32) -> Option<&'a CStr> {
        CStr::from_bytes_until_nul(self.tail(offset)?).ok()
    }

    fn hwcaps_name(&self, index: u32) -> Option<&'a [u8]> {
        let offset = u32::from_le_bytes(*self.hwcaps.get(index as usize)?);
        let tail = self.file.get(offset as usize..)?;
        CStr::from_bytes_until_nul(tail).ok().map(CStr::to_bytes)
    }
}

/// An entry as it stands in the file.
#[derive(Clone, Copy)]
struct RawEntry {
    flags: u32,
    key: u32,
    value: u32,
    hwcap: u64,
}

impl RawEntry {
    /// Bytes 12 to 15 held an operating system's version and are unused.
    fn new(bytes: &[u8; ENTRY]) -> Self {
        let [f0, f1, f2, f3, k0, k1, k2, k3, v0, v1, v2, v3, _, _, _, _, hwcap @ ..] = *bytes;
        Self {
            flags: u32::from_le_bytes([f0, f1, f2, f3]),
            key: u32::from_le_bytes([k0, k1, k2, k3]),
            value: u32::from_le_bytes([v0, v1, v2, v3]),
            hwcap: u64::from_le_bytes(hwcap),
        }
    }
}

/// The order of the table: as bytes, but runs of digits compare as numbers. Ends at a NUL or at the slice's end.
/// The numbers wrap at 32 bits and bytes are signed, as where ldconfig sorts them.
#[must_use]
pub fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let (mut left, mut right) = (left, right);
    loop {
        let (l, r) = (first(left), first(right));
        match (l.is_ascii_digit(), r.is_ascii_digit()) {
            (true, true) => match number(&mut left).cmp(&number(&mut right)) {
                Ordering::Equal => {}
                unequal => return unequal,
            },
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            _ if l != r || l == 0 => return l.cast_signed().cmp(&r.cast_signed()),
            _ => (left, right) = (rest(left), rest(right)),
        }
    }
}

fn first(bytes: &[u8]) -> u8 {
    bytes.first().copied().unwrap_or(0)
}

fn rest(bytes: &[u8]) -> &[u8] {
    bytes.get(1..).unwrap_or(&[])
}

fn number(bytes: &mut &[u8]) -> i32 {
    let mut value = 0_i32;
    while first(bytes).is_ascii_digit() {
        value = value.wrapping_mul(10).wrapping_add(i32::from(first(bytes) - b'0'));
        *bytes = rest(bytes);
    }
    value
}

/// The glibc-hwcaps list of the extension directory at `offset`; `None` where there is none or it does not hold.
fn hwcaps_list(file: &[u8], offset: u32) -> Option<&[[u8; 4]]> {
    if offset == 0 || !offset.is_multiple_of(4) {
        return None;
    }
    let directory = file.get(offset as usize..)?;
    if u32_at(directory, 0)? != EXTENSION_MAGIC {
        return None;
    }
    let count = u32_at(directory, 4)? as usize;
    let mut list = None;
    for section in directory.get(8..)?.as_chunks::<16>().0.get(..count)? {
        let (start, size) = (u32_at(section, 8)?, u32_at(section, 12)? as usize);
        let bytes = file.get(start as usize..)?.get(..size)?;
        if u32_at(section, 0)? == TAG_GLIBC_HWCAPS {
            let well_formed = start.is_multiple_of(4) && size.is_multiple_of(4);
            list = well_formed.then_some(bytes.as_chunks().0);
        }
    }
    list
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;
    use alloc::{format, vec};
    use std::{eprintln, fs, process};

    /// Accepts the glibc-hwcaps names it holds, best first, on a CPU with the given levels.
    struct Caps(&'static [&'static str], u32);

    impl Accepts for Caps {
        fn rank(&self, name: &[u8]) -> Option<usize> {
            self.0.iter().position(|own| own.as_bytes() == name)
        }

        fn isa_1(&self) -> u32 {
            self.1
        }

        fn legacy(&self) -> u64 {
            1 << 63 | 1 << 1
        }
    }

    const PLAIN: Caps = Caps(&[], 1);

    struct Line(&'static str, &'static str, u32, u64);

    /// Writes a cache as ldconfig does; `old` entries of the layout before it come first when given.
    fn write(lines: &[Line], hwcaps: &[&str], old: Option<u32>) -> Vec<u8> {
        let mut lines: Vec<&Line> = lines.iter().collect();
        lines.sort_by(|a, b| compare(b.0.as_bytes(), a.0.as_bytes()));
        let mut file = Vec::new();
        if let Some(count) = old {
            file.extend_from_slice(OLD_MAGIC);
            file.push(0);
            file.extend_from_slice(&count.to_le_bytes());
            file.resize((OLD_HEADER + count as usize * OLD_ENTRY).next_multiple_of(8), 0);
        }
        let start = file.len();
        let mut strings = Vec::new();
        let table = HEADER + lines.len() * ENTRY;
        let mut string = |text: &str| {
            let at = (table + strings.len()) as u32;
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            at
        };
        let mut entries = Vec::new();
        for Line(name, path, flags, hwcap) in lines {
            for word in [*flags, string(name), string(path), 0] {
                entries.extend_from_slice(&word.to_le_bytes());
            }
            entries.extend_from_slice(&hwcap.to_le_bytes());
        }
        let count = (entries.len() / ENTRY) as u32;
        let names: Vec<u32> = hwcaps.iter().map(|name| string(name) + start as u32).collect();
        let extension = (start + table + strings.len()).next_multiple_of(4) as u32;
        file.extend_from_slice(MAGIC);
        for word in [count, strings.len() as u32, 2, extension, 0, 0, 0] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(&entries);
        file.extend_from_slice(&strings);
        file.resize(extension as usize, 0);
        let size = 4 * names.len() as u32;
        for word in [EXTENSION_MAGIC, 1, TAG_GLIBC_HWCAPS, 0, extension + 24, size] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        names.iter().for_each(|name| file.extend_from_slice(&name.to_le_bytes()));
        file
    }

    fn look_up(file: &[u8], name: &str, caps: &Caps) -> Option<String> {
        let path = Cache::parse(file).unwrap().lookup(name.as_bytes(), caps)?;
        Some(path.to_str().unwrap().to_string())
    }

    const HWCAPS: [&str; 2] = ["x86-64-v2", "x86-64-v3"];

    fn sample() -> [Line; 8] {
        let v = |index: u64, level: u64| HWCAP_EXTENSION | level << 32 | index;
        [
            Line("libz.so.1", "/lib/libz.so.1", FLAGS_X86_64, 0),
            Line("libm.so.6", "/v2/libm.so.6", FLAGS_X86_64, v(0, 1)),
            Line("libm.so.6", "/v3/libm.so.6", FLAGS_X86_64, v(1, 2)),
            Line("libm.so.6", "/lib/libm.so.6", FLAGS_X86_64, 0),
            Line("libc.so.6", "/lib32/libc.so.6", 0x0003, 0),
            Line("libc.so.6", "/lib/libc.so.6", FLAGS_X86_64, 0),
            Line("libq.so.2", "/avx512/libq.so.2", FLAGS_X86_64, 1 << 2),
            Line("libq.so.2", "/x86_64/libq.so.2", FLAGS_X86_64, 1 << 1),
        ]
    }

    #[test]
    fn numbers_in_names_compare_as_numbers() {
        for (less, greater) in [
            ("libx.so.9", "libx.so.10"),
            ("liba", "libb"),
            ("lib", "liba"),
            ("lib", "lib1"),
            ("liba", "lib1"),
            ("lib\u{e9}", "liba"),
        ] {
            assert_eq!(compare(less.as_bytes(), greater.as_bytes()), Ordering::Less, "{less}");
            assert_eq!(compare(greater.as_bytes(), less.as_bytes()), Ordering::Greater, "{less}");
        }
        assert_eq!(compare(b"lib01", b"lib1"), Ordering::Equal);
        assert_eq!(compare(b"lib1\0rest", b"lib1"), Ordering::Equal);
        assert_eq!(compare(b"9999999999999999999999", b"9999999999999999999999"), Ordering::Equal);
    }

    #[test]
    fn finds_by_name_flags_and_hwcaps() {
        for old in [None, Some(0), Some(3)] {
            let file = write(&sample(), &HWCAPS, old);
            let look_up = |name, caps| look_up(&file, name, &caps);
            assert_eq!(look_up("libz.so.1", PLAIN).as_deref(), Some("/lib/libz.so.1"));
            assert_eq!(look_up("libc.so.6", PLAIN).as_deref(), Some("/lib/libc.so.6"));
            assert_eq!(look_up("libq.so.2", PLAIN).as_deref(), Some("/x86_64/libq.so.2"));
            assert_eq!(look_up("libm.so.6", PLAIN).as_deref(), Some("/lib/libm.so.6"));
            let all = &["x86-64-v3", "x86-64-v2"];
            assert_eq!(look_up("libm.so.6", Caps(all, 7)).as_deref(), Some("/v3/libm.so.6"));
            let turned = &["x86-64-v2", "x86-64-v3"];
            assert_eq!(look_up("libm.so.6", Caps(turned, 7)).as_deref(), Some("/v2/libm.so.6"));
            // The CPU lacks what the library's own note asks for.
            assert_eq!(look_up("libm.so.6", Caps(all, 3)).as_deref(), Some("/v2/libm.so.6"));
            assert_eq!(look_up("libnone.so", PLAIN), None);
            assert_eq!(look_up("", PLAIN), None);
        }
    }

    #[test]
    fn what_is_not_a_cache_is_refused() {
        let file = write(&sample(), &HWCAPS, None);
        let error = |file: &[u8]| Cache::parse(file).err();
        assert_eq!(error(b""), Some(CacheError::Magic));
        assert_eq!(error(b"glibc-ld.so.cache1.0 and so on"), Some(CacheError::Magic));
        assert_eq!(error(&file[..40]), Some(CacheError::Truncated));
        assert_eq!(error(&file[..HEADER + 2 * ENTRY]), Some(CacheError::Truncated));
        let mut big_endian = file.clone();
        big_endian[28] = 3;
        assert_eq!(error(&big_endian), Some(CacheError::ByteOrder));
        let mut old_only = write(&[], &[], Some(2));
        old_only.truncate(OLD_HEADER + 2 * OLD_ENTRY);
        old_only.resize(200, 0);
        assert_eq!(error(&old_only), Some(CacheError::Magic));
    }

    #[test]
    fn a_bad_extension_only_costs_its_entries() {
        let mut file = write(&sample(), &HWCAPS, None);
        file[32] ^= 2;
        let all = Caps(&["x86-64-v3", "x86-64-v2"], 7);
        assert_eq!(look_up(&file, "libm.so.6", &all).as_deref(), Some("/lib/libm.so.6"));
    }

    /// Every way into the view, over arbitrary bytes.
    fn exercise(file: &[u8]) -> usize {
        let Ok(cache) = Cache::parse(file) else {
            return 0;
        };
        let caps = Caps(&["x86-64-v3", "x86-64-v2"], 7);
        let names = ["libz.so.1", "libm.so.6", "libc.so.6", "libq.so.2", "libnone.so", "a", "zz9"];
        let found = names.iter().filter(|name| cache.lookup(name.as_bytes(), &caps).is_some());
        found.count() + cache.entries().count()
    }

    #[test]
    fn corrupt_caches_do_no_harm() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            // xorshift64
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as usize
        };
        let (mut usable, mut sound) = (0, 0);
        for old in [None, Some(3)] {
            let whole = write(&sample(), &HWCAPS, old);
            sound += exercise(&whole);
            for _ in 0..20_000 {
                let mut file = whole.clone();
                for _ in 0..=random() % 4 {
                    let at = random() % file.len();
                    let extremes = [0, 1, 0x7f, 0x80, 0xff, random() as u8];
                    file[at] = extremes[random() % extremes.len()];
                }
                if random() % 8 == 0 {
                    file.truncate(random() % file.len());
                }
                usable += usize::from(exercise(&file) > 0);
            }
        }
        assert_eq!(sound, 2 * (4 + 7));
        assert!(usable > 10_000, "the corruptions hardly reach past the header: {usable}");
    }

    /// The system's own cache says what `ldconfig -p` says: its first line for a name that has no condition.
    #[test]
    fn agrees_with_ldconfig() {
        let Ok(file) = fs::read("/etc/ld.so.cache") else {
            eprintln!("skipped: there is no /etc/ld.so.cache");
            return;
        };
        let Some(listing) = ["/sbin/ldconfig", "ldconfig"]
            .iter()
            .find_map(|program| process::Command::new(program).arg("-p").output().ok())
        else {
            eprintln!("skipped: there is no ldconfig");
            return;
        };
        let listing = String::from_utf8(listing.stdout).unwrap();
        let cache = Cache::parse(&file).unwrap();
        let mut seen = vec![];
        for line in listing.lines().filter(|line| line.contains("(libc6,x86-64)")) {
            let (name, path) = line.trim().split_once(" (libc6,x86-64) => ").unwrap();
            if seen.contains(&name) {
                continue;
            }
            seen.push(name);
            let found = cache.lookup(name.as_bytes(), &PLAIN).map(|path| path.to_str().unwrap());
            assert_eq!(found, Some(path), "{name}");
            let missing = format!("{name}.no");
            assert_eq!(cache.lookup(missing.as_bytes(), &PLAIN), None);
        }
        assert_eq!(seen.is_empty(), cache.entries().all(|entry| entry.hwcap != 0));
    }
}
