//! `--tree`: the program's dependencies as a tree, with the rule by which each is found. Nothing is run.

use alloc::vec::Vec;
use core::ffi::CStr;

use super::command;
use super::terms::{STDOUT, Stop};
use crate::addr::ObjectId;
use crate::env::split_variable;
use crate::linkmap::requests::Requests;
use crate::linkmap::tree::Tree;
use crate::linkmap::{Linker, Source};
use crate::paint::{self, Paint};
use crate::sys::file;
use crate::sys::stack::InitialStack;

/// Prints the tree; returns how that ends the process, with 1 if something is missing.
pub fn print<S: Source<'static>>(
    mut linker: Linker<'_, 'static, S>,
    program: ObjectId,
    preload: &[(Vec<u8>, &'static str)],
    stack: &InitialStack,
) -> Stop {
    let name = linker.program;
    let preload: Vec<_> = preload.iter().map(|(name, _)| name.clone()).collect();
    let is_static = linker.map.get(program).is_some_and(command::runs_alone);
    let requests = match Requests::make(&mut linker, program, &preload) {
        Ok(requests) => requests,
        Err(error) => return error.into(),
    };
    let tree = Tree { map: linker.map, program, name, requests: &requests, is_static };
    file::write_all(STDOUT, alloc::format!("{}", tree.painted(paint(stack))).as_bytes());
    Stop::Exit(requests.missing().next().is_some().into())
}

/// Colours are for terminals.
fn paint(stack: &InitialStack) -> Paint {
    let variable = |wanted: &[u8]| {
        let variables = stack.environment().map(CStr::to_bytes);
        variables.filter_map(split_variable).find(|(name, _)| *name == wanted).map(|(_, it)| it)
    };
    let wanted = paint::wanted(variable(b"NO_COLOR"), variable(b"TERM"));
    Paint::new(wanted && file::is_terminal(STDOUT))
}
