//! `symbols`: who defines a symbol, which definition a search ends at, and who is bound to which.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use rld::elf::symbol::{Binding as SymbolBinding, Symbol, Type};
use rld::near;
use rld::object::Definition;
use rld::text::Text;
use serde::Serialize;

use super::cli::Arguments;
use super::output::{Bytes, Out, advice, counted};
use super::resolve::{self, Binding, Offer, Versioned};
use super::start::Start;
use super::{Failure, Verdict};

pub fn run(arguments: &Arguments, out: &mut Out<'_>) -> Result<Verdict, Failure> {
    let start = Start::of(arguments.first(), arguments)?;
    let operand = arguments.operand(1).map(OsStr::as_bytes).unwrap_or_default();
    let wanted = Versioned::parse(operand);
    let report = Report::new(&start, wanted)?;
    if out.json {
        out.document("symbols", report.document())?;
    } else {
        report.write(out)?;
    }
    for error in start.requests.missing() {
        log::warn!("{error}: what it defines is not shown");
    }
    let nothing = report.definitions.is_empty() && report.bindings.is_empty();
    let undefined = report.bindings.iter().any(Binding::is_undefined);
    Ok(if nothing || undefined { Verdict::Bad } else { Verdict::Good })
}

struct Report<'r> {
    start: &'r Start,
    wanted: Versioned<'r>,
    /// In the order of the search, each with what a search for it ends at.
    definitions: Vec<(Offer, Option<Definition>)>,
    bindings: Vec<Binding>,
}

impl<'r> Report<'r> {
    fn new(start: &'r Start, wanted: Versioned<'r>) -> Result<Self, Failure> {
        let mut offers = resolve::offers(start, wanted.name);
        // A PLT entry has the version that the program asks for.
        offers.retain(|offer| wanted.version.is_none() || wanted.version == offer.version);
        let winners = resolve::winners(start, wanted.name, &offers);
        let mut bindings = resolve::all(start)?;
        bindings.retain(|binding| wanted.means(&binding.reference()));
        Ok(Self { start, wanted, definitions: offers.into_iter().zip(winners).collect(), bindings })
    }

    /// How many objects are bound to a definition.
    fn bound(&self, definition: &Definition) -> usize {
        let same = |binding: &&Binding| binding.definition == Some(*definition);
        self.bindings.iter().filter(same).count()
    }

    /// What shadows the definition at a place in the list.
    fn shadow(&self, at: usize) -> Option<Definition> {
        let (offer, winner) = self.definitions.get(at)?;
        let same = |winner: &Definition| *winner == offer.definition;
        winner.filter(|winner| !offer.definition.symbol.is_hidden() && !same(winner))
    }

    /// The place of a definition in the list, from 1 on.
    fn number(&self, definition: &Definition) -> Option<usize> {
        let same = |(offer, _): &(Offer, _)| offer.definition == *definition;
        self.definitions.iter().position(same).map(|at| at + 1)
    }

    /// What was meant, perhaps, if nothing is defined.
    fn near(&self) -> Option<&'static [u8]> {
        let names = || resolve::defined_names(self.start);
        self.definitions.is_empty().then(|| near::nearest(self.wanted.name, names()))?
    }

    fn write(&self, out: &mut Out<'_>) -> io::Result<()> {
        let paint = out.paint();
        writeln!(out, "{}", paint.strong(&self.wanted))?;
        if self.definitions.is_empty() {
            let near = self.near().map_or(String::new(), advice);
            writeln!(out, "  nothing defines it{near}")?;
        }
        for (at, (offer, _)) in self.definitions.iter().enumerate() {
            let Offer { definition, .. } = offer;
            let name = self.start.name(definition.object);
            let symbol = Shown { name: self.wanted.name, offer };
            write!(out, "  {}. {name}: {} [{}]", at + 1, paint.strong(symbol), Kind(offer))?;
            match self.shadow(at) {
                Some(by) => {
                    let by = match self.number(&by) {
                        Some(number) => format!("{number}"),
                        None => self.start.name(by.object).to_string(),
                    };
                    writeln!(out, " {}", paint.doubtful(format!("shadowed by {by}")))?;
                }
                None if definition.symbol.is_hidden() => {
                    writeln!(out, " {}", paint.dim("hidden from other objects"))?;
                }
                None => {
                    let words = format!("found; {}", counted(self.bound(definition), "reference"));
                    writeln!(out, " {}", paint.good(words))?;
                }
            }
        }
        for binding in &self.bindings {
            let requester = self.start.name(binding.requester);
            write!(out, "  {requester}: {} -> ", binding.reference())?;
            match binding.definition {
                Some(definition) => {
                    if let Some(number) = self.number(&definition) {
                        write!(out, "{number}. ")?;
                    }
                    writeln!(out, "{}", self.start.name(definition.object))?;
                }
                None if binding.weak => writeln!(out, "nothing [weak]")?,
                None => writeln!(out, "{}", paint.bad("UNDEFINED"))?,
            }
        }
        Ok(())
    }

    fn document(&self) -> Document<'_> {
        let definitions = self.definitions.iter().enumerate().map(|(at, (offer, _))| {
            let Offer { definition: Definition { object, symbol, .. }, .. } = offer;
            DefinitionEntry {
                object: Bytes(self.start.path(*object)),
                version: offer.version.map(Bytes),
                default_version: offer.default,
                symbol_type: type_name(symbol),
                binding: binding_name(symbol),
                visibility: visibility_name(symbol),
                plt_entry: symbol.is_undefined(),
                value: symbol.value,
                size: symbol.size,
                references: self.bound(&offer.definition),
                shadowed_by: self.shadow(at).map(|by| Bytes(self.start.path(by.object))),
            }
        });
        let references = self.bindings.iter().map(|binding| ReferenceEntry {
            requester: Bytes(self.start.path(binding.requester)),
            version: binding.version.map(|version| Bytes(version.name)),
            weak: binding.weak,
            definition: binding.definition.and_then(|it| Some(self.number(&it)? - 1)),
            definer: binding.definition.map(|it| Bytes(self.start.path(it.object))),
        });
        Document {
            program: Bytes(&self.start.program),
            symbol: Bytes(self.wanted.name),
            symbol_version: self.wanted.version.map(Bytes),
            definitions: definitions.collect(),
            references: references.collect(),
            near: self.near().map(Bytes),
            missing: self.start.requests.missing().map(|error| Bytes(&error.object)).collect(),
        }
    }
}

/// A definition's name as link editors write it: two @ before a default version.
struct Shown<'s> {
    name: &'s [u8],
    offer: &'s Offer,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = self.offer.default && !self.offer.definition.symbol.is_undefined();
        match self.offer.version {
            Some(version) if default => write!(f, "{}@@{}", Text(self.name), Text(version)),
            version => write!(f, "{}", Versioned { name: self.name, version }),
        }
    }
}

/// What kind of definition it is, as readelf(1) names it.
struct Kind<'k>(&'k Offer);

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbol = &self.0.definition.symbol;
        write!(f, "{} {}", type_name(symbol), binding_name(symbol))?;
        write!(f, " {}, {} bytes at {:#x}", visibility_name(symbol), symbol.size, symbol.value)?;
        f.write_str(if symbol.is_undefined() { ", PLT entry" } else { "" })
    }
}

const fn type_name(symbol: &Symbol) -> &'static str {
    match symbol.symbol_type() {
        Type::None => "NOTYPE",
        Type::Object => "OBJECT",
        Type::Function => "FUNC",
        Type::Section => "SECTION",
        Type::File => "FILE",
        Type::Common => "COMMON",
        Type::Tls => "TLS",
        Type::IFunc => "IFUNC",
        Type::Other => "OTHER",
    }
}

const fn binding_name(symbol: &Symbol) -> &'static str {
    match symbol.binding() {
        SymbolBinding::Local => "LOCAL",
        SymbolBinding::Global => "GLOBAL",
        SymbolBinding::Weak => "WEAK",
        SymbolBinding::Unique => "UNIQUE",
    }
}

const fn visibility_name(symbol: &Symbol) -> &'static str {
    match (symbol.is_hidden(), symbol.is_protected()) {
        (true, _) => "HIDDEN",
        (_, true) => "PROTECTED",
        _ => "DEFAULT",
    }
}

/// All as JSON.
#[derive(Serialize)]
struct Document<'d> {
    program: Bytes<'d>,
    symbol: Bytes<'d>,
    /// The one that the user asks for.
    symbol_version: Option<Bytes<'d>>,
    definitions: Vec<DefinitionEntry<'d>>,
    references: Vec<ReferenceEntry<'d>>,
    near: Option<Bytes<'d>>,
    missing: Vec<Bytes<'d>>,
}

#[derive(Serialize)]
struct DefinitionEntry<'e> {
    object: Bytes<'e>,
    version: Option<Bytes<'e>>,
    default_version: bool,
    #[serde(rename = "type")]
    symbol_type: &'static str,
    binding: &'static str,
    visibility: &'static str,
    plt_entry: bool,
    value: u64,
    size: u64,
    references: usize,
    shadowed_by: Option<Bytes<'e>>,
}

#[derive(Serialize)]
struct ReferenceEntry<'e> {
    requester: Bytes<'e>,
    version: Option<Bytes<'e>>,
    weak: bool,
    /// Its place in `definitions`.
    definition: Option<usize>,
    definer: Option<Bytes<'e>>,
}
