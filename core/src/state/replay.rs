//! Every (session, index) stands for one event only.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};
use thiserror::Error;

const STORED_VERSION: u32 = 1;

/// Which event each message index was seen in. Holds ids only; keep its stored form across reloads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenIndices(BTreeMap<String, BTreeMap<String, BTreeMap<u32, String>>>);

/// Why a stored form was not read. The caller starts with an empty one then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SeenIndicesError {
    /// Not the JSON this version writes.
    #[error("the stored message indices cannot be read")]
    Format,
    /// Written by a version this one does not know.
    #[error("the stored message indices have version {0}, this Mantle knows {STORED_VERSION}")]
    Version(u32),
}

#[derive(Serialize, Deserialize)]
struct Stored<T> {
    version: u32,
    rooms: T,
}

impl SeenIndices {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds an index to an event. False when it is bound to another event already.
    pub(super) fn bind(
        &mut self,
        room_id: &str,
        session_id: &str,
        index: u32,
        event_id: &str,
    ) -> bool {
        let sessions = self.0.entry(room_id.to_owned()).or_default();
        match sessions.entry(session_id.to_owned()).or_default().entry(index) {
            Entry::Vacant(entry) => {
                entry.insert(event_id.to_owned());
                true
            }
            Entry::Occupied(entry) => entry.get() == event_id,
        }
    }

    /// Forgets a room the user left for good.
    pub fn forget_room(&mut self, room_id: &str) {
        self.0.remove(room_id);
    }

    /// The stored form, JSON with a version.
    ///
    /// # Errors
    ///
    /// Those of serialization; none is known for this type.
    pub fn stored(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Stored { version: STORED_VERSION, rooms: &self.0 })
    }

    /// Reads the stored form.
    ///
    /// # Errors
    ///
    /// [`SeenIndicesError`].
    pub fn restore(stored: &str) -> Result<Self, SeenIndicesError> {
        let Stored { version, rooms } = serde_json::from_str::<Stored<serde_json::Value>>(stored)
            .map_err(|_| SeenIndicesError::Format)?;
        if version != STORED_VERSION {
            return Err(SeenIndicesError::Version(version));
        }
        Ok(Self(serde_json::from_value(rooms).map_err(|_| SeenIndicesError::Format)?))
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
        let stored = seen.stored().unwrap();
        assert_eq!(
            stored, r#"{"version":1,"rooms":{"!r":{"s":{"4000000000":"$a"}}}}"#,
            "the stored form is a contract"
        );
        assert_eq!(SeenIndices::restore(&stored).unwrap(), seen);
        assert!(matches!(
            SeenIndices::restore(&stored.replace(":1,", ":2,")),
            Err(SeenIndicesError::Version(2))
        ));
        assert!(matches!(SeenIndices::restore("{"), Err(SeenIndicesError::Format)));
    }
}
