//! Whose devices a room's keys concern.

use mantle_room_state::Request;
use serde_json::json;

use crate::people::*;

fn tends(client: &mut Client) -> Vec<String> {
    client.engine.sharing_due().into_iter().map(|due| due.room_id).collect()
}

/// Alice, who has named a room in which she and others are; some of them have no device, and the page
/// names these too.
fn alice_with(others: &[&Client], without_device: &[&str]) -> Client {
    let mut alice = Client::new(ALICE);
    let mut members = vec![json!(ALICE)];
    let mut targets = vec![alice.devices()];
    for other in others {
        members.push(json!(other.user));
        targets.push(other.devices());
    }
    for user in without_device {
        members.push(json!(user));
        targets.push(json!({"userId": user, "devices": []}));
    }
    alice.session_for(ROOM, &members, &targets);
    let event = alice.encrypt(ROOM, "m.room.name", &named("Secret"));
    let mut state = room_state();
    state.push(event);
    alice.open("/sync?since=a", &sync(state, vec![]));
    alice.engine.sharing_due();
    alice
}

#[test]
fn ones_own_first_further_device_gets_the_key() {
    let mut alice = alice_with(&[], &[]);
    let answer = json!({"next_batch": "b", "device_lists": {"changed": [ALICE]}});
    alice.open("/sync?since=b", &answer);
    assert_eq!(tends(&mut alice), [ROOM]);
}

#[test]
fn a_member_who_had_no_device_gets_the_key_with_the_first() {
    let mut alice = alice_with(&[], &[BOB]);
    let answer = json!({"next_batch": "b", "device_lists": {"changed": [BOB]}});
    alice.open("/sync?since=b", &answer);
    assert_eq!(tends(&mut alice), [ROOM]);
}

#[test]
fn so_it_is_after_a_reload_before_any_answer_told_of_the_members() {
    let bob = Client::new(BOB);
    let mut alice = alice_with(&[&bob], &[CAROL]);
    for user in [ALICE, BOB, CAROL] {
        alice.reload();
        alice.engine.sharing_due();
        let answer = json!({"next_batch": "b", "device_lists": {"changed": [user]}});
        alice.open("/sync?since=b", &answer);
        assert_eq!(tends(&mut alice), [ROOM], "{user}");
    }
}

#[test]
fn an_invited_persons_new_device_concerns_the_room() {
    let mut alice = alice_with(&[], &[]);
    let dave = "@dave:example.org";
    let mut invite = member(dave, "invite");
    invite["sender"] = json!(ALICE);
    alice.open("/sync?since=b", &sync(vec![], vec![invite]));
    // The page names the invited too when it shares the key with whoever came.
    assert_eq!(tends(&mut alice), [ROOM]);
    let members = [json!(ALICE), json!(dave)];
    let targets = [alice.devices(), json!({"userId": dave, "devices": []})];
    alice.session_for(ROOM, &members, &targets);
    let answer = json!({"next_batch": "b", "device_lists": {"changed": [dave]}});
    alice.open("/sync?since=b", &answer);
    assert_eq!(tends(&mut alice), [ROOM]);
}

#[test]
fn a_message_that_speaks_of_device_lists_hides_nothing() {
    let bob = Client::new(BOB);
    let mut alice = alice_with(&[&bob], &[]);
    let fake =
        json!({"type": "org.example", "sender": "@mallory:x", "content": {"device_lists": {}}});
    let answer = format!(
        r#"{{"next_batch":"b","to_device":{{"events":[{fake}]}},"device_lists":{{"changed":["{BOB}"]}}}}"#
    );
    let url = format!("{HS}/sync?since=b");
    if let Some(needs) =
        alice.engine.inspect(Request { method: "GET", url: &url }, answer.into_bytes())
    {
        alice.engine.drop_answer(needs.answer);
    }
    assert_eq!(tends(&mut alice), [ROOM]);
}

#[test]
fn who_lists_anothers_keys_first_does_not_become_their_owner() {
    for mallory_first in [true, false] {
        let mut alice = Client::new(ALICE);
        let mut bob = Client::new(BOB);
        let (event, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
        let squatted = json!([{"userId": "@mallory:x", "devices": [alice.device]}]).to_string();
        if mallory_first {
            bob.engine.add_devices(&squatted).unwrap();
        }
        bob.knows(&[&alice]);
        bob.engine.add_devices(&squatted).unwrap();
        bob.engine.add_room_keys(&keys).unwrap();
        let mut state = room_state();
        state.push(event.clone());
        let shown = bob.open("/sync?since=a", &sync(state, vec![]));
        // Perhaps it waits until it is clear whose they are; it is never thrown away.
        let is_there = shown.to_string().contains("Secret") || bob.engine.has_undecryptable();
        assert!(is_there, "mallory first: {mallory_first}");
        assert!(!bob.codes().contains(&"foreign-session"), "mallory first: {mallory_first}");
    }
}

#[test]
fn a_crowd_of_devices_keeps_no_other_persons_name_away() {
    let crowd: Vec<_> = (0..12_000)
        .map(|number| {
            let devices: Vec<_> = (0..3)
                .map(|device| {
                    let key = format!("{:043x}", (number * 3 + device) * 0x9e37_79b9_u64);
                    json!({"deviceId": "D", "algorithms": [], "signature": null,
                        "keys": {"curve25519:D": key, "ed25519:D": key}})
                })
                .collect();
            json!({"userId": format!("@member{number}:example.org"), "devices": devices})
        })
        .collect();
    for is_known_before in [false, true] {
        let mut alice = Client::new(ALICE);
        let mut bob = Client::new(BOB);
        let (event, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
        if is_known_before {
            bob.knows(&[&alice]);
        }
        for some in crowd.chunks(200) {
            bob.engine.add_devices(&json!(some).to_string()).unwrap();
        }
        bob.engine.add_room_keys(&keys).unwrap();
        let mut state = room_state();
        state.push(event);
        let answer = sync(state, vec![]);
        let needs = bob.inspect("/sync?since=a", &answer).unwrap();
        bob.engine.drop_answer(needs.answer);
        // Whose devices had to give way is asked about again.
        if needs.owners.contains(&ALICE.to_owned()) {
            bob.knows(&[&alice]);
        }
        let shown = bob.open("/sync?since=a", &answer);
        assert!(shown.to_string().contains("Secret"), "known before: {is_known_before}");
    }
}
