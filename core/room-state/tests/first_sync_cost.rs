//! What a large first sync costs, looked at where it is and taken in whole; by hand:
//! `cargo test --profile sim -p mantle-room-state --test first_sync_cost -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests may panic")]

use std::time::Instant;

use mantle_room_state::{OpenStep, Part, Request, StateEngine};
use serde_json::json;

const URL: &str = "https://hs.example.org/_matrix/client/v3/sync";

/// Rooms of members; in every `encrypted`-th one four encrypted events, which wait for their key.
fn answer(megabytes: usize, encrypted: Option<usize>) -> Vec<u8> {
    let member = |at: usize| {
        json!({"type": "m.room.member", "state_key": format!("@user{at}:example.org"),
            "sender": format!("@user{at}:example.org"), "event_id": format!("$member{at}"),
            "origin_server_ts": 1_700_000_000_000_u64,
            "content": {"membership": "join", "displayname": format!("User {at}"),
                "avatar_url": "mxc://example.org/abcdefghijklmnopqrstuvwx"},
            "unsigned": {"age": 1_234_567}})
        .to_string()
    };
    let secret = |room: usize, at: usize| {
        json!({"type": "m.room.encrypted", "state_key": format!("org.example.t{at}:"),
            "sender": "@user1:example.org", "event_id": format!("$secret{room}-{at}"),
            "origin_server_ts": 1_700_000_000_000_u64,
            "content": {"algorithm": "m.megolm.v1.aes-sha2", "session_id": format!("session{room}"),
                "ciphertext": "A".repeat(300), "sender_key": "key", "device_id": "DEV"}})
        .to_string()
    };
    let mut rooms = Vec::new();
    let mut length = 0;
    for room in 0.. {
        if length >= megabytes * 1_000_000 {
            break;
        }
        let mut state: Vec<String> = (0..400).map(|at| member(room * 400 + at)).collect();
        if encrypted.is_some_and(|every| room % every == 0) {
            state.extend((0..4).map(|at| secret(room, at)));
        }
        let room = format!(
            r#""!room{room}:example.org":{{"state":{{"events":[{}]}},"timeline":{{"events":[]}}}}"#,
            state.join(",")
        );
        length += room.len();
        rooms.push(room);
    }
    format!(r#"{{"next_batch":"s1","rooms":{{"join":{{{}}}}}}}"#, rooms.join(",")).into_bytes()
}

fn finish(engine: &mut StateEngine, id: u32) -> usize {
    loop {
        match engine.open(id, 500).unwrap() {
            OpenStep::More | OpenStep::Needs(_) => {}
            OpenStep::Done(body) => {
                return body.map_or(0, |body| {
                    let parts = body.parts().unwrap();
                    parts
                        .iter()
                        .filter(|part| matches!(part, Part::Bytes(_)))
                        .map(Part::length)
                        .sum()
                });
            }
            OpenStep::Split(_) => panic!("split"),
        }
    }
}

#[test]
#[ignore = "measures; run by hand"]
fn what_a_first_sync_costs() {
    for megabytes in [5, 20, 56] {
        for (what, encrypted) in
            [("no encrypted state", None), ("some in every tenth room", Some(10))]
        {
            let body = answer(megabytes, encrypted);
            let mut there = Vec::new();
            let mut whole = Vec::new();
            let mut copied = 0;
            for _ in 0..5 {
                let mut engine = StateEngine::new(&[7; 32], "{}").unwrap();
                let mut read = |at: usize, into: &mut [u8]| {
                    into.copy_from_slice(body.get(at..at + into.len()).unwrap());
                };
                copied = 0;
                let start = Instant::now();
                let needs = engine.inspect_there(
                    Request { method: "GET", url: URL },
                    body.len(),
                    &mut read,
                    || {
                        copied = body.len();
                        body.clone()
                    },
                );
                if let Some(needs) = needs {
                    finish(&mut engine, needs.answer);
                }
                there.push(start.elapsed());
                let mut engine = StateEngine::new(&[7; 32], "{}").unwrap();
                let start = Instant::now();
                let needs = engine.inspect(Request { method: "GET", url: URL }, body.clone());
                if let Some(needs) = needs {
                    finish(&mut engine, needs.answer);
                }
                whole.push(start.elapsed());
            }
            there.sort();
            whole.sort();
            println!(
                "{megabytes} MB, {what}: in place {:.1} ms ({} MB taken in whole), whole {:.1} ms",
                there[2].as_secs_f64() * 1e3,
                copied / 1_000_000,
                whole[2].as_secs_f64() * 1e3,
            );
        }
    }
}
