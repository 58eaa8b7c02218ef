//! What becomes of a decrypted event that claims to be current, and of one that was redacted.

use crate::error::EngineError;
use crate::ids::{EventId, RoomId, Slot, UserId, is_event_id};
use crate::model::Model;
use crate::model::decryption::Made;
use crate::model::in_flight::{Arrival, Reconciled};
use crate::model::invite_state::TOLD;
use crate::model::journal::Prefix;
use crate::model::known::FlagChange;
use crate::model::memory::Provenance;
use crate::model::observation::Observation;
use crate::model::own_profiles::OwnProfile;
use crate::model::precedence::{Candidate, Precedence};
use crate::model::rooms::Fact;
use crate::model::settings::TypeAndContent;
use crate::model::sharing_due::Due;
use crate::model::warnings::Warning;
use crate::msc4362::eligible::MEMBER_PROFILE;
use crate::msc4362::event::OpenedState;
use mantle_wire::json::{elements, get, get_str, quoted};

/// A decrypted event, with what stands around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened<'a> {
    pub(crate) event: EventId<'a>,
    pub(crate) sender: &'a str,
    pub(crate) ts: u64,
    pub(crate) state: &'a OpenedState,
}

impl Opened<'_> {
    pub(crate) fn slot(&self) -> Slot {
        Slot::new(RoomId(self.event.room_id), self.state.slot())
    }
}

impl Model {
    /// Offers an event as its slot's current one. Where it is, it is kept for when a server hides it.
    pub(crate) fn offer(&mut self, opened: &Opened<'_>, arrival: Arrival) -> Precedence {
        let precedence = self.judge(opened);
        if precedence == Precedence::Current {
            self.states.place(opened.slot(), arrival);
            self.remember(opened);
        }
        precedence
    }

    /// Of an event that counts as older: whether the homeserver has settled on it in a fork. Then it is
    /// current. What its own author has replaced in the same session is in no fork.
    pub(crate) fn settle(&mut self, opened: &Opened<'_>, arrival: Arrival) -> bool {
        if self.is_behind(opened) {
            return false;
        }
        let candidate = self.candidate(opened);
        let has_settled = self.states.settle(&opened.slot(), candidate, &mut self.journal);
        if has_settled {
            self.states.place(opened.slot(), arrival);
            self.remember(opened);
        }
        has_settled
    }

    fn candidate(&mut self, opened: &Opened<'_>) -> Candidate {
        let Opened { event, state, .. } = *opened;
        Candidate {
            event_id: event.id.to_owned(),
            origin_server_ts: self.date(RoomId(event.room_id), opened.ts, state),
            session_id: state.session_id.clone(),
            message_index: state.message_index,
            order: state.order,
        }
    }

    fn judge(&mut self, opened: &Opened<'_>) -> Precedence {
        let Opened { event, state, .. } = *opened;
        let candidate = self.candidate(opened);
        let known = self.states.known().current(RoomId(event.room_id), state.slot());
        if known == Some(&candidate) {
            return Precedence::Current;
        }
        let is_known = known.is_some_and(|known| known.event_id == event.id);
        if known.is_some() && !is_known && self.is_behind(opened) {
            return Precedence::Rollback;
        }
        self.states.offer(&opened.slot(), candidate, &mut self.journal)
    }

    /// Whether something later of the same session was seen for that type and state key.
    fn is_behind(&self, opened: &Opened<'_>) -> bool {
        let Opened { event, state, .. } = *opened;
        self.seen.is_behind(state.place(RoomId(event.room_id)), state.slot())
    }

    /// The earliest date that an event, decrypted just now, was ever seen with.
    pub(crate) fn date(&mut self, room: RoomId<'_>, ts: u64, opened: &OpenedState) -> u64 {
        let (date, is_new) = self.seen.date(opened.place(room), ts);
        if is_new {
            self.journal.touch(Prefix::Seen, room.0);
        }
        date
    }

    fn remember(&mut self, opened: &Opened<'_>) {
        let Opened { event, sender, ts, state } = *opened;
        let own = self.devices.own();
        if own.is_some_and(|own| self.due.is_away(RoomId(event.room_id), own.user_id())) {
            // Of a room that the person has left nothing is kept, not even what came with that.
            return;
        }
        if state.event_type == MEMBER_PROFILE {
            let made = Made::of(RoomId(event.room_id), UserId(sender), state);
            if self.devices.is_self(sender) && self.is_sure(made) {
                let device = self.sender_device(made).map(|(keys, _)| keys.0.clone());
                let profile = OwnProfile {
                    device: device.unwrap_or_default(),
                    event_id: event.id.to_owned(),
                    session_id: state.session_id.clone(),
                    content: state.content.clone(),
                };
                self.profiles.note(RoomId(event.room_id), profile, &mut self.journal);
            }
            return;
        }
        // Of others than Mantle encrypts itself, nothing is sent, filled in or kept; but what replaces
        // something that is.
        let is_kept = self.states.memory().get(RoomId(event.room_id), state.slot()).is_some();
        let of = TypeAndContent { event_type: &state.event_type, content: &state.content };
        if !is_kept && !self.settings.encrypts(of) {
            return;
        }
        let clear = format!(
            r#"{{"type":{},"state_key":{},"sender":{},"event_id":{},"origin_server_ts":{ts},"content":{},"unsigned":{{}}}}"#,
            quoted(&state.event_type),
            quoted(&state.state_key),
            quoted(sender),
            quoted(event.id),
            state.content,
        );
        let is_sure = self.is_sure(Made::of(RoomId(event.room_id), UserId(sender), state));
        let provenance = Provenance { is_sure, author: state.author.clone() };
        let is_new = self.states.remember(&opened.slot(), (clear, provenance), &mut self.journal);
        if is_new && self.outbound.is_condemned(&state.session_id) {
            let room = RoomId(event.room_id);
            self.states.mark_stale(room, event.id.to_owned(), &mut self.journal);
            self.due.note(event.room_id, Due::Stale);
        }
        let is_told = TOLD.contains(&state.event_type.as_str());
        if is_new && is_told && self.devices.is_self(sender) {
            // Those who were invited before there was a name are told of it.
            self.due.note(event.room_id, Due::Name);
        }
    }

    /// What a decrypted event means for what this device has sent once more.
    pub(crate) fn reconcile(&mut self, room: RoomId<'_>, event: &Reconciled<'_>) {
        self.states.reconcile(room, event, (&mut self.journal, &mut self.due));
    }

    /// Reads the room's flag; warns where it would be taken away.
    pub(crate) fn observe_encryption(
        &mut self,
        event: EventId<'_>,
        (content, sent): (&str, Option<u64>),
    ) -> FlagChange {
        let room = RoomId(event.room_id);
        let change = self.states.observe_encryption(room, (content, sent), &mut self.journal);
        if change == FlagChange::RemovalIgnored {
            self.warnings.warn(room, Warning::FlagRemoved, event.id);
        }
        change
    }

    /// Readable state events of a room as the running client has them: a JSON array.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is no array.
    pub(crate) fn add_room_state(
        &mut self,
        room: RoomId<'_>,
        events: &str,
    ) -> Result<(), EngineError> {
        let mut all = Vec::new();
        for event in elements(events)? {
            let text = |key| get_str(event, &[key]).map(Option::unwrap_or_default);
            let (event_type, state_key) = (text("type")?, text("state_key")?);
            let content = get(event, &["content"])?.unwrap_or("{}");
            let sent = get(event, &["origin_server_ts"])?.and_then(|sent| sent.parse().ok());
            if state_key.is_empty() {
                all.push((event_type, text("sender")?, content, sent));
            }
        }
        let facts: Vec<Fact<'_>> = all
            .iter()
            .map(|(event_type, sender, content, _)| Fact { event_type, sender, content })
            .collect();
        self.rooms.learn(room, &facts);
        for (event_type, _, content, sent) in &all {
            if event_type == "m.room.encryption" {
                // Whichever event that is, it is warned of once.
                let event = EventId { room_id: room.0, id: "state" };
                self.observe_encryption(event, (content, *sent));
            }
        }
        Ok(())
    }

    /// An event was redacted: whatever came of it is over.
    pub(crate) fn redact(&mut self, event: EventId<'_>) -> Option<Observation> {
        let room = RoomId(event.room_id);
        let known = self.states.known();
        if !is_event_id(event.id) || known.is_unknown(room.0) || known.is_redacted(event) {
            return None;
        }
        self.journal.touch(Prefix::Room, room.0);
        Some(self.end_redacted(event))
    }

    /// Nothing comes any more of an event that was redacted, by what a response or another tab says.
    pub(crate) fn end_redacted(&mut self, event: EventId<'_>) -> Observation {
        self.pending.drop_copies(event.id, &mut self.journal);
        self.profiles.redact(event, &mut self.journal);
        self.decrypted.remove(event);
        let emptied = self.states.redact(event, (&mut self.journal, &mut self.due));
        let emptied = emptied.map(|slot| {
            format!(
                r#"{{"type":{},"state_key":{},"sender":"","event_id":{},"origin_server_ts":0,"content":{{}},"unsigned":{{}}}}"#,
                quoted(&slot.event_type),
                quoted(&slot.state_key),
                quoted(event.id),
            )
        });
        let (room_id, event_id) = event.to_key();
        Observation::Redacted { room_id, event_id, emptied }
    }
}
