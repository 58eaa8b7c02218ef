//! Which of several events for one slot counts: encrypted before clear, newest before older.
//!
//! A slot is a room's (type, state key). Within one session the message index gives the order and
//! nobody can forge it; between sessions `origin_server_ts` does, which servers set: clocks differ,
//! so only a large step back counts as a rollback, and an event once replaced never comes back, but
//! where neither of the two knew of the other and the homeserver settles on the earlier. Where
//! authors say their order (`docs/encrypted-state.md`), that counts instead of servers' dates.
//! Only events that claim to be the current state are asked about here, not history.

use std::collections::VecDeque;

use crate::ids::{InRoom, TypeAndKey};
use crate::msc4362::event::SlotOrder;
use mantle_wire::json::{elements, exact_string, quoted};

/// How far apart the clocks of two homeservers may be: ten minutes.
pub const CLOCK_TOLERANCE_MS: u64 = 10 * 60 * 1000;
/// Events sent within so many milliseconds may not know of one another.
const FORK_MS: u64 = 60_000;

/// How many replaced events are remembered for each slot.
const MAX_REPLACED: usize = 64;
/// What the replaced events of a slot may take, in bytes.
const MAX_REPLACED_BYTES: usize = 3_200;

/// An encrypted event, opened, that claims to be a slot's current state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its event id.
    pub event_id: String,
    /// Its `origin_server_ts`, milliseconds.
    pub origin_server_ts: u64,
    /// Its Megolm session.
    pub session_id: String,
    /// Its index in that session.
    pub message_index: u32,
    /// Its place in the slot, where its author says that.
    pub order: Option<SlotOrder>,
}

/// What becomes of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precedence {
    /// It is the slot's current state.
    Current,
    /// It is older than what is known: keep the known event and tell the user.
    Rollback,
    /// It is clear while an encrypted event is known for the slot: keep that one.
    ClearBehindEncrypted,
}

/// What counts in one slot, and what did before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotHistory {
    current: Candidate,
    replaced: VecDeque<String>,
    // The highest place that an author gave.
    highest: Option<SlotOrder>,
    // What counts is known from the store only: another tab may be ahead, or the running client begins
    // behind what was seen.
    is_borrowed: bool,
}

impl SlotHistory {
    pub(crate) fn new(current: Candidate) -> Self {
        let highest = current.order;
        Self { current, replaced: VecDeque::new(), highest, is_borrowed: false }
    }

    /// What counts.
    pub(crate) const fn current(&self) -> &Candidate {
        &self.current
    }

    /// The highest place that an author gave.
    pub(crate) const fn highest(&self) -> Option<SlotOrder> {
        self.highest
    }

    /// Whether the event did count, and no longer does.
    pub(crate) fn was_replaced(&self, event_id: &str) -> bool {
        self.replaced.iter().any(|replaced| replaced == event_id)
    }

    pub(crate) fn is_older(&self, candidate: &Candidate) -> bool {
        let is_replaced = self.was_replaced(&candidate.event_id);
        let highest = self.highest.filter(|_| self.current.order.is_some());
        match (candidate.order, highest) {
            (Some(order), Some(highest)) if order.counter > highest.counter => false,
            // Whoever sets a name twice while another does has counted further, so that alone is no
            // older one.
            (Some(order), Some(highest)) => {
                // One that is current has counted less as well, but was set later.
                let newest =
                    self.current.order.map_or(highest.ts, |order| order.ts.max(highest.ts));
                is_replaced
                    || order.ts.saturating_add(CLOCK_TOLERANCE_MS) < newest
                    || candidate.session_id == self.current.session_id
                        && candidate.message_index < self.current.message_index
            }
            _ => is_replaced || is_older(candidate, &self.current),
        }
    }

    /// What counts has come here.
    pub(crate) const fn has_come(&mut self) {
        self.is_borrowed = false;
    }

    /// Takes over what the store says of the slot, unless what is known here is the later.
    pub(crate) fn merge(&mut self, stored: Self) {
        self.highest = higher(self.highest, stored.highest);
        let (ours, theirs) = (&self.current, &stored.current);
        let is_same = ours.event_id == theirs.event_id;
        // Who counted less may have set it later, without knowing of the other: not long before, though.
        let is_ours_later = if ours.session_id == theirs.session_id {
            theirs.message_index < ours.message_index
        } else if is_long_before(theirs.order, ours.order) {
            true
        } else if is_long_before(ours.order, theirs.order) {
            false
        } else {
            theirs.origin_server_ts < ours.origin_server_ts
        };
        let is_past = self.was_replaced(&theirs.event_id);
        if is_past || !is_same && is_ours_later && !stored.was_replaced(&ours.event_id) {
            return;
        }
        let is_borrowed = !is_same || self.is_borrowed;
        *self = Self { is_borrowed, highest: self.highest, ..stored };
    }

    pub(crate) fn replace(&mut self, candidate: Candidate) {
        self.highest = higher(self.highest, candidate.order);
        // What was sent before it and comes here after it makes it no past: it is yet to come.
        let is_ahead =
            self.is_borrowed && candidate.origin_server_ts < self.current.origin_server_ts;
        self.is_borrowed = false;
        let replaced = std::mem::replace(&mut self.current, candidate);
        if is_ahead {
            return;
        }
        self.replaced.push_back(replaced.event_id);
        while self.replaced.len() > MAX_REPLACED
            || self.replaced.iter().map(String::len).sum::<usize>() > MAX_REPLACED_BYTES
        {
            self.replaced.pop_front();
        }
    }

    /// Whether the homeserver has settled on an event that counts as older, and then it counts. Neither
    /// knew of the other: they are of two sessions and were set within a minute. Nothing else comes back.
    pub(crate) fn settle(&mut self, candidate: Candidate) -> bool {
        let current = &self.current;
        let apart = match (candidate.order, current.order) {
            (Some(one), Some(other)) => one.ts.abs_diff(other.ts),
            _ => candidate.origin_server_ts.abs_diff(current.origin_server_ts),
        };
        // Who has counted further has read the other, or one as far.
        let knew = match (candidate.order, current.order) {
            (Some(one), Some(other)) => one.counter < other.counter,
            _ => false,
        };
        let is_fork = candidate.session_id != current.session_id
            && !current.session_id.is_empty()
            && !knew
            && apart <= FORK_MS;
        if is_fork {
            self.replaced.retain(|replaced| *replaced != candidate.event_id);
            self.replace(candidate);
        }
        is_fork
    }

    /// `[type, state key, event id, time, session, index, [replaced event ids], author's order]`; the
    /// order, where there is one: `[counter, time, highest counter, its time]`.
    pub(crate) fn stored(&self, of: TypeAndKey<'_>) -> String {
        let Candidate { event_id, origin_server_ts, session_id, message_index, order } =
            &self.current;
        let replaced: Vec<String> = self.replaced.iter().map(|id| quoted(id)).collect();
        format!(
            "[{},{},{},{origin_server_ts},{},{message_index},[{}]{}]",
            quoted(of.event_type),
            quoted(of.state_key),
            quoted(event_id),
            quoted(session_id),
            replaced.join(","),
            stored_order(*order, self.highest),
        )
    }

    /// Reads that.
    pub(crate) fn restore(stored: &str) -> Option<(InRoom, Self)> {
        let mut parts = elements(stored).ok()?;
        let (order, highest) =
            if parts.len() > 7 { read_order(parts.pop()?)? } else { (None, None) };
        let &[event_type, state_key, event_id, time, session_id, index, replaced] =
            parts.as_slice()
        else {
            return None;
        };
        let mut ids = VecDeque::new();
        for id in elements(replaced).ok()? {
            ids.push_back(exact_string(id)?);
        }
        let current = Candidate {
            event_id: exact_string(event_id)?,
            origin_server_ts: time.parse().ok()?,
            session_id: exact_string(session_id)?,
            message_index: index.parse().ok()?,
            order,
        };
        let of =
            InRoom { event_type: exact_string(event_type)?, state_key: exact_string(state_key)? };
        Some((of, Self { current, replaced: ids, highest, is_borrowed: true }))
    }
}

/// Whether the first author counted less, and set it longer before the second than clocks differ.
fn is_long_before(one: Option<SlotOrder>, other: Option<SlotOrder>) -> bool {
    one.zip(other).is_some_and(|(one, other)| {
        one.counter < other.counter && one.ts.saturating_add(CLOCK_TOLERANCE_MS) < other.ts
    })
}

/// The further of two places in a slot.
fn higher(one: Option<SlotOrder>, other: Option<SlotOrder>) -> Option<SlotOrder> {
    one.into_iter().chain(other).max_by_key(|order| (order.counter, order.ts))
}

/// With a comma before it; nothing where no author ever gave an order.
fn stored_order(order: Option<SlotOrder>, highest: Option<SlotOrder>) -> String {
    let Some(highest) = highest else { return String::new() };
    let stored = |order: SlotOrder| format!("{},{}", order.counter, order.ts);
    format!(",[{},{}]", order.map_or_else(|| "null,null".to_owned(), stored), stored(highest))
}

fn read_order(stored: &str) -> Option<(Option<SlotOrder>, Option<SlotOrder>)> {
    let numbers: Vec<Option<u64>> =
        elements(stored).ok()?.into_iter().map(|number| number.parse().ok()).collect();
    let &[counter, ts, highest, highest_ts] = numbers.as_slice() else { return None };
    let order =
        |(counter, ts): (Option<u64>, Option<u64>)| Some(SlotOrder { counter: counter?, ts: ts? });
    Some((order((counter, ts)), order((highest, highest_ts))))
}

/// As of now: what comes with a later date counts as sent when it came.
pub(crate) fn dated(candidate: Candidate, clock: Option<u64>) -> Candidate {
    let clock = clock.unwrap_or(u64::MAX);
    let origin_server_ts = candidate.origin_server_ts.min(clock);
    let order = candidate.order.map(|order| SlotOrder { ts: order.ts.min(clock), ..order });
    Candidate { origin_server_ts, order, ..candidate }
}

fn is_older(candidate: &Candidate, known: &Candidate) -> bool {
    if candidate.session_id == known.session_id {
        candidate.message_index < known.message_index
    } else {
        candidate.origin_server_ts.saturating_add(CLOCK_TOLERANCE_MS) < known.origin_server_ts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_replaced_events_is_bounded() {
        let event = |index: u32| Candidate {
            event_id: format!("${index}"),
            origin_server_ts: 0,
            session_id: "s".to_owned(),
            message_index: index,
            order: None,
        };
        let mut history = SlotHistory::new(event(0));
        for index in 1..200 {
            history.replace(event(index));
        }
        assert_eq!(history.replaced.len(), MAX_REPLACED);
        assert!(history.was_replaced("$198") && !history.was_replaced("$1"));
        let long = |index: u32| Candidate { event_id: "x".repeat(400), ..event(index) };
        for index in 200..300 {
            history.replace(long(index));
        }
        let bytes: usize = history.replaced.iter().map(String::len).sum();
        assert!(bytes <= MAX_REPLACED_BYTES && history.replaced.len() > 4);
    }
}
