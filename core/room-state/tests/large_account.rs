//! An account as large as Mantle's bounds: what grows twofold takes no more than about twice as long.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests may panic"
)]

mod support;

use std::time::Instant;

use mantle_room_state::Request;
use serde_json::{Value, json};
use support::*;
use vodozemac::megolm::{GroupSession, InboundGroupSession, SessionConfig};

/// The processor's time of this thread, in milliseconds, which others on the machine do not change.
fn spent() -> f64 {
    thread_local!(static START: Instant = Instant::now());
    let by_scheduler = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = by_scheduler
        .and_then(|text| text.split(' ').next()?.parse::<f64>().ok())
        .filter(|nanoseconds| *nanoseconds > 0.0);
    let by_clock = || START.with(|start| start.elapsed().as_secs_f64() * 1_000.0);
    nanoseconds.map_or_else(by_clock, |nanoseconds| nanoseconds / 1_000_000.0)
}

/// Fails where twice as much takes more than three times as long; the best of some runs. Each run
/// gives the time of every part.
fn are_linear<const PARTS: usize>(what: [&str; PARTS], mut run: impl FnMut(usize) -> [f64; PARTS]) {
    let mut best = [[f64::MAX; 2]; PARTS];
    for _ in 0..2 {
        for scale in 0..2 {
            for (best, spent) in best.iter_mut().zip(run(scale + 1)) {
                best[scale] = best[scale].min(spent);
            }
        }
    }
    for (what, [half, whole]) in what.into_iter().zip(best) {
        println!("{what}: {half:.0} ms, {whole:.0} ms");
        assert!(whole < 3.0 * half.max(1.0), "{what}: {half:.0} ms, twice as much {whole:.0} ms");
    }
}

/// People who name rooms: who, and what they publish.
fn senders(count: usize) -> Vec<(String, Value)> {
    let sender = |number| {
        let user = format!("@sender{number}:example.org");
        let device = device(&user, "DEV");
        (user, device)
    };
    (0..count).map(sender).collect()
}

/// A session of somebody's device for a room: the event of a name, and the export of its key.
fn named(room_id: &str, (user, device): &(String, Value), state_key: &str) -> (Value, Value) {
    let mut session = GroupSession::new(SessionConfig::version_1());
    let inbound = InboundGroupSession::from(&session);
    let payload = json!({"room_id": room_id, "type": "m.room.name", "state_key": state_key,
        "content": {"name": "Secret"}});
    let ciphertext = session.encrypt(payload.to_string()).to_base64();
    let key = inbound.export_at_first_known_index().to_base64();
    let (curve25519, ed25519) = (&device["curve25519"], &device["ed25519"]);
    let event = json!({"type": "m.room.encrypted", "state_key": format!("m.room.name:{state_key}"),
        "sender": user, "origin_server_ts": NOW, "event_id": format!("${room_id}{state_key}"),
        "content": {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": ciphertext,
            "session_id": session.session_id(), "sender_key": curve25519, "device_id": "DEV"}});
    let export = json!({"algorithm": "m.megolm.v1.aes-sha2", "room_id": room_id,
        "session_id": session.session_id(), "session_key": key, "sender_key": curve25519,
        "sender_claimed_keys": {"ed25519": ed25519}, "forwarding_curve25519_key_chain": []});
    (event, export)
}

/// The state of a room in which all have power.
fn rules() -> Vec<Value> {
    let mut state = room_state();
    state[1]["content"] = json!({"users_default": 100});
    state
}

/// How a page goes on with a response that it was given a part of a look at.
#[derive(Clone, Copy, Debug)]
enum After {
    /// As it should.
    Looks,
    /// Opens it at once.
    Opens,
    /// Gives it up.
    Drops,
    /// Another comes first.
    Another,
}

#[test]
fn a_large_response_is_looked_at_in_parts_and_says_the_same_whatever_comes_between() {
    const ROOMS: usize = 600;
    let account = account(ROOMS);
    let last = format!("!{}:example.org", ROOMS - 1);
    for after in [After::Looks, After::Opens, After::Drops, After::Another] {
        let mut bob = Client::new(BOB);
        bob.engine.add_room_keys(&account.keys).unwrap();
        bob.engine.add_devices(&account.devices).unwrap();
        let mut needs = bob.inspect("/sync?since=a", &account.sync).unwrap();
        let id = needs.answer;
        assert!(needs.more && needs.sessions.is_empty() && !bob.engine.encrypts_state(&last));
        match after {
            After::Looks => {
                let mut parts = 0;
                while needs.more {
                    needs = bob.engine.inspect_more(id).unwrap().unwrap();
                    parts += 1;
                }
                assert!(parts > 2 && needs.answer == id && needs.sessions.is_empty());
                assert!(needs.rooms.is_empty(), "its own state says who may do what");
            }
            After::Opens => {}
            After::Drops => {
                bob.engine.drop_answer(id);
                assert!(bob.engine.inspect_more(id).is_err());
            }
            After::Another => {
                let other = sync(room_state(), vec![]);
                assert!(bob.inspect("/sync?since=b", &other).is_none());
            }
        }
        if !matches!(after, After::Opens) {
            assert!(bob.engine.encrypts_state(&last), "{after:?}");
        }
        if matches!(after, After::Drops) {
            continue;
        }
        let opened = bob.finish(&needs).unwrap();
        for number in [0, 1, ROOMS - 1] {
            let room = &opened["rooms"]["join"][format!("!{number}:example.org")];
            let events = room["state"]["events"].as_array().unwrap();
            let names = events.iter().filter(|event| event["content"]["name"] == "Secret");
            assert_eq!(names.count(), 2, "{after:?} {number}");
        }
    }
}

#[test]
fn where_a_large_response_has_nothing_for_the_page_it_goes_on_as_it_is_after_the_last_part() {
    let mut bob = Client::new(BOB);
    // It has the flag, and what stands beside it is readable.
    let rooms: serde_json::Map<String, Value> = (0..600)
        .map(|number| {
            (format!("!{number}:example.org"), json!({"state": {"events": room_state()}}))
        })
        .collect();
    let answer = json!({"next_batch": "b", "rooms": {"join": rooms}});
    let mut needs = bob.inspect("/sync?since=a", &answer);
    let mut parts = 0;
    while let Some(now) = needs {
        assert!(now.more);
        needs = bob.engine.inspect_more(now.answer).unwrap();
        parts += 1;
    }
    assert!(parts > 1 && bob.engine.encrypts_state("!599:example.org"));
}

/// Rooms with two names each, in which somebody of a few has set them.
struct Account {
    sync: Value,
    keys: String,
    devices: String,
}

fn account(rooms: usize) -> Account {
    let senders = senders(100);
    let mut joined = serde_json::Map::new();
    let mut keys = Vec::new();
    for number in 0..rooms {
        let room_id = format!("!{number}:example.org");
        let mut events = rules();
        for state_key in ["", "other"] {
            let (event, key) = named(&room_id, &senders[number % senders.len()], state_key);
            events.push(event);
            keys.push(key);
        }
        joined.insert(room_id, json!({"state": {"events": events}}));
    }
    let devices: Vec<Value> =
        senders.iter().map(|(user, device)| json!({"userId": user, "devices": [device]})).collect();
    Account {
        sync: json!({"next_batch": "b", "rooms": {"join": joined}}),
        keys: json!(keys).to_string(),
        devices: json!(devices).to_string(),
    }
}

#[test]
fn four_thousand_events_in_two_thousand_rooms_wait_open_and_are_stored() {
    let accounts = [account(1_000), account(2_000)];
    are_linear(["waiting and opening", "storing and reading"], |scale| {
        let account = &accounts[scale - 1];
        let mut bob = Client::new(BOB);
        let start = spent();
        bob.open("/sync?since=a", &account.sync);
        assert_eq!(bob.engine.take_undecryptable(usize::MAX).len(), 2_000 * scale);
        assert!(bob.engine.retry_needs().is_some());
        bob.engine.add_room_keys(&account.keys).unwrap();
        bob.engine.add_devices(&account.devices).unwrap();
        let mut opened = 0;
        loop {
            let step = bob.engine.retried(50);
            opened += step.events.len();
            if !step.more {
                break;
            }
        }
        assert_eq!(opened, 2_000 * scale);
        let opening = spent() - start;
        let start = spent();
        assert!(bob.persist().is_empty());
        bob.reload();
        let storing = spent() - start;
        for number in [0, 500, 1_000 * scale - 1] {
            let room_id = format!("!{number}:example.org");
            let url = format!("{HS}/rooms/{room_id}/state/m.room.name");
            let answer =
                serde_json::to_string(&bob.engine.before(Request { method: "GET", url: &url }))
                    .unwrap();
            assert!(answer.contains("Secret"), "{room_id}");
        }
        [opening, storing]
    });
}

#[test]
fn devices_of_ten_thousand_members_come_while_four_thousand_sessions_are_known() {
    let accounts = [account(1_000), account(2_000)];
    let lists: Vec<String> = [1, 2]
        .map(|scale| {
            let users: Vec<Value> = (0..5_000 * scale)
                .map(|number: usize| {
                    let devices: Vec<Value> = (0..5)
                        .map(|device: usize| {
                            // In no order, as keys are.
                            let key = (number * 5 + device).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                            let key = format!("{key:043x}");
                            json!({"deviceId": "D", "algorithms": [], "signature": null,
                                "keys": {"curve25519:D": key, "ed25519:D": key}})
                        })
                        .collect();
                    json!({"userId": format!("@member{number}:example.org"), "devices": devices})
                })
                .collect();
            json!(users).to_string()
        })
        .into();
    are_linear(["devices"], |scale| {
        let mut bob = Client::new(BOB);
        bob.engine.add_room_keys(&accounts[scale - 1].keys).unwrap();
        let start = spent();
        bob.engine.add_devices(&lists[scale - 1]).unwrap();
        let spent = spent() - start;
        // Those that matter are still taken in.
        bob.engine.add_devices(&accounts[scale - 1].devices).unwrap();
        [spent]
    });
}
