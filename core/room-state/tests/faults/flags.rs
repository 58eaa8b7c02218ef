//! The room's flag means what it says, in the way every client reads it.

use mantle_room_state::Plan;
use serde_json::{Value, json};

use crate::people::*;

fn room_flagged(name: &str, value: &Value) -> Vec<Value> {
    let mut state = room_state();
    state[2]["content"] = json!({"algorithm": "m.megolm.v1.aes-sha2"});
    state[2]["content"][name] = value.clone();
    state
}

#[test]
fn the_flag_is_read_as_matrix_js_sdk_reads_it() {
    let url = format!("{HS}/rooms/{ROOM}/state/m.room.name/");
    let on = [
        json!(true),
        json!(1),
        json!(-1),
        json!(0.5),
        json!("true"),
        json!("false"),
        json!("0"),
        json!({}),
        json!([]),
    ];
    let off = [json!(false), json!(null), json!(0), json!(0.0), json!(-0.0), json!("")];
    for name in ["io.element.msc4362.encrypt_state_events", "encrypt_state_events"] {
        for (values, is_on) in [(&on[..], true), (&off[..], false)] {
            for value in values {
                let mut by_sync = Client::new(ALICE);
                by_sync.open("/sync?since=a", &sync(room_flagged(name, value), vec![]));
                let mut by_page = Client::new(ALICE);
                let events = json!(room_flagged(name, value)).to_string();
                by_page.engine.add_room_state(ROOM, &events).unwrap();
                for alice in [by_sync, by_page] {
                    assert_eq!(alice.engine.encrypts_state(ROOM), is_on, "{name}: {value}");
                    let plan = alice.engine.plan_put("PUT", &url, b"{\"name\":\"Secret\"}");
                    let is_encrypted = matches!(plan, Plan::Encrypt { .. });
                    assert_eq!(is_encrypted, is_on, "{name}: {value}: {plan:?}");
                }
            }
        }
    }
    // The page sets it itself.
    let url = format!("{HS}/rooms/{ROOM}/state/m.room.encryption/");
    for value in on {
        let alice = Client::new(ALICE);
        let body = json!({"algorithm": "m.megolm.v1.aes-sha2", FLAG: value}).to_string();
        let plan = alice.engine.plan_put("PUT", &url, body.as_bytes());
        assert!(matches!(plan, Plan::Flag { .. }), "{value}: {plan:?}");
    }
}

/// Alice's name under another state key than MSC4362's.
fn opaque(event: &Value, key: &str, id: &str) -> Value {
    let mut event = event.clone();
    event["state_key"] = json!(key);
    event["event_id"] = json!(id);
    event
}

#[test]
fn an_opaque_key_says_nothing_in_a_room_that_packs_them() {
    for key in ["sleeper", "", ":m.room.name", "m.room.name"] {
        for list in ["state", "timeline"] {
            let mut alice = Client::new(ALICE);
            let mut bob = Client::new(BOB);
            bob.knows(&[&alice]);
            let (sleeper, _) = alice.send(ROOM, &[&bob], "m.room.name", &named("Sleeper"));
            let (current, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
            bob.engine.add_room_keys(&keys).unwrap();
            let sleeper = opaque(&sleeper, key, "$sleeper");
            for first in [true, false] {
                let mut events = vec![current.clone(), sleeper.clone()];
                if first {
                    events.reverse();
                }
                let answer = match list {
                    "state" => sync([room_state(), events].concat(), vec![]),
                    _ => sync(room_state(), events),
                };
                let shown = bob.open("/sync?since=a", &answer).to_string();
                assert!(shown.contains("Secret"), "{key:?} in {list}: {shown}");
                assert!(!shown.contains("Sleeper"), "{key:?} in {list}: {shown}");
            }
        }
    }
}

#[test]
fn an_opaque_key_is_understood_in_a_room_without_the_flag() {
    let mut alice = Client::new(ALICE);
    let mut bob = Client::new(BOB);
    bob.knows(&[&alice]);
    let (event, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
    bob.engine.add_room_keys(&keys).unwrap();
    let mut state = room_flagged(FLAG, &json!(false));
    state.push(opaque(&event, "opaque", "$opaque"));
    let shown = bob.open("/sync?since=a", &sync(state, vec![])).to_string();
    assert!(shown.contains("Secret"), "{shown}");
}
