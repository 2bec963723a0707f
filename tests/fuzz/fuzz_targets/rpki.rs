//! See `checks::rpki`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::rpki::check(input));
