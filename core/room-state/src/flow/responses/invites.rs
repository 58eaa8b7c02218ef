//! Puts what inviters told into the invites of a response they belong to.

use super::response::{Entry, Response};
use crate::ids::UserId;
use crate::index::events::EventIndex;
use crate::index::patch::{Edit, Splice};
use crate::model::Model;
use crate::sorted::Map;
use mantle_wire::json::get_str;

pub(super) fn tell(model: &Model, response: &Response, index: &EventIndex) -> Vec<Edit> {
    let mut rooms: Map<&str, Vec<&Entry>> = Map::new();
    for entry in &response.invites {
        rooms.or_default(&entry.room_id).push(entry);
    }
    let mut edits = Vec::new();
    for (room_id, entries) in rooms {
        let Some(open) = entries.first().and_then(|entry| entry.found.array()) else {
            continue;
        };
        let list = index.list(&response.body, open);
        let is_inviter =
            |sender: &str| list.iter().any(|event| is_invite_by(model, event, UserId(sender)));
        let Some(preview) = model.invites.told(room_id, is_inviter) else { continue };
        let mut is_anchored = false;
        for entry in entries {
            if preview.has(&entry.found.event_type) {
                edits.push(Edit::of(&entry.found, Splice::Remove));
            } else if !is_anchored {
                is_anchored = true;
                let events: Vec<String> = preview.events().collect();
                edits.push(Edit::of(&entry.found, Splice::Append(events.join(",").into_bytes())));
            }
        }
    }
    edits
}

fn is_invite_by(model: &Model, event: &str, inviter: UserId<'_>) -> bool {
    let text = |path: &[&str]| get_str(event, path).ok().flatten();
    let own = model.devices.own().map(|device| device.user_id().to_owned());
    text(&["type"]).as_deref() == Some("m.room.member")
        && text(&["sender"]).as_deref() == Some(inviter.0)
        && own.is_none_or(|own| text(&["state_key"]) == Some(own))
        && text(&["content", "membership"]).as_deref() == Some("invite")
}
