//! Room defaults: a new room is no more open than its maker asked for.
//!
//! Catalogue sections 6 and 15. Element lets guests into every new room and makes the history of public
//! rooms in a space readable by anyone; a homeserver can tell it to make private rooms without encryption.

use super::{AnswerStep, BodyStep, Context, Head, HeadStep, Info, Shield};
use crate::wire::endpoint::Endpoint;
use crate::wire::json_edit::{Edit, JsonError, apply, elements, get, get_str, utf8};

pub(super) struct RoomDefaults;

static INFO: Info = Info {
    id: "room-defaults",
    name: "New rooms",
    purpose: "Makes new rooms without access for guests and without history that is open to anyone, and encrypted even where the homeserver suggests otherwise.",
    loses: "Guests cannot join rooms you make, and public rooms cannot be read before joining, until you allow it in the room's settings.",
    why: "Element opens them without asking; its room settings can still do so on purpose.",
    ..Info::PLAIN
};

/// State a new room gets: type, member of its content, and what may not stand there.
const GUESTS: (&str, &str) = ("m.room.guest_access", "guest_access");
const HISTORY: (&str, &str) = ("m.room.history_visibility", "history_visibility");

impl Shield for RoomDefaults {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn head(&self, head: &Head<'_>, _context: &Context<'_>) -> HeadStep {
        match head.endpoint {
            Endpoint::CreateRoom => HeadStep::Body,
            Endpoint::WellKnownClient => HeadStep::Watch,
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
        let mut events = Vec::new();
        let mut has_guests = false;
        for event in elements(get(text, &["initial_state"])?.unwrap_or("[]"))? {
            let kind = get_str(event, &["type"])?.unwrap_or_default();
            let edit = if kind == GUESTS.0 {
                has_guests = true;
                Edit::set(&["content", GUESTS.1], r#""forbidden""#)
            } else if kind == HISTORY.0
                && get_str(event, &["content", HISTORY.1])?.as_deref() == Some("world_readable")
            {
                Edit::set(&["content", HISTORY.1], r#""shared""#)
            } else {
                events.push(event.to_owned());
                continue;
            };
            let edited = apply(event.as_bytes(), &[edit])?.and_then(|it| String::from_utf8(it).ok());
            events.push(edited.unwrap_or_else(|| event.to_owned()));
        }
        // The presets for private rooms let guests in as well (Client-Server API, `createRoom`).
        if !has_guests {
            events.push(format!(
                r#"{{"type":"{}","state_key":"","content":{{"{}":"forbidden"}}}}"#,
                GUESTS.0, GUESTS.1
            ));
        }
        Ok(BodyStep::Edit(vec![Edit::set(&["initial_state"], format!("[{}]", events.join(",")))]))
    }

    fn answer(
        &self,
        _head: &Head<'_>,
        _context: &Context<'_>,
        body: &str,
    ) -> Result<AnswerStep, JsonError> {
        let mut step = AnswerStep::default();
        for key in ["io.element.e2ee", "im.vector.riot.e2ee"] {
            step.edits.push(Edit::replace(&[key, "default"], "true"));
            if get(body, &[key, "force_disable"])?.is_some() {
                step.edits.push(Edit::remove(&[key, "force_disable"]));
            }
        }
        Ok(step)
    }
}
