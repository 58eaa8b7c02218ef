//! Names and topics that are known here, where a server that cannot read them has others or none.

use crate::ids::{RoomId, TypeAndKey};
use crate::model::memory::Memory;
use crate::msc4362::event::with_room;
use crate::paths::room_path;
use mantle_wire::json::{self, Edit, elements, get, get_str, members, quoted, span};
use mantle_wire::url::Address;

/// `GET …/state/{type}/{key}` of something known better here.
pub(super) fn known_state(memory: &Memory, address: &Address<'_>) -> Option<String> {
    let path = room_path(address)?;
    let [state, event_type, rest @ ..] = path.rest.as_slice() else { return None };
    let state_key = rest.first().map_or("", String::as_str);
    if state != "state" || rest.len() > 1 {
        return None;
    }
    let event = memory.get(RoomId(&path.room_id), TypeAndKey { event_type, state_key })?;
    if address.parameter("format").as_deref() == Some("event") {
        return Some(with_room(event, RoomId(&path.room_id)));
    }
    get(event, &["content"]).ok()?.map(str::to_owned)
}

/// Puts names and topics of rooms known here into `/hierarchy` and room summaries, where the
/// server has none. True when something changed.
pub(super) fn summaries(memory: &Memory, body: &mut Vec<u8>) -> bool {
    let filled = std::str::from_utf8(body).ok().and_then(|text| filled(memory, text));
    filled.map(|filled| *body = filled.into_bytes()).is_some()
}

fn filled(memory: &Memory, text: &str) -> Option<String> {
    let rooms = match get(text, &["rooms"]).ok()? {
        Some(rooms) => elements(rooms).ok()?,
        None => vec![text.trim()],
    };
    let mut out: Option<String> = None;
    for room in rooms.into_iter().rev() {
        let Some(filled) = filled_room(memory, room) else { continue };
        let current = out.as_deref().unwrap_or(text);
        out = Some(json::splice(current, span(text, room), &filled));
    }
    out
}

fn filled_room(memory: &Memory, room: &str) -> Option<String> {
    let room_id = get_str(room, &["room_id"]).ok()??;
    with_known(memory, RoomId(&room_id), room, &["name", "topic"])
}

/// Puts the names of rooms known here where a sliding sync (MSC4186) has the computed ones: a
/// server that cannot read the name has none or names people. True when something changed.
pub(super) fn rooms(memory: &Memory, body: &mut Vec<u8>) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    let rooms = get(text, &["rooms"]).ok().flatten();
    let rooms = rooms.and_then(|rooms| members(rooms).ok().flatten()).unwrap_or_default();
    let mut out: Option<String> = None;
    for room in rooms.into_iter().rev() {
        let Some(named) = with_known(memory, RoomId(&room.key), room.value, &["name"]) else {
            continue;
        };
        let current = out.as_deref().unwrap_or(text);
        out = Some(json::splice(current, span(text, room.value), &named));
    }
    out.map(|out| *body = out.into_bytes()).is_some()
}

/// The object with these texts of a room; `None` where none of them is known.
fn with_known(memory: &Memory, room: RoomId<'_>, object: &str, fields: &[&str]) -> Option<String> {
    let mut edits = Vec::new();
    for field in fields {
        if let Some(value) = known_text(memory, room, field) {
            edits.push(Edit::set(&[field], quoted(&value)));
        }
    }
    String::from_utf8(json::apply(object.as_bytes(), &edits).ok()??).ok()
}

/// The room's encrypted name or topic, as far as it is known and not empty.
fn known_text(memory: &Memory, room: RoomId<'_>, field: &str) -> Option<String> {
    let event = memory.get(room, TypeAndKey::single(&format!("m.room.{field}")))?;
    get_str(event, &["content", field]).ok()?.filter(|text| !text.is_empty())
}
