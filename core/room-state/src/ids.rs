//! Ids as others send them. What has not their form is nobody's id, and nothing is kept under it.

/// A room's id, where another text stands beside it that must not be taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoomId<'a>(pub(crate) &'a str);

/// A Megolm session of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionId<'a> {
    pub(crate) room_id: &'a str,
    pub(crate) id: &'a str,
}

impl SessionId<'_> {
    /// Room and session, for what is kept.
    pub(crate) fn to_key(self) -> (String, String) {
        (self.room_id.to_owned(), self.id.to_owned())
    }
}

/// An event of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventId<'a> {
    pub(crate) room_id: &'a str,
    pub(crate) id: &'a str,
}

/// What a state event of a room stands for: its type and state key there.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) room_id: String,
    pub(crate) event_type: String,
    pub(crate) state_key: String,
}

impl Slot {
    pub(crate) fn new(room: RoomId<'_>, event_type: &str, state_key: &str) -> Self {
        Self {
            room_id: room.0.to_owned(),
            event_type: event_type.to_owned(),
            state_key: state_key.to_owned(),
        }
    }

    /// Type and state key alone, for what is ordered by rooms already.
    pub(crate) fn in_room(&self) -> (String, String) {
        (self.event_type.clone(), self.state_key.clone())
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
