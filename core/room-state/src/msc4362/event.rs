//! An encrypted state event from outside, and what it is inside.

use crate::ids::{RoomId, SessionId, TypeAndKey};
use mantle_wire::json::{self, Edit, quoted};

/// An `m.room.encrypted` state event as the server gave it.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedEvent<'a> {
    /// The room it came in, from the response's structure or the request's path.
    pub room_id: &'a str,
    /// Its id; none in stripped state, which then is not bound to an index.
    pub event_id: Option<&'a str>,
    /// Its sender.
    pub sender: &'a str,
    /// Its outer state key.
    pub state_key: &'a str,
    /// Its content, JSON.
    pub content: &'a str,
}

/// An event's place among those of its slot, by its author.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotOrder {
    /// One more than the highest that the author knew of in the slot.
    pub counter: u64,
    /// The author's clock, milliseconds since the epoch.
    pub ts: u64,
}

/// What a state event is inside.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedState {
    /// The clear type.
    pub event_type: String,
    /// The clear state key.
    pub state_key: String,
    /// The clear content, a JSON object.
    pub content: String,
    /// The Megolm session it was encrypted with.
    pub session_id: String,
    /// Its index in that session.
    pub message_index: u32,
    /// No member has the device any more that made the session, so only the room says who sent it.
    pub by_gone_device: bool,
    /// Its place in the slot, where its author says that.
    pub order: Option<SlotOrder>,
    /// Curve25519 and Ed25519 key of the sender's device that signed it, where that was checked: only
    /// if another device gave the session's key as its own, or nobody has its device.
    pub author: Option<(String, String)>,
}

impl OpenedState {
    /// What it stands for in its room.
    pub(crate) fn slot(&self) -> TypeAndKey<'_> {
        TypeAndKey { event_type: &self.event_type, state_key: &self.state_key }
    }

    /// The session of that room, and its index there.
    pub(crate) fn place<'a>(&'a self, room: RoomId<'a>) -> (SessionId<'a>, u32) {
        (SessionId { room_id: room.0, id: &self.session_id }, self.message_index)
    }
}

impl std::fmt::Debug for OpenedState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("OpenedState")
            .field("event_type", &self.event_type)
            .field("message_index", &self.message_index)
            .finish_non_exhaustive()
    }
}

/// The event with its room's id, which sync responses leave out.
pub(crate) fn with_room(event: &str, room: RoomId<'_>) -> String {
    let edit = [Edit::set(&["room_id"], quoted(room.0))];
    json::apply(event.as_bytes(), &edit)
        .ok()
        .flatten()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_else(|| event.to_owned())
}
