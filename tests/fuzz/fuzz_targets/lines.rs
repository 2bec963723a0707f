//! See `checks::lines`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::lines::check(input));
