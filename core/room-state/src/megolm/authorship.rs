//! Who set a state event, and after what, said inside its payload and signed by their device: so
//! that it does not hang on who handed out the session's key, nor on a server's clock. Form, checks
//! and reasons stand in `docs/encrypted-state.md`.
//!
//! The signature is that of Matrix's "Signing JSON" over the whole payload; clients that do not know
//! of it pass over both members.

use serde_json::Value;
use vodozemac::{Ed25519PublicKey, Ed25519Signature};

pub use crate::msc4362::event::SlotOrder;
use mantle_wire::json::{get, get_str, quoted};

/// The member of the payload.
pub const AUTHORSHIP: &str = "org.mantle.authorship";

/// The largest integer of canonical JSON.
pub(crate) const MAX_INTEGER: u64 = (1 << 53) - 1;

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
        is_signature(&self.ed25519, &signature, &text)
    }
}

/// Whether it is that key's signature of the text.
pub(crate) fn is_signature(ed25519: &str, signature: &str, text: &str) -> bool {
    let (Ok(key), Ok(signature)) =
        (Ed25519PublicKey::from_base64(ed25519), Ed25519Signature::from_base64(signature))
    else {
        return false;
    };
    key.verify(text.as_bytes(), &signature).is_ok()
}

/// What the author's device signs: the payload with the member, as canonical JSON. `None` where the
/// content has no canonical form (fractions, huge numbers, halves of a pair): it goes unsigned.
#[must_use]
pub fn text_to_sign(
    room_id: &str,
    (event_type, state_key): (&str, &str),
    content: &str,
    authorship: &Authorship,
) -> Option<String> {
    canonical(&format!(
        r#"{{"content":{content},"{AUTHORSHIP}":{},"room_id":{},"state_key":{},"type":{}}}"#,
        authorship.to_json(),
        quoted(room_id),
        quoted(state_key),
        quoted(event_type),
    ))
}

/// The payload to encrypt: the signed text with the signature.
#[must_use]
pub fn signed_payload(text: &str, user_id: &str, device_id: &str, signature: &str) -> String {
    let open = text.strip_suffix('}').unwrap_or(text);
    format!(
        r#"{open},"signatures":{{{}:{{{}:{}}}}}}}"#,
        quoted(user_id),
        quoted(&format!("ed25519:{device_id}")),
        quoted(signature),
    )
}

/// A payload as it was signed.
fn signed_text(payload: &str) -> Option<String> {
    let mut payload: Value = serde_json::from_str(payload).ok()?;
    let members = payload.as_object_mut()?;
    members.remove("signatures");
    members.remove("unsigned");
    let mut out = String::new();
    write(&payload, &mut out)?;
    Some(out)
}

/// Canonical JSON (Matrix specification, appendices): no spaces, keys in order, integers only.
fn canonical(json: &str) -> Option<String> {
    let mut out = String::new();
    write(&serde_json::from_str(json).ok()?, &mut out)?;
    Some(out)
}

fn write(value: &Value, out: &mut String) -> Option<()> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(is_true) => out.push_str(if *is_true { "true" } else { "false" }),
        Value::Number(number) => {
            let number = number.as_i64().filter(|number| number.unsigned_abs() <= MAX_INTEGER)?;
            out.push_str(&number.to_string());
        }
        Value::String(text) => out.push_str(&quoted(text)),
        Value::Array(elements) => {
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(element, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (at, (key, value)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&quoted(key));
                out.push(':');
                write(value, out)?;
            }
            out.push('}');
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_is_that_of_the_specification() {
        for (json, expected) in [
            ("{}", Some("{}")),
            (r#"{"one": 1, "two": "Two"}"#, Some(r#"{"one":1,"two":"Two"}"#)),
            (r#"{"b":"2","a":"1"}"#, Some(r#"{"a":"1","b":"2"}"#)),
            (
                r#"{"auth":{"success":true,"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"medium":"email","address":"john.doe@example.org"},{"medium":"msisdn","address":"123456789"}]}}}"#,
                Some(
                    r#"{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}"#,
                ),
            ),
            (r#"{"a":"日本語"}"#, Some(r#"{"a":"日本語"}"#)),
            (r#"{"本":2,"日":1}"#, Some(r#"{"日":1,"本":2}"#)),
            (r#"{"a":"\u65E5"}"#, Some(r#"{"a":"日"}"#)),
            (r#"{"a":null}"#, Some(r#"{"a":null}"#)),
            (r#"{"a":"\u007f\u000b\/\n\""}"#, Some("{\"a\":\"\u{7f}\\u000b/\\n\\\"\"}")),
            (r#"{"a":9007199254740991}"#, Some(r#"{"a":9007199254740991}"#)),
            (r#"{"a":-9007199254740991}"#, Some(r#"{"a":-9007199254740991}"#)),
            (r#"{"a":9007199254740992}"#, None),
            (r#"{"a":18446744073709551615}"#, None),
            (r#"{"a":1.5}"#, None),
            (r#"{"a":1e3}"#, None),
            (r#"{"a":-0}"#, None),
            (r#"{"a":"\ud800"}"#, None),
            ("{", None),
        ] {
            assert_eq!(canonical(json).as_deref(), expected, "{json}");
        }
    }

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
