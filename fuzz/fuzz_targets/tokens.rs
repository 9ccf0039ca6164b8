#![no_main]

use libfuzzer_sys::fuzz_target;
use rld_fuzz::properties::tokens;

fuzz_target!(|input: &[u8]| tokens::check(input));
