//! Boundary of the module that pages load for encrypted state: bytes and texts, no logic.
#![cfg(target_arch = "wasm32")]

use serde::Serialize;
use wasm_bindgen::prelude::*;

use mantle_room_state::{
    EngineError, EventId, OpenStep, Part, Request, RoomId, SessionId, StateEngine, StateSettings,
    TypeAndKey, Upgrade, UserId,
};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
export interface PersistBatch { id: number; entries: { key: string; value: string | null }[] }
export interface Needs {
  answer: number;
  /** Nothing else is said before `inspectMore` has looked at the rest of the answer. */
  more: boolean;
  sessions: { roomId: string; sessionId: string }[];
  owners: string[];
  rooms: string[];
  memberDevices: string[];
}
export type Before =
  | { kind: "send"; url?: string }
  | { kind: "reply"; body: string }
  | { kind: "held"; answer: number; needs: Needs };
export type OpenStep =
  | { kind: "more" }
  | { kind: "needs"; needs: Needs }
  | { kind: "done"; body?: Uint8Array }
  | { kind: "split"; first: Uint8Array };
export interface UndecryptableEvent {
  roomId: string;
  eventId: string;
  sessionId: string;
  sender: string;
  stateKey: string;
  ts: number;
  content: Record<string, unknown>;
  reason: "session" | "index" | "owner" | "levels" | "device";
}
export interface RetriedEvent { roomId: string; event: Record<string, unknown> }
/** The person's own name in a room, to be put again where it is gone. */
export interface OwnProfile { eventId: string; contentJson: string; sessionId: string; isOutdated: boolean }
export interface RetryStep { events: RetriedEvent[]; more: boolean }
export type ProblemCode =
  | "rollback" | "replay" | "clear-over-encrypted" | "flag-removed" | "foreign-session"
  | "key-mismatch" | "room-mismatch" | "not-eligible" | "power-level" | "damaged"
  | "gone-device" | "unsigned-device" | "untrusted-device" | "not-passed-on" | "index-used-twice";
export interface Problem { roomId: string; code: ProblemCode; sentence: string }
export interface RoomDue {
  roomId: string;
  why: "membership" | "devices" | "stale" | "name";
  members: { userId: string; membership: string }[];
}
export type WriteRoute =
  | { kind: "put" }
  | { kind: "create" }
  | { kind: "upgrade"; roomId: string }
  | { kind: "body" };
export type Plan =
  | { kind: "pass" }
  | { kind: "rewrite"; body: string }
  | { kind: "flag"; roomId: string }
  | { kind: "encrypt"; roomId: string; eventType: string; stateKey: string; url: string }
  | { kind: "needRoom"; roomId: string; sentence: string }
  | { kind: "refuse"; errcode: string; sentence: string };
export type CreatePlan =
  | { kind: "pass"; why: "public" | "unencrypted" | "space" | "off" }
  | { kind: "ask" }
  | { kind: "create"; pendingId: string; body: string; held: number };
export interface PendingEvent { eventType: string; stateKey: string; contentJson: string }
export interface PendingWrite { pendingId: string; roomId: string | null; since: number; events: PendingEvent[]; others: string[] }
export interface SessionView {
  sessionId: string;
  isNew: boolean;
  rotated?: "age" | "messages" | "member-left" | "device-removed" | "visibility" | "unverified" | "asked";
  shareWith: { userId: string; deviceId: string }[];
  refused: { userId: string; deviceId: string; why: "blocked" | "not-cross-signed" }[];
  withoutDevices: string[];
  roomKeyContent: Record<string, unknown>;
  later: LaterShare[];
  more: boolean;
  importJson: string;
  shouldImport: boolean;
}
export interface LaterShare { shareWith: { userId: string; deviceId: string }[]; roomKeyContent: Record<string, unknown> }
export interface MoreShares { shareWith: { userId: string; deviceId: string }[]; later: LaterShare[]; more: boolean }
export interface Put { path: string; body: string }
export interface Reencryption {
  delayMs: number;
  events: (PendingEvent & { path: string; eventId: string; sessionId: string })[];
}
export type Conversion =
  | { kind: "refuse"; sentence: string }
  | { kind: "convert"; flag?: Put; encrypt: PendingEvent[]; blank: Put[]; redact: string[]; types: string[]; done: boolean };
export interface InvitePreview { type: "org.mantle.room_state"; content: Record<string, unknown> }
"#;

#[wasm_bindgen]
extern "C" {
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "PersistBatch | undefined")]
    pub type PersistBatch;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "Needs | undefined")]
    pub type Needs;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "Before")]
    pub type Before;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "OpenStep")]
    pub type Step;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "UndecryptableEvent[]")]
    pub type UndecryptableEvents;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "RetryStep")]
    pub type RetryStep;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "Problem[]")]
    pub type Problems;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "RoomDue[]")]
    pub type RoomsDue;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "OwnProfile | undefined")]
    pub type OwnProfile;
    /// Room ids.
    #[wasm_bindgen(typescript_type = "string[]")]
    pub type RoomIds;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "WriteRoute")]
    pub type WriteRoute;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "Plan")]
    pub type Plan;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "CreatePlan")]
    pub type CreatePlan;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "PendingWrite[]")]
    pub type PendingWrites;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "SessionView")]
    pub type SessionView;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "MoreShares")]
    pub type MoreShares;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "Put")]
    pub type Put;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "Reencryption")]
    pub type Reencryption;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "Conversion")]
    pub type Conversion;
    /// See the TypeScript section.
    #[wasm_bindgen(typescript_type = "InvitePreview | undefined")]
    pub type InvitePreview;
}

/// Encrypted state of one document. Sans-I/O: see `state/engine.rs`.
#[wasm_bindgen]
#[derive(Debug)]
pub struct EncryptedState {
    engine: StateEngine,
}

type Outcome<T = ()> = Result<T, JsError>;

#[wasm_bindgen]
impl EncryptedState {
    /// `pickle_key`: 32 bytes. `stored`: a JSON object of everything `takePersist` gave.
    ///
    /// # Errors
    /// A sentence when the key has another length.
    #[wasm_bindgen(constructor)]
    pub fn new(pickle_key: &[u8], stored: &str, settings: Option<String>) -> Outcome<Self> {
        console_error_panic_hook::set_once();
        let mut state = Self { engine: StateEngine::new(pickle_key, stored).map_err(error)? };
        state.apply_settings(&settings.unwrap_or_default());
        Ok(state)
    }

    /// Puts the shield's settings in force, as JSON text of what `shieldSettings` of the core says.
    #[wasm_bindgen(js_name = applySettings)]
    pub fn apply_settings(&mut self, settings: &str) {
        self.engine.apply_settings(StateSettings::read(settings));
    }

    /// Says which device this is.
    ///
    /// # Errors
    /// A sentence when its keys cannot be read.
    #[wasm_bindgen(js_name = setOwnDevice)]
    pub fn set_own_device(&mut self, json: &str) -> Outcome {
        self.engine.set_own_device(json).map_err(error)
    }

    /// Says which run of the browser this is: known by its memory, never by its disk.
    #[wasm_bindgen(js_name = setRun)]
    pub fn set_run(&mut self, run: &str) {
        self.engine.set_run(run);
    }

    /// Whether `setOwnDevice` was called.
    #[must_use]
    #[wasm_bindgen(js_name = hasOwnDevice)]
    pub fn has_own_device(&self) -> bool {
        self.engine.has_own_device()
    }

    /// Forgets everything, the store's entries too.
    #[wasm_bindgen(js_name = forgetAll)]
    pub fn forget_all(&mut self) {
        self.engine.forget_all();
    }

    /// Whether `takePersist` has something.
    #[must_use]
    pub fn dirty(&self) -> bool {
        self.engine.is_dirty()
    }

    /// What is to be stored.
    #[wasm_bindgen(js_name = takePersist)]
    pub fn take_persist(&mut self) -> PersistBatch {
        optional(self.engine.take_persist().as_ref()).unchecked_into()
    }

    /// The batch is on disk but for the entries with these keys.
    pub fn written(&mut self, id: u32, failed: Vec<String>) {
        self.engine.written(id, &failed);
    }

    /// Whether what waits under this id is on disk.
    #[must_use]
    #[wasm_bindgen(js_name = isPendingStored)]
    pub fn is_pending_stored(&self, pending_id: &str) -> bool {
        self.engine.is_pending_stored(pending_id)
    }

    /// Takes over what other tabs have stored; this tab may write.
    ///
    /// # Errors
    /// A sentence when the text is no object.
    #[wasm_bindgen(js_name = becomeWriter)]
    pub fn become_writer(&mut self, stored: &str) -> Outcome {
        self.engine.become_writer(stored).map_err(error)
    }

    /// Whether this tab may write.
    #[must_use]
    #[wasm_bindgen(js_name = isWriter)]
    pub fn is_writer(&self) -> bool {
        self.engine.is_writer()
    }

    /// Another tab may write.
    #[wasm_bindgen(js_name = stopWriting)]
    pub fn stop_writing(&mut self) {
        self.engine.stop_writing();
    }

    /// Says how late it is, in milliseconds since the epoch.
    #[wasm_bindgen(js_name = setClock)]
    pub fn set_clock(&mut self, now: f64) {
        self.engine.set_clock(millis(now));
    }

    /// Before a request is sent whose answer may hold state.
    pub fn before(&mut self, method: &str, url: &str) -> Before {
        to_js(&self.engine.before(Request { method, url })).unchecked_into()
    }

    /// Request bodies that name what state they want; `undefined` where they need no change.
    #[must_use]
    #[wasm_bindgen(js_name = includeEncryptedType)]
    pub fn include_encrypted_type(&self, method: &str, url: &str, body: &[u8]) -> Option<Vec<u8>> {
        self.engine.include_encrypted_type(Request { method, url }, body)
    }

    /// A whole answer; `undefined` when its bytes go on as they are.
    pub fn inspect(&mut self, method: &str, url: &str, body: &js_sys::Uint8Array) -> Needs {
        let mut read = |at: usize, into: &mut [u8]| {
            let from = index(at);
            body.subarray(from, from + index(into.len())).copy_to(into);
        };
        let length = body.length() as usize;
        let needs =
            self.engine.inspect_there(Request { method, url }, length, &mut read, || body.to_vec());
        optional(needs.as_ref()).unchecked_into()
    }

    /// Goes on with the look at an answer; as `inspect`.
    ///
    /// # Errors
    /// A sentence when the answer is done or was given up.
    #[wasm_bindgen(js_name = inspectMore)]
    pub fn inspect_more(&mut self, answer: u32) -> Outcome<Needs> {
        let needs = self.engine.inspect_more(answer).map_err(error)?;
        Ok(optional(needs.as_ref()).unchecked_into())
    }

    /// Keys exported from the page's crypto; how many were new or better.
    ///
    /// # Errors
    /// A sentence when the text is no array.
    #[wasm_bindgen(js_name = addRoomKeys)]
    pub fn add_room_keys(&mut self, export: &str) -> Outcome<usize> {
        self.engine.add_room_keys(export).map_err(error)
    }

    /// Devices of users.
    ///
    /// # Errors
    /// A sentence when the text is not that.
    #[wasm_bindgen(js_name = addDevices)]
    pub fn add_devices(&mut self, json: &str) -> Outcome {
        self.engine.add_devices(json).map_err(error)
    }

    /// Element's crypto has other devices of these users by now, a JSON array.
    ///
    /// # Errors
    /// A sentence when the text is not that.
    #[wasm_bindgen(js_name = devicesChanged)]
    pub fn devices_changed(&mut self, users: &str) -> Outcome {
        self.engine.devices_changed(users).map_err(error)
    }

    /// The devices of all the room's members were added.
    #[wasm_bindgen(js_name = membersAdded)]
    pub fn members_added(&mut self, room_id: &str) {
        self.engine.members_added(room_id);
    }

    /// A room's readable state.
    ///
    /// # Errors
    /// A sentence when the text is no array.
    #[wasm_bindgen(js_name = addRoomState)]
    pub fn add_room_state(&mut self, room_id: &str, events: &str) -> Outcome {
        self.engine.add_room_state(RoomId(room_id), events).map_err(error)
    }

    /// Goes on with an answer. `into`, where given, has its bytes as they came: the edited ones are
    /// put there where there is room, which saves the browser an array of that size and, where
    /// nothing grew, all that did not change.
    ///
    /// # Errors
    /// A sentence for an answer that is not there.
    pub fn open(
        &mut self,
        answer: u32,
        most: usize,
        into: Option<js_sys::Uint8Array>,
    ) -> Outcome<Step> {
        #[derive(Serialize)]
        struct Kind {
            kind: &'static str,
        }
        #[derive(Serialize)]
        struct Wants<'a> {
            kind: &'static str,
            needs: &'a mantle_room_state::Needs,
        }
        let with_body = |kind: &'static str, name: &str, body: &js_sys::Uint8Array| {
            let step = to_js(&Kind { kind });
            // Only fails on frozen objects.
            let _ = js_sys::Reflect::set(&step, &name.into(), body);
            step
        };
        let with_parts = |kind: &'static str, name: &str, parts: &[Part<'_>]| {
            let length: usize = parts.iter().map(Part::length).sum();
            let length = index(length);
            // What is kept of the page's bytes must not be written over before it is copied.
            let is_here = parts.iter().all(|part| matches!(part, Part::Bytes(_)));
            let bytes =
                into.as_ref().filter(|into| is_here && length <= into.length()).map_or_else(
                    || js_sys::Uint8Array::new_with_length(length),
                    |into| into.subarray(0, length),
                );
            let mut at = 0;
            for part in parts {
                let end = at + index(part.length());
                match (part, &into) {
                    (Part::Bytes(part), _) => bytes.subarray(at, end).copy_from(part),
                    (Part::Kept(range), Some(into)) => {
                        bytes.set(&into.subarray(index(range.start), index(range.end)), at);
                    }
                    (Part::Kept(_), None) => return Err(JsError::new(LOST)),
                }
                at = end;
            }
            Ok(with_body(kind, name, &bytes))
        };
        Ok(match self.engine.open(answer, most).map_err(error)? {
            OpenStep::More => to_js(&Kind { kind: "more" }),
            OpenStep::Needs(needs) => to_js(&Wants { kind: "needs", needs: &needs }),
            OpenStep::Done(None) => to_js(&Kind { kind: "done" }),
            OpenStep::Done(Some(body)) => match into
                .as_ref()
                .and_then(|into| Some((into, body.in_place(into.length() as usize)?)))
            {
                Some((into, patches)) => {
                    for (at, bytes) in patches {
                        let from = index(at);
                        into.subarray(from, from + index(bytes.len())).copy_from(&bytes);
                    }
                    with_body("done", "body", into)
                }
                None => {
                    let parts = body.parts().ok_or_else(|| JsError::new(LOST))?;
                    with_parts("done", "body", &parts)?
                }
            },
            OpenStep::Split(first) => with_parts("split", "first", &[Part::Bytes(&first)])?,
        }
        .unchecked_into())
    }

    /// Gives an answer up.
    pub fn drop(&mut self, answer: u32) {
        self.engine.drop_answer(answer);
    }

    /// Whether events wait that could not be opened yet.
    #[must_use]
    #[wasm_bindgen(js_name = hasUndecryptable)]
    pub fn has_undecryptable(&self) -> bool {
        self.engine.has_undecryptable()
    }

    /// Whether this event is one of them.
    #[must_use]
    #[wasm_bindgen(js_name = isUndecryptable)]
    pub fn is_undecryptable(&self, room_id: &str, event_id: &str) -> bool {
        self.engine.is_undecryptable(EventId { room_id, id: event_id })
    }

    /// Those of them that were not given out yet, at most so many.
    #[wasm_bindgen(js_name = takeUndecryptable)]
    pub fn take_undecryptable(&mut self, most: usize) -> UndecryptableEvents {
        to_js(&self.engine.take_undecryptable(most)).unchecked_into()
    }

    /// Encrypted state events the running client holds.
    ///
    /// # Errors
    /// A sentence when the text is no array.
    pub fn backfill(&mut self, room_id: &str, events: &str) -> Outcome {
        self.engine.backfill(RoomId(room_id), events).map_err(error)
    }

    /// Current member events that carry people's names in a room; `retried` gives the names.
    ///
    /// # Errors
    /// A sentence when the text is no array.
    #[wasm_bindgen(js_name = addMemberProfiles)]
    pub fn add_member_profiles(&mut self, room_id: &str, events: &str) -> Outcome {
        self.engine.add_member_profiles(RoomId(room_id), events).map_err(error)
    }

    /// The person's own name in a room.
    #[must_use]
    #[wasm_bindgen(js_name = ownProfile)]
    pub fn own_profile(&self, room_id: &str) -> OwnProfile {
        optional(self.engine.own_profile(RoomId(room_id)).as_ref()).unchecked_into()
    }

    /// Rooms in which they have one.
    #[must_use]
    #[wasm_bindgen(js_name = ownProfiles)]
    pub fn own_profiles(&self) -> RoomIds {
        to_js(&self.engine.own_profiles()).unchecked_into()
    }

    /// They have another now, which everybody can read.
    #[wasm_bindgen(js_name = forgetOwnProfile)]
    pub fn forget_own_profile(&mut self, room_id: &str) {
        self.engine.forget_own_profile(RoomId(room_id));
    }

    /// What the waiting events need.
    #[must_use]
    #[wasm_bindgen(js_name = retryNeeds)]
    pub fn retry_needs(&self) -> Needs {
        optional(self.engine.retry_needs().as_ref()).unchecked_into()
    }

    /// Tries at most `most` waiting events again: those that open now, clear.
    pub fn retried(&mut self, most: usize) -> RetryStep {
        to_js(&self.engine.retried(most)).unchecked_into()
    }

    /// Whether `retried` has something that no key is waited for.
    #[must_use]
    #[wasm_bindgen(js_name = hasNews)]
    pub fn has_news(&self) -> bool {
        self.engine.has_news()
    }

    /// An event was redacted, as the homeserver says.
    pub fn redact(&mut self, room_id: &str, event_id: &str) {
        self.engine.redact(EventId { room_id, id: event_id });
    }

    /// False when the slot of an event that was decrypted late has another one by now.
    #[must_use]
    #[wasm_bindgen(js_name = isCurrent)]
    pub fn is_current(
        &self,
        room_id: &str,
        event_type: &str,
        state_key: &str,
        event_id: &str,
    ) -> bool {
        self.engine
            .is_current(EventId { room_id, id: event_id }, TypeAndKey { event_type, state_key })
    }

    /// What happened, each thing once.
    pub fn problems(&mut self) -> Problems {
        to_js(&self.engine.problems()).unchecked_into()
    }

    /// Rooms to share or rotate keys in.
    #[wasm_bindgen(js_name = sharingDue)]
    pub fn sharing_due(&mut self) -> RoomsDue {
        to_js(&self.engine.sharing_due()).unchecked_into()
    }

    /// Whether this Element encrypts all of a flagged room's state by itself where it is let.
    #[wasm_bindgen(js_name = setEncryptsAll)]
    pub fn set_encrypts_all(&mut self, encrypts_all: bool) {
        self.engine.set_encrypts_all(encrypts_all);
    }

    /// Whether the room's flag was ever seen.
    #[must_use]
    #[wasm_bindgen(js_name = encryptsState)]
    pub fn encrypts_state(&self, room_id: &str) -> bool {
        self.engine.encrypts_state(room_id)
    }

    /// Rooms with an outbound session.
    #[must_use]
    pub fn sessions(&self) -> RoomIds {
        to_js(&self.engine.outbound_rooms()).unchecked_into()
    }

    /// Which of the plans below a request of the page needs.
    #[must_use]
    #[wasm_bindgen(js_name = routeWrite)]
    pub fn route_write(&self, method: &str, url: &str) -> WriteRoute {
        to_js(&self.engine.route_write(Request { method, url })).unchecked_into()
    }

    /// A `PUT` of state.
    #[must_use]
    #[wasm_bindgen(js_name = planPut)]
    pub fn plan_put(&self, method: &str, url: &str, body: &[u8]) -> Plan {
        to_js(&self.engine.plan_put(Request { method, url }, body)).unchecked_into()
    }

    /// A `createRoom`.
    ///
    /// # Errors
    /// A sentence.
    #[wasm_bindgen(js_name = planCreate)]
    pub fn plan_create(
        &mut self,
        body: &[u8],
        now: f64,
        consent: Option<String>,
    ) -> Outcome<CreatePlan> {
        let plan = self.engine.plan_create(body, millis(now), consent.as_deref()).map_err(error)?;
        Ok(to_js(&plan).unchecked_into())
    }

    /// The room was made.
    ///
    /// # Errors
    /// A sentence.
    pub fn created(&mut self, pending_id: &str, room_id: &str) -> Outcome {
        self.engine.created(pending_id, RoomId(room_id)).map_err(error)
    }

    /// The room was not made.
    ///
    /// # Errors
    /// A sentence.
    #[wasm_bindgen(js_name = createFailed)]
    pub fn create_failed(&mut self, pending_id: &str) -> Outcome {
        self.engine.create_failed(pending_id).map_err(error)
    }

    /// The room has a successor.
    ///
    /// # Errors
    /// A sentence.
    pub fn upgraded(&mut self, old_room_id: &str, new_room_id: &str, now: f64) -> Outcome {
        self.engine
            .upgraded(Upgrade { old: RoomId(old_room_id), new: RoomId(new_room_id) }, millis(now))
            .map_err(error)
    }

    /// Everything that still must be sent.
    #[must_use]
    #[wasm_bindgen(js_name = pendingWrites)]
    pub fn pending_writes(&self) -> PendingWrites {
        to_js(&self.engine.pending_writes()).unchecked_into()
    }

    /// One pending event is on the server.
    ///
    /// # Errors
    /// A sentence.
    #[wasm_bindgen(js_name = pendingSent)]
    pub fn pending_sent(&mut self, pending_id: &str, event_type: &str, state_key: &str) -> Outcome {
        self.engine.pending_sent(pending_id, TypeAndKey { event_type, state_key }).map_err(error)
    }

    /// Begins to say who may read a room.
    ///
    /// # Errors
    /// A sentence.
    #[wasm_bindgen(js_name = beginTargets)]
    pub fn begin_targets(&mut self, room_id: &str) -> Outcome {
        self.engine.begin_targets(RoomId(room_id)).map_err(error)
    }

    /// Some of those who may read it, with their devices.
    ///
    /// # Errors
    /// A sentence.
    #[wasm_bindgen(js_name = addTargets)]
    pub fn add_targets(&mut self, room_id: &str, targets: &str) -> Outcome {
        self.engine.add_targets(RoomId(room_id), targets).map_err(error)
    }

    /// The session to encrypt with, and who of those that were added must get its key.
    ///
    /// # Errors
    /// A sentence.
    #[wasm_bindgen(js_name = needSession)]
    pub fn need_session(&mut self, json: &str) -> Outcome<SessionView> {
        Ok(to_js(&self.engine.need_session(json).map_err(error)?).unchecked_into())
    }

    /// Further devices that must get the key of the session that was asked for last.
    ///
    /// # Errors
    /// A sentence.
    #[wasm_bindgen(js_name = moreShares)]
    pub fn more_shares(&mut self, room_id: &str, session_id: &str) -> Outcome<MoreShares> {
        let session = SessionId { room_id, id: session_id };
        Ok(to_js(&self.engine.more_shares(session).map_err(error)?).unchecked_into())
    }

    /// The page's crypto has the session.
    ///
    /// # Errors
    /// A sentence.
    pub fn imported(&mut self, room_id: &str, session_id: &str) -> Outcome {
        self.engine.imported(SessionId { room_id, id: session_id }).map_err(error)
    }

    /// These devices were sent the key.
    ///
    /// # Errors
    /// A sentence.
    pub fn shared(&mut self, room_id: &str, session_id: &str, devices: &str) -> Outcome {
        self.engine.shared(SessionId { room_id, id: session_id }, devices).map_err(error)
    }

    /// What the device is to sign of the event that is encrypted next; none where it goes unsigned.
    #[wasm_bindgen(js_name = textToSign)]
    pub fn text_to_sign(
        &mut self,
        room_id: &str,
        event_type: &str,
        state_key: &str,
        content_json: &str,
        now: f64,
    ) -> Option<String> {
        let slot = TypeAndKey { event_type, state_key };
        self.engine.text_to_sign(RoomId(room_id), slot, content_json, millis(now))
    }

    /// The device's signature under that text.
    #[wasm_bindgen(js_name = addSignature)]
    pub fn add_signature(&mut self, signature: &str) {
        self.engine.add_signature(signature);
    }

    /// Encrypts an event; the ticket gives it out once its index is stored.
    ///
    /// # Errors
    /// A sentence.
    pub fn encrypt(
        &mut self,
        room_id: &str,
        event_type: &str,
        state_key: &str,
        content_json: &str,
    ) -> Outcome<u32> {
        self.engine
            .encrypt(RoomId(room_id), TypeAndKey { event_type, state_key }, content_json)
            .map_err(error)
    }

    /// Encrypts an event of `reencrypt`, whose id is `base`.
    ///
    /// # Errors
    /// A sentence.
    #[wasm_bindgen(js_name = encryptAgain)]
    pub fn encrypt_again(
        &mut self,
        room_id: &str,
        event_type: &str,
        state_key: &str,
        content_json: &str,
        base: &str,
    ) -> Outcome<u32> {
        self.engine
            .encrypt_again(
                EventId { room_id, id: base },
                TypeAndKey { event_type, state_key },
                content_json,
            )
            .map_err(error)
    }

    /// The encrypted event.
    ///
    /// # Errors
    /// A sentence while its index is not stored.
    #[wasm_bindgen(js_name = takeEncrypted)]
    pub fn take_encrypted(&mut self, ticket: u32) -> Outcome<Put> {
        Ok(to_js(&self.engine.take_encrypted(ticket).map_err(error)?).unchecked_into())
    }

    /// Current state to send once more.
    ///
    /// # Errors
    /// A sentence.
    pub fn reencrypt(&mut self, room_id: &str, json: &str) -> Outcome<Reencryption> {
        Ok(to_js(&self.engine.reencrypt(RoomId(room_id), json).map_err(error)?).unchecked_into())
    }

    /// What converting a room takes.
    ///
    /// # Errors
    /// A sentence.
    #[wasm_bindgen(js_name = convertRoom)]
    pub fn convert_room(&mut self, room_id: &str, state_json: &str) -> Outcome<Conversion> {
        Ok(to_js(&self.engine.convert_room(RoomId(room_id), state_json).map_err(error)?)
            .unchecked_into())
    }

    /// The user has set the room's flag.
    #[wasm_bindgen(js_name = noteFlag)]
    pub fn note_flag(&mut self, room_id: &str) {
        self.engine.note_flag(room_id);
    }

    /// What to tell an invited user's devices.
    #[must_use]
    #[wasm_bindgen(js_name = invitePreview)]
    pub fn invite_preview(&self, room_id: &str) -> InvitePreview {
        optional(self.engine.invite_preview(room_id).as_ref()).unchecked_into()
    }

    /// What an inviter told.
    ///
    /// # Errors
    /// A sentence when it is not that.
    #[wasm_bindgen(js_name = addInvitePreview)]
    pub fn add_invite_preview(&mut self, sender: &str, content_json: &str) -> Outcome {
        self.engine.add_invite_preview(UserId(sender), content_json).map_err(error)
    }
}

/// The answer goes on as it came.
const LOST: &str = "The answer could not be put together.";

fn error(error: EngineError) -> JsError {
    JsError::new(&error.to_string())
}

/// A position in an array of the page's; memory here has 32 bits.
#[allow(clippy::cast_possible_truncation)]
const fn index(at: usize) -> u32 {
    at as u32
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn millis(now: f64) -> u64 {
    now.max(0.0) as u64
}

fn optional<T: Serialize>(value: Option<&T>) -> JsValue {
    value.map_or(JsValue::UNDEFINED, to_js)
}

/// By way of JSON text: see `wasm.rs`.
fn to_js<T: Serialize>(value: &T) -> JsValue {
    serde_json::to_string(value)
        .ok()
        .and_then(|text| js_sys::JSON::parse(&text).ok())
        .unwrap_or(JsValue::UNDEFINED)
}
