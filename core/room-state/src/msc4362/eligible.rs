//! Which state event types may be encrypted.
//!
//! [MSC4362](https://github.com/matrix-org/matrix-spec-proposals/pull/4362) names eight types that
//! never are. Mantle adds the types a homeserver acts on: encrypting those would change what the
//! server does. The same lists hold when reading, so that no hidden `m.room.power_levels` or
//! `m.room.tombstone` ever takes effect.

use crate::ids::TypeAndKey;
use crate::sorted::Set;
use thiserror::Error;

pub use mantle_wire::state_types::{
    CALL_TYPES, DEFAULT_TYPES, ENCRYPTED_TYPE, PROTOCOL_TYPES, SERVER_TYPES,
};

/// The type of a name in one room, and the member of the `m.room.member` content that holds it.
pub const MEMBER_PROFILE: &str = "org.mantle.member_profile";

/// Why a type may not be encrypted, or not be opened.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum IneligibleType {
    /// One of [`PROTOCOL_TYPES`].
    #[error("the Matrix protocol needs this type in clear")]
    Protocol,
    /// One of [`SERVER_TYPES`].
    #[error("homeservers act on this type, so it stays in clear")]
    Server,
    /// One of [`CALL_TYPES`]; encrypted ones are opened.
    #[error("this type says who is in a call, which is set ahead of time, so it stays in clear")]
    Call,
    /// `m.room.encrypted` inside `m.room.encrypted`.
    #[error("an encrypted event cannot hold another encrypted event")]
    Nested,
    /// The empty type.
    #[error("an event type cannot be empty")]
    Empty,
    /// A colon in the type: MSC4362's packed key, split at the first colon, would name another type.
    #[error("an event type with a colon cannot be packed into a state key")]
    Colon,
}

/// Says whether a type may be encrypted or opened at all.
///
/// # Errors
///
/// [`IneligibleType`] with the reason.
pub fn check_eligible(event_type: &str) -> Result<(), IneligibleType> {
    if event_type.is_empty() {
        Err(IneligibleType::Empty)
    } else if event_type.contains(':') {
        Err(IneligibleType::Colon)
    } else if PROTOCOL_TYPES.contains(&event_type) {
        Err(IneligibleType::Protocol)
    } else if SERVER_TYPES.contains(&event_type) {
        Err(IneligibleType::Server)
    } else if event_type == ENCRYPTED_TYPE {
        Err(IneligibleType::Nested)
    } else {
        Ok(())
    }
}

/// Says whether a type may be sent encrypted.
///
/// # Errors
///
/// [`IneligibleType`] with the reason.
pub(crate) fn check_sendable(event_type: &str) -> Result<(), IneligibleType> {
    if CALL_TYPES.contains(&event_type) {
        return Err(IneligibleType::Call);
    }
    check_eligible(event_type)
}

/// The types this user encrypts: name and topic, and what a setting adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedTypes(Set<String>);

impl Default for EncryptedTypes {
    fn default() -> Self {
        Self(DEFAULT_TYPES.into_iter().map(str::to_owned).collect())
    }
}

impl EncryptedTypes {
    /// The default set and the eligible ones of `additions`; the rest comes back with its reasons.
    pub fn with_additions<I, S>(additions: I) -> (Self, Vec<(String, IneligibleType)>)
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let mut types = Self::default();
        let mut refused = Vec::new();
        for addition in additions {
            let event_type = addition.as_ref().trim();
            match check_sendable(event_type) {
                Ok(()) => {
                    types.0.insert(event_type.to_owned());
                }
                Err(reason) => refused.push((event_type.to_owned(), reason)),
            }
        }
        (types, refused)
    }

    /// True when clear state of this type is to be sent encrypted.
    pub fn contains(&self, event_type: &str) -> bool {
        self.0.contains(event_type)
    }

    /// How much a slot matters where there is no place for all: the room's own name and topic most,
    /// then what is of these types, then what has no state key; people's own names least.
    pub(crate) fn rank(&self, slot: TypeAndKey<'_>) -> (bool, bool, bool, bool) {
        let TypeAndKey { event_type, state_key } = slot;
        let is_single = state_key.is_empty();
        let is_own = DEFAULT_TYPES.contains(&event_type);
        let is_profile = event_type == MEMBER_PROFILE;
        (is_own && is_single, self.contains(event_type), is_single, !is_profile)
    }

    /// The types, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mantle_wire::state_types::stays_clear;

    #[test]
    fn every_listed_type_is_refused_with_its_reason() {
        for event_type in PROTOCOL_TYPES {
            assert_eq!(check_eligible(event_type), Err(IneligibleType::Protocol), "{event_type}");
        }
        for event_type in SERVER_TYPES {
            assert_eq!(check_eligible(event_type), Err(IneligibleType::Server), "{event_type}");
        }
        assert_eq!(check_eligible("m.room.encrypted"), Err(IneligibleType::Nested));
        assert_eq!(check_eligible(""), Err(IneligibleType::Empty));
        assert_eq!(check_eligible("org.example:thing"), Err(IneligibleType::Colon));
    }

    #[test]
    fn other_types_are_eligible() {
        for event_type in ["m.room.name", "m.room.topic", "m.room.avatar", "org.example.thing"] {
            assert_eq!(check_eligible(event_type), Ok(()), "{event_type}");
        }
    }

    #[test]
    fn the_default_is_name_and_topic() {
        let types: Vec<_> = EncryptedTypes::default().iter().map(str::to_owned).collect();
        assert_eq!(types, ["m.room.name", "m.room.topic"]);
    }

    #[test]
    fn additions_are_filtered() {
        let (types, refused) = EncryptedTypes::with_additions([
            " m.room.avatar ",
            "m.room.power_levels",
            "m.space.child",
            "m.call.member",
            "m.room.name",
        ]);
        assert!(types.contains("m.room.avatar"));
        assert!(types.contains("m.room.name"));
        assert!(!types.contains("m.room.power_levels"));
        assert_eq!(
            refused,
            [
                ("m.room.power_levels".to_owned(), IneligibleType::Protocol),
                ("m.space.child".to_owned(), IneligibleType::Server),
                ("m.call.member".to_owned(), IneligibleType::Call),
            ]
        );
    }

    /// Else a type would be taken there and never encrypted.
    #[test]
    fn what_settings_take_is_encrypted() {
        let kinds = [&PROTOCOL_TYPES[..], &SERVER_TYPES, &CALL_TYPES, &[ENCRYPTED_TYPE]].concat();
        for kind in
            kinds.into_iter().chain(["m.room.avatar", "org.example.a", "m.room.pinned_events"])
        {
            assert_eq!(check_sendable(kind).is_err(), stays_clear(kind), "{kind}");
        }
    }
}
