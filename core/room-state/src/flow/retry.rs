//! Events that could not be decrypted are tried again when what they lack may be there.

mod member_profiles;
mod waiting;

use serde::Serialize;
use serde_json::value::RawValue;

use self::waiting::{Key, Waiting, WaitingEvents};
use crate::decrypt::decrypt::{ALONE, Missing, OpenedState, verify_all};
use crate::error::EngineError;
use crate::ids::{EventId, RoomId, UserId};
use crate::index::events::{ENCRYPTED_TYPE, clear_event, find_state};
use crate::index::redactions;
use crate::megolm::MAX_BATCH;
use crate::model::Model;
use crate::model::current::Opened;
use crate::model::decryption::{Made, Started, TIMELINE};
use crate::model::in_flight::{Arrival, Reconciled};
use crate::model::needs::{Needs, SessionNeed};
use crate::model::observation::{Observation, Undecryptable};
use crate::model::precedence::Precedence;
use crate::model::warnings::Warning;
use crate::msc4362::event::with_room;
use crate::sorted::Set;
use mantle_wire::json::{elements, get};

/// An encrypted state event that could not be opened yet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UndecryptableEvent {
    /// Its room.
    pub room_id: String,
    /// Its id.
    pub event_id: String,
    /// The session it wants.
    pub session_id: String,
    /// Its sender.
    pub sender: String,
    /// Its outer state key.
    pub state_key: String,
    /// `origin_server_ts`, milliseconds.
    pub ts: u64,
    /// The wire content.
    pub content: Box<RawValue>,
    /// `session`, `index`, `owner`, `device` or `levels`: what is missing.
    pub reason: &'static str,
}

/// What one step of [`StateEngine::retried`](crate::StateEngine::retried) gives.
#[derive(Debug, Serialize)]
pub struct RetryStep {
    /// For the running client, in this order.
    pub events: Vec<RetriedEvent>,
    /// Call again.
    pub more: bool,
}

/// A clear state event for the running client.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetriedEvent {
    /// Its room.
    pub room_id: String,
    /// The whole event.
    pub event: Box<RawValue>,
}

impl RetriedEvent {
    /// `None` for what is no JSON.
    fn of(room: RoomId<'_>, event: &str) -> Option<Self> {
        let event = RawValue::from_string(with_room(event, room)).ok()?;
        Some(Self { room_id: room.0.to_owned(), event })
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    waiting: WaitingEvents,
    // Those of them still to be tried in this round, last to first.
    round: Vec<Key>,
    // Clear events without content, for what was redacted: the running client may hold it.
    emptied: Vec<RetriedEvent>,
}

impl Retry {
    /// Whether events wait whose key, owner or room is not known yet.
    pub(crate) const fn has_undecryptable(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether this event is one of them.
    pub(crate) fn is_undecryptable(&self, event: EventId<'_>) -> bool {
        self.waiting.contains(event)
    }

    /// Whether a step has something that no key is waited for.
    pub(crate) const fn has_emptied(&self) -> bool {
        !self.emptied.is_empty()
    }

    /// What another flow has seen.
    pub(crate) fn observe(&mut self, observation: Observation) {
        match observation {
            Observation::Undecryptable(event) => self.wait(*event),
            Observation::Current { room_id, event_id } => {
                self.waiting.remove(&(room_id, event_id));
            }
            Observation::Redacted { room_id, event_id, emptied } => {
                let emptied = emptied.and_then(|event| RetriedEvent::of(RoomId(&room_id), &event));
                self.emptied.extend(emptied);
                self.waiting.remove(&(room_id, event_id));
            }
        }
    }

    /// One that waits already keeps what is known of it, and its latest place.
    fn wait(&mut self, event: Undecryptable) {
        let key = (event.room_id, event.event_id);
        let before = self.waiting.remove(&key);
        let arrival = event.arrival;
        let arrival = before.as_ref().map_or(arrival, |before| before.arrival.max(arrival));
        let given_out = before.and_then(|before| before.given_out);
        self.waiting.insert(
            key,
            Box::new(Waiting {
                arrival,
                event: event.event,
                state_key: event.state_key,
                sender: event.sender,
                session_id: event.session_id,
                ts: event.ts,
                missing: event.missing,
                given_out,
            }),
        );
    }

    /// Encrypted state events that the running client holds undecrypted (from its own store, or
    /// from before Mantle was there): a JSON array. They wait like those of a response.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is no array.
    pub(crate) fn backfill(
        &mut self,
        model: &Model,
        room: RoomId<'_>,
        events: &str,
    ) -> Result<(), EngineError> {
        let list = events.as_bytes();
        elements(events)?;
        for found in find_state(list, ENCRYPTED_TYPE) {
            let Some(event_id) = found.event_id.clone() else { continue };
            let key = (room.0.to_owned(), event_id);
            let is_over = model.states.known().is_redacted(id(&key))
                || redactions::is_emptied(found.text(list));
            if is_over || model.decrypted.contains(id(&key)) {
                continue;
            }
            let arrival = Arrival { place: found.range().start, ..Arrival::default() };
            let why = (Missing::Session, arrival);
            self.wait(Undecryptable::of(id(&key), &found, list, why));
        }
        Ok(())
    }

    /// Those that wait and were not given out before, or lacked something else then: at most so many.
    pub(crate) fn take_undecryptable(&mut self, most: usize) -> Vec<UndecryptableEvent> {
        self.waiting
            .take_fresh()
            .take(most)
            .filter_map(|((room_id, event_id), waiting)| {
                let content = get(&waiting.event, &["content"]).ok()??;
                Some(UndecryptableEvent {
                    room_id: room_id.clone(),
                    event_id: event_id.clone(),
                    session_id: waiting.session_id.clone(),
                    sender: waiting.sender.clone(),
                    state_key: waiting.state_key.clone(),
                    ts: waiting.ts,
                    content: serde_json::from_str(content).ok()?,
                    reason: waiting.missing.text(),
                })
            })
            .collect()
    }

    /// What the waiting events need.
    pub(crate) fn needs(&self, model: &Model) -> Option<Needs> {
        if self.waiting.is_empty() {
            return None;
        }
        let (mut sessions, mut owners) = (Set::new(), Set::new());
        let (mut rooms, mut member_devices) = (Set::new(), Set::new());
        for ((room_id, _), waiting) in self.waiting.iter() {
            match waiting.missing {
                Missing::Session | Missing::Index => {
                    sessions.insert(SessionNeed {
                        room_id: room_id.clone(),
                        session_id: waiting.session_id.clone(),
                    });
                }
                Missing::Owner if !model.devices.is_complete(room_id) => {
                    member_devices.insert(room_id.clone());
                }
                _ => {}
            }
            if model.devices.is_to_be_looked_up(&waiting.sender)
                || waiting.missing == Missing::Device
            {
                owners.insert(waiting.sender.clone());
            }
            if model.rooms.levels(room_id).is_none() {
                rooms.insert(room_id.clone());
            }
        }
        Some(Needs {
            sessions: sessions.into_iter().collect(),
            owners: owners.into_iter().collect(),
            rooms: rooms.into_iter().collect(),
            member_devices: member_devices.into_iter().collect(),
            ..Needs::default()
        })
    }

    /// Tries the waiting events again, at most `most` in a step: those that are current and open now,
    /// as clear events, in the order they came; and in the end what nobody waits for a key of. One
    /// whose key comes after that of an event that replaced it is history.
    pub(crate) fn step(&mut self, model: &mut Model, most: usize) -> RetryStep {
        if self.round.is_empty() {
            let mut keys: Vec<_> =
                self.waiting.iter().map(|(key, waiting)| (waiting.arrival, key.clone())).collect();
            // The next one is taken from the end.
            keys.sort_by(|one, other| other.cmp(one));
            self.round = keys.into_iter().map(|(_, key)| key).collect();
        }
        let mut events = Vec::new();
        let mut left = most.max(1);
        while left > 0 && !self.round.is_empty() {
            left = left.saturating_sub(self.retry_some(model, left.min(MAX_BATCH), &mut events));
        }
        let more = !self.round.is_empty();
        if !more {
            // Names for invites the running client may hold already.
            let invites = model.invites.take_fresh().into_iter();
            events.extend(
                invites.filter_map(|(room, event)| RetriedEvent::of(RoomId(&room), &event)),
            );
            events.append(&mut self.emptied);
        }
        RetryStep { events, more }
    }

    /// Tries the next events; what that cost, in events.
    fn retry_some(
        &mut self,
        model: &mut Model,
        most: usize,
        retried: &mut Vec<RetriedEvent>,
    ) -> usize {
        let mut tried = Vec::new();
        while tried.len() < most
            && let Some(key) = self.round.pop()
        {
            let Some(waiting) = self.waiting.remove(&key) else { continue };
            tried.push((key, waiting));
        }
        let mut decryption = Vec::new();
        let started_at: Vec<_> = tried
            .iter()
            .map(|(key, waiting)| match model.start(&waiting.received(id(key)), &mut decryption) {
                Started::Known(_) => None,
                Started::Decryption(at) => Some(at),
            })
            .collect();
        let alone = verify_all(&mut decryption);
        let mut decryption: Vec<_> = decryption.into_iter().map(Some).collect();
        let cost = tried.len() + (ALONE - 1) * alone;
        for ((key, mut waiting), at) in tried.into_iter().zip(started_at) {
            let decryption = at.and_then(|at| decryption.get_mut(at)?.take());
            match model.finish(&waiting.received(id(&key)), TIMELINE, decryption) {
                Ok(opened) => retried.extend(current(model, id(&key), &waiting, &opened)),
                Err(error) => match error.missing() {
                    Some(missing) => {
                        waiting.missing = missing;
                        self.waiting.insert(key, waiting);
                    }
                    None => {
                        let (room, state_key) = (RoomId(&key.0), &waiting.state_key);
                        model.states.forget_awaited(room, state_key, waiting.arrival);
                        // Whoever is in a room may put anything in their own member event.
                        if !waiting.is_profile() {
                            model.warnings.refused(id(&key), &error);
                        }
                    }
                },
            }
        }
        cost.max(1)
    }
}

fn id((room_id, id): &Key) -> EventId<'_> {
    EventId { room_id, id }
}

/// The clear event, if it is current.
fn current(
    model: &mut Model,
    event: EventId<'_>,
    waiting: &Waiting,
    state: &OpenedState,
) -> Option<RetriedEvent> {
    let (room, arrival, ts) = (RoomId(event.room_id), waiting.arrival, waiting.ts);
    if model.is_sure(Made::of(room, UserId(&waiting.sender), state)) {
        let event_id = event.id;
        let opened = Reconciled { event_id, ts, opened: state, arrival, previous: None };
        model.reconcile(room, &opened);
    }
    let opened = Opened { event, sender: &waiting.sender, ts, state };
    if model.states.is_replaced(&opened.slot(), arrival) {
        return None;
    }
    model.states.forget_awaited(room, &waiting.state_key, arrival);
    if model.offer(&opened, arrival) != Precedence::Current {
        if !waiting.is_profile() {
            model.warnings.warn(room, Warning::Rollback, event.id);
        }
        return None;
    }
    let previous = get(&waiting.event, &["unsigned", "prev_content"]);
    let has_previous = previous.is_ok_and(|previous| previous.is_some());
    let clear = clear_event(&waiting.event, state, None, has_previous)?;
    RetriedEvent::of(room, &String::from_utf8(clear).ok()?)
}
