//! State that still must be sent: taken out of `createRoom` or of a room that was upgraded. Kept,
//! sealed, until the server has it.

use serde::Serialize;

use super::persist::texts;
use super::{EngineError, StateEngine};
use crate::flow::request_filters::{strings, written};
use crate::megolm::{PickleKey, seal, unseal};
use crate::model::journal::Prefix;
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
    pub(super) source: String,
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
    /// The room; none while the server's answer to `createRoom` was not seen.
    pub room_id: Option<String>,
    /// Since when, milliseconds.
    pub since: u64,
    /// In the order to send them.
    pub events: Vec<PendingEvent>,
    /// Rooms that were made meanwhile, of which the answer was seen: none of them is this one.
    pub others: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Pending {
    room_id: Option<String>,
    since: u64,
    events: Vec<PendingEvent>,
    others: Vec<String>,
}

impl Pending {
    pub(super) fn stored(&self, entry: &str, key: &PickleKey) -> String {
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
        let others = written(self.others.iter().map(String::as_str));
        let text = format!(
            r#"{{"room":{room},"since":{},"events":[{}],"others":{others}}}"#,
            self.since,
            events.join(",")
        );
        seal(&text, (entry, ""), key)
    }

    pub(super) fn restore(entry: &str, stored: &str, key: &PickleKey) -> Option<Self> {
        let text = unseal(stored, (entry, ""), key).ok()?;
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

impl StateEngine {
    /// Keeps events for a room; without an id for the room that is being made.
    pub(super) fn keep_pending(
        &mut self,
        room_id: Option<&str>,
        events: Vec<PendingEvent>,
        now: u64,
    ) -> String {
        let id = (0..)
            .map(|number: u32| format!("{now}-{number}"))
            .find(|id| !self.pending.contains_key(id))
            .unwrap_or_default();
        self.pending.insert(
            id.clone(),
            Pending {
                room_id: room_id.map(str::to_owned),
                since: now,
                events,
                others: self.made.clone(),
            },
        );
        self.touch_pending(&id);
        id
    }

    fn touch_pending(&mut self, id: &str) {
        self.journal.touch(Prefix::Pending, id);
    }

    /// The room was made: it is none of those that others wait for. Nothing waited for it where the
    /// id is not known.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotWriter`].
    pub fn created(&mut self, id: &str, room_id: &str) -> Result<(), EngineError> {
        self.must_write()?;
        self.note_flag(room_id);
        self.made.push(room_id.to_owned());
        let ids: Vec<String> = self.pending.keys().cloned().collect();
        for other in ids {
            let Some(pending) = self.pending.get_mut(&other) else { continue };
            if other == id {
                pending.room_id = Some(room_id.to_owned());
            } else if pending.room_id.is_none() {
                pending.others.push(room_id.to_owned());
            } else {
                continue;
            }
            self.touch_pending(&other);
        }
        Ok(())
    }

    /// The server did not make the room.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotWriter`].
    pub fn create_failed(&mut self, id: &str) -> Result<(), EngineError> {
        self.must_write()?;
        if self.pending.remove(id).is_some() {
            self.touch_pending(id);
        }
        Ok(())
    }

    /// A room was upgraded: what is known of its encrypted state is to be sent to the new one too,
    /// since a server can only copy readable state.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotWriter`].
    pub fn upgraded(&mut self, old: &str, new: &str, now: u64) -> Result<(), EngineError> {
        self.must_write()?;
        let mut events = Vec::new();
        let mut is_kept_back = false;
        for ((event_type, state_key), event) in self.memory.room(old) {
            if !self.settings.types.contains(event_type) {
                continue;
            }
            if !self.memory.is_sure(old, &(event_type.clone(), state_key.clone())) {
                is_kept_back = true;
                continue;
            }
            let content = get(event, &["content"]).ok().flatten().unwrap_or("{}");
            events.push(PendingEvent {
                event_type: event_type.clone(),
                state_key: state_key.clone(),
                content_json: content.to_owned(),
                source: get_str(event, &["event_id"]).ok().flatten().unwrap_or_default(),
            });
        }
        if is_kept_back {
            self.problem(new, "not-passed-on", old);
        }
        if self.known.encrypts_state(old) {
            self.note_flag(new);
        }
        if !events.is_empty() {
            self.keep_pending(Some(new), events, now);
        }
        Ok(())
    }

    /// Takes out what somebody has set meanwhile, or what has come back by sync: new and upgraded
    /// rooms have no encrypted state when they are made.
    pub(super) fn drop_superseded(&mut self) -> Result<(), EngineError> {
        for PendingView { pending_id, room_id, events, .. } in self.pending_writes() {
            for PendingEvent { event_type, state_key, .. } in events {
                let slot = (event_type, state_key);
                let set = room_id.as_ref().and_then(|room_id| self.memory.get(room_id, &slot));
                if set.is_some() {
                    self.pending_sent(&pending_id, &slot.0, &slot.1)?;
                }
            }
        }
        Ok(())
    }

    /// What waits as a copy of an event ends with it.
    pub(super) fn drop_copies(&mut self, event_id: &str) {
        let ids: Vec<String> = self.pending.keys().cloned().collect();
        for id in ids {
            let Some(pending) = self.pending.get_mut(&id) else { continue };
            let before = pending.events.len();
            pending.events.retain(|event| event.source != event_id);
            if pending.events.len() == before {
                continue;
            }
            if pending.events.is_empty() {
                self.pending.remove(&id);
            }
            self.touch_pending(&id);
        }
    }

    /// Everything that still must be sent, oldest first.
    pub fn pending_writes(&self) -> Vec<PendingView> {
        let mut all: Vec<PendingView> = self
            .pending
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

    /// One of the events is on the server.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotWriter`].
    pub fn pending_sent(
        &mut self,
        id: &str,
        event_type: &str,
        state_key: &str,
    ) -> Result<(), EngineError> {
        self.must_write()?;
        if let Some(pending) = self.pending.get_mut(id) {
            pending
                .events
                .retain(|event| event.event_type != event_type || event.state_key != state_key);
            if pending.events.is_empty() {
                self.pending.remove(id);
            }
            self.touch_pending(id);
        }
        Ok(())
    }
}
