//! What the fuzz targets began with and found, each kept to its law.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    missing_docs,
    unreachable_pub,
    reason = "tests may panic"
)]

#[path = "../../fuzz/src/replay.rs"]
mod replay;

mod laws;

#[test]
fn packed_keys_keep_to_the_law() {
    replay::replay("packed_keys", 60, laws::packed_keys);
}

#[test]
fn events_keep_to_the_law() {
    replay::replay("events", 60, laws::events);
}

#[test]
fn stored_records_keep_to_the_law() {
    replay::replay("stored_state", 6, laws::stored_state);
}

#[test]
fn encrypted_contents_keep_to_the_law() {
    replay::replay("megolm_content", 20, laws::megolm_content);
}

#[test]
fn signatures_checked_together_are_those_that_vodozemac_checks_alone() {
    replay::replay("batch_verification", 6, laws::batch_verification);
}

#[test]
fn invite_previews_keep_to_the_law() {
    replay::replay("invite_previews", 60, laws::invite_previews);
}
