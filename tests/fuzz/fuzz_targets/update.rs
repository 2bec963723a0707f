//! See `checks::update`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::update::check(input));
