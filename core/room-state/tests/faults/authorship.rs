//! Who set a name and after what does not hang on who gave its key, nor on a server's dates, where
//! its author's device has signed that.

use mantle_room_state::{
    Authorship, DeviceId, Request, RoomId, SignedBy, SlotOrder, StateSettings, Trust, TypeAndKey,
    signed_payload, text_to_sign,
};
use serde_json::{Value, json};
use vodozemac::{Curve25519PublicKey, Curve25519SecretKey, Ed25519Keypair};

use crate::device::published;
use crate::people::*;
use crate::trust::is_passed_on;

const DAY: u64 = 24 * 3_600_000;
const MALLORY: &str = "@mallory:example.org";

/// Somebody whose crypto signs.
struct Signer {
    client: Client,
    key: Ed25519Keypair,
}

impl Signer {
    fn new(user: &str) -> Self {
        let key = Ed25519Keypair::new();
        let curve25519 = Curve25519PublicKey::from(&Curve25519SecretKey::new()).to_base64();
        let ed25519 = key.public_key().to_base64();
        let device =
            published(user, "SIGNS", &curve25519, &ed25519, |text| key.sign(text).to_base64());
        Self { client: Client { device, ..Client::new(user) }.tab(), key }
    }

    /// As the page does it; the event and the session's key as its recipients have it.
    fn names(&mut self, name: &str, at: u64, is_signed: bool) -> (Value, String) {
        let session = self.client.session(ROOM, &[]);
        let content = named(name).to_string();
        let slot = TypeAndKey::single("m.room.name");
        let text = self.client.engine.text_to_sign(RoomId(ROOM), slot, &content, at).unwrap();
        if is_signed {
            self.client.engine.add_signature(&self.key.sign(text.as_bytes()).to_base64());
        }
        let mut event = self.client.encrypt(ROOM, "m.room.name", &named(name));
        event["origin_server_ts"] = json!(at);
        (event, session.import_json)
    }

    /// A new session, as after the browser's end, for what comes next.
    fn starts_anew(&mut self) {
        self.client = self.client.restarted();
        self.client.knows(&[]);
    }

    fn devices(&self) -> Value {
        self.client.devices()
    }
}

/// The key of a session as somebody else hands it out: as his own.
fn squatted(keys: &str, by: &Client) -> String {
    let mut keys: Value = serde_json::from_str(keys).unwrap();
    for key in keys.as_array_mut().unwrap() {
        key["sender_key"] = by.device["curve25519"].clone();
        key["sender_claimed_keys"] = json!({"ed25519": by.device["ed25519"]});
    }
    keys.to_string()
}

fn bob_in_room(others: &[Value]) -> Client {
    let mut bob = Client::new(BOB);
    bob.engine.add_devices(&json!(others).to_string()).unwrap();
    bob.open("/sync?since=a", &sync(room_state(), vec![]));
    bob.engine.members_added(ROOM);
    bob
}

fn sees(bob: &mut Client, event: &Value, name: &str) -> bool {
    bob.open("/sync?since=b", &sync(vec![], vec![event.clone()])).to_string().contains(name)
}

#[test]
fn a_session_that_another_gave_first_as_his_own_takes_nobodys_name_away() {
    for is_signed in [false, true] {
        let (mut alice, mallory) = (Signer::new(ALICE), Client::new(MALLORY));
        let (event, keys) = alice.names("Secret", NOW, is_signed);
        let mut bob = bob_in_room(&[alice.devices(), mallory.devices()]);
        bob.engine.add_room_keys(&squatted(&keys, &mallory)).unwrap();
        assert_eq!(sees(&mut bob, &event, "Secret"), is_signed);
        assert_eq!(bob.codes().contains(&"foreign-session"), !is_signed);
        bob.reload();
        let url = format!("{HS}/rooms/{ROOM}/state/m.room.name");
        let known = serde_json::to_string(&bob.engine.before(Request { method: "GET", url: &url }))
            .unwrap();
        assert_eq!(known.contains("Secret"), is_signed, "also after a reload");
    }
}

#[test]
fn such_a_name_waits_for_its_authors_devices_and_for_their_standing() {
    let (mut alice, mallory) = (Signer::new(ALICE), Client::new(MALLORY));
    let (event, keys) = alice.names("Secret", NOW, true);
    let mut bob = bob_in_room(&[mallory.devices()]);
    bob.engine.add_room_keys(&squatted(&keys, &mallory)).unwrap();
    assert!(!sees(&mut bob, &event, "Secret"));
    bob.engine.add_devices(&json!([alice.devices()]).to_string()).unwrap();
    assert!(json!(bob.retried()).to_string().contains("Secret"));

    let mut bob = bob_in_room(&[mallory.devices()]);
    let settings = StateSettings { trust: Trust::CrossSigned, ..StateSettings::default() };
    bob.engine.apply_settings(settings);
    for (standing, is_shown) in [("plain", false), ("unsigned", false), ("signed", true)] {
        let mut devices = alice.devices();
        devices["devices"][0]["standing"] = json!(standing);
        bob.engine.add_devices(&json!([devices]).to_string()).unwrap();
        bob.engine.add_room_keys(&squatted(&keys, &mallory)).unwrap();
        let shown = sees(&mut bob, &event, "Secret");
        let retried = json!(bob.retried()).to_string().contains("Secret");
        assert_eq!(shown || retried, is_shown, "{standing}");
    }
}

#[test]
fn nobody_else_sends_what_another_has_signed() {
    let (mut alice, carol) = (Signer::new(ALICE), Client::new(CAROL));
    let (mut event, keys) = alice.names("Secret", NOW, true);
    // Carol may set names herself, and the homeserver does what she wants.
    event["sender"] = json!(CAROL);
    let mut bob = bob_in_room(&[alice.devices(), carol.devices()]);
    bob.engine.add_room_keys(&squatted(&keys, &carol)).unwrap();
    assert!(!sees(&mut bob, &event, "Secret"));
    assert_eq!(bob.codes(), ["foreign-session"]);
}

#[test]
fn a_signature_that_is_not_the_devices_is_not_sent() {
    let mut alice = Signer::new(ALICE);
    alice.key = Ed25519Keypair::new();
    let (event, keys) = alice.names("Secret", NOW, true);
    let mut bob = bob_in_room(&[alice.devices()]);
    bob.engine.add_room_keys(&keys).unwrap();
    assert!(sees(&mut bob, &event, "Secret"), "it went out unsigned");
    let mallory = Client::new(MALLORY);
    let mut bob = bob_in_room(&[alice.devices(), mallory.devices()]);
    bob.engine.add_room_keys(&squatted(&keys, &mallory)).unwrap();
    assert!(!sees(&mut bob, &event, "Secret"));
}

#[test]
fn a_signature_for_one_event_is_for_no_other() {
    let mut alice = Signer::new(ALICE);
    alice.client.session(ROOM, &[]);
    let slot = TypeAndKey::single("m.room.name");
    let engine = &mut alice.client.engine;
    let text = engine.text_to_sign(RoomId(ROOM), slot, &named("First").to_string(), NOW).unwrap();
    engine.add_signature(&alice.key.sign(text.as_bytes()).to_base64());
    let keys = alice.client.session(ROOM, &[]).import_json;
    let event = alice.client.encrypt(ROOM, "m.room.name", &named("Second"));
    let mut bob = bob_in_room(&[alice.devices()]);
    bob.engine.add_room_keys(&keys).unwrap();
    assert!(sees(&mut bob, &event, "Second"));
    let mallory = Client::new(MALLORY);
    let mut bob = bob_in_room(&[alice.devices(), mallory.devices()]);
    bob.engine.add_room_keys(&squatted(&keys, &mallory)).unwrap();
    assert!(!sees(&mut bob, &event, "Second"), "it is not signed");
}

/// Three names of Alice, a session each, days apart; Bob comes to see the last alone.
fn names_of_a_week(is_signed: bool) -> (Vec<Value>, Client) {
    let mut alice = Signer::new(ALICE);
    let mut events = Vec::new();
    let mut all = Vec::new();
    for (number, at) in [(0, NOW - 9 * DAY), (1, NOW - 3 * DAY), (2, NOW - 10_000)] {
        if number > 0 {
            alice.starts_anew();
        }
        let (event, keys) = alice.names(&format!("Name {number}"), at, is_signed);
        // Her own comes back to her.
        alice.client.open("/sync?since=x", &sync(vec![], vec![event.clone()]));
        events.push(event);
        all.push(keys);
    }
    let mut bob = bob_in_room(&[alice.devices()]);
    bob.engine.set_clock(NOW);
    for keys in all {
        bob.engine.add_room_keys(&keys).unwrap();
    }
    assert!(sees(&mut bob, &events[2], "Name 2"));
    (events, bob)
}

#[test]
fn an_old_name_never_seen_before_is_not_the_newest_whatever_date_it_is_given() {
    for reloads in [false, true] {
        for redated in [NOW, NOW + DAY] {
            // Without a signature, a server's word is all there is.
            for is_signed in [false, true] {
                let (events, mut bob) = names_of_a_week(is_signed);
                if reloads {
                    bob.reload();
                    bob.open("/sync?since=r", &sync(room_state(), vec![]));
                }
                bob.engine.set_clock(NOW + DAY);
                for (number, event) in events.iter().take(2).enumerate() {
                    let mut event = event.clone();
                    event["origin_server_ts"] = json!(redated);
                    let name = format!("Name {number}");
                    if !reloads {
                        assert_eq!(sees(&mut bob, &event, &name), !is_signed, "{number}");
                    } else if is_signed {
                        assert!(!sees(&mut bob, &event, &name), "{number}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_device_whose_clock_is_wrong_names_rooms_all_the_same() {
    let mut alice = Signer::new(ALICE);
    let (first, keys) = alice.names("First", NOW, true);
    alice.client.open("/sync?since=x", &sync(room_state(), vec![first.clone()]));
    let mut bob = Signer::new(BOB);
    bob.client.engine.add_devices(&json!([alice.devices()]).to_string()).unwrap();
    bob.client.engine.add_room_keys(&keys).unwrap();
    assert!(
        bob.client
            .open("/sync?since=a", &sync(room_state(), vec![first]))
            .to_string()
            .contains("First")
    );
    // Days behind.
    let (mut second, keys) = bob.names("Second", NOW - 5 * DAY, true);
    second["origin_server_ts"] = json!(NOW + 1_000);
    alice.client.engine.add_devices(&json!([bob.devices()]).to_string()).unwrap();
    alice.client.engine.add_room_keys(&keys).unwrap();
    assert!(sees(&mut alice.client, &second, "Second"));
    assert_eq!(alice.client.codes(), [] as [&str; 0]);
}

/// Who hands out the key of Alice's session as his own.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Squatter {
    /// Somebody else.
    Mallory,
    /// A device of hers that she has not signed, as a homeserver makes one up.
    MadeUp,
    /// A backup, that names a device which nobody has.
    Backup,
}

const SQUATTERS: [Squatter; 3] = [Squatter::Mallory, Squatter::MadeUp, Squatter::Backup];

fn with_standing(devices: &Value, standing: &str) -> Value {
    let mut devices = devices.clone();
    devices["devices"][0]["standing"] = json!(standing);
    devices
}

/// Bob, who has Alice's name by the key that squatter gave alone; and that key.
fn named_through(
    squatter: Squatter,
    (standing, trust): (&str, Trust),
    is_signed: bool,
) -> (Signer, Client, Value, String) {
    let mut alice = Signer::new(ALICE);
    let (event, keys) = alice.names("Secret", NOW, is_signed);
    let by = match squatter {
        Squatter::Mallory => Client::new(MALLORY),
        Squatter::MadeUp | Squatter::Backup => {
            Client { device: device(ALICE, "MADEUP"), ..Client::new(ALICE) }
        }
    };
    let mut alices = with_standing(&alice.devices(), standing);
    let mut others = Vec::new();
    match squatter {
        Squatter::Mallory => others.push(by.devices()),
        Squatter::MadeUp => {
            let made_up = with_standing(&by.devices(), "unsigned")["devices"][0].clone();
            alices["devices"].as_array_mut().unwrap().insert(0, made_up);
        }
        Squatter::Backup => {}
    }
    others.push(alices);
    let mut bob = Client::new(BOB);
    bob.engine.apply_settings(StateSettings { trust, ..StateSettings::default() });
    bob.engine.add_devices(&json!(others).to_string()).unwrap();
    bob.open("/sync?since=a", &sync(room_state(), vec![]));
    bob.engine.members_added(ROOM);
    let keys = squatted(&keys, &by);
    bob.engine.add_room_keys(&keys).unwrap();
    (alice, bob, event, keys)
}

fn gone(user: &str) -> String {
    json!([{"userId": user, "devices": []}]).to_string()
}

#[test]
fn a_name_its_author_has_signed_is_passed_on_whoever_gave_its_key() {
    for squatter in SQUATTERS {
        for (standing, trust, is_sure) in [
            ("signed", Trust::All, true),
            ("signed", Trust::CrossSigned, true),
            ("plain", Trust::All, true),
            ("unsigned", Trust::All, false),
            ("", Trust::All, false),
        ] {
            for is_reloaded in [false, true] {
                let (_alice, mut bob, event, _) = named_through(squatter, (standing, trust), true);
                let case = format!("{squatter:?} {standing} {trust:?} {is_reloaded}");
                assert!(sees(&mut bob, &event, "Secret"), "{case}");
                if is_reloaded {
                    bob.reload();
                    bob.engine.apply_settings(StateSettings { trust, ..StateSettings::default() });
                    bob.open("/sync?since=r", &sync(room_state(), vec![]));
                }
                // Its author's device goes, and then somebody who could read it.
                bob.engine.add_devices(&gone(ALICE)).unwrap();
                let expected: &[&str] =
                    if is_sure { &["invites", "upgrade", "sent again"] } else { &[] };
                assert_eq!(is_passed_on(&mut bob), expected, "{case}");
            }
        }
    }
}

#[test]
fn what_its_author_has_not_signed_is_passed_on_by_the_device_that_gave_its_key() {
    for squatter in [Squatter::MadeUp, Squatter::Backup] {
        let (_alice, mut bob, event, _) = named_through(squatter, ("signed", Trust::All), false);
        let is_known = squatter == Squatter::MadeUp;
        assert!(sees(&mut bob, &event, "Secret"), "{squatter:?}");
        assert_eq!(bob.codes(), [if is_known { "unsigned-device" } else { "gone-device" }]);
        assert_eq!(is_passed_on(&mut bob), Vec::<&str>::new(), "{squatter:?}");
    }
}

/// A session as one makes it who keeps to no rules: an event with that payload, and its key as that
/// device's own.
fn made_by(device: &Value, payload: impl Fn(&str) -> String) -> (Value, String) {
    let config = vodozemac::megolm::SessionConfig::version_1();
    let mut session = vodozemac::megolm::GroupSession::new(config);
    let inbound = vodozemac::megolm::InboundGroupSession::new(&session.session_key(), config);
    let session_id = session.session_id();
    let ciphertext = session.encrypt(payload(&session_id)).to_base64();
    let content = json!({"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": ciphertext,
        "session_id": session_id});
    let event = json!({"type": "m.room.encrypted", "state_key": "m.room.name:", "sender": ALICE,
        "origin_server_ts": NOW, "event_id": "$made", "content": content});
    let key = inbound.export_at_first_known_index().to_base64();
    let keys = json!([{"algorithm": "m.megolm.v1.aes-sha2", "room_id": ROOM,
        "sender_key": device["curve25519"], "session_id": session_id, "session_key": key,
        "sender_claimed_keys": {"ed25519": device["ed25519"]}}]);
    (event, keys.to_string())
}

#[test]
fn a_made_up_device_is_not_helped_by_naming_another_inside() {
    let (alice, made_up) = (Signer::new(ALICE), Signer::new(ALICE));
    let (signed, mut both) = (&alice.client.device, with_standing(&alice.devices(), "signed"));
    let unsigned = with_standing(&made_up.devices(), "unsigned")["devices"][0].clone();
    both["devices"].as_array_mut().unwrap().push(unsigned);
    // A signature of hers over something else; one by the made-up device; none.
    for key in [Some(&alice.key), Some(&made_up.key), None] {
        let by = &made_up.client.device;
        let (event, keys) = made_by(by, |session_id| {
            let author = Authorship {
                user_id: ALICE.to_owned(),
                device_id: "SIGNS".to_owned(),
                curve25519: signed["curve25519"].as_str().unwrap().to_owned(),
                ed25519: signed["ed25519"].as_str().unwrap().to_owned(),
                session_id: session_id.to_owned(),
                order: SlotOrder { counter: 1, ts: NOW },
            };
            let slot = TypeAndKey::single("m.room.name");
            let content = named("Secret").to_string();
            let text = text_to_sign(RoomId(ROOM), slot, &content, &author).unwrap();
            let over = if key.is_some_and(|key| key.public_key() == alice.key.public_key()) {
                text.replace("Secret", "Another")
            } else {
                text.clone()
            };
            let signature =
                key.map(|key| key.sign(over.as_bytes()).to_base64()).unwrap_or_default();
            let device = DeviceId { user_id: ALICE, id: "SIGNS" };
            signed_payload(&text, SignedBy { device, signature: &signature })
        });
        let mut bob = bob_in_room(&[both.clone()]);
        bob.engine.add_room_keys(&keys).unwrap();
        assert!(sees(&mut bob, &event, "Secret"));
        assert_eq!(bob.codes(), ["unsigned-device"]);
        assert_eq!(is_passed_on(&mut bob), Vec::<&str>::new());
    }
}

#[test]
fn the_authors_signature_counts_after_the_device_is_gone_and_over_reloads() {
    for squatter in SQUATTERS {
        let (_alice, mut bob, event, keys) =
            named_through(squatter, ("signed", Trust::CrossSigned), true);
        assert!(sees(&mut bob, &event, "Secret"), "{squatter:?}");
        bob.reload();
        let trust = Trust::CrossSigned;
        bob.engine.apply_settings(StateSettings { trust, ..StateSettings::default() });
        bob.engine.add_devices(&gone(ALICE)).unwrap();
        bob.engine.add_room_keys(&keys).unwrap();
        let mut state = room_state();
        state.push(event.clone());
        let shown = bob.open("/sync", &sync(state, vec![])).to_string();
        assert!(shown.contains("Secret"), "{squatter:?}");
        assert_eq!(bob.codes(), Vec::<&str>::new(), "{squatter:?}");
        assert_eq!(is_passed_on(&mut bob), ["invites", "upgrade", "sent again"], "{squatter:?}");
    }
}

fn again(client: &mut Client, members: &[&str], now: u64) -> (usize, u64) {
    let json = json!({"members": members, "now": now}).to_string();
    let again = client.engine.reencrypt(RoomId(ROOM), &json).unwrap();
    (again.events.len(), again.delay_ms)
}

#[test]
fn whose_author_is_there_is_sent_once_more_by_nobody_else() {
    for squatter in SQUATTERS {
        for is_reloaded in [false, true] {
            let (_alice, mut bob, event, keys) =
                named_through(squatter, ("signed", Trust::All), true);
            let case = format!("{squatter:?} {is_reloaded}");
            assert!(sees(&mut bob, &event, "Secret"), "{case}");
            if is_reloaded {
                bob.reload();
                bob.open("/sync?since=r", &sync(room_state(), vec![]));
                bob.engine.add_room_keys(&keys).unwrap();
            }
            for now in [NOW + 10, NOW + 9_999_999] {
                assert_eq!(again(&mut bob, &[ALICE, BOB, CAROL], now), (0, 0), "{case}");
            }
            // Her device goes, so nobody is left who would do it for her.
            bob.engine.add_devices(&gone(ALICE)).unwrap();
            again(&mut bob, &[BOB, CAROL], NOW + 10);
            assert_eq!(again(&mut bob, &[BOB, CAROL], NOW + 9_999_999).0, 1, "{case}");
        }
    }
}

#[test]
fn a_device_knows_what_it_has_signed_itself_whoever_gave_its_key_back() {
    for squatter in [Squatter::Mallory, Squatter::MadeUp] {
        let (alice, _, event, keys) = named_through(squatter, ("signed", Trust::All), true);
        // Her profile has only the key that came back to her, by a backup.
        let mut alice = Client { store: serde_json::Map::new(), ..alice.client }.tab();
        alice.engine.add_devices(&json!([alice.devices()]).to_string()).unwrap();
        alice.engine.add_room_keys(&keys).unwrap();
        alice.open("/sync?since=a", &sync(room_state(), vec![event]));
        alice.session(ROOM, &[]);
        assert_eq!(again(&mut alice, &[ALICE, BOB], NOW + 10).0, 1, "{squatter:?}");
    }
}

#[test]
fn what_was_redacted_is_passed_on_by_nobody_whoever_signed_it() {
    for squatter in SQUATTERS {
        for is_reloaded in [false, true] {
            let (_alice, mut bob, event, keys) =
                named_through(squatter, ("signed", Trust::All), true);
            assert!(sees(&mut bob, &event, "Secret"), "{squatter:?}");
            let redaction = json!({"type": "m.room.redaction", "sender": ALICE,
                "redacts": event["event_id"], "event_id": "$redaction", "content": {},
                "origin_server_ts": NOW + 1});
            bob.open("/sync?since=c", &sync(vec![], vec![redaction]));
            if is_reloaded {
                bob.reload();
                bob.open("/sync?since=r", &sync(room_state(), vec![]));
                bob.engine.add_room_keys(&keys).unwrap();
            }
            bob.engine.add_devices(&gone(ALICE)).unwrap();
            assert_eq!(is_passed_on(&mut bob), Vec::<&str>::new(), "{squatter:?} {is_reloaded}");
            assert!(!sees(&mut bob, &event, "Secret"), "{squatter:?} {is_reloaded}");
        }
    }
}
