//! The encrypted state of rooms: which events are current, their contents in clear, and what of it
//! is to be encrypted once more. One entry of the store for each room; whatever changes it touches it.

use crate::ids::{EventId, InRoom, RoomId, Slot};
use crate::megolm::{PickleKey, Place, seal, unseal};
use crate::model::in_flight::{Arrival, InFlightWrites, Reconciled, Sent};
use crate::model::journal::{EntryName, Journal, Prefix};
use crate::model::known::{FlagChange, KnownState};
use crate::model::memory::{Memory, Provenance, named, restored};
use crate::model::precedence::{Candidate, Precedence};
use crate::model::sharing_due::{Due, SharingDue};
use crate::model::stale::{Stale, StaleEvents};
use crate::model::stored::{Named, VERSION, room_of};
use crate::msc4362::eligible::EncryptedTypes;
use crate::sorted::Bounded;
use mantle_wire::json::{elements, get, get_str, quoted};

/// Slots of which it is known when their current event came.
const MAX_PLACED: usize = 4_096;

/// See the module.
#[derive(Debug)]
pub(crate) struct RoomStates {
    known: KnownState,
    memory: Memory,
    stale: StaleEvents,
    in_flight: InFlightWrites,
    // When the current event of a slot came.
    placed: Bounded<Slot, Arrival>,
    // Rooms and packed keys of events that claim to be current and wait for their key; when the last of
    // them came.
    awaited: Bounded<(String, String), Arrival>,
    // Rooms and events that were redacted by what the store says, and perhaps by nothing else yet.
    learned: Vec<(String, String)>,
}

impl RoomStates {
    pub(crate) fn new() -> Self {
        Self {
            known: KnownState::new(),
            memory: Memory::default(),
            stale: StaleEvents::default(),
            in_flight: InFlightWrites::new(),
            placed: Bounded::new(MAX_PLACED, usize::MAX),
            awaited: Bounded::new(MAX_PLACED, usize::MAX),
            learned: Vec::new(),
        }
    }

    /// Which events are current.
    pub(crate) const fn known(&self) -> &KnownState {
        &self.known
    }

    /// Their contents.
    pub(crate) const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Something of the room is about to be known.
    pub(crate) fn expect(&mut self, room: RoomId<'_>) {
        self.known.expect(room);
    }

    pub(crate) fn set_types(&mut self, types: EncryptedTypes) {
        self.known.set_types(types);
    }

    pub(crate) fn set_clock(&mut self, now: u64) {
        self.known.set_clock(now);
    }

    /// The room's flag is on, whatever its events say.
    pub(crate) fn note_flag(&mut self, room_id: &str, journal: &mut Journal) {
        self.known.note_flag(room_id);
        journal.touch(Prefix::Room, room_id);
    }

    /// Reads the flag from the content of an `m.room.encryption` event.
    pub(crate) fn observe_encryption(
        &mut self,
        room: RoomId<'_>,
        (content, sent): (&str, Option<u64>),
        journal: &mut Journal,
    ) -> FlagChange {
        let before = self.known.encrypts_state(room.0);
        let change = self.known.observe_encryption(room, content);
        if change == FlagChange::On && (self.known.note_flag_date(room.0, sent) || !before) {
            journal.touch(Prefix::Room, room.0);
        }
        change
    }

    /// Whether what is set in the slot must not be readable: the room has the flag, or what stands
    /// there is encrypted, from which a homeserver may have kept the flag away.
    pub(crate) fn encrypts(&self, slot: &Slot) -> bool {
        self.known.encrypts_state(&slot.room_id)
            || self.known.current(slot.room(), slot.of()).is_some()
            || self.is_awaited(slot)
    }

    /// An event that came then and claims to be current waits for its key, under that packed key.
    pub(crate) fn note_awaited(&mut self, room: RoomId<'_>, packed_key: &str, arrival: Arrival) {
        let key = (room.0.to_owned(), packed_key.to_owned());
        let arrival = self.awaited.get(&key).map_or(arrival, |last| arrival.max(*last));
        self.awaited.insert(key, arrival, 0);
    }

    /// None of those does that came until then.
    pub(crate) fn forget_awaited(&mut self, room: RoomId<'_>, packed_key: &str, arrival: Arrival) {
        let key = (room.0.to_owned(), packed_key.to_owned());
        if self.awaited.get(&key).is_some_and(|last| *last <= arrival) {
            self.awaited.remove(&key);
        }
    }

    /// Whether one does in that slot.
    pub(crate) fn is_awaited(&self, slot: &Slot) -> bool {
        let packed_key = format!("{}:{}", slot.event_type, slot.state_key);
        self.awaited.contains_key(&(slot.room_id.clone(), packed_key))
    }

    /// Where a session was thrown away, nobody else can be given its key: what is current and encrypted
    /// with it is encrypted once more with the next, or a later device would not see it until somebody
    /// sets it anew.
    pub(crate) fn mark_lost(
        &mut self,
        room: RoomId<'_>,
        is_lost: impl Fn(&str) -> bool,
        (journal, due): (&mut Journal, &mut SharingDue),
    ) {
        let ids: Vec<String> = self
            .known
            .slots(room.0)
            .filter(|(_, current)| is_lost(&current.session_id))
            .map(|(_, current)| current.event_id.clone())
            .collect();
        for id in ids {
            self.mark_stale(room, id, journal);
            due.note(room.0, Due::Stale);
        }
    }

    /// Of an event that counts as older: whether it is current, since a fork has settled on it.
    pub(crate) fn settle(
        &mut self,
        slot: &Slot,
        candidate: Candidate,
        journal: &mut Journal,
    ) -> bool {
        let has_settled = self.known.settle(slot.room(), slot.of(), candidate);
        if has_settled {
            journal.touch(Prefix::Room, &slot.room_id);
        }
        has_settled
    }

    /// Judges a decrypted event that claims to be current, and remembers it.
    pub(crate) fn offer(
        &mut self,
        slot: &Slot,
        candidate: Candidate,
        journal: &mut Journal,
    ) -> Precedence {
        let precedence = self.known.offer_encrypted(slot.room(), slot.of(), candidate);
        journal.touch(Prefix::Room, &slot.room_id);
        precedence
    }

    /// True when what is current in the slot came after that.
    pub(crate) fn is_replaced(&self, slot: &Slot, arrival: Arrival) -> bool {
        self.placed.get(slot).is_some_and(|placed| *placed > arrival)
    }

    /// What is current in the slot came then.
    pub(crate) fn place(&mut self, slot: Slot, arrival: Arrival) {
        self.known.has_come(slot.room(), slot.of());
        let before = self.placed.get(&slot).copied();
        self.placed.insert(slot, before.map_or(arrival, |before| before.max(arrival)), 0);
    }

    /// Keeps a clear current event, and whence it is, for when a server hides it. True when that is
    /// new.
    pub(crate) fn remember(
        &mut self,
        slot: &Slot,
        (event, provenance): (String, Provenance),
        journal: &mut Journal,
    ) -> bool {
        let (room, of) = (slot.room(), slot.of());
        if self.memory.get(room, of) == Some(&event)
            && self.memory.provenance(room, of) == Some(&provenance)
        {
            return false;
        }
        journal.touch(Prefix::Room, room.0);
        for room_id in self.memory.insert(room, of.into(), (event, provenance)) {
            journal.touch(Prefix::Room, &room_id);
        }
        true
    }

    /// The event was redacted; its slot, where its content was kept.
    pub(crate) fn redact(
        &mut self,
        event: EventId<'_>,
        (journal, due): (&mut Journal, &mut SharingDue),
    ) -> Option<Slot> {
        let room = RoomId(event.room_id);
        if self.in_flight.redact(event, &self.known) {
            due.note(room.0, Due::Stale);
            journal.touch(Prefix::Room, room.0);
        }
        let in_room = self.known.redact(event)?;
        self.stale.unmark(room, event.id);
        self.memory.remove(room, &in_room).then(|| Slot::new(room, in_room.as_ref()))
    }

    /// Events that were redacted by what the store says, since the last call.
    pub(crate) fn take_learned(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.learned)
    }

    /// Offers an event that was redacted as the current one of a slot; true when it is.
    pub(crate) fn empty(
        &mut self,
        slot: &Slot,
        redacted: Candidate,
        arrival: Arrival,
        journal: &mut Journal,
    ) -> bool {
        let (room_id, event_id) = (&slot.room_id, redacted.event_id.clone());
        let offered = self.known.offer_encrypted(slot.room(), slot.of(), redacted);
        let is_current = offered == Precedence::Current;
        if is_current {
            self.known.redact(EventId { room_id, id: &event_id });
            self.memory.remove(slot.room(), &slot.in_room());
            self.place(slot.clone(), arrival);
            journal.touch(Prefix::Room, room_id);
        }
        is_current
    }

    /// The person has left the room: its names are forgotten. What was seen of its order stays, so
    /// that nobody can wind it back by a leave that was none.
    pub(crate) fn forget_contents(&mut self, room_id: &str, journal: &mut Journal) {
        self.memory.forget_room(room_id);
        self.in_flight.forget_room(room_id);
        journal.touch(Prefix::Room, room_id);
    }

    /// Current events of a room that somebody can read who has gone.
    pub(crate) fn stale(&self, room_id: &str) -> Option<&Stale> {
        self.stale.room(room_id)
    }

    /// True when the session encrypts one of them.
    pub(crate) fn is_stale_session(&self, room: RoomId<'_>, session_id: &str) -> bool {
        self.stale.has_session(room, session_id, &self.known)
    }

    /// Somebody who was in the room has left it: what is known of its state by now was for them too.
    pub(crate) fn departed(&mut self, room_id: &str, journal: &mut Journal) {
        let ids: Vec<String> =
            self.known.slots(room_id).map(|(_, current)| current.event_id.clone()).collect();
        for id in ids {
            self.mark_stale(RoomId(room_id), id, journal);
        }
    }

    pub(crate) fn mark_stale(&mut self, room: RoomId<'_>, event_id: String, journal: &mut Journal) {
        if self.stale.mark(room, event_id) {
            journal.touch(Prefix::Room, room.0);
        }
    }

    pub(crate) fn unmark_stale(&mut self, room: RoomId<'_>, event_id: &str, journal: &mut Journal) {
        if self.stale.unmark(room, event_id) {
            journal.touch(Prefix::Room, room.0);
        }
    }

    pub(crate) fn set_stale(&mut self, room_id: &str, stale: Stale, journal: &mut Journal) {
        if self.stale.replace(room_id, stale) {
            journal.touch(Prefix::Room, room_id);
        }
    }

    /// Follows what is sent once more.
    pub(crate) fn follow(&mut self, slot: Slot, write: Sent<'_>, journal: &mut Journal) {
        journal.touch(Prefix::Room, &slot.room_id);
        for out in self.in_flight.begin(slot, write) {
            journal.touch(Prefix::Room, &out.room_id);
        }
    }

    /// What a decrypted event means for what is followed.
    pub(crate) fn reconcile(
        &mut self,
        room: RoomId<'_>,
        event: &Reconciled<'_>,
        (journal, due): (&mut Journal, &mut SharingDue),
    ) {
        let followed = self.in_flight.reconcile(room, event, &self.known);
        if followed.is_due {
            due.note(room.0, Due::Stale);
        }
        if followed.has_changed {
            journal.touch(Prefix::Room, room.0);
        }
    }

    /// What somebody had set when this current event of ours took its place.
    pub(crate) fn lost_update(&self, slot: &Slot, current: &Candidate) -> Option<&str> {
        self.in_flight.lost_update(slot, current)
    }

    /// A room's entry, with contents sealed for the entry of that name.
    pub(crate) fn value(
        &self,
        room: RoomId<'_>,
        entry: EntryName<'_>,
        key: &PickleKey,
    ) -> Option<String> {
        let room_id = room.0;
        if self.known.is_unknown(room_id) {
            return None;
        }
        let sealed = |part: &'static str, text: &str| {
            quoted(&seal(text, Place { entry: entry.0, part }, key))
        };
        let in_flight = self.in_flight.stored_room(room_id);
        let in_flight = in_flight.map_or_else(String::new, |in_flight| {
            format!(r#","rewrites":{}"#, sealed("rewrites", &in_flight))
        });
        Some(format!(
            r#"{{"version":{VERSION},"room_id":{},"known":{},"stale":{},"events":{}{in_flight}}}"#,
            quoted(room_id),
            self.known.stored_room(room_id),
            self.stale.stored_room(room_id),
            sealed("events", &self.memory.stored_room(room_id)),
        ))
    }

    /// Reads the entry of that name; its room, and none when it cannot be read.
    pub(crate) fn load(
        &mut self,
        (entry, rest): (EntryName<'_>, Named<'_>),
        value: &str,
        key: &PickleKey,
        due: &mut SharingDue,
    ) -> Option<String> {
        let part = |key: &str| get(value, &[key]).ok().flatten();
        if part("version")? != VERSION.to_string() {
            return None;
        }
        let room_id = room_of(value, rest)?;
        let room = RoomId(&room_id);
        let sealed = get_str(value, &["events"]).ok()??;
        let events = unseal(&sealed, Place { entry: entry.0, part: "events" }, key).ok()?;
        let in_flight = match get_str(value, &["rewrites"]).ok()? {
            Some(sealed) => {
                Some(unseal(&sealed, Place { entry: entry.0, part: "rewrites" }, key).ok()?)
            }
            None => None,
        };
        let before: Vec<(InRoom, String)> = self
            .known
            .slots(&room_id)
            .map(|(of, current)| (of.into(), current.event_id.clone()))
            .collect();
        let redacted = self.known.restore_room(room, part("known")?).ok()?;
        self.learned.extend(redacted.into_iter().map(|id| (room_id.clone(), id)));
        for (of, event_id) in before {
            // What is kept is of the event that is current, or nothing.
            let current = self.known.current(room, of.as_ref());
            if current.is_none_or(|current| current.event_id != event_id) {
                self.memory.remove(room, &of);
            }
        }
        if self.stale.restore_room(room, part("stale").unwrap_or("[]"))? {
            // Perhaps it is this device's turn, or will be.
            due.note(&room_id, Due::Stale);
        }
        for event in elements(events.expose()).ok()? {
            let (event, provenance) = restored(event)?;
            let (slot, event_id) = named(&event)?;
            let current = self.known.current(room, slot.as_ref());
            let is_redacted = self.known.is_redacted(EventId { room_id: &room_id, id: &event_id });
            if !is_redacted && current.is_some_and(|current| current.event_id == event_id) {
                self.memory.insert(room, slot, (event, provenance));
            }
        }
        if let Some(in_flight) = in_flight {
            let state = (&self.known, &self.memory);
            if self.in_flight.restore_room(room, in_flight.expose(), state) {
                due.note(&room_id, Due::Stale);
            }
        }
        Some(room_id)
    }
}
