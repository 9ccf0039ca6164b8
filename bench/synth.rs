//! Synthetic programs: N libraries with M symbols each, the shape of a large C++ application.
//!
//! Every library exports M functions with long mangled names and imports M functions of other
//! libraries, half through its PLT (R_X86_64_JUMP_SLOT), half as pointers in read-only data, as in
//! vtables (R_X86_64_64), and holds M pointers to itself (R_X86_64_RELATIVE). It names up to eight
//! others in DT_NEEDED; the program names them all. The libraries are kept from run to run in a
//! folder named for N, M and the text of this file. Every function returns a number of its own.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use crate::program::tool;
use crate::scratch::Scratch;

const MAX_NEEDED: usize = 8;

/// A set of libraries. Two sets of different names can be loaded together.
#[derive(Clone, Copy)]
pub struct Set {
    /// Part of every name.
    pub name: &'static str,
    /// How many there are, at least two.
    pub libraries: usize,
    /// Functions that each exports.
    pub symbols: usize,
    /// Functions that each imports, at most as many as it exports.
    pub imports: usize,
}

/// Builds the program in `dir`, and its libraries in `cache` unless they are there.
pub fn program(n: usize, m: usize, dir: &Path, cache: &Path) -> Result<PathBuf, String> {
    let set = Set { name: "synth", libraries: n, symbols: m, imports: m };
    link_program(set, dir, &set.folder(cache)?)
}

impl Set {
    /// The folder with the libraries; made in `cache` unless it is there.
    pub fn folder(self, cache: &Path) -> Result<PathBuf, String> {
        let Set { name, libraries: n, symbols: m, imports } = self;
        let text = fnv1a(include_str!("synth.rs"));
        let libraries = cache.join(format!("{name}-{n}x{m}-{imports}-{text:016x}"));
        if !libraries.is_dir() {
            eprintln!("bench: generating {n} libraries x {m} symbols");
            let unfinished = Scratch::new(cache)?;
            make_libraries(self, unfinished.path())?;
            // Complete or absent, whoever else is at it: if another run was faster, its folder
            // stays.
            if let Err(e) = fs::rename(unfinished.path(), &libraries)
                && !libraries.is_dir()
            {
                return Err(format!("{}: {e}", libraries.display()));
            }
        }
        Ok(libraries)
    }

    /// The file of a library.
    pub fn soname(self, library: usize) -> String {
        format!("lib{}{library:04}.so", self.name)
    }

    /// The function of a library that calls all that the library imports.
    pub fn run(self, library: usize) -> String {
        format!("run_{}_{library}", self.name)
    }

    /// A name as long as templates make them, alike but for the digits in its middle.
    pub fn function(self, library: usize, k: usize) -> String {
        let (name, length) = (self.name, self.name.len());
        format!(
            "_ZN{length}{name}10Module{library:04}ISaIcEE12method_{k:05}ERKNSt7__cxx1112basic_\
             stringIcSt11char_traitsIcESaIcEEE"
        )
    }

    /// What that function returns.
    pub fn value(self, library: usize, k: usize) -> usize {
        library * self.symbols + k
    }
}

/// The program calls every library, and each library everything it imports: running it proves all
/// bindings usable.
fn link_program(set: Set, dir: &Path, libraries: &Path) -> Result<PathBuf, String> {
    let mut text = String::from(".text\n.globl main\n.type main,@function\nmain: sub $8,%rsp\n");
    for i in 0..set.libraries {
        _ = writeln!(text, "call {}@PLT", set.run(i));
    }
    text.push_str("xor %eax,%eax\nadd $8,%rsp\nret\n.size main,.-main\n");
    text.push_str(".section .note.GNU-stack,\"\",@progbits\n");
    let out = dir.join("synth");
    let mut gcc = Command::new("gcc");
    gcc.args(["-x", "assembler", "-", "-x", "none", "-Wl,-z,lazy", "-Wl,--no-as-needed"])
        .arg(format!("-Wl,-rpath,{}", libraries.display()))
        .args((0..set.libraries).map(|i| libraries.join(set.soname(i))))
        .arg("-o")
        .arg(&out);
    tool(gcc, &text)?;
    Ok(out)
}

/// Assembles and links the libraries on all CPUs. ld wants those in DT_NEEDED on disk, all of them
/// with lower numbers.
fn make_libraries(set: Set, dir: &Path) -> Result<(), String> {
    let n = set.libraries;
    if n < 2 {
        return Err("synthetic programs need two libraries or more".into());
    }
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<Result<(), String>>>> = Mutex::new(vec![None; n]);
    let finished = Condvar::new();
    let lock = || results.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= n {
                        break;
                    }
                    let library = Library::new(set, i);
                    let object = dir.join(format!("{i}.o"));
                    let assembled = assemble(&library.assembly(), &object);
                    // A lower number was taken earlier, so somebody is at it: this wait ends.
                    drop(finished.wait_while(lock(), |results| {
                        library.needed.iter().any(|&j| results[j].is_none())
                    }));
                    let linked = assembled.and_then(|()| library.link(&object, dir));
                    _ = fs::remove_file(&object);
                    lock()[i] = Some(linked);
                    finished.notify_all();
                }
            });
        }
    });
    results
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
        .into_iter()
        .flatten()
        .collect()
}

fn assemble(text: &str, object: &Path) -> Result<(), String> {
    let mut command = Command::new("as");
    command.arg("-o").arg(object).arg("-");
    tool(command, text)
}

struct Library {
    set: Set,
    number: usize,
    /// (library, function), distinct, in no order.
    imports: Vec<(usize, usize)>,
    needed: Vec<usize>,
}

impl Library {
    fn new(set: Set, number: usize) -> Self {
        let Set { libraries: n, symbols: m, imports: wanted, .. } = set;
        let mut random = Random(number as u64);
        // As many other libraries as there are imports, or all of them.
        let mut others: Vec<usize> = (0..n).filter(|&j| j != number).collect();
        random.shuffle(&mut others);
        others.truncate(wanted.max(1));
        let needed = others.iter().copied().filter(|&j| j < number).take(MAX_NEEDED).collect();
        let mut chosen = BTreeSet::new();
        let mut imports = Vec::with_capacity(wanted);
        for k in 0..wanted {
            let library = others[k % others.len()];
            // Linear probing: an import that is taken makes way for the next function. There are at
            // least m.
            let start = random.below(m);
            let free = (0..m).map(|step| (library, (start + step) % m)).find(|i| chosen.insert(*i));
            imports.extend(free);
        }
        random.shuffle(&mut imports);
        Self { set, number, imports, needed }
    }

    fn assembly(&self) -> String {
        let mut text = String::from(".text\n");
        for k in 0..self.set.symbols {
            let name = self.set.function(self.number, k);
            _ = writeln!(text, ".globl {name}\n.type {name},@function\n.balign 16");
            _ = writeln!(
                text,
                "{name}: mov ${},%eax\nret\n.size {name},.-{name}",
                self.set.value(self.number, k)
            );
        }
        let (plt, pointers) = self.imports.split_at(self.imports.len() / 2);
        let run = self.set.run(self.number);
        _ = writeln!(text, ".globl {run}\n.type {run},@function\n{run}: sub $8,%rsp");
        for &(library, k) in plt {
            _ = writeln!(text, "call {}@PLT", self.set.function(library, k));
        }
        for slot in 0..pointers.len() {
            _ = writeln!(text, "call *.Lpointers+{}(%rip)", 8 * slot);
        }
        _ = writeln!(text, "add $8,%rsp\nret\n.size {run},.-{run}");
        text.push_str(".section .data.rel.ro,\"aw\"\n.balign 8\n.Lpointers:\n");
        for &(library, k) in pointers {
            _ = writeln!(text, ".quad {}", self.set.function(library, k));
        }
        for k in 0..self.set.symbols {
            _ = writeln!(text, ".quad .Lself+{}", 8 * k);
        }
        text.push_str(".data\n.Lself: .quad 1\n.section .note.GNU-stack,\"\",@progbits\n");
        text
    }

    fn link(&self, object: &Path, dir: &Path) -> Result<(), String> {
        let name = self.set.soname(self.number);
        let mut ld = Command::new("ld");
        ld.args(["-shared", "-z", "lazy", "-z", "relro", "--hash-style=gnu", "--no-as-needed"])
            .args(["-soname", &name, "-o"])
            .arg(dir.join(&name))
            .arg(object)
            .args(self.needed.iter().map(|&j| dir.join(self.set.soname(j))));
        tool(ld, "")
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same libraries on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
#[allow(unused)] // see unit.rs
mod tests {
    use super::*;

    #[test]
    fn a_library_imports_what_others_export() {
        for (n, m) in [(2, 100), (10, 100), (400, 100)] {
            for i in [0, 1, n - 1] {
                let set = Set { name: "synth", libraries: n, symbols: m, imports: m };
                let l = Library::new(set, i);
                let distinct: BTreeSet<_> = l.imports.iter().collect();
                assert_eq!((l.imports.len(), distinct.len()), (m, m));
                assert!(l.imports.iter().all(|&(j, k)| j != i && j < n && k < m));
                assert!(l.needed.len() <= MAX_NEEDED && l.needed.iter().all(|&j| j < i));
            }
        }
    }

    #[test]
    fn the_assembly_holds_every_kind_of_relocation() {
        let set = Set { name: "synth", libraries: 10, symbols: 100, imports: 100 };
        let text = Library::new(set, 3).assembly();
        assert_eq!(text.matches("@PLT").count(), 50);
        assert_eq!(text.matches(".quad _ZN").count(), 50);
        assert_eq!(text.matches(".quad .Lself").count(), 100);
        assert_eq!(text.matches(": mov $").count(), 100);
    }
}
