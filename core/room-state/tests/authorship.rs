//! The signed word of an event's author against vectors of another implementation (another-json and
//! Node's Ed25519), which `docs/encrypted-state.md` names.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests may panic"
)]

use mantle_room_state::{
    AUTHORSHIP, Authorship, DeviceId, RoomId, SignedBy, SlotOrder, TypeAndKey, signed_payload,
    text_to_sign,
};
use serde_json::{Value, json};

fn vectors() -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("vectors/authorship.json")).unwrap();
    all["vectors"].as_array().unwrap().clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn authorship(payload: &Value) -> Authorship {
    let said = &payload[AUTHORSHIP];
    Authorship {
        user_id: text(&said["user_id"]),
        device_id: text(&said["device_id"]),
        curve25519: text(&said["curve25519"]),
        ed25519: text(&said["ed25519"]),
        session_id: text(&said["session_id"]),
        order: SlotOrder {
            counter: said["counter"].as_u64().unwrap(),
            ts: said["ts"].as_u64().unwrap(),
        },
    }
}

#[test]
fn what_is_signed_is_the_text_of_the_vectors() {
    for vector in vectors() {
        let payload = &vector["payload"];
        let author = authorship(payload);
        let (event_type, state_key) = (text(&payload["type"]), text(&payload["state_key"]));
        // However the content is written.
        for content in [
            payload["content"].to_string(),
            serde_json::to_string_pretty(&payload["content"]).unwrap(),
        ] {
            let room_id = text(&payload["room_id"]);
            let slot = TypeAndKey { event_type: &event_type, state_key: &state_key };
            let signed = text_to_sign(RoomId(&room_id), slot, &content, &author).unwrap();
            assert_eq!(signed, text(&vector["signed_text"]));
            let device = DeviceId { user_id: &author.user_id, id: &author.device_id };
            let signature = text(&vector["signature"]);
            let sent = signed_payload(&signed, SignedBy { device, signature: &signature });
            assert_eq!(serde_json::from_str::<Value>(&sent).unwrap(), *payload);
            assert!(author.is_signed(&sent));
        }
    }
}

#[test]
fn a_payload_is_signed_however_it_is_written_and_whatever_is_unsigned() {
    for vector in vectors() {
        let author = authorship(&vector["payload"]);
        assert!(author.is_signed(&vector["payload"].to_string()));
        assert!(author.is_signed(&serde_json::to_string_pretty(&vector["payload"]).unwrap()));
        let mut more = vector["payload"].clone();
        more["unsigned"] = json!({"age": 1.5});
        more["signatures"]["@other:example.org"] = json!({"ed25519:X": "x"});
        assert!(author.is_signed(&more.to_string()));
    }
}

#[test]
fn whatever_else_is_changed_is_not_signed() {
    let vector = &vectors()[1];
    let author = authorship(&vector["payload"]);
    let bad = |change: &dyn Fn(&mut Value)| {
        let mut payload = vector["payload"].clone();
        change(&mut payload);
        let said = authorship(&payload);
        assert!(
            !author.is_signed(&payload.to_string()) || !said.is_signed(&payload.to_string()),
            "{payload}"
        );
    };
    for part in ["room_id", "type", "state_key"] {
        bad(&|payload| payload[part] = json!("other"));
    }
    bad(&|payload| payload["content"]["topic"] = json!("other"));
    bad(&|payload| payload["content"]["more"] = json!(1));
    bad(&|payload| payload["more"] = json!(1));
    for part in ["user_id", "device_id", "curve25519", "ed25519", "session_id"] {
        bad(&|payload| payload[AUTHORSHIP][part] = json!("other"));
    }
    for part in ["counter", "ts"] {
        bad(&|payload| payload[AUTHORSHIP][part] = json!(3));
    }
    bad(&|payload| payload["signatures"] = json!({}));
    bad(&|payload| payload["signatures"]["@alice:example.org"]["ed25519:DEVICE"] = json!("AAAA"));
    bad(&|payload| payload["content"]["fraction"] = json!(0.5));
}

#[test]
fn what_has_no_canonical_form_goes_unsigned() {
    let author = authorship(&vectors()[0]["payload"]);
    let (room, slot) = (RoomId("!r:x"), TypeAndKey::single("t"));
    for content in [r#"{"a":0.5}"#, r#"{"a":1e300}"#, r#"{"a":"\ud800"}"#, r#"{"a":"#] {
        assert_eq!(text_to_sign(room, slot, content, &author), None, "{content}");
    }
    let deep = format!("{}{}", r#"{"a":"#.repeat(300), "}".repeat(300));
    assert_eq!(text_to_sign(room, slot, &deep, &author), None);
}
