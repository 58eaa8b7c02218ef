//! The answer the page gets: opened events in place, and of each slot the one that counts.

use super::{
    Answer, Arrival, Entry, MAX_TENDED_BYTES, OpenError, Role, StateEngine, TIMELINE, reason,
};
use crate::decrypt::decrypt::OpenedState;
use crate::engine::again::Reconciled;
use crate::index::events::{Edit, Edited, Splice};
use crate::model::precedence::{Candidate, Precedence, STATE_ENCRYPTION_FLAGS};
use crate::msc4362::eligible::check_eligible;
use crate::msc4362::packed_key::WireKey;
use crate::sorted::{Map, Set};
use mantle_wire::json::{self, elements, get, get_str, members, quoted, span};
use mantle_wire::route::Endpoint;

/// Events sent within so many milliseconds may not know of one another: servers have queues.
const FORK_MS: u64 = 60_000;

/// Room, type, state key.
type Slot = (String, String, String);

/// What an answer says about one slot.
#[derive(Default)]
struct Claims {
    /// Encrypted events that claim to be current, by their place in the answer's list.
    entries: Vec<usize>,
    /// One that cannot be opened yet stands for it, if its key is right.
    undecryptable: bool,
}

impl StateEngine {
    pub(super) fn compose(&mut self, mut answer: Answer) -> Option<Edited> {
        let mut edits = std::mem::take(&mut answer.unreadable);
        let mut slots: Map<Slot, Claims> = Map::new();
        for (index, entry) in answer.encrypted.iter().enumerate() {
            let event_id = entry.found.event_id.as_deref().unwrap_or_default();
            match &entry.opened {
                Some(Ok(opened)) => match entry.role {
                    Role::Current(_) => {
                        self.reconcile_entry(&answer, entry, opened);
                        let slot = slot(&entry.room_id, &opened.event_type, &opened.state_key);
                        slots.or_default(slot).entries.push(index);
                    }
                    Role::History | Role::Stripped => {
                        if let Some(ts) = entry.found.origin_server_ts {
                            self.date(&entry.room_id, ts, opened);
                        }
                        edits.extend(rewrite(&answer.body, entry, opened));
                    }
                },
                Some(Err(error)) if error.may_retry() => {
                    if let Role::Current(_) = entry.role {
                        let arrival = arrival(answer.number, entry);
                        let reason = reason(error);
                        self.wait(&entry.room_id, &entry.found, &answer.body, reason, arrival);
                        if let Ok(WireKey::Packed(key)) = WireKey::read(&entry.found.state_key) {
                            let slot = slot(&entry.room_id, key.event_type(), key.state_key());
                            if matches!(error, OpenError::UntrustedDevice)
                                && entry.role != TIMELINE
                                && self
                                    .memory
                                    .get(&slot.0, &(slot.1.clone(), slot.2.clone()))
                                    .is_some()
                            {
                                // It may never count, and what does is known.
                                edits.push(self.keep_known(&slot, entry));
                            }
                            slots.or_default(slot).undecryptable = true;
                        }
                    }
                }
                // Redacted: there is nothing in it.
                Some(Err(OpenError::Content))
                    if entry.found.content(&answer.body).trim_ascii() == "{}" => {}
                Some(Err(error)) => {
                    self.refused(&entry.room_id, event_id, error);
                    edits.push(neutral(&answer.body, entry));
                }
                None => {}
            }
        }
        let mut last: Map<Slot, (u8, usize)> = Map::new();
        let emptied = self.judge_emptied(&answer, &slots, &mut edits);
        for (slot, claims) in slots.iter() {
            let newest = claims
                .entries
                .iter()
                .filter_map(|index| answer.encrypted.get(*index))
                .max_by_key(|entry| order(entry));
            let Some(newest) = newest else { continue };
            last.insert(slot.clone(), order(newest));
            if emptied.contains(slot) {
                // Before what was redacted, all of them are history.
                for entry in claims.entries.iter().filter_map(|at| answer.encrypted.get(*at)) {
                    let Some(Ok(opened)) = &entry.opened else { continue };
                    edits.extend(rewrite(&answer.body, entry, opened));
                }
                continue;
            }
            let current = self.judge(&answer, newest);
            if current && let Some(left) = answer.departed.get(&slot.0) {
                let event_id = newest.found.event_id.clone().unwrap_or_default();
                if newest.found.origin_server_ts.unwrap_or_default() < *left {
                    self.mark_stale(&slot.0, event_id);
                } else if newest.role == TIMELINE {
                    // A leave that is told once more, as first syncs do.
                    self.unmark_stale(&slot.0, &event_id);
                }
            }
            for entry in claims.entries.iter().filter_map(|index| answer.encrypted.get(*index)) {
                let Some(Ok(opened)) = &entry.opened else { continue };
                if current {
                    edits.extend(rewrite(&answer.body, entry, opened));
                } else {
                    edits.push(self.keep_known(slot, entry));
                }
            }
        }
        for entry in &answer.clear {
            let Role::Current(_) = entry.role else { continue };
            if entry.found.event_type == "m.room.encryption" {
                edits.extend(flagged(&answer.body, entry));
                continue;
            }
            let slot = slot(&entry.room_id, &entry.found.event_type, &entry.found.state_key);
            let known = self.known.current(&slot.0, &slot.1, &slot.2).is_some();
            let waits = slots.get(&slot).is_some_and(|claims| claims.undecryptable)
                && self.known.encrypts_state(&slot.0);
            if !known && !waits {
                continue;
            }
            // Before the encrypted event that replaced it, a readable one is history.
            let replaced = last.get(&slot).is_some_and(|last| *last > order(entry));
            if entry.role == TIMELINE && replaced {
                continue;
            }
            if known && !is_blank(entry.found.content(&answer.body)) {
                let event_id = entry.found.event_id.clone().unwrap_or_default();
                self.problem(&slot.0, "clear-over-encrypted", &event_id);
            }
            let substitute = entry.role != TIMELINE && !last.contains_key(&slot);
            edits.push(if substitute {
                self.keep_known(&slot, entry)
            } else {
                Edit::of(&entry.found, Splice::Remove)
            });
        }
        if let Some(survey) = answer.survey.take() {
            edits.extend(self.tell_invites(&answer, &survey));
        }
        if answer.second {
            edits.extend(answer.delivered.iter().map(|range| Edit {
                range: range.clone(),
                in_array: false,
                splice: Splice::Replace(b"[]".to_vec()),
            }));
        }
        edits.sort_by_key(|edit| edit.range.start);
        let (edited, mut changed) = Edited::new(answer.body, edits, !answer.changed);
        let mut edited = edited.with_cuts(answer.cuts);
        if answer.endpoint == Endpoint::SlidingSync {
            let mut body = edited.to_bytes();
            if self.fill_rooms(&mut body) {
                (edited, changed) = (Edited::new(body, Vec::new(), false).0, true);
            }
        }
        (changed || answer.changed || answer.second).then_some(edited)
    }

    /// Slots whose newest event was redacted: they have no content, and none of an older event's. The
    /// client is given what was redacted as an event that says so.
    fn judge_emptied(
        &mut self,
        answer: &Answer,
        slots: &Map<Slot, Claims>,
        edits: &mut Vec<Edit>,
    ) -> Set<Slot> {
        let mut all: Map<Slot, &Entry> = Map::new();
        for entry in &answer.emptied {
            let Some(slot) = emptied_slot(entry) else { continue };
            if all.get(&slot).is_none_or(|last| order(last) < order(entry)) {
                all.insert(slot, entry);
            }
        }
        let mut emptied = Set::new();
        for (slot, entry) in all.iter() {
            let claims = slots.get(slot).into_iter().flat_map(|claims| claims.entries.iter());
            let mut others = claims.filter_map(|at| answer.encrypted.get(*at)).peekable();
            let is_known = self.known.current(&slot.0, &slot.1, &slot.2).is_some();
            // An older one may wait for its key.
            let may_wait = self.known.encrypts_state(&slot.0);
            let is_news = is_known || may_wait || others.peek().is_some();
            if is_news && others.all(|other| order(other) < order(entry)) {
                let event_id = entry.found.event_id.clone().unwrap_or_default();
                let candidate = Candidate {
                    event_id: event_id.clone(),
                    origin_server_ts: entry.found.origin_server_ts.unwrap_or_default(),
                    session_id: String::new(),
                    message_index: 0,
                };
                let offered = self.known.offer_encrypted(&slot.0, &slot.1, &slot.2, candidate);
                if offered == Precedence::Current {
                    self.known.redact(&slot.0, &event_id);
                    self.memory.remove(&slot.0, &(slot.1.clone(), slot.2.clone()));
                    self.place_slot(slot.clone(), arrival(answer.number, entry));
                    self.touch_room(&slot.0);
                    emptied.insert(slot.clone());
                }
            }
        }
        for entry in &answer.emptied {
            let slot = emptied_slot(entry).filter(|slot| emptied.contains(slot));
            let is_empty = is_blank(entry.found.content(&answer.body));
            match slot {
                Some((_, event_type, state_key)) => {
                    edits.extend(emptied_event(&answer.body, entry, &event_type, &state_key));
                }
                None if !is_empty => edits.push(neutral(&answer.body, entry)),
                None => {}
            }
        }
        emptied
    }

    fn reconcile_entry(&mut self, answer: &Answer, entry: &Entry, opened: &OpenedState) {
        let before = entry.found.received_previous(&answer.body, Some(&entry.room_id));
        let is_sure = |sender: &str, opened: &OpenedState| {
            self.is_sure(&entry.room_id, &opened.session_id, sender)
        };
        if !is_sure(&entry.found.sender, opened) {
            return;
        }
        let previous = before
            .and_then(|before| Some((before.event_id?, before.sender)))
            .zip(entry.previous.as_ref())
            .filter(|((_, sender), opened)| is_sure(sender, opened))
            .map(|((event_id, _), opened)| (event_id, opened));
        self.reconcile(
            &entry.room_id,
            &Reconciled {
                event_id: entry.found.event_id.as_deref().unwrap_or_default(),
                ts: entry.found.origin_server_ts.unwrap_or_default(),
                opened,
                arrival: arrival(answer.number, entry),
                previous,
            },
        );
    }

    /// Offers an opened event as its slot's current one; true when it is.
    fn judge(&mut self, answer: &Answer, entry: &Entry) -> bool {
        let arrival = arrival(answer.number, entry);
        let Some(Ok(opened)) = &entry.opened else { return false };
        let event_id = entry.found.event_id.as_deref().unwrap_or_default();
        let ts = entry.found.origin_server_ts.unwrap_or_default();
        match self.offer(&entry.room_id, event_id, ts, opened) {
            Precedence::Current => {
                self.place(&entry.room_id, opened, arrival);
                self.remember(&entry.room_id, event_id, &entry.found.sender, ts, opened);
                self.waiting.remove(&(entry.room_id.clone(), event_id.to_owned()));
                true
            }
            Precedence::Rollback | Precedence::ClearBehindEncrypted => {
                if !self.is_fork(answer, entry, opened) {
                    self.problem(&entry.room_id, "rollback", event_id);
                }
                false
            }
        }
    }

    /// Whether an older event may come from an honest server: the `state` of a sync is that before
    /// its timeline, and where an event was sent at the same time as the newer one, neither knows of
    /// the other (MSC4222 has more). The newer one counts in any case, but nobody is blamed.
    fn is_fork(&self, answer: &Answer, entry: &Entry, opened: &OpenedState) -> bool {
        let room_id = &entry.room_id;
        let Some(known) = self.known.current(room_id, &opened.event_type, &opened.state_key) else {
            return false;
        };
        let first_sent = || {
            let text = std::str::from_utf8(&answer.body).ok()?;
            let timeline = get(text, &["rooms", "join", room_id, "timeline", "events"]).ok()??;
            let first = *elements(timeline).ok()?.first()?;
            get(first, &["origin_server_ts"]).ok()??.parse::<u64>().ok()
        };
        entry.role == Role::Current(0)
            && answer.cuts.is_none()
            && answer.body.len() <= MAX_TENDED_BYTES
            && first_sent().is_some_and(|sent| sent.abs_diff(known.origin_server_ts) <= FORK_MS)
    }

    /// In place of an event that does not count: the known one, or nothing.
    fn keep_known(&self, slot: &Slot, entry: &Entry) -> Edit {
        let known = self.memory.get(&slot.0, &(slot.1.clone(), slot.2.clone()));
        Edit::of(
            &entry.found,
            match known {
                Some(known) if entry.role != TIMELINE => {
                    Splice::Replace(known.to_owned().into_bytes())
                }
                _ => Splice::Remove,
            },
        )
    }

    /// Puts names and topics of rooms known here into `/hierarchy` and room summaries, where the
    /// server has none. True when something changed.
    pub(super) fn fill_summaries(&self, body: &mut Vec<u8>) -> bool {
        let filled = std::str::from_utf8(body).ok().and_then(|text| self.filled(text));
        filled.map(|filled| *body = filled.into_bytes()).is_some()
    }

    fn filled(&self, text: &str) -> Option<String> {
        let rooms = match get(text, &["rooms"]).ok()? {
            Some(rooms) => elements(rooms).ok()?,
            None => vec![text.trim()],
        };
        let mut out: Option<String> = None;
        for room in rooms.into_iter().rev() {
            let Some(filled) = self.filled_room(room) else { continue };
            let current = out.as_deref().unwrap_or(text);
            out = Some(json::splice(current, span(text, room), &filled));
        }
        out
    }

    fn filled_room(&self, room: &str) -> Option<String> {
        let room_id = get_str(room, &["room_id"]).ok()??;
        self.with_known(room, &room_id, &["name", "topic"])
    }

    /// Puts the names of rooms known here where a sliding sync (MSC4186) has the computed ones: a
    /// server that cannot read the name has none or names people. True when something changed.
    pub(super) fn fill_rooms(&self, body: &mut Vec<u8>) -> bool {
        let Ok(text) = std::str::from_utf8(body) else { return false };
        let rooms = get(text, &["rooms"]).ok().flatten();
        let rooms = rooms.and_then(|rooms| members(rooms).ok().flatten()).unwrap_or_default();
        let mut out: Option<String> = None;
        for room in rooms.into_iter().rev() {
            let Some(named) = self.with_known(room.value, &room.key, &["name"]) else { continue };
            let current = out.as_deref().unwrap_or(text);
            out = Some(json::splice(current, span(text, room.value), &named));
        }
        out.map(|out| *body = out.into_bytes()).is_some()
    }

    /// The object with these texts of a room; `None` where none of them is known.
    fn with_known(&self, object: &str, room_id: &str, fields: &[&str]) -> Option<String> {
        let mut edits = Vec::new();
        for field in fields {
            if let Some(value) = self.known_text(room_id, field) {
                edits.push(json::Edit::set(&[field], quoted(&value)));
            }
        }
        String::from_utf8(json::apply(object.as_bytes(), &edits).ok()??).ok()
    }

    /// The room's encrypted name or topic, as far as it is known and not empty.
    pub(super) fn known_text(&self, room_id: &str, field: &str) -> Option<String> {
        let event = self.memory.single(room_id, &format!("m.room.{field}"))?;
        get_str(event, &["content", field]).ok()?.filter(|text| !text.is_empty())
    }
}

pub(in crate::engine) fn slot(room_id: &str, event_type: &str, state_key: &str) -> Slot {
    (room_id.to_owned(), event_type.to_owned(), state_key.to_owned())
}

/// Later means newer, within what an answer says about one slot.
fn order(entry: &Entry) -> (u8, usize) {
    let weight = match entry.role {
        Role::Current(weight) => weight,
        Role::History | Role::Stripped => 0,
    };
    (weight, entry.found.range().start)
}

/// Of a redacted event that claims to be current: what its key says it was.
pub(super) fn emptied_slot(entry: &Entry) -> Option<Slot> {
    let Role::Current(_) = entry.role else { return None };
    let Ok(WireKey::Packed(key)) = WireKey::read(&entry.found.state_key) else { return None };
    check_eligible(key.event_type()).ok()?;
    Some(slot(&entry.room_id, key.event_type(), key.state_key()))
}

fn emptied_event(body: &[u8], entry: &Entry, event_type: &str, state_key: &str) -> Option<Edit> {
    let edits = [
        json::Edit::replace(&["type"], quoted(event_type)),
        json::Edit::replace(&["state_key"], quoted(state_key)),
        json::Edit::replace(&["content"], "{}"),
    ];
    let event = json::apply(entry.found.text(body).as_bytes(), &edits).ok()??;
    Some(Edit::of(&entry.found, Splice::Replace(event)))
}

fn arrival(answer: u32, entry: &Entry) -> Arrival {
    let (weight, place) = order(entry);
    (answer, weight, place)
}

fn rewrite(body: &[u8], entry: &Entry, opened: &OpenedState) -> Option<Edit> {
    let event = entry.found.rewritten(body, opened, entry.previous.as_ref())?;
    Some(Edit::of(&entry.found, Splice::Replace(event)))
}

/// A refused event must not reach a client that would open it by itself.
pub(super) fn neutral(body: &[u8], entry: &Entry) -> Edit {
    if entry.found.array().is_some() {
        return Edit::of(&entry.found, Splice::Remove);
    }
    let edit = [json::Edit::replace(&["content"], "{}")];
    let event = json::apply(entry.found.text(body).as_bytes(), &edit).ok().flatten();
    Edit::of(&entry.found, event.map_or(Splice::Remove, Splice::Replace))
}

/// The `m.room.encryption` event with its flag back in.
fn flagged(body: &[u8], entry: &Entry) -> Option<Edit> {
    let [unstable, _] = STATE_ENCRYPTION_FLAGS;
    let edit = [json::Edit::set(&["content", unstable], "true")];
    let event = json::apply(entry.found.text(body).as_bytes(), &edit).ok()??;
    Some(Edit::of(&entry.found, Splice::Replace(event)))
}

/// A content that says nothing: what is left after a room's state was encrypted.
fn is_blank(content: &str) -> bool {
    members(content).ok().flatten().is_some_and(|members| {
        members.iter().all(|member| matches!(member.value, "\"\"" | "null" | "{}" | "[]"))
    })
}
