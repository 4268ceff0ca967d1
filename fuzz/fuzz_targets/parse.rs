#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| memberflow_fuzz::parse(data));
