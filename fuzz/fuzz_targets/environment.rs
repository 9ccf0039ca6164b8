#![no_main]

use libfuzzer_sys::fuzz_target;
use rld_fuzz::properties::environment;

fuzz_target!(|input: &[u8]| environment::check(input));
