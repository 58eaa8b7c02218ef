//! What redactions a response tells of.
//!
//! Only events where the homeserver puts them count, not what stands inside one; and only the member
//! that the homeserver has judged: at the top of the event up to room version 10, in its content from
//! 11 on. The other one anybody may write who may redact what is their own.

use memchr::memmem;

use crate::ids::RoomId;
use crate::index::members::Members;
use mantle_wire::json::{elements, get, members};
use mantle_wire::route::Endpoint;

const TYPE: &str = "m.room.redaction";

/// An event that is redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redacted {
    pub(crate) room_id: String,
    pub(crate) event_id: String,
}

/// Where a redaction says what it redacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Top,
    Content,
    /// The room's version is not known: at the top, and in the content where nothing is there.
    Unknown,
}

impl Place {
    /// Of a room of that version.
    pub(crate) fn of(version: Option<&str>) -> Self {
        match version.map(str::parse::<u32>) {
            None => Self::Unknown,
            Some(Ok(..=10)) => Self::Top,
            // Later ones and experiments.
            Some(_) => Self::Content,
        }
    }
}

/// All in a response. `request_room`: the room in the request's path.
pub(crate) fn find(
    endpoint: Endpoint,
    body: &[u8],
    request_room: Option<RoomId<'_>>,
    place: impl Fn(&str) -> Place,
) -> Vec<Redacted> {
    let mut found = Vec::new();
    if memmem::find(body, TYPE.as_bytes()).is_none() {
        return found;
    }
    let Ok(text) = std::str::from_utf8(body) else { return found };
    let mut see = |room_id: &str, event: &str| {
        if let Some(event_id) = redacts(event, place(room_id)) {
            found.push(Redacted { room_id: room_id.to_owned(), event_id });
        }
    };
    let each = |object: Option<&str>, see: &mut dyn FnMut(&str, &str)| {
        for room in object.and_then(|rooms| members(rooms).ok().flatten()).unwrap_or_default() {
            see(&room.key, room.value);
        }
    };
    match endpoint {
        Endpoint::Sync => {
            let Some(rooms) = part(text, &["rooms"]) else { return found };
            for section in ["join", "leave"] {
                each(part(rooms, &[section]), &mut |room_id, room| {
                    for event in list(part(room, &["timeline", "events"])) {
                        see(room_id, event);
                    }
                });
            }
        }
        Endpoint::SlidingSync => each(part(text, &["rooms"]), &mut |room_id, room| {
            for event in list(part(room, &["timeline"])) {
                see(room_id, event);
            }
        }),
        Endpoint::Events => {
            for event in list(part(text, &["chunk"])) {
                let room_id = Members::read(event).and_then(|event| event.string("room_id"));
                if let Some(room_id) = room_id {
                    see(&room_id, event);
                }
            }
        }
        Endpoint::History | Endpoint::StateRead => {
            let Some(RoomId(room_id)) = request_room else { return found };
            for name in ["chunk", "events_before", "events_after"] {
                for event in list(part(text, &[name])) {
                    see(room_id, event);
                }
            }
            for event in list(part(text, &["messages", "chunk"])) {
                see(room_id, event);
            }
            see(room_id, text);
            if let Some(event) = part(text, &["event"]) {
                see(room_id, event);
            }
        }
        _ => {}
    }
    found
}

fn part<'a>(text: &'a str, path: &[&str]) -> Option<&'a str> {
    get(text, path).ok().flatten()
}

fn list(array: Option<&str>) -> Vec<&str> {
    array.and_then(|array| elements(array).ok()).unwrap_or_default()
}

/// What an event redacts, where it is a redaction.
fn redacts(event: &str, place: Place) -> Option<String> {
    memmem::find(event.as_bytes(), TYPE.as_bytes())?;
    let event = Members::read(event)?;
    if event.string("type")? != TYPE {
        return None;
    }
    let top = || event.string("redacts");
    let content = || Members::read(event.raw("content")?)?.string("redacts");
    match place {
        Place::Top => top(),
        Place::Content => content(),
        Place::Unknown => top().or_else(content),
    }
}

/// True when the homeserver says that the event was redacted, or has emptied it.
pub(crate) fn is_emptied(event: &str) -> bool {
    let content =
        || Members::read(event).is_some_and(|event| event.raw("content").is_some_and(is_empty));
    is_redacted(event) || content()
}

/// True when the homeserver says that the event was redacted.
pub(crate) fn is_redacted(event: &str) -> bool {
    let Some(event) = Members::read(event) else { return false };
    let unsigned = event.raw("unsigned").and_then(Members::read);
    let because = unsigned.and_then(|unsigned| unsigned.raw("redacted_because"));
    because.is_some_and(|because| because != "null")
}

/// A content of which nothing is left.
pub(crate) fn is_empty(content: &str) -> bool {
    members(content).is_ok_and(|members| members.is_some_and(|members| members.is_empty()))
}
