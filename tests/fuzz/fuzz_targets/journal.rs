//! See `checks::journal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::journal::check(input));
