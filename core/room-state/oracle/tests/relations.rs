//! Relations of messages (MSC4392): matrix-sdk-crypto shows the one inside, whatever stands outside,
//! and Mantle's page reads what it writes. The page's half of the cases is
//! `extension/page/relations/oracle.test.ts`.

use matrix_sdk_crypto::{
    DecryptionSettings, EncryptionSettings, OlmMachine, TrustRequirement,
    types::events::room::encrypted::EncryptedEvent,
};
use ruma::serde::Raw;
use ruma::{RoomId, UserId};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

const ALICE: &str = "@alice:example.org";

fn room() -> &'static RoomId {
    <&RoomId>::try_from("!room:example.org").unwrap()
}

fn cases() -> Vec<Value> {
    let cases: Vec<Value> = serde_json::from_str(include_str!("relations.json")).unwrap();
    assert!(!cases.is_empty());
    cases
}

async fn machine() -> OlmMachine {
    let alice = <&UserId>::try_from(ALICE).unwrap();
    let machine = OlmMachine::new(alice, "DEVICE".into()).await;
    let settings = EncryptionSettings::default();
    machine.share_room_key(room(), std::iter::empty(), settings).await.unwrap();
    machine
}

/// What is sent, as matrix-sdk-crypto makes it.
async fn encrypted(machine: &OlmMachine, case: &Value) -> Value {
    let content = json!({
        "msgtype": "m.text",
        "body": "b",
        "m.new_content": {"msgtype": "m.text", "body": "b"},
        "m.relates_to": case["inner"],
    });
    let content = Raw::from_json(to_raw_value(&content).unwrap());
    let event_type = case["type"].as_str().unwrap();
    let sent = machine.encrypt_room_event_raw(room(), event_type, &content).await.unwrap();
    serde_json::from_str(serde_json::to_string(&sent.content).unwrap().as_str()).unwrap()
}

async fn relation_shown(machine: &OlmMachine, content: &Value) -> Value {
    let event = json!({
        "type": "m.room.encrypted",
        "sender": ALICE,
        "event_id": "$3",
        "origin_server_ts": 1_700_000_000_000_u64,
        "room_id": room(),
        "content": content,
    });
    let event: Raw<EncryptedEvent> = Raw::from_json(to_raw_value(&event).unwrap());
    let settings =
        DecryptionSettings { sender_device_trust_requirement: TrustRequirement::Untrusted };
    let decrypted = machine.decrypt_room_event(&event, room(), &settings).await.unwrap();
    let decrypted: Value = serde_json::from_str(decrypted.event.json().get()).unwrap();
    decrypted["content"]["m.relates_to"].clone()
}

fn with_outer(content: &Value, outer: &Value) -> Value {
    let mut content = content.clone();
    let fields = content.as_object_mut().unwrap();
    fields.remove("m.relates_to");
    if !outer.is_null() {
        fields.insert("m.relates_to".to_owned(), outer.clone());
    }
    content
}

#[tokio::test]
async fn they_read_inside_what_mantle_leaves_there() {
    let machine = machine().await;
    for case in cases() {
        let sent = with_outer(&encrypted(&machine, &case).await, &case["outer"]);
        assert_eq!(relation_shown(&machine, &sent).await, case["inner"], "{case}");
    }
}

#[tokio::test]
async fn a_forged_one_outside_changes_nothing_there() {
    let machine = machine().await;
    let forged = json!({"rel_type": "m.annotation", "event_id": "$9", "key": "👎"});
    for case in cases() {
        let sent = with_outer(&encrypted(&machine, &case).await, &forged);
        assert_eq!(relation_shown(&machine, &sent).await, case["inner"], "{case}");
    }
}

#[tokio::test]
async fn what_they_write_has_the_whole_relation_outside_too() {
    let machine = machine().await;
    for case in cases() {
        let sent = encrypted(&machine, &case).await;
        assert_eq!(sent["m.relates_to"], case["inner"], "{case}");
    }
}
