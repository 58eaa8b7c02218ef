//! Current events that someone can read who is gone.

use crate::ids::RoomId;
use crate::model::known::KnownState;
use crate::model::stored::texts;
use crate::sorted::Map;
use mantle_wire::json::{elements, quoted};

/// Of a room; more of its events are not followed.
const MAX_STALE: usize = 64;

/// Events by id, and since when that is known: milliseconds, 0 for not asked about yet.
pub(crate) type Stale = Map<String, u64>;

/// By room.
#[derive(Debug, Default)]
pub(crate) struct StaleEvents(Map<String, Stale>);

impl StaleEvents {
    pub(crate) fn room(&self, room_id: &str) -> Option<&Stale> {
        self.0.get(room_id)
    }

    /// True when that is new.
    pub(crate) fn mark(&mut self, room: RoomId<'_>, event_id: String) -> bool {
        let stale = self.0.or_default(room.0.to_owned());
        let is_new = stale.len() < MAX_STALE && !stale.contains_key(&event_id);
        if is_new {
            stale.insert(event_id, 0);
        }
        is_new
    }

    /// True when it was marked.
    pub(crate) fn unmark(&mut self, room: RoomId<'_>, event_id: &str) -> bool {
        let Some(stale) = self.0.get_mut(room.0) else { return false };
        let was_marked = stale.remove(event_id).is_some();
        if was_marked && stale.is_empty() {
            self.0.remove(room.0);
        }
        was_marked
    }

    /// Puts these in the place of the room's; true when they are others.
    pub(crate) fn replace(&mut self, room_id: &str, stale: Stale) -> bool {
        if self.0.get(room_id).cloned().unwrap_or_default() == stale {
            return false;
        }
        if stale.is_empty() {
            self.0.remove(room_id);
        } else {
            self.0.insert(room_id.to_owned(), stale);
        }
        true
    }

    /// True when the session encrypts something of it that is current.
    pub(crate) fn has_session(
        &self,
        room: RoomId<'_>,
        session_id: &str,
        known: &KnownState,
    ) -> bool {
        let Some(stale) = self.0.get(room.0) else { return false };
        known.slots(room.0).any(|(_, current)| {
            current.session_id == session_id && stale.contains_key(&current.event_id)
        })
    }

    /// A room's stored form: `[[event id, since]]`.
    pub(crate) fn stored_room(&self, room_id: &str) -> String {
        let all: Vec<String> = self
            .0
            .get(room_id)
            .into_iter()
            .flat_map(|stale| stale.iter())
            .map(|(event_id, since)| format!(r#"[{},"{since}"]"#, quoted(event_id)))
            .collect();
        format!("[{}]", all.join(","))
    }

    /// Adds what a stored form says; true when there is something, `None` when it is none.
    pub(crate) fn restore_room(&mut self, room: RoomId<'_>, stored: &str) -> Option<bool> {
        let mut is_due = false;
        for event in elements(stored).ok()? {
            let [event_id, since] = texts(event)?;
            self.0
                .or_default(room.0.to_owned())
                .or_insert_with(event_id, || since.parse().unwrap_or_default());
            is_due = true;
        }
        Some(is_due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomId<'_> = RoomId("!r:x");

    #[test]
    fn a_room_has_its_bound_and_what_is_there_stays() {
        let mut stale = StaleEvents::default();
        for number in 0..MAX_STALE {
            assert!(stale.mark(ROOM, format!("${number}")));
        }
        assert!(!stale.mark(ROOM, "$further".to_owned()));
        assert!(!stale.mark(ROOM, "$0".to_owned()), "known already");
        assert!(stale.mark(RoomId("!other:x"), "$further".to_owned()));
        assert_eq!(stale.room(ROOM.0).unwrap().len(), MAX_STALE);
        assert!(stale.unmark(ROOM, "$0") && !stale.unmark(ROOM, "$0"));
        assert!(stale.mark(ROOM, "$further".to_owned()));
    }

    #[test]
    fn a_reload_keeps_since_when_and_forgets_nothing_that_is_known() {
        let mut stale = StaleEvents::default();
        stale.replace(ROOM.0, [("$a".to_owned(), 7), ("$b".to_owned(), 0)].into_iter().collect());
        let stored = stale.stored_room(ROOM.0);
        let mut again = StaleEvents::default();
        assert_eq!(again.restore_room(ROOM, &stored), Some(true));
        assert_eq!(again.room(ROOM.0), stale.room(ROOM.0));
        // What this tab knows goes before what another has stored.
        assert_eq!(again.restore_room(ROOM, r#"[["$a","1"],["$c","2"]]"#), Some(true));
        let since: Vec<u64> = again.room(ROOM.0).unwrap().values().copied().collect();
        assert_eq!(since, [7, 0, 2]);
        assert_eq!(again.restore_room(ROOM, "[]"), Some(false));
        assert_eq!(again.restore_room(ROOM, r#"[["$a"]]"#), None);
        assert!(again.replace(ROOM.0, Stale::new()) && again.room(ROOM.0).is_none());
    }
}
