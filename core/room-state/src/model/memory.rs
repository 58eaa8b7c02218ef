//! The clear current events, for when a server hides them: bounded in bytes, for each room and for
//! all. Where there is no room, the oldest of the largest room gives way, and a room's own name and
//! topic last of all.

use mantle_wire::json::{get, get_str, quoted};

use crate::ids::{InRoom, RoomId, TypeAndKey};
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
    fn cost(&self, slot: TypeAndKey<'_>) -> usize {
        let author = self.provenance.author.as_ref();
        let author = author.map_or(0, |(curve25519, ed25519)| curve25519.len() + ed25519.len());
        slot.event_type.len() + slot.state_key.len() + self.event.len() + author
    }
}

#[derive(Debug, Default)]
struct Room {
    slots: Map<InRoom, Held>,
    bytes: usize,
}

impl Room {
    /// What that freed, in bytes.
    fn remove(&mut self, slot: &InRoom) -> Option<usize> {
        let cost = self.slots.remove(slot)?.cost(slot.as_ref());
        self.bytes -= cost;
        Some(cost)
    }

    fn next_out(&self, but: Option<&InRoom>) -> Option<InRoom> {
        let others = self.slots.iter().filter(|(slot, _)| Some(*slot) != but);
        let first = others.min_by_key(|(slot, held)| (rank(slot.as_ref()), held.number));
        first.map(|(slot, _)| slot.clone())
    }
}

/// A room's own name and topic, what else it has one of, and the rest.
fn rank(TypeAndKey { event_type, state_key }: TypeAndKey<'_>) -> (bool, bool) {
    let is_own = DEFAULT_TYPES.contains(&event_type);
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
    pub(crate) fn get(&self, room: RoomId<'_>, slot: TypeAndKey<'_>) -> Option<&str> {
        Some(&self.held(room, slot)?.event)
    }

    #[inline(never)]
    fn held(&self, room: RoomId<'_>, slot: TypeAndKey<'_>) -> Option<&Held> {
        self.rooms.get(room.0)?.slots.find(|known| known.as_ref().cmp(&slot))
    }

    /// The same, where it may be passed on.
    pub(crate) fn sure(&self, room: RoomId<'_>, slot: TypeAndKey<'_>) -> Option<&str> {
        self.held(room, slot).filter(|held| held.provenance.is_sure).map(|held| &*held.event)
    }

    /// Whence the event in a slot is.
    pub(crate) fn provenance(&self, room: RoomId<'_>, slot: TypeAndKey<'_>) -> Option<&Provenance> {
        Some(&self.held(room, slot)?.provenance)
    }

    /// All of a room, by type and state key; and whether it may be passed on.
    pub(crate) fn room(&self, room_id: &str) -> impl Iterator<Item = (TypeAndKey<'_>, &str, bool)> {
        let slots = self.rooms.get(room_id).into_iter().flat_map(|room| room.slots.iter());
        slots.map(|(slot, held)| (slot.as_ref(), held.event.as_str(), held.provenance.is_sure))
    }

    /// Keeps an event, and nothing in its slot where it is too long. Gives the rooms that lost one.
    pub(crate) fn insert(
        &mut self,
        room: RoomId<'_>,
        slot: InRoom,
        (event, provenance): (String, Provenance),
    ) -> Vec<String> {
        self.remove(room, &slot);
        let room_id = room.0;
        let held = Held { event, number: self.next + 1, provenance };
        let cost = held.cost(slot.as_ref());
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
            self.remove(RoomId(&largest), &out);
            lost.push(largest);
        }
        lost
    }

    /// Forgets what is in a slot; true when there was something.
    pub(crate) fn remove(&mut self, room: RoomId<'_>, slot: &InRoom) -> bool {
        let Some(held) = self.rooms.get_mut(room.0) else { return false };
        let Some(freed) = held.remove(slot) else { return false };
        self.bytes -= freed;
        if held.slots.is_empty() {
            self.rooms.remove(room.0);
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
pub(crate) fn named(event: &str) -> Option<(InRoom, String)> {
    let text = |key: &str| get_str(event, &[key]).ok().flatten();
    let slot = InRoom { event_type: text("type")?, state_key: text("state_key")? };
    Some((slot, text("event_id")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNSURE: Provenance = Provenance { is_sure: false, author: None };

    const ROOM: RoomId<'_> = RoomId("!a");
    const NAME: TypeAndKey<'_> = TypeAndKey::single("m.room.name");

    fn slot(event_type: &str, state_key: &str) -> InRoom {
        TypeAndKey { event_type, state_key }.into()
    }

    #[test]
    fn a_room_has_its_bound_and_its_name_gives_way_last() {
        let mut memory = Memory::default();
        memory.insert(ROOM, slot("m.room.name", ""), ("n".repeat(15_000), UNSURE));
        for number in 0..100 {
            let slot = slot("m.room.name", &format!("key{number:02}"));
            memory.insert(ROOM, slot, ("x".repeat(15_000), UNSURE));
        }
        assert!(memory.bytes <= MAX_ROOM_BYTES);
        assert!(memory.get(ROOM, NAME).is_some());
        assert!(memory.get(ROOM, slot("m.room.name", "key00").as_ref()).is_none());
        assert!(memory.get(ROOM, slot("m.room.name", "key99").as_ref()).is_some());
    }

    #[test]
    fn further_types_do_not_push_out_the_name() {
        let mut memory = Memory::default();
        memory.insert(ROOM, slot("m.room.name", ""), ("n".repeat(15_000), UNSURE));
        for number in 0..20 {
            memory.insert(
                ROOM,
                slot(&format!("org.example.{number}"), ""),
                ("x".repeat(15_000), UNSURE),
            );
        }
        assert!(memory.get(ROOM, NAME).is_some());
        assert!(memory.get(ROOM, TypeAndKey::single("org.example.19")).is_some());
    }

    #[test]
    fn where_all_is_full_the_largest_room_gives_way() {
        let mut memory = Memory::default();
        memory.insert(RoomId("!small"), slot("m.room.name", ""), ("n".repeat(100), UNSURE));
        for room in 0..100 {
            for number in 0..8 {
                let slot = slot("m.room.name", &format!("{number}"));
                memory.insert(RoomId(&format!("!{room}")), slot, ("x".repeat(15_000), UNSURE));
            }
        }
        assert!(memory.bytes <= MAX_BYTES);
        assert!(memory.get(RoomId("!small"), NAME).is_some());
        assert!((0..100).all(|room| memory.room(&format!("!{room}")).count() >= 4));
        for room in 0..100 {
            memory.forget_room(&format!("!{room}"));
        }
        memory.remove(RoomId("!small"), &slot("m.room.name", ""));
        assert_eq!(memory.bytes, 0);
    }

    #[test]
    fn what_is_too_long_is_not_remembered_and_what_was_there_is_over() {
        let mut memory = Memory::default();
        memory.insert(ROOM, slot("m.room.name", ""), ("old".to_owned(), UNSURE));
        memory.insert(ROOM, slot("m.room.name", ""), ("x".repeat(MAX_EVENT_BYTES), UNSURE));
        assert_eq!(memory.get(ROOM, NAME), None);
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
            memory.insert(ROOM, slot("t", name), (event, provenance));
        }
        let stored = memory.stored_room("!a");
        let events = mantle_wire::json::elements(&stored).unwrap();
        assert_eq!(events.len(), all.len());
        for (event, (name, is_sure, author)) in events.iter().zip(all) {
            let (event, provenance) = restored(event).unwrap();
            assert_eq!(provenance, Provenance { is_sure, author });
            assert_eq!(Some(event.as_str()), memory.get(ROOM, slot("t", name).as_ref()));
            assert_eq!(named(&event).unwrap().1, format!("${name}"));
        }
        memory.insert(ROOM, slot("t", "a"), ("{}".to_owned(), UNSURE));
        assert_eq!(memory.sure(ROOM, slot("t", "a").as_ref()), None);
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
            memory.insert(ROOM, slot, ("{}".to_owned(), provenance));
        }
        assert!(memory.bytes <= MAX_ROOM_BYTES);
        assert!(memory.stored_room("!a").len() <= MAX_ROOM_BYTES + 4_096);
        memory.forget_room("!a");
        assert_eq!(memory.bytes, 0);
    }
}
