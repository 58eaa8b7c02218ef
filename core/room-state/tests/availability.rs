//! No stranger, room, size or full store stops a write in another room.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests may panic"
)]

mod support;

use mantle_room_state::{
    Before, CreatePlan, DeviceName, EngineError, Request, RoomId, SessionId, SessionView,
    TypeAndKey, UndecryptableEvent, UserId,
};
use serde_json::{Value, json};
use support::*;

const MALLORY: &str = "@mallory:example.org";
const OTHER: &str = "!other:example.org";

fn preview(room_id: &str) -> String {
    json!({"room_id": room_id, "state": [
        {"type": "m.room.name", "state_key": "", "content": {"name": "Secret"}}]})
    .to_string()
}

#[test]
fn a_strangers_preview_of_a_room_with_an_endless_id_stops_nothing() {
    let (mut alice, bob, _) = alice_and_bob();
    for room_id in [format!("!{}:x", "r".repeat(600)), format!("!{}", "\u{1F600}".repeat(126))] {
        let _ = alice.engine.add_invite_preview(UserId(MALLORY), &preview(&room_id));
        assert!(alice.persist().is_empty(), "all was taken");
    }
    for room_id in ["room:x", "!a b:x", "!", "!\u{0}:x"] {
        assert!(
            alice.engine.add_invite_preview(UserId(MALLORY), &preview(room_id)).is_err(),
            "{room_id}"
        );
    }
    for sender in ["mallory", "@mallory", &format!("@{}:x", "m".repeat(600))] {
        assert!(
            alice.engine.add_invite_preview(UserId(sender), &preview(ROOM)).is_err(),
            "{sender}"
        );
    }
    // Exactly as long as ids may be.
    let (longest, sender) = (format!("!{}", "r".repeat(254)), format!("@{}:x", "m".repeat(252)));
    alice.engine.add_invite_preview(UserId(&sender), &preview(&longest)).unwrap();
    assert!(alice.persist().is_empty());
    alice.send(&[&bob], "m.room.name", &name());
}

#[test]
fn an_entry_that_the_store_does_not_take_stops_no_write() {
    let (mut alice, bob, event) = alice_and_bob();
    alice.refuses = vec!["hint/", "room/", "owners"];
    alice.engine.add_invite_preview(UserId(MALLORY), &preview(OTHER)).unwrap();
    alice.engine.note_flag(ROOM);
    alice.open("/sync", &sync(vec![event], vec![]));
    assert_eq!(alice.persist().len(), 2);
    alice.send(&[&bob], "m.room.name", &name());
    let body = json!({"name": "New", "initial_state": [{"type": "m.room.encryption",
        "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}]});
    let plan = alice.engine.plan_create(body.to_string().as_bytes(), NOW, None).unwrap();
    let CreatePlan::Create { pending_id, .. } = plan else { panic!("{plan:?}") };
    alice.persist();
    assert!(alice.engine.is_pending_stored(&pending_id));
    // Once there is room again, all of it is there.
    alice.refuses.clear();
    assert!(alice.persist().is_empty());
    for prefix in ["hint/", "room/"] {
        assert!(alice.store.keys().any(|key| key.starts_with(prefix)), "{prefix}");
    }
}

#[test]
fn what_was_to_be_sent_later_and_is_not_on_disk_is_known_not_to_be() {
    let mut alice = Client::new(ALICE);
    alice.refuses = vec!["pending/"];
    let body = json!({"name": "New", "initial_state": [{"type": "m.room.encryption",
        "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}]});
    let plan = alice.engine.plan_create(body.to_string().as_bytes(), NOW, None).unwrap();
    let CreatePlan::Create { pending_id, .. } = plan else { panic!("{plan:?}") };
    alice.persist();
    assert!(!alice.engine.is_pending_stored(&pending_id));
}

/// Events of `bytes` each in slots of rooms, as one with power there sends them; the other has all
/// keys.
fn flood(
    alice: &mut Client,
    bob: &mut Client,
    room_id: &str,
    slots: &[(&str, String)],
    bytes: usize,
) -> Vec<Value> {
    let text = "x".repeat(bytes);
    let mut tickets = Vec::new();
    for some in slots.chunks(90) {
        let session = alice.session_in(room_id, &[bob]);
        bob.engine.add_room_keys(&session.import_json).unwrap();
        alice.engine.imported(SessionId { room_id, id: &session.session_id }).unwrap();
        let reached = serde_json::to_string(&session.share_with).unwrap();
        alice.engine.shared(SessionId { room_id, id: &session.session_id }, &reached).unwrap();
        for (event_type, state_key) in some {
            let content = json!({"name": format!("{state_key}{text}")}).to_string();
            let ticket = alice
                .engine
                .encrypt(RoomId(room_id), TypeAndKey { event_type, state_key }, &content)
                .unwrap();
            tickets.push((ticket, format!("{event_type}:{state_key}")));
        }
        // Used up, so that the next ones have another session.
        if slots.len() > 90 {
            alice.persist();
        }
    }
    alice.persist();
    let event = |(number, (ticket, state_key)): (usize, (u32, String))| {
        let out = alice.engine.take_encrypted(ticket).unwrap();
        let content: Value = serde_json::from_str(&out.body).unwrap();
        json!({"type": "m.room.encrypted", "state_key": state_key, "sender": ALICE,
            "origin_server_ts": NOW, "event_id": format!("${room_id}{number}"),
            "content": content})
    };
    tickets.into_iter().enumerate().map(event).collect()
}

fn in_room(room_id: &str, state: Vec<Value>, timeline: Vec<Value>) -> Value {
    let mut answer = sync(state, timeline);
    let joined = answer["rooms"]["join"].as_object_mut().unwrap();
    let room = joined.remove(ROOM).unwrap();
    joined.insert(room_id.to_owned(), room);
    answer
}

#[test]
fn a_room_full_of_state_stops_no_other() {
    for event_type in ["m.room.name", "org.example.note"] {
        let mut alice = Client::new(ALICE);
        let mut bob = Client::new(BOB);
        bob.knows(&[&alice]);
        let mut slots = vec![("m.room.name", String::new())];
        slots.extend((0..100).map(|number| (event_type, format!("key{number}"))));
        let events = flood(&mut alice, &mut bob, ROOM, &slots, 14_000);
        bob.open("/sync?since=a", &sync(room_state(), events));
        assert!(bob.persist().is_empty(), "{event_type}");
        let size = size(&bob);
        assert!(size < 600_000, "{event_type}: {size}");
        assert!(is_named(&mut bob, ROOM), "{event_type}: the room's name stays");
        bob.send_in(OTHER, &[&alice], ("m.room.name", ""), &name());
        bob.reload();
        assert!(is_named(&mut bob, ROOM), "{event_type}: after a reload too");
    }
}

fn size(client: &Client) -> usize {
    client.store.values().map(|value| value.as_str().unwrap().len()).sum()
}

fn is_named(client: &mut Client, room_id: &str) -> bool {
    let url = format!("{HS}/rooms/{room_id}/state/m.room.name/");
    matches!(client.engine.before(Request { method: "GET", url: &url }), Before::Reply { .. })
}

#[test]
fn what_is_remembered_of_all_rooms_has_a_bound_and_the_oldest_of_the_largest_goes() {
    let mut alice = Client::new(ALICE);
    let mut bob = Client::new(BOB);
    bob.knows(&[&alice]);
    let mut slots: Vec<(&str, String)> =
        (0..7).map(|number| ("m.room.name", format!("key{number}"))).collect();
    slots.push(("m.room.name", String::new()));
    let rooms: Vec<String> = (0..120).map(|number| format!("!{number}:example.org")).collect();
    for room_id in &rooms {
        let events = flood(&mut alice, &mut bob, room_id, &slots, 14_000);
        bob.open("/sync?since=a", &in_room(room_id, room_state(), events));
    }
    // One that is small goes for none of theirs.
    let events = flood(&mut alice, &mut bob, ROOM, &slots[7..], 10);
    bob.open("/sync?since=a", &in_room(ROOM, room_state(), events));
    assert!(bob.persist().is_empty());
    let size = size(&bob);
    assert!(size < 12_000_000, "{size}");
    assert!(rooms.iter().all(|room_id| is_named(&mut bob, room_id)), "a name gives way last");
    assert!(is_named(&mut bob, ROOM));
}

#[test]
fn two_thousand_rooms_are_remembered() {
    let mut alice = Client::new(ALICE);
    let mut bob = Client::new(BOB);
    bob.knows(&[&alice]);
    let rooms: Vec<String> = (0..2_000).map(|number| format!("!{number}:example.org")).collect();
    let tickets: Vec<u32> = rooms
        .iter()
        .map(|room_id| {
            let session = alice.session_in(room_id, &[&bob]);
            bob.engine.add_room_keys(&session.import_json).unwrap();
            alice.engine.imported(SessionId { room_id, id: &session.session_id }).unwrap();
            let reached = serde_json::to_string(&session.share_with).unwrap();
            alice.engine.shared(SessionId { room_id, id: &session.session_id }, &reached).unwrap();
            let content = json!({"name": format!("{room_id} {}", "x".repeat(200))}).to_string();
            alice
                .engine
                .encrypt(RoomId(room_id), TypeAndKey::single("m.room.name"), &content)
                .unwrap()
        })
        .collect();
    assert!(alice.persist().is_empty());
    let mut joined = serde_json::Map::new();
    for (room_id, ticket) in rooms.iter().zip(tickets) {
        let out = alice.engine.take_encrypted(ticket).unwrap();
        let content: Value = serde_json::from_str(&out.body).unwrap();
        let mut events = room_state();
        events.push(json!({"type": "m.room.encrypted", "state_key": "m.room.name:",
            "sender": ALICE, "origin_server_ts": NOW, "event_id": format!("${room_id}"),
            "content": content}));
        joined.insert(room_id.clone(), json!({"state": {"events": events}}));
    }
    bob.open("/sync?since=a", &json!({"next_batch": "b", "rooms": {"join": joined}}));
    // Each is sealed: not all of them in one step.
    let mut batches = 0;
    while let Some(batch) = bob.engine.take_persist() {
        assert!(batch.entries.len() <= 150, "{} in one step", batch.entries.len());
        for entry in batch.entries {
            bob.store.insert(entry.key, json!(entry.value.unwrap()));
        }
        bob.engine.written(batch.id, &[]);
        batches += 1;
    }
    assert!(batches > 10, "{batches}");
    bob.reload();
    assert!(rooms.iter().all(|room_id| is_named(&mut bob, room_id)));
    let size = size(&bob);
    assert!(size < 5_000_000, "{size}");
}

/// What the page asks for a room of so many members, each with so many devices.
fn crowd(members: usize, devices: usize, now: u64) -> Value {
    let key = &Client::new(BOB).device["curve25519"].as_str().unwrap().to_owned();
    let users: Vec<String> =
        (0..members).map(|number| format!("@member{number}:example.org")).collect();
    let targets: Vec<Value> = users
        .iter()
        .enumerate()
        .map(|(number, user)| {
            let list: Vec<Value> = (0..devices)
                .map(|device| {
                    // Another key for each: the same letters in another place.
                    let at = (number * devices + device) % 40;
                    let mut key = key.clone();
                    key.replace_range(at..=at, "Z");
                    json!({"deviceId": format!("D{number}x{device}"), "curve25519": key,
                        "ed25519": key})
                })
                .collect();
            json!({"userId": user, "devices": list})
        })
        .collect();
    json!({"roomId": ROOM, "members": users, "targets": targets, "encryption": {},
        "historyVisibility": "shared", "now": now})
}

/// All devices that are to get a session's key from its beginning on.
fn all_shares(alice: &mut Client, session: &SessionView) -> Vec<DeviceName> {
    let mut all = session.share_with.clone();
    let mut is_more = session.more;
    while is_more {
        let of = SessionId { room_id: ROOM, id: &session.session_id };
        let more = alice.engine.more_shares(of).unwrap();
        assert!(!more.share_with.is_empty() && more.later.is_empty());
        all.extend(more.share_with);
        is_more = more.more;
    }
    all
}

#[test]
fn who_may_read_a_room_is_said_in_parts_and_who_gets_its_key_comes_in_parts() {
    let asked = crowd(3_000, 2, NOW);
    let users = asked["targets"].as_array().unwrap();
    let mut alice = Client::new(ALICE);
    let mut without = asked.clone();
    without.as_object_mut().unwrap().retain(|key, _| key != "targets" && key != "members");
    let without = without.to_string();
    let give = |alice: &mut Client, users: &[Value]| {
        alice.engine.begin_targets(RoomId(ROOM)).unwrap();
        for some in users.chunks(100) {
            alice.engine.add_targets(RoomId(ROOM), &json!(some).to_string()).unwrap();
        }
    };
    // Nobody is nobody by chance: it has to be said.
    assert!(matches!(alice.engine.need_session(&without), Err(EngineError::Input(_))));
    assert!(alice.engine.add_targets(RoomId(ROOM), "[]").is_err());
    // What was begun for another room, or before this one was begun anew, is for neither.
    alice.engine.begin_targets(RoomId(OTHER)).unwrap();
    assert!(alice.engine.add_targets(RoomId(ROOM), "[]").is_err());
    alice.engine.add_targets(RoomId(OTHER), &json!(users).to_string()).unwrap();
    assert!(matches!(alice.engine.need_session(&without), Err(EngineError::Input(_))));
    give(&mut alice, users);
    give(&mut alice, &users[..2_999]);
    let session = alice.engine.need_session(&without).unwrap();
    let named = serde_json::to_string(&session).unwrap().len();
    assert!(named < 100_000, "{named}");
    let all = all_shares(&mut alice, &session);
    assert_eq!(all.len(), 5_998);
    let different: std::collections::BTreeSet<_> =
        all.iter().map(|device| (&device.user_id, &device.device_id)).collect();
    assert_eq!(different.len(), all.len());
    // It was for one session, and there is nobody left.
    assert!(matches!(alice.engine.need_session(&without), Err(EngineError::Input(_))));
    let of = SessionId { room_id: ROOM, id: &session.session_id };
    let rest = alice.engine.more_shares(of).unwrap();
    assert!(rest.share_with.is_empty() && !rest.more);
    // Half of them have it: who left is told apart from who has none yet.
    let half = serde_json::to_string(&all[..3_000]).unwrap();
    alice.engine.shared(of, &half).unwrap();
    give(&mut alice, users);
    let session = alice.engine.need_session(&without).unwrap();
    assert_eq!((session.rotated, all_shares(&mut alice, &session).len()), (None, 3_000));
    give(&mut alice, &users[1..]);
    assert_eq!(alice.engine.need_session(&without).unwrap().rotated, Some("member-left"));
    let of = SessionId { room_id: ROOM, id: &session.session_id };
    assert!(alice.engine.more_shares(of).is_err(), "of another session");
}

#[test]
fn a_room_of_ten_thousand_members_is_named_and_stops_no_other() {
    let mut alice = Client::new(ALICE);
    let mut asked = crowd(10_000, 5, NOW);
    let session = alice.engine.need_session(&asked.to_string()).unwrap();
    assert!(alice.persist().is_empty());
    alice.engine.imported(SessionId { room_id: ROOM, id: &session.session_id }).unwrap();
    let all = all_shares(&mut alice, &session);
    assert_eq!(all.len(), 50_000);
    // As it goes out, a hundred devices at a time.
    for some in all.chunks(100) {
        let reached = serde_json::to_string(some).unwrap();
        alice
            .engine
            .shared(SessionId { room_id: ROOM, id: &session.session_id }, &reached)
            .unwrap();
    }
    assert!(alice.persist().is_empty());
    let ticket = alice
        .engine
        .encrypt(RoomId(ROOM), TypeAndKey::single("m.room.name"), r#"{"name":"Big"}"#)
        .unwrap();
    let batch = alice.engine.take_persist().unwrap();
    let written: usize =
        batch.entries.iter().filter_map(|entry| entry.value.as_ref()).map(String::len).sum();
    assert!(written < 50_000, "an event does not write the holders anew: {written}");
    alice.engine.persist_failed(batch.id);
    // That was a failed write: its index is gone, and so is the session.
    assert!(matches!(alice.engine.take_encrypted(ticket), Err(EngineError::Unknown)));
    alice.persist();
    let session = alice.engine.need_session(&asked.to_string()).unwrap();
    assert!(session.is_new);
    alice.engine.imported(SessionId { room_id: ROOM, id: &session.session_id }).unwrap();
    let reached = serde_json::to_string(&all_shares(&mut alice, &session)).unwrap();
    alice.engine.shared(SessionId { room_id: ROOM, id: &session.session_id }, &reached).unwrap();
    assert!(alice.persist().is_empty());
    let size: usize = alice.store.values().map(|value| value.as_str().unwrap().len()).sum();
    assert!(size < 3_000_000, "{size}");
    alice.send_in(OTHER, &[&Client::new(BOB)], ("m.room.name", ""), &name());
    alice.reload();
    let session = alice.engine.need_session(&asked.to_string()).unwrap();
    assert_eq!((session.share_with.len(), session.rotated), (0, None));
    // One of them leaves, and one of the others loses a device.
    let one = asked["targets"][7_000]["devices"][2].take();
    assert!(!one.is_null());
    asked["targets"][7_000]["devices"].as_array_mut().unwrap().remove(2);
    let session = alice.engine.need_session(&asked.to_string()).unwrap();
    assert_eq!(session.rotated, Some("device-removed"));
}

#[test]
fn one_who_leaves_a_large_room_makes_a_new_session() {
    let mut alice = Client::new(ALICE);
    let mut asked = crowd(3_000, 2, NOW);
    let session = alice.engine.need_session(&asked.to_string()).unwrap();
    let reached = serde_json::to_string(&all_shares(&mut alice, &session)).unwrap();
    alice.engine.shared(SessionId { room_id: ROOM, id: &session.session_id }, &reached).unwrap();
    alice.reload();
    asked["members"].as_array_mut().unwrap().remove(1_234);
    let session = alice.engine.need_session(&asked.to_string()).unwrap();
    assert_eq!((session.rotated, session.is_new), (Some("member-left"), true));
}

/// Asks for the session of a room with these members, of whom nobody but the first has devices.
fn members_without_devices(alice: &mut Client, members: &[&str]) {
    let asked = json!({"roomId": ROOM, "members": members, "targets": [], "encryption": {},
        "historyVisibility": "shared", "now": NOW});
    alice.engine.need_session(&asked.to_string()).unwrap();
    alice.persist();
}

fn tended(alice: &mut Client, answer: &Value) -> Vec<String> {
    alice.engine.sharing_due();
    let url = format!("{HS}/sync?since=a");
    if let Some(needs) =
        alice.engine.inspect(Request { method: "GET", url: &url }, answer.to_string().into_bytes())
    {
        alice.engine.drop_answer(needs.answer);
    }
    alice.engine.sharing_due().into_iter().map(|due| due.room_id).collect()
}

#[test]
fn the_first_device_of_a_member_asks_for_the_key() {
    for user in [ALICE, BOB] {
        let mut alice = Client::new(ALICE);
        members_without_devices(&mut alice, &[ALICE, BOB]);
        let answer = json!({"next_batch": "b", "device_lists": {"changed": [user]}});
        assert_eq!(tended(&mut alice, &answer), [ROOM], "{user}");
        let stranger = json!({"next_batch": "b", "device_lists": {"changed": ["@x:y"]}});
        assert!(tended(&mut alice, &stranger).is_empty());
        // Nobody has said since who is in the room: it is looked at once.
        alice.reload();
        assert_eq!(tended(&mut alice, &answer), [ROOM], "{user}, after a reload");
    }
}

#[test]
fn only_the_homeservers_own_list_of_devices_counts_and_nothing_hides_it() {
    let mut alice = Client::new(ALICE);
    members_without_devices(&mut alice, &[ALICE, BOB]);
    let message = json!({"type": "x", "sender": MALLORY, "content": {"device_lists": {"changed": []},
        "more": "\"device_lists\""}});
    // As servers write it: what came for the device goes first.
    let text = format!(
        r#"{{"next_batch":"b","to_device":{{"events":[{message}]}},"device_lists":{{"changed":["{BOB}"]}}}}"#
    );
    let answer: Value = serde_json::from_str(&text).unwrap();
    let needs = alice
        .engine
        .inspect(Request { method: "GET", url: &format!("{HS}/sync?since=a") }, text.into_bytes());
    assert!(needs.is_none());
    assert_eq!(alice.engine.sharing_due().len(), 1, "{answer}");
    let forged = json!({"next_batch": "b", "to_device": {"events": [
        {"type": "x", "content": {"device_lists": {"changed": [BOB]}}}]}});
    assert!(tended(&mut alice, &forged).is_empty());
    let sliding = json!({"pos": "b", "extensions": {"e2ee": {"device_lists": {"changed": [BOB]}}}});
    let url = "https://hs.example.org/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
    alice.engine.inspect(Request { method: "POST", url }, sliding.to_string().into_bytes());
    assert_eq!(alice.engine.sharing_due().len(), 1);
}

/// Events that nobody here has the key of, as the running client holds them.
fn unreadable(room_id: &str, count: usize, bytes: usize) -> String {
    let text = "x".repeat(bytes);
    let event = |number: usize| {
        json!({"type": "m.room.encrypted", "state_key": format!("m.room.name:{number}"),
            "sender": ALICE, "origin_server_ts": NOW, "event_id": format!("${room_id}{number}"),
            "content": {"algorithm": "m.megolm.v1.aes-sha2", "session_id": "s",
                "ciphertext": text}})
    };
    json!((0..count).map(event).collect::<Vec<Value>>()).to_string()
}

fn waiting(all: &[UndecryptableEvent], room_id: &str) -> Vec<String> {
    let theirs = all.iter().filter(|event| event.room_id == room_id);
    theirs.map(|event| event.event_id.clone()).collect()
}

#[test]
fn of_what_waits_for_keys_the_oldest_of_the_largest_room_gives_way() {
    // By number, and by bytes.
    for (count, bytes) in [(5_000, 10), (600, 60_000)] {
        for small in ["!a:x", "!zz:x"] {
            let mut bob = Client::new(BOB);
            bob.engine.backfill(RoomId(small), &unreadable(small, 3, 10)).unwrap();
            bob.engine.backfill(RoomId("!big:x"), &unreadable("!big:x", count, bytes)).unwrap();
            bob.engine.backfill(RoomId("!late:x"), &unreadable("!late:x", 3, 10)).unwrap();
            let all = bob.engine.take_undecryptable(usize::MAX);
            assert_eq!(waiting(&all, small).len(), 3, "{small} {bytes}");
            assert_eq!(waiting(&all, "!late:x").len(), 3, "{small} {bytes}");
            let big = waiting(&all, "!big:x");
            assert!(big.len() <= 4_096 && big.len() * bytes <= 16 * 1024 * 1024, "{}", big.len());
            assert!(big.contains(&format!("$!big:x{}", count - 1)), "the newest stays");
            assert!(!big.contains(&"$!big:x0".to_owned()), "the oldest is gone");
        }
    }
}
