//! Who comes later reads what the room's history visibility says: not more and not less.

use std::collections::BTreeMap;

use mantle_room_state::{RoomId, SessionId, SessionView};
use serde_json::{Value, json};
use vodozemac::megolm::{InboundGroupSession, MegolmMessage, SessionConfig, SessionKey};

use crate::device::device;
use crate::people::*;

const NARROW: [&str; 2] = ["joined", "invited"];
const WIDE: [&str; 2] = ["shared", "world_readable"];
const DAVE: &str = "@dave:example.org";

/// Alice's room: who is in it with which devices, what she has sent, and whose device has which keys.
struct Room {
    alice: Client,
    visibility: &'static str,
    people: BTreeMap<String, Vec<Value>>,
    sent: Vec<(String, Value)>,
    keys: BTreeMap<String, Vec<InboundGroupSession>>,
    now: u64,
    rotated: Vec<&'static str>,
}

impl Room {
    fn new(visibility: &'static str) -> Self {
        let mut alice = Client::new(ALICE);
        alice.open("/sync?since=a", &sync(room_state(), vec![]));
        Self {
            alice,
            visibility,
            people: BTreeMap::new(),
            sent: Vec::new(),
            keys: BTreeMap::new(),
            now: NOW,
            rotated: Vec::new(),
        }
    }

    fn comes(&mut self, user: &str, devices: &[&str]) {
        let devices = devices.iter().map(|id| device(user, id)).collect();
        self.people.insert(user.to_owned(), devices);
        self.membership(user, "join");
    }

    fn signs_in(&mut self, user: &str, id: &str) {
        self.people.get_mut(user).unwrap().push(device(user, id));
    }

    fn goes(&mut self, user: &str, membership: &str) -> Vec<Value> {
        self.membership(user, membership);
        self.people.remove(user).unwrap()
    }

    fn membership(&mut self, user: &str, membership: &str) {
        let event = member(user, membership);
        self.alice.open("/sync?since=m", &sync(vec![], vec![event]));
    }

    fn view(&mut self, shares_only: bool) -> SessionView {
        let members: Vec<&str> = self.people.keys().map(String::as_str).chain([ALICE]).collect();
        let targets: Vec<Value> = self
            .people
            .iter()
            .map(|(user, devices)| json!({"userId": user, "devices": devices}))
            .collect();
        let json = json!({"roomId": ROOM, "members": members, "targets": targets,
            "historyVisibility": self.visibility, "sharesOnly": shares_only, "keeps": shares_only,
            "now": self.now});
        self.alice.engine.need_session(&json.to_string()).unwrap()
    }

    /// As the page does it: the session is stored, then its key given.
    fn shares(&mut self, shares_only: bool) {
        let mut session = self.view(shares_only);
        self.alice.persist();
        let of = SessionId { room_id: ROOM, id: &session.session_id };
        self.alice.engine.imported(of).unwrap();
        while session.more {
            let more = self.alice.engine.more_shares(of).unwrap();
            session.share_with.extend(more.share_with);
            session.later.extend(more.later);
            session.more = more.more;
        }
        self.rotated.extend(session.rotated);
        let given = [(&session.share_with, &session.room_key_content)];
        let later = session.later.iter().map(|later| (&later.share_with, &later.room_key_content));
        for (devices, content) in given.into_iter().chain(later) {
            let content: Value = serde_json::from_str(content.get()).unwrap();
            let key = SessionKey::from_base64(content["session_key"].as_str().unwrap()).unwrap();
            for device in devices {
                let session = InboundGroupSession::new(&key, SessionConfig::version_1());
                let who = format!("{} {}", device.user_id, device.device_id);
                self.keys.entry(who).or_default().push(session);
            }
            let devices = serde_json::to_string(devices).unwrap();
            self.alice
                .engine
                .shared(SessionId { room_id: ROOM, id: &session.session_id }, &devices)
                .unwrap();
        }
        self.alice.persist();
    }

    fn sends(&mut self, event_type: &str, text: &str) {
        self.now += 60_000;
        self.shares(false);
        self.puts(event_type, text);
    }

    fn puts(&mut self, event_type: &str, text: &str) {
        let key = event_type.rsplit('.').next().unwrap();
        let mut event = self.alice.encrypt(ROOM, event_type, &json!({key: text}));
        event["origin_server_ts"] = json!(self.now);
        self.alice.open("/sync?since=e", &sync(vec![], vec![event.clone()]));
        self.sent.push((text.to_owned(), event["content"].clone()));
    }

    /// After an answer: keys are given and what falls to Alice is sent again; how much that was.
    fn tends(&mut self) -> Vec<String> {
        self.now += 60_000;
        self.shares(true);
        let members: Vec<&str> = self.people.keys().map(String::as_str).chain([ALICE]).collect();
        let json = json!({"members": members, "now": self.now}).to_string();
        let again = self.alice.engine.reencrypt(RoomId(ROOM), &json).unwrap();
        let mut sent = Vec::new();
        for event in again.events {
            self.shares(true);
            let content: Value = serde_json::from_str(&event.content_json).unwrap();
            let text = content.as_object().unwrap().values().next().unwrap().as_str().unwrap();
            self.puts(&event.event_type, text);
            sent.push(text.to_owned());
        }
        sent
    }

    fn reloads(&mut self) {
        self.alice.reload();
        self.alice.open("/sync?since=r", &sync(room_state(), vec![]));
    }

    /// What of all that was ever sent the device can open.
    fn reads(&mut self, user: &str, id: &str) -> Vec<String> {
        let none = &mut Vec::new();
        let keys = self.keys.get_mut(&format!("{user} {id}")).unwrap_or(none);
        let mut all = Vec::new();
        for (text, content) in &self.sent {
            let session_id = content["session_id"].as_str().unwrap();
            let ciphertext = content["ciphertext"].as_str().unwrap();
            let message = MegolmMessage::from_base64(ciphertext).unwrap();
            let mut theirs = keys.iter_mut().filter(|key| key.session_id() == session_id);
            if theirs.any(|key| key.decrypt(&message).is_ok()) {
                all.push(text.clone());
            }
        }
        all.sort();
        all.dedup();
        all
    }
}

#[test]
fn who_joins_later_reads_what_is_kept_or_what_is_so_now() {
    for is_reloaded in [false, true] {
        for (visibilities, expected) in [(WIDE, &["A", "B", "C", "T"][..]), (NARROW, &["C", "T"])] {
            for visibility in visibilities {
                let mut room = Room::new(visibility);
                room.comes(BOB, &["B1"]);
                for name in ["A", "B", "C"] {
                    room.sends("m.room.name", name);
                }
                room.sends("m.room.topic", "T");
                if is_reloaded {
                    room.reloads();
                }
                room.comes(CAROL, &["C1"]);
                room.tends();
                assert_eq!(room.reads(CAROL, "C1"), expected, "{visibility} {is_reloaded}");
                assert_eq!(room.reads(BOB, "B1"), ["A", "B", "C", "T"]);
                room.sends("m.room.name", "D");
                assert!(room.reads(CAROL, "C1").contains(&"D".to_owned()));
            }
        }
    }
}

#[test]
fn what_stands_before_something_that_was_replaced_is_sent_again_once() {
    for is_reloaded in [false, true] {
        for visibility in NARROW {
            let mut room = Room::new(visibility);
            room.comes(BOB, &["B1"]);
            room.sends("m.room.topic", "T");
            room.sends("m.room.name", "A");
            room.sends("m.room.name", "B");
            room.comes(CAROL, &["C1"]);
            room.shares(true);
            assert_eq!(room.reads(CAROL, "C1"), ["B"], "{visibility}");
            if is_reloaded {
                room.reloads();
            }
            let again = room.tends();
            assert!(again.contains(&"T".to_owned()), "{visibility} {is_reloaded}");
            assert_eq!(room.tends(), Vec::<String>::new(), "{visibility} {is_reloaded}");
            let reads = room.reads(CAROL, "C1");
            assert!(!reads.contains(&"A".to_owned()) && reads.contains(&"T".to_owned()));
        }
    }
}

#[test]
fn a_further_device_reads_what_its_owner_may_from_when_they_came() {
    for visibility in NARROW {
        for is_reloaded in [false, true] {
            let mut room = Room::new(visibility);
            // Dave has no device yet.
            room.comes(DAVE, &[]);
            room.comes(BOB, &["B1"]);
            room.sends("m.room.name", "A");
            room.sends("m.room.name", "B");
            room.comes(CAROL, &["C1"]);
            room.tends();
            room.sends("m.room.name", "C");
            room.sends("m.room.name", "D");
            if is_reloaded {
                room.reloads();
            }
            for (user, id) in [(BOB, "B2"), (CAROL, "C2"), (DAVE, "D1")] {
                room.signs_in(user, id);
            }
            room.tends();
            let all: &[&str] = &["A", "B", "C", "D"];
            for (user, id, expected) in [
                (BOB, "B2", all),
                (DAVE, "D1", all),
                (CAROL, "C1", &all[1..]),
                (CAROL, "C2", &all[1..]),
            ] {
                assert_eq!(room.reads(user, id), expected, "{visibility} {id} {is_reloaded}");
            }
        }
    }
}

#[test]
fn what_was_set_while_somebody_was_away_is_not_for_them() {
    for visibility in NARROW {
        for away in ["leave", "ban"] {
            let mut room = Room::new(visibility);
            room.comes(BOB, &["B1"]);
            room.sends("m.room.name", "A");
            let devices = room.goes(BOB, away);
            room.sends("m.room.name", "B");
            room.sends("m.room.name", "C");
            if away == "ban" {
                // Taken back.
                room.membership(BOB, "leave");
            }
            room.people.insert(BOB.to_owned(), devices);
            room.membership(BOB, "join");
            room.tends();
            assert_eq!(room.reads(BOB, "B1"), ["A", "C"], "{visibility} {away}");
        }
    }
}

#[test]
fn a_change_of_visibility_counts_from_when_it_is_made() {
    for narrow in NARROW {
        for wide in WIDE {
            for is_reloaded in [false, true] {
                let mut room = Room::new(narrow);
                room.comes(BOB, &["B1"]);
                room.sends("m.room.name", "A");
                room.sends("m.room.name", "B");
                room.visibility = wide;
                room.tends();
                for name in ["C", "D"] {
                    room.sends("m.room.name", name);
                }
                if is_reloaded {
                    room.reloads();
                }
                room.comes(CAROL, &["C1"]);
                room.tends();
                let case = format!("{narrow} {wide} {is_reloaded}");
                assert_eq!(room.reads(CAROL, "C1"), ["C", "D"], "{case}");
                room.visibility = narrow;
                room.sends("m.room.name", "E");
                room.sends("m.room.name", "F");
                room.comes(DAVE, &["D1"]);
                room.tends();
                let reads = room.reads(DAVE, "D1");
                assert!(!reads.contains(&"E".to_owned()), "{case}: {reads:?}");
                assert!(!reads.contains(&"A".to_owned()), "{case}: {reads:?}");
                assert!(reads.contains(&"F".to_owned()), "{case}: {reads:?}");
            }
        }
    }
}

#[test]
fn what_was_redacted_is_for_nobody_who_comes_later() {
    for visibility in NARROW {
        let mut room = Room::new(visibility);
        room.comes(BOB, &["B1"]);
        room.sends("m.room.name", "A");
        let (_, content) = room.sent[0].clone();
        let id = format!("${}-0", &content["session_id"].as_str().unwrap()[..8]);
        let redaction = json!({"type": "m.room.redaction", "sender": ALICE, "redacts": id,
            "event_id": "$redaction", "content": {}, "origin_server_ts": NOW + 1});
        room.alice.open("/sync?since=c", &sync(vec![], vec![redaction]));
        room.sends("m.room.topic", "T");
        room.comes(CAROL, &["C1"]);
        room.tends();
        assert_eq!(room.reads(CAROL, "C1"), ["T"], "{visibility}");
    }
}

#[test]
fn what_another_has_replaced_is_for_nobody_who_comes_later_though_its_key_is_awaited() {
    for visibility in NARROW {
        let mut room = Room::new(visibility);
        room.comes(BOB, &["B1"]);
        let mut bob = Client::new(BOB);
        let (replacing, _) = bob.send(ROOM, &[], "m.room.name", &json!({"name": "B"}));
        room.shares(false);
        let mut event = room.alice.encrypt(ROOM, "m.room.name", &json!({"name": "A"}));
        event["origin_server_ts"] = json!(room.now);
        room.sent.push(("A".to_owned(), event["content"].clone()));
        // In one answer, as a tab that is opened then gets it.
        room.alice.open("/sync?since=e", &sync(vec![], vec![event, replacing]));
        room.comes(CAROL, &["C1"]);
        room.shares(true);
        assert_eq!(room.reads(CAROL, "C1"), Vec::<String>::new(), "{visibility}");
        assert_eq!(room.reads(BOB, "B1"), ["A"], "{visibility}");
    }
}

/// A page may be closed between any two entries that it stores, and a disk may take one and not the
/// other.
#[test]
fn who_came_while_that_was_stored_in_part_reads_no_more() {
    for stored in ["holders/", "outbound/", "nothing"] {
        for visibility in NARROW {
            for was_open in [false, true] {
                let mut room = Room::new(visibility);
                room.comes(BOB, &["B1"]);
                for name in ["A", "B"] {
                    room.sends("m.room.name", name);
                }
                room.alice.persist();
                let mut other = room.alice.tab();
                other.open("/sync?since=o", &sync(room_state(), vec![]));
                room.comes(CAROL, &["C1"]);
                room.view(true);
                let batch = room.alice.engine.take_persist().unwrap();
                for entry in batch.entries.into_iter().filter(|one| one.key.starts_with(stored)) {
                    room.alice.store.insert(entry.key, json!(entry.value.unwrap()));
                }
                if was_open {
                    other.engine.stop_writing();
                    other.store.clone_from(&room.alice.store);
                    let store = Value::Object(other.store.clone()).to_string();
                    other.engine.become_writer(&store).unwrap();
                    room.alice = other;
                } else {
                    room.alice = room.alice.tab();
                    room.alice.open("/sync?since=o", &sync(room_state(), vec![]));
                }
                room.membership(CAROL, "join");
                room.tends();
                let case = format!("{stored} {visibility} {was_open}");
                assert_eq!(room.reads(CAROL, "C1"), ["B"], "{case}");
                assert_eq!(room.reads(BOB, "B1"), ["A", "B"], "{case}");
                room.sends("m.room.name", "C");
                assert_eq!(room.reads(CAROL, "C1"), ["B", "C"], "{case}");
            }
        }
    }
}

#[test]
fn a_crowd_that_comes_later_and_an_index_far_on_bring_a_new_session() {
    let mut room = Room::new("joined");
    room.comes(BOB, &["B1"]);
    room.sends("m.room.name", "A");
    // People of whom it must be known from where on each may read.
    for number in 0..4_200 {
        let user = format!("@{number:04}:example.org");
        let device = json!({"deviceId": "D", "curve25519": user});
        room.people.insert(user, vec![device]);
    }
    room.shares(true);
    assert_eq!(room.rotated, ["visibility"]);
    let mut room = Room::new("joined");
    room.comes(BOB, &["B1"]);
    room.shares(false);
    for number in 0..300 {
        room.puts("m.room.name", &number.to_string());
    }
    // Without a device at first.
    room.comes(CAROL, &[]);
    room.tends();
    assert_eq!(room.rotated, Vec::<&str>::new());
    room.signs_in(CAROL, "C1");
    room.tends();
    assert_eq!(room.rotated, ["visibility"]);
    assert_eq!(room.reads(CAROL, "C1"), ["299"]);
}

/// What falls to Alice by then, and in how long she is to look again.
fn falls_to_alice(room: &mut Room, later: u64) -> (Vec<String>, u64) {
    room.now += later;
    let members: Vec<&str> = room.people.keys().map(String::as_str).chain([ALICE]).collect();
    let json = json!({"members": members, "now": room.now}).to_string();
    let again = room.alice.engine.reencrypt(RoomId(ROOM), &json).unwrap();
    let types = again.events.into_iter().map(|event| event.event_type).collect();
    (types, again.delay_ms)
}

/// Encrypted by Alice, and never there.
fn loses(room: &mut Room, event_type: &str, is_again: bool) {
    room.shares(is_again);
    let key = event_type.rsplit('.').next().unwrap();
    room.alice.encrypt(ROOM, event_type, &json!({key: "lost"}));
    room.alice.persist();
}

#[test]
fn what_was_sent_again_and_never_came_is_sent_again_later() {
    for is_reloaded in [false, true] {
        for visibility in NARROW {
            // What was to be sent again is lost, or what its author set by then.
            for is_again in [true, false] {
                let case = format!("{visibility} {is_reloaded} {is_again}");
                let mut room = Room::new(visibility);
                room.comes(BOB, &["B1"]);
                room.sends("m.room.topic", "T");
                room.sends("m.room.name", "A");
                room.sends("m.room.name", "B");
                room.now += 60_000;
                room.comes(CAROL, &["C1"]);
                room.shares(true);
                let (types, _) = falls_to_alice(&mut room, 40_000);
                assert_eq!(types, ["m.room.topic"], "{case}");
                loses(&mut room, "m.room.topic", is_again);
                if is_reloaded {
                    room.reloads();
                }
                let (types, delay) = falls_to_alice(&mut room, 20_000);
                assert_eq!((types.len(), delay), (0, 40_000), "{case}");
                let (types, _) = falls_to_alice(&mut room, delay);
                assert_eq!(types, ["m.room.topic"], "{case}");
                assert_eq!(room.tends(), ["T"], "{case}");
                assert_eq!(room.tends(), Vec::<String>::new(), "{case}");
                assert_eq!(room.reads(CAROL, "C1"), ["B", "T"], "{case}");
            }
        }
    }
}

#[test]
fn what_was_lost_on_its_way_to_those_who_had_joined_before_is_sent_again() {
    for visibility in WIDE {
        let mut room = Room::new(visibility);
        room.comes(BOB, &["B1"]);
        room.sends("m.room.topic", "T");
        room.now += 60_000;
        room.comes(CAROL, &["C1"]);
        room.shares(true);
        assert_eq!(falls_to_alice(&mut room, 0).0, ["m.room.topic"], "{visibility}");
        room.now += 1;
        loses(&mut room, "m.room.topic", true);
        assert_eq!(falls_to_alice(&mut room, 20_000), (vec![], 40_000), "{visibility}");
        assert_eq!(room.tends(), ["T"], "{visibility}");
        assert_eq!(room.tends(), Vec::<String>::new(), "{visibility}");
    }
}

#[test]
fn what_its_author_may_not_send_any_more_is_not_tried_again() {
    let mut room = Room::new("joined");
    room.comes(BOB, &["B1"]);
    room.sends("m.room.topic", "T");
    room.sends("m.room.name", "A");
    room.sends("m.room.name", "B");
    room.now += 60_000;
    let levels = json!({"type": "m.room.power_levels", "state_key": "", "sender": ALICE,
        "content": {"users": {BOB: 100, ALICE: 0}}, "event_id": "$levels2",
        "origin_server_ts": room.now});
    room.alice.open("/sync?since=p", &sync(vec![], vec![levels]));
    room.comes(CAROL, &["C1"]);
    room.shares(true);
    assert_eq!(falls_to_alice(&mut room, 0), (vec![], 0));
}

/// Alice's room, in which a session was made just now because Eve had gone; by what is current in it
/// Dave, who has gone since, is the reason for the next.
fn renewed_just_now(visibility: &'static str) -> Room {
    let mut room = Room::new(visibility);
    for (user, devices) in [(BOB, &["B1"][..]), ("@eve:example.org", &["E1"]), (DAVE, &[])] {
        room.comes(user, devices);
    }
    room.sends("m.room.name", "A");
    room.now += 60_000;
    room.goes("@eve:example.org", "leave");
    room.shares(true);
    assert_eq!(room.rotated, ["member-left"], "{visibility}");
    for name in ["B", "C"] {
        room.puts("m.room.name", name);
    }
    room.goes(DAVE, "leave");
    room.now += 1_000;
    room
}

/// Of whom it must be known from where on each may read.
fn crowd(room: &mut Room, count: usize, has_devices: bool) -> Vec<String> {
    let users: Vec<String> = (0..count).map(|number| format!("@{number:04}:example.org")).collect();
    for user in &users {
        let device = has_devices.then(|| json!({"deviceId": "D", "curve25519": user}));
        room.people.insert(user.clone(), device.into_iter().collect());
    }
    users
}

#[test]
fn while_a_new_session_is_put_off_nobody_gets_the_key_of_the_old_one() {
    for visibility in NARROW {
        let mut room = renewed_just_now(visibility);
        let users = crowd(&mut room, 4_200, true);
        room.shares(true);
        assert_eq!(room.rotated, ["member-left"], "{visibility}");
        assert!(users.iter().all(|user| room.reads(user, "D").is_empty()), "{visibility}");
        let (_, delay) = falls_to_alice(&mut room, 0);
        assert_eq!(delay, 19_000, "{visibility}");
        room.now += delay;
        room.shares(true);
        assert_eq!(room.rotated, ["member-left", "visibility"]);
        room.puts("m.room.name", "D");
        for user in &users {
            assert_eq!(room.reads(user, "D"), ["D"], "{visibility} {user}");
        }
    }
}

#[test]
fn after_a_visibility_has_narrowed_nobody_gets_the_key_of_before() {
    for wide in WIDE {
        for narrow in NARROW {
            let mut room = renewed_just_now(wide);
            room.visibility = narrow;
            room.comes(CAROL, &["C1"]);
            room.shares(true);
            assert_eq!(room.reads(CAROL, "C1"), Vec::<String>::new(), "{wide} {narrow}");
            let (_, delay) = falls_to_alice(&mut room, 0);
            assert_eq!(delay, 19_000, "{wide} {narrow}");
            room.now += delay;
            room.shares(true);
            assert_eq!(room.rotated, ["member-left", "visibility"], "{wide} {narrow}");
            room.puts("m.room.name", "D");
            assert_eq!(room.reads(CAROL, "C1"), ["D"], "{wide} {narrow}");
        }
    }
}

#[test]
fn people_without_a_device_leave_place_for_those_who_come() {
    for is_reloaded in [false, true] {
        let mut room = Room::new("joined");
        room.comes(BOB, &["B1"]);
        crowd(&mut room, 5_000, false);
        room.sends("m.room.name", "A");
        room.sends("m.room.name", "B");
        if is_reloaded {
            room.reloads();
        }
        for (user, id) in [(CAROL, "C1"), (DAVE, "D1")] {
            room.now += 60_000;
            room.comes(user, &[id]);
            room.shares(true);
            assert_eq!(room.reads(user, id), ["B"], "{user} {is_reloaded}");
        }
        // One of those for whom there was no place reads no more than who comes now.
        let users: Vec<String> =
            room.people.keys().filter(|id| id.starts_with("@0")).cloned().collect();
        for user in &users {
            let device = json!({"deviceId": "D", "curve25519": user});
            room.people.insert(user.clone(), vec![device]);
        }
        room.shares(true);
        assert_eq!(room.rotated, Vec::<&str>::new());
        let all = users.iter().filter(|user| room.reads(user, "D") == ["A", "B"]).count();
        let now = users.iter().filter(|user| room.reads(user, "D") == ["B"]).count();
        assert!(all > 100 && now > 100 && all + now == users.len(), "{all} {now}");
    }
}

#[test]
fn newcomers_for_whom_a_session_must_be_made_wait_for_one_together() {
    let mut room = Room::new("joined");
    room.comes(BOB, &["B1"]);
    room.shares(false);
    for (user, id, expected) in [(CAROL, "C1", 1), (DAVE, "D1", 2)] {
        for number in 0..300 {
            room.puts("m.room.name", &number.to_string());
        }
        room.comes(user, &[id]);
        room.now += 1_000;
        room.shares(true);
        if user == DAVE {
            assert_eq!(room.rotated, ["visibility"]);
            assert_eq!(room.reads(user, id), Vec::<String>::new());
            let (_, delay) = falls_to_alice(&mut room, 0);
            assert_eq!(delay, 19_000);
            room.now += delay;
            room.shares(true);
        }
        assert_eq!(room.rotated.len(), expected, "{user}");
        room.puts("m.room.name", "now");
        assert_eq!(room.reads(user, id), ["now"], "{user}");
    }
}
