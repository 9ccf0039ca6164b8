#![no_main]

use libfuzzer_sys::fuzz_target;
use rld_fuzz::properties::cache;

fuzz_target!(|input: &[u8]| cache::check(input));
