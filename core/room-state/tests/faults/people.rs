//! Devices with an engine each, and what a homeserver and a page know of them.

use mantle_room_state::{
    Needs, OpenStep, Request, RoomId, SessionId, SessionView, StateEngine, TypeAndKey,
};
use serde_json::{Map, Value, json};

pub use crate::device::device;

pub const HS: &str = "https://hs.example.org/_matrix/client/v3";
pub const ROOM: &str = "!room:example.org";
pub const NOW: u64 = 1_700_000_000_000;
pub const FLAG: &str = "io.element.msc4362.encrypt_state_events";
pub const ALICE: &str = "@alice:example.org";
pub const BOB: &str = "@bob:example.org";
pub const CAROL: &str = "@carol:example.org";

/// What the relay takes, in UTF-16 units (`extension/protocol/requests.ts`).
pub const MAX_VALUE_LENGTH: usize = 1_000_000;
pub const MAX_KEY_LENGTH: usize = 500;

/// A user's device with an engine and a store.
pub struct Client {
    pub engine: StateEngine,
    pub store: Map<String, Value>,
    pub user: String,
    pub device: Value,
    /// The browser's run, which its tabs share.
    pub run: u32,
}

impl Client {
    pub fn new(user: &str) -> Self {
        let mut client = Self {
            engine: StateEngine::new(&[7; 32], "{}").unwrap(),
            store: Map::new(),
            user: user.to_owned(),
            device: device(user, &format!("{}DEV", &user[1..2])),
            run: 1,
        };
        client.log_in();
        client
    }

    /// Another tab of the same device, over the same store as it is now.
    pub fn tab(&self) -> Self {
        let stored = Value::Object(self.store.clone()).to_string();
        let mut tab = Self {
            engine: StateEngine::new(&[7; 32], &stored).unwrap(),
            store: self.store.clone(),
            user: self.user.clone(),
            device: self.device.clone(),
            run: self.run,
        };
        tab.log_in();
        tab
    }

    /// The same profile after the browser's end, with the store as it is now.
    pub fn restarted(&self) -> Self {
        let mut tab = self.tab();
        tab.run += 1;
        let stored = Value::Object(tab.store.clone()).to_string();
        tab.engine = StateEngine::new(&[7; 32], &stored).unwrap();
        tab.log_in();
        tab
    }

    fn log_in(&mut self) {
        let mut own = self.device.clone();
        own["userId"] = json!(self.user);
        self.engine.set_own_device(&own.to_string()).unwrap();
        self.engine.set_run(&self.run.to_string());
        self.engine.become_writer(&Value::Object(self.store.clone()).to_string()).unwrap();
    }

    /// As the page does: a batch at a time until nothing is to be stored.
    pub fn persist(&mut self) {
        while let Some(batch) = self.engine.take_persist() {
            for entry in batch.entries {
                match entry.value {
                    Some(value) => drop(self.store.insert(entry.key, json!(value))),
                    None => drop(self.store.remove(&entry.key)),
                }
            }
            self.engine.persisted(batch.id);
        }
    }

    pub fn reload(&mut self) {
        self.persist();
        *self = self.tab();
    }

    pub fn devices(&self) -> Value {
        json!({"userId": self.user, "devices": [self.device]})
    }

    pub fn knows(&mut self, others: &[&Self]) {
        let list: Vec<Value> = others.iter().map(|other| other.devices()).collect();
        self.engine.add_devices(&json!(list).to_string()).unwrap();
    }

    pub fn session(&mut self, room: &str, others: &[&Self]) -> SessionView {
        let mut members = vec![json!(self.user)];
        let mut targets = vec![self.devices()];
        for other in others {
            members.push(json!(other.user));
            targets.push(other.devices());
        }
        self.session_for(room, &members, &targets)
    }

    pub fn session_for(&mut self, room: &str, members: &[Value], targets: &[Value]) -> SessionView {
        let json = json!({"roomId": room, "members": members, "targets": targets,
            "encryption": {"algorithm": "m.megolm.v1.aes-sha2"},
            "historyVisibility": "shared", "now": NOW});
        let session = self.engine.need_session(&json.to_string()).unwrap();
        let of = SessionId { room_id: room, id: &session.session_id };
        self.engine.imported(of).unwrap();
        let mut all = session.share_with.clone();
        let mut is_more = session.more;
        while is_more {
            let more = self.engine.more_shares(of).unwrap();
            all.extend(more.share_with);
            is_more = more.more;
        }
        self.engine.shared(of, &serde_json::to_string(&all).unwrap()).unwrap();
        session
    }

    /// The whole recipe; the wire event and the export every recipient has.
    pub fn send(
        &mut self,
        room: &str,
        others: &[&Self],
        event_type: &str,
        content: &Value,
    ) -> (Value, String) {
        let session = self.session(room, others);
        (self.encrypt(room, event_type, content), session.import_json)
    }

    /// The wire event, for who has the room's key of now.
    pub fn encrypt(&mut self, room: &str, event_type: &str, content: &Value) -> Value {
        self.encrypt_at(room, (event_type, ""), content)
    }

    /// The same under a state key.
    pub fn encrypt_at(
        &mut self,
        room: &str,
        (event_type, state_key): (&str, &str),
        content: &Value,
    ) -> Value {
        let text = content.to_string();
        let ticket =
            self.engine.encrypt(RoomId(room), TypeAndKey { event_type, state_key }, &text).unwrap();
        self.persist();
        let out = self.engine.take_encrypted(ticket).unwrap();
        let content: Value = serde_json::from_str(&out.body).unwrap();
        let session = content["session_id"].as_str().unwrap();
        let id = format!("${}-{}", &session[..8], message_index(&content));
        json!({"type": "m.room.encrypted", "state_key": format!("{event_type}:{state_key}"),
            "sender": self.user, "origin_server_ts": NOW, "event_id": id, "content": content})
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
        loop {
            match self.engine.open(needs.answer, 50).unwrap() {
                OpenStep::More | OpenStep::Needs(_) => {}
                OpenStep::Done(None) => return answer.clone(),
                OpenStep::Done(Some(body)) => {
                    return serde_json::from_slice(&body.to_bytes()).unwrap();
                }
                OpenStep::Split(_) => panic!("split"),
            }
        }
    }

    pub fn retried(&mut self) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let step = self.engine.retried(500);
            all.extend(
                step.events
                    .iter()
                    .map(|retried| serde_json::from_str::<Value>(retried.event.get()).unwrap()),
            );
            if !step.more {
                return all;
            }
        }
    }

    /// Whether the room's name is known while the server does not show it.
    pub fn knows_name(&mut self) -> bool {
        let url = format!("{HS}/rooms/{ROOM}/state/m.room.name");
        serde_json::to_string(&self.engine.before(Request { method: "GET", url: &url }))
            .unwrap()
            .contains("Secret")
    }

    pub fn codes(&mut self) -> Vec<&'static str> {
        self.engine.problems().into_iter().map(|problem| problem.code).collect()
    }
}

/// The index in the clear part of a Megolm message.
pub fn message_index(content: &Value) -> u32 {
    let ciphertext = content["ciphertext"].as_str().unwrap();
    vodozemac::megolm::MegolmMessage::from_base64(ciphertext).unwrap().message_index()
}

pub fn room_state() -> Vec<Value> {
    room_state_of("10")
}

pub fn room_state_of(version: &str) -> Vec<Value> {
    let everyone: Map<String, Value> =
        [ALICE, BOB, CAROL].iter().map(|user| ((*user).to_owned(), json!(100))).collect();
    let mut state = vec![
        json!({"type": "m.room.create", "state_key": "", "sender": ALICE,
            "content": {"room_version": version}, "event_id": "$create"}),
        json!({"type": "m.room.power_levels", "state_key": "", "sender": ALICE,
            "content": {"users": everyone}, "event_id": "$levels"}),
        json!({"type": "m.room.encryption", "state_key": "", "sender": ALICE,
            "content": {"algorithm": "m.megolm.v1.aes-sha2", FLAG: true}, "event_id": "$enc"}),
    ];
    state.extend([ALICE, BOB, CAROL].iter().map(|user| member(user, "join")));
    state
}

pub fn member(user: &str, membership: &str) -> Value {
    let mut event = json!({"type": "m.room.member", "state_key": user, "sender": user,
        "content": {"membership": membership}, "event_id": format!("${membership}-{}", &user[1..]),
        "origin_server_ts": NOW + 1});
    if membership == "leave" {
        event["unsigned"] = json!({"prev_content": {"membership": "join"}});
    }
    event
}

pub fn sync_of(room: &str, state: Vec<Value>, timeline: Vec<Value>) -> Value {
    json!({"next_batch": "s2", "rooms": {"join": {room: {
        "state": {"events": state}, "timeline": {"events": timeline}}}}})
}

pub fn sync(state: Vec<Value>, timeline: Vec<Value>) -> Value {
    sync_of(ROOM, state, timeline)
}

pub fn named(name: &str) -> Value {
    json!({ "name": name })
}

/// Alice, who has named the room "Secret", and Bob, who has opened it.
pub fn alice_and_bob(version: &str) -> (Client, Client, Value) {
    let mut alice = Client::new(ALICE);
    let mut bob = Client::new(BOB);
    let (event, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
    bob.knows(&[&alice]);
    bob.engine.add_room_keys(&keys).unwrap();
    let mut state = room_state_of(version);
    state.push(event.clone());
    for client in [&mut alice, &mut bob] {
        let shown = client.open("/sync?since=a", &sync(state.clone(), vec![]));
        assert!(shown.to_string().contains("Secret"));
        client.engine.sharing_due();
    }
    (alice, bob, event)
}
