//! Which of several events for one slot counts: encrypted before clear, newest before older.
//!
//! A slot is a room's (type, state key). Within one session the message index gives the order and
//! nobody can forge it; between sessions `origin_server_ts` does, which servers set: clocks differ,
//! so only a large step back counts as a rollback, and an event once replaced never comes back, but
//! where neither of the two knew of the other and the homeserver settles on the earlier. Where
//! authors say their order (`docs/encrypted-state.md`), that counts instead of servers' dates.
//! Only events that claim to be the current state are asked about here, not history.

use std::collections::VecDeque;

pub use crate::decrypt::replay::StoredStateError;
use crate::msc4362::eligible::EncryptedTypes;
use crate::msc4362::event::SlotOrder;
use crate::sorted::Map;
use mantle_wire::json::{JsonError, elements, get, quoted};

/// How far apart the clocks of two homeservers may be: ten minutes.
pub const CLOCK_TOLERANCE_MS: u64 = 10 * 60 * 1000;
/// Events sent within so many milliseconds may not know of one another.
const FORK_MS: u64 = 60_000;

/// How many replaced events are remembered for each slot.
const MAX_REPLACED: usize = 64;

/// How many redacted events of a room are remembered beside those that are current.
const MAX_REDACTED: usize = 64;
/// Slots of a room; where there is no place, what Mantle encrypts gives way last of all.
const MAX_SLOTS: usize = 64;
/// What the replaced events of a slot may take, in bytes.
const MAX_REPLACED_BYTES: usize = 3_200;

/// The flag of MSC4362 in `m.room.encryption`, unstable and stable.
pub const STATE_ENCRYPTION_FLAGS: [&str; 2] =
    ["io.element.msc4362.encrypt_state_events", "encrypt_state_events"];

/// An encrypted event, opened, that claims to be a slot's current state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its event id.
    pub event_id: String,
    /// Its `origin_server_ts`, milliseconds.
    pub origin_server_ts: u64,
    /// Its Megolm session.
    pub session_id: String,
    /// Its index in that session.
    pub message_index: u32,
    /// Its place in the slot, where its author says that.
    pub order: Option<SlotOrder>,
}

/// What becomes of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precedence {
    /// It is the slot's current state.
    Current,
    /// It is older than what is known: keep the known event and tell the user.
    Rollback,
    /// It is clear while an encrypted event is known for the slot: keep that one.
    ClearBehindEncrypted,
}

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

#[derive(Clone, Debug, PartialEq, Eq)]
struct Slot {
    current: Candidate,
    replaced: VecDeque<String>,
    // The highest place that an author gave.
    highest: Option<SlotOrder>,
}

impl Slot {
    fn new(current: Candidate) -> Self {
        let highest = current.order;
        Self { current, replaced: VecDeque::new(), highest }
    }

    fn is_older(&self, candidate: &Candidate) -> bool {
        let is_replaced = self.replaced.contains(&candidate.event_id);
        let highest = self.highest.filter(|_| self.current.order.is_some());
        match (candidate.order, highest) {
            (Some(order), Some(highest)) if order.counter > highest.counter => false,
            // Whoever sets a name twice while another does has counted further, so that alone is no
            // older one.
            (Some(order), Some(highest)) => {
                // One that is current has counted less as well, but was set later.
                let newest =
                    self.current.order.map_or(highest.ts, |order| order.ts.max(highest.ts));
                is_replaced
                    || order.ts.saturating_add(CLOCK_TOLERANCE_MS) < newest
                    || candidate.session_id == self.current.session_id
                        && candidate.message_index < self.current.message_index
            }
            _ => is_replaced || is_older(candidate, &self.current),
        }
    }

    fn replace(&mut self, candidate: Candidate) {
        if let Some(order) = candidate.order
            && self
                .highest
                .is_none_or(|highest| (highest.counter, highest.ts) < (order.counter, order.ts))
        {
            self.highest = Some(order);
        }
        let replaced = std::mem::replace(&mut self.current, candidate);
        self.replaced.push_back(replaced.event_id);
        while self.replaced.len() > MAX_REPLACED
            || self.replaced.iter().map(String::len).sum::<usize>() > MAX_REPLACED_BYTES
        {
            self.replaced.pop_front();
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Room {
    encrypts_state: bool,
    // When that was set, as far as anybody said: the earliest.
    flagged_at: Option<u64>,
    // Type, then state key.
    slots: Map<String, Map<String, Slot>>,
    // Ids, oldest first.
    redacted: VecDeque<String>,
}

impl Room {
    fn all(&self) -> impl Iterator<Item = (&str, &str, &Slot)> {
        self.slots.iter().flat_map(|(event_type, slots)| {
            slots
                .iter()
                .map(move |(state_key, slot)| (event_type.as_str(), state_key.as_str(), slot))
        })
    }

    fn is_current(&self, event_id: &str) -> bool {
        self.all().any(|(_, _, slot)| slot.current.event_id == event_id)
    }

    fn note_redacted(&mut self, event_id: String) {
        if self.redacted.contains(&event_id) {
            return;
        }
        self.redacted.push_back(event_id);
        // There are fewer slots than this, so something goes.
        if self.redacted.len() > MAX_REDACTED + MAX_SLOTS {
            let out = self.redacted.iter().position(|id| !self.is_current(id)).unwrap_or_default();
            self.redacted.remove(out);
        }
    }

    /// Makes place for a further slot: the oldest of those that matter least gives way.
    fn trim(&mut self, types: &EncryptedTypes) {
        while self.all().count() >= MAX_SLOTS {
            let oldest = self.all().min_by_key(|(event_type, state_key, slot)| {
                (types.rank(event_type, state_key), slot.current.origin_server_ts)
            });
            let Some((event_type, state_key, _)) = oldest else { return };
            let (event_type, state_key) = (event_type.to_owned(), state_key.to_owned());
            if let Some(slots) = self.slots.get_mut(&event_type) {
                slots.remove(&state_key);
                if slots.is_empty() {
                    self.slots.remove(&event_type);
                }
            }
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

    /// Judges an opened event that claims to be the slot's current state, and remembers it.
    pub fn offer_encrypted(
        &mut self,
        room_id: &str,
        event_type: &str,
        state_key: &str,
        candidate: Candidate,
    ) -> Precedence {
        let clock = self.clock;
        let dated = |candidate| dated(candidate, clock);
        let room = self.rooms.or_default(room_id.to_owned());
        let known = room.slots.get(event_type).is_some_and(|slots| slots.contains_key(state_key));
        if !known {
            room.trim(&self.types);
        }
        let slots = room.slots.or_default(event_type.to_owned());
        let Some(slot) = slots.get_mut(state_key) else {
            slots.insert(state_key.to_owned(), Slot::new(dated(candidate)));
            return Precedence::Current;
        };
        if candidate.event_id == slot.current.event_id {
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
        room_id: &str,
        event_type: &str,
        state_key: &str,
        candidate: Candidate,
    ) -> bool {
        let candidate = dated(candidate, self.clock);
        let Some(room) = self.rooms.get_mut(room_id) else { return false };
        let slots = room.slots.get_mut(event_type);
        let Some(slot) = slots.and_then(|slots| slots.get_mut(state_key)) else { return false };
        let current = &slot.current;
        if room.redacted.contains(&current.event_id) {
            return false;
        }
        let apart = match (candidate.order, current.order) {
            (Some(one), Some(other)) => one.ts.abs_diff(other.ts),
            _ => candidate.origin_server_ts.abs_diff(current.origin_server_ts),
        };
        // Who has counted further has read the other, or one as far.
        let knew = match (candidate.order, current.order) {
            (Some(one), Some(other)) => one.counter < other.counter,
            _ => false,
        };
        let is_fork = candidate.session_id != current.session_id
            && !current.session_id.is_empty()
            && !knew
            && apart <= FORK_MS;
        if is_fork {
            slot.replaced.retain(|replaced| *replaced != candidate.event_id);
            slot.replace(candidate);
        }
        is_fork
    }

    /// The highest place in a slot that an author gave.
    pub(crate) fn highest(
        &self,
        room_id: &str,
        event_type: &str,
        state_key: &str,
    ) -> Option<SlotOrder> {
        self.rooms.get(room_id)?.slots.get(event_type)?.get(state_key)?.highest
    }

    /// Notes that an event was redacted. Its type and state key, where it is current: it stays so, as
    /// for the homeserver, and nothing older comes back. `None` also for rooms nothing is known of.
    pub(crate) fn redact(&mut self, room_id: &str, event_id: &str) -> Option<(String, String)> {
        let room = self.rooms.get_mut(room_id)?;
        room.note_redacted(event_id.to_owned());
        let mut all = room.all();
        let (event_type, state_key, _) = all.find(|slot| slot.2.current.event_id == event_id)?;
        Some((event_type.to_owned(), state_key.to_owned()))
    }

    /// Whether it is known that the event was redacted.
    pub(crate) fn is_redacted(&self, room_id: &str, event_id: &str) -> bool {
        self.rooms.get(room_id).is_some_and(|room| room.redacted.iter().any(|id| id == event_id))
    }

    /// Judges a clear event that claims to be the slot's current state.
    pub fn offer_clear(&self, room_id: &str, event_type: &str, state_key: &str) -> Precedence {
        if self.current(room_id, event_type, state_key).is_some() {
            Precedence::ClearBehindEncrypted
        } else {
            Precedence::Current
        }
    }

    /// The newest encrypted event known for a slot.
    pub fn current(&self, room_id: &str, event_type: &str, state_key: &str) -> Option<&Candidate> {
        let slot = self.rooms.get(room_id)?.slots.get(event_type)?.get(state_key)?;
        Some(&slot.current)
    }

    /// True when the event was current in the slot and no longer is.
    pub fn was_replaced(
        &self,
        room_id: &str,
        event_type: &str,
        state_key: &str,
        event_id: &str,
    ) -> bool {
        let slots = self.rooms.get(room_id).and_then(|room| room.slots.get(event_type));
        let slot = slots.and_then(|slots| slots.get(state_key));
        slot.is_some_and(|slot| slot.replaced.iter().any(|replaced| replaced == event_id))
    }

    /// Reads the flag from the content of an `m.room.encryption` event. Once on, it stays on.
    pub fn observe_encryption(&mut self, room_id: &str, content: &str) -> FlagChange {
        match (is_flagged(content), self.encrypts_state(room_id)) {
            (true, _) => {
                self.rooms.or_default(room_id.to_owned()).encrypts_state = true;
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

    /// The slots of a room for which an encrypted event is known: type, state key, event.
    pub fn slots(&self, room_id: &str) -> impl Iterator<Item = (&str, &str, &Candidate)> {
        self.all_slots(room_id)
            .map(|(event_type, state_key, slot)| (event_type, state_key, &slot.current))
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

    /// A room's stored form: `{"flag", "flag_at" where known, "slots": [[type, state key, event id, time, session, index,
    /// [replaced event ids], author's order], …], "redacted": [event ids]}`; the order, where there is
    /// one: `[counter, time, highest counter, its time]`.
    pub fn stored_room(&self, room_id: &str) -> String {
        let mut slots = Vec::new();
        for (event_type, state_key, slot) in self.all_slots(room_id) {
            let Candidate { event_id, origin_server_ts, session_id, message_index, order } =
                &slot.current;
            let replaced: Vec<String> = slot.replaced.iter().map(|id| quoted(id)).collect();
            slots.push(format!(
                "[{},{},{},{origin_server_ts},{},{message_index},[{}]{}]",
                quoted(event_type),
                quoted(state_key),
                quoted(event_id),
                quoted(session_id),
                replaced.join(","),
                stored_order(*order, slot.highest),
            ));
        }
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

    fn all_slots(&self, room_id: &str) -> impl Iterator<Item = (&str, &str, &Slot)> {
        self.rooms.get(room_id).into_iter().flat_map(Room::all)
    }

    /// Adds what a stored form says: the flag if either has it, and of each slot the newer event.
    ///
    /// # Errors
    ///
    /// [`StoredStateError`] when it is not what this version writes.
    pub fn restore_room(&mut self, room_id: &str, stored: &str) -> Result<(), StoredStateError> {
        let bad = |_: JsonError| StoredStateError::Format;
        let part = |key| get(stored, &[key]).map_err(bad)?.ok_or(StoredStateError::Format);
        let mut slots = Vec::new();
        for slot in elements(part("slots")?).map_err(bad)? {
            slots.push(read_slot(slot).ok_or(StoredStateError::Format)?);
        }
        let mut redacted = Vec::new();
        for id in elements(get(stored, &["redacted"]).map_err(bad)?.unwrap_or("[]")).map_err(bad)? {
            redacted.push(serde_json::from_str(id).map_err(|_| StoredStateError::Format)?);
        }
        let room = self.rooms.or_default(room_id.to_owned());
        room.encrypts_state |= part("flag")? == "true";
        let flagged_at = get(stored, &["flag_at"]).map_err(bad)?.and_then(|at| at.parse().ok());
        room.flagged_at = [room.flagged_at, flagged_at].into_iter().flatten().min();
        for (event_type, state_key, slot) in slots {
            let known = room.slots.or_default(event_type);
            match known.get(&state_key) {
                Some(ours) if ours.replaced.contains(&slot.current.event_id) => {}
                _ => drop(known.insert(state_key, slot)),
            }
        }
        for id in redacted {
            room.note_redacted(id);
        }
        Ok(())
    }
}

/// With a comma before it; nothing where no author ever gave an order.
fn stored_order(order: Option<SlotOrder>, highest: Option<SlotOrder>) -> String {
    let Some(highest) = highest else { return String::new() };
    let stored = |order: SlotOrder| format!("{},{}", order.counter, order.ts);
    format!(",[{},{}]", order.map_or_else(|| "null,null".to_owned(), stored), stored(highest))
}

fn read_order(stored: &str) -> Option<(Option<SlotOrder>, Option<SlotOrder>)> {
    let numbers: Vec<Option<u64>> =
        elements(stored).ok()?.into_iter().map(|number| number.parse().ok()).collect();
    let &[counter, ts, highest, highest_ts] = numbers.as_slice() else { return None };
    let order =
        |(counter, ts): (Option<u64>, Option<u64>)| Some(SlotOrder { counter: counter?, ts: ts? });
    Some((order((counter, ts)), order((highest, highest_ts))))
}

fn read_slot(slot: &str) -> Option<(String, String, Slot)> {
    let mut parts = elements(slot).ok()?;
    let (order, highest) = if parts.len() > 7 { read_order(parts.pop()?)? } else { (None, None) };
    let &[event_type, state_key, event_id, time, session_id, index, replaced] = parts.as_slice()
    else {
        return None;
    };
    let text = |part| serde_json::from_str::<String>(part).ok();
    let mut ids = VecDeque::new();
    for id in elements(replaced).ok()? {
        ids.push_back(text(id)?);
    }
    let current = Candidate {
        event_id: text(event_id)?,
        origin_server_ts: time.parse().ok()?,
        session_id: text(session_id)?,
        message_index: index.parse().ok()?,
        order,
    };
    Some((text(event_type)?, text(state_key)?, Slot { current, replaced: ids, highest }))
}

/// As of now: what comes with a later date counts as sent when it came.
fn dated(candidate: Candidate, clock: Option<u64>) -> Candidate {
    let clock = clock.unwrap_or(u64::MAX);
    let origin_server_ts = candidate.origin_server_ts.min(clock);
    let order = candidate.order.map(|order| SlotOrder { ts: order.ts.min(clock), ..order });
    Candidate { origin_server_ts, order, ..candidate }
}

/// Whether the content of an `m.room.encryption` event has the flag.
pub(crate) fn is_flagged(content: &str) -> bool {
    STATE_ENCRYPTION_FLAGS
        .iter()
        .any(|name| get(content, &[name]).ok().flatten().is_some_and(crate::msc4362::flag::is_on))
}

fn is_older(candidate: &Candidate, known: &Candidate) -> bool {
    if candidate.session_id == known.session_id {
        candidate.message_index < known.message_index
    } else {
        candidate.origin_server_ts.saturating_add(CLOCK_TOLERANCE_MS) < known.origin_server_ts
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const START: u64 = 1_700_000_000_000;

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
        known.restore_room("!r", &stored).unwrap();
        assert_eq!(known.stored_room("!r"), stored);
        assert_eq!(known.highest("!r", "m.room.name", "").unwrap().counter, 6);
        assert_eq!(offer(&mut known, ordered("$7", START, "u", 7)), Precedence::Current);
    }

    #[test]
    fn who_counted_less_while_another_set_it_twice_is_no_rollback() {
        let mut known = KnownState::new();
        offer(&mut known, ordered("$6", START, "s", 6));
        offer(&mut known, ordered("$7", START + 5_000, "s", 7));
        assert_eq!(offer(&mut known, ordered("$6b", START + 4_000, "t", 6)), Precedence::Current);
        assert_eq!(known.highest("!r", "m.room.name", "").unwrap().counter, 7);
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
        assert_eq!(known.current("!r", "m.room.name", "").unwrap().event_id, "$plain");
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
        known.settle("!r", "m.room.name", "", candidate)
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
            assert_eq!(known.current("!r", "m.room.name", ""), Some(one));
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
            assert_eq!(known.current("!r", "m.room.name", ""), Some(&current));
        }
        assert!(!settle(&mut KnownState::new(), current));
    }

    #[test]
    fn a_fork_settles_on_nothing_after_a_redaction() {
        let [early, late] = [candidate("$1", START, "s", 0), candidate("$2", START + 9, "t", 0)];
        let mut known = KnownState::new();
        offer(&mut known, early.clone());
        offer(&mut known, late.clone());
        known.redact("!r", "$2");
        assert!(!settle(&mut known, early));
        assert_eq!(known.current("!r", "m.room.name", ""), Some(&late));
    }

    #[test]
    fn what_a_fork_settles_on_counts_as_sent_when_it_came() {
        let [early, late] = [ordered("$1", START, "s", 5), ordered("$2", START + 9, "t", 5)];
        let mut known = KnownState::new();
        known.set_clock(START + 10_000);
        offer(&mut known, early.clone());
        offer(&mut known, late);
        assert!(settle(&mut known, early));
        let current = known.current("!r", "m.room.name", "").unwrap();
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
        known.offer_encrypted("!r", "m.room.name", "", candidate)
    }

    #[test]
    fn a_newer_event_replaces_an_older_one() {
        let mut known = KnownState::new();
        assert_eq!(offer(&mut known, candidate("$1", START, "s", 0)), Precedence::Current);
        assert_eq!(offer(&mut known, candidate("$2", START + 1, "s", 1)), Precedence::Current);
        assert_eq!(offer(&mut known, candidate("$2", START + 1, "s", 1)), Precedence::Current);
        assert_eq!(known.current("!r", "m.room.name", "").unwrap().event_id, "$2");
    }

    #[test]
    fn an_event_once_replaced_is_a_rollback() {
        let mut known = KnownState::new();
        offer(&mut known, candidate("$1", START, "s", 0));
        offer(&mut known, candidate("$2", START + 1, "t", 0));
        assert_eq!(offer(&mut known, candidate("$1", START, "s", 0)), Precedence::Rollback);
        assert_eq!(known.current("!r", "m.room.name", "").unwrap().event_id, "$2");
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
    fn clear_never_wins_over_encrypted() {
        let mut known = KnownState::new();
        assert_eq!(known.offer_clear("!r", "m.room.name", ""), Precedence::Current);
        offer(&mut known, candidate("$1", START, "s", 0));
        assert_eq!(known.offer_clear("!r", "m.room.name", ""), Precedence::ClearBehindEncrypted);
        assert_eq!(known.offer_clear("!r", "m.room.topic", ""), Precedence::Current);
        assert_eq!(known.offer_clear("!q", "m.room.name", ""), Precedence::Current);
    }

    #[test]
    fn the_flag_is_sticky_under_both_names() {
        let mut known = KnownState::new();
        let off = json!({"algorithm": "m.megolm.v1.aes-sha2"});
        assert_eq!(known.observe_encryption("!r", &off.to_string()), FlagChange::Off);
        for (room, name) in ["!r", "!q"].into_iter().zip(STATE_ENCRYPTION_FLAGS) {
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
            assert!(known.encrypts_state(room));
        }
        // As matrix-js-sdk reads it.
        for (value, change) in [(json!(""), FlagChange::Off), (json!("true"), FlagChange::On)] {
            let content = json!({"encrypt_state_events": value}).to_string();
            assert_eq!(known.observe_encryption("!p", &content), change);
        }
    }

    #[test]
    fn the_list_of_replaced_events_is_bounded() {
        let mut known = KnownState::new();
        for index in 0..200 {
            offer(&mut known, candidate(&format!("${index}"), START, "s", index));
        }
        let room = known.rooms.get("!r").unwrap();
        let slot = room.slots.get("m.room.name").unwrap().get("").unwrap();
        assert_eq!(slot.replaced.len(), MAX_REPLACED);
    }

    #[test]
    fn stored_and_restored_still_refuses() {
        let mut known = KnownState::new();
        known.observe_encryption("!r", &json!({"encrypt_state_events": true}).to_string());
        offer(&mut known, candidate("$1", START, "s", 0));
        offer(&mut known, candidate("$2", START, "s", 1));
        let stored = known.stored_room("!r");
        let mut restored = KnownState::new();
        restored.restore_room("!r", &stored).unwrap();
        assert_eq!(restored, known);
        assert!(restored.encrypts_state("!r"));
        assert_eq!(offer(&mut restored, candidate("$1", START, "s", 0)), Precedence::Rollback);
        assert_eq!(restored.restore_room("!r", "{"), Err(StoredStateError::Format));
    }

    #[test]
    fn another_tabs_older_form_brings_nothing_back() {
        let mut known = KnownState::new();
        offer(&mut known, candidate("$1", START, "s", 0));
        let older = known.stored_room("!r");
        offer(&mut known, candidate("$2", START, "s", 1));
        let newer = known.stored_room("!r");
        known.restore_room("!r", &older).unwrap();
        assert_eq!(known.current("!r", "m.room.name", "").unwrap().event_id, "$2");
        let mut other = KnownState::new();
        offer(&mut other, candidate("$1", START, "s", 0));
        other.restore_room("!r", &newer).unwrap();
        assert_eq!(other.current("!r", "m.room.name", "").unwrap().event_id, "$2");
    }
}
