//! A page with Mantle: what `extension/page/room-state` does, over the façade that
//! `core/bindings/state` gives it. Every effect is a step of its own.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use mantle_room_state::{
    Before, EventId, Needs, OpenStep, Plan, Request, RoomId, SessionId, StateEngine, TypeAndKey,
    UserId, WriteRoute,
};
use serde_json::{Value, json};
use vodozemac::Ed25519SecretKey;

use crate::disk::Disk;
use crate::element::{Crypto, Element};
use crate::server::{ENCRYPTED, Server};
use crate::tasks::{Lock, Owner, Tasks};
use crate::truth::Truth;

pub const HS: &str = "https://hs.example.org/_matrix/client/v3";
const PICKLE_KEY: [u8; 32] = [7; 32];
const TEND_DELAY: u64 = 400;
const RETRY_DELAY_MS: u64 = 60;
const AGAIN_AFTER: u64 = 60_000;
const MOST_SESSIONS: usize = 3;
const IDLE: u64 = 4_000;

/// A login: its keys, its profile on disk, its crypto store.
pub struct Device {
    pub user: String,
    pub id: String,
    /// Curve25519 and Ed25519, as published.
    pub keys: Value,
    /// What it signs with.
    key: Ed25519SecretKey,
    pub disk: RefCell<Disk>,
    /// What a backup has of it.
    pub copy: RefCell<Option<BTreeMap<String, String>>>,
    /// How often the browser was started.
    pub run: Cell<u32>,
    pub crypto: RefCell<Crypto>,
    /// The Web Lock of the profile.
    lock: Rc<Lock>,
}

impl Device {
    pub fn new(user: &str, id: &str, keys: Value, key: Ed25519SecretKey) -> Self {
        Self {
            user: user.to_owned(),
            id: id.to_owned(),
            keys,
            key,
            disk: RefCell::default(),
            copy: RefCell::default(),
            run: Cell::default(),
            crypto: RefCell::default(),
            lock: Rc::default(),
        }
    }
}

/// What all pages share.
pub struct World {
    pub tasks: Rc<Tasks>,
    pub server: RefCell<Server>,
    pub truth: RefCell<Truth>,
    /// So many requests get lost on their way there, and so many answers on their way back.
    pub lost: Cell<(u32, u32)>,
    pub lost_at: Cell<Option<u64>>,
    /// Whether the crypto of these Elements signs.
    pub signs: bool,
    /// A mistake put into the page on purpose, to see that it is found.
    pub sabotage: Sabotage,
}

/// Mistakes of a page that the promises must find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sabotage {
    #[default]
    None,
    /// Sends before the index is on disk.
    SendsUnstored,
    /// Sends what it cannot encrypt as it is.
    SendsClear,
    /// Uses outbound sessions without the lock.
    NeedsNoLock,
    /// Shares no keys.
    KeepsKeys,
    /// Takes what the disk says for what is.
    BelievesTheDisk,
}

/// One tab.
pub struct Page {
    pub owner: Owner,
    pub device: Rc<Device>,
    world: Rc<World>,
    engine: RefCell<Option<StateEngine>>,
    pub element: RefCell<Element>,
    persisting: Rc<Lock>,
    since: Cell<Option<usize>>,
    due: RefCell<BTreeSet<String>>,
    later: RefCell<BTreeSet<String>>,
    is_tending: Cell<bool>,
    is_retry_scheduled: Cell<bool>,
    pub codes: RefCell<BTreeMap<&'static str, usize>>,
}

type Outcome<T = ()> = Result<T, String>;

fn said(error: impl ToString) -> String {
    error.to_string()
}

impl Page {
    pub fn open(world: &Rc<World>, device: &Rc<Device>, owner: Owner) -> Rc<Self> {
        let page = Rc::new(Self {
            owner,
            device: Rc::clone(device),
            world: Rc::clone(world),
            engine: RefCell::default(),
            element: RefCell::default(),
            persisting: Rc::default(),
            since: Cell::default(),
            due: RefCell::default(),
            later: RefCell::default(),
            is_tending: Cell::default(),
            is_retry_scheduled: Cell::default(),
            codes: RefCell::default(),
        });
        page.spawn(Self::syncs);
        page
    }

    pub fn who(&self) -> String {
        format!("{} {} (tab {})", self.device.user, self.device.id, self.owner)
    }

    fn spawn<F: Future<Output = ()> + 'static>(self: &Rc<Self>, task: impl FnOnce(Rc<Self>) -> F) {
        self.world.tasks.spawn(self.owner, task(Rc::clone(self)));
    }

    fn call<T>(&self, call: impl FnOnce(&mut StateEngine) -> T) -> T {
        let mut engine = self.engine.borrow_mut();
        let engine = engine.as_mut().unwrap();
        engine.set_clock(self.world.tasks.now());
        call(engine)
    }

    async fn breath(&self) {
        self.world.tasks.breath().await;
    }

    async fn started(&self) {
        if self.engine.borrow().is_some() {
            return;
        }
        self.breath().await;
        let stored = self.device.disk.borrow().load();
        self.breath().await;
        if self.engine.borrow().is_some() {
            return;
        }
        let mut engine = StateEngine::new(&PICKLE_KEY, &stored).unwrap();
        let mut own = self.device.keys.clone();
        own["userId"] = json!(self.device.user);
        engine.set_own_device(&own.to_string()).unwrap();
        let run = match self.world.sabotage {
            Sabotage::BelievesTheDisk => "always".to_owned(),
            _ => self.device.run.get().to_string(),
        };
        engine.set_run(&run);
        *self.engine.borrow_mut() = Some(engine);
    }

    // engine.ts

    async fn persist(&self) -> Outcome {
        let _guard = self.world.tasks.lock(&self.persisting).await;
        loop {
            let batch =
                self.call(|engine| if engine.is_dirty() { engine.take_persist() } else { None });
            let Some(batch) = batch else { return Ok(()) };
            for entry in &batch.entries {
                let slowness = self.device.disk.borrow().slowness;
                for _ in 0..=slowness {
                    self.breath().await;
                }
                let now = self.world.tasks.now();
                let value = entry.value.as_deref();
                let written = self.device.disk.borrow_mut().put(now, &entry.key, value);
                if let Err(error) = written {
                    self.call(|engine| engine.persist_failed(batch.id));
                    return Err(error.to_owned());
                }
            }
            self.breath().await;
            self.call(|engine| engine.persisted(batch.id));
        }
    }

    fn persist_soon(self: &Rc<Self>) {
        self.spawn(|page| async move {
            let _ = page.persist().await;
        });
    }

    async fn writing<T>(&self, task: impl AsyncFnOnce() -> Outcome<T>) -> Outcome<T> {
        self.started().await;
        let _guard = match self.world.sabotage {
            Sabotage::NeedsNoLock => None,
            _ => Some(self.world.tasks.lock(&self.device.lock).await),
        };
        self.persist().await?;
        self.breath().await;
        let stored = self.device.disk.borrow().load();
        self.breath().await;
        self.call(|engine| engine.become_writer(&stored)).map_err(said)?;
        let result = async {
            let result = task().await?;
            self.persist().await?;
            Ok(result)
        };
        let result = result.await;
        self.call(StateEngine::stop_writing);
        result
    }

    // The homeserver.

    /// A `PUT` of state; what the homeserver says.
    async fn put(&self, path: &str, body: &str) -> Outcome<String> {
        self.world.truth.borrow_mut().leaves(path, body);
        self.breath().await;
        let (there, back) = self.world.lost.get();
        if there > 0 {
            self.world.lost.set((there - 1, back));
            self.world.lost_at.set(Some(self.world.tasks.now()));
            return Err("the network is down".to_owned());
        }
        let segments: Vec<String> = path
            .split(['/', '?'])
            .map(|part| mantle_wire::url::percent_decoded(part).into_owned())
            .collect();
        let at = segments.iter().position(|part| part == "rooms").unwrap();
        let (room_id, event_type) = (&segments[at + 1], &segments[at + 3]);
        let state_key = segments.get(at + 4).cloned().unwrap_or_default();
        let content = serde_json::from_str(body).unwrap();
        let now = self.world.tasks.now();
        let slot = (event_type.as_str(), state_key.as_str());
        let sent = {
            let mut server = self.world.server.borrow_mut();
            server.put_state(room_id, now, &self.device.user, slot, &content)
        };
        self.breath().await;
        if back > 0 {
            self.world.lost.set((there, back - 1));
            self.world.lost_at.set(Some(self.world.tasks.now()));
            return Err("the network is down".to_owned());
        }
        sent.ok_or_else(|| "M_FORBIDDEN".to_owned())
    }

    async fn send_through_olm(&self, kind: &str, to: &[(String, String)], content: &Value) {
        let text = content.to_string();
        for (user, device) in to {
            self.breath().await;
            let sender = &self.device.user;
            // What the homeserver sees is ciphertext; here the Olm channel is taken for granted.
            let event = json!({"type": "sim.olm", "sender": sender, "content": {"kind": kind,
                "device": self.device.keys, "text": text}});
            self.world.server.borrow_mut().send_to_device(user, device, event);
        }
    }

    // client.ts

    fn devices_of(&self, users: &[String], without_own: bool) -> Value {
        let server = self.world.server.borrow();
        let list: Vec<Value> = users
            .iter()
            .map(|user| {
                let devices: Vec<Value> = server
                    .devices
                    .get(user)
                    .into_iter()
                    .flat_map(|(devices, _)| devices.values())
                    .filter(|device| !without_own || device["deviceId"] != *self.device.id)
                    .map(|device| {
                        let mut device = device.clone();
                        device["crossSigned"] = json!(true);
                        device["verified"] = json!(false);
                        device["blocked"] = json!(false);
                        device
                    })
                    .collect();
                json!({"userId": user, "devices": devices})
            })
            .collect();
        json!(list)
    }

    /// Members as the client knows them.
    fn members(&self, room_id: &str, wanted: &[&str]) -> Vec<String> {
        let element = self.element.borrow();
        let state = element.rooms.get(room_id).into_iter().flatten();
        state
            .filter(|((event_type, _), event)| {
                event_type == "m.room.member"
                    && event["content"]["membership"]
                        .as_str()
                        .is_some_and(|membership| wanted.contains(&membership))
            })
            .map(|((_, user), _)| user.clone())
            .collect()
    }

    fn add_rules(&self, room_id: &str) {
        let element = self.element.borrow();
        if element.state(room_id, "m.room.create", "").is_none() {
            return;
        }
        let kinds = ["m.room.create", "m.room.power_levels", "m.room.encryption"];
        let events: Vec<&Value> =
            kinds.iter().filter_map(|kind| element.state(room_id, kind, "")).collect();
        let json = json!(events).to_string();
        self.call(|engine| engine.add_room_state(RoomId(room_id), &json)).unwrap();
    }

    // sharing.ts

    async fn share_keys(&self, room_id: &str, (keeps, shares_only): (bool, bool)) -> Outcome {
        let content = |kind: &str| {
            let element = self.element.borrow();
            element.state(room_id, kind, "").map(|event| event["content"].clone())
        };
        let visibility = content("m.room.history_visibility");
        let visibility = visibility.map(|content| content["history_visibility"].clone());
        // As the client says for whom a room is encrypted.
        let wanted: &[&str] = match visibility.as_ref().and_then(Value::as_str) {
            Some("joined") => &["join"],
            _ => &["join", "invite"],
        };
        let members = self.members(room_id, wanted);
        self.breath().await;
        let targets = self.devices_of(&members, true);
        self.call(|engine| engine.begin_targets(RoomId(room_id))).map_err(said)?;
        for user in targets.as_array().unwrap() {
            let some = json!([user]).to_string();
            self.call(|engine| engine.add_targets(RoomId(room_id), &some)).map_err(said)?;
        }
        let json = json!({"roomId": room_id,
            "now": self.world.tasks.now(), "keeps": keeps, "sharesOnly": shares_only,
            "encryption": content("m.room.encryption"),
            "historyVisibility": visibility});
        let session = self.call(|engine| engine.need_session(&json.to_string())).map_err(said)?;
        assert!(!session.more, "few people are here");
        let session_id = session.session_id.clone();
        self.persist().await?;
        if session.should_import {
            self.breath().await;
            self.device.crypto.borrow_mut().import(&session.import_json);
            self.call(|engine| engine.imported(SessionId { room_id, id: &session_id }))
                .map_err(said)?;
        }
        let given = [(&session.share_with, &session.room_key_content)];
        let later = session.later.iter().map(|later| (&later.share_with, &later.room_key_content));
        for (devices, content) in given.into_iter().chain(later) {
            if devices.is_empty() {
                continue;
            }
            let content: Value = serde_json::from_str(content.get()).unwrap();
            let to: Vec<(String, String)> = devices
                .iter()
                .map(|device| (device.user_id.clone(), device.device_id.clone()))
                .collect();
            if self.world.sabotage != Sabotage::KeepsKeys {
                self.send_through_olm("m.room_key", &to, &content).await;
            }
            let reached = serde_json::to_string(devices).unwrap();
            self.call(|engine| engine.shared(SessionId { room_id, id: &session_id }, &reached))
                .map_err(said)?;
        }
        self.persist().await
    }

    async fn encrypt(
        &self,
        room_id: &str,
        slot: TypeAndKey<'_>,
        body: &str,
    ) -> Outcome<(String, String)> {
        for tries in 1.. {
            let once = async || {
                self.share_keys(room_id, (false, false)).await?;
                self.signs(room_id, slot, body).await;
                self.stored(body, |engine| engine.encrypt(RoomId(room_id), slot, body)).await
            };
            let outcome = once().await;
            let has_session =
                self.call(|engine| engine.outbound_rooms()).contains(&room_id.to_owned());
            if outcome.is_ok() || has_session || tries == MOST_SESSIONS {
                return outcome;
            }
        }
        unreachable!("the last try returns")
    }

    async fn signs(&self, room_id: &str, slot: TypeAndKey<'_>, content: &str) {
        let now = self.world.tasks.now();
        let text = self.call(|engine| engine.text_to_sign(RoomId(room_id), slot, content, now));
        let Some(text) = text.filter(|_| self.world.signs) else { return };
        self.breath().await;
        let signature = self.device.key.sign(text.as_bytes()).to_base64();
        self.call(|engine| engine.add_signature(&signature));
    }

    async fn stored(
        &self,
        content: &str,
        encrypt: impl FnOnce(&mut StateEngine) -> Result<u32, mantle_room_state::EngineError>,
    ) -> Outcome<(String, String)> {
        let ticket = self.call(encrypt).map_err(said)?;
        if self.world.sabotage != Sabotage::SendsUnstored {
            self.persist().await?;
        } else {
            // As if it were on disk.
            while let Some(batch) = self.call(StateEngine::take_persist) {
                self.call(|engine| engine.persisted(batch.id));
            }
        }
        let out = self.call(|engine| engine.take_encrypted(ticket)).map_err(said)?;
        let body: Value = serde_json::from_str(&out.body).unwrap();
        let content: Value = serde_json::from_str(content).unwrap();
        let name = content["name"].as_str().unwrap_or_default().to_owned();
        let ciphertext = body["ciphertext"].as_str().unwrap().to_owned();
        self.world.truth.borrow_mut().inside.insert(ciphertext, name);
        Ok((out.path, out.body))
    }

    fn tend_soon(self: &Rc<Self>) {
        let due = self.call(StateEngine::sharing_due);
        self.due.borrow_mut().extend(due.into_iter().map(|due| due.room_id));
        self.tend_due();
    }

    fn tend_due(self: &Rc<Self>) {
        if self.due.borrow().is_empty() || self.is_tending.replace(true) {
            return;
        }
        self.spawn(|page| async move {
            page.world.tasks.sleep(TEND_DELAY).await;
            page.is_tending.set(false);
            let due = std::mem::take(&mut *page.due.borrow_mut());
            for room_id in due {
                page.spawn(|page| async move {
                    if page.tend(&room_id).await.is_err() {
                        page.look_later(&room_id, AGAIN_AFTER);
                    }
                });
            }
        });
    }

    fn look_later(self: &Rc<Self>, room_id: &str, delay: u64) {
        if delay == 0 || !self.later.borrow_mut().insert(room_id.to_owned()) {
            return;
        }
        let room_id = room_id.to_owned();
        self.spawn(|page| async move {
            page.world.tasks.sleep(delay).await;
            page.later.borrow_mut().remove(&room_id);
            page.due.borrow_mut().insert(room_id);
            page.tend_due();
        });
    }

    async fn tend(self: &Rc<Self>, room_id: &str) -> Outcome {
        if !self.element.borrow().joined.contains(room_id) {
            return Ok(());
        }
        self.add_rules(room_id);
        let delay = self
            .writing(async || {
                let is_held =
                    self.call(|engine| engine.outbound_rooms()).contains(&room_id.to_owned());
                if is_held {
                    self.share_keys(room_id, (true, true)).await?;
                }
                let members = self.members(room_id, &["join"]);
                let json = json!({"members": members, "now": self.world.tasks.now()});
                let again = self
                    .call(|engine| engine.reencrypt(RoomId(room_id), &json.to_string()))
                    .map_err(said)?;
                for event in &again.events {
                    self.send_again(room_id, event).await?;
                }
                Ok(again.delay_ms)
            })
            .await?;
        self.look_later(room_id, delay);
        self.tell_invited(room_id).await;
        Ok(())
    }

    async fn send_again(&self, room_id: &str, again: &mantle_room_state::Again) -> Outcome {
        self.share_keys(room_id, (true, false)).await?;
        self.breath().await;
        let is_there = {
            let server = self.world.server.borrow();
            let key = format!("{}:{}", again.event_type, again.state_key);
            let event = server.state(room_id, ENCRYPTED, &key);
            event.is_some_and(|event| event["event_id"] == again.event_id)
        };
        self.breath().await;
        if !is_there {
            return Ok(());
        }
        if self.element.borrow().redacted.contains(&again.event_id) {
            let what = format!("{} sent a redacted name again", self.who());
            self.world.truth.borrow_mut().breaks(what);
        }
        let slot = TypeAndKey { event_type: &again.event_type, state_key: &again.state_key };
        self.signs(room_id, slot, &again.content_json).await;
        let (path, body) = self
            .stored(&again.content_json, |engine| {
                engine.encrypt_again(
                    EventId { room_id, id: &again.event_id },
                    TypeAndKey { event_type: &again.event_type, state_key: &again.state_key },
                    &again.content_json,
                )
            })
            .await?;
        self.put(&path, &body).await?;
        Ok(())
    }

    // invites.ts

    async fn tell_invited(&self, room_id: &str) {
        let preview = self.call(|engine| engine.invite_preview(room_id));
        let invited = self.members(room_id, &["invite"]);
        let Some(preview) = preview.filter(|_| !invited.is_empty()) else { return };
        let content: Value = serde_json::from_str(preview.content.get()).unwrap();
        let mut to = Vec::new();
        for user in self.devices_of(&invited, true).as_array().unwrap() {
            for device in user["devices"].as_array().unwrap() {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                to.push((text(&user["userId"]), text(&device["deviceId"])));
            }
        }
        self.send_through_olm(preview.r#type, &to, &content).await;
    }

    // writes.ts

    /// The person names the room.
    pub async fn sets_name(self: &Rc<Self>, room_id: &str, name: &str) -> Outcome {
        self.started().await;
        let url = format!("{HS}/rooms/{}/state/m.room.name/", room_id.replace(':', "%3A"));
        let body = json!({ "name": name }).to_string();
        assert_eq!(
            self.call(|engine| engine.route_write(Request { method: "PUT", url: &url })),
            WriteRoute::Put
        );
        let mut plan = self
            .call(|engine| engine.plan_put(Request { method: "PUT", url: &url }, body.as_bytes()));
        if let Plan::NeedRoom { .. } = plan {
            self.breath().await;
            let state = json!(self.world.server.borrow().whole_state(room_id)).to_string();
            self.call(|engine| engine.add_room_state(RoomId(room_id), &state)).map_err(said)?;
            plan = self.call(|engine| {
                engine.plan_put(Request { method: "PUT", url: &url }, body.as_bytes())
            });
        }
        let encrypted = match plan {
            Plan::Encrypt { event_type, state_key, .. } => {
                let slot = TypeAndKey { event_type: &event_type, state_key: &state_key };
                self.writing(async || self.encrypt(room_id, slot, &body).await).await
            }
            Plan::Refuse { sentence, .. } => Err(sentence),
            Plan::NeedRoom { sentence, .. } => Err(sentence.to_owned()),
            _ => Ok((url.clone(), body.clone())),
        };
        let (path, body) = match encrypted {
            Err(_) if self.world.sabotage == Sabotage::SendsClear => (url, body),
            other => other?,
        };
        self.put(&path, &body).await?;
        self.world.truth.borrow_mut().taken.insert(name.to_owned());
        self.tell_invited(room_id).await;
        Ok(())
    }

    // responses.ts, keys.ts

    async fn syncs(self: Rc<Self>) {
        loop {
            let since = self.since.get();
            if !self.world.server.borrow().has_news(&self.device.user, since) {
                self.world.tasks.sleep(IDLE).await;
                continue;
            }
            self.started().await;
            let url = since.map_or_else(
                || format!("{HS}/sync?timeout=30000"),
                |since| format!("{HS}/sync?timeout=30000&since=s{since}"),
            );
            let body = match self.call(|engine| engine.before(Request { method: "GET", url: &url }))
            {
                Before::Held { answer, needs } => self.opens(answer, Some(needs)).await,
                Before::Reply { body } => Some(body.into_bytes()),
                Before::Send { .. } => None,
            };
            let body = match body {
                Some(body) => body,
                None => self.asks(&url, since).await,
            };
            let answer: Value = serde_json::from_slice(&body).unwrap();
            self.takes_in(&answer);
            let next = answer["next_batch"].as_str().unwrap().trim_start_matches('s');
            self.since.set(next.parse().ok());
            self.looked();
            self.breath().await;
        }
    }

    async fn asks(&self, url: &str, since: Option<usize>) -> Vec<u8> {
        self.breath().await;
        let answer = {
            let mut server = self.world.server.borrow_mut();
            server.sync(&self.device.user, &self.device.id, since)
        };
        self.breath().await;
        let body = answer.to_string().into_bytes();
        match self.call(|engine| engine.inspect(Request { method: "GET", url }, body.clone())) {
            Some(needs) => {
                let id = needs.answer;
                self.opens(id, Some(needs)).await.unwrap_or(body)
            }
            None => body,
        }
    }

    async fn opens(&self, answer: u32, mut needs: Option<Needs>) -> Option<Vec<u8>> {
        loop {
            if let Some(needs) = needs.take() {
                self.supplies(&needs).await;
            }
            match self.call(|engine| engine.open(answer, 20)).ok()? {
                OpenStep::More => self.breath().await,
                OpenStep::Needs(more) => needs = Some(more),
                OpenStep::Split(first) => return Some(first),
                OpenStep::Done(body) => return body.map(|body| body.to_bytes()),
            }
        }
    }

    async fn supplies(&self, needs: &Needs) {
        self.breath().await;
        for room_id in &needs.rooms {
            self.add_rules(room_id);
        }
        let keys = self.device.crypto.borrow().export(|room_id, session_id| {
            needs
                .sessions
                .iter()
                .any(|need| need.room_id == room_id && need.session_id == session_id)
        });
        self.call(|engine| engine.add_room_keys(&keys)).unwrap();
        let devices = self.devices_of(&needs.owners, false).to_string();
        self.call(|engine| engine.add_devices(&devices)).unwrap();
        for room_id in &needs.member_devices {
            let all = self.members(room_id, &["join", "invite", "leave", "ban"]);
            let devices = self.devices_of(&all, false).to_string();
            self.call(|engine| engine.add_devices(&devices)).unwrap();
            self.call(|engine| engine.members_added(room_id));
        }
    }

    fn takes_in(&self, answer: &Value) {
        for event in answer["to_device"]["events"].as_array().into_iter().flatten() {
            let content = &event["content"];
            let Some(text) = content["text"].as_str() else { continue };
            let inner: Value = serde_json::from_str(text).unwrap();
            match content["kind"].as_str() {
                Some("m.room_key") => {
                    self.device.crypto.borrow_mut().room_key(&content["device"], &inner);
                }
                // What the Olm channel says of its sender.
                _ => {
                    let sender = event["sender"].as_str().unwrap();
                    let _ = self.call(|engine| engine.add_invite_preview(UserId(sender), text));
                }
            }
        }
        self.element.borrow_mut().apply(&self.device.user, answer);
        self.checks_what_is_shown();
    }

    fn looked(self: &Rc<Self>) {
        self.persist_soon();
        for problem in self.call(StateEngine::problems) {
            *self.codes.borrow_mut().entry(problem.code).or_default() += 1;
        }
        self.tend_soon();
        self.schedule_retry(RETRY_DELAY_MS);
    }

    fn schedule_retry(self: &Rc<Self>, delay: u64) {
        if self.is_retry_scheduled.replace(true) {
            return;
        }
        self.spawn(|page| async move {
            page.world.tasks.sleep(delay).await;
            page.is_retry_scheduled.set(false);
            page.retries().await;
        });
    }

    async fn retries(self: &Rc<Self>) {
        if let Some(needs) = self.call(|engine| engine.retry_needs()) {
            self.supplies(&needs).await;
        }
        loop {
            let step = self.call(|engine| engine.retried(50));
            for retried in step.events {
                let event: Value = serde_json::from_str(retried.event.get()).unwrap();
                self.delivers(&retried.room_id, event);
            }
            if !step.more {
                break;
            }
            self.breath().await;
        }
        self.checks_what_is_shown();
        self.persist_soon();
        if self.call(|engine| engine.retry_needs()).is_some() {
            self.schedule_retry(IDLE);
        }
    }

    fn delivers(&self, room_id: &str, event: Value) {
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        if event["event_id"].is_string() {
            let is_current = self.call(|engine| {
                engine.is_current(
                    EventId { room_id, id: &text("event_id") },
                    TypeAndKey { event_type: &text("type"), state_key: &text("state_key") },
                )
            });
            if is_current && self.element.borrow().joined.contains(room_id) {
                self.element.borrow_mut().set(room_id, event);
            }
        } else if self.element.borrow().invited.get(room_id) == Some(&text("sender")) {
            self.element.borrow_mut().set(room_id, event);
        }
    }

    fn checks_what_is_shown(&self) {
        let element = self.element.borrow();
        let mut truth = self.world.truth.borrow_mut();
        for room_id in element.joined.iter().chain(element.invited.keys()) {
            let Some((name, event_id)) = element.name(room_id) else { continue };
            truth.shown(&self.who(), room_id, &name);
            if element.redacted.contains(&event_id) {
                truth.breaks(format!("{} was shown a redacted name", self.who()));
            }
        }
    }
}
