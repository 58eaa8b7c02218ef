//! Decrypted events, so that a response that comes again is not decrypted again.

use crate::ids::EventId;
use crate::msc4362::event::{OpenedState, ReceivedEvent};
use crate::sorted::Bounded;

/// How many are kept.
const MAX_CACHED: usize = 4_096;
/// And how many bytes of them.
const MAX_CACHED_BYTES: usize = 16 * 1024 * 1024;

/// What was decrypted, with all that decided it.
#[derive(Debug)]
struct Cached {
    content: String,
    sender: String,
    state_key: String,
    opened: OpenedState,
}

impl Cached {
    const fn cost(&self) -> usize {
        let opened = &self.opened;
        self.content.len()
            + self.sender.len()
            + self.state_key.len()
            + opened.event_type.len()
            + opened.state_key.len()
            + opened.content.len()
            + opened.session_id.len()
    }
}

/// See the module. By room and event.
#[derive(Debug)]
pub(crate) struct DecryptedEvents(Bounded<(String, String), Box<Cached>>);

impl DecryptedEvents {
    pub(crate) const fn new() -> Self {
        Self(Bounded::new(MAX_CACHED, MAX_CACHED_BYTES))
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn get(&self, event: &ReceivedEvent<'_>) -> Option<&OpenedState> {
        let key = (event.room_id, event.event_id?);
        let cached = self.0.find(|(room, id)| (room.as_str(), id.as_str()).cmp(&key))?;
        let is_same = cached.content == event.content
            && cached.sender == event.sender
            && cached.state_key == event.state_key;
        is_same.then_some(&cached.opened)
    }

    pub(crate) fn insert(&mut self, event: &ReceivedEvent<'_>, opened: &OpenedState) {
        let Some(event_id) = event.event_id else { return };
        let cached = Cached {
            content: event.content.to_owned(),
            sender: event.sender.to_owned(),
            state_key: event.state_key.to_owned(),
            opened: opened.clone(),
        };
        let cost = cached.cost();
        let key = (event.room_id.to_owned(), event_id.to_owned());
        self.0.insert(key, Box::new(cached), cost);
    }

    /// Whether the event was decrypted, whatever it was then.
    pub(crate) fn contains(&self, event: EventId<'_>) -> bool {
        let key = (event.room_id, event.id);
        self.0.find(|(room, id)| (room.as_str(), id.as_str()).cmp(&key)).is_some()
    }

    pub(crate) fn remove(&mut self, event: EventId<'_>) {
        self.0.remove(&event.to_key());
    }
}
