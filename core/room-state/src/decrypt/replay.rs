//! Every (session, index) stands for one event only.

use crate::model::precedence::StoredStateError;
use crate::sorted::Map;
use mantle_wire::json::{elements, quoted};

/// How many indices of a room are remembered. A member who fills this up gains nothing: what falls
/// out are their own sessions' lowest indices or the room's first sessions, long replaced.
const MAX_INDICES: usize = 2_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Room {
    // Session, then index.
    sessions: Map<String, Map<u32, String>>,
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

    /// Binds an index to an event. False when it is bound to another event already.
    pub(crate) fn bind(
        &mut self,
        room_id: &str,
        session_id: &str,
        index: u32,
        event_id: &str,
    ) -> bool {
        let room = self.0.or_default(room_id.to_owned());
        if !room.sessions.contains_key(session_id) {
            room.order.push(session_id.to_owned());
        }
        let indices = room.sessions.or_default(session_id.to_owned());
        if let Some(known) = indices.get(&index) {
            return known == event_id;
        }
        indices.insert(index, event_id.to_owned());
        room.count += 1;
        room.trim();
        true
    }

    /// The number of indices remembered of a room; it grows when something is to be stored.
    pub(crate) fn count(&self, room_id: &str) -> usize {
        self.0.get(room_id).map_or(0, |room| room.count)
    }

    /// Forgets a room the user left for good.
    pub fn forget_room(&mut self, room_id: &str) {
        self.0.remove(room_id);
    }

    /// A room's stored form: sessions in their order, `[[id, [[index, event id], …]], …]`.
    pub fn stored_room(&self, room_id: &str) -> String {
        let mut sessions = Vec::new();
        let room = self.0.get(room_id);
        for id in room.iter().flat_map(|room| room.order.iter()) {
            let indices: Vec<String> = room
                .and_then(|room| room.sessions.get(id))
                .into_iter()
                .flat_map(|indices| indices.iter())
                .map(|(index, event_id)| format!("[{index},{}]", quoted(event_id)))
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
    pub fn restore_room(&mut self, room_id: &str, stored: &str) -> Result<(), StoredStateError> {
        self.read_room(room_id, stored).ok_or(StoredStateError::Format)
    }

    fn read_room(&mut self, room_id: &str, stored: &str) -> Option<()> {
        for session in elements(stored).ok()? {
            let parts = elements(session).ok()?;
            let &[id, indices] = parts.as_slice() else { return None };
            let id: String = serde_json::from_str(id).ok()?;
            for index in elements(indices).ok()? {
                let parts = elements(index).ok()?;
                let &[index, event_id] = parts.as_slice() else { return None };
                let event_id: String = serde_json::from_str(event_id).ok()?;
                self.bind(room_id, &id, index.parse().ok()?, &event_id);
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

    #[test]
    fn an_index_belongs_to_one_event() {
        let mut seen = SeenIndices::new();
        assert!(seen.bind("!r", "s", 0, "$a"));
        assert!(seen.bind("!r", "s", 0, "$a"));
        assert!(!seen.bind("!r", "s", 0, "$b"));
        assert!(seen.bind("!r", "s", 1, "$b"));
        assert!(seen.bind("!r", "t", 0, "$b"));
        assert!(seen.bind("!q", "s", 0, "$b"));
        seen.forget_room("!r");
        assert!(seen.bind("!r", "s", 0, "$b"));
    }

    #[test]
    fn stored_and_restored_is_the_same() {
        let mut seen = SeenIndices::new();
        seen.bind("!r", "s", 4_000_000_000, "$a");
        seen.bind("!r", "a", 0, "$b");
        let stored = seen.stored_room("!r");
        assert_eq!(
            stored, r#"[["s",[[4000000000,"$a"]]],["a",[[0,"$b"]]]]"#,
            "the stored form is a contract"
        );
        let mut restored = SeenIndices::new();
        restored.restore_room("!r", &stored).unwrap();
        assert_eq!(restored, seen);
        assert!(!restored.bind("!r", "a", 0, "$c"));
        assert!(restored.restore_room("!r", "{").is_err());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut seen = SeenIndices::new();
        seen.bind("!r", "first", 0, "$first");
        for index in 0..5_000 {
            seen.bind("!r", "s", index, &format!("${index}"));
        }
        assert_eq!(seen.count("!r"), MAX_INDICES);
        assert!(!seen.bind("!r", "s", 4_999, "$other"));
    }
}
