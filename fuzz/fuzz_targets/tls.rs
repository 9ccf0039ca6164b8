#![no_main]

use libfuzzer_sys::fuzz_target;
use rld_fuzz::properties::tls;

fuzz_target!(|input: &[u8]| tls::check(input));
