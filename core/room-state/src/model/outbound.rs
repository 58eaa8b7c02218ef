//! The outbound sessions of rooms, their stored form, and ciphertexts that wait until their index is
//! on disk.
//!
//! An index never goes down. What the store gives is compared with what is known here; a session
//! whose index cannot be trusted (a write failed, the store gave an older one, an event came with an
//! index not used here) is thrown away with all that was encrypted and not sent, and a new one made.
//!
//! A store cannot tell that it was wound back: a restored or copied profile, or a disk that lost its
//! last writes with the power, looks as whole as any. So each session says in which run of the
//! browser it was made, which is known by what lies in memory alone. One of another run still gives
//! its key to those who lack it and encrypts nothing more.

use serde::Serialize;

use crate::ids::InRoom;
use crate::megolm::holders::Holders;
use crate::megolm::recipients::{UserHash, user_hash};
use crate::megolm::{OutboundSession, PickleKey, Recipients};
use crate::model::journal::{Journal, Prefix};
use crate::model::starts::Starts;
use crate::model::stored::strings;
use crate::sorted::{Map, Set};
use mantle_wire::json::{self, Edit, elements, get, get_str, quoted};

/// Who joins so soon after being given the key may have been there before it.
const JOINED_MEANWHILE_MS: u64 = 30_000;
/// Between two events for those who come late, so that a crowd is one.
const SENT_FOR_LATE_MS: u64 = 10_000;
/// By then what was sent has come back by sync, or will not.
pub(crate) const UNDER_WAY_MS: u64 = 60_000;
/// Slots whose last write is remembered.
const MAX_WRITTEN: usize = 256;
/// Sessions thrown away that the store may still bring back.
const MAX_CONDEMNED: usize = 256;

const PART_VERSION: u32 = 1;

/// An encrypted event whose index is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outgoing {
    /// Path and nothing before it.
    pub path: String,
    /// JSON.
    pub body: String,
}

/// A ciphertext that may not leave before its index is stored.
#[derive(Debug)]
struct Ticket {
    room_id: String,
    outgoing: Outgoing,
    batch: Option<u32>,
    stored: bool,
}

/// A room's outbound session, and what became of its key in this tab.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) session: OutboundSession,
    pub(crate) imported: bool,
    /// Who was to get the key when it was asked for last, and whether anyone did.
    pub(crate) wanted: Recipients,
    /// How many of them the page was told of.
    pub(crate) told: usize,
    pub(crate) reached: bool,
    pub(crate) asked: bool,
    /// Made while whoever joins may read what was before. One that does not say so may have been.
    pub(crate) shares_history: bool,
    /// The highest index of its events that was ever received.
    received: Option<u32>,
    /// From where on those may read it who came later; only where not all may.
    pub(crate) starts: Starts,
    // Slots written with this session, by any tab: type, state key.
    written: Map<InRoom, Written>,
    /// When it was asked for last.
    pub(crate) now: u64,
    // People none of whose devices had the key, and when one was given it.
    given: Map<String, u64>,
    // When the last of those who had joined by then was given it.
    late: u64,
    // How many holders the store says there are, where that was read just now; the parts with them
    // come apart.
    expected: Option<usize>,
    // Whose devices the key is for, as the page said last: sorted. None since the page was loaded.
    members: Option<Vec<UserHash>>,
    // The run of the browser it was made in; empty where that was not known.
    run: String,
    // Made by this tab, or in this run.
    is_verified: bool,
}

/// When a slot was written last, and with which index; one of before does not say that.
#[derive(Clone, Copy, Debug)]
struct Written {
    at: u64,
    index: Option<u32>,
}

impl Outbound {
    pub(crate) fn made(session: OutboundSession, shares_history: bool) -> Self {
        Self {
            session,
            shares_history,
            imported: false,
            wanted: Recipients::new(),
            told: 0,
            reached: false,
            asked: false,
            received: None,
            starts: Starts::default(),
            written: Map::new(),
            now: 0,
            given: Map::new(),
            late: 0,
            expected: None,
            members: None,
            run: String::new(),
            is_verified: true,
        }
    }

    /// Whether its index is known to be the highest that was ever used, as far as this device goes.
    pub(crate) const fn is_verified(&self) -> bool {
        self.is_verified
    }

    /// The session's stored form, and in it `"written": [[type, state key, time, index]]`,
    /// `"shares_history"`, `"starts"`, `"open_from"` and `"run"`.
    fn stored(&self, key: &PickleKey) -> String {
        let session = self.session.stored(key);
        let written: Vec<String> = self
            .written
            .iter()
            .map(|(InRoom { event_type, state_key }, Written { at, index })| {
                let index = index.map_or_else(String::new, |index| format!(r#","{index}""#));
                format!(r#"[{},{},"{at}"{index}]"#, quoted(event_type), quoted(state_key))
            })
            .collect();
        let mut edit = vec![
            Edit::set(&["written"], format!("[{}]", written.join(","))),
            Edit::set(&["shares_history"], self.shares_history.to_string()),
            Edit::set(&["run"], quoted(&self.run)),
        ];
        if self.starts.len() > 0 {
            edit.push(Edit::set(&["starts"], quoted(&self.starts.stored())));
        }
        if let Some(open_from) = self.starts.open_from() {
            edit.push(Edit::set(&["open_from"], open_from.to_string()));
        }
        json::apply(session.as_bytes(), &edit)
            .ok()
            .flatten()
            .and_then(|stored| String::from_utf8(stored).ok())
            .unwrap_or(session)
    }

    fn restore(stored: &str, key: &PickleKey) -> Option<Self> {
        let shares_history = get(stored, &["shares_history"]).ok()? != Some("false");
        let session = OutboundSession::restore(stored, key).ok()?;
        let mut outbound = Self::made(session, shares_history);
        outbound.run = get_str(stored, &["run"]).ok()?.unwrap_or_default();
        outbound.is_verified = false;
        // Of a session of before they are in it.
        let inside = outbound.session.holders().len();
        let count = get(stored, &["holders"]).ok()??.parse();
        outbound.expected = Some(count.unwrap_or(inside));
        let starts = get_str(stored, &["starts"]).ok()?.unwrap_or_default();
        let open_from = get(stored, &["open_from"]).ok()?.map(str::parse).transpose().ok()?;
        outbound.starts = Starts::restore(&starts, open_from)?;
        let written = get(stored, &["written"]).ok()?.unwrap_or("[]");
        for slot in elements(written).ok()? {
            let mut parts = strings(slot)?.into_iter();
            let slot = InRoom { event_type: parts.next()?, state_key: parts.next()? };
            let at = parts.next()?.parse().ok()?;
            let index = parts.next().map(|index| index.parse()).transpose().ok()?;
            outbound.written.insert(slot, Written { at, index });
        }
        Some(outbound)
    }

    pub(crate) fn session_id(&self) -> String {
        self.session.session_id()
    }

    /// Of the next event.
    pub(crate) fn message_index(&self) -> u32 {
        self.session.message_index()
    }

    /// An event of this session was received.
    pub(crate) fn note_received(&mut self, index: Option<u32>) {
        self.received = self.received.max(index);
    }

    /// True when an index was used that this session has not come to.
    pub(crate) fn is_behind(&self) -> bool {
        self.received.is_some_and(|received| received >= self.message_index())
    }

    /// Whose devices the key is for: members and whoever else may read the room.
    pub(crate) fn note_members(&mut self, members: &Recipients) {
        let mut members: Vec<UserHash> = members.users().map(|(user, _)| user).collect();
        members.sort_unstable();
        self.members = Some(members);
    }

    /// Whether a change of the user's devices may be a reason to share the key or to renew it. Where
    /// nobody has said who is in the room, that is looked at.
    pub(crate) fn concerns(&self, user_id: &str) -> bool {
        let Some(members) = &self.members else { return true };
        members.binary_search(&user_hash(user_id)).is_ok()
            || self.session.holders().has_user(user_id)
    }

    /// Who may read the room and came since the session was made, in order, and whether they have a
    /// device.
    pub(crate) fn newcomers(&self, allowed: &Recipients) -> Vec<(UserHash, bool)> {
        let known = self.session.holders().users();
        // Those with devices get its key before anything is encrypted.
        let is_unused = self.message_index() == 0;
        let mut newcomers: Vec<(UserHash, bool)> = allowed
            .users()
            .filter(|(_, has_device)| !(is_unused && *has_device))
            .filter(|(user, _)| known.binary_search(user).is_err() && !self.starts.contains(user))
            .collect();
        newcomers.sort_unstable();
        newcomers
    }

    /// Forgets from where on those may read who are neither there nor have the key; true where there
    /// were some.
    pub(crate) fn forget_gone(&mut self, allowed: &Recipients) -> bool {
        if self.starts.len() == 0 {
            return false;
        }
        let mut there = self.session.holders().users();
        there.extend(allowed.users().map(|(user, _)| user));
        there.sort_unstable();
        self.starts.retain(|user| there.binary_search(user).is_ok())
    }

    /// The slot was written just now.
    pub(crate) fn note_written(&mut self, slot: InRoom, index: u32) {
        if self.written.len() >= MAX_WRITTEN && !self.written.contains_key(&slot) {
            let oldest = self.written.iter().min_by_key(|(_, written)| written.at);
            if let Some(oldest) = oldest.map(|(slot, _)| slot.clone()) {
                self.written.remove(&oldest);
            }
        }
        let written = Written { at: self.now, index: Some(index) };
        self.written.insert(slot, written);
    }

    /// When the slot was written with this session last, milliseconds.
    pub(crate) fn written(&self, slot: &InRoom) -> Option<u64> {
        self.written.get(slot).map(|written| written.at)
    }

    /// Somebody none of whose devices had the key was given it.
    pub(crate) fn note_given(&mut self, user_id: &str) {
        let now = self.now;
        self.given.insert(user_id.to_owned(), now);
    }

    /// Notes who of those that were given the key may have seen the room's state without it.
    pub(crate) fn note_late(&mut self, members: &[String], now: u64) {
        let is_soon = |given: u64| now <= given.saturating_add(JOINED_MEANWHILE_MS);
        let has_joined = |user_id: &String| members.binary_search(user_id).is_ok();
        let given = self.given.iter().filter(|(user, given)| is_soon(**given) && has_joined(user));
        self.late = given.map(|(_, given)| *given).max().unwrap_or_default().max(self.late);
        // All at once: they may be ten thousand.
        self.given.retain(|user, given| is_soon(*given) && !has_joined(user));
    }

    /// The highest index from which on somebody has the key.
    pub(crate) fn latest_start(&self) -> u32 {
        let holders = self.session.holders();
        self.starts.latest(|user| holders.has_hash(user))
    }

    /// How long until the slot, whose event this session has encrypted with that index, is to be
    /// looked at or sent again: for those who come late, or whose key begins after it, at
    /// [`Outbound::latest_start`].
    pub(crate) fn late_wait(
        &self,
        slot: &InRoom,
        (current, latest_start): (u32, u32),
        now: u64,
    ) -> Option<u64> {
        let is_late = |at: u64, index: u32| at < self.late || index < latest_start;
        let Some(Written { at, index }) = self.written.get(slot).copied() else {
            return is_late(0, current).then_some(0);
        };
        // A clock that was set back holds nothing up.
        let wait = |from: u64| at.saturating_add(from).saturating_sub(now).min(from);
        // What is under way counts until it has come or is lost: nobody got to see that.
        let unseen = index.filter(|index| *index > current);
        if is_late(at, unseen.unwrap_or(current)) {
            return Some(wait(SENT_FOR_LATE_MS));
        }
        (unseen.is_some() && is_late(0, current)).then(|| wait(UNDER_WAY_MS))
    }
}

/// Parts of a session's holders as they were read, by number.
type Parts = Map<usize, String>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct OutboundSessions {
    rooms: Map<String, Outbound>,
    tickets: Map<u32, Ticket>,
    next_ticket: u32,
    // The browser's run of now; empty: not known, and then none of the store's sessions is of it.
    run: String,
    // Sessions that must not be gone on with, whatever the store says.
    condemned: Set<String>,
    // Room and session of those that nobody has been told of yet.
    lost: Vec<(String, String)>,
    // By room and session: read, and not put together with the session yet.
    parts: Map<(String, String), Parts>,
}

impl OutboundSessions {
    pub(crate) fn clear(&mut self) {
        let condemned = std::mem::take(&mut self.condemned);
        let run = std::mem::take(&mut self.run);
        *self = Self { condemned, run, next_ticket: self.next_ticket, ..Self::default() };
    }

    /// Says which run of the browser this is.
    pub(crate) fn set_run(&mut self, run: &str) {
        run.clone_into(&mut self.run);
        for (_, outbound) in self.rooms.iter_mut() {
            outbound.is_verified |= !run.is_empty() && outbound.run == run;
        }
    }

    pub(crate) fn get(&self, room_id: &str) -> Option<&Outbound> {
        self.rooms.get(room_id)
    }

    pub(crate) fn get_mut(&mut self, room_id: &str) -> Option<&mut Outbound> {
        self.rooms.get_mut(room_id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Outbound)> {
        self.rooms.iter()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Puts a session in the place of the one that was, if there was one.
    pub(crate) fn replace(&mut self, room_id: &str, mut outbound: Outbound, journal: &mut Journal) {
        self.remove(room_id, journal);
        outbound.run.clone_from(&self.run);
        self.rooms.insert(room_id.to_owned(), outbound);
        journal.touch(Prefix::Outbound, room_id);
    }

    fn remove(&mut self, room_id: &str, journal: &mut Journal) -> Option<Outbound> {
        self.tickets.retain(|_, ticket| ticket.room_id != room_id || ticket.stored);
        let outbound = self.rooms.remove(room_id)?;
        for part in 0..outbound.session.holders().parts() {
            journal.touch(Prefix::Holders, &part_id(room_id, part));
        }
        journal.touch(Prefix::Outbound, room_id);
        Some(outbound)
    }

    /// The room's session must not encrypt any more.
    pub(crate) fn condemn(&mut self, room_id: &str, journal: &mut Journal) {
        if let Some(outbound) = self.remove(room_id, journal) {
            if self.condemned.len() >= MAX_CONDEMNED {
                self.condemned.clear();
            }
            self.condemned.insert(outbound.session_id());
            self.lost.push((room_id.to_owned(), outbound.session_id()));
        }
    }

    /// Room and session of those thrown away since the last call: nobody can be given their key any
    /// more.
    pub(crate) fn take_lost(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.lost)
    }

    /// Whether this tab has thrown the session away.
    pub(crate) fn is_condemned(&self, session_id: &str) -> bool {
        self.condemned.contains(session_id)
    }

    /// The first part of the room's holders that changed, and what comes after it.
    pub(crate) fn touch_holders(&self, room_id: &str, first: usize, journal: &mut Journal) {
        let parts = self.rooms.get(room_id).map_or(0, |room| room.session.holders().parts());
        for part in first..parts {
            journal.touch(Prefix::Holders, &part_id(room_id, part));
        }
        journal.touch(Prefix::Outbound, room_id);
    }

    /// Parts of the room's holders that changed.
    pub(crate) fn touch_parts(&self, room_id: &str, parts: &Set<usize>, journal: &mut Journal) {
        for part in parts.iter() {
            journal.touch(Prefix::Holders, &part_id(room_id, *part));
        }
        journal.touch(Prefix::Outbound, room_id);
    }

    /// A ciphertext that waits for its index to be stored.
    pub(crate) fn hold(&mut self, room_id: &str, outgoing: Outgoing, journal: &mut Journal) -> u32 {
        self.next_ticket = self.next_ticket.wrapping_add(1).max(1);
        let room_id = room_id.to_owned();
        journal.touch(Prefix::Outbound, &room_id);
        let ticket = Ticket { room_id, outgoing, batch: None, stored: false };
        self.tickets.insert(self.next_ticket, ticket);
        self.next_ticket
    }

    /// The ciphertext, once; `None` where it is not known, and an error while it is not stored.
    pub(crate) fn take(&mut self, ticket: u32) -> Option<Result<Outgoing, ()>> {
        if !self.tickets.get(&ticket)?.stored {
            return Some(Err(()));
        }
        self.tickets.remove(&ticket).map(|ticket| Ok(ticket.outgoing))
    }

    /// The room's session is part of the batch.
    pub(crate) fn taken(&mut self, batch: u32, room_id: &str) {
        for ticket in self.tickets.values_mut() {
            if ticket.room_id == room_id && !ticket.stored {
                ticket.batch = Some(batch);
            }
        }
    }

    /// The room's session of that batch is on disk.
    pub(crate) fn stored(&mut self, batch: u32, room_id: &str) {
        for ticket in self.tickets.values_mut() {
            if ticket.room_id == room_id && ticket.batch == Some(batch) {
                ticket.stored = true;
            }
        }
    }

    pub(crate) fn value(&self, room_id: &str, key: &PickleKey) -> Option<String> {
        self.rooms.get(room_id).map(|outbound| outbound.stored(key))
    }

    /// `id`: room and number of the part, with a space between.
    pub(crate) fn holders_value(&self, id: &str) -> Option<String> {
        let (room_id, part) = id.rsplit_once(' ')?;
        let outbound = self.rooms.get(room_id)?;
        let holders = outbound.session.holders().part(part.parse().ok()?)?;
        Some(format!(
            r#"{{"version":{PART_VERSION},"room_id":{},"session_id":{},"part":{part},"holders":{}}}"#,
            quoted(room_id),
            quoted(&outbound.session_id()),
            quoted(&holders)
        ))
    }

    /// Reads a session; its room, and none when it cannot be read or must not be gone on with.
    pub(crate) fn load(
        &mut self,
        value: &str,
        key: &PickleKey,
        journal: &mut Journal,
    ) -> Option<String> {
        let mut outbound = Outbound::restore(value, key)?;
        let room_id = outbound.session.room_id().to_owned();
        let session_id = outbound.session_id();
        outbound.is_verified = !self.run.is_empty() && outbound.run == self.run;
        if self.condemned.contains(&session_id) {
            // Known by now: it is not there any more for those that read it later.
            return None;
        }
        if let Some(known) = self.rooms.get_mut(&room_id)
            && known.session_id() == session_id
        {
            if outbound.message_index() < known.message_index() {
                self.condemn(&room_id, journal);
                return None;
            }
            outbound.is_verified |= known.is_verified;
            outbound.imported = known.imported;
            outbound.members = known.members.take();
            outbound.received = known.received;
            outbound.given = std::mem::take(&mut known.given);
            outbound.late = known.late;
            // As far as this tab knows; the parts come when another tab has changed them.
            outbound.session.set_holders(known.session.holders().clone());
        }
        for part in 0..outbound.session.holders().parts() {
            if self.rooms.get(&room_id).is_none_or(|known| known.session_id() != session_id) {
                journal.touch(Prefix::Holders, &part_id(&room_id, part));
            }
        }
        self.rooms.insert(room_id.clone(), outbound);
        Some(room_id)
    }

    /// Reads a part of a session's holders; its id, and none when it cannot be read.
    pub(crate) fn load_holders(&mut self, value: &str) -> Option<String> {
        let text = |key: &str| get_str(value, &[key]).ok().flatten();
        let number = |key: &str| -> Option<usize> { get(value, &[key]).ok()??.parse().ok() };
        if number("version")? != usize::try_from(PART_VERSION).ok()? {
            return None;
        }
        let (room_id, session_id) = (text("room_id")?, text("session_id")?);
        let part = number("part")?;
        let id = part_id(&room_id, part);
        self.parts.or_default((room_id, session_id)).insert(part, text("holders")?);
        Some(id)
    }

    /// Puts sessions and their holders together, after all was read. A session of which not all
    /// holders are known cannot say who is to be left out: it is thrown away. Those beyond what the
    /// session itself says were to be given its key by a page that was closed before all of that was
    /// stored, so none of them got it, and from where on they may read is not known: they come anew.
    pub(crate) fn put_together(&mut self, journal: &mut Journal) {
        let mut parts = std::mem::take(&mut self.parts);
        let mut unsure = Vec::new();
        for (room_id, outbound) in self.rooms.iter_mut() {
            let key = (room_id.clone(), outbound.session_id());
            let known = outbound.session.holders().len();
            let expected = outbound.expected.take().unwrap_or(known);
            if let Some(mut read) = parts.remove(&key) {
                // What another tab has not written anew is as it was.
                let known = outbound.session.holders();
                for part in 0..known.parts() {
                    if !read.contains_key(&part)
                        && let Some(stored) = known.part(part)
                    {
                        read.insert(part, stored);
                    }
                }
                let mut holders = Holders::new();
                let in_order = read.keys().enumerate().all(|(at, part)| at == *part);
                if !in_order || !read.values().all(|part| holders.add_part(part)) {
                    unsure.push(room_id.clone());
                    continue;
                }
                outbound.session.set_holders(holders);
            }
            let is_whole = outbound.session.holders().len() >= expected;
            if !is_whole || !outbound.session.keep_holders(expected) {
                unsure.push(room_id.clone());
            }
        }
        for room_id in unsure {
            self.condemn(&room_id, journal);
        }
        // Of sessions that are no more.
        for ((room_id, session_id), read) in parts {
            let is_now = self.rooms.get(&room_id).is_some_and(|now| now.session_id() == session_id);
            let own = self.rooms.get(&room_id).map_or(0, |now| now.session.holders().parts());
            for part in read.keys().filter(|part| !is_now && **part >= own) {
                journal.touch(Prefix::Holders, &part_id(&room_id, *part));
            }
        }
    }

    /// Another tab has thrown the session away.
    pub(crate) fn gone(&mut self, room_id: &str, journal: &mut Journal) {
        self.tickets.retain(|_, ticket| ticket.room_id != room_id || ticket.stored);
        if let Some(outbound) = self.rooms.remove(room_id) {
            for part in 0..outbound.session.holders().parts() {
                journal.touch(Prefix::Holders, &part_id(room_id, part));
            }
        }
    }
}

fn part_id(room_id: &str, part: usize) -> String {
    format!("{room_id} {part}")
}

/// The room in the id of a part.
pub(crate) fn room_of_part(id: &str) -> &str {
    id.rsplit_once(' ').map_or(id, |(room_id, _)| room_id)
}
