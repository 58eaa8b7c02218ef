//! Events that wait for their keys: bounded, and one room's never cost another's.

use serde_json::{Value, json};

use crate::people::*;

/// One that nobody can open.
fn unopenable(number: usize, bytes: usize) -> Value {
    let key = device(ALICE, "X")["curve25519"].as_str().unwrap().to_owned();
    json!({"type": "m.room.encrypted", "state_key": format!("org.example.t{number}:"),
        "sender": "@mallory:x", "origin_server_ts": NOW, "event_id": format!("$w{number}"),
        "content": {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "A".repeat(bytes),
            "session_id": key}})
}

#[test]
fn a_room_with_thousands_of_waiting_events_costs_no_other_room_its_name() {
    for flooded in ["!a:example.org", "!zz:example.org"] {
        let mut alice = Client::new(ALICE);
        let mut bob = Client::new(BOB);
        bob.knows(&[&alice]);
        let (event, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
        let mut state = room_state();
        state.push(event);
        bob.open("/sync?since=a", &sync(state, vec![]));
        for part in 0..5 {
            let flood = (0..1_000).map(|n| unopenable(part * 1_000 + n, 100)).collect();
            bob.open("/sync?since=b", &sync_of(flooded, flood, vec![]));
        }
        bob.engine.add_room_keys(&keys).unwrap();
        let retried = bob.retried();
        assert!(retried.iter().any(|event| event["content"] == named("Secret")), "{flooded}");
    }
}

#[test]
fn waiting_events_have_a_bound_in_bytes() {
    let mut bob = Client::new(BOB);
    for part in 0..40 {
        let flood = (0..25).map(|n| unopenable(part * 25 + n, 60_000)).collect();
        bob.open("/sync?since=b", &sync_of("!a:example.org", flood, vec![]));
    }
    let held: usize = bob
        .engine
        .take_undecryptable(usize::MAX)
        .iter()
        .map(|event| event.content.get().len())
        .sum();
    assert!(held <= 16 * 1024 * 1024, "{held} bytes handed out at once");
}

#[test]
fn an_event_is_handed_out_once() {
    let mut bob = Client::new(BOB);
    let flood = (0..100).map(|number| unopenable(number, 100)).collect();
    bob.open("/sync?since=b", &sync_of("!a:example.org", flood, vec![]));
    assert_eq!(bob.engine.take_undecryptable(usize::MAX).len(), 100);
    bob.open("/sync?since=c", &sync_of("!a:example.org", vec![unopenable(100, 100)], vec![]));
    assert_eq!(
        bob.engine.take_undecryptable(usize::MAX).len(),
        1,
        "the others are known to the page"
    );
}

#[test]
fn a_response_of_before_a_trap_stands_for_none_of_those_after_it() {
    let (alice, mut bob) = (Client::new(ALICE), Client::new(BOB));
    bob.knows(&[&alice]);
    let mut alice = alice;
    let (event, _) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
    let answer = sync([room_state(), vec![event]].concat(), vec![]);
    let before = bob.inspect("/sync", &answer).unwrap().answer;
    bob.reload();
    let after = bob.inspect("/sync", &answer).unwrap().answer;
    assert_ne!(before, after);
    assert!(bob.engine.open(before, 1).is_err());
    assert!(bob.engine.inspect_more(before).is_err());
    assert!(bob.engine.open(after, 1).is_ok());
}
