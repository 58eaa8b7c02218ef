//! What the page's glue is to supply.

use serde::Serialize;

/// A Megolm session of a room.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionNeed {
    /// The room.
    pub room_id: String,
    /// The session.
    pub session_id: String,
}

/// What the page's glue is to supply, as far as it can.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Needs {
    /// For [`StateEngine::open`](crate::StateEngine::open); 0 where it is not about one response.
    pub answer: u32,
    /// Its response is not looked at as a whole yet, so nothing is named
    /// ([`StateEngine::inspect_more`](crate::StateEngine::inspect_more)).
    pub more: bool,
    /// Sessions to export.
    pub sessions: Vec<SessionNeed>,
    /// Users whose devices to list.
    pub owners: Vec<String>,
    /// Rooms whose levels and encryption to tell.
    pub rooms: Vec<String>,
    /// Rooms of whose members all devices are wanted.
    pub member_devices: Vec<String>,
}
