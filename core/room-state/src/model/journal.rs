//! What is to be stored, and what the store is known to hold. It knows names of entries only: each
//! component writes and reads its own.
//!
//! A name in the store is short whatever it stands for, since ids come from strangers: rooms and
//! people are hashed. An entry that the store does not take costs that entry only: it is tried
//! again, and whoever depends on it is told.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};

use sha2::{Digest, Sha256};

use crate::sorted::{Map, Set};
use mantle_wire::json::{exact_string, members};

/// The most characters the store takes in one entry. Each component keeps its own below that by
/// bounds of its own; this is where one that did not is stopped, alone.
pub(crate) const MAX_ENTRY: usize = 1_000_000;

/// Of what is known of rooms, so many entries are one batch: each is sealed.
const MAX_BULK: usize = 128;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Prefix {
    /// Whose device the store belongs to.
    Device,
    /// Whose devices made sessions.
    Owners,
    /// What is known of a room.
    Room,
    /// Which events of a room the indices of sessions stand for.
    Seen,
    /// A room's outbound session.
    Outbound,
    /// Devices that have its key.
    Holders,
    /// State that waits to be sent.
    Pending,
    /// What an inviter told.
    Preview,
    /// The person's own name in a room.
    Profile,
    /// An entry nobody can read: its whole name, only to be taken out.
    Unreadable,
}

impl Prefix {
    const NAMED: [Self; 7] = [
        Self::Room,
        Self::Seen,
        Self::Outbound,
        Self::Holders,
        Self::Pending,
        Self::Preview,
        Self::Profile,
    ];

    const fn text(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Owners => "owners",
            Self::Room => "room",
            Self::Seen => "seen",
            Self::Outbound => "outbound",
            Self::Holders => "holders",
            Self::Pending => "pending",
            Self::Preview => "hint",
            Self::Profile => "profile",
            Self::Unreadable => "",
        }
    }

    /// Whether there may be one for each of thousands of rooms.
    const fn is_bulk(self) -> bool {
        matches!(self, Self::Room | Self::Seen | Self::Preview | Self::Profile)
    }

    /// Whether another tab may be writing it now: then it is written under the lock only.
    pub(crate) const fn is_locked(self) -> bool {
        matches!(self, Self::Outbound | Self::Holders | Self::Pending)
    }
}

/// One entry: what it is about, and the id of that as its component knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EntryId {
    pub(crate) prefix: Prefix,
    pub(crate) id: String,
}

impl EntryId {
    pub(crate) fn new(prefix: Prefix, id: &str) -> Self {
        Self { prefix, id: id.to_owned() }
    }

    /// Its name in the store.
    pub(crate) fn name(&self) -> String {
        let prefix = self.prefix.text();
        match self.prefix {
            Prefix::Device | Prefix::Owners => prefix.to_owned(),
            Prefix::Unreadable => self.id.clone(),
            // Numbers of our own.
            Prefix::Pending => format!("{prefix}/{}", self.id),
            Prefix::Room
            | Prefix::Seen
            | Prefix::Outbound
            | Prefix::Holders
            | Prefix::Preview
            | Prefix::Profile => {
                let mut name = format!("{prefix}/");
                for byte in Sha256::digest(&self.id) {
                    // Writing to a string cannot fail.
                    let _ = write!(name, "{byte:02x}");
                }
                name
            }
        }
    }
}

/// An entry's name in the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryName<'a>(pub(crate) &'a str);

/// What an entry's name in the store is about, with what stands behind the prefix.
pub(crate) fn prefix_of(name: &str) -> Option<(Prefix, &str)> {
    match name.split_once('/') {
        None => {
            let prefix = [Prefix::Device, Prefix::Owners].into_iter();
            prefix.into_iter().find(|prefix| prefix.text() == name).map(|prefix| (prefix, ""))
        }
        Some((text, rest)) => {
            let prefix = Prefix::NAMED.into_iter().find(|prefix| prefix.text() == text)?;
            Some((prefix, rest))
        }
    }
}

/// The entries of a batch, by their names in the store, with the fingerprint of what is written.
type Batch = Map<String, (EntryId, Option<u64>)>;

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) stored: Vec<EntryId>,
    pub(crate) failed: Vec<EntryId>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Journal {
    dirty: Set<EntryId>,
    batch: Option<(u32, Batch)>,
    next_batch: u32,
    // What the store is known to hold, by name.
    prints: Map<String, u64>,
}

impl Journal {
    pub(crate) const fn new() -> Self {
        Self { dirty: Set::new(), batch: None, next_batch: 1, prints: Map::new() }
    }

    /// The entry has changed, or is gone.
    pub(crate) fn touch(&mut self, prefix: Prefix, id: &str) {
        self.dirty.insert(EntryId::new(prefix, id));
    }

    /// An entry that nobody can read is to go.
    pub(crate) fn discard(&mut self, name: &str) {
        self.touch(Prefix::Unreadable, name);
    }

    /// Everything the store is known to hold is to go.
    pub(crate) fn discard_all(&mut self) {
        self.dirty.clear();
        let names: Vec<String> = self.prints.keys().cloned().collect();
        for name in names {
            self.discard(&name);
        }
    }

    /// Whether [`Journal::take`] has something.
    pub(crate) fn is_dirty(&self, is_writer: bool) -> bool {
        self.dirty.iter().any(|entry| is_writer || !entry.prefix.is_locked())
    }

    /// Whether the entry is to be stored, or on its way.
    pub(crate) fn is_ours(&self, name: &str) -> bool {
        self.dirty.iter().any(|entry| entry.name() == name)
            || self.batch.as_ref().is_some_and(|(_, batch)| batch.contains_key(name))
    }

    /// Names of what is to be stored or on its way: for many questions of [`Journal::is_ours`].
    pub(crate) fn ours(&self) -> Set<String> {
        let on_its_way = self.batch.iter().flat_map(|(_, batch)| batch.keys().cloned());
        self.dirty.iter().map(EntryId::name).chain(on_its_way).collect()
    }

    /// What is to be stored now: of what is known of rooms not all at once. A batch of which nothing was
    /// heard is part of the next one, as far as it may still be written.
    pub(crate) fn take(&mut self, is_writer: bool) -> Option<(u32, Vec<(String, EntryId)>)> {
        if !self.is_dirty(is_writer) {
            return None;
        }
        if let Some((_, unheard)) = self.batch.take() {
            self.dirty.extend(unheard.into_iter().map(|(_, (entry, _))| entry));
        }
        let mut bulk = 0;
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.dirty).into_iter().partition(|entry| {
                bulk += usize::from(entry.prefix.is_bulk());
                let has_place = !entry.prefix.is_bulk() || bulk <= MAX_BULK;
                has_place && (is_writer || !entry.prefix.is_locked())
            });
        self.dirty = later.into_iter().collect();
        let mut batch = Batch::new();
        for entry in now {
            // What is to go and has come anew since; those that are to go come last.
            if entry.prefix != Prefix::Unreadable || !batch.contains_key(&entry.name()) {
                batch.insert(entry.name(), (entry, None));
            }
        }
        let id = self.next_batch;
        self.next_batch = self.next_batch.wrapping_add(1).max(1);
        let entries =
            batch.iter().map(|(name, (entry, _))| (name.clone(), entry.clone())).collect();
        self.batch = Some((id, batch));
        Some((id, entries))
    }

    /// What is written under a name of the batch that was just taken.
    pub(crate) fn writes(&mut self, name: EntryName<'_>, value: Option<&str>) {
        if let Some((_, batch)) = &mut self.batch
            && let Some((_, print)) = batch.get_mut(name.0)
        {
            *print = value.map(fingerprint);
        }
    }

    /// The batch was written but for these names.
    pub(crate) fn written(&mut self, id: u32, failed: &[String]) -> Outcome {
        let mut outcome = Outcome::default();
        let Some((_, batch)) = self.batch.take_if(|(batch, _)| *batch == id) else {
            return outcome;
        };
        for (name, (entry, print)) in batch {
            if failed.contains(&name) {
                self.dirty.insert(entry.clone());
                outcome.failed.push(entry);
                continue;
            }
            match print {
                Some(print) => drop(self.prints.insert(name, print)),
                None => drop(self.prints.remove(&name)),
            }
            outcome.stored.push(entry);
        }
        outcome
    }

    /// Nothing of the batch was written.
    pub(crate) fn failed(&mut self, id: u32) -> Outcome {
        let names = match &self.batch {
            Some((batch, entries)) if *batch == id => entries.keys().cloned().collect(),
            _ => Vec::new(),
        };
        self.written(id, &names)
    }

    /// The entry is not to be written after all.
    pub(crate) fn forget(&mut self, entry: &EntryId) {
        self.dirty.remove(entry);
    }

    /// The store has this value under the name; none: nothing.
    pub(crate) fn note(&mut self, name: EntryName<'_>, value: Option<&str>) {
        match value {
            Some(value) => drop(self.prints.insert(name.0.to_owned(), fingerprint(value))),
            None => drop(self.prints.remove(name.0)),
        }
    }

    /// Whether the value is another than was known.
    pub(crate) fn is_news(&self, name: EntryName<'_>, value: &str) -> bool {
        self.prints.get(name.0) != Some(&fingerprint(value))
    }

    /// What the store was known to hold.
    pub(crate) fn known_names(&self) -> impl Iterator<Item = &String> {
        self.prints.keys()
    }
}

/// The entries of a whole store, a JSON object of texts.
pub(crate) fn entries(stored: &str) -> Vec<(String, String)> {
    members(stored)
        .ok()
        .flatten()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|member| Some((member.key, exact_string(member.value)?)))
        .collect()
}

fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_whatever_they_stand_for() {
        for prefix in [Prefix::Room, Prefix::Outbound, Prefix::Holders, Prefix::Preview] {
            let long = EntryId::new(prefix, &"\u{1F600}".repeat(5_000)).name();
            assert!(long.len() < 100, "{long}");
            assert_ne!(long, EntryId::new(prefix, "!other:x").name());
            assert_eq!(prefix_of(&long).unwrap().0, prefix);
        }
        assert_eq!(prefix_of("device"), Some((Prefix::Device, "")));
        assert_eq!(prefix_of("pending/1-0"), Some((Prefix::Pending, "1-0")));
        assert_eq!(prefix_of("nonsense/1"), None);
        assert_eq!(prefix_of("nonsense"), None);
    }

    #[test]
    fn what_was_not_written_comes_again_and_nothing_else() {
        let mut journal = Journal::new();
        journal.touch(Prefix::Room, "!a:x");
        journal.touch(Prefix::Room, "!b:x");
        let (id, entries) = journal.take(false).unwrap();
        let bad = vec![entries[0].0.clone()];
        let outcome = journal.written(id, &bad);
        assert_eq!((outcome.stored.len(), outcome.failed.len()), (1, 1));
        let (_, again) = journal.take(false).unwrap();
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].0, bad[0]);
    }

    #[test]
    fn what_other_tabs_may_be_writing_waits_for_the_lock() {
        let mut journal = Journal::new();
        journal.touch(Prefix::Outbound, "!a:x");
        assert!(!journal.is_dirty(false));
        assert!(journal.take(false).is_none());
        let (id, entries) = journal.take(true).unwrap();
        assert_eq!(entries.len(), 1);
        journal.failed(id);
        assert!(journal.take(false).is_none(), "not even what failed");
    }
}
