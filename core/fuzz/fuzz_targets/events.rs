#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| mantle_fuzz::room_state::events(input));
