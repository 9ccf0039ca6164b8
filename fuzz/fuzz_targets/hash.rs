#![no_main]

use libfuzzer_sys::fuzz_target;
use rld_fuzz::properties::hash;

fuzz_target!(|input: &[u8]| hash::check(input));
