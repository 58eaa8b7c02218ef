//! What the fuzz target began with and found, each kept to the law.

#[path = "../../fuzz/src/replay.rs"]
mod replay;

mod laws;

#[test]
fn check_up_keeps_to_the_law() {
    replay::replay("check_up", 60, laws::check_up);
}
