//! The façade's other half: requests that write, keys, and what is sent without being asked for.

use super::StateEngine;
use crate::error::EngineError;
use crate::flow::convert::{self, Conversion};
use crate::flow::pending::{self, Upgrade};
use crate::flow::plan_write::{self, CreatePlan, Plan, WriteRoute};
use crate::flow::reencrypt::{self, Reencryption, Repeated};
use crate::flow::share_keys::{self, MoreShares, SessionView};
use crate::ids::{EventId, RoomId, SessionId, Slot, TypeAndKey, UserId};
use crate::model::invite_state::{self, InvitePreview};
use crate::model::outbound::Outgoing;
use crate::model::pending::{PendingId, PendingView};
use crate::paths::Request;

impl StateEngine {
    /// Which of the plans a request of the page needs.
    #[must_use]
    pub fn route_write(&self, request: Request<'_>) -> WriteRoute {
        plan_write::route_write(&self.model, request)
    }

    /// A `PUT` of state, before it is sent.
    pub fn plan_put(&self, request: Request<'_>, body: &[u8]) -> Plan {
        plan_write::plan_put(&self.model, request, body)
    }

    /// A `createRoom`, before it is sent. `consent` is the person's answer to
    /// [`CreatePlan::Ask`]: `yes` or `no`.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotWriter`]; [`EngineError::Input`] when the body is no JSON.
    pub fn plan_create(
        &mut self,
        body: &[u8],
        now: u64,
        consent: Option<&str>,
    ) -> Result<CreatePlan, EngineError> {
        plan_write::plan_create(&mut self.model, body, now, consent)
    }

    /// Begins to say who may read a room, before [`StateEngine::need_session`].
    ///
    /// # Errors
    ///
    /// [`EngineError::NotWriter`].
    pub fn begin_targets(&mut self, room: RoomId<'_>) -> Result<(), EngineError> {
        share_keys::begin_targets(&mut self.model, room)
    }

    /// Further users who may read the room, with their devices: a room may have ten thousand, and a
    /// step of the page a few milliseconds. `[{"userId", "devices": [{"deviceId", "curve25519",
    /// "crossSigned", "verified", "blocked"}]}]`.
    ///
    /// # Errors
    ///
    /// [`EngineError`] where it was not begun, or the text is not that.
    pub fn add_targets(&mut self, room: RoomId<'_>, targets: &str) -> Result<(), EngineError> {
        share_keys::add_targets(&mut self.model, room, targets)
    }

    /// The session to encrypt a room's state with, and who must get its key: of those that were added,
    /// or of the request's own `members` and `targets`. Makes or replaces it where that is due; with
    /// `"keeps": true` neither for its age nor for its use, which only what somebody sets anew asks
    /// for. With `"sharesOnly": true` nothing is going to be encrypted, so one of an earlier run of the
    /// browser will do. Not all devices are named at once: [`StateEngine::more_shares`].
    ///
    /// # Errors
    ///
    /// [`EngineError`] where this tab or the device cannot encrypt, or the text is not what it
    /// should be.
    pub fn need_session(&mut self, json: &str) -> Result<SessionView, EngineError> {
        share_keys::need_session(&mut self.model, json)
    }

    /// Further devices that must get the key of the session that was asked for last.
    ///
    /// # Errors
    ///
    /// [`EngineError`] for another session than the one of now.
    pub fn more_shares(&mut self, session: SessionId<'_>) -> Result<MoreShares, EngineError> {
        share_keys::more_shares(&mut self.model, session)
    }

    /// The page's own crypto has the session.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotWriter`] or [`EngineError::NoSession`].
    pub fn imported(&mut self, session: SessionId<'_>) -> Result<(), EngineError> {
        share_keys::imported(&mut self.model, session)
    }

    /// These devices have been sent the key: `[{"userId", "deviceId"}]`. Others than were to get it
    /// are passed over.
    ///
    /// # Errors
    ///
    /// [`EngineError`] for another session than the one of now, or a text that is no such list.
    pub fn shared(&mut self, session: SessionId<'_>, devices: &str) -> Result<(), EngineError> {
        share_keys::shared(&mut self.model, session, devices)
    }

    /// What this device's key is to sign of an event that is encrypted next, so that nobody has to ask
    /// who gave the session's key and when; `None` where it goes unsigned. `now`: milliseconds since
    /// the epoch.
    pub fn text_to_sign(
        &mut self,
        room: RoomId<'_>,
        slot: TypeAndKey<'_>,
        content: &str,
        now: u64,
    ) -> Option<String> {
        share_keys::text_to_sign(&mut self.model, &Slot::new(room, slot), content, now)
    }

    /// The device's signature under that text, in unpadded base64.
    pub fn add_signature(&mut self, signature: &str) {
        if let Some(signing) = &mut self.model.signing {
            signing.sign(signature);
        }
    }

    /// Encrypts one state event; the ticket gives it out once its index is stored.
    ///
    /// # Errors
    ///
    /// [`EngineError`]; nothing was used up then.
    pub fn encrypt(
        &mut self,
        room: RoomId<'_>,
        slot: TypeAndKey<'_>,
        content: &str,
    ) -> Result<u32, EngineError> {
        Ok(share_keys::encrypt(&mut self.model, &Slot::new(room, slot), content)?.ticket)
    }

    /// Encrypts the event `base` of [`StateEngine::reencrypt`] once more.
    ///
    /// # Errors
    ///
    /// As of [`StateEngine::encrypt`].
    pub fn encrypt_again(
        &mut self,
        base: EventId<'_>,
        slot: TypeAndKey<'_>,
        content: &str,
    ) -> Result<u32, EngineError> {
        let slot = Slot::new(RoomId(base.room_id), slot);
        let encrypted = share_keys::encrypt(&mut self.model, &slot, content)?;
        let share_keys::Encrypted { ticket, session_id, message_index } = encrypted;
        let repeated = Repeated { content, session_id, message_index };
        reencrypt::follow(&mut self.model, slot, base.id, repeated);
        Ok(ticket)
    }

    /// The encrypted event, once; after its index was stored.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotStored`]: the ticket stays good. [`EngineError::Unknown`], also where its
    /// session could not be stored.
    pub fn take_encrypted(&mut self, ticket: u32) -> Result<Outgoing, EngineError> {
        share_keys::take_encrypted(&mut self.model, ticket)
    }

    /// Rooms with an outbound session.
    #[must_use]
    pub fn outbound_rooms(&self) -> Vec<String> {
        self.model.outbound.iter().map(|(room_id, _)| room_id.clone()).collect()
    }

    /// Current state that this device is to encrypt once more: its own after a rotation; that of
    /// others when it is its turn. `json`: `{"members": [joined user ids], "now"}`.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is not that.
    pub fn reencrypt(&mut self, room: RoomId<'_>, json: &str) -> Result<Reencryption, EngineError> {
        reencrypt::reencrypt(&mut self.model, room, json)
    }

    /// What "encrypt this room's name" takes. `state` is a JSON array of all the room's state events
    /// as the client has them, and of those that the server has in their place.
    ///
    /// # Errors
    ///
    /// [`EngineError`] when the device is not known or the text is no array.
    pub fn convert_room(
        &mut self,
        room: RoomId<'_>,
        state: &str,
    ) -> Result<Conversion, EngineError> {
        convert::convert_room(&mut self.model, room, state)
    }

    /// The room was made: it is none of those that others wait for. Nothing waited for it where the
    /// id is not known.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotWriter`].
    pub fn created(&mut self, id: &str, room: RoomId<'_>) -> Result<(), EngineError> {
        pending::created(&mut self.model, PendingId(id), room)
    }

    /// The server did not make the room.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotWriter`].
    pub fn create_failed(&mut self, id: &str) -> Result<(), EngineError> {
        pending::create_failed(&mut self.model, PendingId(id))
    }

    /// A room was upgraded: what is known of its encrypted state is to be sent to the new one too,
    /// since a server can only copy readable state.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotWriter`].
    pub fn upgraded(&mut self, upgrade: Upgrade<'_>, now: u64) -> Result<(), EngineError> {
        pending::upgraded(&mut self.model, upgrade, now)
    }

    /// Everything that still must be sent, oldest first.
    pub fn pending_writes(&self) -> Vec<PendingView> {
        self.model.pending.all()
    }

    /// One of the events is on the server.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotWriter`].
    pub fn pending_sent(&mut self, id: &str, slot: TypeAndKey<'_>) -> Result<(), EngineError> {
        pending::sent(&mut self.model, PendingId(id), slot)
    }

    /// Whether what waits under this id is on disk.
    #[must_use]
    pub fn is_pending_stored(&self, id: &str) -> bool {
        self.model.is_pending_stored(id)
    }

    /// What to tell the devices of a user who is being invited; `None` when there is nothing.
    pub fn invite_preview(&self, room_id: &str) -> Option<InvitePreview> {
        let states = &self.model.states;
        let is_encrypted = states.known().encrypts_state(room_id);
        // What is told is vouched for.
        let vouched = |event_type: &str| {
            states.memory().sure(RoomId(room_id), TypeAndKey::single(event_type))
        };
        is_encrypted.then(|| invite_state::message(room_id, vouched))?
    }

    /// A decrypted to-device message of that type. `sender` is who the Olm channel says.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the content is none, or there is no room for it.
    pub fn add_invite_preview(
        &mut self,
        sender: UserId<'_>,
        content: &str,
    ) -> Result<(), EngineError> {
        let added = self.model.invites.add(sender, content, &mut self.model.journal);
        added.map_err(|_| EngineError::Input("invite"))
    }
}
