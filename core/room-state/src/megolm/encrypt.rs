//! From a clear state event to an encrypted one, and the contents that carry its key.

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::ids::TypeAndKey;
use crate::megolm::{OutboundSession, OwnDevice};
use crate::msc4362::packed_key::{PackError, PackedKey};
use mantle_wire::json::{members, quoted};
use mantle_wire::secret::Secret;

/// The most bytes of payload. The ciphertext takes 4/3 of it, and an event may have 65,536 bytes
/// with all the server adds (client-server API, "Size limits").
pub const MAX_PAYLOAD_BYTES: usize = 45_000;

/// A state event ready to be sent as `PUT …/state/m.room.encrypted/{key}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedState {
    /// The state key to send it under.
    pub key: PackedKey,
    /// The `m.room.encrypted` content, JSON.
    pub content: String,
}

/// Why a state event was not encrypted. It must not be sent in clear instead.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// The type is not eligible, or type and state key together are too long.
    #[error(transparent)]
    Key(#[from] PackError),
    /// The content is not JSON.
    #[error("the content is not JSON")]
    Json,
    /// The content is JSON, but no object.
    #[error("the content of a state event must be a JSON object")]
    NotAnObject,
    /// The payload has more than [`MAX_PAYLOAD_BYTES`].
    #[error("the content is too long: {0} bytes, the limit is {MAX_PAYLOAD_BYTES}")]
    TooLong(usize),
}

#[derive(Serialize)]
struct EncryptedContent<'a> {
    algorithm: &'a str,
    ciphertext: &'a str,
    session_id: &'a str,
    // Deprecated in the specification, but clients before 2025 refuse events without these two.
    sender_key: &'a str,
    device_id: &'a str,
}

#[derive(Serialize)]
struct RoomKeyContent<'a> {
    algorithm: &'a str,
    room_id: &'a str,
    session_id: &'a str,
    session_key: &'a str,
    #[serde(rename = "org.matrix.msc3061.shared_history", skip_serializing_if = "is_false")]
    shared_history: bool,
}

#[derive(Serialize)]
struct ImportedKey<'a> {
    algorithm: &'a str,
    room_id: &'a str,
    session_id: &'a str,
    session_key: &'a str,
    sender_key: &'a str,
    sender_claimed_keys: ClaimedKeys<'a>,
    forwarding_curve25519_key_chain: [&'a str; 0],
    #[serde(rename = "org.matrix.msc3061.shared_history", skip_serializing_if = "is_false")]
    shared_history: bool,
}

#[derive(Serialize)]
struct ClaimedKeys<'a> {
    ed25519: &'a str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Encrypts a clear state event of the session's room. `content` is its content as JSON.
///
/// The session's stored form must be kept before the result is sent.
///
/// # Errors
///
/// [`EncryptError`]; no index of the session was used then.
pub fn encrypt_state(
    session: &mut OutboundSession,
    device: &OwnDevice,
    slot: TypeAndKey<'_>,
    content: &str,
) -> Result<EncryptedState, EncryptError> {
    if members(content).map_err(|_| EncryptError::Json)?.is_none() {
        return Err(EncryptError::NotAnObject);
    }
    let payload = format!(
        r#"{{"room_id":{},"type":{},"state_key":{},"content":{}}}"#,
        quoted(session.room_id()),
        quoted(slot.event_type),
        quoted(slot.state_key),
        content.trim_ascii(),
    );
    encrypt_payload(session, device, slot, &payload)
}

/// The same for a payload that is ready, as [`signed_payload`](super::authorship::signed_payload)
/// makes it.
pub(crate) fn encrypt_payload(
    session: &mut OutboundSession,
    device: &OwnDevice,
    slot: TypeAndKey<'_>,
    payload: &str,
) -> Result<EncryptedState, EncryptError> {
    let key = PackedKey::pack(slot)?;
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(EncryptError::TooLong(payload.len()));
    }
    let session_id = session.session_id();
    let content = serde_json::to_string(&EncryptedContent {
        algorithm: session.algorithm(),
        ciphertext: &session.encrypt(payload.as_bytes()),
        session_id: &session_id,
        sender_key: device.curve25519(),
        device_id: device.device_id(),
    })
    .map_err(|_| EncryptError::Json)?;
    Ok(EncryptedState { key, content })
}

/// Whether members who join later may be given keys of earlier events
/// ([MSC3061](https://github.com/matrix-org/matrix-spec-proposals/pull/3061)): with the history
/// visibility `shared` or `world_readable`. `content` is that of `m.room.history_visibility`;
/// without one the specification says `shared`.
pub fn history_is_shared(content: Option<&Value>) -> bool {
    match content {
        None => true,
        Some(content) => matches!(
            content.get("history_visibility").and_then(Value::as_str),
            Some("shared" | "world_readable")
        ),
    }
}

/// The content of the `m.room_key` to-device event that shares the session from index 0.
///
/// The history flag has its unstable name only: with both names clients lose the key.
///
/// # Errors
///
/// Those of serialization; none is known for this content.
pub fn room_key_content(
    session: &OutboundSession,
    shared_history: bool,
) -> Result<Secret, serde_json::Error> {
    content_of_key(session, &session.initial_session_key(), shared_history)
}

/// [`room_key_content`] for those who may read the session from an index on only, for each of these,
/// which are in order.
///
/// # Errors
///
/// Those of serialization; none is known for this content.
pub(crate) fn room_key_contents_from(
    session: &OutboundSession,
    indices: &[u32],
) -> Result<Vec<Secret>, serde_json::Error> {
    let keys = session.session_keys_from(indices);
    keys.iter().map(|key| content_of_key(session, key, false)).collect()
}

fn content_of_key(
    session: &OutboundSession,
    key: &Secret,
    shared_history: bool,
) -> Result<Secret, serde_json::Error> {
    serde_json::to_string(&RoomKeyContent {
        algorithm: session.algorithm(),
        room_id: session.room_id(),
        session_id: &session.session_id(),
        session_key: key.expose(),
        shared_history,
    })
    .map(Secret::new)
}

/// The JSON array for the page's `importRoomKeysAsJson`: the session from index 0, as this device's.
///
/// # Errors
///
/// Those of serialization; none is known for this content.
pub fn room_keys_for_import(
    session: &OutboundSession,
    device: &OwnDevice,
    shared_history: bool,
) -> Result<Secret, serde_json::Error> {
    serde_json::to_string(&[ImportedKey {
        algorithm: session.algorithm(),
        room_id: session.room_id(),
        session_id: &session.session_id(),
        session_key: session.initial_exported_key().expose(),
        sender_key: device.curve25519(),
        sender_claimed_keys: ClaimedKeys { ed25519: device.ed25519() },
        forwarding_curve25519_key_chain: [],
        shared_history,
    }])
    .map(Secret::new)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ids::{DeviceId, DeviceKeys};
    use crate::msc4362::eligible::IneligibleType;

    fn device() -> OwnDevice {
        let curve = vodozemac::Curve25519PublicKey::from(&vodozemac::Curve25519SecretKey::new());
        let ed = vodozemac::Ed25519Keypair::new().public_key();
        let keys = DeviceKeys { curve25519: &curve.to_base64(), ed25519: &ed.to_base64() };
        OwnDevice::new(DeviceId { user_id: "@alice:x", id: "DEV" }, keys).unwrap()
    }

    fn json_of(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_content_has_exactly_the_fields_both_generations_of_clients_want() {
        let mut session = OutboundSession::make("!r:x", 0);
        let device = device();
        let sent = encrypt_state(
            &mut session,
            &device,
            TypeAndKey::single("m.room.name"),
            r#"{"name":"N"}"#,
        )
        .unwrap();
        assert_eq!(sent.key.to_string(), "m.room.name:");
        let content = json_of(&sent.content);
        let fields: Vec<_> = content.as_object().unwrap().keys().cloned().collect();
        assert_eq!(fields, ["algorithm", "ciphertext", "device_id", "sender_key", "session_id"]);
        assert_eq!(content["algorithm"], "m.megolm.v1.aes-sha2");
        assert_eq!(content["session_id"], session.session_id());
        assert_eq!(content["sender_key"], device.curve25519());
        assert_eq!(content["device_id"], "DEV");
        assert!(!sent.content.contains("\"N\""));
    }

    #[test]
    fn what_cannot_be_encrypted_uses_no_index() {
        let mut session = OutboundSession::make("!r:x", 0);
        let device = device();
        let mut refuse = |event_type: &str, state_key: &str, content: &str| {
            encrypt_state(&mut session, &device, TypeAndKey { event_type, state_key }, content)
                .unwrap_err()
        };
        assert!(matches!(
            refuse("m.room.power_levels", "", "{}"),
            EncryptError::Key(PackError::Type(IneligibleType::Protocol))
        ));
        assert!(matches!(
            refuse("m.room.name", &"k".repeat(250), "{}"),
            EncryptError::Key(PackError::TooLong(262))
        ));
        assert!(matches!(refuse("m.room.name", "", "[]"), EncryptError::NotAnObject));
        assert!(matches!(refuse("m.room.name", "", "{"), EncryptError::Json));
        let long = json!({"topic": "t".repeat(MAX_PAYLOAD_BYTES)}).to_string();
        assert!(matches!(refuse("m.room.topic", "", &long), EncryptError::TooLong(_)));
        assert_eq!(session.message_index(), 0);
    }

    #[test]
    fn the_longest_payload_still_fits_an_event() {
        let mut session = OutboundSession::make("!r:x", 0);
        let content = json!({"topic": "t".repeat(MAX_PAYLOAD_BYTES - 200)}).to_string();
        let sent =
            encrypt_state(&mut session, &device(), TypeAndKey::single("m.room.topic"), &content)
                .unwrap();
        assert!(sent.content.len() < 62_000, "{}", sent.content.len());
    }

    #[test]
    fn room_keys_carry_the_unstable_history_flag_only() {
        let session = OutboundSession::make("!r:x", 0);
        let device = device();
        let room_key = json_of(room_key_content(&session, true).unwrap().expose());
        assert_eq!(room_key["org.matrix.msc3061.shared_history"], true);
        assert_eq!(room_key["session_id"], session.session_id());
        assert_eq!(room_key["room_id"], "!r:x");
        assert!(room_key.get("m.shared_history").is_none());
        let import = json_of(room_keys_for_import(&session, &device, true).unwrap().expose());
        assert_eq!(import[0]["org.matrix.msc3061.shared_history"], true);
        assert_eq!(import[0]["sender_key"], device.curve25519());
        assert_eq!(import[0]["sender_claimed_keys"], json!({"ed25519": device.ed25519()}));
        assert_eq!(import[0]["forwarding_curve25519_key_chain"], json!([]));
        assert!(import[0].get("m.shared_history").is_none());
        assert_ne!(import[0]["session_key"], room_key["session_key"]);
        for text in [
            room_key_content(&session, false).unwrap(),
            room_keys_for_import(&session, &device, false).unwrap(),
        ] {
            assert!(!text.expose().contains("shared_history"));
        }
    }

    #[test]
    fn history_visibility_decides_on_sharing() {
        assert!(history_is_shared(None));
        for (value, shared) in
            [("shared", true), ("world_readable", true), ("invited", false), ("joined", false)]
        {
            assert_eq!(history_is_shared(Some(&json!({"history_visibility": value}))), shared);
        }
        assert!(!history_is_shared(Some(&json!({}))));
    }
}
