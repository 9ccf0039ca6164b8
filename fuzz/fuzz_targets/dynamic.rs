#![no_main]

use libfuzzer_sys::fuzz_target;
use rld_fuzz::properties::dynamic;

fuzz_target!(|input: &[u8]| dynamic::check(input));
