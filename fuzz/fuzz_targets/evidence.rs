#![no_main]

use libfuzzer_sys::fuzz_target;
use rld_fuzz::properties::evidence;

fuzz_target!(|input: &[u8]| evidence::check(input));
