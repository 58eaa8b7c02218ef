//! Names for invites: told by the inviter's Mantle inside the Olm channel, because the server that
//! passes the invite on cannot know them.

use crate::sorted::Map;
use serde::Serialize;
use serde_json::value::RawValue;

use super::persist::HINT;
use super::read::{Answer, Entry, HealedEvent, healed_event, with_room};
use super::{EngineError, StateEngine};
use crate::index::events::{Edit, Splice, Survey};
use crate::megolm::{PickleKey, seal, unseal};
use crate::msc4362::eligible::check_eligible;
use mantle_wire::json::{elements, get, get_str, quoted};

/// The to-device event's type.
const HINT_TYPE: &str = "org.mantle.room_state";
/// The types worth telling: what an invite shows.
pub(super) const TOLD: [&str; 3] = ["m.room.name", "m.room.topic", "m.room.avatar"];
const MAX_HINTS: usize = 200;
/// Of one person, so that a stranger's do not keep others' out.
const MAX_HINTS_BY_ONE: usize = 50;
const MAX_HINT_BYTES: usize = 16 * 1024;

/// What an inviter told.
#[derive(Clone, Debug)]
pub(super) struct Hint {
    sender: String,
    /// Type and content, JSON.
    events: Map<String, String>,
}

/// A to-device message to send.
#[derive(Debug, Serialize)]
pub struct InviteHint {
    /// Its type.
    pub r#type: &'static str,
    /// Its content.
    pub content: Box<RawValue>,
}

impl Hint {
    pub(super) fn stored(&self, entry: &str, key: &PickleKey) -> String {
        let events: Vec<String> = self
            .events
            .iter()
            .map(|(event_type, content)| {
                format!(r#"{{"type":{},"content":{content}}}"#, quoted(event_type))
            })
            .collect();
        let text =
            format!(r#"{{"sender":{},"state":[{}]}}"#, quoted(&self.sender), events.join(","));
        seal(&text, (entry, ""), key)
    }

    pub(super) fn restore(entry: &str, stored: &str, key: &PickleKey) -> Option<Self> {
        let text = unseal(stored, (entry, ""), key).ok()?;
        let sender = get_str(text.expose(), &["sender"]).ok()??;
        Some(Self { sender, events: read_events(text.expose())? })
    }

    fn event(&self, event_type: &str, content: &str) -> String {
        format!(
            r#"{{"type":{},"state_key":"","sender":{},"content":{content}}}"#,
            quoted(event_type),
            quoted(&self.sender),
        )
    }
}

/// The room in the name of a hint.
fn room_of(name: &str) -> &str {
    name.split_once(' ').map_or(name, |(room_id, _)| room_id)
}

fn read_events(text: &str) -> Option<Map<String, String>> {
    let mut events = Map::new();
    for event in elements(get(text, &["state"]).ok()??).ok()? {
        let event_type = get_str(event, &["type"]).ok()??;
        let content = get(event, &["content"]).ok()??;
        let told = TOLD.contains(&event_type.as_str()) && check_eligible(&event_type).is_ok();
        if told && content.starts_with('{') {
            events.insert(event_type, content.to_owned());
        }
    }
    Some(events)
}

impl StateEngine {
    /// What to tell the devices of a user who is being invited; `None` when there is nothing.
    pub fn invite_hint(&self, room_id: &str) -> Option<InviteHint> {
        if !self.known.encrypts_state(room_id) {
            return None;
        }
        let slots = self.remembered.get(room_id)?;
        let state: Vec<String> = TOLD
            .iter()
            .filter_map(|event_type| {
                let event = slots.get(&((*event_type).to_owned(), String::new()))?;
                let content = get(event, &["content"]).ok()??;
                Some(format!(
                    r#"{{"type":{},"state_key":"","content":{content}}}"#,
                    quoted(event_type)
                ))
            })
            .collect();
        if state.is_empty() {
            return None;
        }
        let content = format!(r#"{{"room_id":{},"state":[{}]}}"#, quoted(room_id), state.join(","));
        Some(InviteHint { r#type: HINT_TYPE, content: RawValue::from_string(content).ok()? })
    }

    /// A decrypted to-device message of that type. `sender` is who the Olm channel says.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the content is none.
    pub fn add_invite_hint(&mut self, sender: &str, content: &str) -> Result<(), EngineError> {
        const BAD: EngineError = EngineError::Input("invite");
        if content.len() > MAX_HINT_BYTES {
            return Err(BAD);
        }
        let room_id = get_str(content, &["room_id"])?.ok_or(BAD)?;
        let events = read_events(content).filter(|events| !events.is_empty()).ok_or(BAD)?;
        // What stands before the space in its name.
        if room_id.bytes().any(|byte| byte <= b' ') {
            return Err(BAD);
        }
        // Only the inviter's word counts, and who that is the invite itself decides: until then
        // each has one for the room.
        let name = format!("{room_id} {sender}");
        if !self.hints.contains_key(&name) {
            let by_one = self.hints.values().filter(|hint| hint.sender == sender).count();
            if self.hints.len() >= MAX_HINTS || by_one >= MAX_HINTS_BY_ONE {
                return Err(BAD);
            }
        }
        self.hints.insert(name.clone(), Hint { sender: sender.to_owned(), events });
        self.dirty.insert(format!("{HINT}{name}"));
        self.fresh_hints.insert(name);
        Ok(())
    }

    pub(super) fn has_hint(&self, room_id: &str) -> bool {
        self.hints.find(|name| room_of(name).cmp(room_id)).is_some()
    }

    pub(super) fn drop_hints(&mut self, room_id: &str) {
        if !self.has_hint(room_id) {
            return;
        }
        let is_rooms = |name: &&String| room_of(name) == room_id;
        let names: Vec<String> = self.hints.keys().filter(is_rooms).cloned().collect();
        for name in names {
            self.hints.remove(&name);
            self.dirty.insert(format!("{HINT}{name}"));
        }
    }

    /// Puts hints into the invites of an answer they belong to.
    pub(super) fn tell_invites(&self, answer: &Answer, survey: &Survey) -> Vec<Edit> {
        let mut rooms: Map<&str, Vec<&Entry>> = Map::new();
        for entry in &answer.invites {
            rooms.or_default(&entry.room_id).push(entry);
        }
        let mut edits = Vec::new();
        for (room_id, entries) in rooms {
            let Some(open) = entries.first().and_then(|entry| entry.found.array()) else {
                continue;
            };
            let list = survey.list(&answer.body, open);
            let is_inviters = |(name, hint): &(&String, &Hint)| {
                room_of(name) == room_id
                    && list.iter().any(|event| self.is_invite_by(event, &hint.sender))
            };
            let Some((_, hint)) = self.hints.iter().find(is_inviters) else { continue };
            let mut anchored = false;
            for entry in entries {
                if hint.events.contains_key(&entry.found.event_type) {
                    edits.push(Edit::of(&entry.found, Splice::Remove));
                } else if !anchored {
                    anchored = true;
                    let events: Vec<String> = hint
                        .events
                        .iter()
                        .map(|(event_type, content)| hint.event(event_type, content))
                        .collect();
                    edits.push(Edit::of(
                        &entry.found,
                        Splice::Append(events.join(",").into_bytes()),
                    ));
                }
            }
        }
        edits
    }

    fn is_invite_by(&self, event: &str, inviter: &str) -> bool {
        let text = |path: &[&str]| get_str(event, path).ok().flatten();
        let own = self.device.as_ref().map(|device| device.user_id().to_owned());
        text(&["type"]).as_deref() == Some("m.room.member")
            && text(&["sender"]).as_deref() == Some(inviter)
            && own.is_none_or(|own| text(&["state_key"]) == Some(own))
            && text(&["content", "membership"]).as_deref() == Some("invite")
    }

    /// Names for invites the running client may hold already.
    pub(super) fn healed_invites(&mut self) -> Vec<HealedEvent> {
        std::mem::take(&mut self.fresh_hints)
            .into_iter()
            .filter_map(|name| Some((self.hints.get(&name)?, name)))
            .flat_map(|(hint, name)| {
                let room_id = room_of(&name);
                hint.events
                    .iter()
                    .filter_map(|(event_type, content)| {
                        let event = with_room(&hint.event(event_type, content), room_id);
                        healed_event(room_id, event)
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}
