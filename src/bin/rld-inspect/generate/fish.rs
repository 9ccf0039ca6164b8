//! Completions for fish: one `complete` command for each option and each operand, with its condition.

use std::fmt::Write as _;

use super::{Tool, quoted, script_head};
use crate::inspect::definitions::{Count, Kind, Operand, Opt};

/// Functions that conditions and arguments call.
const ENGINE: &str = include_str!("engine.fish");

pub fn script(tool: &Tool) -> String {
    let mut text = script_head("", "fish", tool);
    text.push_str(ENGINE);
    let Tool { name, .. } = tool;
    let id = tool.identifier();
    let before_values = tool.words_before_values().join(" ");
    let _ = writeln!(text, "\ncomplete -c {name} -f");
    if tool.wraps {
        let _ = write!(
            text,
            "
# The program with its arguments, once it is given.
function __{id}_program
    set -l words (commandline -opc) (commandline -ct)
    set -e words[1]
    while set -q words[2]
        if contains -- $words[1] {before_values}
            set -e words[1]
        else if not string match -q -- '-?*' $words[1]
            printf '%s\\n' $words
            return 0
        end
        set -e words[1]
    end
    return 1
end
function __{id}_no_program
    not __{id}_program >/dev/null
end
complete -c {name} -n 'not __{id}_no_program' -a \\
    '(__fish_complete_subcommand --commandline (__{id}_program))'
"
        );
        let condition = format!("__{id}_no_program");
        options(&mut text, name, &condition, &tool.options);
        argument(&mut text, name, &condition, Kind::Program);
        return text;
    }
    if tool.commands.is_empty() {
        options(&mut text, name, "", &tool.options);
        tool.operands.iter().for_each(|operand| argument(&mut text, name, "", operand.kind));
        return text;
    }
    let _ = write!(
        text,
        "
# Whether COMMAND is given (none, if it is empty) and its next operand is that at PLACE, or a later one.
function __{id}_in --argument-names command place later
    set -l operands (__rld_operands {before_values})
    test \"$operands[1]\" = \"$command\"; or return 1
    test -z \"$place\"; and return 0
    test (count $operands) -eq $place; and return 0
    test \"$later\" = later -a (count $operands) -gt $place
end
"
    );
    options(&mut text, name, &format!("__{id}_in \"\""), &tool.options);
    for command in tool.commands {
        let (command_name, summary) = (command.name, command.summary.trim_end_matches('.'));
        let _ = writeln!(
            text,
            "complete -c {name} -n '__{id}_in \"\"' -a {command_name} -d {}",
            quoted(summary)
        );
    }
    for command in tool.commands {
        let own = tool.options_of(command);
        options(&mut text, name, &format!("__{id}_in {}", command.name), &own);
        for (Operand { kind, count, .. }, place) in command.operands.iter().zip(1..) {
            let later = if *count == Count::AtLeastOnce { " later" } else { "" };
            let condition = format!("__{id}_in {} {place}{later}", command.name);
            argument(&mut text, name, &condition, *kind);
        }
    }
    text
}

fn options(text: &mut String, tool: &str, condition: &str, options: &[Opt]) {
    for Opt { short, long, value, meaning } in options {
        let _ = write!(text, "complete -c {tool}{}", when(condition));
        if let Some(short) = short {
            let _ = write!(text, " -s {short}");
        }
        let _ = write!(text, " -l {long}");
        if let Some(value) = value {
            let _ = write!(text, " {}", action(value.kind));
        }
        let _ = writeln!(text, " -d {}", quoted(meaning));
    }
}

fn argument(text: &mut String, tool: &str, condition: &str, kind: Kind) {
    let _ = writeln!(text, "complete -c {tool}{} {}", when(condition), action(kind));
}

fn when(condition: &str) -> String {
    if condition.is_empty() { String::new() } else { format!(" -n {}", quoted(condition)) }
}

/// What completes a value or an operand.
fn action(kind: Kind) -> String {
    match kind {
        Kind::Program | Kind::File | Kind::Library => "-r -F".to_owned(),
        Kind::Directory => "-x -a '(__fish_complete_directories)'".to_owned(),
        Kind::Directories => "-x -a '(__rld_list directories)'".to_owned(),
        Kind::Libraries => "-x -a '(__rld_list files)'".to_owned(),
        Kind::Symbol | Kind::Number | Kind::Text => "-x".to_owned(),
        Kind::OneOf(words) => format!("-x -a '{}'", words.join(" ")),
    }
}
