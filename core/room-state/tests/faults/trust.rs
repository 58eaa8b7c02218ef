//! Reading follows the trust of writing, and what is not sure is signed by nobody else.

use mantle_room_state::{RoomId, StateSettings, Trust, Upgrade};
use serde_json::{Value, json};

use crate::people::*;

/// A client's devices, and what its owner has to do with them.
fn standing(client: &Client, standing: &str) -> Value {
    let mut devices = client.devices();
    devices["devices"][0]["standing"] = json!(standing);
    devices
}

/// Bob with such a setting, who is in the room with Alice and Carol; and Alice's name with its key.
fn named_by_alice(trust: Trust) -> (Client, Client, Value, String) {
    let mut alice = Client::new(ALICE);
    let mut bob = Client::new(BOB);
    bob.engine.apply_settings(StateSettings { trust, ..StateSettings::default() });
    let (event, keys) = alice.send(ROOM, &[&bob], "m.room.name", &named("Secret"));
    (alice, bob, event, keys)
}

fn learns(bob: &mut Client, devices: &Value) {
    bob.engine.add_devices(&json!([devices]).to_string()).unwrap();
}

fn sees(bob: &mut Client, event: &Value, keys: &str) -> bool {
    bob.engine.add_room_keys(keys).unwrap();
    let mut state = room_state();
    state.push(event.clone());
    let shown = bob.open("/sync?since=b", &sync(state, vec![]));
    shown.to_string().contains("Secret")
}

/// What Bob's Mantle does once Carol, who had the key, and Alice's device are gone.
fn sends_again(bob: &mut Client) -> usize {
    bob.open("/sync?since=c", &sync(vec![], vec![member(CAROL, "leave")]));
    let again = |bob: &mut Client, now: u64| {
        let json = json!({"members": [ALICE, BOB], "now": now}).to_string();
        bob.engine.reencrypt(RoomId(ROOM), &json).unwrap().events.len()
    };
    again(bob, NOW + 10) + again(bob, NOW + 9_999_999)
}

pub fn is_passed_on(bob: &mut Client) -> Vec<&'static str> {
    let mut passed = Vec::new();
    if bob.engine.invite_preview(ROOM).is_some() {
        passed.push("invites");
    }
    bob.engine
        .upgraded(Upgrade { old: RoomId(ROOM), new: RoomId("!new:example.org") }, NOW)
        .unwrap();
    if !bob.engine.pending_writes().is_empty() {
        passed.push("upgrade");
    }
    if sends_again(bob) > 0 {
        passed.push("sent again");
    }
    passed
}

#[test]
fn where_cross_signed_devices_count_a_made_up_one_names_nothing_and_the_person_is_told() {
    for made_up in ["unsigned", "plain"] {
        let (alice, mut bob, event, keys) = named_by_alice(Trust::CrossSigned);
        learns(&mut bob, &standing(&alice, made_up));
        assert!(!sees(&mut bob, &event, &keys), "{made_up}");
        assert!(!bob.knows_name());
        assert_eq!(bob.codes(), ["untrusted-device"]);
        assert_eq!(is_passed_on(&mut bob), Vec::<&str>::new());
        // Told once.
        bob.retried();
        assert_eq!(bob.codes(), Vec::<&str>::new());
        // Its owner has verified it meanwhile.
        learns(&mut bob, &standing(&alice, "signed"));
        let retried = bob.retried();
        assert_eq!(retried.len(), 1, "{made_up}");
        assert_eq!(retried[0]["content"], named("Secret"));
        assert!(bob.knows_name());
    }
}

#[test]
fn a_made_up_device_takes_no_name_away_over_reloads() {
    let (alice, mut bob, event, keys) = named_by_alice(Trust::CrossSigned);
    learns(&mut bob, &standing(&alice, "signed"));
    assert!(sees(&mut bob, &event, &keys));
    let mut made_up = Client::new(ALICE);
    made_up.device = device(ALICE, "MADEUP");
    made_up.reload();
    let (forged, forged_keys) = made_up.send(ROOM, &[&bob], "m.room.name", &named("Forged"));
    for is_reloaded in [false, true] {
        if is_reloaded {
            bob.reload();
            let trust = Trust::CrossSigned;
            bob.engine.apply_settings(StateSettings { trust, ..StateSettings::default() });
        }
        let mut both = standing(&alice, "signed");
        both["devices"]
            .as_array_mut()
            .unwrap()
            .extend(standing(&made_up, "unsigned")["devices"].as_array().unwrap().iter().cloned());
        learns(&mut bob, &both);
        bob.engine.add_room_keys(&forged_keys).unwrap();
        let mut state = room_state();
        state.push(forged.clone());
        let shown = bob.open("/sync", &sync(state, vec![]));
        assert!(!shown.to_string().contains("Forged"));
        assert!(shown.to_string().contains("Secret"), "{is_reloaded}");
        assert!(bob.knows_name());
    }
}

#[test]
fn where_it_is_not_known_whether_a_device_is_signed_the_name_waits_without_a_word() {
    let (alice, mut bob, event, keys) = named_by_alice(Trust::CrossSigned);
    learns(&mut bob, &standing(&alice, ""));
    assert!(!sees(&mut bob, &event, &keys));
    assert_eq!(bob.codes(), Vec::<&str>::new());
    assert_eq!(bob.engine.retry_needs().unwrap().owners, [ALICE]);
    learns(&mut bob, &standing(&alice, "signed"));
    assert_eq!(bob.retried().len(), 1);
}

#[test]
fn a_signed_device_counts_after_it_is_gone_and_over_reloads() {
    let (alice, mut bob, event, keys) = named_by_alice(Trust::CrossSigned);
    learns(&mut bob, &standing(&alice, "signed"));
    assert!(sees(&mut bob, &event, &keys));
    bob.reload();
    let trust = Trust::CrossSigned;
    bob.engine.apply_settings(StateSettings { trust, ..StateSettings::default() });
    learns(&mut bob, &json!({"userId": ALICE, "devices": []}));
    assert!(sees(&mut bob, &event, &keys));
}

#[test]
fn where_all_devices_count_what_is_not_sure_is_shown_told_and_signed_by_nobody_else() {
    for is_reloaded in [false, true] {
        let (alice, mut bob, event, keys) = named_by_alice(Trust::All);
        learns(&mut bob, &standing(&alice, "unsigned"));
        assert!(sees(&mut bob, &event, &keys));
        assert_eq!(bob.codes(), ["unsigned-device"]);
        if is_reloaded {
            bob.reload();
            // No answer told of the rules since.
            bob.open("/sync?since=a", &sync(room_state(), vec![]));
        }
        // It was there for that name only.
        learns(&mut bob, &json!({"userId": ALICE, "devices": []}));
        assert_eq!(is_passed_on(&mut bob), Vec::<&str>::new(), "{is_reloaded}");
        assert_eq!(bob.codes(), ["not-passed-on"]);
    }
}

#[test]
fn a_device_that_is_gone_when_its_name_comes_has_it_signed_by_nobody_else() {
    let (_, mut bob, event, keys) = named_by_alice(Trust::All);
    learns(&mut bob, &json!({"userId": ALICE, "devices": []}));
    bob.engine.members_added(ROOM);
    assert!(sees(&mut bob, &event, &keys));
    assert_eq!(bob.codes(), ["gone-device"]);
    assert_eq!(is_passed_on(&mut bob), Vec::<&str>::new());
}

#[test]
fn what_is_sure_is_passed_on_as_before() {
    for (trust, sure) in
        [(Trust::All, "plain"), (Trust::All, "signed"), (Trust::CrossSigned, "signed")]
    {
        for is_reloaded in [false, true] {
            let (alice, mut bob, event, keys) = named_by_alice(trust);
            learns(&mut bob, &standing(&alice, sure));
            assert!(sees(&mut bob, &event, &keys));
            if is_reloaded {
                bob.reload();
                bob.engine.apply_settings(StateSettings { trust, ..StateSettings::default() });
                bob.open("/sync?since=a", &sync(room_state(), vec![]));
            }
            learns(&mut bob, &json!({"userId": ALICE, "devices": []}));
            let passed = is_passed_on(&mut bob);
            assert_eq!(passed, ["invites", "upgrade", "sent again"], "{sure} {is_reloaded}");
            assert_eq!(bob.codes(), Vec::<&str>::new());
        }
    }
}

#[test]
fn nobody_vouches_for_anothers_device_by_signing_its_keys() {
    let (alice, mut bob, event, keys) = named_by_alice(Trust::CrossSigned);
    learns(&mut bob, &standing(&alice, "unsigned"));
    let mut theirs = standing(&alice, "signed");
    theirs["userId"] = json!("@mallory:example.org");
    learns(&mut bob, &theirs);
    assert!(!sees(&mut bob, &event, &keys));
}
