//! What the fuzz targets began with and found, each kept to its law.

#[path = "../../fuzz/src/replay.rs"]
mod replay;

mod laws;

#[test]
fn requests_keep_to_the_law() {
    replay::replay("requests", 20, laws::requests);
}

#[test]
fn responses_keep_to_the_law() {
    replay::replay("responses", 20, laws::responses);
}

#[test]
fn settings_keep_to_the_law() {
    replay::replay("settings", 20, laws::settings);
}
