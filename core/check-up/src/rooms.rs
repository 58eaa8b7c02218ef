//! Rooms, as an initial sync of a few event types tells of them.

use mantle_wire::url::encoded;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::members::{Members, list, members, object, read};
use crate::{shortened, time};

/// Most rooms that are looked at.
const MAX_ROOMS: usize = 5_000;
/// Most widgets of one room.
const MAX_WIDGETS: usize = 50;
/// Largest content that is kept, to be written again by an undo, in bytes of JSON.
pub(crate) const MAX_CONTENT: usize = 32_000;

/// What state is on its way that is encrypted.
const ENCRYPTED: &str = "m.room.encrypted";
/// State that says what a room shows. Of those that are encrypted only that there are any.
const STATE: [&str; 12] = [
    "im.vector.modular.widgets",
    "m.room.avatar",
    "m.room.create",
    ENCRYPTED,
    "m.room.encryption",
    "m.room.guest_access",
    "m.room.history_visibility",
    "m.room.join_rules",
    "m.room.name",
    "m.room.power_levels",
    "m.room.topic",
    "m.widget",
];
const WIDGETS: [&str; 2] = ["im.vector.modular.widgets", "m.widget"];
/// Account data that is looked at.
pub(crate) const ACCOUNT_DATA: [&str; 3] = ["m.identity_server", "m.push_rules", "m.widgets"];

/// One sync from the beginning, of these events only. It says of nobody that they are online, and its
/// place in the stream is not used, so it takes nothing from Element's own. Nothing is waited for in a
/// first sync; but Synapse answers one that is the same in all for minutes from memory, and so would
/// show what was repaired in between.
pub(crate) fn sync_path(now: u64) -> String {
    let none = serde_json::json!({ "not_types": ["*"] });
    // Of a kind of which nothing is wanted; two looks may come within one second.
    let differs = 1 + now % 1_000_000_000;
    let filter = serde_json::json!({
        "presence": { "not_types": ["*"], "limit": differs },
        "account_data": { "types": ACCOUNT_DATA },
        "event_fields": ["type", "state_key", "content", "sender", "origin_server_ts"],
        "room": {
            "account_data": none,
            "ephemeral": none,
            "state": { "types": STATE },
            // What came last is not in the state; one event is the least that may be asked for.
            "timeline": { "types": STATE, "limit": 1 },
        },
    });
    let filter = encoded(&filter.to_string());
    format!("/_matrix/client/v3/sync?filter={filter}&timeout=0&set_presence=offline")
}

/// A state event of a room, as far as it is read.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    state_key: String,
    content: Map<String, Value>,
    #[serde(default)]
    sender: String,
    #[serde(default, deserialize_with = "time")]
    origin_server_ts: Option<u64>,
}

/// Of a joined room, state and timeline in their order; each event is read by itself.
fn events_of(joined: &str) -> Option<Vec<&RawValue>> {
    let joined = members(joined)?;
    let mut events = list(&object(&joined, "state")?, "events")?;
    events.append(&mut list(&object(&joined, "timeline")?, "events")?);
    Some(events)
}

/// A widget in a room.
#[derive(Debug)]
pub(crate) struct Widget {
    pub(crate) kind: String,
    pub(crate) key: String,
    /// As it was put in.
    pub(crate) content: Map<String, Value>,
    pub(crate) sender: String,
    pub(crate) since: u64,
}

/// What a room shows.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub(crate) id: String,
    pub(crate) is_encrypted: bool,
    pub(crate) is_public: bool,
    /// Something of its state is encrypted.
    pub(crate) has_encrypted_state: bool,
    pub(crate) name: Option<Text>,
    pub(crate) topic: Option<Text>,
    pub(crate) picture: Option<Text>,
    pub(crate) widgets: Vec<Widget>,
    /// Everyone may read all of it, since then.
    pub(crate) open_history: Option<u64>,
    /// People without an account may come in, since then.
    pub(crate) open_to_guests: Option<u64>,
    levels: Option<Map<String, Value>>,
    creators: Vec<String>,
}

/// A text that is readable, and since when.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) since: u64,
}

impl Room {
    /// Joined rooms of a sync's `rooms.join`; one that cannot be read is left out.
    pub(crate) fn all(joined: &Members<'_>) -> Vec<Self> {
        let mut rooms = Vec::new();
        for (id, raw) in joined.iter().take(MAX_ROOMS) {
            let Some(events) = events_of(raw.get()) else { continue };
            let mut room = Self { id: id.clone(), ..Self::default() };
            for event in events {
                if let Some(event) = read(event.get()) {
                    room.take(event);
                }
            }
            room.widgets.retain(|widget| url_of(&widget.content).is_some());
            rooms.push(room);
        }
        rooms
    }

    fn take(&mut self, event: Event) {
        let Event { kind, state_key, content, sender, origin_server_ts } = event;
        let since = origin_server_ts.unwrap_or(0);
        let text = |key: &str| {
            let text = content.get(key)?.as_str()?.trim();
            (!text.is_empty()).then(|| Text { text: shortened(text), since })
        };
        if WIDGETS.contains(&kind.as_str()) {
            self.widgets.retain(|known| known.kind != kind || known.key != state_key);
            if self.widgets.len() < MAX_WIDGETS {
                self.widgets.push(Widget { kind, key: state_key, content, sender, since });
            }
            return;
        }
        // A message has no state key, and is none of these events.
        self.has_encrypted_state |= kind == ENCRYPTED;
        if !state_key.is_empty() {
            return;
        }
        match kind.as_str() {
            "m.room.encryption" => self.is_encrypted = content.contains_key("algorithm"),
            "m.room.join_rules" => self.is_public = is(&content, "join_rule", "public"),
            "m.room.history_visibility" => {
                let is_open = is(&content, "history_visibility", "world_readable");
                self.open_history = is_open.then_some(since);
            }
            "m.room.guest_access" => {
                self.open_to_guests = is(&content, "guest_access", "can_join").then_some(since);
            }
            "m.room.name" => self.name = text("name"),
            "m.room.topic" => self.topic = text("topic"),
            "m.room.avatar" => self.picture = text("url"),
            "m.room.power_levels" => self.levels = Some(content),
            "m.room.create" => self.creators = creators(sender, &content),
            _ => {}
        }
    }

    /// Under what name the room is told of.
    pub(crate) fn shown(&self) -> String {
        self.name.as_ref().map_or_else(|| self.id.clone(), |name| name.text.clone())
    }

    /// Whether the person may send state of a type.
    pub(crate) fn may_send(&self, user: &str, kind: &str) -> bool {
        if self.creators.iter().any(|creator| creator == user) {
            return true;
        }
        let Some(levels) = &self.levels else { return false };
        let number = |value: Option<&Value>| value.and_then(Value::as_i64);
        let own = number(levels.get("users").and_then(|users| users.get(user)))
            .or_else(|| number(levels.get("users_default")))
            .unwrap_or(0);
        let wanted = number(levels.get("events").and_then(|events| events.get(kind)))
            .or_else(|| number(levels.get("state_default")))
            .unwrap_or(50);
        own >= wanted
    }
}

fn is(content: &Map<String, Value>, key: &str, wanted: &str) -> bool {
    content.get(key).and_then(Value::as_str) == Some(wanted)
}

/// Who may do everything in a room, whatever its power levels say: from version 12 on.
fn creators(sender: String, content: &Map<String, Value>) -> Vec<String> {
    let version = content.get("room_version").and_then(Value::as_str).unwrap_or("1");
    if !version.parse::<u32>().is_ok_and(|version| version >= 12) {
        return Vec::new();
    }
    let more = content.get("additional_creators").and_then(Value::as_array);
    let more = more.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    std::iter::once(sender).chain(more).take(100).collect()
}

/// Where a widget is from; nothing where it was taken away.
pub(crate) fn url_of(content: &Map<String, Value>) -> Option<&str> {
    content.get("url").and_then(Value::as_str).filter(|url| !url.is_empty())
}

/// Of an address, the host alone.
pub(crate) fn host_of(url: &str) -> String {
    let rest = url.split_once("//").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    shortened(host.rsplit('@').next().unwrap_or_default())
}
