//! The encrypted-state engine as the page's glue drives it: answers in, answers out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    missing_docs,
    reason = "tests may panic"
)]

mod support;

use mantle_room_state::{
    Before, Conversion, CreatePlan, EngineError, EventId, NewRooms, OpenStep, Part, Plan, Request,
    RoomId, SessionId, StateEngine, StateSettings, Trust, TypeAndKey, Upgrade, UserId,
};
use serde_json::{Value, json};
use support::*;

#[test]
fn a_first_sync_says_what_it_needs_and_becomes_clear() {
    let mut alice = Client::new("@alice:example.org");
    let mut bob = Client::new("@bob:example.org");
    let (event, keys) = alice.send(&[&bob], "m.room.name", &name());
    let mut state = room_state();
    state.push(event.clone());
    let answer = sync(state, vec![]);
    let needs = bob.inspect("/sync?timeout=0", &answer).unwrap();
    assert_eq!(needs.sessions.len(), 1);
    assert_eq!(needs.sessions[0].room_id, ROOM);
    assert_eq!(needs.sessions[0].session_id, event["content"]["session_id"]);
    assert_eq!(needs.owners, ["@alice:example.org"]);
    assert!(needs.rooms.is_empty(), "the levels are in the answer");
    bob.engine.add_room_keys(&keys).unwrap();
    bob.knows(&[&alice]);
    let opened = bob.finish(&needs).unwrap();
    let events = joined(&opened, "state");
    assert_eq!(events.len(), 5);
    assert_eq!(
        events[4],
        json!({"type": "m.room.name", "state_key": "", "sender": "@alice:example.org",
            "origin_server_ts": NOW, "event_id": "$1", "content": {"name": "Secret"}})
    );
    assert_eq!(events[..4], room_state()[..], "nothing else changes");
    assert!(bob.engine.encrypts_state(ROOM));
    assert!(bob.codes().is_empty());
}

#[test]
fn answers_without_encrypted_state_are_not_touched() {
    let mut bob = Client::new("@bob:example.org");
    let mut state = room_state();
    state.remove(2);
    let message = json!({"type": "m.room.encrypted", "sender": "@a:x", "event_id": "$m",
        "content": {"ciphertext": "x"}});
    assert!(bob.inspect("/sync", &sync(state, vec![message])).is_none());
    assert!(bob.inspect("/account/whoami", &json!({"state_key": "a:"})).is_none());
}

#[test]
fn every_place_of_an_event_is_opened() {
    let (_, mut bob, event) = alice_and_bob();
    let clear = |value: &Value| value["type"] == "m.room.name" && value["content"] == name();
    let path = format!("/rooms/{ROOM}");
    let cases = [
        (format!("{path}/messages?dir=b"), json!({"chunk": [event], "state": []}), "/chunk/0"),
        (format!("{path}/messages?dir=b"), json!({"chunk": [], "state": [event]}), "/state/0"),
        (format!("{path}/context/$x"), json!({"event": event, "state": []}), "/event"),
        (format!("{path}/event/$1"), event.clone(), ""),
        (format!("{path}/state"), json!([event]), "/0"),
        (format!("{path}/relations/$x"), json!({"chunk": [event]}), "/chunk/0"),
        (
            format!("{path}/initialSync"),
            json!({"state": [event], "messages": {"chunk": [event]}}),
            "/messages/chunk/0",
        ),
        ("/events?from=a".to_owned(), json!({"chunk": [with_room(&event)]}), "/chunk/0"),
        (
            "/notifications".to_owned(),
            json!({"notifications": [{"event": with_room(&event), "room_id": ROOM}]}),
            "/notifications/0/event",
        ),
        (
            "/sync".to_owned(),
            json!({"rooms": {"leave": {ROOM: {"timeline": {"events": [event]}}}}}),
            "/rooms/leave/!room:example.org/timeline/events/0",
        ),
        (
            "/sync".to_owned(),
            json!({"rooms": {"join": {ROOM: {"org.matrix.msc4222.state_after": {"events": [event]}}}}}),
            "/rooms/join/!room:example.org/org.matrix.msc4222.state_after/events/0",
        ),
    ];
    // Synapse names the room beside the event only.
    let beside = json!({"notifications": [{"room_id": ROOM, "event": event, "read": false}]});
    let opened = bob.open("/notifications?limit=5", &beside);
    assert!(clear(&opened["notifications"][0]["event"]), "{opened}");
    for (path, answer, place) in cases {
        let opened = bob.open(&path, &answer);
        assert!(clear(opened.pointer(place).unwrap()), "{path} {place}: {opened}");
    }
    let search = json!({"search_categories": {"room_events": {"results": [{"rank": 1,
        "result": with_room(&event), "context": {"events_before": [with_room(&event)]}}],
        "state": {ROOM: [event]}}}});
    let needs = bob.engine.inspect(
        Request { method: "POST", url: &format!("{HS}/search") },
        search.to_string().into_bytes(),
    );
    let opened = bob.finish(&needs.unwrap()).unwrap();
    for place in
        ["/results/0/result", "/results/0/context/events_before/0", "/state/!room:example.org/0"]
    {
        let place = format!("/search_categories/room_events{place}");
        assert!(clear(opened.pointer(&place).unwrap()), "{place}");
    }
    let sliding = json!({"pos": "1", "rooms": {ROOM: {"required_state": [event], "timeline": []}}});
    let url = "https://hs.example.org/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
    let needs =
        bob.engine.inspect(Request { method: "POST", url }, sliding.to_string().into_bytes());
    let opened = bob.finish(&needs.unwrap()).unwrap();
    assert!(clear(&opened["rooms"][ROOM]["required_state"][0]));
    assert_eq!(opened["rooms"][ROOM]["name"], "Secret", "the server computed none");
    // Later answers bring what changed, and names of people where the server knows no other.
    let other = "!other:example.org";
    let sliding =
        json!({"pos": "2", "rooms": {ROOM: {"name": "Alice and Bob"}, other: {"name": "X"}}});
    let needs =
        bob.engine.inspect(Request { method: "POST", url }, sliding.to_string().into_bytes());
    let opened = bob.finish(&needs.unwrap()).unwrap();
    assert_eq!(opened["rooms"], json!({ROOM: {"name": "Secret"}, other: {"name": "X"}}));
    assert!(bob.codes().is_empty());
}

#[test]
fn the_previous_content_is_opened_or_taken_out() {
    let (mut alice, mut bob, first) = alice_and_bob();
    let (mut second, _) = alice.send(&[&bob], "m.room.name", &json!({"name": "Newer"}));
    second["event_id"] = json!("$2");
    second["unsigned"] = json!({"prev_content": first["content"],
        "prev_sender": "@alice:example.org", "replaces_state": "$1", "age": 1});
    let opened = bob.open("/sync", &sync(vec![], vec![second.clone()]));
    let unsigned = &joined(&opened, "timeline")[0]["unsigned"];
    assert_eq!(unsigned["prev_content"], name());
    second["unsigned"]["prev_content"]["session_id"] = json!("unknown");
    second["event_id"] = json!("$2");
    let mut carol = Client::new("@carol:example.org");
    carol.knows(&[&alice]);
    carol.engine.add_room_state(RoomId(ROOM), &json!(room_state()).to_string()).unwrap();
    let keys = alice.session(&[&bob]).import_json;
    carol.engine.add_room_keys(&keys).unwrap();
    let opened = carol.open("/sync", &sync(vec![], vec![second]));
    let event = &joined(&opened, "timeline")[0];
    assert_eq!(event["content"], json!({"name": "Newer"}));
    assert_eq!(event["unsigned"].get("prev_content"), None);
}

#[test]
fn a_late_key_heals() {
    let mut alice = Client::new("@alice:example.org");
    let mut bob = Client::new("@bob:example.org");
    let (event, keys) = alice.send(&[&bob], "m.room.name", &name());
    let mut state = room_state();
    state.push(event.clone());
    bob.knows(&[&alice]);
    let opened = bob.open("/sync", &sync(state, vec![]));
    assert_eq!(joined(&opened, "state")[4], event, "as it came");
    let undecryptable = bob.engine.take_undecryptable(usize::MAX);
    assert_eq!(undecryptable.len(), 1);
    assert_eq!(undecryptable[0].reason, "session");
    assert_eq!(undecryptable[0].state_key, "m.room.name:");
    assert!(bob.engine.retried(100).events.is_empty());
    let needs = bob.engine.retry_needs().unwrap();
    assert_eq!(needs.sessions[0].session_id, event["content"]["session_id"]);
    assert_eq!(bob.engine.add_room_keys(&keys).unwrap(), 1);
    let retried = bob.engine.retried(100).events;
    assert_eq!(retried.len(), 1);
    let event: Value = serde_json::from_str(retried[0].event.get()).unwrap();
    assert_eq!(event["type"], "m.room.name");
    assert_eq!(event["content"], name());
    assert_eq!(event["room_id"], ROOM);
    assert_eq!(event["event_id"], "$1");
    assert!(!bob.engine.has_undecryptable());
    assert!(bob.engine.retry_needs().is_none());
}

#[test]
fn a_key_that_comes_after_that_of_a_newer_event_changes_nothing() {
    for one_answer in [true, false] {
        let mut carol = Client::new("@carol:example.org");
        let mut alice = Client::new("@alice:example.org");
        let mut bob = Client::new("@bob:example.org");
        let mut state = room_state();
        state[1]["content"] = json!({"users_default": 50});
        let (mut older, older_key) = bob.send(&[&carol], "m.room.name", &json!({"name": "Older"}));
        let (mut newer, newer_key) = alice.send(&[&carol], "m.room.name", &name());
        for (event, id, at) in [(&mut older, "$older", NOW), (&mut newer, "$newer", NOW + 1)] {
            event["event_id"] = json!(id);
            event["origin_server_ts"] = json!(at);
        }
        carol.knows(&[&alice, &bob]);
        if one_answer {
            carol.open("/sync", &sync(state, vec![older, newer]));
        } else {
            carol.open("/sync", &sync(state, vec![older]));
            carol.open("/sync?since=s2", &sync(vec![], vec![newer]));
        }
        assert_eq!(carol.engine.take_undecryptable(usize::MAX).len(), 2);
        carol.engine.add_room_keys(&newer_key).unwrap();
        let retried = carol.engine.retried(100).events;
        assert_eq!(retried.len(), 1);
        carol.engine.add_room_keys(&older_key).unwrap();
        assert!(carol.engine.retried(100).events.is_empty(), "the newer name stays");
        assert!(!carol.engine.has_undecryptable());
        assert!(carol.codes().is_empty());
    }
}

#[test]
fn healing_goes_in_steps_and_in_the_order_the_events_came() {
    let mut alice = Client::new(ALICE);
    let mut bob = Client::new(BOB);
    let mut state = room_state();
    let mut export = String::new();
    for number in 0..5 {
        let content = json!({"name": format!("name {number}")});
        let (mut event, keys) = alice.send(&[&bob], "m.room.name", &content);
        event["event_id"] = json!(format!("${number}"));
        event["origin_server_ts"] = json!(NOW + number);
        state.push(event);
        export = keys;
    }
    // One that nobody has signed among them.
    let text = state[6]["content"]["ciphertext"].as_str().unwrap().to_owned();
    let (end, last) = text.split_at(text.len() - 4);
    state[6]["content"]["ciphertext"] = json!(format!("{end}{}", last.replace(last, "AAAA")));
    bob.knows(&[&alice]);
    let (readable, encrypted) = state.split_at(4);
    bob.open("/sync", &sync(readable.to_vec(), encrypted.to_vec()));
    assert_eq!(bob.engine.take_undecryptable(usize::MAX).len(), 5);
    bob.engine.add_room_keys(&export).unwrap();
    let mut names = Vec::new();
    let mut steps = 0;
    loop {
        let step = bob.engine.retried(1);
        assert!(step.events.len() <= 1);
        for retried in step.events {
            let event: Value = serde_json::from_str(retried.event.get()).unwrap();
            names.push(event["content"]["name"].clone());
            let id = event["event_id"].as_str().unwrap();
            assert!(
                bob.engine
                    .is_current(EventId { room_id: ROOM, id }, TypeAndKey::single("m.room.name"))
            );
            assert!(!bob.engine.is_current(
                EventId { room_id: ROOM, id: "$other" },
                TypeAndKey::single("m.room.name")
            ));
        }
        steps += 1;
        if !step.more {
            break;
        }
    }
    assert_eq!(
        (steps, names),
        (5, vec![json!("name 0"), json!("name 1"), json!("name 3"), json!("name 4")])
    );
    assert_eq!(bob.codes(), ["damaged"]);
    let step = bob.engine.retried(1);
    assert!(step.events.is_empty() && !step.more, "nothing is left");
}

#[test]
fn what_the_clients_own_store_holds_unopened_heals_too() {
    let (_, mut bob, event) = alice_and_bob();
    bob.engine.backfill(RoomId(ROOM), &json!([event]).to_string()).unwrap();
    assert_eq!(bob.engine.retried(100).events.len(), 1);
}

#[test]
fn keys_in_the_same_answer_are_delivered_first() {
    let mut alice = Client::new("@alice:example.org");
    let mut bob = Client::new("@bob:example.org");
    let (event, keys) = alice.send(&[&bob], "m.room.name", &name());
    let mut state = room_state();
    state.push(event);
    let mut answer = sync(state, vec![]);
    answer["to_device"] = json!({"events": [{"type": "m.room.encrypted", "content": {}}]});
    answer["device_one_time_keys_count"] = json!({"signed_curve25519": 50});
    bob.knows(&[&alice]);
    let needs = bob.inspect("/sync?since=s1&timeout=30000", &answer).unwrap();
    let OpenStep::Split(first) = bob.engine.open(needs.answer, 100).unwrap() else {
        panic!("not split")
    };
    assert_eq!(
        serde_json::from_slice::<Value>(&first).unwrap(),
        json!({"next_batch": "s1", "to_device": answer["to_device"],
            "device_one_time_keys_count": answer["device_one_time_keys_count"]})
    );
    let Before::Held { answer: id, needs } = bob
        .engine
        .before(Request { method: "GET", url: &format!("{HS}/sync?timeout=30000&since=s1") })
    else {
        panic!("not held")
    };
    assert_eq!(needs.sessions.len(), 1);
    bob.engine.add_room_keys(&keys).unwrap();
    let OpenStep::Done(Some(rest)) = bob.engine.open(id, 100).unwrap() else { panic!("not done") };
    let rest: Value = serde_json::from_slice(&rest.to_bytes()).unwrap();
    assert_eq!(joined(&rest, "state")[4]["content"], name());
    assert_eq!(rest["to_device"], json!({"events": []}), "not twice");
    assert_eq!(rest["next_batch"], "s2");
    assert!(matches!(
        bob.engine.before(Request { method: "GET", url: &format!("{HS}/sync?since=s1") }),
        Before::Send { url: None }
    ));
}

#[test]
fn a_held_half_is_only_for_the_same_since() {
    let mut alice = Client::new("@alice:example.org");
    let mut bob = Client::new("@bob:example.org");
    let (event, _) = alice.send(&[&bob], "m.room.name", &name());
    let mut answer = sync(vec![event], vec![]);
    answer["to_device"] = json!({"events": [{}]});
    let needs = bob.inspect("/sync?since=s1", &answer).unwrap();
    bob.engine.add_room_state(RoomId(ROOM), &json!(room_state()).to_string()).unwrap();
    assert!(matches!(bob.engine.open(needs.answer, 100), Ok(OpenStep::Split(_))));
    let before = bob.engine.before(Request { method: "GET", url: &format!("{HS}/sync?since=s0") });
    assert!(matches!(before, Before::Send { .. }));
    assert!(matches!(bob.engine.open(needs.answer, 100), Err(EngineError::Unknown)));
}

// ---- Checks: each violated by a server that lies or a member who does. ----

#[test]
fn check_another_sender() {
    let (_, mut bob, mut event) = alice_and_bob();
    event["sender"] = json!("@mallory:example.org");
    let opened = bob.open("/sync", &sync(vec![event], vec![]));
    assert!(joined(&opened, "state").is_empty(), "{opened}");
    assert_eq!(bob.codes(), ["foreign-session"]);
}

#[test]
fn check_a_replay_under_another_id() {
    let (_, mut bob, event) = alice_and_bob();
    bob.open("/sync", &sync(vec![event.clone()], vec![]));
    let mut copy = event;
    copy["event_id"] = json!("$copy");
    let opened = bob.open("/sync?since=s2", &sync(vec![], vec![copy]));
    assert!(joined(&opened, "timeline").is_empty());
    assert_eq!(bob.codes(), ["replay"]);
}

#[test]
fn check_a_replay_after_a_reload() {
    let (mut alice, mut bob, event) = alice_and_bob();
    let keys = alice.session(&[&bob]).import_json;
    bob.open("/sync", &sync(vec![event.clone()], vec![]));
    bob.reload();
    let mut copy = event;
    copy["event_id"] = json!("$copy");
    let opened = bob.open("/sync", &sync(room_state(), vec![copy.clone()]));
    assert_eq!(joined(&opened, "timeline")[0], copy, "no key yet");
    bob.engine.add_room_keys(&keys).unwrap();
    bob.knows(&[&alice]);
    let opened = bob.open("/sync", &sync(vec![], vec![copy]));
    assert!(joined(&opened, "timeline").is_empty());
    assert_eq!(bob.codes(), ["replay"]);
}

#[test]
fn check_a_rollback_keeps_what_is_known_also_after_a_reload() {
    for reload in [false, true] {
        let (mut alice, mut bob, first) = alice_and_bob();
        let (mut second, keys) = alice.send(&[&bob], "m.room.name", &json!({"name": "Newer"}));
        second["event_id"] = json!("$2");
        bob.open("/sync", &sync(vec![], vec![first.clone(), second.clone()]));
        assert!(bob.codes().is_empty());
        if reload {
            bob.reload();
            bob.engine.add_room_keys(&keys).unwrap();
            bob.engine.add_room_state(RoomId(ROOM), &json!(room_state()).to_string()).unwrap();
        }
        let opened = bob.open("/sync?since=s2", &sync(vec![first.clone()], vec![]));
        let event = &joined(&opened, "state")[0];
        assert_eq!(event["content"], json!({"name": "Newer"}));
        assert_eq!(event["event_id"], "$2");
        assert_eq!(bob.codes(), ["rollback"]);
        let opened = bob.open("/sync?since=s3", &sync(vec![], vec![first]));
        assert!(joined(&opened, "timeline").is_empty());
    }
}

#[test]
fn the_state_before_a_message_sent_beside_a_rename_blames_nobody() {
    for (later, blames) in [(1_000, false), (600_000, true)] {
        let (mut alice, mut bob, first) = alice_and_bob();
        let (mut second, _) = alice.send(&[&bob], "m.room.name", &json!({"name": "Newer"}));
        second["event_id"] = json!("$2");
        bob.open("/sync", &sync(vec![], vec![first.clone(), second]));
        let message = json!({"type": "m.room.message", "sender": "@alice:example.org",
            "event_id": "$m", "origin_server_ts": NOW + later, "content": {"body": "x"}});
        let opened = bob.open("/sync?since=s2", &sync(vec![first], vec![message.clone()]));
        assert_eq!(joined(&opened, "state")[0]["content"], json!({"name": "Newer"}));
        assert_eq!(joined(&opened, "timeline")[0], message);
        let expected: &[&str] = if blames { &["rollback"] } else { &[] };
        assert_eq!(bob.codes(), expected, "{later}");
    }
}

#[test]
fn check_clear_never_counts_over_encrypted() {
    let (_, mut bob, event) = alice_and_bob();
    bob.open("/sync", &sync(vec![event.clone()], vec![]));
    let clear = json!({"type": "m.room.name", "state_key": "", "sender": "@alice:example.org",
        "event_id": "$clear", "origin_server_ts": NOW + 1, "content": {"name": "Clear"}});
    let opened = bob.open("/sync?since=a", &sync(vec![], vec![clear.clone()]));
    assert!(joined(&opened, "timeline").is_empty());
    assert_eq!(bob.codes(), ["clear-over-encrypted"]);
    let opened = bob.open("/sync?since=b", &sync(vec![clear.clone()], vec![]));
    assert_eq!(joined(&opened, "state")[0]["content"], name());
    // Both in one list, in either order.
    for state in [vec![clear.clone(), event.clone()], vec![event.clone(), clear.clone()]] {
        let opened = bob.open("/sync", &sync(state, vec![]));
        let names: Vec<_> =
            joined(&opened, "state").into_iter().map(|event| event["content"].clone()).collect();
        assert_eq!(names, [name()]);
    }
    // Escapes do not hide it.
    let hidden = sync(vec![clear], vec![]).to_string().replace("m.room.name", "m.room.n\\u0061me");
    let needs = bob
        .engine
        .inspect(Request { method: "GET", url: &format!("{HS}/sync") }, hidden.into_bytes())
        .unwrap();
    let opened = bob.finish(&needs).unwrap();
    assert_eq!(joined(&opened, "state")[0]["content"], name());
}

#[test]
fn a_name_emptied_by_its_conversion_is_no_problem() {
    let (_, mut bob, event) = alice_and_bob();
    bob.open("/sync", &sync(vec![event], vec![]));
    let blank = json!({"type": "m.room.name", "state_key": "", "sender": "@alice:example.org",
        "event_id": "$blank", "origin_server_ts": NOW, "content": {"name": ""}});
    let opened = bob.open("/sync?since=a", &sync(vec![], vec![blank]));
    assert!(joined(&opened, "timeline").is_empty());
    assert!(bob.codes().is_empty());
}

#[test]
fn check_the_packed_key() {
    let (_, mut bob, mut event) = alice_and_bob();
    for key in ["m.room.topic:", "m.room.name:x"] {
        event["state_key"] = json!(key);
        let opened = bob.open("/sync", &sync(vec![event.clone()], vec![]));
        assert!(joined(&opened, "state").is_empty(), "{key}");
    }
    assert_eq!(bob.codes(), ["key-mismatch"], "told once");
}

#[test]
fn check_power_levels_inside_are_never_opened() {
    let mut alice = Client::new("@alice:example.org");
    let session = alice.session(&[]);
    alice.engine.imported(SessionId { room_id: ROOM, id: &session.session_id }).unwrap();
    let error = alice
        .engine
        .encrypt(RoomId(ROOM), TypeAndKey::single("m.room.power_levels"), "{}")
        .unwrap_err();
    assert!(matches!(error, EngineError::Encrypt(_)));
}

#[test]
fn check_the_senders_power_for_the_inner_type() {
    let mut alice = Client::new("@alice:example.org");
    let mut bob = Client::new("@bob:example.org");
    let (event, keys) = bob.send(&[&alice], "m.room.name", &name());
    let mut state = room_state();
    state[1]["content"]["events"] = json!({"m.room.encrypted": 0, "m.room.name": 50});
    state.push(event);
    alice.knows(&[&bob]);
    alice.engine.add_room_keys(&keys).unwrap();
    let opened = alice.open("/sync", &sync(state, vec![]));
    assert_eq!(joined(&opened, "state").len(), 4);
    assert_eq!(alice.codes(), ["power-level"]);
}

#[test]
fn check_another_room() {
    let (_, mut bob, event) = alice_and_bob();
    let other = "!other:example.org";
    bob.engine.add_room_state(RoomId(other), &json!(room_state()).to_string()).unwrap();
    let answer = json!({"rooms": {"join": {other: {"state": {"events": [event]}}}}});
    // The session is not one of that room, so the event waits for ever.
    assert_eq!(bob.open("/sync", &answer), answer);
    assert_eq!(bob.engine.take_undecryptable(usize::MAX).len(), 1);
}

#[test]
fn check_the_flag_is_sticky_also_after_a_reload() {
    let (_, mut bob, _) = alice_and_bob();
    bob.reload();
    assert!(bob.engine.encrypts_state(ROOM));
    let mut state = room_state();
    state[2]["content"].as_object_mut().unwrap().remove(FLAG);
    let opened = bob.open("/sync", &sync(state, vec![]));
    assert_eq!(joined(&opened, "state")[2]["content"][FLAG], true);
    assert_eq!(bob.codes(), ["flag-removed"]);
}

#[test]
fn the_newest_of_an_answers_flags_and_levels_counts() {
    let (_, mut bob, event) = alice_and_bob();
    let mut old = room_state();
    old[2]["content"].as_object_mut().unwrap().remove(FLAG);
    old[1]["content"] = json!({"users": {}, "events": {"m.room.name": 100}});
    let new = room_state();
    let mut answer = sync(vec![], vec![new[1].clone(), new[2].clone(), event]);
    // Synapse writes the timeline first.
    let text = answer["rooms"]["join"][ROOM]["timeline"].to_string();
    answer["rooms"]["join"][ROOM] = json!("ROOM");
    let state = json!({"events": old}).to_string();
    let answer = answer
        .to_string()
        .replace("\"ROOM\"", &format!("{{\"timeline\":{text},\"state\":{state}}}"));
    let needs = bob
        .engine
        .inspect(Request { method: "GET", url: &format!("{HS}/sync") }, answer.into_bytes())
        .unwrap();
    let opened = bob.finish(&needs).unwrap();
    assert_eq!(joined(&opened, "timeline")[2]["content"], name());
    assert_eq!(opened["rooms"]["join"][ROOM]["state"]["events"][2], old[2]);
    assert!(bob.codes().is_empty());
}

#[test]
fn check_a_session_nobodys_device_made() {
    let mut alice = Client::new("@alice:example.org");
    let mut bob = Client::new("@bob:example.org");
    let (event, keys) = alice.send(&[&bob], "m.room.name", &name());
    bob.engine.add_room_keys(&keys).unwrap();
    let mut state = room_state();
    state.push(event);
    let needs = bob.inspect("/sync", &sync(state, vec![])).unwrap();
    // Alice has signed in anew; the device that set the name is gone.
    let now = Client::new("@alice:example.org");
    bob.knows(&[&now]);
    let OpenStep::Needs(more) = bob.engine.open(needs.answer, 100).unwrap() else {
        panic!("no needs")
    };
    assert_eq!(more.member_devices, [ROOM]);
    bob.engine.members_added(ROOM);
    let opened = bob.finish(&needs).unwrap();
    assert_eq!(joined(&opened, "state")[4]["content"], name());
    assert_eq!(bob.codes(), ["gone-device"]);
}

#[test]
fn a_device_seen_once_is_known_when_it_is_gone() {
    let (_, mut bob, event) = alice_and_bob();
    bob.open("/sync", &sync(vec![event.clone()], vec![]));
    let stored = bob.engine.take_persist().unwrap();
    assert!(stored.entries.iter().any(|entry| entry.key == "owners"));
}

#[test]
fn huge_and_malformed_contents_do_no_harm() {
    let (_, mut bob, event) = alice_and_bob();
    for content in [
        json!({}),
        json!([]),
        json!("x".repeat(100_000)),
        json!({"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x".repeat(70_000), "session_id": "s"}),
        json!({"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": 1, "session_id": []}),
    ] {
        let mut bad = event.clone();
        bad["content"] = content;
        bad["event_id"] = json!("$bad");
        let opened = bob.open("/sync", &sync(vec![bad, event.clone()], vec![]));
        let events = joined(&opened, "state");
        assert_eq!(events.last().unwrap()["content"], name());
    }
}

#[test]
fn a_forged_signature_among_good_ones_is_refused_alone() {
    for most in [1, 7, 1_000] {
        let (mut alice, mut bob, name) = alice_and_bob();
        let mut events = vec![name];
        for at in 2..=20 {
            let ticket = alice
                .engine
                .encrypt(
                    RoomId(ROOM),
                    TypeAndKey { event_type: "org.example.slot", state_key: &at.to_string() },
                    "{}",
                )
                .unwrap();
            alice.persist();
            let out = alice.engine.take_encrypted(ticket).unwrap();
            events.push(json!({"type": "m.room.encrypted", "event_id": format!("${at}"),
                "state_key": format!("org.example.slot:{at}"), "origin_server_ts": NOW,
                "sender": "@alice:example.org",
                "content": serde_json::from_str::<Value>(&out.body).unwrap()}));
        }
        // In the signature, which is the end of it; the MAC stays right.
        let good = events[9].clone();
        let ciphertext = good["content"]["ciphertext"].as_str().unwrap();
        let mut bytes = vodozemac::base64_decode(ciphertext).unwrap();
        let at = bytes.len() - 40;
        bytes[at] ^= 1;
        events[9]["content"]["ciphertext"] = json!(vodozemac::base64_encode(bytes));
        let needs = bob.inspect("/sync", &sync(events, vec![])).unwrap();
        let body = loop {
            if let OpenStep::Done(body) = bob.engine.open(needs.answer, most).unwrap() {
                break body.unwrap();
            }
        };
        let opened = joined(&serde_json::from_slice(&body.to_bytes()).unwrap(), "state");
        assert_eq!(opened.len(), 19, "in steps of {most}");
        assert!(opened.iter().all(|event| event["type"] != "m.room.encrypted"));
        assert!(opened.iter().all(|event| event["event_id"] != "$10"));
        assert_eq!(bob.codes(), ["damaged"]);
        let opened = bob.open("/sync", &sync(vec![good], vec![]));
        assert_eq!(joined(&opened, "state")[0]["state_key"], "10", "it keeps the good one in");
    }
}

#[test]
fn one_members_deep_content_hides_nothing_else() {
    let (_, mut bob, event) = alice_and_bob();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let message = json!({"type": "m.room.message", "sender": "@mallory:x", "event_id": "$m",
        "content": {"body": "DEEP", "state_key": "x"}});
    let answer = sync(vec![event], vec![message]).to_string().replace("\"DEEP\"", &deep);
    let needs = bob
        .engine
        .inspect(Request { method: "GET", url: &format!("{HS}/sync") }, answer.into_bytes())
        .unwrap();
    loop {
        match bob.engine.open(needs.answer, 9).unwrap() {
            OpenStep::Done(body) => {
                let body = String::from_utf8(body.unwrap().to_bytes()).unwrap();
                assert!(body.contains(r#"{"name":"Secret"}"#) && body.contains(&deep));
                break;
            }
            other => assert!(!matches!(other, OpenStep::Split(_))),
        }
    }
}

// ---- Writing ----

#[test]
fn a_put_in_a_flagged_room_is_encrypted_and_elsewhere_it_passes() {
    let mut alice = Client::new("@alice:example.org");
    let url = format!("{HS}/rooms/%21room%3Aexample.org/state/m.room.name/?x=1");
    let body = br#"{"name":"Secret"}"#;
    let Plan::NeedRoom { room_id, .. } =
        alice.engine.plan_put(Request { method: "PUT", url: &url }, body)
    else {
        panic!("not asked")
    };
    assert_eq!(room_id, ROOM);
    alice.engine.add_room_state(RoomId(ROOM), "[]").unwrap();
    assert!(matches!(
        alice.engine.plan_put(Request { method: "PUT", url: &url }, body),
        Plan::NeedRoom { .. }
    ));
    let mut clear = room_state();
    clear.remove(2);
    alice.engine.add_room_state(RoomId(ROOM), &json!(clear).to_string()).unwrap();
    assert_eq!(alice.engine.plan_put(Request { method: "PUT", url: &url }, body), Plan::Pass);
    alice.engine.add_room_state(RoomId(ROOM), &json!(room_state()).to_string()).unwrap();
    assert_eq!(
        alice.engine.plan_put(Request { method: "PUT", url: &url }, body),
        Plan::Encrypt {
            room_id: ROOM.to_owned(),
            event_type: "m.room.name".to_owned(),
            state_key: String::new(),
            url: format!(
                "{HS}/rooms/%21room%3Aexample.org/state/m.room.encrypted/m.room.name%3A?x=1"
            ),
        }
    );
    for other in [
        "m.room.member/@a:x",
        "m.room.power_levels",
        "m.room.avatar",
        "m.room.encrypted/m.room.name%3A",
    ] {
        let url = format!("{HS}/rooms/{ROOM}/state/{other}");
        assert_eq!(
            alice.engine.plan_put(Request { method: "PUT", url: &url }, b"{}"),
            Plan::Pass,
            "{other}"
        );
    }
    for (state_key, body) in [("", "[]"), ("", "\"x\""), (&"k".repeat(250)[..], "{}")] {
        let url = format!("{HS}/rooms/{ROOM}/state/m.room.topic/{state_key}");
        assert!(
            matches!(
                alice.engine.plan_put(Request { method: "PUT", url: &url }, body.as_bytes()),
                Plan::Refuse { .. }
            ),
            "{body}"
        );
    }
    let long = json!({"topic": "t".repeat(60_000)}).to_string();
    let url = format!("{HS}/rooms/{ROOM}/state/m.room.topic");
    assert!(matches!(
        alice.engine.plan_put(Request { method: "PUT", url: &url }, long.as_bytes()),
        Plan::Refuse { .. }
    ));
    let url = format!("{HS}/rooms/!new:x/state/m.room.encryption");
    let flagged = json!({"algorithm": "m.megolm.v1.aes-sha2", FLAG: true}).to_string();
    assert_eq!(
        alice.engine.plan_put(Request { method: "PUT", url: &url }, flagged.as_bytes()),
        Plan::Flag { room_id: "!new:x".to_owned() }
    );
    assert_eq!(alice.engine.plan_put(Request { method: "PUT", url: &url }, b"{}"), Plan::Pass);
    let url = format!("{HS}/rooms/{ROOM}/state/im.vector.modular.widgets/jitsi");
    let widget = br#"{"type":"jitsi","data":{"roomName":"Secret","domain":"x"}}"#;
    let Plan::Rewrite { body } =
        alice.engine.plan_put(Request { method: "PUT", url: &url }, widget)
    else {
        panic!("not rewritten")
    };
    assert_eq!(body, r#"{"type":"jitsi","data":{"domain":"x"}}"#);
}

#[test]
fn an_index_leaves_only_when_it_is_stored() {
    let mut alice = Client::new("@alice:example.org");
    let session = alice.session(&[]);
    assert!(matches!(
        alice.engine.encrypt(RoomId(ROOM), TypeAndKey::single("m.room.name"), "{}"),
        Err(EngineError::NoSession)
    ));
    alice.engine.imported(SessionId { room_id: ROOM, id: &session.session_id }).unwrap();
    alice.persist();
    let ticket =
        alice.engine.encrypt(RoomId(ROOM), TypeAndKey::single("m.room.name"), "{}").unwrap();
    assert_eq!(alice.engine.take_encrypted(ticket), Err(EngineError::NotStored));
    let batch = alice.engine.take_persist().unwrap();
    assert_eq!(alice.engine.take_encrypted(ticket), Err(EngineError::NotStored));
    alice.engine.persisted(batch.id);
    assert!(alice.engine.take_encrypted(ticket).is_ok());
    assert_eq!(alice.engine.take_encrypted(ticket), Err(EngineError::Unknown));
    // One whose index could not be stored never leaves, nor does its session go on.
    let ticket =
        alice.engine.encrypt(RoomId(ROOM), TypeAndKey::single("m.room.name"), "{}").unwrap();
    let batch = alice.engine.take_persist().unwrap();
    alice.engine.persist_failed(batch.id);
    alice.engine.persisted(batch.id);
    assert_eq!(alice.engine.take_encrypted(ticket), Err(EngineError::Unknown));
    let again = alice.engine.take_persist().unwrap();
    assert_eq!(again.entries.len(), batch.entries.len());
    assert!(again.entries.iter().all(|entry| entry.value.is_none()));
    alice.engine.persisted(again.id);
    assert_eq!(alice.engine.take_encrypted(ticket), Err(EngineError::Unknown));
    assert!(alice.session(&[]).is_new);
}

#[test]
fn nothing_is_encrypted_for_nobody() {
    let mut alice = Client::new("@alice:example.org");
    let bob = Client::new("@bob:example.org");
    let session = alice.session(&[&bob]);
    assert_eq!(session.share_with.len(), 1);
    alice.engine.imported(SessionId { room_id: ROOM, id: &session.session_id }).unwrap();
    let encrypt = |alice: &mut Client| {
        alice.engine.encrypt(RoomId(ROOM), TypeAndKey::single("m.room.name"), "{}")
    };
    assert_eq!(encrypt(&mut alice), Err(EngineError::NotShared));
    alice
        .engine
        .shared(
            SessionId { room_id: ROOM, id: &session.session_id },
            r#"[{"userId":"@x:y","deviceId":"Z"}]"#,
        )
        .unwrap();
    assert_eq!(encrypt(&mut alice), Err(EngineError::NotShared));
    let devices = serde_json::to_string(&session.share_with).unwrap();
    alice.engine.shared(SessionId { room_id: ROOM, id: &session.session_id }, &devices).unwrap();
    assert!(encrypt(&mut alice).is_ok());
    assert!(alice.session(&[&bob]).share_with.is_empty());
}

#[test]
fn two_tabs_never_use_an_index_twice() {
    let mut one = Client::new("@alice:example.org");
    one.send(&[], "m.room.name", &name());
    let mut two = Client::new("@alice:example.org");
    two.device = one.device.clone();
    two.store = one.store.clone();
    two.engine = StateEngine::new(&[7; 32], &Value::Object(two.store.clone()).to_string()).unwrap();
    two.log_in();
    let (event, _) = two.send(&[], "m.room.name", &json!({"name": "two"}));
    one.engine.stop_writing();
    assert_eq!(
        one.engine.encrypt(RoomId(ROOM), TypeAndKey::single("m.room.name"), "{}"),
        Err(EngineError::NotWriter)
    );
    one.store = two.store.clone();
    one.engine.become_writer(&Value::Object(one.store.clone()).to_string()).unwrap();
    let (third, _) = one.send(&[], "m.room.name", &json!({"name": "three"}));
    let index = |event: &Value| {
        let text = event["content"]["ciphertext"].as_str().unwrap().to_owned();
        vodozemac::megolm::MegolmMessage::from_base64(&text).unwrap().message_index()
    };
    assert_eq!((index(&event), index(&third)), (1, 2));
    assert_eq!(event["content"]["session_id"], third["content"]["session_id"]);
}

#[test]
fn a_copy_of_the_profile_makes_the_session_rotate() {
    let mut alice = Client::new("@alice:example.org");
    alice.send(&[], "m.room.name", &name());
    let old = alice.store.clone();
    let (mut event, _) = alice.send(&[], "m.room.name", &json!({"name": "later"}));
    event["event_id"] = json!("$2");
    let mut copy = Client::new("@alice:example.org");
    copy.device = alice.device.clone();
    copy.store = old;
    copy.engine =
        StateEngine::new(&[7; 32], &Value::Object(copy.store.clone()).to_string()).unwrap();
    copy.log_in();
    let mut state = room_state();
    state.push(event);
    let opened = copy.open("/sync", &sync(state, vec![]));
    assert_eq!(joined(&opened, "state")[4]["content"], json!({"name": "later"}));
    let session = copy.session(&[]);
    assert_eq!((session.is_new, session.rotated), (true, Some("asked")));
    assert_eq!(copy.codes(), ["index-used-twice"]);
}

/// Alice, who has given the room a name that the other can read, and has seen it there.
fn alice_who_named(other: &Client) -> Client {
    let mut alice = Client::new(ALICE);
    let (event, _) = alice.send(&[other], "m.room.name", &name());
    let mut state = room_state();
    state.push(event);
    alice.open("/sync", &sync(state, vec![]));
    alice
}

#[test]
fn sessions_rotate_and_ones_own_state_is_sent_again() {
    let mut alice = alice_who_named(&Client::new(BOB));
    let here = json!({"members": ["@alice:example.org"], "now": NOW}).to_string();
    assert!(alice.engine.reencrypt(RoomId(ROOM), &here).unwrap().events.is_empty());
    // Bob leaves.
    let session = alice.session(&[]);
    assert_eq!((session.is_new, session.rotated), (true, Some("member-left")));
    let again = alice.engine.reencrypt(RoomId(ROOM), &here).unwrap();
    assert_eq!(again.delay_ms, 0);
    assert_eq!(again.events.len(), 1);
    assert_eq!(again.events[0].event_type, "m.room.name");
    assert_eq!(again.events[0].content_json, name().to_string());
    alice.engine.imported(SessionId { room_id: ROOM, id: &session.session_id }).unwrap();
    alice
        .engine
        .encrypt(RoomId(ROOM), TypeAndKey::single("m.room.name"), r#"{"name":"Renamed"}"#)
        .unwrap();
    // What is known is older than what is on its way.
    assert!(alice.engine.reencrypt(RoomId(ROOM), &here).unwrap().events.is_empty());
}

/// Who needs Alice's session, and whether it may be given up for its age or use.
fn alone(now: u64, keeps: bool) -> String {
    json!({"roomId": ROOM, "members": [ALICE], "targets": [], "now": now, "keeps": keeps,
        "encryption": {"algorithm": "m.megolm.v1.aes-sha2", "rotation_period_msgs": 1,
            "rotation_period_ms": 7_200_000}})
    .to_string()
}

#[test]
fn a_session_that_is_used_up_is_changed_for_what_is_new_and_that_ends() {
    let mut alice = Client::new(ALICE);
    alice.engine.add_room_state(RoomId(ROOM), &json!(room_state()).to_string()).unwrap();
    let mut sent = 0;
    let mut write = |alice: &mut Client, event_type: &str, content: &str, base: Option<&str>| {
        let asked = alone(NOW, base.is_some());
        let session = alice.engine.need_session(&asked).unwrap();
        alice.engine.imported(SessionId { room_id: ROOM, id: &session.session_id }).unwrap();
        let ticket = match base {
            None => alice.engine.encrypt(RoomId(ROOM), TypeAndKey::single(event_type), content),
            Some(base) => alice.engine.encrypt_again(
                EventId { room_id: ROOM, id: base },
                TypeAndKey::single(event_type),
                content,
            ),
        };
        alice.persist();
        let out = alice.engine.take_encrypted(ticket.unwrap()).unwrap();
        sent += 1;
        let content: Value = serde_json::from_str(&out.body).unwrap();
        let event = json!({"type": "m.room.encrypted", "state_key": format!("{event_type}:"),
            "sender": ALICE, "origin_server_ts": NOW + sent, "event_id": format!("${sent}"),
            "content": content});
        alice.open("/sync?since=a", &sync(vec![], vec![event]));
        session.rotated
    };
    let rests = |alice: &mut Client| {
        let session = alice.engine.need_session(&alone(NOW, true)).unwrap();
        (session.rotated, again(alice, &[ALICE], NOW))
    };
    assert_eq!(write(&mut alice, "m.room.name", r#"{"name":"Secret"}"#, None), None);
    assert_eq!(rests(&mut alice), (None, (0, 0)));
    let topic = r#"{"topic":"Hidden"}"#;
    assert_eq!(write(&mut alice, "m.room.topic", topic, None), Some("messages"));
    // The name has the session of before, of which who joins now gets no key.
    assert_eq!(rests(&mut alice), (None, (0, 1)));
    assert_eq!(write(&mut alice, "m.room.name", r#"{"name":"Secret"}"#, Some("$1")), None);
    assert_eq!(rests(&mut alice), (None, (0, 0)), "one thing does not bring about the next");
    let later = NOW + 7_200_000;
    let mut rotated = |keeps| alice.engine.need_session(&alone(later, keeps)).unwrap().rotated;
    assert_eq!(rotated(true), None);
    assert_eq!(rotated(false), Some("messages"));
    assert_eq!(rotated(false), None);
    let mut aged = |now| alice.engine.need_session(&alone(now, false)).unwrap().rotated;
    assert_eq!(aged(later + 7_199_999), None);
    assert_eq!(aged(later + 7_200_000), Some("age"));
}

#[test]
fn what_was_written_with_the_session_of_now_is_under_way_for_another_tab_too() {
    let mut alice = alice_who_named(&Client::new(BOB));
    alice.send(&[], "m.room.name", &json!({"name": "Renamed"}));
    assert_eq!(again(&mut alice, &[ALICE], NOW), (60_000, 0));
    alice.reload();
    alice.engine.add_room_state(RoomId(ROOM), &json!(room_state()).to_string()).unwrap();
    assert_eq!(again(&mut alice, &[ALICE], NOW + 1), (59_999, 0));
    // It never came back: the homeserver is asked before anything is sent.
    assert_eq!(again(&mut alice, &[ALICE], NOW + 60_000), (0, 1));
}

const AARON: &str = "@aaron:example.org";
const ALICE: &str = "@alice:example.org";
const BOB: &str = "@bob:example.org";
const DAVE: &str = "@dave:example.org";

/// The room's state, in which three may change its name.
fn shared_room() -> Vec<Value> {
    let mut state = room_state();
    state[1]["content"] = json!({"users": {ALICE: 100, BOB: 50, AARON: 50}});
    state
}

/// When to ask again, and how many events to send now.
fn again(one: &mut Client, members: &[&str], now: u64) -> (u64, usize) {
    let json = json!({"members": members, "now": now}).to_string();
    let again = one.engine.reencrypt(RoomId(ROOM), &json).unwrap();
    (again.delay_ms, again.events.len())
}

fn left(user: &str) -> Value {
    json!({"type": "m.room.member", "state_key": user, "sender": user, "event_id": "$left",
        "origin_server_ts": NOW + 1, "content": {"membership": "leave"},
        "unsigned": {"prev_content": {"membership": "join"}}})
}

/// Dave and a name that Alice gave the room while he was there, as `user` and she see it.
fn room_with_dave(user: &str) -> (Client, Client) {
    let mut alice = Client::new(ALICE);
    let dave = Client::new(DAVE);
    let mut one = Client::new(user);
    let (event, keys) = alice.send(&[&dave, &one], "m.room.name", &name());
    one.knows(&[&alice]);
    one.engine.add_room_keys(&keys).unwrap();
    for client in [&mut alice, &mut one] {
        let mut state = shared_room();
        state.push(event.clone());
        client.open("/sync?since=a", &sync(state, vec![]));
        client.engine.sharing_due();
    }
    (alice, one)
}

#[test]
fn after_a_leave_the_maker_goes_first_and_the_others_one_after_the_other() {
    let all = [AARON, ALICE, BOB];
    for (user, turn) in [(AARON, 60_000), (BOB, 120_000)] {
        let (mut alice, mut one) = room_with_dave(user);
        assert_eq!(again(&mut one, &all, NOW), (0, 0), "nobody left");
        let answer = sync(vec![], vec![left(DAVE)]);
        alice.open("/sync?since=b", &answer);
        one.open("/sync?since=b", &answer);
        assert_eq!(one.engine.sharing_due()[0].room_id, ROOM);
        // Later askers wait no longer than the first.
        assert_eq!(again(&mut one, &all, NOW + 5), (turn, 0), "{user}");
        assert_eq!(again(&mut one, &all, NOW + 15), (turn - 10, 0), "{user}");
        assert_eq!(again(&mut alice, &all, NOW), (0, 0), "the key of before is not used again");
        one.reload();
        assert_eq!(one.engine.sharing_due()[0].why, "stale");
        one.engine.add_room_state(RoomId(ROOM), &json!(shared_room()).to_string()).unwrap();
        one.knows(&[&alice]);
        assert_eq!(again(&mut one, &all, NOW + 5 + turn), (0, 1), "{user}");

        // Her rotation makes it hers to send, and what she sent ends it for everyone.
        let session = alice.session(&[&one]);
        assert_eq!(session.rotated, Some("member-left"));
        assert_eq!(again(&mut alice, &all, NOW), (0, 1));
        let (mut event, keys) = alice.send(&[&one], "m.room.name", &name());
        event["event_id"] = json!("$2");
        event["origin_server_ts"] = json!(NOW + 2);
        one.engine.add_room_keys(&keys).unwrap();
        for client in [&mut alice, &mut one] {
            client.open("/sync?since=c", &sync(vec![], vec![event.clone()]));
            assert_eq!(again(client, &all, NOW + 5 + turn), (0, 0), "{user}");
        }
    }
}

#[test]
fn a_maker_nothing_was_heard_of_since_a_reload_is_taken_to_be_there() {
    let (alice, mut bob) = room_with_dave(BOB);
    bob.reload();
    bob.engine.add_room_state(RoomId(ROOM), &json!(shared_room()).to_string()).unwrap();
    bob.knows(&[&alice]);
    assert_eq!(again(&mut bob, &[ALICE, BOB], NOW), (0, 0));
}

#[test]
fn a_leave_told_once_more_by_a_first_sync_changes_nothing() {
    let (mut alice, mut bob) = room_with_dave(BOB);
    for client in [&mut alice, &mut bob] {
        client.open("/sync?since=b", &sync(vec![], vec![left(DAVE)]));
    }
    let (mut event, keys) = alice.send(&[&bob], "m.room.name", &name());
    event["event_id"] = json!("$2");
    event["origin_server_ts"] = json!(NOW + 2);
    bob.engine.add_room_keys(&keys).unwrap();
    bob.open("/sync?since=c", &sync(vec![], vec![event.clone()]));
    assert_eq!(again(&mut bob, &[ALICE, BOB], NOW), (0, 0));
    let answer = sync(shared_room(), vec![left(DAVE), event]);
    bob.open("/sync", &answer);
    assert_eq!(again(&mut bob, &[ALICE, BOB], NOW), (0, 0));
    bob.reload();
    bob.knows(&[&alice]);
    bob.engine.add_room_keys(&keys).unwrap();
    bob.open("/sync", &answer);
    assert_eq!(again(&mut bob, &[ALICE, BOB], NOW + 100_000), (0, 0));
}

#[test]
fn a_leaver_the_pages_client_still_takes_for_a_member_gets_no_key() {
    let (mut alice, bob) = room_with_dave(BOB);
    let dave = Client::new(DAVE);
    alice.open("/sync?since=b", &sync(vec![], vec![left(DAVE)]));
    let due = alice.engine.sharing_due();
    assert_eq!((due[0].members.len(), due[0].members[0].membership.as_str()), (1, "leave"));
    let session = alice.session(&[&dave, &bob]);
    assert_eq!(session.rotated, Some("member-left"));
    let users: Vec<&str> =
        session.share_with.iter().map(|device| device.user_id.as_str()).collect();
    assert_eq!(users, [BOB]);
    let mut joined = left(DAVE);
    joined["content"] = json!({"membership": "join"});
    alice.open("/sync?since=c", &sync(vec![], vec![joined]));
    assert_eq!(alice.session(&[&dave, &bob]).share_with.len(), 2);
}

#[test]
fn the_leaver_and_those_without_power_never_count() {
    let answer = sync(vec![], vec![left(ALICE)]);
    let (_, mut bob) = room_with_dave(BOB);
    bob.open("/sync?since=b", &answer);
    assert_eq!(again(&mut bob, &[AARON, BOB, DAVE], NOW), (60_000, 0), "Aaron goes first");
    assert_eq!(again(&mut bob, &[BOB, DAVE], NOW + 1), (0, 1));
    let (_, mut eve) = room_with_dave("@eve:example.org");
    eve.open("/sync?since=b", &answer);
    assert_eq!(again(&mut eve, &["@eve:example.org"], NOW + 1_000_000), (0, 0));
}

#[test]
fn who_writes_encrypted_state_goes_before_who_never_did() {
    let (_, mut bob) = room_with_dave(BOB);
    let (mut event, _) = bob.send(&[], "m.room.topic", &json!({"topic": "Secret too"}));
    event["event_id"] = json!("$topic");
    bob.open("/sync?since=b", &sync(vec![], vec![event]));
    bob.open("/sync?since=c", &sync(vec![], vec![left(ALICE)]));
    let now = NOW + 1;
    let all = json!({"members": [AARON, BOB, DAVE], "now": now}).to_string();
    let again = bob.engine.reencrypt(RoomId(ROOM), &all).unwrap();
    // The topic has a session that must be changed first.
    assert_eq!(again.events.len(), 1);
    assert_eq!(again.events[0].event_type, "m.room.name");
    assert_eq!(
        again.events[0].path,
        "/_matrix/client/v3/rooms/%21room%3Aexample.org/state/m.room.encrypted/m.room.name%3A"
    );
    assert_eq!(bob.session(&[]).rotated, Some("member-left"));
    assert_eq!(bob.engine.reencrypt(RoomId(ROOM), &all).unwrap().events.len(), 2);
}

#[test]
fn a_name_and_a_leave_of_one_answer_are_taken_in_their_order() {
    for (sent, waits) in [(NOW, true), (NOW + 2, false)] {
        let (mut alice, mut bob) = room_with_dave(BOB);
        let (mut event, keys) = alice.send(&[&bob], "m.room.name", &json!({"name": "Renamed"}));
        event["event_id"] = json!("$2");
        event["origin_server_ts"] = json!(sent);
        bob.engine.add_room_keys(&keys).unwrap();
        bob.open("/sync?since=b", &sync(vec![], vec![event, left(DAVE)]));
        assert_eq!(again(&mut bob, &[ALICE, BOB], NOW).0 > 0, waits);
    }
}

#[test]
fn the_state_of_a_device_that_is_gone_is_sent_again() {
    let (_, mut bob) = room_with_dave(BOB);
    assert_eq!(again(&mut bob, &[ALICE, BOB], NOW), (0, 0));
    let other = Client::new(ALICE);
    bob.knows(&[&other]);
    assert_eq!(again(&mut bob, &[ALICE, BOB], NOW), (60_000, 0), "she may have another Mantle");
    assert_eq!(again(&mut bob, &[ALICE, BOB], NOW + 60_000), (0, 1));
}

#[test]
fn trust_decides_who_gets_the_key() {
    let mut alice = Client::new("@alice:example.org");
    let bob = Client::new("@bob:example.org");
    let mut blocked = bob.device.clone();
    blocked["blocked"] = json!(true);
    let session = alice
        .engine
        .need_session(
            &json!({"roomId": ROOM, "members": ["@alice:example.org", "@bob:example.org", "@c:x"],
                "targets": [{"userId": "@bob:example.org", "devices": [blocked]},
                    {"userId": "@stranger:x", "devices": [bob.device]}],
                "encryption": {}, "historyVisibility": "joined", "now": NOW})
            .to_string(),
        )
        .unwrap();
    assert!(session.share_with.is_empty());
    assert_eq!(session.refused.len(), 1);
    assert_eq!(session.refused[0].why, "blocked");
    assert_eq!(session.without_devices, ["@bob:example.org", "@c:x"]);
    assert!(!session.room_key_content.get().contains("shared_history"));
    // Signed by their owner, verified by this user, neither.
    let device = |id: &str, says: &str| {
        let mut device = Client::new(BOB).device;
        device["deviceId"] = json!(id);
        device[says] = json!(true);
        device
    };
    let devices = [device("A", "crossSigned"), device("B", "verified"), device("C", "other")];
    for (trust, count) in [(Trust::All, 3), (Trust::CrossSigned, 2)] {
        alice.engine.apply_settings(StateSettings { trust, ..StateSettings::default() });
        let asked = json!({"roomId": ROOM, "members": [ALICE, BOB], "now": NOW,
            "targets": [{"userId": BOB, "devices": devices}]});
        let session = alice.engine.need_session(&asked.to_string()).unwrap();
        assert_eq!(session.share_with.len(), count);
        let refused: Vec<_> =
            session.refused.iter().map(|one| (one.device_id.as_str(), one.why)).collect();
        let expected = [("C", "not-cross-signed")];
        assert_eq!(refused, &expected[..3 - count]);
    }
}

fn create_body() -> Value {
    json!({"name": "Secret", "topic": "Hidden", "preset": "private_chat", "visibility": "private",
    "invite": ["@bob:example.org"], "initial_state": [
        {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}},
        {"type": "m.room.guest_access", "content": {"guest_access": "can_join"}},
        {"type": "m.room.topic", "content": {"topic": "other"}},
    ]})
}

#[test]
fn a_new_room_is_made_without_name_and_topic_and_they_wait() {
    let mut alice = Client::new("@alice:example.org");
    let plan = alice.engine.plan_create(create_body().to_string().as_bytes(), NOW, None).unwrap();
    let CreatePlan::Create { pending_id, body, held } = plan else { panic!("not taken out") };
    assert_eq!(held, 2);
    assert!(!body.contains("Secret") && !body.contains("Hidden") && !body.contains("other"));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["initial_state"][0]["content"][FLAG], true);
    assert_eq!(body["initial_state"].as_array().unwrap().len(), 2);
    assert_eq!(body["invite"], json!(["@bob:example.org"]));
    alice.reload();
    let stored = Value::Object(alice.store.clone()).to_string();
    assert!(!stored.contains("Secret") && !stored.contains("Hidden"), "sealed");
    let pending = alice.engine.pending_writes();
    assert_eq!((pending.len(), &pending[0].room_id), (1, &None));
    alice.engine.created(&pending_id, RoomId(ROOM)).unwrap();
    assert!(alice.engine.encrypts_state(ROOM));
    alice.reload();
    let pending = alice.engine.pending_writes();
    assert_eq!(pending[0].room_id.as_deref(), Some(ROOM));
    let events: Vec<_> = pending[0]
        .events
        .iter()
        .map(|event| (event.event_type.as_str(), event.content_json.as_str()))
        .collect();
    assert_eq!(
        events,
        [
            ("m.room.name", r#"{"name":"Secret"}"#),
            ("m.room.topic", r#"{"topic":"Hidden","m.topic":{"m.text":[{"body":"Hidden"}]}}"#),
        ]
    );
    alice.engine.pending_sent(&pending_id, TypeAndKey::single("m.room.name")).unwrap();
    assert_eq!(alice.engine.pending_writes()[0].events.len(), 1);
    alice.engine.pending_sent(&pending_id, TypeAndKey::single("m.room.topic")).unwrap();
    alice.reload();
    assert!(alice.engine.pending_writes().is_empty());
}

#[test]
fn no_spelling_of_a_path_lets_a_name_through() {
    let mut alice = Client::new(ALICE);
    alice.engine.add_room_state(RoomId(ROOM), &json!(room_state()).to_string()).unwrap();
    let body = br#"{"name":"Secret"}"#;
    let room = "%21room%3Aexample.org";
    for path in [
        format!("https://hs/_matrix/client/v3/rooms/{room}/state/m.room.name//"),
        format!("https://hs/_matrix/client/v3/rooms/{room}/state/%6D.room.name"),
        format!("https://hs/_matrix/client/v3/rooms/{room}/%73tate/m.room.name"),
        format!("https://hs/_matrix/client/v3/%72ooms/{room}/state/m.room.name"),
        format!("https://hs/%5Fmatrix/client/v3/rooms/{room}/state/m.room.name"),
        format!("https://hs/_matrix/%63lient/v3/rooms/{room}/state/m.room.name"),
        format!("https://hs/_matrix/client/api/v1/rooms/{room}/state/m.room.name"),
        format!("https://hs/_matrix/client/rooms/{room}/state/m.room.name"),
        format!("https://hs/_matrix/client/v3/rooms/{room}/state/m.room.name/a/b"),
        format!("https://hs/rooms/x/state/_matrix/client/v3/rooms/{room}/state/m.room.name"),
        format!("https://[::1]:8448/x/_matrix/client/unstable/rooms/{room}/state/m.room.name"),
        "https://hs/_matrix/client/v3/rooms/%23alias%3Aexample.org/state/m.room.name".to_owned(),
    ] {
        match alice.engine.plan_put(Request { method: "PUT", url: &path }, body) {
            Plan::Encrypt { url, .. } => {
                assert!(url.contains("/state/m.room.encrypted/m.room.name%3A"), "{url}");
                assert_eq!(url.matches("m.room.name").count(), 1, "{url}");
            }
            Plan::Refuse { .. } | Plan::NeedRoom { .. } => {}
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[test]
fn a_new_rooms_name_is_taken_out_however_often_and_in_whatever_letters_it_stands() {
    let encryption = r#"{"type":"m.room.encryption","state_key":"","content":{"algorithm":"m.megolm.v1.aes-sha2"}}"#;
    let named = r#"{"type":"m.room.name","state_key":"","content":{"name":"Secret"}}"#;
    for rest in [
        format!(r#""name":"Secret","name":"Secret","initial_state":[{encryption}]"#),
        format!(r#""name":"Secret","initial_state":[{encryption}],"name":"Other""#),
        format!(r#""na\u006de":"Secret","\u0074opic":"Secret","initial_state":[{encryption}]"#),
        format!(r#""initial_state":[{named}],"initial_state":[{encryption}]"#),
        format!(r#""initial_state":[{encryption},{named},{named}]"#),
        format!(
            r#""initial_state":[{encryption},{{"type":"m.x","type":"m.room.\u006eame","content":{{"name":"Secret"}}}}]"#
        ),
        format!(
            r#""initial_state":[{encryption},{{"type":"m.room.name","content":{{}},"content":{{"name":"Secret"}}}}]"#
        ),
        format!(
            r#""initial_state":[{encryption},{{"type":"m.widget","state_key":"x","content":{{"data":{{"roomName":"Secret","roomName":"Secret"}},"data":{{"roomName":"Secret"}}}}}}]"#
        ),
    ] {
        let mut alice = Client::new("@alice:example.org");
        let body = format!(r#"{{"preset":"private_chat",{rest}}}"#);
        let plan = alice.engine.plan_create(body.as_bytes(), NOW, Some("yes")).unwrap();
        let CreatePlan::Create { body, .. } = plan else { panic!("{rest}: {plan:?}") };
        assert!(!body.contains("Secret"), "{rest}: {body}");
    }
}

#[test]
fn a_failed_creation_does_not_name_a_room_that_was_answered() {
    let mut alice = Client::new(ALICE);
    let mut make = |name: &str, now| {
        let mut body = create_body();
        body["name"] = json!(name);
        match alice.engine.plan_create(body.to_string().as_bytes(), now, None).unwrap() {
            CreatePlan::Create { pending_id, .. } => pending_id,
            other => panic!("{other:?}"),
        }
    };
    let lost = make("Secret", NOW);
    let made = make("Other", NOW + 1);
    alice.engine.created(&made, RoomId("!other:example.org")).unwrap();
    // A direct chat has nothing that waits.
    alice.engine.created("", RoomId("!direct:example.org")).unwrap();
    alice.reload();
    let pending = alice.engine.pending_writes();
    assert_eq!((&pending[0].pending_id, &pending[0].room_id), (&lost, &None));
    assert_eq!(pending[0].others, ["!other:example.org", "!direct:example.org"]);
    assert!(pending[1].others.is_empty());
    // Clocks differ, so a room may seem to be made after it was.
    alice.engine.created("", RoomId("!early:example.org")).unwrap();
    let plan = alice.engine.plan_create(create_body().to_string().as_bytes(), NOW + 2, None);
    assert!(matches!(plan, Ok(CreatePlan::Create { .. })));
    assert_eq!(alice.engine.pending_writes()[2].others, ["!early:example.org"]);
}

#[test]
fn a_name_that_cannot_be_encrypted_is_refused_before_the_room_is_made() {
    let mut alice = Client::new(ALICE);
    let mut plan = |change: &dyn Fn(&mut Value)| {
        let mut body = create_body();
        change(&mut body);
        alice.engine.plan_create(body.to_string().as_bytes(), NOW, None)
    };
    let long = plan(&|body| body["topic"] = json!("t".repeat(60_000)));
    assert!(matches!(long, Err(EngineError::Encrypt(_))), "{long:?}");
    let long = plan(&|body| {
        body["initial_state"].as_array_mut().unwrap().push(json!({"type": "m.room.topic",
            "state_key": "k".repeat(250), "content": {"topic": "Secret"}}));
    });
    assert!(matches!(long, Err(EngineError::Encrypt(_))), "{long:?}");
    assert!(alice.engine.pending_writes().is_empty());
}

#[test]
fn a_new_rooms_encrypted_picture_waits_as_its_name_does_and_a_readable_one_stays() {
    let mut alice = Client::new(ALICE);
    for (content, waits) in
        [(json!({"file": {"key": {"k": "Secret"}}}), 3), (json!({"url": "mxc://x/y"}), 2)]
    {
        let mut body = create_body();
        // Element names no state key.
        let picture = json!({"type": "m.room.avatar", "content": content});
        body["initial_state"].as_array_mut().unwrap().push(picture);
        let plan = alice.engine.plan_create(body.to_string().as_bytes(), NOW, None).unwrap();
        let CreatePlan::Create { pending_id, body, held } = plan else { panic!("not taken out") };
        assert_eq!(held, waits);
        assert_eq!(body.contains("m.room.avatar"), waits == 2, "{body}");
        assert!(!body.contains("Secret"), "{body}");
        alice.engine.create_failed(&pending_id).unwrap();
    }
}

#[test]
fn an_encrypted_picture_goes_where_names_go_whatever_the_settings_say() {
    let file = json!({"file": {"key": {"k": "secret"}}, "info": {}});
    for (content, follows) in [(file, true), (json!({"url": "mxc://x/y"}), false)] {
        let mut alice = Client::new(ALICE);
        let (event, _) = alice.send(&[], "m.room.avatar", &content);
        alice.open("/sync?since=a", &sync(room_state(), vec![event]));
        let upgrade = Upgrade { old: RoomId(ROOM), new: RoomId("!new:example.org") };
        alice.engine.upgraded(upgrade, NOW).unwrap();
        let pending = alice.engine.pending_writes();
        let types: Vec<_> =
            pending.iter().flat_map(|one| &one.events).map(|one| one.event_type.as_str()).collect();
        assert_eq!(types.contains(&"m.room.avatar"), follows, "{content}: {types:?}");
    }
}

#[test]
fn an_encrypted_picture_that_was_taken_away_goes_nowhere() {
    let mut alice = Client::new(ALICE);
    let file = json!({"file": {"key": {"k": "secret"}}, "info": {}});
    let (event, _) = alice.send(&[], "m.room.avatar", &file);
    alice.open("/sync?since=a", &sync(room_state(), vec![event]));
    let (mut event, _) = alice.send(&[], "m.room.avatar", &json!({}));
    event["event_id"] = json!("$2");
    alice.open("/sync?since=b", &sync(vec![], vec![event]));
    let upgrade = Upgrade { old: RoomId(ROOM), new: RoomId("!new:example.org") };
    alice.engine.upgraded(upgrade, NOW).unwrap();
    let pending = alice.engine.pending_writes();
    let texts: Vec<_> = pending.iter().flat_map(|one| &one.events).collect();
    assert!(!texts.iter().any(|one| one.content_json.contains("secret")), "{texts:?}");
}

#[test]
fn what_a_server_would_refuse_does_not_tell_the_name_either() {
    let mut alice = Client::new(ALICE);
    let mut body = create_body();
    body["initial_state"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "m.room.name", "state_key": "", "content": ["Secret"]}));
    body["name"] = json!("half \u{1F600}");
    // Half of an emoji, as scripts cut texts.
    let text = body.to_string().replace('\u{1F600}', r"\ud83d");
    let plan = alice.engine.plan_create(text.as_bytes(), NOW, None).unwrap();
    let CreatePlan::Create { body, held, .. } = plan else { panic!("not taken out") };
    assert!(!body.contains("Secret") && !body.contains("half"), "{body}");
    assert_eq!(held, 2);
    let waits = alice.engine.pending_writes();
    assert_eq!(waits[0].events[0].content_json, r#"{"name":"half \ud83d"}"#);
}

#[test]
fn join_rules_that_are_named_count_for_more_than_the_preset() {
    let mut alice = Client::new(ALICE);
    let mut body = create_body();
    body["preset"] = json!("public_chat");
    body["initial_state"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "m.room.join_rules", "content": {"join_rule": "knock"}}));
    let plan = alice.engine.plan_create(body.to_string().as_bytes(), NOW, None).unwrap();
    assert!(matches!(plan, CreatePlan::Create { held: 2, .. }), "{plan:?}");
}

#[test]
fn a_readable_name_that_only_browsers_can_read_does_not_replace_the_encrypted_one() {
    let (_, mut bob, event) = alice_and_bob();
    let mut state = room_state();
    state.push(event);
    bob.open("/sync", &sync(state, vec![]));
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let fake = r#""type":"m.room.name","state_key":"","content":{"name":"Fake"},"event_id":"$f","origin_server_ts":1"#;
    let sender = r#","sender":"@alice:example.org""#;
    let mut lies: Vec<(&str, Vec<u8>)> = [
        ("plain", format!("{{{fake}{sender}}}")),
        ("no sender", format!("{{{fake}}}")),
        ("a key twice", format!("{{{fake}{sender},\"type\":\"m.room.name\"}}")),
        ("half an emoji as a key", format!("{{{fake}{sender},\"\\ud83d\":1}}")),
        ("half an emoji as a value", format!("{{{fake}{sender},\"x\":\"\\ud83d\"}}")),
        ("depth", format!("{{{fake}{sender},\"x\":{deep}}}")),
        ("length", format!("{{{fake}{sender},\"x\":\"{}\"}}", "x".repeat(700_000))),
        ("a large number", format!("{{{fake}{sender},\"x\":1e999}}")),
        ("escapes", format!("{{{fake}{sender}}}").replace("m.room.name", "m.room.n\\u0061me")),
        ("a time that is none", format!("{{{fake}{sender}}}").replace(":1", ":-1.5")),
    ]
    .into_iter()
    .map(|(what, event)| (what, event.into_bytes()))
    .collect();
    let mut broken = format!("{{{fake}{sender},\"x\":\"?\"}}").into_bytes();
    *broken.iter_mut().rfind(|byte| **byte == b'?').unwrap() = 0xff;
    lies.push(("no UTF-8", broken));
    let answer = |list: &str, event: &[u8], mark: &[u8]| {
        let empty = json!({"next_batch": "s3", "rooms": {"join": {ROOM: {
            "state": {"events": []}, "timeline": {"events": []}}}}})
        .to_string();
        let list = format!("\"{list}\":{{\"events\":[");
        let (before, after) = empty.split_once(&list).unwrap();
        [mark, before.as_bytes(), list.as_bytes(), event, after.as_bytes()].concat()
    };
    lies.push(("a byte order mark", format!("{{{fake}{sender}}}").into_bytes()));
    for (what, event) in lies {
        for list in ["state", "timeline"] {
            let mark: &[u8] = if what == "a byte order mark" { b"\xef\xbb\xbf" } else { b"" };
            let body = answer(list, &event, mark);
            let needs =
                bob.engine.inspect(Request { method: "GET", url: &format!("{HS}/sync") }, body);
            let shown = needs.map(|needs| match bob.engine.open(needs.answer, 9).unwrap() {
                OpenStep::Done(Some(body)) => body.to_bytes(),
                _ => panic!("{what}: not edited"),
            });
            let shown = shown.unwrap_or_else(|| panic!("{what} in {list}: passed"));
            let shown: Value = serde_json::from_slice(&shown).unwrap();
            assert!(!shown.to_string().contains("Fake"), "{what} in {list}: {shown}");
        }
    }
}

#[test]
fn a_stranger_with_many_words_does_not_keep_the_inviters_out() {
    let mut bob = Client::new(BOB);
    let preview = |room: &str| {
        json!({"room_id": room, "state": [
        {"type": "m.room.name", "state_key": "", "content": {"name": "Secret"}}]})
        .to_string()
    };
    let mut taken = 0;
    for number in 0..300 {
        let room = format!("!{number}:x");
        taken += usize::from(
            bob.engine.add_invite_preview(UserId("@mallory:x"), &preview(&room)).is_ok(),
        );
    }
    assert!(taken < 100, "{taken}");
    bob.engine.add_invite_preview(UserId(ALICE), &preview(ROOM)).unwrap();
}

#[test]
fn nobody_elses_word_takes_the_place_of_the_inviters() {
    let word = |name: &str| {
        json!({"room_id": ROOM, "state": [
            {"type": "m.room.name", "state_key": "", "content": {"name": name}}]})
        .to_string()
    };
    let invite = json!({"rooms": {"invite": {ROOM: {"invite_state": {"events": [
        {"type": "m.room.create", "state_key": "", "sender": ALICE, "content": {}},
        {"type": "m.room.member", "state_key": BOB, "sender": ALICE,
            "content": {"membership": "invite"}},
    ]}}}}});
    let (inviters, anothers) = ((ALICE, "Secret"), ("@mallory:x", "Fake"));
    for words in [[inviters, anothers], [anothers, inviters]] {
        let mut bob = Client::new(BOB);
        for (sender, name) in words {
            bob.engine.add_invite_preview(UserId(sender), &word(name)).unwrap();
        }
        // For an invite the client holds already, whose inviter it compares.
        let retried: Vec<Value> = bob
            .engine
            .retried(100)
            .events
            .iter()
            .map(|event| serde_json::from_str(event.event.get()).unwrap())
            .collect();
        for (sender, name) in words {
            let told =
                |event: &Value| event["sender"] == sender && event["content"]["name"] == name;
            assert_eq!(retried.iter().filter(|event| told(event)).count(), 1, "{retried:?}");
        }
        for _ in 0..2 {
            let opened = bob.open("/sync", &invite).to_string();
            assert!(opened.contains("Secret") && !opened.contains("Fake"), "{opened}");
            bob.reload();
        }
    }
    // One person's later word replaces the one before, and they are bounded all the same.
    let mut bob = Client::new(BOB);
    for name in ["Old", "Secret"] {
        bob.engine.add_invite_preview(UserId(ALICE), &word(name)).unwrap();
    }
    let opened = bob.open("/sync", &invite).to_string();
    assert!(opened.contains("Secret") && !opened.contains("Old"), "{opened}");
    let taken = (0..300)
        .filter(|number| {
            bob.engine.add_invite_preview(UserId(&format!("@{number}:x")), &word("Fake")).is_ok()
        })
        .count();
    assert_eq!(taken, 199);
    bob.engine.add_invite_preview(UserId(ALICE), &word("Newer")).unwrap();
}

#[test]
fn a_room_that_was_not_made_leaves_nothing() {
    let mut alice = Client::new("@alice:example.org");
    let plan = alice.engine.plan_create(create_body().to_string().as_bytes(), NOW, None).unwrap();
    let CreatePlan::Create { pending_id, .. } = plan else { panic!("not taken out") };
    alice.engine.create_failed(&pending_id).unwrap();
    alice.reload();
    assert!(alice.engine.pending_writes().is_empty());
}

#[test]
fn public_and_readable_rooms_and_spaces_are_left_alone() {
    let mut alice = Client::new("@alice:example.org");
    let mut why = |change: &dyn Fn(&mut Value)| {
        let mut body = create_body();
        change(&mut body);
        match alice.engine.plan_create(body.to_string().as_bytes(), NOW, None).unwrap() {
            CreatePlan::Pass { why } => why,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(why(&|body| body["visibility"] = json!("public")), "public");
    assert_eq!(why(&|body| body["preset"] = json!("public_chat")), "public");
    assert_eq!(
        why(&|body| body["initial_state"]
            .as_array_mut()
            .unwrap()
            .push(json!({"type": "m.room.join_rules", "content": {"join_rule": "public"}}))),
        "public"
    );
    assert_eq!(
        why(&|body| drop(body["initial_state"].as_array_mut().unwrap().remove(0))),
        "unencrypted"
    );
    assert_eq!(why(&|body| body["creation_content"] = json!({"type": "m.space"})), "space");
}

#[test]
fn what_becomes_of_new_rooms_is_the_persons_choice() {
    let mut alice = Client::new(ALICE);
    let mut plan = |new_rooms, consent: Option<&str>, flagged: bool| {
        alice.engine.apply_settings(StateSettings { new_rooms, ..StateSettings::default() });
        let mut body = create_body();
        if flagged {
            body["initial_state"][0]["content"][FLAG] = json!(true);
        }
        alice.engine.plan_create(body.to_string().as_bytes(), NOW, consent).unwrap()
    };
    assert!(matches!(plan(NewRooms::On, None, false), CreatePlan::Create { .. }));
    assert_eq!(plan(NewRooms::Ask, None, false), CreatePlan::Ask);
    assert!(matches!(plan(NewRooms::Ask, Some("yes"), false), CreatePlan::Create { .. }));
    assert_eq!(plan(NewRooms::Ask, Some("no"), false), CreatePlan::Pass { why: "off" });
    assert_eq!(plan(NewRooms::Off, None, false), CreatePlan::Pass { why: "off" });
    // Element's own switch is the person's word too.
    assert!(matches!(plan(NewRooms::Off, None, true), CreatePlan::Create { .. }));
}

#[test]
fn a_widget_of_a_new_room_does_not_tell_its_name() {
    let mut alice = Client::new(ALICE);
    let mut body = create_body();
    body["initial_state"].as_array_mut().unwrap().push(json!({"type": "im.vector.modular.widgets",
        "state_key": "jitsi", "content": {"data": {"roomName": "Secret", "domain": "x"}}}));
    let plan = alice.engine.plan_create(body.to_string().as_bytes(), NOW, None).unwrap();
    let CreatePlan::Create { body, held, .. } = plan else { panic!("not taken out") };
    assert_eq!(held, 2);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["initial_state"][2]["content"], json!({"data": {"domain": "x"}}));
}

#[test]
fn what_somebody_has_set_in_a_new_room_is_not_overwritten() {
    let (mut alice, _, event) = alice_and_bob();
    let plan = alice.engine.plan_create(create_body().to_string().as_bytes(), NOW, None).unwrap();
    let CreatePlan::Create { pending_id, .. } = plan else { panic!("not taken out") };
    alice.engine.created(&pending_id, RoomId(ROOM)).unwrap();
    let types = |one: &mut Client| -> Vec<String> {
        one.persist();
        let stored = Value::Object(one.store.clone()).to_string();
        one.engine.become_writer(&stored).unwrap();
        let left = one.engine.pending_writes().into_iter();
        left.flat_map(|pending| pending.events).map(|event| event.event_type).collect()
    };
    assert_eq!(types(&mut alice), ["m.room.name", "m.room.topic"]);
    let mut state = room_state();
    state.push(event);
    alice.open("/sync", &sync(state, vec![]));
    assert_eq!(types(&mut alice), ["m.room.topic"]);
    alice.reload();
    assert_eq!(types(&mut alice), ["m.room.topic"]);
}

#[test]
fn an_upgraded_room_gets_its_name_again() {
    let (mut alice, _, event) = alice_and_bob();
    let mut state = room_state();
    state.push(event);
    alice.open("/sync", &sync(state, vec![]));
    alice
        .engine
        .upgraded(Upgrade { old: RoomId(ROOM), new: RoomId("!new:example.org") }, NOW)
        .unwrap();
    let pending = alice.engine.pending_writes();
    assert_eq!(pending[0].room_id.as_deref(), Some("!new:example.org"));
    assert_eq!(pending[0].events[0].content_json, name().to_string());
    assert!(alice.engine.encrypts_state("!new:example.org"));
}

#[test]
fn a_room_that_is_upgraded_before_its_name_was_sent_gives_it_on() {
    let (mut alice, _, event) = alice_and_bob();
    let mut state = room_state();
    state.push(event.clone());
    alice.open("/sync", &sync(state, vec![]));
    let rooms = [ROOM, "!second:example.org", "!third:example.org"];
    for pair in rooms.windows(2) {
        let upgrade = Upgrade { old: RoomId(pair[0]), new: RoomId(pair[1]) };
        alice.engine.upgraded(upgrade, NOW).unwrap();
        alice.reload();
    }
    let named = |alice: &mut Client, room: &str| {
        let all = alice.engine.pending_writes();
        let waits = all.iter().find(|pending| pending.room_id.as_deref() == Some(room));
        waits.map(|pending| pending.events[0].content_json.clone())
    };
    assert_eq!(named(&mut alice, rooms[2]), Some(name().to_string()));
    assert!(alice.engine.encrypts_state(rooms[2]));
    // It stays the copy of an event that may be redacted.
    let id = event["event_id"].as_str().unwrap();
    alice.engine.redact(EventId { room_id: ROOM, id });
    assert_eq!((named(&mut alice, rooms[1]), named(&mut alice, rooms[2])), (None, None));
}

#[test]
fn a_room_is_converted_step_by_step() {
    let mut alice = Client::new("@alice:example.org");
    let mut state = room_state();
    state[2]["content"].as_object_mut().unwrap().remove(FLAG);
    let mut convert = |state: &[Value]| {
        alice.engine.convert_room(RoomId(ROOM), &json!(state).to_string()).unwrap()
    };
    state.push(json!({"type": "m.room.name", "state_key": "", "sender": "@alice:example.org",
        "event_id": "$name", "content": {"name": "Readable"}}));
    let Conversion::Convert { flag, encrypt, blank, redact, types, done } = convert(&state) else {
        panic!("refused")
    };
    let flag = flag.unwrap();
    assert_eq!(
        flag.path,
        "/_matrix/client/v3/rooms/%21room%3Aexample.org/state/m.room.encryption/"
    );
    assert_eq!(
        serde_json::from_str::<Value>(&flag.body).unwrap(),
        json!({"algorithm": "m.megolm.v1.aes-sha2", FLAG: true})
    );
    assert_eq!(encrypt[0].content_json, r#"{"name":"Readable"}"#);
    assert_eq!(blank[0].body, r#"{"name":""}"#);
    assert_eq!(redact, ["$name"]);
    assert_eq!(types, ["m.room.name", "m.room.topic"]);
    assert!(!done);
    let refused = |state: &[Value], alice: &mut StateEngine| {
        matches!(
            alice.convert_room(RoomId(ROOM), &json!(state).to_string()).unwrap(),
            Conversion::Refuse { .. }
        )
    };
    let mut public = state.clone();
    public.push(json!({"type": "m.room.join_rules", "state_key": "", "sender": "@a:x",
        "content": {"join_rule": "public"}}));
    let mut weak = state.clone();
    weak[1]["content"] = json!({"users": {"@alice:example.org": 0}});
    let mut readable = state.clone();
    readable.remove(2);
    for state in [public, weak, readable] {
        assert!(refused(&state, &mut alice.engine));
    }
}

#[test]
fn what_is_encrypted_is_not_converted_again_and_a_leftover_is_emptied() {
    let mut alice = alice_who_named(&Client::new(BOB));
    let clear = |id: &str, name: &str| {
        json!({"type": "m.room.name", "state_key": "", "sender": ALICE, "event_id": id,
            "content": {"name": name}})
    };
    let mut plan = |events: &[Value]| {
        let state = json!([room_state(), events.to_vec()].concat());
        match alice.engine.convert_room(RoomId(ROOM), &state.to_string()).unwrap() {
            Conversion::Convert { flag, encrypt, blank, redact, done, .. } => {
                assert_eq!(flag, None);
                let contents = encrypt.into_iter().map(|event| event.content_json).collect();
                (contents, blank.len(), redact, done)
            }
            Conversion::Refuse { sentence } => panic!("{sentence}"),
        }
    };
    // As the client holds the encrypted event.
    let shown = clear("$1", "Secret");
    assert_eq!(plan(std::slice::from_ref(&shown)), (Vec::<String>::new(), 0, vec![], true));
    let left = clear("$left", "Readable");
    let expected = (vec![name().to_string()], 1, vec!["$left".to_owned()], false);
    assert_eq!(plan(&[shown, left]), expected);
}

#[test]
fn what_the_homeserver_holds_by_now_counts_before_what_the_client_still_holds() {
    let mut alice = Client::new(ALICE);
    let held = |id: &str, name: &str| {
        json!({"type": "m.room.name", "state_key": "", "sender": ALICE, "event_id": id,
            "content": {"name": name}})
    };
    let mut steps = |events: &[Value]| {
        let state = json!([room_state(), events.to_vec()].concat());
        match alice.engine.convert_room(RoomId(ROOM), &state.to_string()).unwrap() {
            Conversion::Convert { encrypt, blank, done, .. } => (encrypt.len(), blank.len(), done),
            Conversion::Refuse { sentence } => panic!("{sentence}"),
        }
    };
    let old = held("$old", "Readable");
    assert_eq!(steps(std::slice::from_ref(&old)), (1, 1, false));
    // Emptied already, which the client has not been told of.
    assert_eq!(steps(&[old.clone(), held("$new", "")]), (0, 0, true));
    // Changed by somebody meanwhile: once, with what is there now.
    assert_eq!(steps(&[old.clone(), held("$new", "Another")]), (1, 1, false));
    // The same event, asked for.
    assert_eq!(steps(&[old.clone(), old]), (1, 1, false));
}

#[test]
fn the_inviters_word_names_the_invite() {
    let (alice, _, event) = alice_and_bob();
    let mut alice = alice;
    let mut state = room_state();
    state.push(event);
    alice.open("/sync", &sync(state, vec![]));
    let preview = alice.engine.invite_preview(ROOM).unwrap();
    assert_eq!(preview.r#type, "org.mantle.room_state");
    for (sender, told) in [("@alice:example.org", true), ("@mallory:example.org", false)] {
        let mut carol = Client::new("@carol:example.org");
        carol.engine.add_invite_preview(UserId(sender), preview.content.get()).unwrap();
        // For an invite the client holds already, whose inviter it compares.
        let retried = carol.engine.retried(100).events;
        let event: Value = serde_json::from_str(retried[0].event.get()).unwrap();
        assert_eq!((&event["room_id"], &event["sender"]), (&json!(ROOM), &json!(sender)));
        carol.reload();
        let invite = json!({"rooms": {"invite": {ROOM: {"invite_state": {"events": [
            {"type": "m.room.create", "state_key": "", "sender": "@alice:example.org", "content": {}},
            {"type": "m.room.member", "state_key": "@carol:example.org",
                "sender": "@alice:example.org", "content": {"membership": "invite"}},
        ]}}}}});
        let opened = carol.open("/sync", &invite);
        let events = &opened["rooms"]["invite"][ROOM]["invite_state"]["events"];
        let named = events.as_array().unwrap().iter().any(|event| event["content"] == name());
        assert_eq!(named, told, "{sender}: {opened}");
    }
}

#[test]
fn summaries_and_single_reads_are_filled_in() {
    let (_, mut bob, event) = alice_and_bob();
    bob.open("/sync", &sync(vec![event], vec![]));
    let hierarchy = json!({"rooms": [{"room_id": "!x:y", "name": "X"}, {"room_id": ROOM, "num_joined_members": 2}]});
    let needs = bob
        .engine
        .inspect(
            Request {
                method: "GET",
                url: "https://hs.example.org/_matrix/client/v1/rooms/!space:x/hierarchy",
            },
            hierarchy.to_string().into_bytes(),
        )
        .unwrap();
    let filled = bob.finish(&needs).unwrap();
    assert_eq!(filled["rooms"][1]["name"], "Secret");
    assert_eq!(filled["rooms"][0], hierarchy["rooms"][0]);
    let Before::Reply { body } = bob
        .engine
        .before(Request { method: "GET", url: &format!("{HS}/rooms/{ROOM}/state/m.room.name/") })
    else {
        panic!("asked the server")
    };
    assert_eq!(body, r#"{"name":"Secret"}"#);
    assert!(matches!(
        bob.engine.before(Request {
            method: "GET",
            url: &format!("{HS}/rooms/{ROOM}/state/m.room.topic")
        }),
        Before::Send { .. }
    ));
}

#[test]
fn changes_of_members_and_devices_ask_to_be_tended() {
    let (mut alice, bob, _) = alice_and_bob();
    alice.engine.note_flag(ROOM);
    assert!(alice.engine.sharing_due().is_empty());
    let join = json!({"type": "m.room.member", "state_key": "@carol:example.org", "sender": "@carol:example.org",
        "event_id": "$j", "content": {"membership": "join"}});
    alice.open("/sync?since=a", &sync(vec![], vec![join]));
    let due = alice.engine.sharing_due();
    assert_eq!((due.len(), due[0].why), (1, "membership"));
    assert!(alice.engine.sharing_due().is_empty());
    let answer = json!({"next_batch": "b", "device_lists": {"changed": [bob.user], "left": []}});
    alice.open("/sync?since=a", &answer);
    let due = alice.engine.sharing_due();
    assert_eq!((due.len(), due[0].why), (1, "devices"));
    let answer = json!({"next_batch": "b", "device_lists": {"changed": ["@x:y"]}});
    alice.open("/sync?since=a", &answer);
    assert!(alice.engine.sharing_due().is_empty());
    // What Element's crypto has asked for meanwhile counts as well: it comes after that answer.
    alice.engine.devices_changed(&json!(["@x:y"]).to_string()).unwrap();
    assert!(alice.engine.sharing_due().is_empty());
    alice.engine.devices_changed(&json!([7, "@x:y", bob.user]).to_string()).unwrap();
    let due = alice.engine.sharing_due();
    assert_eq!((due.len(), due[0].why), (1, "devices"));
    assert!(alice.engine.devices_changed("[").is_err());
}

#[test]
fn a_logout_empties_the_store_and_another_login_starts_anew() {
    let mut alice = Client::new("@alice:example.org");
    alice.send(&[], "m.room.name", &name());
    alice.engine.note_flag(ROOM);
    alice.persist();
    assert!(alice.store.keys().any(|key| key.starts_with("outbound/")));
    let mut other = alice.store.clone();
    alice.engine.forget_all();
    alice.persist();
    assert!(alice.store.is_empty(), "{:?}", alice.store.keys());
    let mut bob = Client::new("@bob:example.org");
    bob.store = std::mem::take(&mut other);
    bob.engine = StateEngine::new(&[7; 32], &Value::Object(bob.store.clone()).to_string()).unwrap();
    bob.log_in();
    bob.persist();
    assert_eq!(bob.store.keys().collect::<Vec<_>>(), ["device"]);
}

#[test]
fn entries_of_another_key_are_taken_out_quietly() {
    let mut alice = Client::new("@alice:example.org");
    alice.send(&[], "m.room.name", &name());
    alice.engine.plan_create(create_body().to_string().as_bytes(), NOW, None).unwrap();
    alice.persist();
    let stored = Value::Object(alice.store.clone()).to_string();
    let mut engine = StateEngine::new(&[8; 32], &stored).unwrap();
    assert!(engine.outbound_rooms().is_empty());
    assert!(engine.pending_writes().is_empty());
    assert!(engine.problems().is_empty());
    let gone = engine.take_persist().unwrap();
    assert!(
        gone.entries
            .iter()
            .any(|entry| entry.key.starts_with("outbound/") && entry.value.is_none())
    );
    assert!(StateEngine::new(&[8; 31], "{}").is_err());
    assert!(StateEngine::new(&[8; 32], "nonsense").is_ok());
}

/// Whether a large answer would be taken in whole.
fn concerns(engine: &mut StateEngine, path: &str, answer: &str) -> bool {
    let bytes = answer.as_bytes();
    let mut read = |at: usize, into: &mut [u8]| into.copy_from_slice(&bytes[at..at + into.len()]);
    let mut taken = false;
    let whole = || {
        taken = true;
        Vec::new()
    };
    engine.inspect_there(
        Request { method: "GET", url: &format!("{HS}{path}") },
        bytes.len(),
        &mut read,
        whole,
    );
    taken
}

#[test]
fn a_large_answer_is_taken_in_only_for_what_concerns() {
    let (_, mut bob, encrypted) = alice_and_bob();
    assert!(bob.inspect("/sync", &sync(room_state(), vec![encrypted.clone()])).is_some());
    let filler = |bytes: usize| {
        let message = r#"{"type":"m.room.encrypted","content":{"body":"\"{[\\\\"},"sender":"@a:b"},
            {"type":"m.room.member","state_key":"@a:b","content":{}},
            {"type":"m.room.topic","state_key":"","content":{"topic":"_k \u00e9"}},
            {"type":"m.space.child","state_key":"!other:example.org","content":{}},"#;
        message.repeat(bytes / message.len())
    };
    let with = |before: usize, room_id: &str, event: &str| {
        let (before, after) = (filler(before), filler(400_000));
        format!(
            r#"{{"rooms":{{"join":{{"{room_id}":{{"state":{{"events":[{before}{event},{after}{{}}]}}}}}}}}}}"#
        )
    };
    let other = "!other:example.org";
    let clear = r#"{"type":"m.room.name","state_key":"","content":{}}"#;
    let flag = room_state()[2].to_string();
    let encrypted = encrypted.to_string();
    let mut fresh = Client::new("@carol:example.org").engine;
    for engine in [&mut fresh, &mut bob.engine] {
        let plain = with(0, other, clear);
        assert!(!concerns(engine, "/sync", &plain), "nothing to see");
        assert!(!concerns(engine, "/account/whoami", &with(0, other, &encrypted)), "no events");
        for before in (0..300_000).step_by(7_919).chain((523_000..525_000).step_by(100)) {
            assert!(concerns(engine, "/sync", &with(before, other, &encrypted)), "{before}");
        }
        assert!(concerns(engine, "/sync", &with(200_000, other, &flag)), "the flag");
        let long = encrypted
            .replace("\"content\"", &format!("\"x\":\"{}\",\"content\"", "y".repeat(60_000)));
        assert!(concerns(engine, "/sync", &with(90_000, other, &long)), "a long one");
        assert!(concerns(engine, "/sync", &with(0, "\\u0021room:example.org", clear)), "escaped");
        assert!(concerns(engine, "/sync", &with(0, "!room\\u003aexample.org", clear)), "escaped");
    }
    assert!(!concerns(&mut fresh, "/sync", &with(0, ROOM, clear)), "not known there");
    assert!(concerns(&mut bob.engine, "/sync", &with(0, ROOM, clear)), "a known room");
    let state = format!("/rooms/{ROOM}/state");
    assert!(concerns(&mut bob.engine, &state, &with(0, other, clear)), "a known room's answer");
    assert!(concerns(&mut fresh, "/sync", clear), "small ones always");
}

/// Carol, who has everything to read what Alice sent.
fn reader(alice: &Client, keys: &str) -> Client {
    let mut reader = Client::new("@carol:example.org");
    reader.knows(&[alice]);
    reader.engine.add_room_keys(keys).unwrap();
    reader.engine.add_room_state(RoomId(ROOM), &json!(room_state()).to_string()).unwrap();
    reader
}

/// What the page gets of an answer that stays where it is; whether that was edited in place.
fn opened_there(client: &mut Client, path: &str, answer: &str) -> (Vec<u8>, bool) {
    let bytes = answer.as_bytes();
    let mut most = 0;
    let mut read = |at: usize, into: &mut [u8]| {
        most = most.max(into.len());
        into.copy_from_slice(&bytes[at..at + into.len()]);
    };
    let whole = || panic!("taken in whole");
    let url = format!("{HS}{path}");
    let needs = client.engine.inspect_there(
        Request { method: "GET", url: &url },
        bytes.len(),
        &mut read,
        whole,
    );
    assert!(most < 1_000_000, "{most} bytes at once");
    let Some(needs) = needs else { return (bytes.to_vec(), true) };
    loop {
        match client.engine.open(needs.answer, 100).unwrap() {
            OpenStep::More | OpenStep::Needs(_) => {}
            OpenStep::Split(_) => panic!("split"),
            OpenStep::Done(None) => return (bytes.to_vec(), true),
            OpenStep::Done(Some(edited)) => {
                if let Some(patches) = edited.in_place(bytes.len()) {
                    let mut out = bytes.to_vec();
                    for (at, patch) in patches {
                        out[at..at + patch.len()].copy_from_slice(&patch);
                    }
                    return (out, true);
                }
                let parts = edited.parts().unwrap();
                let out = parts.iter().flat_map(|part| match part {
                    Part::Bytes(part) => part,
                    Part::Kept(range) => &bytes[range.clone()],
                });
                return (out.copied().collect(), false);
            }
        }
    }
}

#[test]
fn a_large_first_sync_is_opened_where_it_is() {
    let mut alice = Client::new("@alice:example.org");
    let mut named = |id: &str, name: &str| {
        let (mut event, keys) = alice.send(&[], "m.room.name", &json!({"name": name}));
        event["event_id"] = json!(id);
        (event, keys)
    };
    let (first, keys) = named("$1", "First");
    let (second, _) = named("$2", "Second");
    let long = json!({"topic": "t".repeat(9_000)});
    let (mut topic, _) = alice.send(&[], "m.room.topic", &long);
    topic["event_id"] = json!("$3");
    topic["unsigned"] = json!({"prev_content": first["content"], "prev_sender": ALICE,
        "replaces_state": "$0"});
    let mut damaged = second.clone();
    damaged["content"]["ciphertext"] = json!("AwgA");
    damaged["event_id"] = json!("$4");
    let mut elsewhere = second.clone();
    elsewhere["state_key"] = json!("m.room.topic:");
    elsewhere["event_id"] = json!("$5");
    let clear = json!({"type": "m.room.name", "state_key": "", "sender": "@mallory:example.org",
        "event_id": "$6", "origin_server_ts": NOW + 1, "content": {"name": "Clear"}});
    let unflagged = json!({"type": "m.room.encryption", "state_key": "", "event_id": "$7",
        "sender": ALICE, "content": {"algorithm": "m.megolm.v1.aes-sha2"}});
    let member = |at: usize| {
        format!(
            r#"{{"type":"m.room.member","state_key":"@u{at}:b","content":{{"n":"\"{{[\\","membership":"join"}},"sender":"@u{at}:b"}}"#
        )
    };
    let filler: Vec<String> = (0..45_000).map(member).collect();
    assert!(filler.iter().map(String::len).sum::<usize>() > 4_300_000);
    let cases = [
        vec![&first, &topic],
        vec![&first, &second, &clear],
        vec![&damaged, &elsewhere, &topic],
        vec![&second, &unflagged],
        vec![&clear, &unflagged],
    ];
    let mut in_place = 0;
    for (case, events) in cases.iter().enumerate() {
        for (round, spread) in [1, 9_001].into_iter().enumerate() {
            // Side by side, and spread over parts; then the last one ends its list.
            let mut state = filler.clone();
            for (at, event) in events.iter().enumerate() {
                let is_last = round == 1 && at + 1 == events.len();
                let at = if is_last { state.len() } else { 3_000 * case + at * spread };
                state.insert(at, event.to_string());
            }
            let create = room_state().iter().map(Value::to_string).collect::<Vec<_>>().join(" ,\n");
            let answer = format!(
                r#"{{"next_batch":"s2","rooms":{{"join":{{"!plain:x":{{"state":{{"events":[{0}]}}}},"{ROOM}":{{"state":{{"events":[{create},{1}]}},"timeline":{{"events":[]}}}}}},"invite":{{}}}}}}"#,
                filler[..case * 100].join(","),
                state.join(",")
            );
            let (mut one, mut other) = (reader(&alice, &keys), reader(&alice, &keys));
            if round > 0 {
                // What is older or gone then.
                let known = sync(room_state(), vec![second.clone(), topic.clone()]);
                assert_eq!(one.open("/sync?since=a", &known), other.open("/sync?since=a", &known));
            }
            let whole = {
                let url = format!("{HS}/sync");
                let needs = one
                    .engine
                    .inspect(Request { method: "GET", url: &url }, answer.clone().into_bytes());
                needs.and_then(|needs| one.finish(&needs))
            };
            let (there, edited_in_place) = opened_there(&mut other, "/sync?filter=0", &answer);
            let there: Value = serde_json::from_slice(&there).unwrap();
            assert!(there == whole.expect("something to do"), "case {case}, round {round}");
            assert_eq!(one.codes(), other.codes(), "case {case}, round {round}");
            in_place += usize::from(edited_in_place);
        }
    }
    assert!((1..10).contains(&in_place), "{in_place}: both ways");
}

/// Alice, as she encrypts the name anew after Dave left; the event she sends, which nobody has yet.
fn name_sent_anew() -> (Client, Client, Value) {
    let (mut alice, mut bob) = room_with_dave(BOB);
    alice.knows(&[&bob]);
    let answer = sync(vec![], vec![left(DAVE)]);
    bob.open("/sync?since=b", &answer);
    alice.open("/sync?since=b", &answer);
    alice.engine.sharing_due();
    alice.session(&[&bob]);
    let all = json!({"members": [ALICE, BOB], "now": NOW}).to_string();
    let again = alice.engine.reencrypt(RoomId(ROOM), &all).unwrap();
    assert_eq!((again.events.len(), again.events[0].event_id.as_str()), (1, "$1"));
    let event = alice.sends_again(&bob, &again.events[0].content_json, "$1");
    (alice, bob, event)
}

impl Client {
    fn sends_again(&mut self, other: &Client, content: &str, base: &str) -> Value {
        let session = self.session(&[other]);
        self.persist();
        let shared = serde_json::to_string(&session.share_with).unwrap();
        self.engine.imported(SessionId { room_id: ROOM, id: &session.session_id }).unwrap();
        self.engine.shared(SessionId { room_id: ROOM, id: &session.session_id }, &shared).unwrap();
        let ticket = self
            .engine
            .encrypt_again(
                EventId { room_id: ROOM, id: base },
                TypeAndKey::single("m.room.name"),
                content,
            )
            .unwrap();
        self.persist();
        let out = self.engine.take_encrypted(ticket).unwrap();
        let content: Value = serde_json::from_str(&out.body).unwrap();
        json!({"type": "m.room.encrypted", "state_key": "m.room.name:", "sender": self.user,
            "origin_server_ts": NOW + 9, "event_id": "$again", "content": content})
    }

    /// What is to be set again at once: content and the event in whose place.
    fn sets_again(&mut self) -> Vec<(String, String)> {
        let json = json!({"members": [ALICE, BOB], "now": NOW + 20}).to_string();
        let again = self.engine.reencrypt(RoomId(ROOM), &json).unwrap();
        again.events.into_iter().map(|event| (event.content_json, event.event_id)).collect()
    }
}

/// A name Bob sets meanwhile, and its key.
fn renamed(bob: &mut Client, alice: &Client, at: u64, name: &str) -> (Value, String) {
    let (mut event, keys) = bob.send(&[alice], "m.room.name", &json!({"name": name}));
    event["event_id"] = json!(format!("${name}"));
    event["origin_server_ts"] = json!(at);
    (event, keys)
}

#[test]
fn a_name_set_while_the_old_one_was_sent_anew_is_set_again() {
    for apart in [false, true] {
        let (mut alice, mut bob, sent) = name_sent_anew();
        let (event, keys) = renamed(&mut bob, &alice, NOW + 5, "Renamed");
        alice.engine.add_room_keys(&keys).unwrap();
        if apart {
            alice.open("/sync?since=c", &sync(vec![], vec![event]));
            assert_eq!(alice.sets_again(), [], "nothing is undone yet");
            alice.engine.sharing_due();
            alice.open("/sync?since=d", &sync(vec![], vec![sent]));
        } else {
            alice.open("/sync?since=c", &sync(vec![], vec![event, sent]));
        }
        assert!(alice.engine.sharing_due().iter().any(|due| due.why == "stale"));
        let bobs = (r#"{"name":"Renamed"}"#.to_owned(), "$again".to_owned());
        assert_eq!(alice.sets_again(), std::slice::from_ref(&bobs));
        // Once it has come, that is all.
        let mut second = alice.sends_again(&bob, &bobs.0, "$again");
        assert_eq!(alice.sets_again(), []);
        second["event_id"] = json!("$second");
        let answer = alice.open("/sync?since=e", &sync(vec![], vec![second]));
        assert_eq!(joined(&answer, "timeline")[0]["content"], json!({"name": "Renamed"}));
        assert_eq!(alice.sets_again(), []);
    }
}

#[test]
fn a_name_undone_before_a_reload_is_set_again_after_it() {
    for when in ["before both", "between", "after both"] {
        let (mut alice, mut bob, sent) = name_sent_anew();
        let (event, keys) = renamed(&mut bob, &alice, NOW + 5, "Renamed");
        alice.engine.add_room_keys(&keys).unwrap();
        let reload = |alice: &mut Client| {
            alice.reload();
            let stored = Value::Object(alice.store.clone()).to_string();
            let ids = stored.matches("$Renamed").count();
            assert_eq!(stored.matches("Renamed").count(), ids, "sealed");
            alice.engine.add_room_state(RoomId(ROOM), &json!(shared_room()).to_string()).unwrap();
            alice.engine.add_room_keys(&keys).unwrap();
            alice.knows(&[&bob]);
            alice.engine.sharing_due()
        };
        if when == "before both" {
            reload(&mut alice);
        }
        alice.open("/sync?since=c", &sync(vec![], vec![event]));
        if when == "between" {
            reload(&mut alice);
        }
        assert_eq!(alice.sets_again(), [], "{when}: nothing is undone yet");
        alice.open("/sync?since=d", &sync(vec![], vec![sent]));
        let due =
            if when == "after both" { reload(&mut alice) } else { alice.engine.sharing_due() };
        assert!(due.iter().any(|due| due.why == "stale"), "{when}");
        let bobs = (r#"{"name":"Renamed"}"#.to_owned(), "$again".to_owned());
        assert_eq!(alice.sets_again(), std::slice::from_ref(&bobs), "{when}");
        let mut second = alice.sends_again(&bob, &bobs.0, "$again");
        second["event_id"] = json!("$second");
        alice.open("/sync?since=e", &sync(vec![], vec![second]));
        alice.reload();
        alice.engine.add_room_state(RoomId(ROOM), &json!(shared_room()).to_string()).unwrap();
        assert_eq!(alice.sets_again(), [], "{when}: once");
    }
}

#[test]
fn a_name_undone_by_what_was_sent_anew_is_found_in_its_previous_content_too() {
    let (mut alice, mut bob, mut sent) = name_sent_anew();
    let (event, keys) = renamed(&mut bob, &alice, NOW + 5, "Renamed");
    alice.engine.add_room_keys(&keys).unwrap();
    sent["unsigned"] = json!({"replaces_state": "$Renamed", "prev_sender": BOB,
        "prev_content": event["content"]});
    alice.open("/sync?since=c", &sync(vec![], vec![sent]));
    assert_eq!(alice.sets_again(), [(r#"{"name":"Renamed"}"#.to_owned(), "$again".to_owned())]);
}

#[test]
fn a_name_whose_key_comes_late_is_set_again_as_well() {
    let (mut alice, mut bob, sent) = name_sent_anew();
    let (event, keys) = renamed(&mut bob, &alice, NOW + 5, "Renamed");
    alice.open("/sync?since=c", &sync(vec![], vec![event, sent]));
    assert_eq!(alice.sets_again(), []);
    alice.engine.add_room_keys(&keys).unwrap();
    assert!(alice.engine.retried(100).events.is_empty(), "it is history");
    assert_eq!(alice.sets_again(), [(r#"{"name":"Renamed"}"#.to_owned(), "$again".to_owned())]);
}

#[test]
fn what_was_not_set_in_between_is_not_set_again() {
    // After it; with the same content; older than what was sent anew; that itself as the previous.
    let cases = [(NOW + 15, "Renamed"), (NOW + 5, ""), (NOW - 1, "Renamed"), (NOW, "previous")];
    for (at, name) in cases {
        let (mut alice, mut bob, mut sent) = name_sent_anew();
        let (mut event, keys) = renamed(&mut bob, &alice, at, name);
        if name.is_empty() {
            let keys = bob.send(&[&alice], "m.room.name", &self::name());
            event["content"] = keys.0["content"].clone();
            alice.engine.add_room_keys(&keys.1).unwrap();
        }
        alice.engine.add_room_keys(&keys).unwrap();
        let events = match (at > NOW + 9, name) {
            (_, "previous") => {
                sent["unsigned"] = json!({"replaces_state": "$1", "prev_sender": BOB,
                    "prev_content": event["content"]});
                vec![sent]
            }
            (true, _) => vec![sent, event],
            (false, _) => vec![event, sent],
        };
        alice.open("/sync?since=c", &sync(vec![], events));
        assert_eq!(alice.sets_again(), [], "{at} {name}");
    }
}

impl Client {
    /// Gives the key to those of the others who lack it; how many devices that were.
    fn shares_at(&mut self, others: &[&Client], given: u64) -> usize {
        let users: Vec<&str> = others.iter().map(|other| other.user.as_str()).collect();
        let targets: Vec<Value> = others.iter().map(|other| other.devices()).collect();
        let asked = json!({"roomId": ROOM, "members": users, "targets": targets, "now": given});
        let session = self.engine.need_session(&asked.to_string()).unwrap();
        assert!(session.rotated.is_none());
        let shared = serde_json::to_string(&session.share_with).unwrap();
        self.engine.imported(SessionId { room_id: ROOM, id: &session.session_id }).unwrap();
        self.engine.shared(SessionId { room_id: ROOM, id: &session.session_id }, &shared).unwrap();
        session.share_with.len()
    }
}

#[test]
fn who_joined_before_the_key_came_is_sent_the_state_once_more() {
    let (bob, dave) = (Client::new(BOB), Client::new(DAVE));
    let mut alice = alice_who_named(&bob);
    assert_eq!(again(&mut alice, &[ALICE, BOB], NOW + 1), (0, 0), "Bob had the key before");
    // Dave is given it while he is invited; whether he joins before he has it nobody knows.
    assert_eq!(alice.shares_at(&[&bob, &dave], NOW + 2), 1);
    assert_eq!(again(&mut alice, &[ALICE, BOB], NOW + 3), (0, 0), "he is not in the room");
    assert_eq!(again(&mut alice, &[ALICE, BOB, DAVE], NOW + 4), (9_996, 0), "not too often");
    assert_eq!(again(&mut alice, &[ALICE, BOB, DAVE], NOW + 10_000), (0, 1));
    let asked = json!({"roomId": ROOM, "members": [ALICE, BOB, DAVE],
        "targets": [bob.devices(), dave.devices()], "now": NOW + 10_000});
    alice.engine.need_session(&asked.to_string()).unwrap();
    alice
        .engine
        .encrypt_again(
            EventId { room_id: ROOM, id: "$1" },
            TypeAndKey::single("m.room.name"),
            &name().to_string(),
        )
        .unwrap();
    assert_eq!(
        again(&mut alice, &[ALICE, BOB, DAVE], NOW + 30_000),
        (40_000, 0),
        "once, until lost"
    );
}

#[test]
fn who_joins_long_after_the_key_came_needs_nothing_nor_does_a_further_device() {
    let (bob, dave) = (Client::new(BOB), Client::new(DAVE));
    let mut alice = alice_who_named(&bob);
    alice.shares_at(&[&bob, &dave], NOW + 20_000);
    assert_eq!(again(&mut alice, &[ALICE, BOB, DAVE], NOW + 51_000), (0, 0));
    let mut second = Client::new(BOB);
    second.device["deviceId"] = json!("SECOND");
    let users = json!({"roomId": ROOM, "members": [BOB, DAVE], "now": NOW + 60_000,
        "targets": [{"userId": BOB, "devices": [bob.device, second.device]}, dave.devices()]});
    let session = alice.engine.need_session(&users.to_string()).unwrap();
    assert_eq!(session.share_with.len(), 1);
    let shared = serde_json::to_string(&session.share_with).unwrap();
    alice.engine.shared(SessionId { room_id: ROOM, id: &session.session_id }, &shared).unwrap();
    assert_eq!(again(&mut alice, &[ALICE, BOB, DAVE], NOW + 60_001), (0, 0));
}

#[test]
fn requests_are_routed_to_their_plans() {
    use mantle_room_state::WriteRoute;
    let mut alice = Client::new(ALICE);
    let upgrade = format!("{HS}/rooms/%21room%3Aexample.org/upgrade?x=1");
    assert_eq!(
        alice.engine.route_write(Request { method: "POST", url: &upgrade }),
        WriteRoute::Body
    );
    alice.engine.note_flag(ROOM);
    let ours = WriteRoute::Upgrade { room_id: ROOM.to_owned() };
    assert_eq!(alice.engine.route_write(Request { method: "POST", url: &upgrade }), ours);
    let create = HS.replace("/v3", "/r0") + "/createRoom";
    assert_eq!(
        alice.engine.route_write(Request { method: "POST", url: &create }),
        WriteRoute::Create
    );
    let put = format!("{HS}/rooms/!room:example.org/state/m.room.name/");
    assert_eq!(alice.engine.route_write(Request { method: "PUT", url: &put }), WriteRoute::Put);
    let filter = format!("{HS}/user/@alice:example.org/filter");
    assert_eq!(
        alice.engine.route_write(Request { method: "POST", url: &filter }),
        WriteRoute::Body
    );
}
