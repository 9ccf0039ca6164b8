#![no_main]

use libfuzzer_sys::fuzz_target;
use rld_fuzz::properties::tunables;

fuzz_target!(|input: &[u8]| tunables::check(input));
