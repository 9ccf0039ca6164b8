//! `diff`: what differs between two environments, or two builds of a program: objects and bindings.
//!
//! Objects of the two sides are the same if they have the same SONAME, or file name where they have none; the programs
//! are the same whatever they are called.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, OsStr};
use std::fmt;
use std::io::{self, Write};

use rld::addr::ObjectId;
use rld::linkmap::requests::Rule;
use rld::object::{Definition, Object, Role};
use rld::search::Files;
use rld::text::Text;
use serde::Serialize;

use super::cli::Arguments;
use super::files::{Disk, OpenFile};
use super::output::{Bytes, Out, Way, counted};
use super::resolve::{self, Versioned};
use super::start::{Environment, PROGRAM, Side, Start};
use super::{Failure, Verdict};

pub fn run(arguments: &Arguments, out: &mut Out<'_>) -> Result<Verdict, Failure> {
    let other = arguments.operand(1).unwrap_or(arguments.first());
    let mut a = Half::new(arguments.first(), arguments, Side::A)?;
    let mut b = Half::new(other, arguments, Side::B)?;
    let difference = Difference::new(&mut a, &mut b)?;
    if out.json {
        out.document("diff", Document::new(&a, &b, &difference))?;
    } else {
        difference.write(&a, &b, out)?;
    }
    Ok(if difference.is_empty() { Verdict::Good } else { Verdict::Bad })
}

/// One of the two sides.
struct Half {
    start: Start,
    disk: Disk,
}

/// What an object is known by on both sides.
type Key = Vec<u8>;

impl Half {
    fn new(program: &OsStr, arguments: &Arguments, side: Side) -> Result<Self, Failure> {
        let environment = Environment::new(arguments, Some(side))?;
        let mut disk = Disk::new(environment.root.clone());
        let start = Start::new(program, &environment, &mut disk)?;
        Ok(Self { start, disk })
    }

    fn key(&self, id: ObjectId) -> Key {
        let name = |object: &Object<'static>| {
            let path = object.name.to_bytes();
            let file_name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
            object.soname.unwrap_or(file_name).to_vec()
        };
        match id {
            PROGRAM => b"(program)".to_vec(),
            _ => self.start.map.get(id).map(name).unwrap_or_default(),
        }
    }

    /// The objects in the order of the search.
    fn objects(&self) -> Vec<(Key, ObjectId)> {
        self.start.map.search_list().iter().map(|&id| (self.key(id), id)).collect()
    }

    fn is_missing(&self, id: ObjectId) -> bool {
        self.start.map.get(id).is_some_and(|object| object.role == Role::Absent)
    }

    /// The rule by which an object was found.
    fn rule(&self, id: ObjectId) -> Option<&Rule> {
        let found = self.start.requests.iter().filter_map(|request| request.outcome.as_ref().ok());
        found.into_iter().find(|(found, _)| *found == id).map(|(_, rule)| rule)
    }

    fn file(&mut self, id: ObjectId) -> Option<OpenFile> {
        let path = [self.start.path(id), b"\0"].concat();
        let path = CStr::from_bytes_with_nul(&path).ok()?;
        self.disk.open(path).ok()
    }

    /// What each reference is bound to, by the requester's and the definer's key.
    fn bindings(&self) -> Result<BTreeMap<Site, Option<Definer>>, Failure> {
        let bindings = resolve::all(&self.start)?;
        let definer = |definition: Definition| {
            let object = self.start.map.get(definition.object)?;
            let version = resolve::offer(object, definition).version.map(<[u8]>::to_vec);
            Some(Definer { object: self.key(definition.object), version })
        };
        let bindings = bindings.iter().map(|binding| {
            let site = Site {
                requester: self.key(binding.requester),
                symbol: binding.reference(),
                copy: binding.copy,
                call: binding.call,
            };
            (site, binding.definition.and_then(definer))
        });
        Ok(bindings.collect())
    }
}

/// Where a reference is made.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Site {
    requester: Key,
    symbol: Versioned<'static>,
    copy: bool,
    call: bool,
}

/// What a reference leads to.
#[derive(Clone, PartialEq, Eq)]
struct Definer {
    object: Key,
    version: Option<Vec<u8>>,
}

/// An object that is not the same on both sides.
struct Change {
    key: Key,
    a: Option<ObjectId>,
    b: Option<ObjectId>,
    /// The files are equal, byte by byte.
    same_contents: bool,
}

/// A reference that does not lead to the same on both sides.
struct Rebound {
    site: Site,
    a: Option<Definer>,
    b: Option<Definer>,
}

struct Difference {
    objects: Vec<Change>,
    bindings: Vec<Rebound>,
    /// Objects of both sides are searched in another order.
    reordered: bool,
}

impl Difference {
    fn new(a: &mut Half, b: &mut Half) -> Result<Self, Failure> {
        let (in_a, in_b) = (a.objects(), b.objects());
        let find = |list: &[(Key, ObjectId)], key: &Key| {
            list.iter().find(|(known, _)| known == key).map(|(_, id)| *id)
        };
        let mut objects = Vec::new();
        let mut keys = BTreeSet::new();
        for (key, _) in in_a.iter().chain(&in_b) {
            if !keys.insert(key) {
                continue;
            }
            let (id_a, id_b) = (find(&in_a, key), find(&in_b, key));
            let missing = |half: &Half, id: Option<ObjectId>| id.map(|id| half.is_missing(id));
            let path =
                |half: &Half, id: Option<ObjectId>| id.map(|id| half.start.path(id).to_vec());
            let file = |half: &mut Half, id: Option<ObjectId>| id.and_then(|id| half.file(id));
            let same_contents = match (file(a, id_a), file(b, id_b)) {
                (Some(a), Some(b)) => a.is_same_as(&b),
                (a, b) => a.is_none() && b.is_none(),
            };
            let same_path = path(a, id_a) == path(b, id_b) || *key == a.key(PROGRAM);
            if !(same_contents && same_path && missing(a, id_a) == missing(b, id_b)) {
                let both = id_a.is_some() && id_b.is_some();
                let same_contents = same_contents && both;
                objects.push(Change { key: key.clone(), a: id_a, b: id_b, same_contents });
            }
        }
        let common = |list: &[(Key, ObjectId)], other: &[(Key, ObjectId)]| -> Vec<Key> {
            let keys = list.iter().map(|(key, _)| key.clone());
            keys.filter(|key| find(other, key).is_some()).collect()
        };
        let reordered = common(&in_a, &in_b) != common(&in_b, &in_a);
        let (in_a, mut in_b) = (a.bindings()?, b.bindings()?);
        let both = in_a.into_iter().filter_map(|(site, a)| Some((in_b.remove(&site)?, site, a)));
        let rebound = both.filter(|(b, _, a)| a != b);
        let bindings = rebound.map(|(b, site, a)| Rebound { site, a, b }).collect();
        Ok(Self { objects, bindings, reordered })
    }

    const fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.bindings.is_empty() && !self.reordered
    }

    fn write(&self, a: &Half, b: &Half, out: &mut Out<'_>) -> io::Result<()> {
        let paint = out.paint();
        for change in &self.objects {
            let line = |half: &Half, id| Line { half, key: &change.key, id }.to_string();
            if let Some(id) = change.a {
                writeln!(out, "{}", paint.bad(format_args!("- {}", line(a, id))))?;
            }
            if let Some(id) = change.b {
                writeln!(out, "{}", paint.good(format_args!("+ {}", line(b, id))))?;
            }
            if change.same_contents {
                writeln!(out, "{}", paint.dim("  the files are equal"))?;
            }
        }
        if self.reordered {
            writeln!(out, "! objects of both are searched in another order")?;
        }
        for Rebound { site, a, b } in &self.bindings {
            let requester = Text(&site.requester);
            let (a, b) = (Shown(a.as_ref()), Shown(b.as_ref()));
            write!(out, "! {requester}: {} -> ", site.symbol)?;
            writeln!(out, "{}, {}", paint.bad(a), paint.good(b))?;
        }
        let count = |holds: fn(&Change) -> bool| self.objects.iter().filter(|it| holds(it)).count();
        writeln!(
            out,
            "{} changed, {} added, {} removed; {} changed",
            counted(count(|it| it.a.is_some() && it.b.is_some()), "object"),
            count(|it| it.a.is_none()),
            count(|it| it.b.is_none()),
            counted(self.bindings.len(), "binding")
        )
    }
}

/// An object on one side.
struct Line<'l> {
    half: &'l Half,
    key: &'l [u8],
    id: ObjectId,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} => ", Text(self.key))?;
        if self.half.is_missing(self.id) {
            return f.write_str("not found");
        }
        write!(f, "{}", self.half.start.name(self.id))?;
        match self.half.rule(self.id) {
            Some(Rule::Found(origin)) => write!(f, " [{origin}]"),
            _ => Ok(()),
        }
    }
}

/// A definer for people.
struct Shown<'s>(Option<&'s Definer>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Definer { object, version }) = self.0 else { return f.write_str("nothing") };
        write!(f, "{}", Text(object))?;
        version.as_ref().map_or(Ok(()), |version| write!(f, " ({})", Text(version)))
    }
}

/// All as JSON.
#[derive(Serialize)]
struct Document<'d> {
    a: Bytes<'d>,
    b: Bytes<'d>,
    objects: Vec<ObjectEntry<'d>>,
    reordered: bool,
    bindings: Vec<BindingEntry<'d>>,
}

#[derive(Serialize)]
struct ObjectEntry<'e> {
    name: Bytes<'e>,
    a: Option<Place<'e>>,
    b: Option<Place<'e>>,
    same_contents: bool,
}

#[derive(Serialize)]
struct Place<'p> {
    /// None if it is not found.
    path: Option<Bytes<'p>>,
    way: Option<Way<'p>>,
}

#[derive(Serialize)]
struct BindingEntry<'e> {
    requester: Bytes<'e>,
    symbol: Bytes<'e>,
    version: Option<Bytes<'e>>,
    a: Option<DefinerEntry<'e>>,
    b: Option<DefinerEntry<'e>>,
}

#[derive(Serialize)]
struct DefinerEntry<'e> {
    object: Bytes<'e>,
    version: Option<Bytes<'e>>,
}

impl<'d> Document<'d> {
    fn new(a: &'d Half, b: &'d Half, difference: &'d Difference) -> Self {
        fn place<'p>(half: &'p Half, id: Option<ObjectId>) -> Option<Place<'p>> {
            let id = id?;
            let path = (!half.is_missing(id)).then(|| Bytes(half.start.path(id)));
            Some(Place { path, way: half.rule(id).map(Way::from) })
        }
        let definer = |definer: &'d Option<Definer>| {
            definer.as_ref().map(|Definer { object, version }| DefinerEntry {
                object: Bytes(object),
                version: version.as_deref().map(Bytes),
            })
        };
        let objects = difference.objects.iter().map(|change| ObjectEntry {
            name: Bytes(&change.key),
            a: place(a, change.a),
            b: place(b, change.b),
            same_contents: change.same_contents,
        });
        let bindings = difference.bindings.iter().map(|rebound| BindingEntry {
            requester: Bytes(&rebound.site.requester),
            symbol: Bytes(rebound.site.symbol.name),
            version: rebound.site.symbol.version.map(Bytes),
            a: definer(&rebound.a),
            b: definer(&rebound.b),
        });
        Self {
            a: Bytes(&a.start.program),
            b: Bytes(&b.start.program),
            objects: objects.collect(),
            reordered: difference.reordered,
            bindings: bindings.collect(),
        }
    }
}
