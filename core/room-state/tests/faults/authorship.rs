//! Who set a name and after what does not hang on who gave its key, nor on a server's dates, where
//! its author's device has signed that.

use mantle_room_state::{StateSettings, Trust};
use serde_json::{Value, json};
use vodozemac::{Curve25519PublicKey, Curve25519SecretKey, Ed25519Keypair};

use crate::device::published;
use crate::people::*;

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
        let slot = ("m.room.name", "");
        let text = self.client.engine.text_to_sign(ROOM, slot, &content, at).unwrap();
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
        let known = serde_json::to_string(&bob.engine.before("GET", &url)).unwrap();
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
    let slot = ("m.room.name", "");
    let engine = &mut alice.client.engine;
    let text = engine.text_to_sign(ROOM, slot, &named("First").to_string(), NOW).unwrap();
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
