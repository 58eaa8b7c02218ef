//! A response that something is to be done with, and its events.

use std::ops::Range;

use crate::decrypt::decrypt::{OpenError, OpenedState};
use crate::ids::{EventId, RoomId, SessionId};
use crate::index::events::{EventIndex, FoundState};
use crate::index::patch::Edit;
use crate::model::Model;
use crate::model::decryption::Role;
use crate::model::needs::{Needs, SessionNeed};
use crate::paths::room_path;
use crate::sorted::{Map, Set};
use mantle_index::sparse::Cuts;
use mantle_wire::route::Endpoint;
use mantle_wire::url::Address;

/// Changes of members, and forks, are looked for in responses up to this size; larger ones are first
/// syncs.
pub(super) const MAX_FOLLOWED_BYTES: usize = 4 * 1024 * 1024;

/// An event of a response.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) found: FoundState,
    pub(super) room_id: String,
    pub(super) role: Role,
    pub(super) session_id: String,
    pub(super) opened: Option<Result<OpenedState, OpenError>>,
    pub(super) previous: Option<OpenedState>,
}

impl Entry {
    pub(super) const fn room(&self) -> RoomId<'_> {
        RoomId(self.room_id.as_str())
    }

    /// Its id; an empty one where it has none.
    pub(super) fn id(&self) -> EventId<'_> {
        let id = self.found.event_id.as_deref().unwrap_or_default();
        EventId { room_id: &self.room_id, id }
    }

    pub(super) fn lacks_key(&self) -> bool {
        matches!(self.opened, Some(Err(OpenError::MissingSession | OpenError::MissingIndex { .. })))
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.opened, Some(Ok(_)))
    }
}

/// Where the to-device events of a response stand that the page was given before the rest of it.
type Delivered = Vec<Range<usize>>;

/// How far a response is on its way to the page. It only goes forward.
#[derive(Debug)]
pub(super) enum Stage {
    /// It came, and its events are decrypted with what is here.
    Came,
    /// The devices of all members were asked for, which is done once.
    DevicesAsked,
    /// Its events lack keys that it brings itself: the page was given those, and comes for the rest by
    /// its next sync.
    Held(Delivered),
    /// The page has come, and the events are decrypted again.
    Fetched(Delivered),
    /// For those the devices were asked for as well.
    FetchedDevicesAsked(Delivered),
}

impl Stage {
    /// Whether the devices of all members may be asked for; then they have been.
    pub(super) fn ask_devices(&mut self) -> bool {
        let next = match std::mem::replace(self, Self::DevicesAsked) {
            Self::Came => Self::DevicesAsked,
            Self::Fetched(delivered) => Self::FetchedDevicesAsked(delivered),
            asked => {
                *self = asked;
                return false;
            }
        };
        *self = next;
        true
    }

    /// Whether the page may still be given the keys first.
    pub(super) const fn may_split(&self) -> bool {
        matches!(self, Self::Came | Self::DevicesAsked)
    }

    /// The page was given these.
    pub(super) fn hold(&mut self, delivered: Delivered) {
        *self = Self::Held(delivered);
    }

    /// The page has come for the rest.
    pub(super) fn fetch(&mut self) {
        if let Self::Held(delivered) = self {
            *self = Self::Fetched(std::mem::take(delivered));
        }
    }

    /// What is to be blanked, where the page has had it; `None` for a response that comes whole.
    pub(super) fn delivered(&self) -> Option<&[Range<usize>]> {
        match self {
            Self::Came | Self::DevicesAsked => None,
            Self::Held(delivered)
            | Self::Fetched(delivered)
            | Self::FetchedDevicesAsked(delivered) => Some(delivered),
        }
    }
}

/// A look that is under way: what of a response is not sorted out yet.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) index: EventIndex,
    pub(super) objects: std::vec::IntoIter<usize>,
    // Those that are no encrypted events, and their rooms; the first so many are sorted out.
    pub(super) placed: Vec<(usize, String)>,
    pub(super) sorted: usize,
    // Rooms that have encrypted ones, or the flag.
    pub(super) rooms: Set<String>,
    // By room: what is learned from in the end.
    pub(super) facts: Map<String, Vec<Entry>>,
    pub(super) unlearned: Vec<(String, Vec<Entry>)>,
}

/// A response that something is to be done with.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) endpoint: Endpoint,
    pub(super) request_room: Option<String>,
    pub(super) since: Option<String>,
    pub(super) url: String,
    // Of a large first sync, what matters of it.
    pub(super) body: Vec<u8>,
    pub(super) cuts: Option<Cuts>,
    // While it is looked at, and its index after that.
    pub(super) look: Option<Look>,
    pub(super) index: Option<EventIndex>,
    pub(super) encrypted: Vec<Entry>,
    pub(super) clear: Vec<Entry>,
    // Stripped state of rooms of which an inviter told.
    pub(super) invites: Vec<Entry>,
    // What a browser may read as state that is encrypted here, and nobody else can read.
    pub(super) unreadable: Vec<Edit>,
    // Redacted ones that claim to be current.
    pub(super) emptied: Vec<Entry>,
    pub(super) number: u32,
    // When somebody left a room last, by room: what was sent before was for them too.
    pub(super) departed: Map<String, u64>,
    pub(super) cursor: usize,
    pub(super) stage: Stage,
    // Bytes differ from the original already.
    pub(super) has_changed: bool,
}

impl Response {
    pub(super) fn new(endpoint: Endpoint, address: &Address<'_>, url: &str, body: Vec<u8>) -> Self {
        Self {
            endpoint,
            request_room: room_path(address).map(|path| path.room_id),
            since: address.parameter("since"),
            url: url.to_owned(),
            body,
            cuts: None,
            look: None,
            index: None,
            encrypted: Vec::new(),
            clear: Vec::new(),
            invites: Vec::new(),
            unreadable: Vec::new(),
            emptied: Vec::new(),
            number: 0,
            departed: Map::new(),
            cursor: 0,
            stage: Stage::Came,
            has_changed: false,
        }
    }

    pub(super) const fn is_sync(&self) -> bool {
        matches!(self.endpoint, Endpoint::Sync | Endpoint::SlidingSync)
    }

    pub(super) fn is_initial_sync(&self) -> bool {
        Address::parse(&self.url)
            .is_some_and(|address| address.path.trim_end_matches('/').ends_with("/initialSync"))
    }

    /// Nothing is to be done with it.
    pub(super) const fn is_idle(&self) -> bool {
        self.look.is_none()
            && self.encrypted.is_empty()
            && self.clear.is_empty()
            && self.invites.is_empty()
            && self.unreadable.is_empty()
            && self.emptied.is_empty()
            && !self.has_changed
    }

    /// What is to be supplied before its events are decrypted.
    pub(super) fn needs(&self, model: &Model, id: u32) -> Needs {
        if self.look.is_some() {
            return Needs { answer: id, more: true, ..Needs::default() };
        }
        let mut sessions = Set::new();
        let mut owners = Set::new();
        let mut rooms = Set::new();
        for entry in self.encrypted.iter().filter(|entry| !entry.is_open()) {
            let session_id = &entry.session_id;
            let session = SessionId { room_id: &entry.room_id, id: session_id };
            let lacks = !model.sessions.contains(session) || entry.lacks_key();
            if !session_id.is_empty() && lacks {
                sessions.insert(SessionNeed {
                    room_id: entry.room_id.clone(),
                    session_id: session_id.clone(),
                });
            }
            if model.devices.is_to_be_looked_up(&entry.found.sender) {
                owners.insert(entry.found.sender.clone());
            }
            if entry.role != Role::Stripped && model.rooms.levels(&entry.room_id).is_none() {
                rooms.insert(entry.room_id.clone());
            }
        }
        Needs {
            answer: id,
            sessions: sessions.into_iter().collect(),
            owners: owners.into_iter().collect(),
            rooms: rooms.into_iter().collect(),
            ..Needs::default()
        }
    }

    /// Rooms of which it matters whether a member has a device any more.
    pub(super) fn rooms_of_unknown_owners(&self, model: &Model) -> Set<String> {
        self.encrypted
            .iter()
            .filter(|entry| matches!(entry.opened, Some(Err(OpenError::UnknownOwner))))
            .map(|entry| entry.room_id.clone())
            .filter(|room_id| !model.devices.is_complete(room_id))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_asked_for_once_before_the_page_has_the_keys_and_once_after() {
        let mut stage = Stage::Came;
        assert!(stage.may_split() && stage.delivered().is_none());
        assert!(stage.ask_devices() && !stage.ask_devices());
        assert!(stage.may_split(), "what was asked for says nothing of the keys");
        stage.hold(vec![3..5, 7..9]);
        assert!(!stage.may_split() && !stage.ask_devices());
        stage.fetch();
        assert!(stage.ask_devices() && !stage.ask_devices());
        stage.fetch();
        assert!(!stage.ask_devices(), "the page comes once");
        assert!(!stage.may_split());
        assert_eq!(stage.delivered(), Some(&[3..5, 7..9][..]));
    }

    #[test]
    fn what_nobody_holds_is_not_fetched() {
        let mut stage = Stage::Came;
        stage.fetch();
        assert!(stage.may_split() && stage.delivered().is_none());
    }
}
