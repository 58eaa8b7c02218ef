//! What we write matrix-sdk-crypto reads, and the reverse.

use mantle_room_state::{
    DeviceId, DeviceKeys, ENCRYPTED_TYPE, GivenKey, InboundSession, KeyForm, LevelContents,
    OpenError, OutboundSession, OwnDevice, PowerLevels, ReceivedEvent, SeenIndices, SessionOrigin,
    SessionStore, TypeAndKey, encrypt_state, open_state, room_keys_for_import,
};
use matrix_sdk_crypto::olm::ExportedRoomKey;
use matrix_sdk_crypto::{
    DecryptionSettings, EncryptionSettings, OlmMachine, TrustRequirement,
    types::events::room::encrypted::EncryptedEvent,
};
use ruma::serde::Raw;
use ruma::{RoomId, UserId};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

const ROOM: &str = "!room:example.org";
const ALICE: &str = "@alice:example.org";

async fn machine(user_id: &str) -> OlmMachine {
    OlmMachine::new(<&UserId>::try_from(user_id).unwrap(), "DEVICE".into()).await
}

fn room() -> &'static RoomId {
    <&RoomId>::try_from(ROOM).unwrap()
}

fn own_device(machine: &OlmMachine) -> OwnDevice {
    let keys = machine.identity_keys();
    OwnDevice::new(
        DeviceId { user_id: machine.user_id().as_str(), id: machine.device_id().as_str() },
        DeviceKeys { curve25519: &keys.curve25519.to_base64(), ed25519: &keys.ed25519.to_base64() },
    )
    .unwrap()
}

async fn read(machine: &OlmMachine, state_key: &str, content: &Value) -> Result<Value, String> {
    let event = json!({
        "type": ENCRYPTED_TYPE,
        "state_key": state_key,
        "sender": ALICE,
        "event_id": "$1",
        "origin_server_ts": 1_700_000_000_000_u64,
        "room_id": ROOM,
        "content": content,
    });
    let event: Raw<EncryptedEvent> = Raw::from_json(to_raw_value(&event).unwrap());
    let settings =
        DecryptionSettings { sender_device_trust_requirement: TrustRequirement::Untrusted };
    match machine.decrypt_room_event(&event, room(), &settings).await {
        Ok(decrypted) => Ok(serde_json::from_str(decrypted.event.json().get()).unwrap()),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn they_read_what_we_write() {
    let device = own_device(&machine(ALICE).await);
    let mut outbound = OutboundSession::make(ROOM, 0);
    let sent: Vec<_> = (0..3)
        .map(|number| {
            let content = json!({"name": format!("Name {number}")}).to_string();
            encrypt_state(&mut outbound, &device, TypeAndKey::single("m.room.name"), &content)
                .unwrap()
        })
        .collect();
    // Imported after the fact: the key must be that of index 0.
    let keys: Vec<ExportedRoomKey> =
        serde_json::from_str(room_keys_for_import(&outbound, &device, true).unwrap().expose())
            .unwrap();
    let bob = machine("@bob:example.org").await;
    let result = bob.store().import_exported_room_keys(keys, |_, _| {}).await.unwrap();
    assert_eq!((result.imported_count, result.total_count), (1, 1));
    for (number, sent) in sent.iter().enumerate() {
        let content: Value = serde_json::from_str(&sent.content).unwrap();
        let event = read(&bob, &sent.key.to_string(), &content).await.unwrap();
        assert_eq!(event["type"], "m.room.name");
        assert_eq!(event["content"], json!({"name": format!("Name {number}")}));
        // Both refuse a wrong packed key.
        assert!(read(&bob, "m.room.topic:", &content).await.is_err());
    }
}

#[tokio::test]
async fn we_read_what_they_write() {
    let alice = machine(ALICE).await;
    let device = own_device(&alice);
    let settings = EncryptionSettings { encrypt_state_events: true, ..Default::default() };
    alice.share_room_key(room(), std::iter::empty(), settings).await.unwrap();
    let content = Raw::from_json(to_raw_value(&json!({"topic": "Secret"})).unwrap());
    let encrypted =
        alice.encrypt_state_event_raw(room(), "m.room.topic", "", &content).await.unwrap();

    let keys = alice.store().export_room_keys(|_| true).await.unwrap();
    let keys: Value = serde_json::to_value(keys).unwrap();
    let text = |name: &str| keys[0][name].as_str().unwrap();
    assert_eq!(text("sender_key"), device.curve25519());
    let mut session = InboundSession::import(
        text("session_id"),
        GivenKey { form: KeyForm::Exported, text: text("session_key") },
        SessionOrigin {
            room_id: text("room_id").to_owned(),
            sender_key: text("sender_key").to_owned(),
            claimed_ed25519: keys[0]["sender_claimed_keys"]["ed25519"].as_str().unwrap().to_owned(),
        },
    )
    .unwrap();
    session.set_owner(ALICE);
    let mut sessions = SessionStore::new();
    sessions.add(session).unwrap();
    let levels = PowerLevels::from_contents(LevelContents {
        creator: Some(ALICE),
        ..LevelContents::default()
    });
    let mut open = |state_key: &str| {
        let event = ReceivedEvent {
            room_id: ROOM,
            event_id: Some("$1"),
            sender: ALICE,
            state_key,
            content: encrypted.json().get(),
        };
        open_state(&event, &mut sessions, &levels, &mut SeenIndices::new())
    };
    let opened = open("m.room.topic:").unwrap();
    assert_eq!((opened.event_type.as_str(), opened.state_key.as_str()), ("m.room.topic", ""));
    assert_eq!(serde_json::from_str::<Value>(&opened.content).unwrap(), json!({"topic": "Secret"}));
    assert!(matches!(open("m.room.topic:x"), Err(OpenError::StateKeyMismatch)));
    assert!(matches!(open("m.room.name:"), Err(OpenError::TypeMismatch)));
}
