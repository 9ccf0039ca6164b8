//! The list of a program's objects, as ldd(1) shows it.

use alloc::string::String;
use core::fmt::Write;

use crate::linkmap::LinkMap;
use crate::object::Role;
use crate::sys::file;
use crate::text::Text;

/// Prints all objects but the program: the name asked for, the path found, the address.
pub fn print(map: &LinkMap<'_>) {
    let program = map.by_role(Role::Program).and_then(|id| map.get(id));
    if program.is_some_and(|program| program.dynamic.needed.is_empty()) {
        return file::write_all(1, b"\tstatically linked\n");
    }
    let mut text = String::new();
    for id in map.visible() {
        let Some(object) = map.get(id).filter(|object| object.role != Role::Program) else {
            continue;
        };
        let path = object.name.to_bytes();
        if object.role == Role::Absent {
            let _ = writeln!(text, "\t{} => not found", Text(path));
            continue;
        }
        let start = object.image.bias.0;
        let asked = match object.role {
            Role::Library => object.aliases.first().map_or(path, |alias| alias),
            _ => path,
        };
        let _ = if asked == path {
            writeln!(text, "\t{} ({start:#018x})", Text(path))
        } else {
            writeln!(text, "\t{} => {} ({start:#018x})", Text(asked), Text(path))
        };
    }
    file::write_all(1, text.as_bytes());
}
