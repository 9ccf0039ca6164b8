//! Symbol versions (LSB, "Symbol Versioning"): `DT_VERSYM`, `DT_VERNEED`, `DT_VERDEF`.

use alloc::vec::Vec;

use super::Malformed;
use super::strtab::Strtab;
use super::table::read;

/// A version index with its hidden bit, as `DT_VERSYM` gives it for one symbol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versym(pub u16);

impl Versym {
    /// The index without the hidden bit.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        (self.0 & 0x7fff) as usize
    }

    /// Not the default version of its name.
    #[inline]
    #[must_use]
    pub const fn is_hidden(self) -> bool {
        self.0 & 0x8000 != 0
    }
}

/// A version name with its hash; the hash 0 stands for "no version".
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Version<'a> {
    /// System V hash of the name, as the file states it.
    pub hash: u32,
    /// The name.
    pub name: &'a [u8],
    /// Only exactly this version will do (`vna_other` carried the hidden bit).
    pub hidden: bool,
}

/// One version that an object needs from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Need<'a> {
    /// `vn_file`: the name of the library that must define it.
    pub file: &'a [u8],
    /// The version.
    pub version: Version<'a>,
    /// `VER_FLG_WEAK`: its absence is a warning only.
    pub weak: bool,
}

const WEAK: u16 = 2;
/// No file has more; a longer list is a loop.
const LIMIT: usize = 1 << 15;

fn bad(structure: &'static str, value: u64) -> Malformed {
    Malformed::new("invalid symbol version table", structure, value)
}

/// The needs of an object, from `DT_VERNEED`. `bytes` go from the table to the end of its segment.
///
/// # Errors
/// When a record or a name lies outside, or the list does not end.
pub fn needs<'a>(
    bytes: &'a [u8],
    strtab: Strtab<'a>,
    mut each: impl FnMut(u16, Need<'a>),
) -> Result<(), Malformed> {
    let mut at = 0usize;
    // Records may overlap: their sum has the limit.
    let mut left = LIMIT;
    for _ in 0..LIMIT {
        let outside = || bad("DT_VERNEED", at as u64);
        let revision: u16 = read(bytes, at).ok_or_else(outside)?;
        if revision != 1 {
            return Err(bad("vn_version", revision.into()));
        }
        let count: u16 = read(bytes, at + 2).ok_or_else(outside)?;
        let file: u32 = read(bytes, at + 4).ok_or_else(outside)?;
        let aux: u32 = read(bytes, at + 8).ok_or_else(outside)?;
        let next: u32 = read(bytes, at + 12).ok_or_else(outside)?;
        let file = strtab.name(file).ok_or_else(|| bad("vn_file", file.into()))?;
        let mut aux_at = at.saturating_add(aux as usize);
        for _ in 0..count {
            let outside = || bad("vn_aux", aux_at as u64);
            left = left.checked_sub(1).ok_or_else(|| bad("vn_cnt", count.into()))?;
            let hash: u32 = read(bytes, aux_at).ok_or_else(outside)?;
            let flags: u16 = read(bytes, aux_at + 4).ok_or_else(outside)?;
            let other: u16 = read(bytes, aux_at + 6).ok_or_else(outside)?;
            let name: u32 = read(bytes, aux_at + 8).ok_or_else(outside)?;
            let step: u32 = read(bytes, aux_at + 12).ok_or_else(outside)?;
            let name = strtab.name(name).ok_or_else(|| bad("vna_name", name.into()))?;
            let version = Version { hash, name, hidden: other & 0x8000 != 0 };
            each(other & 0x7fff, Need { file, version, weak: flags & WEAK != 0 });
            if step == 0 {
                break;
            }
            aux_at = aux_at.saturating_add(step as usize);
        }
        if next == 0 {
            return Ok(());
        }
        at = at.saturating_add(next as usize);
    }
    Err(bad("vn_next", LIMIT as u64))
}

/// A version that an object defines, as its record states it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// `vd_ndx`, without the hidden bit.
    pub index: u16,
    /// `vd_hash`.
    pub hash: u32,
    /// String table offset of its name.
    name: u32,
    /// `VER_FLG_BASE`: the name of the file itself, which is no version.
    pub is_base: bool,
}

impl Record {
    /// Its name.
    ///
    /// # Errors
    /// The name lies outside the string table.
    pub fn name<'a>(&self, strtab: Strtab<'a>) -> Result<&'a [u8], Malformed> {
        strtab.name(self.name).ok_or_else(|| bad("vda_name", self.name.into()))
    }
}

/// The versions that an object defines, from `DT_VERDEF`, until `take` takes one. `bytes` go from the table to the end
/// of its segment.
///
/// # Errors
/// A record lies outside, or the list does not end; or what `take` finds wrong.
pub fn definitions<T>(
    bytes: &[u8],
    mut take: impl FnMut(Record) -> Result<Option<T>, Malformed>,
) -> Result<Option<T>, Malformed> {
    let mut at = 0usize;
    for _ in 0..LIMIT {
        let outside = || bad("DT_VERDEF", at as u64);
        let record: &[u8; 20] =
            bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or_else(outside)?;
        let half = |offset| read::<u16>(record, offset).unwrap_or_default();
        let word = |offset| read::<u32>(record, offset).unwrap_or_default();
        if half(0) != 1 {
            return Err(bad("vd_version", half(0).into()));
        }
        const BASE: u16 = 1;
        let name = read(bytes, at.saturating_add(word(12) as usize)).ok_or_else(outside)?;
        let (index, is_base) = (half(4) & 0x7fff, half(2) & BASE != 0);
        if let Some(taken) = take(Record { index, hash: word(8), name, is_base })? {
            return Ok(Some(taken));
        }
        if word(16) == 0 {
            return Ok(None);
        }
        at = at.saturating_add(word(16) as usize);
    }
    Err(bad("vd_next", LIMIT as u64))
}

/// The version names of one object by version index: what it needs and what it defines share one numbering.
#[derive(Clone, Debug, Default)]
pub struct Versions<'a> {
    names: Vec<Version<'a>>,
}

impl<'a> Versions<'a> {
    /// Collects both tables; either may be absent. The base definition (the file's own name) counts as no version.
    ///
    /// # Errors
    /// As [`needs`] and [`definitions`].
    pub fn parse(
        verneed: Option<&'a [u8]>,
        verdef: Option<&'a [u8]>,
        strtab: Strtab<'a>,
    ) -> Result<Self, Malformed> {
        let mut this = Self::default();
        if let Some(bytes) = verneed {
            needs(bytes, strtab, |index, need| this.set(index, need.version))?;
        }
        if let Some(bytes) = verdef {
            definitions(bytes, |record| {
                if !record.is_base {
                    let (hash, name) = (record.hash, record.name(strtab)?);
                    this.set(record.index, Version { hash, name, hidden: false });
                }
                Ok(None::<()>)
            })?;
        }
        Ok(this)
    }

    fn set(&mut self, index: u16, version: Version<'a>) {
        let index = usize::from(index);
        if self.names.len() <= index {
            self.names.resize(index + 1, Version::default());
        }
        if let Some(slot) = self.names.get_mut(index) {
            *slot = version;
        }
    }

    /// The version with `index`; the empty one (hash 0) where there is none.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> Version<'a> {
        self.names.get(index).copied().unwrap_or_default()
    }

    /// The number of indices, including the two reserved ones; 0 when the object has no versions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether the object neither needs nor defines a version.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verneed(file: u32, name: u32, other: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(1u16.to_le_bytes());
        bytes.extend(1u16.to_le_bytes());
        for word in [file, 16, 0, 0x1234] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(WEAK.to_le_bytes());
        bytes.extend(other.to_le_bytes());
        bytes.extend(name.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
        bytes
    }

    #[test]
    fn reads_needs() {
        let strtab = Strtab::new(b"\0libc.so.6\0GLIBC_2.34\0");
        let bytes = verneed(1, 11, 0x8003);
        let versions = Versions::parse(Some(&bytes), None, strtab).unwrap();
        let version = versions.get(3);
        assert_eq!(
            (version.hash, version.name, version.hidden),
            (0x1234, &b"GLIBC_2.34"[..], true)
        );
        assert_eq!(versions.get(9).hash, 0);
        let mut seen = Vec::new();
        needs(&bytes, strtab, |_, need| seen.push((need.file, need.weak))).unwrap();
        assert_eq!(seen, [(&b"libc.so.6"[..], true)]);
    }

    #[test]
    fn bad_lists_are_refused() {
        let strtab = Strtab::new(b"\0a\0");
        assert_eq!(
            Versions::parse(Some(&verneed(9, 1, 2)), None, strtab).unwrap_err().structure,
            "vn_file"
        );
        assert!(Versions::parse(Some(&[]), None, strtab).is_err());
        let mut looping = verneed(1, 1, 2);
        looping[12] = 0;
        looping[2] = 0xff;
        assert!(Versions::parse(Some(&looping[..20]), None, strtab).is_err());
        assert!(Versions::parse(None, Some(&[1, 0, 0]), strtab).is_err());
    }
}
