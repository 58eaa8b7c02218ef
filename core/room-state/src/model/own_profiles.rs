//! The names and pictures that this person has taken in single rooms, to be put again where a homeserver
//! has written their member event anew without: bounded, the oldest go.

use serde::Serialize;

use crate::ids::{EventId, RoomId, is_room_id};
use crate::megolm::{PickleKey, Place, seal, unseal};
use crate::model::journal::{EntryName, Journal, Prefix};
use crate::model::stored::texts;
use crate::sorted::Bounded;
use mantle_wire::json::{get, get_str, quoted};

const MAX_ROOMS: usize = 256;
const MAX_BYTES: usize = 256 * 1024;

/// What is current in one room, as it was opened.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct OwnProfile {
    /// The member event that carried it.
    pub(crate) event_id: String,
    pub(crate) session_id: String,
    /// Curve25519 key of the device that made it; empty where that is not known.
    pub(crate) device: String,
    /// JSON; without a name and a picture it was taken back.
    pub(crate) content: String,
}

impl std::fmt::Debug for OwnProfile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("OwnProfile")
            .field("event_id", &self.event_id)
            .finish_non_exhaustive()
    }
}

/// One of them, for the page.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnProfileView {
    /// The member event that carried it: a copy in another one is read by nobody.
    pub event_id: String,
    /// Its content, JSON.
    pub content_json: String,
    /// The session it is encrypted with.
    pub session_id: String,
    /// Whether this device made it and its session of now is another: who comes from now on is not
    /// given the old one's key. What another device made is that one's to make again, or two would
    /// take turns for ever.
    pub is_outdated: bool,
}

impl std::fmt::Debug for OwnProfileView {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("OwnProfileView")
            .field("session_id", &self.session_id)
            .finish_non_exhaustive()
    }
}

/// See the module. By room.
#[derive(Debug)]
pub(crate) struct OwnProfiles(Bounded<String, OwnProfile>);

impl OwnProfiles {
    pub(crate) const fn new() -> Self {
        Self(Bounded::new(MAX_ROOMS, MAX_BYTES))
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn get(&self, room_id: &str) -> Option<&OwnProfile> {
        self.0.get(room_id)
    }

    /// Rooms with one.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(room_id, _)| room_id)
    }

    /// It is current from now on.
    pub(crate) fn note(&mut self, room: RoomId<'_>, profile: OwnProfile, journal: &mut Journal) {
        if says_nothing(&profile.content) {
            self.forget(room, journal);
            return;
        }
        if self.0.get(room.0) == Some(&profile) {
            return;
        }
        journal.touch(Prefix::Profile, room.0);
        for out in self.insert(room.0, profile) {
            journal.touch(Prefix::Profile, &out);
        }
    }

    fn insert(&mut self, room_id: &str, profile: OwnProfile) -> Vec<String> {
        let OwnProfile { event_id, session_id, device, content } = &profile;
        let cost = [room_id, event_id, session_id, device, content].map(str::len).iter().sum();
        self.0.insert(room_id.to_owned(), profile, cost)
    }

    /// There is none any more: it was taken back, or the person is gone.
    pub(crate) fn forget(&mut self, room: RoomId<'_>, journal: &mut Journal) {
        if self.0.remove(room.0).is_some() {
            journal.touch(Prefix::Profile, room.0);
        }
    }

    /// Somebody has removed an event, and so what it carried.
    pub(crate) fn redact(&mut self, event: EventId<'_>, journal: &mut Journal) {
        if self.0.get(event.room_id).is_some_and(|profile| profile.event_id == event.id) {
            self.forget(RoomId(event.room_id), journal);
        }
    }

    /// An entry's value, sealed for the entry of that name.
    pub(crate) fn value(
        &self,
        room_id: &str,
        entry: EntryName<'_>,
        key: &PickleKey,
    ) -> Option<String> {
        let OwnProfile { event_id, session_id, device, content } = self.0.get(room_id)?;
        let parts = [room_id, event_id, session_id, device, content].map(quoted);
        Some(seal(&format!("[{}]", parts.join(",")), Place { entry: entry.0, part: "" }, key))
    }

    /// Reads the entry of that name; its room, and none when it cannot be read.
    pub(crate) fn load(
        &mut self,
        value: &str,
        entry: EntryName<'_>,
        key: &PickleKey,
    ) -> Option<String> {
        let text = unseal(value, Place { entry: entry.0, part: "" }, key).ok()?;
        let [room_id, event_id, session_id, device, content] = texts(text.expose())?;
        if !is_room_id(&room_id) {
            return None;
        }
        self.insert(&room_id, OwnProfile { event_id, session_id, device, content });
        Some(room_id)
    }
}

/// Whether a content has neither a name nor a picture.
fn says_nothing(content: &str) -> bool {
    let has_name = get_str(content, &["displayname"]).ok().flatten().is_some();
    let picture = get(content, &["avatar", "file"]).ok().flatten();
    !has_name && !picture.is_some_and(|file| file.starts_with('{'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomId<'_> = RoomId("!r:x");
    const KEY: PickleKey = [7; 32];

    fn profile(number: usize, length: usize) -> OwnProfile {
        OwnProfile {
            event_id: format!("${number}"),
            session_id: "s".to_owned(),
            device: "d".to_owned(),
            content: format!(r#"{{"displayname":"{}"}}"#, "n".repeat(length)),
        }
    }

    #[test]
    fn they_have_a_bound_in_number_and_in_bytes_and_the_oldest_go() {
        for (length, most) in [(10, MAX_ROOMS), (4_000, MAX_BYTES / 4_000)] {
            let (mut profiles, mut journal) = (OwnProfiles::new(), Journal::new());
            for number in 0..MAX_ROOMS + 10 {
                let room = format!("!{number}:x");
                profiles.note(RoomId(&room), profile(number, length), &mut journal);
            }
            assert!(profiles.rooms().count() <= most);
            assert!(profiles.rooms().count() > most - 5);
            assert_eq!(profiles.get("!0:x"), None);
            assert!(profiles.get(&format!("!{}:x", MAX_ROOMS + 9)).is_some());
        }
    }

    #[test]
    fn stored_it_is_sealed_and_read_again_under_its_own_name_only() {
        let (mut profiles, mut journal) = (OwnProfiles::new(), Journal::new());
        profiles.note(ROOM, profile(1, 5), &mut journal);
        let stored = profiles.value(ROOM.0, EntryName("profile/1"), &KEY).unwrap();
        assert!(!stored.contains("nnnnn"));
        let mut again = OwnProfiles::new();
        assert_eq!(again.load(&stored, EntryName("profile/2"), &KEY), None);
        assert_eq!(again.load(&stored, EntryName("profile/1"), &KEY), Some(ROOM.0.to_owned()));
        assert_eq!(again.get(ROOM.0), profiles.get(ROOM.0));
    }

    #[test]
    fn taken_back_or_removed_it_is_over() {
        let (mut profiles, mut journal) = (OwnProfiles::new(), Journal::new());
        profiles.note(ROOM, profile(1, 5), &mut journal);
        profiles.redact(EventId { room_id: ROOM.0, id: "$2" }, &mut journal);
        assert!(profiles.get(ROOM.0).is_some());
        profiles.redact(EventId { room_id: ROOM.0, id: "$1" }, &mut journal);
        assert_eq!(profiles.get(ROOM.0), None);
        profiles.note(ROOM, profile(2, 5), &mut journal);
        let content = r#"{"org.mantle.padding":"  "}"#.to_owned();
        profiles.note(ROOM, OwnProfile { content, ..profile(3, 5) }, &mut journal);
        assert_eq!(profiles.get(ROOM.0), None);
        assert_eq!(profiles.value(ROOM.0, EntryName("profile/1"), &KEY), None);
    }

    #[test]
    fn a_picture_without_a_name_is_one_of_them() {
        let (mut profiles, mut journal) = (OwnProfiles::new(), Journal::new());
        for (content, is_one) in [
            (r#"{"avatar":{"file":{"url":"mxc://x/y"}}}"#, true),
            (r#"{"displayname":"n","avatar":{}}"#, true),
            (r#"{"avatar":{}}"#, false),
            (r#"{"avatar":{"file":null}}"#, false),
            (r#"{"avatar":"mxc://x/y"}"#, false),
        ] {
            let content = content.to_owned();
            profiles.note(ROOM, OwnProfile { content, ..profile(1, 5) }, &mut journal);
            assert_eq!(profiles.get(ROOM.0).is_some(), is_one);
        }
    }
}
