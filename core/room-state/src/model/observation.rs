//! What one flow has seen that another has to know: the façade hands it on.

use crate::decrypt::decrypt::Missing;
use crate::ids::EventId;
use crate::index::events::FoundState;
use crate::model::in_flight::Arrival;
use mantle_wire::json::get_str;

/// An encrypted state event that cannot be decrypted yet.
#[derive(Debug)]
pub(crate) struct Undecryptable {
    pub(crate) room_id: String,
    pub(crate) event_id: String,
    /// The whole event, JSON.
    pub(crate) event: String,
    pub(crate) state_key: String,
    pub(crate) sender: String,
    pub(crate) session_id: String,
    pub(crate) ts: u64,
    pub(crate) missing: Missing,
    pub(crate) arrival: Arrival,
}

impl Undecryptable {
    /// Of an event that stands in `body`.
    pub(crate) fn of(
        event: EventId<'_>,
        found: &FoundState,
        body: &[u8],
        (missing, arrival): (Missing, Arrival),
    ) -> Self {
        let session_id = get_str(found.content(body), &["session_id"]).ok().flatten();
        Self {
            room_id: event.room_id.to_owned(),
            event_id: event.id.to_owned(),
            event: found.text(body).to_owned(),
            state_key: found.state_key.clone(),
            sender: found.sender.clone(),
            session_id: session_id.unwrap_or_default(),
            ts: found.origin_server_ts.unwrap_or_default(),
            missing,
            arrival,
        }
    }
}

/// See the module. In the order in which it was seen.
#[derive(Debug)]
pub(crate) enum Observation {
    /// It is to be tried again when what it lacks is there.
    Undecryptable(Box<Undecryptable>),
    /// The event is a slot's current one: nothing is to be tried any more.
    Current { room_id: String, event_id: String },
    /// The event is over.
    Redacted {
        room_id: String,
        event_id: String,
        /// A clear event without content, where it was a slot's current one: the running client may
        /// hold that.
        emptied: Option<String>,
    },
}
