//! One (session, index) stands for one plaintext only, whatever becomes of the store.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests may panic"
)]

mod support;

use std::collections::BTreeSet;

use mantle_room_state::{EngineError, RoomId, SessionId, StateEngine, TypeAndKey};
use serde_json::{Map, Value, json};
use support::*;

/// Two tabs of one session with one store.
fn two_tabs() -> (Client, Client, Map<String, Value>, Client) {
    let (mut one, bob, _) = alice_and_bob();
    one.persist();
    let mut two = Client::new(ALICE);
    two.device = one.device.clone();
    let stored = Value::Object(one.store.clone()).to_string();
    two.engine = StateEngine::new(&[7; 32], &stored).unwrap();
    two.log_in();
    let store = one.store.clone();
    for tab in [&mut one, &mut two] {
        tab.engine.stop_writing();
    }
    (one, two, store, bob)
}

/// What a tab does under the lock: reads the store, encrypts, writes; the ciphertext that leaves, if
/// one does.
fn writes(
    tab: &mut Client,
    store: &mut Map<String, Value>,
    bob: &Client,
    number: usize,
) -> Option<Value> {
    tab.store = store.clone();
    tab.persist();
    tab.engine.become_writer(&Value::Object(tab.store.clone()).to_string()).unwrap();
    let sends = |tab: &mut Client| -> Result<String, EngineError> {
        let session = tab.session(&[bob]);
        tab.persist();
        tab.engine.imported(SessionId { room_id: ROOM, id: &session.session_id })?;
        let shared = serde_json::to_string(&session.share_with).unwrap();
        tab.engine.shared(SessionId { room_id: ROOM, id: &session.session_id }, &shared)?;
        tab.persist();
        let content = json!({"name": format!("name {number}")}).to_string();
        let ticket =
            tab.engine.encrypt(RoomId(ROOM), TypeAndKey::single("m.room.name"), &content)?;
        tab.persist();
        Ok(tab.engine.take_encrypted(ticket)?.body)
    };
    let left = sends(tab);
    tab.persist();
    tab.engine.stop_writing();
    *store = tab.store.clone();
    left.ok().map(|body| serde_json::from_str(&body).unwrap())
}

/// Session and index of a ciphertext.
fn index_of(content: &Value) -> (String, u32) {
    let ciphertext = content["ciphertext"].as_str().unwrap();
    let message = vodozemac::megolm::MegolmMessage::from_base64(ciphertext).unwrap();
    (content["session_id"].as_str().unwrap().to_owned(), message.message_index())
}

#[test]
fn a_write_that_fails_in_one_tab_brings_no_index_twice() {
    // What the store does not take, at which of six writes, and when it takes what was left.
    for refused in ["outbound/", "holders/", ""] {
        for (failing, later) in [(0, 1), (0, 2), (0, 4), (1, 2), (1, 4), (2, 3), (3, 4), (4, 5)] {
            let (mut one, mut two, mut store, bob) = two_tabs();
            let mut seen = BTreeSet::new();
            let mut left = 0;
            for step in 0..6 {
                // The one that fails, and then twice the other.
                let tab = if step == failing || step == 5 { &mut one } else { &mut two };
                tab.refuses = if step == failing { vec![refused] } else { Vec::new() };
                if let Some(content) = writes(tab, &mut store, &bob, step) {
                    left += 1;
                    let index = index_of(&content);
                    assert!(seen.insert(index), "{refused:?} {failing} {later}: again at {step}");
                }
                tab.refuses.clear();
                if step == later {
                    // Without the lock: what an answer has taught.
                    one.store = store.clone();
                    one.engine.note_flag(ROOM);
                    one.persist();
                    store = one.store.clone();
                }
            }
            assert!(left >= 5, "{refused:?} {failing} {later}: only {left} left");
        }
    }
}

#[test]
fn outbound_sessions_are_written_under_the_lock_only() {
    let (mut one, _, mut store, bob) = two_tabs();
    one.refuses = vec!["outbound/"];
    assert!(writes(&mut one, &mut store, &bob, 0).is_none());
    one.refuses.clear();
    one.engine.note_flag("!new:example.org");
    while let Some(batch) = one.engine.take_persist() {
        for entry in &batch.entries {
            let is_locked = ["outbound/", "holders/", "pending/"]
                .iter()
                .any(|prefix| entry.key.starts_with(prefix));
            assert!(!is_locked, "{}", entry.key);
        }
        one.engine.persisted(batch.id);
    }
}

#[test]
fn an_older_index_in_the_store_is_never_gone_on_with() {
    let (mut one, mut two, mut store, bob) = two_tabs();
    let older = store.clone();
    let first = writes(&mut one, &mut store, &bob, 0).unwrap();
    // A write of long ago comes through at last, or somebody puts the profile back.
    store = older.clone();
    let second = writes(&mut one, &mut store, &bob, 1).unwrap();
    assert_ne!(index_of(&first), index_of(&second), "the tab that knows better");
    // Another tab, which has seen the first by sync only, and whose page was loaded since.
    let event = json!({"type": "m.room.encrypted", "state_key": "m.room.name:", "sender": ALICE,
        "origin_server_ts": NOW, "event_id": "$2", "content": first});
    two.engine.add_room_state(RoomId(ROOM), &json!(room_state()).to_string()).unwrap();
    two.open("/sync?since=a", &sync(vec![], vec![event]));
    two.store = older.clone();
    two.persist();
    let mut put_back = two.store.clone();
    put_back.extend(older.into_iter().filter(|(key, _)| key.starts_with("outbound/")));
    two.store = put_back;
    two.engine = StateEngine::new(&[7; 32], &Value::Object(two.store.clone()).to_string()).unwrap();
    two.log_in();
    let session = two.session(&[&bob]);
    assert!(session.is_new, "its index was used");
}

#[test]
fn a_ticket_is_good_for_what_was_stored_only() {
    let (mut one, _, _, bob) = two_tabs();
    one.log_in();
    one.send(&[&bob], "m.room.name", &name());
    one.refuses = vec!["outbound/"];
    let ticket = one
        .engine
        .encrypt(RoomId(ROOM), TypeAndKey::single("m.room.name"), r#"{"name":"B"}"#)
        .unwrap();
    one.persist();
    assert!(matches!(one.engine.take_encrypted(ticket), Err(EngineError::Unknown)));
    assert!(matches!(
        one.engine.encrypt(RoomId(ROOM), TypeAndKey::single("m.room.name"), r#"{"name":"B"}"#),
        Err(EngineError::NoSession)
    ));
    one.refuses.clear();
    assert!(one.session(&[&bob]).is_new);
}

#[test]
fn who_may_have_been_given_the_key_counts_as_having_it() {
    let (mut one, _, _, bob) = two_tabs();
    one.log_in();
    let carol = Client::new("@carol:example.org");
    // The page is closed between giving Carol the key and hearing that it was given.
    let session = one.session(&[&bob, &carol]);
    assert_eq!(session.share_with.len(), 1);
    one.reload();
    assert_eq!(one.session(&[&bob, &carol]).share_with.len(), 1, "perhaps she was not");
    one.reload();
    assert_eq!(one.session(&[&bob]).rotated, Some("member-left"));
}
