//! Every (session, index) stands for one event only; and what that says of the order of events.
//!
//! A session's sender device counts on with each event and nobody else can: of two events of one session in
//! one slot (type and state key) the one with the higher index is the newer. And an event keeps the
//! earliest date it was ever seen with, so that no server can make an old one new later.

use crate::ids::{RoomId, SessionId, TypeAndKey};
use crate::sorted::Map;
use mantle_wire::json::{elements, exact_string, quoted};
use std::str::FromStr;
use thiserror::Error;

/// How many indices of a room are remembered. A member who fills this up gains nothing: what falls
/// out are their own sessions' lowest indices or the room's first sessions, long replaced.
const MAX_INDICES: usize = 2_000;

/// A stored form that is not what this version writes.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoredStateError {
    /// Not the JSON this version writes.
    #[error("the stored room state cannot be read")]
    Format,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    event_id: String,
    // None where an earlier Mantle has stored it.
    slot: Option<u32>,
    // Milliseconds since the epoch; none before a date was seen.
    date: Option<u64>,
}

impl Seen {
    /// `[index, event id, slot, date]`; what is not known is left out or `null`.
    fn stored(&self, index: u32) -> String {
        let event_id = quoted(&self.event_id);
        match (self.slot, self.date) {
            (None, None) => format!("[{index},{event_id}]"),
            (slot, date) => {
                let number = |number: Option<String>| number.unwrap_or_else(|| "null".to_owned());
                let slot = number(slot.map(|slot| slot.to_string()));
                let date = number(date.map(|date| date.to_string()));
                format!("[{index},{event_id},{slot},{date}]")
            }
        }
    }

    fn read(parts: &[&str]) -> Option<(u32, Self)> {
        let (index, event_id, slot, date) = match *parts {
            [index, event_id] => (index, event_id, "null", "null"),
            [index, event_id, slot, date] => (index, event_id, slot, date),
            _ => return None,
        };
        let seen =
            Self { event_id: exact_string(event_id)?, slot: number(slot)?, date: number(date)? };
        Some((index.parse().ok()?, seen))
    }
}

/// A number, or `null` where it is not known.
fn number<T: FromStr>(text: &str) -> Option<Option<T>> {
    if text == "null" { Some(None) } else { text.parse().ok().map(Some) }
}

/// A slot in four bytes (FNV-1a). Two slots with one number are confused only within one session,
/// whose sender device could as well send them in that order.
fn slot_number(slot: TypeAndKey<'_>) -> u32 {
    let bytes = slot.event_type.bytes().chain([0]).chain(slot.state_key.bytes());
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Room {
    // Session, then index.
    sessions: Map<String, Map<u32, Seen>>,
    // Sessions, oldest first.
    order: Vec<String>,
    count: usize,
}

/// Which event each message index was seen in. Holds ids only; keep its stored form across reloads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenIndices(Map<String, Room>);

impl SeenIndices {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds an index to an event, which sets the state of that type and state key. False when it is
    /// bound to another event already.
    pub(crate) fn bind(
        &mut self,
        (session, index): (SessionId<'_>, u32),
        event_id: &str,
        slot: TypeAndKey<'_>,
    ) -> bool {
        let slot = Some(slot_number(slot));
        self.add(session, index, Seen { event_id: event_id.to_owned(), slot, date: None })
    }

    fn add(&mut self, session: SessionId<'_>, index: u32, seen: Seen) -> bool {
        let room = self.0.or_default(session.room_id.to_owned());
        if !room.sessions.contains_key(session.id) {
            room.order.push(session.id.to_owned());
        }
        let indices = room.sessions.or_default(session.id.to_owned());
        if let Some(known) = indices.get_mut(&index) {
            let is_same = known.event_id == seen.event_id;
            if is_same {
                known.slot = known.slot.or(seen.slot);
                known.date = [known.date, seen.date].into_iter().flatten().min();
            }
            return is_same;
        }
        indices.insert(index, seen);
        room.count += 1;
        room.trim();
        true
    }

    /// The earliest date that the event of an index was seen with, this one included; and whether
    /// that is new.
    pub(crate) fn date(
        &mut self,
        (session, index): (SessionId<'_>, u32),
        date: u64,
    ) -> (u64, bool) {
        let room = self.0.get_mut(session.room_id);
        let indices = room.and_then(|room| room.sessions.get_mut(session.id));
        let Some(seen) = indices.and_then(|indices| indices.get_mut(&index)) else {
            return (date, false);
        };
        let earliest = seen.date.map_or(date, |seen| seen.min(date));
        let is_new = seen.date.replace(earliest) != Some(earliest);
        (earliest, is_new)
    }

    /// True when a later event of the same session was seen for that type and state key.
    pub(crate) fn is_behind(
        &self,
        (session, index): (SessionId<'_>, u32),
        slot: TypeAndKey<'_>,
    ) -> bool {
        let slot = Some(slot_number(slot));
        let indices = self.0.get(session.room_id).and_then(|room| room.sessions.get(session.id));
        let mut indices = indices.into_iter().flat_map(Map::iter);
        indices.any(|(other, seen)| *other > index && seen.slot == slot)
    }

    /// The number of indices remembered of a room; it grows when something is to be stored.
    pub(crate) fn count(&self, room_id: &str) -> usize {
        self.0.get(room_id).map_or(0, |room| room.count)
    }

    /// The highest index of a session that an event was seen with.
    pub(crate) fn highest(&self, session: SessionId<'_>) -> Option<u32> {
        self.0.get(session.room_id)?.sessions.get(session.id)?.keys().max().copied()
    }

    /// Forgets a room the user left for good.
    pub fn forget_room(&mut self, room_id: &str) {
        self.0.remove(room_id);
    }

    /// A room's stored form: sessions in their order, `[[id, [[index, event id, slot,
    /// date], …]], …]`.
    pub fn stored_room(&self, room_id: &str) -> String {
        let mut sessions = Vec::new();
        let room = self.0.get(room_id);
        for id in room.iter().flat_map(|room| room.order.iter()) {
            let indices: Vec<String> = room
                .and_then(|room| room.sessions.get(id))
                .into_iter()
                .flat_map(|indices| indices.iter())
                .map(|(index, seen)| seen.stored(*index))
                .collect();
            sessions.push(format!("[{},[{}]]", quoted(id), indices.join(",")));
        }
        format!("[{}]", sessions.join(","))
    }

    /// Adds what a stored form says to what is known; on contradiction the known stays.
    ///
    /// # Errors
    ///
    /// [`StoredStateError`] when it is not what this version writes.
    pub fn restore_room(&mut self, room: RoomId<'_>, stored: &str) -> Result<(), StoredStateError> {
        self.read_room(room, stored).ok_or(StoredStateError::Format)
    }

    fn read_room(&mut self, room: RoomId<'_>, stored: &str) -> Option<()> {
        for session in elements(stored).ok()? {
            let parts = elements(session).ok()?;
            let &[id, indices] = parts.as_slice() else { return None };
            let id = exact_string(id)?;
            for index in elements(indices).ok()? {
                let (index, seen) = Seen::read(&elements(index).ok()?)?;
                self.add(SessionId { room_id: room.0, id: &id }, index, seen);
            }
        }
        Some(())
    }
}

impl Room {
    fn trim(&mut self) {
        if self.count <= MAX_INDICES {
            return;
        }
        if let [oldest, _, ..] = self.order.as_slice() {
            self.count -= self.sessions.remove(oldest).map_or(0, |indices| indices.len());
            self.order.remove(0);
        } else if let Some(indices) = self.sessions.values_mut().next() {
            indices.pop_first();
            self.count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: TypeAndKey<'_> = TypeAndKey::single("m.room.name");

    fn session<'a>(room_id: &'a str, id: &'a str) -> SessionId<'a> {
        SessionId { room_id, id }
    }

    fn bind(
        seen: &mut SeenIndices,
        room_id: &str,
        session_id: &str,
        index: u32,
        event_id: &str,
    ) -> bool {
        seen.bind((session(room_id, session_id), index), event_id, NAME)
    }

    #[test]
    fn an_index_belongs_to_one_event() {
        let mut seen = SeenIndices::new();
        assert!(bind(&mut seen, "!r", "s", 0, "$a"));
        assert!(bind(&mut seen, "!r", "s", 0, "$a"));
        assert!(!bind(&mut seen, "!r", "s", 0, "$b"));
        assert!(bind(&mut seen, "!r", "s", 1, "$b"));
        assert!(bind(&mut seen, "!r", "t", 0, "$b"));
        assert!(bind(&mut seen, "!q", "s", 0, "$b"));
        seen.forget_room("!r");
        assert!(bind(&mut seen, "!r", "s", 0, "$b"));
    }

    #[test]
    fn stored_and_restored_is_the_same() {
        let mut seen = SeenIndices::new();
        bind(&mut seen, "!r", "s", 4_000_000_000, "$a");
        bind(&mut seen, "!r", "a", 0, "$b");
        assert_eq!(
            seen.date((session("!r", "a"), 0), 1_700_000_000_000),
            (1_700_000_000_000, true)
        );
        let stored = seen.stored_room("!r");
        assert_eq!(
            stored,
            r#"[["s",[[4000000000,"$a",509799242,null]]],["a",[[0,"$b",509799242,1700000000000]]]]"#,
            "the stored form is a contract"
        );
        let mut restored = SeenIndices::new();
        restored.restore_room(RoomId("!r"), &stored).unwrap();
        assert_eq!(restored, seen);
        assert!(!bind(&mut restored, "!r", "a", 0, "$c"));
        assert!(restored.restore_room(RoomId("!r"), "{").is_err());
        assert!(restored.restore_room(RoomId("!r"), r#"[["s",[[0,"$x",1]]]]"#).is_err());
    }

    #[test]
    fn the_stored_form_without_order_is_still_read() {
        let stored = r#"[["s",[[4000000000,"$a"]]],["a",[[0,"$b"]]]]"#;
        let mut seen = SeenIndices::new();
        seen.restore_room(RoomId("!r"), stored).unwrap();
        assert_eq!(seen.stored_room("!r"), stored);
        assert!(!bind(&mut seen, "!r", "a", 0, "$c"));
        assert!(!seen.is_behind((session("!r", "s"), 3), NAME), "its slot is not known");
        assert!(bind(&mut seen, "!r", "s", 4_000_000_000, "$a"));
        assert!(seen.is_behind((session("!r", "s"), 3), NAME));
    }

    #[test]
    fn the_earliest_date_counts() {
        let mut seen = SeenIndices::new();
        bind(&mut seen, "!r", "s", 0, "$a");
        assert_eq!(seen.date((session("!r", "s"), 0), 50), (50, true));
        assert_eq!(seen.date((session("!r", "s"), 0), 90), (50, false));
        assert_eq!(seen.date((session("!r", "s"), 0), 20), (20, true));
        assert_eq!(seen.date((session("!r", "s"), 1), 7), (7, false), "of what was not seen");
    }

    #[test]
    fn what_is_behind_is_so_in_its_own_slot_and_session() {
        let mut seen = SeenIndices::new();
        bind(&mut seen, "!r", "s", 5, "$a");
        assert!(seen.is_behind((session("!r", "s"), 4), NAME));
        for (session, index, slot) in [
            ("s", 5, NAME),
            ("s", 6, NAME),
            ("t", 4, NAME),
            ("s", 4, TypeAndKey::single("m.room.topic")),
            ("s", 4, TypeAndKey { event_type: "m.room.name", state_key: "x" }),
            ("s", 4, TypeAndKey { event_type: "m.room.nam", state_key: "e" }),
        ] {
            let is_behind = seen.is_behind((self::session("!r", session), index), slot);
            assert!(!is_behind, "{session} {index} {slot:?}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut seen = SeenIndices::new();
        bind(&mut seen, "!r", "first", 0, "$first");
        for index in 0..5_000 {
            bind(&mut seen, "!r", "s", index, &format!("${index}"));
        }
        assert_eq!(seen.count("!r"), MAX_INDICES);
        assert!(!bind(&mut seen, "!r", "s", 4_999, "$other"));
    }
}
