//! Names in one room, which the running client holds inside people's member events.

use super::{Retry, id};
use crate::decrypt::decrypt::Missing;
use crate::error::EngineError;
use crate::ids::RoomId;
use crate::index::events::{ENCRYPTED_TYPE, find_state};
use crate::model::Model;
use crate::model::in_flight::Arrival;
use crate::model::observation::Undecryptable;
use crate::msc4362::member_profile::carried;
use crate::sorted::Set;
use mantle_wire::json::elements;

impl Retry {
    /// Current `m.room.member` events of a room: a JSON array. What they carry waits like encrypted
    /// state. The client's word for what is current says nothing of what came first, so order is a
    /// matter of what stands inside alone.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is no array.
    pub(crate) fn add_member_profiles(
        &mut self,
        model: &Model,
        room: RoomId<'_>,
        events: &str,
    ) -> Result<(), EngineError> {
        let all: Vec<String> = elements(events)?.into_iter().filter_map(carried).collect();
        let list = format!("[{}]", all.join(","));
        let list = list.as_bytes();
        let found = find_state(list, ENCRYPTED_TYPE);
        let slots: Set<String> = found.iter().map(|found| found.state_key.clone()).collect();
        let ids: Set<String> = found.iter().filter_map(|found| found.event_id.clone()).collect();
        self.waiting.remove_profiles(room.0, &slots, &ids);
        for found in found {
            let Some(event_id) = found.event_id.clone() else { continue };
            let key = (room.0.to_owned(), event_id);
            if !model.states.known().is_redacted(id(&key)) {
                let why = (Missing::Session, Arrival::default());
                self.wait(Undecryptable::of(id(&key), &found, list, why));
            }
        }
        Ok(())
    }
}
