//! See `checks::mrt`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::mrt::check(input));
