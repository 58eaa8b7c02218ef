//! What was redacted is not shown, told, remembered or sent again.

use mantle_room_state::{Before, EventId, OpenStep, Request, RoomId, TypeAndKey, Upgrade};
use serde_json::{Value, json};

use crate::people::*;

const VERSIONS: [&str; 12] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];

/// The redaction of an event in the form of a room version.
fn redaction(version: &str, of: &Value) -> Value {
    let mut event = json!({"type": "m.room.redaction", "sender": CAROL, "event_id": "$redaction",
        "origin_server_ts": NOW + 10, "content": {"reason": "spam"}});
    if version.parse::<u32>().unwrap() >= 11 {
        event["content"]["redacts"] = of["event_id"].clone();
    } else {
        event["redacts"] = of["event_id"].clone();
    }
    event
}

/// What is left of an event.
fn emptied(version: &str, of: &Value) -> Value {
    let mut event = of.clone();
    event["content"] = json!({});
    event["unsigned"] = json!({"redacted_because": redaction(version, of)});
    event
}

/// Everything that could show, tell or send the name once more.
fn says(client: &mut Client) -> Vec<&'static str> {
    let mut said = Vec::new();
    for path in ["state/m.room.name", "state/m.room.name/", "state/m.room.name?format=event"] {
        if let Before::Reply { .. } = client
            .engine
            .before(Request { method: "GET", url: &format!("{HS}/rooms/{ROOM}/{path}") })
        {
            said.push("single read");
        }
    }
    if client.engine.invite_preview(ROOM).is_some() {
        said.push("invites");
    }
    let url = "https://hs.example.org/_matrix/client/v1/rooms/!space:x/hierarchy";
    let rooms = json!({"rooms": [{"room_id": ROOM}]}).to_string().into_bytes();
    if client.engine.inspect(Request { method: "GET", url }, rooms).is_some() {
        said.push("list of rooms");
    }
    let list = json!([{"type": "m.room.name", "state_key": "", "sender": ALICE, "event_id": "$x",
        "content": {"name": "Other"}}]);
    let shown = client.open("/sync?since=z", &sync(list.as_array().unwrap().clone(), vec![]));
    if shown.to_string().contains("Secret") {
        said.push("in place of a readable one");
    }
    client
        .engine
        .upgraded(Upgrade { old: RoomId(ROOM), new: RoomId("!new:example.org") }, NOW)
        .unwrap();
    if !client.engine.pending_writes().is_empty() {
        said.push("upgrade");
    }
    said
}

fn sent_again(client: &mut Client, members: &[&str], now: u64) -> usize {
    let json = json!({"members": members, "now": now}).to_string();
    client.engine.reencrypt(RoomId(ROOM), &json).unwrap().events.len()
}

fn leaves(client: &mut Client) -> usize {
    client.open("/sync?since=b", &sync(vec![], vec![member(BOB, "leave")]));
    client.session(ROOM, &[]);
    sent_again(client, &[ALICE, CAROL], NOW + 10)
        + sent_again(client, &[ALICE, CAROL], NOW + 999_999)
}

#[test]
fn a_redaction_in_the_timeline_ends_a_name_in_every_room_version() {
    for version in VERSIONS {
        let (mut alice, mut bob, event) = alice_and_bob(version);
        for client in [&mut alice, &mut bob] {
            client.open("/sync?since=b", &sync(vec![], vec![redaction(version, &event)]));
        }
        assert_eq!(leaves(&mut alice), 0, "sent again in version {version}");
        for client in [&mut alice, &mut bob] {
            assert_eq!(says(client), [] as [&str; 0], "version {version}");
        }
    }
}

#[test]
fn an_emptied_event_ends_a_name_in_every_list() {
    for version in ["6", "10", "11"] {
        for list in 0..3 {
            let (mut alice, mut bob, event) = alice_and_bob(version);
            let emptied = emptied(version, &event);
            for client in [&mut alice, &mut bob] {
                match list {
                    0 => client.open("/sync?since=b", &sync(vec![emptied.clone()], vec![])),
                    1 => client.open("/sync?since=b", &sync(vec![], vec![emptied.clone()])),
                    _ => client.open(&format!("/rooms/{ROOM}/state"), &json!([emptied.clone()])),
                };
            }
            assert_eq!(leaves(&mut alice), 0, "sent again, list {list}");
            for client in [&mut alice, &mut bob] {
                assert_eq!(says(client), [] as [&str; 0], "list {list}");
            }
        }
    }
}

#[test]
fn a_redaction_is_not_forgotten_by_a_reload() {
    let mut alice = Client::new(ALICE);
    let mut bob = Client::new(BOB);
    let (event, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
    let mut state = room_state();
    state.push(event.clone());
    for is_alice in [true, false] {
        let client = if is_alice { &mut alice } else { &mut bob };
        client.engine.add_room_keys(&keys).unwrap();
        client.open("/sync?since=a", &sync(state.clone(), vec![]));
        client.open("/sync?since=b", &sync(vec![], vec![redaction("10", &event)]));
        client.reload();
        client.engine.add_room_keys(&keys).unwrap();
        // A server, or a slow copy of the room, shows the event as it was.
        let shown = client.open("/sync?since=c", &sync(state.clone(), vec![]));
        assert!(!shown.to_string().contains("Secret"), "Alice: {is_alice}: {shown}");
    }
    assert_eq!(leaves(&mut alice), 0);
}

/// Bob, to whom an encrypted name has come and its key has not: the event, and the key.
fn bob_who_waits() -> (Client, Value, String) {
    let mut alice = Client::new(ALICE);
    let mut bob = Client::new(BOB);
    let (event, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
    bob.knows(&[&alice]);
    let mut state = room_state();
    state.push(event.clone());
    bob.open("/sync?since=a", &sync(state, vec![]));
    (bob, event, keys)
}

fn assert_never_opens(bob: &mut Client, keys: &str) {
    bob.engine.add_room_keys(keys).unwrap();
    let retried = bob.retried();
    assert!(retried.is_empty(), "{retried:?}");
    assert!(!bob.engine.has_undecryptable());
}

#[test]
fn a_redacted_event_that_waits_for_its_key_never_opens() {
    let (mut bob, event, keys) = bob_who_waits();
    bob.open("/sync?since=b", &sync(vec![], vec![redaction("10", &event)]));
    assert_never_opens(&mut bob, &keys);
}

#[test]
fn what_another_tab_saw_redacted_is_over_in_this_one() {
    for is_restarted in [false, true] {
        let (mut alice, mut bob, event) = alice_and_bob("10");
        for client in [&mut alice, &mut bob] {
            client.persist();
            let mut tab = client.tab();
            tab.open("/sync?since=b", &sync(vec![], vec![redaction("10", &event)]));
            tab.persist();
            client.store = tab.store;
            let stored = Value::Object(client.store.clone()).to_string();
            client.engine.become_writer(&stored).unwrap();
            // Nothing is written for that: else two tabs would write for one another without end.
            assert!(!client.engine.is_dirty());
            assert_eq!(says(client), [] as [&str; 0], "before its own sync");
            let emptied = client.retried();
            assert_eq!(emptied.len(), 1, "the running client may hold it: {emptied:?}");
            assert_eq!(
                (&emptied[0]["content"], &emptied[0]["type"]),
                (&json!({}), &json!("m.room.name"))
            );
            if is_restarted {
                *client = client.restarted();
            }
            client.open("/sync?since=b", &sync(vec![], vec![redaction("10", &event)]));
            assert_eq!(says(client), [] as [&str; 0], "restarted: {is_restarted}");
        }
        assert_eq!(leaves(&mut alice), 0, "restarted: {is_restarted}");
    }
}

#[test]
fn what_waits_for_its_key_never_opens_where_another_tab_saw_it_redacted() {
    let (mut bob, event, keys) = bob_who_waits();
    bob.persist();
    let mut tab = bob.tab();
    tab.open("/sync?since=b", &sync(vec![], vec![redaction("10", &event)]));
    tab.persist();
    bob.engine.become_writer(&Value::Object(tab.store).to_string()).unwrap();
    assert_never_opens(&mut bob, &keys);
}

#[test]
fn what_is_redacted_while_its_answer_waits_for_keys_does_not_open() {
    for list in 0..3 {
        let mut alice = Client::new(ALICE);
        let mut bob = Client::new(BOB);
        let (event, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
        bob.knows(&[&alice]);
        bob.open("/sync?since=a", &sync(room_state(), vec![]));
        let (path, answer) = match list {
            0 => ("/sync?since=b", sync(vec![event.clone()], vec![])),
            1 => ("/sync?since=b", sync(vec![], vec![event.clone()])),
            _ => ("/rooms/!room:example.org/messages", json!({"chunk": [event.clone()]})),
        };
        let needs = bob.inspect(path, &answer).unwrap();
        bob.engine.redact(EventId { room_id: ROOM, id: event["event_id"].as_str().unwrap() });
        bob.engine.add_room_keys(&keys).unwrap();
        let OpenStep::Done(Some(shown)) = bob.engine.open(needs.answer, 50).unwrap() else {
            panic!("list {list}")
        };
        let shown = String::from_utf8(shown.to_bytes()).unwrap();
        assert!(!shown.contains("Secret"), "list {list}: {shown}");
        assert_eq!(says(&mut bob), [] as [&str; 0], "list {list}");
        assert_eq!(bob.retried(), [] as [Value; 0]);
    }
}

#[test]
fn a_redacted_name_that_was_being_sent_anew_is_not_set_again() {
    let (mut alice, bob, event) = alice_and_bob("10");
    alice.session(ROOM, &[&bob]);
    let base = event["event_id"].as_str().unwrap();
    let text = named("Secret").to_string();
    let ticket = alice
        .engine
        .encrypt_again(
            EventId { room_id: ROOM, id: base },
            TypeAndKey::single("m.room.name"),
            &text,
        )
        .unwrap();
    alice.persist();
    let out = alice.engine.take_encrypted(ticket).unwrap();
    let content: Value = serde_json::from_str(&out.body).unwrap();
    let newer = json!({"type": "m.room.encrypted", "state_key": "m.room.name:", "sender": ALICE,
        "origin_server_ts": NOW + 5, "event_id": "$newer", "content": content});
    alice.open("/sync?since=b", &sync(vec![], vec![newer.clone()]));
    alice.open("/sync?since=c", &sync(vec![], vec![redaction("10", &newer)]));
    assert_eq!(leaves(&mut alice), 0);
    assert_eq!(says(&mut alice), [] as [&str; 0]);
}

#[test]
fn who_may_not_redact_ends_nothing() {
    // A server that lets it pass is the only one to say so: but a redaction of another room's event,
    // or of one that is not in the slot any more, leaves the current name.
    let (mut alice, _, event) = alice_and_bob("10");
    let elsewhere = sync_of("!other:example.org", vec![], vec![redaction("10", &event)]);
    alice.open("/sync?since=b", &elsewhere);
    let url = format!("{HS}/rooms/{ROOM}/state/m.room.name");
    assert!(matches!(
        alice.engine.before(Request { method: "GET", url: &url }),
        Before::Reply { .. }
    ));
}

/// An answer's events as Element has them in the end: the content of the room's name.
fn name_after(before: &str, shown: &Value) -> String {
    let room = &shown["rooms"]["join"][ROOM];
    let mut name = before.to_owned();
    for list in ["state", "timeline"] {
        for event in room[list]["events"].as_array().unwrap() {
            if event["type"] == "m.room.name" {
                name = event["content"]["name"].as_str().unwrap_or_default().to_owned();
            }
        }
    }
    name
}

#[test]
fn where_the_newest_name_was_redacted_no_older_one_is_shown() {
    for version in VERSIONS {
        for is_before_known in [false, true] {
            for places in ["timeline", "state", "alone"] {
                for is_reloaded in [false, true] {
                    let (mut alice, mut bob, _) = alice_and_bob(version);
                    let (second, _) = alice.send(ROOM, &[&bob], "m.room.name", &named("Second"));
                    let (mut third, _) = alice.send(ROOM, &[&bob], "m.room.name", &named("Third"));
                    third["origin_server_ts"] = json!(NOW + 5);
                    let gone = emptied(version, &third);
                    let mut before = "Secret".to_owned();
                    if is_before_known {
                        let shown = bob.open("/sync?since=b", &sync(vec![], vec![second.clone()]));
                        before = name_after(&before, &shown);
                        assert_eq!(before, "Second");
                    }
                    let redacted = redaction(version, &third);
                    let answer = match places {
                        "timeline" => sync(vec![], vec![second, gone, redacted]),
                        "state" => sync(vec![second], vec![gone, redacted]),
                        // What came between was left out.
                        _ => sync(vec![gone], vec![]),
                    };
                    let shown = bob.open("/sync?since=c", &answer);
                    assert_eq!(name_after(&before, &shown), "", "{version} {places}");
                    if is_reloaded {
                        bob.reload();
                    }
                    assert_eq!(says(&mut bob), Vec::<&str>::new(), "{version} {places}");
                    assert_eq!(sent_again(&mut bob, &[ALICE, BOB], NOW + 999_999), 0);
                }
            }
        }
    }
}

#[test]
fn a_redacted_name_of_before_takes_no_newer_one_away() {
    let (mut alice, mut bob, first) = alice_and_bob("10");
    let (mut second, _) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret too"));
    second["origin_server_ts"] = json!(NOW + 3_600_000);
    let gone = emptied("10", &first);
    for answer in [
        sync(vec![], vec![gone.clone(), second.clone()]),
        sync(vec![gone.clone()], vec![second]),
        // The homeserver goes back.
        sync(vec![gone], vec![]),
    ] {
        let shown = bob.open("/sync?since=c", &answer);
        assert_eq!(name_after("Secret too", &shown), "Secret too");
        assert!(bob.knows_name());
    }
}

#[test]
fn a_name_whose_key_comes_after_a_newer_one_was_redacted_stays_history() {
    let mut alice = Client::new(ALICE);
    let mut bob = Client::new(BOB);
    bob.knows(&[&alice]);
    let (first, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("First"));
    let (mut second, _) = alice.send(ROOM, &[&bob], "m.room.name", &named("Second"));
    second["origin_server_ts"] = json!(NOW + 5);
    bob.open("/sync?since=a", &sync(room_state(), vec![first]));
    bob.open("/sync?since=b", &sync(vec![], vec![emptied("10", &second)]));
    bob.engine.add_room_keys(&keys).unwrap();
    assert_eq!(bob.retried(), Vec::<Value>::new());
}

#[test]
fn an_event_that_lacks_its_content_takes_no_name_away() {
    for unsigned in [json!({}), json!({"redacted_because": null}), json!({"age": 1})] {
        let (_, mut bob, event) = alice_and_bob("10");
        let mut empty = event.clone();
        empty["event_id"] = json!("$empty");
        empty["origin_server_ts"] = json!(NOW + 5);
        empty["content"] = json!({});
        empty["unsigned"] = unsigned;
        for answer in [
            sync(vec![], vec![empty.clone()]),
            sync(vec![empty.clone()], vec![]),
            sync(vec![event.clone()], vec![empty.clone()]),
        ] {
            let shown = bob.open("/sync?since=c", &answer);
            assert_eq!(name_after("Secret", &shown), "Secret");
            assert!(bob.knows_name());
        }
    }
}

#[test]
fn a_redaction_counts_in_the_response_that_first_tells_of_the_room() {
    for version in VERSIONS {
        for (path, is_flagged, is_late) in [
            ("/sync", true, false),
            ("/sync?since=a", true, false),
            ("/sync?since=a", false, false),
            ("/sync?since=a", true, true),
        ] {
            let mut alice = Client::new(ALICE);
            let mut bob = Client::new(BOB);
            let (event, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
            bob.knows(&[&alice]);
            if !is_late {
                bob.engine.add_room_keys(&keys).unwrap();
            }
            let mut state = room_state_of(version);
            state.retain(|event| is_flagged || event["type"] != "m.room.encryption");
            // From a server that gives events out as they were sent.
            let timeline = vec![event.clone(), redaction(version, &event)];
            let shown = bob.open(path, &sync(state, timeline));
            let what = format!("version {version}, {path}, flag: {is_flagged}, late: {is_late}");
            assert!(!shown.to_string().contains("Secret"), "{what}: {shown}");
            bob.engine.add_room_keys(&keys).unwrap();
            assert_eq!(bob.retried(), [] as [Value; 0], "{what}");
            assert_eq!(says(&mut bob), [] as [&str; 0], "{what}");
        }
    }
}

#[test]
fn a_redaction_may_come_before_its_event() {
    for version in VERSIONS {
        let mut alice = Client::new(ALICE);
        let mut bob = Client::new(BOB);
        let (event, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
        bob.knows(&[&alice]);
        bob.engine.add_room_keys(&keys).unwrap();
        bob.open("/sync?since=a", &sync(room_state_of(version), vec![]));
        bob.open("/sync?since=b", &sync(vec![], vec![redaction(version, &event)]));
        bob.reload();
        bob.knows(&[&alice]);
        bob.engine.add_room_keys(&keys).unwrap();
        bob.engine
            .add_room_state(RoomId(ROOM), &json!(room_state_of(version)).to_string())
            .unwrap();
        let shown = bob.open("/sync?since=c", &sync(vec![], vec![event]));
        assert!(!shown.to_string().contains("Secret"), "version {version}: {shown}");
        assert_eq!(says(&mut bob), [] as [&str; 0], "version {version}");
    }
}
