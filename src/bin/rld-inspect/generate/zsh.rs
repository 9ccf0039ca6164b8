//! Completions for zsh: arguments of its `_arguments`.

use std::fmt::Write as _;

use super::{Tool, quoted, script_head};
use crate::inspect::definitions::{Count, Kind, Operand, Opt};

pub fn script(tool: &Tool) -> String {
    let mut text = script_head(&format!("#compdef {}\n", tool.name), "zsh", tool);
    let id = tool.identifier();
    if tool.commands.is_empty() {
        text.push_str("\n_arguments -S");
        options(&mut text, "    ", tool, &tool.options);
        if tool.wraps {
            // `(-)`: no option of this tool after the program, whose own completion gets the rest.
            let _ = write!(text, " \\\n    '(-):program:_files' \\\n    '*::argument:_normal'");
        } else {
            operands(&mut text, "    ", tool.operands);
        }
        text.push('\n');
        return text;
    }
    let _ = write!(
        text,
        "
_{id}_commands() {{
    local -a commands=(
"
    );
    for command in tool.commands {
        let _ = writeln!(text, "        {}", quoted(&line(command.name, command.summary)));
    }
    let _ = write!(
        text,
        "    )
    _describe -t commands command commands
}}

_{id}() {{
    local curcontext=$curcontext state state_descr line
    local -A opt_args
    _arguments -C -A '-*'"
    );
    options(&mut text, "        ", tool, &tool.options);
    let _ = write!(
        text,
        " \\
        '1:command:_{id}_commands' \\
        '*:: :->command' && return
    curcontext=${{curcontext%:*:*}}:{}-$line[1]:
    case $line[1] in
",
        tool.name
    );
    for command in tool.commands {
        let _ = write!(text, "    {})\n        _arguments", command.name);
        let own = tool.options_of(command);
        options(&mut text, "            ", tool, &own);
        operands(&mut text, "            ", command.operands);
        text.push_str("\n        ;;\n");
    }
    let _ = write!(text, "    esac\n}}\n\n_{id} \"$@\"\n");
    text
}

/// A name with a description, as `_describe` has them.
fn line(name: &str, description: &str) -> String {
    format!("{name}:{}", description.trim_end_matches('.'))
}

/// One argument for each option.
fn options(text: &mut String, indent: &str, tool: &Tool, options: &[Opt]) {
    for Opt { short, long, value, meaning } in options {
        let meaning: String = meaning.chars().flat_map(escaped).collect();
        let mut rest = format!("[{meaning}]");
        // Only the loader wants a value to be a word of its own.
        let mark = if value.is_some() && !tool.wraps { "=" } else { "" };
        if let Some(value) = value {
            let _ = write!(rest, ":{}:{}", value.name, action(value.kind));
        }
        // What has a value may be given again.
        let exclusive = match (short, value) {
            (_, Some(_)) => "*".to_owned(),
            (Some(short), None) => format!("(-{short} --{long})"),
            (None, None) => String::new(),
        };
        let short = short.map(|short| match value {
            Some(_) => format!("-{short}+"),
            None => format!("-{short}"),
        });
        for name in short.into_iter().chain([format!("--{long}{mark}")]) {
            let _ = write!(text, " \\\n{indent}{}", quoted(&format!("{exclusive}{name}{rest}")));
        }
    }
}

/// Brackets and colons mean something to `_arguments`.
fn escaped(letter: char) -> impl Iterator<Item = char> {
    "[]:\\".contains(letter).then_some('\\').into_iter().chain([letter])
}

fn operands(text: &mut String, indent: &str, operands: &[Operand]) {
    for (Operand { name, kind, count }, number) in operands.iter().zip(1..) {
        let name: String = name.chars().flat_map(escaped).collect();
        let place = match count {
            Count::Once => format!("{number}:"),
            Count::AtMostOnce => format!("{number}::"),
            Count::AtLeastOnce => "*:".to_owned(),
        };
        let _ =
            write!(text, " \\\n{indent}{}", quoted(&format!("{place}{name}:{}", action(*kind))));
    }
}

/// What completes it.
fn action(kind: Kind) -> String {
    match kind {
        Kind::Program | Kind::File | Kind::Library => "_files".to_owned(),
        Kind::Directory => "_directories".to_owned(),
        Kind::Directories => "_dir_list".to_owned(),
        Kind::Libraries => "_sequence -s \\: _files".to_owned(),
        Kind::Symbol | Kind::Number | Kind::Text => " ".to_owned(),
        Kind::OneOf(words) => format!("({})", words.join(" ")),
    }
}
