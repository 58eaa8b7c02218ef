//! Reading: from an answer to what it needs, and from there to the answer the page gets.

mod compose;

use crate::sorted::{Map, Set};
use std::ops::Range;

use memchr::memmem;
use serde::Serialize;
use serde_json::value::RawValue;

pub(super) use self::compose::slot;
use super::again::Reconciled;
use super::rooms::RoomFacts;
use super::{Cached, EngineError, InvitePreview, StateEngine, Trust};
use crate::decrypt::decrypt::{
    DecryptedElsewhere, Decryption, Levels, OpenError, OpenedState, ReceivedEvent, Rules,
    check_decrypted, finish_decryption, open_by, verify_all,
};
use crate::flow::invite_state::{self, TOLD};
use crate::flow::redactions::{self, Redacted};
use crate::flow::request_filters;
pub(super) use crate::flow::retry::Arrival;
use crate::flow::retry::{Decrypted, Waiting};
use crate::ids::{is_event_id, is_room_id};
use crate::index::events::{
    ENCRYPTED_TYPE, Edit, Edited, FoundState, Place, Splice, Survey, clear_event, find_state,
    may_be_encrypted, unhidden,
};
use crate::index::prefilter;
use crate::index::sparse::{self, Cuts};
use crate::index::structural::{self, Scan, Wanted};
use crate::megolm::{InboundSession, KeyForm, MAX_BATCH, SessionOrigin};
use crate::model::journal::Prefix;
use crate::model::owners::{Claim, MAX_DEVICES, Owners, Standing};
use crate::model::precedence::{Candidate, FlagChange, Precedence};
use crate::msc4362::eligible::{DEFAULT_TYPES, check_eligible};
use mantle_wire::chunked::Source;
use mantle_wire::json::{elements, get, get_str, members, quoted, span};
use mantle_wire::route::{Endpoint, route};
use mantle_wire::url::Address;

/// Changes of members, and forks, are looked for in answers up to this size; larger ones are first
/// syncs.
const MAX_TENDED_BYTES: usize = 4 * 1024 * 1024;

/// Smaller answers are cheaper to take in whole than to look at in parts first.
const MIN_GLANCED_BYTES: usize = 256 * 1024;

/// An event that is opened alone takes as long as so many that are opened together.
const ALONE: usize = 4;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What to do with a request for an answer that may hold state.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Before {
    /// Send it; to another URL where one is named.
    Send {
        /// The whole URL.
        #[serde(skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// Do not send; this is the 200 answer.
    Reply {
        /// JSON.
        body: String,
    },
    /// Do not send; the answer is here already: go on as after [`StateEngine::inspect`].
    Held {
        /// What [`StateEngine::open`] wants to know.
        answer: u32,
        /// As of [`StateEngine::inspect`].
        needs: Needs,
    },
}

/// A Megolm session of a room.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionNeed {
    /// The room.
    pub room_id: String,
    /// The session.
    pub session_id: String,
}

/// What the page's glue is to supply, as far as it can.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Needs {
    /// For [`StateEngine::open`]; 0 where it is not about one answer.
    pub answer: u32,
    /// Sessions to export.
    pub sessions: Vec<SessionNeed>,
    /// Users whose devices to list.
    pub owners: Vec<String>,
    /// Rooms whose levels and encryption to tell.
    pub rooms: Vec<String>,
    /// Rooms of whose members all devices are wanted.
    pub member_devices: Vec<String>,
}

/// How far an answer is.
#[derive(Debug)]
pub enum OpenStep {
    /// Call again.
    More,
    /// Supply this, then call again.
    Needs(Needs),
    /// Finished; without a body the original bytes are right.
    Done(Option<Edited>),
    /// Give the page this; the rest follows on its next sync with the same `since`.
    Split(Vec<u8>),
}

/// An encrypted state event that could not be opened yet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UndecryptableEvent {
    /// Its room.
    pub room_id: String,
    /// Its id.
    pub event_id: String,
    /// The session it wants.
    pub session_id: String,
    /// Its sender.
    pub sender: String,
    /// Its outer state key.
    pub state_key: String,
    /// `origin_server_ts`, milliseconds.
    pub ts: u64,
    /// The wire content.
    pub content: Box<RawValue>,
    /// `session`, `index`, `owner` or `levels`: what is missing.
    pub reason: &'static str,
}

/// What one step of [`StateEngine::retried`] gives.
#[derive(Debug, Serialize)]
pub struct RetryStep {
    /// For the running client, in this order.
    pub events: Vec<RetriedEvent>,
    /// Call again.
    pub more: bool,
}

/// A clear state event for the running client.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetriedEvent {
    /// Its room.
    pub room_id: String,
    /// The whole event.
    pub event: Box<RawValue>,
}

/// What an event's place makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// Claims to be the room's state of now; later lists count more.
    Current(u8),
    /// History: opened, but says nothing about now.
    History,
    /// Stripped state of a room the user is not in.
    Stripped,
}

/// The list whose events may be older than state and newer than it.
const TIMELINE: Role = Role::Current(1);

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) found: FoundState,
    pub(super) room_id: String,
    role: Role,
    session_id: String,
    opened: Option<Result<OpenedState, OpenError>>,
    previous: Option<OpenedState>,
}

#[derive(Debug)]
pub(super) struct Answer {
    endpoint: Endpoint,
    request_room: Option<String>,
    since: Option<String>,
    url: String,
    // Of a large first sync, what matters of it.
    pub(super) body: Vec<u8>,
    cuts: Option<Cuts>,
    survey: Option<Survey>,
    encrypted: Vec<Entry>,
    clear: Vec<Entry>,
    // Stripped state of rooms that hints came for.
    pub(super) invites: Vec<Entry>,
    // What a browser may read as state that is encrypted here, and nobody else can read.
    unreadable: Vec<Edit>,
    // Redacted ones that claim to be current.
    emptied: Vec<Entry>,
    // Ranges to be blanked in the second half of a split sync.
    delivered: Vec<Range<usize>>,
    number: u32,
    // When somebody left a room last, by room: what was sent before was for them too.
    pub(super) departed: Map<String, u64>,
    cursor: usize,
    asked: bool,
    second: bool,
    // Bytes differ from the original already.
    changed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Answers {
    open: Map<u32, Answer>,
    next: u32,
    held: Option<u32>,
}

/// How far an event is.
enum Started {
    /// It was opened before.
    Known(OpenedState),
    /// Its place among those that are to be proven.
    Decryption(usize),
}

impl StateEngine {
    /// Before a request is sent whose answer may hold state.
    pub fn before(&mut self, method: &str, url: &str) -> Before {
        let send = Before::Send { url: None };
        let Some(address) = Address::parse(url) else { return send };
        match route(method, &address).endpoint {
            Endpoint::Sync => {
                let since = request_filters::parameter(&address, "since");
                if let Some(id) = self.answers.held.take()
                    && let Some(mut answer) = self.answers.open.remove(&id)
                    && answer.since == since
                    && since.is_some()
                {
                    answer.second = true;
                    answer.cursor = 0;
                    answer.asked = false;
                    let needs = self.needs(id, &answer.encrypted);
                    self.answers.open.insert(id, answer);
                    return Before::Held { answer: id, needs };
                }
            }
            Endpoint::StateRead => {
                if let Some(body) = self.known_state(&address) {
                    return Before::Reply { body };
                }
            }
            _ => {}
        }
        Before::Send { url: request_filters::include_in_url(url) }
    }

    /// `GET …/state/{type}/{key}` of something known better here.
    fn known_state(&self, address: &Address<'_>) -> Option<String> {
        let path = request_filters::room_path(address)?;
        let [state, event_type, rest @ ..] = path.rest.as_slice() else { return None };
        let state_key = rest.first().map_or("", String::as_str);
        if state != "state" || rest.len() > 1 {
            return None;
        }
        let slot = (event_type.clone(), state_key.to_owned());
        let event = self.memory.get(&path.room_id, &slot)?;
        if request_filters::parameter(address, "format").as_deref() == Some("event") {
            return Some(with_room(event, &path.room_id));
        }
        get(event, &["content"]).ok()?.map(str::to_owned)
    }

    /// As [`StateEngine::inspect`], of an answer of `length` bytes that stays where it is: `read` fills
    /// the buffer with its bytes from a position on, `whole` gives all of them. What does not concern
    /// state is not copied; of a large first sync, only what does. Then [`StateEngine::open`] gives
    /// [`Part::Kept`](crate::Part).
    pub fn inspect_there(
        &mut self,
        method: &str,
        url: &str,
        length: usize,
        read: &mut dyn FnMut(usize, &mut [u8]),
        whole: impl FnOnce() -> Vec<u8>,
    ) -> Option<Needs> {
        let address = Address::parse(url)?;
        let endpoint = route(method, &address).endpoint;
        if !self.may_concern(endpoint, &address, &mut Source { length, read }) {
            return None;
        }
        let is_first_sync = endpoint == Endpoint::Sync
            && length > MAX_TENDED_BYTES
            && self.previews.is_empty()
            && request_filters::parameter(&address, "since").is_none();
        if is_first_sync
            && let Some(excerpt) = sparse::of(&mut Source { length, read })
            && (!excerpt.scan.may_hide || self.known.is_empty())
        {
            let mut answer = Answer::new(endpoint, &address, url, excerpt.bytes);
            answer.cuts = Some(excerpt.cuts);
            self.look_at(&mut answer, excerpt.scan);
            return self.keep(answer);
        }
        self.inspect(method, url, whole())
    }

    fn may_concern(
        &self,
        endpoint: Endpoint,
        address: &Address<'_>,
        source: &mut Source<'_>,
    ) -> bool {
        if !carries_state(endpoint) {
            return false;
        }
        let length = source.length;
        let tended = !self.outbound.is_empty() && length <= MAX_TENDED_BYTES;
        let known = request_filters::room_path(address)
            .is_some_and(|path| !self.known.is_unknown(&path.room_id));
        endpoint == Endpoint::Hierarchy
            || length < MIN_GLANCED_BYTES
            || tended
            || known
            || !self.previews.is_empty()
            || prefilter::finds(source, &|room_id| !self.known.is_unknown(room_id))
    }

    /// A whole answer with status 200. `None`: its bytes go on as they are. Else it is kept until
    /// [`StateEngine::open`] is done with it, or [`StateEngine::drop_answer`].
    pub fn inspect(&mut self, method: &str, url: &str, mut body: Vec<u8>) -> Option<Needs> {
        let address = Address::parse(url)?;
        let endpoint = route(method, &address).endpoint;
        if !carries_state(endpoint) {
            return None;
        }
        // Browsers take it away.
        let marked = body.starts_with(BYTE_ORDER_MARK);
        let body = if marked { body.split_off(BYTE_ORDER_MARK.len()) } else { body };
        let mut answer = Answer::new(endpoint, &address, url, body);
        answer.changed = marked;
        if endpoint == Endpoint::Hierarchy {
            answer.changed |= self.fill_summaries(&mut answer.body);
        } else {
            if endpoint == Endpoint::SlidingSync && !self.known.is_empty() {
                answer.changed |= self.fill_rooms(&mut answer.body);
            }
            self.take_redactions(&answer);
            self.look(&mut answer);
        }
        self.keep(answer)
    }

    /// What an answer says was redacted.
    fn take_redactions(&mut self, answer: &Answer) {
        if self.known.is_empty() {
            return;
        }
        let place = |room_id: &str| {
            let version = self.rooms.get(room_id).and_then(RoomFacts::version);
            redactions::Place::of(version.as_deref())
        };
        let room = answer.request_room.as_deref();
        for Redacted { room_id, event_id } in
            redactions::find(answer.endpoint, &answer.body, room, place)
        {
            self.redact(&room_id, &event_id);
        }
    }

    /// An event was redacted: whatever came of it is over.
    pub fn redact(&mut self, room_id: &str, event_id: &str) {
        if !is_event_id(event_id)
            || self.known.is_unknown(room_id)
            || self.known.is_redacted(room_id, event_id)
        {
            return;
        }
        self.redact_rewrites(room_id, event_id);
        self.drop_copies(event_id);
        let key = (room_id.to_owned(), event_id.to_owned());
        self.cache.remove(&key);
        self.waiting.remove(&key);
        self.touch_room(room_id);
        let Some(slot) = self.known.redact(room_id, event_id) else { return };
        self.unmark_stale(room_id, event_id);
        if self.memory.remove(room_id, &slot) {
            let event = format!(
                r#"{{"type":{},"state_key":{},"sender":"","event_id":{},"origin_server_ts":0,"content":{{}},"unsigned":{{}}}}"#,
                quoted(&slot.0),
                quoted(&slot.1),
                quoted(event_id),
            );
            self.emptied.extend(retried_event(room_id, with_room(&event, room_id)));
        }
    }

    /// Keeps an answer that something is to be done with.
    fn keep(&mut self, mut answer: Answer) -> Option<Needs> {
        let idle = answer.encrypted.is_empty()
            && answer.clear.is_empty()
            && answer.invites.is_empty()
            && answer.unreadable.is_empty()
            && answer.emptied.is_empty()
            && !answer.changed;
        if idle {
            return None;
        }
        self.answers.next = self.answers.next.wrapping_add(1).max(1);
        let id = self.answers.next;
        // Only syncs come one after the other.
        if answer.is_sync() {
            answer.number = id;
        }
        let needs = self.needs(id, &answer.encrypted);
        self.answers.open.insert(id, answer);
        Some(needs)
    }

    /// Request bodies that name what state they want; `None` where they need no change.
    pub fn include_encrypted_type(&self, method: &str, url: &str, body: &[u8]) -> Option<Vec<u8>> {
        match route(method, &Address::parse(url)?).endpoint {
            Endpoint::Filter if method == "POST" => request_filters::include_in_filter(body),
            Endpoint::SlidingSync => request_filters::include_in_sliding(body),
            _ => None,
        }
    }

    /// Finds everything of interest in an answer and learns from what is clear.
    fn look(&mut self, answer: &mut Answer) {
        let is_sync = answer.is_sync();
        if is_sync && !self.outbound.is_empty() && answer.body.len() <= MAX_TENDED_BYTES {
            self.tend_devices(answer);
        }
        let knows = !self.known.is_empty();
        let tended = knows && is_sync && answer.body.len() <= MAX_TENDED_BYTES;
        let wanted = if tended { Wanted::All } else { Wanted::NotUsers };
        let mut scan = structural::scan(&answer.body, wanted);
        if knows
            && scan.may_hide
            && let Some(plain) = unhidden(&answer.body)
        {
            answer.body = plain;
            answer.changed = true;
            scan = structural::scan(&answer.body, wanted);
        }
        self.look_at(answer, scan);
    }

    /// `scan`: of the answer's bytes.
    fn look_at(&mut self, answer: &mut Answer, scan: Scan) {
        let hits = scan.hits;
        if hits.is_empty() {
            return;
        }
        let is_sync = answer.is_sync();
        let knows = !self.known.is_empty();
        let flagged = || memmem::find(&answer.body, b"encrypt_state_events\"").is_some();
        let hinted = is_sync && !self.previews.is_empty();
        if !knows && !hinted && !flagged() {
            let keyed = structural::with_key(&answer.body, &hits);
            if !may_be_encrypted(&answer.body, &keyed) {
                return;
            }
        }
        let Some(mut survey) = scan.layout.and_then(Survey::of) else { return };
        self.sort_out(answer, &mut survey);
        answer.survey = Some(survey);
    }

    fn sort_out(&mut self, answer: &mut Answer, survey: &mut Survey) {
        let needle = memmem::Finder::new("\"m.room.encrypted\"");
        let mut rest = Vec::new();
        let mut rooms: Set<String> = Set::new();
        for object in survey.objects() {
            let Some(bytes) = survey.bytes(&answer.body, object) else { continue };
            if needle.find(bytes).is_none() {
                rest.push(object);
                continue;
            }
            match self.entry(answer, survey, object) {
                Some(entry) if entry.found.event_type == ENCRYPTED_TYPE => {
                    rooms.insert(entry.room_id.clone());
                    let event_id = entry.found.event_id.as_deref().unwrap_or_default();
                    if redactions::is_emptied(entry.found.text(&answer.body)) {
                        self.redact(&entry.room_id, event_id);
                        // A mere lack of content is nobody's doing.
                        let is_said = redactions::is_redacted(entry.found.text(&answer.body));
                        if is_said && compose::emptied_slot(&entry).is_some() {
                            answer.emptied.push(entry);
                            continue;
                        }
                    } else if !self.known.is_redacted(&entry.room_id, event_id) {
                        answer.encrypted.push(entry);
                        continue;
                    }
                    if !redactions::is_empty(entry.found.content(&answer.body)) {
                        answer.unreadable.push(compose::neutral(&answer.body, &entry));
                    }
                }
                _ => rest.push(object),
            }
        }
        let mut facts: Map<String, Vec<Entry>> = Map::new();
        for object in rest {
            let room_id = match survey.place(&answer.body, object) {
                Some(Place::Room { room_id, .. }) => room_id,
                Some(Place::Answer { .. }) => match &answer.request_room {
                    Some(room_id) => room_id.clone(),
                    None => continue,
                },
                _ => continue,
            };
            let mentions_flag = || {
                survey
                    .bytes(&answer.body, object)
                    .is_some_and(|bytes| memmem::find(bytes, b"encrypt_state_events\"").is_some())
            };
            let interesting = rooms.contains(&room_id)
                || !self.known.is_unknown(&room_id)
                || self.previews.has(&room_id)
                || mentions_flag();
            if !interesting {
                continue;
            }
            let Some(entry) = self.entry(answer, survey, object) else {
                answer.unreadable.extend(self.unreadable(answer, survey, &room_id, object));
                continue;
            };
            match entry.role {
                Role::History => continue,
                Role::Stripped => {
                    if self.previews.has(&room_id) {
                        answer.invites.push(entry);
                    }
                    continue;
                }
                // The user is in the room now.
                Role::Current(_) => self.previews.drop_room(&room_id, &mut self.journal),
            }
            match entry.found.event_type.as_str() {
                "m.room.member" => {
                    if answer.is_sync() && self.known.encrypts_state(&room_id) {
                        self.tend.insert(room_id.clone(), "membership");
                        let content = entry.found.content(&answer.body);
                        self.moved(&room_id, &entry.found.state_key, content);
                        self.note_own(&room_id, &entry.found.state_key);
                        if has_left(entry.found.text(&answer.body)) {
                            self.departed(&room_id);
                            let at = entry.found.origin_server_ts.unwrap_or_default();
                            let last = answer.departed.or_default(room_id.clone());
                            *last = at.max(*last);
                        }
                    }
                    self.members_known.remove(&room_id);
                }
                "m.room.power_levels" | "m.room.create" | "m.room.encryption" => {
                    facts.or_default(room_id).push(entry);
                }
                other if check_eligible(other).is_ok() => answer.clear.push(entry),
                _ => {}
            }
        }
        for (room_id, events) in facts {
            self.learn(answer, room_id, events);
        }
    }

    /// Where the person has left the room, its names are forgotten, and so is its session. What was
    /// seen of its order stays, so that nobody can wind it back by a leave that was none.
    fn note_own(&mut self, room_id: &str, user_id: &str) {
        let is_own = self.device.as_ref().is_some_and(|device| device.user_id() == user_id);
        if is_own && self.is_away(room_id, user_id) {
            self.memory.forget_room(room_id);
            self.outbound.condemn(room_id, &mut self.journal);
            self.touch_room(room_id);
        }
    }

    /// Takes out what is no event to us and may be one to a browser, which counts the last of two
    /// keys, mends broken text and asks for no sender: so it could stand for encrypted state.
    #[cold]
    fn unreadable(
        &mut self,
        answer: &Answer,
        survey: &Survey,
        room_id: &str,
        object: usize,
    ) -> Option<Edit> {
        let (range, bytes) = survey.element(&answer.body, object)?;
        let names = |event_type: &str| memmem::find(bytes, quoted(event_type).as_bytes()).is_some();
        let slots = self.known.slots(room_id).map(|(event_type, ..)| event_type);
        if !DEFAULT_TYPES.into_iter().chain(slots).any(names) {
            return None;
        }
        self.problem(room_id, "clear-over-encrypted", "unreadable");
        Some(Edit { range, in_array: true, splice: Splice::Remove })
    }

    /// Takes levels and the flag from a room's readable state. An `m.room.encryption` that would
    /// take the flag away becomes one of the answer's clear entries.
    fn learn(&mut self, answer: &mut Answer, room_id: String, mut events: Vec<Entry>) {
        events.sort_by_key(|entry| (entry.role, entry.found.range().start));
        let mut facts = self.rooms.remove(&room_id).unwrap_or_default();
        let mut encryption = None;
        for entry in events {
            if !entry.found.state_key.is_empty() {
                continue;
            }
            let content = entry.found.content(&answer.body);
            facts.learn(&entry.found.event_type, &entry.found.sender, content);
            if entry.found.event_type == "m.room.encryption" {
                encryption = Some(entry);
            }
        }
        if let Some(levels) = facts.levels() {
            self.levels.insert(room_id.clone(), levels);
        }
        self.rooms.insert(room_id.clone(), facts);
        let Some(entry) = encryption else { return };
        let before = self.known.encrypts_state(&room_id);
        match self.known.observe_encryption(&room_id, entry.found.content(&answer.body)) {
            FlagChange::On if !before => self.touch_room(&room_id),
            FlagChange::On | FlagChange::Off => {}
            FlagChange::RemovalIgnored => {
                let event_id = entry.found.event_id.clone().unwrap_or_default();
                self.problem(&room_id, "flag-removed", &event_id);
                answer.clear.push(entry);
            }
        }
    }

    fn entry(&self, answer: &Answer, survey: &mut Survey, object: usize) -> Option<Entry> {
        let found = survey.event(&answer.body, object)?;
        let room_id = found.room_id(answer.request_room.as_deref())?.to_owned();
        // Nothing is kept under what cannot be an id, however long it is.
        if !is_room_id(&room_id) || !found.event_id.as_deref().is_none_or(is_event_id) {
            return None;
        }
        let role = role(answer, &found);
        let session_id = if found.event_type == ENCRYPTED_TYPE {
            get_str(found.content(&answer.body), &["session_id"]).ok().flatten().unwrap_or_default()
        } else {
            String::new()
        };
        Some(Entry { found, room_id, role, session_id, opened: None, previous: None })
    }

    /// Users whose devices changed. Only where the homeserver puts it: any message to this device may
    /// hold the same words.
    fn tend_devices(&mut self, answer: &Answer) {
        const SLIDING: [&str; 3] = ["extensions", "e2ee", "device_lists"];
        if memmem::find(&answer.body, b"\"device_lists\"").is_none() {
            return;
        }
        let is_sliding = answer.endpoint == Endpoint::SlidingSync;
        let path: &[&str] = if is_sliding { &SLIDING } else { &["device_lists"] };
        let Ok(text) = std::str::from_utf8(&answer.body) else { return };
        let Ok(Some(lists)) = get(text, path) else { return };
        let mut users: Set<String> = Set::new();
        for list in ["changed", "left"] {
            let list = get(lists, &[list]).ok().flatten().unwrap_or("[]");
            for user in elements(list).unwrap_or_default() {
                users.extend(serde_json::from_str::<String>(user));
            }
        }
        if users.is_empty() {
            return;
        }
        self.members_known.clear();
        for user in users.iter() {
            self.listed.remove(user);
            self.judged.remove(user);
        }
        for (room_id, outbound) in self.outbound.iter() {
            if users.iter().any(|user| outbound.concerns(user)) {
                self.tend.or_insert_with(room_id.clone(), || "devices");
            }
        }
    }

    fn needs(&self, answer: u32, entries: &[Entry]) -> Needs {
        let mut sessions = Set::new();
        let mut owners = Set::new();
        let mut rooms = Set::new();
        for entry in entries.iter().filter(|entry| !matches!(entry.opened, Some(Ok(_)))) {
            let session_id = &entry.session_id;
            let lacks = !self.sessions.contains(&entry.room_id, session_id) || entry.lacks_key();
            if !session_id.is_empty() && lacks {
                sessions.insert(SessionNeed {
                    room_id: entry.room_id.clone(),
                    session_id: session_id.clone(),
                });
            }
            if self.is_to_be_looked_up(&entry.found.sender) {
                owners.insert(entry.found.sender.clone());
            }
            if entry.role != Role::Stripped && !self.levels.contains_key(&entry.room_id) {
                rooms.insert(entry.room_id.clone());
            }
        }
        Needs {
            answer,
            sessions: sessions.into_iter().collect(),
            owners: owners.into_iter().collect(),
            rooms: rooms.into_iter().collect(),
            member_devices: Vec::new(),
        }
    }

    /// Whether it is not known which devices a sender has, or what they have to do with them.
    fn is_to_be_looked_up(&self, user_id: &str) -> bool {
        !self.listed.contains(user_id) || !self.judged.contains(user_id)
    }

    /// Takes sessions out of the page's key export; how many were new or better than before. Those
    /// that cannot be read are passed over.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is no array.
    pub fn add_room_keys(&mut self, export: &str) -> Result<usize, EngineError> {
        let mut count = 0;
        for key in elements(export)? {
            count += usize::from(self.add_room_key(key).unwrap_or(false));
        }
        Ok(count)
    }

    fn add_room_key(&mut self, key: &str) -> Option<bool> {
        use crate::megolm::{Added, MEGOLM_V1};
        let text = |path: &[&str]| get_str(key, path).ok().flatten();
        if text(&["algorithm"])? != MEGOLM_V1 {
            return None;
        }
        let origin = SessionOrigin {
            room_id: text(&["room_id"])?,
            sender_key: text(&["sender_key"])?,
            claimed_ed25519: text(&["sender_claimed_keys", "ed25519"])?,
        };
        let keys = (origin.sender_key.clone(), origin.claimed_ed25519.clone());
        let session_key = zeroize::Zeroizing::new(text(&["session_key"])?);
        let mut session = InboundSession::import(
            &text(&["session_id"])?,
            &session_key,
            KeyForm::Exported,
            origin,
        )
        .ok()?;
        if let Some(owner) = self.owners.of(&keys) {
            session.set_owner(owner);
        }
        Some(matches!(self.sessions.add(session), Ok(Added::New | Added::Better)))
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
        for user in elements(json)? {
            let user_id =
                get_str(user, &["userId"])?.ok_or(EngineError::Input("devices: userId"))?;
            let devices = elements(get(user, &["devices"])?.unwrap_or("[]"))?;
            let mut current = Set::new();
            let mut is_judged = devices.is_empty();
            let mut is_crowded = devices.len() > MAX_DEVICES;
            for device in devices.into_iter().take(MAX_DEVICES) {
                let Some((keys, claim)) = Claim::read(&user_id, device)? else { continue };
                is_crowded |= !self.owners.claim(&keys, claim);
                if self.sessions.has_origin(&keys.0, &keys.1)
                    && let Some(owner) = self.owners.of(&keys)
                {
                    self.sessions.set_owner(&keys.0, &keys.1, owner);
                }
                let standing = get_str(device, &["standing"])?;
                is_judged |= standing.is_some();
                if let Some(standing) = standing.as_deref().and_then(Standing::read)
                    && self.owners.set_standing(&keys, &user_id, standing)
                    && self.kept_owners.contains_key(&keys)
                {
                    self.journal.touch(Prefix::Owners, "");
                }
                current.insert(keys.0);
            }
            self.owners.set_crowded(&user_id, is_crowded);
            if is_judged {
                self.judged.insert(user_id.clone());
            }
            if is_crowded {
                // Of whom not everything is known, nothing is gone.
                self.current_devices.remove(&user_id);
                self.listed.remove(&user_id);
            } else {
                self.current_devices.insert(user_id.clone(), current);
                self.listed.insert(user_id);
            }
        }
        Ok(())
    }

    /// The devices of all the room's members, former ones too, have been given: a session of none of
    /// them was made by a device that is gone.
    pub fn members_added(&mut self, room_id: &str) {
        self.members_known.insert(room_id.to_owned());
    }

    /// Goes on with an answer: opens at most `most` events, then puts it together.
    ///
    /// # Errors
    ///
    /// [`EngineError::Unknown`] for an answer that is done or was dropped.
    pub fn open(&mut self, id: u32, most: usize) -> Result<OpenStep, EngineError> {
        let mut answer = self.answers.open.remove(&id).ok_or(EngineError::Unknown)?;
        let mut left = most.max(1);
        while answer.cursor < answer.encrypted.len() {
            if left == 0 {
                self.answers.open.insert(id, answer);
                return Ok(OpenStep::More);
            }
            left = left.saturating_sub(self.open_some(&mut answer, left.min(MAX_BATCH)));
        }
        let unknown: Set<String> = answer
            .encrypted
            .iter()
            .filter(|entry| matches!(entry.opened, Some(Err(OpenError::UnknownOwner))))
            .map(|entry| entry.room_id.clone())
            .filter(|room_id| !self.members_known.contains(room_id))
            .collect();
        if !answer.asked && !unknown.is_empty() {
            answer.asked = true;
            answer.cursor = 0;
            self.answers.open.insert(id, answer);
            let member_devices = unknown.into_iter().collect();
            return Ok(OpenStep::Needs(Needs { answer: id, member_devices, ..Needs::default() }));
        }
        if !answer.second
            && answer.encrypted.iter().any(Entry::lacks_key)
            && let Some((first, delivered)) = first_half(&answer)
        {
            answer.delivered = delivered;
            // One split at a time; an earlier one the page never came back for is gone.
            if let Some(old) = self.answers.held.replace(id) {
                self.answers.open.remove(&old);
            }
            self.answers.open.insert(id, answer);
            return Ok(OpenStep::Split(first));
        }
        Ok(OpenStep::Done(self.compose(answer)))
    }

    /// Opens the next events of an answer; what that cost, in events.
    fn open_some(&mut self, answer: &mut Answer, most: usize) -> usize {
        let mut decryption = Vec::new();
        let mut opening = Vec::new();
        while opening.len() < most
            && let Some(entry) = answer.encrypted.get(answer.cursor)
        {
            answer.cursor += 1;
            if matches!(entry.opened, Some(Ok(_))) {
                continue;
            }
            let room = Some(entry.room_id.as_str());
            let previous = entry.found.received_previous(&answer.body, room);
            let is_over = |event_id| self.known.is_redacted(&entry.room_id, event_id);
            let previous = previous.filter(|event| !event.event_id.is_some_and(is_over));
            let mut start = |event: Option<ReceivedEvent<'_>>| {
                Some(self.start(&event?, entry.role, &mut decryption))
            };
            let event = start(entry.found.received(&answer.body, room));
            let previous = start(previous);
            opening.push((answer.cursor - 1, event, previous));
        }
        let alone = verify_all(&mut decryption);
        let mut decryption: Vec<_> = decryption.into_iter().map(Some).collect();
        let cost = opening.len() + (ALONE - 1) * alone;
        for (at, event, previous) in opening {
            let Some(entry) = answer.encrypted.get_mut(at) else { continue };
            let role = entry.role;
            let mut finish = |received: Option<ReceivedEvent<'_>>, started| match started? {
                Started::Known(opened) => Some(Ok(opened)),
                Started::Decryption(at) => {
                    let decryption = decryption.get_mut(at).and_then(Option::take);
                    Some(self.open_received(&received?, role, decryption))
                }
            };
            let room = Some(entry.room_id.as_str());
            let opened = finish(entry.found.received(&answer.body, room), event);
            let before = finish(entry.found.received_previous(&answer.body, room), previous);
            if let Some(opened) = opened {
                entry.opened = Some(opened);
                entry.previous = before.and_then(Result::ok);
            }
        }
        cost
    }

    /// Gives an answer up.
    pub fn drop_answer(&mut self, id: u32) {
        self.answers.open.remove(&id);
    }

    fn cached(&self, event: &ReceivedEvent<'_>) -> Option<&OpenedState> {
        let key = (event.room_id, event.event_id?);
        let cached = self.cache.find(|(room, id)| (room.as_str(), id.as_str()).cmp(&key))?;
        let is_same = cached.content == event.content
            && cached.sender == event.sender
            && cached.state_key == event.state_key;
        is_same.then_some(&cached.opened)
    }

    /// Adds what was begun of an event that was not opened before.
    #[inline(never)]
    fn start(
        &mut self,
        event: &ReceivedEvent<'_>,
        role: Role,
        decryption: &mut Vec<Decryption>,
    ) -> Started {
        if let Some(opened) = self.cached(event) {
            return Started::Known(opened.clone());
        }
        let rules = rules(
            self.known.encrypts_state(event.room_id),
            &self.levels,
            &self.members_known,
            &self.owners,
            self.settings.trust,
            event,
            role,
        );
        decryption.push(Decryption::ahead(event, &mut self.sessions, rules.gone_devices));
        Started::Decryption(decryption.len() - 1)
    }

    #[inline(never)]
    fn open_received(
        &mut self,
        event: &ReceivedEvent<'_>,
        role: Role,
        decryption: Option<Decryption>,
    ) -> Result<OpenedState, OpenError> {
        if decryption.is_none()
            && let Some(opened) = self.cached(event)
        {
            return Ok(opened.clone());
        }
        let rules = rules(
            self.known.encrypts_state(event.room_id),
            &self.levels,
            &self.members_known,
            &self.owners,
            self.settings.trust,
            event,
            role,
        );
        let seen = self.seen.count(event.room_id);
        let opened = match decryption {
            Some(decryption) => {
                finish_decryption(event, decryption, &mut self.sessions, &rules, &mut self.seen)
            }
            None => open_by(event, &mut self.sessions, &rules, &mut self.seen),
        }?;
        self.check_standing(event, &opened.session_id, role)?;
        self.opened(event, seen, &opened);
        Ok(opened)
    }

    /// What the sender has to do with the device that made a session: the best that is claimed.
    pub(super) fn standing(&self, room_id: &str, session_id: &str, sender: &str) -> Standing {
        let own = self.device.as_ref().filter(|device| device.user_id() == sender);
        let claims = self.sessions.origins_of(room_id, session_id, sender);
        claims
            .map(|origin| {
                let is_own = own.is_some_and(|own| {
                    own.curve25519() == origin.sender_key && own.ed25519() == origin.claimed_ed25519
                });
                if is_own {
                    return Standing::Signed;
                }
                let keys = (origin.sender_key.clone(), origin.claimed_ed25519.clone());
                self.owners.standing(&keys, sender)
            })
            .max()
            .unwrap_or(Standing::Unsigned)
    }

    /// Whether what was opened may be passed on: its sender stands for the device it came from, or
    /// nobody can do so for theirs and the settings take all.
    pub(super) fn is_sure(&self, room_id: &str, session_id: &str, sender: &str) -> bool {
        match self.standing(room_id, session_id, sender) {
            Standing::Signed => true,
            Standing::Plain => self.settings.trust == Trust::All,
            Standing::Unknown | Standing::Unsigned => false,
        }
    }

    fn check_standing(
        &mut self,
        event: &ReceivedEvent<'_>,
        session_id: &str,
        role: Role,
    ) -> Result<(), OpenError> {
        let standing = self.standing(event.room_id, session_id, event.sender);
        let is_gone =
            self.sessions.origins_of(event.room_id, session_id, event.sender).count() == 0;
        if role == Role::Stripped || (is_gone && self.settings.trust == Trust::All) {
            // Nobody can know; or it is told that nobody has the device.
            return Ok(());
        }
        self.judge_standing(event, standing)
    }

    /// Reading follows the trust of writing, and what is not sure is said.
    fn judge_standing(
        &mut self,
        event: &ReceivedEvent<'_>,
        standing: Standing,
    ) -> Result<(), OpenError> {
        match (self.settings.trust, standing) {
            (_, Standing::Signed) | (Trust::All, Standing::Plain | Standing::Unknown) => Ok(()),
            (Trust::All, Standing::Unsigned) => {
                self.problem(event.room_id, "unsigned-device", event.sender);
                Ok(())
            }
            (Trust::CrossSigned, Standing::Unknown) => Err(OpenError::UntrustedDevice),
            (Trust::CrossSigned, Standing::Plain | Standing::Unsigned) => {
                self.problem(event.room_id, "untrusted-device", event.sender);
                Err(OpenError::UntrustedDevice)
            }
        }
    }

    /// Keeps what opening taught.
    fn opened(&mut self, event: &ReceivedEvent<'_>, seen_before: usize, opened: &OpenedState) {
        if self.seen.count(event.room_id) != seen_before {
            self.journal.touch(Prefix::Seen, event.room_id);
        }
        if opened.by_gone_device {
            self.problem(event.room_id, "gone-device", &opened.session_id);
        }
        let origin = self
            .sessions
            .claims(event.room_id, &opened.session_id)
            .iter()
            .find(|session| session.owner() == Some(event.sender))
            .map(|session| session.origin().clone());
        if let Some(origin) = origin
            && let keys = (origin.sender_key, origin.claimed_ed25519)
            && !self.kept_owners.contains_key(&keys)
        {
            let cost = keys.0.len() + keys.1.len() + event.sender.len();
            self.kept_owners.insert(keys, (), cost);
            self.journal.touch(Prefix::Owners, "");
        }
        self.check_own_index(event.room_id, opened);
        if let Some(event_id) = event.event_id {
            let cached = Cached {
                content: event.content.to_owned(),
                sender: event.sender.to_owned(),
                state_key: event.state_key.to_owned(),
                opened: opened.clone(),
            };
            let cost = cached.cost();
            let key = (event.room_id.to_owned(), event_id.to_owned());
            self.cache.insert(key, Box::new(cached), cost);
        }
    }

    /// Whether events wait whose key, owner or room is not known yet.
    #[must_use]
    pub const fn has_undecryptable(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether this event is one of them.
    #[must_use]
    pub fn is_undecryptable(&self, room_id: &str, event_id: &str) -> bool {
        self.waiting.contains(room_id, event_id)
    }

    /// Those of them that were not given out before, or for another reason.
    pub fn take_undecryptable(&mut self) -> Vec<UndecryptableEvent> {
        self.waiting
            .take_fresh()
            .filter_map(|((room_id, event_id), waiting)| {
                let content = get(&waiting.event, &["content"]).ok()??;
                Some(UndecryptableEvent {
                    room_id: room_id.clone(),
                    event_id: event_id.clone(),
                    session_id: waiting.session_id.clone(),
                    sender: waiting.sender.clone(),
                    state_key: waiting.state_key.clone(),
                    ts: waiting.ts,
                    content: serde_json::from_str(content).ok()?,
                    reason: waiting.reason,
                })
            })
            .collect()
    }

    /// What the waiting events need.
    pub fn retry_needs(&self) -> Option<Needs> {
        if self.waiting.is_empty() {
            return None;
        }
        let mut needs = Needs::default();
        let (mut sessions, mut owners) = (Set::new(), Set::new());
        let (mut rooms, mut member_devices) = (Set::new(), Set::new());
        for ((room_id, _), waiting) in self.waiting.iter() {
            match waiting.reason {
                "session" | "index" => {
                    sessions.insert(SessionNeed {
                        room_id: room_id.clone(),
                        session_id: waiting.session_id.clone(),
                    });
                }
                "owner" if !self.members_known.contains(room_id) => {
                    member_devices.insert(room_id.clone());
                }
                _ => {}
            }
            if self.is_to_be_looked_up(&waiting.sender) || waiting.reason == "device" {
                owners.insert(waiting.sender.clone());
            }
            if !self.levels.contains_key(room_id) {
                rooms.insert(room_id.clone());
            }
        }
        needs.sessions = sessions.into_iter().collect();
        needs.owners = owners.into_iter().collect();
        needs.rooms = rooms.into_iter().collect();
        needs.member_devices = member_devices.into_iter().collect();
        Some(needs)
    }

    /// What the page's own crypto made of an event: `{"clearEvent", "senderCurve25519Key",
    /// "claimedEd25519Key"}`.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is not that.
    pub fn add_decrypted(
        &mut self,
        room_id: &str,
        event_id: &str,
        json: &str,
    ) -> Result<(), EngineError> {
        let field = |name: &'static str| {
            get_str(json, &[name])?.ok_or(EngineError::Input("decrypted event"))
        };
        let payload = get(json, &["clearEvent"])?.ok_or(EngineError::Input("decrypted event"))?;
        let decrypted = Decrypted {
            payload: payload.to_owned(),
            curve25519: field("senderCurve25519Key")?,
            ed25519: field("claimedEd25519Key")?,
        };
        if let Some(waiting) = self.waiting.get_mut(&(room_id.to_owned(), event_id.to_owned())) {
            waiting.decrypted = Some(decrypted);
        }
        Ok(())
    }

    /// Encrypted state events that the running client holds undecrypted (from its own store, or
    /// from before Mantle was there): a JSON array. They wait like those of an answer.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is no array.
    pub fn backfill(&mut self, room_id: &str, events: &str) -> Result<(), EngineError> {
        let list = events.as_bytes();
        elements(events)?;
        for found in find_state(list, ENCRYPTED_TYPE) {
            let Some(event_id) = found.event_id.clone() else { continue };
            let is_over = self.known.is_redacted(room_id, &event_id)
                || redactions::is_emptied(found.text(list));
            if is_over || self.cache.contains_key(&(room_id.to_owned(), event_id)) {
                continue;
            }
            let arrival = (0, 0, found.range().start);
            self.wait(room_id, &found, list, "session", arrival);
        }
        Ok(())
    }

    fn wait(
        &mut self,
        room_id: &str,
        found: &FoundState,
        body: &[u8],
        reason: &'static str,
        arrival: Arrival,
    ) {
        let Some(event_id) = found.event_id.clone() else { return };
        let key = (room_id.to_owned(), event_id);
        let before = self.waiting.remove(&key);
        let arrival = before.as_ref().map_or(arrival, |before| before.arrival.max(arrival));
        let given_out = before.as_ref().and_then(|before| before.given_out);
        let decrypted = before.and_then(|waiting| waiting.decrypted);
        let session_id = get_str(found.content(body), &["session_id"]).ok().flatten();
        self.waiting.insert(
            key,
            Box::new(Waiting {
                arrival,
                event: found.text(body).to_owned(),
                state_key: found.state_key.clone(),
                sender: found.sender.clone(),
                session_id: session_id.unwrap_or_default(),
                ts: found.origin_server_ts.unwrap_or_default(),
                reason,
                given_out,
                decrypted,
            }),
        );
    }

    /// Tries the waiting events again, at most `most` in a step: those that are current and open now,
    /// as clear events, in the order they came; and in the end the names of invites that hints came
    /// for. One whose key comes after that of an event that replaced it is history.
    pub fn retried(&mut self, most: usize) -> RetryStep {
        if self.retrying.is_empty() {
            let mut keys: Vec<_> =
                self.waiting.iter().map(|(key, waiting)| (waiting.arrival, key.clone())).collect();
            // The next one is taken from the end.
            keys.sort_by(|one, other| other.cmp(one));
            self.retrying = keys.into_iter().map(|(_, key)| key).collect();
        }
        let mut events = Vec::new();
        let mut left = most.max(1);
        while left > 0 && !self.retrying.is_empty() {
            left = left.saturating_sub(self.retry_some(left.min(MAX_BATCH), &mut events));
        }
        let more = !self.retrying.is_empty();
        if !more {
            events.extend(self.retried_invites());
            events.append(&mut self.emptied);
        }
        RetryStep { events, more }
    }

    /// Tries the next events; what that cost, in events.
    fn retry_some(&mut self, most: usize, retried: &mut Vec<RetriedEvent>) -> usize {
        let mut tried = Vec::new();
        while tried.len() < most
            && let Some(key) = self.retrying.pop()
        {
            let Some(waiting) = self.waiting.remove(&key) else { continue };
            tried.push((key, waiting));
        }
        let mut decryption = Vec::new();
        let begun_at: Vec<_> = tried
            .iter()
            .map(|((room_id, event_id), waiting)| {
                match self.start(&waiting.received(room_id, event_id), TIMELINE, &mut decryption) {
                    Started::Known(_) => None,
                    Started::Decryption(at) => Some(at),
                }
            })
            .collect();
        let alone = verify_all(&mut decryption);
        let mut decryption: Vec<_> = decryption.into_iter().map(Some).collect();
        let cost = tried.len() + (ALONE - 1) * alone;
        for ((key, mut waiting), at) in tried.into_iter().zip(begun_at) {
            let decryption = at.and_then(|at| decryption.get_mut(at)?.take());
            let (room_id, event_id) = &key;
            let reopened = self.reopen(room_id, event_id, &waiting, decryption);
            if let Ok(opened) = &reopened
                && self.is_sure(room_id, &opened.session_id, &waiting.sender)
            {
                let (ts, arrival) = (waiting.ts, waiting.arrival);
                self.reconcile(
                    room_id,
                    &Reconciled { event_id, ts, opened, arrival, previous: None },
                );
            }
            match reopened {
                Ok(opened) => retried.extend(self.retry(room_id, event_id, &waiting, &opened)),
                Err(error) if error.may_retry() => {
                    waiting.reason = reason(&error);
                    self.waiting.insert(key, waiting);
                }
                Err(error) => self.refused(room_id, event_id, &error),
            }
        }
        cost.max(1)
    }

    /// The clear event, if it is current.
    fn retry(
        &mut self,
        room_id: &str,
        event_id: &str,
        waiting: &Waiting,
        opened: &OpenedState,
    ) -> Option<RetriedEvent> {
        if self.is_replaced(room_id, opened, waiting.arrival) {
            return None;
        }
        if self.offer(room_id, event_id, waiting.ts, opened) != Precedence::Current {
            self.problem(room_id, "rollback", event_id);
            return None;
        }
        self.place(room_id, opened, waiting.arrival);
        self.remember(room_id, event_id, &waiting.sender, waiting.ts, opened);
        let previous = get(&waiting.event, &["unsigned", "prev_content"]);
        let has_previous = previous.is_ok_and(|previous| previous.is_some());
        let event = clear_event(&waiting.event, opened, None, has_previous)?;
        retried_event(room_id, with_room(&String::from_utf8(event).ok()?, room_id))
    }

    /// False when the slot of a state event that was decrypted late has another event by now.
    #[must_use]
    pub fn is_current(
        &self,
        room_id: &str,
        event_type: &str,
        state_key: &str,
        event_id: &str,
    ) -> bool {
        let current = self.known.current(room_id, event_type, state_key);
        current.is_some_and(|current| current.event_id == event_id)
    }

    fn reopen(
        &mut self,
        room_id: &str,
        event_id: &str,
        waiting: &Waiting,
        decryption: Option<Decryption>,
    ) -> Result<OpenedState, OpenError> {
        let event = waiting.received(room_id, event_id);
        let error = match self.open_received(&event, TIMELINE, decryption) {
            Err(error) if error.may_retry() => error,
            other => return other,
        };
        let Some(decrypted) = &waiting.decrypted else { return Err(error) };
        let keys = (decrypted.curve25519.clone(), decrypted.ed25519.clone());
        let owner = self.owners.of(&keys).map(str::to_owned);
        let elsewhere = DecryptedElsewhere { payload: &decrypted.payload, owner: owner.as_deref() };
        let rules = rules(
            self.known.encrypts_state(event.room_id),
            &self.levels,
            &self.members_known,
            &self.owners,
            self.settings.trust,
            &event,
            TIMELINE,
        );
        let seen = self.seen.count(room_id);
        let opened = check_decrypted(&event, &elsewhere, &rules, &mut self.seen)?;
        let standing = self.owners.standing(&keys, event.sender);
        self.judge_standing(&event, standing)?;
        self.opened(&event, seen, &opened);
        Ok(opened)
    }

    /// True when what is current in the event's slot came after it.
    fn is_replaced(&self, room_id: &str, opened: &OpenedState, arrival: Arrival) -> bool {
        let slot = compose::slot(room_id, &opened.event_type, &opened.state_key);
        self.placed.get(&slot).is_some_and(|placed| *placed > arrival)
    }

    fn place(&mut self, room_id: &str, opened: &OpenedState, arrival: Arrival) {
        self.place_slot(compose::slot(room_id, &opened.event_type, &opened.state_key), arrival);
    }

    fn place_slot(&mut self, slot: (String, String, String), arrival: Arrival) {
        let before = self.placed.get(&slot).copied();
        self.placed.insert(slot, before.map_or(arrival, |before| before.max(arrival)), 0);
    }

    /// The earliest date that an event, opened just now, was ever seen with.
    fn date(&mut self, room_id: &str, ts: u64, opened: &OpenedState) -> u64 {
        let place = (opened.session_id.as_str(), opened.message_index);
        let (date, is_new) = self.seen.date(room_id, place, ts);
        if is_new {
            self.journal.touch(Prefix::Seen, room_id);
        }
        date
    }

    fn offer(
        &mut self,
        room_id: &str,
        event_id: &str,
        ts: u64,
        opened: &OpenedState,
    ) -> Precedence {
        let ts = self.date(room_id, ts, opened);
        let candidate = Candidate {
            event_id: event_id.to_owned(),
            origin_server_ts: ts,
            session_id: opened.session_id.clone(),
            message_index: opened.message_index,
        };
        let known = self.known.current(room_id, &opened.event_type, &opened.state_key);
        if known == Some(&candidate) {
            return Precedence::Current;
        }
        let place = (opened.session_id.as_str(), opened.message_index);
        let is_known = known.is_some_and(|known| known.event_id == event_id);
        if known.is_some()
            && !is_known
            && self.seen.is_behind(room_id, place, (&opened.event_type, &opened.state_key))
        {
            return Precedence::Rollback;
        }
        let precedence =
            self.known.offer_encrypted(room_id, &opened.event_type, &opened.state_key, candidate);
        self.touch_room(room_id);
        precedence
    }

    /// Keeps a clear current event for when a server hides it.
    fn remember(
        &mut self,
        room_id: &str,
        event_id: &str,
        sender: &str,
        ts: u64,
        opened: &OpenedState,
    ) {
        let slot = (opened.event_type.clone(), opened.state_key.clone());
        // Of others than Mantle encrypts itself, nothing is sent, filled in or kept.
        if !self.settings.types.contains(&slot.0) {
            return;
        }
        let event = format!(
            r#"{{"type":{},"state_key":{},"sender":{},"event_id":{},"origin_server_ts":{ts},"content":{},"unsigned":{{}}}}"#,
            quoted(&opened.event_type),
            quoted(&opened.state_key),
            quoted(sender),
            quoted(event_id),
            opened.content,
        );
        let is_sure = self.is_sure(room_id, &opened.session_id, sender);
        if self.memory.get(room_id, &slot) == Some(&event)
            && self.memory.is_sure(room_id, &slot) == is_sure
        {
            return;
        }
        let is_told = TOLD.contains(&slot.0.as_str());
        self.touch_room(room_id);
        for room_id in self.memory.insert(room_id, slot, (event, is_sure)) {
            self.touch_room(&room_id);
        }
        if is_told && self.device.as_ref().is_some_and(|device| device.user_id() == sender) {
            // Those who were invited before there was a name are told of it.
            self.tend.or_insert_with(room_id.to_owned(), || "name");
        }
    }

    /// What to tell the devices of a user who is being invited; `None` when there is nothing.
    pub fn invite_preview(&self, room_id: &str) -> Option<InvitePreview> {
        if !self.known.encrypts_state(room_id) {
            return None;
        }
        invite_state::message(room_id, |event_type| {
            // What is told is vouched for.
            self.memory.single_sure(room_id, event_type)
        })
    }

    /// A decrypted to-device message of that type. `sender` is who the Olm channel says.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the content is none, or there is no room for it.
    pub fn add_invite_preview(&mut self, sender: &str, content: &str) -> Result<(), EngineError> {
        self.previews
            .add(sender, content, &mut self.journal)
            .map_err(|_| EngineError::Input("invite"))
    }

    /// Puts what inviters told into the invites of an answer they belong to.
    pub(super) fn tell_invites(&self, answer: &Answer, survey: &Survey) -> Vec<Edit> {
        let mut rooms: Map<&str, Vec<&Entry>> = Map::new();
        for entry in &answer.invites {
            rooms.or_default(&entry.room_id).push(entry);
        }
        let mut edits = Vec::new();
        for (room_id, entries) in rooms {
            let Some(open) = entries.first().and_then(|entry| entry.found.array()) else {
                continue;
            };
            let list = survey.list(&answer.body, open);
            let is_inviter =
                |sender: &str| list.iter().any(|event| self.is_invite_by(event, sender));
            let Some(preview) = self.previews.told(room_id, is_inviter) else { continue };
            let mut anchored = false;
            for entry in entries {
                if preview.has(&entry.found.event_type) {
                    edits.push(Edit::of(&entry.found, Splice::Remove));
                } else if !anchored {
                    anchored = true;
                    let events: Vec<String> = preview.events().collect();
                    edits.push(Edit::of(
                        &entry.found,
                        Splice::Append(events.join(",").into_bytes()),
                    ));
                }
            }
        }
        edits
    }

    fn is_invite_by(&self, event: &str, inviter: &str) -> bool {
        let text = |path: &[&str]| get_str(event, path).ok().flatten();
        let own = self.device.as_ref().map(|device| device.user_id().to_owned());
        text(&["type"]).as_deref() == Some("m.room.member")
            && text(&["sender"]).as_deref() == Some(inviter)
            && own.is_none_or(|own| text(&["state_key"]) == Some(own))
            && text(&["content", "membership"]).as_deref() == Some("invite")
    }

    /// Whether [`StateEngine::retried`] has something that no key is waited for.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.previews.has_fresh() || !self.emptied.is_empty()
    }

    /// Names for invites the running client may hold already.
    fn retried_invites(&mut self) -> Vec<RetriedEvent> {
        self.previews
            .take_fresh()
            .into_iter()
            .filter_map(|(room_id, event)| retried_event(&room_id, with_room(&event, &room_id)))
            .collect()
    }

    fn refused(&mut self, room_id: &str, event_id: &str, error: &OpenError) {
        let code = match error {
            OpenError::Replay => "replay",
            OpenError::ForeignSession => "foreign-session",
            OpenError::TypeMismatch | OpenError::StateKeyMismatch | OpenError::OpaqueKey => {
                "key-mismatch"
            }
            OpenError::RoomMismatch => "room-mismatch",
            OpenError::Ineligible(_) | OpenError::StateKey(_) => "not-eligible",
            OpenError::PowerLevel | OpenError::ForeignStateKey => "power-level",
            _ => "damaged",
        };
        self.problem(room_id, code, event_id);
    }
}

/// True when a member event says that somebody who had joined is no member any more.
fn has_left(event: &str) -> bool {
    let membership = |path: &[&str]| get_str(event, path).ok().flatten();
    let is = membership(&["content", "membership"]);
    let was = membership(&["unsigned", "prev_content", "membership"]);
    matches!(is.as_deref(), Some("leave" | "ban")) && matches!(was.as_deref(), None | Some("join"))
}

impl Entry {
    fn lacks_key(&self) -> bool {
        matches!(self.opened, Some(Err(OpenError::MissingSession | OpenError::MissingIndex { .. })))
    }
}

fn rules<'a>(
    is_flagged: bool,
    levels: &'a Map<String, crate::msc4362::power_levels::PowerLevels>,
    members_known: &Set<String>,
    owners: &Owners,
    trust: Trust,
    event: &ReceivedEvent<'_>,
    role: Role,
) -> Rules<'a> {
    Rules {
        levels: match (role, levels.get(event.room_id)) {
            (Role::Stripped, _) => Levels::NotAsked,
            (_, Some(levels)) => Levels::Known(levels),
            (_, None) => Levels::Unknown,
        },
        opaque_keys: !is_flagged,
        gone_devices: trust == Trust::All
            && members_known.contains(event.room_id)
            && !owners.is_crowded(event.sender),
    }
}

const fn carries_state(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::Sync
            | Endpoint::SlidingSync
            | Endpoint::Events
            | Endpoint::History
            | Endpoint::StateRead
            | Endpoint::Search
            | Endpoint::Notifications
            | Endpoint::Hierarchy
    )
}

fn reason(error: &OpenError) -> &'static str {
    match error {
        OpenError::MissingIndex { .. } => "index",
        OpenError::UnknownOwner => "owner",
        OpenError::UntrustedDevice => "device",
        OpenError::UnknownLevels => "levels",
        _ => "session",
    }
}

fn role(answer: &Answer, found: &FoundState) -> Role {
    match (&found.place, answer.endpoint) {
        (Place::Room { list, .. }, Endpoint::Sync | Endpoint::SlidingSync) => match list.as_str() {
            "timeline" => TIMELINE,
            "invite_state" | "knock_state" | "stripped_state" => Role::Stripped,
            "state" => Role::Current(0),
            _ => Role::Current(2),
        },
        (Place::Answer { list }, Endpoint::StateRead)
            if list.is_empty() && found.array().is_some() =>
        {
            Role::Current(2)
        }
        (Place::Answer { list }, Endpoint::History) if answer.is_initial_sync() => {
            if list == "state" { Role::Current(2) } else { TIMELINE }
        }
        _ => Role::History,
    }
}

impl Answer {
    fn new(endpoint: Endpoint, address: &Address<'_>, url: &str, body: Vec<u8>) -> Self {
        Self {
            endpoint,
            request_room: request_filters::room_path(address).map(|path| path.room_id),
            since: request_filters::parameter(address, "since"),
            url: url.to_owned(),
            body,
            cuts: None,
            survey: None,
            encrypted: Vec::new(),
            clear: Vec::new(),
            invites: Vec::new(),
            unreadable: Vec::new(),
            emptied: Vec::new(),
            delivered: Vec::new(),
            number: 0,
            departed: Map::new(),
            cursor: 0,
            asked: false,
            second: false,
            changed: false,
        }
    }

    const fn is_sync(&self) -> bool {
        matches!(self.endpoint, Endpoint::Sync | Endpoint::SlidingSync)
    }

    fn is_initial_sync(&self) -> bool {
        Address::parse(&self.url)
            .is_some_and(|address| address.path.trim_end_matches('/').ends_with("/initialSync"))
    }
}

/// The part of a sync answer that brings keys, as an answer of its own that changes nothing else;
/// and where its to-device events stand in the whole. `None` when there is nothing to bring.
fn first_half(answer: &Answer) -> Option<(Vec<u8>, Vec<Range<usize>>)> {
    const PARTS: [&str; 5] = [
        "to_device",
        "device_lists",
        "device_one_time_keys_count",
        "device_unused_fallback_key_types",
        "org.matrix.msc2732.device_unused_fallback_key_types",
    ];
    if answer.endpoint != Endpoint::Sync {
        return None;
    }
    let since = answer.since.as_deref()?;
    let text = std::str::from_utf8(&answer.body).ok()?;
    let all = members(text).ok()??;
    let to_device = all.iter().rfind(|member| member.key == "to_device")?;
    let events = get(to_device.value, &["events"]).ok()??;
    if elements(events).ok()?.is_empty() {
        return None;
    }
    let mut first = format!(r#"{{"next_batch":{}"#, quoted(since));
    for member in all.iter().filter(|member| PARTS.contains(&member.key.as_str())) {
        first.push_str(&format!(",{}:{}", quoted(&member.key), member.value));
    }
    first.push('}');
    Some((first.into_bytes(), vec![span(text, events)]))
}

/// The event with its room's id, which sync answers leave out.
pub(super) fn with_room(event: &str, room_id: &str) -> String {
    let edit = [mantle_wire::json::Edit::set(&["room_id"], quoted(room_id))];
    mantle_wire::json::apply(event.as_bytes(), &edit)
        .ok()
        .flatten()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_else(|| event.to_owned())
}

pub(super) fn retried_event(room_id: &str, event: String) -> Option<RetriedEvent> {
    Some(RetriedEvent { room_id: room_id.to_owned(), event: RawValue::from_string(event).ok()? })
}
