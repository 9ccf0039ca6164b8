#![no_main]

use libfuzzer_sys::fuzz_target;
use rld_fuzz::properties::versions;

fuzz_target!(|input: &[u8]| versions::check(input));
