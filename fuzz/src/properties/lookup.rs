//! The index over a scope's definitions finds what a walk from object to object finds.

use std::sync::Arc;

use super::hash::offers;
use rld::addr::ObjectId;
use rld::elf::Table;
use rld::elf::hash::{Gnu, HashTable, Sysv, gnu, sysv};
use rld::elf::strtab::Strtab;
use rld::elf::version::Versions;
use rld::linkmap::Objects;
use rld::lookup::index::Index;
use rld::lookup::prepared::Prepared;
use rld::lookup::run::Run;
use rld::lookup::scope::{Scope, Unique, Uniqueness};
use rld::lookup::{Class, Reference, one};
use rld::object::{Exports, Object, Role};

use super::Choices;

/// Among them: two with one hash, one whose hash differs from theirs in the lowest bit alone, which a hash table lacks.
const NAMES: [&str; 6] = ["a", "b", "aB", "b!", "aA", "zz"];
const VERSIONS: [&str; 3] = ["V2", "V3", "V4"];
const CLASSES: [Class; 8] = {
    let mut classes = [Class { definition_only: false, skip_program: false, newest: false }; 8];
    let mut at = 0;
    while at < classes.len() {
        classes[at] =
            Class { definition_only: at & 1 != 0, skip_program: at & 2 != 0, newest: at & 4 != 0 };
        at += 1;
    }
    classes
};

/// One object's tables.
#[derive(Default)]
struct Member {
    hash: Vec<u8>,
    is_gnu: bool,
    symbols: Vec<u8>,
    versyms: Vec<u8>,
}

/// The input is choices: how many objects, and what each of them defines. Their tables are sound.
pub fn check(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let members: Vec<_> = (0..3 + choices.below(3)).map(|_| Member::choose(&mut choices)).collect();
    let strings: Vec<u8> =
        NAMES.iter().chain(&VERSIONS).flat_map(|text| [text.as_bytes(), b"\0"].concat()).collect();
    let strings = Strtab::new(&strings);
    let verdef = verdef();
    let versions = Versions::parse(None, Some(&verdef), strings).expect("the table is sound");
    let objects: Vec<_> = (0..)
        .zip(&members)
        .map(|(at, member)| {
            let role = if at == 0 { Role::Program } else { Role::Library };
            let hash = match member.is_gnu {
                true => HashTable::Gnu(Gnu::parse(&member.hash).expect("the table is sound")),
                false => HashTable::Sysv(Sysv::parse(&member.hash).expect("the table is sound")),
            };
            let mut object = super::object::blank(role);
            let (symbols, versyms) = (Table::new(&member.symbols), Table::new(&member.versyms));
            let versions = versions.clone();
            let (verneed, verdef) = (None, None);
            object.exports = Exports { hash, symbols, strings, versyms, versions, verneed, verdef };
            object
        })
        .collect();
    let objects: Vec<_> = objects.iter().collect();

    let wanted: Vec<_> = (2..5).map(|index| versions.get(index)).collect();
    let hidden = wanted.iter().map(|version| {
        let mut version = *version;
        version.hidden = true;
        version
    });
    let wanted = || wanted.iter().copied().chain(hidden.clone()).map(Some).chain([None]);
    let references = NAMES.iter().flat_map(|name| {
        wanted().flat_map(move |version| {
            CLASSES.map(|class| Reference::new(name.as_bytes(), version, class))
        })
    });
    for weak in [false, true] {
        let walking = Run::new(with_ids(&objects), 0);
        let with_index = Run::new(with_ids(&objects), usize::MAX);
        let (mut first, mut second) = (Unique::new(), Unique::new());
        let runs = [&walking];
        let mut walk = Scope::new(&runs, weak, Uniqueness::Settles(&mut first));
        let runs = [&with_index];
        let mut indexed = Scope::new(&runs, weak, Uniqueness::Settles(&mut second));
        for reference in references.clone() {
            // Twice: the second answer comes from memory.
            for _ in 0..2 {
                let found = walk.find(&reference, None);
                assert_eq!(indexed.find(&reference, None), found, "{reference:?}");
            }
        }
    }
    for reference in references {
        for object in &objects {
            let exports = &object.exports;
            let count = exports.symbols.len() as u32;
            // Every symbol in the order in which the object's hash table has those of one name.
            let names = exports.names();
            let mut choice = one::Choice::new(&names, &reference);
            let all = match exports.hash {
                HashTable::Gnu(_) => (1..count).find_map(|index| choice.offer(index)),
                _ => (1..count).rev().find_map(|index| choice.offer(index)),
            };
            let all = all.or_else(|| choice.last_resort());
            let found = one::find(exports, &reference).map(|(index, _)| index);
            assert_eq!(found, all, "{reference:?}");
        }
    }
}

fn with_ids<'m, 'a>(
    objects: &[&'m Object<'a>],
) -> impl Iterator<Item = (ObjectId, &'m Object<'a>)> {
    (0..).map(ObjectId).zip(objects.iter().copied())
}

impl Member {
    fn choose(choices: &mut Choices<'_>) -> Self {
        let is_gnu = choices.below(4) != 0;
        let buckets = 1 + u32::from(choices.below(4));
        let mut defined: Vec<_> = (0..choices.below(16))
            .map(|_| {
                (usize::from(choices.below(6)), [choices.byte(), choices.byte()], choices.byte())
            })
            .collect();
        if is_gnu {
            defined.sort_by_key(|(name, ..)| gnu(NAMES[*name].as_bytes()) % buckets);
        }
        let mut member =
            Self { is_gnu, symbols: vec![0; 24], versyms: vec![0; 2], ..Self::default() };
        for (name, [info, value], version) in &defined {
            let offset: usize = NAMES[..*name].iter().map(|name| name.len() + 1).sum();
            let binding = [0, 1, 1, 2, 2, 10][usize::from(info % 6)];
            let kind = [0, 1, 2, 2, 3, 6, 10][usize::from(info / 6 % 7)];
            let visibility = if value & 0xc0 == 0xc0 { value >> 4 & 3 } else { 0 };
            let section: u16 = [1, 1, 0, 0xfff1][usize::from(value >> 2 & 3)];
            member.symbols.extend((offset as u32).to_le_bytes());
            member.symbols.extend([binding << 4 | kind, visibility]);
            member.symbols.extend(section.to_le_bytes());
            member.symbols.extend(u64::from(value & 3).to_le_bytes());
            member.symbols.extend([0; 8]);
            let index = u16::from(version % 6) | u16::from(version & 0x80) << 8;
            member.versyms.extend(index.to_le_bytes());
        }
        let names: Vec<_> = defined.iter().map(|(name, ..)| NAMES[*name].as_bytes()).collect();
        member.hash = if is_gnu { gnu_table(&names, buckets) } else { sysv_table(&names, buckets) };
        member
    }
}

/// A GNU hash table of names that are sorted by bucket and stand behind the null symbol.
fn gnu_table(names: &[&[u8]], buckets: u32) -> Vec<u8> {
    let shift = 6;
    let hashes: Vec<_> = names.iter().map(|name| gnu(name)).collect();
    let bit = |hash: u32| 1u64 << (hash & 63) | 1u64 << ((hash >> shift) & 63);
    let bloom = hashes.iter().fold(0, |bloom, hash| bloom | bit(*hash));
    let bucket = |bucket: u32| {
        let first = hashes.iter().position(|hash| hash % buckets == bucket);
        first.map_or(0, |first| first as u32 + 1)
    };
    let chain = hashes.iter().enumerate().map(|(at, hash)| {
        let next = hashes.get(at + 1);
        let last = next.is_none_or(|next| next % buckets != hash % buckets);
        hash & !1 | u32::from(last)
    });
    let words = [buckets, 1, 1, shift, bloom as u32, (bloom >> 32) as u32];
    words
        .into_iter()
        .chain((0..buckets).map(bucket))
        .chain(chain)
        .flat_map(u32::to_le_bytes)
        .collect()
}

/// A System V hash table as link editors make it: the later a symbol, the earlier in its chain.
fn sysv_table(names: &[&[u8]], buckets: u32) -> Vec<u8> {
    let mut heads = vec![0; buckets as usize];
    let mut chain = vec![0];
    for (name, index) in names.iter().zip(1..) {
        let head = &mut heads[(sysv(name) % buckets) as usize];
        chain.push(std::mem::replace(head, index));
    }
    let words = [buckets, chain.len() as u32].into_iter().chain(heads).chain(chain);
    words.flat_map(u32::to_le_bytes).collect()
}

/// Definitions of [`VERSIONS`] with the indices 2, 3 and 4.
fn verdef() -> Vec<u8> {
    let mut offset: usize = NAMES.iter().map(|name| name.len() + 1).sum();
    let mut table = Vec::new();
    for (name, index) in VERSIONS.iter().zip(2u16..) {
        let next = if name == VERSIONS.last().unwrap() { 0 } else { 28 };
        [1, 0, index, 1].into_iter().for_each(|half: u16| table.extend(half.to_le_bytes()));
        let words = [sysv(name.as_bytes()), 20, next, offset as u32, 0];
        words.into_iter().for_each(|word: u32| table.extend(word.to_le_bytes()));
        offset += name.len() + 1;
    }
    table
}

/// Looks up names that the objects themselves refer to, about `limit` of each object, in the scope of them all. The two
/// ways must agree where every hash table leads to its symbols; elsewhere a walk must not see more than the index.
pub fn check_objects(shared: &[Arc<Object<'_>>], limit: usize) {
    let objects: Vec<&Object<'_>> = shared.iter().map(|object| &**object).collect();
    let objects = &objects[..];
    let sound = objects.iter().all(|object| is_sound(object, limit));
    let walking = Run::walking(with_ids(objects));
    let mut with_index = Run::walking(with_ids(objects));
    with_index.make_index();
    let (mut first, mut second) = (Unique::new(), Unique::new());
    let runs = [&walking];
    let mut walk = Scope::new(&runs, false, Uniqueness::Settles(&mut first));
    let runs = [&with_index];
    let mut indexed = Scope::new(&runs, false, Uniqueness::Settles(&mut second));
    let all: Objects<'_> = shared.iter().cloned().collect();
    let names: Vec<_> = objects.iter().map(|object| object.exports.names()).collect();
    let index = Index::new(objects.iter().map(|object| &object.exports.hash).zip(&names));
    for (id, object) in with_ids(objects) {
        let exports = &object.exports;
        let count = exports.count();
        let step = (count / limit).max(1);
        for (number, class) in (0..count).step_by(step).zip(CLASSES.into_iter().cycle()) {
            let Some(prepared) = Prepared::new(object, number as u32) else { continue };
            let name = prepared.name;
            let found = walk.resolve(&all, id, &prepared, class);
            let by_index = indexed.resolve(&all, id, &prepared, class);
            if sound {
                assert_eq!(by_index, found, "{:?}", String::from_utf8_lossy(name));
            }
            let HashTable::Gnu(table) = &exports.hash else { continue };
            let mut listed = index.candidates(gnu(name)).filter(|entry| entry.member == id.0);
            for candidate in offers(usize::MAX, |take| table.find(gnu(name), take)) {
                assert!(listed.any(|entry| entry.symbol == candidate), "{candidate}");
            }
        }
    }
}

/// Whether each symbol that the index would find by its name is found by the object's own table, too. The table may be
/// so broken that the answer takes long: a long one counts as not sound.
fn is_sound(object: &Object<'_>, limit: usize) -> bool {
    let exports = &object.exports;
    match &exports.hash {
        HashTable::None => true,
        HashTable::Gnu(table) => table.entries().zip(0..).all(|((index, hash), at)| {
            let Some(symbol) = exports.symbols.get(index as usize) else { return true };
            let Some(name) = exports.strings.get(symbol.name) else { return true };
            let full = gnu(name);
            full | 1 != hash | 1
                || (at < limit.saturating_mul(64)
                    && table.may_hold(full)
                    && offers(64, |take| table.find(full, take)).contains(&index))
        }),
        HashTable::Sysv(table) => {
            let symbols = exports.symbols.slice(0, table.symbols());
            let own_bucket = (0..).zip(symbols.iter()).skip(1).all(|(index, symbol)| {
                let Some(name) = exports.strings.get(symbol.name) else { return true };
                !symbol.can_define(false)
                    || offers(64, |take| table.find(sysv(name), take)).contains(&index)
            });
            own_bucket && chains_are_apart(object) == Some(true)
        }
    }
}

/// Whether no symbol is in two chains of DT_HASH, or twice in one.
fn chains_are_apart(object: &Object<'_>) -> Option<bool> {
    let words = Table::<u32>::new(object.image.tail(object.dynamic.hash?, u64::MAX)?);
    let (buckets, symbols) = (words.get(0)? as usize, words.get(1)? as usize);
    let mut seen = vec![false; symbols];
    for head in words.slice(2, 2 + buckets).iter() {
        let mut at = head as usize;
        while at != 0 {
            if std::mem::replace(seen.get_mut(at)?, true) {
                return Some(false);
            }
            at = words.get(2 + buckets + at)? as usize;
        }
    }
    Some(true)
}
