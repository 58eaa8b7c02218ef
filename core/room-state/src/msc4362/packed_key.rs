//! The state key of an encrypted state event: `{type}:{state_key}`.
//!
//! MSC4362 leaves open how the string is taken apart; types with a colon are not eligible, so the
//! first colon is the border. MSC3414's keys are arbitrary strings: one without a colon names no
//! type, and only the encrypted payload says what the event is.

use std::fmt;

use thiserror::Error;

use crate::ids::TypeAndKey;
use crate::msc4362::eligible::{IneligibleType, check_eligible};
use mantle_wire::url::encoded;

/// The most bytes a state key may have (client-server API, "Size limits").
pub const MAX_STATE_KEY_BYTES: usize = 255;

/// Why a type and a state key cannot be packed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PackError {
    /// The type may not be encrypted.
    #[error(transparent)]
    Type(#[from] IneligibleType),
    /// `{type}:{state_key}` would be longer than [`MAX_STATE_KEY_BYTES`].
    #[error("type and state key together have {0} bytes, the limit is {MAX_STATE_KEY_BYTES}")]
    TooLong(usize),
}

/// A packed state key of MSC4362, at most 255 bytes of `{type}:{state_key}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackedKey {
    event_type: String,
    state_key: String,
}

impl PackedKey {
    /// Packs the key of a clear state event that may be encrypted.
    ///
    /// # Errors
    ///
    /// [`PackError`] when the type is not eligible or the result too long.
    pub fn pack(slot: TypeAndKey<'_>) -> Result<Self, PackError> {
        let TypeAndKey { event_type, state_key } = slot;
        check_eligible(event_type)?;
        let bytes = event_type.len() + 1 + state_key.len();
        if bytes > MAX_STATE_KEY_BYTES {
            return Err(PackError::TooLong(bytes));
        }
        Ok(Self { event_type: event_type.to_owned(), state_key: state_key.to_owned() })
    }

    /// Type and state key inside.
    pub fn slot(&self) -> TypeAndKey<'_> {
        TypeAndKey { event_type: &self.event_type, state_key: &self.state_key }
    }

    /// The type the event has inside.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// The state key the event has inside.
    pub fn state_key(&self) -> &str {
        &self.state_key
    }

    /// The key as one percent-encoded URL path segment: all but RFC 3986's unreserved characters.
    pub fn to_path_segment(&self) -> String {
        encoded(&self.to_string())
    }
}

impl fmt::Display for PackedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.event_type, self.state_key)
    }
}

/// The outer state key of an encrypted state event as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WireKey {
    /// MSC4362: names type and state key. The type was not checked for eligibility yet.
    Packed(PackedKey),
    /// MSC3414: an arbitrary string; the payload alone says what the event is.
    Opaque,
}

impl WireKey {
    /// Reads the state key of an `m.room.encrypted` state event.
    ///
    /// # Errors
    ///
    /// [`PackError::TooLong`] above the limit no server may let pass.
    pub fn read(state_key: &str) -> Result<Self, PackError> {
        if state_key.len() > MAX_STATE_KEY_BYTES {
            return Err(PackError::TooLong(state_key.len()));
        }
        Ok(match state_key.split_once(':') {
            Some((event_type, inner)) if !event_type.is_empty() => Self::Packed(PackedKey {
                event_type: event_type.to_owned(),
                state_key: inner.to_owned(),
            }),
            _ => Self::Opaque,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn packs_as_the_proposal_says() {
        let key = PackedKey::pack(TypeAndKey::single("m.room.name")).unwrap();
        assert_eq!(key.to_string(), "m.room.name:");
        assert_eq!(key.to_path_segment(), "m.room.name%3A");
    }

    #[test]
    fn splits_at_the_first_colon() {
        let WireKey::Packed(key) = WireKey::read("org.example.pin:@bob:example.org").unwrap()
        else {
            panic!("not packed");
        };
        assert_eq!(key.event_type(), "org.example.pin");
        assert_eq!(key.state_key(), "@bob:example.org");
    }

    #[test]
    fn keys_of_msc3414_are_opaque() {
        for key in ["", "rAnDoM", ":x"] {
            assert_eq!(WireKey::read(key), Ok(WireKey::Opaque), "{key:?}");
        }
    }

    #[test]
    fn the_limit_counts_bytes() {
        let room = MAX_STATE_KEY_BYTES - "m.room.name:".len();
        assert!(
            PackedKey::pack(TypeAndKey { event_type: "m.room.name", state_key: &"x".repeat(room) })
                .is_ok()
        );
        assert_eq!(
            PackedKey::pack(TypeAndKey {
                event_type: "m.room.name",
                state_key: &"x".repeat(room + 1)
            }),
            Err(PackError::TooLong(256))
        );
        assert_eq!(
            PackedKey::pack(TypeAndKey { event_type: "m.room.name", state_key: &"é".repeat(122) }),
            Err(PackError::TooLong(256))
        );
        assert_eq!(WireKey::read(&"y".repeat(256)), Err(PackError::TooLong(256)));
    }

    #[test]
    fn ineligible_types_are_not_packed() {
        assert_eq!(
            PackedKey::pack(TypeAndKey { event_type: "m.room.member", state_key: "@a:b" }),
            Err(PackError::Type(IneligibleType::Protocol))
        );
        assert_eq!(
            PackedKey::pack(TypeAndKey::single("a:b")),
            Err(PackError::Type(IneligibleType::Colon))
        );
    }

    proptest! {
        #[test]
        fn packing_then_reading_is_the_same(event_type in "[a-z._]{1,40}", state_key in ".{0,40}") {
            if let Ok(key) = PackedKey::pack(TypeAndKey { event_type: &event_type, state_key: &state_key }) {
                prop_assert_eq!(WireKey::read(&key.to_string()), Ok(WireKey::Packed(key)));
            }
        }

        #[test]
        fn a_path_segment_decodes_to_the_key(state_key in "\\PC{0,40}") {
            let key = PackedKey::pack(TypeAndKey { event_type: "m.room.name", state_key: &state_key }).unwrap();
            let segment = key.to_path_segment();
            prop_assert!(segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            let mut bytes = Vec::new();
            let mut rest = segment.as_bytes();
            while let Some((&first, tail)) = rest.split_first() {
                if first == b'%' {
                    let hex = std::str::from_utf8(&tail[..2]).unwrap();
                    bytes.push(u8::from_str_radix(hex, 16).unwrap());
                    rest = &tail[2..];
                } else {
                    bytes.push(first);
                    rest = tail;
                }
            }
            prop_assert_eq!(String::from_utf8(bytes).unwrap(), key.to_string());
        }
    }
}
