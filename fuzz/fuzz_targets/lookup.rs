#![no_main]

use libfuzzer_sys::fuzz_target;
use rld_fuzz::properties::lookup;

fuzz_target!(|input: &[u8]| lookup::check(input));
