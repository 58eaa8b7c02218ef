//! What is known of rooms from their readable state.

use crate::ids::RoomId;
use crate::msc4362::power_levels::{LevelContents, PowerLevels};
use crate::sorted::Map;
use mantle_wire::json::get_str;

/// A readable state event with the empty state key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fact<'a> {
    pub(crate) event_type: &'a str,
    pub(crate) sender: &'a str,
    pub(crate) content: &'a str,
}

/// Contents of the readable events that decide about encrypted ones.
#[derive(Clone, Debug, Default)]
struct Room {
    power_levels: Option<String>,
    // With its sender.
    create: Option<(String, String)>,
    // Once the room's creation is known: then its other state was seen too.
    levels: Option<PowerLevels>,
}

impl Room {
    fn learn(&mut self, fact: Fact<'_>) {
        let content = fact.content.to_owned();
        match fact.event_type {
            "m.room.power_levels" => self.power_levels = Some(content),
            "m.room.create" => self.create = Some((content, fact.sender.to_owned())),
            _ => {}
        }
    }

    fn judge(&mut self) {
        if let Some((create, sender)) = &self.create {
            self.levels = Some(PowerLevels::from_contents(LevelContents {
                power_levels: self.power_levels.as_deref(),
                create: Some(create),
                creator: Some(sender),
            }));
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Rooms(Map<String, Room>);

impl Rooms {
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes in what decides about encrypted state, the later after the earlier.
    pub(crate) fn learn(&mut self, room: RoomId<'_>, facts: &[Fact<'_>]) {
        let room = self.0.or_default(room.0.to_owned());
        for fact in facts {
            room.learn(*fact);
        }
        room.judge();
    }

    /// The room's power levels, once its creation is known.
    pub(crate) fn levels(&self, room_id: &str) -> Option<&PowerLevels> {
        self.0.get(room_id)?.levels.as_ref()
    }

    /// The room's version, once its creation is known.
    pub(crate) fn version(&self, room_id: &str) -> Option<String> {
        let (create, _) = self.0.get(room_id)?.create.as_ref()?;
        let version = get_str(create, &["room_version"]).ok().flatten();
        Some(version.unwrap_or_else(|| "1".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;

    #[test]
    fn nothing_is_said_of_levels_before_the_creation_is_known() {
        let mut rooms = Rooms::default();
        let levels = Fact {
            event_type: "m.room.power_levels",
            sender: "@a:x",
            content: r#"{"state_default":50,"users":{"@b:x":50}}"#,
        };
        rooms.learn(RoomId("!r:x"), &[levels]);
        assert!(rooms.levels("!r:x").is_none() && rooms.version("!r:x").is_none());
        let create = Fact {
            event_type: "m.room.create",
            sender: "@a:x",
            content: r#"{"room_version":"11"}"#,
        };
        rooms.learn(RoomId("!r:x"), &[create]);
        let known = rooms.levels("!r:x").unwrap();
        assert!(known.may_send_encrypted(UserId("@b:x"), "m.room.name"));
        assert!(!known.may_send_encrypted(UserId("@a:x"), "m.room.name"));
        assert_eq!(rooms.version("!r:x").as_deref(), Some("11"));
    }
}
