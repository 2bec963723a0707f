//! See `checks::nlri`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::nlri::check(input));
