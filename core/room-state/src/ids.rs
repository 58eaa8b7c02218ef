//! Ids as others send them. What has not their form is nobody's id, and nothing is kept under it.

//!
//! No function takes two texts that could be taken for one another: ids are types, and what has two
//! parts names them (`tests/texts.rs`).

/// A room's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoomId<'a>(pub &'a str);

/// A user's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserId<'a>(pub &'a str);

/// A device of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceId<'a> {
    /// Whose.
    pub user_id: &'a str,
    /// Which.
    pub id: &'a str,
}

/// The public keys of a device, unpadded base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceKeys<'a> {
    /// Its identity key.
    pub curve25519: &'a str,
    /// Its signing key.
    pub ed25519: &'a str,
}

/// A Megolm session of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionId<'a> {
    /// The room.
    pub room_id: &'a str,
    /// The session's own id.
    pub id: &'a str,
}

impl SessionId<'_> {
    /// Room and session, for what is kept.
    pub(crate) fn to_key(self) -> (String, String) {
        (self.room_id.to_owned(), self.id.to_owned())
    }
}

/// An event of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId<'a> {
    /// The room.
    pub room_id: &'a str,
    /// The event's own id.
    pub id: &'a str,
}

impl EventId<'_> {
    /// Room and event, for what is kept.
    pub(crate) fn to_key(self) -> (String, String) {
        (self.room_id.to_owned(), self.id.to_owned())
    }
}

/// Type and state key: what a state event stands for in its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeAndKey<'a> {
    /// The type.
    pub event_type: &'a str,
    /// The state key; empty for what a room has one of.
    pub state_key: &'a str,
}

impl<'a> TypeAndKey<'a> {
    /// Of a type that a room has one of.
    #[must_use]
    pub const fn single(event_type: &'a str) -> Self {
        Self { event_type, state_key: "" }
    }
}

/// The same, for what is kept of a room.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InRoom {
    pub(crate) event_type: String,
    pub(crate) state_key: String,
}

impl InRoom {
    pub(crate) fn as_ref(&self) -> TypeAndKey<'_> {
        TypeAndKey { event_type: &self.event_type, state_key: &self.state_key }
    }
}

impl From<TypeAndKey<'_>> for InRoom {
    fn from(of: TypeAndKey<'_>) -> Self {
        Self { event_type: of.event_type.to_owned(), state_key: of.state_key.to_owned() }
    }
}

/// What a state event of a room stands for: its type and state key there.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) room_id: String,
    pub(crate) event_type: String,
    pub(crate) state_key: String,
}

impl Slot {
    pub(crate) fn new(room: RoomId<'_>, of: TypeAndKey<'_>) -> Self {
        Self {
            room_id: room.0.to_owned(),
            event_type: of.event_type.to_owned(),
            state_key: of.state_key.to_owned(),
        }
    }

    pub(crate) fn room(&self) -> RoomId<'_> {
        RoomId(&self.room_id)
    }

    /// Type and state key alone, for what is ordered by rooms already.
    pub(crate) fn of(&self) -> TypeAndKey<'_> {
        TypeAndKey { event_type: &self.event_type, state_key: &self.state_key }
    }

    /// The same to be kept.
    pub(crate) fn in_room(&self) -> InRoom {
        self.of().into()
    }
}

/// The longest id of a room, user or event, in bytes (appendices, "Common identifier format").
const MAX_ID_BYTES: usize = 255;

/// Whether this can be the id of a room; from room version 12 on it names no server.
pub(crate) fn is_room_id(id: &str) -> bool {
    has_form(id, '!')
}

/// Whether this can be the id of a user. Old ones hold nearly anything.
pub(crate) fn is_user_id(id: &str) -> bool {
    has_form(id, '@') && id.contains(':')
}

/// Whether this can be the id of an event: up to room version 2 a server's word, then a hash.
pub(crate) fn is_event_id(id: &str) -> bool {
    has_form(id, '$') && !id.contains(['"', '\\'])
}

fn has_form(id: &str, sigil: char) -> bool {
    id.len() <= MAX_ID_BYTES
        && id.strip_prefix(sigil).is_some_and(|rest| !rest.is_empty())
        && !id.contains(|character: char| character.is_control() || character == ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_a_form_and_an_end() {
        assert!(
            is_room_id("!room:example.org")
                && is_room_id("!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM")
        );
        let at_the_bound = format!("!{}", "x".repeat(254));
        assert!(is_room_id(&at_the_bound));
        assert!(!is_room_id(&format!("{at_the_bound}x")));
        // Bytes, not characters.
        assert!(!is_room_id(&format!("!{}", "\u{1F600}".repeat(64))));
        for bad in ["", "!", "room:x", "#room:x", "!a b:x", "!a\n:x", "!a\0:x"] {
            assert!(!is_room_id(bad), "{bad:?}");
        }
        assert!(is_user_id("@alice:example.org"));
        for bad in ["@", "@alice", "alice:x", "!alice:x"] {
            assert!(!is_user_id(bad), "{bad:?}");
        }
    }
}
