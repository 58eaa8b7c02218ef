//! Events that wait for their keys, to be tried again: bounded by number and by bytes. Where there is
//! no room, the oldest of the largest room gives way, so that one room fills nobody else's place; names
//! in one room, of which everybody there may have one, before all else.

use crate::decrypt::decrypt::{Missing, ReceivedEvent};
use crate::ids::EventId;
use crate::model::in_flight::Arrival;
use crate::msc4362::member_profile::is_profile;
use crate::sorted::{Map, Set};
use mantle_wire::json::get;

/// How many events may wait.
const MAX_WAITING: usize = 4_096;
/// And how many bytes of them.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;

/// Room and event.
pub(super) type Key = (String, String);

/// An event that waits for its key.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) arrival: Arrival,
    pub(super) event: String,
    pub(super) state_key: String,
    pub(super) sender: String,
    pub(super) session_id: String,
    pub(super) ts: u64,
    pub(super) missing: Missing,
    /// What it lacked when the page was given it.
    pub(super) given_out: Option<Missing>,
}

impl Waiting {
    pub(super) fn received<'a>(&'a self, event: EventId<'a>) -> ReceivedEvent<'a> {
        ReceivedEvent {
            room_id: event.room_id,
            event_id: Some(event.id),
            sender: &self.sender,
            state_key: &self.state_key,
            content: get(&self.event, &["content"]).ok().flatten().unwrap_or_default(),
        }
    }

    /// Whether it is what somebody's member event carries.
    pub(super) fn is_profile(&self) -> bool {
        is_profile(&self.state_key)
    }

    const fn cost(&self) -> usize {
        self.event.len() + self.state_key.len() + self.sender.len() + self.session_id.len()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct WaitingEvents {
    events: Map<Key, Box<Waiting>>,
    bytes: usize,
    // How many of them are names in one room.
    profiles: usize,
}

impl WaitingEvents {
    pub(super) const fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// By room and event.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Waiting)> {
        self.events.iter().map(|(key, waiting)| (key, &**waiting))
    }

    pub(super) fn contains(&self, event: EventId<'_>) -> bool {
        let key = (event.room_id, event.id);
        self.events.find(|(room, id)| (room.as_str(), id.as_str()).cmp(&key)).is_some()
    }

    /// Those that were not given out yet, or for another reason; from now on they were.
    pub(super) fn take_fresh(&mut self) -> impl Iterator<Item = (&Key, &Waiting)> {
        self.events.iter_mut().filter_map(|(key, waiting)| {
            let is_fresh = waiting.given_out != Some(waiting.missing);
            waiting.given_out = Some(waiting.missing);
            is_fresh.then_some((key, &**waiting))
        })
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Box<Waiting>> {
        let waiting = self.events.remove(key)?;
        self.bytes -= waiting.cost();
        self.profiles -= usize::from(waiting.is_profile());
        Some(waiting)
    }

    pub(super) fn insert(&mut self, key: Key, waiting: Box<Waiting>) {
        self.remove(&key);
        self.bytes += waiting.cost();
        self.profiles += usize::from(waiting.is_profile());
        self.events.insert(key, waiting);
        while (self.events.len() > MAX_WAITING || self.bytes > MAX_WAITING_BYTES)
            && let Some(out) = self.next_out()
        {
            self.remove(&out);
        }
    }

    /// Of what people's member events of a room carry, one of each person waits: what they said before
    /// is history. `slots` and `ids` are of those that come now.
    pub(super) fn remove_profiles(
        &mut self,
        room_id: &str,
        slots: &Set<String>,
        ids: &Set<String>,
    ) {
        let before: Vec<Key> = self
            .events
            .iter()
            .filter(|((room, id), waiting)| {
                let is_same_slot = waiting.is_profile() && slots.contains(&waiting.state_key);
                room == room_id && is_same_slot && !ids.contains(id)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in before {
            self.remove(&key);
        }
    }

    /// The oldest of the room that takes most; of names in one room alone while there are any.
    fn next_out(&self) -> Option<Key> {
        let mut largest: Option<(usize, &str)> = None;
        let are_profiles = self.profiles > 0;
        let counts = |waiting: &Waiting| !are_profiles || waiting.is_profile();
        let mut events = self.events.iter().filter(|(_, waiting)| counts(waiting)).peekable();
        while let Some(((room_id, _), first)) = events.next() {
            // All of a room stand together. Short ones take their place too.
            let mut bytes = first.cost() + MAX_WAITING_BYTES / MAX_WAITING;
            while let Some((_, further)) = events.next_if(|((other, _), _)| other == room_id) {
                bytes += further.cost() + MAX_WAITING_BYTES / MAX_WAITING;
            }
            if largest.is_none_or(|(most, _)| bytes > most) {
                largest = Some((bytes, room_id));
            }
        }
        let (_, room_id) = largest?;
        let theirs =
            self.events.iter().filter(|((room, _), waiting)| room == room_id && counts(waiting));
        theirs.min_by_key(|(_, waiting)| waiting.arrival).map(|(key, _)| key.clone())
    }
}
