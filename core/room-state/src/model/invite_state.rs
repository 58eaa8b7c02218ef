//! Names for invites: told by the inviter's Mantle inside the Olm channel, because the server that
//! passes the invite on cannot know them.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::ids::{RoomId, UserId, is_room_id, is_user_id};
use crate::megolm::{PickleKey, Place, seal, unseal};
use crate::model::journal::{EntryName, Journal, Prefix};
use crate::model::stored::Named;
use crate::msc4362::eligible::check_eligible;
use crate::sorted::{Map, Set};
use mantle_wire::json::{elements, get, get_str, quoted};

/// The to-device event's type.
const TYPE: &str = "org.mantle.room_state";
/// The types worth telling: what an invite shows.
pub(crate) const TOLD: [&str; 3] = ["m.room.name", "m.room.topic", "m.room.avatar"];
const MAX_PREVIEWS: usize = 200;
/// Of one person, so that a stranger's do not keep others' out.
const MAX_BY_ONE: usize = 50;
const MAX_BYTES: usize = 16 * 1024;

/// What an inviter told of a room.
#[derive(Clone, Debug)]
pub(crate) struct Preview {
    room_id: String,
    sender: String,
    /// Type and content, JSON.
    events: Map<String, String>,
    // Of two, the one that came later has the higher.
    number: u64,
}

/// A to-device message to send.
#[derive(Debug, Serialize)]
pub struct InvitePreview {
    /// Its type.
    pub r#type: &'static str,
    /// Its content.
    pub content: Box<RawValue>,
}

/// Why a told name is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotKept;

impl Preview {
    pub(crate) fn has(&self, event_type: &str) -> bool {
        self.events.contains_key(event_type)
    }

    /// Stripped state events.
    pub(crate) fn events(&self) -> impl Iterator<Item = String> {
        self.events.iter().map(|(event_type, content)| {
            format!(
                r#"{{"type":{},"state_key":"","sender":{},"content":{content}}}"#,
                quoted(event_type),
                quoted(&self.sender),
            )
        })
    }

    fn stored(&self, entry: EntryName<'_>, key: &PickleKey) -> String {
        let events: Vec<String> = self
            .events
            .iter()
            .map(|(event_type, content)| {
                format!(r#"{{"type":{},"content":{content}}}"#, quoted(event_type))
            })
            .collect();
        let text = format!(
            r#"{{"room_id":{},"sender":{},"state":[{}]}}"#,
            quoted(&self.room_id),
            quoted(&self.sender),
            events.join(",")
        );
        seal(&text, Place { entry: entry.0, part: "" }, key)
    }
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

/// What to tell the devices of somebody who is being invited; `None` when there is nothing.
/// `remembered` gives a room's event by its type.
pub(crate) fn message<'a>(
    room_id: &str,
    remembered: impl Fn(&str) -> Option<&'a str>,
) -> Option<InvitePreview> {
    let state: Vec<String> = TOLD
        .iter()
        .filter_map(|event_type| {
            let content = get(remembered(event_type)?, &["content"]).ok()??;
            Some(format!(r#"{{"type":{},"state_key":"","content":{content}}}"#, quoted(event_type)))
        })
        .collect();
    if state.is_empty() {
        return None;
    }
    let content = format!(r#"{{"room_id":{},"state":[{}]}}"#, quoted(room_id), state.join(","));
    Some(InvitePreview { r#type: TYPE, content: RawValue::from_string(content).ok()? })
}

/// What inviters told, until the person is in the room.
#[derive(Debug, Default)]
pub(crate) struct InviteState {
    // By room and sender, with a space between: only the inviter's word counts, and who that is the
    // invite itself decides. Until then each has one for the room.
    previews: Map<String, Preview>,
    fresh: Set<String>,
    next: u64,
}

impl InviteState {
    pub(crate) const fn is_empty(&self) -> bool {
        self.previews.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A decrypted to-device message. `sender` is who the Olm channel says.
    ///
    /// # Errors
    ///
    /// [`NotKept`] when it is none, or there is no room for it.
    pub(crate) fn add(
        &mut self,
        sender: UserId<'_>,
        content: &str,
        journal: &mut Journal,
    ) -> Result<(), NotKept> {
        if content.len() > MAX_BYTES {
            return Err(NotKept);
        }
        let room_id = get_str(content, &["room_id"]).ok().flatten().ok_or(NotKept)?;
        if !is_room_id(&room_id) || !is_user_id(sender.0) {
            return Err(NotKept);
        }
        let events = read_events(content).filter(|events| !events.is_empty()).ok_or(NotKept)?;
        let id = id(RoomId(&room_id), sender);
        if !self.previews.contains_key(&id) {
            self.make_room(sender.0, journal)?;
        }
        self.insert(Preview { room_id, sender: sender.0.to_owned(), events, number: 0 });
        journal.touch(Prefix::Preview, &id);
        self.fresh.insert(id);
        Ok(())
    }

    /// Where all is full, whoever told most gives way with the oldest of it.
    fn make_room(&mut self, sender: &str, journal: &mut Journal) -> Result<(), NotKept> {
        let mut counts: Map<&str, usize> = Map::new();
        for preview in self.previews.values() {
            *counts.or_default(&preview.sender) += 1;
        }
        let own = counts.get(sender).copied().unwrap_or_default();
        if own >= MAX_BY_ONE {
            return Err(NotKept);
        }
        if self.previews.len() < MAX_PREVIEWS {
            return Ok(());
        }
        let most = counts.iter().max_by_key(|(_, count)| **count).ok_or(NotKept)?;
        if *most.1 <= own + 1 {
            return Err(NotKept);
        }
        let theirs = self.previews.iter().filter(|(_, preview)| preview.sender == **most.0);
        let oldest = theirs.min_by_key(|(_, preview)| preview.number).map(|(id, _)| id.clone());
        self.remove(&oldest.ok_or(NotKept)?, journal);
        Ok(())
    }

    fn insert(&mut self, preview: Preview) {
        self.next += 1;
        let number = self.next;
        let id = id(RoomId(&preview.room_id), UserId(&preview.sender));
        self.previews.insert(id, Preview { number, ..preview });
    }

    fn remove(&mut self, id: &str, journal: &mut Journal) {
        if self.previews.remove(id).is_some() {
            journal.touch(Prefix::Preview, id);
        }
    }

    pub(crate) fn has(&self, room_id: &str) -> bool {
        self.previews.find(|id| room_of(id).cmp(room_id)).is_some()
    }

    /// The person is in the room, which tells its name by itself.
    pub(crate) fn drop_room(&mut self, room_id: &str, journal: &mut Journal) {
        if !self.has(room_id) {
            return;
        }
        let is_rooms = |id: &&String| room_of(id) == room_id;
        let ids: Vec<String> = self.previews.keys().filter(is_rooms).cloned().collect();
        for id in ids {
            self.remove(&id, journal);
        }
    }

    /// What the room's inviter told.
    pub(crate) fn told(
        &self,
        room_id: &str,
        is_inviter: impl Fn(&str) -> bool,
    ) -> Option<&Preview> {
        self.previews
            .values()
            .find(|preview| preview.room_id == room_id && is_inviter(&preview.sender))
    }

    /// Whether [`InviteState::take_fresh`] has something.
    pub(crate) const fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// What came since the last call: rooms, and events for invites that the running client may hold
    /// already.
    pub(crate) fn take_fresh(&mut self) -> Vec<(String, String)> {
        let mut events = Vec::new();
        for id in std::mem::take(&mut self.fresh) {
            let Some(preview) = self.previews.get(&id) else { continue };
            events.extend(preview.events().map(|event| (preview.room_id.clone(), event)));
        }
        events
    }

    /// Sealed for the entry of that name.
    pub(crate) fn value(&self, id: &str, entry: EntryName<'_>, key: &PickleKey) -> Option<String> {
        self.previews.get(id).map(|preview| preview.stored(entry, key))
    }

    /// Reads the entry of that name; gives its id, and none when it cannot be read. What stands behind
    /// the name's prefix counts for entries of before names were hashed.
    pub(crate) fn load(
        &mut self,
        value: &str,
        (entry, named): (EntryName<'_>, Named<'_>),
        key: &PickleKey,
    ) -> Option<String> {
        let text = unseal(value, Place { entry: entry.0, part: "" }, key).ok()?;
        let text = text.expose();
        let field = |name: &str| get_str(text, &[name]).ok().flatten();
        let room_id = field("room_id").unwrap_or_else(|| room_of(named.0).to_owned());
        let sender = field("sender")?;
        if !is_room_id(&room_id) || !is_user_id(&sender) || self.previews.len() >= MAX_PREVIEWS {
            return None;
        }
        let id = id(RoomId(&room_id), UserId(&sender));
        self.insert(Preview { room_id, sender, events: read_events(text)?, number: 0 });
        Some(id)
    }
}

fn id(RoomId(room_id): RoomId<'_>, UserId(sender): UserId<'_>) -> String {
    format!("{room_id} {sender}")
}

/// The room in the id of a preview.
fn room_of(id: &str) -> &str {
    id.split_once(' ').map_or(id, |(room_id, _)| room_id)
}
