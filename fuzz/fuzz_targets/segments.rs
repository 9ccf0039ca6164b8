#![no_main]

use libfuzzer_sys::fuzz_target;
use rld_fuzz::properties::segments;

fuzz_target!(|input: &[u8]| segments::check(input));
