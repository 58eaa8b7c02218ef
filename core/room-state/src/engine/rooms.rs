//! What is known of a room from its readable state.

use super::{EngineError, StateEngine};
use crate::model::precedence::FlagChange;
use crate::msc4362::power_levels::PowerLevels;
use mantle_wire::json::{elements, get, get_str};

/// Contents of the readable events that decide about encrypted ones.
#[derive(Clone, Debug, Default)]
pub(super) struct RoomFacts {
    power_levels: Option<String>,
    // With its sender.
    create: Option<(String, String)>,
}

impl RoomFacts {
    pub(super) fn learn(&mut self, event_type: &str, sender: &str, content: &str) {
        let content = content.to_owned();
        match event_type {
            "m.room.power_levels" => self.power_levels = Some(content),
            "m.room.create" => self.create = Some((content, sender.to_owned())),
            _ => {}
        }
    }

    /// The room's version, once its creation is known.
    pub(super) fn version(&self) -> Option<String> {
        let (create, _) = self.create.as_ref()?;
        let version = get_str(create, &["room_version"]).ok().flatten();
        Some(version.unwrap_or_else(|| "1".to_owned()))
    }

    /// The levels, once the room's creation is known: then its other state was seen too.
    pub(super) fn levels(&self) -> Option<PowerLevels> {
        let (create, sender) = self.create.as_ref()?;
        Some(PowerLevels::from_contents(self.power_levels.as_deref(), Some(create), Some(sender)))
    }
}

impl StateEngine {
    /// Readable state events of a room as the running client has them: a JSON array.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is no array.
    pub fn add_room_state(&mut self, room_id: &str, events: &str) -> Result<(), EngineError> {
        let mut facts = self.rooms.remove(room_id).unwrap_or_default();
        for event in elements(events)? {
            let text = |key| get_str(event, &[key]).map(Option::unwrap_or_default);
            let (event_type, state_key) = (text("type")?, text("state_key")?);
            let content = get(event, &["content"])?.unwrap_or("{}");
            if !state_key.is_empty() {
                continue;
            }
            facts.learn(&event_type, &text("sender")?, content);
            if event_type == "m.room.encryption" {
                let before = self.known.encrypts_state(room_id);
                match self.known.observe_encryption(room_id, content) {
                    FlagChange::On if !before => self.touch_room(room_id),
                    FlagChange::RemovalIgnored => self.problem(room_id, "flag-removed", "state"),
                    FlagChange::On | FlagChange::Off => {}
                }
            }
        }
        if let Some(levels) = facts.levels() {
            self.levels.insert(room_id.to_owned(), levels);
        }
        self.rooms.insert(room_id.to_owned(), facts);
        Ok(())
    }
}
