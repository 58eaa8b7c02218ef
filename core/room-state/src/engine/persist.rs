//! What survives a reload: entries of the store, written whole, read leniently.

use serde::Serialize;

use super::pending::Pending;
use super::{EngineError, StateEngine};
use crate::flow::request_filters::strings;
use crate::ids::is_room_id;
use crate::megolm::{is_first_form, seal, unseal};
use crate::model::journal::{EntryId, MAX_ENTRY, Outcome, Prefix, entries, prefix_of};
use crate::model::memory::{named, restored};
use crate::model::outbound::room_of_part;
use crate::model::owners::Standing;
use mantle_wire::json::{elements, get, get_str, members, quoted};

/// Written into every entry.
const VERSION: u64 = 1;

/// Entries to store; sending waits for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PersistBatch {
    /// For [`StateEngine::written`].
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

impl StateEngine {
    /// Whether [`StateEngine::take_persist`] has something.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.journal.is_dirty(self.writer)
    }

    /// What is to be stored now. A batch of which nothing was heard is part of the next one.
    pub fn take_persist(&mut self) -> Option<PersistBatch> {
        let (id, taken) = self.journal.take(self.writer)?;
        let mut entries = Vec::new();
        for (name, entry) in taken {
            if entry.prefix == Prefix::Outbound {
                self.outbound.taken(id, &entry.id);
            }
            let value = self.value(&entry);
            self.journal.writes(&name, value.as_deref());
            entries.push(PersistEntry { key: name, value });
        }
        Some(PersistBatch { id, entries })
    }

    /// The whole batch is on disk.
    pub fn persisted(&mut self, id: u32) {
        self.written(id, &[]);
    }

    /// Nothing of the batch could be written; its entries come again.
    pub fn persist_failed(&mut self, id: u32) {
        let outcome = self.journal.failed(id);
        self.note_outcome(id, outcome);
    }

    /// The batch is on disk but for the entries with these keys, which come again. A session that
    /// could not be stored is thrown away, with what it has encrypted and was not sent: which index
    /// the store has of it, nobody can tell.
    pub fn written(&mut self, id: u32, failed: &[String]) {
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
    }

    /// Whether what waits under this id is on disk.
    #[must_use]
    pub fn is_pending_stored(&self, id: &str) -> bool {
        self.pending.contains_key(id)
            && !self.journal.is_ours(&EntryId::new(Prefix::Pending, id).name())
    }

    pub(super) fn touch_room(&mut self, room_id: &str) {
        self.journal.touch(Prefix::Room, room_id);
    }

    /// Reads a whole store.
    pub(super) fn load(&mut self, stored: &str) {
        for (name, value) in entries(stored) {
            self.read_entry(&name, &value);
            self.journal.note(name, Some(&value));
        }
        self.loaded();
    }

    /// Takes over what another tab has written since: sessions and pending writes as they are in
    /// the store, of the rest whatever is newer.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is no object.
    pub fn become_writer(&mut self, stored: &str) -> Result<(), EngineError> {
        members(stored)?.ok_or(EngineError::Input("store"))?;
        let ours = self.journal.ours();
        let mut there = crate::sorted::Set::new();
        for (name, value) in entries(stored) {
            let prefix = prefix_of(&name).map(|(prefix, _)| prefix);
            // Records of rooms are merged, so ours may be newer and theirs too. What another tab has
            // put where a session of ours was thrown away is theirs.
            let is_merged = matches!(
                prefix,
                Some(Prefix::Room | Prefix::Seen | Prefix::Outbound | Prefix::Holders)
            );
            if self.journal.is_news(&name, &value) && (is_merged || !ours.contains(&name)) {
                self.read_entry(&name, &value);
                self.journal.note(name.clone(), Some(&value));
            }
            there.insert(name);
        }
        let rooms: Vec<String> = self.outbound.iter().map(|(room_id, _)| room_id.clone()).collect();
        for room_id in rooms {
            let name = EntryId::new(Prefix::Outbound, &room_id).name();
            if !there.contains(&name) && !ours.contains(&name) {
                self.outbound.gone(&room_id, &mut self.journal);
            }
        }
        let waiting: Vec<String> = self.pending.keys().cloned().collect();
        for id in waiting {
            let name = EntryId::new(Prefix::Pending, &id).name();
            if !there.contains(&name) && !ours.contains(&name) {
                self.pending.remove(&id);
            }
        }
        let gone: Vec<String> =
            self.journal.known_names().filter(|name| !there.contains(*name)).cloned().collect();
        for name in gone {
            self.journal.note(name, None);
        }
        self.loaded();
        self.writer = true;
        self.drop_superseded()
    }

    /// After entries were read.
    fn loaded(&mut self) {
        self.outbound.put_together(&mut self.journal);
        let rooms: Vec<(String, String)> = self
            .outbound
            .iter()
            .map(|(room_id, outbound)| (room_id.clone(), outbound.session_id()))
            .collect();
        for (room_id, session_id) in rooms {
            let highest = self.seen.highest(&room_id, &session_id);
            if let Some(outbound) = self.outbound.get_mut(&room_id) {
                outbound.note_received(highest);
            }
        }
        self.read_own_sessions();
    }

    /// Another tab may write from now on. A session that is not stored as it is is thrown away.
    pub fn stop_writing(&mut self) {
        let rooms: Vec<String> = self.outbound.iter().map(|(room_id, _)| room_id.clone()).collect();
        let ours = self.journal.ours();
        for room_id in rooms {
            if ours.contains(&EntryId::new(Prefix::Outbound, &room_id).name()) {
                self.outbound.condemn(&room_id, &mut self.journal);
            }
        }
        self.writer = false;
    }

    /// Whether this tab may write.
    #[must_use]
    pub const fn is_writer(&self) -> bool {
        self.writer
    }

    pub(super) fn must_write(&self) -> Result<(), EngineError> {
        if self.writer { Ok(()) } else { Err(EngineError::NotWriter) }
    }

    /// An entry's value; none takes it out.
    fn value(&self, entry: &EntryId) -> Option<String> {
        let EntryId { prefix, id } = entry;
        let value = match prefix {
            Prefix::Device => self
                .stored_owner
                .as_ref()
                .map(|owner| format!(r#"{{"version":{VERSION},"curve25519":{}}}"#, quoted(owner))),
            Prefix::Owners => self.owners_value(),
            Prefix::Room => self.room_value(id, &entry.name()),
            Prefix::Seen => (self.seen.count(id) > 0).then(|| {
                format!(
                    r#"{{"version":{VERSION},"room_id":{},"seen":{}}}"#,
                    quoted(id),
                    self.seen.stored_room(id)
                )
            }),
            Prefix::Outbound => self.outbound.value(id, &self.key),
            Prefix::Holders => self.outbound.holders_value(id),
            Prefix::Pending => {
                self.pending.get(id).map(|pending| pending.stored(&entry.name(), &self.key))
            }
            Prefix::Preview => self.previews.value(id, &entry.name(), &self.key),
            Prefix::Unreadable => None,
        };
        // What the store would refuse as well: nothing else is held up by it.
        value.filter(|value| value.len() <= MAX_ENTRY)
    }

    /// Reads one entry; what cannot be read (damaged, or of another key) is taken out, and what has
    /// a name of before is written under its new one.
    fn read_entry(&mut self, name: &str, value: &str) {
        let Some((prefix, rest)) = prefix_of(name) else {
            self.journal.discard(name);
            return;
        };
        let id = match prefix {
            Prefix::Device => get_str(value, &["curve25519"]).ok().flatten().map(|owner| {
                self.stored_owner = Some(owner);
                String::new()
            }),
            Prefix::Owners => self.load_owners(value).map(|()| String::new()),
            Prefix::Room => self.load_room((name, rest), value),
            Prefix::Seen => self.load_seen(rest, value),
            Prefix::Outbound => self.outbound.load(value, &self.key, &mut self.journal),
            Prefix::Holders => self.outbound.load_holders(value),
            Prefix::Pending => Pending::restore(name, value, &self.key).map(|pending| {
                self.pending.insert(rest.to_owned(), pending);
                rest.to_owned()
            }),
            Prefix::Preview => self.previews.load(value, (name, rest), &self.key),
            Prefix::Unreadable => None,
        };
        let Some(id) = id else {
            self.journal.discard(name);
            return;
        };
        let entry = EntryId { prefix, id };
        if entry.name() != name {
            self.journal.discard(name);
            self.journal.touch(prefix, &entry.id);
        } else if is_outdated(prefix, value) {
            // Written anew in the form of now.
            self.journal.touch(prefix, &entry.id);
        } else if matches!(prefix, Prefix::Outbound | Prefix::Holders) {
            // It was to be taken out; now it is another tab's.
            self.journal.forget(&entry);
        }
    }

    fn room_value(&self, room_id: &str, entry: &str) -> Option<String> {
        if self.known.is_unknown(room_id) {
            return None;
        }
        let stale: Vec<String> = self
            .stale
            .get(room_id)
            .into_iter()
            .flat_map(|stale| stale.iter())
            .map(|(event_id, since)| format!(r#"[{},"{since}"]"#, quoted(event_id)))
            .collect();
        let sealed = |part: &str, text: &str| quoted(&seal(text, (entry, part), &self.key));
        let in_flight = self.stored_in_flight(room_id).map_or_else(String::new, |in_flight| {
            format!(r#","rewrites":{}"#, sealed("rewrites", &in_flight))
        });
        Some(format!(
            r#"{{"version":{VERSION},"room_id":{},"known":{},"stale":[{}],"events":{}{in_flight}}}"#,
            quoted(room_id),
            self.known.stored_room(room_id),
            stale.join(","),
            sealed("events", &self.memory.stored_room(room_id)),
        ))
    }

    /// The room of a record: it says so itself; those of before are named after it.
    fn room_of(value: &str, named: &str) -> Option<String> {
        let said = get_str(value, &["room_id"]).ok().flatten();
        Some(said.unwrap_or_else(|| named.to_owned())).filter(|room_id| is_room_id(room_id))
    }

    fn load_seen(&mut self, named: &str, value: &str) -> Option<String> {
        let room_id = Self::room_of(value, named)?;
        let seen = get(value, &["seen"]).ok().flatten()?;
        self.seen.restore_room(&room_id, seen).ok()?;
        Some(room_id)
    }

    fn load_room(&mut self, (entry, rest): (&str, &str), value: &str) -> Option<String> {
        let part = |key: &str| get(value, &[key]).ok().flatten();
        if part("version")? != VERSION.to_string() {
            return None;
        }
        let room_id = Self::room_of(value, rest)?;
        let sealed = get_str(value, &["events"]).ok()??;
        let events = unseal(&sealed, (entry, "events"), &self.key).ok()?;
        let in_flight = match get_str(value, &["rewrites"]).ok()? {
            Some(sealed) => Some(unseal(&sealed, (entry, "rewrites"), &self.key).ok()?),
            None => None,
        };
        self.known.restore_room(&room_id, part("known")?).ok()?;
        if let Some(seen) = part("seen") {
            // Of before it had an entry of its own.
            self.seen.restore_room(&room_id, seen).ok()?;
            if self.seen.count(&room_id) > 0 {
                self.journal.touch(Prefix::Seen, &room_id);
            }
        }
        for event in elements(part("stale").unwrap_or("[]")).ok()? {
            let [event_id, since] = texts(event)?;
            self.stale
                .or_default(room_id.clone())
                .or_insert_with(event_id, || since.parse().unwrap_or_default());
            // Perhaps it is this device's turn, or will be.
            self.tend.or_insert_with(room_id.clone(), || "stale");
        }
        for event in elements(events.expose()).ok()? {
            let ((event_type, state_key), event_id) = named(event)?;
            let current = self.known.current(&room_id, &event_type, &state_key);
            let is_redacted = self.known.is_redacted(&room_id, &event_id);
            if !is_redacted && current.is_some_and(|current| current.event_id == event_id) {
                self.memory.insert(&room_id, (event_type, state_key), restored(event));
            }
        }
        if let Some(in_flight) = in_flight {
            self.restore_rewrites(&room_id, in_flight.expose());
        }
        Some(room_id)
    }

    fn owners_value(&self) -> Option<String> {
        let list: Vec<String> = self
            .kept_owners
            .iter()
            .filter_map(|(keys, ())| {
                let (user_id, is_verified) = self.owners.stored(keys)?;
                let (curve25519, ed25519) = (quoted(&keys.0), quoted(&keys.1));
                let user = quoted(user_id);
                let proof = if is_verified { r#","proven""# } else { "" };
                let standing = match self.owners.standing(keys, user_id).text() {
                    "" => String::new(),
                    _ if !is_verified => String::new(),
                    text => format!(",{}", quoted(text)),
                };
                Some(format!("[{curve25519},{ed25519},{user}{proof}{standing}]"))
            })
            .collect();
        (!list.is_empty())
            .then(|| format!(r#"{{"version":{VERSION},"owners":[{}]}}"#, list.join(",")))
    }

    fn load_owners(&mut self, value: &str) -> Option<()> {
        for owner in elements(get(value, &["owners"]).ok()??).ok()? {
            // The fourth says that the device's signature was checked, which earlier versions did not,
            // the fifth what its owner has to do with it.
            let (keys, user) = if let Some([curve25519, ed25519, user, _, text]) = texts(owner) {
                let keys = (curve25519, ed25519);
                self.owners.set_verified(&keys, &user);
                if let Some(standing) = Standing::read(&text) {
                    self.owners.set_standing(&keys, &user, standing);
                }
                (keys, user)
            } else if let Some([curve25519, ed25519, user, _]) = texts(owner) {
                let keys = (curve25519, ed25519);
                self.owners.set_verified(&keys, &user);
                (keys, user)
            } else {
                let [curve25519, ed25519, user] = texts(owner)?;
                let keys = (curve25519, ed25519);
                self.owners.set_stored(&keys, &user);
                (keys, user)
            };
            if let Some(owner) = self.owners.of(&keys) {
                self.sessions.set_owner(&keys.0, &keys.1, owner);
            }
            let cost = keys.0.len() + keys.1.len() + user.len();
            self.kept_owners.insert(keys, (), cost);
        }
        Some(())
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

/// An array of just so many texts.
pub(super) fn texts<const COUNT: usize>(array: &str) -> Option<[String; COUNT]> {
    strings(array)?.try_into().ok()
}
