//! One person's Mantle with a store, and what the server and the page know: for the tests.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    missing_docs,
    unreachable_pub,
    reason = "tests may panic, and none uses all of it"
)]

use mantle_room_state::{
    Needs, OpenStep, Request, RoomId, SessionId, SessionView, StateEngine, TypeAndKey,
};
use serde_json::{Map, Value, json};

mod device;

pub use device::device;

pub const HS: &str = "https://hs.example.org/_matrix/client/v3";
pub const ROOM: &str = "!room:example.org";
pub const NOW: u64 = 1_700_000_000_000;
pub const ALICE: &str = "@alice:example.org";
pub const BOB: &str = "@bob:example.org";
pub const FLAG: &str = "io.element.msc4362.encrypt_state_events";

/// A user's device with an engine, a store and what the server and the page know.
pub struct Client {
    pub engine: StateEngine,
    pub store: Map<String, Value>,
    pub user: String,
    pub device: Value,
    /// Names of entries that the store does not take begin with one of these.
    pub refuses: Vec<&'static str>,
}

impl Client {
    pub fn new(user: &str) -> Self {
        let mut client = Self {
            engine: StateEngine::new(&[7; 32], "{}").unwrap(),
            store: Map::new(),
            user: user.to_owned(),
            device: device(user, &format!("{}DEV", &user[1..2])),
            refuses: Vec::new(),
        };
        client.log_in();
        client
    }

    pub fn log_in(&mut self) {
        let mut own = self.device.clone();
        own["userId"] = json!(self.user);
        self.engine.set_own_device(&own.to_string()).unwrap();
        self.engine.set_run("run");
        self.engine.become_writer(&Value::Object(self.store.clone()).to_string()).unwrap();
    }

    /// As the page does it, with the bounds of its store: what it does not take costs that only.
    pub fn persist(&mut self) -> Vec<String> {
        let mut failed = Vec::new();
        while let Some(batch) = self.engine.take_persist() {
            let mut now = Vec::new();
            for entry in batch.entries {
                let is_long = |value: &String| value.encode_utf16().count() > 1_000_000;
                let is_refused = self.refuses.iter().any(|prefix| entry.key.starts_with(prefix))
                    || entry.key.encode_utf16().count() > 500
                    || entry.value.as_ref().is_some_and(is_long);
                match entry.value {
                    _ if is_refused => now.push(entry.key),
                    Some(value) => drop(self.store.insert(entry.key, json!(value))),
                    None => drop(self.store.remove(&entry.key)),
                }
            }
            self.engine.written(batch.id, &now);
            let is_over = !now.is_empty();
            failed.extend(now);
            if is_over {
                break;
            }
        }
        failed
    }

    pub fn reload(&mut self) {
        self.persist();
        let stored = Value::Object(self.store.clone()).to_string();
        self.engine = StateEngine::new(&[7; 32], &stored).unwrap();
        self.log_in();
    }

    pub fn devices(&self) -> Value {
        json!({"userId": self.user, "devices": [self.device]})
    }

    pub fn knows(&mut self, others: &[&Client]) {
        let list: Vec<Value> = others.iter().map(|other| other.devices()).collect();
        self.engine.add_devices(&json!(list).to_string()).unwrap();
    }

    pub fn session(&mut self, others: &[&Client]) -> SessionView {
        self.session_in(ROOM, others)
    }

    pub fn session_in(&mut self, room_id: &str, others: &[&Client]) -> SessionView {
        let mut members = vec![json!(self.user)];
        let mut targets = vec![self.devices()];
        for other in others {
            members.push(json!(other.user));
            targets.push(other.devices());
        }
        self.engine
            .need_session(
                &json!({"roomId": room_id, "members": members, "targets": targets,
                    "encryption": {"algorithm": "m.megolm.v1.aes-sha2"},
                    "historyVisibility": "shared", "now": NOW})
                .to_string(),
            )
            .unwrap()
    }

    /// The whole recipe; the wire event and the export every recipient has.
    pub fn send(
        &mut self,
        others: &[&Client],
        event_type: &str,
        content: &Value,
    ) -> (Value, String) {
        self.send_in(ROOM, others, (event_type, ""), content)
    }

    /// The same for any room and slot.
    pub fn send_in(
        &mut self,
        room_id: &str,
        others: &[&Client],
        (event_type, state_key): (&str, &str),
        content: &Value,
    ) -> (Value, String) {
        let session = self.session_in(room_id, others);
        self.persist();
        self.engine.imported(SessionId { room_id, id: &session.session_id }).unwrap();
        self.engine
            .shared(
                SessionId { room_id, id: &session.session_id },
                &serde_json::to_string(&session.share_with).unwrap(),
            )
            .unwrap();
        let ticket = self
            .engine
            .encrypt(RoomId(room_id), TypeAndKey { event_type, state_key }, &content.to_string())
            .unwrap();
        self.persist();
        let out = self.engine.take_encrypted(ticket).unwrap();
        if room_id == ROOM && state_key.is_empty() {
            assert_eq!(
                out.path,
                format!(
                    "/_matrix/client/v3/rooms/%21room%3Aexample.org/state/m.room.encrypted/{event_type}%3A"
                )
            );
        }
        let content: Value = serde_json::from_str(&out.body).unwrap();
        let event = json!({"type": "m.room.encrypted", "state_key": format!("{event_type}:{state_key}"),
            "sender": self.user, "origin_server_ts": NOW, "event_id": "$1", "content": content});
        (event, session.import_json)
    }

    pub fn inspect(&mut self, path: &str, answer: &Value) -> Option<Needs> {
        self.engine.inspect(
            Request { method: "GET", url: &format!("{HS}{path}") },
            answer.to_string().into_bytes(),
        )
    }

    /// Opens an answer with nothing supplied but what is known already.
    pub fn open(&mut self, path: &str, answer: &Value) -> Value {
        let Some(needs) = self.inspect(path, answer) else { return answer.clone() };
        self.finish(&needs).unwrap_or_else(|| answer.clone())
    }

    pub fn finish(&mut self, needs: &Needs) -> Option<Value> {
        loop {
            match self.engine.open(needs.answer, 2).unwrap() {
                OpenStep::More | OpenStep::Needs(_) => {}
                OpenStep::Done(body) => {
                    return body.map(|body| serde_json::from_slice(&body.to_bytes()).unwrap());
                }
                OpenStep::Split(_) => panic!("split"),
            }
        }
    }

    pub fn codes(&mut self) -> Vec<&'static str> {
        self.engine.problems().into_iter().map(|problem| problem.code).collect()
    }
}

pub fn room_state() -> Vec<Value> {
    vec![
        json!({"type": "m.room.create", "state_key": "", "sender": "@alice:example.org",
            "content": {"room_version": "10"}, "event_id": "$create"}),
        json!({"type": "m.room.power_levels", "state_key": "", "sender": "@alice:example.org",
            "content": {"users": {"@alice:example.org": 100}}, "event_id": "$levels"}),
        json!({"type": "m.room.encryption", "state_key": "", "sender": "@alice:example.org",
            "content": {"algorithm": "m.megolm.v1.aes-sha2", FLAG: true}, "event_id": "$enc"}),
        json!({"type": "m.room.member", "state_key": "@alice:example.org",
            "sender": "@alice:example.org", "content": {"membership": "join"}, "event_id": "$m"}),
    ]
}

pub fn sync(state: Vec<Value>, timeline: Vec<Value>) -> Value {
    json!({"next_batch": "s2", "rooms": {"join": {ROOM: {
        "state": {"events": state}, "timeline": {"events": timeline}}}}})
}

pub fn name() -> Value {
    json!({"name": "Secret"})
}

/// Alice, who has sent a name, and Bob, who has everything to read it.
pub fn alice_and_bob() -> (Client, Client, Value) {
    let mut alice = Client::new("@alice:example.org");
    let mut bob = Client::new("@bob:example.org");
    let (event, keys) = alice.send(&[&bob], "m.room.name", &name());
    bob.knows(&[&alice]);
    bob.engine.add_room_keys(&keys).unwrap();
    bob.engine.add_room_state(RoomId(ROOM), &json!(room_state()).to_string()).unwrap();
    (alice, bob, event)
}

pub fn joined(answer: &Value, list: &str) -> Vec<Value> {
    answer["rooms"]["join"][ROOM][list]["events"].as_array().unwrap().clone()
}

pub fn with_room(event: &Value) -> Value {
    let mut event = event.clone();
    event["room_id"] = json!(ROOM);
    event
}
