//! The direct dependencies that a program has no reference to (`ldd -u`, LD_DEBUG=unused).

use alloc::string::String;
use core::fmt::Write;

use super::audit::listed::Listed;
use super::terms::STDOUT;
use crate::arch::x86_64::RelocationKind as Kind;
use crate::linkmap::LinkMap;
use crate::linkmap::id_set::IdSet;
use crate::lookup::Class;
use crate::lookup::prepared::Prepared;
use crate::lookup::run::Run;
use crate::lookup::scope::{Scope, Unique, Uniqueness};
use crate::object::Role;
use crate::sys::file;
use crate::text::Text;

/// Prints them; answers the exit status, which says whether there are any.
#[must_use]
pub fn print(map: &LinkMap<'_>, listed: &Listed<'_>) -> i32 {
    let Some((id, program)) = map.by_role(Role::Program).and_then(|id| Some((id, map.get(id)?)))
    else {
        return 0;
    };
    let run = Run::walking(map.in_search_order());
    let runs = [&run];
    let mut unique = Unique::new();
    let mut scope = Scope::new(&runs, false, Uniqueness::Settles(&mut unique));
    let mut used = IdSet::default();
    let tables = &program.relocations;
    for relocation in tables.rela.iter().chain(tables.plt.iter()) {
        let Some(kind) = Kind::from_number(relocation.kind) else { continue };
        let Some(prepared) = Prepared::new(program, relocation.symbol) else { continue };
        // What nothing defines is not what was asked for.
        let found = scope.resolve(&map.objects, id, &prepared, Class::of(kind)).ok().flatten();
        let Some(found) = found else { continue };
        used.add(found.object);
        if listed.wants(kind)
            && let Some(definer) = map.get(found.object)
        {
            listed.tell(id, &found, definer);
        }
    }
    let is_unused = |id: &&_| map.get(**id).is_some() && !used.holds(**id);
    let mut text = String::new();
    for object in program.needed.iter().filter(is_unused).filter_map(|&id| map.get(id)) {
        let _ = writeln!(text, "\t{}", Text(object.name.to_bytes()));
    }
    if text.is_empty() {
        return 0;
    }
    file::write_all(STDOUT, alloc::format!("Unused direct dependencies:\n{text}").as_bytes());
    1
}
