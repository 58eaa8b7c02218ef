//! A homeserver: honest by itself, and able to lie to one user at a time.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

pub const ENCRYPTED: &str = "m.room.encrypted";

#[derive(Clone, Debug)]
pub struct Room {
    pub version: &'static str,
    /// Everything sent, oldest first.
    pub events: Vec<Value>,
    /// Places of the current state.
    pub state: BTreeMap<(String, String), usize>,
}

#[derive(Clone, Debug)]
struct ToDevice {
    at: usize,
    event: Value,
}

/// What a user's next syncs bring besides or instead of the truth.
#[derive(Clone, Debug, Default)]
pub struct Lies {
    /// Room, list and event.
    pub injected: Vec<(String, &'static str, Value)>,
    /// Nothing new comes.
    pub is_late: bool,
    /// Encrypted state is dated so many milliseconds later (or earlier).
    pub redates: i64,
    /// Events that are not passed on.
    pub withheld: BTreeSet<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Server {
    pub rooms: BTreeMap<String, Room>,
    /// In the order they came: room and place.
    stream: Vec<(String, usize)>,
    /// Published devices, with the place in the stream of their last change.
    pub devices: BTreeMap<String, (BTreeMap<String, Value>, usize)>,
    inboxes: BTreeMap<(String, String), Vec<ToDevice>>,
    pub lies: BTreeMap<String, Lies>,
    ids: usize,
}

impl Server {
    fn id(&mut self) -> String {
        self.ids += 1;
        format!("$event{}:example.org", self.ids)
    }

    /// Puts an event into a room's history; its id.
    pub fn add(&mut self, room_id: &str, now: u64, mut event: Value) -> String {
        let id = self.id();
        event["event_id"] = json!(id);
        event["origin_server_ts"] = json!(now);
        let room = self.rooms.get_mut(room_id).unwrap();
        let at = room.events.len();
        if let Some(state_key) = event["state_key"].as_str() {
            let slot = (event["type"].as_str().unwrap().to_owned(), state_key.to_owned());
            if let Some(before) = room.state.insert(slot, at) {
                let before = &room.events[before];
                let unsigned = json!({"prev_content": before["content"],
                    "prev_sender": before["sender"], "replaces_state": before["event_id"]});
                event["unsigned"] = unsigned;
            }
        }
        room.events.push(event);
        self.stream.push((room_id.to_owned(), at));
        id
    }

    pub fn membership(&self, room_id: &str, user: &str) -> String {
        let content = self.state(room_id, "m.room.member", user);
        content.map_or_else(String::new, |event| {
            event["content"]["membership"].as_str().unwrap_or_default().to_owned()
        })
    }

    /// How often a user came or went.
    pub fn moves(&self, room_id: &str, user: &str) -> usize {
        let events = self.rooms.get(room_id).map_or(&[][..], |room| &room.events);
        events
            .iter()
            .filter(|event| event["type"] == "m.room.member" && event["state_key"] == user)
            .count()
    }

    pub fn state(&self, room_id: &str, event_type: &str, state_key: &str) -> Option<&Value> {
        let room = self.rooms.get(room_id)?;
        let at = room.state.get(&(event_type.to_owned(), state_key.to_owned()))?;
        room.events.get(*at)
    }

    pub fn may_send(&self, room_id: &str, user: &str, event_type: &str) -> bool {
        let Some(levels) = self.state(room_id, "m.room.power_levels", "") else { return false };
        let content = &levels["content"];
        let has = content["users"][user].as_i64().unwrap_or(0);
        let needed = content["events"][event_type].as_i64().unwrap_or(50);
        self.membership(room_id, user) == "join" && has >= needed
    }

    /// `PUT …/state/…`; the new event's id, none where it is forbidden.
    pub fn put_state(
        &mut self,
        room_id: &str,
        now: u64,
        user: &str,
        (event_type, state_key): (&str, &str),
        content: &Value,
    ) -> Option<String> {
        if !self.may_send(room_id, user, event_type) {
            return None;
        }
        let event = json!({"type": event_type, "state_key": state_key, "sender": user,
            "content": content});
        Some(self.add(room_id, now, event))
    }

    /// Redacts an event for everyone.
    pub fn redact(&mut self, room_id: &str, now: u64, user: &str, event_id: &str) {
        let mut event = json!({"type": "m.room.redaction", "sender": user, "content": {}});
        match self.rooms[room_id].version {
            "11" | "12" => event["content"]["redacts"] = json!(event_id),
            _ => event["redacts"] = json!(event_id),
        }
        self.add(room_id, now, event);
        let room = self.rooms.get_mut(room_id).unwrap();
        let because = room.events.last().unwrap().clone();
        for event in &mut room.events {
            if event["event_id"] == event_id {
                event["content"] = json!({});
                event["unsigned"] = json!({"redacted_because": because});
            }
            if event["unsigned"]["replaces_state"] == event_id {
                event["unsigned"]["prev_content"] = json!({});
            }
        }
    }

    pub fn publish_device(&mut self, user: &str, device_id: &str, keys: Option<Value>) {
        let at = self.stream.len() + 1;
        // A place of its own, so that syncs notice it.
        self.stream.push((String::new(), 0));
        let (devices, changed) = self.devices.entry(user.to_owned()).or_default();
        match keys {
            Some(keys) => drop(devices.insert(device_id.to_owned(), keys)),
            None => drop(devices.remove(device_id)),
        }
        *changed = at;
    }

    pub fn send_to_device(&mut self, user: &str, device_id: &str, event: Value) {
        let at = self.stream.len() + 1;
        self.stream.push((String::new(), 0));
        let inbox = self.inboxes.entry((user.to_owned(), device_id.to_owned())).or_default();
        inbox.push(ToDevice { at, event });
    }

    /// What waits for a device.
    pub fn messages(&self, user: &str, device_id: &str) -> Vec<Value> {
        let inbox = self.inboxes.get(&(user.to_owned(), device_id.to_owned()));
        inbox.into_iter().flatten().map(|message| message.event.clone()).collect()
    }

    /// True when a sync would bring something.
    pub fn has_news(&self, user: &str, since: Option<usize>) -> bool {
        let lies = self.lies.get(user);
        let is_late = lies.is_some_and(|lies| lies.is_late);
        since.is_none_or(|since| !is_late && since < self.stream.len())
            || lies.is_some_and(|lies| !lies.injected.is_empty())
    }

    /// `GET /sync`; the answer.
    pub fn sync(&mut self, user: &str, device_id: &str, since: Option<usize>) -> Value {
        let mut lies = self.lies.get(user).cloned().unwrap_or_default();
        let all = self.stream.len();
        let end = since.filter(|_| lies.is_late).unwrap_or(all);
        let from = since.unwrap_or(0);
        let inbox = self.inboxes.entry((user.to_owned(), device_id.to_owned())).or_default();
        inbox.retain(|message| message.at > from);
        let to_device: Vec<Value> = inbox
            .iter()
            .filter(|message| message.at <= end)
            .map(|message| message.event.clone())
            .collect();
        let mut rooms = json!({"join": {}, "invite": {}, "leave": {}});
        for (room_id, room) in &self.rooms {
            let membership = self.membership(room_id, user);
            let mut fresh: Vec<usize> = self
                .stream
                .get(from..end)
                .unwrap_or_default()
                .iter()
                .filter(|(stream_room, _)| stream_room == room_id)
                .map(|(_, at)| *at)
                .collect();
            let is_own =
                |event: &Value| event["type"] == "m.room.member" && event["state_key"] == user;
            let is_new = since.is_none() || fresh.iter().any(|at| is_own(&room.events[*at]));
            match membership.as_str() {
                "join" => {}
                "invite" if is_new => {
                    let kinds = ["m.room.create", "m.room.encryption"];
                    let mut state: Vec<Value> = kinds
                        .iter()
                        .filter_map(|kind| self.state(room_id, kind, ""))
                        .map(stripped)
                        .collect();
                    state.extend(self.state(room_id, "m.room.member", user).map(stripped));
                    rooms["invite"][room_id] = json!({"invite_state": {"events": state}});
                    continue;
                }
                "leave" | "ban" if !is_new || since.is_none() => continue,
                "leave" | "ban" => {
                    fresh.retain(|at| room.events[*at]["state_key"] == *user);
                    let events = self.told(user, room, &fresh, &lies);
                    rooms["leave"][room_id] =
                        json!({"state": {"events": []}, "timeline": {"events": events}});
                    continue;
                }
                _ => continue,
            }
            let mut state = Vec::new();
            if is_new {
                let tail = room.events.len().saturating_sub(3);
                fresh = (tail..room.events.len()).collect();
                let current: Vec<usize> =
                    room.state.values().copied().filter(|at| *at < tail).collect();
                state = self.told(user, room, &current, &lies);
            }
            let mut timeline = self.told(user, room, &fresh, &lies);
            // Of a room it has never shown, whose flag nobody here can know, a homeserver may say
            // what it likes (docs/limits.md).
            let is_shown = self
                .stream
                .get(..end)
                .unwrap_or_default()
                .iter()
                .any(|(of, at)| of == room_id && is_own(&room.events[*at]));
            let is_lie = |(of, ..): &mut (String, &'static str, Value)| is_shown && of == room_id;
            for (_, list, event) in lies.injected.extract_if(.., is_lie) {
                match list {
                    "state" => state.push(event),
                    _ => timeline.push(event),
                }
            }
            if !state.is_empty() || !timeline.is_empty() {
                rooms["join"][room_id] =
                    json!({"state": {"events": state}, "timeline": {"events": timeline}});
            }
        }
        if let Some(kept) = self.lies.get_mut(user) {
            kept.injected.clear();
        }
        let changed: Vec<&String> = self
            .devices
            .iter()
            .filter(|(_, (_, at))| since.is_some() && *at > from && *at <= end)
            .map(|(other, _)| other)
            .filter(|other| {
                *other == user
                    || self.rooms.keys().any(|room| {
                        self.membership(room, user) == "join"
                            && matches!(self.membership(room, other).as_str(), "join" | "invite")
                    })
            })
            .collect();
        json!({"next_batch": format!("s{end}"), "to_device": {"events": to_device},
            "device_lists": {"changed": changed, "left": []}, "rooms": rooms})
    }

    fn told(&self, _user: &str, room: &Room, places: &[usize], lies: &Lies) -> Vec<Value> {
        places
            .iter()
            .map(|at| room.events[*at].clone())
            .filter(|event| !lies.withheld.contains(event["event_id"].as_str().unwrap()))
            .map(|mut event| {
                if event["type"] == ENCRYPTED {
                    let ts = event["origin_server_ts"].as_i64().unwrap();
                    event["origin_server_ts"] = json!(ts.saturating_add(lies.redates).max(0));
                }
                event
            })
            .collect()
    }

    /// All state of now, for a client that asks for it.
    pub fn whole_state(&self, room_id: &str) -> Vec<Value> {
        let room = &self.rooms[room_id];
        room.state.values().map(|at| room.events[*at].clone()).collect()
    }

    /// The truth once more, for everyone: as after a limited sync.
    pub fn tell_again(&mut self) {
        self.lies.clear();
        let rooms: Vec<String> = self.rooms.keys().cloned().collect();
        for room_id in rooms {
            let places: Vec<usize> = {
                let room = &self.rooms[&room_id];
                let is_told = |at: &&usize| room.events[**at]["type"] == ENCRYPTED;
                room.state.values().filter(is_told).copied().collect()
            };
            self.stream.extend(places.into_iter().map(|at| (room_id.clone(), at)));
        }
    }
}

fn stripped(event: &Value) -> Value {
    let kept: Map<String, Value> = ["type", "state_key", "sender", "content"]
        .iter()
        .map(|key| ((*key).to_owned(), event[*key].clone()))
        .collect();
    Value::Object(kept)
}
