#![no_main]
libfuzzer_sys::fuzz_target!(|text: &str| mantle_fuzz::links(text));
