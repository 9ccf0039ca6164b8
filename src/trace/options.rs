//! The value of LD_DEBUG: names of what is to be shown.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::Topics;
use crate::text::Text;

/// A name, what it stands for in words, and as topics.
struct Choice {
    name: &'static str,
    meaning: &'static str,
    topics: Topics,
}

const fn choice(name: &'static str, meaning: &'static str, topics: Topics) -> Choice {
    Choice { name, meaning, topics }
}

/// With what is about objects come the calls of their functions.
const fn with_calls(topics: Topics) -> Topics {
    topics.union(Topics::CALLS)
}

const CHOICES: [Choice; 10] = [
    choice("libs", "where libraries are looked for", with_calls(Topics::LIBS)),
    choice("reloc", "objects that are relocated", with_calls(Topics::RELOC)),
    choice("files", "objects that are loaded and unloaded", with_calls(Topics::FILES)),
    choice("symbols", "each object a symbol is looked up in", with_calls(Topics::SYMBOLS)),
    choice("bindings", "what references are bound to", with_calls(Topics::BINDINGS)),
    choice("versions", "versions that objects need", with_calls(Topics::VERSIONS)),
    choice("scopes", "the objects that each object sees", Topics::SCOPES),
    choice("all", "all of the above", all()),
    choice("statistics", "time spent, and relocations", Topics::STATISTICS),
    choice("unused", "dependencies that are not needed", Topics::UNUSED),
];

const fn all() -> Topics {
    Topics::LIBS
        .union(Topics::RELOC)
        .union(Topics::FILES)
        .union(Topics::SYMBOLS)
        .union(Topics::BINDINGS)
        .union(Topics::VERSIONS)
        .union(Topics::CALLS)
        .union(Topics::SCOPES)
}

const HELP: &str = "help";

/// What LD_DEBUG asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// What is to be shown.
    pub topics: Topics,
    /// The list of names is asked for.
    pub help: bool,
    /// Names that mean nothing.
    pub unknown: Vec<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// Reads values of the variable; names stand between spaces, commas and colons.
    #[must_use]
    pub fn parse(values: &[&'a [u8]]) -> Self {
        let mut request = Self { topics: Topics::empty(), help: false, unknown: Vec::new() };
        let names = values.iter().flat_map(|value| value.split(|byte| b" ,:".contains(byte)));
        for name in names.filter(|name| !name.is_empty()) {
            let choice = CHOICES.iter().find(|choice| choice.name.as_bytes() == name);
            match choice {
                Some(choice) => request.topics |= choice.topics,
                None if name == HELP.as_bytes() => request.help = true,
                None => request.unknown.push(name),
            }
        }
        // Errors belong to everything but the figures of the end.
        if !(request.topics - Topics::STATISTICS).is_empty() {
            request.topics |= Topics::ERRORS;
        }
        request
    }

    /// ld.so's line for each name that means nothing.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.unknown.iter().map(|name| {
            alloc::format!("warning: debug option `{}' unknown; try LD_DEBUG=help", Text(name))
        })
    }
}

/// The list of names.
#[must_use]
pub fn help() -> String {
    let mut text = String::from("Valid options for the LD_DEBUG environment variable are:\n\n");
    let choices = CHOICES.iter().map(|choice| (choice.name, choice.meaning));
    for (name, meaning) in choices.chain([(HELP, "this list, and exit")]) {
        let _ = writeln!(text, "  {name:10}  {meaning}");
    }
    text.push_str(
        "\nLines go to standard error, or to a file: the value of LD_DEBUG_OUTPUT with a dot and the\n\
         process's number behind it.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_between_separators() {
        let request = Request::parse(&[b"libs,,bindings: tls", b"help scopes"]);
        let topics = Topics::LIBS | Topics::BINDINGS | Topics::CALLS | Topics::SCOPES;
        assert_eq!(request.topics, topics | Topics::ERRORS);
        assert!(request.help);
        assert_eq!(request.unknown, [&b"tls"[..]]);
        let warnings: Vec<_> = request.warnings().collect();
        assert_eq!(warnings, ["warning: debug option `tls' unknown; try LD_DEBUG=help"]);
    }

    #[test]
    fn all_is_what_stands_above_it() {
        let above = CHOICES.iter().take_while(|choice| choice.name != "all");
        let above = above.map(|choice| choice.topics).fold(Topics::empty(), Topics::union);
        assert_eq!(Request::parse(&[b"all"]).topics, above | Topics::ERRORS);
        assert_eq!(Request::parse(&[b"statistics"]).topics, Topics::STATISTICS);
        assert_eq!(Request::parse(&[b"", b" :"]).topics, Topics::empty());
    }

    #[test]
    fn the_list_names_everything() {
        let help = help();
        for choice in &CHOICES {
            assert!(help.contains(&alloc::format!("\n  {:10}  {}\n", choice.name, choice.meaning)));
        }
        assert!(help.contains("\n  help        "));
    }
}
