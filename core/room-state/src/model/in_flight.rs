//! State that this device has encrypted once more, until it has come back by sync.
//!
//! Somebody may set a new value while the old one is on its way once more, and the old one would win.
//! So what was sent is followed until it has come back, over reloads too: what was set in between is
//! sent after it.

use crate::decrypt::decrypt::OpenedState;
use crate::ids::{EventId, RoomId, Slot, TypeAndKey};
use crate::model::known::KnownState;
use crate::model::memory::Memory;
use crate::model::precedence::Candidate;
use crate::model::stored::number;
use crate::sorted::Bounded;
use mantle_wire::json::{elements, get, get_str, quoted};

/// Writes that are followed.
const MAX_IN_FLIGHT: usize = 256;

/// When an event came. Of two, the one that came later is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrival {
    /// The number of its response.
    pub(crate) response: u32,
    /// The weight of its list.
    pub(crate) weight: u8,
    /// Where it stands.
    pub(crate) place: usize,
}

/// What this device has encrypted once more in a slot, until somebody sets it anew.
#[derive(Debug)]
struct InFlightWrite {
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
    /// Sealed by whoever stores it. Arrivals are left out: they count responses since the page was
    /// loaded.
    fn stored(&self, slot: &Slot) -> String {
        let lost_update = self.lost_update.as_ref();
        format!(
            r#"{{"type":{},"state_key":{},"base":{},"base_ts":{},"session_id":{},"message_index":{},"content":{},"undone":{}}}"#,
            quoted(&slot.event_type),
            quoted(&slot.state_key),
            quoted(&self.base),
            self.base_ts,
            quoted(&self.session_id),
            self.message_index,
            quoted(&self.content),
            lost_update
                .map_or_else(|| "null".to_owned(), |lost_update| quoted(&lost_update.content)),
        )
    }

    /// With where it is.
    fn restore(room: RoomId<'_>, stored: &str) -> Option<(Slot, Self)> {
        let text = |key: &str| get_str(stored, &[key]).ok().flatten();
        let write = Self {
            base: text("base")?,
            base_ts: number(stored, "base_ts")?,
            session_id: text("session_id")?,
            message_index: number(stored, "message_index")?.try_into().ok()?,
            content: text("content")?,
            remote_echo: None,
            lost_update: text("undone").map(|content| LostUpdate {
                arrival: Arrival::default(),
                content,
                event_id: String::new(),
            }),
        };
        let of = TypeAndKey { event_type: &text("type")?, state_key: &text("state_key")? };
        Some((Slot::new(room, of), write))
    }

    fn is_it(&self, session_id: &str, message_index: u32) -> bool {
        self.session_id == session_id && self.message_index == message_index
    }
}

/// A decrypted event that claims to be current, or did when it was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reconciled<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) ts: u64,
    pub(crate) opened: &'a OpenedState,
    pub(crate) arrival: Arrival,
    /// What it replaced, if the homeserver says so and that could be opened.
    pub(crate) previous: Option<(&'a str, &'a OpenedState)>,
}

/// What an event means for the writes that are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Followed {
    /// The room's record is another now.
    pub(crate) has_changed: bool,
    /// Something is to be sent after what has come back.
    pub(crate) is_due: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct InFlightWrites(Bounded<Slot, InFlightWrite>);

impl InFlightWrites {
    pub(crate) const fn new() -> Self {
        Self(Bounded::new(MAX_IN_FLIGHT, usize::MAX))
    }

    /// Follows what is being sent to a slot; the slots that are not followed any more.
    pub(crate) fn begin(&mut self, slot: Slot, write: Sent<'_>) -> Vec<Slot> {
        let write = InFlightWrite {
            base: write.base.event_id.to_owned(),
            base_ts: write.base.origin_server_ts,
            session_id: write.session_id,
            message_index: write.message_index,
            content: write.content.to_owned(),
            remote_echo: None,
            lost_update: None,
        };
        self.0.insert(slot, write, 0)
    }

    /// What is followed in a room, for its store: a JSON array with contents in clear, to be sealed.
    /// `None` where nothing is.
    pub(crate) fn stored_room(&self, room_id: &str) -> Option<String> {
        let all: Vec<String> = self
            .0
            .iter()
            .filter(|(slot, _)| slot.room_id == room_id)
            .map(|(slot, write)| write.stored(slot))
            .collect();
        (!all.is_empty()).then(|| format!("[{}]", all.join(",")))
    }

    /// Goes on following what [`InFlightWrites::stored_room`] gave, where the room's state is the one
    /// of then. After the events in clear. True when something is to be sent.
    pub(crate) fn restore_room(
        &mut self,
        room: RoomId<'_>,
        stored: &str,
        (known, memory): (&KnownState, &Memory),
    ) -> bool {
        let mut is_due = false;
        for write in elements(stored).unwrap_or_default() {
            let Some((slot, write)) = InFlightWrite::restore(room, write) else { continue };
            let Some(current) = known.current(room, slot.of()) else { continue };
            let is_ours = write.is_it(&current.session_id, current.message_index);
            let event = memory.get(room, slot.of());
            let content = event.and_then(|event| get(event, &["content"]).ok().flatten());
            let lost_update =
                write.lost_update.as_ref().map(|lost_update| lost_update.content.as_str());
            let is_undone = lost_update.is_some() && lost_update == content;
            if !is_ours && !is_undone && current.event_id != write.base {
                continue;
            }
            is_due |= is_ours && write.lost_update.is_some();
            if !self.0.contains_key(&slot) {
                self.0.insert(slot, write, 0);
            }
        }
        is_due
    }

    /// Follows nothing of a room any more.
    pub(crate) fn forget_room(&mut self, room_id: &str) {
        let slots = self.0.iter().map(|(slot, _)| slot).filter(|slot| slot.room_id == room_id);
        let slots: Vec<Slot> = slots.cloned().collect();
        for slot in slots {
            self.0.remove(&slot);
        }
    }

    /// Looks whether an event is what was encrypted once more, or what somebody set before that
    /// arrived. A clock that goes behind the one of the event before is not believed: what looks
    /// older is not set again.
    pub(crate) fn reconcile(
        &mut self,
        room: RoomId<'_>,
        event: &Reconciled<'_>,
        known: &KnownState,
    ) -> Followed {
        let mut followed = Followed::default();
        if self.0.is_empty() {
            return followed;
        }
        let Reconciled { event_id, ts, opened, arrival, previous } = *event;
        let slot = Slot::new(room, opened.slot());
        let was_replaced = |id| known.was_replaced(room, slot.of(), id);
        let is_past = was_replaced(event_id);
        let previous = previous.filter(|(id, _)| !was_replaced(id));
        let Some(write) = self.0.get_mut(&slot) else { return followed };
        if event_id == write.base {
            return followed;
        }
        if write.is_it(&opened.session_id, opened.message_index) {
            write.remote_echo.get_or_insert(arrival);
            if let Some((id, previous)) = previous
                && id != write.base
                && previous.content != write.content
                && write.lost_update.is_none()
            {
                write.lost_update = Some(LostUpdate {
                    arrival: Arrival { place: arrival.place.saturating_sub(1), ..arrival },
                    content: previous.content.clone(),
                    event_id: id.to_owned(),
                });
                followed.has_changed = true;
            }
        } else if write.remote_echo.is_some_and(|remote_echo| remote_echo < arrival) {
            self.0.remove(&slot);
            return Followed { has_changed: true, is_due: false };
        } else if !is_past
            && ts >= write.base_ts
            && opened.content != write.content
            && write.lost_update.as_ref().is_none_or(|lost_update| lost_update.arrival < arrival)
        {
            write.lost_update = Some(LostUpdate {
                arrival,
                content: opened.content.clone(),
                event_id: event_id.to_owned(),
            });
            followed.has_changed = true;
        }
        followed.is_due = write.remote_echo.is_some() && write.lost_update.is_some();
        followed
    }

    /// An event was redacted. Where it is on its way once more, it is emptied after that; where it was
    /// to be set again, it is not. True when something changed.
    pub(crate) fn redact(&mut self, event: EventId<'_>, known: &KnownState) -> bool {
        let event_id = event.id;
        let mut has_changed = false;
        let mut gone = None;
        for (slot, write) in self.0.iter_mut().filter(|(slot, _)| slot.room_id == event.room_id) {
            if write
                .lost_update
                .as_ref()
                .is_some_and(|lost_update| lost_update.event_id == event_id)
            {
                write.lost_update = None;
                has_changed = true;
            }
            if write.base == event_id {
                write.lost_update = Some(LostUpdate {
                    arrival: Arrival::default(),
                    content: "{}".to_owned(),
                    event_id: String::new(),
                });
                has_changed = true;
            }
            let current = known.current(slot.room(), slot.of());
            let is_ours = |current: &Candidate| {
                current.event_id == event_id
                    && write.is_it(&current.session_id, current.message_index)
            };
            if current.is_some_and(is_ours) {
                gone = Some(slot.clone());
            }
        }
        if let Some(slot) = gone {
            self.0.remove(&slot);
            has_changed = true;
        }
        has_changed
    }

    /// What somebody had set when this current event of ours took its place.
    pub(crate) fn lost_update(&self, slot: &Slot, current: &Candidate) -> Option<&str> {
        let write = self.0.get(slot)?;
        let lost_update = write.lost_update.as_ref()?;
        write
            .is_it(&current.session_id, current.message_index)
            .then_some(lost_update.content.as_str())
    }
}

/// What is sent once more.
#[derive(Debug)]
pub(crate) struct Sent<'a> {
    /// What is current.
    pub(crate) base: Base<'a>,
    pub(crate) session_id: String,
    pub(crate) message_index: u32,
    pub(crate) content: &'a str,
}

/// The event whose content is sent once more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) origin_server_ts: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomId<'_> = RoomId("!r:x");

    fn sent(session_id: &str) -> Sent<'static> {
        let base = Base { event_id: "$base", origin_server_ts: 10 };
        let content = r#"{"name":"old"}"#;
        Sent { base, session_id: session_id.to_owned(), message_index: 0, content }
    }

    fn opened(session_id: &str, content: &str) -> OpenedState {
        OpenedState {
            event_type: "m.room.name".to_owned(),
            state_key: String::new(),
            content: content.to_owned(),
            session_id: session_id.to_owned(),
            message_index: 0,
            by_gone_device: false,
            order: None,
            author: None,
        }
    }

    fn event<'a>(event_id: &'a str, opened: &'a OpenedState, response: u32) -> Reconciled<'a> {
        let arrival = Arrival { response, ..Arrival::default() };
        Reconciled { event_id, ts: 20, opened, arrival, previous: None }
    }

    #[test]
    fn where_all_is_full_the_oldest_is_followed_no_longer() {
        let mut writes = InFlightWrites::new();
        let slot = |number: usize| {
            let state_key = format!("{number:03}");
            Slot::new(ROOM, TypeAndKey { event_type: "m.room.name", state_key: &state_key })
        };
        for number in 0..MAX_IN_FLIGHT {
            assert!(writes.begin(slot(number), sent("s")).is_empty());
        }
        // Written anew, so it is the latest.
        assert!(writes.begin(slot(0), sent("s")).is_empty());
        assert_eq!(writes.begin(slot(MAX_IN_FLIGHT), sent("s")), [slot(1)]);
    }

    #[test]
    fn what_was_set_in_between_is_sent_once_ours_has_come_back() {
        let known = KnownState::new();
        let mut writes = InFlightWrites::new();
        let slot = Slot::new(ROOM, TypeAndKey::single("m.room.name"));
        writes.begin(slot.clone(), sent("ours"));
        let (new, ours) = (opened("theirs", r#"{"name":"new"}"#), opened("ours", "{}"));
        let followed = writes.reconcile(ROOM, &event("$new", &new, 1), &known);
        assert_eq!(followed, Followed { has_changed: true, is_due: false });
        let followed = writes.reconcile(ROOM, &event("$ours", &ours, 2), &known);
        assert_eq!(followed, Followed { has_changed: false, is_due: true });
        let current = |session_id: &str| Candidate {
            event_id: "$ours".to_owned(),
            origin_server_ts: 30,
            session_id: session_id.to_owned(),
            message_index: 0,
            order: None,
        };
        assert_eq!(writes.lost_update(&slot, &current("ours")), Some(r#"{"name":"new"}"#));
        assert_eq!(writes.lost_update(&slot, &current("theirs")), None);
        // Whatever comes after that is newer than both.
        let followed = writes.reconcile(ROOM, &event("$newer", &new, 3), &known);
        assert_eq!(followed, Followed { has_changed: true, is_due: false });
        assert_eq!(writes.stored_room(ROOM.0), None);
    }
}
