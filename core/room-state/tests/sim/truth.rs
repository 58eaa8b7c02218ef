//! What really happened, which no client knows whole; and every promise that was broken.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Every name holds this, so that it is found wherever it goes.
pub const CANARY: &str = "CANARY";

#[derive(Clone, Debug)]
pub struct Name {
    pub room_id: String,
    pub is_forged: bool,
}

#[derive(Default)]
pub struct Truth {
    pub names: BTreeMap<String, Name>,
    /// What left: session and index, to ciphertext.
    left: BTreeMap<(String, u32), String>,
    /// Name by ciphertext.
    pub inside: BTreeMap<String, String>,
    pub redacted: BTreeSet<String>,
    pub broken: Vec<String>,
    /// What happened, for comparing two runs.
    pub log: Vec<String>,
    /// Names whose write the homeserver has taken.
    pub taken: BTreeSet<String>,
}

impl Truth {
    pub fn breaks(&mut self, what: String) {
        if !self.broken.contains(&what) {
            self.broken.push(what);
        }
    }

    /// A request as the homeserver gets it.
    pub fn leaves(&mut self, path: &str, body: &str) {
        if path.contains(CANARY) || body.contains(CANARY) {
            self.breaks(format!("a name left in clear: {path}"));
        }
        let content: Value = serde_json::from_str(body).unwrap_or_default();
        let Some(ciphertext) = content["ciphertext"].as_str() else { return };
        let session = content["session_id"].as_str().unwrap_or_default().to_owned();
        let index =
            vodozemac::megolm::MegolmMessage::from_base64(ciphertext).unwrap().message_index();
        let before = self.left.insert((session, index), ciphertext.to_owned());
        if before.is_some_and(|before| before != ciphertext) {
            self.breaks(format!("index {index} of a session left twice"));
        }
    }

    /// A name in a room's clear state, as a client shows it.
    pub fn shown(&mut self, who: &str, room_id: &str, name: &str) {
        match self.names.get(name) {
            None => self.breaks(format!("{who} was shown a name nobody set: {name}")),
            Some(known) if known.is_forged => {
                self.breaks(format!("{who} was shown a forged name: {name}"));
            }
            Some(known) if known.room_id != room_id => {
                self.breaks(format!("{who} was shown another room's name: {name}"));
            }
            Some(_) => {}
        }
    }
}
