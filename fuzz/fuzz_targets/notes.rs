#![no_main]

use libfuzzer_sys::fuzz_target;
use rld_fuzz::properties::notes;

fuzz_target!(|input: &[u8]| notes::check(input));
