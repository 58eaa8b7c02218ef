//! The response the page gets: decrypted events in place, and of each slot the one that counts.

use super::response::{Entry, MAX_FOLLOWED_BYTES, Response};
use super::{fill, invites, redacted};
use crate::decrypt::decrypt::{Missing, OpenError, OpenedState};
use crate::ids::{EventId, RoomId, Slot, UserId};
use crate::index::patch::{Edit, Edited, Splice};
use crate::index::redactions::Redacted;
use crate::model::Model;
use crate::model::current::Opened;
use crate::model::decryption::{Made, Role, TIMELINE};
use crate::model::in_flight::{Arrival, Reconciled};
use crate::model::known::STATE_ENCRYPTION_FLAGS;
use crate::model::observation::{Observation, Undecryptable};
use crate::model::precedence::{CLOCK_TOLERANCE_MS, Candidate, Precedence};
use crate::model::warnings::Warning;
use crate::msc4362::eligible::{CALL_TYPES, DEFAULT_TYPES, check_eligible};
use crate::msc4362::packed_key::WireKey;
use crate::sorted::{Map, Set};
use mantle_wire::json::{self, elements, get, members, quoted};
use mantle_wire::route::Endpoint;

/// Events sent within so many milliseconds may not know of one another: servers have queues.
const FORK_MS: u64 = 60_000;

/// Of a slot's events in one response, so many are tried for one that counts.
const MAX_TRIED: usize = 8;

/// What a response says about one slot.
#[derive(Default)]
struct Claims {
    /// Encrypted events that claim to be current, by their place in the response's list.
    entries: Vec<usize>,
    /// One that cannot be decrypted yet stands for it, if its key is right.
    is_undecryptable: bool,
}

impl Claims {
    fn entries<'a>(&self, response: &'a Response) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter_map(|index| response.encrypted.get(*index))
    }
}

/// Where an event stands among those of a response, as of [`order`].
type Order = (u8, usize);

/// Puts the response together.
pub(super) fn compose(
    model: &mut Model,
    mut response: Response,
    observed: &mut Vec<Observation>,
) -> Option<Edited> {
    let mut edits = std::mem::take(&mut response.unreadable);
    note_redacted(model, &response, observed);
    let slots = place_encrypted(model, &response, &mut edits, observed);
    let emptied = judge_emptied(model, &response, &slots, &mut edits);
    let last = judge_encrypted(model, &response, (&slots, &emptied), &mut edits, observed);
    judge_clear(model, &response, (&slots, &last), &mut edits);
    if let Some(index) = response.index.take() {
        edits.extend(invites::tell(model, &response, &index));
    }
    let delivered = response.stage.delivered();
    let is_rest = delivered.is_some();
    edits.extend(delivered.into_iter().flatten().map(|range| Edit {
        range: range.clone(),
        in_array: false,
        splice: Splice::Replace(b"[]".to_vec()),
    }));
    edits.sort_by_key(|edit| edit.range.start);
    let (edited, mut has_changed) = Edited::new(response.body, edits, !response.has_changed);
    let mut edited = edited.with_cuts(response.cuts);
    if response.endpoint == Endpoint::SlidingSync {
        let mut body = edited.to_bytes();
        if fill::rooms(model.states.memory(), &mut body) {
            (edited, has_changed) = (Edited::new(body, Vec::new(), false).0, true);
        }
    }
    (has_changed || response.has_changed || is_rest).then_some(edited)
}

/// A room of which nothing was known may be told of with an event and with what redacts it: the server
/// may give the event as it was sent, since clients redact it by themselves.
fn note_redacted(model: &mut Model, response: &Response, observed: &mut Vec<Observation>) {
    let ids: Set<&str> = response.encrypted.iter().map(|entry| entry.id().id).collect();
    if ids.is_empty() {
        return;
    }
    for Redacted { room_id, event_id } in redacted(model, response) {
        if ids.contains(event_id.as_str()) {
            model.states.expect(RoomId(&room_id));
            observed.extend(model.redact(EventId { room_id: &room_id, id: &event_id }));
        }
    }
}

/// Sorts encrypted events by slots. What says nothing about now is done with here.
fn place_encrypted(
    model: &mut Model,
    response: &Response,
    edits: &mut Vec<Edit>,
    observed: &mut Vec<Observation>,
) -> Map<Slot, Claims> {
    let mut slots: Map<Slot, Claims> = Map::new();
    for (index, entry) in response.encrypted.iter().enumerate() {
        if model.states.known().is_redacted(entry.id()) {
            // Since the look at it.
            edits.push(neutral(&response.body, entry));
            continue;
        }
        match &entry.opened {
            Some(Ok(opened)) => match entry.role {
                Role::Current(_) => {
                    reconcile(model, response, entry, opened);
                    let slot = Slot::new(entry.room(), opened.slot());
                    slots.or_default(slot).entries.push(index);
                }
                Role::History | Role::Stripped => {
                    if let Some(ts) = entry.found.origin_server_ts {
                        model.date(entry.room(), ts, opened);
                    }
                    edits.extend(rewrite(&response.body, entry, opened));
                }
            },
            Some(Err(error)) => {
                if let Some(missing) = error.missing() {
                    let Role::Current(_) = entry.role else { continue };
                    let arrival = arrival(response.number, entry);
                    observed.extend(undecryptable(entry, &response.body, (missing, arrival)));
                    if let Ok(WireKey::Packed(key)) = WireKey::read(&entry.found.state_key) {
                        let slot = Slot::new(entry.room(), key.slot());
                        if matches!(error, OpenError::UntrustedDevice)
                            && entry.role != TIMELINE
                            && is_remembered(model, &slot)
                        {
                            // It may never count, and what does is known.
                            edits.push(keep_known(model, &slot, entry));
                        }
                        // Of somebody who may not set it nothing would count, were it ever opened.
                        let levels = model.rooms.levels(&entry.room_id);
                        let may_count = levels.is_none_or(|levels| {
                            levels.may_have_sent(UserId(&entry.found.sender), &slot.event_type)
                        });
                        if may_count {
                            slots.or_default(slot).is_undecryptable = true;
                            let (room, state_key) = (entry.room(), &entry.found.state_key);
                            model.states.note_awaited(room, state_key, arrival);
                        }
                    }
                } else if matches!(error, OpenError::Content)
                    && entry.found.content(&response.body).trim_ascii() == "{}"
                {
                    // Redacted: there is nothing in it.
                } else {
                    model.warnings.refused(entry.id(), error);
                    edits.push(neutral(&response.body, entry));
                }
            }
            None => {}
        }
    }
    slots
}

fn undecryptable(entry: &Entry, body: &[u8], why: (Missing, Arrival)) -> Option<Observation> {
    entry.found.event_id.as_ref()?;
    let event = Undecryptable::of(entry.id(), &entry.found, body, why);
    Some(Observation::Undecryptable(Box::new(event)))
}

fn is_remembered(model: &Model, slot: &Slot) -> bool {
    model.states.memory().get(slot.room(), slot.of()).is_some()
}

/// Of each slot the newest encrypted event is offered as the current one, and where that is none, the one
/// before it. Where in the response the newest stands, by slot.
fn judge_encrypted(
    model: &mut Model,
    response: &Response,
    (slots, emptied): (&Map<Slot, Claims>, &Set<Slot>),
    edits: &mut Vec<Edit>,
    observed: &mut Vec<Observation>,
) -> Map<Slot, Order> {
    let mut last: Map<Slot, Order> = Map::new();
    for (slot, claims) in slots.iter() {
        let Some(newest) = claims.entries(response).max_by_key(|entry| order(entry)) else {
            continue;
        };
        last.insert(slot.clone(), order(newest));
        let current = if emptied.contains(slot) {
            // Before what was redacted, all of them are history.
            Some(newest)
        } else {
            let current = current(model, response, (claims, newest), observed);
            if let Some(current) = current {
                mark_departed(model, response, current);
            }
            current
        };
        for entry in claims.entries(response) {
            let Some(Ok(opened)) = &entry.opened else { continue };
            if current.is_some_and(|current| order(entry) <= order(current)) {
                edits.extend(rewrite(&response.body, entry, opened));
            } else {
                edits.push(keep_known(model, slot, entry));
            }
        }
    }
    last
}

/// Offers a slot's events as the current one, the newest first, until one is. Two requests of a device
/// may overtake one another on their way: then the one that came first is the later, and it counts.
fn current<'a>(
    model: &mut Model,
    response: &'a Response,
    (claims, newest): (&Claims, &'a Entry),
    observed: &mut Vec<Observation>,
) -> Option<&'a Entry> {
    if judge(model, response, newest, observed) {
        return Some(newest);
    }
    let (mut last, mut current) = (newest, None);
    for _ in 1..MAX_TRIED {
        let earlier = claims.entries(response).filter(|entry| order(entry) < order(last));
        let Some(entry) = earlier.max_by_key(|entry| order(entry)) else { break };
        if judge(model, response, entry, observed) {
            current = Some(entry);
            break;
        }
        last = entry;
    }
    if let Some(Ok(refused)) = &newest.opened
        && !is_overtaken(model, newest, current)
        && !is_fork(model, response, newest, refused)
    {
        model.warnings.warn(newest.room(), Warning::Rollback, newest.id().id);
    }
    current
}

/// Whether an event does not count since its own device's next one came before it.
fn is_overtaken(model: &Model, refused: &Entry, current: Option<&Entry>) -> bool {
    let Some(current) = current.filter(|current| current.session_id == refused.session_id) else {
        return false;
    };
    let Some(Ok(opened)) = &current.opened else { return false };
    !model.states.known().was_replaced(refused.room(), opened.slot(), refused.id().id)
}

/// What is current and was sent before somebody left was for them too.
fn mark_departed(model: &mut Model, response: &Response, newest: &Entry) {
    let Some(left) = response.departed.get(&newest.room_id) else { return };
    let (room, event_id) = (newest.room(), newest.id().id);
    if newest.found.origin_server_ts.unwrap_or_default() < *left {
        model.states.mark_stale(room, event_id.to_owned(), &mut model.journal);
    } else if newest.role == TIMELINE {
        // A leave that is told once more, as first syncs do.
        model.states.unmark_stale(room, event_id, &mut model.journal);
    }
}

/// Readable events do not stand for a slot that has an encrypted one.
fn judge_clear(
    model: &mut Model,
    response: &Response,
    (slots, last): (&Map<Slot, Claims>, &Map<Slot, Order>),
    edits: &mut Vec<Edit>,
) {
    for entry in &response.clear {
        let Role::Current(_) = entry.role else { continue };
        if entry.found.event_type == "m.room.encryption" {
            edits.extend(flagged(&response.body, entry));
            continue;
        }
        // Clients that encrypt it all send that they left in clear: it was given ahead of time.
        if CALL_TYPES.contains(&entry.found.event_type.as_str()) {
            continue;
        }
        let slot = Slot::new(entry.room(), entry.found.slot());
        let known = model.states.known();
        let is_known = known.current(slot.room(), slot.of()).is_some();
        let is_awaited = known.encrypts_state(&slot.room_id)
            && (slots.get(&slot).is_some_and(|claims| claims.is_undecryptable)
                || model.states.is_awaited(&slot));
        let is_blank = is_blank(entry.found.content(&response.body));
        let is_late = !is_known && !is_awaited && !is_blank && is_readable_late(model, entry);
        if !is_known && !is_awaited && !is_late {
            continue;
        }
        // Before the encrypted event that replaced it, a readable one is history.
        let is_replaced = last.get(&slot).is_some_and(|last| *last > order(entry));
        if entry.role == TIMELINE && is_replaced {
            continue;
        }
        if (is_known || is_late) && !is_blank {
            let warning = match DEFAULT_TYPES.contains(&slot.event_type.as_str()) {
                _ if is_late => Warning::ReadableName,
                true => Warning::ClearOverEncrypted,
                false => Warning::ReadableState,
            };
            model.warnings.warn(entry.room(), warning, entry.id().id);
        }
        let is_substituted = entry.role != TIMELINE && !last.contains_key(&slot);
        edits.push(if is_substituted {
            keep_known(model, &slot, entry)
        } else {
            Edit::of(&entry.found, Splice::Remove)
        });
    }
}

/// Whether a readable event sets what Mantle encrypts, in a room that encrypted it by then: so nobody
/// can tell who has written it. What was set before the room had the flag stays.
fn is_readable_late(model: &Model, entry: &Entry) -> bool {
    let Some(flagged_at) = model.states.known().flagged_at(&entry.room_id) else { return false };
    let limit = flagged_at.saturating_add(CLOCK_TOLERANCE_MS);
    model.settings.types.contains(&entry.found.event_type)
        && entry.found.origin_server_ts.is_none_or(|sent| sent > limit)
}

/// Slots whose newest event was redacted: they have no content, and none of an older event's. The
/// client is given what was redacted as an event that says so.
fn judge_emptied(
    model: &mut Model,
    response: &Response,
    slots: &Map<Slot, Claims>,
    edits: &mut Vec<Edit>,
) -> Set<Slot> {
    let mut all: Map<Slot, &Entry> = Map::new();
    for entry in &response.emptied {
        let Some(slot) = emptied_slot(entry) else { continue };
        if all.get(&slot).is_none_or(|last| order(last) < order(entry)) {
            all.insert(slot, entry);
        }
    }
    let mut emptied = Set::new();
    for (slot, entry) in all.iter() {
        let claims = slots.get(slot).into_iter().flat_map(|claims| claims.entries(response));
        let mut others = claims.peekable();
        let known = model.states.known();
        let is_known = known.current(slot.room(), slot.of()).is_some();
        // An older one may wait for its key.
        let may_wait = known.encrypts_state(&slot.room_id);
        let is_news = is_known || may_wait || others.peek().is_some();
        if is_news && others.all(|other| order(other) < order(entry)) {
            let event_id = entry.id().id;
            let candidate = Candidate {
                event_id: event_id.to_owned(),
                origin_server_ts: entry.found.origin_server_ts.unwrap_or_default(),
                session_id: String::new(),
                message_index: 0,
                order: None,
            };
            let arrival = arrival(response.number, entry);
            if model.states.empty(slot, candidate, arrival, &mut model.journal) {
                emptied.insert(slot.clone());
            }
        }
    }
    for entry in &response.emptied {
        let slot = emptied_slot(entry).filter(|slot| emptied.contains(slot));
        let is_empty = is_blank(entry.found.content(&response.body));
        match slot {
            Some(slot) => edits.extend(emptied_event(&response.body, entry, &slot)),
            None if !is_empty => edits.push(neutral(&response.body, entry)),
            None => {}
        }
    }
    emptied
}

fn reconcile(model: &mut Model, response: &Response, entry: &Entry, opened: &OpenedState) {
    let before = entry.found.received_previous(&response.body, Some(&entry.room_id));
    let is_sure = |sender: &str, opened: &OpenedState| {
        model.is_sure(Made::of(entry.room(), UserId(sender), opened))
    };
    if !is_sure(&entry.found.sender, opened) {
        return;
    }
    let previous = before
        .and_then(|before| Some((before.event_id?, before.sender)))
        .zip(entry.previous.as_ref())
        .filter(|((_, sender), opened)| is_sure(sender, opened))
        .map(|((event_id, _), opened)| (event_id, opened));
    let event = Reconciled {
        event_id: entry.id().id,
        ts: entry.found.origin_server_ts.unwrap_or_default(),
        opened,
        arrival: arrival(response.number, entry),
        previous,
    };
    model.reconcile(entry.room(), &event);
}

/// Offers a decrypted event as its slot's current one; true when it is.
fn judge(
    model: &mut Model,
    response: &Response,
    entry: &Entry,
    observed: &mut Vec<Observation>,
) -> bool {
    let Some(Ok(state)) = &entry.opened else { return false };
    let event = entry.id();
    let ts = entry.found.origin_server_ts.unwrap_or_default();
    let opened = Opened { event, sender: &entry.found.sender, ts, state };
    let arrival = arrival(response.number, entry);
    let precedence = match model.offer(&opened, arrival) {
        Precedence::Rollback if says_now(response, entry) && model.settle(&opened, arrival) => {
            Precedence::Current
        }
        precedence => precedence,
    };
    match precedence {
        Precedence::Current => {
            model.states.forget_awaited(entry.room(), &entry.found.state_key, arrival);
            let (room_id, event_id) = (event.room_id.to_owned(), event.id.to_owned());
            observed.push(Observation::Current { room_id, event_id });
            true
        }
        Precedence::Rollback | Precedence::ClearBehindEncrypted => false,
    }
}

/// Whether the response says what the room's state of now is. What a sync has before its timeline
/// does not.
fn says_now(response: &Response, entry: &Entry) -> bool {
    let is_now = entry.role == Role::Current(2)
        || entry.role == Role::Current(0) && response.since.is_none();
    is_now && entry.found.origin_server_ts.is_some()
}

/// Whether an older event may come from an honest server: the `state` of a sync is that before
/// its timeline, and where an event was sent at the same time as the newer one, neither knows of
/// the other (MSC4222 has more). The newer one counts in any case, but nobody is blamed.
fn is_fork(model: &Model, response: &Response, entry: &Entry, opened: &OpenedState) -> bool {
    let room_id = &entry.room_id;
    let known = model.states.known().current(entry.room(), opened.slot());
    let Some(known) = known else { return false };
    let first_sent = || {
        let text = std::str::from_utf8(&response.body).ok()?;
        let timeline = get(text, &["rooms", "join", room_id, "timeline", "events"]).ok()??;
        let first = *elements(timeline).ok()?.first()?;
        get(first, &["origin_server_ts"]).ok()??.parse::<u64>().ok()
    };
    entry.role == Role::Current(0)
        && response.cuts.is_none()
        && response.body.len() <= MAX_FOLLOWED_BYTES
        && first_sent().is_some_and(|sent| sent.abs_diff(known.origin_server_ts) <= FORK_MS)
}

/// In place of an event that does not count: the known one, or nothing.
fn keep_known(model: &Model, slot: &Slot, entry: &Entry) -> Edit {
    let known = model.states.memory().get(slot.room(), slot.of());
    Edit::of(
        &entry.found,
        match known {
            Some(known) if entry.role != TIMELINE => Splice::Replace(known.to_owned().into_bytes()),
            _ => Splice::Remove,
        },
    )
}

/// Later means newer, within what a response says about one slot.
fn order(entry: &Entry) -> Order {
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
    Some(Slot::new(entry.room(), key.slot()))
}

fn emptied_event(body: &[u8], entry: &Entry, slot: &Slot) -> Option<Edit> {
    let edits = [
        json::Edit::replace(&["type"], quoted(&slot.event_type)),
        json::Edit::replace(&["state_key"], quoted(&slot.state_key)),
        json::Edit::replace(&["content"], "{}"),
    ];
    let event = json::apply(entry.found.text(body).as_bytes(), &edits).ok()??;
    Some(Edit::of(&entry.found, Splice::Replace(event)))
}

fn arrival(response: u32, entry: &Entry) -> Arrival {
    let (weight, place) = order(entry);
    Arrival { response, weight, place }
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
