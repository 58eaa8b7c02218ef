//! How long the longest step takes of what a large account asks for; by hand:
//! `cargo test --profile sim -p mantle-room-state --test step_cost -- --ignored --nocapture`.

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

use mantle_room_state::{RoomId, SessionId};
use serde_json::{Value, json};
use support::*;

const MEMBERS: usize = 10_000;
const DEVICES: usize = 5;

/// The longest call of each kind, in milliseconds.
#[derive(Default)]
struct Steps(Vec<(&'static str, f64, usize)>);

impl Steps {
    fn took<T>(&mut self, what: &'static str, call: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = call();
        let took = start.elapsed().as_secs_f64() * 1_000.0;
        match self.0.iter_mut().find(|(known, ..)| *known == what) {
            Some((_, longest, count)) => {
                *longest = longest.max(took);
                *count += 1;
            }
            None => self.0.push((what, took, 1)),
        }
        result
    }

    fn print(&self) {
        for (what, longest, count) in &self.0 {
            println!("{what}: at most {longest:.1} ms, {count} times");
        }
    }
}

fn key(seed: usize) -> String {
    let spread = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{spread:043x}")
}

fn targets() -> Vec<Value> {
    (0..MEMBERS)
        .map(|user| {
            let devices: Vec<Value> = (0..DEVICES)
                .map(|device| {
                    let seed = user * DEVICES + device;
                    json!({"deviceId": format!("DEVICE{device:04}"), "curve25519": key(seed),
                        "ed25519": key(seed + 1), "crossSigned": true, "verified": false,
                        "blocked": false})
                })
                .collect();
            json!({"userId": format!("@member{user:05}:example.org"), "devices": devices})
        })
        .collect()
}

#[test]
#[ignore = "measures; run by hand"]
fn what_sharing_to_ten_thousand_members_costs() {
    let mut steps = Steps::default();
    let mut alice = Client::new(ALICE);
    let targets = targets();
    let asked = json!({"roomId": ROOM, "encryption": {"algorithm": "m.megolm.v1.aes-sha2"},
        "historyVisibility": "shared", "now": NOW})
    .to_string();
    let needs = |alice: &mut Client, steps: &mut Steps| {
        alice.engine.begin_targets(RoomId(ROOM)).unwrap();
        for some in targets.chunks(84) {
            let some = json!(some).to_string();
            steps.took("add_targets", || alice.engine.add_targets(RoomId(ROOM), &some).unwrap());
        }
        steps.took("need_session", || alice.engine.need_session(&asked).unwrap())
    };
    let view = needs(&mut alice, &mut steps);
    steps.took("serialize", || serde_json::to_string(&view).unwrap());
    let mut store = alice.store.clone();
    let mut persist = |alice: &mut Client, steps: &mut Steps| {
        while let Some(batch) = steps.took("take_persist", || alice.engine.take_persist()) {
            for entry in batch.entries {
                store.insert(entry.key, json!(entry.value));
            }
            alice.engine.written(batch.id, &[]);
        }
        Value::Object(store.clone()).to_string()
    };
    persist(&mut alice, &mut steps);
    let session = SessionId { room_id: ROOM, id: &view.session_id };
    alice.engine.imported(session).unwrap();
    let (mut devices, mut is_more) = (view.share_with, view.more);
    loop {
        for some in devices.chunks(100) {
            let names = serde_json::to_string(some).unwrap();
            steps.took("shared", || alice.engine.shared(session, &names).unwrap());
        }
        if !is_more {
            break;
        }
        let more = steps.took("more_shares", || alice.engine.more_shares(session).unwrap());
        (devices, is_more) = (more.share_with, more.more);
    }
    let stored = persist(&mut alice, &mut steps);
    steps.took("become_writer", || alice.engine.become_writer(&stored).unwrap());
    assert!(needs(&mut alice, &mut steps).share_with.is_empty());
    steps.print();
}
