//! Finding and splicing state events in answers, held against a plain parse of the same JSON.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    missing_docs,
    reason = "tests may panic"
)]

use mantle_room_state::{ENCRYPTED_TYPE, FoundState, Place, Splice, find_state, splice};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

fn encrypted(state_key: &str) -> Value {
    json!({
        "type": ENCRYPTED_TYPE,
        "state_key": state_key,
        "sender": "@alice:example.org",
        "event_id": "$1",
        "origin_server_ts": 1_700_000_000_000_u64,
        "content": {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "abc", "session_id": "s"},
        "unsigned": {"age": 1},
    })
}

fn message() -> Value {
    json!({
        "type": ENCRYPTED_TYPE,
        "sender": "@alice:example.org",
        "event_id": "$2",
        "content": {"body": "\"state_key\" \\\" {[", "ciphertext": "abc"},
    })
}

fn keys(answer: &str) -> Vec<String> {
    find_state(answer.as_bytes(), ENCRYPTED_TYPE).into_iter().map(|found| found.state_key).collect()
}

fn place_in(answer: &Value) -> Option<Place> {
    let text = answer.to_string();
    let found = find_state(text.as_bytes(), ENCRYPTED_TYPE);
    assert!(found.len() <= 1);
    found.into_iter().next().map(|found| found.place)
}

fn room(list: &str) -> Option<Place> {
    Some(Place::Room { room_id: "!r:x".to_owned(), list: list.to_owned() })
}

fn answer(list: &str) -> Option<Place> {
    Some(Place::Response { list: list.to_owned() })
}

#[test]
fn every_place_where_answers_have_events_is_known() {
    let event = encrypted("m.room.name:");
    for (membership, list) in [
        ("join", "state"),
        ("join", "timeline"),
        ("join", "state_after"),
        ("join", "org.matrix.msc4222.state_after"),
        ("leave", "timeline"),
        ("invite", "invite_state"),
        ("knock", "knock_state"),
    ] {
        let sync = json!({"next_batch": "s1",
            "rooms": {membership: {"!q:x": {}, "!r:x": {list: {"events": [message(), event]}}}}});
        assert_eq!(place_in(&sync), room(list), "{membership} {list}");
    }
    for list in ["required_state", "timeline", "invite_state", "stripped_state"] {
        let sliding = json!({"pos": "1", "rooms": {"!r:x": {"initial": true, list: [event]}}});
        assert_eq!(place_in(&sliding), room(list), "{list}");
    }
    for list in ["chunk", "state", "events_before", "events_after"] {
        assert_eq!(place_in(&json!({"start": "a", list: [event]})), answer(list), "{list}");
    }
    assert_eq!(place_in(&json!({"event": event})), answer("event"));
    assert_eq!(place_in(&json!({"messages": {"chunk": [event]}})), answer("chunk"));
    assert_eq!(place_in(&json!([message(), event])), answer(""));
    assert_eq!(place_in(&event), answer(""));
}

#[test]
fn what_only_looks_like_an_event_is_not_found() {
    let event = encrypted("m.room.name:");
    let state = |value: Value| json!({"rooms": {"join": {"!r:x": {"state": {"events": value}}}}});
    for (why, answer) in [
        (
            "inside a content",
            state(json!([{"type": "m.fake", "state_key": "", "sender": "@a:b",
            "content": {"rooms": {"join": {"!r:x": {"state": {"events": [event]}}}}}}])),
        ),
        ("inside unsigned", state(json!([{"type": "m.fake", "unsigned": {"chunk": [event]}}]))),
        ("beside an event's fields", state(json!([{"type": "m.fake", "event": event}]))),
        ("in a to-device event", json!({"to_device": {"events": [event]}})),
        (
            "in account data",
            json!({"rooms": {"join": {"!r:x": {"account_data": {"events": [event]}}}}}),
        ),
        ("not in a room", json!({"rooms": {"join": {"r": {"state": {"events": [event]}}}}})),
        ("in a list in a list", state(json!([[event]]))),
        ("the key is no string", state(json!([{"type": ENCRYPTED_TYPE, "state_key": 1}]))),
        (
            "the type is a value elsewhere",
            state(json!([{"type": "m.x", "state_key": "", "x": ENCRYPTED_TYPE}])),
        ),
        ("a filter", json!({"types": [ENCRYPTED_TYPE], "state_key": ""})),
        (
            "text",
            state(json!([{"type": "m.room.message", "state_key": "",
            "content": {"body": event.to_string()}}])),
        ),
    ] {
        assert_eq!(place_in(&answer), None, "{why}");
    }
}

#[test]
fn a_key_twice_is_left_alone() {
    for event in [
        r#"{"type":"m.room.encrypted","state_key":"a:","state_key":"b:","sender":"@a:x","content":{}}"#,
        r#"{"type":"m.room.encrypted","type":"m.room.encrypted","state_key":"a:","sender":"@a:x","content":{}}"#,
        r#"{"type":"m.room.encrypted","state_key":"a:","state\u005fkey":"b:","sender":"@a:x","content":{}}"#,
    ] {
        assert!(keys(&format!("{{\"chunk\":[{event}]}}")).is_empty(), "{event}");
    }
}

#[test]
fn an_event_with_another_ahead_in_its_content_is_found() {
    let mut event = encrypted("outer:");
    event["content"] = encrypted("inner:");
    assert_eq!(keys(&json!({"chunk": [event]}).to_string()), ["outer:"]);
}

#[test]
fn white_space_and_key_order_do_not_matter() {
    let text = "\u{20}{ \"chunk\" :\n[ { \"content\" : {\"ciphertext\":\"\\\"}{\\\\\"} ,\t\"sender\":\"@a:x\",\n\
        \"state_key\" : \"m.room.topic:\", \"type\"\r\n: \"m.room.encrypted\" } ] } ";
    assert_eq!(keys(text), ["m.room.topic:"]);
}

#[test]
fn malformed_answers_are_untouched() {
    let good = json!({"chunk": [encrypted("a:")]}).to_string();
    assert_eq!(keys(&good).len(), 1);
    for end in 0..good.len() - 3 {
        assert!(keys(&good[..end]).is_empty(), "{end}");
    }
    for bad in [
        good.replacen('[', "", 1),
        good.replacen('{', "", 1),
        good.replacen("{\"chunk\":[", "]{\"chunk\":[", 1),
        good.replacen("\"chunk\"", "\"chunk", 1),
        good.replacen("{\"chunk\"", "{\"a\":[},\"chunk\"", 1),
        good.replacen("\"@alice:example.org\"", "@alice", 1),
    ] {
        assert!(keys(&bad).is_empty(), "{bad}");
    }
    let mut bytes = good.into_bytes();
    let at = memchr::memmem::find(&bytes, b"@alice").unwrap();
    bytes[at] = 0xff;
    assert!(find_state(&bytes, ENCRYPTED_TYPE).is_empty(), "not UTF-8");
}

#[test]
fn deep_and_repetitive_answers_end_soon() {
    let deep = format!("{}{}", "[".repeat(3_000_000), encrypted("a:"));
    assert!(keys(&deep).is_empty());
    // One object with a hit at every step, each of which would be walked back to its start.
    let repeated = format!(
        "{{\"state_key\":\"\",{}\"x\":1}}",
        "\"type\":\"m.room.encrypted\",".repeat(100_000)
    );
    let started = std::time::Instant::now();
    assert!(keys(&repeated).is_empty());
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

#[test]
fn replacing_and_removing_keeps_the_rest() {
    let (a, b, c) = (encrypted("a:"), encrypted("b:"), encrypted("c:"));
    let text = format!("{{\"chunk\" : [ {a} , {b},{c} ], \"end\":\"x\"}}");
    let found = find_state(text.as_bytes(), ENCRYPTED_TYPE);
    let spliced = |edits: &[(usize, Splice)]| {
        let edits: Vec<_> =
            edits.iter().map(|(index, edit)| (&found[*index], edit.clone())).collect();
        splice(text.as_bytes(), &edits).map(|bytes| String::from_utf8(bytes).unwrap())
    };
    assert_eq!(spliced(&[]), None);
    assert_eq!(
        spliced(&[(1, Splice::Replace(b"{}".to_vec()))]).unwrap(),
        format!("{{\"chunk\" : [ {a} , {{}},{c} ], \"end\":\"x\"}}")
    );
    for (removed, left) in [
        (vec![0], vec![&b, &c]),
        (vec![1], vec![&a, &c]),
        (vec![2], vec![&a, &b]),
        (vec![0, 1], vec![&c]),
        (vec![1, 2], vec![&a]),
        (vec![0, 2], vec![&b]),
        (vec![0, 1, 2], vec![]),
    ] {
        let edits: Vec<_> = removed.iter().map(|index| (*index, Splice::Remove)).collect();
        let result: Value = serde_json::from_str(&spliced(&edits).unwrap()).unwrap();
        assert_eq!(result, json!({"chunk": left, "end": "x"}), "{removed:?}");
    }
    assert_eq!(
        serde_json::from_str::<Value>(
            &spliced(&[(1, Splice::Replace(b"7".to_vec())), (2, Splice::Remove)]).unwrap()
        )
        .unwrap(),
        json!({"chunk": [a, 7], "end": "x"})
    );
}

#[test]
fn what_is_no_list_element_is_not_removed_and_foreign_edits_are_passed_over() {
    let text = json!({"event": encrypted("a:")}).to_string();
    let found = find_state(text.as_bytes(), ENCRYPTED_TYPE);
    assert_eq!(splice(text.as_bytes(), &[(&found[0], Splice::Remove)]), None);
    assert_eq!(splice(b"{}", &[(&found[0], Splice::Replace(b"{}".to_vec()))]), None);
}

#[test]
fn an_event_is_rewritten_in_place() {
    let text = r#"{"chunk":[{"type":"m.room.encrypted","state_key":"m.room.name:","sender":"@a:x",
        "event_id":"$2","origin_server_ts": 1.0e3, "content":{"algorithm":"x"},"foo":1.50,
        "unsigned":{"prev_content":{"ciphertext":"p"},"prev_sender":"@b:x","replaces_state":"$1"}}]}"#;
    let found = find_state(text.as_bytes(), ENCRYPTED_TYPE);
    let found = &found[0];
    let received = found.received(text.as_bytes(), Some("!r:x")).unwrap();
    assert_eq!((received.room_id, received.event_id), ("!r:x", Some("$2")));
    assert_eq!(received.content, r#"{"algorithm":"x"}"#);
    assert!(found.received(text.as_bytes(), None).is_none());
    let previous = found.received_previous(text.as_bytes(), Some("!r:x")).unwrap();
    assert_eq!((previous.sender, previous.event_id), ("@b:x", Some("$1")));
    assert_eq!(previous.content, r#"{"ciphertext":"p"}"#);

    let opened = |name: &str| mantle_room_state::OpenedState {
        event_type: "m.room.name".to_owned(),
        state_key: String::new(),
        content: json!({"name": name}).to_string(),
        session_id: "s".to_owned(),
        message_index: 0,
        order: None,
        author: None,
        by_gone_device: false,
    };
    let rewritten = found.rewritten(text.as_bytes(), &opened("New"), Some(&opened("Old"))).unwrap();
    assert_eq!(
        String::from_utf8(rewritten).unwrap(),
        r#"{"type":"m.room.name","state_key":"","sender":"@a:x",
        "event_id":"$2","origin_server_ts": 1.0e3, "content":{"name":"New"},"foo":1.50,
        "unsigned":{"prev_content":{"name":"Old"},"prev_sender":"@b:x","replaces_state":"$1"}}"#
    );
}

/// Any JSON, with text that tempts a scanner.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "\\PC{0,12}",
        Just("\"type\":\"m.room.encrypted\",\"state_key\":\"".to_owned()),
        Just("\\\"m.room.encrypted\\".to_owned()),
        Just("{[\\".to_owned()),
        Just(ENCRYPTED_TYPE.to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        let key = prop_oneof![
            text.clone(),
            Just("type".to_owned()),
            Just("state_key".to_owned()),
            Just("events".to_owned()),
        ];
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((key, inner), 0..5).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn any_event() -> impl Strategy<Value = Value> {
    prop_oneof![
        ("[a-z.]{1,8}:[a-z]{0,3}", any_json(), any_json()).prop_map(|(key, content, unsigned)| {
            let mut event = encrypted(&key);
            event["content"] = content;
            event["unsigned"] = unsigned;
            event
        }),
        Just(message()),
        any_json(),
        any_json().prop_map(
            |content| json!({"type": "m.room.message", "sender": "@a:x", "content": content})
        ),
    ]
}

fn any_sync() -> impl Strategy<Value = Value> {
    let list = || vec(any_event(), 0..4);
    let room = (list(), list(), any_json()).prop_map(|(state, timeline, other)| {
        json!({"state": {"events": state}, "timeline": {"events": timeline}, "summary": other})
    });
    (vec(("![a-z]{1,4}", room), 0..3), any_json(), list()).prop_map(|(rooms, other, to_device)| {
        let rooms: serde_json::Map<String, Value> = rooms.into_iter().collect();
        json!({"account_data": other, "rooms": {"join": rooms}, "to_device": {"events": to_device}})
    })
}

/// What a plain parse finds: (room, list, index) in the order of the text.
fn expected(sync: &Value) -> Vec<(String, String, usize)> {
    let mut all = Vec::new();
    for (room_id, room) in sync["rooms"]["join"].as_object().unwrap() {
        for list in ["state", "timeline"] {
            for (index, event) in room[list]["events"].as_array().unwrap().iter().enumerate() {
                let is_string = |key: &str| event.get(key).is_some_and(Value::is_string);
                if event.get("type") == Some(&json!(ENCRYPTED_TYPE))
                    && is_string("state_key")
                    && is_string("sender")
                    && event.get("content").is_some()
                {
                    all.push((room_id.clone(), list.to_owned(), index));
                }
            }
        }
    }
    all
}

fn text_of(sync: &Value, pretty: bool) -> String {
    if pretty { serde_json::to_string_pretty(sync).unwrap() } else { sync.to_string() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn finds_what_a_parser_finds_and_nothing_else(sync in any_sync(), pretty in any::<bool>()) {
        let text = text_of(&sync, pretty);
        let expected = expected(&sync);
        let found = find_state(text.as_bytes(), ENCRYPTED_TYPE);
        prop_assert_eq!(found.len(), expected.len());
        for (found, (room_id, list, index)) in found.iter().zip(&expected) {
            prop_assert_eq!(
                &found.place,
                &Place::Room { room_id: room_id.clone(), list: list.clone() }
            );
            let event: Value = serde_json::from_str(&text[found.range()]).unwrap();
            prop_assert_eq!(&event, &sync["rooms"]["join"][room_id][list]["events"][index]);
        }
    }

    #[test]
    fn replacing_changes_only_what_it_replaces(
        sync in any_sync(),
        pretty in any::<bool>(),
        choice in vec(0..3_u8, 12),
    ) {
        let text = text_of(&sync, pretty);
        let found = find_state(text.as_bytes(), ENCRYPTED_TYPE);
        let marker = json!({"replaced": "\u{1f600}\""});
        let edits: Vec<(&FoundState, Splice)> = found
            .iter()
            .zip(&choice)
            .filter_map(|(found, choice)| match choice {
                0 => None,
                1 => Some((found, Splice::Replace(marker.to_string().into_bytes()))),
                _ => Some((found, Splice::Remove)),
            })
            .collect();
        let Some(result) = splice(text.as_bytes(), &edits) else {
            prop_assert!(edits.is_empty());
            return Ok(());
        };
        // Bytes: without the edited events (and commas and space) both texts are the same.
        let mut rest = text.clone();
        for (found, _) in edits.iter().rev() {
            rest.replace_range(found.range(), "");
        }
        let result = String::from_utf8(result).unwrap();
        let bare = |text: &str| text.replace([',', ' ', '\n'], "");
        prop_assert_eq!(bare(&result.replace(&marker.to_string(), "")), bare(&rest));
        // Meaning: the parsed result is the parsed input with the same edits.
        let mut wanted = sync.clone();
        for ((room_id, list, index), choice) in expected(&sync).iter().zip(&choice).rev() {
            let events = wanted["rooms"]["join"][room_id][list]["events"].as_array_mut().unwrap();
            match choice {
                0 => {}
                1 => events[*index] = marker.clone(),
                _ => drop(events.remove(*index)),
            }
        }
        prop_assert_eq!(serde_json::from_str::<Value>(&result).unwrap(), wanted);
    }

    #[test]
    fn the_same_in_place_of_itself_changes_no_byte(sync in any_sync(), pretty in any::<bool>()) {
        let text = text_of(&sync, pretty);
        let found = find_state(text.as_bytes(), ENCRYPTED_TYPE);
        let edits: Vec<_> = found
            .iter()
            .map(|found| (found, Splice::Replace(text.as_bytes()[found.range()].to_vec())))
            .collect();
        if let Some(result) = splice(text.as_bytes(), &edits) {
            prop_assert_eq!(result, text.into_bytes());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes in vec(any::<u8>(), 0..64), cut in 0..400_usize, at in 0..400_usize) {
        find_state(&bytes, ENCRYPTED_TYPE);
        let mut text = json!({"chunk": [encrypted("a:"), message()]}).to_string().into_bytes();
        let at = at.min(text.len());
        let end = (at + cut % 8).min(text.len());
        text.splice(at..end, bytes.drain(..));
        let found = find_state(&text, ENCRYPTED_TYPE);
        for found in &found {
            prop_assert!(serde_json::from_slice::<Value>(&text[found.range()]).is_ok());
        }
    }
}
