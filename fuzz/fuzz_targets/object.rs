#![no_main]

use libfuzzer_sys::fuzz_target;
use rld_fuzz::properties::object;

fuzz_target!(|input: &[u8]| object::check(input));
