//! What somebody has redacted is neither shown nor kept nor told nor sent again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests may panic"
)]

mod support;

use mantle_room_state::{Before, EventId, Request, RoomId, SessionId, TypeAndKey, Upgrade};
use serde_json::{Value, json};
use support::*;

const MALLORY: &str = "@mallory:example.org";
const DAVE: &str = "@dave:example.org";
const NEW_ROOM: &str = "!new:example.org";

fn state_of(version: &str) -> Vec<Value> {
    let mut state = room_state();
    state[0]["content"] = json!({"room_version": version});
    state[1]["content"] = json!({"users": {ALICE: 100, BOB: 100}, "users_default": 0});
    state
}

/// The redaction as servers of that version send it.
fn redaction(version: &str, event_id: &str) -> Value {
    let is_old = version.parse::<u32>().is_ok_and(|version| version < 11);
    let mut event = json!({"type": "m.room.redaction", "sender": BOB, "event_id": "$redaction",
        "origin_server_ts": NOW + 5, "content": {"reason": "rude"}});
    if is_old {
        event["redacts"] = json!(event_id);
    } else {
        event["content"]["redacts"] = json!(event_id);
    }
    event
}

/// The event as servers give it afterwards.
fn emptied(event: &Value) -> Value {
    let mut emptied = event.clone();
    emptied["content"] = json!({});
    emptied["unsigned"] = json!({"redacted_because": redaction("10", "$1")});
    emptied
}

/// Alice, who named a room that Bob is in too; and her event.
fn named(version: &str) -> (Client, Client, Value) {
    let mut alice = Client::new(ALICE);
    let mut bob = Client::new(BOB);
    let (event, keys) = alice.send(&[&bob], "m.room.name", &name());
    bob.knows(&[&alice]);
    bob.engine.add_room_keys(&keys).unwrap();
    let mut state = state_of(version);
    state.push(event.clone());
    for client in [&mut alice, &mut bob] {
        let opened = client.open("/sync?since=a", &sync(state.clone(), vec![]));
        assert!(opened.to_string().contains("Secret"));
    }
    (alice, bob, event)
}

/// Every way in which the name could come out again.
fn is_gone(client: &mut Client, others: &[&Client], what: &str) {
    for version in ["", "?format=event"] {
        let url = format!("{HS}/rooms/{ROOM}/state/m.room.name/{version}");
        assert!(
            matches!(
                client.engine.before(Request { method: "GET", url: &url }),
                Before::Send { .. }
            ),
            "{what}: read"
        );
    }
    assert!(client.engine.invite_preview(ROOM).is_none(), "{what}: told");
    let rooms = json!({"rooms": [{"room_id": ROOM}]});
    assert!(client.inspect("/rooms/!space:x/hierarchy", &rooms).is_none(), "{what}: summaries");
    let clear = json!({"type": "m.room.name", "state_key": "", "sender": BOB, "event_id": "$clear",
        "origin_server_ts": NOW + 9, "content": {"name": "Fake"}});
    let opened = client.open("/sync?since=z", &sync(vec![clear], vec![])).to_string();
    assert!(!opened.contains("Secret") && !opened.contains("Fake"), "{what}: {opened}");
    // Somebody leaves, for whom all that is current would be encrypted anew.
    let left = json!({"type": "m.room.member", "state_key": DAVE, "sender": DAVE,
        "event_id": "$left", "origin_server_ts": NOW + 20, "content": {"membership": "leave"},
        "unsigned": {"prev_content": {"membership": "join"}}});
    client.open("/sync?since=y", &sync(vec![], vec![left]));
    client.session(others);
    let asked = json!({"members": [ALICE, BOB], "now": NOW + 1_000_000}).to_string();
    let again = client.engine.reencrypt(RoomId(ROOM), &asked).unwrap();
    assert!(again.events.is_empty(), "{what}: sent again");
    client.engine.upgraded(Upgrade { old: RoomId(ROOM), new: RoomId(NEW_ROOM) }, NOW).unwrap();
    assert!(client.engine.pending_writes().is_empty(), "{what}: upgraded");
}

#[test]
fn a_redacted_name_is_over_in_each_room_version() {
    for version in ["1", "3", "10", "11", "12"] {
        let (mut alice, mut bob, _) = named(version);
        for (client, other) in [(&mut alice, BOB), (&mut bob, ALICE)] {
            let other = Client::new(other);
            client.open("/sync?since=b", &sync(vec![], vec![redaction(version, "$1")]));
            is_gone(client, &[&other], version);
            client.reload();
            client
                .engine
                .add_room_state(RoomId(ROOM), &json!(state_of(version)).to_string())
                .unwrap();
            is_gone(client, &[&other], &format!("{version}, after a reload"));
        }
    }
}

#[test]
fn an_event_that_comes_emptied_is_over_too() {
    let (mut alice, mut bob, event) = named("10");
    for (client, other) in [(&mut alice, BOB), (&mut bob, ALICE)] {
        let other = Client::new(other);
        client.reload();
        let answer = sync(state_of("10"), vec![emptied(&event)]);
        let opened = client.open("/sync", &answer);
        assert_eq!(joined(&opened, "timeline")[0]["content"], json!({}));
        is_gone(client, &[&other], "emptied");
    }
    // Where somebody looks at history, or at that event alone.
    for path in ["/rooms/!room:example.org/messages", "/rooms/!room:example.org/event/$1"] {
        let (_, mut bob, event) = named("10");
        let answer = match path.contains("messages") {
            true => json!({"chunk": [emptied(&event)]}),
            false => emptied(&event),
        };
        bob.open(path, &answer);
        is_gone(&mut bob, &[&Client::new(ALICE)], path);
    }
}

#[test]
fn a_redaction_that_is_found_in_history_counts() {
    let (_, mut bob, _) = named("11");
    let chunk = json!({"chunk": [redaction("11", "$1")]});
    bob.open("/rooms/!room:example.org/messages?dir=b", &chunk);
    is_gone(&mut bob, &[&Client::new(ALICE)], "history");
}

#[test]
fn what_only_looks_like_a_redaction_redacts_nothing() {
    // A member without power may redact what is their own, and write more beside it.
    let mut own = redaction("10", "$own");
    own["sender"] = json!(MALLORY);
    own["content"]["redacts"] = json!("$1");
    let mut message = redaction("10", "$1");
    message["type"] = json!("m.room.message");
    message["content"]["body"] = json!("m.room.redaction");
    let other_room = json!({"next_batch": "c", "rooms": {"join": {"!other:x": {"timeline":
        {"events": [redaction("10", "$1")]}}}}});
    let nested = json!({"next_batch": "c", "to_device": {"events": [redaction("10", "$1")]},
        "presence": {"events": [{"type": "m.presence", "content": redaction("10", "$1")}]}});
    let is_named = |client: &mut Client| {
        let url = format!("{HS}/rooms/{ROOM}/state/m.room.name/");
        matches!(client.engine.before(Request { method: "GET", url: &url }), Before::Reply { .. })
    };
    for answer in [sync(vec![], vec![own]), sync(vec![], vec![message]), other_room, nested] {
        let (_, mut bob, _) = named("10");
        bob.open("/sync?since=b", &answer);
        assert!(is_named(&mut bob), "{answer}");
    }
    // And in newer rooms the other way round.
    let mut own = redaction("11", "$own");
    own["redacts"] = json!("$1");
    let (_, mut bob, _) = named("11");
    bob.open("/sync?since=b", &sync(vec![], vec![own]));
    assert!(is_named(&mut bob));
}

#[test]
fn a_redacted_event_is_not_shown_again_by_a_server_that_lags_behind() {
    let (_, mut bob, event) = named("10");
    bob.open("/sync?since=b", &sync(vec![], vec![redaction("10", "$1")]));
    for round in 0..2 {
        for (path, answer) in [
            ("/sync?since=c", sync(vec![event.clone()], vec![])),
            ("/sync?since=d", sync(vec![], vec![event.clone()])),
            ("/rooms/!room:example.org/messages", json!({"chunk": [event]})),
            ("/rooms/!room:example.org/state", json!([event])),
        ] {
            let opened = bob.open(path, &answer).to_string();
            assert!(
                !opened.contains("Secret") && !opened.contains("ciphertext"),
                "{path}: {opened}"
            );
        }
        is_gone(&mut bob, &[&Client::new(ALICE)], "lags");
        if round == 0 {
            bob.reload();
        }
    }
}

#[test]
fn a_redacted_event_is_not_told_as_what_another_replaced() {
    let (mut alice, mut bob, first) = named("10");
    bob.open("/sync?since=b", &sync(vec![], vec![redaction("10", "$1")]));
    let (mut second, keys) = alice.send(&[&bob], "m.room.name", &json!({"name": "Newer"}));
    bob.engine.add_room_keys(&keys).unwrap();
    second["event_id"] = json!("$2");
    second["origin_server_ts"] = json!(NOW + 9);
    second["unsigned"] = json!({"prev_content": first["content"], "replaces_state": "$1",
        "prev_sender": ALICE});
    let opened = bob.open("/sync?since=c", &sync(vec![], vec![second])).to_string();
    assert!(opened.contains("Newer") && !opened.contains("Secret"), "{opened}");
    // The new name is what counts from then on.
    let url = format!("{HS}/rooms/{ROOM}/state/m.room.name/");
    assert!(matches!(
        bob.engine.before(Request { method: "GET", url: &url }),
        Before::Reply { .. }
    ));
}

#[test]
fn a_key_that_comes_after_the_redaction_shows_nothing() {
    let mut alice = Client::new(ALICE);
    let mut bob = Client::new(BOB);
    let (event, keys) = alice.send(&[&bob], "m.room.name", &name());
    bob.knows(&[&alice]);
    let mut state = state_of("10");
    state.push(event.clone());
    bob.open("/sync", &sync(state, vec![]));
    assert_eq!(bob.engine.take_undecryptable(usize::MAX).len(), 1);
    bob.open("/sync?since=b", &sync(vec![], vec![redaction("10", "$1")]));
    bob.engine.add_room_keys(&keys).unwrap();
    let retried = bob.engine.retried(100);
    assert!(retried.events.iter().all(|event| !event.event.get().contains("Secret")));
    assert!(!bob.engine.has_undecryptable());
    // Nor when the running client still holds it, unopened or emptied.
    bob.engine.backfill(RoomId(ROOM), &json!([event, emptied(&event)]).to_string()).unwrap();
    assert!(!bob.engine.has_undecryptable());
    let opened = bob.open("/sync?since=c", &sync(vec![event], vec![])).to_string();
    assert!(!opened.contains("Secret") && !opened.contains("ciphertext"), "{opened}");
    assert!(bob.engine.invite_preview(ROOM).is_none());
}

#[test]
fn the_running_client_is_told_where_it_may_hold_the_name() {
    let (_, mut bob, _) = named("10");
    bob.open("/sync?since=b", &sync(vec![], vec![redaction("10", "$1")]));
    assert!(bob.engine.has_news());
    let retried = bob.engine.retried(100).events;
    assert!(!bob.engine.has_news());
    assert_eq!(retried.len(), 1);
    let event: Value = serde_json::from_str(retried[0].event.get()).unwrap();
    assert_eq!(event["type"], "m.room.name");
    assert_eq!(event["event_id"], "$1");
    assert_eq!(event["content"], json!({}));
}

#[test]
fn what_was_on_its_way_once_more_when_it_was_redacted_is_emptied_after_it() {
    let (mut alice, mut bob, _) = named("10");
    // Bob encrypts Alice's name anew, and while that is under way a moderator redacts it.
    let left = json!({"type": "m.room.member", "state_key": ALICE, "sender": ALICE,
        "event_id": "$left", "origin_server_ts": NOW + 2, "content": {"membership": "leave"},
        "unsigned": {"prev_content": {"membership": "join"}}});
    bob.open("/sync?since=b", &sync(vec![], vec![left]));
    let session = bob.session(&[]);
    bob.engine.imported(SessionId { room_id: ROOM, id: &session.session_id }).unwrap();
    let asked = json!({"members": [BOB], "now": NOW + 100}).to_string();
    assert_eq!(bob.engine.reencrypt(RoomId(ROOM), &asked).unwrap().events.len(), 1);
    let ticket = bob
        .engine
        .encrypt_again(
            EventId { room_id: ROOM, id: "$1" },
            TypeAndKey::single("m.room.name"),
            &name().to_string(),
        )
        .unwrap();
    bob.persist();
    let out = bob.engine.take_encrypted(ticket).unwrap();
    bob.open("/sync?since=c", &sync(vec![], vec![redaction("10", "$1")]));
    let content: Value = serde_json::from_str(&out.body).unwrap();
    let ours = json!({"type": "m.room.encrypted", "state_key": "m.room.name:", "sender": BOB,
        "origin_server_ts": NOW + 9, "event_id": "$2", "content": content});
    bob.open("/sync?since=d", &sync(vec![], vec![ours]));
    let again = bob.engine.reencrypt(RoomId(ROOM), &asked).unwrap();
    assert_eq!(again.events.len(), 1);
    assert_eq!(again.events[0].content_json, "{}");
    alice.persist();
}

#[test]
fn what_waits_for_an_upgraded_room_ends_with_the_redaction_too() {
    let (mut alice, _, _) = named("10");
    alice.engine.upgraded(Upgrade { old: RoomId(ROOM), new: RoomId(NEW_ROOM) }, NOW).unwrap();
    assert_eq!(alice.engine.pending_writes().len(), 1);
    alice.reload();
    alice.open("/sync?since=b", &sync(vec![], vec![redaction("10", "$1")]));
    assert!(alice.engine.pending_writes().is_empty());
    alice.reload();
    assert!(alice.engine.pending_writes().is_empty());
}

#[test]
fn many_redactions_push_no_redacted_name_out() {
    let (_, mut bob, event) = named("10");
    bob.open("/sync?since=b", &sync(vec![], vec![redaction("10", "$1")]));
    let many: Vec<Value> =
        (0..2_000).map(|number| redaction("10", &format!("$message{number}"))).collect();
    bob.open("/sync?since=c", &sync(vec![], many));
    assert!(bob.persist().is_empty());
    let size: usize = bob.store.values().map(|value| value.as_str().unwrap().len()).sum();
    assert!(size < 60_000, "{size}");
    bob.reload();
    let opened = bob.open("/sync?since=d", &sync(vec![event], vec![])).to_string();
    assert!(!opened.contains("Secret"), "{opened}");
}
