//! The façade's part for names in one room.

use super::StateEngine;
use crate::error::EngineError;
use crate::ids::RoomId;
use crate::model::own_profiles::OwnProfileView;

impl StateEngine {
    /// Current `m.room.member` events of a room with [`MEMBER_PROFILE`](crate::MEMBER_PROFILE) in their
    /// content: a JSON array. [`StateEngine::retried`] gives what they carry, as events of that type
    /// under the carriers' ids.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is no array.
    pub fn add_member_profiles(
        &mut self,
        room: RoomId<'_>,
        events: &str,
    ) -> Result<(), EngineError> {
        self.retry.add_member_profiles(&self.model, room, events)
    }

    /// How this person is called in a room, where they have said so.
    #[must_use]
    pub fn own_profile(&self, room: RoomId<'_>) -> Option<OwnProfileView> {
        let profile = self.model.profiles.get(room.0)?;
        let outbound = self.model.outbound.get(room.0);
        let own = self.model.devices.own();
        let is_made_here = own.is_some_and(|own| own.curve25519() == profile.device);
        Some(OwnProfileView {
            event_id: profile.event_id.clone(),
            content_json: profile.content.clone(),
            session_id: profile.session_id.clone(),
            is_outdated: is_made_here
                && outbound.is_some_and(|outbound| outbound.session_id() != profile.session_id),
        })
    }

    /// The rooms in which they have.
    pub fn own_profiles(&self) -> Vec<&String> {
        self.model.profiles.rooms().collect()
    }

    /// They have said otherwise where everybody can read it.
    pub fn forget_own_profile(&mut self, room: RoomId<'_>) {
        self.model.profiles.forget(room, &mut self.model.journal);
    }
}
