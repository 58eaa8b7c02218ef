//! Finds everything of interest in a response and learns from what is clear.

use memchr::memmem;

use super::compose;
use super::response::{Entry, MAX_FOLLOWED_BYTES, Response};
use crate::ids::{RoomId, is_event_id, is_room_id};
use crate::index::events::{ENCRYPTED_TYPE, EventIndex, FoundState, Place};
use crate::index::patch::{Edit, Splice};
use crate::index::redactions;
use crate::index::walk::{may_be_encrypted, unhidden};
use crate::model::Model;
use crate::model::decryption::{Role, TIMELINE};
use crate::model::known::{FlagChange, is_flagged};
use crate::model::observation::Observation;
use crate::model::rooms::Fact;
use crate::model::sharing_due::{Due, Member};
use crate::model::warnings::Warning;
use crate::msc4362::eligible::{DEFAULT_TYPES, check_eligible};
use crate::sorted::{Map, Set};
use mantle_index::structural::{self, Scan, Wanted};
use mantle_wire::json::{elements, exact_string, get, get_str, quoted};
use mantle_wire::route::Endpoint;

const FLAG_END: &[u8] = b"encrypt_state_events\"";

/// Looks at a whole response.
pub(super) fn look(model: &mut Model, response: &mut Response, observed: &mut Vec<Observation>) {
    let is_small = response.body.len() <= MAX_FOLLOWED_BYTES;
    let is_sync = response.is_sync();
    if is_sync && is_small && !model.outbound.is_empty() {
        note_changed_devices(model, response);
    }
    let knows = !model.states.known().is_empty();
    let wanted = if knows && is_sync && is_small { Wanted::All } else { Wanted::NotUsers };
    let mut scan = structural::scan(&response.body, wanted);
    if knows
        && scan.may_hide
        && let Some(plain) = unhidden(&response.body)
    {
        response.body = plain;
        response.has_changed = true;
        scan = structural::scan(&response.body, wanted);
    }
    look_at(model, response, scan, observed);
}

/// Looks at a response by a scan of its bytes.
pub(super) fn look_at(
    model: &mut Model,
    response: &mut Response,
    scan: Scan,
    observed: &mut Vec<Observation>,
) {
    let hits = scan.hits;
    if hits.is_empty() {
        return;
    }
    let knows = !model.states.known().is_empty();
    let is_flagged = || memmem::find(&response.body, FLAG_END).is_some();
    let is_told = response.is_sync() && !model.invites.is_empty();
    if !knows && !is_told && !is_flagged() {
        let keyed = structural::with_key(&response.body, &hits);
        if !may_be_encrypted(&response.body, &keyed) {
            return;
        }
    }
    let Some(mut index) = scan.layout.and_then(EventIndex::of) else { return };
    let (rest, rooms) = sort_encrypted(model, response, &mut index, observed);
    sort_clear(model, response, &mut index, (rest, rooms));
    response.index = Some(index);
}

/// Sorts out encrypted events; the objects that are none, and the rooms that have some.
fn sort_encrypted(
    model: &mut Model,
    response: &mut Response,
    index: &mut EventIndex,
    observed: &mut Vec<Observation>,
) -> (Vec<usize>, Set<String>) {
    let needle = memmem::Finder::new("\"m.room.encrypted\"");
    let mut rest = Vec::new();
    let mut rooms: Set<String> = Set::new();
    for object in index.objects() {
        let Some(bytes) = index.bytes(&response.body, object) else { continue };
        if needle.find(bytes).is_none() {
            rest.push(object);
            continue;
        }
        match entry(response, index, object) {
            Some(entry) if entry.found.event_type == ENCRYPTED_TYPE => {
                rooms.insert(entry.room_id.clone());
                let event = entry.id();
                if redactions::is_emptied(entry.found.text(&response.body)) {
                    observed.extend(model.redact(event));
                    // A mere lack of content is nobody's doing.
                    let is_said = redactions::is_redacted(entry.found.text(&response.body));
                    if is_said && compose::emptied_slot(&entry).is_some() {
                        response.emptied.push(entry);
                        continue;
                    }
                } else if !model.states.known().is_redacted(event) {
                    response.encrypted.push(entry);
                    continue;
                }
                if !redactions::is_empty(entry.found.content(&response.body)) {
                    response.unreadable.push(compose::neutral(&response.body, &entry));
                }
            }
            _ => rest.push(object),
        }
    }
    (rest, rooms)
}

/// Sorts out the other events, and learns from them.
fn sort_clear(
    model: &mut Model,
    response: &mut Response,
    index: &mut EventIndex,
    (objects, mut rooms): (Vec<usize>, Set<String>),
) {
    let mut placed = Vec::new();
    for object in objects {
        let room_id = match index.place(&response.body, object) {
            Some(Place::Room { room_id, .. }) => room_id,
            Some(Place::Response { .. }) => match &response.request_room {
                Some(room_id) => room_id.clone(),
                None => continue,
            },
            _ => continue,
        };
        let mentions_flag = || {
            index
                .bytes(&response.body, object)
                .is_some_and(|bytes| memmem::find(bytes, FLAG_END).is_some())
        };
        // What is readable there may stand before the flag.
        let is_known = rooms.contains(&room_id) || !model.states.known().is_unknown(&room_id);
        if !is_known && mentions_flag() {
            rooms.insert(room_id.clone());
        }
        placed.push((object, room_id));
    }
    let mut facts: Map<String, Vec<Entry>> = Map::new();
    for (object, room_id) in placed {
        let is_interesting = rooms.contains(&room_id)
            || !model.states.known().is_unknown(&room_id)
            || model.invites.has(&room_id);
        if !is_interesting {
            continue;
        }
        let Some(entry) = entry(response, index, object) else {
            let edit = unreadable(model, response, index, (RoomId(&room_id), object));
            response.unreadable.extend(edit);
            continue;
        };
        match entry.role {
            Role::History => continue,
            Role::Stripped => {
                if model.invites.has(&room_id) {
                    response.invites.push(entry);
                }
                continue;
            }
            // The user is in the room now.
            Role::Current(_) => model.invites.drop_room(&room_id, &mut model.journal),
        }
        match entry.found.event_type.as_str() {
            "m.room.member" => {
                if response.is_sync() && model.states.known().encrypts_state(&room_id) {
                    note_member(model, response, &room_id, &entry);
                }
                model.devices.set_incomplete(&room_id);
            }
            "m.room.power_levels" | "m.room.create" | "m.room.encryption" => {
                facts.or_default(room_id).push(entry);
            }
            other if check_eligible(other).is_ok() => response.clear.push(entry),
            _ => {}
        }
    }
    for (room_id, events) in facts {
        learn(model, response, &room_id, events);
    }
}

/// A member event of a sync, in a room that encrypts its state.
fn note_member(model: &mut Model, response: &mut Response, room_id: &str, entry: &Entry) {
    model.due.note(room_id, Due::Membership);
    let content = entry.found.content(&response.body);
    let member = Member { user_id: &entry.found.state_key, content };
    model.due.note_moved(RoomId(room_id), &member);
    note_own(model, RoomId(room_id), member.user_id);
    if has_left(entry.found.text(&response.body)) {
        model.states.departed(room_id, &mut model.journal);
        let at = entry.found.origin_server_ts.unwrap_or_default();
        let last = response.departed.or_default(room_id.to_owned());
        *last = at.max(*last);
    }
}

/// Where the person has left the room, its names are forgotten, and so is its session.
fn note_own(model: &mut Model, room: RoomId<'_>, user_id: &str) {
    if model.devices.is_self(user_id) && model.due.is_away(room, user_id) {
        model.states.forget_contents(room.0, &mut model.journal);
        model.profiles.forget(room, &mut model.journal);
        model.outbound.condemn(room.0, &mut model.journal);
        // None of what it encrypts is this device's to send again.
        model.outbound.take_lost();
    }
}

/// True when a member event says that somebody who had joined is no member any more.
fn has_left(event: &str) -> bool {
    let membership = |path: &[&str]| get_str(event, path).ok().flatten();
    let is = membership(&["content", "membership"]);
    let was = membership(&["unsigned", "prev_content", "membership"]);
    matches!(is.as_deref(), Some("leave" | "ban")) && matches!(was.as_deref(), None | Some("join"))
}

/// Takes out what is no event to us and may be one to a browser, which counts the last of two
/// keys, mends broken text and asks for no sender: so it could stand for encrypted state.
#[cold]
fn unreadable(
    model: &mut Model,
    response: &Response,
    index: &EventIndex,
    (room, object): (RoomId<'_>, usize),
) -> Option<Edit> {
    let (range, bytes) = index.element(&response.body, object)?;
    let names = |event_type: &str| memmem::find(bytes, quoted(event_type).as_bytes()).is_some();
    let slots = model.states.known().slots(room.0).map(|(slot, _)| slot.event_type);
    if !DEFAULT_TYPES.into_iter().chain(slots).any(names) {
        return None;
    }
    model.warnings.warn(room, Warning::ClearOverEncrypted, "unreadable");
    Some(Edit { range, in_array: true, splice: Splice::Remove })
}

/// Takes levels and the flag from a room's readable state. An `m.room.encryption` that would
/// take the flag away becomes one of the response's clear entries.
fn learn(model: &mut Model, response: &mut Response, room_id: &str, mut events: Vec<Entry>) {
    events.sort_by_key(|entry| (entry.role, entry.found.range().start));
    events.retain(|entry| entry.found.state_key.is_empty());
    let facts: Vec<Fact<'_>> = events
        .iter()
        .map(|entry| Fact {
            event_type: &entry.found.event_type,
            sender: &entry.found.sender,
            content: entry.found.content(&response.body),
        })
        .collect();
    let room = RoomId(room_id);
    model.rooms.learn(room, &facts);
    let (mut encryption, mut change) = (None, FlagChange::Off);
    let is_encryption = |entry: &Entry| entry.found.event_type == "m.room.encryption";
    let mut all = events.into_iter().filter(is_encryption).peekable();
    while let Some(entry) = all.next() {
        let content = entry.found.content(&response.body);
        // The last one counts, but no flag is taken away by what comes after it.
        if all.peek().is_some() && !is_flagged(content) {
            continue;
        }
        let sent = entry.found.origin_server_ts;
        change = model.observe_encryption(entry.id(), (content, sent));
        encryption = Some(entry);
    }
    if change == FlagChange::RemovalIgnored {
        response.clear.extend(encryption);
    }
}

fn entry(response: &Response, index: &mut EventIndex, object: usize) -> Option<Entry> {
    let found = index.event(&response.body, object)?;
    let room_id = found.room_id(response.request_room.as_deref())?.to_owned();
    // Nothing is kept under what cannot be an id, however long it is.
    if !is_room_id(&room_id) || !found.event_id.as_deref().is_none_or(is_event_id) {
        return None;
    }
    let role = role(response, &found);
    let session_id = if found.event_type == ENCRYPTED_TYPE {
        get_str(found.content(&response.body), &["session_id"]).ok().flatten().unwrap_or_default()
    } else {
        String::new()
    };
    Some(Entry { found, room_id, role, session_id, opened: None, previous: None })
}

fn role(response: &Response, found: &FoundState) -> Role {
    match (&found.place, response.endpoint) {
        (Place::Room { list, .. }, Endpoint::Sync | Endpoint::SlidingSync) => match list.as_str() {
            "timeline" => TIMELINE,
            "invite_state" | "knock_state" | "stripped_state" => Role::Stripped,
            "state" => Role::Current(0),
            _ => Role::Current(2),
        },
        (Place::Response { list }, Endpoint::StateRead)
            if list.is_empty() && found.array().is_some() =>
        {
            Role::Current(2)
        }
        (Place::Response { list }, Endpoint::History) if response.is_initial_sync() => {
            if list == "state" { Role::Current(2) } else { TIMELINE }
        }
        _ => Role::History,
    }
}

/// Users whose devices changed. Only where the homeserver puts it: any message to this device may
/// hold the same words.
fn note_changed_devices(model: &mut Model, response: &Response) {
    const SLIDING: [&str; 3] = ["extensions", "e2ee", "device_lists"];
    if memmem::find(&response.body, b"\"device_lists\"").is_none() {
        return;
    }
    let is_sliding = response.endpoint == Endpoint::SlidingSync;
    let path: &[&str] = if is_sliding { &SLIDING } else { &["device_lists"] };
    let Ok(text) = std::str::from_utf8(&response.body) else { return };
    let Ok(Some(lists)) = get(text, path) else { return };
    let mut users: Set<String> = Set::new();
    for list in ["changed", "left"] {
        let list = get(lists, &[list]).ok().flatten().unwrap_or("[]");
        for user in elements(list).unwrap_or_default() {
            users.extend(exact_string(user));
        }
    }
    if users.is_empty() {
        return;
    }
    model.devices.note_changed(&users);
    for (room_id, outbound) in model.outbound.iter() {
        if users.iter().any(|user| outbound.concerns(user)) {
            model.due.note(room_id, Due::Devices);
        }
    }
}
