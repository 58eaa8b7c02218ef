//! Opening state events: what is right opens, and each check refuses what it is there for.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    missing_docs,
    reason = "tests may panic"
)]

use mantle_room_state::{
    DeviceId, DeviceKeys, GivenKey, InboundSession, IneligibleType, KeyForm, LevelContents,
    MAX_CONTENT_BYTES, OpenError, OpenedState, OutboundSession, OwnDevice, PackError, PowerLevels,
    ReceivedEvent, SeenIndices, SessionOrigin, SessionStore, TypeAndKey, UserId, encrypt_state,
};
use serde_json::{Value, json};
use vodozemac::megolm::{GroupSession, SessionConfig};
use vodozemac::{Curve25519PublicKey, Curve25519SecretKey, Ed25519Keypair};

const ROOM: &str = "!room:example.org";
const ALICE: &str = "@alice:example.org";
const MALLORY: &str = "@mallory:example.org";
const NAME_KEY: &str = "m.room.name:";

fn device(user_id: &str) -> OwnDevice {
    let curve25519 = Curve25519PublicKey::from(&Curve25519SecretKey::new()).to_base64();
    let ed25519 = Ed25519Keypair::new().public_key().to_base64();
    OwnDevice::new(
        DeviceId { user_id, id: "DEVICE" },
        DeviceKeys { curve25519: &curve25519, ed25519: &ed25519 },
    )
    .unwrap()
}

fn origin(device: &OwnDevice) -> SessionOrigin {
    SessionOrigin {
        room_id: ROOM.to_owned(),
        sender_key: device.curve25519().to_owned(),
        claimed_ed25519: device.ed25519().to_owned(),
    }
}

/// A sender who writes any payload, with vodozemac itself; and a receiver who has the key.
struct World {
    group: GroupSession,
    alice: OwnDevice,
    sessions: SessionStore,
    levels: PowerLevels,
    seen: SeenIndices,
}

impl World {
    fn new() -> Self {
        let group = GroupSession::new(SessionConfig::version_1());
        let alice = device(ALICE);
        let mut session = InboundSession::import(
            &group.session_id(),
            GivenKey { form: KeyForm::RoomKey, text: &group.session_key().to_base64() },
            origin(&alice),
        )
        .unwrap();
        session.set_owner(ALICE);
        let mut sessions = SessionStore::new();
        sessions.add(session).unwrap();
        let levels = PowerLevels::from_contents(LevelContents {
            power_levels: Some(
                &json!({"users": {ALICE: 50, MALLORY: 50}, "events": {"m.room.pinned_events": 75}})
                    .to_string(),
            ),
            ..LevelContents::default()
        });
        Self { group, alice, sessions, levels, seen: SeenIndices::new() }
    }

    fn content_of(&mut self, payload: impl AsRef<[u8]>) -> String {
        json!({
            "algorithm": "m.megolm.v1.aes-sha2",
            "ciphertext": self.group.encrypt(payload).to_base64(),
            "session_id": self.group.session_id(),
            "sender_key": self.alice.curve25519(),
            "device_id": "DEVICE",
        })
        .to_string()
    }

    fn open(&mut self, event: &ReceivedEvent<'_>) -> Result<OpenedState, OpenError> {
        mantle_room_state::open_state(event, &mut self.sessions, &self.levels, &mut self.seen)
    }

    /// Encrypts a payload and opens it as Alice's event `$1` under the state key.
    fn send(&mut self, state_key: &str, payload: &Value) -> Result<OpenedState, OpenError> {
        let content = self.content_of(payload.to_string());
        self.open(&event(state_key, &content))
    }
}

fn event<'a>(state_key: &'a str, content: &'a str) -> ReceivedEvent<'a> {
    ReceivedEvent { room_id: ROOM, event_id: Some("$1"), sender: ALICE, state_key, content }
}

fn name_payload() -> Value {
    json!({"room_id": ROOM, "type": "m.room.name", "state_key": "", "content": {"name": "Secret"}})
}

fn with(mut payload: Value, field: &str, value: Value) -> Value {
    payload[field] = value;
    payload
}

#[test]
fn a_good_event_opens() {
    let opened = World::new().send(NAME_KEY, &name_payload()).unwrap();
    assert_eq!(opened.event_type, "m.room.name");
    assert_eq!(opened.state_key, "");
    assert_eq!(opened.content, r#"{"name":"Secret"}"#);
    assert_eq!(opened.message_index, 0);
}

#[test]
fn what_we_encrypt_we_open() {
    let alice = device(ALICE);
    let mut outbound = OutboundSession::make(ROOM, 0);
    let mut world = World::new();
    world.sessions.add(outbound.to_inbound(&alice)).unwrap();
    for (index, content) in
        [r#"{"topic":"a"}"#, r#"{ "topic" : "b\u0000\ud83d\ude00" }"#].into_iter().enumerate()
    {
        let sent =
            encrypt_state(&mut outbound, &alice, TypeAndKey::single("m.room.topic"), content)
                .unwrap();
        let id = format!("${index}");
        let opened = world
            .open(&ReceivedEvent {
                event_id: Some(&id),
                ..event(&sent.key.to_string(), &sent.content)
            })
            .unwrap();
        assert_eq!(opened.content, content);
        assert_eq!(opened.message_index, u32::try_from(index).unwrap());
    }
}

#[test]
fn an_opaque_key_of_msc3414_opens_by_its_payload() {
    let opened = World::new().send("f3c1a9", &name_payload()).unwrap();
    assert_eq!((opened.event_type.as_str(), opened.state_key.as_str()), ("m.room.name", ""));
}

#[test]
fn check_packed_key_against_inner_type() {
    let payload = with(name_payload(), "type", json!("m.room.topic"));
    assert!(matches!(World::new().send(NAME_KEY, &payload), Err(OpenError::TypeMismatch)));
}

#[test]
fn check_packed_key_against_inner_state_key() {
    // The right type with the wrong state key: what other implementations never try.
    for (outer, inner) in [("m.room.name:", "x"), ("m.room.name:x", ""), ("m.room.name:x", "x:")] {
        let payload = with(name_payload(), "state_key", json!(inner));
        assert!(
            matches!(World::new().send(outer, &payload), Err(OpenError::StateKeyMismatch)),
            "{outer} {inner}"
        );
    }
}

#[test]
fn check_content_is_an_object() {
    for content in [json!([]), json!("text"), json!(1), json!(null), json!(true)] {
        let payload = with(name_payload(), "content", content);
        assert!(matches!(World::new().send(NAME_KEY, &payload), Err(OpenError::ContentNotObject)));
    }
}

#[test]
fn check_inner_room() {
    let payload = with(name_payload(), "room_id", json!("!other:example.org"));
    assert!(matches!(World::new().send(NAME_KEY, &payload), Err(OpenError::RoomMismatch)));
}

#[test]
fn check_session_of_another_room_is_not_used() {
    let mut world = World::new();
    let payload = with(name_payload(), "room_id", json!("!other:example.org"));
    let content = world.content_of(payload.to_string());
    let event = ReceivedEvent { room_id: "!other:example.org", ..event(NAME_KEY, &content) };
    assert!(matches!(world.open(&event), Err(OpenError::MissingSession)));
}

#[test]
fn check_eligible_type() {
    for (key, event_type) in
        [("m.room.power_levels:", "m.room.power_levels"), ("opaque", "m.room.member")]
    {
        let payload = with(name_payload(), "type", json!(event_type));
        assert!(matches!(
            World::new().send(key, &payload),
            Err(OpenError::Ineligible(IneligibleType::Protocol))
        ));
    }
    // A policy too, which a Mantle before it stood in the list could be told to encrypt: no homeserver
    // goes by such a one, so nobody may be shown it as if one did.
    for event_type in ["m.room.tombstone", "m.room.policy", "org.matrix.msc4284.policy"] {
        let payload = with(name_payload(), "type", json!(event_type));
        assert!(matches!(
            World::new().send(&format!("{event_type}:"), &payload),
            Err(OpenError::Ineligible(IneligibleType::Server))
        ));
    }
}

#[test]
fn check_state_not_message() {
    let mut payload = name_payload();
    payload.as_object_mut().unwrap().remove("state_key");
    assert!(matches!(World::new().send(NAME_KEY, &payload), Err(OpenError::NotState)));
    let payload = with(name_payload(), "state_key", json!(null));
    assert!(matches!(World::new().send(NAME_KEY, &payload), Err(OpenError::NotState)));
}

#[test]
fn check_session_owner_is_the_sender() {
    let mut world = World::new();
    let content = world.content_of(name_payload().to_string());
    let forged = ReceivedEvent { sender: MALLORY, ..event(NAME_KEY, &content) };
    assert!(matches!(world.open(&forged), Err(OpenError::ForeignSession)));
    assert!(world.open(&event(NAME_KEY, &content)).is_ok(), "the original is still good");
}

#[test]
fn check_an_unknown_owner_waits() {
    let mut world = World::new();
    world.sessions = SessionStore::new();
    let alice = device(ALICE);
    let key = world.group.session_key().to_base64();
    let id = world.group.session_id();
    let session = InboundSession::import(
        &id,
        GivenKey { form: KeyForm::RoomKey, text: &key },
        origin(&alice),
    )
    .unwrap();
    world.sessions.add(session).unwrap();
    let content = world.content_of(name_payload().to_string());
    let error = world.open(&event(NAME_KEY, &content)).unwrap_err();
    assert!(matches!(error, OpenError::UnknownOwner));
    assert!(error.may_retry());
    assert_eq!(world.sessions.set_owner(alice.keys(), UserId(ALICE)), 1);
    assert!(world.open(&event(NAME_KEY, &content)).is_ok());
}

#[test]
fn check_someone_passing_on_a_session_as_their_own_changes_nothing() {
    let mut world = World::new();
    let mallory = device(MALLORY);
    let key = world.group.session_key().to_base64();
    let id = world.group.session_id();
    let mut stolen = InboundSession::import(
        &id,
        GivenKey { form: KeyForm::RoomKey, text: &key },
        origin(&mallory),
    )
    .unwrap();
    stolen.set_owner(MALLORY);
    world.sessions.add(stolen).unwrap();
    let content = world.content_of(name_payload().to_string());
    assert!(world.open(&event(NAME_KEY, &content)).is_ok());
    let copy = ReceivedEvent { sender: MALLORY, event_id: Some("$2"), ..event(NAME_KEY, &content) };
    assert!(matches!(world.open(&copy), Err(OpenError::Replay)));
}

#[test]
fn check_power_for_the_inner_type() {
    let mut world = World::new();
    let payload = with(name_payload(), "type", json!("m.room.pinned_events"));
    assert!(matches!(world.send("m.room.pinned_events:", &payload), Err(OpenError::PowerLevel)));
    assert!(world.send(NAME_KEY, &name_payload()).is_ok(), "enough for another type");
}

#[test]
fn check_state_keys_of_other_users() {
    let payload = |user: &str| json!({"room_id": ROOM, "type": "org.example.pin", "state_key": user, "content": {}});
    let foreign = format!("org.example.pin:{MALLORY}");
    assert!(matches!(
        World::new().send(&foreign, &payload(MALLORY)),
        Err(OpenError::ForeignStateKey)
    ));
    assert!(World::new().send(&format!("org.example.pin:{ALICE}"), &payload(ALICE)).is_ok());
}

#[test]
fn check_an_index_belongs_to_one_event() {
    let mut world = World::new();
    let content = world.content_of(name_payload().to_string());
    assert!(world.open(&event(NAME_KEY, &content)).is_ok());
    assert!(world.open(&event(NAME_KEY, &content)).is_ok(), "the same event again");
    let copy = ReceivedEvent { event_id: Some("$2"), ..event(NAME_KEY, &content) };
    assert!(matches!(world.open(&copy), Err(OpenError::Replay)));
}

#[test]
fn a_refused_copy_does_not_bind_the_index() {
    let mut world = World::new();
    let content = world.content_of(name_payload().to_string());
    let copy = ReceivedEvent { event_id: Some("$bad"), ..event("m.room.topic:", &content) };
    assert!(matches!(world.open(&copy), Err(OpenError::TypeMismatch)));
    assert!(world.open(&event(NAME_KEY, &content)).is_ok());
}

#[test]
fn stripped_state_without_an_id_opens_and_binds_nothing() {
    let mut world = World::new();
    let content = world.content_of(name_payload().to_string());
    let stripped = ReceivedEvent { event_id: None, ..event(NAME_KEY, &content) };
    assert!(world.open(&stripped).is_ok());
    assert!(world.open(&event(NAME_KEY, &content)).is_ok());
}

#[test]
fn a_missing_key_or_index_may_heal() {
    let mut world = World::new();
    let key_at_1 = {
        world.group.encrypt("zero");
        world.group.session_key().to_base64()
    };
    let id = world.group.session_id();
    let mut late = World::new();
    late.sessions = SessionStore::new();
    let content = world.content_of(name_payload().to_string());
    let error = late.open(&event(NAME_KEY, &content)).unwrap_err();
    assert!(matches!(error, OpenError::MissingSession));
    assert!(error.may_retry());

    world.group.encrypt("two");
    let mut session = InboundSession::import(
        &id,
        GivenKey { form: KeyForm::RoomKey, text: &world.group.session_key().to_base64() },
        origin(&world.alice),
    )
    .unwrap();
    session.set_owner(ALICE);
    late.sessions.add(session).unwrap();
    let error = late.open(&event(NAME_KEY, &content)).unwrap_err();
    assert!(matches!(error, OpenError::MissingIndex { first: 3, got: 1 }), "{error:?}");
    assert!(error.may_retry());

    let session = InboundSession::import(
        &id,
        GivenKey { form: KeyForm::RoomKey, text: &key_at_1 },
        origin(&world.alice),
    )
    .unwrap();
    late.sessions.add(session).unwrap();
    assert!(late.open(&event(NAME_KEY, &content)).is_ok());
}

#[test]
fn a_damaged_ciphertext_is_refused() {
    let mut world = World::new();
    let content = world.content_of(name_payload().to_string());
    let mut content: Value = serde_json::from_str(&content).unwrap();
    let good = vodozemac::base64_decode(content["ciphertext"].as_str().unwrap()).unwrap();
    for at in [0, 5, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        content["ciphertext"] = json!(vodozemac::base64_encode(bad));
        let text = content.to_string();
        let error = world.open(&event(NAME_KEY, &text)).unwrap_err();
        assert!(matches!(error, OpenError::Undecryptable), "{at}: {error:?}");
        assert!(!error.may_retry());
    }
}

#[test]
fn malformed_contents_are_refused() {
    let mut world = World::new();
    for content in ["{}", "[]", "", "nonsense", r#"{"algorithm":1}"#] {
        assert!(
            matches!(world.open(&event(NAME_KEY, content)), Err(OpenError::Content)),
            "{content}"
        );
    }
    let olm = r#"{"algorithm":"m.olm.v1.curve25519-aes-sha2","ciphertext":"","session_id":""}"#;
    assert!(matches!(world.open(&event(NAME_KEY, olm)), Err(OpenError::Algorithm)));
    let long = json!({"algorithm": "x".repeat(MAX_CONTENT_BYTES)}).to_string();
    assert!(matches!(world.open(&event(NAME_KEY, &long)), Err(OpenError::TooLong(_))));
    let content = world.content_of(name_payload().to_string());
    let key = "m.room.name:".to_owned() + &"k".repeat(244);
    assert!(matches!(
        world.open(&event(&key, &content)),
        Err(OpenError::StateKey(PackError::TooLong(256)))
    ));
}

#[test]
fn malformed_payloads_are_refused() {
    for payload in [
        "",
        "not json",
        "[]",
        r#"{"type":"m.room.name"}"#,
        r#"{"room_id":1,"type":"m.room.name","state_key":"","content":{}}"#,
        // A field twice: readers would disagree about which one counts.
        r#"{"room_id":"!room:example.org","type":"m.room.topic","type":"m.room.name","state_key":"","content":{}}"#,
    ] {
        let mut world = World::new();
        let content = world.content_of(payload);
        assert!(
            matches!(world.open(&event(NAME_KEY, &content)), Err(OpenError::Payload)),
            "{payload}"
        );
    }
    let mut world = World::new();
    let content = world.content_of(b"\xff\xfe");
    assert!(matches!(world.open(&event(NAME_KEY, &content)), Err(OpenError::Payload)));
}

#[test]
fn errors_and_debug_hold_no_content() {
    let mut world = World::new();
    let payload = with(name_payload(), "content", json!("CANARY"));
    let error = world.send(NAME_KEY, &payload).unwrap_err();
    let content = world.content_of(r#""CANARY""#);
    let other = world.open(&event(NAME_KEY, &content)).unwrap_err();
    let opened = World::new()
        .send(NAME_KEY, &with(name_payload(), "content", json!({"name": "CANARY"})))
        .unwrap();
    let printed = format!("{error} {error:?} {other} {other:?} {opened:?}");
    assert!(!printed.contains("CANARY"), "{printed}");
}

#[test]
fn what_is_nested_deeper_than_signatures_reach_is_refused() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    // Payload and content are two of the 127.
    for (more, opens) in [
        (nested(10), true),
        (nested(125), true),
        (nested(126), false),
        (nested(20_000), false),
        (format!(r#""\"{}""#, "[".repeat(20_000)), true),
        (format!("[{}0]", "[],".repeat(5_000)), true),
    ] {
        let mut world = World::new();
        let content = world.content_of(format!(
            r#"{{"room_id":"{ROOM}","type":"m.room.name","state_key":"","content":{{"name":"x","more":{more}}}}}"#
        ));
        let opened = world.open(&event(NAME_KEY, &content));
        let start: String = more.chars().take(200).collect();
        assert_eq!(opened.is_ok(), opens, "{start}: {opened:?}");
        assert!(opens || matches!(opened, Err(OpenError::Payload)), "{opened:?}");
    }
}
