//! Who may send which state: the part of `m.room.power_levels` the opener needs.
//!
//! The server authorises an encrypted state event by its outer type, so the inner type is checked
//! here. Where a level cannot be read, the response is no.

use crate::ids::UserId;
use crate::sorted::{Map, Set};
use mantle_wire::json::{elements, exact_string, get, get_str, members};

/// The levels at one point of a room's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerLevels {
    users: Map<String, i64>,
    users_default: i64,
    events: Map<String, i64>,
    state_default: i64,
    // Room version 12 (MSC4289): above every level.
    creators: Set<String>,
}

const OUTER: &str = "m.room.encrypted";

/// The first room version whose creators stand above all levels (MSC4289), and its trial name.
const PRIVILEGED_CREATORS_FROM: u32 = 12;
const PRIVILEGED_CREATORS_TRIAL: &str = "org.matrix.hydra.11";

/// What levels are read from.
#[derive(Clone, Copy, Debug, Default)]
pub struct LevelContents<'a> {
    /// Of `m.room.power_levels`; absent if the room has none.
    pub power_levels: Option<&'a str>,
    /// Of `m.room.create`.
    pub create: Option<&'a str>,
    /// The sender of the latter.
    pub creator: Option<&'a str>,
}

impl PowerLevels {
    /// Reads a room's levels.
    pub fn from_contents(contents: LevelContents<'_>) -> Self {
        let LevelContents { power_levels, create, creator } = contents;
        let privileged = create.is_some_and(has_privileged_creators);
        let mut creators = Set::new();
        if privileged {
            creators.extend(creator.map(str::to_owned));
            let additional = create.and_then(|content| part(content, "additional_creators"));
            let additional = elements(additional.unwrap_or("[]")).unwrap_or_default();
            creators.extend(additional.into_iter().filter_map(exact_string));
        }
        let Some(content) = power_levels else {
            // Client-server API, m.room.power_levels: without the event the creator has 100, all
            // others 0, and state needs 0.
            return Self {
                users: creator.map(|user| (user.to_owned(), 100)).into_iter().collect(),
                users_default: 0,
                events: Map::new(),
                state_default: 0,
                creators,
            };
        };
        Self {
            users: levels(part(content, "users"), i64::MIN),
            users_default: part(content, "users_default").map_or(0, |value| level(value, i64::MIN)),
            events: levels(part(content, "events"), i64::MAX),
            state_default: part(content, "state_default")
                .map_or(50, |value| level(value, i64::MAX)),
            creators,
        }
    }

    /// True when the user may send state of this type.
    pub fn may_send_state(&self, user: UserId<'_>, event_type: &str) -> bool {
        if self.creators.contains(user.0) {
            return true;
        }
        let has = self.users.get(user.0).copied().unwrap_or(self.users_default);
        let needed = self.needed(event_type);
        has >= needed && needed < i64::MAX
    }

    /// True when the user may send encrypted state of this inner type: has the power for the type
    /// itself and for the outer one.
    pub fn may_send_encrypted(&self, user: UserId<'_>, event_type: &str) -> bool {
        self.may_send_state(user, event_type) && self.may_send_state(user, OUTER)
    }

    /// True when encrypted state of this inner type, which the server let pass by its outer type,
    /// was the sender's to set. Levels change and these are the ones of now: someone who has lost
    /// their power since keeps what they set, as long as the outer type asks for no less than the
    /// inner one, so that the server's check was as good.
    pub fn may_have_sent(&self, user: UserId<'_>, event_type: &str) -> bool {
        let needed = self.needed(event_type);
        self.may_send_state(user, event_type) || (needed < i64::MAX && self.needed(OUTER) >= needed)
    }

    fn needed(&self, event_type: &str) -> i64 {
        self.events.get(event_type).copied().unwrap_or(self.state_default)
    }
}

fn has_privileged_creators(create: &str) -> bool {
    get_str(create, &["room_version"]).ok().flatten().is_some_and(|version| {
        version == PRIVILEGED_CREATORS_TRIAL
            || version.parse::<u32>().is_ok_and(|number| number >= PRIVILEGED_CREATORS_FROM)
    })
}

fn part<'a>(content: &'a str, key: &'static str) -> Option<&'a str> {
    get(content, &[key]).ok().flatten()
}

/// Numbers, and numbers in strings as rooms before version 10 allow.
fn level(value: &str, unreadable: i64) -> i64 {
    let number = match exact_string(value) {
        Some(text) => text.trim().parse(),
        None => value.parse(),
    };
    number.unwrap_or(unreadable)
}

fn levels(value: Option<&str>, unreadable: i64) -> Map<String, i64> {
    members(value.unwrap_or("{}"))
        .ok()
        .flatten()
        .unwrap_or_default()
        .into_iter()
        .map(|member| (member.key, level(member.value, unreadable)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(content: Value) -> PowerLevels {
        PowerLevels::from_contents(LevelContents {
            power_levels: Some(&content.to_string()),
            ..LevelContents::default()
        })
    }

    #[test]
    fn levels_decide() {
        let levels = of(json!({
            "users": {"@admin:x": 100, "@mod:x": 50},
            "events": {"m.room.name": 60, "m.room.topic": 0},
        }));
        assert!(levels.may_send_state(UserId("@admin:x"), "m.room.name"));
        assert!(!levels.may_send_state(UserId("@mod:x"), "m.room.name"));
        assert!(levels.may_send_state(UserId("@mod:x"), "m.room.avatar"));
        assert!(!levels.may_send_state(UserId("@user:x"), "m.room.avatar"));
        assert!(levels.may_send_state(UserId("@user:x"), "m.room.topic"));
    }

    #[test]
    fn without_power_levels_everyone_may_send_state() {
        let levels = PowerLevels::from_contents(LevelContents {
            creator: Some("@alice:x"),
            ..LevelContents::default()
        });
        assert!(levels.may_send_state(UserId("@bob:x"), "m.room.name"));
    }

    #[test]
    fn defaults_are_those_of_the_specification() {
        let levels = of(json!({}));
        assert!(!levels.may_send_state(UserId("@bob:x"), "m.room.name"));
        let levels = of(json!({"users_default": 50}));
        assert!(levels.may_send_state(UserId("@bob:x"), "m.room.name"));
    }

    #[test]
    fn unreadable_levels_say_no() {
        for content in [
            json!({"users": {"@bob:x": "many"}, "state_default": 0}),
            json!({"users": {"@bob:x": 100}, "events": {"m.room.name": {}}}),
            json!({"users": {"@bob:x": 100}, "state_default": 1.5}),
            json!({"users_default": [], "state_default": -5}),
            json!({"users": {"@bob:x": i64::MAX}, "events": {"m.room.name": null}}),
        ] {
            assert!(
                !of(content.clone()).may_send_state(UserId("@bob:x"), "m.room.name"),
                "{content}"
            );
        }
        assert!(
            of(json!({"users": {"@bob:x": " 50 "}}))
                .may_send_state(UserId("@bob:x"), "m.room.name")
        );
    }

    #[test]
    fn power_lost_since_counts_only_where_the_outer_type_asked_for_as_much() {
        let levels = of(json!({"events": {"m.room.name": 50, "m.room.avatar": 75}}));
        assert!(levels.may_have_sent(UserId("@was-admin:x"), "m.room.name"));
        assert!(!levels.may_have_sent(UserId("@was-admin:x"), "m.room.avatar"));
        let levels = of(json!({"events": {"m.room.name": 50, "m.room.encrypted": 0}}));
        assert!(!levels.may_have_sent(UserId("@user:x"), "m.room.name"));
        let levels = of(json!({"events": {"m.room.name": {}, "m.room.encrypted": {}}}));
        assert!(!levels.may_have_sent(UserId("@user:x"), "m.room.name"));
    }

    #[test]
    fn creators_of_version_12_stand_above_all() {
        let content = json!({"users": {}, "state_default": 100});
        let create =
            |version: &str| json!({"room_version": version, "additional_creators": ["@carol:x"]});
        let read = |version: &str| {
            PowerLevels::from_contents(LevelContents {
                power_levels: Some(&content.to_string()),
                create: Some(&create(version).to_string()),
                creator: Some("@alice:x"),
            })
        };
        for user in ["@alice:x", "@carol:x"].map(UserId) {
            assert!(read("12").may_send_state(user, "m.room.name"));
            assert!(read("org.matrix.hydra.11").may_send_state(user, "m.room.name"));
            assert!(!read("11").may_send_state(user, "m.room.name"));
        }
        assert!(!read("12").may_send_state(UserId("@bob:x"), "m.room.name"));
    }
}
