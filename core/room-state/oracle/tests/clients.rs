//! Mantle among unmodified clients, in random runs by a seed: some people have Mantle over
//! matrix-sdk-crypto, as in Element, others have matrix-sdk-crypto alone, which encrypts and reads
//! state by itself. Names and topics are set, keys come late, sessions are used up and thrown away,
//! devices come, and strangers say that keys are withheld.
//!
//! Nothing protected leaves in clear; no (session, index) is used for two ciphertexts; and after quiet
//! everybody who was given the key of what is so now, or is to be given it by a Mantle, sees the same.
//!
//! `CLIENTS_SEED=N` repeats one run, `CLIENTS_SECONDS=S` goes through new ones for so long.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use mantle_room_state::{
    Before, EventId as StateEventId, Needs, OpenStep, Plan, Request, RoomId as StateRoomId,
    SessionId, StateEngine, TypeAndKey,
};
use matrix_sdk_crypto::olm::ExportedRoomKey;
use matrix_sdk_crypto::types::events::room::encrypted::EncryptedEvent;
use matrix_sdk_crypto::types::requests::AnyOutgoingRequest;
use matrix_sdk_crypto::{
    CollectStrategy, DecryptionSettings, EncryptionSettings, EncryptionSyncChanges, OlmMachine,
    TrustRequirement,
};
use ruma::api::client::keys::claim_keys::v3::{Request as Claim, Response as Claimed};
use ruma::api::client::keys::get_keys::v3::Response as Queried;
use ruma::api::client::keys::upload_keys::v3::Response as Uploaded;
use ruma::api::client::sync::sync_events::DeviceLists;
use ruma::api::client::to_device::send_event_to_device::v3::Response as Sent;
use ruma::serde::{Base64, Raw};
use ruma::{OneTimeKeyAlgorithm, OwnedDeviceId, OwnedUserId, RoomId, UInt};
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

const ROOM: &str = "!room:example.org";
const HS: &str = "https://hs.example.org/_matrix/client/v3";
const ENCRYPTED: &str = "m.room.encrypted";
const TYPES: [&str; 2] = ["m.room.name", "m.room.topic"];
/// Used up soon.
const MESSAGES_IN_SESSION: u64 = 4;

fn room() -> &'static RoomId {
    <&RoomId>::try_from(ROOM).unwrap()
}

fn user(id: &str) -> OwnedUserId {
    id.try_into().unwrap()
}

fn raw<T>(value: &Value) -> Raw<T> {
    Raw::from_json(to_raw_value(value).unwrap())
}

fn value<T>(raw: &Raw<T>) -> Value {
    serde_json::from_str(raw.json().get()).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, count: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % count
    }
}

type Device = (String, String);

#[derive(Default)]
struct Server {
    devices: BTreeMap<String, BTreeMap<String, Value>>,
    one_time: BTreeMap<Device, VecDeque<(String, Value)>>,
    /// Users whose devices changed, in order.
    changed: Vec<String>,
    inbox: BTreeMap<Device, Vec<Value>>,
    events: Vec<Value>,
    /// By session and index.
    used: BTreeMap<(String, u64), String>,
    broken: Vec<String>,
}

impl Server {
    fn upload(&mut self, device: &Device, keys: Option<Value>, one_time: Vec<(String, Value)>) {
        if let Some(keys) = keys {
            self.devices.entry(device.0.clone()).or_default().insert(device.1.clone(), keys);
            self.changed.push(device.0.clone());
        }
        self.one_time.entry(device.clone()).or_default().extend(one_time);
    }

    fn one_time_count(&self, device: &Device) -> BTreeMap<OneTimeKeyAlgorithm, UInt> {
        let count = self.one_time.get(device).map_or(0, VecDeque::len);
        [(OneTimeKeyAlgorithm::SignedCurve25519, UInt::try_from(count).unwrap())].into()
    }

    fn query(&self, users: impl Iterator<Item = OwnedUserId>) -> Queried {
        let mut response = Queried::new();
        for user in users {
            let devices = self.devices.get(user.as_str()).into_iter().flatten();
            let devices = devices.map(|(id, keys)| (OwnedDeviceId::from(id.as_str()), raw(keys)));
            response.device_keys.insert(user, devices.collect());
        }
        response
    }

    fn claim(&mut self, wanted: &Claim) -> Claimed {
        let mut found = BTreeMap::new();
        for (user, devices) in &wanted.one_time_keys {
            for device in devices.keys() {
                let of = (user.to_string(), device.to_string());
                let Some((id, key)) = self.one_time.get_mut(&of).and_then(VecDeque::pop_front)
                else {
                    continue;
                };
                let keys = BTreeMap::from([(id.as_str().try_into().unwrap(), raw(&key))]);
                let theirs: &mut BTreeMap<_, _> = found.entry(user.clone()).or_default();
                theirs.insert(device.clone(), keys);
            }
        }
        Claimed::new(found)
    }

    /// To a device, or all of a user.
    fn send(&mut self, from: &str, kind: &str, (to, device): (&str, &str), content: &Value) {
        if kind == "m.room_key" || content.get("session_key").is_some() {
            self.broken.push(format!("{from} sent a key in clear"));
        }
        let event = json!({"type": kind, "sender": from, "content": content});
        let ids: Vec<String> = match device {
            "*" => self.devices[to].keys().cloned().collect(),
            id => vec![id.to_owned()],
        };
        for id in ids {
            self.inbox.entry((to.to_owned(), id)).or_default().push(event.clone());
        }
    }

    fn put(&mut self, from: &str, kind: &str, state_key: &str, content: Value) {
        if TYPES.contains(&kind) {
            self.broken.push(format!("{from} sent {kind} in clear"));
        }
        if kind == ENCRYPTED {
            let ciphertext = text(&content["ciphertext"]);
            let used = (text(&content["session_id"]), index(&ciphertext));
            if let Some(before) = self.used.insert(used.clone(), ciphertext.clone())
                && before != ciphertext
            {
                self.broken.push(format!("{from} used {used:?} twice"));
            }
        }
        let number = self.events.len();
        self.events.push(json!({"type": kind, "state_key": state_key, "sender": from,
            "event_id": format!("$event{number}"), "room_id": ROOM,
            "origin_server_ts": 1_700_000_000_000_u64 + u64::try_from(number).unwrap() * 1_000,
            "content": content}));
    }

    /// The newest event of a slot among the first so many.
    fn current(&self, kind: &str, state_key: &str, until: usize) -> Option<&Value> {
        let mut events = self.events[..until].iter().rev();
        events.find(|event| event["type"] == kind && event["state_key"] == state_key)
    }
}

/// The message index in a Megolm message: version, then a varint with tag 8.
fn index(ciphertext: &str) -> u64 {
    let bytes: Base64 = Base64::parse(ciphertext).unwrap();
    let bytes = bytes.as_bytes();
    assert_eq!(bytes[..2], [3, 8]);
    let mut index = 0;
    for (place, byte) in bytes[2..].iter().enumerate() {
        index |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            break;
        }
    }
    index
}

/// What a page with Mantle holds besides its crypto.
struct Mantle {
    engine: StateEngine,
    store: Map<String, Value>,
    /// Of the running client, by type.
    shown: BTreeMap<String, Value>,
}

struct Client {
    device: Device,
    machine: OlmMachine,
    mantle: Option<Mantle>,
    /// Events and changes of devices it has seen.
    seen: (usize, usize),
    /// To-device messages do not reach it now.
    is_held: bool,
}

/// What was set, by which client, and who is to see it: all, or devices that an unmodified client knew.
#[derive(Clone)]
struct Told {
    content: Value,
    by: usize,
    known: Option<BTreeSet<String>>,
}

struct World {
    server: Server,
    clients: Vec<Client>,
    now: u64,
    /// What was set last, by type.
    truth: BTreeMap<String, Told>,
    log: Vec<String>,
    /// Mantles give nobody a key: to see that it is found.
    keeps_keys: bool,
}

const SETTINGS: DecryptionSettings =
    DecryptionSettings { sender_device_trust_requirement: TrustRequirement::Untrusted };

impl World {
    async fn new(chance: &mut Chance) -> Self {
        let mut world = Self {
            server: Server::default(),
            clients: Vec::new(),
            now: 1_700_000_000_000,
            truth: BTreeMap::new(),
            log: Vec::new(),
            keeps_keys: false,
        };
        let put = |world: &mut Self, kind: &str, content: Value| {
            world.server.put("@alice:example.org", kind, "", content);
        };
        put(&mut world, "m.room.create", json!({"room_version": "10"}));
        put(&mut world, "m.room.power_levels", json!({"users_default": 100}));
        put(&mut world, "m.room.history_visibility", json!({"history_visibility": "shared"}));
        put(
            &mut world,
            "m.room.encryption",
            json!({"algorithm": "m.megolm.v1.aes-sha2", "rotation_period_msgs": MESSAGES_IN_SESSION,
                "io.element.msc4362.encrypt_state_events": true}),
        );
        for (number, name) in ["@alice", "@bob", "@carol", "@dave"].iter().enumerate() {
            let user = format!("{name}:example.org");
            world.server.put(&user, "m.room.member", &user, json!({"membership": "join"}));
            // Two of each at the least.
            let has_mantle = if number < 2 { true } else { number == 3 && chance.below(2) == 0 };
            world.adds(&user, has_mantle).await;
        }
        for number in 0..world.clients.len() {
            world.syncs(number).await;
        }
        world
    }

    fn users(&self) -> Vec<OwnedUserId> {
        let users: BTreeSet<&String> = self.clients.iter().map(|one| &one.device.0).collect();
        users.into_iter().map(|one| user(one)).collect()
    }

    /// A new device.
    async fn adds(&mut self, of: &str, has_mantle: bool) {
        let id = format!("DEVICE{}", self.clients.len());
        let machine = OlmMachine::new(&user(of), id.as_str().into()).await;
        let mantle = has_mantle.then(|| {
            let mut engine = StateEngine::new(&[7; 32], "{}").unwrap();
            let keys = machine.identity_keys();
            let own = json!({"userId": of, "deviceId": id, "curve25519": keys.curve25519.to_base64(),
                "ed25519": keys.ed25519.to_base64()});
            engine.set_own_device(&own.to_string()).unwrap();
            engine.set_run("run");
            engine.set_clock(self.now);
            Mantle { engine, store: Map::new(), shown: BTreeMap::new() }
        });
        let device = (of.to_owned(), id);
        self.clients.push(Client { device, machine, mantle, seen: (0, 0), is_held: false });
        let number = self.clients.len() - 1;
        self.pumps(number).await;
    }

    /// Sends what the crypto wants sent.
    async fn pumps(&mut self, number: usize) {
        let Self { server, clients, .. } = self;
        let Client { machine, device, .. } = &clients[number];
        loop {
            let requests = machine.outgoing_requests().await.unwrap();
            if requests.is_empty() {
                return;
            }
            for request in requests {
                let id = request.request_id();
                match request.request() {
                    AnyOutgoingRequest::KeysUpload(upload) => {
                        let keys = upload.device_keys.as_ref().map(value);
                        let one_time = upload.one_time_keys.iter();
                        let one_time = one_time.map(|(id, key)| (id.to_string(), value(key)));
                        server.upload(device, keys, one_time.collect());
                        let response = Uploaded::new(server.one_time_count(device));
                        machine.mark_request_as_sent(id, &response).await.unwrap();
                    }
                    AnyOutgoingRequest::KeysQuery(query) => {
                        let response = server.query(query.device_keys.keys().cloned());
                        machine.mark_request_as_sent(id, &response).await.unwrap();
                    }
                    AnyOutgoingRequest::KeysClaim(claim) => {
                        let response = server.claim(claim);
                        machine.mark_request_as_sent(id, &response).await.unwrap();
                    }
                    AnyOutgoingRequest::ToDeviceRequest(request) => {
                        let kind = request.event_type.to_string();
                        for (to, devices) in &request.messages {
                            for (device_id, content) in devices {
                                let to = (to.as_str(), &*device_id.to_string());
                                server.send(&device.0, &kind, to, &value(content));
                            }
                        }
                        machine.mark_request_as_sent(id, &Sent::new()).await.unwrap();
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// Olm sessions with all devices of the room.
    async fn claims(&mut self, number: usize) {
        let users = self.users();
        let machine = self.clients[number].machine.clone();
        machine.update_tracked_users(users.iter().map(|user| &**user)).await.unwrap();
        self.pumps(number).await;
        let missing = machine.get_missing_sessions(users.iter().map(|user| &**user)).await.unwrap();
        if let Some((id, claim)) = missing {
            let response = self.server.claim(&claim);
            machine.mark_request_as_sent(&id, &response).await.unwrap();
        }
    }

    async fn syncs(&mut self, number: usize) {
        let client = &mut self.clients[number];
        let (events_from, changes_from) = client.seen;
        let to_device = match client.is_held {
            true => Vec::new(),
            false => self.server.inbox.remove(&client.device).unwrap_or_default(),
        };
        let changed: BTreeSet<&String> = self.server.changed[changes_from..].iter().collect();
        let events = self.server.events[events_from..].to_vec();
        client.seen = (self.server.events.len(), self.server.changed.len());
        let since = if events_from == 0 { "" } else { "&since=a" };
        let list = if events_from == 0 { "state" } else { "timeline" };
        let answer = json!({"next_batch": "b", "to_device": {"events": to_device},
            "device_lists": {"changed": changed},
            "rooms": {"join": {ROOM: {list: {"events": events}}}}});
        let url = format!("{HS}/sync?timeout=0{since}");
        self.opens(number, &url, &answer).await;
        self.retries(number).await;
    }

    /// An answer, as it comes to the client itself.
    async fn takes_in(&mut self, number: usize, answer: &Value) {
        let Self { server, clients, .. } = self;
        let Client { machine, device, .. } = &clients[number];
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut lists = DeviceLists::new();
        let changed = list(&answer["device_lists"]["changed"]);
        lists.changed = changed.iter().map(|of| user(of.as_str().unwrap())).collect();
        let changes = EncryptionSyncChanges {
            to_device_events: list(&answer["to_device"]["events"]).iter().map(raw).collect(),
            changed_devices: &lists,
            one_time_keys_counts: &server.one_time_count(device),
            unused_fallback_keys: None,
            next_batch_token: None,
        };
        machine.receive_sync_changes(changes, &SETTINGS).await.unwrap();
        self.pumps(number).await;
        let of_room = &answer["rooms"]["join"][ROOM];
        for event in
            ["state", "timeline"].into_iter().flat_map(|name| list(&of_room[name]["events"]))
        {
            self.shows(number, &event);
        }
    }

    fn call<T>(&mut self, number: usize, call: impl FnOnce(&mut StateEngine) -> T) -> Option<T> {
        let now = self.now;
        let mantle = self.clients[number].mantle.as_mut()?;
        mantle.engine.set_clock(now);
        Some(call(&mut mantle.engine))
    }

    fn persists(&mut self, number: usize) {
        let Some(mantle) = &mut self.clients[number].mantle else { return };
        while let Some(batch) = mantle.engine.take_persist() {
            for entry in batch.entries {
                match entry.value {
                    Some(value) => drop(mantle.store.insert(entry.key, json!(value))),
                    None => drop(mantle.store.remove(&entry.key)),
                }
            }
            mantle.engine.written(batch.id, &[]);
        }
    }

    async fn opens(&mut self, number: usize, url: &str, answer: &Value) {
        let request = Request { method: "GET", url };
        let body = answer.to_string().into_bytes();
        let needs = self.call(number, |engine| engine.inspect(request, body)).flatten();
        let Some(mut needs) = needs else { return self.takes_in(number, answer).await };
        loop {
            let id = needs.answer;
            let mut wanted = Some(needs);
            let (opened, is_split) = loop {
                if let Some(needs) = wanted.take() {
                    self.supplies(number, &needs).await;
                }
                match self.call(number, |engine| engine.open(id, 20)).unwrap().unwrap() {
                    OpenStep::More => {}
                    OpenStep::Needs(more) => wanted = Some(more),
                    OpenStep::Split(first) => {
                        break (serde_json::from_slice(&first).unwrap(), true);
                    }
                    OpenStep::Done(None) => break (answer.clone(), false),
                    OpenStep::Done(Some(body)) => {
                        break (serde_json::from_slice(&body.to_bytes()).unwrap(), false);
                    }
                }
            };
            self.takes_in(number, &opened).await;
            if !is_split {
                break;
            }
            // The rest is kept for the next request, by when the client has the keys in the first.
            match self.call(number, |engine| engine.before(request)) {
                Some(Before::Held { answer, needs: more }) => {
                    needs = more;
                    needs.answer = answer;
                }
                other => panic!("{other:?}"),
            }
        }
        self.persists(number);
    }

    fn shows(&mut self, number: usize, event: &Value) {
        let kind = event["type"].as_str().unwrap_or_default();
        if let Some(mantle) = &mut self.clients[number].mantle
            && TYPES.contains(&kind)
        {
            mantle.shown.insert(kind.to_owned(), event["content"].clone());
        }
    }

    /// Devices as the page hands them on.
    async fn devices(&self, number: usize, users: &[String]) -> Value {
        let mut list = Vec::new();
        for of in users {
            let known =
                self.clients[number].machine.get_user_devices(&user(of), None).await.unwrap();
            let published = &self.server.devices[of];
            let devices: Vec<Value> = known
                .keys()
                .map(|id| {
                    let keys = &published[id.as_str()];
                    json!({"deviceId": id, "algorithms": keys["algorithms"], "keys": keys["keys"],
                        "signature": keys["signatures"][of][format!("ed25519:{id}")],
                        "curve25519": keys["keys"][format!("curve25519:{id}")],
                        "ed25519": keys["keys"][format!("ed25519:{id}")], "standing": "plain",
                        "crossSigned": false, "verified": false, "blocked": false})
                })
                .collect();
            list.push(json!({"userId": of, "devices": devices}));
        }
        json!(list)
    }

    async fn supplies(&mut self, number: usize, needs: &Needs) {
        let machine = self.clients[number].machine.clone();
        if !needs.rooms.is_empty() {
            let rules: Vec<Value> = self.server.events[..4].to_vec();
            self.call(number, |engine| {
                engine.add_room_state(StateRoomId(ROOM), &json!(rules).to_string())
            })
            .unwrap()
            .unwrap();
        }
        let is_wanted = |session: &str| needs.sessions.iter().any(|one| one.session_id == session);
        let keys =
            machine.store().export_room_keys(|key| is_wanted(key.session_id())).await.unwrap();
        let keys = serde_json::to_string(&keys).unwrap();
        self.call(number, |engine| engine.add_room_keys(&keys)).unwrap().unwrap();
        let mut users: Vec<String> = needs.owners.clone();
        if !needs.member_devices.is_empty() {
            users.extend(self.users().iter().map(ToString::to_string));
        }
        let devices = self.devices(number, &users).await.to_string();
        self.call(number, |engine| engine.add_devices(&devices)).unwrap().unwrap();
        if !needs.member_devices.is_empty() {
            self.call(number, |engine| engine.members_added(ROOM));
        }
    }

    async fn retries(&mut self, number: usize) {
        let Some(needs) = self.call(number, |engine| engine.retry_needs()) else { return };
        if let Some(needs) = needs {
            self.supplies(number, &needs).await;
        }
        loop {
            let step = self.call(number, |engine| engine.retried(20)).unwrap();
            for retried in step.events {
                let event: Value = serde_json::from_str(retried.event.get()).unwrap();
                let (id, kind) = (text(&event["event_id"]), text(&event["type"]));
                let is_current = self.call(number, |engine| {
                    let of = StateEventId { room_id: ROOM, id: &id };
                    engine.is_current(of, TypeAndKey::single(&kind))
                });
                if is_current.unwrap() {
                    self.shows(number, &event);
                }
            }
            if !step.more {
                break;
            }
        }
        self.persists(number);
    }

    /// A Mantle gives its key to whoever lacks it.
    async fn shares(&mut self, number: usize, (keeps, shares_only): (bool, bool)) {
        self.claims(number).await;
        let users: Vec<String> = self.users().iter().map(ToString::to_string).collect();
        let mut targets = self.devices(number, &users).await;
        let own = self.clients[number].device.1.clone();
        for one in targets.as_array_mut().unwrap() {
            one["devices"].as_array_mut().unwrap().retain(|device| device["deviceId"] != own);
        }
        let (now, encryption) = (self.now, self.server.events[3]["content"].clone());
        let view = self.call(number, |engine| {
            let room = StateRoomId(ROOM);
            engine.begin_targets(room).unwrap();
            engine.add_targets(room, &targets.to_string()).unwrap();
            let asked = json!({"roomId": ROOM, "now": now, "keeps": keeps, "sharesOnly": shares_only,
                "encryption": encryption, "historyVisibility": "shared"});
            engine.need_session(&asked.to_string()).unwrap()
        });
        let view = view.unwrap();
        self.persists(number);
        let machine = self.clients[number].machine.clone();
        let session = SessionId { room_id: ROOM, id: &view.session_id };
        if view.should_import {
            let keys: Vec<ExportedRoomKey> = serde_json::from_str(&view.import_json).unwrap();
            machine.store().import_exported_room_keys(keys, |_, _| {}).await.unwrap();
            self.call(number, |engine| engine.imported(session)).unwrap().unwrap();
        }
        let from = self.clients[number].device.0.clone();
        let content: Value = serde_json::from_str(view.room_key_content.get()).unwrap();
        assert!(view.later.is_empty() && !view.more);
        let mut reached = Vec::new();
        for to in &view.share_with {
            let (of, id) = (user(&to.user_id), OwnedDeviceId::from(to.device_id.as_str()));
            let device = machine.get_device(&of, &id, None).await.unwrap().unwrap();
            let strategy = CollectStrategy::default();
            let Ok(sealed) = device.encrypt_event_raw("m.room_key", &content, strategy).await
            else {
                // No one-time key is left: it is asked again the next time.
                continue;
            };
            if !self.keeps_keys {
                self.server.send(&from, ENCRYPTED, (&to.user_id, &to.device_id), &value(&sealed));
            }
            reached.push(json!({"userId": to.user_id, "deviceId": to.device_id}));
        }
        let reached = json!(reached).to_string();
        self.call(number, |engine| engine.shared(session, &reached)).unwrap().unwrap();
        self.persists(number);
    }

    async fn signs(&mut self, number: usize, kind: &str, content: &str) {
        let now = self.now;
        let to_sign = self.call(number, |engine| {
            engine.text_to_sign(StateRoomId(ROOM), TypeAndKey::single(kind), content, now)
        });
        let Some(to_sign) = to_sign.unwrap() else { return };
        let Client { machine, device, .. } = &self.clients[number];
        let signatures = serde_json::to_value(machine.sign(&to_sign).await.unwrap()).unwrap();
        let signature = text(&signatures[&device.0][format!("ed25519:{}", device.1)]);
        self.call(number, |engine| engine.add_signature(&signature));
    }

    fn begins_writing(&mut self, number: usize) {
        self.persists(number);
        let mantle = self.clients[number].mantle.as_mut().unwrap();
        let stored = Value::Object(mantle.store.clone()).to_string();
        mantle.engine.become_writer(&stored).unwrap();
    }

    fn sends(&mut self, number: usize, ticket: u32) {
        self.persists(number);
        let out = self.call(number, |engine| engine.take_encrypted(ticket)).unwrap().unwrap();
        let content: Value = serde_json::from_str(&out.body).unwrap();
        let key = out.path.rsplit('/').next().unwrap().replace("%3A", ":");
        let from = self.clients[number].device.0.clone();
        self.server.put(&from, ENCRYPTED, &key, content);
    }

    async fn sets(&mut self, number: usize, kind: &str, content: &Value) {
        let mut told = Told { content: content.clone(), by: number, known: None };
        if self.clients[number].mantle.is_none() {
            self.claims(number).await;
            let users = self.users();
            let Client { machine, device, .. } = &self.clients[number];
            let mut known = BTreeSet::from([device.1.clone()]);
            for user in &users {
                let devices = machine.get_user_devices(user, None).await.unwrap();
                known.extend(devices.keys().map(ToString::to_string));
            }
            // Who comes later gets its key from nobody.
            told.known = Some(known);
            self.truth.insert(kind.to_owned(), told);
            let settings = EncryptionSettings {
                encrypt_state_events: true,
                rotation_period_msgs: MESSAGES_IN_SESSION,
                ..Default::default()
            };
            let users = users.iter().map(|user| &**user);
            for request in machine.share_room_key(room(), users, settings).await.unwrap() {
                for (to, devices) in &request.messages {
                    for (id, content) in devices {
                        let to = (to.as_str(), &*id.to_string());
                        let kind = request.event_type.to_string();
                        self.server.send(&device.0, &kind, to, &value(content));
                    }
                }
                machine.mark_request_as_sent(&request.txn_id, &Sent::new()).await.unwrap();
            }
            let sealed =
                machine.encrypt_state_event_raw(room(), kind, "", &raw(content)).await.unwrap();
            let from = device.0.clone();
            self.server.put(&from, ENCRYPTED, &format!("{kind}:"), value(&sealed));
            return;
        }
        self.truth.insert(kind.to_owned(), told);
        let url = format!("{HS}/rooms/%21room%3Aexample.org/state/{kind}/");
        let body = content.to_string();
        let request = Request { method: "PUT", url: &url };
        let mut plan = self.call(number, |engine| engine.plan_put(request, body.as_bytes()));
        if let Some(Plan::NeedRoom { .. }) = plan {
            // It has not seen a sync yet: the homeserver is asked.
            let state = json!(self.server.events).to_string();
            self.call(number, |engine| {
                engine.add_room_state(StateRoomId(ROOM), &state).unwrap();
                plan = Some(engine.plan_put(request, body.as_bytes()));
            });
        }
        if !matches!(plan, Some(Plan::Encrypt { .. })) {
            self.server.broken.push(format!("client {number} would not encrypt {kind}"));
            return;
        }
        self.begins_writing(number);
        self.shares(number, (false, false)).await;
        self.signs(number, kind, &body).await;
        let ticket = self.call(number, |engine| {
            engine.encrypt(StateRoomId(ROOM), TypeAndKey::single(kind), &body)
        });
        match ticket.unwrap() {
            Ok(ticket) => self.sends(number, ticket),
            Err(error) => self.server.broken.push(format!("client {number}: {error}")),
        }
        self.call(number, StateEngine::stop_writing);
    }

    /// What a page with Mantle does from time to time.
    async fn tends(&mut self, number: usize) {
        if self.clients[number].mantle.is_none() {
            return;
        }
        self.begins_writing(number);
        let is_held = self.call(number, |engine| !engine.outbound_rooms().is_empty()).unwrap();
        if is_held {
            self.shares(number, (true, true)).await;
        }
        let members: Vec<String> = self.users().iter().map(ToString::to_string).collect();
        let asked = json!({"members": members, "now": self.now}).to_string();
        let again = self.call(number, |engine| engine.reencrypt(StateRoomId(ROOM), &asked));
        for again in again.unwrap().unwrap().events {
            self.shares(number, (true, false)).await;
            let key = format!("{}:", again.event_type);
            let there = self.server.current(ENCRYPTED, &key, self.server.events.len()).unwrap();
            if there["event_id"] != again.event_id {
                continue;
            }
            self.signs(number, &again.event_type, &again.content_json).await;
            let ticket = self.call(number, |engine| {
                let base = StateEventId { room_id: ROOM, id: &again.event_id };
                engine.encrypt_again(
                    base,
                    TypeAndKey::single(&again.event_type),
                    &again.content_json,
                )
            });
            self.sends(number, ticket.unwrap().unwrap());
        }
        self.call(number, StateEngine::stop_writing);
    }

    /// What a person sees in a slot.
    async fn sees(&self, number: usize, kind: &str) -> Option<Value> {
        let client = &self.clients[number];
        if let Some(mantle) = &client.mantle {
            return mantle.shown.get(kind).cloned();
        }
        let event = self.server.current(ENCRYPTED, &format!("{kind}:"), client.seen.0)?;
        let event: Raw<EncryptedEvent> = raw(event);
        let opened = client.machine.decrypt_room_event(&event, room(), &SETTINGS).await.ok()?;
        Some(value(&opened.event)["content"].clone())
    }

    async fn acts(&mut self, chance: &mut Chance, step: usize) {
        let number = chance.below(self.clients.len());
        let act = chance.below(16);
        self.log.push(format!("{step}: client {number}, act {act}"));
        match act {
            0..=2 => self.sets(number, TYPES[0], &json!({"name": format!("Secret {step}")})).await,
            3 => self.sets(number, TYPES[1], &json!({"topic": format!("Secret {step}")})).await,
            4..=8 => self.syncs(number).await,
            9 => self.clients[number].is_held = true,
            10 => self.clients[number].is_held = false,
            11 if self.clients.len() < 7 => {
                let of = self.clients[number].device.0.clone();
                let has_mantle = chance.below(2) == 0;
                self.adds(&of, has_mantle).await;
            }
            12 => {
                // Where Mantle is, Element's own session for messages alone.
                self.clients[number].machine.discard_room_key(room()).await.unwrap();
            }
            13 | 14 => self.tends(number).await,
            _ => self.withholds(number),
        }
        self.now += 1_000 * u64::try_from(1 + chance.below(40)).unwrap();
    }

    /// A stranger says that nobody is given the keys of what is so now.
    fn withholds(&mut self, number: usize) {
        let (to, id) = self.clients[number].device.clone();
        let all = self.server.events.len();
        for kind in TYPES {
            let current = self.server.current(ENCRYPTED, &format!("{kind}:"), all).cloned();
            let Some(event) = current else { continue };
            let of = &event["content"];
            let content = json!({"algorithm": "m.megolm.v1.aes-sha2", "room_id": ROOM,
                "session_id": of["session_id"], "sender_key": of["sender_key"],
                "code": "m.unauthorised", "reason": "You are not authorised to read it."});
            // Or whoever set it says so, and gives the key all the same.
            for from in ["@mallory:elsewhere", event["sender"].as_str().unwrap()] {
                self.server.send(from, "m.room_key.withheld", (&to, &id), &content);
            }
        }
    }

    /// Everything arrives, and all Mantles have had their turns.
    async fn rests(&mut self) {
        for client in &mut self.clients {
            client.is_held = false;
        }
        for _ in 0..5 {
            for number in 0..self.clients.len() {
                self.syncs(number).await;
                self.tends(number).await;
            }
            self.now += 61_000;
        }
        for number in 0..self.clients.len() {
            self.syncs(number).await;
        }
    }

    async fn is_the_same_to_all(&mut self) {
        for (kind, Told { content, by, known }) in self.truth.clone() {
            for number in 0..self.clients.len() {
                let device = &self.clients[number].device.1;
                if known.as_ref().is_some_and(|known| !known.contains(device)) {
                    continue;
                }
                let sees = self.sees(number, &kind).await;
                if sees.as_ref() != Some(&content) {
                    let kind_of =
                        if self.clients[number].mantle.is_some() { "Mantle" } else { "other" };
                    self.server.broken.push(format!(
                        "client {number} ({kind_of}) sees {sees:?} and not {content}, set by {by}"
                    ));
                }
            }
        }
    }
}

/// What was broken; none where every promise was kept.
async fn run(seed: u64, keeps_keys: bool) -> Option<String> {
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1));
    let mut world = World::new(&mut chance).await;
    world.keeps_keys = keeps_keys;
    for step in 0..40 {
        world.acts(&mut chance, step).await;
    }
    world.rests().await;
    world.is_the_same_to_all().await;
    assert!(!world.server.used.is_empty(), "nothing was encrypted");
    let broken = &world.server.broken;
    (!broken.is_empty()).then(|| {
        format!("seed {seed}: {}\n  after\n    {}", broken.join("\n  "), world.log.join("\n    "))
    })
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test]
async fn mantles_among_unmodified_clients_keep_every_promise() {
    if let Some(seed) = number("CLIENTS_SEED") {
        if let Some(failure) = run(seed, false).await {
            panic!("{failure}");
        }
        return;
    }
    let limit = number("CLIENTS_SECONDS").map(Duration::from_secs);
    let first = limit.map_or(0, |_| number("CLIENTS_FIRST").unwrap_or(1_000));
    let start = Instant::now();
    let mut failures = Vec::new();
    let mut tried = 0;
    for seed in first.. {
        let is_over = limit.map_or(tried >= 20, |limit| start.elapsed() >= limit);
        if is_over || failures.len() >= 3 {
            break;
        }
        tried += 1;
        failures.extend(run(seed, false).await);
    }
    println!("{tried} seeds in {:.1} s", start.elapsed().as_secs_f64());
    assert!(failures.is_empty(), "of {tried} seeds\n{}", failures.join("\n"));
}

#[tokio::test]
async fn a_mantle_that_gives_nobody_its_keys_is_found_out() {
    for seed in 0..10 {
        if run(seed, true).await.is_some_and(|broken| broken.contains("sees None")) {
            return;
        }
    }
    panic!("nobody missed a name");
}
