//! Finding encrypted state events in answers and putting clear ones in their place.
//!
//! Answers may have tens of megabytes and are never parsed as a whole: a search for the event type,
//! a walk from each hit to its enclosing object, and only when one of those is a state event one
//! pass over the structure, which says exactly where the event stands. All bytes outside replaced
//! events stay as they were. What cannot be understood is not found, and so passes untouched.

use std::ops::Range;

use memchr::{memchr2, memmem, memrchr};
use serde_json::Value;

use super::open::{OpenedState, ReceivedEvent};
use crate::wire::json_edit;

/// The type of every encrypted event.
pub const ENCRYPTED_TYPE: &str = "m.room.encrypted";

/// How far from a hit its object's ends are looked for; an event has at most 64 KiB, with what the
/// server adds in `unsigned` some more.
const MAX_WALK_BYTES: usize = 512 * 1024;

/// Deeper nested answers are not understood. Events come at most at depth 8 or so.
const MAX_DEPTH: usize = 128;

const SHORT_STRING: usize = 24;

/// Where in an answer an event stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a room of `/sync` or of simplified sliding sync (MSC4186).
    Room {
        /// The room's id.
        room_id: String,
        /// `state`, `timeline`, `state_after`, `required_state`, `invite_state` and so on.
        list: String,
    },
    /// In another answer, whose room is the one in the request's path.
    Answer {
        /// `chunk`, `state`, `event`, `events_before`, …; empty for the answer itself.
        list: String,
    },
}

/// A state event found in an answer.
#[derive(Clone)]
pub struct FoundState<'a> {
    range: Range<usize>,
    text: &'a str,
    in_array: bool,
    /// Where it stands.
    pub place: Place,
    /// Its event id; none in stripped state.
    pub event_id: Option<String>,
    /// Its sender.
    pub sender: String,
    /// Its outer state key.
    pub state_key: String,
    /// When its server says it was sent, milliseconds since the epoch; none in stripped state.
    pub origin_server_ts: Option<u64>,
    /// The exact JSON of its content.
    pub content: &'a str,
    previous: Option<Previous<'a>>,
}

#[derive(Clone)]
struct Previous<'a> {
    event_id: Option<String>,
    sender: Option<String>,
    content: &'a str,
}

impl std::fmt::Debug for FoundState<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("FoundState")
            .field("range", &self.range)
            .field("state_key", &self.state_key)
            .finish_non_exhaustive()
    }
}

impl FoundState<'_> {
    /// The bytes of the answer it takes.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The event for [`super::open_state`]. `request_room` is the room in the request's path; the
    /// answer's own structure goes before it, the event's `room_id` counts for nothing. `None` when
    /// neither names a room.
    pub fn received<'b>(&'b self, request_room: Option<&'b str>) -> Option<ReceivedEvent<'b>> {
        Some(ReceivedEvent {
            room_id: self.room_id(request_room)?,
            event_id: self.event_id.as_deref(),
            sender: &self.sender,
            state_key: &self.state_key,
            content: self.content,
        })
    }

    /// The event this one replaced, from `unsigned` (`prev_content`, `prev_sender`,
    /// `replaces_state`), where the server sent it.
    pub fn received_previous<'b>(
        &'b self,
        request_room: Option<&'b str>,
    ) -> Option<ReceivedEvent<'b>> {
        let previous = self.previous.as_ref()?;
        Some(ReceivedEvent {
            room_id: self.room_id(request_room)?,
            event_id: previous.event_id.as_deref(),
            sender: previous.sender.as_deref()?,
            state_key: &self.state_key,
            content: previous.content,
        })
    }

    /// The event with the clear type, state key and content, and with the clear `prev_content` when
    /// that was opened too; everything else as it was. `None` when the event cannot be edited.
    pub fn rewritten(
        &self,
        opened: &OpenedState,
        previous: Option<&OpenedState>,
    ) -> Option<Vec<u8>> {
        let mut edits = vec![
            json_edit::Edit::replace(&["type"], json_edit::quoted(&opened.event_type)),
            json_edit::Edit::replace(&["state_key"], json_edit::quoted(&opened.state_key)),
            json_edit::Edit::replace(&["content"], opened.content.clone()),
        ];
        if let Some(previous) = previous {
            edits.push(json_edit::Edit::replace(
                &["unsigned", "prev_content"],
                previous.content.clone(),
            ));
        }
        json_edit::apply(self.text.as_bytes(), &edits).ok().flatten()
    }

    fn room_id<'b>(&'b self, request_room: Option<&'b str>) -> Option<&'b str> {
        match &self.place {
            Place::Room { room_id, .. } => Some(room_id),
            Place::Answer { .. } => request_room,
        }
    }
}

/// What to do with a found event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Splice {
    /// Put this JSON in its place.
    Replace(Vec<u8>),
    /// Take it out of its list. An event that is no list's element stays.
    Remove,
}

/// Finds the state events of a type in an answer, in the answer's order.
///
/// Only events where an answer of the client-server API has events are found: never what looks like
/// one inside another event's content. Nothing is found in JSON that is malformed before the last
/// hit, and no event whose own JSON is malformed or has a key twice.
pub fn find_state<'a>(answer: &'a [u8], event_type: &str) -> Vec<FoundState<'a>> {
    let candidates = candidates(answer, event_type);
    if candidates.is_empty() {
        return Vec::new();
    }
    let starts: Vec<usize> = candidates.iter().map(|range| range.start).collect();
    let Some(places) = places(answer, &starts) else {
        return Vec::new();
    };
    candidates
        .into_iter()
        .zip(places)
        .filter_map(|(range, place)| {
            let (place, in_array) = place?;
            found(answer, range, event_type, place, in_array)
        })
        .collect()
}

/// The answer with the edits made; `None` when there is none to make.
///
/// `edits` must be of events found in this very answer, in its order; others are passed over.
pub fn splice(answer: &[u8], edits: &[(&FoundState<'_>, Splice)]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(answer.len());
    let mut copied = 0;
    let mut changed = false;
    for (event, edit) in edits {
        let range = event.range();
        let Some(before) = answer.get(copied..range.start) else { continue };
        if answer.get(range.clone()) != Some(event.text.as_bytes()) {
            continue;
        }
        match edit {
            Splice::Replace(json) => {
                out.extend_from_slice(before);
                out.extend_from_slice(json);
                copied = range.end;
            }
            Splice::Remove if event.in_array => {
                out.extend_from_slice(before);
                copied = range.end;
                let after = skip_space(answer, range.end);
                if answer.get(after) == Some(&b',') {
                    copied = after + 1;
                } else {
                    let kept = out.trim_ascii_end().len();
                    if out.get(..kept).and_then(<[u8]>::last) == Some(&b',') {
                        out.truncate(kept - 1);
                    }
                }
            }
            Splice::Remove => continue,
        }
        changed = true;
    }
    out.extend_from_slice(answer.get(copied..)?);
    changed.then_some(out)
}

/// The objects with `"type": event_type` that mention a state key, by a local look at each hit.
fn candidates(answer: &[u8], event_type: &str) -> Vec<Range<usize>> {
    let needle = format!("\"{event_type}\"");
    let state_key = memmem::Finder::new("\"state_key\"");
    let mut candidates: Vec<Range<usize>> = Vec::new();
    // Honest answers are walked over about once. One made to be walked over at every hit ends the
    // search.
    let mut budget = answer.len().saturating_mul(4).saturating_add(MAX_WALK_BYTES);
    for hit in memmem::find_iter(answer, &needle) {
        let Some(key) = type_key_before(answer, hit) else { continue };
        let Some(start) = object_start(answer, key, &mut budget) else { continue };
        let Some(end) = object_end(answer, hit, &mut budget) else { continue };
        let mentions_key =
            answer.get(start..end).is_some_and(|object| state_key.find(object).is_some());
        if mentions_key {
            candidates.push(start..end);
        }
    }
    // An object may hold another hit before its own, and have the key `type` twice.
    candidates.sort_unstable_by_key(|range| range.start);
    candidates.dedup_by_key(|range| range.start);
    candidates
}

/// Where the key `"type"` of a value that starts at `value` starts, when that is its key.
fn type_key_before(answer: &[u8], value: usize) -> Option<usize> {
    let before = answer.get(..value)?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
    let key = before.strip_suffix(b"\"type\"")?;
    (!ends_escaped(key)).then_some(key.len())
}

/// True when the byte after `bytes` is escaped: an odd number of backslashes before it.
fn ends_escaped(bytes: &[u8]) -> bool {
    bytes.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The start of the object that directly holds what starts at `from`, outside any string.
fn object_start(answer: &[u8], from: usize, budget: &mut usize) -> Option<usize> {
    let floor = from.saturating_sub(MAX_WALK_BYTES.min(*budget));
    let start = walk_back(answer, from, floor);
    *budget = budget.saturating_sub(from - start.unwrap_or(floor));
    start
}

fn walk_back(answer: &[u8], from: usize, floor: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = from;
    while at > floor {
        at -= 1;
        match answer.get(at)? {
            b'"' => loop {
                at = floor + memrchr(b'"', answer.get(floor..at)?)?;
                if !ends_escaped(answer.get(..at)?) {
                    break;
                }
            },
            b'}' | b']' => depth += 1,
            b'{' if depth == 0 => return Some(at),
            b'[' if depth == 0 => return None,
            b'{' | b'[' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The end of the object that directly holds what starts at `from`, outside any string.
fn object_end(answer: &[u8], from: usize, budget: &mut usize) -> Option<usize> {
    let ceiling = from.saturating_add(MAX_WALK_BYTES.min(*budget)).min(answer.len());
    let end = walk_on(answer, from, ceiling);
    *budget = budget.saturating_sub(end.unwrap_or(ceiling) - from);
    end
}

fn walk_on(answer: &[u8], from: usize, ceiling: usize) -> Option<usize> {
    let answer = answer.get(..ceiling)?;
    let mut depth = 0_usize;
    let mut at = from;
    while at < ceiling {
        match answer.get(at)? {
            b'"' => {
                at = string_end(answer, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' if depth == 0 => return Some(at + 1),
            b']' if depth == 0 => return None,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// The position after the string that starts at `quote`.
fn string_end(answer: &[u8], quote: usize) -> Option<usize> {
    let mut at = quote + 1;
    // Most strings are too short for a vectorised search to pay.
    for byte in answer.get(at..)?.iter().take(SHORT_STRING) {
        match byte {
            b'"' => return Some(at + 1),
            b'\\' => break,
            _ => at += 1,
        }
    }
    loop {
        at += memchr2(b'"', b'\\', answer.get(at..)?)?;
        if answer.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn skip_space(answer: &[u8], from: usize) -> usize {
    let rest = answer.get(from..).unwrap_or_default();
    from + (rest.len() - rest.trim_ascii_start().len())
}

/// An open object or array, with the key it was last at.
struct Frame {
    is_object: bool,
    key: Option<Range<usize>>,
}

/// Where the objects that start at `starts` (in order) stand: for each its place and whether it is
/// an array's element, or `None` if there are no events there. `None` for all when the structure
/// up to the last of them is broken.
fn places(answer: &[u8], starts: &[usize]) -> Option<Vec<Option<(Place, bool)>>> {
    let mut places = Vec::with_capacity(starts.len());
    let mut wanted = starts.iter().copied().peekable();
    let mut stack: Vec<Frame> = Vec::new();
    let mut last_string = 0..0;
    let mut at = 0;
    while wanted.peek().is_some() {
        match answer.get(at)? {
            b'"' => {
                let end = string_end(answer, at)?;
                last_string = at..end;
                at = end;
                continue;
            }
            b':' => {
                stack.last_mut().filter(|frame| frame.is_object)?.key = Some(last_string.clone())
            }
            open @ (b'{' | b'[') => {
                if wanted.next_if_eq(&at).is_some() {
                    places.push(place(answer, &stack));
                }
                if stack.len() >= MAX_DEPTH {
                    return None;
                }
                stack.push(Frame { is_object: *open == b'{', key: None });
            }
            close @ (b'}' | b']') => {
                let frame = stack.pop()?;
                if frame.is_object != (*close == b'}') {
                    return None;
                }
            }
            _ => {}
        }
        at += 1;
    }
    Some(places)
}

/// Reads the open frames as one of the places where answers have events.
fn place(answer: &[u8], stack: &[Frame]) -> Option<(Place, bool)> {
    let mut path = Vec::new();
    for frame in stack.iter().filter(|frame| frame.is_object) {
        let key = answer.get(frame.key.clone()?)?;
        path.push(serde_json::from_slice::<String>(key).ok()?);
    }
    let in_array = stack.last().is_some_and(|frame| !frame.is_object);
    let arrays = stack.iter().filter(|frame| !frame.is_object).count();
    if arrays != usize::from(in_array) {
        return None;
    }
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let room = |room_id: &str, list: &str| {
        Some(Place::Room { room_id: room_id.to_owned(), list: list.to_owned() })
    };
    let place = match (path.as_slice(), in_array) {
        (["rooms", "join" | "leave" | "invite" | "knock", room_id, list, "events"], true)
        | (["rooms", room_id, list], true)
            if room_id.starts_with('!') && !["ephemeral", "account_data"].contains(list) =>
        {
            room(room_id, list)
        }
        (["messages", list @ "chunk"], true)
        | ([list @ ("chunk" | "state" | "events_before" | "events_after")], true)
        | ([list @ ("event" | "original_event")], false) => {
            Some(Place::Answer { list: (*list).to_owned() })
        }
        ([], _) => Some(Place::Answer { list: String::new() }),
        _ => None,
    }?;
    Some((place, in_array))
}

/// Parses a candidate; `None` when it is no state event of the type.
fn found<'a>(
    answer: &'a [u8],
    range: Range<usize>,
    event_type: &str,
    place: Place,
    in_array: bool,
) -> Option<FoundState<'a>> {
    let text = std::str::from_utf8(answer.get(range.clone())?).ok()?;
    let event = Members::read(text)?;
    if event.string("type").as_deref() != Some(event_type) {
        return None;
    }
    let previous = event.raw("unsigned").and_then(Members::read).and_then(|unsigned| {
        Some(Previous {
            content: unsigned.raw("prev_content")?,
            sender: unsigned.string("prev_sender"),
            event_id: unsigned.string("replaces_state"),
        })
    });
    Some(FoundState {
        state_key: event.string("state_key")?,
        sender: event.string("sender")?,
        event_id: event.string("event_id"),
        origin_server_ts: event
            .raw("origin_server_ts")
            .and_then(|value| serde_json::from_str::<Value>(value).ok()?.as_u64()),
        content: event.raw("content")?,
        range,
        text,
        in_array,
        place,
        previous,
    })
}

/// The members of an object without a key twice.
struct Members<'a>(Vec<json_edit::Member<'a>>);

impl<'a> Members<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let members = json_edit::members(text).ok()??;
        let mut keys: Vec<&str> = members.iter().map(|member| member.key.as_str()).collect();
        keys.sort_unstable();
        let count = keys.len();
        keys.dedup();
        (keys.len() == count).then_some(Self(members))
    }

    fn raw(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|member| member.key == key).map(|member| member.value)
    }

    fn string(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.raw(key)?).ok()
    }
}
