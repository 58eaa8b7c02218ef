//! Finds everything of interest in a response and learns from what is clear.

use memchr::memmem;

use super::compose;
use super::response::{Entry, Look, MAX_FOLLOWED_BYTES, Response};
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

/// Begins to look at a whole response.
pub(super) fn look(model: &mut Model, response: &mut Response) {
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
    look_at(model, response, scan);
}

/// So much of a response is looked at in one go, in events: a large one would hold up the page.
const MOST_AT_ONCE: usize = 1_000;

/// Begins to look at a response by a scan of its bytes; [`go_on`] does it.
pub(super) fn look_at(model: &Model, response: &mut Response, scan: Scan) {
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
    let index = scan.layout.and_then(EventIndex::of);
    response.look = index.map(|index| Look {
        objects: index.objects().into_iter(),
        index,
        placed: Vec::new(),
        sorted: 0,
        rooms: Set::new(),
        facts: Map::new(),
        unlearned: Vec::new(),
    });
}

/// Goes on with the look at a response, until [`Response::look`] is none.
pub(super) fn go_on(model: &mut Model, response: &mut Response, observed: &mut Vec<Observation>) {
    let Some(mut look) = response.look.take() else { return };
    for _ in 0..MOST_AT_ONCE {
        if let Some(object) = look.objects.next() {
            look.sort(model, response, object, observed);
        } else if let Some((object, room_id)) = look.placed.get_mut(look.sorted) {
            let (object, room_id) = (*object, std::mem::take(room_id));
            look.sorted += 1;
            look.sort_clear(model, response, (object, room_id));
        } else if let Some((room_id, events)) = look.unlearned.pop() {
            learn(model, response, &room_id, events);
        } else if look.facts.is_empty() {
            response.index = Some(look.index);
            return;
        } else {
            look.unlearned = std::mem::take(&mut look.facts).into_iter().collect();
        }
    }
    response.look = Some(look);
}

impl Look {
    /// Sorts out an encrypted event, and where any other stands.
    fn sort(
        &mut self,
        model: &mut Model,
        response: &mut Response,
        object: usize,
        observed: &mut Vec<Observation>,
    ) {
        let Some(bytes) = self.index.bytes(&response.body, object) else { return };
        if memmem::find(bytes, b"\"m.room.encrypted\"").is_none() {
            return self.place(model, response, object);
        }
        let entry = entry(response, &mut self.index, object);
        let Some(entry) = entry.filter(|entry| entry.found.event_type == ENCRYPTED_TYPE) else {
            return self.place(model, response, object);
        };
        self.rooms.insert(entry.room_id.clone());
        let event = entry.id();
        if redactions::is_emptied(entry.found.text(&response.body)) {
            observed.extend(model.redact(event));
            // A mere lack of content is nobody's doing.
            let is_said = redactions::is_redacted(entry.found.text(&response.body));
            if is_said && compose::emptied_slot(&entry).is_some() {
                response.emptied.push(entry);
                return;
            }
        } else if !model.states.known().is_redacted(event) {
            response.encrypted.push(entry);
            return;
        }
        if !redactions::is_empty(entry.found.content(&response.body)) {
            response.unreadable.push(compose::neutral(&response.body, &entry));
        }
    }

    /// Keeps another event for later: what is readable in a room may stand before its flag.
    fn place(&mut self, model: &Model, response: &Response, object: usize) {
        let room_id = match self.index.place(&response.body, object) {
            Some(Place::Room { room_id, .. }) => room_id,
            Some(Place::Response { .. }) => match &response.request_room {
                Some(room_id) => room_id.clone(),
                None => return,
            },
            _ => return,
        };
        let is_known = self.rooms.contains(&room_id) || !model.states.known().is_unknown(&room_id);
        let bytes = self.index.bytes(&response.body, object).unwrap_or_default();
        if !is_known && memmem::find(bytes, FLAG_END).is_some() {
            self.rooms.insert(room_id.clone());
        }
        self.placed.push((object, room_id));
    }

    /// Sorts out another event, and learns from it.
    fn sort_clear(
        &mut self,
        model: &mut Model,
        response: &mut Response,
        (object, room_id): (usize, String),
    ) {
        let is_interesting = self.rooms.contains(&room_id)
            || !model.states.known().is_unknown(&room_id)
            || model.invites.has(&room_id);
        if !is_interesting {
            return;
        }
        let Some(entry) = entry(response, &mut self.index, object) else {
            let edit = unreadable(model, response, &self.index, (RoomId(&room_id), object));
            response.unreadable.extend(edit);
            return;
        };
        match entry.role {
            Role::History => return note_flag_of_history(model, response, &entry),
            Role::Stripped => {
                if model.invites.has(&room_id) {
                    response.invites.push(entry);
                }
                return;
            }
            // The user is in the room now.
            Role::Current(_) => model.invites.drop_room(&room_id, &mut model.journal),
        }
        match entry.found.event_type.as_str() {
            "m.room.member" => {
                // Also where the homeserver hid the flag, and something encrypted is known.
                if response.is_sync() && !model.states.known().is_unknown(&room_id) {
                    note_member(model, response, &room_id, &entry);
                }
                model.devices.set_incomplete(&room_id);
            }
            "m.room.power_levels" | "m.room.create" | "m.room.encryption" => {
                self.facts.or_default(room_id).push(entry);
            }
            other if check_eligible(other).is_ok() => response.clear.push(entry),
            _ => {}
        }
    }
}

/// A room that once had the flag has it, wherever the homeserver says so.
fn note_flag_of_history(model: &mut Model, response: &Response, entry: &Entry) {
    let content = entry.found.content(&response.body);
    let is_encryption = entry.found.event_type == "m.room.encryption";
    if is_encryption && entry.found.state_key.is_empty() && is_flagged(content) {
        let sent = entry.found.origin_server_ts;
        model.observe_encryption(entry.id(), (content, sent));
    }
}

/// A member event of a sync, in a room that encrypts state.
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
    model.note_changed_devices(&users);
}
