//! Room defaults: a new room is no more open than its maker asked for.
//!
//! Catalogue sections 6 and 15. Element lets guests into every new room and makes the history of public
//! rooms in a space readable by anyone; a homeserver can tell it to make private rooms without encryption.

use super::{BodyStep, Context, Head, HeadStep, Info, ResponseStep, Shield, documented};
use mantle_wire::json::{Document, Edit, JsonError, elements, get, get_str, utf8};
use mantle_wire::route::Endpoint;
use std::borrow::Cow;

pub(super) struct RoomDefaults;

pub(super) static INFO: Info = Info {
    id: "room-defaults",
    name: "New rooms",
    purpose: documented(
        "Makes new rooms without access for guests and without history that is open to anyone, and encrypted even where the homeserver suggests otherwise.",
    ),
    loses: documented(
        "Guests cannot join rooms you make, and public rooms cannot be read before joining, until you allow it in the room's settings.",
    ),
    why: documented(
        "Element opens them without asking; its room settings can still do so on purpose.",
    ),
    endpoints: &[Endpoint::CreateRoom, Endpoint::WellKnownClient],
    ..Info::PLAIN
};

const GUESTS: &str =
    r#"{"type":"m.room.guest_access","state_key":"","content":{"guest_access":"forbidden"}}"#;
const HISTORY: &str = r#"{"type":"m.room.history_visibility","state_key":"","content":{"history_visibility":"shared"}}"#;

/// Where a server says whether rooms are encrypted.
const KEYS: [&str; 2] = ["io.element.e2ee", "im.vector.riot.e2ee"];

impl Shield for RoomDefaults {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::CreateRoom => HeadStep::Body,
            Endpoint::WellKnownClient => HeadStep::InspectResponse,
            _ => HeadStep::Pass,
        }
    }

    fn body(
        &self,
        _head: &Head<'_>,
        _context: &Context<'_>,
        _headers: &str,
        body: &[u8],
    ) -> Result<BodyStep, JsonError> {
        if body.trim_ascii().is_empty() {
            return Ok(BodyStep::Pass);
        }
        let text = utf8(body)?;
        // The presets for private rooms let guests in as well (Client-Server API, `createRoom`).
        let mut events = vec![GUESTS];
        for event in elements(get(text, &["initial_state"])?.unwrap_or("[]"))? {
            match get_str(event, &["type"])?.as_deref() {
                Some("m.room.guest_access") => {}
                Some("m.room.history_visibility") if event.contains("\"world_readable\"") => {
                    events.push(HISTORY);
                }
                _ => events.push(event),
            }
        }
        Ok(BodyStep::Edit(vec![Edit::set(&["initial_state"], format!("[{}]", events.join(",")))]))
    }

    fn response_paths(&self, _head: &Head<'_>) -> Vec<Cow<'static, str>> {
        let paths = KEYS.iter().flat_map(|key| {
            ["default", "force_disable"].map(|member| format!("{key}/{member}").into())
        });
        paths.collect()
    }

    fn response(
        &self,
        _head: &Head<'_>,
        _context: &Context<'_>,
        _body: &Document<'_>,
    ) -> Result<ResponseStep, JsonError> {
        let mut step = ResponseStep::default();
        for key in KEYS {
            step.edits.push(Edit::replace(&[key, "default"], "true"));
            step.edits.push(Edit::remove(&[key, "force_disable"]));
        }
        Ok(step)
    }
}
