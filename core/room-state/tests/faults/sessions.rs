//! One (session, index) stands for one event, whatever becomes of the store.

use std::collections::BTreeMap;

use mantle_room_state::{
    EventId, PersistBatch, RoomId, SessionId, SessionView, StateEngine, TypeAndKey,
};
use serde_json::{Map, Value, json};

use crate::people::*;

/// All that left, by session and index.
#[derive(Default)]
struct Left(BTreeMap<(String, u32), Value>);

impl Left {
    fn add(&mut self, body: &str) {
        let content: Value = serde_json::from_str(body).unwrap();
        let session = content["session_id"].as_str().unwrap().to_owned();
        let key = (session, message_index(&content));
        let before = self.0.insert(key.clone(), content.clone());
        assert!(before.is_none_or(|before| before == content), "index {} left twice", key.1);
    }
}

fn put(store: &mut Map<String, Value>, batch: &PersistBatch) {
    for entry in &batch.entries {
        match &entry.value {
            Some(value) => drop(store.insert(entry.key.clone(), json!(value))),
            None => drop(store.remove(&entry.key)),
        }
    }
}

/// A write as the page does it under the lock; `None` where the store fails `at` its n-th batch.
fn write(
    tab: &mut StateEngine,
    store: &mut Map<String, Value>,
    name: &str,
    fails_at: Option<usize>,
) -> Option<String> {
    let mut batches = 0;
    let mut persist = |tab: &mut StateEngine, store: &mut Map<String, Value>| {
        while let Some(batch) = tab.take_persist() {
            batches += 1;
            if Some(batches - 1) == fails_at {
                tab.persist_failed(batch.id);
                return None;
            }
            put(store, &batch);
            tab.persisted(batch.id);
        }
        Some(())
    };
    let result = (|| {
        persist(tab, store)?;
        tab.become_writer(&Value::Object(store.clone()).to_string()).unwrap();
        let json = json!({"roomId": ROOM, "members": [ALICE], "targets": [],
            "historyVisibility": "shared", "now": NOW});
        let session = tab.need_session(&json.to_string()).unwrap();
        persist(tab, store)?;
        tab.imported(SessionId { room_id: ROOM, id: &session.session_id }).unwrap();
        persist(tab, store)?;
        let content = named(name).to_string();
        let ticket =
            tab.encrypt(RoomId(ROOM), TypeAndKey::single("m.room.name"), &content).unwrap();
        persist(tab, store)?;
        Some(tab.take_encrypted(ticket).unwrap().body)
    })();
    tab.stop_writing();
    result
}

/// What the page does after every answer, without the lock.
fn persist_soon(tab: &mut StateEngine, store: &mut Map<String, Value>) {
    while let Some(batch) = tab.take_persist() {
        put(store, &batch);
        tab.persisted(batch.id);
    }
}

#[test]
fn a_failed_write_stored_later_does_not_take_another_tabs_index_back() {
    for fails_at in 0..4 {
        for others in 1..3 {
            let mut left = Left::default();
            let mut one = Client::new(ALICE);
            let mut store = Map::new();
            left.add(&write(&mut one.engine, &mut store, "First", None).unwrap());
            one.store.clone_from(&store);
            let mut two = one.tab();
            // The disk fails once in the first tab: nothing leaves.
            let failed = write(&mut one.engine, &mut store, "Lost", Some(fails_at));
            failed.iter().for_each(|body| left.add(body));
            for number in 0..others {
                let name = format!("Second {number}");
                left.add(&write(&mut two.engine, &mut store, &name, None).unwrap());
            }
            // An answer passes in the first tab.
            persist_soon(&mut one.engine, &mut store);
            left.add(&write(&mut two.engine, &mut store, "Third", None).unwrap());
            left.add(&write(&mut one.engine, &mut store, "Fourth", None).unwrap());
        }
    }
}

#[test]
fn a_tab_closed_after_a_failed_write_takes_nothing_back() {
    let mut left = Left::default();
    let mut one = Client::new(ALICE);
    let mut store = Map::new();
    left.add(&write(&mut one.engine, &mut store, "First", None).unwrap());
    assert!(write(&mut one.engine, &mut store, "Lost", Some(0)).is_none());
    one.store.clone_from(&store);
    let mut two = one.tab();
    left.add(&write(&mut two.engine, &mut store, "Second", None).unwrap());
    left.add(&write(&mut two.engine, &mut store, "Third", None).unwrap());
    persist_soon(&mut one.engine, &mut store);
    // Both reload.
    one.store.clone_from(&store);
    let mut three = one.tab();
    left.add(&write(&mut three.engine, &mut store, "Fourth", None).unwrap());
}

#[test]
fn what_a_lost_session_was_to_replace_is_encrypted_once_more() {
    for is_restarted in [false, true] {
        let mut alice = Client::new(ALICE);
        alice.open("/sync?since=a", &sync(room_state(), vec![]));
        let (event, _) = alice.send(ROOM, &[], "m.room.name", &named("Secret"));
        alice.open("/sync?since=b", &sync(vec![], vec![event]));
        alice.persist();
        if is_restarted {
            // What is encrypted from now on has a session of this run, which takes the place of that.
            alice = alice.restarted();
            let state = json!(room_state()).to_string();
            alice.engine.add_room_state(RoomId(ROOM), &state).unwrap();
        }
        alice.engine.sharing_due();
        // Its key is stored in vain, so that nobody can be given either.
        let mut store = alice.store.clone();
        assert!(write(&mut alice.engine, &mut store, "Never there", Some(0)).is_none());
        assert!(write(&mut alice.engine, &mut store, "Never there", Some(1)).is_none());
        assert!(alice.engine.outbound_rooms().is_empty(), "restarted: {is_restarted}");
        let due = alice.engine.sharing_due();
        assert!(due.iter().any(|due| due.room_id == ROOM), "restarted: {is_restarted}");
        let asked = json!({"members": [ALICE, BOB, CAROL], "now": NOW}).to_string();
        alice.engine.become_writer(&Value::Object(store).to_string()).unwrap();
        let again = alice.engine.reencrypt(RoomId(ROOM), &asked).unwrap().events;
        assert_eq!(again.len(), 1, "restarted: {is_restarted}");
        assert!(again[0].content_json.contains("Secret"));
    }
}

#[test]
fn what_came_of_ones_own_session_is_known_after_another_tab_wrote() {
    let mut one = Client::new(ALICE);
    let mut store = Map::new();
    let mut left = Left::default();
    left.add(&write(&mut one.engine, &mut store, "First", None).unwrap());
    let copy = store.clone();
    let body = write(&mut one.engine, &mut store, "Second", None).unwrap();
    left.add(&body);
    one.store = copy.clone();
    let mut two = one.tab();
    store = copy;
    // The sync shows an index that this profile has not used, and then the store is read.
    let content: Value = serde_json::from_str(&body).unwrap();
    let event = json!({"type": "m.room.encrypted", "state_key": "m.room.name:", "sender": ALICE,
        "origin_server_ts": NOW, "event_id": "$second", "content": content});
    let mut state = room_state();
    state.push(event);
    two.open("/sync?since=a", &sync(state, vec![]));
    let mut other = one.tab();
    let _ = write(&mut other.engine, &mut store, "Meanwhile", Some(3));
    left.add(&write(&mut two.engine, &mut store, "Third", None).unwrap());
}

/// The session for a write; its id and why it is new.
fn session_with(alice: &mut Client, visibility: &str) -> (String, Option<&'static str>) {
    let json = json!({"roomId": ROOM, "members": [ALICE], "targets": [],
        "historyVisibility": visibility, "now": NOW});
    let session = alice.engine.need_session(&json.to_string()).unwrap();
    (session.session_id, session.rotated)
}

#[test]
fn where_newcomers_may_read_less_from_now_on_the_session_is_a_new_one() {
    for narrow in ["joined", "invited"] {
        for is_reloaded in [false, true] {
            let mut alice = Client::new(ALICE);
            let (first, _) = session_with(&mut alice, "shared");
            assert_eq!(session_with(&mut alice, "world_readable"), (first.clone(), None));
            if is_reloaded {
                alice.reload();
            }
            let (second, why) = session_with(&mut alice, narrow);
            assert_ne!(first, second);
            assert_eq!(why, Some("visibility"));
            if is_reloaded {
                alice.reload();
            }
            // Neither the same again nor what may be read by more brings another one.
            for visibility in [narrow, "shared", "joined", "invited"] {
                assert_eq!(session_with(&mut alice, visibility), (second.clone(), None));
            }
        }
    }
}

/// Alice's session for the first `count` of a crowd; whether it is new because somebody has gone.
fn session_of(alice: &mut Client, crowd: &[Client], (now, keeps): (u64, bool)) -> (String, bool) {
    let members: Vec<Value> =
        crowd.iter().map(|one| json!(one.user)).chain([json!(ALICE)]).collect();
    let targets: Vec<Value> = crowd.iter().map(Client::devices).collect();
    let json = json!({"roomId": ROOM, "members": members, "targets": targets, "keeps": keeps,
        "historyVisibility": "shared", "now": now});
    let session = alice.engine.need_session(&json.to_string()).unwrap();
    let all = serde_json::to_string(&session.share_with).unwrap();
    alice.engine.shared(SessionId { room_id: ROOM, id: &session.session_id }, &all).unwrap();
    (session.session_id, session.rotated == Some("member-left"))
}

#[test]
fn many_who_leave_one_after_the_other_cost_one_session() {
    let mut alice = Client::new(ALICE);
    let mut crowd: Vec<Client> =
        (0..20).map(|number| Client::new(&format!("@{number}:example.org"))).collect();
    alice.open("/sync?since=a", &sync(room_state(), vec![]));
    let (first, _) = session_of(&mut alice, &crowd, (NOW, false));
    let mut renewed = 0;
    let mut delay = 0;
    for second in 1..=20 {
        crowd.pop();
        let now = NOW + second * 1_000;
        renewed += u64::from(session_of(&mut alice, &crowd, (now, true)).1);
        let json = json!({"members": [ALICE], "now": now});
        delay = alice.engine.reencrypt(RoomId(ROOM), &json.to_string()).unwrap().delay_ms;
    }
    assert_eq!(renewed, 1);
    // The last of them is waited for no longer than that.
    assert!((1..=20_000).contains(&delay), "{delay}");
    let (last, is_renewed) = session_of(&mut alice, &crowd, (NOW + 20_000 + delay, true));
    assert!(is_renewed && last != first);
}

#[test]
fn what_is_set_anew_never_waits_for_a_session_that_leaves_those_out_who_left() {
    let mut alice = Client::new(ALICE);
    let mut crowd: Vec<Client> =
        (0..3).map(|number| Client::new(&format!("@{number}:example.org"))).collect();
    session_of(&mut alice, &crowd, (NOW, false));
    for second in 1..=3 {
        crowd.pop();
        assert!(session_of(&mut alice, &crowd, (NOW + second * 1_000, false)).1);
    }
    // Nor does a clock that was set back hold it up.
    crowd.push(Client::new("@late:example.org"));
    session_of(&mut alice, &crowd, (NOW, true));
    crowd.pop();
    assert!(session_of(&mut alice, &crowd, (NOW - 3_600_000, true)).1);
}

#[test]
fn a_profile_restored_from_an_earlier_copy_makes_a_new_session() {
    let mut left = Left::default();
    let mut one = Client::new(ALICE);
    let mut store = Map::new();
    left.add(&write(&mut one.engine, &mut store, "First", None).unwrap());
    let copy = store.clone();
    left.add(&write(&mut one.engine, &mut store, "Second", None).unwrap());
    // The disk of before; the homeserver has shown nothing of its own yet.
    one.store = copy.clone();
    let mut two = one.restarted();
    store = copy;
    left.add(&write(&mut two.engine, &mut store, "Third", None).unwrap());
    left.add(&write(&mut two.engine, &mut store, "Fourth", None).unwrap());
}

#[test]
fn a_copy_of_a_profile_goes_on_with_none_of_its_sessions() {
    let mut left = Left::default();
    let mut one = Client::new(ALICE);
    let mut store = Map::new();
    left.add(&write(&mut one.engine, &mut store, "First", None).unwrap());
    one.store.clone_from(&store);
    let mut copy = one.restarted();
    let mut copied = store.clone();
    for round in 0..3 {
        // Both are in use, and neither knows of the other.
        left.add(&write(&mut one.engine, &mut store, &format!("Here {round}"), None).unwrap());
        left.add(&write(&mut copy.engine, &mut copied, &format!("There {round}"), None).unwrap());
    }
}

/// The session of what left.
fn session_in(body: &str) -> String {
    let content: Value = serde_json::from_str(body).unwrap();
    content["session_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_reload_goes_on_with_the_session_and_the_browsers_end_costs_one() {
    let mut one = Client::new(ALICE);
    let mut store = Map::new();
    let first = session_in(&write(&mut one.engine, &mut store, "First", None).unwrap());
    for round in 0..3 {
        one.store.clone_from(&store);
        one = one.tab();
        let name = format!("After reload {round}");
        let again = session_in(&write(&mut one.engine, &mut store, &name, None).unwrap());
        assert_eq!(again, first);
    }
    one.store.clone_from(&store);
    let mut one = one.restarted();
    let second = session_in(&write(&mut one.engine, &mut store, "After restart", None).unwrap());
    assert_ne!(second, first);
    one.store.clone_from(&store);
    let mut tab = one.tab();
    let again = session_in(&write(&mut tab.engine, &mut store, "In another tab", None).unwrap());
    assert_eq!(again, second);
}

#[test]
fn a_tab_that_cannot_know_the_browsers_run_uses_sessions_of_its_own_only() {
    let mut left = Left::default();
    let mut one = Client::new(ALICE);
    let mut store = Map::new();
    left.add(&write(&mut one.engine, &mut store, "First", None).unwrap());
    for _ in 0..3 {
        let stored = Value::Object(store.clone()).to_string();
        let mut tab = StateEngine::new(&[7; 32], &stored).unwrap();
        let mut own = one.device.clone();
        own["userId"] = json!(one.user);
        tab.set_own_device(&own.to_string()).unwrap();
        let body = write(&mut tab, &mut store, "Second", None).unwrap();
        let again = write(&mut tab, &mut store, "Third", None).unwrap();
        assert_eq!(message_index(&serde_json::from_str(&body).unwrap()), 0);
        assert_eq!(session_in(&body), session_in(&again));
        left.add(&body);
        left.add(&again);
    }
}

#[test]
fn after_the_browsers_end_the_key_is_shared_and_nothing_encrypted_with_it() {
    for is_old_form in [false, true] {
        let mut alice = Client::new(ALICE);
        let bob = Client::new(BOB);
        let first = alice.session(ROOM, &[]);
        alice.encrypt(ROOM, "m.room.name", &named("Secret"));
        if is_old_form {
            // As an earlier version stored it.
            for (_, value) in alice.store.iter_mut() {
                let mut entry: Value = serde_json::from_str(value.as_str().unwrap()).unwrap();
                entry.as_object_mut().unwrap().remove("run");
                *value = json!(entry.to_string());
            }
        }
        let mut alice = alice.restarted();
        let asked = |shares_only: bool| {
            json!({"roomId": ROOM, "members": [ALICE, BOB], "targets": [bob.devices()],
                "historyVisibility": "shared", "now": NOW, "sharesOnly": shares_only})
            .to_string()
        };
        let shared = alice.engine.need_session(&asked(true)).unwrap();
        assert_eq!((&shared.session_id, shared.rotated), (&first.session_id, None));
        assert_eq!(shared.share_with.len(), 1);
        alice.engine.imported(SessionId { room_id: ROOM, id: &shared.session_id }).unwrap();
        let all = serde_json::to_string(&shared.share_with).unwrap();
        alice.engine.shared(SessionId { room_id: ROOM, id: &shared.session_id }, &all).unwrap();
        // Whatever the page does.
        assert!(
            alice.engine.encrypt(RoomId(ROOM), TypeAndKey::single("m.room.name"), "{}").is_err()
        );
        assert!(
            alice
                .engine
                .encrypt_again(
                    EventId { room_id: ROOM, id: "$base" },
                    TypeAndKey::single("m.room.name"),
                    "{}"
                )
                .is_err()
        );
        let renewed = alice.engine.need_session(&asked(false)).unwrap();
        assert_ne!(renewed.session_id, first.session_id);
        assert_eq!(renewed.rotated, Some("unverified"));
        assert_eq!(alice.engine.need_session(&asked(false)).unwrap().rotated, None);
    }
}

/// Everyone's devices as the page tells them, without the marks of a first sharing.
fn wants_session(alice: &mut Client, crowd: &[Client], shares_only: bool) -> SessionView {
    let members: Vec<Value> =
        std::iter::once(json!(ALICE)).chain(crowd.iter().map(|one| json!(one.user))).collect();
    let targets: Vec<Value> = crowd.iter().map(Client::devices).collect();
    let json = json!({"roomId": ROOM, "members": members, "targets": targets,
        "historyVisibility": "shared", "now": NOW, "sharesOnly": shares_only});
    alice.engine.need_session(&json.to_string()).unwrap()
}

#[test]
fn what_remains_of_a_sharing_cut_in_its_midst_is_shared_later_and_by_the_same_session() {
    for reloads in [false, true] {
        let mut alice = Client::new(ALICE);
        let crowd: Vec<Client> =
            (0..5).map(|number| Client::new(&format!("@m{number}:example.org"))).collect();
        let first = wants_session(&mut alice, &crowd, false);
        assert_eq!(first.share_with.len(), 5);
        alice.engine.imported(SessionId { room_id: ROOM, id: &first.session_id }).unwrap();
        alice.persist();
        // The homeserver took the first request with keys and wanted the second later.
        let some = serde_json::to_string(&first.share_with[..2]).unwrap();
        alice.engine.shared(SessionId { room_id: ROOM, id: &first.session_id }, &some).unwrap();
        if reloads {
            alice.reload();
        }
        let rest = wants_session(&mut alice, &crowd, true);
        assert_eq!(rest.session_id, first.session_id, "reloads: {reloads}");
        assert_eq!(rest.share_with, first.share_with[2..], "reloads: {reloads}");
        let all = serde_json::to_string(&rest.share_with).unwrap();
        alice.engine.shared(SessionId { room_id: ROOM, id: &rest.session_id }, &all).unwrap();
        if reloads {
            alice.reload();
        }
        assert_eq!(wants_session(&mut alice, &crowd, true).share_with, []);
    }
}

#[test]
fn what_a_session_encrypted_that_could_not_be_stored_is_sent_again_for_who_comes_later() {
    for (comes_back, reloads) in [(0, false), (0, true), (1, false), (1, true)] {
        let mut alice = Client::new(ALICE);
        let mut store = Map::new();
        let state = json!(room_state()).to_string();
        alice.engine.add_room_state(RoomId(ROOM), &state).unwrap();
        let body = write(&mut alice.engine, &mut store, "First", None).unwrap();
        let event = json!({"type": "m.room.encrypted", "state_key": "m.room.name:", "sender": ALICE,
            "origin_server_ts": NOW, "event_id": "$first",
            "content": serde_json::from_str::<Value>(&body).unwrap()});
        // The name comes back by sync before the disk fails, or after.
        let answer = sync(vec![], vec![event]);
        if comes_back == 0 {
            alice.open("/sync?since=a", &answer);
        }
        // The batch that has the session: what came back is stored before it.
        let fails_at = Some(1 - comes_back);
        assert!(write(&mut alice.engine, &mut store, "Lost", fails_at).is_none());
        if comes_back == 1 {
            alice.open("/sync?since=a", &answer);
        }
        persist_soon(&mut alice.engine, &mut store);
        if reloads {
            alice.store.clone_from(&store);
            alice = alice.tab();
            alice.engine.add_room_state(RoomId(ROOM), &state).unwrap();
        }
        let due: Vec<String> =
            alice.engine.sharing_due().into_iter().map(|due| due.room_id).collect();
        assert_eq!(due, [ROOM], "{comes_back} {reloads}");
        // As the page tends a room: what it holds is shared first.
        if alice.engine.outbound_rooms().contains(&ROOM.to_owned()) {
            wants_session(&mut alice, &[], true);
        }
        let json = json!({"members": [ALICE], "now": NOW}).to_string();
        let again = alice.engine.reencrypt(RoomId(ROOM), &json).unwrap();
        let ids: Vec<&str> = again.events.iter().map(|event| event.event_id.as_str()).collect();
        assert_eq!(ids, ["$first"], "{comes_back} {reloads}");
        assert_eq!(again.events[0].content_json, named("First").to_string());
    }
}
