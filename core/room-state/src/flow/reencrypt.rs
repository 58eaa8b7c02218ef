//! Current state that is encrypted once more: after a rotation, and when somebody who had its key is
//! gone.
//!
//! Every Mantle in a room sees the same leave and judges by what all of them see: who made the event,
//! who else wrote encrypted state that is current, who has the power. That gives one order, and each
//! in it waits for those before, so that one writes and the others find it done. Two write where they
//! disagree about members or levels at that moment; the content is the same then.
//!
//! Unmodified clients (matrix-js-sdk 38 to 43) never open state whose key comes after it. So what
//! this device has made is sent once more when somebody had joined before they were given the key.

use serde::Serialize;

use crate::error::EngineError;
use crate::ids::{RoomId, SessionId, Slot, UserId};
use crate::megolm::OwnDevice;
use crate::model::Model;
use crate::model::decryption::Made;
use crate::model::devices::{Curve25519, Devices};
use crate::model::in_flight::{Base, Sent};
use crate::model::outbound::{Outbound, UNDER_WAY_MS};
use crate::model::precedence::Candidate;
use crate::model::stale::Stale;
use crate::model::stored::number;
use crate::msc4362::packed_key::PackedKey;
use crate::msc4362::power_levels::PowerLevels;
use crate::paths::encrypted_path;
use crate::sorted::Set;
use mantle_wire::json::{elements, exact_string, get, get_str};

/// How long each further member waits for the one before.
const TURN_MS: u64 = 60_000;
/// The same for further devices of one member.
const DEVICE_TURN_MS: u64 = 10_000;
const MAX_DEVICE_TURNS: u64 = 5;

/// One state event to be encrypted once more.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Again {
    /// Its type.
    pub event_type: String,
    /// Its state key.
    pub state_key: String,
    /// Its content, JSON.
    pub content_json: String,
    /// Where the homeserver has the encrypted event.
    pub path: String,
    /// Its id; when the homeserver has another event there, someone was quicker.
    pub event_id: String,
    /// The session it is encrypted with, for homeservers that give no ids.
    pub session_id: String,
}

impl std::fmt::Debug for Again {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Again")
            .field("event_type", &self.event_type)
            .finish_non_exhaustive()
    }
}

/// Current state to be sent once more, with the session of now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reencryption {
    /// Ask again after so long; 0: nothing waits.
    pub delay_ms: u64,
    /// What to send now.
    pub events: Vec<Again>,
}

impl Reencryption {
    fn wait(&mut self, wait: u64) {
        self.delay_ms = if self.delay_ms == 0 { wait } else { self.delay_ms.min(wait) };
    }
}

/// What was encrypted of an event that [`reencrypt`] gave, and with what.
#[derive(Debug)]
pub(crate) struct Repeated<'a> {
    pub(crate) content: &'a str,
    pub(crate) session_id: String,
    pub(crate) message_index: u32,
}

/// Follows what was encrypted once more of the event with the id `base`, until it has come back.
pub(crate) fn follow(model: &mut Model, slot: Slot, base: &str, repeated: Repeated<'_>) {
    let known = model.states.known();
    let current = known.current(slot.room(), slot.of());
    let origin_server_ts = current.map_or(0, |current| current.origin_server_ts);
    let base = Base { event_id: base, origin_server_ts };
    let Repeated { content, session_id, message_index } = repeated;
    let sent = Sent { base, session_id, message_index, content };
    model.states.follow(slot, sent, &mut model.journal);
}

/// Current state that this device is to encrypt once more: its own after a rotation; that of
/// others when it is its turn. `json`: `{"members": [joined user ids], "now"}`.
///
/// # Errors
///
/// [`EngineError::Input`] when the text is not that.
pub(crate) fn reencrypt(
    model: &mut Model,
    room: RoomId<'_>,
    json: &str,
) -> Result<Reencryption, EngineError> {
    let room_id = room.0;
    let now = number(json, "now").ok_or(EngineError::Input("time"))?;
    let mut members: Vec<String> = Vec::new();
    for member in elements(get(json, &["members"])?.ok_or(EngineError::Input("members"))?)? {
        members.extend(exact_string(member));
    }
    members.retain(|member| !model.due.is_away(room, member));
    members.sort();
    let mut all = Reencryption { delay_ms: 0, events: Vec::new() };
    if let Some(due) = model.due.take_postponed(room_id) {
        all.wait(due.saturating_sub(now).max(1));
    }
    if let Some(outbound) = model.outbound.get_mut(room_id) {
        outbound.note_late(&members, now);
    }
    let Some(device) = model.devices.own() else { return Ok(all) };
    let Some(levels) = model.rooms.levels(room_id) else { return Ok(all) };
    let held = model.outbound.get(room_id);
    let election = Election {
        room,
        device,
        members: &members,
        levels,
        writers: writers(model, room_id),
        held,
        session_id: held.map(Outbound::session_id),
        latest_start: held.map_or(0, Outbound::latest_start),
        now,
    };
    let before = model.states.stale(room_id).cloned().unwrap_or_default();
    let mut stale = Stale::new();
    for (of, current) in model.states.known().slots(room_id) {
        let slot = Slot::new(room, of);
        let Some(event) = model.states.memory().get(room, of) else { continue };
        if let Some(content) = model.states.lost_update(&slot, current) {
            all.events.extend(again(slot, current, content));
            continue;
        }
        let known_since = before.get(&current.event_id).copied();
        let turn = election.turn(model, &slot, current, (event, known_since))?;
        if let Some(since) = turn.stale_since {
            stale.insert(current.event_id.clone(), since);
        }
        match turn.wait {
            Some(0) => {
                let content = get(event, &["content"])?.unwrap_or("{}");
                all.events.extend(again(slot, current, content));
            }
            Some(wait) => all.wait(wait),
            None => {}
        }
    }
    model.states.set_stale(room_id, stale, &mut model.journal);
    Ok(all)
}

/// What decides whose turn it is.
struct Election<'a> {
    room: RoomId<'a>,
    device: &'a OwnDevice,
    // Sorted.
    members: &'a [String],
    levels: &'a PowerLevels,
    writers: Set<String>,
    held: Option<&'a Outbound>,
    session_id: Option<String>,
    // Of its key, among those who came later.
    latest_start: u32,
    now: u64,
}

/// What becomes of one current event.
#[derive(Default)]
struct Turn {
    // Since when somebody can read it who is gone; none: nobody.
    stale_since: Option<u64>,
    // How long until this device is to send it; none: it is not to.
    wait: Option<u64>,
}

impl Election<'_> {
    fn turn(
        &self,
        model: &Model,
        slot: &Slot,
        current: &Candidate,
        (event, known_since): (&str, Option<u64>),
    ) -> Result<Turn, EngineError> {
        let in_room = slot.in_room();
        if self.session_id.as_ref() == Some(&current.session_id) {
            // The session has to be changed first.
            let may_send =
                self.levels.may_send_encrypted(UserId(self.device.user_id()), &slot.event_type);
            let held = self.held.filter(|_| may_send);
            let wait = held.and_then(|outbound| {
                outbound.late_wait(&in_room, (current.message_index, self.latest_start), self.now)
            });
            return Ok(Turn { stale_since: known_since, wait });
        }
        let sender = get_str(event, &["sender"])?.unwrap_or_default();
        let session = SessionId { room_id: self.room.0, id: &current.session_id };
        let provenance = model.states.memory().provenance(self.room, slot.of());
        let author = provenance.and_then(|provenance| provenance.author.as_ref());
        let made = Made { session, sender: UserId(&sender), author };
        let sender_device = model.sender_device(made).map(|(keys, _)| keys.0);
        let unowned = || model.sessions.unowned_origin(session);
        let sender_device =
            sender_device.or_else(|| unowned().map(|origin| origin.sender_key.clone()));
        let sender_device = sender_device.as_deref().map(Curve25519);
        let is_own = sender_device.is_some_and(|device| device.0 == self.device.curve25519());
        let is_there = self.members.binary_search(&sender).is_ok()
            && sender_device.is_none_or(|device| model.devices.may_have(&sender, &device));
        // What is not sure is signed by nobody else.
        let was_sure = provenance.is_some_and(|provenance| provenance.is_sure);
        if !is_own && !was_sure && !model.is_sure(made) {
            return Ok(Turn { stale_since: known_since, wait: None });
        }
        let is_rotated = is_own && self.session_id.is_some();
        if !is_rotated && known_since.is_none() && is_there {
            return Ok(Turn::default());
        }
        let since = known_since.filter(|since| *since != 0).unwrap_or(self.now);
        let stale_since = Some(since);
        let order = self.order(&slot.event_type, is_there.then_some(UserId(&sender)));
        let Some(rank) = order.iter().position(|user| *user == self.device.user_id()) else {
            return Ok(Turn { stale_since, wait: None });
        };
        let rank = u64::try_from(rank).unwrap_or(u64::MAX);
        let own_rank = own_rank(&model.devices, self.device, sender_device);
        let back_off =
            rank.saturating_mul(TURN_MS).saturating_add(own_rank.saturating_mul(DEVICE_TURN_MS));
        let written = self.held.and_then(|outbound| outbound.written(&in_room));
        let due = since
            .saturating_add(back_off)
            .max(written.map_or(0, |written| written.saturating_add(UNDER_WAY_MS)));
        Ok(Turn { stale_since, wait: Some(due.saturating_sub(self.now)) })
    }

    /// Who encrypts an event once more, first to last: its sender if there still, then those who write
    /// encrypted state in the room, then all others with the power to.
    fn order(&self, event_type: &str, sender: Option<UserId<'_>>) -> Vec<&str> {
        let mut order: Vec<&String> = self
            .members
            .iter()
            .filter(|member| self.levels.may_send_encrypted(UserId(member), event_type))
            .collect();
        order.sort_by_key(|member| {
            (Some(UserId(member)) != sender, !self.writers.contains(*member))
        });
        order.into_iter().map(String::as_str).collect()
    }
}

/// Those whose encrypted state is current: they can do it, and every member knows the same.
fn writers(model: &Model, room_id: &str) -> Set<String> {
    let events = model.states.memory().room(room_id).map(|(_, event, _)| event);
    events.filter_map(|event| get_str(event, &["sender"]).ok().flatten()).collect()
}

/// The place of this device among its user's: the one that made the event goes first, the others by key.
fn own_rank(devices: &Devices, device: &OwnDevice, sender_device: Option<Curve25519<'_>>) -> u64 {
    let own = device.curve25519();
    let sender_device = sender_device.map(|device| device.0);
    if sender_device == Some(own) {
        return 0;
    }
    let Some(keys) = devices.current(device.user_id()) else { return 0 };
    let goes_before = |key: &&String| sender_device == Some(key.as_str()) || key.as_str() < own;
    u64::try_from(keys.iter().filter(goes_before).count()).unwrap_or(0).min(MAX_DEVICE_TURNS)
}

/// `None` for a slot whose key is too long, of which no event can be.
fn again(slot: Slot, current: &Candidate, content: &str) -> Option<Again> {
    let key = PackedKey::pack(slot.of()).ok()?;
    Some(Again {
        path: encrypted_path(&slot.room_id, &key),
        event_id: current.event_id.clone(),
        session_id: current.session_id.clone(),
        content_json: content.to_owned(),
        event_type: slot.event_type,
        state_key: slot.state_key,
    })
}
