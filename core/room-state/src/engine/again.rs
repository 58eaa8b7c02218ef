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
//!
//! Somebody may set a new value while the old one is on its way once more, and the old one would win.
//! So what was sent is followed until it has come back, over reloads too: what was set in between is
//! sent after it.

use serde::Serialize;

use super::{EngineError, StateEngine};
use crate::decrypt::decrypt::OpenedState;
use crate::engine::read::{Arrival, slot};
use crate::engine::write::number;
use crate::flow::request_filters::encoded;
use crate::index::events::ENCRYPTED_TYPE;
use crate::model::precedence::Candidate;
use crate::msc4362::packed_key::PackedKey;
use crate::msc4362::power_levels::PowerLevels;
use crate::sorted::{Bounded, Map, Set};
use mantle_wire::json::{elements, get, get_str, quoted};

/// How long each further member waits for the one before.
const TURN_MS: u64 = 60_000;
/// The same for further devices of one member.
const DEVICE_TURN_MS: u64 = 10_000;
/// The least time between two sessions of a room that are made because somebody has gone.
pub(super) const RENEWAL_MS: u64 = 20_000;
const MAX_DEVICE_TURNS: u64 = 5;
/// By then what was sent has come back by sync, or will not.
const UNDER_WAY_MS: u64 = 60_000;
/// Of a room; more of its events are not followed.
const MAX_STALE: usize = 64;

/// Events by id that someone can read who is gone, and since when that is known: milliseconds, 0 for
/// not asked about yet.
pub(super) type Stale = Map<String, u64>;

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

/// What this device has encrypted once more in a slot, until somebody sets it anew.
#[derive(Debug)]
pub(super) struct InFlightWrite {
    // What was current, and its time.
    base: String,
    base_ts: u64,
    // What was sent.
    session_id: String,
    message_index: u32,
    content: String,
    remote_echo: Option<Arrival>,
    // What somebody set between the two: the last of it.
    lost_update: Option<LostUpdate>,
}

/// What somebody set while an older value was on its way once more.
#[derive(Debug)]
struct LostUpdate {
    arrival: Arrival,
    content: String,
    // Its event, or what redacted the older value; empty where that is not known.
    event_id: String,
}

impl InFlightWrite {
    /// Sealed by whoever stores it. Arrivals are left out: they count answers since the page was
    /// loaded.
    fn stored(&self, event_type: &str, state_key: &str) -> String {
        let lost_update = self.lost_update.as_ref();
        format!(
            r#"{{"type":{},"state_key":{},"base":{},"base_ts":{},"session_id":{},"message_index":{},"content":{},"undone":{}}}"#,
            quoted(event_type),
            quoted(state_key),
            quoted(&self.base),
            self.base_ts,
            quoted(&self.session_id),
            self.message_index,
            quoted(&self.content),
            lost_update
                .map_or_else(|| "null".to_owned(), |lost_update| quoted(&lost_update.content)),
        )
    }

    /// With its type and state key.
    fn restore(stored: &str) -> Option<(String, String, Self)> {
        let text = |key: &str| get_str(stored, &[key]).ok().flatten();
        let rewrite = Self {
            base: text("base")?,
            base_ts: number(stored, "base_ts").ok()?,
            session_id: text("session_id")?,
            message_index: number(stored, "message_index").ok()?.try_into().ok()?,
            content: text("content")?,
            remote_echo: None,
            lost_update: text("undone").map(|content| LostUpdate {
                arrival: Arrival::default(),
                content,
                event_id: String::new(),
            }),
        };
        Some((text("type")?, text("state_key")?, rewrite))
    }

    fn is_it(&self, session_id: &str, message_index: u32) -> bool {
        self.session_id == session_id && self.message_index == message_index
    }
}

/// An opened event that claims to be current, or did when it was sent.
pub(super) struct Reconciled<'a> {
    pub(super) event_id: &'a str,
    pub(super) ts: u64,
    pub(super) opened: &'a OpenedState,
    pub(super) arrival: Arrival,
    /// What it replaced, if the homeserver says so and that could be opened.
    pub(super) previous: Option<(&'a str, &'a OpenedState)>,
}

impl StateEngine {
    /// Encrypts an event of [`StateEngine::reencrypt`], whose id is `base`.
    ///
    /// # Errors
    ///
    /// As of [`StateEngine::encrypt`].
    pub fn encrypt_again(
        &mut self,
        room_id: &str,
        event_type: &str,
        state_key: &str,
        content: &str,
        base: &str,
    ) -> Result<u32, EngineError> {
        let outbound = self.outbound.get(room_id).ok_or(EngineError::NoSession)?;
        let (session_id, message_index) = (outbound.session_id(), outbound.message_index());
        let ticket = self.encrypt(room_id, event_type, state_key, content)?;
        let current = self.known.current(room_id, event_type, state_key);
        let base_ts = current.map_or(0, |current| current.origin_server_ts);
        let out = self.in_flight.insert(
            slot(room_id, event_type, state_key),
            InFlightWrite {
                base: base.to_owned(),
                base_ts,
                session_id,
                message_index,
                content: content.to_owned(),
                remote_echo: None,
                lost_update: None,
            },
            0,
        );
        for (room_id, ..) in out {
            self.touch_room(&room_id);
        }
        self.touch_room(room_id);
        Ok(ticket)
    }

    /// What is followed in a room, for its store: a JSON array with contents in clear, to be sealed.
    /// `None` where nothing is.
    pub(super) fn stored_in_flight(&self, room_id: &str) -> Option<String> {
        let in_flight: Vec<String> = self
            .in_flight
            .iter()
            .filter(|((room, ..), _)| room == room_id)
            .map(|((_, event_type, state_key), rewrite)| rewrite.stored(event_type, state_key))
            .collect();
        (!in_flight.is_empty()).then(|| format!("[{}]", in_flight.join(",")))
    }

    /// Goes on following what [`StateEngine::stored_in_flight`] gave, where the room's state is the one
    /// of then. After the events in clear.
    pub(super) fn restore_rewrites(&mut self, room_id: &str, stored: &str) {
        for rewrite in elements(stored).unwrap_or_default() {
            let Some((event_type, state_key, rewrite)) = InFlightWrite::restore(rewrite) else {
                continue;
            };
            let Some(current) = self.known.current(room_id, &event_type, &state_key) else {
                continue;
            };
            let is_ours = rewrite.is_it(&current.session_id, current.message_index);
            let event = self.memory.get(room_id, &(event_type.clone(), state_key.clone()));
            let content = event.and_then(|event| get(event, &["content"]).ok().flatten());
            let lost_update =
                rewrite.lost_update.as_ref().map(|lost_update| lost_update.content.as_str());
            let is_undone = lost_update.is_some() && lost_update == content;
            if !is_ours && !is_undone && current.event_id != rewrite.base {
                continue;
            }
            if is_ours && rewrite.lost_update.is_some() {
                self.tend.or_insert_with(room_id.to_owned(), || "stale");
            }
            let slot = slot(room_id, &event_type, &state_key);
            if !self.in_flight.contains_key(&slot) {
                self.in_flight.insert(slot, rewrite, 0);
            }
        }
    }

    /// Looks whether an event is what was encrypted once more, or what somebody set before that
    /// arrived. A clock that goes behind the one of the event before is not believed: what looks
    /// older is not set again.
    pub(super) fn reconcile(&mut self, room_id: &str, event: &Reconciled<'_>) {
        if self.in_flight.is_empty() {
            return;
        }
        let Reconciled { event_id, ts, opened, arrival, previous } = *event;
        let slot = slot(room_id, &opened.event_type, &opened.state_key);
        let was_replaced = |id| self.known.was_replaced(room_id, &slot.1, &slot.2, id);
        let is_past = was_replaced(event_id);
        let previous = previous.filter(|(id, _)| !was_replaced(id));
        let Some(rewrite) = self.in_flight.get_mut(&slot) else { return };
        let mut changed = false;
        if event_id == rewrite.base {
            return;
        }
        if rewrite.is_it(&opened.session_id, opened.message_index) {
            rewrite.remote_echo.get_or_insert(arrival);
            if let Some((id, previous)) = previous
                && id != rewrite.base
                && previous.content != rewrite.content
                && rewrite.lost_update.is_none()
            {
                let (answer, weight, place) = arrival;
                let before = (answer, weight, place.saturating_sub(1));
                rewrite.lost_update = Some(LostUpdate {
                    arrival: before,
                    content: previous.content.clone(),
                    event_id: id.to_owned(),
                });
                changed = true;
            }
        } else if rewrite.remote_echo.is_some_and(|remote_echo| remote_echo < arrival) {
            self.in_flight.remove(&slot);
            self.touch_room(room_id);
            return;
        } else if !is_past
            && ts >= rewrite.base_ts
            && opened.content != rewrite.content
            && rewrite.lost_update.as_ref().is_none_or(|lost_update| lost_update.arrival < arrival)
        {
            rewrite.lost_update = Some(LostUpdate {
                arrival,
                content: opened.content.clone(),
                event_id: event_id.to_owned(),
            });
            changed = true;
        }
        if rewrite.remote_echo.is_some() && rewrite.lost_update.is_some() {
            self.tend.or_insert_with(room_id.to_owned(), || "stale");
        }
        if changed {
            self.touch_room(room_id);
        }
    }

    /// An event was redacted. Where it is on its way once more, it is emptied after that; where it was
    /// to be set again, it is not.
    pub(super) fn redact_rewrites(&mut self, room_id: &str, event_id: &str) {
        let mut changed = false;
        let mut gone = None;
        for (slot, rewrite) in self.in_flight.iter_mut().filter(|(slot, _)| slot.0 == room_id) {
            if rewrite
                .lost_update
                .as_ref()
                .is_some_and(|lost_update| lost_update.event_id == event_id)
            {
                rewrite.lost_update = None;
                changed = true;
            }
            if rewrite.base == event_id {
                rewrite.lost_update = Some(LostUpdate {
                    arrival: Arrival::default(),
                    content: "{}".to_owned(),
                    event_id: String::new(),
                });
                changed = true;
            }
            let current = self.known.current(room_id, &slot.1, &slot.2);
            let is_ours = |current: &Candidate| {
                current.event_id == event_id
                    && rewrite.is_it(&current.session_id, current.message_index)
            };
            if current.is_some_and(is_ours) {
                gone = Some(slot.clone());
            }
        }
        if let Some(slot) = gone {
            self.in_flight.remove(&slot);
            changed = true;
        }
        if changed {
            self.touch_room(room_id);
            self.tend.or_insert_with(room_id.to_owned(), || "stale");
        }
    }

    /// What somebody had set when this current event of ours took its place.
    fn lost_update(
        &self,
        room_id: &str,
        slot: &(String, String),
        current: &Candidate,
    ) -> Option<&str> {
        let rewrite = self.in_flight.get(&self::slot(room_id, &slot.0, &slot.1))?;
        let is_it = rewrite.is_it(&current.session_id, current.message_index);
        rewrite
            .lost_update
            .as_ref()
            .filter(|_| is_it)
            .map(|lost_update| lost_update.content.as_str())
    }

    /// Somebody who was in the room has left it: what is known of its state by now was for them too.
    pub(super) fn departed(&mut self, room_id: &str) {
        let ids: Vec<String> =
            self.known.slots(room_id).map(|(_, _, current)| current.event_id.clone()).collect();
        for id in ids {
            self.mark_stale(room_id, id);
        }
    }

    /// What a sync says of a member: the page's own client takes its time to know it.
    pub(super) fn moved(&mut self, room_id: &str, user_id: &str, content: &str) {
        const MAX_MOVED: usize = 1_000;
        let Ok(Some(membership)) = get_str(content, &["membership"]) else { return };
        let moved =
            self.moved.or_insert_with(room_id.to_owned(), || Bounded::new(MAX_MOVED, usize::MAX));
        moved.insert(user_id.to_owned(), membership, 0);
    }

    /// True when the last that was heard of a user is that they are no member any more.
    pub(super) fn is_away(&self, room_id: &str, user_id: &str) -> bool {
        self.moved
            .get(room_id)
            .and_then(|moved| moved.get(user_id))
            .is_some_and(|membership| matches!(membership.as_str(), "leave" | "ban"))
    }

    pub(super) fn mark_stale(&mut self, room_id: &str, event_id: String) {
        let stale = self.stale.or_default(room_id.to_owned());
        if stale.len() < MAX_STALE && !stale.contains_key(&event_id) {
            stale.insert(event_id, 0);
            self.touch_room(room_id);
        }
    }

    pub(super) fn unmark_stale(&mut self, room_id: &str, event_id: &str) {
        let Some(stale) = self.stale.get_mut(room_id) else { return };
        if stale.remove(event_id).is_some() {
            if stale.is_empty() {
                self.stale.remove(room_id);
            }
            self.touch_room(room_id);
        }
    }

    /// True when the session encrypts something current that someone can read who is gone.
    pub(super) fn is_stale_session(&self, room_id: &str, session_id: &str) -> bool {
        let Some(stale) = self.stale.get(room_id) else { return false };
        self.known.slots(room_id).any(|(_, _, current)| {
            current.session_id == session_id && stale.contains_key(&current.event_id)
        })
    }

    /// Current state that this device is to encrypt once more: its own after a rotation; that of
    /// others when it is its turn. `json`: `{"members": [joined user ids], "now"}`.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is not that.
    pub fn reencrypt(&mut self, room_id: &str, json: &str) -> Result<Reencryption, EngineError> {
        let now = number(json, "now")?;
        let mut members: Vec<String> = Vec::new();
        for member in elements(get(json, &["members"])?.ok_or(EngineError::Input("members"))?)? {
            members.extend(serde_json::from_str::<String>(member));
        }
        members.retain(|member| !self.is_away(room_id, member));
        members.sort();
        let mut all = Reencryption { delay_ms: 0, events: Vec::new() };
        if let Some(due) = self.postponed.remove(room_id) {
            all.wait(due.saturating_sub(now).max(1));
        }
        if let Some(outbound) = self.outbound.get_mut(room_id) {
            outbound.note_late(&members, now);
        }
        let Some(device) = self.device.as_ref() else { return Ok(all) };
        let Some(levels) = self.levels.get(room_id) else { return Ok(all) };
        let held = self.outbound.get(room_id);
        let session = held.map(|outbound| outbound.session_id());
        let before = self.stale.get(room_id).cloned().unwrap_or_default();
        let mut stale = Stale::new();
        let writers = self.writers(room_id);
        for (event_type, state_key, current) in self.known.slots(room_id) {
            let slot = (event_type.to_owned(), state_key.to_owned());
            let known_since = before.get(&current.event_id).copied();
            let Some(event) = self.memory.get(room_id, &slot) else { continue };
            if let Some(content) = self.lost_update(room_id, &slot, current) {
                all.events.extend(again(room_id, slot, current, content));
                continue;
            }
            if session.as_ref() == Some(&current.session_id) {
                // The session has to be changed first.
                known_since.map(|since| stale.insert(current.event_id.clone(), since));
                match held.and_then(|outbound| outbound.late_wait(&slot, now)) {
                    Some(0) => {
                        let content = get(event, &["content"])?.unwrap_or("{}");
                        all.events.extend(again(room_id, slot, current, content));
                    }
                    Some(wait) => all.wait(wait),
                    None => {}
                }
                continue;
            }
            let sender = get_str(event, &["sender"])?.unwrap_or_default();
            let maker = self.maker(room_id, current);
            let is_own = maker == Some(device.curve25519());
            let is_there = members.binary_search(&sender).is_ok()
                && maker.is_none_or(|maker| self.present_device(maker, &sender));
            // What is not sure is signed by nobody else.
            if !is_own
                && !self.memory.is_sure(room_id, &slot)
                && !self.is_sure(room_id, &current.session_id, &sender)
            {
                known_since.map(|since| stale.insert(current.event_id.clone(), since));
                continue;
            }
            let rotated = is_own && session.is_some();
            if !rotated && known_since.is_none() && is_there {
                continue;
            }
            let since = known_since.filter(|since| *since != 0).unwrap_or(now);
            stale.insert(current.event_id.clone(), since);
            let order = order(&members, levels, event_type, is_there.then_some(&sender), &writers);
            let Some(turn) = order.iter().position(|user| *user == device.user_id()) else {
                continue;
            };
            let turn = u64::try_from(turn).unwrap_or(u64::MAX);
            let turn = turn
                .saturating_mul(TURN_MS)
                .saturating_add(self.own_turn(maker).saturating_mul(DEVICE_TURN_MS));
            let written = held.and_then(|outbound| outbound.written(&slot));
            let due = since
                .saturating_add(turn)
                .max(written.map_or(0, |written| written.saturating_add(UNDER_WAY_MS)));
            if due > now {
                all.wait(due - now);
                continue;
            }
            let content = get(event, &["content"])?.unwrap_or("{}");
            all.events.extend(again(room_id, slot, current, content));
        }
        if stale != before {
            self.touch_room(room_id);
            if stale.is_empty() {
                self.stale.remove(room_id);
            } else {
                self.stale.insert(room_id.to_owned(), stale);
            }
        }
        Ok(all)
    }

    /// Those whose encrypted state is current: they can do it, and every member knows the same.
    fn writers(&self, room_id: &str) -> Set<String> {
        let events = self.memory.room(room_id).map(|(_, event)| event);
        events.filter_map(|event| get_str(event, &["sender"]).ok().flatten()).collect()
    }

    /// The identity key of the device that made the event's session; `None` where nothing of the
    /// session was opened since the page was loaded.
    fn maker(&self, room_id: &str, current: &Candidate) -> Option<&str> {
        let origin = self.sessions.origin(room_id, &current.session_id)?;
        Some(&origin.sender_key)
    }

    /// The place of this device among its user's: the event's maker goes first, the others by key.
    fn own_turn(&self, maker: Option<&str>) -> u64 {
        let Some(device) = self.device.as_ref() else { return 0 };
        let own = device.curve25519();
        if maker == Some(own) {
            return 0;
        }
        let Some(keys) = self.current_devices.get(device.user_id()) else { return 0 };
        let goes_before = |key: &&String| maker == Some(key.as_str()) || key.as_str() < own;
        u64::try_from(keys.iter().filter(goes_before).count()).unwrap_or(0).min(MAX_DEVICE_TURNS)
    }

    /// False when the user's devices were told and none of them has this key.
    fn present_device(&self, curve25519: &str, user_id: &str) -> bool {
        !self.listed.contains(user_id)
            || self.current_devices.get(user_id).is_some_and(|keys| keys.contains(curve25519))
    }
}

/// `None` for a slot whose key is too long, of which no event can be.
fn again(
    room_id: &str,
    (event_type, state_key): (String, String),
    current: &Candidate,
    content: &str,
) -> Option<Again> {
    let key = PackedKey::pack(&event_type, &state_key).ok()?;
    Some(Again {
        path: format!(
            "/_matrix/client/v3/rooms/{}/state/{ENCRYPTED_TYPE}/{}",
            encoded(room_id),
            key.to_path_segment()
        ),
        event_id: current.event_id.clone(),
        session_id: current.session_id.clone(),
        content_json: content.to_owned(),
        event_type,
        state_key,
    })
}

/// Who encrypts an event once more, first to last: its sender if there still, then those who write
/// encrypted state in the room, then all others with the power to.
fn order<'a>(
    members: &'a [String],
    levels: &PowerLevels,
    event_type: &str,
    sender: Option<&String>,
    writers: &Set<String>,
) -> Vec<&'a str> {
    let mut order: Vec<&String> =
        members.iter().filter(|member| levels.may_send_encrypted(member, event_type)).collect();
    order.sort_by_key(|member| (Some(*member) != sender, !writers.contains(*member)));
    order.into_iter().map(String::as_str).collect()
}
