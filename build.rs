//! Compiles the table of glibc's layouts.

#[path = "build/layouts.rs"]
mod layouts;

fn main() {
    if let Err(words) = layouts::generate() {
        eprintln!("error: {words}");
        std::process::exit(1);
    }
}
