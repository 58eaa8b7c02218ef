//! A person's name in one room, sealed inside their own `m.room.member`.
//!
//! As encrypted state of its own it would need power, and whoever has that could set another's. So it
//! rides on the event that only its owner may write; inside it is state of a type of its own, whose
//! state key is its owner.

use crate::ids::{TypeAndKey, is_event_id};
use crate::msc4362::eligible::MEMBER_PROFILE;
use crate::msc4362::packed_key::PackedKey;
use mantle_wire::json::{get, get_str, quoted};

/// The most bytes of it that are looked at.
const MAX_BYTES: usize = 8 * 1024;

/// Whether an encrypted event's state key says that it is one of these.
pub(crate) fn is_profile(packed_key: &str) -> bool {
    packed_key.strip_prefix(MEMBER_PROFILE).is_some_and(|rest| rest.starts_with(':'))
}

/// What a member event carries, as the encrypted state event that it would be. `None` where it carries
/// nothing that counts: somebody who invites, removes or bans another says nothing of their name.
pub(crate) fn carried(event: &str) -> Option<String> {
    let text = |path: &[&str]| get_str(event, path).ok().flatten();
    let sealed = get(event, &["content", MEMBER_PROFILE]).ok()??;
    let (user, sender) = (text(&["state_key"])?, text(&["sender"])?);
    let event_id = text(&["event_id"]).filter(|id| is_event_id(id))?;
    let is_own = text(&["type"])? == "m.room.member"
        && user == sender
        && text(&["content", "membership"])? == "join";
    if !is_own || sealed.len() > MAX_BYTES || !sealed.starts_with('{') {
        return None;
    }
    let key = PackedKey::pack(TypeAndKey { event_type: MEMBER_PROFILE, state_key: &user }).ok()?;
    let ts: u64 = get(event, &["origin_server_ts"]).ok()??.parse().ok()?;
    Some(format!(
        r#"{{"type":"m.room.encrypted","state_key":{},"sender":{},"event_id":{},"origin_server_ts":{ts},"content":{sealed}}}"#,
        quoted(&key.to_string()),
        quoted(&sender),
        quoted(&event_id),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event() -> Value {
        json!({"type": "m.room.member", "state_key": "@a:x", "sender": "@a:x", "event_id": "$1",
            "origin_server_ts": 7, "content": {"membership": "join", "displayname": "A",
            MEMBER_PROFILE: {"ciphertext": "c"}}})
    }

    #[test]
    fn it_becomes_an_event_of_its_own_with_the_carriers_id_and_sender() {
        let carried: Value = serde_json::from_str(&carried(&event().to_string()).unwrap()).unwrap();
        assert_eq!(
            carried,
            json!({"type": "m.room.encrypted", "state_key": "org.mantle.member_profile:@a:x",
                "sender": "@a:x", "event_id": "$1", "origin_server_ts": 7,
                "content": {"ciphertext": "c"}})
        );
    }

    #[test]
    fn nobody_says_another_s_name_and_nothing_else_carries_one() {
        let changed = |path: &str, value: Value| {
            let mut event = event();
            *event.pointer_mut(path).unwrap() = value;
            carried(&event.to_string())
        };
        for (path, value) in [
            ("/sender", json!("@mod:x")),
            ("/state_key", json!("@b:x")),
            ("/type", json!("m.room.name")),
            ("/content/membership", json!("leave")),
            ("/content/org.mantle.member_profile", json!("text")),
            ("/content/org.mantle.member_profile", json!(null)),
            ("/content/org.mantle.member_profile", json!({"ciphertext": "c".repeat(MAX_BYTES)})),
            ("/event_id", json!("none")),
            ("/origin_server_ts", json!(-1)),
        ] {
            assert_eq!(changed(path, value.clone()), None, "{path} {value}");
        }
        let user = format!("@{}:x", "a".repeat(240));
        let mut long = event();
        (long["sender"], long["state_key"]) = (json!(user), json!(user));
        assert_eq!(carried(&long.to_string()), None, "its packed key would be too long");
    }
}
