//! Names in one room, sealed inside people's own member events: read by whoever is there, said by
//! nobody else, and not wound back.

use mantle_room_state::{EventId, MEMBER_PROFILE, RoomId, TypeAndKey};
use serde_json::{Value, json};
use vodozemac::{Curve25519PublicKey, Curve25519SecretKey, Ed25519Keypair};

use crate::device::published;
use crate::people::*;

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// Somebody whose crypto signs.
struct Person {
    client: Client,
    key: Ed25519Keypair,
    count: u32,
}

impl Person {
    fn new(user: &str) -> Self {
        let key = Ed25519Keypair::new();
        let curve25519 = Curve25519PublicKey::from(&Curve25519SecretKey::new()).to_base64();
        let ed25519 = key.public_key().to_base64();
        let device =
            published(user, "SIGNS", &curve25519, &ed25519, |text| key.sign(text).to_base64());
        let mut person =
            Self { client: Client { device, ..Client::new(user) }.tab(), key, count: 0 };
        person.client.open("/sync?since=a", &sync(powerless(), vec![]));
        person
    }

    fn takes_name(&mut self, room: &str, name: Option<&str>, at: u64) -> (Value, String) {
        self.takes(room, &profile(name), at)
    }

    /// As the page does it; the member event and the session's key as its recipients have it.
    fn takes(&mut self, room: &str, content: &Value, at: u64) -> (Value, String) {
        let session = self.client.session(room, &[]);
        let slot = (MEMBER_PROFILE, self.client.user.clone());
        let text = content.to_string();
        let signed = self
            .client
            .engine
            .text_to_sign(
                RoomId(room),
                TypeAndKey { event_type: slot.0, state_key: &slot.1 },
                &text,
                at,
            )
            .unwrap();
        self.client.engine.add_signature(&self.key.sign(signed.as_bytes()).to_base64());
        let sealed = self.client.encrypt_at(room, (slot.0, &slot.1), content)["content"].clone();
        self.count += 1;
        let id = format!("$nick{}{}", self.count, &self.client.user[1..2]);
        let event = carrier(&self.client.user, &id, at, &sealed);
        // It comes back by sync.
        assert_eq!(self.client.names(room, std::slice::from_ref(&event)).len(), 1);
        (event, session.import_json)
    }
}

fn profile(name: Option<&str>) -> Value {
    match name {
        Some(name) => json!({"displayname": name, "org.mantle.padding": "  "}),
        None => json!({"org.mantle.padding": "    "}),
    }
}

fn carrier(user: &str, id: &str, at: u64, sealed: &Value) -> Value {
    json!({"type": "m.room.member", "state_key": user, "sender": user, "event_id": id,
        "origin_server_ts": at, "content": {"membership": "join", "displayname": "Global",
        MEMBER_PROFILE: sealed}})
}

/// A room whose members, but for Alice, have no power.
fn powerless() -> Vec<Value> {
    let mut state = room_state();
    for event in &mut state {
        if event["type"] == "m.room.power_levels" {
            event["content"] = json!({"users": {ALICE: 100}});
        }
    }
    state
}

impl Client {
    /// What is opened of the member events that a client holds: carrier and name.
    fn names(&mut self, room: &str, members: &[Value]) -> Vec<(String, Option<String>)> {
        self.engine.add_member_profiles(RoomId(room), &json!(members).to_string()).unwrap();
        let opened = self.retried().into_iter().filter(|event| event["type"] == MEMBER_PROFILE);
        opened
            .map(|event| {
                let name = event["content"]["displayname"].as_str().map(str::to_owned);
                (event["event_id"].as_str().unwrap().to_owned(), name)
            })
            .collect()
    }
}

fn called(event: &Value, name: &str) -> Vec<(String, Option<String>)> {
    vec![(event["event_id"].as_str().unwrap().to_owned(), Some(name.to_owned()))]
}

/// Somebody in the room who has the keys of others.
fn reader(others: &[&Client], keys: &[&str]) -> Client {
    let mut bob = Client::new(BOB);
    bob.knows(others);
    bob.open("/sync?since=a", &sync(powerless(), vec![]));
    bob.engine.members_added(ROOM);
    for keys in keys {
        bob.engine.add_room_keys(keys).unwrap();
    }
    bob
}

#[test]
fn who_has_no_power_takes_a_name_and_it_is_there_after_a_reload() {
    let mut carol = Person::new(CAROL);
    let (event, keys) = carol.takes_name(ROOM, Some("Rosa"), NOW);
    let mut bob = reader(&[&carol.client], &[&keys]);
    assert_eq!(bob.names(ROOM, std::slice::from_ref(&event)), called(&event, "Rosa"));
    // Asked once more: another client of the same page.
    assert_eq!(bob.names(ROOM, std::slice::from_ref(&event)), called(&event, "Rosa"));
    bob.reload();
    bob.knows(&[&carol.client]);
    bob.engine.add_room_keys(&keys).unwrap();
    assert_eq!(bob.names(ROOM, std::slice::from_ref(&event)), called(&event, "Rosa"));
    assert_eq!(bob.codes(), Vec::<&str>::new());
}

#[test]
fn it_opens_when_its_key_comes_late() {
    let mut carol = Person::new(CAROL);
    let (event, keys) = carol.takes_name(ROOM, Some("Rosa"), NOW);
    let mut bob = reader(&[&carol.client], &[]);
    assert_eq!(bob.names(ROOM, std::slice::from_ref(&event)), []);
    assert!(
        bob.engine
            .is_undecryptable(EventId { room_id: ROOM, id: event["event_id"].as_str().unwrap() })
    );
    bob.engine.add_room_keys(&keys).unwrap();
    assert_eq!(bob.names(ROOM, &[]), called(&event, "Rosa"));
}

#[test]
fn an_old_name_put_back_is_not_taken() {
    for is_new_session in [false, true] {
        let mut carol = Person::new(CAROL);
        let (mut old, old_keys) = carol.takes_name(ROOM, Some("Rosa"), NOW);
        if is_new_session {
            carol.client = carol.client.restarted();
            carol.client.knows(&[]);
        }
        let (new, keys) = carol.takes_name(ROOM, Some("Carla"), NOW + DAY);
        let mut bob = reader(&[&carol.client], &[&old_keys, &keys]);
        assert_eq!(bob.names(ROOM, std::slice::from_ref(&new)), called(&new, "Carla"));
        for is_reloaded in [false, true] {
            if is_reloaded {
                bob.reload();
                bob.knows(&[&carol.client]);
                bob.engine.add_room_keys(&old_keys).unwrap();
            }
            old["origin_server_ts"] = json!(NOW + 30 * DAY);
            assert_eq!(bob.names(ROOM, std::slice::from_ref(&old)), [], "{is_new_session}");
            // Whoever is in the room could raise an alarm so.
            assert_eq!(bob.codes(), Vec::<&str>::new(), "{is_new_session} {is_reloaded}");
        }
    }
}

#[test]
fn one_that_was_taken_back_does_not_come_again() {
    let mut carol = Person::new(CAROL);
    let (old, _) = carol.takes_name(ROOM, Some("Rosa"), NOW);
    let (none, keys) = carol.takes_name(ROOM, None, NOW + DAY);
    let mut bob = reader(&[&carol.client], &[&keys]);
    let id = none["event_id"].as_str().unwrap().to_owned();
    assert_eq!(bob.names(ROOM, std::slice::from_ref(&none)), [(id, None)]);
    assert_eq!(bob.names(ROOM, std::slice::from_ref(&old)), []);
}

#[test]
fn its_ciphertext_is_taken_of_no_other_event_person_or_room() {
    let mut carol = Person::new(CAROL);
    let (event, keys) = carol.takes_name(ROOM, Some("Rosa"), NOW);
    let sealed = &event["content"][MEMBER_PROFILE];
    let dave = Client::new("@dave:example.org");
    let mut bob = reader(&[&carol.client, &dave], &[&keys]);
    assert_eq!(bob.names(ROOM, std::slice::from_ref(&event)), called(&event, "Rosa"));
    let copies = [carrier(CAROL, "$again", NOW, sealed), carrier(&dave.user, "$copy", NOW, sealed)];
    for copy in &copies {
        assert_eq!(bob.names(ROOM, std::slice::from_ref(copy)), []);
        assert!(!bob.engine.has_undecryptable(), "it is refused, and nothing is waited for");
    }
    // In another room nobody has such a session, and a key that says it has is the homeserver's word.
    let there = keys.replace(ROOM, "!other:example.org");
    bob.engine.add_room_keys(&there).unwrap();
    assert_eq!(bob.names("!other:example.org", std::slice::from_ref(&event)), []);
    // Whoever is in the room may do this, so it is no matter to warn of.
    assert_eq!(bob.codes(), Vec::<&str>::new());
}

#[test]
fn a_moderator_says_nobodys_name() {
    let mut alice = Person::new(ALICE);
    let (event, keys) = alice.takes_name(ROOM, Some("Queen"), NOW);
    let mut bob = reader(&[&alice.client], &[&keys]);
    for membership in ["join", "invite", "leave", "ban"] {
        let mut other = event.clone();
        other["state_key"] = json!(CAROL);
        other["content"]["membership"] = json!(membership);
        assert_eq!(bob.names(ROOM, &[other]), []);
    }
    assert!(!bob.engine.has_undecryptable(), "nor is anything waited for");
    // As encrypted state, which she has the power for, it is nobody's name either.
    let sealed = alice.client.encrypt_at(ROOM, (MEMBER_PROFILE, CAROL), &profile(Some("Fool")));
    let shown = bob.open("/sync?since=b", &sync(vec![], vec![sealed]));
    assert!(!shown.to_string().contains("Fool"));
    assert_eq!(bob.codes(), ["power-level"]);
}

#[test]
fn other_encrypted_state_in_its_place_is_none() {
    let mut alice = Person::new(ALICE);
    let (_, keys) = alice.takes_name(ROOM, Some("Queen"), NOW);
    let content = json!({"name": "x", "displayname": "Fool"});
    let name = alice.client.encrypt(ROOM, "m.room.name", &content)["content"].clone();
    let mut bob = reader(&[&alice.client], &[&keys]);
    assert_eq!(bob.names(ROOM, &[carrier(ALICE, "$name", NOW, &name)]), []);
    assert!(!bob.engine.has_undecryptable());
    assert_eq!(bob.codes(), Vec::<&str>::new());
}

#[test]
fn one_that_is_too_long_is_not_looked_at_and_thousands_have_a_bound() {
    let mut carol = Person::new(CAROL);
    let long = "n".repeat(9_000);
    let (event, keys) = {
        let session = carol.client.session(ROOM, &[]);
        let slot = (MEMBER_PROFILE, CAROL);
        let sealed = carol.client.encrypt_at(ROOM, slot, &profile(Some(&long)));
        (carrier(CAROL, "$long", NOW, &sealed["content"]), session.import_json)
    };
    let mut bob = reader(&[&carol.client], &[&keys]);
    assert_eq!(bob.names(ROOM, &[event]), []);
    assert!(!bob.engine.has_undecryptable());
    let session = device(ALICE, "X")["curve25519"].clone();
    for part in 0..5 {
        let flood: Vec<Value> = (0..1_000)
            .map(|number| {
                let sealed = json!({"algorithm": "m.megolm.v1.aes-sha2", "session_id": session,
                    "ciphertext": "A".repeat(200)});
                carrier(
                    &format!("@p{part}-{number}:x"),
                    &format!("$p{part}-{number}"),
                    NOW,
                    &sealed,
                )
            })
            .collect();
        bob.engine.add_member_profiles(RoomId(ROOM), &json!(flood).to_string()).unwrap();
    }
    assert!(bob.engine.take_undecryptable(usize::MAX).len() <= 4_096);
}

#[test]
fn the_names_of_hundreds_push_no_room_name_out() {
    let (_, mut bob, _) = alice_and_bob("10");
    bob.engine.members_added(ROOM);
    let mut last = Value::Null;
    for number in 0..100 {
        let mut person = Client::new(&format!("@p{number:03}:example.org"));
        let session = person.session(ROOM, &[]);
        let slot = (MEMBER_PROFILE, person.user.clone());
        let sealed = person.encrypt_at(ROOM, (slot.0, &slot.1), &profile(Some("Rosa")));
        bob.knows(&[&person]);
        bob.engine.add_room_keys(&session.import_json).unwrap();
        last = carrier(&person.user, &format!("$p{number}"), NOW, &sealed["content"]);
        assert_eq!(bob.names(ROOM, std::slice::from_ref(&last)), called(&last, "Rosa"));
    }
    bob.reload();
    assert!(bob.knows_name());
    let event_id = last["event_id"].as_str().unwrap();
    let user = last["sender"].as_str().unwrap();
    assert!(bob.engine.is_current(
        EventId { room_id: ROOM, id: event_id },
        TypeAndKey { event_type: MEMBER_PROFILE, state_key: user }
    ));
}

#[test]
fn ones_own_is_known_to_be_put_again_and_is_sealed_on_disk() {
    let mut carol = Person::new(CAROL);
    carol.takes_name(ROOM, Some("Rosa"), NOW);
    carol.client.reload();
    assert!(!json!(carol.client.store).to_string().contains("Rosa"));
    let own = carol.client.engine.own_profile(RoomId(ROOM)).unwrap();
    assert!(own.content_json.contains("Rosa"));
    assert!(!own.is_outdated);
    assert_eq!(carol.client.engine.own_profiles(), [ROOM]);
    // A new session, whose key is all that whoever comes now is given.
    carol.client = carol.client.restarted();
    carol.client.session(ROOM, &[]);
    assert!(carol.client.engine.own_profile(RoomId(ROOM)).unwrap().is_outdated);
    // Put again it is newer.
    let (event, _) = carol.takes_name(ROOM, Some("Rosa"), NOW + MINUTE);
    let own = carol.client.engine.own_profile(RoomId(ROOM)).unwrap();
    assert_eq!(event["content"][MEMBER_PROFILE]["session_id"], json!(own.session_id));
    assert!(!own.is_outdated);
}

#[test]
fn a_picture_alone_is_kept_like_a_name_and_taken_back_like_one() {
    let mut carol = Person::new(CAROL);
    let picture = json!({"file": {"v": "v2", "url": "mxc://hs/carolspicture"}});
    let content = json!({"avatar": picture, "org.mantle.padding": " "});
    let (old, keys) = carol.takes(ROOM, &content, NOW);
    carol.client.reload();
    assert!(!json!(carol.client.store).to_string().contains("carolspicture"));
    let own = carol.client.engine.own_profile(RoomId(ROOM)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&own.content_json).unwrap(), content);
    let mut bob = reader(&[&carol.client], &[&keys]);
    let id = old["event_id"].as_str().unwrap().to_owned();
    assert_eq!(bob.names(ROOM, std::slice::from_ref(&old)), [(id, None)]);
    let (back, _) = carol.takes_name(ROOM, None, NOW + MINUTE);
    assert!(carol.client.engine.own_profile(RoomId(ROOM)).is_none());
    assert_eq!(bob.names(ROOM, &[back]).len(), 1);
    assert_eq!(bob.names(ROOM, &[old]), [], "an old one that is put back");
}

#[test]
fn two_devices_of_one_person_do_not_take_turns() {
    let mut phone = Person::new(CAROL);
    let mut desk = Person::new(CAROL);
    desk.client.device = device(CAROL, "DESK");
    desk.client = desk.client.restarted();
    desk.client.open("/sync?since=a", &sync(powerless(), vec![]));
    desk.client.knows(&[&phone.client]);
    desk.client.engine.members_added(ROOM);
    let (event, keys) = phone.takes_name(ROOM, Some("Rosa"), NOW);
    desk.client.engine.add_room_keys(&keys).unwrap();
    assert_eq!(desk.client.names(ROOM, std::slice::from_ref(&event)), called(&event, "Rosa"));
    // It has a session of its own in the room, for whatever else it encrypts.
    desk.client.session(ROOM, &[]);
    let own = desk.client.engine.own_profile(RoomId(ROOM)).unwrap();
    assert_eq!(own.event_id, event["event_id"].as_str().unwrap());
    assert!(!own.is_outdated, "that is the other device's to do");
    desk.client.reload();
    desk.client.session(ROOM, &[]);
    assert!(!desk.client.engine.own_profile(RoomId(ROOM)).unwrap().is_outdated);
}

#[test]
fn of_one_person_one_waits_and_a_flood_pushes_no_room_name_out() {
    let (mut alice, mut bob, _) = alice_and_bob("10");
    let session = alice.session(ROOM, &[]);
    let late = alice.encrypt(ROOM, "m.room.topic", &json!({"topic": "late"}));
    let late_id = late["event_id"].as_str().unwrap().to_owned();
    drop(session);
    let mut wait = late.clone();
    wait["content"]["session_id"] = json!("unknown");
    bob.open("/sync?since=late", &sync(vec![], vec![wait]));
    assert!(bob.engine.is_undecryptable(EventId { room_id: ROOM, id: &late_id }));
    let sealed = json!({"algorithm": "m.megolm.v1.aes-sha2", "session_id": "unknown",
        "ciphertext": "A".repeat(200)});
    let is_waiting =
        |bob: &Client, id: &str| bob.engine.is_undecryptable(EventId { room_id: ROOM, id });
    for number in 0..3 {
        let one = carrier(CAROL, &format!("$c{number}"), NOW, &sealed);
        assert_eq!(bob.names(ROOM, &[one]), []);
    }
    assert!(!is_waiting(&bob, "$c0") && !is_waiting(&bob, "$c1") && is_waiting(&bob, "$c2"));
    for part in 0..9 {
        let flood: Vec<Value> = (0..500)
            .map(|number| {
                carrier(
                    &format!("@p{part}-{number}:x"),
                    &format!("$p{part}-{number}"),
                    NOW,
                    &sealed,
                )
            })
            .collect();
        bob.engine.add_member_profiles(RoomId(ROOM), &json!(flood).to_string()).unwrap();
    }
    assert!(is_waiting(&bob, &late_id), "the room's own state waits on");
}

#[test]
fn ones_own_is_forgotten_when_it_is_taken_back_removed_or_the_room_left() {
    let known = |carol: &Person| carol.client.engine.own_profile(RoomId(ROOM)).is_some();
    for how in ["back", "removed", "left", "readable"] {
        let mut carol = Person::new(CAROL);
        let (event, _) = carol.takes_name(ROOM, Some("Rosa"), NOW);
        assert!(known(&carol));
        match how {
            "back" => drop(carol.takes_name(ROOM, None, NOW + MINUTE)),
            "removed" => carol
                .client
                .engine
                .redact(EventId { room_id: ROOM, id: event["event_id"].as_str().unwrap() }),
            "readable" => carol.client.engine.forget_own_profile(RoomId(ROOM)),
            _ => {
                let left = json!({"rooms": {"leave": {ROOM: {
                    "timeline": {"events": [member(CAROL, "leave")]}}}}});
                carol.client.open("/sync?since=b", &left);
            }
        }
        assert!(!known(&carol), "{how}");
        carol.client.reload();
        assert!(!known(&carol), "{how}, after a reload");
    }
}

#[test]
fn somebody_elses_is_not_ones_own() {
    let mut carol = Person::new(CAROL);
    let (event, keys) = carol.takes_name(ROOM, Some("Rosa"), NOW);
    let mut bob = reader(&[&carol.client], &[&keys]);
    bob.names(ROOM, std::slice::from_ref(&event));
    assert!(bob.engine.own_profile(RoomId(ROOM)).is_none());
}

#[test]
fn it_is_never_sent_as_encrypted_state_of_its_own() {
    let mut carol = Person::new(CAROL);
    carol.takes_name(ROOM, Some("Rosa"), NOW);
    carol.client.open("/sync?since=b", &sync(vec![], vec![member(ALICE, "leave")]));
    carol.client.session(ROOM, &[]);
    let members = json!({"members": [CAROL, BOB], "now": NOW + MINUTE});
    let again = carol.client.engine.reencrypt(RoomId(ROOM), &members.to_string()).unwrap();
    assert_eq!(again.events.len(), 0);
    assert!(carol.client.engine.own_profile(RoomId(ROOM)).unwrap().is_outdated);
}
