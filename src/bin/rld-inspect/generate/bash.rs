//! Completions for bash. The script is a table in the form of two functions, and an engine that is the same for all.

use std::fmt::Write as _;

use super::{Listed, Tool, quoted, script_head, words};
use crate::inspect::definitions::{Count, Kind, Operand, Opt};

/// The engine: the functions that the tables are made for.
const ENGINE: &str = include_str!("engine.bash");

pub fn script(tool: &Tool) -> String {
    let mut text = script_head("", "bash", tool);
    let (name, id) = (tool.name, tool.identifier());
    text.push_str(ENGINE);
    let _ = write!(
        text,
        "
# Sets `options` to those that the command takes; `kind` to what a word is, given the option before
# it, or its place among the operands.
_{id}_options() {{
    case $1 in
"
    );
    let mut arm = |command: &str, options: &[Opt]| {
        let all: Vec<_> = options.iter().flat_map(words).collect();
        let _ = writeln!(text, "    {command}) options='{}' ;;", all.join(" "));
    };
    for command in tool.commands {
        arm(command.name, &tool.options_of(command));
    }
    arm("*", &tool.options);
    let _ = write!(text, "    esac\n}}\n_{id}_kind() {{\n    case \"$1 $2\" in\n");
    for Listed { option, commands } in tool.all_options() {
        if let Some(value) = option.value {
            let everywhere = commands.is_empty().then_some("*");
            let commands: Vec<_> = commands.into_iter().chain(everywhere).collect();
            let words = words(&option);
            let patterns = commands
                .iter()
                .flat_map(|command| words.iter().map(move |word| format!("{command}\\ {word}")));
            let patterns: Vec<_> = patterns.collect();
            let _ = writeln!(text, "    {}) kind={} ;;", patterns.join(" | "), kind(value.kind));
        }
    }
    if tool.wraps {
        text.push_str("    ' 1') kind=files ;;\n");
    } else if tool.commands.is_empty() {
        operands(&mut text, "", tool.operands);
    } else {
        let commands: Vec<_> = tool.commands.iter().map(|command| command.name).collect();
        let _ = writeln!(text, "    ' 1') kind='words {}' ;;", commands.join(" "));
        for command in tool.commands {
            operands(&mut text, command.name, command.operands);
        }
    }
    let _ = write!(
        text,
        "    *) kind=none ;;
    esac
}}
_{id}() {{ _rld_complete _{id} {} {}; }}
complete -F _{id} {name}
",
        u8::from(!tool.commands.is_empty()),
        u8::from(tool.wraps)
    );
    text
}

/// The arms for a command's operands.
fn operands(text: &mut String, command: &str, operands: &[Operand]) {
    for (operand, number) in operands.iter().zip(1..) {
        let place = match operand.count {
            Count::AtLeastOnce => "'[0-9]*".to_owned(),
            Count::Once | Count::AtMostOnce => format!("{number}'"),
        };
        let _ = writeln!(text, "    '{command} {place}) kind={} ;;", kind(operand.kind));
    }
}

/// What the engine calls it.
fn kind(kind: Kind) -> String {
    match kind {
        Kind::Program | Kind::File | Kind::Library => "files".to_owned(),
        Kind::Directory => "directories".to_owned(),
        Kind::Directories => quoted("list directories"),
        Kind::Libraries => quoted("list files"),
        Kind::Symbol | Kind::Number | Kind::Text => "text".to_owned(),
        Kind::OneOf(words) => quoted(&format!("words {}", words.join(" "))),
    }
}
