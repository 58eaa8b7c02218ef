//! Finding state events in responses.
//!
//! Responses may have tens of megabytes and are never parsed as a whole: [`mantle_index::structural`] says where
//! objects with a state key stand, and only those of interest are parsed. What cannot be understood is
//! not found, and so passes untouched.

use std::ops::Range;

use memchr::memmem;

use crate::ids::TypeAndKey;
use crate::index::members::Members;
pub use crate::msc4362::eligible::ENCRYPTED_TYPE;
use crate::msc4362::event::{OpenedState, ReceivedEvent};
use crate::sorted::Map;
use mantle_index::structural::{self, Layout, Wanted};
use mantle_wire::json;

/// Where in a response an event stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a room of `/sync` or of simplified sliding sync (MSC4186).
    Room {
        /// The room's id.
        room_id: String,
        /// `state`, `timeline`, `state_after`, `required_state`, `invite_state` and so on.
        list: String,
    },
    /// In another response, whose room is the one in the request's path.
    Response {
        /// `chunk`, `state`, `event`, `events_before`, …; empty for the response itself.
        list: String,
    },
    /// In `/search` or `/notifications`: the event names its room, or what it stands in does.
    Own,
}

/// A state event found in a response; holds positions, so its methods want that very response.
#[derive(Clone)]
pub struct FoundState {
    range: Range<usize>,
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
    /// The bytes of the response it takes.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// What it stands for in its room.
    pub(crate) fn slot(&self) -> TypeAndKey<'_> {
        TypeAndKey { event_type: &self.event_type, state_key: &self.state_key }
    }

    /// The exact JSON of the event.
    pub fn text<'b>(&self, response: &'b [u8]) -> &'b str {
        text(response, &self.range)
    }

    /// The exact JSON of its content.
    pub fn content<'b>(&self, response: &'b [u8]) -> &'b str {
        text(response, &self.content)
    }

    /// Where the array it is an element of opens: the same for all events of one list.
    pub(crate) const fn array(&self) -> Option<usize> {
        self.array
    }

    /// Whether it is an element of an array.
    pub(crate) const fn is_element(&self) -> bool {
        self.array.is_some()
    }

    /// True when `unsigned` has the content of the event this one replaced.
    pub const fn has_previous(&self) -> bool {
        self.previous.is_some()
    }

    /// The event for [`super::open_state`]. `request_room` is the room in the request's path; the
    /// response's own structure goes before it, and the event's `room_id` counts only where nothing
    /// else names a room. `None` when none is named.
    pub fn received<'b>(
        &'b self,
        response: &'b [u8],
        request_room: Option<&'b str>,
    ) -> Option<ReceivedEvent<'b>> {
        Some(ReceivedEvent {
            room_id: self.room_id(request_room)?,
            event_id: self.event_id.as_deref(),
            sender: &self.sender,
            state_key: &self.state_key,
            content: self.content(response),
        })
    }

    /// The event this one replaced, from `unsigned` (`prev_content`, `prev_sender`,
    /// `replaces_state`), where the server sent it.
    pub fn received_previous<'b>(
        &'b self,
        response: &'b [u8],
        request_room: Option<&'b str>,
    ) -> Option<ReceivedEvent<'b>> {
        let previous = self.previous.as_ref()?;
        Some(ReceivedEvent {
            room_id: self.room_id(request_room)?,
            event_id: previous.event_id.as_deref(),
            sender: previous.sender.as_deref()?,
            state_key: &self.state_key,
            content: text(response, &previous.content),
        })
    }

    /// The event with the clear type, state key and content; everything else as it was. An encrypted
    /// `prev_content` becomes that of `previous`, or goes. `None` when the event cannot be edited.
    pub fn rewritten(
        &self,
        response: &[u8],
        opened: &OpenedState,
        previous: Option<&OpenedState>,
    ) -> Option<Vec<u8>> {
        clear_event(self.text(response), opened, previous, self.has_previous())
    }

    /// The room it belongs to.
    pub fn room_id<'b>(&'b self, request_room: Option<&'b str>) -> Option<&'b str> {
        match &self.place {
            Place::Room { room_id, .. } => Some(room_id),
            Place::Response { .. } => request_room.or(self.own_room.as_deref()),
            Place::Own => self.own_room.as_deref(),
        }
    }
}

fn text<'b>(response: &'b [u8], range: &Range<usize>) -> &'b str {
    response
        .get(range.clone())
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .unwrap_or_default()
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

/// The objects with a state key in a response, and where they stand.
#[derive(Debug)]
pub(crate) struct EventIndex {
    layout: Layout,
    // By the node that holds the object.
    places: Map<Option<usize>, Option<Place>>,
}

impl EventIndex {
    /// `None` when there is none.
    pub(crate) fn of(layout: Layout) -> Option<Self> {
        (!layout.objects.is_empty()).then_some(Self { layout, places: Map::new() })
    }

    /// The objects in the response's order.
    pub(crate) fn objects(&self) -> Vec<usize> {
        self.layout.objects.clone()
    }

    /// The bytes an object takes.
    pub(crate) fn bytes<'b>(&self, response: &'b [u8], object: usize) -> Option<&'b [u8]> {
        let node = self.layout.nodes.get(object)?;
        response.get(node.open..node.end)
    }

    /// An element of a list and where it stands.
    pub(crate) fn element<'b>(
        &self,
        response: &'b [u8],
        object: usize,
    ) -> Option<(Range<usize>, &'b [u8])> {
        let node = self.layout.nodes.get(object)?;
        let range = node.open..node.end;
        self.is_array(node.parent).then(|| response.get(range.clone()))?.map(|all| (range, all))
    }

    /// The elements of the list that opens at `open`, as texts.
    pub(crate) fn list<'b>(&self, response: &'b [u8], open: usize) -> Vec<&'b str> {
        self.layout
            .nodes
            .iter()
            .find(|node| node.open == open)
            .and_then(|node| json::elements(text_of(response, node.open..node.end)?).ok())
            .unwrap_or_default()
    }

    /// Where an object stands; `None` where responses have no events.
    pub(crate) fn place(&mut self, response: &[u8], object: usize) -> Option<Place> {
        let node = self.layout.nodes.get(object)?;
        let parent = node.parent;
        let is_element = self.is_array(parent);
        if !is_element {
            return self.read_place(response, object);
        }
        if let Some(place) = self.places.get(&parent) {
            return place.clone();
        }
        let place = self.read_place(response, object);
        self.places.insert(parent, place.clone());
        place
    }

    fn is_array(&self, node: Option<usize>) -> bool {
        node.and_then(|node| self.layout.nodes.get(node)).is_some_and(|node| !node.is_object)
    }

    /// Reads the open frames as one of the places where responses have events.
    fn read_place(&self, response: &[u8], object: usize) -> Option<Place> {
        let mut path: Vec<String> = Vec::new();
        let mut at = object;
        let mut shape = String::new();
        while let Some(parent) = self.layout.nodes.get(at)?.parent {
            if self.is_array(Some(parent)) {
                shape.push('[');
            } else {
                let key = response
                    .get(structural::key_before(response, self.layout.nodes.get(at)?.open)?)?;
                let quoted = format!("\"{}\"", std::str::from_utf8(key).ok()?);
                // What stands there may be no JSON.
                path.push(json::exact_string(json::get(&quoted, &[]).ok()??)?);
                shape.push('.');
            }
            at = parent;
        }
        let root = self.layout.nodes.get(at)?.open;
        if !response.get(..root)?.trim_ascii().is_empty() {
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
    pub(crate) fn event(&mut self, response: &[u8], object: usize) -> Option<FoundState> {
        let place = self.place(response, object)?;
        let node = *self.layout.nodes.get(object)?;
        let array = node
            .parent
            .filter(|parent| self.is_array(Some(*parent)))
            .and_then(|parent| self.layout.nodes.get(parent))
            .map(|parent| parent.open);
        let mut event = found(response, node.open..node.end, place, array)?;
        if matches!(event.place, Place::Own) && event.own_room.is_none() {
            event.own_room = self.room_beside(response, node.parent?);
        }
        Some(event)
    }

    /// `/notifications` names the room beside the event.
    fn room_beside(&self, response: &[u8], around: usize) -> Option<String> {
        let node = self.layout.nodes.get(around)?;
        Members::read(text_of(response, node.open..node.end)?)?.string("room_id")
    }
}

fn text_of(response: &[u8], range: Range<usize>) -> Option<&str> {
    std::str::from_utf8(response.get(range)?).ok()
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
            Some(Place::Response { list: (*list).to_owned() })
        }
        ([], _) => Some(Place::Response { list: String::new() }),
        _ => None,
    }
}

/// Finds the state events of a type in a response, in the response's order.
///
/// Only events where a response of the client-server API has events are found: never what looks like
/// one inside another event's content. Nothing is found in JSON that is malformed before the last
/// hit, and no event whose own JSON is malformed or has a key twice.
pub fn find_state(response: &[u8], event_type: &str) -> Vec<FoundState> {
    let layout = structural::scan(response, Wanted::All).layout;
    let Some(mut index) = layout.and_then(EventIndex::of) else { return Vec::new() };
    let needle = memmem::Finder::new(event_type);
    index
        .objects()
        .into_iter()
        .filter(|object| {
            index.bytes(response, *object).is_some_and(|bytes| needle.find(bytes).is_some())
        })
        .collect::<Vec<_>>()
        .into_iter()
        .filter_map(|object| index.event(response, object))
        .filter(|event| event.event_type == event_type)
        .collect()
}

/// Parses an event; `None` when it is no state event.
fn found(
    response: &[u8],
    range: Range<usize>,
    place: Place,
    array: Option<usize>,
) -> Option<FoundState> {
    let text = text_of(response, range.clone())?;
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
        origin_server_ts: event.raw("origin_server_ts").and_then(|value| value.parse().ok()),
        own_room: event.string("room_id"),
        content: at(event.raw("content")?),
        range,
        array,
        place,
        previous,
    })
}
