//! "Encrypt this room's name and topic": from a room with readable state to one without.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::EngineError;
use crate::ids::{RoomId, TypeAndKey, UserId};
use crate::model::Model;
use crate::model::known::{STATE_ENCRYPTION_FLAGS, is_flagged};
use crate::model::pending::PendingEvent;
use crate::msc4362::power_levels::PowerLevels;
use crate::paths::state_path;
use mantle_wire::json::{self, Edit, elements, get, get_str, members};

/// A readable state event to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Put {
    /// Path and nothing before it.
    pub path: String,
    /// JSON.
    pub body: String,
}

/// What converting a room takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Conversion {
    /// It cannot be done.
    Refuse {
        /// For the person.
        sentence: &'static str,
    },
    /// In this order.
    Convert {
        /// Puts the flag in.
        #[serde(skip_serializing_if = "Option::is_none")]
        flag: Option<Put>,
        /// To be encrypted and sent.
        encrypt: Vec<PendingEvent>,
        /// Once all of those are on the server: empties the readable ones.
        blank: Vec<Put>,
        /// If the user wants it: current events that still have the readable text.
        redact: Vec<String>,
        /// In history there may be more, of these types.
        types: Vec<String>,
        /// There is nothing to do.
        done: bool,
    },
}

/// `state` is a JSON array of all the room's state events as the client has them, and of those that
/// the server has in their place.
///
/// # Errors
///
/// [`EngineError`] when the device is not known or the text is no array.
pub(crate) fn convert_room(
    model: &mut Model,
    room: RoomId<'_>,
    state: &str,
) -> Result<Conversion, EngineError> {
    let room_id = room.0;
    let user = model.devices.own().ok_or(EngineError::NoDevice)?.user_id().to_owned();
    model.add_room_state(room, state)?;
    let (known, memory) = (model.states.known(), model.states.memory());
    let refuse = |sentence| Ok(Conversion::Refuse { sentence });
    let mut encryption = None;
    let mut encrypt = Vec::new();
    let mut blank = Vec::new();
    let mut redact = Vec::new();
    let mut types = Vec::new();
    let events = elements(state)?;
    let slot_of = |event: &str| -> Result<(String, String), EngineError> {
        let text = |key| get_str(event, &[key]).map(Option::unwrap_or_default);
        Ok((text("type")?, text("state_key")?))
    };
    let slots = events.iter().map(|event| slot_of(event)).collect::<Result<Vec<_>, _>>()?;
    // The server's, which stand last, are newer than what the client was told so far.
    let newest: BTreeMap<_, _> = slots.iter().enumerate().map(|(at, slot)| (slot, at)).collect();
    for ((at, event), of) in events.into_iter().enumerate().zip(&slots) {
        let (event_type, state_key) = of;
        let is_newest = newest.get(of) == Some(&at);
        let content = get(event, &["content"])?.unwrap_or("{}");
        match event_type.as_str() {
            "m.room.join_rules"
                if get_str(content, &["join_rule"])?.as_deref() == Some("public") =>
            {
                return refuse("This room is public, so everyone may read its name anyway.");
            }
            "m.room.encryption" if state_key.is_empty() => encryption = Some(content),
            _ => {}
        }
        let filled = members(content)?.is_some_and(|members| {
            members.iter().any(|member| !matches!(member.value, "\"\"" | "null" | "{}" | "[]"))
        });
        if !model.settings.types.contains(event_type) || !filled {
            continue;
        }
        let event_id = get_str(event, &["event_id"])?.unwrap_or_default();
        let slot = TypeAndKey { event_type, state_key };
        let content_json = match known.current(room, slot) {
            None if !is_newest => continue,
            None => Some(content),
            // What the client holds in clear of an encrypted event.
            Some(current)
                if current.event_id == event_id || known.was_replaced(room, slot, &event_id) =>
            {
                continue;
            }
            // A readable event behind an encrypted one is a leftover: only to be emptied.
            Some(_) => match memory.get(room, slot) {
                Some(event) => get(event, &["content"])?,
                None => None,
            },
        };
        encrypt.extend(content_json.map(|content| PendingEvent {
            event_type: event_type.clone(),
            state_key: state_key.clone(),
            content_json: content.to_owned(),
            source: String::new(),
        }));
        blank
            .push(Put { path: state_path(room, slot), body: blank_content(event_type).to_owned() });
        redact.push(event_id);
        types.push(event_type.clone());
    }
    let Some(encryption) = encryption else {
        return refuse("Turn on encryption in this room first; its name can be encrypted then.");
    };
    let Some(levels) = model.rooms.levels(room_id) else {
        return refuse("Element has not loaded this room yet; open it and try again.");
    };
    let flagged = is_flagged(encryption);
    if !may_convert(levels, UserId(&user), flagged, &types) {
        return refuse("You may not change this room's settings; ask one of its administrators.");
    }
    let flag = if flagged { None } else { Some(flag_put(room, encryption)?) };
    let done = flag.is_none() && blank.is_empty();
    let types = model.settings.types.iter().map(str::to_owned).collect();
    Ok(Conversion::Convert { flag, encrypt, blank, redact, types, done })
}

fn may_convert(levels: &PowerLevels, user: UserId<'_>, flagged: bool, types: &[String]) -> bool {
    (flagged || levels.may_send_state(user, "m.room.encryption"))
        && types.iter().all(|event_type| levels.may_send_encrypted(user, event_type))
}

fn flag_put(room: RoomId<'_>, encryption: &str) -> Result<Put, EngineError> {
    let [unstable, _] = STATE_ENCRYPTION_FLAGS;
    let body = json::apply(encryption.as_bytes(), &[Edit::set(&[unstable], "true")])?
        .and_then(|body| String::from_utf8(body).ok())
        .ok_or(EngineError::Input("encryption"))?;
    Ok(Put { path: state_path(room, TypeAndKey::single("m.room.encryption")), body })
}

/// Content that says nothing, in the form clients expect of the type.
fn blank_content(event_type: &str) -> &'static str {
    match event_type {
        "m.room.name" => r#"{"name":""}"#,
        "m.room.topic" => r#"{"topic":""}"#,
        _ => "{}",
    }
}
