//! State that still must be sent: taken out of `createRoom` or of a room that was upgraded. Kept,
//! sealed, until the server has it.

use serde::Serialize;

use crate::ids::{RoomId, TypeAndKey};
use crate::megolm::{PickleKey, Place, seal, unseal};
use crate::model::journal::{EntryName, Journal, Prefix};
use crate::model::stored::{strings, texts};
use crate::sorted::Map;
use mantle_wire::json::{elements, get, get_str, quoted};

/// One clear state event that waits.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingEvent {
    /// Its type.
    pub event_type: String,
    /// Its state key.
    pub state_key: String,
    /// Its content, JSON.
    pub content_json: String,
    /// The event it is a copy of; empty for none.
    #[serde(skip)]
    pub(crate) source: String,
}

impl PendingEvent {
    pub(crate) fn slot(&self) -> TypeAndKey<'_> {
        TypeAndKey { event_type: &self.event_type, state_key: &self.state_key }
    }
}

impl std::fmt::Debug for PendingEvent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PendingEvent")
            .field("event_type", &self.event_type)
            .finish_non_exhaustive()
    }
}

/// A room's waiting state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingView {
    /// Names it in all calls.
    pub pending_id: String,
    /// The room; none while the server's response to `createRoom` was not seen.
    pub room_id: Option<String>,
    /// Since when, milliseconds.
    pub since: u64,
    /// In the order to send them.
    pub events: Vec<PendingEvent>,
    /// Rooms that were made meanwhile, of which the response was seen: none of them is this one.
    pub others: Vec<String>,
}

/// Names what waits for a room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingId<'a>(pub(crate) &'a str);

#[derive(Clone, Debug)]
struct Pending {
    room_id: Option<String>,
    since: u64,
    events: Vec<PendingEvent>,
    others: Vec<String>,
}

impl Pending {
    fn stored(&self, entry: EntryName<'_>, key: &PickleKey) -> String {
        let events: Vec<String> = self
            .events
            .iter()
            .map(|event| {
                format!(
                    "[{},{},{},{}]",
                    quoted(&event.event_type),
                    quoted(&event.state_key),
                    quoted(&event.content_json),
                    quoted(&event.source)
                )
            })
            .collect();
        let room = self.room_id.as_deref().map_or_else(|| "null".to_owned(), quoted);
        let others: Vec<String> = self.others.iter().map(|room_id| quoted(room_id)).collect();
        let others = others.join(",");
        let text = format!(
            r#"{{"room":{room},"since":{},"events":[{}],"others":[{others}]}}"#,
            self.since,
            events.join(",")
        );
        seal(&text, Place { entry: entry.0, part: "" }, key)
    }

    fn restore(entry: EntryName<'_>, stored: &str, key: &PickleKey) -> Option<Self> {
        let text = unseal(stored, Place { entry: entry.0, part: "" }, key).ok()?;
        let text = text.expose();
        let mut events = Vec::new();
        for event in elements(get(text, &["events"]).ok()??).ok()? {
            let [event_type, state_key, content_json, source] = match texts(event) {
                Some(texts) => texts,
                // Of before copies knew what they are copies of.
                None => {
                    let [event_type, state_key, content_json] = texts(event)?;
                    [event_type, state_key, content_json, String::new()]
                }
            };
            events.push(PendingEvent { event_type, state_key, content_json, source });
        }
        Some(Self {
            room_id: get_str(text, &["room"]).ok()?,
            since: get(text, &["since"]).ok()??.parse().ok()?,
            events,
            others: strings(get(text, &["others"]).ok()?.unwrap_or("[]"))?,
        })
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct PendingWrites {
    writes: Map<String, Pending>,
    // Rooms that this page has made.
    made: Vec<String>,
}

impl PendingWrites {
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Keeps events for a room; without an id for the room that is being made.
    pub(crate) fn keep(
        &mut self,
        room: Option<RoomId<'_>>,
        events: Vec<PendingEvent>,
        now: u64,
        journal: &mut Journal,
    ) -> String {
        let id = (0..)
            .map(|number: u32| format!("{now}-{number}"))
            .find(|id| !self.writes.contains_key(id))
            .unwrap_or_default();
        let room_id = room.map(|room| room.0.to_owned());
        let others = self.made.clone();
        self.writes.insert(id.clone(), Pending { room_id, since: now, events, others });
        journal.touch(Prefix::Pending, &id);
        id
    }

    /// The room was made: it is none of those that others wait for. Nothing waited for it where the
    /// id is not known.
    pub(crate) fn created(&mut self, id: PendingId<'_>, room_id: &str, journal: &mut Journal) {
        self.made.push(room_id.to_owned());
        for (other, pending) in self.writes.iter_mut() {
            if other == id.0 {
                pending.room_id = Some(room_id.to_owned());
            } else if pending.room_id.is_none() {
                pending.others.push(room_id.to_owned());
            } else {
                continue;
            }
            journal.touch(Prefix::Pending, other);
        }
    }

    /// Nothing of it is to be sent.
    pub(crate) fn drop_all(&mut self, id: PendingId<'_>, journal: &mut Journal) {
        if self.writes.remove(id.0).is_some() {
            journal.touch(Prefix::Pending, id.0);
        }
    }

    /// The event of that type and state key is on the server.
    pub(crate) fn sent(&mut self, id: PendingId<'_>, slot: TypeAndKey<'_>, journal: &mut Journal) {
        let Some(pending) = self.writes.get_mut(id.0) else { return };
        pending.events.retain(|event| event.slot() != slot);
        if pending.events.is_empty() {
            self.writes.remove(id.0);
        }
        journal.touch(Prefix::Pending, id.0);
    }

    /// What waits as a copy of an event ends with it.
    pub(crate) fn drop_copies(&mut self, event_id: &str, journal: &mut Journal) {
        let mut over = Vec::new();
        for (id, pending) in self.writes.iter_mut() {
            let before = pending.events.len();
            pending.events.retain(|event| event.source != event_id);
            if pending.events.len() == before {
                continue;
            }
            if pending.events.is_empty() {
                over.push(id.clone());
            }
            journal.touch(Prefix::Pending, id);
        }
        for id in over {
            self.writes.remove(&id);
        }
    }

    /// Everything that still must be sent, oldest first.
    pub(crate) fn all(&self) -> Vec<PendingView> {
        let mut all: Vec<PendingView> = self
            .writes
            .iter()
            .map(|(id, pending)| PendingView {
                pending_id: id.clone(),
                room_id: pending.room_id.clone(),
                since: pending.since,
                events: pending.events.clone(),
                others: pending.others.clone(),
            })
            .collect();
        all.sort_by(|one, other| {
            (one.since, &one.pending_id).cmp(&(other.since, &other.pending_id))
        });
        all
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.writes.contains_key(id)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &String> {
        self.writes.keys()
    }

    /// Another tab has sent it.
    pub(crate) fn forget(&mut self, id: &str) {
        self.writes.remove(id);
    }

    /// Sealed for the entry of that name.
    pub(crate) fn value(
        &self,
        id: PendingId<'_>,
        entry: EntryName<'_>,
        key: &PickleKey,
    ) -> Option<String> {
        self.writes.get(id.0).map(|pending| pending.stored(entry, key))
    }

    /// Reads the entry of that name.
    pub(crate) fn load(
        &mut self,
        value: &str,
        (entry, id): (EntryName<'_>, PendingId<'_>),
        key: &PickleKey,
    ) -> Option<String> {
        let pending = Pending::restore(entry, value, key)?;
        self.writes.insert(id.0.to_owned(), pending);
        Some(id.0.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event_type: &str, source: &str) -> PendingEvent {
        PendingEvent {
            event_type: event_type.to_owned(),
            state_key: String::new(),
            content_json: "{}".to_owned(),
            source: source.to_owned(),
        }
    }

    #[test]
    fn a_copy_ends_with_its_event_and_nothing_else_does() {
        let mut journal = Journal::new();
        let mut writes = PendingWrites::default();
        let both = vec![event("m.room.name", "$name"), event("m.room.topic", "$topic")];
        let first = writes.keep(Some(RoomId("!new:x")), both, 1, &mut journal);
        let second = writes.keep(None, vec![event("m.room.name", "")], 1, &mut journal);
        assert_ne!(first, second, "made in the same millisecond");
        writes.drop_copies("$name", &mut journal);
        assert_eq!(writes.all()[0].events, [event("m.room.topic", "$topic")]);
        writes.drop_copies("$topic", &mut journal);
        assert!(!writes.contains(&first) && writes.contains(&second));
    }

    #[test]
    fn a_room_that_was_made_for_something_else_is_no_candidate() {
        let mut journal = Journal::new();
        let mut writes = PendingWrites::default();
        let lost = writes.keep(None, vec![event("m.room.name", "")], 1, &mut journal);
        let known = writes.keep(None, vec![event("m.room.name", "")], 2, &mut journal);
        writes.created(PendingId(&known), "!known:x", &mut journal);
        let all = writes.all();
        assert_eq!(
            (all[0].room_id.as_deref(), all[0].others.as_slice()),
            (None, &["!known:x".to_owned()][..])
        );
        assert_eq!(all[1].room_id.as_deref(), Some("!known:x"));
        // Of rooms made before it was kept, too.
        let later = writes.keep(None, vec![event("m.room.name", "")], 3, &mut journal);
        assert_eq!(writes.all()[2].others, ["!known:x"]);
        writes.sent(PendingId(&lost), TypeAndKey::single("m.room.name"), &mut journal);
        assert!(!writes.contains(&lost) && writes.contains(&later));
    }
}
