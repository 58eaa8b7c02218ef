//! The clear current events, for when a server hides them: bounded in bytes, for each room and for
//! all. Where there is no room, the oldest of the largest room gives way, and a room's own name and
//! topic last of all.

use mantle_wire::json::{get, get_str, quoted};

use crate::model::owners::Keys;
use crate::model::stored::texts;
use crate::msc4362::eligible::DEFAULT_TYPES;
use crate::sorted::Map;

/// Of one event.
pub(crate) const MAX_EVENT_BYTES: usize = 16 * 1024;
/// Of one room's events.
pub(crate) const MAX_ROOM_BYTES: usize = 128 * 1024;
/// Of all.
pub(crate) const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Type and state key.
pub(crate) type Slot = (String, String);

#[derive(Debug)]
struct Held {
    event: String,
    // Of two, the one that came later has the higher.
    number: u64,
    provenance: Provenance,
}

/// Whence an event is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Provenance {
    /// Whether its sender stood for the device it came from: only such is passed on.
    pub(crate) is_sure: bool,
    /// That device, where its signature inside was checked.
    pub(crate) author: Option<Keys>,
}

impl Held {
    fn cost(&self, slot: &Slot) -> usize {
        let author = self.provenance.author.as_ref();
        let author = author.map_or(0, |(curve25519, ed25519)| curve25519.len() + ed25519.len());
        slot.0.len() + slot.1.len() + self.event.len() + author
    }
}

#[derive(Debug, Default)]
struct Room {
    slots: Map<Slot, Held>,
    bytes: usize,
}

impl Room {
    /// What that freed, in bytes.
    fn remove(&mut self, slot: &Slot) -> Option<usize> {
        let cost = self.slots.remove(slot)?.cost(slot);
        self.bytes -= cost;
        Some(cost)
    }

    fn next_out(&self, but: Option<&Slot>) -> Option<Slot> {
        let others = self.slots.iter().filter(|(slot, _)| Some(*slot) != but);
        let first = others.min_by_key(|(slot, held)| (rank(slot), held.number));
        first.map(|(slot, _)| slot.clone())
    }
}

/// A room's own name and topic, what else it has one of, and the rest.
fn rank((event_type, state_key): &Slot) -> (bool, bool) {
    let is_own = DEFAULT_TYPES.contains(&event_type.as_str());
    (is_own && state_key.is_empty(), state_key.is_empty())
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    rooms: Map<String, Room>,
    bytes: usize,
    next: u64,
}

impl Memory {
    /// The room's event in a slot.
    pub(crate) fn get(&self, room_id: &str, slot: &Slot) -> Option<&str> {
        Some(&self.rooms.get(room_id)?.slots.get(slot)?.event)
    }

    /// The room's event of a type that has one only.
    pub(crate) fn single(&self, room_id: &str, event_type: &str) -> Option<&str> {
        let slots = &self.rooms.get(room_id)?.slots;
        let held = slots
            .find(|(known, key)| known.as_str().cmp(event_type).then_with(|| key.as_str().cmp("")));
        held.map(|held| held.event.as_str())
    }

    /// The same, where it may be passed on.
    pub(crate) fn single_sure(&self, room_id: &str, event_type: &str) -> Option<&str> {
        let slot = (event_type.to_owned(), String::new());
        self.is_sure(room_id, &slot).then(|| self.single(room_id, event_type))?
    }

    /// Whether the event in a slot may be passed on.
    pub(crate) fn is_sure(&self, room_id: &str, slot: &Slot) -> bool {
        self.provenance(room_id, slot).is_some_and(|provenance| provenance.is_sure)
    }

    /// Whence the event in a slot is.
    pub(crate) fn provenance(&self, room_id: &str, slot: &Slot) -> Option<&Provenance> {
        let held = self.rooms.get(room_id)?.slots.get(slot)?;
        Some(&held.provenance)
    }

    /// All of a room, by type and state key.
    pub(crate) fn room(&self, room_id: &str) -> impl Iterator<Item = (&Slot, &str)> {
        let slots = self.rooms.get(room_id).into_iter().flat_map(|room| room.slots.iter());
        slots.map(|(slot, held)| (slot, held.event.as_str()))
    }

    /// Keeps an event, and nothing in its slot where it is too long. Gives the rooms that lost one.
    pub(crate) fn insert(
        &mut self,
        room_id: &str,
        slot: Slot,
        (event, provenance): (String, Provenance),
    ) -> Vec<String> {
        self.remove(room_id, &slot);
        let held = Held { event, number: self.next + 1, provenance };
        let cost = held.cost(&slot);
        if cost > MAX_EVENT_BYTES {
            return Vec::new();
        }
        self.next = held.number;
        let room = self.rooms.or_default(room_id.to_owned());
        room.slots.insert(slot.clone(), held);
        room.bytes += cost;
        self.bytes += cost;
        while let Some(room) = self.rooms.get_mut(room_id)
            && room.bytes > MAX_ROOM_BYTES
            && let Some(out) = room.next_out(Some(&slot))
            && let Some(freed) = room.remove(&out)
        {
            self.bytes -= freed;
        }
        let mut lost = Vec::new();
        while self.bytes > MAX_BYTES
            && let Some((largest, room)) = self.rooms.iter().max_by_key(|(_, room)| room.bytes)
            && let Some(out) = room.next_out(None)
        {
            let largest = largest.clone();
            self.remove(&largest, &out);
            lost.push(largest);
        }
        lost
    }

    /// Forgets what is in a slot; true when there was something.
    pub(crate) fn remove(&mut self, room_id: &str, slot: &Slot) -> bool {
        let Some(room) = self.rooms.get_mut(room_id) else { return false };
        let Some(freed) = room.remove(slot) else { return false };
        self.bytes -= freed;
        if room.slots.is_empty() {
            self.rooms.remove(room_id);
        }
        true
    }

    pub(crate) fn forget_room(&mut self, room_id: &str) {
        if let Some(room) = self.rooms.remove(room_id) {
            self.bytes -= room.bytes;
        }
    }

    /// A room's stored form, to be sealed: events, oldest first; `"sure": true` before all else in
    /// those that may be passed on, and beside its author where that is known.
    pub(crate) fn stored_room(&self, room_id: &str) -> String {
        let mut held: Vec<&Held> =
            self.rooms.get(room_id).into_iter().flat_map(|room| room.slots.values()).collect();
        held.sort_by_key(|held| held.number);
        let mut all = String::from("[");
        for held in held {
            if all.len() > 1 {
                all.push(',');
            }
            let Provenance { is_sure, author } = &held.provenance;
            if let Some((curve25519, ed25519)) = author {
                let keys = format!("[{},{}]", quoted(curve25519), quoted(ed25519));
                all.push_str(&format!(r#"{AUTHOR}{keys},"event":"#));
            }
            match held.event.strip_prefix('{').filter(|_| *is_sure) {
                Some(members) => {
                    all.push_str(SURE);
                    all.push_str(members);
                }
                None => all.push_str(&held.event),
            }
            if author.is_some() {
                all.push('}');
            }
        }
        all.push(']');
        all
    }
}

/// How what may be passed on begins in the store.
const SURE: &str = r#"{"sure":true,"#;

/// And how that whose author is known.
const AUTHOR: &str = r#"{"author":"#;

/// An event of the stored form, and whence it is.
pub(crate) fn restored(stored: &str) -> Option<(String, Provenance)> {
    let (event, author) = if stored.starts_with(AUTHOR) {
        let [curve25519, ed25519] = texts(get(stored, &["author"]).ok()??)?;
        (get(stored, &["event"]).ok()??, Some((curve25519, ed25519)))
    } else {
        (stored, None)
    };
    Some(match event.strip_prefix(SURE) {
        Some(members) => (format!("{{{members}"), Provenance { is_sure: true, author }),
        None => (event.to_owned(), Provenance { is_sure: false, author }),
    })
}

/// Type, state key and id of a remembered event.
pub(crate) fn named(event: &str) -> Option<(Slot, String)> {
    let text = |key: &str| get_str(event, &[key]).ok().flatten();
    Some(((text("type")?, text("state_key")?), text("event_id")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNSURE: Provenance = Provenance { is_sure: false, author: None };

    fn slot(event_type: &str, state_key: &str) -> Slot {
        (event_type.to_owned(), state_key.to_owned())
    }

    #[test]
    fn a_room_has_its_bound_and_its_name_gives_way_last() {
        let mut memory = Memory::default();
        memory.insert("!a", slot("m.room.name", ""), ("n".repeat(15_000), UNSURE));
        for number in 0..100 {
            let slot = slot("m.room.name", &format!("key{number:02}"));
            memory.insert("!a", slot, ("x".repeat(15_000), UNSURE));
        }
        assert!(memory.bytes <= MAX_ROOM_BYTES);
        assert!(memory.single("!a", "m.room.name").is_some());
        assert!(memory.get("!a", &slot("m.room.name", "key00")).is_none());
        assert!(memory.get("!a", &slot("m.room.name", "key99")).is_some());
    }

    #[test]
    fn further_types_do_not_push_out_the_name() {
        let mut memory = Memory::default();
        memory.insert("!a", slot("m.room.name", ""), ("n".repeat(15_000), UNSURE));
        for number in 0..20 {
            memory.insert(
                "!a",
                slot(&format!("org.example.{number}"), ""),
                ("x".repeat(15_000), UNSURE),
            );
        }
        assert!(memory.single("!a", "m.room.name").is_some());
        assert!(memory.single("!a", "org.example.19").is_some());
    }

    #[test]
    fn where_all_is_full_the_largest_room_gives_way() {
        let mut memory = Memory::default();
        memory.insert("!small", slot("m.room.name", ""), ("n".repeat(100), UNSURE));
        for room in 0..100 {
            for number in 0..8 {
                let slot = slot("m.room.name", &format!("{number}"));
                memory.insert(&format!("!{room}"), slot, ("x".repeat(15_000), UNSURE));
            }
        }
        assert!(memory.bytes <= MAX_BYTES);
        assert!(memory.single("!small", "m.room.name").is_some());
        assert!((0..100).all(|room| memory.room(&format!("!{room}")).count() >= 4));
        for room in 0..100 {
            memory.forget_room(&format!("!{room}"));
        }
        memory.remove("!small", &slot("m.room.name", ""));
        assert_eq!(memory.bytes, 0);
    }

    #[test]
    fn what_is_too_long_is_not_remembered_and_what_was_there_is_over() {
        let mut memory = Memory::default();
        memory.insert("!a", slot("m.room.name", ""), ("old".to_owned(), UNSURE));
        memory.insert("!a", slot("m.room.name", ""), ("x".repeat(MAX_EVENT_BYTES), UNSURE));
        assert_eq!(memory.get("!a", &slot("m.room.name", "")), None);
    }

    #[test]
    fn what_may_be_passed_on_is_so_after_a_reload_and_its_author_is_known() {
        let author = Some(("curve\"],}".to_owned(), "ed".to_owned()));
        let all = [("a", true, None), ("b", false, None), ("c", true, author.clone())];
        let all: Vec<_> = all.into_iter().chain([("d", false, author)]).collect();
        let mut memory = Memory::default();
        for (name, is_sure, author) in &all {
            let event = format!(r#"{{"type":"t","state_key":"{name}","event_id":"${name}"}}"#);
            let provenance = Provenance { is_sure: *is_sure, author: author.clone() };
            memory.insert("!a", slot("t", name), (event, provenance));
        }
        let stored = memory.stored_room("!a");
        let events = mantle_wire::json::elements(&stored).unwrap();
        assert_eq!(events.len(), all.len());
        for (event, (name, is_sure, author)) in events.iter().zip(all) {
            let (event, provenance) = restored(event).unwrap();
            assert_eq!(provenance, Provenance { is_sure, author });
            assert_eq!(Some(event.as_str()), memory.get("!a", &slot("t", name)));
            assert_eq!(named(&event).unwrap().1, format!("${name}"));
        }
        memory.insert("!a", slot("t", "a"), ("{}".to_owned(), UNSURE));
        assert!(!memory.is_sure("!a", &slot("t", "a")));
        assert_eq!(restored(r#"{"author":["one"],"event":{}}"#), None);
        assert_eq!(restored(r#"{"author":["one","two"]}"#), None);
    }

    #[test]
    fn an_author_takes_its_place_too() {
        let mut memory = Memory::default();
        for number in 0..100 {
            let author = Some(("c".repeat(4_000), "e".to_owned()));
            let provenance = Provenance { is_sure: true, author };
            let slot = slot("t", &format!("{number}"));
            memory.insert("!a", slot, ("{}".to_owned(), provenance));
        }
        assert!(memory.bytes <= MAX_ROOM_BYTES);
        assert!(memory.stored_room("!a").len() <= MAX_ROOM_BYTES + 4_096);
        memory.forget_room("!a");
        assert_eq!(memory.bytes, 0);
    }
}
