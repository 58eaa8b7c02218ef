//! What is known of each room's encrypted state: the flag, which event is current in each slot, and
//! which were redacted. Bounded for each room, and stored.

use std::collections::VecDeque;

pub use crate::decrypt::replay::StoredStateError;
use crate::ids::{EventId, InRoom, RoomId, TypeAndKey};
use crate::model::precedence::{Candidate, Precedence, SlotHistory, dated};
use crate::msc4362::eligible::EncryptedTypes;
use crate::msc4362::event::SlotOrder;
use crate::sorted::Map;
use mantle_wire::json::{JsonError, elements, exact_string, get, quoted};

/// How many redacted events of a room are remembered beside those that are current.
const MAX_REDACTED: usize = 64;
/// Slots of a room; where there is no place, what Mantle encrypts gives way last of all.
const MAX_SLOTS: usize = 64;

/// The flag of MSC4362 in `m.room.encryption`, unstable and stable.
pub const STATE_ENCRYPTION_FLAGS: [&str; 2] =
    ["io.element.msc4362.encrypt_state_events", "encrypt_state_events"];

/// What an `m.room.encryption` event did to a room's state encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagChange {
    /// The flag is on, now or since before.
    On,
    /// The flag was never on.
    Off,
    /// The event would turn it off: it stays on; tell the user.
    RemovalIgnored,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Room {
    encrypts_state: bool,
    // When that was set, as far as anybody said: the earliest.
    flagged_at: Option<u64>,
    slots: Map<InRoom, SlotHistory>,
    // Ids, oldest first.
    redacted: VecDeque<String>,
}

impl Room {
    fn get(&self, of: TypeAndKey<'_>) -> Option<&SlotHistory> {
        self.slots.find(|known| known.as_ref().cmp(&of))
    }

    fn is_current(&self, event_id: &str) -> bool {
        self.slots.values().any(|slot| slot.current().event_id == event_id)
    }

    /// True when that is new.
    fn note_redacted(&mut self, event_id: String) -> bool {
        if self.redacted.contains(&event_id) {
            return false;
        }
        self.redacted.push_back(event_id);
        // There are fewer slots than this, so something goes.
        if self.redacted.len() > MAX_REDACTED + MAX_SLOTS {
            let out = self.redacted.iter().position(|id| !self.is_current(id)).unwrap_or_default();
            self.redacted.remove(out);
        }
        true
    }

    /// Makes place for a further slot: the oldest of those that matter least gives way.
    fn trim(&mut self, types: &EncryptedTypes) {
        while self.slots.len() >= MAX_SLOTS {
            let oldest = self.slots.iter().min_by_key(|(of, slot)| {
                (types.rank(of.as_ref()), slot.current().origin_server_ts)
            });
            let Some((oldest, _)) = oldest else { return };
            let oldest = oldest.clone();
            self.slots.remove(&oldest);
        }
    }
}

/// What is known of each room: the flag, and the newest encrypted event of each slot. Holds ids,
/// times, types and state keys, all of which the server knows too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownState {
    // Milliseconds since the epoch.
    clock: Option<u64>,
    // Those that Mantle encrypts itself.
    types: EncryptedTypes,
    rooms: Map<String, Room>,
}

impl KnownState {
    /// Nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says which types Mantle encrypts itself: what is known of them goes before what others make up.
    pub fn set_types(&mut self, types: EncryptedTypes) {
        self.types = types;
    }

    /// Says how late it is. An event that comes with a later date counts as sent when it came: else a
    /// server whose clock is ahead, or a member who wants to be the last, would be so for long.
    pub fn set_clock(&mut self, now: u64) {
        self.clock = Some(now);
    }

    /// Judges a decrypted event that claims to be the slot's current state, and remembers it.
    pub fn offer_encrypted(
        &mut self,
        room: RoomId<'_>,
        slot: TypeAndKey<'_>,
        candidate: Candidate,
    ) -> Precedence {
        let clock = self.clock;
        let dated = |candidate| dated(candidate, clock);
        let room = self.rooms.or_default(room.0.to_owned());
        let of = InRoom::from(slot);
        let Some(slot) = room.slots.get_mut(&of) else {
            room.trim(&self.types);
            room.slots.insert(of, SlotHistory::new(dated(candidate)));
            return Precedence::Current;
        };
        if candidate.event_id == slot.current().event_id {
            return Precedence::Current;
        }
        if slot.is_older(&candidate) {
            return Precedence::Rollback;
        }
        slot.replace(dated(candidate));
        Precedence::Current
    }

    /// Of an event that counts as older: whether the homeserver has settled on it in a fork, and then
    /// it is current. Neither event knew of the other: they are of two sessions and were set within a
    /// minute. Nothing else comes back, and nothing after what is current was redacted.
    pub(crate) fn settle(
        &mut self,
        room: RoomId<'_>,
        slot: TypeAndKey<'_>,
        candidate: Candidate,
    ) -> bool {
        let candidate = dated(candidate, self.clock);
        let Some(room) = self.rooms.get_mut(room.0) else { return false };
        let Some(slot) = room.slots.get_mut(&InRoom::from(slot)) else { return false };
        !room.redacted.contains(&slot.current().event_id) && slot.settle(candidate)
    }

    /// What is current in the slot has come here.
    pub(crate) fn has_come(&mut self, room: RoomId<'_>, slot: TypeAndKey<'_>) {
        let room = self.rooms.get_mut(room.0);
        if let Some(slot) = room.and_then(|room| room.slots.get_mut(&InRoom::from(slot))) {
            slot.has_come();
        }
    }

    /// The highest place in a slot that an author gave.
    pub(crate) fn highest(&self, room: RoomId<'_>, slot: TypeAndKey<'_>) -> Option<SlotOrder> {
        self.rooms.get(room.0)?.get(slot)?.highest()
    }

    /// Something of the room is about to be known.
    pub(crate) fn expect(&mut self, room: RoomId<'_>) {
        self.rooms.or_default(room.0.to_owned());
    }

    /// Notes that an event was redacted. Its type and state key, where it is current: it stays so, as
    /// for the homeserver, and nothing older comes back. `None` also for rooms nothing is known of.
    pub(crate) fn redact(&mut self, event: EventId<'_>) -> Option<InRoom> {
        let room = self.rooms.get_mut(event.room_id)?;
        room.note_redacted(event.id.to_owned());
        let mut all = room.slots.iter();
        all.find(|(_, slot)| slot.current().event_id == event.id).map(|(of, _)| of.clone())
    }

    /// Whether it is known that the event was redacted.
    pub(crate) fn is_redacted(&self, event: EventId<'_>) -> bool {
        let room = self.rooms.get(event.room_id);
        room.is_some_and(|room| room.redacted.iter().any(|id| id == event.id))
    }

    /// Judges a clear event that claims to be the slot's current state.
    pub fn offer_clear(&self, room: RoomId<'_>, slot: TypeAndKey<'_>) -> Precedence {
        if self.current(room, slot).is_some() {
            Precedence::ClearBehindEncrypted
        } else {
            Precedence::Current
        }
    }

    /// The newest encrypted event known for a slot.
    pub fn current(&self, room: RoomId<'_>, slot: TypeAndKey<'_>) -> Option<&Candidate> {
        Some(self.rooms.get(room.0)?.get(slot)?.current())
    }

    /// True when the event was current in the slot and no longer is.
    pub fn was_replaced(&self, room: RoomId<'_>, slot: TypeAndKey<'_>, event_id: &str) -> bool {
        let slot = self.rooms.get(room.0).and_then(|room| room.get(slot));
        slot.is_some_and(|slot| slot.was_replaced(event_id))
    }

    /// Reads the flag from the content of an `m.room.encryption` event. Once on, it stays on.
    pub fn observe_encryption(&mut self, room: RoomId<'_>, content: &str) -> FlagChange {
        match (is_flagged(content), self.encrypts_state(room.0)) {
            (true, _) => {
                self.rooms.or_default(room.0.to_owned()).encrypts_state = true;
                FlagChange::On
            }
            (false, true) => FlagChange::RemovalIgnored,
            (false, false) => FlagChange::Off,
        }
    }

    /// True when the room's flag was ever seen on.
    pub fn encrypts_state(&self, room_id: &str) -> bool {
        self.rooms.get(room_id).is_some_and(|room| room.encrypts_state)
    }

    /// Notes that the room's flag is on, without an event: the user has just set it.
    pub fn note_flag(&mut self, room_id: &str) {
        let clock = self.clock;
        let room = self.rooms.or_default(room_id.to_owned());
        room.encrypts_state = true;
        room.flagged_at = room.flagged_at.or(clock);
    }

    /// Notes when an event with the flag was sent; true where that is earlier than what was known.
    pub(crate) fn note_flag_date(&mut self, room_id: &str, sent: Option<u64>) -> bool {
        let Some(room) = self.rooms.get_mut(room_id).filter(|room| room.encrypts_state) else {
            return false;
        };
        let earliest = [room.flagged_at, sent].into_iter().flatten().min();
        std::mem::replace(&mut room.flagged_at, earliest) != earliest
    }

    /// When the room's flag was set, where that is known.
    pub(crate) fn flagged_at(&self, room_id: &str) -> Option<u64> {
        self.rooms.get(room_id)?.flagged_at
    }

    /// The slots of a room for which an encrypted event is known, and that event.
    pub fn slots(&self, room_id: &str) -> impl Iterator<Item = (TypeAndKey<'_>, &Candidate)> {
        self.all_slots(room_id).map(|(of, slot)| (of, slot.current()))
    }

    /// True when something is known of no room at all.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// True when nothing is known of the room.
    pub fn is_unknown(&self, room_id: &str) -> bool {
        !self.rooms.contains_key(room_id)
    }

    /// Rooms of which something is known.
    pub fn rooms(&self) -> impl Iterator<Item = &str> {
        self.rooms.keys().map(String::as_str)
    }

    /// Forgets a room the user left for good.
    pub fn forget_room(&mut self, room_id: &str) {
        self.rooms.remove(room_id);
    }

    /// A room's stored form: `{"flag", "flag_at" where known, "slots", "redacted": [event ids]}`, with
    /// slots as of [`SlotHistory::stored`].
    pub fn stored_room(&self, room_id: &str) -> String {
        let slots = self.all_slots(room_id).map(|(of, slot)| slot.stored(of));
        let slots: Vec<String> = slots.collect();
        let redacted = self.rooms.get(room_id).into_iter().flat_map(|room| room.redacted.iter());
        let redacted: Vec<String> = redacted.map(|id| quoted(id)).collect();
        format!(
            r#"{{"flag":{}{},"slots":[{}],"redacted":[{}]}}"#,
            self.encrypts_state(room_id),
            self.flagged_at(room_id).map_or_else(String::new, |at| format!(r#","flag_at":{at}"#)),
            slots.join(","),
            redacted.join(",")
        )
    }

    fn all_slots(&self, room_id: &str) -> impl Iterator<Item = (TypeAndKey<'_>, &SlotHistory)> {
        let slots = self.rooms.get(room_id).into_iter().flat_map(|room| room.slots.iter());
        slots.map(|(of, slot)| (of.as_ref(), slot))
    }

    /// Adds what a stored form says: the flag if either has it, and of each slot the newer event. Gives
    /// the ids of events that it knows to be redacted and that were not known to be.
    ///
    /// # Errors
    ///
    /// [`StoredStateError`] when it is not what this version writes.
    pub fn restore_room(
        &mut self,
        room: RoomId<'_>,
        stored: &str,
    ) -> Result<Vec<String>, StoredStateError> {
        let bad = |_: JsonError| StoredStateError::Format;
        let part = |key| get(stored, &[key]).map_err(bad)?.ok_or(StoredStateError::Format);
        let mut slots = Vec::new();
        for slot in elements(part("slots")?).map_err(bad)? {
            slots.push(SlotHistory::restore(slot).ok_or(StoredStateError::Format)?);
        }
        let mut redacted = Vec::new();
        for id in elements(get(stored, &["redacted"]).map_err(bad)?.unwrap_or("[]")).map_err(bad)? {
            redacted.push(exact_string(id).ok_or(StoredStateError::Format)?);
        }
        let room = self.rooms.or_default(room.0.to_owned());
        room.encrypts_state |= part("flag")? == "true";
        let flagged_at = get(stored, &["flag_at"]).map_err(bad)?.and_then(|at| at.parse().ok());
        room.flagged_at = [room.flagged_at, flagged_at].into_iter().flatten().min();
        for (of, slot) in slots {
            match room.slots.get_mut(&of) {
                Some(ours) => ours.merge(slot),
                None => drop(room.slots.insert(of, slot)),
            }
        }
        redacted.retain(|id| room.note_redacted(id.clone()));
        Ok(redacted)
    }
}

/// Whether the content of an `m.room.encryption` event has the flag.
pub(crate) fn is_flagged(content: &str) -> bool {
    STATE_ENCRYPTION_FLAGS
        .iter()
        .any(|name| get(content, &[name]).ok().flatten().is_some_and(crate::msc4362::flag::is_on))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::precedence::CLOCK_TOLERANCE_MS;

    const START: u64 = 1_700_000_000_000;
    const ROOM: RoomId<'_> = RoomId("!r");
    const NAME: TypeAndKey<'_> = TypeAndKey::single("m.room.name");

    fn candidate(event_id: &str, ts: u64, session_id: &str, index: u32) -> Candidate {
        Candidate {
            event_id: event_id.to_owned(),
            origin_server_ts: ts,
            session_id: session_id.to_owned(),
            message_index: index,
            order: None,
        }
    }

    fn ordered(event_id: &str, ts: u64, session_id: &str, counter: u64) -> Candidate {
        // What servers say of its date is of no account.
        let order = Some(SlotOrder { counter, ts });
        Candidate { order, ..candidate(event_id, START + 1_000_000_000, session_id, 0) }
    }

    const MONTH: u64 = 30 * 24 * 3_600_000;

    #[test]
    fn what_its_author_says_goes_before_a_servers_date() {
        let mut known = KnownState::new();
        offer(&mut known, ordered("$5", START, "s", 5));
        let old = Candidate {
            origin_server_ts: START + 2 * MONTH,
            ..ordered("$1", START - MONTH, "t", 1)
        };
        assert_eq!(offer(&mut known, old.clone()), Precedence::Rollback);
        let new = Candidate { origin_server_ts: 0, ..ordered("$6", 0, "t", 6) };
        assert_eq!(offer(&mut known, new), Precedence::Current, "its device's clock stands still");
        assert_eq!(offer(&mut known, ordered("$5", START, "s", 5)), Precedence::Rollback);
        let stored = known.stored_room("!r");
        let mut known = KnownState::new();
        known.restore_room(ROOM, &stored).unwrap();
        assert_eq!(known.stored_room("!r"), stored);
        assert_eq!(known.highest(ROOM, NAME).unwrap().counter, 6);
        assert_eq!(offer(&mut known, ordered("$7", START, "u", 7)), Precedence::Current);
    }

    #[test]
    fn who_counted_less_while_another_set_it_twice_is_no_rollback() {
        let mut known = KnownState::new();
        offer(&mut known, ordered("$6", START, "s", 6));
        offer(&mut known, ordered("$7", START + 5_000, "s", 7));
        assert_eq!(offer(&mut known, ordered("$6b", START + 4_000, "t", 6)), Precedence::Current);
        assert_eq!(known.highest(ROOM, NAME).unwrap().counter, 7);
        assert_eq!(offer(&mut known, ordered("$8", START + 9_000, "s", 8)), Precedence::Current);
    }

    #[test]
    fn nobody_counts_so_far_that_others_cannot_set_it_any_more() {
        let mut known = KnownState::new();
        known.set_clock(START);
        let last = crate::megolm::authorship::MAX_INTEGER;
        offer(&mut known, ordered("$m", START + 400 * MONTH, "m", last));
        known.set_clock(START + MONTH);
        assert_eq!(offer(&mut known, ordered("$n", START + MONTH, "n", last)), Precedence::Current);
        offer(&mut known, candidate("$plain", START + MONTH, "p", 0));
        assert_eq!(known.current(ROOM, NAME).unwrap().event_id, "$plain");
        let now = START + MONTH;
        let next = Candidate { origin_server_ts: now, ..ordered("$o", now, "o", last) };
        assert_eq!(offer(&mut known, next), Precedence::Current);
    }

    #[test]
    fn events_without_an_order_are_judged_as_ever() {
        let mut known = KnownState::new();
        offer(&mut known, ordered("$5", START, "s", 5));
        let plain = candidate("$plain", START + 2_000_000_000, "t", 0);
        assert_eq!(offer(&mut known, plain), Precedence::Current);
        let late = Candidate { origin_server_ts: START, ..ordered("$4", START + MONTH, "u", 4) };
        assert_eq!(offer(&mut known, late), Precedence::Rollback);
    }

    fn settle(known: &mut KnownState, candidate: Candidate) -> bool {
        known.settle(ROOM, NAME, candidate)
    }

    #[test]
    fn a_fork_settles_on_either_of_two_that_did_not_know_of_one_another() {
        let [early, late] =
            [candidate("$1", START, "s", 0), candidate("$2", START + 50_000, "t", 0)];
        let mut known = KnownState::new();
        offer(&mut known, early.clone());
        offer(&mut known, late.clone());
        assert_eq!(offer(&mut known, early.clone()), Precedence::Rollback);
        for one in [&early, &late, &early] {
            assert!(settle(&mut known, one.clone()));
            assert_eq!(known.current(ROOM, NAME), Some(one));
        }
        assert_eq!(offer(&mut known, late), Precedence::Rollback, "not as a new event");
        assert_eq!(offer(&mut known, candidate("$3", START + 60_000, "t", 1)), Precedence::Current);
    }

    #[test]
    fn a_fork_among_those_who_say_their_order_is_of_two_that_counted_as_far() {
        for (counter, is_fork) in [(4, false), (5, true)] {
            let early = ordered("$1", START, "s", counter);
            let late = ordered("$2", START + 5_000, "t", 5);
            let mut known = KnownState::new();
            offer(&mut known, early.clone());
            offer(&mut known, late);
            assert_eq!(offer(&mut known, early.clone()), Precedence::Rollback);
            assert_eq!(settle(&mut known, early), is_fork, "{counter}");
        }
    }

    #[test]
    fn what_knew_of_the_other_or_came_long_after_it_settles_nothing() {
        let current = candidate("$2", START + 61_000, "t", 5);
        for old in [
            candidate("$1", START, "s", 0),
            candidate("$1", START + 60_000, "t", 4),
            // Said by its author to be old, whatever a server says.
            ordered("$1", START - MONTH, "s", 1),
        ] {
            let current = match old.order {
                Some(_) => ordered("$2", START, "t", 2),
                None => current.clone(),
            };
            let mut known = KnownState::new();
            offer(&mut known, old.clone());
            offer(&mut known, current.clone());
            assert!(!settle(&mut known, old));
            assert_eq!(known.current(ROOM, NAME), Some(&current));
        }
        assert!(!settle(&mut KnownState::new(), current));
    }

    #[test]
    fn a_fork_settles_on_nothing_after_a_redaction() {
        let [early, late] = [candidate("$1", START, "s", 0), candidate("$2", START + 9, "t", 0)];
        let mut known = KnownState::new();
        offer(&mut known, early.clone());
        offer(&mut known, late.clone());
        known.redact(EventId { room_id: "!r", id: "$2" });
        assert!(!settle(&mut known, early));
        assert_eq!(known.current(ROOM, NAME), Some(&late));
    }

    #[test]
    fn what_a_fork_settles_on_counts_as_sent_when_it_came() {
        let [early, late] = [ordered("$1", START, "s", 5), ordered("$2", START + 9, "t", 5)];
        let mut known = KnownState::new();
        known.set_clock(START + 10_000);
        offer(&mut known, early.clone());
        offer(&mut known, late);
        assert!(settle(&mut known, early));
        let current = known.current(ROOM, NAME).unwrap();
        assert_eq!(current.origin_server_ts, START + 10_000);
        let plain = candidate("$3", START + 20_000, "u", 0);
        assert_eq!(offer(&mut known, plain), Precedence::Current);
    }

    #[test]
    fn who_counted_less_is_older_than_a_later_one_that_counted_less_too() {
        let mut known = KnownState::new();
        offer(&mut known, ordered("$7", START, "s", 7));
        let later = ordered("$6", START + 3_600_000, "t", 6);
        assert_eq!(offer(&mut known, later), Precedence::Current);
        assert_eq!(offer(&mut known, ordered("$5", START + 1, "u", 5)), Precedence::Rollback);
    }

    fn offer(known: &mut KnownState, candidate: Candidate) -> Precedence {
        known.offer_encrypted(ROOM, NAME, candidate)
    }

    #[test]
    fn a_newer_event_replaces_an_older_one() {
        let mut known = KnownState::new();
        assert_eq!(offer(&mut known, candidate("$1", START, "s", 0)), Precedence::Current);
        assert_eq!(offer(&mut known, candidate("$2", START + 1, "s", 1)), Precedence::Current);
        assert_eq!(offer(&mut known, candidate("$2", START + 1, "s", 1)), Precedence::Current);
        assert_eq!(known.current(ROOM, NAME).unwrap().event_id, "$2");
    }

    #[test]
    fn an_event_once_replaced_is_a_rollback() {
        let mut known = KnownState::new();
        offer(&mut known, candidate("$1", START, "s", 0));
        offer(&mut known, candidate("$2", START + 1, "t", 0));
        assert_eq!(offer(&mut known, candidate("$1", START, "s", 0)), Precedence::Rollback);
        assert_eq!(known.current(ROOM, NAME).unwrap().event_id, "$2");
    }

    #[test]
    fn a_lower_index_is_a_rollback_whatever_the_time_says() {
        let mut known = KnownState::new();
        offer(&mut known, candidate("$2", START, "s", 5));
        assert_eq!(
            offer(&mut known, candidate("$1", START + 99_999_999, "s", 4)),
            Precedence::Rollback
        );
    }

    #[test]
    fn a_higher_index_is_newer_whatever_the_time_says() {
        let mut known = KnownState::new();
        offer(&mut known, candidate("$1", START, "s", 4));
        assert_eq!(offer(&mut known, candidate("$2", 0, "s", 5)), Precedence::Current);
    }

    #[test]
    fn between_sessions_clocks_may_differ_by_ten_minutes() {
        let mut known = KnownState::new();
        offer(&mut known, candidate("$1", START, "s", 4));
        assert_eq!(
            offer(&mut known, candidate("$2", START - CLOCK_TOLERANCE_MS - 1, "t", 0)),
            Precedence::Rollback
        );
        assert_eq!(
            offer(&mut known, candidate("$3", START - CLOCK_TOLERANCE_MS, "t", 0)),
            Precedence::Current
        );
    }

    #[test]
    fn a_date_in_the_future_does_not_hold_a_name_for_ever() {
        let mut known = KnownState::new();
        known.set_clock(START);
        let later = START + 365 * 24 * 3_600_000;
        assert_eq!(offer(&mut known, candidate("$1", later, "s", 4)), Precedence::Current);
        assert_eq!(offer(&mut known, candidate("$1", later, "s", 4)), Precedence::Current);
        // What is older than its arrival is refused as ever.
        let older = START - CLOCK_TOLERANCE_MS - 1;
        assert_eq!(offer(&mut known, candidate("$0", older, "t", 0)), Precedence::Rollback);
        assert_eq!(offer(&mut known, candidate("$2", START + 1, "t", 1)), Precedence::Current);
        // A clock that goes wrong here refuses nothing that it would not refuse otherwise.
        known.set_clock(1);
        assert_eq!(offer(&mut known, candidate("$3", START + 2, "u", 0)), Precedence::Current);
        assert_eq!(offer(&mut known, candidate("$4", START + 3, "v", 0)), Precedence::Current);
    }

    #[test]
    fn between_tabs_too_what_authors_say_goes_before_a_servers_date() {
        // The server gave each tab another one, and the older a later date.
        let newer = Candidate { origin_server_ts: START, ..ordered("$5", START, "s", 5) };
        let older =
            Candidate { origin_server_ts: START + MONTH, ..ordered("$4", START - MONTH, "t", 4) };
        let of = |candidate: &Candidate| {
            let mut known = KnownState::new();
            offer(&mut known, candidate.clone());
            known
        };
        for (ours, theirs) in [(&newer, &older), (&older, &newer)] {
            let mut known = of(ours);
            known.restore_room(ROOM, &of(theirs).stored_room("!r")).unwrap();
            assert_eq!(known.current(ROOM, NAME).unwrap().event_id, "$5");
            assert_eq!(known.highest(ROOM, NAME).unwrap().counter, 5);
            assert_eq!(offer(&mut known, older.clone()), Precedence::Rollback);
        }
        // What a tab saw replaced is over, however far it counted.
        let mut known = of(&ordered("$6", START, "s", 6));
        let mut ahead = of(&ordered("$6", START, "s", 6));
        offer(&mut ahead, ordered("$5b", START + 1_000, "t", 5));
        known.restore_room(ROOM, &ahead.stored_room("!r")).unwrap();
        assert_eq!(known.current(ROOM, NAME).unwrap().event_id, "$5b");
        assert_eq!(known.highest(ROOM, NAME).unwrap().counter, 6);
    }

    #[test]
    fn clear_never_wins_over_encrypted() {
        let mut known = KnownState::new();
        assert_eq!(known.offer_clear(ROOM, NAME), Precedence::Current);
        offer(&mut known, candidate("$1", START, "s", 0));
        assert_eq!(known.offer_clear(ROOM, NAME), Precedence::ClearBehindEncrypted);
        assert_eq!(
            known.offer_clear(ROOM, TypeAndKey::single("m.room.topic")),
            Precedence::Current
        );
        assert_eq!(known.offer_clear(RoomId("!q"), NAME), Precedence::Current);
    }

    #[test]
    fn the_flag_is_sticky_under_both_names() {
        let mut known = KnownState::new();
        let off = json!({"algorithm": "m.megolm.v1.aes-sha2"});
        assert_eq!(known.observe_encryption(ROOM, &off.to_string()), FlagChange::Off);
        for (room, name) in [ROOM, RoomId("!q")].into_iter().zip(STATE_ENCRYPTION_FLAGS) {
            assert_eq!(
                known.observe_encryption(room, &json!({name: true}).to_string()),
                FlagChange::On
            );
            assert_eq!(
                known.observe_encryption(room, &off.to_string()),
                FlagChange::RemovalIgnored
            );
            assert_eq!(
                known.observe_encryption(room, &json!({name: false}).to_string()),
                FlagChange::RemovalIgnored
            );
            assert!(known.encrypts_state(room.0));
        }
        // As matrix-js-sdk reads it.
        for (value, change) in [(json!(""), FlagChange::Off), (json!("true"), FlagChange::On)] {
            let content = json!({"encrypt_state_events": value}).to_string();
            assert_eq!(known.observe_encryption(RoomId("!p"), &content), change);
        }
    }

    #[test]
    fn stored_and_restored_still_refuses() {
        let mut known = KnownState::new();
        known.observe_encryption(ROOM, &json!({"encrypt_state_events": true}).to_string());
        offer(&mut known, candidate("$1", START, "s", 0));
        offer(&mut known, candidate("$2", START, "s", 1));
        let stored = known.stored_room("!r");
        let mut restored = KnownState::new();
        restored.restore_room(ROOM, &stored).unwrap();
        assert_eq!(restored.stored_room("!r"), stored);
        assert!(restored.encrypts_state("!r"));
        assert_eq!(offer(&mut restored, candidate("$1", START, "s", 0)), Precedence::Rollback);
        assert_eq!(restored.restore_room(ROOM, "{"), Err(StoredStateError::Format));
    }

    #[test]
    fn another_tabs_older_form_brings_nothing_back() {
        let mut known = KnownState::new();
        offer(&mut known, candidate("$1", START, "s", 0));
        let older = known.stored_room("!r");
        offer(&mut known, candidate("$2", START, "s", 1));
        let newer = known.stored_room("!r");
        known.restore_room(ROOM, &older).unwrap();
        assert_eq!(known.current(ROOM, NAME).unwrap().event_id, "$2");
        let mut other = KnownState::new();
        offer(&mut other, candidate("$1", START, "s", 0));
        other.restore_room(ROOM, &newer).unwrap();
        assert_eq!(other.current(ROOM, NAME).unwrap().event_id, "$2");
    }
}
