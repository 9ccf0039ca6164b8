# needs: rustc
cat >answer.rs <<'RS'
extern crate proc_macro;
use proc_macro::TokenStream;
#[proc_macro]
pub fn answer(input: TokenStream) -> TokenStream {
    let count = input.into_iter().count();
    format!("{{ const ANSWER: usize = {}; ANSWER }}", 14 * count).parse().unwrap()
}
#[proc_macro_derive(Name)]
pub fn name(input: TokenStream) -> TokenStream {
    let name = input.into_iter().nth(1).unwrap().to_string();
    format!("impl {name} {{ fn name() -> &'static str {{ \"{name}\" }} }}").parse().unwrap()
}
RS
cat >program.rs <<'RS'
#[derive(answer::Name)]
struct Thing;
thread_local!(static NUMBER: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });
fn main() {
    println!("{} {}", answer::answer!(a b c), Thing::name());
    let threads: Vec<_> = (0..20)
        .map(|i| std::thread::spawn(move || { NUMBER.set(NUMBER.get() + i); NUMBER.get() }))
        .collect();
    println!("{}", threads.into_iter().map(|t| t.join().unwrap()).sum::<usize>());
    println!("{:?}", std::panic::catch_unwind(|| { if Thing::name().len() == 5 { panic!("caught") } }).is_err());
    println!("{:?}", "127.0.0.1:80".parse::<std::net::SocketAddr>());
    std::process::exit(3)
}
RS
L rustc --version
L rustc --edition 2021 --crate-type proc-macro answer.rs
ls libanswer.so
L rustc --edition 2021 -O --extern answer=libanswer.so program.rs
L ./program 2>/dev/null || echo $?
L rustc --edition 2021 --extern answer=libanswer.so -C prefer-dynamic program.rs -o dynamic
LD_LIBRARY_PATH=$(rustc --print target-libdir) L ./dynamic 2>/dev/null || echo $?
echo 'pub fn f() -> u32 { "no number" }' >wrong.rs
L rustc --edition 2021 --crate-type lib --error-format short wrong.rs 2>&1 || echo $?
