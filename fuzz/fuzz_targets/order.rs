#![no_main]

use libfuzzer_sys::fuzz_target;
use rld_fuzz::properties::order;

fuzz_target!(|input: &[u8]| order::check(input));
