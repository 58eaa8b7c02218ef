//! Finding state events in answers and putting others in their place.
//!
//! Answers may have tens of megabytes and are never parsed as a whole: [`mantle_index::structural`] says where
//! objects with a state key stand, and only those of interest are parsed. All bytes outside replaced
//! events stay as they were. What cannot be understood is not found, and so passes untouched.

use crate::sorted::Map;
use std::ops::Range;

use memchr::{memmem, memrchr};

pub use crate::msc4362::eligible::ENCRYPTED_TYPE;
use crate::msc4362::event::{OpenedState, ReceivedEvent};
use mantle_index::sparse::Cuts;
use mantle_index::structural::{self, Layout, Wanted};
use mantle_wire::json;
use mantle_wire::json::walk_on;

/// How far from a hit its object's ends are looked for; an event has at most 64 KiB, with what the
/// server adds in `unsigned` some more.
const MAX_WALK_BYTES: usize = 512 * 1024;

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
    /// In `/search` or `/notifications`: the event names its room, or what it stands in does.
    Own,
}

/// A state event found in an answer; holds positions, so its methods want that very answer.
#[derive(Clone)]
pub struct FoundState {
    range: Range<usize>,
    in_array: bool,
    array: Option<usize>,
    /// Where it stands.
    pub place: Place,
    /// Its type.
    pub event_type: String,
    /// Its event id; none in stripped state.
    pub event_id: Option<String>,
    /// Its sender.
    pub sender: String,
    /// Its outer state key.
    pub state_key: String,
    /// When its server says it was sent, milliseconds since the epoch; none in stripped state.
    pub origin_server_ts: Option<u64>,
    own_room: Option<String>,
    content: Range<usize>,
    previous: Option<Previous>,
}

#[derive(Clone)]
struct Previous {
    event_id: Option<String>,
    sender: Option<String>,
    content: Range<usize>,
}

impl std::fmt::Debug for FoundState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("FoundState")
            .field("range", &self.range)
            .field("state_key", &self.state_key)
            .finish_non_exhaustive()
    }
}

impl FoundState {
    /// The bytes of the answer it takes.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The exact JSON of the event.
    pub fn text<'b>(&self, answer: &'b [u8]) -> &'b str {
        text(answer, &self.range)
    }

    /// The exact JSON of its content.
    pub fn content<'b>(&self, answer: &'b [u8]) -> &'b str {
        text(answer, &self.content)
    }

    /// Where the array it is an element of opens: the same for all events of one list.
    pub(crate) const fn array(&self) -> Option<usize> {
        self.array
    }

    /// True when `unsigned` has the content of the event this one replaced.
    pub const fn has_previous(&self) -> bool {
        self.previous.is_some()
    }

    /// The event for [`super::open_state`]. `request_room` is the room in the request's path; the
    /// answer's own structure goes before it, and the event's `room_id` counts only where nothing
    /// else names a room. `None` when none is named.
    pub fn received<'b>(
        &'b self,
        answer: &'b [u8],
        request_room: Option<&'b str>,
    ) -> Option<ReceivedEvent<'b>> {
        Some(ReceivedEvent {
            room_id: self.room_id(request_room)?,
            event_id: self.event_id.as_deref(),
            sender: &self.sender,
            state_key: &self.state_key,
            content: self.content(answer),
        })
    }

    /// The event this one replaced, from `unsigned` (`prev_content`, `prev_sender`,
    /// `replaces_state`), where the server sent it.
    pub fn received_previous<'b>(
        &'b self,
        answer: &'b [u8],
        request_room: Option<&'b str>,
    ) -> Option<ReceivedEvent<'b>> {
        let previous = self.previous.as_ref()?;
        Some(ReceivedEvent {
            room_id: self.room_id(request_room)?,
            event_id: previous.event_id.as_deref(),
            sender: previous.sender.as_deref()?,
            state_key: &self.state_key,
            content: text(answer, &previous.content),
        })
    }

    /// The event with the clear type, state key and content; everything else as it was. An encrypted
    /// `prev_content` becomes that of `previous`, or goes. `None` when the event cannot be edited.
    pub fn rewritten(
        &self,
        answer: &[u8],
        opened: &OpenedState,
        previous: Option<&OpenedState>,
    ) -> Option<Vec<u8>> {
        clear_event(self.text(answer), opened, previous, self.has_previous())
    }

    /// The room it belongs to.
    pub fn room_id<'b>(&'b self, request_room: Option<&'b str>) -> Option<&'b str> {
        match &self.place {
            Place::Room { room_id, .. } => Some(room_id),
            Place::Answer { .. } => request_room.or(self.own_room.as_deref()),
            Place::Own => self.own_room.as_deref(),
        }
    }
}

fn text<'b>(answer: &'b [u8], range: &Range<usize>) -> &'b str {
    answer.get(range.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
}

/// The JSON of an encrypted event, made that of the opened one.
pub(crate) fn clear_event(
    event: &str,
    opened: &OpenedState,
    previous: Option<&OpenedState>,
    has_previous: bool,
) -> Option<Vec<u8>> {
    const PREVIOUS: [&str; 2] = ["unsigned", "prev_content"];
    let mut edits = vec![
        json::Edit::replace(&["type"], json::quoted(&opened.event_type)),
        json::Edit::replace(&["state_key"], json::quoted(&opened.state_key)),
        json::Edit::replace(&["content"], opened.content.clone()),
    ];
    match previous {
        Some(previous) => {
            edits.push(json::Edit::replace(&PREVIOUS, previous.content.clone()));
        }
        None if has_previous => edits.push(json::Edit::remove(&PREVIOUS)),
        None => {}
    }
    json::apply(event.as_bytes(), &edits).ok().flatten()
}

/// What to do with a found event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Splice {
    /// Put this JSON in its place.
    Replace(Vec<u8>),
    /// Take it out of its list. An event that is no list's element stays.
    Remove,
    /// Put this JSON after it into its list. An event that is no list's element stays alone.
    Append(Vec<u8>),
}

/// The objects with a state key in an answer, and where they stand.
#[derive(Debug)]
pub(crate) struct Survey {
    layout: Layout,
    // By the node that holds the object.
    places: Map<Option<usize>, Option<Place>>,
}

impl Survey {
    /// `None` when there is none.
    pub(crate) fn of(layout: Layout) -> Option<Self> {
        (!layout.objects.is_empty()).then_some(Self { layout, places: Map::new() })
    }

    /// The objects in the answer's order.
    pub(crate) fn objects(&self) -> Vec<usize> {
        self.layout.objects.clone()
    }

    /// The bytes an object takes.
    pub(crate) fn bytes<'b>(&self, answer: &'b [u8], object: usize) -> Option<&'b [u8]> {
        let node = self.layout.nodes.get(object)?;
        answer.get(node.open..node.end)
    }

    /// An element of a list and where it stands.
    pub(crate) fn element<'b>(
        &self,
        answer: &'b [u8],
        object: usize,
    ) -> Option<(Range<usize>, &'b [u8])> {
        let node = self.layout.nodes.get(object)?;
        let range = node.open..node.end;
        self.is_array(node.parent).then(|| answer.get(range.clone()))?.map(|all| (range, all))
    }

    /// The elements of the list that opens at `open`, as texts.
    pub(crate) fn list<'b>(&self, answer: &'b [u8], open: usize) -> Vec<&'b str> {
        self.layout
            .nodes
            .iter()
            .find(|node| node.open == open)
            .and_then(|node| json::elements(text_of(answer, node.open..node.end)?).ok())
            .unwrap_or_default()
    }

    /// Where an object stands; `None` where answers have no events.
    pub(crate) fn place(&mut self, answer: &[u8], object: usize) -> Option<Place> {
        let node = self.layout.nodes.get(object)?;
        let parent = node.parent;
        let is_element = self.is_array(parent);
        if !is_element {
            return self.read_place(answer, object);
        }
        if let Some(place) = self.places.get(&parent) {
            return place.clone();
        }
        let place = self.read_place(answer, object);
        self.places.insert(parent, place.clone());
        place
    }

    fn is_array(&self, node: Option<usize>) -> bool {
        node.and_then(|node| self.layout.nodes.get(node)).is_some_and(|node| !node.is_object)
    }

    /// Reads the open frames as one of the places where answers have events.
    fn read_place(&self, answer: &[u8], object: usize) -> Option<Place> {
        let mut path: Vec<String> = Vec::new();
        let mut at = object;
        let mut shape = String::new();
        while let Some(parent) = self.layout.nodes.get(at)?.parent {
            if self.is_array(Some(parent)) {
                shape.push('[');
            } else {
                let key =
                    answer.get(structural::key_before(answer, self.layout.nodes.get(at)?.open)?)?;
                path.push(
                    serde_json::from_str(&format!("\"{}\"", std::str::from_utf8(key).ok()?))
                        .ok()?,
                );
                shape.push('.');
            }
            at = parent;
        }
        let root = self.layout.nodes.get(at)?.open;
        if !answer.get(..root)?.trim_ascii().is_empty() {
            return None;
        }
        path.reverse();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        // From the object outwards: `[` for an array around it, `.` for a member.
        let in_array = shape.starts_with('[');
        if shape.matches('[').count() != usize::from(in_array) {
            return (own_place(&path, &shape)).then_some(Place::Own);
        }
        place(&path, in_array)
    }

    /// Parses an object as a state event; `None` when it is none, or not where events are.
    pub(crate) fn event(&mut self, answer: &[u8], object: usize) -> Option<FoundState> {
        let place = self.place(answer, object)?;
        let node = *self.layout.nodes.get(object)?;
        let array = node
            .parent
            .filter(|parent| self.is_array(Some(*parent)))
            .and_then(|parent| self.layout.nodes.get(parent))
            .map(|parent| parent.open);
        let mut event = found(answer, node.open..node.end, place, array)?;
        if matches!(event.place, Place::Own) && event.own_room.is_none() {
            event.own_room = self.room_beside(answer, node.parent?);
        }
        Some(event)
    }

    /// `/notifications` names the room beside the event.
    fn room_beside(&self, answer: &[u8], around: usize) -> Option<String> {
        let node = self.layout.nodes.get(around)?;
        Members::read(text_of(answer, node.open..node.end)?)?.string("room_id")
    }
}

fn text_of(answer: &[u8], range: Range<usize>) -> Option<&str> {
    std::str::from_utf8(answer.get(range)?).ok()
}

/// `/search`: `search_categories.room_events.results[].result` and the lists of its `context`;
/// `/notifications`: `notifications[].event`.
fn own_place(path: &[&str], shape: &str) -> bool {
    match path {
        ["search_categories", "room_events", "results", "result"] => shape == ".[...",
        ["search_categories", "room_events", "results", "context", list] => {
            shape == "[..[..." && matches!(*list, "events_before" | "events_after")
        }
        ["notifications", "event"] => shape == ".[.",
        _ => false,
    }
}

fn place(path: &[&str], in_array: bool) -> Option<Place> {
    let room = |room_id: &str, list: &str| {
        Some(Place::Room { room_id: room_id.to_owned(), list: list.to_owned() })
    };
    match (path, in_array) {
        (["rooms", "join" | "leave" | "invite" | "knock", room_id, list, "events"], true)
        | (["rooms", room_id, list], true)
            if room_id.starts_with('!') && !["ephemeral", "account_data"].contains(list) =>
        {
            room(room_id, list)
        }
        (["search_categories", "room_events", "state", room_id], true) => room(room_id, "search"),
        (["messages", list @ "chunk"], true)
        | ([list @ ("chunk" | "state" | "events_before" | "events_after")], true)
        | ([list @ ("event" | "original_event")], false) => {
            Some(Place::Answer { list: (*list).to_owned() })
        }
        ([], _) => Some(Place::Answer { list: String::new() }),
        _ => None,
    }
}

/// Finds the state events of a type in an answer, in the answer's order.
///
/// Only events where an answer of the client-server API has events are found: never what looks like
/// one inside another event's content. Nothing is found in JSON that is malformed before the last
/// hit, and no event whose own JSON is malformed or has a key twice.
pub fn find_state(answer: &[u8], event_type: &str) -> Vec<FoundState> {
    let layout = structural::scan(answer, Wanted::All).layout;
    let Some(mut survey) = layout.and_then(Survey::of) else { return Vec::new() };
    let needle = memmem::Finder::new(event_type);
    survey
        .objects()
        .into_iter()
        .filter(|object| {
            survey.bytes(answer, *object).is_some_and(|bytes| needle.find(bytes).is_some())
        })
        .collect::<Vec<_>>()
        .into_iter()
        .filter_map(|object| survey.event(answer, object))
        .filter(|event| event.event_type == event_type)
        .collect()
}

/// The bytes of the object that directly holds what starts at `at`, outside any string; `None` when
/// they do not all stand here, or the budget of bytes to walk over is spent, which is 0 then.
pub(crate) fn object_around<'a>(
    answer: &'a [u8],
    at: usize,
    budget: &mut usize,
) -> Option<&'a [u8]> {
    let start = object_start(answer, at, budget)?;
    answer.get(start..object_end(answer, at, budget)?)
}

/// For an answer of `length` bytes: honest ones are walked over about once.
pub(crate) const fn walk_budget(length: usize) -> usize {
    length.saturating_mul(2).saturating_add(MAX_WALK_BYTES)
}

/// True when one of the state events with these keys may be encrypted; far cheaper than a survey.
pub(crate) fn may_be_encrypted(answer: &[u8], hits: &[usize]) -> bool {
    let encrypted = memmem::Finder::new("\"m.room.encrypted\"");
    // One made to be walked over at every hit is looked at in full.
    let mut budget = walk_budget(answer.len());
    hits.iter().any(|hit| match object_around(answer, *hit, &mut budget) {
        Some(object) => encrypted.find(object).is_some(),
        None => budget == 0,
    })
}

/// The answer with the edits made; `None` when there is none to make.
///
/// `edits` must be of events found in this very answer, in its order; those out of order are passed
/// over.
pub fn splice(answer: &[u8], edits: &[(&FoundState, Splice)]) -> Option<Vec<u8>> {
    let edits: Vec<_> = edits
        .iter()
        .map(|(event, splice)| Edit {
            range: event.range(),
            in_array: event.in_array,
            splice: splice.clone(),
        })
        .collect();
    let pieces = pieces(answer, edits)?;
    Some(pieces.iter().map(|piece| piece.bytes(answer)).collect::<Vec<_>>().concat())
}

/// One edit of an answer's bytes.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) range: Range<usize>,
    /// The range is an element of an array.
    pub(crate) in_array: bool,
    pub(crate) splice: Splice,
}

impl Edit {
    pub(crate) fn of(event: &FoundState, splice: Splice) -> Self {
        Self { range: event.range(), in_array: event.in_array, splice }
    }
}

/// An edited answer, in parts, so that a large one need not be put together before it is copied out.
#[derive(Debug)]
pub struct Edited {
    answer: Vec<u8>,
    pieces: Vec<Piece>,
    // The answer is as it came.
    is_original: bool,
    // Only so much of it is here.
    cuts: Option<Cuts>,
}

/// A part of an edited answer.
#[derive(Debug)]
enum Piece {
    /// Bytes of the answer as they were.
    Kept(Range<usize>),
    /// Others.
    New(Vec<u8>),
}

impl Piece {
    fn bytes<'b>(&'b self, answer: &'b [u8]) -> &'b [u8] {
        match self {
            Self::Kept(range) => answer.get(range.clone()).unwrap_or_default(),
            Self::New(bytes) => bytes,
        }
    }
}

/// A part of an edited answer, for whoever puts it together.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Its bytes.
    Bytes(&'a [u8]),
    /// These bytes of the answer as it came, which are not here.
    Kept(Range<usize>),
}

/// Bytes of the answer as it came, and what stands there instead.
type Replacement<'a> = (Range<usize>, Vec<&'a [u8]>);

impl Part<'_> {
    /// How many bytes it has.
    #[must_use]
    pub fn length(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Kept(range) => range.len(),
        }
    }
}

impl Edited {
    /// [`splice`] for any ranges, in ascending order; false when that changes nothing. `is_original`:
    /// the answer is as it came.
    pub(crate) fn new(answer: Vec<u8>, edits: Vec<Edit>, is_original: bool) -> (Self, bool) {
        let pieces = pieces(&answer, edits);
        let changes = pieces.is_some();
        let pieces = pieces.unwrap_or_else(|| vec![Piece::Kept(0..answer.len())]);
        (Self { answer, pieces, is_original, cuts: None }, changes)
    }

    /// For an answer of which only so much is here.
    pub(crate) fn with_cuts(mut self, cuts: Option<Cuts>) -> Self {
        self.cuts = cuts;
        self
    }

    /// What stands in place of which bytes of the answer as it came; `None` when that cannot be said.
    fn replacements(&self) -> Option<Vec<Replacement<'_>>> {
        let mut out = Vec::new();
        let (mut at, mut fresh) = (0, Vec::new());
        // The last one is kept.
        for piece in &self.pieces {
            match piece {
                Piece::New(bytes) => fresh.push(bytes.as_slice()),
                Piece::Kept(range) => {
                    if at < range.start || !fresh.is_empty() {
                        let replaced = at..range.start;
                        let replaced = match &self.cuts {
                            Some(cuts) => cuts.original(replaced)?,
                            None => replaced,
                        };
                        out.push((replaced, std::mem::take(&mut fresh)));
                    }
                    at = range.end;
                }
            }
        }
        Some(out)
    }

    /// What to write over the answer as it came, of `length` bytes, and where, so that it reads as
    /// the edited one: what is shorter than before is followed by spaces, so that nothing else moves.
    /// `None` where something is longer.
    pub fn in_place(&self, length: usize) -> Option<Vec<(usize, Vec<u8>)>> {
        let came = self.cuts.as_ref().map_or(self.answer.len(), Cuts::length);
        if !self.is_original || length != came {
            return None;
        }
        let mut patches = Vec::new();
        for (replaced, fresh) in self.replacements()? {
            let mut patch = fresh.concat();
            if patch.len() > replaced.len() {
                return None;
            }
            patch.resize(replaced.len(), b' ');
            patches.push((replaced.start, patch));
        }
        Some(patches)
    }

    /// Part by part; `None` when it cannot be put together.
    pub fn parts(&self) -> Option<Vec<Part<'_>>> {
        let Some(cuts) = &self.cuts else {
            let bytes = |piece| Part::Bytes(Piece::bytes(piece, &self.answer));
            return Some(self.pieces.iter().map(bytes).collect());
        };
        let mut parts = Vec::new();
        let mut at = 0;
        for (replaced, fresh) in self.replacements()? {
            parts.push(Part::Kept(at..replaced.start));
            parts.extend(fresh.into_iter().map(Part::Bytes));
            at = replaced.end;
        }
        parts.push(Part::Kept(at..cuts.length()));
        Some(parts)
    }

    /// Its bytes, where all of the answer is here.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.pieces.iter().map(|piece| piece.bytes(&self.answer)).collect::<Vec<_>>().concat()
    }
}

/// The edited answer's parts; `None` when there is nothing to edit.
fn pieces(answer: &[u8], edits: Vec<Edit>) -> Option<Vec<Piece>> {
    let mut out = Vec::with_capacity(2 * edits.len() + 1);
    let mut copied = 0;
    let mut changed = false;
    for Edit { range, in_array, splice } in edits {
        if range.start < copied || answer.len() < range.end {
            continue;
        }
        match splice {
            Splice::Replace(json) => {
                out.push(Piece::Kept(copied..range.start));
                out.push(Piece::New(json));
                copied = range.end;
            }
            Splice::Remove if in_array => {
                out.push(Piece::Kept(copied..range.start));
                copied = range.end;
                let after = skip_space(answer, range.end);
                if answer.get(after) == Some(&b',') {
                    copied = after + 1;
                } else {
                    drop_comma(answer, &mut out);
                }
            }
            Splice::Append(json) if in_array => {
                out.push(Piece::Kept(copied..range.end));
                out.push(Piece::New(b",".to_vec()));
                out.push(Piece::New(json));
                copied = range.end;
            }
            Splice::Remove | Splice::Append(_) => continue,
        }
        changed = true;
    }
    out.push(Piece::Kept(copied..answer.len()));
    changed.then_some(out)
}

/// Takes a comma at the end of what is there away, with the space after it.
fn drop_comma(answer: &[u8], out: &mut Vec<Piece>) {
    let mut last = out.len();
    while let Some(piece) = last.checked_sub(1).and_then(|at| out.get(at)) {
        let kept = piece.bytes(answer).trim_ascii_end();
        let Some((end, before)) = kept.split_last() else {
            last -= 1;
            continue;
        };
        if *end != b',' {
            return;
        }
        let piece = match piece {
            Piece::Kept(range) => Piece::Kept(range.start..range.start + before.len()),
            Piece::New(_) => Piece::New(before.to_vec()),
        };
        out.truncate(last - 1);
        out.push(piece);
        return;
    }
}

/// The answer with letters, digits and signs in plain that need no escape and have one, as no honest
/// server writes them; `None` when there are none. Such could keep a type or a key from being found
/// behind `\u00…`.
pub(crate) fn unhidden(answer: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut copied = 0;
    for at in memmem::find_iter(answer, b"\\u00") {
        let before = answer.get(..at).unwrap_or_default();
        let Some([high, low]) = answer.get(at + 4..at + 6) else { continue };
        let digits = char::from(*high).to_digit(16).zip(char::from(*low).to_digit(16));
        let Some(byte) = digits.and_then(|(high, low)| u8::try_from(high << 4 | low).ok()) else {
            continue;
        };
        let plain = byte.is_ascii_alphanumeric() || b"!#$*+-./:=?@^_~".contains(&byte);
        if !plain || ends_escaped(before) {
            continue;
        }
        out.extend_from_slice(answer.get(copied..at).unwrap_or_default());
        out.push(byte);
        copied = at + 6;
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(answer.get(copied..).unwrap_or_default());
    Some(out)
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

fn skip_space(answer: &[u8], from: usize) -> usize {
    let rest = answer.get(from..).unwrap_or_default();
    from + (rest.len() - rest.trim_ascii_start().len())
}

/// Parses an event; `None` when it is no state event.
fn found(
    answer: &[u8],
    range: Range<usize>,
    place: Place,
    array: Option<usize>,
) -> Option<FoundState> {
    let text = text_of(answer, range.clone())?;
    let event = Members::read(text)?;
    let at = |part: &str| {
        let inside = json::span(text, part);
        range.start + inside.start..range.start + inside.end
    };
    let previous = event.raw("unsigned").and_then(Members::read).and_then(|unsigned| {
        Some(Previous {
            content: at(unsigned.raw("prev_content")?),
            sender: unsigned.string("prev_sender"),
            event_id: unsigned.string("replaces_state"),
        })
    });
    Some(FoundState {
        event_type: event.string("type")?,
        state_key: event.string("state_key")?,
        sender: event.string("sender")?,
        event_id: event.string("event_id"),
        origin_server_ts: event
            .raw("origin_server_ts")
            .and_then(|value| serde_json::from_str::<u64>(value).ok()),
        own_room: event.string("room_id"),
        content: at(event.raw("content")?),
        in_array: array.is_some(),
        range,
        array,
        place,
        previous,
    })
}

/// The members of an object without a key twice.
pub(crate) struct Members<'a>(Vec<json::Member<'a>>);

impl<'a> Members<'a> {
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let members = json::members(text).ok()??;
        let mut keys: Vec<&str> = members.iter().map(|member| member.key.as_str()).collect();
        keys.sort_unstable();
        let count = keys.len();
        keys.dedup();
        (keys.len() == count).then_some(Self(members))
    }

    pub(crate) fn raw(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|member| member.key == key).map(|member| member.value)
    }

    pub(crate) fn string(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.raw(key)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    proptest! {
        #[test]
        fn edits_in_place_read_as_edits(
            elements in prop::collection::vec((0..5, 1..30_usize, " ?"), 0..8),
        ) {
            let mut answer = String::from(r#"{"events":["#);
            let mut edits = Vec::new();
            let mut grows = false;
            for (index, (kind, size, space)) in elements.iter().enumerate() {
                if index > 0 {
                    answer.push(',');
                }
                answer.push_str(space);
                let start = answer.len();
                answer.push_str(&format!("\"{}\"", "a".repeat(20)));
                let range = start..answer.len();
                answer.push_str(space);
                let json = format!("\"{}\"", "b".repeat(*size)).into_bytes();
                grows |= *kind == 1 && *size > 20 || *kind == 3;
                let splice = match kind {
                    1 => Splice::Replace(json),
                    2 => Splice::Remove,
                    3 => Splice::Append(json),
                    _ => continue,
                };
                edits.push(Edit { range, in_array: true, splice });
            }
            answer.push_str("],\"next\":1}");
            let mut bytes = answer.into_bytes();
            let (edited, _) = Edited::new(bytes.clone(), edits, true);
            prop_assert!(edited.in_place(bytes.len() + 1).is_none());
            let patches = edited.in_place(bytes.len());
            prop_assert_eq!(patches.is_none(), grows);
            for (at, patch) in patches.into_iter().flatten() {
                bytes[at..at + patch.len()].copy_from_slice(&patch);
            }
            if !grows {
                let as_json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
                prop_assert_eq!(as_json(&bytes), as_json(&edited.to_bytes()));
            }
        }
    }

    #[test]
    fn other_answers_are_not_edited_in_place() {
        let (edited, _) = Edited::new(b"[]".to_vec(), Vec::new(), false);
        assert!(edited.in_place(2).is_none());
    }
}
