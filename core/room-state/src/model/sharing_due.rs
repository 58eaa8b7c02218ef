//! Rooms in which something is to be done about keys, and when.

use serde::Serialize;

use crate::ids::RoomId;
use crate::sorted::{Bounded, Map};
use mantle_wire::json::get_str;

/// The least time between two sessions of a room that are made because somebody has gone, or come
/// who may not have the key of the one before.
const RENEWAL_MS: u64 = 20_000;
/// Rooms of which it is known when their session was renewed.
const MAX_RENEWED: usize = 1_024;
/// Memberships of a room of which a sync told.
const MAX_MOVED: usize = 1_000;

/// A room where members or devices changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomDue {
    /// The room.
    pub room_id: String,
    /// `membership`, `devices`, `stale` (something waits to be encrypted once more) or `name` (one's
    /// own has come back).
    pub why: &'static str,
    /// What the page's client is to know first.
    pub members: Vec<Moved>,
}

/// What a sync said of a member last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// Who.
    pub user_id: String,
    /// `join`, `invite`, `knock`, `leave` or `ban`.
    pub membership: String,
}

/// Why a room is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// A sync told of members.
    Membership,
    /// Devices of its people changed.
    Devices,
    /// Something waits to be encrypted once more.
    Stale,
    /// One's own name has come back.
    Name,
}

impl Due {
    const fn text(self) -> &'static str {
        match self {
            Self::Membership => "membership",
            Self::Devices => "devices",
            Self::Stale => "stale",
            Self::Name => "name",
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct SharingDue {
    rooms: Map<String, Due>,
    // By room and user: memberships of which a sync told.
    moved: Map<String, Bounded<String, String>>,
    // By room: when a session was made last for such a reason.
    renewed: Bounded<String, u64>,
    // By room: when the next one is due.
    postponed: Map<String, u64>,
}

impl SharingDue {
    pub(crate) const fn new() -> Self {
        Self {
            rooms: Map::new(),
            moved: Map::new(),
            renewed: Bounded::new(MAX_RENEWED, usize::MAX),
            postponed: Map::new(),
        }
    }

    /// The room is to be looked at; members count for more than what was before.
    pub(crate) fn note(&mut self, room_id: &str, why: Due) {
        if why == Due::Membership {
            self.rooms.insert(room_id.to_owned(), why);
        } else {
            self.rooms.or_insert_with(room_id.to_owned(), || why);
        }
    }

    /// Rooms noted since the last call, with what syncs told of their members.
    pub(crate) fn take(&mut self) -> Vec<RoomDue> {
        std::mem::take(&mut self.rooms)
            .into_iter()
            .map(|(room_id, why)| {
                let moved = self.moved.get(&room_id).into_iter().flat_map(Bounded::iter);
                let members = moved
                    .map(|(user_id, membership)| Moved {
                        user_id: user_id.clone(),
                        membership: membership.clone(),
                    })
                    .collect();
                RoomDue { room_id, why: why.text(), members }
            })
            .collect()
    }

    /// What a sync says of a member: the page's own client takes its time to know it.
    pub(crate) fn note_moved(&mut self, room: RoomId<'_>, member: &Member<'_>) {
        let Ok(Some(membership)) = get_str(member.content, &["membership"]) else { return };
        let moved =
            self.moved.or_insert_with(room.0.to_owned(), || Bounded::new(MAX_MOVED, usize::MAX));
        moved.insert(member.user_id.to_owned(), membership, 0);
    }

    /// True when the last that was heard of a user is that they are no member any more.
    pub(crate) fn is_away(&self, room: RoomId<'_>, user_id: &str) -> bool {
        self.moved
            .get(room.0)
            .and_then(|moved| moved.get(user_id))
            .is_some_and(|membership| matches!(membership.as_str(), "leave" | "ban"))
    }

    /// Whether the room's session is to be renewed now because somebody has gone or come. Those who do
    /// so one after the other cost the room one session, where what is sent `can_wait`.
    pub(crate) fn renews(&mut self, room_id: &str, now: u64, can_wait: bool) -> bool {
        let again_at = self.renewed.get(room_id).map_or(0, |at| at.saturating_add(RENEWAL_MS));
        let is_soon = again_at > now && again_at - now <= RENEWAL_MS;
        if can_wait && is_soon {
            self.postponed.insert(room_id.to_owned(), again_at);
            return false;
        }
        self.postponed.remove(room_id);
        self.renewed.insert(room_id.to_owned(), now, 0);
        true
    }

    /// When the renewal that was put off is due, once.
    pub(crate) fn take_postponed(&mut self, room_id: &str) -> Option<u64> {
        self.postponed.remove(room_id)
    }
}

/// A member event: whose, and its content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'a> {
    pub(crate) user_id: &'a str,
    pub(crate) content: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_leave_together_cost_one_session() {
        let mut due = SharingDue::new();
        assert!(due.renews("!r:x", 100_000, true));
        assert!(!due.renews("!r:x", 105_000, true));
        assert_eq!(due.take_postponed("!r:x"), Some(120_000));
        assert_eq!(due.take_postponed("!r:x"), None);
        // What is set anew waits for nothing; a clock that was set back holds nothing up.
        assert!(due.renews("!r:x", 106_000, false));
        assert!(due.renews("!r:x", 50_000, true));
    }

    #[test]
    fn members_count_for_more_than_what_was_before() {
        let mut due = SharingDue::new();
        due.note("!r:x", Due::Stale);
        due.note("!r:x", Due::Devices);
        due.note("!s:x", Due::Stale);
        due.note("!s:x", Due::Membership);
        let content = r#"{"membership":"leave"}"#;
        due.note_moved(RoomId("!s:x"), &Member { user_id: "@b:x", content });
        let whys: Vec<_> = due.take().iter().map(|room| (room.why, room.members.len())).collect();
        assert_eq!(whys, [("stale", 0), ("membership", 1)]);
        assert!(due.take().is_empty());
        assert!(due.is_away(RoomId("!s:x"), "@b:x") && !due.is_away(RoomId("!r:x"), "@b:x"));
    }
}
