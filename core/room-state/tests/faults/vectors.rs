//! The vectors of names in one room, pictures of rooms, reactions and replies, as a reader has them:
//! made by `extension/testing/vectors.ts`, which shares nothing with what reads them here.

use mantle_room_state::{
    AUTHORSHIP, Authorship, DeviceId, MEMBER_PROFILE, RoomId, SignedBy, SlotOrder, TypeAndKey,
    signed_payload, text_to_sign,
};
use serde_json::{Value, json};
use vodozemac::Ed25519SecretKey;
use vodozemac::megolm::{ExportedSessionKey, InboundGroupSession, MegolmMessage, SessionConfig};

use crate::device::published;
use crate::people::*;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/names_pictures_relations.json")).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn parsed(value: &Value) -> Value {
    serde_json::from_str(text(value)).unwrap()
}

/// The device that made them.
fn author(device: &Value) -> Ed25519SecretKey {
    Ed25519SecretKey::from_base64(text(&device["seed_ed25519"])).unwrap()
}

/// Bob, who knows Alice's device and, if he was given them, has its keys.
fn reader(vectors: &Value, has_keys: bool) -> Client {
    let device = &vectors["device"];
    let key = author(device);
    let alice = published(
        ALICE,
        text(&device["device_id"]),
        text(&device["curve25519"]),
        text(&device["ed25519"]),
        |signed| key.sign(signed).to_base64(),
    );
    let mut bob = Client::new(BOB);
    let devices = json!([{"userId": ALICE, "devices": [alice]}]);
    bob.engine.add_devices(&devices.to_string()).unwrap();
    bob.open("/sync?since=a", &sync(room_state(), vec![]));
    bob.engine.members_added(ROOM);
    if has_keys {
        bob.engine.add_room_keys(&vectors["room_keys"].to_string()).unwrap();
    }
    bob
}

/// What Bob is told of somebody's name.
fn opened(bob: &mut Client, event: &Value) -> Vec<Value> {
    bob.engine.add_member_profiles(RoomId(ROOM), &json!([event]).to_string()).unwrap();
    let opened = bob.retried().into_iter();
    opened
        .filter(|event| event["type"] == MEMBER_PROFILE)
        .map(|event| event["content"].clone())
        .collect()
}

#[test]
fn names_are_read_with_their_keys_alone_and_in_their_order() {
    let vectors = vectors();
    let [named, taken_back] = vectors["member_profiles"].as_array().unwrap().as_slice() else {
        panic!("two of them");
    };
    let mut bob = reader(&vectors, true);
    for vector in [named, taken_back] {
        let contents = opened(&mut bob, &vector["event"]);
        assert_eq!(contents, [parsed(&vector["payload"])["content"].clone()]);
        let name = contents[0].get("displayname").cloned().unwrap_or_default();
        assert_eq!(name, vector["displayname"]);
    }
    let mut again = named["event"].clone();
    again["event_id"] = json!("$again");
    assert_eq!(opened(&mut bob, &again), [json!(null); 0], "an old one that is put back");
    assert_eq!(opened(&mut reader(&vectors, false), &named["event"]), [json!(null); 0]);
    // In somebody else's member event it says nothing.
    let mut of_bob = named["event"].clone();
    of_bob["sender"] = json!(CAROL);
    of_bob["state_key"] = json!(CAROL);
    assert_eq!(opened(&mut reader(&vectors, true), &of_bob), [json!(null); 0]);
}

#[test]
fn a_picture_in_one_room_is_read_with_the_name_and_not_before_what_came_first() {
    let vectors = vectors();
    let vector = &vectors["member_picture"];
    let mut bob = reader(&vectors, true);
    let content = parsed(&vector["payload"])["content"].clone();
    assert_eq!(opened(&mut bob, &vector["event"]), std::slice::from_ref(&content));
    assert_eq!(content["displayname"], "Rosa");
    let file = &parsed(&vectors["room_picture"]["payload"])["content"]["file"];
    assert_eq!(content["avatar"]["file"], *file);
    for old in vectors["member_profiles"].as_array().unwrap() {
        assert_eq!(opened(&mut bob, &old["event"]), [json!(null); 0]);
    }
}

#[test]
fn a_picture_is_read_from_encrypted_state() {
    let vectors = vectors();
    let vector = &vectors["room_picture"];
    let mut bob = reader(&vectors, true);
    let answer = sync(vec![], vec![vector["event"].clone()]);
    let shown = bob.open("/sync?since=b", &answer).to_string();
    let content = parsed(&vector["payload"])["content"].to_string();
    assert!(shown.contains(&content), "{shown}");
}

#[test]
fn what_is_sealed_as_state_is_signed_as_our_own_is() {
    let vectors = vectors();
    let key = author(&vectors["device"]);
    let profiles = vectors["member_profiles"].as_array().unwrap().iter();
    let pictures = [&vectors["room_picture"], &vectors["member_picture"]];
    for payload in profiles.chain(pictures).map(|vector| &vector["payload"]) {
        let parts = parsed(payload);
        let said = &parts[AUTHORSHIP];
        let author = Authorship {
            user_id: text(&said["user_id"]).to_owned(),
            device_id: text(&said["device_id"]).to_owned(),
            curve25519: text(&said["curve25519"]).to_owned(),
            ed25519: text(&said["ed25519"]).to_owned(),
            session_id: text(&said["session_id"]).to_owned(),
            order: SlotOrder {
                counter: said["counter"].as_u64().unwrap(),
                ts: said["ts"].as_u64().unwrap(),
            },
        };
        let slot =
            TypeAndKey { event_type: text(&parts["type"]), state_key: text(&parts["state_key"]) };
        let content = parts["content"].to_string();
        let room = RoomId(text(&parts["room_id"]));
        let to_sign = text_to_sign(room, slot, &content, &author).unwrap();
        let device = DeviceId { user_id: &author.user_id, id: &author.device_id };
        let signature = key.sign(to_sign.as_bytes()).to_base64();
        let signed = signed_payload(&to_sign, SignedBy { device, signature: &signature });
        assert_eq!(signed, text(payload));
    }
}

#[test]
fn every_ciphertext_holds_its_payload() {
    let vectors = vectors();
    let mut sessions: Vec<InboundGroupSession> = vectors["room_keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|given| {
            let key = ExportedSessionKey::from_base64(text(&given["session_key"])).unwrap();
            InboundGroupSession::import(&key, SessionConfig::version_1())
        })
        .collect();
    let mut read = 0;
    let mut holds = |sealed: &Value, payload: &Value| {
        let message = MegolmMessage::from_base64(text(&sealed["ciphertext"])).unwrap();
        let session = sessions
            .iter_mut()
            .find(|session| session.session_id() == text(&sealed["session_id"]))
            .unwrap();
        let plain = session.decrypt(&message).unwrap().plaintext;
        assert_eq!(std::str::from_utf8(&plain).unwrap(), text(payload));
        read += 1;
    };
    for vector in vectors["member_profiles"].as_array().unwrap() {
        holds(&vector["event"]["content"][MEMBER_PROFILE], &vector["payload"]);
    }
    let own = &vectors["member_picture"];
    holds(&own["event"]["content"][MEMBER_PROFILE], &own["payload"]);
    let picture = &vectors["room_picture"];
    holds(&picture["event"]["content"], &picture["payload"]);
    for vector in vectors["relations"].as_array().unwrap() {
        holds(&vector["event"]["content"], &vector["payload"]);
    }
    assert_eq!(read, 8);
}
