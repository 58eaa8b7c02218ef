//! Element as far as encrypted state goes: what it holds of rooms, and the keys in its crypto store.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use vodozemac::megolm::{
    ExportedSessionKey, InboundGroupSession, MegolmMessage, SessionConfig, SessionKey,
};

type Slot = (String, String);

/// What a running client holds.
#[derive(Default)]
pub struct Element {
    pub rooms: BTreeMap<String, BTreeMap<Slot, Value>>,
    /// Rooms the user is in.
    pub joined: BTreeSet<String>,
    /// Inviter by room.
    pub invited: BTreeMap<String, String>,
    /// Ids of events that a redaction it has seen names.
    pub redacted: BTreeSet<String>,
}

impl Element {
    /// Takes over what a sync answer says.
    pub fn apply(&mut self, user: &str, answer: &Value) {
        let list = |value: &Value| value["events"].as_array().cloned().unwrap_or_default();
        for (room_id, room) in answer["rooms"]["join"].as_object().into_iter().flatten() {
            self.joined.insert(room_id.clone());
            // The first answer after joining is limited: the state begins anew.
            if self.invited.remove(room_id).is_some() {
                self.rooms.remove(room_id);
            }
            for event in list(&room["state"]).into_iter().chain(list(&room["timeline"])) {
                self.set(room_id, event);
            }
        }
        for (room_id, room) in answer["rooms"]["invite"].as_object().into_iter().flatten() {
            let state = list(&room["invite_state"]);
            let own = state.iter().find(|event| event["state_key"] == user);
            let inviter = own.and_then(|event| event["sender"].as_str()).unwrap_or_default();
            self.invited.insert(room_id.clone(), inviter.to_owned());
            self.joined.remove(room_id);
            self.rooms.remove(room_id);
            for event in state {
                self.set(room_id, event);
            }
        }
        for (room_id, _) in answer["rooms"]["leave"].as_object().into_iter().flatten() {
            self.joined.remove(room_id);
            self.invited.remove(room_id);
        }
    }

    /// As matrix-js-sdk: the last event of a slot counts; a redaction empties what it names.
    pub fn set(&mut self, room_id: &str, event: Value) {
        let state = self.rooms.entry(room_id.to_owned()).or_default();
        if event["type"] == "m.room.redaction" {
            let of = event["redacts"].as_str().or(event["content"]["redacts"].as_str());
            let Some(of) = of else { return };
            self.redacted.insert(of.to_owned());
            for held in state.values_mut().filter(|held| held["event_id"] == of) {
                held["content"] = json!({});
            }
            return;
        }
        let Some(state_key) = event["state_key"].as_str() else { return };
        let slot = (event["type"].as_str().unwrap_or_default().to_owned(), state_key.to_owned());
        state.insert(slot, event);
    }

    pub fn state(&self, room_id: &str, event_type: &str, state_key: &str) -> Option<&Value> {
        self.rooms.get(room_id)?.get(&(event_type.to_owned(), state_key.to_owned()))
    }

    /// The room's name and its event's id; none where it has none.
    pub fn name(&self, room_id: &str) -> Option<(String, String)> {
        let event = self.state(room_id, "m.room.name", "")?;
        let name = event["content"]["name"].as_str().filter(|name| !name.is_empty())?;
        Some((name.to_owned(), event["event_id"].as_str().unwrap_or_default().to_owned()))
    }
}

fn session(key: &Value) -> InboundGroupSession {
    let key = ExportedSessionKey::from_base64(key["session_key"].as_str().unwrap()).unwrap();
    InboundGroupSession::import(&key, SessionConfig::version_1())
}

/// Room keys of a device, in the form of exports.
#[derive(Default)]
pub struct Crypto {
    keys: BTreeMap<(String, String), Value>,
}

impl Crypto {
    /// `importRoomKeysAsJson`.
    pub fn import(&mut self, json: &str) {
        for key in serde_json::from_str::<Vec<Value>>(json).unwrap() {
            self.keep(key);
        }
    }

    /// An `m.room_key` from a device over Olm.
    pub fn room_key(&mut self, sender: &Value, content: &Value) {
        let text = content["session_key"].as_str().unwrap();
        let session = SessionKey::from_base64(text).unwrap();
        let session = InboundGroupSession::new(&session, SessionConfig::version_1());
        self.keep(json!({
            "algorithm": content["algorithm"], "room_id": content["room_id"],
            "session_id": content["session_id"],
            "session_key": session.export_at_first_known_index().to_base64(),
            "sender_key": sender["curve25519"],
            "sender_claimed_keys": {"ed25519": sender["ed25519"]},
            "forwarding_curve25519_key_chain": [],
        }));
    }

    /// As matrix-sdk-crypto: whose key comes first stays, unless the other reaches further back.
    fn keep(&mut self, key: Value) {
        let text = |name: &str| key[name].as_str().unwrap().to_owned();
        let name = (text("room_id"), text("session_id"));
        let begins = |key: &Value| session(key).first_known_index();
        if self.keys.get(&name).is_none_or(|held| begins(&key) < begins(held)) {
            self.keys.insert(name, key);
        }
    }

    /// Whether a key that is held opens the message.
    pub fn opens(&self, room_id: &str, session_id: &str, ciphertext: &str) -> bool {
        let name = (room_id.to_owned(), session_id.to_owned());
        let Some(key) = self.keys.get(&name) else { return false };
        session(key).decrypt(&MegolmMessage::from_base64(ciphertext).unwrap()).is_ok()
    }

    pub fn export(&self, wanted: impl Fn(&str, &str) -> bool) -> String {
        let keys: Vec<&Value> = self
            .keys
            .iter()
            .filter(|((room, session), _)| wanted(room, session))
            .map(|(_, key)| key)
            .collect();
        serde_json::to_string(&keys).unwrap()
    }
}
