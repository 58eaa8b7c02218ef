//! What the fuzz targets began with and found, each kept to its law.

#[path = "../../fuzz/src/replay.rs"]
mod replay;

mod laws;

#[test]
fn routes_keep_to_the_law() {
    replay::replay("routes", 60, laws::routes);
}

#[test]
fn session_descriptions_keep_to_the_law() {
    replay::replay("sdp", 60, laws::sdp);
}

#[test]
fn account_data_keeps_to_the_law() {
    replay::replay("sync_account_data", 60, laws::sync_account_data);
}
