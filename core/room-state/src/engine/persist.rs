//! What survives a reload: entries of the store, written whole, read leniently.

use crate::sorted::Set;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

use super::hints::Hint;
use super::pending::Pending;
use super::write::Outbound;
use super::{EngineError, StateEngine};
use crate::flow::request_filters::strings;
use crate::megolm::{is_first_form, seal, unseal};
use mantle_wire::json::{elements, get, get_str, members, quoted};

pub(super) const DEVICE: &str = "device";
const OWNERS: &str = "owners";
const ROOM: &str = "room/";
pub(super) const OUTBOUND: &str = "outbound/";
pub(super) const PENDING: &str = "pending/";
pub(super) const HINT: &str = "hint/";

/// Written into every entry.
const VERSION: u64 = 1;

/// Entries to store; sending waits for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PersistBatch {
    /// For [`StateEngine::persisted`].
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
        !self.dirty.is_empty()
    }

    /// What is to be stored now. A batch that was neither confirmed nor given back is part of the
    /// next one.
    pub fn take_persist(&mut self) -> Option<PersistBatch> {
        let mut keys = std::mem::take(&mut self.dirty);
        if keys.is_empty() {
            return None;
        }
        if let Some((_, unconfirmed)) = self.batch.take() {
            keys.extend(unconfirmed);
        }
        let id = self.next_batch;
        self.next_batch = self.next_batch.wrapping_add(1);
        for ticket in self.tickets.values_mut() {
            ticket.batch.get_or_insert(id);
            if !ticket.stored {
                ticket.batch = Some(id);
            }
        }
        let entries = keys
            .iter()
            .map(|key| PersistEntry { key: key.clone(), value: self.value(key) })
            .collect();
        self.batch = Some((id, keys));
        Some(PersistBatch { id, entries })
    }

    /// The batch is on disk.
    pub fn persisted(&mut self, id: u32) {
        let Some((_, keys)) = self.batch.take_if(|(batch, _)| *batch == id) else { return };
        for key in keys {
            if self.dirty.contains(&key) {
                continue;
            }
            // Sealed values differ each time; then the entry is merely read once more.
            match self.value(&key) {
                Some(value) => drop(self.texts.insert(key, fingerprint(&value))),
                None => drop(self.texts.remove(&key)),
            }
        }
        for ticket in self.tickets.values_mut().filter(|ticket| ticket.batch == Some(id)) {
            ticket.stored = true;
        }
    }

    /// The batch could not be written; its entries come again.
    pub fn persist_failed(&mut self, id: u32) {
        if let Some((_, keys)) = self.batch.take_if(|(batch, _)| *batch == id) {
            self.dirty.extend(keys);
        }
    }

    pub(super) fn touch_room(&mut self, room_id: &str) {
        self.dirty.insert(format!("{ROOM}{room_id}"));
    }

    pub(super) fn touch_owners(&mut self) {
        self.dirty.insert(OWNERS.to_owned());
    }

    /// Reads a whole store.
    pub(super) fn load(&mut self, stored: &str) {
        for (key, value) in entries(stored) {
            if !self.load_entry(&key, &value) || is_outdated(&key, &value) {
                // Damaged, or of a session before: taken out. Of an earlier form: written anew.
                self.dirty.insert(key.clone());
            }
            self.texts.insert(key, fingerprint(&value));
        }
        self.read_own_sessions();
    }

    /// Takes over what another tab has written since: sessions and pending writes as they are in
    /// the store, of the rest whatever is newer.
    ///
    /// # Errors
    ///
    /// [`EngineError::Input`] when the text is no object.
    pub fn become_writer(&mut self, stored: &str) -> Result<(), EngineError> {
        members(stored)?.ok_or(EngineError::Input("store"))?;
        let mut there = Set::new();
        for (key, value) in entries(stored) {
            let print = fingerprint(&value);
            let changed = self.texts.get(&key) != Some(&print);
            let ours = self.dirty.contains(&key)
                || self.batch.as_ref().is_some_and(|(_, keys)| keys.contains(&key));
            // Room records are merged, so ours may be newer and theirs too.
            if changed && (!ours || key.starts_with(ROOM)) {
                if self.load_entry(&key, &value) {
                    self.texts.insert(key.clone(), print);
                } else if !ours {
                    self.dirty.insert(key.clone());
                }
            }
            there.insert(key);
        }
        let gone: Vec<String> = self
            .texts
            .keys()
            .filter(|key| !there.contains(*key) && !self.dirty.contains(*key))
            .filter(|key| key.starts_with(OUTBOUND) || key.starts_with(PENDING))
            .cloned()
            .collect();
        for key in gone {
            self.texts.remove(&key);
            match key.split_once('/') {
                Some(("outbound", room)) => drop(self.outbound.remove(room)),
                Some(("pending", id)) => drop(self.pending.remove(id)),
                _ => {}
            }
        }
        self.read_own_sessions();
        self.writer = true;
        self.drop_superseded()
    }

    /// Another tab may write from now on.
    pub fn stop_writing(&mut self) {
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

    /// Keys of everything that may be in the store.
    pub(super) fn stored_keys(&self) -> Set<String> {
        self.texts.keys().cloned().collect()
    }

    fn value(&self, key: &str) -> Option<String> {
        match key.split_once('/') {
            None if key == DEVICE => self
                .stored_owner
                .as_ref()
                .map(|owner| format!(r#"{{"version":{VERSION},"curve25519":{}}}"#, quoted(owner))),
            None if key == OWNERS => self.owners_value(),
            Some(("room", room)) => self.room_value(room),
            Some(("outbound", room)) => {
                self.outbound.get(room).map(|outbound| outbound.stored(&self.key))
            }
            Some(("pending", id)) => {
                self.pending.get(id).map(|pending| pending.stored(key, &self.key))
            }
            Some(("hint", name)) => self.hints.get(name).map(|hint| hint.stored(key, &self.key)),
            _ => None,
        }
    }

    fn load_entry(&mut self, key: &str, value: &str) -> bool {
        match key.split_once('/') {
            None if key == DEVICE => match get_str(value, &["curve25519"]) {
                Ok(Some(owner)) => {
                    self.stored_owner = Some(owner);
                    true
                }
                _ => false,
            },
            None if key == OWNERS => self.load_owners(value).is_some(),
            Some(("room", room)) => self.load_room(room, value).is_some(),
            Some(("outbound", room)) => match Outbound::restore(value, &self.key) {
                Some(outbound) if outbound.room_id() == room => {
                    self.outbound.insert(room.to_owned(), outbound);
                    true
                }
                _ => false,
            },
            Some(("pending", id)) => match Pending::restore(key, value, &self.key) {
                Some(pending) => {
                    self.pending.insert(id.to_owned(), pending);
                    true
                }
                None => false,
            },
            Some(("hint", name)) => match Hint::restore(key, value, &self.key) {
                Some(hint) => {
                    self.hints.insert(name.to_owned(), hint);
                    true
                }
                None => false,
            },
            _ => false,
        }
    }

    fn room_value(&self, room_id: &str) -> Option<String> {
        if self.known.is_unknown(room_id) && self.seen.count(room_id) == 0 {
            return None;
        }
        let remembered: Vec<&str> = self
            .remembered
            .get(room_id)
            .into_iter()
            .flat_map(|slots| slots.values().map(String::as_str))
            .collect();
        let stale: Vec<String> = self
            .stale
            .get(room_id)
            .into_iter()
            .flat_map(|stale| stale.iter())
            .map(|(event_id, since)| format!(r#"[{},"{since}"]"#, quoted(event_id)))
            .collect();
        let entry = format!("{ROOM}{room_id}");
        let sealed = |part: &str, text: &str| quoted(&seal(text, (&entry, part), &self.key));
        let rewrites = self.stored_rewrites(room_id).map_or_else(String::new, |rewrites| {
            format!(r#","rewrites":{}"#, sealed("rewrites", &rewrites))
        });
        Some(format!(
            r#"{{"version":{VERSION},"known":{},"stale":[{}],"seen":{},"events":{}{rewrites}}}"#,
            self.known.stored_room(room_id),
            stale.join(","),
            self.seen.stored_room(room_id),
            sealed("events", &format!("[{}]", remembered.join(","))),
        ))
    }

    fn load_room(&mut self, room_id: &str, value: &str) -> Option<()> {
        let part = |key: &str| get(value, &[key]).ok().flatten();
        if part("version")? != VERSION.to_string() {
            return None;
        }
        self.known.restore_room(room_id, part("known")?).ok()?;
        self.seen.restore_room(room_id, part("seen")?).ok()?;
        for event in elements(part("stale").unwrap_or("[]")).ok()? {
            let [event_id, since] = texts(event)?;
            self.stale
                .or_default(room_id.to_owned())
                .or_insert_with(event_id, || since.parse().unwrap_or_default());
            // Perhaps it is this device's turn, or will be.
            self.tend.or_insert_with(room_id.to_owned(), || "stale");
        }
        let sealed = get_str(value, &["events"]).ok()??;
        let entry = format!("{ROOM}{room_id}");
        let events = unseal(&sealed, (&entry, "events"), &self.key).ok()?;
        for event in elements(events.expose()).ok()? {
            let text = |key: &str| get_str(event, &[key]).ok().flatten();
            let (event_type, state_key, event_id) =
                (text("type")?, text("state_key")?, text("event_id")?);
            let current = self.known.current(room_id, &event_type, &state_key);
            if current.is_some_and(|current| current.event_id == event_id) {
                self.remembered
                    .or_default(room_id.to_owned())
                    .insert((event_type, state_key), event.to_owned());
            }
        }
        if let Ok(Some(sealed)) = get_str(value, &["rewrites"]) {
            let rewrites = unseal(&sealed, (&entry, "rewrites"), &self.key).ok()?;
            self.restore_rewrites(room_id, rewrites.expose());
        }
        Some(())
    }

    fn owners_value(&self) -> Option<String> {
        let list: Vec<String> = self
            .kept_owners
            .iter()
            .filter_map(|keys| {
                let user = self.owners.get(keys)?;
                Some(format!("[{},{},{}]", quoted(&keys.0), quoted(&keys.1), quoted(user)))
            })
            .collect();
        (!list.is_empty())
            .then(|| format!(r#"{{"version":{VERSION},"owners":[{}]}}"#, list.join(",")))
    }

    fn load_owners(&mut self, value: &str) -> Option<()> {
        for owner in elements(get(value, &["owners"]).ok()??).ok()? {
            let [curve25519, ed25519, user] = texts(owner)?;
            self.note_owner(&curve25519, &ed25519, &user);
            self.kept_owners.insert((curve25519, ed25519));
        }
        Some(())
    }
}

/// True when the sealed texts of an entry have a form that is only read.
fn is_outdated(key: &str, value: &str) -> bool {
    if key.starts_with(ROOM) {
        get_str(value, &["events"]).ok().flatten().is_some_and(|events| is_first_form(&events))
    } else {
        (key.starts_with(PENDING) || key.starts_with(HINT)) && is_first_form(value)
    }
}

fn entries(stored: &str) -> Vec<(String, String)> {
    members(stored)
        .ok()
        .flatten()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|member| Some((member.key, serde_json::from_str(member.value).ok()?)))
        .collect()
}

/// An array of just so many texts.
pub(super) fn texts<const COUNT: usize>(array: &str) -> Option<[String; COUNT]> {
    strings(array)?.try_into().ok()
}

fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
