//! Manual pages in mdoc(7): a page of prose for each tool, into which the lists of its definitions are put.
//!
//! A line `.\" @LIST` of the source stands for such a list. What follows `.\" @about --NAME`, up to the next line with
//! a mark, is more to say about an option than half a line; it stands before `.\" @options`.

use std::fmt::Write as _;

use super::{Listed, Tool, words};
use crate::inspect::definitions::{Command, Count, ENVIRONMENT, Kind, Operand, STATUS, Value};

/// How a line begins that is for this generator.
const MARK: &str = ".\\\" @";
/// Longest line of text, as mandoc(1) likes it.
const WIDTH: usize = 80;

pub fn page(tool: &Tool) -> String {
    let source = match tool.name {
        "rld" => include_str!("rld.8"),
        "rldd" => include_str!("rldd.1"),
        _ => include_str!("rld-inspect.1"),
    };
    let (mut text, mut about) = (String::new(), Vec::new());
    let mut lines = source.lines().peekable();
    while let Some(line) = lines.next() {
        match line.strip_prefix(MARK) {
            Some("options") => options(&mut text, tool, &about),
            Some("commands") => tool.commands.iter().for_each(|it| command(&mut text, it)),
            Some("environment") => prose(&mut text, ENVIRONMENT),
            Some("status") => STATUS.iter().for_each(|(status, meaning)| {
                let _ = writeln!(text, ".It {status}");
                sentence(&mut text, meaning);
            }),
            Some("synopsis") => tool.commands.iter().for_each(|it| synopsis(&mut text, it)),
            Some(mark) if let Some(option) = mark.strip_prefix("about --") => {
                let mut more = String::new();
                while let Some(line) = lines.next_if(|line| !line.starts_with(MARK)) {
                    more.extend([line, "\n"]);
                }
                about.push((option, more));
            }
            _ => text.extend([line, "\n"]),
        }
    }
    text
}

/// One item for each option.
fn options(text: &mut String, tool: &Tool, about: &[(&str, String)]) {
    let all = tool.all_options();
    for listed in &all {
        let Listed { option, commands } = listed;
        let names: Vec<_> = words(option).iter().map(|word| format!("Fl {}", &word[1..])).collect();
        let _ = write!(text, ".It {}", names.join(" , "));
        if let Some(Value { name, .. }) = option.value {
            let _ = write!(text, " Ar {name}");
        }
        text.push('\n');
        sentence(text, option.meaning);
        if let Some(Value { name, kind: Kind::OneOf(words) }) = option.value {
            sentence(text, &format!("{name} is one of {}", words.join(", ")));
        }
        // Two options of one name are told apart by the commands that they belong to.
        if all.iter().any(|other| other != listed && other.option.long == option.long) {
            sentence(text, &format!("this is so for {}", commands.join(", ")));
        }
        about.iter().filter(|(name, _)| *name == option.long).for_each(|(_, more)| {
            text.push_str(more);
        });
    }
}

/// What can be typed for a command.
fn synopsis(text: &mut String, command: &Command) {
    let _ = writeln!(text, ".Nm\n.Cm {}\n.Op Ar OPTION ...", command.name);
    command.operands.iter().for_each(|it| {
        let _ = writeln!(text, ".{}", operand(it));
    });
}

fn operand(Operand { name, count, .. }: &Operand) -> String {
    match count {
        Count::Once => format!("Ar {name}"),
        Count::AtMostOnce => format!("Op Ar {name}"),
        Count::AtLeastOnce => format!("Ar {name} ..."),
    }
}

/// What a command is for.
fn command(text: &mut String, command: &Command) {
    let operands: Vec<_> = command.operands.iter().map(operand).collect();
    let _ = writeln!(text, ".It Cm {} {}", command.name, operands.join(" "));
    prose(text, command.summary);
    for Operand { name, kind, .. } in command.operands {
        if let Kind::OneOf(words) = kind {
            sentence(text, &format!("{name} is one of {}", words.join(", ")));
        }
    }
    for paragraph in command.about {
        text.push_str(".Pp\n");
        prose(text, paragraph);
    }
    let own: Vec<_> = command.options().map(|option| format!(".Fl -{}", option.long)).collect();
    let _ = match own.split_last() {
        None => Ok(()),
        Some((last, [])) => writeln!(text, ".Pp\nIts option is\n{last} ."),
        Some((last, others)) => {
            writeln!(text, ".Pp\nIts options are\n{}\nand\n{last} .", others.join(" ,\n"))
        }
    };
}

/// Part of a sentence, as a whole one.
fn sentence(text: &mut String, part: &str) {
    let mut letters = part.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    prose(text, &first.chain(letters).chain(['.']).collect::<String>());
}

/// Text in lines, a new one for each sentence.
fn prose(text: &mut String, words: &str) {
    let mut width = 0;
    for word in words.replace('\\', "\\e").split_whitespace() {
        let ends = text.ends_with(['.', '?']) && width > 0;
        if ends || width + 1 + word.len() > WIDTH {
            text.push('\n');
            width = 0;
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        // What a line must not begin with, because it would be a request.
        if width == 0 && word.starts_with(['.', '\'']) {
            text.push_str("\\&");
        }
        text.push_str(word);
        width += word.len();
    }
    text.push('\n');
}
