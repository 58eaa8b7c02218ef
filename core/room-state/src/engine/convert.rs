//! "Encrypt this room's name and topic": from a room with readable state to one without.

use serde::Serialize;

use super::pending::PendingEvent;
use super::{EngineError, StateEngine};
use crate::flow::request_filters::encoded;
use crate::model::precedence::{STATE_ENCRYPTION_FLAGS, is_flagged};
use crate::msc4362::power_levels::PowerLevels;
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

impl StateEngine {
    /// `state` is a JSON array of all the room's state events as the client has them, and of those that
    /// the server has in their place.
    ///
    /// # Errors
    ///
    /// [`EngineError`] when the device is not known or the text is no array.
    pub fn convert_room(&mut self, room_id: &str, state: &str) -> Result<Conversion, EngineError> {
        let user = self.device.as_ref().ok_or(EngineError::NoDevice)?.user_id().to_owned();
        self.add_room_state(room_id, state)?;
        let refuse = |sentence| Ok(Conversion::Refuse { sentence });
        let mut encryption = None;
        let mut encrypt = Vec::new();
        let mut blank = Vec::new();
        let mut redact = Vec::new();
        let mut types = Vec::new();
        for event in elements(state)? {
            let text = |key| get_str(event, &[key]).map(Option::unwrap_or_default);
            let (event_type, state_key) = (text("type")?, text("state_key")?);
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
            if !self.settings.types.contains(&event_type) || !filled {
                continue;
            }
            let event_id = get_str(event, &["event_id"])?.unwrap_or_default();
            let slot = (event_type.clone(), state_key.clone());
            let content_json = match self.known.current(room_id, &event_type, &state_key) {
                None => Some(content),
                // What the client holds in clear of an encrypted event.
                Some(current)
                    if current.event_id == event_id
                        || self.known.was_replaced(room_id, &slot.0, &slot.1, &event_id) =>
                {
                    continue;
                }
                // A readable event behind an encrypted one is a leftover: only to be emptied.
                Some(_) => match self.memory.get(room_id, &slot) {
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
            blank.push(Put {
                path: state_path(room_id, &event_type, &state_key),
                body: blank_content(&event_type).to_owned(),
            });
            redact.push(event_id);
            types.push(event_type);
        }
        let Some(encryption) = encryption else {
            return refuse(
                "Turn on encryption in this room first; its name can be encrypted then.",
            );
        };
        let Some(levels) = self.levels.get(room_id).cloned() else {
            return refuse("Element has not loaded this room yet; open it and try again.");
        };
        let flagged = is_flagged(encryption);
        if !may_convert(&levels, &user, flagged, &types) {
            return refuse(
                "You may not change this room's settings; ask one of its administrators.",
            );
        }
        let flag = if flagged { None } else { Some(flag_put(room_id, encryption)?) };
        let done = flag.is_none() && blank.is_empty();
        let types = self.settings.types.iter().map(str::to_owned).collect();
        Ok(Conversion::Convert { flag, encrypt, blank, redact, types, done })
    }
}

fn may_convert(levels: &PowerLevels, user: &str, flagged: bool, types: &[String]) -> bool {
    (flagged || levels.may_send_state(user, "m.room.encryption"))
        && types.iter().all(|event_type| levels.may_send_encrypted(user, event_type))
}

fn flag_put(room_id: &str, encryption: &str) -> Result<Put, EngineError> {
    let [unstable, _] = STATE_ENCRYPTION_FLAGS;
    let body = json::apply(encryption.as_bytes(), &[Edit::set(&[unstable], "true")])?
        .and_then(|body| String::from_utf8(body).ok())
        .ok_or(EngineError::Input("encryption"))?;
    Ok(Put { path: state_path(room_id, "m.room.encryption", ""), body })
}

fn state_path(room_id: &str, event_type: &str, state_key: &str) -> String {
    format!(
        "/_matrix/client/v3/rooms/{}/state/{}/{}",
        encoded(room_id),
        encoded(event_type),
        encoded(state_key)
    )
}

/// Content that says nothing, in the form clients expect of the type.
fn blank_content(event_type: &str) -> &'static str {
    match event_type {
        "m.room.name" => r#"{"name":""}"#,
        "m.room.topic" => r#"{"topic":""}"#,
        _ => "{}",
    }
}
