//! One entry that cannot be stored costs itself only.

use mantle_room_state::{
    Before, EventId, PersistBatch, Request, RoomId, TypeAndKey, Upgrade, UserId,
};
use serde_json::{Value, json};

use crate::people::*;

fn too_large(batch: &PersistBatch) -> Vec<String> {
    batch
        .entries
        .iter()
        .filter(|entry| {
            entry.key.encode_utf16().count() > MAX_KEY_LENGTH
                || entry
                    .value
                    .as_ref()
                    .is_some_and(|value| value.encode_utf16().count() > MAX_VALUE_LENGTH)
        })
        .map(|entry| {
            let length = entry.value.as_ref().map_or(0, String::len);
            format!("{} ({} bytes)", entry.key.chars().take(40).collect::<String>(), length)
        })
        .collect()
}

#[test]
fn a_strangers_word_with_a_long_room_id_can_be_stored_or_is_refused() {
    for length in [200, 255, 256, 400, 480, 600, 10_000] {
        let mut bob = Client::new(BOB);
        bob.persist();
        let word = json!({"room_id": format!("!{}:x", "r".repeat(length)), "state": [
            {"type": "m.room.name", "state_key": "", "content": {"name": "x"}}]});
        let mallory = format!("@{}:x", "m".repeat(240));
        let taken = bob.engine.add_invite_preview(UserId(&mallory), &word.to_string());
        assert!(length < 256 || taken.is_err(), "{length}: no room has such an id");
        if let Some(batch) = bob.engine.take_persist() {
            assert_eq!(too_large(&batch), [] as [String; 0], "{length}");
        }
    }
}

#[test]
fn a_room_with_long_ids_in_a_sync_can_be_stored() {
    let mut bob = Client::new(BOB);
    for length in [240, 251, 300, 600] {
        let room = format!("!{}:x", "r".repeat(length));
        bob.open("/sync?since=a", &sync_of(&room, room_state(), vec![]));
    }
    if let Some(batch) = bob.engine.take_persist() {
        assert_eq!(too_large(&batch), [] as [String; 0]);
    }
}

/// Encrypted state of one room by one who may, of types and sizes that the server takes.
fn crowded(types: usize, bytes: usize) -> (Client, Vec<Value>) {
    let mut alice = Client::new(ALICE);
    let mut bob = Client::new(BOB);
    bob.knows(&[&alice]);
    let mut events = Vec::new();
    for number in 0..types {
        let event_type = format!("org.example.t{number}");
        let content = json!({"x": "y".repeat(bytes)});
        let (event, keys) = alice.send(ROOM, &[&bob], &event_type, &content);
        bob.engine.add_room_keys(&keys).unwrap();
        events.push(event);
    }
    (bob, events)
}

#[test]
fn a_room_with_much_encrypted_state_can_be_stored() {
    for (types, bytes) in [(64, 15_000), (64, 30_000), (600, 1_500), (2_000, 10)] {
        let (mut bob, events) = crowded(types, bytes);
        let mut state = room_state();
        state.extend(events);
        bob.open("/sync?since=a", &sync(state, vec![]));
        let batch = bob.engine.take_persist().unwrap();
        assert_eq!(too_large(&batch), [] as [String; 0], "{types} events of {bytes} bytes");
    }
}

#[test]
fn slots_without_end_do_not_push_out_the_rooms_name() {
    let (mut bob, mut events) = crowded(100, 100);
    let mut alice = Client::new(ALICE);
    let (name, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
    bob.knows(&[&alice]);
    bob.engine.add_room_keys(&keys).unwrap();
    events.push(name);
    let mut state = room_state();
    state.extend(events);
    bob.open("/sync?since=a", &sync(state, vec![]));
    bob.reload();
    // The server hides it afterwards.
    assert!(bob.knows_name(), "all at once");
}

#[test]
fn nor_do_such_that_come_later_or_have_keys_or_are_newer() {
    for (event_type, state_key) in [("org.example.", ""), ("org.example.", "key"), ("m.room.", "")]
    {
        let mut alice = Client::new(ALICE);
        let mut bob = Client::new(BOB);
        bob.knows(&[&alice]);
        let (name, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
        bob.engine.add_room_keys(&keys).unwrap();
        let mut state = room_state();
        state.push(name);
        bob.open("/sync?since=a", &sync(state, vec![]));
        for number in 0..200 {
            let content = json!({"x": "y".repeat(10_000)});
            let event_type = format!("{event_type}{number}");
            let mut event = alice.encrypt_at(ROOM, (&event_type, state_key), &content);
            event["origin_server_ts"] = json!(NOW + 1_000 + number);
            bob.open("/sync?since=b", &sync(vec![], vec![event]));
        }
        bob.reload();
        assert!(bob.knows_name(), "{event_type} {state_key}");
    }
}

/// The holders of a key, as many as a public company has people.
fn crowd(members: usize, devices: usize) -> (Vec<Value>, Vec<Value>) {
    let key = device(ALICE, "X")["curve25519"].as_str().unwrap().to_owned();
    let users: Vec<Value> =
        (0..members).map(|n| json!(format!("@person{n}:example.org"))).collect();
    let targets = users
        .iter()
        .map(|user| {
            let devices: Vec<Value> = (0..devices)
                .map(|n| {
                    json!({"deviceId": format!("DEVICE{n:04}"), "curve25519": key,
                    "ed25519": key})
                })
                .collect();
            json!({"userId": user, "devices": devices})
        })
        .collect();
    (users, targets)
}

#[test]
fn a_large_room_is_named_and_stored() {
    for (members, devices) in [(10_000, 1), (10_000, 5)] {
        let mut alice = Client::new(ALICE);
        alice.persist();
        let (users, targets) = crowd(members, devices);
        alice.session_for(ROOM, &users, &targets);
        let ticket =
            alice.engine.encrypt(RoomId(ROOM), TypeAndKey::single("m.room.name"), "{}").unwrap();
        let batch = alice.engine.take_persist().unwrap();
        assert_eq!(too_large(&batch), [] as [String; 0], "{members} with {devices} each");
        for entry in batch.entries {
            alice.store.insert(entry.key, json!(entry.value));
        }
        alice.engine.persisted(batch.id);
        alice.engine.take_encrypted(ticket).unwrap();
        // Who has the key is known after a reload: nobody gets it again.
        alice = alice.tab();
        let json = json!({"roomId": ROOM, "members": users, "targets": targets,
            "historyVisibility": "shared", "now": NOW});
        let again = alice.engine.need_session(&json.to_string()).unwrap();
        assert_eq!((again.is_new, again.share_with.len()), (false, 0), "{:?}", again.rotated);
    }
}

#[test]
fn what_is_kept_of_a_room_goes_when_the_person_leaves_it() {
    for membership in ["leave", "ban"] {
        let (mut alice, mut bob, _) = alice_and_bob("10");
        for client in [&mut alice, &mut bob] {
            client.reload();
            assert!(client.knows_name());
            let mut event = member(&client.user, membership);
            event["unsigned"] = json!({"prev_content": {"membership": "join"}});
            let left = json!({"next_batch": "s9", "rooms": {"leave": {ROOM: {
                "state": {"events": []}, "timeline": {"events": [event]}}}}});
            client.open("/sync?since=z", &left);
            client.reload();
            assert!(!client.knows_name(), "{} {membership}", client.user);
            assert_eq!(client.engine.outbound_rooms(), [] as [String; 0], "{membership}");
        }
    }
}

#[test]
fn a_name_that_comes_with_the_persons_leave_is_not_kept() {
    for list in ["state", "timeline"] {
        let (mut alice, mut bob, _) = alice_and_bob("10");
        let event = alice.encrypt(ROOM, "m.room.name", &named("Secret, too"));
        let mut lists = json!({"state": {"events": []},
            "timeline": {"events": [member(BOB, "leave")]}});
        lists[list]["events"].as_array_mut().unwrap().insert(0, event);
        let left = json!({"next_batch": "s9", "rooms": {"leave": {ROOM: lists}}});
        let shown = bob.open("/sync?since=z", &left);
        assert!(shown.to_string().contains("Secret, too"), "{shown}");
        assert!(!bob.knows_name(), "{list}");
        bob.reload();
        assert!(!bob.knows_name(), "{list}, after a reload");
    }
}

#[test]
fn ids_and_keys_of_any_characters_are_read_and_stored() {
    let at_the_bound = format!("!{}", "\u{e9}".repeat(127));
    let rooms = [
        at_the_bound.as_str(),
        "!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM",
        "!a|b/c?d#e%2F\"\\:example.org",
    ];
    let long = "\u{1F600}".repeat((255 - "m.room.name:".len()) / 4);
    let keys = [
        "",
        "a\0b",
        "a\nb",
        "a|b",
        "m.room.topic:",
        "a/b",
        "%2F",
        "..",
        "__proto__",
        "\u{202e}\"\\",
        "\u{feff}",
        &long,
    ];
    let user = format!("@b{}:x", "\u{e9}".repeat(125));
    for room in rooms {
        for key in keys {
            let what = format!("{key:?} in {room:?}");
            let mut alice = Client::new(ALICE);
            let mut bob = Client::new(&user);
            let session = alice.session(room, &[&bob]);
            let event = alice.encrypt_at(room, ("m.room.name", key), &named("Secret"));
            bob.knows(&[&alice]);
            bob.engine.add_room_keys(&session.import_json).unwrap();
            let mut state = room_state();
            state.push(event.clone());
            let shown = bob.open("/sync?since=a", &sync_of(room, state.clone(), vec![]));
            assert!(shown.to_string().contains("Secret"), "{what}: {shown}");
            if let Some(batch) = bob.engine.take_persist() {
                assert_eq!(too_large(&batch), [] as [String; 0], "{what}");
                bob.engine.persist_failed(batch.id);
            }
            for client in [&mut alice, &mut bob] {
                client.reload();
            }
            // The same ciphertext as another event, and the room without its name.
            bob.knows(&[&alice]);
            bob.engine.add_room_keys(&session.import_json).unwrap();
            bob.engine.add_room_state(RoomId(room), &json!(room_state()).to_string()).unwrap();
            let mut copy = event;
            copy["event_id"] = json!("$copy");
            let shown = bob.open("/sync?since=b", &sync_of(room, vec![], vec![copy]));
            assert!(!shown.to_string().contains("Secret"), "{what}: {shown}");
            let clear = json!({"type": "m.room.name", "state_key": key, "sender": ALICE,
                "event_id": "$clear", "origin_server_ts": NOW + 5, "content": {"name": "Other"}});
            let shown = bob.open("/sync?since=c", &sync_of(room, vec![clear], vec![]));
            assert!(shown.to_string().contains("Secret"), "{what}: {shown}");
            assert_eq!(alice.engine.outbound_rooms(), [room.to_owned()], "{what}");
        }
    }
}

#[test]
fn contents_without_a_canonical_form_are_read_kept_and_passed_on_as_they_are() {
    for content in [
        r#"{"name":"Secret","n":1e3}"#,
        r#"{"name":"Secret","n":-0}"#,
        r#"{"name":"Secret","n":9007199254740993}"#,
        r#"{"name":"Secret","n":1.50}"#,
        r#"{"name":"Other","name":"Secret"}"#,
        r#"{"b":{"x":1,"x":2},"name":"Secret","a":1}"#,
        r#"{ "na\u006de" : "Sec\u0072et" , "\u0000" : null }"#,
    ] {
        let mut alice = Client::new(ALICE);
        let mut bob = Client::new(BOB);
        let session = alice.session(ROOM, &[&bob]);
        let slot = TypeAndKey::single("m.room.name");
        let ticket = alice.engine.encrypt(RoomId(ROOM), slot, content).unwrap();
        alice.persist();
        let out = alice.engine.take_encrypted(ticket).unwrap();
        let inside: Value = serde_json::from_str(&out.body).unwrap();
        let event = json!({"type": "m.room.encrypted", "state_key": "m.room.name:",
            "sender": ALICE, "origin_server_ts": NOW, "event_id": "$1", "content": inside});
        let mut state = room_state();
        state.push(event);
        for client in [&mut alice, &mut bob] {
            client.engine.add_room_keys(&session.import_json).unwrap();
        }
        bob.knows(&[&alice]);
        for client in [&mut alice, &mut bob] {
            let shown = client.open("/sync?since=a", &sync(state.clone(), vec![]));
            let shown = shown["rooms"]["join"][ROOM]["state"]["events"].as_array().unwrap().clone();
            assert_eq!(shown.last().unwrap()["content"]["name"], "Secret", "{content}");
            client.reload();
            let url = format!("{HS}/rooms/{ROOM}/state/m.room.name");
            let Before::Reply { body } = client.engine.before(Request { method: "GET", url: &url })
            else {
                panic!("{content}: forgotten")
            };
            assert_eq!(body, content);
        }
        alice.engine.add_room_state(RoomId(ROOM), &json!(room_state()).to_string()).unwrap();
        alice.open("/sync?since=b", &sync(vec![], vec![member(CAROL, "leave")]));
        alice.session(ROOM, &[&bob]);
        let _ = alice
            .engine
            .upgraded(Upgrade { old: RoomId(ROOM), new: RoomId("!new:example.org") }, NOW);
        assert_eq!(alice.engine.pending_writes()[0].events[0].content_json, content);
    }
}

#[test]
fn what_was_on_its_way_once_more_is_not_kept_after_the_persons_leave() {
    let (_, mut bob, event) = alice_and_bob("10");
    bob.session(ROOM, &[]);
    let base = EventId { room_id: ROOM, id: event["event_id"].as_str().unwrap() };
    let text = named("Secret").to_string();
    let ticket = bob.engine.encrypt_again(base, TypeAndKey::single("m.room.name"), &text).unwrap();
    bob.persist();
    bob.engine.take_encrypted(ticket).unwrap();
    let follows =
        |bob: &Client| bob.store.values().any(|value| value.as_str().unwrap().contains("rewrites"));
    assert!(follows(&bob));
    let left = json!({"next_batch": "s9", "rooms": {"leave": {ROOM: {
        "timeline": {"events": [member(BOB, "leave")]}}}}});
    bob.open("/sync?since=z", &left);
    bob.persist();
    assert!(!follows(&bob));
}
