//! What the fuzz target began with and found, each kept to the law.

#[path = "../../fuzz/src/replay.rs"]
mod replay;

mod laws;

#[test]
fn json_edits_keep_to_the_law() {
    replay::replay("json_edits", 60, laws::json_edits);
}
