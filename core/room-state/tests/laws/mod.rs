//! The laws of encrypted state: packed keys, events in responses, stored records, encrypted contents,
//! signatures that are checked together, and what inviters tell.

#[path = "../../../fuzz/src/oracle.rs"]
mod oracle;
#[path = "../support/mod.rs"]
mod support;

use mantle_room_state::{
    ENCRYPTED_TYPE, InboundSession, KnownState, MAX_STATE_KEY_BYTES, MEGOLM_V1, OpenStep,
    OutboundSession, PackedKey, PickleKey, Request, RoomId, SeenIndices, Splice, StateEngine,
    TypeAndKey, UserId, WireKey, check_eligible, find_state, splice,
};
use oracle::{Read, head, value};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use support::*;
use vodozemac::megolm::{ExportedSessionKey, InboundGroupSession, MegolmMessage, SessionConfig};

/// A state key as it was received.
pub fn packed_keys(input: &[u8]) {
    let Ok(key) = std::str::from_utf8(input) else { return };
    match WireKey::read(key) {
        Err(_) => assert!(key.len() > MAX_STATE_KEY_BYTES),
        Ok(WireKey::Opaque) => {
            assert!(key.find(':').is_none_or(|at| at == 0), "it names a type: {key}");
        }
        Ok(WireKey::Packed(packed)) => {
            assert_eq!(packed.to_string(), key);
            let (event_type, state_key) = (packed.event_type(), packed.state_key());
            let at = key.find(':').unwrap();
            assert_eq!((event_type, state_key), (&key[..at], &key[at + 1..]));
            match PackedKey::pack(packed.slot()) {
                Ok(again) => assert_eq!(again, packed),
                Err(_) => assert!(check_eligible(event_type).is_err(), "{key}"),
            }
        }
    }
    // Any two texts: refused, or told apart as they were.
    let (event_type, state_key) = head(key);
    if let Ok(packed) = PackedKey::pack(TypeAndKey { event_type, state_key }) {
        let whole = packed.to_string();
        assert!(whole.len() <= MAX_STATE_KEY_BYTES);
        assert_eq!(WireKey::read(&whole), Ok(WireKey::Packed(packed.clone())));
        let segment = packed.to_path_segment();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
        assert!(segment.bytes().all(plain), "{segment}");
    }
}

/// A response of any endpoint.
pub fn events(input: &[u8]) {
    let found = find_state(input, ENCRYPTED_TYPE);
    if found.is_empty() {
        return;
    }
    // What lies around them may be no JSON where nobody reads it, and no UTF-8, which a page reads with
    // replacement characters; what was found is whole.
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut end = 0;
    for one in &found {
        assert!(end <= one.range().start, "they overlap");
        end = one.range().end;
        let event = std::str::from_utf8(&input[one.range()]).expect("no UTF-8");
        match oracle::read(event) {
            Read::Invalid => panic!("no JSON: {event}"),
            Read::Value(event) => {
                assert_eq!(event["type"], ENCRYPTED_TYPE);
                assert_eq!(event["state_key"], one.state_key);
            }
            Read::Valid | Read::Unknown => {}
        }
    }
    let Read::Value(before) = oracle::read(&shown(input)) else { return };
    let replaced: Vec<_> =
        found.iter().map(|one| (one, Splice::Replace(b"\"here\"".to_vec()))).collect();
    let after = splice(input, &replaced).unwrap();
    assert!(find_state(&after, ENCRYPTED_TYPE).is_empty(), "once is enough");
    let after = shown(&after);
    let Read::Value(after) = oracle::read(&after) else { panic!("spoilt: {after}") };
    let mut count = 0;
    same_but_for_events(&before, &after, &mut count);
    assert_eq!(count, found.len());
    let removed: Vec<_> = found.iter().map(|one| (one, Splice::Remove)).collect();
    if let Some(after) = splice(input, &removed) {
        assert!(value(&shown(&after)).is_some(), "spoilt");
    }
}

fn same_but_for_events(before: &Value, after: &Value, count: &mut usize) {
    match (before, after) {
        (Value::Object(event), Value::String(here)) if here == "here" => {
            assert_eq!(event["type"], ENCRYPTED_TYPE);
            *count += 1;
        }
        (Value::Object(before), Value::Object(after)) => {
            assert!(before.keys().eq(after.keys()));
            for (key, value) in before {
                same_but_for_events(value, &after[key], count);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len());
            for (before, after) in before.iter().zip(after) {
                same_but_for_events(before, after, count);
            }
        }
        (before, after) => assert_eq!(before, after),
    }
}

/// What Bob needs to read what Alice set, and what he has stored since.
struct World {
    bob: Value,
    alice: Value,
    event: Value,
    keys: String,
    store: Map<String, Value>,
    /// Further events of two of her sessions, with their keys.
    events: Vec<Value>,
    all_keys: Vec<String>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let (mut alice, mut bob, event) = alice_and_bob();
    let (_, keys) = alice.send(&[&bob], "m.room.topic", &json!({"topic": "t"}));
    let mut all_keys = vec![keys.clone()];
    let mut events = Vec::new();
    for number in 0..3 {
        for room in [ROOM, OTHER] {
            let key = format!("{number}");
            let content = json!({"name": format!("{room} {number}")});
            let (mut event, keys) =
                alice.send_in(room, &[&bob], ("org.example.name", &key), &content);
            event["event_id"] = json!(format!("${room}{number}"));
            event["room_id"] = json!(room);
            events.push(event);
            all_keys.push(keys);
        }
    }
    bob.open("/sync", &sync(room_state(), vec![event.clone()]));
    bob.session(&[&alice]);
    bob.engine.add_invite_preview(UserId(ALICE), &preview().to_string()).unwrap();
    bob.persist();
    World {
        bob: bob.device.clone(),
        alice: alice.devices(),
        event,
        keys,
        store: bob.store,
        events,
        all_keys,
    }
});

const OTHER: &str = "!other:example.org";

fn preview() -> Value {
    json!({"room_id": "!new:example.org", "state": [
        {"type": "m.room.name", "state_key": "", "content": {"name": "Secret"}}]})
}

fn bob_with(store: Map<String, Value>) -> Client {
    let stored = Value::Object(store.clone()).to_string();
    let mut bob = Client {
        engine: StateEngine::new(&[7; 32], &stored).unwrap(),
        store,
        user: BOB.to_owned(),
        device: WORLD.bob.clone(),
        refuses: Vec::new(),
    };
    bob.log_in();
    bob
}

/// Whether Bob reads the name.
fn reads_the_name(bob: &mut Client) -> bool {
    let devices = json!([WORLD.alice]).to_string();
    bob.engine.add_devices(&devices).unwrap();
    bob.engine.add_room_keys(&WORLD.keys).unwrap();
    bob.engine.add_room_state(RoomId(ROOM), &json!(room_state()).to_string()).unwrap();
    let opened = bob.open("/sync", &sync(vec![], vec![WORLD.event.clone()]));
    joined(&opened, "timeline")[0]["content"] == name()
}

/// The name of an entry of the store in the first line, what it holds in the rest.
pub fn stored_state(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (entry, stored) = head(text);
    // `room/0` stands for the first such entry that is there.
    let number = entry.rsplit_once('/').and_then(|(_, number)| number.parse::<usize>().ok());
    let names: Vec<_> = WORLD.store.keys().collect();
    let own = number.and_then(|number| names.get(number)).map_or(entry, |name| name.as_str());
    let mut store = WORLD.store.clone();
    store.insert(own.to_owned(), json!(stored));
    let mut bob = bob_with(store);
    // A foreign entry costs itself alone. Where it takes the place of one, that may be lost, but the
    // rest works: names are read, anew where need be, and can be set.
    if !WORLD.store.contains_key(own) {
        assert!(reads_the_name(&mut bob), "{own}");
        bob.persist();
        for (name, value) in &WORLD.store {
            let is_there = bob.store.contains_key(name);
            assert!(is_there || value.is_null() || name.starts_with("hint/"), "{name} is lost");
        }
    } else {
        let _ = reads_the_name(&mut bob);
    }
    bob.session(&[]);
    bob.persist();
    bob.reload();
    // As another tab.
    let _ = bob.engine.become_writer(stored);
    let _ = StateEngine::new(&[7; 32], stored);
    // Each record by itself: what was read is written so that it is read again.
    let mut seen = SeenIndices::new();
    if seen.restore_room(RoomId(ROOM), stored).is_ok() {
        let written = seen.stored_room(ROOM);
        let mut again = SeenIndices::new();
        again.restore_room(RoomId(ROOM), &written).unwrap();
        assert_eq!(again.stored_room(ROOM), written);
    }
    let mut slots = KnownState::new();
    if slots.restore_room(RoomId(ROOM), stored).is_ok() {
        let written = slots.stored_room(ROOM);
        let mut again = KnownState::new();
        again.restore_room(RoomId(ROOM), &written).unwrap();
        assert_eq!(again.stored_room(ROOM), written);
    }
    let key: PickleKey = [7; 32];
    assert!(InboundSession::restore(stored, &key).is_err(), "made of nothing");
    assert!(OutboundSession::restore(stored, &key).is_err(), "made of nothing");
}

/// What vodozemac makes of a ciphertext: its payload.
fn by_vodozemac(keys: &[String], content: &Value) -> Option<Value> {
    let message = MegolmMessage::from_base64(content["ciphertext"].as_str()?).ok()?;
    let id = content["session_id"].as_str()?;
    let all = keys.iter().flat_map(|keys| match serde_json::from_str(keys).unwrap() {
        Value::Array(keys) => keys,
        _ => panic!("no keys"),
    });
    let key = all.into_iter().find(|key| key["session_id"] == id)?;
    let key = ExportedSessionKey::from_base64(key["session_key"].as_str()?).unwrap();
    let mut session = InboundGroupSession::import(&key, SessionConfig::version_1());
    let decrypted = session.decrypt(&message).ok()?;
    serde_json::from_slice(&decrypted.plaintext).ok()
}

/// The content of an event that a member sends. `CIPHERTEXT` and `SESSION` stand for those of an event
/// that Alice did send.
pub fn megolm_content(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let part = |key: &str| WORLD.event["content"][key].as_str().unwrap();
    let text =
        text.replace("CIPHERTEXT", part("ciphertext")).replace("SESSION", part("session_id"));
    let event = |content: &str| {
        let event = WORLD.event.to_string();
        event.replace(&WORLD.event["content"].to_string(), content)
    };
    let read = |content: &str| {
        let mut bob = bob_with(Map::new());
        let body = format!(
            r#"{{"rooms":{{"join":{{"{ROOM}":{{"timeline":{{"events":[{}]}}}}}}}}}}"#,
            event(content)
        );
        bob.engine.add_devices(&json!([WORLD.alice]).to_string()).unwrap();
        bob.engine.add_room_keys(&WORLD.keys).unwrap();
        bob.engine.add_room_state(RoomId(ROOM), &json!(room_state()).to_string()).unwrap();
        let needs = bob
            .engine
            .inspect(Request { method: "GET", url: &format!("{HS}/sync") }, body.into_bytes());
        let answer = needs?.answer;
        let opened = loop {
            match bob.engine.open(answer, 2).unwrap() {
                OpenStep::More | OpenStep::Needs(_) => {}
                OpenStep::Done(body) => break body?.to_bytes(),
                OpenStep::Split(_) => panic!("split"),
            }
        };
        // What was no JSON is none.
        let opened = value(std::str::from_utf8(&opened).unwrap())?;
        let event = joined(&opened, "timeline").first()?.clone();
        (event["type"] == "m.room.name").then_some(event)
    };
    let opened = read(&text);
    let content = value(&text);
    let wanted = content.as_ref().filter(|content| content["algorithm"] == MEGOLM_V1);
    let wanted =
        wanted.and_then(|content| by_vodozemac(std::slice::from_ref(&WORLD.keys), content));
    if let Some(opened) = &opened {
        let wanted = wanted.as_ref().expect("opened what vodozemac does not decrypt");
        assert_eq!(opened["content"], wanted["content"]);
    }
    // Written once and plainly, it is opened just when vodozemac decrypts it.
    if let Some(content) = content.filter(|content| content.to_string().len() < 60_000) {
        assert_eq!(read(&content.to_string()).is_some(), wanted.is_some(), "{content}");
    }
}

/// Changes to the ciphertexts of six events of two sessions, three bytes each: which event, which
/// byte of its end, and what it becomes; a first byte from 128 on gives the event's signature to the
/// next. All are checked together, and each is opened just when vodozemac decrypts it alone.
pub fn batch_verification(input: &[u8]) {
    let mut events = WORLD.events.clone();
    let count = events.len();
    let cipher = |event: &Value| {
        let text = event["content"]["ciphertext"].as_str().unwrap();
        vodozemac::base64_decode(text).unwrap()
    };
    for change in input.chunks_exact(3).take(24) {
        let (at, place, byte) = (usize::from(change[0] & 127) % count, change[1], change[2]);
        let mut bytes = cipher(&events[at]);
        let end = bytes.len();
        if change[0] >= 128 {
            let other = (at + 1) % count;
            let mut next = cipher(&events[other]);
            let from = next.len() - 64;
            next[from..].copy_from_slice(&bytes[end - 64..]);
            events[other]["content"]["ciphertext"] = json!(vodozemac::base64_encode(next));
        } else {
            bytes[end - 1 - usize::from(place) % end] ^= byte;
            events[at]["content"]["ciphertext"] = json!(vodozemac::base64_encode(bytes));
        }
    }
    let mut bob = bob_with(Map::new());
    bob.engine.add_devices(&json!([WORLD.alice]).to_string()).unwrap();
    for keys in &WORLD.all_keys {
        bob.engine.add_room_keys(keys).unwrap();
    }
    for room in [ROOM, OTHER] {
        bob.engine.add_room_state(RoomId(room), &json!(room_state()).to_string()).unwrap();
    }
    let opened = bob.open("/events?from=a", &json!({"chunk": events}));
    let mut indices = Vec::new();
    let chunk = opened["chunk"].as_array().unwrap();
    for event in &events {
        // What is not opened is not in the list.
        let opened = chunk.iter().find(|opened| opened["event_id"] == event["event_id"]);
        let opened = opened.unwrap_or(&Value::Null);
        let wanted = by_vodozemac(&WORLD.all_keys, &event["content"]);
        let is_opened = opened["type"] == "org.example.name";
        // A ciphertext that is there twice, in whatever form, is opened once.
        let session = &event["content"]["session_id"];
        let payload = wanted.as_ref().map(|wanted| json!([session, wanted]));
        let is_again = payload.as_ref().is_some_and(|payload| indices.contains(payload));
        indices.extend(payload);
        assert_eq!(
            is_opened,
            wanted.is_some() && !is_again,
            "vodozemac: {wanted:?}, again: {is_again}, {event} became {opened}"
        );
        if let Some(wanted) = wanted.filter(|_| is_opened) {
            assert_eq!(opened["content"], wanted["content"]);
        }
    }
}

/// What a to-device message says that comes as an inviter's.
pub fn invite_previews(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let told = |content: &str| {
        let mut bob = bob_with(Map::new());
        let outcome = bob.engine.add_invite_preview(UserId(ALICE), content);
        let word = value(content).unwrap_or_default();
        let room = word["room_id"].as_str().unwrap_or(ROOM).to_owned();
        let invite = json!({"rooms": {"invite": {room.clone(): {"invite_state": {"events": [
            {"type": "m.room.create", "state_key": "", "sender": ALICE, "content": {}},
            {"type": "m.room.member", "state_key": BOB, "sender": ALICE,
                "content": {"membership": "invite"}}]}}}}});
        let mut shown = Vec::new();
        // It is the same after a reload.
        for _ in 0..2 {
            let opened = bob.open("/sync", &invite);
            let list = &opened["rooms"]["invite"][&room]["invite_state"]["events"];
            let is_told = |event: &&Value| {
                !["m.room.create", "m.room.member"].map(Value::from).contains(&event["type"])
            };
            shown
                .push(list.as_array().unwrap().iter().filter(is_told).cloned().collect::<Vec<_>>());
            bob.reload();
        }
        assert_eq!(shown[0], shown[1], "lost with a reload");
        (outcome.is_ok(), shown.remove(0))
    };
    let (is_kept, shown) = told(text);
    let word = match oracle::read(text) {
        Read::Invalid => return assert!(!is_kept && shown.is_empty(), "told by no JSON"),
        Read::Valid | Read::Unknown => return,
        Read::Value(word) => word,
    };
    assert_eq!(is_kept, !shown.is_empty());
    for event in &shown {
        assert_eq!((&event["sender"], &event["state_key"]), (&json!(ALICE), &json!("")));
        let is_said =
            |said: &&Value| said["type"] == event["type"] && said["content"] == event["content"];
        assert!(word["state"].as_array().unwrap().iter().any(|said| is_said(&said)), "{event}");
    }
    let plain = word.to_string();
    if plain.len() <= text.len() {
        assert_eq!((is_kept, shown), told(&plain));
    }
}
