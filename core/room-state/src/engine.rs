//! The façade of encrypted state: what a page's requests and responses need, and what becomes of
//! them. It hands each call to its flow, and to the others what that flow has seen.
//!
//! One engine per document. It knows no clock, no network and no browser: the page's glue hands it
//! responses, keys, devices and room state, and carries out what it says. Everything that must
//! survive a reload goes through [`StateEngine::take_persist`]; nothing encrypted leaves before the
//! index it used up is stored.

mod member_profiles;
mod writes;

use crate::error::EngineError;
use crate::flow::responses::{Before, OpenStep, Responses};
use crate::flow::retry::{Retry, RetryStep, UndecryptableEvent};
use crate::flow::{pending, request_filters};
use crate::ids::{DeviceId, DeviceKeys, EventId, RoomId, TypeAndKey};
use crate::megolm::{OwnDevice, PickleKey};
use crate::model::Model;
use crate::model::needs::Needs;
use crate::model::observation::Observation;
use crate::model::settings::StateSettings;
use crate::model::sharing_due::RoomDue;
use crate::model::store::PersistBatch;
use crate::model::warnings::Problem;
use crate::paths::Request;
use mantle_wire::json;

/// See the module.
#[derive(Debug)]
pub struct StateEngine {
    model: Model,
    responses: Responses,
    retry: Retry,
}

impl StateEngine {
    /// `stored` is a JSON object of everything [`StateEngine::take_persist`] ever gave. Entries that
    /// cannot be read (another key, damage) are taken out of the store.
    ///
    /// # Errors
    ///
    /// [`EngineError::PickleKey`].
    pub fn new(pickle_key: &[u8], stored: &str) -> Result<Self, EngineError> {
        let key: PickleKey = pickle_key.try_into().map_err(|_| EngineError::PickleKey)?;
        let mut model = Model::new(key);
        model.load(stored);
        Ok(Self { model, responses: Responses::new(), retry: Retry::default() })
    }

    /// Puts settings in force.
    pub fn apply_settings(&mut self, settings: StateSettings) {
        self.model.apply_settings(settings);
    }

    /// Says which device this is: `{"userId","deviceId","curve25519","ed25519"}`. Where the store is
    /// that of another login in the same browser profile, it is forgotten.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] or [`EngineError::Device`].
    pub fn set_own_device(&mut self, json: &str) -> Result<(), EngineError> {
        let text = |key| json::get_str(json, &[key]).map(Option::unwrap_or_default);
        let device = DeviceId { user_id: &text("userId")?, id: &text("deviceId")? };
        let keys = DeviceKeys { curve25519: &text("curve25519")?, ed25519: &text("ed25519")? };
        let device = OwnDevice::new(device, keys)?;
        if self.model.devices.is_store_of_another(&device) {
            self.forget_all();
        }
        self.model.set_own_device(device);
        Ok(())
    }

    /// Says how late it is, in milliseconds since the epoch: before responses are read.
    pub fn set_clock(&mut self, now: u64) {
        self.model.states.set_clock(now);
    }

    /// Says which run of the browser this is: any text that is the same in all tabs until the browser
    /// ends, and lies on no disk. Without it, each tab encrypts with sessions of its own only.
    pub fn set_run(&mut self, run: &str) {
        self.model.outbound.set_run(run);
    }

    /// Whether [`StateEngine::set_own_device`] was called.
    #[must_use]
    pub const fn has_own_device(&self) -> bool {
        self.model.devices.own().is_some()
    }

    /// Forgets everything, the store's entries too: for a logout.
    pub fn forget_all(&mut self) {
        self.model.forget_all();
        self.responses = Responses::new();
        self.retry = Retry::default();
    }

    /// What happened since the last call, each thing once.
    pub fn problems(&mut self) -> Vec<Problem> {
        self.model.warnings.take()
    }

    /// Rooms that keys may have to be shared or rotated in, since the last call.
    pub fn sharing_due(&mut self) -> Vec<RoomDue> {
        self.model.due.take()
    }

    /// Says whether the running Element encrypts by itself, where it is let, whatever MSC4362 lets be
    /// encrypted in rooms with the flag. Then that leaves encrypted here as well.
    pub fn set_encrypts_all(&mut self, encrypts_all: bool) {
        self.model.encrypts_all = encrypts_all;
    }

    /// Whether the room's flag was ever seen.
    #[must_use]
    pub fn encrypts_state(&self, room_id: &str) -> bool {
        self.model.states.known().encrypts_state(room_id)
    }

    /// The user has just set the room's flag.
    pub fn note_flag(&mut self, room_id: &str) {
        self.model.states.note_flag(room_id, &mut self.model.journal);
    }

    /// Whether [`StateEngine::take_persist`] has something.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.model.is_dirty()
    }

    /// What is to be stored now. A batch of which nothing was heard is part of the next one.
    pub fn take_persist(&mut self) -> Option<PersistBatch> {
        self.model.take_persist()
    }

    /// The whole batch is on disk.
    pub fn persisted(&mut self, id: u32) {
        self.model.written(id, &[]);
    }

    /// Nothing of the batch could be written; its entries come again.
    pub fn persist_failed(&mut self, id: u32) {
        self.model.persist_failed(id);
    }

    /// The batch is on disk but for the entries with these keys, which come again. A session that
    /// could not be stored is thrown away, with what it has encrypted and was not sent: which index
    /// the store has of it, nobody can tell.
    pub fn written(&mut self, id: u32, failed: &[String]) {
        self.model.written(id, failed);
    }

    /// Takes over what another tab has written since: sessions and pending writes as they are in
    /// the store, of the rest whatever is newer. What it has seen redacted is over here too.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is no object.
    pub fn become_writer(&mut self, stored: &str) -> Result<(), EngineError> {
        let redacted = self.model.become_writer(stored)?;
        self.hand_on(redacted);
        pending::drop_superseded(&mut self.model)
    }

    /// Another tab may write from now on. A session that is not stored as it is is thrown away.
    pub fn stop_writing(&mut self) {
        self.model.stop_writing();
    }

    /// Whether this tab may write.
    #[must_use]
    pub const fn is_writer(&self) -> bool {
        self.model.is_writer()
    }

    /// Before a request is sent whose response may hold state.
    pub fn before(&mut self, request: Request<'_>) -> Before {
        match self.responses.before(&self.model, request) {
            Before::Send { .. } => {
                Before::Send { url: request_filters::include_in_url(request.url) }
            }
            before => before,
        }
    }

    /// Request bodies that name what state they want; `None` where they need no change.
    pub fn include_encrypted_type(&self, request: Request<'_>, body: &[u8]) -> Option<Vec<u8>> {
        request_filters::include_in_body(request, body)
    }

    /// As [`StateEngine::inspect`], of a response of `length` bytes that stays where it is: `read` fills
    /// the buffer with its bytes from a position on, `whole` gives all of them. What does not concern
    /// state is not copied; of a large first sync, only what does. Then [`StateEngine::open`] gives
    /// [`Part::Kept`](crate::Part).
    pub fn inspect_there(
        &mut self,
        request: Request<'_>,
        length: usize,
        read: &mut dyn FnMut(usize, &mut [u8]),
        whole: impl FnOnce() -> Vec<u8>,
    ) -> Option<Needs> {
        let mut observed = Vec::new();
        let needs = self.responses.inspect_there(
            &mut self.model,
            request,
            length,
            read,
            whole,
            &mut observed,
        );
        self.hand_on(observed);
        needs
    }

    /// A whole response with status 200. `None`: its bytes go on as they are. Else it is kept until
    /// [`StateEngine::open`] is done with it, or [`StateEngine::drop_answer`].
    pub fn inspect(&mut self, request: Request<'_>, body: Vec<u8>) -> Option<Needs> {
        let mut observed = Vec::new();
        let needs = self.responses.inspect(&mut self.model, request, body, &mut observed);
        self.hand_on(observed);
        needs
    }

    /// Goes on with the look at a response that named [`Needs::more`]; as
    /// [`StateEngine::inspect`]. A large one would hold up the page. Whoever does anything else with
    /// it, or looks at the next one, has the rest of it looked at first.
    ///
    /// # Errors
    ///
    /// [`EngineError::Unknown`] for a response that is done or was dropped.
    pub fn inspect_more(&mut self, id: u32) -> Result<Option<Needs>, EngineError> {
        let mut observed = Vec::new();
        let needs = self.responses.inspect_more(&mut self.model, id, &mut observed);
        self.hand_on(observed);
        needs
    }

    /// Goes on with a response: opens at most `most` events, then puts it together.
    ///
    /// # Errors
    ///
    /// [`EngineError::Unknown`] for a response that is done or was dropped.
    pub fn open(&mut self, id: u32, most: usize) -> Result<OpenStep, EngineError> {
        let mut observed = Vec::new();
        let step = self.responses.open(&mut self.model, id, most, &mut observed);
        self.hand_on(observed);
        step
    }

    /// Gives a response up.
    pub fn drop_answer(&mut self, id: u32) {
        let mut observed = Vec::new();
        self.responses.drop_response(&mut self.model, id, &mut observed);
        self.hand_on(observed);
    }

    /// An event was redacted: whatever came of it is over.
    pub fn redact(&mut self, event: EventId<'_>) {
        let observed = self.model.redact(event);
        self.hand_on(observed);
    }

    fn hand_on(&mut self, observed: impl IntoIterator<Item = Observation>) {
        for observation in observed {
            self.retry.observe(observation);
        }
    }

    /// Takes sessions out of the page's key export; how many were new or better than before. Those
    /// that cannot be read are passed over.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is no array.
    pub fn add_room_keys(&mut self, export: &str) -> Result<usize, EngineError> {
        self.model.add_room_keys(export)
    }

    /// Says whose devices have which keys: `[{"userId", "devices": [{"deviceId", "algorithms", "keys",
    /// "signature", "standing"}]}]`, with all that the device signs and its own signature. Nothing of
    /// it is taken on trust but the standing, which the page's crypto has checked: `signed` by its
    /// owner, `unsigned` where its owner signs others, `plain` where they sign none; none: not known.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is not that.
    pub fn add_devices(&mut self, json: &str) -> Result<(), EngineError> {
        let Model { devices, sessions, journal, .. } = &mut self.model;
        devices.add(json, sessions, journal)
    }

    /// The page's crypto has asked for the devices of these users, and has others by now: a JSON array of
    /// ids. A response says before that that they changed.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is not that.
    pub fn devices_changed(&mut self, users: &str) -> Result<(), EngineError> {
        self.model.read_changed_devices(users)
    }

    /// The devices of all the room's members, former ones too, have been given: a session of none of
    /// them was made by a device that is gone.
    pub fn members_added(&mut self, room_id: &str) {
        self.model.devices.set_complete(room_id);
    }

    /// Readable state events of a room as the running client has them: a JSON array.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is no array.
    pub fn add_room_state(&mut self, room: RoomId<'_>, events: &str) -> Result<(), EngineError> {
        self.model.add_room_state(room, events)
    }

    /// Whether events wait whose key, owner or room is not known yet.
    #[must_use]
    pub const fn has_undecryptable(&self) -> bool {
        self.retry.has_undecryptable()
    }

    /// Whether this event is one of them.
    #[must_use]
    pub fn is_undecryptable(&self, event: EventId<'_>) -> bool {
        self.retry.is_undecryptable(event)
    }

    /// Those of them that were not given out before, or for another reason: at most so many.
    pub fn take_undecryptable(&mut self, most: usize) -> Vec<UndecryptableEvent> {
        self.retry.take_undecryptable(most)
    }

    /// What the waiting events need.
    pub fn retry_needs(&self) -> Option<Needs> {
        self.retry.needs(&self.model)
    }

    /// Encrypted state events that the running client holds undecrypted (from its own store, or
    /// from before Mantle was there): a JSON array. They wait like those of a response.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is no array.
    pub fn backfill(&mut self, room: RoomId<'_>, events: &str) -> Result<(), EngineError> {
        self.retry.backfill(&self.model, room, events)
    }

    /// Tries the waiting events again, at most `most` in a step: those that are current and open now,
    /// as clear events, in the order they came; and in the end the names of invites that inviters
    /// told. One whose key comes after that of an event that replaced it is history.
    pub fn retried(&mut self, most: usize) -> RetryStep {
        self.retry.step(&mut self.model, most)
    }

    /// Whether [`StateEngine::retried`] has something that no key is waited for.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.model.invites.has_fresh() || self.retry.has_emptied()
    }

    /// False when the slot of a state event that was decrypted late has another event by now.
    #[must_use]
    pub fn is_current(&self, event: EventId<'_>, slot: TypeAndKey<'_>) -> bool {
        let current = self.model.states.known().current(RoomId(event.room_id), slot);
        current.is_some_and(|current| current.event_id == event.id)
    }
}
