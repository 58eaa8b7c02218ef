//! Writing: from a request with readable state to encrypted events, keys first.

use crate::sorted::{Map, Set};
use serde::Serialize;
use serde_json::value::RawValue;

use super::again::RENEWAL_MS;
use super::pending::PendingEvent;
use super::{EngineError, StateEngine, Trust};
use crate::decrypt::decrypt::OpenedState;
use crate::flow::request_filters::{encoded, room_path};
use crate::index::events::ENCRYPTED_TYPE;
use crate::megolm::encrypt::{
    MAX_PAYLOAD_BYTES, encrypt_state, room_key_content, room_keys_for_import,
};
use crate::megolm::{
    DeviceKey, OutboundSession, Recipients, RotationPolicy, RotationReason, Sharing,
};
use crate::model::outbound::{Outbound, Outgoing};
use crate::model::precedence::{STATE_ENCRYPTION_FLAGS, is_flagged};
use crate::msc4362::eligible::DEFAULT_TYPES;
use crate::msc4362::packed_key::PackedKey;
use mantle_wire::json::{self, Edit, elements, get, get_str, members, span};
use mantle_wire::route::{Endpoint, route};
use mantle_wire::url::Address;

/// The widgets Element writes the room's name into (`data.roomName`).
const WIDGET_TYPES: [&str; 2] = ["im.vector.modular.widgets", "m.widget"];

/// What to do with new encrypted rooms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NewRooms {
    /// Encrypt their state.
    #[default]
    On,
    /// Ask each time.
    Ask,
    /// Leave them.
    Off,
}

/// A user's device by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceName {
    /// Whose.
    pub user_id: String,
    /// Which.
    pub device_id: String,
}

/// A device that gets no key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedDevice {
    /// Whose.
    pub user_id: String,
    /// Which.
    pub device_id: String,
    /// `blocked` or `not-cross-signed`.
    pub why: &'static str,
}

/// What a request of the page may have to be changed for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum WriteRoute {
    /// It sets state: [`StateEngine::plan_put`].
    Put,
    /// It makes a room: [`StateEngine::plan_create`].
    Create,
    /// It upgrades a room that encrypts its state; [`StateEngine::upgraded`] when that is done.
    Upgrade {
        /// The room.
        room_id: String,
    },
    /// Its body may name what state it wants: [`StateEngine::include_encrypted_type`].
    Body,
}

/// What becomes of a `PUT` of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Plan {
    /// Send it as it is.
    Pass,
    /// Send this body instead: the room's name was in it in passing.
    Rewrite {
        /// JSON.
        body: String,
    },
    /// Send it as it is; when the server has taken it, [`StateEngine::note_flag`] before the page
    /// learns of it: the next name it sends must be encrypted.
    Flag {
        /// The room.
        room_id: String,
    },
    /// Encrypt the body and send it to `url`.
    Encrypt {
        /// The room.
        room_id: String,
        /// The clear type.
        event_type: String,
        /// The clear state key.
        state_key: String,
        /// Where the encrypted event goes.
        url: String,
    },
    /// Tell the room's state, then ask again; if it cannot be told, refuse with the sentence.
    NeedRoom {
        /// The room.
        room_id: String,
        /// For the refusal.
        sentence: &'static str,
    },
    /// Do not send.
    Refuse {
        /// Matrix error code.
        errcode: &'static str,
        /// For the person.
        sentence: String,
    },
}

/// What becomes of a `createRoom`.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CreatePlan {
    /// Send it as it is.
    Pass {
        /// `public`, `unencrypted`, `space` or `off`.
        why: &'static str,
    },
    /// The person decides.
    Ask,
    /// Send this body; what was taken out is pending.
    Create {
        /// Empty when nothing waits.
        pending_id: String,
        /// JSON.
        body: String,
        /// How many events wait.
        held: usize,
    },
}

impl std::fmt::Debug for CreatePlan {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Pass { .. } => "Pass",
            Self::Ask => "Ask",
            Self::Create { .. } => "Create",
        })
    }
}

/// The session of a room, and who must get its key first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// Its id.
    pub session_id: String,
    /// It was made just now.
    pub is_new: bool,
    /// Why the one before was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotated: Option<&'static str>,
    /// Devices to send `room_key_content` to.
    pub share_with: Vec<DeviceName>,
    /// Devices that get none.
    pub refused: Vec<RefusedDevice>,
    /// Members none of whose devices gets the key.
    pub without_devices: Vec<String>,
    /// Content of `m.room_key`. Secret.
    pub room_key_content: Box<RawValue>,
    /// For the page's `importRoomKeysAsJson`. Secret.
    pub import_json: String,
    /// The page's crypto may not have it yet.
    pub should_import: bool,
}

impl std::fmt::Debug for SessionView {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SessionView")
            .field("is_new", &self.is_new)
            .field("share_with", &self.share_with)
            .finish_non_exhaustive()
    }
}

impl StateEngine {
    /// Which of the plans a request of the page needs.
    #[must_use]
    pub fn route_write(&self, method: &str, url: &str) -> WriteRoute {
        let Some(address) = Address::parse(url) else { return WriteRoute::Body };
        match route(method, &address).endpoint {
            Endpoint::StateSend => WriteRoute::Put,
            Endpoint::CreateRoom => WriteRoute::Create,
            Endpoint::Upgrade => room_path(&address)
                .filter(|path| self.encrypts_state(&path.room_id))
                .map_or(WriteRoute::Body, |path| WriteRoute::Upgrade { room_id: path.room_id }),
            _ => WriteRoute::Body,
        }
    }

    /// A `PUT` of state, before it is sent.
    pub fn plan_put(&self, method: &str, url: &str, body: &[u8]) -> Plan {
        let Some(address) = Address::parse(url) else { return Plan::Pass };
        if route(method, &address).endpoint != Endpoint::StateSend {
            return Plan::Pass;
        }
        // What is routed here and cannot be read must not pass for something harmless.
        let Some(path) = room_path(&address) else { return unreadable() };
        let [_, event_type, key @ ..] = path.rest.as_slice() else { return unreadable() };
        let state_key = key.join("/");
        let room_id = path.room_id;
        if event_type == "m.room.encryption" {
            let flagged = std::str::from_utf8(body).is_ok_and(is_flagged);
            return if flagged { Plan::Flag { room_id } } else { Plan::Pass };
        }
        let widget = WIDGET_TYPES.contains(&event_type.as_str());
        if !self.settings.types.contains(event_type) && !widget {
            return Plan::Pass;
        }
        if !self.known.encrypts_state(&room_id) {
            let told = self.rooms.get(&room_id).is_some_and(|facts| facts.levels().is_some());
            return if told {
                Plan::Pass
            } else {
                Plan::NeedRoom {
                    room_id,
                    sentence: "Mantle does not know yet whether this room encrypts its name; wait until Element has loaded the room and try again.",
                }
            };
        }
        if !self.settings.types.contains(event_type) {
            return without_room_name(body);
        }
        if !matches!(std::str::from_utf8(body).map(members), Ok(Ok(Some(_)))) {
            return Plan::Refuse {
                errcode: "M_BAD_JSON",
                sentence: "Mantle can only encrypt a JSON object.".to_owned(),
            };
        }
        let key = match packed(event_type, &state_key, body.len()) {
            Ok(key) => key,
            Err(error) => {
                return Plan::Refuse { errcode: "M_TOO_LARGE", sentence: error.to_string() };
            }
        };
        let site = url.get(..span(url, address.path).start).unwrap_or_default();
        let room: Vec<_> = address.path.split('/').take(path.depth).collect();
        let query =
            if address.query.is_empty() { String::new() } else { format!("?{}", address.query) };
        let url = format!(
            "{site}{}/state/{ENCRYPTED_TYPE}/{}{query}",
            room.join("/"),
            key.to_path_segment()
        );
        Plan::Encrypt { room_id, event_type: event_type.clone(), state_key, url }
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
        self.must_write()?;
        let text = std::str::from_utf8(body).map_err(|_| EngineError::Input("createRoom"))?;
        let string = |path: &[&str]| get_str(text, path);
        if string(&["creation_content", "type"])?.as_deref() == Some("m.space") {
            return Ok(CreatePlan::Pass { why: "space" });
        }
        let listed = string(&["visibility"])?.as_deref() == Some("public");
        let mut public = string(&["preset"])?.as_deref() == Some("public_chat");
        let mut encrypted = false;
        let mut flagged = false;
        let mut kept = Vec::new();
        let mut held: Map<(String, String), String> = Map::new();
        for event in elements(get(text, &["initial_state"])?.unwrap_or("[]"))? {
            let event_type = get_str(event, &["type"])?.unwrap_or_default();
            let state_key = get_str(event, &["state_key"])?.unwrap_or_default();
            let content = get(event, &["content"])?.unwrap_or("{}");
            if event_type == "m.room.join_rules" {
                // Counts for more than the preset.
                public = get_str(content, &["join_rule"])?.as_deref() == Some("public");
            }
            if event_type == "m.room.encryption" && state_key.is_empty() {
                encrypted = true;
                flagged = is_flagged(content);
                kept.push(with_flag(event)?);
            } else if self.settings.types.contains(&event_type) {
                // No server takes anything else, so nothing is lost with it.
                if content.starts_with('{') {
                    held.insert((event_type, state_key), content.to_owned());
                }
            } else if WIDGET_TYPES.contains(&event_type.as_str()) {
                let edit = Edit::remove(&["content", "data", "roomName"]);
                kept.push(edited(event, edit)?.unwrap_or_else(|| event.to_owned()));
            } else {
                kept.push(event.to_owned());
            }
        }
        if public || listed {
            return Ok(CreatePlan::Pass { why: "public" });
        }
        if !encrypted {
            return Ok(CreatePlan::Pass { why: "unencrypted" });
        }
        match (self.settings.new_rooms, consent) {
            _ if flagged => {}
            (NewRooms::On, _) | (NewRooms::Ask, Some("yes")) => {}
            (NewRooms::Ask, None) => return Ok(CreatePlan::Ask),
            _ => return Ok(CreatePlan::Pass { why: "off" }),
        }
        // Like a server, which lets these two override `initial_state`.
        for (key, event_type) in ["name", "topic"].into_iter().zip(DEFAULT_TYPES) {
            // As it was typed: half an emoji is no text in Rust.
            let typed = get(text, &[key])?.unwrap_or_default();
            if !typed.starts_with('"') || typed == r#""""# {
                continue;
            }
            let content = if key == "topic" {
                // MSC3765, as servers write it.
                format!(r#"{{"topic":{typed},"m.topic":{{"m.text":[{{"body":{typed}}}]}}}}"#)
            } else {
                format!(r#"{{"name":{typed}}}"#)
            };
            held.insert((event_type.to_owned(), String::new()), content);
        }
        for ((event_type, state_key), content) in held.iter() {
            packed(event_type, state_key, content.len())?;
        }
        let edits = [
            Edit::remove(&["name"]),
            Edit::remove(&["topic"]),
            Edit::set(&["initial_state"], format!("[{}]", kept.join(","))),
        ];
        let body = json::apply(body, &edits)?
            .and_then(|body| String::from_utf8(body).ok())
            .unwrap_or_else(|| text.to_owned());
        let events: Vec<PendingEvent> = held
            .into_iter()
            .map(|((event_type, state_key), content_json)| PendingEvent {
                event_type,
                state_key,
                content_json,
                source: String::new(),
            })
            .collect();
        let count = events.len();
        let pending_id =
            if count == 0 { String::new() } else { self.keep_pending(None, events, now) };
        Ok(CreatePlan::Create { pending_id, body, held: count })
    }

    /// The session to encrypt a room's state with, and who must get its key. Makes or replaces it
    /// where that is due; with `"keeps": true` neither for its age nor for its use, which only what
    /// somebody sets anew asks for. With `"sharesOnly": true` nothing is going to be encrypted, so
    /// one of an earlier run of the browser will do.
    ///
    /// # Errors
    ///
    /// [`EngineError`] where this tab or the device cannot encrypt, or the text is not what it
    /// should be.
    pub fn need_session(&mut self, json: &str) -> Result<SessionView, EngineError> {
        self.must_write()?;
        let device = self.device.clone().ok_or(EngineError::NoDevice)?;
        let room_id = get_str(json, &["roomId"])?.ok_or(EngineError::Input("room"))?;
        let now = number(json, "now")?;
        let encryption = get(json, &["encryption"])?.unwrap_or("{}");
        // What is encrypted once more after a rotation must not bring about the next one.
        let keeps = get(json, &["keeps"])? == Some("true");
        let shares_only = get(json, &["sharesOnly"])? == Some("true");
        let policy = if keeps {
            RotationPolicy::NEVER
        } else {
            RotationPolicy::from_encryption_content(encryption)
        };
        let shared_history = matches!(
            get_str(json, &["historyVisibility"])?.as_deref(),
            None | Some("shared" | "world_readable")
        );
        let mut allowed = Recipients::new();
        let mut refused = Vec::new();
        for member in elements(get(json, &["members"])?.ok_or(EngineError::Input("members"))?)? {
            let member: String =
                serde_json::from_str(member).map_err(|_| EngineError::Input("members"))?;
            if !self.is_away(&room_id, &member) {
                allowed.add_user(&member);
            }
        }
        for user in elements(get(json, &["targets"])?.ok_or(EngineError::Input("targets"))?)? {
            let user_id = get_str(user, &["userId"])?.ok_or(EngineError::Input("targets"))?;
            if !allowed.has_user(&user_id) {
                continue;
            }
            for target in elements(get(user, &["devices"])?.unwrap_or("[]"))? {
                let text = |key| get_str(target, &[key]).map(Option::unwrap_or_default);
                let (device_id, curve25519) = (text("deviceId")?, text("curve25519")?);
                let is_self = user_id == device.user_id() && device_id == device.device_id();
                if is_self || device_id.is_empty() || curve25519.is_empty() {
                    continue;
                }
                let says = |key| get(target, &[key]).map(|value| value == Some("true"));
                let why = if says("blocked")? {
                    Some("blocked")
                } else if self.settings.trust == Trust::CrossSigned
                    && !says("crossSigned")?
                    && !says("verified")?
                {
                    Some("not-cross-signed")
                } else {
                    None
                };
                match why {
                    Some(why) => {
                        refused.push(RefusedDevice { user_id: user_id.clone(), device_id, why });
                    }
                    None => allowed.add(&user_id, DeviceKey { device_id, curve25519 }),
                }
            }
        }
        let mut rotated = None;
        let mut is_new = true;
        if let Some(outbound) = self.outbound.get(&room_id) {
            is_new = false;
            rotated = match outbound.session.sharing(&allowed, &policy, now) {
                _ if outbound.is_behind() => {
                    let session_id = outbound.session_id();
                    self.problem(&room_id, "index-used-twice", &session_id);
                    Some("asked")
                }
                // Before whatever may wait: it encrypts nothing in any case.
                _ if !shares_only && !outbound.is_verified() => Some("unproven"),
                Sharing::Rotate(reason) => Some(rotation_name(reason)),
                // So that it is done by this device, as the others in the room think.
                Sharing::Share(_) if self.is_stale_session(&room_id, &outbound.session_id()) => {
                    Some(rotation_name(RotationReason::MemberLeft))
                }
                // Its key opens, for those who join, what they may not read.
                Sharing::Share(_) if outbound.shares_history && !shared_history => {
                    Some("visibility")
                }
                Sharing::Share(_) => None,
            };
        }
        let is_departure = matches!(rotated, Some("member-left" | "device-removed"));
        if is_departure {
            // What is sent again tells nobody anything new, so those who leave one after the other
            // cost the room one session. What is set anew waits for nothing.
            let again_at = self.renewed.get(&room_id).map_or(0, |at| at.saturating_add(RENEWAL_MS));
            let is_soon = again_at > now && again_at - now <= RENEWAL_MS;
            if keeps && is_soon {
                rotated = None;
                self.postponed.insert(room_id.clone(), again_at);
            } else {
                self.postponed.remove(&room_id);
                self.renewed.insert(room_id.clone(), now, 0);
            }
        }
        if is_new || rotated.is_some() {
            is_new = true;
            let made = Outbound::made(OutboundSession::make(&room_id, now), shared_history);
            // Our own sessions open our own events. A contradiction is somebody else's key under our
            // session's id; ours came first or stands beside it.
            let _ = self.sessions.add(made.session.to_inbound(&device));
            self.outbound.replace(&room_id, made, &mut self.journal);
        }
        let outbound = self.outbound.get_mut(&room_id).ok_or(EngineError::NoSession)?;
        let missing = match outbound.session.sharing(&allowed, &policy, now) {
            Sharing::Share(missing) => missing,
            // A session that is to be replaced soon: those who came get the key of the next.
            Sharing::Rotate(_) => Recipients::new(),
        };
        let share_with = missing
            .iter()
            .map(|(user_id, device)| DeviceName {
                user_id: user_id.to_owned(),
                device_id: device.device_id.clone(),
            })
            .collect();
        // On disk before the first of them is sent the key: the page may be closed in between.
        let changed = outbound.session.mark_intended(&missing);
        outbound.reached = missing.is_empty();
        outbound.wanted = missing;
        outbound.asked = true;
        outbound.now = now;
        outbound.note_members(&allowed);
        let session = &outbound.session;
        // As of when it was made, whatever is so now.
        let shared_history = shared_history && outbound.shares_history;
        let view = SessionView {
            session_id: session.session_id(),
            is_new,
            rotated,
            share_with,
            refused,
            without_devices: allowed
                .users_without_devices()
                .filter(|user| *user != device.user_id())
                .map(str::to_owned)
                .collect(),
            room_key_content: raw(room_key_content(session, shared_history), |secret| {
                secret.expose().to_owned()
            })?,
            import_json: room_keys_for_import(session, &device, shared_history)
                .map_err(|_| EngineError::NoSession)?
                .expose()
                .to_owned(),
            should_import: !outbound.imported,
        };
        if let Some(first) = changed {
            self.outbound.touch_holders(&room_id, first, &mut self.journal);
        }
        Ok(view)
    }

    /// The page's own crypto has the session.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotWriter`] or [`EngineError::NoSession`].
    pub fn imported(&mut self, room_id: &str, session_id: &str) -> Result<(), EngineError> {
        self.must_write()?;
        self.session(room_id, session_id)?.imported = true;
        Ok(())
    }

    /// These devices have been sent the key: `[{"userId", "deviceId"}]`. Others than were to get it
    /// are passed over.
    ///
    /// # Errors
    ///
    /// [`EngineError`] for another session than the one of now, or a text that is no such list.
    pub fn shared(
        &mut self,
        room_id: &str,
        session_id: &str,
        devices: &str,
    ) -> Result<(), EngineError> {
        self.must_write()?;
        let own = self.device.as_ref().map(|device| device.user_id().to_owned());
        let outbound = self.session(room_id, session_id)?;
        let mut parts = Set::new();
        for device in elements(devices)? {
            let text = |key| get_str(device, &[key]).map(Option::unwrap_or_default);
            let (user_id, device_id) = (text("userId")?, text("deviceId")?);
            let Some(device) = outbound.wanted.device(&user_id, &device_id).cloned() else {
                continue;
            };
            let has_key = outbound.session.holders().has_user(&user_id);
            if !has_key && own.as_deref() != Some(&user_id) {
                outbound.note_given(&user_id);
            }
            parts.insert(outbound.session.mark_given(&user_id, &device));
            outbound.reached = true;
        }
        self.outbound.touch_parts(room_id, &parts, &mut self.journal);
        Ok(())
    }

    fn session(&mut self, room_id: &str, session_id: &str) -> Result<&mut Outbound, EngineError> {
        self.outbound
            .get_mut(room_id)
            .filter(|outbound| outbound.session_id() == session_id)
            .ok_or(EngineError::NoSession)
    }

    /// Encrypts one state event; the ticket gives it out once its index is stored.
    ///
    /// # Errors
    ///
    /// [`EngineError`]; nothing was used up then.
    pub fn encrypt(
        &mut self,
        room_id: &str,
        event_type: &str,
        state_key: &str,
        content: &str,
    ) -> Result<u32, EngineError> {
        self.must_write()?;
        let device = self.device.as_ref().ok_or(EngineError::NoDevice)?;
        let outbound = self.outbound.get_mut(room_id).ok_or(EngineError::NoSession)?;
        if !outbound.asked || !outbound.imported || !outbound.is_verified() {
            return Err(EngineError::NoSession);
        }
        if !outbound.reached {
            return Err(EngineError::NotShared);
        }
        let encrypted =
            encrypt_state(&mut outbound.session, device, event_type, state_key, content)
                .map_err(|error| EngineError::Encrypt(error.to_string()))?;
        outbound.note_written((event_type.to_owned(), state_key.to_owned()));
        let path = format!(
            "/_matrix/client/v3/rooms/{}/state/{ENCRYPTED_TYPE}/{}",
            encoded(room_id),
            encrypted.key.to_path_segment()
        );
        let outgoing = Outgoing { path, body: encrypted.content };
        Ok(self.outbound.hold(room_id, outgoing, &mut self.journal))
    }

    /// The encrypted event, once; after its index was stored.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotStored`]: the ticket stays good. [`EngineError::Unknown`], also where its
    /// session could not be stored.
    pub fn take_encrypted(&mut self, ticket: u32) -> Result<Outgoing, EngineError> {
        match self.outbound.take(ticket) {
            Some(Ok(outgoing)) => Ok(outgoing),
            Some(Err(())) => Err(EngineError::NotStored),
            None => Err(EngineError::Unknown),
        }
    }

    /// Rooms with an outbound session.
    #[must_use]
    pub fn outbound_rooms(&self) -> Vec<String> {
        self.outbound.iter().map(|(room_id, _)| room_id.clone()).collect()
    }

    /// Our own sessions open our own events, also those of before a reload.
    pub(super) fn read_own_sessions(&mut self) {
        let Some(device) = self.device.clone() else { return };
        for (_, outbound) in self.outbound.iter() {
            let _ = self.sessions.add(outbound.session.to_inbound(&device));
        }
    }

    /// An event of our own session with an index we have not used was made by a copy of this
    /// profile: the session must not go on. Whether we have used it is known when the store was
    /// read last, so it is judged in [`StateEngine::need_session`].
    pub(super) fn check_own_index(&mut self, room_id: &str, opened: &OpenedState) {
        if let Some(outbound) = self.outbound.get_mut(room_id)
            && outbound.session_id() == opened.session_id
        {
            outbound.note_received(Some(opened.message_index));
        }
    }
}

#[cold]
fn unreadable() -> Plan {
    Plan::Refuse {
        errcode: "M_INVALID_PARAM",
        sentence: "Mantle cannot read the address of this change of the room, so it was not sent."
            .to_owned(),
    }
}

/// The key of what is not too long to be encrypted, with all that is encrypted beside the content.
#[inline(never)]
fn packed(event_type: &str, state_key: &str, length: usize) -> Result<PackedKey, EngineError> {
    const BESIDE: usize = 2_048;
    let key = PackedKey::pack(event_type, state_key)
        .map_err(|error| EngineError::Encrypt(error.to_string()))?;
    if length > MAX_PAYLOAD_BYTES - BESIDE {
        return Err(EngineError::Encrypt("it is too long, make it shorter".to_owned()));
    }
    Ok(key)
}

/// The event with the room's name cut out of a widget's data.
fn without_room_name(body: &[u8]) -> Plan {
    let edits = [Edit::remove(&["data", "roomName"])];
    match json::apply(body, &edits) {
        Ok(Some(body)) => match String::from_utf8(body) {
            Ok(body) => Plan::Rewrite { body },
            Err(_) => Plan::Pass,
        },
        Ok(None) => Plan::Pass,
        Err(_) => Plan::Refuse {
            errcode: "M_NOT_JSON",
            sentence: "Mantle could not check this request.".to_owned(),
        },
    }
}

pub(super) fn with_flag(event: &str) -> Result<String, EngineError> {
    let [unstable, _] = STATE_ENCRYPTION_FLAGS;
    let edit = Edit::set(&["content", unstable], "true");
    Ok(edited(event, edit)?.unwrap_or_else(|| event.to_owned()))
}

/// `None` where the edit changes nothing.
fn edited(event: &str, edit: Edit) -> Result<Option<String>, EngineError> {
    let edited = json::apply(event.as_bytes(), &[edit])?;
    Ok(edited.and_then(|event| String::from_utf8(event).ok()))
}

pub(super) fn number(json: &str, key: &'static str) -> Result<u64, EngineError> {
    get(json, &[key])?.and_then(|number| number.parse().ok()).ok_or(EngineError::Input("time"))
}

fn rotation_name(reason: RotationReason) -> &'static str {
    match reason {
        RotationReason::Age => "age",
        RotationReason::Messages => "messages",
        RotationReason::MemberLeft => "member-left",
        RotationReason::DeviceRemoved => "device-removed",
    }
}

fn raw<T>(
    text: Result<T, serde_json::Error>,
    expose: impl Fn(&T) -> String,
) -> Result<Box<RawValue>, EngineError> {
    text.ok()
        .and_then(|text| RawValue::from_string(expose(&text)).ok())
        .ok_or(EngineError::NoSession)
}
