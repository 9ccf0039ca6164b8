//! References that nothing defines, found without relocating anything: what `ldd -d` and `ldd -r` report (LD_WARN).

use alloc::string::String;
use alloc::vec::Vec;

use super::audit::listed::Listed;
use super::terms::warn;
use crate::addr::ObjectId;
use crate::arch::x86_64::RelocationKind as Kind;
use crate::env::Settings;
use crate::error::Problem;
use crate::init::dependants_first;
use crate::linkmap::LinkMap;
use crate::lookup::Class;
use crate::lookup::prepared::Prepared;
use crate::lookup::run::Run;
use crate::lookup::scope::{Scope, Undefined, Unique, Uniqueness};
use crate::object::{Definition, Object};
use crate::reloc::Relocation;
use crate::reloc::copy::differing_sizes;
use crate::text::Text;

/// Prints a line for each, in the order in which ld.so would meet them: objects behind what they need. Functions that
/// are bound when they are first called count under LD_BIND_NOW only.
pub fn print(map: &LinkMap<'_>, settings: &Settings<'_>, program: &[u8], listed: &Listed<'_>) {
    let run = Run::new(map.in_search_order(), usize::MAX);
    let (runs, mut unique) = ([&run], Unique::new());
    let uniqueness = Uniqueness::Settles(&mut unique);
    let scope = Scope::new(&runs, settings.dynamic_weak, uniqueness);
    let mut check = Check { map, scope, program, listed, lines: Vec::new() };
    let order = dependants_first(&map.objects, map.search_list(), map.program());
    for id in order.into_iter().rev() {
        let Some(object) = map.get(id).filter(|object| !object.role.starts_itself()) else {
            continue;
        };
        let is_now = listed.binds_now(object, settings.bind_now);
        // Link editors put TLS descriptors there, too.
        let counts = |it: &Relocation| is_now || Kind::from_number(it.kind) != Some(Kind::JumpSlot);
        check.table(id, object, object.relocations.rela.iter());
        check.table(id, object, object.relocations.plt.iter().filter(counts));
    }
    warn(check.lines.into_iter());
}

struct Check<'c, 's, 'm, 'a> {
    map: &'m LinkMap<'a>,
    scope: Scope<'s, 'm, 'a>,
    program: &'c [u8],
    listed: &'c Listed<'c>,
    lines: Vec<String>,
}

impl<'m, 'a> Check<'_, '_, 'm, 'a> {
    fn table(
        &mut self,
        id: ObjectId,
        object: &'m Object<'a>,
        relocations: impl Iterator<Item = Relocation>,
    ) {
        // Link editors put the relocations of one symbol behind one another; ld.so looks it up once for them.
        let mut last = None;
        for relocation in relocations {
            let Some(kind) = Kind::from_number(relocation.kind) else { continue };
            if matches!(kind, Kind::None | Kind::Relative | Kind::IRelative) {
                continue;
            }
            let reference = (relocation.symbol, Class::of(kind));
            let found = match last.filter(|(same, _)| *same == reference) {
                Some((_, found)) => found,
                None => self.look_up(id, object, kind, relocation.symbol),
            };
            last = Some((reference, found));
            if self.listed.wants(kind)
                && let Some(found) = found
                && let Some(definer) = self.map.get(found.object)
            {
                warn(self.lines.drain(..));
                self.listed.tell(id, &found, definer);
            }
        }
    }

    fn look_up(
        &mut self,
        id: ObjectId,
        object: &'m Object<'a>,
        kind: Kind,
        symbol: u32,
    ) -> Option<Definition> {
        let prepared = Prepared::new(object, symbol)?;
        match self.scope.resolve(&self.map.objects, id, &prepared, Class::of(kind)) {
            Ok(found) => {
                if let Some(original) = found.filter(|_| kind == Kind::Copy) {
                    let (own, original) = (prepared.symbol.size, original.symbol.size);
                    let line = differing_sizes(self.program, prepared.name, own, original, true);
                    self.lines.extend(line);
                }
                found
            }
            Err(undefined) => {
                self.undefined(object, &undefined);
                None
            }
        }
    }

    fn undefined(&mut self, object: &Object<'_>, undefined: &Undefined<'_>) {
        let problem = Problem::UndefinedSymbol {
            name: undefined.name.to_vec(),
            version: undefined.version.map(|version| version.name.to_vec()),
        };
        let name = Text(object.display_name(self.program));
        self.lines.push(alloc::format!("{problem}\t({name})"));
    }
}
