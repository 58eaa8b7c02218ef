//! What survives a reload: entries of the store, written whole, read leniently. Which part an entry
//! belongs to stands in its name; the part reads and writes it.

use serde::Serialize;

use crate::error::EngineError;
use crate::ids::{EventId, RoomId, SessionId, UserId};
use crate::megolm::is_first_form;
use crate::model::Model;
use crate::model::journal::{EntryId, EntryName, MAX_ENTRY, Outcome, Prefix, entries, prefix_of};
use crate::model::observation::Observation;
use crate::model::outbound::room_of_part;
use crate::model::pending::PendingId;
use crate::model::stored::{Named, VERSION, room_of};
use crate::sorted::Set;
use mantle_wire::json::{get, get_str, members, quoted};

/// Entries to store; sending waits for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PersistBatch {
    /// For [`StateEngine::written`](crate::StateEngine::written).
    pub id: u32,
    /// What to write.
    pub entries: Vec<PersistEntry>,
}

/// One entry of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PersistEntry {
    /// Its key.
    pub key: String,
    /// Its new value; none takes it out.
    pub value: Option<String>,
}

impl Model {
    /// Whether [`Model::take_persist`] has something.
    pub(crate) fn is_dirty(&self) -> bool {
        self.journal.is_dirty(self.is_writer)
    }

    /// What is to be stored now. A batch of which nothing was heard is part of the next one.
    pub(crate) fn take_persist(&mut self) -> Option<PersistBatch> {
        let (id, taken) = self.journal.take(self.is_writer)?;
        let mut entries = Vec::new();
        for (name, entry) in taken {
            if entry.prefix == Prefix::Outbound {
                self.outbound.taken(id, &entry.id);
            }
            let value = self.value(&entry);
            self.journal.writes(EntryName(&name), value.as_deref());
            entries.push(PersistEntry { key: name, value });
        }
        Some(PersistBatch { id, entries })
    }

    /// Nothing of the batch could be written; its entries come again.
    pub(crate) fn persist_failed(&mut self, id: u32) {
        let outcome = self.journal.failed(id);
        self.note_outcome(id, outcome);
    }

    /// The batch is on disk but for the entries with these keys, which come again. A session that
    /// could not be stored is thrown away, with what it has encrypted and was not sent: which index
    /// the store has of it, nobody can tell.
    pub(crate) fn written(&mut self, id: u32, failed: &[String]) {
        let outcome = self.journal.written(id, failed);
        self.note_outcome(id, outcome);
    }

    fn note_outcome(&mut self, id: u32, outcome: Outcome) {
        for entry in outcome.stored {
            if entry.prefix == Prefix::Outbound {
                self.outbound.stored(id, &entry.id);
            }
        }
        for EntryId { prefix, id } in outcome.failed {
            match prefix {
                Prefix::Outbound => self.outbound.condemn(&id, &mut self.journal),
                Prefix::Holders => self.outbound.condemn(room_of_part(&id), &mut self.journal),
                _ => {}
            }
        }
        self.mark_lost();
    }

    /// Sessions were thrown away.
    fn mark_lost(&mut self) {
        for (room_id, lost) in self.outbound.take_lost() {
            let room_id = room_id.as_str();
            let Self { states, sessions, devices, outbound, .. } = self;
            let is_none_left = outbound.get(room_id).is_none();
            // The one that it was to take the place of is gone as well.
            let is_own = |id: &str| {
                devices.own().is_some_and(|own| {
                    let user = UserId(own.user_id());
                    let mut origins = sessions.origins_of(SessionId { room_id, id }, user);
                    origins.any(|origin| origin.sender_key == own.curve25519())
                })
            };
            let is_lost = |id: &str| id == lost || is_none_left && is_own(id);
            states.mark_lost(RoomId(room_id), is_lost, (&mut self.journal, &mut self.due));
        }
    }

    /// Whether what waits under this id is on disk.
    pub(crate) fn is_pending_stored(&self, id: &str) -> bool {
        self.pending.contains(id)
            && !self.journal.is_ours(&EntryId::new(Prefix::Pending, id).name())
    }

    /// Reads a whole store.
    pub(crate) fn load(&mut self, stored: &str) {
        for (name, value) in entries(stored) {
            self.read_entry(EntryName(&name), &value);
            self.journal.note(EntryName(&name), Some(&value));
        }
        // Nothing was seen that could be over.
        self.loaded();
    }

    /// Takes over what another tab has written since: sessions and pending writes as they are in
    /// the store, of the rest whatever is newer. What it has seen redacted is over here too.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is no object.
    pub(crate) fn become_writer(&mut self, stored: &str) -> Result<Vec<Observation>, EngineError> {
        members(stored)?.ok_or(EngineError::Input("store"))?;
        let ours = self.journal.ours();
        let mut there = Set::new();
        for (name, value) in entries(stored) {
            let prefix = prefix_of(&name).map(|(prefix, _)| prefix);
            // Records of rooms are merged, so ours may be newer and theirs too. What another tab has
            // put where a session of ours was thrown away is theirs.
            let is_merged = matches!(
                prefix,
                Some(Prefix::Room | Prefix::Seen | Prefix::Outbound | Prefix::Holders)
            );
            let entry = EntryName(&name);
            if self.journal.is_news(entry, &value) && (is_merged || !ours.contains(&name)) {
                self.read_entry(entry, &value);
                self.journal.note(entry, Some(&value));
            }
            there.insert(name);
        }
        let is_gone = |prefix, id: &str| {
            let name = EntryId::new(prefix, id).name();
            !there.contains(&name) && !ours.contains(&name)
        };
        let rooms = self.outbound.iter().map(|(room_id, _)| room_id);
        let rooms: Vec<String> =
            rooms.filter(|room_id| is_gone(Prefix::Outbound, room_id)).cloned().collect();
        for room_id in rooms {
            self.outbound.gone(&room_id, &mut self.journal);
        }
        let pending = self.pending.ids().filter(|id| is_gone(Prefix::Pending, id));
        let pending: Vec<String> = pending.cloned().collect();
        for id in pending {
            self.pending.forget(&id);
        }
        let gone: Vec<String> =
            self.journal.known_names().filter(|name| !there.contains(*name)).cloned().collect();
        for name in gone {
            self.journal.note(EntryName(&name), None);
        }
        let redacted = self.loaded();
        self.is_writer = true;
        Ok(redacted)
    }

    /// After entries were read; what of it is over.
    fn loaded(&mut self) -> Vec<Observation> {
        self.outbound.put_together(&mut self.journal);
        let rooms: Vec<(String, String)> = self
            .outbound
            .iter()
            .map(|(room_id, outbound)| (room_id.clone(), outbound.session_id()))
            .collect();
        for (room_id, session_id) in rooms {
            let highest = self.seen.highest(SessionId { room_id: &room_id, id: &session_id });
            if let Some(outbound) = self.outbound.get_mut(&room_id) {
                outbound.note_received(highest);
            }
        }
        self.read_own_sessions();
        self.mark_lost();
        let redacted = self.states.take_learned();
        redacted.iter().map(|(room_id, id)| self.end_redacted(EventId { room_id, id })).collect()
    }

    /// Another tab may write from now on. A session that is not stored as it is is thrown away.
    pub(crate) fn stop_writing(&mut self) {
        let rooms: Vec<String> = self.outbound.iter().map(|(room_id, _)| room_id.clone()).collect();
        let ours = self.journal.ours();
        for room_id in rooms {
            if ours.contains(&EntryId::new(Prefix::Outbound, &room_id).name()) {
                self.outbound.condemn(&room_id, &mut self.journal);
            }
        }
        self.mark_lost();
        self.gathered = None;
        self.is_writer = false;
    }

    /// An entry's value; none takes it out.
    fn value(&self, entry: &EntryId) -> Option<String> {
        let EntryId { prefix, id } = entry;
        let name = entry.name();
        let name = EntryName(&name);
        let value = match prefix {
            Prefix::Device => self.devices.own_value(),
            Prefix::Owners => self.devices.kept_value(),
            Prefix::Room => self.states.value(RoomId(id), name, &self.key),
            Prefix::Seen => self.seen_value(id),
            Prefix::Outbound => self.outbound.value(id, &self.key),
            Prefix::Holders => self.outbound.holders_value(id),
            Prefix::Pending => self.pending.value(PendingId(id), name, &self.key),
            Prefix::Preview => self.invites.value(id, name, &self.key),
            Prefix::Profile => self.profiles.value(id, name, &self.key),
            Prefix::Unreadable => None,
        };
        // What the store would refuse as well: nothing else is held up by it.
        value.filter(|value| value.len() <= MAX_ENTRY)
    }

    /// Reads one entry; what cannot be read (damaged, or of another key) is taken out, and what has
    /// a name of before is written under its new one.
    fn read_entry(&mut self, name: EntryName<'_>, value: &str) {
        let Some((prefix, rest)) = prefix_of(name.0) else {
            self.journal.discard(name.0);
            return;
        };
        let id = match prefix {
            Prefix::Device => self.devices.load_own(value).map(|()| String::new()),
            Prefix::Owners => {
                self.devices.load_kept(value, &mut self.sessions).map(|()| String::new())
            }
            Prefix::Room => self.load_room((name, Named(rest)), value),
            Prefix::Seen => self.load_seen(Named(rest), value),
            Prefix::Outbound => self.outbound.load(value, &self.key, &mut self.journal),
            Prefix::Holders => self.outbound.load_holders(value),
            Prefix::Pending => self.pending.load(value, (name, PendingId(rest)), &self.key),
            Prefix::Preview => self.invites.load(value, (name, Named(rest)), &self.key),
            Prefix::Profile => self.profiles.load(value, name, &self.key),
            Prefix::Unreadable => None,
        };
        let Some(id) = id else {
            self.journal.discard(name.0);
            return;
        };
        let entry = EntryId { prefix, id };
        if entry.name() != name.0 {
            self.journal.discard(name.0);
            self.journal.touch(prefix, &entry.id);
        } else if is_outdated(prefix, value) {
            // Written anew in the form of now.
            self.journal.touch(prefix, &entry.id);
        } else if matches!(prefix, Prefix::Outbound | Prefix::Holders) {
            // It was to be taken out; now it is another tab's.
            self.journal.forget(&entry);
        }
    }

    fn load_room(&mut self, name: (EntryName<'_>, Named<'_>), value: &str) -> Option<String> {
        let room_id = self.states.load(name, value, &self.key, &mut self.due)?;
        if let Some(seen) = get(value, &["seen"]).ok().flatten() {
            // Of before it had an entry of its own.
            self.seen.restore_room(RoomId(&room_id), seen).ok()?;
            if self.seen.count(&room_id) > 0 {
                self.journal.touch(Prefix::Seen, &room_id);
            }
        }
        Some(room_id)
    }

    fn seen_value(&self, room_id: &str) -> Option<String> {
        (self.seen.count(room_id) > 0).then(|| {
            format!(
                r#"{{"version":{VERSION},"room_id":{},"seen":{}}}"#,
                quoted(room_id),
                self.seen.stored_room(room_id)
            )
        })
    }

    fn load_seen(&mut self, named: Named<'_>, value: &str) -> Option<String> {
        let room_id = room_of(value, named)?;
        let seen = get(value, &["seen"]).ok().flatten()?;
        self.seen.restore_room(RoomId(&room_id), seen).ok()?;
        Some(room_id)
    }
}

/// True when the sealed texts of an entry have a form that is only read.
fn is_outdated(prefix: Prefix, value: &str) -> bool {
    match prefix {
        Prefix::Room => {
            get_str(value, &["events"]).ok().flatten().is_some_and(|events| is_first_form(&events))
        }
        Prefix::Pending | Prefix::Preview => is_first_form(value),
        _ => false,
    }
}
