//! Compiles the table of glibc's layouts, and links the loader as what a kernel can start without a loader.

#[path = "build/layouts.rs"]
mod layouts;

/// Nothing of a C runtime; position-independent; exports with versions. A
/// shared object, not an executable: link editors are given the loader as an input (libc.so's AS_NEEDED), and refuse
/// one that is marked as a program.
const LINK_ARGS: [&str; 11] = [
    "-nostartfiles",
    "-nostdlib",
    "-shared",
    "-Wl,-Bsymbolic",
    "-Wl,-z,now",
    "-Wl,--entry=_start",
    "-Wl,--no-undefined",
    "-Wl,-soname,ld-linux-x86-64.so.2",
    "-Wl,--export-dynamic",
    "-Wl,--hash-style=gnu",
    "-Wl,-z,nopack-relative-relocs",
];

fn main() {
    let root = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    for argument in LINK_ARGS {
        println!("cargo::rustc-link-arg-bin=rld={argument}");
    }
    println!("cargo::rustc-link-arg-bin=rld={root}/linker.ld");
    println!("cargo::rerun-if-changed=linker.ld");
    if let Err(words) = layouts::generate() {
        eprintln!("error: {words}");
        std::process::exit(1);
    }
}
