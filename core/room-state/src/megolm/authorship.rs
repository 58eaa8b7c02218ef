//! Who set a state event, and after what, said inside its payload and signed by their device: so
//! that it does not hang on who handed out the session's key, nor on a server's clock. Form, checks
//! and reasons stand in `docs/encrypted-state.md`.
//!
//! The signature is that of Matrix's "Signing JSON" over the whole payload; clients that do not know
//! of it pass over both members.

use vodozemac::{Ed25519PublicKey, Ed25519Signature};

pub(crate) use super::canonical::MAX_INTEGER;
use super::canonical::canonical;
use crate::ids::{DeviceId, RoomId, TypeAndKey};
pub use crate::msc4362::event::SlotOrder;
use mantle_wire::json::{get, get_str, quoted};

/// The member of the payload.
pub const AUTHORSHIP: &str = "org.mantle.authorship";

/// What the member says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorship {
    /// Who set it; the event's sender.
    pub user_id: String,
    /// With which device.
    pub device_id: String,
    /// That device's identity key.
    pub curve25519: String,
    /// And its signing key.
    pub ed25519: String,
    /// The Megolm session the payload was made for.
    pub session_id: String,
    /// Its place in the slot.
    pub order: SlotOrder,
}

impl Authorship {
    fn to_json(&self) -> String {
        let Self { user_id, device_id, curve25519, ed25519, session_id, order } = self;
        format!(
            r#"{{"counter":{},"curve25519":{},"device_id":{},"ed25519":{},"session_id":{},"ts":{},"user_id":{}}}"#,
            order.counter,
            quoted(curve25519),
            quoted(device_id),
            quoted(ed25519),
            quoted(session_id),
            order.ts,
            quoted(user_id),
        )
    }

    /// Reads the member of a payload; `None` without one, an error where it says less than it must.
    pub(crate) fn read(member: Option<&str>) -> Result<Option<Self>, ()> {
        let Some(member) = member else { return Ok(None) };
        let text = |key: &str| get_str(member, &[key]).ok().flatten().ok_or(());
        let number = |key: &str| -> Result<u64, ()> {
            let number = get(member, &[key]).ok().flatten().and_then(|number| number.parse().ok());
            number.filter(|number| *number <= MAX_INTEGER).ok_or(())
        };
        Ok(Some(Self {
            user_id: text("user_id")?,
            device_id: text("device_id")?,
            curve25519: text("curve25519")?,
            ed25519: text("ed25519")?,
            session_id: text("session_id")?,
            order: SlotOrder { counter: number("counter")?, ts: number("ts")? },
        }))
    }

    /// Whether the payload, JSON, has the signature of the key that is named.
    #[must_use]
    pub fn is_signed(&self, payload: &str) -> bool {
        let key_id = format!("ed25519:{}", self.device_id);
        let signature = get_str(payload, &["signatures", &self.user_id, &key_id]).ok().flatten();
        let (Some(signature), Some(text)) = (signature, signed_text(payload)) else { return false };
        Signature { ed25519: &self.ed25519, base64: &signature }.is_of(&text)
    }
}

/// A signature, and the key that is said to have made it; both unpadded base64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signature<'a> {
    pub(crate) ed25519: &'a str,
    pub(crate) base64: &'a str,
}

impl Signature<'_> {
    /// Whether it is that key's of the text.
    #[inline(never)]
    pub(crate) fn is_of(self, text: &str) -> bool {
        let (Ok(key), Ok(signature)) = (
            Ed25519PublicKey::from_base64(self.ed25519),
            Ed25519Signature::from_base64(self.base64),
        ) else {
            return false;
        };
        key.verify(text.as_bytes(), &signature).is_ok()
    }
}

/// What the author's device signs: the payload with the member, as canonical JSON. `None` where the
/// content has no canonical form (fractions, huge numbers, halves of a pair): it goes unsigned.
#[must_use]
pub fn text_to_sign(
    room: RoomId<'_>,
    slot: TypeAndKey<'_>,
    content: &str,
    authorship: &Authorship,
) -> Option<String> {
    let payload = format!(
        r#"{{"content":{content},"{AUTHORSHIP}":{},"room_id":{},"state_key":{},"type":{}}}"#,
        authorship.to_json(),
        quoted(room.0),
        quoted(slot.state_key),
        quoted(slot.event_type),
    );
    canonical(&payload, &[])
}

/// A signature in unpadded base64, and the device that made it.
#[derive(Clone, Copy, Debug)]
pub struct SignedBy<'a> {
    /// Who has signed.
    pub device: DeviceId<'a>,
    /// What that gave.
    pub signature: &'a str,
}

/// The payload to encrypt: the signed text with the signature.
#[must_use]
pub fn signed_payload(text: &str, by: SignedBy<'_>) -> String {
    let open = text.strip_suffix('}').unwrap_or(text);
    format!(
        r#"{open},"signatures":{{{}:{{{}:{}}}}}}}"#,
        quoted(by.device.user_id),
        quoted(&format!("ed25519:{}", by.device.id)),
        quoted(by.signature),
    )
}

/// A payload as it was signed.
fn signed_text(payload: &str) -> Option<String> {
    canonical(payload, &["signatures", "unsigned"]).filter(|text| text.starts_with('{'))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_member_that_says_too_little_is_an_error() {
        let good = Authorship {
            user_id: "@a:x".to_owned(),
            device_id: "D".to_owned(),
            curve25519: "c".to_owned(),
            ed25519: "e".to_owned(),
            session_id: "s".to_owned(),
            order: SlotOrder { counter: 1, ts: 2 },
        };
        let json = good.to_json();
        assert_eq!(Authorship::read(Some(&json)), Ok(Some(good)));
        assert_eq!(Authorship::read(None), Ok(None));
        let whole: Value = serde_json::from_str(&json).unwrap();
        for key in whole.as_object().unwrap().keys() {
            for odd in [Value::Null, Value::from(-1), Value::from(vec![1]), Value::from(true)] {
                let mut bad = whole.clone();
                bad[key] = odd;
                assert_eq!(Authorship::read(Some(&bad.to_string())), Err(()), "{bad}");
            }
            let mut less = whole.clone();
            less.as_object_mut().unwrap().remove(key);
            assert_eq!(Authorship::read(Some(&less.to_string())), Err(()), "{less}");
        }
        for text in ["null", "[]", "1", r#""x""#, "{}"] {
            assert_eq!(Authorship::read(Some(text)), Err(()), "{text}");
        }
    }
}
